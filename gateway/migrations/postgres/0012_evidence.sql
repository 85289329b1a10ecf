-- Files that show what an attestation of a terminal rests on: sealed, and found by the attestation's person and time.
CREATE TABLE evidence (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    person  TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    made    BIGINT NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    size    BIGINT NOT NULL,
    sha256  TEXT COLLATE "C" NOT NULL,
    sealed  BYTEA NOT NULL
);
CREATE INDEX evidence_of ON evidence (person, made);
