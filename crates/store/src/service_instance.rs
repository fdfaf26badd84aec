//! Service instances.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ProcessId, ServiceInstanceId};
use rollcall_domain::service_instance::NewServiceInstance;

/// The count and the pages of one combination of filters. `$1` is the business, `$2` a text to look for in the name; behind them
/// come the values of the filters in the order module, hosts, instances, then limit and offset.
macro_rules! filtered {
    ($filter:literal, $limit:literal) => {
        Filtered {
            count: concat!("SELECT count(*) FROM service_instance WHERE business_id = $1 AND {has name $2}", $filter),
            pages: [
                filtered!(@page $filter, $limit, "id"),
                filtered!(@page $filter, $limit, "id DESC"),
                filtered!(@page $filter, $limit, "name, id"),
                filtered!(@page $filter, $limit, "name DESC, id DESC"),
            ],
        }
    };
    (@page $filter:literal, $limit:literal, $order:literal) => {
        concat!("SELECT id, document FROM service_instance WHERE business_id = $1 AND {has name $2}", $filter,
            " ORDER BY ", $order, $limit)
    };
}

struct Filtered {
    count: &'static str,
    /// By [`Order`].
    pages: [&'static str; 4],
}

/// By the bits: 1 module, 2 hosts, 4 instances. Served by `service_instance_module`, `service_instance_host`, the primary key,
/// else `service_instance_business`.
const FILTERED: [Filtered; 8] = [
    filtered!("", " LIMIT $3 OFFSET $4"),
    filtered!(" AND module_id = $3", " LIMIT $4 OFFSET $5"),
    filtered!(" AND host_id {in $3}", " LIMIT $4 OFFSET $5"),
    filtered!(" AND module_id = $3 AND host_id {in $4}", " LIMIT $5 OFFSET $6"),
    filtered!(" AND id {in $3}", " LIMIT $4 OFFSET $5"),
    filtered!(" AND module_id = $3 AND id {in $4}", " LIMIT $5 OFFSET $6"),
    filtered!(" AND host_id {in $3} AND id {in $4}", " LIMIT $5 OFFSET $6"),
    filtered!(" AND module_id = $3 AND host_id {in $4} AND id {in $5}", " LIMIT $6 OFFSET $7"),
];

pub(crate) fn filtered_statements() -> impl Iterator<Item = &'static str> {
    FILTERED.iter().flat_map(|filtered| filtered.pages.into_iter().chain([filtered.count]))
}

crate::statements! {
    /// Served by the primary key.
    LOCATE = "SELECT business_id FROM {service_instance_locator} WHERE id = $1";
    /// Served by the primary key.
    LOCK = "SELECT business_id, module_id, host_id, service_template_id, name FROM service_instance
        WHERE business_id = $1 AND id = $2 {for update}";
    /// Served by the primary key.
    LOCK_MANY = "SELECT id, module_id, host_id, name, document FROM service_instance
        WHERE business_id = $1 AND id {in $2} ORDER BY id {for update}";
    /// Served by the primary keys of both tables.
    LOCK_OF_PROCESSES = "SELECT id, module_id, host_id, name, document FROM service_instance
        WHERE business_id = $1 AND id IN (SELECT service_instance_id FROM process WHERE business_id = $1 AND id {in $2})
        ORDER BY id {for update}";
    INSERT for many = "INSERT INTO service_instance (id, business_id, module_id, host_id, service_template_id, name, document)
        VALUES ($1, $2, $3, $4, 0, $5, $6)";
    /// Served by `service_instance_host`.
    LIST_LEAVING = "SELECT id, module_id, host_id, name, document FROM service_instance
        WHERE business_id = $1 AND host_id {in $2} AND module_id {not in $3} ORDER BY id {for update}";
    /// Served by the primary key.
    DELETE = "DELETE FROM service_instance WHERE business_id = $1 AND id {in $2}";
    INSERT_LOCATOR for many = "{only postgres} INSERT INTO service_instance_locator (id, business_id) VALUES ($1, $2)";
    /// Served by the primary key.
    DELETE_LOCATOR = "{only postgres} DELETE FROM service_instance_locator WHERE id {in $1}";
}

/// The key columns of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceInstanceRow {
    pub business_id: BusinessId,
    pub module_id: ModuleId,
    pub host_id: HostId,
    /// 0: the instance follows no template.
    pub service_template_id: i64,
    pub name: String,
}

/// The business of an instance.
pub fn locate(tx: &mut dyn Tx, id: ServiceInstanceId) -> Result<Option<BusinessId>, StoreError> {
    tx.find(LOCATE, &[id.get().into()], |row| Ok(BusinessId(row.int(0)?)))
}

/// An instance of a business, kept as it is until the end of the transaction: nobody else changes it or its processes.
pub fn lock(
    tx: &mut dyn Tx,
    business: BusinessId,
    id: ServiceInstanceId,
) -> Result<Option<ServiceInstanceRow>, StoreError> {
    tx.find(LOCK, &[business.get().into(), id.get().into()], |row| {
        Ok(ServiceInstanceRow {
            business_id: BusinessId(row.int(0)?),
            module_id: ModuleId(row.int(1)?),
            host_id: HostId(row.int(2)?),
            service_template_id: row.int(3)?,
            name: row.text(4)?.to_owned(),
        })
    })
}

/// Stores instances that follow no template, with their wire documents.
pub fn insert(tx: &mut dyn Tx, instances: &[(NewServiceInstance<'_>, String)]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(instances.len() * 6);
    for (instance, document) in instances {
        params.extend([
            Param::Int(instance.id.get()),
            instance.business_id.get().into(),
            instance.module_id.get().into(),
            instance.host_id.get().into(),
            instance.name.into(),
            document.into(),
        ]);
    }
    tx.execute_many(INSERT, 6, &params)?;
    insert_locators(tx, instances.iter().map(|(it, _)| (it.id.get(), it.business_id.get())))
}

/// Remembers, where that is kept apart, of which businesses instances are.
pub(crate) fn insert_locators(tx: &mut dyn Tx, places: impl Iterator<Item = (i64, i64)>) -> Result<(), StoreError> {
    let places = places.flat_map(|(id, business)| [Param::Int(id), Param::Int(business)]);
    tx.execute_many(INSERT_LOCATOR, 2, &places.collect::<Vec<_>>())
}

/// Which instances of a business are meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceInstanceFilter {
    pub module_id: Option<ModuleId>,
    pub host_ids: Option<Vec<HostId>>,
    pub ids: Option<Vec<ServiceInstanceId>>,
    /// A text that the name contains, its case counting; "" for any name.
    pub name_contains: String,
}

/// How a page is ordered; ties by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Oldest = 0,
    Newest = 1,
    Name = 2,
    NameBackwards = 3,
}

/// How many instances match.
pub fn count(tx: &mut dyn Tx, business: BusinessId, filter: &ServiceInstanceFilter) -> Result<usize, StoreError> {
    let bound = Bound::new(filter);
    let number = tx.number(bound.statements().count, &bound.params(business))?;
    usize::try_from(number).map_err(|_| StoreError::Unreadable("a count below zero".into()))
}

/// Hands over the id and the wire document (without its closing brace) of the instances of a page.
pub fn each_of_page(
    tx: &mut dyn Tx,
    business: BusinessId,
    filter: &ServiceInstanceFilter,
    order: Order,
    (start, limit): (usize, usize),
    each: &mut dyn FnMut(ServiceInstanceId, &str),
) -> Result<(), StoreError> {
    let bound = Bound::new(filter);
    let mut params = bound.params(business);
    params.extend([limit, start].map(|rows| Param::Int(i64::try_from(rows).unwrap_or(i64::MAX))));
    tx.query(bound.statements().pages[order as usize], &params, &mut |row| {
        each(ServiceInstanceId(row.int(0)?), row.text(1)?);
        Ok(())
    })
}

/// A filter as parameters.
struct Bound<'a> {
    filter: &'a ServiceInstanceFilter,
    hosts: Vec<i64>,
    ids: Vec<i64>,
}

impl<'a> Bound<'a> {
    fn new(filter: &'a ServiceInstanceFilter) -> Self {
        let hosts: Vec<_> = filter.host_ids.iter().flatten().map(|id| id.get()).collect();
        let ids: Vec<_> = filter.ids.iter().flatten().map(|id| id.get()).collect();
        Self { filter, hosts, ids }
    }

    fn statements(&self) -> &'static Filtered {
        let bit = |set: bool, bit: usize| if set { bit } else { 0 };
        let filter = self.filter;
        &FILTERED[bit(filter.module_id.is_some(), 1) + bit(filter.host_ids.is_some(), 2) + bit(filter.ids.is_some(), 4)]
    }

    fn params(&self, business: BusinessId) -> Vec<Param<'_>> {
        let mut params = vec![business.get().into(), (&self.filter.name_contains).into()];
        params.extend(self.filter.module_id.map(|module| Param::Int(module.get())));
        params.extend(self.filter.host_ids.as_ref().map(|_| Param::Ids(&self.hosts)));
        params.extend(self.filter.ids.as_ref().map(|_| Param::Ids(&self.ids)));
        params
    }
}

/// An instance that is kept as it is until the end of the transaction, with what audit and events tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedInstance {
    pub id: ServiceInstanceId,
    pub module_id: ModuleId,
    pub host_id: HostId,
    pub name: String,
    /// Without its closing brace.
    pub document: String,
}

fn read_locked(row: &dyn Row) -> Result<LockedInstance, StoreError> {
    Ok(LockedInstance {
        id: ServiceInstanceId(row.int(0)?),
        module_id: ModuleId(row.int(1)?),
        host_id: HostId(row.int(2)?),
        name: row.text(3)?.to_owned(),
        document: row.text(4)?.to_owned(),
    })
}

/// Those of these instances that are of the business, in order of their ids, kept as they are until the end of the transaction:
/// nobody else changes them or their processes.
pub fn lock_many(
    tx: &mut dyn Tx,
    business: BusinessId,
    ids: &[ServiceInstanceId],
) -> Result<Vec<LockedInstance>, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.list(LOCK_MANY, &[business.get().into(), Param::Ids(&ids)], read_locked)
}

/// The instances that these processes of a business are of, in order of their ids, kept as they are until the end of the
/// transaction: nobody else changes them or their processes.
pub fn lock_of_processes(
    tx: &mut dyn Tx,
    business: BusinessId,
    processes: &[ProcessId],
) -> Result<Vec<LockedInstance>, StoreError> {
    let ids: Vec<_> = processes.iter().map(|id| id.get()).collect();
    tx.list(LOCK_OF_PROCESSES, &[business.get().into(), Param::Ids(&ids)], read_locked)
}

/// The instances of these hosts in modules other than those that stay, kept as they are until the end of the transaction.
pub fn list_leaving(
    tx: &mut dyn Tx,
    business: BusinessId,
    hosts: &[HostId],
    staying: &[ModuleId],
) -> Result<Vec<LockedInstance>, StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    let staying: Vec<_> = staying.iter().map(|id| id.get()).collect();
    tx.list(LIST_LEAVING, &[business.get().into(), Param::Ids(&hosts), Param::Ids(&staying)], read_locked)
}

/// Removes instances; their processes must have gone before.
pub fn delete(tx: &mut dyn Tx, business: BusinessId, ids: &[ServiceInstanceId]) -> Result<usize, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.execute(DELETE_LOCATOR, &[Param::Ids(&ids)])?;
    tx.execute(DELETE, &[business.get().into(), Param::Ids(&ids)])
}
