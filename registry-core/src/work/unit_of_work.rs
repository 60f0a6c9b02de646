//! The unit of work: the binds that it has touched, and their sessions.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::WorkError;
use super::participant::{BindParticipant, Verification};
use super::participants::{Participants, verify_open};
use super::scope_records::ScopeRecords;
use super::session_factory::SessionFactory;
use crate::backend::Pipelines;
use crate::bind::{Bind, Bound};
use crate::engine::{WriteRequest, WriterId};
use crate::session::Session;
use crate::settings::{BindKey, WorkOptions};

/// A place in the program's source.
pub(super) type CallSite = &'static Location<'static>;

/// One transaction over as many databases as it touches.
///
/// A new unit of work has no sessions. The first use of a bind acquires a session and begins a transaction on it; later
/// uses of the bind return the same session. `&mut work` is an executor: the tables of a query determine its bind.
///
/// [`commit`](Self::commit) and [`rollback`](Self::rollback) end the unit of work. Dropping it rolls back in the
/// background: a task of the current Tokio runtime sends the rollback to each database. Without a runtime, or if a
/// statement was cut short, the connection is closed instead. Such a drop is logged at the level `DEBUG`, because the
/// program has often forgotten the commit.
///
/// See [What is atomic and what is not](crate::work#what-is-atomic-and-what-is-not) for a commit to several databases.
///
/// ```
/// # use diesel::prelude::*;
/// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
/// # diesel::table! { users (id) { id -> Integer, } }
/// # diesel::table! { events (id) { id -> Integer, } }
/// # bind_tables!(db = "default", backend = Sqlite; users);
/// # bind_tables!(db = "analytics", backend = Sqlite; events);
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let registry = Registry::builder()
/// #     .bind("default", "sqlite::memory:").bind("analytics", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
/// # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
/// let mut work = registry.begin();
/// diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut work).await?;
/// diesel::insert_into(events::table).values(events::id.eq(1)).execute(&mut work).await?;
/// let committed = work.commit().await?;
/// assert_eq!(committed.keys, ["default", "analytics"]);
/// # Ok(())
/// # }
/// ```
#[must_use = "a unit of work that is dropped is rolled back"]
pub struct UnitOfWork {
    /// In the order of their first use. The first field, so that they are rolled back before the registry, of which
    /// this may be the last handle, is dropped.
    pub(super) participants: Participants,
    pub(super) sessions: SessionFactory,
    pub(super) options: WorkOptions,
    begun_at: CallSite,
    /// The call site that made the scope of this unit of work. `None` outside of a scope.
    scope_made_at: Option<CallSite>,
    acquiring: AcquiringFlag,
    /// What is kept of the statements of the scope of this unit of work.
    scope_records: Option<ScopeRecords>,
    pub(super) state: WorkState,
    /// Identifies this unit of work where writers take turns.
    pub(super) writer: WriterId,
    /// Whether a session could not be acquired, or a transaction not begun, for a transient reason.
    has_failed_transiently: bool,
}

/// The state of a unit of work before its commit or rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkState {
    /// The unit of work accepts statements. `savepoints` are open, one in the other.
    Open { savepoints: u32 },
    /// Setting or ending savepoints has failed or was interrupted: the unit of work accepts only a rollback.
    Poisoned,
}

impl WorkState {
    /// Whether a commit would cover everything. A savepoint is still open at the commit if its future was dropped or has
    /// panicked.
    pub(super) fn is_committable(self) -> bool {
        self == Self::Open { savepoints: 0 }
    }
}

impl UnitOfWork {
    pub(super) fn new(sessions: SessionFactory, options: WorkOptions, begun_at: CallSite) -> Self {
        Self {
            sessions,
            options,
            begun_at,
            scope_made_at: None,
            acquiring: AcquiringFlag::default(),
            scope_records: None,
            participants: Participants::default(),
            state: WorkState::Open { savepoints: 0 },
            writer: WriterId::new(),
            has_failed_transiently: false,
        }
    }

    /// Makes this the unit of work of a scope. `made_at` is the call site that made the scope; the scope reads
    /// `acquiring`, identifies its units of work by `writer`, and keeps `records`.
    pub(super) fn in_scope(
        mut self,
        made_at: CallSite,
        acquiring: AcquiringFlag,
        writer: WriterId,
        records: ScopeRecords,
    ) -> Self {
        self.writer = writer;
        self.scope_made_at = Some(made_at);
        self.acquiring = acquiring;
        self.scope_records = Some(records);
        self
    }

    /// The session of the model, table or query type `M`, in a transaction. The first use of the bind acquires the
    /// session and begins the transaction.
    ///
    /// The first use waits for a connection for `acquire_timeout` (30 s by default) at the most, and for the round trips
    /// that begin the transaction. Later uses ask the server only if a statement since the previous use may have ended
    /// the transaction. Dropping the future leaves the unit of work as it was before the call, unless a question to the
    /// server was in progress: later uses of this bind then fail with [`WorkError::CutShort`].
    ///
    /// # Errors
    ///
    /// [`WorkError`] if no session can be acquired, if no transaction can be begun, or if the transaction on this bind
    /// has ended. Transactions on other binds are unchanged.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
    /// let mut work = registry.begin();
    /// let session = work.session_for::<users::table>().await?;
    /// diesel::insert_into(users::table).values(users::id.eq(1)).execute(session).await?;
    /// work.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn session_for<M: Bound>(&mut self) -> Result<&mut Session<M::Bind>, WorkError> {
        self.session::<M::Bind>().await
    }

    /// The session of the bind `B`, in a transaction: see [`session_for`](Self::session_for), which takes a model
    /// instead of a bind.
    ///
    /// # Errors
    ///
    /// The errors of [`session_for`](Self::session_for).
    ///
    /// ```
    /// use registry_core::{Error, Registry, binds};
    ///
    /// binds! {
    ///     pub Analytics: Sqlite = "analytics";
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let mut work = registry.begin();
    /// assert_eq!(work.session::<Analytics>().await?.key(), "analytics");
    /// work.rollback().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn session<B: Bind>(&mut self) -> Result<&mut Session<B>, WorkError> {
        let index = self.touch::<B>().await?;
        self.participants.session::<B>(index)
    }

    /// The session of the bind `B`, in a transaction, for several queries at once: on PostgreSQL, queries on a `&Session` are
    /// sent as one pipeline. Otherwise as [`session`](Self::session).
    ///
    /// The session is shared until the reference is dropped. The unit of work commits nothing if one of the queries fails,
    /// even if the program goes on. A query whose future is dropped is cut short: later uses of this bind then fail
    /// with [`WorkError::CutShort`].
    ///
    /// # Errors
    ///
    /// The errors of [`session_for`](Self::session_for).
    ///
    /// ```no_run,standalone_crate
    /// use diesel::prelude::*;
    /// use registry_core::{Bound, Error, Registry, RunQueryDsl, bind_tables};
    ///
    /// diesel::table! { users (id) { id -> Integer, } }
    /// diesel::table! { posts (id) { id -> Integer, } }
    /// # bind_tables!(db = "main", backend = Postgres; users, posts);
    /// # /*
    /// bind_tables!(Main; users, posts);
    /// # */
    /// # type Main = <users::table as Bound>::Bind;
    ///
    /// # async fn count(registry: &Registry) -> Result<(), Error> {
    /// let mut work = registry.begin();
    /// let session = work.share::<Main>().await?;
    /// let users = users::table.count().get_result::<i64>(session);
    /// let posts = posts::table.count().get_result::<i64>(session);
    /// let (users, posts) = tokio::try_join!(users, posts)?;
    /// # let _ = (users, posts);
    /// work.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn share<B>(&mut self) -> Result<&Session<B>, WorkError>
    where
        B: Bind<Connection: Pipelines>,
    {
        self.session::<B>().await.map(|session| &*session)
    }

    /// The keys of the binds that this unit of work has touched, in the order of their first use.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{Error, Registry, bind_tables};
    /// # diesel::table! { users (id) { id -> Integer, } }
    /// # bind_tables!(db = "default", backend = Sqlite; users);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let mut work = registry.begin();
    /// assert_eq!(work.touched().count(), 0);
    /// work.session_for::<users::table>().await?;
    /// assert!(work.touched().eq(["default"]));
    /// # work.rollback().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn touched(&self) -> impl Iterator<Item = BindKey> + '_ {
        self.participants.iter().map(|participant| participant.key())
    }

    /// Ensures that the bind `B` has an open transaction, and returns the index of its participant.
    pub(super) async fn touch<B: Bind>(&mut self) -> Result<usize, WorkError> {
        let touched = self.try_touch::<B>().await;
        if let Err(error) = &touched {
            self.has_failed_transiently |= error.is_transient();
        }
        touched
    }

    async fn try_touch<B: Bind>(&mut self) -> Result<usize, WorkError> {
        let savepoints = self.open_savepoints()?;
        if let Some(index) = self.participants.position(B::KEY) {
            let participant = &mut *self.participants[index];
            verify_open(participant, Verification::KeepSavepoints).await?;
            return Ok(index);
        }
        self.options.check_keys(self.sessions.registry().bind_keys())?;
        let participant = match self.begin_on::<B>(savepoints).await {
            // The connection was lost since its last use, and nothing of the program was run on it. The engine checks the
            // next one before it lends it.
            Err(error) if error.is_connection_lost() => self.begin_on::<B>(savepoints).await?,
            begun => begun?,
        };
        self.participants.push(Box::new(participant));
        Ok(self.participants.len() - 1)
    }

    async fn begin_on<B: Bind>(
        &mut self,
        savepoints: u32,
    ) -> Result<BindParticipant<B>, WorkError> {
        let acquiring = self.acquiring.set();
        let options = self.options.for_key(B::KEY);
        let may_write = !options.is_read_only();
        let write =
            may_write.then_some(WriteRequest { unit: Some(self.writer), place: self.begun_at });
        let acquire = self.sessions.session::<B>().for_write(write);
        // The task that calls may be in another scope, or in none.
        let session = match &self.scope_records {
            Some(records) => records.enter(acquire).await?,
            None => acquire.await?,
        };
        drop(acquiring);
        BindParticipant::begin(session, options, savepoints).await
    }

    /// The number of open savepoints, one in the other.
    ///
    /// # Errors
    ///
    /// If the unit of work is poisoned: the error of the first participant whose transaction is known to have ended, or
    /// else [`WorkError::Abandoned`].
    pub(super) fn open_savepoints(&self) -> Result<u32, WorkError> {
        match self.state {
            WorkState::Open { savepoints } => Ok(savepoints),
            WorkState::Poisoned => {
                let ended = self.participants.first_end();
                Err(ended.map_or(WorkError::Abandoned, |(_, error)| error))
            }
        }
    }

    /// Whether an acquisition, a begin or a statement has failed for a transient reason, so that the same work may succeed
    /// in another run.
    pub(super) async fn has_failed_transiently(&mut self) -> bool {
        for participant in self.participants.iter_mut() {
            self.has_failed_transiently |= participant.has_failed_transiently().await;
        }
        self.has_failed_transiently
    }
}

impl Drop for UnitOfWork {
    fn drop(&mut self) {
        // A commit or a rollback has taken the participants out.
        if !self.participants.is_empty() {
            let (touched, began) = (&self.participants, self.begun_at);
            let scope = self.scope_made_at.map(tracing::field::display);
            tracing::debug!(
                target: "registry",
                %touched,
                %began,
                scope,
                "a unit of work was dropped without a commit or a rollback, and is rolled back"
            );
        }
    }
}

impl fmt::Debug for UnitOfWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let touched: Vec<BindKey> = self.touched().collect();
        f.debug_struct("UnitOfWork").field("touched", &touched).finish_non_exhaustive()
    }
}

/// Whether a unit of work is acquiring a session. Callers that wait for the unit of work in its scope read it.
#[derive(Clone, Default)]
pub(super) struct AcquiringFlag(Arc<AtomicBool>);

impl AcquiringFlag {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the flag until the guard is dropped.
    fn set(&self) -> AcquiringGuard<'_> {
        self.0.store(true, Ordering::Relaxed);
        AcquiringGuard(self)
    }
}

struct AcquiringGuard<'a>(&'a AcquiringFlag);

impl Drop for AcquiringGuard<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}
