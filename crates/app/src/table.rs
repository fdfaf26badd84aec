//! The table of all operations: the whole surface of the program at one sitting.

use crate::access::Action;
use crate::operation::{Operation, Weight};
use crate::{process_instance as process, service_instance};

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
    ]
}
