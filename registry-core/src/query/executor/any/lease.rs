//! The lease of an `AnyExecutor`, and its future.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;

use super::RunsOnExecutorOf;
use super::connection::AnyConnection;
use super::shared::SharedCheckout;
use crate::bind::Bind;
use crate::engine::Checkout;
use crate::error::Error;
use crate::query::executor::ConnectsTo;
use crate::query::executor::lease::Lease;
use crate::registry::{Acquire, AcquireRead};
use crate::session::{Session, bind_key_of};
use crate::settings::BindKey;
use crate::work::WorkError;

/// The connection of a query on an [`AnyExecutor<'_, B>`](super::AnyExecutor).
#[expect(missing_debug_implementations, reason = "a name for types, never seen")]
pub struct AnyLease<'a, B: Bind> {
    connection: AnyConnection<'a, B::Connection>,
    only_reads: bool,
    bind: PhantomData<fn() -> B>,
}

impl<'a, B: Bind> AnyLease<'a, B> {
    fn owned(session: Session<B>) -> Self {
        Self::of(AnyConnection::owned(session.into_checkout()))
    }

    pub(super) fn borrowed(session: &'a mut Session<B>) -> Self {
        Self::of(AnyConnection::borrowed(session.checkout_mut()))
    }

    pub(super) fn shared(checkout: &'a dyn SharedCheckout<B::Connection>) -> Self {
        Self::of(AnyConnection::shared(checkout))
    }

    fn of(connection: AnyConnection<'a, B::Connection>) -> Self {
        Self { connection, only_reads: false, bind: PhantomData }
    }

    /// The same, for queries that only read.
    pub(super) fn for_reads(self) -> Self {
        Self { only_reads: true, ..self }
    }
}

impl<S: Bind, B: RunsOnExecutorOf<S>> ConnectsTo<B> for AnyLease<'_, S> {}

impl<'a, B: Bind> Lease for AnyLease<'a, B> {
    type Connection = AnyConnection<'a, B::Connection>;
    type Opened = B::Connection;

    fn connection(&mut self) -> &mut Self::Connection {
        &mut self.connection
    }

    fn checkout(&self) -> Option<&Checkout<B::Connection>> {
        Some(self.connection.checkout())
    }

    fn exclusive_checkout(&mut self) -> Option<&mut Checkout<B::Connection>> {
        self.connection.exclusive_checkout()
    }

    fn key(&self) -> Option<BindKey> {
        Some(bind_key_of::<B>(self.connection.checkout()))
    }

    fn outlives_query(&self) -> bool {
        !self.connection.is_owned()
    }

    fn is_shared(&self) -> bool {
        self.connection.is_shared()
    }

    fn only_reads(&self) -> bool {
        self.only_reads
    }
}

/// The future of an [`AnyLease`].
#[expect(missing_debug_implementations, reason = "a name for types, never seen")]
pub struct AnyLeasing<'a, B: Bind>(Leasing<'a, B>);

enum Leasing<'a, B: Bind> {
    /// A session is acquired, on a registry or a tenant.
    Acquiring(Acquire<'a, B>),
    /// The same, on a reader.
    AcquiringRead(AcquireRead<'a, B>),
    /// A unit of work acquires its session, and begins the transaction.
    Joining(BoxFuture<'a, Result<&'a mut Session<B>, WorkError>>),
    /// `None` after it has completed.
    Ready(Option<AnyLease<'a, B>>),
}

impl<'a, B: Bind> AnyLeasing<'a, B> {
    pub(super) fn acquiring(acquire: Acquire<'a, B>) -> Self {
        Self(Leasing::Acquiring(acquire))
    }

    pub(super) fn acquiring_read(acquire: AcquireRead<'a, B>) -> Self {
        Self(Leasing::AcquiringRead(acquire))
    }

    pub(super) fn joining(session: BoxFuture<'a, Result<&'a mut Session<B>, WorkError>>) -> Self {
        Self(Leasing::Joining(session))
    }

    pub(super) fn ready(lease: AnyLease<'a, B>) -> Self {
        Self(Leasing::Ready(Some(lease)))
    }
}

// No field is structurally pinned: the futures are `Unpin`, and a lease is no future.
impl<B: Bind> Unpin for AnyLeasing<'_, B> {}

impl<'a, B: Bind> Future for AnyLeasing<'a, B> {
    type Output = Result<AnyLease<'a, B>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut self.get_mut().0 {
            Leasing::Acquiring(acquire) => {
                ready!(Pin::new(acquire).poll(cx)).map(AnyLease::owned).map_err(Error::from)
            }
            Leasing::AcquiringRead(acquire) => ready!(Pin::new(acquire).poll(cx))
                .map(|session| AnyLease::owned(session.into_inner()).for_reads())
                .map_err(Error::from),
            Leasing::Joining(session) => {
                ready!(session.as_mut().poll(cx)).map(AnyLease::borrowed).map_err(Error::from)
            }
            Leasing::Ready(lease) => match lease.take() {
                Some(lease) => Ok(lease),
                None => unreachable!("a lease is awaited once"),
            },
        })
    }
}
