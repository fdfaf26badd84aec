//! Reads of processes beyond one service instance: `instances` 10.18 to 10.22 and the edge cases of §17 by their numbers.

mod support;

use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, named, process};

/// Two modules: the first with three instances of the processes nginx, Redis and ÄPFEL, the second with one of nginx.
struct Case {
    app: TestApp,
    estate: Estate,
    other_module: i64,
    /// Instance by instance.
    ids: Vec<i64>,
    instances: Vec<i64>,
}

impl Case {
    fn new() -> Self {
        Self::on(TestApp::new())
    }

    fn on(app: TestApp) -> Self {
        let estate = app.estate();
        let made = json!({"bk_module_name": "other", "bk_parent_id": estate.set});
        let made = app.post(&format!("/module/{}/{}", estate.business, estate.set), made).data();
        let other_module = made["bk_module_id"].as_i64().unwrap();
        let moved = json!({"bk_biz_id": estate.business, "bk_host_id": [estate.hosts[0]],
            "bk_module_id": [other_module], "is_increment": true});
        app.post("/hosts/modules", moved).data();
        let mut case = Self { app, estate, other_module, ids: Vec::new(), instances: Vec::new() };
        for (i, host) in case.estate.hosts.clone().into_iter().enumerate() {
            let [mut nginx, redis, apples] = ["nginx", "Redis", "ÄPFEL"].map(process);
            nginx["priority"] = json!(i);
            case.make(case.estate.module, host, vec![nginx, redis, apples]);
        }
        case.make(case.other_module, case.estate.hosts[0], vec![process("nginx")]);
        case
    }

    fn make(&mut self, module: i64, host: i64, processes: Vec<Value>) {
        let processes: Vec<_> = processes.into_iter().map(|info| json!({"process_info": info})).collect();
        let body = json!({"bk_biz_id": self.estate.business, "bk_module_id": module,
            "instances": [{"bk_host_id": host, "processes": processes}]});
        let instance = self.app.post("/create/proc/service_instance", body).data()[0].as_i64().unwrap();
        let body = json!({"bk_biz_id": self.estate.business, "service_instance_id": instance});
        let listed = self.app.post("/findmany/proc/process_instance", body).data();
        self.ids
            .extend(listed.as_array().unwrap().iter().map(|row| row["property"]["bk_process_id"].as_i64().unwrap()));
        self.instances.push(instance);
    }

    fn ask(&self, path: &str, mut more: Value) -> Answer {
        more.as_object_mut().unwrap().entry("bk_biz_id").or_insert(self.estate.business.into());
        self.app.post(path, more)
    }

    fn names(&self, mut more: Value) -> Answer {
        more.as_object_mut().unwrap().entry("bk_module_id").or_insert(self.estate.module.into());
        self.ask("/findmany/proc/process_instance/name_ids", more)
    }

    fn details(&self, more: Value) -> Answer {
        self.ask("/findmany/proc/process_instance/detail/by_ids", more)
    }

    fn of_business(&self, more: Value) -> Answer {
        self.app.post(&format!("/findmany/proc/process_instance/detail/biz/{}", self.estate.business), more)
    }

    fn related(&self, more: Value) -> Answer {
        self.app.post(&format!("/findmany/proc/process_related_info/biz/{}", self.estate.business), more)
    }

    /// The ids of processes, by their places in [`Case::ids`].
    fn pick<const N: usize>(&self, places: [usize; N]) -> Vec<i64> {
        places.map(|place| self.ids[place]).to_vec()
    }
}

/// Count and ids of a page of related info.
fn found(answer: &Answer) -> (i64, Vec<i64>) {
    let data = answer.data();
    let ids = data["info"].as_array().unwrap().iter().map(|row| row["process"]["bk_process_id"].as_i64().unwrap());
    (data["count"].as_i64().unwrap(), ids.collect())
}

#[test]
fn e96_names_with_their_processes() {
    let case = Case::new();
    let row = |name: &str, places: [usize; 3]| json!({"bk_process_name": name, "process_ids": case.pick(places)});
    let (nginx, redis, apples) = (row("nginx", [0, 3, 6]), row("Redis", [1, 4, 7]), row("ÄPFEL", [2, 5, 8]));
    let names = |more: Value| case.names(more).data();
    let all = json!({"count": 3, "info": [redis, nginx, apples]});
    assert_eq!(
        names(json!({"page": {"limit": 10}})),
        all,
        "I-26: every process of the module once, by the bytes of the names"
    );
    assert_eq!(names(json!({"page": {"limit": 10, "sort": "bk_process_id"}})), all); // E96
    assert_eq!(names(json!({"page": {"limit": 999_999_999, "sort": "+bk_process_name"}})), all);
    let backwards = json!({"count": 3, "info": [apples, nginx, redis]});
    assert_eq!(names(json!({"page": {"limit": 10, "sort": "-bk_process_name"}})), backwards);
    assert_eq!(names(json!({"page": {"start": 1, "limit": 1}})), json!({"count": 3, "info": [nginx]}));
    assert_eq!(names(json!({"page": {"start": 3, "limit": 1}})), json!({"count": 3, "info": []}));
    for (text, want) in [
        ("RED", json!({"count": 1, "info": [redis]})),
        ("äpf", json!({"count": 1, "info": [apples]})),
        ("n", json!({"count": 1, "info": [nginx]})),
        ("n.inx", json!({"count": 0, "info": []})),
        ("(", json!({"count": 0, "info": []})),
        ("%", json!({"count": 0, "info": []})),
    ] {
        assert_eq!(names(json!({"process_name": text, "page": {"limit": 5}})), want, "{text}"); // D6
    }
    assert_eq!(names(json!({"bk_module_id": 99_999, "page": {"limit": 5}})), json!({"count": 0, "info": []}));
    for (more, field) in [
        (json!({"bk_biz_id": 0, "page": {"limit": 5}}), "bk_biz_id"),
        (json!({"bk_module_id": 0, "page": {"limit": 5}}), "bk_module_id"),
        (json!({}), "page.limit"),
        (json!({"page": {"limit": 1001}}), "page.limit"),
    ] {
        case.names(more).fails_with(1_199_006).naming(field);
    }
    let other = case.app.estate_named("other", "10.9.0");
    let foreign = json!({"bk_biz_id": other.business, "page": {"limit": 5}});
    assert_eq!(names(foreign), json!({"count": 0, "info": []}), "I-27");
}

#[test]
fn details_with_relations() {
    // instances 10.19
    let case = Case::new();
    let other = case.app.estate_named("other", "10.9.0");
    case.app.instance(&other, process("theirs"));
    let theirs = case.app.number("SELECT max(id) FROM process");
    let ids = |more: Value| {
        let data = case.details(more).data();
        let rows = data["info"].as_array().unwrap().iter();
        (data["count"].clone(), rows.map(|row| row["process_id"].as_i64().unwrap()).collect::<Vec<_>>())
    };
    let wanted = [case.ids[6], 99_999, case.ids[0], theirs, case.ids[3], case.ids[0]];
    let page = |page: Value| json!({"process_ids": wanted, "page": page});
    assert_eq!(ids(page(json!({"limit": 10}))), (json!(3), case.pick([0, 3, 6])), "D3: no foreign ones");
    assert_eq!(ids(page(json!({"limit": 1, "start": 1}))), (json!(3), case.pick([3])));
    assert_eq!(ids(page(json!({"limit": 1, "start": 5}))), (json!(3), vec![]));
    assert_eq!(ids(page(json!({"limit": 2, "sort": "-priority"}))), (json!(3), case.pick([6, 3])));
    assert_eq!(ids(page(json!({"limit": 9, "sort": "user,-bk_process_id"}))), (json!(3), case.pick([6, 3, 0])));
    assert_eq!(ids(page(json!({"limit": 9, "sort": "-nothing"}))), (json!(3), case.pick([0, 3, 6])));
    assert_eq!(ids(json!({"process_ids": [99_999], "page": {"limit": 9}})), (json!(0), vec![]), "D21");
    let row = case.details(json!({"process_ids": [case.ids[0]], "page": {"limit": 1}})).data()["info"][0].clone();
    let body = json!({"bk_biz_id": case.estate.business, "service_instance_id": case.instances[0]});
    let listed = case.app.post("/findmany/proc/process_instance", body).data()[0].clone();
    assert_eq!((&row["property"], &row["relation"]), (&listed["property"], &listed["relation"]));
    assert_eq!(row["service_instance_name"], "10.0.0.1_nginx");
    case.details(json!({"process_ids": [], "page": {"limit": 1}})).fails_with(1_199_006).naming("process_ids");
    case.details(json!({"process_ids": [1], "page": {"limit": 0}})).fails_with(1_199_006).naming("page.limit");
    case.details(json!({"process_ids": [1]})).fails_with(1_199_006).naming("page.limit");
    case.details(json!({"bk_biz_id": -1, "process_ids": [1], "page": {"limit": 1}})).fails_with(1_199_006);
}

#[test]
fn e99_e100_details_in_a_business() {
    let case = Case::new();
    case.of_business(json!({"bk_process_ids": []})).fails_with(1_199_089).naming("bk_process_ids"); // E99
    case.of_business(json!({})).fails_with(1_199_089);
    let many: Vec<_> = (0..501).collect();
    case.of_business(json!({"bk_process_ids": many})).fails_with(1_199_089).naming("500"); // E99
    assert_eq!(case.of_business(json!({"bk_process_ids": many[..500]})).data().as_array().unwrap().len(), 10);
    let some =
        case.of_business(json!({"bk_process_ids": [case.ids[1], 99_999, case.ids[0]], "fields": ["bk_func_name"]}));
    assert_eq!(some.data(), json!([{"bk_func_name": "nginx"}, {"bk_func_name": "Redis"}])); // E100
    let whole = case.of_business(json!({"bk_process_ids": [case.ids[0]]})).data();
    assert_eq!(whole[0].as_object().unwrap().len(), 28);
    let other = case.app.estate_named("other", "10.9.0");
    let path = format!("/findmany/proc/process_instance/detail/biz/{}", other.business);
    assert_eq!(case.app.post(&path, json!({"bk_process_ids": case.ids})).data(), json!([]), "I-27");
    case.app.post("/findmany/proc/process_instance/detail/biz/x", json!({"bk_process_ids": [1]})).fails_with(1_199_011);
    let esb = json!({"bk_biz_id": case.estate.business, "bk_process_ids": [case.ids[0]], "fields": ["bk_process_id"]});
    assert_eq!(case.app.esb("list_process_detail_by_ids", esb).data(), json!([{"bk_process_id": case.ids[0]}]));
}

#[test]
fn related_info_shows_where_a_process_is() {
    // instances 10.21
    let case = Case::new();
    let answer =
        case.related(json!({"process": {"bk_process_ids": [case.ids[0]]}, "fields": ["user"], "page": {"limit": 1}}));
    let info = json!({
        "set": {"bk_set_id": case.estate.set, "bk_set_name": "set", "bk_set_env": "3"},
        "module": {"bk_module_id": case.estate.module, "bk_module_name": "module"},
        "host": {"bk_host_id": case.estate.hosts[0], "bk_cloud_id": 0, "bk_host_innerip": "10.0.0.1",
            "bk_host_innerip_v6": "", "bk_addressing": "static", "bk_agent_id": ""},
        "service_instance": {"id": case.instances[0], "name": "10.0.0.1_nginx"},
        "process_template": {"id": 0},
        "process": {"bk_process_id": case.ids[0], "bk_process_name": "nginx", "user": ""},
    });
    assert_eq!(answer.data(), json!({"count": 1, "info": [info]}));
    let whole = case.related(json!({"page": {"limit": 1}})).data();
    assert_eq!(whole["info"][0]["process"].as_object().unwrap().len(), 28);
}

#[test]
fn related_info_shows_the_template_of_a_process() {
    // instances 10.21
    let case = Case::new();
    let (business, host) = (case.estate.business, case.estate.hosts[1]);
    let template = case.app.service_template(&case.estate, "st");
    let templates = case.app.process_templates(&case.estate, template, vec![named("first"), named("second")]);
    let module = case.app.bound_module(&case.estate, template).data()["bk_module_id"].clone();
    let moved = json!({"bk_biz_id": business, "bk_host_id": [host], "bk_module_id": [module], "is_increment": true});
    case.app.post("/hosts/modules", moved).data();
    let instance = case.app.number("SELECT max(id) FROM service_instance");
    let last = case.app.number("SELECT max(id) FROM process");
    let info = |template: i64, process: i64, name: &str| {
        json!({
            "set": {"bk_set_id": case.estate.set, "bk_set_name": "set", "bk_set_env": "3"},
            "module": {"bk_module_id": module, "bk_module_name": "st"},
            "host": {"bk_host_id": host, "bk_cloud_id": 0, "bk_host_innerip": "10.0.0.2", "bk_host_innerip_v6": "",
                "bk_addressing": "static", "bk_agent_id": ""},
            "service_instance": {"id": instance, "name": "10.0.0.2_first"},
            "process_template": {"id": template},
            "process": {"bk_process_id": process, "bk_process_name": name},
        })
    };
    let asked = || {
        let body = json!({"module": {"bk_module_ids": [module]}, "fields": ["bk_process_name"], "page": {"limit": 10}});
        case.related(body).data()
    };
    let second = info(templates[1], last, "second");
    let want = json!({"count": 2, "info": [info(templates[0], last - 1, "first"), second]});
    assert_eq!(asked(), want);
    // A template that went leaves the process without one.
    let gone = json!({"bk_biz_id": business, "process_templates": [templates[0]]});
    case.app.native("DELETE", "/deletemany/proc/proc_template", gone).data();
    assert_eq!(asked()["info"], json!([info(0, last - 1, "first"), second]));
}

#[test]
fn e98_conditions_and_pages_of_related_info() {
    let case = Case::new();
    let ask = |conditions: Value| {
        let mut body = json!({"page": {"limit": 100}});
        body.as_object_mut().unwrap().extend(conditions.as_object().unwrap().clone());
        found(&case.related(body))
    };
    let (set, module, other) = (case.estate.set, case.estate.module, case.other_module);
    assert_eq!(ask(json!({})), (10, case.ids.clone()));
    assert_eq!(ask(json!({"set": {"bk_set_ids": []}, "module": {}, "service_instance": null})), (10, case.ids.clone()));
    assert_eq!(ask(json!({"set": {"bk_set_ids": [set]}})), (10, case.ids.clone()));
    assert_eq!(ask(json!({"set": {"bk_set_ids": [99_999]}})), (0, vec![]));
    assert_eq!(ask(json!({"module": {"bk_module_ids": [other]}})), (1, case.pick([9])));
    assert_eq!(
        ask(json!({"set": {"bk_set_ids": [set]}, "module": {"bk_module_ids": [other, 99_999]}})),
        (1, case.pick([9]))
    );
    assert_eq!(ask(json!({"set": {"bk_set_ids": [99_999]}, "module": {"bk_module_ids": [other]}})), (0, vec![]));
    let instances = json!({"ids": [case.instances[1], case.instances[3]]});
    assert_eq!(ask(json!({"service_instance": instances})), (4, case.pick([3, 4, 5, 9])));
    assert_eq!(
        ask(json!({"service_instance": instances, "module": {"bk_module_ids": [module]}})),
        (3, case.pick([3, 4, 5]))
    );
    assert_eq!(ask(json!({"process": {"bk_process_names": ["nginx", "redis"]}})), (4, case.pick([0, 3, 6, 9])));
    let these = json!({"bk_process_names": ["nginx"], "bk_process_ids": case.pick([0, 1, 9])});
    assert_eq!(ask(json!({"process": these})), (2, case.pick([0, 9])));
    assert_eq!(ask(json!({"process": these, "module": {"bk_module_ids": [other]}})), (1, case.pick([9])));
    let page = |page: Value| found(&case.related(json!({"service_instance": instances, "page": page})));
    assert_eq!(page(json!({"start": 1, "limit": 2})), (4, case.pick([4, 5])));
    assert_eq!(page(json!({"start": 4, "limit": 2})), (4, vec![]), "D20: the count stays (not E98)");
    assert_eq!(page(json!({"limit": 999_999_999, "sort": "-bk_process_id"})), (4, case.pick([9, 5, 4, 3])));
    assert_eq!(page(json!({"limit": 9, "sort": "-bk_process_name"})), (4, case.pick([5, 3, 9, 4])));
    assert_eq!(page(json!({"limit": 9, "sort": "-priority"})), (4, case.pick([3, 4, 5, 9])));
    case.related(json!({"page": {"limit": 1001}})).fails_with(1_199_006).naming("page.limit");
    case.related(json!({})).fails_with(1_199_006).naming("page.limit");
    for business in ["0", "-1", "x"] {
        let path = format!("/findmany/proc/process_related_info/biz/{business}");
        case.app.post(&path, json!({"page": {"limit": 1}})).fails_with(1_199_011).naming("bk_biz_id");
    }
    let foreign = case.app.estate_named("other", "10.9.0");
    let path = format!("/findmany/proc/process_related_info/biz/{}", foreign.business);
    for conditions in [
        json!({"process": {"bk_process_ids": case.ids}}),
        json!({"set": {"bk_set_ids": [set]}}),
        json!({"service_instance": {"ids": case.instances}}),
        json!({"module": {"bk_module_ids": [module]}}),
    ] {
        let mut body = conditions;
        body["page"] = json!({"limit": 10});
        assert_eq!(case.app.post(&path, body).data(), json!({"count": 0, "info": []}), "I-27");
    }
    let esb = json!({"bk_biz_id": case.estate.business, "page": {"limit": 1}});
    assert_eq!(found(&case.app.esb("list_process_related_info", esb)), (10, case.pick([0])));
}

#[test]
fn e97_filters_of_related_info() {
    let case = Case::new();
    let rule =
        |field: &str, operator: &str, value: Value| json!({"field": field, "operator": operator, "value": value});
    let all = |rules: Value| json!({"condition": "AND", "rules": rules});
    let ask = |filter: &Value| case.related(json!({"process_property_filter": filter, "page": {"limit": 100}}));
    let nginx = rule("bk_process_name", "equal", json!("nginx"));
    // No filter at all is none; E97: a rule alone, an empty object, groups too deep.
    assert_eq!(found(&ask(&Value::Null)).0, 10);
    ask(&json!({})).fails_with(1_199_000).naming("process_property_filter");
    ask(&json!([nginx])).fails_with(1_199_000).naming("process_property_filter");
    ask(&nginx).fails_with(1_199_006).naming("process_property_filter");
    ask(&all(json!([all(json!([all(json!([nginx]))]))]))).fails_with(1_199_006).naming("rules[0].rules[0]");
    ask(&all(json!([]))).fails_with(1_199_006).naming("process_property_filter.rules");
    ask(&json!({"condition": "XOR", "rules": [nginx]})).fails_with(1_199_006).naming("XOR");
    // Every bad rule is named, before the page is looked at.
    let bad = all(json!([rule("a", "nope", json!(1)), nginx, rule("a b", "in", json!(1))]));
    case.related(json!({"process_property_filter": bad}))
        .fails_with(1_199_006)
        .naming("rules[0].operator")
        .naming("rules[2].field")
        .naming("rules[2].value");
    let ids = |filter: Value| found(&ask(&filter)).1;
    let of = |numbers: &[usize]| numbers.iter().map(|number| case.ids[*number]).collect::<Vec<_>>();
    assert_eq!(ids(all(json!([nginx]))), of(&[0, 3, 6, 9]));
    assert_eq!(ids(all(json!([nginx, rule("priority", "greater", json!(0))]))), of(&[3, 6]));
    assert_eq!(ids(all(json!([rule("bk_process_id", "in", json!([case.ids[1], case.ids[8]]))]))), of(&[1, 8]));
    assert_eq!(ids(all(json!([rule("bk_process_name", "contains", json!("RED"))]))), of(&[1, 4, 7]));
    assert_eq!(
        ids(all(json!([rule("priority", "is_null", Value::Null), rule("bk_process_name", "begins_with", json!("n"))]))),
        of(&[9])
    );
    let either = json!({"condition": "OR", "rules": [
        all(json!([nginx, rule("priority", "equal", json!(2))])),
        rule("bk_process_name", "equal", json!("ÄPFEL")),
    ]});
    assert_eq!(ids(either), of(&[2, 5, 6, 8]));
    // Together with other conditions, sorted and in pages.
    let body = json!({"module": {"bk_module_ids": [case.estate.module]}, "process_property_filter": all(json!([nginx])),
        "page": {"start": 1, "limit": 1, "sort": "-priority"}});
    assert_eq!(found(&case.related(body)), (3, of(&[3])));
}

#[test]
fn who_asks_for_everything_gets_a_bounded_answer() {
    let app = TestApp::with().settings(|settings| {
        settings.dev = true;
        settings.limits.unpaged_rows = 2;
    });
    let case = Case::on(app.start());
    let page = json!({"limit": 999_999_999});
    case.related(json!({"page": page})).fails_with(1_199_059).naming("page");
    case.names(json!({"page": page})).fails_with(1_199_059);
    case.details(json!({"process_ids": case.ids, "page": page})).fails_with(1_199_059);
    let end = json!({"start": 8, "limit": 999_999_999});
    assert_eq!(found(&case.related(json!({"page": end}))), (10, case.pick([8, 9])));
}

#[test]
fn the_ways_of_business_sets_answer_the_same() {
    // instances 10.22
    let case = Case::new();
    let (business, module) = (case.estate.business, case.estate.module);
    for (way, body) in [
        ("process_instance", json!({"bk_biz_id": business, "service_instance_id": case.instances[0]})),
        ("process_instance/name_ids", json!({"bk_biz_id": business, "bk_module_id": module, "page": {"limit": 5}})),
        (
            "process_instance/detail/by_ids",
            json!({"bk_biz_id": business, "process_ids": case.ids, "page": {"limit": 5}}),
        ),
    ] {
        let plain = case.app.post(&format!("/findmany/proc/{way}"), body.clone()).data();
        let of_set = case.app.post(&format!("/findmany/proc/biz_set/7/{way}"), body.clone()).data();
        assert_eq!(plain, of_set, "{way}");
        case.app.post(&format!("/findmany/proc/biz_set/x/{way}"), body).fails_with(1_199_009).naming("bk_biz_set_id");
    }
}

#[test]
fn reads_of_processes_can_be_protected() {
    let app = TestApp::with().settings(|settings| settings.protect_reads = true).start();
    app.grant("ops", rollcall_app::access::Action::FindBusinessResource, Some(2));
    let page = json!({"limit": 1});
    let codes = |business: i64| {
        let body = json!({"bk_biz_id": business, "bk_module_id": 1, "service_instance_id": 1, "process_ids": [1],
            "bk_process_ids": [1], "page": page});
        [
            "/findmany/proc/process_instance/name_ids".to_owned(),
            "/findmany/proc/process_instance/detail/by_ids".to_owned(),
            "/findmany/proc/biz_set/5/process_instance".to_owned(),
            "/findmany/proc/biz_set/5/process_instance/name_ids".to_owned(),
            "/findmany/proc/biz_set/5/process_instance/detail/by_ids".to_owned(),
            format!("/findmany/proc/process_instance/detail/biz/{business}"),
            format!("/findmany/proc/process_related_info/biz/{business}"),
        ]
        .map(|path| app.post(&path, body.clone()).code())
    };
    assert_eq!((codes(2), codes(1)), ([0; 7], [9_900_403; 7]));
}
