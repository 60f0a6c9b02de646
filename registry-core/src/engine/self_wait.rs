//! Detection of a task that waits for itself: the task holds the only connection, and waits for that connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The time for which a task must be at a standstill before the engine concludes that the task waits for itself.
///
/// Two futures of one task, as in `join!`, may wait for each other like two tasks. From outside, that looks the same as one
/// future that waits for itself. But the future that holds the connection wakes the task whenever it makes progress. So a
/// task without any wake-up in this time has no future that could return the connection. The time is longer than the
/// usual pauses of working code, such as a request to another server, and shorter than the default `acquire_timeout`.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(5);

/// The extra time for the rest of the task after [`STANDSTILL`] is over. After a thread was blocked, its timers and all
/// other wake-ups fire at the same moment.
const GRACE: Duration = Duration::from_millis(20);

/// Waits for `turn`. `None` if the calling task waits for itself.
///
/// `progress` is `None` if another task holds the connection, or if the calling task runs a statement on it; otherwise a
/// number that changes with each statement.
pub(crate) async fn unless_self_wait<T>(
    turn: impl Future<Output = T>,
    progress: impl Fn() -> Option<u64>,
) -> Option<T> {
    let (mut turn, mut still) = (pin!(turn), pin!(sleep(STANDSTILL)));
    let (mut seen, mut is_in_grace) = (progress(), false);
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = turn.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        let now = progress();
        let is_still = still.as_mut().poll(cx).is_ready() && now.is_some() && now == seen;
        if is_still && is_in_grace {
            return Poll::Ready(None);
        }
        // Something has woken the task, and may be about to return the connection.
        (seen, is_in_grace) = (now, is_still);
        let next = if is_still { GRACE } else { STANDSTILL };
        still.as_mut().reset(Instant::now() + next);
        // Polled to register the waker: the new deadline has not passed yet.
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
    async fn task_at_a_standstill_waits_for_itself() {
        let only = Semaphore::new(1);
        let _held = only.acquire().await.unwrap();
        let started = Instant::now();
        assert!(unless_self_wait(only.acquire(), || Some(7)).await.is_none());
        assert!(started.elapsed() < STANDSTILL * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn connection_of_another_task_is_waited_for() {
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
    async fn task_in_which_another_future_is_woken_does_not_wait_for_itself() {
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
    async fn statements_count_as_progress_without_waking_the_task() {
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
    async fn blocked_thread_is_no_standstill() {
        let only = Semaphore::new(1);
        let held = only.acquire().await.unwrap();
        let turn = unless_self_wait(only.acquire(), || Some(7));
        let sibling = async {
            tokio::task::yield_now().await;
            std::thread::sleep(STANDSTILL + GRACE);
            // Woken at the same moment as the one that waits.
            tokio::task::yield_now().await;
            drop(held);
        };
        assert!(tokio::join!(turn, sibling).0.is_some());
    }
}
