//! What differs between the engines, side by side. Statements are written once, in the SQL both share, with `$1`, `$2` … for
//! parameters, numbered without gaps, and these marks for the rest:
//!
//! | mark | meaning |
//! |---|---|
//! | `column {in $n}`, `column {not in $n}` | the column is one, or none, of the values of a list given as one parameter |
//! | `{each of $n}` | as a table `e`: the numbers of a list given as one parameter, each as `e.value` |
//! | `{has column $n}` | the column contains the text, its case counting; "" is in every text |
//! | `{selected $n}` | the `labels` of a service instance meet the selectors in a JSON text, see [`rollcall_domain::label`] |
//! | `{for update}` | at the end of a query: nobody else changes these rows until the end of the transaction |
//! | `{for update, skip locked}` | the same, and rows that another transaction keeps are passed over |
//! | `{for share}` | the same, and others may say so too |
//! | `{by id}` | behind a table whose rows are named by their ids: SQLite would rather read an index through the whole business |
//! | `{only postgres}` | at the beginning: elsewhere the statement does nothing |
//! | `{service_instance_locator}` | the table that tells the business of a service instance by its id |
//! | `{published_event}` | the events whose position is final, with it as `position` |
//! | `{events_after $1 $2}` | the first `$2` of them behind position `$1`, in no order |
//! | `{text of column name}`, `int`, `bool`, `ms` | the member of that name in a column that holds members of a JSON object; times as milliseconds since 1970 |
//! | `{text in column name}`, `int`, `bool`, `ms` | the same of a column that holds a JSON object |
//! | `{text open column name}`, `int`, `bool`, `ms` | the same of a column that holds a JSON object without its closing brace |
//! | `{rows of column name}` | as a table `r`: the elements of a list, each as `r.value` |
//! | `{index name}` | behind a table: this index serves the statement; said where an engine that keeps no statistics would guess wrongly |
//! | `{after in business $1 $2}` | behind business `$1` and id `$2` in the order of the primary key, of a table that may be split by business; in that order |
//!
//! In migrations besides:
//!
//! | mark | meaning |
//! |---|---|
//! | `{key}` | the type of a table's own numeric key |
//! | `{key in business}` | the same in a table that may be split by business, which then has `{business key}` as its last line |
//! | `{by business}` | behind such a table: the place where it is split |
//! | `{text}` | the type of texts; they are ordered by their bytes |

use crate::postgres::EVENTS_A_DRAW;

/// An engine's way of saying it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

/// The statement as SQLite takes it; empty when it is none of its own. SQLite numbers `$1` by first appearance and would bind values
/// to the wrong places without a word, so parameters become `?1`.
pub fn for_sqlite(sql: &str) -> String {
    if sql.starts_with(ONLY_POSTGRES) { String::new() } else { translate(Dialect::Sqlite, sql) }
}

/// The statement as PostgreSQL takes it.
pub fn for_postgres(sql: &str) -> String {
    translate(Dialect::Postgres, sql.strip_prefix(ONLY_POSTGRES).unwrap_or(sql))
}

/// A statement of a migration as PostgreSQL takes it. With partitions, a table that may be split by business is split into so many by
/// the hash of the business's id, and the statements that make them follow.
pub fn schema_for_postgres(sql: &str, partitions: Option<u32>) -> Vec<String> {
    const SPLIT: &str = "{by business}";
    let (Some(partitions), true) = (partitions, sql.contains(SPLIT)) else {
        return vec![for_postgres(sql)];
    };
    let table = sql.split(' ').nth(2).unwrap_or_default();
    let mut statements = vec![for_postgres(&sql.replace(SPLIT, " PARTITION BY HASH (business_id)"))];
    statements.extend((0..partitions).map(|part| {
        format!(
            "CREATE TABLE {table}_part{part} PARTITION OF {table} FOR VALUES WITH (MODULUS {partitions}, REMAINDER {part})"
        )
    }));
    statements
}

/// A translated statement that works on one row, for many rows: each parameter becomes a list of that type, and `many.c1`,
/// `many.c2` … take the places of `$1`, `$2` …. It is an insert of `VALUES (…)`, or an update or delete with a `WHERE`.
pub fn many_for_postgres(sql: &str, types: &[&str]) -> String {
    let names: Vec<_> = (1..=types.len()).map(|n| format!("c{n}")).collect();
    let lists: Vec<_> = types.iter().zip(1..).map(|(kind, n)| format!("${n}::{kind}[]")).collect();
    let rows = format!("unnest({}) AS many({})", lists.join(", "), names.join(", "));
    let one = parameters(sql, "many.c");
    if let Some((before, values)) = one.split_once("VALUES (") {
        let end = values.rfind(')').expect("values stand in parentheses");
        // What follows the values, such as ON CONFLICT, has parentheses of its own.
        let end = values.find(") ON CONFLICT").unwrap_or(end);
        return format!("{before}SELECT {} FROM {rows}{}", &values[..end], &values[end + 1..]);
    }
    let (before, condition) = one.split_once("WHERE").expect("an update or delete says of which row");
    let source = if before.starts_with("DELETE") { "USING" } else { "FROM" };
    format!("{before}{source} {rows} WHERE{condition}")
}

const ONLY_POSTGRES: &str = "{only postgres} ";

fn translate(dialect: Dialect, sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 64);
    let mut rest = sql;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let marked = rest.find('}').and_then(|end| Some((end, meaning(dialect, &rest[1..end])?)));
        match marked {
            Some((end, meaning)) => {
                out.push_str(&meaning);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    match dialect {
        Dialect::Sqlite => parameters(&out, "?"),
        Dialect::Postgres => out,
    }
}

/// `$1` with something else for the `$`.
fn parameters(sql: &str, instead: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        out.push_str(if rest.starts_with(|c: char| c.is_ascii_digit()) { instead } else { "$" });
    }
    out + rest
}

/// What a mark stands for; nothing when it is none.
fn meaning(dialect: Dialect, mark: &str) -> Option<String> {
    let pick = |sqlite: String, postgres: String| match dialect {
        Dialect::Sqlite => sqlite,
        Dialect::Postgres => postgres,
    };
    if let Some(n) = mark.strip_prefix("in $") {
        return Some(pick(format!("IN (SELECT value FROM json_each(${n}))"), format!("= ANY(${n})")));
    }
    if let Some(n) = mark.strip_prefix("not in $") {
        return Some(pick(format!("NOT IN (SELECT value FROM json_each(${n}))"), format!("<> ALL(${n})")));
    }
    if let Some(n) = mark.strip_prefix("each of $") {
        return Some(pick(format!("json_each(${n}) e"), format!("unnest(${n}::bigint[]) e(value)")));
    }
    if let Some((column, n)) = mark.strip_prefix("has ").and_then(|rest| rest.split_once(" $")) {
        return Some(pick(format!("instr({column}, ${n}) > 0"), format!("strpos({column}, ${n}) > 0")));
    }
    if let Some(index) = mark.strip_prefix("index ") {
        return Some(pick(format!("INDEXED BY {index}"), String::new()));
    }
    if let Some((kind, place)) = mark.split_once(' ')
        && let Some(meaning) = in_json(dialect, kind, place)
    {
        return Some(meaning);
    }
    if let Some(n) = mark.strip_prefix("selected $") {
        // No selector may be found that is not met: one that is a complement while the label fits, or one that is none while it does not.
        return Some(pick(
            format!(
                "NOT EXISTS (SELECT 1 FROM json_each(${n}) selector WHERE selector.value ->> 'is_complement' = EXISTS (
                    SELECT 1 FROM json_each(labels) label WHERE label.key = selector.value ->> 'key'
                    AND (selector.value -> 'values' IS NULL
                        OR label.value IN (SELECT one.value FROM json_each(selector.value -> 'values') one))))"
            ),
            format!(
                "NOT EXISTS (SELECT 1 FROM jsonb_array_elements(${n}::text::jsonb) selector(value)
                    WHERE (selector.value ->> 'is_complement')::boolean = coalesce(
                        jsonb_exists(labels::jsonb, selector.value ->> 'key') AND (selector.value -> 'values' IS NULL
                            OR selector.value -> 'values' @> (labels::jsonb -> (selector.value ->> 'key'))), false))"
            ),
        ));
    }
    let fixed = |sqlite: &str, postgres: &str| Some(pick(sqlite.to_owned(), postgres.to_owned()));
    match mark {
        "for update" => fixed("", "FOR UPDATE"),
        "for update, skip locked" => fixed("", "FOR UPDATE SKIP LOCKED"),
        "for share" => fixed("", "FOR SHARE"),
        // It takes a list for longer than a business. The primary key is no index in this sense, so it is what is left.
        "by id" => fixed("NOT INDEXED", ""),
        "service_instance_locator" => fixed("service_instance", "service_instance_locator"),
        "published_event" => Some(pick(
            "(SELECT id AS position, event.* FROM event)".to_owned(),
            format!(
                "(SELECT o.last_position - o.events + (e.id - o.first_id) AS position, e.*
              FROM event e JOIN event_order o ON o.first_id = (e.id - 1) / {EVENTS_A_DRAW} * {EVENTS_A_DRAW}
              WHERE e.id <= o.first_id + o.events)"
            ),
        )),
        // One entry of the order stands for the events of a transaction, of which the first may have been read before. As the entries
        // come in their order, no more of them are looked up than it takes.
        "events_after $1 $2" => fixed(
            "(SELECT id AS position, event.* FROM event WHERE id > $1 ORDER BY id LIMIT $2)",
            "(SELECT o.last_position - o.events + (e.id - o.first_id) AS position, e.*
              FROM (SELECT last_position, first_id, events FROM event_order
                    WHERE last_position > $1 ORDER BY last_position LIMIT $2) o
              CROSS JOIN LATERAL (SELECT * FROM event
                    WHERE id > o.first_id + greatest(0, $1 - (o.last_position - o.events)) AND id <= o.first_id + o.events
                    ORDER BY id LIMIT $2) e
              ORDER BY o.last_position, e.id LIMIT $2)",
        ),
        "after in business $1 $2" => {
            fixed("id > $2 ORDER BY id", "(business_id, id) > ($1, $2) ORDER BY business_id, id")
        }
        "key" => fixed("INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY"),
        "key in business" => fixed("INTEGER PRIMARY KEY", "BIGINT NOT NULL"),
        "business key" => fixed("", ", PRIMARY KEY (business_id, id)"),
        "by business" => fixed("", ""),
        "text" => fixed("TEXT", "TEXT COLLATE \"C\""),
        _ => None,
    }
}

/// What stands in a JSON text: `place` is `of column name`, `in column name` or `open column name`.
fn in_json(dialect: Dialect, kind: &str, place: &str) -> Option<String> {
    let mut words = place.split(' ');
    let (how, column, name) = (words.next()?, words.next()?, words.next()?);
    let json = match how {
        "of" => format!("'{{' || {column} || '}}'"),
        "in" => column.to_owned(),
        "open" => format!("{column} || '}}'"),
        _ => return None,
    };
    Some(match dialect {
        Dialect::Sqlite => {
            let value = format!("json_extract({json}, '$.{name}')");
            match kind {
                "text" | "int" | "bool" => value,
                // The format of SQLite's own functions has whole seconds only where they are numbers.
                "ms" => format!("(unixepoch({value}) * 1000 + CAST(substr({value}, 21, 3) AS INTEGER))"),
                "rows" => format!("json_each({json}, '$.{name}') r"),
                _ => return None,
            }
        }
        Dialect::Postgres => {
            let value = format!("(({json})::json ->> '{name}')");
            match kind {
                "text" => format!("({value} COLLATE \"C\")"),
                "int" => format!("{value}::bigint"),
                "bool" => format!("{value}::boolean"),
                "ms" => format!("(extract(epoch FROM {value}::timestamptz) * 1000)::bigint"),
                "rows" => {
                    let list = format!("({json})::json -> '{name}'");
                    format!("json_array_elements(CASE json_typeof({list}) WHEN 'array' THEN {list} END) r(value)")
                }
                _ => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_parameters_become_sqlites_own() {
        let check = |sql, want| assert_eq!(for_sqlite(sql), want);
        check("SELECT a FROM t WHERE b = $2 AND c = $1", "SELECT a FROM t WHERE b = ?2 AND c = ?1");
        check("WHERE id {in $12} AND x = $1", "WHERE id IN (SELECT value FROM json_each(?12)) AND x = ?1");
        check("WHERE name {not in $1}", "WHERE name NOT IN (SELECT value FROM json_each(?1))");
        check("SELECT e.value FROM {each of $2}", "SELECT e.value FROM json_each(?2) e");
        check("WHERE {has name $2} {for update}", "WHERE instr(name, ?2) > 0 ");
        check("WHERE id = $1 {for update, skip locked}", "WHERE id = ?1 ");
        check("CREATE TABLE t (id {key}, a {text})", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)");
        check("SELECT a FROM t {by id} WHERE b = $1", "SELECT a FROM t NOT INDEXED WHERE b = ?1");
        check("{only postgres} SELECT 1", "");
        check("SELECT '{' || a || '}'", "SELECT '{' || a || '}'");
    }

    #[test]
    fn marks_become_postgresqls_own() {
        let check = |sql, want| assert_eq!(for_postgres(sql), want);
        check("SELECT a FROM t WHERE b = $2 AND c = $1", "SELECT a FROM t WHERE b = $2 AND c = $1");
        check("WHERE id {in $12} AND x = $1", "WHERE id = ANY($12) AND x = $1");
        check("WHERE name {not in $1}", "WHERE name <> ALL($1)");
        check("SELECT e.value FROM {each of $2}", "SELECT e.value FROM unnest($2::bigint[]) e(value)");
        check("WHERE {has name $2} {for update}", "WHERE strpos(name, $2) > 0 FOR UPDATE");
        check("WHERE id = $1 {for update, skip locked}", "WHERE id = $1 FOR UPDATE SKIP LOCKED");
        check("CREATE TABLE t (id {key}, a {text})", "CREATE TABLE t (id BIGINT PRIMARY KEY, a TEXT COLLATE \"C\")");
        check("SELECT a FROM t {by id} WHERE b = $1", "SELECT a FROM t  WHERE b = $1");
        check("{only postgres} SELECT 1", "SELECT 1");
        check("SELECT '{' || a || '}'", "SELECT '{' || a || '}'");
    }

    #[test]
    fn a_table_is_split_where_it_may_be() {
        let sql = "CREATE TABLE t (business_id BIGINT, id {key in business}{business key}){by business}";
        let whole = "CREATE TABLE t (business_id BIGINT, id BIGINT NOT NULL, PRIMARY KEY (business_id, id))";
        assert_eq!(schema_for_postgres(sql, None), [whole]);
        assert_eq!(
            schema_for_postgres(sql, Some(2)),
            [
                format!("{whole} PARTITION BY HASH (business_id)"),
                "CREATE TABLE t_part0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0)".into(),
                "CREATE TABLE t_part1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)".into(),
            ]
        );
        assert_eq!(schema_for_postgres("CREATE TABLE u (a BIGINT)", Some(2)), ["CREATE TABLE u (a BIGINT)"]);
    }

    #[test]
    fn statements_for_one_row_become_statements_for_many() {
        let check = |sql, want: &str| assert_eq!(many_for_postgres(sql, &["bigint", "text"]), want);
        let rows = "unnest($1::bigint[], $2::text[]) AS many(c1, c2)";
        check(
            "INSERT INTO t (a, b, c) VALUES ($1, 0, $2)",
            &format!("INSERT INTO t (a, b, c) SELECT many.c1, 0, many.c2 FROM {rows}"),
        );
        check(
            "INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO NOTHING",
            &format!("INSERT INTO t (a, b) SELECT many.c1, many.c2 FROM {rows} ON CONFLICT (a) DO NOTHING"),
        );
        check("UPDATE t SET b = $2 WHERE a = $1", &format!("UPDATE t SET b = many.c2 FROM {rows} WHERE a = many.c1"));
        check(
            "DELETE FROM t WHERE a = $1 AND b = $2",
            &format!("DELETE FROM t USING {rows} WHERE a = many.c1 AND b = many.c2"),
        );
    }
}
