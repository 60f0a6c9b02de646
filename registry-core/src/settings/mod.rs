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

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

mod backend_kind;
mod bind_defaults;
mod bind_key;
mod bind_settings;
mod credentials;
mod document;
mod draft;
mod environment;
mod error;
mod honour;
mod migrate_url;
mod nearest;
mod options;
mod pooler;
mod ranges;
mod resolve;
mod tenant_name;
mod unknown_bind;
pub(crate) mod url;
mod value;
mod work_keys;
mod work_options;

pub use backend_kind::{BackendKind, WrongBackend};
pub use bind_key::{BindKey, InvalidBindKey};
pub use bind_settings::BindSettings;
pub use credentials::Credentials;
pub use error::{Problem, Problems, SettingsError};
pub use options::{EngineOptions, ResetOnReturn};
pub use pooler::Pooler;
pub use tenant_name::TenantError;
pub use unknown_bind::UnknownBind;
pub(crate) use url::TENANT_PLACEHOLDER;
#[cfg(feature = "axum")]
pub(crate) use url::TenantUrlError;
pub use url::{DatabaseUrl, InvalidUrl};
pub use work_keys::WrongKeys;
pub use work_options::{Isolation, WorkOptions};

pub(crate) use bind_defaults::BindDefaults;
pub(crate) use credentials::CredentialSource;
pub(crate) use resolve::{BuilderSettings, EngineSettings, OnDemandOptions, Resolved, resolve};
pub(crate) use tenant_name::TenantName;

use draft::Draft;
use environment::Variables;
use value::Value;

/// The prefix of the variables, where nobody says another.
const PREFIX: &str = "DATABASE";

/// Where the databases are, and how their engines behave, as written down outside the code.
///
/// A field of this type in the application's own settings can be read by any serde loader, whose
/// numbers and booleans may be texts. See the [module](self) for what can be said, and who wins.
///
/// ```
/// use registry_core::Settings;
///
/// #[derive(serde::Deserialize)]
/// struct AppSettings {
///     port: u16,
///     database: Settings,
/// }
///
/// let settings: AppSettings = toml::from_str(
///     r#"
///     port = 8080
///     [database]
///     url = "sqlite://app.db"
///     [database.binds]
///     analytics = "sqlite://analytics.db"
///     "#,
/// )?;
/// let database = settings
///     .database
///     .relative_to("/var/lib/app")
///     .overlaid_with([("ANALYTICS_DATABASE_URL", "sqlite::memory:")]);
/// # let _ = (settings.port, database);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Settings {
    /// The lowest first.
    layers: Vec<Draft>,
    /// Where relative paths begin. Empty is the current directory.
    base: PathBuf,
}

impl Settings {
    /// Reads a TOML file: its table `[database]`, or its top level where there is none.
    ///
    /// Relative paths in the settings, of SQLite databases and of files with secrets or
    /// certificates, are relative to the folder of this file, those in variables that are laid over
    /// it as well; [`relative_to`](Self::relative_to) changes that. Environment variables are not
    /// read, see [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// [`SettingsError::Unreadable`] if the file cannot be read, and [`SettingsError::Syntax`] if it
    /// is not TOML. What looks like a URL in place of a path is not repeated. Everything else is told when the registry is built.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SettingsError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
        let settings = Self::parse(&text, Some(path))?;
        Ok(settings.relative_to(path.parent().unwrap_or(Path::new(""))))
    }

    /// Reads TOML: its table `[database]`, or its top level where there is none.
    ///
    /// ```
    /// use registry_core::Settings;
    ///
    /// let settings = Settings::from_toml(r#"url = "sqlite::memory:""#)?;
    ///
    /// let error = Settings::from_toml("[database]\nurl = ").unwrap_err();
    /// assert!(error.to_string().starts_with("line 2, column 7: "));
    /// # let _ = settings;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SettingsError::Syntax`] if it is not TOML. Everything else is told when the registry is
    /// built.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        Self::parse(text, None)
    }

    /// Reads the variables of this process, and nothing else.
    ///
    /// Relative paths are relative to the current directory.
    #[must_use]
    pub fn from_env() -> Self {
        Self::default().overlaid_with_env(PREFIX)
    }

    /// Reads a TOML file as [`from_file`](Self::from_file) does, and lays the variables of this
    /// process over it.
    ///
    /// # Errors
    ///
    /// Those of [`from_file`](Self::from_file).
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SettingsError> {
        Ok(Self::from_file(path)?.overlaid_with_env(PREFIX))
    }

    /// Lays variables over these settings: names and values, as `std::env::vars()` has them.
    ///
    /// Only those that begin with `DATABASE__`, are `DATABASE_URL` or end in `_DATABASE_URL` count.
    /// The environment of this process is not read.
    #[must_use]
    pub fn overlaid_with<N: Into<String>, V: Into<String>>(
        self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.overlaid_with_prefix(PREFIX, variables)
    }

    /// The same for variables with another prefix.
    ///
    /// With `"APP_DB"` they are called `APP_DB_URL`, `ANALYTICS_APP_DB_URL` and
    /// `APP_DB__BINDS__REPORTS__MAX_CONNECTIONS`.
    #[must_use]
    pub fn overlaid_with_prefix<N: Into<String>, V: Into<String>>(
        self,
        prefix: &str,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name.into(), Some(value.into())));
        self.overlaid(prefix, variables.collect())
    }

    /// The same for the variables of this process.
    #[must_use]
    pub fn overlaid_with_env(self, prefix: &str) -> Self {
        let variables = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())));
        self.overlaid(prefix, variables.collect())
    }

    /// Makes relative paths, of SQLite databases and of files with secrets, begin in `folder`.
    ///
    /// Without it they begin in the folder of the settings file or, where there is none, in the
    /// current directory.
    #[must_use]
    pub fn relative_to(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base = folder.into();
        self
    }

    fn parse(text: &str, path: Option<&Path>) -> Result<Self, SettingsError> {
        let value: Value = toml::from_str(text).map_err(|error| syntax(text, path, &error))?;
        Ok(Self { layers: vec![document::read_file(value, 0)], base: PathBuf::new() })
    }

    fn overlaid(mut self, prefix: &str, variables: Variables) -> Self {
        let layer = self.layers.len();
        self.layers.push(environment::read(prefix, variables, layer));
        self
    }

    /// All layers in one.
    fn merged(&self) -> Draft {
        let mut merged = Draft::default();
        for layer in &self.layers {
            merged.overlay(layer.clone());
        }
        merged
    }

    fn base(&self) -> &Path {
        &self.base
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(Self { layers: vec![document::read(value, 0)], base: PathBuf::new() })
    }
}

/// Without passwords.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let merged = self.merged();
        f.debug_struct("Settings")
            .field("binds", &merged.binds)
            .field("options", &merged.options)
            .field("problems", &merged.problems)
            .field("relative_to", &self.base)
            .finish()
    }
}

/// A URL where the path of the file belongs may have a password in it.
fn unreadable(path: &Path, source: io::Error) -> SettingsError {
    if path.to_str().is_some_and(url::is_like_url) {
        let message = "the path of a file is expected, and what stands there looks like a URL";
        return SettingsError::from_problem("settings file", message);
    }
    SettingsError::Unreadable { path: path.to_owned(), source }
}

/// The place and the message alone: the whole error would repeat the line, password and all.
fn syntax(text: &str, path: Option<&Path>, error: &toml::de::Error) -> SettingsError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    SettingsError::Syntax {
        path: path.map(Path::to_owned),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::resolve::testing::{engines, problems, resolve, urls};
    use super::*;

    #[derive(Deserialize)]
    struct AppSettings {
        #[serde(default)]
        database: Settings,
    }

    #[test]
    fn any_serde_loader_can_produce_them() {
        let toml = "
            [database]
            url = 'sqlite:///app.db'
            [database.options]
            max_connections = 4
            read_only = true
            [database.binds]
            analytics = 'sqlite:///analytics.db'
        ";
        let json = r#"{ "database": {
            "url": "sqlite:///app.db",
            "password": null,
            "options": { "max_connections": "4", "read_only": "true", "queue_limit": null },
            "binds": { "analytics": { "url": "sqlite:///analytics.db" }, "gone": null }
        } }"#;
        let from_toml: AppSettings = toml::from_str(toml).unwrap();
        let from_json: AppSettings = serde_json::from_str(json).unwrap();
        for settings in [from_toml.database, from_json.database] {
            let engines = engines(&settings);
            assert_eq!(
                urls(&settings),
                ["analytics sqlite:///analytics.db", "default sqlite:///app.db"]
            );
            assert_eq!(engines[0].options.max_connections, 4);
            assert!(engines[1].options.read_only);
        }
    }

    #[test]
    fn a_url_alone_is_the_default_bind() {
        let app: AppSettings =
            serde_json::from_str(r#"{ "database": "sqlite:///app.db" }"#).unwrap();
        assert_eq!(urls(&app.database), ["default sqlite:///app.db"]);
    }

    #[test]
    fn a_field_of_the_application_can_be_left_out() {
        let app: AppSettings = toml::from_str("").unwrap();
        assert_eq!(problems(&app.database).len(), 1);
        let app: AppSettings = serde_json::from_str(r#"{ "database": null }"#).unwrap();
        assert_eq!(problems(&app.database).len(), 1);
    }

    #[test]
    fn what_a_loader_brings_is_never_a_reason_to_stop() {
        let app: AppSettings = serde_json::from_str(
            r#"{ "database": { "url": 1, "options": [], "binds": { "a": 2.5 } } }"#,
        )
        .unwrap();
        assert_eq!(
            problems(&app.database),
            [
                "binds.a: expected a URL, or a table with one, found a decimal number",
                "options: expected a table, found a list",
                "url: expected the URL of a database, found a number",
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_makes_relative_paths_begin_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        fs::write(&file, "[database]\nurl = 'sqlite://data/app.db'").unwrap();
        let settings = Settings::from_file(&file).unwrap();
        assert_eq!(
            urls(&settings),
            [format!("default sqlite://{}/data/app.db", folder.path().display())]
        );
        assert_eq!(
            urls(&settings.relative_to("/elsewhere")),
            ["default sqlite:///elsewhere/data/app.db"]
        );
    }

    #[test]
    fn a_file_that_is_not_there_says_which_and_its_source_says_why() {
        let error = Settings::load("no/such/settings.toml").unwrap_err();
        assert_eq!(error.to_string(), "cannot read the settings file no/such/settings.toml");
        let source = fs::read("no/such/settings.toml").unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), source.to_string());
        assert_eq!(error.problems().count(), 0);
    }

    #[test]
    fn a_url_in_place_of_the_file_is_not_repeated() {
        for url in ["postgres://app:zauber@db/app", "sqlite:zauber.db", "odd://zauber"] {
            let error = Settings::from_file(url).unwrap_err();
            assert_eq!(
                error.to_string(),
                "settings file: the path of a file is expected, and what stands there looks like a URL"
            );
            assert!(!format!("{error:?}").contains("zauber"), "{error:?}");
        }
    }

    #[test]
    fn what_is_not_toml_has_a_line_and_a_column() {
        let error = Settings::from_toml("[database]\nurl = 'sqlite::memory:' x\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2, column 25: "), "{error}");

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        fs::write(&file, "a = 'ä' x").unwrap();
        let error = Settings::from_file(&file).unwrap_err();
        let expected = format!("{}: line 1, column 9: ", file.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }

    #[test]
    fn a_syntax_error_does_not_repeat_the_password() {
        for text in [
            "password = 'zauber",
            "password = zauber",
            "password = \"zauber\\q\"",
            "password = 'x' zauber",
            "zauber",
            "zauber = 1\nzauber = 2",
            "url = postgres://u:zauber@h/db",
        ] {
            let error = Settings::from_toml(text).unwrap_err();
            for shown in [format!("{error}"), format!("{error:?}")] {
                // A key is no secret, and may be named.
                assert!(
                    !shown.contains("zauber") || text.starts_with("zauber"),
                    "{text} is shown as {shown}"
                );
            }
        }
    }

    #[test]
    fn no_password_is_shown() {
        for text in [
            "url = 'postgres://u:zauber@h/db'",
            "url = 'postgres://u:x@zauber@h/db'",
            "url = 'zauber'",
            "url = 'postgres://u@h/db'\npassword = 'zauber'",
            "binds.a = 'mysql://u:zauber/x@h'",
            "binds.a.max_connections = 'zauber'",
            "binds.a.acquire_timeout = 'zauber'",
            "binds.a.reset_on_return = 'zauber'",
            "binds.a.required = 'zauber'",
            "binds.a.on_connect = [\"PRAGMA key = 'zauber'\"]\nbinds.a.url = 'sqlite:a.db'",
            "options.on_connect = 'zauber'\nbinds.a = 'sqlite:a.db'",
            "binds.a.url_file = 'zauber'",
            "binds.a.url = 'postgres://u@h/db'\nbinds.a.password_file = 'zauber'",
            "options = 'zauber'",
            "binds = 'zauber'",
            "database = ['zauber']",
        ] {
            let settings = Settings::from_toml(text).unwrap().overlaid_with([
                ("DATABASE__OPTIONS__MIN_IDLE", "zauber"),
                ("X_DATABASE_URL", "zauber"),
            ]);
            let (engines, problems) = resolve(&settings, Vec::new(), &EngineOptions::default());
            let error = SettingsError::from_problems(problems);
            let shown = format!("{settings:?} {settings:#?} {engines:?} {error} {error:?}");
            assert!(!shown.contains("zauber"), "{text} is shown as {shown}");
        }
    }
}
