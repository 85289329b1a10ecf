-- The console. A sign-in through a browser is a row of sign_in, like any other, with what the browser holds beside it:
-- of its token only the SHA-256.
CREATE TABLE console_sign_in (
    sign_in TEXT NOT NULL PRIMARY KEY REFERENCES sign_in (id),
    token   TEXT NOT NULL UNIQUE,
    agent   TEXT NOT NULL,
    seen    BIGINT NOT NULL,
    proved  BIGINT NOT NULL
);
CREATE INDEX console_sign_in_seen ON console_sign_in (seen);

-- What the console lists, without reading every document: what was decided about a piece of work, and whether one of
-- its rounds still lacks its review. Kept by whoever writes the document.
ALTER TABLE work ADD COLUMN stage TEXT NOT NULL DEFAULT 'draft';
ALTER TABLE work ADD COLUMN unreviewed BIGINT NOT NULL DEFAULT 0;
UPDATE work SET
    stage = CASE
        WHEN json_extract(document, '$.stage.is') = 'cut_off' AND json_extract(document, '$.stage.awaiting') IS NOT NULL
        THEN 'emergency'
        ELSE json_extract(document, '$.stage.is')
    END,
    unreviewed = EXISTS (
        SELECT 1 FROM json_each(document, '$.rounds') AS r
        WHERE json_extract(r.value, '$.progress.is') <> 'reviewed'
    );
CREATE INDEX work_stage ON work (stage);
CREATE INDEX work_unreviewed ON work (id) WHERE unreviewed = 1;
CREATE INDEX session_work ON session (work);
CREATE INDEX session_alive ON session (opened) WHERE closed IS NULL;
CREATE INDEX person_vendor ON person (vendor);
