//! Searches for processes beyond one service instance (`instances` 10.18 to 10.21). Those with a page first look for the
//! ids of the processes on it, and then read these with what belongs to them.

use super::write_relation;
use crate::listing::open_list;
use crate::operation::Serve;
use crate::request::{bounded, business_of};
use crate::{Context, OpError, Reply};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ProcessId, SetId};
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Limits, Object, Schema, parse};
use rollcall_domain::page::{Page, PageIn};
use rollcall_domain::process;
use rollcall_domain::query_filter::QueryFilter;
use rollcall_domain::wire_input;
use rollcall_store::process::{ProcessRow, Whereabouts};
use rollcall_store::process_search::ProcessSearch;
use rollcall_store::{StoreError, Tx};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

const NAME: &str = "bk_process_name";

wire_input! {
    /// What the search for names of processes takes.
    pub struct ListNamesWithIds {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The module.
        pub module_id: i64 = "bk_module_id",
        /// A text that the name contains, its case not counting.
        pub process_name: String = "process_name",
        /// The page: 1 to 1000 names. The one order but that of the names is `-bk_process_name`.
        pub page: Option<PageIn> = "page",
    }
}

impl Serve for ListNamesWithIds {
    fn output() -> Schema {
        Schema::object([(NAME, Schema::Text), ("process_ids", Schema::Integer.list())]).page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        if self.module_id <= 0 {
            let range = Reason::Range { min: 1, max: i64::MAX };
            return Err(Fault::new(Cause::ParamInvalid, "bk_module_id").because(range).into());
        }
        let page = strict_page(self.page.as_ref())?;
        context.access.may_read(business)?;
        let backwards = self.page.as_ref().is_some_and(|page| page.sort == "-bk_process_name");
        // In memory, since the engines do not agree on the lower case of letters beyond ASCII.
        let wanted = self.process_name.to_lowercase();
        let (mut count, mut rows) = (0, 0);
        let mut last: Option<(String, bool)> = None;
        let mut out = JsonWriter::with_capacity(4096);
        rollcall_store::process::each_name_of_module(
            tx,
            business,
            ModuleId(self.module_id),
            backwards,
            &mut |name, id| {
                let is_shown = match &last {
                    Some((before, is_shown)) if before == name => *is_shown,
                    _ => {
                        let matches = wanted.is_empty() || name.to_lowercase().contains(&wanted);
                        count += usize::from(matches);
                        let is_shown =
                            matches && count > page.start && page.limit.is_none_or(|limit| count - page.start <= limit);
                        if is_shown {
                            out.raw(if rows == 0 { "" } else { "]}," });
                            out.raw("{\"bk_process_name\":").text(name).raw(",\"process_ids\":[");
                            rows += 1;
                        }
                        last = Some((name.to_owned(), is_shown));
                        is_shown
                    }
                };
                if is_shown {
                    out.separate().int(id.get());
                }
            },
        )?;
        bounded(context, "page", rows)?;
        let names = out.finish();
        let mut out = open_list(count, names.len());
        out.raw(&names).raw(if rows == 0 { "]}" } else { "]}]}" });
        Ok(Reply(out.finish()))
    }
}

/// The page of a search: needed, 1 to 1000 rows or all of them.
fn strict_page(page: Option<&PageIn>) -> Result<Page, Failure> {
    page.unwrap_or(&PageIn::none()).strict(Cause::ParamInvalid)
}

/// The matches of a search: how many there are, and those of the page in their order.
struct Found {
    count: usize,
    ids: Vec<i64>,
}

impl Found {
    fn nothing() -> Self {
        Self { count: 0, ids: Vec::new() }
    }

    /// Counts the matches, and looks for those of the page.
    fn search(context: &Context, tx: &mut dyn Tx, search: &ProcessSearch<'_>, mut page: Page) -> Result<Self, OpError> {
        page.sort.retain(|key| process::is_sortable(&key.field));
        let count = search.count(tx)?;
        let left = count.saturating_sub(page.start);
        let rows = page.limit.map_or(left, |limit| limit.min(left));
        bounded(context, "page", rows)?;
        let ids = if rows == 0 { Vec::new() } else { search.page(tx, &page.sort, page.start, rows)? };
        Ok(Self { count, ids })
    }

    /// The answer: the page's rows, as they were written one by one, in their order.
    fn answer(self, mut rows: HashMap<i64, String>) -> Reply {
        let length: usize = rows.values().map(String::len).sum();
        let mut out = open_list(self.count, length + rows.len());
        for row in self.ids.iter().filter_map(|id| rows.remove(id)) {
            out.separate().raw(&row);
        }
        out.raw("]}");
        Reply(out.finish())
    }
}

fn read(of: ProcessId, document: &str) -> Result<Object, StoreError> {
    match parse(document.as_bytes(), Limits::default()) {
        Ok(Json::Object(object)) => Ok(object),
        _ => Err(StoreError::Unreadable(format!("a document of process {of}"))),
    }
}

/// Writes the document of a process, only these fields of it if any are asked for.
fn write_document(out: &mut JsonWriter, row: &ProcessRow<'_>, fields: &HashSet<&str>) -> Result<(), StoreError> {
    if fields.is_empty() {
        out.raw("{").raw(row.fixed_fields).raw(",").raw(row.extra_fields).raw("}");
        return Ok(());
    }
    let document = read(row.id, &format!("{{{},{}}}", row.fixed_fields, row.extra_fields))?;
    out.raw("{");
    for (key, value) in document.iter().filter(|(key, _)| fields.contains(key)) {
        out.key(key).value(value);
    }
    out.raw("}");
    Ok(())
}

wire_input! {
    /// What the search for processes by ids takes.
    pub struct ListDetailsById {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// At least one process; those that are not there are left out.
        pub process_ids: Vec<i64> = "process_ids",
        /// The page: 1 to 1000 processes, sorted by a field of theirs.
        pub page: Option<PageIn> = "page",
    }
}

impl Serve for ListDetailsById {
    fn output() -> Schema {
        Schema::object([
            ("process_id", Schema::Integer),
            ("service_instance_name", Schema::Text),
            ("property", process::document_schema()),
            ("relation", process::relation_schema()),
        ])
        .page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        if self.process_ids.is_empty() {
            return Err(Fault::new(Cause::ParamInvalid, "process_ids").because(Reason::Blank).into());
        }
        let page = strict_page(self.page.as_ref())?;
        context.access.may_read(business)?;
        let found = {
            let search = ProcessSearch { process_ids: Some(&self.process_ids), ..ProcessSearch::of(business) };
            Found::search(context, tx, &search, page)?
        };
        let mut rows = HashMap::with_capacity(found.ids.len());
        rollcall_store::process::each_with_instance(tx, business, &found.ids, &mut |row, instance_name| {
            let mut out = JsonWriter::with_capacity(1536);
            out.raw("{\"process_id\":").int(row.id.get());
            out.raw(",\"service_instance_name\":").text(instance_name).raw(",\"property\":");
            write_document(&mut out, &row, &HashSet::new())?;
            out.raw(",\"relation\":");
            write_relation(&mut out, row.relation());
            out.raw("}");
            rows.insert(row.id.get(), out.finish());
            Ok(())
        })?;
        Ok(found.answer(rows))
    }
}

wire_input! {
    /// What list_process_detail_by_ids takes.
    pub struct ListDetailsOfBusiness {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 500 processes; those that are not of the business are left out.
        pub process_ids: Vec<i64> = "bk_process_ids",
        /// The fields to answer, and no others; empty: all.
        pub fields: Vec<String> = "fields",
    }
}

/// The most processes of one call of list_process_detail_by_ids.
const MAX_DETAILS: usize = 500;

impl Serve for ListDetailsOfBusiness {
    fn output() -> Schema {
        some_fields().list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let business = business_of(self.business_id)?;
        if self.process_ids.is_empty() || self.process_ids.len() > MAX_DETAILS {
            return Err(Fault::new(Cause::LengthIllegal, "bk_process_ids").with(MAX_DETAILS).into());
        }
        context.access.may_read(business)?;
        let ids: Vec<_> = self.process_ids.iter().copied().map(ProcessId).collect();
        let fields = self.fields.iter().map(String::as_str).collect();
        let mut out = JsonWriter::with_capacity(4096);
        out.raw("[");
        rollcall_store::process::each_by_id(tx, business, &ids, &mut |row| {
            out.separate();
            write_document(&mut out, &row, &fields)
        })?;
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}

/// The shape of a process of which the caller names the fields.
fn some_fields() -> Schema {
    let Schema::Object(mut fields) = process::document_schema() else { unreachable!("an object schema") };
    for field in &mut fields {
        field.always = false;
    }
    Schema::Object(fields)
}

wire_input! {
    /// What list_process_related_info takes. All conditions have to be met; an empty list is none.
    pub struct ListRelated {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// The sets that the processes are in.
        pub set: InSets = "set",
        /// The modules that the processes are in.
        pub module: InModules = "module",
        /// The service instances that the processes are of.
        pub service_instance: OfInstances = "service_instance",
        /// The processes themselves.
        pub process: These = "process",
        /// A filter over the fields of the processes: a group of rules.
        pub property_filter: Json = "process_property_filter",
        /// The fields of the processes to answer beside their ids and names; empty: all.
        pub fields: Vec<String> = "fields",
        /// The page: 1 to 1000 processes, sorted by a field of theirs.
        pub page: Option<PageIn> = "page",
    }
}

wire_input! {
    /// A condition on sets.
    pub struct InSets {
        /// Their ids.
        pub ids: Vec<i64> = "bk_set_ids",
    }
}

wire_input! {
    /// A condition on modules.
    pub struct InModules {
        /// Their ids.
        pub ids: Vec<i64> = "bk_module_ids",
    }
}

wire_input! {
    /// A condition on service instances.
    pub struct OfInstances {
        /// Their ids.
        pub ids: Vec<i64> = "ids",
    }
}

wire_input! {
    /// A condition on processes.
    pub struct These {
        /// Their names, as they are.
        pub names: Vec<String> = "bk_process_names",
        /// Their ids.
        pub ids: Vec<i64> = "bk_process_ids",
    }
}

impl Serve for ListRelated {
    fn output() -> Schema {
        Schema::object([
            (
                "set",
                Schema::object([
                    ("bk_set_id", Schema::Integer),
                    ("bk_set_name", Schema::Text),
                    ("bk_set_env", Schema::Text),
                ]),
            ),
            ("module", Schema::object([("bk_module_id", Schema::Integer), ("bk_module_name", Schema::Text)])),
            (
                "host",
                Schema::object([
                    ("bk_host_id", Schema::Integer),
                    ("bk_cloud_id", Schema::Integer),
                    ("bk_host_innerip", Schema::Text),
                    ("bk_host_innerip_v6", Schema::Text),
                    ("bk_addressing", Schema::Text),
                    ("bk_agent_id", Schema::Text),
                ]),
            ),
            ("service_instance", Schema::object([("id", Schema::Integer), ("name", Schema::Text)])),
            ("process_template", Schema::object([("id", Schema::Integer)])),
            ("process", some_fields()),
        ])
        .page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if self.business_id <= 0 {
            let range = Reason::Range { min: 1, max: i64::MAX };
            return Err(Fault::new(Cause::ParamUnusable, "bk_biz_id").because(range).into());
        }
        let at = FieldPath::of("process_property_filter");
        let filter = QueryFilter::parse(&self.property_filter, &at, process::shape, &context.zone);
        let filter = filter.or_else(|faults| Failure::check(faults).map(|()| None))?;
        let page = strict_page(self.page.as_ref())?;
        let business = BusinessId(self.business_id);
        context.access.may_read(business)?;
        let found = self.search(context, tx, business, filter.as_ref(), page)?;
        let mut fields: HashSet<_> = self.fields.iter().map(String::as_str).collect();
        if !fields.is_empty() {
            fields.extend([process::ID, NAME, "bk_func_id"]);
        }
        let mut sets: HashMap<SetId, String> = HashMap::new();
        let mut hosts: HashMap<HostId, String> = HashMap::new();
        let mut rows = HashMap::with_capacity(found.ids.len());
        rollcall_store::process::each_related(tx, business, &found.ids, &mut |row, place| {
            let set = match sets.entry(place.set_id) {
                Entry::Occupied(set) => set.into_mut(),
                Entry::Vacant(free) => free.insert(write_set(&place, &read(row.id, place.set_document)?)),
            };
            let host = match hosts.entry(row.host_id) {
                Entry::Occupied(host) => host.into_mut(),
                Entry::Vacant(free) => free.insert(write_host(row.host_id, &read(row.id, place.host_document)?)),
            };
            let mut out = JsonWriter::with_capacity(1536);
            out.raw("{\"set\":").raw(set);
            out.raw(",\"module\":{\"bk_module_id\":").int(place.module_id.get());
            out.raw(",\"bk_module_name\":").text(place.module_name).raw("},\"host\":").raw(host);
            out.raw(",\"service_instance\":{\"id\":").int(row.service_instance_id.get());
            out.raw(",\"name\":").text(place.instance_name);
            out.raw("},\"process_template\":{\"id\":").int(row.process_template_id).raw("},\"process\":");
            write_document(&mut out, &row, &fields)?;
            out.raw("}");
            rows.insert(row.id.get(), out.finish());
            Ok(())
        })?;
        Ok(found.answer(rows))
    }
}

impl ListRelated {
    fn search(
        &self,
        context: &Context,
        tx: &mut dyn Tx,
        business: BusinessId,
        filter: Option<&QueryFilter>,
        page: Page,
    ) -> Result<Found, OpError> {
        let some = |ids| Some(ids).filter(|ids: &&[i64]| !ids.is_empty());
        let mut modules: Vec<i64> = self.module.ids.clone();
        if !self.set.ids.is_empty() {
            let of_sets = rollcall_store::module::ids_of_sets(tx, business, &self.set.ids)?;
            let named: HashSet<_> = self.module.ids.iter().collect();
            modules = of_sets.into_iter().filter(|id| named.is_empty() || named.contains(id)).collect();
            if modules.is_empty() {
                return Ok(Found::nothing());
            }
        }
        let names: Vec<_> = self.process.names.iter().map(String::as_str).collect();
        let search = ProcessSearch {
            business,
            process_ids: some(&self.process.ids),
            service_instance_ids: some(&self.service_instance.ids),
            module_ids: some(&modules),
            names: Some(&names[..]).filter(|names| !names.is_empty()),
            filter,
        };
        Found::search(context, tx, &search, page)
    }
}

fn text_of<'a>(document: &'a Object, field: &str) -> &'a str {
    document.get(field).and_then(Json::as_text).unwrap_or_default()
}

/// A set as the answer shows it.
fn write_set(place: &Whereabouts<'_>, document: &Object) -> String {
    let mut out = JsonWriter::with_capacity(64);
    out.raw("{\"bk_set_id\":").int(place.set_id.get()).raw(",\"bk_set_name\":").text(place.set_name);
    out.raw(",\"bk_set_env\":").text(text_of(document, "bk_set_env")).raw("}");
    out.finish()
}

/// A host as the answer shows it.
fn write_host(id: HostId, document: &Object) -> String {
    let mut out = JsonWriter::with_capacity(192);
    out.raw("{\"bk_host_id\":").int(id.get());
    out.raw(",\"bk_cloud_id\":").int(document.get("bk_cloud_id").and_then(Json::as_int).unwrap_or_default());
    for field in ["bk_host_innerip", "bk_host_innerip_v6", "bk_addressing", "bk_agent_id"] {
        out.key(field).text(text_of(document, field));
    }
    out.raw("}");
    out.finish()
}
