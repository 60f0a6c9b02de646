//! Sixty-four tasks that use tenants as a busy service does: a few often, most rarely.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use registry_core::{Error, Registry, Tenant};

pub(crate) const TASKS: u64 = 64;

/// The limits on engines, and on connections per engine. They are low, so that there are many evictions.
pub(crate) fn bounds() -> (u32, u32) {
    if is_full() { (50, 2) } else { (8, 2) }
}

/// Whether to run for half a minute each, with thousands of tenants.
pub(crate) fn is_full() -> bool {
    std::env::var("REGISTRY_TEST_FULL").is_ok_and(|value| value == "1")
}

/// The parameters of a run.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) tenants: usize,
    pub(crate) length: Duration,
    /// Whether one request in four is dropped midway.
    pub(crate) drops: bool,
}

/// The results of a run, which are updated while it goes on.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) served: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Whether the load has to continue past its duration, as the test still waits for something.
    is_needed: AtomicBool,
    is_over: AtomicBool,
}

impl Outcome {
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.is_needed.load(Ordering::Relaxed)
    }

    pub(crate) fn need(&self, is_needed: bool) {
        self.is_needed.store(is_needed, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// The name of a tenant by its number.
pub(crate) fn name(number: usize) -> String {
    format!("tenant-{number}")
}

/// Runs `request` for tenants of `registry` again and again. `allows` decides whether an error is expected.
pub(crate) async fn run<F, R>(
    load: Load,
    registry: &Registry,
    outcome: &Arc<Outcome>,
    request: F,
    allows: fn(&Error) -> bool,
) where
    F: Fn(Tenant) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<(), Error>> + Send,
{
    let zipf = Arc::new(Zipf::new(load.tenants));
    let deadline = Instant::now() + load.length;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (registry, request) = (registry.clone(), request.clone());
            let (zipf, outcome) = (Arc::clone(&zipf), Arc::clone(outcome));
            tokio::spawn(async move {
                let mut random = Random(task);
                while Instant::now() < deadline || outcome.is_needed() {
                    let name = name(zipf.pick(&mut random));
                    let tenant = registry.tenant(&name).expect("a good name");
                    let done = if load.drops && random.below(4) == 0 {
                        let limit = Duration::from_micros(random.below(3_000));
                        tokio::time::timeout(limit, request(tenant)).await.ok()
                    } else {
                        Some(request(tenant).await)
                    };
                    let counter = match done {
                        None => &outcome.dropped,
                        Some(Ok(())) => &outcome.served,
                        Some(Err(error)) => {
                            assert!(allows(&error), "{:?}", crate::support::causes(&error));
                            &outcome.failed
                        }
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("every row is its tenant's, and every error one that may be");
    }
    outcome.is_over.store(true, Ordering::Relaxed);
}

/// Asserts that a finished run has left nothing behind.
pub(crate) async fn has_settled(registry: &Registry) {
    crate::support::eventually(|| {
        let status = registry.status().on_demand;
        status.closing == 0 && status.waiting == 0
    })
    .await;
    let status = registry.status().on_demand;
    assert!(status.engines.len() <= bounds().0 as usize, "{status:?}");
    assert!(status.engines.iter().all(|engine| engine.engine.in_use == 0), "{status:?}");
    assert!(status.evictions > 0, "there was pressure");
    assert!(registry.close().await.is_complete());
}

/// A Zipf distribution: the first of `n` items is picked twice as often as the second, three times as often as the
/// third, and so on.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(n: usize) -> Self {
        let sums = (1..=n).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        Self(sums.collect())
    }

    fn pick(&self, random: &mut Random) -> usize {
        let total = self.0.last().copied().unwrap_or_default();
        let at = random.below(1 << 53) as f64 / (1_u64 << 53) as f64 * total;
        self.0.partition_point(|sum| *sum <= at).min(self.0.len() - 1)
    }
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
