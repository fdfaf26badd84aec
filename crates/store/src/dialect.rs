//! What differs between the engines, side by side. Statements are written once, in the SQL both share, with `$1`, `$2` … for
//! parameters and these marks for the rest:
//!
//! | mark | meaning |
//! |---|---|
//! | `{ids $n}` | the numbers of a JSON list given as one parameter, as a subquery |
//! | `{texts $n}` | the texts of a JSON list given as one parameter, as a subquery |
//! | `{has column $n}` | the column contains the text, its case counting; "" is in every text |
//! | `{key}` | the type of a table's own numeric key |

/// The statement as SQLite takes it. SQLite numbers `$1` by first appearance and would bind values to the wrong places without a
/// word, so parameters become `?1`.
pub fn for_sqlite(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some(at) = rest.find(['$', '{']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        // SQLite's lists carry the type of each value; on other engines the two marks differ.
        let list = tail.strip_prefix("{ids $").or_else(|| tail.strip_prefix("{texts $"));
        if let Some(parameter) = list {
            let end = parameter.find('}').expect("a mark ends with a brace");
            out.push_str("(SELECT value FROM json_each(?");
            out.push_str(&parameter[..end]);
            out.push_str("))");
            rest = &parameter[end + 1..];
        } else if let Some(mark) = tail.strip_prefix("{has ") {
            let end = mark.find('}').expect("a mark ends with a brace");
            let (column, parameter) = mark[..end].split_once(" $").expect("the mark names a column and a parameter");
            out.push_str(&format!("instr({column}, ?{parameter}) > 0"));
            rest = &mark[end + 1..];
        } else if let Some(after) = tail.strip_prefix("{key}") {
            out.push_str("INTEGER PRIMARY KEY");
            rest = after;
        } else {
            out.push(if tail.starts_with('$') { '?' } else { '{' });
            rest = &tail[1..];
        }
    }
    out.push_str(rest);
    out
}

/// A list of ids as the one JSON parameter that `{ids $n}` reads.
pub fn id_list(ids: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::from("[");
    for (i, id) in ids.into_iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(&id.to_string());
    }
    text.push(']');
    text
}

/// A list of texts as the one JSON parameter that `{texts $n}` reads.
pub fn text_list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = String::from("[");
    for (i, text) in texts.into_iter().enumerate() {
        if i > 0 {
            list.push(',');
        }
        rollcall_domain::json::write_text(&mut list, text);
    }
    list.push(']');
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_parameters_become_sqlites_own() {
        let check = |sql, want| assert_eq!(for_sqlite(sql), want);
        check("SELECT a FROM t WHERE b = $2 AND c = $1", "SELECT a FROM t WHERE b = ?2 AND c = ?1");
        check("WHERE id IN {ids $12} AND x = $1", "WHERE id IN (SELECT value FROM json_each(?12)) AND x = ?1");
        check("WHERE name IN {texts $1}", "WHERE name IN (SELECT value FROM json_each(?1))");
        check("WHERE {has name $2}", "WHERE instr(name, ?2) > 0");
        check("CREATE TABLE t (id {key})", "CREATE TABLE t (id INTEGER PRIMARY KEY)");
    }

    #[test]
    fn ids_become_one_parameter() {
        assert_eq!(id_list([]), "[]");
        assert_eq!(id_list([1, -2, 3]), "[1,-2,3]");
        assert_eq!(text_list([]), "[]");
        assert_eq!(text_list(["a\"", "::1"]), r#"["a\"","::1"]"#);
    }
}
