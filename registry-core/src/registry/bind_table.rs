//! From a bind key to its engine.

use super::bind_entry::BindEntry;
use crate::bind::{self, Bind};
use crate::settings::BindKey;

/// Every bind of a registry by its key.
///
/// A hash table with open addressing that never changes and is at most half full. For a bind that is
/// a type, the hash of its key is a constant: finding one then neither hashes nor compares
/// strings, but compares 33 bytes once or twice, however many there are.
pub(super) struct Table {
    cells: Box<[Option<Cell>]>,
}

struct Cell {
    key: BindKey,
    entry: BindEntry,
}

/// The key of a bind, and its hash, as constants.
pub(super) struct Constants<B>(std::marker::PhantomData<B>);

impl<B: Bind> Constants<B> {
    const KEY: BindKey = bind::key_of::<B>();
    const HASH: u64 = hash(Self::KEY.bytes());
}

/// The key of a bind.
pub(super) fn key_of<B: Bind>() -> BindKey {
    Constants::<B>::KEY
}

impl Table {
    /// Each has its own key.
    pub(super) fn new(binds: Vec<BindEntry>) -> Self {
        let len = (binds.len() * 2).next_power_of_two();
        let mut cells: Box<[Option<Cell>]> = (0..len).map(|_| None).collect();
        for entry in binds {
            let key = entry.key();
            let mut at = hash(key.bytes()) as usize & (len - 1);
            while cells[at].is_some() {
                at = (at + 1) & (len - 1);
            }
            cells[at] = Some(Cell { key, entry });
        }
        Self { cells }
    }

    /// What serves the bind `B`.
    pub(super) fn of<B: Bind>(&self) -> Option<&BindEntry> {
        self.find(&Constants::<B>::KEY, Constants::<B>::HASH)
    }

    /// What serves the bind of that key.
    pub(super) fn by_key(&self, key: &str) -> Option<&BindEntry> {
        let key = BindKey::new(key).ok()?;
        self.find(&key, hash(key.bytes()))
    }

    fn find(&self, key: &BindKey, hash: u64) -> Option<&BindEntry> {
        let last = self.cells.len() - 1;
        let mut at = hash as usize & last;
        // An empty cell ends the search, and half of them are empty.
        while let Some(cell) = &self.cells[at] {
            if cell.key == *key {
                return Some(&cell.entry);
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
