//! Migrations: what was run on a database, and what changes it.
//!
//! [`Registry::migrations`](crate::Registry::migrations) returns the [`Migrations`] of a bind, and
//! [`Tenant::migrations`](crate::Tenant::migrations) those of a tenant's database. A source of migrations is
//! `EmbeddedMigrations` or `FileBasedMigrations` of `diesel_migrations`, a [`RustMigration`], or several of them as a
//! [`MigrationSet`].

pub use crate::registry::{BlockingConnection, MigrationSet, RustMigration};
#[doc(no_inline)]
pub use crate::registry::{
    MigrateError, MigrateReport, MigrationEntry, MigrationPlan, MigrationState, MigrationStatus,
    Migrations, PlannedMigration,
};
