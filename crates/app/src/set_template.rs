//! Set templates: the operations of `templates` 13. What sets take from them is made in [`crate::set`], how far sets are from them is
//! told in `difference.rs`.

mod all_info;
mod difference;
mod status;
mod synchronization;

pub use all_info::{CreateAllInfo, GetAllInfo, UpdateAllInfo};
pub use difference::{CompareSet, FindHosts, GetStatus, ListSets, ListStatuses};
pub use status::{ListHistory, ListSetJobs, ListSynchronizations};
pub use synchronization::SynchronizeSets;
pub(crate) use synchronization::do_part;

use crate::access::{Granted, right};
use crate::journal::{Change, Journal};
use crate::listing::{Listing, open_list, page_or, read_document};
use crate::operation::Serve;
use crate::request::{bounded, business_of, check_most, no_business, stated_by_number};
use crate::template_attribute::WritesTemplates;
use crate::{Context, OpError, Reply, template_attribute};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason, Referrer, quoted};
use rollcall_domain::id::{ServiceTemplateId, SetTemplateId};
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Object, Schema};
use rollcall_domain::page::PageIn;
use rollcall_domain::service_template::ServiceTemplate;
use rollcall_domain::set_template::{MAX_SERVICES, SetTemplate, Wish, write_ids};
use rollcall_domain::topology::Birth;
use rollcall_domain::{record, wire_input};
use rollcall_store::event::EventKind;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::set_template as store;
use rollcall_store::{StoreError, Tx};
use std::collections::{BTreeSet, HashMap, HashSet};

const SERVICES: &str = "service_template_ids";

/// Of a template that is not there, or that the caller may not know of.
fn absent(field: &'static str, id: i64) -> Fault {
    Fault::absent(Cause::NotFound, field, id)
}

fn name_taken(name: &str) -> Fault {
    Fault::new(Cause::Duplicate, "name").because(Reason::Taken { value: quoted(name) })
}

/// The index guards against who took the name meanwhile.
fn unique_lost(error: StoreError, name: &str) -> OpError {
    match error {
        StoreError::Unique(_) => name_taken(name).into(),
        error => error.into(),
    }
}

/// What a template and its service templates were and are, as the journal takes it: JSON texts.
fn change<'a>(template: &'a SetTemplate, before: Option<&'a str>, after: Option<&'a str>) -> Change<'a> {
    Change {
        kind: EventKind::SetTemplate,
        business_id: template.business_id,
        id: template.id.get(),
        name: &template.name,
        before,
        after,
        update_fields: None,
    }
}

wire_input! {
    /// What create_set_template takes.
    pub struct CreateTemplate {
        /// The business that gets it.
        pub business_id: i64 = "bk_biz_id",
        /// The name, up to 256 characters, unique in the business.
        pub name: String = "name",
        /// The service templates of the business that sets have a module of each; up to 1000.
        pub services: Vec<i64> = "service_template_ids",
    }
}

impl Serve for CreateTemplate {
    fn output() -> Schema {
        SetTemplate::schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number(context, self.business_id)?.ok_or_else(no_business);
        let no_services = self.services.is_empty().then(|| Fault::new(Cause::NotSet, SERVICES).because(Reason::Blank));
        let (granted, name) = match (granted, record::template_name(&self.name, &"name".into()), no_services) {
            (Ok(granted), Ok(name), None) => (granted, name),
            (granted, name, no_services) => {
                let faults = [no_services, name.err(), granted.err()];
                Failure::check(faults.into_iter().flatten().collect())?;
                return Err(StoreError::Defect("a refusal without a fault".into()).into());
            }
        };
        let mut journal = Journal::default();
        let template = create(&granted, context, tx, &name, &self.services, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply(template.document))
    }
}

/// Makes a template. The order of the checks is that of `templates` T1.
fn create(
    granted: &Granted<right::CreateSetTemplate>,
    context: &Context,
    tx: &mut dyn Tx,
    name: &str,
    services: &[i64],
    journal: &mut Journal,
) -> Result<SetTemplate, OpError> {
    let business_id = granted.business();
    if rollcall_store::business::find(tx, business_id)?.is_none() {
        return Err(Fault::absent(Cause::ParamInvalid, "bk_biz_id", business_id).into());
    }
    let services = lock_services(granted, tx, services)?;
    if store::find_named(tx, business_id, name)?.is_some() {
        return Err(name_taken(name).into());
    }
    let id = SetTemplateId(sequence::take(tx, Sequence::SetTemplate, 1)?);
    let time = context.time_text();
    let template = SetTemplate::new(id, business_id, name, &Birth { time: &time, user: &context.caller.user });
    store::insert(tx, std::slice::from_ref(&template)).map_err(|error| unique_lost(error, name))?;
    store::add_services(tx, &template, services.iter())?;
    journal.changed(change(&template, None, Some(&template.state(&services))));
    Ok(template)
}

/// The service templates that a set template is to list, each once. They stay until it does. One of another business looks absent.
fn lock_services<R: WritesTemplates<Template = SetTemplate>>(
    granted: &Granted<R>,
    tx: &mut dyn Tx,
    given: &[i64],
) -> Result<BTreeSet<ServiceTemplateId>, OpError> {
    check_most(SERVICES, "service templates of a set template", given.len(), MAX_SERVICES)?;
    let services: BTreeSet<_> = given.iter().copied().map(ServiceTemplateId).collect();
    if services.is_empty() {
        return Ok(services);
    }
    let ids: Vec<_> = services.iter().copied().collect();
    let found = rollcall_store::service_template::lock_shared_many(tx, &ids)?;
    let found = found.iter().filter(|template| template.business_id == granted.business());
    let found: HashSet<_> = found.map(|template| template.id.get()).collect();
    let missing = given.iter().enumerate().filter(|(_, id)| !found.contains(id));
    let missing =
        missing.map(|(i, id)| Fault::absent(Cause::ParamInvalid, FieldPath::of(SERVICES).index(i), id).named(SERVICES));
    Failure::check(missing.collect())?;
    Ok(services)
}

wire_input! {
    /// What update_set_template takes.
    pub struct UpdateTemplate {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub id: i64 = "set_template_id",
        /// Another name; empty: the one it has.
        pub name: String = "name",
        /// All service templates it is to list; missing: those that it lists, empty: none. Sets follow when they are synchronized.
        pub services: Option<Vec<i64>> = "service_template_ids",
    }
}

impl Serve for UpdateTemplate {
    fn output() -> Schema {
        SetTemplate::schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number::<right::EditSetTemplate>(context, self.business_id)?.ok_or_else(no_business)?;
        let wish = Wish::read(&self.name, self.services.as_deref())?;
        wish.check_any()?;
        let template = lock(&granted, tx, "set_template_id", self.id)?;
        let mut journal = Journal::default();
        let template = update(&granted, context, tx, template, wish, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply(template.document))
    }
}

/// A template of the business, kept as it is until it is written. One of another business looks absent.
fn lock(
    granted: &Granted<right::EditSetTemplate>,
    tx: &mut dyn Tx,
    field: &'static str,
    id: i64,
) -> Result<SetTemplate, OpError> {
    let template = store::lock(tx, SetTemplateId(id))?;
    let template = template.filter(|template| template.business_id == granted.business());
    Ok(template.ok_or_else(|| absent(field, id))?)
}

/// Gives a template, which is locked, another name and other service templates. The sets that follow it stay as they are.
fn update(
    granted: &Granted<right::EditSetTemplate>,
    context: &Context,
    tx: &mut dyn Tx,
    template: SetTemplate,
    wish: Wish,
    journal: &mut Journal,
) -> Result<SetTemplate, OpError> {
    let name = wish.name.unwrap_or_else(|| template.name.clone());
    let is_renamed = name != template.name;
    if is_renamed && store::find_named(tx, granted.business(), &name)?.is_some() {
        return Err(name_taken(&name).into());
    }
    let held = store::services(tx, template.id)?;
    let wanted = match &wish.services {
        Some(services) => lock_services(granted, tx, services)?,
        None => held.clone(),
    };
    if !is_renamed && wanted == held {
        return Ok(template);
    }
    let after = template.changed(&name, &context.caller.user, &context.time_text());
    let after = after.ok_or_else(|| StoreError::Unreadable("a set template's document".into()))?;
    store::update(tx, &after).map_err(|error| unique_lost(error, &name))?;
    if !wanted.is_superset(&held) {
        store::remove_services(tx, template.id, held.difference(&wanted))?;
    }
    if !held.is_superset(&wanted) {
        store::add_services(tx, &template, wanted.difference(&held))?;
    }
    let mut fields = JsonWriter::with_capacity(64);
    fields.raw("{");
    if is_renamed {
        fields.key("name").text(&name);
    }
    if wanted != held {
        write_ids(fields.key(SERVICES), &wanted);
    }
    fields.raw("}");
    let (before_state, after_state) = (template.state(&held), after.state(&wanted));
    let told = change(&template, Some(&before_state), Some(&after_state));
    journal.changed(Change { update_fields: Some(&fields.finish()), ..told });
    Ok(after)
}

/// Takes a service template that goes from the set templates that list it, which are locked.
pub(crate) fn forget_service(
    _: &Granted<right::DeleteServiceTemplate>,
    tx: &mut dyn Tx,
    listing: &[SetTemplate],
    service: ServiceTemplateId,
    journal: &mut Journal,
) -> Result<(), OpError> {
    if !listing.is_empty() {
        let ids: Vec<_> = listing.iter().map(|template| template.id).collect();
        let mut held = store::services_of(tx, &ids)?;
        for template in listing {
            let mut services = held.remove(&template.id).unwrap_or_default();
            let before = template.state(&services);
            services.remove(&service);
            let mut fields = JsonWriter::with_capacity(64);
            write_ids(fields.raw("{").key(SERVICES), &services);
            fields.raw("}");
            let after = template.state(&services);
            let told = change(template, Some(&before), Some(&after));
            journal.changed(Change { update_fields: Some(&fields.finish()), ..told });
        }
    }
    Ok(store::remove_service(tx, service, listing.len())?)
}

wire_input! {
    /// What delete_set_template takes.
    pub struct DeleteTemplates {
        /// The business of the templates.
        pub business_id: i64 = "bk_biz_id",
        /// Up to 1000 templates that no set follows. Those that are not there are passed over.
        pub ids: Option<Vec<i64>> = "set_template_ids",
    }
}

/// The most templates of one call.
const MAX_TEMPLATES: usize = 1000;

impl Serve for DeleteTemplates {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        const IDS: &str = "set_template_ids";
        let granted = stated_by_number::<right::DeleteSetTemplate>(context, self.business_id)?;
        let granted = granted.ok_or_else(no_business)?;
        let Some(ids) = &self.ids else {
            return Err(Fault::new(Cause::NothingNamed, IDS).because(Reason::Blank).into());
        };
        check_most(IDS, "delete set templates", ids.len(), MAX_TEMPLATES)?;
        let mut templates = store::lock_many(tx, ids)?;
        templates.retain(|template| template.business_id == granted.business());
        if templates.is_empty() {
            return Ok(Reply::null());
        }
        let found: Vec<_> = templates.iter().map(|template| template.id.get()).collect();
        let used = rollcall_store::set::count_by_template(tx, granted.business(), &found)?;
        let used: HashSet<_> = used.into_iter().map(|(template, _)| template.get()).collect();
        let in_use = ids.iter().enumerate().filter(|(_, id)| used.contains(id));
        let in_use = in_use
            .map(|(i, _)| Fault::new(Cause::InUse, FieldPath::of(IDS).index(i)).because(Reason::UsedBy(Referrer::Set)));
        Failure::check(in_use.collect())?;
        let mut journal = Journal::default();
        template_attribute::remove_all(&granted, tx, &templates, &mut journal)?;
        let found: Vec<_> = templates.iter().map(|template| template.id).collect();
        let mut services = store::services_of(tx, &found)?;
        store::delete(tx, &templates)?;
        for template in &templates {
            let before = template.state(&services.remove(&template.id).unwrap_or_default());
            journal.changed(change(template, Some(&before), None));
        }
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

wire_input! {
    /// What names a set template of a business.
    pub struct GetTemplate {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub id: i64 = "set_template_id",
    }
}

impl Serve for GetTemplate {
    fn output() -> Schema {
        SetTemplate::schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        context.access.may_read(business)?;
        let template = store::find(tx, SetTemplateId(self.id))?;
        let template = template.filter(|template| template.business_id == business);
        Ok(Reply(template.ok_or_else(|| absent("set_template_id", self.id))?.document))
    }
}

/// The service templates that a set template lists.
#[derive(Debug)]
pub struct ListServices(GetTemplate);

crate::operation::decode_through!(ListServices, GetTemplate, Self);

impl Serve for ListServices {
    fn output() -> Schema {
        ServiceTemplate::schema().list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.0.business_id)?;
        context.access.may_read(business)?;
        let ids: Vec<_> = store::services(tx, SetTemplateId(self.0.id))?.iter().map(|id| id.get()).collect();
        let mut out = JsonWriter::with_capacity(16 + ids.len() * 256);
        out.raw("[");
        // The business is asked of the service templates: they are of that of the set template.
        for template in rollcall_store::service_template::list(tx, business, Some(&ids))?.iter().rev() {
            out.separate().raw(&template.document);
        }
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}

wire_input! {
    /// What list_set_template takes, and the same with the number of sets.
    pub struct ListTemplates {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// Only these; missing: all, empty: none.
        pub ids: Option<Vec<i64>> = "set_template_ids",
        /// The page: 1 to 1000 templates, or 999999999 for all.
        pub page: Option<PageIn> = "page",
    }
}

/// The rows of a page that asks for none.
const DEFAULT_ROWS: usize = 20;

impl Serve for ListTemplates {
    fn output() -> Schema {
        SetTemplate::schema().page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        context.access.may_read(business)?;
        let page = page_or(self.page.as_ref().unwrap_or(&PageIn::none()), Some(DEFAULT_ROWS))?;
        let listing = Listing::new(page, None, &[], "id");
        let max = context.limits.unpaged_rows;
        if self.ids.is_none() && listing.is_plain() {
            let count = store::count(tx, business)?;
            let range = listing.range(count, max)?;
            let mut answer = listing.answer(count);
            store::each_document(tx, business, range, &mut |document| answer.push(document))?;
            return Ok(answer.finish());
        }
        let mut matches = listing.matches();
        for template in store::list(tx, business, self.ids.as_deref())? {
            matches.offer(&template.document)?;
        }
        matches.answer(max)
    }
}

/// Set templates with how many sets follow each.
#[derive(Debug)]
pub struct ListCountedTemplates(ListTemplates);

crate::operation::decode_through!(ListCountedTemplates, ListTemplates, Self);

impl Serve for ListCountedTemplates {
    fn output() -> Schema {
        let counted =
            Schema::object([("set_instance_count", Schema::Integer), ("set_template", SetTemplate::schema())]);
        Schema::object([("count", Schema::Integer), ("info", counted.list().or_null())])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.0.business_id)?;
        context.access.may_read(business)?;
        let page = page_or(self.0.page.as_ref().unwrap_or(&PageIn::none()), None)?;
        let mut rows: Vec<(SetTemplate, Object)> = Vec::new();
        for template in store::list(tx, business, self.0.ids.as_deref())? {
            let document = read_document(&template.document)?;
            rows.push((template, document));
        }
        let count = rows.len();
        let rows = page.take(rows, |(_, document)| document);
        bounded(context, "page", rows.len())?;
        let ids: Vec<_> = rows.iter().map(|(template, _)| template.id.get()).collect();
        let sets = rollcall_store::set::count_by_template(tx, business, &ids)?;
        let sets: HashMap<_, _> = sets.into_iter().collect();
        if rows.is_empty() {
            let counted = Json::Object(Object::from_iter([
                ("count".to_owned(), Json::Int(i64::try_from(count).unwrap_or(i64::MAX))),
                ("info".to_owned(), Json::Null),
            ]));
            return Ok(Reply(counted.to_string()));
        }
        let mut out = open_list(count, rows.len() * 320);
        for (template, _) in &rows {
            let sets = sets.get(&template.id).copied().unwrap_or_default();
            out.separate().raw("{\"set_instance_count\":").int(sets);
            out.raw(",\"set_template\":").raw(&template.document).raw("}");
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}
