//! What an engine does unasked: closing connections that are old or idle, and keeping some warm.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::core::Core;
use super::slot::Slot;
use crate::backend::Backend;

/// How often an engine is looked after at the least.
const PERIOD: Duration = Duration::from_secs(30);

/// Looks after an engine until it is closed or gone. It holds the engine only while it works.
pub(super) async fn run<C: Backend>(engine: Weak<Core<C>>, woken: Arc<Notify>, alive: Alive) {
    let _alive = alive;
    loop {
        let Some(engine_now) = engine.upgrade().filter(|engine| !engine.is_closed()) else {
            return;
        };
        close_old(&engine_now);
        keep_warm(&engine_now).await;
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
fn period<C: Backend>(engine: &Core<C>) -> Duration {
    let options = &engine.settings.options;
    let shortest = [options.idle_timeout, options.max_lifetime].into_iter().flatten().min();
    shortest.map_or(PERIOD, |shortest| (shortest / 2).clamp(Duration::from_millis(10), PERIOD))
}

/// Closes idle connections that have reached `max_lifetime`, and those above `min_idle` that have
/// reached `idle_timeout`.
fn close_old<C: Backend>(engine: &Core<C>) {
    let options = &engine.settings.options;
    let now = Instant::now();
    let mut left = engine.pool.counts().idle;
    engine.pool.retain(|slot| {
        let is_idle = options.idle_timeout.is_some_and(|limit| slot.idle_for(now) >= limit);
        let is_due = slot.is_expired(now) || is_idle && left > options.min_idle;
        left -= u32::from(is_due);
        !is_due
    });
}

/// Opens connections until `min_idle` are idle, or all are in use.
async fn keep_warm<C: Backend>(engine: &Arc<Core<C>>) {
    let options = &engine.settings.options;
    while engine.pool.counts().idle < options.min_idle {
        // Held while connecting, so that there are never more connections than permits.
        let Ok(_permit) = engine.permits.try_acquire() else {
            return;
        };
        match engine.connect(options.connect_timeout).await {
            Ok(connection) => {
                let mut slot = Slot::empty();
                slot.fill(connection, engine.lifetime(), Handle::current().id());
                engine.pool.add(slot);
            }
            Err(error) => {
                let error = Arc::new(error);
                engine.stats.record_error(&error);
                tracing::warn!(
                    target: "registry",
                    bind = %engine.settings.key,
                    error = &*error as &dyn std::error::Error,
                    "min_idle could not be kept"
                );
                return;
            }
        }
    }
}
