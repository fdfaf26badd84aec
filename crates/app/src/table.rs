//! The table of all operations: the whole surface of the program at one sitting.

use crate::access::Action;
use crate::operation::{EsbForm, Operation, Weight};
use crate::{host, process_instance as process, service_instance, transfer};

/// Every operation.
pub fn operations() -> Vec<Operation> {
    vec![
        // Service instances
        Operation::new::<service_instance::CreateInstances>(
            "create_service_instance",
            "Create service instances with their processes on hosts of a module",
            Weight::Write,
        )
        .post("/create/proc/service_instance")
        .needs(Action::CreateServiceInstance),
        Operation::new::<service_instance::ListInstances>(
            "list_service_instance",
            "List the service instances of a business, a module or hosts",
            Weight::Scan,
        )
        .post("/findmany/proc/service_instance"),
        Operation::new::<service_instance::ListInstanceDetails>(
            "list_service_instance_detail",
            "List service instances together with their processes",
            Weight::Scan,
        )
        .post("/findmany/proc/service_instance/details"),
        // Processes of service instances
        Operation::new::<process::CreateProcesses>(
            "create_process_instance",
            "Create processes of a service instance that follows no template",
            Weight::Write,
        )
        .post("/create/proc/process_instance")
        .needs(Action::EditServiceInstance),
        Operation::new::<process::ListProcesses>(
            "list_process_instance",
            "List the processes of a service instance",
            Weight::Keyed,
        )
        .post("/findmany/proc/process_instance"),
        // Hosts
        Operation::new::<host::AddToResource>(
            "add_host_to_resource",
            "Add hosts to the pool or to the idle module of a business, or change hosts by their addresses",
            Weight::Write,
        )
        .post("/hosts/add")
        .esb(EsbForm::Keys { keys: &["host_info", "bk_biz_id"], needed: 1 })
        .needs(Action::CreatePoolHost),
        Operation::new::<host::AddToBusinessIdle>(
            "add_host_to_business_idle",
            "Add new hosts to the idle module of a business",
            Weight::Write,
        )
        .post("/hosts/add/business_idle")
        .needs(Action::EditBusinessHost),
        Operation::new::<host::ListOfBusiness>(
            "list_biz_hosts",
            "List the hosts of a business, of sets or modules of it",
            Weight::Scan,
        )
        .post("/hosts/app/{bk_biz_id}/list_hosts")
        .numbers(&["bk_biz_id"])
        .needs(Action::FindBusinessResource),
        // Hosts between modules
        Operation::new::<transfer::ToModules>(
            "transfer_host_module",
            "Move hosts of a business between its modules",
            Weight::Write,
        )
        .post("/hosts/modules")
        .esb(EsbForm::Keys { keys: &["bk_biz_id", "bk_host_id", "bk_module_id", "is_increment"], needed: 4 })
        .needs(Action::EditServiceInstance),
        Operation::new::<transfer::ToIdle>(
            "transfer_host_to_idlemodule",
            "Move hosts of a business to its idle module",
            Weight::Write,
        )
        .post("/hosts/modules/idle")
        .esb(EsbForm::Keys { keys: &["bk_biz_id", "bk_host_id"], needed: 2 })
        .needs(Action::EditServiceInstance),
        Operation::new::<transfer::FromPool>(
            "transfer_resourcehost_to_idlemodule",
            "Move hosts of the pool to the idle module of a business",
            Weight::Write,
        )
        .post("/hosts/modules/resource/idle")
        .esb(EsbForm::Keys { keys: &["bk_biz_id", "bk_host_id"], needed: 2 })
        .needs(Action::AssignHostToBusiness),
    ]
}
