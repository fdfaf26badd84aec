//! The attributes that service templates fix for their modules, and templates with all that belongs to them: `templates` 5 (S2, S4, S7)
//! and 6, the edge cases 18, 20, 28 and 29, and what is left behind by changes.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use serde_json::{Value, json};
use support::{Answer, TestApp, named, next_millisecond, process};

/// Numbers of attributes of modules, as search_object_attribute tells them.
struct Numbers {
    name: i64,
    kind: i64,
    operator: i64,
    deputy: i64,
}

/// Calls about a template of a business.
struct Case {
    app: TestApp,
    business: i64,
    template: i64,
    numbers: Numbers,
}

impl Case {
    fn new() -> Self {
        let app = TestApp::new();
        let business = business(&app, "b");
        let template = template(&app, business, "st");
        let found = app.post("/find/objectattr", json!({"bk_obj_id": "module"})).data();
        let number = |id: &str| {
            let mut all = found.as_array().unwrap().iter();
            all.find(|row| row["bk_property_id"] == id).unwrap()["id"].as_i64().unwrap()
        };
        let numbers = Numbers {
            name: number("bk_module_name"),
            kind: number("bk_module_type"),
            operator: number("operator"),
            deputy: number("bk_bak_operator"),
        };
        Self { app, business, template, numbers }
    }

    fn body(&self, more: Value) -> Value {
        let mut body = json!({"bk_biz_id": self.business, "id": self.template});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    fn replace(&self, more: Value) -> Answer {
        self.app.native("PUT", "/update/proc/service_template/all_info", self.body(more))
    }

    fn update(&self, more: Value) -> Answer {
        self.app.native("PUT", "/update/proc/service_template/attribute", self.body(more))
    }

    fn delete(&self, more: Value) -> Answer {
        self.app.native("DELETE", "/delete/proc/service_template/attribute", self.body(more))
    }

    fn list(&self, more: Value) -> Answer {
        self.app.post("/findmany/proc/service_template/attribute", self.body(more))
    }

    fn all_info(&self) -> Value {
        self.app.post("/find/proc/service_template/all_info", self.body(json!({}))).data()
    }

    /// Number and value of each attribute of the template.
    fn values(&self) -> Vec<(i64, Value)> {
        let rows = self.list(json!({})).data()["attributes"].clone();
        assert_eq!(self.all_info()["attributes"], rows);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (row["bk_attribute_id"].as_i64().unwrap(), row["bk_property_value"].clone())).collect()
    }

    fn traces(&self) -> [i64; 2] {
        let entries = "SELECT count(*) FROM audit WHERE resource_type = 'service_template'";
        [self.app.number(entries), self.app.number("SELECT count(*) FROM event WHERE kind = 112")]
    }
}

fn business(app: &TestApp, name: &str) -> i64 {
    let made = app.post("/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"})).data();
    made["bk_biz_id"].as_i64().unwrap()
}

fn template(app: &TestApp, business: i64, name: &str) -> i64 {
    let body = json!({"bk_biz_id": business, "name": name, "service_category_id": 2});
    app.post("/create/proc/service_template", body).data()["id"].as_i64().unwrap()
}

fn fixed(attribute: i64, value: impl Into<Value>) -> Value {
    json!({"bk_attribute_id": attribute, "bk_property_value": value.into()})
}

#[test]
fn a_template_is_made_with_its_attributes() {
    let case = Case::new();
    let Numbers { kind, operator, .. } = case.numbers;
    let create = |name: &str, attributes: Value| {
        let body =
            json!({"bk_biz_id": case.business, "name": name, "service_category_id": 2, "attributes": attributes});
        case.app.post("/create/proc/service_template/all_info", body)
    };
    let made = create(" new ", json!([fixed(operator, " ann,tom "), fixed(kind, "2")])).data();
    let id = made["id"].as_i64().unwrap();
    assert_eq!(made, json!({"id": id}));
    let told = case.app.post("/find/proc/service_template/all_info", json!({"bk_biz_id": case.business, "id": id}));
    let told = told.data();
    let first = &told["attributes"][0];
    let row = json!({"id": 1, "bk_biz_id": case.business, "service_template_id": id, "bk_attribute_id": operator,
        "bk_property_value": "ann,tom", "creator": "ops", "modifier": "ops", "create_time": first["create_time"],
        "last_time": first["create_time"], "bk_supplier_account": "0"});
    assert_eq!(first, &row);
    assert_eq!(
        told,
        json!({"id": id, "bk_biz_id": case.business, "name": "new", "service_category_id": 2,
            "attributes": [row, told["attributes"][1]], "processes": []})
    );
    // What is wrong with any part of it makes nothing.
    let before = (case.traces(), case.app.number("SELECT count(*) FROM service_template"));
    create("new", json!([])).fails_with(1_199_014);
    create("x", json!([fixed(kind, "2"), fixed(kind, "1")])).fails_with(1_199_006).naming("attributes[1]");
    create("x", json!([fixed(kind, "9")])).fails_with(1_199_011).naming("attributes[0].bk_property_value");
    create("a b", json!([fixed(kind, "9")])).fails_with(1_199_006).naming("name");
    create("x", json!(vec![fixed(kind, "1"); 101])).fails_with(1_199_035).naming("attributes");
    assert_eq!((case.traces(), case.app.number("SELECT count(*) FROM service_template")), before);
    create("without", Value::Null).data();
}

/// templates E18, E20, defect 22, invariant 22 as far as there are no process templates
#[test]
fn a_whole_template_becomes_what_is_sent() {
    let case = Case::new();
    let Numbers { kind, operator, deputy, .. } = case.numbers;
    case.replace(json!({"attributes": [fixed(kind, "2"), fixed(operator, "ann")]})).data();
    let first = case.all_info();
    assert_eq!(case.values(), [(kind, json!("2")), (operator, json!("ann"))]);
    // Sent back as it is, nothing changes.
    let traces = case.traces();
    case.replace(first.clone()).data();
    assert_eq!((case.all_info(), case.traces()), (first.clone(), traces));
    next_millisecond();
    case.replace(
        json!({"attributes": [fixed(deputy, "eve"), fixed(operator, "ann")], "name": "", "service_category_id": 0}),
    )
    .data(); // E20
    let second = case.all_info();
    assert_eq!((&second["name"], &second["service_category_id"]), (&json!("st"), &json!(2)));
    assert_eq!(second["attributes"][0], first["attributes"][1], "what is as it was stays untouched");
    assert_eq!(case.values(), [(operator, json!("ann")), (deputy, json!("eve"))]);
    case.replace(json!({"name": " new ", "service_category_id": 4, "attributes": [fixed(operator, "tom")]})).data();
    let third = case.all_info();
    assert_eq!((&third["name"], &third["service_category_id"]), (&json!("new"), &json!(4)));
    assert_eq!(third["attributes"][0]["id"], second["attributes"][0]["id"]);
    assert_eq!(case.values(), [(operator, json!("tom"))]);
    case.replace(json!({})).data(); // E18
    assert_eq!(case.values(), []);
    // The rules are those of the single operations, and all or nothing is done.
    template(&case.app, case.business, "taken");
    case.replace(json!({"name": "taken"})).fails_with(1_199_014);
    case.replace(json!({"service_category_id": 1})).fails_with(1_113_032);
    case.replace(json!({"name": "away", "attributes": [fixed(kind, 7)]})).fails_with(1_199_011);
    assert_eq!(case.all_info()["name"], "new");
    // A category that is no leaf any more may stay.
    let body = json!({"bk_biz_id": case.business, "name": "below", "bk_parent_id": 4});
    case.app.post("/create/proc/service_category", body).data();
    case.replace(json!({"service_category_id": 4, "name": "newer"})).data();
    case.replace(json!({"id": 99_999})).fails_with(1_199_019);
    let other = business(&case.app, "other");
    case.replace(json!({"bk_biz_id": other})).fails_with(1_199_006).naming("bk_biz_id");
    let get = |body: Value| case.app.post("/find/proc/service_template/all_info", body);
    get(json!({"bk_biz_id": other, "id": case.template})).fails_with(1_199_006).naming("bk_biz_id");
    get(json!({"bk_biz_id": other, "id": 99_999})).fails_with(1_199_019);
    get(json!({})).fails_with(1_199_010).naming("bk_biz_id").naming("id");
    case.replace(json!({"id": 0})).fails_with(1_199_010).naming("id");
}

/// templates E28, E29
#[test]
fn values_change_one_by_one() {
    let case = Case::new();
    let Numbers { name, kind, operator, .. } = case.numbers;
    case.replace(json!({"attributes": [fixed(kind, "1"), fixed(operator, "ann")]})).data();
    let before = case.list(json!({})).data();
    next_millisecond();
    assert_eq!(case.update(json!({"attributes": [fixed(operator, "tom")]})).data(), Value::Null);
    let mut after = before.clone();
    after["attributes"][1]["bk_property_value"] = json!("tom");
    assert_eq!(case.list(json!({})).data(), after, "who made it and when stays");
    let fails = |attributes: Value, code: i64, what: &str| {
        case.update(json!({"attributes": attributes})).fails_with(code).naming(what);
    };
    fails(json!([fixed(case.numbers.deputy, "eve")]), 1_199_011, "attributes"); // E28
    fails(json!([fixed(name, "m")]), 1_199_011, "attributes"); // E29
    fails(json!([fixed(77_777, "m")]), 1_199_011, "attributes");
    fails(json!([fixed(kind, "3")]), 1_199_011, "attributes[0].bk_property_value");
    fails(json!([fixed(operator, 3)]), 1_199_011, "attributes[0].bk_property_value");
    fails(json!([fixed(operator, "a"), fixed(operator, "b")]), 1_199_006, "bk_attribute_id");
    fails(json!([fixed(operator, Value::Null)]), 1_199_010, "bk_property_value");
    fails(json!([fixed(0, "a")]), 1_199_010, "bk_attribute_id");
    fails(json!([]), 1_199_010, "attributes");
    fails(json!(7), 1_199_000, "attributes");
    let many: Vec<_> = (0..101).map(|i| fixed(i, "a")).collect();
    fails(json!(many), 1_199_035, "attributes");
    let attributes = json!([fixed(operator, "eve")]);
    case.update(json!({"bk_biz_id": 0, "attributes": attributes})).fails_with(1_199_010).naming("bk_biz_id");
    case.update(json!({"id": 0, "attributes": attributes})).fails_with(1_199_010).naming("id");
    case.update(json!({"id": 99_999, "attributes": attributes})).fails_with(1_199_006).naming("service_template_id");
    let other = business(&case.app, "other");
    case.update(json!({"bk_biz_id": other, "attributes": attributes}))
        .fails_with(1_199_006)
        .naming("service_template_id");
    assert_eq!(case.list(json!({})).data(), after);
    // The same value again changes nothing.
    let traces = case.traces();
    case.update(json!({"attributes": [fixed(operator, "tom")]})).data();
    assert_eq!(case.traces(), traces);
}

/// templates E28
#[test]
fn attributes_go() {
    let case = Case::new();
    let Numbers { kind, operator, deputy, .. } = case.numbers;
    let all = json!({"attributes": [fixed(kind, "1"), fixed(operator, "ann"), fixed(deputy, "tom")]});
    case.replace(all).data();
    for (ids, code) in [
        (json!([operator, operator]), 1_199_011), // E28
        (json!([operator, 77_777]), 1_199_011),
        (json!([]), 1_199_010),
        (Value::Null, 1_199_010),
        (json!((0..101).collect::<Vec<_>>()), 1_199_035),
    ] {
        case.delete(json!({"bk_attribute_ids": ids})).fails_with(code);
    }
    case.delete(json!({"bk_attribute_ids": [operator, 77_777, 88_888]})).naming("77777").naming("88888");
    case.delete(json!({"id": 99_999, "bk_attribute_ids": [operator]})).fails_with(1_199_011).naming("attributes");
    let other = business(&case.app, "other");
    case.delete(json!({"bk_biz_id": other, "bk_attribute_ids": [operator]})).fails_with(1_199_011);
    assert_eq!(case.values().len(), 3);
    assert_eq!(case.delete(json!({"bk_attribute_ids": [operator, kind]})).data(), Value::Null);
    assert_eq!(case.values(), [(deputy, json!("tom"))]);
    // A template takes its attributes with it.
    let body = json!({"bk_biz_id": case.business, "service_template_id": case.template});
    case.app.native("DELETE", "/delete/proc/service_template", body).data();
    assert_eq!(case.app.number("SELECT count(*) FROM service_template_attribute"), 0);
    case.list(json!({})).fails_with(1_199_006).naming("service_template_id");
}

/// Invariant 10: what follows a template is as it was until it is told otherwise.
#[test]
fn followers_are_left_alone() {
    let case = Case::new();
    let estate = case.app.estate();
    let template = template(&case.app, estate.business, "st");
    case.app.bind(estate.module, template);
    let process_template = case.app.process_templates(&estate, template, vec![named("p")])[0];
    let instance = case.app.instance(&estate, process("p"));
    let listed = json!({"bk_biz_id": estate.business, "service_instance_id": instance});
    let listed = || case.app.post("/findmany/proc/process_instance", listed.clone()).data();
    let followers = || {
        let modules = case.app.documents("SELECT document FROM module ORDER BY id");
        let instances = case.app.documents("SELECT document || '}' FROM service_instance ORDER BY id");
        let processes = "SELECT '{' || fixed_fields || ',' || extra_fields || '}' FROM process ORDER BY id";
        [modules, instances, case.app.documents(processes)]
    };
    let (before, mut relations) = (followers(), listed());
    assert!(before.iter().all(|documents| !documents.is_empty()));
    assert_eq!(relations[0]["relation"]["process_template_id"], process_template);
    let Numbers { kind, operator, .. } = case.numbers;
    let ids = json!({"bk_biz_id": estate.business, "id": template});
    let with = |more: Value| {
        let mut body = ids.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    case.replace(with(json!({"attributes": [fixed(kind, "2"), fixed(operator, "ann")]}))).data();
    case.update(with(json!({"attributes": [fixed(operator, "tom")]}))).data();
    case.delete(with(json!({"bk_attribute_ids": [kind]}))).data();
    case.replace(ids.clone()).data();
    assert_eq!(followers(), before);
    // The whole template without processes took those that it had away (S4), and nothing but the relation tells of it.
    relations[0]["relation"]["process_template_id"] = 0.into();
    assert_eq!(listed(), relations);
}

#[test]
fn fields_are_picked() {
    let case = Case::new();
    let operator = case.numbers.operator;
    case.replace(json!({"attributes": [fixed(operator, "ann")]})).data();
    let picked = case.list(json!({"fields": ["bk_attribute_id", "bk_property_value", "nothing"]})).data();
    assert_eq!(
        picked["attributes"],
        json!([{"id": 0, "bk_biz_id": 0, "service_template_id": 0, "bk_attribute_id": operator,
            "bk_property_value": "ann", "creator": "", "modifier": "", "create_time": "0001-01-01T00:00:00Z",
            "last_time": "0001-01-01T00:00:00Z", "bk_supplier_account": ""}])
    );
    case.list(json!({"id": 0})).fails_with(1_199_010).naming("id");
    case.list(json!({"bk_biz_id": 0})).fails_with(1_199_010).naming("bk_biz_id");
    case.list(json!({"bk_biz_id": 2})).fails_with(1_199_006).naming("service_template_id");
}

#[test]
fn changes_leave_entries_and_events() {
    let case = Case::new();
    let Numbers { kind, operator, .. } = case.numbers;
    case.replace(json!({"attributes": [fixed(kind, "1"), fixed(operator, "ann")]})).data();
    let rows = case.list(json!({})).data()["attributes"].clone();
    case.update(json!({"attributes": [fixed(operator, "tom")]})).data();
    let mut changed = rows[1].clone();
    changed["bk_property_value"] = json!("tom");
    case.delete(json!({"bk_attribute_ids": [kind]})).data();
    let body = json!({"bk_biz_id": case.business, "service_template_id": case.template});
    case.app.native("DELETE", "/delete/proc/service_template", body).data();
    let entries = case.app.documents(
        "SELECT detail FROM audit WHERE resource_type = 'service_template' AND action = 'update' ORDER BY id",
    );
    let details = |before: Value, after: Value| json!({"details": {"pre_data": {"attributes": before}, "cur_data": null, "update_fields": {"attributes": after}}});
    assert_eq!(
        entries,
        [
            details(json!([]), rows.clone()),
            details(json!([rows[1]]), json!([changed])),
            details(json!([rows[0]]), json!([])),
        ]
    );
    let states =
        "SELECT '[' || coalesce(before_state, 'null') || ',' || coalesce(after_state, 'null') || ']' FROM event
        WHERE kind = 112 ORDER BY id";
    assert_eq!(
        case.app.documents(states),
        [
            json!([null, rows[0]]),
            json!([null, rows[1]]),
            json!([rows[1], changed]),
            json!([rows[0], null]),
            json!([changed, null]),
        ]
    );
}

#[test]
fn rights_are_asked_for() {
    let app = TestApp::with().administrator("root").settings(|settings| settings.protect_reads = true).start();
    for (name, user) in [("b3", "ann"), ("b4", "tom")] {
        let made = app.native_as("root", "POST", "/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"}));
        let business = made.data()["bk_biz_id"].as_i64();
        for action in [Action::CreateServiceTemplate, Action::EditServiceTemplate, Action::FindBusinessResource] {
            app.grant(user, action, business);
        }
    }
    let create = |user: &str, business: i64| {
        let body = json!({"bk_biz_id": business, "name": "st", "service_category_id": 2,
            "attributes": [fixed(32, "ann")]});
        app.native_as(user, "POST", "/create/proc/service_template/all_info", body)
    };
    let id = create("ann", 3).data()["id"].as_i64().unwrap();
    create("tom", 3).fails_with(9_900_403);
    let ways = [
        ("PUT", "/update/proc/service_template/all_info"),
        ("PUT", "/update/proc/service_template/attribute"),
        ("DELETE", "/delete/proc/service_template/attribute"),
        ("POST", "/find/proc/service_template/all_info"),
        ("POST", "/findmany/proc/service_template/attribute"),
    ];
    let call = |user: &str, (method, path): (&str, &str), business: i64, id: i64| {
        let body = json!({"bk_biz_id": business, "id": id, "attributes": [fixed(32, "x")], "bk_attribute_ids": [32]});
        app.native_as(user, method, path, body)
    };
    for way in ways {
        for business in [3, 99_999] {
            call("tom", way, business, id).fails_with(9_900_403);
        }
        let words = |id: i64| {
            let answer = call("tom", way, 4, id);
            (answer.code(), answer.message().replace(&id.to_string(), ""))
        };
        assert_eq!(words(id), words(99_999), "{way:?}");
        assert_ne!(words(id).0, 0, "{way:?}");
    }
    for way in [ways[3], ways[4], ways[1], ways[2], ways[0]] {
        call("ann", way, 3, id).data();
    }
}
