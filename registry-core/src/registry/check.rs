//! A check whether the databases answer, for health end-points.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::handle::Registry;
use super::verify::failure_of;
use crate::cause::Chain;
use crate::engine::{AnyEngine, ReplicaCheck};
use crate::serialized::as_seconds;
use crate::settings::BindKey;

impl Registry {
    /// Checks whether each database answers, for health end-points. All are asked at once, and the wait is `limit` at
    /// most.
    ///
    /// For each bind and each of its replicas, the report says whether its database answered, why it did not, and how long
    /// that took. An engine whose connections are all in use for the whole `limit` counts as not answering. Binds with a
    /// database for each tenant are not checked. Dropping the future stops the check. [`verify`](Self::verify) checks more,
    /// when a program starts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::Registry;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), registry_core::Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let report = registry.check(Duration::from_secs(2)).await;
    /// assert!(report.is_ok(), "{report}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn check(&self, limit: Duration) -> CheckReport {
        let engines = self.engines();
        let checks = engines.iter().map(|engine| async move {
            let started = Instant::now();
            let key = engine.settings().key;
            let check = engine.clone().check(Some(limit));
            let (outcome, replicas) = match Handle::try_current() {
                Ok(_) => join(timeout(limit, check), replicas_of(engine, limit)).await,
                // Without a runtime there is no timer, and the check fails at once with an error about that.
                Err(_) => (Ok(check.await), Vec::new()),
            };
            let failure = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(failure)) => Some(Chain(&failure_of(key, failure)).to_string()),
                Err(_) => {
                    let limit = humantime::format_duration(limit);
                    Some(format!("bind `{key}`: no answer within {limit}"))
                }
            };
            BindHealth { key, failure, took: started.elapsed(), replicas }
        });
        CheckReport { binds: join_all(checks).await }
    }
}

#[cfg(feature = "dashboard")]
impl Registry {
    /// Asks each database with a connection to spare for an answer within `limit`, all at once.
    ///
    /// A database whose connections are all in use is not asked: the question would be one more caller in the queue,
    /// and its time-out would be counted as one of the program's. Of such an engine, a connection that could not be opened
    /// just now tells that the database does not answer.
    pub(crate) async fn check_unless_full(&self, limit: Duration) -> Vec<(BindKey, Answer)> {
        let checks = self.engines().into_iter().map(|engine| async move {
            let key = engine.settings().key;
            let status = engine.status();
            if status.in_use >= status.max || status.waiting > 0 {
                let failed = status
                    .last_error
                    .filter(|error| error.at.elapsed().is_ok_and(|elapsed| elapsed < RECENT));
                return (key, failed.map_or(Answer::NotAsked, |error| Answer::No(error.message)));
            }
            let started = Instant::now();
            let answer = match timeout(limit, engine.check(Some(limit))).await {
                Ok(Ok(())) => Answer::Yes { took: started.elapsed() },
                Ok(Err(failure)) => Answer::No(Chain(&failure_of(key, failure)).to_string()),
                Err(_) => {
                    let limit = humantime::format_duration(limit);
                    Answer::No(format!("bind `{key}`: no answer within {limit}"))
                }
            };
            (key, answer)
        });
        join_all(checks).await
    }
}

/// How long a failure to connect says that a database does not answer.
#[cfg(feature = "dashboard")]
const RECENT: Duration = Duration::from_secs(2);

/// Whether a database answered.
#[cfg(feature = "dashboard")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes {
        took: Duration,
    },
    /// Why not, with the causes.
    No(String),
    /// All of its connections are in use.
    NotAsked,
}

/// The health of each replica of an engine. A replica that does not answer in time says nothing of the others.
async fn replicas_of(engine: &Arc<dyn AnyEngine>, limit: Duration) -> Vec<ReplicaHealth> {
    let checks = engine.clone().check_replicas(Some(limit)).await;
    checks.into_iter().map(ReplicaHealth::new).collect()
}

/// Whether each database answered, see [`Registry::check`]. `Display` prints a line for each bind.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// One entry for each bind, in the order of their keys.
    pub binds: Vec<BindHealth>,
}

impl CheckReport {
    /// Whether all of them answered. Replicas do not count: without them, reads go to the primary.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.binds.iter().all(|bind| bind.failure.is_none())
    }
}

/// Whether one database answered.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BindHealth {
    /// The bind key.
    pub key: BindKey,
    /// Why the database did not answer, with the causes. `None` if it answered.
    pub failure: Option<String>,
    /// How long the answer, or the failure, took. Serialized in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub took: Duration,
    /// The replicas of the bind, by their servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaHealth>,
}

/// Whether one replica answered, and is a replica of the bind's primary.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ReplicaHealth {
    /// The address and the port of the server, or the URL in the settings if that is not known.
    pub host: String,
    /// Why it cannot be used, with the causes. `None` if it can.
    pub failure: Option<String>,
    /// How many bytes of the log it had not replayed, if its server tells (PostgreSQL).
    pub lag_bytes: Option<u64>,
    /// How long the answer, or the failure, took. Serialized in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub took: Duration,
}

impl ReplicaHealth {
    fn new(check: ReplicaCheck) -> Self {
        let ReplicaCheck { host, outcome, took, .. } = check;
        let (failure, lag_bytes) = match outcome {
            Ok(lag_bytes) => (None, lag_bytes),
            Err(problem) => (Some(Chain(&problem).to_string()), None),
        };
        Self { host, failure, lag_bytes, took }
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.binds.iter().map(|bind| bind.key.len()).max().unwrap_or_default();
        for (at, bind) in self.binds.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            let outcome = bind.failure.as_deref().unwrap_or("ok");
            write!(f, "{:<width$}  {:>9.3?}  {outcome}", bind.key, bind.took)?;
            for replica in &bind.replicas {
                let ReplicaHealth { host, failure, lag_bytes, took } = replica;
                let outcome = failure.as_deref().unwrap_or("ok");
                write!(f, "\n{:<width$}  {took:>9.3?}  replica {host}: {outcome}", "")?;
                if let Some(bytes) = lag_bytes {
                    write!(f, ", {bytes} bytes behind")?;
                }
            }
        }
        Ok(())
    }
}
