use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use secrecy::SecretString;

use crate::settings::keys::BackendKind;
use crate::settings::keys::nearest;

use super::invalid::{InvalidUrl, SCHEMES};
use super::server::ServerUrl;
use super::sqlite::SqliteFile;
use super::tls::TlsSettings;

/// What stands for the name of a tenant.
pub(crate) const TENANT_PLACEHOLDER: &str = "{tenant}";

/// Why a tenant cannot have the database that a template gives it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TenantUrlError {
    /// The server would cut the name, and it could be that of another tenant then.
    #[error("the name of the database is longer than {limit} bytes")]
    TooLong { limit: usize },
    /// The file is one that SQLite keeps beside the database of another tenant.
    #[error(
        "the name of the file ends in `{suffix}`: it could belong to the database of another tenant"
    )]
    SideFile { suffix: &'static str },
}

/// Where a database is: a URL that shows itself without its password.
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
/// | `allow` | | plaintext, or encrypted if the server does not let plaintext in |
/// | `prefer`, the default | `PREFERRED` | encrypted, or plaintext if that fails |
/// | `require` | `REQUIRED` | encrypted; nobody checks with whom. With a file of authorities: as the next |
/// | `verify-ca` | `VERIFY_CA` | encrypted; the server's certificate comes from a trusted authority |
/// | `verify-full` | `VERIFY_IDENTITY` | encrypted; and it is for the host in the URL |
///
/// Only the last protects from somebody in between. `sslrootcert` (PostgreSQL) or `ssl-ca` (MySQL) is
/// a PEM file of the authorities that are trusted, and no others are; its path is relative to the
/// settings file, as that of a SQLite database. Without one, they are those that the operating system
/// trusts, as found when the first connection needs them (`SSL_CERT_FILE` and `SSL_CERT_DIR` name
/// others). `sslrootcert=system` says so, and means `verify-full`. `ssl-ca` by itself means
/// `VERIFY_CA`.
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
    /// Of the URL as the driver takes it, and of what it says of TLS.
    hash: u64,
}

#[derive(Clone)]
enum Target {
    Server(ServerUrl),
    Sqlite(SqliteFile),
}

impl DatabaseUrl {
    fn new(target: Target) -> Self {
        /// Other hashes in each process: nobody can choose URLs that collide.
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = HASHER.hash_one((target.expose(), target.tls()));
        Self(Arc::new(Parsed { target, hash }))
    }

    /// Reads the URL of a database.
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

    /// The kind of database that the scheme names.
    #[must_use]
    pub fn backend(&self) -> BackendKind {
        match &self.0.target {
            Target::Server(server) => server.backend(),
            Target::Sqlite(_) => BackendKind::Sqlite,
        }
    }

    /// The URL as the driver takes it, with its password and without what [`tls`](Self::tls) says.
    ///
    /// For SQLite, see [`SqliteFile::connection_string`] instead.
    pub(crate) fn expose(&self) -> String {
        self.0.target.expose()
    }

    /// How connections to a server are encrypted.
    pub(crate) fn tls(&self) -> Option<&TlsSettings> {
        self.0.target.tls()
    }

    /// What a SQLite URL names.
    pub(crate) fn sqlite_file(&self) -> Option<&SqliteFile> {
        match &self.0.target {
            Target::Server(_) => None,
            Target::Sqlite(file) => Some(file),
        }
    }

    /// Whether it is a database that lives in its only connection.
    pub(crate) fn is_memory(&self) -> bool {
        self.sqlite_file().is_some_and(SqliteFile::is_memory)
    }

    /// What a driver says of the URL, without the names of parameters that may be secrets gone astray.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        expect(dead_code, reason = "only servers have drivers that read URLs")
    )]
    pub(crate) fn redact_message(&self, message: &str) -> String {
        match &self.0.target {
            Target::Server(server) => server.redact_message(message),
            Target::Sqlite(_) => message.to_owned(),
        }
    }

    /// Whether the URL itself carries a password.
    pub(crate) fn has_password(&self) -> bool {
        match &self.0.target {
            Target::Server(server) => server.has_password(),
            Target::Sqlite(_) => false,
        }
    }

    /// The URL with this password instead of its own. SQLite has none, and stays as it is.
    pub(crate) fn with_password(&self, password: &SecretString) -> Self {
        Self::new(match &self.0.target {
            Target::Server(server) => Target::Server(server.with_password(password)),
            Target::Sqlite(file) => Target::Sqlite(file.clone()),
        })
    }

    /// Whether it asks the server for settings as a connection starts, which poolers refuse.
    pub(crate) fn has_startup_options(&self) -> bool {
        match &self.0.target {
            Target::Server(server) => server.has_parameter("options"),
            Target::Sqlite(_) => false,
        }
    }

    /// Whether it names a database for each tenant, by `{tenant}` in the name or path of the database.
    pub(crate) fn is_per_tenant(&self) -> bool {
        match &self.0.target {
            Target::Server(server) => server.database().contains(TENANT_PLACEHOLDER),
            Target::Sqlite(file) => file.name().contains(TENANT_PLACEHOLDER),
        }
    }

    /// What is wrong with the braces in it, if there are any.
    pub(crate) fn check_braces(&self) -> Result<(), String> {
        if self.is_per_tenant()
            && let Target::Server(server) = &self.0.target
        {
            server.check_template()?;
        }
        let (database, elsewhere) = match &self.0.target {
            Target::Server(server) => {
                (server.database().into(), server.has_elsewhere(TENANT_PLACEHOLDER))
            }
            Target::Sqlite(file) => (file.name(), false),
        };
        if elsewhere {
            return Err(format!(
                "`{TENANT_PLACEHOLDER}` stands for a part of the database's name, and for nothing else: where \
                 tenants differ in more, give the bind a resolver"
            ));
        }
        let mut words = database.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        match words.find(|(word, _)| *word != "tenant" && nearest(word, ["tenant"]).is_some()) {
            Some((word, _)) => {
                Err(format!("unknown `{{{word}}}`; did you mean `{TENANT_PLACEHOLDER}`?"))
            }
            None => Ok(()),
        }
    }

    /// The URL with the name of a tenant in the places of `{tenant}`, which changes nothing else in
    /// it. A SQLite file must be there already, whatever the URL says of its `mode`.
    ///
    /// Fails if what comes out could be another tenant's.
    pub(crate) fn for_tenant(&self, tenant: &str) -> Result<Self, TenantUrlError> {
        Ok(Self::new(match &self.0.target {
            Target::Server(server) => {
                Target::Server(server.for_tenant(TENANT_PLACEHOLDER, tenant)?)
            }
            Target::Sqlite(file) => Target::Sqlite(file.for_tenant(TENANT_PLACEHOLDER, tenant)?),
        }))
    }

    /// Whether an engine at `other` is one for this URL, which code has written: a tenant's has what
    /// [`for_tenant`](Self::for_tenant) adds.
    pub(crate) fn is_opened_as(&self, other: &Self) -> bool {
        let resolved = self.resolved_against(Path::new(""));
        match (&resolved.0.target, &other.0.target) {
            (Target::Sqlite(file), Target::Sqlite(opened)) => file.is_opened_as(opened),
            _ => resolved == *other,
        }
    }

    /// The name of the database on a server, if it is certain.
    pub(crate) fn database_name(&self) -> Option<String> {
        match &self.0.target {
            Target::Server(server) => server.database_name(),
            Target::Sqlite(_) => None,
        }
    }

    /// The URL of another database on the same server. SQLite has none, and stays as it is.
    pub(crate) fn at_database(&self, name: &str) -> Self {
        Self::new(match &self.0.target {
            Target::Server(server) => Target::Server(server.at_database(name)),
            Target::Sqlite(file) => Target::Sqlite(file.clone()),
        })
    }

    /// The URL of the file at which that of a SQLite tenant is made, which SQLite creates.
    pub(crate) fn at_unfinished(&self) -> Option<Self> {
        let file = self.sqlite_file()?.unfinished()?;
        Some(Self::new(Target::Sqlite(file)))
    }

    /// The URL with another user. SQLite has none, and stays as it is.
    pub(crate) fn with_user(&self, user: &str) -> Self {
        Self::new(match &self.0.target {
            Target::Server(server) => Target::Server(server.with_user(user)),
            Target::Sqlite(file) => Target::Sqlite(file.clone()),
        })
    }

    /// The URL of another file with the same parameters, for SQLite.
    pub(crate) fn at_file(&self, file: &Path) -> Self {
        Self::new(match &self.0.target {
            Target::Server(server) => Target::Server(server.clone()),
            Target::Sqlite(own) => Target::Sqlite(own.at(file)),
        })
    }

    /// The URL with a relative path made absolute: of a SQLite database, or of a file of certificates.
    pub(crate) fn resolved_against(&self, base: &Path) -> Self {
        Self::new(match &self.0.target {
            Target::Server(server) => Target::Server(server.resolved_against(base)),
            Target::Sqlite(file) => Target::Sqlite(file.resolved_against(base)),
        })
    }
}

impl Target {
    fn expose(&self) -> String {
        match self {
            Self::Server(server) => server.expose(),
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

/// Names the scheme only where it surely is one: in `app:secret@host` it would be a user.
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
        match &self.0.target {
            Target::Server(server) => f.pad(&server.redacted()),
            Target::Sqlite(file) => f.pad(&file.to_string()),
        }
    }
}

/// As [`Display`](fmt::Display): without the password.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.hash == other.0.hash
                && self.expose() == other.expose()
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
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        DatabaseUrl::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_engine_is_found_by_the_url_that_it_was_opened_for() {
        let url = |text: &str| DatabaseUrl::parse(text).unwrap();
        let opened = |template: &str, folder: &str| {
            url(template).resolved_against(Path::new(folder)).for_tenant("acme").unwrap()
        };
        let is_opened =
            |text: &str, template: &str| url(text).is_opened_as(&opened(template, "/srv"));
        assert!(is_opened("sqlite:///srv/acme.db", "sqlite://{tenant}.db"));
        assert!(is_opened("sqlite:///srv/acme.db?mode=rw", "sqlite:///srv/{tenant}.db"));
        assert!(is_opened(
            "sqlite:///d/acme.db?cache=shared",
            "sqlite:///d/{tenant}.db?cache=shared"
        ));
        assert!(is_opened("sqlite:///srv/acme.db", "sqlite://{tenant}.db?mode=rwc"));
        assert!(is_opened("sqlite:///srv/acme.db?mode=rwc", "sqlite://{tenant}.db?mode=rwc"));
        assert!(!is_opened("sqlite:///srv/acme.db?mode=ro", "sqlite://{tenant}.db"));
        assert!(!is_opened("sqlite:///srv/other.db", "sqlite://{tenant}.db"));
        assert!(is_opened("mysql://app@db/acme", "mysql://app@db/{tenant}"));
        assert!(!is_opened("mysql://other@db/acme", "mysql://app@db/{tenant}"));
        // In code, relative paths begin in the current directory.
        assert!(url("sqlite://acme.db").is_opened_as(&opened("sqlite://{tenant}.db", "")));
        let plain = url("sqlite://acme.db").resolved_against(Path::new(""));
        assert!(url("sqlite:acme.db").is_opened_as(&plain));
    }

    #[test]
    fn schemes_tell_the_backend() {
        for (text, backend) in [
            ("postgres://localhost/app", BackendKind::Postgres),
            ("postgresql://localhost/app", BackendKind::Postgres),
            ("POSTGRES://localhost/app", BackendKind::Postgres),
            ("mysql://localhost/app", BackendKind::Mysql),
            ("mariadb://localhost/app", BackendKind::Mysql),
            ("sqlite:app.db", BackendKind::Sqlite),
            ("SQLite://app.db", BackendKind::Sqlite),
        ] {
            assert_eq!(DatabaseUrl::parse(text).unwrap().backend(), backend);
        }
    }

    #[test]
    fn an_unknown_scheme_lists_the_known_and_the_nearest() {
        assert_eq!(
            refused("postgre://localhost/app"),
            "unknown scheme `postgre`; did you mean `postgres`?; known are postgres, postgresql, \
             mysql, mariadb, sqlite"
        );
        assert_eq!(
            refused("oracle://localhost/app"),
            "unknown scheme `oracle`; known are postgres, postgresql, mysql, mariadb, sqlite"
        );
    }

    #[test]
    fn a_text_without_a_scheme_is_not_repeated() {
        for text in ["", "data/app.db", "app:secret@host/db", r"C:\data\app.db", ":memory:"] {
            assert_eq!(
                refused(text),
                "not the URL of a database: one begins with `postgres://`, `mysql://` or \
                 `sqlite:`, such as `sqlite://data/app.db`",
                "{text}"
            );
        }
    }

    #[test]
    fn the_scheme_of_a_server_is_followed_by_two_slashes() {
        assert_eq!(
            refused("postgres:localhost/app"),
            "`postgres:` is followed by `//`, as in `postgres://user@host/database`"
        );
    }

    #[test]
    fn control_characters_are_refused() {
        assert_eq!(
            refused("mysql://app:sec\nret@localhost/app"),
            "a URL has no line breaks and no other control characters"
        );
    }

    #[test]
    fn equal_urls_are_equal_and_a_password_counts() {
        use std::collections::HashSet;

        let url = |text| DatabaseUrl::parse(text).unwrap();
        assert_eq!(url("sqlite:app.db"), url("sqlite://app.db"));
        assert_eq!(url("mariadb://h/db"), url("mysql://h/db"));
        assert_ne!(url("mysql://u:one@h/db"), url("mysql://u:two@h/db"));
        let set = HashSet::from([url("sqlite:app.db"), url("sqlite://app.db")]);
        assert_eq!(set.len(), 1);
    }

    /// `zauber` stands for the password, or for a part of it, in URLs as people mangle them.
    #[test]
    fn no_url_however_ugly_shows_its_password() {
        for text in [
            "postgres://u:zauber@h/db",
            "postgres://u:zauber@h",
            "postgres://:zauber@h/db",
            "postgres://u:a:zauber@h/db",
            "postgres://u:zauber%40x@h/db",
            "postgres://u:x@zauber@h/db",
            "postgres://u:zauber@x@h/db",
            "postgres://u:x/zauber@h/db",
            "postgres://u:zauber/x@h/db",
            "postgres://u:x?zauber@h/db",
            "postgres://u:x?a=zauber@h/db",
            "postgres://u:x#zauber@h/db",
            "postgres://u:x@/zauber@h/db",
            "postgres://u:x@y?password=zauber@h/db",
            "postgres://u:zauber",
            "postgres://u:zauber%40h/db",
            "postgres://h1,h2:zauber/db",
            "postgres://[::1]:zauber/db",
            "postgres://[::1]zauber@h/db",
            "postgres://u@h/db?password=zauber",
            "postgres://u@h/db?PASSWORD=zauber",
            "postgres://u@h/db?pass%77ord=zauber",
            "postgres://u@h/db?sslpassword=zauber",
            "postgres://u@h/db?sslmode=zauber",
            "postgres://u@h/db?passwort=zauber",
            "postgres://u@h/db?zauber",
            "postgres://u@h/db?options=-c%20x.token=zauber",
            "postgres://u@h/db?a=b&password=zauber&c=d",
            "postgres:u:zauber@h/db",
            "postgres:/u:zauber@h/db",
            "postgres:///u:zauber@h/db",
            "postgres//u:zauber@h/db",
            "postgress://u:zauber@h/db",
            "://u:zauber@h/db",
            "u:zauber@h/db",
            "zauber",
            "zauber@h/db",
            "mysql://u:zauber@h/db",
            "mysql://u:x#zauber@h/db",
            "mysql://u:x#zauber",
            "mysql://u:zauber@h/db?require_ssl=true",
            "mysql://u@h/db?secret=zauber",
            "mysql://u@h/db?secret=zauber#",
            "mysql://u:zauber\n@h/db",
            "sqlite://u:zauber@h/db",
            "sqlite:u:zauber@h/db",
            "sqlite://x.db?password=zauber",
            "sqlite://x.db?vfs=crypt&hexkey=zauber",
            "sqlite://x.db?zauber",
            "oracle://u:zauber@h/db",
            "host=h user=u password=zauber",
            "postgres://h/app&user=u&password=zauber",
            "postgres://h/app;password=zauber",
            "postgres://h/app,password=zauber",
            "postgres://h/app password=zauber",
            "postgres://h/app#password=zauber",
            "postgres://h/app:zauber",
            "postgres://h/app%3Azauber",
            "postgres://h/app%3Fpassword=zauber",
            "postgres://h/app%3Fpassword%3Dzauber",
            "postgres://h/app%26x%3Dzauber",
            "postgres://h;password=zauber/app",
            "postgres://h&password=zauber/app",
            "postgres://h%3Bpassword%3Dzauber/app",
            "postgres://h%3Bx%3Dzauber/app",
            "postgres://user=u;password=zauber@h/app",
            "postgres://u;zauber@h/app",
            "postgres://u%3Azauber@h/app",
            "postgres://u%3Bpassword%3Dzauber@h/app",
            "postgres://password=zauber",
            "postgres://h/app?user=u;password=zauber",
            "postgres://h/app?user=u,password=zauber",
            "postgres://h/app?user=u:zauber",
            "postgres://h/app?user=u%26password%3Dzauber",
            "postgres://h/app?application_name=x?password=zauber",
            "postgres://h/app?application_name=x%3Bodd%3Dzauber",
            "postgres://h/app?sslmode=require;password=zauber",
            "postgres://h/app?sslrootcert=ca.pem;password=zauber",
            "postgres://h/app?host=u%3Azauber%40h",
            "postgres://h/app?password:zauber==",
            "postgres://h/app?zauber==",
            "postgres://h/app?zauber=",
            "postgres://h/app?password zauber=1",
            "postgres://h/app?a;password=zauber",
            "mysql://h/app&user=u&password=zauber",
            "mysql://h/app;password=zauber",
            "mysql://h/app?pool_min=1;password=zauber",
            "mysql://h/app?socket=/run/x;password=zauber",
            "sqlite://x.db;password=zauber",
            "sqlite://x.db&key=zauber",
            "sqlite://x.db#key=zauber",
            "sqlite://x.db%3Fkey%3Dzauber",
            "sqlite://x.db?mode=ro;key=zauber",
            "sqlite://x.db?vfs=unix;key=zauber",
            "sqlite://x.db?vfs=unix%26key%3Dzauber",
        ] {
            for text in [text.to_owned(), format!(" {text}"), format!("{text}/")] {
                let shown = match DatabaseUrl::parse(&text) {
                    Ok(url) => format!("{url} {url:?}"),
                    Err(invalid) => format!("{invalid} {invalid:?}"),
                };
                assert!(!shown.contains("zauber"), "{text} is shown as {shown}");
            }
        }
    }
}
