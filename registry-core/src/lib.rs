//! A multi-database layer for Diesel: the type of each model names its database, and a registry holds a connection pool
//! for each database.
//!
//! ```
//! use diesel::prelude::*;
//! use registry_core::{BindDsl, Registry, RunQueryDsl, bind, bind_tables};
//!
//! diesel::table! { events (id) { id -> Integer, what -> Text, } }
//! bind_tables!(db = "analytics", backend = Sqlite; events);
//!
//! #[bind(table)]
//! #[derive(Debug, PartialEq, Queryable, Selectable, Insertable)]
//! #[diesel(table_name = events)]
//! struct Event {
//!     id: i32,
//!     what: String,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), registry_core::Error> {
//! let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
//! let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
//! diesel::sql_query(create).bound_to::<Event>().execute(&registry).await?;
//!
//! let event = Event { id: 1, what: "sign-up".to_owned() };
//! diesel::insert_into(events::table).values(&event).execute(&registry).await?;
//! assert_eq!(events::table.select(Event::as_select()).load(&registry).await?, [event]);
//!
//! let mut session = registry.session_for::<Event>().await?;
//! let count: i64 = events::table.count().get_result(&mut session).await?;
//! assert_eq!(count, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Concepts
//!
//! - A **bind key** is the name of a database in the settings: `"default"`, `"analytics"`.
//! - A **bind** is a database as a type: a key, and the connection type for its backend. [`binds!`] gives a bind a name;
//!   [`#[bind(db = "..")]`](macro@bind) stands for the same type without a name.
//! - A model or table that belongs to a bind is **bound**: it implements [`Bound`], by [`#[bind]`](macro@bind) or
//!   [`bind_tables!`].
//! - An [`Engine`] serves a bind at run time: it has a URL, options and a connection pool. The [`Registry`] has one engine
//!   for each bind in the [`Settings`].
//! - A [`Session`] is one connection, checked out of its engine for the lifetime of the value.
//! - A query is **routed**: its tables determine its database at compile time. See [`query`].
//! - A [`Tenant`] is a customer with a database of its own, whose engine is opened on demand. See [`tenant`].
//! - A [`UnitOfWork`] is one transaction over as many binds as it touches, and a [`Scope`] owns the current unit of
//!   work of a task or request. See [`work`].
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | learn it by subject, with programs that run | [`guide`] |
//! | configure the URLs and options of databases | [`settings`] |
//! | build a registry, acquire sessions, migrate, check, close | [`Registry`] |
//! | run queries, and look up the checks of a query | [`query`] |
//! | load a page of a query, by number or after a key | [`query::paginate`] |
//! | have a database or a schema for each tenant | [`tenant`] |
//! | commit to several databases, with the guarantees of such a commit | [`work`] |
//! | give each request of axum a scope, and make errors responses | `web`, with the feature `axum` |
//! | migrate and administer the databases from the program's own command line | `cli`, with the feature `cli` |
//! | test an application without leaving anything in its databases | [`Registry::test_isolation`] |
//! | look up how an engine treats its connections | [`EngineOptions`] |
//! | distinguish errors | [`error`] |
//! | observe a program: events, spans, metrics | [`guide::watching`] |
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `postgres`, `mysql`, `sqlite` | one [backend](Backend) each. None is on by default: a library crate enables the backends that it needs, and does not choose for the program that uses it |
//! | `rustls` | TLS to PostgreSQL, MySQL and MariaDB, see [`DatabaseUrl`] |
//! | `axum` | the module `web`: a scope for each request, extractors, pages, and errors as responses |
//! | `dashboard` | a page about the databases of a registry, `web::dashboard`: a router for axum. It enables `axum` |
//! | `cli` | the module `cli`: commands for the program's own command line, to migrate, create, check and look into its databases |
//! | `metrics` | metrics of engines and queries, reported to the `metrics` facade |
//! | `engine` | everything except a backend, for a library crate whose code is generic over backends. Each feature above enables it |
//!
//! Without any of them there are only binds, [`Bound`] and the macros, for a crate that declares tables and models. It builds
//! without a driver, see [a crate of tables](guide::binds_and_models).

#![cfg_attr(
    not(feature = "engine"),
    expect(
        rustdoc::broken_intra_doc_links,
        reason = "the documentation is about the whole crate, and most of it is not there"
    )
)]
// Marks the items in the documentation that need a feature. The attribute is unstable, and docs.rs builds with a nightly
// compiler.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    all(feature = "engine", not(any(feature = "postgres", feature = "mysql", feature = "sqlite"))),
    expect(
        dead_code,
        unused_macros,
        unused_imports,
        unused_variables,
        reason = "without a backend there is nothing to run"
    )
)]

#[cfg(feature = "engine")]
mod async_func;
#[cfg(feature = "engine")]
mod attribution;
#[cfg(feature = "engine")]
mod backend;
// A crate of tables names backends, and does not connect.
#[cfg(not(feature = "engine"))]
#[path = "stand_ins.rs"]
mod backend;
mod backend_kind;
mod bind;
mod bind_key;
#[cfg(feature = "engine")]
mod cause;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "engine")]
mod engine;
#[cfg(feature = "engine")]
pub mod error;
// The programs of the guide need these features, and are only tested with all of them enabled.
#[cfg(any(
    all(doc, not(doctest), feature = "engine"),
    all(doctest, feature = "dashboard", feature = "cli", feature = "postgres", feature = "sqlite")
))]
pub mod guide;
#[cfg(feature = "engine")]
mod latch;
#[cfg(feature = "engine")]
mod meters;
#[cfg(feature = "engine")]
pub mod migrations;
#[cfg(feature = "engine")]
mod on_demand;
#[cfg(feature = "engine")]
mod panicked;
#[doc(hidden)]
pub mod private;
#[cfg(feature = "engine")]
pub mod query;
#[cfg(feature = "engine")]
mod registry;
#[cfg(feature = "engine")]
mod serialized;
#[cfg(feature = "engine")]
mod session;
#[cfg(feature = "engine")]
pub mod settings;
#[cfg(feature = "engine")]
mod sql;
#[cfg(feature = "engine")]
mod telemetry;
#[cfg(feature = "engine")]
pub mod tenant;
#[cfg(feature = "engine")]
mod token;
#[cfg(feature = "engine")]
mod tone;
#[cfg(feature = "axum")]
pub mod web;
#[cfg(feature = "engine")]
pub mod work;

// The most used items. Each has one page in the documentation, at the root: the modules list these items without a second
// page. Rarely used items stay at `module::Type`.

// What a crate of tables needs, with or without an engine.
pub use backend::Backend;
#[cfg(any(feature = "mysql", not(feature = "engine")))]
pub use backend::Mysql;
#[cfg(any(feature = "postgres", not(feature = "engine")))]
pub use backend::Postgres;
#[cfg(any(feature = "sqlite", not(feature = "engine")))]
pub use backend::Sqlite;
#[doc(inline)]
pub use backend_kind::BackendKind;
pub use bind::{Bind, Bound, Db, KeyName, Name};
#[doc(inline)]
pub use bind_key::{BindKey, InvalidBindKey};
/// # Example
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{Bind, Bound, Sqlite, bind, binds};
///
/// binds! { pub Analytics: Sqlite = "analytics"; }
///
/// #[bind(db = "analytics", backend = Sqlite)]   // the same database as `Analytics`
/// #[derive(Queryable)]
/// struct Event {
///     id: i32,
/// }
///
/// #[bind(Analytics)]
/// mod analytics {
///     diesel::table! { clicks { id -> Integer, } }
/// }
///
/// fn key_of<T: Bound>() -> &'static str {
///     T::Bind::KEY
/// }
///
/// fn main() {
///     assert_eq!(key_of::<Event>(), "analytics");
///     assert_eq!(key_of::<analytics::clicks::table>(), "analytics");
/// }
/// ```
pub use registry_derive::bind;
/// # Example
///
/// ```
/// use diesel::prelude::*;
/// use registry_core::{BindDsl, Registry, RunQueryDsl, bind_foreign, binds};
///
/// # mod jobs {
/// #     diesel::table! { queue { id -> Integer, } }
/// # }
/// binds! { Main: Sqlite = "default"; Analytics: Sqlite = "analytics"; }
///
/// // `jobs` is a crate, whose tables a worker has in the default database.
/// bind_foreign!(Main; jobs::queue);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder()
///     .bind("default", "sqlite::memory:")
///     .bind("analytics", "sqlite::memory:")
///     .build()?;
/// # let create = "CREATE TABLE queue (id INTEGER PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<Main>().execute(&registry).await?;
/// let count = jobs::queue::table.count();
/// assert_eq!(count.bound_to::<Main>().get_result::<i64>(&registry).await?, 0);
///
/// let elsewhere = count.bound_to::<Analytics>().get_result::<i64>(&registry).await;
/// assert!(elsewhere.is_err()); // a `HiddenTable`: nothing was sent
/// # Ok(())
/// # }
/// ```
pub use registry_derive::bind_foreign;
/// # Example
///
/// ```
/// use registry_core::{Bind, Bound, Sqlite, bind_tables, binds};
///
/// binds! { Analytics: Sqlite = "analytics"; }
///
/// mod schema {
///     diesel::table! { events { id -> Integer, } }
///     diesel::table! { users { id -> Integer, } }
/// }
/// bind_tables!(Analytics; schema::events);
/// bind_tables!(db = "default", backend = Sqlite; schema::users);
///
/// fn key_of<T: Bound>() -> &'static str {
///     T::Bind::KEY
/// }
///
/// fn main() {
///     assert_eq!(key_of::<schema::events::table>(), "analytics");
///     assert_eq!(key_of::<schema::users::table>(), "default");
/// }
/// ```
pub use registry_derive::bind_tables;
/// # Example
///
/// ```
/// use registry_core::{Registry, Session, Sqlite, binds};
///
/// binds! {
///     /// Where events are counted.
///     pub Analytics: Sqlite = "analytics";
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
/// let session: Session<Analytics> = registry.session::<Analytics>().await?;
/// assert_eq!(session.key(), "analytics");
/// # Ok(())
/// # }
/// ```
pub use registry_derive::binds;

#[cfg(feature = "sqlite")]
pub use backend::AsyncSqliteConnection;
#[cfg(feature = "engine")]
pub use backend::{ConnectError, Pipelines, TransactionModes};
#[cfg(feature = "engine")]
pub use bind::ByKey;
#[cfg(feature = "engine")]
pub use engine::{
    AcquireError, AcquiresSince, Engine, EngineStatus, LastError, ReadStatus, ReplicaState,
    ReplicaStatus,
};
#[cfg(feature = "engine")]
#[doc(inline)]
pub use error::Error;
#[cfg(feature = "metrics")]
pub use meters::describe_metrics;
#[cfg(feature = "engine")]
pub use on_demand::{OnDemandEngine, OnDemandSince, OnDemandStatus};
#[cfg(feature = "engine")]
#[doc(inline)]
pub use query::{
    AnyExecutor, BindDsl, InsertBatchedDsl, OptionalExtension, QueryError, RunQueryDsl,
    SaveChangesDsl, batched,
};
#[cfg(feature = "engine")]
pub use registry::{
    Acquire, AcquireRead, BindHealth, CheckReport, CloseReport, CreateTenantError, DropTenantError,
    IsolationError, MigrateError, MigrateReport, MigrateTenants, MigrateTenantsError,
    MigrateTenantsReport, MigrationEntry, MigrationPlan, MigrationState, MigrationStatus,
    Migrations, PlannedMigration, PublicBindHealth, PublicCheckReport, PublicHealth, Reader,
    Registry, RegistryBuilder, ReplaceError, ReplicaHealth, Status, Tenant, TenantOutcome,
    TenantResolver, TenantResult, TerminalStatus, VerifyError, VerifyFailure, VerifyReport,
};
#[cfg(feature = "engine")]
pub use session::{IntoInnerError, ReadSession, Session, TransactionBuilder};
#[cfg(feature = "engine")]
#[doc(inline)]
pub use settings::{
    BindSettings, Credentials, DatabaseUrl, EngineOptions, Isolation, Pooler, ResetOnReturn, Role,
    Settings, SettingsError, Share, Synchronous, TenantError, UnknownBind, WhenBehind, WhenPending,
    WhenUnknown, WorkOptions, WrongBackend,
};
#[cfg(feature = "engine")]
pub use telemetry::{RecordOptions, RecordedQueries, RecordedQuery, SqlTags};
#[cfg(feature = "engine")]
pub use token::{InvalidToken, Token, TokenKey, WeakTokenKey};
#[cfg(feature = "engine")]
#[doc(inline)]
pub use work::{CommitError, Committed, CurrentWork, Scope, UnitOfWork, WorkError};

/// The program in the README, as a test.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
