//! The table of all operations: the whole surface of the program at one sitting.

use crate::access::Action;
use crate::operation::{Operation, Weight};
use crate::process_instance as process;

/// Every operation.
pub fn operations() -> Vec<Operation> {
    vec![
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
