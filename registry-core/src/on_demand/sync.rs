//! The locks and atomics of [`cache`](super::cache), from the standard library. `cache_tests` mounts the same file with
//! a module of this name that has loom's instead, which a model checker controls.

pub(super) use std::sync::atomic::{AtomicUsize, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard};
