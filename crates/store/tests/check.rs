//! A store that was damaged behind the program's back yields the finding that says so.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_store::StoreError;
use rollcall_store::check::{self, Finding};
use rollcall_store::postgres::{Options, Postgres};
use rollcall_testbed::Database;
use support::Folder;
use support::home::{self, Home, on_postgres, run_sql};

/// A business with one host, one instance and one process, and one process that was deleted; then the directory.
const SOUND: &str = r#"
INSERT INTO business VALUES (1, 'pool', 1, '1', '{"bk_biz_id":1,"bk_biz_name":"pool","default":1}');
INSERT INTO topology_set VALUES (1, 1, 1, 1, 'idle', 0,
    '{"bk_set_id":1,"bk_biz_id":1,"bk_parent_id":1,"bk_set_name":"idle","default":1,"set_template_id":0}');
INSERT INTO topology_set VALUES (2, 1, 1, 0, 'web', 0,
    '{"bk_set_id":2,"bk_biz_id":1,"bk_parent_id":1,"bk_set_name":"web","default":0,"set_template_id":0}');
INSERT INTO module SELECT column1, 1, column2, column1 % 4, 'm' || column1, 0, 2, '{"bk_module_id":' || column1
    || ',"bk_biz_id":1,"bk_set_id":' || column2 || ',"bk_module_name":"m' || column1 || '","default":' || (column1 % 4)
    || ',"service_template_id":0,"service_category_id":2,"set_template_id":0}' FROM (VALUES (1, 1), (2, 1), (3, 1), (4, 2)) modules;
INSERT INTO service_category VALUES (1, 0, 0, 1, 'Default', 1), (2, 0, 1, 1, 'Default', 1);
INSERT INTO service_template VALUES (1, 1, 'st', 2, '{"bk_biz_id":1,"id":1,"name":"st","service_category_id":2}');
INSERT INTO service_template_attribute VALUES (1, 1, 1, 32,
    '{"id":1,"bk_biz_id":1,"service_template_id":1,"bk_attribute_id":32,"bk_property_value":"ann"}');
INSERT INTO set_template VALUES (1, 1, 'kit', '{"id":1,"name":"kit","bk_biz_id":1}');
INSERT INTO set_template_relation VALUES (1, 1, 1);
INSERT INTO set_template_attribute VALUES (1, 1, 1, 14,
    '{"id":1,"bk_biz_id":1,"set_template_id":1,"bk_attribute_id":14,"bk_property_value":"d"}');
INSERT INTO topology_set VALUES (3, 1, 1, 0, 'kit', 1,
    '{"bk_set_id":3,"bk_biz_id":1,"bk_parent_id":1,"bk_set_name":"kit","default":0,"set_template_id":1}');
INSERT INTO cloud_area VALUES (0, 'Default Area');
INSERT INTO host VALUES (1, 0, '10.0.0.1', '', '', '', NULL, '{"bk_host_id":1,"bk_cloud_id":0}');
INSERT INTO host_address VALUES (0, '10.0.0.1', 1);
INSERT INTO host_module VALUES (1, 2, 4, 1);
INSERT INTO service_instance VALUES (1, 1, 4, 1, 0, 'i', '{"bk_biz_id":1,"id":1,"name":"i","service_template_id":0,
    "bk_host_id":1,"bk_module_id":4', '{"a":"b"}');
INSERT INTO process VALUES (1, 1, 1, 1, 0, 'p', 'f', NULL,
    '"bk_process_id":1,"bk_biz_id":1,"service_instance_id":1,"bk_process_name":"p"',
    '"bk_func_name":"f","bk_start_param_regex":null');
INSERT INTO audit VALUES (1, 0, 1, 'u', 1, '', 'r1', 'business_resource', 'service_instance', 'create', 1, 'i', '{}');
INSERT INTO event VALUES (1, 0, 1, 100, 1, 1, 'r1', NULL, '{}');
INSERT INTO event SELECT 2, 0, 1, 9, 1, 1, 'r1', NULL, '{' || fixed_fields || ',' || extra_fields || '}' FROM process;
INSERT INTO event VALUES (3, 0, 1, 9, 1, 2, 'r1', NULL, '{}'), (4, 0, 1, 9, 3, 2, 'r1', '{}', NULL);
INSERT INTO event VALUES (5, 0, 1, 2, 1, 1, 'r1', NULL, '{}'), (6, 0, 1, 3, 1, 1, 'r1', NULL, '{}'),
    (7, 0, 1, 5, 1, 2, 'r1', NULL, '{}'), (8, 0, 1, 6, 1, 4, 'r1', NULL, '{}'),
    (9, 0, 1, 111, 1, 1, 'r1', NULL, '{}'), (10, 0, 1, 112, 1, 1, 'r1', NULL, '{}'),
    (11, 0, 1, 114, 1, 1, 'r1', NULL, '{}'), (12, 0, 1, 115, 1, 1, 'r1', NULL, '{}'),
    (13, 0, 1, 5, 1, 3, 'r1', NULL, '{}');
INSERT INTO app VALUES ('demo', 0, 0);
INSERT INTO app_secret VALUES (1, 'demo', 'd', 0);
INSERT INTO user_token VALUES (1, 'u', 'd', 0, 0);
INSERT INTO access_grant VALUES (1, 'u', 'find_business', 1, 0);
INSERT INTO sequence VALUES ('business', 2), ('set', 4), ('module', 5), ('host', 2), ('service_category', 3),
    ('service_template', 2), ('service_template_attribute', 2), ('set_template', 2), ('set_template_attribute', 2),
    ('service_instance', 2), ('process', 3), ('app_secret', 2), ('user_token', 2), ('grant', 2);
"#;

/// What belongs to it on PostgreSQL: the events are those of draw 0, and of draw 1 one that waits for its place. Nobody gives it
/// one meanwhile.
const SOUND_THERE: &str = "
INSERT INTO service_instance_locator VALUES (1, 1);
INSERT INTO sequence VALUES ('audit', 2);
INSERT INTO event VALUES (1048577, 0, 1, 2, 2, 1, 'r1', '{}', '{}');
SELECT setval('event_draw', 1);
INSERT INTO commit_record (id, draw, events, is_pending) VALUES ('a', 0, 13, 0), ('b', 1, 1, 1);
INSERT INTO event_order VALUES (13, 0, 13);
UPDATE event_sequencer SET next_position = 14, holder = 'a server that is gone', lease_ms = 9000000000000;
";

/// The sound store.
fn sound() -> Home {
    if on_postgres() {
        return Home::Database(sound_database("sound", None));
    }
    let folder = Folder::new();
    folder.open().engine().close();
    folder.outsider().execute_batch(SOUND).unwrap();
    Home::Folder(folder)
}

fn sound_database(name: &str, partitions: Option<u32>) -> Database {
    Database::from_template(name, |url| {
        Postgres::migrate(&Options { partitions, ..home::options(url) }).unwrap();
        run_sql(url, &format!("{SOUND}{SOUND_THERE}")).unwrap();
    })
}

/// Runs SQL behind the program's back.
fn run(home: &Home, sql: &str) {
    match home {
        Home::Folder(folder) => folder.outsider().execute_batch(sql).unwrap(),
        Home::Database(database) => run_sql(&database.url(), sql).unwrap(),
    }
}

/// What the check finds.
fn findings(home: &Home) -> Vec<Finding> {
    let mut rules = 0;
    let found = home.open().read::<_, StoreError>(true, |tx| {
        rules = 0;
        check::run(tx, &mut |_| rules += 1)
    });
    assert_eq!(rules, check::rule_count());
    found.unwrap()
}

#[test]
fn a_sound_store_has_no_findings() {
    assert_eq!(findings(&sound()), []);
}

#[test]
fn a_sound_store_that_is_split_has_no_findings() {
    if on_postgres() {
        let home = Home::Database(sound_database("sound and split", Some(4)));
        assert_eq!(findings(&home), []);
        run(&home, "UPDATE process SET name = 'q'");
        assert!(!findings(&home).is_empty());
    }
}

#[test]
fn an_empty_store_has_no_findings() {
    assert_eq!(findings(&Home::new()), []);
}

/// Asserts that the damage yields this finding, among others.
fn check(damage: &str, table: &str, id: i64, what: &str) {
    let home = sound();
    run(&home, damage);
    let found = findings(&home);
    let is_that = |finding: &Finding| finding.table == table && finding.id == id && finding.what.contains(what);
    assert!(found.iter().any(is_that), "{damage}\n{found:#?}");
}

#[test]
fn damaged_processes_are_found() {
    check("UPDATE process SET service_instance_id = 7", "process", 1, "instance does not exist");
    check("UPDATE process SET business_id = 7", "process", 1, "another business");
    check("UPDATE process SET host_id = 7", "process", 1, "another host");
    check("UPDATE process SET process_template_id = 7", "process", 1, "follows none");
    check("UPDATE process SET name = 'q'", "process", 1, "bk_process_name of its document");
    check("UPDATE process SET start_param = ''", "process", 1, "bk_start_param_regex");
    check("UPDATE process SET fixed_fields = 'x'", "process", 1, "not a JSON object");
    check(
        "UPDATE process SET fixed_fields = replace(fixed_fields, 'p\"', 'p \"')",
        "process",
        1,
        "latest event shows another state",
    );
    let twin = |start: &str| {
        format!(
            "DROP INDEX process_name; DROP INDEX process_func; UPDATE process SET start_param = {start};
             INSERT INTO process SELECT 2, business_id, service_instance_id, host_id, 0, name, func_name, start_param,
                fixed_fields, extra_fields FROM process"
        )
    };
    check(&twin("NULL"), "process", 2, "has its name");
    check(&twin("'-p 80'"), "process", 2, "function name");
    let of_one_template = format!("{}; UPDATE process SET process_template_id = 7", twin("NULL"));
    check(&of_one_template, "process", 2, "follows its process template");
}

#[test]
fn damaged_service_instances_are_found() {
    check("DELETE FROM process", "service_instance", 1, "has no process");
    check("DELETE FROM process", "process", 1, "gone and no event");
    check("DELETE FROM service_instance", "service_instance", 1, "gone and no event");
    check("DELETE FROM host_module", "service_instance", 1, "not in its module");
    check("UPDATE host_module SET business_id = 7", "service_instance", 1, "another business");
    check("UPDATE service_instance SET service_template_id = 7", "service_instance", 1, "service template");
    check("UPDATE service_instance SET name = 'x'", "service_instance", 1, "name of its document");
    check("UPDATE service_instance SET labels = '[]'", "service_instance", 1, "not a JSON object");
}

#[test]
fn damaged_topologies_are_found() {
    let other = r#"INSERT INTO business VALUES (9, 'b9', 0, '1', '{}');"#;
    check("UPDATE topology_set SET kind = 0", "business", 1, "built-in set");
    check("UPDATE module SET kind = 2 WHERE id = 1", "business", 1, "recycle module");
    check(
        "DROP INDEX business_name; INSERT INTO business SELECT 2, name, kind, status, document FROM business",
        "business",
        2,
        "its name",
    );
    check("DROP INDEX topology_set_name; UPDATE topology_set SET name = 'same'", "topology_set", 3, "its name");
    check("DROP INDEX module_name; UPDATE module SET name = 'same'", "module", 3, "its name");
    check("UPDATE topology_set SET business_id = 7 WHERE id = 2", "topology_set", 2, "business does not exist");
    check("UPDATE topology_set SET parent_id = 7 WHERE id = 2", "topology_set", 2, "parent");
    check("UPDATE topology_set SET set_template_id = 7 WHERE id = 2", "topology_set", 2, "template");
    check("UPDATE module SET set_id = 7 WHERE id = 4", "module", 4, "set does not exist");
    check(
        &format!("{other} UPDATE module SET business_id = 9 WHERE id = 4"),
        "module",
        4,
        "another business than its set",
    );
    check("UPDATE module SET service_template_id = 7 WHERE id = 4", "module", 4, "template");
    check("UPDATE module SET service_category_id = 7 WHERE id = 4", "module", 4, "category");
    check("UPDATE module SET document = '' WHERE id = 4", "module", 4, "bk_module_id");
}

#[test]
fn damaged_categories_are_found() {
    check("UPDATE service_category SET parent_id = 7 WHERE id = 2", "service_category", 2, "parent does not exist");
    check("UPDATE service_category SET root_id = 2 WHERE id = 2", "service_category", 2, "its root");
    check("UPDATE service_category SET parent_id = -1 WHERE id = 2", "service_category", 2, "its root");
    check("UPDATE service_category SET business_id = 7 WHERE id = 1", "service_category", 2, "of another business");
    check("UPDATE service_category SET is_built_in = 0 WHERE id = 2", "service_category", 2, "created once");
    check(
        "DROP INDEX service_category_name; UPDATE service_category SET parent_id = 0",
        "service_category",
        2,
        "has its name",
    );
    check("UPDATE event SET kind = 110 WHERE id = 8", "service_category", 4, "gone and no event");
}

#[test]
fn damaged_templates_are_found() {
    let follow = |template: i64| {
        format!(
            "UPDATE module SET name = 'st', service_template_id = {template}, document = replace(replace(document,
                'm4', 'st'), '\"service_template_id\":0', '\"service_template_id\":{template}') WHERE id = 4;"
        )
    };
    let home = sound();
    run(&home, &follow(1));
    assert_eq!(findings(&home), []);
    check(&follow(7), "module", 4, "template that does not exist");
    let other = |what: &str| format!("{} UPDATE module SET {what} WHERE id = 4", follow(1));
    for what in ["business_id = 7", "name = 'm4'", "service_category_id = 1"] {
        check(&other(what), "module", 4, "not that of its service template");
    }
    check("UPDATE service_instance SET service_template_id = 1", "service_instance", 1, "than its module");
    check("UPDATE service_template SET business_id = 7", "service_template", 1, "business does not exist");
    check("UPDATE service_template SET service_category_id = 7", "service_template", 1, "neither shared nor");
    check("UPDATE service_template SET name = 'x'", "service_template", 1, "name of its document");
    check(
        "DROP INDEX service_template_name; INSERT INTO service_template SELECT 2, 1, name, 2, document FROM service_template",
        "service_template",
        2,
        "has its name",
    );
    check("DELETE FROM service_template", "service_template", 1, "gone and no event");
    check("DELETE FROM service_template", "service_template_attribute", 1, "does not exist or is of another");
    check("UPDATE service_template_attribute SET business_id = 7", "service_template_attribute", 1, "of another");
    check("UPDATE service_template_attribute SET attribute_id = 7", "service_template_attribute", 1, "bk_attribute_id");
    check("DELETE FROM service_template_attribute", "service_template_attribute", 1, "gone and no event");
    check(
        "DROP INDEX service_template_attribute_attribute; INSERT INTO service_template_attribute
            SELECT 2, 1, 1, 32, document FROM service_template_attribute",
        "service_template_attribute",
        2,
        "twice",
    );
    check("DELETE FROM event WHERE id = 9", "service_template", 1, "created once");
    check("DELETE FROM event WHERE id = 10", "service_template_attribute", 1, "created once");
}

#[test]
fn damaged_set_templates_are_found() {
    check("UPDATE topology_set SET set_template_id = 7 WHERE id = 3", "topology_set", 3, "set template that does not");
    check("UPDATE topology_set SET set_template_id = 1 WHERE id = 1", "topology_set", 1, "built in and follows");
    check("UPDATE topology_set SET set_template_id = 1 WHERE id = 2", "module", 4, "set_template_id of its document");
    check("UPDATE set_template SET business_id = 7", "set_template", 1, "business does not exist");
    check("UPDATE set_template SET business_id = 7", "topology_set", 3, "is of another business");
    check("UPDATE set_template SET name = 'x'", "set_template", 1, "name of its document");
    check(
        "DROP INDEX set_template_name; INSERT INTO set_template SELECT 2, 1, name, document FROM set_template",
        "set_template",
        2,
        "has its name",
    );
    check("DELETE FROM set_template", "set_template", 1, "gone and no event");
    check("DELETE FROM set_template", "set_template_relation", 1, "its set template does not exist");
    check("UPDATE set_template_relation SET business_id = 7", "set_template_relation", 1, "is of another business");
    check("DELETE FROM service_template", "set_template_relation", 1, "its service template does not exist");
    check(
        "DROP INDEX set_template_relation_set; INSERT INTO set_template_relation VALUES (1, 1, 1)",
        "set_template_relation",
        1,
        "twice",
    );
    check("DELETE FROM set_template", "set_template_attribute", 1, "does not exist or is of another");
    check("UPDATE set_template_attribute SET attribute_id = 7", "set_template_attribute", 1, "bk_attribute_id");
    check("DELETE FROM set_template_attribute", "set_template_attribute", 1, "gone and no event");
    check(
        "DROP INDEX set_template_attribute_attribute; INSERT INTO set_template_attribute
            SELECT 2, 1, 1, 14, document FROM set_template_attribute",
        "set_template_attribute",
        2,
        "twice",
    );
    check("DELETE FROM event WHERE id = 11", "set_template", 1, "created once");
    check("DELETE FROM event WHERE id = 12", "set_template_attribute", 1, "created once");
}

#[test]
fn damaged_hosts_are_found() {
    check("DELETE FROM host_module", "host", 1, "in no module");
    check("DELETE FROM cloud_area", "host", 1, "cloud area");
    check("UPDATE host SET cloud_id = 7", "host_address", 1, "another cloud area");
    check("INSERT INTO host_module VALUES (9, 1, 1, 1)", "host", 1, "several businesses");
    check("INSERT INTO host_module VALUES (1, 1, 1, 1)", "host", 1, "built-in module and in others");
    check("DROP INDEX host_module_module; INSERT INTO host_module VALUES (1, 2, 4, 1)", "host_module", 1, "twice");
    check("DELETE FROM host", "host_module", 1, "host does not exist");
    check("UPDATE host_module SET module_id = 7", "host_module", 1, "module does not exist");
    check("UPDATE host_module SET set_id = 1", "host_module", 1, "not that of the module");
}

#[test]
fn damaged_jobs_are_found() {
    let job = |status: i64, holder: &str| {
        format!(
            "INSERT INTO job VALUES (1, 1, 1, 4, 1, {status}, 'u', 1, '', 'r1', 0, 0, '', '{holder}', 0);
            INSERT INTO job_part (job_id, number, status, content, response) VALUES (1, 1, 0, '{{}}', NULL);"
        )
    };
    check(&job(0, ""), "job", 1, "created once");
    check(&job(0, ""), "job", 1, "given out again");
    check(&job(4, "a"), "job", 1, "a server holds it");
    check(&job(3, ""), "job", 1, "parts of it are not");
    let second = "DROP INDEX job_unfinished; INSERT INTO job SELECT 2, 1, kind, target_id, 1, 1, 'u', 1, '', 'r1', 0, 0, '', '', 0
        FROM job;";
    check(&format!("{}{second}", job(0, "")), "job", 2, "another job of its target");
    check(
        "INSERT INTO job_part (job_id, number, status, content, response) VALUES (7, 1, 0, '{}', NULL)",
        "job_part",
        7,
        "job does not exist",
    );
}

#[test]
fn damaged_histories_are_found() {
    check("DELETE FROM event WHERE id = 3", "event", 4, "before it is missing");
    check("DELETE FROM event WHERE id = 2", "process", 1, "created once");
    check("DELETE FROM event WHERE id = 1", "service_instance", 1, "created once");
    check("DELETE FROM event WHERE id = 4", "process", 2, "gone and no event");
    check("UPDATE event SET object_id = 1 WHERE id = 3", "process", 1, "created once");
    check("DELETE FROM event WHERE id = 5", "host", 1, "created once");
    check("DELETE FROM event WHERE id = 6", "host_module", 1, "as many modules");
    check("DELETE FROM event WHERE id = 7", "topology_set", 2, "created once");
    check("DELETE FROM event WHERE id = 8", "module", 4, "created once");
    check("UPDATE business SET id = 9", "business", 9, "created once");
    check("DELETE FROM host_address", "host", 1, "not reserved");
    check("UPDATE event SET operation = 2 WHERE id = 1", "event", 1, "states");
    check("UPDATE audit SET request_id = 'r2'", "event", 1, "no audit entry");
    check("UPDATE audit SET request_id = 'r2'", "audit", 1, "no event");
    check("UPDATE audit SET resource_id = 2", "process", 1, "audit of its service instance");
}

#[test]
fn damaged_counters_are_found() {
    check("UPDATE sequence SET next = 2 WHERE name = 'process'", "process", 2, "given out again");
    check("DELETE FROM sequence WHERE name = 'process'", "process", 2, "given out again");
    check("UPDATE sequence SET next = 1 WHERE name = 'grant'", "access_grant", 1, "given out again");
    check("UPDATE sequence SET next = 1 WHERE name = 'service_template'", "service_template", 1, "given out again");
}

#[test]
fn damaged_directories_are_found() {
    check("DELETE FROM app", "app_secret", 1, "app does not exist");
    check("UPDATE access_grant SET business_id = 7", "access_grant", 1, "business does not exist");
}

#[test]
fn damage_to_what_only_postgresql_keeps_is_found() {
    if !on_postgres() {
        return;
    }
    let none = "DELETE FROM service_instance_locator";
    check(none, "service_instance", 1, "cannot be found by its id");
    let other = "UPDATE service_instance_locator SET business_id = 7";
    check(other, "service_instance", 1, "cannot be found by its id");
    check(other, "service_instance_locator", 1, "of another business");
    check("INSERT INTO service_instance_locator VALUES (7, 1)", "service_instance_locator", 7, "does not exist");
    check(
        "INSERT INTO process SELECT id, 7, 7, host_id, 0, name, func_name, start_param, fixed_fields, extra_fields FROM process",
        "process",
        1,
        "another process has its id",
    );
    check("UPDATE sequence SET next = 1 WHERE name = 'audit'", "audit", 1, "given out again");
}

#[test]
fn damage_to_the_order_of_events_is_found() {
    if !on_postgres() {
        return;
    }
    let nowhere = "it is neither in the order nor waiting";
    check("DELETE FROM event_order", "event", 1, nowhere);
    check("UPDATE event_order SET events = 12, last_position = 12", "event", 13, nowhere);
    check("DELETE FROM commit_record WHERE id = 'b'", "event", 1048577, nowhere);
    check("UPDATE commit_record SET is_pending = 0", "event", 1048577, nowhere);
    check("DELETE FROM event WHERE id = 13", "event_order", 13, "not as many events");
    check("DELETE FROM event WHERE id = 1048577", "commit_record", 1, "not as many events");
    check("UPDATE commit_record SET is_pending = 1", "commit_record", 0, "has one");
    let next = "next position is not the one behind the last";
    check("UPDATE event_sequencer SET next_position = 13", "event_sequencer", 1, next);
    check("UPDATE event_sequencer SET next_position = 15", "event_sequencer", 1, next);
    check("DELETE FROM event_sequencer", "event_sequencer", 1, next);
    check("SELECT setval('event_draw', 1, false)", "event", 1, "given out again");
    // The second entry stands behind a gap, over the end of the first, or tells of the same events.
    let ordered = |last: i64, first_id: i64| {
        format!("UPDATE commit_record SET is_pending = 0; INSERT INTO event_order VALUES ({last}, {first_id}, 1)")
    };
    let misplaced = "not begin where the entry before it ends";
    check(&ordered(15, 1048576), "event_order", 15, misplaced);
    check(&ordered(12, 1048576), "event_order", 13, misplaced);
    check(&ordered(14, 12), "event_order", 13, "those of another entry");
    // The update of the host before its creation.
    let turned = "DELETE FROM event_order; INSERT INTO event_order VALUES (1, 1048576, 1), (14, 0, 13)";
    check(turned, "event", 1048577, "an earlier event of its record");
}
