"""Go to a time of a compressed file without decoding what comes before it."""

from __future__ import annotations

from typing import Any

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer

# Formats in which FFmpeg finds a time to the sample. In some it reads all packets before it, which is quick: 0.3 s for
# five hours of MP3. A test compares each with what comes out if the file is decoded from its start.
_FROM_START = {"mp3", "aac"}
# These it finds by the times in the file; two files joined into one have some times twice.
_BY_TIMES = {"ogg", "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
_SAME_S = 1.0
# Decoders need some frames before they are in step with one that began at the start.
_BEFORE_S = 1.0


def seek(container: InputContainer, stream: Any, time_s: float, length_s: float | None) -> float | None:
    """Go to a place at or somewhat before a time of a fresh file.

    Args:
        container: Just opened.
        stream: Its audio track.
        time_s: Where to go, in seconds of the decoded sound.
        length_s: Of the decoded sound, if it is known.

    Returns:
        The time in seconds of the first sample that is decoded then; None if the place can't be found, and the file
        must be opened again and read from its start.
    """
    name = container.format.name
    if name not in _FROM_START | _BY_TIMES:
        return None
    if name in _BY_TIMES:
        told_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        if told_s is None and container.duration:
            told_s = container.duration / av.time_base
        if length_s is None or told_s is None or abs(told_s - length_s) > _SAME_S:
            return None
    try:
        began_s = _next_s(container, stream)
        if began_s is None:
            return None
        place = max(round((time_s - _BEFORE_S + began_s) / stream.time_base), 0)
        container.seek(place, stream=stream)
        found_s = _next_s(container, stream)
        # Once more, because what was decoded to learn the time is gone.
        container.seek(place, stream=stream)
    except (av.error.FFmpegError, OSError, ValueError):
        return None
    return found_s - began_s if found_s is not None and 0 <= found_s - began_s <= time_s else None


def _next_s(container: InputContainer, stream: Any) -> float | None:
    for frame in container.decode(stream):
        if isinstance(frame, AudioFrame) and frame.samples:
            return None if frame.time is None else float(frame.time)
    return None
