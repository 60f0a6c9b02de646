//! Tests of the cache together with the use counts of engines, under loom: a model checker that runs the threads
//! of a test in every order of their steps.
//!
//! The source files of the crate are mounted a second time, on loom's locks and atomics.

#![expect(
    dead_code,
    clippy::duplicate_mod,
    reason = "the files are mounted a second time, and the tests use a part of them"
)]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize as PlainAtomicUsize, Ordering as PlainOrdering};
use std::sync::{Arc, Weak};

use loom::thread;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
}

#[path = "cache.rs"]
mod cache;
#[path = "policy.rs"]
mod policy;
#[path = "../engine/use_count.rs"]
mod uses;

use cache::{EngineCache, Requested};
use policy::{CachedEngine, ClosedWhile};
use uses::{EngineOwner, UseCount};

/// An engine without a pool.
#[derive(Clone)]
struct TestEngine(Arc<TestState>);

struct TestState {
    uses: UseCount,
    key: u8,
    /// How many sessions are lent. A plain atomic: it serves the assertions, and must be no step for the checker.
    lent: PlainAtomicUsize,
    is_closed: PlainAtomicUsize,
}

struct Use(TestEngine);

impl CachedEngine for TestEngine {
    type Use = Use;

    fn begin_use(&self) -> Use {
        self.0.uses.begin();
        Use(self.clone())
    }

    fn is_used(&self) -> bool {
        self.0.uses.is_used()
    }

    fn had_checkout(&self) -> bool {
        self.0.uses.had_checkout()
    }
}

impl Use {
    /// Lends a session for a moment.
    fn lend(&self) {
        let state = &self.0.0;
        state.lent.fetch_add(1, PlainOrdering::SeqCst);
        state.uses.note_checkout();
        thread::yield_now();
        assert_eq!(state.is_closed.load(PlainOrdering::SeqCst), 0, "never closed under a session");
        state.lent.fetch_sub(1, PlainOrdering::SeqCst);
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.0.uses.end();
    }
}

struct TestRegistry {
    cache: EngineCache<u8, u8, TestEngine>,
    /// The number of engines with connections, as a server would count them.
    open: PlainAtomicUsize,
    max_engines: usize,
}

impl TestRegistry {
    fn new(max: usize) -> Arc<Self> {
        let max_engines = NonZeroUsize::new(max).unwrap();
        Arc::new(Self {
            cache: EngineCache::new(max_engines, NonZeroUsize::MIN),
            open: PlainAtomicUsize::new(0),
            max_engines: max,
        })
    }

    fn test_engine(self: &Arc<Self>, key: u8) -> TestEngine {
        let owner: Weak<dyn EngineOwner> = Arc::<Self>::downgrade(self);
        TestEngine(Arc::new(TestState {
            uses: UseCount::new(Some(owner)),
            key,
            lent: PlainAtomicUsize::new(0),
            is_closed: PlainAtomicUsize::new(0),
        }))
    }

    fn close_each(self: &Arc<Self>, engines: Vec<TestEngine>) {
        for engine in engines {
            assert_eq!(engine.0.lent.load(PlainOrdering::SeqCst), 0, "never evicted in use");
            assert_eq!(engine.0.is_closed.fetch_add(1, PlainOrdering::SeqCst), 0, "closed once");
            if engine.0.uses.had_checkout() {
                self.open.fetch_sub(1, PlainOrdering::SeqCst);
            }
            let next = self.cache.fully_closed(ClosedWhile::Unused);
            self.close_each(next.evicted);
        }
    }

    /// Acquires a session and returns it.
    fn visit(self: &Arc<Self>, key: u8) {
        let used = match self.cache.find(&key) {
            Some(used) => used,
            None => {
                let Requested { waiter, changes, .. } =
                    self.cache.request(key, self.test_engine(key));
                self.close_each(changes.evicted);
                let granted = std::future::poll_fn(|cx| self.cache.poll_granted(waiter, cx));
                let used = loom::future::block_on(granted);
                self.cache.cancel(waiter);
                used.unwrap()
            }
        };
        assert_eq!(used.0.0.key, key);
        if !used.0.0.uses.had_checkout() {
            // This is where the product connects.
            let open = self.open.fetch_add(1, PlainOrdering::SeqCst);
            assert!(open < self.max_engines, "never above the bound");
        }
        used.lend();
    }

    /// Requests an engine, and cancels before or after it is granted, without using it.
    fn request_and_cancel(self: &Arc<Self>, key: u8) {
        let Requested { waiter, changes, .. } = self.cache.request(key, self.test_engine(key));
        self.close_each(changes.evicted);
        thread::yield_now();
        self.cache.cancel(waiter);
    }
}

impl EngineOwner for TestRegistry {
    fn is_waited_for(&self) -> bool {
        self.cache.is_waited_for()
    }

    fn unused(self: Arc<Self>) {
        let changes = self.cache.reevaluate();
        self.close_each(changes.evicted);
    }
}

/// Runs `check` in every order with at most `switches` preemptions. A preemption is a switch away from a thread that
/// could have continued.
fn explore(switches: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.check(check);
}

/// The second caller waits until the first is done, and is then granted its engine.
#[test]
fn two_tenants_share_the_place_of_one_engine() {
    explore(3, || {
        let registry = TestRegistry::new(1);
        let other = Arc::clone(&registry);
        let second = thread::spawn(move || other.visit(2));
        registry.visit(1);
        second.join().unwrap();
        assert!(!registry.cache.is_waited_for());
    });
}

#[test]
fn two_requests_for_one_engine_share_it() {
    explore(3, || {
        let registry = TestRegistry::new(2);
        let other = Arc::clone(&registry);
        let second = thread::spawn(move || other.visit(1));
        registry.visit(1);
        second.join().unwrap();
        assert_eq!(registry.cache.engines_with_aliases().len(), 1);
    });
}

#[test]
fn a_cancelled_request_takes_nobodys_place() {
    explore(2, || {
        let registry = TestRegistry::new(1);
        let (second, third) = (Arc::clone(&registry), Arc::clone(&registry));
        let second = thread::spawn(move || second.request_and_cancel(2));
        let third = thread::spawn(move || third.visit(3));
        registry.visit(1);
        second.join().unwrap();
        third.join().unwrap();
        assert!(!registry.cache.is_waited_for());
    });
}

#[test]
fn three_share_two_places() {
    explore(2, || {
        let registry = TestRegistry::new(2);
        let (second, third) = (Arc::clone(&registry), Arc::clone(&registry));
        let second = thread::spawn(move || second.visit(2));
        let third = thread::spawn(move || third.visit(3));
        registry.visit(1);
        second.join().unwrap();
        third.join().unwrap();
        assert_eq!(registry.cache.engines_with_aliases().len(), 2);
    });
}
