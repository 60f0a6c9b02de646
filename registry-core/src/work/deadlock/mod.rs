//! Self-deadlocks: detects whether a future that waits for the unit of work of its scope can ever acquire it.
//!
//! Two futures of one task may request the same unit of work as siblings in a `join!`: the second future waits until the
//! first future has dropped the unit of work. Or the holder of the unit of work awaits the other future: then neither
//! can continue. The task id is the same in both cases, but wakers distinguish them: a pending future has left a clone
//! of its waker with the operation that it waits for. So the future that enters a scope is polled with a waker whose
//! clones are counted. If the future is pending, and each clone belongs to a waiter for the unit of work, then nothing
//! in the future waits for anything else, and the future is stuck.
//!
//! The count can be too high: by a clone that is kept without being used, or by one that belongs to an executor inside
//! of the future, such as `FuturesUnordered`. A count that is too high hides a deadlock, which is then found by the
//! time-out. It never reports a deadlock where there is none.
//!
//! | file | content |
//! |---|---|
//! | `detector.rs` | [`DeadlockDetector`]: polls the future with the counted waker, and detects whether the future is stuck |
//! | `waiter.rs` | [`LockWaiter`]: a caller in the future that waits for the unit of work |

mod detector;
mod waiter;

#[cfg(test)]
mod tests;

pub(super) use detector::DeadlockDetector;
pub(super) use waiter::LockWaiter;
