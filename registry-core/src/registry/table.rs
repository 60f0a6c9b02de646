//! From a bind key to its engine.

use std::sync::Arc;

use crate::bind::Bind;
use crate::bind_key::BindKey;
use crate::engine::AnyEngine;

/// Every engine of a registry by its key.
///
/// A hash table with open addressing that never changes and is at most half full. For a bind that is
/// a type, the hash of its key is a constant: finding an engine then neither hashes nor compares
/// strings, but compares 33 bytes once or twice, however many engines there are.
pub(super) struct Table {
    cells: Box<[Option<Cell>]>,
}

struct Cell {
    key: BindKey,
    engine: Arc<dyn AnyEngine>,
}

/// The key of a bind, and its hash, as constants.
pub(super) struct Constants<B>(std::marker::PhantomData<B>);

impl<B: Bind> Constants<B> {
    const KEY: BindKey = match BindKey::new(B::KEY) {
        Ok(key) => key,
        Err(_) => panic!("the KEY of a bind must be a bind key"),
    };
    const HASH: u64 = hash(Self::KEY.bytes());
}

impl Table {
    /// `engines` have each its own key.
    pub(super) fn new(engines: impl ExactSizeIterator<Item = Arc<dyn AnyEngine>>) -> Self {
        let len = (engines.len() * 2).next_power_of_two();
        let mut cells: Box<[Option<Cell>]> = (0..len).map(|_| None).collect();
        for engine in engines {
            let key = engine.settings().key;
            let mut at = hash(key.bytes()) as usize & (len - 1);
            while cells[at].is_some() {
                at = (at + 1) & (len - 1);
            }
            cells[at] = Some(Cell { key, engine });
        }
        Self { cells }
    }

    /// The engine of the bind `B`.
    pub(super) fn of<B: Bind>(&self) -> Option<&Arc<dyn AnyEngine>> {
        self.find(&Constants::<B>::KEY, Constants::<B>::HASH)
    }

    /// The engine of that key.
    pub(super) fn by_key(&self, key: &str) -> Option<&Arc<dyn AnyEngine>> {
        let key = BindKey::new(key).ok()?;
        self.find(&key, hash(key.bytes()))
    }

    fn find(&self, key: &BindKey, hash: u64) -> Option<&Arc<dyn AnyEngine>> {
        let last = self.cells.len() - 1;
        let mut at = hash as usize & last;
        // An empty cell ends the search, and half of them are empty.
        while let Some(cell) = &self.cells[at] {
            if cell.key == *key {
                return Some(&cell.engine);
            }
            at = (at + 1) & last;
        }
        None
    }
}

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), folded for the low bits that are used.
const fn hash(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash ^ (hash >> 32)
}
