BEGIN TRANSACTION;
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    checkpoint TEXT NOT NULL,
    revision TEXT NOT NULL,
    text TEXT NOT NULL,
    embedding BLOB NOT NULL,
    used_at_s INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (checkpoint, revision, text)
);
INSERT INTO "texts" VALUES(1,'builtin','c0ffee','rain',X'0000803F0000803F0000803F0000803F0000803F0000803F0000803F0000803F',1796035673,960023995);
CREATE INDEX texts_by_use ON texts(used_at_s, id);
COMMIT;
