//! The whole record as plain lists, and what every request must do to it. Written from the contract alone: none of the
//! product's rules is used here.

use crate::ops::{Biz, Pick};
use crate::support::TestApp;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub const UNKNOWN: i64 = 99_999;
pub const POOL: i64 = 1;

#[derive(Debug, Clone)]
pub struct Business {
    pub id: i64,
    pub name: String,
}

#[derive(Debug, Clone)]
pub struct Set {
    pub id: i64,
    pub business: i64,
    pub name: String,
    pub kind: i64,
}

#[derive(Debug, Clone)]
pub struct Module {
    pub id: i64,
    pub business: i64,
    pub set: i64,
    pub name: String,
    pub kind: i64,
}

#[derive(Debug, Clone)]
pub struct Host {
    pub id: i64,
    pub addresses: Vec<String>,
    pub comment: String,
}

#[derive(Debug, Clone)]
pub struct Instance {
    pub id: i64,
    pub business: i64,
    pub module: i64,
    pub host: i64,
    pub name: String,
    /// `None` before the first labels.
    pub labels: Option<BTreeMap<String, String>>,
    pub creator: &'static str,
    pub modifier: &'static str,
}

#[derive(Debug, Clone)]
pub struct Process {
    pub id: i64,
    pub instance: i64,
    /// Everything the list answers of it but times.
    pub fields: Map<String, Value>,
}

/// What a request comes to.
pub enum Expect {
    /// It fails; with one of these codes unless there are none, where the contract fixes no code.
    Refused(Vec<i64>),
    /// It succeeds: the payload is looked at, and its effects are made.
    Done(Box<Effect>),
}

pub type Effect = dyn FnOnce(&mut World, &Value) -> Result<(), String>;

impl Expect {
    pub fn refused(code: i64) -> Self {
        Self::Refused(vec![code])
    }

    pub fn done(effect: impl FnOnce(&mut World, &Value) -> Result<(), String> + 'static) -> Self {
        Self::Done(Box::new(effect))
    }

    /// Any of these codes if there are any; an empty list among them: any code at all.
    pub fn refused_for(reasons: &[Vec<i64>]) -> Option<Self> {
        if reasons.is_empty() {
            return None;
        }
        let any = reasons.iter().any(Vec::is_empty);
        Some(Self::Refused(if any { Vec::new() } else { reasons.concat() }))
    }
}

/// A request as it is sent.
#[derive(Debug)]
pub struct Request {
    pub name: &'static str,
    /// At the native and gateway doors, as are path and body.
    pub method: &'static str,
    pub path: String,
    pub body: Value,
    /// At the ESB door, unless the operation has no name there.
    pub esb: Option<Value>,
}

impl Request {
    /// With the same body at every door.
    pub fn new(name: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self { name, method: "POST", path: path.into(), esb: Some(body.clone()), body }
    }

    /// By another method than POST.
    pub fn by(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// Not at the ESB door.
    pub fn backend_only(mut self) -> Self {
        self.esb = None;
        self
    }

    /// With an object of its own at the ESB door.
    pub fn esb(mut self, esb: Value) -> Self {
        self.esb = Some(esb);
        self
    }
}

/// Stands for an id in a body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stated {
    Missing,
    Null,
    Text(i64),
    Is(i64),
}

impl Stated {
    /// Puts it into a body.
    pub fn put(self, body: &mut Value, key: &str) {
        let value = match self {
            Self::Missing => return,
            Self::Null => Value::Null,
            Self::Text(id) => json!(id.to_string()),
            Self::Is(id) => json!(id),
        };
        body[key] = value;
    }

    /// The number; missing and null count as none.
    pub fn id(self) -> Option<i64> {
        match self {
            Self::Is(id) => Some(id),
            _ => None,
        }
    }

    /// For operations that take a missing id as 0.
    pub fn or_zero(self) -> i64 {
        self.id().unwrap_or(0)
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::Text(_))
    }
}

/// The record.
#[derive(Debug, Default)]
pub struct World {
    /// Who sends the requests of the door in use.
    pub user: &'static str,
    pub businesses: Vec<Business>,
    pub sets: Vec<Set>,
    pub modules: Vec<Module>,
    pub hosts: Vec<Host>,
    /// Module and host.
    pub places: BTreeSet<(i64, i64)>,
    pub instances: Vec<Instance>,
    pub processes: Vec<Process>,
    /// How many audit entries there are of a resource and action.
    pub audits: BTreeMap<(&'static str, &'static str), i64>,
    /// How many events there are of a kind and operation.
    pub events: BTreeMap<(i64, i64), i64>,
    /// Processes of new instances whose ids no answer told yet.
    pub unnamed: Vec<(i64, Vec<Map<String, Value>>)>,
    /// The highest id told of each kind of record.
    highest: BTreeMap<&'static str, i64>,
}

pub const CREATE: i64 = 1;
pub const UPDATE: i64 = 2;
pub const DELETE: i64 = 3;
pub const HOST: i64 = 2;
pub const HOST_MODULE: i64 = 3;
pub const BUSINESS: i64 = 4;
pub const SET: i64 = 5;
pub const MODULE: i64 = 6;
pub const PROCESS: i64 = 9;
pub const INSTANCE: i64 = 100;

impl World {
    /// A new store: businesses 1 and 2 with their built-in modules (`topology` 2.1).
    pub fn of_new_store(app: &TestApp) -> Self {
        let mut world = Self::default();
        for (id, name) in [(1, "资源池"), (2, "蓝鲸")] {
            world.add_business(app, id, name).unwrap();
        }
        world.audits.clear();
        world.events.clear();
        world
    }

    /// A business with what it is born with; the ids of that are asked for.
    pub fn add_business(&mut self, app: &TestApp, id: i64, name: &str) -> Result<(), String> {
        let internal = app.native("GET", &format!("/topo/internal/0/{id}"), "").data();
        let set = internal["bk_set_id"].as_i64().ok_or("no idle set")?;
        self.businesses.push(Business { id, name: name.to_owned() });
        self.fresh("business", id)?;
        self.sets.push(Set { id: set, business: id, name: "空闲机池".into(), kind: 1 });
        self.fresh("set", set)?;
        let modules = internal["module"].as_array().ok_or("no built-in modules")?;
        for (module, (kind, name)) in modules.iter().zip([(1, "空闲机"), (2, "故障机"), (3, "待回收")]) {
            let module = module["bk_module_id"].as_i64().ok_or("a module without id")?;
            self.modules.push(Module { id: module, business: id, set, name: name.into(), kind });
            self.fresh("module", module)?;
        }
        for (resource, count) in [("business", 1), ("set", 1), ("module", 3)] {
            self.audit(resource, "create", count);
        }
        for (kind, count) in [(BUSINESS, 1), (SET, 1), (MODULE, 3)] {
            self.event(kind, CREATE, count);
        }
        Ok(())
    }

    /// An id that was just told is above every earlier one of its kind (instances I-7; one server gives ids in rising order).
    pub fn fresh(&mut self, kind: &'static str, id: i64) -> Result<(), String> {
        let highest = self.highest.entry(kind).or_insert(0);
        if id <= *highest {
            return Err(format!("{kind} id {id} is told again or out of order, {highest} was told before"));
        }
        *highest = id;
        Ok(())
    }

    pub fn audit(&mut self, resource: &'static str, action: &'static str, count: usize) {
        if count > 0 {
            *self.audits.entry((resource, action)).or_insert(0) += i64::try_from(count).unwrap();
        }
    }

    pub fn event(&mut self, kind: i64, operation: i64, count: usize) {
        if count > 0 {
            *self.events.entry((kind, operation)).or_insert(0) += i64::try_from(count).unwrap();
        }
    }

    pub fn business(&self, id: i64) -> Option<&Business> {
        self.businesses.iter().find(|business| business.id == id)
    }

    pub fn set(&self, id: i64) -> Option<&Set> {
        self.sets.iter().find(|set| set.id == id)
    }

    pub fn module(&self, id: i64) -> Option<&Module> {
        self.modules.iter().find(|module| module.id == id)
    }

    pub fn host(&self, id: i64) -> Option<&Host> {
        self.hosts.iter().find(|host| host.id == id)
    }

    pub fn instance(&self, id: i64) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.id == id)
    }

    /// The built-in module of a business.
    pub fn built_in(&self, business: i64, kind: i64) -> Option<&Module> {
        self.modules.iter().find(|module| module.business == business && module.kind == kind)
    }

    /// The modules a host is in, in order of their ids.
    pub fn modules_of(&self, host: i64) -> BTreeSet<i64> {
        self.places.iter().filter(|(_, at)| *at == host).map(|(module, _)| *module).collect()
    }

    /// The business a host is in.
    pub fn business_of_host(&self, host: i64) -> Option<i64> {
        let module = *self.modules_of(host).first()?;
        Some(self.module(module)?.business)
    }

    /// The hosts of a business, in order of their ids.
    pub fn hosts_of(&self, business: i64) -> Vec<i64> {
        let hosts = self.hosts.iter().map(|host| host.id);
        hosts.filter(|host| self.business_of_host(*host) == Some(business)).collect()
    }

    /// The hosts in a module, in order of their ids.
    pub fn hosts_in(&self, module: i64) -> Vec<i64> {
        self.places.iter().filter(|(at, _)| *at == module).map(|(_, host)| *host).collect()
    }

    pub fn process(&self, id: i64) -> Option<&Process> {
        self.processes.iter().find(|process| process.id == id)
    }

    /// A process of a business.
    pub fn process_in(&self, business: i64, id: i64) -> Option<&Process> {
        self.process(id).filter(|process| self.instance(process.instance).unwrap().business == business)
    }

    /// An instance of a business.
    pub fn instance_in(&self, business: i64, id: i64) -> Option<&Instance> {
        self.instance(id).filter(|instance| instance.business == business)
    }

    pub fn processes_of(&self, instance: i64) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |process| process.instance == instance)
    }

    /// Removes an instance with its processes (`topology` 10.1, clean-up).
    pub fn remove_instance(&mut self, id: i64) {
        let gone = self.processes_of(id).count();
        self.processes.retain(|process| process.instance != id);
        self.instances.retain(|instance| instance.id != id);
        self.audit("service_instance", "delete", 1);
        self.event(PROCESS, DELETE, gone);
        self.event(INSTANCE, DELETE, 1);
    }

    /// The id that a pick stands for.
    pub fn resolve(pick: Pick, near: &[i64], all: &[i64]) -> i64 {
        let nth = |list: &[i64], n: usize| list.get(n % list.len().max(1)).copied();
        match pick {
            Pick::Near(n) => nth(near, n).or_else(|| nth(all, n)).unwrap_or(UNKNOWN),
            Pick::Any(n) => nth(all, n).unwrap_or(UNKNOWN),
            Pick::Unknown => UNKNOWN,
            Pick::Zero => 0,
            Pick::Negative => -1,
        }
    }

    /// The business that a request states, when this one would be right.
    pub fn state(&self, business: Biz, fits: Option<i64>) -> Stated {
        let fits = fits.unwrap_or(2);
        match business {
            Biz::Fits => Stated::Is(fits),
            Biz::Any(n) => Stated::Is(self.businesses[n % self.businesses.len()].id),
            Biz::Unknown => Stated::Is(UNKNOWN),
            Biz::Zero => Stated::Is(0),
            Biz::Negative => Stated::Is(-1),
            Biz::Missing => Stated::Missing,
            Biz::Null => Stated::Null,
            Biz::Text => Stated::Text(fits),
        }
    }

    /// As [`Self::state`] where the business stands in the path and so is a number.
    pub fn state_in_path(&self, business: Biz, fits: Option<i64>) -> i64 {
        match self.state(business, fits) {
            Stated::Is(id) | Stated::Text(id) => id,
            Stated::Missing | Stated::Null => 0,
        }
    }

    pub fn set_ids(&self) -> Vec<i64> {
        self.sets.iter().map(|set| set.id).collect()
    }

    pub fn module_ids(&self) -> Vec<i64> {
        self.modules.iter().map(|module| module.id).collect()
    }

    pub fn host_ids(&self) -> Vec<i64> {
        self.hosts.iter().map(|host| host.id).collect()
    }

    pub fn instance_ids(&self) -> Vec<i64> {
        self.instances.iter().map(|instance| instance.id).collect()
    }

    /// The ordinary modules, of one business or of all.
    pub fn ordinary_modules(&self, business: Option<i64>) -> Vec<i64> {
        let modules = self.modules.iter().filter(|module| module.kind == 0);
        let modules = modules.filter(|module| business.is_none_or(|id| module.business == id));
        modules.map(|module| module.id).collect()
    }

    /// An instance as lists answer it, but for its times.
    pub fn instance_document(&self, instance: &Instance) -> Map<String, Value> {
        let document = json!({
            "bk_biz_id": instance.business, "id": instance.id, "name": instance.name, "labels": instance.labels,
            "service_template_id": 0, "bk_host_id": instance.host, "bk_module_id": instance.module,
            "creator": instance.creator, "modifier": instance.modifier, "bk_supplier_account": "0",
        });
        document.as_object().unwrap().clone()
    }

    /// The relation of a process as lists answer it.
    pub fn relation(&self, process: &Process) -> Value {
        let instance = self.instance(process.instance).unwrap();
        json!({"bk_biz_id": instance.business, "bk_process_id": process.id, "service_instance_id": instance.id,
            "process_template_id": 0, "bk_host_id": instance.host, "bk_supplier_account": "0"})
    }
}

/// Fails unless both are equal.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Result<(), String> {
    if got == want {
        return Ok(());
    }
    Err(format!("{what} differs\n  answered: {got:?}\n  expected: {want:?}"))
}

/// A list of ids.
pub fn ids(data: &Value) -> Result<Vec<i64>, String> {
    let list = data.as_array().ok_or_else(|| format!("no list of ids: {data}"))?;
    list.iter().map(|id| id.as_i64().ok_or_else(|| format!("no id: {id}"))).collect()
}
