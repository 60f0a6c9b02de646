//! The lease: holds the connection during a query.

use diesel_async::AsyncConnectionCore;

use crate::backend::Backend;
use crate::bind::Bind;
use crate::engine::Checkout;
use crate::query::error::Origin;
use crate::session::{ReadSession, Session};
use crate::settings::BindKey;

/// Holds the connection during a query.
///
/// Other crates cannot name this trait, so they can implement neither this trait nor [`Lender`](super::Lender).
pub trait Lease: Send {
    /// The type of the connection that queries are run on.
    type Connection: AsyncConnectionCore;

    /// The type of the connection that the engine has opened. The same as [`Connection`](Self::Connection), unless the
    /// query runs on a shared reference to it.
    type Opened: Backend;

    /// Whether other statements may be under way on the connection.
    fn is_shared(&self) -> bool {
        false
    }

    /// The connection.
    fn connection(&mut self) -> &mut Self::Connection;

    /// The checkout of the connection. `None` for a bare connection, which belongs to no engine.
    fn checkout(&self) -> Option<&Checkout<Self::Opened>>;

    /// The checkout, if no other statement can be under way on the connection. `None` for a shared connection, and for a
    /// bare one.
    fn exclusive_checkout(&mut self) -> Option<&mut Checkout<Self::Opened>>;

    /// The key of the bind. `None` for a bare connection.
    fn key(&self) -> Option<BindKey>;

    /// Whether the connection stays with the caller after the query, and with it a row lock that the query has taken.
    fn outlives_query(&self) -> bool {
        true
    }

    /// Whether only queries that read may be run on the connection.
    fn only_reads(&self) -> bool {
        false
    }

    /// Whether the prepared statements that the driver keeps no longer fit, and cannot be discarded now, because the
    /// connection is shared.
    fn bypasses_statement_cache(&self) -> bool {
        self.is_shared() && self.checkout().is_some_and(Checkout::has_stale_plans)
    }
}

/// The database of the queries on `lease`, for errors.
pub(in crate::query) fn origin(lease: &impl Lease) -> Origin {
    Origin { key: lease.key(), tenant: lease.checkout().and_then(|checkout| checkout.tenant()) }
}

impl<B: Bind> Lease for Session<B> {
    type Connection = B::Connection;
    type Opened = B::Connection;

    fn connection(&mut self) -> &mut B::Connection {
        self
    }

    fn checkout(&self) -> Option<&Checkout<B::Connection>> {
        Some(Session::checkout(self))
    }

    fn exclusive_checkout(&mut self) -> Option<&mut Checkout<B::Connection>> {
        Some(self.checkout_mut())
    }

    fn key(&self) -> Option<BindKey> {
        Some(self.bind_key())
    }

    fn outlives_query(&self) -> bool {
        false
    }
}

impl<B: Bind> Lease for &mut Session<B> {
    type Connection = B::Connection;
    type Opened = B::Connection;

    fn connection(&mut self) -> &mut B::Connection {
        self
    }

    fn checkout(&self) -> Option<&Checkout<B::Connection>> {
        Some(Session::checkout(self))
    }

    fn exclusive_checkout(&mut self) -> Option<&mut Checkout<B::Connection>> {
        Some(self.checkout_mut())
    }

    fn key(&self) -> Option<BindKey> {
        Some(self.bind_key())
    }
}

impl<B: Bind> Lease for ReadSession<B> {
    type Connection = B::Connection;
    type Opened = B::Connection;

    fn connection(&mut self) -> &mut B::Connection {
        self.inner_mut()
    }

    fn checkout(&self) -> Option<&Checkout<B::Connection>> {
        Some(self.inner().checkout())
    }

    fn exclusive_checkout(&mut self) -> Option<&mut Checkout<B::Connection>> {
        Some(self.inner_mut().checkout_mut())
    }

    fn only_reads(&self) -> bool {
        true
    }

    fn key(&self) -> Option<BindKey> {
        Some(self.inner().bind_key())
    }

    fn outlives_query(&self) -> bool {
        false
    }
}

impl<B: Bind> Lease for &mut ReadSession<B> {
    type Connection = B::Connection;
    type Opened = B::Connection;

    fn connection(&mut self) -> &mut B::Connection {
        self.inner_mut()
    }

    fn checkout(&self) -> Option<&Checkout<B::Connection>> {
        Some(self.inner().checkout())
    }

    fn exclusive_checkout(&mut self) -> Option<&mut Checkout<B::Connection>> {
        Some(self.inner_mut().checkout_mut())
    }

    fn only_reads(&self) -> bool {
        true
    }

    fn key(&self) -> Option<BindKey> {
        Some(self.inner().bind_key())
    }
}

impl<C: Backend> Lease for &mut C {
    type Connection = C;
    type Opened = C;

    fn connection(&mut self) -> &mut C {
        self
    }

    fn checkout(&self) -> Option<&Checkout<C>> {
        None
    }

    fn exclusive_checkout(&mut self) -> Option<&mut Checkout<C>> {
        None
    }

    fn key(&self) -> Option<BindKey> {
        None
    }
}
