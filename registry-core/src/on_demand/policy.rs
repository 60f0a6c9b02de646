//! The rules of the engine cache: capacity, least recently used order, the queue of waiters and eviction.
//!
//! This is a state machine without I/O, locks, wakers or a clock of its own (only the expiry of an alias reads
//! the time), so that `policy_tests` can drive it with random operations. [`cache`](super::cache) puts it under
//! a lock.
//!
//! An engine counts against the capacity until its last connection is closed. So three kinds of engines count: open
//! engines, engines that were closed while unused, and engines that were closed while in use ([`ClosedWhile`]).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

/// The operations that the policy needs of an engine.
pub(super) trait CachedEngine: Clone {
    /// A guard: while it lives, the engine is neither evicted nor closed as idle.
    type Use;

    fn begin_use(&self) -> Self::Use;

    fn is_used(&self) -> bool;

    /// Whether a connection of the engine was ever checked out. If not, and the engine is unused, it could not connect.
    fn had_checkout(&self) -> bool;
}

/// A caller that waits for an engine.
pub(super) type WaiterId = u64;

/// How an engine was closed. It still counts against the capacity until its last connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClosedWhile {
    /// The engine was unused. Its room is free as soon as its idle connections are closed, so the policy does not evict
    /// a second engine for the same waiter.
    Unused,
    /// The engine may have lent sessions. It is unknown when they will be returned.
    InUse,
}

/// The decisions of one call to the policy. The caller carries them out: it wakes waiters, and opens and closes
/// engines.
pub(super) struct Decision<E: CachedEngine> {
    pub(super) granted: Vec<(WaiterId, E::Use)>,
    pub(super) opened: Vec<E>,
    pub(super) evicted: Vec<E>,
}

impl<E: CachedEngine> Decision<E> {
    fn new() -> Self {
        Self { granted: Vec::new(), opened: Vec::new(), evicted: Vec::new() }
    }
}

/// How often engines were found, opened and closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CacheCounters {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) evictions: u64,
    pub(super) expired: u64,
}

/// The open engines `E`, by their identity `K` and by the aliases `A` by which they are looked up.
pub(super) struct CachePolicy<K, A, E> {
    max_engines: usize,
    open: LruCache<EngineId, OpenEngine<K, E>>,
    ids: HashMap<K, EngineId>,
    aliases: LruCache<A, AliasTarget>,
    /// Enforced here, because a bounded `LruCache` allocates its whole capacity when it is created.
    max_aliases: usize,
    /// How many engines were [`ClosedWhile::Unused`] and still have connections.
    closing_unused: usize,
    /// How many engines were [`ClosedWhile::InUse`] and still have connections.
    closing_in_use: usize,
    /// First come, first served, with one entry for each engine: callers that wait for the same engine share it
    /// (single flight).
    queue: VecDeque<QueuedEngine<K, E>>,
    last_id: EngineId,
    counters: CacheCounters,
}

/// Numbers the engines in the order in which they were opened. An alias may outlive its engine, so an id is never
/// used again.
type EngineId = u64;

struct OpenEngine<K, E> {
    identity: K,
    engine: E,
    lookups: u64,
    /// The time since which the engine is known to be unused.
    unused: Option<UnusedSince>,
}

/// An observation that an engine is unused. It is valid while `lookups` is unchanged, because then the engine has not
/// been used since.
struct UnusedSince {
    lookups: u64,
    at: Instant,
}

struct AliasTarget {
    id: EngineId,
    until: Option<Instant>,
}

struct QueuedEngine<K, E> {
    identity: K,
    /// An engine that is not open yet: it has no connection, and has lent none.
    engine: E,
    waiters: Vec<WaiterId>,
}

impl<K: Clone + Eq + Hash, A: Eq + Hash, E: CachedEngine> CachePolicy<K, A, E> {
    /// A policy for `max_engines` engines at most, which remembers up to `max_aliases` aliases.
    pub(super) fn new(max_engines: NonZeroUsize, max_aliases: NonZeroUsize) -> Self {
        Self {
            max_engines: max_engines.get(),
            open: LruCache::unbounded(),
            ids: HashMap::new(),
            aliases: LruCache::unbounded(),
            max_aliases: max_aliases.get(),
            closing_unused: 0,
            closing_in_use: 0,
            queue: VecDeque::new(),
            last_id: 0,
            counters: CacheCounters::default(),
        }
    }

    /// The engine with this `identity`, if it is open.
    pub(super) fn find(&mut self, identity: &K) -> Option<E::Use> {
        let id = *self.ids.get(identity)?;
        self.begin_use(id)
    }

    /// The engine with this `alias`, if the engine is open and the alias has not expired.
    pub(super) fn find_by_alias(&mut self, alias: &A) -> Option<E::Use> {
        let AliasTarget { id, until } = *self.aliases.get(alias)?;
        if until.is_some_and(|until| until <= Instant::now()) {
            return None;
        }
        self.begin_use(id)
    }

    fn begin_use(&mut self, id: EngineId) -> Option<E::Use> {
        let open = self.open.get_mut(&id)?;
        open.lookups += 1;
        self.counters.hits += 1;
        Some(open.engine.begin_use())
    }

    /// Requests the engine with this `identity`. It is granted now if it is open or there is room. Otherwise it is
    /// granted when there is room.
    pub(super) fn request(&mut self, identity: K, engine: E, waiter: WaiterId) -> Decision<E> {
        let mut decision = Decision::new();
        if let Some(found) = self.find(&identity) {
            decision.granted.push((waiter, found));
            return decision;
        }
        self.counters.misses += 1;
        match self.queue.iter_mut().find(|queued| queued.identity == identity) {
            Some(queued) => queued.waiters.push(waiter),
            None => self.queue.push_back(QueuedEngine { identity, engine, waiters: vec![waiter] }),
        }
        self.balance(&mut decision);
        decision
    }

    /// Removes a waiter from the queue, and also its engine, if no other waiter waits for that engine.
    pub(super) fn cancel(&mut self, waiter: WaiterId) {
        for queued in &mut self.queue {
            queued.waiters.retain(|other| *other != waiter);
        }
        self.queue.retain(|queued| !queued.waiters.is_empty());
    }

    /// Remembers an alias of the engine with this `identity`, if the engine is open.
    pub(super) fn add_alias(&mut self, alias: A, identity: &K, until: Option<Instant>) {
        if let Some(id) = self.ids.get(identity) {
            self.aliases.put(alias, AliasTarget { id: *id, until });
            if self.aliases.len() > self.max_aliases {
                self.aliases.pop_lru();
            }
        }
    }

    /// Forgets an alias, and returns the identity of its engine if the engine is open.
    pub(super) fn remove_alias(&mut self, alias: &A) -> Option<K> {
        let AliasTarget { id, .. } = self.aliases.pop(alias)?;
        self.open.peek(&id).map(|open| open.identity.clone())
    }

    /// Decides again. Call this after an engine has become unused or was closed.
    pub(super) fn reevaluate(&mut self) -> Decision<E> {
        let mut decision = Decision::new();
        self.balance(&mut decision);
        decision
    }

    /// Call this when the last connection of a closed engine has been closed: the engine does not count any more.
    pub(super) fn fully_closed(&mut self, closed: ClosedWhile) -> Decision<E> {
        match closed {
            ClosedWhile::Unused => self.closing_unused -= 1,
            ClosedWhile::InUse => self.closing_in_use -= 1,
        }
        self.reevaluate()
    }

    /// Closes the engine with this `identity`, whether it is used or not. It counts as [`ClosedWhile::InUse`].
    pub(super) fn close(&mut self, identity: &K) -> Option<E> {
        let id = *self.ids.get(identity)?;
        self.closing_in_use += 1;
        self.unlink(id)
    }

    /// Closes the engines that an earlier call has seen unused and that have been unused for `limit` since. They count
    /// as [`ClosedWhile::Unused`].
    pub(super) fn close_unused(&mut self, limit: Duration, now: Instant) -> Vec<E> {
        let mut due = Vec::new();
        for (id, open) in &mut self.open {
            match &open.unused {
                _ if open.engine.is_used() => open.unused = None,
                Some(since) if since.lookups == open.lookups => {
                    if now.saturating_duration_since(since.at) >= limit {
                        due.push(*id);
                    }
                }
                _ => open.unused = Some(UnusedSince { lookups: open.lookups, at: now }),
            }
        }
        self.closing_unused += due.len();
        self.counters.expired += due.len() as u64;
        due.into_iter().filter_map(|id| self.unlink(id)).collect()
    }

    /// Closes the least recently used of the unused engines. It counts as [`ClosedWhile::Unused`].
    pub(super) fn evict(&mut self) -> Option<E> {
        let id = self.least_recently_used()?;
        self.closing_unused += 1;
        self.counters.evictions += 1;
        self.unlink(id)
    }

    /// Grants free room to waiters, and evicts as many engines as there are queued engines without room.
    fn balance(&mut self, decision: &mut Decision<E>) {
        self.close_failed(decision);
        while self.has_room()
            && let Some(next) = self.queue.pop_front()
        {
            self.open(next, decision);
        }
        // Each engine in `closing_unused` will make room for one waiter soon.
        while self.queue.len() > self.closing_unused
            && let Some(evicted) = self.evict()
        {
            decision.evicted.push(evicted);
        }
    }

    /// Closes the engines that could not connect: they are unused, and none of their connections was ever checked out.
    /// (The most recently used come first, so one that has just failed is found soon.)
    fn close_failed(&mut self, decision: &mut Decision<E>) {
        let failed = |(_, open): &(&EngineId, &OpenEngine<K, E>)| {
            !open.engine.is_used() && !open.engine.had_checkout()
        };
        while let Some(id) = self.open.iter().find(failed).map(|(id, _)| *id) {
            self.closing_unused += 1;
            decision.evicted.extend(self.unlink(id));
        }
    }

    fn has_room(&self) -> bool {
        self.open.len() + self.closing() < self.max_engines
    }

    fn open(&mut self, next: QueuedEngine<K, E>, decision: &mut Decision<E>) {
        let QueuedEngine { identity, engine, waiters } = next;
        self.last_id += 1;
        decision.granted.extend(waiters.into_iter().map(|waiter| (waiter, engine.begin_use())));
        decision.opened.push(engine.clone());
        self.ids.insert(identity.clone(), self.last_id);
        self.open.put(self.last_id, OpenEngine { identity, engine, lookups: 0, unused: None });
    }

    /// The least recently used of the unused engines.
    fn least_recently_used(&self) -> Option<EngineId> {
        let mut unused = self.open.iter().rev().filter(|(_, open)| !open.engine.is_used());
        unused.next().map(|(id, _)| *id)
    }

    fn unlink(&mut self, id: EngineId) -> Option<E> {
        let open = self.open.pop(&id)?;
        self.ids.remove(&open.identity);
        Some(open.engine)
    }

    /// The number of engines that callers wait for.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many engines are closed and still have connections.
    pub(super) fn closing(&self) -> usize {
        self.closing_unused + self.closing_in_use
    }

    pub(super) fn counters(&self) -> CacheCounters {
        self.counters
    }

    /// The open engines with their identities, the most recently used first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &E)> {
        self.open.iter().map(|(_, open)| (&open.identity, &open.engine))
    }

    /// The aliases of open engines, each with the identity of its engine.
    pub(super) fn aliases(&self) -> impl Iterator<Item = (&A, &K)> {
        let aliases = self.aliases.iter();
        aliases.filter_map(|(alias, target)| Some((alias, &self.open.peek(&target.id)?.identity)))
    }
}
