//! Sessions, and how they are acquired.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::bind::Bind;
use crate::engine::{AnyEngine, Attempt, Core, Loan};
use crate::error::AcquireError;

/// One connection to the database of the bind `B`, lent for as long as the value lives.
///
/// It dereferences to the connection, and is therefore an
/// [`AsyncConnection`](diesel_async::AsyncConnection) itself: everything of diesel-async works on it,
/// and [`transaction`](diesel_async::AsyncConnection::transaction) hands out `&mut Session<B>`.
///
/// Dropping it returns the connection to its engine, wherever that happens. A connection that has a
/// transaction open, or in which a transaction statement was cut short, is closed instead: the server
/// rolls back, and nobody is ever lent a stranger's transaction. (An in-memory SQLite database lives
/// in its only connection, which is rolled back and kept.)
pub struct Session<B: Bind> {
    loan: Loan<B::Connection>,
    bind: PhantomData<fn() -> B>,
}

impl<B: Bind> Session<B> {
    pub(crate) fn new(loan: Loan<B::Connection>) -> Self {
        Self { loan, bind: PhantomData }
    }

    /// The bind key of the database that it is connected to.
    #[must_use]
    pub fn key(&self) -> &str {
        &AnyEngine::settings(&**self.loan.engine()).key
    }
}

impl<B: Bind> Deref for Session<B> {
    type Target = B::Connection;

    fn deref(&self) -> &B::Connection {
        self.loan.connection()
    }
}

impl<B: Bind> DerefMut for Session<B> {
    fn deref_mut(&mut self) -> &mut B::Connection {
        self.loan.connection_mut()
    }
}

impl<B: Bind> fmt::Debug for Session<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// A session on its way: the future that [`Registry::session_for`](crate::Registry::session_for)
/// returns.
///
/// It waits for a free connection behind those who came before, for `acquire_timeout` at most, and
/// connects if there is none yet. A connection that was used within `check_idle_after` is lent
/// without asking the server anything, and without allocating.
///
/// Dropping it gives up the place in the queue; nothing is lost.
///
/// # Errors
///
/// [`AcquireError`] tells apart what can go wrong: an unknown bind, a wrong backend, a full queue, a
/// wait that came to its end, a connection that cannot be made (refused, rejected, timed out), a
/// closed registry.
#[must_use = "a session is only acquired once this is awaited"]
pub struct Acquire<'r, B: Bind> {
    state: State<'r, B>,
    within: Option<Duration>,
    is_for_query: bool,
}

enum State<'r, B: Bind> {
    Start(Arc<Core<B::Connection>>, PhantomData<&'r ()>),
    Failed(AcquireError),
    Waiting(BoxFuture<'r, Result<Loan<B::Connection>, AcquireError>>),
    Done,
}

impl<B: Bind> Acquire<'_, B> {
    pub(crate) fn new(engine: Result<Arc<Core<B::Connection>>, AcquireError>) -> Self {
        let state = match engine {
            Ok(engine) => State::Start(engine, PhantomData),
            Err(error) => State::Failed(error),
        };
        Self { state, within: None, is_for_query: false }
    }

    /// Acquires it for one query.
    pub(crate) fn for_query(mut self) -> Self {
        self.is_for_query = true;
        self
    }

    fn session(&self, loan: Loan<B::Connection>) -> Session<B> {
        if self.is_for_query {
            loan.mark_for_query();
        }
        Session::new(loan)
    }

    /// Waits for `limit` at most, instead of the engine's `acquire_timeout`.
    ///
    /// It has no effect once the future was polled.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }
}

// Nothing in it is pinned in place: the future that waits has a box of its own.
impl<B: Bind> Unpin for Acquire<'_, B> {}

impl<B: Bind> Future for Acquire<'_, B> {
    type Output = Result<Session<B>, AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Done) {
                State::Start(engine, _) => {
                    let Ok(runtime) = Handle::try_current() else {
                        let key = engine.settings().key;
                        return Poll::Ready(Err(AcquireError::NoRuntime { key }));
                    };
                    match engine.try_lend(&runtime)? {
                        Attempt::Ready(loan) => return Poll::Ready(Ok(this.session(loan))),
                        attempt => {
                            let waiting = Core::lend(attempt, this.within);
                            this.state = State::Waiting(Box::pin(waiting));
                        }
                    }
                }
                State::Failed(error) => return Poll::Ready(Err(error)),
                State::Waiting(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(loan) => return Poll::Ready(loan.map(|loan| this.session(loan))),
                    Poll::Pending => {
                        this.state = State::Waiting(waiting);
                        return Poll::Pending;
                    }
                },
                State::Done => panic!("`Acquire` was polled after it had completed"),
            }
        }
    }
}

impl<B: Bind> fmt::Debug for Acquire<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("within", &self.within).finish_non_exhaustive()
    }
}
