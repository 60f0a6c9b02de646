//! The histogram of the durations of queries, `registry_query_duration_seconds`.
//!
//! Its labels are bounded, because a recorder keeps each set of them for good: the first 200 sets of bind, table and
//! operation of the process have labels of their own, and the first 200 tenants if these are asked for. All others share
//! `other`. Names are cut at 64 characters.

use std::time::Duration;

use crate::settings::{BindKey, Role};

/// Whether a recorder is installed, so that it is worthwhile to find out the labels of a query.
///
/// A recorder without any state of its own cannot be told from none: both have no size.
pub(crate) fn has_recorder() -> bool {
    #[cfg(feature = "metrics")]
    return crate::meters::has_recorder();
    #[cfg(not(feature = "metrics"))]
    false
}

/// Records the duration of a query.
///
/// `tenant` is given only if the registry was asked for metrics by tenant
/// ([`EngineSettings::has_metrics_by_tenant`](crate::settings::EngineSettings)), `table` only if it is known which one it
/// is, and `error` is the kind of the error, if the query has failed.
///
/// It costs a look-up and a record. The first query with its labels also makes a handle. Without the feature `metrics`, it
/// does nothing.
pub(crate) fn note_query(
    key: BindKey,
    role: Role,
    tenant: Option<&str>,
    table: Option<&str>,
    operation: &str,
    elapsed: Duration,
    error: Option<&'static str>,
) {
    #[cfg(feature = "metrics")]
    on::note(&on::Labels { key, role, tenant, table, operation, error }.cut(), elapsed);
    #[cfg(not(feature = "metrics"))]
    let _ = (key, role, tenant, table, operation, elapsed, error);
}

#[cfg(feature = "metrics")]
mod on {
    use std::collections::HashSet;
    use std::fmt::Display;
    use std::hash::BuildHasher;
    use std::sync::{PoisonError, RwLock};
    use std::time::Duration;

    use foldhash::HashMap;
    use foldhash::fast::RandomState;

    use crate::meters::{Histogram, list, recorder_id};
    use crate::settings::{BindKey, Role};

    /// How many sets of bind, table and operation have labels of their own.
    pub(super) const MAX_SETS: usize = 200;

    /// How many tenants have a label of their own.
    pub(super) const MAX_TENANTS: usize = 200;

    /// How many characters of a name are in a label. A name of PostgreSQL has 63 bytes, and one of MySQL 64 characters.
    pub(super) const MAX_NAME: usize = 64;

    /// The label of all that has none of its own.
    pub(super) const OTHER: &str = "other";

    /// The handles of this process.
    static SERIES: RwLock<Option<SeriesCache>> = RwLock::new(None);

    pub(super) fn note(labels: &Labels<'_>, elapsed: Duration) {
        let recorder = recorder_id();
        let found = {
            let cache = SERIES.read().unwrap_or_else(PoisonError::into_inner);
            let cache = cache.as_ref().filter(|cache| cache.recorder == recorder);
            cache.and_then(|cache| cache.find(labels))
        };
        let histogram = found.unwrap_or_else(|| {
            let mut cache = SERIES.write().unwrap_or_else(PoisonError::into_inner);
            let cache = cache.get_or_insert_with(|| SeriesCache::new(recorder));
            if cache.recorder != recorder {
                *cache = SeriesCache::new(recorder);
            }
            cache.find_or_add(labels)
        });
        histogram.record(elapsed);
    }

    /// The labels of a query.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(super) struct Labels<'a> {
        pub(super) key: BindKey,
        pub(super) role: Role,
        pub(super) tenant: Option<&'a str>,
        pub(super) table: Option<&'a str>,
        pub(super) operation: &'a str,
        pub(super) error: Option<&'static str>,
    }

    impl Labels<'_> {
        pub(super) fn cut(self) -> Self {
            let (tenant, table) = (self.tenant.map(cut), self.table.map(cut));
            Self { tenant, table, operation: cut(self.operation), ..self }
        }
    }

    /// The first [`MAX_NAME`] characters.
    fn cut(name: &str) -> &str {
        if name.len() <= MAX_NAME {
            return name;
        }
        name.char_indices().nth(MAX_NAME).map_or(name, |(end, _)| &name[..end])
    }

    /// The handles for one recorder.
    pub(super) struct SeriesCache {
        /// The recorder to which the handles belong, see [`recorder_id`].
        recorder: usize,
        hasher: RandomState,
        /// By the hash of the labels, so that a look-up copies no text.
        series: HashMap<u64, Vec<Series>>,
        sets: HashMap<BindKey, HashMap<Box<str>, HashSet<Box<str>>>>,
        set_count: usize,
        tenants: HashSet<Box<str>>,
    }

    /// A handle, and its labels.
    struct Series {
        key: BindKey,
        role: Role,
        tenant: Option<Box<str>>,
        table: Option<Box<str>>,
        operation: Box<str>,
        error: Option<&'static str>,
        histogram: Histogram,
    }

    impl Series {
        fn new(labels: &Labels<'_>) -> Self {
            let Labels { key, role, tenant, table, operation, error } = *labels;
            let mut shown: Vec<(&'static str, &dyn Display)> =
                vec![("bind", &key), ("role", &role)];
            // A label that is not there is an empty one to Prometheus.
            let known = Some(operation).filter(|operation| !operation.is_empty());
            let optional =
                [("table", &table), ("operation", &known), ("error", &error), ("tenant", &tenant)];
            shown.extend(
                optional
                    .iter()
                    .filter_map(|(name, value)| Some((*name, value.as_ref()? as &dyn Display))),
            );
            Self {
                key,
                role,
                tenant: tenant.map(Box::from),
                table: table.map(Box::from),
                operation: operation.into(),
                error,
                histogram: Histogram::new(&list::QUERY_DURATION, &shown),
            }
        }

        fn labels(&self) -> Labels<'_> {
            Labels {
                key: self.key,
                role: self.role,
                tenant: self.tenant.as_deref(),
                table: self.table.as_deref(),
                operation: &self.operation,
                error: self.error,
            }
        }
    }

    impl SeriesCache {
        pub(super) fn new(recorder: usize) -> Self {
            Self {
                recorder,
                hasher: RandomState::default(),
                series: HashMap::default(),
                sets: HashMap::default(),
                set_count: 0,
                tenants: HashSet::new(),
            }
        }

        /// The handle for a query with these labels, if there is one. It may be one that queries share.
        fn find(&self, labels: &Labels<'_>) -> Option<Histogram> {
            self.find_exactly(labels).or_else(|| {
                let bounded = self.bounded(labels);
                (bounded != *labels).then(|| self.find_exactly(&bounded)).flatten()
            })
        }

        fn find_exactly(&self, labels: &Labels<'_>) -> Option<Histogram> {
            let with_hash = self.series.get(&self.hasher.hash_one(labels))?;
            let series = with_hash.iter().find(|series| series.labels() == *labels)?;
            Some(series.histogram.clone())
        }

        pub(super) fn find_or_add(&mut self, labels: &Labels<'_>) -> Histogram {
            let bounded = self.bounded(labels);
            // Another thread may have added it.
            if let Some(found) = self.find_exactly(&bounded) {
                return found;
            }
            self.count(&bounded);
            let series = Series::new(&bounded);
            let histogram = series.histogram.clone();
            self.series.entry(self.hasher.hash_one(bounded)).or_default().push(series);
            histogram
        }

        /// These labels, with `other` where there is no room for another name.
        pub(super) fn bounded<'a>(&self, labels: &Labels<'a>) -> Labels<'a> {
            let mut bounded = *labels;
            if self.set_count >= MAX_SETS && !self.has_set(labels) {
                (bounded.table, bounded.operation) = (Some(OTHER), OTHER);
            }
            if let Some(tenant) = labels.tenant
                && self.tenants.len() >= MAX_TENANTS
                && !self.tenants.contains(tenant)
            {
                bounded.tenant = Some(OTHER);
            }
            bounded
        }

        fn has_set(&self, labels: &Labels<'_>) -> bool {
            let of_bind = self.sets.get(&labels.key);
            let tables = of_bind.and_then(|operations| operations.get(labels.operation));
            tables.is_some_and(|tables| tables.contains(labels.table.unwrap_or_default()))
        }

        /// Counts labels that are bounded already.
        fn count(&mut self, bounded: &Labels<'_>) {
            if self.set_count < MAX_SETS {
                let operations = self.sets.entry(bounded.key).or_default();
                let tables = operations.entry(bounded.operation.into()).or_default();
                self.set_count +=
                    usize::from(tables.insert(bounded.table.unwrap_or_default().into()));
            }
            if let Some(tenant) = bounded.tenant
                && self.tenants.len() < MAX_TENANTS
            {
                self.tenants.insert(tenant.into());
            }
        }
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use std::collections::BTreeSet;

    use super::on::{Labels, MAX_NAME, MAX_SETS, MAX_TENANTS, OTHER, SeriesCache};
    use crate::settings::{BindKey, Role};

    fn labels<'a>(table: &'a str, operation: &'a str) -> Labels<'a> {
        Labels {
            key: BindKey::DEFAULT,
            role: Role::Primary,
            tenant: None,
            table: Some(table),
            operation,
            error: None,
        }
    }

    #[test]
    fn sets_beyond_the_limit_share_their_labels() {
        let mut cache = SeriesCache::new(0);
        let tables: Vec<String> = (0..MAX_SETS + 50).map(|at| format!("t{at}")).collect();
        let mut own = BTreeSet::new();
        for _ in 0..2 {
            for table in &tables {
                let labels = labels(table, "SELECT");
                cache.find_or_add(&labels);
                own.insert(cache.bounded(&labels).table.expect("it has one").to_owned());
            }
        }
        assert_eq!(own.len(), MAX_SETS + 1);
        assert!(own.contains(OTHER) && own.contains("t0"));
        let of_known = labels("t0", "SELECT");
        let failed = Labels { error: Some("lost"), role: Role::Replica, ..of_known };
        assert_eq!(cache.bounded(&failed), failed, "the set is a known one");
        let updated = labels("t0", "UPDATE");
        assert_eq!(cache.bounded(&updated), labels(OTHER, OTHER));
    }

    #[test]
    fn tenants_beyond_the_limit_share_a_label() {
        let mut cache = SeriesCache::new(0);
        let tenants: Vec<String> = (0..MAX_TENANTS + 50).map(|at| format!("tenant{at}")).collect();
        let of = |tenant| Labels { tenant: Some(tenant), ..labels("users", "SELECT") };
        tenants.iter().for_each(|tenant| drop(cache.find_or_add(&of(tenant))));
        assert_eq!(cache.bounded(&of("tenant0")).tenant, Some("tenant0"));
        assert_eq!(cache.bounded(&of("tenant249")).tenant, Some(OTHER));
        assert_eq!(cache.bounded(&labels("users", "SELECT")).tenant, None);
    }

    #[test]
    fn long_names_are_cut() {
        let long = "ä".repeat(1000);
        let cut = labels(&long, &long).cut();
        assert_eq!(cut.table.map(|table| table.chars().count()), Some(MAX_NAME));
        assert_eq!(cut.operation.chars().count(), MAX_NAME);
        assert_eq!(labels("users", "SELECT").cut(), labels("users", "SELECT"));
    }
}
