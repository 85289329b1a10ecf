-- Files that show what an attestation of a terminal rests on: sealed, and found by the attestation's person and time.
CREATE TABLE evidence (
    id      TEXT NOT NULL PRIMARY KEY,
    person  TEXT NOT NULL REFERENCES person (id),
    made    BIGINT NOT NULL,
    name    TEXT NOT NULL,
    kind    TEXT NOT NULL,
    size    BIGINT NOT NULL,
    sha256  TEXT NOT NULL,
    sealed  BLOB NOT NULL
);
CREATE INDEX evidence_of ON evidence (person, made);
