//! The maintenance task of an engine: it closes idle connections that are old, unneeded or dead, and keeps `min_idle`
//! connections open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::check::CHECK;
use super::engine_use::EngineUse;
use super::observe::meters::CloseReason;
use super::observe::stats::ConnectPurpose;
use super::permit::Permit;
use super::pool::Lease;
use super::slot::Slot;
use super::typed::TypedEngine;
use crate::backend::Backend;
use crate::meters::Timer;

/// The longest time between two rounds.
const PERIOD: Duration = Duration::from_secs(30);

impl<C: Backend> TypedEngine<C> {
    /// Starts the task unless it is running. The task ends with its runtime, and the next acquire starts it in another
    /// runtime.
    pub(super) fn ensure_maintenance(self: &Arc<Self>, runtime: &Handle) {
        if !self.settings.is_one_off
            && !self.is_maintained.load(Ordering::Relaxed)
            && !self.is_maintained.swap(true, Ordering::Relaxed)
        {
            let wake = Arc::clone(&self.maintenance_wake);
            let running = RunningGuard::new(Arc::clone(&self.is_maintained));
            let engine: Weak<Self> = Arc::downgrade(self);
            runtime.spawn(run(engine, wake, running));
        }
    }

    /// Wakes the task if fewer than `min_idle` connections are idle. Called after a connection was taken.
    pub(super) fn wake_maintenance(&self) {
        let min_idle = self.settings.options.min_idle;
        if min_idle > 0 && self.pool.counts().idle < min_idle {
            self.maintenance_wake.notify_one();
        }
    }
}

/// Runs the task until the engine is closed or dropped. The task keeps the engine alive only during a round.
async fn run<C: Backend>(engine: Weak<TypedEngine<C>>, wake: Arc<Notify>, running: RunningGuard) {
    let _running = running;
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
        // Woken early when the engine is closed or dropped, or lacks idle connections.
        let _ = timeout(period, wake.notified()).await;
    }
}

/// Marks the task as running until this guard is dropped, because the task or its runtime ends.
struct RunningGuard(Arc<AtomicBool>);

impl RunningGuard {
    fn new(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The time until the next round: half of `idle_timeout` or `max_lifetime`, so that no connection is open for much
/// longer than these allow, but 10 ms at least and [`PERIOD`] at the most.
fn period<C: Backend>(engine: &TypedEngine<C>) -> Duration {
    let options = &engine.settings.options;
    let shortest = [options.idle_timeout, options.max_lifetime].into_iter().flatten().min();
    shortest.map_or(PERIOD, |shortest| (shortest / 2).clamp(Duration::from_millis(10), PERIOD))
}

/// Closes idle connections that are known to be dead or have reached `max_lifetime`. Also closes the connections in excess
/// of `min_idle` that have reached `idle_timeout`.
fn close_due<C: Backend>(engine: &TypedEngine<C>) {
    let options = &engine.settings.options;
    let now = Instant::now();
    let mut idle = engine.pool.counts().idle;
    engine.pool.retain(|slot| {
        let is_unneeded = options.idle_timeout.is_some_and(|limit| slot.idle_for(now) >= limit)
            && idle > options.min_idle;
        let is_dead = slot.connection_mut().is_none_or(C::is_known_dead);
        let reason = if is_dead {
            CloseReason::Unanswered
        } else if slot.is_expired(now) {
            CloseReason::Expired
        } else if is_unneeded {
            CloseReason::Idle
        } else {
            return true;
        };
        // Counted before the connection disappears from the status.
        engine.stats.note_closed(reason);
        idle = idle.saturating_sub(1);
        false
    });
}

/// Closes idle connections that do not answer, if `min_idle` is set: not every driver notices that the server is gone,
/// and none notices a network that loses every packet.
///
/// Connections that were used within `check_idle_after` count as live, as they do when they are lent.
async fn check_idle<C: Backend>(engine: &Arc<TypedEngine<C>>) {
    let options = &engine.settings.options;
    if options.min_idle == 0 || engine.settings.url.is_memory() || engine.settings.is_isolated {
        return;
    }
    let round_began = Instant::now();
    let mut last_idle = Duration::MAX;
    loop {
        // Held while a connection is checked, because a caller with a permit must find a slot.
        let Ok(permit) = engine.permits.try_acquire() else { return };
        permit.forget();
        let permit = Permit::new(EngineUse::new(Arc::clone(engine)), Timer::start());
        let due = |idle: Duration| idle >= options.check_idle_after && idle < last_idle;
        let Some(lease) = engine.pool.take_longest_idle(round_began, due) else { return };
        last_idle = lease.idle_for(round_began);
        let mut checked = IdleCheck { engine: permit.engine(), lease: Some(lease) };
        if !checked.answers(options.check_timeout).await {
            engine.stats.note_closed(CloseReason::Unanswered);
        }
    }
}

/// An idle connection during its check. Dropping this guard puts the connection back to its place among the idle
/// connections: a check is no use, so the connection is neither lent earlier nor kept open for longer.
struct IdleCheck<'a, C: Backend> {
    engine: &'a TypedEngine<C>,
    /// Empty only while it is dropped.
    lease: Option<Lease<C>>,
}

impl<C: Backend> IdleCheck<'_, C> {
    async fn answers(&mut self, limit: Duration) -> bool {
        let Some(lease) = &mut self.lease else { return false };
        // The mark is removed after the answer, so a connection whose check is cut short is not lent again.
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

/// Opens connections until `min_idle` are idle, or `max_connections` are open.
async fn keep_min_idle<C: Backend>(engine: &Arc<TypedEngine<C>>, backoff: &mut Backoff) {
    let options = &engine.settings.options;
    while has_room_for_idle(engine) && backoff.is_over() {
        // Held while connecting, so that there are never more connections than permits, and a close waits for it.
        let Ok(permit) = engine.permits.try_acquire() else { return };
        permit.forget();
        let _permit = Permit::new(EngineUse::new(Arc::clone(engine)), Timer::start());
        let connecting = engine.capacity.note_connecting();
        // Boxed: it takes tens of kilobytes, which the task of each engine would otherwise have for as long as it lives.
        let connect = Box::pin(engine.connect(options.connect_timeout));
        let connected = engine.unless_closed(connect).await;
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

/// The pause after a failed connection attempt, during which the task does not connect, however often it is woken: 1 s at
/// first, then twice as long each time, up to [`PERIOD`].
#[derive(Default)]
struct Backoff {
    /// The end of the pause, and its length. `None` after a success.
    pause: Option<(Instant, Duration)>,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);

    fn is_over(&self) -> bool {
        self.pause.is_none_or(|(until, _)| until <= Instant::now())
    }

    /// Whether the last connection attempt succeeded, or there was none.
    fn has_not_failed(&self) -> bool {
        self.pause.is_none()
    }

    fn note_failure(&mut self) {
        let pause = self.pause.map_or(Self::FIRST, |(_, pause)| PERIOD.min(pause * 2));
        self.pause = Some((Instant::now() + pause, pause));
    }
}

/// Whether `min_idle` asks for another connection and the limits allow it. Callers that wait for room on the server come
/// first.
fn has_room_for_idle<C: Backend>(engine: &TypedEngine<C>) -> bool {
    let (options, counts) = (&engine.settings.options, engine.pool.counts());
    engine.capacity.is_empty()
        && counts.idle < options.min_idle
        && counts.idle + counts.in_use < options.max_connections
}

#[cfg(all(test, any(feature = "postgres", feature = "mysql", feature = "sqlite")))]
mod tests {
    use std::sync::{Arc, Weak};

    use super::{RunningGuard, run};
    use crate::backend::Backend;

    fn size<C: Backend>() -> usize {
        size_of_val(&run::<C>(Weak::new(), Arc::default(), RunningGuard::new(Arc::default())))
    }

    /// A program may have thousands of engines, and each has a task.
    #[test]
    fn a_task_takes_less_than_two_kibibytes() {
        #[cfg(feature = "postgres")]
        assert!(size::<crate::Postgres>() < 2048, "{}", size::<crate::Postgres>());
        #[cfg(feature = "mysql")]
        assert!(size::<crate::Mysql>() < 2048, "{}", size::<crate::Mysql>());
        #[cfg(feature = "sqlite")]
        assert!(size::<crate::Sqlite>() < 2048, "{}", size::<crate::Sqlite>());
    }
}
