//! Service templates: the operations of `templates` 5.

mod all_info;

pub use all_info::{CreateAllInfo, GetAllInfo, UpdateAllInfo};

use crate::access::{Granted, right};
use crate::journal::{Change, Journal};
use crate::listing::Listing;
use crate::operation::Serve;
use crate::request::{business_of, granted_on, no_business, stated, stated_by_number};
use crate::{Context, OpError, Reply, process_template, set_template, template_attribute};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason, Referrer, quoted};
use rollcall_domain::id::{BusinessId, CategoryId, ServiceTemplateId};
use rollcall_domain::json::{Json, JsonWriter, Object, Schema};
use rollcall_domain::page::{Page, PageIn};
use rollcall_domain::service_template::{self as rules, Draft, Filter, ServiceTemplate, Wish};
use rollcall_domain::topology::Birth;
use rollcall_domain::{module, record, wire_input};
use rollcall_store::event::EventKind;
use rollcall_store::module::WholeModule;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::service_template as store;
use rollcall_store::{StoreError, Tx};
use std::collections::HashMap;

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

/// A change of a template as the journal takes it.
fn change<'a>(before: Option<&'a ServiceTemplate>, after: Option<&'a ServiceTemplate>) -> Option<Change<'a>> {
    let template = before.or(after)?;
    Some(Change {
        kind: EventKind::ServiceTemplate,
        business_id: template.business_id,
        id: template.id.get(),
        name: &template.name,
        before: before.map(|template| template.document.as_str()),
        after: after.map(|template| template.document.as_str()),
        update_fields: None,
    })
}

wire_input! {
    /// What create_service_template takes.
    pub struct CreateTemplate {
        /// The business that gets it.
        pub business_id: i64 = "bk_biz_id",
        /// The name, up to 256 characters, unique in the business.
        pub name: String = "name",
        /// A service category without others below it, shared or of the business.
        pub category_id: i64 = "service_category_id",
        /// Kept and answered, and nothing else.
        pub host_apply_enabled: bool = "host_apply_enabled",
    }
}

impl Serve for CreateTemplate {
    fn output() -> Schema {
        ServiceTemplate::schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let (granted, draft) = read_draft(context, self.business_id, &self.name, self.category_id)?;
        let draft = Draft { host_apply_enabled: self.host_apply_enabled, ..draft };
        let mut journal = Journal::default();
        let template = create(&granted, context, tx, &draft, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply(template.document))
    }
}

/// What a new template is to be, as far as the request alone tells.
fn read_draft(
    context: &Context,
    business_id: i64,
    name: &str,
    category_id: i64,
) -> Result<(Granted<right::CreateServiceTemplate>, Draft), OpError> {
    let granted = stated_by_number(context, business_id)?.ok_or_else(no_business);
    match (granted, record::template_name(name, &"name".into())) {
        (Ok(granted), Ok(name)) => {
            Ok((granted, Draft { name, category_id: CategoryId(category_id), host_apply_enabled: false }))
        }
        (granted, name) => {
            let faults = [name.err(), granted.err()];
            Failure::check(faults.into_iter().flatten().collect())?;
            Err(StoreError::Defect("a refusal without a fault".into()).into())
        }
    }
}

/// Makes a template. The order of the checks is that of `templates` S1.
fn create(
    granted: &Granted<right::CreateServiceTemplate>,
    context: &Context,
    tx: &mut dyn Tx,
    draft: &Draft,
    journal: &mut Journal,
) -> Result<ServiceTemplate, OpError> {
    let business_id = granted.business();
    if rollcall_store::business::find(tx, business_id)?.is_none() {
        return Err(Fault::absent(Cause::ParamInvalid, "bk_biz_id", business_id).into());
    }
    let may_know = |business| context.access.find::<right::CreateServiceTemplate>(business).is_some();
    check_category(tx, draft.category_id, business_id, may_know, "bk_biz_id")?;
    if store::find_named(tx, business_id, &draft.name)?.is_some() {
        return Err(name_taken(&draft.name).into());
    }
    let id = ServiceTemplateId(sequence::take(tx, Sequence::ServiceTemplate, 1)?);
    let time = context.time_text();
    let template = draft.place(id, business_id, &Birth { time: &time, user: &context.caller.user });
    store::insert(tx, std::slice::from_ref(&template)).map_err(|error| unique_lost(error, &template.name))?;
    if let Some(change) = change(None, Some(&template)) {
        journal.changed(change);
    }
    Ok(template)
}

/// Checks the category of a template, which then stays until the template refers to it. `may_know`: whether the caller may know of a
/// category of another business.
fn check_category(
    tx: &mut dyn Tx,
    asked: CategoryId,
    business: BusinessId,
    may_know: impl Fn(BusinessId) -> bool,
    other_business: &'static str,
) -> Result<(), OpError> {
    let found = rollcall_store::service_category::lock_shared(tx, asked)?;
    let found = found.filter(|category| category.is_usable_by(business) || may_know(category.business_id));
    let has_children = match &found {
        Some(category) => rollcall_store::service_category::has_children(tx, category.id)?,
        None => false,
    };
    Ok(rules::check_category(asked, found.as_ref(), has_children, business, other_business)?)
}

wire_input! {
    /// What update_service_template takes.
    pub struct UpdateTemplate {
        /// The business of the template; derived from it when missing.
        pub business_id: Option<i64> = "bk_biz_id",
        /// The template.
        pub id: i64 = "id",
        /// Another name; empty: the one it has.
        pub name: String = "name",
        /// Another service category, as for a new template; 0: the one it has.
        pub category_id: i64 = "service_category_id",
    }
}

impl Serve for UpdateTemplate {
    fn output() -> Schema {
        ServiceTemplate::schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let stated = stated(context, self.business_id)?;
        let template = store::lock(tx, ServiceTemplateId(self.id))?.ok_or_else(|| absent("id", self.id))?;
        let granted = granted_on(context, stated, template.business_id).ok_or_else(|| absent("id", self.id))?;
        let mut journal = Journal::default();
        let wish = Wish::new(&self.name, self.category_id);
        let template = update(&granted, context, tx, template, wish, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply(template.document))
    }
}

/// Gives a template, which is locked, another name and category, and at once those to the modules that follow it. The order of the
/// checks is that of `templates` S3.
fn update(
    granted: &Granted<right::EditServiceTemplate>,
    context: &Context,
    tx: &mut dyn Tx,
    template: ServiceTemplate,
    wish: Wish,
    journal: &mut Journal,
) -> Result<ServiceTemplate, OpError> {
    let business_id = granted.business();
    if let Some(asked) = wish.category_id {
        check_category(tx, asked, business_id, |_| false, "service_category_id")?;
    }
    let name = wish.name?;
    if name.is_none() && wish.category_id.is_none() {
        return Ok(template);
    }
    let name = name.unwrap_or_else(|| template.name.clone());
    let category_id = wish.category_id.unwrap_or(template.category_id);
    let is_renamed = name != template.name;
    if is_renamed && store::find_named(tx, business_id, &name)?.is_some() {
        return Err(name_taken(&name).into());
    }
    let followers = rollcall_store::module::lock_followers(tx, business_id, template.id)?;
    if is_renamed && !followers.is_empty() {
        let sets: Vec<_> = followers.iter().map(|module| module.row.set_id.get()).collect();
        if rollcall_store::module::is_named_beside(tx, business_id, &sets, &name, template.id)? {
            return Err(name_taken(&name).into());
        }
    }
    let (user, time) = (&context.caller.user, context.time_text());
    let mut changed = template;
    if is_renamed || category_id != changed.category_id {
        let after = changed.changed(&name, category_id, user, &time);
        let after = after.ok_or_else(|| StoreError::Unreadable("a service template's document".into()))?;
        store::update(tx, &after).map_err(|error| unique_lost(error, &name))?;
        let fields = update_fields("name", (&changed.name, changed.category_id), (&name, category_id));
        if let Some(change) = change(Some(&changed), Some(&after)) {
            journal.changed(Change { update_fields: Some(&fields), ..change });
        }
        changed = after;
    }
    let followed = follow(tx, business_id, followers, (&name, category_id), (user, &time), journal);
    followed.map_err(|error| unique_lost(error, &name))?;
    Ok(changed)
}

/// What of a name and a category is another than before, as a JSON object.
fn update_fields(name_field: &str, before: (&str, CategoryId), after: (&str, CategoryId)) -> String {
    let mut fields = Object::new();
    if before.0 != after.0 {
        fields.insert(name_field, after.0.into());
    }
    if before.1 != after.1 {
        fields.insert("service_category_id", Json::Int(after.1.get()));
    }
    Json::Object(fields).to_string()
}

/// Gives the modules that follow a template its name and category, those that do not have them yet.
fn follow(
    tx: &mut dyn Tx,
    business_id: BusinessId,
    followers: Vec<WholeModule>,
    (name, category_id): (&str, CategoryId),
    (user, time): (&str, &str),
    journal: &mut Journal,
) -> Result<(), StoreError> {
    let mut moved = Vec::new();
    for WholeModule { mut row, document: before_document } in followers {
        if row.name == name && row.service_category_id == category_id {
            continue;
        }
        let document = module::following_document(&before_document, name, category_id, user, time)
            .ok_or_else(|| StoreError::Unreadable("a module's document".into()))?;
        let before = (row.name.as_str(), row.service_category_id);
        journal.changed(Change {
            kind: EventKind::Module,
            business_id,
            id: row.id.get(),
            name: &row.name,
            before: Some(&before_document),
            after: Some(&document),
            update_fields: Some(&update_fields("bk_module_name", before, (name, category_id))),
        });
        row.name = name.to_owned();
        row.service_category_id = category_id;
        moved.push(WholeModule { row, document });
    }
    if moved.is_empty() { Ok(()) } else { rollcall_store::module::update(tx, &moved) }
}

wire_input! {
    /// What get_service_template takes, and the same with counts.
    pub struct GetTemplate {
        /// The business of the template; 0: any.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub id: i64 = "service_template_id",
    }
}

impl GetTemplate {
    /// The template, if the caller may read it.
    fn find(&self, context: &Context, tx: &mut dyn Tx) -> Result<ServiceTemplate, OpError> {
        let stated = Some(BusinessId(self.business_id)).filter(|business| business.get() > 0);
        if let Some(business) = stated {
            context.access.may_read(business)?;
        }
        let found = store::find(tx, ServiceTemplateId(self.id))?;
        let found = found.filter(|template| stated.is_none_or(|business| business == template.business_id));
        let found = found.filter(|template| context.access.may_read(template.business_id).is_ok());
        Ok(found.ok_or_else(|| absent("service_template_id", self.id))?)
    }
}

impl Serve for GetTemplate {
    fn output() -> Schema {
        ServiceTemplate::schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        Ok(Reply(self.find(context, tx)?.document))
    }
}

/// A template with how many instances and processes follow it.
#[derive(Debug)]
pub struct GetCountedTemplate(GetTemplate);

crate::operation::decode_through!(GetCountedTemplate, GetTemplate, Self);

impl Serve for GetCountedTemplate {
    fn output() -> Schema {
        Schema::object([
            ("template", ServiceTemplate::schema()),
            ("service_instance_count", Schema::Integer),
            ("process_instance_count", Schema::Integer),
        ])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let template = self.0.find(context, tx)?;
        let (business, id) = (template.business_id, template.id);
        let instances = rollcall_store::service_instance::count_by_template(tx, business, &[id.get()])?;
        let processes = rollcall_store::process::count_of_template(tx, business, id)?;
        let mut out = JsonWriter::with_capacity(96 + template.document.len());
        out.raw("{\"template\":").raw(&template.document);
        out.raw(",\"service_instance_count\":").int(instances.first().map_or(0, |(_, count)| *count));
        out.raw(",\"process_instance_count\":").int(processes).raw("}");
        Ok(Reply(out.finish()))
    }
}

wire_input! {
    /// What list_service_template takes.
    pub struct ListTemplates {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// Only of this category and those below it; 0: of any.
        pub category_id: i64 = "service_category_id",
        /// A text that the name contains, its case not counting.
        pub search: String = "search",
        /// The name is the text, and its case counts.
        pub is_exact: bool = "is_exact",
        /// Only these; empty: all.
        pub ids: Vec<i64> = "service_template_ids",
        /// The page: 1 to 1000 templates, or 999999999 for all; missing: all, up to the server's limit.
        pub page: Option<PageIn> = "page",
    }
}

impl Serve for ListTemplates {
    fn output() -> Schema {
        ServiceTemplate::schema().page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        context.access.may_read(business)?;
        // Installers send no page (`clients` 3.3).
        let page = self.page.as_ref().map_or_else(|| Ok(Page::all()), |page| page.strict(Cause::PageIllegal))?;
        let filter = Filter::new(self.category_id, &self.search, self.is_exact);
        let is_plain = page.sort.is_empty() && filter.is_open() && self.ids.is_empty();
        let listing = Listing::new(page, None, &[], "id");
        let max = context.limits.unpaged_rows;
        if is_plain {
            let count = store::count(tx, business)?;
            let range = listing.range(count, max)?;
            let mut answer = listing.answer(count);
            store::each_document(tx, business, range, &mut |document| answer.push(document))?;
            return Ok(answer.finish());
        }
        let categories = match filter.category_id() {
            None => None,
            Some(_) => filter.categories(&rollcall_store::service_category::list(tx, business)?),
        };
        let ids = Some(self.ids.as_slice()).filter(|ids| !ids.is_empty());
        let mut matches = listing.matches();
        for template in store::list(tx, business, ids)? {
            let is_of_category = categories.as_ref().is_none_or(|wanted| wanted.contains(&template.category_id));
            if is_of_category && filter.wants_name(&template.name) {
                matches.offer(&template.document)?;
            }
        }
        matches.answer(max)
    }
}

wire_input! {
    /// What delete_service_template takes.
    pub struct DeleteTemplate {
        /// The business of the template; derived from it when missing.
        pub business_id: Option<i64> = "bk_biz_id",
        /// The template.
        pub id: i64 = "service_template_id",
    }
}

impl Serve for DeleteTemplate {
    fn output() -> Schema {
        Schema::Null
    }

    /// Whatever stands in the way has one number; the message says what it is.
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let stated = stated::<right::DeleteServiceTemplate>(context, self.business_id)?;
        let refusal = |name: &str, reason| {
            Fault::new(Cause::ServiceTemplateNotRemoved, "service_template_id").named(name).because(reason)
        };
        let absent = || {
            let id = self.id.to_string();
            refusal(&id, Reason::Absent { value: id.clone() })
        };
        // Set templates are locked before service templates.
        let listing = rollcall_store::set_template::lock_of_service(tx, ServiceTemplateId(self.id))?;
        let template = store::lock(tx, ServiceTemplateId(self.id))?.ok_or_else(absent)?;
        let granted = granted_on(context, stated, template.business_id).ok_or_else(absent)?;
        let (business, id) = (granted.business(), template.id);
        let referrers = [
            (Referrer::ServiceInstance, rollcall_store::service_instance::uses_template(tx, business, id)?),
            (Referrer::Module, rollcall_store::module::uses_template(tx, business, id)?),
        ];
        let referrers = referrers.into_iter().filter(|(_, is_there)| *is_there);
        Failure::check(referrers.map(|(by, _)| refusal(&template.name, Reason::UsedBy(by))).collect())?;
        let mut journal = Journal::default();
        set_template::forget_service(&granted, tx, &listing, id, &mut journal)?;
        template_attribute::remove_all(&granted, tx, std::slice::from_ref(&template), &mut journal)?;
        let processes = rollcall_store::process_template::list(tx, &[id])?;
        process_template::delete(&granted, context, tx, &processes, &mut journal)?;
        store::delete(tx, id)?;
        if let Some(change) = change(Some(&template), None) {
            journal.changed(change);
        }
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

wire_input! {
    /// What the counts of service templates take.
    pub struct CountUses {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 500 templates; those that are not of the business have nothing.
        pub ids: Vec<i64> = "service_template_ids",
    }
}

/// The most templates of one call that counts.
const MAX_COUNTED: usize = 500;

impl Serve for CountUses {
    fn output() -> Schema {
        Schema::object([
            ("service_template_id", Schema::Integer),
            ("process_template_count", Schema::Integer),
            ("service_instance_count", Schema::Integer),
            ("module_count", Schema::Integer),
        ])
        .list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id).map_err(|fault| Fault { cause: Cause::ParamUnusable, ..fault })?;
        context.access.may_read(business)?;
        if !(1..=MAX_COUNTED).contains(&self.ids.len()) {
            return Err(Fault::new(Cause::LengthIllegal, "service_template_ids").with(MAX_COUNTED).into());
        }
        let by_template = |counts: Vec<(ServiceTemplateId, i64)>| counts.into_iter().collect::<HashMap<_, _>>();
        let instances = by_template(rollcall_store::service_instance::count_by_template(tx, business, &self.ids)?);
        let processes = by_template(rollcall_store::process_template::count_by_template(tx, business, &self.ids)?);
        let modules = by_template(rollcall_store::module::count_by_template(tx, business, &self.ids)?);
        let mut out = JsonWriter::with_capacity(112 * self.ids.len());
        out.raw("[");
        for id in &self.ids {
            let count = |counts: &HashMap<_, i64>| counts.get(&ServiceTemplateId(*id)).copied().unwrap_or_default();
            out.separate().raw("{\"service_template_id\":").int(*id);
            out.raw(",\"process_template_count\":").int(count(&processes));
            out.raw(",\"service_instance_count\":").int(count(&instances));
            out.raw(",\"module_count\":").int(count(&modules)).raw("}");
        }
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}
