//! Process templates: made, changed, removed, read (`templates` 7). Whoever changes one holds the lock of its service template.

use crate::access::{Granted, Right, right};
use crate::journal::{Change, Journal};
use crate::listing::Listing;
use crate::operation::Serve;
use crate::process_instance::tell_released;
use crate::request::{business_of, check_count, check_most, granted_on, no_business, stated_by_number};
use crate::template_attribute::WritesTemplates;
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{ProcessTemplateId, ServiceTemplateId};
use rollcall_domain::json::{FieldPath, Schema};
use rollcall_domain::page::PageIn;
use rollcall_domain::process::ProcessKeys;
use rollcall_domain::process_template::{self as rules, ProcessTemplate, Property, PropertyIn};
use rollcall_domain::service_template::ServiceTemplate;
use rollcall_domain::topology::Birth;
use rollcall_domain::wire_input;
use rollcall_store::event::EventKind;
use rollcall_store::process_template as store;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{StoreError, Tx};
use std::collections::{BTreeSet, HashSet};

wire_input! {
    /// What batch_create_proc_template takes.
    pub struct CreateProcessTemplates {
        /// The business of the service template.
        pub business_id: i64 = "bk_biz_id",
        /// The service template that gets them.
        pub service_template_id: i64 = "service_template_id",
        /// Up to 100 process templates.
        pub processes: Vec<SpecEntryWire> = "processes",
    }
}

wire_input! {
    /// One process template of a request.
    pub struct SpecEntryWire {
        /// The fields of its processes, each with its value and its lock.
        pub spec: Option<PropertyIn> = "spec",
    }
}

fn spec_at(i: usize) -> FieldPath {
    FieldPath::of("processes").index(i).field("spec")
}

impl Serve for CreateProcessTemplates {
    fn output() -> Schema {
        Schema::Integer.list()
    }

    /// The stages are those of `templates` P1; each reports all its bad items.
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        // A caller without the right learns nothing, not even what is wrong with the request.
        let stated = stated_by_number::<right::EditServiceTemplate>(context, self.business_id)?;
        if self.processes.is_empty() {
            return Ok(Reply("[]".into()));
        }
        let specs = self.processes.iter().enumerate().filter_map(|(i, entry)| Some((i, entry.spec.as_ref()?)));
        Failure::check(specs.flat_map(|(i, spec)| spec.outer_blanks(&spec_at(i))).collect())?;
        check_most("processes", "create process templates", self.processes.len(), rules::MAX_PER_CALL)?;
        let granted = stated.ok_or_else(no_business)?;
        let template = ServiceTemplateId(self.service_template_id);
        lock_service_template(&granted, context, tx, template)?;
        let properties = read_new(self.processes.iter().map(|entry| entry.spec.as_ref()), spec_at)?;
        let mut journal = Journal::default();
        let made = create(&granted, context, tx, template, properties, spec_at, &mut journal)?;
        journal.write(context, tx)?;
        Reply::of(&made.iter().map(|template| template.id.get()).collect::<Vec<_>>())
    }
}

/// The properties of new templates; everything that is missing or wrong is named. `at` is where in the request each of them stands.
pub(crate) fn read_new<'a>(
    sent: impl Iterator<Item = Option<&'a PropertyIn>>,
    at: impl Fn(usize) -> FieldPath,
) -> Result<Vec<Property>, Failure> {
    let (mut faults, mut properties) = (Vec::new(), Vec::new());
    for (i, sent) in sent.enumerate() {
        let at = at(i);
        match sent.map(|sent| Property::create(sent, &at)) {
            None => faults.push(missing(at)),
            Some(Ok(property)) => properties.push(property),
            Some(Err(wrong)) => faults.extend(wrong),
        }
    }
    Failure::check(faults)?;
    Ok(properties)
}

/// Of a template without a property.
pub(crate) fn missing(at: FieldPath) -> Fault {
    Fault::new(Cause::ParamInvalid, at).named("property").because(Reason::Blank)
}

/// Locks the service template that a request names: of the business the request names, or absent.
fn lock_service_template(
    granted: &Granted<right::EditServiceTemplate>,
    context: &Context,
    tx: &mut dyn Tx,
    id: ServiceTemplateId,
) -> Result<(), OpError> {
    let owner = rollcall_store::service_template::lock(tx, id)?.map(|template| template.business_id);
    match owner {
        Some(owner) if owner == granted.business() => Ok(()),
        Some(owner) if context.access.find::<right::EditServiceTemplate>(owner).is_some() => {
            Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").because(Reason::OtherBusiness).into())
        }
        _ => Err(Fault::absent(Cause::ParamInvalid, "service_template_id", id).into()),
    }
}

/// Makes templates of a service template that is locked. `at` is where in the request each of them stands.
pub(crate) fn create<R: WritesTemplates<Template = ServiceTemplate>>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    service_template: ServiceTemplateId,
    properties: Vec<Property>,
    at: impl Fn(usize) -> FieldPath,
    journal: &mut Journal,
) -> Result<Vec<ProcessTemplate>, OpError> {
    let others: Vec<_> = store::list(tx, &[service_template])?.iter().map(|other| other.property.keys()).collect();
    let keys: Vec<_> = properties.iter().map(Property::keys).collect();
    let mut faults = Vec::new();
    rules::find_clashes(&others, &keys.iter().collect::<Vec<_>>(), |i, field| at(i).field(field), &mut faults);
    Failure::check(faults)?;
    let first = sequence::take(tx, Sequence::ProcessTemplate, properties.len())?;
    let time = context.time_text();
    let birth = Birth { time: &time, user: &context.caller.user };
    let owner = (granted.business(), service_template);
    let place = |(property, id)| ProcessTemplate::place(ProcessTemplateId(id), owner, property, &birth);
    let made: Vec<_> = properties.into_iter().zip(first..).map(place).collect();
    store::insert(tx, &made)?;
    for template in &made {
        tell(journal, None, Some(template));
    }
    Ok(made)
}

/// Leaves an event and an entry about a change.
fn tell(journal: &mut Journal, before: Option<&ProcessTemplate>, after: Option<&ProcessTemplate>) {
    let Some(template) = before.or(after) else { return };
    let (before, after) = (before.map(ProcessTemplate::document), after.map(ProcessTemplate::document));
    journal.changed(Change {
        kind: EventKind::ProcessTemplate,
        business_id: template.business_id,
        id: template.id.get(),
        name: &template.property.keys().name,
        before: before.as_deref(),
        after: after.as_deref(),
        update_fields: None,
    });
}

wire_input! {
    /// What update_proc_template takes.
    pub struct UpdateProcessTemplate {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub id: i64 = "process_template_id",
        /// The fields to replace, value and lock; those left out stay. The name of the program never changes.
        pub property: Option<PropertyIn> = "process_property",
    }
}

impl Serve for UpdateProcessTemplate {
    fn output() -> Schema {
        ProcessTemplate::schema()
    }

    /// The order of the checks is that of `templates` P2.
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let stated = stated_by_number::<right::EditServiceTemplate>(context, self.business_id)?;
        if self.id <= 0 {
            let range = Reason::Range { min: 1, max: i64::MAX };
            return Err(Fault::new(Cause::InputInvalid, "process_template_id").because(range).into());
        }
        let Some(sent) = &self.property else {
            return Err(Fault::new(Cause::InputInvalid, "process_property").because(Reason::Blank).into());
        };
        let granted = stated.ok_or_else(no_business)?;
        let id = ProcessTemplateId(self.id);
        let absent = || OpError::from(Fault::absent(Cause::NotFound, "process_template_id", id));
        let (owner, service_template) = store::locate(tx, id)?.ok_or_else(absent)?;
        let granted = granted_on(context, Some(granted), owner).ok_or_else(absent)?;
        rollcall_store::service_template::lock(tx, service_template)?.ok_or_else(absent)?;
        let all = store::list(tx, &[service_template])?;
        let template = all.iter().find(|template| template.id == id).ok_or_else(absent)?;
        let at = FieldPath::of("process_property");
        let property = template.property.updated(sent, &at);
        let property = match property {
            Ok(property) => property,
            Err(faults) => return Err(crate::process_instance::failure(faults)),
        };
        let mut journal = Journal::default();
        let changed = [(template, property, at)];
        let changed = update(&granted, context, tx, &all, changed, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply(changed[0].document()))
    }
}

/// Gives templates of one service template, which is locked, other properties. `all`: every template of the service template. The last
/// member of each change is where in the request it stands.
pub(crate) fn update<'a, R: WritesTemplates<Template = ServiceTemplate>>(
    _: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    all: &[ProcessTemplate],
    changes: impl IntoIterator<Item = (&'a ProcessTemplate, Property, FieldPath)>,
    journal: &mut Journal,
) -> Result<Vec<ProcessTemplate>, OpError> {
    let (user, time) = (&context.caller.user, context.time_text());
    let (mut before, mut after, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (template, property, at) in changes {
        before.push(template);
        after.push(template.changed(property, user, &time));
        places.push(at);
    }
    let changed: HashSet<_> = after.iter().map(|template| template.id).collect();
    let others: Vec<_> =
        all.iter().filter(|template| !changed.contains(&template.id)).map(|other| other.property.keys()).collect();
    let old: Vec<_> = before.iter().map(|template| template.property.keys()).collect();
    let new: Vec<_> = after.iter().map(|template| template.property.keys()).collect();
    let mut faults = Vec::new();
    rules::find_clashes(&others, &new.iter().collect::<Vec<_>>(), |i, field| places[i].field(field), &mut faults);
    Failure::check(faults)?;
    let keys: Vec<(&ProcessKeys, &ProcessKeys)> = old.iter().zip(&new).collect();
    let making_way: Vec<_> = rollcall_domain::process::must_make_way(&keys).into_iter().map(|i| after[i].id).collect();
    if !making_way.is_empty() {
        store::make_way(tx, &making_way)?;
    }
    store::update(tx, &after)?;
    for (before, after) in before.iter().zip(&after) {
        tell(journal, Some(before), Some(after));
    }
    Ok(after)
}

wire_input! {
    /// What delete_proc_template takes.
    pub struct DeleteProcessTemplates {
        /// The business of the templates.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 500 process templates.
        pub ids: Vec<i64> = "process_templates",
    }
}

impl Serve for DeleteProcessTemplates {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        let granted = context.access.require::<right::EditServiceTemplate>(business)?;
        let (what, max) = ("delete process templates", rules::MAX_DELETED_PER_CALL);
        check_count("process_templates", what, self.ids.len(), max, Cause::NotSet)?;
        let ids: BTreeSet<_> = self.ids.iter().copied().map(ProcessTemplateId).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let owners: BTreeSet<_> =
            store::list_by_id(tx, business, &ids)?.iter().map(|template| template.service_template_id).collect();
        for owner in owners {
            rollcall_store::service_template::lock(tx, owner)?;
        }
        let templates = store::list_by_id(tx, business, &ids)?;
        let found: HashSet<_> = templates.iter().map(|template| template.id.get()).collect();
        let unknown = self.ids.iter().enumerate().filter(|(_, id)| !found.contains(id));
        let unknown = unknown.map(|(i, id)| {
            Fault::absent(Cause::ProcessTemplatesNotRemoved, FieldPath::of("process_templates").index(i), id)
        });
        Failure::check(unknown.collect())?;
        let mut journal = Journal::default();
        delete(&granted, context, tx, &templates, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

/// A right that lets its holder remove process templates.
pub(crate) trait RemovesTemplates: Right {}
impl RemovesTemplates for right::EditServiceTemplate {}
impl RemovesTemplates for right::DeleteServiceTemplate {}

/// Removes templates whose service template is locked. Their processes stay, without a template.
pub(crate) fn delete<R: RemovesTemplates>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    templates: &[ProcessTemplate],
    journal: &mut Journal,
) -> Result<(), StoreError> {
    if templates.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = templates.iter().map(|template| template.id).collect();
    let released = rollcall_store::process::release_of_templates(tx, granted.business(), &ids)?;
    store::delete(tx, &ids)?;
    for template in templates {
        tell(journal, Some(template), None);
    }
    tell_released(context, tx, released, journal)
}

wire_input! {
    /// What get_proc_template takes.
    pub struct GetProcessTemplate {
        /// The template.
        pub id: i64 = "process_template_id",
    }
}

impl Serve for GetProcessTemplate {
    fn output() -> Schema {
        ProcessTemplate::schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let id = ProcessTemplateId(self.id);
        let absent = || OpError::from(Fault::absent(Cause::NotFound, "process_template_id", id));
        let (business, _) = store::locate(tx, id)?.ok_or_else(absent)?;
        context.access.may_read(business).map_err(|_| absent())?;
        let found = store::list_by_id(tx, business, &[id])?;
        Ok(Reply(found.first().ok_or_else(absent)?.document()))
    }
}

wire_input! {
    /// What list_proc_template takes.
    pub struct ListProcessTemplates {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The service template whose process templates are listed; 0: of any.
        pub service_template_id: i64 = "service_template_id",
        /// Only these, up to 200.
        pub ids: Vec<i64> = "process_template_ids",
        /// The page; missing: everything, up to the server's limit.
        pub page: Option<PageIn> = "page",
    }
}

impl Serve for ListProcessTemplates {
    fn output() -> Schema {
        ProcessTemplate::schema().page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        if self.ids.len() > rules::MAX_LISTED {
            let fault = Fault::new(Cause::LengthIllegal, "process_template_ids").named("bk_process_ids");
            let reason = Reason::TooMany { max: rules::MAX_LISTED };
            return Err(fault.with(rules::MAX_LISTED).because(reason).into());
        }
        if self.service_template_id <= 0 && (self.service_template_id < 0 || self.ids.is_empty()) {
            return Err(Fault::new(Cause::ParamInvalid, "service_template_id").because(Reason::Blank).into());
        }
        context.access.may_read(business)?;
        let page = self.page.clone().unwrap_or_else(PageIn::none).unchecked()?;
        let ids: Vec<_> = self.ids.iter().copied().map(ProcessTemplateId).collect();
        let mut found = if ids.is_empty() {
            store::list(tx, &[ServiceTemplateId(self.service_template_id)])?
        } else {
            store::list_by_id(tx, business, &ids)?
        };
        let of_service = self.service_template_id;
        found.retain(|template| {
            template.business_id == business && (of_service == 0 || template.service_template_id.get() == of_service)
        });
        let listing = Listing::new(page, None, &[], "id");
        let mut matches = listing.matches();
        // The newest first.
        for template in found.iter().rev() {
            matches.offer(&template.document())?;
        }
        matches.answer(context.limits.unpaged_rows)
    }
}
