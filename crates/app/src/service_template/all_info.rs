//! Service templates with all that belongs to them, in one call (`templates` 5: S2, S4, S7).

use super::{absent, create, read_draft, update};
use crate::access::{Granted, right};
use crate::journal::Journal;
use crate::operation::Serve;
use crate::process_template::RemovesTemplates;
use crate::request::{all_set, check_most, stated_by_number};
use crate::template_attribute::{WritesTemplates, apply, wanted};
use crate::{Context, OpError, Reply, process_template};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, ServiceTemplateId};
use rollcall_domain::json::{FieldPath, JsonWriter, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::process_template::{ProcessTemplate, Property, PropertyIn};
use rollcall_domain::service_template::{ServiceTemplate, Wish};
use rollcall_domain::template_attribute::{Owner, Plan, TemplateAttribute, TemplateAttributeIn};
use rollcall_domain::wire_input;
use rollcall_store::Tx;
use rollcall_store::service_template as store;
use std::collections::{HashMap, HashSet};

wire_input! {
    /// A process template inside a service template.
    pub struct ProcessTemplateIn {
        /// The process template to change; 0, or any other id: a new one.
        pub id: i64 = "id",
        /// The fields of its processes, each with its value and its lock.
        pub property: Option<PropertyIn> = "property",
    }
}

/// The most process templates of a service template that is written as a whole.
const MAX_PROCESSES: usize = 1000;

fn property_at(i: usize) -> FieldPath {
    FieldPath::of("processes").index(i).field("property")
}

fn check_most_processes(given: &[ProcessTemplateIn]) -> Result<(), Fault> {
    check_most("processes", "create process templates", given.len(), MAX_PROCESSES)
}

/// Makes a service template, which is locked, have exactly the process templates that a request wants: what is not named goes first,
/// then come the new ones, then the changes (`templates` S4).
fn apply_processes<R: WritesTemplates<Template = ServiceTemplate> + RemovesTemplates>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    template: &ServiceTemplate,
    given: &[ProcessTemplateIn],
    journal: &mut Journal,
) -> Result<(), OpError> {
    check_most_processes(given)?;
    let stored = rollcall_store::process_template::list(tx, &[template.id])?;
    let by_id: HashMap<_, _> = stored.iter().map(|held| (held.id.get(), held)).collect();
    let (mut faults, mut seen) = (Vec::new(), HashSet::new());
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for (i, entry) in given.iter().enumerate() {
        let at = property_at(i);
        let Some(sent) = &entry.property else {
            faults.push(process_template::missing(at));
            continue;
        };
        // Of one id that stands there twice the second is a new one.
        match by_id.get(&entry.id).filter(|_| seen.insert(entry.id)) {
            None => match Property::create(sent, &at) {
                Ok(property) => added.push((property, at)),
                Err(wrong) => faults.extend(wrong),
            },
            Some(held) => match held.property.replaced(sent, &at) {
                Ok(property) if property == held.property => {}
                Ok(property) => changed.push((*held, property, at)),
                Err(wrong) => faults.extend(wrong),
            },
        }
    }
    Failure::check(faults)?;
    let gone: Vec<_> = stored.iter().filter(|held| !seen.contains(&held.id.get())).cloned().collect();
    process_template::delete(granted, context, tx, &gone, journal)?;
    let (properties, places): (Vec<_>, Vec<_>) = added.into_iter().unzip();
    if !properties.is_empty() {
        let at = |i: usize| places[i].clone();
        process_template::create(granted, context, tx, template.id, properties, at, journal)?;
    }
    if !changed.is_empty() {
        let all = rollcall_store::process_template::list(tx, &[template.id])?;
        process_template::update(granted, context, tx, &all, changed, journal)?;
    }
    Ok(())
}

/// A template that the request says is of another business than it is. Who has no right there learns nothing of it.
fn of_other_business(id: i64, may_know: bool) -> Fault {
    if may_know {
        Fault::new(Cause::ParamInvalid, "bk_biz_id").because(Reason::OtherBusiness)
    } else {
        absent("id", id)
    }
}

wire_input! {
    /// What the creation of a service template with all that belongs to it takes.
    pub struct CreateAllInfo {
        /// The business that gets it.
        pub business_id: i64 = "bk_biz_id",
        /// The name, up to 256 characters, unique in the business.
        pub name: String = "name",
        /// A service category without others below it, shared or of the business.
        pub category_id: i64 = "service_category_id",
        /// Values that its modules take, up to 100.
        pub attributes: Vec<TemplateAttributeIn> = "attributes",
        /// Its process templates, up to 1000.
        pub processes: Vec<ProcessTemplateIn> = "processes",
    }
}

impl Serve for CreateAllInfo {
    fn output() -> Schema {
        Schema::object([("id", Schema::Integer)])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let (granted, draft) = read_draft(context, self.business_id, &self.name, self.category_id)?;
        let mut journal = Journal::default();
        let template = create(&granted, context, tx, &draft, &mut journal)?;
        let plan = Plan::put(Vec::new(), wanted::<ServiceTemplate>(&self.attributes)?);
        apply(&granted, context, tx, &template, plan, &mut journal)?;
        check_most_processes(&self.processes)?;
        let properties = self.processes.iter().map(|entry| entry.property.as_ref());
        let properties = process_template::read_new(properties, property_at)?;
        if !properties.is_empty() {
            process_template::create(&granted, context, tx, template.id, properties, property_at, &mut journal)?;
        }
        journal.write(context, tx)?;
        let mut out = JsonWriter::with_capacity(24);
        out.raw("{").key("id").int(template.id.get()).raw("}");
        Ok(Reply(out.finish()))
    }
}

wire_input! {
    /// What the update of a service template with all that belongs to it takes.
    pub struct UpdateAllInfo {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub id: i64 = "id",
        /// Another name; empty: the one it has.
        pub name: String = "name",
        /// Another service category; 0: the one it has.
        pub category_id: i64 = "service_category_id",
        /// All attributes it is to have, up to 100; those that are not here go.
        pub attributes: Vec<TemplateAttributeIn> = "attributes",
        /// All process templates it is to have, up to 1000; those that are not here go.
        pub processes: Vec<ProcessTemplateIn> = "processes",
    }
}

impl Serve for UpdateAllInfo {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number::<right::EditServiceTemplate>(context, self.business_id)?;
        let granted = all_set(granted, &[("id", self.id != 0)])?;
        let template = store::lock(tx, ServiceTemplateId(self.id))?.ok_or_else(|| absent("id", self.id))?;
        if template.business_id != granted.business() {
            let may_know = context.access.find::<right::EditServiceTemplate>(template.business_id).is_some();
            return Err(of_other_business(self.id, may_know).into());
        }
        let mut journal = Journal::default();
        // What is as it was is not looked at again (`templates` S4).
        let wish = Wish::new(&self.name, self.category_id).without_what_is(&template);
        let template = update(&granted, context, tx, template, wish, &mut journal)?;
        let wanted = wanted::<ServiceTemplate>(&self.attributes)?;
        let owner = Owner::Service(template.id);
        let stored = rollcall_store::template_attribute::list(tx, granted.business(), owner)?;
        apply(&granted, context, tx, &template, Plan::replace(stored, wanted), &mut journal)?;
        apply_processes(&granted, context, tx, &template, &self.processes, &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

wire_input! {
    /// What names a service template that is read with all that belongs to it.
    pub struct GetAllInfo {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub id: i64 = "id",
    }
}

impl Serve for GetAllInfo {
    fn output() -> Schema {
        Schema::object([
            ("id", Schema::Integer),
            ("bk_biz_id", Schema::Integer),
            ("name", Schema::Text),
            ("service_category_id", Schema::Integer),
            ("attributes", TemplateAttribute::schema(Model::Module).list()),
            ("processes", ProcessTemplate::schema().list()),
        ])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = Some(BusinessId(self.business_id)).filter(|business| business.get() > 0);
        let business = all_set(business, &[("id", self.id != 0)])?;
        context.access.may_read(business)?;
        let template = store::find(tx, ServiceTemplateId(self.id))?.ok_or_else(|| absent("id", self.id))?;
        if template.business_id != business {
            let may_know = context.access.may_read(template.business_id).is_ok();
            return Err(of_other_business(self.id, may_know).into());
        }
        let attributes = rollcall_store::template_attribute::list(tx, business, Owner::Service(template.id))?;
        let processes = rollcall_store::process_template::list(tx, &[template.id])?;
        Ok(Reply(written(&template, &attributes, &processes)))
    }
}

fn written(template: &ServiceTemplate, attributes: &[TemplateAttribute], processes: &[ProcessTemplate]) -> String {
    let mut out = JsonWriter::with_capacity(256 + attributes.len() * 320 + processes.len() * 2048);
    out.raw("{\"id\":").int(template.id.get());
    out.raw(",\"bk_biz_id\":").int(template.business_id.get());
    out.raw(",\"name\":").text(&template.name);
    out.raw(",\"service_category_id\":").int(template.category_id.get());
    out.raw(",\"attributes\":[");
    for attribute in attributes {
        out.separate();
        attribute.write(&mut out, Model::Module, &HashSet::new());
    }
    out.raw("],\"processes\":[");
    // The newest first (`templates` S7).
    for process in processes.iter().rev() {
        out.separate().raw(&process.document());
    }
    out.raw("]}");
    out.finish()
}
