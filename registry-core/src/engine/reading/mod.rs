//! Reads: the connections of an engine that only read, on replicas and on the primary.
//!
//! | file | contents |
//! |---|---|
//! | this file | [`Reading`], which belongs to the engine of a bind, and is made by the first read |
//! | [`request`] | [`ReadRequest`]: what a read asks of a replica |
//! | [`acquire`] | the recipe of a read: choose a replica, wait for one, or go to the primary |
//! | [`keep_from_writing`] | how a read is kept from writing on a connection on which others write |
//! | [`choice`] | which of several replicas that are fit |
//! | [`replicas`] | the replicas of a bind, and the position of its primary |
//! | [`member`] | one replica: its engine, and what the last probe found |
//! | [`history`] | the positions that the primary had, by which a replica's lag is measured |
//! | [`probe`] | the tasks that ask the primary and each replica how far they are |
//! | [`probes`] | whether those tasks run |
//! | [`endpoints`] | the servers behind the hosts and names of a replica's URL, resolved anew |
//! | [`examine`] | the examination of replicas by `verify` and `check` |
//! | [`counts`] | where reads went, and why |
//! | [`status`] | [`ReplicaStatus`] for users |
//!
//! A replica has an engine of its own, which no [`Registry`](crate::Registry) lists: it belongs to the engine of the
//! bind's primary, is closed with it, and counts as a use of it while a read session lives.
//!
//! # When a read may go to a replica
//!
//! What is known of a replica is what its last probe has found, so it is old by up to `probe_interval`. That is safe,
//! because a position only grows: a replica that had replayed a position has it still. What may have changed is the
//! server behind the address. So each connection remembers the identity of its server, and a read uses a position only
//! if the probe has found it on a server of the same identity. Otherwise the read asks on its own connection.

mod acquire;
mod choice;
mod counts;
mod endpoints;
mod examine;
mod history;
mod keep_from_writing;
mod member;
mod probe;
mod probes;
mod replicas;
mod request;
mod status;

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use tokio::runtime::Handle;
use tokio::time::Instant;

pub(crate) use self::acquire::{ReadAttempt, ReadStart};
use self::counts::ReadCounts;
pub(crate) use self::examine::ReplicaCheck;
use self::replicas::Replicas;
pub(crate) use self::request::{ReadRequest, WantedPosition};
pub use self::status::{ReadStatus, ReplicaState, ReplicaStatus};
use super::typed::TypedEngine;
use crate::backend::Backend;
use crate::settings::Pooler;

/// The connections of a bind that only read.
pub(crate) struct Reading<C: Backend> {
    /// The engine for reads on the primary. `None` if they share the engine of the bind.
    on_primary: Option<Arc<TypedEngine<C>>>,
    /// Whether the settings leave no connection of the primary to reads.
    is_kept_off_primary: bool,
    /// `None` if the bind has no replicas.
    replicas: Option<Arc<Replicas<C>>>,
    counts: Arc<ReadCounts>,
}

impl<C: Backend> Reading<C> {
    fn new(engine: &TypedEngine<C>) -> Self {
        let settings = &engine.settings;
        // Of these, there is one connection, or the engine refuses writes by itself.
        let is_shared = settings.is_isolated
            || settings.is_one_off
            || settings.url.is_memory()
            || settings.options.read_only;
        let for_reads = settings.for_reads_on_primary();
        // A pool has at least one connection.
        let is_kept_off_primary = for_reads.options.max_connections == 0;
        let on_primary = (!is_shared && !is_kept_off_primary)
            .then(|| Arc::new(TypedEngine::new(Arc::new(for_reads), None)));
        if let Some(on_primary) = &on_primary {
            // It is in the status from now on, whether it is used or not.
            on_primary.stats.meters().begin();
        }
        let counts = Arc::new(ReadCounts::new(settings.key));
        let replicas = (!settings.is_isolated && !settings.replicas.is_empty())
            .then(|| Replicas::new(settings));
        Self { on_primary, is_kept_off_primary, replicas, counts }
    }

    /// Every engine for reads: the one for the primary, and those of the replicas.
    fn engines(&self) -> impl Iterator<Item = Arc<TypedEngine<C>>> {
        let replicas = self.replicas.iter().flat_map(|replicas| replicas.engines());
        self.on_primary.iter().cloned().chain(replicas)
    }
}

impl<C: Backend> Drop for Reading<C> {
    fn drop(&mut self) {
        // The probes hold the replicas while they ask.
        if let Some(replicas) = &self.replicas {
            replicas.begin_close();
        }
    }
}

impl<C: Backend> TypedEngine<C> {
    fn reading(&self) -> &Reading<C> {
        self.reading.get_or_init(|| Box::new(Reading::new(self)))
    }

    /// The connections that only read, for the first time or not, with their probes running.
    fn start_reading(&self, runtime: &Handle) -> &Reading<C> {
        let reading = self.reading();
        // Dekker handshake with `begin_close`: it closes the semaphore and then reads whether there is a `Reading`, while
        // this makes one and then reads whether the semaphore is closed. With the fences, at least one sees the other.
        fence(Ordering::SeqCst);
        if self.is_closed() {
            self.begin_close_of_reading();
            return reading;
        }
        if let Some(replicas) = &reading.replicas {
            replicas.ensure_probes(runtime);
        }
        reading
    }

    /// The engines for reads, if there have been any reads.
    pub(super) fn engines_for_reads(&self) -> Vec<Arc<Self>> {
        self.reading.get().map(|reading| reading.engines().collect()).unwrap_or_default()
    }

    /// Where reads went. `None` before the first read.
    pub(super) fn read_status(&self) -> Option<ReadStatus> {
        let reading = self.reading.get()?;
        let mut status = reading.counts.status();
        if let Some(on_primary) = &reading.on_primary {
            let counts = on_primary.pool.counts();
            status.in_use_on_primary = counts.in_use;
            status.idle_on_primary = counts.idle;
            status.max_on_primary = on_primary.settings.options.max_connections;
        }
        Some(status)
    }

    /// What is known of the replicas. Empty before the first read.
    pub(super) fn replica_status(&self) -> Vec<ReplicaStatus> {
        let replicas = self.reading.get().and_then(|reading| reading.replicas.as_ref());
        let (request, now) = (ReadRequest::of_options(&self.settings.options), Instant::now());
        let members = replicas.map(|replicas| replicas.members()).unwrap_or_default();
        members.iter().map(|member| member.status(&request, now)).collect()
    }

    /// Stops the probes, and refuses reads from now on.
    pub(super) fn begin_close_of_reading(&self) {
        fence(Ordering::SeqCst);
        let Some(reading) = self.reading.get() else { return };
        if let Some(replicas) = &reading.replicas {
            replicas.begin_close();
        }
        reading.engines().for_each(|engine| engine.begin_close());
    }

    /// Whether reads share the connections of this engine, and so have to be kept from writing for the time of each loan.
    fn is_shared_with_reads(&self) -> bool {
        !self.settings.options.read_only
    }

    /// Whether a transaction keeps reads from writing, because a transaction pooler takes no start-up options.
    fn reads_in_transactions(&self) -> bool {
        self.settings.options.pooler == Pooler::Transaction
    }
}
