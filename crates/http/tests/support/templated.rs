//! A module that follows a service template, with instances: what differences and synchronizations are tried on.

use super::{Answer, Estate, TestApp, named};
use serde_json::{Value, json};

/// A module with three hosts, each with an instance of the template's two processes.
pub struct Case {
    pub app: TestApp,
    pub estate: Estate,
    pub template: i64,
    pub module: i64,
    /// The process templates `job` and `other`.
    pub jobs: Vec<i64>,
}

/// The property of the template `job`: user and ports are locked, but for the protocol and whether they are in use.
pub fn job(user: &str, port: &str) -> Value {
    let mut spec = named("job");
    let locked = |value: Value| json!({"value": value, "as_default_value": true});
    spec["user"] = locked(json!(user));
    spec["bind_info"] = json!({"as_default_value": true, "value": [{"row_id": 1, "ip": locked(json!("3")),
        "port": locked(json!(port)), "protocol": {"value": "1"}, "enable": {"value": true}}]});
    spec
}

impl Case {
    pub fn new() -> Self {
        Self::on(TestApp::new())
    }

    /// The same on a server of the caller's.
    pub fn on(app: TestApp) -> Self {
        let estate = app.estate();
        let template = app.service_template(&estate, "st");
        let jobs = app.process_templates(&estate, template, vec![job("www", "80"), named("other")]);
        let module = app.bound_module(&estate, template).data()["bk_module_id"].as_i64().unwrap();
        let case = Self { app, estate, template, module, jobs };
        case.join(&case.estate.hosts, false);
        case
    }

    pub fn join(&self, hosts: &[i64], bare: bool) {
        let body = json!({"bk_biz_id": self.estate.business, "bk_host_id": hosts, "bk_module_id": [self.module],
            "is_increment": true, "disable_auto_create": bare});
        self.app.post("/hosts/modules", body).data();
    }

    pub fn update(&self, template: i64, property: Value) {
        let body = json!({"bk_biz_id": self.estate.business, "process_template_id": template,
            "process_property": property});
        self.app.native("PUT", "/update/proc/proc_template", body).data();
    }

    pub fn delete(&self, template: i64) {
        let body = json!({"bk_biz_id": self.estate.business, "process_templates": [template]});
        self.app.native("DELETE", "/deletemany/proc/proc_template", body).data();
    }

    pub fn asked(&self, more: Value) -> Value {
        let mut body = json!({"bk_biz_id": self.estate.business, "bk_module_id": self.module,
            "service_template_id": self.template});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    pub fn compare(&self) -> Value {
        self.app.post("/find/proc/service_template/general_difference", self.asked(json!({}))).data()
    }

    pub fn instances(&self, more: Value) -> Answer {
        self.app.post("/find/proc/difference/service_instances", self.asked(more))
    }

    pub fn detail(&self, more: Value) -> Answer {
        self.app.post("/find/proc/service_instance/difference_detail", self.asked(more))
    }

    pub fn needs(&self, body: Value) -> Answer {
        let path = format!("/findmany/proc/service_template/sync_status/biz/{}", self.estate.business);
        self.app.post(&path, body)
    }

    pub fn needs_sync(&self) -> bool {
        let module = self.needs(json!({"bk_module_ids": [self.module]})).data();
        let template = self.needs(json!({"is_partial": true, "service_template_ids": [self.template]})).data();
        let need = &module["modules"][0]["need_sync"];
        assert_eq!(
            module,
            json!({"service_templates": null,
            "modules": [{"bk_module_id": self.module, "need_sync": need}]})
        );
        // templates 14: of its only module.
        assert_eq!(
            template,
            json!({"modules": null,
            "service_templates": [{"service_template_id": self.template, "need_sync": need}]})
        );
        need.as_bool().unwrap()
    }

    pub fn ids(&self) -> Vec<i64> {
        let body = json!({"bk_biz_id": self.estate.business, "bk_module_id": self.module});
        let list = self.app.post("/findmany/proc/service_instance", body).data();
        list["info"].as_array().unwrap().iter().map(|it| it["id"].as_i64().unwrap()).collect()
    }

    /// Lets a job do one host at a time, as it does of very large templates.
    pub fn one_host_a_part(&self, job: i64) {
        let hosts = self.estate.hosts.clone();
        let split = self.app.store.write_blocking(move |tx| {
            tx.execute("DELETE FROM job_part WHERE job_id = $1 AND number > 1", &[job.into()])?;
            for (host, number) in hosts.iter().zip(2_i64..) {
                let content = format!("{{\"is_sync_module\":false,\"bk_host_ids\":[{host}]}}");
                let params = [job.into(), number.into(), content.as_str().into()];
                tx.execute("INSERT INTO job_part (job_id, number, status, content) VALUES ($1, $2, 0, $3)", &params)?;
            }
            Ok::<_, rollcall_store::StoreError>(())
        });
        split.unwrap();
    }
}
