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
use mysql::MysqlParameters;
use postgres::PostgresParameters;

/// How the connections to a server are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TlsSettings {
    pub(crate) mode: TlsMode,
    pub(crate) roots: TlsRoots,
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
    /// Only the authorities in this file.
    File(PathBuf),
}

impl TlsSettings {
    /// Makes a relative path absolute. It is relative to `base`, and `base` to the current directory.
    pub(super) fn resolved_against(&self, base: &Path) -> Self {
        let roots = match &self.roots {
            TlsRoots::System => TlsRoots::System,
            TlsRoots::File(file) => {
                let joined = base.join(file);
                // Fails only if there is no current directory. Then opening the file fails with an error about that.
                TlsRoots::File(std::path::absolute(&joined).unwrap_or(joined))
            }
        };
        Self { mode: self.mode, roots }
    }
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

/// Reads the parameters of a URL, and ignores those that have nothing to do with TLS.
///
/// `is_available` is whether this crate can speak TLS. If it cannot, a URL that asks for TLS is refused, because the
/// connection would be plaintext.
pub(super) fn read<'a>(
    backend: BackendKind,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    is_available: bool,
) -> Result<TlsSettings, InvalidUrl> {
    let parameters = parameters
        .into_iter()
        .map(|(name, value)| (decoded(name).to_ascii_lowercase(), decoded(value)));
    let (settings, demand) = match backend {
        BackendKind::Mysql => {
            let mut read = MysqlParameters::default();
            for (name, value) in parameters {
                read.read(&name, &value)?;
            }
            let demand = read.demand.take();
            (read.settings()?, demand)
        }
        _ => {
            let mut read = PostgresParameters::default();
            for (name, value) in parameters {
                read.read(&name, &value)?;
            }
            let demand = read.demand.take();
            (read.settings()?, demand)
        }
    };
    // MySQL's `ssl-ca` alone means `VERIFY_CA`.
    let demand =
        demand.or_else(|| (settings.mode >= TlsMode::Require).then(|| "ssl-ca".to_owned()));
    match demand {
        Some(parameter) if !is_available => Err(InvalidUrl::Tls { parameter }),
        _ => Ok(settings),
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
