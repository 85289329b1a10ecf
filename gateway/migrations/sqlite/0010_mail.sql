-- Mail that waits to be sent, and for some time what became of it. It is written with the change that it tells of. What it
-- says is made when it is sent, of what is known then; only the secret of an invitation's link is kept for it, sealed, until
-- it is over. Who sends it claims it for a while, so that of several gateways one does.
CREATE TABLE mail (
    id            TEXT NOT NULL PRIMARY KEY,
    person        TEXT NOT NULL REFERENCES person (id),
    what          TEXT NOT NULL,
    about         TEXT NOT NULL,
    step          BIGINT NOT NULL,
    made          BIGINT NOT NULL,
    due           BIGINT NOT NULL,
    expires       BIGINT NOT NULL,
    sealed        BLOB,
    claimed_by    TEXT,
    claimed_until BIGINT NOT NULL DEFAULT 0,
    tries         BIGINT NOT NULL DEFAULT 0,
    said          TEXT,
    ended         BIGINT,
    outcome       TEXT
);
CREATE INDEX mail_waiting ON mail (due) WHERE ended IS NULL;
CREATE INDEX mail_ended ON mail (ended) WHERE ended IS NOT NULL;

-- What was told to be overdue, so that it is told once: the work, what is overdue, and since when.
CREATE TABLE overdue_told (
    work TEXT NOT NULL REFERENCES work (id),
    what TEXT NOT NULL,
    due  BIGINT NOT NULL,
    PRIMARY KEY (work, what, due)
);
