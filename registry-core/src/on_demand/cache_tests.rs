//! The shelf and the uses, in every order in which threads can take their steps.
//!
//! The same files as in the product, mounted on the model checker's locks and atomics.

#![expect(
    dead_code,
    clippy::duplicate_mod,
    reason = "the product's files, for a part of what they do"
)]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize as Plain, Ordering as PlainOrdering};
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

use cache::Shelf;
use policy::{Engine, Leaving};
use uses::{EngineOwner, UseCount};

/// An engine without a pool.
#[derive(Clone)]
struct Bare(Arc<State>);

struct State {
    uses: UseCount,
    key: u8,
    /// Sessions that are lent. Not a part of what is checked, and no step for the checker.
    lent: Plain,
    is_closed: Plain,
}

struct Use(Bare);

impl Engine for Bare {
    type Use = Use;

    fn begin_use(&self) -> Use {
        self.0.uses.begin();
        Use(self.clone())
    }

    fn is_used(&self) -> bool {
        self.0.uses.is_used()
    }

    fn has_lent(&self) -> bool {
        self.0.uses.had_checkout()
    }
}

impl Use {
    /// Has a session for a moment.
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

struct Registry {
    shelf: Shelf<u8, u8, Bare>,
    /// How many engines have connections, in the eyes of a server.
    open: Plain,
    max: usize,
}

impl Registry {
    fn new(max: usize) -> Arc<Self> {
        let max_engines = NonZeroUsize::new(max).unwrap();
        Arc::new(Self {
            shelf: Shelf::new(max_engines, NonZeroUsize::MIN),
            open: Plain::new(0),
            max,
        })
    }

    fn bare(self: &Arc<Self>, key: u8) -> Bare {
        let owner: Weak<dyn EngineOwner> = Arc::<Self>::downgrade(self);
        Bare(Arc::new(State {
            uses: UseCount::new(Some(owner)),
            key,
            lent: Plain::new(0),
            is_closed: Plain::new(0),
        }))
    }

    fn close_each(self: &Arc<Self>, engines: Vec<Bare>) {
        for engine in engines {
            assert_eq!(engine.0.lent.load(PlainOrdering::SeqCst), 0, "never evicted in use");
            assert_eq!(engine.0.is_closed.fetch_add(1, PlainOrdering::SeqCst), 0, "closed once");
            if engine.0.uses.had_checkout() {
                self.open.fetch_sub(1, PlainOrdering::SeqCst);
            }
            let next = self.shelf.left(Leaving::Closing);
            self.close_each(next.evicted);
        }
    }

    /// Acquires a session, and returns it.
    fn visit(self: &Arc<Self>, key: u8) {
        let used = match self.shelf.find(&key) {
            Some(used) => used,
            None => {
                let (ticket, changes) = self.shelf.ask(key, self.bare(key));
                self.close_each(changes.evicted);
                let granted = std::future::poll_fn(|cx| self.shelf.poll(ticket, cx));
                let used = loom::future::block_on(granted);
                self.shelf.leave(ticket);
                used.unwrap()
            }
        };
        assert_eq!(used.0.0.key, key);
        if !used.0.0.uses.had_checkout() {
            // As if it connected now.
            let open = self.open.fetch_add(1, PlainOrdering::SeqCst);
            assert!(open < self.max, "never above the bound");
        }
        used.lend();
    }

    /// Asks for an engine, and goes away before it has one, or with it unused.
    fn leave(self: &Arc<Self>, key: u8) {
        let (ticket, changes) = self.shelf.ask(key, self.bare(key));
        self.close_each(changes.evicted);
        thread::yield_now();
        self.shelf.leave(ticket);
    }
}

impl EngineOwner for Registry {
    fn is_waited_for(&self) -> bool {
        self.shelf.is_waited_for()
    }

    fn unused(self: Arc<Self>) {
        let changes = self.shelf.look_again();
        self.close_each(changes.evicted);
    }
}

/// Every order with at most so many switches away from a thread that could have gone on.
fn explore(switches: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.check(check);
}

/// Whoever comes second waits until the first is done, and is then not forgotten.
#[test]
fn two_tenants_share_the_place_of_one_engine() {
    explore(3, || {
        let registry = Registry::new(1);
        let other = Arc::clone(&registry);
        let second = thread::spawn(move || other.visit(2));
        registry.visit(1);
        second.join().unwrap();
        assert!(!registry.shelf.is_waited_for());
    });
}

#[test]
fn two_who_ask_for_one_engine_get_one() {
    explore(3, || {
        let registry = Registry::new(2);
        let other = Arc::clone(&registry);
        let second = thread::spawn(move || other.visit(1));
        registry.visit(1);
        second.join().unwrap();
        assert_eq!(registry.shelf.list().len(), 1);
    });
}

#[test]
fn whoever_goes_away_takes_nobodys_turn() {
    explore(2, || {
        let registry = Registry::new(1);
        let (second, third) = (Arc::clone(&registry), Arc::clone(&registry));
        let second = thread::spawn(move || second.leave(2));
        let third = thread::spawn(move || third.visit(3));
        registry.visit(1);
        second.join().unwrap();
        third.join().unwrap();
        assert!(!registry.shelf.is_waited_for());
    });
}

#[test]
fn three_share_two_places() {
    explore(2, || {
        let registry = Registry::new(2);
        let (second, third) = (Arc::clone(&registry), Arc::clone(&registry));
        let second = thread::spawn(move || second.visit(2));
        let third = thread::spawn(move || third.visit(3));
        registry.visit(1);
        second.join().unwrap();
        third.join().unwrap();
        assert_eq!(registry.shelf.list().len(), 2);
    });
}
