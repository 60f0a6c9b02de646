//! Opening a connection to one address: with TLS or without, and with an observed stream.

use std::sync::Arc;

use futures_util::future::BoxFuture;
#[cfg(unix)]
use tokio_postgres::NoTls;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::{CancelToken, Config};

use super::Postgres;
#[cfg(feature = "rustls")]
use super::connect_error::has_no_access_rule;
use super::connect_error::{classify, unprepared};
#[cfg(unix)]
use super::connectors::SocketConnector;
use super::connectors::{Encryption, ObservedConnector};
use super::wire::Refusal;
use crate::backend::connect_context::{Canceller, OpenedConnection};
use crate::backend::error::ConnectError;
use crate::backend::observed::Observed;
#[cfg(unix)]
use crate::backend::resource_exhaustion::unreachable_error;
#[cfg(feature = "rustls")]
use crate::backend::tls::connector::Connector;
#[cfg(feature = "rustls")]
use crate::cause::Chain;
#[cfg(feature = "rustls")]
use crate::settings::DatabaseUrl;
#[cfg(feature = "rustls")]
use crate::settings::url::tls::{TlsMode, TlsSettings};

/// Connects as libpq's `sslmode` says: with TLS, without, or with one after the other.
#[cfg(feature = "rustls")]
pub(super) async fn open_by_sslmode(
    config: Config,
    url: &DatabaseUrl,
    tls: &TlsSettings,
    is_pooled: bool,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let mut first = None;
    if tls.mode <= TlsMode::Allow {
        match open_observed(config.clone(), Encryption::None, is_pooled).await {
            Err(refused) if tls.mode == TlsMode::Allow && has_no_access_rule(&refused) => {
                first = Some(refused);
            }
            done => return done,
        }
    }
    let connector = Connector::new(tls).await?;
    if tls.mode != TlsMode::Prefer {
        let encryption = Encryption::Required(connector);
        return match (open_observed(config, encryption, is_pooled).await, first) {
            // The refusal of the plaintext connection is more informative than the fact that the server has no TLS.
            (Err(ConnectError::Tls(_)), Some(refused)) => Err(refused),
            (done, _) => done,
        };
    }
    let encryption = Encryption::IfOffered(connector.clone());
    let cause = match open_observed(config.clone(), encryption, is_pooled).await {
        Ok(connection) => {
            if !connector.has_encrypted() {
                tracing::debug!(target: "registry", %url, "plaintext: the server has no TLS");
            }
            return Ok(connection);
        }
        Err(error @ ConnectError::Tls(_)) => error,
        Err(error) if has_no_access_rule(&error) && connector.has_encrypted() => error,
        Err(error) => return Err(error),
    };
    let cause = Chain(&cause).to_string();
    tracing::debug!(target: "registry", %url, cause, "plaintext: TLS cannot be had");
    open_observed(config, Encryption::None, is_pooled).await
}

/// Connects with an observed stream.
///
/// diesel-async keeps its driver task, and with it notifications, for a tokio-postgres connection over tokio-postgres's own
/// socket, with any type for the TLS stream. So the observer takes the place of TLS. With `SslMode::Require` and
/// `SslNegotiation::Direct`, tokio-postgres sends nothing before it hands the socket to the connector, which then sends the
/// `SSLRequest` if there is to be TLS.
pub(super) async fn open_observed(
    mut config: Config,
    encryption: Encryption,
    is_pooled: bool,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    let is_direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let observed = Arc::new(Observed::of_stream());
    let refusal = is_pooled.then(Refusal::default);
    let connector = ObservedConnector { encryption, is_direct, observed, refusal };
    let (client, connection) = config.connect(connector.clone()).await.map_err(classify)?;
    let connection = Postgres::try_from_client_and_connection(client, connection).await;
    let opened = with_canceller(connection.map_err(unprepared)?, connector.observed.clone(), {
        let connector = connector.clone();
        move |token| {
            let connector =
                ObservedConnector { observed: Arc::default(), refusal: None, ..connector.clone() };
            Box::pin(async move { drop(token.cancel_query(connector).await) })
        }
    });
    Ok(ready_for_borrowers(opened, connector.refusal))
}

fn ready_for_borrowers(
    opened: OpenedConnection<Postgres>,
    refusal: Option<Refusal>,
) -> OpenedConnection<Postgres> {
    if let Some(refusal) = refusal {
        refusal.begin();
    }
    // The statements of the setup are not a borrower's, so their effects are forgotten.
    opened.observed.session.forget_effects();
    opened
}

/// Connects through a Unix socket, without an observer: tokio-postgres refuses TLS on Unix sockets, and so the observer, and
/// diesel-async would not drive a connection over another type of socket, so notifications would be lost. The session is
/// judged by the text of each statement.
#[cfg(unix)]
pub(super) async fn open_unobserved(
    mut config: Config,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    config.ssl_mode(SslMode::Disable).ssl_negotiation(SslNegotiation::Postgres);
    let (client, connection) = config.connect(NoTls).await.map_err(classify)?;
    let connection = Postgres::try_from_client_and_connection(client, connection).await;
    let cancel = |token: CancelToken| -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(token.cancel_query(NoTls).await) })
    };
    Ok(with_canceller(connection.map_err(unprepared)?, Arc::default(), cancel))
}

/// Connects to a transaction pooler through a Unix socket. There are no notifications behind such a pooler, so a driver task
/// of our own will do, and the stream is observed.
#[cfg(unix)]
pub(super) async fn open_pooled_socket(
    mut config: Config,
    path: std::path::PathBuf,
) -> Result<OpenedConnection<Postgres>, ConnectError> {
    use tokio::net::UnixStream;

    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let observed = Arc::new(Observed::of_stream());
    let refusal = Refusal::default();
    let socket =
        UnixStream::connect(&path).await.map_err(|error| unreachable_error(error.into()))?;
    let wire = SocketConnector { observed: observed.clone(), refusal: Some(refusal.clone()) };
    let (client, connection) = config.connect_raw(socket, wire).await.map_err(classify)?;
    tokio::spawn(async move { drop(connection.await) });
    let connection = Postgres::try_from(client).await.map_err(unprepared)?;
    let opened = with_canceller(connection, observed, move |token| {
        let path = path.clone();
        Box::pin(async move {
            if let Ok(socket) = UnixStream::connect(path).await {
                let plain = SocketConnector { observed: Arc::default(), refusal: None };
                drop(token.cancel_query_raw(socket, plain).await);
            }
        })
    });
    Ok(ready_for_borrowers(opened, Some(refusal)))
}

fn with_canceller(
    connection: Postgres,
    observed: Arc<Observed>,
    cancel: impl Fn(CancelToken) -> BoxFuture<'static, ()> + Send + Sync + 'static,
) -> OpenedConnection<Postgres> {
    let token = connection.cancel_token();
    let cancel: Canceller = Arc::new(move || cancel(token.clone()));
    OpenedConnection { connection, observed, cancel: Some(cancel) }
}
