//! One parameter of the URL of a server, and the part of it that may be shown.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use crate::settings::url::stray_parameter::{has_secretive_parameter, is_one_value};

/// The parameters whose values may be shown. This is an allowlist of what is harmless, because a list of what is secret
/// would miss each secret that is misspelt.
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

/// A parameter, still percent-encoded.
#[derive(Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    /// `None` without an equals sign, which drivers refuse.
    pub(super) value: Option<SecretString>,
}

impl Parameter {
    pub(super) fn parse(part: &str) -> Self {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        };
        Self { name: name.to_owned(), value: value.map(SecretString::from) }
    }

    /// The value, still percent-encoded. Empty if there is none.
    pub(super) fn value(&self) -> &str {
        self.value.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default()
    }

    pub(super) fn is_password(&self) -> bool {
        percent_decode_str(&self.name).eq(b"password".iter().copied())
    }

    fn is_harmless(&self) -> bool {
        HARMLESS.contains(&self.name.as_str())
    }

    /// Whether it looks like several parameters that a driver would read as one.
    pub(super) fn seems_to_be_several(&self) -> bool {
        let value = self.value.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        self.name.contains(';')
            || (value.contains(';') && !self.is_password())
            || (self.is_harmless() && has_secretive_parameter(&decoded(value)))
    }

    /// Whether the name is the name of a parameter, and not a secret that was written without a name: `?c2VjcmV0==`.
    pub(super) fn shows_name(&self) -> bool {
        let value = self.value.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        let is_word = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        };
        self.is_harmless() || (is_word(&self.name) && value.contains(|c: char| c.is_alphanumeric()))
    }

    pub(super) fn redacted(&self) -> String {
        match &self.value {
            Some(value) if self.is_harmless() => {
                // In the authority of a URL, a colon and the password follow the user, so a user with a colon may
                // contain a password.
                let excluded = if self.name == "user" { ":" } else { "" };
                format!("{}={}", self.name, shown(value.expose_secret(), excluded))
            }
            Some(_) if self.shows_name() => format!("{}=***", self.name),
            _ => "***".to_owned(),
        }
    }

    /// Whether its value certainly is no secret.
    #[cfg(feature = "cli")]
    pub(super) fn is_shown(&self) -> bool {
        let redacted = self.redacted();
        self.is_harmless() && redacted == self.expose()
    }

    pub(super) fn expose(&self) -> String {
        match &self.value {
            Some(value) => format!("{}={}", self.name, value.expose_secret()),
            None => self.name.clone(),
        }
    }
}

/// A part of the URL, if it certainly is one value without any of the characters in `excluded`. Otherwise `***`.
pub(super) fn shown<'a>(part: &'a str, excluded: &str) -> &'a str {
    let text = decoded(part);
    let is_shown = is_one_value(&text) && !text.contains(|c| excluded.contains(c));
    if is_shown { part } else { "***" }
}

pub(super) fn decoded(part: &str) -> Cow<'_, str> {
    percent_decode_str(part).decode_utf8_lossy()
}
