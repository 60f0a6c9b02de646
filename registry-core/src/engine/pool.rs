//! The slots of one engine, as a bb8 pool. No other file names bb8.
//!
//! bb8 manages slots and not connections. Creating a slot cannot fail, hang or panic, and neither can any other operation
//! of bb8 on a slot. Connecting, checking and ageing happen outside of bb8, with time-outs of our own and with errors
//! that reach the caller. bb8 only creates the slots, limits their number and counts them.
//!
//! bb8 fills itself and ages its connections in tasks that it spawns. If the runtime of such a task ends, the capacity
//! that the task stood for is lost for good. So bb8 is never made to spawn: a slot is added before it is taken, and
//! ageing is [`Pool::retain`]. A pool therefore belongs to no runtime.
//!
//! For the same reason a slot stays out of bb8 while it has a live connection. Idle slots are kept here, and the one
//! that was used last is lent first, so that a pool that is too large can shrink. That spares each acquire a timer and
//! three of bb8's locks, which is half of its time in the benchmark `acquire-1`.
//!
//! Under the lock of the idle slots, nothing is awaited and no connection closed.
//!
//! Each transition of a slot tells the metrics its change, so that the gauges are what [`Pool::counts`] counts whenever no
//! transition is under way.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::observe::meters::EngineMeters;
use super::slot::Slot;

/// The slots of one engine.
pub(super) struct Pool<C: Send + 'static> {
    slots: bb8::Pool<SlotFactory<C>>,
    /// Idle slots with a live connection, the most recently used at the end. bb8 counts them as taken.
    idle: Mutex<Vec<Lease<C>>>,
    meters: Arc<EngineMeters>,
}

/// A slot that is taken out of the pool until [`Pool::put_back`].
pub(super) type Lease<C> = bb8::PooledConnection<'static, SlotFactory<C>>;

/// The number of connections of an engine, by state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) in_use: u32,
    pub(super) idle: u32,
}

impl<C: Send + 'static> Pool<C> {
    pub(super) fn new(max_connections: u32, meters: Arc<EngineMeters>) -> Self {
        let slots = bb8::Pool::builder()
            .max_size(max_connections)
            .test_on_check_out(false)
            .queue_strategy(bb8::QueueStrategy::Lifo)
            // bb8 requires a time-out, but no caller ever waits for a slot.
            .connection_timeout(Duration::from_secs(1))
            .max_lifetime(None)
            .idle_timeout(None)
            .build_unchecked(SlotFactory(PhantomData));
        Self { slots, idle: Mutex::new(Vec::new()), meters }
    }

    /// Takes the most recently used idle slot, or an empty slot. With `schema`, a slot whose connection was last in that
    /// schema is preferred.
    ///
    /// The caller holds a permit, and there are as many slots as permits, so a slot is free. `None` only while
    /// [`Pool::retain`] removes that slot.
    ///
    /// Must be called inside a Tokio runtime: bb8 creates a timer, though it never waits for it.
    pub(super) fn take(&self, schema: Option<&str>) -> Option<Lease<C>> {
        let last = {
            let mut idle = self.idle();
            let fitting = schema
                .and_then(|schema| idle.iter().rposition(|lease| lease.schema() == Some(schema)));
            match fitting {
                Some(at) => Some(idle.remove(at)),
                None => idle.pop(),
            }
        };
        match last {
            Some(lease) => {
                self.meters.note_connections(1, -1);
                Some(lease)
            }
            None => self.take_new(Slot::empty()),
        }
    }

    /// Puts a slot back if its connection can be lent again, and otherwise removes both.
    ///
    /// The permit of the slot is returned after this, because a caller with a permit must find a slot.
    pub(super) fn put_back(&self, lease: Lease<C>) {
        if lease.is_kept() {
            self.idle().push(lease);
            self.meters.note_connections(-1, 1);
        } else {
            self.remove(lease);
        }
    }

    /// Takes the longest-idle slot among the slots whose idle time at `now` satisfies `is_due`. The caller holds a permit.
    pub(super) fn take_longest_idle(
        &self,
        now: Instant,
        is_due: impl Fn(Duration) -> bool,
    ) -> Option<Lease<C>> {
        let taken = {
            let mut idle = self.idle();
            let due = idle.iter().position(|lease| is_due(lease.idle_for(now)))?;
            idle.remove(due)
        };
        self.meters.note_connections(1, -1);
        Some(taken)
    }

    /// As [`put_back`](Self::put_back), for a slot that was not used: it keeps its place among the idle slots.
    pub(super) fn put_back_unused(&self, lease: Lease<C>) {
        if !lease.is_kept() {
            return self.remove(lease);
        }
        let now = Instant::now();
        {
            let mut idle = self.idle();
            let place = idle.partition_point(|other| other.idle_for(now) > lease.idle_for(now));
            idle.insert(place, lease);
        }
        self.meters.note_connections(-1, 1);
    }

    /// Removes a slot that is taken, and closes its connection.
    fn remove(&self, mut lease: Lease<C>) {
        lease.retire();
        drop(lease);
        self.meters.note_connections(-1, 0);
    }

    /// Adds a slot with a live connection. False if there are `max_connections` slots.
    ///
    /// Must be called inside a Tokio runtime.
    pub(super) fn add(&self, slot: Slot<C>) -> bool {
        // If two callers add a slot at the same time, each may get the slot of the other, and nothing is lost.
        let lease = self.take_new(slot);
        let is_added = lease.is_some();
        lease.into_iter().for_each(|lease| self.put_back(lease));
        is_added
    }

    /// Closes the idle connections for which `keep` returns false, the least recently used first.
    pub(super) fn retain(&self, mut keep: impl FnMut(&mut Slot<C>) -> bool) {
        let unwanted: Vec<_> = self.idle().extract_if(.., |lease| !keep(lease)).collect();
        // The connections are closed outside of the lock. They are not idle from now on, as in `counts`.
        let count = i64::try_from(unwanted.len()).unwrap_or(i64::MAX);
        self.meters.note_connections(count, -count);
        unwanted.into_iter().for_each(|lease| self.remove(lease));
    }

    /// Takes the most recently used idle slot, if there is one.
    pub(super) fn take_idle(&self) -> Option<Lease<C>> {
        let lease = self.idle().pop()?;
        self.meters.note_connections(1, -1);
        Some(lease)
    }

    /// Takes an empty slot. The caller holds a permit and no slot, and there are as many slots as permits, so a slot is
    /// free. `None` only while [`Pool::retain`] removes that slot.
    ///
    /// Must be called inside a Tokio runtime.
    pub(super) fn take_empty(&self) -> Option<Lease<C>> {
        self.take_new(Slot::empty())
    }

    #[cold]
    fn take_new(&self, slot: Slot<C>) -> Option<Lease<C>> {
        // bb8 creates a timer after it has taken the slot. In a runtime without timers that panics, and the slot would
        // be lost for good. So the same panic is provoked here, before a slot is taken.
        drop(tokio::time::sleep(Duration::ZERO));
        self.slots.add(slot).ok()?;
        self.meters.note_connections(1, 0);
        self.slots.get_owned().now_or_never()?.ok()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Lease<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> Counts {
        let idle = u32::try_from(self.idle().len()).unwrap_or(u32::MAX);
        Counts { in_use: self.slots.state().connections.saturating_sub(idle), idle }
    }
}

impl<C: Send + 'static> Drop for Pool<C> {
    fn drop(&mut self) {
        let Counts { in_use, idle } = self.counts();
        self.meters.note_pool_ended(in_use, idle);
    }
}

/// Makes empty slots for bb8.
pub(super) struct SlotFactory<C>(PhantomData<fn() -> C>);

impl<C: Send + 'static> bb8::ManageConnection for SlotFactory<C> {
    type Connection = Slot<C>;
    type Error = Infallible;

    async fn connect(&self) -> Result<Slot<C>, Infallible> {
        Ok(Slot::empty())
    }

    async fn is_valid(&self, _: &mut Slot<C>) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, slot: &mut Slot<C>) -> bool {
        // An empty slot is not broken: bb8 also calls this for a slot that was just added.
        slot.is_retired()
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::WatchedConnection;
    use super::*;
    use crate::settings::{BindKey, DatabaseUrl, EngineSettings};

    fn pool(max_connections: u32) -> Pool<u32> {
        let url = DatabaseUrl::parse("sqlite::memory:").expect("a URL");
        let key = BindKey::new("default").expect("a key");
        let settings = EngineSettings::of_own_connection(key, url);
        Pool::new(max_connections, Arc::new(EngineMeters::new(&settings)))
    }

    /// A slot, taken and filled with a number in place of a connection.
    fn filled(pool: &Pool<u32>, number: u32) -> Lease<u32> {
        let mut lease = pool.take(None).expect("a slot at once");
        let connected =
            WatchedConnection { connection: number, watch: Default::default(), cancel: None };
        lease.fill(connected, None);
        lease
    }

    fn numbers(pool: &Pool<u32>) -> Vec<Option<u32>> {
        let leases: Vec<_> = std::iter::from_fn(|| pool.take(None)).collect();
        let numbers = leases.iter().map(|lease| lease.connection().copied()).collect();
        leases.into_iter().rev().for_each(|lease| pool.put_back(lease));
        numbers
    }

    #[tokio::test]
    async fn slot_used_last_is_taken_first() {
        let pool = pool(3);
        let leases = [filled(&pool, 1), filled(&pool, 2), filled(&pool, 3)];
        assert!(pool.take(None).is_none(), "there are three");
        assert_eq!((pool.counts().in_use, pool.counts().idle), (3, 0));
        leases.into_iter().for_each(|lease| pool.put_back(lease));
        assert_eq!((pool.counts().in_use, pool.counts().idle), (0, 3));
        assert_eq!(numbers(&pool), [Some(3), Some(2), Some(1)]);
    }

    #[tokio::test]
    async fn connection_that_was_last_in_the_schema_is_taken_first() {
        let pool = pool(3);
        let mut leases = [filled(&pool, 1), filled(&pool, 2), filled(&pool, 3)];
        leases.iter_mut().zip(["acme", "globex", "acme"]).for_each(|(lease, schema)| {
            lease.set_schema(schema);
        });
        leases.into_iter().for_each(|lease| pool.put_back(lease));
        let taken = ["globex", "initech", "acme"].map(|schema| pool.take(Some(schema)));
        let numbers = taken.iter().flatten().map(|lease| lease.connection().copied());
        assert_eq!(numbers.collect::<Vec<_>>(), [Some(2), Some(3), Some(1)]);
    }

    #[tokio::test]
    async fn discarded_slot_makes_room_for_another() {
        let pool = pool(2);
        let kept = filled(&pool, 1);
        let mut discarded = filled(&pool, 2);
        discarded.discard();
        pool.put_back(discarded);
        pool.put_back(kept);
        assert_eq!(pool.counts().idle, 1);
        // One is still there, and one is new.
        assert_eq!(numbers(&pool), [Some(1), None]);
        // An empty slot does not stay.
        assert_eq!(pool.counts().idle, 1);
    }

    #[tokio::test]
    async fn retain_keeps_the_order_of_slots() {
        let pool = pool(4);
        let leases: Vec<_> = (1..=4).map(|number| filled(&pool, number)).collect();
        leases.into_iter().for_each(|lease| pool.put_back(lease));
        let mut seen = Vec::new();
        pool.retain(|slot| {
            seen.extend(slot.connection().copied());
            slot.connection() != Some(&3)
        });
        assert_eq!(seen, [1, 2, 3, 4], "the least recently used first");
        assert_eq!(numbers(&pool), [Some(4), Some(2), Some(1), None]);
    }

    #[tokio::test]
    async fn slot_that_was_checked_and_not_used_keeps_its_place() {
        let pool = pool(3);
        let leases: Vec<_> = (1..=3).map(|number| filled(&pool, number)).collect();
        leases.into_iter().for_each(|lease| pool.put_back(lease));
        let now = Instant::now();
        for looked_at in 1..=3 {
            let lease = pool.take_longest_idle(now, |_| true).expect("three are idle");
            assert_eq!(lease.connection(), Some(&1), "round {looked_at}");
            pool.put_back_unused(lease);
        }
        let mut dead = pool.take_longest_idle(now, |_| true).expect("three are idle");
        dead.discard();
        pool.put_back_unused(dead);
        assert!(pool.take_longest_idle(now, |_| false).is_none());
        assert_eq!(numbers(&pool), [Some(3), Some(2), None]);
    }
}
