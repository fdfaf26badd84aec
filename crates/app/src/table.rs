//! The table of all operations: the whole surface of the program at one sitting.

use crate::access::Action;
use crate::operation::{EsbForm, Method, Operation, Weight};
use crate::{
    audit, business, difference, host, job, label, module, object_attribute, process_instance as process,
    process_template, service_category, service_instance, service_template, set, set_template, synchronization,
    template_attribute, topology, transfer,
};
use rollcall_domain::fault::Cause;
use rollcall_domain::service_template::ServiceTemplate;
use rollcall_domain::set_template::SetTemplate;

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
        Operation::new::<service_instance::ListInstancesOfHost>(
            "list_service_instance_by_host",
            "List the service instances of a host in a business",
            Weight::Scan,
        )
        .post("/findmany/proc/service_instance/with_host"),
        Operation::new::<service_instance::ListInstancesOfSetTemplate>(
            "list_service_instance_by_set_template",
            "List the service instances in the modules of a set template",
            Weight::Scan,
        )
        .post("/findmany/proc/service/set_template/list_service_instance/biz/{bk_biz_id}")
        .number_or("bk_biz_id", Cause::ParamUnusable),
        Operation::new::<service_instance::RenameInstances>(
            "put_updatemany_proc_service_instance_biz",
            "Rename service instances",
            Weight::Write,
        )
        .at(Method::Put, "/updatemany/proc/service_instance/biz/{bk_biz_id}")
        .number_or("bk_biz_id", Cause::ParamUnusable)
        .backend_only()
        .needs(Action::EditServiceInstance),
        Operation::new::<service_instance::DeleteInstances>(
            "delete_service_instance",
            "Remove service instances with their processes",
            Weight::Write,
        )
        .at(Method::Delete, "/deletemany/proc/service_instance")
        .needs(Action::DeleteServiceInstance),
        Operation::new::<service_instance::ListHostsWithout>(
            "post_findmany_proc_host_with_no_service_instance",
            "The hosts of a module that have no service instance there",
            Weight::Scan,
        )
        .post("/findmany/proc/host/with_no_service_instance")
        .backend_only(),
        // Labels of service instances
        Operation::new::<label::AddLabels>(
            "add_label_for_service_instance",
            "Add labels to service instances",
            Weight::Write,
        )
        .post("/createmany/proc/service_instance/labels")
        .needs(Action::EditServiceInstance),
        Operation::new::<label::RemoveLabels>(
            "remove_label_from_service_instance",
            "Remove labels from service instances; one of the two rights is enough",
            Weight::Write,
        )
        .at(Method::Delete, "/deletemany/proc/service_instance/labels")
        .needs(Action::DeleteServiceInstance)
        .needs(Action::EditServiceInstance),
        Operation::new::<label::ReplaceLabels>(
            "post_updatemany_proc_service_instance_labels",
            "Replace all labels of service instances",
            Weight::Write,
        )
        .post("/updatemany/proc/service_instance/labels")
        .backend_only()
        .needs(Action::EditServiceInstance),
        Operation::new::<label::AggregateLabels>(
            "post_findmany_proc_service_instance_labels_aggregation",
            "The labels of all service instances of a business or a module: the values of each key",
            Weight::Scan,
        )
        .post("/findmany/proc/service_instance/labels/aggregation")
        .backend_only(),
        // The same reads for callers who come from a business set. There are none yet: what counts is the business in the body.
        Operation::new::<service_instance::ListInstances>(
            "post_findmany_proc_biz_set_service_instance",
            "As list_service_instance; the business in the body says what may be read",
            Weight::Scan,
        )
        .post("/findmany/proc/biz_set/{bk_biz_set_id}/service_instance")
        .numbers(&["bk_biz_set_id"])
        .backend_only(),
        Operation::new::<service_instance::ListInstancesOfHost>(
            "post_findmany_proc_biz_set_service_instance_with_host",
            "As list_service_instance_by_host; the business in the body says what may be read",
            Weight::Scan,
        )
        .post("/findmany/proc/biz_set/{bk_biz_set_id}/service_instance/with_host")
        .numbers(&["bk_biz_set_id"])
        .backend_only(),
        Operation::new::<label::AggregateLabels>(
            "post_findmany_proc_biz_set__service_instance_labels_aggregation",
            "As the aggregation of labels; the business in the body says what may be read",
            Weight::Scan,
        )
        .post("/findmany/proc/biz_set/{bk_biz_set_id}/service_instance/labels/aggregation")
        .numbers(&["bk_biz_set_id"])
        .backend_only(),
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
        .post("/findmany/proc/process_instance")
        .post("/findmany/proc/biz_set/{bk_biz_set_id}/process_instance")
        .numbers(&["bk_biz_set_id"]),
        Operation::new::<process::UpdateProcesses>(
            "update_process_instance",
            "Replace processes by what is sent: fields left out become null",
            Weight::Write,
        )
        .at(Method::Put, "/update/proc/process_instance")
        .needs(Action::EditServiceInstance),
        Operation::new::<process::UpdateProcessesById>(
            "put_update_proc_process_instance_by_ids",
            "Change the same fields of many processes, and no others",
            Weight::Write,
        )
        .at(Method::Put, "/update/proc/process_instance/by_ids")
        .backend_only()
        .needs(Action::EditServiceInstance),
        Operation::new::<process::DeleteProcesses>(
            "delete_process_instance",
            "Remove processes, and the service instances that are left without any",
            Weight::Write,
        )
        .at(Method::Delete, "/delete/proc/process_instance")
        .needs(Action::EditServiceInstance),
        Operation::new::<process::ListNamesWithIds>(
            "post_findmany_proc_process_instance_name_ids",
            "The names of the processes in a module, each with the ids of its processes",
            Weight::Scan,
        )
        .post("/findmany/proc/process_instance/name_ids")
        .post("/findmany/proc/biz_set/{bk_biz_set_id}/process_instance/name_ids")
        .numbers(&["bk_biz_set_id"])
        .backend_only(),
        Operation::new::<process::ListDetailsById>(
            "post_findmany_proc_process_instance_detail_by_ids",
            "List processes by their ids, with their relations",
            Weight::Scan,
        )
        .post("/findmany/proc/process_instance/detail/by_ids")
        .post("/findmany/proc/biz_set/{bk_biz_set_id}/process_instance/detail/by_ids")
        .numbers(&["bk_biz_set_id"])
        .backend_only(),
        Operation::new::<process::ListDetailsOfBusiness>(
            "list_process_detail_by_ids",
            "List processes of a business by their ids",
            Weight::Keyed,
        )
        .post("/findmany/proc/process_instance/detail/biz/{bk_biz_id}")
        .number_or("bk_biz_id", Cause::ParamUnusable),
        Operation::new::<process::ListRelated>(
            "list_process_related_info",
            "List processes with their sets, modules, hosts and service instances",
            Weight::Scan,
        )
        .post("/findmany/proc/process_related_info/biz/{bk_biz_id}")
        .number_or("bk_biz_id", Cause::ParamUnusable),
        // Businesses
        Operation::new::<business::SearchBusinesses>(
            "search_business",
            "Search the businesses that the caller may see",
            Weight::Scan,
        )
        .post("/biz/search/{bk_supplier_account}")
        .esb(EsbForm::Keys {
            keys: &["fields", "condition", "page", "biz_property_filter", "time_condition"],
            needed: 0,
        }),
        Operation::new::<business::CreateBusiness>(
            "create_business",
            "Create a business with its idle set and built-in modules",
            Weight::Write,
        )
        .post("/biz/{bk_supplier_account}")
        .esb(EsbForm::Data { ids: &[] })
        .needs(Action::CreateBusiness),
        // Sets and modules
        Operation::new::<set::CreateSet>("create_set", "Create a set in a business", Weight::Write)
            .post("/set/{bk_biz_id}")
            .numbers(&["bk_biz_id"])
            .esb(EsbForm::Data { ids: &["bk_biz_id"] })
            .needs(Action::CreateTopology),
        Operation::new::<set::SearchSets>("search_set", "Search the sets of a business", Weight::Scan)
            .post("/set/search/{bk_supplier_account}/{bk_biz_id}")
            .numbers(&["bk_biz_id"])
            .esb(EsbForm::Keys { keys: &["bk_biz_id", "fields", "condition", "page"], needed: 1 }),
        Operation::new::<module::CreateModule>("create_module", "Create a module in a set", Weight::Write)
            .post("/module/{bk_biz_id}/{bk_set_id}")
            .numbers(&["bk_biz_id", "bk_set_id"])
            .esb(EsbForm::Data { ids: &["bk_biz_id", "bk_set_id"] })
            .needs(Action::CreateTopology),
        Operation::new::<module::UpdateModule>(
            "update_module",
            "Change a module; what it has from its service template stays",
            Weight::Write,
        )
        .at(Method::Put, "/module/{bk_biz_id}/{bk_set_id}/{bk_module_id}")
        .numbers(&["bk_biz_id", "bk_set_id", "bk_module_id"])
        .esb(EsbForm::Data { ids: &["bk_biz_id", "bk_set_id", "bk_module_id"] })
        .needs(Action::EditTopology),
        Operation::new::<module::DeleteModule>("delete_module", "Remove a module that no host is in", Weight::Write)
            .at(Method::Delete, "/module/{bk_biz_id}/{bk_set_id}/{bk_module_id}")
            .numbers(&["bk_biz_id", "bk_set_id", "bk_module_id"])
            .esb(EsbForm::Keys { keys: &["bk_biz_id", "bk_set_id", "bk_module_id"], needed: 3 })
            .needs(Action::DeleteTopology),
        Operation::new::<module::SearchModules>(
            "search_module",
            "Search the modules of a business or of one of its sets",
            Weight::Scan,
        )
        .post("/findmany/module/biz/{bk_biz_id}")
        .post("/module/search/{bk_supplier_account}/{bk_biz_id}/{bk_set_id}")
        .numbers(&["bk_biz_id", "bk_set_id"])
        .esb(EsbForm::Keys { keys: &["bk_biz_id", "bk_set_id", "fields", "condition", "page"], needed: 1 }),
        // The tree of a business
        Operation::new::<topology::SearchTopology>(
            "search_biz_inst_topo",
            "The tree of sets and modules of a business",
            Weight::Scan,
        )
        .post("/find/topoinst/biz/{bk_biz_id}")
        .at(Method::Get, "/topo/inst/{bk_supplier_account}/{bk_biz_id}")
        .number_or("bk_biz_id", Cause::Unexpected)
        .query(&["with_default", "need_sort"])
        .esb(EsbForm::Keys { keys: &["bk_biz_id", "level"], needed: 1 }),
        Operation::new::<module::GetInternalModules>(
            "get_biz_internal_module",
            "The idle set of a business and the built-in modules in it",
            Weight::Keyed,
        )
        .at(Method::Get, "/topo/internal/{bk_supplier_account}/{bk_biz_id}")
        .numbers(&["bk_biz_id"]),
        // Service categories
        // Process templates
        Operation::new::<process_template::CreateProcessTemplates>(
            "batch_create_proc_template",
            "Create process templates of a service template",
            Weight::Write,
        )
        .post("/createmany/proc/proc_template")
        .needs(Action::EditServiceTemplate),
        Operation::new::<process_template::UpdateProcessTemplate>(
            "update_proc_template",
            "Change a process template; its processes follow when they are synchronized",
            Weight::Write,
        )
        .at(Method::Put, "/update/proc/proc_template")
        .needs(Action::EditServiceTemplate),
        Operation::new::<process_template::DeleteProcessTemplates>(
            "delete_proc_template",
            "Remove process templates; their processes go when they are synchronized",
            Weight::Write,
        )
        .at(Method::Delete, "/deletemany/proc/proc_template")
        .needs(Action::EditServiceTemplate),
        Operation::new::<process_template::GetProcessTemplate>(
            "get_proc_template",
            "One process template",
            Weight::Keyed,
        )
        .post("/find/proc/proc_template/id/{process_template_id}")
        .number_or("process_template_id", Cause::InputInvalid)
        .post("/find/proc/biz_set/{bk_biz_set_id}/proc_template/id/{process_template_id}")
        .numbers(&["bk_biz_set_id"]),
        Operation::new::<process_template::ListProcessTemplates>(
            "list_proc_template",
            "List the process templates of a service template",
            Weight::Scan,
        )
        .post("/findmany/proc/proc_template")
        .post("/findmany/proc/biz_set/{bk_biz_set_id}/proc_template")
        .numbers(&["bk_biz_set_id"]),
        // Modules and their templates
        Operation::new::<difference::CompareModule>(
            "post_find_proc_service_template_general_difference",
            "What a synchronization with its service template would do to a module",
            Weight::Scan,
        )
        .post("/find/proc/service_template/general_difference")
        .backend_only(),
        Operation::new::<difference::ListDifferentInstances>(
            "post_find_proc_difference_service_instances",
            "The service instances of a module that differ from one process template",
            Weight::Scan,
        )
        .post("/find/proc/difference/service_instances")
        .backend_only(),
        Operation::new::<difference::CompareInstance>(
            "post_find_proc_service_instance_difference_detail",
            "How a service instance differs from one process template",
            Weight::Scan,
        )
        .post("/find/proc/service_instance/difference_detail")
        .backend_only(),
        Operation::new::<difference::ListNeeds>(
            "list_service_template_difference",
            "Whether modules or service templates need a synchronization",
            Weight::Scan,
        )
        .post("/findmany/proc/service_template/sync_status/biz/{bk_biz_id}")
        .number_or("bk_biz_id", Cause::ParamUnusable)
        .post("/findmany/proc/biz_set/{bk_biz_set_id}/biz/{bk_biz_id}/service_template/sync_status")
        .numbers(&["bk_biz_set_id"])
        .at_backend(),
        // Synchronizations and what becomes of them
        Operation::new::<synchronization::SynchronizeModules>(
            "sync_service_template_to_service_instance",
            "Let modules and their instances follow their service template; goes on after the answer",
            Weight::Write,
        )
        .at(Method::Put, "/update/proc/service_instance/sync")
        .at_backend()
        .needs(Action::EditServiceInstance)
        .starts_jobs()
        .previews_by_reading(),
        Operation::new::<synchronization::ListSynchronizations>(
            "list_service_template_sync_status",
            "How the last synchronizations of modules went, and whether they need another one",
            Weight::Scan,
        )
        .post("/findmany/proc/service_template_sync_status/bk_biz_id/{bk_biz_id}")
        .number_or("bk_biz_id", Cause::ParamUnusable)
        .at_backend(),
        Operation::new::<job::ListJobs>(
            "post_findmany_sync_job_bk_biz_id",
            "List the synchronizations of a business, the newest first: how far they are, and why parts of them failed",
            Weight::Scan,
        )
        .post("/findmany/sync_job/bk_biz_id/{bk_biz_id}")
        .number_or("bk_biz_id", Cause::ParamUnusable)
        .backend_only(),
        Operation::new::<job::CancelJobs>(
            "put_update_sync_job_cancel",
            "Call synchronizations off: what is done stays, the rest is left",
            Weight::Write,
        )
        .at(Method::Put, "/update/sync_job/cancel")
        .backend_only()
        .needs(Action::EditServiceInstance)
        .needs(Action::EditTopology),
        Operation::new::<job::RetryJobs>(
            "put_update_sync_job_retry",
            "Set synchronizations going again that failed or were called off",
            Weight::Write,
        )
        .at(Method::Put, "/update/sync_job/retry")
        .backend_only()
        .needs(Action::EditServiceInstance)
        .needs(Action::EditTopology)
        .starts_jobs(),
        Operation::new::<module::UnbindModule>(
            "delete_template_binding_on_module",
            "Let a module, its instances and their processes go of the service template",
            Weight::Write,
        )
        .at(Method::Delete, "/delete/proc/template_binding_on_module")
        .native_only()
        .needs(Action::EditServiceTemplate),
        Operation::new::<module::ListModulesOfTemplate>(
            "post_module_bk_biz_id__service_template_id",
            "List the modules that follow a service template",
            Weight::Scan,
        )
        .post("/module/bk_biz_id/{bk_biz_id}/service_template_id/{service_template_id}")
        .numbers(&["bk_biz_id", "service_template_id"])
        .backend_only(),
        Operation::new::<service_category::ListCategories>(
            "list_service_category",
            "List the service categories that a business may use",
            Weight::Keyed,
        )
        .post("/findmany/proc/service_category"),
        Operation::new::<service_category::ListUsedCategories>(
            "post_findmany_proc_service_category_with_statistics",
            "List the service categories that a business may use, with how many of its templates and modules are of each",
            Weight::Scan,
        )
        .post("/findmany/proc/service_category/with_statistics")
        .backend_only(),
        Operation::new::<service_category::CreateCategory>(
            "create_service_category",
            "Create a service category of a business",
            Weight::Write,
        )
        .post("/create/proc/service_category")
        .needs(Action::CreateServiceCategory),
        Operation::new::<service_category::RenameCategory>(
            "update_service_category",
            "Rename a service category",
            Weight::Write,
        )
        .at(Method::Put, "/update/proc/service_category")
        .needs(Action::EditServiceCategory),
        Operation::new::<service_category::DeleteCategory>(
            "delete_service_category",
            "Remove a service category that nothing refers to",
            Weight::Write,
        )
        .at(Method::Delete, "/delete/proc/service_category")
        .needs(Action::DeleteServiceCategory),
        // Service templates
        Operation::new::<service_template::CreateTemplate>(
            "create_service_template",
            "Create a service template in a business",
            Weight::Write,
        )
        .post("/create/proc/service_template")
        .needs(Action::CreateServiceTemplate),
        Operation::new::<service_template::UpdateTemplate>(
            "update_service_template",
            "Give a service template another name or category, and with it the modules that follow it",
            Weight::Write,
        )
        .at(Method::Put, "/update/proc/service_template")
        .needs(Action::EditServiceTemplate),
        Operation::new::<service_template::GetTemplate>(
            "get_service_template",
            "A service template by its id",
            Weight::Keyed,
        )
        .at(Method::Get, "/find/proc/service_template/{service_template_id}")
        .number_or("service_template_id", Cause::ParamInvalid),
        Operation::new::<service_template::GetCountedTemplate>(
            "get_find_proc_service_template__detail",
            "A service template with how many service instances and processes follow it",
            Weight::Scan,
        )
        .at(Method::Get, "/find/proc/service_template/{service_template_id}/detail")
        .number_or("service_template_id", Cause::ParamInvalid)
        .backend_only(),
        Operation::new::<service_template::ListTemplates>(
            "list_service_template",
            "List the service templates of a business",
            Weight::Scan,
        )
        .post("/findmany/proc/service_template"),
        Operation::new::<service_template::DeleteTemplate>(
            "delete_service_template",
            "Remove a service template that nothing follows",
            Weight::Write,
        )
        .at(Method::Delete, "/delete/proc/service_template")
        .needs(Action::DeleteServiceTemplate),
        Operation::new::<service_template::CountUses>(
            "post_findmany_proc_service_template_count_info_biz",
            "How many process templates, service instances and modules service templates have",
            Weight::Scan,
        )
        .post("/findmany/proc/service_template/count_info/biz/{bk_biz_id}")
        .number_or("bk_biz_id", Cause::ParamUnusable)
        .backend_only(),
        Operation::new::<service_template::CreateAllInfo>(
            "post_create_proc_service_template_all_info",
            "Create a service template with all that belongs to it",
            Weight::Write,
        )
        .post("/create/proc/service_template/all_info")
        .backend_only()
        .needs(Action::CreateServiceTemplate),
        Operation::new::<service_template::UpdateAllInfo>(
            "put_update_proc_service_template_all_info",
            "Make all that belongs to a service template what is sent",
            Weight::Write,
        )
        .at(Method::Put, "/update/proc/service_template/all_info")
        .backend_only()
        .needs(Action::EditServiceTemplate),
        Operation::new::<service_template::GetAllInfo>(
            "post_find_proc_service_template_all_info",
            "A service template with all that belongs to it",
            Weight::Scan,
        )
        .post("/find/proc/service_template/all_info")
        .backend_only(),
        // Attributes that service templates fix for their modules
        Operation::new::<template_attribute::UpdateAttributes<ServiceTemplate>>(
            "put_update_proc_service_template_attribute",
            "Change the values of attributes that a service template has",
            Weight::Write,
        )
        .at(Method::Put, "/update/proc/service_template/attribute")
        .backend_only()
        .needs(Action::EditServiceTemplate),
        Operation::new::<template_attribute::DeleteAttributes<ServiceTemplate>>(
            "delete_delete_proc_service_template_attribute",
            "Take attributes away from a service template",
            Weight::Write,
        )
        .at(Method::Delete, "/delete/proc/service_template/attribute")
        .backend_only()
        .needs(Action::EditServiceTemplate),
        Operation::new::<template_attribute::ListAttributes<ServiceTemplate>>(
            "post_findmany_proc_service_template_attribute",
            "List the attributes that a service template fixes for its modules",
            Weight::Keyed,
        )
        .post("/findmany/proc/service_template/attribute")
        .backend_only(),
        // Set templates
        of_set_template(Operation::new::<set_template::CreateTemplate>(
            "create_set_template",
            "Create a set template in a business",
            Weight::Write,
        ))
        .post("/create/topo/set_template/bk_biz_id/{bk_biz_id}")
        .needs(Action::CreateSetTemplate),
        of_set_template(Operation::new::<set_template::UpdateTemplate>(
            "update_set_template",
            "Give a set template another name or other service templates; its sets follow when they are synchronized",
            Weight::Write,
        ))
        .at(Method::Put, "/update/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}")
        .needs(Action::EditSetTemplate),
        of_set_template(Operation::new::<set_template::DeleteTemplates>(
            "delete_set_template",
            "Remove set templates that no set follows",
            Weight::Write,
        ))
        .at(Method::Delete, "/deletemany/topo/set_template/bk_biz_id/{bk_biz_id}")
        .needs(Action::DeleteSetTemplate),
        of_set_template(Operation::new::<set_template::GetTemplate>(
            "get_find_topo_set_template__bk_biz_id",
            "A set template by its id",
            Weight::Keyed,
        ))
        .at(Method::Get, "/find/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}")
        .backend_only(),
        of_set_template(Operation::new::<set_template::ListTemplates>(
            "list_set_template",
            "List the set templates of a business",
            Weight::Scan,
        ))
        .post("/findmany/topo/set_template/bk_biz_id/{bk_biz_id}"),
        of_set_template(Operation::new::<set_template::ListCountedTemplates>(
            "post_findmany_topo_set_template_bk_biz_id__web",
            "List the set templates of a business with how many sets follow each",
            Weight::Scan,
        ))
        .post("/findmany/topo/set_template/bk_biz_id/{bk_biz_id}/web")
        .backend_only(),
        of_set_template(Operation::new::<set_template::ListServices>(
            "list_set_template_related_service_template",
            "List the service templates that a set template lists",
            Weight::Keyed,
        ))
        .at(Method::Get, "/findmany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/service_templates"),
        Operation::new::<set_template::CreateAllInfo>(
            "post_create_topo_set_template_all_info",
            "Create a set template with all that belongs to it",
            Weight::Write,
        )
        .post("/create/topo/set_template/all_info")
        .backend_only()
        .needs(Action::CreateSetTemplate),
        Operation::new::<set_template::UpdateAllInfo>(
            "put_update_topo_set_template_all_info",
            "Make all that belongs to a set template what is sent",
            Weight::Write,
        )
        .at(Method::Put, "/update/topo/set_template/all_info")
        .backend_only()
        .needs(Action::EditSetTemplate),
        Operation::new::<set_template::GetAllInfo>(
            "post_find_topo_set_template_all_info",
            "A set template with all that belongs to it",
            Weight::Scan,
        )
        .post("/find/topo/set_template/all_info")
        .backend_only(),
        // Sets and their templates
        of_set_template(Operation::new::<set_template::ListSets>(
            "post_findmany_topo_set_template__bk_biz_id__sets_web",
            "List the sets that follow a set template, with their places and how many hosts they have",
            Weight::Scan,
        ))
        .post("/findmany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/sets/web")
        .backend_only(),
        of_set_template(Operation::new::<set_template::CompareSet>(
            "post_findmany_topo_set_template__bk_biz_id__diff_with_instances",
            "What a synchronization with its set template would do to a set",
            Weight::Scan,
        ))
        .post("/findmany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/diff_with_instances")
        .backend_only(),
        of_set_template(Operation::new::<set_template::GetStatus>(
            "get_findmany_topo_set_template__bk_biz_id__set_template_status",
            "Which sets of a set template need a synchronization",
            Weight::Scan,
        ))
        .at(
            Method::Get,
            "/findmany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/set_template_status",
        )
        .native_only(),
        of_set_template(Operation::new::<set_template::ListStatuses>(
            "post_findmany_topo_set_template_bk_biz_id__set_template_status",
            "Which sets of several set templates need a synchronization",
            Weight::Scan,
        ))
        .post("/findmany/topo/set_template/bk_biz_id/{bk_biz_id}/set_template_status")
        .backend_only(),
        of_set_template(Operation::new::<set_template::FindHosts>(
            "post_findmany_topo_set_template__bk_biz_id__host_with_instances",
            "Whether a synchronization of sets would be in the way of hosts",
            Weight::Scan,
        ))
        .post("/findmany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/host_with_instances")
        .backend_only(),
        of_set_template(Operation::new::<set_template::SynchronizeSets>(
            "sync_set_template_to_set",
            "Let sets and their modules follow their set template; goes on after the answer",
            Weight::Write,
        ))
        .post("/updatemany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/sync_to_instances")
        .needs(Action::EditTopology)
        .starts_jobs()
        .previews_by_reading(),
        of_set_template(Operation::new::<set_template::ListSetJobs>(
            "post_findmany_topo_set_template__bk_biz_id__instances_sync_status",
            "The newest synchronization of each set of a set template, with its parts",
            Weight::Scan,
        ))
        .post("/findmany/topo/set_template/{set_template_id}/bk_biz_id/{bk_biz_id}/instances_sync_status")
        .backend_only(),
        of_set_template(Operation::new::<set_template::ListSynchronizations>(
            "post_findmany_topo_set_template_sync_status_bk_biz_id",
            "How the last synchronizations of sets went, and whether they need another one",
            Weight::Scan,
        ))
        .post("/findmany/topo/set_template_sync_status/bk_biz_id/{bk_biz_id}")
        .backend_only(),
        of_set_template(Operation::new::<set_template::ListHistory>(
            "post_findmany_topo_set_template_sync_history_bk_biz_id",
            "The synchronizations of sets that there were, the newest first",
            Weight::Scan,
        ))
        .post("/findmany/topo/set_template_sync_history/bk_biz_id/{bk_biz_id}")
        .backend_only(),
        // Attributes that set templates fix for their sets
        Operation::new::<template_attribute::UpdateAttributes<SetTemplate>>(
            "put_update_topo_set_template_attribute",
            "Change the values of attributes that a set template has",
            Weight::Write,
        )
        .at(Method::Put, "/update/topo/set_template/attribute")
        .backend_only()
        .needs(Action::EditSetTemplate),
        Operation::new::<template_attribute::DeleteAttributes<SetTemplate>>(
            "delete_delete_topo_set_template_attribute",
            "Take attributes away from a set template",
            Weight::Write,
        )
        .at(Method::Delete, "/delete/topo/set_template/attribute")
        .backend_only()
        .needs(Action::EditSetTemplate),
        Operation::new::<template_attribute::ListAttributes<SetTemplate>>(
            "post_findmany_topo_set_template_attribute",
            "List the attributes that a set template fixes for its sets",
            Weight::Keyed,
        )
        .post("/findmany/topo/set_template/attribute")
        .backend_only(),
        // Attributes of models
        Operation::new::<object_attribute::SearchAttributes>(
            "search_object_attribute",
            "Search the attributes of models",
            Weight::Keyed,
        )
        .post("/find/objectattr"),
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
        Operation::new::<host::UpdateHosts>("update_host", "Change hosts, all in the same way", Weight::Write)
            .at(Method::Put, "/hosts/batch")
            .esb(EsbForm::Data { ids: &["bk_host_id"] })
            .needs(Action::EditBusinessHost)
            .needs(Action::EditPoolHost),
        Operation::new::<host::UpdateHostsEach>("batch_update_host", "Change hosts, each in its way", Weight::Write)
            .at(Method::Put, "/hosts/property/batch")
            .needs(Action::EditBusinessHost)
            .needs(Action::EditPoolHost),
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
        // Who changed what
        Operation::new::<audit::ListEntries>(
            "list_operation_audit",
            "List the entries of the audit in a time, by what they are about and who did it",
            Weight::Scan,
        )
        .post("/findmany/audit_list")
        .needs(Action::FindAuditLog),
        Operation::new::<audit::FindEntries>(
            "find_audit_by_id",
            "Entries of the audit with all they tell, by their ids",
            Weight::Scan,
        )
        .post("/find/audit")
        .needs(Action::FindAuditLog),
    ]
}

/// With the path variables that operations on set templates have, of which a text that is no number fails as any other bad value.
fn of_set_template(operation: Operation) -> Operation {
    operation.number_or("bk_biz_id", Cause::ParamInvalid).number_or("set_template_id", Cause::ParamInvalid)
}
