"""Which file name extensions are taken for audio, and which library reads which kind of file.

libsndfile reads what is uncompressed, and rare formats that FFmpeg doesn't know; FFmpeg reads everything that is
compressed, and the sound of videos. `read.py` goes by the content of a file; this table only says which files of a
folder are worth opening. `tests/audio/test_both_readers.py` decodes each format that both know by both, and compares.
"""

from __future__ import annotations

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
# FFmpeg's names of its formats, all of which are in PyAV's wheels. Left out on purpose: what has no header (GSM, G.722,
# VOX), and the sound of games.
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

# All other kinds of files that hold sound or play it. `audio_extensions` says which of them are read. Left out are
# extensions that are more often something else: .mod is a Go module, .cdr and .pgm are pictures.
_AUDIO_LIKE = frozenset(
    name
    for names in (
        # Compressed, in containers of their own or raw.
        ".aac .ac3 .ac4 .adts .amr .ape .apl .aptx .awb .caff .dts .dtshd .ec3 .eac3 .evrc .latm .loas .lc3 .m1a .m2a",
        ".m4a .m4b .m4r .mka .mlp .mogg .mpa .mpc .mpga .mpp .mp4a .oga .ofr .optimfrog .qcp .ra .ram .rka .shn",
        ".sbc .tak .thd .truehd .tta .vqf .weba .wma .wv .3ga .aa3 .at3 .at9 .oma .omg .swa",
        # Video, whose sound is asked for.
        ".3g2 .3gp .asf .avi .divx .dv .f4v .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogm .ogv .ogx .qt",
        ".rm .rmvb .vob .webm .wmv .wtv",
        # DSD.
        ".dff .dsf",
        # Without a header, or as telephones have it.
        ".alaw .g722 .g726 .g729 .gsm .lpcm .pcm .raw .sd2 .sln .ul .ulaw .vox .wvx",
        ".amb .bw64 .cvs .cvsd .dvms .fssd .hcom .maud .sndr .sndt .txw .vms",
        # Dictation and voice recorders.
        ".dct .dss .ds2 .dvf .icx .msv .nvf",
        # Protected or bought.
        ".aa .aax .aaxc .m4p .cda",
        # Recorders of bats and birds.
        ".wac .w4v .zc",
        # Notes and sequences.
        ".kar .mid .midi .rmi .smf",
        # Samplers and their libraries.
        ".akp .aks .dls .dspreset .e4b .exs .gig .krz .k25 .k26 .kmp .ksc .ksf .multisample .ncw .nki .nkc .nkm .nkr",
        ".nks .nkx .rcy .rex .rfl .rx2 .s1000 .s3p .sf2 .sf3 .sfark .sfz .sxt .xrni",
        # Editors that keep their sound in their own files.
        ".aup3",
        # Trackers and old machines.
        ".ahx .ay .gbs .hes .kss .mptm .mtm .nsf .nsfe .okt .s3m .sid .ult .umx .vgm .vgz .xm",
        # Games.
        ".acb .acm .adx .bcstm .bcwav .bfstm .bfwav .bik .brstm .fsb .genh .hca .hps .idsp .lopus .vag .wem .xma",
        ".xwm .xwma",
    )
    for name in names.split()
)


def audio_extensions() -> frozenset[str]:
    """The lower-case extensions, each with its dot, of the formats that are read."""
    readable = soundfile.available_formats()
    by_libsndfile = (extensions for name, extensions in _BY_LIBSNDFILE.items() if name in readable)
    return frozenset(extension for extensions in (*by_libsndfile, *_BY_FFMPEG.values()) for extension in extensions)


def unreadable_extensions() -> frozenset[str]:
    """The lower-case extensions, each with its dot, of files that hold or play sound, and that nothing here reads."""
    return _AUDIO_LIKE - audio_extensions()
