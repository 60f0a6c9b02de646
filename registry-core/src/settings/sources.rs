//! `Settings`: settings from outside the code, in layers. A layer is a file, a set of variables, or the output of a
//! serde loader.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::settings::error::SettingsError;
use crate::settings::parse::document;
use crate::settings::parse::draft::Draft;
use crate::settings::parse::environment::{self, Variables};
use crate::settings::url::is_like_url;
use crate::settings::value::Value;

/// The default prefix of the variables.
const DEFAULT_PREFIX: &str = "DATABASE";

/// The URLs of the databases and the options of their engines, from outside the code.
///
/// A field of this type in the application's own settings can be read by any serde loader, whose numbers and booleans
/// may be texts. See the [module](crate::settings) for the keys, the variables, and their precedence.
/// [`Registry::from_settings`](crate::Registry::from_settings) makes a registry of these settings, and reports every
/// mistake at once.
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
    /// The lowest layer first.
    layers: Vec<Draft>,
    /// The folder in which relative paths begin. If it is empty, they begin in the current directory.
    base: PathBuf,
}

impl Settings {
    /// Reads a TOML file: its table `[database]`, or its top level where there is none.
    ///
    /// Relative paths in the settings, of SQLite databases and of files with secrets or certificates, are relative to
    /// the folder of this file. So are relative paths in variables that are laid over this file.
    /// [`relative_to`](Self::relative_to) changes that. Environment variables are not read, see [`load`](Self::load).
    ///
    /// ```
    /// use registry_core::Settings;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("settings.toml");
    /// std::fs::write(&path, "[database]\nurl = 'sqlite://data/app.db'")?;
    /// let settings = Settings::from_file(&path)?;   // `data` is beside the file
    /// # let _ = settings;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SettingsError::Unreadable`] if the file cannot be read, and [`SettingsError::Syntax`] if it
    /// is not TOML. A `path` that looks like a URL is [`SettingsError::Invalid`], and is not repeated. Everything else is
    /// reported when the registry is built.
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
    /// [`SettingsError::Syntax`] if it is not TOML. Everything else is reported when the registry is
    /// built.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        Self::parse(text, None)
    }

    /// Reads the variables of this process, and nothing else.
    ///
    /// Relative paths are relative to the current directory.
    ///
    /// ```no_run
    /// use registry_core::{Registry, Settings};
    ///
    /// // DATABASE_URL, and for example DATABASE__BINDS__ANALYTICS.
    /// let registry = Registry::from_settings(Settings::from_env())?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn from_env() -> Self {
        Self::default().overlaid_with_env(DEFAULT_PREFIX)
    }

    /// Reads a TOML file as [`from_file`](Self::from_file) does, and lays the variables of this
    /// process over it.
    ///
    /// # Errors
    ///
    /// The errors of [`from_file`](Self::from_file).
    ///
    /// ```no_run
    /// use registry_core::{Registry, Settings};
    ///
    /// let registry = Registry::from_settings(Settings::load("settings.toml")?)?;
    /// # let _ = registry;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SettingsError> {
        Ok(Self::from_file(path)?.overlaid_with_env(DEFAULT_PREFIX))
    }

    /// Lays variables over these settings: names and values, as `std::env::vars()` has them.
    ///
    /// A variable is used if its name begins with `DATABASE__`, is `DATABASE_URL`, or ends in `_DATABASE_URL`. All
    /// others are ignored. The environment of this process is not read.
    ///
    /// ```
    /// use registry_core::{Registry, Settings};
    ///
    /// let settings = Settings::from_toml("url = 'sqlite://app.db'")?;
    /// let settings = settings.overlaid_with([
    ///     ("DATABASE_URL", "sqlite::memory:"),
    ///     ("DATABASE__OPTIONS__ACQUIRE_TIMEOUT", "5s"),
    /// ]);
    /// let registry = Registry::from_settings(settings)?;
    /// let engine = registry.engine("default").expect("the default bind");
    /// assert_eq!(engine.url().to_string(), "sqlite::memory:");
    /// assert_eq!(engine.options().acquire_timeout.as_secs(), 5);
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn overlaid_with<N: Into<String>, V: Into<String>>(
        self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.overlaid_with_prefix(DEFAULT_PREFIX, variables)
    }

    /// Lays variables over these settings like [`overlaid_with`](Self::overlaid_with), with another prefix in their
    /// names.
    ///
    /// With `"APP_DB"` the variables are called `APP_DB_URL`, `ANALYTICS_APP_DB_URL` and
    /// `APP_DB__BINDS__REPORTS__MAX_CONNECTIONS`.
    ///
    /// ```
    /// use registry_core::{Registry, Settings};
    ///
    /// let settings = Settings::from_toml("url = 'sqlite://app.db'")?;
    /// let settings = settings.overlaid_with_prefix("APP_DB", [("APP_DB_URL", "sqlite::memory:")]);
    /// let registry = Registry::from_settings(settings)?;
    /// assert_eq!(registry.engine("default").unwrap().url().to_string(), "sqlite::memory:");
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn overlaid_with_prefix<N: Into<String>, V: Into<String>>(
        self,
        prefix: &str,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name.into(), Some(value.into())));
        self.with_variables(prefix, variables.collect())
    }

    /// Lays the variables of this process over these settings, with that prefix in their names.
    ///
    /// For the prefix `DATABASE`, [`from_env`](Self::from_env) does this without a file, and [`load`](Self::load) with
    /// a file.
    ///
    /// ```no_run
    /// use registry_core::Settings;
    ///
    /// // APP_DB_URL, ANALYTICS_APP_DB_URL and so on.
    /// let settings = Settings::from_file("settings.toml")?.overlaid_with_env("APP_DB");
    /// # let _ = settings;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn overlaid_with_env(self, prefix: &str) -> Self {
        let variables = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())));
        self.with_variables(prefix, variables.collect())
    }

    /// Makes relative paths, of SQLite databases and of files with secrets or certificates, begin in `folder`.
    ///
    /// By default they begin in the folder of the settings file or, if there is no file, in the
    /// current directory.
    ///
    /// ```
    /// use registry_core::{Registry, Settings};
    ///
    /// let settings = Settings::from_toml("url = 'sqlite:app.db'")?.relative_to("/var/lib/app");
    /// let registry = Registry::from_settings(settings)?;
    /// assert_eq!(registry.engine("default").unwrap().url().to_string(), "sqlite:///var/lib/app/app.db");
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn relative_to(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base = folder.into();
        self
    }

    fn parse(text: &str, path: Option<&Path>) -> Result<Self, SettingsError> {
        let value: Value =
            toml::from_str(text).map_err(|error| syntax_error(text, path, &error))?;
        Ok(Self { layers: vec![document::from_file(value, 0)], base: PathBuf::new() })
    }

    fn with_variables(mut self, prefix: &str, variables: Variables) -> Self {
        let layer = self.layers.len();
        self.layers.push(environment::read(prefix, variables, layer));
        self
    }

    /// Merges all layers. An upper layer wins over a lower one.
    pub(in crate::settings) fn merged(&self) -> Draft {
        let mut merged = Draft::default();
        for layer in &self.layers {
            merged.overlay(layer.clone());
        }
        merged
    }

    pub(in crate::settings) fn base(&self) -> &Path {
        &self.base
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(Self { layers: vec![document::from_loader(value, 0)], base: PathBuf::new() })
    }
}

/// Shows no password.
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

/// The error for a file that cannot be read. If the path looks like a URL, it is not repeated, because a URL may
/// contain a password.
fn unreadable(path: &Path, source: io::Error) -> SettingsError {
    if path.to_str().is_some_and(is_like_url) {
        let message = "the path of a file is expected, and what stands there looks like a URL";
        return SettingsError::from_problem("settings file", message);
    }
    SettingsError::Unreadable { path: path.to_owned(), source }
}

/// The position and the message of a syntax error. The error itself is not used: it would repeat the line, and the line
/// may contain a password.
fn syntax_error(text: &str, path: Option<&Path>, error: &toml::de::Error) -> SettingsError {
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
mod tests;
