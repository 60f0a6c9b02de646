//! What a scope has written, so that its later reads are after it.
//!
//! Each connection that is acquired in a scope has a [`WriteMark`], and so has each other one as soon as the task of the
//! scope runs a statement on it that may write. The mark counts what may have been written there, and the commit of a unit
//! of work tells it the position. For everything else, the next read of the scope through a reader asks
//! the primary for its position, once. So a scope that never reads from replicas asks for nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use crate::backend::position::Position;
use crate::bind::{self, Bind};
use crate::engine::{AnyEngine, Checkout, CountsWrites, WriteAccount, WriteMark};
use crate::registry::handle::Registry;
use crate::settings::BindKey;
use crate::token::Token;

tokio::task_local! {
    static CURRENT: Arc<Entered>;
}

/// The scopes that a task is in.
struct Entered {
    writes: Arc<ScopeWrites>,
    outer: Option<Arc<Self>>,
}

impl Entered {
    /// The innermost one of this registry: a scope of another registry has no part in its reads and writes.
    fn of(&self, registry: usize) -> Option<Arc<ScopeWrites>> {
        let mut entered = self;
        while entered.writes.registry.number() != registry {
            entered = entered.outer.as_deref()?;
        }
        Some(Arc::clone(&entered.writes))
    }
}

/// The writes of a scope.
#[derive(Debug)]
pub(crate) struct ScopeWrites {
    registry: Registry,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// After which the reads of the scope are, as far as positions are known. Without those in `marks`.
    token: Token,
    /// One for each connection that was acquired in the scope, or written on in it, and is lent or has writes whose position
    /// is not known.
    marks: Vec<Marked>,
    /// Whether something may have been written of which no mark tells any more.
    has_written: bool,
}

/// The mark of one connection, as a scope sees it. Scopes inside of each other share the mark.
#[derive(Debug, Clone)]
struct Marked {
    key: BindKey,
    tenant: Option<Arc<str>>,
    mark: Arc<WriteMark>,
    /// How many of its writes are covered by the token of the scope.
    placed: u64,
    /// Whether the scope was told of the write by a token that came from elsewhere.
    is_told: bool,
}

impl Marked {
    fn is_of(&self, key: BindKey, tenant: Option<&Arc<str>>) -> bool {
        self.key == key && self.tenant.as_ref() == tenant
    }

    fn is_unplaced(&self) -> bool {
        self.mark.is_unplaced_after(self.placed)
    }

    fn has_written(&self) -> bool {
        !self.is_told && self.mark.may_have_written()
    }

    fn token(&self, position: Option<Position>) -> Token {
        Token::of(self.key, self.tenant.clone(), position)
    }
}

impl State {
    /// Forgets the marks of connections that were returned, and whose writes have known positions.
    fn forget_placed(&mut self) {
        let Self { token, marks, has_written } = self;
        marks.retain(|marked| {
            let is_needed = marked.mark.is_lent() || marked.is_unplaced();
            if !is_needed {
                *has_written |= marked.has_written();
                if let Some(position) = marked.mark.position() {
                    token.merge(&marked.token(Some(position)));
                }
            }
            is_needed
        });
    }

    fn unplaced(&self, key: BindKey, tenant: Option<&Arc<str>>) -> impl Iterator<Item = &Marked> {
        self.marks.iter().filter(move |marked| marked.is_of(key, tenant) && marked.is_unplaced())
    }
}

impl ScopeWrites {
    pub(crate) fn new(registry: Registry) -> Arc<Self> {
        Arc::new(Self { registry, state: Mutex::default() })
    }

    /// The writes of the innermost scope of this registry that the calling task is in.
    pub(crate) fn current(registry: &Registry) -> Option<Arc<Self>> {
        Self::current_of(registry.number())
    }

    fn current_of(registry: usize) -> Option<Arc<Self>> {
        CURRENT.try_with(|entered| entered.of(registry)).ok().flatten()
    }

    /// Runs `future` with these as the writes of its scope.
    ///
    /// Inside of another scope of the same registry, its reads are after that scope's writes, too, and the reads of that
    /// scope are after its writes.
    pub(crate) async fn enter<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let entered = CURRENT.try_with(Arc::clone).ok();
        let outer = entered.as_ref().and_then(|entered| entered.of(self.registry.number()));
        let outer = outer.filter(|outer| !Arc::ptr_eq(outer, self));
        let handing_over = HandingOver { inner: self, outer: outer.as_ref() };
        if let Some(outer) = &outer {
            self.absorb(outer);
        }
        let entered = Arc::new(Entered { writes: Arc::clone(self), outer: entered });
        let output = CURRENT.scope(entered, future).await;
        drop(handing_over);
        output
    }

    /// Whether something may have been written to the database whose position is not known.
    pub(super) fn has_unplaced(&self, key: BindKey, tenant: Option<&Arc<str>>) -> bool {
        self.state().unplaced(key, tenant).next().is_some()
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
        let counted = |marked: &Marked| (Arc::clone(&marked.mark), marked.mark.count());
        let before: Vec<_> = self.state().unplaced(key, tenant).map(counted).collect();
        if before.is_empty() {
            return;
        }
        // Until there is an answer, the position stays unknown to reads that run at the same time.
        let Some(position) = engine.ask_position(Some(limit)).await.ok().flatten() else { return };
        let mut state = self.state();
        // Merged, because a commit of the scope may have told a later position meanwhile.
        state.token.merge(&Token::of(key, tenant.cloned(), Some(position)));
        for marked in &mut state.marks {
            let counted = before.iter().find(|(mark, _)| Arc::ptr_eq(mark, &marked.mark));
            // What was written later is not covered.
            marked.placed = counted.map_or(marked.placed, |(_, count)| marked.placed.max(*count));
        }
        state.forget_placed();
    }

    /// The token after which later reads have to be to see what the scope has written. Asks the primaries of the writes
    /// whose positions are not known.
    pub(crate) async fn placed_token(&self, limit: Duration) -> Token {
        let mut unplaced: Vec<(BindKey, Option<Arc<str>>)> = Vec::new();
        for marked in self.state().marks.iter().filter(|marked| marked.is_unplaced()) {
            if !unplaced.iter().any(|(key, tenant)| marked.is_of(*key, tenant.as_ref())) {
                unplaced.push((marked.key, marked.tenant.clone()));
            }
        }
        let placing = unplaced.into_iter().map(|(key, tenant)| async move {
            // Without an engine, it was evicted: nobody can say what was written where, so the position stays unknown.
            if let Some(engine) = self.registry.open_engine_of(&key, tenant.as_deref()) {
                self.place(key, tenant.as_ref(), engine, limit).await;
            }
        });
        join_all(placing).await;
        self.token()
    }

    /// Whether anything may have been written. A token from elsewhere does not count.
    #[cfg(any(feature = "axum", test))]
    pub(crate) fn has_written(&self) -> bool {
        let state = self.state();
        state.has_written || state.marks.iter().any(Marked::has_written)
    }

    /// The reads of the scope are after this token, which came from elsewhere, from now on. Where it says that a position is
    /// not known, the first read asks for it.
    #[cfg(feature = "axum")]
    pub(crate) fn read_after(&self, token: &Token) {
        let mut state = self.state();
        for (key, tenant, position) in token.entries() {
            let tenant = tenant.cloned();
            if position.is_some() {
                state.token.merge(&Token::of(key, tenant, position.cloned()));
            } else if state.unplaced(key, tenant.as_ref()).next().is_none() {
                let mark = WriteMark::of_unknown_write();
                state.marks.push(Marked { key, tenant, mark, placed: 0, is_told: true });
            }
        }
    }

    /// The token after which the reads of the scope are. It says where positions are not known.
    pub(crate) fn token(&self) -> Token {
        let state = self.state();
        let mut token = state.token.clone();
        for marked in &state.marks {
            if marked.is_unplaced() {
                token.merge(&marked.token(None));
            } else if let Some(position) = marked.mark.position() {
                token.merge(&marked.token(Some(position)));
            }
        }
        token
    }

    fn absorb(&self, other: &Self) {
        // Copied first: two scopes that are inside of each other must not wait for each other's locks.
        let (token, marks, has_written) = {
            let mut other = other.state();
            other.forget_placed();
            (other.token.clone(), other.marks.clone(), other.has_written)
        };
        let mut state = self.state();
        state.token.merge(&token);
        state.has_written |= has_written;
        for marked in marks {
            let is_same = |own: &&mut Marked| Arc::ptr_eq(&own.mark, &marked.mark);
            match state.marks.iter_mut().find(is_same) {
                // The tokens of both are merged.
                Some(own) => own.placed = own.placed.max(marked.placed),
                // Also of connections that are lent and have written nothing yet: either scope may use them.
                None => state.marks.push(marked),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CountsWrites for ScopeWrites {
    fn keep_mark(&self, account: &WriteAccount, mark: &Arc<WriteMark>) {
        let mut state = self.state();
        if state.marks.iter().any(|marked| Arc::ptr_eq(&marked.mark, mark)) {
            return;
        }
        state.forget_placed();
        let (key, tenant, mark) = (account.key, account.tenant.clone(), Arc::clone(mark));
        state.marks.push(Marked { key, tenant, mark, placed: 0, is_told: false });
    }
}

/// Lets the statements on this connection that may write count for the scopes whose tasks run them, if the bind has replicas
/// to read from. If the connection is acquired in a scope, all of them count for that scope.
pub(in crate::registry) fn count_writes_for_scopes<B: Bind>(
    registry: &Registry,
    checkout: &Checkout<B::Connection>,
    tenant: Option<&Arc<str>>,
) {
    if checkout.has_replicas() {
        let key = if bind::has_key::<B>() { bind::key_of::<B>() } else { checkout.key() };
        let tenant = tenant.filter(|_| checkout.engine().is_of_one_tenant());
        checkout.count_writes(WriteAccount {
            registry: registry.number(),
            key,
            tenant: tenant.cloned(),
            current_scope: |registry| ScopeWrites::current_of(registry).map(|writes| writes as _),
        });
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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;
    use crate::engine::LentMark;

    impl ScopeWrites {
        /// A mark for a connection that is acquired in the scope.
        fn new_mark(&self, key: BindKey, tenant: Option<&Arc<str>>) -> LentMark {
            let lent = LentMark::new();
            let (registry, tenant) = (self.registry.number(), tenant.cloned());
            let account = WriteAccount { registry, key, tenant, current_scope: |_| None };
            for _ in 0..2 {
                self.keep_mark(&account, lent.shared());
            }
            lent
        }
    }

    fn key() -> BindKey {
        BindKey::new("shop").expect("a key")
    }

    fn writes() -> Arc<ScopeWrites> {
        let builder = Registry::builder().bind("shop", "sqlite::memory:");
        ScopeWrites::new(builder.build().expect("good settings"))
    }

    fn of_same_registry(other: &ScopeWrites) -> Arc<ScopeWrites> {
        ScopeWrites::new(other.registry.clone())
    }

    fn at(lsn: u64) -> Position {
        Position::Postgres { system: 1, timeline: 1, lsn }
    }

    #[test]
    fn what_a_unit_of_work_commits_needs_no_question() {
        let writes = writes();
        let lent = writes.new_mark(key(), None);
        assert_eq!((writes.has_written(), writes.token()), (false, Token::default()));
        lent.note_write();
        assert!(writes.has_written() && writes.has_unplaced(key(), None));
        assert_eq!(writes.token().to_string(), "shop:?");
        lent.note_position(&at(5));
        assert!(writes.has_written() && !writes.has_unplaced(key(), None));
        assert_eq!(writes.token().to_string(), "shop:p1.1.5");
        lent.note_write();
        assert_eq!(writes.token().to_string(), "shop:?");
        lent.note_position(&at(7));
        drop(lent);
        drop(writes.new_mark(key(), None));
        assert_eq!(writes.state().marks.len(), 1, "that of the returned connection is forgotten");
        assert_eq!(writes.token().to_string(), "shop:p1.1.7");
        assert!(writes.has_written());
    }

    #[test]
    fn what_was_rolled_back_is_no_write() {
        let writes = writes();
        let lent = writes.new_mark(key(), None);
        lent.note_write();
        lent.note_no_writes();
        assert_eq!((writes.has_written(), writes.token()), (false, Token::default()));
        lent.note_write();
        assert!(writes.has_written() && writes.has_unplaced(key(), None));
    }

    #[test]
    fn token_from_elsewhere_is_no_write_of_the_scope() {
        let writes = writes();
        let token: Token = "crm:p1.1.4~shop:?".parse().expect("a token");
        for _ in 0..2 {
            writes.read_after(&token);
            assert_eq!(writes.token(), token);
            assert_eq!(writes.state().marks.len(), 1);
        }
        assert!(writes.has_unplaced(key(), None) && !writes.has_written());
    }

    #[tokio::test]
    async fn scopes_inside_of_each_other_see_the_writes_on_sessions_of_both() {
        let outer = writes();
        let inner = of_same_registry(&outer);
        let of_outer = outer.new_mark(key(), None);
        let of_inner = outer
            .enter(inner.enter(async {
                assert!(!inner.has_unplaced(key(), None));
                // A session that was acquired before the inner scope was entered.
                of_outer.note_write();
                assert!(inner.has_unplaced(key(), None));
                of_outer.note_position(&at(5));
                inner.new_mark(key(), None)
            }))
            .await;
        assert!(!outer.has_unplaced(key(), None));
        // A session that outlives the scope which has acquired it.
        of_inner.note_write();
        assert!(outer.has_unplaced(key(), None));
    }

    #[tokio::test]
    async fn entering_scopes_again_and_again_multiplies_nothing() {
        let outer = writes();
        let lent = outer.new_mark(key(), None);
        lent.note_write();
        drop(lent);
        let kept = of_same_registry(&outer);
        for _ in 0..50 {
            let inner = of_same_registry(&outer);
            let both = async { kept.enter(inner.enter(async {})).await };
            outer.enter(both).await;
        }
        for writes in [&outer, &kept] {
            assert_eq!(writes.state().marks.len(), 1);
            assert!(writes.has_unplaced(key(), None));
        }
        for _ in 0..50 {
            let inner = of_same_registry(&outer);
            outer.enter(kept.enter(inner.enter(async { drop(inner.new_mark(key(), None)) }))).await;
        }
        assert!(outer.state().marks.len() <= 3 && kept.state().marks.len() <= 3);
    }

    #[tokio::test]
    async fn dropped_future_of_an_inner_scope_hands_its_writes_over() {
        let outer = writes();
        let inner = of_same_registry(&outer);
        outer
            .enter(async {
                let mut entered = pin!(inner.enter(async {
                    inner.new_mark(key(), None).note_write();
                    std::future::pending::<()>().await;
                }));
                assert!(entered.as_mut().now_or_never().is_none());
            })
            .await;
        assert!(outer.has_unplaced(key(), None));
    }

    #[tokio::test]
    async fn scope_of_another_registry_hides_no_scope() {
        let (own, other) = (writes(), writes());
        let found = own.enter(other.enter(async { ScopeWrites::current(&own.registry) })).await;
        assert!(found.is_some_and(|found| Arc::ptr_eq(&found, &own)));
        assert!(ScopeWrites::current(&own.registry).is_none());
    }
}
