"""Recordings of many hours: reading them takes no more memory than reading short ones, or little more."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tests.audio.encoded import KINDS, by_libsndfile, encode, sweep
from tests.made_up import noise

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is measured by /proc"),
]

HOURS = 3.0
SHORT_HOURS = 0.25
DAY_HOURS = 24.0
# What a day may take over a quarter of an hour. FFmpeg keeps the places of all frames of an MP4, as its table of
# contents has them, and of those of some others that it has passed.
MOST_MB = {"WAV": 16, "FLAC": 64, "MP3": 64, "Opus": 64, "M4A": 400, "FLAC in Matroska": 64}
READ = """
import sys
from pathlib import Path
from pe_search.audio.read import ClipReader
with ClipReader(Path(sys.argv[1])) as reader:
    samples = sum(len(block) for block in reader.whole_blocks("float32"))
    assert reader.missing() is None, reader.missing()
# What `getrusage` says begins with the memory of the process that started this one.
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
print(samples / reader.sample_rate_hz, int(peak.split()[1]) / 2**10)
"""


def make_long(path: Path, name: str, hours: float) -> None:
    """The packets of a few seconds over and over."""
    if name == "WAV":  # zeros that take no room on the disk
        size = round(hours * 3_600 * 8_000) * 2
        header = bytearray(by_libsndfile(np.zeros(0, np.float32), "WAV", "PCM_16", 8_000)[:44])
        struct.pack_into("<I", header, 4, size + 36)
        struct.pack_into("<I", header, 40, size)
        with path.open("wb") as file:
            file.write(header)
            file.truncate(44 + size)
        return
    if name == "FLAC":  # whose frames are numbered
        with soundfile.SoundFile(path, "w", 8_000, 1, "PCM_16", format="FLAC") as sound:
            for _ in range(round(hours * 60)):
                sound.write(noise(60.0, rate_hz=8_000))
        return
    kind = KINDS[name]
    with av.open(io.BytesIO(encode(kind, sweep(20.0)))) as source:
        track = source.streams.audio[0]
        packets = [packet for packet in source.demux(track) if packet.size][1:-1]
        step = packets[1].pts - packets[0].pts
        with av.open(str(path), "w", format=kind.container) as target:
            stream = target.add_stream_from_template(track)
            packet_s = float(step * track.time_base)
            for number in range(round(hours * 3_600 / packet_s)):
                packet = packets[number % len(packets)]
                packet.stream = stream
                packet.time_base = track.time_base
                packet.pts = packet.dts = number * step
                target.mux_one(packet)


def read(path: Path) -> tuple[float, float]:
    """How long a file is in seconds, and the most memory that a process takes that reads it, in MB."""
    ended = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    seconds, peak_mb = map(float, ended.stdout.split())
    return seconds, peak_mb


@pytest.mark.parametrize("name", MOST_MB)
def test_a_day_takes_little_more_memory_than_a_quarter_of_an_hour(tmp_path, name):
    peaks_mb = []
    for hours in (SHORT_HOURS, HOURS):
        path = tmp_path / f"{hours}"
        make_long(path, name, hours)
        seconds, peak_mb = read(path)
        assert seconds == pytest.approx(hours * 3_600, rel=0.01)
        peaks_mb.append(peak_mb)
        path.unlink()
    # It is measured over some hours and scaled, because a day takes minutes to decode.
    by_hour_mb = (peaks_mb[1] - peaks_mb[0]) / (HOURS - SHORT_HOURS)
    assert by_hour_mb * DAY_HOURS < MOST_MB[name], peaks_mb
