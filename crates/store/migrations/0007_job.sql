CREATE TABLE job (
    id {key},
    business_id BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    target_id BIGINT NOT NULL,
    template_id BIGINT NOT NULL,
    status BIGINT NOT NULL,
    user_name {text} NOT NULL,
    user_verified BIGINT NOT NULL,
    app_code {text} NOT NULL,
    request_id {text} NOT NULL,
    created_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    reason {text} NOT NULL,
    holder {text} NOT NULL,
    lease_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX job_unfinished ON job (kind, target_id) WHERE status < 3;
CREATE INDEX job_free ON job (lease_ms, id) WHERE status < 3;
CREATE INDEX job_target ON job (kind, target_id, id);
CREATE INDEX job_business ON job (business_id, id);
CREATE INDEX job_ended ON job (changed_ms) WHERE status > 2;

CREATE TABLE job_part (
    job_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    status BIGINT NOT NULL,
    content {text} NOT NULL,
    response {text}
);
CREATE UNIQUE INDEX job_part_number ON job_part (job_id, number)
