-- How people come to have factors. An invitation is a link that counts once and for three days: of its token, and of what
-- the browser that opened it holds, only the SHA-256 is kept. The seed that its page shows is sealed, and counts for
-- nothing until the enrolment is whole.
CREATE TABLE invitation (
    id         TEXT NOT NULL PRIMARY KEY,
    person     TEXT NOT NULL REFERENCES person (id),
    token      TEXT NOT NULL UNIQUE,
    made       BIGINT NOT NULL,
    expires    BIGINT NOT NULL,
    opened     BIGINT,
    page       TEXT UNIQUE,
    page_until BIGINT,
    seed       BLOB,
    attempts   BIGINT NOT NULL DEFAULT 0,
    ended      BIGINT,
    ended_by   TEXT
);
CREATE INDEX invitation_person ON invitation (person);

-- The sheet for a lost authenticator: each code is kept as a hash, sealed, and spent once.
CREATE TABLE recovery_code (
    person TEXT NOT NULL REFERENCES person (id),
    number BIGINT NOT NULL,
    sealed BLOB NOT NULL,
    spent  BIGINT,
    PRIMARY KEY (person, number)
);
