CREATE INDEX service_instance_change ON service_instance (business_id, ({text open document last_time}), id)
