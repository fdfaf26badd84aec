//! Hosts between modules: transfer_host_module, transfer_host_to_idlemodule, transfer_resourcehost_to_idlemodule
//! (`topology` 10.3 to 10.5). A module that a host leaves takes the host's service instances there with it.

use crate::access::{Granted, right};
use crate::creation::{self, Blueprint, Wanted};
use crate::host::{audit_entry, relation_document};
use crate::journal::Journal;
use crate::operation::Serve;
use crate::process_instance::{MakesProcesses, failure};
use crate::request::{business_of, check_most};
use crate::{Context, OpError, Reply, removal};
use rollcall_domain::bind_info::{HostAddresses, NO_ADDRESSES};
use rollcall_domain::business::BusinessStatus;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ServiceTemplateId};
use rollcall_domain::json::{FieldPath, JsonWriter, Schema};
use rollcall_domain::module::BuiltIn;
use rollcall_domain::topology::ORDINARY;
use rollcall_domain::transfer::{
    BusinessState, ModulePlace, Relation, TransferKind, TransferPlan, TransferRequest, TransferState, plan_transfer,
};
use rollcall_domain::wire_input;
use rollcall_store::Tx;
use rollcall_store::business::BusinessRow;
use rollcall_store::event::EventKind;
use rollcall_store::host::{self as store, HostModuleRow, Joining, PlaceRow};
use std::collections::{BTreeMap, BTreeSet, HashMap};

wire_input! {
    /// What transfer_host_module takes.
    pub struct ToModules {
        /// The business of the hosts and of the modules.
        pub business_id: i64 = "bk_biz_id",
        /// The hosts.
        pub host_ids: Vec<i64> = "bk_host_id",
        /// The modules they go to; none of them built in.
        pub module_ids: Vec<i64> = "bk_module_id",
        /// The hosts stay in the ordinary modules they are in.
        pub is_increment: bool = "is_increment",
        /// Make no service instances from the templates of the modules.
        pub disable_auto_create: bool = "disable_auto_create",
    }
}

wire_input! {
    /// What transfer_host_to_idlemodule takes.
    pub struct ToIdle {
        /// The business of the hosts.
        pub business_id: i64 = "bk_biz_id",
        /// The hosts.
        pub host_ids: Vec<i64> = "bk_host_id",
    }
}

wire_input! {
    /// What transfer_resourcehost_to_idlemodule takes.
    pub struct FromPool {
        /// The business the hosts go to.
        pub business_id: i64 = "bk_biz_id",
        /// Hosts of the pool.
        pub host_ids: Vec<i64> = "bk_host_id",
    }
}

/// The most hosts or modules one call moves by: the writer serves nobody else meanwhile.
const MAX_IDS: usize = 10_000;

fn check_sizes(ids: &[(&'static str, usize)]) -> Result<(), Failure> {
    let over = ids.iter().filter(|(_, count)| *count > MAX_IDS);
    let faults = over
        .map(|(field, _)| Fault::new(Cause::TooMany, *field).with(MAX_IDS).because(Reason::TooMany { max: MAX_IDS }));
    Failure::check(faults.collect())
}

/// The most processes that a transfer makes from templates.
const MAX_PROCESSES: usize = 100_000;

/// A right that lets its holder move hosts. Who moves them has the processes made that the templates of their modules say.
trait MovesHosts: MakesProcesses {}
impl MovesHosts for right::EditServiceInstance {}
impl MovesHosts for right::AssignHostToBusiness {}

impl Serve for ToModules {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        let granted = context.access.require::<right::EditServiceInstance>(business)?;
        check_sizes(&[("bk_host_id", self.host_ids.len()), ("bk_module_id", self.module_ids.len())])?;
        let hosts: Vec<_> = self.host_ids.iter().copied().map(HostId).collect();
        let targets: Vec<_> = self.module_ids.iter().copied().map(ModuleId).collect();
        let request = TransferRequest {
            source: business,
            business,
            hosts: &hosts,
            targets: &targets,
            kind: TransferKind::Ordinary { is_increment: self.is_increment },
        };
        let row = rollcall_store::business::find(tx, business)?;
        let loaded = Loaded::read(context, tx, &request)?;
        loaded.carry_out(&granted, context, tx, row, &request, !self.disable_auto_create)
    }
}

impl Serve for ToIdle {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        let granted = context.access.require::<right::EditServiceInstance>(business)?;
        check_sizes(&[("bk_host_id", self.host_ids.len())])?;
        let hosts: Vec<_> = self.host_ids.iter().copied().map(HostId).collect();
        let row = rollcall_store::business::find(tx, business)?;
        let idle = rollcall_store::module::find_built_in(tx, business, BuiltIn::Idle.kind())?;
        let (Some(row), Some(idle)) = (row, idle) else {
            return Err(Fault::new(Cause::HostNotPlaced, "bk_biz_id").into());
        };
        let request = TransferRequest {
            source: business,
            business,
            hosts: &hosts,
            targets: &[idle.id],
            kind: TransferKind::BuiltIn,
        };
        let loaded = Loaded::read(context, tx, &request)?;
        loaded.carry_out(&granted, context, tx, Some(row), &request, false)
    }
}

impl Serve for FromPool {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        let granted = context.access.require::<right::AssignHostToBusiness>(business)?;
        check_sizes(&[("bk_host_id", self.host_ids.len())])?;
        if business == BusinessId::POOL {
            return Err(Fault::new(Cause::HostInPool, "bk_biz_id").into());
        }
        let absent = || OpError::from(Fault::new(Cause::NotFound, "bk_biz_id"));
        let row = rollcall_store::business::find(tx, business)?.ok_or_else(absent)?;
        let idle = rollcall_store::module::find_built_in(tx, business, BuiltIn::Idle.kind())?.ok_or_else(absent)?;
        let hosts: Vec<_> = self.host_ids.iter().copied().map(HostId).collect();
        let request = TransferRequest {
            source: BusinessId::POOL,
            business,
            hosts: &hosts,
            targets: &[idle.id],
            kind: TransferKind::BuiltIn,
        };
        let loaded = Loaded::read(context, tx, &request)?;
        if row.status == BusinessStatus::Enabled {
            // Hosts of businesses and hosts that are not there answer alike: nobody learns which they are.
            loaded.check_in_pool(&hosts)?;
        }
        loaded.carry_out(&granted, context, tx, Some(row), &request, false)
    }
}

/// What a transfer looks at: the relations of its hosts that the caller may know of, and the modules concerned with their names.
struct Loaded {
    relations: Vec<HostModuleRow>,
    places: HashMap<ModuleId, PlaceRow>,
}

impl Loaded {
    fn read(context: &Context, tx: &mut dyn Tx, request: &TransferRequest<'_>) -> Result<Self, OpError> {
        store::lock(tx, request.hosts)?;
        let mut relations = store::modules_of(tx, request.hosts)?;
        relations.retain(|row| {
            let owner = row.business_id;
            owner == request.source
                || context.access.find::<right::EditServiceInstance>(owner).is_some()
                || (owner == BusinessId::POOL
                    && context.access.find::<right::AssignHostToBusiness>(request.business).is_some())
        });
        let modules: BTreeSet<_> =
            relations.iter().map(|row| row.module_id).chain(request.targets.iter().copied()).collect();
        let modules: Vec<_> = modules.into_iter().collect();
        let places = store::places(tx, &modules)?.into_iter().map(|row| (row.module_id, row)).collect();
        Ok(Self { relations, places })
    }

    /// Hosts must be in the pool's idle module or in one of its directories (`topology` 10.5).
    fn check_in_pool(&self, hosts: &[HostId]) -> Result<(), Failure> {
        let in_pool = |row: &&HostModuleRow| {
            let kind = self.places.get(&row.module_id).map(|place| place.kind);
            row.business_id == BusinessId::POOL && matches!(kind, Some(ModulePlace::IDLE | ModulePlace::DIRECTORY))
        };
        let inside: BTreeSet<_> = self.relations.iter().filter(in_pool).map(|row| row.host_id).collect();
        let outside = hosts.iter().enumerate().filter(|(_, host)| !inside.contains(host)).map(|(i, host)| {
            Fault::new(Cause::HostsNotInModule, FieldPath::of("bk_host_id").index(i)).named(host.to_string())
        });
        Failure::check(outside.collect())
    }

    /// Decides and applies.
    fn carry_out<R: MovesHosts>(
        &self,
        granted: &Granted<R>,
        context: &Context,
        tx: &mut dyn Tx,
        business: Option<BusinessRow>,
        request: &TransferRequest<'_>,
        makes_instances: bool,
    ) -> Result<Reply, OpError> {
        let state = TransferState {
            business: business
                .as_ref()
                .map(|row| BusinessState { is_archived: row.status == BusinessStatus::Disabled }),
            modules: self.places.values().map(place_of).collect(),
            relations: self.relations.iter().map(|row| (row.host_id, row.module_id)).collect(),
        };
        let plan = plan_transfer(&state, request).map_err(failure)?;
        let name = business.map(|row| row.name).unwrap_or_default();
        if !plan.moves.is_empty() {
            let mut journal = Journal::default();
            self.apply(granted, tx, &plan, &name, request, &mut journal)?;
            if makes_instances {
                make_instances(granted, context, tx, &plan, &mut journal)?;
            }
            // Built-in modules always stay.
            let joined = plan.joining().filter(|relation| relation.module.kind == ORDINARY);
            let joined: BTreeSet<_> = joined.map(|relation| relation.module.id).collect();
            if !joined.is_empty() {
                rollcall_store::module::keep(tx, &joined.into_iter().collect::<Vec<_>>())?;
            }
            journal.write(context, tx)?;
        }
        Ok(Reply::null())
    }

    fn apply<R: MovesHosts>(
        &self,
        _: &Granted<R>,
        tx: &mut dyn Tx,
        plan: &TransferPlan,
        business_name: &str,
        request: &TransferRequest<'_>,
        journal: &mut Journal,
    ) -> Result<(), OpError> {
        let hosts = plan.hosts();
        let leaving = rollcall_store::service_instance::list_leaving(tx, request.source, &hosts, &plan.kept_modules())?;
        removal::remove(tx, request.source, &leaving, journal)?;

        store::leave(tx, &hosts, &plan.left_modules())?;
        let joining: Vec<_> = plan.joining().map(|relation| joining_of(&relation)).collect();
        store::join(tx, &joining)?;
        for relation in plan.leaving() {
            let row = joining_of(&relation);
            journal.deleted(EventKind::HostModule, row.business_id, row.host_id.get(), relation_document(&row));
        }
        for row in &joining {
            journal.created(EventKind::HostModule, row.business_id, row.host_id.get(), relation_document(row));
        }

        let source_name = if request.source == request.business {
            business_name.to_owned()
        } else {
            rollcall_store::business::find(tx, request.source)?.map(|row| row.name).unwrap_or_default()
        };
        let action = match (request.source, request.business) {
            (source, target) if source == target => "transfer_host_module",
            (BusinessId::POOL, _) => "assign_host",
            (_, BusinessId::POOL) => "unassign_host",
            _ => "transfer_host_module",
        };
        let addresses = store::addresses(tx, &hosts)?;
        for host in &plan.moves {
            let mut out = JsonWriter::with_capacity(512);
            out.raw("{\"pre_data\":");
            self.write_whereabouts(&mut out, request.source, &source_name, &host.before);
            out.raw(",\"cur_data\":");
            self.write_whereabouts(&mut out, request.business, business_name, &host.after);
            out.raw("}");
            let address = addresses.get(&host.host_id).map(HostAddresses::name_prefix).unwrap_or_default();
            journal.audit(audit_entry(request.business, action, host.host_id, address, out.finish()));
        }
        Ok(())
    }

    /// Where a host is, as the audit tells it (`topology` 10.1, step 5).
    fn write_whereabouts(&self, out: &mut JsonWriter, business: BusinessId, name: &str, modules: &[ModulePlace]) {
        let mut sets: BTreeMap<_, Vec<&PlaceRow>> = BTreeMap::new();
        for place in modules.iter().filter_map(|module| self.places.get(&module.id)) {
            sets.entry(place.set_id).or_default().push(place);
        }
        out.raw("{\"bk_biz_id\":").int(business.get()).raw(",\"bk_biz_name\":").text(name).raw(",\"set\":[");
        for (set_id, places) in sets {
            let set_name = places.first().map_or("", |place| place.set_name.as_str());
            out.separate().raw("{\"bk_set_id\":").int(set_id.get()).raw(",\"bk_set_name\":").text(set_name);
            out.raw(",\"module\":[");
            for place in places {
                out.separate().raw("{\"bk_module_id\":").int(place.module_id.get());
                out.raw(",\"bk_module_name\":").text(&place.module_name).raw("}");
            }
            out.raw("]}");
        }
        out.raw("]}");
    }
}

/// Makes the instances that the templates of modules say for the hosts that joined them (`templates` 8.1).
fn make_instances<R: MovesHosts>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    plan: &TransferPlan,
    journal: &mut Journal,
) -> Result<(), OpError> {
    let modules: BTreeSet<_> = plan.joining().map(|relation| relation.module.id).collect();
    let modules: Vec<_> = modules.into_iter().collect();
    // A module can be let go of its template, but never begins to follow one.
    let mut bound = rollcall_store::module::list(tx, &modules)?;
    bound.retain(|module| module.service_template_id != 0);
    if bound.is_empty() {
        return Ok(());
    }
    let templates: BTreeSet<_> = bound.iter().map(|module| ServiceTemplateId(module.service_template_id)).collect();
    let blueprints = Blueprint::lock(tx, &templates.into_iter().collect::<Vec<_>>())?;
    let modules: Vec<_> = bound.iter().map(|module| module.id).collect();
    let bound: HashMap<_, _> = rollcall_store::module::lock_shared(tx, &modules)?
        .into_iter()
        .map(|module| (module.id, ServiceTemplateId(module.service_template_id)))
        .collect();
    let blueprint_of = |relation: &Relation| {
        let blueprint = blueprints.get(bound.get(&relation.module.id)?)?;
        (!blueprint.templates.is_empty()).then_some(blueprint)
    };
    let joining = plan.joining().filter_map(|relation| Some((relation, blueprint_of(&relation)?)));
    let joining: Vec<_> = joining.collect();
    if joining.is_empty() {
        return Ok(());
    }
    let count = joining.iter().map(|(_, blueprint)| blueprint.templates.len()).sum();
    check_most("bk_host_id", "create process instances", count, MAX_PROCESSES)?;
    let addresses = store::addresses(tx, &plan.hosts())?;
    let wanted: Vec<_> = joining
        .iter()
        .map(|(relation, blueprint)| {
            let host = addresses.get(&relation.host_id).unwrap_or(&NO_ADDRESSES);
            Wanted {
                module_id: relation.module.id,
                service_template_id: blueprint.id.get(),
                host_id: relation.host_id,
                host,
                name: blueprint.name_on(host),
                recipes: blueprint.recipes(),
            }
        })
        .collect();
    creation::create(granted, context, tx, &wanted, journal)?;
    Ok(())
}

fn place_of(row: &PlaceRow) -> ModulePlace {
    ModulePlace { id: row.module_id, set_id: row.set_id, business_id: row.business_id, kind: row.kind }
}

fn joining_of(relation: &Relation) -> Joining {
    Joining {
        host_id: relation.host_id,
        module_id: relation.module.id,
        set_id: relation.module.set_id,
        business_id: relation.module.business_id,
    }
}
