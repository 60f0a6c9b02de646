//! One replica: its engine, and what the last probe found.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::typed::TypedEngine;
use super::history::History;
use super::request::ReadRequest;
use super::status::{ReplicaState, ReplicaStatus};
use crate::backend::Backend;
use crate::backend::position::{Position, ServerIdentity, ServerState};
use crate::latch::Latch;
use crate::settings::{Endpoint, Role};

/// One server that a replica's URL leads to.
pub(super) struct Member<C: Backend> {
    pub(super) engine: Arc<TypedEngine<C>>,
    pub(super) endpoint: Endpoint,
    /// The index of the URL in the settings.
    pub(super) replica: usize,
    pub(super) weight: u32,
    /// Makes the probe ask at once.
    pub(super) wake: Notify,
    /// Set when the name in the URL does not lead to this server any more.
    pub(super) removed: Latch,
    state: Mutex<State>,
    reads: AtomicU64,
}

#[derive(Debug)]
struct State {
    health: Health,
    role: Option<Role>,
    identity: Option<ServerIdentity>,
    /// How far it certainly is: tokens are compared with it.
    position: Option<Position>,
    /// How far it is if it is on the timeline that it was last known to be on: its lag is measured by it.
    presumed: Option<Position>,
    hides_position: bool,
    database: Option<String>,
    /// The latest moment of which this replica shows everything that was committed on the primary.
    fresh_until: Option<Instant>,
    lag_bytes: Option<u64>,
    /// Whether its data is of another database, or of another system, than the primary's.
    is_foreign: bool,
    /// When the last answer had arrived.
    answered: Instant,
    /// Whether it has had something that the primary does not have. Then nothing is known of what else it has or lacks.
    has_diverged: bool,
    /// Whether it is the very server that the bind's own URL leads to.
    is_the_primary: bool,
    /// Why it is no replica of the primary, and whether that was reported.
    misfit: Option<Misfit>,
    reported: Option<Misfit>,
    /// Whether it was reported that it hides its position.
    is_hiding_reported: bool,
    /// The moving average of how long the probe took.
    latency: Duration,
    /// The lost connections of the engine before the last probe: one more means that the server may be gone.
    losses: u32,
}

#[derive(Debug, Clone)]
enum Health {
    Unknown,
    /// `back_since` is set if the replica had failed before.
    Up {
        back_since: Option<Instant>,
    },
    Down {
        reason: Arc<str>,
    },
}

/// What decides whether a replica is fit for a read, beside the time: reads that wait are woken when it changes.
#[derive(Debug, PartialEq)]
struct Grounds {
    answers: bool,
    role: Option<Role>,
    run: Option<(u64, Option<Duration>)>,
    fresh_until: Option<Instant>,
    lag_bytes: Option<u64>,
    is_foreign: bool,
    has_diverged: bool,
}

/// Why a server that answers is no replica of the bind's primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Its data is of another database system.
    Foreign,
    /// It is a primary, and another one than that of the bind's own URL.
    OtherPrimary,
    /// It has something that the primary does not have.
    Diverged,
}

impl Misfit {
    /// The reason, for events.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Foreign => {
                "it has the data of another database system, or its URL names another database"
            }
            Self::Diverged => DIVERGED,
            Self::OtherPrimary => "it is a primary, and not that of the bind's URL",
        }
    }
}

/// Why a replica cannot be used that was ahead of its primary.
const DIVERGED: &str = "it has commits that the primary does not have, and has to be set up anew";

/// What is known of the primary when an answer of a replica is judged.
pub(super) struct PrimaryFacts<'a> {
    pub(super) history: &'a History,
    pub(super) identity: Option<ServerIdentity>,
    pub(super) database: Option<&'a str>,
}

/// Whether a read may go to a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    Fit,
    /// It answers, and is behind what the read asks for.
    Behind,
    /// It cannot be reached, is no replica, or nothing is known of it.
    Unfit,
}

/// A replica that has failed gets reads again little by little, for this number of probes.
pub(super) const PROBES_UNTIL_FULL_SHARE: u32 = 10;

/// The share of reads with which it begins.
const FIRST_SHARE: f64 = 0.1;

/// Latencies below this are not told apart: they differ by chance.
const SAME_LATENCY: Duration = Duration::from_millis(1);

impl<C: Backend> Member<C> {
    pub(super) fn new(
        engine: Arc<TypedEngine<C>>,
        endpoint: Endpoint,
        replica: usize,
        weight: u32,
    ) -> Self {
        let state = State {
            health: Health::Unknown,
            role: None,
            identity: None,
            position: None,
            presumed: None,
            hides_position: false,
            database: None,
            fresh_until: None,
            lag_bytes: None,
            is_foreign: false,
            answered: Instant::now(),
            has_diverged: false,
            is_the_primary: false,
            misfit: None,
            reported: None,
            is_hiding_reported: false,
            latency: Duration::ZERO,
            losses: engine.loss_count(),
        };
        Self {
            engine,
            endpoint,
            replica,
            weight,
            wake: Notify::new(),
            removed: Latch::default(),
            state: Mutex::new(state),
            reads: AtomicU64::new(0),
        }
    }

    /// Whether the read may go here, by what the last probe found.
    pub(super) fn fitness(&self, request: &ReadRequest, now: Instant) -> Fitness {
        self.fitness_in(&self.state(), request, now)
    }

    /// Whether the read may use a connection to the server with that identity. At once with the identity: what was known
    /// when the replica was chosen may have been of another server behind the same address.
    pub(super) fn is_fit_at(
        &self,
        identity: Option<ServerIdentity>,
        request: &ReadRequest,
    ) -> bool {
        let state = self.state();
        let is_probed = match (state.identity, identity) {
            (Some(probed), Some(identity)) => probed.is_same(identity),
            _ => false,
        };
        is_probed && self.fitness_in(&state, request, Instant::now()) == Fitness::Fit
    }

    fn fitness_in(&self, state: &State, request: &ReadRequest, now: Instant) -> Fitness {
        if !self.answers(state) {
            if matches!(state.health, Health::Up { .. }) {
                // A connection was lost. The probe finds out whether the server is.
                self.wake.notify_one();
            }
            return Fitness::Unfit;
        }
        if state.role == Some(Role::Primary) || state.is_foreign || state.has_diverged {
            return Fitness::Unfit;
        }
        let lag = state.lag(now);
        if request.is_behind(lag, state.lag_bytes)
            || !request.is_reached_by(state.position.as_ref())
        {
            return Fitness::Behind;
        }
        Fitness::Fit
    }

    /// Whether the last probe was answered, and no connection was lost since.
    fn answers(&self, state: &State) -> bool {
        matches!(state.health, Health::Up { .. }) && state.losses == self.engine.loss_count()
    }

    /// Whether it has certainly reached what the read must be after.
    pub(super) fn has_reached(&self, request: &ReadRequest) -> bool {
        request.is_reached_by(self.state().position.as_ref())
    }

    /// Whether the server has become the primary after one whose last known position is `before`: it says that it is one,
    /// and has that position, or a newer timeline. `with_proof`: only a newer timeline counts.
    pub(super) fn is_promoted(&self, before: &Position, with_proof: bool) -> bool {
        let state = self.state();
        let follows = |position: &Position| {
            position.is_on_newer_timeline(before) || !with_proof && position.has_reached(before)
        };
        self.answers(&state)
            && state.role == Some(Role::Primary)
            && state.position.as_ref().is_some_and(follows)
    }

    /// Whether it cannot be used, as far as is known.
    pub(super) fn is_down(&self) -> bool {
        let state = self.state();
        !self.answers(&state)
    }

    /// Whether the last thing that is known of it is a failure.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state().health, Health::Down { .. })
    }

    /// How far it is behind at most, if that is known.
    pub(super) fn lag(&self, now: Instant) -> Option<Duration> {
        self.state().lag(now)
    }

    /// How loaded it is: the lower, the better.
    pub(super) fn load(&self, now: Instant, ramp: Duration) -> f64 {
        let state = self.state();
        let share = match state.health {
            Health::Up { back_since: Some(since) } => {
                let passed = now.saturating_duration_since(since).as_secs_f64();
                (passed / ramp.as_secs_f64().max(f64::MIN_POSITIVE)).clamp(FIRST_SHARE, 1.0)
            }
            _ => 1.0,
        };
        let latency = state.latency.max(SAME_LATENCY).as_secs_f64();
        let in_use = f64::from(self.engine.checkout_count());
        (in_use + 1.0).powi(2) * latency / (f64::from(self.weight.max(1)) * share)
    }

    /// Records the answer to a probe. `asked` is when it was sent, and `losses` were the lost connections then. True if
    /// it may make the replica fit for a read, or unfit.
    pub(super) fn note_answer(
        &self,
        answer: ServerState,
        asked: Instant,
        losses: u32,
        primary: &PrimaryFacts<'_>,
    ) -> bool {
        let took = asked.elapsed();
        let mut state = self.state();
        let (grounds, position) = (self.grounds(&state), state.position.clone());
        state.health = match &state.health {
            Health::Unknown => Health::Up { back_since: None },
            Health::Down { .. } => Health::Up { back_since: Some(Instant::now()) },
            up @ Health::Up { .. } => up.clone(),
        };
        state.latency = match state.latency {
            Duration::ZERO => took,
            before => before.mul_f64(0.8) + took.mul_f64(0.2),
        };
        state.losses = losses;
        state.role = answer.role;
        if !state.identity.is_some_and(|before| before.is_same(answer.identity)) {
            // Another server, or a restarted one: what was known of it is void.
            state.fresh_until = None;
            state.position = None;
            state.has_diverged = false;
        }
        state.answered = Instant::now();
        state.identity = Some(answer.identity);
        state.presumed = answer.presumed.or_else(|| answer.position.clone());
        let before = state.position.take().filter(|_| answer.role == Some(Role::Replica));
        state.position = match before {
            Some(before) => {
                if answer.position.as_ref().is_some_and(|now| now.is_set_back_from(&before)) {
                    state.fresh_until = None;
                    state.has_diverged = false;
                }
                state.presumed =
                    state.presumed.take().map(|presumed| presumed.on_newer_timeline_of(&before));
                answer.position.map(|position| position.not_before(&before))
            }
            None => answer.position,
        };
        state.hides_position = answer.hides_position;
        state.database = answer.database;
        state.compare(primary);
        self.grounds(&state) != grounds || state.position != position
    }

    /// Compares what is known of the replica with what is known of the primary now. True if that may make the replica fit for
    /// a read, or unfit.
    pub(super) fn compare(&self, primary: &PrimaryFacts<'_>) -> bool {
        let mut state = self.state();
        let before = self.grounds(&state);
        state.compare(primary);
        self.grounds(&state) != before
    }

    fn grounds(&self, state: &State) -> Grounds {
        Grounds {
            answers: self.answers(state),
            role: state.role,
            run: state.identity.map(|identity| (identity.hash, identity.started)),
            fresh_until: state.fresh_until,
            lag_bytes: state.lag_bytes,
            is_foreign: state.is_foreign,
            has_diverged: state.has_diverged,
        }
    }

    /// Why it is no replica of the primary, if that has not been reported yet.
    pub(super) fn news_of_misfit(&self) -> Option<Misfit> {
        let mut state = self.state();
        let misfit = state.misfit;
        let before = std::mem::replace(&mut state.reported, misfit);
        misfit.filter(|misfit| before != Some(*misfit))
    }

    /// Whether the account may not see how far the replica is for certain, and that has not been reported yet.
    pub(super) fn news_of_hiding(&self) -> bool {
        let mut state = self.state();
        let is_news = state.hides_position && !state.is_hiding_reported;
        state.is_hiding_reported = state.hides_position;
        is_news
    }

    /// Records that the server cannot be used. True if that is news.
    pub(super) fn note_failure(&self, reason: &str) -> bool {
        let mut state = self.state();
        let is_news = !matches!(state.health, Health::Down { .. });
        state.health = Health::Down { reason: reason.into() };
        state.identity = None;
        is_news
    }

    /// Forgets what was known: nobody asks the server any more.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.health = Health::Unknown;
        state.identity = None;
        state.fresh_until = None;
    }

    pub(super) fn note_read(&self) {
        self.reads.fetch_add(1, Relaxed);
    }

    /// How the server is called in texts.
    pub(super) fn name(&self) -> String {
        match self.endpoint.name.as_str() {
            "" => self.engine.settings.url.to_string(),
            name => name.to_owned(),
        }
    }

    /// Why it is not fit for a read, in words.
    pub(super) fn shortcoming(&self, request: &ReadRequest, now: Instant) -> String {
        let state = self.state();
        let name = self.name();
        let lag = state.lag(now);
        if let Health::Down { reason } = &state.health {
            return format!("{name} does not answer ({reason})");
        }
        if !self.answers(&state) {
            return format!("{name} has not answered yet");
        }
        if state.has_diverged {
            return format!("{name} cannot be used: {DIVERGED}");
        }
        if state.is_foreign {
            return format!(
                "{name} has the data of another database system, or its URL names another database"
            );
        }
        if state.role == Some(Role::Primary) {
            return format!("{name} is a primary");
        }
        if request.is_behind(lag, state.lag_bytes) {
            return match lag {
                Some(lag) => {
                    format!("{name} is {} behind", humantime::format_duration(in_millis(lag)))
                }
                None => format!("{name} is behind by an unknown time"),
            };
        }
        if state.hides_position {
            return format!(
                "whether {name} has reached the position of the token is not known: the account may not see its timeline, \
                 which needs `GRANT pg_read_all_stats`"
            );
        }
        format!("{name} has not reached the position of the token")
    }

    pub(super) fn status(&self, request: &ReadRequest, now: Instant) -> ReplicaStatus {
        let fitness = self.fitness(request, now);
        let counts = self.engine.pool.counts();
        let acquires = self.engine.stats.acquire_counts();
        let state = self.state();
        let (lag, last_error) = (
            state.lag(now),
            match &state.health {
                Health::Down { reason } => Some(reason.to_string()),
                _ => None,
            },
        );
        ReplicaStatus {
            url: self.engine.settings.url.clone(),
            host: self.endpoint.name.clone(),
            state: match fitness {
                Fitness::Fit => ReplicaState::Fit,
                Fitness::Behind => ReplicaState::Behind,
                Fitness::Unfit if last_error.is_some() => ReplicaState::Down,
                Fitness::Unfit if !self.answers(&state) => ReplicaState::Unknown,
                Fitness::Unfit if state.is_foreign || state.has_diverged => ReplicaState::Foreign,
                Fitness::Unfit => ReplicaState::Primary,
            },
            role: state.role,
            lag,
            lag_bytes: state.lag_bytes,
            reads: self.reads.load(Relaxed),
            weight: self.weight,
            in_use: counts.in_use,
            idle: counts.idle,
            max: self.engine.settings.options.max_connections,
            waiting: acquires.waiting,
            last_error,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn compare(&mut self, primary: &PrimaryFacts<'_>) {
        self.is_the_primary = match (self.identity, primary.identity) {
            (Some(own), Some(primary)) => own.is_same(primary),
            _ => false,
        };
        // A URL may name another database of the same servers.
        let is_of_database = match (self.database.as_deref(), primary.database) {
            (Some(own), Some(primary)) => own == primary,
            _ => true,
        };
        self.is_foreign = !is_of_database;
        if let (Some(position), Some(Role::Replica)) = (&self.position, self.role) {
            self.has_diverged |= primary.history.lacks(position, self.answered);
        }
        match (&self.presumed, primary.history.newest()) {
            (Some(position), Some(newest)) => {
                self.is_foreign |= !position.is_of_same_system(newest);
                self.lag_bytes = position.bytes_behind(newest);
                // A position only grows, so what was shown once is shown still.
                self.fresh_until = primary.history.fresh_until(position).max(self.fresh_until);
            }
            _ => self.lag_bytes = None,
        }
        let is_primary = self.role == Some(Role::Primary);
        self.misfit = if self.is_foreign {
            Some(Misfit::Foreign)
        } else if self.has_diverged {
            Some(Misfit::Diverged)
        } else if is_primary && primary.identity.is_some() && !self.is_the_primary {
            Some(Misfit::OtherPrimary)
        } else {
            None
        };
    }

    fn lag(&self, now: Instant) -> Option<Duration> {
        self.fresh_until.map(|fresh_until| now.saturating_duration_since(fresh_until))
    }
}

/// A duration in whole milliseconds, for texts.
pub(super) fn in_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
