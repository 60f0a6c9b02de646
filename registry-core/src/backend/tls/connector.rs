//! TLS for tokio-postgres.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use ring::digest::{SHA256, SHA384, SHA512, digest};
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, TlsStream};
use tokio_rustls::TlsConnector;

use super::der::element;
use super::identity::ClientIdentity;
use super::trusted;
use super::verifier::{AnyCertificate, Trusted};
use crate::backend::error::ConnectError;
use crate::cause::DriverError;
use crate::settings::BackendKind;
use crate::settings::url::tls::{TlsMode, TlsSettings};

/// Runs the TLS handshake on a socket that tokio-postgres has connected.
#[derive(Clone)]
pub(in crate::backend) struct Connector {
    config: Arc<ClientConfig>,
    /// Set when a handshake has succeeded.
    encrypted: Arc<AtomicBool>,
}

impl Connector {
    /// A connector that verifies the server as far as the settings ask.
    pub(in crate::backend) async fn new(tls: &TlsSettings) -> Result<Self, ConnectError> {
        // Not the process's default provider: choosing the default is up to the program.
        let provider = Arc::new(default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if tls.mode < TlsMode::VerifyCa {
            Arc::new(AnyCertificate::new(&provider))
        } else {
            let roots = trusted(&tls.roots).await?;
            let with_name = tls.mode == TlsMode::VerifyFull;
            Arc::new(
                Trusted::new(&provider, roots.certificates(), with_name)
                    .map_err(|error| ConnectError::Tls(error.into()))?,
            )
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConnectError::Tls(error.into()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &tls.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let ClientIdentity { chain, key, .. } =
                    ClientIdentity::load(BackendKind::Postgres, identity).await?;
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| ConnectError::Tls(error.into()))?
            }
        };
        // PostgreSQL 17 requires ALPN with `sslnegotiation=direct`, and accepts it otherwise.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self { config: Arc::new(config), encrypted: Arc::default() })
    }

    /// Whether a handshake has succeeded, also if the server has refused the connection after it.
    pub(in crate::backend) fn has_encrypted(&self) -> bool {
        self.encrypted.load(Ordering::Relaxed)
    }
}

impl Connector {
    /// Runs the handshake with the host.
    pub(in crate::backend) async fn connect(
        &self,
        host: &str,
        socket: Socket,
    ) -> Result<Stream, DriverError> {
        let host = ServerName::try_from(host)?.to_owned();
        match TlsConnector::from(Arc::clone(&self.config)).connect(host, socket).await {
            Ok(stream) => {
                self.encrypted.store(true, Ordering::Relaxed);
                Ok(Stream(Box::new(stream)))
            }
            // A connection that breaks during the handshake is not an error of TLS.
            Err(error) => Err(match super::cause(&error) {
                Some(cause) => cause.into(),
                None => error.into(),
            }),
        }
    }
}

/// An encrypted connection.
pub(in crate::backend) struct Stream(Box<tokio_rustls::client::TlsStream<Socket>>);

impl TlsStream for Stream {
    /// The data for SCRAM's channel binding, `tls-server-end-point` of RFC 5929. It prevents a man in the middle, whose
    /// certificate differs, from relaying the password exchange.
    fn channel_binding(&self) -> ChannelBinding {
        let (_, connection) = self.0.get_ref();
        connection
            .peer_certificates()
            .and_then(|chain| chain.first())
            .and_then(|certificate| server_end_point_hash(certificate))
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// The hash of a certificate, with the hash function of its own signature.
///
/// `None` if the signature has no hash function of its own, as with Ed25519: the standard leaves that case open.
fn server_end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, .. }, .. }
    let (content, _) = element(certificate)?;
    let (_, rest) = element(content)?;
    let (algorithm, _) = element(rest)?;
    let (oid, parameters) = element(algorithm)?;
    let hash = match oid {
        // PKCS #1 (RSA): MD5 and SHA-1, which the standard replaces by SHA-256, then the others.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 4 | 5 | 11] => &SHA256,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 12] => &SHA384,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 13] => &SHA512,
        // RSASSA-PSS names the hash function in its parameters, as id-sha256 and so on. SHA-1 is the default.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 10] => {
            let sha2 = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
            let at = parameters.windows(sha2.len()).position(|window| window == sha2);
            match at.and_then(|at| parameters.get(at + sha2.len())) {
                None | Some(1) => &SHA256,
                Some(2) => &SHA384,
                Some(3) => &SHA512,
                Some(_) => return None,
            }
        }
        // ANSI X9.62 (ECDSA).
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 1] => &SHA256,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 2] => &SHA256,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 3] => &SHA384,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 4] => &SHA512,
        _ => return None,
    };
    Some(digest(hash, certificate).as_ref().to_vec())
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
