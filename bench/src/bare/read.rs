//! Reads: what a body asks for, and the answer of the native door, spliced from what the statements answer.

use super::statement;
use crate::estate::Estate;
use crate::recording::{list, texts};
use rollcall_domain::json::write_text;
use rollcall_store::dialect::for_sqlite;
use rusqlite::{Connection, Row};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;
use std::path::Path;

/// The body of a call, of those calls that bare servers answer.
pub trait Ask: DeserializeOwned + Send + 'static {
    /// Below `/api/v3`.
    const PATH: &'static str;

    /// The statements that the program runs for it.
    fn statements(store: &Path) -> anyhow::Result<Vec<String>>;

    /// What the program answers.
    fn answer(&self, reader: &Connection, statements: &[String]) -> anyhow::Result<String>;
}

/// What list_process_instance is asked.
#[derive(Deserialize)]
pub struct List {
    pub bk_biz_id: i64,
    pub service_instance_id: i64,
}

/// What list_process_related_info is asked.
#[derive(Deserialize)]
pub struct Related {
    bk_biz_id: i64,
    page: Page,
}

#[derive(Deserialize)]
struct Page {
    start: i64,
    limit: i64,
}

/// What list_process_detail_by_ids is asked.
#[derive(Deserialize)]
pub struct Details {
    bk_biz_id: i64,
    bk_process_ids: Vec<i64>,
}

/// An answer up to its payload.
const OPENED: &str = "{\"result\":true,\"bk_error_code\":0,\"bk_error_msg\":\"success\",\"code\":0,\
                      \"message\":\"success\",\"permission\":null,\"data\":";

/// An answer that has begun, with room for so much.
fn opened(capacity: usize) -> String {
    let mut out = String::with_capacity(capacity);
    out.push_str(OPENED);
    out
}

/// An instance with processes.
pub fn some_instance(reader: &Connection) -> anyhow::Result<List> {
    let row =
        reader.query_row("SELECT business_id, service_instance_id FROM process ORDER BY id LIMIT 1", [], |row| {
            Ok(List { bk_biz_id: row.get(0)?, service_instance_id: row.get(1)? })
        })?;
    Ok(row)
}

/// The stored members of a process.
fn splice_process(out: &mut String, row: &Row<'_>) -> anyhow::Result<()> {
    out.push('{');
    out.push_str(row.get_ref(5)?.as_str()?);
    out.push(',');
    out.push_str(row.get_ref(6)?.as_str()?);
    out.push('}');
    Ok(())
}

impl Ask for List {
    const PATH: &'static str = "/findmany/proc/process_instance";

    fn statements(_: &Path) -> anyhow::Result<Vec<String>> {
        let sql =
            statement("SELECT id, business_id, service_instance_id, process_template_id", "service_instance_id = $2")?;
        Ok(vec![for_sqlite(sql)])
    }

    fn answer(&self, reader: &Connection, statements: &[String]) -> anyhow::Result<String> {
        let mut statement = reader.prepare_cached(&statements[0])?;
        let mut rows = statement.query((self.bk_biz_id, self.service_instance_id))?;
        let mut out = opened(4096);
        let mut between = '[';
        while let Some(row) = rows.next()? {
            out.push(between);
            between = ',';
            let int = |column| row.get::<_, i64>(column);
            out.push_str("{\"property\":");
            splice_process(&mut out, row)?;
            write!(
                out,
                ",\"relation\":{{\"bk_biz_id\":{},\"bk_process_id\":{},\"service_instance_id\":{},\"process_template_id\":{},\
                 \"bk_host_id\":{},\"bk_supplier_account\":\"0\"}}}}",
                int(1)?,
                int(0)?,
                int(2)?,
                int(3)?,
                int(4)?
            )?;
        }
        out.push_str("]}");
        Ok(out)
    }
}

/// The only member of a set's document that is shown.
#[derive(Deserialize)]
struct SetDocument<'a> {
    #[serde(borrow)]
    bk_set_env: &'a RawValue,
}

/// The members of a host's document that are shown. A text that is not there is "".
#[derive(Deserialize)]
struct HostDocument<'a> {
    bk_cloud_id: i64,
    #[serde(borrow)]
    bk_host_innerip: Option<&'a RawValue>,
    #[serde(borrow)]
    bk_host_innerip_v6: Option<&'a RawValue>,
    #[serde(borrow)]
    bk_addressing: Option<&'a RawValue>,
    #[serde(borrow)]
    bk_agent_id: Option<&'a RawValue>,
}

fn read_set(row: &Row<'_>) -> anyhow::Result<String> {
    let document: SetDocument<'_> = serde_json::from_str(row.get_ref(12)?.as_str()?)?;
    let mut out = format!("{{\"bk_set_id\":{},\"bk_set_name\":", row.get::<_, i64>(10)?);
    write_text(&mut out, row.get_ref(11)?.as_str()?);
    write!(out, ",\"bk_set_env\":{}}}", document.bk_set_env)?;
    Ok(out)
}

fn read_host(id: i64, row: &Row<'_>) -> anyhow::Result<String> {
    let document: HostDocument<'_> = serde_json::from_str(row.get_ref(13)?.as_str()?)?;
    let text = |member: Option<&'_ RawValue>| member.map_or("\"\"", RawValue::get).to_owned();
    Ok(format!(
        "{{\"bk_host_id\":{id},\"bk_cloud_id\":{},\"bk_host_innerip\":{},\"bk_host_innerip_v6\":{},\"bk_addressing\":{},\
         \"bk_agent_id\":{}}}",
        document.bk_cloud_id,
        text(document.bk_host_innerip),
        text(document.bk_host_innerip_v6),
        text(document.bk_addressing),
        text(document.bk_agent_id),
    ))
}

impl Ask for Related {
    const PATH: &'static str = "/findmany/proc/process_related_info/biz/{bk_biz_id}";

    /// Count, ids of the page, and their rows.
    fn statements(store: &Path) -> anyhow::Result<Vec<String>> {
        let business = some_instance(&super::open_reader(store)?)?.bk_biz_id;
        let body = json!({"bk_biz_id": business, "page": {"start": 0, "limit": 1}});
        let estate = Estate::new(store)?;
        let asked = estate.record("list_process_related_info", &body.to_string())?;
        estate.close();
        Ok(texts::<3>(asked)?.into())
    }

    fn answer(&self, reader: &Connection, statements: &[String]) -> anyhow::Result<String> {
        let business = self.bk_biz_id;
        let count: i64 = reader.prepare_cached(&statements[0])?.query_row([business], |row| row.get(0))?;
        let mut page = reader.prepare_cached(&statements[1])?;
        let ids = page.query_map((self.page.limit, self.page.start, business), |row| row.get(0))?;
        let ids = ids.collect::<Result<Vec<i64>, _>>()?;
        let mut statement = reader.prepare_cached(&statements[2])?;
        let mut rows = statement.query((business, list(&ids)))?;
        let (mut sets, mut hosts) = (HashMap::<i64, String>::new(), HashMap::<i64, String>::new());
        let mut out = opened(1024 + ids.len() * 1536);
        write!(out, "{{\"count\":{count},\"info\":")?;
        let mut between = '[';
        while let Some(row) = rows.next()? {
            out.push(between);
            between = ',';
            let int = |column| row.get::<_, i64>(column);
            let (set_id, host_id) = (int(10)?, int(4)?);
            let set = match sets.entry(set_id) {
                Entry::Occupied(set) => set.into_mut(),
                Entry::Vacant(free) => free.insert(read_set(row)?),
            };
            let host = match hosts.entry(host_id) {
                Entry::Occupied(host) => host.into_mut(),
                Entry::Vacant(free) => free.insert(read_host(host_id, row)?),
            };
            write!(out, "{{\"set\":{set},\"module\":{{\"bk_module_id\":{}", int(8)?)?;
            out.push_str(",\"bk_module_name\":");
            write_text(&mut out, row.get_ref(9)?.as_str()?);
            write!(out, "}},\"host\":{host},\"service_instance\":{{\"id\":{},\"name\":", int(2)?)?;
            write_text(&mut out, row.get_ref(7)?.as_str()?);
            write!(out, "}},\"process_template\":{{\"id\":{}}},\"process\":", int(3)?)?;
            splice_process(&mut out, row)?;
            out.push('}');
        }
        out.push_str("]}}");
        Ok(out)
    }
}

impl Ask for Details {
    const PATH: &'static str = "/findmany/proc/process_instance/detail/biz/{bk_biz_id}";

    fn statements(_: &Path) -> anyhow::Result<Vec<String>> {
        let sql = statement("SELECT id, business_id, service_instance_id, process_template_id", "$1 AND id {in $2}")?;
        Ok(vec![for_sqlite(sql)])
    }

    fn answer(&self, reader: &Connection, statements: &[String]) -> anyhow::Result<String> {
        let mut statement = reader.prepare_cached(&statements[0])?;
        let mut rows = statement.query((self.bk_biz_id, list(&self.bk_process_ids)))?;
        let mut out = opened(1024 + self.bk_process_ids.len() * 1536);
        let mut between = '[';
        while let Some(row) = rows.next()? {
            out.push(between);
            between = ',';
            splice_process(&mut out, row)?;
        }
        out.push_str("]}");
        Ok(out)
    }
}
