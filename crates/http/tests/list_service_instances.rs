//! list_service_instance and list_service_instance_detail: `instances` 10.2, 10.5 and §17.

mod support;

use serde_json::{Value, json};
use support::{Answer, Estate, TestApp, next_millisecond, process};

struct Case {
    app: TestApp,
    estate: Estate,
    /// On the hosts 0, 1, 2, 0, 1, 2, …, named `10.0.0.<n>_p<i>`.
    ids: Vec<i64>,
}

impl Case {
    fn new(count: usize) -> Self {
        Self::on(TestApp::new(), count)
    }

    fn on(app: TestApp, count: usize) -> Self {
        let estate = app.estate();
        let mut ids = Vec::new();
        for i in 0..count {
            let processes = json!([{"process_info": process(&format!("p{i}"))}]);
            let instances = json!([{"bk_host_id": estate.hosts[i % 3], "processes": processes}]);
            let body = json!({"bk_biz_id": estate.business, "bk_module_id": estate.module, "instances": instances});
            ids.push(app.post("/create/proc/service_instance", body).data()[0].as_i64().unwrap());
        }
        Self { app, estate, ids }
    }

    fn list(&self, more: Value) -> Answer {
        self.ask("/findmany/proc/service_instance", more)
    }

    fn details(&self, more: Value) -> Answer {
        self.ask("/findmany/proc/service_instance/details", more)
    }

    fn ask(&self, path: &str, mut more: Value) -> Answer {
        more.as_object_mut().unwrap().entry("bk_biz_id").or_insert(self.estate.business.into());
        self.app.post(path, more)
    }
}

fn ids(answer: &Answer) -> Vec<i64> {
    let data = answer.data();
    data["info"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[test]
fn e87_e88_pages() {
    let case = Case::new(7);
    let all = case.list(json!({}));
    assert_eq!(ids(&all), case.ids); // E87: everything, in the order of the ids (D18)
    assert_eq!(all.data()["count"], 7);
    for page in [json!({"limit": 1001}), json!({"limit": -1}), json!({"start": -1, "limit": 5})] {
        case.list(json!({"page": page})).fails_with(1_199_059); // E88
    }
    let mut walked = Vec::new();
    for start in [0, 3, 6, 9] {
        let answer = case.list(json!({"page": {"start": start, "limit": 3}}));
        assert_eq!(answer.data()["count"], 7); // I-20
        walked.extend(ids(&answer));
    }
    assert_eq!(walked, case.ids);
    let backwards: Vec<_> = case.ids.iter().rev().copied().collect();
    assert_eq!(ids(&case.list(json!({"page": {"sort": "-id"}}))), backwards);
    assert_eq!(ids(&case.list(json!({"page": {"sort": "id:-1", "limit": 2}}))), backwards[..2]);
    let names = case.list(json!({"page": {"sort": "name"}})).data();
    let names: Vec<_> = names["info"].as_array().unwrap().iter().map(|row| row["name"].to_string()).collect();
    assert!(names.is_sorted());
    assert_eq!(ids(&case.list(json!({"page": {"enable_count": true}}))).len(), 7); // E101
}

#[test]
fn e89_e90_the_search_text_is_literal() {
    let case = Case::new(3);
    for (text, want) in
        [("(", 0), ("10.0", 3), ("10x0", 0), ("p1", 1), ("P1", 0), ("", 3), (".*", 0), ("%", 0), ("_", 3)]
    {
        assert_eq!(case.list(json!({"search_key": text})).data()["count"], want, "{text}");
    }
    assert_eq!(case.list(json!({"search_key": null})).data()["count"], 3);
}

#[test]
fn filters_meet() {
    let case = Case::new(6);
    let hosts = &case.estate.hosts;
    assert_eq!(ids(&case.list(json!({"bk_host_ids": [hosts[0]]}))), [case.ids[0], case.ids[3]]);
    assert_eq!(ids(&case.list(json!({"bk_host_ids": [hosts[0], hosts[2]], "search_key": "_p2"}))), [case.ids[2]]);
    assert_eq!(ids(&case.list(json!({"bk_module_id": case.estate.module, "bk_host_ids": []}))).len(), 6);
    assert_eq!(ids(&case.list(json!({"bk_module_id": 99_999}))).len(), 0);
    let too_many: Vec<_> = (1..=1001).collect();
    case.list(json!({"bk_host_ids": too_many})).fails_with(1_199_035).naming("bk_host_ids");
    case.list(json!({"bk_biz_id": 0})).fails_with(1_199_006).naming("bk_biz_id");
    assert_eq!(case.list(json!({"bk_biz_id": 2})).data(), json!({"count": 0, "info": []}));
}

#[test]
fn e102_keys_in_other_case() {
    let case = Case::new(2);
    let body = json!({"BK_BIZ_ID": case.estate.business, "Bk_Module_Id": case.estate.module});
    let answer = case.app.post("/findmany/proc/service_instance", body);
    assert_eq!(answer.data()["count"], 2); // E102, I-29
}

#[test]
fn e91_to_e93_details() {
    let case = Case::new(5);
    for body in [json!({}), json!({"page": {}}), json!({"page": {"limit": 0}}), json!({"page": {"limit": 1001}})] {
        case.details(body).fails_with(1_199_059); // E91
    }
    let page = json!({"limit": 10});
    let none = case.details(json!({"service_instance_ids": [], "page": page})).data();
    assert_eq!(none, json!({"count": 0, "info": []})); // E92
    let (one, list) = (case.estate.hosts[0], json!([case.estate.hosts[1]]));
    case.details(json!({"bk_host_id": one, "bk_host_list": list, "page": page})).fails_with(1_199_006); // E93
    case.details(json!({"bk_biz_id": 0, "page": page})).fails_with(1_199_006).naming("bk_biz_id");
    let newest: Vec<_> = case.ids.iter().rev().copied().collect();
    assert_eq!(ids(&case.details(json!({"page": page}))), newest, "the newest first, unless asked otherwise");
    assert_eq!(ids(&case.details(json!({"page": {"limit": 2, "start": 1, "sort": "id"}}))), case.ids[1..3]);
    assert_eq!(ids(&case.details(json!({"bk_host_list": list, "page": page}))), [case.ids[4], case.ids[1]]);
    assert_eq!(ids(&case.details(json!({"bk_host_id": one, "page": page}))).len(), 2);
    let some = json!([case.ids[0], case.ids[2], 99_999]);
    assert_eq!(ids(&case.details(json!({"service_instance_ids": some, "page": page}))).len(), 2);
}

#[test]
fn details_hold_the_same_processes_as_the_list() {
    // instances I-25
    let case = Case::new(2);
    let processes: Vec<_> = (0..3).map(|i| json!({"process_info": process(&format!("more{i}"))})).collect();
    let body = json!({"bk_biz_id": case.estate.business, "service_instance_id": case.ids[0], "processes": processes});
    case.app.post("/create/proc/process_instance", body).data();
    let details = case.details(json!({"page": {"limit": 10, "sort": "id"}})).data();
    for (i, instance) in details["info"].as_array().unwrap().iter().enumerate() {
        let body = json!({"bk_biz_id": case.estate.business, "service_instance_id": case.ids[i]});
        let list = case.app.post("/findmany/proc/process_instance", body).data();
        let inside = instance["process_instances"].as_array().unwrap();
        assert_eq!(inside.len(), list.as_array().unwrap().len());
        for (inside, outside) in inside.iter().zip(list.as_array().unwrap()) {
            assert_eq!(inside["relation"], outside["relation"]);
            let fixed = inside["process"].as_object().unwrap();
            assert_eq!(fixed.len(), 24);
            for (key, value) in fixed {
                assert_eq!(value, &outside["property"][key], "{key}");
            }
        }
    }
}

#[test]
fn a_list_without_a_page_is_bounded() {
    // design §4
    let app = TestApp::with()
        .settings(|settings| {
            settings.dev = true;
            settings.limits.unpaged_rows = 3;
        })
        .administrator(support::USER)
        .start();
    let case = Case::on(app, 4);
    case.list(json!({})).fails_with(1_199_059).naming("page");
    assert_eq!(ids(&case.list(json!({"page": {"limit": 4}}))).len(), 4);
}

#[test]
fn lists_by_the_time_of_the_last_change() {
    let case = Case::new(6);
    let [a, b, c, d, e, f] = case.ids[..] else { panic!("six instances") };
    let rename = |id: i64| {
        next_millisecond();
        let body = json!({"data": [{"service_instance_id": id, "update": {"name": format!("renamed {id}")}}]});
        case.app.native("PUT", &format!("/updatemany/proc/service_instance/biz/{}", case.estate.business), body).data();
    };
    rename(c);
    rename(a);
    let labels = json!({"bk_biz_id": case.estate.business, "instance_ids": [b], "labels": {"env": "test"}});
    case.app.post("/createmany/proc/service_instance/labels", labels).data();
    let sorted = |sort: &str, more: Value| {
        let mut body = json!({"page": {"limit": 100, "sort": sort}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(ids(&case.list(body.clone())), ids(&case.details(body.clone())), "{body}");
        ids(&case.list(body))
    };
    let module = json!({"bk_module_id": case.estate.module});
    for more in [json!({}), module] {
        // Labels are no change of this kind: they leave the time as it is.
        assert_eq!(sorted("last_time", more.clone()), [b, d, e, f, c, a]);
        assert_eq!(sorted("-last_time", more.clone()), [a, c, f, e, d, b]);
        assert_eq!(sorted("create_time", more.clone()), case.ids, "that never changes");
    }
    // The instances a and d, b and e, c and f share a host.
    let listed = |more: Value| ids(&case.list(more));
    let on_host = json!({"bk_host_ids": [case.estate.hosts[0], case.estate.hosts[2]], "page": {"sort": "last_time"}});
    assert_eq!(listed(on_host), [d, f, c, a]);
    assert_eq!(listed(json!({"search_key": "renamed", "page": {"sort": "-last_time"}})), [a, c]);
    let parts = (0..6).flat_map(|start| listed(json!({"page": {"start": start, "limit": 1, "sort": "-last_time"}})));
    assert_eq!(parts.collect::<Vec<_>>(), [a, c, f, e, d, b]);
}
