//! Modules that follow service templates, the instances made from them, and what callers may change there: `templates` 8 and 9, `instances` I-6, I-10 and I-11, the
//! edge cases 44 to 55 and 83 to 87 by their numbers, and the user's documents on processes of templates.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, USER, named, process};

struct Case {
    app: TestApp,
    estate: Estate,
    template: i64,
    /// A module that follows the template, without hosts.
    module: i64,
}

impl Case {
    /// A service template with these process templates.
    fn new(specs: Vec<Value>) -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        let template = app.service_template(&estate, "st");
        if !specs.is_empty() {
            app.process_templates(&estate, template, specs);
        }
        let module = app.bound_module(&estate, template).data()["bk_module_id"].as_i64().unwrap();
        Self { app, estate, template, module }
    }

    fn transfer(&self, hosts: &[i64], more: Value) {
        let mut body = json!({"bk_biz_id": self.estate.business, "bk_host_id": hosts, "bk_module_id": [self.module],
            "is_increment": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.app.post("/hosts/modules", body).data();
    }

    fn create(&self, instances: Value) -> Answer {
        let body = json!({"bk_biz_id": self.estate.business, "bk_module_id": self.module, "instances": instances});
        self.app.post("/create/proc/service_instance", body)
    }

    /// The instances of the module.
    fn instances(&self) -> Vec<Value> {
        let body = json!({"bk_biz_id": self.estate.business, "bk_module_id": self.module});
        let data = self.app.post("/findmany/proc/service_instance", body).data();
        data["info"].as_array().unwrap().clone()
    }

    /// Property and relation of every process of an instance.
    fn processes(&self, instance: i64) -> Vec<Value> {
        let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": instance});
        self.app.post("/findmany/proc/process_instance", body).data().as_array().unwrap().clone()
    }

    /// An instance on the first host, made by a transfer.
    fn instance(&self) -> i64 {
        self.transfer(&self.estate.hosts[..1], json!({}));
        self.instances()[0]["id"].as_i64().unwrap()
    }

    fn update(&self, processes: Value) -> Answer {
        let body = json!({"bk_biz_id": self.estate.business, "processes": processes});
        self.app.native("PUT", "/update/proc/process_instance", body)
    }

    fn template_ids(&self) -> Vec<i64> {
        let body = json!({"bk_biz_id": self.estate.business, "service_template_id": self.template,
            "page": {"sort": "id"}});
        let data = self.app.post("/findmany/proc/proc_template", body).data();
        data["info"].as_array().unwrap().iter().map(|template| template["id"].as_i64().unwrap()).collect()
    }
}

fn locked(value: Value) -> Value {
    json!({"value": value, "as_default_value": true})
}

fn open(value: Value) -> Value {
    json!({"value": value, "as_default_value": false})
}

/// A template with something of each sort: a locked number, an open user, a row whose address is locked and whose port is open.
fn job() -> Value {
    let mut spec = named("job");
    spec["proc_num"] = locked(json!(2));
    spec["user"] = open(json!("www"));
    spec["timeout"] = open(json!(30));
    spec["bind_info"] = json!({"as_default_value": true, "value": [{"ip": locked(json!("3")), "port": open(json!("8080")),
        "protocol": locked(json!("1")), "enable": open(json!(true))}]});
    spec
}

fn ids(rows: &[Value], field: &str) -> Vec<i64> {
    rows.iter().map(|row| row[field].as_i64().unwrap()).collect()
}

/// templates E83 and E84
#[test]
fn a_module_takes_name_and_category_from_its_template() {
    let case = Case::new(vec![]);
    let document = |id: i64| {
        let modules = case.app.documents("SELECT document FROM module");
        modules.into_iter().find(|module| module["bk_module_id"] == id).unwrap()
    };
    let module = document(case.module);
    assert_eq!(
        (&module["bk_module_name"], &module["service_template_id"], &module["service_category_id"]),
        (&json!("st"), &json!(case.template), &json!(2))
    );
    let (business, set) = (case.estate.business, case.estate.set);
    let create = |more: Value| {
        let mut body = json!({"bk_parent_id": set, "service_template_id": case.template});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        case.app.post(&format!("/module/{business}/{set}"), body)
    };
    create(json!({"bk_module_name": "foo"})).fails_with(1_199_014).naming("bk_module_name");
    create(json!({"service_category_id": 0})).fails_with(1_108_036);
    create(json!({"service_category_id": 4})).fails_with(1_108_036);
    create(json!({"service_template_id": 99_999})).fails_with(1_199_006).naming("service_template_id");
    create(json!({"service_template_id": "1"})).fails_with(1_199_006).naming("service_template_id");
    let other = case.app.estate_named("other", "10.9.9");
    let foreign = case.app.service_template(&other, "st");
    create(json!({"service_template_id": foreign})).fails_with(1_199_006).naming("service_template_id");
}

/// templates 8.1 path b, E44, E45, E55
#[test]
fn hosts_that_join_get_their_instances() {
    let mut other = named("other");
    other["bind_info"] =
        json!({"value": [{"ip": {"value": "4"}, "port": {"value": "80,443"}, "protocol": {"value": "1"}}]});
    let case = Case::new(vec![job(), other]);
    case.transfer(&case.estate.hosts[..2], json!({}));
    let instances = case.instances();
    assert_eq!(ids(&instances, "bk_host_id"), case.estate.hosts[..2]);
    for (instance, host) in instances.iter().zip(1..) {
        assert_eq!(instance["name"], format!("10.0.0.{host}_job_8080"));
        assert_eq!(instance["service_template_id"], case.template);
        let processes = case.processes(instance["id"].as_i64().unwrap());
        let followed: Vec<_> =
            processes.iter().map(|it| it["relation"]["process_template_id"].as_i64().unwrap()).collect();
        assert_eq!(followed, case.template_ids());
        let job = &processes[0]["property"];
        let told = ["bk_process_name", "proc_num", "user", "timeout", "start_cmd", "auto_start"].map(|it| &job[it]);
        assert_eq!(told, [&json!("job"), &json!(2), &json!("www"), &json!(30), &Value::Null, &Value::Null]);
        let row = json!([{"enable": true, "ip": format!("10.0.0.{host}"), "port": "8080", "protocol": "1",
            "template_row_id": 1}]);
        assert_eq!(job["bind_info"], row);
        let row = json!([{"enable": false, "ip": "", "port": "80,443", "protocol": "1", "template_row_id": 1}]); // E46
        assert_eq!(processes[1]["property"]["bind_info"], row);
    }
    // Those who are there already get nothing more, and who asks for none gets none.
    case.transfer(&case.estate.hosts[..3], json!({"disable_auto_create": true}));
    assert_eq!(case.instances(), instances);
    case.app.check();
}

#[test]
fn no_process_template_no_instance() {
    // templates E55
    let case = Case::new(vec![]);
    case.transfer(&case.estate.hosts, json!({}));
    assert_eq!(case.instances(), Vec::<Value>::new());
    let wanted = json!([{"bk_host_id": case.estate.hosts[0], "processes": []}]);
    case.create(wanted).fails_with(1_199_006).naming("service_template_id");
}

/// The user's document on create_service_instance: fields that are not locked take what is sent; templates E48.
#[test]
fn a_caller_says_what_the_template_leaves_open() {
    let case = Case::new(vec![job(), named("other")]);
    let hosts = &case.estate.hosts;
    case.transfer(hosts, json!({"disable_auto_create": true}));
    let templates = case.template_ids();
    let info = json!({"bk_func_name": "java", "bk_process_name": "ignored", "user": "root", "proc_num": 7, "timeout": null,
        "bind_ip": "1", "port": "8008,8443", "protocol": "2", "bk_biz_id": 2, "bk_process_id": 1, "start_cmd": "go"});
    let made = case.create(json!([
        {"bk_host_id": hosts[0], "processes": [
            {"process_template_id": templates[0], "process_info": info},
            {"process_template_id": 99_999, "process_info": {"user": "nobody"}}]},
        {"bk_host_id": hosts[1]},
        {"bk_host_id": hosts[2], "service_instance_name": "named", "processes": []},
    ]));
    let made = made.data();
    let processes = case.processes(made[0].as_i64().unwrap());
    let job = &processes[0]["property"];
    assert_eq!(
        ["bk_process_name", "bk_func_name", "user", "proc_num", "timeout", "start_cmd"].map(|field| &job[field]),
        [&json!("job"), &json!("job"), &json!("root"), &json!(2), &Value::Null, &json!("go")]
    );
    // Rows of older releases are rows 1, 2, …: the port is open, address and protocol are locked.
    let row = json!([{"enable": true, "ip": "10.0.0.1", "port": "8008", "protocol": "1", "template_row_id": 1}]);
    assert_eq!(job["bind_info"], row);
    assert_eq!(processes[1]["property"]["user"], Value::Null);
    let names: Vec<_> = case.instances().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["10.0.0.1_job_8080", "10.0.0.2_job_8080", "named"]);
    case.app.check();
}

/// instances E9, E10
#[test]
fn a_host_has_one_instance_of_a_template() {
    let case = Case::new(vec![job()]);
    case.instance();
    let hosts = &case.estate.hosts;
    case.transfer(hosts, json!({"disable_auto_create": true}));
    let before = case.instances();
    let again = json!([{"bk_host_id": hosts[1]}, {"bk_host_id": hosts[0]}, {"bk_host_id": hosts[1]}]);
    let refused = case.create(again.clone());
    refused.fails_with(1_113_016).naming("10.0.0.1").naming("instances[1].bk_host_id");
    refused.naming("10.0.0.2").naming("instances[2].bk_host_id");
    assert!(!refused.message().contains("instances[0]"));
    let body = json!({"bk_biz_id": case.estate.business, "bk_module_id": case.module, "instances": again});
    let headers = [("BK_User", USER), ("HTTP_BLUEKING_LANGUAGE", "zh-cn")];
    let refused = case.app.send("POST", "/api/v3/create/proc/service_instance", &headers, body);
    refused.fails_with(1_113_016).naming("已有服务实例").naming("10.0.0.1").naming("10.0.0.2");
    assert_eq!(case.instances(), before);
}

#[test]
fn a_bad_entry_makes_nothing() {
    let mut second = named("second");
    second["bk_func_name"] = open(json!("job"));
    second["bk_start_param_regex"] = locked(json!("-b"));
    let mut first = job();
    first["bk_start_param_regex"] = open(json!("-a"));
    let case = Case::new(vec![first, second]);
    let hosts = &case.estate.hosts;
    case.transfer(hosts, json!({"disable_auto_create": true}));
    let template = case.template_ids()[0];
    let count = || case.app.number("SELECT count(*) FROM event");
    let before = count();
    let of = |info: Value| {
        json!([{"bk_host_id": hosts[1], "processes": []},
            {"bk_host_id": hosts[0], "processes": [{"process_template_id": template, "process_info": info}]}])
    };
    let at = "instances[1].processes[0].process_info";
    case.create(of(json!({"user": "x".repeat(257)}))).fails_with(1_199_011).naming(&format!("{at}.user"));
    case.create(of(json!({"user": 5}))).fails_with(1_199_000).naming(&format!("{at}.user"));
    case.create(of(json!({"bk_start_param_regex": "-b"}))).fails_with(1_199_014);
    let rows = json!({"bind_info": [{"template_row_id": 1, "port": "9-8", "enable": true}]});
    case.create(of(rows)).fails_with(1_199_011).naming(&format!("{at}.bind_info[0].port"));
    assert_eq!((count(), case.instances()), (before, vec![]));
    // Wrong values for what is locked do not count.
    case.create(of(json!({"proc_num": 99_999, "bk_process_name": ""}))).data();
}

/// The user's document on update_process_instance; templates E49 to E53
#[test]
fn an_update_changes_what_is_not_locked() {
    let case = Case::new(vec![job()]);
    let instance = case.instance();
    let id = case.processes(instance)[0]["property"]["bk_process_id"].as_i64().unwrap();
    let property = || case.processes(instance)[0]["property"].clone();
    let before = property();
    case.update(json!([{"bk_process_id": id, "user": "root", "proc_num": 9, "bk_process_name": "x"}])).data();
    let after = property();
    for (field, value) in after.as_object().unwrap() {
        match field.as_str() {
            "user" => assert_eq!(value, "root"),
            "last_time" | "bk_updated_at" | "bk_updated_by" => {}
            // What is left out stays, the ports too: E49 and defect 1.
            _ => assert_eq!(value, &before[field], "{field}"),
        }
    }
    let ports =
        |port: &str| json!([{"enable": true, "ip": "10.0.0.1", "port": port, "protocol": "1", "template_row_id": 1}]);
    let rows = json!([{"template_row_id": 1, "ip": "9.9.9.9", "port": "99", "protocol": "2", "enable": true},
        {"template_row_id": 2, "port": "100", "protocol": "1", "enable": true}]);
    case.update(json!([{"bk_process_id": id, "bind_info": rows, "timeout": null}])).data();
    assert_eq!((property()["bind_info"].clone(), property()["timeout"].clone()), (ports("99"), Value::Null));
    let short = json!([{"bk_process_id": id, "bind_info": [{"template_row_id": 1, "port": "9"}]}]);
    case.update(short).fails_with(1_199_011).naming("bind_info[0].enable"); // E50
    case.update(json!([{"bk_process_id": id, "bind_info": []}])).data(); // E52
    assert_eq!(property()["bind_info"], ports("8080"));
    let body = json!({"bk_biz_id": case.estate.business, "process_ids": [id],
        "update_data": {"user": "by ids", "proc_num": 5}});
    case.app.native("PUT", "/update/proc/process_instance/by_ids", body).data();
    assert_eq!((property()["user"].clone(), property()["proc_num"].clone()), (json!("by ids"), json!(2)));
    case.app.check();
}

/// templates E54, instances E10, E81
#[test]
fn processes_of_templates_come_and_go_with_them() {
    let case = Case::new(vec![job()]);
    let instance = case.instance();
    let business = case.estate.business;
    let add =
        json!({"bk_biz_id": business, "service_instance_id": instance, "processes": [{"process_info": process("p")}]});
    case.app.post("/create/proc/process_instance", add).fails_with(1_108_035);
    let id = case.processes(instance)[0]["property"]["bk_process_id"].as_i64().unwrap();
    let delete = json!({"bk_biz_id": business, "process_instance_ids": [id]});
    let delete = || case.app.native("DELETE", "/delete/proc/process_instance", delete.clone());
    delete().fails_with(1_113_022);
    let templates = json!({"bk_biz_id": business, "process_templates": case.template_ids()});
    case.app.native("DELETE", "/deletemany/proc/proc_template", templates).data();
    assert_eq!(case.processes(instance)[0]["relation"]["process_template_id"], 0);
    case.app.check();
    delete().data();
    assert_eq!(case.instances(), Vec::<Value>::new());
}

/// templates E86, E87, invariant 23
#[test]
fn a_module_that_is_let_go_keeps_what_it_has() {
    let case = Case::new(vec![job()]);
    let instance = case.instance();
    let before = case.processes(instance);
    let unbind = |business: i64, module: i64| {
        let body = json!({"bk_biz_id": business, "bk_module_id": module});
        case.app.native("DELETE", "/delete/proc/template_binding_on_module", body)
    };
    let other = case.app.estate_named("other", "10.9.9");
    unbind(other.business, case.module).fails_with(1_199_019);
    unbind(case.estate.business, 99_999).fails_with(1_101_034);
    unbind(case.estate.business, case.estate.module).fails_with(1_108_040);
    unbind(case.estate.business, case.module).data();
    unbind(case.estate.business, case.module).fails_with(1_108_040);
    let after = case.processes(instance);
    assert_eq!(after[0]["property"], before[0]["property"]);
    assert_eq!(after[0]["relation"]["process_template_id"], 0);
    assert_eq!(case.instances()[0]["service_template_id"], 0);
    let modules = case.app.documents("SELECT document FROM module");
    let module = modules.into_iter().find(|module| module["bk_module_id"] == case.module).unwrap();
    assert_eq!((&module["service_template_id"], &module["bk_module_name"]), (&json!(0), &json!("st")));
    let add = json!({"bk_biz_id": case.estate.business, "service_instance_id": instance,
        "processes": [{"process_info": process("p")}]});
    case.app.post("/create/proc/process_instance", add).data();
    let ids: Vec<_> = case.processes(instance).iter().map(|it| it["property"]["bk_process_id"].clone()).collect();
    let delete = json!({"bk_biz_id": case.estate.business, "process_instance_ids": ids});
    case.app.native("DELETE", "/delete/proc/process_instance", delete).data();
    case.app.check();
}

#[test]
fn modules_of_a_template_are_listed() {
    let case = Case::new(vec![]);
    let path = format!("/module/bk_biz_id/{}/service_template_id/{}", case.estate.business, case.template);
    let listed = |body: Value| case.app.post(&path, body);
    let data = listed(json!({"fields": ["bk_module_id", "bk_module_name"]})).data();
    assert_eq!(data, json!({"count": 1, "info": [{"bk_module_id": case.module, "bk_module_name": "st"}]}));
    assert_eq!(listed(json!({"keyword": "s"})).data()["count"], 1);
    assert_eq!(listed(json!({"keyword": "S"})).data()["count"], 0);
    assert_eq!(listed(json!({"bk_module_ids": [case.estate.module]})).data()["count"], 0);
    listed(json!({"page": {"limit": 1001}})).fails_with(1_199_059);
    case.app.post("/module/bk_biz_id/x/service_template_id/1", json!({})).fails_with(1_199_009);
}
