//! From a path to an operation, for all doors, made from the one table.

use rollcall_app::{Method, Operation};
use std::collections::HashMap;

/// Where all native paths begin.
pub const NATIVE_PREFIX: &str = "/api/v3";

/// The operations by their ways.
pub struct Routes {
    operations: Vec<Operation>,
    /// By method; the value is the operation's number.
    native: HashMap<Method, matchit::Router<usize>>,
    esb: HashMap<&'static str, usize>,
}

/// What stands at a path.
#[derive(Debug)]
pub enum Found<'a> {
    /// An operation, its number, and the path variables.
    Operation(&'a Operation, usize, Vec<(String, String)>),
    /// Something, but not for this method.
    WrongMethod,
    Nothing,
}

impl Routes {
    /// The ways to these operations. Two operations at one way are a defect that every test run shows.
    pub fn new(operations: Vec<Operation>) -> Self {
        let mut native: HashMap<Method, matchit::Router<usize>> = HashMap::new();
        let mut esb = HashMap::new();
        for (number, operation) in operations.iter().enumerate() {
            for route in &operation.routes {
                let inserted = native.entry(route.method).or_default().insert(route.path, number);
                inserted.expect("no two operations share a way");
            }
            if operation.esb.is_some() {
                let twin = esb.insert(operation.name, number);
                assert!(twin.is_none(), "no two operations share the name {}", operation.name);
            }
        }
        Self { operations, native, esb }
    }

    /// All operations, in the order of the table.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// By a path below [`NATIVE_PREFIX`]; one trailing slash is fine.
    pub fn native(&self, method: Option<Method>, path: &str) -> Found<'_> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let matched = method.and_then(|method| self.native.get(&method)).and_then(|router| router.at(path).ok());
        if let Some(matched) = matched {
            let number = *matched.value;
            let vars = matched.params.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
            return Found::Operation(&self.operations[number], number, vars);
        }
        let elsewhere = self.native.values().any(|router| router.at(path).is_ok());
        if elsewhere { Found::WrongMethod } else { Found::Nothing }
    }

    /// By the name at the ESB door.
    pub fn esb(&self, name: &str) -> Option<(&Operation, usize)> {
        let number = *self.esb.get(name)?;
        Some((&self.operations[number], number))
    }
}
