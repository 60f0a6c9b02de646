//! What a user writes down: where each database is, and how its engine behaves.
//!
//! [`Settings`] come from a file, from environment variables, or from any serde loader as a part of
//! the application's own settings; [`BindSettings`] come from code. Reading them reports no mistake in them:
//! every problem is reported at once, as a [`SettingsError`], when the registry is built.
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
//! # Precedence
//!
//! A bind's own options win over `options`, those over the options of the registry's builder, and
//! those over the defaults. The default bind's own options stand in `binds.default`; its URL stands
//! there or in `url`, not in both.
//!
//! An upper layer wins over a lower one: the variables of [`Settings::overlaid_with`] win over the file. A bind
//! that code adds replaces one of the same key in the settings as a whole.
//!
//! If a variable gives a URL, and the file has a `password`, `password_file` or `url_file` beside the URL that is
//! overridden, then the variable's URL replaces both `url` and `url_file`. Its own password is used if it has one, and
//! otherwise the password of the file. A `migrate_url` in the file is ignored then, because it leads to the database of
//! the file's URL.
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
//! An empty variable counts as unset. The first two win over the others where both give a URL. A
//! variable that begins with `DATABASE__` and sets nothing is an error. The prefix `DATABASE` can be
//! changed, see [`Settings::overlaid_with_prefix`].

// The life of a setting: written -> parsed -> inherited -> validated -> `EngineSettings`. Read in this order:
//
// | file or folder | stage | contents |
// |---|---|---|
// | sources.rs | written | `Settings`: files, variables and serde loaders, in layers |
// | bind_settings.rs | written | `BindSettings`: one bind, from code |
// | options/ | written | `EngineOptions`: the list of options, and in which order layers win |
// | value.rs, from_value.rs | parsed | what a loader produced; reading it into types |
// | parse/ | parsed | documents and variables become drafts, which keep where each setting was written |
// | inherit/ | inherited | `resolve`, which building a registry calls: what each bind comes to |
// | validate/ | validated | what cannot be, by range, by backend, by pooler, by URL |
// | inherit/engine_settings.rs | | `EngineSettings`: the result, all that an engine gets to see |
//
// Beside them, used by all stages:
//
// | file or folder | contents |
// |---|---|
// | keys/ | bind keys, unknown binds, kinds of backends, names of tenants |
// | url/ | URLs of databases, and what may be shown of them |
// | error.rs | `SettingsError`, and `Problem`, which names the place of a setting |
// | credentials.rs | passwords that are asked for whenever a connection is opened |
// | work_options.rs | the options of a unit of work |
//
// How to add an option, such as `application_name` for PostgreSQL:
//
// 1. options/list.rs: an entry with its documentation, type, default and setter. If it has a type of its own: that type
//    beside options/pooler.rs, with `FromValue` (from_value.rs) and `ShowOption` (options/shown.rs).
// 2. validate/backend_support.rs: a row in the table, if not every backend can honour it.
// 3. validate/ranges.rs, if not every value of its type can be used; validate/pooler.rs, if the driver sets it on the
//    session, which a transaction pooler does not allow.
// 4. The driver's use of it, where it opens a connection: `startup_options` in backend/postgres/, `connect` in
//    backend/mysql/ and backend/sqlite/. What the pool does with it is in engine/.
// 5. Documentation: the table in docs/guide/settings.md and the list in options/tests.rs, which tests hold to the code;
//    CHANGELOG.md.
//
// A field of a bind that is not an option, as `migrate_url` is, goes through `BindSettings`, `BindDraft` (parse/draft.rs)
// and `EngineSettings`.

mod bind_settings;
mod credentials;
mod error;
mod from_value;
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

#[doc(no_inline)]
pub use bind_settings::BindSettings;
#[doc(no_inline)]
pub use credentials::Credentials;
#[doc(no_inline)]
pub use error::SettingsError;
pub use error::{Problem, Problems};
pub use keys::WrongKeys;
#[doc(no_inline)]
pub use keys::{BackendKind, BindKey, InvalidBindKey, TenantError, UnknownBind, WrongBackend};
#[doc(no_inline)]
pub use options::{EngineOptions, Pooler, ResetOnReturn};
#[doc(no_inline)]
pub use sources::Settings;
#[doc(no_inline)]
pub use url::DatabaseUrl;
pub use url::InvalidUrl;
#[doc(no_inline)]
pub use work_options::{Isolation, WorkOptions};

pub(crate) use credentials::CredentialSource;
pub(crate) use inherit::{
    BindDefaults, BuilderSettings, EngineSettings, OnDemandOptions, Resolved, resolve,
};
pub(crate) use keys::TenantName;
pub(crate) use url::TENANT_PLACEHOLDER;
#[cfg(feature = "axum")]
pub(crate) use url::TenantUrlError;
