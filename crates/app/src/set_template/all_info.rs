//! Set templates with all that belongs to them, in one call (`templates` 13: T2, T4, T7).

use super::{SERVICES, absent, create, lock, update};
use crate::access::right;
use crate::journal::Journal;
use crate::operation::Serve;
use crate::request::{all_set, no_business, stated_by_number};
use crate::template_attribute::{apply, wanted};
use crate::{Context, OpError, Reply};
use rollcall_domain::id::{BusinessId, SetTemplateId};
use rollcall_domain::json::{JsonWriter, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::set_template::{SetTemplate, Wish, write_ids};
use rollcall_domain::template_attribute::{Owner, Plan, TemplateAttribute, TemplateAttributeIn};
use rollcall_domain::{record, wire_input};
use rollcall_store::Tx;
use rollcall_store::set_template as store;
use std::collections::HashSet;

wire_input! {
    /// What a new set template takes with all that belongs to it.
    pub struct CreateAllInfo {
        /// The business that gets it.
        pub business_id: i64 = "bk_biz_id",
        /// The name, up to 256 characters, unique in the business.
        pub name: String = "name",
        /// The service templates of the business that sets have a module of each; up to 1000.
        pub services: Vec<i64> = "service_template_ids",
        /// Values for attributes of its sets, up to 100.
        pub attributes: Vec<TemplateAttributeIn> = "attributes",
    }
}

impl Serve for CreateAllInfo {
    fn output() -> Schema {
        Schema::object([("id", Schema::Integer)])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number::<right::CreateSetTemplate>(context, self.business_id)?;
        if self.business_id < 0 {
            return Err(no_business().into());
        }
        let needed = [("name", !self.name.is_empty()), (SERVICES, !self.services.is_empty())];
        let granted = all_set(granted, &needed)?;
        let name = record::template_name(&self.name, &"name".into())?;
        let mut journal = Journal::default();
        let template = create(&granted, context, tx, &name, &self.services, &mut journal)?;
        let plan = Plan::put(Vec::new(), wanted::<SetTemplate>(&self.attributes)?);
        apply(&granted, context, tx, &template, plan, &mut journal)?;
        journal.write(context, tx)?;
        let mut out = JsonWriter::with_capacity(24);
        out.raw("{").key("id").int(template.id.get()).raw("}");
        Ok(Reply(out.finish()))
    }
}

wire_input! {
    /// What the update of a set template with all that belongs to it takes.
    pub struct UpdateAllInfo {
        /// The business of the template.
        pub business_id: i64 = "bk_biz_id",
        /// The template.
        pub id: i64 = "id",
        /// Another name; empty: the one it has.
        pub name: String = "name",
        /// All service templates it is to list; missing: those that it lists, empty: none.
        pub services: Option<Vec<i64>> = "service_template_ids",
        /// All attributes it is to have, up to 100; those that are not here go.
        pub attributes: Vec<TemplateAttributeIn> = "attributes",
    }
}

impl Serve for UpdateAllInfo {
    fn output() -> Schema {
        Schema::Null
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = stated_by_number::<right::EditSetTemplate>(context, self.business_id)?;
        if self.business_id < 0 {
            return Err(no_business().into());
        }
        let granted = all_set(granted, &[("id", self.id != 0)])?;
        let template = lock(&granted, tx, "id", self.id)?;
        let mut journal = Journal::default();
        let wish = Wish::read(&self.name, self.services.as_deref())?;
        let template = update(&granted, context, tx, template, wish, &mut journal)?;
        let wanted = wanted::<SetTemplate>(&self.attributes)?;
        let stored = rollcall_store::template_attribute::list(tx, granted.business(), Owner::Set(template.id))?;
        apply(&granted, context, tx, &template, Plan::replace(stored, wanted), &mut journal)?;
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

wire_input! {
    /// What names a set template that is read with all that belongs to it.
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
            ("service_template_ids", Schema::Integer.list()),
            ("attributes", TemplateAttribute::schema(Model::Set).list()),
        ])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if self.business_id < 0 {
            return Err(no_business().into());
        }
        let business = Some(BusinessId(self.business_id)).filter(|business| business.get() != 0);
        let business = all_set(business, &[("id", self.id != 0)])?;
        context.access.may_read(business)?;
        let template = store::find(tx, SetTemplateId(self.id))?;
        let template = template.filter(|template| template.business_id == business);
        let template = template.ok_or_else(|| absent("id", self.id))?;
        let services = store::services(tx, template.id)?;
        let attributes = rollcall_store::template_attribute::list(tx, business, Owner::Set(template.id))?;
        let mut out = JsonWriter::with_capacity(128 + attributes.len() * 320);
        out.raw("{\"id\":").int(template.id.get());
        out.raw(",\"bk_biz_id\":").int(business.get());
        out.raw(",\"name\":").text(&template.name);
        write_ids(out.key(SERVICES), &services);
        out.raw(",\"attributes\":[");
        for attribute in &attributes {
            out.separate();
            attribute.write(&mut out, Model::Set, &HashSet::new());
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}
