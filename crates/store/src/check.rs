//! Finds what cannot be: every rule that a store keeps (`instances` §14, `topology` §16), asked of the stored rows. Reads whole
//! tables on purpose and changes nothing. Indexes and rules prevent these findings; a finding means a defect or a damaged file.

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

/// A statement that answers the ids of rows which break a rule.
struct Rule {
    table: &'static str,
    what: &'static str,
    broken: &'static str,
}

const fn rule(table: &'static str, what: &'static str, broken: &'static str) -> Rule {
    Rule { table, what, broken }
}

/// Records that live although their events say otherwise. What every store is born with has no events and is left out.
macro_rules! lives_against_events {
    ($table:literal, $kind:literal) => {
        lives_against_events!($table, $kind, "1 = 1")
    };
    ($table:literal, $kind:literal, $born_later:literal) => {
        concat!(
            "WITH told AS (SELECT object_id, min(id) AS earliest, max(id) AS latest,
                sum(CASE WHEN operation = 1 THEN 1 ELSE 0 END) AS creations
                FROM event WHERE kind = ",
            $kind,
            " GROUP BY object_id)
             SELECT t.id FROM ",
            $table,
            " t LEFT JOIN told ON told.object_id = t.id
                LEFT JOIN event a ON a.id = told.earliest LEFT JOIN event z ON z.id = told.latest
             WHERE (told.object_id IS NULL OR told.creations <> 1 OR a.operation <> 1 OR z.operation = 3) AND ",
            $born_later,
            " ORDER BY t.id"
        )
    };
}

/// Events of records that are gone without a deletion.
macro_rules! gone_against_events {
    ($table:literal, $kind:literal) => {
        concat!(
            "WITH told AS (SELECT object_id, max(id) AS latest FROM event WHERE kind = ",
            $kind,
            " GROUP BY object_id)
             SELECT told.object_id FROM told JOIN event z ON z.id = told.latest
             WHERE z.operation <> 3 AND told.object_id NOT IN (SELECT id FROM ",
            $table,
            ") ORDER BY told.object_id"
        )
    };
}

const RULES: &[Rule] = &[
    // Processes: instances I-1, I-2, I-4, I-5, topology 9
    rule(
        "process",
        "its service instance does not exist",
        "SELECT id FROM process WHERE service_instance_id NOT IN (SELECT id FROM service_instance) ORDER BY id",
    ),
    rule(
        "process",
        "it is of another business than its service instance",
        "SELECT p.id FROM process p JOIN service_instance s ON s.id = p.service_instance_id
            WHERE s.business_id <> p.business_id ORDER BY p.id",
    ),
    rule(
        "process",
        "it is on another host than its service instance",
        "SELECT p.id FROM process p JOIN service_instance s ON s.id = p.service_instance_id
            WHERE s.host_id <> p.host_id ORDER BY p.id",
    ),
    rule(
        "process",
        "another process of its service instance has its name",
        "SELECT max(id) FROM process GROUP BY service_instance_id, name HAVING count(*) > 1",
    ),
    rule(
        "process",
        "another process of its service instance has its function name and start parameter",
        "SELECT max(id) FROM process WHERE start_param IS NOT NULL
            GROUP BY service_instance_id, func_name, start_param HAVING count(*) > 1",
    ),
    rule(
        "process",
        "it follows a process template, its service instance follows none",
        "SELECT p.id FROM process p JOIN service_instance s ON s.id = p.service_instance_id
            WHERE p.process_template_id <> 0 AND s.service_template_id = 0 ORDER BY p.id",
    ),
    // Service instances: instances I-3, topology 5
    rule(
        "service_instance",
        "it has no process",
        "SELECT id FROM service_instance WHERE id NOT IN (SELECT service_instance_id FROM process) ORDER BY id",
    ),
    rule(
        "service_instance",
        "its host is not in its module",
        "SELECT s.id FROM service_instance s WHERE NOT EXISTS (SELECT 1 FROM host_module r
            WHERE r.module_id = s.module_id AND r.host_id = s.host_id) ORDER BY s.id",
    ),
    rule(
        "service_instance",
        "it is of another business than its host in the module",
        "SELECT s.id FROM service_instance s JOIN host_module r ON r.module_id = s.module_id AND r.host_id = s.host_id
            WHERE r.business_id <> s.business_id ORDER BY s.id",
    ),
    // Templates are not there yet: nothing can follow one (instances I-5, topology 7 and 8)
    rule(
        "service_instance",
        "it follows a service template that does not exist",
        "SELECT id FROM service_instance WHERE service_template_id <> 0 ORDER BY id",
    ),
    rule(
        "module",
        "it follows a service template that does not exist",
        "SELECT id FROM module WHERE service_template_id <> 0 ORDER BY id",
    ),
    rule(
        "topology_set",
        "it follows a set template that does not exist",
        "SELECT id FROM topology_set WHERE set_template_id <> 0 ORDER BY id",
    ),
    // Businesses, sets and modules: topology 1 to 3
    rule(
        "business",
        "it has not exactly one built-in set",
        "SELECT id FROM business b WHERE 1 <> (SELECT count(*) FROM topology_set s
            WHERE s.business_id = b.id AND s.kind = 1) ORDER BY id",
    ),
    rule(
        "business",
        "its built-in set has not one idle, one fault and one recycle module",
        "SELECT id FROM business b WHERE 3 <> (SELECT count(DISTINCT m.kind) FROM topology_set s
            JOIN module m ON m.business_id = b.id AND m.set_id = s.id
            WHERE s.business_id = b.id AND s.kind = 1 AND m.kind IN (1, 2, 3)) ORDER BY id",
    ),
    rule("business", "another business has its name", "SELECT max(id) FROM business GROUP BY name HAVING count(*) > 1"),
    rule(
        "topology_set",
        "its business does not exist",
        "SELECT id FROM topology_set WHERE business_id NOT IN (SELECT id FROM business) ORDER BY id",
    ),
    rule(
        "topology_set",
        "its parent is not its business",
        "SELECT id FROM topology_set WHERE parent_id <> business_id ORDER BY id",
    ),
    rule(
        "topology_set",
        "another set of its parent has its name",
        "SELECT max(id) FROM topology_set GROUP BY business_id, parent_id, name HAVING count(*) > 1",
    ),
    rule(
        "module",
        "its set does not exist",
        "SELECT id FROM module WHERE set_id NOT IN (SELECT id FROM topology_set) ORDER BY id",
    ),
    rule(
        "module",
        "it is of another business than its set",
        "SELECT m.id FROM module m JOIN topology_set s ON s.id = m.set_id WHERE s.business_id <> m.business_id ORDER BY m.id",
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
            WHERE c.id = m.service_category_id AND c.business_id IN (0, m.business_id)) ORDER BY m.id",
    ),
    rule(
        "service_category",
        "its parent does not exist",
        "SELECT id FROM service_category WHERE parent_id <> 0
            AND parent_id NOT IN (SELECT id FROM service_category) ORDER BY id",
    ),
    // Hosts: topology 4
    rule(
        "host",
        "it is in no module",
        "SELECT id FROM host WHERE id NOT IN (SELECT host_id FROM host_module) ORDER BY id",
    ),
    rule(
        "host",
        "its cloud area does not exist",
        "SELECT id FROM host WHERE cloud_id NOT IN (SELECT id FROM cloud_area) ORDER BY id",
    ),
    rule(
        "host",
        "it is in modules of several businesses",
        "SELECT host_id FROM host_module GROUP BY host_id HAVING count(DISTINCT business_id) > 1 ORDER BY host_id",
    ),
    rule(
        "host",
        "it is in a built-in module and in others",
        "SELECT r.host_id FROM host_module r JOIN module m ON m.id = r.module_id
            GROUP BY r.host_id HAVING max(m.kind) > 0 AND count(*) > 1 ORDER BY r.host_id",
    ),
    rule(
        "host_module",
        "the host is twice in a module",
        "SELECT max(host_id) FROM host_module GROUP BY host_id, module_id HAVING count(*) > 1",
    ),
    rule(
        "host_module",
        "the host does not exist",
        "SELECT DISTINCT host_id FROM host_module WHERE host_id NOT IN (SELECT id FROM host) ORDER BY host_id",
    ),
    rule(
        "host_module",
        "the module does not exist",
        "SELECT host_id FROM host_module WHERE module_id NOT IN (SELECT id FROM module) ORDER BY host_id",
    ),
    rule(
        "host_module",
        "set or business is not that of the module",
        "SELECT r.host_id FROM host_module r JOIN module m ON m.id = r.module_id
            WHERE r.set_id <> m.set_id OR r.business_id <> m.business_id ORDER BY r.host_id",
    ),
    rule(
        "host",
        "its addresses are not reserved for it",
        "SELECT id FROM host WHERE (inner_ip <> '' OR inner_ip_v6 <> '')
            AND id NOT IN (SELECT host_id FROM host_address) ORDER BY id",
    ),
    rule(
        "host_address",
        "the address is of a host that does not exist or is in another cloud area",
        "SELECT a.host_id FROM host_address a LEFT JOIN host h ON h.id = a.host_id
            WHERE h.id IS NULL OR h.cloud_id <> a.cloud_id ORDER BY a.host_id",
    ),
    // Events and audit: topology 10
    rule(
        "event",
        "the event before it is missing",
        "SELECT position FROM (SELECT position, lag(position) OVER (ORDER BY position) AS before FROM {published_event} p) t
            WHERE position <> before + 1 ORDER BY position",
    ),
    rule(
        "event",
        "its states do not fit its operation",
        "SELECT id FROM event WHERE operation NOT IN (1, 2, 3)
            OR (operation = 1) <> (before_state IS NULL) OR (operation = 3) <> (after_state IS NULL) ORDER BY id",
    ),
    rule("process", "its events do not tell that it was created once and lives", lives_against_events!("process", "9")),
    rule("process", "it is gone and no event tells of it", gone_against_events!("process", "9")),
    rule(
        "process",
        "its latest event shows another state",
        "WITH told AS (SELECT object_id, max(id) AS latest FROM event WHERE kind = 9 GROUP BY object_id)
            SELECT p.id FROM process p JOIN told ON told.object_id = p.id JOIN event z ON z.id = told.latest
            WHERE z.after_state <> '{' || p.fixed_fields || ',' || p.extra_fields || '}' ORDER BY p.id",
    ),
    rule(
        "process",
        "its creation is not in the audit of its service instance",
        "SELECT p.id FROM process p JOIN event e ON e.kind = 9 AND e.operation = 1 AND e.object_id = p.id
            LEFT JOIN audit a ON a.resource_id = p.service_instance_id AND a.resource_type = 'service_instance'
            AND a.request_id = e.request_id WHERE a.id IS NULL ORDER BY p.id",
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
        "host_module",
        "the events do not tell of as many modules as the host is in",
        "WITH told AS (SELECT object_id, sum(CASE operation WHEN 1 THEN 1 WHEN 3 THEN -1 ELSE 0 END) AS modules
                FROM event WHERE kind = 3 GROUP BY object_id),
            placed AS (SELECT host_id, count(*) AS modules FROM host_module GROUP BY host_id)
            SELECT h.id FROM host h LEFT JOIN told ON told.object_id = h.id LEFT JOIN placed ON placed.host_id = h.id
            WHERE coalesce(told.modules, 0) <> coalesce(placed.modules, 0) ORDER BY h.id",
    ),
    rule("host", "it is gone and no event tells of it", gone_against_events!("host", "2")),
    rule("business", "it is gone and no event tells of it", gone_against_events!("business", "4")),
    rule("topology_set", "it is gone and no event tells of it", gone_against_events!("topology_set", "5")),
    rule("module", "it is gone and no event tells of it", gone_against_events!("module", "6")),
    rule(
        "event",
        "no audit entry is of its request",
        "SELECT id FROM event WHERE request_id NOT IN (SELECT request_id FROM audit) ORDER BY id",
    ),
    rule(
        "audit",
        "no event is of its request",
        "SELECT id FROM audit WHERE request_id NOT IN (SELECT request_id FROM event) ORDER BY id",
    ),
    // Who may come in
    rule(
        "app_secret",
        "its app does not exist",
        "SELECT id FROM app_secret WHERE app_code NOT IN (SELECT code FROM app) ORDER BY id",
    ),
    rule(
        "access_grant",
        "its business does not exist",
        "SELECT id FROM access_grant WHERE business_id <> 0 AND business_id NOT IN (SELECT id FROM business) ORDER BY id",
    ),
];

/// What ids have been seen and which comes next (`instances I-7`): the counter's name, the table, the highest id there, the counter.
macro_rules! counted {
    ($($counter:literal, $table:literal, $seen:literal;)*) => {
        &[$((
            $table,
            concat!("SELECT max(seen), (SELECT next FROM sequence WHERE name = '", $counter, "') FROM (", $seen,
                ") t HAVING max(seen) >= coalesce((SELECT next FROM sequence WHERE name = '", $counter, "'), 1)"),
        )),*]
    };
}

/// Deleted records are seen in events and audit only.
const COUNTED: &[(&str, &str)] = counted! {
    "business", "business", "SELECT max(id) AS seen FROM business UNION ALL SELECT max(object_id) FROM event WHERE kind = 4";
    "set", "topology_set", "SELECT max(id) AS seen FROM topology_set UNION ALL SELECT max(object_id) FROM event WHERE kind = 5";
    "module", "module", "SELECT max(id) AS seen FROM module UNION ALL SELECT max(object_id) FROM event WHERE kind = 6";
    "host", "host", "SELECT max(id) AS seen FROM host UNION ALL SELECT max(object_id) FROM event WHERE kind = 2";
    "service_category", "service_category", "SELECT max(id) AS seen FROM service_category";
    "service_instance", "service_instance",
        "SELECT max(id) AS seen FROM service_instance UNION ALL SELECT max(object_id) FROM event WHERE kind = 100";
    "process", "process", "SELECT max(id) AS seen FROM process UNION ALL SELECT max(object_id) FROM event WHERE kind = 9";
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
        rows: "SELECT id, document, id, name, kind FROM business ORDER BY id",
        members: &[Member::Int("bk_biz_id"), Member::Text("bk_biz_name"), Member::Int("default")],
    },
    Documented {
        table: "topology_set",
        rows: "SELECT id, document, id, business_id, parent_id, name, kind, set_template_id FROM topology_set ORDER BY id",
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
        rows: "SELECT id, document, id, business_id, set_id, name, kind, service_template_id, service_category_id
            FROM module ORDER BY id",
        members: &[
            Member::Int("bk_module_id"),
            Member::Int("bk_biz_id"),
            Member::Int("bk_set_id"),
            Member::Text("bk_module_name"),
            Member::Int("default"),
            Member::Int("service_template_id"),
            Member::Int("service_category_id"),
        ],
    },
    Documented {
        table: "host",
        rows: "SELECT id, document, id, cloud_id FROM host ORDER BY id",
        members: &[Member::Int("bk_host_id"), Member::Int("bk_cloud_id")],
    },
    Documented {
        table: "service_instance",
        rows: "SELECT id, document, id, business_id, module_id, host_id, service_template_id, name
            FROM service_instance ORDER BY id",
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
        table: "process",
        rows:
            "SELECT id, '{' || fixed_fields || ',' || extra_fields || '}', id, business_id, service_instance_id, name,
            func_name, start_param FROM process ORDER BY id",
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
    let rules = RULES.iter().map(|rule| rule.broken);
    let counted = COUNTED.iter().map(|(_, statement)| *statement);
    rules.chain(counted).chain(DOCUMENTED.iter().map(|table| table.rows))
}

/// How many rules there are, for reports of progress.
pub fn rule_count() -> usize {
    statements().count()
}

/// Asks every rule. `progress` is told before each, with the table it looks at.
pub fn run(tx: &mut dyn Tx, progress: &mut dyn FnMut(&'static str)) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    for rule in RULES {
        progress(rule.table);
        tx.query(rule.broken, &[], &mut |row| {
            findings.push(Finding { table: rule.table, id: row.int(0)?, what: rule.what.to_owned() });
            Ok(())
        })?;
    }
    for (table, statement) in COUNTED {
        progress(table);
        tx.query(statement, &[], &mut |row| {
            findings.push(Finding { table, id: row.int(0)?, what: "its id would be given out again".to_owned() });
            Ok(())
        })?;
    }
    for documented in DOCUMENTED {
        progress(documented.table);
        tx.query(documented.rows, &[], &mut |row| {
            let id = row.int(0)?;
            for what in compare(documented.members, row)? {
                let table = documented.table;
                findings.push(Finding { table, id, what });
            }
            Ok(())
        })?;
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
