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
//! | have a database or a schema for each tenant | [`tenant`] |
//! | commit to several databases, with the guarantees of such a commit | [`work`] |
//! | give each request of axum a scope | `web`, with the feature `axum` |
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
//! | `axum` | the module `web`: a scope for each request, and extractors |
//! | `metrics` | metrics of engines, reported to the `metrics` facade |

// Marks the items in the documentation that need a feature. The attribute is unstable, and docs.rs builds with a nightly
// compiler.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(any(feature = "postgres", feature = "mysql", feature = "sqlite")),
    expect(
        dead_code,
        unused_macros,
        unused_imports,
        unused_variables,
        reason = "without a backend there is nothing to run"
    )
)]

mod async_func;
mod backend;
mod bind;
mod cause;
mod engine;
pub mod error;
// The programs of the guide need these features, and are only tested with all of them enabled.
#[cfg(any(
    all(doc, not(doctest)),
    all(doctest, feature = "axum", feature = "postgres", feature = "sqlite")
))]
pub mod guide;
mod latch;
mod on_demand;
mod panicked;
#[doc(hidden)]
pub mod private;
pub mod query;
mod registry;
mod session;
pub mod settings;
mod sql;
pub mod tenant;
#[cfg(feature = "axum")]
pub mod web;
pub mod work;

// The most used items. Each has one page in the documentation, at the root: the modules list these items without a second
// page. Rarely used items stay at `module::Type`.
#[cfg(feature = "mysql")]
pub use backend::Mysql;
#[cfg(feature = "postgres")]
pub use backend::Postgres;
#[cfg(feature = "sqlite")]
pub use backend::{AsyncSqliteConnection, Sqlite};
pub use backend::{Backend, ConnectError, Pipelines, TransactionModes};
pub use bind::{Bind, Bound, ByKey, Db, KeyName, Name};
pub use engine::{AcquireError, Engine, EngineStatus, LastError};
#[doc(inline)]
pub use error::Error;
pub use on_demand::{OnDemandEngine, OnDemandStatus};
#[doc(inline)]
pub use query::{AnyExecutor, BindDsl, OptionalExtension, QueryError, RunQueryDsl, SaveChangesDsl};
pub use registry::{
    Acquire, BindHealth, CheckReport, CloseReport, CreateTenantError, DropTenantError,
    IsolationError, MigrateError, MigrateReport, Registry, RegistryBuilder, ReplaceError, Status,
    Tenant, TenantResolver, VerifyError, VerifyFailure, VerifyReport,
};
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
pub use session::{Session, TransactionBuilder};
#[doc(inline)]
pub use settings::{
    BackendKind, BindKey, BindSettings, Credentials, DatabaseUrl, EngineOptions, InvalidBindKey,
    Isolation, Pooler, ResetOnReturn, Settings, SettingsError, TenantError, UnknownBind,
    WorkOptions, WrongBackend,
};
#[doc(inline)]
pub use work::{CommitError, Committed, CurrentWork, Scope, UnitOfWork, WorkError};

/// The program in the README, as a test.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
