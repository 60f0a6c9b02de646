//! The engine: the run-time side of a bind, with its URL, its options and its connections.
//!
//! In the order in which to read them:
//!
//! | file | contents |
//! |---|---|
//! | [`handle`] | [`Engine`] for users, and [`AnyEngine`], an engine of any connection type |
//! | [`open`](mod@open) | opening an engine from its settings; `AnyEngine` for each connection type |
//! | [`typed`] | [`TypedEngine`]: the parts of an engine |
//! | [`acquire`] | the recipe of acquiring a session: permit, slot, connection, checkout |
//! | [`error`] | [`AcquireError`]: why acquiring a session failed |
//! | [`write_turn`] | the turn of a writer, for databases with one writer at a time |
//! | [`permit`] | the right to one connection, and the return of that right |
//! | [`pool`], [`slot`] | the slots, which bb8 counts; one slot with its connection |
//! | [`check`] | the check of an idle connection before it is lent |
//! | [`connect`], [`setup`] | opening a connection; `on_connect` |
//! | [`capacity_wait`], [`capacity_queue`] | the wait for a connection if the server has no room for another one |
//! | [`checked_migrations`] | which migrations were found to be complete |
//! | [`schema`] | switching a connection to a tenant's schema before it is lent |
//! | [`checkout`] | [`Checkout`]: a connection that is lent |
//! | [`return_connection`] | the drop of a checkout, as a state machine: keep, reset or close its connection |
//! | [`open_rows`] | noticing rows that a query leaves unread |
//! | [`statement_error`] | the class of a statement's error |
//! | [`transaction_state`], [`transaction_probe`] | whether the transaction that was begun is still open |
//! | [`isolation`], [`self_wait`] | the one connection of a test isolation; detection of a task that waits for itself |
//! | [`maintenance`] | the task that closes old connections and keeps `min_idle` open |
//! | [`close`] | closing an engine |
//! | [`one_off`] | an engine for one session alone; a connection that leaves its engine |
//! | [`engine_use`], [`use_count`], [`sync`] | uses of an engine that was opened on demand: an engine in use must not be evicted |
//! | [`reading`] | reads on replicas and on the primary |
//! | [`observe`] | the observed state of an engine and its connections: holders, statistics, metrics, events, status |
//!
//! # A connection's life
//!
//! [`connect`] opens a connection and installs its watch, a slot of the [`pool`] holds the connection, [`acquire`] checks it
//! out under a permit, [`return_connection`] puts it back or closes it, and [`maintenance`] closes it when it is old or not
//! needed.
//!
//! # Locks
//!
//! No lock is held across an `.await`. Four places take a lock while they hold another one: the [`capacity_queue`] locks the
//! idle slots of the [`pool`] under its own lock, the holders ([`observe`]) record the end of a connection under their
//! lock, what is known of a primary ([`reading`]) is locked before what is known of its replicas, and the account of a
//! checkout ([`observe`]) is locked before the scope that gets its mark, and that before the mark. Code of the program runs under a lock in one place: [`maintenance`] counts the idle connections that it closes
//! under the lock of the [`pool`], and thereby calls the program's metrics recorder and subscriber. The lock of `on_demand`
//! may be held when a use of an engine begins ([`use_count`]); beginning a use takes no lock.
//!
//! # Cancellation
//!
//! A caller may drop its future at any `.await`. Then it leaves its place in the queue, its permit and its slot are
//! returned, and a connection on which a statement was cut short is closed: the engine marks a slot as discarded before it
//! runs a statement on the connection, and removes the mark at the end. Work that must not be cut short runs in a task of
//! its own: the reset of a returned connection, and in test isolation all statements between two borrowers.
//!
//! # Imports
//!
//! The imports form no circle. The files import each other by file name, and nothing from this file. The
//! `impl TypedEngine` blocks of several files call each other's methods, which takes no import: [`acquire`] calls the steps
//! in the other files.

mod acquire;
mod capacity_queue;
mod capacity_wait;
mod check;
mod checked_migrations;
mod checkout;
mod close;
mod connect;
mod engine_use;
mod error;
mod handle;
mod isolation;
mod maintenance;
mod observe;
mod one_off;
mod open;
mod open_rows;
mod permit;
mod pool;
mod reading;
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
mod write_turn;

pub(crate) use self::acquire::{AcquireAttempt, wait_until};
pub(crate) use self::checkout::Checkout;
pub(crate) use self::engine_use::EngineUse;
pub use self::error::AcquireError;
pub(crate) use self::error::{MigrationNames, ResolverTimedOut};
pub use self::handle::Engine;
pub(crate) use self::handle::{AnyEngine, CheckFailure};
pub(crate) use self::isolation::DEPTH_WHILE_LENT;
pub(crate) use self::observe::caller::Caller;
pub(crate) use self::observe::events::{
    engine_closed, engine_opened, warn_query_beside_session, warn_query_beside_work,
};
pub(crate) use self::observe::meters::{RetryReason, engine_ended, engine_missed};
pub(crate) use self::observe::read_transaction::{ReadPlace, ReadTransaction};
pub(crate) use self::observe::since::AcquireCounters;
pub use self::observe::since::AcquiresSince;
pub use self::observe::status::{EngineStatus, LastError};
pub(crate) use self::observe::write_account::{CountsWrites, WriteAccount};
#[cfg(test)]
pub(crate) use self::observe::write_mark::LentMark;
pub(crate) use self::observe::write_mark::WriteMark;
pub use self::one_off::IntoInnerError;
pub(crate) use self::open::open;
pub(crate) use self::open_rows::OpenRows;
pub(crate) use self::reading::{ReadAttempt, ReadRequest, ReadStart, ReplicaCheck, WantedPosition};
pub use self::reading::{ReadStatus, ReplicaState, ReplicaStatus};
pub(crate) use self::self_wait::STANDSTILL;
pub(crate) use self::transaction_state::{TransactionEnd, TransactionState};
pub(crate) use self::typed::TypedEngine;
pub(crate) use self::write_turn::{WriteRequest, WriteTurn, WriterId};
