//! What the queries of a registry have done since somebody began to look: for pages that show it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::latencies::Latencies;
use super::query::RecordedQuery;
use crate::bind_key::BindKey;
use crate::settings::Role;

/// How many failed queries are kept.
const MOST_FAILURES: usize = 50;

/// How many databases are told apart. Queries on further tenants' databases count for the bind as a whole.
const MOST_DATABASES: usize = 1000;

/// The counts of the queries of a registry, for each database, and the queries that have failed last.
#[derive(Debug, Default)]
pub(crate) struct Activity(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    databases: HashMap<Database, QueryCounts>,
    failures: VecDeque<RecordedQuery>,
}

/// A database, as far as queries tell it: the bind, the tenant, and whether it was the primary or a replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Database {
    pub(crate) key: BindKey,
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) role: Role,
}

/// How many queries were run, and how long they took.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryCounts {
    pub(crate) queries: u64,
    pub(crate) latencies: Latencies,
}

/// The counts of all databases, and the queries that have failed last, the newest at the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActivitySnapshot {
    pub(crate) databases: HashMap<Database, QueryCounts>,
    pub(crate) failures: Vec<RecordedQuery>,
}

impl Activity {
    /// Counts a query. Of the statements of transactions, only those that fail matter.
    pub(super) fn record(&self, query: &RecordedQuery, is_transaction_control: bool) {
        let has_failed = query.error.is_some_and(|error| error != super::observed::CANCELLED);
        if is_transaction_control && !has_failed {
            return;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if has_failed {
            if state.failures.len() == MOST_FAILURES {
                state.failures.pop_front();
            }
            state.failures.push_back(query.clone());
        }
        let mut database =
            Database { key: query.bind, tenant: query.tenant.clone(), role: query.role };
        if state.databases.len() >= MOST_DATABASES && !state.databases.contains_key(&database) {
            database.tenant = None;
        }
        let counts = state.databases.entry(database).or_default();
        counts.queries += 1;
        counts.latencies.record(query.elapsed);
    }

    pub(super) fn snapshot(&self) -> ActivitySnapshot {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ActivitySnapshot {
            databases: state.databases.clone(),
            failures: state.failures.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::observed::CANCELLED;
    use super::*;

    fn query(error: Option<&'static str>) -> RecordedQuery {
        RecordedQuery { error, ..RecordedQuery::of_test("SELECT a FROM t", 1) }
    }

    fn of_tenant(tenant: &str) -> RecordedQuery {
        RecordedQuery { tenant: Some(tenant.into()), ..query(None) }
    }

    /// How many queries of a database there were.
    fn count(snapshot: &ActivitySnapshot, tenant: Option<&str>) -> Option<u64> {
        let tenant = tenant.map(Arc::from);
        let database = Database { key: BindKey::DEFAULT, tenant, role: Role::Primary };
        snapshot.databases.get(&database).map(|counts| counts.queries)
    }

    #[test]
    fn only_the_last_failures_are_kept_and_all_are_counted() {
        let activity = Activity::default();
        activity.record(&query(None), false);
        for number in 0..MOST_FAILURES + 3 {
            let statement = number.to_string().into();
            activity.record(&RecordedQuery { statement, ..query(Some("other")) }, false);
        }
        let snapshot = activity.snapshot();
        let kept = snapshot.failures.iter().map(|query| query.statement.to_string());
        let last = (3..MOST_FAILURES + 3).map(|number| number.to_string());
        assert!(kept.eq(last), "{:?}", snapshot.failures);
        assert_eq!(count(&snapshot, None), Some(MOST_FAILURES as u64 + 4));
    }

    #[test]
    fn dropped_query_is_no_failure_and_a_failed_commit_is_one() {
        let activity = Activity::default();
        activity.record(&query(Some(CANCELLED)), false);
        activity.record(&query(Some(CANCELLED)), true);
        activity.record(&query(None), true);
        let snapshot = activity.snapshot();
        assert_eq!((count(&snapshot, None), snapshot.failures.len()), (Some(1), 0));
        activity.record(&query(Some("serialization_failure")), true);
        let snapshot = activity.snapshot();
        assert_eq!((count(&snapshot, None), snapshot.failures.len()), (Some(2), 1));
    }

    #[test]
    fn tenants_beyond_the_limit_count_for_the_bind_as_a_whole() {
        let activity = Activity::default();
        for number in 0..MOST_DATABASES + 5 {
            activity.record(&of_tenant(&number.to_string()), false);
        }
        activity.record(&of_tenant("0"), false);
        let snapshot = activity.snapshot();
        assert_eq!(snapshot.databases.len(), MOST_DATABASES + 1);
        assert_eq!(count(&snapshot, Some("0")), Some(2));
        assert_eq!(count(&snapshot, None), Some(5));
    }
}
