//! How far sets are from their templates (`templates` 13): T11 the sets, T12 the difference of one, T17 and T18 which of them need a
//! synchronization, T19 which would lose modules that have hosts.

use super::absent;
use crate::listing::{open_list, page_or, read_document};
use crate::operation::Serve;
use crate::request::{bounded, business_of};
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, ModuleId, SetId, SetTemplateId};
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Object, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::page::PageIn;
use rollcall_domain::set;
use rollcall_domain::set_template::{Blueprint, HeldModule, ModuleDifference, SetDifference};
use rollcall_domain::wire_input;
use rollcall_store::Tx;
use rollcall_store::set::WholeSet;
use rollcall_store::set_template as store;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The most templates or sets one call asks about.
const MAX_ASKED: usize = 500;

/// How far each of these sets of a business, all following templates, is from its own, in their order.
pub(crate) fn compare(tx: &mut dyn Tx, business: BusinessId, sets: &[WholeSet]) -> Result<Vec<SetDifference>, OpError> {
    if sets.is_empty() {
        return Ok(Vec::new());
    }
    let templates: BTreeSet<_> = sets.iter().map(|set| SetTemplateId(set.row.set_template_id)).collect();
    let templates: Vec<_> = templates.into_iter().collect();
    let mut blueprints: HashMap<i64, Blueprint> = HashMap::new();
    for (template, service, name) in store::named_services(tx, &templates)? {
        blueprints.entry(template.get()).or_default().services.push((service, name));
    }
    for (template, attribute) in rollcall_store::template_attribute::list_many_of_sets(tx, business, &templates)? {
        blueprints.entry(template.get()).or_default().attributes.push(attribute);
    }
    let ids: Vec<_> = sets.iter().map(|set| set.row.id.get()).collect();
    let mut modules: HashMap<SetId, Vec<HeldModule>> = HashMap::new();
    for (set, module) in rollcall_store::module::list_of_sets(tx, business, &ids)? {
        modules.entry(set).or_default().push(module);
    }
    let mut differences = Vec::with_capacity(sets.len());
    for set in sets {
        let modules = modules.get(&set.row.id).map_or(&[][..], Vec::as_slice);
        let record = read_document(&set.document)?;
        let blueprint = blueprints.entry(set.row.set_template_id).or_default();
        differences.push(blueprint.difference(&record, modules));
    }
    Ok(differences)
}

/// Those of these sets that are of the business and follow the template, in order of their ids.
pub(crate) fn find_sets(
    tx: &mut dyn Tx,
    business: BusinessId,
    template: i64,
    ids: &[i64],
) -> Result<Vec<WholeSet>, OpError> {
    let mut sets = rollcall_store::set::list_whole(tx, ids)?;
    let follows = |set: &WholeSet| set.row.set_template_id == template && template != 0;
    sets.retain(|set| set.row.business_id == business && follows(set));
    Ok(sets)
}

/// The name of a business; "" when it is gone.
pub(crate) fn business_name(tx: &mut dyn Tx, business: BusinessId) -> Result<String, OpError> {
    Ok(rollcall_store::business::find(tx, business)?.map(|business| business.name).unwrap_or_default())
}

/// The way from a set up to its business.
fn write_path(out: &mut JsonWriter, set: &WholeSet, business_name: &str) {
    let nodes = [
        (Model::Set, set.row.id.get(), set.row.name.as_str()),
        (Model::Business, set.row.business_id.get(), business_name),
    ];
    out.raw("[");
    for (model, id, name) in nodes {
        out.separate().raw("{\"bk_obj_id\":").text(model.wire());
        out.raw(",\"bk_inst_id\":").int(id).raw(",\"bk_inst_name\":").text(name).raw("}");
    }
    out.raw("]");
}

fn path_schema() -> Schema {
    Schema::object([("bk_obj_id", Schema::Text), ("bk_inst_id", Schema::Integer), ("bk_inst_name", Schema::Text)])
        .list()
}

wire_input! {
    /// What the difference of a set takes.
    pub struct CompareSet {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The template that the set follows.
        pub template_id: i64 = "set_template_id",
        /// The set.
        pub set_id: i64 = "bk_set_id",
    }
}

impl Serve for CompareSet {
    fn output() -> Schema {
        let attribute =
            Schema::object([("id", Schema::Integer), ("template_value", Schema::Any), ("inst_value", Schema::Any)]);
        let difference = Schema::object([
            ("module_diffs", ModuleDifference::schema().list()),
            ("bk_set_id", Schema::Integer),
            ("set_detail", set::schema()),
            ("attributes", attribute.list()),
            ("topo_path", path_schema()),
            ("need_sync", Schema::Boolean),
        ]);
        Schema::object([("difference", difference), ("module_host_count", Schema::Any)])
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        if self.set_id == 0 {
            return Err(Fault::new(Cause::ParamInvalid, "bk_set_id").because(Reason::Blank).into());
        }
        context.access.may_read(business)?;
        let sets = find_sets(tx, business, self.template_id, &[self.set_id])?;
        let differences = compare(tx, business, &sets)?;
        let (Some(set), Some(difference)) = (sets.first(), differences.first()) else {
            return Err(Fault::absent(Cause::SetUnreadable, "bk_set_id", self.set_id).into());
        };
        let modules: Vec<_> = difference.modules.iter().filter_map(|module| module.module_id).collect();
        let ids: Vec<_> = modules.iter().map(|id| id.get()).collect();
        let hosts = rollcall_store::host::count_in_modules(tx, business, &ids)?;
        let name = business_name(tx, business)?;
        let mut out = JsonWriter::with_capacity(1024 + difference.modules.len() * 160);
        out.raw("{\"difference\":{\"module_diffs\":[");
        for module in &difference.modules {
            module.write(out.separate());
        }
        out.raw("],\"bk_set_id\":").int(self.set_id);
        out.raw(",\"set_detail\":").raw(&set.document);
        out.raw(",\"attributes\":[");
        for attribute in &difference.attributes {
            out.separate().raw("{\"id\":").int(attribute.attribute_id);
            out.raw(",\"template_value\":").value(&attribute.wanted);
            out.raw(",\"inst_value\":").value(&attribute.held).raw("}");
        }
        write_path(out.raw("]").key("topo_path"), set, &name);
        out.key("need_sync").value(&Json::Bool(difference.needs_sync()));
        out.raw("},\"module_host_count\":{");
        for module in modules {
            out.key(&module.to_string()).int(hosts.get(&module).copied().unwrap_or_default());
        }
        out.raw("}}");
        Ok(Reply(out.finish()))
    }
}

/// Which sets of a template need a synchronization.
fn write_status<'a>(
    out: &mut JsonWriter,
    template: SetTemplateId,
    sets: impl Iterator<Item = (&'a WholeSet, &'a SetDifference)>,
) {
    let mut any = false;
    out.raw("{\"sets\":[");
    for (set, difference) in sets {
        let needs = difference.needs_sync();
        any |= needs;
        out.separate().raw("{\"bk_set_id\":").int(set.row.id.get());
        out.raw(",\"need_sync\":").value(&Json::Bool(needs)).raw("}");
    }
    out.raw("],\"set_template_id\":").int(template.get());
    out.raw(",\"need_sync\":").value(&Json::Bool(any)).raw("}");
}

fn status_schema() -> Schema {
    let set = Schema::object([("bk_set_id", Schema::Integer), ("need_sync", Schema::Boolean)]);
    Schema::object([("sets", set.list()), ("set_template_id", Schema::Integer), ("need_sync", Schema::Boolean)])
}

/// Whether a set template and which of its sets need a synchronization.
#[derive(Debug)]
pub struct GetStatus(super::GetTemplate);

crate::operation::decode_through!(GetStatus, super::GetTemplate, Self);

impl Serve for GetStatus {
    fn output() -> Schema {
        status_schema()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.0.business_id)?;
        context.access.may_read(business)?;
        let template = store::find(tx, SetTemplateId(self.0.id))?;
        let template = template.filter(|template| template.business_id == business);
        let template = template.ok_or_else(|| absent("set_template_id", self.0.id))?.id;
        let sets = rollcall_store::set::list_of_templates(tx, business, &[template])?;
        let differences = compare(tx, business, &sets)?;
        let mut out = JsonWriter::with_capacity(96 + sets.len() * 40);
        write_status(&mut out, template, sets.iter().zip(&differences));
        Ok(Reply(out.finish()))
    }
}

wire_input! {
    /// What the question takes whether set templates need a synchronization.
    pub struct ListStatuses {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 500 set templates. Those that are not of the business are left out of the answer.
        pub template_ids: Vec<i64> = "set_template_ids",
    }
}

impl Serve for ListStatuses {
    fn output() -> Schema {
        status_schema().list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        check_asked("set_template_ids", "compare sets with templates", &self.template_ids)?;
        context.access.may_read(business)?;
        let templates = store::list(tx, business, Some(&self.template_ids))?;
        let known: Vec<_> = templates.iter().map(|template| template.id).collect();
        let sets = rollcall_store::set::list_of_templates(tx, business, &known)?;
        let differences = compare(tx, business, &sets)?;
        let mut by_template: HashMap<SetTemplateId, Vec<_>> = known.iter().map(|id| (*id, Vec::new())).collect();
        for compared in sets.iter().zip(&differences) {
            by_template.entry(SetTemplateId(compared.0.row.set_template_id)).or_default().push(compared);
        }
        let mut out = JsonWriter::with_capacity(64 + known.len() * 96 + sets.len() * 40);
        out.raw("[");
        // In the order of the request, each once.
        for id in &self.template_ids {
            if let Some(sets) = by_template.remove(&SetTemplateId(*id)) {
                write_status(out.separate(), SetTemplateId(*id), sets.into_iter());
            }
        }
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}

fn check_asked(field: &'static str, what: &'static str, ids: &[i64]) -> Result<(), Fault> {
    crate::request::check_count(field, what, ids.len(), MAX_ASKED, Cause::NotSet)
}

wire_input! {
    /// What the question takes whether a synchronization of sets would be in the way of hosts.
    pub struct FindHosts {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The template that the sets follow.
        pub template_id: i64 = "set_template_id",
        /// 1 to 500 sets.
        pub set_ids: Vec<i64> = "bk_set_ids",
    }
}

impl Serve for FindHosts {
    fn output() -> Schema {
        Schema::object([("id", Schema::Integer), ("has_host", Schema::Boolean)]).list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        check_asked("bk_set_ids", "compare sets with their template", &self.set_ids)?;
        let at = |i: usize| FieldPath::of("bk_set_ids").index(i);
        let zero = self.set_ids.iter().enumerate().filter(|(_, id)| **id == 0);
        let zero = zero.map(|(i, _)| Fault::new(Cause::ParamUnusable, at(i)).because(Reason::Blank));
        Failure::check(zero.collect())?;
        context.access.may_read(business)?;
        let sets = find_sets(tx, business, self.template_id, &self.set_ids)?;
        let found: HashSet<_> = sets.iter().map(|set| set.row.id.get()).collect();
        let others = self.set_ids.iter().enumerate().filter(|(_, id)| !found.contains(id));
        let others = others.map(|(i, id)| Fault::absent(Cause::ParamInvalid, at(i), id).named("bk_set_ids"));
        Failure::check(others.collect())?;
        let differences = compare(tx, business, &sets)?;
        let removed: Vec<_> = differences.iter().flat_map(SetDifference::removed).map(ModuleId::get).collect();
        let hosts = rollcall_store::host::count_in_modules(tx, business, &removed)?;
        let has_host = |difference: &SetDifference| difference.removed().any(|module| hosts.contains_key(&module));
        let with: HashSet<_> = sets
            .iter()
            .zip(&differences)
            .filter(|(_, difference)| has_host(difference))
            .map(|(set, _)| set.row.id.get())
            .collect();
        let mut out = JsonWriter::with_capacity(16 + self.set_ids.len() * 32);
        out.raw("[");
        for id in &self.set_ids {
            out.separate().raw("{\"id\":").int(*id).raw(",\"has_host\":").value(&Json::Bool(with.contains(id)));
            out.raw("}");
        }
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}

wire_input! {
    /// What the list of the sets of a template takes.
    pub struct ListSets {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The template that the sets follow.
        pub template_id: i64 = "set_template_id",
        /// Only these; missing: all, empty: none.
        pub set_ids: Option<Vec<i64>> = "bk_set_ids",
        /// The page: 1 to 1000 sets, or 999999999 for all; 0 or missing: all, up to the server's limit.
        pub page: Option<PageIn> = "page",
    }
}

impl Serve for ListSets {
    fn output() -> Schema {
        let Schema::Object(mut fields) = set::schema() else { return Schema::Any };
        if let Schema::Object(more) = Schema::object([("topo_path", path_schema()), ("host_count", Schema::Integer)]) {
            fields.extend(more);
        }
        Schema::Object(fields).page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        context.access.may_read(business)?;
        let page = page_or(self.page.as_ref().unwrap_or(&PageIn::none()), None)?;
        let sets = match &self.set_ids {
            Some(ids) => find_sets(tx, business, self.template_id, ids)?,
            None => rollcall_store::set::list_of_templates(tx, business, &[SetTemplateId(self.template_id)])?,
        };
        let mut rows: Vec<(WholeSet, Object)> = Vec::with_capacity(sets.len());
        for set in sets {
            let document = read_document(&set.document)?;
            rows.push((set, document));
        }
        let count = rows.len();
        let rows = page.take(rows, |(_, document)| document);
        bounded(context, "page", rows.len())?;
        let ids: Vec<_> = rows.iter().map(|(set, _)| set.row.id.get()).collect();
        let hosts = rollcall_store::host::count_in_sets(tx, business, &ids)?;
        let name = business_name(tx, business)?;
        let mut out = open_list(count, rows.len() * 640);
        for (set, _) in &rows {
            out.separate().raw(set.document.strip_suffix('}').unwrap_or(&set.document));
            write_path(out.key("topo_path"), set, &name);
            out.key("host_count").int(hosts.get(&set.row.id).copied().unwrap_or_default()).raw("}");
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}
