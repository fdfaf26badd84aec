//! Service instances.

use crate::dialect::id_list;
use crate::{Param, StoreError, Tx};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ServiceInstanceId};
use rollcall_domain::service_instance::NewServiceInstance;

/// A page and a count for one combination of filters. `$1` business, `$2` text to look for in the name, `$3` module, `$4` hosts,
/// `$5` instances, `$6` and `$7` limit and offset.
macro_rules! filtered {
    ($($filter:literal)?) => {
        Filtered {
            count: concat!("SELECT count(*) FROM service_instance WHERE business_id = $1 AND {has name $2}", $($filter)?),
            pages: [
                filtered!(@page $($filter)?; "id"),
                filtered!(@page $($filter)?; "id DESC"),
                filtered!(@page $($filter)?; "name, id"),
                filtered!(@page $($filter)?; "name DESC, id DESC"),
            ],
        }
    };
    (@page $($filter:literal)?; $order:literal) => {
        concat!("SELECT id, document FROM service_instance WHERE business_id = $1 AND {has name $2}", $($filter,)?
            " ORDER BY ", $order, " LIMIT $6 OFFSET $7")
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
    filtered!(),
    filtered!(" AND module_id = $3"),
    filtered!(" AND host_id IN {ids $4}"),
    filtered!(" AND module_id = $3 AND host_id IN {ids $4}"),
    filtered!(" AND id IN {ids $5}"),
    filtered!(" AND id IN {ids $5} AND module_id = $3"),
    filtered!(" AND id IN {ids $5} AND host_id IN {ids $4}"),
    filtered!(" AND id IN {ids $5} AND module_id = $3 AND host_id IN {ids $4}"),
];

pub(crate) fn filtered_statements() -> impl Iterator<Item = &'static str> {
    FILTERED.iter().flat_map(|filtered| filtered.pages.into_iter().chain([filtered.count]))
}

crate::statements! {
    /// Served by the primary key.
    FIND = "SELECT business_id, module_id, host_id, service_template_id, name FROM service_instance WHERE id = $1";
    INSERT = "INSERT INTO service_instance (id, business_id, module_id, host_id, service_template_id, name, document)
        VALUES ($1, $2, $3, $4, 0, $5, $6)";
    /// Served by `service_instance_host`.
    LIST_LEAVING = "SELECT id, module_id, host_id, name, document FROM service_instance
        WHERE business_id = $1 AND host_id IN {ids $2} AND module_id NOT IN {ids $3} ORDER BY id";
    /// Served by the primary key.
    DELETE = "DELETE FROM service_instance WHERE business_id = $1 AND id IN {ids $2}";
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

/// An instance by its id, of whatever business.
pub fn find(tx: &mut dyn Tx, id: ServiceInstanceId) -> Result<Option<ServiceInstanceRow>, StoreError> {
    tx.find(FIND, &[id.get().into()], |row| {
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
    tx.insert_many(INSERT, 6, &params)
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
    let number = tx.number(bound.statements().count, &bound.params(business)[..5])?;
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
    params[5] = i64::try_from(limit).unwrap_or(i64::MAX).into();
    params[6] = i64::try_from(start).unwrap_or(i64::MAX).into();
    tx.query(bound.statements().pages[order as usize], &params, &mut |row| {
        each(ServiceInstanceId(row.int(0)?), row.text(1)?);
        Ok(())
    })
}

/// A filter as parameters.
struct Bound<'a> {
    filter: &'a ServiceInstanceFilter,
    hosts: String,
    ids: String,
}

impl<'a> Bound<'a> {
    fn new(filter: &'a ServiceInstanceFilter) -> Self {
        let hosts = id_list(filter.host_ids.iter().flatten().map(|id| id.get()));
        let ids = id_list(filter.ids.iter().flatten().map(|id| id.get()));
        Self { filter, hosts, ids }
    }

    fn statements(&self) -> &'static Filtered {
        let bit = |set: bool, bit: usize| if set { bit } else { 0 };
        let filter = self.filter;
        &FILTERED[bit(filter.module_id.is_some(), 1) + bit(filter.host_ids.is_some(), 2) + bit(filter.ids.is_some(), 4)]
    }

    fn params(&self, business: BusinessId) -> [Param<'_>; 7] {
        let module = self.filter.module_id.map_or(0, ModuleId::get);
        [
            business.get().into(),
            (&self.filter.name_contains).into(),
            module.into(),
            (&self.hosts).into(),
            (&self.ids).into(),
            Param::Int(0),
            Param::Int(0),
        ]
    }
}

/// An instance that is about to go, with what its audit and its events need.
#[derive(Debug, Clone, PartialEq)]
pub struct LeavingInstance {
    pub id: ServiceInstanceId,
    pub module_id: ModuleId,
    pub host_id: HostId,
    pub name: String,
    /// Without its closing brace.
    pub document: String,
}

/// The instances of these hosts in modules other than those that stay.
pub fn list_leaving(
    tx: &mut dyn Tx,
    business: BusinessId,
    hosts: &[HostId],
    staying: &[ModuleId],
) -> Result<Vec<LeavingInstance>, StoreError> {
    let hosts = id_list(hosts.iter().map(|id| id.get()));
    let staying = id_list(staying.iter().map(|id| id.get()));
    tx.list(LIST_LEAVING, &[business.get().into(), (&hosts).into(), (&staying).into()], |row| {
        Ok(LeavingInstance {
            id: ServiceInstanceId(row.int(0)?),
            module_id: ModuleId(row.int(1)?),
            host_id: HostId(row.int(2)?),
            name: row.text(3)?.to_owned(),
            document: row.text(4)?.to_owned(),
        })
    })
}

/// Removes instances; their processes must have gone before.
pub fn delete(tx: &mut dyn Tx, business: BusinessId, ids: &[ServiceInstanceId]) -> Result<usize, StoreError> {
    let ids = id_list(ids.iter().map(|id| id.get()));
    tx.execute(DELETE, &[business.get().into(), (&ids).into()])
}
