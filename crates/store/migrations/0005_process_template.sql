CREATE TABLE process_template (
    id {key},
    business_id BIGINT NOT NULL,
    service_template_id BIGINT NOT NULL,
    name {text} NOT NULL,
    func_name {text} NOT NULL,
    start_param {text},
    property {text} NOT NULL,
    last_row_id BIGINT NOT NULL,
    creator {text} NOT NULL,
    modifier {text} NOT NULL,
    create_time {text} NOT NULL,
    last_time {text} NOT NULL
);
CREATE UNIQUE INDEX process_template_name ON process_template (service_template_id, name);
CREATE UNIQUE INDEX process_template_func ON process_template (service_template_id, func_name, start_param)
    WHERE start_param IS NOT NULL;

CREATE INDEX process_process_template ON process (business_id, process_template_id, id) WHERE process_template_id > 0;
CREATE UNIQUE INDEX service_instance_bound ON service_instance (business_id, module_id, host_id)
    WHERE service_template_id > 0
