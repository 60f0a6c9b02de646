//! The identity of the calling task.

use std::hash::{Hash, Hasher};

/// The calling task, or the calling thread if there is no task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller(u64);

impl Caller {
    pub(crate) fn current() -> Self {
        Self(match tokio::task::try_id() {
            Some(id) => number(id) << 1,
            None => number(std::thread::current().id()) << 1 | 1,
        })
    }

    /// The number of the task or thread, never zero. Tasks have even numbers, threads have odd numbers.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// The number inside an id. Tokio and the standard library do not return it, but their ids hash it, and nothing else.
fn number(id: impl Hash) -> u64 {
    struct Number(u64);

    impl Hasher for Number {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = self.0 << 8 ^ u64::from(*byte);
            }
        }

        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }

    let mut hasher = Number(0);
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_and_threads_are_different_callers() {
        let here = Caller::current();
        assert_eq!(here, Caller::current());
        assert_ne!(here.number(), 0);
        assert_ne!(here, std::thread::spawn(Caller::current).join().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tasks = runtime.block_on(async {
            let spawned = || tokio::spawn(async { Caller::current() });
            let (one, two) = (spawned(), spawned());
            (one.await.unwrap(), two.await.unwrap())
        });
        assert_ne!(tasks.0, tasks.1);
        assert_ne!(tasks.0, here);
    }
}
