//! Hosts and the modules they are in.

use crate::dialect::id_list;
use crate::{Param, StoreError, Tx};
use rollcall_domain::bind_info::HostAddresses;
use rollcall_domain::id::{BusinessId, HostId, ModuleId};
use std::collections::HashMap;

crate::statements! {
    /// Served by `host_module_module`.
    HOSTS_IN_MODULE = "SELECT host_id FROM host_module WHERE module_id = $1 AND host_id IN {ids $2}";
    /// Served by `host_module_host`.
    MODULES_OF_HOSTS = "SELECT host_id, module_id, business_id FROM host_module WHERE host_id IN {ids $1}
        ORDER BY host_id, module_id";
    /// Served by the primary key.
    ADDRESSES = "SELECT id, inner_ip, inner_ip_v6, outer_ip, outer_ip_v6 FROM host WHERE id IN {ids $1}";
}

/// Which of these hosts are in a module.
pub fn in_module(
    tx: &mut dyn Tx,
    module: ModuleId,
    hosts: &[HostId],
) -> Result<Vec<HostId>, StoreError> {
    let hosts = id_list(hosts.iter().map(|id| id.get()));
    tx.list(
        HOSTS_IN_MODULE,
        &[module.get().into(), Param::Text(&hosts)],
        |row| Ok(HostId(row.int(0)?)),
    )
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
    let hosts = id_list(hosts.iter().map(|id| id.get()));
    tx.list(MODULES_OF_HOSTS, &[Param::Text(&hosts)], |row| {
        Ok(HostModuleRow {
            host_id: HostId(row.int(0)?),
            module_id: ModuleId(row.int(1)?),
            business_id: BusinessId(row.int(2)?),
        })
    })
}

/// The addresses of hosts.
pub fn addresses(
    tx: &mut dyn Tx,
    hosts: &[HostId],
) -> Result<HashMap<HostId, HostAddresses>, StoreError> {
    let hosts = id_list(hosts.iter().map(|id| id.get()));
    let rows = tx.list(ADDRESSES, &[Param::Text(&hosts)], |row| {
        let addresses = HostAddresses {
            inner_v4: row.text(1)?.to_owned(),
            inner_v6: row.text(2)?.to_owned(),
            outer_v4: row.text(3)?.to_owned(),
            outer_v6: row.text(4)?.to_owned(),
        };
        Ok((HostId(row.int(0)?), addresses))
    })?;
    Ok(rows.into_iter().collect())
}
