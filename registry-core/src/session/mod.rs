//! A session: one connection, checked out of its engine for as long as the value lives.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::bind::{Bind, has_key, key_of};
use crate::engine::{AnyEngine, Checkout};
use crate::settings::{BindKey, EngineOptions};

mod transaction;

/// One connection to the database of the bind `B`, lent for as long as the value lives.
///
/// It dereferences to the connection, and is therefore an
/// [`AsyncConnection`](diesel_async::AsyncConnection) itself: everything of diesel-async works on it,
/// and [`transaction`](Self::transaction) hands out `&mut Session<B>`.
///
/// Dropping it returns the connection to its engine, wherever that happens. A connection that has a
/// transaction open, or in which a transaction statement was cut short, is closed instead: the server
/// rolls back, and nobody is ever lent a stranger's transaction. (An in-memory SQLite database lives
/// in its only connection, which is rolled back and kept.)
///
/// # Streams that are dropped
///
/// A stream of rows that is dropped before its end leaves rows that the server still sends. PostgreSQL
/// over TCP reports the end of each statement, so a connection with rows left is closed on return, and the
/// statement is cancelled on the server. For MySQL, MariaDB and Unix sockets, the same is noticed of the
/// methods of [`RunQueryDsl`](crate::RunQueryDsl) of this crate. After a query by diesel-async's trait of that
/// name nobody knows there whether its rows were read, so the server is asked for an answer before the
/// connection is lent again, and it is replaced if rows are in the way.
pub struct Session<B: Bind> {
    checkout: Checkout<B::Connection>,
    bind: PhantomData<fn() -> B>,
}

impl<B: Bind> Session<B> {
    pub(crate) fn new(checkout: Checkout<B::Connection>) -> Self {
        Self { checkout, bind: PhantomData }
    }

    /// The bind key of the database that it is connected to.
    #[must_use]
    pub fn key(&self) -> &str {
        // An engine that was opened on demand may serve several binds.
        if has_key::<B>() { B::KEY } else { &AnyEngine::settings(&**self.checkout.engine()).key }
    }
}

impl<B: Bind> Session<B> {
    pub(crate) fn bind_key(&self) -> BindKey {
        if has_key::<B>() {
            key_of::<B>()
        } else {
            AnyEngine::settings(&**self.checkout.engine()).key
        }
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
