CREATE INDEX topology_set_template ON topology_set (business_id, set_template_id, id) WHERE set_template_id > 0;

CREATE TABLE set_template (
    id {key},
    business_id BIGINT NOT NULL,
    name {text} NOT NULL,
    document {text} NOT NULL
);
CREATE UNIQUE INDEX set_template_name ON set_template (business_id, name);
CREATE INDEX set_template_business ON set_template (business_id, id);

CREATE TABLE set_template_relation (
    business_id BIGINT NOT NULL,
    set_template_id BIGINT NOT NULL,
    service_template_id BIGINT NOT NULL
);
CREATE UNIQUE INDEX set_template_relation_set ON set_template_relation (set_template_id, service_template_id);
CREATE INDEX set_template_relation_service ON set_template_relation (service_template_id, set_template_id);

CREATE TABLE set_template_attribute (
    id {key},
    business_id BIGINT NOT NULL,
    set_template_id BIGINT NOT NULL,
    attribute_id BIGINT NOT NULL,
    document {text} NOT NULL
);
CREATE UNIQUE INDEX set_template_attribute_attribute
    ON set_template_attribute (business_id, set_template_id, attribute_id)
