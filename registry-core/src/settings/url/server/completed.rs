//! The URL of a replica, with what it leaves out from the URL of its bind.

use secrecy::ExposeSecret;

use super::parameter::{Parameter, decoded};
use super::{ServerUrl, read_tls};
use crate::settings::keys::BackendKind;
use crate::settings::url::error::InvalidUrl;
use crate::settings::url::tls::{self, TlsMaterial};

/// The parameters that say where a server is, or which of several is meant. Each URL has its own.
const OF_THE_SERVER: [&str; 7] = [
    "host",
    "hostaddr",
    "port",
    "socket",
    "prefer_socket",
    "target_session_attrs",
    "load_balance_hosts",
];

impl ServerUrl {
    /// The URL with the user, the database and the parameters of `bind` that it does not have itself.
    ///
    /// The parameters for TLS are one setting: a URL with any of them gets none. Files that an option of the replica
    /// gives (`own`) are not taken from the URL of the bind either.
    pub(in crate::settings::url) fn completed_from(
        &self,
        bind: &Self,
        own: &TlsMaterial,
    ) -> Result<Self, InvalidUrl> {
        let mut url = self.clone();
        let names_user = self.user.is_some() || self.has_parameter("user");
        if !names_user {
            url.user.clone_from(&bind.user);
        }
        let names_database =
            !self.database().trim_matches('/').is_empty() || self.has_parameter("dbname");
        if !names_database {
            let hosts = self.hosts_and_path.len() - self.database().len();
            let hosts = &self.hosts_and_path[..hosts];
            url.hosts_and_path = format!("{hosts}{}", bind.database());
        }
        let has_tls = self.parameters.iter().any(|parameter| self.is_for_tls(parameter));
        let inherited = bind.parameters.iter().filter(|parameter| {
            let name = decoded(&parameter.name);
            let is_left_out = match &*name {
                "user" => !names_user,
                "dbname" => !names_database,
                "password" => false,
                name => !self.has_parameter(name) && !OF_THE_SERVER.contains(&name),
            };
            let is_given = tls::is_given(self.backend, &parameter.name, own);
            is_left_out && !is_given && !(has_tls && self.is_for_tls(parameter))
        });
        url.parameters.extend(inherited.cloned());
        url.tls = read_tls(url.backend, &url.parameters, &TlsMaterial::default())?;
        Ok(url)
    }

    /// The URL with the password of `other`, if that has one.
    pub(in crate::settings::url) fn with_password_of(&self, other: &Self) -> Self {
        let parameter = other.parameters.iter().find(|parameter| parameter.is_password());
        let encoded = match (&other.password, parameter.and_then(|found| found.value.as_ref())) {
            (Some(password), _) if !password.expose_secret().is_empty() => password,
            (_, Some(password)) => password,
            _ => return self.clone(),
        };
        self.with_encoded_password(encoded.clone())
    }

    /// Fails if `target_session_attrs` has a value that the driver does not know, such as the newer ones of libpq.
    pub(in crate::settings::url) fn check_session_attrs(&self) -> Result<(), String> {
        let is_it = |parameter: &&Parameter| decoded(&parameter.name) == "target_session_attrs";
        let wanted = self.parameters.iter().find(is_it);
        let is_known = wanted.is_none_or(|wanted| {
            matches!(&*decoded(wanted.value()), "any" | "read-write" | "read-only")
        });
        if is_known || self.backend != BackendKind::Postgres {
            return Ok(());
        }
        Err("`target_session_attrs` is `any`, `read-write` (a primary) or `read-only` (a standby)"
            .to_owned())
    }

    /// The value of `target_session_attrs`, if it asks for a server that takes writes.
    pub(in crate::settings::url) fn wants_primary(&self) -> Option<&'static str> {
        let is_it = |parameter: &&Parameter| decoded(&parameter.name) == "target_session_attrs";
        let wanted = self.parameters.iter().find(is_it)?;
        ["read-write", "primary"].into_iter().find(|value| decoded(wanted.value()) == *value)
    }

    fn is_for_tls(&self, parameter: &Parameter) -> bool {
        let name = decoded(&parameter.name);
        let is_read_by_driver = self.backend == BackendKind::Postgres
            && matches!(&*name, "sslnegotiation" | "channel_binding");
        is_read_by_driver || tls::is_tls_parameter(self.backend, &name)
    }
}
