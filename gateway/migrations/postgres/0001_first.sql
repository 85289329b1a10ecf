-- The first schema. The SQLite folder holds the same tables with BLOB for BYTEA; COLLATE "C" makes both sort bytewise.
-- Times are Unix microseconds; documents are JSON text; secrets are sealed with the master key.

CREATE TABLE meta (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE event_counter (
    id   BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    last BIGINT NOT NULL
);
INSERT INTO event_counter (id, last) VALUES (1, 0);

CREATE TABLE event (
    seq     BIGINT NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    person  TEXT COLLATE "C",
    vendor  TEXT COLLATE "C",
    device  TEXT COLLATE "C",
    work    TEXT COLLATE "C",
    session TEXT COLLATE "C",
    salt    BYTEA NOT NULL,
    body    TEXT COLLATE "C" NOT NULL
);
CREATE INDEX event_session ON event (session);

CREATE TABLE vendor (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    document TEXT COLLATE "C" NOT NULL
);

CREATE TABLE person (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    vendor        TEXT COLLATE "C" REFERENCES vendor (id),
    document      TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C",
    totp_sealed   BYTEA,
    totp_step     BIGINT NOT NULL DEFAULT 0,
    failures      BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE person_key (
    fingerprint TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    person      TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    public_key  TEXT COLLATE "C" NOT NULL,
    added       BIGINT NOT NULL
);
CREATE INDEX person_key_person ON person_key (person);

CREATE TABLE device (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name     TEXT COLLATE "C" NOT NULL,
    host     TEXT COLLATE "C" NOT NULL,
    port     BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    ledger   TEXT COLLATE "C" NOT NULL
);

CREATE TABLE device_host_key (
    device      TEXT COLLATE "C" NOT NULL REFERENCES device (id),
    fingerprint TEXT COLLATE "C" NOT NULL,
    public_key  TEXT COLLATE "C" NOT NULL,
    pinned      BIGINT NOT NULL,
    PRIMARY KEY (device, fingerprint)
);

CREATE TABLE device_credential (
    device  TEXT COLLATE "C" NOT NULL REFERENCES device (id),
    account TEXT COLLATE "C" NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    sealed  BYTEA,
    PRIMARY KEY (device, account)
);

CREATE TABLE work (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    vendor   TEXT COLLATE "C" NOT NULL REFERENCES vendor (id),
    document TEXT COLLATE "C" NOT NULL
);
CREATE INDEX work_vendor ON work (vendor);

CREATE TABLE attestation (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    person   TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    made     BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL
);
CREATE INDEX attestation_person ON attestation (person);

CREATE TABLE incident_lock (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    starts   BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    lifted   BIGINT
);

CREATE TABLE sign_in (
    id                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    person             TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    source             TEXT COLLATE "C" NOT NULL,
    methods            TEXT COLLATE "C" NOT NULL,
    proved             BIGINT NOT NULL,
    key_fingerprint    TEXT COLLATE "C",
    certificate_serial BIGINT UNIQUE,
    expires            BIGINT,
    revoked            BIGINT
);
CREATE INDEX sign_in_person ON sign_in (person);

CREATE TABLE session (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    person        TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    vendor        TEXT COLLATE "C" NOT NULL REFERENCES vendor (id),
    device        TEXT COLLATE "C" NOT NULL REFERENCES device (id),
    account       TEXT COLLATE "C" NOT NULL,
    shared        BIGINT NOT NULL,
    work          TEXT COLLATE "C" NOT NULL REFERENCES work (id),
    source        TEXT COLLATE "C" NOT NULL,
    sign_in       TEXT COLLATE "C" NOT NULL REFERENCES sign_in (id),
    methods       TEXT COLLATE "C" NOT NULL,
    opened        BIGINT NOT NULL,
    until         BIGINT NOT NULL,
    instance      TEXT COLLATE "C" NOT NULL,
    cut_requested BIGINT,
    cut_by        TEXT COLLATE "C",
    cut_reason    TEXT COLLATE "C",
    closed        BIGINT,
    close_code    TEXT COLLATE "C",
    close_reason  TEXT COLLATE "C",
    counts        TEXT COLLATE "C"
);
CREATE INDEX session_opened ON session (opened);
CREATE INDEX session_live ON session (instance) WHERE closed IS NULL;

CREATE TABLE session_channel (
    session  TEXT COLLATE "C" NOT NULL REFERENCES session (id),
    number   BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (session, number)
);

CREATE TABLE transfer (
    session  TEXT COLLATE "C" NOT NULL REFERENCES session (id),
    number   BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (session, number)
);
