//! How far a module is from its service template: every process of the module is looked at in one pass, against a scan that reads the
//! same rows and does nothing with them.

use crate::Plan;
use crate::bare::open_reader;
use crate::estate::Estate;
use crate::figures::{Budget, Report, median};
use crate::load::{Client, request};
use crate::reads::ratios;
use crate::recording::Asked;
use crate::rest::{Memory, memory_mib};
use crate::server::{Kind, Running};
use anyhow::{Context, ensure};
use rollcall_app::calls::object;
use rollcall_domain::json::{Json, Limits, Object, parse};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const PATH: &str = "/find/proc/service_template/general_difference";
const NAME: &str = "post_find_proc_service_template_general_difference";

/// Process templates of the service template.
pub const TEMPLATES: usize = 10;
/// The most new hosts of one call here.
const HOSTS_A_CALL: usize = 200;
/// The first category that the program brings along.
const CATEGORY: i64 = 2;

/// A module that follows a template.
pub struct Module {
    pub business: i64,
    pub module: i64,
    template: i64,
    /// The first process template.
    pub first: i64,
}

impl Module {
    /// What operations about it take.
    pub fn body(&self) -> Value {
        json!({"bk_biz_id": self.business, "bk_module_id": self.module, "service_template_id": self.template})
    }
}

fn record(body: &Value) -> Object {
    match parse(body.to_string().as_bytes(), Limits::default()) {
        Ok(Json::Object(record)) => record,
        _ => Object::new(),
    }
}

/// A process template: names and half of the plain fields are locked, its port is on an address of the host.
pub fn spec(number: usize, port: usize) -> Value {
    let name = format!("process-{number}");
    let locked = |value: Value| json!({"value": value, "as_default_value": true});
    let row = json!({"row_id": 1, "ip": locked("3".into()), "port": locked(port.to_string().into()),
        "protocol": locked("1".into()), "enable": locked(true.into())});
    json!({
        "bk_process_name": {"value": name}, "bk_func_name": {"value": name}, "user": locked("blueking".into()),
        "work_path": locked("/data/bkee".into()), "start_cmd": locked("./bin/start.sh".into()),
        "stop_cmd": {"value": "./bin/stop.sh"}, "proc_num": {"value": 1}, "timeout": {"value": 30},
        "bind_info": {"value": [row], "as_default_value": true},
    })
}

/// A module with an instance of the template on each host. One of the process templates has another port by now.
pub fn fill(file: &Path, hosts: usize) -> anyhow::Result<(Module, Vec<Asked>)> {
    let estate = Estate::new(file)?;
    let (business, set, template, first) = estate.write(|calls| {
        let business = calls.business("difference")?;
        let set = calls.set(business, "set", &[])?;
        let fields =
            [("bk_biz_id", business.into()), ("name", "template".into()), ("service_category_id", CATEGORY.into())];
        let template = calls.make("create_service_template", object(fields), "id")?;
        let specs: Vec<_> = (0..TEMPLATES).map(|i| json!({"spec": spec(i, 8000 + i)})).collect();
        let body = json!({"bk_biz_id": business, "service_template_id": template, "processes": specs});
        let made = calls.call("batch_create_proc_template", record(&body))?;
        let first = made.as_list().and_then(|made| made.first()?.as_int());
        Ok((business, set, template, first))
    })?;
    let mut ids = Vec::with_capacity(hosts);
    while ids.len() < hosts {
        let some = ids.len()..hosts.min(ids.len() + HOSTS_A_CALL);
        ids.extend(estate.write(move |calls| {
            let address = |i: usize| format!("10.{}.{}.{}", i / 62_500, i / 250 % 250, i % 250 + 1);
            let hosts: Vec<_> = some.clone().map(|i| json!({"bk_host_innerip": address(i)})).collect();
            let body = json!({"bk_biz_id": business, "bk_host_list": hosts});
            let made = calls.call("add_host_to_business_idle", record(&body))?;
            let ids = made.as_object().and_then(|made| made.get("bk_host_ids")?.as_list()).unwrap_or_default();
            Ok(ids.iter().filter_map(Json::as_int).collect::<Vec<_>>())
        })?);
    }
    let module = estate.write(move |calls| {
        let fields =
            json!({"bk_biz_id": business, "bk_set_id": set, "bk_parent_id": set, "service_template_id": template});
        let module = calls.make("create_module", record(&fields), "bk_module_id")?;
        let moved = json!({"bk_biz_id": business, "bk_host_id": ids, "bk_module_id": [module], "is_increment": true});
        calls.call("transfer_host_module", record(&moved))?;
        let changed = json!({"bk_biz_id": business, "process_template_id": first,
            "process_property": {"bind_info": spec(0, 9000)["bind_info"]}});
        calls.call("update_proc_template", record(&changed))?;
        Ok(module)
    })?;
    let first = first.context("the templates were made")?;
    let module = Module { business, module, template, first };
    let asked = estate.record(NAME, &module.body().to_string())?;
    estate.close();
    Ok((module, asked))
}

/// Reads every value of every row that a statement answers; how many rows there are, and how long it took.
fn scan(reader: &Connection, asked: &Asked) -> anyhow::Result<(usize, Duration)> {
    let begun = Instant::now();
    let mut statement = reader.prepare_cached(&asked.sql)?;
    let columns = statement.column_count();
    let values = asked.rows.first().context("the statement was run")?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        for column in 0..columns {
            if let ValueRef::Text(text) = row.get_ref(column)? {
                bytes += std::hint::black_box(text).len();
            }
        }
    }
    ensure!(bytes > 0, "nothing was read");
    Ok((count, begun.elapsed()))
}

/// The time of the pass to that of the scan, and what the pass holds.
pub fn difference(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let hosts = if plan.quick { 1_000 } else { 5_000 };
    let file = plan.folder.join("difference.sqlite");
    let (module, asked) = fill(&file, hosts)?;
    let of_processes = asked.iter().find(|asked| asked.sql.contains("p.fixed_fields"));
    let of_processes = of_processes.context("the program reads the processes")?;
    let reader = open_reader(&file)?;
    let server = Running::start(Kind::Ours, &file)?;
    let at_rest = memory_mib(server.process, Memory::Resident)?;
    let mut client = Client::connect(server.address, 1)?;
    let asks = request("POST", PATH, &module.body().to_string());
    let (mut ours, mut bare, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let mut processes = 0;
    for round in 0..=plan.rounds {
        let before = server.cpu()?;
        let begun = Instant::now();
        let answer = client.ask(&asks)?;
        let took = begun.elapsed();
        ensure!(answer.contains("\"changed\":[{\"name\":\"process-0\""), "unexpected: {answer}");
        let used = server.cpu()?.saturating_sub(before);
        let (count, scanned) = scan(&reader, of_processes)?;
        ensure!(count == hosts * TEMPLATES, "{count} processes instead of {}", hosts * TEMPLATES);
        processes = count;
        // The first round only warms up.
        if round > 0 {
            ours.push(took.as_secs_f64() * 1e3);
            bare.push(scanned.as_secs_f64() * 1e3);
            cpu.push(used.as_secs_f64() * 1e3);
        }
    }
    let held = memory_mib(server.process, Memory::Peak)? - at_rest;
    report.title(&format!("general_difference of a module with {processes} processes, native door, to a scan of them"));
    let facts = json!({"ms": median(&ours), "scan_ms": median(&bare), "server_cpu_ms": median(&cpu), "hosts": hosts});
    report.add("difference: time to that of the scan", "ratio", &ratios(&ours, &bare), Budget::AtMost(3.0), facts);
    report.add("difference: memory above rest", "MiB", &[held], Budget::AtMost(64.0), json!({"at_rest_mib": at_rest}));
    Ok(())
}
