//! A database per tenant.
//!
//! # Settings
//!
//! A bind whose URL has `{tenant}` in the name of its database, or in the path of its file, has a
//! database for each tenant:
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
//! In code, [`BindSettings`](crate::BindSettings) takes the same. Where tenants differ in more than
//! a name, a [`TenantResolver`] finds the settings of each.
//! [`RegistryBuilder::credentials`](crate::RegistryBuilder::credentials) serves all of them with
//! passwords.
//!
//! # Guarantees
//!
//! - Whatever is acquired or run through a [`Tenant`] for such a bind is in that tenant's database.
//!   Without a tenant it is an error ([`AcquireError::NoTenant`](crate::AcquireError::NoTenant)).
//!   There is no current tenant that a task could inherit.
//! - The name of a tenant is 1 to 63 letters, digits, `-`, `_` and `.`, neither begins nor ends
//!   with `.`, and is percent-encoded where it is put. It cannot change the host, user, options or
//!   path of a URL. `{tenant}` anywhere but in the name of the database is an error when the
//!   registry is built. A database name that its server would cut is refused: it could be another
//!   tenant's.
//! - An unknown tenant is an error of its own
//!   ([`AcquireError::UnknownTenant`](crate::AcquireError::UnknownTenant)). Nothing is made, and no
//!   engine stays open, also where the URL of a SQLite file says `mode=rwc`: tenants are made by
//!   [`create_tenant`](crate::Registry::create_tenant), and by nothing else. (A SQLite database in memory is made
//!   when it is opened.)
//! - There is one engine for each URL and options, user and password included, however many ask at
//!   once and by whatever way: tenants and [`session_by_url`](crate::Registry::session_by_url)
//!   alike. What could not be opened is not remembered.
//! - No more than `max_engines` are open or being closed. Past that, the least recently used idle engine
//!   makes room: its connections are closed before another engine opens. (PostgreSQL and MySQL take a moment to see that a connection is closed.)
//! - An engine that has a session lent, or for whose session somebody waits, is never closed for
//!   another. If all are like that, callers wait, first come first served, for `acquire_timeout`,
//!   and then hear [`AcquireError::TooManyEngines`](crate::AcquireError::TooManyEngines).
//! - Opening an engine holds up nobody who uses another.
//! - A session of a schema is put into it before it is lent, and into no other, not even `public`, in one
//!   round trip. A connection that was another tenant's is made as new in it, and forgets its prepared
//!   statements. `pg_temp` stands last in `search_path`. Diesel looks custom types up once a connection:
//!   define them in a schema of their own.
//!
//! [`Registry::status`](crate::Registry::status) shows the engines with their tenants, and how often one was found, opened and closed.
//! [`close_tenant`](crate::Registry::close_tenant), [`close_engine`](crate::Registry::close_engine) and [`replace_engine`](crate::Registry::replace_engine) close engines while they are
//! used: lent sessions stay usable until they are returned.
//!
//! # Row-level security
//!
//! Tenants can share their tables, with policies of PostgreSQL's that go by a setting.
//! `tenant_setting = "app.tenant"` puts the tenant's name into that setting in each transaction of a unit of
//! work that is begun through a [`Tenant`], from the beginning to the end of the transaction and no longer. It is
//! not set outside of units of work, where a policy such as
//! `USING (tenant = current_setting('app.tenant', true))` shows no rows.
//!
//! # Behind a connection pooler
//!
//! Give PgBouncer's `[databases]` an entry `*`, so that it takes any name, and bound what it opens itself
//! with `max_db_connections` (<https://www.pgbouncer.org/config.html>). With `pool_mode = transaction`, say
//! `pooler = "transaction"`: see [`Pooler`](crate::Pooler). A schema per tenant is refused there, since the schema
//! would be set for a server connection that the next transaction need not have. A database per tenant and
//! row-level security are safe.

#[doc(no_inline)]
pub use crate::registry::{Tenant, TenantResolver};
#[doc(no_inline)]
pub use crate::settings::TenantError;
