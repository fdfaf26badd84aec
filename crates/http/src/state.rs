//! What all requests share.

use crate::envelope::Door;
use crate::metrics::{Metrics, WayMetrics};
use crate::routes::Routes;
use crate::settings::Settings;
use rollcall_app::directory::Directory;
use rollcall_domain::moment::{Moment, Zone};
use rollcall_store::{Store, StoreError, Tx};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Tells the time: the one clock of the program is handed in.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is not to be had.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A setting makes no sense.
    #[error("setting {0}: {1}")]
    Setting(&'static str, String),
}

pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) routes: Routes,
    pub(crate) store: Store,
    pub(crate) zone: Arc<Zone>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    /// Told when a request has asked for jobs.
    pub(crate) jobs_asked: tokio::sync::Notify,
    /// The segments of the gateway's prefix.
    pub(crate) gateway_prefix: Vec<String>,
    /// By the operation's number, one per door.
    ways: Vec<[WayMetrics; 3]>,
    /// Guards the newest picture of apps, tokens and grants, and the version it was made from.
    directory: RwLock<Arc<Directory>>,
    directory_version: AtomicI64,
    /// Made when it is first asked for.
    openapi: OnceLock<String>,
}

impl State {
    pub(crate) fn new(
        settings: Settings,
        store: Store,
        zone: Zone,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<Self, ServeError> {
        let prefix = settings.gateway_prefix.trim_matches('/');
        if prefix.is_empty() {
            return Err(ServeError::Setting("gateway_prefix", "must not be empty".into()));
        }
        let gateway_prefix = prefix.split('/').map(str::to_owned).collect();
        let routes = Routes::new(rollcall_app::table::operations());
        let ways = routes.operations().iter();
        let ways = ways.map(|operation| Door::ALL.map(|door| metrics.way(operation.name, door))).collect();
        let (version, directory) = store.read(true, read_directory)?;
        Ok(Self {
            settings,
            routes,
            store,
            zone: Arc::new(zone),
            metrics,
            clock,
            jobs_asked: tokio::sync::Notify::new(),
            gateway_prefix,
            ways,
            directory: RwLock::new(Arc::new(directory)),
            directory_version: AtomicI64::new(version),
            openapi: OnceLock::new(),
        })
    }

    /// The measures of an operation at a door.
    pub(crate) fn way(&self, operation: usize, door: Door) -> &WayMetrics {
        &self.ways[operation][door as usize]
    }

    /// The OpenAPI document of this server.
    pub(crate) fn openapi(&self) -> &str {
        self.openapi.get_or_init(|| crate::openapi::document_for(&self.settings.gateway_prefix))
    }

    /// Apps, tokens and grants, at most a second old.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads them again if they have changed.
    pub(crate) async fn refresh_directory(&self) -> Result<(), StoreError> {
        let version = self.store.read_async(false, |tx| Directory::version(tx)).await?;
        if version != self.directory_version.load(Ordering::Relaxed) {
            let (version, directory) = self.store.read_async(true, read_directory).await?;
            *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directory);
            self.directory_version.store(version, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn read_directory(tx: &mut dyn Tx) -> Result<(i64, Directory), StoreError> {
    Ok((Directory::version(tx)?, Directory::load(tx)?))
}
