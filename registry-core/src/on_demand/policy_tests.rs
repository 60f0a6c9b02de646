//! Property tests of the cache policy: random operations, and a model that checks each decision.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::policy::{CachePolicy, CachedEngine, ClosedWhile, Decision, WaiterId};

type Key = u8;

/// An engine whose state the tests set and read.
#[derive(Clone)]
struct TestEngine(Rc<TestState>);

struct TestState {
    key: Key,
    uses: Cell<u32>,
    had_checkout: Cell<bool>,
    is_open: Cell<bool>,
}

struct Use(Rc<TestState>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.uses.set(self.0.uses.get() - 1);
    }
}

impl TestEngine {
    fn new(key: Key) -> Self {
        Self(Rc::new(TestState {
            key,
            uses: Cell::new(0),
            had_checkout: Cell::new(false),
            is_open: Cell::new(false),
        }))
    }
}

impl CachedEngine for TestEngine {
    type Use = Use;

    fn begin_use(&self) -> Use {
        self.0.uses.set(self.0.uses.get() + 1);
        Use(Rc::clone(&self.0))
    }

    fn is_used(&self) -> bool {
        self.0.uses.get() > 0
    }

    fn had_checkout(&self) -> bool {
        self.0.had_checkout.get()
    }
}

/// An operation. The numbers choose among the waiters, uses and engines that exist at that moment.
#[derive(Debug, Clone)]
enum Step {
    Find(Key),
    FindByAlias(Key),
    Request(Key),
    Cancel(usize),
    /// A user of an engine is lent a session.
    Lend(usize),
    EndUse(usize),
    /// The last connection of a closed engine is closed.
    FullyClosed(usize),
    Close(Key),
    Pass(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..8_u8;
    let step = prop_oneof![
        2 => key.clone().prop_map(Step::Find),
        2 => key.clone().prop_map(Step::FindByAlias),
        6 => key.clone().prop_map(Step::Request),
        1 => any::<usize>().prop_map(Step::Cancel),
        4 => any::<usize>().prop_map(Step::Lend),
        6 => any::<usize>().prop_map(Step::EndUse),
        4 => any::<usize>().prop_map(Step::FullyClosed),
        1 => key.prop_map(Step::Close),
        2 => (1..20_u8).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..200)
}

const LIMIT: Duration = Duration::from_secs(10);

/// The policy under test, and a model of the state that it should have.
struct Model {
    policy: CachePolicy<Key, Key, TestEngine>,
    max: usize,
    now: Instant,
    last_waiter: WaiterId,
    /// The waiters in the order of their requests, each with the key of its engine.
    waiting: BTreeMap<WaiterId, Key>,
    /// The keys in the queue. Waiters for the same key share the place of the first waiter.
    queue: Vec<Key>,
    uses: Vec<Use>,
    /// Closed engines that still have connections.
    closing: Vec<(ClosedWhile, TestEngine)>,
    /// The open engine of each key.
    open: HashMap<Key, TestEngine>,
    /// The open keys in the order of their last use, the least recent first.
    used: Vec<Key>,
}

impl Model {
    fn new(max: usize) -> Self {
        let max_engines = NonZeroUsize::new(max).unwrap();
        Self {
            policy: CachePolicy::new(max_engines, NonZeroUsize::new(4).unwrap()),
            max,
            now: Instant::now(),
            last_waiter: 0,
            waiting: BTreeMap::new(),
            queue: Vec::new(),
            uses: Vec::new(),
            closing: Vec::new(),
            open: HashMap::new(),
            used: Vec::new(),
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Find(key) => {
                let found = self.policy.find(&key);
                self.found(key, found);
            }
            Step::FindByAlias(key) => {
                if let Some(found) = self.policy.find_by_alias(&key) {
                    self.found(key, Some(found));
                }
            }
            Step::Request(key) => {
                self.last_waiter += 1;
                self.waiting.insert(self.last_waiter, key);
                if !self.open.contains_key(&key) && !self.queue.contains(&key) {
                    self.queue.push(key);
                }
                let decision = self.policy.request(key, TestEngine::new(key), self.last_waiter);
                self.apply(decision);
                self.policy.add_alias(key, &key, None);
            }
            Step::Cancel(which) => {
                if let Some(waiter) = pick(which, self.waiting.keys().copied().collect()) {
                    self.waiting.remove(&waiter);
                    self.queue.retain(|key| self.waiting.values().any(|other| other == key));
                    self.policy.cancel(waiter);
                }
            }
            Step::Lend(which) => {
                if !self.uses.is_empty() {
                    self.uses[which % self.uses.len()].0.had_checkout.set(true);
                }
            }
            Step::EndUse(which) => {
                if !self.uses.is_empty() {
                    let at = which % self.uses.len();
                    drop(self.uses.swap_remove(at));
                    let decision = self.policy.reevaluate();
                    self.apply(decision);
                }
            }
            Step::FullyClosed(which) => {
                if !self.closing.is_empty() {
                    let at = which % self.closing.len();
                    let (closed, engine) = self.closing.swap_remove(at);
                    // An engine that is used still has connections.
                    if engine.is_used() {
                        self.closing.push((closed, engine));
                        return;
                    }
                    let decision = self.policy.fully_closed(closed);
                    self.apply(decision);
                }
            }
            Step::Close(key) => {
                let closed = self.policy.close(&key);
                assert_eq!(closed.is_some(), self.open.contains_key(&key));
                if let Some(engine) = closed {
                    self.engine_closed(ClosedWhile::InUse, engine);
                }
            }
            Step::Pass(seconds) => {
                self.now += Duration::from_secs(seconds.into());
                for engine in self.policy.close_unused(LIMIT, self.now) {
                    assert!(!engine.is_used(), "one that is used is never closed for want of use");
                    self.engine_closed(ClosedWhile::Unused, engine);
                }
                let decision = self.policy.reevaluate();
                self.apply(decision);
            }
        }
    }

    fn found(&mut self, key: Key, found: Option<Use>) {
        let open = self.open.get(&key);
        assert_eq!(found.is_some(), open.is_some(), "what is open is found, and nothing else");
        if let (Some(found), Some(open)) = (found, open) {
            assert!(Rc::ptr_eq(&found.0, &open.0), "never two engines for one identity");
            self.touch(key);
            self.uses.push(found);
        }
    }

    fn touch(&mut self, key: Key) {
        self.used.retain(|other| *other != key);
        self.used.push(key);
    }

    fn engine_closed(&mut self, closed: ClosedWhile, engine: TestEngine) {
        assert!(engine.0.is_open.replace(false), "it was open, and is closed once");
        self.open.remove(&engine.0.key);
        self.used.retain(|other| *other != engine.0.key);
        self.closing.push((closed, engine));
    }

    fn apply(&mut self, decision: Decision<TestEngine>) {
        // The policy grants free room before it evicts.
        for (waiter, granted) in decision.granted {
            let key = self.waiting.remove(&waiter).expect("a waiter is granted an engine once");
            assert_eq!(granted.0.key, key);
            match self.open.get(&key) {
                Some(open) => {
                    assert!(Rc::ptr_eq(&open.0, &granted.0), "never two engines for one identity");
                    self.touch(key);
                }
                None => {
                    assert_eq!(self.queue.remove(0), key, "first come, first served");
                    granted.0.is_open.set(true);
                    self.open.insert(key, TestEngine(Rc::clone(&granted.0)));
                    self.touch(key);
                }
            }
            self.uses.push(granted);
        }
        for engine in decision.evicted {
            assert!(!engine.is_used(), "one that is used is never evicted");
            if engine.had_checkout() {
                let least = self.used.iter().find(|key| !self.open[key].is_used());
                assert_eq!(least, Some(&engine.0.key), "the least recently used goes first");
            }
            self.engine_closed(ClosedWhile::Unused, engine);
        }
    }

    fn check(&self) {
        let open: Vec<Key> = self.policy.iter().map(|(key, _)| *key).collect();
        let in_order: Vec<Key> = self.used.iter().rev().copied().collect();
        assert_eq!(open, in_order, "the most recently used first");
        assert_eq!(self.policy.closing(), self.closing.len());
        assert!(open.len() + self.closing.len() <= self.max, "never above the bound");
        assert_eq!(
            self.policy.queued(),
            self.queue.len(),
            "who waits for one engine waits together"
        );
        if !self.queue.is_empty() {
            assert_eq!(open.len() + self.closing.len(), self.max, "nobody waits beside room");
            let unused = self.open.values().filter(|engine| !engine.is_used()).count();
            let closing =
                self.closing.iter().filter(|(why, _)| *why == ClosedWhile::Unused).count();
            assert!(
                unused == 0 || closing >= self.queue.len(),
                "nobody waits beside an engine that could go"
            );
        }
    }
}

fn pick<T: Copy>(which: usize, all: Vec<T>) -> Option<T> {
    (!all.is_empty()).then(|| all[which % all.len()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_order_of_operations_breaks_a_rule(max in 1..5_usize, steps in steps()) {
        let mut model = Model::new(max);
        for step in steps {
            model.run(step);
            model.check();
        }
        // When all uses have ended and all engines are closed, no waiter may be left.
        while !model.uses.is_empty() || !model.closing.is_empty() {
            model.run(Step::EndUse(0));
            model.run(Step::FullyClosed(0));
            model.check();
        }
        assert!(model.waiting.is_empty(), "no waiter is left");
    }
}

#[test]
fn aliases_are_bounded_and_expire() {
    let mut policy: CachePolicy<Key, u32, TestEngine> =
        CachePolicy::new(NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap());
    let decision = policy.request(1, TestEngine::new(1), 1);
    assert_eq!(decision.granted.len(), 1);
    for name in 0..3 {
        policy.add_alias(name, &1, None);
    }
    assert!(policy.find_by_alias(&0).is_none(), "pushed out");
    assert!(policy.find_by_alias(&1).is_some() && policy.find_by_alias(&2).is_some());
    policy.add_alias(1, &1, Some(Instant::now()));
    assert!(policy.find_by_alias(&1).is_none(), "its time is over");
    assert_eq!(policy.remove_alias(&2), Some(1));
    assert!(policy.find_by_alias(&2).is_none());
}
