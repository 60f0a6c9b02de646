//! What a scope has written, so that its later reads are after it.
//!
//! The commit of a unit of work tells its position. Everything else that is run for a scope, on a registry, a tenant or a
//! session, only sets a [`WriteMark`]. The next read of the scope through a reader then asks the primary for its position,
//! once. So a scope that never reads from replicas asks for nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use crate::backend::Backend;
use crate::bind::{self, Bind};
use crate::engine::{AnyEngine, Checkout, WriteMark};
use crate::registry::handle::Registry;
use crate::settings::BindKey;
use crate::token::Token;

tokio::task_local! {
    static CURRENT: Arc<ScopeWrites>;
}

/// The writes of a scope.
#[derive(Debug)]
pub(crate) struct ScopeWrites {
    registry: Registry,
    /// After which the reads of the scope are.
    token: Mutex<Token>,
    marks: Mutex<Vec<Marked>>,
}

/// The mark of one connection that the scope has acquired.
#[derive(Debug, Clone)]
struct Marked {
    key: BindKey,
    tenant: Option<Arc<str>>,
    mark: Arc<WriteMark>,
}

impl Marked {
    fn is_of(&self, key: BindKey, tenant: Option<&Arc<str>>) -> bool {
        self.key == key && self.tenant.as_ref() == tenant
    }
}

impl ScopeWrites {
    pub(crate) fn new(registry: Registry) -> Arc<Self> {
        Arc::new(Self { registry, token: Mutex::default(), marks: Mutex::default() })
    }

    /// Hands the token of a commit to the scope that the calling task is in, if the connection has written for that scope.
    /// Otherwise the scope does not learn of the token, and asks for its position as for other writes.
    pub(crate) fn note_commit<C: Backend>(checkout: &Checkout<C>, token: &Token) {
        let Some(mark) = checkout.write_mark() else { return };
        if CURRENT.try_with(|current| current.add_commit(&mark, token)).unwrap_or(false) {
            mark.take();
        }
    }

    /// The writes of the scope that the calling task is in, if it is one of this registry.
    pub(crate) fn current(registry: &Registry) -> Option<Arc<Self>> {
        let of_registry = |current: &Arc<Self>| {
            current.registry.is_same_as(registry).then(|| Arc::clone(current))
        };
        CURRENT.try_with(of_registry).ok().flatten()
    }

    /// Runs `future` with these as the writes of its scope.
    ///
    /// Inside of another scope of the same registry, its reads are after that scope's writes, too, and the reads of that
    /// scope are after its writes.
    pub(crate) async fn enter<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let outer = Self::current(&self.registry).filter(|outer| !Arc::ptr_eq(outer, self));
        let handing_over = HandingOver { inner: self, outer: outer.as_ref() };
        if let Some(outer) = &outer {
            self.absorb(outer);
        }
        let output = CURRENT.scope(Arc::clone(self), future).await;
        drop(handing_over);
        output
    }

    /// A mark for a connection that the scope acquires.
    fn new_mark(&self, key: BindKey, tenant: Option<&Arc<str>>) -> Arc<WriteMark> {
        let mark = Arc::<WriteMark>::default();
        let mut marks = self.marks();
        // The connections of the others are returned, and nothing was written there.
        marks.retain(|marked| marked.mark.is_set() || Arc::strong_count(&marked.mark) > 1);
        marks.push(Marked { key, tenant: tenant.cloned(), mark: Arc::clone(&mark) });
        mark
    }

    /// Whether something may have been written to the database whose position is not known.
    pub(super) fn has_unplaced(&self, key: BindKey, tenant: Option<&Arc<str>>) -> bool {
        self.marks().iter().any(|marked| marked.is_of(key, tenant) && marked.mark.is_set())
    }

    /// Asks the primary for its position, if something may have been written whose position is not known. The reads of
    /// the scope are after it then, or at an unknown position if there was no answer.
    pub(super) async fn place(
        &self,
        key: BindKey,
        tenant: Option<&Arc<str>>,
        engine: Arc<dyn AnyEngine>,
        limit: Duration,
    ) {
        let Some(asking) = AskingPosition::begin(&self.marks(), key, tenant) else { return };
        // A write after this begins sets the mark again.
        let position = engine.ask_position(Some(limit)).await.ok().flatten();
        let is_found = position.is_some();
        let token = Token::of(key, tenant.cloned(), position);
        // It is after everything that was written before, whatever was known of that.
        self.token_mut().replace(&token);
        if is_found {
            asking.found();
        }
    }

    /// The token after which later reads have to be to see what the scope has written. Asks the primaries of the writes
    /// whose positions are not known.
    pub(crate) async fn placed_token(&self, limit: Duration) -> Token {
        let mut unplaced: Vec<(BindKey, Option<Arc<str>>)> = Vec::new();
        for Marked { key, tenant, .. } in self.marks().iter().filter(|marked| marked.mark.is_set())
        {
            if !unplaced.iter().any(|(other, of)| other == key && of == tenant) {
                unplaced.push((*key, tenant.clone()));
            }
        }
        let placing = unplaced.into_iter().map(|(key, tenant)| async move {
            match self.registry.open_engine_of(&key, tenant.as_deref()) {
                Some(engine) => self.place(key, tenant.as_ref(), engine, limit).await,
                // It was evicted, or replaced: nobody can say what was written where.
                None => self.add_token(&Token::of(key, tenant, None)),
            }
        });
        join_all(placing).await;
        self.token()
    }

    /// Whether anything may have been written.
    pub(crate) fn has_written(&self) -> bool {
        self.marks().iter().any(|marked| marked.mark.is_set()) || !self.token_mut().is_empty()
    }

    /// Adds the token of a commit, if `mark` is one of this scope's. Returns whether it is.
    pub(crate) fn add_commit(&self, mark: &Arc<WriteMark>, token: &Token) -> bool {
        let is_own = self.marks().iter().any(|marked| Arc::ptr_eq(&marked.mark, mark));
        if is_own {
            self.add_token(token);
        }
        is_own
    }

    /// The reads of the scope are after this token from now on.
    pub(crate) fn add_token(&self, token: &Token) {
        self.token_mut().merge(token);
    }

    /// The token after which the reads of the scope are, as far as positions are known.
    pub(crate) fn token(&self) -> Token {
        self.token_mut().clone()
    }

    fn absorb(&self, other: &Self) {
        let token = other.token();
        self.add_token(&token);
        // Copied first: two scopes that are inside of each other must not wait for each other's locks.
        let marks: Vec<Marked> = other.marks().clone();
        for marked in marks.iter().filter(|marked| marked.mark.is_set()) {
            self.new_mark(marked.key, marked.tenant.as_ref()).set();
        }
    }

    fn token_mut(&self) -> MutexGuard<'_, Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn marks(&self) -> MutexGuard<'_, Vec<Marked>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the statements on this connection that may write set the mark of the scope that acquires it, if the bind has
/// replicas to read from.
pub(in crate::registry) fn note_writes_for_scope<B: Bind>(
    registry: &Registry,
    checkout: &Checkout<B::Connection>,
    tenant: Option<&Arc<str>>,
) {
    if checkout.has_replicas()
        && let Some(writes) = ScopeWrites::current(registry)
    {
        let key = if bind::has_key::<B>() { bind::key_of::<B>() } else { checkout.key() };
        let tenant = tenant.filter(|_| checkout.engine().is_of_one_tenant());
        checkout.mark_writes(writes.new_mark(key, tenant));
    }
}

/// Hands the writes of an inner scope to the outer one, also if its future is dropped.
struct HandingOver<'a> {
    inner: &'a Arc<ScopeWrites>,
    outer: Option<&'a Arc<ScopeWrites>>,
}

impl Drop for HandingOver<'_> {
    fn drop(&mut self) {
        if let Some(outer) = self.outer {
            outer.absorb(self.inner);
        }
    }
}

/// The marks of writes whose position is being asked for. They are set again unless the position was found.
struct AskingPosition {
    marks: Vec<Arc<WriteMark>>,
}

impl AskingPosition {
    /// `None` if there was no write.
    fn begin(marks: &[Marked], key: BindKey, tenant: Option<&Arc<str>>) -> Option<Self> {
        let of_database = marks.iter().filter(|marked| marked.is_of(key, tenant));
        let set = of_database.filter(|marked| marked.mark.take());
        let marks: Vec<_> = set.map(|marked| Arc::clone(&marked.mark)).collect();
        (!marks.is_empty()).then_some(Self { marks })
    }

    fn found(mut self) {
        self.marks.clear();
    }
}

impl Drop for AskingPosition {
    fn drop(&mut self) {
        self.marks.iter().for_each(|mark| mark.set());
    }
}
