//! create_process_instance and list_process_instance: the edge cases of `instances` §17, named by their numbers.

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, process};

struct Case {
    app: TestApp,
    estate: Estate,
    instance: i64,
}

impl Case {
    fn new() -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        let instance = app.instance(&estate, process("first"));
        Self { app, estate, instance }
    }

    fn create(&self, processes: Vec<Value>) -> Answer {
        let processes: Vec<_> = processes.into_iter().map(|info| json!({"process_info": info})).collect();
        self.send(json!({"processes": processes}))
    }

    fn send(&self, mut more: Value) -> Answer {
        let fields = more.as_object_mut().unwrap();
        fields.entry("bk_biz_id").or_insert(self.estate.business.into());
        fields.entry("service_instance_id").or_insert(self.instance.into());
        self.app.post("/create/proc/process_instance", more)
    }

    fn list(&self) -> Value {
        let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": self.instance});
        self.app.post("/findmany/proc/process_instance", body).data()
    }

    /// The stored property of a process made with this beside its names.
    fn stored(&self, name: &str, more: Value) -> Value {
        let mut info = process(name);
        info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.create(vec![info]).data();
        self.list().as_array().unwrap().last().unwrap()["property"].clone()
    }
}

#[test]
fn e36_to_e38_sizes_and_owners() {
    let case = Case::new();
    let before = case.list();
    case.create(vec![]).fails_with(1_199_011).naming("processes"); // E36
    case.send(json!({})).fails_with(1_199_011).naming("processes");
    let many = |n: usize| (0..n).map(|i| process(&format!("p{i}"))).collect::<Vec<_>>();
    case.create(many(101)).fails_with(1_199_035).naming("100"); // E36
    let one = json!([{"process_info": process("p")}]);
    for id in [99_999, 0, -1] {
        case.send(json!({"service_instance_id": id, "processes": one})).fails_with(1_199_019); // E37
    }
    let other = case.app.estate_named("other", "10.9.0");
    for id in [other.business, 0, -3, 2] {
        case.send(json!({"bk_biz_id": id, "processes": one})).fails_with(1_199_006).naming("bk_biz_id"); // E37
    }
    assert_eq!(case.list(), before);
    assert_eq!(case.create(many(100)).data().as_array().unwrap().len(), 100);
}

#[test]
fn e39_one_clash_and_nothing_is_made() {
    let case = Case::new();
    let before = case.list();
    let events = case.app.number("SELECT count(*) FROM event");
    case.create(vec![process("new"), process("first")])
        .fails_with(1_199_014)
        .naming("processes[1].process_info.bk_process_name"); // E39
    assert_eq!(case.list(), before);
    assert_eq!(case.app.number("SELECT count(*) FROM event"), events);
}

#[test]
fn a_clash_is_told_beside_what_is_wrong_with_others() {
    // design §4: a stage reports all its bad items, and the code is that of a clash if there is one
    let case = Case::new();
    let mut bad = process("bad");
    bad["priority"] = json!(-101);
    case.create(vec![bad, process("new"), process("first"), process("new")])
        .fails_with(1_199_014)
        .naming("processes[0].process_info.priority")
        .naming("processes[2].process_info.bk_process_name")
        .naming("processes[3].process_info.bk_process_name");
}

#[test]
fn a_missing_name_counts_before_a_bad_value() {
    // instances 4.4
    let case = Case::new();
    let nameless = json!({"proc_num": 0, "bk_func_name": null});
    case.create(vec![nameless.clone()])
        .fails_with(1_199_010)
        .naming("processes[0].process_info.bk_process_name")
        .naming("processes[0].process_info.proc_num");
    let mut bad = process("bad");
    bad["priority"] = json!(-101);
    case.create(vec![bad, nameless]).fails_with(1_199_011);
}

#[test]
fn e40_e54_what_the_caller_cannot_set() {
    let case = Case::new();
    let stored = case.stored(
        "own",
        json!({"bk_process_id": 1, "bk_biz_id": 2, "bk_supplier_account": "9", "create_time": "x", "last_time": "x",
            "service_instance_id": 77, "bk_created_by": "x", "bk_updated_by": "x", "foo": 1, "bk_obj_id": "x"}),
    );
    assert_eq!(stored["bk_biz_id"], case.estate.business);
    assert_eq!(stored["service_instance_id"], case.instance);
    assert_eq!(stored["bk_supplier_account"], "0");
    assert_eq!(stored["bk_created_by"], "ops");
    assert_eq!(stored["bk_updated_by"], Value::Null);
    assert!(stored["bk_process_id"].as_i64().unwrap() > 1);
    for key in ["foo", "bk_obj_id", "default"] {
        assert!(stored.get(key).is_none(), "{key}"); // E54, D29
    }
}

#[test]
fn e41_to_e50_and_e56_bind_rows() {
    let case = Case::new();
    let row = |more: Value| {
        let mut row = json!({"enable": true, "ip": "127.0.0.1", "port": "80", "protocol": "1"});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let mut names = (0..).map(|i| format!("b{i}"));
    for (cell, want) in [
        (json!({"port": "8080-8090"}), Ok("8080-8090")), // E43
        (json!({"port": " 81 "}), Ok("81")),
        (json!({"port": "8090-8080"}), Err("port")),
        (json!({"port": "8080,8081"}), Err("port")),
        (json!({"port": 80}), Err("port")), // E44
        (json!({"port": "0"}), Err("port")),
        (json!({"port": "080"}), Err("port")),
        (json!({"port": "65536"}), Err("port")),
        (json!({"port": ""}), Err("port")),
        (json!({"port": null}), Err("port")),
        (json!({"protocol": 1}), Err("protocol")), // E45
        (json!({"protocol": "5"}), Err("protocol")),
        (json!({"protocol": null}), Err("protocol")),
        (json!({"ip": ""}), Ok("80")), // E46
        (json!({"ip": null}), Ok("80")),
        (json!({"ip": "localhost"}), Err("ip")), // E47
        (json!({"ip": "256.1.1.1"}), Err("ip")),
        (json!({"ip": "001.2.3.4"}), Err("ip")),
        (json!({"ip": "1.2.3.4,5.6.7.8"}), Err("ip")),
        (json!({"ip": "::1"}), Ok("80")),           // E48
        (json!({"enable": null}), Err("enable")),   // E49
        (json!({"enable": "true"}), Err("enable")), // E49
        (json!({"nope": 1}), Err("nope")),
    ] {
        let name = names.next().unwrap();
        let mut info = process(&name);
        info["bind_info"] = json!([row(cell.clone())]);
        let answer = case.create(vec![info]);
        match want {
            Ok(port) => {
                answer.data();
                let list = case.list();
                assert_eq!(
                    list.as_array().unwrap().last().unwrap()["property"]["bind_info"][0]["port"],
                    port,
                    "{cell}"
                );
            }
            Err(key) => {
                let path = format!("processes[0].process_info.bind_info[0].{key}");
                answer.fails_with(1_199_011).naming(&path);
            }
        }
    }
    assert_eq!(case.stored("empty", json!({"bind_info": []}))["bind_info"], json!([])); // E50
    assert_eq!(case.stored("null", json!({"bind_info": null}))["bind_info"], Value::Null);
    assert_eq!(case.stored("absent", json!({}))["bind_info"], Value::Null);
    let object = case.stored("object", json!({"bind_info": row(json!({}))}));
    assert_eq!(object["bind_info"][0]["port"], "80", "one object is one row (design §4, not E41)");
    let row_id = case.stored("row_id", json!({"bind_info": [row(json!({"row_id": 5}))]}));
    assert_eq!(row_id["bind_info"][0]["template_row_id"], 5, "another name of template_row_id (design §4, not E42)");
    let twins = json!({"bind_info": [row(json!({"template_row_id": 1})), row(json!({"template_row_id": 1}))]});
    assert_eq!(case.stored("twins", twins)["bind_info"].as_array().unwrap().len(), 2); // E56
    let bare = case.stored("bare", json!({"bind_info": [{}]}));
    let nulls = json!({"enable": null, "ip": null, "port": null, "protocol": null, "template_row_id": 0});
    assert_eq!(bare["bind_info"], json!([nulls]), "a missing cell is kept as null (design §4)");
}

#[test]
fn e51_to_e53_and_e55_ranges_and_lengths() {
    let case = Case::new();
    for (field, good, bad) in [
        ("priority", vec![json!(-100), json!(10_000), Value::Null], vec![json!(-101), json!(10_001), json!(1.5)]),
        ("proc_num", vec![json!(1), json!(10_000)], vec![json!(0), json!(10_001), json!("2")]),
        ("timeout", vec![json!(0), json!(10_000)], vec![json!(-1)]),
        ("bk_start_check_secs", vec![json!(0), json!(600)], vec![json!(601)]),
        ("description", vec![json!("x".repeat(256))], vec![json!("x".repeat(257))]),
        ("start_cmd", vec![json!("x".repeat(2000))], vec![json!("x".repeat(2001))]),
        ("auto_start", vec![json!(true), Value::Null], vec![json!("true"), json!(1)]),
    ] {
        for (i, value) in good.into_iter().enumerate() {
            assert_eq!(case.stored(&format!("{field}{i}"), json!({field: value}))[field], value); // I-12
        }
        for value in bad {
            let mut info = process("bad");
            info[field] = value;
            case.create(vec![info]).fails_with(1_199_011).naming(&format!("processes[0].process_info.{field}"));
        }
    }
    assert_eq!(case.stored("default", json!({}))["auto_start"], false); // E55
}

#[test]
fn e95_and_the_checks_of_list_process_instance() {
    let case = Case::new();
    let list = |business: Value, instance: Value| {
        let body = json!({"bk_biz_id": business, "service_instance_id": instance});
        case.app.post("/findmany/proc/process_instance", body)
    };
    let business = json!(case.estate.business);
    let other = case.app.estate_named("other", "10.9.0");
    assert_eq!(list(business.clone(), json!(99_999)).data(), json!([])); // E95
    assert_eq!(list(business.clone(), json!(-1)).data(), json!([]));
    assert_eq!(list(json!(other.business), json!(case.instance)).data(), json!([])); // I-27
    assert_eq!(list(Value::Null, json!(case.instance)).data(), case.list());
    assert_eq!(list(Value::Null, json!(99_999)).data(), json!([]));
    list(business.clone(), json!(0)).fails_with(1_199_006).naming("service_instance_id");
    list(business, Value::Null).fails_with(1_199_006).naming("service_instance_id");
    list(json!(0), json!(case.instance)).fails_with(1_199_006).naming("bk_biz_id");
    list(json!(-1), json!(case.instance)).fails_with(1_199_006).naming("bk_biz_id");
}

#[test]
fn the_list_carries_what_clients_read() {
    // instances 10.17
    let case = Case::new();
    let list = case.list();
    let property = list[0]["property"].as_object().unwrap();
    let relation = list[0]["relation"].as_object().unwrap();
    for key in [
        "auto_start",
        "bind_info",
        "bk_biz_id",
        "bk_created_at",
        "bk_created_by",
        "bk_func_name",
        "bk_process_id",
        "bk_process_name",
        "bk_start_check_secs",
        "bk_start_param_regex",
        "bk_supplier_account",
        "bk_updated_at",
        "bk_updated_by",
        "create_time",
        "description",
        "face_stop_cmd",
        "last_time",
        "pid_file",
        "priority",
        "proc_num",
        "reload_cmd",
        "restart_cmd",
        "service_instance_id",
        "start_cmd",
        "stop_cmd",
        "timeout",
        "user",
        "work_path",
    ] {
        assert!(property.contains_key(key), "{key}");
    }
    let keys: Vec<_> = relation.keys().map(String::as_str).collect();
    for key in [
        "bk_biz_id",
        "bk_process_id",
        "service_instance_id",
        "process_template_id",
        "bk_host_id",
        "bk_supplier_account",
    ] {
        assert!(keys.contains(&key), "{key}");
    }
    let time = property["create_time"].as_str().unwrap();
    assert!(time.ends_with("+08:00") && time.len() == 29, "{time}");
}

#[test]
fn every_write_leaves_one_audit_entry_and_its_events() {
    // instances I-28, topology E54
    let case = Case::new();
    let audits = "SELECT count(*) FROM audit WHERE resource_type = 'service_instance' AND action = 'update'";
    assert_eq!(case.app.number(audits), 0);
    case.create(vec![process("a"), process("b")]).data();
    assert_eq!(case.app.number(audits), 1);
    assert_eq!(case.app.number("SELECT count(*) FROM event WHERE kind = 9 AND operation = 1"), 3);
    let same_request = "SELECT count(DISTINCT request_id) FROM event WHERE kind = 9";
    assert_eq!(case.app.number(same_request), 2);
}

#[test]
fn without_the_right_forbidden_and_absent_look_the_same() {
    let app = TestApp::with().administrator("root").start();
    let as_root = |path: &str, body: Value| app.native_as("root", "POST", path, body).data();
    let make = |name: &str, network: &str| {
        let business = as_root("/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "x"}))["bk_biz_id"].clone();
        let set = as_root(&format!("/set/{business}"), json!({"bk_set_name": "s", "bk_parent_id": business}));
        let set = set["bk_set_id"].clone();
        let module = json!({"bk_module_name": "m", "bk_parent_id": set});
        let module = as_root(&format!("/module/{business}/{set}"), module)["bk_module_id"].clone();
        let hosts = json!({"bk_biz_id": business, "bk_host_list": [{"bk_host_innerip": format!("{network}.1")}]});
        let hosts = as_root("/hosts/add/business_idle", hosts)["bk_host_ids"].clone();
        as_root("/hosts/modules", json!({"bk_biz_id": business, "bk_host_id": hosts, "bk_module_id": [module]}));
        let instances = json!([{"bk_host_id": hosts[0], "processes": [{"process_info": process("p")}]}]);
        let body = json!({"bk_biz_id": business, "bk_module_id": module, "instances": instances});
        (business, module, hosts[0].clone(), as_root("/create/proc/service_instance", body)[0].clone())
    };
    let (mine, my_module, my_host, my_instance) = make("mine", "10.1.0");
    let (theirs, their_module, _, their_instance) = make("theirs", "10.2.0");
    app.grant("ops", Action::EditServiceInstance, mine.as_i64());
    app.grant("ops", Action::CreateServiceInstance, mine.as_i64());
    let create = |business: &Value, instance: &Value| {
        let processes = json!([{"process_info": process("q")}]);
        let body = json!({"bk_biz_id": business, "service_instance_id": instance, "processes": processes});
        app.native("POST", "/create/proc/process_instance", body)
    };
    let text = |answer: Answer| answer.json()["message"].as_str().unwrap().to_owned();
    // A business without the right: refused, whether it exists or not.
    for business in [&theirs, &json!(99_999)] {
        let answer = create(business, &their_instance);
        answer.fails_with(9_900_403);
        let resource = &answer.json()["permission"]["actions"][0]["related_resource_types"][0];
        assert_eq!(answer.json()["permission"]["actions"][0]["id"], "edit_biz_service_instance");
        assert_eq!(resource["instances"][0][0]["id"], business.to_string());
    }
    // Their instance through my business, or through none: the answer of an id that does not exist.
    let unknown = json!(99_999);
    for business in [&mine, &Value::Null] {
        let (absent, foreign) = (create(business, &unknown), create(business, &their_instance));
        absent.fails_with(1_199_019);
        foreign.fails_with(1_199_019);
        assert_eq!(text(absent), text(foreign));
    }
    create(&mine, &my_instance).data();
    let in_module = |business: &Value, module: &Value| {
        let instances = json!([{"bk_host_id": my_host, "processes": [{"process_info": process("q")}]}]);
        let body = json!({"bk_biz_id": business, "bk_module_id": module, "instances": instances});
        app.native("POST", "/create/proc/service_instance", body)
    };
    in_module(&theirs, &their_module).fails_with(9_900_403);
    for business in [&mine, &Value::Null] {
        in_module(business, &unknown).fails_with(1_101_034);
        in_module(business, &their_module).fails_with(1_101_034);
    }
    in_module(&mine, &my_module).data();
    // Who has the right on both is told the real reason.
    app.grant("ops", Action::EditServiceInstance, theirs.as_i64());
    create(&mine, &their_instance).fails_with(1_199_006).naming("bk_biz_id");
}

/// Indexes of some engines have a largest entry, and what is compressed fits: so texts are random here.
#[test]
fn texts_that_are_unique_may_be_as_long_as_any() {
    let case = Case::new();
    let mut state = 7_u64;
    let mut random = |bytes: usize| -> String {
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from((state >> 33) % 94).unwrap())
        };
        (0..bytes).map(|_| letter()).collect()
    };
    let (name, func, param) = (random(256), random(256), random(2000));
    let info = json!({"bk_process_name": name, "bk_func_name": func, "bk_start_param_regex": param});
    case.create(vec![info]).data();
    let mut twin = process("twin");
    twin["bk_func_name"] = func.as_str().into();
    twin["bk_start_param_regex"] = param.as_str().into();
    case.create(vec![twin]).fails_with(1_199_014).naming("bk_func_name");
    let stored = case.list().as_array().unwrap().last().unwrap()["property"].clone();
    assert_eq!((&stored["bk_process_name"], &stored["bk_start_param_regex"]), (&name.into(), &param.into()));
}
