//! What a user writes down: where each database is, and how its engine behaves.
//!
//! [`Settings`] come from a file, from environment variables, or from any serde loader as a part of
//! the application's own settings; [`BindSettings`] come from code. Reading them finds no fault:
//! all that is wrong is told at once when the registry is built, as a [`SettingsError`].
//!
//! ```toml
//! [database]                        # this table, or the top level where there is none
//! url = "postgres://app@localhost/app"          # the default bind
//!
//! [database.options]                # for every engine, see `EngineOptions`
//! max_connections = 10
//!
//! [database.binds]
//! analytics = "sqlite://analytics.db"           # a bind is a URL ..
//!
//! [database.binds.reports]                      # .. or a table with options of its own
//! url = "mysql://app@localhost/reports"
//! password_file = "/run/secrets/reports"        # or password, or url_file
//! max_connections = 4
//! acquire_timeout = "5s"
//! migrate_url = "mysql://root@localhost/reports" # where migrations connect instead
//! required = false                              # `verify` only warns
//! ```
//!
//! `max_engines` and `engine_idle_timeout` stand beside `url`, and `{tenant}` in the URL of a bind: see
//! [`tenant`](crate::tenant).
//!
//! # Who wins
//!
//! A bind's own options win over `options`, those over the options of the registry's builder, and
//! those over the defaults. The default bind's own options stand in `binds.default`; its URL stands
//! there or in `url`, not in both.
//!
//! An upper layer wins over a lower one: the variables of [`Settings::overlaid_with`] over the file,
//! and a bind that code says over one of the same key in all of them, which it replaces whole. Where
//! a URL comes from a variable and the file has a `password`, `password_file` or `url_file` beside
//! the URL that is overridden: the variable's URL replaces `url` and `url_file`; if it has a password
//! of its own, that one counts, and if it has none, the file's password does. A `migrate_url` in the
//! file does not count then, as it leads to the database of the file's URL.
//!
//! # Variables
//!
//! | variable | sets |
//! |---|---|
//! | `DATABASE_URL` | the URL of the default bind, which it may make |
//! | `ANALYTICS_DATABASE_URL` | the URL of `analytics`, if the settings have that bind; it makes none |
//! | `DATABASE__URL`, `DATABASE__PASSWORD_FILE`, .. | a key of the table `database` |
//! | `DATABASE__OPTIONS__MAX_CONNECTIONS`, .. | an option for every engine |
//! | `DATABASE__BINDS__REPORTS` | the URL of `reports`, which it may make |
//! | `DATABASE__BINDS__REPORTS__MAX_CONNECTIONS`, .. | a key of the bind `reports`, which it may make |
//!
//! An empty variable counts as unset. The first two win over the others where both say a URL. A
//! variable that begins with `DATABASE__` and sets nothing is an error. The prefix `DATABASE` can be
//! changed, see [`Settings::overlaid_with_prefix`].

mod bind_settings;
mod credentials;
mod error;
mod inherit;
mod keys;
mod options;
mod parse;
mod sources;
#[cfg(test)]
mod testing;
pub(crate) mod url;
mod validate;
mod value;
mod work_options;

pub use bind_settings::BindSettings;
pub use credentials::Credentials;
pub use error::{Problem, Problems, SettingsError};
pub use keys::{
    BackendKind, BindKey, InvalidBindKey, TenantError, UnknownBind, WrongBackend, WrongKeys,
};
pub use options::{EngineOptions, Pooler, ResetOnReturn};
pub use sources::Settings;
pub use url::{DatabaseUrl, InvalidUrl};
pub use work_options::{Isolation, WorkOptions};

pub(crate) use credentials::CredentialSource;
pub(crate) use inherit::{
    BindDefaults, BuilderSettings, EngineSettings, OnDemandOptions, Resolved, resolve,
};
pub(crate) use keys::TenantName;
pub(crate) use url::TENANT_PLACEHOLDER;
#[cfg(feature = "axum")]
pub(crate) use url::TenantUrlError;
