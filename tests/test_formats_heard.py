"""What the built-in checkpoint hears does not depend on the format of a file."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from pe_search.audio.read import ClipReader
from pe_search.audio.windows import cut_windows
from pe_search.pe_audio.checkpoint import BUILTIN, find_checkpoint
from pe_search.pe_audio.embedder import Embedder
from pe_search.queries import Span, SpanRules
from pe_search.records import USUAL_HEARING
from pe_search.spans.locating import Locator, Question

pytestmark = pytest.mark.slow

SOUNDS = Path(__file__).parents[1] / "examples" / "sounds"
RATE_HZ = 48_000
# Name → FFmpeg's container and encoder, and the rate that the encoder takes.
FORMATS = {
    "a.m4a": ("ipod", "aac", RATE_HZ),
    "a.aac": ("adts", "aac", RATE_HZ),
    "alac.m4a": ("ipod", "alac", RATE_HZ),
    "a.wv": ("wv", "wavpack", RATE_HZ),
    "a.tta": ("tta", "tta", RATE_HZ),
    "a.ac3": ("ac3", "ac3", RATE_HZ),
    "a.eac3": ("eac3", "eac3", RATE_HZ),
    "a.mka": ("matroska", "flac", RATE_HZ),
    "a.webm": ("webm", "libopus", RATE_HZ),
    "a.mp4": ("mp4", "aac", RATE_HZ),
    "a.mov": ("mov", "pcm_s16le", RATE_HZ),
    "a.avi": ("avi", "libmp3lame", RATE_HZ),
    "a.ts": ("mpegts", "aac", RATE_HZ),
    "a.oga": ("oga", "flac", RATE_HZ),
    "a.mp2": ("mp2", "mp2", RATE_HZ),
    "a.flac": ("flac", "flac", RATE_HZ),
    "a.mp3": ("mp3", "libmp3lame", RATE_HZ),
    "no-xing.mp3": ("mp3", "libmp3lame", RATE_HZ),
    "a.opus": ("opus", "libopus", RATE_HZ),
    "a.caf": ("caf", "alac", RATE_HZ),
    "adpcm.wav": ("wav", "adpcm_ms", RATE_HZ),
    "a.wav": ("wav", "pcm_s24le", RATE_HZ),
    "a.aiff": ("aiff", "pcm_s16be", RATE_HZ),
    "a.w64": ("w64", "pcm_s16le", RATE_HZ),
    "a.au": ("au", "pcm_s16be", RATE_HZ),
    "a.flv": ("flv", "aac", 44_100),
}


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    yield Embedder(find_checkpoint(BUILTIN))


def sound(name: str) -> NDArray[np.float32]:
    with ClipReader(SOUNDS / name) as reader:
        return np.concatenate(list(reader.blocks()))


def encode(path: Path, samples: NDArray[np.float32], container: str, encoder: str, rate_hz: int) -> Path:
    """Write mono samples at 48 kHz by FFmpeg; a video gets no pictures, for nobody would look at them."""
    samples = samples if rate_hz == RATE_HZ else soxr.resample(samples, RATE_HZ, rate_hz)
    options = {"write_xing": "0"} if path.name.startswith("no-xing") else {}
    with av.open(str(path), "w", format=container, options=options) as file:
        stream = file.add_stream(encoder, rate=rate_hz, layout="mono")
        if encoder == "libmp3lame":
            stream.codec_context.qscale = True  # a variable bit rate
            stream.codec_context.global_quality = 4 * 118
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        frame_size = stream.codec_context.frame_size or 1_024
        resampler = av.AudioResampler(stream.codec_context.format.name, "mono", rate_hz, frame_size)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            for packet in stream.encode(part):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)
    return path


def locator(embedder: Embedder) -> Locator:
    return Locator(embedder, Question(["dog barking"], SpanRules(0.5, 0.0, 0.2, 0.8)), hearing=USUAL_HEARING)


@pytest.fixture(scope="module")
def original(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> tuple[NDArray[np.float32], float]:
    """A bark, and how probable it is where nothing has encoded it."""
    samples = sound("dog-barking.flac")
    path = tmp_path_factory.mktemp("bark") / "original.wav"
    soundfile.write(path, samples, RATE_HZ, "FLOAT")
    probable = probability(embedder, path, "dog barking")
    assert probable > 0.9
    return samples, probable


@pytest.fixture(scope="module")
def long_original(
    embedder: Embedder, tmp_path_factory: pytest.TempPathFactory
) -> tuple[NDArray[np.float32], tuple[Span, ...]]:
    """A recording with barks in it, and when they are heard where nothing has encoded it."""
    samples = sound("field-recording.flac")[: 45 * RATE_HZ]
    path = tmp_path_factory.mktemp("field") / "original.wav"
    soundfile.write(path, samples, RATE_HZ, "FLOAT")
    (trace,) = locator(embedder).in_clip(path)
    assert len(trace.spans) > 0
    return samples, trace.spans


def probability(embedder: Embedder, path: Path, text: str) -> float:
    """Of a text in the first window of a file."""
    with ClipReader(path, USUAL_HEARING) as reader:
        window = next(cut_windows(reader.blocks(), 10.0, 10.0, USUAL_HEARING))
    score = float(embedder.embed_windows([window.samples])[0] @ embedder.embed_texts([text])[0])
    return 1 / (1 + np.exp(-(score * embedder.logit_scale + embedder.logit_bias)))


@pytest.mark.parametrize("name", FORMATS)
def test_one_sound_in_every_format_is_as_probable_as_the_original(embedder, original, tmp_path, name):
    samples, probable = original
    coded = encode(tmp_path / name, samples, *FORMATS[name])
    assert probability(embedder, coded, "dog barking") == pytest.approx(probable, abs=0.05)


@pytest.mark.parametrize("name", ["a.mp3", "no-xing.mp3", "a.aac", "a.m4a", "a.opus"])
def test_spans_have_the_times_of_the_original(embedder, long_original, tmp_path, name):
    samples, spans = long_original
    (found,) = locator(embedder).in_clip(encode(tmp_path / name, samples, *FORMATS[name]))
    # Frames are 40 ms long: an edge lies within one of them, and a decoder's delay may move it into the next.
    assert [(span.start_s, span.end_s) for span in found.spans] == [
        (pytest.approx(span.start_s, abs=0.0401), pytest.approx(span.end_s, abs=0.0401)) for span in spans
    ]
