//! Engines that are opened on demand, for tenants and by URL: an LRU cache of at most `max_engines` engines.
//!
//! | file | what it has |
//! |---|---|
//! | `identity` | the identity of an engine; the aliases by which an open engine is found quickly |
//! | `policy` | the rules of the cache as a state machine without I/O: LRU order, capacity, queue, eviction |
//! | `cache` | the policy under a lock, and the callers that wait for an engine |
//! | `lifecycle` | carrying out the decisions of the cache: events, waiting for last connections, the idle sweeper |
//! | `engines` | [`OnDemandEngines`], the operations for the registry |
//! | `status` | snapshots for [`Registry::status`](crate::Registry::status) |
//!
//! `policy_tests` checks the rules against random operations, and `cache_tests` explores the interleavings of
//! `cache` with the use counts of engines under loom.
//!
//! # Life of an engine
//!
//! 1. A caller requests the engine. If it is open, the caller gets a use of it at once. If `max_engines` engines count
//!    already, the caller is queued, and the least recently used of the unused engines is evicted.
//! 2. While a use of the engine lives (a session, or a caller that waits for one), the engine is never evicted.
//! 3. The engine is closed: by eviction, after `engine_idle_timeout` without use, after it failed to connect, or by a
//!    call. The cache does not find it any more. It counts until its last connection is closed. Then the first waiter
//!    in the queue is granted its room.
//!
//! # Locks
//!
//! The lock of the cache is a leaf: nothing is opened, closed, dropped or woken while it is held. The end of a use
//! takes the lock only if a caller waits; `cache::EngineCache::request` explains the handshake between the two.

mod cache;
#[cfg(test)]
mod cache_tests;
mod engines;
mod identity;
mod lifecycle;
mod policy;
#[cfg(test)]
mod policy_tests;
mod status;
mod sync;

pub(crate) use engines::{OnDemandEngines, OpenError};
pub(crate) use identity::{EngineAlias, EngineIdentity};
pub use status::{OnDemandEngine, OnDemandSince, OnDemandStatus};
