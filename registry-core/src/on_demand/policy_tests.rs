//! The rules, against operations at random.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::policy::{Engine, Leaving, Lru, Ticket, Turn};

type Key = u8;

/// An engine of which everything is known.
#[derive(Clone)]
struct Known(Rc<State>);

struct State {
    key: Key,
    uses: Cell<u32>,
    has_lent: Cell<bool>,
    is_open: Cell<bool>,
}

struct Use(Rc<State>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.uses.set(self.0.uses.get() - 1);
    }
}

impl Known {
    fn new(key: Key) -> Self {
        Self(Rc::new(State {
            key,
            uses: Cell::new(0),
            has_lent: Cell::new(false),
            is_open: Cell::new(false),
        }))
    }
}

impl Engine for Known {
    type Use = Use;

    fn begin_use(&self) -> Use {
        self.0.uses.set(self.0.uses.get() + 1);
        Use(Rc::clone(&self.0))
    }

    fn is_used(&self) -> bool {
        self.0.uses.get() > 0
    }

    fn has_lent(&self) -> bool {
        self.0.has_lent.get()
    }
}

/// What somebody may do. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Find(Key),
    FindNamed(Key),
    Ask(Key),
    Leave(usize),
    /// A session is lent to somebody who uses an engine.
    Lend(usize),
    EndUse(usize),
    /// The last connection of a closed engine is closed.
    Left(usize),
    Close(Key),
    Pass(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..8_u8;
    let step = prop_oneof![
        2 => key.clone().prop_map(Step::Find),
        2 => key.clone().prop_map(Step::FindNamed),
        6 => key.clone().prop_map(Step::Ask),
        1 => any::<usize>().prop_map(Step::Leave),
        4 => any::<usize>().prop_map(Step::Lend),
        6 => any::<usize>().prop_map(Step::EndUse),
        4 => any::<usize>().prop_map(Step::Left),
        1 => key.prop_map(Step::Close),
        2 => (1..20_u8).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..200)
}

const LIMIT: Duration = Duration::from_secs(10);

/// The rules, and what is known of the world around them.
struct World {
    lru: Lru<Key, Key, Known>,
    max: usize,
    now: Instant,
    last: Ticket,
    /// Who waits for what, in the order in which they came.
    waiting: BTreeMap<Ticket, Key>,
    /// The engines that they wait for. Whoever waits for the same waits in the place of the first.
    queue: Vec<Key>,
    uses: Vec<Use>,
    /// Closed engines that are on their way out.
    leaving: Vec<(Leaving, Known)>,
    /// The engine that is open for a key.
    open: HashMap<Key, Known>,
    /// In the order of their last use, the least recent first.
    used: Vec<Key>,
}

impl World {
    fn new(max: usize) -> Self {
        let max_engines = NonZeroUsize::new(max).unwrap();
        Self {
            lru: Lru::new(max_engines, NonZeroUsize::new(4).unwrap()),
            max,
            now: Instant::now(),
            last: 0,
            waiting: BTreeMap::new(),
            queue: Vec::new(),
            uses: Vec::new(),
            leaving: Vec::new(),
            open: HashMap::new(),
            used: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Find(key) => {
                let found = self.lru.find(&key);
                self.found(key, found);
            }
            Step::FindNamed(key) => {
                if let Some(found) = self.lru.find_named(&key) {
                    self.found(key, Some(found));
                }
            }
            Step::Ask(key) => {
                self.last += 1;
                self.waiting.insert(self.last, key);
                if !self.open.contains_key(&key) && !self.queue.contains(&key) {
                    self.queue.push(key);
                }
                let turn = self.lru.ask(key, Known::new(key), self.last);
                self.apply(turn);
                self.lru.name(key, &key, None);
            }
            Step::Leave(which) => {
                if let Some(ticket) = pick(which, self.waiting.keys().copied().collect()) {
                    self.waiting.remove(&ticket);
                    self.queue.retain(|key| self.waiting.values().any(|other| other == key));
                    self.lru.leave(ticket);
                }
            }
            Step::Lend(which) => {
                if !self.uses.is_empty() {
                    self.uses[which % self.uses.len()].0.has_lent.set(true);
                }
            }
            Step::EndUse(which) => {
                if !self.uses.is_empty() {
                    let at = which % self.uses.len();
                    drop(self.uses.swap_remove(at));
                    let turn = self.lru.look_again();
                    self.apply(turn);
                }
            }
            Step::Left(which) => {
                if !self.leaving.is_empty() {
                    let at = which % self.leaving.len();
                    let (leaving, engine) = self.leaving.swap_remove(at);
                    // One that is used is only gone when it is not.
                    if engine.is_used() {
                        self.leaving.push((leaving, engine));
                        return;
                    }
                    let turn = self.lru.left(leaving);
                    self.apply(turn);
                }
            }
            Step::Close(key) => {
                let closed = self.lru.close(&key);
                assert_eq!(closed.is_some(), self.open.contains_key(&key));
                if let Some(engine) = closed {
                    self.gone(Leaving::Draining, engine);
                }
            }
            Step::Pass(seconds) => {
                self.now += Duration::from_secs(seconds.into());
                for engine in self.lru.close_unused(LIMIT, self.now) {
                    assert!(!engine.is_used(), "one that is used is never closed for want of use");
                    self.gone(Leaving::Closing, engine);
                }
                let turn = self.lru.look_again();
                self.apply(turn);
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

    fn gone(&mut self, leaving: Leaving, engine: Known) {
        assert!(engine.0.is_open.replace(false), "it was open, and is closed once");
        self.open.remove(&engine.0.key);
        self.used.retain(|other| *other != engine.0.key);
        self.leaving.push((leaving, engine));
    }

    fn apply(&mut self, turn: Turn<Known>) {
        // Room is handed out before more is made.
        for (ticket, granted) in turn.granted {
            let key = self.waiting.remove(&ticket).expect("somebody waits, and hears of it once");
            assert_eq!(granted.0.key, key);
            match self.open.get(&key) {
                Some(open) => {
                    assert!(Rc::ptr_eq(&open.0, &granted.0), "never two engines for one identity");
                    self.touch(key);
                }
                None => {
                    assert_eq!(self.queue.remove(0), key, "first come, first served");
                    granted.0.is_open.set(true);
                    self.open.insert(key, Known(Rc::clone(&granted.0)));
                    self.touch(key);
                }
            }
            self.uses.push(granted);
        }
        for engine in turn.evicted {
            assert!(!engine.is_used(), "one that is used is never evicted");
            if engine.has_lent() {
                let least = self.used.iter().find(|key| !self.open[key].is_used());
                assert_eq!(least, Some(&engine.0.key), "the least recently used goes first");
            }
            self.gone(Leaving::Closing, engine);
        }
    }

    fn check(&self) {
        let open: Vec<Key> = self.lru.iter().map(|(key, _)| *key).collect();
        let in_order: Vec<Key> = self.used.iter().rev().copied().collect();
        assert_eq!(open, in_order, "the most recently used first");
        assert_eq!(self.lru.leaving(), self.leaving.len());
        assert!(open.len() + self.leaving.len() <= self.max, "never above the bound");
        assert_eq!(self.lru.waiting(), self.queue.len(), "who waits for one engine waits together");
        if !self.queue.is_empty() {
            assert_eq!(open.len() + self.leaving.len(), self.max, "nobody waits beside room");
            let unused = self.open.values().filter(|engine| !engine.is_used()).count();
            let closing = self.leaving.iter().filter(|(why, _)| *why == Leaving::Closing).count();
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
    fn no_order_of_events_breaks_a_rule(max in 1..5_usize, steps in steps()) {
        let mut world = World::new(max);
        for step in steps {
            world.take(step);
            world.check();
        }
        // In the end, everybody has had a turn and everything is closed.
        while !world.uses.is_empty() || !world.leaving.is_empty() {
            world.take(Step::EndUse(0));
            world.take(Step::Left(0));
            world.check();
        }
        assert!(world.waiting.is_empty(), "nobody waits for ever");
    }
}

#[test]
fn names_are_bounded_and_do_not_outlive_their_time() {
    let mut lru: Lru<Key, u32, Known> = Lru::new(NonZeroUsize::MIN, NonZeroUsize::new(2).unwrap());
    let turn = lru.ask(1, Known::new(1), 1);
    assert_eq!(turn.granted.len(), 1);
    for name in 0..3 {
        lru.name(name, &1, None);
    }
    assert!(lru.find_named(&0).is_none(), "pushed out");
    assert!(lru.find_named(&1).is_some() && lru.find_named(&2).is_some());
    lru.name(1, &1, Some(Instant::now()));
    assert!(lru.find_named(&1).is_none(), "its time is over");
    assert_eq!(lru.forget_name(&2), Some(1));
    assert!(lru.find_named(&2).is_none());
}
