CREATE INDEX service_category_business ON service_category (business_id, name);
CREATE INDEX service_category_parent ON service_category (parent_id);
CREATE INDEX module_category ON module (service_category_id, business_id);
CREATE INDEX module_template ON module (business_id, service_template_id, id) WHERE service_template_id > 0;
CREATE INDEX service_instance_template ON service_instance (business_id, service_template_id, id)
    WHERE service_template_id > 0;

CREATE TABLE service_template (
    id {key},
    business_id BIGINT NOT NULL,
    name {text} NOT NULL,
    service_category_id BIGINT NOT NULL,
    document {text} NOT NULL
);
CREATE UNIQUE INDEX service_template_name ON service_template (business_id, name);
CREATE INDEX service_template_business ON service_template (business_id, id);
CREATE INDEX service_template_category ON service_template (service_category_id, business_id);

CREATE TABLE service_template_attribute (
    id {key},
    business_id BIGINT NOT NULL,
    service_template_id BIGINT NOT NULL,
    attribute_id BIGINT NOT NULL,
    document {text} NOT NULL
);
CREATE UNIQUE INDEX service_template_attribute_attribute
    ON service_template_attribute (business_id, service_template_id, attribute_id)
