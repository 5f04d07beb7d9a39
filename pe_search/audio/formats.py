"""Which file name extensions are audio: those that are read, and those of audio that can't be."""

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

# All other kinds of files that hold sound or play it. `audio_extensions` says which of them are read. Left out are
# extensions that are more often something else: .ts is TypeScript, .mod a Go module, .cdr and .pgm are pictures.
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
    """The lower-case extensions, each with its dot, of the formats that the installed libsndfile reads."""
    readable = soundfile.available_formats()
    return frozenset(
        extension for name, extensions in _EXTENSIONS_BY_FORMAT.items() if name in readable for extension in extensions
    )


def unreadable_extensions() -> frozenset[str]:
    """The lower-case extensions, each with its dot, of files that hold or play sound, and that nothing here reads."""
    return _AUDIO_LIKE - audio_extensions()
