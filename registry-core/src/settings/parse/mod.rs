//! First stage: what was written becomes drafts.

pub(in crate::settings) mod document;
pub(in crate::settings) mod draft;
pub(in crate::settings) mod environment;
