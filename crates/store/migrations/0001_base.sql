CREATE TABLE IF NOT EXISTS setting (
    name {text} NOT NULL PRIMARY KEY,
    value {text} NOT NULL
);

CREATE TABLE sequence (
    name {text} NOT NULL PRIMARY KEY,
    next BIGINT NOT NULL
);

CREATE TABLE business (
    id {key},
    name {text} NOT NULL,
    kind BIGINT NOT NULL,
    status {text} NOT NULL,
    document {text} NOT NULL
);
CREATE UNIQUE INDEX business_name ON business (name);

CREATE TABLE topology_set (
    id {key},
    business_id BIGINT NOT NULL,
    parent_id BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    name {text} NOT NULL,
    set_template_id BIGINT NOT NULL,
    document {text} NOT NULL
);
CREATE UNIQUE INDEX topology_set_name ON topology_set (business_id, parent_id, name);
CREATE INDEX topology_set_business ON topology_set (business_id, id);
CREATE INDEX topology_set_built_in ON topology_set (business_id, kind) WHERE kind > 0;

CREATE TABLE module (
    id {key},
    business_id BIGINT NOT NULL,
    set_id BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    name {text} NOT NULL,
    service_template_id BIGINT NOT NULL,
    service_category_id BIGINT NOT NULL,
    document {text} NOT NULL
);
CREATE UNIQUE INDEX module_name ON module (business_id, set_id, name);
CREATE INDEX module_business ON module (business_id, id);
CREATE INDEX module_set ON module (business_id, set_id, id);
CREATE INDEX module_built_in ON module (business_id, kind, id) WHERE kind > 0;

CREATE TABLE service_category (
    id {key},
    business_id BIGINT NOT NULL,
    parent_id BIGINT NOT NULL,
    root_id BIGINT NOT NULL,
    name {text} NOT NULL,
    is_built_in BIGINT NOT NULL
);
CREATE UNIQUE INDEX service_category_name ON service_category (business_id, parent_id, name);

CREATE TABLE cloud_area (
    id {key},
    name {text} NOT NULL
);

CREATE TABLE host (
    id {key},
    cloud_id BIGINT NOT NULL,
    inner_ip {text} NOT NULL,
    inner_ip_v6 {text} NOT NULL,
    outer_ip {text} NOT NULL,
    outer_ip_v6 {text} NOT NULL,
    agent_id {text},
    document {text} NOT NULL
);
CREATE UNIQUE INDEX host_agent ON host (agent_id) WHERE agent_id IS NOT NULL;

CREATE TABLE host_address (
    cloud_id BIGINT NOT NULL,
    address {text} NOT NULL,
    host_id BIGINT NOT NULL
);
CREATE UNIQUE INDEX host_address_address ON host_address (address, cloud_id);
CREATE INDEX host_address_host ON host_address (host_id);

CREATE TABLE host_module (
    business_id BIGINT NOT NULL,
    set_id BIGINT NOT NULL,
    module_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL
);
CREATE UNIQUE INDEX host_module_module ON host_module (module_id, host_id);
CREATE INDEX host_module_host ON host_module (host_id, module_id);
CREATE INDEX host_module_business ON host_module (business_id, host_id);

CREATE TABLE service_instance (
    id {key in business},
    business_id BIGINT NOT NULL,
    module_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    service_template_id BIGINT NOT NULL,
    name {text} NOT NULL,
    document {text} NOT NULL,
    labels {text}
    {business key}
){by business};
{only postgres} CREATE TABLE service_instance_locator (
    id {key},
    business_id BIGINT NOT NULL
);
CREATE INDEX service_instance_business ON service_instance (business_id, id);
CREATE INDEX service_instance_module ON service_instance (business_id, module_id, id);
CREATE INDEX service_instance_host ON service_instance (business_id, host_id, module_id, id);
CREATE INDEX service_instance_labels ON service_instance (business_id, id) WHERE labels IS NOT NULL;

CREATE TABLE process (
    id {key in business},
    business_id BIGINT NOT NULL,
    service_instance_id BIGINT NOT NULL,
    host_id BIGINT NOT NULL,
    process_template_id BIGINT NOT NULL,
    name {text} NOT NULL,
    func_name {text} NOT NULL,
    start_param {text},
    fixed_fields {text} NOT NULL,
    extra_fields {text} NOT NULL
    {business key}
){by business};
CREATE UNIQUE INDEX process_name ON process (business_id, service_instance_id, name);
CREATE UNIQUE INDEX process_func ON process (business_id, service_instance_id, func_name, start_param)
    WHERE start_param IS NOT NULL;

CREATE TABLE audit (
    id {key in business},
    time_ms BIGINT NOT NULL,
    business_id BIGINT NOT NULL,
    user_name {text} NOT NULL,
    user_verified BIGINT NOT NULL,
    app_code {text} NOT NULL,
    request_id {text} NOT NULL,
    audit_type {text} NOT NULL,
    resource_type {text} NOT NULL,
    action {text} NOT NULL,
    resource_id BIGINT NOT NULL,
    resource_name {text} NOT NULL,
    detail {text} NOT NULL
    {business key}
){by business};

CREATE TABLE event (
    id {key},
    time_ms BIGINT NOT NULL,
    business_id BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    operation BIGINT NOT NULL,
    object_id BIGINT NOT NULL,
    request_id {text} NOT NULL,
    before_state {text},
    after_state {text}
);

{only postgres} CREATE SEQUENCE event_draw;

{only postgres} CREATE TABLE commit_record (
    id {text} NOT NULL PRIMARY KEY,
    draw BIGINT NOT NULL DEFAULT nextval('event_draw'),
    events BIGINT NOT NULL,
    is_pending BIGINT NOT NULL,
    time_ms BIGINT NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
);
{only postgres} CREATE INDEX commit_record_pending ON commit_record (draw) WHERE is_pending = 1;
{only postgres} CREATE INDEX commit_record_time ON commit_record (time_ms);

{only postgres} CREATE TABLE event_order (
    last_position {key},
    first_id BIGINT NOT NULL,
    events BIGINT NOT NULL
);
{only postgres} CREATE UNIQUE INDEX event_order_first ON event_order (first_id);

{only postgres} CREATE TABLE event_sequencer (
    id {key},
    next_position BIGINT NOT NULL,
    holder {text} NOT NULL,
    lease_ms BIGINT NOT NULL
);
{only postgres} INSERT INTO event_sequencer (id, next_position, holder, lease_ms) VALUES (1, 1, '', 0);

CREATE TABLE app (
    code {text} NOT NULL PRIMARY KEY,
    login_free BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE app_secret (
    id {key},
    app_code {text} NOT NULL,
    digest {text} NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX app_secret_app ON app_secret (app_code);

CREATE TABLE user_token (
    id {key},
    user_name {text} NOT NULL,
    digest {text} NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX user_token_digest ON user_token (digest);

CREATE TABLE access_grant (
    id {key},
    user_name {text} NOT NULL,
    action {text} NOT NULL,
    business_id BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX access_grant_right ON access_grant (user_name, action, business_id)
