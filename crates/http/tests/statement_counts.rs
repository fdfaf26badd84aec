//! Every operation asks a fixed number of statements of the store, however many rows it reads or writes.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_store::counting::{Asked, CountingEngine};
use rollcall_store::dialect::{for_postgres, for_sqlite};
use rollcall_store::statements_for_many;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use support::{TestApp, USER, changes, named, on_engine, process};

/// A call with so many rows behind it.
struct Case {
    operation: &'static str,
    /// What is special about it.
    what: &'static str,
    /// How many statements it takes on SQLite and on PostgreSQL, where rows are locked, keys of events drawn in the transaction, and
    /// instances found by an own table.
    statements: [usize; 2],
    /// How many rows there are.
    sizes: [usize; 2],
    /// Makes the rows, and the body that reads or writes so many.
    body: fn(&TestApp, usize) -> Value,
}

const fn case(
    operation: &'static str,
    what: &'static str,
    statements: [usize; 2],
    sizes: [usize; 2],
    body: fn(&TestApp, usize) -> Value,
) -> Case {
    Case { operation, what, statements, sizes, body }
}

const CASES: &[Case] = &[
    case("create_service_instance", "instances", [9, 13], [1, 20], |app, count| {
        let place = Place::with_hosts(app, count);
        let instances: Vec<_> = place.hosts.iter().map(|host| instance(*host, 2)).collect();
        json!({"bk_biz_id": place.business, "bk_module_id": place.module, "instances": instances})
    }),
    case("create_service_instance", "processes", [9, 13], [1, 20], |app, count| {
        let place = Place::with_hosts(app, 1);
        let instances = [instance(place.hosts[0], count)];
        json!({"bk_biz_id": place.business, "bk_module_id": place.module, "instances": instances})
    }),
    case("create_service_instance", "without its business", [9, 13], [1, 20], |app, count| {
        let place = Place::with_hosts(app, 1);
        json!({"bk_module_id": place.module, "instances": [instance(place.hosts[0], count)]})
    }),
    case(
        "list_service_instance",
        "of a business",
        [2, 2],
        [1, 20],
        |app, count| json!({"bk_biz_id": Place::with_instances(app, count, 1).business, "page": {"start": 0, "limit": 100}}),
    ),
    case("list_service_instance", "of hosts in a module", [2, 2], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 1);
        json!({"bk_biz_id": place.business, "bk_module_id": place.module, "bk_host_ids": place.hosts, "page": {"limit": 100}})
    }),
    case("list_service_instance_detail", "instances", [3, 3], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 2);
        json!({"bk_biz_id": place.business, "bk_module_id": place.module, "page": {"start": 0, "limit": 100}})
    }),
    case("list_service_instance_detail", "processes", [3, 3], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, count);
        json!({"bk_biz_id": place.business, "service_instance_ids": place.instances, "page": {"start": 0, "limit": 100}})
    }),
    case("list_service_instance", "selected by name and labels", [2, 2], [1, 20], |app, count| {
        let place = Place::with_labels(app, count);
        json!({"bk_biz_id": place.business, "search_key": "p", "page": {"limit": 100},
            "selectors": [{"key": "env", "operator": "exists"}]})
    }),
    case("list_service_instance_by_host", "instances", [2, 2], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, 1);
        place.more_instances(app, count);
        json!({"bk_biz_id": place.business, "bk_host_id": place.hosts[0]})
    }),
    case("list_service_instance_by_set_template", "without template", [2, 2], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 1);
        json!({"bk_biz_id": place.business, "set_template_id": 5, "page": {"limit": 100}})
    }),
    case("put_updatemany_proc_service_instance_biz", "instances", [4, 6], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 1);
        let data = place.instances.iter().map(|id| json!({"service_instance_id": id, "update": {"name": "n"}}));
        json!({"bk_biz_id": place.business, "data": data.collect::<Vec<_>>()})
    }),
    case("delete_service_instance", "instances", [6, 9], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 2);
        json!({"bk_biz_id": place.business, "service_instance_ids": place.instances})
    }),
    case("delete_service_instance", "processes", [6, 9], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, count);
        json!({"bk_biz_id": place.business, "service_instance_ids": place.instances})
    }),
    case("post_findmany_proc_host_with_no_service_instance", "hosts", [1, 1], [1, 20], |app, count| {
        let place = Place::with_hosts(app, count);
        json!({"bk_biz_id": place.business, "bk_module_id": place.module, "bk_host_ids": place.hosts})
    }),
    case("add_label_for_service_instance", "instances", [4, 6], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 1);
        json!({"bk_biz_id": place.business, "instance_ids": place.instances, "labels": {"env": "prod"}})
    }),
    case("remove_label_from_service_instance", "instances", [4, 6], [1, 20], |app, count| {
        let place = Place::with_labels(app, count);
        json!({"bk_biz_id": place.business, "instance_ids": place.instances, "keys": ["env"]})
    }),
    case("post_updatemany_proc_service_instance_labels", "instances", [4, 6], [1, 20], |app, count| {
        let place = Place::with_labels(app, count);
        json!({"bk_biz_id": place.business, "instance_ids": place.instances, "labels": {"zone": "a"}})
    }),
    case(
        "post_findmany_proc_service_instance_labels_aggregation",
        "instances",
        [1, 1],
        [1, 20],
        |app, count| json!({"bk_biz_id": Place::with_labels(app, count).business}),
    ),
    case(
        "post_findmany_proc_biz_set_service_instance",
        "instances",
        [2, 2],
        [1, 20],
        |app, count| json!({"bk_biz_set_id": 1, "bk_biz_id": Place::with_instances(app, count, 1).business}),
    ),
    case("post_findmany_proc_biz_set_service_instance_with_host", "instances", [2, 2], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 1);
        json!({"bk_biz_set_id": 1, "bk_biz_id": place.business, "bk_host_id": place.hosts[0]})
    }),
    case(
        "post_findmany_proc_biz_set__service_instance_labels_aggregation",
        "instances",
        [1, 1],
        [1, 20],
        |app, count| json!({"bk_biz_set_id": 1, "bk_biz_id": Place::with_labels(app, count).business}),
    ),
    case("create_process_instance", "processes", [7, 9], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, 1);
        json!({"bk_biz_id": place.business, "service_instance_id": place.instances[0], "processes": processes("new", count)})
    }),
    case("create_process_instance", "without its business, beside others", [8, 10], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, count);
        json!({"service_instance_id": place.instances[0], "processes": processes("new", 1)})
    }),
    case("list_process_instance", "processes", [1, 1], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, count);
        json!({"bk_biz_id": place.business, "service_instance_id": place.instances[0]})
    }),
    case(
        "list_process_instance",
        "without its business",
        [2, 2],
        [1, 20],
        |app, count| json!({"service_instance_id": Place::with_instances(app, 1, count).instances[0]}),
    ),
    case("update_process_instance", "processes", [5, 7], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, count);
        let processes: Vec<_> =
            place.processes(app).into_iter().enumerate().map(|(i, id)| entry(id, &format!("p{i}"))).collect();
        json!({"bk_biz_id": place.business, "processes": processes})
    }),
    case("update_process_instance", "names that change, in many instances", [6, 8], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 1);
        let processes: Vec<_> = place.processes(app).into_iter().map(|id| entry(id, "new")).collect();
        json!({"bk_biz_id": place.business, "processes": processes})
    }),
    case("update_process_instance", "names that are swapped", [7, 9], [2, 100], |app, count| {
        let place = Place::with_instances(app, 1, count);
        let ids = place.processes(app).into_iter().enumerate();
        let processes: Vec<_> = ids.map(|(i, id)| entry(id, &format!("p{}", count - 1 - i))).collect();
        json!({"bk_biz_id": place.business, "processes": processes})
    }),
    case("put_update_proc_process_instance_by_ids", "processes", [5, 7], [1, 1000], |app, count| {
        let place = Place::with_instances(app, count.div_ceil(100), count.min(100));
        json!({"bk_biz_id": place.business, "process_ids": place.processes(app), "update_data": {"user": "www"}})
    }),
    case("delete_process_instance", "processes, some of them the last", [9, 12], [2, 100], |app, count| {
        let place = Place::with_instances(app, count, 2);
        let mut ids = place.processes(app);
        // The first instance keeps one.
        ids.remove(0);
        ids.truncate(500);
        json!({"bk_biz_id": place.business, "process_instance_ids": ids})
    }),
    case("delete_process_instance", "unknown", [3, 3], [1, 500], |app, count| {
        let place = Place::with_instances(app, 1, 1);
        let unknown: Vec<_> = (0..count).map(|i| 10_000 + i).collect();
        json!({"bk_biz_id": place.business, "process_instance_ids": unknown})
    }),
    case("post_findmany_proc_process_instance_name_ids", "processes", [1, 1], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, count);
        json!({"bk_biz_id": place.business, "bk_module_id": place.module, "page": {"limit": 100}})
    }),
    case("post_findmany_proc_process_instance_detail_by_ids", "processes", [3, 3], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, count);
        json!({"bk_biz_id": place.business, "process_ids": place.processes(app), "page": {"limit": 100, "sort": "-user"}})
    }),
    case("list_process_detail_by_ids", "processes", [1, 1], [1, 20], |app, count| {
        let place = Place::with_instances(app, 1, count);
        json!({"bk_biz_id": place.business, "bk_process_ids": place.processes(app), "fields": ["user"]})
    }),
    case("list_process_related_info", "processes of a business", [3, 3], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 1);
        json!({"bk_biz_id": place.business, "page": {"limit": 100}})
    }),
    case("list_process_related_info", "processes of a set", [4, 4], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 1);
        json!({"bk_biz_id": place.business, "set": {"bk_set_ids": [place.set]}, "page": {"limit": 100, "sort": "user"}})
    }),
    case("search_business", "businesses", [1, 1], [1, 50], |app, count| {
        businesses(app, count);
        json!({"fields": ["bk_biz_id"], "page": {"start": 0, "limit": 100}})
    }),
    case("create_business", "beside others", [9, 11], [1, 50], |app, count| {
        businesses(app, count);
        json!({"data": {"bk_biz_name": "new", "bk_biz_maintainer": "ops"}})
    }),
    case("create_set", "beside others", [6, 8], [1, 50], |app, count| {
        let business = with_sets(app, count);
        json!({"bk_biz_id": business, "data": {"bk_set_name": "new", "bk_parent_id": business}})
    }),
    case("search_set", "sets", [2, 2], [1, 50], |app, count| {
        let business = with_sets(app, count);
        json!({"bk_biz_id": business, "page": {"start": 0, "limit": 100}})
    }),
    case("create_module", "beside others", [6, 8], [1, 50], |app, count| {
        let place = Place::with_modules(app, count);
        json!({"bk_biz_id": place.business, "bk_set_id": place.set,
            "data": {"bk_module_name": "new", "bk_parent_id": place.set}})
    }),
    case("update_module", "beside others", [5, 7], [1, 50], |app, count| {
        let place = Place::with_modules(app, count);
        json!({"bk_biz_id": place.business, "bk_set_id": place.set, "bk_module_id": place.module,
            "data": {"bk_module_name": "new", "operator": "ann"}})
    }),
    case("update_module", "to another category", [6, 8], [1, 50], |app, count| {
        let place = Place::with_modules(app, count);
        json!({"bk_biz_id": place.business, "bk_set_id": place.set, "bk_module_id": place.module,
            "data": {"service_category_id": 4}})
    }),
    case("delete_module", "beside others", [6, 8], [1, 50], |app, count| {
        let place = Place::with_modules(app, count);
        json!({"bk_biz_id": place.business, "bk_set_id": place.set, "bk_module_id": place.module})
    }),
    case(
        "search_module",
        "modules of a business",
        [2, 2],
        [1, 50],
        |app, count| json!({"bk_biz_id": Place::with_modules(app, count).business, "page": {"start": 0, "limit": 100}}),
    ),
    case("search_module", "modules of a set", [2, 2], [1, 50], |app, count| {
        let place = Place::with_modules(app, count);
        json!({"bk_biz_id": place.business, "bk_set_id": place.set, "page": {"start": 0, "limit": 100}})
    }),
    case(
        "search_biz_inst_topo",
        "modules",
        [3, 3],
        [1, 50],
        |app, count| json!({"bk_biz_id": Place::with_modules(app, count).business}),
    ),
    case(
        "get_biz_internal_module",
        "",
        [2, 2],
        [1, 50],
        |app, count| json!({"bk_biz_id": Place::with_modules(app, count).business}),
    ),
    case(
        "list_service_category",
        "",
        [1, 1],
        [1, 50],
        |app, count| json!({"bk_biz_id": Place::with_modules(app, count).business}),
    ),
    case(
        "post_findmany_proc_service_category_with_statistics",
        "categories",
        [3, 3],
        [1, 50],
        |app, count| json!({"bk_biz_id": with_categories(app, count)}),
    ),
    case(
        "create_service_category",
        "beside others",
        [6, 8],
        [1, 50],
        |app, count| json!({"bk_biz_id": with_categories(app, count), "name": "new"}),
    ),
    case("create_service_category", "below another", [7, 9], [1, 50], |app, count| {
        let business = with_categories(app, count);
        let parent = app.post("/create/proc/service_category", json!({"bk_biz_id": business, "name": "p"})).data();
        json!({"bk_biz_id": business, "name": "new", "bk_parent_id": parent["id"]})
    }),
    case("update_service_category", "beside others", [5, 7], [1, 50], |app, count| {
        let business = with_categories(app, count);
        let made = app.post("/create/proc/service_category", json!({"bk_biz_id": business, "name": "old"})).data();
        json!({"bk_biz_id": business, "id": made["id"], "name": "new"})
    }),
    case("delete_service_category", "beside others", [7, 9], [1, 50], |app, count| {
        let business = with_categories(app, count);
        let made = app.post("/create/proc/service_category", json!({"bk_biz_id": business, "name": "old"})).data();
        json!({"bk_biz_id": business, "id": made["id"]})
    }),
    case(
        "create_service_template",
        "beside others",
        [8, 10],
        [1, 50],
        |app, count| json!({"bk_biz_id": with_templates(app, count).0, "name": "new", "service_category_id": 4}),
    ),
    case("update_service_template", "with modules that follow", [10, 12], [1, 50], |app, count| {
        let (business, template) = with_followers(app, count);
        json!({"bk_biz_id": business, "id": template, "name": "new", "service_category_id": 4})
    }),
    case(
        "get_service_template",
        "beside others",
        [1, 1],
        [1, 50],
        |app, count| json!({"service_template_id": with_templates(app, count).1[0]}),
    ),
    case(
        "get_find_proc_service_template__detail",
        "with modules that follow",
        [3, 3],
        [1, 50],
        |app, count| json!({"service_template_id": with_followers(app, count).1}),
    ),
    case(
        "list_service_template",
        "templates",
        [2, 2],
        [1, 50],
        |app, count| json!({"bk_biz_id": with_templates(app, count).0, "page": {"start": 0, "limit": 100}}),
    ),
    case("list_service_template", "templates of a category, by name", [2, 2], [1, 50], |app, count| {
        json!({"bk_biz_id": with_templates(app, count).0, "service_category_id": 1, "search": "T",
            "page": {"start": 0, "limit": 100, "sort": "name"}})
    }),
    case("delete_service_template", "with its attributes", [11, 13], [1, 3], |app, count| {
        let (business, template) = with_attributes(app, count);
        json!({"bk_biz_id": business, "service_template_id": template})
    }),
    case("post_findmany_proc_service_template_count_info_biz", "templates", [3, 3], [1, 50], |app, count| {
        let (business, templates) = with_templates(app, count);
        json!({"bk_biz_id": business, "service_template_ids": templates})
    }),
    case("post_create_proc_service_template_all_info", "with attributes", [10, 12], [1, 3], |app, count| {
        let business = with_attributes(app, 1).0;
        json!({"bk_biz_id": business, "name": "new", "service_category_id": 4, "attributes": attributes(count, "2")})
    }),
    case("put_update_proc_service_template_all_info", "attributes", [6, 8], [1, 3], |app, count| {
        let (business, template) = with_attributes(app, count);
        json!({"bk_biz_id": business, "id": template, "attributes": attributes(count, "2")})
    }),
    case("post_find_proc_service_template_all_info", "attributes", [3, 3], [1, 3], |app, count| {
        let (business, template) = with_attributes(app, count);
        json!({"bk_biz_id": business, "id": template})
    }),
    case("batch_create_proc_template", "templates", [6, 8], [1, 20], |app, count| {
        let (business, templates) = with_templates(app, 1);
        json!({"bk_biz_id": business, "service_template_id": templates[0], "processes": specs(count)})
    }),
    case("update_proc_template", "beside others", [6, 8], [1, 20], |app, count| {
        let following = Following::joined(app, count, 1);
        json!({"bk_biz_id": following.place.business, "process_template_id": following.process_templates[0],
            "process_property": {"user": {"value": "u"}}})
    }),
    case("delete_proc_template", "templates", [8, 10], [1, 20], |app, count| {
        let following = Following::joined(app, count, 3);
        json!({"bk_biz_id": following.place.business, "process_templates": following.process_templates})
    }),
    case(
        "get_proc_template",
        "beside others",
        [2, 2],
        [1, 20],
        |app, count| json!({"process_template_id": Following::new(app, count, 1).process_templates[0]}),
    ),
    case("list_proc_template", "templates", [1, 1], [1, 20], |app, count| {
        let following = Following::new(app, count, 1);
        json!({"bk_biz_id": following.place.business, "service_template_id": following.template})
    }),
    case("create_service_instance", "from a template", [14, 18], [1, 20], |app, count| {
        let following = Following::new(app, 2, count);
        let mut joining = following.joining();
        joining["disable_auto_create"] = json!(true);
        app.post("/hosts/modules", joining).data();
        let instances: Vec<_> = following.place.hosts.iter().map(|host| json!({"bk_host_id": host})).collect();
        json!({"bk_biz_id": following.place.business, "bk_module_id": following.place.module, "instances": instances})
    }),
    case("transfer_host_module", "into a module with a template", [18, 22], [1, 20], |app, count| {
        Following::new(app, 2, count).joining()
    }),
    case("update_process_instance", "of templates", [7, 9], [1, 20], |app, count| {
        let following = Following::joined(app, 1, count);
        let entries: Vec<_> =
            following.place.processes(app).iter().map(|id| json!({"bk_process_id": id, "user": "u"})).collect();
        json!({"bk_biz_id": following.place.business, "processes": entries})
    }),
    case("delete_template_binding_on_module", "instances", [8, 10], [1, 20], |app, count| {
        let following = Following::joined(app, 2, count);
        json!({"bk_biz_id": following.place.business, "bk_module_id": following.place.module})
    }),
    case("post_module_bk_biz_id__service_template_id", "modules", [1, 1], [1, 20], |app, count| {
        let (business, template) = with_followers(app, count);
        json!({"bk_biz_id": business, "service_template_id": template})
    }),
    case("post_find_proc_service_template_general_difference", "instances", [6, 6], [1, 20], |app, count| {
        Following::joined(app, 2, count).asked()
    }),
    case("post_find_proc_difference_service_instances", "instances", [5, 5], [1, 20], |app, count| {
        Following::joined(app, 2, count).asked()
    }),
    case("post_find_proc_service_instance_difference_detail", "templates", [5, 5], [1, 20], |app, count| {
        let following = Following::joined(app, count, 1);
        let listed = json!({"bk_biz_id": following.place.business, "bk_module_id": following.place.module});
        let listed = app.post("/findmany/proc/service_instance", listed).data();
        let mut asked = following.asked();
        asked["service_instance_id"] = listed["info"][0]["id"].clone();
        asked
    }),
    case("list_service_template_difference", "modules", [7, 7], [1, 20], |app, count| {
        let (business, template) = with_followers(app, count);
        json!({"bk_biz_id": business, "is_partial": true, "service_template_ids": [template]})
    }),
    case("sync_service_template_to_service_instance", "modules", [10, 12], [1, 20], |app, count| {
        let (business, template) = with_followers(app, count);
        json!({"bk_biz_id": business, "service_template_id": template,
            "bk_module_ids": modules_of(app, business, template)})
    }),
    case("sync_service_template_to_service_instance", "a preview of instances", [11, 11], [1, 20], |app, count| {
        let following = Following::joined(app, 2, count);
        let mut asked = following.asked();
        asked["bk_module_ids"] = json!([following.place.module]);
        asked["dry_run"] = json!(true);
        asked
    }),
    case("list_service_template_sync_status", "modules", [8, 8], [1, 20], |app, count| {
        let (business, template) = with_jobs(app, count);
        json!({"bk_biz_id": business, "service_template_id": template,
            "bk_module_ids": modules_of(app, business, template)})
    }),
    case(
        "post_findmany_sync_job_bk_biz_id",
        "jobs",
        [4, 4],
        [1, 20],
        |app, count| json!({"bk_biz_id": with_jobs(app, count).0}),
    ),
    case("put_update_sync_job_cancel", "jobs", [4, 6], [1, 20], |app, count| {
        let business = with_jobs(app, count).0;
        json!({"bk_biz_id": business, "job_ids": jobs_of(app, business)})
    }),
    case("put_update_sync_job_retry", "jobs", [6, 8], [1, 20], |app, count| {
        let business = with_jobs(app, count).0;
        let jobs = jobs_of(app, business);
        let body = json!({"bk_biz_id": business, "job_ids": jobs});
        app.native("PUT", "/update/sync_job/cancel", body.clone()).data();
        body
    }),
    case("put_update_proc_service_template_attribute", "attributes", [5, 7], [1, 3], |app, count| {
        let (business, template) = with_attributes(app, count);
        json!({"bk_biz_id": business, "id": template, "attributes": attributes(count, "2")})
    }),
    case("delete_delete_proc_service_template_attribute", "attributes", [5, 7], [1, 3], |app, count| {
        let (business, template) = with_attributes(app, count);
        json!({"bk_biz_id": business, "id": template, "bk_attribute_ids": MODULE_ATTRIBUTES[..count]})
    }),
    case("post_findmany_proc_service_template_attribute", "attributes", [2, 2], [1, 3], |app, count| {
        let (business, template) = with_attributes(app, count);
        json!({"bk_biz_id": business, "id": template})
    }),
    // Set templates, the sets that follow them
    case("create_set", "with modules of a template", [13, 15], [1, 20], |app, count| {
        let kit = Kit::new(app, count);
        json!({"bk_biz_id": kit.business, "data": {"bk_set_name": "new", "bk_parent_id": kit.business,
            "set_template_id": kit.template}})
    }),
    case("list_service_instance_by_set_template", "instances", [2, 2], [1, 20], |app, count| {
        let following = Following::joined(app, 1, count);
        let kit = json!({"name": "kit", "service_template_ids": [following.template]});
        let path = format!("/create/topo/set_template/bk_biz_id/{}", following.place.business);
        let template = app.post(&path, kit).data()["id"].clone();
        json!({"bk_biz_id": following.place.business, "set_template_id": template, "page": {"limit": 100}})
    }),
    case("create_set_template", "service templates", [8, 10], [1, 20], |app, count| {
        let (business, services) = with_templates(app, count);
        json!({"bk_biz_id": business, "name": "kit", "service_template_ids": services})
    }),
    case("update_set_template", "service templates", [9, 11], [1, 20], |app, count| {
        let kit = Kit::new(app, count);
        json!({"bk_biz_id": kit.business, "set_template_id": kit.template, "name": "new",
            "service_template_ids": kit.others(app, count)})
    }),
    case("delete_set_template", "templates", [8, 10], [1, 20], |app, count| {
        let kit = Kit::new(app, 2);
        json!({"bk_biz_id": kit.business, "set_template_ids": kit.templates(app, count)})
    }),
    case("get_find_topo_set_template__bk_biz_id", "", [1, 1], [1, 20], |app, count| Kit::new(app, count).named()),
    case("list_set_template", "templates", [2, 2], [1, 20], |app, count| {
        let kit = Kit::new(app, 1);
        kit.templates(app, count);
        json!({"bk_biz_id": kit.business})
    }),
    case("post_findmany_topo_set_template_bk_biz_id__web", "templates", [2, 2], [1, 20], |app, count| {
        let kit = Kit::new(app, 1);
        kit.templates(app, count);
        json!({"bk_biz_id": kit.business})
    }),
    case("list_set_template_related_service_template", "service templates", [2, 2], [1, 20], |app, count| {
        Kit::new(app, count).named()
    }),
    case("post_create_topo_set_template_all_info", "with attributes", [10, 12], [1, 3], |app, count| {
        let (business, services) = with_templates(app, count);
        json!({"bk_biz_id": business, "name": "kit", "service_template_ids": services,
            "attributes": set_attributes(app, count, "a")})
    }),
    case("put_update_topo_set_template_all_info", "with attributes", [10, 12], [1, 3], |app, count| {
        let kit = Kit::with_attributes(app, count);
        json!({"bk_biz_id": kit.business, "id": kit.template, "service_template_ids": kit.others(app, count),
            "attributes": set_attributes(app, count, "b")})
    }),
    case("post_find_topo_set_template_all_info", "attributes", [3, 3], [1, 3], |app, count| {
        Kit::with_attributes(app, count).by_id()
    }),
    case("post_findmany_topo_set_template__bk_biz_id__sets_web", "sets", [3, 3], [1, 20], |app, count| {
        let kit = Kit::new(app, 1);
        kit.sets(app, count);
        kit.named()
    }),
    case(
        "post_findmany_topo_set_template__bk_biz_id__diff_with_instances",
        "modules",
        [6, 6],
        [1, 20],
        |app, count| {
            let kit = Kit::new(app, count);
            let mut body = kit.named();
            body["bk_set_id"] = json!(kit.sets(app, 1)[0]);
            body
        },
    ),
    case("get_findmany_topo_set_template__bk_biz_id__set_template_status", "sets", [5, 5], [1, 20], |app, count| {
        let kit = Kit::new(app, 1);
        kit.sets(app, count);
        kit.named()
    }),
    case("post_findmany_topo_set_template_bk_biz_id__set_template_status", "sets", [5, 5], [1, 20], |app, count| {
        let kit = Kit::new(app, 1);
        kit.sets(app, count);
        json!({"bk_biz_id": kit.business, "set_template_ids": [kit.template]})
    }),
    case("post_findmany_topo_set_template__bk_biz_id__host_with_instances", "sets", [5, 5], [1, 20], |app, count| {
        Kit::new(app, 1).of_sets(app, count)
    }),
    case("sync_set_template_to_set", "sets", [11, 13], [1, 20], |app, count| Kit::new(app, 2).of_sets(app, count)),
    case("sync_set_template_to_set", "modules", [11, 13], [1, 20], |app, count| Kit::new(app, count).of_sets(app, 1)),
    case("post_findmany_topo_set_template__bk_biz_id__instances_sync_status", "sets", [4, 4], [1, 20], |app, count| {
        Kit::synchronized(app, count).named()
    }),
    case("post_findmany_topo_set_template_sync_status_bk_biz_id", "sets", [5, 5], [1, 20], |app, count| {
        Kit::synchronized(app, count).named()
    }),
    case("post_findmany_topo_set_template_sync_history_bk_biz_id", "sets", [3, 3], [1, 20], |app, count| {
        Kit::synchronized(app, count).named()
    }),
    case("put_update_topo_set_template_attribute", "attributes", [5, 7], [1, 3], |app, count| {
        let mut body = Kit::with_attributes(app, count).by_id();
        body["attributes"] = set_attributes(app, count, "b");
        body
    }),
    case("delete_delete_topo_set_template_attribute", "attributes", [5, 7], [1, 3], |app, count| {
        let mut body = Kit::with_attributes(app, count).by_id();
        let attributes = set_attributes(app, count, "a");
        let ids = attributes.as_array().unwrap().iter().map(|it| it["bk_attribute_id"].clone());
        body["bk_attribute_ids"] = ids.collect();
        body
    }),
    case("post_findmany_topo_set_template_attribute", "attributes", [2, 2], [1, 3], |app, count| {
        Kit::with_attributes(app, count).by_id()
    }),
    case("delete_service_template", "that set templates list", [11, 13], [1, 20], |app, count| {
        let kit = Kit::new(app, 1);
        kit.templates(app, count);
        json!({"bk_biz_id": kit.business, "service_template_id": kit.services[0]})
    }),
    case("search_object_attribute", "", [1, 1], [1, 1], |_, _| json!({"bk_obj_id": "host"})),
    case("add_host_to_resource", "new hosts", [13, 16], [1, 20], |_, count| json!({"host_info": rows(count, "new")})),
    case("add_host_to_resource", "hosts that change", [11, 14], [1, 20], |app, count| {
        app.esb("add_host_to_resource", json!({"host_info": rows(count, "old")})).data();
        json!({"host_info": rows(count, "new")})
    }),
    case(
        "add_host_to_business_idle",
        "hosts",
        [13, 16],
        [1, 20],
        |app, count| json!({"bk_biz_id": business(app, "b"), "bk_host_list": hosts(count)}),
    ),
    case(
        "list_biz_hosts",
        "hosts",
        [2, 2],
        [1, 20],
        |app, count| json!({"bk_biz_id": Place::with_hosts(app, count).business, "page": {"start": 0, "limit": 100}}),
    ),
    case("list_biz_hosts", "hosts of a module, in order of a field", [1, 1], [1, 20], |app, count| {
        let place = Place::with_hosts(app, count);
        json!({"bk_biz_id": place.business, "bk_module_ids": [place.module],
            "page": {"start": 0, "limit": 100, "sort": "bk_host_innerip"}})
    }),
    case("update_host", "hosts", [5, 8], [1, 20], |app, count| {
        let place = Place::with_hosts(app, count);
        json!({"bk_host_id": place.hosts, "data": {"bk_comment": "new"}})
    }),
    case("update_host", "whose processes follow", [9, 12], [1, 20], |app, count| {
        let following = Following::bound_to_addresses(app, count);
        json!({"bk_host_id": following.place.hosts, "data": {"bk_host_outerip": "8.8.8.8"}})
    }),
    case("batch_update_host", "hosts whose processes follow", [9, 12], [1, 20], |app, count| {
        let following = Following::bound_to_addresses(app, count);
        let hosts = following.place.hosts.iter().enumerate();
        let changes = hosts.map(|(i, id)| json!({"bk_host_id": id, "properties": {"bk_host_outerip": address(i)}}));
        json!({"update": changes.collect::<Vec<_>>()})
    }),
    case("add_host_to_resource", "hosts whose processes follow", [15, 18], [1, 20], |app, count| {
        Following::bound_to_addresses(app, count);
        let row = |i| (format!("{}", i + 1), json!({"bk_host_innerip": address(i), "bk_host_outerip": "8.8.8.8"}));
        json!({"host_info": Value::Object((0..count).map(row).collect())})
    }),
    case("transfer_host_module", "hosts", [11, 14], [1, 20], |app, count| {
        let place = Place::with_hosts(app, count);
        let other = module(app, place.business, place.set, "other");
        json!({"bk_biz_id": place.business, "bk_host_id": place.hosts, "bk_module_id": [other], "is_increment": false})
    }),
    case("transfer_host_module", "hosts with instances", [14, 18], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 3);
        let other = module(app, place.business, place.set, "other");
        json!({"bk_biz_id": place.business, "bk_host_id": place.hosts, "bk_module_id": [other], "is_increment": false})
    }),
    case("transfer_host_to_idlemodule", "hosts with instances", [13, 17], [1, 20], |app, count| {
        let place = Place::with_instances(app, count, 3);
        json!({"bk_biz_id": place.business, "bk_host_id": place.hosts})
    }),
    case("transfer_resourcehost_to_idlemodule", "hosts", [11, 14], [1, 20], |app, count| {
        app.esb("add_host_to_resource", json!({"host_info": rows(count, "free")})).data();
        let listed = app.esb("list_biz_hosts", json!({"bk_biz_id": 1, "page": {"start": 0, "limit": 100}})).data();
        let ids: Vec<_> = listed["info"].as_array().unwrap().iter().map(|host| host["bk_host_id"].clone()).collect();
        assert_eq!(ids.len(), count);
        json!({"bk_biz_id": business(app, "b"), "bk_host_id": ids})
    }),
    case("list_operation_audit", "entries about a business", [2, 2], [1, 20], |app, count| {
        let business = with_sets(app, count);
        json!({"condition": {"bk_biz_id": business, "operation_time": {"start": "2000-01-01"}}, "page": {"limit": 200}})
    }),
    case("list_operation_audit", "entries about all businesses", [2, 2], [1, 50], |app, count| {
        businesses(app, count);
        json!({"condition": {"operation_time": {"start": "2000-01-01"}}, "page": {"limit": 200, "sort": "-operation_time"}})
    }),
    case("find_audit_by_id", "entries", [1, 1], [1, 20], |app, count| {
        with_sets(app, count);
        let body = json!({"condition": {"operation_time": {"start": "2000-01-01"}}, "page": {"limit": 200}});
        let listed = app.post("/findmany/audit_list", body).data();
        let ids: Vec<_> = listed["info"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect();
        assert!(ids.len() > count);
        json!({"id": ids})
    }),
];

/// What a call asked of the store.
fn asked(case: &Case, size: usize) -> Vec<Asked> {
    let counting = Arc::new(OnceLock::new());
    let given = counting.clone();
    // Jobs would ask for statements of their own beside the calls.
    let app = TestApp::with().settings(|settings| (settings.dev, settings.jobs.run) = (true, false));
    let app = app.administrator(USER).engine(move |engine| {
        let translate = on_engine(for_sqlite as fn(&str) -> String, for_postgres);
        given.get_or_init(|| Arc::new(CountingEngine::new(engine, translate))).clone()
    });
    let app = app.start();
    let body = (case.body)(&app, size);
    let counting = counting.get().unwrap();
    counting.take();
    app.call(case.operation, body).data();
    let mut units = counting.take();
    // Beside all calls, the server looks whether somebody was given rights.
    let is_beside = |asked: &Asked| matches!(asked, Asked::Statement(sql) if sql.contains("directory_version"));
    units.retain(|unit| !unit.asked.iter().any(is_beside));
    assert_eq!(units.len(), 1, "one unit of work a call: {units:#?}");
    units.remove(0).asked
}

/// Side by side, since most of the time goes into waiting for the store.
const THREADS: usize = 4;

#[test]
fn each_operation_takes_a_fixed_number_of_statements() {
    let parts = CASES.chunks(CASES.len().div_ceil(THREADS));
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = parts.map(|cases| scope.spawn(|| wrong_counts(cases))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn wrong_counts(cases: &[Case]) -> Vec<String> {
    let for_many: BTreeSet<_> = statements_for_many().collect();
    let mut wrong = Vec::new();
    for case in cases {
        let [few, many] = case.sizes.map(|size| asked(case, size));
        let name = format!("{} ({})", case.operation, case.what);
        if few != many {
            wrong.push(format!("{name} with {:?} rows: {few:#?} {many:#?}", case.sizes));
        }
        let wanted = on_engine(case.statements[0], case.statements[1]);
        if few.len() != wanted {
            wrong.push(format!("{name}: {} and not {wanted}: {few:#?}", few.len()));
        }
        for asked in &few {
            let is_known = !matches!(asked, Asked::ForMany(sql) if !for_many.contains(sql));
            assert!(is_known, "it is run for many rows and not marked so: {asked:?}");
        }
    }
    wrong
}

#[test]
fn no_operation_is_left_out() {
    let counted: BTreeSet<_> = CASES.iter().map(|case| case.operation).collect();
    let all: BTreeSet<_> = rollcall_app::table::operations().iter().map(|operation| operation.name).collect();
    assert_eq!(counted, all);
}

/// Every write can be tried: it leaves nothing behind and answers its changes, those that it makes when it is done afterwards.
#[test]
fn each_write_can_be_tried_without_effect() {
    let writes: BTreeSet<_> = rollcall_app::table::operations()
        .iter()
        .filter(|operation| operation.weight == rollcall_app::Weight::Write)
        .map(|operation| operation.name)
        .collect();
    // Each operation once, on a store of its own: the bodies of all cases begin with the same names.
    let mut tried = BTreeSet::new();
    let cases: Vec<_> = CASES.iter().filter(|case| writes.contains(case.operation)).collect();
    let cases: Vec<_> = cases.into_iter().filter(|case| tried.insert(case.operation)).collect();
    assert_eq!(tried, writes);
    std::thread::scope(|scope| {
        let threads = cases.chunks(cases.len().div_ceil(THREADS));
        let threads: Vec<_> = threads.map(|cases| scope.spawn(|| cases.iter().copied().for_each(try_out))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

fn try_out(case: &Case) {
    let app = TestApp::with().settings(|settings| (settings.dev, settings.jobs.run) = (true, false));
    let app = app.administrator(USER).start();
    let mut body = (case.body)(&app, case.sizes[0]);
    body["dry_run"] = json!(true);
    // Ids that were taken may be lost.
    let tables = || rollcall_store::copy::TABLES.iter().filter(|table| table.name != "sequence");
    let state = || {
        let rows: Vec<_> = tables().map(|table| (table.name, app.number(table.count))).collect();
        (rows, app.documents("SELECT '{' || fixed_fields || ',' || extra_fields || '}' FROM process"))
    };
    let before = state();
    let told = app.call(case.operation, body.clone()).data();
    assert_eq!(told["dry_run"], true, "{}: {told}", case.operation);
    assert_eq!(state(), before, "{}", case.operation);
    let events = || changes::events(&app);
    let old = events().len();
    body["dry_run"] = json!(false);
    app.call(case.operation, body).data();
    // What jobs do comes later; `followers` compares that.
    let operations = rollcall_app::table::operations();
    if !operations.iter().any(|operation| operation.name == case.operation && operation.previews_by_reading) {
        let tried = changes::of_preview(told["changes"].as_array().unwrap());
        assert_eq!(tried, changes::of_events(events()[old..].iter()), "{}", case.operation);
    }
}

/// The modules that follow a template.
fn modules_of(app: &TestApp, business: i64, template: i64) -> Vec<Value> {
    let path = format!("/module/bk_biz_id/{business}/service_template_id/{template}");
    let listed = app.post(&path, json!({})).data();
    listed["info"].as_array().unwrap().iter().map(|module| module["bk_module_id"].clone()).collect()
}

/// A business and a template with as many modules, each with a job.
fn with_jobs(app: &TestApp, count: usize) -> (i64, i64) {
    let (business, template) = with_followers(app, count);
    let body = json!({"bk_biz_id": business, "service_template_id": template,
        "bk_module_ids": modules_of(app, business, template)});
    app.native("PUT", "/update/proc/service_instance/sync", body).data();
    (business, template)
}

fn jobs_of(app: &TestApp, business: i64) -> Vec<Value> {
    let listed = app.post(&format!("/findmany/sync_job/bk_biz_id/{business}"), json!({})).data();
    listed["info"].as_array().unwrap().iter().map(|job| job["job_id"].clone()).collect()
}

fn business(app: &TestApp, name: &str) -> i64 {
    let made = app.post("/biz/0", json!({"bk_biz_name": name, "bk_biz_maintainer": "ops"})).data();
    made["bk_biz_id"].as_i64().unwrap()
}

fn businesses(app: &TestApp, count: usize) {
    for i in 0..count {
        business(app, &format!("b{i}"));
    }
}

fn set(app: &TestApp, business: i64, name: &str) -> i64 {
    let made = app.post(&format!("/set/{business}"), json!({"bk_set_name": name, "bk_parent_id": business})).data();
    made["bk_set_id"].as_i64().unwrap()
}

/// A business with so many sets.
fn with_sets(app: &TestApp, count: usize) -> i64 {
    let business = business(app, "b");
    for i in 0..count {
        set(app, business, &format!("s{i}"));
    }
    business
}

fn module(app: &TestApp, business: i64, set: i64, name: &str) -> i64 {
    let module = json!({"bk_module_name": name, "bk_parent_id": set});
    app.post(&format!("/module/{business}/{set}"), module).data()["bk_module_id"].as_i64().unwrap()
}

/// A business with so many categories.
fn with_categories(app: &TestApp, count: usize) -> i64 {
    let business = business(app, "b");
    for i in 0..count {
        app.post("/create/proc/service_category", json!({"bk_biz_id": business, "name": format!("c{i}")})).data();
    }
    business
}

/// A business with so many templates.
fn with_templates(app: &TestApp, count: usize) -> (i64, Vec<i64>) {
    let business = business(app, "b");
    let template = |i: usize| {
        let template = json!({"bk_biz_id": business, "name": format!("t{i}"), "service_category_id": 2});
        app.post("/create/proc/service_template", template).data()["id"].as_i64().unwrap()
    };
    (business, (0..count).map(template).collect())
}

/// A business with a template that so many modules follow.
fn with_followers(app: &TestApp, count: usize) -> (i64, i64) {
    let (business, templates) = with_templates(app, 1);
    for i in 0..count {
        let set = set(app, business, &format!("s{i}"));
        let module = json!({"bk_parent_id": set, "service_template_id": templates[0]});
        app.post(&format!("/module/{business}/{set}"), module).data();
    }
    (business, templates[0])
}

/// A place whose module follows a template of so many process templates, with instances on so many hosts.
struct Following {
    place: Place,
    template: i64,
    process_templates: Vec<i64>,
}

impl Following {
    fn new(app: &TestApp, templates: usize, hosts: usize) -> Self {
        let mut place = Place::with_hosts(app, hosts);
        let template = json!({"bk_biz_id": place.business, "name": "t", "service_category_id": 2});
        let template = app.post("/create/proc/service_template", template).data()["id"].as_i64().unwrap();
        let specs =
            json!({"bk_biz_id": place.business, "service_template_id": template, "processes": specs(templates)});
        let made = app.post("/createmany/proc/proc_template", specs).data();
        let module = json!({"bk_parent_id": place.set, "service_template_id": template});
        let module = app.post(&format!("/module/{}/{}", place.business, place.set), module).data();
        place.module = module["bk_module_id"].as_i64().unwrap();
        Self { place, template, process_templates: serde_json::from_value(made).unwrap() }
    }

    /// The body that moves the hosts into the module.
    fn joining(&self) -> Value {
        json!({"bk_biz_id": self.place.business, "bk_host_id": self.place.hosts, "bk_module_id": [self.place.module],
            "is_increment": true})
    }

    /// With instances on the hosts.
    fn joined(app: &TestApp, templates: usize, hosts: usize) -> Self {
        let following = Self::new(app, templates, hosts);
        app.post("/hosts/modules", following.joining()).data();
        following
    }

    /// With instances on so many hosts whose processes bind the outer address.
    fn bound_to_addresses(app: &TestApp, hosts: usize) -> Self {
        let following = Self::new(app, 1, hosts);
        let row = json!({"ip": {"value": "4", "as_default_value": true}, "port": {"value": "80"},
            "protocol": {"value": "1"}, "enable": {"value": true}});
        let property = json!({"bind_info": {"value": [row]}});
        let body = json!({"bk_biz_id": following.place.business, "process_template_id": following.process_templates[0],
            "process_property": property});
        app.native("PUT", "/update/proc/proc_template", body).data();
        app.post("/hosts/modules", following.joining()).data();
        following
    }

    fn asked(&self) -> Value {
        json!({"bk_biz_id": self.place.business, "bk_module_id": self.place.module, "service_template_id": self.template,
            "process_template_id": self.process_templates[0]})
    }
}

fn specs(count: usize) -> Vec<Value> {
    (0..count).map(|i| json!({"spec": named(&format!("p{i}"))})).collect()
}

/// Type of the module and who maintains it.
const MODULE_ATTRIBUTES: [i64; 3] = [31, 32, 33];

/// So many of these with a value that each of them takes.
fn attributes(count: usize, value: &str) -> Value {
    let ids = MODULE_ATTRIBUTES[..count].iter();
    ids.map(|id| json!({"bk_attribute_id": id, "bk_property_value": value})).collect()
}

/// A business with a template that fixes so many attributes.
fn with_attributes(app: &TestApp, count: usize) -> (i64, i64) {
    let (business, templates) = with_templates(app, 1);
    app.fix_attributes(business, templates[0], &attributes(count, "1"));
    (business, templates[0])
}

/// A set template of so many service templates.
struct Kit {
    business: i64,
    services: Vec<i64>,
    template: i64,
}

impl Kit {
    fn new(app: &TestApp, services: usize) -> Self {
        let (business, services) = with_templates(app, services);
        let mut kit = Self { business, services, template: 0 };
        kit.template = kit.template(app, "kit");
        kit
    }

    /// One more template of the same.
    fn template(&self, app: &TestApp, name: &str) -> i64 {
        let body = json!({"name": name, "service_template_ids": self.services});
        let path = format!("/create/topo/set_template/bk_biz_id/{}", self.business);
        app.post(&path, body).data()["id"].as_i64().unwrap()
    }

    /// With others of the same: so many.
    fn templates(&self, app: &TestApp, count: usize) -> Vec<i64> {
        let others = (1..count).map(|i| self.template(app, &format!("k{i}")));
        std::iter::once(self.template).chain(others).collect()
    }

    fn with_attributes(app: &TestApp, count: usize) -> Self {
        let kit = Self::new(app, 1);
        let mut body = kit.by_id();
        body["attributes"] = set_attributes(app, count, "a");
        app.native("PUT", "/update/topo/set_template/all_info", body).data();
        kit
    }

    /// So many other service templates.
    fn others(&self, app: &TestApp, count: usize) -> Vec<i64> {
        let template = |i: usize| {
            let template = json!({"bk_biz_id": self.business, "name": format!("o{i}"), "service_category_id": 2});
            app.post("/create/proc/service_template", template).data()["id"].as_i64().unwrap()
        };
        (0..count).map(template).collect()
    }

    /// So many sets that follow it.
    fn sets(&self, app: &TestApp, count: usize) -> Vec<i64> {
        let set = |i: usize| {
            let set = json!({"bk_set_name": format!("s{i}"), "bk_parent_id": self.business,
                "set_template_id": self.template});
            app.post(&format!("/set/{}", self.business), set).data()["bk_set_id"].as_i64().unwrap()
        };
        (0..count).map(set).collect()
    }

    fn named(&self) -> Value {
        json!({"bk_biz_id": self.business, "set_template_id": self.template})
    }

    fn by_id(&self) -> Value {
        json!({"bk_biz_id": self.business, "id": self.template})
    }

    /// The body that names so many sets of it.
    fn of_sets(&self, app: &TestApp, count: usize) -> Value {
        let mut body = self.named();
        body["bk_set_ids"] = json!(self.sets(app, count));
        body
    }

    /// With so many sets that were synchronized.
    fn synchronized(app: &TestApp, count: usize) -> Self {
        let kit = Self::new(app, 1);
        app.call("sync_set_template_to_set", kit.of_sets(app, count)).data();
        kit
    }
}

/// So many attributes of sets with a value that each of them takes.
fn set_attributes(app: &TestApp, count: usize, value: &str) -> Value {
    let names = ["bk_set_desc", "description", "bk_capacity"];
    let number = |name: &str| app.set_attribute(name);
    let value = |name: &str| match name {
        "bk_capacity" => json!(value.len() + value.as_bytes()[0] as usize),
        _ => json!(value),
    };
    names[..count]
        .iter()
        .map(|name| json!({"bk_attribute_id": number(name), "bk_property_value": value(name)}))
        .collect()
}

fn address(number: usize) -> String {
    format!("10.0.{}.{}", number / 200, number % 200 + 1)
}

fn hosts(count: usize) -> Vec<Value> {
    (0..count).map(|i| json!({"bk_host_innerip": address(i), "bk_cloud_id": 0})).collect()
}

/// Hosts as add_host_to_resource takes them.
fn rows(count: usize, comment: &str) -> Value {
    let row =
        |i| (format!("{}", i + 1), json!({"bk_host_innerip": address(i), "bk_cloud_id": 0, "bk_comment": comment}));
    Value::Object((0..count).map(row).collect())
}

fn processes(name: &str, count: usize) -> Vec<Value> {
    (0..count).map(|i| json!({"process_info": process(&format!("{name}{i}"))})).collect()
}

/// A process of an update.
fn entry(id: i64, name: &str) -> Value {
    let mut entry = process(name);
    entry["bk_process_id"] = json!(id);
    entry["bk_start_param_regex"] = json!("");
    entry
}

fn instance(host: i64, count: usize) -> Value {
    json!({"bk_host_id": host, "processes": processes("p", count)})
}

/// A business with a set and a module, and what is in it.
struct Place {
    business: i64,
    set: i64,
    module: i64,
    hosts: Vec<i64>,
    instances: Vec<i64>,
}

impl Place {
    fn with_modules(app: &TestApp, count: usize) -> Self {
        let business = business(app, "place");
        let set = set(app, business, "set");
        let modules: Vec<_> = (0..count).map(|i| module(app, business, set, &format!("m{i}"))).collect();
        Self { business, set, module: modules[0], hosts: Vec::new(), instances: Vec::new() }
    }

    fn with_hosts(app: &TestApp, count: usize) -> Self {
        let mut place = Self::with_modules(app, 1);
        let added = json!({"bk_biz_id": place.business, "bk_host_list": hosts(count)});
        let added = app.post("/hosts/add/business_idle", added).data()["bk_host_ids"].clone();
        place.hosts = serde_json::from_value(added).unwrap();
        let moved = json!({"bk_biz_id": place.business, "bk_host_id": place.hosts, "bk_module_id": [place.module],
            "is_increment": false});
        app.post("/hosts/modules", moved).data();
        place
    }

    /// An instance on each of so many hosts.
    fn with_instances(app: &TestApp, count: usize, processes: usize) -> Self {
        let mut place = Self::with_hosts(app, count);
        let instances: Vec<_> = place.hosts.iter().map(|host| instance(*host, processes)).collect();
        let made = json!({"bk_biz_id": place.business, "bk_module_id": place.module, "instances": instances});
        place.instances = serde_json::from_value(app.post("/create/proc/service_instance", made).data()).unwrap();
        place
    }

    /// The ids of all processes.
    fn processes(&self, app: &TestApp) -> Vec<i64> {
        let body = json!({"page": {"limit": 1000}});
        let path = format!("/findmany/proc/process_related_info/biz/{}", self.business);
        let listed = app.post(&path, body).data();
        let rows = listed["info"].as_array().unwrap().iter();
        rows.map(|row| row["process"]["bk_process_id"].as_i64().unwrap()).collect()
    }

    /// More instances on the first host.
    fn more_instances(&self, app: &TestApp, count: usize) {
        let instances = vec![instance(self.hosts[0], 1); count];
        let made = json!({"bk_biz_id": self.business, "bk_module_id": self.module, "instances": instances});
        app.post("/create/proc/service_instance", made).data();
    }

    /// The same, with labels.
    fn with_labels(app: &TestApp, count: usize) -> Self {
        let place = Self::with_instances(app, count, 1);
        let labels = json!({"bk_biz_id": place.business, "instance_ids": place.instances, "labels": {"env": "test"}});
        app.post("/updatemany/proc/service_instance/labels", labels).data();
        place
    }
}
