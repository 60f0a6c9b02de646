//! What has a connection while a query is run.

use crate::backend::Backend;
use crate::bind::Bind;
use crate::engine::Checkout;
use crate::query::error::Origin;
use crate::session::Session;
use crate::settings::BindKey;

/// What has a connection while a query is run. It cannot be named outside this crate, and therefore not be
/// implemented there.
pub trait Lease: Send {
    /// The connection type.
    type Connection: Backend;

    /// The connection.
    fn connection(&mut self) -> &mut Self::Connection;

    /// What is known of the connection, unless it is nobody's but the caller's.
    fn checkout(&mut self) -> Option<&mut Checkout<Self::Connection>>;

    /// The key of the bind, if it is known.
    fn key(&self) -> Option<BindKey>;
}

/// The database that queries on `lease` are run in.
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
