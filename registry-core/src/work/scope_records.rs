//! What is kept of the statements of a scope.

use std::future::Future;
use std::sync::Arc;

use crate::registry::{Registry, ScopeWrites};
use crate::telemetry::ScopeTelemetry;

/// What is kept of the statements of a scope: what they have written, and the queries that are recorded.
#[derive(Clone)]
pub(super) struct ScopeRecords {
    /// What was written for the scope, for its reads from replicas.
    pub(super) writes: Arc<ScopeWrites>,
    pub(super) telemetry: Arc<ScopeTelemetry>,
}

impl ScopeRecords {
    pub(super) fn new(registry: &Registry) -> Self {
        let telemetry = registry.telemetry().new_scope();
        Self { writes: ScopeWrites::new(registry.clone()), telemetry }
    }

    /// Runs `future`, whose statements are those of the scope.
    pub(super) async fn enter<F: Future>(&self, future: F) -> F::Output {
        self.telemetry.enter(self.writes.enter(future)).await
    }
}
