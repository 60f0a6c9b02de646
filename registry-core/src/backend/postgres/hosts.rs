//! The hosts of a URL, and the addresses of their names.

use std::io;
use std::net::IpAddr;

use tokio::time::{Instant, timeout_at};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts};

use crate::backend::error::ConnectError;
use crate::backend::host_failover::host_timed_out;
use crate::backend::resource_exhaustion::unreachable_error;
use crate::settings::Endpoint;

/// One host of a URL, with an address if the URL has one or the name was resolved.
pub(super) struct Candidate {
    pub(super) host: Option<Host>,
    address: Option<IpAddr>,
    pub(super) port: u16,
}

impl Candidate {
    /// Whether its address has to be looked up.
    fn is_name(&self) -> bool {
        match (&self.host, self.address) {
            (Some(Host::Tcp(name)), None) => name.parse::<IpAddr>().is_err(),
            _ => false,
        }
    }

    /// The name under which the host's failures are recorded.
    pub(super) fn name(&self) -> String {
        match (&self.host, &self.address) {
            (_, Some(address)) => format!("{address}:{}", self.port),
            (Some(Host::Tcp(name)), None) => format!("{name}:{}", self.port),
            #[cfg(unix)]
            (Some(Host::Unix(folder)), None) => format!("{}:{}", folder.display(), self.port),
            (None, None) => String::new(),
        }
    }
}

pub(super) fn shuffle<T>(items: &mut [T]) {
    use std::hash::{BuildHasher, RandomState};
    for at in (1..items.len()).rev() {
        let random = RandomState::new().hash_one(at) as usize;
        items.swap(at, random % (at + 1));
    }
}

pub(super) fn candidates(config: &Config) -> Result<Vec<Candidate>, ConnectError> {
    let (hosts, addresses, ports) =
        (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let number = hosts.len().max(addresses.len());
    let is_uneven = !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len();
    if is_uneven || ports.len() > 1 && ports.len() != number {
        let message = "the numbers of hosts, hostaddrs and ports differ";
        return Err(ConnectError::Other(message.into()));
    }
    let candidate = |at: usize| Candidate {
        host: hosts.get(at).cloned(),
        address: addresses.get(at).copied(),
        port: ports.get(at).or(ports.first()).copied().unwrap_or(5432),
    };
    Ok((0..number).map(candidate).collect())
}

/// The candidate of an endpoint, which [`endpoints`] has found.
pub(super) fn candidate_at(
    candidates: Vec<Candidate>,
    endpoint: &Endpoint,
) -> Result<Candidate, ConnectError> {
    let Some(candidate) = candidates.into_iter().nth(endpoint.host) else {
        return Err(ConnectError::Other("the URL has no such host any more".into()));
    };
    Ok(Candidate { address: endpoint.address.or(candidate.address), ..candidate })
}

/// Every server that the configuration leads to: each host, and each address of its name.
pub(super) async fn endpoints(
    config: &Config,
    deadline: Instant,
) -> Result<Vec<Endpoint>, ConnectError> {
    let mut endpoints = Vec::new();
    for (host, candidate) in candidates(config)?.into_iter().enumerate() {
        let is_resolved = candidate.is_name();
        for resolved in resolve(&candidate, config, deadline).await? {
            let endpoint =
                Endpoint { host, address: resolved.address, is_resolved, name: resolved.name() };
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
    }
    Ok(endpoints)
}

/// The addresses of a host, in random order if the URL asks for that.
pub(super) async fn resolve(
    candidate: &Candidate,
    config: &Config,
    deadline: Instant,
) -> Result<Vec<Candidate>, ConnectError> {
    let Candidate { host, address, port } = candidate;
    let one = |address| Candidate { host: host.clone(), address, port: *port };
    let (Some(Host::Tcp(name)), None) = (host, address) else { return Ok(vec![one(*address)]) };
    let looked_up = timeout_at(deadline, tokio::net::lookup_host((&**name, *port))).await;
    let addresses = match looked_up {
        Ok(addresses) => addresses.map_err(|error| unreachable_error(error.into()))?,
        Err(_) => return Err(host_timed_out()),
    };
    let mut addresses: Vec<_> = addresses.map(|address| one(Some(address.ip()))).collect();
    if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
        shuffle(&mut addresses);
    }
    if addresses.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        return Err(ConnectError::Unreachable(error.into()));
    }
    Ok(addresses)
}

/// The configuration with this host alone. tokio-postgres cannot remove a host from a configuration.
pub(super) fn config_for(config: &Config, candidate: &Candidate) -> Config {
    let mut one = Config::new();
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(database) = config.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    if let Some(limit) = config.get_connect_timeout() {
        one.connect_timeout(*limit);
    }
    if let Some(limit) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*limit);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .ssl_negotiation(config.get_ssl_negotiation())
        .port(candidate.port);
    match (&candidate.host, candidate.address) {
        (Some(Host::Tcp(name)), _) => {
            one.host(name);
        }
        #[cfg(unix)]
        (Some(Host::Unix(folder)), _) => {
            one.host_path(folder);
        }
        // tokio-postgres checks the certificate against the name in `host` alone.
        (None, Some(address)) => {
            one.host(address.to_string());
        }
        (None, None) => {}
    }
    if let Some(address) = candidate.address {
        one.hostaddr(address);
    }
    one
}
