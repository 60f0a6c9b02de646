//! The engine: what stands behind a bind at run time, a URL with its options and its connections.
//!
//! In the order in which to read them:
//!
//! | file | has |
//! |---|---|
//! | [`handle`] | [`Engine`] for users, and [`AnyEngine`], an engine whose connection type is not known |
//! | [`open`](mod@open) | opening an engine from its settings; `AnyEngine` for each connection type |
//! | [`typed`] | [`TypedEngine`]: the parts of an engine |
//! | [`acquire`] | the recipe of acquiring a session: permit, slot, connection, checkout |
//! | [`error`] | [`AcquireError`]: why that failed |
//! | [`permit`] | the right to one connection, and what happens when it is given back |
//! | [`pool`], [`slot`] | the slots, which bb8 counts, and what one holds |
//! | [`check`] | the check of an idle connection before it is lent |
//! | [`connect`], [`setup`] | opening a connection; `on_connect` |
//! | [`capacity_wait`], [`capacity_queue`] | waiting where the server has no room for another connection |
//! | [`schema`] | switching a connection to a tenant's schema before it is lent |
//! | [`checkout`] | [`Checkout`]: a connection that is lent |
//! | [`return_connection`] | what happens when it is dropped, as a state machine |
//! | [`open_rows`] | noticing rows that a query leaves unread |
//! | [`statement_error`] | what the error of a statement means |
//! | [`transaction_state`], [`transaction_probe`] | whether a transaction is still the one that was begun |
//! | [`isolation`], [`self_wait`] | the one connection of a test isolation; a task that waits for itself |
//! | [`maintenance`] | the task that closes old connections and keeps `min_idle` open |
//! | [`close`] | closing an engine |
//! | [`engine_use`], [`use_count`], [`sync`] | uses of an engine that was opened on demand, which must not be evicted meanwhile |
//! | [`observe`] | what is seen of an engine and its connections: holders, statistics, metrics, events, status |
//!
//! # A connection's life
//!
//! [`connect`] opens it and has it watched, a slot of the [`pool`] holds it, [`acquire`] checks it out under a permit,
//! [`return_connection`] puts it back or closes it, and [`maintenance`] closes it when it is old or not needed.
//!
//! # Locks
//!
//! No lock is held across an `.await`. One lock is held while another is taken in two places: under that of the
//! [`capacity_queue`] the idle slots of the [`pool`] are locked, and under that of the holders ([`observe`]) a connection's
//! end is noted. Code of the program runs under a lock in one place: [`maintenance`] counts the idle connections that it
//! closes under the lock of the [`pool`], by the program's recorder and subscriber. The lock of `on_demand` may be held
//! while a use of an engine begins ([`use_count`]), which takes no lock.
//!
//! # Cancellation
//!
//! A caller may drop its future at any `.await`. Then a place in the queue is left, a permit and a slot go back, and a
//! connection on which a statement was cut short is closed: the engine marks a slot as discarded before it runs a
//! statement on it, and takes that back at the end. What must not be cut short runs in a task of its own: the reset of a
//! returned connection, and in test isolation everything between two borrowers.
//!
//! # Imports
//!
//! Without a circle. Files import each other by their names, and nothing from here. `impl TypedEngine` blocks in several
//! files call each other's methods, which takes no import: [`acquire`] calls the steps that the other files have.

mod acquire;
mod capacity_queue;
mod capacity_wait;
mod check;
mod checkout;
mod close;
mod connect;
mod engine_use;
mod error;
mod handle;
mod isolation;
mod maintenance;
mod observe;
mod open;
mod open_rows;
mod permit;
mod pool;
mod return_connection;
mod schema;
mod self_wait;
mod setup;
mod slot;
mod statement_error;
mod sync;
mod transaction_probe;
mod transaction_state;
mod typed;
pub(crate) mod use_count;

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
