//! The engines that are open, for many tasks at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::policy::{CacheCounters, CachePolicy, CachedEngine, ClosedWhile, Decision, WaiterId};
use super::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// [`CachePolicy`] under a lock, and those who wait for it.
///
/// The lock is never held while anything is opened, closed, dropped or woken.
pub(super) struct EngineCache<K, N, E: CachedEngine> {
    state: Mutex<State<K, N, E>>,
    /// How many engines are waited for. See [`EngineCache::ask`] for the order in which it is written.
    waiting: AtomicUsize,
}

struct State<K, N, E: CachedEngine> {
    policy: CachePolicy<K, N, E>,
    places: HashMap<WaiterId, Place<E>>,
    last: WaiterId,
    is_closed: bool,
}

/// What somebody who has asked will hear.
enum Place<E: CachedEngine> {
    Waiting(Option<Waker>),
    Granted(E::Use),
    Closed,
}

/// Which engines are open now that were not, and which are to be closed.
pub(super) struct EngineChanges<E> {
    pub(super) opened: Vec<E>,
    pub(super) evicted: Vec<E>,
}

/// Nobody is lent an engine any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl<K: Clone + Eq + Hash, N: Eq + Hash, E: CachedEngine> EngineCache<K, N, E> {
    pub(super) fn new(max: NonZeroUsize, names: NonZeroUsize) -> Self {
        Self {
            state: Mutex::new(State {
                policy: CachePolicy::new(max, names),
                places: HashMap::new(),
                last: 0,
                is_closed: false,
            }),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(super) fn find(&self, key: &K) -> Option<E::Use> {
        self.lock().policy.find(key)
    }

    pub(super) fn find_by_alias(&self, name: &N) -> Option<E::Use> {
        self.lock().policy.find_by_alias(name)
    }

    /// Takes a place in the queue for the engine of that identity, to be polled and then left.
    pub(super) fn request(&self, key: K, engine: E) -> (WaiterId, EngineChanges<E>) {
        let mut state = self.lock();
        state.last += 1;
        let waiter = state.last;
        if state.is_closed {
            state.places.insert(waiter, Place::Closed);
            return (waiter, EngineChanges { opened: Vec::new(), evicted: Vec::new() });
        }
        state.places.insert(waiter, Place::Waiting(None));
        // Said before anybody's use is looked at: whoever ends a use in between sees that it matters.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let decision = state.policy.request(key, engine, waiter);
        (waiter, self.apply(state, decision))
    }

    /// Whether it is the decision of that waiter.
    pub(super) fn poll(
        &self,
        waiter: WaiterId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<E::Use, Closed>> {
        let mut state = self.lock();
        match state.places.remove(&waiter) {
            Some(Place::Granted(used)) => Poll::Ready(Ok(used)),
            Some(Place::Waiting(_)) => {
                state.places.insert(waiter, Place::Waiting(Some(cx.waker().clone())));
                Poll::Pending
            }
            Some(Place::Closed) | None => Poll::Ready(Err(Closed)),
        }
    }

    /// Gives a place up, whatever has become of it.
    pub(super) fn leave(&self, waiter: WaiterId) {
        let mut state = self.lock();
        let place = state.places.remove(&waiter);
        if let Some(Place::Waiting(_)) = place {
            state.policy.leave(waiter);
            self.waiting.store(state.policy.waiting(), Ordering::SeqCst);
        }
        drop(state);
        // A use that ends here may need the lock.
        drop(place);
    }

    pub(super) fn add_alias(&self, name: N, key: &K, until: Option<Instant>) {
        self.lock().policy.add_alias(name, key, until);
    }

    pub(super) fn remove_alias(&self, name: &N) -> Option<K> {
        self.lock().policy.remove_alias(name)
    }

    /// The identities of the open engines that have such a name.
    pub(super) fn keys_by_alias(&self, is_one: impl Fn(&N) -> bool) -> Vec<K> {
        let state = self.lock();
        let named = state.policy.names().filter(|(name, _)| is_one(name));
        named.map(|(_, key)| key.clone()).collect()
    }

    /// Whether somebody waits for an engine to be unused.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// An engine is not used any more.
    pub(super) fn reevaluate(&self) -> EngineChanges<E> {
        let mut state = self.lock();
        let decision = state.policy.reevaluate();
        self.apply(state, decision)
    }

    /// Closes the engine that was least recently used, of those that nobody uses. It is
    /// [`ClosedWhile::Unused`] then.
    pub(super) fn evict(&self) -> Option<E> {
        self.lock().policy.evict()
    }

    /// The last connection of an engine is closed.
    pub(super) fn left(&self, leaving: ClosedWhile) -> EngineChanges<E> {
        let mut state = self.lock();
        let decision = state.policy.left(leaving);
        self.apply(state, decision)
    }

    /// Closes the engines whose identity `is_due`, used or not. They are [`ClosedWhile::InUse`] then.
    pub(super) fn close(&self, mut is_due: impl FnMut(&K) -> bool) -> Vec<E> {
        let mut state = self.lock();
        let due: Vec<K> =
            state.policy.iter().map(|(key, _)| key).filter(|key| is_due(key)).cloned().collect();
        due.iter().filter_map(|key| state.policy.close(key)).collect()
    }

    /// Closes the engines that have been unused for `limit`. They are [`ClosedWhile::Unused`] then.
    pub(super) fn close_unused(&self, limit: Duration) -> Vec<E> {
        self.lock().policy.close_unused(limit, Instant::now())
    }

    /// Refuses everybody from now on, those who wait as well, and closes every engine.
    pub(super) fn close_all(&self) -> Vec<E> {
        let mut state = self.lock();
        state.is_closed = true;
        let waiters: Vec<WaiterId> = state.places.keys().copied().collect();
        let mut wakers = Vec::new();
        for waiter in waiters {
            if let Some(Place::Waiting(waker)) = state.places.get_mut(&waiter) {
                wakers.extend(waker.take());
                state.places.insert(waiter, Place::Closed);
                state.policy.leave(waiter);
            }
        }
        self.waiting.store(0, Ordering::SeqCst);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.close(|_| true)
    }

    pub(super) fn counters(&self) -> CacheCounters {
        self.lock().policy.counters()
    }

    /// How many wait, and how many engines have been closed with connections that are not.
    pub(super) fn waiting_and_leaving(&self) -> (usize, usize) {
        let state = self.lock();
        (
            state.places.values().filter(|place| matches!(place, Place::Waiting(_))).count(),
            state.policy.leaving(),
        )
    }

    /// Whether there is any engine, open or with connections that are not closed.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.policy.leaving() == 0 && state.policy.iter().next().is_none()
    }

    /// The engines that are open, the most recently used first, each with its names.
    pub(super) fn list(&self) -> Vec<(E, Vec<N>)>
    where
        N: Clone,
    {
        let state = self.lock();
        let mut names: HashMap<&K, Vec<N>> = HashMap::new();
        for (name, key) in state.policy.names() {
            names.entry(key).or_default().push(name.clone());
        }
        let open = state.policy.iter();
        open.map(|(key, engine)| (engine.clone(), names.remove(key).unwrap_or_default())).collect()
    }

    fn apply(
        &self,
        mut state: MutexGuard<'_, State<K, N, E>>,
        decision: Decision<E>,
    ) -> EngineChanges<E> {
        let Decision { granted, opened, evicted } = decision;
        self.waiting.store(state.policy.waiting(), Ordering::SeqCst);
        let mut wakers = Vec::new();
        for (waiter, used) in granted {
            if let Some(Place::Waiting(waker)) = state.places.insert(waiter, Place::Granted(used)) {
                wakers.extend(waker);
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        EngineChanges { opened, evicted }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, N, E>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
