BEGIN TRANSACTION;
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    checkpoint TEXT NOT NULL,
    revision TEXT NOT NULL,
    text TEXT NOT NULL,
    embedding BLOB NOT NULL,
    used_at_s INTEGER NOT NULL,
    UNIQUE (checkpoint, revision, text)
);
INSERT INTO "texts" VALUES(1,'builtin','c0ffee','rain',X'068FDEBE76F033BFF3892DBF8A3752BF62F8C8BFF4A386BE9C64CD3E078D683F',1796011477);
CREATE INDEX texts_by_use ON texts(used_at_s, id);
COMMIT;
