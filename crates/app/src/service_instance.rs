//! Service instances: create_service_instance, list_service_instance, list_service_instance_detail (`instances` 10.1, 10.2, 10.5).

use crate::access::{Granted, right};
use crate::journal::{InstanceEntry, Journal};
use crate::operation::Serve;
use crate::process_instance::{self as process, AuditedProcess, AuditedStates, Drafts, Owner, ProcessEntryWire};
use crate::{Context, OpError, Reply};
use rollcall_domain::bind_info::HostAddresses;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ServiceInstanceId};
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Schema};
use rollcall_domain::page::{Page, PageIn};
use rollcall_domain::service_instance::{self as rules, NewServiceInstance};
use rollcall_domain::{process as process_rules, wire_input};
use rollcall_store::Tx;
use rollcall_store::event::EventKind;
use rollcall_store::module::ModuleRow;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::service_instance::{self as store, Order, ServiceInstanceFilter};
use std::collections::{HashMap, HashSet};

wire_input! {
    /// What create_service_instance takes.
    pub struct CreateInstancesWire {
        /// The business; derived from the module when missing.
        pub business_id: Option<i64> = "bk_biz_id",
        /// The module; when missing, the one ordinary module that all named hosts are in.
        pub module_id: Option<i64> = "bk_module_id",
        /// The name of the instance, when exactly one is made and it names none itself.
        pub name: Option<String> = "name",
        /// 1 to 100 instances.
        pub instances: Vec<InstanceEntryWire> = "instances",
    }
}

wire_input! {
    /// One instance of a request.
    pub struct InstanceEntryWire {
        /// The host, which must be in the module.
        pub host_id: i64 = "bk_host_id",
        /// The name, up to 256 bytes; made of address, alias and port when missing.
        pub name: String = "service_instance_name",
        /// At least one process.
        pub processes: Vec<ProcessEntryWire> = "processes",
    }
}

/// create_service_instance: its input, and the processes checked once before the queue.
#[derive(Debug)]
pub struct CreateInstances {
    wire: CreateInstancesWire,
    /// The processes of each instance.
    drafts: Vec<Drafts>,
}

crate::operation::decode_through!(CreateInstances, CreateInstancesWire, |wire| Self { wire, drafts: Vec::new() });

fn at(instance: usize) -> FieldPath {
    FieldPath::of("instances").index(instance)
}

impl CreateInstancesWire {
    fn count_processes(&self) -> usize {
        self.instances.iter().map(|instance| instance.processes.len()).sum()
    }

    /// The hosts named, each once.
    fn hosts(&self) -> Vec<HostId> {
        let mut hosts: Vec<_> = self.instances.iter().map(|instance| HostId(instance.host_id)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// The name the caller gives an instance, "" for none (`design` §4: the top-level name counts for a single one).
    fn name_of(&self, instance: usize) -> &str {
        let own = self.instances[instance].name.as_str();
        match &self.name {
            Some(name) if own.is_empty() && self.instances.len() == 1 => name,
            _ => own,
        }
    }

    /// Where [`Self::name_of`] stands in the request.
    fn name_path(&self, instance: usize) -> FieldPath {
        match &self.name {
            Some(name) if std::ptr::eq(name.as_str(), self.name_of(instance)) => FieldPath::of("name"),
            _ => at(instance).field("service_instance_name"),
        }
    }

    fn check_sizes(&self) -> Result<(), Fault> {
        if self.instances.is_empty() {
            return Err(Fault::new(Cause::NotSet, "instances"));
        }
        for (field, what, count, max) in [
            ("instances", "create service instances", self.instances.len(), rules::MAX_PER_CALL),
            ("instances.processes", "create process instances", self.count_processes(), rules::MAX_PROCESSES_PER_CALL),
        ] {
            if count > max {
                return Err(Fault::new(Cause::TooMany, field).named(what).with(max).because(Reason::TooMany { max }));
            }
        }
        Ok(())
    }
}

impl Serve for CreateInstances {
    fn output() -> Schema {
        Schema::Integer.list()
    }

    fn check(&mut self) {
        if self.wire.check_sizes().is_err() {
            return;
        }
        let instances = self.wire.instances.iter_mut().enumerate();
        self.drafts =
            instances.map(|(i, instance)| Drafts::read(&mut instance.processes, at(i).field("processes"))).collect();
    }

    /// The stages are those of `instances` 10.1; each reports all its bad items.
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let wire = &self.wire;
        // A caller without the right learns nothing, not even what is wrong with the request.
        if let Some(stated) = wire.business_id.filter(|id| *id > 0) {
            context.access.require::<right::CreateServiceInstance>(BusinessId(stated))?;
        }
        wire.check_sizes()?;
        let (granted, module) = self.locate(context, tx)?;
        if module.kind != 0 {
            let reason = Reason::These { what: module.name };
            return Err(Fault::new(Cause::ParamInvalid, "bk_module_id").because(reason).into());
        }
        let empty = wire.instances.iter().enumerate().filter(|(_, instance)| instance.processes.is_empty());
        let empty = empty.map(|(i, _)| Fault::new(Cause::NotSet, at(i).field("processes")));
        Failure::check(empty.collect())?;
        rollcall_store::host::lock_shared(tx, &wire.hosts())?;
        check_hosts(tx, &module, wire)?;
        let names =
            (0..wire.instances.len()).filter_map(|i| rules::check_name(wire.name_of(i), wire.name_path(i)).err());
        Failure::check(names.collect())?;
        let mut faults = Vec::new();
        for drafts in &self.drafts {
            drafts.find_faults(&[], &mut faults);
        }
        Failure::check(faults)?;
        let hosts = rollcall_store::host::addresses(tx, &wire.hosts())?;
        let ids = self.apply(&granted, context, tx, &module, &hosts)?;
        Reply::of(&ids)
    }
}

impl CreateInstances {
    /// The module with the proof of the right in its business. What the caller may not know of looks absent (`design` §4).
    fn locate(
        &self,
        context: &Context,
        tx: &mut dyn Tx,
    ) -> Result<(Granted<right::CreateServiceInstance>, ModuleRow), OpError> {
        let stated = self.wire.business_id;
        if stated.is_some_and(|business| business <= 0) {
            return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").into());
        }
        let id = match self.wire.module_id {
            Some(id) => ModuleId(id),
            None => self.derive_module(context, tx)?,
        };
        let absent = || {
            let reason = Reason::Absent { value: id.to_string() };
            OpError::from(Fault::new(Cause::ModuleUnreadable, "bk_module_id").because(reason))
        };
        let module = rollcall_store::module::find(tx, id)?.ok_or_else(absent)?;
        let granted = context.access.find(module.business_id).ok_or_else(absent)?;
        match stated {
            Some(stated) if stated != module.business_id.get() => {
                Err(Fault::new(Cause::ModuleNotInBusiness, "bk_module_id").named(id.to_string()).with(stated).into())
            }
            _ => Ok((granted, module)),
        }
    }

    /// The one ordinary module that all named hosts are in. Hosts of businesses the caller has no right on do not count.
    fn derive_module(&self, context: &Context, tx: &mut dyn Tx) -> Result<ModuleId, OpError> {
        let hosts = self.wire.hosts();
        let mut shared: HashMap<ModuleId, usize> = HashMap::new();
        for place in rollcall_store::host::modules_of(tx, &hosts)? {
            let stated = self.wire.business_id.is_none_or(|business| business == place.business_id.get());
            if stated && context.access.find::<right::CreateServiceInstance>(place.business_id).is_some() {
                *shared.entry(place.module_id).or_default() += 1;
            }
        }
        let shared: Vec<_> = shared.into_iter().filter(|(_, count)| *count == hosts.len()).map(|(id, _)| id).collect();
        let places = rollcall_store::host::places(tx, &shared)?;
        let candidates: Vec<_> = places.iter().filter(|place| place.kind == 0).map(|place| place.module_id).collect();
        match candidates[..] {
            [only] => Ok(only),
            _ => Err(Fault::new(Cause::NotSet, "bk_module_id").because(Reason::NothingToDeriveFrom).into()),
        }
    }

    /// Stores instances and processes, ids in request order.
    fn apply(
        &self,
        granted: &Granted<right::CreateServiceInstance>,
        context: &Context,
        tx: &mut dyn Tx,
        module: &ModuleRow,
        hosts: &HashMap<HostId, HostAddresses>,
    ) -> Result<Vec<i64>, OpError> {
        let business_id = granted.business();
        let nowhere = HostAddresses::default();
        let host_of = |id: HostId| hosts.get(&id).unwrap_or(&nowhere);
        let entries = self.wire.instances.iter().zip(&self.drafts).enumerate();
        let names: Vec<String> = entries
            .map(|(i, (entry, drafts))| match self.wire.name_of(i) {
                "" => rules::generated_name(host_of(HostId(entry.host_id)), drafts.all().first()),
                name => name.to_owned(),
            })
            .collect();
        let first = sequence::take(tx, Sequence::ServiceInstance, names.len())?;
        let time = context.time_text();
        let instances: Vec<_> = names
            .iter()
            .zip(&self.wire.instances)
            .zip(first..)
            .map(|((name, entry), id)| {
                let instance = NewServiceInstance {
                    id: ServiceInstanceId(id),
                    business_id,
                    module_id: module.id,
                    host_id: HostId(entry.host_id),
                    name,
                    user: &context.caller.user,
                    time: &time,
                };
                let document = instance.document();
                (instance, document)
            })
            .collect();
        store::insert(tx, &instances)?;
        let owners: Vec<_> = instances
            .iter()
            .zip(&self.drafts)
            .map(|((instance, _), drafts)| Owner {
                id: instance.id,
                host_id: instance.host_id,
                host: host_of(instance.host_id),
                drafts: drafts.all(),
            })
            .collect();
        let mut journal = Journal::default();
        for (instance, document) in &instances {
            journal.created(EventKind::ServiceInstance, business_id, instance.id.get(), format!("{document}}}"));
        }
        let made = process::apply_create(granted, context, tx, &owners, &mut journal)?;
        for ((instance, document), made) in instances.iter().zip(&made) {
            let after = format!("{document}}}");
            let states = AuditedStates { after: Some(&after), ..AuditedStates::default() };
            journal.instance(InstanceEntry {
                business_id,
                action: "create",
                id: instance.id,
                name: instance.name,
                detail: process::audit_detail(Some(states), instance.host_id, &AuditedProcess::made(made)),
            });
        }
        journal.write(context, tx)?;
        Ok(instances.iter().map(|(instance, _)| instance.id.get()).collect())
    }
}

/// Every host must be in the module (`instances E7`); each that is not is named.
fn check_hosts(tx: &mut dyn Tx, module: &ModuleRow, wire: &CreateInstancesWire) -> Result<(), OpError> {
    let inside: HashSet<_> = rollcall_store::host::in_module(tx, module.id, &wire.hosts())?.into_iter().collect();
    let outside = wire.instances.iter().enumerate().filter(|(_, entry)| !inside.contains(&HostId(entry.host_id)));
    let faults = outside.map(|(i, entry)| {
        Fault::new(Cause::HostsNotInModule, at(i).field("bk_host_id")).named(entry.host_id.to_string())
    });
    Ok(Failure::check(faults.collect())?)
}

wire_input! {
    /// What list_service_instance takes.
    pub struct ListInstances {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// Only of this module; 0: of any.
        pub module_id: i64 = "bk_module_id",
        /// Only on these hosts, up to 1000; empty: on any.
        pub host_ids: Vec<i64> = "bk_host_ids",
        /// A text that the name contains, its case counting.
        pub search_key: String = "search_key",
        /// Labels to select by.
        pub selectors: Json = "selectors",
        /// The page; missing: everything, up to the server's limit.
        pub page: Option<PageIn> = "page",
    }
}

/// The most hosts a list may be asked for.
const MAX_HOSTS: usize = 1000;

impl Serve for ListInstances {
    fn output() -> Schema {
        rules::schema([]).page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if self.host_ids.len() > MAX_HOSTS {
            let max = MAX_HOSTS;
            let fault = Fault::new(Cause::TooMany, "bk_host_ids").named("search service instances").with(max);
            return Err(fault.because(Reason::TooMany { max }).into());
        }
        let page = self.page.clone().unwrap_or_else(PageIn::none).lenient(Cause::PageIllegal)?;
        if self.business_id <= 0 {
            return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").into());
        }
        refuse_selectors(&self.selectors)?;
        let business = BusinessId(self.business_id);
        context.access.may_read(business)?;
        let filter = ServiceInstanceFilter {
            module_id: (self.module_id != 0).then_some(ModuleId(self.module_id)),
            host_ids: (!self.host_ids.is_empty()).then(|| self.host_ids.iter().copied().map(HostId).collect()),
            ids: None,
            name_contains: self.search_key.clone(),
        };
        let count = store::count(tx, business, &filter)?;
        let limit = match page.limit {
            Some(limit) => limit,
            None => bounded(context, "page", count)?,
        };
        let mut out = JsonWriter::with_capacity(64 + limit.min(count) * 384);
        out.raw("{\"count\":").int(wide(count)).raw(",\"info\":[");
        store::each_of_page(
            tx,
            business,
            &filter,
            order(&page, Order::Oldest),
            (page.start, limit),
            &mut |_, document| {
                out.separate().raw(document).raw("}");
            },
        )?;
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

/// Labels are written and selected by in a later release; until then no selector can be honoured.
fn refuse_selectors(selectors: &Json) -> Result<(), Fault> {
    match selectors {
        Json::Null => Ok(()),
        Json::List(list) if list.is_empty() => Ok(()),
        _ => Err(Fault::new(Cause::ParamInvalid, "selectors").because(Reason::NotSupportedYet)),
    }
}

/// All rows, unless there are more than an answer without a page may hold (`design` §4).
pub(crate) fn bounded(context: &Context, field: &str, count: usize) -> Result<usize, Fault> {
    let max = context.limits.unpaged_rows;
    if count <= max {
        return Ok(max);
    }
    Err(Fault::new(Cause::PageIllegal, field).because(Reason::NeedsPage { max }))
}

fn wide(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The order of a page. Instances are made in the order of their times, so a time orders as the id does; other fields order by
/// the default.
fn order(page: &Page, default: Order) -> Order {
    match page.sort.first() {
        Some(key) => match (key.field.as_str(), key.descending) {
            ("id" | "create_time" | "last_time", false) => Order::Oldest,
            ("id" | "create_time" | "last_time", true) => Order::Newest,
            ("name", false) => Order::Name,
            ("name", true) => Order::NameBackwards,
            _ => default,
        },
        None => default,
    }
}

wire_input! {
    /// What list_service_instance_detail takes.
    pub struct ListInstanceDetails {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// Only of this module.
        pub module_id: i64 = "bk_module_id",
        /// Only on this host; older than `bk_host_list`.
        pub host_id: i64 = "bk_host_id",
        /// Only on these hosts; empty: on any.
        pub host_ids: Vec<i64> = "bk_host_list",
        /// Only these instances; an empty list matches none.
        pub ids: Option<Vec<i64>> = "service_instance_ids",
        /// Labels to select by.
        pub selectors: Json = "selectors",
        /// The page: 1 to 1000 rows.
        pub page: Option<PageIn> = "page",
    }
}

impl Serve for ListInstanceDetails {
    fn output() -> Schema {
        let process = Schema::object([
            ("process", process_rules::fixed_schema()),
            ("relation", process_rules::relation_schema()),
        ]);
        rules::schema([("process_instances", process.list().or_null())]).page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let page = self.page.clone().unwrap_or_else(PageIn::none).bounded(1000, Cause::PageIllegal)?;
        if self.business_id <= 0 {
            return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").into());
        }
        if self.host_id != 0 && !self.host_ids.is_empty() {
            let reason = Reason::Exclusive { other: "bk_host_list" };
            return Err(Fault::new(Cause::ParamInvalid, "bk_host_id").because(reason).into());
        }
        refuse_selectors(&self.selectors)?;
        let business = BusinessId(self.business_id);
        context.access.may_read(business)?;
        let hosts = if self.host_id != 0 { vec![self.host_id] } else { self.host_ids.clone() };
        let filter = ServiceInstanceFilter {
            module_id: (self.module_id > 0).then_some(ModuleId(self.module_id)),
            host_ids: (!hosts.is_empty()).then(|| hosts.into_iter().map(HostId).collect()),
            ids: self.ids.as_ref().map(|ids| ids.iter().copied().map(ServiceInstanceId).collect()),
            name_contains: String::new(),
        };
        let count = store::count(tx, business, &filter)?;
        let (mut ids, mut documents) = (Vec::new(), Vec::new());
        let rows = (page.start, page.limit.unwrap_or(1000));
        store::each_of_page(tx, business, &filter, order(&page, Order::Newest), rows, &mut |id, document| {
            ids.push(id);
            documents.push(document.to_owned());
        })?;
        let mut processes: HashMap<ServiceInstanceId, JsonWriter> = HashMap::with_capacity(ids.len());
        rollcall_store::process::each_of_instances(tx, business, &ids, &mut |row| {
            let out = processes.entry(row.service_instance_id).or_default();
            out.separate().raw("{\"process\":{").raw(row.fixed_fields).raw("},\"relation\":");
            process::write_relation(out, &row);
            out.raw("}");
        })?;
        let mut out = JsonWriter::with_capacity(64 + ids.len() * 2048);
        out.raw("{\"count\":").int(wide(count)).raw(",\"info\":[");
        for (id, document) in ids.iter().zip(documents) {
            out.separate().raw(&document).raw(",\"process_instances\":");
            match processes.remove(id) {
                Some(list) => out.raw("[").raw(&list.finish()).raw("]}"),
                None => out.raw("null}"),
            };
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}
