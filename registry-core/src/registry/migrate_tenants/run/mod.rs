//! A run over all tenants: which tenant is migrated when, and when the run stops.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, poll_fn};
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{Instant, Sleep, sleep};

use super::error::MigrateTenantsError;
use super::ledger::{Ledger, LedgerBind};
use super::names::{Intake, NextName, REMEMBERED};
use super::report::{MigrateTenantsReport, TenantFailure, TenantOutcome, TenantResult};
use crate::backend::ledger::{LeaseHolder, LedgerScope};
use crate::cause::DriverError;
use crate::panicked::panic_message;
use crate::registry::handle::Registry;
use crate::settings::BindKey;

mod with_ledger;

use with_ledger::{LEASE_CHECK_PERIOD, row_of};

/// How many tenants the ledger is asked for at once.
const CHUNK: usize = REMEMBERED;

/// How many names are read before other tasks have their turn.
const NAMES_BEFORE_YIELD: u32 = 128;

/// How long the rest of the names is read after a stop, to be reported, once nothing runs any more.
const NAMES_PERIOD: Duration = Duration::from_secs(2);

/// Migrates one tenant. A name that was checked.
pub(super) type MigrateOne = Box<dyn Fn(Arc<str>) -> BoxFuture<'static, TenantResult> + Send>;

/// Is called with each outcome.
pub(super) type OnOutcome = Box<dyn FnMut(&TenantOutcome) + Send>;

/// What a run has to do.
pub(super) struct Task {
    pub(super) key: BindKey,
    pub(super) names: Intake,
    pub(super) migrate: MigrateOne,
    pub(super) jobs: usize,
    pub(super) canaries: usize,
    pub(super) keep_going: bool,
    pub(super) ledger: Option<LedgerTask>,
    pub(super) on_outcome: Option<OnOutcome>,
    /// Resolves when nothing new is to be begun.
    pub(super) stop: BoxFuture<'static, StopSignal>,
}

/// The part of a run with a ledger.
pub(super) struct LedgerTask {
    /// It is not connected to before the first name is known.
    pub(super) bind: Arc<dyn LedgerBind>,
    pub(super) registry: Registry,
    /// The place in the program that began the run.
    pub(super) place: &'static Location<'static>,
    pub(super) scope: LedgerScope,
    /// Whether a row is never believed.
    pub(super) rechecks: bool,
    /// By default the `acquire_timeout` of the ledger's bind.
    pub(super) wait_for_lease: Option<Duration>,
}

/// Why a run is to stop from outside.
pub(super) enum StopSignal {
    /// The future of the caller was dropped: nobody waits for the outcomes of the tenants that are not reached.
    Dropped,
    /// The caller asked for it.
    Requested,
}

/// Why nothing new is begun.
enum Stop {
    /// A tenant failed, or the caller asked for the end: the report says it.
    Early,
    Dropped,
    Panicked {
        what: &'static str,
        message: String,
    },
    Ledger(DriverError),
    LeaseLost(Option<DriverError>),
    LeaseHeld {
        holder: Option<LeaseHolder>,
        after: Duration,
    },
}

impl From<StopSignal> for Stop {
    fn from(signal: StopSignal) -> Self {
        match signal {
            StopSignal::Dropped => Self::Dropped,
            StopSignal::Requested => Self::Early,
        }
    }
}

enum Event {
    Stop(StopSignal),
    Ended(Result<TenantOutcome, JoinError>),
    Next(NextName),
    LeaseIsDue,
    NamesAreLate,
    Done,
}

/// A run.
pub(super) struct Run {
    task: Task,
    started: Instant,
    report: MigrateTenantsReport,
    stop: Option<Stop>,
    /// The error in the stream of names, which ends it.
    names_error: Option<DriverError>,
    /// Whether the signal to stop has come. It is not polled again then.
    is_signalled: bool,
    /// Names of which the ledger was not asked yet.
    chunk: Vec<Arc<str>>,
    /// Tenants that have something to do, as far as is known.
    queue: VecDeque<Arc<str>>,
    running: JoinSet<TenantOutcome>,
    running_names: HashSet<Arc<str>>,
    ledger: Option<Box<dyn Ledger>>,
    has_lease: bool,
    /// When the lease is to be checked.
    lease_is_due: Pin<Box<Sleep>>,
    /// When the rest of the names is no longer read after a stop: a stream may never end.
    names_are_late: Option<Pin<Box<Sleep>>>,
    /// How many names were read, for yielding to other tasks.
    read: u32,
}

impl Run {
    pub(super) fn new(task: Task) -> Self {
        Self {
            report: MigrateTenantsReport::new(task.key),
            task,
            started: Instant::now(),
            stop: None,
            names_error: None,
            is_signalled: false,
            chunk: Vec::new(),
            queue: VecDeque::new(),
            running: JoinSet::new(),
            running_names: HashSet::new(),
            ledger: None,
            has_lease: false,
            lease_is_due: Box::pin(sleep(LEASE_CHECK_PERIOD)),
            names_are_late: None,
            read: 0,
        }
    }

    pub(super) async fn run(mut self) -> Result<MigrateTenantsReport, MigrateTenantsError> {
        loop {
            self.begin_queued();
            match self.next_event().await {
                Event::Stop(signal) => {
                    self.is_signalled = true;
                    self.stop_for(signal.into());
                }
                Event::Ended(first) => self.note_ended(first).await,
                Event::Next(next) => self.note_next(next).await,
                Event::LeaseIsDue => self.check_lease().await,
                Event::NamesAreLate => {
                    self.task.names.end();
                    self.report.has_unread_names = true;
                }
                Event::Done => return self.finish().await,
            }
        }
    }

    /// How many tenants may be migrated at once now.
    fn limit(&self) -> usize {
        if self.task.canaries > 0 { 1 } else { self.task.jobs }
    }

    fn begin_queued(&mut self) {
        while self.stop.is_none() && self.running.len() < self.limit() {
            let Some(tenant) = self.queue.pop_front() else { return };
            self.running_names.insert(Arc::clone(&tenant));
            let migrating = (self.task.migrate)(Arc::clone(&tenant));
            self.running.spawn(async move {
                let migrated = crate::panicked::caught(migrating).await;
                let result = migrated.unwrap_or_else(|panicked| {
                    TenantResult::Failed(TenantFailure::Panicked(panicked.to_string()))
                });
                TenantOutcome { tenant: tenant.to_string(), result }
            });
        }
    }

    /// Waits for what happens next. Dropping the future loses nothing.
    fn next_event(&mut self) -> impl Future<Output = Event> + Send {
        poll_fn(|cx| self.poll_event(cx))
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if !self.is_signalled
            && let Poll::Ready(signal) = self.task.stop.as_mut().poll(cx)
        {
            return Poll::Ready(Event::Stop(signal));
        }
        if let Poll::Ready(Some(ended)) = self.running.poll_join_next(cx) {
            return Poll::Ready(Event::Ended(ended));
        }
        if self.running.is_empty()
            && !self.task.names.has_ended()
            && let Some(late) = &mut self.names_are_late
            && late.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::NamesAreLate);
        }
        // After a stop, the rest is read to be reported. Before, no more than the tenants that can be begun, or of which
        // the ledger can be asked at once.
        let needs_names = self.stop.is_some()
            || self.queue.is_empty()
                && (self.task.ledger.is_some() || self.running.len() < self.limit());
        if needs_names
            && !self.task.names.has_ended()
            && let Poll::Ready(next) = self.task.names.poll_next(cx)
        {
            return Poll::Ready(Event::Next(next));
        }
        if self.has_lease && self.stop.is_none() && self.lease_is_due.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::LeaseIsDue);
        }
        match self.running.is_empty() && self.queue.is_empty() && self.task.names.has_ended() {
            true => Poll::Ready(Event::Done),
            false => Poll::Pending,
        }
    }

    async fn note_next(&mut self, next: NextName) {
        self.read = self.read.wrapping_add(1);
        // A stream that always has a next name would not let other tasks run.
        if self.read.is_multiple_of(NAMES_BEFORE_YIELD) {
            yield_now().await;
        }
        match next {
            // It was named before the names that are remembered.
            NextName::Name(tenant) if self.running_names.contains(&tenant) => {
                let tenant = tenant.to_string();
                self.note(TenantOutcome { tenant, result: TenantResult::Repeated });
            }
            NextName::Name(tenant) if self.stop.is_some() => self.note_not_reached(&tenant),
            NextName::Name(tenant) if self.task.ledger.is_none() => self.queue.push_back(tenant),
            NextName::Name(tenant) => {
                self.chunk.push(tenant);
                if self.chunk.len() == CHUNK {
                    self.ask_ledger().await;
                }
            }
            NextName::Refused(outcome) => self.note(outcome),
            NextName::End => self.ask_ledger().await,
            NextName::Error(error) => {
                self.names_error = Some(error);
                match self.task.keep_going {
                    // What was named before is still migrated.
                    true => self.ask_ledger().await,
                    false => self.stop_for(Stop::Early),
                }
            }
            NextName::Panicked(message) => {
                self.stop_for(Stop::Panicked { what: "the stream of names", message });
            }
        }
    }

    async fn note_ended(&mut self, first: Result<TenantOutcome, JoinError>) {
        let mut rows = Vec::new();
        let mut ended = Some(first);
        while let Some(outcome) = ended {
            match outcome {
                Ok(outcome) => {
                    self.running_names.remove(outcome.tenant.as_str());
                    rows.extend(self.has_lease.then(|| row_of(&outcome)).flatten());
                    self.note_migrated(outcome);
                }
                // The task catches panics, so it was cancelled by the end of the runtime, or a destructor panicked.
                Err(error) => {
                    let message = error.to_string();
                    self.stop_for(Stop::Panicked { what: "the task of a tenant", message });
                }
            }
            ended = self.running.try_join_next();
        }
        if !rows.is_empty() {
            self.write_rows(&rows).await;
        }
    }

    fn note_migrated(&mut self, outcome: TenantOutcome) {
        if self.task.canaries > 0 {
            match outcome.result {
                TenantResult::Applied(_) => self.task.canaries -= 1,
                TenantResult::Failed(_) => {
                    self.note(outcome);
                    return self.stop_for(Stop::Early);
                }
                _ => {}
            }
        }
        self.note(outcome);
    }

    fn note_not_reached(&mut self, tenant: &str) {
        self.note(TenantOutcome { tenant: tenant.to_owned(), result: TenantResult::NotReached });
    }

    fn note(&mut self, outcome: TenantOutcome) {
        let has_failed = matches!(outcome.result, TenantResult::Failed(_));
        if let Some(on_outcome) = &mut self.task.on_outcome
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| on_outcome(&outcome)))
        {
            self.task.on_outcome = None;
            let message = panic_message(&*payload).to_owned();
            self.stop_for(Stop::Panicked { what: "the closure for outcomes", message });
        }
        self.report.add(outcome);
        if has_failed && !self.task.keep_going {
            self.stop_for(Stop::Early);
        }
    }

    /// Begins nothing new. The tenants that were named are reported as not reached.
    fn stop_for(&mut self, stop: Stop) {
        self.names_are_late.get_or_insert_with(|| Box::pin(sleep(NAMES_PERIOD)));
        // Of several reasons, the first one that has an error of its own is reported.
        if matches!(self.stop, None | Some(Stop::Early)) {
            self.stop = Some(stop);
        }
        let named = std::mem::take(&mut self.queue);
        let named: Vec<_> = named.into_iter().chain(std::mem::take(&mut self.chunk)).collect();
        if matches!(self.stop, Some(Stop::Dropped | Stop::LeaseHeld { .. })) {
            self.task.names.end();
            return;
        }
        for tenant in named {
            self.note_not_reached(&tenant);
        }
    }

    async fn finish(mut self) -> Result<MigrateTenantsReport, MigrateTenantsError> {
        let key = self.task.key;
        if self.has_lease
            && let Some(ledger) = self.ledger.take()
        {
            ledger.release(key).await;
        }
        self.report.elapsed = self.started.elapsed();
        let ledger = self.task.ledger.as_ref().map_or(key, |task| task.bind.key());
        let report = Box::new(self.report);
        Err(match (self.stop, self.names_error) {
            (Some(Stop::Panicked { what, message }), _) => {
                MigrateTenantsError::Panicked { key, what, message, report }
            }
            (Some(Stop::Ledger(source)), _) => {
                MigrateTenantsError::Ledger { key, ledger, report, source }
            }
            (Some(Stop::LeaseLost(source)), _) => {
                MigrateTenantsError::LeaseLost { key, ledger, report, source }
            }
            (Some(Stop::LeaseHeld { holder, after }), _) => {
                let (holder, since) =
                    holder.map(|holder| (holder.name.into(), holder.since.into())).unzip();
                MigrateTenantsError::LeaseHeld { key, ledger, holder, since, after, report }
            }
            (None | Some(Stop::Early | Stop::Dropped), Some(source)) => {
                MigrateTenantsError::Names { key, report, source }
            }
            (None | Some(Stop::Early | Stop::Dropped), None) if report.is_complete() => {
                return Ok(*report);
            }
            (None | Some(Stop::Early | Stop::Dropped), None) => {
                MigrateTenantsError::Tenants(report)
            }
        })
    }
}

#[cfg(test)]
mod tests;
