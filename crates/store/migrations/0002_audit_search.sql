CREATE INDEX audit_time ON audit (business_id, time_ms, id);
CREATE INDEX audit_resource ON audit (business_id, resource_id, time_ms, id);
{only postgres} CREATE INDEX audit_id ON audit (id)
