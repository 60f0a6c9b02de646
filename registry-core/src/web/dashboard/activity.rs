//! The queries of each engine: how many, and how long they took.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::settings::BindKey;
use crate::telemetry::{ActivitySnapshot, Database, QueryCounts};

/// The queries of one bind, or one tenant, between two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Activity {
    pub(super) per_second: f64,
    /// Half of the queries took no longer. `None` if there was no query.
    pub(super) p50: Option<Duration>,
    /// 95 of 100 queries took no longer. `None` if there was no query.
    pub(super) p95: Option<Duration>,
}

/// The activity of all binds, and of the tenants in them.
#[derive(Debug, Default)]
pub(super) struct Activities {
    binds: HashMap<BindKey, Activity>,
    tenants: HashMap<(BindKey, Arc<str>), Activity>,
}

impl Activities {
    /// The activity of a bind, on its primary and its replicas.
    pub(super) fn of_bind(&self, key: BindKey) -> Option<Activity> {
        self.binds.get(&key).copied()
    }

    pub(super) fn of_tenant(&self, key: BindKey, tenant: &str) -> Option<Activity> {
        self.tenants.get(&(key, tenant.into())).copied()
    }
}

/// Remembers the counts of one reading until the next.
#[derive(Debug, Default)]
pub(super) struct ActivityReader {
    /// `None` before the first reading, which tells nothing of how long the counts have grown.
    last: Option<HashMap<Database, QueryCounts>>,
}

impl ActivityReader {
    /// What was done since the last reading, `elapsed` ago. Binds without queries have an activity, too.
    pub(super) fn read(
        &mut self,
        snapshot: ActivitySnapshot,
        keys: &[BindKey],
        elapsed: Duration,
    ) -> Activities {
        let Some(last) = self.last.replace(snapshot.databases) else {
            return Activities::default();
        };
        let mut binds: HashMap<BindKey, QueryCounts> =
            keys.iter().map(|key| (*key, QueryCounts::default())).collect();
        let mut tenants: HashMap<(BindKey, Arc<str>), QueryCounts> = HashMap::new();
        for (database, counts) in self.last.iter().flatten() {
            let new = match last.get(database) {
                Some(before) => QueryCounts {
                    queries: counts.queries.saturating_sub(before.queries),
                    latencies: counts.latencies.since(&before.latencies),
                },
                None => counts.clone(),
            };
            add(binds.entry(database.key).or_default(), &new);
            if let Some(tenant) = &database.tenant {
                add(tenants.entry((database.key, Arc::clone(tenant))).or_default(), &new);
            }
        }
        let activity = |counts: QueryCounts| Activity {
            per_second: counts.queries as f64 / elapsed.as_secs_f64().max(1e-3),
            p50: counts.latencies.quantile(0.5),
            p95: counts.latencies.quantile(0.95),
        };
        Activities {
            binds: binds.into_iter().map(|(key, counts)| (key, activity(counts))).collect(),
            tenants: tenants.into_iter().map(|(of, counts)| (of, activity(counts))).collect(),
        }
    }
}

fn add(sum: &mut QueryCounts, counts: &QueryCounts) {
    sum.queries += counts.queries;
    sum.latencies.add(&counts.latencies);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Role;

    fn snapshot(counts: &[(Option<&str>, u64)]) -> ActivitySnapshot {
        let databases = counts.iter().map(|(tenant, queries)| {
            let tenant = tenant.map(Arc::from);
            let database = Database { key: BindKey::DEFAULT, tenant, role: Role::Primary };
            (database, QueryCounts { queries: *queries, ..QueryCounts::default() })
        });
        ActivitySnapshot { databases: databases.collect(), ..ActivitySnapshot::default() }
    }

    #[test]
    fn activity_is_what_was_done_since_the_last_reading() {
        let mut reader = ActivityReader::default();
        let mut read = |counts: &[(Option<&str>, u64)]| {
            let elapsed = Duration::from_secs(2);
            let read = reader.read(snapshot(counts), &[BindKey::DEFAULT], elapsed);
            let of = |activity: Option<Activity>| activity.map(|activity| activity.per_second);
            (of(read.of_bind(BindKey::DEFAULT)), of(read.of_tenant(BindKey::DEFAULT, "acme")))
        };
        assert_eq!(read(&[(None, 100)]), (None, None), "it is not known since when");
        assert_eq!(read(&[(None, 110), (Some("acme"), 4)]), (Some(7.0), Some(2.0)));
        assert_eq!(read(&[(None, 110), (Some("acme"), 10)]), (Some(3.0), Some(3.0)));
    }
}
