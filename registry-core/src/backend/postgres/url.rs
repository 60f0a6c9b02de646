//! The driver's configuration from a URL, and the start-up options of a connection.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use tokio_postgres::Config;
#[cfg(feature = "rustls")]
use tokio_postgres::config::Host;

#[cfg(feature = "rustls")]
use crate::backend::tls;
#[cfg(feature = "rustls")]
use crate::settings::BackendKind;
#[cfg(feature = "rustls")]
use crate::settings::url::tls::TlsMode;
use crate::settings::{DatabaseUrl, EngineOptions, Pooler};

/// The configuration of the driver. Its errors name parameters, and neither they nor their sources show a password.
pub(super) fn parse(url: &DatabaseUrl) -> Result<Config, String> {
    let config: Config =
        url.for_driver().parse().map_err(|error: tokio_postgres::Error| match error.source() {
            Some(cause) => url.redact_message(&format!("{error}: {cause}")),
            None => error.to_string(),
        })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err("no host: write one, or `?host=/path/of/the/socket/folder`".to_owned());
    }
    Ok(config)
}

#[cfg(feature = "rustls")]
pub(super) fn check_tls(url: &DatabaseUrl, config: &Config) -> Result<(), String> {
    let Some(tls) = url.tls() else { return Ok(()) };
    let is_mixed = has_network(config) && config.get_hosts().iter().any(is_socket);
    if is_mixed && tls.mode >= TlsMode::Require {
        return Err("of these hosts, one is a Unix socket, and those have no TLS".to_owned());
    }
    tls::check(BackendKind::Postgres, tls)
}

#[cfg(not(feature = "rustls"))]
pub(super) fn check_tls(_: &DatabaseUrl, _: &Config) -> Result<(), String> {
    // The settings refuse a URL that asks for TLS if the feature is off.
    Ok(())
}

/// Whether there is a host that is not a Unix socket. libpq ignores its `sslmode` where there is none.
#[cfg(feature = "rustls")]
fn has_network(config: &Config) -> bool {
    !config.get_hostaddrs().is_empty() || !config.get_hosts().iter().all(is_socket)
}

#[cfg(feature = "rustls")]
fn is_socket(host: &Host) -> bool {
    !matches!(host, Host::Tcp(_))
}

/// The configuration with the start-up options, for another program than this one.
#[cfg(feature = "cli")]
pub(crate) fn config(url: &DatabaseUrl, options: &EngineOptions) -> Result<Config, String> {
    let mut config = parse(url)?;
    // A pooler refuses them.
    if options.pooler == Pooler::None
        && let Some(startup) = startup_options(&config, options)
    {
        config.options(&startup);
    }
    Ok(config)
}

/// Settings of the server for the whole life of the connection. `RESET ALL` restores the values of start-up options.
/// Connection poolers often refuse start-up options, so none are sent unless they are needed.
pub(super) fn startup_options(config: &Config, options: &EngineOptions) -> Option<String> {
    let mut startup = config.get_options().unwrap_or_default().to_owned();
    for (name, value) in server_settings(options) {
        // Writing to a string cannot fail.
        let _ = write!(startup, " -c {name}={value}");
    }
    (!startup.is_empty()).then_some(startup)
}

/// The settings of the server that the options ask for, and their values.
pub(super) fn server_settings(
    options: &EngineOptions,
) -> impl Iterator<Item = (&'static str, String)> {
    // A transaction pooler takes no start-up options: behind it, a transaction refuses writes, or the standby itself.
    let refuses_writes = options.read_only && options.pooler == Pooler::None;
    let read_only = refuses_writes.then(|| ("default_transaction_read_only", "on".to_owned()));
    let timeout = options
        .statement_timeout
        .map(|limit| ("statement_timeout", milliseconds(limit).to_string()));
    read_only.into_iter().chain(timeout)
}

/// PostgreSQL counts in whole milliseconds, and takes 0 to mean "no limit".
fn milliseconds(limit: Duration) -> u128 {
    limit.as_millis().max(1)
}
