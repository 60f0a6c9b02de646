//! What an engine does unasked: closing connections that are old, idle or dead, and keeping some warm.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::check::CHECK;
use super::engine_use::EngineUse;
use super::observe::meters::{CloseReason, Timer};
use super::observe::stats::ConnectPurpose;
use super::permit::Permit;
use super::pool::Lease;
use super::slot::Slot;
use super::typed::TypedEngine;
use crate::backend::Backend;

/// How often an engine is looked after at the least.
const PERIOD: Duration = Duration::from_secs(30);

impl<C: Backend> TypedEngine<C> {
    /// Starts the maintenance if no runtime that is alive runs it.
    pub(super) fn ensure_maintenance(self: &Arc<Self>, runtime: &Handle) {
        if !self.is_maintained.load(Ordering::Relaxed)
            && !self.is_maintained.swap(true, Ordering::Relaxed)
        {
            let woken = Arc::clone(&self.maintenance);
            let alive = RunningGuard::new(Arc::clone(&self.is_maintained));
            let engine: Weak<Self> = Arc::downgrade(self);
            runtime.spawn(run(engine, woken, alive));
        }
    }

    /// Has `min_idle` looked after, if it is no longer kept now that an idle connection is taken.
    pub(super) fn wake_maintenance(&self) {
        let min_idle = self.settings.options.min_idle;
        if min_idle > 0 && self.pool.counts().idle < min_idle {
            self.maintenance.notify_one();
        }
    }
}

/// Looks after an engine until it is closed or gone. It holds the engine only while it works.
pub(super) async fn run<C: Backend>(
    engine: Weak<TypedEngine<C>>,
    woken: Arc<Notify>,
    alive: RunningGuard,
) {
    let _alive = alive;
    let mut backoff = Backoff::default();
    loop {
        let Some(engine_now) = engine.upgrade().filter(|engine| !engine.is_closed()) else {
            return;
        };
        close_due(&engine_now);
        check_idle(&engine_now).await;
        keep_min_idle(&engine_now, &mut backoff).await;
        let period = period(&engine_now);
        drop(engine_now);
        // Woken when the engine is closed or gone; otherwise it is time to look.
        let _ = timeout(period, woken.notified()).await;
    }
}

/// Says that the maintenance runs, until it is dropped: when it ends, or its runtime does.
pub(super) struct RunningGuard(Arc<AtomicBool>);

impl RunningGuard {
    pub(super) fn new(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Half of the shortest time after which a connection may be due, so that none stays much longer.
fn period<C: Backend>(engine: &TypedEngine<C>) -> Duration {
    let options = &engine.settings.options;
    let shortest = [options.idle_timeout, options.max_lifetime].into_iter().flatten().min();
    shortest.map_or(PERIOD, |shortest| (shortest / 2).clamp(Duration::from_millis(10), PERIOD))
}

/// Closes idle connections that are known to be dead, those that have reached `max_lifetime`, and those
/// above `min_idle` that have reached `idle_timeout`.
fn close_due<C: Backend>(engine: &TypedEngine<C>) {
    let options = &engine.settings.options;
    let now = Instant::now();
    let mut left = engine.pool.counts().idle;
    engine.pool.retain(|slot| {
        let is_idle = options.idle_timeout.is_some_and(|limit| slot.idle_for(now) >= limit);
        let is_dead = slot.connection_mut().is_none_or(C::is_known_dead);
        let reason = if is_dead {
            CloseReason::Unanswered
        } else if slot.is_expired(now) {
            CloseReason::Expired
        } else if is_idle && left > options.min_idle {
            CloseReason::Idle
        } else {
            return true;
        };
        engine.stats.note_closed(reason);
        left = left.saturating_sub(1);
        false
    });
}

/// Closes idle connections that do not answer, where `min_idle` are to be live: not every driver knows
/// of itself that the server is gone, and none knows of a network that has lost everything.
///
/// Those that were used within `check_idle_after` count as live, as they do when they are lent.
async fn check_idle<C: Backend>(engine: &Arc<TypedEngine<C>>) {
    let options = &engine.settings.options;
    if options.min_idle == 0 || engine.settings.url.is_memory() || engine.settings.is_isolated {
        return;
    }
    let begun = Instant::now();
    let mut least = Duration::MAX;
    loop {
        // Permit while it is checked: whoever has a permit must find a slot.
        let Ok(permit) = engine.permits.try_acquire() else { return };
        permit.forget();
        let permit = Permit::new(EngineUse::new(Arc::clone(engine)), Timer::start());
        let due = |idle: Duration| idle >= options.check_idle_after && idle < least;
        let Some(lease) = engine.pool.take_longest_idle(begun, due) else { return };
        least = lease.idle_for(begun);
        let mut checked = IdleCheck { engine: permit.engine(), lease: Some(lease) };
        if !checked.answers(options.check_timeout).await {
            engine.stats.note_closed(CloseReason::Unanswered);
        }
    }
}

/// An idle connection that is being checked. It goes back to its place when this is dropped: it was not
/// used, so it is neither lent earlier nor kept for longer.
struct IdleCheck<'a, C: Backend> {
    engine: &'a TypedEngine<C>,
    /// Empty only while it is dropped.
    lease: Option<Lease<C>>,
}

impl<C: Backend> IdleCheck<'_, C> {
    async fn answers(&mut self, limit: Duration) -> bool {
        let Some(lease) = &mut self.lease else { return false };
        // Until it has answered, so that one purpose check is cut short is not lent again.
        lease.discard();
        let Some(connection) = lease.connection_mut() else { return false };
        let answered = matches!(timeout(limit, connection.batch_execute(CHECK)).await, Ok(Ok(())));
        if answered {
            lease.keep();
        }
        answered
    }
}

impl<C: Backend> Drop for IdleCheck<'_, C> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.engine.pool.put_back_unused(lease);
        }
    }
}

/// Opens connections until `min_idle` are idle, or there are as many as there may be.
async fn keep_min_idle<C: Backend>(engine: &Arc<TypedEngine<C>>, backoff: &mut Backoff) {
    let options = &engine.settings.options;
    while has_room_for_idle(engine) && backoff.is_over() {
        // Permit while connecting, so that there are never more connections than permits. Closing waits
        // for it, and is told when it is given back.
        let Ok(permit) = engine.permits.try_acquire() else { return };
        permit.forget();
        let _permit = Permit::new(EngineUse::new(Arc::clone(engine)), Timer::start());
        let connecting = engine.capacity.connecting();
        let connected = engine.unless_closed(engine.connect(options.connect_timeout)).await;
        drop(connecting);
        let Ok(connected) = connected else { return };
        match connected {
            Ok(connected) => {
                *backoff = Backoff::default();
                let mut slot = Slot::empty();
                slot.fill(connected, engine.lifetime());
                if !engine.pool.add(slot) {
                    return;
                }
            }
            Err(error) => {
                let purpose = if backoff.has_not_failed() {
                    ConnectPurpose::WarmUp
                } else {
                    ConnectPurpose::WarmUpRetry
                };
                backoff.note_failure();
                engine.stats.note_connect_failure(&Arc::new(error), purpose);
                return;
            }
        }
    }
}

/// How long the maintenance waits after it could not connect, however often it is woken meanwhile.
#[derive(Default)]
struct Backoff {
    /// Until when, and for how long.
    waits: Option<(Instant, Duration)>,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);

    fn is_over(&self) -> bool {
        self.waits.is_none_or(|(until, _)| until <= Instant::now())
    }

    /// Whether it could connect the last time.
    fn has_not_failed(&self) -> bool {
        self.waits.is_none()
    }

    fn note_failure(&mut self) {
        let pause = self.waits.map_or(Self::FIRST, |(_, pause)| PERIOD.min(pause * 2));
        self.waits = Some((Instant::now() + pause, pause));
    }
}

/// Whether one more idle connection is wanted, and may be opened.
fn has_room_for_idle<C: Backend>(engine: &TypedEngine<C>) -> bool {
    let (options, counts) = (&engine.settings.options, engine.pool.counts());
    engine.capacity.is_empty()
        && counts.idle < options.min_idle
        && counts.idle + counts.in_use < options.max_connections
}
