//! Service instances.

use crate::{Param, Row, StoreError, Tx};
use rollcall_domain::id::{BusinessId, HostId, ModuleId, ProcessId, ServiceInstanceId, ServiceTemplateId};
use rollcall_domain::label::Selectors;
use rollcall_domain::service_instance::NewServiceInstance;

/// The count and the pages of one combination of filters. `$1` is the business; behind it come the values of the filters in the order
/// module, hosts, instances, then, as far as they are asked for, a text in the name and selectors, then limit and offset. The numbers
/// are those of the parameters behind the filters.
macro_rules! filtered {
    ($filter:literal, $change:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        Filtered {
            plain: filtered!(@list ("WHERE business_id = $1", $filter), $change, $a, $b),
            named: filtered!(@list ("WHERE business_id = $1", $filter, " AND {has name $", $a, "}"), $change, $b, $c),
            selected: filtered!(@list ("WHERE business_id = $1", $filter, " AND {has name $", $a, "} AND {selected $", $b, "}"),
                $change, $c, $d),
            labelled: filtered!(@list ("WHERE business_id = $1", $filter, " AND labels IS NOT NULL AND {has name $", $a,
                "} AND {selected $", $b, "}"), $change, $c, $d),
        }
    };
    (@list $where:tt, $change:literal, $limit:literal, $offset:literal) => {
        List {
            count: filtered!(@count $where),
            pages: [
                filtered!(@page $where, ("id"), $limit, $offset),
                filtered!(@page $where, ("id DESC"), $limit, $offset),
                filtered!(@page $where, ("name, id"), $limit, $offset),
                filtered!(@page $where, ("name DESC, id DESC"), $limit, $offset),
                filtered!(@page $where, ($change, ", id"), $limit, $offset),
                filtered!(@page $where, ($change, " DESC, id DESC"), $limit, $offset),
            ],
        }
    };
    (@count ($($where:literal),*)) => { concat!("SELECT count(*) FROM service_instance ", $($where),*) };
    (@page ($($where:literal),*), ($($order:literal),*), $limit:literal, $offset:literal) => {
        concat!("SELECT id, document, labels FROM service_instance ", $($where,)* " ORDER BY ", $($order,)* " LIMIT $", $limit,
            " OFFSET $", $offset)
    };
}

/// A filtered list with its pages.
struct List {
    count: &'static str,
    /// By [`Order`].
    pages: [&'static str; 6],
}

struct Filtered {
    plain: List,
    /// With a text to look for in the name.
    named: List,
    /// The same, and with selectors.
    selected: List,
    /// The same, with selectors of which one wants a label. Without hosts and instances served by `service_instance_labels`.
    labelled: List,
}

/// By the bits: 1 module, 2 hosts, 4 instances. Served by `service_instance_module`, `service_instance_host`, the primary key,
/// else `service_instance_business`. In the order of the last change a list of a business is served by `service_instance_change`; what
/// is narrowed down is read and sorted, in the order of an expression that no engine takes for that index.
const FILTERED: [Filtered; 8] = [
    filtered!("", "{text open document last_time}", 2, 3, 4, 5),
    filtered!(" AND module_id = $2", "{text open document last_time} || ''", 3, 4, 5, 6),
    filtered!(" AND host_id {in $2}", "{text open document last_time} || ''", 3, 4, 5, 6),
    filtered!(" AND module_id = $2 AND host_id {in $3}", "{text open document last_time} || ''", 4, 5, 6, 7),
    filtered!(" AND id {in $2}", "{text open document last_time} || ''", 3, 4, 5, 6),
    filtered!(" AND module_id = $2 AND id {in $3}", "{text open document last_time} || ''", 4, 5, 6, 7),
    filtered!(" AND host_id {in $2} AND id {in $3}", "{text open document last_time} || ''", 4, 5, 6, 7),
    filtered!(
        " AND module_id = $2 AND host_id {in $3} AND id {in $4}",
        "{text open document last_time} || ''",
        5,
        6,
        7,
        8
    ),
];

/// The pages of a plain list behind the first one, by id forwards and backwards: what lies before a page is left out in the index, and
/// no row of it is read.
macro_rules! deep {
    ($filter:literal, $limit:literal, $offset:literal) => {
        [deep!(@page $filter, ">=", "id", $limit, $offset), deep!(@page $filter, "<=", "id DESC", $limit, $offset)]
    };
    (@page $filter:literal, $behind:literal, $order:literal, $limit:literal, $offset:literal) => {
        concat!("SELECT id, document, labels FROM service_instance WHERE business_id = $1", $filter, " AND id ", $behind,
            " (SELECT id FROM service_instance WHERE business_id = $1", $filter, " ORDER BY ", $order,
            " LIMIT 1 OFFSET $", $offset, ") ORDER BY ", $order, " LIMIT $", $limit)
    };
}

/// Of a business, served by `service_instance_business`, and of a module, served by `service_instance_module`.
const DEEP: [[&str; 2]; 2] = [deep!("", 2, 3), deep!(" AND module_id = $2", 3, 4)];

pub(crate) fn filtered_statements() -> impl Iterator<Item = &'static str> {
    let lists =
        FILTERED.iter().flat_map(|filtered| [&filtered.plain, &filtered.named, &filtered.selected, &filtered.labelled]);
    lists.flat_map(|list| list.pages.into_iter().chain([list.count])).chain(DEEP.into_iter().flatten())
}

crate::statements! {
    /// Served by the primary key.
    LOCATE = "SELECT business_id FROM {service_instance_locator} WHERE id = $1";
    /// Served by the primary key.
    LOCK = "SELECT business_id, module_id, host_id, service_template_id, name FROM service_instance
        WHERE business_id = $1 AND id = $2 {for update}";
    /// Served by the primary key.
    LOCK_MANY = "SELECT id, module_id, host_id, name, document, labels FROM service_instance
        WHERE business_id = $1 AND id {in $2} ORDER BY id {for update}";
    /// Served by the primary keys of both tables.
    LOCK_OF_PROCESSES = "SELECT id, module_id, host_id, name, document, labels FROM service_instance
        WHERE business_id = $1 AND id IN (SELECT service_instance_id FROM process {by id}
            WHERE business_id = $1 AND id {in $2})
        ORDER BY id {for update}";
    INSERT for many = "INSERT INTO service_instance (id, business_id, module_id, host_id, service_template_id, name, document)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    /// Served by `service_instance_bound`.
    HOSTS_WITH_BOUND = "SELECT host_id FROM service_instance {index service_instance_bound}
        WHERE business_id = $1 AND module_id = $2 AND service_template_id > 0 AND host_id {in $3} ORDER BY host_id";
    /// Served by `service_instance_host`.
    LIST_LEAVING = "SELECT id, module_id, host_id, name, document, labels FROM service_instance
        WHERE business_id = $1 AND host_id {in $2} AND module_id {not in $3} ORDER BY id {for update}";
    /// Served by `service_instance_bound`.
    LOCK_BOUND = "SELECT id, module_id, host_id, name, document, labels FROM service_instance {index service_instance_bound}
        WHERE business_id = $1 AND module_id = $2 AND service_template_id > 0 ORDER BY id {for update}";
    /// Served by `service_instance_host`.
    LOCK_BOUND_ON_HOSTS = "SELECT id, module_id, host_id, name, document, labels FROM service_instance {index service_instance_host}
        WHERE business_id = $1 AND host_id {in $2} AND service_template_id > 0 ORDER BY id {for update}";
    /// Served by `service_instance_bound`.
    LOCK_BOUND_ON = "SELECT id, module_id, host_id, name, document, labels FROM service_instance {index service_instance_bound}
        WHERE business_id = $1 AND module_id = $2 AND service_template_id > 0 AND host_id {in $3} ORDER BY id {for update}";
    /// Served by `service_instance_bound`.
    LIST_BOUND_ON = "SELECT id, module_id, host_id, name, document, labels FROM service_instance {index service_instance_bound}
        WHERE business_id = $1 AND module_id = $2 AND service_template_id > 0 AND host_id {in $3} ORDER BY id";
    /// Served by `service_instance_bound`.
    COUNT_BOUND = "SELECT module_id, count(*) FROM service_instance {index service_instance_bound}
        WHERE business_id = $1 AND module_id {in $2} AND service_template_id > 0 GROUP BY module_id";
    /// Served by `service_instance_bound`.
    LIST_BOUND = "SELECT id, host_id, name FROM service_instance {index service_instance_bound}
        WHERE business_id = $1 AND module_id = $2 AND service_template_id > 0 ORDER BY id";
    /// Served by the primary key.
    FIND = "SELECT business_id, module_id, host_id, service_template_id, name FROM service_instance
        WHERE business_id = $1 AND id = $2";
    /// Served by the primary key.
    UNBIND for many = "UPDATE service_instance SET service_template_id = 0, document = $3 WHERE business_id = $1 AND id = $2";
    /// Served by the primary key.
    RENAME for many = "UPDATE service_instance SET name = $3, document = $4 WHERE business_id = $1 AND id = $2";
    /// Served by the primary key.
    SET_LABELS for many = "UPDATE service_instance SET labels = $3 WHERE business_id = $1 AND id = $2";
    /// Served by `service_instance_template`.
    COUNT_BY_TEMPLATE = "SELECT service_template_id, count(*) FROM service_instance
        WHERE business_id = $1 AND service_template_id > 0 AND service_template_id {in $2} GROUP BY service_template_id";
    /// Served by `service_instance_template`.
    FIND_OF_TEMPLATE = "SELECT id FROM service_instance
        WHERE business_id = $1 AND service_template_id > 0 AND service_template_id = $2 LIMIT 1";
    /// Served by `service_instance_labels`.
    LABELS = "SELECT labels FROM service_instance WHERE business_id = $1 AND labels IS NOT NULL ORDER BY id";
    /// Served by `service_instance_module`.
    LABELS_OF_MODULE = "SELECT labels FROM service_instance
        WHERE business_id = $1 AND module_id = $2 AND labels IS NOT NULL ORDER BY id";
    /// Served by `topology_set_template`, `module_set` and `service_instance_module`.
    COUNT_OF_SET_TEMPLATE = "SELECT count(*) FROM service_instance WHERE business_id = $1 AND module_id IN (
        SELECT m.id FROM module m JOIN topology_set s ON s.id = m.set_id
        WHERE s.business_id = $1 AND s.set_template_id > 0 AND s.set_template_id = $2 AND m.business_id = $1)";
    /// Served by the same.
    PAGE_OF_SET_TEMPLATE = "SELECT id, document, labels FROM service_instance WHERE business_id = $1 AND module_id IN (
        SELECT m.id FROM module m JOIN topology_set s ON s.id = m.set_id
        WHERE s.business_id = $1 AND s.set_template_id > 0 AND s.set_template_id = $2 AND m.business_id = $1) ORDER BY id LIMIT $3 OFFSET $4";
    /// Served by `host_module_module` and `service_instance_host`.
    HOSTS_WITHOUT = "SELECT r.host_id FROM host_module r {index host_module_module}
        WHERE r.module_id = $2 AND r.business_id = $1 AND NOT EXISTS (
        SELECT 1 FROM service_instance s WHERE s.business_id = $1 AND s.host_id = r.host_id AND s.module_id = $2)
        ORDER BY r.host_id";
    /// Served by the same.
    HOSTS_WITHOUT_OF = "SELECT r.host_id FROM host_module r WHERE r.module_id = $2 AND r.business_id = $1
        AND r.host_id {in $3} AND NOT EXISTS (
        SELECT 1 FROM service_instance s WHERE s.business_id = $1 AND s.host_id = r.host_id AND s.module_id = $2)
        ORDER BY r.host_id";
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
    tx.find(LOCK, &[business.get().into(), id.get().into()], read_keys)
}

fn read_keys(row: &dyn Row) -> Result<ServiceInstanceRow, StoreError> {
    Ok(ServiceInstanceRow {
        business_id: BusinessId(row.int(0)?),
        module_id: ModuleId(row.int(1)?),
        host_id: HostId(row.int(2)?),
        service_template_id: row.int(3)?,
        name: row.text(4)?.to_owned(),
    })
}

/// The instances on hosts that follow a template, in order of their ids, kept as they are until the end of the transaction.
pub fn lock_bound_on_hosts(
    tx: &mut dyn Tx,
    business: BusinessId,
    hosts: &[HostId],
) -> Result<Vec<LockedInstance>, StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    tx.list(LOCK_BOUND_ON_HOSTS, &[business.get().into(), Param::Ids(&hosts)], read_locked)
}

/// The instances of a module that follow a template, in order of their ids, kept as they are until the end of the transaction.
pub fn lock_bound(tx: &mut dyn Tx, business: BusinessId, module: ModuleId) -> Result<Vec<LockedInstance>, StoreError> {
    tx.list(LOCK_BOUND, &[business.get().into(), module.get().into()], read_locked)
}

/// The same on some hosts, without keeping them.
pub fn list_bound_on(
    tx: &mut dyn Tx,
    business: BusinessId,
    module: ModuleId,
    hosts: &[HostId],
) -> Result<Vec<LockedInstance>, StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    tx.list(LIST_BOUND_ON, &[business.get().into(), module.get().into(), Param::Ids(&hosts)], read_locked)
}

/// The same on some hosts.
pub fn lock_bound_on(
    tx: &mut dyn Tx,
    business: BusinessId,
    module: ModuleId,
    hosts: &[HostId],
) -> Result<Vec<LockedInstance>, StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    tx.list(LOCK_BOUND_ON, &[business.get().into(), module.get().into(), Param::Ids(&hosts)], read_locked)
}

/// How many instances of modules follow a template. Modules without any are left out.
pub fn count_bound(
    tx: &mut dyn Tx,
    business: BusinessId,
    modules: &[ModuleId],
) -> Result<Vec<(ModuleId, usize)>, StoreError> {
    let ids: Vec<_> = modules.iter().map(|id| id.get()).collect();
    tx.list(COUNT_BOUND, &[business.get().into(), Param::Ids(&ids)], |row| {
        Ok((ModuleId(row.int(0)?), crate::engine::size(row.int(1)?)?))
    })
}

/// An instance of a module that follows a template.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundInstance {
    pub id: ServiceInstanceId,
    pub host_id: HostId,
    pub name: String,
}

/// The instances of a module that follow a template, in order of their ids.
pub fn list_bound(tx: &mut dyn Tx, business: BusinessId, module: ModuleId) -> Result<Vec<BoundInstance>, StoreError> {
    tx.list(LIST_BOUND, &[business.get().into(), module.get().into()], |row| {
        let (id, host_id) = (ServiceInstanceId(row.int(0)?), HostId(row.int(1)?));
        Ok(BoundInstance { id, host_id, name: row.text(2)?.to_owned() })
    })
}

/// An instance of a business.
pub fn find(
    tx: &mut dyn Tx,
    business: BusinessId,
    id: ServiceInstanceId,
) -> Result<Option<ServiceInstanceRow>, StoreError> {
    tx.find(FIND, &[business.get().into(), id.get().into()], read_keys)
}

/// Stores that instances follow no template any more.
pub fn unbind(
    tx: &mut dyn Tx,
    business: BusinessId,
    documents: &[(ServiceInstanceId, String)],
) -> Result<(), StoreError> {
    let params = documents.iter().flat_map(|(id, text)| [Param::Int(business.get()), id.get().into(), text.into()]);
    tx.execute_many(UNBIND, 3, &params.collect::<Vec<_>>())
}

/// Which of these hosts have an instance in a module that follows a template.
pub fn hosts_with_bound(
    tx: &mut dyn Tx,
    business: BusinessId,
    module: ModuleId,
    hosts: &[HostId],
) -> Result<Vec<HostId>, StoreError> {
    let hosts: Vec<_> = hosts.iter().map(|id| id.get()).collect();
    let params = [business.get().into(), module.get().into(), Param::Ids(&hosts)];
    tx.list(HOSTS_WITH_BOUND, &params, |row| row.int(0).map(HostId))
}

/// Stores instances that have no labels, with their documents.
pub fn insert(tx: &mut dyn Tx, instances: &[(NewServiceInstance<'_>, String)]) -> Result<(), StoreError> {
    let mut params = Vec::with_capacity(instances.len() * 7);
    for (instance, document) in instances {
        params.extend([
            Param::Int(instance.id.get()),
            instance.business_id.get().into(),
            instance.module_id.get().into(),
            instance.host_id.get().into(),
            instance.service_template_id.into(),
            instance.name.into(),
            document.into(),
        ]);
    }
    tx.execute_many(INSERT, 7, &params)?;
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
    /// What the labels must meet.
    pub selectors: Selectors,
}

/// An instance in a list, borrowed from the row it is read from.
#[derive(Debug, Clone, Copy)]
pub struct ListedInstance<'a> {
    pub id: ServiceInstanceId,
    /// Without labels and closing brace.
    pub document: &'a str,
    /// JSON text.
    pub labels: Option<&'a str>,
}

fn read_listed(row: &dyn Row) -> Result<ListedInstance<'_>, StoreError> {
    Ok(ListedInstance { id: ServiceInstanceId(row.int(0)?), document: row.text(1)?, labels: row.text_or_null(2)? })
}

/// How a page is ordered; ties by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Oldest = 0,
    Newest = 1,
    Name = 2,
    NameBackwards = 3,
    /// By the time of the last change.
    Unchanged = 4,
    Changed = 5,
}

/// How many instances match.
pub fn count(tx: &mut dyn Tx, business: BusinessId, filter: &ServiceInstanceFilter) -> Result<usize, StoreError> {
    let bound = Bound::new(filter);
    crate::engine::size(tx.number(bound.list().count, &bound.params(business))?)
}

/// Hands over the instances of a page.
pub fn each_of_page(
    tx: &mut dyn Tx,
    business: BusinessId,
    filter: &ServiceInstanceFilter,
    order: Order,
    (start, limit): (usize, usize),
    each: &mut dyn FnMut(ListedInstance<'_>),
) -> Result<(), StoreError> {
    let bound = Bound::new(filter);
    let mut params = bound.params(business);
    params.extend(window(start, limit));
    tx.query(bound.page(order, start), &params, &mut |row| {
        each(read_listed(row)?);
        Ok(())
    })
}

/// Limit and offset.
fn window(start: usize, limit: usize) -> [Param<'static>; 2] {
    [limit, start].map(|rows| Param::Int(i64::try_from(rows).unwrap_or(i64::MAX)))
}

/// A filter as parameters.
struct Bound<'a> {
    filter: &'a ServiceInstanceFilter,
    hosts: Vec<i64>,
    ids: Vec<i64>,
    selectors: String,
}

impl<'a> Bound<'a> {
    fn new(filter: &'a ServiceInstanceFilter) -> Self {
        let hosts: Vec<_> = filter.host_ids.iter().flatten().map(|id| id.get()).collect();
        let ids: Vec<_> = filter.ids.iter().flatten().map(|id| id.get()).collect();
        Self { filter, hosts, ids, selectors: filter.selectors.json() }
    }

    fn filtered(&self) -> &'static Filtered {
        let bit = |set: bool, bit: usize| if set { bit } else { 0 };
        let filter = self.filter;
        &FILTERED[bit(filter.module_id.is_some(), 1) + bit(filter.host_ids.is_some(), 2) + bit(filter.ids.is_some(), 4)]
    }

    fn is_selected(&self) -> bool {
        !self.filter.selectors.is_empty()
    }

    fn is_named(&self) -> bool {
        self.is_selected() || !self.filter.name_contains.is_empty()
    }

    fn list(&self) -> &'static List {
        let filtered = self.filtered();
        match (self.is_named(), self.is_selected()) {
            (false, _) => &filtered.plain,
            (true, false) => &filtered.named,
            (true, true) if self.filter.selectors.want_a_label() => &filtered.labelled,
            (true, true) => &filtered.selected,
        }
    }

    fn page(&self, order: Order, start: usize) -> &'static str {
        // Hosts and instances are found one by one, and to find them twice costs more than to leave rows out.
        let is_walk = !self.is_named() && self.filter.host_ids.is_none() && self.filter.ids.is_none();
        match order {
            Order::Oldest | Order::Newest if is_walk && start > 0 => {
                DEEP[usize::from(self.filter.module_id.is_some())][order as usize]
            }
            _ => self.list().pages[order as usize],
        }
    }

    fn params(&self, business: BusinessId) -> Vec<Param<'_>> {
        let mut params = vec![business.get().into()];
        params.extend(self.filter.module_id.map(|module| Param::Int(module.get())));
        params.extend(self.filter.host_ids.as_ref().map(|_| Param::Ids(&self.hosts)));
        params.extend(self.filter.ids.as_ref().map(|_| Param::Ids(&self.ids)));
        params.extend(self.is_named().then(|| Param::from(&self.filter.name_contains)));
        params.extend(self.is_selected().then(|| Param::from(&self.selectors)));
        params
    }
}

/// How many instances the modules have whose sets follow a set template.
pub fn count_of_set_template(tx: &mut dyn Tx, business: BusinessId, set_template: i64) -> Result<usize, StoreError> {
    crate::engine::size(tx.number(COUNT_OF_SET_TEMPLATE, &[business.get().into(), set_template.into()])?)
}

/// Hands over a page of them, in order of their ids.
pub fn each_of_set_template(
    tx: &mut dyn Tx,
    business: BusinessId,
    set_template: i64,
    (start, limit): (usize, usize),
    each: &mut dyn FnMut(ListedInstance<'_>),
) -> Result<(), StoreError> {
    let [limit, start] = window(start, limit);
    tx.query(PAGE_OF_SET_TEMPLATE, &[business.get().into(), set_template.into(), limit, start], &mut |row| {
        each(read_listed(row)?);
        Ok(())
    })
}

/// How many instances of a business follow each of these templates. Those without any are left out.
pub fn count_by_template(
    tx: &mut dyn Tx,
    business: BusinessId,
    templates: &[i64],
) -> Result<Vec<(ServiceTemplateId, i64)>, StoreError> {
    let params = [business.get().into(), Param::Ids(templates)];
    tx.list(COUNT_BY_TEMPLATE, &params, |row| Ok((ServiceTemplateId(row.int(0)?), row.int(1)?)))
}

/// Whether an instance follows a template.
pub fn uses_template(tx: &mut dyn Tx, business: BusinessId, template: ServiceTemplateId) -> Result<bool, StoreError> {
    Ok(tx.find(FIND_OF_TEMPLATE, &[business.get().into(), template.get().into()], |_| Ok(()))?.is_some())
}

/// Hosts of a module without an instance in it, in order of their ids; of these only, or of all.
pub fn hosts_without(
    tx: &mut dyn Tx,
    business: BusinessId,
    module: ModuleId,
    hosts: Option<&[i64]>,
) -> Result<Vec<i64>, StoreError> {
    let (business, module) = (business.get().into(), module.get().into());
    match hosts {
        None => tx.list(HOSTS_WITHOUT, &[business, module], |row| row.int(0)),
        Some(hosts) => tx.list(HOSTS_WITHOUT_OF, &[business, module, Param::Ids(hosts)], |row| row.int(0)),
    }
}

/// Hands over the labels of the instances of a business or a module that have any, in order of the ids, as JSON texts.
pub fn each_labels(
    tx: &mut dyn Tx,
    business: BusinessId,
    module: Option<ModuleId>,
    each: &mut dyn FnMut(&str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let business = business.get().into();
    match module {
        None => tx.query(LABELS, &[business], &mut |row| each(row.text(0)?)),
        Some(module) => tx.query(LABELS_OF_MODULE, &[business, module.get().into()], &mut |row| each(row.text(0)?)),
    }
}

/// An instance that is kept as it is until the end of the transaction, with what audit and events tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedInstance {
    pub id: ServiceInstanceId,
    pub module_id: ModuleId,
    pub host_id: HostId,
    pub name: String,
    /// Without labels and closing brace.
    pub document: String,
    /// JSON text.
    pub labels: Option<String>,
}

fn read_locked(row: &dyn Row) -> Result<LockedInstance, StoreError> {
    Ok(LockedInstance {
        id: ServiceInstanceId(row.int(0)?),
        module_id: ModuleId(row.int(1)?),
        host_id: HostId(row.int(2)?),
        name: row.text(3)?.to_owned(),
        document: row.text(4)?.to_owned(),
        labels: row.text_or_null(5)?.map(str::to_owned),
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

/// An instance's other name.
#[derive(Debug, Clone, PartialEq)]
pub struct Renaming {
    pub id: ServiceInstanceId,
    pub name: String,
    /// Without labels and closing brace.
    pub document: String,
}

/// Stores other names.
pub fn rename(tx: &mut dyn Tx, business: BusinessId, renamings: &[Renaming]) -> Result<(), StoreError> {
    let params = renamings.iter().flat_map(|renaming| {
        let Renaming { id, name, document } = renaming;
        [business.get().into(), id.get().into(), Param::from(name), document.into()]
    });
    tx.execute_many(RENAME, 4, &params.collect::<Vec<_>>())
}

/// Stores labels, as JSON texts.
pub fn set_labels(
    tx: &mut dyn Tx,
    business: BusinessId,
    changes: &[(ServiceInstanceId, Option<String>)],
) -> Result<(), StoreError> {
    let params = changes
        .iter()
        .flat_map(|(id, labels)| [business.get().into(), id.get().into(), Param::from(labels.as_deref())]);
    tx.execute_many(SET_LABELS, 3, &params.collect::<Vec<_>>())
}

/// Removes instances; their processes must have gone before.
pub fn delete(tx: &mut dyn Tx, business: BusinessId, ids: &[ServiceInstanceId]) -> Result<usize, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| id.get()).collect();
    tx.execute(DELETE_LOCATOR, &[Param::Ids(&ids)])?;
    tx.execute(DELETE, &[business.get().into(), Param::Ids(&ids)])
}
