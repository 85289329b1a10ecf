-- The first schema. The PostgreSQL folder holds the same tables with BYTEA for BLOB and bytewise collation.
-- Times are Unix microseconds; documents are JSON text; secrets are sealed with the master key.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE event_counter (
    id   BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    last BIGINT NOT NULL
);
INSERT INTO event_counter (id, last) VALUES (1, 0);

CREATE TABLE event (
    seq     BIGINT NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    kind    TEXT NOT NULL,
    person  TEXT,
    vendor  TEXT,
    device  TEXT,
    work    TEXT,
    session TEXT,
    salt    BLOB NOT NULL,
    body    TEXT NOT NULL
);
CREATE INDEX event_session ON event (session);

CREATE TABLE vendor (
    id       TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
);

CREATE TABLE person (
    id            TEXT NOT NULL PRIMARY KEY,
    vendor        TEXT   REFERENCES vendor (id),
    document      TEXT NOT NULL,
    password_hash TEXT,
    totp_sealed   BLOB,
    totp_step     BIGINT NOT NULL DEFAULT 0,
    failures      BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE person_key (
    fingerprint TEXT NOT NULL PRIMARY KEY,
    person      TEXT NOT NULL REFERENCES person (id),
    public_key  TEXT NOT NULL,
    added       BIGINT NOT NULL
);
CREATE INDEX person_key_person ON person_key (person);

CREATE TABLE device (
    id       TEXT NOT NULL PRIMARY KEY,
    name     TEXT NOT NULL,
    host     TEXT NOT NULL,
    port     BIGINT NOT NULL,
    document TEXT NOT NULL,
    ledger   TEXT NOT NULL
);

CREATE TABLE device_host_key (
    device      TEXT NOT NULL REFERENCES device (id),
    fingerprint TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    pinned      BIGINT NOT NULL,
    PRIMARY KEY (device, fingerprint)
);

CREATE TABLE device_credential (
    device  TEXT NOT NULL REFERENCES device (id),
    account TEXT NOT NULL,
    kind    TEXT NOT NULL,
    sealed  BLOB,
    PRIMARY KEY (device, account)
);

CREATE TABLE work (
    id       TEXT NOT NULL PRIMARY KEY,
    vendor   TEXT NOT NULL REFERENCES vendor (id),
    document TEXT NOT NULL
);
CREATE INDEX work_vendor ON work (vendor);

CREATE TABLE attestation (
    id       TEXT NOT NULL PRIMARY KEY,
    person   TEXT NOT NULL REFERENCES person (id),
    made     BIGINT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX attestation_person ON attestation (person);

CREATE TABLE incident_lock (
    id       TEXT NOT NULL PRIMARY KEY,
    starts   BIGINT NOT NULL,
    document TEXT NOT NULL,
    lifted   BIGINT
);

CREATE TABLE sign_in (
    id                 TEXT NOT NULL PRIMARY KEY,
    person             TEXT NOT NULL REFERENCES person (id),
    source             TEXT NOT NULL,
    methods            TEXT NOT NULL,
    proved             BIGINT NOT NULL,
    key_fingerprint    TEXT,
    certificate_serial BIGINT UNIQUE,
    expires            BIGINT,
    revoked            BIGINT
);
CREATE INDEX sign_in_person ON sign_in (person);

CREATE TABLE session (
    id            TEXT NOT NULL PRIMARY KEY,
    person        TEXT NOT NULL REFERENCES person (id),
    vendor        TEXT NOT NULL REFERENCES vendor (id),
    device        TEXT NOT NULL REFERENCES device (id),
    account       TEXT NOT NULL,
    shared        BIGINT NOT NULL,
    work          TEXT NOT NULL REFERENCES work (id),
    source        TEXT NOT NULL,
    sign_in       TEXT NOT NULL REFERENCES sign_in (id),
    methods       TEXT NOT NULL,
    opened        BIGINT NOT NULL,
    until         BIGINT NOT NULL,
    instance      TEXT NOT NULL,
    cut_requested BIGINT,
    cut_by        TEXT,
    cut_reason    TEXT,
    closed        BIGINT,
    close_code    TEXT,
    close_reason  TEXT,
    counts        TEXT
);
CREATE INDEX session_opened ON session (opened);
CREATE INDEX session_live ON session (instance) WHERE closed IS NULL;

CREATE TABLE session_channel (
    session  TEXT NOT NULL REFERENCES session (id),
    number   BIGINT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (session, number)
);

CREATE TABLE transfer (
    session  TEXT NOT NULL REFERENCES session (id),
    number   BIGINT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (session, number)
);
