//! Service templates with all that belongs to them, in one call (`templates` 5: S2, S4, S7).

use super::{absent, create, read_draft, update};
use crate::access::right;
use crate::journal::Journal;
use crate::operation::{Serve, checked};
use crate::request::{all_set, check_most, stated};
use crate::template_attribute::apply;
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, ServiceTemplateId};
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::service_template::{ServiceTemplate, Wish};
use rollcall_domain::template_attribute::{
    MAX_PER_CALL, Plan, TemplateAttribute, TemplateAttributeIn, Wanted, read_wanted,
};
use rollcall_domain::wire_input;
use rollcall_store::Tx;
use rollcall_store::service_template as store;
use std::collections::HashSet;

/// The attributes that a request wants a template to have.
fn wanted_attributes(given: &[TemplateAttributeIn]) -> Result<Vec<Wanted>, OpError> {
    check_most("attributes", "service template attributes", given.len(), MAX_PER_CALL)?;
    checked(&None, || read_wanted(Model::Module, given, &FieldPath::of("attributes")))
}

/// There are no process templates yet.
fn refuse_processes(processes: &[Json]) -> Result<(), Failure> {
    let fault = || Fault::new(Cause::ParamInvalid, "processes").because(Reason::NotSupportedYet);
    Failure::check(processes.first().map(|_| fault()).into_iter().collect())
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
        /// Not supported yet.
        pub processes: Vec<Json> = "processes",
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
        let plan = Plan::put(Vec::new(), wanted_attributes(&self.attributes)?);
        apply(&granted, context, tx, &template, plan, &mut journal)?;
        refuse_processes(&self.processes)?;
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
        /// Not supported yet.
        pub processes: Vec<Json> = "processes",
    }
}

impl Serve for UpdateAllInfo {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated::<right::EditServiceTemplate>(context, Some(self.business_id).filter(|id| *id > 0))?;
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
        let wanted = wanted_attributes(&self.attributes)?;
        let stored = rollcall_store::template_attribute::list(tx, granted.business(), template.id)?;
        apply(&granted, context, tx, &template, Plan::replace(stored, wanted), &mut journal)?;
        refuse_processes(&self.processes)?;
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
            ("attributes", TemplateAttribute::schema().list()),
            ("processes", Schema::Any.list()),
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
        let attributes = rollcall_store::template_attribute::list(tx, business, template.id)?;
        Ok(Reply(written(&template, &attributes)))
    }
}

fn written(template: &ServiceTemplate, attributes: &[TemplateAttribute]) -> String {
    let mut out = JsonWriter::with_capacity(256 + attributes.len() * 320);
    out.raw("{\"id\":").int(template.id.get());
    out.raw(",\"bk_biz_id\":").int(template.business_id.get());
    out.raw(",\"name\":").text(&template.name);
    out.raw(",\"service_category_id\":").int(template.category_id.get());
    out.raw(",\"attributes\":[");
    for attribute in attributes {
        out.separate();
        attribute.write(&mut out, &HashSet::new());
    }
    out.raw("],\"processes\":[]}");
    out.finish()
}
