//! The tables in which a run over all tenants notes what it has done.
//!
//! `__registry_tenant_migrations` has a row for each tenant that was migrated, or whose migration failed. It is a cache:
//! the table of versions in the tenant's own database is the truth. `__registry_migration_leases` names the process that
//! migrates the tenants of a bind. It is for messages only: what keeps two runs apart is a lock, see
//! [`Driver::take_lease`](super::driver::Driver::take_lease). Diesel's command-line tool ignores both tables, because
//! their names begin with `__`.

use std::future::Future;
use std::sync::Arc;

use diesel::QueryResult;

use crate::bind_key::BindKey;

#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
use crate::sql::Dialect;

diesel::table! {
    __registry_tenant_migrations (bind, tenant) {
        bind -> VarChar,
        tenant -> VarChar,
        digest -> VarChar,
        place -> VarChar,
        state -> VarChar,
        detail -> Text,
        at -> VarChar,
    }
}

diesel::table! {
    __registry_migration_leases (bind) {
        bind -> VarChar,
        holder -> VarChar,
        since -> VarChar,
    }
}

/// The value of `state` for a tenant that has all migrations of the set.
pub(crate) const DONE: &str = "done";
/// The value of `state` for a tenant whose migration failed.
pub(crate) const FAILED: &str = "failed";

/// The maximum number of characters of a holder's name.
pub(crate) const MAX_HOLDER: usize = 255;

/// The set of migrations that the tenants of a bind are to have, and the place where their databases are.
#[derive(Debug, Clone)]
pub struct LedgerScope {
    /// The key of the bind.
    pub bind: BindKey,
    /// The digest of the set of migrations.
    pub digest: String,
    /// A digest of the URL of the tenants' databases. Empty if a resolver finds them.
    pub place: String,
}

/// What a run notes of a tenant.
#[derive(Debug, Clone)]
pub struct LedgerRow {
    /// The name of the tenant.
    pub tenant: Arc<str>,
    /// [`DONE`] or [`FAILED`].
    pub state: &'static str,
    /// The error, for [`FAILED`].
    pub detail: String,
    /// When it was, in UTC.
    pub at: String,
}

/// The process that migrates the tenants of a bind.
#[derive(Debug, Clone)]
pub struct LeaseHolder {
    /// The host and the id of the process.
    pub name: String,
    /// Since when, in UTC.
    pub since: String,
}

/// The tables of a ledger on a connection. Implemented by [`ledger_by_diesel!`] for each connection type.
pub trait LedgerTables {
    /// Creates the tables, if they do not exist.
    fn create_ledger(&mut self) -> impl Future<Output = QueryResult<()>> + Send;

    /// Those among `tenants` that are [`DONE`] with these migrations at that place. One query.
    fn find_done(
        &mut self,
        scope: &LedgerScope,
        tenants: &[Arc<str>],
    ) -> impl Future<Output = QueryResult<Vec<String>>> + Send;

    /// Writes rows in place of those that the tenants have. One statement.
    fn write_rows(
        &mut self,
        scope: &LedgerScope,
        rows: &[LedgerRow],
    ) -> impl Future<Output = QueryResult<()>> + Send;

    /// Removes the row of a tenant.
    fn remove_row(
        &mut self,
        bind: &str,
        tenant: &str,
    ) -> impl Future<Output = QueryResult<()>> + Send;

    /// The holder that is named for the bind.
    fn lease_holder(
        &mut self,
        bind: &str,
    ) -> impl Future<Output = QueryResult<Option<LeaseHolder>>> + Send;

    /// Names a holder for the bind, or none.
    fn set_lease_holder(
        &mut self,
        bind: &str,
        holder: Option<&LeaseHolder>,
    ) -> impl Future<Output = QueryResult<()>> + Send;
}

/// The statements that create the tables. The names of tenants and binds are ASCII and differ by case, which MySQL's usual
/// collations ignore.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) fn create_tables(dialect: Dialect) -> String {
    let (name, text) = match dialect {
        Dialect::Mysql => ("CHARACTER SET ascii COLLATE ascii_bin", "CHARACTER SET utf8mb4"),
        Dialect::Postgres | Dialect::Sqlite => ("", ""),
    };
    format!(
        "CREATE TABLE IF NOT EXISTS __registry_tenant_migrations (\
         bind VARCHAR(32) {name} NOT NULL, tenant VARCHAR(63) {name} NOT NULL, \
         digest VARCHAR(64) NOT NULL, place VARCHAR(64) NOT NULL, state VARCHAR(16) NOT NULL, \
         detail TEXT {text} NOT NULL, at VARCHAR(32) NOT NULL, PRIMARY KEY (bind, tenant)); \
         CREATE TABLE IF NOT EXISTS __registry_migration_leases (\
         bind VARCHAR(32) {name} NOT NULL PRIMARY KEY, holder VARCHAR({MAX_HOLDER}) {text} NOT NULL, \
         since VARCHAR(32) NOT NULL)"
    )
}

/// The statement that writes that many rows.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) fn write_statement(dialect: Dialect, rows: usize) -> String {
    const COLUMNS: usize = 7;
    let row = |row: usize| {
        let place = |column: usize| match dialect {
            Dialect::Postgres => format!("${}", row * COLUMNS + column + 1),
            Dialect::Mysql | Dialect::Sqlite => "?".to_owned(),
        };
        format!("({})", (0..COLUMNS).map(place).collect::<Vec<_>>().join(", "))
    };
    let rows = (0..rows).map(row).collect::<Vec<_>>().join(", ");
    let replace = |column: &str| match dialect {
        Dialect::Mysql => format!("{column} = VALUES({column})"),
        Dialect::Postgres | Dialect::Sqlite => format!("{column} = excluded.{column}"),
    };
    let replaced = ["digest", "place", "state", "detail", "at"].map(replace).join(", ");
    let conflict = match dialect {
        Dialect::Mysql => "ON DUPLICATE KEY UPDATE",
        Dialect::Postgres | Dialect::Sqlite => "ON CONFLICT (bind, tenant) DO UPDATE SET",
    };
    format!(
        "INSERT INTO __registry_tenant_migrations (bind, tenant, digest, place, state, detail, at) \
         VALUES {rows} {conflict} {replaced}"
    )
}

/// Implements [`LedgerTables`] for a connection type. A macro, because the bounds of a generic implementation would be
/// those of each of its queries.
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
macro_rules! ledger_by_diesel {
    ($connection:ty) => {
        // A module of its own, for the imports.
        mod ledger_tables {
            use std::sync::Arc;

            use diesel::prelude::*;
            use diesel::sql_types::Text;
            use diesel_async::{AsyncConnectionCore, RunQueryDsl, SimpleAsyncConnection};

            use $crate::backend::driver::Driver;
            use $crate::backend::ledger::{
                __registry_migration_leases as leases, __registry_tenant_migrations as ledger,
                DONE, LeaseHolder, LedgerRow, LedgerScope, LedgerTables, create_tables,
                write_statement,
            };

            type Diesel = <$connection as AsyncConnectionCore>::Backend;

            impl LedgerTables for $connection {
                async fn create_ledger(&mut self) -> QueryResult<()> {
                    self.batch_execute(&create_tables(Self::DIALECT)).await
                }

                async fn find_done(
                    &mut self,
                    scope: &LedgerScope,
                    tenants: &[Arc<str>],
                ) -> QueryResult<Vec<String>> {
                    let names: Vec<&str> = tenants.iter().map(|name| &**name).collect();
                    ledger::table
                        .filter(ledger::bind.eq(scope.bind.as_str()))
                        .filter(ledger::digest.eq(&scope.digest))
                        .filter(ledger::place.eq(&scope.place))
                        .filter(ledger::state.eq(DONE))
                        .filter(ledger::tenant.eq_any(names))
                        .select(ledger::tenant)
                        .load(self)
                        .await
                }

                async fn write_rows(
                    &mut self,
                    scope: &LedgerScope,
                    rows: &[LedgerRow],
                ) -> QueryResult<()> {
                    let statement = write_statement(Self::DIALECT, rows.len());
                    let mut query = diesel::sql_query(statement).into_boxed::<Diesel>();
                    for row in rows {
                        query = query
                            .bind::<Text, _>(scope.bind.as_str())
                            .bind::<Text, _>(&*row.tenant)
                            .bind::<Text, _>(&*scope.digest)
                            .bind::<Text, _>(&*scope.place)
                            .bind::<Text, _>(row.state)
                            .bind::<Text, _>(&*row.detail)
                            .bind::<Text, _>(&*row.at);
                    }
                    query.execute(self).await.map(drop)
                }

                async fn remove_row(&mut self, bind: &str, tenant: &str) -> QueryResult<()> {
                    let of_bind = ledger::table.filter(ledger::bind.eq(bind));
                    let row = of_bind.filter(ledger::tenant.eq(tenant));
                    diesel::delete(row).execute(self).await.map(drop)
                }

                async fn lease_holder(&mut self, bind: &str) -> QueryResult<Option<LeaseHolder>> {
                    let row = leases::table.find(bind).select((leases::holder, leases::since));
                    let row: Option<(String, String)> = row.first(self).await.optional()?;
                    Ok(row.map(|(name, since)| LeaseHolder { name, since }))
                }

                async fn set_lease_holder(
                    &mut self,
                    bind: &str,
                    holder: Option<&LeaseHolder>,
                ) -> QueryResult<()> {
                    diesel::delete(leases::table.find(bind)).execute(self).await?;
                    let Some(LeaseHolder { name, since }) = holder else { return Ok(()) };
                    let row =
                        (leases::bind.eq(bind), leases::holder.eq(name), leases::since.eq(since));
                    diesel::insert_into(leases::table).values(row).execute(self).await.map(drop)
                }
            }
        }
    };
}
#[cfg(any(feature = "postgres", feature = "mysql", feature = "sqlite"))]
pub(crate) use ledger_by_diesel;
