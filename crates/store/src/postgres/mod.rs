//! The engine for PostgreSQL.

pub mod address;
