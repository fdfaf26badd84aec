//! Where the store is, and how commands open it.

use crate::config::Config;
use crate::end::End;
use rollcall_app::built_in;
use rollcall_app::directory::DirectoryError;
use rollcall_domain::moment::{Moment, Zone};
use rollcall_store::migrate::{self, Migrated};
use rollcall_store::postgres::Postgres;
use rollcall_store::postgres::address::Address;
use rollcall_store::sqlite::Sqlite;
use rollcall_store::{Engine, Observer, Store, StoreError, TimeLimits, Tx, copy, postgres};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The setting that says in which zone a store writes times.
const TIME_ZONE: &str = "time_zone";

/// Where a store is.
#[derive(Clone)]
pub enum Place {
    File(PathBuf),
    Database(Box<Address>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "sqlite:{}", file.display()),
            Self::Database(address) => write!(f, "{address}"),
        }
    }
}

impl Place {
    /// The one that a configuration names, or another one with what the configuration says beside it.
    pub fn parse(text: &str, config: &Config) -> Result<Self, End> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let address = Address::parse(text, &config.beside_address()?);
            return address
                .map(|address| Self::Database(Box::new(address)))
                .map_err(|error| End::Usage(format!("the store: {error}")));
        }
        match text.strip_prefix("sqlite:") {
            Some(file) if !file.is_empty() => Ok(Self::File(PathBuf::from(file))),
            // There may be a password in it.
            _ => Err(End::Usage("a store is named as sqlite:FILE or postgres://USER@HOST:PORT/DATABASE".into())),
        }
    }

    /// The file, for what is done with files only.
    pub fn file(&self, command: &str, instead: &str) -> Result<&Path, End> {
        match self {
            Self::File(file) => Ok(file),
            Self::Database(_) => Err(End::Usage(format!("{command} is for stores in files; {instead}"))),
        }
    }

    /// Fails when there is no store.
    pub fn require(&self, config: &Config) -> Result<(), End> {
        let is_there = match self {
            Self::File(file) => file.is_file(),
            Self::Database(_) => self.schema_version(config)? > 0,
        };
        if is_there {
            return Ok(());
        }
        let name = match self {
            Self::File(file) => file.display().to_string(),
            Self::Database(address) => format!("in {address}"),
        };
        Err(End::Failed(anyhow::anyhow!("there is no store {name}; `rollcall init` makes one")))
    }

    /// The schema version of what is there, without changing it; 0: none.
    pub fn schema_version(&self, config: &Config) -> Result<i64, End> {
        Ok(match self {
            Self::File(file) => Sqlite::schema_version(file)?,
            Self::Database(address) => {
                Postgres::schema_version(address, config.postgres(Address::clone(address)).pools.patience)?
            }
        })
    }

    /// Makes the tables of a store, or brings them up to date. Its data is left alone.
    pub fn migrate(&self, config: &Config, partitions: Option<u32>) -> Result<Migrated, End> {
        match self {
            Self::File(_) if partitions.is_some() => {
                Err(End::Usage("--partitions is for stores in PostgreSQL; a file is not split".into()))
            }
            Self::File(file) => {
                let from = if file.is_file() { Sqlite::schema_version(file)? } else { 0 };
                Sqlite::open(config.sqlite(file))?;
                Ok(Migrated { from, to: migrate::newest(), partitions: None })
            }
            Self::Database(address) => {
                let options = config.postgres(Address::clone(address));
                Ok(Postgres::migrate(&postgres::Options { partitions, ..options })?)
            }
        }
    }

    /// Opens a store that exists, to work on it beside its servers.
    pub fn open(&self, config: &Config) -> Result<OpenStore, End> {
        self.require(config)?;
        let store = self.open_to_fill(config)?;
        let (name, is_unfinished) = store.read(false, |tx| -> Result<_, StoreError> {
            Ok((migrate::find_setting(tx, TIME_ZONE)?, copy::is_unfinished(tx)?))
        })?;
        if is_unfinished {
            return Err(unfinished());
        }
        let zone = zone_named(name.as_deref().unwrap_or(Zone::DEFAULT_NAME))?;
        Ok(OpenStore { store, zone })
    }

    /// Opens what is there, be it empty, with today's schema and without the built-in data.
    pub fn open_to_fill(&self, config: &Config) -> Result<Store, End> {
        // Tools look at whole tables and have nobody waiting.
        let limits = TimeLimits { read: Duration::from_secs(24 * 3600), ..TimeLimits::default() };
        Ok(Store::new(self.engine(config, Use::Tool, None)?, limits))
    }

    /// Opens a store and makes it if there is none, with the built-in data.
    pub fn open_or_make(
        &self,
        config: &Config,
        how: Use,
        observer: Option<Arc<dyn Observer>>,
        now: Moment,
    ) -> Result<OpenStore, End> {
        let store = Store::new(self.engine(config, how, observer)?, config.time_limits());
        with_built_in_data(store, &config.time_zone, now)
    }

    fn engine(
        &self,
        config: &Config,
        how: Use,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Arc<dyn Engine>, StoreError> {
        Ok(match self {
            Self::File(file) => {
                let mut options = config.sqlite(file);
                options.observer = observer;
                if how == Use::Tool {
                    options.readers = 1;
                }
                Arc::new(Sqlite::open(options)?)
            }
            Self::Database(address) => {
                let mut options = config.postgres(Address::clone(address));
                options.observer = observer;
                if how == Use::Tool {
                    (options.pools.readers, options.pools.writers) = (1, 1);
                }
                Arc::new(Postgres::open(options)?)
            }
        })
    }
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Server,
    /// A command that does one thing after the other.
    Tool,
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
    pub fn read<T: Send>(&self, work: impl FnMut(&mut dyn Tx) -> Result<T, DirectoryError> + Send) -> Result<T, End> {
        Ok(self.store.read(true, work)?)
    }

    /// A time as people and documents read it.
    pub fn time(&self, moment: Moment) -> String {
        self.zone.rfc3339(moment)
    }
}

/// A store with the data that every store is born with. Two programs may make it at the same time: the second finds what the first
/// has made.
pub fn with_built_in_data(store: Store, time_zone: &str, now: Moment) -> Result<OpenStore, End> {
    let zone = zone_named(time_zone)?;
    let time_zone = time_zone.to_owned();
    let kept = store.write_blocking(move |tx| -> Result<_, StoreError> {
        migrate::hold(tx)?;
        if copy::is_unfinished(tx)? {
            return Ok(None);
        }
        let kept = migrate::find_setting(tx, TIME_ZONE)?;
        if kept.is_none() {
            migrate::put_setting(tx, TIME_ZONE, &time_zone)?;
            built_in::install(tx, &zone, now)?;
        }
        Ok(kept.or_else(|| Some(time_zone.clone())))
    })?;
    let zone = zone_named(&kept.ok_or_else(unfinished)?)?;
    Ok(OpenStore { store, zone })
}

fn unfinished() -> End {
    End::Failed(anyhow::anyhow!("the store is an unfinished copy; run the same `rollcall copy` again to finish it"))
}

fn zone_named(name: &str) -> Result<Zone, End> {
    Zone::named(name).ok_or_else(|| End::Usage(format!("there is no time zone {name:?}")))
}
