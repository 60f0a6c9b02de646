//! Third stage: what cannot be, each problem with the place at which it was written.

pub(in crate::settings) mod backend_support;
pub(in crate::settings) mod migrate_url;
pub(in crate::settings) mod pooler;
pub(in crate::settings) mod ranges;
