"""Concepts that are easily mistaken for each other: windows of them come one after another, so that a batch has both.

`objective.OVERLAPS` has those that may rightly be heard in each other's clips; these may not.
"""

NEIGHBOURS: tuple[tuple[str, ...], ...] = (
    ("rain", "sea_waves", "stream", "fire_crackling", "wind", "waterfall", "tap_water", "steam_hiss", "applause"),
    ("cough", "sneeze", "dog_bark", "snoring", "burp", "breathing", "laughter", "sea_lion"),
    ("engine", "jet", "helicopter", "chainsaw", "train", "motorcycle", "boat", "vacuum_cleaner", "drill"),
    ("closed_hat", "open_hat", "shaker", "tambourine", "ride", "crash", "sleigh_bells"),
    ("kick", "tom", "conga", "impact", "door_slam", "knock", "thunder", "explosion"),
    ("snare", "clap", "clapping", "rimshot", "woodblock", "finger_snap", "gunshot", "hammer"),
    ("cow_moo", "sheep_bleat", "goat", "donkey", "horse_neigh", "cat_meow", "baby_cry", "pig_grunt"),
    ("crow", "duck_quack", "frog_croak", "seagull", "parrot", "hen", "rooster", "monkey"),
    ("bird_song", "whistle", "cricket_chirp", "bat", "flute", "toy_squeak"),
    ("wolf_howl", "siren", "owl_hoot", "whale", "singing", "train_horn"),
    ("big_cat_roar", "growl", "bear", "cat_hiss"),
    ("alarm", "telephone", "beep", "doorbell", "bicycle_bell"),
    ("church_bell", "bell", "gong", "wind_chimes", "xylophone", "music_box", "singing_bowl"),
    ("car_horn", "ship_horn", "brass", "saxophone", "oboe", "bagpipe"),
    ("coin", "glass_clink", "glass_break", "metal_hit", "zipper", "scissors"),
    ("footsteps", "typing", "horse_hooves", "paper", "leaves", "cards", "writing", "eating"),
    ("circular_saw", "compressor", "machine", "fan"),
    ("door_creak", "hand_saw", "scrape", "chalk_screech", "door_open", "violin"),
    ("water_drip", "water_pour", "bubbles", "splash", "clock_tick"),
    ("speech", "crowd_chatter", "whisper", "scream", "playground"),
    ("guitar", "electric_guitar", "harp", "piano", "pizzicato", "bass", "electric_piano"),
    ("cello", "strings", "clarinet", "organ", "choir", "synth_melody"),
)
"""Each concept is in one group at most."""
