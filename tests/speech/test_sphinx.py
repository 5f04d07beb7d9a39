"""pocketsphinx for real: what is said in sentences whose words are known."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pe_search.errors import MissingExtraError, PeSearchError
from pe_search.speech.choosing import find_recogniser
from pe_search.speech.recogniser import Asked

LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")
needs_librivox = pytest.mark.skipif(not LIBRIVOX.is_dir(), reason="Debian's pocketsphinx-testdata is not installed")
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@pytest.fixture(scope="module")
def sphinx():
    return find_recogniser(None, Asked())


def read(name: str) -> np.ndarray:
    samples, rate_hz = soundfile.read(LIBRIVOX / f"sense_and_sensibility_01_austen_64kb-{name}.wav", dtype="float32")
    assert rate_hz == 16_000
    return samples


@needs_librivox
def test_a_sentence_of_a_recording(sphinx):
    (heard,) = sphinx.recognise([read("0930")])
    assert heard.grain == "words"
    said = ["he", "might", "even", "have", "been", "made", "amiable", "himself"]
    assert [word for word in heard.text.split() if word in said] == said


@needs_librivox
def test_words_lie_where_they_are_said(sphinx):
    """Two recordings with two seconds of silence between them: the second one's words are that much later."""
    first, second = read("0930"), read("0920")
    silence = np.zeros(32_000, np.float32)
    (alone,) = sphinx.recognise([second])
    (both,) = sphinx.recognise([np.concatenate([first, silence, second])])
    shift_s = (len(first) + len(silence)) / 16_000
    found = {one.text: one for one in both.spoken if one.start_s >= shift_s - 0.5}
    for one in alone.spoken:
        if one.text.strip() in ("married", "amiable", "woman", "respectable"):
            assert found[one.text].start_s == pytest.approx(one.start_s + shift_s, abs=0.5)
    assert len([word for word in (" married", " woman", " respectable") if word in found]) == 3


@needs_librivox
def test_what_was_heard_before_changes_nothing(sphinx):
    windows = [read("0880"), read("0920"), read("0880")]
    first, _, again = sphinx.recognise(windows)
    assert first == again


@needs_espeak
def test_a_sentence_of_a_synthesiser(sphinx, tmp_path):
    """Each word by itself after a pause of a known length lies there within half a second."""
    words, samples, starts = ["yesterday", "morning", "government"], [np.zeros(8_000, np.float32)], []
    for word in words:
        path = tmp_path / f"{word}.wav"
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "130", "-w", path, word], check=True)
        spoken, rate_hz = soundfile.read(path, dtype="float32")
        import soxr

        starts.append(sum(map(len, samples)) / 16_000)
        samples += [soxr.resample(spoken, rate_hz, 16_000), np.zeros(16_000, np.float32)]
    (heard,) = sphinx.recognise([np.concatenate(samples)])
    found = {one.text.strip(): one.start_s for one in heard.spoken}
    known = [word for word in words if word in found]
    assert known
    for word in known:
        assert found[word] == pytest.approx(starts[words.index(word)], abs=0.5)


def test_silence_and_nothing_are_no_words(sphinx):
    (heard,) = sphinx.recognise([np.zeros(32_000, np.float32)])
    assert heard.spoken == ()
    (short,) = sphinx.recognise([np.zeros(10, np.float32)])
    assert short.spoken == ()


def test_what_it_can_not_do_is_refused():
    with pytest.raises(PeSearchError, match="Omit --translate"):
        find_recogniser("pocketsphinx", Asked(translates=True))
    with pytest.raises(PeSearchError, match=r"English alone\. Omit --language"):
        find_recogniser("pocketsphinx", Asked(language="de"))


def test_without_the_package_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingExtraError, match=r"pe-search\[speech\]"):
        find_recogniser(None, Asked())
