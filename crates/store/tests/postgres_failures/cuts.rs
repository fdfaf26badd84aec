//! Connections that are cut, held or silent, at every moment of a write and at random ones.

use crate::support::chance::{Chance, seed};
use crate::support::home::{self, on_postgres, part_of, pause, rounds, wait_until};
use crate::support::load::Load;
use crate::support::trace::{Request, present};
use rollcall_store::{Store, StoreError};
use rollcall_testbed::{Database, Proxy};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What commits are sent as. They begin with words that hold the first six letters.
const COMMIT: &str = "COMMIT\0";
/// The random cuts of one run of the test.
const CUTS: usize = 250;

/// A server with one connection for writes, through a proxy.
struct Bench {
    database: Database,
    proxy: Proxy,
    store: Store,
    written: i64,
}

impl Bench {
    fn new() -> Self {
        let database = home::database();
        let proxy = proxy(&database);
        let url = home::through(&database.url(), proxy.address());
        let store = home::open_narrow(&url);
        let mut bench = Self { database, proxy, store, written: 0 };
        // From here on all statements are prepared and ids are there.
        (0..40).for_each(|_| bench.write().unwrap());
        bench.settle();
        bench
    }

    /// The next request.
    fn write(&mut self) -> Result<(), StoreError> {
        self.written += 1;
        let request = Request::new(self.written, 0);
        self.store.write_blocking(move |tx| request.write(tx))
    }

    /// What only the next request sends as a value.
    fn next_value(&self) -> String {
        // Behind its length.
        let value = (self.written + 1).to_string();
        format!("\0\0\0{}{value}", char::from(u8::try_from(value.len()).unwrap()))
    }

    /// What is there, as somebody sees it whose connection is not troubled; when all events have their positions.
    fn settle(&self) -> BTreeSet<i64> {
        let store = home::open_narrow(&self.database.url());
        present(&store, 0)
    }
}

fn proxy(database: &Database) -> Proxy {
    let url = database.url();
    let (_, address) = url.split_once('@').unwrap();
    Proxy::start(address.split_once('/').unwrap().0.parse().unwrap())
}

#[test]
fn a_write_is_done_once_wherever_its_connection_is_cut() {
    if !on_postgres() {
        return;
    }
    let mut bench = Bench::new();
    let mut check = |what: &str, cuts: usize, trouble: fn(&Bench)| {
        let before = bench.proxy.cuts();
        trouble(&bench);
        bench.write().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(bench.proxy.cuts(), before + cuts, "{what}");
        assert_eq!(bench.settle(), (1..=bench.written).collect(), "{what}");
    };
    check("no cut", 0, |_| {});
    check("before the commit", 1, |it| it.proxy.cut_before(COMMIT));
    check("before the commit is answered", 1, |it| it.proxy.cut_after(COMMIT));
    check("both, one after the other", 2, |it| {
        it.proxy.cut_before(COMMIT);
        it.proxy.cut_after(COMMIT);
    });
    check("all after one another", 6, |it| (0..6).for_each(|_| it.proxy.cut_before(COMMIT)));
    check("before the transaction begins", 1, |it| it.proxy.cut_before("BEGIN"));
    check("when it has begun", 1, |it| it.proxy.cut_after("BEGIN"));
    check("before a statement", 1, |it| it.proxy.cut_before(it.next_value()));
    check("before a statement is answered", 1, |it| it.proxy.cut_after(it.next_value()));
    check("between two writes", 0, |it| it.proxy.cut());
    check("while connecting", 3, |it| {
        it.proxy.cut();
        it.proxy.cut_before("user\0");
        it.proxy.cut_after("user\0");
        it.proxy.cut_after("synchronous_commit");
    });
    check("while a statement is prepared", 2, |it| {
        it.proxy.cut();
        it.proxy.cut_before("INSERT INTO audit");
        it.proxy.cut_after("INSERT INTO audit");
    });
    check("when the outcome of a commit is asked for", 4, |it| {
        it.proxy.cut_after(COMMIT);
        it.proxy.cut_before("INSERT INTO commit_record (id, events, is_pending) VALUES ($1, -1, 0)");
        it.proxy.cut_after("INSERT INTO commit_record (id, events, is_pending) VALUES ($1, -1, 0)");
        it.proxy.cut_before("UPDATE commit_record SET time_ms");
    });
    check("when the outcome of one that did not come about is asked for", 3, |it| {
        it.proxy.cut_before(COMMIT);
        it.proxy.cut_after("INSERT INTO commit_record (id, events, is_pending) VALUES ($1, -1, 0)");
        it.proxy.cut_before("UPDATE commit_record SET time_ms");
    });
}

/// A write that is held at a moment and then has trouble, how it has to end, and whether it is there when the trouble is over.
struct Scene {
    what: &'static str,
    hold: fn(&Proxy),
    trouble: fn(&Bench),
    want: fn(&Result<(), StoreError>) -> bool,
    is_there: bool,
}

impl Scene {
    fn play(&self) {
        let Self { what, hold, trouble, want, is_there } = self;
        let mut bench = Bench::new();
        hold(&bench.proxy);
        bench.written += 1;
        let request = Request::new(bench.written, 0);
        let (ended, took) = std::thread::scope(|scope| {
            let begun = Instant::now();
            let write = scope.spawn(|| bench.store.write_blocking(move |tx| request.write(tx)));
            wait_until("a connection is held", || bench.proxy.held() == 1);
            trouble(&bench);
            (write.join().unwrap(), begun.elapsed())
        });
        assert!(want(&ended), "{what}: {ended:?}");
        assert!(took < Duration::from_secs(75), "{what}: {took:?}");
        bench.proxy.disarm();
        bench.proxy.thaw();
        bench.proxy.release();
        bench.proxy.refuse(false);
        // One that comes later is not touched by any of it.
        bench.write().unwrap();
        let mut there: BTreeSet<_> = (1..=bench.written).collect();
        if !is_there {
            there.remove(&(bench.written - 1));
        }
        // What was under way arrives a moment later.
        wait_until(what, || bench.settle() == there);
    }
}

/// Waits until somebody asks what became of a commit, and has to wait for it.
fn wait_until_asked(bench: &Bench) {
    let beside = home::open_narrow(&bench.database.url());
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND query LIKE 'INSERT INTO commit_record%' AND wait_event_type = 'Lock'";
    wait_until("the outcome is asked for", || {
        beside.read::<_, StoreError>(false, |tx| tx.number(waiting, &[])).unwrap() == 1
    });
}

/// All of these take their time, most of which they wait.
#[test]
fn a_silent_network_is_waited_for_no_longer_than_is_bounded() {
    if !on_postgres() {
        return;
    }
    let is_unknown = |ended: &Result<(), StoreError>| matches!(ended, Err(StoreError::OutcomeUnknown(_)));
    let scenes = [
        Scene {
            what: "a silent moment before the commit",
            hold: |proxy| proxy.hold_before(COMMIT),
            trouble: |it| {
                it.proxy.freeze();
                pause(Duration::from_secs(1));
                it.proxy.thaw();
                it.proxy.release();
            },
            want: Result::is_ok,
            is_there: true,
        },
        Scene {
            what: "a silent moment behind the commit",
            hold: |proxy| proxy.hold_after(COMMIT),
            trouble: |it| {
                pause(Duration::from_secs(1));
                it.proxy.release();
            },
            want: Result::is_ok,
            is_there: true,
        },
        Scene {
            what: "a commit that arrives when it is asked for already",
            hold: |proxy| proxy.hold_before(COMMIT),
            trouble: |it| {
                wait_until_asked(it);
                it.proxy.release();
            },
            want: Result::is_ok,
            is_there: true,
        },
        Scene {
            what: "a commit that is lost when it is asked for already",
            hold: |proxy| proxy.hold_before(COMMIT),
            trouble: |it| {
                wait_until_asked(it);
                it.proxy.cut();
            },
            // By then it is too late to begin again.
            want: |ended| matches!(ended, Err(StoreError::Unavailable(_))),
            is_there: false,
        },
        Scene {
            what: "a statement that is never answered",
            hold: |proxy| proxy.hold_before("BEGIN"),
            trouble: |it| it.proxy.freeze(),
            want: |ended| matches!(ended, Err(StoreError::TooLong(_) | StoreError::Unavailable(_))),
            is_there: false,
        },
        Scene {
            what: "a commit that never arrives",
            hold: |proxy| proxy.hold_before(COMMIT),
            trouble: |it| it.proxy.freeze(),
            want: is_unknown,
            is_there: true,
        },
        Scene {
            what: "a commit without an answer, and then no database for long",
            hold: |proxy| proxy.hold_before("BEGIN"),
            trouble: |it| {
                it.proxy.refuse(true);
                it.proxy.cut_after(COMMIT);
                it.proxy.release();
            },
            want: is_unknown,
            is_there: true,
        },
        Scene {
            what: "no commit, and then no database for long",
            hold: |proxy| proxy.hold_before(COMMIT),
            trouble: |it| {
                it.proxy.refuse(true);
                it.proxy.cut();
            },
            want: is_unknown,
            is_there: false,
        },
    ];
    std::thread::scope(|scope| {
        for scene in &scenes {
            scope.spawn(|| scene.play());
        }
    });
}

#[test]
fn random_cuts_lose_nothing_and_double_nothing() {
    if !on_postgres() {
        return;
    }
    let seed = seed("random cuts");
    let cuts = rounds("ROLLCALL_CUTS", CUTS);
    let database = home::database();
    let proxy = proxy(&database);
    let url = home::through(&database.url(), proxy.address());
    let stores = [home::open(&url)];
    let told = Load { writers: 12, readers: 2, seed }.run(&stores, |progress| {
        let mut chance = Chance::new(seed);
        while proxy.cuts() < cuts {
            let before = (proxy.cuts(), progress.acknowledged());
            trouble(&proxy, &mut chance);
            wait_until("it is over and work goes on", || {
                proxy.cuts() > before.0 || progress.acknowledged() > before.1 + 20
            });
        }
        proxy.disarm();
    });
    println!("{} cuts", proxy.cuts());
    told.check(&home::open(&database.url()), seed);
    assert!(told.unknown.is_empty(), "the database was never away for long");
    assert!(told.acknowledged.len() > cuts, "most of the work is done");
}

/// One cut at a chosen moment, or trouble for all connections.
fn trouble(proxy: &Proxy, chance: &mut Chance) {
    const MOMENTS: [&str; 6] = [COMMIT, COMMIT, "BEGIN", "INSERT INTO", "ROLLBACK", "user\0"];
    let moment = MOMENTS[chance.below(MOMENTS.len())];
    match chance.below(10) {
        0..4 => proxy.cut_before(moment),
        4..8 => proxy.cut_after(moment),
        8 => proxy.cut(),
        _ => {
            let silence = part_of(Duration::from_millis(300), chance);
            if chance.once_in(2) {
                proxy.refuse(true);
                proxy.cut();
            } else {
                proxy.freeze();
            }
            pause(silence);
            proxy.refuse(false);
            proxy.thaw();
        }
    }
}
