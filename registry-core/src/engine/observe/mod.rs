//! What is seen of an engine and its connections.

pub(super) mod caller;
pub(super) mod events;
pub(super) mod holders;
pub(super) mod instrumentation;
pub(super) mod invalidation;
pub(super) mod meters;
pub(super) mod stats;
pub(super) mod status;
pub(super) mod watch;
