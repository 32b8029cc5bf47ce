//! floe: larger-than-memory SQL and dataframes over plain files, on one ordinary machine.
//!
//! A query is a plan; a plan is pipelines; a pipeline is tasks; a task is a plain closure on a worker; whatever has
//! to wait lies in the store, and the store may put it on disk. ARCHITECTURE.md walks through the layers, which are
//! the modules below in the order in which they may use one another.

pub mod cancel;
pub mod config;
pub mod error;

pub mod sched;

pub mod batch;
pub mod memory;

pub mod store;

pub mod io;

pub mod expr;
pub mod scan;

pub mod ops;

pub mod plan;

pub mod job;

pub mod session;

pub use error::{Error, Result};
pub use session::prelude;
