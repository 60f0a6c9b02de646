//! A database, or a schema, for each tenant.
//!
//! [`Registry::tenant`](crate::Registry::tenant) returns a [`Tenant`]. Sessions and queries through it go to the
//! tenant's database.
//!
//! # Settings
//!
//! A bind whose URL has `{tenant}` in the name of its database, or in the path of its file, has a database for each
//! tenant:
//!
//! ```toml
//! [database]
//! max_engines = 64                        # how many can be open on demand at once
//! engine_idle_timeout = "10min"           # an engine unused for that long is closed; or "none"
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
//! In code, [`BindSettings`](crate::BindSettings) takes the same settings. If tenants differ in more than a name, a
//! [`TenantResolver`] finds the settings of each. [`RegistryBuilder::credentials`](crate::RegistryBuilder::credentials)
//! provides passwords for all of them.
//!
//! # Guarantees
//!
//! - A session or query through a [`Tenant`] for such a bind always goes to that tenant's database. Without a tenant it
//!   is an error ([`AcquireError::NoTenant`](crate::AcquireError::NoTenant)). There is no current tenant that a task
//!   could inherit.
//! - The name of a tenant is 1 to 63 letters, digits, `-`, `_` and `.`, and neither begins nor ends with `.`. It is
//!   percent-encoded in a URL, so it cannot change host, user, options or path. `{tenant}` anywhere but in the name of
//!   the database is an error when the registry is built. A database name that the server would truncate is refused,
//!   because the truncated name could be the name of another tenant's database.
//! - An unknown tenant is an error of its own ([`AcquireError::UnknownTenant`](crate::AcquireError::UnknownTenant)).
//!   Nothing is created for it, and no engine stays open, even where the URL of a SQLite file says `mode=rwc`: only
//!   [`create_tenant`](crate::Registry::create_tenant) creates tenants. (The exception is a SQLite database in memory,
//!   which is created when it is opened.)
//! - There is one engine for each URL (with user and password) and options, however many callers ask at once, and
//!   whether by tenant or by [`session_by_url`](crate::Registry::session_by_url). A failure to open one is not cached.
//! - At most `max_engines` are open or being closed. Beyond that, the least recently used of the unused engines is
//!   evicted: its connections are closed before another engine opens. (PostgreSQL and MySQL notice a closed connection
//!   a moment later.)
//! - An engine that has a session lent, or for which a caller waits, is never evicted. If every engine is in use,
//!   callers wait, first come, first served, for `acquire_timeout` at most. Then they get
//!   [`AcquireError::TooManyEngines`](crate::AcquireError::TooManyEngines).
//! - Opening an engine does not delay callers of other engines.
//! - With a schema for each tenant, `search_path` is set to that schema before a session is lent, in one round trip. No
//!   other schema is in it, not even `public`; only `pg_temp` comes after it. A connection that another tenant used is
//!   fully reset first, and loses its prepared statements. Diesel looks custom types up once for each connection:
//!   define them in a schema of their own.
//!
//! [`Registry::status`](crate::Registry::status) shows the engines with their tenants, and how often an engine was
//! found, opened and closed. [`close_tenant`](crate::Registry::close_tenant),
//! [`close_engine`](crate::Registry::close_engine) and [`replace_engine`](crate::Registry::replace_engine) also close
//! engines that are in use: lent sessions stay usable until they are returned.
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
//! Give PgBouncer's `[databases]` an entry `*`, so that it accepts any name, and limit its server connections with
//! `max_db_connections` (<https://www.pgbouncer.org/config.html>). With `pool_mode = transaction`, set `pooler =
//! "transaction"`: see [`Pooler`](crate::Pooler). A schema for each tenant is refused there, because the schema would
//! be set on one server connection, and the next transaction may run on another. A database for each tenant and
//! row-level security are safe.

#[doc(no_inline)]
pub use crate::registry::{MigrateTenants, Tenant, TenantOutcome, TenantResolver, TenantResult};
pub use crate::registry::{TenantFailure, TenantNameItem, TenantNames, tenant_names};
#[doc(no_inline)]
pub use crate::settings::TenantError;
