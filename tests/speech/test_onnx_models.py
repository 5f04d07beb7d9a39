"""Models of onnx-asr, by one that is made up."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pe_search.errors import CheckpointError, MissingExtraError, PeSearchError
from pe_search.speech import onnx_models
from pe_search.speech.choosing import find_recogniser
from pe_search.speech.recogniser import Asked
from tests.made_up import noise
from tests.speech.made_up import make_onnx


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return make_onnx(tmp_path_factory.mktemp("onnx"))


def test_the_text_is_that_of_onnx_asr_itself(directory):
    import onnx_asr

    windows = [noise(3, seed, 16_000) for seed in range(2)] + [noise(1.5, 5, 16_000)]
    upstream = onnx_asr.load_model("nemo-conformer-ctc", directory, providers=["CPUExecutionProvider"])
    heard = list(find_recogniser(str(directory), Asked()).recognise(windows))
    assert [one.text for one in heard] == [upstream.recognize(window).strip() for window in windows]
    assert len({one.text for one in heard}) == 3
    assert {one.grain for one in heard} == {"words"}


def test_words_have_the_times_of_their_tokens(directory):
    import onnx_asr

    window = noise(2, 4, 16_000)
    upstream = onnx_asr.load_model("nemo-conformer-ctc", directory, providers=["CPUExecutionProvider"])
    found = upstream.with_timestamps().recognize(window)
    (heard,) = find_recogniser(str(directory), Asked()).recognise([window])
    starts = [start_s for start_s, token in zip(found.timestamps, found.tokens, strict=True) if token.startswith(" ")]
    spoken = [one.start_s for one in heard.spoken]
    assert spoken[-len(starts) :] == pytest.approx(starts)
    assert all(one.start_s < one.end_s <= 2 for one in heard.spoken)


def test_the_name_changes_with_the_files(directory, tmp_path):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(directory, other)
    names = [find_recogniser(str(other), Asked()).name]
    # Within the weights.
    content = bytearray((other / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (other / "model.onnx").write_bytes(content)
    names.append(find_recogniser(str(other), Asked()).name)
    assert names[0] != names[1]
    assert all(name.startswith(str(other)) for name in names)


def test_what_it_can_not_do_is_refused(directory):
    with pytest.raises(PeSearchError, match="Omit --language"):
        find_recogniser(str(directory), Asked(language="en"))
    with pytest.raises(PeSearchError, match="Omit --translate"):
        find_recogniser(str(directory), Asked(translates=True))


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.json", "{}", "has no config.json with a model_type"),
        ("config.json", "[", "can't be read"),
        ("config.json", '{"model_type": "evil/model"}', "can't be loaded"),
        ("model.onnx", "nothing", "can't be loaded"),
        ("vocab.txt", "the", "can't be loaded"),
    ],
)
def test_a_damaged_folder_is_one_line(file, content, reason, directory, tmp_path):
    import shutil

    damaged = tmp_path / "damaged"
    shutil.copytree(directory, damaged)
    (damaged / file).write_text(content)
    with pytest.raises(CheckpointError, match=reason) as caught:
        find_recogniser(str(damaged), Asked())
    assert "\n" not in str(caught.value)


def test_a_model_that_is_not_here_is_not_asked_for_unless_it_may_be():
    with pytest.raises(CheckpointError, match=r"nemo-parakeet-tdt-0.6b-v3 is not on this machine. Download it"):
        find_recogniser(onnx_models.RECOMMENDED, Asked())


def test_the_recommended_model_is_one_that_it_knows():
    assert onnx_models.RECOMMENDED in onnx_models.onnx_names()


def test_without_the_package_one_line_says_how_to_install_it(monkeypatch, directory):
    monkeypatch.setitem(sys.modules, "onnx_asr", None)
    for name in (str(directory), onnx_models.RECOMMENDED):
        with pytest.raises(MissingExtraError, match=r"pe-search\[speech\]"):
            find_recogniser(name, Asked())


def test_silence_has_no_length_that_fails(directory):
    assert list(find_recogniser(str(directory), Asked()).recognise([])) == []
    for samples in (400, 8_000):
        assert len(list(find_recogniser(str(directory), Asked()).recognise([np.zeros(samples, np.float32)]))) == 1
