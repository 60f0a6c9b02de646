//! The registry: every engine of a program, found by the bind of a model.
//!
//! [`Registry`] is in `handle`. Each operation is in a file of its own, as an `impl Registry` with the public method,
//! its reports and its errors:
//!
//! | file | what it has |
//! |---|---|
//! | `handle` | [`Registry`], the state that its clones share, and its engines |
//! | `builder` | [`RegistryBuilder`], from settings to a registry |
//! | `bind_table`, `bind_entry` | the binds by their keys; the engines of a key: one engine, or an engine for each tenant |
//! | `acquire/` | `session_for` and its siblings, and [`Acquire`], their future |
//! | `reader/` | [`Reader`], a handle for queries that only read |
//! | `route` | from a caller's request to an engine that is open |
//! | `open` | the same for an engine that has to be opened on demand, step by step |
//! | `gate/` | whether the migrations of a tenant are complete before it is used |
//! | `tenants/` | [`Tenant`], [`TenantResolver`], and how the engine of a tenant is found |
//! | `provision/` | creating and dropping tenants |
//! | `verify/`, `check`, `public_check` | checks when a program starts, and for health end-points; what of it is for everybody |
//! | `migrate/` | running migrations |
//! | `locate`, `overview` | where the database of a tenant or bind is, without opening anything; the second for the command line |
//! | `migrate_tenants/` | running the migrations of all tenants |
//! | `replace` | other settings for a bind at run time |
//! | `close/`, `closing_state` | closing the registry, or the engines of a tenant or URL |
//! | `isolation`, `sqlite_copies` | a registry for one test |
//! | `status/` | a snapshot of every engine, and what has changed since an earlier one |
//! | `table` | tables of text, for reports |
//! | `caller` | warnings about sessions that the calling task holds itself |
//!
//! To follow a query, read `acquire`, `route` and `open` in this order; `engine` goes on from there.
//!
//! # Imports
//!
//! Operations import `handle`, and `handle` imports only what its fields are made of. Two circles are left, because the
//! concepts need them: `handle` -> `bind_table` -> `bind_entry` -> `tenants` -> `handle`, as a resolver gets a [`Tenant`]
//! with the registry, so that it can query a table of tenants there; and `handle` -> `gate` -> `migrate` -> `handle`, as
//! the migrations that a registry knows are run on it.
//!
//! # Locks and cancellation
//!
//! Each lock (`Inner::replaced`, `Inner::warned_at`, `Inner::last_look`, `ClosingState::opening`, `TenantBind::running_calls`,
//! `TenantBind::source`, `SqliteCopies::copies`) is held for a few instructions, never across an await, and never while
//! another is taken. Futures of this folder can be dropped at each await: destructors give back everything that they
//! have so far (a use of an engine, a place in a queue, a share in the answer of a resolver). Migrations and the
//! creation and dropping of tenants run in tasks of their own, to their end.

mod acquire;
mod bind_entry;
mod bind_table;
mod builder;
mod caller;
mod check;
mod close;
mod closing_state;
mod gate;
mod handle;
mod isolation;
mod locate;
mod migrate;
mod migrate_tenants;
mod open;
#[cfg(feature = "cli")]
mod overview;
mod provision;
mod public_check;
mod queries;
mod reader;
mod replace;
mod route;
mod sqlite_copies;
mod status;
mod table;
#[cfg(feature = "dashboard")]
pub(crate) use table::turns;
mod tenants;
mod verify;

pub use acquire::Acquire;
pub use builder::RegistryBuilder;
#[cfg(feature = "dashboard")]
pub(crate) use check::Answer;
pub use check::{BindHealth, CheckReport, ReplicaHealth};
pub use close::CloseReport;
pub use handle::Registry;
#[cfg(feature = "cli")]
pub(crate) use locate::Located;
#[cfg(feature = "axum")]
pub(crate) use migrate::logged;
pub use migrate::{
    BlockingConnection, MigrateError, MigrateReport, MigrationEntry, MigrationPlan, MigrationSet,
    MigrationState, MigrationStatus, Migrations, PlannedMigration, RustMigration,
};
#[cfg(feature = "cli")]
pub(crate) use migrate::{Change, DieselBackend, KnownMigrations, MigrateOptions, known};
#[cfg(feature = "cli")]
pub(crate) use migrate_tenants::{
    AllTenants, AllTenantsOptions, HeldLedger, LedgerBind, NameStream, ledger_in,
};
pub use migrate_tenants::{
    MigrateTenants, MigrateTenantsError, MigrateTenantsReport, TenantFailure, TenantNameItem,
    TenantNames, TenantOutcome, TenantResult, tenant_names,
};
#[cfg(feature = "cli")]
pub(crate) use overview::{BindOverview, Tenancy};
#[cfg(feature = "cli")]
pub(crate) use provision::DatabaseError;
pub use provision::{CreateTenantError, DropTenantError};
pub use public_check::{PublicBindHealth, PublicCheckReport, PublicHealth};
pub(crate) use reader::ScopeWrites;
pub use reader::{AcquireRead, Reader};
pub use replace::ReplaceError;
pub use sqlite_copies::IsolationError;
pub use status::{Status, TerminalStatus};
pub use tenants::{Tenant, TenantResolver};
pub use verify::{VerifyError, VerifyFailure, VerifyReport};
