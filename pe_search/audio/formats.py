"""Which file name extensions the installed libsndfile reads."""

from __future__ import annotations

import soundfile

# libsndfile names formats, not extensions. Left out on purpose: RAW (has no header), MAT4, MAT5 and HTK (seldom
# audio), SD2 (keeps its header in a resource fork).
_EXTENSIONS_BY_FORMAT = {
    "AIFF": (".aif", ".aiff", ".aifc"),
    "AU": (".au", ".snd"),
    "AVR": (".avr",),
    "CAF": (".caf",),
    "FLAC": (".flac",),
    "IRCAM": (".sf", ".ircam"),
    "MP3": (".mp1", ".mp2", ".mp3"),
    "MPC2K": (".snd",),
    "NIST": (".nist", ".sph"),
    "OGG": (".oga", ".ogg", ".opus", ".spx"),
    "PAF": (".paf",),
    "PVF": (".pvf",),
    "RF64": (".rf64",),
    "SDS": (".sds",),
    "SVX": (".8svx", ".iff", ".svx"),
    "VOC": (".voc",),
    "W64": (".w64",),
    "WAV": (".bwf", ".wav", ".wave"),
    "WVE": (".wve",),
    "XI": (".xi",),
}


def audio_extensions() -> frozenset[str]:
    """The lower-case extensions, each with its dot, of the formats that the installed libsndfile reads."""
    readable = soundfile.available_formats()
    return frozenset(
        extension for name, extensions in _EXTENSIONS_BY_FORMAT.items() if name in readable for extension in extensions
    )
