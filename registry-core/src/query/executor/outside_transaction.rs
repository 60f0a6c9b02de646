//! Queries that are run on a registry, while there is a transaction in which they could be.

use std::panic::Location;

use crate::bind::Bind;
use crate::registry::Registry;
use crate::work::Scope;

/// Warns of a query that is run beside what the calling task has: in a scope, in every build; beside a session of the
/// same bind or a unit of work of any, in debug builds, since that takes longer to find out than a query should.
pub(super) fn look<B: Bind>(registry: &Registry, at: &'static Location<'static>) {
    if Scope::is_current_of(registry) {
        if registry.is_first_warning_at(B::KEY, at) {
            tracing::warn!(
                target: "registry",
                bind = B::KEY,
                place = %at,
                "a query is run on the registry in a scope, and is no part of its unit of work: it is committed by \
                 itself, and does not see what the unit of work has not committed (said once for this place)"
            );
        }
    } else if cfg!(debug_assertions) {
        registry.warn_if_caller_holds_session::<B>(at);
    }
}
