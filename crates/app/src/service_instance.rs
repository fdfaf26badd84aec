//! Service instances: made, listed, renamed and removed (`instances` 10.1 to 10.8).

use crate::access::{Granted, right};
use crate::creation::{self, Blueprint, Wanted};
use crate::journal::{InstanceEntry, Journal};
use crate::listing::open_list;
use crate::operation::Serve;
use crate::process_instance::{self as process, AuditedStates, Drafts, ProcessEntryWire, Recipe};
use crate::request::{bounded, business_of, check_count, check_most, no_business};
use crate::{Context, OpError, Reply, removal};
use rollcall_domain::bind_info::{HostAddresses, NO_ADDRESSES};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ProcessTemplateId, ServiceInstanceId, ServiceTemplateId};
use rollcall_domain::json::{FieldPath, JsonWriter, Object, Schema};
use rollcall_domain::label::{SelectorIn, Selectors};
use rollcall_domain::page::{Page, PageIn};
use rollcall_domain::process::{ProcessUpdate, Unnamed};
use rollcall_domain::service_instance as rules;
use rollcall_domain::{process as process_rules, wire_input};
use rollcall_store::event::EventKind;
use rollcall_store::module::ModuleRow;
use rollcall_store::service_instance::{
    self as store, ListedInstance, LockedInstance, Order, Renaming, ServiceInstanceFilter,
};
use rollcall_store::{StoreError, Tx};
use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// The processes of each instance, should it follow no template.
    drafts: Vec<Drafts>,
    /// What they say of processes of templates, should it follow one.
    changes: Vec<Vec<SentChange>>,
}

/// What an entry says of the process of a template.
#[derive(Debug)]
struct SentChange {
    template: ProcessTemplateId,
    update: ProcessUpdate,
    at: FieldPath,
}

crate::operation::decode_through!(CreateInstances, CreateInstancesWire, |wire| Self {
    wire,
    drafts: Vec::new(),
    changes: Vec::new()
});

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
            check_most(field, what, count, max)?;
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
        let changes_of = |(i, instance): (usize, &InstanceEntryWire)| {
            let named = instance.processes.iter().enumerate().filter(|(_, entry)| entry.process_template_id != 0);
            let changes = named.map(|(j, entry)| {
                let at = at(i).field("processes").index(j).field("process_info");
                let update = ProcessUpdate::read(&entry.process_info.0, Unnamed::Cleared, &at);
                SentChange { template: ProcessTemplateId(entry.process_template_id), update, at }
            });
            changes.collect()
        };
        self.changes = self.wire.instances.iter().enumerate().map(changes_of).collect();
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
        let follows = module.service_template_id != 0;
        let empty = wire.instances.iter().enumerate().filter(|(_, instance)| instance.processes.is_empty() && !follows);
        let empty = empty.map(|(i, _)| Fault::new(Cause::NotSet, at(i).field("processes")));
        Failure::check(empty.collect())?;
        rollcall_store::host::lock_shared(tx, &wire.hosts())?;
        check_hosts(tx, &module, wire)?;
        let names =
            (0..wire.instances.len()).filter_map(|i| rules::check_name(wire.name_of(i), wire.name_path(i)).err());
        Failure::check(names.collect())?;
        let ids = if follows {
            self.create_from_template(&granted, context, tx, &module)?
        } else {
            self.create_by_hand(&granted, context, tx, &module)?
        };
        Reply::of(&ids.iter().map(|id| id.get()).collect::<Vec<_>>())
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
        let absent = || OpError::from(Fault::absent(Cause::ModuleUnreadable, "bk_module_id", id));
        let mut module = rollcall_store::module::find(tx, id)?.ok_or_else(absent)?;
        let granted = context.access.find(module.business_id).ok_or_else(absent)?;
        // A module can be let go of its template, but never begins to follow one.
        if module.service_template_id != 0 {
            rollcall_store::service_template::lock_shared(tx, ServiceTemplateId(module.service_template_id))?;
            module = rollcall_store::module::lock_shared(tx, &[id])?.pop().ok_or_else(absent)?;
        }
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

    /// Stores instances that follow no template, with their processes. Ids in request order.
    fn create_by_hand(
        &self,
        granted: &Granted<right::CreateServiceInstance>,
        context: &Context,
        tx: &mut dyn Tx,
        module: &ModuleRow,
    ) -> Result<Vec<ServiceInstanceId>, OpError> {
        let mut faults = Vec::new();
        for drafts in &self.drafts {
            drafts.find_faults(&[], &mut faults);
        }
        Failure::check(faults)?;
        let hosts = Hosts(rollcall_store::host::addresses(tx, &self.wire.hosts())?);
        let entries = self.wire.instances.iter().zip(&self.drafts).enumerate();
        let wanted: Vec<_> = entries
            .map(|(i, (entry, drafts))| {
                let (host_id, host) = hosts.of(entry);
                let name = match self.wire.name_of(i) {
                    "" => rules::generated_name(host, drafts.all().first()),
                    name => name.to_owned(),
                };
                let recipes = Recipe::by_hand(drafts.all());
                Wanted { module_id: module.id, service_template_id: 0, host_id, host, name, recipes }
            })
            .collect();
        let mut journal = Journal::default();
        let ids = creation::create(granted, context, tx, &wanted, &mut journal)?;
        journal.write(context, tx)?;
        Ok(ids)
    }

    /// Stores instances that follow the template of their module: a process for each of its process templates, with what the request
    /// says otherwise where no lock is (`templates` 8.1).
    fn create_from_template(
        &self,
        granted: &Granted<right::CreateServiceInstance>,
        context: &Context,
        tx: &mut dyn Tx,
        module: &ModuleRow,
    ) -> Result<Vec<ServiceInstanceId>, OpError> {
        let business = granted.business();
        let id = ServiceTemplateId(module.service_template_id);
        let blueprints = Blueprint::lock(tx, &[id])?;
        let blueprint = blueprints.get(&id).filter(|blueprint| !blueprint.templates.is_empty());
        let Some(blueprint) = blueprint else {
            let fault = Fault::new(Cause::ParamInvalid, "bk_module_id").named("service_template_id");
            return Err(fault.because(Reason::NoProcessTemplates).into());
        };
        let hosts = Hosts(rollcall_store::host::addresses(tx, &self.wire.hosts())?);
        let taken = store::hosts_with_bound(tx, business, module.id, &self.wire.hosts())?;
        let mut taken: HashSet<_> = taken.into_iter().collect();
        let entries = self.wire.instances.iter().enumerate();
        let twice = entries.filter(|(_, entry)| !taken.insert(HostId(entry.host_id)));
        let twice = twice.map(|(i, entry)| {
            let what = match hosts.of(entry).1.name_prefix() {
                "" => entry.host_id.to_string(),
                addresses => addresses.to_owned(),
            };
            Fault::new(Cause::InstanceExists, at(i).field("bk_host_id")).because(Reason::These { what })
        });
        Failure::check(twice.collect())?;
        let count = self.wire.instances.len() * blueprint.templates.len();
        check_most("instances", "create process instances", count, rules::MAX_PROCESSES_PER_CALL)?;
        let mistyped = self.changes.iter().flatten().flat_map(|change| change.update.mistyped());
        Failure::check(mistyped.cloned().collect())?;
        let entries = self.wire.instances.iter().zip(&self.changes).enumerate();
        let wanted: Vec<_> = entries
            .map(|(i, (entry, changes))| {
                let (host_id, host) = hosts.of(entry);
                let name = match self.wire.name_of(i) {
                    "" => blueprint.name_on(host),
                    name => name.to_owned(),
                };
                let mut recipes = blueprint.recipes();
                for recipe in &mut recipes {
                    let own = |change: &&SentChange| recipe.follows.is_some_and(|it| it.id == change.template);
                    recipe.change = changes.iter().rfind(own).map(|change| (&change.update, &change.at));
                }
                Wanted { module_id: module.id, service_template_id: id.get(), host_id, host, name, recipes }
            })
            .collect();
        let mut journal = Journal::default();
        let ids = creation::create(granted, context, tx, &wanted, &mut journal)?;
        journal.write(context, tx)?;
        Ok(ids)
    }
}

/// The addresses of the hosts of a request.
struct Hosts(HashMap<HostId, HostAddresses>);

impl Hosts {
    /// The host of an entry with its addresses.
    fn of(&self, entry: &InstanceEntryWire) -> (HostId, &HostAddresses) {
        let id = HostId(entry.host_id);
        (id, self.0.get(&id).unwrap_or(&NO_ADDRESSES))
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
        /// What the labels must meet, all of it.
        pub selectors: Vec<SelectorIn> = "selectors",
        /// The page; missing: everything, up to the server's limit.
        pub page: Option<PageIn> = "page",
    }
}

/// The most hosts a list may be asked for.
const MAX_HOSTS: usize = 1000;
/// The most rows of a page; more are answered only as far as an answer without a page goes.
const MAX_PAGE: usize = 1000;

impl Serve for ListInstances {
    fn output() -> Schema {
        rules::schema([]).page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        check_most("bk_host_ids", "search service instances", self.host_ids.len(), MAX_HOSTS)?;
        let page = self.page.clone().unwrap_or_else(PageIn::none).lenient(Cause::PageIllegal)?;
        if self.business_id <= 0 {
            return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").into());
        }
        let selectors = Selectors::read(&self.selectors)?;
        let business = BusinessId(self.business_id);
        context.access.may_read(business)?;
        let filter = ServiceInstanceFilter {
            module_id: (self.module_id != 0).then_some(ModuleId(self.module_id)),
            host_ids: (!self.host_ids.is_empty()).then(|| self.host_ids.iter().copied().map(HostId).collect()),
            ids: None,
            name_contains: self.search_key.clone(),
            selectors,
        };
        list(context, tx, business, &filter, &page)
    }
}

/// A page of the instances that match.
fn list(
    context: &Context,
    tx: &mut dyn Tx,
    business: BusinessId,
    filter: &ServiceInstanceFilter,
    page: &Page,
) -> Result<Reply, OpError> {
    let count = store::count(tx, business, filter)?;
    let rows = rows_of(context, page, count)?;
    let mut answer = open_list(count, rows.min(count) * 384);
    let order = order(page, Order::Oldest);
    store::each_of_page(tx, business, filter, order, (page.start, rows), &mut |row| push(&mut answer, &row))?;
    answer.raw("]}");
    Ok(Reply(answer.finish()))
}

/// How many rows a page may have: as many as were asked for, or as an answer may hold.
fn rows_of(context: &Context, page: &Page, count: usize) -> Result<usize, Fault> {
    match page.limit {
        Some(limit) if limit <= MAX_PAGE => Ok(limit),
        limit => {
            let left = count.saturating_sub(page.start);
            bounded(context, "page", limit.map_or(left, |limit| limit.min(left)))
        }
    }
}

fn push(out: &mut JsonWriter, row: &ListedInstance<'_>) {
    rules::write_document(out.separate(), row.document, row.labels);
    out.raw("}");
}

wire_input! {
    /// What list_service_instance_by_host takes.
    pub struct ListInstancesOfHost {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The host.
        pub host_id: i64 = "bk_host_id",
        /// A text that the name contains, its case counting.
        pub search_key: String = "search_key",
        /// What the labels must meet, all of it.
        pub selectors: Vec<SelectorIn> = "selectors",
        /// The page; missing: everything, up to the server's limit.
        pub page: Option<PageIn> = "page",
    }
}

impl Serve for ListInstancesOfHost {
    fn output() -> Schema {
        rules::schema([]).page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if self.host_id == 0 {
            return Err(Fault::new(Cause::InputInvalid, "bk_host_id").because(Reason::Blank).into());
        }
        let page = self.page.clone().unwrap_or_else(PageIn::none).unchecked()?;
        let business = business_of(self.business_id)?;
        let selectors = Selectors::read(&self.selectors)?;
        context.access.may_read(business)?;
        let filter = ServiceInstanceFilter {
            host_ids: Some(vec![HostId(self.host_id)]),
            name_contains: self.search_key.clone(),
            selectors,
            ..ServiceInstanceFilter::default()
        };
        list(context, tx, business, &filter, &page)
    }
}

wire_input! {
    /// What list_service_instance_by_set_template takes.
    pub struct ListInstancesOfSetTemplate {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The set template whose sets' modules the instances are in.
        pub set_template_id: i64 = "set_template_id",
        /// The page: 1 to 1000 rows, or 999999999 for everything, up to the server's limit. Its sort does not count.
        pub page: Option<PageIn> = "page",
    }
}

impl Serve for ListInstancesOfSetTemplate {
    fn output() -> Schema {
        rules::schema([]).page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let page = self.page.clone().unwrap_or_else(PageIn::none).strict(Cause::PageIllegal)?;
        if self.set_template_id == 0 {
            return Err(Fault::new(Cause::Omitted, "set_template_id").into());
        }
        let business = business_of(self.business_id)?;
        context.access.may_read(business)?;
        let count = store::count_of_set_template(tx, business, self.set_template_id)?;
        let rows = rows_of(context, &page, count)?;
        let mut answer = open_list(count, rows.min(count) * 384);
        store::each_of_set_template(tx, business, self.set_template_id, (page.start, rows), &mut |row| {
            push(&mut answer, &row);
        })?;
        answer.raw("]}");
        Ok(Reply(answer.finish()))
    }
}

/// The order of a page. Instances are made in the order of their ids, so the time of that orders as the id does; other fields order
/// by the default.
fn order(page: &Page, default: Order) -> Order {
    match page.sort.first() {
        Some(key) => match (key.field.as_str(), key.descending) {
            ("id" | "create_time", false) => Order::Oldest,
            ("id" | "create_time", true) => Order::Newest,
            ("last_time", false) => Order::Unchanged,
            ("last_time", true) => Order::Changed,
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
        /// What the labels must meet, all of it.
        pub selectors: Vec<SelectorIn> = "selectors",
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
        let selectors = Selectors::read(&self.selectors)?;
        let business = BusinessId(self.business_id);
        context.access.may_read(business)?;
        let hosts = if self.host_id != 0 { vec![self.host_id] } else { self.host_ids.clone() };
        let filter = ServiceInstanceFilter {
            module_id: (self.module_id > 0).then_some(ModuleId(self.module_id)),
            host_ids: (!hosts.is_empty()).then(|| hosts.into_iter().map(HostId).collect()),
            ids: self.ids.as_ref().map(|ids| ids.iter().copied().map(ServiceInstanceId).collect()),
            name_contains: String::new(),
            selectors,
        };
        let count = store::count(tx, business, &filter)?;
        let (mut ids, mut documents) = (Vec::new(), Vec::new());
        let rows = (page.start, page.limit.unwrap_or(1000));
        store::each_of_page(tx, business, &filter, order(&page, Order::Newest), rows, &mut |row| {
            ids.push(row.id);
            let mut document = JsonWriter::with_capacity(row.document.len() + 64);
            rules::write_document(&mut document, row.document, row.labels);
            documents.push(document.finish());
        })?;
        let mut processes: HashMap<ServiceInstanceId, JsonWriter> = HashMap::with_capacity(ids.len());
        rollcall_store::process::each_of_instances(tx, business, &ids, &mut |row| {
            let out = processes.entry(row.service_instance_id).or_default();
            out.separate().raw("{\"process\":{").raw(row.fixed_fields).raw("},\"relation\":");
            process::write_relation(out, row.relation());
            out.raw("}");
        })?;
        let mut out = open_list(count, ids.len() * 2048);
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

/// What is wrong with ids of which only some were found.
pub(crate) fn find_absent(path: &'static str, ids: &[i64], found: &[LockedInstance]) -> Vec<Fault> {
    let found: HashSet<_> = found.iter().map(|instance| instance.id.get()).collect();
    let absent = ids.iter().enumerate().filter(|(_, id)| !found.contains(id));
    absent.map(|(i, id)| Fault::absent(Cause::ParamInvalid, FieldPath::of(path).index(i), id).named(path)).collect()
}

/// A change of an instance itself: its states as whole JSON texts, and the changed members.
pub(crate) struct Changed<'a> {
    pub(crate) business_id: BusinessId,
    pub(crate) instance: &'a LockedInstance,
    pub(crate) after: String,
    /// JSON text.
    pub(crate) update_fields: String,
}

impl Changed<'_> {
    /// Tells of it with an entry and an event, unless nothing is different.
    pub(crate) fn tell(self, journal: &mut Journal) {
        let Self { business_id, instance, after, update_fields } = self;
        let before = rules::whole_document(&instance.document, instance.labels.as_deref());
        if before == after {
            return;
        }
        let states = AuditedStates { before: Some(&before), after: Some(&after), update_fields: Some(&update_fields) };
        journal.instance(InstanceEntry {
            business_id,
            action: "update",
            id: instance.id,
            name: &instance.name,
            detail: process::audit_detail(Some(states), instance.host_id, &[]),
        });
        journal.updated(EventKind::ServiceInstance, business_id, instance.id.get(), before, after);
    }
}

wire_input! {
    /// What the renaming of service instances takes.
    pub struct RenameInstances {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 100 instances; of an instance that stands there twice, the last name counts.
        pub data: Vec<RenamingWire> = "data",
    }
}

wire_input! {
    /// One instance of a renaming.
    pub struct RenamingWire {
        /// The instance; one that is not there is left out.
        pub id: i64 = "service_instance_id",
        /// The `name`, 1 to 256 bytes, and nothing else.
        pub update: Object = "update",
    }
}

impl RenameInstances {
    /// The names, by instance.
    fn names(&self) -> Result<BTreeMap<ServiceInstanceId, &str>, Failure> {
        let (mut names, mut faults) = (BTreeMap::new(), Vec::new());
        for (i, entry) in self.data.iter().enumerate() {
            let at = FieldPath::of("data").index(i);
            if entry.id <= 0 {
                let range = Reason::Range { min: 1, max: i64::MAX };
                faults.push(Fault::new(Cause::ParamInvalid, at.field("service_instance_id")).because(range));
            }
            match rules::read_new_name(&entry.update, &at.field("update")) {
                Ok(name) => {
                    names.insert(ServiceInstanceId(entry.id), name);
                }
                Err(fault) => faults.push(fault),
            }
        }
        Failure::check(faults)?;
        Ok(names)
    }
}

impl Serve for RenameInstances {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = context.access.require::<right::EditServiceInstance>(business_of(self.business_id)?)?;
        let max = rules::MAX_RENAMED_PER_CALL;
        check_count("data", "update service instances", self.data.len(), max, Cause::ParamInvalid)?;
        let names = self.names()?;
        let business_id = granted.business();
        let ids: Vec<_> = names.keys().copied().collect();
        let (time, user) = (context.time_text(), context.caller.user.as_str());
        let mut journal = Journal::default();
        let mut renamings = Vec::with_capacity(ids.len());
        for instance in store::lock_many(tx, business_id, &ids)? {
            let name = names[&instance.id];
            let document = rules::renamed_document(&instance.document, name, user, &time)
                .ok_or_else(|| StoreError::Unreadable("a service instance's document".into()))?;
            let mut update_fields = JsonWriter::default();
            update_fields.raw("{").key("name").text(name).raw("}");
            let changed = Changed {
                business_id,
                instance: &instance,
                after: rules::whole_document(&document, instance.labels.as_deref()),
                update_fields: update_fields.finish(),
            };
            changed.tell(&mut journal);
            renamings.push(Renaming { id: instance.id, name: name.to_owned(), document });
        }
        // Instances that are not there are left out without a word (`instances` D4).
        if !renamings.is_empty() {
            store::rename(tx, business_id, &renamings)?;
            journal.write(context, tx)?;
        }
        Ok(Reply::null())
    }
}

wire_input! {
    /// What delete_service_instance takes.
    pub struct DeleteInstances {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 500 instances, each once.
        pub ids: Vec<i64> = "service_instance_ids",
    }
}

impl Serve for DeleteInstances {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        // A caller without the right learns nothing, not even what is wrong with the request.
        let granted = match self.business_id {
            ..=0 => None,
            stated => Some(context.access.require::<right::DeleteServiceInstance>(BusinessId(stated))?),
        };
        const PATH: &str = "service_instance_ids";
        check_count(PATH, "delete service instances", self.ids.len(), rules::MAX_DELETED_PER_CALL, Cause::NotSet)?;
        let business_id = granted.ok_or_else(no_business)?.business();
        let ids: Vec<_> = self.ids.iter().copied().map(ServiceInstanceId).collect();
        let instances = store::lock_many(tx, business_id, &ids)?;
        let mut faults = find_absent(PATH, &self.ids, &instances);
        let mut first_at = HashMap::new();
        for (i, id) in self.ids.iter().enumerate() {
            let at = FieldPath::of(PATH).index(i);
            if let Some(other) = first_at.get(id) {
                let reason = Reason::TakenInRequest { value: id.to_string(), other: FieldPath::clone(other) };
                faults.push(Fault::new(Cause::ParamInvalid, at).named(PATH).because(reason));
            } else {
                first_at.insert(id, at);
            }
        }
        Failure::check(faults)?;
        let mut journal = Journal::default();
        removal::remove(tx, business_id, &instances, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

wire_input! {
    /// What the search for hosts without service instance takes.
    pub struct ListHostsWithout {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The module whose hosts are meant.
        pub module_id: i64 = "bk_module_id",
        /// Only these of them; empty: all.
        pub host_ids: Vec<i64> = "bk_host_ids",
    }
}

impl Serve for ListHostsWithout {
    fn output() -> Schema {
        Schema::object([("bk_host_ids", Schema::Integer.list())])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let missing = [("bk_biz_id", self.business_id), ("bk_module_id", self.module_id)];
        let faults = missing.into_iter().filter(|(_, id)| *id <= 0).map(|(field, _)| Fault::new(Cause::NotSet, field));
        Failure::check(faults.collect())?;
        let business = BusinessId(self.business_id);
        context.access.may_read(business)?;
        let only = (!self.host_ids.is_empty()).then_some(self.host_ids.as_slice());
        let hosts = store::hosts_without(tx, business, ModuleId(self.module_id), only)?;
        let mut out = JsonWriter::with_capacity(32 + hosts.len() * 8);
        out.raw("{").key("bk_host_ids").raw("[");
        for host in hosts {
            out.separate().int(host);
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}
