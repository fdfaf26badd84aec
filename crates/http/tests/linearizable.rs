//! Several callers change the same service instances at the same time: some order of their calls, one after the other and none
//! before it was sent or after it was answered, must explain every answer.
//!
//! The search for such an order is that of Wing and Gong, with the states it has met. A failure prints its seed and the history;
//! the same calls again, if not at the same times: `ROLLCALL_LINEARIZABLE_SEED=<seed>`.

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use support::{Estate, TestApp, on_engine, process};

const ROUNDS: u64 = 50;
/// So few that callers meet.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

type Labels = Option<BTreeMap<String, String>>;

/// A service instance as far as the calls change it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Instance {
    name: String,
    labels: Labels,
    /// Names by ids.
    processes: BTreeMap<i64, String>,
}

/// All instances by their ids.
type State = BTreeMap<i64, Instance>;

#[derive(Debug, Clone)]
enum Call {
    CreateProcess { instance: i64, name: &'static str },
    UpdateProcesses(Vec<(i64, &'static str)>),
    DeleteProcesses(Vec<i64>),
    Rename { instances: Vec<i64>, name: &'static str },
    AddLabel { instances: Vec<i64>, key: &'static str, value: &'static str },
    RemoveLabel { instances: Vec<i64>, key: &'static str },
    ListProcesses { instance: i64 },
    ListInstances,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Done,
    Refused(i64),
    Made(i64),
    Processes(BTreeMap<i64, String>),
    /// Names and labels by ids.
    Instances(BTreeMap<i64, (String, Labels)>),
}

/// A call that was answered.
#[derive(Debug, Clone)]
struct Answered {
    call: Call,
    outcome: Outcome,
    /// When it was sent, by a counter that all callers share.
    sent: u64,
    /// When the answer was there.
    answered: u64,
}

impl Call {
    /// What the call answers in a state, and the state afterwards. Of a process that is made, the id is taken from the outcome.
    fn apply(&self, state: &State, outcome: &Outcome) -> (Outcome, State) {
        let mut after = state.clone();
        let done = match self {
            Self::CreateProcess { instance, name } => match (after.get_mut(instance), outcome) {
                (None, _) => Outcome::Refused(1_199_019),
                (Some(instance), _) if instance.processes.values().any(|other| other == name) => {
                    Outcome::Refused(1_199_014)
                }
                (Some(instance), Outcome::Made(id)) if !instance.processes.contains_key(id) => {
                    instance.processes.insert(*id, (*name).to_owned());
                    outcome.clone()
                }
                _ => Outcome::Done,
            },
            Self::UpdateProcesses(names) => {
                let mut found = 0;
                for (id, name) in names {
                    for process in after.values_mut().filter_map(|instance| instance.processes.get_mut(id)) {
                        (*name).clone_into(process);
                        found += 1;
                    }
                }
                let clash = |instance: &Instance| {
                    instance.processes.values().collect::<BTreeSet<_>>().len() < instance.processes.len()
                };
                match found {
                    0 => Outcome::Refused(1_199_010),
                    found if found < names.len() => Outcome::Refused(1_199_011),
                    _ if after.values().any(clash) => Outcome::Refused(1_199_014),
                    _ => Outcome::Done,
                }
            }
            Self::DeleteProcesses(ids) => {
                for instance in after.values_mut() {
                    instance.processes.retain(|id, _| !ids.contains(id));
                }
                after.retain(|_, instance| !instance.processes.is_empty());
                Outcome::Done
            }
            Self::Rename { instances, name } => {
                for id in instances {
                    if let Some(instance) = after.get_mut(id) {
                        (*name).clone_into(&mut instance.name);
                    }
                }
                Outcome::Done
            }
            Self::AddLabel { instances, .. } | Self::RemoveLabel { instances, .. }
                if instances.iter().any(|id| !state.contains_key(id)) =>
            {
                Outcome::Refused(1_199_006)
            }
            Self::AddLabel { instances, key, value } => {
                for id in instances {
                    let instance = after.get_mut(id).unwrap();
                    instance.labels.get_or_insert_default().insert((*key).to_owned(), (*value).to_owned());
                }
                Outcome::Done
            }
            Self::RemoveLabel { instances, key } => {
                for id in instances {
                    let instance = after.get_mut(id).unwrap();
                    instance.labels.get_or_insert_default().remove(*key);
                }
                Outcome::Done
            }
            Self::ListProcesses { instance } => {
                let found = after.get(instance).map(|instance| instance.processes.clone());
                Outcome::Processes(found.unwrap_or_default())
            }
            Self::ListInstances => {
                let named = state.iter().map(|(id, instance)| (*id, (instance.name.clone(), instance.labels.clone())));
                Outcome::Instances(named.collect())
            }
        };
        // What is refused changes nothing.
        if matches!(done, Outcome::Refused(_)) { (done, state.clone()) } else { (done, after) }
    }

    fn send(&self, app: &TestApp, business: i64) -> Outcome {
        let entry =
            |(id, name): &(i64, &str)| json!({"bk_process_id": id, "bk_process_name": name, "bk_func_name": name});
        let mut body = match self {
            Self::CreateProcess { instance, name } => {
                json!({"service_instance_id": instance, "processes": [{"process_info": process(name)}]})
            }
            Self::UpdateProcesses(names) => json!({"processes": names.iter().map(entry).collect::<Vec<_>>()}),
            Self::DeleteProcesses(ids) => json!({"process_instance_ids": ids}),
            Self::Rename { instances, name } => {
                let renamed = |id| json!({"service_instance_id": id, "update": {"name": name}});
                json!({"data": instances.iter().map(renamed).collect::<Vec<_>>()})
            }
            Self::AddLabel { instances, key, value } => json!({"instance_ids": instances, "labels": {*key: value}}),
            Self::RemoveLabel { instances, key } => json!({"instance_ids": instances, "keys": [key]}),
            Self::ListProcesses { instance } => json!({"service_instance_id": instance}),
            Self::ListInstances => json!({}),
        };
        let operation = match self {
            Self::CreateProcess { .. } => "create_process_instance",
            Self::UpdateProcesses(_) => "update_process_instance",
            Self::DeleteProcesses(_) => "delete_process_instance",
            Self::Rename { .. } => "put_updatemany_proc_service_instance_biz",
            Self::AddLabel { .. } => "add_label_for_service_instance",
            Self::RemoveLabel { .. } => "remove_label_from_service_instance",
            Self::ListProcesses { .. } => "list_process_instance",
            Self::ListInstances => "list_service_instance",
        };
        body["bk_biz_id"] = business.into();
        let answer = app.call(operation, body);
        let data = match answer.code() {
            0 => answer.data(),
            code => return Outcome::Refused(code),
        };
        match self {
            Self::CreateProcess { .. } => Outcome::Made(data[0].as_i64().unwrap()),
            Self::ListProcesses { .. } => {
                let rows = data.as_array().unwrap().iter().map(|row| &row["property"]);
                let named = |row: &Value| (row["bk_process_id"].as_i64().unwrap(), text(&row["bk_process_name"]));
                Outcome::Processes(rows.map(named).collect())
            }
            Self::ListInstances => {
                let labels = |row: &Value| serde_json::from_value(row["labels"].clone()).unwrap();
                let rows = data["info"].as_array().unwrap().iter();
                let named = |row: &Value| (row["id"].as_i64().unwrap(), (text(&row["name"]), labels(row)));
                Outcome::Instances(rows.map(named).collect())
            }
            _ => Outcome::Done,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Whether an order of the calls explains their outcomes: next may come any call that was sent before every other one that is
/// left was answered.
fn is_explained(initial: &State, history: &[Answered]) -> bool {
    assert!(history.len() < 64, "a set of calls is a number");
    let all = (1_u64 << history.len()) - 1;
    let mut seen: HashSet<(u64, State)> = HashSet::new();
    let mut open = vec![(0_u64, initial.clone())];
    while let Some((done, state)) = open.pop() {
        if done == all {
            return true;
        }
        let left = || history.iter().enumerate().filter(|(i, _)| done & (1 << i) == 0);
        let first_answer = left().map(|(_, call)| call.answered).min().unwrap_or(u64::MAX);
        for (i, Answered { call, outcome, .. }) in left().filter(|(_, call)| call.sent < first_answer) {
            let (would_be, after) = call.apply(&state, outcome);
            let next = (done | (1 << i), after);
            if would_be == *outcome && seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    false
}

/// Numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % n as u64).unwrap()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// One of them, or two different ones.
    fn some(&mut self, of: &[i64]) -> Vec<i64> {
        let (first, second) = (self.one(of), self.one(of));
        if first == second || self.below(2) == 0 { vec![first] } else { vec![first, second] }
    }

    fn call(&mut self, instances: &[i64], processes: &[i64]) -> Call {
        let (key, value) = (self.one(&["x", "y"]), self.one(&["1", "2"]));
        match self.below(12) {
            0..3 => Call::CreateProcess { instance: self.one(instances), name: self.one(&NAMES) },
            3..6 => Call::UpdateProcesses(self.some(processes).into_iter().map(|id| (id, self.one(&NAMES))).collect()),
            6 => Call::DeleteProcesses(self.some(processes)),
            7 => Call::Rename { instances: self.some(instances), name: self.one(&["one", "two"]) },
            8 => Call::AddLabel { instances: self.some(instances), key, value },
            9 => Call::RemoveLabel { instances: self.some(instances), key },
            10 => Call::ListProcesses { instance: self.one(instances) },
            _ => Call::ListInstances,
        }
    }
}

/// An instance with two processes.
fn new_instance(app: &TestApp, estate: &Estate) -> i64 {
    let processes = json!([{"process_info": process("a")}, {"process_info": process("b")}]);
    let instances = json!([{"bk_host_id": estate.hosts[0], "processes": processes}]);
    let body = json!({"bk_biz_id": estate.business, "bk_module_id": estate.module, "instances": instances});
    app.post("/create/proc/service_instance", body).data()[0].as_i64().unwrap()
}

/// When all calls of a round were answered, by the counter that its callers share.
const LATER: u64 = 1000;

/// What is there when nobody changes it.
fn look(app: &TestApp, business: i64) -> State {
    let Outcome::Instances(named) = Call::ListInstances.send(app, business) else { panic!("no list") };
    let whole = |(instance, (name, labels))| {
        let Outcome::Processes(processes) = (Call::ListProcesses { instance }).send(app, business) else {
            panic!("no list")
        };
        (instance, Instance { name, labels, processes })
    };
    named.into_iter().map(whole).collect()
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

#[test]
fn some_order_explains_what_callers_at_the_same_time_are_answered() {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).unwrap();
    let seed = number_of("ROLLCALL_LINEARIZABLE_SEED").unwrap_or_else(|| u64::from_le_bytes(seed));
    let app = TestApp::new();
    let estate = app.estate();
    let mut dice = Dice(seed);
    let (mut refused, mut met) = (0, 0);
    for round in 0..ROUNDS {
        while look(&app, estate.business).len() < 2 {
            new_instance(&app, &estate);
        }
        let initial = look(&app, estate.business);
        let mut history = fire(&app, estate.business, &initial, &mut dice);
        met += history.iter().filter(|call| history.iter().any(|other| overlap(call, other))).count();
        refused += history.iter().filter(|call| matches!(call.outcome, Outcome::Refused(_))).count();
        // What is there at the end belongs to the history.
        let answered = |call: Call, at: u64| {
            let outcome = call.send(&app, estate.business);
            Answered { call, outcome, sent: LATER + 2 * at, answered: LATER + 2 * at + 1 }
        };
        let lists = initial.keys().map(|id| Call::ListProcesses { instance: *id }).chain([Call::ListInstances]);
        history.extend(lists.zip(1..).map(|(call, at)| answered(call, at)));
        assert!(
            is_explained(&initial, &history),
            "no order explains round {round}, ROLLCALL_LINEARIZABLE_SEED={seed}\n{initial:#?}\n{history:#?}"
        );
    }
    assert!(met > 0 && refused > 0, "{met} calls met others, {refused} were refused: the calls show nothing");
    let findings = app.store.read(true, |tx| rollcall_store::check::run(tx, &mut |_| {})).unwrap();
    assert_eq!(findings, []);
    // The keys of the events of an object have the order of its changes, whoever made them.
    let broken = app.number(
        "SELECT count(*) FROM event e WHERE e.kind IN (9, 100) AND coalesce(e.before_state, '') <> coalesce((SELECT o.after_state
            FROM event o WHERE o.kind = e.kind AND o.object_id = e.object_id AND o.id < e.id ORDER BY o.id DESC LIMIT 1), '')",
    );
    assert_eq!(broken, 0, "ROLLCALL_LINEARIZABLE_SEED={seed}");
}

fn overlap(one: &Answered, other: &Answered) -> bool {
    one.sent != other.sent && one.sent < other.answered && other.sent < one.answered
}

/// Some callers, each with a few calls, all at once.
fn fire(app: &TestApp, business: i64, initial: &State, dice: &mut Dice) -> Vec<Answered> {
    let instances: Vec<i64> = initial.keys().copied().collect();
    let processes: Vec<i64> = initial.values().flat_map(|instance| instance.processes.keys().copied()).collect();
    let (callers, calls) = dice.one(&[(4, 3), (6, 2), (8, 1), on_engine((3, 4), (8, 1))]);
    let plans: Vec<Vec<Call>> =
        (0..callers).map(|_| (0..calls).map(|_| dice.call(&instances, &processes)).collect()).collect();
    let (clock, start) = (AtomicU64::new(0), Barrier::new(callers));
    let carry_out = |plan: Vec<Call>| {
        start.wait();
        let answered = plan.into_iter().map(|call| {
            let sent = clock.fetch_add(1, Ordering::SeqCst);
            let outcome = call.send(app, business);
            Answered { call, outcome, sent, answered: clock.fetch_add(1, Ordering::SeqCst) }
        });
        answered.collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let carry_out = &carry_out;
        let callers: Vec<_> = plans.into_iter().map(|plan| scope.spawn(move || carry_out(plan))).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    })
}

#[test]
fn the_search_finds_an_order_only_where_there_is_one() {
    let processes = |names: &[(i64, &str)]| names.iter().map(|(id, name)| (*id, (*name).to_owned())).collect();
    let one = Instance { name: "i".into(), labels: None, processes: processes(&[(1, "a")]) };
    let initial: State = [(7, one)].into();
    let create = || Call::CreateProcess { instance: 7, name: "b" };
    let list = || Call::ListProcesses { instance: 7 };
    let (with, without) = ([(1, "a"), (2, "b")], [(1, "a")]);
    let check = |calls: &[(Call, Outcome, u64, u64)], want: bool| {
        let answered = |(call, outcome, sent, answered): &(Call, Outcome, u64, u64)| Answered {
            call: call.clone(),
            outcome: outcome.clone(),
            sent: *sent,
            answered: *answered,
        };
        let history: Vec<_> = calls.iter().map(answered).collect();
        assert_eq!(is_explained(&initial, &history), want, "{calls:#?}");
    };
    // A list beside a creation shows it or not.
    for shown in [&with[..], &without] {
        check(&[(create(), Outcome::Made(2), 0, 3), (list(), Outcome::Processes(processes(shown)), 1, 2)], true);
    }
    // After the answer it shows it, and what one list showed the next one does.
    check(&[(create(), Outcome::Made(2), 0, 1), (list(), Outcome::Processes(processes(&without)), 2, 3)], false);
    let seen = |shown: &[(i64, &str)], at| (list(), Outcome::Processes(processes(shown)), at, at + 1);
    check(&[(create(), Outcome::Made(2), 0, 9), seen(&without, 1), seen(&with, 3)], true);
    check(&[(create(), Outcome::Made(2), 0, 9), seen(&with, 1), seen(&without, 3)], false);
    // Of two equal names one is refused.
    check(&[(create(), Outcome::Made(2), 0, 2), (create(), Outcome::Made(3), 1, 3)], false);
    check(&[(create(), Outcome::Made(2), 0, 2), (create(), Outcome::Refused(1_199_014), 1, 3)], true);
    // No label is lost.
    let add = |key| (Call::AddLabel { instances: vec![7], key, value: "1" }, Outcome::Done, 0, 3);
    let labelled = |keys: &[&str]| {
        let labels = keys.iter().map(|key| ((*key).to_owned(), "1".to_owned())).collect();
        (Call::ListInstances, Outcome::Instances([(7, ("i".to_owned(), Some(labels)))].into()), 4, 5)
    };
    check(&[add("x"), add("y"), labelled(&["x", "y"])], true);
    check(&[add("x"), add("y"), labelled(&["y"])], false);
    // An instance goes with its last process; what comes later finds none.
    let delete = || (Call::DeleteProcesses(vec![1]), Outcome::Done, 0, 2);
    check(&[delete(), (create(), Outcome::Refused(1_199_019), 1, 3)], true);
    check(&[delete(), (create(), Outcome::Made(2), 1, 3)], true);
    check(&[delete(), (create(), Outcome::Refused(1_199_014), 1, 3)], false);
    check(&[(create(), Outcome::Refused(1_199_019), 0, 1), (delete().0, Outcome::Done, 2, 3)], false);
}
