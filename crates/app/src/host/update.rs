//! Changes of hosts that are there: update_host, batch_update_host (`topology` 9.12), and what follows from other addresses, whoever
//! changes them (`templates` 7.4).

use super::{Owners, addresses_of, audit_entry, stored_object};
use crate::access::{Granted, Refusal, Right, right};
use crate::journal::{InstanceEntry, Journal};
use crate::operation::{Serve, checked};
use crate::process_instance::{AuditedProcess, ProcessAction, audit_detail, document};
use crate::request::check_most;
use crate::{Context, OpError, Reply};
use rollcall_domain::bind_info::HostAddresses;
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::host::{self as rules, MAX_CHANGED};
use rollcall_domain::id::{BusinessId, HostId, ProcessId, ProcessTemplateId, ServiceInstanceId};
use rollcall_domain::json::{Decode, Decoder, Field, FieldPath, Json, Object, Schema};
use rollcall_domain::model::Model;
use rollcall_domain::process::{NewProcess, StoredProcess, UpdateStamp};
use rollcall_domain::{record, topology, wire_input};
use rollcall_store::event::EventKind;
use rollcall_store::host::{self as store, HostUpdate};
use rollcall_store::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const ID: &str = "bk_host_id";

/// What update_host takes: hosts, and what all of them are to say.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateHostsWire {
    /// A number, numbers in a text joined by commas, or a list of both.
    pub ids: Json,
    /// The attributes, as sent.
    pub record: Object,
}

impl Decode for UpdateHostsWire {
    fn decode(json: Json, at: &Decoder<'_>) -> Option<Self> {
        let (record, ids) = at.take_field(Object::decode(json, at)?, ID);
        Some(Self { ids: ids?, record })
    }

    fn absent(at: &Decoder<'_>) -> Option<Self> {
        Self::decode(Json::Object(Object::new()), at)
    }

    fn schema() -> Schema {
        let description = "The hosts: a number, numbers in a text joined by commas, or a list of both; 1000 at most.";
        let ids = Field { name: ID, description, schema: Schema::Any, always: false };
        match topology::change_schema(Model::Host, &[]) {
            Schema::Object(attributes) => Schema::Object(std::iter::once(ids).chain(attributes).collect()),
            other => other,
        }
    }
}

/// update_host: its input, and the attributes checked once before the queue.
#[derive(Debug)]
pub struct UpdateHosts {
    wire: UpdateHostsWire,
    wanted: Option<Result<Object, Vec<Fault>>>,
}

crate::operation::decode_through!(UpdateHosts, UpdateHostsWire, |wire| Self { wire, wanted: None });

impl UpdateHosts {
    fn wanted(&self) -> Result<Object, Vec<Fault>> {
        rules::read_change(&self.wire.record, &FieldPath::root())
    }

    /// The hosts named. A text that is no number is told apart from a value that can name no host, as in the original.
    fn ids(&self) -> Result<Vec<HostId>, Fault> {
        let mut ids = Vec::new();
        match &self.wire.ids {
            Json::List(elements) if !elements.is_empty() => {
                elements.iter().try_for_each(|element| read_ids(element, &mut ids))?;
            }
            other => read_ids(other, &mut ids)?,
        }
        Ok(ids)
    }
}

fn read_ids(value: &Json, ids: &mut Vec<HostId>) -> Result<(), Fault> {
    let wrong = |cause| Fault::new(cause, ID).because(Reason::NeedsInteger);
    match value {
        Json::Int(id) => ids.push(HostId(*id)),
        Json::Text(text) => {
            for piece in text.split(',') {
                ids.push(HostId(piece.trim().parse().map_err(|_| wrong(Cause::ParamInvalid))?));
            }
        }
        _ => return Err(wrong(Cause::ParamUnusable)),
    }
    Ok(())
}

impl Serve for UpdateHosts {
    fn output() -> Schema {
        Schema::Null
    }

    fn check(&mut self) {
        self.wanted = Some(self.wanted());
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let rights = Rights::of(context)?;
        let ids = self.ids()?;
        check_most(ID, "update hosts", ids.len(), MAX_CHANGED)?;
        let wanted = checked(&self.wanted, || self.wanted())?;
        let wishes: Vec<_> = ids.into_iter().map(|id| Wish { id, at: ID.into(), wanted: &wanted }).collect();
        rights.change(context, tx, &wishes)
    }
}

wire_input! {
    /// What batch_update_host takes.
    pub struct UpdateHostsEachWire {
        /// Hosts and what each is to say; 1000 at most.
        pub update: Option<Vec<HostChangeWire>> = "update",
    }
}

wire_input! {
    /// A host and what it is to say.
    pub struct HostChangeWire {
        /// The host.
        pub id: i64 = "bk_host_id",
        /// The attributes; what is left out stays.
        pub properties: Option<Object> = "properties",
    }
}

/// batch_update_host: its input, and the attributes checked once before the queue.
#[derive(Debug)]
pub struct UpdateHostsEach {
    wire: UpdateHostsEachWire,
    wanted: Option<Result<Vec<Object>, Vec<Fault>>>,
}

crate::operation::decode_through!(UpdateHostsEach, UpdateHostsEachWire, |wire| Self { wire, wanted: None });

fn entry_at(i: usize) -> FieldPath {
    FieldPath::of("update").index(i)
}

impl UpdateHostsEach {
    fn entries(&self) -> &[HostChangeWire] {
        self.wire.update.as_deref().unwrap_or_default()
    }

    /// What the hosts are to say, entry by entry.
    fn wanted(&self) -> Result<Vec<Object>, Vec<Fault>> {
        let (mut wanted, mut faults) = (Vec::with_capacity(self.entries().len()), Vec::new());
        for (i, entry) in self.entries().iter().enumerate() {
            let at = entry_at(i).field("properties");
            match &entry.properties {
                None => faults.push(Fault::new(Cause::NotSet, at).because(Reason::Blank)),
                Some(properties) => match rules::read_change(properties, &at) {
                    Ok(object) => wanted.push(object),
                    Err(more) => faults.extend(more),
                },
            }
        }
        if faults.is_empty() { Ok(wanted) } else { Err(faults) }
    }
}

impl Serve for UpdateHostsEach {
    fn output() -> Schema {
        Schema::Null
    }

    fn check(&mut self) {
        if self.entries().len() <= MAX_CHANGED {
            self.wanted = Some(self.wanted());
        }
    }

    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        let rights = Rights::of(context)?;
        if self.wire.update.is_none() {
            return Err(Fault::new(Cause::NotSet, "update").because(Reason::Blank).into());
        }
        check_most("update", "update hosts", self.entries().len(), MAX_CHANGED)?;
        let wanted = checked(&self.wanted, || self.wanted())?;
        let wishes = self.entries().iter().zip(&wanted).enumerate();
        let wishes: Vec<_> = wishes
            .map(|(i, (entry, wanted))| Wish { id: HostId(entry.id), at: entry_at(i).field(ID), wanted })
            .collect();
        rights.change(context, tx, &wishes)
    }
}

/// A host and what a caller wants it to say.
struct Wish<'a> {
    id: HostId,
    /// Where the request names it.
    at: FieldPath,
    wanted: &'a Object,
}

/// Where a caller may change hosts: in the pool, in some businesses.
struct Rights<'a> {
    context: &'a Context,
    pool: Option<Granted<right::EditPoolHost>>,
}

/// The proof for the hosts of the pool or of a business.
enum Proof {
    Pool(Granted<right::EditPoolHost>),
    Business(Granted<right::EditBusinessHost>),
}

impl<'a> Rights<'a> {
    /// Refused to who may change no host at all. To others a host that they may not change looks absent.
    fn of(context: &'a Context) -> Result<Self, Refusal> {
        let pool = context.access.require_global().ok();
        if pool.is_none() {
            context.access.reach::<right::EditBusinessHost>()?;
        }
        Ok(Self { context, pool })
    }

    fn find(&self, business: BusinessId) -> Option<Proof> {
        match business {
            BusinessId::POOL => self.pool.map(Proof::Pool),
            business => self.context.access.find(business).map(Proof::Business),
        }
    }

    /// Changes hosts of however many businesses. What several wishes want of one host is done in their order.
    fn change(&self, context: &Context, tx: &mut dyn Tx, wishes: &[Wish<'_>]) -> Result<Reply, OpError> {
        let ids: BTreeSet<_> = wishes.iter().map(|wish| wish.id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        store::lock(tx, &ids)?;
        let owners: Owners = store::modules_of(tx, &ids)?.iter().map(|row| (row.host_id, row.business_id)).collect();
        let businesses: BTreeSet<_> = owners.values().copied().collect();
        let proofs: BTreeMap<_, _> = businesses.into_iter().filter_map(|it| Some((it, self.find(it)?))).collect();
        let is_known = |id: &HostId| owners.get(id).is_some_and(|owner| proofs.contains_key(owner));
        let absent = wishes.iter().filter(|wish| !is_known(&wish.id));
        Failure::check(absent.map(|wish| Fault::absent(Cause::ParamUnusable, wish.at.clone(), wish.id)).collect())?;

        let mut before = HashMap::with_capacity(ids.len());
        store::each_document(tx, &ids, &mut |id, document| {
            before.insert(id, stored_object(document)?);
            Ok(())
        })?;
        let mut after = before.clone();
        for wish in wishes {
            if let Some(record) = after.get_mut(&wish.id)
                && let Some(changed) = rules::changed(record, wish.wanted)
            {
                *record = changed;
            }
        }
        let mut changed: BTreeMap<BusinessId, Vec<ChangedHost>> = BTreeMap::new();
        for id in ids {
            let (Some(before), Some(after)) = (before.remove(&id), after.remove(&id)) else { continue };
            if before != after {
                let business_id = owners[&id];
                changed.entry(business_id).or_default().push(ChangedHost { id, business_id, before, after });
            }
        }
        let mut journal = Journal::default();
        for (business, proof) in &proofs {
            let hosts = changed.remove(business).unwrap_or_default();
            match proof {
                Proof::Pool(granted) => apply(granted, context, tx, hosts, &mut journal)?,
                Proof::Business(granted) => apply(granted, context, tx, hosts, &mut journal)?,
            }
        }
        journal.write(context, tx)?;
        Ok(Reply::null())
    }
}

/// A right that lets its holder change hosts.
pub(super) trait ChangesHosts: Right {}
impl ChangesHosts for right::EditBusinessHost {}
impl ChangesHosts for right::EditPoolHost {}
/// Adding hosts may change those that are there already.
impl ChangesHosts for right::CreatePoolHost {}

/// A host, which is locked, and its record before and after.
pub(super) struct ChangedHost {
    pub(super) id: HostId,
    /// The business it is in.
    pub(super) business_id: BusinessId,
    pub(super) before: Object,
    /// Without other stamps.
    pub(super) after: Object,
}

/// The addresses of a host before and after.
type Moved = (HostAddresses, HostAddresses);

/// Stores what becomes of hosts, and has the processes on them follow where their addresses are others.
pub(super) fn apply<R: ChangesHosts>(
    _: &Granted<R>,
    context: &Context,
    tx: &mut dyn Tx,
    hosts: Vec<ChangedHost>,
    journal: &mut Journal,
) -> Result<(), OpError> {
    let (time, user) = (context.time_text(), context.caller.user.as_str());
    let mut changed = Vec::with_capacity(hosts.len());
    let mut moved: BTreeMap<BusinessId, BTreeMap<HostId, Moved>> = BTreeMap::new();
    for ChangedHost { id, business_id, before, mut after } in hosts {
        let fields = Json::Object(record::changed_fields(&before, &after));
        record::put(&mut after, record::change_stamps(&time, user));
        let (old, new) = (addresses_of(&before), addresses_of(&after));
        let before = Json::Object(before).to_string();
        let document = Json::Object(after).to_string();
        let detail = format!(
            "{{\"details\":{{\"pre_data\":{before},\"cur_data\":null,\"update_fields\":{fields}}},\"bk_obj_id\":\"host\"}}"
        );
        journal.updated(EventKind::Host, business_id, id.get(), before, document.clone());
        journal.audit(audit_entry(business_id, "update", id, new.name_prefix(), detail));
        let (outer_v4, outer_v6) = (new.outer_v4.clone(), new.outer_v6.clone());
        changed.push(HostUpdate { id, outer_v4, outer_v6, document });
        if old.begin_otherwise(&new) {
            moved.entry(business_id).or_default().insert(id, (old, new));
        }
    }
    store::update(tx, &changed)?;
    // What is split by business is asked for each; the hosts of a call are of one or of few.
    for (business, hosts) in &moved {
        readdress(context, tx, *business, hosts, journal)?;
    }
    Ok(())
}

/// A process that follows a template, as it is stored.
struct Follower {
    id: ProcessId,
    instance: ServiceInstanceId,
    host: HostId,
    template: ProcessTemplateId,
    fixed_fields: String,
    extra_fields: String,
}

impl Follower {
    fn document(&self) -> String {
        format!("{{{},{}}}", self.fixed_fields, self.extra_fields)
    }
}

/// A process that says other addresses now.
struct Readdressed {
    process: NewProcess,
    /// JSON text, as is the next.
    before: String,
    update_fields: String,
}

/// Gives the processes of hosts the new addresses, in the rows that their templates lock to these.
fn readdress(
    context: &Context,
    tx: &mut dyn Tx,
    business: BusinessId,
    hosts: &BTreeMap<HostId, Moved>,
    journal: &mut Journal,
) -> Result<(), OpError> {
    let ids: Vec<_> = hosts.keys().copied().collect();
    let instances = rollcall_store::service_instance::lock_bound_on_hosts(tx, business, &ids)?;
    if instances.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = instances.iter().map(|instance| instance.id).collect();
    let mut followers = Vec::new();
    rollcall_store::process::each_of_instances(tx, business, &ids, &mut |row| {
        if row.process_template_id != 0 {
            followers.push(Follower {
                id: row.id,
                instance: row.service_instance_id,
                host: row.host_id,
                template: ProcessTemplateId(row.process_template_id),
                fixed_fields: row.fixed_fields.to_owned(),
                extra_fields: row.extra_fields.to_owned(),
            });
        }
    })?;
    let templates: BTreeSet<_> = followers.iter().map(|follower| follower.template).collect();
    let templates: Vec<_> = templates.into_iter().collect();
    let templates = rollcall_store::process_template::list_by_id(tx, business, &templates)?;
    let templates: HashMap<_, _> = templates.into_iter().map(|template| (template.id, template.property)).collect();
    let time = context.time_text();
    let stamp = UpdateStamp { time: &time, user: &context.caller.user };
    let mut made: BTreeMap<ServiceInstanceId, Vec<Readdressed>> = BTreeMap::new();
    for follower in followers {
        let (Some(property), Some((old, new))) = (templates.get(&follower.template), hosts.get(&follower.host)) else {
            continue;
        };
        if !property.is_bound_to_other(old, new) {
            continue;
        }
        let stored = StoredProcess::read(follower.id, &follower.fixed_fields, &follower.extra_fields);
        let stored = stored.ok_or_else(|| StoreError::Unreadable(format!("process {}", follower.id)))?;
        if let Some((difference, process)) = property.readdress(&stored, stamp, old, new) {
            let fields = Object::from_iter([(difference.field.to_owned(), difference.becomes)]);
            let update_fields = Json::Object(fields).to_string();
            let readdressed = Readdressed { process, before: follower.document(), update_fields };
            made.entry(follower.instance).or_default().push(readdressed);
        }
    }
    rollcall_store::process::update(tx, business, made.values().flatten().map(|readdressed| &readdressed.process))?;
    for instance in &instances {
        let Some(made) = made.remove(&instance.id) else { continue };
        let told: Vec<_> = made
            .iter()
            .map(|Readdressed { process, before, update_fields }| AuditedProcess {
                action: ProcessAction::Update { before, update_fields },
                id: process.id,
                name: &process.keys.name,
            })
            .collect();
        journal.instance(InstanceEntry {
            business_id: business,
            action: "update",
            id: instance.id,
            name: &instance.name,
            detail: audit_detail(None, instance.host_id, &told),
        });
        for Readdressed { process, before, .. } in made {
            let after = document(&process);
            journal.updated(EventKind::Process, business, process.id.get(), before, after);
        }
    }
    Ok(())
}
