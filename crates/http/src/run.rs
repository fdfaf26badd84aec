//! Runs an operation for a door: decode, then read on the spot or hand to the writer.

use crate::envelope::Outcome;
use crate::language::Language;
use crate::state::State;
use rollcall_app::access::Access;
use rollcall_app::preview::Preview;
use rollcall_app::{Caller, Context, Input, Limits, OpError, Operation, Prepared, Reply, Weight};
use rollcall_store::{MayRetry, StoreError, Tx};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A request that a door has accepted.
pub(crate) struct Accepted<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) input: Input,
    pub(crate) caller: Caller,
    pub(crate) access: Access,
    pub(crate) language: Language,
    /// Whether the caller wants every fault in `data.errors`.
    pub(crate) full_errors: bool,
}

/// Runs it to its end.
pub(crate) async fn run(state: &State, accepted: Accepted<'_>) -> Outcome {
    let Accepted { operation, input, caller, access, language, full_errors } = accepted;
    let dry_run = match input.is_dry_run() {
        Ok(dry_run) => dry_run,
        Err(fault) => return Outcome::failed(&fault.into(), language),
    };
    let context = Context {
        caller,
        now: (state.clock)(),
        zone: state.zone.clone(),
        access,
        limits: Limits { unpaged_rows: state.settings.limits.unpaged_rows },
        english: language == Language::English,
        preview: dry_run.then(Preview::default),
    };
    let mut prepared = match guarded(|| (operation.prepare)(input).map_err(OpError::Failed)) {
        Ok(prepared) => prepared,
        Err(error) => return Outcome::of_error(&error, false, language).with_errors(full_errors, &error, language),
    };
    let store = &state.store;
    let weight = if dry_run && operation.previews_by_reading { Weight::Scan } else { operation.weight };
    let result = match weight {
        Weight::Write => {
            let write = store.write(move |tx| write(prepared.as_mut(), &context, tx));
            // Sooner than the request as a whole ends, so that the answer tells what is known: the write goes on.
            let patience = state.settings.limits.request.mul_f64(0.9);
            match tokio::time::timeout(patience, write).await {
                Ok(Ok(reply) | Err(Undone::Tried(reply))) => Ok(reply),
                Ok(Err(Undone::Failed(error))) => Err(error),
                Err(_) => Err(OpError::Store(StoreError::OutcomeUnknown("it takes too long".into()))),
            }
        }
        Weight::Keyed if store.reads_here() => guarded(|| store.read(false, |tx| prepared.run(&context, tx))),
        // The thread may block; the runtime moves its other tasks elsewhere meanwhile.
        Weight::Scan if store.reads_here() => {
            tokio::task::block_in_place(|| guarded(|| store.read(true, |tx| prepared.run(&context, tx))))
        }
        weight => store.read_async(weight == Weight::Scan, move |tx| prepared.run(&context, tx)).await,
    };
    match result {
        Ok(reply) => {
            if operation.starts_jobs && !dry_run {
                state.jobs_asked.notify_one();
            }
            Outcome::success(reply)
        }
        Err(error) => {
            let reading = operation.weight != Weight::Write;
            Outcome::of_error(&error, reading, language).with_errors(full_errors, &error, language)
        }
    }
}

/// Why a write is undone.
enum Undone {
    /// It was only tried; this is what it would do.
    Tried(Reply),
    Failed(OpError),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl MayRetry for Undone {
    fn conflict(&self) -> Option<String> {
        match self {
            Self::Tried(_) => None,
            Self::Failed(error) => error.conflict(),
        }
    }
}

/// One run of a write. What is only tried ends like a failure, so that the store undoes it.
fn write(prepared: &mut dyn Prepared, context: &Context, tx: &mut dyn Tx) -> Result<Reply, Undone> {
    if let Some(preview) = &context.preview {
        preview.begin();
    }
    let reply = prepared.run(context, tx).map_err(Undone::Failed)?;
    match &context.preview {
        None => Ok(reply),
        Some(preview) => Err(Undone::Tried(preview.reply(context)?)),
    }
}

/// A defect in an operation ends that request and nothing else.
fn guarded<T>(work: impl FnOnce() -> Result<T, OpError>) -> Result<T, OpError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(OpError::Store(StoreError::Defect("panic in an operation".into()))))
}
