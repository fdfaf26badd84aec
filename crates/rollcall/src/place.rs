//! Where the store is, and how commands open it.

use crate::config::Config;
use crate::end::End;
use rollcall_app::built_in;
use rollcall_app::directory::DirectoryError;
use rollcall_domain::moment::{Moment, Zone};
use rollcall_store::sqlite::{Options, Sqlite};
use rollcall_store::{Store, StoreError, TimeLimits, Tx, migrate};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The setting that says in which zone a store writes times.
const TIME_ZONE: &str = "time_zone";

/// The file of a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Place(pub PathBuf);

impl Place {
    /// From `sqlite:FILE`.
    pub fn parse(text: &str) -> Result<Self, End> {
        match text.strip_prefix("sqlite:") {
            Some(file) if !file.is_empty() => Ok(Self(PathBuf::from(file))),
            _ => Err(End::Usage(format!("a store is named as sqlite:FILE, not {text:?}"))),
        }
    }

    /// Fails when there is no such file.
    pub fn require(&self) -> Result<(), End> {
        if self.0.is_file() {
            return Ok(());
        }
        let name = self.0.display();
        Err(End::Failed(anyhow::anyhow!("there is no store {name}; `rollcall init` makes one")))
    }

    /// Opens a store that exists, to work on it beside its server.
    pub fn open(&self) -> Result<OpenStore, End> {
        self.require()?;
        let mut options = Options::new(&self.0);
        options.readers = 1;
        let limits = TimeLimits {
            // Tools look at whole tables and have nobody waiting.
            read: Duration::from_secs(24 * 3600),
            ..TimeLimits::default()
        };
        open(options, limits)
    }

    /// Opens a store and makes it if there is none, with the built-in data.
    pub fn open_or_make(&self, config: &Config, now: Moment) -> Result<OpenStore, End> {
        let (options, limits) = config.sqlite(&self.0);
        open_or_make(options, limits, &config.time_zone, now)
    }
}

/// A store that is open, and the zone in which it writes times.
pub struct OpenStore {
    pub store: Store,
    pub zone: Zone,
}

impl OpenStore {
    /// Changes it.
    pub fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut dyn Tx) -> Result<T, DirectoryError> + Send + 'static,
    ) -> Result<T, End> {
        Ok(self.store.write_blocking(work)?)
    }

    /// Reads from it, all statements seeing the same state.
    pub fn read<T>(&self, work: impl FnMut(&mut dyn Tx) -> Result<T, DirectoryError>) -> Result<T, End> {
        Ok(self.store.read(true, work)?)
    }

    /// A time as people and documents read it.
    pub fn time(&self, moment: Moment) -> String {
        self.zone.rfc3339(moment)
    }
}

fn open(options: Options, limits: TimeLimits) -> Result<OpenStore, End> {
    let store = Store::new(Arc::new(Sqlite::open(options)?), limits);
    let name = store.read(false, |tx| migrate::find_setting(tx, TIME_ZONE))?;
    let zone = zone_named(name.as_deref().unwrap_or(Zone::DEFAULT_NAME))?;
    Ok(OpenStore { store, zone })
}

/// Opens a store and makes it if need be. Two programs may do so at the same time: the second finds what the first has made.
pub fn open_or_make(options: Options, limits: TimeLimits, time_zone: &str, now: Moment) -> Result<OpenStore, End> {
    let store = Store::new(Arc::new(Sqlite::open(options)?), limits);
    let zone = zone_named(time_zone)?;
    let time_zone = time_zone.to_owned();
    let kept = store.write_blocking(move |tx| -> Result<_, StoreError> {
        let kept = migrate::find_setting(tx, TIME_ZONE)?;
        if kept.is_none() {
            migrate::put_setting(tx, TIME_ZONE, &time_zone)?;
            built_in::install(tx, &zone, now)?;
        }
        Ok(kept.unwrap_or_else(|| time_zone.clone()))
    })?;
    let zone = zone_named(&kept)?;
    Ok(OpenStore { store, zone })
}

fn zone_named(name: &str) -> Result<Zone, End> {
    Zone::named(name).ok_or_else(|| End::Usage(format!("there is no time zone {name:?}")))
}
