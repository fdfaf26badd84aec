//! Service instances.
