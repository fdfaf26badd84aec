//! A model of what a disk holds for sure: the bytes of each file as of its last sync, and what was asked of it since. From it
//! come the folders that a power cut may leave behind, the count of syncs, and failures at a chosen call.

use super::chance::Chance;
use rusqlite::ffi;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

/// A change of a file that no sync has confirmed.
#[derive(Debug, Clone)]
enum Pending {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// One file.
#[derive(Debug, Clone, Default)]
struct Model {
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// Whether its name is in the folder for sure.
    is_named: bool,
    syncs: usize,
}

impl Model {
    /// Its content when this chance decides which unsynced sectors reached the disk.
    fn after_cut(&self, fate: Fate, chance: &mut Chance) -> Vec<u8> {
        let mut content = self.durable.clone();
        for change in &self.pending {
            match change {
                Pending::Truncate(len) => {
                    if fate.survives(chance) {
                        content.resize(*len, 0);
                    }
                }
                Pending::Write { at, bytes } => {
                    let mut done = 0;
                    while done < bytes.len() {
                        let start = at + done;
                        let len = (SECTOR - start % SECTOR).min(bytes.len() - done);
                        if fate.survives(chance) {
                            put(&mut content, start, &bytes[done..done + len]);
                        }
                        done += len;
                    }
                }
            }
        }
        content
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

/// How much of the unsynced a power cut takes.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    Lost,
    Kept,
    /// Each sector survives by chance.
    ByChance,
}

impl Fate {
    pub fn any(chance: &mut Chance) -> Self {
        match chance.below(8) {
            0 => Self::Lost,
            1 => Self::Kept,
            _ => Self::ByChance,
        }
    }

    fn survives(self, chance: &mut Chance) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::ByChance => chance.once_in(2),
        }
    }
}

impl Moment {
    /// How far each file is, whatever random marks SQLite puts into its log.
    pub fn shape(&self) -> String {
        let files = self.files.iter().map(|(name, file)| (name, file.durable.len(), file.pending.len()));
        format!("{:?} {:?}", files.collect::<Vec<_>>(), self.acknowledged)
    }
}

/// What is asked of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Read,
    Write,
    Sync,
    Truncate,
}

/// Calls of one kind that fail.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub call: Call,
    /// SQLite's code for it.
    pub code: i32,
    /// The first call to fail, counted from 1.
    pub nth: usize,
    /// How many fail; `usize::MAX` until the fault is mended.
    pub times: usize,
}

/// The files as they were at one moment, with the writes that had been acknowledged by then.
#[derive(Debug, Clone)]
pub struct Moment {
    files: BTreeMap<String, Model>,
    ghosts: BTreeMap<String, Model>,
    pub acknowledged: Vec<i64>,
}

impl Moment {
    /// Makes the folder that a power cut at this moment may have left.
    pub fn cut(&self, into: &Path, fate: Fate, chance: &mut Chance) {
        let mut names: Vec<_> = self.files.keys().chain(self.ghosts.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let file = self.files.get(name);
            let named_for_sure = file.is_some_and(|file| file.is_named);
            let left = if named_for_sure || fate.survives(chance) { file } else { self.ghosts.get(name) };
            if let Some(file) = left {
                let content = file.after_cut(fate, chance);
                std::fs::write(into.join(name), content).expect("the folder can be written");
            }
        }
    }
}

struct State {
    files: BTreeMap<String, Model>,
    /// Files that were deleted, whose names a power cut may bring back.
    ghosts: BTreeMap<String, Model>,
    acknowledged: Vec<i64>,
    chance: Chance,
    /// Once in how many changes a moment is kept; 0: never.
    keep_once_in: usize,
    kept: Vec<Moment>,
    fault: Option<Fault>,
    /// Calls of the fault's kind since it was set.
    calls: usize,
    failed: usize,
}

/// The disk of one folder.
pub struct Disk {
    /// Guards everything; never held while SQLite runs.
    state: Mutex<State>,
}

impl Disk {
    /// A disk that holds for sure what is in the folder.
    pub fn of_folder(folder: &Path, seed: u64) -> Self {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            if name.ends_with("-shm") {
                continue;
            }
            let durable = std::fs::read(&path).expect("a file can be read");
            files.insert(name, Model { durable, is_named: true, ..Model::default() });
        }
        let state = State {
            files,
            ghosts: BTreeMap::new(),
            acknowledged: Vec::new(),
            chance: Chance::new(seed),
            keep_once_in: 0,
            kept: Vec::new(),
            fault: None,
            calls: 0,
            failed: 0,
        };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that a write was acknowledged; says how many changes of the log no sync has confirmed.
    pub fn acknowledge(&self, id: i64) -> usize {
        let mut state = self.state();
        state.acknowledged.push(id);
        state.files.iter().filter(|(name, _)| name.ends_with("-wal")).map(|(_, file)| file.pending.len()).sum()
    }

    /// Successful syncs of files whose name ends so.
    pub fn syncs(&self, suffix: &str) -> usize {
        let state = self.state();
        state.files.iter().filter(|(name, _)| name.ends_with(suffix)).map(|(_, file)| file.syncs).sum()
    }

    /// From now on keeps a moment at once in so many changes.
    pub fn keep_moments(&self, once_in: usize) {
        self.state().keep_once_in = once_in;
    }

    /// The kept moments and the one of now.
    pub fn moments(&self) -> Vec<Moment> {
        let mut state = self.state();
        let now = state.moment();
        let mut moments = std::mem::take(&mut state.kept);
        moments.push(now);
        moments
    }

    pub fn break_down(&self, fault: Fault) {
        let mut state = self.state();
        (state.fault, state.calls, state.failed) = (Some(fault), 0, 0);
    }

    /// Ends the fault and says how many calls it failed.
    pub fn mend(&self) -> usize {
        let mut state = self.state();
        state.fault = None;
        state.failed
    }

    /// The code with which this call fails, if it does.
    pub(super) fn refusal(&self, call: Call) -> Option<i32> {
        let mut state = self.state();
        let fault = state.fault.filter(|fault| fault.call == call)?;
        state.calls += 1;
        let past = state.calls.checked_sub(fault.nth)?;
        (past < fault.times).then(|| {
            state.failed += 1;
            fault.code
        })
    }

    pub(super) fn opened(&self, name: &str) {
        self.state().files.entry(name.into()).or_default();
    }

    pub(super) fn wrote(&self, name: &str, at: usize, bytes: &[u8]) {
        self.state().change(name, Pending::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn truncated(&self, name: &str, len: usize) {
        self.state().change(name, Pending::Truncate(len));
    }

    /// Confirms what was asked of a file; with `folder`, also the names of all files.
    pub(super) fn synced(&self, name: &str, folder: bool) {
        let mut state = self.state();
        state.maybe_keep();
        let state = &mut *state;
        if let Some(file) = state.files.get_mut(name) {
            file.durable = file.after_cut(Fate::Kept, &mut state.chance);
            file.pending.clear();
            file.syncs += 1;
        }
        if folder {
            state.files.values_mut().for_each(|file| file.is_named = true);
            state.ghosts.clear();
        }
    }

    /// A sync that failed: the kernel forgets which pages were meant, so that no later sync makes up for it.
    pub(super) fn failed_to_sync(&self, name: &str) {
        let mut state = self.state();
        let state = &mut *state;
        if let Some(file) = state.files.get_mut(name) {
            file.durable = file.after_cut(Fate::ByChance, &mut state.chance);
            file.pending.clear();
        }
    }

    pub(super) fn deleted(&self, name: &str, folder: bool) {
        let mut state = self.state();
        state.maybe_keep();
        if let Some(file) = state.files.remove(name)
            && file.is_named
            && !folder
        {
            state.ghosts.insert(name.into(), file);
        }
    }
}

impl State {
    fn moment(&self) -> Moment {
        Moment { files: self.files.clone(), ghosts: self.ghosts.clone(), acknowledged: self.acknowledged.clone() }
    }

    fn maybe_keep(&mut self) {
        if self.keep_once_in > 0 && self.chance.once_in(self.keep_once_in) {
            let moment = self.moment();
            self.kept.push(moment);
        }
    }

    fn change(&mut self, name: &str, change: Pending) {
        self.maybe_keep();
        self.files.entry(name.into()).or_default().pending.push(change);
    }
}

/// The faults that a disk shows: a code of SQLite for a kind of call.
pub const FAULTS: [(Call, i32); 5] = [
    (Call::Write, ffi::SQLITE_IOERR_WRITE),
    (Call::Write, ffi::SQLITE_FULL),
    (Call::Sync, ffi::SQLITE_IOERR_FSYNC),
    (Call::Truncate, ffi::SQLITE_IOERR_TRUNCATE),
    (Call::Read, ffi::SQLITE_IOERR_READ),
];
