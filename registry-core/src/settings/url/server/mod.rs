//! The URL of a database server.

mod completed;
mod parameter;

use std::borrow::Cow;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::error::{InvalidUrl, TenantUrlError};
use super::stray_parameter::has_secretive_parameter;
use super::tls::{self, TlsMaterial, TlsSettings};
use crate::settings::keys::BackendKind;
use parameter::{Parameter, decoded, shown};

/// All characters except for the unreserved ones of RFC 3986.
const USER_INFO: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same for a path, whose slashes need no encoding in a parameter.
const PATH_IN_PARAMETER: &AsciiSet = &USER_INFO.remove(b'/');

/// Characters that separate parameters in a URL, and therefore cannot stand unencoded in a user or a host.
const STRAY: [char; 3] = [';', '&', '='];

/// The URL of a database server, in parts that are still percent-encoded.
///
/// It is not parsed by the `url` crate, which supports neither several hosts nor a socket as a host.
#[derive(Clone)]
pub(super) struct ServerUrl {
    backend: BackendKind,
    /// The scheme that was written, in lower case.
    scheme: String,
    user: Option<String>,
    password: Option<SecretString>,
    /// Hosts, ports and the path, which is the name of the database.
    hosts_and_path: String,
    /// All parameters of the URL, including those for TLS, which the driver does not get.
    parameters: Vec<Parameter>,
    tls: TlsSettings,
}

impl ServerUrl {
    /// Parses the part of the URL after the two slashes.
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
        // tokio-postgres ends the password at the first `@`, the `url` crate at the last one before a slash, and users
        // mean either. With at most one `@`, all of them agree.
        let stray_at = hosts.contains('@')
            || path.contains('@')
            || query.is_some_and(|query| query.contains('@'));
        // mysql_async parses URLs with the `url` crate, which would drop everything after a `#`.
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
            || parameters.iter().any(Parameter::seems_to_be_several)
        {
            return Err(InvalidUrl::StraySeparator);
        }
        let tls = read_tls(backend, &parameters, &TlsMaterial::default())?;
        Ok(Self {
            backend,
            scheme,
            user: user.map(str::to_owned),
            password: password.map(SecretString::from),
            hosts_and_path: format!("{hosts}{path}"),
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

    /// The URL with certificates and a key that options give.
    pub(super) fn with_tls_material(&self, material: &TlsMaterial) -> Result<Self, InvalidUrl> {
        let tls = read_tls(self.backend, &self.parameters, material)?;
        Ok(Self { tls, ..self.clone() })
    }

    /// The URL with relative paths to files of certificates made absolute.
    pub(super) fn resolved_against(&self, base: &Path) -> Self {
        Self { tls: self.tls.resolved_against(base), ..self.clone() }
    }

    /// The path: a slash and the name of the database.
    pub(super) fn database(&self) -> &str {
        self.hosts_and_path
            .split_at(self.hosts_and_path.find('/').unwrap_or(self.hosts_and_path.len()))
            .1
    }

    /// Whether `text` is anywhere but in the name of the database or in the password.
    pub(super) fn has_outside_database(&self, text: &str) -> bool {
        let hosts = self.hosts_and_path.len() - self.database().len();
        self.hosts_and_path[..hosts].contains(text)
            || self.user.as_ref().is_some_and(|user| user.contains(text))
            || self.parameters.iter().any(|parameter| {
                let value = parameter.value.as_ref().map(ExposeSecret::expose_secret);
                value.is_some_and(|value| value.contains(text))
            })
    }

    /// Fails unless only the path names the database.
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
        // PostgreSQL's NAMEDATALEN less one, in bytes. MySQL's limit of 64 is in characters, of which each has at least one
        // byte, so counting bytes is never too lenient.
        let limit = if self.backend == BackendKind::Postgres { 63 } else { 64 };
        if percent_decode_str(database.trim_start_matches('/')).count() > limit {
            return Err(TenantUrlError::TooLong { limit });
        }
        let hosts = self.hosts_and_path.len() - self.database().len();
        let hosts_and_path = format!("{}{database}", &self.hosts_and_path[..hosts]);
        Ok(Self { hosts_and_path, ..self.clone() })
    }

    /// The name of the database, if the path is a name and no parameter gives another one.
    pub(super) fn database_name(&self) -> Option<String> {
        let name = self.database().strip_prefix('/')?;
        let name = percent_decode_str(name).decode_utf8().ok()?;
        let is_name = !name.is_empty() && self.check_template().is_ok();
        is_name.then(|| name.into_owned())
    }

    /// The hosts and the name of the database, as people read them.
    #[cfg(feature = "dashboard")]
    pub(super) fn place(&self) -> String {
        let parameter = |name: &str| {
            let found = self.parameters.iter().find(|parameter| parameter.name == name)?;
            Some(found.value.as_ref()?.expose_secret())
        };
        let readable = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = self.database();
        let hosts = &self.hosts_and_path[..self.hosts_and_path.len() - path.len()];
        let hosts = if hosts.is_empty() { parameter("host").unwrap_or_default() } else { hosts };
        let database = parameter("dbname").unwrap_or(path.trim_start_matches('/'));
        match (readable(hosts), readable(database)) {
            (hosts, database) if database.is_empty() => hosts,
            (hosts, database) if hosts.is_empty() => database,
            (hosts, database) => format!("{hosts}/{database}"),
        }
    }

    /// The URL of another database on the same server, or of no database if `name` is empty.
    pub(super) fn at_database(&self, name: &str) -> Self {
        let encoded = utf8_percent_encode(name, USER_INFO);
        let hosts = self.hosts_and_path.len() - self.database().len();
        Self {
            hosts_and_path: format!("{}/{encoded}", &self.hosts_and_path[..hosts]),
            ..self.clone()
        }
    }

    pub(super) fn with_user(&self, user: &str) -> Self {
        let encoded = utf8_percent_encode(user, USER_INFO).to_string();
        let mut url = self.clone();
        url.parameters.retain(|parameter| parameter.name != "user");
        url.user = Some(encoded);
        url
    }

    /// The URL with one more start-up option (`-c name=value`) for PostgreSQL.
    #[cfg(feature = "cli")]
    pub(super) fn with_startup_option(&self, option: &str) -> Self {
        let mut url = self.clone();
        let is_it = |parameter: &Parameter| decoded(&parameter.name) == "options";
        let before = url.parameters.iter().find(|parameter| is_it(parameter));
        let options = match before {
            Some(before) => format!("{} {option}", decoded(before.value())),
            None => option.to_owned(),
        };
        url.parameters.retain(|parameter| !is_it(parameter));
        let value = utf8_percent_encode(&options, USER_INFO).to_string();
        url.parameters
            .push(Parameter { name: "options".to_owned(), value: Some(SecretString::from(value)) });
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
        self.with_encoded_password(SecretString::from(encoded.as_ref()))
    }

    fn with_encoded_password(&self, encoded: SecretString) -> Self {
        let mut url = self.clone();
        url.parameters.retain(|parameter| !parameter.is_password());
        if self.user.is_none() && self.backend == BackendKind::Postgres {
            // `:password@` would name a user whose name is empty, while a URL without a user means the user of the system.
            url.parameters.push(Parameter { name: "password".to_owned(), value: Some(encoded) });
        } else {
            url.password = Some(encoded);
        }
        url
    }

    pub(super) fn redacted(&self) -> String {
        let (hosts, database) =
            self.hosts_and_path.split_at(self.hosts_and_path.len() - self.database().len());
        let shown = Self {
            user: self.user.as_deref().map(|user| shown(user, ":").to_owned()),
            hosts_and_path: format!("{}{}", shown(hosts, ""), shown(database, ":")),
            ..self.clone()
        };
        shown.text(&self.scheme, &self.parameters, |_| "***", Parameter::redacted)
    }

    /// `message` without the names of parameters that may be secrets in the wrong place.
    pub(super) fn redact_message(&self, message: &str) -> String {
        let suspicious = self.parameters.iter().filter(|parameter| !parameter.shows_name());
        suspicious.fold(message.to_owned(), |message, parameter| {
            let name = percent_decode_str(&parameter.name).decode_utf8_lossy();
            let message = if name.is_empty() { message } else { message.replace(&*name, "***") };
            if parameter.name.is_empty() {
                message
            } else {
                message.replace(&parameter.name, "***")
            }
        })
    }

    /// The URL for the driver, with its password and without the parameters for TLS.
    pub(super) fn for_driver(&self) -> String {
        let is_for_tls =
            |parameter: &&Parameter| tls::is_tls_parameter(self.backend, &parameter.name);
        let parameters = self.parameters.iter().filter(|parameter| !is_for_tls(parameter));
        self.text(self.driver_scheme(), parameters, ExposeSecret::expose_secret, Parameter::expose)
    }

    /// The URL with its password and all its parameters. The files for TLS are those that are used: their paths are
    /// absolute, and those that an option gives are parameters, too.
    pub(super) fn expose(&self) -> String {
        let (parameters, files) = self.parameters_with_files();
        let parameters = parameters.into_iter().chain(&files);
        self.text(self.driver_scheme(), parameters, ExposeSecret::expose_secret, Parameter::expose)
    }

    /// What [`expose`](Self::expose) returns, without the password, without the parameters that may be a secret, and with
    /// `***` in place of a name that may be one.
    #[cfg(feature = "cli")]
    pub(super) fn without_secrets(&self) -> String {
        let (hosts, database) =
            self.hosts_and_path.split_at(self.hosts_and_path.len() - self.database().len());
        let shown = Self {
            user: self.user.as_deref().map(|user| shown(user, ":").to_owned()),
            password: None,
            hosts_and_path: format!("{}{}", shown(hosts, ""), shown(database, ":")),
            ..self.clone()
        };
        let (parameters, files) = self.parameters_with_files();
        let parameters = parameters.into_iter().filter(|parameter| parameter.is_shown());
        // A path that leads to no file may be something else: a key that was pasted, for example.
        let files = files.iter().filter(|file| Path::new(&*decoded(file.value())).is_file());
        let parameters = parameters.chain(files);
        shown.text(self.driver_scheme(), parameters, |_| "***", Parameter::expose)
    }

    /// The parameters, with the files for TLS as they are used.
    fn parameters_with_files(&self) -> (Vec<&Parameter>, Vec<Parameter>) {
        let is_file =
            |parameter: &&Parameter| tls::is_file(self.backend, &parameter.name, parameter.value());
        let files = tls::file_parameters(self.backend, &self.tls);
        let files = files.map(|(name, file)| {
            let path = utf8_percent_encode(&file.to_string_lossy(), PATH_IN_PARAMETER).to_string();
            Parameter { name: name.to_owned(), value: Some(SecretString::from(path)) }
        });
        let parameters = self.parameters.iter().filter(|parameter| !is_file(parameter));
        (parameters.collect(), files.collect())
    }

    fn driver_scheme(&self) -> &'static str {
        match self.backend {
            BackendKind::Mysql => "mysql",
            _ => "postgres",
        }
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
        text.push_str(&self.hosts_and_path);
        for (index, part) in parameters.into_iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(&parameter(part));
        }
        text
    }
}

fn read_tls(
    backend: BackendKind,
    parameters: &[Parameter],
    material: &TlsMaterial,
) -> Result<TlsSettings, InvalidUrl> {
    let pairs = parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.value()));
    tls::read(backend, pairs, material, cfg!(feature = "rustls"))
}

/// Whether a part of the URL is a name, and contains nothing that looks like a parameter.
fn is_name(part: &str, stray: &[char]) -> bool {
    !part.contains(stray) && !has_secretive_parameter(&decoded(part))
}

/// Fails if a port is not a number: in `postgres://app:secret` it may be a password.
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
mod tests;
