//! Service categories: the operations of `templates` 4.

use crate::access::{Granted, Right, right};
use crate::journal::{Change, Journal};
use crate::listing::open_list;
use crate::operation::Serve;
use crate::request::{granted_on, no_business, stated, stated_by_number};
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason, Referrer, quoted};
use rollcall_domain::id::{BusinessId, CategoryId};
use rollcall_domain::json::{JsonWriter, Schema};
use rollcall_domain::service_category::{self as rules, Place, ServiceCategory};
use rollcall_domain::wire_input;
use rollcall_store::event::EventKind;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::service_category as store;
use rollcall_store::{StoreError, Tx};
use std::collections::HashMap;

wire_input! {
    /// What list_service_category takes.
    pub struct ListCategories {
        /// The business whose own categories are listed beside the shared ones; it need not exist.
        pub business_id: i64 = "bk_biz_id",
    }
}

/// The business whose categories are listed. Only 0 is refused: recording svc_category.list.negative_biz.
fn listed_business(context: &Context, stated: i64) -> Result<BusinessId, OpError> {
    if stated == 0 {
        return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").into());
    }
    let business = BusinessId(stated);
    context.access.may_read(business)?;
    Ok(business)
}

impl Serve for ListCategories {
    fn output() -> Schema {
        ServiceCategory::schema().page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = listed_business(context, self.business_id)?;
        let categories = store::list(tx, business)?;
        let mut out = open_list(categories.len(), 4096);
        for category in &categories {
            out.separate();
            category.write(&mut out, context.english);
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

wire_input! {
    /// What the list of service categories with their use takes.
    pub struct ListUsedCategories {
        /// The business whose own categories are listed beside the shared ones, and whose templates and modules are counted.
        pub business_id: i64 = "bk_biz_id",
    }
}

impl Serve for ListUsedCategories {
    fn output() -> Schema {
        Schema::object([("category", ServiceCategory::schema()), ("usage_amount", Schema::Integer)]).page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = listed_business(context, self.business_id)?;
        let categories = store::list(tx, business)?;
        let ids: Vec<_> = categories.iter().map(|category| category.id).collect();
        let mut uses: HashMap<CategoryId, i64> = HashMap::new();
        let counts = rollcall_store::service_template::count_by_category(tx, business, &ids)?;
        for (category, count) in
            counts.into_iter().chain(rollcall_store::module::count_by_category(tx, business, &ids)?)
        {
            *uses.entry(category).or_default() += count;
        }
        let mut out = open_list(categories.len(), 4096);
        for category in &categories {
            out.separate().raw("{\"category\":");
            category.write(&mut out, context.english);
            out.raw(",\"usage_amount\":").int(uses.get(&category.id).copied().unwrap_or_default()).raw("}");
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

/// A category as operations answer it.
fn shown(category: &ServiceCategory, context: &Context) -> Reply {
    let mut out = JsonWriter::with_capacity(160);
    category.write(&mut out, context.english);
    Reply(out.finish())
}

fn name_taken(name: &str) -> Fault {
    Fault::new(Cause::CategoryNameTaken, "name").because(Reason::Taken { value: quoted(name) })
}

/// The index guards against who was given the name meanwhile.
fn unique_lost(error: StoreError, name: &str) -> OpError {
    match error {
        StoreError::Unique(_) => name_taken(name).into(),
        error => error.into(),
    }
}

wire_input! {
    /// What create_service_category takes.
    pub struct CreateCategory {
        /// The business that gets it.
        pub business_id: i64 = "bk_biz_id",
        /// The name: 1 to 128 letters, digits, Chinese characters and signs of `_:-()`.
        pub name: String = "name",
        /// The category it is put below; 0: none.
        pub parent_id: i64 = "bk_parent_id",
    }
}

impl Serve for CreateCategory {
    fn output() -> Schema {
        ServiceCategory::schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number::<right::CreateServiceCategory>(context, self.business_id)?;
        let business = granted.ok_or_else(no_business);
        let faults = [rules::check_name(&self.name, "name").err(), business.as_ref().err().cloned()];
        Failure::check(faults.into_iter().flatten().collect())?;
        let business_id = business?.business();
        // Names are compared over all categories of the business, below whatever parent.
        if !rollcall_store::business::lock(tx, business_id)? {
            return Err(Fault::absent(Cause::ParamInvalid, "bk_biz_id", business_id).into());
        }
        let parent = self.find_parent(tx, business_id)?;
        let place = parent.as_ref().map_or(Place::Top(CategoryId(self.parent_id)), Place::Below);
        let same_named = store::list_named(tx, business_id, &self.name)?;
        if rules::name_is_taken(place, &same_named) {
            return Err(name_taken(&self.name).into());
        }
        let id = CategoryId(sequence::take(tx, Sequence::ServiceCategory, 1)?);
        let category = ServiceCategory::new(id, business_id, &self.name, place);
        store::insert(tx, std::slice::from_ref(&category)).map_err(|error| unique_lost(error, &self.name))?;
        tell(context, tx, None, Some(&category))?;
        Ok(shown(&category, context))
    }
}

impl CreateCategory {
    /// The parent, kept as it is until the category stands below it. One of another business looks absent.
    fn find_parent(&self, tx: &mut dyn Tx, business: BusinessId) -> Result<Option<ServiceCategory>, OpError> {
        if self.parent_id <= 0 {
            return Ok(None);
        }
        let parent = store::lock(tx, CategoryId(self.parent_id))?;
        let parent = parent.filter(|parent| parent.is_usable_by(business)).ok_or_else(|| {
            // The original names the wrong field (`templates E3`).
            Fault::absent(Cause::ParamInvalid, "bk_parent_id", self.parent_id).named("bk_biz_id")
        })?;
        Ok(Some(parent))
    }
}

/// Writes what a change of a category leaves behind.
fn tell(
    context: &Context,
    tx: &mut dyn Tx,
    before: Option<&ServiceCategory>,
    after: Option<&ServiceCategory>,
) -> Result<(), StoreError> {
    let Some(category) = before.or(after) else { return Ok(()) };
    let (old, new) = (before.map(ServiceCategory::document), after.map(ServiceCategory::document));
    let mut update_fields = JsonWriter::default();
    if let (Some(_), Some(after)) = (before, after) {
        update_fields.raw("{").key("name").text(&after.name).raw("}");
    }
    let update_fields = update_fields.finish();
    let mut journal = Journal::default();
    journal.changed(Change {
        kind: EventKind::ServiceCategory,
        business_id: category.business_id,
        id: category.id.get(),
        name: &category.name,
        before: old.as_deref(),
        after: new.as_deref(),
        update_fields: Some(update_fields.as_str()).filter(|fields| !fields.is_empty()),
    });
    journal.write(context, tx)
}

/// A category that changes, locked, and on which business its caller has the right to that. What the caller may not know of looks
/// absent.
fn locate<R: Right>(
    context: &Context,
    tx: &mut dyn Tx,
    business: Option<i64>,
    id: i64,
) -> Result<(Granted<R>, ServiceCategory), OpError> {
    let stated = stated::<R>(context, business)?;
    let absent = || OpError::from(Fault::absent(Cause::NotFound, "id", id));
    let category = store::lock(tx, CategoryId(id))?.ok_or_else(absent)?;
    let granted = match stated {
        // Everybody knows the shared ones.
        Some(granted) if category.is_shared() => granted,
        None if category.is_shared() => context.access.require_global()?,
        stated => granted_on(context, stated, category.business_id).ok_or_else(absent)?,
    };
    Ok((granted, category))
}

wire_input! {
    /// What update_service_category takes.
    pub struct RenameCategory {
        /// The business of the category; derived from it when missing.
        pub business_id: Option<i64> = "bk_biz_id",
        /// The category.
        pub id: i64 = "id",
        /// The name, as for a new one.
        pub name: String = "name",
    }
}

impl Serve for RenameCategory {
    fn output() -> Schema {
        ServiceCategory::schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let (_, category) = locate::<right::EditServiceCategory>(context, tx, self.business_id, self.id)?;
        rules::check_name(&self.name, "name")?;
        if category.is_built_in {
            return Err(Fault::new(Cause::BuiltInRecord, "id").named(&category.name).into());
        }
        let same_named = store::list_named(tx, category.business_id, &self.name)?;
        if rules::rename_is_taken(&category, &same_named) {
            return Err(name_taken(&self.name).into());
        }
        let renamed = ServiceCategory { name: self.name.clone(), ..category.clone() };
        if renamed != category {
            store::rename(tx, category.id, &self.name).map_err(|error| unique_lost(error, &self.name))?;
            tell(context, tx, Some(&category), Some(&renamed))?;
        }
        Ok(shown(&renamed, context))
    }
}

wire_input! {
    /// What delete_service_category takes.
    pub struct DeleteCategory {
        /// The business of the category; derived from it when missing.
        pub business_id: Option<i64> = "bk_biz_id",
        /// The category.
        pub id: i64 = "id",
    }
}

impl Serve for DeleteCategory {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let (_, category) = locate::<right::DeleteServiceCategory>(context, tx, self.business_id, self.id)?;
        if category.is_shared() {
            // Every business loses it.
            context.access.require_global::<right::DeleteServiceCategory>()?;
        }
        let refuse = |cause, by| -> Result<(), OpError> {
            Err(Fault::new(cause, "id").named(&category.name).because(Reason::UsedBy(by)).into())
        };
        if store::has_children(tx, category.id)? {
            refuse(Cause::HasChildren, Referrer::ServiceCategory)?;
        }
        if rollcall_store::service_template::uses_category(tx, category.id)? {
            refuse(Cause::InUse, Referrer::ServiceTemplate)?;
        }
        if rollcall_store::module::uses_category(tx, category.id)? {
            refuse(Cause::InUse, Referrer::Module)?;
        }
        store::delete(tx, category.id)?;
        tell(context, tx, Some(&category), None)?;
        Ok(Reply::null())
    }
}
