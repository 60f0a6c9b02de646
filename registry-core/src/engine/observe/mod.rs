//! What is seen of an engine and its connections.

pub(super) mod caller;
pub(super) mod meters;
pub(super) mod stats;
pub(super) mod status;
pub(super) mod watch;
