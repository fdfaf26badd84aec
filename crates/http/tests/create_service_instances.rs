//! create_service_instance: the edge cases of `instances` §17, named by their numbers, as ruled in `design` §4.

mod support;

use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, process};

struct Case {
    app: TestApp,
    estate: Estate,
}

impl Case {
    fn new() -> Self {
        let app = TestApp::new();
        let estate = app.estate();
        Self { app, estate }
    }

    fn create(&self, change: impl FnOnce(&mut Value)) -> Answer {
        let instance = self.on(0, vec![process("nginx")]);
        let mut body =
            json!({"bk_biz_id": self.estate.business, "bk_module_id": self.estate.module, "instances": [instance]});
        change(&mut body);
        self.app.post("/create/proc/service_instance", body)
    }

    fn on(&self, host: usize, processes: Vec<Value>) -> Value {
        let processes: Vec<_> = processes.into_iter().map(|info| json!({"process_info": info})).collect();
        json!({"bk_host_id": self.estate.hosts[host], "processes": processes})
    }

    fn with_instances(&self, instances: Value) -> Answer {
        self.create(|body| body["instances"] = instances)
    }

    fn with_process(&self, info: Value) -> Answer {
        self.with_instances(json!([self.on(0, vec![info])]))
    }

    /// Nothing was stored: no instance, no process, no audit, no event beside those of the estate.
    fn nothing_stored(&self) {
        for sql in [
            "SELECT count(*) FROM service_instance",
            "SELECT count(*) FROM process",
            "SELECT count(*) FROM audit WHERE resource_type = 'service_instance'",
            "SELECT count(*) FROM event WHERE kind IN (9, 100)",
        ] {
            assert_eq!(self.app.number(sql), 0, "{sql}");
        }
    }

    fn name_of(&self, id: &Value) -> String {
        let body = json!({"bk_biz_id": self.estate.business, "service_instance_ids": [id], "page": {"limit": 1}});
        let page = self.app.post("/findmany/proc/service_instance/details", body).data();
        page["info"][0]["name"].as_str().unwrap().to_owned()
    }
}

#[test]
fn e1_to_e5_sizes_and_modules() {
    let case = Case::new();
    case.with_instances(json!([])).fails_with(1_199_010).naming("instances"); // E1
    let many: Vec<_> = (0..101).map(|_| case.on(0, vec![process("p")])).collect();
    case.with_instances(json!(many)).fails_with(1_199_035).naming("100"); // E2
    case.create(|body| body["bk_module_id"] = 99_999.into()).fails_with(1_101_034); // E3
    let other = case.app.estate_named("other", "10.9.0");
    case.create(|body| body["bk_module_id"] = other.module.into()).fails_with(1_113_004); // E4
    let internal = case.app.native("GET", &format!("/topo/internal/0/{}", case.estate.business), "").data();
    for module in internal["module"].as_array().unwrap() {
        let id = module["bk_module_id"].clone();
        case.create(|body| body["bk_module_id"] = id).fails_with(1_199_006).naming("bk_module_id"); // E5
    }
    case.create(|body| body["bk_module_id"] = "60".into()).fails_with(1_199_000).naming("bk_module_id"); // E34
    case.nothing_stored();
    let first = case.create(|_| {}).data();
    assert_eq!(first, json!([1]), "no id was burned by what failed");
}

#[test]
fn e6_to_e8_hosts_and_processes() {
    let case = Case::new();
    let instances = json!([case.on(0, vec![process("a")]), case.on(1, vec![]), {"bk_host_id": case.estate.hosts[2]}]);
    case.with_instances(instances)
        .fails_with(1_199_010)
        .naming("instances[1].processes")
        .naming("instances[2].processes"); // E6
    let other = case.app.estate_named("other", "10.9.0");
    let mut elsewhere = case.on(0, vec![process("a")]);
    elsewhere["bk_host_id"] = other.hosts[0].into();
    let mut unknown = elsewhere.clone();
    unknown["bk_host_id"] = 99_999.into();
    case.with_instances(json!([case.on(0, vec![process("a")]), elsewhere, unknown]))
        .fails_with(1_110_056)
        .naming(&other.hosts[0].to_string())
        .naming("instances[1].bk_host_id")
        .naming("instances[2].bk_host_id")
        .naming("99999"); // E7
    case.nothing_stored();
    let twice = json!([case.on(0, vec![process("a")]), case.on(0, vec![process("a")])]);
    assert_eq!(case.with_instances(twice).data().as_array().unwrap().len(), 2); // E8
}

#[test]
fn e19_to_e24_and_e33_processes_of_an_instance() {
    let case = Case::new();
    let at = "instances[0].processes[0].process_info";
    case.with_process(json!({"bk_process_name": "n", "bk_func_name": "f", "proc_num": "2"}))
        .fails_with(1_199_011)
        .naming(&format!("{at}.proc_num")); // E19
    case.with_process(json!({"bk_process_name": "n"})).fails_with(1_199_010).naming(&format!("{at}.bk_func_name")); // E20
    for blank in ["", "  \t"] {
        case.with_process(json!({"bk_process_name": blank, "bk_func_name": "f"}))
            .fails_with(1_199_011)
            .naming(&format!("{at}.bk_process_name")); // E21
    }
    let two = |a: Value, b: Value| case.with_instances(json!([case.on(0, vec![a, b])]));
    let named = |name: &str, func: &str| json!({"bk_process_name": name, "bk_func_name": func});
    two(named("n", "f"), named("n", "g"))
        .fails_with(1_199_014)
        .naming("duplicated instances exist")
        .naming("instances[0].processes[1].process_info.bk_process_name"); // E22
    two(named("n", "f"), named("m", "f")).fails_with(1_199_014); // E23
    let instances = json!([case.on(0, vec![]), {"bk_host_id": case.estate.hosts[0], "processes": [{}]}]);
    case.with_instances(instances).fails_with(1_199_010);
    let missing = json!([{"bk_host_id": case.estate.hosts[0], "processes": [{}]}]);
    case.with_instances(missing).fails_with(1_199_010).naming("bk_process_name"); // E33
    case.nothing_stored();
    let mut with_null = named("m", "f");
    with_null["bk_start_param_regex"] = Value::Null;
    two(named("n", "f"), with_null).data(); // E24
}

#[test]
fn e25_to_e31_names() {
    let case = Case::new();
    let named = |name: &str| {
        let mut instance = case.on(0, vec![process("p")]);
        instance["service_instance_name"] = name.into();
        case.with_instances(json!([instance]))
    };
    for long in ["x".repeat(257), "名".repeat(86)] {
        named(&long).fails_with(1_199_006).naming("instances[0].service_instance_name"); // E25
    }
    // The top-level name is named where it stands.
    let top = case.create(|body| body["name"] = "x".repeat(257).into());
    assert!(!top.fails_with(1_199_006).naming("name").message().contains("instances["), "{}", top.message());
    case.nothing_stored();
    for name in ["x".repeat(256), " ".to_owned()] {
        assert_eq!(case.name_of(&named(&name).data()[0]), name); // E25, E26
    }
    let generated = |info: Value| case.name_of(&case.with_process(info).data()[0]);
    let mut info = process("nginx");
    assert_eq!(generated(info.clone()), "10.0.0.1_nginx"); // E28
    info["bind_info"] = json!([{"port": "80"}, {"port": "81"}]);
    assert_eq!(generated(info.clone()), "10.0.0.1_nginx_80"); // E27
    info["bind_info"] = json!([{"ip": "::1"}, {"port": "8080-8090"}]);
    assert_eq!(generated(info), "10.0.0.1_nginx_8080-8090"); // E29
}

#[test]
fn e30_e31_names_of_hosts_with_several_addresses() {
    let case = Case::new();
    let hosts = json!([{"bk_host_innerip": "10.7.0.1,10.7.0.2"}, {"bk_host_innerip_v6": "fe80::7"}]);
    let body = json!({"bk_biz_id": case.estate.business, "bk_host_list": hosts});
    let ids = case.app.post("/hosts/add/business_idle", body).data()["bk_host_ids"].clone();
    let body = json!({"bk_biz_id": case.estate.business, "bk_host_id": ids, "bk_module_id": [case.estate.module]});
    case.app.post("/hosts/modules", body).data();
    let on = |id: &Value| json!([{"bk_host_id": id, "processes": [{"process_info": process("p")}]}]);
    let two = case.with_instances(on(&ids[0])).data();
    assert_eq!(case.name_of(&two[0]), "10.7.0.1,10.7.0.2_p"); // E30
    let v6 = case.with_instances(on(&ids[1])).data();
    assert_eq!(case.name_of(&v6[0]), "fe80:0000:0000:0000:0000:0000:0000:0007_p"); // E31
}

#[test]
fn e35_many_processes_and_the_bound_over_all_instances() {
    let case = Case::new();
    let named = |n: usize| (0..n).map(|i| process(&format!("p{i}"))).collect::<Vec<_>>();
    case.with_instances(json!([case.on(0, named(150))])).data(); // E35
    let too_many: Vec<_> = (0..3).map(|host| case.on(host, named(3334))).collect();
    case.with_instances(json!(too_many)).fails_with(1_199_035).naming("10000");
}

#[test]
fn ids_come_in_request_order_and_rows_agree() {
    let case = Case::new();
    let instances: Vec<_> = (0..20).map(|i| case.on(i % 3, vec![process("a"), process("b")])).collect();
    let ids = case.with_instances(json!(instances)).data();
    let ids: Vec<i64> = ids.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
    assert!(ids.is_sorted() && ids.len() == 20); // instances I-8
    let body = json!({"bk_biz_id": case.estate.business, "page": {"limit": 100, "sort": "id"}});
    let page = case.app.post("/findmany/proc/service_instance/details", body).data();
    assert_eq!(page["count"], 20);
    for (i, instance) in page["info"].as_array().unwrap().iter().enumerate() {
        assert_eq!(instance["id"], ids[i]);
        assert_eq!(instance["bk_host_id"], case.estate.hosts[i % 3]);
        for process in instance["process_instances"].as_array().unwrap() {
            // instances I-1, I-2
            assert_eq!(process["relation"]["service_instance_id"], ids[i]);
            assert_eq!(process["process"]["service_instance_id"], ids[i]);
            assert_eq!(process["relation"]["bk_host_id"], instance["bk_host_id"]);
            assert_eq!(process["relation"]["bk_process_id"], process["process"]["bk_process_id"]);
        }
    }
}

#[test]
fn a_missing_module_is_the_one_all_hosts_share() {
    // design §4
    let case = Case::new();
    let without = |host: usize| {
        let instance = case.on(host, vec![process("p")]);
        case.create(|body| {
            body.as_object_mut().unwrap().remove("bk_module_id");
            body["instances"] = json!([instance]);
        })
    };
    without(0).data();
    let set = case.estate.set;
    let second = json!({"bk_module_name": "second", "bk_parent_id": set});
    let second = case.app.post(&format!("/module/{}/{set}", case.estate.business), second).data();
    let body = json!({"bk_biz_id": case.estate.business, "bk_host_id": [case.estate.hosts[0]],
        "bk_module_id": [second["bk_module_id"]], "is_increment": true});
    case.app.post("/hosts/modules", body).data();
    without(0).fails_with(1_199_010).naming("bk_module_id");
    without(1).data();
    let idle = json!({"bk_biz_id": case.estate.business, "bk_host_id": [case.estate.hosts[1]]});
    case.app.post("/hosts/modules/idle", idle).data();
    without(1).fails_with(1_199_010).naming("bk_module_id");
}

#[test]
fn the_business_is_checked_as_ruled() {
    // design §4
    let case = Case::new();
    for id in [0, -3] {
        case.create(|body| body["bk_biz_id"] = id.into()).fails_with(1_199_006).naming("bk_biz_id");
    }
    case.create(|body| body["bk_biz_id"] = "3".into()).fails_with(1_199_000).naming("bk_biz_id");
    case.create(|body| body["bk_biz_id"] = Value::Null).data();
}

#[test]
fn a_clash_is_told_beside_what_is_wrong_with_others() {
    // design §4: a stage reports all its bad items, and the code is that of a clash if there is one
    let case = Case::new();
    let nameless = json!({"bk_process_name": "n"});
    let answer = case.with_instances(json!([
        case.on(0, vec![nameless, process("a")]),
        case.on(1, vec![process("a"), process("b"), process("a")]),
    ]));
    answer.fails_with(1_199_014);
    answer.naming("instances[0].processes[0].process_info.bk_func_name");
    answer.naming("instances[1].processes[2].process_info.bk_process_name");
    case.nothing_stored();
}

#[test]
fn every_bad_process_of_a_batch_is_named() {
    let case = Case::new();
    let bad = json!({"bk_process_name": "n", "bk_func_name": "f", "bind_info": [{"port": "80,81"}, {"protocol": "9"}]});
    let answer = case.with_instances(json!([case.on(0, vec![process("a"), bad.clone()]), case.on(1, vec![bad])]));
    answer.fails_with(1_199_011);
    for path in ["instances[0].processes[1]", "instances[1].processes[0]"] {
        answer.naming(&format!("{path}.process_info.bind_info[0].port"));
        answer.naming(&format!("{path}.process_info.bind_info[1].protocol"));
    }
    case.nothing_stored();
}
