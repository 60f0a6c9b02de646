//! The warning about a query on a registry or a tenant that runs outside of a transaction of its task.

use std::panic::Location;

use crate::bind::Bind;
use crate::registry::Registry;
use crate::work::Scope;

/// Warns if the calling task has a transaction that the query at `at` could be part of.
///
/// The check for a [`Scope`] of the same registry is cheap, and every build makes it. The check for a session of the same
/// bind, or for a unit of work of any bind, would delay each query too much, so only debug builds make it.
pub(super) fn warn_if_outside_transaction<B: Bind>(
    registry: &Registry,
    at: &'static Location<'static>,
) {
    if Scope::is_current_of(registry) {
        if registry.is_first_warning_at(B::KEY, at) {
            tracing::warn!(
                target: "registry",
                bind = %B::KEY,
                place = %at,
                "a query is run on the registry in a scope, and is no part of its unit of work: it is committed by \
                 itself, and does not see uncommitted changes of the unit of work (logged once for this place)"
            );
        }
    } else if cfg!(debug_assertions) {
        registry.warn_if_caller_holds_session::<B>(at);
    }
}
