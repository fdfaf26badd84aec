//! What the server tells Prometheus.

use crate::envelope::Door;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use rollcall_store::Observer;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    operation: String,
    door: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Wrong {
    code: i64,
}

/// All measures of a server.
pub struct Metrics {
    registry: Registry,
    requests: Family<Way, Counter>,
    durations: Family<Way, Histogram, fn() -> Histogram>,
    errors: Family<Wrong, Counter>,
    connections: Gauge,
    writer: Arc<WriterMetrics>,
    store_size: Gauge<u64, AtomicU64>,
}

/// What the writer of the store does.
pub struct WriterMetrics {
    queue_depth: Gauge,
    batch_size: Histogram,
    commit_time: Histogram,
}

impl Observer for WriterMetrics {
    fn queue_depth(&self, waiting: usize) {
        self.queue_depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    fn committed(&self, requests: usize, time: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "a batch holds a few hundred requests")]
        self.batch_size.observe(requests as f64);
        self.commit_time.observe(time.as_secs_f64());
    }
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.5, 14))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Measures at zero.
    pub fn new() -> Self {
        let writer = WriterMetrics {
            queue_depth: Gauge::default(),
            batch_size: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_time: seconds(),
        };
        let metrics = Self {
            registry: Registry::with_prefix("rollcall"),
            requests: Family::default(),
            durations: Family::new_with_constructor(seconds),
            errors: Family::default(),
            connections: Gauge::default(),
            writer: Arc::new(writer),
            store_size: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("requests", "Requests answered, by operation and door", self.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from the whole request to its answer, by operation and door",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register("errors", "Answers that were no success, by code", self.errors.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        let writer = &self.writer;
        registry.register("writer_queue_depth", "Writes waiting for the writer", writer.queue_depth.clone());
        registry.register("writer_batch_size", "Requests in one commit", writer.batch_size.clone());
        registry.register_with_unit(
            "writer_commit",
            "Time of one group from its first statement to the end of its commit",
            Unit::Seconds,
            writer.commit_time.clone(),
        );
        registry.register_with_unit("store_size", "Size of the store on disk", Unit::Bytes, self.store_size.clone());
        self
    }

    /// For the store's writer.
    pub fn writer(&self) -> Arc<WriterMetrics> {
        self.writer.clone()
    }

    /// The handles of one operation at one door, taken once.
    pub(crate) fn way(&self, operation: &str, door: Door) -> WayMetrics {
        let way = Way { operation: operation.to_owned(), door: door.name().to_owned() };
        WayMetrics {
            requests: self.requests.get_or_create(&way).clone(),
            durations: self.durations.get_or_create(&way).clone(),
        }
    }

    pub(crate) fn failed(&self, code: i64) {
        self.errors.get_or_create(&Wrong { code }).inc();
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.inc();
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.dec();
    }

    /// Everything in the text form of OpenMetrics.
    pub fn render(&self, store_size_bytes: u64) -> String {
        self.store_size.set(store_size_bytes);
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// The measures of one operation at one door.
pub(crate) struct WayMetrics {
    requests: Counter,
    durations: Histogram,
}

impl WayMetrics {
    pub(crate) fn answered(&self, time: Duration) {
        self.requests.inc();
        self.durations.observe(time.as_secs_f64());
    }
}
