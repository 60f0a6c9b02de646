//! Settings: the URL of each database, and the options of its engine.
//!
//! [`Settings`] come from a file, from environment variables, or from any serde loader as a part of the application's
//! own settings; [`BindSettings`] come from code. Mistakes in them are not reported when they are read, but all at
//! once, as a [`SettingsError`], when the registry is built.
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
//! migrate_url = "mysql://root@localhost/reports" # the URL for migrations
//! replicas = ["mysql://replica.example"]         # for readers; what a URL leaves out is the bind's
//! required = false                              # `verify` only warns
//! ```
//!
//! A replica is a URL, or a table with a URL, a password, a `weight` and options of its own. `token_key` or
//! `token_key_file`, beside `url` of the default bind, is the secret that signs [tokens](crate::Token) of clients.
//!
//! For a database for each tenant, there are also `max_engines` and `engine_idle_timeout` beside `url`, and `{tenant}`
//! in the URL of a bind: see [`tenant`](crate::tenant).
//!
//! # Precedence
//!
//! A bind's own options win over the table `options`. The table wins over the options of the registry's builder, and
//! the builder wins over the defaults. The default bind's own options are in `binds.default`. Its URL is there or in
//! `url`, but not in both.
//!
//! An upper layer wins over a lower one: the variables of [`Settings::overlaid_with`] win over the file. A bind that
//! code adds replaces the whole bind of the same key in the settings.
//!
//! If a variable gives a URL, and the file has a `password`, `password_file` or `url_file` beside the URL that is
//! overridden, then the variable's URL replaces both `url` and `url_file`. Its own password is used if it has one, and
//! otherwise the password of the file.
//!
//! If a variable gives a URL, the `replicas` of the file are ignored, with a warning: they lead to the database of the
//! file's URL, too.
//!
//! If a variable gives a URL, a `migrate_url` of the file is ignored, whatever else stands there, because it leads to the
//! database of the file's URL.
//!
//! # Variables
//!
//! | variable | sets |
//! |---|---|
//! | `DATABASE_URL` | the URL of the default bind; creates the bind if there is none |
//! | `ANALYTICS_DATABASE_URL` | the URL of `analytics`, if the settings have that bind; never creates a bind |
//! | `DATABASE__URL`, `DATABASE__PASSWORD_FILE`, .. | a key of the table `database` |
//! | `DATABASE__OPTIONS__MAX_CONNECTIONS`, .. | an option for every engine |
//! | `DATABASE__BINDS__REPORTS__REPLICAS`, `DATABASE__REPLICAS` | all replicas of a bind: URLs with white space in between |
//! | `DATABASE__BINDS__REPORTS` | the URL of `reports`; creates the bind if there is none |
//! | `DATABASE__BINDS__REPORTS__MAX_CONNECTIONS`, .. | a key of the bind `reports`; creates the bind if there is none |
//!
//! An empty variable counts as unset. The first two rows win over the others if both give a URL. A variable that begins
//! with `DATABASE__` and sets nothing is an error. The prefix `DATABASE` can be changed, see
//! [`Settings::overlaid_with_prefix`].

// The life of a setting: written -> parsed -> inherited -> validated -> `EngineSettings`. Read in this order:
//
// | file or folder | stage | contents |
// |---|---|---|
// | sources.rs | written | `Settings`: files, variables and serde loaders, in layers |
// | bind_settings.rs | written | `BindSettings`: one bind, from code |
// | options/ | written | `EngineOptions`: the list of options, and the precedence of layers |
// | value.rs, from_value.rs | parsed | the untyped value that a loader produced; reading it into types |
// | parse/ | parsed | documents and variables become drafts, which keep where each setting was written |
// | inherit/ | inherited | `resolve`, which the registry's builder calls: the settings that each bind inherits |
// | validate/ | validated | checks: of ranges, by backend, by pooler, by URL |
// | inherit/engine_settings.rs | | `EngineSettings`: the result, the only settings that an engine gets |
//
// Beside them, used by all stages:
//
// | file or folder | contents |
// |---|---|
// | keys/ | bind keys, unknown binds, kinds of backends, names of tenants |
// | url/ | URLs of databases, and which parts of a URL may be shown |
// | error.rs | `SettingsError`, and `Problem`: one problem with the place of the setting |
// | connector.rs | the program's own way to connect, a closure |
// | endpoint.rs | one of the servers that a URL leads to |
// | credentials.rs | the closure that returns a password whenever a connection is opened |
// | role.rs | the role of a server in replication |
// | work_options.rs | the options of a unit of work |
// | transaction_options.rs | the options of one transaction of a session |
//
// How to add an option, such as `application_name` for PostgreSQL:
//
// 1. options/list.rs: an entry with documentation, type, default and setter. If the option needs a new type: put the
//    type beside options/pooler.rs, and implement `FromValue` (from_value.rs) and `ShowOption` (options/shown.rs).
// 2. validate/backend_support.rs: a row in the table, if not every backend can honour it.
// 3. validate/ranges.rs, if not every value of the type is valid. validate/pooler.rs, if the driver sets the option on
//    the session: through a transaction pooler, it would reach other clients.
// 4. The code that applies the option: for the pool in engine/, and for a connection in `Driver::open`
//    (backend/mysql/mod.rs, backend/sqlite/mod.rs, backend/postgres/mod.rs). For PostgreSQL, use `Driver::open` in
//    backend/postgres/mod.rs for what the driver has a method for, such as `Config::application_name`. Use
//    `startup_options` in backend/postgres/url.rs for a setting of the server without one, such as `statement_timeout`:
//    it writes `-c name=value` without escaping spaces, and a transaction pooler refuses start-up options. If the URL
//    can have a parameter of the same name, as with `application_name`, decide which of the two wins, and document the
//    rule.
// 5. Documentation: the table in docs/guide/settings.md and the list in options/tests.rs, which tests hold to the code;
//    CHANGELOG.md.
//
// A field of a bind that is not an option, such as `migrate_url`, goes through `BindSettings`, `BindDraft`
// (parse/draft.rs) and `EngineSettings`.

mod bind_settings;
mod connector;
mod credentials;
mod endpoint;
mod error;
mod from_value;
mod inherit;
mod keys;
mod options;
mod parse;
mod role;
mod sources;
#[cfg(test)]
mod testing;
mod transaction_options;
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
pub use options::Pem;
#[doc(no_inline)]
pub use options::{
    EngineOptions, Pooler, ResetOnReturn, Share, Synchronous, WhenBehind, WhenPending, WhenUnknown,
};
#[doc(no_inline)]
pub use role::Role;
#[doc(no_inline)]
pub use sources::Settings;
#[doc(no_inline)]
pub use url::DatabaseUrl;
pub use url::InvalidUrl;
#[doc(no_inline)]
pub use work_options::{Isolation, WorkOptions};

#[doc(hidden)]
pub use connector::ConnectFn;
pub(crate) use connector::Connector;
pub(crate) use credentials::CredentialSource;
pub(crate) use endpoint::Endpoint;
pub(crate) use inherit::{
    BindDefaults, BuilderSettings, EngineSettings, OnDemandOptions, ReplicaSettings, Resolved,
    resolve,
};
pub(crate) use keys::{TenantName, nearest};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use transaction_options::Access;
#[cfg(feature = "sqlite")]
pub(crate) use transaction_options::SqliteLock;
pub(crate) use transaction_options::TransactionOptions;
pub(crate) use url::TENANT_PLACEHOLDER;
#[cfg(feature = "axum")]
pub(crate) use url::TenantUrlError;
