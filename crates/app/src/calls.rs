//! Operations called by their names inside one transaction: for demos, generated estates and benchmarks, whose rows have to be what a
//! server would have stored. Many calls share a commit that way, which no door offers.

use crate::operation::{Input, Operation};
use crate::{Context, OpError};
use rollcall_domain::json::{Json, Limits, Object, parse};
use rollcall_store::{StoreError, Tx};

/// A transaction in which operations are called.
pub struct Calls<'a> {
    operations: &'a [Operation],
    context: &'a Context,
    tx: &'a mut dyn Tx,
}

impl<'a> Calls<'a> {
    /// Calls of these operations, all by one caller at one time.
    pub fn new(operations: &'a [Operation], context: &'a Context, tx: &'a mut dyn Tx) -> Self {
        Self { operations, context, tx }
    }

    /// Who calls, and when.
    pub fn context(&self) -> &Context {
        self.context
    }

    /// The transaction itself.
    pub fn tx(&mut self) -> &mut dyn Tx {
        self.tx
    }

    /// Runs an operation and answers its payload.
    pub fn call(&mut self, name: &str, fields: Object) -> Result<Json, OpError> {
        let operation = self.operations.iter().find(|operation| operation.name == name);
        let operation = operation.ok_or_else(|| defect(format!("there is no operation {name}")))?;
        let mut prepared = (operation.prepare)(Input { fields, ..Input::default() })?;
        let reply = prepared.run(self.context, self.tx)?;
        parse(reply.0.as_bytes(), Limits::default()).map_err(|error| defect(format!("the answer of {name}: {error}")))
    }

    /// As [`Calls::call`], for the id that the payload tells under this name.
    pub fn make(&mut self, name: &str, fields: Object, id: &str) -> Result<i64, OpError> {
        let made = self.call(name, fields)?;
        let told = made.as_object().and_then(|made| made.get(id)).and_then(Json::as_int);
        told.ok_or_else(|| defect(format!("{name} answered no {id}")))
    }

    /// A business with nothing but what every business has.
    pub fn business(&mut self, name: &str) -> Result<i64, OpError> {
        let fields = object([("bk_biz_name", name.into()), ("bk_biz_maintainer", self.user())]);
        self.make("create_business", fields, "bk_biz_id")
    }

    /// A set right below its business.
    pub fn set(&mut self, business: i64, name: &str, more: &[(&str, Json)]) -> Result<i64, OpError> {
        let fields = [("bk_biz_id", business.into()), ("bk_parent_id", business.into()), ("bk_set_name", name.into())];
        self.make("create_set", object(fields.into_iter().chain(more.iter().cloned())), "bk_set_id")
    }

    /// A module without a template.
    pub fn module(&mut self, business: i64, set: i64, name: &str) -> Result<i64, OpError> {
        let fields = [
            ("bk_biz_id", business.into()),
            ("bk_set_id", set.into()),
            ("bk_parent_id", set.into()),
            ("bk_module_name", name.into()),
        ];
        self.make("create_module", object(fields), "bk_module_id")
    }

    /// New hosts of a business, in these modules; their ids.
    pub fn hosts(&mut self, business: i64, hosts: Vec<Object>, modules: &[i64]) -> Result<Vec<i64>, OpError> {
        let list = Json::List(hosts.into_iter().map(Json::Object).collect());
        let fields = object([("bk_biz_id", business.into()), ("bk_host_list", list)]);
        let made = self.call("add_host_to_business_idle", fields)?;
        let ids = ids(made.as_object().and_then(|made| made.get("bk_host_ids")));
        let fields = [
            ("bk_biz_id", business.into()),
            ("bk_host_id", numbers(&ids)),
            ("bk_module_id", numbers(modules)),
            ("is_increment", true.into()),
        ];
        self.call("transfer_host_module", object(fields))?;
        Ok(ids)
    }

    /// Service instances of a module, each on a host and with at least one process; their ids.
    pub fn instances(
        &mut self,
        business: i64,
        module: i64,
        instances: impl IntoIterator<Item = (i64, Vec<Object>)>,
    ) -> Result<Vec<i64>, OpError> {
        let entries = instances.into_iter().map(|(host, processes)| {
            let processes = processes.into_iter().map(entry).collect();
            Json::Object(object([("bk_host_id", host.into()), ("processes", Json::List(processes))]))
        });
        let fields = [
            ("bk_biz_id", business.into()),
            ("bk_module_id", module.into()),
            ("instances", Json::List(entries.collect())),
        ];
        let made = self.call("create_service_instance", object(fields))?;
        Ok(ids(Some(&made)))
    }

    fn user(&self) -> Json {
        self.context.caller.user.as_str().into()
    }
}

/// A process of a request.
fn entry(fields: Object) -> Json {
    Json::Object(object([("process_info", Json::Object(fields))]))
}

/// An object of these members.
pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Json)>) -> Object {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A list of numbers.
pub(crate) fn numbers(numbers: &[i64]) -> Json {
    Json::List(numbers.iter().copied().map(Json::Int).collect())
}

fn ids(list: Option<&Json>) -> Vec<i64> {
    list.and_then(Json::as_list).unwrap_or_default().iter().filter_map(Json::as_int).collect()
}

fn defect(what: String) -> OpError {
    StoreError::Defect(what).into()
}
