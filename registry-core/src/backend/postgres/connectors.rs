//! The connectors that are passed to tokio-postgres as its TLS connectors. They put the observer into the stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};

use super::transport::{AnyStream, Transport};
use super::wire::{Refusal, Wire};
use crate::backend::observed::Observed;
#[cfg(feature = "rustls")]
use crate::backend::tls::connector::Connector;
use crate::cause::DriverError;

/// How a connection is encrypted.
#[derive(Clone)]
pub(super) enum Encryption {
    None,
    /// If the server offers TLS.
    #[cfg(feature = "rustls")]
    IfOffered(Connector),
    #[cfg(feature = "rustls")]
    Required(Connector),
}

/// Wraps the sockets that tokio-postgres has connected into observed streams.
#[derive(Clone)]
pub(super) struct ObservedConnector {
    pub(super) encryption: Encryption,
    /// Whether the TLS handshake begins at once, without an `SSLRequest` before it (`sslnegotiation=direct`).
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "there is no handshake"))]
    pub(super) is_direct: bool,
    pub(super) observed: Arc<Observed>,
    pub(super) refusal: Option<Refusal>,
}

impl MakeTlsConnect<Socket> for ObservedConnector {
    type Stream = Wire<Transport>;
    type TlsConnect = HostConnector;
    type Error = DriverError;

    fn make_tls_connect(&mut self, host: &str) -> Result<HostConnector, DriverError> {
        Ok(HostConnector { connector: self.clone(), host: host.to_owned() })
    }
}

/// The connector for one host.
pub(super) struct HostConnector {
    connector: ObservedConnector,
    #[cfg_attr(not(feature = "rustls"), expect(dead_code, reason = "only TLS asks for it"))]
    host: String,
}

impl TlsConnect<Socket> for HostConnector {
    type Stream = Wire<Transport>;
    type Error = DriverError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire<Transport>, DriverError>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let ObservedConnector { encryption, observed, refusal, .. } = &self.connector;
            let link = match encryption {
                Encryption::None => AnyStream::Plain(socket),
                #[cfg(feature = "rustls")]
                Encryption::IfOffered(tls) | Encryption::Required(tls) => {
                    let is_required = matches!(encryption, Encryption::Required(_));
                    self.encrypted(tls.clone(), socket, is_required).await?
                }
            };
            let transport = Transport::new(link, observed);
            Ok(Wire::new(transport, Arc::clone(observed), refusal.clone()))
        })
    }
}

#[cfg(feature = "rustls")]
impl HostConnector {
    async fn encrypted(
        &self,
        tls: Connector,
        mut socket: Socket,
        is_required: bool,
    ) -> Result<AnyStream, DriverError> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        /// The message `SSLRequest`: its length, and the code 80877103.
        const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

        if !self.connector.is_direct {
            socket.write_all(&SSL_REQUEST).await?;
            if socket.read_u8().await? != b'S' {
                return match is_required {
                    true => Err("server does not support TLS".into()),
                    false => Ok(AnyStream::Plain(socket)),
                };
            }
        }
        Ok(AnyStream::Tls(tls.connect(&self.host, socket).await?))
    }
}

/// Wraps a Unix socket into an observed stream.
#[cfg(unix)]
pub(super) struct SocketConnector {
    pub(super) observed: Arc<Observed>,
    pub(super) refusal: Option<Refusal>,
}

#[cfg(unix)]
impl TlsConnect<tokio::net::UnixStream> for SocketConnector {
    type Stream = Wire<Transport>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Stream, Self::Error>>;

    fn connect(self, socket: tokio::net::UnixStream) -> Self::Future {
        let transport = Transport::new(AnyStream::Unix(socket), &self.observed);
        std::future::ready(Ok(Wire::new(transport, self.observed, self.refusal)))
    }
}
