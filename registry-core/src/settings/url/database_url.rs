//! The URL of a database of any backend.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use secrecy::SecretString;

use crate::settings::keys::BackendKind;
use crate::settings::keys::nearest;

use super::error::{InvalidUrl, SCHEMES};
use super::server::ServerUrl;
use super::sqlite::SqliteFile;
use super::tls::{TlsMaterial, TlsSettings};

/// The URL of a database. `Display` and `Debug` do not show its password.
///
/// # Forms
///
/// | URL | database |
/// |---|---|
/// | `postgres://user:password@host:5432/name`, `postgresql://..` | PostgreSQL; several hosts as `h1:5432,h2:5433` |
/// | `postgres://user@%2Fvar%2Frun%2Fpostgresql/name`, `postgres:///name?host=/var/run/postgresql` | PostgreSQL through a Unix socket |
/// | `mysql://user:password@host:3306/name`, `mariadb://..` | MySQL and MariaDB |
/// | `sqlite://data/app.db`, `sqlite:data/app.db` | SQLite, a relative path: there is no host |
/// | `sqlite:///srv/app.db`, `sqlite:/srv/app.db` | SQLite, an absolute path |
/// | `sqlite::memory:`, `sqlite://:memory:`, `sqlite:///:memory:` | SQLite in memory |
/// | `sqlite:file:data/app.db?mode=ro`, `sqlite://data/app.db?mode=ro` | SQLite with [its own parameters](https://www.sqlite.org/uri.html): `mode`, `cache`, `immutable`, `nolock`, `psow`, `vfs` |
///
/// Special characters in a user name, password or path are percent-encoded: `%40` is `@`.
///
/// # TLS
///
/// With the feature `rustls`. Without it, a URL that asks for TLS is an error, and never a plaintext
/// connection.
///
/// | PostgreSQL `sslmode` | MySQL `ssl-mode` | connections are |
/// |---|---|---|
/// | `disable` | `DISABLED`, the default | plaintext |
/// | `allow` | | plaintext, or encrypted if the server refuses plaintext |
/// | `prefer`, the default | `PREFERRED` | encrypted, or plaintext if that fails |
/// | `require` | `REQUIRED` | encrypted, without checking the server's identity. With a file of authorities, the same as the next row |
/// | `verify-ca` | `VERIFY_CA` | encrypted, and the server's certificate comes from a trusted authority |
/// | `verify-full` | `VERIFY_IDENTITY` | the same, and the certificate is for the host in the URL |
///
/// Only the last mode protects from a man in the middle. `sslrootcert` (PostgreSQL) or `ssl-ca` (MySQL) is a PEM file
/// of the only authorities that are trusted. Its path is relative to the settings file, like the path of a SQLite
/// database. Without such a file, the authorities of the operating system are trusted. They are read when the first
/// connection needs them (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others). `sslrootcert=system` also selects them, and
/// means `verify-full`. `ssl-ca` by itself means `VERIFY_CA`.
///
/// `sslcert` and `sslkey` (PostgreSQL), or `ssl-cert` and `ssl-key` (MySQL), are PEM files with the certificate of this
/// client and its private key, for a server that asks for one. [`EngineOptions`](crate::EngineOptions) has the same as
/// options, and from memory.
///
/// The name of a host is looked for in a certificate's `subjectAltName`, and not in its subject.
/// Unix sockets are never encrypted, as in libpq. mysql_async's own `require_ssl=true`, with
/// `verify_identity=false` or `verify_ca=false`, means `VERIFY_IDENTITY`, `VERIFY_CA` or `REQUIRED`.
///
/// ```
/// use registry_core::{BackendKind, DatabaseUrl};
///
/// let url: DatabaseUrl = "postgres://app:secret@db.example/app".parse()?;
/// assert_eq!(url.backend(), BackendKind::Postgres);
/// assert_eq!(url.to_string(), "postgres://app:***@db.example/app");
/// # Ok::<(), registry_core::settings::InvalidUrl>(())
/// ```
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct DatabaseUrl(Arc<Parsed>);

struct Parsed {
    target: Target,
    /// The hash of the parts that [`PartialEq`] compares: the URL for the driver, and the TLS settings.
    hash: u64,
}

/// The database of a URL.
#[derive(Clone)]
pub(super) enum Target {
    Server(ServerUrl),
    Sqlite(SqliteFile),
}

impl DatabaseUrl {
    pub(super) fn new(target: Target) -> Self {
        /// Seeded at random in each process, so that an attacker cannot choose URLs whose hashes collide.
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = HASHER.hash_one((target.for_driver(), target.tls()));
        Self(Arc::new(Parsed { target, hash }))
    }

    /// Parses the URL of a database. The table [above](Self) lists its forms.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] says what is wrong with `text`, and does not repeat it.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        if text.contains(|c: char| c.is_control()) {
            return Err(InvalidUrl::ControlCharacter);
        }
        let (written, rest) = text.split_once(':').ok_or(InvalidUrl::NoScheme)?;
        let scheme = written.to_ascii_lowercase();
        let backend = match scheme.as_str() {
            "postgres" | "postgresql" => BackendKind::Postgres,
            "mysql" | "mariadb" => BackendKind::Mysql,
            "sqlite" => return Ok(Self::new(Target::Sqlite(SqliteFile::parse(rest)?))),
            _ => return Err(unknown_scheme(scheme, rest)),
        };
        match rest.strip_prefix("//") {
            Some(rest) => Ok(Self::new(Target::Server(ServerUrl::parse(backend, scheme, rest)?))),
            None => Err(InvalidUrl::NoSlashes { scheme }),
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.0.target
    }

    /// The kind of the database, from the scheme.
    #[must_use]
    pub fn backend(&self) -> BackendKind {
        match self.target() {
            Target::Server(server) => server.backend(),
            Target::Sqlite(_) => BackendKind::Sqlite,
        }
    }

    /// The URL with its password, to hand it to another program, such as `pg_dump`, or to a driver.
    ///
    /// **The result is a secret.** Do not log it, and do not put it into the arguments of a process, which every user of
    /// the machine can read; an environment variable or a file that nobody else may read is better.
    ///
    /// It is what the engine connects with: for the URL of an [`Engine`](crate::Engine::url), the password of `password`,
    /// `password_file` or `url_file` is in it, and paths are absolute. A certificate or a key that the settings give as a
    /// file is a parameter of it; one from memory (`sslrootcert_pem`) cannot be, and neither are credentials that
    /// [`credentials`](crate::RegistryBuilder::credentials) asks for. The scheme of MySQL and MariaDB is `mysql`, that of
    /// PostgreSQL `postgres`.
    ///
    /// ```
    /// let url: registry_core::DatabaseUrl = "mariadb://app:s3cret@db.example/app".parse()?;
    /// assert_eq!(url.expose(), "mysql://app:s3cret@db.example/app");
    /// assert_eq!(url.to_string(), "mariadb://app:***@db.example/app");
    /// # Ok::<(), registry_core::settings::InvalidUrl>(())
    /// ```
    #[must_use]
    pub fn expose(&self) -> String {
        match self.target() {
            Target::Server(server) => server.expose(),
            Target::Sqlite(file) => file.to_string(),
        }
    }

    /// The URL for another program, without its password and without each parameter that may be a secret.
    #[cfg(feature = "cli")]
    pub(crate) fn without_secrets(&self) -> String {
        match self.target() {
            Target::Server(server) => server.without_secrets(),
            Target::Sqlite(file) => file.to_string(),
        }
    }

    /// The URL for the driver, with its password and without the parameters for TLS, which [`tls`](Self::tls) returns.
    ///
    /// For SQLite, see [`SqliteFile::connection_string`] instead.
    pub(crate) fn for_driver(&self) -> String {
        self.target().for_driver()
    }

    /// How connections to a server are encrypted.
    pub(crate) fn tls(&self) -> Option<&TlsSettings> {
        self.target().tls()
    }

    /// The file or the database in memory, if this is a URL of SQLite.
    pub(crate) fn sqlite_file(&self) -> Option<&SqliteFile> {
        match self.target() {
            Target::Server(_) => None,
            Target::Sqlite(file) => Some(file),
        }
    }

    /// Whether it is a SQLite database in memory. Such a database exists only in its connection.
    pub(crate) fn is_memory(&self) -> bool {
        self.sqlite_file().is_some_and(SqliteFile::is_memory)
    }

    /// A driver's error `message` about the URL, without names of parameters that may be secrets in the wrong place.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        expect(dead_code, reason = "only servers have drivers that read URLs")
    )]
    pub(crate) fn redact_message(&self, message: &str) -> String {
        match self.target() {
            Target::Server(server) => server.redact_message(message),
            Target::Sqlite(_) => message.to_owned(),
        }
    }

    /// Whether the URL itself carries a password.
    pub(crate) fn has_password(&self) -> bool {
        match self.target() {
            Target::Server(server) => server.has_password(),
            Target::Sqlite(_) => false,
        }
    }

    /// The URL with this password instead of its own. A URL of SQLite stays unchanged.
    pub(crate) fn with_password(&self, password: &SecretString) -> Self {
        Self::new(match self.target() {
            Target::Server(server) => Target::Server(server.with_password(password)),
            Target::Sqlite(file) => Target::Sqlite(file.clone()),
        })
    }

    /// The URL with the password of `other`, which is for the same backend. A URL of SQLite stays unchanged.
    pub(in crate::settings) fn with_password_of(&self, other: &Self) -> Self {
        Self::new(match (self.target(), other.target()) {
            (Target::Server(server), Target::Server(other)) => {
                Target::Server(server.with_password_of(other))
            }
            (target, _) => target.clone(),
        })
    }

    /// The URL with what it leaves out, except for the password, from the URL of a `bind`: user, database and
    /// parameters. A URL of another backend stays unchanged.
    pub(in crate::settings) fn completed_from(
        &self,
        bind: &Self,
        own: &TlsMaterial,
    ) -> Result<Self, InvalidUrl> {
        Ok(match (self.target(), bind.target()) {
            (Target::Server(server), Target::Server(bind))
                if server.backend() == bind.backend() =>
            {
                Self::new(Target::Server(server.completed_from(bind, own)?))
            }
            _ => self.clone(),
        })
    }

    /// Fails if `target_session_attrs` has a value that the driver does not know.
    pub(in crate::settings) fn check_session_attrs(&self) -> Result<(), String> {
        match self.target() {
            Target::Server(server) => server.check_session_attrs(),
            Target::Sqlite(_) => Ok(()),
        }
    }

    /// The value of `target_session_attrs`, if it asks for a server that takes writes.
    pub(in crate::settings) fn wants_primary(&self) -> Option<&'static str> {
        match self.target() {
            Target::Server(server) => server.wants_primary(),
            Target::Sqlite(_) => None,
        }
    }

    /// The URL with certificates and a key that options give. A URL of SQLite stays unchanged.
    pub(crate) fn with_tls_material(&self, material: &TlsMaterial) -> Result<Self, InvalidUrl> {
        Ok(Self::new(match self.target() {
            Target::Server(server) => Target::Server(server.with_tls_material(material)?),
            Target::Sqlite(file) => Target::Sqlite(file.clone()),
        }))
    }

    /// Whether the URL has the parameter `options`: settings for the server in the start-up message. Transaction
    /// poolers refuse them.
    pub(crate) fn has_startup_options(&self) -> bool {
        match self.target() {
            Target::Server(server) => server.has_parameter("options"),
            Target::Sqlite(_) => false,
        }
    }

    /// Where the database is, for a page: hosts and the name of the database, or the file. Neither the user nor parameters
    /// are in it.
    #[cfg(feature = "dashboard")]
    pub(crate) fn place(&self) -> String {
        match self.target() {
            Target::Server(server) => server.place(),
            Target::Sqlite(file) if file.is_memory() => "in memory".to_owned(),
            Target::Sqlite(file) => file.path_or_name().into_owned(),
        }
    }

    /// The name of the database on a server, if only the path gives it.
    pub(crate) fn database_name(&self) -> Option<String> {
        match self.target() {
            Target::Server(server) => server.database_name(),
            Target::Sqlite(_) => None,
        }
    }

    /// The URL of another database on the same server. A URL of SQLite stays unchanged.
    pub(crate) fn at_database(&self, name: &str) -> Self {
        Self::new(match self.target() {
            Target::Server(server) => Target::Server(server.at_database(name)),
            Target::Sqlite(file) => Target::Sqlite(file.clone()),
        })
    }

    /// The URL with one more start-up option (`-c name=value`) for PostgreSQL.
    #[cfg(feature = "cli")]
    pub(crate) fn with_startup_option(&self, option: &str) -> Self {
        Self::new(match self.target() {
            Target::Server(server) => Target::Server(server.with_startup_option(option)),
            Target::Sqlite(file) => Target::Sqlite(file.clone()),
        })
    }

    /// The URL with another user. A URL of SQLite stays unchanged.
    pub(crate) fn with_user(&self, user: &str) -> Self {
        Self::new(match self.target() {
            Target::Server(server) => Target::Server(server.with_user(user)),
            Target::Sqlite(file) => Target::Sqlite(file.clone()),
        })
    }

    /// The URL of another file with the same parameters, for SQLite.
    pub(crate) fn at_file(&self, file: &Path) -> Self {
        Self::new(match self.target() {
            Target::Server(server) => Target::Server(server.clone()),
            Target::Sqlite(own) => Target::Sqlite(own.at(file)),
        })
    }

    /// The URL with a relative path made absolute: of a SQLite database, or of a file of certificates.
    pub(crate) fn resolved_against(&self, base: &Path) -> Self {
        Self::new(match self.target() {
            Target::Server(server) => Target::Server(server.resolved_against(base)),
            Target::Sqlite(file) => Target::Sqlite(file.resolved_against(base)),
        })
    }
}

impl Target {
    fn for_driver(&self) -> String {
        match self {
            Self::Server(server) => server.for_driver(),
            Self::Sqlite(file) => file.to_string(),
        }
    }

    fn tls(&self) -> Option<&TlsSettings> {
        match self {
            Self::Server(server) => Some(server.tls()),
            Self::Sqlite(_) => None,
        }
    }
}

/// Whether a text that should be a path looks like a URL.
pub(in crate::settings) fn is_like_url(text: &str) -> bool {
    text.contains("://") || DatabaseUrl::parse(text).is_ok()
}

/// Names the scheme only if it certainly is a scheme: in `app:secret@host` it would be a user.
fn unknown_scheme(scheme: String, rest: &str) -> InvalidUrl {
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && (rest.starts_with("//") || nearest(&scheme, SCHEMES).is_some());
    if is_scheme { InvalidUrl::UnknownScheme { scheme } } else { InvalidUrl::NoScheme }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for DatabaseUrl {
    type Error = InvalidUrl;

    fn try_from(text: &str) -> Result<Self, InvalidUrl> {
        Self::parse(text)
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = InvalidUrl;

    fn try_from(text: String) -> Result<Self, InvalidUrl> {
        Self::parse(&text)
    }
}

/// The URL with `***` in place of a password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target() {
            Target::Server(server) => f.pad(&server.redacted()),
            Target::Sqlite(file) => f.pad(&file.to_string()),
        }
    }
}

/// Like [`Display`](fmt::Display), without the password.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.hash == other.0.hash
                && self.for_driver() == other.for_driver()
                && self.tls() == other.tls()
    }
}

impl Eq for DatabaseUrl {}

impl Hash for DatabaseUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

#[cfg(test)]
mod tests;
