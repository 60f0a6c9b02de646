//! The error for a URL of another kind of database than the program expects.

use crate::backend_kind::BackendKind;
use crate::bind_key::BindKey;

/// The program expects one backend behind a bind, and the URL in the settings is of another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bind `{key}`: the program expects {expected}, but the settings give it a {found} URL")]
#[non_exhaustive]
pub struct WrongBackend {
    /// The bind key.
    pub key: BindKey,
    /// The backend of the model, table or bind in the program.
    pub expected: BackendKind,
    /// The backend of the URL in the settings.
    pub found: BackendKind,
}
