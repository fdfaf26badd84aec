//! What the tests of the store share: seeds, stores in folders of their own, and a unit of work whose traces can be checked.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

use rollcall_store::sqlite::{Options, Sqlite};
use rollcall_store::{Engine, Store, TimeLimits};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// A folder for a store; removed with everything in it when dropped.
pub struct Folder(TempDir);

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
