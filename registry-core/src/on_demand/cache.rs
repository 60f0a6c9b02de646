//! The engines that are open, for many tasks at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::policy::{Counts, Engine, Leaving, Lru, Ticket, Turn};
use super::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// [`Lru`] under a lock, and those who wait for it.
///
/// The lock is never held while anything is opened, closed, dropped or woken.
pub(super) struct Shelf<K, N, E: Engine> {
    state: Mutex<State<K, N, E>>,
    /// How many engines are waited for. See [`Shelf::ask`] for the order in which it is written.
    waiting: AtomicUsize,
}

struct State<K, N, E: Engine> {
    lru: Lru<K, N, E>,
    places: HashMap<Ticket, Place<E>>,
    last: Ticket,
    is_closed: bool,
}

/// What somebody who has asked will hear.
enum Place<E: Engine> {
    Waiting(Option<Waker>),
    Granted(E::Use),
    Closed,
}

/// Which engines are open now that were not, and which are to be closed.
pub(super) struct Changes<E> {
    pub(super) opened: Vec<E>,
    pub(super) evicted: Vec<E>,
}

/// Nobody is lent an engine any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl<K: Clone + Eq + Hash, N: Eq + Hash, E: Engine> Shelf<K, N, E> {
    pub(super) fn new(max: NonZeroUsize, names: NonZeroUsize) -> Self {
        Self {
            state: Mutex::new(State {
                lru: Lru::new(max, names),
                places: HashMap::new(),
                last: 0,
                is_closed: false,
            }),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(super) fn find(&self, key: &K) -> Option<E::Use> {
        self.lock().lru.find(key)
    }

    pub(super) fn find_named(&self, name: &N) -> Option<E::Use> {
        self.lock().lru.find_named(name)
    }

    /// Takes a place in the queue for the engine of that identity, to be polled and then left.
    pub(super) fn ask(&self, key: K, engine: E) -> (Ticket, Changes<E>) {
        let mut state = self.lock();
        state.last += 1;
        let ticket = state.last;
        if state.is_closed {
            state.places.insert(ticket, Place::Closed);
            return (ticket, Changes { opened: Vec::new(), evicted: Vec::new() });
        }
        state.places.insert(ticket, Place::Waiting(None));
        // Said before anybody's use is looked at: whoever ends a use in between sees that it matters.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let turn = state.lru.ask(key, engine, ticket);
        (ticket, self.apply(state, turn))
    }

    /// Whether it is the turn of that ticket.
    pub(super) fn poll(
        &self,
        ticket: Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<E::Use, Closed>> {
        let mut state = self.lock();
        match state.places.remove(&ticket) {
            Some(Place::Granted(used)) => Poll::Ready(Ok(used)),
            Some(Place::Waiting(_)) => {
                state.places.insert(ticket, Place::Waiting(Some(cx.waker().clone())));
                Poll::Pending
            }
            Some(Place::Closed) | None => Poll::Ready(Err(Closed)),
        }
    }

    /// Gives a place up, whatever has become of it.
    pub(super) fn leave(&self, ticket: Ticket) {
        let mut state = self.lock();
        let place = state.places.remove(&ticket);
        if let Some(Place::Waiting(_)) = place {
            state.lru.leave(ticket);
            self.waiting.store(state.lru.waiting(), Ordering::SeqCst);
        }
        drop(state);
        // A use that ends here may need the lock.
        drop(place);
    }

    pub(super) fn name(&self, name: N, key: &K, until: Option<Instant>) {
        self.lock().lru.name(name, key, until);
    }

    pub(super) fn forget_name(&self, name: &N) -> Option<K> {
        self.lock().lru.forget_name(name)
    }

    /// The identities of the open engines that have such a name.
    pub(super) fn keys_named(&self, is_one: impl Fn(&N) -> bool) -> Vec<K> {
        let state = self.lock();
        let named = state.lru.names().filter(|(name, _)| is_one(name));
        named.map(|(_, key)| key.clone()).collect()
    }

    /// Whether somebody waits for an engine to be unused.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// An engine is not used any more.
    pub(super) fn look_again(&self) -> Changes<E> {
        let mut state = self.lock();
        let turn = state.lru.look_again();
        self.apply(state, turn)
    }

    /// Closes the engine that was least recently used, of those that nobody uses. It is
    /// [`Leaving::Closing`] then.
    pub(super) fn evict(&self) -> Option<E> {
        self.lock().lru.evict()
    }

    /// The last connection of an engine is closed.
    pub(super) fn left(&self, leaving: Leaving) -> Changes<E> {
        let mut state = self.lock();
        let turn = state.lru.left(leaving);
        self.apply(state, turn)
    }

    /// Closes the engines whose identity `is_due`, used or not. They are [`Leaving::Draining`] then.
    pub(super) fn close(&self, mut is_due: impl FnMut(&K) -> bool) -> Vec<E> {
        let mut state = self.lock();
        let due: Vec<K> =
            state.lru.iter().map(|(key, _)| key).filter(|key| is_due(key)).cloned().collect();
        due.iter().filter_map(|key| state.lru.close(key)).collect()
    }

    /// Closes the engines that have been unused for `limit`. They are [`Leaving::Closing`] then.
    pub(super) fn close_unused(&self, limit: Duration) -> Vec<E> {
        self.lock().lru.close_unused(limit, Instant::now())
    }

    /// Refuses everybody from now on, those who wait as well, and closes every engine.
    pub(super) fn close_all(&self) -> Vec<E> {
        let mut state = self.lock();
        state.is_closed = true;
        let tickets: Vec<Ticket> = state.places.keys().copied().collect();
        let mut wakers = Vec::new();
        for ticket in tickets {
            if let Some(Place::Waiting(waker)) = state.places.get_mut(&ticket) {
                wakers.extend(waker.take());
                state.places.insert(ticket, Place::Closed);
                state.lru.leave(ticket);
            }
        }
        self.waiting.store(0, Ordering::SeqCst);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.close(|_| true)
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().lru.counts()
    }

    /// How many wait, and how many engines have been closed with connections that are not.
    pub(super) fn waiting_and_leaving(&self) -> (usize, usize) {
        let state = self.lock();
        (
            state.places.values().filter(|place| matches!(place, Place::Waiting(_))).count(),
            state.lru.leaving(),
        )
    }

    /// Whether there is any engine, open or with connections that are not closed.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.lru.leaving() == 0 && state.lru.iter().next().is_none()
    }

    /// The engines that are open, the most recently used first, each with its names.
    pub(super) fn list(&self) -> Vec<(E, Vec<N>)>
    where
        N: Clone,
    {
        let state = self.lock();
        let mut names: HashMap<&K, Vec<N>> = HashMap::new();
        for (name, key) in state.lru.names() {
            names.entry(key).or_default().push(name.clone());
        }
        let open = state.lru.iter();
        open.map(|(key, engine)| (engine.clone(), names.remove(key).unwrap_or_default())).collect()
    }

    fn apply(&self, mut state: MutexGuard<'_, State<K, N, E>>, turn: Turn<E>) -> Changes<E> {
        let Turn { granted, opened, evicted } = turn;
        self.waiting.store(state.lru.waiting(), Ordering::SeqCst);
        let mut wakers = Vec::new();
        for (ticket, used) in granted {
            if let Some(Place::Waiting(waker)) = state.places.insert(ticket, Place::Granted(used)) {
                wakers.extend(waker);
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Changes { opened, evicted }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, N, E>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
