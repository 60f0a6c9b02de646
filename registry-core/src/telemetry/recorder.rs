//! A bounded record of queries.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::options::RecordOptions;
use super::query::{RecordedQueries, RecordedQuery};

/// How many of the slowest queries are kept.
const SLOWEST: usize = 20;

/// For how long one of the slowest queries is kept.
const SLOWEST_FOR: Duration = Duration::from_secs(15 * 60);

/// The maximum number of statements and places whose runs are counted.
const MOST_COUNTED: usize = 1000;

/// A bounded record of queries. The oldest is dropped for a new one.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Whether queries are recorded. Read for each query, without the lock.
    is_on: AtomicBool,
    keeps_slowest: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    options: RecordOptions,
    recent: VecDeque<RecordedQuery>,
    bytes: usize,
    total: u64,
    /// Sorted, the slowest first. Each with the end of the time for which it is kept.
    slowest: Vec<(Instant, RecordedQuery)>,
    /// How often each statement has run from each place.
    runs: HashMap<(&'static Location<'static>, u64), u32>,
}

/// A statement that has run many times from one place.
#[derive(Debug)]
pub(super) struct Repeated {
    pub(super) runs: u32,
    pub(super) place: &'static Location<'static>,
}

impl Recorder {
    /// The record of a scope.
    pub(super) fn of_scope(options: RecordOptions) -> Self {
        Self::new(options, false)
    }

    /// The record of a registry, which keeps the slowest queries as well. It counts no runs: a query that a program runs
    /// again and again is no mistake.
    pub(super) fn of_registry(options: RecordOptions) -> Self {
        Self::new(options.warn_repeated(None), true)
    }

    fn new(options: RecordOptions, keeps_slowest: bool) -> Self {
        Self {
            is_on: AtomicBool::new(options.is_on),
            keeps_slowest,
            state: Mutex::new(State {
                options,
                recent: VecDeque::new(),
                bytes: 0,
                total: 0,
                slowest: Vec::new(),
                runs: HashMap::new(),
            }),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Changes how much is recorded from now on.
    pub(super) fn set_options(&self, options: RecordOptions) {
        let mut state = self.state();
        self.is_on.store(options.is_on, Ordering::Relaxed);
        state.options = options;
        state.drop_oldest();
    }

    /// Records a query. Returns that it was run many times from its place, when it has just become too many.
    pub(super) fn record(&self, query: &RecordedQuery) -> Option<Repeated> {
        if !self.is_on() {
            return None;
        }
        let mut state = self.state();
        state.total += 1;
        state.bytes += query.size();
        state.recent.push_back(query.clone());
        state.drop_oldest();
        if self.keeps_slowest {
            state.keep_if_slow(query);
        }
        state.count_run(query)
    }

    pub(super) fn queries(&self) -> RecordedQueries {
        let (state, now) = (self.state(), Instant::now());
        RecordedQueries {
            queries: state.recent.iter().cloned().collect(),
            slowest: state
                .slowest
                .iter()
                .filter(|(until, _)| *until > now)
                .map(|(_, query)| query.clone())
                .collect(),
            total: state.total,
            is_recording: self.is_on(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_oldest(&mut self) {
        while self.recent.len() > self.options.limit || self.bytes > self.options.max_bytes {
            let Some(oldest) = self.recent.pop_front() else { return };
            self.bytes -= oldest.size();
        }
    }

    fn keep_if_slow(&mut self, query: &RecordedQuery) {
        let now = Instant::now();
        self.slowest.retain(|(until, _)| *until > now);
        let place = self.slowest.partition_point(|(_, slower)| slower.elapsed >= query.elapsed);
        if place < SLOWEST {
            self.slowest.insert(place, (now + SLOWEST_FOR, query.clone()));
            self.slowest.truncate(SLOWEST);
        }
    }

    fn count_run(&mut self, query: &RecordedQuery) -> Option<Repeated> {
        let (limit, place) = (self.options.warn_repeated?, query.place?);
        let key = (place, hash(&query.statement));
        if self.runs.len() >= MOST_COUNTED && !self.runs.contains_key(&key) {
            return None;
        }
        let runs = self.runs.entry(key).or_default();
        *runs += 1;
        (*runs == limit).then_some(Repeated { runs: limit, place })
    }
}

fn hash(statement: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    statement.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(statement: &str, millis: u64) -> RecordedQuery {
        let place = Some(Location::caller());
        RecordedQuery { place, ..RecordedQuery::of_test(statement, millis) }
    }

    fn statements(queries: &[RecordedQuery]) -> Vec<&str> {
        queries.iter().map(|query| &*query.statement).collect()
    }

    #[test]
    fn oldest_queries_are_dropped_and_counted() {
        let recorder = Recorder::of_scope(RecordOptions::new().limit(2));
        for statement in ["a", "b", "c"] {
            recorder.record(&query(statement, 1));
        }
        let queries = recorder.queries();
        assert_eq!(statements(&queries), ["b", "c"]);
        assert_eq!((queries.total(), queries.dropped()), (3, 1));

        recorder.set_options(RecordOptions::new().max_bytes(query("c", 1).size()));
        assert_eq!(statements(&recorder.queries()), ["c"]);
        recorder.set_options(RecordOptions::from(false));
        recorder.record(&query("d", 1));
        assert_eq!(recorder.queries().total(), 3);
    }

    #[test]
    fn names_take_room_as_well() {
        let recorder = Recorder::of_scope(RecordOptions::new().max_bytes(2 * query("a", 1).size()));
        for _ in 0..3 {
            recorder.record(&RecordedQuery { table: Some("t".into()), ..query("a", 1) });
        }
        assert_eq!(recorder.queries().len(), 1);
    }

    #[test]
    fn registry_keeps_the_slowest() {
        let recorder = Recorder::of_registry(RecordOptions::new().limit(1));
        for millis in [5, 40, 10] {
            recorder.record(&query(&millis.to_string(), millis));
        }
        for _ in 0..2 * SLOWEST {
            recorder.record(&query("fast", 1));
        }
        let queries = recorder.queries();
        assert_eq!(statements(&queries.slowest()[..4]), ["40", "10", "5", "fast"]);
        assert_eq!(queries.slowest().len(), SLOWEST);
    }

    #[test]
    fn slow_query_is_forgotten_when_its_time_is_over() {
        let recorder = Recorder::of_registry(RecordOptions::new());
        recorder.record(&query("old", 40));
        recorder.state().slowest[0].0 = Instant::now();
        assert!(recorder.queries().slowest().is_empty(), "it is not shown any more");
        recorder.record(&query("new", 10));
        assert_eq!(recorder.state().slowest.len(), 1, "it is not kept any more");
        assert_eq!(statements(recorder.queries().slowest()), ["new"]);
    }

    #[test]
    fn repeated_statement_is_told_once() {
        let recorder = Recorder::of_scope(RecordOptions::new().warn_repeated(3));
        // From one place.
        let told: Vec<bool> = (0..5).map(|_| recorder.record(&query("a", 1)).is_some()).collect();
        assert_eq!(told, [false, false, true, false, false]);
    }
}
