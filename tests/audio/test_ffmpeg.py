"""What only FFmpeg reads, encoded on the spot: all of it is read, at its own times, or what is missing is said."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from pe_search.audio.ffmpeg import FfmpegSource
from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError
from pe_search.records import PLAIN_HEARING, Hearing
from tests.audio.encoded import KINDS, Kind, by_libsndfile, compared, encode, remuxed, sweep
from tests.made_up import noise

SECONDS = 3.1
FRAME_S = 0.04
Samples = NDArray[np.float32]


@contextmanager
def nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """The libraries write to the descriptor, past Python."""
    capfd.readouterr()
    yield
    assert capfd.readouterr() == ("", "")


def read(path: Path, hearing: Hearing = PLAIN_HEARING) -> tuple[Samples, str | None]:
    """The audio, and what is missing of it."""
    with ClipReader(path, hearing) as reader:
        return np.concatenate(list(reader.blocks())), reader.missing()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def plainly_decoded(content: bytes, track: int = 0) -> Samples:
    """What FFmpeg makes of a file, with nothing around it: 48 kHz mono."""
    with av.open(io.BytesIO(content)) as container:
        frames = list(container.decode(audio=track))
    parts = []
    for frame in frames:
        values = frame.to_ndarray()
        if not frame.format.is_planar:
            values = values.reshape(-1, frame.layout.nb_channels).T
        if np.issubdtype(values.dtype, np.integer):
            values = values / 2.0 ** (8 * values.itemsize - 1)
        parts.append(values.mean(axis=0))
    return np.asarray(soxr.resample(np.concatenate(parts), frames[0].sample_rate, 48_000), np.float32)


def flac(samples: Samples) -> bytes:
    return encode(KINDS["FLAC"], samples)


def flac_frames(content: bytes) -> list[int]:
    """Where the frames of a FLAC begin, in bytes."""
    with av.open(io.BytesIO(content)) as container:
        return [packet.pos for packet in container.demux(audio=0) if packet.size]


# Every kind


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_read_whole_and_at_its_own_times(tmp_path, capfd, name):
    kind, meant = KINDS[name], sweep(SECONDS)
    content = encode(kind, meant)
    with nothing_on_stderr(capfd):
        heard, missing = read(write(tmp_path / "clip.odd", content))  # the content is what counts
    assert missing is None
    decoded = plainly_decoded(content)
    assert abs(len(heard) - len(decoded)) <= FRAME_S * 48_000
    delay_s, correlation = compared(heard, meant)
    assert delay_s == pytest.approx(kind.delay_s, abs=0.001)
    # FFmpeg's own encoder of WMA has half the delay of Microsoft's, which its decoder takes off.
    assert abs(delay_s) < FRAME_S or kind.container == "asf"
    assert correlation > (0.9999 if kind.is_lossless else 0.95)
    assert compared(heard, decoded)[1] > 0.9999
    if kind.is_lossless:
        assert len(heard) == len(meant)
        np.testing.assert_allclose(heard, meant, rtol=0, atol=2**-15)


@pytest.mark.parametrize("name", ["M4A", "FLAC in Matroska", "Opus", "WavPack", "MP3", "WMA", "MP4 with video"])
def test_stereo_becomes_the_mean(tmp_path, name):
    meant = sweep(SECONDS)
    heard, _ = read(write(tmp_path / "clip", encode(KINDS[name], np.stack([meant, 0.5 * meant], axis=1))))
    _, correlation = compared(heard, meant)
    assert correlation > 0.99
    assert np.std(heard) == pytest.approx(0.75 * np.std(meant), rel=0.05)


@pytest.mark.parametrize("name", ["MP4 with video", "MKV with video", "MOV with video", "MPEG-TS with video"])
def test_each_of_two_tracks(tmp_path, name):
    first, second = sweep(SECONDS), sweep(SECONDS, seed=3)
    path = write(tmp_path / "clip", encode(KINDS[name], first, second))
    for track, meant, other in ((1, first, second), (2, second, first)):
        heard, missing = read(path, Hearing(track=track))
        assert missing is None
        assert compared(heard, meant)[1] > 0.99
        assert compared(heard, other)[1] < 0.5
    with pytest.raises(AudioError, match=r"clip: has 2 audio tracks, so there is no track 3$"):
        read(path, Hearing(track=3))


@pytest.mark.parametrize("name", ["M4A", "MP4 with video", "FLAC", "MP3 in WAV"])
def test_a_second_track_where_there_is_one(tmp_path, name):
    path = write(tmp_path / "clip", encode(KINDS[name], sweep(1.0)))
    with pytest.raises(AudioError, match=r"clip: has one audio track, so there is no track 2$"):
        read(path, Hearing(track=2))


def test_a_second_track_of_what_libsndfile_reads(tmp_path):
    path = write(tmp_path / "clip.wav", by_libsndfile(sweep(1.0), "WAV", "PCM_16"))
    with pytest.raises(AudioError, match=r"clip\.wav: has one audio track, so there is no track 2$"):
        read(path, Hearing(track=2))


def test_vorbis_in_matroska(tmp_path):
    meant = sweep(SECONDS)
    content = remuxed(by_libsndfile(meant, "OGG", "VORBIS"), "matroska", has_video=True)
    heard, missing = read(write(tmp_path / "clip.mkv", content))
    delay_s, correlation = compared(heard, meant)
    assert abs(delay_s) < FRAME_S
    assert correlation > 0.95
    assert len(heard) == pytest.approx(len(meant), abs=FRAME_S * 48_000)
    assert missing is None


def test_expanded_time_of_what_ffmpeg_reads(tmp_path):
    path = write(tmp_path / "clip.flac", flac(sweep(1.0)))
    slow, _ = read(path, Hearing(speed=0.1))
    assert len(slow) == pytest.approx(480_000, abs=2)
    assert compared(soxr.resample(slow, 480_000, 48_000), sweep(1.0))[1] > 0.999


# Video and playlists


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.has_video])
def test_no_decoder_of_pictures_is_ever_opened(tmp_path, name):
    path = write(tmp_path / "clip", encode(KINDS[name], sweep(1.0)))
    with path.open("rb", buffering=0) as file:
        source = FfmpegSource(file, path, 1)
        try:
            list(source.blocks(48_000, "float32"))
            (video,) = source._container.streams.video
            assert not video.codec_context.is_open
            assert video.codec_context.pix_fmt is None
        finally:
            source.close()
    # FFmpeg decodes some pictures while it opens a file, and only thus knows how they are made up.
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_a_video_without_sound(tmp_path):
    content = encode(Kind(".mp4", "mp4", "aac", has_video=True), sweep(1.0))
    with av.open(io.BytesIO(content)) as source, av.open(str(tmp_path / "mute.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(AudioError, match=r"mute\.mp4: holds no audio track$"):
        read(tmp_path / "mute.mp4")


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
    "list.m3u": "#EXTM3U\n#EXTINF:9,sound\n{other}\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{other}'\n",
    "list.pls": "[playlist]\nFile1={other}\nNumberOfEntries=1\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="a" '
    'bandwidth="1"><BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "list.asx": '<asx version="3.0"><entry><ref href="{other}"/></entry></asx>',
    "list.rtsp": "rtsptext rtsp://127.0.0.1/x\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("extension", ["", ".mp3", ".mp4"])
def test_a_playlist_opens_no_other_file(tmp_path, capfd, name, extension):
    other = write(tmp_path / "other.ts", encode(KINDS["MPEG-TS with video"], sweep(1.0)))
    path = tmp_path / (name + extension)
    path.write_text(PLAYLISTS[name].format(other=other))
    with nothing_on_stderr(capfd), pytest.raises(AudioError, match=r"can't be read as audio: "):
        read(path)


@pytest.mark.parametrize("codec", ["png", "mjpeg", "bmp", "gif", "tiff"])
def test_a_picture_is_no_audio(tmp_path, capfd, codec):
    file = io.BytesIO()
    container_name = "gif" if codec == "gif" else "image2pipe"
    with av.open(file, "w", format=container_name) as container:
        stream = container.add_stream(codec, rate=1)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = {"mjpeg": "yuvj420p", "bmp": "bgr24", "gif": "rgb8"}.get(codec, "rgb24")
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    with nothing_on_stderr(capfd), pytest.raises(AudioError, match=r"can't be read as audio: Format not recognised$"):
        read(write(tmp_path / "picture.mp3", file.getvalue()))


def test_an_mp4_that_points_at_another_file_does_not_open_it(tmp_path):
    content = encode(KINDS["MOV with video"], sweep(1.0))
    at = content.rindex(b"url \0\0\0\1")  # "the data is in this file"
    pointing = content[: at + 4] + bytes(4) + content[at + 8 :]
    secret = write(tmp_path / "secret.mov", content)
    before = secret.stat().st_atime_ns
    heard, _ = read(write(tmp_path / "clip.mov", pointing))
    assert secret.stat().st_atime_ns == before
    assert len(heard) == 48_000


# Kinds that are read only in part by others, byte by byte


@pytest.mark.parametrize("name", ["MP3", "MP3 without Xing", "AAC", "AC-3", "MP2"])
def test_joined_files_are_read_to_the_end_of_the_last(tmp_path, name):
    parts = [sweep(SECONDS), sweep(2.0, seed=2), sweep(1.5, seed=5)]
    contents = [encode(KINDS[name], part) for part in parts]
    heard, missing = read(write(tmp_path / "joined", b"".join(contents)))
    assert missing is None
    lengths = [len(plainly_decoded(content)) for content in contents]
    assert abs(len(heard) - sum(lengths)) <= 3 * FRAME_S * 48_000
    for part, at in zip(parts, np.cumsum([0, *lengths[:-1]]), strict=True):
        delay_s, correlation = compared(heard[at : at + len(part)], part)
        assert correlation > 0.9
        # Each joint adds what the decoder makes of the padding of two encoders.
        assert abs(delay_s) < len(parts) * FRAME_S


@pytest.mark.parametrize(("name", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_chained_ogg_is_read_to_the_end_of_the_last(tmp_path, name, subtype):
    first, second = sweep(SECONDS), sweep(2.0, seed=4)
    content = by_libsndfile(first, name, subtype) + by_libsndfile(second, name, subtype)
    heard, missing = read(write(tmp_path / "chained.ogg", content))
    assert missing is None
    assert len(heard) == pytest.approx(len(first) + len(second), abs=FRAME_S * 48_000)
    assert compared(heard[: len(first)], first)[1] > 0.95
    delay_s, correlation = compared(heard[len(first) :], second)
    assert abs(delay_s) < FRAME_S
    assert correlation > 0.95


@pytest.mark.parametrize("name", ["MP3", "AAC"])
@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_a_change_of_channels_and_of_rate_on_the_way(tmp_path, name, rate_hz):
    first, second = sweep(2.0), sweep(2.0, seed=3)
    other = replace(KINDS[name], rate_hz=rate_hz)
    content = encode(KINDS[name], first) + encode(other, np.stack([second, second], axis=1))
    heard, missing = read(write(tmp_path / "clip", content))
    assert missing is None
    assert len(heard) == pytest.approx(4 * 48_000, abs=4 * FRAME_S * 48_000)
    assert compared(heard[:96_000], first)[1] > 0.95
    assert compared(heard[96_000:], second)[1] > 0.9


def test_adts_under_the_name_of_mp3(tmp_path):
    meant = sweep(SECONDS)
    heard, missing = read(write(tmp_path / "clip.mp3", encode(KINDS["AAC"], meant)))
    assert missing is None
    assert compared(heard, meant)[1] > 0.95


@pytest.mark.parametrize("junk_bytes", [1_500, 3_000, 20_000])
def test_junk_in_an_mp3_is_passed_over_and_told(tmp_path, junk_bytes):
    content = encode(KINDS["MP3 without Xing"], sweep(SECONDS))
    half = len(content) // 2
    junk = np.random.default_rng(0).integers(0, 128, junk_bytes, np.uint8).tobytes()
    heard, missing = read(write(tmp_path / "clip.mp3", content[:half] + junk + content[half:]))
    assert len(heard) > (SECONDS - 0.1) * 48_000
    assert missing is not None
    assert missing.startswith("is damaged ")
    assert missing.endswith(" can't be decoded")


def test_a_long_tag_at_the_end_of_an_mp3_is_not_missed(tmp_path):
    content = encode(KINDS["MP3"], sweep(1.0))
    for tag in (b"TAG" + b"title".ljust(125, b"\0"), b"APETAGEX" + b"\0\0\0x" * 200):
        heard, missing = read(write(tmp_path / "clip.mp3", content + tag))
        assert missing is None, tag[:8]
        assert len(heard) == pytest.approx(48_000, abs=FRAME_S * 48_000)


# Cut short and damaged


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_flac_cut_short_is_read_as_far_as_it_goes(tmp_path, share):
    meant = noise(4.0)
    content = flac(meant)
    kept = content[: round(share * len(content))]
    heard, missing = read(write(tmp_path / "clip.flac", kept))
    whole_frames = sum(at <= len(kept) for at in flac_frames(content)) - 1
    assert len(heard) >= whole_frames * 4_608 - 4_608
    np.testing.assert_allclose(heard, meant[: len(heard)], rtol=0, atol=2**-15)
    assert missing is not None
    assert missing.startswith("breaks off after 0:0")
    assert missing.endswith(" of 0:04")


def test_a_flac_with_one_bad_byte_keeps_its_times(tmp_path):
    meant = noise(4.0)
    content = bytearray(flac(meant))
    frames = flac_frames(content)
    bad = len(frames) // 2
    content[(frames[bad] + frames[bad + 1]) // 2] ^= 0x40
    heard, missing = read(write(tmp_path / "clip.flac", bytes(content)))
    assert len(heard) == len(meant)
    wrong = np.flatnonzero(np.abs(heard - meant) > 2**-14)
    assert len(wrong)
    assert wrong[-1] - wrong[0] < 3 * 4_608
    assert missing is not None
    assert missing.startswith("is damaged at 0:0")


@pytest.mark.parametrize("samples", [0, 1, 100_000])
def test_a_flac_whose_header_tells_of_too_few_samples(tmp_path, samples):
    meant = noise(4.0)
    content = bytearray(flac(meant))
    content[18:26] = (int.from_bytes(content[18:26], "big") >> 36 << 36 | samples).to_bytes(8, "big")
    heard, missing = read(write(tmp_path / "clip.flac", bytes(content)))
    np.testing.assert_allclose(heard, meant, rtol=0, atol=2**-15)
    assert missing is None


@pytest.mark.parametrize(
    "name", ["M4A", "ALAC", "MP3", "WavPack", "TTA", "MP4 with video", "MKV with video", "FLAC in Matroska", "WebM"]
)
def test_what_tells_its_length_and_is_cut_short_is_told(tmp_path, name):
    content = encode(KINDS[name], noise(4.0))
    if KINDS[name].container in ("ipod", "mp4"):
        # With the table of contents in front.
        with av.open(io.BytesIO(content)) as source:
            options = {"movflags": "faststart"}
            with av.open(str(tmp_path / "fast"), "w", format="mp4", options=options) as target:
                track = source.streams.audio[0]
                stream = target.add_stream_from_template(track)
                for packet in source.demux(track):
                    if packet.dts is not None:
                        packet.stream = stream
                        target.mux(packet)
        content = (tmp_path / "fast").read_bytes()
    whole, _ = read(write(tmp_path / "clip", content))
    heard, missing = read(write(tmp_path / "clip", content[: round(0.6 * len(content))]))
    assert 0.3 * len(whole) < len(heard) < 0.9 * len(whole)
    assert missing is not None
    assert missing.startswith("breaks off after 0:0")
    assert missing.endswith(" of 0:04") or missing.endswith(" of 0:04.1")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_cut_within_a_page_is_told(tmp_path, subtype):
    content = by_libsndfile(noise(20.0), "OGG", subtype)
    last_page = content.rindex(b"OggS")
    heard, missing = read(write(tmp_path / "clip.ogg", content[: last_page + 40]))
    assert len(heard) > 15 * 48_000
    assert missing is not None
    assert missing.startswith("breaks off after 0:1")


def test_an_mp4_without_its_table_of_contents(tmp_path, capfd):
    content = encode(KINDS["M4A"], sweep(1.0))
    path = write(tmp_path / "clip.m4a", content[: content.index(b"moov") - 4])
    with nothing_on_stderr(capfd), pytest.raises(AudioError) as caught:
        read(path)
    assert caught.value.reason == (
        "can't be read as audio: it has no table of contents (moov), so its recording or copying was not finished"
    )


# Names and open files


def test_a_path_of_more_than_1023_bytes(tmp_path):
    folder = tmp_path
    while len(os.fsencode(folder)) < 1_200:
        folder /= "x" * 200
    folder.mkdir(parents=True)
    for name, content in (
        ("clip.wav", by_libsndfile(sweep(1.0), "WAV", "PCM_16")),
        ("clip.m4a", encode(KINDS["M4A"], sweep(1.0))),
        ("clip.xi", by_libsndfile(soxr.resample(sweep(1.0), 48_000, 44_100), "XI", "DPCM_16", 44_100)),
    ):
        heard, missing = read(write(folder / name, content))
        assert missing is None
        assert compared(heard, sweep(1.0))[1] > 0.95


@pytest.mark.parametrize("name", [b"\xff\xfe.m4a", b"a.\xff", b"new\nline.mp3", b"-r.m4a", b"file:x.m4a", b"http:"])
def test_any_name_that_a_file_can_have(tmp_path, name):
    heard, missing = read(write(tmp_path / os.fsdecode(name), encode(KINDS["M4A"], sweep(1.0))))
    assert missing is None
    assert compared(heard, sweep(1.0))[1] > 0.95


def open_files() -> list[str]:
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_no_file_stays_open(tmp_path):
    good = write(tmp_path / "good.m4a", encode(KINDS["M4A"], sweep(0.5)))
    cut = write(tmp_path / "cut.flac", flac(noise(2.0))[:20_000])
    words = write(tmp_path / "words.m4a", b"no audio, only words\n" * 100)
    read(good)  # which opens what is opened once
    before = open_files()
    read(good)
    read(cut)
    with pytest.raises(AudioError):
        read(words)
    with pytest.raises(AudioError):
        read(good, Hearing(track=2))
    with ClipReader(good) as reader:
        next(reader.blocks())
    assert open_files() == before
