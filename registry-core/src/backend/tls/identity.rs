//! The certificate by which this client proves who it is, and its private key.

use std::fs;
use std::io;
use std::path::Path;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::task::spawn_blocking;

use super::der::element;
use super::read_pem;
use crate::backend::error::ConnectError;
use crate::settings::BackendKind;
use crate::settings::url::tls::{PemSource, TlsIdentity};

/// The certificate of this client, the chain behind it, and its private key.
pub(super) struct ClientIdentity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The same as PEM.
    #[cfg(feature = "mysql")]
    pub(super) chain_pem: Vec<u8>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// Why the certificate of the client cannot be used. No text shows anything of the key.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("cannot read {place}")]
    Unreadable { place: String, source: io::Error },
    #[error("no certificate in {0}, which is to have the client's certificate as PEM")]
    NoCertificate(String),
    #[error(
        "no private key in {0}, which is to have the client's key as PEM (PKCS #8, PKCS #1 or SEC 1)"
    )]
    NoKey(String),
    #[error(
        "the private key in {0} is encrypted, and there is no passphrase to decrypt it: store it decrypted"
    )]
    Encrypted(String),
    #[error(
        "others than its owner have access to the private key in {place}, whose mode is {mode:03o}: `chmod 600`, or \
         `640` if it belongs to root (the rule of libpq)"
    )]
    #[cfg_attr(not(unix), expect(dead_code, reason = "other systems have other permissions"))]
    Permissions { place: String, mode: u32 },
    #[error(
        "the driver of MySQL and MariaDB takes RSA keys alone, and the private key in {0} is another one"
    )]
    NotRsa(String),
    #[error("the client's certificate and its private key cannot be used")]
    Unusable(#[source] rustls::Error),
}

impl ClientIdentity {
    /// Reads the certificate and the key. For MySQL, the key is PKCS #1: its driver reads nothing else.
    pub(super) fn read(
        backend: BackendKind,
        identity: &TlsIdentity,
    ) -> Result<Self, IdentityError> {
        let is_mysql = backend == BackendKind::Mysql;
        let words = if is_mysql { ["ssl-cert", "ssl-key"] } else { ["sslcert", "sslkey"] };
        let certificate_place = place(&identity.certificate, words[0], "sslcert_pem");
        let key_place = place(&identity.key, words[1], "sslkey_pem");
        let chain_pem = read(&identity.certificate, &certificate_place)?;
        let chain = CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<Vec<_>, _>>();
        // The error of the parser would repeat bytes of the text.
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or(IdentityError::NoCertificate(certificate_place))?;
        if let PemSource::File(file) = &identity.key {
            check_permissions(file, &key_place)?;
        }
        let text = read(&identity.key, &key_place)?;
        let is_encrypted = ["ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
            .iter()
            .any(|mark| text.windows(mark.len()).any(|window| window == mark.as_bytes()));
        let key = match PrivateKeyDer::from_pem_slice(&text) {
            Ok(key) if !is_encrypted => key,
            _ if is_encrypted => return Err(IdentityError::Encrypted(key_place)),
            _ => return Err(IdentityError::NoKey(key_place)),
        };
        let key = match (is_mysql, key) {
            (false, key) => key,
            (true, key) => rsa_key(&key).ok_or(IdentityError::NotRsa(key_place))?,
        };
        Ok(Self {
            chain,
            #[cfg(feature = "mysql")]
            chain_pem,
            key,
        })
    }

    /// As [`read`](Self::read), for a connection that is opened. The files are read again for each connection, so that
    /// they can be replaced while the program runs.
    pub(super) async fn load(
        backend: BackendKind,
        identity: &TlsIdentity,
    ) -> Result<Self, ConnectError> {
        let identity = identity.clone();
        match spawn_blocking(move || Self::read(backend, &identity)).await {
            Ok(read) => read.map_err(|error| ConnectError::Tls(error.into())),
            // The runtime is shutting down.
            Err(error) => Err(ConnectError::Other(error.into())),
        }
    }

    /// Checks whether the key belongs to the certificate.
    pub(super) fn check(self) -> Result<(), IdentityError> {
        let key = CertifiedKey::from_der(self.chain, self.key, &default_provider());
        key.map(drop).map_err(IdentityError::Unusable)
    }
}

fn read(source: &PemSource, place: &str) -> Result<Vec<u8>, IdentityError> {
    read_pem(source).map_err(|source| IdentityError::Unreadable { place: place.to_owned(), source })
}

/// How a message names the place of a PEM text: the file with its setting, or the setting.
fn place(source: &PemSource, file_setting: &str, memory_setting: &str) -> String {
    match source {
        PemSource::File(file) => format!("{} (`{file_setting}`)", file.display()),
        PemSource::Memory(_) => format!("`{memory_setting}`"),
    }
}

/// The rule of libpq: nobody but the owner of the file has access to it. The group may read a file that belongs to root.
#[cfg(unix)]
fn check_permissions(file: &Path, place: &str) -> Result<(), IdentityError> {
    use std::os::unix::fs::MetadataExt;

    // A file that cannot be found is reported when it is read.
    let Ok(found) = fs::metadata(file) else { return Ok(()) };
    let refused = if found.uid() == 0 { 0o037 } else { 0o077 };
    if found.is_file() && found.mode() & refused != 0 {
        let mode = found.mode() & 0o777;
        return Err(IdentityError::Permissions { place: place.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_permissions(_: &Path, _: &str) -> Result<(), IdentityError> {
    Ok(())
}

/// The key as PKCS #1. `None` if it is not an RSA key.
fn rsa_key(key: &PrivateKeyDer<'_>) -> Option<PrivateKeyDer<'static>> {
    /// The algorithm `rsaEncryption` of PKCS #1.
    const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

    match key {
        PrivateKeyDer::Pkcs1(_) => Some(key.clone_key()),
        // PrivateKeyInfo ::= SEQUENCE { version, algorithm SEQUENCE { OID, .. }, OCTET STRING }
        PrivateKeyDer::Pkcs8(key) => {
            let (content, _) = element(key.secret_pkcs8_der())?;
            let (_, rest) = element(content)?;
            let (algorithm, rest) = element(rest)?;
            let (oid, _) = element(algorithm)?;
            let (key, _) = element(rest)?;
            (oid == RSA).then(|| PrivateKeyDer::Pkcs1(key.to_vec().into()))
        }
        _ => None,
    }
}
