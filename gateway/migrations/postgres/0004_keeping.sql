-- Keeping and removing recordings. Of a recording that was removed the session, its events and their leaves stay.
ALTER TABLE session ADD COLUMN purged BIGINT;
CREATE INDEX session_closed ON session (closed) WHERE purged IS NULL;

-- Holds (保全). A recording may be held for several matters, each of which is let go of on its own.
CREATE TABLE recording_hold (
    session  TEXT COLLATE "C" NOT NULL REFERENCES session (id),
    matter   TEXT COLLATE "C" NOT NULL,
    held     BIGINT NOT NULL,
    held_by  TEXT COLLATE "C" NOT NULL,
    reason   TEXT COLLATE "C" NOT NULL,
    released BIGINT
);
CREATE UNIQUE INDEX recording_hold_in_force ON recording_hold (session, matter) WHERE released IS NULL;

-- Purges (廃棄): proposed by one person, decided on by another, done when the bytes are off the disk.
CREATE TABLE purge (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    proposed    BIGINT NOT NULL,
    proposed_by TEXT COLLATE "C" NOT NULL,
    reason      TEXT COLLATE "C" NOT NULL,
    decided     BIGINT,
    decided_by  TEXT COLLATE "C",
    approved    BIGINT,
    done        BIGINT
);
CREATE TABLE purge_session (
    purge   TEXT COLLATE "C" NOT NULL REFERENCES purge (id),
    session TEXT COLLATE "C" NOT NULL REFERENCES session (id),
    purged  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (purge, session)
);

-- How fast recordings grow.
CREATE INDEX event_recording_sealed ON event (at) WHERE kind = 'recording.sealed';
