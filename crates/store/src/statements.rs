//! The list of all statements, so that a test can prepare each of them on every engine.

/// Declares statements of a resource as constants and collects them in `STATEMENTS`. `for many` marks those that are handed to
/// [`crate::Tx::execute_many`].
#[macro_export]
macro_rules! statements {
    ($($(#[doc = $doc:literal])* $name:ident $(for $many:ident)? = $sql:expr;)*) => {
        $($(#[doc = $doc])* const $name: &str = $sql;)*
        /// Every statement of this file.
        pub(crate) const STATEMENTS: &[$crate::statements::Listed] =
            &[$($crate::statements::Listed { sql: $name, is_for_many: $crate::statements!(@is_for $($many)?) }),*];
    };
    (@is_for many) => { true };
    (@is_for) => { false };
}

/// A statement in the list.
pub(crate) struct Listed {
    pub(crate) sql: &'static str,
    pub(crate) is_for_many: bool,
}

/// Every statement of the store, in the SQL both engines share.
pub fn every_statement() -> impl Iterator<Item = &'static str> {
    serving_statements().chain(crate::check::statements()).chain(crate::copy::scanning_statements())
}

/// The statements that serve requests, and others that find their rows by an index. The rest, those of the check among them, look at
/// everything and run when somebody asks for it.
pub fn serving_statements() -> impl Iterator<Item = &'static str> {
    listed()
        .map(|listed| listed.sql)
        .chain(crate::service_instance::filtered_statements())
        .chain(crate::host::filtered_statements())
        .chain(crate::copy::statements())
}

/// Those of them that work on one row and are run for many.
pub fn statements_for_many() -> impl Iterator<Item = &'static str> {
    listed().filter(|listed| listed.is_for_many).map(|listed| listed.sql)
}

fn listed() -> impl Iterator<Item = &'static Listed> {
    let files = [
        crate::audit::STATEMENTS,
        crate::business::STATEMENTS,
        crate::cloud_area::STATEMENTS,
        crate::directory::STATEMENTS,
        crate::event::STATEMENTS,
        crate::host::STATEMENTS,
        crate::job::STATEMENTS,
        crate::migrate::STATEMENTS,
        crate::module::STATEMENTS,
        crate::postgres::STATEMENTS,
        crate::postgres::CONNECTION_STATEMENTS,
        crate::postgres::SEQUENCER_STATEMENTS,
        crate::process::STATEMENTS,
        crate::sequence::STATEMENTS,
        crate::service_category::STATEMENTS,
        crate::service_instance::STATEMENTS,
        crate::process_template::STATEMENTS,
        crate::service_template::STATEMENTS,
        crate::set::STATEMENTS,
        crate::set_template::STATEMENTS,
        crate::template_attribute::STATEMENTS,
    ];
    files.into_iter().flatten()
}
