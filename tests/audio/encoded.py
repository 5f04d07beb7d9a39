"""Files of the kinds that only FFmpeg reads, encoded on the spot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

PICTURES_HZ = 25


@dataclass(frozen=True)
class Kind:
    """A container and what is in it, in FFmpeg's words.

    Attributes:
        is_lossless: Whether the samples come out as they went in.
        has_video: Whether there is a video track as well.
        is_mono: Whether it has room for no more than one channel.
        delay_s: How much later than in the original a sound comes: the file doesn't tell of its encoder's delay.
    """

    extension: str
    container: str
    codec: str
    rate_hz: int = 48_000
    is_lossless: bool = False
    has_video: bool = False
    is_mono: bool = False
    delay_s: float = 0.0
    sample_format: str | None = None
    container_options: dict[str, str] = field(default_factory=dict)
    codec_options: dict[str, str] = field(default_factory=dict)
    bits_per_s: int | None = None
    tags: dict[str, str] = field(default_factory=dict)


KINDS = {
    "AAC": Kind(".aac", "adts", "aac", delay_s=0.0213),
    "M4A": Kind(".m4a", "ipod", "aac"),
    "ALAC": Kind(".m4a", "ipod", "alac", is_lossless=True, sample_format="s16p"),
    "ALAC in CAF": Kind(".caf", "caf", "alac", is_lossless=True, sample_format="s16p"),
    "WMA 1": Kind(".wma", "asf", "wmav1", rate_hz=44_100, bits_per_s=128_000, delay_s=-0.0464),
    "WMA": Kind(".wma", "asf", "wmav2", rate_hz=44_100, bits_per_s=128_000, delay_s=-0.0464),
    "WavPack": Kind(".wv", "wv", "wavpack", is_lossless=True, sample_format="s16p"),
    "TTA": Kind(".tta", "tta", "tta", is_lossless=True, sample_format="s16"),
    "AC-3": Kind(".ac3", "ac3", "ac3", delay_s=0.0053),
    "E-AC-3": Kind(".eac3", "eac3", "eac3", delay_s=0.0053),
    "MP2": Kind(".mp2", "mp2", "mp2", delay_s=0.01),
    "MP3": Kind(".mp3", "mp3", "libmp3lame"),
    "MP3 without Xing": Kind(
        ".mp3", "mp3", "libmp3lame", container_options={"write_xing": "0", "id3v2_version": "0"}, delay_s=0.023
    ),
    "VBR MP3 without Xing": Kind(
        *(".mp3", "mp3", "libmp3lame"),
        container_options={"write_xing": "0", "id3v2_version": "0"},
        codec_options={"flags": "+qscale", "global_quality": "472"},
        delay_s=0.023,
    ),
    "Opus": Kind(".opus", "opus", "libopus"),
    "FLAC": Kind(".flac", "flac", "flac", is_lossless=True, sample_format="s16"),
    "FLAC of 24 bits": Kind(".flac", "flac", "flac", is_lossless=True, sample_format="s32"),
    "FLAC in Ogg": Kind(".oga", "oga", "flac", is_lossless=True, sample_format="s16"),
    "AMR": Kind(".amr", "amr", "libopencore_amrnb", rate_hz=8_000, delay_s=0.005, is_mono=True),
    "FLAC in Matroska": Kind(".mka", "matroska", "flac", is_lossless=True, sample_format="s16"),
    "WebM": Kind(".webm", "webm", "libopus"),
    "FLV": Kind(".flv", "flv", "aac", rate_hz=44_100, delay_s=0.0232),
    "fragmented MP4": Kind(
        ".mp4", "mp4", "aac", container_options={"movflags": "frag_keyframe+empty_moov"}, delay_s=0.0213
    ),
    "MP4 with video": Kind(".mp4", "mp4", "aac", has_video=True),
    "MOV with video": Kind(".mov", "mov", "pcm_s16le", is_lossless=True, has_video=True),
    "MKV with video": Kind(".mkv", "matroska", "aac", has_video=True),
    "AVI with video": Kind(".avi", "avi", "libmp3lame", has_video=True, delay_s=0.023),
    "MPEG with video": Kind(".mpg", "mpeg", "mp2", has_video=True, delay_s=0.01),
    "MPEG-TS with video": Kind(".ts", "mpegts", "aac", has_video=True, delay_s=0.0213),
    "MP3 in WAV": Kind(".wav", "wav", "libmp3lame", delay_s=0.023),
    "ADPCM in WAV": Kind(".wav", "wav", "adpcm_ms", sample_format="s16"),
}


def encode(kind: Kind, *tracks: NDArray[np.float32]) -> bytes:
    """A whole file.

    Args:
        kind: What to make.
        tracks: The audio of each track, float32 of shape (samples,) or (samples, 1 or 2), at 48 kHz.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=kind.container, options=kind.container_options) as container:
        container.metadata.update(kind.tags)
        pictures = container.add_stream("mpeg4", rate=PICTURES_HZ) if kind.has_video else None
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        streams = []
        for track in tracks:
            channels = 1 if track.ndim == 1 else track.shape[1]
            stream = container.add_stream(
                kind.codec, rate=kind.rate_hz, layout=("mono", "stereo")[channels - 1], options=kind.codec_options
            )
            if kind.sample_format is not None:
                stream.codec_context.format = kind.sample_format
            if kind.bits_per_s is not None:
                stream.bit_rate = kind.bits_per_s
            stream.codec_context.open()
            streams.append(stream)
        if pictures is not None:
            for number in range(round(len(tracks[0]) / 48_000 * PICTURES_HZ)):
                picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number % 255, np.uint8), format="rgb24")
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode(None))
        for stream, track in zip(streams, tracks, strict=True):
            for frame in _frames(stream, track, kind):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return file.getvalue()


def _frames(stream: av.AudioStream, track: NDArray[np.float32], kind: Kind) -> Sequence[av.AudioFrame]:
    samples = track if kind.rate_hz == 48_000 else soxr.resample(track, 48_000, kind.rate_hz)
    planes = np.ascontiguousarray(samples.reshape(len(samples), -1).T, np.float32)
    whole = av.AudioFrame.from_ndarray(planes, format="fltp", layout=("mono", "stereo")[len(planes) - 1])
    whole.sample_rate, whole.pts, whole.time_base = kind.rate_hz, 0, Fraction(1, kind.rate_hz)
    resampler = av.AudioResampler(
        stream.codec_context.format.name,
        whole.layout.name,
        kind.rate_hz,
        frame_size=stream.codec_context.frame_size or 1_024,
    )
    return [*resampler.resample(whole), *resampler.resample(None)]


def remuxed(content: bytes, container: str, has_video: bool = False) -> bytes:
    """The packets of a file in another container."""
    file = io.BytesIO()
    with av.open(io.BytesIO(content)) as source, av.open(file, "w", format=container) as target:
        pictures = target.add_stream("mpeg4", rate=PICTURES_HZ) if has_video else None
        track = source.streams.audio[0]
        stream = target.add_stream_from_template(track)
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            target.mux(pictures.encode(picture) + pictures.encode(None))
        for packet in source.demux(track):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return file.getvalue()


def by_libsndfile(samples: NDArray[np.float32], name: str, subtype: str, rate_hz: int = 48_000) -> bytes:
    """A whole file of one of libsndfile's formats."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=name, subtype=subtype)
    return file.getvalue()


def sweep(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """A tone that rises and trembles, so that it is like itself at no other time; 48 kHz."""
    time_s = np.arange(round(seconds * 48_000)) / 48_000
    rise_hz = 150 + 20 * seed
    tone = np.sin(2 * np.pi * (300 + rise_hz * time_s) * time_s) * (1 + 0.5 * np.sin(2 * np.pi * 3 * time_s))
    return (0.25 * tone).astype(np.float32)


def compared(heard: NDArray[np.float32], meant: NDArray[np.float32]) -> tuple[float, float]:
    """How much later than it should a sound is heard, in seconds, and how it correlates when it is moved back."""
    length = 1 << (len(heard) + len(meant)).bit_length()
    products = np.fft.irfft(np.fft.rfft(heard, length) * np.conj(np.fft.rfft(meant, length)))
    lag = int(products.argmax())
    lag -= length if lag > length // 2 else 0
    a, b = heard[max(0, lag) :], meant[max(0, -lag) :]
    common = min(len(a), len(b))
    return lag / 48_000, float(np.corrcoef(a[:common], b[:common])[0, 1])
