//! The database that a SQLite URL names.

mod parameters;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use super::error::{InvalidUrl, TenantUrlError};
use super::stray_parameter::has_secretive_parameter_after_separator;

pub(crate) use parameters::Parameters;

/// The characters that would end the path in a `file:` URI, or be taken for an escape.
const PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ').add(b'@');

/// The endings of the files that SQLite and migrations keep beside a database.
const SIDE_FILES: [&str; 5] = ["-wal", "-shm", "-journal", MIGRATION_LOCK, UNFINISHED];

/// How many symbolic links may lead to a file one after another. As many as Linux follows.
const MAX_LINKS: u32 = 40;

const MIGRATION_LOCK: &str = "-migrate.lock";

/// The ending of a tenant's file until all of its migrations have been run.
const UNFINISHED: &str = "-creating";

/// The database that a SQLite URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SqliteFile {
    /// A database in memory: each connection is a different one, unless `cache=shared`.
    Memory {
        /// The name of a shared database in memory.
        name: Option<String>,
        parameters: Parameters,
    },
    File {
        path: PathBuf,
        parameters: Parameters,
        /// Whether the path was relative in the URL; it may have been made absolute since.
        written_relative: bool,
    },
}

impl SqliteFile {
    /// Parses the part of the URL after `sqlite:`.
    pub(super) fn parse(rest: &str) -> Result<Self, InvalidUrl> {
        let (written, query) = rest.split_once('?').unwrap_or((rest, ""));
        // There is no host: in `sqlite://data/app.db` the path begins after the slashes.
        let written = written.strip_prefix("//").unwrap_or(written);
        let written = match written.strip_prefix("file:") {
            Some(uri) => {
                let path = uri.strip_prefix("//").unwrap_or(uri);
                match path.strip_prefix("localhost") {
                    Some(absolute) if absolute.starts_with('/') && path != uri => absolute,
                    _ => path,
                }
            }
            None => written,
        };
        if written.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
            return Err(InvalidUrl::SqliteUser);
        }
        let path =
            percent_decode_str(written).decode_utf8().map_err(|_| InvalidUrl::InvalidPath)?;
        if has_secretive_parameter_after_separator(&path) {
            return Err(InvalidUrl::StraySeparator);
        }
        let parameters = Parameters::parse(query)?;

        if path.contains('\0') {
            return Err(InvalidUrl::InvalidPath);
        }
        // `sqlite:///:memory:` is SQLAlchemy's form.
        if path == ":memory:" || path == "/:memory:" {
            return Ok(Self::Memory { name: None, parameters });
        }
        if parameters.value("mode") == Some("memory") {
            return Ok(Self::Memory {
                name: (!path.is_empty()).then(|| path.into_owned()),
                parameters,
            });
        }
        if path.is_empty() {
            return Err(InvalidUrl::NoPath);
        }
        let path = PathBuf::from(without_slash_before_drive(&path));
        Ok(Self::File { written_relative: !path.is_absolute(), path, parameters })
    }

    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory { .. })
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Memory { .. } => None,
            Self::File { path, .. } => Some(path),
        }
    }

    /// Whether the URL itself makes the database read-only: `mode=ro` or `immutable=1`.
    pub(crate) fn is_read_only(&self) -> bool {
        match self {
            Self::Memory { .. } => false,
            Self::File { parameters, .. } => {
                parameters.value("mode") == Some("ro") || parameters.is_on("immutable")
            }
        }
    }

    /// Whether SQLite creates the file if it does not exist.
    pub(crate) fn is_created(&self) -> bool {
        match self {
            Self::Memory { .. } => true,
            Self::File { parameters, .. } => {
                !self.is_read_only() && parameters.value("mode") != Some("rw")
            }
        }
    }

    /// The folder that may be created for the file. Only a path that was written as a relative path has one, with a
    /// mode that lets SQLite create the file.
    pub(crate) fn created_parent(&self) -> Option<&Path> {
        match self {
            Self::File { path, written_relative: true, .. } if self.is_created() => path.parent(),
            _ => None,
        }
    }

    /// The argument for `sqlite3_open_v2` with its URI flag.
    pub(crate) fn connection_string(&self) -> String {
        match self {
            Self::Memory { name: None, parameters } if parameters.0.is_empty() => {
                ":memory:".to_owned()
            }
            // An absolute path follows two slashes, because `file:` and a path that begins with `//` would name a host.
            Self::File { path, .. } if path.is_absolute() => format!("file://{}", self.location()),
            _ => format!("file:{}", self.location()),
        }
    }

    /// The path, or the name of a shared database in memory.
    pub(super) fn path_or_name(&self) -> Cow<'_, str> {
        match self {
            Self::Memory { name, .. } => name.as_deref().unwrap_or_default().into(),
            Self::File { path, .. } => path.to_string_lossy(),
        }
    }

    /// The database with `tenant` in the places of `placeholder`. It must exist already, whatever its `mode`.
    pub(super) fn for_tenant(
        &self,
        placeholder: &str,
        tenant: &str,
    ) -> Result<Self, TenantUrlError> {
        let beside = SIDE_FILES.into_iter().find(|suffix| tenant.ends_with(suffix));
        if let Some(suffix) = beside.filter(|_| self.path_or_name().ends_with(placeholder)) {
            return Err(TenantUrlError::SideFile { suffix });
        }
        let named = |text: &str| text.replace(placeholder, tenant);
        Ok(match self {
            Self::Memory { name, parameters } => {
                Self::Memory { name: name.as_deref().map(named), parameters: parameters.clone() }
            }
            Self::File { path, parameters, written_relative } => {
                // Component by component, because the folder that the path was resolved against may have a name that is not
                // UTF-8.
                let parts = path.components().map(|part| match part.as_os_str().to_str() {
                    Some(text) => named(text).into(),
                    None => part.as_os_str().to_owned(),
                });
                let written_relative = *written_relative;
                let parameters = parameters.for_tenant();
                Self::File { path: parts.collect(), parameters, written_relative }
            }
        })
    }

    /// The temporary name, in the same folder, of a new tenant's file until its migrations have been run. `None` for a
    /// database in memory.
    pub(super) fn unfinished(&self) -> Option<Self> {
        let Self::File { parameters, written_relative, .. } = self else { return None };
        let (path, parameters) = (self.beside(UNFINISHED)?, parameters.with_mode("rwc"));
        Some(Self::File { path, parameters, written_relative: *written_relative })
    }

    /// The files that SQLite keeps beside this one while it is open, and after a crash.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        ["-wal", "-shm", "-journal"].iter().filter_map(|suffix| self.beside(suffix)).collect()
    }

    /// The file that is locked while this database is migrated. Every symbolic link to the database leads to the same
    /// lock file.
    pub(crate) fn migration_lock(&self) -> Option<PathBuf> {
        // If the folder does not exist, opening the lock file fails with an error about that.
        Some(with_suffix(&self.real_path()?, MIGRATION_LOCK))
    }

    /// The file that is locked while all tenants of a bind are migrated, if this is the database of their ledger.
    pub(crate) fn tenants_lock(&self, bind: &str) -> Option<PathBuf> {
        Some(with_suffix(&self.real_path()?, &format!("-tenants-{bind}.lock")))
    }

    /// The file that this process writes to, without symbolic links. `None` for a database in memory, or one that is only
    /// read.
    pub(crate) fn written_file(&self) -> Option<PathBuf> {
        if self.is_read_only() { None } else { self.real_path() }
    }

    /// The path without symbolic links.
    fn real_path(&self) -> Option<PathBuf> {
        self.path().map(without_links)
    }

    fn beside(&self, suffix: &str) -> Option<PathBuf> {
        Some(with_suffix(self.path()?, suffix))
    }

    /// Whether an engine at `other` is an engine for this URL: `other` is the same URL, or has the parameters of a
    /// tenant's URL.
    pub(super) fn is_opened_as(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::File { path, parameters, .. },
                Self::File { path: opened, parameters: with, .. },
            ) => path == opened && (parameters == with || parameters.for_tenant() == *with),
            _ => self == other,
        }
    }

    /// Another file with the parameters of this file.
    pub(super) fn at(&self, file: &Path) -> Self {
        let parameters = match self {
            Self::Memory { .. } => Parameters(Vec::new()),
            Self::File { parameters, .. } => parameters.clone(),
        };
        Self::File { path: file.to_owned(), parameters, written_relative: false }
    }

    /// Makes a relative path absolute. It is relative to `base`, and `base` to the current directory.
    pub(super) fn resolved_against(&self, base: &Path) -> Self {
        match self {
            Self::Memory { .. } => self.clone(),
            Self::File { path, parameters, written_relative } => {
                let joined = base.join(path);
                Self::File {
                    // Fails only if there is no current directory. Then opening the file fails with an error about
                    // that.
                    path: std::path::absolute(&joined).unwrap_or(joined),
                    parameters: parameters.clone(),
                    written_relative: *written_relative,
                }
            }
        }
    }

    /// The percent-encoded path, and the query.
    fn location(&self) -> String {
        match self {
            Self::Memory { name, parameters } => {
                let name = name.as_deref().unwrap_or(":memory:");
                format!("{}{parameters}", percent_encode(name.as_bytes(), PATH))
            }
            Self::File { path, parameters, .. } => format!("{}{parameters}", uri_path(path)),
        }
    }
}

/// The path without symbolic links. It is the same before the file and its folders exist, and after that.
fn without_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        // It does not exist yet, or its `vfs` keeps it elsewhere. It may be a link to something that does not exist yet.
        let Ok(target) = path.read_link() else { break };
        path = path.parent().unwrap_or(&path).join(target);
    }
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => without_links(folder).join(name),
        _ => path,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Shows the whole URL, because SQLite has no passwords.
impl fmt::Display for SqliteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { name: None, parameters } => write!(f, "sqlite::memory:{parameters}"),
            _ => write!(f, "sqlite://{}", self.location()),
        }
    }
}

/// On Windows, the URL of an absolute path has `/C:/app.db` after `sqlite://`.
fn without_slash_before_drive(path: &str) -> &str {
    match path.as_bytes() {
        [b'/', drive, b':', ..] if cfg!(windows) && drive.is_ascii_alphabetic() => &path[1..],
        _ => path,
    }
}

/// A path in the form of SQLite's URIs: with slashes, and with a slash before the letter of a drive.
fn uri_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let bytes: Cow<'_, [u8]> = if cfg!(windows) {
        let slash = if path.is_absolute() { b"/" as &[u8] } else { b"" };
        let path = bytes.iter().map(|byte| match byte {
            b'\\' => b'/',
            byte => *byte,
        });
        slash.iter().copied().chain(path).collect()
    } else {
        bytes.into()
    };
    percent_encode(&bytes, PATH).to_string()
}

#[cfg(test)]
mod tests;
