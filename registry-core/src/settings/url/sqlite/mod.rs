use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use super::database_url::TenantUrlError;
use super::invalid::InvalidUrl;
use super::stray_parameter::{has_secretive_parameter, has_secretive_parameter_behind};
use crate::settings::keys::did_you_mean;

/// What would end a path in a `file:` URI, or be taken for an escape.
const PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ').add(b'@');

/// What the names of files end in that are kept beside a database, by SQLite and by migrations.
const SIDE_FILES: [&str; 5] = ["-wal", "-shm", "-journal", MIGRATION_LOCK, UNFINISHED];

const MIGRATION_LOCK: &str = "-migrate.lock";

/// What the file of a tenant ends in as long as its migrations have not all been run.
const UNFINISHED: &str = "-creating";

/// The parameters of a SQLite URI, see <https://www.sqlite.org/uri.html>.
const PARAMETERS: [&str; 6] = ["mode", "cache", "immutable", "nolock", "psow", "vfs"];

/// The database that a SQLite URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SqliteFile {
    /// One in memory: each connection is a different database, unless `cache=shared`.
    Memory {
        /// The name of a shared one.
        name: Option<String>,
        parameters: Parameters,
    },
    File {
        path: PathBuf,
        parameters: Parameters,
        /// Whether the path was relative in the URL, whatever it is by now.
        written_relative: bool,
    },
}

impl SqliteFile {
    /// Reads what follows `sqlite:`.
    pub(super) fn parse(rest: &str) -> Result<Self, InvalidUrl> {
        let (written, query) = rest.split_once('?').unwrap_or((rest, ""));
        // No host: in `sqlite://data/app.db` the path begins after the slashes.
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
        if has_secretive_parameter_behind(&path) {
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

    /// Whether the URL itself says that nothing can be written: `mode=ro` or `immutable=1`.
    pub(crate) fn is_read_only(&self) -> bool {
        match self {
            Self::Memory { .. } => false,
            Self::File { parameters, .. } => {
                parameters.value("mode") == Some("ro") || parameters.is_on("immutable")
            }
        }
    }

    /// Whether SQLite creates the file if it is not there.
    pub(crate) fn is_created(&self) -> bool {
        match self {
            Self::Memory { .. } => true,
            Self::File { parameters, .. } => {
                !self.is_read_only() && parameters.value("mode") != Some("rw")
            }
        }
    }

    /// The folder that may be created for the file: that of a path which was written relative, and
    /// whose mode lets SQLite create the file.
    pub(crate) fn created_parent(&self) -> Option<&Path> {
        match self {
            Self::File { path, written_relative: true, .. } if self.is_created() => path.parent(),
            _ => None,
        }
    }

    /// What `sqlite3_open_v2` takes with its URI flag.
    pub(crate) fn connection_string(&self) -> String {
        match self {
            Self::Memory { name: None, parameters } if parameters.0.is_empty() => {
                ":memory:".to_owned()
            }
            // Two slashes before an absolute path, as what follows `//` alone would be a host.
            Self::File { path, .. } if path.is_absolute() => format!("file://{}", self.location()),
            _ => format!("file:{}", self.location()),
        }
    }

    /// The path, or the name of a shared database in memory.
    pub(super) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Memory { name, .. } => name.as_deref().unwrap_or_default().into(),
            Self::File { path, .. } => path.to_string_lossy(),
        }
    }

    /// The database with `tenant` in the places of `placeholder`: one that is there already, whatever its `mode`.
    pub(super) fn for_tenant(
        &self,
        placeholder: &str,
        tenant: &str,
    ) -> Result<Self, TenantUrlError> {
        let beside = SIDE_FILES.into_iter().find(|suffix| tenant.ends_with(suffix));
        if let Some(suffix) = beside.filter(|_| self.name().ends_with(placeholder)) {
            return Err(TenantUrlError::SideFile { suffix });
        }
        let named = |text: &str| text.replace(placeholder, tenant);
        Ok(match self {
            Self::Memory { name, parameters } => {
                Self::Memory { name: name.as_deref().map(named), parameters: parameters.clone() }
            }
            Self::File { path, parameters, written_relative } => {
                // Part by part: the folder that it was resolved against may have a name in any encoding.
                let parts = path.components().map(|part| match part.as_os_str().to_str() {
                    Some(text) => named(text).into(),
                    None => part.as_os_str().to_owned(),
                });
                let written_relative = *written_relative;
                let parameters = parameters.of_a_tenant();
                Self::File { path: parts.collect(), parameters, written_relative }
            }
        })
    }

    /// The file at which this one is made: beside it, and created if it is not there. `None` for one in memory.
    pub(super) fn unfinished(&self) -> Option<Self> {
        let Self::File { parameters, written_relative, .. } = self else { return None };
        let (path, parameters) = (self.beside(UNFINISHED)?, parameters.with_mode("rwc"));
        Some(Self::File { path, parameters, written_relative: *written_relative })
    }

    /// What SQLite keeps beside this file while it is open, and after a crash.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        ["-wal", "-shm", "-journal"].iter().filter_map(|suffix| self.beside(suffix)).collect()
    }

    /// The file that is locked while this one is migrated: one, by whichever symbolic links this one is reached.
    pub(crate) fn migration_lock(&self) -> Option<PathBuf> {
        let path = self.path()?;
        let real = path.canonicalize().or_else(|error| {
            // It is not there yet, or its `vfs` keeps it somewhere else.
            let name = path.file_name().ok_or(error)?;
            Ok::<_, io::Error>(path.parent().unwrap_or(path).canonicalize()?.join(name))
        });
        // Where there is no such folder, opening the lock says so.
        Some(with_suffix(real.as_deref().unwrap_or(path), MIGRATION_LOCK))
    }

    fn beside(&self, suffix: &str) -> Option<PathBuf> {
        Some(with_suffix(self.path()?, suffix))
    }

    /// Whether an engine at `other` is one for this URL, with what it has for a tenant or as it is.
    pub(super) fn is_opened_as(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::File { path, parameters, .. },
                Self::File { path: opened, parameters: with, .. },
            ) => path == opened && (parameters == with || parameters.of_a_tenant() == *with),
            _ => self == other,
        }
    }

    /// Another file, with the parameters of this one.
    pub(super) fn at(&self, file: &Path) -> Self {
        let parameters = match self {
            Self::Memory { .. } => Parameters(Vec::new()),
            Self::File { parameters, .. } => parameters.clone(),
        };
        Self::File { path: file.to_owned(), parameters, written_relative: false }
    }

    /// Makes a relative path absolute: below `base`, and that below the current directory.
    pub(super) fn resolved_against(&self, base: &Path) -> Self {
        match self {
            Self::Memory { .. } => self.clone(),
            Self::File { path, parameters, written_relative } => {
                let joined = base.join(path);
                Self::File {
                    // Fails only where there is no current directory; opening the file then says so.
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

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// As a URL. It shows no secret, as SQLite has none.
impl fmt::Display for SqliteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { name: None, parameters } => write!(f, "sqlite::memory:{parameters}"),
            _ => write!(f, "sqlite://{}", self.location()),
        }
    }
}

/// The query of a SQLite URI, checked and decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    fn parse(query: &str) -> Result<Self, InvalidUrl> {
        let mut parameters = Self(Vec::new());
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value =
                percent_decode_str(value).decode_utf8().map_err(|_| InvalidUrl::InvalidPath)?;
            // SQLite ignores what it does not know: a misspelt `mode=ro` would be writable.
            let Some(name) = PARAMETERS.into_iter().find(|known| *known == name) else {
                return Err(InvalidUrl::SqliteParameter(format!(
                    "a parameter that SQLite does not have{}; it has {}",
                    did_you_mean(name, PARAMETERS),
                    PARAMETERS.join(", ")
                )));
            };
            let values: &[&str] = match name {
                "mode" => &["ro", "rw", "rwc", "memory"],
                "cache" => &["shared", "private"],
                "vfs" => &[],
                _ => &["1", "0", "true", "false", "yes", "no", "on", "off"],
            };
            if !values.is_empty() && !values.contains(&value.as_ref()) {
                return Err(InvalidUrl::SqliteParameter(format!(
                    "the parameter `{name}` is one of {}",
                    values.join(", ")
                )));
            }
            if has_secretive_parameter(&value) {
                return Err(InvalidUrl::StraySeparator);
            }
            if parameters.value(name).is_some() {
                return Err(InvalidUrl::SqliteParameter(format!(
                    "the parameter `{name}` is said twice"
                )));
            }
            parameters.0.push((name, value.into_owned()));
        }
        Ok(parameters)
    }

    /// A tenant's file must be there already: it is not made in passing, also where these ask for that.
    fn of_a_tenant(&self) -> Self {
        match self.value("mode") {
            None | Some("rwc") => self.with_mode("rw"),
            Some(_) => self.clone(),
        }
    }

    fn with_mode(&self, mode: &str) -> Self {
        let mut parameters = self.clone();
        match parameters.0.iter_mut().find(|(name, _)| *name == "mode") {
            Some((_, value)) => mode.clone_into(value),
            None => parameters.0.push(("mode", mode.to_owned())),
        }
        parameters
    }

    fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(value)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.value(name), Some("1" | "true" | "yes" | "on"))
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let sign = if index == 0 { '?' } else { '&' };
            let value = percent_encode(value.as_bytes(), percent_encoding::NON_ALPHANUMERIC);
            write!(f, "{sign}{name}={value}")?;
        }
        Ok(())
    }
}

/// `/C:/app.db`, which is what follows `sqlite://` in the URL of an absolute path on Windows.
fn without_slash_before_drive(path: &str) -> &str {
    match path.as_bytes() {
        [b'/', drive, b':', ..] if cfg!(windows) && drive.is_ascii_alphabetic() => &path[1..],
        _ => path,
    }
}

/// A path as SQLite's URIs have it: with slashes, and one before a drive.
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
mod tests {
    use super::*;
    use crate::settings::url::DatabaseUrl;

    fn file(text: &str) -> SqliteFile {
        let url = DatabaseUrl::parse(text).unwrap();
        url.sqlite_file().unwrap().clone()
    }

    fn refused(text: &str) -> String {
        DatabaseUrl::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_url_without_a_third_slash_is_a_relative_path() {
        for text in [
            "sqlite:data/app.db",
            "sqlite://data/app.db",
            "sqlite:file:data/app.db",
            "sqlite://file:data/app.db",
        ] {
            let file = file(text);
            assert_eq!(file.connection_string(), "file:data/app.db", "{text}");
            assert_eq!(file.created_parent(), Some(Path::new("data")), "{text}");
            assert_eq!(file.to_string(), "sqlite://data/app.db", "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_third_slash_begins_an_absolute_path_whose_folder_is_not_created() {
        for text in [
            "sqlite:/srv/app.db",
            "sqlite:///srv/app.db",
            "sqlite:file:/srv/app.db",
            "sqlite:file:///srv/app.db",
            "sqlite:file://localhost/srv/app.db",
        ] {
            let file = file(text);
            assert_eq!(file.connection_string(), "file:///srv/app.db", "{text}");
            assert_eq!(file.created_parent(), None, "{text}");
            assert_eq!(file.to_string(), "sqlite:///srv/app.db", "{text}");
        }
    }

    #[test]
    fn memory_is_neither_a_port_nor_a_file() {
        for text in
            ["sqlite::memory:", "sqlite://:memory:", "sqlite:///:memory:", "sqlite:file::memory:"]
        {
            assert!(file(text).is_memory(), "{text}");
            assert_eq!(file(text).connection_string(), ":memory:", "{text}");
            assert_eq!(file(text).to_string(), "sqlite::memory:", "{text}");
        }
        let shared = file("sqlite:file:cache?mode=memory&cache=shared");
        assert!(shared.is_memory());
        assert_eq!(shared.connection_string(), "file:cache?mode=memory&cache=shared");
        let shared = file("sqlite::memory:?cache=shared");
        assert_eq!(shared.connection_string(), "file::memory:?cache=shared");
        assert_eq!(shared.resolved_against(Path::new("/srv")), shared);
    }

    #[test]
    fn paths_are_decoded_and_encoded_again() {
        let path = |text| match file(text) {
            SqliteFile::File { path, .. } => path,
            SqliteFile::Memory { .. } => panic!("{text} is a file"),
        };
        assert_eq!(path("sqlite://a%20b%3Fc.db"), Path::new("a b?c.db"));
        assert_eq!(path("sqlite://100%.db"), Path::new("100%.db"));
        assert_eq!(path("sqlite://a#b.db"), Path::new("a#b.db"));
        assert_eq!(
            file("sqlite://a%20b%3Fc#d%25.db").connection_string(),
            "file:a%20b%3Fc%23d%25.db"
        );
        assert_eq!(path("sqlite://jörg.db"), Path::new("jörg.db"));
        assert_eq!(file("sqlite://jörg.db").connection_string(), "file:j%C3%B6rg.db");
    }

    #[test]
    fn a_windows_path_is_a_path() {
        for text in [r"sqlite:C:\data\app.db", r"sqlite://C:\data\app.db"] {
            let SqliteFile::File { path, .. } = file(text) else {
                panic!("{text} is a file");
            };
            assert_eq!(path, Path::new(r"C:\data\app.db"), "{text}");
        }
    }

    #[test]
    fn the_mode_says_whether_it_can_be_written_and_created() {
        assert!(file("sqlite:file:x.db?mode=ro").is_read_only());
        assert!(file("sqlite://x.db?immutable=1").is_read_only());
        assert!(!file("sqlite://x.db?immutable=0").is_read_only());
        assert!(!file("sqlite://x.db?mode=rwc").is_read_only());
        assert_eq!(file("sqlite://d/x.db?mode=ro").created_parent(), None);
        assert_eq!(file("sqlite://d/x.db?mode=rw").created_parent(), None);
        assert_eq!(file("sqlite://d/x.db?mode=rwc").created_parent(), Some(Path::new("d")));
    }

    #[test]
    fn known_parameters_are_passed_on() {
        assert_eq!(
            file("sqlite://x.db?mode=ro&cache=private&vfs=unix-none").connection_string(),
            "file:x.db?mode=ro&cache=private&vfs=unix%2Dnone"
        );
    }

    #[test]
    fn what_sqlite_would_ignore_is_refused() {
        assert_eq!(
            refused("sqlite://x.db?moed=ro"),
            "a parameter that SQLite does not have; did you mean `mode`?; it has mode, cache, \
             immutable, nolock, psow, vfs"
        );
        assert_eq!(
            refused("sqlite://x.db?mode=readonly"),
            "the parameter `mode` is one of ro, rw, rwc, memory"
        );
        assert_eq!(refused("sqlite://x.db?mode=ro&mode=rw"), "the parameter `mode` is said twice");
    }

    #[test]
    fn a_path_is_needed_and_a_user_is_not() {
        for text in ["sqlite:", "sqlite://", "sqlite:file:", "sqlite://?mode=ro"] {
            assert_eq!(
                refused(text),
                "a SQLite URL has a path, such as `sqlite://data/app.db`, `sqlite:///srv/app.db` \
                 or `sqlite::memory:`",
                "{text}"
            );
        }
        assert_eq!(
            refused("sqlite://app:secret@host/app.db"),
            "a SQLite URL has a path and no user, password or host; in a path, write `%40` for `@`"
        );
        assert_eq!(
            refused("sqlite://x%00.db"),
            "the path of a SQLite URL is UTF-8, and has no NUL in it"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_relative_path_is_resolved_and_remembers_that_it_was_relative() {
        let resolved =
            file("sqlite://./data/app.db?mode=rwc").resolved_against(Path::new("/etc/app"));
        assert_eq!(resolved.connection_string(), "file:///etc/app/data/app.db?mode=rwc");
        assert_eq!(resolved.to_string(), "sqlite:///etc/app/data/app.db?mode=rwc");
        assert_eq!(resolved.created_parent(), Some(Path::new("/etc/app/data")));

        let absolute = file("sqlite:///srv/app.db").resolved_against(Path::new("/etc/app"));
        assert_eq!(absolute.connection_string(), "file:///srv/app.db");

        let current = file("sqlite://app.db").resolved_against(Path::new(""));
        assert_eq!(current.created_parent(), Some(std::env::current_dir().unwrap().as_path()));
    }

    #[cfg(all(feature = "sqlite", unix))]
    #[test]
    fn sqlite_opens_the_very_file_and_honours_its_mode() {
        use diesel::connection::SimpleConnection;
        use diesel::{Connection, SqliteConnection};

        let folder = tempfile::tempdir().unwrap();
        let open = |text: &str| {
            let file = file(text).resolved_against(folder.path());
            SqliteConnection::establish(&file.connection_string())
        };
        let written = "sqlite://ä b%3Fc#d%25e.db";
        assert!(open(&format!("{written}?mode=rw")).is_err());
        let create = "CREATE TABLE t (id INTEGER)";
        open(written).unwrap().batch_execute(create).unwrap();
        assert!(folder.path().join("ä b?c#d%e.db").exists());

        let mut read_only = open(&format!("{written}?mode=ro")).unwrap();
        read_only.batch_execute("SELECT * FROM t").unwrap();
        assert!(read_only.batch_execute("DROP TABLE t").is_err());

        let mut first = open("sqlite:file:shared?mode=memory&cache=shared").unwrap();
        first.batch_execute(create).unwrap();
        let mut second = open("sqlite:file:shared?mode=memory&cache=shared").unwrap();
        second.batch_execute("SELECT * FROM t").unwrap();
        assert!(open("sqlite::memory:").is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_shown_reads_as_the_same_file() {
        for text in [
            "sqlite:file:cache?mode=memory&cache=shared",
            "sqlite::memory:?cache=shared",
            "sqlite://a%20b%3Fc#d%25.db?mode=ro",
            "sqlite:///srv/a@b.db",
        ] {
            assert_eq!(file(&file(text).to_string()), file(text), "{text}");
        }
    }
}
