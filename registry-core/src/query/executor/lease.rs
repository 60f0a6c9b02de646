//! The lease: holds the connection during a query.

use crate::backend::Backend;
use crate::bind::Bind;
use crate::engine::Checkout;
use crate::query::error::Origin;
use crate::session::Session;
use crate::settings::BindKey;

/// Holds the connection during a query.
///
/// Other crates cannot name this trait, so they can implement neither this trait nor [`Lender`](super::Lender).
pub trait Lease: Send {
    /// The connection type.
    type Connection: Backend;

    /// The connection.
    fn connection(&mut self) -> &mut Self::Connection;

    /// The checkout of the connection. `None` for a bare connection, which belongs to no engine.
    fn checkout(&mut self) -> Option<&mut Checkout<Self::Connection>>;

    /// The key of the bind. `None` for a bare connection.
    fn key(&self) -> Option<BindKey>;
}

/// The database of the queries on `lease`, for errors.
pub(in crate::query) fn origin(lease: &mut impl Lease) -> Origin {
    Origin { key: lease.key(), tenant: lease.checkout().and_then(|checkout| checkout.tenant()) }
}

impl<B: Bind> Lease for Session<B> {
    type Connection = B::Connection;

    fn connection(&mut self) -> &mut B::Connection {
        self
    }

    fn checkout(&mut self) -> Option<&mut Checkout<B::Connection>> {
        Some(self.checkout_mut())
    }

    fn key(&self) -> Option<BindKey> {
        Some(self.bind_key())
    }
}

impl<B: Bind> Lease for &mut Session<B> {
    type Connection = B::Connection;

    fn connection(&mut self) -> &mut B::Connection {
        self
    }

    fn checkout(&mut self) -> Option<&mut Checkout<B::Connection>> {
        Some(self.checkout_mut())
    }

    fn key(&self) -> Option<BindKey> {
        Some(self.bind_key())
    }
}

impl<C: Backend> Lease for &mut C {
    type Connection = C;

    fn connection(&mut self) -> &mut C {
        self
    }

    fn checkout(&mut self) -> Option<&mut Checkout<C>> {
        None
    }

    fn key(&self) -> Option<BindKey> {
        None
    }
}
