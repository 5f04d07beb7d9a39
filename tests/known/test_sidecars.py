"""Transcripts beside clips say the same in every format, whatever their encoding."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pe_search.known.sidecars import NoTranscriptError, Said, clips_meant, read_sidecar
from pe_search.records import Segment, SpokenWord

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Größe</i> first,
then more

2
00:01:00,250 --> 00:01:01,000
the end
"""
VTT = """WEBVTT
Language: de-DE

NOTE not said

00:01.000 --> 00:02.500 align:start
<v Bob>Größe <00:01.500><c>first,</c> then more</v>

00:01:00.250 --> 00:01:01.000
the end
"""
SEGMENTS = (Segment(1.0, 2.5, "Größe first, then more"), Segment(60.25, 61.0, "the end"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_subtitles_have_times_and_text(encoding, newline):
    srt, vtt = (text.replace("\n", newline).encode(encoding) for text in (SRT, VTT))
    assert read_sidecar(srt, ".srt", 90.0) == Said(SEGMENTS)
    words = ((1.0, 1.5, "Größe"), (1.5, 2.5, "first,"), (1.5, 2.5, "then"), (1.5, 2.5, "more"))
    spoken = tuple(SpokenWord(*word) for word in words)
    assert read_sidecar(vtt, ".vtt", 90.0) == Said((replace(SEGMENTS[0], words=spoken), SEGMENTS[1]), "de-DE")


def test_a_line_of_webvtt_may_have_the_time_of_each_word():
    cues = (
        "WEBVTT\n\n00:00:01.000 --> 00:00:03.000 align:start position:0%\n"
        "good<00:00:01.500><c> day,</c><00:00:02.250><c> Mr &amp; Mrs</c><01:00.000> \ue000late\ue001\n\n"
        "00:03.000 --> 00:04.000\nbye\n"
    )
    expected = [(1.0, 1.5, "good"), (1.5, 2.25, "day,"), *((2.25, 3.0, word) for word in ("Mr", "&", "Mrs"))]
    words = tuple(SpokenWord(*word) for word in [*expected, (3.0, 3.0, "late")])
    assert read_sidecar(cues.encode(), ".vtt", 90.0).segments == (
        Segment(1.0, 3.0, "good day, Mr & Mrs late", words),
        Segment(3.0, 4.0, "bye"),
    )


@pytest.mark.parametrize("extension", [".srt", ".vtt", ".txt", ".json"])
def test_what_a_terminal_obeys_is_no_part_of_a_word(extension):
    said = "a\x1b[31mred\x1b[0m\x1b]0;title\x07 fox\x07es\x1b"
    files = {
        ".srt": f"1\n00:00:00,000 --> 00:00:02,000\n{said}\n",
        ".vtt": f"WEBVTT\n\n00:00.000 --> 00:02.000\n{said}\n",
        ".txt": said,
        ".json": json.dumps({"segments": [{"start": 0, "end": 2, "text": said}]}),
    }
    (segment,) = read_sidecar(files[extension].encode(), extension, 2.0).segments
    assert segment.text == "ared fox es"


def test_text_is_said_in_all_of_the_clip():
    assert read_sidecar("Größe  first,\n\nthen more\n".encode(), ".txt", 7.5) == Said(
        (Segment(0.0, 7.5, "Größe first, then more"),)
    )
    assert read_sidecar(b" \n", ".txt", 7.5) == Said(())


def test_whisper_has_times_of_words():
    words = [
        {"word": " Good", "start": 0.5, "end": 0.75, "probability": 0.9},
        {"word": " day.", "start": 0.75, "end": 1.25},
        {"word": " unaligned"},
    ]
    found = {
        "text": "…",
        "language": "en",
        "segments": [{"id": 0, "start": 0.5, "end": 2, "text": " Good day.", "words": words}],
    }
    expected = Segment(0.5, 2.0, "Good day.", (SpokenWord(0.5, 0.75, "Good"), SpokenWord(0.75, 1.25, "day.")))
    assert read_sidecar(json.dumps(found).encode(), ".json", 9.0) == Said((expected,), "en")
    cpp = {
        "result": {"language": "de"},
        "transcription": [
            {"offsets": {"from": 500, "to": 1250}, "text": " Guten Tag"},
            {"offsets": {"from": 1250, "to": 1300}, "text": " "},
        ],
    }
    assert read_sidecar(json.dumps(cpp).encode(), ".json", 9.0) == Said((Segment(0.5, 1.25, "Guten Tag"),), "de")


def test_nothing_is_said_after_the_end_of_the_clip():
    assert read_sidecar(SRT.encode(), ".srt", 2.0).segments == (Segment(1.0, 2.0, "Größe first, then more"),)
    with pytest.raises(ValueError, match=r"^all that it has begins after the end of the clip$"):
        read_sidecar(SRT.encode(), ".srt", 0.5)


@pytest.mark.parametrize(
    ("content", "extension"),
    [
        (b"{}", ".json"),
        (b'[{"start": 0}]', ".json"),
        (b'{"segments": [{"start": "0", "end": 1, "text": "a"}]}', ".json"),
        (b'{"segments": [1]}', ".json"),
        (b'{"bpm": 120}', ".json"),
        (b"0.5\t1.5\tdog\n2\t3\train\n", ".txt"),
    ],
)
def test_what_is_something_else_is_no_transcript(content, extension):
    with pytest.raises(NoTranscriptError):
        read_sidecar(content, extension, 9.0)


@pytest.mark.parametrize(
    ("content", "extension", "says"),
    [
        (b"{", ".json", "is no valid JSON"),
        (b"[" * 100_000, ".json", "is no valid JSON"),
        (b"nothing like it", ".srt", "has no subtitles of SRT"),
        (b"1\n00:00:99 --> x\nfoo", ".vtt", "has no subtitles of VTT"),
        (b"\0\1\2", ".txt", "is no text: it has bytes that are zero. If it is UTF-16, save it as UTF-8"),
        (
            "good day".encode("utf-16-le"),
            ".srt",
            "is no text: it has bytes that are zero. If it is UTF-16, save it as UTF-8",
        ),
        (b"\xff\xfe\x00\xd8", ".txt", "is no text"),
        (b" " * (33 << 20), ".txt", "is larger than 32 MiB"),
    ],
)
def test_what_is_broken_is_said_in_words(content, extension, says):
    with pytest.raises(ValueError) as caught:
        read_sidecar(content, extension, 9.0)
    assert str(caught.value) == says
    assert not isinstance(caught.value, NoTranscriptError)


def test_escapes_of_webvtt_are_read_and_those_of_others_are_text():
    text = "00:01.000 --> 00:02.000\n<v Ann>&gt;&gt; R&amp;B is &lt;good&gt;\n"
    said = read_sidecar(f"WEBVTT\n\n{text}".encode(), ".vtt", 9.0)
    assert said == Said((Segment(1.0, 2.0, ">> R&B is <good>"),))
    text = "1\n00:00:01,000 --> 00:00:02,000\nR&amp;B\n"
    assert read_sidecar(text.encode(), ".srt", 9.0) == Said((Segment(1.0, 2.0, "R&amp;B"),))


def test_names_tell_of_which_clip_and_in_which_language():
    assert list(clips_meant("a.srt")) == [("a", "")]
    assert list(clips_meant("a.wav.srt")) == [("a.wav", ""), ("a", "wav")]
    assert list(clips_meant("a.en.vtt")) == [("a.en", ""), ("a", "en")]
    assert list(clips_meant("a.wav.pt-BR.json")) == [("a.wav.pt-BR", ""), ("a.wav", "pt-BR")]
    assert list(clips_meant("take.12.txt")) == [("take.12", "")]
