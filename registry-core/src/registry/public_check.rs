//! What a health end-point may say to everybody.

use std::fmt;

use serde::Serialize;

use super::check::CheckReport;
use crate::settings::BindKey;

/// Which databases answered, without anything that is not for everybody: see [`CheckReport::public`].
///
/// `Display` prints a line for each bind, and serialized it is
/// `{"status":"down","binds":[{"key":"analytics","status":"ok"},{"key":"default","status":"down"}]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PublicCheckReport {
    /// `Ok` if all binds are.
    pub status: PublicHealth,
    /// One entry for each bind, in the order of their keys.
    pub binds: Vec<PublicBindHealth>,
}

/// Whether the database of one bind answered: a part of [`PublicCheckReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PublicBindHealth {
    /// The bind key.
    pub key: BindKey,
    /// Whether it answered.
    pub status: PublicHealth,
}

/// Whether a database answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicHealth {
    /// It answered.
    Ok,
    /// It did not answer in time, or with an error.
    Down,
}

impl CheckReport {
    /// The report for a health end-point that anybody can ask: which binds answered, and nothing else.
    ///
    /// A failure's text has the database's own words, in which there may be hosts, users and paths. So print the report
    /// itself to the log, and answer with this one. It has the bind keys, which the program chose, and leaves out replicas
    /// and durations.
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::Registry;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder()
    ///     .bind("analytics", "sqlite::memory:")
    ///     .bind("default", "sqlite:///no/such/folder/main.db")
    ///     .build()?;
    /// let report = registry.check(Duration::from_secs(2)).await;
    /// assert_eq!(report.public().to_string(), "analytics  ok\ndefault    down");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn public(&self) -> PublicCheckReport {
        let binds = self.binds.iter().map(|bind| PublicBindHealth {
            key: bind.key,
            status: PublicHealth::of(bind.failure.is_none()),
        });
        PublicCheckReport { status: PublicHealth::of(self.is_ok()), binds: binds.collect() }
    }
}

impl PublicHealth {
    fn of(is_ok: bool) -> Self {
        if is_ok { Self::Ok } else { Self::Down }
    }
}

impl fmt::Display for PublicHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Down => "down",
        })
    }
}

impl fmt::Display for PublicCheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.binds.iter().map(|bind| bind.key.len()).max().unwrap_or_default();
        for (at, PublicBindHealth { key, status }) in self.binds.iter().enumerate() {
            let separator = if at > 0 { "\n" } else { "" };
            write!(f, "{separator}{key:<width$}  {status}")?;
        }
        Ok(())
    }
}
