//! The TLS settings of a URL, in each backend's own parameters.
//!
//! The drivers know fewer modes than libpq and MySQL's own clients do, so these parameters are read here and removed
//! from the URL that a driver gets.

mod mysql;
mod postgres;

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::error::InvalidUrl;
use crate::settings::keys::BackendKind;
use crate::settings::options::Pem;
use mysql::MysqlParameters;
use postgres::PostgresParameters;

/// How the connections to a server are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TlsSettings {
    pub(crate) mode: TlsMode,
    pub(crate) roots: TlsRoots,
    /// The certificate by which this client proves who it is.
    pub(crate) identity: Option<TlsIdentity>,
}

/// From the weakest to the strongest. Named as PostgreSQL names them; MySQL's `VERIFY_IDENTITY` is
/// `VerifyFull`, and it has no `Allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TlsMode {
    /// Plaintext.
    Disable,
    /// Plaintext, or TLS if the server refuses plaintext.
    Allow,
    /// TLS, or plaintext if TLS fails.
    Prefer,
    /// TLS, without checking the server's identity.
    Require,
    /// TLS with a server whose certificate comes from a trusted authority.
    VerifyCa,
    /// The same, and the certificate is for the host in the URL.
    VerifyFull,
}

/// The authorities that are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TlsRoots {
    /// The authorities that the operating system trusts.
    System,
    /// Only these authorities.
    Only(PemSource),
}

/// The certificate of this client, and its private key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TlsIdentity {
    pub(crate) certificate: PemSource,
    pub(crate) key: PemSource,
}

/// Where a PEM text is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PemSource {
    File(PathBuf),
    Memory(Pem),
}

/// Certificates and a key that options give, beside the parameters of the URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsMaterial {
    pub(crate) roots: Option<Given>,
    pub(crate) certificate: Option<Given>,
    pub(crate) key: Option<Given>,
}

/// A PEM text that an option gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) source: PemSource,
    /// Whether the option is the bind's own. If it is for every engine, a parameter of the URL wins over it.
    pub(crate) is_own: bool,
}

impl TlsSettings {
    /// Makes relative paths absolute. They are relative to `base`, and `base` to the current directory.
    pub(super) fn resolved_against(&self, base: &Path) -> Self {
        let roots = match &self.roots {
            TlsRoots::System => TlsRoots::System,
            TlsRoots::Only(source) => TlsRoots::Only(source.resolved_against(base)),
        };
        let identity = self.identity.as_ref().map(|identity| TlsIdentity {
            certificate: identity.certificate.resolved_against(base),
            key: identity.key.resolved_against(base),
        });
        Self { mode: self.mode, roots, identity }
    }
}

impl PemSource {
    fn resolved_against(&self, base: &Path) -> Self {
        match self {
            Self::Memory(pem) => Self::Memory(pem.clone()),
            Self::File(file) => {
                let joined = base.join(file);
                // Fails only if there is no current directory. Then opening the file fails with an error about that.
                Self::File(std::path::absolute(&joined).unwrap_or(joined))
            }
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Memory(_) => None,
        }
    }
}

/// What a file that a parameter names is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileRole {
    Roots,
    Certificate,
    Key,
}

impl FileRole {
    /// The parameter that names such a file.
    fn parameter(self, backend: BackendKind) -> &'static str {
        let [roots, certificate, key] = match backend {
            BackendKind::Mysql => mysql::FILES,
            _ => postgres::FILES,
        };
        match self {
            Self::Roots => roots,
            Self::Certificate => certificate,
            Self::Key => key,
        }
    }
}

fn file_role(backend: BackendKind, name: &str) -> Option<FileRole> {
    let name = decoded(name).to_ascii_lowercase();
    match backend {
        BackendKind::Mysql => mysql::file_role(&name),
        _ => postgres::file_role(&name),
    }
}

/// Whether a parameter names a file of certificates or a key. `sslrootcert=system` names none.
pub(super) fn is_file(backend: BackendKind, name: &str, value: &str) -> bool {
    file_role(backend, name).is_some() && !postgres::is_system(&decoded(value))
}

/// Whether an option of the bind itself gives what the parameter `name` names a file of.
pub(super) fn is_given(backend: BackendKind, name: &str, material: &TlsMaterial) -> bool {
    let given = match file_role(backend, name) {
        Some(FileRole::Roots) => &material.roots,
        Some(FileRole::Certificate) => &material.certificate,
        Some(FileRole::Key) => &material.key,
        None => return false,
    };
    given.as_ref().is_some_and(|given| given.is_own)
}

/// The parameters that name the files of these settings.
pub(super) fn file_parameters(
    backend: BackendKind,
    tls: &TlsSettings,
) -> impl Iterator<Item = (&'static str, &Path)> {
    let authorities = match &tls.roots {
        TlsRoots::Only(source) => source.file(),
        TlsRoots::System => None,
    };
    let identity = tls.identity.as_ref();
    [
        (FileRole::Roots, authorities),
        (FileRole::Certificate, identity.and_then(|identity| identity.certificate.file())),
        (FileRole::Key, identity.and_then(|identity| identity.key.file())),
    ]
    .into_iter()
    .filter_map(move |(role, file)| Some((role.parameter(backend), file?)))
}

/// Whether a parameter is read here and removed for the driver, which does not know the parameter or some of its
/// values.
pub(super) fn is_tls_parameter(backend: BackendKind, name: &str) -> bool {
    let name = decoded(name).to_ascii_lowercase();
    match backend {
        BackendKind::Mysql => mysql::is_tls_parameter(&name),
        _ => postgres::is_tls_parameter(&name),
    }
}

/// Reads the parameters of a URL, and ignores those that have nothing to do with TLS. `material` is what options give
/// beside them.
///
/// `is_available` is whether this crate can speak TLS. If it cannot, a URL that asks for TLS is refused, because the
/// connection would be plaintext.
pub(super) fn read<'a>(
    backend: BackendKind,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
    material: &TlsMaterial,
    is_available: bool,
) -> Result<TlsSettings, InvalidUrl> {
    let is_in_url = |role| {
        let mut names = parameters.clone().into_iter();
        names.any(|(name, value)| !value.is_empty() && file_role(backend, name) == Some(role))
    };
    let given = |given: &Option<Given>, role: FileRole| match given {
        Some(given) if is_in_url(role) && given.is_own => Err(invalid(&format!(
            "`{}` is given twice: by the URL, and by an option of the bind",
            role.parameter(backend)
        ))),
        Some(given) if !is_in_url(role) => Ok(Some(given.source.clone())),
        _ => Ok(None),
    };
    let files = PemFiles {
        roots: given(&material.roots, FileRole::Roots)?.map(TlsRoots::Only),
        certificate: given(&material.certificate, FileRole::Certificate)?,
        key: given(&material.key, FileRole::Key)?,
    };
    let parameters = parameters
        .into_iter()
        .map(|(name, value)| (decoded(name).to_ascii_lowercase(), decoded(value)));
    let (settings, demand) = match backend {
        BackendKind::Mysql => {
            let mut read = MysqlParameters::new(files);
            for (name, value) in parameters {
                read.read(&name, &value)?;
            }
            let demand = read.demand.take();
            (read.settings()?, demand)
        }
        _ => {
            let mut read = PostgresParameters::new(files);
            for (name, value) in parameters {
                read.read(&name, &value)?;
            }
            let demand = read.demand.take();
            (read.settings()?, demand)
        }
    };
    // MySQL's `ssl-ca` alone means `VERIFY_CA`. A client certificate is for a server that asks for one, by TLS.
    let demand = demand
        .or_else(|| settings.identity.is_some().then(|| "sslcert".to_owned()))
        .or_else(|| (settings.mode >= TlsMode::Require).then(|| "ssl-ca".to_owned()));
    match demand {
        Some(parameter) if !is_available => Err(InvalidUrl::Tls { parameter }),
        _ => Ok(settings),
    }
}

/// The certificates and the key that were read so far.
#[derive(Default)]
struct PemFiles {
    roots: Option<TlsRoots>,
    certificate: Option<PemSource>,
    key: Option<PemSource>,
}

impl PemFiles {
    /// Reads the parameter `name`, which names a file. An empty value counts as absent, as in libpq.
    fn read(&mut self, role: FileRole, name: &str, value: &str) -> Result<(), InvalidUrl> {
        if value.is_empty() {
            return Ok(());
        }
        let file = PemSource::File(value.into());
        match role {
            FileRole::Roots => set_once(&mut self.roots, TlsRoots::Only(file), name),
            FileRole::Certificate => set_once(&mut self.certificate, file, name),
            FileRole::Key => set_once(&mut self.key, file, name),
        }
    }

    fn identity(
        certificate: Option<PemSource>,
        key: Option<PemSource>,
    ) -> Result<Option<TlsIdentity>, InvalidUrl> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(TlsIdentity { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(invalid(
                "a client certificate needs its private key: `sslkey` or `sslkey_pem` (`ssl-key` in a URL of MySQL)",
            )),
            (None, Some(_)) => Err(invalid(
                "a private key needs its certificate: `sslcert` or `sslcert_pem` (`ssl-cert` in a URL of MySQL)",
            )),
        }
    }
}

/// Notes the first parameter that asks for TLS, for the message if TLS is not available.
fn note_demand(demand: &mut Option<String>, asks: bool, name: &str, value: &str) {
    if asks && demand.is_none() {
        *demand = Some(format!("{name}={value}"));
    }
}

/// Fails if the parameter is given twice, because libraries differ in which of the two they use.
fn set_once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), InvalidUrl> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(&format!("`{name}` is given twice"))),
    }
}

fn invalid(message: &str) -> InvalidUrl {
    InvalidUrl::TlsParameter(message.to_owned())
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests;
