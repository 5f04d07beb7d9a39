"""Labelled recordings on disk: which file is an example of which concept, and which fold or kit it belongs to.

`--data` is any folder. Each sub-folder named after a concept (or a known other name of one) holds clips of it; a
sub-folder may sit one level down (`esc10/dog_bark/…`). A folder `sonic_pi` is read by its file-name table instead.
"""

import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"}
FOLDS = (1, 2, 3, 4)

FOLDER_NAMES = {
    "person_sneeze": "sneeze",
    "barking_dog": "dog_bark",
    "crying_baby": "baby_cry",
    # Folders that hold what a wider concept says.
    "angle_grinder": "circular_saw",
    "bongo": "conga",
    "buzzer": "alarm",
    "cabasa": "shaker",
    "cajon": "conga",
    "car_alarm": "alarm",
    "castanets": "woodblock",
    "chewing": "eating",
    "claves": "woodblock",
    "coyote": "wolf_howl",
    "cymbal": "crash",
    "darbuka": "conga",
    "djembe": "conga",
    "dog_growl": "growl",
    "dolphin_clicks": "dolphin",
    "double_bass": "bass",
    "engine_loop": "engine",
    "explosion_synth": "explosion",
    "fish_chorus": "fish",
    "fly_buzz": "bee_buzz",
    "frame_drum": "conga",
    "game_8bit": "video_game",
    "glockenspiel": "xylophone",
    "goose": "duck_quack",
    "gorilla": "monkey",
    "growl_vocal": "growl",
    "guitar_electric": "electric_guitar",
    "gun_reload": "gun_cock",
    "horn": "brass",
    "ignite": "match",
    "insects": "bee_buzz",
    "jackhammer": "drill",
    "kalimba": "xylophone",
    "level_crossing_bell": "bell",
    "maracas": "shaker",
    "marimba": "xylophone",
    "metal_clang": "metal_hit",
    "orca": "whale",
    "orchestra": "strings",
    "printer_3d": "printer",
    "rain_underwater": "underwater",
    "recorder": "flute",
    "referee_whistle": "whistle",
    "restaurant": "crowd_chatter",
    "reversing_beep": "beep",
    "snare_brush": "snare",
    "soundscape_underwater": "underwater",
    "squeaky_toy": "toy_squeak",
    "steel_drum": "xylophone",
    "stone_scrape": "scrape",
    "strings_pizzicato": "pizzicato",
    "strings_tremolo": "strings",
    "synth_lead": "synth_melody",
    "synth_pad": "drone",
    "taiko": "tom",
    "timpani": "tom",
    "trombone": "brass",
    "truck": "engine",
    "trumpet": "brass",
    "tuba": "brass",
    "vibraphone": "xylophone",
    "viola": "violin",
    "violin_pizzicato": "pizzicato",
    "wind_underwater": "underwater",
    "wolf_snarl": "growl",
}
"""Sub-folder names that differ from the concept they hold."""

SONIC_PI_CONCEPTS: tuple[tuple[str, str], ...] = (
    (r"bd_\w+|drum_bass_\w+|drum_heavy_kick|elec_(hollow|soft)_kick", "kick"),
    (r"sn_\w+|drum_snare_\w+|elec_(filt_|hi_|lo_|mid_)?snare", "snare"),
    (r"drum_cymbal_open|hat_(gump|cats)", "open_hat"),
    (r"drum_cymbal_(closed|pedal)|hat_(?!noiz|len|metal)\w+", "closed_hat"),
    (r"drum_cymbal_(hard|soft)|drum_splash_\w+|elec_cymbal", "crash"),
    (r"ride_\w+", "ride"),
    (r"drum_tom_\w+|elec_fuzz_tom", "tom"),
    (r"drum_cowbell", "cowbell"),
    (r"tabla_\w+", "tabla"),
    (
        r"arovane_beat_\w|loop_(amen|amen_full|breakbeat|compus|industrial|mehackit\d|mika|tabla|perc\d)",
        "drum_loop",
    ),
    (r"elec_(bell|chime|triangle|ping)|perc_bell2?", "bell"),
    (r"elec_(beep|blip2?)", "beep"),
    (r"guit_\w+", "guitar"),
    (r"bass_\w+|glitch_bass_g", "bass"),
    (r"ambi_piano", "piano"),
    (r"ambi_choir", "singing"),
    (r"ambi_(drone|glass_hum|haunted_hum|lunar_land)|loop_drone_g_97", "drone"),
    (r"ambi_(swoosh|dark_woosh)|perc_(swash|swoosh)", "whoosh"),
    (r"(glitch|mehackit)_robot\d", "robot"),
    (r"vinyl_(backspin|rewind|scratch)", "vinyl_scratch"),
    (r"vinyl_hiss", "vinyl_crackle"),
    (r"loop_3d_printer", "printer"),
    (r"perc_till", "cash_register"),
    (r"perc_door", "door_slam"),
    (r"misc_cineboom", "explosion"),
    (r"perc_snap2?", "finger_snap"),
    (r"misc_burp", "burp"),
    (r"misc_crow", "crow"),
)
"""Pattern of the whole file name (without suffix) → concept; the first that fits counts, files without are left out."""


@dataclass(frozen=True)
class Recording:
    """One labelled file. `fold` splits sources for held-out scores, `kit` is the maker or series (`drum`, `elec` …)."""

    path: Path
    concept: str
    fold: int
    kit: str

    @property
    def collection(self) -> str:
        """The folder that holds the collection: that of the samples, or the one around the concept's folder."""
        return "sonic_pi" if self.path.parent.name == "sonic_pi" else self.path.parent.parent.name

    @property
    def source(self) -> str:
        """What the cuts of one recording share: the collection, and the file name up to the last hyphen."""
        return f"{self.collection}/{self.path.stem.rpartition('-')[0] or self.path.stem}"

    @property
    def name(self) -> str:
        """Folder and file name: the same wherever the data lies."""
        return f"{self.path.parent.name}/{self.path.name}"


def sonic_pi_concept(stem: str) -> str | None:
    """The concept of a sample of the Sonic Pi collection by its file name; None if it is none of them."""
    return next((concept for pattern, concept in SONIC_PI_CONCEPTS if re.fullmatch(pattern, stem)), None)


def _fold(stem: str) -> int:
    """ESC file names begin with their fold; any other file gets one by its name up to the last separator.

    Takes of one source (`name-A`, `name-B`) thus share a fold.
    """
    numbered = re.match(r"([1-9])-\d", stem)
    if numbered:
        return int(numbered[1])
    return FOLDS[zlib.crc32(re.split(r"[-_][^-_]*$", stem)[0].encode()) % len(FOLDS)]


def find_recordings(data: Path, concepts: Collection[str]) -> list[Recording]:
    """All labelled recordings below a folder, in a fixed order."""
    recordings = []
    for path in sorted(data.rglob("*")):
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        folder = path.parent.name
        named = FOLDER_NAMES.get(folder, folder)
        concept = sonic_pi_concept(path.stem) if folder == "sonic_pi" else named
        if concept is not None and concept in concepts:
            recordings.append(Recording(path, concept, _fold(path.stem), kit=path.stem.split("_")[0]))
    return recordings
