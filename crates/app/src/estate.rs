//! Estates made up for demos and measurements: businesses with sets of modules, hosts that are in all modules of their set, and a
//! service instance of each module on each of its hosts. Everything is stored by the operations themselves ([`crate::calls`]), set
//! by set, so that an estate that is not finished is smaller and otherwise as good.

mod catalogue;
mod chance;

use crate::OpError;
use crate::calls::{Calls, numbers, object};
use catalogue::{CITIES, PRODUCTS, SERVICES, Service};
use chance::Chance;
use rollcall_domain::host::MAX_PER_CALL as HOSTS_A_CALL;
use rollcall_domain::json::{Json, Object};
use rollcall_domain::label;
use rollcall_domain::service_instance::{MAX_PER_CALL, MAX_PROCESSES_PER_CALL};
use rollcall_store::{StoreError, host};
use std::net::Ipv4Addr;
use std::ops::AddAssign;

/// How large an estate is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub processes: usize,
    pub businesses: usize,
    /// Processes of a service instance; the last instance has what is left. 1 to [`Size::MAX_PER_INSTANCE`].
    pub per_instance: usize,
}

impl Size {
    /// The most processes of one service instance.
    pub const MAX_PER_INSTANCE: usize = 100;
}

/// What was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    pub businesses: usize,
    pub sets: usize,
    pub modules: usize,
    pub hosts: usize,
    pub service_instances: usize,
    pub processes: usize,
}

impl AddAssign for Made {
    fn add_assign(&mut self, more: Self) {
        self.businesses += more.businesses;
        self.sets += more.sets;
        self.modules += more.modules;
        self.hosts += more.hosts;
        self.service_instances += more.service_instances;
        self.processes += more.processes;
    }
}

/// Businesses of one transaction.
const BUSINESSES: usize = 50;
/// Modules of a set.
const MODULES: usize = 8;
/// Hosts of a set, as many as there are service instances of a module.
const HOSTS: std::ops::RangeInclusive<usize> = 20..=50;
/// About so many processes are made in one transaction: some thousand rows with their events.
const PROCESSES: usize = 3000;
/// One service instance of so many has labels.
const LABELLED: usize = 10;

const _: () = assert!(*HOSTS.end() <= HOSTS_A_CALL && *HOSTS.end() <= MAX_PER_CALL);
const _: () = assert!(*HOSTS.end() <= label::MAX_ADDED_PER_CALL);
const _: () = assert!(PROCESSES + Size::MAX_PER_INSTANCE <= MAX_PROCESSES_PER_CALL);

/// An estate on its way: what is there, and what comes next. The same seed makes the same estate in an empty store; in one that holds
/// something already, names and addresses that are taken are passed over.
#[derive(Debug, Clone)]
pub struct Estate {
    size: Size,
    chance: Chance,
    made: Made,
    /// The ids of the businesses, and how many sets each has.
    businesses: Vec<(i64, usize)>,
    /// The numbers of the names and of the addresses that are tried next.
    next_name: usize,
    next_address: u32,
}

impl Estate {
    /// Nothing of it is there yet.
    pub fn new(size: Size, seed: u64) -> Self {
        Self {
            size,
            chance: Chance::new(seed),
            made: Made::default(),
            businesses: Vec::new(),
            next_name: 0,
            next_address: 0,
        }
    }

    /// What of it is there.
    pub fn made(&self) -> Made {
        self.made
    }

    /// Whether all of it is there.
    pub fn is_complete(&self) -> bool {
        self.made.businesses >= self.size.businesses
            && (self.made.processes >= self.size.processes || self.businesses.is_empty())
    }

    /// Makes the next part of it, the work of one transaction. Answers the estate with that part, since the transaction may be run
    /// again or come to nothing.
    pub fn grown(&self, calls: &mut Calls<'_>) -> Result<Self, OpError> {
        let mut grown = self.clone();
        if grown.made.businesses < grown.size.businesses {
            grown.add_businesses(calls)?;
        } else {
            grown.add_set(calls)?;
        }
        Ok(grown)
    }

    fn add_businesses(&mut self, calls: &mut Calls<'_>) -> Result<(), OpError> {
        for _ in 0..BUSINESSES.min(self.size.businesses - self.made.businesses) {
            let name = loop {
                let product = PRODUCTS[self.next_name % PRODUCTS.len()];
                let name = match self.next_name / PRODUCTS.len() {
                    0 => product.to_owned(),
                    round => format!("{product} {}", round + 1),
                };
                self.next_name += 1;
                if rollcall_store::business::find_named(calls.tx(), &name)?.is_none() {
                    break name;
                }
            };
            self.businesses.push((calls.business(&name)?, 0));
            self.made.businesses += 1;
        }
        Ok(())
    }

    /// The next set, of the business whose turn it is.
    fn add_set(&mut self, calls: &mut Calls<'_>) -> Result<(), OpError> {
        let size = self.size;
        let a_set = MODULES * size.per_instance;
        let hosts = self.chance.within(HOSTS).min(PROCESSES / a_set).max(1);
        // Every business gets something, if there is enough.
        let share = size.processes / self.businesses.len() / size.per_instance * size.per_instance;
        let left = size.processes - self.made.processes;
        let processes = (hosts * a_set).min(share.max(size.per_instance)).min(left);
        let instances = processes.div_ceil(size.per_instance);
        let hosts = hosts.min(instances);

        let turn = self.made.sets % self.businesses.len();
        let (business, sets) = &mut self.businesses[turn];
        *sets += 1;
        let business = *business;
        let city = *self.chance.one_of(&CITIES);
        let more = [("bk_set_env", "3".into()), ("bk_service_status", "1".into())];
        let set = calls.set(business, &format!("{city}-{sets}"), &more)?;
        let first = self.chance.within(0..=SERVICES.len() - 1);
        let services: Vec<_> =
            (0..instances.div_ceil(hosts)).map(|i| &SERVICES[(first + i) % SERVICES.len()]).collect();
        let modules =
            services.iter().map(|service| calls.module(business, set, service.name)).collect::<Result<Vec<_>, _>>()?;
        let addresses = self.free_addresses(calls, hosts)?;
        let records = addresses.iter().enumerate().map(|(i, address)| {
            let name = format!("{city}-{set}-{i:02}");
            object([("bk_host_innerip", address.as_str().into()), ("bk_host_name", name.into())])
        });
        let host_ids = calls.hosts(business, records.collect(), &modules)?;

        let (mut instances_left, mut processes_left) = (instances, processes);
        for (service, module) in services.iter().zip(&modules) {
            let on = host_ids.iter().zip(&addresses).take(instances_left);
            instances_left -= on.len();
            let entries = on.map(|(host, address)| {
                let count = size.per_instance.min(processes_left);
                processes_left -= count;
                (*host, (0..count).map(|i| process(service, i, address)).collect())
            });
            let ids = calls.instances(business, *module, entries)?;
            self.add_labels(calls, business, city, &ids)?;
        }
        self.made +=
            Made { businesses: 0, sets: 1, modules: modules.len(), hosts, service_instances: instances, processes };
        Ok(())
    }

    fn add_labels(
        &mut self,
        calls: &mut Calls<'_>,
        business: i64,
        city: &str,
        instances: &[i64],
    ) -> Result<(), OpError> {
        let some: Vec<_> = instances.iter().copied().filter(|_| self.chance.within(1..=LABELLED) == 1).collect();
        if some.is_empty() {
            return Ok(());
        }
        let release = *self.chance.one_of(&["canary", "stable"]);
        let labels = object([("release", release.into()), ("city", city.into())]);
        let fields =
            [("bk_biz_id", business.into()), ("instance_ids", numbers(&some)), ("labels", Json::Object(labels))];
        calls.call("add_label_for_service_instance", object(fields)).map(|_| ())
    }

    /// The next addresses that no host has.
    fn free_addresses(&mut self, calls: &mut Calls<'_>, count: usize) -> Result<Vec<String>, StoreError> {
        let mut free = Vec::with_capacity(count);
        while free.len() < count {
            // More than are needed, so that those that are taken are soon passed over.
            let tried: Vec<_> = (self.next_address..).take(1000).map(|n| address(n).to_string()).collect();
            let held = host::holders_of_addresses(calls.tx(), tried.iter().map(String::as_str))?;
            let held: std::collections::HashSet<_> = held.iter().map(|row| row.address.as_str()).collect();
            for address in &tried {
                self.next_address += 1;
                if !held.contains(address.as_str()) {
                    free.push(address.clone());
                }
                if free.len() == count {
                    break;
                }
            }
        }
        Ok(free)
    }
}

/// The addresses from 10.0.0.1 on, without those that end in 0 or 255.
fn address(number: u32) -> Ipv4Addr {
    let network = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    Ipv4Addr::from(network.wrapping_add((number / 254) << 8 | (number % 254 + 1)))
}

/// The process of this number in an instance of a service.
fn process(service: &Service, number: usize, address: &str) -> Object {
    let (alias, func, port) = service.program(number);
    let folder = format!("/data/{}", service.name);
    let mut fields = vec![
        ("bk_process_name", alias.as_str().into()),
        ("bk_func_name", func.into()),
        ("bk_start_param_regex", alias.as_str().into()),
        ("start_cmd", format!("./bin/{alias} start").into()),
        ("stop_cmd", format!("./bin/{alias} stop").into()),
        ("restart_cmd", format!("./bin/{alias} restart").into()),
        ("pid_file", format!("{folder}/run/{alias}.pid").into()),
        ("work_path", folder.into()),
        ("user", service.user.into()),
        ("auto_start", true.into()),
        ("proc_num", 1.into()),
        ("priority", Json::Int(if number == 0 { 1 } else { 10 })),
        ("timeout", 30.into()),
    ];
    if let Some(port) = port {
        let row = object([
            ("ip", address.into()),
            ("port", port.to_string().into()),
            ("protocol", "1".into()),
            ("enable", true.into()),
        ]);
        fields.push(("bind_info", Json::List(vec![Json::Object(row)])));
    }
    object(fields)
}
