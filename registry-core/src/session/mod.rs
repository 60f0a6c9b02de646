//! Sessions: one connection each, for as long as the value lives.
//!
//! [`Registry`](crate::Registry) lends them. [`Session::connect`] opens one without a registry,
//! [`Session::from_connection`] makes one of a connection that the program has opened itself, and
//! [`Session::into_inner`] takes the connection out of its engine.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::bind::{Bind, has_key, key_of};
use crate::engine::{AnyEngine, Checkout};
use crate::settings::{BindKey, EngineOptions};

mod one_off;
mod read_session;
mod take;
mod transaction;
mod transaction_builder;

pub use read_session::ReadSession;
pub use transaction_builder::TransactionBuilder;

pub use crate::engine::IntoInnerError;

/// One connection to the database of the bind `B`, checked out of its engine for as long as the value lives.
///
/// [`Registry::session_for`](crate::Registry::session_for) and its siblings acquire one. It dereferences to its
/// connection, and is an [`AsyncConnection`](diesel_async::AsyncConnection) itself, so all of diesel-async works with
/// it. [`transaction`](Self::transaction) and [`build_transaction`](Self::build_transaction) hand out `&mut Session<B>`. On
/// PostgreSQL, [several queries at once](crate::query#several-queries-at-once) can run on a `&Session<B>`.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{Registry, RunQueryDsl, bind_tables};
///
/// diesel::table! { events (id) { id -> Integer, } }
/// bind_tables!(db = "analytics", backend = Sqlite; events);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// let mut session = registry.session_for::<events::table>().await?;
/// # diesel::sql_query("CREATE TABLE events (id INTEGER PRIMARY KEY)").execute(&mut session).await?;
/// diesel::insert_into(events::table).values(events::id.eq(1)).execute(&mut session).await?;
/// let ids: Vec<i32> = events::table.select(events::id).load(&mut session).await?;
/// assert_eq!(ids, [1]);
/// # Ok(())
/// # }
/// ```
///
/// # Dropping it
///
/// Dropping it returns the connection to its engine. It works in every thread, and does not block. If a transaction is
/// open on the connection, or a transaction statement was cut short, the connection is closed instead, so that the
/// server rolls back and no other borrower gets that transaction. (An in-memory SQLite database exists only in its
/// connection. That connection is rolled back and kept.)
///
/// # Streams that are dropped
///
/// A stream of rows that is dropped before its end leaves rows that the server still sends. PostgreSQL over TCP reports
/// the end of each statement, so a connection with unread rows is closed on return, and the statement is cancelled on
/// the server. For MySQL, MariaDB and Unix sockets, the same is detected for the methods of
/// [`RunQueryDsl`](crate::RunQueryDsl) of this crate. After a query by diesel-async's trait of the same name, it is
/// unknown there whether all rows were read. So the connection is checked before it is lent again, and replaced if
/// unread rows precede the answer.
pub struct Session<B: Bind> {
    checkout: Checkout<B::Connection>,
    bind: PhantomData<fn() -> B>,
}

impl<B: Bind> Session<B> {
    pub(crate) fn new(checkout: Checkout<B::Connection>) -> Self {
        Self { checkout, bind: PhantomData }
    }

    /// The bind key of the session's database.
    ///
    /// ```
    /// # use registry_core::{Error, Registry, binds};
    /// # binds! { Analytics: Sqlite = "analytics"; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// assert_eq!(registry.session::<Analytics>().await?.key(), "analytics");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn key(&self) -> &str {
        // Not the key of the engine: several binds may share an engine that was opened on demand.
        if has_key::<B>() { B::KEY } else { &AnyEngine::settings(&**self.checkout.engine()).key }
    }
}

impl<B: Bind> Session<B> {
    pub(crate) fn bind_key(&self) -> BindKey {
        bind_key_of::<B>(&self.checkout)
    }

    pub(crate) fn options(&self) -> &EngineOptions {
        &AnyEngine::settings(&**self.checkout.engine()).options
    }

    pub(crate) fn checkout(&self) -> &Checkout<B::Connection> {
        &self.checkout
    }

    pub(crate) fn checkout_mut(&mut self) -> &mut Checkout<B::Connection> {
        &mut self.checkout
    }

    pub(crate) fn into_checkout(self) -> Checkout<B::Connection> {
        self.checkout
    }
}

/// The bind key of the database that a session of the bind `B` with this checkout is in.
pub(crate) fn bind_key_of<B: Bind>(checkout: &Checkout<B::Connection>) -> BindKey {
    if has_key::<B>() { key_of::<B>() } else { AnyEngine::settings(&**checkout.engine()).key }
}

impl<B: Bind> Deref for Session<B> {
    type Target = B::Connection;

    fn deref(&self) -> &B::Connection {
        self.checkout.connection()
    }
}

impl<B: Bind> DerefMut for Session<B> {
    fn deref_mut(&mut self) -> &mut B::Connection {
        self.checkout.connection_mut()
    }
}

impl<B: Bind> fmt::Debug for Session<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("key", &self.key()).finish_non_exhaustive()
    }
}
