//! One type for every executor of a bind.

use std::fmt;

use super::session::checked_key;
use super::{Executor, Lender, QueryPlace};
use crate::backend::Pipelines;
use crate::bind::Bind;
use crate::engine::Checkout;
use crate::error::Error;
use crate::query::routing::{AllTablesIn, FindsBindOnSession, Routed};
use crate::registry::{Reader, Registry, Tenant};
use crate::session::{ReadSession, Session};
use crate::work::{CurrentWork, UnitOfWork};

pub(in crate::query) mod connection;
mod lease;
mod save_changes;
mod shared;

use connection::AnyConnection;
use lease::{AnyLease, AnyLeasing};
use shared::SharedCheckout;

/// Whatever runs queries of the bind `B`: a registry, a tenant, a session or a unit of work.
///
/// It is one type, so helper functions, repositories and trait objects can take it. Make one with `into()`:
///
/// | from | a query runs | row locks (`for_update()`) |
/// |---|---|---|
/// | `&Registry`, `&Tenant` | on a session that is acquired for it and returned after it | refused when the query is run |
/// | `&mut Session<B>` | on this session, in its transaction if there is one | kept |
/// | `&Session<B>`, on PostgreSQL | the same, beside other queries on the session | kept |
/// | `&mut UnitOfWork`, `&mut CurrentWork` | in the transaction of the unit of work | kept |
/// | `&Reader`, `&mut ReadSession<B>`, and on PostgreSQL `&ReadSession<B>` | as on these, and only if it reads | refused when the query is run |
///
/// The executors are `&mut on` where `on` is an `AnyExecutor`, `on` where it is a `&mut AnyExecutor`, and
/// [`on.reborrow()`](Self::reborrow). They run the queries of `B` and, as the bind is known, queries without a table. Pass
/// `&mut *on` to use a `&mut AnyExecutor` again afterwards, as with sessions.
///
/// The error is [`Error`], also on a session. Everything else is as on the executor that it was made from: what
/// dropping the future does, the savepoints and the detection of deadlocks of a unit of work, the second try after a
/// stale plan and the warnings of a registry.
///
/// The compiler cannot know whether the executor is a registry. So a query with a locking clause compiles, and fails
/// when it is run on a registry or a tenant, where the lock would be released when the call returns; nothing is sent.
/// Nor can it know whether the executor is a reader. A query that writes, that locks rows, or that is SQL text which may do
/// so, fails there when it is run, and nothing is sent.
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{AnyExecutor, BindDsl, Error, Registry, RunQueryDsl, bind_tables, binds};
///
/// diesel::table! { orders (id) { id -> Integer, customer -> Integer, } }
/// binds! { Shop: Sqlite = "default"; }
/// bind_tables!(Shop; orders);
///
/// async fn orders_of(on: &mut AnyExecutor<'_, Shop>, customer: i32) -> Result<Vec<i32>, Error> {
///     orders::table.filter(orders::customer.eq(customer)).select(orders::id).load(on).await
/// }
///
/// async fn order(on: &mut AnyExecutor<'_, Shop>, id: i32, customer: i32) -> Result<usize, Error> {
///     let row = (orders::id.eq(id), orders::customer.eq(customer));
///     diesel::insert_into(orders::table).values(row).execute(&mut *on).await?;
///     Ok(orders_of(on, customer).await?.len())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL)";
/// # diesel::sql_query(create).bound_to::<Shop>().execute(&registry).await?;
/// assert_eq!(order(&mut (&registry).into(), 1, 7).await?, 1);
///
/// let mut session = registry.session::<Shop>().await?;
/// assert_eq!(orders_of(&mut (&mut session).into(), 7).await?, [1]);
/// drop(session);
///
/// let mut work = registry.begin();
/// assert_eq!(order(&mut (&mut work).into(), 2, 7).await?, 2);
/// work.rollback().await?;
/// assert_eq!(orders_of(&mut (&registry).into(), 7).await?, [1]);
/// # Ok(())
/// # }
/// ```
///
/// A function can also make the executor itself, so that its callers pass theirs as they are:
///
/// ```
/// # use diesel::prelude::*;
/// # use registry_core::{AnyExecutor, BindDsl, Error, Registry, RunQueryDsl, bind_tables, binds};
/// # diesel::table! { orders (id) { id -> Integer, } }
/// # binds! { Shop: Sqlite = "default"; }
/// # bind_tables!(Shop; orders);
/// async fn orders(on: impl Into<AnyExecutor<'_, Shop>>) -> Result<i64, Error> {
///     orders::table.count().get_result(on.into()).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<Shop>().execute(&registry).await?;
/// assert_eq!(orders(&registry).await?, 0);
/// assert_eq!(orders(&mut registry.session::<Shop>().await?).await?, 0);
/// # Ok(())
/// # }
/// ```
pub struct AnyExecutor<'a, B: Bind>(Inner<'a, B>);

enum Inner<'a, B: Bind> {
    Registry(&'a Registry),
    Tenant(&'a Tenant),
    Session(&'a mut Session<B>),
    Shared(&'a dyn SharedCheckout<B::Connection>),
    Reader(&'a Reader),
    ReadSession(&'a mut Session<B>),
    SharedForReads(&'a dyn SharedCheckout<B::Connection>),
    UnitOfWork(&'a mut UnitOfWork),
    /// Not the unit of work in it: each access to the guard records that its holder still uses the unit of work.
    CurrentWork(&'a mut CurrentWork),
}

impl<B: Bind> AnyExecutor<'_, B> {
    /// The same executor for a shorter time, as an owned value. This one can be used again afterwards.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # use registry_core::{AnyExecutor, BindDsl, Error, Registry, RunQueryDsl, bind_tables, binds};
    /// # diesel::table! { orders (id) { id -> Integer, } }
    /// # binds! { Shop: Sqlite = "default"; }
    /// # bind_tables!(Shop; orders);
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// # let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY)";
    /// # diesel::sql_query(create).bound_to::<Shop>().execute(&registry).await?;
    /// let mut on = AnyExecutor::<Shop>::from(&registry);
    /// let ids: Vec<i32> = orders::table.select(orders::id).load(on.reborrow()).await?;
    /// let count: i64 = orders::table.count().get_result(&mut on).await?;
    /// assert_eq!((ids.len(), count), (0, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn reborrow(&mut self) -> AnyExecutor<'_, B> {
        AnyExecutor(match &mut self.0 {
            Inner::Registry(registry) => Inner::Registry(registry),
            Inner::Tenant(tenant) => Inner::Tenant(tenant),
            Inner::Reader(reader) => Inner::Reader(reader),
            Inner::ReadSession(session) => Inner::ReadSession(session),
            Inner::SharedForReads(checkout) => Inner::SharedForReads(*checkout),
            Inner::Session(session) => Inner::Session(session),
            Inner::Shared(checkout) => Inner::Shared(*checkout),
            Inner::UnitOfWork(work) => Inner::UnitOfWork(work),
            Inner::CurrentWork(work) => Inner::CurrentWork(work),
        })
    }
}

impl<'a, B: Bind> From<&'a Registry> for AnyExecutor<'a, B> {
    fn from(registry: &'a Registry) -> Self {
        Self(Inner::Registry(registry))
    }
}

impl<'a, B: Bind> From<&'a Tenant> for AnyExecutor<'a, B> {
    fn from(tenant: &'a Tenant) -> Self {
        Self(Inner::Tenant(tenant))
    }
}

impl<'a, S: SameBind<B>, B: Bind> From<&'a mut Session<S>> for AnyExecutor<'a, B> {
    fn from(session: &'a mut Session<S>) -> Self {
        Self(Inner::Session(S::same_session(session)))
    }
}

impl<'a, S, B> From<&'a Session<S>> for AnyExecutor<'a, B>
where
    S: SameBind<B>,
    B: Bind<Connection: Pipelines>,
    Checkout<B::Connection>: SharedCheckout<B::Connection>,
{
    fn from(session: &'a Session<S>) -> Self {
        Self(Inner::Shared(S::same_shared_session(session).checkout()))
    }
}

impl<'a, B: Bind> From<&'a Reader> for AnyExecutor<'a, B> {
    fn from(reader: &'a Reader) -> Self {
        Self(Inner::Reader(reader))
    }
}

impl<'a, S: SameBind<B>, B: Bind> From<&'a mut ReadSession<S>> for AnyExecutor<'a, B> {
    fn from(session: &'a mut ReadSession<S>) -> Self {
        Self(Inner::ReadSession(S::same_session(session.inner_mut())))
    }
}

impl<'a, S, B> From<&'a ReadSession<S>> for AnyExecutor<'a, B>
where
    S: SameBind<B>,
    B: Bind<Connection: Pipelines>,
    Checkout<B::Connection>: SharedCheckout<B::Connection>,
{
    fn from(session: &'a ReadSession<S>) -> Self {
        Self(Inner::SharedForReads(S::same_shared_session(session.inner()).checkout()))
    }
}

impl<'a, B: Bind> From<&'a mut UnitOfWork> for AnyExecutor<'a, B> {
    fn from(work: &'a mut UnitOfWork) -> Self {
        Self(Inner::UnitOfWork(work))
    }
}

impl<'a, B: Bind> From<&'a mut CurrentWork> for AnyExecutor<'a, B> {
    fn from(work: &'a mut CurrentWork) -> Self {
        Self(Inner::CurrentWork(work))
    }
}

/// The same as [`reborrow`](AnyExecutor::reborrow), so that a function that takes `impl Into<AnyExecutor<'_, B>>` can call
/// another one.
impl<'a, B: Bind> From<&'a mut AnyExecutor<'_, B>> for AnyExecutor<'a, B> {
    fn from(on: &'a mut AnyExecutor<'_, B>) -> Self {
        on.reborrow()
    }
}

/// A bind that is the same as `B`. A trait instead of one type, for the message.
#[diagnostic::on_unimplemented(
    message = "the wrong session: it belongs to `{Self}`, and the executor to `{B}`",
    label = "this session is one of another database",
    note = "acquire a session of the executor's own database, or hand it `&registry`, which acquires one"
)]
pub trait SameBind<B: Bind>: Bind + Sized {
    /// The session, as one of `B`.
    fn same_session(session: &mut Session<Self>) -> &mut Session<B>;

    /// The shared session, as one of `B`.
    fn same_shared_session(session: &Session<Self>) -> &Session<B>;
}

impl<B: Bind> SameBind<B> for B {
    fn same_session(session: &mut Session<B>) -> &mut Session<B> {
        session
    }

    fn same_shared_session(session: &Session<B>) -> &Session<B> {
        session
    }
}

/// A bind of a query that can be run on an executor of the bind `S`, because it is the same.
#[diagnostic::on_unimplemented(
    message = "the wrong executor: this query belongs to `{Self}`, and the executor to `{S}`",
    label = "this executor runs queries of another database",
    note = "take an `AnyExecutor` of the query's own database, or hand the query `&registry`, which finds it"
)]
pub trait RunsOnExecutorOf<S> {}

impl<B: Bind> RunsOnExecutorOf<B> for B {}

impl<S: Bind, Q, B: Bind, Via> Executor<Q, B, Via> for AnyExecutor<'_, S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnExecutorOf<S>,
{
}

impl<'a, S: Bind, B: RunsOnExecutorOf<S>> Lender<B> for AnyExecutor<'a, S> {
    type Connection = AnyConnection<'a, S::Connection>;
    type Lease = AnyLease<'a, S>;
    type Leasing = AnyLeasing<'a, S>;
    type LeaseError = Error;
    type Error = Error;
    type Again = Self;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = checked_key::<S>();

    fn lease(self, at: QueryPlace) -> (Self::Leasing, Option<Self>) {
        match self.0 {
            Inner::Registry(registry) => {
                let (acquire, again) = Lender::<S>::lease(registry, at);
                (AnyLeasing::acquiring(acquire), again.map(Self::from))
            }
            Inner::Tenant(tenant) => {
                let (acquire, again) = Lender::<S>::lease(tenant, at);
                (AnyLeasing::acquiring(acquire), again.map(Self::from))
            }
            Inner::Session(session) => (AnyLeasing::ready(AnyLease::borrowed(session)), None),
            Inner::Shared(checkout) => (AnyLeasing::ready(AnyLease::shared(checkout)), None),
            Inner::Reader(reader) => {
                let (acquire, again) = Lender::<S>::lease(reader, at);
                (AnyLeasing::acquiring_read(acquire), again.map(Self::from))
            }
            Inner::ReadSession(session) => {
                (AnyLeasing::ready(AnyLease::borrowed(session).for_reads()), None)
            }
            Inner::SharedForReads(checkout) => {
                (AnyLeasing::ready(AnyLease::shared(checkout).for_reads()), None)
            }
            Inner::UnitOfWork(work) => {
                let (session, _) = Lender::<S>::lease(work, at);
                (AnyLeasing::joining(session), None)
            }
            Inner::CurrentWork(work) => {
                let (session, _) = Lender::<S>::lease(&mut **work, at);
                (AnyLeasing::joining(session), None)
            }
        }
    }
}

impl<S: Bind, Q, B: Bind, Via> Executor<Q, B, Via> for &mut AnyExecutor<'_, S>
where
    Q: Routed<B, Via> + AllTablesIn<B, Via>,
    Via: FindsBindOnSession<S, B>,
    B: RunsOnExecutorOf<S>,
{
}

impl<'r, S: Bind, B: RunsOnExecutorOf<S>> Lender<B> for &'r mut AnyExecutor<'_, S> {
    type Connection = AnyConnection<'r, S::Connection>;
    type Lease = AnyLease<'r, S>;
    type Leasing = AnyLeasing<'r, S>;
    type LeaseError = Error;
    type Error = Error;
    type Again = AnyExecutor<'r, S>;

    const TELLS_MORE: bool = true;

    const KEY: Option<&'static str> = checked_key::<S>();

    fn lease(self, at: QueryPlace) -> (Self::Leasing, Option<AnyExecutor<'r, S>>) {
        Lender::<B>::lease(self.reborrow(), at)
    }
}

impl<B: Bind> fmt::Debug for AnyExecutor<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind: &dyn fmt::Debug = match &self.0 {
            Inner::Registry(registry) => registry,
            Inner::Tenant(tenant) => tenant,
            Inner::Session(session) => session,
            Inner::Shared(_) => &"&Session",
            Inner::Reader(reader) => reader,
            Inner::ReadSession(_) => &"&mut ReadSession",
            Inner::SharedForReads(_) => &"&ReadSession",
            Inner::UnitOfWork(work) => work,
            Inner::CurrentWork(work) => work,
        };
        f.debug_tuple("AnyExecutor").field(kind).finish()
    }
}
