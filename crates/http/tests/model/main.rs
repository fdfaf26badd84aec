//! Random sequences of requests through all three doors, against a plain model: every answer, and at the end everything that
//! is stored, must be equal.
//!
//! A failure prints its seed and the shortest sequence that was found. The same run again:
//! `ROLLCALL_MODEL_SEED=<seed> cargo test -p rollcall-http --test model`. A longer one: `ROLLCALL_MODEL_CASES=2000`.

#[path = "../support/mod.rs"]
mod support;

mod compare;
mod instances;
mod labels;
mod limits;
mod ops;
mod process;
mod processes;
mod searches;
mod topology;
mod world;

use ops::{Door, Op, Step};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use rollcall_store::chaos::ChaosEngine;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use support::{Answer, TestApp, USER, on_engine};
use world::{Expect, Request, World};

/// Who calls at the native door; at the others [`USER`] does.
const OPERATOR: &str = "operator";

/// How many requests come behind the first ones that make an estate.
const LONGEST: usize = 50;

#[test]
fn answers_and_state_equal_the_model() {
    run(on_engine(100, 40), || TestApp::with().settings(|settings| settings.dev = true).administrator(USER));
}

/// Units of work may run more than once, whatever they found in the runs before: nobody may notice.
#[test]
fn answers_and_state_equal_the_model_when_work_is_run_again() {
    let engines: Arc<Mutex<Vec<Arc<ChaosEngine>>>> = Arc::default();
    run(on_engine(40, 20), || {
        let engines = engines.clone();
        let seed = engines.lock().unwrap().len() as u64;
        TestApp::with().settings(|settings| settings.dev = true).administrator(USER).engine(move |inner| {
            let engine = Arc::new(ChaosEngine::new(inner, seed));
            engines.lock().unwrap().push(engine.clone());
            engine
        })
    });
    let troubles: usize = engines.lock().unwrap().iter().map(|engine| engine.troubles()).sum();
    assert!(troubles > 0, "a test without trouble shows nothing");
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

fn run(cases: u32, app: impl Fn() -> support::Builder) {
    let seed = number_of("ROLLCALL_MODEL_SEED").unwrap_or_else(random);
    let cases = number_of("ROLLCALL_MODEL_CASES").map_or(cases, |cases| cases.try_into().unwrap());
    // A failing sequence is shortened as long as that takes, but for two minutes at most.
    let config = Config { cases, max_shrink_time: 120_000, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tally = RefCell::new(Tally::new());
    let played = runner.run(&ops::steps(LONGEST), |steps| {
        play(app().start(), &steps, &mut tally.borrow_mut()).map_err(TestCaseError::fail)
    });
    match played {
        Ok(()) => {
            tally.into_inner().iter().for_each(say);
        }
        Err(TestError::Fail(reason, steps)) => {
            let list: String = steps.iter().enumerate().map(|(i, step)| format!("{i:3} {step:?}\n")).collect();
            panic!("{reason}\n\nthe shortest sequence found:\n{list}\nseed: ROLLCALL_MODEL_SEED={seed}");
        }
        Err(TestError::Abort(reason)) => panic!("{reason}, ROLLCALL_MODEL_SEED={seed}"),
    }
}

/// How many requests of an operation were carried out, and how many refused.
type Tally = BTreeMap<&'static str, [usize; 2]>;

#[expect(clippy::print_stdout, reason = "`--nocapture` shows whether the requests are worth something")]
fn say((name, [done, refused]): (&&'static str, &[usize; 2])) {
    println!("{done:6} done {refused:6} refused  {name}");
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

/// Sends every request to a server and to the model, and compares.
fn play(app: TestApp, steps: &[Step], tally: &mut Tally) -> Result<(), String> {
    let app = Rc::new(app);
    let mut world = World::of_new_store(&app);
    let (new_counts, new_told) = (compare::counts(&app), compare::told(&app));
    for (i, step) in steps.iter().enumerate() {
        world.user = if matches!(step.door, Door::Native) { OPERATOR } else { USER };
        let Some((request, expect)) = plan(&world, &app, &step.op) else { continue };
        let answer = send(&app, step.door, &request);
        tally.entry(request.name).or_default()[usize::from(answer.code() != 0)] += 1;
        let context = |e: String| {
            let Request { name, path, body, .. } = &request;
            format!("step {i}, {:?} door, {name} {path}\n{body}\n{}\n{e}", step.door, answer.text)
        };
        follow(&mut world, &app, expect, &answer).map_err(context)?;
        // A refused write leaves everything as it was (I-9), another one leaves what the model says.
        let counts = compare::expected_counts(&world, &new_counts);
        world::same("the number of rows", compare::counts(&app), counts).map_err(context)?;
    }
    compare::journal(&app, &world, &new_told)?;
    compare::whole_state(&app, &world)
}

/// The request of an operation and what it must come to.
fn plan(world: &World, app: &Rc<TestApp>, op: &Op) -> Option<(Request, Expect)> {
    Some(match op {
        Op::CreateBusiness { name } => topology::create_business(world, app, name),
        Op::CreateSet { business, name, parent } => topology::create_set(world, *business, name, *parent),
        Op::CreateModule { business, set, name, parent, category } => {
            topology::create_module(world, *business, *set, name, *parent, *category)
        }
        Op::AddHosts { business, hosts } => topology::add_to_idle(world, *business, hosts),
        Op::AddHostsToResource { business, rows } => topology::add_to_resource(world, app, *business, rows),
        Op::Transfer { business, hosts, modules, is_increment } => {
            topology::transfer(world, *business, hosts, modules, *is_increment)
        }
        Op::TransferToIdle { business, hosts } => topology::transfer_to_idle(world, *business, hosts),
        Op::TransferFromPool { business, hosts } => topology::transfer_from_pool(world, *business, hosts),
        Op::CreateInstances { business, module, name, instances } => {
            instances::create_instances(world, *business, *module, *name, instances)
        }
        Op::TooManyInstances { count } => instances::too_many_instances(world, *count)?,
        Op::CreateProcesses { business, instance, processes } => {
            instances::create_processes(world, *business, *instance, processes)
        }
        Op::TooManyProcesses { count } => instances::too_many_processes(world, *count),
        Op::ListInstances { business, module, hosts, search, selectors, page } => {
            instances::list_instances(world, *business, *module, hosts, *search, selectors, *page)
        }
        Op::ListInstancesOfHost { business, host, search, selectors, page } => {
            instances::list_instances_of_host(world, *business, *host, *search, selectors, *page)
        }
        Op::ListInstancesOfSetTemplate { business, template, page } => {
            instances::list_instances_of_set_template(world, *business, *template, *page)
        }
        Op::ListHostsWithout { business, module, hosts } => {
            instances::list_hosts_without(world, *business, *module, hosts)
        }
        Op::ListDetails(list) => instances::list_details(world, list),
        Op::RenameInstances { business, names } => instances::rename_instances(world, *business, names),
        Op::DeleteInstances { business, instances } => instances::delete_instances(world, *business, instances),
        Op::UpdateProcesses { business, near, entries } => {
            processes::update_processes(world, *business, *near, entries)
        }
        Op::TurnNames { business, near } => processes::turn_names(world, *business, *near)?,
        Op::SendBack { business, near } => processes::send_back(world, *business, *near)?,
        Op::UpdateById { business, near, processes, data } => {
            processes::update_by_id(world, *business, *near, processes, data)
        }
        Op::DeleteProcesses { business, near, processes } => {
            processes::delete_processes(world, *business, *near, processes)
        }
        Op::AddLabels { business, instances, labels } => labels::add(world, *business, instances, labels.as_ref()),
        Op::RemoveLabels { business, instances, keys } => labels::remove(world, *business, instances, keys),
        Op::ReplaceLabels { business, instances, labels } => {
            labels::replace(world, *business, instances, labels.as_ref())
        }
        Op::AggregateLabels { business, module } => labels::aggregate(world, *business, *module),
        Op::AtLimit { list, by } => limits::at_limit(world, *list, *by),
        Op::ListNames { business, module, name, page } => searches::list_names(world, *business, *module, *name, *page),
        Op::ListDetailsById { business, near, processes, page } => {
            searches::list_details_by_id(world, *business, *near, processes, *page)
        }
        Op::ListDetailsOfBusiness { business, near, processes, fields } => {
            searches::list_details_of_business(world, *business, *near, processes, fields)
        }
        Op::ListRelated(search) => searches::list_related(world, search),
        Op::ListProcesses { business, instance } => instances::list_processes(world, *business, *instance),
        Op::ListHosts { business, sets, modules, page } => topology::list_hosts(world, *business, sets, modules, *page),
    })
}

fn send(app: &TestApp, door: Door, request: &Request) -> Answer {
    match (door, &request.esb) {
        (Door::Native, _) => app.native_as(OPERATOR, request.method, &request.path, request.body.clone()),
        (Door::Esb, Some(body)) => app.esb(request.name, body.clone()),
        _ => app.gateway(request.method, &request.path, request.body.clone()),
    }
}

/// Compares an answer with what it must be, and makes its effects in the model.
fn follow(world: &mut World, app: &TestApp, expect: Expect, answer: &Answer) -> Result<(), String> {
    let json = answer.json();
    world::same("the HTTP status", answer.status, 200)?;
    world::same("result", json["result"].as_bool(), Some(answer.code() == 0))?;
    match expect {
        Expect::Refused(_) if answer.code() == 0 => Err("it must fail".into()),
        Expect::Refused(codes) if codes.is_empty() || codes.contains(&answer.code()) => Ok(()),
        Expect::Refused(codes) => Err(format!("the code must be one of {codes:?}")),
        Expect::Done(_) if answer.code() != 0 => Err("it must succeed".into()),
        Expect::Done(effect) => {
            effect(world, &json["data"])?;
            world.name_processes(|instance| {
                app.post("/findmany/proc/process_instance", serde_json::json!({"service_instance_id": instance})).data()
            })
        }
    }
}
