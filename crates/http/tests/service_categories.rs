//! Service categories: `templates` 4, the edge cases 1 to 11, and what is left behind by changes.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_app::access::Action;
use rollcall_store::{StoreError, check};
use serde_json::{Value, json};
use support::{Answer, TestApp};

const BUILT_IN: i64 = 20;

/// Calls about the categories of a business.
struct Case {
    app: TestApp,
    business: i64,
}

impl Case {
    fn new() -> Self {
        let app = TestApp::new();
        let business = business(&app, "b");
        Self { app, business }
    }

    fn create(&self, name: &str, parent: i64) -> Answer {
        self.create_in(self.business, name, parent)
    }

    fn create_in(&self, business: i64, name: &str, parent: i64) -> Answer {
        let body = json!({"bk_biz_id": business, "name": name, "bk_parent_id": parent});
        self.app.post("/create/proc/service_category", body)
    }

    /// A category that can be made.
    fn made(&self, name: &str, parent: i64) -> i64 {
        self.create(name, parent).data()["id"].as_i64().unwrap()
    }

    fn rename(&self, id: i64, name: &str) -> Answer {
        let body = json!({"bk_biz_id": self.business, "id": id, "name": name});
        self.app.native("PUT", "/update/proc/service_category", body)
    }

    fn delete(&self, id: i64) -> Answer {
        let body = json!({"bk_biz_id": self.business, "id": id});
        self.app.native("DELETE", "/delete/proc/service_category", body)
    }

    /// What is listed for a business.
    fn listed(&self, business: i64) -> Vec<Value> {
        let data = self.app.post("/findmany/proc/service_category", json!({"bk_biz_id": business})).data();
        let rows = data["info"].as_array().unwrap().clone();
        assert_eq!(data["count"], rows.len());
        rows
    }

    /// How many records of each kind of trace there are.
    fn traces(&self) -> [i64; 3] {
        [
            self.app.number("SELECT count(*) FROM service_category"),
            self.app.number("SELECT count(*) FROM audit WHERE resource_type = 'service_category'"),
            self.app.number("SELECT count(*) FROM event WHERE kind = 110"),
        ]
    }
}

fn business(app: &TestApp, name: &str) -> i64 {
    let made = app.post("/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"})).data();
    made["bk_biz_id"].as_i64().unwrap()
}

/// templates 4: clients hard-code some of these ids. Number, parent, and the name as it is stored and as English readers see it.
#[test]
fn every_store_is_born_with_these() {
    const TABLE: [(i64, i64, &str, &str); 20] = [
        (1, 0, "Default", "Default"),
        (2, 1, "Default", "Default"),
        (3, 0, "数据库", "Database"),
        (4, 3, "Mysql", "Mysql"),
        (5, 3, "Redis", "Redis"),
        (6, 3, "Oracle", "Oracle"),
        (7, 3, "SQLServer", "SQLServer"),
        (8, 3, "MongoDB", "MongoDB"),
        (9, 3, "Etcd", "Etcd"),
        (10, 3, "Zookeeper", "Zookeeper"),
        (11, 0, "消息队列", "Message Queue"),
        (12, 11, "Kafka", "Kafka"),
        (13, 11, "RabbitMQ", "RabbitMQ"),
        (14, 0, "HTTP 服务", "HTTP Web Service"),
        (15, 14, "Nginx", "Nginx"),
        (16, 14, "Apache", "Apache"),
        (17, 14, "Tomcat", "Tomcat"),
        (18, 0, "存储", "Storage"),
        (19, 18, "Ceph", "Ceph"),
        (20, 18, "NFS", "NFS"),
    ];
    let case = Case::new();
    let listed = |language: &str| {
        let headers = [("BK_User", "ops"), ("HTTP_BLUEKING_SUPPLIER_ID", "0"), ("HTTP_BLUEKING_LANGUAGE", language)];
        let body = json!({"bk_biz_id": case.business});
        let data = case.app.send("POST", "/api/v3/findmany/proc/service_category", &headers, body).data();
        let mut rows = data["info"].as_array().unwrap().clone();
        rows.sort_by_key(|row| row["id"].as_i64());
        rows
    };
    let table = |pick: fn((&'static str, &'static str)) -> &'static str| {
        let row = |(id, parent, stored, english): (i64, i64, &'static str, &'static str)| {
            json!({"bk_biz_id": 0, "id": id, "name": pick((stored, english)),
                "bk_root_id": if parent == 0 { id } else { parent }, "bk_parent_id": parent,
                "bk_supplier_account": "0", "is_built_in": true})
        };
        TABLE.map(row).to_vec()
    };
    assert_eq!(listed("zh-cn"), table(|(stored, _)| stored));
    assert_eq!(listed("en"), table(|(_, english)| english));
}

#[test]
fn categories_form_a_tree() {
    let case = Case::new();
    let root = case.made("root", 0);
    assert_eq!(root, BUILT_IN + 1);
    let child = case.create("child", root).data();
    assert_eq!(
        child,
        json!({"bk_biz_id": case.business, "id": root + 1, "name": "child", "bk_root_id": root, "bk_parent_id": root,
            "bk_supplier_account": "0", "is_built_in": false})
    );
    // Any depth (templates 4).
    let leaf = case.create("leaf", root + 1).data();
    assert_eq!((&leaf["bk_root_id"], &leaf["bk_parent_id"]), (&json!(root), &json!(root + 1)));
    let listed = case.listed(case.business);
    let own: Vec<_> = listed.iter().filter(|row| row["bk_biz_id"] != 0).map(|row| row["name"].clone()).collect();
    assert_eq!((listed.len(), own), (23, ["child", "leaf", "root"].map(Value::from).into()));
    // Below a shared one, too.
    let mine = case.create("mine", 3).data();
    assert_eq!((&mine["bk_root_id"], &mine["bk_biz_id"]), (&json!(3), &json!(case.business)));
    assert_eq!(case.listed(2).len(), 20);
}

/// templates E1, E2
#[test]
fn names_have_a_rule() {
    let case = Case::new();
    for bad in ["a b", "", " a", "a\u{3000}b", "a/b", &"名".repeat(129)] {
        case.create(bad, 0).fails_with(1_199_006).naming("name");
    }
    case.create(&"名".repeat(128), 0).data();
    case.create("Web_1:(测试)-x", 0).data();
    let body = json!({"bk_biz_id": case.business, "name": 5});
    case.app.post("/create/proc/service_category", body).fails_with(1_199_000);
    // Both are told.
    let nothing = case.app.post("/create/proc/service_category", json!({}));
    nothing.fails_with(1_199_006).naming("name").naming("bk_biz_id");
    for business in [0, -3, 99_999] {
        case.create_in(business, "x", 0).fails_with(1_199_006).naming("bk_biz_id");
    }
    assert_eq!(case.traces(), [BUILT_IN + 2, 2, 2]);
}

/// templates E3, E4
#[test]
fn parents_are_checked() {
    let case = Case::new();
    case.create("x", 999_999).fails_with(1_199_006).naming("bk_biz_id").naming("bk_parent_id");
    // One of another business is as one that is not there.
    let root = case.made("root", 0);
    let other = business(&case.app, "other");
    let answer = case.create_in(other, "x", root);
    let words =
        case.create_in(other, "x", root + 1000).message().replace(&(root + 1000).to_string(), &root.to_string());
    assert_eq!(answer.fails_with(1_199_006).message(), words);
    // A root of its own, though its name is compared with those below roots.
    let odd = case.create("odd", -1).data();
    assert_eq!((&odd["bk_parent_id"], &odd["bk_root_id"]), (&json!(-1), &odd["id"]));
    case.create("odd", 0).data();
    case.create("odd", root).fails_with(1_113_017);
}

/// templates E5, E6, E7
#[test]
fn names_are_compared_by_level() {
    let case = Case::new();
    let (root, other) = (case.made("root", 0), case.made("other", 0));
    case.create("root", 0).fails_with(1_113_017).naming("root");
    // A shared one has the name below another parent.
    case.create("Nginx", root).fails_with(1_113_017).naming("Nginx");
    case.create("Nginx", 0).data();
    case.create("数据库", 0).fails_with(1_113_017);
    let x = case.made("x", root);
    case.create("x", other).fails_with(1_113_017);
    // A rename looks at brothers and sisters only.
    let y = case.made("y", root);
    case.rename(y, "x").fails_with(1_113_017);
    assert_eq!(case.rename(x, "Nginx").data()["name"], "Nginx");
    case.rename(y, "Nginx").fails_with(1_113_017);
    case.rename(root, "other").fails_with(1_113_017);
    case.rename(root, "数据库").fails_with(1_113_017);
    // Other businesses have names of their own.
    let elsewhere = business(&case.app, "elsewhere");
    case.create_in(elsewhere, "root", 0).data();
    // Built-in ones stay; their name is looked at first.
    case.rename(2, "a b").fails_with(1_199_006).naming("name");
    case.rename(2, "fine").fails_with(1_199_054).naming("Default");
    case.rename(99_999, "fine").fails_with(1_199_019);
    case.rename(0, "fine").fails_with(1_199_019);
}

/// templates E8, E9
#[test]
fn what_is_in_use_stays() {
    let case = Case::new();
    let estate = case.app.estate();
    let root = case.made("root", 0);
    let leaf = case.made("leaf", root);
    case.delete(root).fails_with(1_199_055).naming("root").naming("service categories");
    // A module of another business uses the shared one.
    let module = json!({"bk_module_name": "m", "bk_parent_id": estate.set, "service_category_id": 5});
    case.app.post(&format!("/module/{}/{}", estate.business, estate.set), module).data();
    case.delete(5).fails_with(1_199_056).naming("Redis").naming("modules");
    case.delete(2).fails_with(1_199_056);
    let template = json!({"bk_biz_id": case.business, "name": "st", "service_category_id": leaf});
    let template = case.app.post("/create/proc/service_template", template).data();
    case.delete(leaf).fails_with(1_199_056).naming("service templates");
    let gone = json!({"bk_biz_id": case.business, "service_template_id": template["id"]});
    case.app.native("DELETE", "/delete/proc/service_template", gone).data();
    assert_eq!(case.delete(leaf).data(), Value::Null);
    case.delete(leaf).fails_with(1_199_019);
    case.delete(root).data();
    // A built-in leaf that nobody uses goes, for everybody, and does not come back.
    case.delete(20).data();
    assert_eq!(case.listed(estate.business).len(), 19);
    case.delete(18).fails_with(1_199_055);
}

/// templates E11
#[test]
fn any_business_has_the_shared_ones() {
    let case = Case::new();
    case.made("mine", 0);
    assert_eq!(case.listed(99_999).len(), 20);
    assert_eq!(case.listed(case.business).len(), 21);
    let english = |path: &str| case.app.post(path, json!({"bk_biz_id": case.business})).data().to_string();
    assert!(english("/findmany/proc/service_category").contains("\"Message Queue\""));
    assert!(english("/findmany/proc/service_category/with_statistics").contains("\"Message Queue\""));
}

#[test]
fn uses_are_counted_in_the_business() {
    let case = Case::new();
    let estate = case.app.estate();
    let module = |name: &str, category: i64| {
        let module = json!({"bk_module_name": name, "bk_parent_id": estate.set, "service_category_id": category});
        case.app.post(&format!("/module/{}/{}", estate.business, estate.set), module).data();
    };
    module("a", 5);
    module("b", 5);
    let template = json!({"bk_biz_id": estate.business, "name": "st", "service_category_id": 5});
    case.app.post("/create/proc/service_template", template).data();
    let uses = |business: i64| -> Vec<(i64, i64)> {
        let body = json!({"bk_biz_id": business});
        let data = case.app.post("/findmany/proc/service_category/with_statistics", body.clone()).data();
        let plain = case.app.post("/findmany/proc/service_category", body).data();
        let rows = data["info"].as_array().unwrap().iter();
        let categories: Vec<_> = rows.clone().map(|row| row["category"].clone()).collect();
        assert_eq!((&data["count"], &json!(categories)), (&plain["count"], &plain["info"]));
        let number = |value: &Value| value.as_i64().unwrap();
        let rows = rows.map(|row| (number(&row["category"]["id"]), number(&row["usage_amount"])));
        rows.filter(|(_, uses)| *uses > 0).collect()
    };
    // The idle, fault and recycle modules, and the one of every estate.
    assert_eq!(uses(estate.business), [(2, 4), (5, 3)]);
    assert_eq!(uses(case.business), [(2, 3)]);
    assert_eq!(uses(99_999), []);
    case.app.post("/findmany/proc/service_category/with_statistics", "").fails_with(1_199_006).naming("bk_biz_id");
}

#[test]
fn changes_leave_entries_and_events() {
    let case = Case::new();
    let id = case.made("old", 0);
    case.rename(id, "new").data();
    // Its own name is fine, and changes nothing.
    assert_eq!(case.rename(id, "new").data()["name"], "new");
    case.delete(id).data();
    assert_eq!(case.traces(), [BUILT_IN, 3, 3]);
    let row = |name: &str| {
        json!({"bk_biz_id": case.business, "id": id, "name": name, "bk_root_id": id, "bk_parent_id": 0,
            "bk_supplier_account": "0", "is_built_in": false})
    };
    let entries = case.app.documents("SELECT detail FROM audit WHERE resource_type = 'service_category' ORDER BY id");
    let details = |before: Value, after: Value, fields: Value| json!({"details": {"pre_data": before, "cur_data": after, "update_fields": fields}});
    assert_eq!(
        entries,
        [
            details(Value::Null, row("old"), Value::Null),
            details(row("old"), Value::Null, json!({"name": "new"})),
            details(row("new"), Value::Null, Value::Null),
        ]
    );
    let actions = case.app.documents(
        "SELECT '[\"' || action || '\",\"' || resource_name || '\",' || resource_id || ',' || business_id || ']' FROM audit
            WHERE resource_type = 'service_category' ORDER BY id",
    );
    let (id, business) = (id, case.business);
    let told = [json!(["create", "old", id, business]), json!(["update", "old", id, business])];
    assert_eq!(actions, [told.as_slice(), &[json!(["delete", "new", id, business])]].concat());
    let states =
        "SELECT '[' || coalesce(before_state, 'null') || ',' || coalesce(after_state, 'null') || ']' FROM event
        WHERE kind = 110 ORDER BY id";
    assert_eq!(
        case.app.documents(states),
        [json!([null, row("old")]), json!([row("old"), row("new")]), json!([row("new"), null])]
    );
}

/// What the caller has no right on looks as if it were not there, and what is another business's too.
#[test]
fn rights_are_asked_for() {
    let app = TestApp::with().administrator("root").start();
    for (name, user) in [("b3", "ann"), ("b4", "tom")] {
        let made = app.native_as("root", "POST", "/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"}));
        let business = made.data()["bk_biz_id"].as_i64();
        for action in [Action::CreateServiceCategory, Action::EditServiceCategory, Action::DeleteServiceCategory] {
            app.grant(user, action, business);
        }
    }
    let call = |user: &str, method: &str, verb: &str, body: Value| {
        app.native_as(user, method, &format!("/{verb}/proc/service_category"), body)
    };
    let made = call("ann", "POST", "create", json!({"bk_biz_id": 3, "name": "mine"}));
    let id = made.data()["id"].as_i64().unwrap();
    for business in [3, 99_999] {
        call("tom", "POST", "create", json!({"bk_biz_id": business, "name": ""})).fails_with(9_900_403);
        call("tom", "PUT", "update", json!({"bk_biz_id": business, "id": id, "name": ""})).fails_with(9_900_403);
        call("tom", "DELETE", "delete", json!({"bk_biz_id": business, "id": id})).fails_with(9_900_403);
    }
    for business in [json!(4), Value::Null] {
        let ask = |id: i64| {
            let (update, delete) = (
                call("tom", "PUT", "update", json!({"bk_biz_id": business, "id": id, "name": "x"})),
                call("tom", "DELETE", "delete", json!({"bk_biz_id": business, "id": id})),
            );
            [update, delete].map(|answer| answer.fails_with(1_199_019).message().replace(&id.to_string(), ""))
        };
        assert_eq!(ask(id), ask(99_999));
    }
    call("tom", "PUT", "update", json!({"bk_biz_id": 0, "id": id, "name": "x"})).fails_with(1_199_006);
    // Even who may see both finds it in its own business only.
    call("root", "PUT", "update", json!({"bk_biz_id": 4, "id": id, "name": "x"})).fails_with(1_199_019);
    // Without a business it is that of the category.
    call("ann", "PUT", "update", json!({"id": id, "name": "x"})).data();
    // Everybody knows the shared ones; they go for who may remove the categories of every business.
    call("tom", "PUT", "update", json!({"bk_biz_id": 4, "id": 2, "name": "x"})).fails_with(1_199_054);
    call("tom", "PUT", "update", json!({"id": 2, "name": "x"})).fails_with(9_900_403);
    for business in [json!(4), Value::Null] {
        call("tom", "DELETE", "delete", json!({"bk_biz_id": business, "id": 20})).fails_with(9_900_403);
    }
    app.grant("tom", Action::DeleteServiceCategory, None);
    call("tom", "DELETE", "delete", json!({"bk_biz_id": 4, "id": 20})).data();
    call("tom", "DELETE", "delete", json!({"id": 19})).data();
    assert_eq!(call("ann", "DELETE", "delete", json!({"bk_biz_id": 3, "id": id})).data(), Value::Null);
}

#[test]
fn every_door_leads_to_them() {
    let app = TestApp::new();
    let business = business(&app, "b");
    let made = app.esb("create_service_category", json!({"bk_biz_id": business, "name": "a"})).data();
    let body = json!({"bk_biz_id": business, "id": made["id"], "name": "b"});
    assert_eq!(app.gateway("PUT", "/update/proc/service_category", body.clone()).data()["name"], "b");
    assert_eq!(app.esb("update_service_category", body.clone()).data()["name"], "b");
    assert_eq!(app.esb("list_service_category", json!({"bk_biz_id": business})).data()["count"], 21);
    let counted =
        app.gateway("POST", "/findmany/proc/service_category/with_statistics", json!({"bk_biz_id": business}));
    assert_eq!(counted.data()["count"], 21);
    assert_eq!(app.esb("delete_service_category", body).data(), Value::Null);
}

/// Rules about many records hold, whoever writes at the same time.
#[test]
fn calls_at_the_same_time_keep_the_rules() {
    let case = Case::new();
    let parents: Vec<_> = (0..6).map(|i| case.made(&format!("root{i}"), 0)).collect();
    let codes = |call: &(dyn Fn(usize) -> Answer + Sync)| -> Vec<i64> {
        std::thread::scope(|scope| {
            let calls: Vec<_> = (0..6).map(|i| scope.spawn(move || call(i).code())).collect();
            let mut codes: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
            codes.sort_unstable();
            codes
        })
    };
    for round in 0..5 {
        // One name below different parents.
        let name = format!("leaf{round}");
        let made = codes(&|i| case.create(&name, parents[i]));
        assert_eq!(made, [0, 1_113_017, 1_113_017, 1_113_017, 1_113_017, 1_113_017]);
        // One name of templates.
        let template = json!({"bk_biz_id": case.business, "name": name, "service_category_id": 2});
        let made = codes(&|_| case.app.post("/create/proc/service_template", template.clone()));
        assert_eq!(made, [0, 1_199_014, 1_199_014, 1_199_014, 1_199_014, 1_199_014]);
        // A category goes while children, templates and modules come.
        let id = case.made(&format!("top{round}"), 0);
        let done = codes(&|i| match i {
            0 | 1 => case.delete(id),
            2 | 3 => case.create(&format!("child{round}{i}"), id),
            _ => {
                let name = format!("st{round}{i}");
                let template = json!({"bk_biz_id": case.business, "name": name, "service_category_id": id});
                case.app.post("/create/proc/service_template", template)
            }
        });
        let allowed = [0, 1_113_032, 1_199_006, 1_199_019, 1_199_055, 1_199_056];
        assert!(done.contains(&0) && done.iter().all(|code| allowed.contains(code)), "{done:?}");
    }
    let found = case.app.store.read::<_, StoreError>(true, |tx| check::run(tx, &mut |_| {}));
    assert_eq!(found.unwrap(), []);
}
