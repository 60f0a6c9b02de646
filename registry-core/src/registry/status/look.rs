//! What has changed since an earlier snapshot of the registry.

use std::collections::HashMap;
use std::time::Instant;

use super::Status;
use crate::engine::{AcquireCounters, EngineStatus};
use crate::on_demand::OnDemandStatus;

/// The counters of a snapshot, by the numbers of the engines.
#[derive(Debug)]
pub(in crate::registry) struct Look {
    pub(super) at: Instant,
    registry: usize,
    engines: HashMap<u64, AcquireCounters>,
    on_demand: OnDemandStatus,
}

impl Look {
    pub(super) fn of(status: &Status) -> Self {
        let counters = |engine: &EngineStatus| (engine.opened.number, AcquireCounters::of(engine));
        // The engines are left out: only the counters are compared.
        let on_demand = OnDemandStatus { engines: Vec::new(), ..status.on_demand };
        let engines = status.all_engines().map(counters).collect();
        Self { at: status.at, registry: status.registry, engines, on_demand }
    }

    /// Notes in `status` what has changed since this look. Nothing is noted if the look is not an earlier one of the same
    /// registry.
    pub(super) fn note_changes(&self, status: &mut Status) {
        let over = match status.at.checked_duration_since(self.at) {
            Some(over) if !over.is_zero() && self.registry == status.registry => over,
            _ => return status.forget_changes(),
        };
        status.since_last = Some(over);
        status.on_demand.since_last = Some(status.on_demand.since(&self.on_demand, over));
        for engine in status.all_engines_mut() {
            engine.since_last = self
                .counters_then(engine)
                .map(|then| AcquireCounters::of(engine).since(then, over));
        }
    }

    /// The counters that an engine had at the time of this look. `None` if they are not known, because the engine was open
    /// and not listed yet.
    fn counters_then(&self, engine: &EngineStatus) -> Option<AcquireCounters> {
        let known = self.engines.get(&engine.opened.number).copied();
        // An engine that was opened later had counted nothing, whichever engine was in its place before.
        known.or_else(|| (engine.opened.at >= self.at).then(AcquireCounters::default))
    }
}
