//! Opening a connection.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::CacheSize;
use diesel_async::TransactionManager;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::error::AcquireError;
use super::observe::instrumentation::WatchInstrumentation;
use super::observe::meters::Timer;
use super::observe::statement_errors::BackendRules;
use super::observe::stats::ConnectPurpose;
use super::observe::watch::ConnectionWatch;
use super::pool::Lease;
use super::setup::{has_setup, set_up, setup_error};
use super::slot::WatchedConnection;
use super::typed::TypedEngine;
use crate::backend::observed::{Observed, TransactionStatus};
use crate::backend::{Backend, ConnectContext, ConnectError, OpenedConnection, transaction_depth};
use crate::cause::DriverError;
use crate::panicked::caught;
use crate::settings::{Connector, DatabaseUrl, EngineOptions, Pooler, Role};

impl<C: Backend> TypedEngine<C> {
    /// Opens a connection and makes it ready to be lent, within `connect_timeout` and `remaining`.
    pub(super) async fn connect(
        &self,
        remaining: Duration,
    ) -> Result<WatchedConnection<C>, ConnectError> {
        let options = &self.settings.options;
        let limit = options.connect_timeout.min(remaining);
        let (timer, started) = (Timer::start(), Instant::now());
        let opening = self
            .open_within(&self.settings.url, options, limit)
            .instrument(self.stats.connect_span());
        let OpenedConnection { mut connection, observed, cancel } = opening.await?;
        self.stats.note_connected(timer, started.elapsed());
        self.track_stream(&observed);
        // The watch begins only now, because a reset must not undo the setup of the connection.
        let watch = self.watch(&mut connection, observed);
        Ok(WatchedConnection { connection, watch, cancel })
    }

    /// Opens a connection for migrations: it accepts writes, has no `statement_timeout`, and does not go through a pooler.
    /// With `schema`, the connection is switched to that schema; `None` if the schema does not exist.
    pub(crate) async fn connect_to_migrate(
        &self,
        schema: Option<&str>,
    ) -> Result<Option<OpenedConnection<C>>, AcquireError> {
        let options = EngineOptions {
            read_only: false,
            statement_timeout: None,
            pooler: Pooler::None,
            ..self.settings.options.clone()
        };
        self.connect_outside_of_pool(self.settings.url_to_migrate(), &options, schema).await
    }

    /// Opens a connection to read which migrations were run: it refuses writes. It goes to the server that migrations are
    /// run on, and through the pooler only if that is the only way to the server.
    pub(crate) async fn connect_to_read_migrations(
        &self,
        schema: Option<&str>,
    ) -> Result<Option<OpenedConnection<C>>, AcquireError> {
        let pooler = match self.settings.migrate_url {
            Some(_) => Pooler::None,
            None => self.settings.options.pooler,
        };
        let options = EngineOptions { read_only: true, pooler, ..self.settings.options.clone() };
        let url = C::url_without_creation(self.settings.url_to_migrate());
        self.connect_outside_of_pool(&url, &options, schema).await
    }

    async fn connect_outside_of_pool(
        &self,
        url: &DatabaseUrl,
        options: &EngineOptions,
        schema: Option<&str>,
    ) -> Result<Option<OpenedConnection<C>>, AcquireError> {
        if self.is_closed() {
            return Err(self.closed_error());
        }
        let opened = async {
            let limit = options.connect_timeout;
            let mut opened = self.open_within(url, options, limit).await?;
            let is_there = match schema {
                Some(schema) => self.enter_schema_on(&mut opened.connection, schema, false).await?,
                None => true,
            };
            Ok(is_there.then_some(opened))
        };
        let opened = self.unless_closed(opened).await?;
        opened.map_err(|error| self.could_not_connect_to(url, error))
    }

    /// Opens a connection, and sets it up with credentials, `on_connect` and the options, within `limit`.
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
                    let with_credentials = source.url_with_credentials(url).await;
                    &with_credentials.map_err(ConnectError::Credentials)?
                }
                None => url,
            };
            let context = ConnectContext {
                failed_hosts: &self.invalidations.hosts,
                deadline,
                endpoint: self.settings.endpoint.as_ref(),
                requires_primary: self.settings.requires_primary,
            };
            let mut opened = match &self.settings.connector {
                Some(connector) => open_by_program::<C>(connector, url).await?,
                // Boxed, as the rest: the futures of the drivers are large, and those around them would be as large.
                None => Box::pin(C::open(url, options, context)).await?,
            };
            set_up(&mut opened.connection, &self.settings, options).await?;
            let autocommit_off = opened.connection.is_autocommit_off().await;
            let autocommit_off =
                autocommit_off.map_err(|error| setup_error::<C>("SELECT @@autocommit", error))?;
            opened.observed.transaction.note_autocommit_off(autocommit_off);
            if has_setup(&self.settings) && !autocommit_off {
                refuse_open_transaction(&mut opened).await?;
            }
            if !options.statement_cache {
                opened.connection.set_prepared_statement_cache_size(CacheSize::Disabled);
            }
            if self.settings.role == Role::Replica {
                // Whatever a read knows of a server's position is of a server of the same identity.
                // A server that does not tell is asked again by each read, which then goes elsewhere.
                if let Ok(state) = Box::pin(opened.connection.server_state()).await {
                    opened.observed.note_server_identity(state.identity);
                }
            }
            opened.observed.session.forget_effects();
            Ok(opened)
        };
        // The driver may panic, and so may the program's credentials and its connector. The caller gets an error.
        match caught(timeout(limit, Box::pin(ready))).await {
            // Several time-outs run at once, and `limit` contains them all.
            Ok(Err(_) | Ok(Err(ConnectError::TimedOut { .. }))) => {
                Err(ConnectError::TimedOut { after: limit })
            }
            Ok(Ok(result)) => result,
            Err(panicked) => Err(ConnectError::Other(panicked.into())),
        }
    }

    /// How many connections of this engine were lost.
    pub(super) fn loss_count(&self) -> u32 {
        self.invalidations.loss_count()
    }

    pub(super) fn could_not_connect(&self, error: ConnectError) -> AcquireError {
        self.could_not_connect_to(&self.settings.url, error)
    }

    fn could_not_connect_to(&self, url: &DatabaseUrl, error: ConnectError) -> AcquireError {
        if matches!(error, ConnectError::TimedOut { .. }) {
            self.stats.note_timed_out();
        }
        let source = Arc::new(error);
        self.stats.note_connect_failure(&source, ConnectPurpose::Caller);
        AcquireError::Connect { key: self.settings.key, url: url.to_string(), source }
    }

    /// Watches a connection from now on, see [`ConnectionWatch`].
    pub(super) fn watch(
        &self,
        connection: &mut C,
        observed: Arc<Observed>,
    ) -> Arc<ConnectionWatch> {
        let watch = Arc::new(ConnectionWatch::new(Arc::clone(&self.invalidations), observed));
        connection.set_instrumentation(WatchInstrumentation::new(
            Arc::clone(&watch),
            Arc::clone(&self.settings),
            BackendRules {
                dialect: C::DIALECT,
                knows_transactions: C::KNOWS_TRANSACTIONS,
                is_fatal: C::is_fatal,
                is_stale_type: C::is_stale_type,
                expects_writes: !self.settings.options.read_only,
            },
        ));
        self.holders.add(&watch);
        watch
    }

    /// Replaces the watch of a slot's connection by a new one. The previous observations are forgotten. The connection counts
    /// as lent to nobody, so no statement is told as somebody's query: `on_connect` may contain a secret.
    pub(super) fn restart_watch(&self, lease: &mut Lease<C>) {
        let Some(observed) = lease.watch().map(|watch| Arc::clone(&watch.observed)) else { return };
        observed.session.forget_effects();
        if let Some(connection) = lease.connection_mut() {
            let watch = self.watch(connection, observed);
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

/// A deadline in 30 years, for a limit that `Instant` cannot represent.
fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(60 * 60 * 24 * 365 * 30)
}

/// Opens a connection by the program's own way to connect.
async fn open_by_program<C: Backend>(
    connector: &Connector,
    url: &DatabaseUrl,
) -> Result<OpenedConnection<C>, ConnectError> {
    let Some(connecting) = connector.connect::<C>(url) else {
        // The settings compare the backends, and each backend has one connection type.
        let message = "the program's own way to connect opens another type of connection";
        return Err(ConnectError::Connector(message.into()));
    };
    match connecting.await {
        Ok(mut connection) => {
            refuse_transaction(&mut connection)?;
            Ok(connection.adopt())
        }
        Err(error) => Err(classify_program_error::<C>(error)),
    }
}

/// An error if Diesel knows that a transaction is open on the connection that the program has opened. Every statement of
/// its borrowers would be in that transaction, which nobody commits.
fn refuse_transaction<C: Backend>(connection: &mut C) -> Result<(), ConnectError> {
    let status = C::TransactionManager::transaction_manager_status_mut(connection);
    match transaction_depth(status) {
        Ok(0) => Ok(()),
        _ => Err(ConnectError::Connector(
            "the connection that it returned is in a transaction, which nobody would commit (for tests that roll \
             back, see `Registry::test_isolation`)"
                .into(),
        )),
    }
}

/// An error if a statement of the program, in `on_connect` or in its own way to connect, has begun a transaction and left it
/// open.
async fn refuse_open_transaction<C: Backend>(
    opened: &mut OpenedConnection<C>,
) -> Result<(), ConnectError> {
    let is_open = match opened.observed.transaction.status() {
        TransactionStatus::Idle => false,
        TransactionStatus::Open => true,
        TransactionStatus::Unknown => {
            let answer = opened.connection.has_open_transaction().await;
            answer.map_err(|error| setup_error::<C>("whether a transaction is open", error))?
        }
    };
    if !is_open {
        return Ok(());
    }
    Err(ConnectError::Other(
        "`on_connect`, or the program's own way to connect, has begun a transaction and left it open: every statement \
         would be in it, and nobody would commit it"
            .into(),
    ))
}

/// Gives the program's error the class that the same error of the engine's own would have, as far as its type tells it.
fn classify_program_error<C: Backend>(error: DriverError) -> ConnectError {
    let error = match error.downcast::<ConnectError>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    match C::classify_connect_error(error) {
        Ok(error) => error,
        Err(error) if error.is::<std::io::Error>() => ConnectError::Unreachable(error),
        Err(error) => ConnectError::Connector(error),
    }
}
