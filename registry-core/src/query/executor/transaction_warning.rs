//! The warning about a query that is run on a registry or a tenant, outside of a transaction that its task has.

use std::panic::Location;

use crate::bind::Bind;
use crate::registry::Registry;
use crate::work::Scope;

/// Warns if the calling task has a transaction that the query at `at` could be part of.
///
/// In a [`Scope`] of the same registry, that is known at little cost, and is checked in every build. Whether the task
/// has a session of the same bind, or a unit of work of any bind, takes longer to find out than a query should be
/// delayed, and is checked in debug builds only.
pub(super) fn warn_if_outside_transaction<B: Bind>(
    registry: &Registry,
    at: &'static Location<'static>,
) {
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
