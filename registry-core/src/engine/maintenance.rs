//! What an engine does unasked: closing connections that are old, idle or dead, and keeping some warm.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::check::CHECK;
use super::engine_use::EngineUse;
use super::observe::meters::{Closed, Timer};
use super::observe::stats::For;
use super::permit::Held;
use super::pool::Lease;
use super::slot::Slot;
use super::typed::TypedEngine;
use crate::backend::Backend;

/// How often an engine is looked after at the least.
const PERIOD: Duration = Duration::from_secs(30);

impl<C: Backend> TypedEngine<C> {
    /// Starts the maintenance if no runtime that is alive runs it.
    pub(super) fn see_to_maintenance(self: &Arc<Self>, runtime: &Handle) {
        if !self.is_maintained.load(Ordering::Relaxed)
            && !self.is_maintained.swap(true, Ordering::Relaxed)
        {
            let woken = Arc::clone(&self.maintenance);
            let alive = Alive::new(Arc::clone(&self.is_maintained));
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
    alive: Alive,
) {
    let _alive = alive;
    let mut patience = Patience::default();
    loop {
        let Some(engine_now) = engine.upgrade().filter(|engine| !engine.is_closed()) else {
            return;
        };
        close_old(&engine_now);
        close_dead(&engine_now).await;
        keep_warm(&engine_now, &mut patience).await;
        let period = period(&engine_now);
        drop(engine_now);
        // Woken when the engine is closed or gone; otherwise it is time to look.
        let _ = timeout(period, woken.notified()).await;
    }
}

/// Says that the maintenance runs, until it is dropped: when it ends, or its runtime does.
pub(super) struct Alive(Arc<AtomicBool>);

impl Alive {
    pub(super) fn new(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}

impl Drop for Alive {
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
fn close_old<C: Backend>(engine: &TypedEngine<C>) {
    let options = &engine.settings.options;
    let now = Instant::now();
    let mut left = engine.pool.counts().idle;
    engine.pool.retain(|slot| {
        let is_idle = options.idle_timeout.is_some_and(|limit| slot.idle_for(now) >= limit);
        let is_dead = slot.connection_mut().is_none_or(C::is_known_dead);
        let reason = if is_dead {
            Closed::Unanswered
        } else if slot.is_expired(now) {
            Closed::Expired
        } else if is_idle && left > options.min_idle {
            Closed::Idle
        } else {
            return true;
        };
        engine.stats.closed(reason);
        left = left.saturating_sub(1);
        false
    });
}

/// Closes idle connections that do not answer, where `min_idle` are to be live: not every driver knows
/// of itself that the server is gone, and none knows of a network that has lost everything.
///
/// Those that were used within `check_idle_after` count as live, as they do when they are lent.
async fn close_dead<C: Backend>(engine: &Arc<TypedEngine<C>>) {
    let options = &engine.settings.options;
    if options.min_idle == 0 || engine.settings.url.is_memory() || engine.settings.is_isolated {
        return;
    }
    let begun = Instant::now();
    let mut least = Duration::MAX;
    loop {
        // Held while it is checked: whoever has a permit must find a slot.
        let Ok(permit) = engine.permits.try_acquire() else { return };
        permit.forget();
        let held = Held::new(EngineUse::new(Arc::clone(engine)), Timer::start());
        let due = |idle: Duration| idle >= options.check_idle_after && idle < least;
        let Some(lease) = engine.pool.take_longest_idle(begun, due) else { return };
        least = lease.idle_for(begun);
        let mut checked = Checked { engine: held.engine(), lease: Some(lease) };
        if !checked.answers(options.check_timeout).await {
            engine.stats.closed(Closed::Unanswered);
        }
    }
}

/// An idle connection that is being checked. It goes back to its place when this is dropped: it was not
/// used, so it is neither lent earlier nor kept for longer.
struct Checked<'a, C: Backend> {
    engine: &'a TypedEngine<C>,
    /// Empty only while it is dropped.
    lease: Option<Lease<C>>,
}

impl<C: Backend> Checked<'_, C> {
    async fn answers(&mut self, limit: Duration) -> bool {
        let Some(lease) = &mut self.lease else { return false };
        // Until it has answered, so that one whose check is cut short is not lent again.
        lease.discard();
        let Some(connection) = lease.connection_mut() else { return false };
        let answered = matches!(timeout(limit, connection.batch_execute(CHECK)).await, Ok(Ok(())));
        if answered {
            lease.keep();
        }
        answered
    }
}

impl<C: Backend> Drop for Checked<'_, C> {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.engine.pool.put_back_idle(lease);
        }
    }
}

/// Opens connections until `min_idle` are idle, or there are as many as there may be.
async fn keep_warm<C: Backend>(engine: &Arc<TypedEngine<C>>, patience: &mut Patience) {
    let options = &engine.settings.options;
    while is_room(engine) && patience.is_over() {
        // Held while connecting, so that there are never more connections than permits. Closing waits
        // for it, and is told when it is given back.
        let Ok(permit) = engine.permits.try_acquire() else { return };
        permit.forget();
        let _held = Held::new(EngineUse::new(Arc::clone(engine)), Timer::start());
        let connecting = engine.starving.connecting();
        let connected = engine.unless_closed(engine.connect(options.connect_timeout)).await;
        drop(connecting);
        let Ok(connected) = connected else { return };
        match connected {
            Ok(connected) => {
                *patience = Patience::default();
                let mut slot = Slot::empty();
                slot.fill(connected, engine.lifetime());
                if !engine.pool.add(slot) {
                    return;
                }
            }
            Err(error) => {
                let whose = if patience.is_first() { For::Later } else { For::LaterAgain };
                patience.try_again_later();
                engine.stats.could_not_connect(&Arc::new(error), whose);
                return;
            }
        }
    }
}

/// How long the maintenance waits after it could not connect, however often it is woken meanwhile.
#[derive(Default)]
struct Patience {
    /// Until when, and for how long.
    waits: Option<(Instant, Duration)>,
}

impl Patience {
    const FIRST: Duration = Duration::from_secs(1);

    fn is_over(&self) -> bool {
        self.waits.is_none_or(|(until, _)| until <= Instant::now())
    }

    /// Whether it could connect the last time.
    fn is_first(&self) -> bool {
        self.waits.is_none()
    }

    fn try_again_later(&mut self) {
        let pause = self.waits.map_or(Self::FIRST, |(_, pause)| PERIOD.min(pause * 2));
        self.waits = Some((Instant::now() + pause, pause));
    }
}

/// Whether one more idle connection is wanted, and may be opened.
fn is_room<C: Backend>(engine: &TypedEngine<C>) -> bool {
    let (options, counts) = (&engine.settings.options, engine.pool.counts());
    engine.starving.is_empty()
        && counts.idle < options.min_idle
        && counts.idle + counts.in_use < options.max_connections
}
