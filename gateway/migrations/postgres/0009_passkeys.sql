-- Passkeys, and the challenges that are open. A passkey is a public key (COSE) whose other half an authenticator keeps for this
-- console; "handle" is what the authenticator knows its person by, and says nothing about them. A challenge is kept as its
-- SHA-256, and is gone when it was answered, rightly or not.
CREATE TABLE passkey (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    person     TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    handle     TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    public_key BYTEA NOT NULL,
    counter    BIGINT NOT NULL,
    added      BIGINT NOT NULL,
    used       BIGINT
);
CREATE INDEX passkey_person ON passkey (person);

CREATE TABLE passkey_challenge (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    purpose TEXT COLLATE "C" NOT NULL,
    source  TEXT COLLATE "C" NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX passkey_challenge_source ON passkey_challenge (source, expires);
