//! Hosts: add_host_to_resource, add_host_to_business_idle, list_biz_hosts (`topology` 9.2 to 9.4); changes of hosts stand in the file
//! below.

mod update;

pub use update::{UpdateHosts, UpdateHostsEach};

use crate::access::{Granted, right};
use crate::journal::Journal;
use crate::listing::Listing;
use crate::operation::Serve;
use crate::process_instance::failure;
use crate::{Context, OpError, Reply};
use rollcall_domain::bind_info::HostAddresses;
use rollcall_domain::business::BusinessStatus;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::host::{self as rules, BadDraft, ExistingHost, HostChange, HostDraft, HostsState, OnExisting};
use rollcall_domain::id::{BusinessId, CloudAreaId, HostId, ModuleId, SUPPLIER_ACCOUNT, SetId};
use rollcall_domain::json::{FieldPath, Json, JsonWriter, Limits, Object, Schema, parse};
use rollcall_domain::module::BuiltIn;
use rollcall_domain::page::{MAX_LIMIT, PageIn};
use rollcall_domain::{record, wire_input};
use rollcall_store::audit::AuditRow;
use rollcall_store::event::EventKind;
use rollcall_store::host::{self as store, HostFilter, HostRow, Joining};
use rollcall_store::module::ModuleRow;
use rollcall_store::sequence::{self, Sequence};
use rollcall_store::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use update::{ChangedHost, ChangesHosts};

wire_input! {
    /// What add_host_to_resource takes.
    pub struct AddToResourceWire {
        /// The business whose idle module the new hosts go to; the pool when missing.
        pub business_id: i64 = "bk_biz_id",
        /// The hosts by row numbers. One whose address is known, or that names its bk_host_id, is changed and stays where it is.
        pub host_info: Option<Object> = "host_info",
    }
}

/// add_host_to_resource: its input, and the rows checked once before the queue.
#[derive(Debug)]
pub struct AddToResource {
    wire: AddToResourceWire,
    /// By row number; or what is wrong with the shape of the rows.
    rows: Result<BTreeMap<i64, HostDraft>, Vec<Fault>>,
}

crate::operation::decode_through!(AddToResource, AddToResourceWire, |wire| Self { wire, rows: Ok(BTreeMap::new()) });

/// The rows by their numbers. A number in another spelling is the same number; the last one stays.
fn read_rows(host_info: &Object) -> Result<BTreeMap<i64, HostDraft>, Vec<Fault>> {
    let mut rows = BTreeMap::new();
    let mut faults = Vec::new();
    for (key, row) in host_info.iter() {
        let at = FieldPath::of("host_info").field(key);
        let wrong = |reason| Fault::new(Cause::BodyUndecodable, at.clone()).because(reason);
        let Ok(number) = key.parse::<i64>() else {
            faults.push(wrong(Reason::NeedsInteger));
            continue;
        };
        match row {
            Json::Object(row) => {
                rows.insert(number, HostDraft::read(row, at));
            }
            Json::Null => {
                rows.insert(number, HostDraft::read(&Object::new(), at));
            }
            other => faults.push(wrong(Reason::WrongType { want: "object", got: other.kind() })),
        }
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

impl Serve for AddToResource {
    fn output() -> Schema {
        Schema::object([("success", Schema::Text.list().or_null())])
    }

    fn check(&mut self) {
        if let Some(rows) = &self.wire.host_info
            && rows.len() <= rules::MAX_ROWS
        {
            self.rows = read_rows(rows);
        }
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = context.access.require_global::<right::CreatePoolHost>()?;
        let Some(given) = &self.wire.host_info else {
            return Err(Fault::new(Cause::NotSet, "host_info").because(Reason::Blank).into());
        };
        if given.len() > rules::MAX_ROWS {
            let max = rules::MAX_ROWS;
            return Err(Fault::new(Cause::TooMany, "host_info").with(max).because(Reason::TooMany { max }).into());
        }
        let rows = self.rows.as_ref().map_err(|faults| failure(faults.clone()))?;
        let business = match self.wire.business_id {
            0 => BusinessId::POOL,
            stated => BusinessId(stated),
        };
        if rows.is_empty() {
            return Ok(Reply("{\"success\":null}".into()));
        }
        let idle = idle_module(tx, business)?;
        let drafts: Vec<HostDraft> = rows.values().cloned().collect();
        // Hosts of other businesses are changed by those only who may change them there (`design` §4).
        let writable = |owner: BusinessId| {
            owner == business
                || owner == BusinessId::POOL
                || context.access.find::<right::EditBusinessHost>(owner).is_some()
        };
        let (state, owners) = load(tx, &drafts, &writable)?;
        let changes = rules::plan_add(&drafts, &state, OnExisting::Update)
            .map_err(|bad| not_added(context, rows, &drafts, bad))?;
        let mut journal = Journal::default();
        apply(&granted, context, tx, &idle, changes, &state, &owners, &mut journal)?;
        journal.write(context, tx)?;
        let numbers: Vec<String> = rows.keys().map(i64::to_string).collect();
        let mut out = JsonWriter::with_capacity(16 + numbers.len() * 5);
        out.raw("{\"success\":[");
        for number in &numbers {
            out.separate().text(number);
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

/// The refusal of the whole call, with a text for every bad row in `data`.
fn not_added(context: &Context, rows: &BTreeMap<i64, HostDraft>, drafts: &[HostDraft], bad: Vec<BadDraft>) -> OpError {
    let numbers: Vec<i64> = rows.keys().copied().collect();
    let told = |is_update: bool| {
        let texts = bad.iter().filter(|bad| bad.is_update == is_update).map(|bad| {
            let (row, host) = (numbers[bad.draft], drafts[bad.draft].label());
            let fields: BTreeSet<&str> = bad.faults.iter().map(|fault| fault.path.as_str()).collect();
            let fields = fields.into_iter().collect::<Vec<_>>().join(", ");
            match (context.english, is_update) {
                (true, false) => format!("row {row}: cannot add {host}: {fields}"),
                (true, true) => format!("row {row}: cannot update {host}: {fields}"),
                (false, false) => format!("{row}行{host}新加失败: {fields}"),
                (false, true) => format!("{row}行{host}更新失败: {fields}"),
            }
        });
        texts.collect::<Vec<String>>()
    };
    let mut out = JsonWriter::with_capacity(256);
    out.raw("{");
    for (key, texts) in [("error", told(false)), ("update_error", told(true))] {
        out.key(key);
        if texts.is_empty() {
            out.raw("null");
            continue;
        }
        out.raw("[");
        for text in &texts {
            out.separate().text(text);
        }
        out.raw("]");
    }
    out.raw("}");
    let data = out.finish();
    let faults = bad.into_iter().flat_map(|bad| bad.faults);
    let faults = faults.map(|fault| Fault { cause: Cause::HostsNotAdded, name: None, more: Vec::new(), ..fault });
    match Failure::check(faults.collect()) {
        Err(failure) => failure.with_data(data).into(),
        Ok(()) => StoreError::Defect("a refusal without a fault".into()).into(),
    }
}

wire_input! {
    /// What add_host_to_business_idle takes.
    pub struct AddToBusinessIdleWire {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// 1 to 200 hosts, all of them new.
        pub hosts: Vec<Object> = "bk_host_list",
    }
}

/// add_host_to_business_idle: its input, and the hosts checked once before the queue.
#[derive(Debug)]
pub struct AddToBusinessIdle {
    wire: AddToBusinessIdleWire,
    drafts: Vec<HostDraft>,
}

crate::operation::decode_through!(AddToBusinessIdle, AddToBusinessIdleWire, |wire| Self { wire, drafts: Vec::new() });

impl Serve for AddToBusinessIdle {
    fn output() -> Schema {
        Schema::object([("bk_host_ids", Schema::Integer.list())])
    }

    fn check(&mut self) {
        if self.wire.hosts.len() <= rules::MAX_PER_CALL {
            let hosts = self.wire.hosts.iter().enumerate();
            self.drafts =
                hosts.map(|(i, host)| HostDraft::read(host, FieldPath::of("bk_host_list").index(i))).collect();
        }
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if self.wire.business_id == 0 {
            return Err(Fault::new(Cause::NotSet, "bk_biz_id").because(Reason::Blank).into());
        }
        let granted = context.access.require::<right::EditBusinessHost>(BusinessId(self.wire.business_id))?;
        let business = granted.business();
        let count = self.wire.hosts.len();
        if count == 0 {
            return Err(Fault::new(Cause::NotSet, "bk_host_list").because(Reason::Blank).into());
        }
        if count > rules::MAX_PER_CALL {
            let max = rules::MAX_PER_CALL;
            return Err(Fault::new(Cause::TooMany, "bk_host_list").with(max).because(Reason::TooMany { max }).into());
        }
        if business == BusinessId::POOL {
            // The pool has an operation and a right of its own.
            return Err(Fault::new(Cause::ParamInvalid, "bk_biz_id").into());
        }
        let idle = idle_module(tx, business)?;
        let (state, owners) = load(tx, &self.drafts, &|_| true)?;
        let changes = rules::plan_add(&self.drafts, &state, OnExisting::Refuse)
            .map_err(|bad| failure(bad.into_iter().flat_map(|bad| bad.faults).collect()))?;
        let mut journal = Journal::default();
        let ids = apply(&granted, context, tx, &idle, changes, &state, &owners, &mut journal)?;
        journal.write(context, tx)?;
        let mut out = JsonWriter::with_capacity(16 + ids.len() * 8);
        out.raw("{\"bk_host_ids\":[");
        for id in ids {
            out.separate().int(id.get());
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

/// Where new hosts of a business go.
fn idle_module(tx: &mut dyn Tx, business: BusinessId) -> Result<ModuleRow, OpError> {
    let unreadable = || OpError::from(Fault::new(Cause::BusinessUnreadable, "bk_biz_id"));
    let row = rollcall_store::business::find(tx, business)?.ok_or_else(unreadable)?;
    if row.status == BusinessStatus::Disabled {
        return Err(Fault::new(Cause::BusinessArchived, "bk_biz_id").named(business.to_string()).into());
    }
    rollcall_store::module::find_built_in(tx, business, BuiltIn::Idle.kind())?.ok_or_else(unreadable)
}

/// The business each host is in.
type Owners = HashMap<HostId, BusinessId>;

/// Everything stored that the drafts speak of, and in which businesses those hosts are.
fn load(
    tx: &mut dyn Tx,
    drafts: &[HostDraft],
    writable: &dyn Fn(BusinessId) -> bool,
) -> Result<(HostsState, Owners), OpError> {
    let addresses = drafts.iter().flat_map(HostDraft::keys).map(|(_, address)| address.as_str());
    let held = store::holders_of_addresses(tx, addresses)?;
    let by_agent = store::holders_of_agents(tx, drafts.iter().filter_map(HostDraft::agent_id))?;
    let areas: BTreeSet<_> = drafts.iter().filter_map(HostDraft::cloud_id).map(CloudAreaId).collect();
    let areas: Vec<_> = areas.into_iter().collect();
    let cloud_ids = rollcall_store::cloud_area::existing(tx, &areas)?;
    let named = drafts.iter().filter_map(HostDraft::named);
    let ids: BTreeSet<HostId> = named.chain(held.iter().map(|row| row.host_id)).collect();
    let ids: Vec<HostId> = ids.into_iter().collect();
    store::lock(tx, &ids)?;
    let owners: Owners = store::modules_of(tx, &ids)?.iter().map(|row| (row.host_id, row.business_id)).collect();
    let mut hosts = HashMap::new();
    store::each_document(tx, &ids, &mut |id, document| {
        let is_writable = owners.get(&id).is_some_and(|owner| writable(*owner));
        hosts.insert(id, ExistingHost { document: stored_object(document)?, is_writable });
        Ok(())
    })?;
    let state = HostsState {
        hosts,
        by_address: held.into_iter().map(|row| ((row.cloud_id.get(), row.address), row.host_id)).collect(),
        by_agent,
        cloud_ids: cloud_ids.into_iter().map(CloudAreaId::get).collect(),
    };
    Ok((state, owners))
}

/// A stored document as an object.
fn stored_object(document: &str) -> Result<Object, StoreError> {
    match parse(document.as_bytes(), Limits::default()) {
        Ok(Json::Object(object)) => Ok(object),
        _ => Err(StoreError::Unreadable("a host's document is no object".into())),
    }
}

fn text_of(host: &Object, field: &str) -> String {
    host.get(field).and_then(Json::as_text).unwrap_or_default().to_owned()
}

fn addresses_of(host: &Object) -> HostAddresses {
    HostAddresses {
        inner_v4: text_of(host, "bk_host_innerip"),
        inner_v6: text_of(host, "bk_host_innerip_v6"),
        outer_v4: text_of(host, "bk_host_outerip"),
        outer_v6: text_of(host, "bk_host_outerip_v6"),
    }
}

/// A right that lets its holder add hosts, and change those that are there already.
trait AddsHosts: ChangesHosts {}
impl AddsHosts for right::CreatePoolHost {}
impl AddsHosts for right::EditBusinessHost {}

/// Stores new hosts in the idle module and changed ones where they are. Answers the ids in the order of the changes.
#[expect(clippy::too_many_arguments, reason = "the proof, the request, and what was loaded and decided")]
fn apply<R: AddsHosts>(
    granted: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    idle: &ModuleRow,
    changes: Vec<HostChange>,
    state: &HostsState,
    owners: &Owners,
    journal: &mut Journal,
) -> Result<Vec<HostId>, OpError> {
    let (time, user) = (context.time_text(), context.caller.user.as_str());
    let new = changes.iter().filter(|change| matches!(change, HostChange::Create { .. })).count();
    let mut next = sequence::take(tx, Sequence::Host, new)?;
    let (mut made, mut changed, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match change {
            HostChange::Create { mut record, keys } => {
                let id = HostId(next);
                next += 1;
                record::put(&mut record, [("bk_host_id", Json::Int(id.get()))]);
                record::put(&mut record, record::stamps(&time, user));
                let addresses = addresses_of(&record);
                let document = Json::Object(record.clone()).to_string();
                journal.created(EventKind::Host, idle.business_id, id.get(), document.clone());
                let detail = format!(
                    "{{\"details\":{{\"pre_data\":null,\"cur_data\":{document},\"update_fields\":null}},\"bk_obj_id\":\"host\"}}"
                );
                journal.audit(audit_entry(idle.business_id, "create", id, addresses.name_prefix(), detail));
                made.push(HostRow {
                    id,
                    cloud_id: CloudAreaId(rules::cloud_id(&record).unwrap_or_default()),
                    agent_id: rules::agent_id(&record).map(str::to_owned),
                    held_addresses: keys.into_iter().map(|(_, address)| address).collect(),
                    addresses,
                    document,
                });
                ids.push(id);
            }
            HostChange::Update { id, after } => {
                let before = state.hosts[&id].document.clone();
                let business_id = owners.get(&id).copied().unwrap_or(idle.business_id);
                changed.push(ChangedHost { id, business_id, before, after });
                ids.push(id);
            }
        }
    }
    store::insert(tx, &made).map_err(unique_lost)?;
    update::apply(granted, context, tx, changed, journal)?;
    let joining: Vec<_> = made
        .iter()
        .map(|host| Joining {
            host_id: host.id,
            module_id: idle.id,
            set_id: idle.set_id,
            business_id: idle.business_id,
        })
        .collect();
    store::join(tx, &joining)?;
    for row in &joining {
        journal.created(EventKind::HostModule, row.business_id, row.host_id.get(), relation_document(row));
    }
    Ok(ids)
}

/// The rules give the friendly error first; the index closes the race between two servers.
fn unique_lost(error: StoreError) -> OpError {
    match error {
        StoreError::Unique(_) => Fault::new(Cause::Duplicate, "bk_host_innerip").named("bk_host_innerip").into(),
        error => error.into(),
    }
}

/// A relation as events carry it.
pub(crate) fn relation_document(row: &Joining) -> String {
    let mut out = JsonWriter::with_capacity(128);
    out.raw("{\"bk_biz_id\":").int(row.business_id.get());
    out.raw(",\"bk_host_id\":").int(row.host_id.get());
    out.raw(",\"bk_module_id\":").int(row.module_id.get());
    out.raw(",\"bk_set_id\":").int(row.set_id.get());
    out.raw(",\"bk_supplier_account\":").text(SUPPLIER_ACCOUNT).raw("}");
    out.finish()
}

/// An audit entry of a host.
pub(crate) fn audit_entry(
    business_id: BusinessId,
    action: &'static str,
    id: HostId,
    address: &str,
    detail: String,
) -> AuditRow {
    AuditRow {
        business_id,
        audit_type: "host",
        resource_type: "host",
        action,
        resource_id: id.get(),
        resource_name: address.to_owned(),
        detail,
    }
}

wire_input! {
    /// What list_biz_hosts takes.
    pub struct ListOfBusiness {
        /// The business.
        pub business_id: i64 = "bk_biz_id",
        /// Hosts of these sets only, 200 at most.
        pub set_ids: Option<Vec<i64>> = "bk_set_ids",
        /// Hosts of these modules only, 500 at most.
        pub module_ids: Option<Vec<i64>> = "bk_module_ids",
        /// Not supported yet.
        pub set_cond: Json = "set_cond",
        /// Not supported yet.
        pub module_cond: Json = "module_cond",
        /// Not supported yet.
        pub host_property_filter: Json = "host_property_filter",
        /// Only these fields of each host; all of them when missing.
        pub fields: Option<Vec<String>> = "fields",
        /// 1 to 1000 hosts, by their ids unless another sort is asked for.
        pub page: PageIn = "page",
    }
}

const MAX_SETS: usize = 200;
const MAX_MODULES: usize = 500;

impl ListOfBusiness {
    fn check_filters(&self) -> Result<(), Failure> {
        // topology E28a: an object without a condition is no filter, and none that can be decoded.
        if self.host_property_filter.as_object().is_some_and(Object::is_empty) {
            return Err(Fault::new(Cause::BodyUndecodable, "host_property_filter").because(Reason::Blank).into());
        }
        let mut faults = Vec::new();
        for (field, ids, max) in
            [("bk_set_ids", &self.set_ids, MAX_SETS), ("bk_module_ids", &self.module_ids, MAX_MODULES)]
        {
            if ids.as_ref().is_some_and(|ids| ids.len() > max) {
                faults.push(Fault::new(Cause::ParamInvalid, field).because(Reason::TooMany { max }));
            }
        }
        for (field, filter) in [
            ("set_cond", &self.set_cond),
            ("module_cond", &self.module_cond),
            ("host_property_filter", &self.host_property_filter),
        ] {
            let is_none = match filter {
                Json::Null => true,
                Json::List(conditions) => conditions.is_empty() && field != "host_property_filter",
                _ => false,
            };
            if !is_none {
                faults.push(Fault::new(Cause::ParamInvalid, field).because(Reason::NotSupportedYet));
            }
        }
        Failure::check(faults)
    }

    /// An empty list of ids filters nothing.
    fn filter(&self) -> HostFilter {
        fn ids<T: From<i64>>(ids: &Option<Vec<i64>>) -> Option<Vec<T>> {
            let ids = ids.as_ref().filter(|ids| !ids.is_empty())?;
            Some(ids.iter().copied().map(T::from).collect())
        }
        HostFilter { set_ids: ids::<SetId>(&self.set_ids), module_ids: ids::<ModuleId>(&self.module_ids) }
    }
}

impl Serve for ListOfBusiness {
    fn output() -> Schema {
        rules::schema().picked().page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let granted = context.access.require::<right::FindBusinessResource>(BusinessId(self.business_id))?;
        let business = granted.business();
        let page = self.page.bounded(MAX_LIMIT, Cause::ParamInvalid)?;
        self.check_filters()?;
        let filter = self.filter();
        let listing = Listing::new(page, None, self.fields.as_deref().unwrap_or_default(), "bk_host_id");
        if listing.is_plain() {
            let count = store::count(tx, business, &filter)?;
            let part = listing.range(count, context.limits.unpaged_rows)?;
            let mut answer = listing.answer(count);
            store::each_of_page(tx, business, &filter, part, &mut |document| answer.push(document))?;
            return Ok(answer.finish());
        }
        let mut matches = listing.matches();
        store::each_of_business(tx, business, &filter, &mut |document| matches.offer(document))?;
        matches.answer(context.limits.unpaged_rows)
    }
}
