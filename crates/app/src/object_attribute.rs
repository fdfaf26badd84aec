//! The attributes of models: search_object_attribute (`topology` 11.1).

use crate::operation::Serve;
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::Failure;
use rollcall_domain::id::BusinessId;
use rollcall_domain::json::{Decode, Decoder, Field, Json, JsonWriter, Object, Schema};
use rollcall_domain::model;
use rollcall_domain::page::PageIn;
use rollcall_store::Tx;

/// search_object_attribute: the whole body is the filter.
#[derive(Debug)]
pub struct SearchAttributes(Object);

impl Decode for SearchAttributes {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        Object::decode(json, at).map(Self)
    }

    fn absent(at: &Decoder<'_>) -> Option<Self> {
        Object::absent(at).map(Self)
    }

    fn schema() -> Schema {
        let field = |name, description, schema| Field { name, description, schema, always: false };
        Schema::Object(vec![
            field("bk_obj_id", "The model: biz, set, module, host or process; missing: all.", Schema::Text),
            field("bk_biz_id", "With the private attributes of this business.", Schema::Integer),
            field("bk_property_id", "Only the attribute of this id.", Schema::Text),
            field("bk_property_type", "Only attributes of this type.", Schema::Text),
            field("page", "The page; missing: all.", PageIn::schema()),
        ])
    }
}

impl Serve for SearchAttributes {
    fn output() -> Schema {
        Schema::object([
            ("bk_biz_id", Schema::Integer),
            ("id", Schema::Integer),
            ("bk_supplier_account", Schema::Text),
            ("bk_obj_id", Schema::Text),
            ("bk_property_id", Schema::Text),
            ("bk_property_name", Schema::Text),
            ("bk_property_group", Schema::Text),
            ("bk_property_group_name", Schema::Text),
            ("bk_property_index", Schema::Integer),
            ("unit", Schema::Text),
            ("placeholder", Schema::Text),
            ("editable", Schema::Boolean),
            ("ispre", Schema::Boolean),
            ("isrequired", Schema::Boolean),
            ("isreadonly", Schema::Boolean),
            ("isonly", Schema::Boolean),
            ("bk_issystem", Schema::Boolean),
            ("bk_isapi", Schema::Boolean),
            ("bk_property_type", Schema::Text),
            ("option", Schema::Any),
            ("default", Schema::Any),
            ("ismultiple", Schema::Boolean),
            ("description", Schema::Text),
            ("bk_template_id", Schema::Integer),
            ("creator", Schema::Text),
            ("create_time", Schema::Text),
            ("last_time", Schema::Text),
        ])
        .list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if let Some(business) = self.0.get("bk_biz_id").and_then(Json::as_int)
            && business > 0
        {
            context.access.may_read(BusinessId(business))?;
        }
        let time = context.zone.plain(crate::built_in::installed_at(tx)?);
        let found = match model::search_attributes(&self.0, model::built_in_documents(&time)) {
            Ok(found) => found,
            Err(faults) => {
                Failure::check(faults)?;
                Vec::new()
            }
        };
        let mut out = JsonWriter::with_capacity(4096);
        out.raw("[");
        for attribute in found {
            out.separate().value(&Json::Object(attribute));
        }
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}
