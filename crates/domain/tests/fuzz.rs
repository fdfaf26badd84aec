//! Bytes that a caller may send, made from good and bad examples (`corpus/`) by small damages: nothing of what reads them panics, and
//! what they accept follows its own rules. `ROLLCALL_FUZZ_CASES` is how many inputs each target gets; a failure prints the shortest
//! input that was found, which then belongs into the corpus.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use rollcall_domain::bind_info::{HostAddresses, PortRange};
use rollcall_domain::fault::Fault;
use rollcall_domain::id::{BusinessId, HostId, ProcessId, ServiceInstanceId};
use rollcall_domain::json::{Decoder, FieldPath, Json, JsonWriter, Limits, Object, parse};
use rollcall_domain::label::{Labels, SelectorIn, Selectors};
use rollcall_domain::moment::Zone;
use rollcall_domain::page::PageIn;
use rollcall_domain::process::{Placement, read_draft, shape};
use rollcall_domain::query_filter::QueryFilter;
use std::path::Path;

/// A change to an input.
#[derive(Debug, Clone)]
enum Damage {
    Put(Index, u8),
    Drop(Index, usize),
    Repeat(Index, usize),
    Insert(Index, &'static str),
    /// The end of another example behind the beginning of this one.
    Splice(Index, Index, Index),
}

/// What readers look at, and what lies at the edges of what they accept.
const WORDS: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "9223372036854775807",
    "9223372036854775808",
    "0.1",
    "\"\"",
    "[]",
    "{}",
    "[[",
    "}",
    ",",
    ":",
    "\\u0000",
    "\\ud800",
    "\\\"",
    "AND",
    "OR",
    "rules",
    "condition",
    "operator",
    "not_equal",
    "in",
    "datetime_less",
    "bind_info.port",
    "999999999",
    "1.2.3.4",
    "::",
    "65535",
    "65536",
    "80-90",
    "90-80",
    "\u{feff}",
    "é",
    "名",
    "\u{0}",
];

fn damage() -> impl Strategy<Value = Damage> {
    let place = || any::<Index>();
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Put(at, byte)),
        (place(), 1..20_usize).prop_map(|(at, count)| Damage::Drop(at, count)),
        (place(), 1..40_usize).prop_map(|(at, count)| Damage::Repeat(at, count)),
        (place(), prop::sample::select(WORDS)).prop_map(|(at, word)| Damage::Insert(at, word)),
        (place(), place(), place()).prop_map(|(other, at, from)| Damage::Splice(other, at, from)),
    ]
}

impl Damage {
    fn apply(&self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let size = input.len();
        let place = |at: &Index| at.index(size + 1);
        match self {
            Self::Put(at, byte) if size > 0 => input[at.index(size)] = *byte,
            Self::Put(_, byte) => input.push(*byte),
            Self::Drop(at, count) => drop(input.drain(place(at)..(place(at) + count).min(size))),
            Self::Repeat(at, count) => {
                let part = input[place(at)..(place(at) + count).min(size)].to_vec();
                input.splice(place(at)..place(at), part);
            }
            Self::Insert(at, word) => drop(input.splice(place(at)..place(at), word.bytes())),
            Self::Splice(other, at, from) => {
                let other = &corpus[other.index(corpus.len())];
                input.truncate(place(at));
                input.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Hands a target every example as it is, and then damaged ones.
fn fuzz(name: &str, target: impl Fn(&[u8])) {
    let corpus = corpus(name);
    assert!(corpus.len() > 1, "{name} has no examples");
    corpus.iter().for_each(|input| target(input));
    let cases = std::env::var("ROLLCALL_FUZZ_CASES").map_or(5_000, |text| text.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let inputs = (any::<Index>(), vec(damage(), 0..8)).prop_map(|(example, damages)| {
        let mut input = corpus[example.index(corpus.len())].clone();
        damages.iter().for_each(|damage| damage.apply(&mut input, &corpus));
        String::from_utf8(input).map_err(|error| error.into_bytes())
    });
    let run = runner.run(&inputs, |input| {
        target(match &input {
            Ok(text) => text.as_bytes(),
            Err(bytes) => bytes,
        });
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn json(bytes: &[u8]) -> Option<Json> {
    parse(bytes, Limits::default()).ok()
}

fn write(value: &Json) -> String {
    let mut out = JsonWriter::with_capacity(256);
    out.value(value);
    out.finish()
}

/// Faults name places, and there is one when something is refused.
fn check_faults(faults: &[Fault]) {
    assert!(!faults.is_empty());
    assert!(faults.iter().all(|fault| fault.path.as_str().len() < 4096));
}

#[test]
fn bodies() {
    fuzz("body", |bytes| {
        let Some(value) = json(bytes) else { return };
        assert_eq!(
            json(write(&value).as_bytes()).as_ref(),
            Some(&value),
            "what was read is written and read as the same"
        );
        if let Some(page) = value.as_object().and_then(|object| object.get("page")) {
            match Decoder::decode::<PageIn>(page.clone(), false) {
                Ok(page) => {
                    let limits = [page.lenient(rollcall_domain::fault::Cause::PageIllegal).ok(), page.unchecked().ok()];
                    assert!(limits.into_iter().flatten().all(|read| read.sort.len() <= 16));
                }
                Err(faults) => check_faults(&faults),
            }
        }
    });
}

#[test]
fn filters() {
    let zone = Zone::named(Zone::DEFAULT_NAME).unwrap();
    let record =
        json(br#"{"bk_process_id":1,"bk_process_name":"nginx","bind_info":[{"port":"80"}],"user":null}"#).unwrap();
    let record = record.as_object().unwrap();
    fuzz("filter", |bytes| {
        let Some(sent) = json(bytes) else { return };
        match QueryFilter::parse(&sent, &FieldPath::of("filter"), shape, &zone) {
            Ok(Some(filter)) => {
                filter.matches(record);
                let again =
                    QueryFilter::parse(&json(write(&sent).as_bytes()).unwrap(), &FieldPath::root(), shape, &zone);
                assert_eq!(again, Ok(Some(filter)));
            }
            Ok(None) => assert_eq!(sent, Json::Null),
            Err(faults) => check_faults(&faults),
        }
    });
}

#[test]
fn processes_and_their_ports() {
    let at = Placement {
        business_id: BusinessId(1),
        service_instance_id: ServiceInstanceId(2),
        host_id: HostId(3),
        host: &HostAddresses::default(),
        time: "2026-11-21T10:00:00.000+08:00",
        user: "somebody",
    };
    fuzz("process", |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes)
            && let Ok(range) = PortRange::parse(text)
        {
            assert_eq!(PortRange::parse(range.as_str()), Ok(range.clone()));
        }
        let Some(Json::Object(record)) = json(bytes) else { return };
        let mut faults = Vec::new();
        let Some(draft) = read_draft(&record, &FieldPath::root(), &mut faults) else { return check_faults(&faults) };
        assert_eq!(faults, []);
        // What is stored can be sent again, and is stored as the same.
        let stored = draft.place(ProcessId(4), &at);
        let text = format!("{{{},{}}}", stored.fixed_fields, stored.extra_fields);
        let Some(Json::Object(shown)) = json(text.as_bytes()) else { panic!("no object: {text}") };
        let ports = shown.get("bind_info").and_then(Json::as_list).unwrap_or_default().iter();
        for port in ports.filter_map(|row| row.as_object().and_then(|row| row.get("port")?.as_text())) {
            assert!(PortRange::parse(port).is_ok(), "{port}");
        }
        let again = shown.iter().map(|(key, value)| (key.to_owned(), without_nulls(value)));
        let again: Object = again.collect();
        let mut faults = Vec::new();
        let again = read_draft(&again, &FieldPath::root(), &mut faults);
        assert_eq!(again.map(|draft| draft.place(ProcessId(4), &at)), Some(stored), "{faults:?}");
    });
}

/// A stored null in a row stands for a cell that was not sent.
fn without_nulls(value: &Json) -> Json {
    let Json::List(rows) = value else { return value.clone() };
    let row = |row: &Json| match row {
        Json::Object(row) => {
            let cells = row.iter().filter(|(_, cell)| **cell != Json::Null);
            Json::Object(cells.map(|(key, cell)| (key.to_owned(), cell.clone())).collect())
        }
        other => other.clone(),
    };
    Json::List(rows.iter().map(row).collect())
}

#[test]
fn labels_and_selectors() {
    fuzz("labels", |bytes| {
        let Some(Json::Object(mut sent)) = json(bytes) else { return };
        let labels = sent.remove("labels").and_then(|labels| Decoder::decode::<Labels>(labels, false).ok());
        if let Some(labels) = &labels {
            assert_eq!(Labels::read(&labels.json()).as_ref(), Some(labels), "what is stored is read as the same");
            if let Err(failure) = labels.check() {
                check_faults(failure.faults());
            }
        }
        let selectors = sent.remove("selectors").and_then(|sent| Decoder::decode::<Vec<SelectorIn>>(sent, false).ok());
        match selectors.map(|sent| Selectors::read(&sent)) {
            Some(Ok(selectors)) => {
                assert!(json(selectors.json().as_bytes()).is_some());
                assert!(!selectors.is_empty() || selectors.matches(labels.as_ref()), "no selector selects everything");
            }
            Some(Err(failure)) => check_faults(failure.faults()),
            None => {}
        }
    });
}
