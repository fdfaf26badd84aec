//! One connection to PostgreSQL as a [`Tx`]: used by one thread at a time, which drives it while it waits for an answer.

use super::address::{Address, ConnectError, Driver};
use super::error::{Failed, text_of};
use super::ids::Ids;
use super::value::{Column, Value};
use crate::engine::{Journal, Param, Row, Tx};
use crate::{StoreError, dialect, sequence};
use futures_util::{StreamExt, future};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, RowStream, Statement};

crate::statements! {
    /// Its key is unique: whoever inserts the same one again learns whether the transaction was committed.
    RECORD_COMMIT = "{only postgres} INSERT INTO commit_record (id, events, is_pending) VALUES ($1, $2, $3) RETURNING draw";
    /// Takes the id, so that the transaction cannot be committed any more; waits for one that is about to be.
    PREVENT_COMMIT = "{only postgres} INSERT INTO commit_record (id, events, is_pending) VALUES ($1, -1, 0)
        ON CONFLICT (id) DO NOTHING";
    /// Below zero: it was prevented. Written anew, since it may stand here without having reached the standbys that every commit
    /// waits for; this one waits for both. Served by the primary key.
    CONFIRM_COMMIT = "{only postgres} UPDATE commit_record SET time_ms = time_ms WHERE id = $1 RETURNING events";
}

/// How far the keys of the events of one draw are from those of the next: the most events of a transaction.
pub(crate) const EVENTS_A_DRAW: i64 = 1 << 20;

/// For how long the answer to a commit is waited for.
const COMMIT_PATIENCE: Duration = Duration::from_secs(30);

/// How a session works, whatever the database's own settings are. Commits are durable, and no time limit ends their wait for a
/// standby, after which they would be answered as if it had them; nothing that a dead program has left holds locks for long; plans
/// follow the indexes from the first row on, whatever the statistics say.
pub const SESSION: &str = "
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');
    SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = '60s';
    SET client_connection_check_interval = '2s';
    SET lock_timeout = '10s';
    SET enable_seqscan = off;
    SET jit = off";

/// The engine's own work is about rows that all servers need, and does nothing between its statements.
const OWN_WORK: &str = "SET idle_in_transaction_session_timeout = '10s'";

/// The database's own time limit for a statement is kept by the database, whose answer then takes a moment.
const GRACE: Duration = Duration::from_secs(1);

/// How a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    Write,
    /// All statements see the same state.
    Snapshot,
}

impl Begin {
    fn sql(self) -> &'static str {
        match self {
            // A statement that has waited for a row's lock sees what the one before it has committed.
            Self::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

/// How a commit ended without success.
#[derive(Debug)]
pub(super) enum NotCommitted {
    /// Without effect.
    Failed(StoreError),
    /// Without effect: the connection was lost before it was sent.
    Lost,
    /// Sent and not answered. If it was carried out, then under this id.
    Unknown { commit_id: String, why: String },
}

pub(super) struct Connection {
    runtime: Driving,
    client: Arc<Client>,
    driver: Driver,
    /// By the address of the constant.
    statements: HashMap<(usize, usize), Statement>,
    /// The same for many rows at a time.
    many: HashMap<(usize, usize), Statement>,
    /// Where numbers come from. `None`: from their rows, and commits are not recorded; so it is for the engine's own work.
    ids: Option<Arc<Ids>>,
    /// When statements of the present unit of work must have ended, and how long it had from its start.
    deadline: Instant,
    limit: Duration,
    /// What the database's own time limit for a statement is set to; none until the connection is first used for a read, and then
    /// for nothing else.
    statement_timeout: Option<Duration>,
    /// A transaction that begins with the next statement.
    to_begin: Option<Begin>,
    is_begun: bool,
    lost: Option<String>,
    /// Why the transaction cannot be committed any more: a statement of it has failed.
    failed: Option<StoreError>,
    met_unique: bool,
    /// A statement of this transaction did not end in time.
    ran_out: bool,
    /// The id of the commit, once it stands in the transaction.
    recorded: Option<String>,
}

/// What waits for the network. It may be dropped by a thread that drives other tasks, and a runtime as it is would wait there.
struct Driving(Option<tokio::runtime::Runtime>);

impl Drop for Driving {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Connection {
    /// Connects within a time.
    pub(super) fn open(address: &Address, patience: Duration, ids: Option<Arc<Ids>>) -> Result<Self, ConnectError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| ConnectError { text: format!("cannot start a connection: {e}"), may_retry: true })?;
        let connected = runtime.block_on(async { tokio::time::timeout(patience, address.connect()).await });
        let (client, driver) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(ConnectError { text: format!("{address} does not answer"), may_retry: true }),
        };
        let mut connection = Self {
            runtime: Driving(Some(runtime)),
            client: Arc::new(client),
            driver,
            statements: HashMap::new(),
            many: HashMap::new(),
            ids,
            deadline: Instant::now() + patience,
            limit: patience,
            statement_timeout: None,
            to_begin: None,
            is_begun: false,
            lost: None,
            failed: None,
            met_unique: false,
            ran_out: false,
            recorded: None,
        };
        let mut ready = connection.run_simple(SESSION);
        if connection.ids.is_none() {
            ready = ready.and_then(|()| connection.run_simple(OWN_WORK));
        }
        ready.map_err(|error| {
            let text = match error {
                StoreError::Deadline(_) => format!("{address} does not answer"),
                error => format!("{address}: {error}"),
            };
            ConnectError { text, may_retry: true }
        })?;
        Ok(connection)
    }

    /// From now on statements end with [`StoreError::Deadline`] after this time; one that is under way then costs the connection.
    pub(super) fn limit_time(&mut self, limit: Duration) {
        self.limit = limit;
        self.deadline = Instant::now() + limit;
    }

    /// As [`Connection::limit_time`], but the database ends statements by itself first. From then on the connection only reads.
    pub(super) fn limit_reads(&mut self, limit: Duration) -> Result<(), StoreError> {
        self.limit_time(limit);
        if self.statement_timeout != Some(limit) {
            let ms = limit.as_millis().min(i32::MAX.unsigned_abs().into());
            self.run_simple(&format!("SET statement_timeout = {ms}; SET default_transaction_read_only = on"))?;
            self.statement_timeout = Some(limit);
        }
        Ok(())
    }

    /// Begins a transaction together with its first statement.
    pub(super) fn begin(&mut self, how: Begin) {
        self.to_begin = Some(how);
        self.failed = None;
        self.met_unique = false;
        self.ran_out = false;
        self.recorded = None;
    }

    /// Whether the time of the present unit of work is over.
    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Whether that was for its own statements, and not for something else that was waited for, such as ids.
    pub(super) fn ran_out(&self) -> bool {
        self.ran_out
    }

    /// Why this connection is no good any more.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Whether a unique index has refused a row of this transaction.
    pub(super) fn met_unique(&self) -> bool {
        self.met_unique
    }

    /// Ends the transaction without effect.
    pub(super) fn roll_back(&mut self) {
        self.to_begin = None;
        self.recorded = None;
        if std::mem::take(&mut self.is_begun) && self.lost.is_none() {
            self.limit_time(COMMIT_PATIENCE);
            if let Err(error) = self.run_simple("ROLLBACK") {
                // The database rolls back by itself when the connection ends.
                self.lost.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Commits the transaction.
    pub(super) fn commit(&mut self) -> Result<(), NotCommitted> {
        self.to_begin = None;
        if !self.is_begun {
            // Not one statement was run.
            return Ok(());
        }
        if let Some(failed) = self.failed.take() {
            // A commit would be answered like any other, and nothing be there.
            return Err(NotCommitted::Failed(failed));
        }
        if self.recorded.is_none()
            && self.ids.is_some()
            && let Err(error) = self.record(0)
        {
            return Err(if self.lost.is_some() { NotCommitted::Lost } else { NotCommitted::Failed(error) });
        }
        let commit_id = self.recorded.take().unwrap_or_default();
        let client = self.client.clone();
        let committed = self.drive(COMMIT_PATIENCE, async { client.batch_execute("COMMIT").await });
        self.is_begun = false;
        committed.map_err(|failed| match failed {
            Failed::Said(error) => NotCommitted::Failed(error),
            Failed::Lost(why) | Failed::ReadOnly(why) => NotCommitted::Unknown { commit_id, why },
            // The database has not said what it did.
            Failed::Here(error) => {
                let why = error.to_string();
                self.lost = Some(why.clone());
                NotCommitted::Unknown { commit_id, why }
            }
        })
    }

    /// Whether a transaction was committed under an id. If it was not, it never will be.
    pub(super) fn was_committed(&mut self, commit_id: &str) -> Result<bool, StoreError> {
        // Who asks for the second time finds what they themselves have put there.
        self.execute(PREVENT_COMMIT, &[commit_id.into()])?;
        Ok((self as &mut dyn Tx).number(CONFIRM_COMMIT, &[commit_id.into()])? >= 0)
    }

    /// Notes in the transaction under which id it is committed, and with how many events. Answers the number that it draws.
    fn record(&mut self, events: i64) -> Result<i64, StoreError> {
        let id = self.ids.as_ref().map(|ids| ids.next_commit_id()).unwrap_or_default();
        let params = [Param::Text(&id), events.into(), i64::from(events > 0).into()];
        let draw = (self as &mut dyn Tx).number(RECORD_COMMIT, &params)?;
        self.recorded = Some(id);
        Ok(draw)
    }

    /// Runs statements that have no parameters.
    pub(super) fn run_simple(&mut self, sql: &str) -> Result<(), StoreError> {
        let client = self.client.clone();
        self.ask(async { client.batch_execute(sql).await })
    }

    /// Waits for an answer within the time of the present unit of work. A transaction that is to begin does so on the way.
    fn ask<T>(&mut self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, StoreError> {
        let mut patience = self.deadline.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            return Err(self.late());
        }
        if self.only_reads() {
            patience += GRACE;
        }
        let answered = match self.to_begin.take() {
            None => self.drive(patience, asked),
            Some(how) => {
                self.is_begun = true;
                let client = self.client.clone();
                // Both are sent, in this order, before the first is answered.
                let both = future::join(async { client.batch_execute(how.sql()).await }, asked);
                self.drive(patience, async {
                    let (begun, answered) = both.await;
                    begun.and(answered)
                })
            }
        };
        answered.map_err(|failed| self.note(failed))
    }

    /// Waits for an answer, and lets the connection work meanwhile.
    fn drive<T>(
        &mut self,
        patience: Duration,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failed> {
        if let Some(why) = &self.lost {
            return Err(Failed::Lost(why.clone()));
        }
        let driver = &mut self.driver;
        let Some(runtime) = &self.runtime.0 else {
            return Err(Failed::Lost("the connection is closed".to_owned()));
        };
        let ended = runtime.block_on(async {
            let asked = pin!(asked);
            tokio::select! {
                biased;
                answered = asked => answered.map_err(|error| Failed::of(&error)),
                ended = driver => Err(Failed::Lost(match ended {
                    Ok(()) => "the database has closed the connection".to_owned(),
                    Err(error) => text_of(&error),
                })),
                () = tokio::time::sleep(patience) => Err(Failed::Lost("the database does not answer in time".to_owned())),
            }
        });
        let ended = ended.map_err(|failed| match failed {
            Failed::ReadOnly(why) if self.only_reads() => Failed::Said(StoreError::Defect(why)),
            // The database has become a standby.
            Failed::ReadOnly(why) => Failed::Lost(why),
            failed => failed,
        });
        if let Err(Failed::Lost(why)) = &ended {
            self.lost = Some(why.clone());
        }
        ended
    }

    fn only_reads(&self) -> bool {
        self.statement_timeout.is_some()
    }

    fn late(&mut self) -> StoreError {
        self.ran_out = true;
        StoreError::Deadline(u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX))
    }

    /// A failure as the store's error.
    fn note(&mut self, failed: Failed) -> StoreError {
        let error = match failed {
            Failed::Here(error) => return error,
            Failed::Lost(_) if self.is_late() => return self.late(),
            Failed::Lost(why) | Failed::ReadOnly(why) => return StoreError::Unavailable(why),
            Failed::Said(StoreError::Deadline(_)) => self.late(),
            Failed::Said(error) => error,
        };
        self.met_unique |= matches!(error, StoreError::Unique(_));
        if self.is_begun {
            self.failed = Some(match &error {
                StoreError::Conflict(what) => StoreError::Conflict(what.clone()),
                other => StoreError::Defect(format!("a statement failed and was overlooked: {other}")),
            });
        }
        error
    }

    /// The statement as the database has prepared it.
    fn prepare(&mut self, sql: &'static str) -> Result<Statement, StoreError> {
        let key = (sql.as_ptr() as usize, sql.len());
        if let Some(prepared) = self.statements.get(&key) {
            return Ok(prepared.clone());
        }
        let prepared = self.prepare_text(&dialect::for_postgres(sql))?;
        self.statements.insert(key, prepared.clone());
        Ok(prepared)
    }

    /// The same for many rows.
    fn prepare_many(&mut self, sql: &'static str) -> Result<Statement, StoreError> {
        let key = (sql.as_ptr() as usize, sql.len());
        if let Some(prepared) = self.many.get(&key) {
            return Ok(prepared.clone());
        }
        // The database knows the types of the parameters.
        let one = self.prepare(sql)?;
        let types = one.params().iter().map(|kind| if *kind == Type::INT8 { "bigint" } else { "text" });
        let many = dialect::many_for_postgres(&dialect::for_postgres(sql), &types.collect::<Vec<_>>());
        let prepared = self.prepare_text(&many)?;
        self.many.insert(key, prepared.clone());
        Ok(prepared)
    }

    /// Hands over every row that a statement answers.
    fn hand_over(
        &mut self,
        statement: &Statement,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        check_count(statement, params.len())?;
        let client = self.client.clone();
        let mut stopped = None;
        self.ask(async {
            let values = params.iter().map(|param| Value(*param));
            let rows: RowStream = client.query_raw(statement, values).await?;
            let mut rows = pin!(rows);
            while let Some(row) = rows.next().await {
                let row = row?;
                if stopped.is_none() {
                    stopped = each(&PostgresRow(&row)).err();
                }
            }
            Ok(())
        })?;
        stopped.map_or(Ok(()), Err)
    }

    fn prepare_text(&mut self, sql: &str) -> Result<Statement, StoreError> {
        let client = self.client.clone();
        self.ask(async { client.prepare(sql).await })
    }
}

/// Values for more or for fewer parameters than a statement has are a defect.
fn check_count(statement: &Statement, given: usize) -> Result<(), StoreError> {
    let wanted = statement.params().len();
    if given == wanted {
        return Ok(());
    }
    Err(StoreError::Defect(format!("{given} values for a statement of {wanted}")))
}

impl Tx for Connection {
    fn query(
        &mut self,
        sql: &'static str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.prepare(sql)?;
        self.hand_over(&statement, params, each)
    }

    fn query_composed(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.prepare_text(&dialect::for_postgres(sql))?;
        self.hand_over(&statement, params, each)
    }

    fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<usize, StoreError> {
        let statement = self.prepare(sql)?;
        check_count(&statement, params.len())?;
        let client = self.client.clone();
        let touched = self.ask(async {
            let values = params.iter().map(|param| Value(*param));
            client.execute_raw(&statement, values).await
        })?;
        Ok(usize::try_from(touched).unwrap_or(usize::MAX))
    }

    fn execute_many(&mut self, sql: &'static str, width: usize, params: &[Param<'_>]) -> Result<(), StoreError> {
        if params.is_empty() {
            return Ok(());
        }
        if params.len() == width {
            return self.execute(sql, params).map(|_| ());
        }
        let statement = self.prepare_many(sql)?;
        check_count(&statement, width)?;
        let client = self.client.clone();
        let columns: Vec<_> = (0..width).map(|column| Column { params, width, column }).collect();
        let values: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
        self.ask(async { client.execute(&statement, &values).await }).map(|_| ())
    }

    fn take_ids(&mut self, counter: &'static str, count: i64) -> Result<i64, StoreError> {
        match &self.ids {
            Some(ids) => ids.take(counter, count),
            None => sequence::take_from_row(self, counter, count),
        }
    }

    fn reserve_ids(&mut self, counter: &'static str, id: i64) -> Result<(), StoreError> {
        match &self.ids {
            Some(ids) => ids.reserve(counter, id),
            None => sequence::reserve_in_row(self, counter, id),
        }
    }

    fn number_rows(&mut self, journal: Journal, count: usize) -> Result<Option<i64>, StoreError> {
        let count = i64::try_from(count).map_err(|_| StoreError::Defect("too many rows at once".into()))?;
        match journal {
            Journal::Audit => self.take_ids("audit", count).map(Some),
            Journal::Event if count >= EVENTS_A_DRAW => {
                Err(StoreError::Defect("too many events in a transaction".into()))
            }
            Journal::Event => Ok(Some(self.record(count)? * EVENTS_A_DRAW + 1)),
        }
    }
}

struct PostgresRow<'a>(&'a tokio_postgres::Row);

impl PostgresRow<'_> {
    fn value<'v, T: FromSql<'v>>(&'v self, column: usize) -> Result<T, StoreError> {
        let value = self.0.try_get(column);
        value.map_err(|error| StoreError::Unreadable(format!("column {column}: {}", text_of(&error))))
    }
}

impl Row for PostgresRow<'_> {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        match self.0.columns().get(column).map(tokio_postgres::Column::type_) {
            Some(&Type::INT4) => self.value::<i32>(column).map(i64::from),
            _ => self.value(column),
        }
    }

    fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.value(column)
    }

    fn text_or_null(&self, column: usize) -> Result<Option<&str>, StoreError> {
        self.value(column)
    }
}
