//! What generated estates consist of: names of businesses and sets, and services with their processes.

/// Names of businesses.
pub(super) const PRODUCTS: [&str; 16] = [
    "Payments",
    "Orders",
    "Search",
    "Messaging",
    "Identity",
    "Catalogue",
    "Logistics",
    "Billing",
    "Advertising",
    "Recommendations",
    "Streaming",
    "Maps",
    "Photos",
    "Support",
    "Analytics",
    "Games",
];

/// Where sets are.
pub(super) const CITIES: [&str; 8] =
    ["shenzhen", "shanghai", "beijing", "chengdu", "guangzhou", "tianjin", "nanjing", "chongqing"];

/// A service: what a module runs.
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) user: &'static str,
    /// The program of its main process.
    func: &'static str,
    port: u16,
}

const fn service(name: &'static str, user: &'static str, func: &'static str, port: u16) -> Service {
    Service { name, user, func, port }
}

pub(super) const SERVICES: [Service; 12] = [
    service("nginx", "www", "nginx", 80),
    service("gateway", "app", "java", 8080),
    service("job", "app", "java", 8008),
    service("session", "app", "python3", 8000),
    service("scheduler", "app", "scheduler", 8500),
    service("mysql", "mysql", "mysqld", 3306),
    service("redis", "redis", "redis-server", 6379),
    service("kafka", "kafka", "java", 9092),
    service("zookeeper", "zookeeper", "java", 2181),
    service("elasticsearch", "elastic", "java", 9200),
    service("mongodb", "mongodb", "mongod", 27017),
    service("consul", "consul", "consul", 8300),
];

impl Service {
    /// Alias, program and port of the process of this number: the service itself, its companions, then workers.
    pub(super) fn program(&self, number: usize) -> (String, &'static str, Option<usize>) {
        let port = usize::from(self.port);
        match number {
            0 => (self.name.to_owned(), self.func, Some(port)),
            1 => (format!("{}_exporter", self.name), "exporter", Some(port + 10_000)),
            2 => (format!("{}_log", self.name), "filebeat", None),
            _ => (format!("{}_worker_{}", self.name, number - 2), self.func, Some(port + number)),
        }
    }
}
