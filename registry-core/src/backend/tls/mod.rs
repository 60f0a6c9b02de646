//! TLS by rustls: which authorities are trusted, how far a server is verified, and the certificate of the client.
//!
//! [`verifier`] and [`connector`] are for PostgreSQL, [`mysql`] is for MySQL. [`identity`] is the client's certificate.

use std::error::Error;
use std::fs;
use std::io;
use std::sync::OnceLock;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::spawn_blocking;

use crate::backend::error::ConnectError;
use crate::cause::Chain;
use crate::settings::BackendKind;
use crate::settings::url::tls::{PemSource, TlsMode, TlsRoots, TlsSettings};
use identity::ClientIdentity;

#[cfg(feature = "postgres")]
pub(super) mod connector;
mod der;
mod identity;
#[cfg(feature = "mysql")]
pub(super) mod mysql;
#[cfg(feature = "postgres")]
mod verifier;

/// Why the trusted authorities could not be loaded. A place is the path of a file, or the option that has the PEM text.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootsError {
    #[error("cannot read the certificates in {place}")]
    Unreadable { place: String, source: io::Error },
    #[error("no certificate in {0}, which is to have them as PEM")]
    Empty(String),
    #[error("{0} is not a file of certificates as PEM")]
    Malformed(String),
    #[error("a certificate in {place} cannot be used")]
    Unusable { place: String, source: rustls::Error },
    #[error("the operating system has no trusted certificates, at least none that can be read")]
    NoneInSystem(#[source] Option<rustls_native_certs::Error>),
}

/// Checks the certificates and the key that the settings give, as far as connections need them.
pub(super) fn check(backend: BackendKind, tls: &TlsSettings) -> Result<(), String> {
    if let TlsRoots::Only(source) = &tls.roots
        && tls.mode >= TlsMode::VerifyCa
    {
        read_roots(source).map_err(|error| Chain(&error).to_string())?;
    }
    if let Some(identity) = &tls.identity
        && tls.mode > TlsMode::Disable
    {
        let read = ClientIdentity::read(backend, identity).and_then(|read| read.check());
        read.map_err(|error| Chain(&error).to_string())?;
    }
    Ok(())
}

/// The authorities that a connection trusts.
///
/// A file is read again for each connection, so that it can be replaced while the program runs. The certificates of the
/// system are read once, as that takes milliseconds.
pub(super) async fn trusted(roots: &TlsRoots) -> Result<Trusted, ConnectError> {
    let roots = roots.clone();
    let read = move || match roots {
        TlsRoots::System => system_certificates().map(Trusted::System),
        TlsRoots::Only(source) => read_roots(&source).map(Trusted::File),
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

fn read_roots(source: &PemSource) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let place = || match source {
        PemSource::File(file) => file.display().to_string(),
        PemSource::Memory(_) => "`sslrootcert_pem`".to_owned(),
    };
    let text =
        read_pem(source).map_err(|source| RootsError::Unreadable { place: place(), source })?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        // The source would repeat bytes of the file.
        .map_err(|_| RootsError::Malformed(place()))?;
    if certificates.is_empty() {
        return Err(RootsError::Empty(place()));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|source| RootsError::Unusable { place: place(), source })?;
    }
    Ok(certificates)
}

fn read_pem(source: &PemSource) -> io::Result<Vec<u8>> {
    match source {
        PemSource::File(file) => fs::read(file),
        PemSource::Memory(pem) => Ok(pem.expose().as_bytes().to_vec()),
    }
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
