//! Where settings are written down: files, variables and serde loaders, as layers.

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
    if path.to_str().is_some_and(is_like_url) {
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
mod tests;
