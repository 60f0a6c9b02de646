//! Many pairs of a write and a read after it, while replicas lag, fail, and one of them becomes the primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use registry_core::{EngineOptions, Registry, WhenBehind};
use tokio::task::{block_in_place, spawn_blocking};

use super::rig::{Rig, bind, prepare, read, write};
use crate::load::{Load, Random};

/// How long a third of the reads wait for a replica.
const BOUND: Duration = Duration::from_millis(100);

/// A run, and what is counted in it.
struct Run {
    rig: Rig,
    load: Load,
    next_id: AtomicI64,
    is_over: AtomicBool,
    pairs: AtomicU64,
    stale: AtomicU64,
    on_replicas: AtomicU64,
    /// Pairs since a replica is the primary, and those of them whose read was on a replica.
    pairs_since: AtomicU64,
    on_replicas_since: AtomicU64,
    /// Writes and reads that failed, as servers did, and were repeated.
    failed_writes: AtomicU64,
    failed_reads: AtomicU64,
    /// Writes that a replica has refused.
    on_wrong_server: AtomicU64,
    /// The longest read, in microseconds.
    longest: AtomicU64,
}

fn add(count: &AtomicU64) -> u64 {
    count.fetch_add(1, Ordering::SeqCst) + 1
}

impl Run {
    /// One write that succeeds, and one read after it that succeeds.
    async fn pair(&self) {
        let (id, token) = loop {
            let id = self.next_id.fetch_add(1, Ordering::SeqCst);
            match write(&self.rig.registry, id).await {
                Ok(token) => break (id, token),
                Err(error) => {
                    let causes = crate::support::causes(&error).join(": ");
                    if causes.contains("read-only") {
                        add(&self.on_wrong_server);
                    }
                    add(&self.failed_writes);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let reader = self.rig.reader().max_lag(None);
        let reader = if self.load.with_tokens { reader.after(&token) } else { reader };
        let reader = match id % 3 {
            // At once, as a replica that was just asked for its position can hardly have it.
            0 => reader,
            1 => reader.when_behind(WhenBehind::Wait).wait_for_replica(BOUND),
            // The next request of the same client.
            _ => {
                tokio::time::sleep(Duration::from_millis(id.unsigned_abs() % 60)).await;
                reader
            }
        };
        let seen = loop {
            let started = Instant::now();
            match read(&reader, id).await {
                Ok(seen) => {
                    let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.longest.fetch_max(took, Ordering::SeqCst);
                    break seen;
                }
                Err(_) => {
                    add(&self.failed_reads);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        if seen.found == 0 {
            add(&self.stale);
        }
        let (first, primary) = (self.rig.cluster.node(0), self.rig.cluster.primary());
        let is_since = primary.port() != first.port();
        if is_since {
            add(&self.pairs_since);
        }
        if seen.port != primary.server().port().to_string() {
            add(&self.on_replicas);
            if is_since {
                add(&self.on_replicas_since);
            }
        }
        add(&self.pairs);
    }

    /// Pauses, delays, kills and promotes servers until all pairs are done.
    fn disturb(&self) {
        let cluster = &self.rig.cluster;
        let mut random = Random::new(7);
        let mut ended = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            let percent = self.pairs.load(Ordering::SeqCst) * 100 / self.load.pairs;
            match (ended, percent) {
                (0, 20..) if self.load.ends_servers => {
                    cluster.node(1).kill9();
                    ended = 1;
                }
                (1, 35..) => {
                    cluster.node(1).start();
                    ended = 2;
                }
                (2, 60..) => {
                    self.replace_primary();
                    ended = 3;
                }
                _ => {}
            }
            for node in cluster.replicas().into_iter().filter(|node| node.is_running()) {
                match random.below(3) {
                    0 => node.pause_replay(),
                    1 => node.resume_replay(),
                    _ => {}
                }
                node.proxy().delay(Duration::from_millis(random.below(3)));
            }
            std::thread::sleep(Duration::from_millis(random.below(30)));
        }
        for node in cluster.replicas().into_iter().filter(|node| node.is_running()) {
            node.resume_replay();
            node.proxy().delay(Duration::ZERO);
        }
        assert!(ended == 3 || !self.load.ends_servers, "not all was tried: {ended}");
    }

    /// Kills the primary, promotes the replica that has received most, and moves the address of the primary.
    fn replace_primary(&self) {
        let cluster = &self.rig.cluster;
        let address = cluster.node(0).proxy();
        cluster.primary().kill9();
        let number = cluster.most_advanced();
        cluster.promote(number);
        address.lead_to(cluster.node(number).server().port());
        address.cut();
        cluster.follow(3 - number);
    }
}

async fn run(load: Load) -> Arc<Run> {
    let (cluster, url) = prepare(2).await;
    let settings = bind(&url)
        .max_connections(16)
        .replicas(cluster.replicas().iter().map(|node| node.at(&url)));
    let options = EngineOptions { acquire_timeout: Duration::from_secs(10), ..Default::default() };
    let builder = Registry::builder().options(options).bind("default", settings);
    let registry = builder.build().expect("good settings");
    let rig = Rig { cluster, url, registry };
    if load.ends_servers {
        block_in_place(|| rig.cluster.acknowledge_commits());
    }
    rig.every_replica_is_read_from().await;
    let run = Arc::new(Run {
        rig,
        load,
        next_id: AtomicI64::new(1),
        is_over: AtomicBool::new(false),
        pairs: AtomicU64::new(0),
        stale: AtomicU64::new(0),
        on_replicas: AtomicU64::new(0),
        pairs_since: AtomicU64::new(0),
        on_replicas_since: AtomicU64::new(0),
        failed_writes: AtomicU64::new(0),
        failed_reads: AtomicU64::new(0),
        on_wrong_server: AtomicU64::new(0),
        longest: AtomicU64::new(0),
    });
    let disturbance = spawn_blocking({
        let run = Arc::clone(&run);
        move || run.disturb()
    });
    let started = Instant::now();
    let tasks: Vec<_> = (0..load.tasks)
        .map(|_| {
            let run = Arc::clone(&run);
            tokio::spawn(async move {
                for _ in 0..run.load.pairs / run.load.tasks {
                    run.pair().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    run.is_over.store(true, Ordering::SeqCst);
    disturbance.await.expect("no panic");
    let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
    let pairs = count(&run.pairs);
    let status = run.rig.registry.status();
    let reads = status.engines[0].reads.clone().unwrap_or_default();
    println!(
        "{}, tokens: {}: {pairs} pairs by {} tasks in {:.1?}: {} stale, {} % on replicas ({} % after the promotion), \
         {} writes and {} reads failed and were repeated, {} writes on a replica, longest read {} ms, \
         {} waits of {:.1?} in all",
        std::any::type_name::<super::Backend>(),
        load.with_tokens,
        load.tasks,
        started.elapsed(),
        count(&run.stale),
        count(&run.on_replicas) * 100 / pairs,
        count(&run.on_replicas_since) * 100 / count(&run.pairs_since).max(1),
        count(&run.failed_writes),
        count(&run.failed_reads),
        count(&run.on_wrong_server),
        count(&run.longest) / 1000,
        reads.waits,
        reads.waited,
    );
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_after_tokens_are_never_stale() {
    let run = run(Load::of(true)).await;
    assert_eq!(run.stale.load(Ordering::SeqCst), 0);
    assert_eq!(run.on_wrong_server.load(Ordering::SeqCst), 0);
    assert!(run.on_replicas.load(Ordering::SeqCst) > 0, "no read was served by a replica");
    let since = run.on_replicas_since.load(Ordering::SeqCst);
    assert!(
        since > 0 || !run.load.ends_servers,
        "no read was served by a replica of the new primary"
    );
    let status = run.rig.registry.status();
    let reads = status.engines[0].reads.as_ref().expect("there were reads");
    let waits = u32::try_from(reads.waits).expect("few");
    assert!(
        reads.waited < (BOUND + BOUND) * waits,
        "reads have waited for longer than their bound"
    );
    if !run.load.ends_servers {
        let failed =
            [&run.failed_writes, &run.failed_reads].map(|count| count.load(Ordering::SeqCst));
        assert_eq!(failed, [0, 0], "no server has failed");
    }
}

/// Else the test above could not see them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_without_tokens_are_stale_under_the_same_load() {
    let run = run(Load::of(false)).await;
    assert!(run.stale.load(Ordering::SeqCst) > 0);
}
