//! The atomics of [`use_count`](super::use_count). The tests of `on_demand` mount that file beside a `sync` module with the
//! atomics of a model checker.

pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
