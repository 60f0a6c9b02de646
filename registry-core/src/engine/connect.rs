//! Seeing to it that a slot has a live connection.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use diesel::connection::CacheSize;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::checkout::{Checkout, Held};
use super::meters::{Closed, Timer};
use super::pool::Lease;
use super::slot::Connected;
use super::statements::run_on_connect;
use super::stats::For;
use super::typed::TypedEngine;
use super::watch::{Judge, Watch, Watcher};
use crate::backend::observed::Observed;
use crate::backend::{Backend, ConnectContext, ConnectError, OpenedConnection};
use crate::engine::AcquireError;
use crate::engine::caller::Caller;
use crate::panicked::caught;
use crate::settings::{DatabaseUrl, EngineOptions, Pooler};

/// What checks whether a connection answers. Every backend understands it.
pub(super) const CHECK: &str = "SELECT 1";

impl<C: Backend> TypedEngine<C> {
    /// Whether the slot has a connection that can be lent without asking the server.
    pub(super) fn is_fresh(&self, lease: &mut Lease<C>, runtime: &Handle) -> bool {
        if self.settings.is_isolated || lease.connection_mut().is_none_or(C::is_known_dead) {
            return false;
        }
        if self.settings.url.is_memory() {
            // Its connection is the database: a check that is cut short must not cost it.
            return true;
        }
        let now = std::time::Instant::now();
        lease.idle_for(now) <= self.settings.options.check_idle_after
            && !lease.is_expired(now)
            && lease.is_of(runtime.id())
            && lease.watch().is_some_and(|watch| {
                !watch.is_outdated() && !watch.has_doubtful_role() && !may_have_rows::<C>(watch)
            })
    }

    /// Sees to it that a slot without a fresh connection has a live one: checks the one it has, and
    /// connects if there is none or it does not answer.
    ///
    /// The caller has waited since `started`, and waits for `within` at the most.
    pub(super) async fn fill(
        &self,
        held: &mut Held<C>,
        started: Instant,
        within: Duration,
    ) -> Result<(), AcquireError> {
        let remaining = || within.saturating_sub(started.elapsed());
        let Some(lease) = held.lease_mut() else { return Err(self.timed_out(within)) };
        if self.settings.is_isolated {
            return self.fill_isolated(lease, remaining()).await;
        }
        if self.answers(lease, &Handle::current(), remaining()).await {
            return Ok(());
        }
        lease.clear();
        let connecting = self.starving.connecting();
        let connected = self.connect(remaining()).await;
        drop(connecting);
        match connected {
            Ok(connected) => {
                lease.fill(connected, self.lifetime());
                Ok(())
            }
            Err(refused @ ConnectError::TooManyConnections(_)) => {
                self.starve(held, refused, started, within).await
            }
            Err(error) => Err(self.could_not_connect(error)),
        }
    }

    /// Whether the slot has a connection that answers. One that does not is not lent again, and
    /// neither is one whose check was cut short.
    pub(super) async fn answers(
        &self,
        lease: &mut Lease<C>,
        runtime: &Handle,
        left: Duration,
    ) -> bool {
        if lease.is_expired(std::time::Instant::now()) {
            self.stats.closed(Closed::Expired);
            return false;
        }
        if !lease.is_of(runtime.id()) {
            return false;
        }
        lease.discard();
        let Some(watch) = lease.watch().map(Arc::clone) else { return false };
        if watch.is_outdated() {
            self.stats.closed(Closed::Outdated);
            return false;
        }
        let check_timeout = self.settings.options.check_timeout;
        let may_have_rows = may_have_rows::<C>(&watch);
        let limit = if may_have_rows { check_timeout.min(ROWS_GRACE) } else { check_timeout };
        let limit = limit.min(left);
        let Some(connection) = lease.connection_mut() else { return false };
        if connection.is_known_dead() {
            self.stats.closed(Closed::Unanswered);
            return false;
        }
        let answer = timeout(limit, async {
            if !watch.has_doubtful_role() {
                return connection.batch_execute(CHECK).await.is_ok();
            }
            // Another one of the engine was refused a write. The answer tells that it is alive as well.
            let takes_writes = connection.accepts_writes().await.is_ok_and(|takes| takes);
            if takes_writes {
                watch.role_is_known();
            }
            takes_writes
        });
        let answered = answer.await.is_ok_and(|answered| answered);
        // The question was not the borrower's.
        watch.observed.session.forget_effects();
        if answered {
            watch.rows_are_read();
            lease.keep();
            lease.touch();
        } else {
            self.stats.closed(Closed::Unanswered);
            if let Some(cancel) = lease.cancel().filter(|_| may_have_rows) {
                // The server would go on sending rows.
                runtime.spawn(timeout(check_timeout, cancel));
            }
        }
        answered
    }

    /// Opens a connection and makes it ready to be lent.
    pub(super) async fn connect(&self, left: Duration) -> Result<Connected<C>, ConnectError> {
        let options = &self.settings.options;
        let limit = options.connect_timeout.min(left);
        let (timer, started) = (Timer::start(), Instant::now());
        let opening = self
            .open_within(&self.settings.url, options, limit)
            .instrument(self.stats.connect_span());
        let OpenedConnection { mut connection, observed, cancel } = opening.await?;
        self.stats.connected(timer, started.elapsed());
        self.keep_in_view(&observed);
        // Only now: what prepared the connection is not for others to undo.
        let watch = self.watch(&mut connection, observed);
        Ok(Connected { connection, watch, cancel })
    }

    /// Opens a connection for migrations, which write and take their time, past a pooler: in that schema, if there
    /// is one, and `None` if there should be one and is not.
    pub(crate) async fn connect_to_migrate(
        &self,
        schema: Option<&str>,
    ) -> Result<Option<C>, AcquireError> {
        if self.is_closed() {
            return Err(self.closed_error());
        }
        let options = EngineOptions {
            read_only: false,
            statement_timeout: None,
            pooler: Pooler::None,
            ..self.settings.options.clone()
        };
        let url = self.settings.url_to_migrate();
        let opened = async {
            let limit = options.connect_timeout;
            let mut opened = self.open_within(url, &options, limit).await?;
            let is_there = match schema {
                Some(schema) => self.enter_schema(&mut opened.connection, schema, false).await?,
                None => true,
            };
            Ok(is_there.then_some(opened.connection))
        };
        let opened = self.unless_closed(opened).await?;
        opened.map_err(|error| self.could_not_connect_to(url, error))
    }

    /// False if there is no such schema.
    async fn enter_schema(
        &self,
        connection: &mut C,
        schema: &str,
        is_from_another: bool,
    ) -> Result<bool, ConnectError> {
        let options = &self.settings.options;
        let entering = async {
            if is_from_another && !options.on_connect.is_empty() {
                // What they set comes before the schema, and after the reset.
                let reset = connection.batch_execute(C::FULL_RESET.unwrap_or(CHECK)).await;
                reset.map_err(|error| setup_error::<C>("the reset between tenants", error))?;
                run_on_connect(connection, &options.on_connect).await?;
            }
            let is_from_another = is_from_another && options.on_connect.is_empty();
            let entered = connection.enter_schema(schema, is_from_another).await;
            entered.map_err(|error| setup_error::<C>("SET search_path", error))
        };
        match timeout(options.check_timeout, entering).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::TimedOut { after: options.check_timeout }),
        }
    }

    /// Puts a connection that is about to be lent into a schema. `None` if there is none of that name.
    ///
    /// Whatever schema the last borrower has left it in, and by whatever means. A connection that was another
    /// tenant's is made as new, and forgets the statements that it has prepared: they are for the other one's
    /// tables.
    pub(crate) async fn prepare(
        mut checkout: Checkout<C>,
        schema: String,
    ) -> Result<Option<Checkout<C>>, AcquireError> {
        let engine = Arc::clone(checkout.engine());
        let is_there = if engine.settings.is_isolated {
            let is_there;
            (checkout, is_there) = Self::put_apart(checkout, schema).await?;
            is_there
        } else {
            engine.put_into(&mut checkout, &schema).await?
        };
        // It is watched anew, and may have been prepared by another task.
        if let Some(watch) = checkout.watch() {
            watch.is_held_by(Caller::current());
        }
        Ok(is_there.then_some(checkout))
    }

    pub(super) async fn put_into(
        &self,
        checkout: &mut Checkout<C>,
        schema: &str,
    ) -> Result<bool, AcquireError> {
        let before = checkout.lease_mut().and_then(|lease| lease.schema());
        let is_from_another = before.is_some_and(|before| before != schema);
        let connection = checkout.connection_mut();
        if is_from_another && self.settings.options.statement_cache {
            forget_statements(connection);
        }
        let entering = self.enter_schema(connection, schema, is_from_another);
        let entered = match self.unless_closed(entering).await {
            Ok(entered) => entered,
            Err(closed) => {
                // A statement that was cut short is not forgotten.
                checkout.discard();
                return Err(closed);
            }
        };
        if is_from_another {
            checkout.connection_mut().forget_received();
        }
        if let Some(lease) = checkout.lease_mut() {
            match &entered {
                // This was not the borrower.
                Ok(is_there) => {
                    if *is_there {
                        lease.set_schema(schema);
                    }
                    self.watch_anew(lease);
                }
                // A statement that was cut short is not forgotten.
                Err(_) => checkout.discard(),
            }
        }
        entered.map_err(|error| self.could_not_connect(error))
    }

    async fn open_within(
        &self,
        url: &DatabaseUrl,
        options: &EngineOptions,
        limit: Duration,
    ) -> Result<OpenedConnection<C>, ConnectError> {
        let deadline = Instant::now().checked_add(limit).unwrap_or_else(far_away);
        let ready = async {
            let url = match &self.settings.credentials {
                Some(source) => {
                    let asked = source.put_in(url).await;
                    &asked.map_err(ConnectError::Credentials)?
                }
                None => url,
            };
            let reach = ConnectContext { failed_hosts: &self.doubts.hosts, deadline };
            let mut opened = C::open(url, options, reach).await?;
            run_on_connect(&mut opened.connection, &options.on_connect).await?;
            let begins = opened.connection.is_autocommit_off().await;
            let begins = begins.map_err(|error| setup_error::<C>("SELECT @@autocommit", error))?;
            opened.observed.transaction.note_autocommit_off(begins);
            if !options.statement_cache {
                opened.connection.set_prepared_statement_cache_size(CacheSize::Disabled);
            }
            opened.observed.session.forget_effects();
            Ok(opened)
        };
        // A driver, and code of the program, may panic. That must not cost the caller more than an error does.
        match caught(timeout(limit, ready)).await {
            // Whoever gave up first, this is the time that there was.
            Ok(Err(_) | Ok(Err(ConnectError::TimedOut { .. }))) => {
                Err(ConnectError::TimedOut { after: limit })
            }
            Ok(Ok(result)) => result,
            Err(panicked) => Err(ConnectError::Other(panicked.into())),
        }
    }

    pub(super) fn could_not_connect(&self, error: ConnectError) -> AcquireError {
        self.could_not_connect_to(&self.settings.url, error)
    }

    fn could_not_connect_to(&self, url: &DatabaseUrl, error: ConnectError) -> AcquireError {
        if matches!(error, ConnectError::TimedOut { .. }) {
            self.stats.timed_out();
        }
        let source = Arc::new(error);
        self.stats.could_not_connect(&source, For::Caller);
        AcquireError::Connect { key: self.settings.key, url: url.to_string(), source }
    }

    /// Has a connection watched from now on.
    fn watch(&self, connection: &mut C, observed: Arc<Observed>) -> Arc<Watch> {
        self.watch_for(connection, observed, self.settings.options.log_slow_queries)
    }

    /// The same, where a statement is logged from the duration `slow` on.
    fn watch_for(
        &self,
        connection: &mut C,
        observed: Arc<Observed>,
        slow: Option<Duration>,
    ) -> Arc<Watch> {
        let watch = Arc::new(Watch::new(Arc::clone(&self.doubts), observed));
        connection.set_instrumentation(Watcher::new(
            Arc::clone(&watch),
            self.settings.key,
            slow,
            Judge {
                dialect: C::DIALECT,
                knows_transactions: C::KNOWS_TRANSACTIONS,
                is_fatal: C::is_fatal,
                is_to_write: !self.settings.options.read_only,
            },
        ));
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|watch| watch.strong_count() > 0);
        watched.push(Arc::downgrade(&watch));
        watch
    }

    /// Has the connection in a slot watched as if it had just been made.
    pub(super) fn watch_anew(&self, lease: &mut Lease<C>) {
        self.watch_again(lease, self.settings.options.log_slow_queries);
    }

    /// The same while the engine cleans it: `on_connect` may have a secret in it, which is not logged.
    pub(super) fn watch_cleaning(&self, lease: &mut Lease<C>) {
        self.watch_again(lease, None);
    }

    fn watch_again(&self, lease: &mut Lease<C>, slow: Option<Duration>) {
        let Some(observed) = lease.watch().map(|watch| Arc::clone(&watch.observed)) else { return };
        observed.session.forget_effects();
        if let Some(connection) = lease.connection_mut() {
            let watch = self.watch_for(connection, observed, slow);
            lease.set_watch(watch);
        }
    }

    /// `max_lifetime`, less a random part of at most 2.5 %, so that connections that were opened
    /// together do not all expire at once (HikariCP's rule).
    pub(super) fn lifetime(&self) -> Option<Duration> {
        let lifetime = self.settings.options.max_lifetime?;
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u8);
        let share = 0.025 * (random as f64 / u64::MAX as f64);
        Some(lifetime.mul_f64(1.0 - share))
    }
}

/// Whether there may be rows in the way that the last borrower has not read.
fn may_have_rows<C: Backend>(watch: &Watch) -> bool {
    C::LEAVES_UNREAD_ROWS && !watch.observed.reads_stream() && watch.may_have_rows()
}

/// For how long an answer is waited for that comes behind rows which nobody may have read: opening another
/// connection mostly takes less.
const ROWS_GRACE: Duration = Duration::from_millis(100);

/// Has Diesel prepare its statements anew.
pub(super) fn forget_statements<C: Backend>(connection: &mut C) {
    connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    connection.set_prepared_statement_cache_size(CacheSize::Unbounded);
}

/// A moment that no clock of this process reaches.
fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(60 * 60 * 24 * 365 * 30)
}

/// Why a connection that stands could not be prepared.
pub(super) fn setup_error<C: Backend>(
    statement: &str,
    error: diesel::result::Error,
) -> ConnectError {
    if C::is_fatal(&error) {
        return ConnectError::Unreachable(error.into());
    }
    ConnectError::Setup { statement: statement.to_owned(), source: error.into() }
}
