//! The error for a bind key that the settings do not have.

use std::error::Error as StdError;
use std::fmt;

use super::nearest::nearest;
use crate::bind_key::BindKey;

/// The settings have no bind with that key.
///
/// The message lists the existing keys, and suggests the key that was probably meant.
///
/// ```
/// use registry_core::Registry;
///
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// let error = registry.engine("analytic").unwrap_err();
/// assert_eq!(error.nearest(), Some("analytics"));
/// assert_eq!(
///     error.to_string(),
///     "the settings have no bind `analytic`; they have `analytics`; did you mean `analytics`?"
/// );
/// # Ok::<(), registry_core::SettingsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownBind {
    /// The key that was asked for, or `***` if it looks like a URL, which may have a password in it.
    pub key: String,
    /// The existing keys.
    pub known: Vec<BindKey>,
}

impl UnknownBind {
    pub(crate) fn new(key: &str, known: impl IntoIterator<Item = BindKey>) -> Self {
        // Somebody may pass a URL in place of a key. Its password must not be in an error.
        let key = if key.contains([':', '@', '=']) { "***" } else { key };
        Self { key: key.to_owned(), known: known.into_iter().collect() }
    }

    /// Whether the settings have that bind, but with a database for each tenant instead of one.
    #[must_use]
    pub fn is_per_tenant(&self) -> bool {
        self.known.iter().any(|known| *known == *self.key)
    }

    /// The key that was most likely meant, if one is near enough to be a typing error.
    #[must_use]
    pub fn nearest(&self) -> Option<&str> {
        nearest(&self.key, self.known.iter().map(BindKey::as_str))
    }
}

impl fmt::Display for UnknownBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_per_tenant() {
            return write!(
                f,
                "bind `{}` has a database for each tenant, and no engine of its own: go through \
                 `registry.tenant(..)`",
                self.key
            );
        }
        write!(f, "the settings have no bind `{}`; they have ", self.key)?;
        write_list(f, &self.known)?;
        match self.nearest() {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

impl StdError for UnknownBind {}

/// Writes `a`, `b` and `c`; `none` if there are no keys.
pub(super) fn write_list(f: &mut fmt::Formatter<'_>, keys: &[BindKey]) -> fmt::Result {
    if keys.is_empty() {
        return f.write_str("none");
    }
    for (at, key) in keys.iter().enumerate() {
        let before = match at {
            0 => "",
            _ if at + 1 == keys.len() => " and ",
            _ => ", ",
        };
        write!(f, "{before}`{key}`")?;
    }
    Ok(())
}
