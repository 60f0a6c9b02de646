//! TLS by rustls: which authorities are trusted, and how far a server is verified.
//!
//! [`verifier`] and [`connector`] are for PostgreSQL, [`mysql`] is for MySQL.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::spawn_blocking;

use crate::backend::error::ConnectError;
use crate::settings::url::tls::{TlsMode, TlsRoots, TlsSettings};

#[cfg(feature = "postgres")]
pub(super) mod connector;
#[cfg(feature = "mysql")]
pub(super) mod mysql;
#[cfg(feature = "postgres")]
mod verifier;

/// Why the trusted authorities could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootsError {
    #[error("cannot read the certificates in {}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("no certificate in {}, which is to have them as PEM", .0.display())]
    Empty(PathBuf),
    #[error("{} is not a file of certificates as PEM", .0.display())]
    Malformed(PathBuf),
    #[error("a certificate in {} cannot be used", file.display())]
    Unusable { file: PathBuf, source: rustls::Error },
    #[error("the operating system has no trusted certificates, at least none that can be read")]
    NoneInSystem(#[source] Option<rustls_native_certs::Error>),
}

/// Checks the file of trusted authorities, if the settings name one and verification needs it.
pub(super) fn check(tls: &TlsSettings) -> Result<(), String> {
    match &tls.roots {
        TlsRoots::File(file) if tls.mode >= TlsMode::VerifyCa => match read_file(file) {
            Ok(_) => Ok(()),
            Err(error) => Err(crate::cause::Chain(&error).to_string()),
        },
        _ => Ok(()),
    }
}

/// The authorities that a connection trusts.
///
/// A file is read again for each connection, so that it can be replaced while the program runs. The certificates of the
/// system are read once, as that takes milliseconds.
pub(super) async fn trusted(roots: &TlsRoots) -> Result<Trusted, ConnectError> {
    let roots = roots.clone();
    let read = move || match roots {
        TlsRoots::System => system_certificates().map(Trusted::System),
        TlsRoots::File(file) => read_file(&file).map(Trusted::File),
    };
    match spawn_blocking(read).await {
        Ok(Ok(trusted)) => Ok(trusted),
        Ok(Err(error)) => Err(ConnectError::Tls(error.into())),
        // The runtime is shutting down.
        Err(error) => Err(ConnectError::Other(error.into())),
    }
}

pub(super) enum Trusted {
    System(&'static [CertificateDer<'static>]),
    File(Vec<CertificateDer<'static>>),
}

#[cfg(feature = "postgres")]
impl Trusted {
    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        match self {
            Self::System(certificates) => certificates,
            Self::File(certificates) => certificates,
        }
    }
}

/// The error of rustls among the sources of an error. Drivers wrap it in errors of input and output.
pub(super) fn cause(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(cause) = error.downcast_ref::<rustls::Error>() {
            return Some(cause.clone());
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // The `source` of an `io::Error` is the source of its inner error, so the inner error itself would be skipped.
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn read_file(file: &Path) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let file = || file.to_owned();
    let text =
        fs::read(file()).map_err(|source| RootsError::Unreadable { file: file(), source })?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        // The source would repeat bytes of the file.
        .map_err(|_| RootsError::Malformed(file()))?;
    if certificates.is_empty() {
        return Err(RootsError::Empty(file()));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|source| RootsError::Unusable { file: file(), source })?;
    }
    Ok(certificates)
}

fn system_certificates() -> Result<&'static [CertificateDer<'static>], RootsError> {
    static SYSTEM: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    if let Some(certificates) = SYSTEM.get() {
        return Ok(certificates);
    }
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // Some certificates of a system are too old or malformed for rustls.
    let usable = |certificate: &CertificateDer<'static>| store.add(certificate.clone()).is_ok();
    let certificates: Vec<_> = found.certs.into_iter().filter(usable).collect();
    if certificates.is_empty() {
        // Not kept: certificates may be installed later.
        return Err(RootsError::NoneInSystem(found.errors.into_iter().next()));
    }
    Ok(SYSTEM.get_or_init(|| certificates))
}
