//! What an operation is: its declaration, its typed input, its function. One value of [`Operation`] per operation stands in
//! [`crate::table`].

use crate::access::Action;
use crate::{Context, OpError};
use rollcall_domain::fault::{Cause, Failure, Fault, Reason};
use rollcall_domain::json::{Decode, Decoder, Json, Object, Schema};
use rollcall_store::{StoreError, Tx};

/// An HTTP method of the native and the gateway door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    /// The method's name in HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A way to an operation below `/api/v3`. `{name}` is a path variable; `{bk_supplier_account}` is accepted and ignored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
}

/// A path variable that an operation reads as a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PathVar {
    pub name: &'static str,
    /// What a text that is no number is answered with.
    pub otherwise: Cause,
}

/// How the ESB door turns its one flat body into the operation's input (`gateway` 2.6, 2.7).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EsbForm {
    /// The body as it is, without credentials; path variables are taken out of it (`1306406` when one is missing).
    Body,
    /// Only these keys of the body; the first `needed` of them must be there (`1306000` otherwise).
    Keys { keys: &'static [&'static str], needed: usize },
    /// The record inside `data`, with these ids beside it (`1306000` when one is missing).
    Data { ids: &'static [&'static str] },
}

/// In which group of the gateway an operation is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayLevel {
    Open,
    Backend,
}

/// What running an operation costs the thread it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A read of few rows by key, run on the spot. One statement, or several that need not see the same state.
    Keyed,
    /// A read whose size depends on the estate, run where it may block; all its statements see the same state.
    Scan,
    /// A write: through the writer, in one transaction.
    Write,
}

/// What a door hands over: path variables and body in one object, the variables winning.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    /// The fields.
    pub fields: Object,
    /// They came from a query string: digits stand for integers.
    pub from_query: bool,
    /// What the caller says to whether a write is only to be tried.
    pub dry_run: Option<Json>,
}

impl Input {
    /// The name of the field that says so, in bodies and queries.
    pub const DRY_RUN: &'static str = "dry_run";

    /// Whether the write is only to be tried.
    pub fn is_dry_run(&self) -> Result<bool, Fault> {
        match &self.dry_run {
            None | Some(Json::Null) => Ok(false),
            Some(Json::Bool(dry_run)) => Ok(*dry_run),
            Some(Json::Text(text)) if matches!(text.as_str(), "true" | "1") => Ok(true),
            Some(Json::Text(text)) if matches!(text.as_str(), "false" | "0" | "") => Ok(false),
            _ => Err(Fault::new(Cause::BodyUndecodable, Self::DRY_RUN).because(Reason::NeedsBool)),
        }
    }
}

/// The payload of a successful answer: JSON text.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply(pub String);

impl Reply {
    /// Of operations without payload.
    pub fn null() -> Self {
        Self("null".into())
    }

    /// Any serializable value.
    pub fn of(value: &impl serde::Serialize) -> Result<Self, OpError> {
        let text = serde_json::to_string(value);
        text.map(Self).map_err(|e| rollcall_store::StoreError::Defect(format!("cannot write an answer: {e}")).into())
    }
}

/// An operation with its input decoded, ready to run. Runs again from the start after a conflict.
pub trait Prepared: Send {
    /// Runs it in a transaction.
    fn run(&mut self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError>;
}

/// The declaration of an operation.
pub struct Operation {
    /// The name at the ESB, at the gateway, in logs and metrics.
    pub name: &'static str,
    /// What it does, in a line, for people.
    pub summary: &'static str,
    /// Its ways below `/api/v3`; the first is the documented one.
    pub routes: Vec<Route>,
    /// Path variables that are numbers.
    pub path_vars: Vec<PathVar>,
    /// What is read from the query string although the method has a body.
    pub query: &'static [&'static str],
    /// `None`: not at the ESB door.
    pub esb: Option<EsbForm>,
    /// `None`: not at the gateway door.
    pub gateway: Option<GatewayLevel>,
    /// The rights it may ask for; empty: open to every caller who is known.
    pub needs: Vec<Action>,
    pub weight: Weight,
    /// Whether it leaves jobs behind, so that who does them should look at once.
    pub starts_jobs: bool,
    /// A write that shows what it would do by reading alone, instead of being run and undone.
    pub previews_by_reading: bool,
    /// The shapes of input and payload.
    pub input: fn() -> Schema,
    pub output: fn() -> Schema,
    /// Decodes the input; what is wrong with its types is refused here, before any queue.
    pub prepare: fn(Input) -> Result<Box<dyn Prepared>, Failure>,
}

impl Operation {
    /// An operation at every door, its body as it is, with neither way nor need yet.
    pub(crate) fn new<I: Serve>(name: &'static str, summary: &'static str, weight: Weight) -> Self {
        Self {
            name,
            summary,
            routes: Vec::new(),
            path_vars: Vec::new(),
            query: &[],
            esb: Some(EsbForm::Body),
            gateway: Some(GatewayLevel::Open),
            needs: Vec::new(),
            weight,
            starts_jobs: false,
            previews_by_reading: false,
            input: <I as Decode>::schema,
            output: I::output,
            prepare: prepare::<I>,
        }
    }

    /// With one more way to it.
    pub(crate) fn at(mut self, method: Method, path: &'static str) -> Self {
        self.routes.push(Route { method, path });
        self
    }

    /// With a way by POST, as most have.
    pub(crate) fn post(self, path: &'static str) -> Self {
        self.at(Method::Post, path)
    }

    /// With path variables that are numbers; a text that is none is answered with 1199009.
    pub(crate) fn numbers(mut self, names: &[&'static str]) -> Self {
        self.path_vars.extend(names.iter().map(|name| PathVar { name, otherwise: Cause::NotInteger }));
        self
    }

    /// With another answer to a path variable that is no number.
    pub(crate) fn number_or(mut self, name: &'static str, otherwise: Cause) -> Self {
        self.path_vars.push(PathVar { name, otherwise });
        self
    }

    /// With fields that callers put into the query string beside a body.
    pub(crate) fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }

    /// With another form at the ESB door.
    pub(crate) fn esb(mut self, form: EsbForm) -> Self {
        self.esb = Some(form);
        self
    }

    /// Not at the ESB door, and at the gateway for those behind it.
    pub(crate) fn backend_only(mut self) -> Self {
        self.esb = None;
        self.gateway = Some(GatewayLevel::Backend);
        self
    }

    /// At the gateway for those behind it.
    pub(crate) fn at_backend(mut self) -> Self {
        self.gateway = Some(GatewayLevel::Backend);
        self
    }

    /// At the native door alone.
    pub(crate) fn native_only(mut self) -> Self {
        self.esb = None;
        self.gateway = None;
        self
    }

    /// Leaves jobs behind.
    pub(crate) fn starts_jobs(mut self) -> Self {
        self.starts_jobs = true;
        self
    }

    /// Shows what it would do by reading alone.
    pub(crate) fn previews_by_reading(mut self) -> Self {
        self.previews_by_reading = true;
        self
    }

    /// With a right it asks for.
    pub(crate) fn needs(mut self, action: Action) -> Self {
        self.needs.push(action);
        self
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An input type together with the function that serves it: implemented once per operation.
pub trait Serve: Decode + Send + 'static {
    /// The shape of the payload.
    fn output() -> Schema;

    /// What can be checked and computed without the store, once, before any queue. The default does nothing.
    fn check(&mut self) {}

    /// The operation itself.
    fn serve(&self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError>;
}

struct Call<I>(I);

impl<I: Serve> Prepared for Call<I> {
    fn run(&mut self, context: &Context, tx: &mut dyn Tx) -> Result<Reply, OpError> {
        self.0.serve(context, tx)
    }
}

/// [`Operation::prepare`] of an input type.
pub fn prepare<I: Serve>(input: Input) -> Result<Box<dyn Prepared>, Failure> {
    match Decoder::decode::<I>(Json::Object(input.fields), input.from_query) {
        Ok(mut input) => {
            input.check();
            Ok(Box::new(Call(input)))
        }
        Err(faults) => {
            Failure::check(faults)?;
            unreachable!("decoding fails with at least one fault")
        }
    }
}

/// Lets an operation's type be decoded through its wire form, with room for what [`Serve::check`] computes.
macro_rules! decode_through {
    ($type:ty, $wire:ty, $make:expr) => {
        impl rollcall_domain::json::Decode for $type {
            fn decode(json: rollcall_domain::json::Json, at: &rollcall_domain::json::Decoder<'_>) -> Option<Self> {
                let make: fn($wire) -> Self = $make;
                <$wire as rollcall_domain::json::Decode>::decode(json, at).map(make)
            }

            fn absent(at: &rollcall_domain::json::Decoder<'_>) -> Option<Self> {
                let make: fn($wire) -> Self = $make;
                <$wire as rollcall_domain::json::Decode>::absent(at).map(make)
            }

            fn schema() -> rollcall_domain::json::Schema {
                <$wire as rollcall_domain::json::Decode>::schema()
            }
        }
    };
}
pub(crate) use decode_through;

/// Declares the input of an operation that takes a free-form record: the ids beside it are numbers, all the rest is the record.
macro_rules! record_input {
    ($(#[doc = $about:literal])* pub struct $name:ident of $model:ident {
        $($(#[doc = $doc:literal])* pub $id:ident : $wire:literal,)*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])* pub $id: i64,)*
            /// The record, as sent.
            pub record: rollcall_domain::json::Object,
        }

        impl rollcall_domain::json::Decode for $name {
            fn decode(
                json: rollcall_domain::json::Json,
                at: &rollcall_domain::json::Decoder<'_>,
            ) -> Option<Self> {
                let record = <rollcall_domain::json::Object as rollcall_domain::json::Decode>::decode(json, at)?;
                $(let (record, $id) = at.take_field(record, $wire);)*
                Some(Self { $($id: $id?,)* record })
            }

            fn absent(at: &rollcall_domain::json::Decoder<'_>) -> Option<Self> {
                let empty = rollcall_domain::json::Object::new();
                Self::decode(rollcall_domain::json::Json::Object(empty), at)
            }

            fn schema() -> rollcall_domain::json::Schema {
                rollcall_domain::topology::input_schema(rollcall_domain::model::Model::$model, &[$($wire),*])
            }
        }
    };
}
pub(crate) use record_input;

/// What [`Serve::check`] has computed, or now; every fault when it is no good.
pub(crate) fn checked<T: Clone>(
    ready: &Option<Result<T, Vec<Fault>>>,
    compute: impl FnOnce() -> Result<T, Vec<Fault>>,
) -> Result<T, OpError> {
    let result = ready.clone().unwrap_or_else(compute);
    result.map_err(|faults| match Failure::check(faults) {
        Err(failure) => failure.into(),
        Ok(()) => StoreError::Defect("a refusal without a fault".into()).into(),
    })
}
