//! The documents are the acceptance: the example body of each goes through every door, verbatim but for ids and credentials, and
//! the answer is held against the document's own. `docs/differences.md` says where and why ours differs.

mod support;

use serde_json::{Value, json};
use support::{APP, Answer, Estate, SECRET, TestApp, USER, authorization};

const DOORS: [&str; 3] = ["esb", "gateway", "native"];

struct Document {
    operation: &'static str,
    path: &'static str,
    request: &'static str,
    answer: &'static str,
}

macro_rules! document {
    ($operation:literal, $path:literal, $file:literal) => {
        Document {
            operation: $operation,
            path: $path,
            request: include_str!(concat!("data/documents/", $file, ".request.json")),
            answer: include_str!(concat!("data/documents/", $file, ".answer.json")),
        }
    };
}

const CREATE_PROCESSES: [Document; 2] = [
    document!("create_process_instance", "/create/proc/process_instance", "create_process_instance.esb"),
    document!("create_process_instance", "/create/proc/process_instance", "create_process_instance.gateway"),
];
const CREATE_INSTANCES: [Document; 2] = [
    document!("create_service_instance", "/create/proc/service_instance", "create_service_instance.esb_old"),
    document!("create_service_instance", "/create/proc/service_instance", "create_service_instance.esb"),
];
const LIST_PROCESSES: Document =
    document!("list_process_instance", "/findmany/proc/process_instance", "list_process_instance.esb");

impl Document {
    /// The example body with other ids at the top, and credentials that are valid here.
    fn body(&self, token: &str, ids: &[(&str, i64)]) -> Value {
        let mut body: Value = serde_json::from_str(self.request).unwrap();
        let fields = body.as_object_mut().unwrap();
        for (key, value) in
            [("bk_app_code", APP), ("bk_app_secret", SECRET), ("bk_username", USER), ("bk_token", token)]
        {
            if fields.contains_key(key) {
                fields.insert(key.into(), value.into());
            }
        }
        for (key, id) in ids {
            assert!(fields.contains_key(*key), "the example has {key}");
            fields.insert((*key).into(), (*id).into());
        }
        body
    }

    fn send(&self, app: &TestApp, door: &str, body: &Value) -> Answer {
        let has_credentials = body.get("bk_app_code").is_some();
        let header = authorization(USER);
        match door {
            "esb" => {
                let headers: &[(&str, &str)] =
                    if has_credentials { &[] } else { &[("X-Bkapi-Authorization", header.as_str())] };
                app.send("POST", &format!("/api/c/compapi/v2/cc/{}/", self.operation), headers, body.clone())
            }
            "gateway" => app.gateway("POST", self.path, body.clone()),
            _ => app.native("POST", self.path, body.clone()),
        }
    }

    /// Every key of the document's answer is there, of the same type, with the same value but for ids and times, and where ours is another
    /// that is told.
    fn holds(&self, answer: &Answer, door: &str, differs: &[(&str, Value)]) {
        assert_eq!(answer.status, 200);
        let order: &[&str] = match door {
            "esb" => &["result", "code", "message", "permission", "request_id", "data"],
            "gateway" => &["result", "code", "message", "permission", "data"],
            _ => &["result", "bk_error_code", "bk_error_msg", "code", "message", "permission", "data"],
        };
        assert_eq!(top_level_keys(&answer.text), order, "{door}");
        let want: Value = serde_json::from_str(self.answer).unwrap();
        let got = answer.json();
        for (key, want) in want.as_object().unwrap() {
            // Only the ESB answers the id of the request in its body.
            if !(key == "request_id" && door != "esb") {
                compare(want, &got[key], key, differs);
            }
        }
    }
}

/// The keys of a JSON object in the order of the text.
fn top_level_keys(text: &str) -> Vec<String> {
    struct Keys;
    impl<'de> serde::de::Visitor<'de> for Keys {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    serde::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_str(text), Keys).unwrap()
}

/// Ids and times and the id of the request are the server's own.
const OUR_OWN: [&str; 7] =
    ["request_id", "bk_process_id", "service_instance_id", "bk_biz_id", "bk_host_id", "create_time", "last_time"];

fn compare(want: &Value, got: &Value, path: &str, differs: &[(&str, Value)]) {
    let name = path.rsplit('.').next().unwrap();
    let same_kind = std::mem::discriminant(want) == std::mem::discriminant(got);
    assert!(same_kind, "{path}: the document has {want}, the answer {got}");
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for (key, want) in want {
                let path = format!("{path}.{key}");
                compare(want, got.get(key).unwrap_or_else(|| panic!("{path} is missing")), &path, differs);
            }
        }
        (Value::Array(want), Value::Array(got)) => {
            assert_eq!(want.len(), got.len(), "{path}");
            for (want, got) in want.iter().zip(got) {
                compare(want, got, &format!("{path}[]"), differs);
            }
        }
        // Ids of what was made.
        _ if path == "data[]" => assert!(got.as_i64().unwrap() > 0),
        _ if OUR_OWN.contains(&name) => {}
        _ => {
            let ours = differs.iter().find(|(at, _)| *at == path);
            assert_eq!(ours.map_or(want, |(_, ours)| ours), got, "{path}");
        }
    }
}

fn app_with_estate() -> (TestApp, Estate) {
    let app = TestApp::new();
    let estate = app.estate();
    (app, estate)
}

#[test]
fn create_process_instance_as_documented() {
    let (app, estate) = app_with_estate();
    for door in DOORS {
        for document in &CREATE_PROCESSES {
            let instance = app.instance(&estate, support::process("first"));
            let body = document.body(&app.token, &[("bk_biz_id", estate.business), ("service_instance_id", instance)]);
            document.holds(&document.send(&app, door, &body), door, &[]);
            let list = json!({"bk_biz_id": estate.business, "service_instance_id": instance});
            let list = app.post("/findmany/proc/process_instance", list).data();
            let sent = &body["processes"][0]["process_info"];
            let stored = &list[1]["property"];
            for (key, value) in sent.as_object().unwrap() {
                if !["bk_biz_id", "bk_process_id"].contains(&key.as_str()) {
                    assert_eq!(&stored[key], value, "{key}");
                }
            }
            assert_eq!(stored["bk_biz_id"], estate.business, "the inner bk_biz_id 2 is overwritten");
        }
    }
}

#[test]
fn create_service_instance_as_documented() {
    let (app, estate) = app_with_estate();
    for door in DOORS {
        for (document, name) in CREATE_INSTANCES.iter().zip(["test1", "10.0.0.2_job_java_80"]) {
            let mut body =
                document.body(&app.token, &[("bk_biz_id", estate.business), ("bk_module_id", estate.module)]);
            body["instances"][0]["bk_host_id"] = estate.hosts[1].into();
            let answer = document.send(&app, door, &body);
            document.holds(&answer, door, &[]);
            let instance = answer.json()["data"][0].as_i64().unwrap();
            let detail =
                json!({"bk_biz_id": estate.business, "service_instance_ids": [instance], "page": {"limit": 1}});
            let detail = app.post("/findmany/proc/service_instance/details", detail).data();
            assert_eq!(detail["info"][0]["name"], name, "the top-level name counts for a single instance");
            let rows = &detail["info"][0]["process_instances"][0]["process"]["bind_info"];
            if name == "test1" {
                // The fields of older releases become rows: bind_ip "1" is the loopback address.
                let row = |port: &str, id: i64| json!({"enable": true, "ip": "127.0.0.1", "port": port, "protocol": "1", "template_row_id": id});
                assert_eq!(*rows, json!([row("8008", 1), row("8443", 2)]));
            } else {
                assert_eq!(*rows, body["instances"][0]["processes"][0]["process_info"]["bind_info"]);
            }
        }
    }
}

/// A process template that fixes names, number, address and protocol and leaves open what else the documents send.
fn template() -> Value {
    let locked = |value: Value| json!({"value": value, "as_default_value": true});
    let open = |value: Value| json!({"value": value, "as_default_value": false});
    json!({"bk_process_name": locked(json!("nginx")), "bk_func_name": locked(json!("nginx_bin")), "proc_num": locked(json!(2)),
        "user": open(json!("www")), "timeout": open(json!(10)), "bind_info": {"as_default_value": true, "value": [
            {"row_id": 1, "ip": locked(json!("3")), "port": open(json!("80")), "protocol": locked(json!("1")),
                "enable": open(json!(true))}]}})
}

/// The property of the process that the documents' bodies make of [`template`].
fn property_of_template(relation: &Value, row: &Value, time: &Value) -> Value {
    json!({
        "bk_process_name": "nginx", "bk_func_name": "nginx_bin", "proc_num": 2, "user": "", "timeout": 30,
        "bind_info": [row], "bk_func_id": "", "auto_time_gap": 60, "work_path": "/data/bkee", "priority": 1,
        "auto_start": false, "description": "", "start_cmd": "", "stop_cmd": "", "restart_cmd": "",
        "reload_cmd": "", "face_stop_cmd": "", "pid_file": "", "bk_start_param_regex": null,
        "bk_start_check_secs": null, "bk_biz_id": relation["bk_biz_id"], "bk_process_id": relation["bk_process_id"],
        "service_instance_id": relation["service_instance_id"], "bk_supplier_account": "0", "create_time": time,
        "last_time": time, "bk_created_at": time, "bk_created_by": USER, "bk_updated_at": time, "bk_updated_by": USER,
    })
}

/// The same bodies where the module follows a template: what is locked is the template's, the rest the caller's. Rows that the template
/// does not have are left out: `instances` E14 to E16.
#[test]
fn create_service_instance_as_documented_on_a_module_that_follows_a_template() {
    let names: [fn(usize) -> String; 2] = [|_| "test1".into(), |host| format!("10.0.0.{}_nginx_80", host + 1)];
    for ((document, port), name) in CREATE_INSTANCES.iter().zip(["8008", "80"]).zip(names) {
        let (app, estate) = app_with_estate();
        let service_template = app.service_template(&estate, "st");
        let process_template = app.process_templates(&estate, service_template, vec![template()])[0];
        let module = app.bound_module(&estate, service_template).data()["bk_module_id"].as_i64().unwrap();
        // A module never has two instances on one host: these are left without, and each door gets one.
        let transfer = json!({"bk_biz_id": estate.business, "bk_host_id": estate.hosts, "bk_module_id": [module],
            "is_increment": true, "disable_auto_create": true});
        app.post("/hosts/modules", transfer).data();
        for (host, door) in DOORS.into_iter().enumerate() {
            let mut body = document.body(&app.token, &[("bk_biz_id", estate.business), ("bk_module_id", module)]);
            body["instances"][0]["bk_host_id"] = estate.hosts[host].into();
            body["instances"][0]["processes"][0]["process_template_id"] = process_template.into();
            let answer = document.send(&app, door, &body);
            document.holds(&answer, door, &[]);
            let instance = app.number("SELECT max(id) FROM service_instance");
            assert_eq!(answer.json()["data"], json!([instance]));
            let ids = [("bk_biz_id", estate.business), ("service_instance_id", instance)];
            let told = LIST_PROCESSES.send(&app, door, &LIST_PROCESSES.body(&app.token, &ids)).data();
            let relation = json!({"bk_biz_id": estate.business, "service_instance_id": instance,
                "bk_process_id": app.number("SELECT max(id) FROM process"), "process_template_id": process_template,
                "bk_host_id": estate.hosts[host], "bk_supplier_account": "0"});
            let row = json!({"enable": true, "ip": format!("10.0.0.{}", host + 1), "port": port, "protocol": "1",
                "template_row_id": 1});
            let time = &told[0]["property"]["create_time"];
            assert!(time.as_str().unwrap().ends_with("+08:00"), "{time}");
            let property = property_of_template(&relation, &row, time);
            assert_eq!(told, json!([{"property": property, "relation": relation}]), "{door}");
            let list = json!({"bk_biz_id": estate.business, "bk_host_ids": [estate.hosts[host]]});
            let listed = app.post("/findmany/proc/service_instance", list).data();
            assert_eq!((&listed["count"], &listed["info"][0]["name"]), (&json!(1), &json!(name(host))));
        }
        app.check();
    }
}

#[test]
fn list_process_instance_as_documented() {
    let (app, estate) = app_with_estate();
    // The process of the document's answer.
    let mut process: Value = serde_json::from_str(CREATE_INSTANCES[0].request).unwrap();
    let process = process["instances"][0]["processes"][0]["process_info"].as_object_mut().unwrap();
    process.insert(
        "bind_info".into(),
        json!([{"enable": false, "ip": "127.0.0.1", "port": "100", "protocol": "1", "row_id": 1}]),
    );
    let instance = app.instance(&estate, Value::Object(process.clone()));
    let body = LIST_PROCESSES.body(&app.token, &[("bk_biz_id", estate.business), ("service_instance_id", instance)]);
    for door in DOORS {
        let differs =
            [("data[].relation.process_template_id", json!(0)), ("data[].relation.bk_supplier_account", json!("0"))];
        LIST_PROCESSES.holds(&LIST_PROCESSES.send(&app, door, &body), door, &differs);
    }
}

#[test]
fn the_business_may_be_left_out_where_the_documents_do_not_list_it() {
    let (app, estate) = app_with_estate();
    let instance = app.instance(&estate, support::process("first"));
    for door in DOORS {
        for document in [&CREATE_PROCESSES[0], &LIST_PROCESSES] {
            let mut body = document.body(&app.token, &[("service_instance_id", instance)]);
            body.as_object_mut().unwrap().remove("bk_biz_id");
            if let Some(process) = body.pointer_mut("/processes/0/process_info") {
                process["bk_process_name"] = format!("via_{door}").into();
                process["bk_func_name"] = format!("via_{door}").into();
            }
            let answer = document.send(&app, door, &body);
            assert!(!answer.data().as_array().unwrap().is_empty());
        }
        let mut body = CREATE_INSTANCES[0].body(&app.token, &[("bk_module_id", estate.module)]);
        body.as_object_mut().unwrap().remove("bk_biz_id");
        body["instances"][0]["bk_host_id"] = estate.hosts[2].into();
        assert_eq!(CREATE_INSTANCES[0].send(&app, door, &body).data().as_array().unwrap().len(), 1);
        body.as_object_mut().unwrap().remove("bk_module_id");
        assert_eq!(CREATE_INSTANCES[0].send(&app, door, &body).data().as_array().unwrap().len(), 1, "one module fits");
    }
}

#[test]
fn bind_info_may_be_one_object_as_the_tables_say() {
    let (app, estate) = app_with_estate();
    for door in DOORS {
        let instance = app.instance(&estate, support::process("first"));
        let document = &CREATE_PROCESSES[1];
        let mut body = document.body(&app.token, &[("bk_biz_id", estate.business), ("service_instance_id", instance)]);
        let rows = &mut body["processes"][0]["process_info"]["bind_info"];
        *rows = rows[0].clone();
        rows.as_object_mut().unwrap().remove("template_row_id");
        rows["row_id"] = 7.into();
        document.send(&app, door, &body).data();
        let list = json!({"bk_biz_id": estate.business, "service_instance_id": instance});
        let list = app.post("/findmany/proc/process_instance", list).data();
        let row = json!({"enable": false, "ip": "127.0.0.1", "port": "80", "protocol": "1", "template_row_id": 7});
        assert_eq!(list[1]["property"]["bind_info"], json!([row]));
    }
}
