//! The ledger of a run, in a bind of the user's choice, and the lease that keeps two runs apart.
//!
//! Both are on one connection outside of the pool, which goes to the `migrate_url`: the lease lasts as long as the
//! connection, and the account that migrates owns the tables.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use diesel::QueryResult;
use diesel_async::SimpleAsyncConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};

use crate::backend::driver::Driver;
use crate::backend::ledger::{LeaseHolder, LedgerRow, LedgerScope, LedgerTables, MAX_HOLDER};
use crate::backend::migrate::MigrationLock;
use crate::bind::{self, Bind};
use crate::cause::DriverError;
use crate::engine::{AnyEngine, TypedEngine, WriteRequest, WriteTurn};
use crate::registry::handle::Registry;
use crate::registry::migrate::{MigrationConnection, Purpose, connect};
use crate::registry::route::Route;
use crate::settings::BindKey;

/// A bind in which a ledger is kept, without its type.
pub(crate) trait LedgerBind: fmt::Debug + Send + Sync {
    fn key(&self) -> BindKey;

    /// Connects to the ledger. Nothing is asked or created.
    fn open(
        &self,
        registry: Registry,
        place: &'static Location<'static>,
    ) -> BoxFuture<'static, Result<Box<dyn Ledger>, DriverError>>;
}

/// The ledger in the bind `L`.
pub(crate) fn ledger_in<L: Bind>() -> Arc<dyn LedgerBind> {
    Arc::new(LedgerOf::<L>(PhantomData))
}

struct LedgerOf<L>(PhantomData<fn() -> L>);

impl<L: Bind> fmt::Debug for LedgerOf<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LedgerOf").field(&L::KEY).finish()
    }
}

impl<L: Bind> LedgerBind for LedgerOf<L> {
    fn key(&self) -> BindKey {
        bind::key_of::<L>()
    }

    fn open(
        &self,
        registry: Registry,
        place: &'static Location<'static>,
    ) -> BoxFuture<'static, Result<Box<dyn Ledger>, DriverError>> {
        async move {
            let ledger: Box<dyn Ledger> = Box::new(OpenLedger::<L>::open(registry, place).await?);
            Ok(ledger)
        }
        .boxed()
    }
}

/// An open ledger. After an error, or a future that was dropped, its connection may be unusable.
pub(crate) trait Ledger: Send {
    /// How long a caller waits for a lease, if it does not say otherwise.
    fn acquire_timeout(&self) -> Duration;

    /// Those among `tenants` that have the migrations already. One query.
    fn find_done<'a>(
        &'a mut self,
        scope: &'a LedgerScope,
        tenants: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<String>, DriverError>>;

    fn write_rows<'a>(
        &'a mut self,
        scope: &'a LedgerScope,
        rows: &'a [LedgerRow],
    ) -> BoxFuture<'a, Result<(), DriverError>>;

    /// Removes the row of a tenant. Succeeds if there is no ledger yet.
    #[cfg(feature = "cli")]
    fn forget<'a>(
        &'a mut self,
        bind: BindKey,
        tenant: &'a str,
    ) -> BoxFuture<'a, Result<(), DriverError>>;

    /// Takes the lease for the bind, if it is free. Creates the tables if one of them may be missing: if the caller says
    /// so, or if the holder cannot be named.
    fn take_lease(
        &mut self,
        bind: BindKey,
        may_lack_tables: bool,
    ) -> BoxFuture<'_, Result<bool, DriverError>>;

    /// Whether this connection still has the lease.
    fn has_lease(&mut self, bind: BindKey) -> BoxFuture<'_, Result<bool, DriverError>>;

    /// Who has the lease, by its own words.
    fn holder(&mut self, bind: BindKey) -> BoxFuture<'_, Option<LeaseHolder>>;

    /// Gives the lease back.
    fn release(self: Box<Self>, bind: BindKey) -> BoxFuture<'static, ()>;
}

struct OpenLedger<L: Bind> {
    registry: Registry,
    engine: Arc<TypedEngine<L::Connection>>,
    /// `None` for an in-memory database, which has one connection: it is checked out for each operation.
    connection: Option<MigrationConnection<L::Connection>>,
    write: WriteRequest,
    lease: Option<Lease>,
}

struct Lease {
    _lock: MigrationLock,
    _memory: Option<MemoryLease>,
}

/// The connection during one operation, and the turn among the writers of a SQLite file.
struct Connected<'a, L: Bind> {
    connection: Connection<'a, L>,
    _turn: Option<WriteTurn>,
}

enum Connection<'a, L: Bind> {
    Dedicated(&'a mut MigrationConnection<L::Connection>),
    CheckedOut(MigrationConnection<L::Connection>),
}

impl<L: Bind> Connected<'_, L> {
    fn connection(&mut self) -> &mut L::Connection {
        match &mut self.connection {
            Connection::Dedicated(connection) => connection.connection(),
            Connection::CheckedOut(connection) => connection.connection(),
        }
    }
}

impl<L: Bind> OpenLedger<L> {
    async fn open(
        registry: Registry,
        place: &'static Location<'static>,
    ) -> Result<Self, DriverError> {
        let (engine, connection) = connect::<L>(&registry, Route::Bind, Purpose::Change).await?;
        let connection = Some(connection).filter(|_| !engine.settings().url.is_memory());
        let write = WriteRequest { unit: None, place };
        Ok(Self { registry, engine, connection, write, lease: None })
    }

    async fn connected(&mut self, writes: bool) -> Result<Connected<'_, L>, DriverError> {
        let started = Instant::now();
        let write = writes.then_some(self.write);
        let _turn = self.engine.wait_for_turn(write, started, None).await?;
        let connection = match &mut self.connection {
            Some(connection) => Connection::Dedicated(connection),
            None => {
                let (_, connection) =
                    connect::<L>(&self.registry, Route::Bind, Purpose::Change).await?;
                Connection::CheckedOut(connection)
            }
        };
        Ok(Connected { connection, _turn })
    }

    /// An operation ends after that time, because the answer of a server that is gone may never come.
    async fn within<T>(
        limit: Duration,
        operation: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        let answered = timeout(limit, operation).await;
        answered.unwrap_or_else(|_| {
            Err(format!("no answer within {}", humantime::format_duration(limit)).into())
        })
    }

    /// The name of this process as the holder, with the tables created if they are missing.
    async fn name_holder(
        connection: &mut L::Connection,
        bind: BindKey,
        may_lack_tables: bool,
    ) -> QueryResult<()> {
        let holder = this_process();
        if !may_lack_tables && connection.set_lease_holder(&bind, Some(&holder)).await.is_ok() {
            return Ok(());
        }
        // Repeated, because PostgreSQL reports an error if another connection creates the table at the same time.
        let mut created = connection.create_ledger().await;
        if created.is_err() {
            created = connection.create_ledger().await;
        }
        // The account may have no right to create tables, and the tables exist.
        let named = connection.set_lease_holder(&bind, Some(&holder)).await;
        named.map_err(|error| created.err().unwrap_or(error))
    }
}

impl<L: Bind> Ledger for OpenLedger<L> {
    fn acquire_timeout(&self) -> Duration {
        self.engine.settings().options.acquire_timeout
    }

    fn find_done<'a>(
        &'a mut self,
        scope: &'a LedgerScope,
        tenants: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<Vec<String>, DriverError>> {
        let limit = self.acquire_timeout();
        let found = async move {
            Ok(self.connected(false).await?.connection().find_done(scope, tenants).await?)
        };
        Self::within(limit, found).boxed()
    }

    fn write_rows<'a>(
        &'a mut self,
        scope: &'a LedgerScope,
        rows: &'a [LedgerRow],
    ) -> BoxFuture<'a, Result<(), DriverError>> {
        let limit = self.acquire_timeout();
        let written = async move {
            Ok(self.connected(true).await?.connection().write_rows(scope, rows).await?)
        };
        Self::within(limit, written).boxed()
    }

    #[cfg(feature = "cli")]
    fn forget<'a>(
        &'a mut self,
        bind: BindKey,
        tenant: &'a str,
    ) -> BoxFuture<'a, Result<(), DriverError>> {
        let limit = self.acquire_timeout();
        let removed = async move {
            let mut connected = self.connected(true).await?;
            let connection = connected.connection();
            let Err(error) = connection.remove_row(&bind, tenant).await else { return Ok(()) };
            // The tables may be missing. If they can be created, they were, and are empty now.
            match connection.create_ledger().await {
                Ok(()) => Ok(connection.remove_row(&bind, tenant).await?),
                Err(_) => Err(error.into()),
            }
        };
        Self::within(limit, removed).boxed()
    }

    fn take_lease(
        &mut self,
        bind: BindKey,
        may_lack_tables: bool,
    ) -> BoxFuture<'_, Result<bool, DriverError>> {
        let limit = self.acquire_timeout();
        let taken = async move {
            let engine = Arc::clone(&self.engine);
            let url = engine.settings().url_to_migrate();
            let memory = match url.is_memory() {
                true => match MemoryLease::take(Arc::as_ptr(&engine).addr(), bind) {
                    None => return Ok(false),
                    taken => taken,
                },
                false => None,
            };
            let mut connected = self.connected(true).await?;
            let connection = connected.connection();
            let Some(lock) = connection.take_lease(url, &bind).await? else { return Ok(false) };
            Self::name_holder(connection, bind, may_lack_tables).await?;
            drop(connected);
            self.lease = Some(Lease { _lock: lock, _memory: memory });
            Ok(true)
        };
        Self::within(limit, taken).boxed()
    }

    fn has_lease(&mut self, bind: BindKey) -> BoxFuture<'_, Result<bool, DriverError>> {
        let limit = self.acquire_timeout();
        let has = async move {
            Ok(self.lease.is_some()
                && self.connected(false).await?.connection().has_lease(&bind).await?)
        };
        Self::within(limit, has).boxed()
    }

    fn holder(&mut self, bind: BindKey) -> BoxFuture<'_, Option<LeaseHolder>> {
        let limit = self.acquire_timeout();
        let found =
            async move { Ok(self.connected(false).await?.connection().lease_holder(&bind).await?) };
        Self::within(limit, found).map(|found| found.ok().flatten()).boxed()
    }

    fn release(mut self: Box<Self>, bind: BindKey) -> BoxFuture<'static, ()> {
        let limit = self.acquire_timeout();
        let released = async move {
            let mut connected = self.connected(true).await?;
            let connection = connected.connection();
            connection.set_lease_holder(&bind, None).await?;
            // The server would notice the end of the connection only after a delay.
            if let Some(statement) = L::Connection::RELEASE_LOCKS
                && matches!(connected.connection, Connection::Dedicated(_))
            {
                connected.connection().batch_execute(statement).await?;
            }
            Ok(())
        };
        // An error changes nothing: the lease ends with the connection, and the name of the holder is replaced by the
        // next one.
        Self::within(limit, released).map(drop).boxed()
    }
}

/// This process as the holder of a lease.
fn this_process() -> LeaseHolder {
    let host = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
        .or_else(|| std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok());
    let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty());
    let host: String = host.unwrap_or("an unnamed host").chars().take(MAX_HOLDER - 30).collect();
    let name = format!("process {} on {host}", std::process::id());
    LeaseHolder { name, since: now() }
}

/// The time in UTC, as the tables have it.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The lease in an in-memory database, which exists in this process alone: the engine and the key of the bind.
struct MemoryLease(usize, BindKey);

static MEMORY_LEASES: Mutex<Vec<(usize, BindKey)>> = Mutex::new(Vec::new());

impl MemoryLease {
    fn take(engine: usize, bind: BindKey) -> Option<Self> {
        let mut leases = memory_leases();
        if leases.contains(&(engine, bind)) {
            return None;
        }
        leases.push((engine, bind));
        Some(Self(engine, bind))
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        memory_leases().retain(|lease| *lease != (self.0, self.1));
    }
}

fn memory_leases() -> MutexGuard<'static, Vec<(usize, BindKey)>> {
    MEMORY_LEASES.lock().unwrap_or_else(PoisonError::into_inner)
}
