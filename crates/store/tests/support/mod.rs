//! What the tests of the store share: seeds, stores in folders of their own, and a unit of work whose traces can be checked.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

pub mod chance;
pub mod disk;
pub mod estate;
pub mod home;
pub mod load;
pub mod plan;
pub mod trace;
pub mod vfs;

use rollcall_store::sqlite::{Options, Sqlite};
use rollcall_store::{Engine, Store, TimeLimits, Work};
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder for a store; removed with everything in it when dropped.
pub struct Folder(pub TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    /// The database file in it.
    pub fn file(&self) -> PathBuf {
        self.0.path().join("store.sqlite")
    }

    pub fn options(&self) -> Options {
        Options::new(self.file())
    }

    pub fn open(&self) -> Store {
        open(self.options())
    }

    /// A connection of somebody else, as another program would make it.
    pub fn outsider(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).expect("the store's file can be opened")
    }
}

pub fn open(options: Options) -> Store {
    let engine: Arc<dyn Engine> = Arc::new(Sqlite::open(options).expect("the store opens"));
    Store::new(engine, TimeLimits::default())
}

/// Keeps the writer busy until the answer is dropped: what is submitted meanwhile makes groups of its own.
pub fn hold(store: &Store) -> Sender<()> {
    let (begun, has_begun) = channel();
    let (release, released) = channel::<()>();
    store.engine().write(Work {
        run: Box::new(move |_| {
            let _ = begun.send(());
            let _ = released.recv();
            Ok(())
        }),
        done: Box::new(|_| ()),
        expires: Instant::now() + Duration::from_secs(20),
    });
    has_begun.recv_timeout(Duration::from_secs(20)).expect("the writer begins");
    release
}

/// A store whose files go through a model of a disk.
pub struct Modelled {
    pub folder: Folder,
    pub disk: Arc<disk::Disk>,
    vfs: String,
}

impl Modelled {
    /// The disk of a folder, with what is in it.
    pub fn new(folder: Folder, seed: u64) -> Self {
        let (vfs, disk) = vfs::register(folder.0.path(), seed);
        Self { folder, disk, vfs }
    }

    /// The disk of a folder with an empty store.
    pub fn with_store(seed: u64) -> Self {
        static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
        let empty = EMPTY.get_or_init(|| {
            let folder = Folder::new();
            folder.open().engine().close();
            std::fs::read(folder.file()).expect("a closed store is one file")
        });
        let folder = Folder::new();
        std::fs::write(folder.file(), empty).expect("the folder can be written");
        Self::new(folder, seed)
    }

    pub fn options(&self) -> Options {
        Options { vfs: Some(self.vfs.clone()), ..self.folder.options() }
    }

    /// A connection beside the store, over the same disk.
    pub fn outsider(&self) -> rusqlite::Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        rusqlite::Connection::open_with_flags_and_vfs(self.folder.file(), flags, self.vfs.as_str())
            .expect("the store's file can be opened")
    }
}
