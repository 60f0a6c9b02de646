//! The type of the option `when_behind`.

use crate::settings::from_value::{FromValue, one_of};
use crate::settings::value::Value;

/// What a reader does when each replica is too far behind for it, or unreachable.
///
/// In settings `"primary"`, `"wait"` and `"error"`.
///
#[cfg_attr(not(feature = "postgres"), doc = "```ignore")]
#[cfg_attr(feature = "postgres", doc = "```")]
/// use std::time::Duration;
/// use registry_core::{BindSettings, Registry, WhenBehind};
///
/// // Reports never burden the primary.
/// let shop = BindSettings::new("postgres://app@primary/shop")
///     .replica("postgres://app@replica/shop")
///     .when_behind(WhenBehind::Error)
///     .wait_for_replica(Duration::from_secs(5));
/// let registry = Registry::builder().bind("default", shop).build()?;
/// # let _ = registry;
/// # Ok::<(), registry_core::SettingsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WhenBehind {
    /// It reads from the primary at once. The default.
    #[default]
    Primary,
    /// It waits for a replica, at most as long as `wait_for_replica`, and then reads from the primary.
    Wait,
    /// It waits for a replica, at most as long as `wait_for_replica`, and then fails. It never reads from the primary.
    Error,
}

impl FromValue for WhenBehind {
    fn from_value(value: &Value) -> Result<Self, String> {
        let words = [("primary", Self::Primary), ("wait", Self::Wait), ("error", Self::Error)];
        one_of(value, &words)
    }
}
