//! TLS for mysql_async, which makes its own of it: it can be told whom to trust.

use std::error::Error as StdError;

use mysql_async::SslOpts;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::{CertificateError, Error};

use super::{Trusted, trusted};
use crate::backend::error::ConnectError;
use crate::settings::url::tls::{TlsMode, TlsSettings};

/// What to tell the driver. Unless nothing is verified, `name` is to be in the certificate.
pub(in crate::backend) async fn ssl_opts(
    tls: &TlsSettings,
    name: &str,
) -> Result<SslOpts, ConnectError> {
    // The driver takes that of the process. Where several are compiled in and none is chosen, it
    // would panic; and where there is only one, it would choose it as well.
    if CryptoProvider::get_default().is_none() {
        let _ = default_provider().install_default();
    }
    // The driver leaves the brackets of an IPv6 address where they are.
    let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let opts = SslOpts::default().with_danger_tls_hostname_override(Some(name));
    if tls.mode < TlsMode::VerifyCa {
        return Ok(opts.with_danger_accept_invalid_certs(true));
    }
    let roots = match trusted(&tls.roots).await? {
        Trusted::System(all) => all.iter().map(|certificate| certificate.as_ref().into()).collect(),
        Trusted::File(all) => all.iter().map(|certificate| certificate.to_vec().into()).collect(),
    };
    Ok(opts.with_root_certs(roots).with_disable_built_in_roots(true))
}

/// A name that the server's certificate is good for, where everything is right with it but that it is
/// for another host.
///
/// The driver is meant to pass over that error for `VERIFY_CA`, but knows it by a text that rustls has
/// changed (mysql_async 0.36 and 0.37: "NotValidForName"). So it is asked again with a name that it
/// will accept. Nothing depends on this name being read correctly: all is verified again.
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
