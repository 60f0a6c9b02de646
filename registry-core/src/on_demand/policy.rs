//! Which engines are open, who is next, and which must go: the rules, without input, output or clock.
//!
//! An engine counts until its last connection is closed. So there are three kinds that take up room: those
//! that are open, those that are `closing` because nobody used them, and those that are `draining` because
//! somebody closed them under their users.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

/// What the rules need to know of an engine.
pub(super) trait Engine: Clone {
    /// Lets nobody close it for want of use, as long as it lives.
    type Use;

    fn begin_use(&self) -> Self::Use;

    fn is_used(&self) -> bool;

    /// Whether it ever had a session.
    fn has_lent(&self) -> bool;
}

/// Somebody who waits for an engine.
pub(super) type Ticket = u64;

/// Why an engine that is no longer open still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Nobody used it: it is gone as soon as its idle connections are.
    Closing,
    /// It was closed while it was used.
    Draining,
}

/// What has become of a call: who has an engine now, which are open, and which are to be closed.
pub(super) struct Turn<E: Engine> {
    pub(super) granted: Vec<(Ticket, E::Use)>,
    pub(super) opened: Vec<E>,
    pub(super) evicted: Vec<E>,
}

impl<E: Engine> Turn<E> {
    fn new() -> Self {
        Self { granted: Vec::new(), opened: Vec::new(), evicted: Vec::new() }
    }
}

/// How often engines were found, opened and closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) evictions: u64,
    pub(super) expired: u64,
}

/// The engines that are open, by identity `K` and by the names `N` under which they are asked for.
pub(super) struct Lru<K, N, E> {
    max: usize,
    open: LruCache<Id, Open<K, E>>,
    ids: HashMap<K, Id>,
    /// A name may outlive its engine: an id is never used again.
    names: LruCache<N, Named>,
    /// Counted here, as a cache with a bound of its own would take all its room at once.
    max_names: usize,
    closing: usize,
    draining: usize,
    /// First come, first served. Whoever waits for the same engine waits together.
    queue: VecDeque<Waiting<K, E>>,
    last: Id,
    counts: Counts,
}

/// An engine that was opened.
type Id = u64;

struct Open<K, E> {
    key: K,
    engine: E,
    /// How often it was asked for.
    asked: u64,
    /// When it was first seen unused, and how often it had been asked for by then.
    unused: Option<(u64, Instant)>,
}

struct Named {
    id: Id,
    until: Option<Instant>,
}

struct Waiting<K, E> {
    key: K,
    /// Not open yet: it has no connection and lends none.
    engine: E,
    tickets: Vec<Ticket>,
}

impl<K: Clone + Eq + Hash, N: Eq + Hash, E: Engine> Lru<K, N, E> {
    /// At most `max` engines, and `names` names that are remembered.
    pub(super) fn new(max: NonZeroUsize, names: NonZeroUsize) -> Self {
        Self {
            max: max.get(),
            open: LruCache::unbounded(),
            ids: HashMap::new(),
            names: LruCache::unbounded(),
            max_names: names.get(),
            closing: 0,
            draining: 0,
            queue: VecDeque::new(),
            last: 0,
            counts: Counts::default(),
        }
    }

    /// The engine of that identity, if it is open.
    pub(super) fn find(&mut self, key: &K) -> Option<E::Use> {
        let id = *self.ids.get(key)?;
        self.found(id)
    }

    /// The engine of that name, if it is open and the name still holds.
    pub(super) fn find_named(&mut self, name: &N) -> Option<E::Use> {
        let Named { id, until } = *self.names.get(name)?;
        if until.is_some_and(|until| until <= Instant::now()) {
            return None;
        }
        self.found(id)
    }

    fn found(&mut self, id: Id) -> Option<E::Use> {
        let open = self.open.get_mut(&id)?;
        open.asked += 1;
        self.counts.hits += 1;
        Some(open.engine.begin_use())
    }

    /// Asks for the engine of that identity: it is found or opened now, or when others have gone.
    pub(super) fn ask(&mut self, key: K, engine: E, ticket: Ticket) -> Turn<E> {
        let mut turn = Turn::new();
        if let Some(found) = self.find(&key) {
            turn.granted.push((ticket, found));
            return turn;
        }
        self.counts.misses += 1;
        match self.queue.iter_mut().find(|waiting| waiting.key == key) {
            Some(waiting) => waiting.tickets.push(ticket),
            None => self.queue.push_back(Waiting { key, engine, tickets: vec![ticket] }),
        }
        self.settle(&mut turn);
        turn
    }

    /// Gives up waiting.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        for waiting in &mut self.queue {
            waiting.tickets.retain(|other| *other != ticket);
        }
        self.queue.retain(|waiting| !waiting.tickets.is_empty());
    }

    /// Remembers that the engine of that identity, if it is open, goes by `name` as well.
    pub(super) fn name(&mut self, name: N, key: &K, until: Option<Instant>) {
        if let Some(id) = self.ids.get(key) {
            self.names.put(name, Named { id: *id, until });
            if self.names.len() > self.max_names {
                self.names.pop_lru();
            }
        }
    }

    /// Forgets a name, and says whose it was.
    pub(super) fn forget_name(&mut self, name: &N) -> Option<K> {
        let Named { id, .. } = self.names.pop(name)?;
        self.open.peek(&id).map(|open| open.key.clone())
    }

    /// Something has changed: an engine is unused, or has gone.
    pub(super) fn look_again(&mut self) -> Turn<E> {
        let mut turn = Turn::new();
        self.settle(&mut turn);
        turn
    }

    /// The last connection of an engine is closed.
    pub(super) fn left(&mut self, leaving: Leaving) -> Turn<E> {
        match leaving {
            Leaving::Closing => self.closing -= 1,
            Leaving::Draining => self.draining -= 1,
        }
        self.look_again()
    }

    /// Closes the engine of that identity, whether it is used or not.
    pub(super) fn close(&mut self, key: &K) -> Option<E> {
        let id = *self.ids.get(key)?;
        self.draining += 1;
        self.unlink(id)
    }

    /// Closes those that have been unused for `limit`, as far as was seen at earlier calls.
    pub(super) fn close_unused(&mut self, limit: Duration, now: Instant) -> Vec<E> {
        let mut due = Vec::new();
        for (id, open) in &mut self.open {
            match open.unused {
                _ if open.engine.is_used() => open.unused = None,
                Some((asked, since)) if asked == open.asked => {
                    if now.saturating_duration_since(since) >= limit {
                        due.push(*id);
                    }
                }
                _ => open.unused = Some((open.asked, now)),
            }
        }
        self.closing += due.len();
        self.counts.expired += due.len() as u64;
        due.into_iter().filter_map(|id| self.unlink(id)).collect()
    }

    /// Closes the engine that was least recently used, of those that nobody uses.
    pub(super) fn evict(&mut self) -> Option<E> {
        let id = self.least_recently_used()?;
        self.closing += 1;
        self.counts.evictions += 1;
        self.unlink(id)
    }

    /// Hands out the room that there is, and makes as much as is waited for.
    fn settle(&mut self, turn: &mut Turn<E>) {
        // One that could not be opened is not kept. It is among those asked for last.
        let failed =
            |(_, open): &(&Id, &Open<K, E>)| !open.engine.is_used() && !open.engine.has_lent();
        while let Some(id) = self.open.iter().find(failed).map(|(id, _)| *id) {
            self.closing += 1;
            turn.evicted.extend(self.unlink(id));
        }
        while self.open.len() + self.closing + self.draining < self.max
            && let Some(next) = self.queue.pop_front()
        {
            self.open(next, turn);
        }
        while self.queue.len() > self.closing
            && let Some(evicted) = self.evict()
        {
            turn.evicted.push(evicted);
        }
    }

    fn open(&mut self, next: Waiting<K, E>, turn: &mut Turn<E>) {
        let Waiting { key, engine, tickets } = next;
        self.last += 1;
        turn.granted.extend(tickets.into_iter().map(|ticket| (ticket, engine.begin_use())));
        turn.opened.push(engine.clone());
        self.ids.insert(key.clone(), self.last);
        self.open.put(self.last, Open { key, engine, asked: 0, unused: None });
    }

    /// Of those that nobody uses.
    fn least_recently_used(&self) -> Option<Id> {
        let mut unused = self.open.iter().rev().filter(|(_, open)| !open.engine.is_used());
        unused.next().map(|(id, _)| *id)
    }

    fn unlink(&mut self, id: Id) -> Option<E> {
        let open = self.open.pop(&id)?;
        self.ids.remove(&open.key);
        Some(open.engine)
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many engines have been closed, with connections that are not.
    pub(super) fn leaving(&self) -> usize {
        self.closing + self.draining
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The engines that are open, the most recently used first, each with its identity.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &E)> {
        self.open.iter().map(|(_, open)| (&open.key, &open.engine))
    }

    /// The names that hold, of the engines that are open.
    pub(super) fn names(&self) -> impl Iterator<Item = (&N, &K)> {
        let names = self.names.iter();
        names.filter_map(|(name, named)| Some((name, &self.open.peek(&named.id)?.key)))
    }
}
