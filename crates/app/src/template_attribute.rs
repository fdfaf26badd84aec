//! The attributes that service templates fix for their modules: the operations of `templates` 6.

use crate::access::{Granted, Right, right};
use crate::journal::{Change, Journal};
use crate::operation::{Serve, checked};
use crate::request::{all_set, check_most, stated_by_number};
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault};
use rollcall_domain::id::{BusinessId, ServiceTemplateId, TemplateAttributeId};
use rollcall_domain::json::{FieldPath, JsonWriter, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::service_template::ServiceTemplate;
use rollcall_domain::template_attribute::{
    MAX_PER_CALL, Plan, TemplateAttribute, TemplateAttributeIn, read_wanted, unusable,
};
use rollcall_domain::topology::Birth;
use rollcall_domain::wire_input;
use rollcall_store::Tx;
use rollcall_store::event::EventKind;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::template_attribute as store;
use std::collections::{HashMap, HashSet};

/// A template that is not there, or is of another business.
fn no_template(id: i64) -> Fault {
    Fault::absent(Cause::ParamInvalid, "id", id).named("service_template_id")
}

wire_input! {
    /// What the update of the attributes of a service template takes.
    pub struct UpdateAttributes {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub template_id: i64 = "id",
        /// Other values for attributes that the template has; up to 100.
        pub attributes: Vec<TemplateAttributeIn> = "attributes",
    }
}

impl Serve for UpdateAttributes {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number::<right::EditServiceTemplate>(context, self.business_id)?;
        let needed = [("id", self.template_id != 0), ("attributes", !self.attributes.is_empty())];
        let granted = all_set(granted, &needed)?;
        check_most("attributes", "update service template attributes", self.attributes.len(), MAX_PER_CALL)?;
        let template = rollcall_store::service_template::lock(tx, ServiceTemplateId(self.template_id))?;
        let template = template.filter(|template| template.business_id == granted.business());
        let template = template.ok_or_else(|| no_template(self.template_id))?;
        let at = FieldPath::of("attributes");
        let wanted = checked(&None, || read_wanted(Model::Module, &self.attributes, &at))?;
        let stored = store::list(tx, granted.business(), template.id)?;
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
    /// What the removal of attributes of a service template takes.
    pub struct DeleteAttributes {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub template_id: i64 = "id",
        /// Numbers of attributes that the template has, each once; up to 100. The modules keep their values.
        pub attribute_ids: Vec<i64> = "bk_attribute_ids",
    }
}

impl Serve for DeleteAttributes {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number::<right::EditServiceTemplate>(context, self.business_id)?;
        let needed = [("id", self.template_id != 0), ("bk_attribute_ids", !self.attribute_ids.is_empty())];
        let granted = all_set(granted, &needed)?;
        check_most("bk_attribute_ids", "delete service template attributes", self.attribute_ids.len(), MAX_PER_CALL)?;
        let template = rollcall_store::service_template::lock(tx, ServiceTemplateId(self.template_id))?;
        let template = template.filter(|template| template.business_id == granted.business());
        let stored = match &template {
            Some(template) => store::list(tx, granted.business(), template.id)?,
            None => Vec::new(),
        };
        let mut stored: HashMap<_, _> = stored.into_iter().map(|held| (held.attribute_id, held)).collect();
        let (mut deleted, mut faults) = (Vec::new(), Vec::new());
        for (i, id) in self.attribute_ids.iter().enumerate() {
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
    /// What the list of the attributes of a service template takes.
    pub struct ListAttributes {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub template_id: i64 = "id",
        /// The fields that say something; empty: all. The others are there and say nothing.
        pub fields: Vec<String> = "fields",
    }
}

impl Serve for ListAttributes {
    fn output() -> Schema {
        Schema::object([("attributes", TemplateAttribute::schema().list())])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = Some(BusinessId(self.business_id)).filter(|business| business.get() > 0);
        let business = all_set(business, &[("id", self.template_id != 0)])?;
        context.access.may_read(business)?;
        let template = rollcall_store::service_template::find(tx, ServiceTemplateId(self.template_id))?;
        let template = template.filter(|template| template.business_id == business);
        let template = template.ok_or_else(|| no_template(self.template_id))?;
        let fields = self.fields.iter().map(String::as_str).collect();
        let mut out = JsonWriter::with_capacity(1024);
        out.raw("{\"attributes\":[");
        for attribute in store::list(tx, business, template.id)? {
            out.separate();
            attribute.write(&mut out, &fields);
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

/// The rights with which attributes of templates are written.
pub(crate) trait WritesTemplates: Right {}
impl WritesTemplates for right::CreateServiceTemplate {}
impl WritesTemplates for right::EditServiceTemplate {}

/// Carries out what was planned for the attributes of a service template, which is locked.
pub(crate) fn apply<R: WritesTemplates>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    template: &ServiceTemplate,
    plan: Plan,
    journal: &mut Journal,
) -> Result<(), OpError> {
    if plan.is_empty() {
        return Ok(());
    }
    let business = granted.business();
    let Plan { deleted, added, changed } = plan;
    let mut made = Vec::with_capacity(added.len());
    if !deleted.is_empty() {
        store::delete(tx, &deleted)?;
    }
    if !added.is_empty() {
        let first = sequence::take(tx, Sequence::ServiceTemplateAttribute, added.len())?;
        let time = context.time_text();
        let birth = Birth { time: &time, user: &context.caller.user };
        let placed = added.into_iter().zip(first..);
        made.extend(placed.map(|(want, id)| want.place(TemplateAttributeId(id), business, template.id, &birth)));
        store::insert(tx, business, template.id, &made)?;
    }
    if !changed.is_empty() {
        let after: Vec<_> = changed.iter().map(|(_, after)| after.clone()).collect();
        store::update(tx, &after)?;
    }
    let (before, after) = (changed.iter().map(|(before, _)| before), changed.iter().map(|(_, after)| after));
    journal.changed_entry(Change {
        kind: EventKind::ServiceTemplateAttribute,
        business_id: business,
        id: template.id.get(),
        name: &template.name,
        before: Some(&listed(deleted.iter().chain(before))),
        after: Some(""),
        update_fields: Some(&listed(made.iter().chain(after))),
    });
    tell_deleted(business, deleted, journal);
    for attribute in made {
        journal.created(EventKind::ServiceTemplateAttribute, business, attribute.id.get(), attribute.document);
    }
    for (before, after) in changed {
        let (kind, id) = (EventKind::ServiceTemplateAttribute, after.id.get());
        journal.updated(kind, business, id, before.document, after.document);
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

/// Removes the attributes of a template that goes itself.
pub(crate) fn remove_all(
    granted: &Granted<right::DeleteServiceTemplate>,
    tx: &mut dyn Tx,
    template: ServiceTemplateId,
    journal: &mut Journal,
) -> Result<(), OpError> {
    let stored = store::list(tx, granted.business(), template)?;
    if !stored.is_empty() {
        store::delete(tx, &stored)?;
    }
    tell_deleted(granted.business(), stored, journal);
    Ok(())
}

fn tell_deleted(business: BusinessId, deleted: Vec<TemplateAttribute>, journal: &mut Journal) {
    for attribute in deleted {
        journal.deleted(EventKind::ServiceTemplateAttribute, business, attribute.id.get(), attribute.document);
    }
}
