//! The open engines, shared by many tasks.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::policy::{CacheCounters, CachePolicy, CachedEngine, ClosedWhile, Decision, WaiterId};
use super::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// A [`CachePolicy`] under a lock, and the callers that wait for an engine. `K` is the identity of an engine, `A` an
/// alias by which an open engine is looked up, and `E` the engine.
///
/// No engine is opened, closed or dropped, and no waker is called, while the lock is held, because each of these may
/// call back into the cache.
pub(super) struct EngineCache<K, A, E: CachedEngine> {
    state: Mutex<State<K, A, E>>,
    /// The number of engines that callers wait for. It can be read without the lock. [`EngineCache::request`] explains
    /// the order of the writes.
    queued: AtomicUsize,
}

struct State<K, A, E: CachedEngine> {
    policy: CachePolicy<K, A, E>,
    waiters: HashMap<WaiterId, WaiterState<E>>,
    last_waiter: WaiterId,
    is_closed: bool,
}

/// The state of a waiter's request.
enum WaiterState<E: CachedEngine> {
    /// In the queue, with the waker of the latest poll.
    Waiting(Option<Waker>),
    /// The engine is open, and the waiter has not been polled since. Dropping this ends the use.
    Granted(E::Use),
    /// The cache was closed.
    Closed,
}

/// The engines that the caller must report as opened, and the engines that it must close.
pub(super) struct EngineChanges<E> {
    pub(super) opened: Vec<E>,
    pub(super) evicted: Vec<E>,
}

/// How a request was begun.
pub(super) struct Requested<E> {
    pub(super) waiter: WaiterId,
    /// Whether the engine was open already.
    pub(super) is_hit: bool,
    pub(super) changes: EngineChanges<E>,
}

/// The error of a request to a closed cache.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl<K: Clone + Eq + Hash, A: Eq + Hash, E: CachedEngine> EngineCache<K, A, E> {
    pub(super) fn new(max_engines: NonZeroUsize, max_aliases: NonZeroUsize) -> Self {
        Self {
            state: Mutex::new(State {
                policy: CachePolicy::new(max_engines, max_aliases),
                waiters: HashMap::new(),
                last_waiter: 0,
                is_closed: false,
            }),
            queued: AtomicUsize::new(0),
        }
    }

    pub(super) fn find(&self, identity: &K) -> Option<E::Use> {
        self.lock().policy.find(identity)
    }

    pub(super) fn find_by_alias(&self, alias: &A) -> Option<E::Use> {
        self.lock().policy.find_by_alias(alias)
    }

    /// Requests the engine with this `identity`. `engine` is used if none is open yet. The caller
    /// [polls](Self::poll_granted) the waiter until it is granted an engine, and always [cancels](Self::cancel) it in
    /// the end.
    pub(super) fn request(&self, identity: K, engine: E) -> Requested<E> {
        let mut state = self.lock();
        state.last_waiter += 1;
        let waiter = state.last_waiter;
        if state.is_closed {
            state.waiters.insert(waiter, WaiterState::Closed);
            let changes = EngineChanges { opened: Vec::new(), evicted: Vec::new() };
            return Requested { waiter, is_hit: false, changes };
        }
        state.waiters.insert(waiter, WaiterState::Waiting(None));
        // Dekker handshake with `UseCount::end`: here we count a waiter in `queued`, and then the policy reads the use
        // counts; `UseCount::end` decrements the use count, and then reads `queued`. With SeqCst at least one side sees
        // the other, so no engine stays unused while a caller waits for room.
        self.queued.fetch_add(1, Ordering::SeqCst);
        let hits = state.policy.counters().hits;
        let decision = state.policy.request(identity, engine, waiter);
        let is_hit = state.policy.counters().hits > hits;
        Requested { waiter, is_hit, changes: self.apply(state, decision) }
    }

    /// Is ready when the waiter has been granted its engine, or when the cache is closed.
    pub(super) fn poll_granted(
        &self,
        waiter: WaiterId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<E::Use, Closed>> {
        let mut state = self.lock();
        match state.waiters.remove(&waiter) {
            Some(WaiterState::Granted(granted)) => Poll::Ready(Ok(granted)),
            Some(WaiterState::Waiting(_)) => {
                state.waiters.insert(waiter, WaiterState::Waiting(Some(cx.waker().clone())));
                Poll::Pending
            }
            Some(WaiterState::Closed) | None => Poll::Ready(Err(Closed)),
        }
    }

    /// Removes a waiter in any state. If it was granted a use and has not taken it, the use ends.
    pub(super) fn cancel(&self, waiter: WaiterId) {
        let mut state = self.lock();
        let removed = state.waiters.remove(&waiter);
        if let Some(WaiterState::Waiting(_)) = removed {
            state.policy.cancel(waiter);
            self.queued.store(state.policy.queued(), Ordering::SeqCst);
        }
        drop(state);
        // This is dropped after the unlock, because the end of a use may take the lock.
        drop(removed);
    }

    pub(super) fn add_alias(&self, alias: A, identity: &K, until: Option<Instant>) {
        self.lock().policy.add_alias(alias, identity, until);
    }

    pub(super) fn remove_alias(&self, alias: &A) -> Option<K> {
        self.lock().policy.remove_alias(alias)
    }

    /// The identities of the open engines that have an alias for which `is_match` is true.
    pub(super) fn identities_by_alias(&self, is_match: impl Fn(&A) -> bool) -> Vec<K> {
        let state = self.lock();
        let matches = state.policy.aliases().filter(|(alias, _)| is_match(alias));
        matches.map(|(_, identity)| identity.clone()).collect()
    }

    /// Whether a caller waits for room. If so, the end of a use must call [`reevaluate`](Self::reevaluate).
    pub(super) fn is_waited_for(&self) -> bool {
        self.queued.load(Ordering::SeqCst) > 0
    }

    /// Asks the policy again, after an engine has become unused.
    pub(super) fn reevaluate(&self) -> EngineChanges<E> {
        let mut state = self.lock();
        let decision = state.policy.reevaluate();
        self.apply(state, decision)
    }

    /// Removes the least recently used of the unused engines. Report it as [`ClosedWhile::Unused`] when its connections
    /// are closed.
    pub(super) fn evict(&self) -> Option<E> {
        self.lock().policy.evict()
    }

    /// Call this when the last connection of a closed engine has been closed.
    pub(super) fn fully_closed(&self, closed: ClosedWhile) -> EngineChanges<E> {
        let mut state = self.lock();
        let decision = state.policy.fully_closed(closed);
        self.apply(state, decision)
    }

    /// Removes the engines whose identity `is_due` selects, whether they are used or not. Report each as
    /// [`ClosedWhile::InUse`] when its connections are closed.
    pub(super) fn close(&self, mut is_due: impl FnMut(&K) -> bool) -> Vec<E> {
        let mut state = self.lock();
        let due: Vec<K> = state
            .policy
            .iter()
            .map(|(identity, _)| identity)
            .filter(|identity| is_due(identity))
            .cloned()
            .collect();
        due.iter().filter_map(|identity| state.policy.close(identity)).collect()
    }

    /// Removes the engines that have been unused for `limit`. Report each as [`ClosedWhile::Unused`] when its
    /// connections are closed.
    pub(super) fn close_unused(&self, limit: Duration) -> Vec<E> {
        self.lock().policy.close_unused(limit, Instant::now())
    }

    /// Refuses every request from now on, including the waiting ones, and removes all engines. Report each as
    /// [`ClosedWhile::InUse`] when its connections are closed.
    pub(super) fn close_all(&self) -> Vec<E> {
        let mut state = self.lock();
        state.is_closed = true;
        let waiters: Vec<WaiterId> = state.waiters.keys().copied().collect();
        let mut wakers = Vec::new();
        for waiter in waiters {
            if let Some(WaiterState::Waiting(waker)) = state.waiters.get_mut(&waiter) {
                wakers.extend(waker.take());
                state.waiters.insert(waiter, WaiterState::Closed);
                state.policy.cancel(waiter);
            }
        }
        self.queued.store(0, Ordering::SeqCst);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.close(|_| true)
    }

    pub(super) fn counters(&self) -> CacheCounters {
        self.lock().policy.counters()
    }

    /// The number of waiting callers.
    pub(super) fn waiting(&self) -> usize {
        let state = self.lock();
        let waiting = |waiter: &&WaiterState<E>| matches!(waiter, WaiterState::Waiting(_));
        state.waiters.values().filter(waiting).count()
    }

    /// The number of closed engines that still have connections.
    pub(super) fn closing(&self) -> usize {
        self.lock().policy.closing()
    }

    /// Whether there is no engine at all, neither an open one nor one that is being closed.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.policy.closing() == 0 && state.policy.iter().next().is_none()
    }

    /// The open engines, the most recently used first, each with its aliases.
    pub(super) fn engines_with_aliases(&self) -> Vec<(E, Vec<A>)>
    where
        A: Clone,
    {
        let state = self.lock();
        let mut aliases: HashMap<&K, Vec<A>> = HashMap::new();
        for (alias, identity) in state.policy.aliases() {
            aliases.entry(identity).or_default().push(alias.clone());
        }
        let open = state.policy.iter();
        open.map(|(identity, engine)| {
            (engine.clone(), aliases.remove(identity).unwrap_or_default())
        })
        .collect()
    }

    /// Hands granted engines to their waiters, unlocks, and then wakes the waiters.
    fn apply(
        &self,
        mut state: MutexGuard<'_, State<K, A, E>>,
        decision: Decision<E>,
    ) -> EngineChanges<E> {
        let Decision { granted, opened, evicted } = decision;
        self.queued.store(state.policy.queued(), Ordering::SeqCst);
        let mut wakers = Vec::new();
        for (waiter, granted) in granted {
            let before = state.waiters.insert(waiter, WaiterState::Granted(granted));
            if let Some(WaiterState::Waiting(waker)) = before {
                wakers.extend(waker);
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        EngineChanges { opened, evicted }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, A, E>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
