//! A multi-database layer for Diesel: each model knows its database, and a registry of pools finds it.
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
//! - A **bind** is a database as a type: a key, and the connection type that speaks to it. [`binds!`]
//!   gives one a name; [`#[bind(db = "..")]`](macro@bind) means the same type without one.
//! - A model or table that belongs to a bind is **bound**: [`Bound`], which [`#[bind]`](macro@bind)
//!   and [`bind_tables!`] implement.
//! - An [`Engine`] is what stands behind a bind at run time: a URL, options and a pool. The
//!   [`Registry`] has one for each bind in the [`settings`].
//! - A [`Session`] is one connection, out of an engine for as long as the value lives.
//! - A [`Tenant`] is a customer with a database of its own, whose engine is opened on demand.
//! - A [`UnitOfWork`] is one transaction over as many binds as it touches; a [`Scope`] is the task or request
//!   that owns a current one.
//! - A query is **routed**: its tables say which database it is for, see [`query`].
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | write down where databases are | [`settings`] |
//! | make a registry, acquire sessions, migrate, check | [`Registry`] |
//! | run queries, and know what the compiler checks | [`query`] |
//! | have a database for each tenant | [`tenant`] |
//! | commit to several databases, and know what that promises | [`work`] |
//! | give each request of axum a scope | `web`, with the feature `axum` |
//! | test an application without a trace | [`Registry::test_isolation`] |
//! | know what an engine does with its connections | [`EngineOptions`] |
//! | tell errors apart | [`error`] |
//!
//! # Watching it
//!
//! Events and spans of `tracing` have the target `registry` and the field `bind`, the bind key, and the
//! field `tenant` where they are known to be of one tenant. None has a password, a user name or a value that was bound to a statement. Durations are in seconds.
//!
//! | event | level | fields |
//! |---|---|---|
//! | a session was acquired (that was not there at once) | debug | `wait` |
//! | a session could not be acquired | debug | `wait`, `error` |
//! | a connection was opened | debug | `elapsed` |
//! | a connection could not be opened | debug; warn in the background | `error` |
//! | a connection was closed | debug; warn if it came back unclean | `reason` |
//! | an engine was opened (on demand) | debug | `url` |
//! | an engine was closed (that was opened on demand) | debug | `url`, `reason`: `evicted`, `idle`, `failed`, `closed` |
//! | a tenant was created, a tenant was dropped | info | |
//! | slow query | warn | `elapsed`, `sql` |
//! | a query is run on the registry in a scope, outside of its unit of work (once for each place) | warn | `place` |
//! | a query is run on the registry beside a session, or by a task that has a unit of work (debug builds) | warn | `place` |
//! | a unit of work was dropped without a commit or a rollback (no `bind`) | debug | `touched`, `began`, `scope`: where it was begun, and its scope made |
//! | not all sessions are waited for: the task that closes has some itself | error | `sessions`, `place` |
//!
//! The span `acquire` stands around the wait for a session that is not there at once, and the span
//! `connect` around the opening of a connection.
//!
//! With the feature `metrics`, engines report to the recorder of the `metrics` facade that is installed
//! when they are first used. The vocabulary is HikariCP's; each has a label `bind`, and engines of one bind
//! count together.
//!
//! | metric | kind | what |
//! |---|---|---|
//! | `registry_connections_active` | gauge | connections that are lent |
//! | `registry_connections_idle` | gauge | connections that are open and idle |
//! | `registry_connections_max` | gauge | how many there may be |
//! | `registry_connections_pending` | gauge | callers that wait for one |
//! | `registry_connections_acquire_seconds` | histogram | how long acquiring a session took |
//! | `registry_connections_creation_seconds` | histogram | how long opening a connection took |
//! | `registry_connections_usage_seconds` | histogram | how long a session was lent |
//! | `registry_connections_timeout_total` | counter | acquires that ended with a time-out |
//! | `registry_connections_failed_total` | counter | connections that could not be opened |
//! | `registry_connections_closed_total` | counter | connections that were closed, by `reason`: `idle`, `expired`, `unanswered`, `outdated`, `changed`, `unclean` |
//! | `registry_engines_open` | gauge | engines that are open on demand |
//! | `registry_engines_opened_total` | counter | engines that were opened on demand |
//! | `registry_engines_closed_total` | counter | engines that were closed again, by `reason`: `evicted`, `idle`, `failed`, `closed` |
//!
//! # Features
//!
//! `postgres`, `mysql` and `sqlite`, one for each [backend](Backend). None is on by default: a library crate
//! names those that it needs, and does not choose for the program that uses it. `rustls` adds TLS to the
//! servers among them, see [`DatabaseUrl`]; `metrics` reports what engines do; `axum` is for requests.

// Marks in the documentation what needs a feature. The attribute is unstable, and docs.rs builds with a nightly compiler.
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
// Its programs need these features, and are only tested where all of them are on.
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

#[cfg(feature = "mysql")]
pub use backend::Mysql;
#[cfg(feature = "postgres")]
pub use backend::Postgres;
#[cfg(feature = "sqlite")]
pub use backend::{AsyncSqliteConnection, Sqlite};
pub use backend::{Backend, ConnectError};
pub use bind::{Bind, Bound, ByKey, Db, KeyName, Name};
pub use engine::{AcquireError, Engine, EngineStatus, LastError};
pub use error::Error;
pub use on_demand::{OnDemandEngine, OnDemandStatus};
pub use query::{BindDsl, OptionalExtension, QueryError, RunQueryDsl, SaveChangesDsl};
pub use registry::{
    Acquire, BindHealth, CheckReport, CloseReport, CreateTenantError, DropTenantError,
    IsolationError, MigrateError, MigrateReport, Registry, RegistryBuilder, ReplaceError, Status,
    Tenant, TenantResolver, VerifyError, VerifyFailure, VerifyReport,
};
pub use registry_derive::{bind, bind_tables, binds};
pub use session::Session;
pub use settings::{
    BackendKind, BindKey, BindSettings, Credentials, DatabaseUrl, EngineOptions, InvalidBindKey,
    Isolation, Pooler, ResetOnReturn, Settings, SettingsError, TenantError, UnknownBind,
    WorkOptions, WrongBackend,
};
pub use work::{CommitError, Committed, CurrentWork, Scope, UnitOfWork, WorkError};

/// The program in the README, as a test.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
