//! The synchronization of modules with their service templates (`templates` 11): asked for by Y1, done as jobs part by part, its status
//! read by Y2. What a part does is decided by [`Planner`] and carried out here, or shown to who only wants to know.

use crate::access::{Granted, right};
use crate::creation::{self, Blueprint, Wanted};
use crate::job::{self, Target};
use crate::journal::{Change, InstanceEntry, Journal};
use crate::listing::read_document;
use crate::operation::Serve;
use crate::preview::Changes;
use crate::process_instance::{self as process, AuditedProcess, Owner, ProcessAction, Recipe, audit_detail};
use crate::request::{all_set, check_most};
use crate::{Context, OpError, Reply, difference, removal};
use rollcall_domain::bind_info::{HostAddresses, NO_ADDRESSES};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{
    BusinessId, HostId, ModuleId, ProcessId, ProcessTemplateId, ServiceInstanceId, ServiceTemplateId,
};
use rollcall_domain::job::{JobKind, PROCESSES_AT_ONCE, ShownStatus, hosts_a_part, hosts_at_once, shown};
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Object, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::process::{NewProcess, Placement, UpdateStamp};
use rollcall_domain::service_instance::{NewServiceInstance, whole_document};
use rollcall_domain::synchronization::{FoundProcess, Plan, Planner};
use rollcall_domain::template_attribute::TemplateAttribute;
use rollcall_domain::{record, template_attribute, wire_input};
use rollcall_store::event::EventKind;
use rollcall_store::job::Job;
use rollcall_store::module::{ModuleRow, WholeModule};
use rollcall_store::service_instance::LockedInstance;
use rollcall_store::{StoreError, Tx};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The most modules one call names.
const MAX_MODULES: usize = 1000;

wire_input! {
    /// What a synchronization of modules with their service template takes.
    pub struct SynchronizeModules {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 1000 modules that follow the template.
        pub module_ids: Vec<i64> = "bk_module_ids",
        /// The service template.
        pub template_id: i64 = "service_template_id",
    }
}

wire_input! {
    /// What a part of the job is about.
    pub struct PartContent {
        /// The module itself is to get the values of its attributes.
        pub is_module: bool = "is_sync_module",
        /// The hosts on which its instances are to follow.
        pub host_ids: Vec<i64> = "bk_host_ids",
    }
}

impl PartContent {
    fn json(&self) -> String {
        let mut out = JsonWriter::with_capacity(64 + self.host_ids.len() * 8);
        out.raw("{").key("is_sync_module").value(&Json::Bool(self.is_module)).key("bk_host_ids").raw("[");
        for host in &self.host_ids {
            out.separate().int(*host);
        }
        out.raw("]}");
        out.finish()
    }
}

impl SynchronizeModules {
    /// The modules, each once, and where it is named first.
    fn modules(&self) -> Vec<(ModuleId, FieldPath)> {
        let mut seen = HashSet::new();
        let named = self.module_ids.iter().enumerate().filter(|(_, id)| seen.insert(**id));
        named.map(|(i, id)| (ModuleId(*id), FieldPath::of("bk_module_ids").index(i))).collect()
    }

    /// Refuses modules that do not follow the template.
    fn check_bound<'a>(
        &self,
        business: BusinessId,
        modules: &[(ModuleId, FieldPath)],
        found: impl Iterator<Item = &'a ModuleRow>,
    ) -> Result<(), Failure> {
        let follows = |row: &&ModuleRow| row.business_id == business && row.service_template_id == self.template_id;
        let bound: HashSet<_> = found.filter(follows).map(|row| row.id).collect();
        let others = modules.iter().filter(|(id, _)| !bound.contains(id));
        Failure::check(others.map(|(id, at)| Fault::absent(Cause::ParamInvalid, at.clone(), id)).collect())
    }

    /// The hosts of each module, in the portions that are done at once.
    fn portions(
        &self,
        tx: &mut dyn Tx,
        business: BusinessId,
        modules: &[(ModuleId, FieldPath)],
    ) -> Result<HashMap<ModuleId, Vec<Vec<i64>>>, StoreError> {
        let most = hosts_a_part(count_templates(tx, business, ServiceTemplateId(self.template_id))?);
        let ids: Vec<_> = modules.iter().map(|(id, _)| *id).collect();
        let mut portions: HashMap<ModuleId, Vec<Vec<i64>>> = HashMap::new();
        rollcall_store::host::each_id_of_modules(tx, business, &ids, &mut |module, host| {
            let of_module = portions.entry(module).or_default();
            match of_module.last_mut() {
                Some(last) if last.len() < most => last.push(host.get()),
                _ => of_module.push(vec![host.get()]),
            }
        })?;
        Ok(portions)
    }

    /// The job of each module: first the module itself, then its hosts.
    fn submit(&self, context: &Context, tx: &mut dyn Tx, business: BusinessId) -> Result<Reply, OpError> {
        let modules = self.modules();
        let ids: Vec<_> = modules.iter().map(|(id, _)| *id).collect();
        let rows = rollcall_store::module::lock_shared(tx, &ids)?;
        self.check_bound(business, &modules, rows.iter())?;
        let mut portions = self.portions(tx, business, &modules)?;
        let targets = modules.into_iter().map(|(id, at)| {
            let of_hosts = portions.remove(&id).unwrap_or_default();
            let of_hosts = of_hosts.into_iter().map(|host_ids| PartContent { is_module: false, host_ids });
            let of_module = PartContent { is_module: true, host_ids: Vec::new() };
            let parts = std::iter::once(of_module).chain(of_hosts).map(|part| part.json()).collect();
            Target { id: id.get(), at, parts }
        });
        let mut journal = Journal::default();
        let about = (business, self.template_id);
        job::submit(context, tx, JobKind::ServiceTemplate, about, targets.collect(), &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }

    /// What the jobs would do now, told without locks and without writing: the writer is not kept from others meanwhile, and no more
    /// than one portion is in memory.
    fn preview(&self, context: &Context, tx: &mut dyn Tx, business: BusinessId) -> Result<Reply, OpError> {
        let modules = self.modules();
        let ids: Vec<_> = modules.iter().map(|(id, _)| *id).collect();
        let found = rollcall_store::module::list_whole(tx, &ids)?;
        self.check_bound(business, &modules, found.iter().map(|module| &module.row))?;
        job::check_none_under_way(tx, JobKind::ServiceTemplate, modules.iter().map(|(id, at)| (id.get(), at)))?;
        let template = ServiceTemplateId(self.template_id);
        let attributes =
            rollcall_store::template_attribute::list(tx, business, template_attribute::Owner::Service(template))?;
        let mut portions = self.portions(tx, business, &modules)?;
        let mut shown = Shown { changes: Changes::new(context), made: 0 };
        let time = context.time_text();
        for module in found {
            if let Some((after, _)) = with_values(context, &module, &attributes)? {
                let states = (Some(module.document.as_str()), Some(after.as_str()));
                shown.changes.push(EventKind::Module, business, module.row.id.get(), states)?;
            }
            for hosts in portions.remove(&module.row.id).unwrap_or_default() {
                let hosts: Vec<_> = hosts.into_iter().map(HostId).collect();
                let found = Found::look(tx, business, (module.row.id, template), &hosts)?;
                let plan = found.plan(context, tx, &time)?;
                found.show(context, tx, &plan, &mut shown)?;
            }
        }
        Ok(shown.changes.finish())
    }
}

impl Serve for SynchronizeModules {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = Some(BusinessId(self.business_id)).filter(|id| id.get() > 0);
        if let Some(business) = business {
            // A caller without the right learns nothing, not even what is wrong with the request.
            context.access.require::<right::EditServiceInstance>(business)?;
        }
        let needed = [("bk_module_ids", !self.module_ids.is_empty()), ("service_template_id", self.template_id != 0)];
        let business = all_set(business, &needed)?;
        check_most("bk_module_ids", "synchronize modules", self.module_ids.len(), MAX_MODULES)?;
        let template = ServiceTemplateId(self.template_id);
        let is_preview = context.preview.is_some();
        let found = match is_preview {
            true => rollcall_store::service_template::find(tx, template)?,
            false => rollcall_store::service_template::lock_shared(tx, template)?,
        };
        if found.is_none_or(|template| template.business_id != business) {
            return Err(Fault::absent(Cause::ParamInvalid, "service_template_id", template).into());
        }
        if is_preview { self.preview(context, tx, business) } else { self.submit(context, tx, business) }
    }
}

fn count_templates(tx: &mut dyn Tx, business: BusinessId, template: ServiceTemplateId) -> Result<usize, StoreError> {
    let counts = rollcall_store::process_template::count_by_template(tx, business, &[template.get()])?;
    Ok(counts.first().map_or(0, |(_, count)| usize::try_from(*count).unwrap_or_default()))
}

/// Does one part of a job in its transaction, or as much of it as is done at once; answers what is left, as a part's content.
pub(crate) fn do_part(context: &Context, tx: &mut dyn Tx, job: &Job, content: &str) -> Result<Option<String>, OpError> {
    let content = job::read_content::<PartContent>(content)?;
    let (module, template) = (ModuleId(job.target_id), ServiceTemplateId(job.template_id));
    let granted = context.access.require::<right::EditServiceInstance>(job.business_id)?;
    let mut journal = Journal::default();
    let mut left = None;
    if content.is_module {
        follow_attributes(&granted, context, tx, (module, template), &mut journal)?;
    } else {
        let mut hosts: Vec<_> = content.host_ids.into_iter().map(HostId).collect();
        hosts.sort_unstable();
        // Looked at before anything is locked, so that nothing is locked that is not done: what comes meanwhile is little.
        let templates = count_templates(tx, job.business_id, template)?;
        let of = (module, template);
        let going = rollcall_store::process::count_going(tx, job.business_id, of, &hosts, PROCESSES_AT_ONCE)?;
        let behind = hosts.split_off(hosts_at_once(templates, &going).min(hosts.len()));
        let found = Found::lock(tx, job.business_id, of, &hosts)?;
        let time = context.time_text();
        let plan = found.plan(context, tx, &time)?;
        found.carry_out(&granted, context, tx, &plan, &mut journal)?;
        if !behind.is_empty() {
            let host_ids = behind.into_iter().map(HostId::get).collect();
            left = Some(PartContent { is_module: false, host_ids }.json());
        }
    }
    journal.write(context, tx)?;
    Ok(left)
}

/// The module, if it still follows the template. It may have been let go of it since the job was asked for.
fn following(module: Option<WholeModule>, template: ServiceTemplateId) -> Result<WholeModule, Fault> {
    let module = module.ok_or_else(|| Fault::new(Cause::ModuleUnreadable, "bk_module_id").because(Reason::Blank))?;
    if module.row.service_template_id != template.get() {
        return Err(Fault::new(Cause::TemplatesDiffer, "bk_module_id"));
    }
    Ok(module)
}

/// Gives a module the values that its template fixes, those it has not.
fn follow_attributes(
    granted: &Granted<right::EditServiceInstance>,
    context: &Context,
    tx: &mut dyn Tx,
    (module, template): (ModuleId, ServiceTemplateId),
    journal: &mut Journal,
) -> Result<(), OpError> {
    rollcall_store::service_template::lock_shared(tx, template)?;
    let business_id = granted.business();
    let module = following(rollcall_store::module::lock(tx, module)?, template)?;
    let owner = template_attribute::Owner::Service(template);
    let attributes = rollcall_store::template_attribute::list(tx, business_id, owner)?;
    let Some((document, fields)) = with_values(context, &module, &attributes)? else { return Ok(()) };
    journal.changed(Change {
        kind: EventKind::Module,
        business_id,
        id: module.row.id.get(),
        name: &module.row.name,
        before: Some(&module.document),
        after: Some(&document),
        update_fields: Some(&fields),
    });
    let changed = WholeModule { document, row: module.row };
    Ok(rollcall_store::module::update(tx, std::slice::from_ref(&changed))?)
}

/// The document of a module with the values that its template fixes, and those it did not have, both as JSON text; `None`: it has all.
fn with_values(
    context: &Context,
    module: &WholeModule,
    attributes: &[TemplateAttribute],
) -> Result<Option<(String, String)>, StoreError> {
    let record = read_document(&module.document)?;
    let values = template_attribute::values_of(Model::Module, attributes);
    let differing = values.iter().filter(|(field, value)| record.get(field) != Some(*value));
    let differing: Object = differing.map(|(field, value)| (field.to_owned(), value.clone())).collect();
    if differing.is_empty() {
        return Ok(None);
    }
    let document = record::changed_document(record, &differing, &context.caller.user, &context.time_text());
    Ok(Some((document, Json::Object(differing).to_string())))
}

/// What a synchronization would do, while it is told.
struct Shown<'a> {
    changes: Changes<'a>,
    /// Records that would be made, so far. Their provisional ids are below zero.
    made: i64,
}

impl Shown<'_> {
    fn next_id(&mut self) -> i64 {
        self.made += 1;
        -self.made
    }
}

/// What a synchronization of a module on some hosts has to know.
struct Found {
    business: BusinessId,
    module: ModuleId,
    blueprint: Blueprint,
    /// Those of the hosts that are in the module.
    hosts: HashMap<HostId, HostAddresses>,
    instances: Vec<LockedInstance>,
}

impl Found {
    /// Reads it, and keeps all of it as it is until the end of the transaction.
    fn lock(
        tx: &mut dyn Tx,
        business: BusinessId,
        (module, template): (ModuleId, ServiceTemplateId),
        hosts: &[HostId],
    ) -> Result<Self, OpError> {
        // Hosts come first, as where they are moved: who joins or leaves the module meanwhile waits.
        rollcall_store::host::lock_shared(tx, hosts)?;
        let blueprint = Blueprint::lock(tx, &[template])?.remove(&template);
        let rows = rollcall_store::module::lock_shared(tx, &[module])?;
        let row = rows.into_iter().next().filter(|row| row.business_id == business);
        let row = row.map(|row| WholeModule { row, document: String::new() });
        following(row, template)?;
        let blueprint = blueprint.ok_or_else(|| Fault::new(Cause::TemplatesDiffer, "service_template_id"))?;
        let instances = rollcall_store::service_instance::lock_bound_on(tx, business, module, hosts)?;
        Self::read(tx, business, module, blueprint, hosts, instances)
    }

    /// Reads it alone.
    fn look(
        tx: &mut dyn Tx,
        business: BusinessId,
        (module, template): (ModuleId, ServiceTemplateId),
        hosts: &[HostId],
    ) -> Result<Self, OpError> {
        let instances = rollcall_store::service_instance::list_bound_on(tx, business, module, hosts)?;
        let templates = rollcall_store::process_template::list(tx, &[template])?;
        Self::read(tx, business, module, Blueprint::of(template, templates), hosts, instances)
    }

    fn read(
        tx: &mut dyn Tx,
        business: BusinessId,
        module: ModuleId,
        blueprint: Blueprint,
        hosts: &[HostId],
        instances: Vec<LockedInstance>,
    ) -> Result<Self, OpError> {
        let inside = rollcall_store::host::in_module(tx, module, hosts)?;
        let hosts = rollcall_store::host::addresses(tx, &inside)?;
        Ok(Self { business, module, blueprint, hosts, instances })
    }

    /// Decides, and changes nothing. The processes are looked at one by one, as they are read.
    fn plan(&self, context: &Context, tx: &mut dyn Tx, time: &str) -> Result<Plan, OpError> {
        let stamp = UpdateStamp { time, user: &context.caller.user };
        let instances = self.instances.iter().map(|instance| (instance.id, instance.host_id));
        let mut planner = Planner::new(&self.blueprint.templates, instances, &self.hosts, stamp);
        let ids: Vec<_> = self.instances.iter().map(|instance| instance.id).collect();
        let mut unreadable = None;
        // Without templates all of them go, whatever they are.
        if !self.blueprint.templates.is_empty() {
            rollcall_store::process::each_of_instances(tx, self.business, &ids, &mut |row| {
                let seen = planner.see(FoundProcess {
                    id: row.id,
                    service_instance_id: row.service_instance_id,
                    process_template_id: ProcessTemplateId(row.process_template_id),
                    fixed_fields: row.fixed_fields,
                    extra_fields: row.extra_fields,
                });
                if seen.is_none() {
                    unreadable = Some(row.id);
                }
            })?;
        }
        if let Some(id) = unreadable {
            return Err(StoreError::Unreadable(format!("process {id}")).into());
        }
        let plan = planner.finish();
        let with_other_keys = plan.with_other_keys();
        if !with_other_keys.is_empty() {
            let held = rollcall_store::process::keys_of_instances(tx, self.business, &with_other_keys)?;
            let held = held.into_iter().map(|held| (held.service_instance_id, held.id, held.keys));
            Failure::check(plan.find_clashes(&self.blueprint.templates, held))?;
        }
        Ok(plan)
    }

    fn host(&self, id: HostId) -> &HostAddresses {
        self.hosts.get(&id).unwrap_or(&NO_ADDRESSES)
    }

    /// Does what was decided: what goes first, so that what comes can have its names.
    fn carry_out(
        &self,
        granted: &Granted<right::EditServiceInstance>,
        context: &Context,
        tx: &mut dyn Tx,
        plan: &Plan,
        journal: &mut Journal,
    ) -> Result<(), OpError> {
        if !plan.ended.is_empty() {
            let ended: HashSet<_> = plan.ended.iter().collect();
            let ended: Vec<_> =
                self.instances.iter().filter(|instance| ended.contains(&instance.id)).cloned().collect();
            removal::remove(tx, self.business, &ended, journal)?;
        }
        self.change(tx, plan)?;
        let made = self.complete(granted, context, tx, plan, journal)?;
        self.tell(plan, &made, journal);
        let wanted: Vec<_> = plan
            .new_hosts
            .iter()
            .map(|host_id| Wanted {
                module_id: self.module,
                service_template_id: self.blueprint.id.get(),
                host_id: *host_id,
                host: self.host(*host_id),
                name: self.blueprint.name_on(self.host(*host_id)),
                recipes: self.blueprint.recipes(),
            })
            .collect();
        creation::create(granted, context, tx, &wanted, journal)?;
        Ok(())
    }

    /// Tells what was decided.
    fn show(&self, context: &Context, tx: &mut dyn Tx, plan: &Plan, shown: &mut Shown<'_>) -> Result<(), OpError> {
        let (process, instance) = (EventKind::Process, EventKind::ServiceInstance);
        let ended: HashSet<_> = plan.ended.iter().copied().collect();
        if !plan.ended.is_empty() {
            let mut gone = Vec::new();
            rollcall_store::process::each_of_instances(tx, self.business, &plan.ended, &mut |row| {
                gone.push((row.id, format!("{{{},{}}}", row.fixed_fields, row.extra_fields)));
            })?;
            for (id, document) in gone {
                shown.changes.push(process, self.business, id.get(), (Some(&document), None))?;
            }
        }
        for gone in self.instances.iter().filter(|instance| ended.contains(&instance.id)) {
            let document = whole_document(&gone.document, gone.labels.as_deref());
            shown.changes.push(instance, self.business, gone.id.get(), (Some(&document), None))?;
        }
        for planned in &plan.instances {
            for gone in &planned.gone {
                shown.changes.push(process, self.business, gone.id.get(), (Some(&gone.document), None))?;
            }
            for changed in &planned.changed {
                let after = process::document(&changed.after);
                let states = (Some(changed.before.as_str()), Some(after.as_str()));
                shown.changes.push(process, self.business, changed.id.get(), states)?;
            }
            let missing = planned.missing.iter().map(|place| self.blueprint.recipe(*place));
            self.show_made(context, (planned.id, planned.host_id), missing, shown)?;
        }
        for host_id in &plan.new_hosts {
            let id = shown.next_id();
            let time = context.time_text();
            let made = NewServiceInstance {
                id: ServiceInstanceId(id),
                business_id: self.business,
                module_id: self.module,
                host_id: *host_id,
                service_template_id: self.blueprint.id.get(),
                name: &self.blueprint.name_on(self.host(*host_id)),
                user: &context.caller.user,
                time: &time,
            };
            let document = whole_document(&made.document(), None);
            shown.changes.push(instance, self.business, id, (None, Some(&document)))?;
            let recipes = self.blueprint.recipes();
            self.show_made(context, (ServiceInstanceId(id), *host_id), recipes.into_iter(), shown)?;
        }
        Ok(())
    }

    /// Tells of processes that an instance would get.
    fn show_made<'a>(
        &self,
        context: &Context,
        (service_instance_id, host_id): (ServiceInstanceId, HostId),
        recipes: impl Iterator<Item = Recipe<'a>>,
        shown: &mut Shown<'_>,
    ) -> Result<(), OpError> {
        let (business_id, time) = (self.business, context.time_text());
        let (host, user) = (self.host(host_id), context.caller.user.as_str());
        let at = Placement { business_id, service_instance_id, host_id, host, time: &time, user };
        for recipe in recipes {
            let id = shown.next_id();
            let document = process::document(&recipe.draft.place(ProcessId(id), &at));
            shown.changes.push(EventKind::Process, business_id, id, (None, Some(&document)))?;
        }
        Ok(())
    }

    /// Removes the processes whose templates are gone, then gives the others their new values.
    fn change(&self, tx: &mut dyn Tx, plan: &Plan) -> Result<(), StoreError> {
        let gone: Vec<_> = plan.instances.iter().flat_map(|instance| &instance.gone).map(|gone| gone.id).collect();
        if !gone.is_empty() {
            rollcall_store::process::delete(tx, self.business, &gone)?;
        }
        let making_way = plan.instances.iter().flat_map(|instance| {
            let keys: Vec<_> = instance.changed.iter().map(|changed| (&changed.keys, &changed.after.keys)).collect();
            rollcall_domain::process::must_make_way(&keys).into_iter().map(|i| instance.changed[i].id)
        });
        let making_way: Vec<_> = making_way.collect();
        if !making_way.is_empty() {
            rollcall_store::process::make_way(tx, self.business, &making_way)?;
        }
        let changed = plan.instances.iter().flat_map(|instance| &instance.changed);
        rollcall_store::process::update(tx, self.business, changed.map(|changed| &changed.after))
    }

    /// Makes the processes that instances lack; answers them instance by instance.
    fn complete(
        &self,
        granted: &Granted<right::EditServiceInstance>,
        context: &Context,
        tx: &mut dyn Tx,
        plan: &Plan,
        journal: &mut Journal,
    ) -> Result<Vec<Vec<NewProcess>>, OpError> {
        let recipes: Vec<Vec<Recipe<'_>>> = plan
            .instances
            .iter()
            .map(|instance| instance.missing.iter().map(|place| self.blueprint.recipe(*place)).collect())
            .collect();
        let owners: Vec<_> = plan
            .instances
            .iter()
            .zip(&recipes)
            .map(|(instance, recipes)| Owner {
                id: instance.id,
                host_id: instance.host_id,
                host: self.host(instance.host_id),
                recipes,
            })
            .collect();
        if recipes.iter().all(Vec::is_empty) {
            return Ok(vec![Vec::new(); owners.len()]);
        }
        process::apply_create(granted, context, tx, &owners, journal)
    }

    /// One entry for each instance whose processes changed, with all of them.
    fn tell(&self, plan: &Plan, made: &[Vec<NewProcess>], journal: &mut Journal) {
        let names: HashMap<_, _> =
            self.instances.iter().map(|instance| (instance.id, instance.name.as_str())).collect();
        for (instance, made) in plan.instances.iter().zip(made) {
            let mut told = Vec::new();
            for gone in &instance.gone {
                told.push(AuditedProcess { action: ProcessAction::Delete, id: gone.id, name: &gone.name });
                journal.deleted(EventKind::Process, self.business, gone.id.get(), gone.document.clone());
            }
            for changed in &instance.changed {
                let action = ProcessAction::Update { before: &changed.before, update_fields: &changed.fields };
                told.push(AuditedProcess { action, id: changed.id, name: &changed.keys.name });
                let after = process::document(&changed.after);
                journal.updated(EventKind::Process, self.business, changed.id.get(), changed.before.clone(), after);
            }
            told.extend(AuditedProcess::made(made));
            journal.instance(InstanceEntry {
                business_id: self.business,
                action: "update",
                id: instance.id,
                name: names.get(&instance.id).copied().unwrap_or_default(),
                detail: audit_detail(None, instance.host_id, &told),
            });
        }
    }
}

wire_input! {
    /// What the status of synchronizations takes.
    pub struct ListSynchronizations {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 1000 modules.
        pub module_ids: Vec<i64> = "bk_module_ids",
        /// The service template.
        pub template_id: i64 = "service_template_id",
    }
}

impl Serve for ListSynchronizations {
    fn output() -> Schema {
        ShownStatus::schema().list()
    }

    /// `templates` Y2: of each module its newest job, put right by what a synchronization would do now.
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if self.business_id <= 0 {
            let range = Reason::Range { min: 1, max: i64::MAX };
            return Err(Fault::new(Cause::ParamUnusable, "bk_biz_id").because(range).into());
        }
        let needed = [("bk_module_ids", !self.module_ids.is_empty()), ("service_template_id", self.template_id != 0)];
        let business = all_set(Some(BusinessId(self.business_id)), &needed)?;
        check_most("bk_module_ids", "list synchronizations", self.module_ids.len(), MAX_MODULES)?;
        context.access.may_read(business)?;
        let ids: BTreeSet<_> = self.module_ids.iter().copied().collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let modules: Vec<_> = ids.iter().copied().map(ModuleId).collect();
        let mut modules = rollcall_store::module::list_whole(tx, &modules)?;
        modules.retain(|module| module.row.business_id == business);
        let newest = rollcall_store::job::list_newest(tx, business, JobKind::ServiceTemplate, &ids)?;
        let newest: HashMap<_, _> = newest.into_iter().map(|job| (job.target_id, job)).collect();
        let bound = modules.iter().filter(|module| module.row.service_template_id == self.template_id);
        let needs = difference::needs(tx, business, &bound.cloned().collect::<Vec<_>>())?;
        let mut out = JsonWriter::with_capacity(32 + modules.len() * 192);
        out.raw("[");
        for module in &modules {
            let id = module.row.id;
            let job = newest.get(&id.get());
            let status = shown(job.map(|job| job.status), needs.contains(&id));
            out.separate();
            match job {
                Some(job) => {
                    let (created, changed) = (context.zone.rfc3339(job.created), context.zone.rfc3339(job.changed));
                    let row = ShownStatus {
                        target_id: id.get(),
                        status,
                        creator: &job.user,
                        create_time: &created,
                        last_time: &changed,
                    };
                    row.write(&mut out);
                }
                None => {
                    let record = read_document(&module.document)?;
                    let text = |field| record.get(field).and_then(Json::as_text).unwrap_or_default();
                    let row = ShownStatus {
                        target_id: id.get(),
                        status,
                        creator: text("bk_created_by"),
                        create_time: text("create_time"),
                        last_time: text("last_time"),
                    };
                    row.write(&mut out);
                }
            }
        }
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}
