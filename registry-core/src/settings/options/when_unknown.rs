//! The type of the option `when_unknown`.

use crate::settings::from_value::{FromValue, one_of};
use crate::settings::value::Value;

/// What happens to a database with unknown migrations: migrations that were run on it, and that the program does not have.
///
/// In settings `"warn"` and `"fail"`. It counts for binds whose migrations
/// [`RegistryBuilder::migrations`](crate::RegistryBuilder::migrations) was told. It is checked when the pending
/// migrations are, see [`WhenPending`](crate::WhenPending).
///
/// ```
/// use registry_core::{BindSettings, Registry, WhenUnknown};
///
/// let app = BindSettings::new("sqlite://app.db").when_unknown(WhenUnknown::Fail);
/// let registry = Registry::builder().bind("default", app).build()?;
/// # let _ = registry;
/// # Ok::<(), registry_core::SettingsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WhenUnknown {
    /// There is a warning. The default, because while a new version of the program is rolled out, the old one sees the
    /// migrations of the new one.
    #[default]
    Warn,
    /// [`verify`](crate::Registry::verify) fails, and a tenant is refused with
    /// [`AcquireError::UnknownMigrations`](crate::AcquireError::UnknownMigrations).
    Fail,
}

impl FromValue for WhenUnknown {
    fn from_value(value: &Value) -> Result<Self, String> {
        one_of(value, &[("warn", Self::Warn), ("fail", Self::Fail)])
    }
}
