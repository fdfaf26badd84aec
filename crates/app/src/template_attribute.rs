//! The attributes that templates fix for what follows them: service templates for their modules, set templates for their sets. The
//! operations of `templates` 6, and T20 to T22 of 13.

use crate::access::{Granted, Right, right};
use crate::journal::{Change, Journal};
use crate::operation::{Serve, checked};
use crate::request::{all_set, check_most, stated_by_number};
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault};
use rollcall_domain::id::{BusinessId, ServiceTemplateId, SetTemplateId, TemplateAttributeId};
use rollcall_domain::json::{Decode, FieldPath, JsonWriter, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::service_template::ServiceTemplate;
use rollcall_domain::set_template::SetTemplate;
use rollcall_domain::template_attribute::{
    MAX_PER_CALL, Owner, Plan, TemplateAttribute, TemplateAttributeIn, Wanted, read_wanted, unusable,
};
use rollcall_domain::topology::Birth;
use rollcall_domain::wire_input;
use rollcall_store::event::EventKind;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::template_attribute as store;
use rollcall_store::{StoreError, Tx};
use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

/// A template that fixes attributes for what follows it.
pub trait Template: Sized + Send + std::fmt::Debug + 'static {
    /// The right to change it.
    type Edit: WritesTemplates<Template = Self>;
    /// Whose attributes they are.
    const MODEL: Model;
    /// What events call its attributes.
    const KIND: EventKind;
    /// What counts its attributes.
    const SEQUENCE: Sequence;
    /// What its id is called.
    const ID_FIELD: &'static str;
    /// What the calls are called that carry too many attributes.
    const CALLS: Calls;

    /// The template of this id, of whatever business.
    fn find(tx: &mut dyn Tx, id: i64) -> Result<Option<Self>, StoreError>;
    /// The same, kept as it is until the end of the transaction.
    fn lock(tx: &mut dyn Tx, id: i64) -> Result<Option<Self>, StoreError>;
    /// The attributes of several of a business.
    fn attributes(
        tx: &mut dyn Tx,
        business: BusinessId,
        templates: &[Self],
    ) -> Result<Vec<TemplateAttribute>, StoreError>;
    /// Its id.
    fn owner(&self) -> Owner;
    /// Its business.
    fn business(&self) -> BusinessId;
    /// Its name.
    fn name(&self) -> &str;
}

/// What calls are named in messages.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    pub write: &'static str,
    pub update: &'static str,
    pub delete: &'static str,
}

impl Template for ServiceTemplate {
    type Edit = right::EditServiceTemplate;
    const MODEL: Model = Model::Module;
    const KIND: EventKind = EventKind::ServiceTemplateAttribute;
    const SEQUENCE: Sequence = Sequence::ServiceTemplateAttribute;
    const ID_FIELD: &'static str = "service_template_id";
    const CALLS: Calls = Calls {
        write: "service template attributes",
        update: "update service template attributes",
        delete: "delete service template attributes",
    };

    fn find(tx: &mut dyn Tx, id: i64) -> Result<Option<Self>, StoreError> {
        rollcall_store::service_template::find(tx, ServiceTemplateId(id))
    }

    fn lock(tx: &mut dyn Tx, id: i64) -> Result<Option<Self>, StoreError> {
        rollcall_store::service_template::lock(tx, ServiceTemplateId(id))
    }

    fn attributes(
        tx: &mut dyn Tx,
        business: BusinessId,
        templates: &[Self],
    ) -> Result<Vec<TemplateAttribute>, StoreError> {
        let ids: Vec<_> = templates.iter().map(|template| template.id).collect();
        Ok(store::list_many(tx, business, &ids)?.into_iter().map(|(_, attribute)| attribute).collect())
    }

    fn owner(&self) -> Owner {
        Owner::Service(self.id)
    }

    fn business(&self) -> BusinessId {
        self.business_id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Template for SetTemplate {
    type Edit = right::EditSetTemplate;
    const MODEL: Model = Model::Set;
    const KIND: EventKind = EventKind::SetTemplateAttribute;
    const SEQUENCE: Sequence = Sequence::SetTemplateAttribute;
    const ID_FIELD: &'static str = "set_template_id";
    const CALLS: Calls = Calls {
        write: "set template attributes",
        update: "update set template attributes",
        delete: "delete set template attributes",
    };

    fn find(tx: &mut dyn Tx, id: i64) -> Result<Option<Self>, StoreError> {
        rollcall_store::set_template::find(tx, SetTemplateId(id))
    }

    fn lock(tx: &mut dyn Tx, id: i64) -> Result<Option<Self>, StoreError> {
        rollcall_store::set_template::lock(tx, SetTemplateId(id))
    }

    fn attributes(
        tx: &mut dyn Tx,
        business: BusinessId,
        templates: &[Self],
    ) -> Result<Vec<TemplateAttribute>, StoreError> {
        let ids: Vec<_> = templates.iter().map(|template| template.id).collect();
        Ok(store::list_many_of_sets(tx, business, &ids)?.into_iter().map(|(_, attribute)| attribute).collect())
    }

    fn owner(&self) -> Owner {
        Owner::Set(self.id)
    }

    fn business(&self) -> BusinessId {
        self.business_id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// The rights on templates of a kind.
pub trait OfTemplates: Right {
    /// The kind.
    type Template: Template;
}

impl OfTemplates for right::CreateServiceTemplate {
    type Template = ServiceTemplate;
}

impl OfTemplates for right::EditServiceTemplate {
    type Template = ServiceTemplate;
}

impl OfTemplates for right::DeleteServiceTemplate {
    type Template = ServiceTemplate;
}

impl OfTemplates for right::CreateSetTemplate {
    type Template = SetTemplate;
}

impl OfTemplates for right::EditSetTemplate {
    type Template = SetTemplate;
}

impl OfTemplates for right::DeleteSetTemplate {
    type Template = SetTemplate;
}

/// The rights with which templates and their attributes are written.
pub trait WritesTemplates: OfTemplates {}
impl WritesTemplates for right::CreateServiceTemplate {}
impl WritesTemplates for right::EditServiceTemplate {}
impl WritesTemplates for right::CreateSetTemplate {}
impl WritesTemplates for right::EditSetTemplate {}

/// The attributes that a request wants a template to have.
pub(crate) fn wanted<T: Template>(given: &[TemplateAttributeIn]) -> Result<Vec<Wanted>, OpError> {
    check_most("attributes", T::CALLS.write, given.len(), MAX_PER_CALL)?;
    checked(&None, || read_wanted(T::MODEL, given, &FieldPath::of("attributes")))
}

/// A template that is not there, or is of another business.
fn no_template<T: Template>(id: i64) -> Fault {
    Fault::absent(Cause::ParamInvalid, "id", id).named(T::ID_FIELD)
}

wire_input! {
    /// What the update of the attributes of a template takes.
    pub struct UpdateAttributesWire {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub template_id: i64 = "id",
        /// Other values for attributes that the template has; up to 100.
        pub attributes: Vec<TemplateAttributeIn> = "attributes",
    }
}

/// The update of the attributes of a template.
#[derive(Debug)]
pub struct UpdateAttributes<T>(UpdateAttributesWire, PhantomData<T>);

crate::operation::decode_through!(UpdateAttributes<ServiceTemplate>, UpdateAttributesWire, |wire| Self(
    wire,
    PhantomData
));
crate::operation::decode_through!(UpdateAttributes<SetTemplate>, UpdateAttributesWire, |wire| Self(wire, PhantomData));

impl<T: Template> Serve for UpdateAttributes<T>
where
    Self: Decode,
{
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number::<T::Edit>(context, self.0.business_id)?;
        let needed = [("id", self.0.template_id != 0), ("attributes", !self.0.attributes.is_empty())];
        let granted = all_set(granted, &needed)?;
        check_most("attributes", T::CALLS.update, self.0.attributes.len(), MAX_PER_CALL)?;
        let template = T::lock(tx, self.0.template_id)?;
        let template = template.filter(|template| template.business() == granted.business());
        let template = template.ok_or_else(|| no_template::<T>(self.0.template_id))?;
        let at = FieldPath::of("attributes");
        let wanted = checked(&None, || read_wanted(T::MODEL, &self.0.attributes, &at))?;
        let stored = store::list(tx, granted.business(), template.owner())?;
        let held: HashSet<_> = stored.iter().map(|held| held.attribute_id).collect();
        let absent = wanted.iter().enumerate().filter(|(_, want)| !held.contains(&want.attribute_id));
        Failure::check(absent.map(|(i, want)| unusable(&at.index(i), want.attribute_id)).collect())?;
        let mut journal = Journal::default();
        apply(&granted, context, tx, &template, Plan::put(stored, wanted), &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

wire_input! {
    /// What the removal of attributes of a template takes.
    pub struct DeleteAttributesWire {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub template_id: i64 = "id",
        /// Numbers of attributes that the template has, each once; up to 100. What follows the template keeps its values.
        pub attribute_ids: Vec<i64> = "bk_attribute_ids",
    }
}

/// The removal of attributes of a template.
#[derive(Debug)]
pub struct DeleteAttributes<T>(DeleteAttributesWire, PhantomData<T>);

crate::operation::decode_through!(DeleteAttributes<ServiceTemplate>, DeleteAttributesWire, |wire| Self(
    wire,
    PhantomData
));
crate::operation::decode_through!(DeleteAttributes<SetTemplate>, DeleteAttributesWire, |wire| Self(wire, PhantomData));

impl<T: Template> Serve for DeleteAttributes<T>
where
    Self: Decode,
{
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number::<T::Edit>(context, self.0.business_id)?;
        let needed = [("id", self.0.template_id != 0), ("bk_attribute_ids", !self.0.attribute_ids.is_empty())];
        let granted = all_set(granted, &needed)?;
        check_most("bk_attribute_ids", T::CALLS.delete, self.0.attribute_ids.len(), MAX_PER_CALL)?;
        let template = T::lock(tx, self.0.template_id)?;
        let template = template.filter(|template| template.business() == granted.business());
        let stored = match &template {
            Some(template) => store::list(tx, granted.business(), template.owner())?,
            None => Vec::new(),
        };
        let mut stored: HashMap<_, _> = stored.into_iter().map(|held| (held.attribute_id, held)).collect();
        let (mut deleted, mut faults) = (Vec::new(), Vec::new());
        for (i, id) in self.0.attribute_ids.iter().enumerate() {
            // One that stands there twice is gone the second time.
            match stored.remove(id) {
                Some(held) => deleted.push(held),
                None => faults.push(unusable(&FieldPath::of("bk_attribute_ids").index(i), *id)),
            }
        }
        Failure::check(faults)?;
        if let Some(template) = template {
            let mut journal = Journal::default();
            let plan = Plan { deleted, ..Plan::default() };
            apply(&granted, context, tx, &template, plan, &mut journal)?;
            journal.write(context, tx)?;
        }
        Ok(Reply::null())
    }
}

wire_input! {
    /// What the list of the attributes of a template takes.
    pub struct ListAttributesWire {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub template_id: i64 = "id",
        /// The fields that say something; empty: all. The others are there and say nothing.
        pub fields: Vec<String> = "fields",
    }
}

/// The list of the attributes of a template.
#[derive(Debug)]
pub struct ListAttributes<T>(ListAttributesWire, PhantomData<T>);

crate::operation::decode_through!(ListAttributes<ServiceTemplate>, ListAttributesWire, |wire| Self(wire, PhantomData));
crate::operation::decode_through!(ListAttributes<SetTemplate>, ListAttributesWire, |wire| Self(wire, PhantomData));

impl<T: Template> Serve for ListAttributes<T>
where
    Self: Decode,
{
    fn output() -> Schema {
        Schema::object([("attributes", TemplateAttribute::schema(T::MODEL).list())])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = Some(BusinessId(self.0.business_id)).filter(|business| business.get() > 0);
        let business = all_set(business, &[("id", self.0.template_id != 0)])?;
        context.access.may_read(business)?;
        let template = T::find(tx, self.0.template_id)?;
        let template = template.filter(|template| template.business() == business);
        let template = template.ok_or_else(|| no_template::<T>(self.0.template_id))?;
        let fields = self.0.fields.iter().map(String::as_str).collect();
        let mut out = JsonWriter::with_capacity(1024);
        out.raw("{\"attributes\":[");
        for attribute in store::list(tx, business, template.owner())? {
            out.separate();
            attribute.write(&mut out, T::MODEL, &fields);
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

/// Carries out what was planned for the attributes of a template, which is locked.
pub(crate) fn apply<R: WritesTemplates>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    template: &R::Template,
    plan: Plan,
    journal: &mut Journal,
) -> Result<(), OpError> {
    if plan.is_empty() {
        return Ok(());
    }
    let (business, owner) = (granted.business(), template.owner());
    let (kind, model) = (R::Template::KIND, R::Template::MODEL);
    let Plan { deleted, added, changed } = plan;
    let mut made = Vec::with_capacity(added.len());
    if !deleted.is_empty() {
        store::delete(tx, model, &deleted)?;
    }
    if !added.is_empty() {
        let first = sequence::take(tx, R::Template::SEQUENCE, added.len())?;
        let time = context.time_text();
        let birth = Birth { time: &time, user: &context.caller.user };
        let placed = added.into_iter().zip(first..);
        made.extend(placed.map(|(want, id)| want.place(TemplateAttributeId(id), business, owner, &birth)));
        store::insert(tx, business, owner, &made)?;
    }
    if !changed.is_empty() {
        let after: Vec<_> = changed.iter().map(|(_, after)| after.clone()).collect();
        store::update(tx, model, &after)?;
    }
    let (before, after) = (changed.iter().map(|(before, _)| before), changed.iter().map(|(_, after)| after));
    journal.changed_entry(Change {
        kind,
        business_id: business,
        id: owner.get(),
        name: template.name(),
        before: Some(&listed(deleted.iter().chain(before))),
        after: Some(""),
        update_fields: Some(&listed(made.iter().chain(after))),
    });
    tell_deleted(kind, business, deleted, journal);
    for attribute in made {
        journal.created(kind, business, attribute.id.get(), attribute.document);
    }
    for (before, after) in changed {
        journal.updated(kind, business, after.id.get(), before.document, after.document);
    }
    Ok(())
}

/// Attributes as the entry about their template names them.
fn listed<'a>(attributes: impl Iterator<Item = &'a TemplateAttribute>) -> String {
    let mut out = JsonWriter::with_capacity(512);
    out.raw("{\"attributes\":[");
    for attribute in attributes {
        out.separate().raw(&attribute.document);
    }
    out.raw("]}");
    out.finish()
}

/// Removes the attributes of templates that go themselves.
pub(crate) fn remove_all<R: OfTemplates>(
    granted: &Granted<R>,
    tx: &mut dyn Tx,
    templates: &[R::Template],
    journal: &mut Journal,
) -> Result<(), OpError> {
    let stored = R::Template::attributes(tx, granted.business(), templates)?;
    if !stored.is_empty() {
        store::delete(tx, R::Template::MODEL, &stored)?;
    }
    tell_deleted(R::Template::KIND, granted.business(), stored, journal);
    Ok(())
}

fn tell_deleted(kind: EventKind, business: BusinessId, deleted: Vec<TemplateAttribute>, journal: &mut Journal) {
    for attribute in deleted {
        journal.deleted(kind, business, attribute.id.get(), attribute.document);
    }
}
