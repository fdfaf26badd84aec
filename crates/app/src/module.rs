//! Modules: create_module, update_module, delete_module, search_module, get_biz_internal_module (`topology` 7.1 to 7.4, 8.2).

use crate::access::{Granted, Right, right};
use crate::journal::{Change, InstanceEntry, Journal, Made};
use crate::listing::{Listing, open_page, page_or, read_condition, read_document};
use crate::operation::{Serve, checked, record_input};
use crate::process_instance::{AuditedStates, audit_detail, tell_released};
use crate::request::business_of;
use crate::{Context, OpError, Reply};
use rollcall_domain::condition::Condition;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason, quoted};
use rollcall_domain::id::{BusinessId, CategoryId, ModuleId, ServiceTemplateId, SetId, SetTemplateId};
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Object, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::module::{self, Dictated, ModuleDraft, NewModule, Place};
use rollcall_domain::page::{Page, PageIn};
use rollcall_domain::service_instance;
use rollcall_domain::service_template::ServiceTemplate;
use rollcall_domain::template_attribute::{self, Owner};
use rollcall_domain::topology::{Birth, ORDINARY};
use rollcall_domain::{record, wire_input};
use rollcall_store::event::EventKind;
use rollcall_store::module::{ModuleRow, WholeModule};
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{StoreError, Tx};
use std::collections::{HashMap, HashSet};

record_input! {
    /// The record of a new module.
    pub struct CreateModuleWire of Module {
        /// The business of the set.
        pub business_id: "bk_biz_id",
        /// The set that gets it.
        pub set_id: "bk_set_id",
    }
}

/// create_module: its input, checked once before the queue.
#[derive(Debug)]
pub struct CreateModule {
    wire: CreateModuleWire,
    draft: Option<Result<ModuleDraft, Vec<Fault>>>,
}

crate::operation::decode_through!(CreateModule, CreateModuleWire, |wire| Self { wire, draft: None });

impl CreateModule {
    fn draft(&self) -> Result<ModuleDraft, Vec<Fault>> {
        module::read_draft(&self.wire.record, SetId(self.wire.set_id))
    }
}

impl CreateModule {
    /// The module as its template wants it, and its category (`templates` 8).
    fn following(
        &self,
        tx: &mut dyn Tx,
        business: BusinessId,
        id: ServiceTemplateId,
    ) -> Result<(ModuleDraft, CategoryId), OpError> {
        let template = rollcall_store::service_template::lock_shared(tx, id)?;
        let Some(template) = template.filter(|template| template.business_id == business) else {
            return Err(Fault::absent(Cause::ParamInvalid, "service_template_id", id).into());
        };
        let attributes = rollcall_store::template_attribute::list(tx, business, Owner::Service(id))?;
        let attributes = template_attribute::values_of(Model::Module, &attributes);
        let dictated = Dictated { name: &template.name, category_id: template.category_id, attributes: &attributes };
        let set = SetId(self.wire.set_id);
        let draft = crate::operation::checked(&None, || module::read_following(&self.wire.record, set, dictated))?;
        Ok((draft, template.category_id))
    }
}

/// The category asked for, which stays until the module refers to it, or that of every module that asks for none.
fn find_category(tx: &mut dyn Tx, business: BusinessId, asked: Option<CategoryId>) -> Result<CategoryId, OpError> {
    let Some(asked) = asked else { return Ok(CategoryId::DEFAULT) };
    let found = rollcall_store::service_category::lock_shared(tx, asked)?;
    module::check_category(asked, found.as_ref(), business)?;
    Ok(asked)
}

impl Serve for CreateModule {
    fn output() -> Schema {
        module::schema()
    }

    fn check(&mut self) {
        self.draft = Some(self.draft());
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business_id = business_of(self.wire.business_id)?;
        let granted = context.access.require::<right::CreateTopology>(business_id)?;
        let set_id = find_set(tx, granted.business(), SetId(self.wire.set_id))?;
        let template = module::read_template(&self.wire.record)?;
        let (draft, category_id) = match template {
            Some(template) => self.following(tx, business_id, template)?,
            None => {
                let draft = crate::operation::checked(&self.draft, || self.draft())?;
                let category_id = find_category(tx, business_id, draft.category_id())?;
                (draft, category_id)
            }
        };
        if rollcall_store::module::find_named(tx, business_id, set_id, draft.name())?.is_some() {
            return Err(name_taken(draft.name()).into());
        }
        let time = context.time_text();
        let birth = Birth { time: &time, user: &context.caller.user };
        let id = ModuleId(sequence::take(tx, Sequence::Module, 1)?);
        let service_template_id = template.map_or(0, ServiceTemplateId::get);
        let place =
            Place { business_id, set_id, category_id, service_template_id, set_template_id: None, kind: ORDINARY };
        let module = draft.place(id, place, &birth);
        rollcall_store::module::insert(tx, std::slice::from_ref(&module)).map_err(|error| match error {
            StoreError::Unique(_) => name_taken(draft.name()).into(),
            error => OpError::from(error),
        })?;
        let mut journal = Journal::default();
        journal.record_created(Made {
            kind: EventKind::Module,
            business_id,
            id: id.get(),
            name: &module.name,
            document: &module.document,
        });
        journal.write(context, tx)?;
        Ok(Reply(module.document))
    }
}

/// The set that gets a module: an ordinary one of the business that no template owns. A set of another business looks absent.
fn find_set(tx: &mut dyn Tx, business: BusinessId, id: SetId) -> Result<SetId, OpError> {
    let set = rollcall_store::set::find(tx, id)?.filter(|set| set.business_id == business);
    let Some(set) = set else {
        return Err(Fault::absent(Cause::ParamUnusable, "bk_set_id", id).named("bk_biz_id/bk_set_id").into());
    };
    if set.kind != ORDINARY {
        return Err(Fault::new(Cause::BuiltInProtected, "bk_set_id").into());
    }
    if set.set_template_id != 0 {
        return Err(Fault::new(Cause::SetOwnedByTemplate, "bk_set_id").into());
    }
    Ok(id)
}

fn name_taken(name: &str) -> Fault {
    let value = quoted(name);
    Fault::new(Cause::Duplicate, "bk_module_name").because(Reason::Taken { value })
}

record_input! {
    /// What a module is to be; what is left out stays.
    pub struct UpdateModule of changed Module {
        /// The business of the set.
        pub business_id: "bk_biz_id",
        /// The set of the module.
        pub set_id: "bk_set_id",
        /// The module.
        pub module_id: "bk_module_id",
    }
}

impl Serve for UpdateModule {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        let granted = context.access.require::<right::EditTopology>(business)?;
        // A category is locked before the modules of it.
        let asked = module::named_category(&self.record);
        let category = match asked {
            Some(asked) => rollcall_store::service_category::lock_shared(tx, asked)?,
            None => None,
        };
        let module = lock_ordinary(tx, business, SetId(self.set_id), ModuleId(self.module_id))?;
        let fixed = match module.row.service_template_id {
            0 => Object::new(),
            template => {
                let held = rollcall_store::template_attribute::list(
                    tx,
                    business,
                    Owner::Service(ServiceTemplateId(template)),
                )?;
                template_attribute::values_of(Model::Module, &held)
            }
        };
        let before = read_document(&module.document)?;
        let after = checked(&None, || module::read_change(&self.record, &before, &fixed))?;
        if let Some(asked) = asked.filter(|asked| *asked != module.row.service_category_id) {
            module::check_category(asked, category.as_ref(), business)?;
            if rollcall_store::service_category::has_children(tx, asked)? {
                return Err(Fault::new(Cause::CategoryNotLeaf, "service_category_id").into());
            }
        }
        let mut journal = Journal::default();
        change(&granted, context, tx, vec![Changing { module, before, after }], &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

wire_input! {
    /// What delete_module takes.
    pub struct DeleteModule {
        /// The business of the set.
        pub business_id: i64 = "bk_biz_id",
        /// The set of the module.
        pub set_id: i64 = "bk_set_id",
        /// The module; no host may be in it.
        pub module_id: i64 = "bk_module_id",
    }
}

impl Serve for DeleteModule {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        let granted = context.access.require::<right::DeleteTopology>(business)?;
        let module = lock_ordinary(tx, business, SetId(self.set_id), ModuleId(self.module_id))?;
        let set = rollcall_store::set::find(tx, module.row.set_id)?;
        if set.is_some_and(|set| set.set_template_id != 0) {
            return Err(Fault::new(Cause::SetOwnedByTemplate, "bk_set_id").into());
        }
        let mut journal = Journal::default();
        remove(&granted, tx, &[module], &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

/// An ordinary module of a set, kept as it is until the end of the transaction. One of another business looks absent.
fn lock_ordinary(tx: &mut dyn Tx, business: BusinessId, set: SetId, id: ModuleId) -> Result<WholeModule, OpError> {
    let module = rollcall_store::module::lock(tx, id)?;
    let module = module.filter(|module| (module.row.business_id, module.row.set_id) == (business, set));
    let module = module.ok_or_else(|| Fault::absent(Cause::NotFound, "bk_module_id", id))?;
    if module.row.kind != ORDINARY {
        return Err(Fault::new(Cause::BuiltInProtected, "bk_module_id").into());
    }
    Ok(module)
}

/// A module that is locked, and its record before and after.
pub(crate) struct Changing {
    pub(crate) module: WholeModule,
    pub(crate) before: Object,
    /// Without other stamps.
    pub(crate) after: Object,
}

/// Stores what becomes of modules of a business. Only their names are checked, against all others of their sets; they may be swapped.
/// What templates have to say in it is the caller's to decide.
pub(crate) fn change(
    granted: &Granted<right::EditTopology>,
    context: &Context,
    tx: &mut dyn Tx,
    mut changes: Vec<Changing>,
    journal: &mut Journal,
) -> Result<(), OpError> {
    changes.retain(|change| change.before != change.after);
    make_way(granted, tx, &changes)?;
    let (user, time) = (&context.caller.user, context.time_text());
    let mut changed = Vec::with_capacity(changes.len());
    for Changing { module, before, mut after } in changes {
        let fields = Json::Object(record::changed_fields(&before, &after)).to_string();
        record::put(&mut after, record::change_stamps(&time, user));
        let (name, service_category_id) = module::keys_of(&after);
        let document = Json::Object(after).to_string();
        journal.changed(Change {
            kind: EventKind::Module,
            business_id: granted.business(),
            id: module.row.id.get(),
            name: &module.row.name,
            before: Some(&module.document),
            after: Some(&document),
            update_fields: Some(&fields),
        });
        changed.push(WholeModule { row: ModuleRow { name, service_category_id, ..module.row }, document });
    }
    if changed.is_empty() {
        return Ok(());
    }
    rollcall_store::module::update(tx, &changed).map_err(|error| match error {
        StoreError::Unique(_) => name_taken(&changed[0].row.name).into(),
        error => error.into(),
    })
}

/// Refuses names that other modules have, and lets those go of theirs whose names others of the same call take over: unique rules are
/// checked row by row.
fn make_way(granted: &Granted<right::EditTopology>, tx: &mut dyn Tx, changes: &[Changing]) -> Result<(), OpError> {
    let mut names: HashMap<(SetId, String), ModuleId> = HashMap::new();
    let mut faults = Vec::new();
    let mut renamed = HashSet::new();
    for Changing { module, after, .. } in changes {
        let (name, _) = module::keys_of(after);
        if name == module.row.name {
            continue;
        }
        renamed.insert(module.row.id);
        if names.insert((module.row.set_id, name.clone()), module.row.id).is_some() {
            faults.push(name_taken(&name));
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    let sets: HashSet<_> = names.keys().map(|(set, _)| *set).collect();
    let wanted: HashSet<_> = names.keys().map(|(_, name)| name.as_str()).collect();
    let (sets, wanted): (Vec<_>, Vec<_>) = (sets.into_iter().collect(), wanted.into_iter().collect());
    let mut making_way = Vec::new();
    for held in rollcall_store::module::list_named(tx, granted.business(), &sets, &wanted)? {
        if renamed.contains(&held.id) {
            making_way.push(held.id);
        } else if names.contains_key(&(held.set_id, held.name.clone())) {
            faults.push(name_taken(&held.name));
        }
    }
    Failure::check(faults)?;
    if !making_way.is_empty() {
        rollcall_store::module::make_way(tx, &making_way)?;
    }
    Ok(())
}

/// A right that lets its holder remove modules. Who may change a set has those go that its template does not have.
pub(crate) trait RemovesModules: Right {}
impl RemovesModules for right::DeleteTopology {}
impl RemovesModules for right::EditTopology {}

/// Removes ordinary modules of a business, which are locked: no host joins them meanwhile. None of them may have hosts; then none has
/// service instances either. What set templates have to say in it is the caller's to decide.
pub(crate) fn remove<R: RemovesModules>(
    granted: &Granted<R>,
    tx: &mut dyn Tx,
    modules: &[WholeModule],
    journal: &mut Journal,
) -> Result<(), OpError> {
    let ids: Vec<_> = modules.iter().map(|module| module.row.id).collect();
    let full = rollcall_store::module::list_with_hosts(tx, &ids)?;
    let full = modules.iter().filter(|module| full.contains(&module.row.id)).map(|module| {
        let reason = Reason::These { what: module.row.name.clone() };
        Fault::new(Cause::HasHosts, "bk_module_id").because(reason)
    });
    Failure::check(full.collect())?;
    rollcall_store::module::delete(tx, &ids)?;
    for WholeModule { row, document } in modules {
        journal.changed(Change {
            kind: EventKind::Module,
            business_id: granted.business(),
            id: row.id.get(),
            name: &row.name,
            before: Some(document),
            after: None,
            update_fields: None,
        });
    }
    Ok(())
}

/// The rights with which sets get modules from their templates.
pub(crate) trait MakesModules: Right {}
impl MakesModules for right::CreateTopology {}
impl MakesModules for right::EditTopology {}

/// The modules of service templates, with these ids, that a set gets from its template: name, category and attributes are theirs.
pub(crate) fn plan_following(
    context: &Context,
    tx: &mut dyn Tx,
    business_id: BusinessId,
    (set_id, set_template_id): (SetId, SetTemplateId),
    services: &[ServiceTemplate],
    ids: impl IntoIterator<Item = i64>,
) -> Result<Vec<NewModule>, OpError> {
    let named: Vec<_> = services.iter().map(|service| service.id).collect();
    let mut attributes: HashMap<_, Vec<_>> = HashMap::new();
    for (service, attribute) in rollcall_store::template_attribute::list_many(tx, business_id, &named)? {
        attributes.entry(service).or_default().push(attribute);
    }
    let time = context.time_text();
    let birth = Birth { time: &time, user: &context.caller.user };
    let mut modules = Vec::with_capacity(services.len());
    for (service, id) in services.iter().zip(ids) {
        let fixed = attributes.get(&service.id).map_or(&[][..], Vec::as_slice);
        let fixed = template_attribute::values_of(Model::Module, fixed);
        let dictated = Dictated { name: &service.name, category_id: service.category_id, attributes: &fixed };
        let draft = crate::operation::checked(&None, || module::draft_following(dictated))?;
        let place = Place {
            business_id,
            set_id,
            category_id: service.category_id,
            service_template_id: service.id.get(),
            set_template_id: Some(set_template_id),
            kind: ORDINARY,
        };
        modules.push(draft.place(ModuleId(id), place, &birth));
    }
    Ok(modules)
}

/// Gives a set that follows a template a module of each of these service templates, which are locked.
pub(crate) fn create_following<R: MakesModules>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    set: (SetId, SetTemplateId),
    services: &[ServiceTemplate],
    journal: &mut Journal,
) -> Result<(), OpError> {
    if services.is_empty() {
        return Ok(());
    }
    let business_id = granted.business();
    let first = sequence::take(tx, Sequence::Module, services.len())?;
    let modules = plan_following(context, tx, business_id, set, services, first..)?;
    rollcall_store::module::insert(tx, &modules).map_err(|error| match error {
        StoreError::Unique(_) => Fault::new(Cause::Duplicate, "bk_module_name").into(),
        error => OpError::from(error),
    })?;
    for module in &modules {
        journal.record_created(Made {
            kind: EventKind::Module,
            business_id,
            id: module.id.get(),
            name: &module.name,
            document: &module.document,
        });
    }
    Ok(())
}

wire_input! {
    /// What search_module takes.
    pub struct SearchModulesWire {
        /// The business whose modules are searched.
        pub business_id: i64 = "bk_biz_id",
        /// Only those of this set; 0: of every set.
        pub set_id: i64 = "bk_set_id",
        /// The fields to answer; none: all.
        pub fields: Vec<String> = "fields",
        /// What the modules must say of themselves.
        pub condition: Object = "condition",
        /// The page; missing: everything, up to the server's limit.
        pub page: Option<PageIn> = "page",
    }
}

/// search_module.
#[derive(Debug)]
pub struct SearchModules {
    wire: SearchModulesWire,
    listing: Option<Result<Listing, Failure>>,
}

crate::operation::decode_through!(SearchModules, SearchModulesWire, |wire| Self { wire, listing: None });

impl SearchModules {
    fn listing(&self) -> Result<Listing, Failure> {
        let wire = &self.wire;
        let page = open_page(wire.page.as_ref().unwrap_or(&PageIn::none()))?;
        // The ids beside the condition win over those in it.
        let ignored: &[&str] = match self.set() {
            None => &["bk_biz_id"],
            Some(_) => &["bk_biz_id", "bk_set_id"],
        };
        let condition = read_condition(&wire.condition, ignored, |condition| {
            Condition::parse(condition, &FieldPath::of("condition"))
        })?;
        Ok(Listing::new(page, condition, &wire.fields, "bk_module_id"))
    }

    fn set(&self) -> Option<SetId> {
        Some(SetId(self.wire.set_id)).filter(|set| set.get() > 0)
    }
}

impl Serve for SearchModules {
    fn output() -> Schema {
        module::schema().picked().page_of()
    }

    fn check(&mut self) {
        self.listing = Some(self.listing());
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.wire.business_id)?;
        context.access.may_read(business)?;
        let listing = match &self.listing {
            Some(listing) => listing.clone()?,
            None => self.listing()?,
        };
        let (set, max) = (self.set(), context.limits.unpaged_rows);
        if listing.is_plain() {
            let count = rollcall_store::module::count(tx, business, set)?;
            let range = listing.range(count, max)?;
            let mut answer = listing.answer(count);
            rollcall_store::module::each_document(tx, business, set, range, &mut |document| answer.push(document))?;
            return Ok(answer.finish());
        }
        let mut matches = listing.matches();
        let all = (0, usize::MAX);
        rollcall_store::module::each_document(tx, business, set, all, &mut |document| matches.offer(document))?;
        matches.answer(max)
    }
}

wire_input! {
    /// What letting a module go of its service template takes.
    pub struct UnbindModule {
        /// The business of the module.
        pub business_id: i64 = "bk_biz_id",
        /// The module.
        pub module_id: i64 = "bk_module_id",
    }
}

impl Serve for UnbindModule {
    fn output() -> Schema {
        Schema::Null
    }

    /// The module, its instances and their processes follow no template afterwards, and stay as they are (`templates` M1).
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        context.access.require::<right::EditServiceTemplate>(business)?;
        let id = ModuleId(self.module_id);
        let absent = |cause| Fault::absent(cause, "bk_module_id", id);
        let module = rollcall_store::module::lock(tx, id)?;
        let module = match module {
            Some(module) if module.row.business_id == business => module,
            Some(module) if context.access.find::<right::EditServiceTemplate>(module.row.business_id).is_some() => {
                return Err(absent(Cause::NotFound).into());
            }
            _ => return Err(absent(Cause::ModuleUnreadable).into()),
        };
        if module.row.service_template_id == 0 {
            return Err(Fault::new(Cause::NotUnbound, "bk_module_id").because(Reason::FollowsNoTemplate).into());
        }
        let (user, time) = (&context.caller.user, context.time_text());
        let unreadable = |what| move || StoreError::Unreadable(what);
        let document =
            module::unbound_document(&module.document, user, &time).ok_or_else(unreadable(format!("module {id}")))?;
        let mut journal = Journal::default();
        journal.changed(Change {
            kind: EventKind::Module,
            business_id: business,
            id: id.get(),
            name: &module.row.name,
            before: Some(&module.document),
            after: Some(&document),
            update_fields: Some("{\"service_template_id\":0}"),
        });
        rollcall_store::module::unbind(tx, id, &document)?;
        let instances = rollcall_store::service_instance::lock_bound(tx, business, id)?;
        let mut released = Vec::with_capacity(instances.len());
        for instance in &instances {
            let document = service_instance::unbound_document(&instance.document, user, &time)
                .ok_or_else(unreadable(format!("service instance {}", instance.id)))?;
            let labels = instance.labels.as_deref();
            let before = service_instance::whole_document(&instance.document, labels);
            let after = service_instance::whole_document(&document, labels);
            let states = AuditedStates {
                before: Some(&before),
                update_fields: Some("{\"service_template_id\":0}"),
                ..AuditedStates::default()
            };
            journal.instance(InstanceEntry {
                business_id: business,
                action: "update",
                id: instance.id,
                name: &instance.name,
                detail: audit_detail(Some(states), instance.host_id, &[]),
            });
            journal.updated(EventKind::ServiceInstance, business, instance.id.get(), before, after);
            journal.ease(context, tx)?;
            released.push((instance.id, document));
        }
        rollcall_store::service_instance::unbind(tx, business, &released)?;
        let ids: Vec<_> = released.iter().map(|(id, _)| *id).collect();
        let held = rollcall_store::process::release_of_instances(tx, business, &ids)?;
        tell_released(context, tx, held, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

wire_input! {
    /// What the list of the modules of a service template takes.
    pub struct ListModulesOfTemplateWire {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The service template.
        pub template_id: i64 = "service_template_id",
        /// The page; missing: all, up to the server's limit; a limit of 0: 20.
        pub page: Option<PageIn> = "page",
        /// A text that the name contains, its case counting.
        pub keyword: String = "keyword",
        /// Only these; empty: all.
        pub module_ids: Vec<i64> = "bk_module_ids",
        /// The fields to answer; none: all.
        pub fields: Vec<String> = "fields",
    }
}

/// The list of the modules of a service template (`templates` M2).
#[derive(Debug)]
pub struct ListModulesOfTemplate(ListModulesOfTemplateWire);

crate::operation::decode_through!(ListModulesOfTemplate, ListModulesOfTemplateWire, Self);

/// The rows of a page that asks for none.
const DEFAULT_ROWS: usize = 20;

impl Serve for ListModulesOfTemplate {
    fn output() -> Schema {
        module::schema().picked().page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let wire = &self.0;
        let business = business_of(wire.business_id)?;
        let page = wire.page.as_ref().map_or_else(|| Ok(Page::all()), |page| page_or(page, Some(DEFAULT_ROWS)))?;
        context.access.may_read(business)?;
        let listing = Listing::new(page, None, &wire.fields, "bk_module_id");
        let mut matches = listing.matches();
        let template = ServiceTemplateId(wire.template_id);
        let named: HashSet<_> = wire.module_ids.iter().copied().collect();
        for WholeModule { row, document } in rollcall_store::module::list_of_templates(tx, business, &[template])? {
            let is_named = named.is_empty() || named.contains(&row.id.get());
            if is_named && row.name.contains(&wire.keyword) {
                matches.offer(&document)?;
            }
        }
        matches.answer(context.limits.unpaged_rows)
    }
}

wire_input! {
    /// What get_biz_internal_module takes.
    pub struct GetInternalModules {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
    }
}

impl Serve for GetInternalModules {
    fn output() -> Schema {
        let module = Schema::object([
            ("bk_module_id", Schema::Integer),
            ("bk_module_name", Schema::Text),
            ("default", Schema::Integer),
            ("host_apply_enabled", Schema::Boolean),
        ]);
        Schema::object([
            ("bk_set_id", Schema::Integer),
            ("bk_set_name", Schema::Text),
            ("module", module.list().or_null()),
        ])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        context.access.may_read(business)?;
        let set = rollcall_store::set::find_built_in(tx, business)?;
        let modules = rollcall_store::module::list_built_in(tx, business)?;
        let (set_id, set_name) = set.map_or((SetId(0), String::new()), |set| (set.id, set.name));
        let mut out = JsonWriter::with_capacity(512);
        out.raw("{\"bk_set_id\":").int(set_id.get());
        out.raw(",\"bk_set_name\":").text(&set_name).raw(",\"module\":");
        if modules.is_empty() {
            out.raw("null}");
            return Ok(Reply(out.finish()));
        }
        out.raw("[");
        for module in &modules {
            out.separate().raw("{\"bk_module_id\":").int(module.id.get());
            out.raw(",\"bk_module_name\":").text(&module.name);
            out.raw(",\"default\":").int(module.kind);
            out.raw(",\"host_apply_enabled\":false}");
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;
    use crate::calls::{Calls, object};
    use crate::{Caller, Limits};
    use rollcall_domain::moment::{Moment, Zone};
    use rollcall_store::sqlite::{Options, Sqlite};
    use rollcall_store::{Store, TimeLimits};
    use std::sync::Arc;

    fn context() -> Context {
        let caller =
            Caller { user: "ops".into(), verified: true, app_code: String::new(), request_id: "test".to_owned() };
        let zone = Arc::new(Zone::named(Zone::DEFAULT_NAME).unwrap());
        let (access, limits) = (Access::unlimited("ops"), Limits::default());
        Context { caller, now: Moment(1_795_226_400_000), zone, access, limits, english: true, preview: None }
    }

    /// What no operation does by itself: several modules at once, as a synchronization of their set would.
    #[test]
    fn names_are_swapped_and_several_modules_go_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Sqlite::open(Options::new(folder.path().join("test.sqlite"))).unwrap();
        let store = Store::new(Arc::new(engine), TimeLimits::default());
        let done = store.write_blocking(|tx| {
            let (context, operations) = (context(), crate::table::operations());
            crate::built_in::install(tx, &context.zone, context.now)?;
            let mut calls = Calls::new(&operations, &context, tx);
            let business = calls.business("shop")?;
            let set = calls.set(business, "north", &[])?;
            let mut modules = Vec::new();
            for name in ["a", "b", "c"] {
                let fields = [("bk_biz_id", business), ("bk_set_id", set), ("bk_parent_id", set)];
                let fields = fields.into_iter().map(|(field, id)| (field, Json::Int(id)));
                let fields = object(fields.chain([("bk_module_name", name.into())]));
                modules.push(ModuleId(calls.make("create_module", fields, "bk_module_id")?));
            }
            let granted: Granted<right::EditTopology> = context.access.require(BusinessId(business))?;
            let rename = |tx: &mut dyn Tx, names: &[&str]| {
                let mut changes = Vec::new();
                for (id, name) in modules.iter().zip(names) {
                    let module = rollcall_store::module::lock(tx, *id)?.unwrap();
                    let before = read_document(&module.document)?;
                    changes.push(Changing { after: module::renamed(&before, name), before, module });
                }
                let mut journal = Journal::default();
                change(&granted, &context, tx, changes, &mut journal)?;
                Ok::<_, OpError>(journal.write(&context, tx)?)
            };
            let names = |tx: &mut dyn Tx| -> Result<Vec<String>, StoreError> {
                let modules = rollcall_store::module::list(tx, &modules)?;
                Ok(modules.into_iter().map(|module| module.name).collect())
            };
            rename(tx, &["b", "a"])?;
            assert_eq!(names(tx)?, ["b", "a", "c"]);
            rename(tx, &["a", "c", "b"])?;
            assert_eq!(names(tx)?, ["a", "c", "b"]);
            for taken in [&["b"][..], &["x", "x"], &["b", "x"]] {
                assert!(matches!(rename(tx, taken), Err(OpError::Failed(_))), "{taken:?}");
            }
            assert_eq!(names(tx)?, ["a", "c", "b"]);
            let all = rollcall_store::module::list_whole(tx, &modules)?;
            let mut journal = Journal::default();
            remove(&granted, tx, &all, &mut journal)?;
            journal.write(&context, tx)?;
            assert_eq!(names(tx)?, [""; 0]);
            assert_eq!(rollcall_store::check::run(tx, &mut |_| {})?, vec![]);
            Ok::<_, OpError>(())
        });
        done.unwrap();
    }
}
