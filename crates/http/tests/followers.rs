//! Made-up sequences of changes to a template, its modules and their instances, with synchronizations between them: whatever came before,
//! a synchronization does what it says it would, leaves no difference, touches nothing that is not locked, and nothing of other modules.
//! `templates` 15: invariants 1 to 5, 7, 8, 10, 13 and 15.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use support::{TestApp, changes, named, on_engine};

const HOSTS: usize = 5;

/// A field of a template with its lock.
#[derive(Debug, Clone)]
struct Setting(Value, bool);

impl Setting {
    fn json(&self) -> Value {
        json!({"value": self.0, "as_default_value": self.1})
    }
}

#[derive(Debug, Clone)]
struct Property {
    user: Setting,
    timeout: Setting,
    start_param: Setting,
    /// Which rows there are, each with address, port and whether it is in use.
    rows: Vec<(i64, Setting, Setting, Setting)>,
}

impl Property {
    fn json(&self, name: &str) -> Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(id, ip, port, enable)| {
                json!({"row_id": id, "ip": ip.json(), "port": port.json(), "enable": enable.json(),
                    "protocol": {"value": "1", "as_default_value": true}})
            })
            .collect();
        json!({"bk_process_name": {"value": name}, "bk_func_name": {"value": name}, "user": self.user.json(),
            "timeout": self.timeout.json(), "bk_start_param_regex": self.start_param.json(),
            "bind_info": {"value": rows, "as_default_value": true}})
    }
}

#[derive(Debug, Clone)]
enum Call {
    Add { name: usize, property: Property },
    Change { template: Index, name: Option<usize>, property: Property },
    Remove { template: Index },
    Edit { process: Index, user: Value, timeout: Value, port: String },
    Join { host: Index, bare: bool },
    Leave { host: Index },
    RemoveInstance { instance: Index },
    Label { instance: Index },
    Synchronize,
}

fn setting(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Setting> {
    (values, any::<bool>()).prop_map(|(value, lock)| Setting(value, lock))
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), Just(json!("")), Just(json!("a")), Just(json!("b"))]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), (1..4_i64).prop_map(Value::from)]
}

fn property() -> impl Strategy<Value = Property> {
    let address = prop_oneof![Just(Value::Null), Just(json!("1")), Just(json!("3")), Just(json!("4"))];
    let port = prop_oneof![Just(json!("80")), Just(json!("8000-8010,9000"))];
    let enable = any::<Option<bool>>().prop_map(Value::from);
    let row = (1..4_i64, setting(address), setting(port), setting(enable));
    let rows = proptest::collection::vec(row, 0..3).prop_map(|rows| {
        let by_id: BTreeMap<_, _> = rows.into_iter().map(|row| (row.0, row)).collect();
        by_id.into_values().collect()
    });
    (setting(text()), setting(number()), setting(text()), rows)
        .prop_map(|(user, timeout, start_param, rows)| Property { user, timeout, start_param, rows })
}

fn call() -> impl Strategy<Value = Call> {
    let index = any::<Index>;
    let port = prop_oneof![Just("81".to_owned()), Just("82-84".to_owned())];
    prop_oneof![
        3 => (0..4_usize, property()).prop_map(|(name, property)| Call::Add { name, property }),
        3 => (index(), proptest::option::of(0..4_usize), property())
            .prop_map(|(template, name, property)| Call::Change { template, name, property }),
        2 => index().prop_map(|template| Call::Remove { template }),
        3 => (index(), text(), number(), port)
            .prop_map(|(process, user, timeout, port)| Call::Edit { process, user, timeout, port }),
        2 => (index(), any::<bool>()).prop_map(|(host, bare)| Call::Join { host, bare }),
        1 => index().prop_map(|host| Call::Leave { host }),
        1 => index().prop_map(|instance| Call::RemoveInstance { instance }),
        1 => index().prop_map(|instance| Call::Label { instance }),
        3 => Just(Call::Synchronize),
    ]
}

const NAMES: [&str; 4] = ["p0", "p1", "p2", "p3"];

/// A business with two modules of one template; calls are about the first.
struct World<'a> {
    app: &'a TestApp,
    business: i64,
    template: i64,
    module: i64,
    other: i64,
    plain: i64,
    hosts: Vec<i64>,
}

/// A process as it is stored.
#[derive(Debug, Clone, PartialEq)]
struct Process {
    id: i64,
    template: i64,
    instance: i64,
    fields: Value,
}

impl<'a> World<'a> {
    fn new(app: &'a TestApp, number: usize) -> Self {
        let name = format!("business {number}");
        let made = app.post("/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"})).data();
        let business = made["bk_biz_id"].as_i64().unwrap();
        let template = json!({"bk_biz_id": business, "name": "st", "service_category_id": 2});
        let template = app.post("/create/proc/service_template", template).data()["id"].as_i64().unwrap();
        let module = |set: &str, more: Value| {
            let body = json!({"bk_set_name": set, "bk_parent_id": business});
            let set = app.post(&format!("/set/{business}"), body).data()["bk_set_id"].as_i64().unwrap();
            let mut body = json!({"bk_parent_id": set});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            app.post(&format!("/module/{business}/{set}"), body).data()["bk_module_id"].as_i64().unwrap()
        };
        let follows = json!({"service_template_id": template});
        let (first, other) = (module("one", follows.clone()), module("two", follows));
        let plain = module("three", json!({"bk_module_name": "plain"}));
        let list: Vec<_> = (0..HOSTS)
            .map(|i| {
                json!({"bk_host_innerip": format!("10.{}.{}.{i}", number / 250, number % 250),
                    "bk_host_outerip": format!("11.{}.{}.{i}", number / 250, number % 250)})
            })
            .collect();
        let hosts = json!({"bk_biz_id": business, "bk_host_list": list});
        let hosts = app.post("/hosts/add/business_idle", hosts).data()["bk_host_ids"].clone();
        let hosts: Vec<i64> = serde_json::from_value(hosts).unwrap();
        let world = Self { app, business, template, module: first, other, plain, hosts };
        world.transfer(&world.hosts, &[plain], false);
        // There is something to change from the first call on.
        let specs = json!([{"spec": named("first")}, {"spec": named("second")}]);
        let body = json!({"bk_biz_id": business, "service_template_id": template, "processes": specs});
        app.post("/createmany/proc/proc_template", body).data();
        world.transfer(&world.hosts[3..], &[other], true);
        world.transfer(&world.hosts[..2], &[first], true);
        world
    }

    fn transfer(&self, hosts: &[i64], modules: &[i64], adds: bool) {
        let body =
            json!({"bk_biz_id": self.business, "bk_host_id": hosts, "bk_module_id": modules, "is_increment": adds});
        self.app.post("/hosts/modules", body).data();
    }

    fn asked(&self) -> Value {
        json!({"bk_biz_id": self.business, "bk_module_id": self.module, "bk_module_ids": [self.module],
            "service_template_id": self.template})
    }

    fn templates(&self) -> Vec<Value> {
        let body = json!({"bk_biz_id": self.business, "service_template_id": self.template, "page": {"sort": "id"}});
        self.app.post("/findmany/proc/proc_template", body).data()["info"].as_array().unwrap().clone()
    }

    fn instances(&self, module: i64) -> Vec<Value> {
        let body = json!({"bk_biz_id": self.business, "bk_module_id": module});
        self.app.post("/findmany/proc/service_instance", body).data()["info"].as_array().unwrap().clone()
    }

    fn processes(&self, module: i64) -> Vec<Process> {
        let mut all = Vec::new();
        for instance in self.instances(module) {
            let body = json!({"bk_biz_id": self.business, "service_instance_id": instance["id"]});
            let listed = self.app.post("/findmany/proc/process_instance", body).data();
            all.extend(listed.as_array().unwrap().iter().map(|it| Process {
                id: it["relation"]["bk_process_id"].as_i64().unwrap(),
                template: it["relation"]["process_template_id"].as_i64().unwrap(),
                instance: instance["id"].as_i64().unwrap(),
                fields: it["property"].clone(),
            }));
        }
        all
    }

    fn hosts_inside(&self) -> BTreeSet<i64> {
        let body =
            json!({"bk_biz_id": self.business, "bk_module_ids": [self.module], "page": {"start": 0, "limit": 100}});
        let listed = self.app.esb("list_biz_hosts", body).data();
        listed["info"].as_array().unwrap().iter().map(|host| host["bk_host_id"].as_i64().unwrap()).collect()
    }

    /// Makes a call. Templates that would clash are refused, as everywhere.
    fn step(&self, call: &Call) {
        let before = self.processes(self.module);
        match call {
            Call::Add { name, property } => {
                let spec = json!([{"spec": property.json(NAMES[*name])}]);
                let body = json!({"bk_biz_id": self.business, "service_template_id": self.template, "processes": spec});
                let code = self.app.post("/createmany/proc/proc_template", body).code();
                assert!([0, 1_113_019, 1_113_020].contains(&code), "{code}");
                assert_eq!(self.processes(self.module), before, "invariant 10");
            }
            Call::Change { template, name, property } => {
                let templates = self.templates();
                if templates.is_empty() {
                    return;
                }
                let template = template.get(&templates);
                let name = name.map_or(template["bk_process_name"].as_str().unwrap(), |name| NAMES[name]);
                let body = json!({"bk_biz_id": self.business, "process_template_id": template["id"],
                    "process_property": property.json(name)});
                let code = self.app.native("PUT", "/update/proc/proc_template", body).code();
                assert!([0, 1_113_019, 1_113_020].contains(&code), "{code}");
                assert_eq!(self.processes(self.module), before, "invariant 10");
            }
            Call::Remove { template } => {
                let templates = self.templates();
                if !templates.is_empty() {
                    let ids = [&template.get(&templates)["id"]];
                    let body = json!({"bk_biz_id": self.business, "process_templates": ids});
                    self.app.native("DELETE", "/deletemany/proc/proc_template", body).data();
                    let fields = |of: &[Process]| of.iter().map(|it| it.fields.clone()).collect::<Vec<_>>();
                    assert_eq!(fields(&self.processes(self.module)), fields(&before), "invariant 10");
                }
            }
            Call::Edit { process, user, timeout, port } => {
                if before.is_empty() {
                    return;
                }
                let process = process.get(&before);
                let rows = process.fields["bind_info"].as_array().cloned().unwrap_or_default();
                let rows: Vec<_> = rows
                    .into_iter()
                    .map(|mut row| {
                        row["port"] = port.as_str().into();
                        row
                    })
                    .collect();
                let entry = json!({"bk_process_id": process.id, "user": user, "timeout": timeout, "bind_info": rows,
                    "bk_process_name": process.fields["bk_process_name"], "bk_func_name": process.fields["bk_func_name"]});
                let body = json!({"bk_biz_id": self.business, "processes": [entry]});
                let code = self.app.native("PUT", "/update/proc/process_instance", body).code();
                assert!([0, 1_199_014].contains(&code), "{code}");
            }
            Call::Join { host, bare } => {
                let host = host.get(&self.hosts[..3]);
                let body = json!({"bk_biz_id": self.business, "bk_host_id": [host], "bk_module_id": [self.module],
                    "is_increment": true, "disable_auto_create": bare});
                self.app.post("/hosts/modules", body).data();
            }
            Call::Leave { host } => self.transfer(&[*host.get(&self.hosts[..3])], &[self.plain], false),
            Call::RemoveInstance { instance } => {
                let instances = self.instances(self.module);
                if !instances.is_empty() {
                    let body =
                        json!({"bk_biz_id": self.business, "service_instance_ids": [instance.get(&instances)["id"]]});
                    self.app.native("DELETE", "/deletemany/proc/service_instance", body).data();
                }
            }
            Call::Label { instance } => {
                let instances = self.instances(self.module);
                if !instances.is_empty() {
                    let body = json!({"bk_biz_id": self.business, "instance_ids": [instance.get(&instances)["id"]],
                        "labels": {"key": "value"}});
                    self.app.post("/createmany/proc/service_instance/labels", body).data();
                }
            }
            Call::Synchronize => self.synchronize(),
        }
    }

    fn follow(&self) -> Value {
        self.app.native("PUT", "/update/proc/service_instance/sync", self.asked()).data();
        let path = format!("/findmany/sync_job/bk_biz_id/{}", self.business);
        let begun = Instant::now();
        loop {
            let job = self.app.post(&path, json!({"page": {"limit": 1}})).data()["info"][0].clone();
            if !["new", "waiting", "executing"].contains(&job["status"].as_str().unwrap()) {
                return job;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{job}");
        }
    }

    fn preview(&self) -> Vec<Value> {
        let mut body = self.asked();
        body["dry_run"] = json!(true);
        let answer = self.app.native("PUT", "/update/proc/service_instance/sync", body);
        // What cannot be done cannot be shown either.
        if answer.code() != 0 {
            return vec![json!(answer.code())];
        }
        answer.data()["changes"].as_array().unwrap().clone()
    }

    fn needs(&self) -> bool {
        let path = format!("/findmany/proc/service_template/sync_status/biz/{}", self.business);
        let told = self.app.post(&path, json!({"bk_module_ids": [self.module]})).data();
        told["modules"][0]["need_sync"].as_bool().unwrap()
    }

    fn differs(&self) -> bool {
        let told = self.app.post("/find/proc/service_template/general_difference", self.asked()).data();
        ["changed", "added", "removed"].iter().any(|list| !told[*list].is_null())
    }

    fn synchronize(&self) {
        let templates: BTreeMap<_, _> =
            self.templates().into_iter().map(|it| (it["id"].as_i64().unwrap(), it["property"].clone())).collect();
        let (before, instances) = (self.processes(self.module), self.instances(self.module));
        let others = (self.processes(self.other), self.instances(self.other));
        let (needs, preview) = (self.needs(), self.preview());
        assert_eq!((self.differs(), !preview.is_empty()), (needs, needs), "invariant 13");
        self.compare_lists(&templates, &before, &preview);
        let job = self.follow();
        assert_eq!((self.processes(self.other), self.instances(self.other)), others, "invariant 15");
        if job["status"] == "failure" {
            // An unlocked start parameter may have become another template's: then nothing is done, and the preview said so.
            let code = job["failures"][0]["code"].clone();
            assert_eq!((vec![code], self.processes(self.module)), (preview, before));
            return;
        }
        assert_eq!(job["status"], "finished", "{job}");
        assert_eq!(self.told(&job), changes::of_preview(&preview), "the preview tells what is done");
        assert_eq!((self.needs(), self.differs(), self.preview()), (false, false, Vec::new()), "invariant 1");
        let after = self.processes(self.module);
        self.compare(&templates, &before, &after);
        // Invariant 8: who stays keeps its id, name and labels.
        let kept: BTreeMap<_, _> =
            self.instances(self.module).into_iter().map(|it| (it["id"].to_string(), it)).collect();
        for instance in instances.iter().filter(|_| !templates.is_empty()) {
            assert_eq!(kept.get(&instance["id"].to_string()), Some(instance), "invariant 8");
        }
        // Invariant 7.
        let hosts: BTreeSet<_> = kept.values().map(|it| it["bk_host_id"].as_i64().unwrap()).collect();
        let wanted = if templates.is_empty() { BTreeSet::new() } else { self.hosts_inside() };
        assert_eq!((hosts.len(), hosts), (kept.len(), wanted), "invariant 7");
        for instance in kept.values() {
            let of_instance = after.iter().filter(|it| it.instance == instance["id"]).map(|it| it.template);
            assert_eq!(of_instance.collect::<BTreeSet<_>>(), templates.keys().copied().collect(), "invariant 7");
        }
        // Invariant 2.
        let events = "SELECT count(*) FROM event WHERE kind <> 120";
        let count = self.app.number(events);
        assert_eq!(self.follow()["status"], "finished");
        assert_eq!((self.app.number(events), self.processes(self.module)), (count, after), "invariant 2");
    }

    /// Invariant 13: the lists and details of the difference tell of the processes, instances and fields that the preview tells of.
    fn compare_lists(&self, templates: &BTreeMap<i64, Value>, before: &[Process], preview: &[Value]) {
        if preview.iter().any(Value::is_number) {
            // It was refused.
            return;
        }
        let of_processes: Vec<_> = preview.iter().filter(|it| it["resource"] == "process").collect();
        let with = |action: &'static str| of_processes.iter().filter(move |it| it["action"] == action);
        let ask = |path: &str, more: Value| {
            let mut asked = self.asked();
            asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.app.post(path, asked).data()
        };
        // Hosts that get an instance are listed with 0.
        let list = |more: Value| {
            let told = ask("/find/proc/difference/service_instances", more);
            let rows = told["service_instances"].as_array().cloned().unwrap_or_default();
            let mut ids: Vec<_> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
            ids.sort_unstable();
            ids
        };
        let instances = |changes: Vec<&&Value>| {
            let mut ids: Vec<_> = changes.iter().map(|it| it["service_instance_id"].as_i64().unwrap().max(0)).collect();
            ids.sort_unstable();
            ids
        };
        let name_of = |change: &Value, state: &str| {
            let fields = change["fields"].as_array().unwrap();
            fields.iter().find(|field| field["field"] == "bk_process_name").map(|field| field[state].clone())
        };
        for (template, property) in templates {
            let is_of = |id: &Value| before.iter().any(|it| it.id == *id && it.template == *template);
            let changed: Vec<_> = with("update").filter(|it| is_of(&it["id"])).collect();
            for change in &changed {
                let asked =
                    json!({"process_template_id": template, "service_instance_id": change["service_instance_id"]});
                let told = ask("/find/proc/service_instance/difference_detail", asked);
                let told: BTreeSet<_> = told["changed_attributes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|it| it["property_id"].clone().to_string())
                    .collect();
                let fields = change["fields"].as_array().unwrap().iter().map(|it| it["field"].to_string());
                assert_eq!(told, fields.collect(), "invariant 13: D3");
            }
            let name = Some(property["bk_process_name"]["value"].clone());
            let added = with("create").filter(|it| name_of(it, "after") == name);
            let wanted = instances(changed.iter().copied().chain(added).collect());
            assert_eq!(list(json!({"process_template_id": template})), wanted, "invariant 13: D2");
        }
        // Where nothing is left to follow the instances go with all that they have.
        let mut gone: Vec<_> = with("delete").filter_map(|it| name_of(it, "before")).collect();
        gone.dedup();
        for name in gone.iter().filter(|_| !templates.is_empty()) {
            let going = with("delete").filter(|it| name_of(it, "before").as_ref() == Some(name));
            let asked = json!({"process_template_id": 0, "process_template_name": name});
            assert_eq!(list(asked), instances(going.collect()), "invariant 13: D2 of what goes");
        }
    }

    /// Invariants 3, 4, 5 and 8.
    fn compare(&self, templates: &BTreeMap<i64, Value>, before: &[Process], after: &[Process]) {
        let old: BTreeMap<_, _> = before.iter().map(|it| ((it.instance, it.template), it)).collect();
        for process in after {
            let property = &templates[&process.template];
            let old = old.get(&(process.instance, process.template));
            assert!(old.is_none_or(|old| old.id == process.id), "invariant 8");
            for field in ["user", "timeout", "bk_start_param_regex"] {
                let setting = &property[field];
                match old {
                    Some(old) if setting["as_default_value"] != true => {
                        assert_eq!(process.fields[field], old.fields[field], "invariant 3: {field}");
                    }
                    _ => assert_eq!(process.fields[field], setting["value"], "invariant 4: {field}"),
                }
            }
            let rows = property["bind_info"]["value"].as_array().map_or(&[][..], Vec::as_slice);
            let stored = process.fields["bind_info"].as_array().cloned().unwrap_or_default();
            let ids = |rows: &[Value], key: &str| rows.iter().map(|it| it[key].to_string()).collect::<BTreeSet<_>>();
            assert_eq!(ids(&stored, "template_row_id"), ids(rows, "row_id"), "invariant 5");
            for row in rows {
                let find = |rows: &[Value]| rows.iter().find(|it| it["template_row_id"] == row["row_id"]).cloned();
                let is = find(&stored).unwrap();
                let was = old.and_then(|old| find(old.fields["bind_info"].as_array().map_or(&[][..], Vec::as_slice)));
                for cell in ["port", "protocol", "enable"] {
                    match &was {
                        Some(was) if row[cell]["as_default_value"] != true => {
                            assert_eq!(is[cell], was[cell], "invariant 3: {cell}");
                        }
                        // A template that says nothing makes rows that are not in use.
                        _ if cell == "enable" && row[cell]["value"].is_null() => assert_eq!(is[cell], false),
                        _ => assert_eq!(is[cell], row[cell]["value"], "invariant 4: {cell}"),
                    }
                }
            }
        }
    }

    /// What the events of a job tell, but for the job itself.
    fn told(&self, job: &Value) -> Vec<String> {
        let request = format!("job:{}", job["job_id"]);
        let events = changes::events(self.app);
        changes::of_events(events.iter().filter(|event| event["request"] == request.as_str() && event["kind"] != 120))
    }
}

#[test]
fn a_synchronization_keeps_its_word_whatever_came_before() {
    let app = TestApp::new();
    let number = std::cell::Cell::new(0);
    let config = Config { cases: on_engine(12, 5), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let ran = runner.run(&proptest::collection::vec(call(), 8..24), |calls| {
        number.set(number.get() + 1);
        let world = World::new(&app, number.get());
        for call in &calls {
            world.step(call);
        }
        world.synchronize();
        Ok(())
    });
    ran.unwrap();
    // The sequences were telling: jobs made, changed and removed processes, and made instances.
    let told = app.documents(
        "SELECT '[' || kind || ',' || operation || ',' || count(*) || ']' FROM event WHERE kind IN (9, 100)
            AND substr(request_id, 1, 4) = 'job:' GROUP BY kind, operation",
    );
    assert!(told.len() >= 4, "{told:?}");
    app.check();
}
