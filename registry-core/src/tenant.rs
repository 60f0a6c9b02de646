//! A database, or a schema, for each tenant.
//!
//! [`Registry::tenant`](crate::Registry::tenant) makes a [`Tenant`], through which its database is reached.
//!
//! # Settings
//!
//! A bind whose URL has `{tenant}` in the name of its database, or in the path of its file, has a database for each
//! tenant:
//!
//! ```toml
//! [database]
//! max_engines = 64                        # how many can be open on demand at once
//! engine_idle_timeout = "10min"           # after how long without use one is closed; or "none"
//!
//! [database.binds.crm]
//! url = "postgres://app@db/crm_{tenant}"  # or "sqlite:///srv/crm/{tenant}.db"
//! max_connections = 4                     # for each tenant
//!
//! [database.binds.files]                  # or a schema for each tenant, in one PostgreSQL database
//! url = "postgres://app@db/files"
//! tenant_schema = "tenant_{tenant}"
//! ```
//!
//! In code, [`BindSettings`](crate::BindSettings) takes the same. Where tenants differ in more than a name, a
//! [`TenantResolver`] finds the settings of each.
//! [`RegistryBuilder::credentials`](crate::RegistryBuilder::credentials) has passwords for all of them.
//!
//! # Guarantees
//!
//! - Whatever is acquired or run through a [`Tenant`] for such a bind is in that tenant's database. Without a tenant it
//!   is an error ([`AcquireError::NoTenant`](crate::AcquireError::NoTenant)). There is no current tenant that a task
//!   could inherit.
//! - The name of a tenant is 1 to 63 letters, digits, `-`, `_` and `.`, and neither begins nor ends with `.`. It is
//!   percent-encoded in a URL, so it cannot change host, user, options or path. `{tenant}` anywhere but in the name of
//!   the database is an error when the registry is built. A database name that the server would truncate is refused, as
//!   the rest could be another tenant's.
//! - An unknown tenant is an error of its own
//!   ([`AcquireError::UnknownTenant`](crate::AcquireError::UnknownTenant)). Nothing is created for it, and no engine
//!   stays open, even where the URL of a SQLite file says `mode=rwc`: only
//!   [`create_tenant`](crate::Registry::create_tenant) creates tenants. (A SQLite database in memory is created when it
//!   is opened.)
//! - There is one engine for each URL (with user and password) and options, however many callers ask at once, and
//!   whether by tenant or by [`session_by_url`](crate::Registry::session_by_url). A failure to open one is not cached.
//! - At most `max_engines` are open or being closed. Beyond that, the least recently used engine that nobody uses is
//!   evicted: its connections are closed before another engine opens. (PostgreSQL and MySQL notice a closed connection
//!   a moment later.)
//! - An engine that has a session lent, or for which a caller waits, is never evicted. If all are like that, callers
//!   wait, first come, first served, for `acquire_timeout` at most. Then it is
//!   [`AcquireError::TooManyEngines`](crate::AcquireError::TooManyEngines).
//! - Opening an engine delays nobody who uses another.
//! - A session of a schema is put into that schema before it is lent, and into no other, not even `public`, in one round
//!   trip. A connection that another tenant used is fully reset for it, and forgets its prepared statements. `pg_temp`
//!   stands last in `search_path`. Diesel looks custom types up once for each connection: define them in a schema of
//!   their own.
//!
//! [`Registry::status`](crate::Registry::status) shows the engines with their tenants, and how often one was found,
//! opened and closed. [`close_tenant`](crate::Registry::close_tenant), [`close_engine`](crate::Registry::close_engine)
//! and [`replace_engine`](crate::Registry::replace_engine) close engines while they are used: sessions that are lent
//! stay usable until they are returned.
//!
//! # Row-level security
//!
//! Tenants can share their tables, with row-level security policies of PostgreSQL that read a setting.
//! `tenant_setting = "app.tenant"` puts the tenant's name into that setting in each transaction of a unit of work that is
//! begun through a [`Tenant`], from the beginning to the end of the transaction and no longer. It is not set outside of
//! units of work, where a policy such as `USING (tenant = current_setting('app.tenant', true))` shows no rows.
//!
//! # Behind a connection pooler
//!
//! Give PgBouncer's `[databases]` an entry `*`, so that it takes any name, and limit what it opens itself with
//! `max_db_connections` (<https://www.pgbouncer.org/config.html>). With `pool_mode = transaction`, set
//! `pooler = "transaction"`: see [`Pooler`](crate::Pooler). A schema for each tenant is refused there, since it would be
//! set for a server connection that the next transaction need not have. A database for each tenant and row-level security
//! are safe.

#[doc(no_inline)]
pub use crate::registry::{Tenant, TenantResolver};
#[doc(no_inline)]
pub use crate::settings::TenantError;
