//! Who changed what (`topology` 13): list_operation_audit, find_audit_by_id. Both ask for a right of their own, as in the original;
//! whoever has it on some businesses sees the entries about these.

use crate::access::right;
use crate::listing::open_list;
use crate::operation::Serve;
use crate::{Context, OpError, Refusal, Reply};
use rollcall_domain::audit::{AuditConditionIn, MAX_ENTRIES, OPERATE_FROM};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::id::{BusinessId, SUPPLIER_ACCOUNT};
use rollcall_domain::json::{FieldPath, JsonWriter, Schema};
use rollcall_domain::page::PageIn;
use rollcall_domain::wire_input;
use rollcall_store::Tx;
use rollcall_store::audit::{WholeEntry, each_by_id};
use rollcall_store::audit_search::{AuditQuery, ListedEntry};

/// The fields of an entry. Lists leave those blank that nobody sees in a table.
struct Entry<'a> {
    id: i64,
    audit_type: &'a str,
    supplier_account: &'a str,
    user: &'a str,
    resource_type: &'a str,
    action: &'a str,
    operate_from: &'a str,
    /// JSON text.
    detail: &'a str,
    time: &'a str,
    business_id: BusinessId,
    resource_id: i64,
    resource_name: &'a str,
}

impl Entry<'_> {
    /// Writes the entry but for its last brace.
    fn write_open(&self, out: &mut JsonWriter) {
        out.separate().raw("{\"id\":").int(self.id);
        out.raw(",\"audit_type\":").text(self.audit_type);
        out.raw(",\"bk_supplier_account\":").text(self.supplier_account);
        out.raw(",\"user\":").text(self.user);
        out.raw(",\"resource_type\":").text(self.resource_type);
        out.raw(",\"action\":").text(self.action);
        out.raw(",\"operate_from\":").text(self.operate_from);
        out.raw(",\"operation_detail\":").raw(self.detail);
        out.raw(",\"operation_time\":").text(self.time);
        if self.business_id.get() != 0 {
            out.raw(",\"bk_biz_id\":").int(self.business_id.get());
        }
        out.raw(",\"resource_id\":").int(self.resource_id);
        out.raw(",\"resource_name\":").text(self.resource_name);
        // The original has the IPv6 address of a host there, beside one of IPv4.
        out.raw(",\"extend_resource_name\":\"\"");
    }

    fn schema(detail: Schema) -> Schema {
        Schema::object([
            ("id", Schema::Integer),
            ("audit_type", Schema::Text),
            ("bk_supplier_account", Schema::Text),
            ("user", Schema::Text),
            ("resource_type", Schema::Text),
            ("action", Schema::Text),
            ("operate_from", Schema::Text),
            ("operation_detail", detail),
            ("operation_time", Schema::Text),
            ("bk_biz_id", Schema::Integer),
            ("resource_id", Schema::Integer),
            ("resource_name", Schema::Text),
            ("extend_resource_name", Schema::Text),
        ])
        .sometimes("bk_biz_id")
    }
}

wire_input! {
    /// What list_operation_audit takes.
    pub struct ListEntries {
        /// Which entries are meant.
        pub condition: AuditConditionIn = "condition",
        /// The page: 1 to 200 entries, sorted by a field of theirs; without one they are in the order of their ids.
        pub page: Option<PageIn> = "page",
    }
}

impl ListEntries {
    /// The businesses whose entries are listed: the one that is named, else those of the caller's right.
    fn businesses(&self, context: &Context) -> Result<Option<Vec<i64>>, Refusal> {
        let stated = self.condition.business_id;
        if stated != 0 {
            context.access.require::<right::FindAuditLog>(BusinessId(stated))?;
            return Ok(Some(vec![stated]));
        }
        let reach = context.access.reach::<right::FindAuditLog>()?;
        Ok(reach.map(|businesses| businesses.into_iter().map(BusinessId::get).collect()))
    }
}

impl Serve for ListEntries {
    fn output() -> Schema {
        Entry::schema(Schema::Null).page_of()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        const MOST: i64 = MAX_ENTRIES as i64;
        let page = self.page.clone().unwrap_or_else(PageIn::none);
        let cause = if page.limit > MOST { Cause::PageIllegal } else { Cause::ParamInvalid };
        let page = page.bounded(MOST, cause)?;
        let search = self.condition.read(&FieldPath::of("condition"), &context.zone);
        let search = search.or_else(|faults| Failure::check(faults).map(|()| None))?;
        let businesses = self.businesses(context)?;
        let Some(search) = search else {
            return Ok(Reply("{\"count\":0,\"info\":[]}".into()));
        };
        let query = AuditQuery { businesses: businesses.as_deref(), search: &search };
        let count = query.count(tx)?;
        let rows = count.saturating_sub(page.start).min(page.limit.unwrap_or(MAX_ENTRIES));
        let mut out = open_list(count, rows * 320);
        if rows > 0 {
            query
                .each_of_page(tx, &page.sort, page.start, rows, &mut |entry| write_listed(&mut out, context, &entry))?;
        }
        out.raw("]}");
        Ok(Reply(out.finish()))
    }
}

fn write_listed(out: &mut JsonWriter, context: &Context, entry: &ListedEntry<'_>) {
    let shown = Entry {
        id: entry.id,
        audit_type: "",
        supplier_account: "",
        user: entry.user,
        resource_type: entry.resource_type,
        action: entry.action,
        operate_from: "",
        detail: "null",
        time: &context.zone.plain(entry.time),
        business_id: entry.business_id,
        resource_id: entry.resource_id,
        resource_name: entry.resource_name,
    };
    shown.write_open(out);
    out.raw("}");
}

wire_input! {
    /// What find_audit_by_id takes.
    pub struct FindEntries {
        /// 1 to 200 entries; those that are not there are left out, as long as one is.
        pub ids: Vec<i64> = "id",
    }
}

impl Serve for FindEntries {
    fn output() -> Schema {
        let Schema::Object(mut fields) = Entry::schema(Schema::Object(Vec::new())) else {
            unreachable!("an object schema")
        };
        let more = [("code", Schema::Text), ("rid", Schema::Text), ("user_verified", Schema::Boolean)];
        let Schema::Object(more) = Schema::object(more) else { unreachable!("an object schema") };
        fields.extend(more);
        Schema::Object(fields).sometimes("code").sometimes("rid").list()
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        if self.ids.is_empty() {
            return Err(Fault::new(Cause::NotSet, "id").because(Reason::Blank).into());
        }
        if self.ids.len() > MAX_ENTRIES {
            return Err(Fault::new(Cause::PageIllegal, "id").because(Reason::TooMany { max: MAX_ENTRIES }).into());
        }
        let reach = context.access.reach::<right::FindAuditLog>()?;
        let mut out = JsonWriter::with_capacity(self.ids.len() * 1024);
        out.raw("[");
        let opened = out.len();
        each_by_id(tx, &self.ids, &mut |entry| {
            if reach.as_ref().is_none_or(|businesses| businesses.binary_search(&entry.business_id).is_ok()) {
                write_whole(&mut out, context, &entry);
            }
        })?;
        if out.len() == opened {
            return Err(Fault::new(Cause::ParamUnusable, "id").into());
        }
        out.raw("]");
        Ok(Reply(out.finish()))
    }
}

fn write_whole(out: &mut JsonWriter, context: &Context, entry: &WholeEntry<'_>) {
    let actor = entry.actor;
    let shown = Entry {
        id: entry.id,
        audit_type: entry.audit_type,
        supplier_account: SUPPLIER_ACCOUNT,
        user: actor.user,
        resource_type: entry.resource_type,
        action: entry.action,
        operate_from: OPERATE_FROM,
        detail: entry.detail,
        time: &context.zone.plain(actor.time),
        business_id: entry.business_id,
        resource_id: entry.resource_id,
        resource_name: entry.resource_name,
    };
    shown.write_open(out);
    for (name, text) in [("code", actor.app_code), ("rid", actor.request_id)] {
        if !text.is_empty() {
            out.key(name).text(text);
        }
    }
    out.key("user_verified").raw(if actor.verified { "true" } else { "false" }).raw("}");
}
