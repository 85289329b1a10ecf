-- Sessions that are paused (一時停止): what their people send is held until somebody resumes them.
ALTER TABLE session ADD COLUMN paused BIGINT;
ALTER TABLE session ADD COLUMN paused_by TEXT;
ALTER TABLE session ADD COLUMN pause_reason TEXT;
