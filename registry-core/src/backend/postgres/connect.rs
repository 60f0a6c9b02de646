//! Reaching a server: which host, which address, and with TLS or without.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use diesel::result::ConnectionError;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, SslNegotiation};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, NoTls, Socket};

use super::transport::{Link, Transport};
use super::wire::{Refusal, Wire};
use super::{Postgres, classify};
use crate::backend::connect_context::{Canceller, OpenedConnection};
use crate::backend::driver::Driver;
use crate::backend::error::ConnectError;
use crate::backend::host_failover::{
    FailedHosts, host_timed_out, more_informative, share_deadline,
};
use crate::backend::observed::Observed;
use crate::backend::resource_exhaustion::unreachable_error;
#[cfg(feature = "rustls")]
use crate::backend::tls::connector::Connector;
#[cfg(feature = "rustls")]
use crate::cause::Chain;
use crate::cause::DriverError;
use crate::settings::DatabaseUrl;
#[cfg(feature = "rustls")]
use crate::settings::url::tls::{TlsMode, TlsSettings};

/// One host of a URL, with one address if it says one.
struct Candidate {
    host: Option<Host>,
    address: Option<IpAddr>,
    port: u16,
}

impl Candidate {
    /// What it is remembered by.
    fn name(&self) -> String {
        match (&self.host, &self.address) {
            (_, Some(address)) => format!("{address}:{}", self.port),
            (Some(Host::Tcp(name)), None) => format!("{name}:{}", self.port),
            #[cfg(unix)]
            (Some(Host::Unix(folder)), None) => format!("{}:{}", folder.display(), self.port),
            (None, None) => String::new(),
        }
    }
}

/// How a connection is to be opened.
pub(super) struct Way<'a> {
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "it says how to encrypt"))]
    pub(super) url: &'a DatabaseUrl,
    pub(super) failed_hosts: &'a FailedHosts,
    /// Whether a transaction pooler is in between.
    pub(super) is_pooled: bool,
    /// When to give up.
    pub(super) deadline: Instant,
}

/// Tries each host of the configuration, and each address of its name, until one lets us in.
///
/// Each has its share of the time that is left, the handshake included, so one that accepts and says nothing
/// takes its share and no more. One that has just failed is tried last. (libpq gives each address the
/// whole `connect_timeout`; here that is the time for all of them.)
pub(super) async fn connect(
    config: &Config,
    way: &Way<'_>,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let mut candidates = candidates(config)?;
    if config.get_load_balance_hosts() == LoadBalanceHosts::Random {
        shuffle(&mut candidates);
    }
    way.failed_hosts.sort_last(&mut candidates, Candidate::name);
    let mut failure = None;
    let number = candidates.len();
    for (at, candidate) in candidates.into_iter().enumerate() {
        match try_host(config, &candidate, way, share_deadline(way.deadline, number - at)).await {
            Ok(opened) => return Ok(opened),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                way.failed_hosts.add(candidate.name());
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
    way: &Way<'_>,
    deadline: Instant,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let mut addresses = resolve(host, config, deadline).await?;
    way.failed_hosts.sort_last(&mut addresses, Candidate::name);
    let mut failure = None;
    let number = addresses.len();
    for (at, address) in addresses.into_iter().enumerate() {
        let name = address.name();
        match try_address(config, address, way, share_deadline(deadline, number - at)).await {
            Ok(opened) => {
                way.failed_hosts.remove(&name);
                way.failed_hosts.remove(&host.name());
                opened.observed.stream.note_host(name);
                return Ok(opened);
            }
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                way.failed_hosts.add(name);
                failure = Some(more_informative(failure, error));
            }
        }
    }
    Err(failure.unwrap_or_else(host_timed_out))
}

/// Whether the other hosts are not to be tried, as they would be told the same wrong password. (libpq has the
/// same rule.)
fn is_final(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Authentication(_)) && !super::is_not_let_in(error)
}

fn shuffle<T>(items: &mut [T]) {
    use std::hash::{BuildHasher, RandomState};
    for at in (1..items.len()).rev() {
        let random = RandomState::new().hash_one(at) as usize;
        items.swap(at, random % (at + 1));
    }
}

fn candidates(config: &Config) -> Result<Vec<Candidate>, ConnectError> {
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

/// The addresses of a host.
async fn resolve(
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

async fn try_address(
    config: &Config,
    candidate: Candidate,
    way: &Way<'_>,
    deadline: Instant,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let one = only(config, &candidate);
    let ready = async {
        #[cfg(unix)]
        if let Some(Host::Unix(folder)) = &candidate.host {
            let path = folder.join(format!(".s.PGSQL.{}", candidate.port));
            return match way.is_pooled {
                true => through_socket(one, path).await,
                false => blindly(one).await,
            };
        }
        #[cfg(feature = "rustls")]
        if let Some(tls) = way.url.tls() {
            return as_asked(one, tls, way).await;
        }
        watched(one, Encryption::None, way.is_pooled).await
    };
    match timeout_at(deadline, ready).await {
        Ok(outcome) => outcome,
        Err(_) => Err(host_timed_out()),
    }
}

/// The configuration with this host alone.
fn only(config: &Config, candidate: &Candidate) -> Config {
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
        // tokio-postgres does not look for the host of a certificate in an address.
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

/// How a connection is encrypted.
#[derive(Clone)]
enum Encryption {
    None,
    /// If the server has TLS.
    #[cfg(feature = "rustls")]
    IfOffered(Connector),
    #[cfg(feature = "rustls")]
    Required(Connector),
}

/// Connects in the order of libpq's `sslmode`.
#[cfg(feature = "rustls")]
async fn as_asked(
    config: Config,
    tls: &TlsSettings,
    way: &Way<'_>,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let (url, is_pooled) = (way.url, way.is_pooled);
    let mut first = None;
    if tls.mode <= TlsMode::Allow {
        match watched(config.clone(), Encryption::None, is_pooled).await {
            Err(refused) if tls.mode == TlsMode::Allow && super::is_not_let_in(&refused) => {
                first = Some(refused);
            }
            done => return done,
        }
    }
    let connector = Connector::new(tls).await?;
    if tls.mode != TlsMode::Prefer {
        let encryption = Encryption::Required(connector);
        return match (watched(config, encryption, is_pooled).await, first) {
            // What the server said to plaintext matters more than that it has no TLS.
            (Err(ConnectError::Tls(_)), Some(refused)) => Err(refused),
            (done, _) => done,
        };
    }
    let encryption = Encryption::IfOffered(connector.clone());
    let cause = match watched(config.clone(), encryption, is_pooled).await {
        Ok(connection) => {
            if !connector.has_encrypted() {
                tracing::debug!(target: "registry", %url, "plaintext: the server has no TLS");
            }
            return Ok(connection);
        }
        Err(error @ ConnectError::Tls(_)) => error,
        Err(error) if super::is_not_let_in(&error) && connector.has_encrypted() => error,
        Err(error) => return Err(error),
    };
    let cause = Chain(&cause).to_string();
    tracing::debug!(target: "registry", %url, cause, "plaintext: TLS cannot be had");
    watched(config, Encryption::None, is_pooled).await
}

/// Connects with a stream that is read along.
///
/// diesel-async drives a connection of tokio-postgres's own socket type alone, with a stream of any type for
/// TLS. So the stream stands in the place of TLS, where nothing is negotiated before it is asked for (that
/// is `Direct`): what PostgreSQL has to hear before a handshake is sent from here.
async fn watched(
    mut config: Config,
    encryption: Encryption,
    is_pooled: bool,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let is_direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let observed = Arc::new(Observed::of_stream());
    let refusal = is_pooled.then(Refusal::default);
    let connector = Watched { encryption, is_direct, observed, refusal };
    let (client, connection) = config.connect(connector.clone()).await.map_err(classify)?;
    let connection = Postgres::try_from_client_and_connection(client, connection).await;
    let opened = opened(connection.map_err(unprepared)?, connector.observed.clone(), {
        let connector = connector.clone();
        move |token| {
            let connector =
                Watched { observed: Arc::default(), refusal: None, ..connector.clone() };
            Box::pin(async move { drop(token.cancel_query(connector).await) })
        }
    });
    Ok(with_refusal(opened, connector.refusal))
}

fn with_refusal(
    opened: OpenedConnection<Postgres>,
    refusal: Option<Refusal>,
) -> OpenedConnection<Postgres> {
    if let Some(refusal) = refusal {
        refusal.begin();
    }
    // What has set the session up is not a borrower's.
    opened.observed.session.forget_effects();
    opened
}

/// Connects through a Unix socket, which tokio-postgres knows no way of TLS for. diesel-async cannot drive such
/// a connection with a stream of ours, and without its driver there are no notifications. So nothing of it is
/// read, and the text of each statement is all there is to go by.
#[cfg(unix)]
async fn blindly(mut config: Config) -> Result<OpenedConnection<Postgres>, ConnectError> {
    config.ssl_mode(SslMode::Disable).ssl_negotiation(SslNegotiation::Postgres);
    let (client, connection) = config.connect(NoTls).await.map_err(classify)?;
    let connection = Postgres::try_from_client_and_connection(client, connection).await;
    let cancel =
        |token: tokio_postgres::CancelToken| -> futures_util::future::BoxFuture<'static, ()> {
            Box::pin(async move { drop(token.cancel_query(NoTls).await) })
        };
    Ok(opened(connection.map_err(unprepared)?, Arc::default(), cancel))
}

/// Connects to a transaction pooler through a Unix socket. Nobody listens for notifications there, so a
/// driver of our own will do.
#[cfg(unix)]
async fn through_socket(
    mut config: Config,
    path: std::path::PathBuf,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    use tokio::net::UnixStream;

    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let observed = Arc::new(Observed::of_stream());
    let refusal = Refusal::default();
    let socket =
        UnixStream::connect(&path).await.map_err(|error| unreachable_error(error.into()))?;
    let wire = Plain { observed: observed.clone(), refusal: Some(refusal.clone()) };
    let (client, connection) = config.connect_raw(socket, wire).await.map_err(classify)?;
    tokio::spawn(async move { drop(connection.await) });
    let connection = Postgres::try_from(client).await.map_err(unprepared)?;
    let opened = opened(connection, observed, move |token| {
        let path = path.clone();
        Box::pin(async move {
            if let Ok(socket) = UnixStream::connect(path).await {
                let plain = Plain { observed: Arc::default(), refusal: None };
                drop(token.cancel_query_raw(socket, plain).await);
            }
        })
    });
    Ok(with_refusal(opened, Some(refusal)))
}

fn opened(
    connection: Postgres,
    observed: Arc<Observed>,
    cancel: impl Fn(tokio_postgres::CancelToken) -> futures_util::future::BoxFuture<'static, ()>
    + Send
    + Sync
    + 'static,
) -> OpenedConnection<Postgres> {
    let token = connection.cancel_token();
    let cancel: Canceller = Arc::new(move || cancel(token.clone()));
    OpenedConnection { connection, observed, cancel: Some(cancel) }
}

fn unprepared(error: ConnectionError) -> ConnectError {
    match error {
        ConnectionError::CouldntSetupConfiguration(error) if Postgres::is_fatal(&error) => {
            ConnectError::Unreachable(error.into())
        }
        error => ConnectError::Other(error.into()),
    }
}

/// Makes a stream that is read along of what tokio-postgres has connected.
#[derive(Clone)]
struct Watched {
    encryption: Encryption,
    /// Whether the handshake begins without a word before it.
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "there is no handshake"))]
    is_direct: bool,
    observed: Arc<Observed>,
    refusal: Option<Refusal>,
}

impl MakeTlsConnect<Socket> for Watched {
    type Stream = Wire<Transport>;
    type TlsConnect = WatchedAt;
    type Error = DriverError;

    fn make_tls_connect(&mut self, host: &str) -> Result<WatchedAt, DriverError> {
        Ok(WatchedAt { watched: self.clone(), host: host.to_owned() })
    }
}

/// The same for one host.
struct WatchedAt {
    watched: Watched,
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "only TLS asks for it"))]
    host: String,
}

impl TlsConnect<Socket> for WatchedAt {
    type Stream = Wire<Transport>;
    type Error = DriverError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire<Transport>, DriverError>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let Watched { encryption, observed, refusal, .. } = &self.watched;
            let link = match encryption {
                Encryption::None => Link::Plain(socket),
                #[cfg(feature = "rustls")]
                Encryption::IfOffered(connector) | Encryption::Required(connector) => {
                    let is_required = matches!(encryption, Encryption::Required(_));
                    self.encrypted(connector.clone(), socket, is_required).await?
                }
            };
            let transport = Transport::new(link, observed);
            Ok(Wire::new(transport, Arc::clone(observed), refusal.clone()))
        })
    }
}

#[cfg(feature = "rustls")]
impl WatchedAt {
    async fn encrypted(
        &self,
        connector: Connector,
        mut socket: Socket,
        is_required: bool,
    ) -> Result<Link, DriverError> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        /// `SSLRequest`: its length, and the number that stands for it.
        const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

        if !self.watched.is_direct {
            socket.write_all(&SSL_REQUEST).await?;
            if socket.read_u8().await? != b'S' {
                return match is_required {
                    true => Err("server does not support TLS".into()),
                    false => Ok(Link::Plain(socket)),
                };
            }
        }
        Ok(Link::Tls(connector.connect(&self.host, socket).await?))
    }
}

/// Makes a stream that is read along of a Unix socket.
#[cfg(unix)]
struct Plain {
    observed: Arc<Observed>,
    refusal: Option<Refusal>,
}

#[cfg(unix)]
impl TlsConnect<tokio::net::UnixStream> for Plain {
    type Stream = Wire<Transport>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Stream, Self::Error>>;

    fn connect(self, socket: tokio::net::UnixStream) -> Self::Future {
        let transport = Transport::new(Link::Unix(socket), &self.observed);
        std::future::ready(Ok(Wire::new(transport, self.observed, self.refusal)))
    }
}
