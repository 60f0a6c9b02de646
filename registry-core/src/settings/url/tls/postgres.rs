//! The parameters of PostgreSQL, with libpq's meaning: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `sslnegotiation`,
//! `channel_binding`.

use super::{FileRole, PemFiles, TlsMode, TlsRoots, TlsSettings, invalid, note_demand, set_once};
use crate::settings::url::error::InvalidUrl;

/// The parameters that have been read so far.
#[derive(Default)]
pub(super) struct PostgresParameters {
    mode: Option<TlsMode>,
    files: PemFiles,
    /// `sslnegotiation=direct`.
    is_direct: bool,
    /// The first parameter that asks for TLS.
    pub(super) demand: Option<String>,
}

/// Whether tokio-postgres must not get the parameter. It reads `sslnegotiation` and `channel_binding` itself.
pub(super) fn is_tls_parameter(name: &str) -> bool {
    name == "sslmode" || file_role(name).is_some()
}

/// The parameters that name files: of authorities, of a certificate and of its key.
pub(super) const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

pub(super) fn file_role(name: &str) -> Option<FileRole> {
    match name {
        "sslrootcert" => Some(FileRole::Roots),
        "sslcert" => Some(FileRole::Certificate),
        "sslkey" => Some(FileRole::Key),
        _ => None,
    }
}

/// Whether `sslrootcert` names the authorities of the operating system, and no file.
pub(super) fn is_system(value: &str) -> bool {
    value == "system"
}

impl PostgresParameters {
    /// No parameters yet, and the files that options give.
    pub(super) fn new(files: PemFiles) -> Self {
        Self { files, ..Self::default() }
    }

    pub(super) fn read(&mut self, name: &str, value: &str) -> Result<(), InvalidUrl> {
        let lower = value.to_ascii_lowercase();
        match name {
            "sslmode" => {
                let mode = match lower.as_str() {
                    "disable" => TlsMode::Disable,
                    "allow" => TlsMode::Allow,
                    "prefer" => TlsMode::Prefer,
                    "require" => TlsMode::Require,
                    "verify-ca" => TlsMode::VerifyCa,
                    "verify-full" => TlsMode::VerifyFull,
                    _ => {
                        return Err(invalid(
                            "`sslmode` is `disable`, `allow`, `prefer`, `require`, `verify-ca` or \
                             `verify-full`",
                        ));
                    }
                };
                note_demand(&mut self.demand, mode >= TlsMode::Require, name, &lower);
                set_once(&mut self.mode, mode, name)
            }
            "sslrootcert" if is_system(value) => {
                note_demand(&mut self.demand, true, name, value);
                set_once(&mut self.files.roots, TlsRoots::System, name)
            }
            "sslnegotiation" => {
                self.is_direct = lower == "direct";
                note_demand(&mut self.demand, self.is_direct, name, &lower);
                Ok(())
            }
            "channel_binding" => {
                note_demand(&mut self.demand, lower == "require", name, &lower);
                Ok(())
            }
            _ => match file_role(name) {
                Some(role) => self.files.read(role, name, value),
                None => Ok(()),
            },
        }
    }

    /// The meaning of the parameters by libpq's manual, with one exception: a file of authorities without any `sslmode`
    /// is an error. libpq would check the server's certificate, and go on in plaintext if the check fails.
    pub(super) fn settings(self) -> Result<TlsSettings, InvalidUrl> {
        let mode = match (self.mode, &self.files.roots) {
            (None, None) => TlsMode::Prefer,
            (None, Some(TlsRoots::System)) => TlsMode::VerifyFull,
            (Some(mode), Some(TlsRoots::System)) if mode < TlsMode::VerifyFull => {
                return Err(invalid(
                    "`sslrootcert=system` needs `sslmode=verify-full`: anybody can have a \
                     certificate of a public authority",
                ));
            }
            (None, Some(TlsRoots::Only(_))) => {
                return Err(invalid(
                    "`sslrootcert` without `sslmode` would verify nothing: add \
                     `sslmode=verify-full` or `sslmode=verify-ca`",
                ));
            }
            (Some(TlsMode::Require), Some(_)) => TlsMode::VerifyCa,
            (Some(mode), _) => mode,
        };
        if self.is_direct && mode < TlsMode::Require {
            return Err(invalid(
                "`sslnegotiation=direct` needs `sslmode=require` or a stronger one",
            ));
        }
        let PemFiles { roots, certificate, key } = self.files;
        let identity = PemFiles::identity(certificate, key)?;
        Ok(TlsSettings { mode, roots: roots.unwrap_or(TlsRoots::System), identity })
    }
}
