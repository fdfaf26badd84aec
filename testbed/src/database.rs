//! A database for each test, on a cluster that all of them share.

use crate::{CLUSTER_VARIABLE, sql};
use anyhow::Context;
use postgres::Config;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The templates of this process by name. Each is made by whoever asks first; the others wait for it.
static TEMPLATES: Mutex<Option<HashMap<String, Arc<OnceLock<Address>>>>> = Mutex::new(None);

/// A database of its own. It is removed when this is dropped, whoever is connected to it.
#[derive(Debug)]
pub struct Database(Address);

impl Database {
    /// An empty one, on the cluster that the environment names.
    pub fn new() -> Self {
        Self(Address::create(None))
    }

    /// A copy of a template. The template is made at the first call with its name, by a function that is handed its URL, fills
    /// it and leaves no connection open. It goes with the cluster.
    pub fn from_template(name: &str, make: impl FnOnce(&str)) -> Self {
        let template = {
            let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
            templates.get_or_insert_default().entry(name.to_owned()).or_default().clone()
        };
        let template = template.get_or_init(|| {
            let template = Address::create(None);
            make(&template.url());
            template
        });
        Self(Address::create(Some(template)))
    }

    /// Where it is, for the user `rollcall`.
    pub fn url(&self) -> String {
        self.0.url()
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // What cannot be removed goes with the cluster.
        let _ = self.0.administer("DROP DATABASE", "WITH (FORCE)");
    }
}

/// A database by its name and the URL of another on the same cluster.
#[derive(Debug)]
struct Address {
    cluster: String,
    name: String,
}

impl Address {
    /// Makes a database whose name no other test of this or another process has.
    fn create(template: Option<&Self>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let cluster = std::env::var(CLUSTER_VARIABLE).unwrap_or_else(|_| {
            panic!(
                "{CLUSTER_VARIABLE} names no PostgreSQL to test on: \
                 run tools/test, or `cargo run -p rollcall-testbed -- cargo test …`"
            )
        });
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let made = Self { cluster, name };
        let template = template.map(|template| format!("TEMPLATE {}", sql::name(&template.name))).unwrap_or_default();
        made.administer("CREATE DATABASE", &template).unwrap_or_else(|e| panic!("{e:#}"));
        made
    }

    fn administer(&self, what: &str, how: &str) -> anyhow::Result<()> {
        let config: Config = self.cluster.parse().with_context(|| format!("{CLUSTER_VARIABLE} is {}", self.cluster))?;
        sql::run(&config, &format!("{what} {} {how}", sql::name(&self.name)))?;
        Ok(())
    }

    /// The URL of the cluster with another last segment.
    fn url(&self) -> String {
        let (address, parameters) = self.cluster.split_once('?').unwrap_or((&self.cluster, ""));
        let (server, _) = address.rsplit_once('/').expect("the cluster's URL names a database");
        let parameters = if parameters.is_empty() { String::new() } else { format!("?{parameters}") };
        format!("{server}/{}{parameters}", self.name)
    }
}
