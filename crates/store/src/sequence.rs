//! Ids: one counter per kind of record. A number that was answered or committed is never given out again.

use crate::{StoreError, Tx};

crate::statements! {
    /// Served by the primary key.
    TAKE = "UPDATE sequence SET next = next + $2 WHERE name = $1";
    /// Served by the primary key.
    NEXT = "SELECT next FROM sequence WHERE name = $1";
    START = "INSERT INTO sequence (name, next) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    RAISE = "UPDATE sequence SET next = $2 WHERE name = $1 AND next < $2";
}

/// What ids are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    Business,
    Set,
    Module,
    Host,
    ServiceCategory,
    ServiceTemplate,
    ServiceTemplateAttribute,
    ProcessTemplate,
    SetTemplate,
    SetTemplateAttribute,
    ServiceInstance,
    Process,
    Job,
    AppSecret,
    UserToken,
    Grant,
}

impl Sequence {
    fn name(self) -> &'static str {
        match self {
            Self::Business => "business",
            Self::Set => "set",
            Self::Module => "module",
            Self::Host => "host",
            Self::ServiceCategory => "service_category",
            Self::ServiceTemplate => "service_template",
            Self::ServiceTemplateAttribute => "service_template_attribute",
            Self::ProcessTemplate => "process_template",
            Self::SetTemplate => "set_template",
            Self::SetTemplateAttribute => "set_template_attribute",
            Self::ServiceInstance => "service_instance",
            Self::Process => "process",
            Self::Job => "job",
            Self::AppSecret => "app_secret",
            Self::UserToken => "user_token",
            Self::Grant => "grant",
        }
    }
}

/// Takes `count` ids in a row and answers the first of them. Ids start at 1.
pub fn take(tx: &mut dyn Tx, sequence: Sequence, count: usize) -> Result<i64, StoreError> {
    let count = i64::try_from(count).map_err(|_| StoreError::Defect("too many ids at once".into()))?;
    tx.take_ids(sequence.name(), count)
}

/// Makes sure that ids up to and including this one are not given out.
pub fn reserve_up_to(tx: &mut dyn Tx, sequence: Sequence, id: i64) -> Result<(), StoreError> {
    tx.reserve_ids(sequence.name(), id)
}

/// Takes numbers from the counter's row, for engines.
pub(crate) fn take_from_row(tx: &mut dyn Tx, counter: &str, count: i64) -> Result<i64, StoreError> {
    let params = [counter.into(), count.into()];
    // Not `RETURNING`: for it SQLite keeps copies of the pages it changes, which costs more than a second statement. The update
    // holds the row, so nobody comes between the two.
    if tx.execute(TAKE, &params)? == 0 {
        tx.execute(START, &[counter.into(), 1.into()])?;
        tx.execute(TAKE, &params)?;
    }
    let next = tx.number(NEXT, &[counter.into()])?;
    Ok(next - count)
}

/// Raises the counter's row, for engines.
pub(crate) fn reserve_in_row(tx: &mut dyn Tx, counter: &str, id: i64) -> Result<(), StoreError> {
    tx.execute(START, &[counter.into(), 1.into()])?;
    tx.execute(RAISE, &[counter.into(), (id + 1).into()]).map(|_| ())
}
