//! Whether a caller waits for itself.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// For how long a task is at a standstill before it is said to wait for itself.
///
/// Two futures of one task, as in `join!`, may wait for each other like two tasks, and nobody outside of them
/// can tell them from one that waits for itself. The one that has what the other waits for wakes the task when
/// it goes on. So a task that nothing has woken for this long is taken to have nobody in it who could let go:
/// longer than the pauses of code that is under way, such as a request to another server, and shorter than the time
/// that a session is waited for by default.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(5);

/// How long the rest of the task is given to go on, once that time is over: a thread that was blocked wakes
/// everything in it at once.
const LAST_CALL: Duration = Duration::from_millis(20);

/// Waits for `turn`, and gives up if the calling task waits for itself: `None` then.
///
/// `done` is asked who has what is waited for. It is `None` if that is somebody else, or the task itself while it
/// is surely at work with it; and else a number that changes with whatever the task does with it.
pub(crate) async fn unless_self_wait<T>(
    turn: impl Future<Output = T>,
    done: impl Fn() -> Option<u64>,
) -> Option<T> {
    let (mut turn, mut still) = (pin!(turn), pin!(sleep(STANDSTILL)));
    let (mut seen, mut is_last_call) = (done(), false);
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = turn.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        let now = done();
        let is_still = still.as_mut().poll(cx).is_ready() && now.is_some() && now == seen;
        if is_still && is_last_call {
            return Poll::Ready(None);
        }
        // Whatever else has woken the task may be on its way to letting go.
        (seen, is_last_call) = (now, is_still);
        let next = if is_still { LAST_CALL } else { STANDSTILL };
        still.as_mut().reset(Instant::now() + next);
        // Has this task woken then. The time is not over yet.
        let _ = still.as_mut().poll(cx);
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_is_at_a_standstill_waits_for_itself() {
        let only = Semaphore::new(1);
        let _held = only.acquire().await.unwrap();
        let started = Instant::now();
        assert!(unless_self_wait(only.acquire(), || Some(7)).await.is_none());
        assert!(started.elapsed() < STANDSTILL * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_else_has_is_waited_for() {
        let only = Semaphore::new(1);
        let held = only.acquire().await.unwrap();
        let turn = unless_self_wait(only.acquire(), || None);
        let other = async {
            sleep(STANDSTILL * 10).await;
            drop(held);
        };
        assert!(tokio::join!(turn, other).0.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_in_which_something_goes_on_is_waited_for() {
        let only = Semaphore::new(1);
        let held = only.acquire().await.unwrap();
        let turn = unless_self_wait(only.acquire(), || Some(7));
        let sibling = async {
            for _ in 0..10 {
                sleep(STANDSTILL * 9 / 10).await;
            }
            drop(held);
        };
        assert!(tokio::join!(turn, sibling).0.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_with_it_without_waking_the_task_counts_as_well() {
        let only = Semaphore::new(1);
        let held = Cell::new(Some(only.acquire().await.unwrap()));
        let (done, rounds) = (Cell::new(0), Cell::new(0));
        let turn = unless_self_wait(only.acquire(), || {
            // Asked at each standstill: as if a future with a waker of its own had gone on meanwhile.
            rounds.set(rounds.get() + 1);
            done.set(done.get() + u64::from(rounds.get() % 3 > 0));
            if rounds.get() > 20 {
                held.take();
            }
            Some(done.get())
        });
        assert!(turn.await.is_some());
        assert!(rounds.get() > 20);
    }

    #[tokio::test]
    async fn a_thread_that_was_blocked_is_no_standstill() {
        let only = Semaphore::new(1);
        let held = only.acquire().await.unwrap();
        let turn = unless_self_wait(only.acquire(), || Some(7));
        let sibling = async {
            tokio::task::yield_now().await;
            std::thread::sleep(STANDSTILL + LAST_CALL);
            // Woken at the same moment as the one that waits.
            tokio::task::yield_now().await;
            drop(held);
        };
        assert!(tokio::join!(turn, sibling).0.is_some());
    }
}
