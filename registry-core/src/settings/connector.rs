//! The program's own way to connect, for one bind.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::keys::BackendKind;
use super::url::DatabaseUrl;
use crate::cause::DriverError;

/// A closure that opens a connection of type `C`, for
/// [`RegistryBuilder::connect_with`](crate::RegistryBuilder::connect_with).
#[doc(hidden)]
pub trait ConnectFn<C>:
    Fn(DatabaseUrl) -> <Self as ConnectFn<C>>::Connecting + Send + Sync + 'static
{
    /// The future that the closure returns.
    type Connecting: Future<Output = Result<C, <Self as ConnectFn<C>>::Error>> + Send + 'static;

    /// The error of the closure.
    type Error: Into<DriverError>;
}

impl<C, F, R, E> ConnectFn<C> for F
where
    F: Fn(DatabaseUrl) -> R + Send + Sync + 'static,
    R: Future<Output = Result<C, E>> + Send + 'static,
    E: Into<DriverError>,
{
    type Connecting = R;
    type Error = E;
}

/// The closure that opens the connections of a bind. Its connection type is known to the engine alone.
#[derive(Clone)]
pub(crate) struct Connector {
    /// A [`BoxedConnectFn`].
    connect: Arc<dyn Any + Send + Sync>,
    backend: BackendKind,
}

type BoxedConnectFn<C> =
    Box<dyn Fn(DatabaseUrl) -> BoxFuture<'static, Result<C, DriverError>> + Send + Sync>;

impl Connector {
    /// `backend` is the backend of the connection type `C`.
    pub(crate) fn new<C: 'static>(backend: BackendKind, connect: impl ConnectFn<C>) -> Self {
        let connect: BoxedConnectFn<C> = Box::new(move |url| {
            let connecting = connect(url);
            Box::pin(async move { connecting.await.map_err(Into::into) })
        });
        Self { connect: Arc::new(connect), backend }
    }

    pub(crate) fn backend(&self) -> BackendKind {
        self.backend
    }

    /// Calls the closure. `None` if it opens connections of another type.
    pub(crate) fn connect<C: 'static>(
        &self,
        url: &DatabaseUrl,
    ) -> Option<BoxFuture<'static, Result<C, DriverError>>> {
        let connect = self.connect.downcast_ref::<BoxedConnectFn<C>>()?;
        Some(connect(url.clone()))
    }

    /// Whether both are the same closure.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connect, &other.connect)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
