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

    fn compare(&self) -> Value {
        let body = json!({"bk_biz_id": self.estate.business, "bk_module_id": self.module,
            "service_template_id": self.template});
        self.app.post("/find/proc/service_template/general_difference", body).data()
    }

    /// What is told of the module by the question whether it needs a synchronization.
    fn need(&self) -> Value {
        let path = format!("/findmany/proc/service_template/sync_status/biz/{}", self.estate.business);
        self.app.post(&path, json!({"bk_module_ids": [self.module]})).data()["modules"].clone()
    }

    /// Fails unless the module is as its template wants it.
    fn is_clean(&self) {
        let clean = json!({"changed": null, "added": null, "removed": null, "attributes": []});
        let need = json!([{"bk_module_id": self.module, "need_sync": false}]);
        assert_eq!((self.compare(), self.need()), (clean, need));
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
    let second = json!({"bk_set_name": "second", "bk_parent_id": business});
    let second = case.app.post(&format!("/set/{business}"), second).data()["bk_set_id"].as_i64().unwrap();
    let named_foo = json!({"bk_parent_id": second, "service_template_id": case.template, "bk_module_name": "foo"});
    let made = case.app.post(&format!("/module/{business}/{second}"), named_foo).data();
    assert_eq!(made["bk_module_name"], "st");
    assert_eq!(document(made["bk_module_id"].as_i64().unwrap())["bk_module_name"], "st");
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

/// templates E55, instances E11
#[test]
fn no_process_template_no_instance() {
    let case = Case::new(vec![]);
    case.transfer(&case.estate.hosts, json!({}));
    assert_eq!(case.instances(), Vec::<Value>::new());
    case.is_clean();
    let wanted = json!([{"bk_host_id": case.estate.hosts[0], "processes": []}]);
    case.create(wanted).fails_with(1_199_006).naming("service_template_id");
    let job = case.app.process_templates(&case.estate, case.template, vec![job()])[0];
    let lacking = json!({"changed": null, "added": [{"name": "job", "id": job}], "removed": null, "attributes": []});
    let need = json!([{"bk_module_id": case.module, "need_sync": true}]);
    assert_eq!((case.compare(), case.need()), (lacking, need));
    assert_eq!(case.instances(), Vec::<Value>::new());
}

#[test]
fn a_host_with_several_addresses() {
    // templates E44
    let case = Case::new(vec![job()]);
    let body = json!({"bk_biz_id": case.estate.business, "bk_host_list": [{"bk_host_innerip": "10.7.0.1,10.7.0.2"}]});
    let host = case.app.post("/hosts/add/business_idle", body).data()["bk_host_ids"][0].as_i64().unwrap();
    case.transfer(&[host], json!({"is_increment": false}));
    let instances = case.instances();
    assert_eq!(ids(&instances, "bk_host_id"), [host]);
    assert_eq!(instances[0]["name"], "10.7.0.1,10.7.0.2_job_8080");
    let row = json!([{"enable": true, "ip": "10.7.0.1", "port": "8080", "protocol": "1", "template_row_id": 1}]);
    assert_eq!(case.processes(instances[0]["id"].as_i64().unwrap())[0]["property"]["bind_info"], row);
    case.is_clean();
    let again = case.create(json!([{"bk_host_id": host, "processes": []}]));
    again.fails_with(1_113_016).naming("10.7.0.1,10.7.0.2"); // instances E9
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

/// What each process of an instance follows, and some of its fields.
fn outline(processes: &[Value]) -> Vec<Value> {
    let told = |it: &Value| {
        let (follows, property) = (&it["relation"]["process_template_id"], &it["property"]);
        json!([follows, property["bk_process_name"], property["proc_num"], property["user"], property["timeout"]])
    };
    processes.iter().map(told).collect()
}

/// instances E12, E13, and of several entries for one template the last; invariant 9, path a
#[test]
fn every_process_of_the_template_is_made() {
    let case = Case::new(vec![job(), named("other")]);
    let (app, hosts) = (&case.app, &case.estate.hosts);
    let second = app.service_template(&case.estate, "second");
    let foreign = app.process_templates(&case.estate, second, vec![named("job")])[0];
    case.transfer(hosts, json!({"disable_auto_create": true}));
    let [job, other] = case.template_ids()[..] else { panic!("two process templates") };
    let entry = |template: Value, info: Value| json!({"process_template_id": template, "process_info": info});
    let nobody = json!({"user": "nobody", "timeout": 1});
    let made = case.create(json!([
        {"bk_host_id": hosts[0], "processes": [entry(json!(other), json!({"user": "root"}))]},
        {"bk_host_id": hosts[1]},
        {"bk_host_id": hosts[2], "processes": [
            entry(json!(0), nobody.clone()), {"process_info": nobody}, entry(json!(foreign), nobody.clone()),
            entry(json!(job), json!({"user": "first", "timeout": 5})), entry(json!(job), json!({"user": "last"}))]},
    ]));
    let made: Vec<i64> = serde_json::from_value(made.data()).unwrap();
    let told: Vec<_> = made.iter().map(|instance| outline(&case.processes(*instance))).collect();
    let of_job = |user: &str| json!([job, "job", 2, user, 30]);
    let of_other = |user: Value| json!([other, "other", null, user, null]);
    let want = [
        vec![of_job("www"), of_other(json!("root"))],
        vec![of_job("www"), of_other(Value::Null)],
        vec![of_job("last"), of_other(Value::Null)],
    ];
    assert_eq!(told, want);
    case.is_clean();
    app.check();
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

/// instances E17, E18
#[test]
fn a_row_is_taken_as_it_was_sent() {
    let mut spec = job();
    spec["proc_num"] = open(json!(2));
    spec["bind_info"]["value"][0]["protocol"] = open(json!("1"));
    let case = Case::new(vec![spec]);
    case.transfer(&case.estate.hosts, json!({"disable_auto_create": true}));
    let template = case.template_ids()[0];
    let of = |info: Value| {
        case.create(json!([{"bk_host_id": case.estate.hosts[1]}, {"bk_host_id": case.estate.hosts[0],
            "processes": [{"process_template_id": template, "process_info": info}]}]))
    };
    let traces = || {
        ["SELECT count(*) FROM event", "SELECT count(*) FROM audit", "SELECT count(*) FROM process"]
            .map(|count| case.app.number(count))
    };
    let before = traces();
    let at = "instances[1].processes[0].process_info";
    of(json!({"bind_info": [{"template_row_id": 1, "port": "99"}]}))
        .fails_with(1_199_011)
        .naming(&format!("{at}.bind_info[0].protocol"))
        .naming(&format!("{at}.bind_info[0].enable"));
    of(json!({"proc_num": "2"})).fails_with(1_199_000).naming(&format!("{at}.proc_num"));
    assert_eq!((traces(), case.instances()), (before, vec![]));
    let row = json!({"template_row_id": 1, "port": "99", "protocol": "2", "enable": false});
    let made = of(json!({"bind_info": [row], "proc_num": 3})).data();
    let property = case.processes(made[1].as_i64().unwrap())[0]["property"].clone();
    let row = json!([{"enable": false, "ip": "10.0.0.1", "port": "99", "protocol": "2", "template_row_id": 1}]);
    assert_eq!((&property["bind_info"], &property["proc_num"]), (&row, &json!(3)));
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

/// templates E49 and defect 1: the port that the caller chose is not taken back by an update that says nothing of ports.
#[test]
fn ports_that_are_left_out_stay() {
    let case = Case::new(vec![job()]);
    let instance = case.instance();
    let property = || case.processes(instance)[0]["property"].clone();
    let id = property()["bk_process_id"].clone();
    let row = json!({"template_row_id": 1, "ip": "", "port": "99", "protocol": "1", "enable": false});
    case.update(json!([{"bk_process_id": id, "bind_info": [row]}])).data();
    let rows = json!([{"enable": false, "ip": "10.0.0.1", "port": "99", "protocol": "1", "template_row_id": 1}]);
    assert_eq!(property()["bind_info"], rows);
    case.update(json!([{"bk_process_id": id, "user": "root"}])).data();
    assert_eq!((&property()["user"], &property()["bind_info"]), (&json!("root"), &rows));
    let by_ids = json!({"bk_biz_id": case.estate.business, "process_ids": [id], "update_data": {"user": "ann"}});
    case.app.native("PUT", "/update/proc/process_instance/by_ids", by_ids).data();
    assert_eq!((&property()["user"], &property()["bind_info"]), (&json!("ann"), &rows));
    case.is_clean();
}

/// A template may list ports in a row. Where they are not locked they are no new value when they are sent back.
#[test]
fn listed_ports_can_be_sent_back() {
    let mut spec = named("job");
    spec["bind_info"] = json!({"value": [{"row_id": 1, "ip": locked(json!("2")), "port": open(json!("80,443")),
        "protocol": locked(json!("1")), "enable": open(json!(true))}]});
    let case = Case::new(vec![spec]);
    let instance = case.instance();
    let process = || case.processes(instance)[0]["property"].clone();
    let id = process()["bk_process_id"].clone();
    let mut row = process()["bind_info"][0].clone();
    assert_eq!(row["port"], "80,443");
    row["enable"] = json!(false);
    case.update(json!([{"bk_process_id": id, "bind_info": [row]}])).data();
    assert_eq!(process()["bind_info"], json!([row]));
    row["port"] = json!("80,444");
    let refused = case.update(json!([{"bk_process_id": id, "bind_info": [row]}]));
    refused.fails_with(1_199_011).naming("processes[0].bind_info[0].port");
}

/// templates E54, instances 8.4, E38, E81, E86
#[test]
fn processes_of_templates_come_and_go_with_them() {
    let case = Case::new(vec![job(), named("other")]);
    let instance = case.instance();
    let business = case.estate.business;
    let add = || {
        let processes = json!([{"process_info": process("p")}]);
        let body = json!({"bk_biz_id": business, "service_instance_id": instance, "processes": processes});
        case.app.post("/create/proc/process_instance", body)
    };
    add().fails_with(1_108_035);
    let before = case.processes(instance);
    let [job, other] = [&before[0], &before[1]].map(|it| it["property"]["bk_process_id"].as_i64().unwrap());
    let delete = |ids: &[i64]| {
        let body = json!({"bk_biz_id": business, "process_instance_ids": ids});
        case.app.native("DELETE", "/delete/proc/process_instance", body)
    };
    delete(&[job]).fails_with(1_113_022);
    let gone = |template: i64| {
        let body = json!({"bk_biz_id": business, "process_templates": [template]});
        case.app.native("DELETE", "/deletemany/proc/proc_template", body).data();
    };
    let templates = case.template_ids();
    gone(templates[0]);
    let mut let_go = before;
    let_go[0]["relation"]["process_template_id"] = 0.into();
    assert_eq!(case.processes(instance), let_go);
    delete(&[job, other]).fails_with(1_113_022); // E81
    // What was locked is the caller's now, and an update is the whole process again; the instance still follows.
    case.update(json!([{"bk_process_id": job, "bk_process_name": "own", "bk_func_name": "own", "proc_num": 7}])).data();
    let follows = |template: i64, name: &str, number: Value| json!([template, name, number, null, null]);
    let own = [follows(0, "own", json!(7)), follows(templates[1], "other", Value::Null)];
    assert_eq!(outline(&case.processes(instance)), own);
    assert_eq!(case.processes(instance)[0]["property"]["bind_info"], Value::Null);
    add().fails_with(1_108_035);
    case.app.check();
    delete(&[job]).data();
    assert_eq!(case.processes(instance), let_go[1..]);
    gone(templates[1]);
    delete(&[other]).data();
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
    let mut let_go = before;
    let_go[0]["relation"]["process_template_id"] = 0.into();
    assert_eq!(case.processes(instance), let_go);
    assert_eq!((&case.instances()[0]["service_template_id"], case.need()), (&json!(0), json!([])));
    let modules = case.app.documents("SELECT document FROM module");
    let module = modules.into_iter().find(|module| module["bk_module_id"] == case.module).unwrap();
    assert_eq!((&module["service_template_id"], &module["bk_module_name"]), (&json!(0), &json!("st")));
    // What was locked is not any more.
    let row = json!([{"enable": false, "ip": "9.9.9.9", "port": "9", "protocol": "2", "template_row_id": 1}]);
    let data = json!({"proc_num": 9, "bk_process_name": "own", "bk_func_name": "own_bin", "bind_info": row});
    let id = &let_go[0]["property"]["bk_process_id"];
    let body = json!({"bk_biz_id": case.estate.business, "process_ids": [id], "update_data": data});
    case.app.native("PUT", "/update/proc/process_instance/by_ids", body).data();
    let told = case.processes(instance)[0]["property"].clone();
    for (field, value) in data.as_object().unwrap() {
        assert_eq!(&told[field], value, "{field}");
    }
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
