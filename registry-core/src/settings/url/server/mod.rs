use std::borrow::Cow;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::database_url::TenantUrlError;
use super::invalid::InvalidUrl;
use super::stray_parameter::{has_secretive_parameter, is_one_value};
use super::tls::{self, TlsSettings};
use crate::settings::keys::BackendKind;

/// Everything but the characters that RFC 3986 leaves unreserved.
const USER_INFO: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What has a meaning in a URL that it cannot have in a name.
const STRAY: [char; 3] = [';', '&', '='];

/// The parameters whose values may be shown. The list names what is harmless, not what is secret:
/// nobody can foresee how a secret is misspelt.
const HARMLESS: &[&str] = &[
    "application_name",
    "built_in_roots",
    "channel_binding",
    "client_found_rows",
    "compression",
    "conn_ttl",
    "connect_timeout",
    "dbname",
    "enable_cleartext_plugin",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "max_allowed_packet",
    "pool_max",
    "pool_min",
    "port",
    "prefer_socket",
    "require_ssl",
    "reset_connection",
    "secure_auth",
    "socket",
    "ssl-ca",
    "ssl-mode",
    "ssl_ca",
    "ssl_mode",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "stmt_cache_size",
    "target_session_attrs",
    "tcp_keepalive",
    "tcp_nodelay",
    "tcp_user_timeout",
    "user",
    "verify_ca",
    "verify_identity",
    "wait_timeout",
];

/// The URL of a database server, in parts that are still percent-encoded.
///
/// Not read by the `url` crate: it knows neither several hosts nor a socket as a host.
#[derive(Clone)]
pub(super) struct ServerUrl {
    backend: BackendKind,
    /// As written, in lower case.
    scheme: String,
    user: Option<String>,
    password: Option<SecretString>,
    /// Hosts, ports and the name of the database.
    place: String,
    /// As written, those for TLS as well.
    parameters: Vec<Parameter>,
    tls: TlsSettings,
}

#[derive(Clone)]
struct Parameter {
    name: String,
    /// `None` without an equals sign, which drivers refuse.
    value: Option<SecretString>,
}

impl ServerUrl {
    /// `rest` is what follows the two slashes.
    pub(super) fn parse(
        backend: BackendKind,
        scheme: String,
        rest: &str,
    ) -> Result<Self, InvalidUrl> {
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let (credentials, hosts) = match authority.split_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        // tokio-postgres ends the password at the first `@`, the `url` crate at the last one before
        // a slash, people somewhere between the two. With one `@` at the most, all agree.
        let stray_at = hosts.contains('@')
            || path.contains('@')
            || query.is_some_and(|query| query.contains('@'));
        // The `url` crate, which reads the URLs of mysql_async, would drop what follows a `#`.
        if stray_at || (backend == BackendKind::Mysql && rest.contains('#')) {
            return Err(InvalidUrl::Ambiguous);
        }
        check_ports(hosts)?;

        let (user, password) = match credentials.map(|text| text.split_once(':').ok_or(text)) {
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
            None => (None, None),
        };
        let mut parameters = Vec::new();
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            parameters.push(Parameter::parse(part));
        }
        let names_are_one = is_name(hosts, &STRAY) && is_name(path, &[';', '&', '=', ':', '#']);
        if !names_are_one
            || !user.is_none_or(|user| is_name(user, &STRAY))
            || parameters.iter().any(Parameter::is_unsplit)
        {
            return Err(InvalidUrl::StraySeparator);
        }
        let pairs = parameters.iter().map(|Parameter { name, value }| {
            (name.as_str(), value.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default())
        });
        let tls = tls::read(backend, pairs, cfg!(feature = "rustls"))?;
        Ok(Self {
            backend,
            scheme,
            user: user.map(str::to_owned),
            password: password.map(SecretString::from),
            place: format!("{hosts}{path}"),
            parameters,
            tls,
        })
    }

    pub(super) fn backend(&self) -> BackendKind {
        self.backend
    }

    pub(super) fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    /// The URL with a relative path to a file of certificates made absolute.
    pub(super) fn resolved_against(&self, base: &Path) -> Self {
        Self { tls: self.tls.resolved_against(base), ..self.clone() }
    }

    /// The path: a slash and the name of the database.
    pub(super) fn database(&self) -> &str {
        self.place.split_at(self.place.find('/').unwrap_or(self.place.len())).1
    }

    /// Whether `text` is somewhere else than in the name of the database, or in the password.
    pub(super) fn has_elsewhere(&self, text: &str) -> bool {
        let hosts = self.place.len() - self.database().len();
        self.place[..hosts].contains(text)
            || self.user.as_ref().is_some_and(|user| user.contains(text))
            || self.parameters.iter().any(|parameter| {
                let value = parameter.value.as_ref().map(ExposeSecret::expose_secret);
                value.is_some_and(|value| value.contains(text))
            })
    }

    /// Whether the name in the path is all that says which database it is.
    pub(super) fn check_template(&self) -> Result<(), String> {
        if self.parameters.iter().any(|parameter| parameter.name == "dbname") {
            return Err("the parameter `dbname` would win over the name with `{tenant}`".to_owned());
        }
        if self.database().matches('/').count() > 1 {
            return Err("a database on a server has no slash in its name".to_owned());
        }
        Ok(())
    }

    /// The URL with `name`, encoded, in the places of `placeholder`.
    pub(super) fn for_tenant(&self, placeholder: &str, name: &str) -> Result<Self, TenantUrlError> {
        let encoded = utf8_percent_encode(name, USER_INFO).to_string();
        let database = self.database().replace(placeholder, &encoded);
        // NAMEDATALEN of PostgreSQL, less one, in bytes; MySQL's are characters, which are no fewer bytes.
        let limit = if self.backend == BackendKind::Postgres { 63 } else { 64 };
        if percent_decode_str(database.trim_start_matches('/')).count() > limit {
            return Err(TenantUrlError::TooLong { limit });
        }
        let hosts = self.place.len() - self.database().len();
        let place = format!("{}{database}", &self.place[..hosts]);
        Ok(Self { place, ..self.clone() })
    }

    /// The name of the database, if that is all that the path has, and nothing else says another.
    pub(super) fn database_name(&self) -> Option<String> {
        let name = self.database().strip_prefix('/')?;
        let name = percent_decode_str(name).decode_utf8().ok()?;
        let is_name = !name.is_empty() && self.check_template().is_ok();
        is_name.then(|| name.into_owned())
    }

    /// The URL of another database on the same server; of none, where `name` is empty.
    pub(super) fn at_database(&self, name: &str) -> Self {
        let encoded = utf8_percent_encode(name, USER_INFO);
        let hosts = self.place.len() - self.database().len();
        Self { place: format!("{}/{encoded}", &self.place[..hosts]), ..self.clone() }
    }

    pub(super) fn with_user(&self, user: &str) -> Self {
        let encoded = utf8_percent_encode(user, USER_INFO).to_string();
        let mut url = self.clone();
        url.parameters.retain(|parameter| parameter.name != "user");
        url.user = Some(encoded);
        url
    }

    pub(super) fn has_parameter(&self, name: &str) -> bool {
        self.parameters.iter().any(|parameter| decoded(&parameter.name) == name)
    }

    pub(super) fn has_password(&self) -> bool {
        self.password.as_ref().is_some_and(|password| !password.expose_secret().is_empty())
            || self.parameters.iter().any(Parameter::is_password)
    }

    pub(super) fn with_password(&self, password: &SecretString) -> Self {
        let encoded: Cow<'_, str> = utf8_percent_encode(password.expose_secret(), USER_INFO).into();
        let encoded = SecretString::from(encoded.as_ref());
        let mut url = self.clone();
        url.parameters.retain(|parameter| !parameter.is_password());
        if self.user.is_none() && self.backend == BackendKind::Postgres {
            // `:password@` would be the empty user, and not, as without one, the user of the system.
            url.parameters.push(Parameter { name: "password".to_owned(), value: Some(encoded) });
        } else {
            url.password = Some(encoded);
        }
        url
    }

    pub(super) fn redacted(&self) -> String {
        let (hosts, database) = self.place.split_at(self.place.len() - self.database().len());
        let shown = Self {
            user: self.user.as_deref().map(|user| shown(user, ":").to_owned()),
            place: format!("{}{}", shown(hosts, ""), shown(database, ":")),
            ..self.clone()
        };
        shown.text(&self.scheme, &self.parameters, |_| "***", Parameter::redacted)
    }

    /// `message` without the names of parameters that may be secrets gone astray.
    pub(super) fn redact_message(&self, message: &str) -> String {
        let odd = self.parameters.iter().filter(|parameter| !parameter.shows_name());
        odd.fold(message.to_owned(), |message, parameter| {
            let name = percent_decode_str(&parameter.name).decode_utf8_lossy();
            let message = if name.is_empty() { message } else { message.replace(&*name, "***") };
            if parameter.name.is_empty() {
                message
            } else {
                message.replace(&parameter.name, "***")
            }
        })
    }

    /// Without what it says of TLS.
    pub(super) fn expose(&self) -> String {
        let scheme = match self.backend {
            BackendKind::Mysql => "mysql",
            _ => "postgres",
        };
        let is_ours = |parameter: &&Parameter| tls::is_ours(self.backend, &parameter.name);
        let parameters = self.parameters.iter().filter(|parameter| !is_ours(parameter));
        self.text(scheme, parameters, ExposeSecret::expose_secret, Parameter::expose)
    }

    fn text<'a>(
        &'a self,
        scheme: &str,
        parameters: impl IntoIterator<Item = &'a Parameter>,
        password: impl Fn(&'a SecretString) -> &'a str,
        parameter: impl Fn(&Parameter) -> String,
    ) -> String {
        let mut text = format!("{scheme}://");
        text.push_str(self.user.as_deref().unwrap_or_default());
        if let Some(secret) = &self.password {
            text.push(':');
            text.push_str(password(secret));
        }
        if self.user.is_some() || self.password.is_some() {
            text.push('@');
        }
        text.push_str(&self.place);
        for (index, part) in parameters.into_iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(&parameter(part));
        }
        text
    }
}

impl Parameter {
    fn parse(part: &str) -> Self {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        Self { name: name.to_owned(), value: value.map(SecretString::from) }
    }

    fn is_password(&self) -> bool {
        percent_decode_str(&self.name).eq(b"password".iter().copied())
    }

    fn is_harmless(&self) -> bool {
        HARMLESS.contains(&self.name.as_str())
    }

    /// Whether there seem to be several parameters in it.
    fn is_unsplit(&self) -> bool {
        let value = self.value.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        self.name.contains(';')
            || (value.contains(';') && !self.is_password())
            || (self.is_harmless() && has_secretive_parameter(&decoded(value)))
    }

    /// Whether the name is one of a parameter, and not a secret without its name: `?c2VjcmV0==`.
    fn shows_name(&self) -> bool {
        let value = self.value.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        let is_word = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        };
        self.is_harmless() || (is_word(&self.name) && value.contains(|c: char| c.is_alphanumeric()))
    }

    fn redacted(&self) -> String {
        match &self.value {
            Some(value) if self.is_harmless() => {
                // `user:password` is how it stands elsewhere in a URL.
                let refused = if self.name == "user" { ":" } else { "" };
                format!("{}={}", self.name, shown(value.expose_secret(), refused))
            }
            Some(_) if self.shows_name() => format!("{}=***", self.name),
            _ => "***".to_owned(),
        }
    }

    fn expose(&self) -> String {
        match &self.value {
            Some(value) => format!("{}={}", self.name, value.expose_secret()),
            None => self.name.clone(),
        }
    }
}

/// Whether nothing in a part of the URL seems to be a parameter.
fn is_name(part: &str, stray: &[char]) -> bool {
    !part.contains(stray) && !has_secretive_parameter(&decoded(part))
}

/// A part of the URL, if it surely is one value without any of `refused` in it.
fn shown<'a>(part: &'a str, refused: &str) -> &'a str {
    let text = decoded(part);
    let is_shown = is_one_value(&text) && !text.contains(|c| refused.contains(c));
    if is_shown { part } else { "***" }
}

fn decoded(part: &str) -> Cow<'_, str> {
    percent_decode_str(part).decode_utf8_lossy()
}

/// A text after a host's colon that is no port may be a password: `postgres://app:secret`.
fn check_ports(hosts: &str) -> Result<(), InvalidUrl> {
    for host in hosts.split(',') {
        let port = match host.strip_prefix('[').map(|host| host.split_once(']')) {
            Some(Some((_, ""))) => None,
            Some(Some((_, port))) => Some(port.strip_prefix(':').ok_or(InvalidUrl::InvalidPort)?),
            Some(None) => return Err(InvalidUrl::InvalidPort),
            None => host.split_once(':').map(|(_, port)| port),
        };
        if port.is_some_and(|port| !port.is_empty() && port.parse::<u16>().is_err()) {
            return Err(InvalidUrl::InvalidPort);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use crate::settings::url::{DatabaseUrl, InvalidUrl};

    fn url(text: &str) -> DatabaseUrl {
        DatabaseUrl::parse(text).unwrap()
    }

    #[test]
    fn what_was_written_reaches_the_driver() {
        for text in [
            "postgres://localhost/app",
            "postgres://app@localhost:5432/app",
            "postgres://app:s%40cret@localhost/app?application_name=x&connect_timeout=3",
            "postgres://app:pw@h1:5432,h2:5433,[::1]:5434/app?target_session_attrs=read-write",
            "postgres://app@%2Fvar%2Frun%2Fpostgresql/app",
            "postgres:///app?host=/var/run/postgresql",
            "postgres://app:p#w@localhost/app",
            "mysql://app:pw@127.0.0.1:3306/app?stmt_cache_size=0",
            "mysql://app@localhost/app?socket=/run/mysqld/mysqld.sock",
        ] {
            assert_eq!(url(text).expose(), text);
        }
    }

    #[test]
    fn other_spellings_reach_the_driver_as_it_knows_them() {
        assert_eq!(url("mariadb://app@h/app").expose(), "mysql://app@h/app");
        assert_eq!(url("postgresql://h/app").expose(), "postgres://h/app");
        assert_eq!(
            url("postgres://h/app?sslmode=Allow&user=app").expose(),
            "postgres://h/app?user=app"
        );
        assert_eq!(
            url("mysql://h/app?ssl-mode=PREFERRED&stmt_cache_size=0").expose(),
            "mysql://h/app?stmt_cache_size=0"
        );
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn the_postgres_driver_takes_what_is_exposed() {
        for text in [
            "postgres://app:s%40cret@h1:5432,h2:5433/app?sslmode=ALLOW",
            "postgres://app@%2Fvar%2Frun%2Fpostgresql/app",
            "postgres:///app?host=/var/run/postgresql",
        ] {
            let exposed = url(text).with_password(&SecretString::from("a/b@c:d?e#f %")).expose();
            let config: tokio_postgres::Config = exposed.parse().unwrap();
            assert_eq!(config.get_password().unwrap(), b"a/b@c:d?e#f %", "{text}");
            assert_eq!(config.get_dbname(), Some("app"), "{text}");
        }
    }

    #[cfg(feature = "mysql")]
    #[test]
    fn the_mysql_driver_takes_what_is_exposed() {
        for text in ["mariadb://app:x@h:3307/app", "mysql://app@h:3307/app?ssl_mode=disabled"] {
            let exposed = url(text).with_password(&SecretString::from("a/b@c:d?e#f %+")).expose();
            let opts = mysql_async::Opts::from_url(&exposed).unwrap();
            assert_eq!(opts.pass(), Some("a/b@c:d?e#f %+"), "{text}");
            assert_eq!(opts.tcp_port(), 3307, "{text}");
            assert_eq!(opts.db_name(), Some("app"), "{text}");
        }
    }

    #[test]
    fn the_user_and_the_place_are_shown_and_the_password_is_not() {
        assert_eq!(
            url("postgresql://app:secret@h1:1,h2:2/app?user=x&password=secret&odd=secret")
                .to_string(),
            "postgresql://app:***@h1:1,h2:2/app?user=x&password=***&odd=***"
        );
        assert_eq!(
            format!("{:?}", url("mariadb://app:secret@h/app")),
            "DatabaseUrl(mariadb://app:***@h/app)"
        );
    }

    #[test]
    fn a_password_is_put_where_the_driver_looks() {
        let with = |text| url(text).with_password(&SecretString::from("n w")).expose();
        assert_eq!(with("postgres://app@h/db"), "postgres://app:n%20w@h/db");
        assert_eq!(with("postgres://app:old@h/db"), "postgres://app:n%20w@h/db");
        assert_eq!(with("postgres://h/db"), "postgres://h/db?password=n%20w");
        assert_eq!(with("postgres://app@h/db?password=old"), "postgres://app:n%20w@h/db");
        assert_eq!(with("mysql://app@h/db"), "mysql://app:n%20w@h/db");
    }

    #[test]
    fn a_url_says_whether_it_carries_a_password() {
        assert!(url("postgres://app:x@h/db").has_password());
        assert!(url("postgres://app@h/db?password=x").has_password());
        assert!(!url("postgres://app@h/db").has_password());
        assert!(!url("postgres://app:@h/db").has_password());
    }

    #[test]
    fn what_a_url_says_of_tls_is_shown_and_counts() {
        for text in [
            "postgres://h/db?sslmode=disable&sslrootcert=tls/ca.pem",
            "mysql://h/db?ssl-mode=DISABLED&ssl-ca=tls/ca.pem",
        ] {
            assert_eq!(url(text).to_string(), text);
            assert_ne!(url(text), url(text.split_once('?').unwrap().0));
        }
        assert_eq!(url("postgres://h/db?sslmode=prefer"), url("postgres://h/db"));
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn a_url_that_asks_for_tls_is_refused() {
        for text in ["postgres://h/db?sslmode=require", "mysql://h/db?require_ssl=true"] {
            let invalid = DatabaseUrl::parse(text).unwrap_err();
            assert!(matches!(invalid, InvalidUrl::Tls { .. }), "{invalid}");
        }
    }

    #[test]
    fn urls_that_drivers_read_differently_are_refused() {
        for text in [
            "postgres://u:p@x@h/db",
            "postgres://u:p/x@h/db",
            "postgres://u:p?x@h/db",
            "postgres:///db?application_name=a@b",
            "mysql://u:p#x@h/db",
            "mysql://h/db#x",
        ] {
            assert_eq!(DatabaseUrl::parse(text), Err(InvalidUrl::Ambiguous), "{text}");
        }
    }

    #[test]
    fn parameters_that_are_not_split_are_refused() {
        for text in [
            "postgres://h/app&user=app&password=x",
            "postgres://h/app;password=x",
            "postgres://h;password=x/app",
            "postgres://user=app;password=x@h/app",
            "postgres://h/app%3Fpassword%3Dx",
            "postgres://h/app?user=app;password=x",
            "postgres://h/app?application_name=x%26password%3Dx",
            "mysql://h/app:x",
            "mysql://h/app?pool_min=1;password=x",
        ] {
            assert_eq!(DatabaseUrl::parse(text), Err(InvalidUrl::StraySeparator), "{text}");
        }
        for text in [
            "postgres://a%3Bb:p;w=x&y@h/a%3Db?options=-c%20a=b&password=a;b=c",
            "mysql://h/a%3Bb%26c?pool_min=1&pool_max=2",
        ] {
            assert_eq!(url(text).expose(), text);
        }
    }

    #[test]
    fn names_that_may_be_several_parameters_are_not_shown() {
        assert_eq!(url("postgres://a%3Bb@h/a%3Db").to_string(), "postgres://***@h***");
        assert_eq!(
            url("postgres://h/db?user=app:x&application_name=a%3Bb&odd=1&x%20y=1&eA==").to_string(),
            "postgres://h/db?user=***&application_name=***&odd=***&***&***"
        );
    }

    #[test]
    fn a_port_is_a_number() {
        for text in [
            "postgres://app:secret",
            "postgres://h:99999/db",
            "postgres://::1/db",
            "postgres://[::1/db",
            "postgres://[::1]5432/db",
            "mysql://h:x/db",
        ] {
            assert_eq!(DatabaseUrl::parse(text), Err(InvalidUrl::InvalidPort), "{text}");
        }
    }
}
