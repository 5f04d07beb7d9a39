"""Read everything that is compressed, and the sound of videos, by FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext
from av.packet import Packet
from av.stream import Discard
from numpy.typing import NDArray

from pe_search.audio.damage import Damage
from pe_search.audio.files import unreadable
from pe_search.audio.seeking import seek
from pe_search.clock import clock
from pe_search.errors import AudioError, first_line

# Some of FFmpeg's formats open other files and addresses (playlists, DASH, SDP), are pictures, or take anything at all
# for samples; a file may be of any of those that are left. Names as FFmpeg has them.
_FORMATS = (
    "aac,ac3,ac4,adx,aea,aiff,amr,amrnb,amrwb,apac,ape,apm,asf,ast,au,avi,avr,bonk,brstm,caf,dfpwm,dsf,dss,"
    "dts,dtshd,dv,eac3,ea,f4v,film_cpk,flac,flic,flv,gsm,gxf,hca,iamf,iff,ircam,ivf,kvag,laf,latm,loas,lc3,"
    "matroska,mca,mlp,mmf,mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nsv,nut,nuv,ogg,oma,osq,paf,pva,pvf,qcp,"
    "qoa,rka,rm,rso,sbc,sds,shn,siff,smjpeg,sol,sox,svag,swf,tak,thp,truehd,tta,txd,vag,voc,vqf,w64,wav,"
    "wavarc,wc3movie,webm,wsaud,wsd,wtv,wv,wve,xa,xmv,xwma"
)
_BUFFER_BYTES = 1 << 18
# Formats whose header, or whose table of contents, says how long the audio is; of others FFmpeg makes a guess.
_TELL_LENGTH = {
    *("ape", "asf", "avi", "caf", "dsf", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "mpc", "mpc8", "oma", "shn", "tak"),
    *("tta", "w64", "wav", "wv", "xwma"),
}
# A decoder's delay and a filled last frame make a clip a little longer or shorter than its header says.
_TOLERANCE_S = 0.1
# Frames of these are numbered, so that what is missing between two of them can be left silent, and times stay right.
_NUMBERED = {"flac", "tta", "wv"}
# Decoders that only look at the checksums of frames if they are asked to.
_CHECKED = {"flac", "tta", "wavpack"}
_LONGEST_GAP_S = 3_600.0
# A writer that doesn't know how much is to come writes zero, or all ones.
_LONGEST_KNOWN_S = 1e7
_OPEN_FLAC_SAMPLES = (1 << 36) - 1
# What stands at the end of a file, is no audio, and isn't missed.
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN", b"3DI")
_LONGEST_PAGE_BYTES = 27 + 255 + 255 * 255
# The first frame of an MP3 may tell how many follow: a frame's header, and behind its side information one of these.
_XING = re.compile(
    rb"\xff[\xe2-\xff]..(?:.{5,40}?(?:Xing|Info)...[\1\3\5\7\x09\x0b\x0d\x0f]|.{32}VBRI.{10})(.{4})", re.DOTALL
)
_XING_WITHIN_BYTES = 1 << 16
_MPEG_1_FROM_HZ = 32_000


class FfmpegSource:
    """An open file that FFmpeg decodes. Of a video, only the audio is.

    Args:
        file: At any position; it stays open.
        path: Its name, for messages.
        track: Which of its audio tracks; 1 for the first.

    Attributes:
        sample_rate_hz: Of the first frame; later ones are brought to it.
        channels: Of the first frame; later ones are brought to as many.
        subtype: How finely its samples are resolved, in libsndfile's words: `PCM_16`, `PCM_24` or `FLOAT`.
        duration_s: What the file says, or what FFmpeg takes it for; the samples may be fewer or more.
        notes: Empty; there is as yet nothing odd that it would tell.
        codec: Of its samples, as FFmpeg names it.
        bits: Bits of a sample; None where samples are compressed with loss.
        tags: Of the file and of the track, by FFmpeg's names.

    Raises:
        AudioError: If FFmpeg can't open it, or it has no such track.
    """

    def __init__(self, file: BinaryIO, path: Path, track: int) -> None:
        self._path = path
        self._bytes = _Bytes(file)
        try:
            self._container = av.open(
                self._bytes,
                "r",
                metadata_errors="replace",
                buffer_size=_BUFFER_BYTES,
                container_options={"format_whitelist": _FORMATS, "codec_whitelist": _audio_decoders()},
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._unreadable(self._bytes.why_not_recognised()) from error
        try:
            if self._bytes.failure is not None:
                raise unreadable(path, self._bytes.failure)
            streams = self._container.streams.audio
            if not streams:
                raise AudioError(path, "holds no audio track")
            if track > len(streams):
                tracks = f"{len(streams)} audio tracks" if len(streams) > 1 else "one audio track"
                raise AudioError(path, f"has {tracks}, so there is no track {track}")
            self._stream = stream = streams[track - 1]
            if stream.codec_context is None:
                raise AudioError(path, "can't be read as audio: FFmpeg has no decoder for its audio track")
            for other in self._container.streams:
                if other is not stream:
                    other.discard = Discard.all
            stream.codec_context.thread_count = 1
            if stream.codec_context.name in _CHECKED:
                stream.codec_context.options = {"err_detect": "crccheck+explode"}
            self.sample_rate_hz: int = stream.codec_context.sample_rate or 0
            self.channels: int = stream.codec_context.layout.nb_channels
            self.subtype = _subtype(stream.codec_context.format.name if stream.codec_context.format else "flt")
            self.codec: str = stream.codec_context.codec.canonical_name
            self.bits: int | None = None
            if stream.codec_context.codec.lossless:
                self.bits = int(self.subtype.removeprefix("PCM_").replace("FLOAT", "32"))
            self.tags: dict[str, str] = {**self._container.metadata, **stream.metadata}
            declared_s = self._stated_s()
        except BaseException:
            self._container.close()
            raise
        self.duration_s = declared_s if declared_s is not None else (self._container.duration or 0) / av.time_base
        self._declared_s = self._told_s(declared_s)
        self.notes: list[str] = []
        self._decoded_s = 0.0
        self._damage = Damage()
        self._is_doubtful = False

    def close(self) -> None:
        """Let go of the file, which stays open."""
        self._container.close()

    def seek_time(self, time_s: float, length_s: float | None) -> float | None:
        """As `seeking.seek`; `blocks` then begins there."""
        return seek(self._container, self._stream, time_s, length_s)

    def blocks(self, frames: int, dtype: Literal["float32", "int32"]) -> Iterator[NDArray[Any]]:
        """Yield the samples from the start, in blocks of shape (at most `frames`, channels).

        Raises:
            AudioError: If nothing at all can be decoded. What can't after that is told by `missing`.
        """
        waiting: list[NDArray[Any]] = []
        count = 0
        for part in self._parts(np.dtype(dtype)):
            waiting.append(part)
            count += len(part)
            if count >= frames:
                joined = np.concatenate(waiting)
                whole = count // frames * frames
                for first in range(0, whole, frames):
                    yield joined[first : first + frames]
                waiting, count = [joined[whole:]], count - whole
        if count:
            yield np.concatenate(waiting)

    def missing(self) -> str | None:
        """What the file should hold, but couldn't be read; to be asked after the last block."""
        declared_s = self._declared_s
        if declared_s is not None and declared_s - self._decoded_s > _TOLERANCE_S:
            return f"breaks off after {clock(self._decoded_s)} of {clock(declared_s)}"
        if self._container.format.name == "ogg" and self._bytes.breaks_off_in_page():
            return f"breaks off after {clock(self._decoded_s)}"
        return self._damage.told()

    def _parts(self, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """The decoded frames, each of shape (samples, channels), at the rate and with the channels of the first."""
        rate_hz = self.sample_rate_hz
        resampler: soxr.ResampleStream | None = None
        for frame in self._frames():
            part = _samples(frame, dtype)
            if part.shape[1] != self.channels:
                part = np.repeat(part.mean(axis=1, keepdims=True).astype(dtype), self.channels, axis=1)
            if frame.sample_rate != rate_hz:
                if resampler is not None:
                    yield resampler.resample_chunk(np.empty((0, self.channels), dtype), last=True)
                rate_hz = frame.sample_rate
                resampler = None
                if rate_hz != self.sample_rate_hz:
                    resampler = soxr.ResampleStream(rate_hz, self.sample_rate_hz, self.channels, dtype=dtype.name)
            yield part if resampler is None else resampler.resample_chunk(part)
        if resampler is not None:
            yield resampler.resample_chunk(np.empty((0, self.channels), dtype), last=True)

    def _frames(self) -> Iterator[AudioFrame]:
        is_numbered = self._container.format.name in _NUMBERED
        packets = self._container.demux(self._stream)
        last_error: Exception | None = None
        while True:
            try:
                packet = next(packets, None)
            except IndexError:
                # PyAV has no place for tracks that begin in the middle of a file, and says so behind its end.
                break
            except (av.error.FFmpegError, OSError, ValueError) as error:
                if not self._decoded_s:
                    raise self._unreadable(error) from error
                self._damage.add(self._decoded_s, 0)
                break
            if self._bytes.failure is not None:
                raise unreadable(self._path, self._bytes.failure)
            if packet is None:
                break
            try:
                frames = self._several_frames(packet) if is_numbered and packet.pts is None else packet.decode()
            except (av.error.FFmpegError, ValueError) as error:
                last_error = error
                if not bytes(packet)[:16].startswith(_TAGS):
                    self._damage.add(self._decoded_s, packet.size)
                continue
            for frame in frames:
                if not (isinstance(frame, AudioFrame) and frame.samples and frame.sample_rate):
                    continue
                if is_numbered and frame.time is not None:
                    gap_s = frame.time - self._decoded_s
                    if frame.samples / 2 / frame.sample_rate < gap_s < _LONGEST_GAP_S and self._decoded_s:
                        self._damage.add_gap(self._decoded_s, gap_s)
                        yield from self._silence(frame, round(gap_s * frame.sample_rate))
                    elif self._is_doubtful:
                        self._damage.add(self._decoded_s, packet.size)
                    self._is_doubtful = False
                if frame.is_corrupt:
                    self._damage.add(self._decoded_s, packet.size)
                self._decoded_s += frame.samples / frame.sample_rate
                yield frame
        if not self._decoded_s and last_error is not None:
            raise self._unreadable(last_error) from last_error

    def _several_frames(self, packet: Packet[Any]) -> list[Any]:
        """What a packet holds whose frames FFmpeg couldn't tell apart, because one of them is damaged.

        The decoder that checks would stop at the damaged one; this one makes what it can of it, and then stops.
        """
        checking = self._stream.codec_context
        if not packet.size or checking.name != "flac":
            return list(packet.decode())
        lenient = CodecContext.create("flac", "r")
        lenient.extradata = checking.extradata
        self._is_doubtful = True
        return list(lenient.decode(packet))

    def _silence(self, like: AudioFrame, samples: int) -> Iterator[AudioFrame]:
        """Frames of silence, as many samples as are missing before one."""
        dtype = like.to_ndarray().dtype
        while samples > 0:
            some = min(samples, like.samples)
            shape = (like.layout.nb_channels, some) if like.format.is_planar else (1, like.layout.nb_channels * some)
            silent = AudioFrame.from_ndarray(np.zeros(shape, dtype), like.format.name, like.layout.name)
            silent.sample_rate = like.sample_rate
            self._decoded_s += some / like.sample_rate
            samples -= some
            yield silent

    def _stated_s(self) -> float | None:
        """How long the audio track is, as the file says, or FFmpeg takes it from the size of the file."""
        stream = self._stream
        if stream.duration and stream.time_base and stream.duration != _OPEN_FLAC_SAMPLES:
            stated_s = float(stream.duration * stream.time_base)
            return stated_s if 0 < stated_s < _LONGEST_KNOWN_S else None
        return _seconds_of_tag(stream.metadata.get("DURATION", ""))

    def _told_s(self, stated_s: float | None) -> float | None:
        """How long the audio track is if the file says so, so that it breaks off if there is less; else None."""
        name = self._container.format.name
        if name == "mp3":
            # Where the file is much longer than its first frame says, FFmpeg makes a guess by the bit rate.
            frames = self._bytes.frames_of_mp3()
            samples = frames * (1_152 if self.sample_rate_hz >= _MPEG_1_FROM_HZ else 576)
            return min(stated_s, samples / self.sample_rate_hz) if stated_s and samples else None
        tells = name in _TELL_LENGTH or (name == "matroska,webm" and "DURATION" in self._stream.metadata)
        return stated_s if tells else None

    def _unreadable(self, reason: str | Exception) -> AudioError:
        if self._bytes.failure is not None:
            return unreadable(self._path, self._bytes.failure)
        if isinstance(reason, Exception):
            reason = getattr(reason, "strerror", None) or first_line(reason)
        return AudioError(self._path, f"can't be read as audio: {reason}")


class _Bytes:
    """What FFmpeg sees of a file: its bytes, and no name to go by.

    Attributes:
        failure: What the system said when it couldn't be read any further.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.failure: OSError | None = None
        self._file = file
        self._file.seek(0)

    def read(self, size: int) -> bytes:
        # PyAV writes a second exception to stderr before the first has come out, so none is raised.
        try:
            return self._file.read(size)
        except OSError as error:
            self.failure = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError:  # the file sends FFmpeg to a place before its start
            return -1

    def tell(self) -> int:
        return self._file.tell()

    def why_not_recognised(self) -> str:
        self._file.seek(4)
        # MP4 and MOV have their table of contents at the end, and a recorder that crashed has not written it.
        if self._file.read(4) in (b"ftyp", b"mdat", b"wide"):
            return "it has no table of contents (moov), so its recording or copying was not finished"
        return "Format not recognised"

    def breaks_off_in_page(self) -> bool:
        """Whether an Ogg file ends within a page."""
        size = self._file.seek(0, os.SEEK_END)
        start = max(0, size - _LONGEST_PAGE_BYTES)
        self._file.seek(start)
        tail = self._file.read(size - start)
        page = tail[tail.rfind(b"OggS") :] if b"OggS" in tail else b""
        segments = page[27 : 27 + page[26]] if len(page) > 27 else b""
        return bool(page) and (len(page) < 27 or len(page) < 27 + page[26] + sum(segments))

    def frames_of_mp3(self) -> int:
        """How many frames an MP3 has by its first one, behind an ID3 tag if there is one; 0 if that doesn't say."""
        before = self._file.tell()
        self._file.seek(0)
        head = self._file.read(10)
        start = 0
        if head[:3] == b"ID3" and len(head) == 10:
            start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        self._file.seek(start)
        found = _XING.search(self._file.read(_XING_WITHIN_BYTES))
        self._file.seek(before)
        return int.from_bytes(found[1], "big") if found else 0


@cache
def _audio_decoders() -> str:
    """The names of FFmpeg's audio decoders; no other is ever opened, so that no picture is decoded."""
    names = []
    for name in av.codecs_available:
        try:
            codec = av.Codec(name, "r")
        except ValueError:  # it only encodes
            continue
        if codec.type == "audio":
            names.append(codec.name)
    return ",".join(sorted(set(names)))


def _samples(frame: AudioFrame, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A frame as (samples, channels), full scale at one, or for int32 at 2³¹."""
    values: NDArray[Any] = frame.to_ndarray()
    channels = frame.layout.nb_channels
    values = values.T if frame.format.is_planar else values.reshape(-1, channels)
    if values.dtype == np.uint8:
        values = (values.astype(np.int16) - 128) << 8
    if np.issubdtype(values.dtype, np.integer):
        bits = 8 * values.dtype.itemsize
        if dtype == np.int32:
            values = values.astype(np.int32) << (32 - bits) if bits < 32 else values >> (bits - 32)
        else:
            values = np.divide(values, float(1 << (bits - 1)), dtype=np.float32 if bits <= 16 else np.float64)
    return np.asarray(values, dtype)


def _subtype(sample_format: str) -> str:
    return {"u8": "PCM_16", "s16": "PCM_16", "s32": "PCM_24"}.get(sample_format.removesuffix("p"), "FLOAT")


def _seconds_of_tag(duration: str) -> float | None:
    """The seconds of Matroska's own tag, as in `00:01:02.500000000`."""
    try:
        hours, minutes, seconds = duration.strip("\0 ").split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return None
