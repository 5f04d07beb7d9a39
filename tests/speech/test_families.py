"""Recognisers of transformers: every family is saved, found, loaded and run, and writes what upstream writes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_search.errors import CheckpointError, PeSearchError
from pe_search.speech.choosing import find_recogniser
from pe_search.speech.recogniser import Asked, Heard, Recogniser
from tests.made_up import edit_config, noise, tone
from tests.speech import made_up
from tests.speech.make_speech_to_text_2 import DECODER_IDS, KEPT, audio

GRAINS = {
    "whisper": "words",
    "whisper_of_phrases": "phrases",
    "wav2vec2": "words",
    "parakeet_ctc": "words",
    "parakeet_tdt": "words",
    "parakeet_rnnt": "words",
}
# As many tokens as there are positions, less two.
MOST = {"moonshine": 38, "encoder_decoder": 38, "speech_to_text": 38, "speech_to_text_2": 62}
OF_VOCABULARIES = ("speech_to_text", "speech_to_text_2")


def asked(family: str) -> Asked:
    # The models are tiny, so that rounding alone may make another token of one.
    return Asked(language="eng" if family.startswith("seamless") else None, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in made:
            made[family] = made_up.make(family, tmp_path_factory.mktemp(family))
        return made[family]

    return get


@pytest.fixture(scope="module")
def recogniser(checkpoint: Callable[[str], Path]) -> Callable[[str], Recogniser]:
    loaded: dict[str, Recogniser] = {}

    def get(family: str) -> Recogniser:
        if family not in loaded:
            loaded[family] = find_recogniser(str(checkpoint(family)), asked(family))
        return loaded[family]

    return get


@pytest.fixture(scope="module")
def windows() -> list[np.ndarray]:
    rate_hz = 16_000
    long = [noise(3, seed, rate_hz) for seed in range(3)]
    return [*long, tone(2, 440, rate_hz), noise(2, 9, rate_hz)]


@pytest.mark.parametrize("family", [family for family in made_up.FAMILIES if family not in OF_VOCABULARIES])
def test_the_text_is_that_of_the_pipeline_of_transformers(family, checkpoint, recogniser, windows):
    from transformers import pipeline

    options: dict[str, Any] = {"num_beams": 1}
    times = None
    if family.startswith("whisper"):
        times = "word" if family == "whisper" else True
    if family.startswith("seamless"):
        options["tgt_lang"] = "eng"
    if family in MOST:
        options["max_new_tokens"] = MOST[family]
    if family.startswith(("parakeet", "wav2vec2")):
        options = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        upstream = pipeline("automatic-speech-recognition", str(checkpoint(family)), device="cpu")
        expected = [
            upstream(window.copy(), return_timestamps=times, **({"generate_kwargs": options} if options else {}))
            for window in windows
        ]
    heard = list(recogniser(family).recognise(windows))

    assert [one.text for one in heard] == [one["text"].strip() for one in expected]
    assert len({one.text for one in heard}) > 1
    assert {one.grain for one in heard} == {GRAINS.get(family, "window")}


@pytest.mark.parametrize("family", OF_VOCABULARIES)
def test_the_text_is_what_generate_writes_by_the_vocabulary(family, checkpoint, recogniser, windows):
    import torch

    loaded = recogniser(family)._loaded
    tokens = {number: token for token, number in json.loads((checkpoint(family) / "vocab.json").read_text()).items()}
    heard = list(recogniser(family).recognise(windows))
    for one, window in zip(heard, windows, strict=True):
        made = loaded.extractor([window], sampling_rate=16_000, return_tensors="pt", return_attention_mask=True)
        values = made["input_features"] if "input_features" in made else made["input_values"]
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row = loaded.model.generate(values, attention_mask=made["attention_mask"], max_new_tokens=MOST[family])[
                0
            ].tolist()
        spelled = " ".join(tokens[number] for number in row if tokens[number] not in made_up.SPECIAL)
        spelled = (
            spelled.replace(" ", "").replace("▁", " ") if family == "speech_to_text" else spelled.replace("@@ ", "")
        )
        assert one.text == spelled.strip()
    assert len({one.text for one in heard}) > 1


@pytest.mark.parametrize("family", [family for family, grain in GRAINS.items() if grain == "words"])
def test_words_are_in_order_within_their_window(family, recogniser, windows):
    heard = list(recogniser(family).recognise(windows))
    assert any(one.spoken for one in heard)
    for one, window in zip(heard, windows, strict=True):
        starts = [spoken.start_s for spoken in one.spoken]
        assert starts == sorted(starts)
        for spoken in one.spoken:
            assert 0 <= spoken.start_s <= spoken.end_s
        if one.spoken and not family.startswith("whisper"):
            # Whisper hears 30 s of which the rest are zeros.
            assert one.spoken[-1].end_s <= len(window) / 16_000 + 0.1


def test_ctc_words_have_the_times_that_the_pipeline_of_transformers_gives(checkpoint, recogniser, windows):
    from transformers import pipeline

    upstream = pipeline("automatic-speech-recognition", str(checkpoint("wav2vec2")), device="cpu")
    for one, window in zip(recogniser("wav2vec2").recognise(windows), windows, strict=True):
        chunks = upstream(window.copy(), return_timestamps="word")["chunks"]
        assert [spoken.text.strip() for spoken in one.spoken] == [chunk["text"] for chunk in chunks]
        for spoken, chunk in zip(one.spoken, chunks, strict=True):
            assert (spoken.start_s, spoken.end_s) == pytest.approx(chunk["timestamp"], abs=0.021)


def test_the_words_of_a_transducer_have_the_times_of_their_tokens(recogniser, windows):
    import torch

    one = recogniser("parakeet_tdt")
    loaded = one._loaded
    (heard,) = one.recognise(windows[:1])
    features = loaded.extractor(windows[0], sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output = loaded.model.generate(**features)
    from transformers import ParakeetProcessor

    processor = ParakeetProcessor.from_pretrained(one._checkpoint.directory)
    _, (tokens,) = processor.decode(output.sequences, durations=output.durations, skip_special_tokens=True)
    starts = {round(token["start"], 6) for token in tokens}
    assert heard.spoken
    assert {round(spoken.start_s, 6) for spoken in heard.spoken} <= starts
    assert heard.spoken[0].start_s == pytest.approx(tokens[0]["start"])


def test_windows_of_a_batch_do_not_change_each_other(recogniser, windows):
    one = recogniser("whisper")
    together = list(one.recognise(windows))
    assert [next(one.recognise([window])) for window in windows] == together


def test_nothing_to_recognise_is_nothing(recogniser):
    assert list(recogniser("wav2vec2").recognise([])) == []


def test_the_shortest_window_is_recognised(recogniser):
    for family in ("wav2vec2", "whisper", "parakeet_ctc"):
        (heard,) = recogniser(family).recognise([np.zeros(1, np.float32)])
        assert isinstance(heard, Heard)


def test_the_logits_of_speech_to_text_2_are_those_of_its_own_class(recogniser):
    import torch

    kept = np.load(KEPT)
    model = recogniser("speech_to_text_2")._loaded.model
    values = torch.from_numpy(audio())[None]
    with torch.inference_mode():
        logits = model(inputs=values, decoder_input_ids=torch.tensor([DECODER_IDS])).logits.numpy()
        generated = model.generate(values, max_new_tokens=kept["generated"].shape[1] - 1).numpy()
    np.testing.assert_allclose(logits, kept["logits"], atol=1e-5, rtol=0)
    assert generated.tolist() == kept["generated"].tolist()


@pytest.mark.parametrize("tied", ["lm_head", "embed_tokens"])
def test_tied_weights_of_speech_to_text_2_are_in_the_file_once_by_either_name(tied, tmp_path, checkpoint, recogniser):
    import shutil

    import torch
    from safetensors.numpy import load_file, save_file

    directory = tmp_path / "checkpoint"
    shutil.copytree(checkpoint("speech_to_text_2"), directory)
    weights = load_file(directory / "model.safetensors")
    embedded = weights.pop("decoder.model.decoder.embed_tokens.weight")
    name = "decoder.lm_head.weight" if tied == "lm_head" else "decoder.model.decoder.embed_tokens.weight"
    save_file(weights | {name: embedded}, directory / "model.safetensors", metadata={"format": "pt"})
    found = find_recogniser(str(directory), asked("speech_to_text_2"))
    output = found._loaded.model.decoder.output_projection.weight
    assert torch.equal(output, torch.from_numpy(embedded))


def test_whisper_is_told_the_language_and_to_translate(checkpoint, windows):
    told = find_recogniser(str(checkpoint("whisper")), Asked(language="German", translates=True, device="cpu"))
    assert told._options == {"num_beams": 1, "language": "german", "task": "translate"}
    assert told.name.endswith(" German translate")
    assert next(told.recognise(windows[:1])).text


def test_a_language_that_the_model_does_not_know_is_refused(checkpoint):
    with pytest.raises(PeSearchError, match="does not know the language 'xx'"):
        find_recogniser(str(checkpoint("whisper")), Asked(language="xx", device="cpu"))
    with pytest.raises(PeSearchError, match="Use one of deu, eng"):
        find_recogniser(str(checkpoint("seamless_m4t")), Asked(language="xxx", device="cpu"))
    with pytest.raises(PeSearchError, match="Use one of de, fr"):
        find_recogniser(str(checkpoint("speech_to_text")), Asked(language="xx", device="cpu"))


def test_what_a_model_can_not_do_is_refused_in_one_line(checkpoint):
    for family, given, option in [
        ("wav2vec2", Asked(language="en", device="cpu"), "--language"),
        ("parakeet_tdt", Asked(translates=True, device="cpu"), "--translate"),
        ("moonshine", Asked(language="en", device="cpu"), "--language"),
        ("speech_to_text", Asked(translates=True, device="cpu"), "--translate"),
        ("speech_to_text_2", Asked(translates=True, device="cpu"), "--translate"),
    ]:
        with pytest.raises(PeSearchError, match=f"Omit {option}") as caught:
            find_recogniser(str(checkpoint(family)), given)
        assert "\n" not in str(caught.value)
    with pytest.raises(PeSearchError, match="must be told what to write"):
        find_recogniser(str(checkpoint("seamless_m4t_v2")), Asked(device="cpu"))


def test_seamless_translates_into_english(checkpoint, windows):
    translated = find_recogniser(str(checkpoint("seamless_m4t_v2")), Asked(translates=True, device="cpu"))
    assert translated._options["tgt_lang"] == "eng"


def test_speech_to_text_is_told_the_language_that_it_writes(checkpoint, windows):
    told = find_recogniser(str(checkpoint("speech_to_text")), Asked(language="fr", device="cpu"))
    tokens = json.loads((checkpoint("speech_to_text") / "vocab.json").read_text())
    assert told._options["forced_bos_token_id"] == tokens["<lang:fr>"]


def test_weights_that_are_missing_are_not_made_up(checkpoint, tmp_path):
    import shutil

    from safetensors.numpy import load_file, save_file

    for family, name in [("moonshine", "model.decoder.norm.weight"), ("speech_to_text_2", "encoder.layer_norm")]:
        directory = tmp_path / family
        shutil.copytree(checkpoint(family), directory)
        weights = load_file(directory / "model.safetensors")
        lacking = next(key for key in weights if name in key)
        del weights[lacking]
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(CheckpointError, match=f"lacks weights: .*{name.split('.')[-1]}"):
            find_recogniser(str(directory), asked(family))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "bert"}, "a bert checkpoint, which recognises no speech"),
        ({"model_type": "voxtral"}, "a voxtral checkpoint, which pe-search can't prompt"),
        ({"model_type": None}, "names no model_type"),
        ({"auto_map": {"AutoModel": "x--y.Z"}}, "may run code"),
        ({"vocab_size": 1_999_999}, "asks for .* weights"),
        ({"hidden_size": 10**9}, "at most"),
    ],
)
def test_what_is_not_taken_from_anybody_is_refused(changes, reason, checkpoint, tmp_path):
    import shutil

    directory = tmp_path / "checkpoint"
    shutil.copytree(checkpoint("moonshine"), directory)
    edit_config(directory, **changes)
    with pytest.raises(CheckpointError, match=reason) as caught:
        find_recogniser(str(directory), asked("moonshine"))
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(checkpoint, tmp_path):
    import shutil

    directory = tmp_path / "checkpoint"
    shutil.copytree(checkpoint("moonshine"), directory)
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="only safetensors weights are loaded"):
        find_recogniser(str(directory), asked("moonshine"))


def test_a_name_that_is_nothing_is_refused():
    for name in ("", "no such thing", "whisper"):
        with pytest.raises(CheckpointError, match="There is no speech model"):
            find_recogniser(name, Asked())
    with pytest.raises(CheckpointError, match="openai/nothing is not on this machine"):
        find_recogniser("openai/nothing", Asked())
