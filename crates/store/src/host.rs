//! Hosts and the modules they are in.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::bind_info::HostAddresses;
use rollcall_domain::id::{BusinessId, CloudAreaId, HostId, ModuleId, SetId};
use std::collections::HashMap;

/// A page and a count for one combination of filters. `$1` is the business; behind it come the values of the filters in the order
/// sets, modules, then limit and offset. A host is in several modules, so ids are told apart first and only those of the page are
/// looked up.
macro_rules! filtered {
    ($filter:literal, $limit:literal) => {
        Filtered {
            count: concat!("SELECT count(DISTINCT host_id) FROM host_module WHERE business_id = $1", $filter),
            page: concat!("SELECT id, document FROM host WHERE id IN (SELECT DISTINCT host_id FROM host_module WHERE business_id = $1",
                $filter, " ORDER BY host_id", $limit, ") ORDER BY id"),
            all: concat!("SELECT id, document FROM host WHERE id IN (SELECT host_id FROM host_module WHERE business_id = $1",
                $filter, ") ORDER BY id"),
        }
    };
}

struct Filtered {
    count: &'static str,
    page: &'static str,
    all: &'static str,
}

/// By the bits: 1 sets, 2 modules. Served by `host_module_module` where modules are named, else by `host_module_business`.
const FILTERED: [Filtered; 4] = [
    filtered!("", " LIMIT $2 OFFSET $3"),
    filtered!(" AND set_id {in $2}", " LIMIT $3 OFFSET $4"),
    filtered!(" AND module_id {in $2}", " LIMIT $3 OFFSET $4"),
    filtered!(" AND set_id {in $2} AND module_id {in $3}", " LIMIT $4 OFFSET $5"),
];

pub(crate) fn filtered_statements() -> impl Iterator<Item = &'static str> {
    FILTERED.iter().flat_map(|filtered| [filtered.page, filtered.count, filtered.all])
}

crate::statements! {
    /// Served by `host_module_module`.
    HOSTS_IN_MODULE = "SELECT host_id FROM host_module WHERE module_id = $1 AND host_id {in $2}";
    /// Served by `host_module_module`.
    COUNT_IN_MODULES = "SELECT module_id, count(*) FROM host_module {index host_module_module}
        WHERE module_id {in $2} AND business_id = $1 GROUP BY module_id";
    /// Served by `module_set` and `host_module_module`.
    COUNT_IN_SETS = "SELECT m.set_id, count(DISTINCT r.host_id) FROM module m
        CROSS JOIN host_module r {index host_module_module}
        WHERE m.business_id = $1 AND m.set_id {in $2} AND r.module_id = m.id GROUP BY m.set_id";
    /// Served by `host_module_host`.
    MODULES_OF_HOSTS = "SELECT host_id, module_id, business_id FROM host_module WHERE host_id {in $1}
        ORDER BY host_id, module_id";
    /// Served by the primary key.
    ADDRESSES = "SELECT id, inner_ip, inner_ip_v6, outer_ip, outer_ip_v6 FROM host WHERE id {in $1}";
    /// Served by the primary key.
    ADDRESSES_OF_ONE = "SELECT id, inner_ip, inner_ip_v6, outer_ip, outer_ip_v6 FROM host WHERE id = $1";
    /// Served by `host_module_module` and the primary key.
    ADDRESSES_OF_MODULES = "SELECT h.id, h.inner_ip, h.inner_ip_v6, h.outer_ip, h.outer_ip_v6, r.module_id FROM host_module r
        {index host_module_module} JOIN host h ON h.id = r.host_id WHERE r.module_id {in $2} AND r.business_id = $1";
    /// Served by `host_module_module`.
    IDS_OF_MODULES = "SELECT r.module_id, r.host_id FROM host_module r {index host_module_module}
        WHERE r.module_id {in $2} AND r.business_id = $1 ORDER BY r.module_id, r.host_id";
    /// Served by the primary keys of both tables.
    PLACES = "SELECT module.id, module.business_id, module.set_id, module.kind, module.name, topology_set.name
        FROM module JOIN topology_set ON topology_set.id = module.set_id WHERE module.id {in $1}";
    /// Served by the primary key.
    LOCK = "{only postgres} SELECT id FROM host WHERE id {in $1} ORDER BY id FOR UPDATE";
    /// Served by the primary key.
    LOCK_SHARED = "{only postgres} SELECT id FROM host WHERE id {in $1} ORDER BY id FOR SHARE";
    /// Served by `host_module_host`.
    LEAVE = "DELETE FROM host_module WHERE host_id {in $1} AND module_id {in $2}";
    JOIN_MODULE for many = "INSERT INTO host_module (business_id, set_id, module_id, host_id) VALUES ($1, $2, $3, $4)";
    /// Served by `host_address_address`.
    HOLDERS = "SELECT cloud_id, address, host_id FROM host_address WHERE address {in $1}";
    /// Served by `host_agent`.
    AGENTS = "SELECT agent_id, id FROM host WHERE agent_id IS NOT NULL AND agent_id {in $1}";
    /// Served by the primary key.
    DOCUMENTS = "SELECT id, document FROM host WHERE id {in $1} ORDER BY id";
    INSERT for many = "INSERT INTO host (id, cloud_id, inner_ip, inner_ip_v6, outer_ip, outer_ip_v6, agent_id, document)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    INSERT_ADDRESS for many = "INSERT INTO host_address (cloud_id, address, host_id) VALUES ($1, $2, $3)";
    /// Served by the primary key.
    UPDATE for many = "UPDATE host SET outer_ip = $2, outer_ip_v6 = $3, document = $4 WHERE id = $1";
}

/// Which of these hosts are in a module.
pub fn in_module(tx: &mut dyn Tx, module: ModuleId, hosts: &[HostId]) -> Result<Vec<HostId>, StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    tx.list(HOSTS_IN_MODULE, &[module.get().into(), Param::Ids(&hosts)], |row| Ok(HostId(row.int(0)?)))
}

/// How many hosts are in each of these modules of a business. Those without any are left out.
pub fn count_in_modules(
    tx: &mut dyn Tx,
    business: BusinessId,
    modules: &[i64],
) -> Result<HashMap<ModuleId, i64>, StoreError> {
    let params = [business.get().into(), Param::Ids(modules)];
    let counts = tx.list(COUNT_IN_MODULES, &params, |row| Ok((ModuleId(row.int(0)?), row.int(1)?)))?;
    Ok(counts.into_iter().collect())
}

/// How many hosts are in the modules of each of these sets of a business, each once. Those without any are left out.
pub fn count_in_sets(tx: &mut dyn Tx, business: BusinessId, sets: &[i64]) -> Result<HashMap<SetId, i64>, StoreError> {
    let params = [business.get().into(), Param::Ids(sets)];
    let counts = tx.list(COUNT_IN_SETS, &params, |row| Ok((SetId(row.int(0)?), row.int(1)?)))?;
    Ok(counts.into_iter().collect())
}

/// Keeps others from moving or changing these hosts until the end of the transaction, and from making instances on them. To be
/// called before anything about them is read.
pub fn lock(tx: &mut dyn Tx, hosts: &[HostId]) -> Result<(), StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    tx.query(LOCK, &[Param::Ids(&hosts)], &mut |_| Ok(()))
}

/// Keeps others from moving or changing these hosts until the end of the transaction.
pub fn lock_shared(tx: &mut dyn Tx, hosts: &[HostId]) -> Result<(), StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    tx.query(LOCK_SHARED, &[Param::Ids(&hosts)], &mut |_| Ok(()))
}

/// A host in a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostModuleRow {
    pub host_id: HostId,
    pub module_id: ModuleId,
    pub business_id: BusinessId,
}

/// All modules that these hosts are in, host by host.
pub fn modules_of(tx: &mut dyn Tx, hosts: &[HostId]) -> Result<Vec<HostModuleRow>, StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    tx.list(MODULES_OF_HOSTS, &[Param::Ids(&hosts)], |row| {
        Ok(HostModuleRow {
            host_id: HostId(row.int(0)?),
            module_id: ModuleId(row.int(1)?),
            business_id: BusinessId(row.int(2)?),
        })
    })
}

fn read_addresses(row: &dyn Row) -> Result<(HostId, HostAddresses), StoreError> {
    let addresses = HostAddresses {
        inner_v4: row.text(1)?.to_owned(),
        inner_v6: row.text(2)?.to_owned(),
        outer_v4: row.text(3)?.to_owned(),
        outer_v6: row.text(4)?.to_owned(),
    };
    Ok((HostId(row.int(0)?), addresses))
}

/// The addresses of hosts.
pub fn addresses(tx: &mut dyn Tx, hosts: &[HostId]) -> Result<HashMap<HostId, HostAddresses>, StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    let rows = tx.list(ADDRESSES, &[Param::Ids(&hosts)], read_addresses)?;
    Ok(rows.into_iter().collect())
}

/// Hands over the hosts of modules of a business with their addresses.
pub fn each_of_modules(
    tx: &mut dyn Tx,
    business: BusinessId,
    modules: &[ModuleId],
    each: &mut dyn FnMut(ModuleId, HostId, HostAddresses),
) -> Result<(), StoreError> {
    let ids: Vec<_> = modules.iter().map(|id| id.get()).collect();
    tx.query(ADDRESSES_OF_MODULES, &[business.get().into(), Param::Ids(&ids)], &mut |row| {
        let (host, addresses) = read_addresses(row)?;
        each(ModuleId(row.int(5)?), host, addresses);
        Ok(())
    })
}

/// Hands over the hosts of modules of a business, module by module in order of the hosts' ids.
pub fn each_id_of_modules(
    tx: &mut dyn Tx,
    business: BusinessId,
    modules: &[ModuleId],
    each: &mut dyn FnMut(ModuleId, HostId),
) -> Result<(), StoreError> {
    let ids: Vec<_> = modules.iter().map(|id| id.get()).collect();
    tx.query(IDS_OF_MODULES, &[business.get().into(), Param::Ids(&ids)], &mut |row| {
        each(ModuleId(row.int(0)?), HostId(row.int(1)?));
        Ok(())
    })
}

/// The addresses of one host: taking a list apart costs SQLite more than the search itself.
pub fn find_addresses(tx: &mut dyn Tx, host: HostId) -> Result<Option<HostAddresses>, StoreError> {
    Ok(tx.find(ADDRESSES_OF_ONE, &[host.get().into()], read_addresses)?.map(|(_, addresses)| addresses))
}

/// A module with what the audit tells of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceRow {
    pub module_id: ModuleId,
    pub business_id: BusinessId,
    pub set_id: SetId,
    /// `default` on the wire: 0 an ordinary module, else a built-in one.
    pub kind: i64,
    pub module_name: String,
    pub set_name: String,
}

/// Modules with the names of their sets, of whatever business; those that are not there are left out.
pub fn places(tx: &mut dyn Tx, modules: &[ModuleId]) -> Result<Vec<PlaceRow>, StoreError> {
    let modules: Vec<_> = modules.iter().map(|id| id.get()).collect();
    tx.list(PLACES, &[Param::Ids(&modules)], |row| {
        Ok(PlaceRow {
            module_id: ModuleId(row.int(0)?),
            business_id: BusinessId(row.int(1)?),
            set_id: SetId(row.int(2)?),
            kind: row.int(3)?,
            module_name: row.text(4)?.to_owned(),
            set_name: row.text(5)?.to_owned(),
        })
    })
}

/// Takes each of these hosts out of each of these modules.
pub fn leave(tx: &mut dyn Tx, hosts: &[HostId], modules: &[ModuleId]) -> Result<usize, StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    let modules: Vec<_> = modules.iter().map(|id| id.get()).collect();
    tx.execute(LEAVE, &[Param::Ids(&hosts), Param::Ids(&modules)])
}

/// A host that is put into a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joining {
    pub host_id: HostId,
    pub module_id: ModuleId,
    pub set_id: SetId,
    pub business_id: BusinessId,
}

/// Puts hosts into modules.
pub fn join(tx: &mut dyn Tx, rows: &[Joining]) -> Result<(), StoreError> {
    let ids = |row: &Joining| [row.business_id.get(), row.set_id.get(), row.module_id.get(), row.host_id.get()];
    let params: Vec<_> = rows.iter().flat_map(ids).map(Param::Int).collect();
    tx.execute_many(JOIN_MODULE, 4, &params)
}

/// An address that one host alone may have in its cloud area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAddressRow {
    pub cloud_id: CloudAreaId,
    pub address: String,
    pub host_id: HostId,
}

/// Who holds these addresses, in any cloud area.
pub fn holders_of_addresses<'a>(
    tx: &mut dyn Tx,
    addresses: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<HeldAddressRow>, StoreError> {
    let addresses: Vec<_> = addresses.into_iter().collect();
    tx.list(HOLDERS, &[Param::Texts(&addresses)], |row| {
        let (cloud_id, host_id) = (CloudAreaId(row.int(0)?), HostId(row.int(2)?));
        Ok(HeldAddressRow { cloud_id, address: row.text(1)?.to_owned(), host_id })
    })
}

/// The hosts of these agents.
pub fn holders_of_agents<'a>(
    tx: &mut dyn Tx,
    agents: impl IntoIterator<Item = &'a str>,
) -> Result<HashMap<String, HostId>, StoreError> {
    let agents: Vec<_> = agents.into_iter().collect();
    let rows = tx.list(AGENTS, &[Param::Texts(&agents)], |row| Ok((row.text(0)?.to_owned(), HostId(row.int(1)?))))?;
    Ok(rows.into_iter().collect())
}

/// Hands over the wire documents of hosts; those that are not there are left out.
pub fn each_document(
    tx: &mut dyn Tx,
    hosts: &[HostId],
    each: &mut dyn FnMut(HostId, &str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    tx.query(DOCUMENTS, &[Param::Ids(&hosts)], &mut |row| each(HostId(row.int(0)?), row.text(1)?))
}

/// A host as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct HostRow {
    pub id: HostId,
    pub cloud_id: CloudAreaId,
    pub addresses: HostAddresses,
    /// The agent on it, if one is known.
    pub agent_id: Option<String>,
    /// The addresses it alone may have in its cloud area: none while its addressing is dynamic.
    pub held_addresses: Vec<String>,
    /// JSON text.
    pub document: String,
}

/// Stores new hosts.
pub fn insert(tx: &mut dyn Tx, hosts: &[HostRow]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(hosts.len() * 8);
    let mut addresses = Vec::with_capacity(hosts.len() * 3);
    for host in hosts {
        params.extend([
            Param::Int(host.id.get()),
            host.cloud_id.get().into(),
            (&host.addresses.inner_v4).into(),
            (&host.addresses.inner_v6).into(),
            (&host.addresses.outer_v4).into(),
            (&host.addresses.outer_v6).into(),
            host.agent_id.as_deref().into(),
            (&host.document).into(),
        ]);
        for address in &host.held_addresses {
            addresses.extend([Param::Int(host.cloud_id.get()), address.into(), host.id.get().into()]);
        }
    }
    tx.execute_many(INSERT, 8, &params)?;
    tx.execute_many(INSERT_ADDRESS, 3, &addresses)
}

/// What may change of a host: not its area, inner addresses and agent.
#[derive(Debug, Clone, PartialEq)]
pub struct HostUpdate {
    pub id: HostId,
    pub outer_v4: String,
    pub outer_v6: String,
    /// JSON text.
    pub document: String,
}

/// Stores changed hosts.
pub fn update(tx: &mut dyn Tx, hosts: &[HostUpdate]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(hosts.len() * 4);
    for host in hosts {
        params.extend([
            Param::Int(host.id.get()),
            (&host.outer_v4).into(),
            (&host.outer_v6).into(),
            (&host.document).into(),
        ]);
    }
    tx.execute_many(UPDATE, 4, &params)
}

/// Which hosts of a business are meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostFilter {
    pub set_ids: Option<Vec<SetId>>,
    pub module_ids: Option<Vec<ModuleId>>,
}

/// How many hosts of a business match.
pub fn count(tx: &mut dyn Tx, business: BusinessId, filter: &HostFilter) -> Result<usize, StoreError> {
    let bound = Bound::new(filter);
    crate::engine::size(tx.number(bound.statements().count, &bound.params(business))?)
}

/// Hands over the wire documents of the hosts of a page, in order of their ids.
pub fn each_of_page(
    tx: &mut dyn Tx,
    business: BusinessId,
    filter: &HostFilter,
    (start, limit): (usize, usize),
    each: &mut dyn FnMut(&str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let bound = Bound::new(filter);
    let mut params = bound.params(business);
    params.extend([limit, start].map(|number| Param::Int(i64::try_from(number).unwrap_or(i64::MAX))));
    tx.query(bound.statements().page, &params, &mut |row| each(row.text(1)?))
}

/// Hands over the wire documents of all hosts that match, in order of their ids.
pub fn each_of_business(
    tx: &mut dyn Tx,
    business: BusinessId,
    filter: &HostFilter,
    each: &mut dyn FnMut(&str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let bound = Bound::new(filter);
    tx.query(bound.statements().all, &bound.params(business), &mut |row| each(row.text(1)?))
}

/// A filter as parameters.
struct Bound<'a> {
    filter: &'a HostFilter,
    sets: Vec<i64>,
    modules: Vec<i64>,
}

impl<'a> Bound<'a> {
    fn new(filter: &'a HostFilter) -> Self {
        let sets: Vec<_> = filter.set_ids.iter().flatten().map(|id| id.get()).collect();
        let modules: Vec<_> = filter.module_ids.iter().flatten().map(|id| id.get()).collect();
        Self { filter, sets, modules }
    }

    fn statements(&self) -> &'static Filtered {
        let sets = usize::from(self.filter.set_ids.is_some());
        let modules = usize::from(self.filter.module_ids.is_some());
        &FILTERED[sets + 2 * modules]
    }

    fn params(&self, business: BusinessId) -> Vec<Param<'_>> {
        let mut params = vec![Param::Int(business.get())];
        params.extend(self.filter.set_ids.as_ref().map(|_| Param::Ids(&self.sets)));
        params.extend(self.filter.module_ids.as_ref().map(|_| Param::Ids(&self.modules)));
        params
    }
}
