//! TLS for mysql_async, which runs the handshake itself and receives the trusted authorities as options.

use std::error::Error as StdError;

use mysql_async::SslOpts;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::{CertificateError, Error};

use super::identity::ClientIdentity;
use super::{Trusted, trusted};
use crate::backend::error::ConnectError;
use crate::settings::BackendKind;
use crate::settings::url::tls::{TlsMode, TlsSettings};

/// The options for mysql_async. Unless nothing is verified, the server's certificate has to be for `name`.
pub(in crate::backend) async fn ssl_opts(
    tls: &TlsSettings,
    name: &str,
) -> Result<SslOpts, ConnectError> {
    // mysql_async uses the process's default provider. With several compiled in and none chosen, it would panic; with one,
    // it would choose that one as well.
    if CryptoProvider::get_default().is_none() {
        let _ = default_provider().install_default();
    }
    // mysql_async leaves the brackets of an IPv6 address in the host.
    let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let mut opts = SslOpts::default().with_danger_tls_hostname_override(Some(name));
    if let Some(identity) = &tls.identity {
        let identity = ClientIdentity::load(BackendKind::Mysql, identity).await?;
        opts = opts.with_client_identity(Some(identity.for_mysql()));
    }
    if tls.mode < TlsMode::VerifyCa {
        return Ok(opts.with_danger_accept_invalid_certs(true));
    }
    let roots = match trusted(&tls.roots).await? {
        Trusted::System(all) => all.iter().map(|certificate| certificate.as_ref().into()).collect(),
        Trusted::File(all) => all.iter().map(|certificate| certificate.to_vec().into()).collect(),
    };
    Ok(opts.with_root_certs(roots).with_disable_built_in_roots(true))
}

/// A name in the server's certificate, if the name is the only reason why the certificate was rejected.
///
/// For `VERIFY_CA`, mysql_async means to ignore that error, but recognizes it by a text that rustls has changed
/// ("NotValidForName", in mysql_async 0.36 and 0.37). So it connects again, with a name that it accepts. Nothing depends on
/// the name being parsed correctly: everything is verified again.
pub(in crate::backend) fn name_in_certificate(error: &(dyn StdError + 'static)) -> Option<String> {
    let Some(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
        presented, ..
    })) = super::cause(error)
    else {
        return None;
    };
    presented.iter().find_map(|name| {
        let (kind, name) = name.split_once('(')?;
        let name = name.strip_suffix(')')?.trim_matches('"');
        match kind {
            "DnsName" => Some(name.replacen('*', "any", 1)),
            "IpAddress" => Some(name.to_owned()),
            _ => None,
        }
    })
}

impl ClientIdentity {
    /// The identity as options of mysql_async. It takes a text for PEM and anything else for DER, and of the keys in a PEM
    /// text it reads PKCS #1 alone.
    fn for_mysql(&self) -> mysql_async::ClientIdentity {
        let chain = String::from_utf8_lossy(&self.chain_pem).into_owned().into_bytes();
        let key = self.key.secret_der().to_vec();
        mysql_async::ClientIdentity::new(chain.into(), key.into())
    }
}
