//! Finds what cannot be: every rule that a store keeps (`instances` §14, `topology` §16), asked of the stored rows. Reads whole
//! tables on purpose and changes nothing. Indexes and rules prevent these findings; a finding means a defect or a damaged file.

use crate::postgres::EVENTS_A_DRAW;
use crate::{Row, StoreError, Tx};
use rollcall_domain::json::{Json, Limits, Object, parse};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub table: &'static str,
    /// The id of the row; of `host_module` the host's.
    pub id: i64,
    pub what: String,
}

/// A statement that answers the ids of rows which break a rule, in any order.
struct Rule {
    table: &'static str,
    what: &'static str,
    broken: &'static str,
}

const fn rule(table: &'static str, what: &'static str, broken: &'static str) -> Rule {
    Rule { table, what, broken }
}

/// What a rule that looks at whole tables needs, and requests do without: sessions are told to prefer indexes and little memory.
/// Holds until the end of the transaction.
const SETTINGS: &str =
    "{only postgres} SELECT set_config('enable_seqscan', 'on', true), set_config('work_mem', '64MB', true)";

// How rules are written: what is looked for and not found is `NOT EXISTS` where an index of both engines leads to it, else a
// `LEFT JOIN` with nothing on its right side, for which SQLite makes an index and PostgreSQL a hash table. `NOT IN` would compare
// every row with every other on PostgreSQL once the list outgrows its memory. Findings are put in order here, so no rule sorts.

/// Records that live although their events say otherwise. What every store is born with has no events and is left out.
macro_rules! lives_against_events {
    ($table:literal, $kind:literal) => {
        lives_against_events!($table, $kind, "1 = 1")
    };
    ($table:literal, $kind:literal, $born_later:literal) => {
        concat!(
            "WITH told AS (SELECT object_id, min(id) AS earliest, max(id) AS latest,
                sum(CASE WHEN operation = 1 THEN 1 ELSE 0 END) AS creations,
                min(CASE WHEN operation = 1 THEN id END) AS creation,
                max(CASE WHEN operation = 3 THEN id END) AS deletion
                FROM event WHERE kind = ",
            $kind,
            " GROUP BY object_id)
             SELECT t.id FROM ",
            $table,
            " t LEFT JOIN told ON told.object_id = t.id
             WHERE (told.object_id IS NULL OR told.creations <> 1 OR told.creation <> told.earliest
                OR told.deletion = told.latest) AND ",
            $born_later
        )
    };
}

/// Events of records that are gone without a deletion.
macro_rules! gone_against_events {
    ($table:literal, $kind:literal) => {
        concat!(
            "SELECT e.object_id FROM event e WHERE e.kind = ",
            $kind,
            " AND NOT EXISTS (SELECT 1 FROM ",
            $table,
            " t WHERE t.id = e.object_id)
             GROUP BY e.object_id HAVING coalesce(max(CASE WHEN e.operation = 3 THEN e.id END), 0) <> max(e.id)"
        )
    };
}

/// What the events say that a draw's keys were given to. The keys of a draw begin behind this multiple of it.
macro_rules! drawn {
    () => {
        "WITH drawn AS (SELECT (id - 1) / 1048576 AS draw, count(*) AS events FROM event GROUP BY (id - 1) / 1048576) "
    };
}
const _: () = assert!(EVENTS_A_DRAW == 1_048_576);

const RULES: &[Rule] = &[
    // Processes: instances I-1, I-2, I-4, I-5, topology 9
    rule(
        "process",
        "its service instance does not exist",
        "SELECT p.id FROM process p WHERE NOT EXISTS (SELECT 1 FROM service_instance s WHERE s.id = p.service_instance_id)",
    ),
    rule(
        "process",
        "it is of another business than its service instance",
        "SELECT p.id FROM process p JOIN service_instance s ON s.id = p.service_instance_id
            WHERE s.business_id <> p.business_id",
    ),
    rule(
        "process",
        "it is on another host than its service instance",
        "SELECT p.id FROM process p JOIN service_instance s ON s.id = p.service_instance_id
            WHERE s.host_id <> p.host_id",
    ),
    rule(
        "process",
        "another process of its service instance has its name",
        "SELECT max(id) FROM process GROUP BY business_id, service_instance_id, name HAVING count(*) > 1",
    ),
    rule(
        "process",
        "another process of its service instance has its function name and start parameter",
        "SELECT max(id) FROM process WHERE start_param IS NOT NULL
            GROUP BY business_id, service_instance_id, func_name, start_param HAVING count(*) > 1",
    ),
    rule(
        "process",
        "it follows a process template, its service instance follows none",
        "SELECT p.id FROM process p JOIN service_instance s ON s.id = p.service_instance_id
            WHERE p.process_template_id <> 0 AND s.service_template_id = 0",
    ),
    rule(
        "process",
        "it follows a process template that is none of its service instance's template",
        "SELECT p.id FROM process p JOIN service_instance s ON s.id = p.service_instance_id
            WHERE p.process_template_id <> 0 AND NOT EXISTS (SELECT 1 FROM process_template t
            WHERE t.id = p.process_template_id AND t.service_template_id = s.service_template_id)",
    ),
    rule(
        "process",
        "another process of its service instance follows its process template",
        "SELECT max(id) FROM process WHERE process_template_id <> 0
            GROUP BY business_id, service_instance_id, process_template_id HAVING count(*) > 1",
    ),
    rule(
        "process",
        "another process has its id",
        "{only postgres} SELECT id FROM process GROUP BY id HAVING count(*) > 1",
    ),
    // Service instances: instances I-3, topology 5
    rule(
        "service_instance",
        "it has no process",
        "SELECT s.id FROM service_instance s WHERE NOT EXISTS (SELECT 1 FROM process p
            WHERE p.business_id = s.business_id AND p.service_instance_id = s.id)",
    ),
    rule(
        "service_instance",
        "its host is not in its module",
        "SELECT s.id FROM service_instance s WHERE NOT EXISTS (SELECT 1 FROM host_module r
            WHERE r.module_id = s.module_id AND r.host_id = s.host_id)",
    ),
    rule(
        "service_instance",
        "it is of another business than its host in the module",
        "SELECT s.id FROM service_instance s JOIN host_module r ON r.module_id = s.module_id AND r.host_id = s.host_id
            WHERE r.business_id <> s.business_id",
    ),
    rule(
        "service_instance",
        "it cannot be found by its id",
        "{only postgres} SELECT s.id FROM service_instance s LEFT JOIN service_instance_locator l
            ON l.id = s.id AND l.business_id = s.business_id WHERE l.id IS NULL",
    ),
    rule(
        "service_instance_locator",
        "its service instance does not exist or is of another business",
        "{only postgres} SELECT l.id FROM service_instance_locator l LEFT JOIN service_instance s
            ON s.id = l.id AND s.business_id = l.business_id WHERE s.id IS NULL",
    ),
    // Service templates: instances I-5, topology 7 and 8, templates 11 and 18
    rule(
        "service_instance",
        "it follows a service template that does not exist",
        "SELECT s.id FROM service_instance s WHERE s.service_template_id <> 0
            AND NOT EXISTS (SELECT 1 FROM service_template t WHERE t.id = s.service_template_id)",
    ),
    rule(
        "service_instance",
        "it follows another service template than its module",
        "SELECT s.id FROM service_instance s JOIN module m ON m.id = s.module_id
            WHERE s.service_template_id NOT IN (0, m.service_template_id)",
    ),
    rule(
        "module",
        "it follows a service template that does not exist",
        "SELECT m.id FROM module m WHERE m.service_template_id <> 0
            AND NOT EXISTS (SELECT 1 FROM service_template t WHERE t.id = m.service_template_id)",
    ),
    rule(
        "module",
        "its business, name or service category is not that of its service template",
        "SELECT m.id FROM module m JOIN service_template t ON t.id = m.service_template_id
            WHERE m.business_id <> t.business_id OR m.name <> t.name OR m.service_category_id <> t.service_category_id",
    ),
    rule(
        "service_template",
        "its business does not exist",
        "SELECT t.id FROM service_template t WHERE NOT EXISTS (SELECT 1 FROM business b WHERE b.id = t.business_id)",
    ),
    rule(
        "service_template",
        "another service template of its business has its name",
        "SELECT max(id) FROM service_template GROUP BY business_id, name HAVING count(*) > 1",
    ),
    rule(
        "service_template",
        "its service category is neither shared nor of its business",
        "SELECT t.id FROM service_template t WHERE NOT EXISTS (SELECT 1 FROM service_category c
            WHERE c.id = t.service_category_id AND c.business_id IN (0, t.business_id))",
    ),
    rule(
        "process_template",
        "its service template does not exist or is of another business",
        "SELECT p.id FROM process_template p WHERE NOT EXISTS (SELECT 1 FROM service_template t
            WHERE t.id = p.service_template_id AND t.business_id = p.business_id)",
    ),
    rule(
        "process_template",
        "another process template of its service template has its name",
        "SELECT max(id) FROM process_template GROUP BY service_template_id, name HAVING count(*) > 1",
    ),
    rule(
        "service_instance",
        "another instance of its host in its module follows a template too",
        "SELECT max(id) FROM service_instance WHERE service_template_id <> 0
            GROUP BY business_id, module_id, host_id HAVING count(*) > 1",
    ),
    rule(
        "service_template_attribute",
        "its service template does not exist or is of another business",
        "SELECT a.id FROM service_template_attribute a WHERE NOT EXISTS (SELECT 1 FROM service_template t
            WHERE t.id = a.service_template_id AND t.business_id = a.business_id)",
    ),
    rule(
        "service_template_attribute",
        "its service template has the attribute twice",
        "SELECT max(id) FROM service_template_attribute GROUP BY service_template_id, attribute_id HAVING count(*) > 1",
    ),
    // Set templates: topology 8, templates 13 and 18
    rule(
        "topology_set",
        "it follows a set template that does not exist or is of another business",
        "SELECT s.id FROM topology_set s WHERE s.set_template_id <> 0 AND NOT EXISTS (SELECT 1 FROM set_template t
            WHERE t.id = s.set_template_id AND t.business_id = s.business_id)",
    ),
    rule(
        "topology_set",
        "it is built in and follows a set template",
        "SELECT id FROM topology_set WHERE set_template_id <> 0 AND kind <> 0",
    ),
    rule(
        "set_template",
        "its business does not exist",
        "SELECT t.id FROM set_template t WHERE NOT EXISTS (SELECT 1 FROM business b WHERE b.id = t.business_id)",
    ),
    rule(
        "set_template",
        "another set template of its business has its name",
        "SELECT max(id) FROM set_template GROUP BY business_id, name HAVING count(*) > 1",
    ),
    rule(
        "set_template_relation",
        "its set template does not exist or is of another business",
        "SELECT r.set_template_id FROM set_template_relation r WHERE NOT EXISTS (SELECT 1 FROM set_template t
            WHERE t.id = r.set_template_id AND t.business_id = r.business_id)",
    ),
    rule(
        "set_template_relation",
        "its service template does not exist or is of another business",
        "SELECT r.set_template_id FROM set_template_relation r WHERE NOT EXISTS (SELECT 1 FROM service_template t
            WHERE t.id = r.service_template_id AND t.business_id = r.business_id)",
    ),
    rule(
        "set_template_relation",
        "its set template lists the service template twice",
        "SELECT set_template_id FROM set_template_relation
            GROUP BY set_template_id, service_template_id HAVING count(*) > 1",
    ),
    rule(
        "set_template_attribute",
        "its set template does not exist or is of another business",
        "SELECT a.id FROM set_template_attribute a WHERE NOT EXISTS (SELECT 1 FROM set_template t
            WHERE t.id = a.set_template_id AND t.business_id = a.business_id)",
    ),
    rule(
        "set_template_attribute",
        "its set template has the attribute twice",
        "SELECT max(id) FROM set_template_attribute GROUP BY set_template_id, attribute_id HAVING count(*) > 1",
    ),
    // Businesses, sets and modules: topology 1 to 3
    rule(
        "business",
        "it has not exactly one built-in set",
        "SELECT id FROM business b WHERE 1 <> (SELECT count(*) FROM topology_set s
            WHERE s.business_id = b.id AND s.kind = 1)",
    ),
    rule(
        "business",
        "its built-in set has not one idle, one fault and one recycle module",
        "SELECT id FROM business b WHERE 3 <> (SELECT count(DISTINCT m.kind) FROM topology_set s
            JOIN module m ON m.business_id = b.id AND m.set_id = s.id
            WHERE s.business_id = b.id AND s.kind = 1 AND m.kind IN (1, 2, 3))",
    ),
    rule("business", "another business has its name", "SELECT max(id) FROM business GROUP BY name HAVING count(*) > 1"),
    rule(
        "topology_set",
        "its business does not exist",
        "SELECT s.id FROM topology_set s WHERE NOT EXISTS (SELECT 1 FROM business b WHERE b.id = s.business_id)",
    ),
    rule("topology_set", "its parent is not its business", "SELECT id FROM topology_set WHERE parent_id <> business_id"),
    rule(
        "topology_set",
        "another set of its parent has its name",
        "SELECT max(id) FROM topology_set GROUP BY business_id, parent_id, name HAVING count(*) > 1",
    ),
    rule(
        "module",
        "its set does not exist",
        "SELECT m.id FROM module m WHERE NOT EXISTS (SELECT 1 FROM topology_set s WHERE s.id = m.set_id)",
    ),
    rule(
        "module",
        "it is of another business than its set",
        "SELECT m.id FROM module m JOIN topology_set s ON s.id = m.set_id WHERE s.business_id <> m.business_id",
    ),
    rule(
        "module",
        "another module of its set has its name",
        "SELECT max(id) FROM module GROUP BY business_id, set_id, name HAVING count(*) > 1",
    ),
    rule(
        "module",
        "its service category is neither shared nor of its business",
        "SELECT m.id FROM module m WHERE NOT EXISTS (SELECT 1 FROM service_category c
            WHERE c.id = m.service_category_id AND c.business_id IN (0, m.business_id))",
    ),
    rule(
        "service_category",
        "its parent does not exist",
        "SELECT c.id FROM service_category c WHERE c.parent_id > 0
            AND NOT EXISTS (SELECT 1 FROM service_category p WHERE p.id = c.parent_id)",
    ),
    // templates 25
    rule(
        "service_category",
        "its root is not that of its parent, or not itself",
        "SELECT c.id FROM service_category c LEFT JOIN service_category p ON p.id = c.parent_id
            WHERE c.root_id <> coalesce(p.root_id, c.id)",
    ),
    rule(
        "service_category",
        "its parent is of another business",
        "SELECT c.id FROM service_category c JOIN service_category p ON p.id = c.parent_id
            WHERE p.business_id NOT IN (0, c.business_id)",
    ),
    rule(
        "service_category",
        "another service category below its parent has its name",
        "SELECT max(id) FROM service_category GROUP BY business_id, parent_id, name HAVING count(*) > 1",
    ),
    // Hosts: topology 4
    rule(
        "host",
        "it is in no module",
        "SELECT h.id FROM host h WHERE NOT EXISTS (SELECT 1 FROM host_module r WHERE r.host_id = h.id)",
    ),
    rule(
        "host",
        "its cloud area does not exist",
        "SELECT h.id FROM host h WHERE NOT EXISTS (SELECT 1 FROM cloud_area a WHERE a.id = h.cloud_id)",
    ),
    rule(
        "host",
        "it is in modules of several businesses",
        "SELECT host_id FROM host_module GROUP BY host_id HAVING min(business_id) <> max(business_id)",
    ),
    rule(
        "host",
        "it is in a built-in module and in others",
        "SELECT r.host_id FROM host_module r JOIN module m ON m.id = r.module_id
            GROUP BY r.host_id HAVING max(m.kind) > 0 AND count(*) > 1",
    ),
    rule(
        "host_module",
        "the host is twice in a module",
        "SELECT max(host_id) FROM host_module GROUP BY host_id, module_id HAVING count(*) > 1",
    ),
    rule(
        "host_module",
        "the host does not exist",
        "SELECT DISTINCT r.host_id FROM host_module r WHERE NOT EXISTS (SELECT 1 FROM host h WHERE h.id = r.host_id)",
    ),
    rule(
        "host_module",
        "the module does not exist",
        "SELECT r.host_id FROM host_module r WHERE NOT EXISTS (SELECT 1 FROM module m WHERE m.id = r.module_id)",
    ),
    rule(
        "host_module",
        "set or business is not that of the module",
        "SELECT r.host_id FROM host_module r JOIN module m ON m.id = r.module_id
            WHERE r.set_id <> m.set_id OR r.business_id <> m.business_id",
    ),
    rule(
        "host",
        "its addresses are not reserved for it",
        "SELECT h.id FROM host h WHERE (h.inner_ip <> '' OR h.inner_ip_v6 <> '')
            AND NOT EXISTS (SELECT 1 FROM host_address a WHERE a.host_id = h.id)",
    ),
    rule(
        "host_address",
        "the address is of a host that does not exist or is in another cloud area",
        "SELECT a.host_id FROM host_address a LEFT JOIN host h ON h.id = a.host_id
            WHERE h.id IS NULL OR h.cloud_id <> a.cloud_id",
    ),
    // Events and audit: topology 10
    rule(
        "event",
        "the event before it is missing",
        "SELECT position FROM (SELECT position, lag(position) OVER (ORDER BY position) AS before FROM {published_event} p) t
            WHERE position <> before + 1",
    ),
    rule(
        "event",
        "its states do not fit its operation",
        "SELECT id FROM event WHERE operation NOT IN (1, 2, 3)
            OR (operation = 1) <> (before_state IS NULL) OR (operation = 3) <> (after_state IS NULL)",
    ),
    rule("process", "its events do not tell that it was created once and lives", lives_against_events!("process", "9")),
    rule("process", "it is gone and no event tells of it", gone_against_events!("process", "9")),
    rule(
        "process",
        "its latest event shows another state",
        "WITH told AS (SELECT object_id, max(id) AS latest FROM event WHERE kind = 9 GROUP BY object_id)
            SELECT p.id FROM process p JOIN told ON told.object_id = p.id JOIN event z ON z.id = told.latest
            WHERE z.after_state <> '{' || p.fixed_fields || ',' || p.extra_fields || '}'",
    ),
    rule(
        "process",
        "its creation is not in the audit of its service instance",
        "SELECT p.id FROM process p JOIN event e ON e.kind = 9 AND e.operation = 1 AND e.object_id = p.id
            LEFT JOIN audit a ON a.resource_id = p.service_instance_id AND a.resource_type = 'service_instance'
            AND a.request_id = e.request_id WHERE a.id IS NULL",
    ),
    rule(
        "service_instance",
        "its events do not tell that it was created once and lives",
        lives_against_events!("service_instance", "100"),
    ),
    rule("service_instance", "it is gone and no event tells of it", gone_against_events!("service_instance", "100")),
    rule("host", "its events do not tell that it was created once and lives", lives_against_events!("host", "2")),
    rule(
        "business",
        "its events do not tell that it was created once and lives",
        lives_against_events!("business", "4", "t.id > 2"),
    ),
    rule(
        "topology_set",
        "its events do not tell that it was created once and lives",
        lives_against_events!("topology_set", "5", "(t.business_id > 2 OR t.kind = 0)"),
    ),
    rule(
        "module",
        "its events do not tell that it was created once and lives",
        lives_against_events!("module", "6", "(t.business_id > 2 OR t.kind = 0)"),
    ),
    rule(
        "service_category",
        "its events do not tell that it was created once and lives",
        lives_against_events!("service_category", "110", "t.is_built_in = 0"),
    ),
    rule(
        "process_template",
        "its events do not tell that it was created once and lives",
        lives_against_events!("process_template", "113"),
    ),
    rule(
        "service_template",
        "its events do not tell that it was created once and lives",
        lives_against_events!("service_template", "111"),
    ),
    rule(
        "service_template_attribute",
        "its events do not tell that it was created once and lives",
        lives_against_events!("service_template_attribute", "112"),
    ),
    // Jobs: templates 11.1 and invariant 17. They are forgotten without a word.
    rule("job", "its events do not tell that it was created once and lives", lives_against_events!("job", "120")),
    rule(
        "job",
        "it is over, and a server holds it",
        "SELECT id FROM job WHERE status > 2 AND holder <> ''",
    ),
    rule(
        "job",
        "another job of its target is not over either",
        "SELECT max(id) FROM job WHERE status < 3 GROUP BY kind, target_id HAVING count(*) > 1",
    ),
    rule(
        "job",
        "it is finished, and parts of it are not",
        "SELECT j.id FROM job j WHERE j.status = 3 AND EXISTS (SELECT 1 FROM job_part p
            WHERE p.job_id = j.id AND p.status <> 3)",
    ),
    rule(
        "job_part",
        "its job does not exist",
        "SELECT p.job_id FROM job_part p WHERE NOT EXISTS (SELECT 1 FROM job j WHERE j.id = p.job_id)",
    ),
    rule(
        "set_template",
        "its events do not tell that it was created once and lives",
        lives_against_events!("set_template", "114"),
    ),
    rule(
        "set_template_attribute",
        "its events do not tell that it was created once and lives",
        lives_against_events!("set_template_attribute", "115"),
    ),
    rule(
        "host_module",
        "the events do not tell of as many modules as the host is in",
        "WITH told AS (SELECT object_id, sum(CASE operation WHEN 1 THEN 1 WHEN 3 THEN -1 ELSE 0 END) AS modules
                FROM event WHERE kind = 3 GROUP BY object_id),
            placed AS (SELECT host_id, count(*) AS modules FROM host_module GROUP BY host_id)
            SELECT h.id FROM host h LEFT JOIN told ON told.object_id = h.id LEFT JOIN placed ON placed.host_id = h.id
            WHERE coalesce(told.modules, 0) <> coalesce(placed.modules, 0)",
    ),
    rule("host", "it is gone and no event tells of it", gone_against_events!("host", "2")),
    rule("business", "it is gone and no event tells of it", gone_against_events!("business", "4")),
    rule("topology_set", "it is gone and no event tells of it", gone_against_events!("topology_set", "5")),
    rule("module", "it is gone and no event tells of it", gone_against_events!("module", "6")),
    rule("service_category", "it is gone and no event tells of it", gone_against_events!("service_category", "110")),
    rule("service_template", "it is gone and no event tells of it", gone_against_events!("service_template", "111")),
    rule(
        "service_template_attribute",
        "it is gone and no event tells of it",
        gone_against_events!("service_template_attribute", "112"),
    ),
    rule("set_template", "it is gone and no event tells of it", gone_against_events!("set_template", "114")),
    rule(
        "set_template_attribute",
        "it is gone and no event tells of it",
        gone_against_events!("set_template_attribute", "115"),
    ),
    rule(
        "event",
        "no audit entry is of its request",
        "SELECT e.id FROM event e LEFT JOIN (SELECT DISTINCT request_id FROM audit) a ON a.request_id = e.request_id
            WHERE a.request_id IS NULL",
    ),
    rule(
        "audit",
        "no event is of its request",
        "SELECT a.id FROM audit a LEFT JOIN (SELECT DISTINCT request_id FROM event) e ON e.request_id = a.request_id
            WHERE e.request_id IS NULL",
    ),
    // The order of events, see postgres/sequencer.rs
    rule(
        "event",
        "it is neither in the order nor waiting for its place",
        "{only postgres} SELECT e.id FROM event e
            LEFT JOIN event_order o ON o.first_id = (e.id - 1) / 1048576 * 1048576
            LEFT JOIN commit_record c ON c.draw = (e.id - 1) / 1048576 AND c.is_pending = 1
            WHERE e.id - (e.id - 1) / 1048576 * 1048576 > greatest(coalesce(o.events, 0), coalesce(c.events, 0))",
    ),
    rule(
        "event",
        "an earlier event of its record stands behind it in the order",
        "{only postgres} SELECT id FROM (SELECT id, position,
                lag(position) OVER (PARTITION BY kind, object_id ORDER BY id) AS before FROM {published_event} p) t
            WHERE before > position",
    ),
    rule(
        "event_order",
        "it does not begin where the entry before it ends",
        "{only postgres} SELECT last_position FROM (SELECT last_position, events,
                lag(last_position) OVER (ORDER BY last_position) AS before FROM event_order) t
            WHERE events < 1 OR last_position - events <> before",
    ),
    rule(
        "event_order",
        "its events are those of another entry too",
        "{only postgres} SELECT last_position FROM (SELECT last_position, first_id, events,
                lead(first_id) OVER (ORDER BY first_id) AS next FROM event_order) t WHERE first_id + events > next",
    ),
    rule(
        "event_order",
        "there are not as many events as it says",
        concat!(
            "{only postgres} ",
            drawn!(),
            "SELECT o.last_position FROM event_order o LEFT JOIN drawn ON drawn.draw * 1048576 = o.first_id
             WHERE coalesce(drawn.events, 0) <> o.events"
        ),
    ),
    rule(
        "commit_record",
        "it waits for its place and there are not as many events as it says",
        concat!(
            "{only postgres} ",
            drawn!(),
            "SELECT c.draw FROM commit_record c LEFT JOIN drawn ON drawn.draw = c.draw
             WHERE c.is_pending = 1 AND coalesce(drawn.events, 0) <> c.events"
        ),
    ),
    rule(
        "commit_record",
        "it waits for its place and has one",
        "{only postgres} SELECT c.draw FROM commit_record c JOIN event_order o ON o.first_id = c.draw * 1048576
            WHERE c.is_pending = 1",
    ),
    rule(
        "event_sequencer",
        "the next position is not the one behind the last",
        "{only postgres} SELECT 1 FROM (SELECT max(last_position) AS position FROM event_order) last
            LEFT JOIN event_sequencer s ON s.id = 1
            WHERE s.id IS NULL OR s.next_position <> coalesce(last.position + 1, s.next_position)",
    ),
    // What an engine keeps beside that
    rule(
        "service_instance",
        "its id tells another business, or none",
        "SELECT s.id FROM service_instance s LEFT JOIN {service_instance_locator} l ON l.id = s.id
            WHERE l.id IS NULL OR l.business_id <> s.business_id ORDER BY s.id",
    ),
    rule(
        "service_instance",
        "it is gone and its id still tells a business",
        "SELECT l.id FROM {service_instance_locator} l LEFT JOIN service_instance s ON s.id = l.id
            WHERE s.id IS NULL ORDER BY l.id",
    ),
    rule(
        "audit",
        "its id would be given out again",
        "{only postgres} SELECT max(id) FROM audit
            HAVING max(id) >= coalesce((SELECT next FROM sequence WHERE name = 'audit'), 1)",
    ),
    // A draw has 2^20 ids.
    rule(
        "event",
        "later events would have lower ids",
        "{only postgres} SELECT max(id) FROM event HAVING max(id) > (SELECT last_value + 1 FROM event_draw) * 1048576",
    ),
    rule(
        "event",
        "its position would be given out again",
        "{only postgres} SELECT first_id + events FROM event_order
            WHERE last_position >= (SELECT next_position FROM event_sequencer WHERE id = 1) ORDER BY last_position",
    ),
    // Who may come in
    rule(
        "app_secret",
        "its app does not exist",
        "SELECT s.id FROM app_secret s WHERE NOT EXISTS (SELECT 1 FROM app a WHERE a.code = s.app_code)",
    ),
    rule(
        "access_grant",
        "its business does not exist",
        "SELECT g.id FROM access_grant g WHERE g.business_id <> 0
            AND NOT EXISTS (SELECT 1 FROM business b WHERE b.id = g.business_id)",
    ),
];

/// What ids have been seen and which comes next (`instances I-7`): the counter's name, the table, the highest id there, the counter.
macro_rules! counted {
    ($($counter:literal, $table:literal, $seen:literal;)*) => {
        &[$((
            $table,
            concat!("SELECT max(seen), (SELECT next FROM sequence WHERE name = '", $counter, "') FROM (", $seen,
                ") t HAVING max(seen) >= coalesce((SELECT next FROM sequence WHERE name = '", $counter, "'), 1)"),
        ),)*
        ("audit",
            "{only postgres} SELECT max(id) FROM audit
                HAVING max(id) >= coalesce((SELECT next FROM sequence WHERE name = 'audit'), 1)"),
        ("event",
            "{only postgres} SELECT max(draw) FROM (SELECT (max(id) - 1) / 1048576 AS draw FROM event
                    UNION ALL SELECT max(draw) FROM commit_record) t
                HAVING max(draw) >= (SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM event_draw)"),
        ]
    };
}

/// Deleted records are seen in events and audit only.
const COUNTED: &[(&str, &str)] = counted! {
    "business", "business", "SELECT max(id) AS seen FROM business UNION ALL SELECT max(object_id) FROM event WHERE kind = 4";
    "set", "topology_set", "SELECT max(id) AS seen FROM topology_set UNION ALL SELECT max(object_id) FROM event WHERE kind = 5";
    "module", "module", "SELECT max(id) AS seen FROM module UNION ALL SELECT max(object_id) FROM event WHERE kind = 6";
    "host", "host", "SELECT max(id) AS seen FROM host UNION ALL SELECT max(object_id) FROM event WHERE kind = 2";
    "service_category", "service_category",
        "SELECT max(id) AS seen FROM service_category UNION ALL SELECT max(object_id) FROM event WHERE kind = 110";
    "service_template", "service_template",
        "SELECT max(id) AS seen FROM service_template UNION ALL SELECT max(object_id) FROM event WHERE kind = 111";
    "service_template_attribute", "service_template_attribute",
        "SELECT max(id) AS seen FROM service_template_attribute
            UNION ALL SELECT max(object_id) FROM event WHERE kind = 112";
    "set_template", "set_template",
        "SELECT max(id) AS seen FROM set_template UNION ALL SELECT max(object_id) FROM event WHERE kind = 114";
    "set_template_attribute", "set_template_attribute",
        "SELECT max(id) AS seen FROM set_template_attribute UNION ALL SELECT max(object_id) FROM event WHERE kind = 115";
    "service_instance", "service_instance",
        "SELECT max(id) AS seen FROM service_instance UNION ALL SELECT max(object_id) FROM event WHERE kind = 100";
    "process", "process", "SELECT max(id) AS seen FROM process UNION ALL SELECT max(object_id) FROM event WHERE kind = 9";
    "job", "job", "SELECT max(id) AS seen FROM job UNION ALL SELECT max(object_id) FROM event WHERE kind = 120";
    "app_secret", "app_secret", "SELECT max(id) AS seen FROM app_secret";
    "user_token", "user_token", "SELECT max(id) AS seen FROM user_token";
    "grant", "access_grant", "SELECT max(id) AS seen FROM access_grant";
};

/// A table whose rows hold a document, and the document's members that repeat a column, from column 2 on.
struct Documented {
    table: &'static str,
    /// Answers id, document, and one column per member.
    rows: &'static str,
    members: &'static [Member],
}

enum Member {
    Int(&'static str),
    Text(&'static str),
    /// Null where the column is null.
    TextOrNull(&'static str),
}

const DOCUMENTED: &[Documented] = &[
    Documented {
        table: "business",
        rows: "SELECT id, document, id, name, kind FROM business",
        members: &[Member::Int("bk_biz_id"), Member::Text("bk_biz_name"), Member::Int("default")],
    },
    Documented {
        table: "topology_set",
        rows: "SELECT id, document, id, business_id, parent_id, name, kind, set_template_id FROM topology_set",
        members: &[
            Member::Int("bk_set_id"),
            Member::Int("bk_biz_id"),
            Member::Int("bk_parent_id"),
            Member::Text("bk_set_name"),
            Member::Int("default"),
            Member::Int("set_template_id"),
        ],
    },
    Documented {
        table: "module",
        rows: "SELECT m.id, m.document, m.id, m.business_id, m.set_id, m.name, m.kind, m.service_template_id,
            m.service_category_id, s.set_template_id FROM module m JOIN topology_set s ON s.id = m.set_id",
        members: &[
            Member::Int("bk_module_id"),
            Member::Int("bk_biz_id"),
            Member::Int("bk_set_id"),
            Member::Text("bk_module_name"),
            Member::Int("default"),
            Member::Int("service_template_id"),
            Member::Int("service_category_id"),
            Member::Int("set_template_id"),
        ],
    },
    Documented {
        table: "service_template",
        rows: "SELECT id, document, id, business_id, name, service_category_id FROM service_template",
        members: &[
            Member::Int("id"),
            Member::Int("bk_biz_id"),
            Member::Text("name"),
            Member::Int("service_category_id"),
        ],
    },
    Documented {
        table: "service_template_attribute",
        rows: "SELECT id, document, id, business_id, service_template_id, attribute_id FROM service_template_attribute",
        members: &[
            Member::Int("id"),
            Member::Int("bk_biz_id"),
            Member::Int("service_template_id"),
            Member::Int("bk_attribute_id"),
        ],
    },
    Documented {
        table: "set_template",
        rows: "SELECT id, document, id, business_id, name FROM set_template",
        members: &[Member::Int("id"), Member::Int("bk_biz_id"), Member::Text("name")],
    },
    Documented {
        table: "set_template_attribute",
        rows: "SELECT id, document, id, business_id, set_template_id, attribute_id FROM set_template_attribute",
        members: &[
            Member::Int("id"),
            Member::Int("bk_biz_id"),
            Member::Int("set_template_id"),
            Member::Int("bk_attribute_id"),
        ],
    },
    Documented {
        table: "host",
        rows: "SELECT id, document, id, cloud_id FROM host",
        members: &[Member::Int("bk_host_id"), Member::Int("bk_cloud_id")],
    },
    Documented {
        table: "service_instance",
        rows: "SELECT id, document, id, business_id, module_id, host_id, service_template_id, name
            FROM service_instance",
        members: &[
            Member::Int("id"),
            Member::Int("bk_biz_id"),
            Member::Int("bk_module_id"),
            Member::Int("bk_host_id"),
            Member::Int("service_template_id"),
            Member::Text("name"),
        ],
    },
    Documented {
        table: "service_instance",
        rows: "SELECT id, labels FROM service_instance WHERE labels IS NOT NULL",
        members: &[],
    },
    Documented {
        table: "process",
        rows:
            "SELECT id, '{' || fixed_fields || ',' || extra_fields || '}', id, business_id, service_instance_id, name,
            func_name, start_param FROM process",
        members: &[
            Member::Int("bk_process_id"),
            Member::Int("bk_biz_id"),
            Member::Int("service_instance_id"),
            Member::Text("bk_process_name"),
            Member::Text("bk_func_name"),
            Member::TextOrNull("bk_start_param_regex"),
        ],
    },
];

/// Every statement of this file.
pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    rules().chain([SETTINGS])
}

fn rules() -> impl Iterator<Item = &'static str> {
    let rules = RULES.iter().map(|rule| rule.broken);
    let counted = COUNTED.iter().map(|(_, statement)| *statement);
    rules.chain(counted).chain(DOCUMENTED.iter().map(|table| table.rows))
}

/// How many rules there are, for reports of progress. Those about what one engine alone keeps hold on every other.
pub fn rule_count() -> usize {
    rules().count()
}

/// What a row that a statement answers shows to be wrong.
type What<'a> = &'a dyn Fn(&dyn Row) -> Result<Vec<String>, StoreError>;

/// Asks every rule. `progress` is told before each, with the table it looks at.
pub fn run(tx: &mut dyn Tx, progress: &mut dyn FnMut(&'static str)) -> Result<Vec<Finding>, StoreError> {
    tx.query(SETTINGS, &[], &mut |_| Ok(()))?;
    let mut findings = Vec::new();
    let mut ask = |table, statement, what: What<'_>| {
        progress(table);
        let begin = findings.len();
        tx.query(statement, &[], &mut |row| {
            let id = row.int(0)?;
            findings.extend(what(row)?.into_iter().map(|what| Finding { table, id, what }));
            Ok(())
        })?;
        findings[begin..].sort_by_key(|finding| finding.id);
        Ok::<_, StoreError>(())
    };
    for rule in RULES {
        ask(rule.table, rule.broken, &|_| Ok(vec![rule.what.to_owned()]))?;
    }
    for (table, statement) in COUNTED {
        ask(table, statement, &|_| Ok(vec!["its id would be given out again".to_owned()]))?;
    }
    for documented in DOCUMENTED {
        ask(documented.table, documented.rows, &|row| compare(documented.members, row))?;
    }
    Ok(findings)
}

/// Where a row's document and its columns differ.
fn compare(members: &[Member], row: &dyn Row) -> Result<Vec<String>, StoreError> {
    let Some(document) = read_document(row.text(1)?) else {
        return Ok(vec!["its document is not a JSON object".into()]);
    };
    let mut differences = Vec::new();
    for (member, column) in members.iter().zip(2..) {
        let (name, wanted) = match member {
            Member::Int(name) => (name, Json::Int(row.int(column)?)),
            Member::Text(name) => (name, Json::from(row.text(column)?)),
            Member::TextOrNull(name) => (name, row.text_or_null(column)?.map_or(Json::Null, Json::from)),
        };
        if document.get(name) != Some(&wanted) {
            differences.push(format!("{name} of its document is not that of the row"));
        }
    }
    Ok(differences)
}

/// Documents are kept with or without their closing brace, as it suits those who splice them.
fn read_document(text: &str) -> Option<Object> {
    let read = |text: &str| match parse(text.as_bytes(), Limits::default()) {
        Ok(Json::Object(object)) => Some(object),
        _ => None,
    };
    read(text).or_else(|| read(&format!("{text}}}")))
}
