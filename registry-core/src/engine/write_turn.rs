//! The turn to write, for databases with one writer at a time: SQLite.
//!
//! SQLite has one lock for writes in each file. Connections that wait for the lock poll it, so the order of writers is
//! random, and one that has bad luck for all of `busy_timeout` fails with "database is locked". So the writers of this
//! process queue in front of the lock, first come, first served. There is one queue for each file, which the engines of
//! that file share.
//!
//! The turn is taken before the [`Permit`](super::permit::Permit): a waiting writer occupies no connection, so readers do
//! not wait for writers. The permit then owns the turn, and so the turn ends after the connection was returned, and after
//! the rollback that the return may run. If a statement was cut short and still runs on its thread, its connection is
//! closed and the turn ends at once: the next writer waits in SQLite's lock for the rest of that statement.
//!
//! A unit of work keeps its turn until it ends. So units of work can wait for each other in a circle, and the future of a
//! unit of work can wait for a write outside of it. [`circle`] finds both when the wait begins.

use std::collections::HashMap;
use std::future::Future;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::acquire::wait_until;
use super::error::AcquireError;
use super::observe::caller::Caller;
use super::typed::TypedEngine;
use crate::backend::Backend;

/// The queues of this process, by file.
static QUEUES: Mutex<Option<HashMap<PathBuf, Weak<WriteQueue>>>> = Mutex::new(None);

/// The units of work that wait for a turn.
static WAITS: Mutex<Vec<Wait>> = Mutex::new(Vec::new());

tokio::task_local! {
    /// The units of work whose futures are being polled, the outermost first.
    static POLLED_UNITS: Arc<[WriterId]>;
}

/// Identifies a unit of work among the writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WriterId(u64);

impl WriterId {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs the future of this unit of work. The unit of work ends after the future, so a write that the future waits for
    /// must not wait for the unit of work.
    pub(crate) async fn run<F: Future>(self, future: F) -> F::Output {
        let outer = POLLED_UNITS.try_with(Arc::clone).unwrap_or_default();
        let units = outer.iter().copied().chain([self]).collect();
        POLLED_UNITS.scope(units, future).await
    }
}

/// Who asks for the turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteRequest {
    /// The unit of work. `None` for a single statement.
    pub(crate) unit: Option<WriterId>,
    /// The place in the program that runs the statement, or that has begun the unit of work.
    pub(crate) place: &'static Location<'static>,
}

impl WriteRequest {
    /// The units of work that do not go on before the request is granted.
    fn blocked_units(&self) -> Vec<WriterId> {
        let polled = POLLED_UNITS.try_with(|units| units.to_vec()).unwrap_or_default();
        polled.into_iter().chain(self.unit).collect()
    }
}

/// The writers of one file.
pub(crate) struct WriteQueue {
    /// One permit. Tokio's semaphore is fair: a permit goes to the first waiter, and `try_acquire` overtakes no waiter.
    turn: Arc<Semaphore>,
    holder: Mutex<Option<Holder>>,
    waiting: AtomicU32,
}

#[derive(Clone, Copy)]
struct Holder {
    request: WriteRequest,
    since: Instant,
    caller: Caller,
}

impl WriteQueue {
    fn of(file: PathBuf) -> Arc<Self> {
        let mut queues = lock(&QUEUES);
        let queues = queues.get_or_insert_default();
        if let Some(queue) = queues.get(&file).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(Self {
            turn: Arc::new(Semaphore::new(1)),
            holder: Mutex::default(),
            waiting: AtomicU32::new(0),
        });
        queues.insert(file, Arc::downgrade(&queue));
        queue
    }

    fn try_take(self: &Arc<Self>, request: WriteRequest) -> Option<WriteTurn> {
        let permit = Arc::clone(&self.turn).try_acquire_owned().ok()?;
        Some(self.granted(permit, request))
    }

    fn granted(self: &Arc<Self>, permit: OwnedSemaphorePermit, request: WriteRequest) -> WriteTurn {
        let caller = Caller::current();
        *lock(&self.holder) = Some(Holder { request, since: Instant::now(), caller });
        WriteTurn { queue: Arc::clone(self), _permit: permit }
    }

    fn holder(&self) -> Option<Holder> {
        *lock(&self.holder)
    }

    fn is_held_by_unit_of(&self, caller: Caller) -> bool {
        self.holder().is_some_and(|holder| holder.request.unit.is_some() && holder.caller == caller)
    }
}

/// The right to write to a file, until it is dropped.
pub(crate) struct WriteTurn {
    queue: Arc<WriteQueue>,
    /// Dropped after `drop` has cleared the holder.
    _permit: OwnedSemaphorePermit,
}

impl WriteTurn {
    /// Records that the unit of work has ended, and that only the return of its connection is left. A write that waits for
    /// it waits for nothing else.
    pub(super) fn note_unit_ended(&self) {
        if let Some(holder) = &mut *lock(&self.queue.holder) {
            holder.request.unit = None;
        }
    }
}

impl Drop for WriteTurn {
    fn drop(&mut self) {
        *lock(&self.queue.holder) = None;
    }
}

/// A wait for a turn that blocks units of work.
struct Wait {
    /// Of the waits for one queue, the one with the lower number is served first.
    number: u64,
    request: WriteRequest,
    blocked: Vec<WriterId>,
    queue: Arc<WriteQueue>,
}

/// Counts and lists a waiting writer, until it is dropped.
struct Waiting<'a> {
    queue: &'a Arc<WriteQueue>,
    number: Option<u64>,
}

/// A unit of work for which the request would wait in a circle.
struct Circle {
    /// The place that has begun the unit of work.
    begun_at: &'static Location<'static>,
    /// Whether that unit of work itself is blocked by the request, so that no other one is involved.
    is_own: bool,
}

impl<'a> Waiting<'a> {
    fn begin(queue: &'a Arc<WriteQueue>, request: WriteRequest) -> Result<Self, Circle> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let blocked = request.blocked_units();
        let mut number = None;
        if !blocked.is_empty() {
            // The check and the entry under one lock: of several waits that close a circle, the last one sees the others.
            let mut waits = lock(&WAITS);
            if let Some(circle) = circle(queue, &blocked, &waits) {
                return Err(circle);
            }
            let own = NEXT.fetch_add(1, Ordering::Relaxed);
            number = Some(own);
            waits.push(Wait { number: own, request, blocked, queue: Arc::clone(queue) });
        }
        queue.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(Self { queue, number })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
        if let Some(number) = self.number {
            lock(&WAITS).retain(|wait| wait.number != number);
        }
    }
}

/// The circle that a wait for `queue` would close, if it blocks the units of work in `blocked`.
///
/// The wait is behind the writer that has the turn, and behind those that wait already: one of them may be a unit of work
/// that keeps its turn until the request is granted.
fn circle(queue: &Arc<WriteQueue>, blocked: &[WriterId], waits: &[Wait]) -> Option<Circle> {
    let waiting = waits.iter().filter(|wait| Arc::ptr_eq(&wait.queue, queue));
    let waiting = waiting.map(|wait| wait.request);
    let holder = queue.holder().map(|holder| holder.request);
    // The units of work in `queue`.
    let units = holder.into_iter().chain(waiting);
    let units = units.filter_map(|request| Some((request.unit?, request.place)));
    let units: Vec<(WriterId, &'static Location<'static>)> = units.collect();
    if let Some((_, begun_at)) = units.iter().find(|(unit, _)| blocked.contains(unit)) {
        return Some(Circle { begun_at, is_own: true });
    }
    // The common case: one file.
    if waits.iter().all(|wait| Arc::ptr_eq(&wait.queue, queue)) {
        return None;
    }
    // The units of work that have to end before the request is granted. Each with the place of the unit of work in
    // `queue` that leads to it.
    let mut before: HashMap<WriterId, &'static Location<'static>> = units.into_iter().collect();
    // Of each other queue, the waits with a lower number than this are served before the request.
    let mut limits: HashMap<*const WriteQueue, (u64, &'static Location<'static>)> = HashMap::new();
    loop {
        let mut has_grown = false;
        for wait in waits.iter().filter(|wait| !Arc::ptr_eq(&wait.queue, queue)) {
            let waited_for = Arc::as_ptr(&wait.queue);
            if let Some(place) = wait.blocked.iter().find_map(|unit| before.get(unit).copied()) {
                let limit = limits.entry(waited_for).or_insert((0, place));
                has_grown |= limit.0 < wait.number;
                limit.0 = limit.0.max(wait.number);
                if let Some(unit) = wait.queue.holder().and_then(|holder| holder.request.unit) {
                    has_grown |= before.insert(unit, place).is_none();
                }
            }
            if let (Some(unit), Some((limit, place))) = (wait.request.unit, limits.get(&waited_for))
                && wait.number < *limit
            {
                has_grown |= before.insert(unit, *place).is_none();
            }
        }
        if let Some(begun_at) = blocked.iter().find_map(|unit| before.get(unit).copied()) {
            return Some(Circle { begun_at, is_own: false });
        }
        if !has_grown {
            return None;
        }
    }
}

impl<C: Backend> TypedEngine<C> {
    /// The queue of the writers to this engine's file. `None` if writers need no turn.
    fn write_queue(&self) -> Option<&Arc<WriteQueue>> {
        if !C::HAS_ONE_WRITER || self.settings.is_isolated {
            return None;
        }
        let queue = self.write_queue.get_or_init(|| {
            C::written_file(&self.settings.url, &self.settings.options).map(WriteQueue::of)
        });
        queue.as_ref()
    }

    /// The number of writers to this engine's file that wait for their turn, those of other engines included.
    pub(super) fn waiting_writers(&self) -> u32 {
        let queue = self.write_queue.get().and_then(Option::as_ref);
        queue.map_or(0, |queue| queue.waiting.load(Ordering::Relaxed))
    }

    /// The turn, if it is free or not needed. `Err` if the caller has to [wait](Self::wait_for_turn).
    pub(crate) fn try_take_turn(
        &self,
        request: Option<WriteRequest>,
    ) -> Result<Option<WriteTurn>, ()> {
        let Some((request, queue)) = request.zip(self.write_queue()) else { return Ok(None) };
        queue.try_take(request).map(Some).ok_or(())
    }

    /// Waits for the turn, if one is needed. The wait ends at `within` after `started`, by default at `acquire_timeout`.
    ///
    /// Dropping the future gives up the place in the queue, and a turn that was about to be granted.
    pub(crate) async fn wait_for_turn(
        &self,
        request: Option<WriteRequest>,
        started: Instant,
        within: Option<Duration>,
    ) -> Result<Option<WriteTurn>, AcquireError> {
        let Some((request, queue)) = request.zip(self.write_queue()) else { return Ok(None) };
        if let Some(turn) = queue.try_take(request) {
            return Ok(Some(turn));
        }
        let key = self.settings.key;
        let queued_before = queue.waiting.load(Ordering::Relaxed);
        let options = &self.settings.options;
        // Without turns, each writer but the one that writes would wait for SQLite's lock with a connection, up to their number.
        let with_connection = options.max_connections.saturating_sub(1);
        let limit = options.queue_limit.map(|limit| limit.saturating_add(with_connection));
        if let Some(limit) = limit.filter(|limit| queued_before >= *limit) {
            return Err(AcquireError::WriteQueueFull { key, limit });
        }
        let _pending = self.stats.meters().note_pending();
        let _waiting = Waiting::begin(queue, request).map_err(|circle| {
            AcquireError::WriteDeadlock { key, held_at: circle.begun_at, is_own: circle.is_own }
        })?;
        let after = within.unwrap_or(options.acquire_timeout);
        let permit = Arc::clone(&queue.turn).acquire_owned();
        let permit = wait_until(started.checked_add(after), permit);
        match self.unless_closed(permit).await? {
            Ok(Ok(permit)) => Ok(Some(queue.granted(permit, request))),
            // The semaphore is never closed.
            Ok(Err(_)) => Err(self.closed_error()),
            Err(_) => Err(self.turn_timed_out(queue, after)),
        }
    }

    fn turn_timed_out(&self, queue: &WriteQueue, after: Duration) -> AcquireError {
        self.stats.note_timed_out();
        let holder = queue.holder();
        AcquireError::WriteTimedOut {
            key: self.settings.key,
            after,
            held_at: holder.map(|holder| holder.request.place),
            held_for: holder.map(|holder| holder.since.elapsed()).unwrap_or_default(),
            is_unit_of_work: holder.is_some_and(|holder| holder.request.unit.is_some()),
            held_by_caller: queue.is_held_by_unit_of(Caller::current()),
            // Without the caller.
            waiting: queue.waiting.load(Ordering::Relaxed).saturating_sub(1),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
