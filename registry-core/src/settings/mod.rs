//! What a user writes down.
mod backend_kind;
pub use backend_kind::BackendKind;
