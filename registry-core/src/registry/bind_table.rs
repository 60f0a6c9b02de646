//! The binds of a registry, by their keys.

use super::bind_entry::BindEntry;
use crate::bind::{self, Bind};
use crate::settings::BindKey;

/// Every bind of a registry by its key.
///
/// An immutable hash table with open addressing, at most half full. The hash of the key of a bind type is a constant,
/// so a lookup by type hashes nothing: it compares keys of 33 bytes once or twice, however many binds there are.
pub(super) struct BindTable {
    slots: Box<[Option<Slot>]>,
}

struct Slot {
    key: BindKey,
    entry: BindEntry,
}

/// The key of a bind type and its hash, computed by the compiler.
pub(super) struct BindConstants<B>(std::marker::PhantomData<B>);

impl<B: Bind> BindConstants<B> {
    const KEY: BindKey = bind::key_of::<B>();
    const HASH: u64 = hash(Self::KEY.bytes());
}

impl BindTable {
    /// Builds the table. The keys must be distinct.
    pub(super) fn new(binds: Vec<BindEntry>) -> Self {
        let len = (binds.len() * 2).next_power_of_two();
        let mut slots: Box<[Option<Slot>]> = (0..len).map(|_| None).collect();
        for entry in binds {
            let key = entry.key();
            let mut at = hash(key.bytes()) as usize & (len - 1);
            while slots[at].is_some() {
                at = (at + 1) & (len - 1);
            }
            slots[at] = Some(Slot { key, entry });
        }
        Self { slots }
    }

    /// The entry of the bind type `B`.
    pub(super) fn bind<B: Bind>(&self) -> Option<&BindEntry> {
        self.find(&BindConstants::<B>::KEY, BindConstants::<B>::HASH)
    }

    /// The entry with this bind key.
    pub(super) fn key(&self, key: &str) -> Option<&BindEntry> {
        let key = BindKey::new(key).ok()?;
        self.find(&key, hash(key.bytes()))
    }

    fn find(&self, key: &BindKey, hash: u64) -> Option<&BindEntry> {
        let last = self.slots.len() - 1;
        let mut at = hash as usize & last;
        // An empty slot ends the search, and at least half of the slots are empty.
        while let Some(slot) = &self.slots[at] {
            if slot.key == *key {
                return Some(&slot.entry);
            }
            at = (at + 1) & last;
        }
        None
    }
}

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), folded, because only the low bits are used.
const fn hash(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash ^ (hash >> 32)
}
