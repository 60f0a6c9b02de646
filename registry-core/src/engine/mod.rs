//! One engine: what stands behind a bind at run time.

mod acquire;
mod capacity_queue;
mod capacity_wait;
mod check;
mod checkout;
mod close;
mod connect;
mod engine_use;
mod error;
mod give_back;
mod handle;
mod isolation;
mod maintenance;
mod observe;
mod open;
mod open_rows;
mod permit;
mod pool;
mod schema;
mod self_wait;
mod setup;
mod slot;
mod statement_error;
mod transaction_state;
mod typed;
pub(crate) mod use_count;

/// What [`use_count`] is built on: the standard library's, or those of a model checker.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
}

pub(crate) use self::acquire::AcquireAttempt;
pub(crate) use self::checkout::Checkout;
pub(crate) use self::engine_use::EngineUse;
pub use self::error::AcquireError;
pub(crate) use self::error::ResolverTimedOut;
pub use self::handle::Engine;
pub(crate) use self::handle::{AnyEngine, CheckFailure};
pub(crate) use self::observe::caller::Caller;
pub(crate) use self::observe::events::{
    engine_closed, engine_opened, warn_query_beside_session, warn_query_beside_work,
};
pub use self::observe::status::{EngineStatus, LastError};
pub(crate) use self::open::open;
pub(crate) use self::open_rows::OpenRows;
pub(crate) use self::self_wait::STANDSTILL;
pub(crate) use self::transaction_state::{TransactionEnd, TransactionState};
pub(crate) use self::typed::TypedEngine;
