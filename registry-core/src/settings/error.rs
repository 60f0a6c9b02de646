//! Why settings cannot be used: every problem, with the place of the setting.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why settings cannot be used: returned by [`RegistryBuilder::build`](crate::RegistryBuilder::build), which reports
/// every problem at once, and by [`Settings::from_file`](crate::Settings::from_file) and its like for a file that cannot
/// be read.
///
/// It never shows a password, nor a line of the file, because the line could contain a password.
///
/// ```
/// use registry_core::Registry;
///
/// let registry = Registry::builder()
///     .bind("Reports", "sqlite::memory:")
///     .bind("analytics", "postgress://localhost/analytics");
/// let error = registry.build().unwrap_err();
/// let paths: Vec<&str> = error.problems().map(|problem| problem.path()).collect();
/// assert_eq!(paths, ["bind(\"Reports\")", "bind(\"analytics\")"]);
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The settings file cannot be read. The source says why.
    #[error("cannot read the settings file {}", path.display())]
    Unreadable {
        /// The file, as it was named.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The settings are not TOML.
    #[error(
        "{file}line {line}, column {column}: {message}",
        file = path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default()
    )]
    Syntax {
        /// The file, if the settings are from a file.
        path: Option<PathBuf>,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// The settings can be read, but not used: every problem at once, each on a line of its own.
    #[error("{0}")]
    Invalid(Problems),
}

impl SettingsError {
    pub(crate) fn from_problems(problems: Vec<Problem>) -> Self {
        Self::Invalid(Problems(problems))
    }

    /// One problem, with the setting `name`.
    pub(crate) fn from_problem(name: &str, message: &str) -> Self {
        Self::from_problems(vec![Problem::new(name, message)])
    }

    /// Every problem of settings that can be read but not used.
    ///
    /// Empty if the settings could not be read.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        match self {
            Self::Invalid(Problems(problems)) => problems.as_slice(),
            _ => &[],
        }
        .iter()
    }
}

/// What [`SettingsError::problems`] lists. `Display` shows one problem on each line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// One thing that is wrong in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    path: String,
    message: String,
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { path: redacted(path.into()), message: message.to_string() }
    }

    /// Where it is: a path such as `database.binds.reports.max_connections`, the name of an environment variable, or,
    /// for settings from code, `bind("reports").max_connections`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong, without the path.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Replaces a part of the path that is not a name by `***`, because somebody who mistakes the key for the value writes
/// a URL there. The path of its table, in front of it, is kept.
fn redacted(mut path: String) -> String {
    if let Some(at) = path.find([':', '@', '=']) {
        path.truncate(path[..at].rfind(['.', '"']).map_or(0, |before| before + 1));
        path.push_str("***");
    }
    path
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_in_place_of_a_name_is_not_shown() {
        let path = |path: &str| Problem::new(path, "unknown").path().to_owned();
        assert_eq!(path("binds.postgres://app:zauber@db.example/app"), "binds.***");
        assert_eq!(path("bind(\"postgres://app:zauber@db.example/app\").url"), "bind(\"***");
        assert_eq!(path("database.options.password=zauber"), "database.options.***");
        assert_eq!(path("app:zauber@db"), "***");
        assert_eq!(path("bind(\"reports\").max_connections"), "bind(\"reports\").max_connections");
    }

    #[test]
    fn every_problem_has_a_line_of_its_own() {
        let error = SettingsError::from_problems(vec![
            Problem::new("database.url", "unknown scheme"),
            Problem::new("DATABASE__BINDS__X__URL", "not a URL"),
        ]);
        assert_eq!(
            error.to_string(),
            "database.url: unknown scheme\nDATABASE__BINDS__X__URL: not a URL"
        );
        let paths: Vec<&str> = error.problems().map(Problem::path).collect();
        assert_eq!(paths, ["database.url", "DATABASE__BINDS__X__URL"]);
    }
}
