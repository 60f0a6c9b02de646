//! A run over all tenants: which tenant is migrated when, and when the run stops.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, poll_fn, select};
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{Instant, Sleep, sleep};

use super::error::MigrateTenantsError;
use super::ledger::{Ledger, LedgerBind, now};
use super::names::{Intake, NextName, REMEMBERED};
use super::report::{MigrateTenantsReport, TenantFailure, TenantOutcome, TenantResult};
use crate::backend::ledger::{DONE, FAILED, LeaseHolder, LedgerRow, LedgerScope};
use crate::backend::namespace::LOCK_PAUSE;
use crate::cause::{Chain, DriverError};
use crate::panicked::panic_message;
use crate::settings::BindKey;

/// How many tenants the ledger is asked for at once.
const CHUNK: usize = REMEMBERED;

/// How often the lease is checked while nothing else is sent on its connection.
const LEASE_CHECK_PERIOD: Duration = Duration::from_secs(3);

/// How many names are read before other tasks have their turn.
const NAMES_BEFORE_YIELD: u32 = 128;

/// How many rows are written to the ledger at once.
const ROWS_OF_A_STATEMENT: usize = 500;

/// The maximum number of characters of an error in the ledger.
const MAX_DETAIL: usize = 4_000;

/// Migrates one tenant. A name that was checked.
pub(super) type MigrateOne = Box<dyn Fn(Arc<str>) -> BoxFuture<'static, TenantResult> + Send>;

/// Is called with each outcome.
pub(super) type OnOutcome = Box<dyn FnMut(&TenantOutcome) + Send>;

/// Opens the ledger, which is not connected to before the first name is known.
pub(super) type OpenLedger =
    Box<dyn Fn() -> BoxFuture<'static, Result<Box<dyn Ledger>, DriverError>> + Send + Sync>;

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
    pub(super) bind: Arc<dyn LedgerBind>,
    pub(super) open: OpenLedger,
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
    ledger: Option<Box<dyn Ledger>>,
    has_lease: bool,
    /// When the lease is to be checked.
    lease_is_due: Pin<Box<Sleep>>,
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
            ledger: None,
            has_lease: false,
            lease_is_due: Box::pin(sleep(LEASE_CHECK_PERIOD)),
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
            let migrating = (self.task.migrate)(Arc::clone(&tenant));
            self.running.spawn(async move {
                let migrated = crate::panicked::caught(migrating).await;
                let result = migrated.unwrap_or_else(|panicked| {
                    TenantResult::Failed(TenantFailure::Panicked(panicked.to_string()))
                });
                TenantOutcome { tenant: (&*tenant).to_owned(), result }
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

    /// Sorts the names that were read into those that are done and those that are queued.
    async fn ask_ledger(&mut self) {
        let names = std::mem::take(&mut self.chunk);
        if names.is_empty() {
            return;
        }
        match self.find_done(&names).await {
            Ok(done) => {
                for tenant in names {
                    match done.contains(&*tenant) {
                        true => self.note(TenantOutcome {
                            tenant: (&*tenant).to_owned(),
                            result: TenantResult::UpToDate,
                        }),
                        false if self.stop.is_some() => self.note_not_reached(&tenant),
                        false => self.queue.push_back(tenant),
                    }
                }
            }
            Err(stop) => {
                self.chunk = names;
                self.stop_for(stop);
            }
        }
    }

    /// Those among `names` that are done. If that is not all of them, the lease is taken, and they are asked for again,
    /// because another run may have migrated some until then.
    async fn find_done(&mut self, names: &[Arc<str>]) -> Result<HashSet<String>, Stop> {
        let Some(task) = &self.task.ledger else { return Ok(HashSet::new()) };
        let mut ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => (task.open)().await.map_err(Stop::Ledger)?,
        };
        let (scope, rechecks) = (task.scope.clone(), task.rechecks);
        if !self.has_lease {
            // An error may mean that there is no ledger yet, which is then created. If it has another reason, the next
            // operation fails as well.
            if !rechecks
                && let Ok(done) = ledger.find_done(&scope, names).await
                && done.len() == names.len()
            {
                self.ledger = Some(ledger);
                return Ok(done.into_iter().collect());
            }
            self.take_lease(&mut *ledger).await?;
        }
        let done = match rechecks {
            true => Ok(Vec::new()),
            false => ledger.find_done(&scope, names).await,
        };
        self.ledger = Some(ledger);
        self.postpone_lease_check();
        done.map(|done| done.into_iter().collect()).map_err(Stop::Ledger)
    }

    async fn take_lease(&mut self, ledger: &mut dyn Ledger) -> Result<(), Stop> {
        let limit = self.task.ledger.as_ref().and_then(|task| task.wait_for_lease);
        let limit = limit.unwrap_or(ledger.acquire_timeout());
        let started = Instant::now();
        while !ledger.take_lease(self.task.key).await.map_err(Stop::Ledger)? {
            let remaining = limit.saturating_sub(started.elapsed());
            if remaining.is_zero() {
                let holder = ledger.holder(self.task.key).await;
                return Err(Stop::LeaseHeld { holder, after: limit });
            }
            let pause = std::pin::pin!(sleep(LOCK_PAUSE.min(remaining)));
            if !self.is_signalled
                && let Either::Left((signal, _)) = select(&mut self.task.stop, pause).await
            {
                self.is_signalled = true;
                return Err(Stop::from(signal));
            }
        }
        self.has_lease = true;
        Ok(())
    }

    async fn write_rows(&mut self, rows: &[LedgerRow]) {
        let (Some(task), Some(ledger)) = (&self.task.ledger, &mut self.ledger) else { return };
        let mut written = Ok(());
        // A statement has a limited number of bind variables.
        for rows in rows.chunks(ROWS_OF_A_STATEMENT) {
            if written.is_ok() {
                written = ledger.write_rows(&task.scope, rows).await;
            }
        }
        if let Err(error) = written {
            let has_lease = ledger.has_lease(self.task.key).await;
            self.has_lease = false;
            self.stop_for(match has_lease {
                Ok(true) => Stop::Ledger(error),
                Ok(false) | Err(_) => Stop::LeaseLost(Some(error)),
            });
        }
        self.postpone_lease_check();
    }

    async fn check_lease(&mut self) {
        let Some(ledger) = &mut self.ledger else { return };
        let error = match ledger.has_lease(self.task.key).await {
            Ok(true) => return self.postpone_lease_check(),
            Ok(false) => None,
            Err(error) => Some(error),
        };
        self.has_lease = false;
        self.stop_for(Stop::LeaseLost(error));
    }

    fn postpone_lease_check(&mut self) {
        self.lease_is_due.as_mut().reset(Instant::now() + LEASE_CHECK_PERIOD);
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
                let (holder, since) = holder.map(|holder| (holder.name, holder.since)).unzip();
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

/// The row of a tenant that was migrated, or whose migration failed.
fn row_of(outcome: &TenantOutcome) -> Option<LedgerRow> {
    let (state, detail) = match &outcome.result {
        TenantResult::Applied(_) | TenantResult::UpToDate => (DONE, String::new()),
        TenantResult::Failed(failure) => {
            (FAILED, Chain(failure).to_string().chars().take(MAX_DETAIL).collect())
        }
        TenantResult::NotReached | TenantResult::Repeated => return None,
    };
    Some(LedgerRow { tenant: outcome.tenant.as_str().into(), state, detail, at: now() })
}
