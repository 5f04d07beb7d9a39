"""Which file name extensions are taken for audio, and which library reads which kind of file.

libsndfile reads what is uncompressed, and rare formats that FFmpeg doesn't know; FFmpeg reads everything that is
compressed, and the sound of videos. `read.py` goes by the content of a file; this table only says which files of a
folder are worth opening. `tests/audio/test_both_readers.py` decodes each format that both know by both, and compares.
"""

from __future__ import annotations

import av
import soundfile

# libsndfile names formats, not extensions. Left out on purpose: RAW (has no header), MAT4, MAT5 and HTK (seldom
# audio), SD2 (keeps its header in a resource fork).
_BY_LIBSNDFILE = {
    "AIFF": (".aif", ".aiff", ".aifc"),
    "AU": (".au", ".snd"),
    "AVR": (".avr",),
    "CAF": (".caf",),
    "IRCAM": (".sf", ".ircam"),
    "MPC2K": (".snd",),
    "NIST": (".nist", ".sph"),
    "PAF": (".paf",),
    "PVF": (".pvf",),
    "RF64": (".rf64",),
    "SDS": (".sds",),
    "SVX": (".8svx", ".iff", ".svx"),
    "VOC": (".voc",),
    "W64": (".w64",),
    "WAV": (".amb", ".bw64", ".bwf", ".wav", ".wave"),
    "WVE": (".wve",),
    "XI": (".xi",),
}
# FFmpeg's names of its formats. Left out on purpose: what has no header (GSM, G.722, VOX), and the sound of games.
_BY_FFMPEG = {
    "aac": (".aac", ".adts"),
    "ac3": (".ac3",),
    "amr": (".amr", ".awb"),
    "ape": (".ape",),
    "asf": (".asf", ".wma", ".wmv"),
    "avi": (".avi", ".divx"),
    "dsf": (".dsf",),
    "dss": (".dss",),
    "dts": (".dts",),
    "dtshd": (".dtshd",),
    "dv": (".dif", ".dv"),
    "eac3": (".eac3", ".ec3"),
    "flac": (".flac",),
    "flv": (".f4a", ".f4v", ".flv"),
    "gxf": (".gxf",),
    "iff": (".dff",),
    "matroska": (".mk3d", ".mka", ".mkv", ".weba", ".webm"),
    "mlp": (".mlp",),
    "mov": (".3g2", ".3gp", ".3gpp", ".m4a", ".m4b", ".m4r", ".m4v", ".mov", ".mp4", ".mp4v", ".qt"),
    "mp3": (".m1a", ".m2a", ".mp1", ".mp2", ".mp3", ".mpa", ".mpga"),
    "mpc": (".mp+", ".mpc", ".mpp"),
    "mpeg": (".m2p", ".mpeg", ".mpg", ".vob"),
    "mpegts": (".m2t", ".m2ts", ".mts", ".ts"),
    "mxf": (".mxf",),
    "nut": (".nut",),
    "ogg": (".oga", ".ogg", ".ogm", ".ogv", ".ogx", ".opus", ".spx"),
    "oma": (".aa3", ".oma"),
    "qcp": (".qcp",),
    "qoa": (".qoa",),
    "rm": (".ra", ".rm", ".rmvb"),
    "shn": (".shn",),
    "sox": (".sox",),
    "tak": (".tak",),
    "truehd": (".thd",),
    "tta": (".tta",),
    "vqf": (".vqf",),
    "wtv": (".wtv",),
    "wv": (".wv",),
}


def audio_extensions() -> frozenset[str]:
    """The lower-case extensions, each with its dot, of the formats that the installed libraries read."""
    names_known = ",".join(av.formats_available).split(",")
    tables = (_BY_LIBSNDFILE, soundfile.available_formats()), (_BY_FFMPEG, names_known)
    return frozenset(
        extension
        for table, known in tables
        for name, extensions in table.items()
        if name in known
        for extension in extensions
    )
