//! The choice of a host's address for a connection, and of TLS or plaintext.

use std::io;
use std::net::IpAddr;

#[cfg(feature = "rustls")]
use mysql_async::SslOpts;
use mysql_async::{Conn, Error, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use tokio::time::{Instant, timeout_at};

use super::connect_error::classify;
use crate::backend::connect_context::ConnectContext;
use crate::backend::error::ConnectError;
use crate::backend::host_failover::{host_timed_out, more_informative, share_deadline};
use crate::backend::observed::Observed;
#[cfg(feature = "rustls")]
use crate::cause::Chain;
#[cfg(feature = "rustls")]
use crate::settings::url::tls::TlsMode;
use crate::settings::{DatabaseUrl, Endpoint};

/// Tries each address of the host until one accepts the connection.
///
/// The remaining time is shared equally among the addresses that are left, the handshake included, so one that accepts and
/// then sends nothing uses up its share alone. A recently failed address is tried last. (mysql_async would try all
/// addresses within one limit, and would wait for the first one that accepts.)
pub(super) async fn connect(
    builder: OptsBuilder,
    url: &DatabaseUrl,
    ConnectContext { failed_hosts, deadline, endpoint, .. }: ConnectContext<'_>,
    observed: &Observed,
) -> Result<Conn, ConnectError> {
    let opts = Opts::from(builder.clone());
    if opts.socket().is_some() {
        return try_address(builder, url).await;
    }
    let (host, port) = (opts.ip_or_hostname(), opts.tcp_port());
    let place = |address: &IpAddr| format!("{address}:{port}");
    let mut addresses = match endpoint.and_then(|endpoint| endpoint.address) {
        Some(address) => vec![address],
        None => {
            let resolved = timeout_at(deadline, addresses(host, port)).await;
            resolved.map_err(|_| host_timed_out())??
        }
    };
    failed_hosts.sort_last(&mut addresses, place);
    let number = addresses.len();
    let mut failure = None;
    for (at, address) in addresses.into_iter().enumerate() {
        let builder = builder.clone().resolved_ips(Some([address]));
        let tried =
            timeout_at(share_deadline(deadline, number - at), try_address(builder, url)).await;
        match tried.unwrap_or_else(|_| Err(host_timed_out())) {
            Ok(conn) => {
                failed_hosts.remove(&place(&address));
                observed.stream.note_host(place(&address));
                return Ok(conn);
            }
            // The other addresses would reject the same password.
            Err(error @ ConnectError::Authentication(_)) => return Err(error),
            Err(error) => {
                failed_hosts.add(place(&address));
                failure = Some(more_informative(failure, error));
            }
        }
    }
    Err(failure.unwrap_or_else(host_timed_out))
}

/// Every server that the options lead to: each address of the host's name.
pub(super) async fn endpoints(
    opts: &Opts,
    deadline: Instant,
) -> Result<Vec<Endpoint>, ConnectError> {
    if let Some(socket) = opts.socket() {
        return Ok(vec![Endpoint { name: socket.to_owned(), ..Endpoint::default() }]);
    }
    let (host, port) = (opts.ip_or_hostname(), opts.tcp_port());
    let resolved = timeout_at(deadline, addresses(host, port)).await;
    let is_resolved = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_err();
    let endpoint = |address: IpAddr| Endpoint {
        host: 0,
        address: Some(address),
        is_resolved,
        name: format!("{address}:{port}"),
    };
    Ok(resolved.map_err(|_| host_timed_out())??.into_iter().map(endpoint).collect())
}

async fn addresses(host: &str, port: u16) -> Result<Vec<IpAddr>, ConnectError> {
    // mysql_async leaves the brackets of an IPv6 address in the host.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|error| ConnectError::Unreachable(error.into()))?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.dedup();
    if addresses.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        return Err(ConnectError::Unreachable(error.into()));
    }
    Ok(addresses)
}

#[cfg(not(feature = "rustls"))]
async fn try_address(builder: OptsBuilder, _: &DatabaseUrl) -> Result<Conn, ConnectError> {
    open(builder).await.map_err(classify)
}

/// Connects as MySQL's `ssl-mode` says: with TLS, without, or with one after the other.
#[cfg(feature = "rustls")]
async fn try_address(builder: OptsBuilder, url: &DatabaseUrl) -> Result<Conn, ConnectError> {
    use crate::backend::tls::mysql::{name_in_certificate, ssl_opts};

    let plain = builder.clone().ssl_opts(None);
    let opts = Opts::from(builder.clone());
    let Some(tls) = url.tls().filter(|tls| tls.mode > TlsMode::Disable && opts.socket().is_none())
    else {
        return open(plain).await.map_err(classify);
    };
    // Loaded first, so that a certificate or a key that cannot be used never leads to plaintext.
    let ssl = ssl_opts(tls, opts.ip_or_hostname()).await?;
    match encrypted(&builder, ssl).await {
        Err(ConnectError::Tls(cause)) if tls.mode == TlsMode::Prefer => {
            tracing::debug!(
                target: "registry",
                %url,
                cause = %Chain(&*cause),
                "plaintext: TLS cannot be had"
            );
            open(plain).await.map_err(classify)
        }
        Err(ConnectError::Tls(cause)) if tls.mode == TlsMode::VerifyCa => {
            match name_in_certificate(&*cause) {
                Some(name) => encrypted(&builder, ssl_opts(tls, &name).await?).await,
                None => Err(ConnectError::Tls(cause)),
            }
        }
        done => done,
    }
}

#[cfg(feature = "rustls")]
async fn encrypted(builder: &OptsBuilder, ssl: SslOpts) -> Result<Conn, ConnectError> {
    open(builder.clone().ssl_opts(ssl)).await.map_err(classify)
}

/// Opens a connection that sends `COM_QUIT` when it is dropped. mysql_async 0.36 intends to send it for every connection, but
/// counts the connection as disconnected by then. A connection that returns to a pool without idle slots is closed properly,
/// so each connection gets a pool of its own.
async fn open(opts: OptsBuilder) -> Result<Conn, Error> {
    let keeps_none = PoolConstraints::new(0, 1).unwrap_or_default();
    let pool_opts = PoolOpts::default().with_constraints(keeps_none).with_reset_connection(false);
    Pool::new(opts.pool_opts(pool_opts)).get_conn().await
}
