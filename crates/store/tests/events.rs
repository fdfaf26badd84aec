//! Events under load: whoever follows them sees each once, without gaps, the changes of every object in the order in which they
//! were made, those of a transaction together; on PostgreSQL also from several servers, while one of them goes.
//! `ROLLCALL_EVENTS` says how many.

#![expect(clippy::unwrap_used, reason = "a test ends with its first error")]

mod support;

use rollcall_domain::id::BusinessId;
use rollcall_domain::moment::Moment;
use rollcall_store::event::{self, EventKind, EventOperation, EventRow, PublishedEvent};
use rollcall_store::migrate::put_setting;
use rollcall_store::{Param, Store, StoreError, Tx};
use rollcall_testbed::Proxy;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use support::chance::{Chance, seed};
use support::home::{self, Home, left_nothing, on_postgres, wait_until};

const WRITERS: usize = 8;
/// Objects that all writers change, and those that each has for itself.
const SHARED: usize = 30;
const OWN: usize = 20;
/// The most events of a transaction.
const MOST: usize = 100;

const LOCK: &str = "SELECT name, value FROM setting WHERE name {in $1} ORDER BY name {for update}";
const LOCK_BACKWARDS: &str = "SELECT name, value FROM setting WHERE name {in $1} ORDER BY name DESC {for update}";
const READ_COUNTS: &str = "SELECT value FROM setting WHERE name {in $1}";
const COUNT: &str = "UPDATE setting SET value = $2 WHERE name = $1";

/// The setting that counts the changes of an object, and so holds its row.
fn counter(object: usize) -> String {
    format!("object {object:04}")
}

fn make_objects(tx: &mut dyn Tx) -> Result<(), StoreError> {
    (0..SHARED + WRITERS * OWN).try_for_each(|object| put_setting(tx, &counter(object), "0"))
}

/// A transaction: so many changes of these objects in turn.
#[derive(Debug, Clone)]
struct Change {
    id: String,
    objects: Vec<usize>,
    events: usize,
    /// Takes its rows against the order of all others, who then may wait for each other in a circle.
    is_crosswise: bool,
    is_refused: bool,
}

impl Change {
    fn draw(id: String, writer: usize, chance: &mut Chance) -> Self {
        let mut objects = Vec::new();
        for _ in 0..1 + chance.below(8) {
            objects.push(chance.below(SHARED));
            objects.push(SHARED + writer * OWN + chance.below(OWN));
        }
        objects.truncate(1 + chance.below(objects.len()));
        objects.sort_unstable();
        objects.dedup();
        let events = 1 + chance.below(MOST);
        Self { id, objects, events, is_crosswise: chance.once_in(100), is_refused: chance.once_in(10) }
    }

    fn write(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let names: Vec<_> = self.objects.iter().map(|object| counter(*object)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let lock = if self.is_crosswise { LOCK_BACKWARDS } else { LOCK };
        let read = |row: &dyn rollcall_store::Row| Ok((row.text(0)?.to_owned(), row.text(1)?.parse::<i64>().unwrap()));
        let mut counts: BTreeMap<_, _> = tx.list(lock, &[Param::Texts(&names)], read)?.into_iter().collect();
        let mut events = Vec::new();
        for (number, object) in self.objects.iter().cycle().take(self.events).enumerate() {
            let count = counts.get_mut(&counter(*object)).unwrap();
            *count += 1;
            events.push(EventRow {
                business_id: BusinessId(3),
                kind: EventKind::Process,
                operation: EventOperation::Update,
                object_id: (*object).try_into().unwrap(),
                before: None,
                after: Some(format!("{number} {} {count}", self.events)),
            });
        }
        let counts: Vec<_> = counts.into_iter().map(|(name, count)| (name, count.to_string())).collect();
        let params: Vec<_> = counts.iter().flat_map(|(name, count)| [name.into(), count.into()]).collect();
        tx.execute_many(COUNT, 2, &params)?;
        event::insert(tx, Moment(1_795_226_400_000), &self.id, &events)?;
        if self.is_refused { Err(StoreError::Unreadable("refused on purpose".into())) } else { Ok(()) }
    }
}

/// Somebody who reads on from the last event they saw, and checks each.
#[derive(Default)]
struct Follower {
    position: i64,
    counts: HashMap<i64, i64>,
    /// The transaction under way, the number of its next event, and how many it has.
    under_way: Option<(String, usize, usize)>,
    seen: HashSet<String>,
}

impl Follower {
    fn read_on(&mut self, store: &Store, most: usize) -> Result<(), StoreError> {
        let after = self.position;
        let events: Vec<Seen> = store.read(false, |tx| {
            let mut events = Vec::new();
            event::each_after(tx, after, most, &mut |event| {
                events.push(Seen::of(&event));
                Ok(())
            })?;
            Ok::<_, StoreError>(events)
        })?;
        assert!(events.len() <= most);
        events.into_iter().for_each(|event| self.see(event));
        Ok(())
    }

    fn see(&mut self, event: Seen) {
        assert_eq!(event.position, self.position + 1, "positions have no gaps: {event:?}");
        self.position = event.position;
        let before = self.counts.insert(event.object, event.count).unwrap_or(0);
        assert_eq!(event.count, before + 1, "an object's changes come in their order: {event:?}");
        let expected = self.under_way.take().unwrap_or_else(|| (event.request.clone(), 0, event.of));
        let got = (event.request, event.number, event.of);
        assert_eq!(got, expected, "a transaction's events come together, at {}", event.position);
        let (request, number, of) = got;
        if number + 1 < of {
            self.under_way = Some((request, number + 1, of));
        } else {
            assert!(self.seen.insert(request.clone()), "{request} was published twice");
        }
    }
}

#[derive(Debug)]
struct Seen {
    position: i64,
    object: i64,
    request: String,
    number: usize,
    of: usize,
    count: i64,
}

impl Seen {
    fn of(event: &PublishedEvent<'_>) -> Self {
        let mut numbers = event.after.unwrap().split(' ').map(|number| number.parse::<i64>().unwrap());
        let mut next = || numbers.next().unwrap();
        Self {
            position: event.position,
            object: event.object_id,
            request: event.request_id.to_owned(),
            number: next().try_into().unwrap(),
            of: next().try_into().unwrap(),
            count: next(),
        }
    }
}

/// What the writers and those who wait for them know of each other.
#[derive(Default)]
struct Progress {
    /// Events of acknowledged transactions.
    acknowledged: AtomicI64,
    is_written: AtomicBool,
}

/// What a writer has got acknowledged, by its id.
type Acknowledged = HashSet<String>;

/// Writes until there are enough events; on the next server when one is closed.
fn write(stores: &[Store], writer: usize, mut chance: Chance, enough: i64, progress: &Progress) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let mut server = writer % stores.len();
    for number in 0.. {
        if progress.acknowledged.load(Ordering::Relaxed) >= enough {
            break;
        }
        let change = Change::draw(format!("w{writer}t{number}"), writer, &mut chance);
        loop {
            let same = change.clone();
            match stores[server].write_blocking(move |tx| same.write(tx)) {
                Ok(()) => {
                    assert!(!change.is_refused);
                    progress.acknowledged.fetch_add(change.events.try_into().unwrap(), Ordering::Relaxed);
                    acknowledged.insert(change.id);
                    break;
                }
                Err(StoreError::Unreadable(_)) if change.is_refused => break,
                Err(StoreError::Closed) => server = (server + 1) % stores.len(),
                Err(error) if left_nothing(&error) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    acknowledged
}

/// Writers on these servers, and a follower on each; `midway` is called when half of the events are written.
fn check(stores: &[Store], enough: i64, seed: u64, midway: impl FnOnce()) {
    let mut chance = Chance::new(seed);
    stores[0].write_blocking(make_objects).unwrap();
    let progress = Progress::default();
    let (acknowledged, followers) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (chance, progress) = (Chance::new(chance.next()), &progress);
                scope.spawn(move || write(stores, writer, chance, enough, progress))
            })
            .collect();
        let followers: Vec<_> = stores
            .iter()
            .map(|store| {
                let (mut chance, progress) = (Chance::new(chance.next()), &progress);
                scope.spawn(move || {
                    let mut follower = Follower::default();
                    loop {
                        let is_written = progress.is_written.load(Ordering::Acquire);
                        let most = 1 + chance.below(1000);
                        match follower.read_on(store, most) {
                            Ok(()) | Err(StoreError::Unavailable(_) | StoreError::Deadline(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                        if is_written && follower.position >= progress.acknowledged.load(Ordering::Relaxed) {
                            return follower;
                        }
                        home::pause(Duration::from_millis(1));
                    }
                })
            })
            .collect();
        wait_until("half of the events are written", || {
            progress.acknowledged.load(Ordering::Relaxed) >= enough / 2 || writers.iter().any(|it| it.is_finished())
        });
        midway();
        let acknowledged: Acknowledged = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        progress.is_written.store(true, Ordering::Release);
        let followers: Vec<_> = followers.into_iter().map(|follower| follower.join().unwrap()).collect();
        (acknowledged, followers)
    });
    let counts = stores.last().unwrap().read::<_, StoreError>(true, |tx| {
        let names: Vec<_> = (0..SHARED + WRITERS * OWN).map(counter).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        tx.list(READ_COUNTS, &[Param::Texts(&names)], |row| Ok(row.text(0)?.parse::<i64>().unwrap()))
    });
    let changes = counts.unwrap().into_iter().sum::<i64>();
    for follower in followers {
        assert!(follower.seen == acknowledged, "not what was acknowledged was published");
        assert_eq!(follower.position, changes, "every change has its event");
    }
}

fn enough() -> i64 {
    home::rounds("ROLLCALL_EVENTS", 100_000).try_into().unwrap()
}

#[test]
fn followers_see_every_event_once_in_order() {
    let seed = seed("events");
    let home = Home::new();
    check(&[home.open()], enough(), seed, || {});
}

#[test]
fn another_server_goes_on_with_the_order_when_one_is_closed() {
    if !on_postgres() {
        return;
    }
    let seed = seed("events of two servers, one closed");
    let database = home::database();
    let url = database.url();
    let stores = [home::open(&url), home::open(&url)];
    check(&stores, enough(), seed, || stores[0].engine().close());
}

#[test]
fn another_server_goes_on_with_the_order_when_one_loses_the_database() {
    if !on_postgres() {
        return;
    }
    let seed = seed("events of two servers, one cut off");
    let database = home::database();
    let url = database.url();
    let address = url.split_once('@').unwrap().1.split_once('/').unwrap().0;
    let proxy = Proxy::start(address.parse().unwrap());
    let stores = [home::open(&home::through(&url, proxy.address())), home::open(&url)];
    let last = || {
        let last = "SELECT coalesce(max(last_position), 0) FROM event_order";
        stores[1].read::<_, StoreError>(false, |tx| tx.number(last, &[])).unwrap()
    };
    check(&stores, enough(), seed, || {
        proxy.refuse(true);
        proxy.cut();
        // What was pending is published, and so is what comes later.
        let before = last();
        wait_until("the other server goes on", || last() > before + enough() / 10);
        proxy.refuse(false);
    });
}
