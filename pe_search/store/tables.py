"""The tables of a catalog, in each format that is read or converted."""

from __future__ import annotations

# What formats have alike.
_CONTENTS_AND_WINDOWS = """
CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    -- NULL as long as more of its windows are to come.
    duration_s REAL,
    -- What could not be read, in words; NULL if it was read whole.
    missing TEXT,
    clips INTEGER NOT NULL,
    windows INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE windows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content_id INTEGER NOT NULL REFERENCES contents(id),
    start_s REAL NOT NULL,
    end_s REAL NOT NULL,
    embedding BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE INDEX windows_by_content ON windows(content_id);
CREATE TABLE gone (
    first_id INTEGER PRIMARY KEY,
    last_id INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
"""
_CLIPS = """CREATE TABLE clips (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    -- NULL where they are not known.
    changed_ns INTEGER,
    inode INTEGER,
    content_id INTEGER NOT NULL REFERENCES contents(id),
    -- When it was put here, in seconds since the epoch; NULL where that is not known.
    indexed_at_s INTEGER,
    checksum INTEGER NOT NULL
);
CREATE INDEX clips_by_content ON clips(content_id);
"""
_LEFT_OUT = """CREATE TABLE left_out (
    path BLOB PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    changed_ns INTEGER,
    inode INTEGER,
    reason TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
"""
_ROOTS_AND_COUNTS = """-- What index was told to go through.
CREATE TABLE roots (
    path BLOB PRIMARY KEY,
    -- JSON: a list of patterns.
    exclude TEXT NOT NULL,
    -- When a run last came to its end, in seconds since the epoch; NULL if none did.
    indexed_at_s INTEGER,
    -- JSON, from that run: extensions that nothing reads with their numbers, excluded files, excluded folders.
    passed_over TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
-- How many rows these tables have: `left_out` and `roots`; from format 5 on, all that the user said; and how many
-- commits there were that changed anything about clips.
CREATE TABLE counts (
    name TEXT PRIMARY KEY,
    rows INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
"""
_FACTS = """CREATE TABLE facts (
    content_id INTEGER PRIMARY KEY,
    -- JSON: what the file says of itself beside its sound, and how loud it is.
    facts TEXT NOT NULL,
    checksum INTEGER NOT NULL
);
-- The user's own. By digest, so that they outlive a move; and a clip that comes back has them again.
CREATE TABLE tags (
    digest BLOB NOT NULL,
    tag TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (digest, tag)
) WITHOUT ROWID;
-- The words that the user teaches: what each starts from, and what was judged. By digest and times, in seconds, so that
-- judgements outlive moves and another checkpoint.
CREATE TABLE words (
    word TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE judgements (
    word TEXT NOT NULL,
    digest BLOB NOT NULL,
    start_s REAL NOT NULL,
    end_s REAL NOT NULL,
    -- yes, no or unsure.
    verdict TEXT NOT NULL,
    judged_by TEXT NOT NULL,
    judged_at_s INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (word, digest, start_s, end_s)
) WITHOUT ROWID;
-- In which zone the clips at or below a path were recorded, as the user says.
CREATE TABLE zones (
    path BLOB PRIMARY KEY,
    zone TEXT NOT NULL,
    checksum INTEGER NOT NULL
) WITHOUT ROWID;
"""
_SPOKEN = """-- What is said. By digest, so that it outlives moves; it goes with the content.
-- The id of a row that is gone is never given to another: a row with an id that is known is as it was.
CREATE TABLE transcripts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL,
    -- `sidecar`, with its language if its name has one; or the name of a recogniser with its revision.
    engine TEXT NOT NULL,
    -- Empty if it is not known.
    language TEXT NOT NULL,
    -- How far the recogniser came; NULL if it came to the end.
    until_s REAL,
    -- JSON: start, end and text of each segment, and, where they are known, start, end and text of each of its words.
    segments TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (digest, engine)
);
-- The files beside clips that transcripts were taken from.
CREATE TABLE sidecars (
    path BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    digest BLOB NOT NULL,
    -- As in `transcripts`; empty if the file is no transcript.
    engine TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (path, digest)
) WITHOUT ROWID;
-- What models answered about stretches of contents. Of more than there is room for, the oldest go.
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    start_s REAL NOT NULL,
    end_s REAL NOT NULL,
    model TEXT NOT NULL,
    revision TEXT NOT NULL,
    question TEXT NOT NULL,
    answer TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (digest, start_s, end_s, model, revision, question)
);
"""
_STATE = """-- The manifest as well, in case the file of it is damaged.
CREATE TABLE state (identity TEXT NOT NULL, manifest TEXT NOT NULL, checksum INTEGER NOT NULL);
"""

# The tables of each format that is read or converted. Any change is another format, with a step in `conversion.py`: a
# catalog with other tables, or with anything beside them, is refused.
#
# A clip is a file; a content is what its bytes hold, and two clips of the same bytes have one content between them.
# Paths are kept as the bytes that the file system has, since names need not be UTF-8; they also sort by bytes.
# An embedding is little-endian float16. `identity` tells this catalog from any other, so that an index left over from
# one that was deleted is never taken for its own. The id of a window that is gone is never given to another, so that an
# index made earlier can't point at the wrong one, and every window that came after it was made has a higher id.
#
# From format 3 on every row has a checksum over the rest of it (`checksum`). What a checksum can't tell is that a row
# is no longer found, so the rows are counted: `contents` has how many clips and windows each one has, and `gone` has
# the ids of windows that were there and are no more; all the others up to the last id are there. From format 4 on, the
# other rows are counted too, but for `facts`: a content that has none is read again by the next index run.
SCHEMAS = {
    2: """
CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    -- NULL as long as more of its windows are to come.
    duration_s REAL
);
CREATE TABLE windows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content_id INTEGER NOT NULL REFERENCES contents(id) ON DELETE CASCADE,
    start_s REAL NOT NULL,
    end_s REAL NOT NULL,
    embedding BLOB NOT NULL
);
CREATE INDEX windows_by_content ON windows(content_id);
CREATE TABLE clips (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    content_id INTEGER NOT NULL REFERENCES contents(id)
);
CREATE INDEX clips_by_content ON clips(content_id);
CREATE TABLE left_out (
    path BLOB PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE state (identity TEXT NOT NULL);
""",
    3: f"""{_CONTENTS_AND_WINDOWS}CREATE TABLE clips (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    size_bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    -- NULL where they are not known.
    changed_ns INTEGER,
    inode INTEGER,
    content_id INTEGER NOT NULL REFERENCES contents(id),
    checksum INTEGER NOT NULL
);
CREATE INDEX clips_by_content ON clips(content_id);
{_LEFT_OUT}{_STATE}""",
    4: f"{_CONTENTS_AND_WINDOWS}{_CLIPS}{_LEFT_OUT}{_ROOTS_AND_COUNTS}{_STATE}",
    5: f"{_CONTENTS_AND_WINDOWS}{_CLIPS}{_LEFT_OUT}{_ROOTS_AND_COUNTS}{_FACTS}{_STATE}",
    6: f"{_CONTENTS_AND_WINDOWS}{_CLIPS}{_LEFT_OUT}{_ROOTS_AND_COUNTS}{_FACTS}{_SPOKEN}{_STATE}",
}
