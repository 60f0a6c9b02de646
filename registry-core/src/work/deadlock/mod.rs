//! Self-deadlocks: whether a future that waits for the unit of work of its scope can ever get it.
//!
//! Two futures of one task that ask for the same unit of work may be beside each other, in a `join!`. The second one
//! waits then until the first one is done. Or the one that has the unit of work awaits the other one, and then neither
//! can go on. The task id is the same in both cases, but wakers tell them apart: a future that is pending has left a
//! clone of its waker with whatever it waits for. So the future that enters a scope is polled with a waker whose clones
//! are counted. If the future is pending, and each clone belongs to somebody who waits for the unit of work, then
//! nothing in the future waits for anything else, and it is stuck.
//!
//! The count can be too high: by a clone that is kept without being used, or by one that belongs to an executor inside
//! of the future, such as `FuturesUnordered`. A count that is too high hides a deadlock, which is then found by the
//! time-out. It never reports a deadlock where there is none.
//!
//! | file | what it has |
//! |---|---|
//! | `detector.rs` | [`DeadlockDetector`]: polls the future with the counted waker, and says whether it is stuck |
//! | `waiter.rs` | [`LockWaiter`]: somebody in the future who waits for the unit of work |

mod detector;
mod waiter;

#[cfg(test)]
mod tests;

pub(super) use detector::DeadlockDetector;
pub(super) use waiter::LockWaiter;
