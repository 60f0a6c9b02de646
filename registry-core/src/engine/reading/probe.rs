//! The tasks that ask the primary and each replica how far they are.
//!
//! One task for each server, with a connection of its own, asks each `probe_interval`, and again and again while a read
//! waits for a replica. No read waits for a probe: it uses what the last one has found. A probe that is not answered in
//! time puts its replica out, and holds up nothing else.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::select;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::slot::WatchedConnection;
use super::super::typed::TypedEngine;
use super::endpoints::{self, Resolved};
use super::member::Member;
use super::probes::Probes;
use super::replicas::Replicas;
use crate::backend::position::ServerState;
use crate::backend::{Backend, ConnectError};
use crate::cause::Chain;
use crate::settings::Role;

/// The pause between two questions while a read waits for a replica.
const HURRIED: Duration = Duration::from_millis(3);

/// The same, if the server did not answer the last one: it may have just been started, or be gone for long.
const HURRIED_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// The probes of an engine that was opened on demand end so long after its last read: there may be thousands of them.
const UNUSED: Duration = Duration::from_secs(60);

/// Starts the task that starts all others, and ends with them.
pub(super) fn start<C: Backend>(
    replicas: &Arc<Replicas<C>>,
    runtime: &Handle,
    running: Arc<Probes>,
) {
    let closing = Arc::clone(&replicas.closing);
    let replicas = Arc::downgrade(replicas);
    runtime.spawn(async move {
        // Dropped with this task, and all probes with it.
        let mut probes = JoinSet::new();
        closing.unless_set(supervise(replicas, &running, &mut probes)).await;
    });
}

/// Keeps the members of the set as their names resolve, with a probe for each.
async fn supervise<C: Backend>(
    replicas: Weak<Replicas<C>>,
    running: &Arc<Probes>,
    probes: &mut JoinSet<()>,
) {
    probes.spawn(probe_primary(replicas.clone(), Arc::clone(running)));
    // Those that an earlier task has found, whose probes have ended with it.
    let known = replicas.upgrade().map(|set| set.members()).unwrap_or_default();
    for member in known.iter() {
        probes.spawn(probe_member(replicas.clone(), Arc::clone(running), Arc::clone(member)));
    }
    drop(known);
    loop {
        let Some(set) = replicas.upgrade().filter(|set| set.note_probe(running)) else { return };
        let resolved = endpoints::refresh(&set).await;
        for member in resolved.added {
            probes.spawn(probe_member(replicas.clone(), Arc::clone(running), member));
        }
        while probes.try_join_next().is_some() {}
        if set.settings.tenant.is_some() && set.is_unused_for(UNUSED) {
            set.members().iter().for_each(|member| member.forget());
            return;
        }
        let pause = match resolved.again {
            Resolved::Never if set.settings.tenant.is_none() => {
                drop(set);
                // Nothing changes any more, until others take the place of these probes.
                while probes.join_next().await.is_some() {}
                return;
            }
            _ => endpoints::period(&set.settings.options),
        };
        drop(set);
        sleep(pause).await;
    }
}

async fn probe_primary<C: Backend>(replicas: Weak<Replicas<C>>, running: Arc<Probes>) {
    let mut connection = None;
    let mut connected = Instant::now();
    loop {
        let Some(set) = replicas.upgrade().filter(|set| set.note_probe(&running)) else { return };
        let asked = Instant::now();
        let age = asked.saturating_duration_since(connected);
        if set.settings.options.max_lifetime.is_some_and(|limit| age >= limit) {
            // The address may have moved to a new primary, while the old one lives on. A connection to the old one would
            // tell for ever that its replicas do not lag.
            connection = None;
        }
        if connection.is_none() {
            connected = asked;
        }
        match ask(&set.to_primary, &mut connection).await {
            Ok(answer) => {
                if answer.role == Some(Role::Replica) {
                    // The address may lead to another server by now.
                    connection = None;
                }
                set.note_primary_answer(answer, asked);
            }
            Err(reason) => {
                connection = None;
                set.note_primary_failure();
                tracing::debug!(
                    target: "registry",
                    bind = %set.settings.key,
                    reason,
                    "the primary did not answer a probe"
                );
            }
        }
        pause(&set, None).await;
    }
}

async fn probe_member<C: Backend>(
    replicas: Weak<Replicas<C>>,
    running: Arc<Probes>,
    member: Arc<Member<C>>,
) {
    let probing = async {
        let mut connection = None;
        loop {
            let Some(set) = replicas.upgrade().filter(|set| set.note_probe(&running)) else {
                return;
            };
            if member.has_failed() {
                // A read could not connect, or got no answer. An old connection may work still, which proves nothing of
                // those that the next reads would open.
                connection = None;
            }
            let (asked, losses) = (Instant::now(), member.engine.loss_count());
            match ask(&member.engine, &mut connection).await {
                Ok(answer) => set.note_answer(&member, answer, asked, losses),
                Err(reason) => {
                    connection = None;
                    set.note_failure(&member, &reason);
                    // The failure has woken this probe.
                    drop(timeout(Duration::ZERO, member.wake.notified()).await);
                }
            }
            pause(&set, Some(&member)).await;
        }
    };
    member.removed.unless_set(probing).await;
}

/// Waits until the server is to be asked again.
async fn pause<C: Backend>(set: &Replicas<C>, member: Option<&Member<C>>) {
    let hurry = set.hurry.notified();
    tokio::pin!(hurry);
    // Registered before the reads that wait are counted, so that no hurry in between is missed.
    hurry.as_mut().enable();
    let hurried = match member.is_some_and(Member::has_failed) {
        true => HURRIED_AFTER_FAILURE,
        false => HURRIED,
    };
    if set.is_waited_for() {
        return sleep(hurried).await;
    }
    let woken = async {
        match member {
            Some(member) => member.wake.notified().await,
            None => std::future::pending().await,
        }
        // At once, but not in a loop without a pause.
        sleep(hurried).await;
    };
    let interval = jittered(set.settings.options.probe_interval);
    let _ = timeout(interval, select(hurry, pin!(woken))).await;
}

/// The state of a server, asked on the probe's own connection, which is opened if there is none.
async fn ask<C: Backend>(
    engine: &TypedEngine<C>,
    connection: &mut Option<WatchedConnection<C>>,
) -> Result<ServerState, String> {
    let options = &engine.settings.options;
    let connected = match connection {
        Some(connected) => connected,
        None => {
            let opened = Box::pin(engine.connect(options.connect_timeout)).await;
            connection.insert(opened.map_err(|error: ConnectError| Chain(&error).to_string())?)
        }
    };
    match timeout(options.check_timeout, connected.connection.server_state()).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => {
            let limit = humantime::format_duration(options.check_timeout);
            Err(format!("no answer to a probe within {limit}"))
        }
    }
}

/// The interval, up to a tenth shorter or longer, so that the processes of a service do not all ask at once.
fn jittered(interval: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};

    let random = RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64;
    interval.mul_f64(0.9 + 0.2 * random)
}
