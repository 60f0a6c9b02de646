//! The order in which the hosts of a URL and their addresses are tried.

use tokio::time::{Instant, timeout_at};
use tokio_postgres::Config;
#[cfg(unix)]
use tokio_postgres::config::Host;
use tokio_postgres::config::LoadBalanceHosts;

use super::Postgres;
use super::connect_error::has_no_access_rule;
use super::connectors::Encryption;
use super::hosts::{Candidate, candidate_at, candidates, config_for, resolve, shuffle};
#[cfg(feature = "rustls")]
use super::open::open_by_sslmode;
use super::open::open_observed;
#[cfg(unix)]
use super::open::{open_pooled_socket, open_unobserved};
use crate::backend::connect_context::OpenedConnection;
use crate::backend::error::ConnectError;
use crate::backend::host_failover::{
    FailedHosts, host_timed_out, more_informative, share_deadline,
};
use crate::settings::{DatabaseUrl, Endpoint};

/// The options for opening a connection.
pub(super) struct ConnectOptions<'a> {
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "it says how to encrypt"))]
    pub(super) url: &'a DatabaseUrl,
    pub(super) failed_hosts: &'a FailedHosts,
    /// Whether there is a transaction pooler between the client and the server.
    pub(super) is_pooled: bool,
    /// The deadline of the attempt.
    pub(super) deadline: Instant,
    /// The one server to connect to.
    pub(super) endpoint: Option<&'a Endpoint>,
    /// Whether a standby is refused.
    pub(super) requires_primary: bool,
}

/// Tries each host of the configuration, and each address of its name, until one accepts the connection.
///
/// The remaining time is shared equally among the candidates that are left, the handshake included, so a host that accepts
/// and then sends nothing uses up its share alone. A recently failed host is tried last. (libpq gives each address the whole
/// `connect_timeout`; here `connect_timeout` is the time for all of them.)
pub(super) async fn connect(
    config: &Config,
    options: &ConnectOptions<'_>,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let mut candidates = candidates(config)?;
    if let Some(endpoint) = options.endpoint {
        candidates = vec![candidate_at(candidates, endpoint)?];
    }
    if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
        shuffle(&mut candidates);
    }
    options.failed_hosts.sort_last(&mut candidates, Candidate::name);
    let mut failure = None;
    let number = candidates.len();
    for (at, candidate) in candidates.into_iter().enumerate() {
        match try_host(config, &candidate, options, share_deadline(options.deadline, number - at))
            .await
        {
            Ok(opened) => return Ok(opened),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                options.failed_hosts.add(candidate.name());
                failure = Some(more_informative(failure, error));
            }
        }
    }
    Err(failure.unwrap_or_else(host_timed_out))
}

/// Tries each address of a host.
async fn try_host(
    config: &Config,
    host: &Candidate,
    options: &ConnectOptions<'_>,
    deadline: Instant,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let mut addresses = resolve(host, config, deadline).await?;
    options.failed_hosts.sort_last(&mut addresses, Candidate::name);
    let mut failure = None;
    let number = addresses.len();
    for (at, address) in addresses.into_iter().enumerate() {
        let name = address.name();
        match try_address(config, address, options, share_deadline(deadline, number - at)).await {
            Ok(opened) => {
                options.failed_hosts.remove(&name);
                options.failed_hosts.remove(&host.name());
                opened.observed.stream.note_host(name);
                return Ok(opened);
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                options.failed_hosts.add(name);
                failure = Some(more_informative(failure, error));
            }
        }
    }
    Err(failure.unwrap_or_else(host_timed_out))
}

/// Whether to skip the other hosts, because they would reject the same password. (libpq has the same rule.)
fn is_final(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Authentication(_)) && !has_no_access_rule(error)
}

async fn try_address(
    config: &Config,
    candidate: Candidate,
    options: &ConnectOptions<'_>,
    deadline: Instant,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let one = config_for(config, &candidate);
    let ready = async {
        #[cfg(unix)]
        if let Some(Host::Unix(folder)) = &candidate.host {
            let path = folder.join(format!(".s.PGSQL.{}", candidate.port));
            return match options.is_pooled {
                true => open_pooled_socket(one, path).await,
                false => open_unobserved(one).await,
            };
        }
        #[cfg(feature = "rustls")]
        if let Some(tls) = options.url.tls() {
            return open_by_sslmode(one, options.url, tls, options.is_pooled).await;
        }
        open_observed(one, Encryption::None, options.is_pooled).await
    };
    let opened = async {
        let opened = ready.await?;
        if options.requires_primary { Box::pin(refuse_standby(opened)).await } else { Ok(opened) }
    };
    match timeout_at(deadline, opened).await {
        Ok(outcome) => outcome,
        Err(_) => Err(host_timed_out()),
    }
}

/// Refuses a server in recovery. A server from version 14 on has said so by itself; others are asked.
async fn refuse_standby(
    mut opened: OpenedConnection<Postgres>,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let is_standby = match opened.observed.role.is_in_hot_standby() {
        Some(is_standby) => is_standby,
        None => {
            let answer = super::is_in_recovery(&mut opened.connection).await;
            answer.map_err(|error| ConnectError::Unreachable(error.into()))?
        }
    };
    if is_standby {
        return Err(ConnectError::Unreachable("the server is a standby, not the primary".into()));
    }
    Ok(opened)
}
