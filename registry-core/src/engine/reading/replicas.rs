//! The replicas of a bind, and the position of its primary.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::observe::{events, meters};
use super::super::typed::TypedEngine;
use super::history::History;
use super::member::{Member, PrimaryFacts};
use super::probe;
use super::probes::{Probes, ProbesClock};
use crate::backend::Backend;
use crate::backend::position::{ServerIdentity, ServerState};
use crate::latch::Latch;
use crate::settings::{EngineSettings, Role};

/// The replicas of a bind.
pub(super) struct Replicas<C: Backend> {
    /// The settings of the bind.
    pub(super) settings: Arc<EngineSettings>,
    /// Connects the probe of the primary.
    pub(super) to_primary: Arc<TypedEngine<C>>,
    members: RwLock<Members<C>>,
    primary: Mutex<Primary>,
    /// Notified after each failure of a replica, and after each answer that tells something new.
    pub(super) changed: Notify,
    /// Makes all probes ask at once.
    pub(super) hurry: Notify,
    /// How many reads wait for a replica: meanwhile, the probes hurry.
    waiting: AtomicUsize,
    pub(super) closing: Arc<Latch>,
    probes: Arc<ProbesClock>,
    /// When the last read was, in seconds since `made`. The probes of an engine on demand end a while after it.
    last_read: AtomicU64,
    made: Instant,
}

pub(super) type Members<C> = Arc<[Arc<Member<C>>]>;

/// What is known of the primary.
#[derive(Debug, Default)]
struct Primary {
    history: History,
    identity: Option<ServerIdentity>,
    role: Option<Role>,
    database: Option<String>,
    /// Whether it did not answer the last probe.
    is_silent: bool,
}

impl Primary {
    fn facts(&self) -> PrimaryFacts<'_> {
        PrimaryFacts {
            history: &self.history,
            identity: self.identity,
            database: self.database.as_deref(),
        }
    }
}

impl<C: Backend> Replicas<C> {
    pub(super) fn new(settings: &Arc<EngineSettings>) -> Arc<Self> {
        let to_primary = settings.for_reads_on_primary().one_off();
        Arc::new(Self {
            settings: Arc::clone(settings),
            to_primary: Arc::new(TypedEngine::new(Arc::new(to_primary), None)),
            members: RwLock::new(Arc::default()),
            primary: Mutex::default(),
            changed: Notify::new(),
            hurry: Notify::new(),
            waiting: AtomicUsize::new(0),
            closing: Arc::default(),
            probes: Arc::default(),
            last_read: AtomicU64::new(0),
            made: Instant::now(),
        })
    }

    /// Starts the probes, unless they run.
    pub(super) fn ensure_probes(self: &Arc<Self>, runtime: &Handle) {
        let now = self.made.elapsed();
        self.last_read.store(now.as_secs(), Ordering::Relaxed);
        if self.probes.is_stopped(now, &self.settings.options)
            && !self.closing.is_set()
            && let Some(probes) = ProbesClock::begin(&self.probes, now, &self.settings.options)
        {
            probe::start(self, runtime, probes);
        }
    }

    /// Records that the probes are alive. False if others have taken their place.
    pub(super) fn note_probe(&self, probes: &Probes) -> bool {
        probes.note_alive(self.made.elapsed())
    }

    /// Whether there was no read for so long.
    pub(super) fn is_unused_for(&self, limit: Duration) -> bool {
        let last_read = Duration::from_secs(self.last_read.load(Ordering::Relaxed));
        self.made.elapsed().saturating_sub(last_read) > limit
    }

    pub(super) fn members(&self) -> Members<C> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the members. Those that are gone are closed, and their sessions live on.
    pub(super) fn set_members(&self, members: Members<C>) {
        let before = {
            let mut current = self.members.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, Arc::clone(&members))
        };
        for member in
            before.iter().filter(|member| !members.iter().any(|other| Arc::ptr_eq(other, member)))
        {
            member.removed.set();
            member.engine.begin_close();
            if !members.iter().any(|other| other.name() == member.name()) {
                meters::note_replica(self.settings.key, &member.name(), None, false);
            }
        }
        if self.closing.is_set() {
            members.iter().for_each(|member| member.engine.begin_close());
        }
        self.changed.notify_waiters();
    }

    pub(super) fn engines(&self) -> Vec<Arc<TypedEngine<C>>> {
        self.members().iter().map(|member| Arc::clone(&member.engine)).collect()
    }

    pub(super) fn begin_close(&self) {
        self.closing.set();
        self.hurry.notify_waiters();
        self.changed.notify_waiters();
        self.to_primary.begin_close();
    }

    /// Records where the primary is.
    pub(super) fn note_primary_answer(&self, answer: ServerState, asked: Instant) {
        let mut primary = self.primary();
        let mut is_news = primary.role != answer.role;
        primary.identity = Some(answer.identity);
        primary.role = answer.role;
        primary.database = answer.database;
        primary.is_silent = false;
        // The position of a server that is no primary says nothing of what was committed.
        if let (Some(position), true) = (answer.position, answer.role != Some(Role::Replica)) {
            primary.history.push(asked, position);
        }
        let facts = primary.facts();
        for member in self.members().iter() {
            is_news |= member.compare(&facts);
        }
        drop(primary);
        if is_news {
            self.changed.notify_waiters();
        }
    }

    /// Records that the primary does not answer.
    pub(super) fn note_primary_failure(&self) {
        self.primary().is_silent = true;
    }

    /// Records the answer of a replica to a probe.
    pub(super) fn note_answer(
        &self,
        member: &Member<C>,
        answer: ServerState,
        asked: Instant,
        losses: u32,
    ) {
        let was_down = member.is_down();
        let primary = self.primary();
        let facts = primary.facts();
        let is_news = member.note_answer(answer, asked, losses, &facts);
        drop(primary);
        let lag = member.lag(Instant::now());
        meters::note_replica(self.settings.key, &member.name(), lag, true);
        if was_down {
            events::replica_answers(&self.settings, &member.name());
        }
        if let Some(misfit) = member.news_of_misfit() {
            events::replica_is_none(&self.settings, &member.name(), misfit.reason());
        }
        if member.news_of_hiding() {
            events::replica_hides_position(&self.settings, &member.name());
        }
        if is_news {
            self.changed.notify_waiters();
        }
    }

    /// Records that a replica cannot be used.
    pub(super) fn note_failure(&self, member: &Member<C>, reason: &str) {
        meters::note_replica(self.settings.key, &member.name(), None, false);
        if member.note_failure(reason) {
            events::replica_failed(&self.settings, &member.name(), reason);
        }
        member.wake.notify_one();
        self.changed.notify_waiters();
    }

    /// Whether the server of the bind's own URL says that it is a replica.
    pub(super) fn has_lost_primary(&self) -> bool {
        self.primary().role == Some(Role::Replica)
    }

    /// Whether the server of the bind's own URL is no primary any more, or does not answer.
    pub(super) fn must_look_for_primary(&self) -> bool {
        let primary = self.primary();
        primary.is_silent || primary.role == Some(Role::Replica)
    }

    /// The replica that has become the primary, if the server of the bind's own URL is none any more, or does not answer.
    ///
    /// Of a server that does not answer it is not known whether it is the primary still. Only a newer timeline proves that
    /// another one is.
    pub(super) fn promoted(&self) -> Option<Arc<Member<C>>> {
        let primary = self.primary();
        let (before, is_lost) = (primary.history.newest()?, primary.role == Some(Role::Replica));
        if !is_lost && !primary.is_silent {
            return None;
        }
        let is_promoted = |member: &&Arc<Member<C>>| member.is_promoted(before, !is_lost);
        self.members().iter().find(is_promoted).map(Arc::clone)
    }

    /// Makes the probes hurry while a read waits for a replica.
    pub(super) fn hurry_while_waiting(&self) -> Hurrying<'_, C> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.hurry.notify_waiters();
        Hurrying(self)
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    fn primary(&self) -> MutexGuard<'_, Primary> {
        self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Backend> Drop for Replicas<C> {
    fn drop(&mut self) {
        self.closing.set();
    }
}

/// While it lives, the probes hurry.
pub(super) struct Hurrying<'a, C: Backend>(&'a Replicas<C>);

impl<C: Backend> Drop for Hurrying<'_, C> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
