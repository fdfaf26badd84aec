DROP INDEX job_target;
DROP INDEX job_business;
CREATE INDEX job_target_time ON job (kind, target_id, created_ms, id);
CREATE INDEX job_business_time ON job (business_id, created_ms, id, kind, status);

ALTER TABLE job_part ADD COLUMN overruns BIGINT NOT NULL DEFAULT 0
