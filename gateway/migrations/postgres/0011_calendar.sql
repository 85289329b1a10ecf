-- When the window of a piece of work opens for the first time and closes for the last, in microseconds since 1970: what the
-- calendar is narrowed by. Not known (NULL) of what was written before; it is looked at all the same.
ALTER TABLE work ADD COLUMN opens BIGINT;
ALTER TABLE work ADD COLUMN closes BIGINT;
CREATE INDEX work_closes ON work (closes);
