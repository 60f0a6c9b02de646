//! The parameters of MySQL and MariaDB: `ssl-mode`, `ssl-ca`, `ssl-cert` and `ssl-key` of MySQL's own
//! clients, and the flags of mysql_async.

use super::{FileRole, PemFiles, TlsMode, TlsRoots, TlsSettings, invalid, note_demand, set_once};
use crate::settings::url::error::InvalidUrl;

/// The parameters that have been read so far.
#[derive(Default)]
pub(super) struct MysqlParameters {
    mode: Option<TlsMode>,
    files: PemFiles,
    /// The flags of mysql_async.
    require_ssl: Option<bool>,
    verify_ca: Option<bool>,
    verify_identity: Option<bool>,
    /// The first parameter that asks for TLS.
    pub(super) demand: Option<String>,
}

/// Whether mysql_async must not get the parameter.
pub(super) fn is_tls_parameter(name: &str) -> bool {
    is_mode(name)
        || file_role(name).is_some()
        || matches!(name, "require_ssl" | "verify_ca" | "verify_identity" | "built_in_roots")
}

fn is_mode(name: &str) -> bool {
    matches!(name, "ssl-mode" | "ssl_mode" | "sslmode")
}

/// The parameters that name files: of authorities, of a certificate and of its key.
pub(super) const FILES: [&str; 3] = ["ssl-ca", "ssl-cert", "ssl-key"];

pub(super) fn file_role(name: &str) -> Option<FileRole> {
    match name {
        "ssl-ca" | "ssl_ca" => Some(FileRole::Roots),
        "ssl-cert" | "ssl_cert" => Some(FileRole::Certificate),
        "ssl-key" | "ssl_key" => Some(FileRole::Key),
        _ => None,
    }
}

impl MysqlParameters {
    /// No parameters yet, and the files that options give.
    pub(super) fn new(files: PemFiles) -> Self {
        Self { files, ..Self::default() }
    }

    pub(super) fn read(&mut self, name: &str, value: &str) -> Result<(), InvalidUrl> {
        let lower = value.to_ascii_lowercase();
        if is_mode(name) {
            let mode = match lower.replace('-', "_").as_str() {
                "disabled" => TlsMode::Disable,
                "preferred" => TlsMode::Prefer,
                "required" => TlsMode::Require,
                "verify_ca" => TlsMode::VerifyCa,
                "verify_identity" => TlsMode::VerifyFull,
                _ => {
                    return Err(invalid(&format!(
                        "`{name}` is `DISABLED`, `PREFERRED`, `REQUIRED`, `VERIFY_CA` or \
                         `VERIFY_IDENTITY`"
                    )));
                }
            };
            note_demand(&mut self.demand, mode >= TlsMode::Require, name, &lower);
            return set_once(&mut self.mode, mode, name);
        }
        if let Some(role) = file_role(name) {
            return self.files.read(role, name, value);
        }
        let flag = match name {
            "require_ssl" => &mut self.require_ssl,
            "verify_ca" => &mut self.verify_ca,
            "verify_identity" => &mut self.verify_identity,
            "built_in_roots" => {
                return Err(invalid(
                    "`built_in_roots` has no meaning here: trusted are the authorities that the \
                     operating system trusts or, with `ssl-ca`, those in that file",
                ));
            }
            _ => return Ok(()),
        };
        let is_on = match lower.as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(invalid(&format!("`{name}` is `true` or `false`"))),
        };
        set_once(flag, is_on, name)?;
        note_demand(&mut self.demand, is_on, name, "true");
        Ok(())
    }

    /// The meaning of the parameters. Without any of them, TLS is not used, as in mysql_async.
    pub(super) fn settings(self) -> Result<TlsSettings, InvalidUrl> {
        let Self { require_ssl, verify_ca, verify_identity, .. } = self;
        let flags = [require_ssl, verify_ca, verify_identity];
        let has_flag = flags != [None; 3];
        let asks = flags.contains(&Some(true));
        let has_file = self.files.roots.is_some();
        let mode = match self.mode {
            Some(_) if has_flag => {
                return Err(invalid(
                    "`ssl-mode` says it all: leave out `require_ssl`, `verify_ca` and \
                     `verify_identity`",
                ));
            }
            // The same rule as for PostgreSQL. MySQL's clients only warn that they do not verify with the file.
            Some(TlsMode::Require) if has_file => TlsMode::VerifyCa,
            Some(mode) => mode,
            // mysql_async silently ignores the other two flags without `require_ssl`.
            None if require_ssl == Some(false) && asks => {
                return Err(invalid("`require_ssl=false` leaves nothing to verify"));
            }
            None if require_ssl == Some(false) || !(asks || has_file) => TlsMode::Disable,
            // The rule of MySQL's clients.
            None if !has_flag => TlsMode::VerifyCa,
            // As in mysql_async, everything is verified unless a flag says that it is not.
            None => match (verify_ca != Some(false), verify_identity) {
                (true, Some(false)) => TlsMode::VerifyCa,
                (true, _) => TlsMode::VerifyFull,
                (false, Some(true)) => return Err(invalid("`verify_identity` needs `verify_ca`")),
                (false, _) => TlsMode::Require,
            },
        };
        let PemFiles { roots, certificate, key } = self.files;
        let identity = PemFiles::identity(certificate, key)?;
        if identity.is_some() && mode == TlsMode::Disable && self.mode.is_none() {
            return Err(invalid(
                "a client certificate without `ssl-mode` would never be used: add `ssl-mode=VERIFY_IDENTITY`, or \
                 `ssl-mode=DISABLED` if this server needs none",
            ));
        }
        Ok(TlsSettings { mode, roots: roots.unwrap_or(TlsRoots::System), identity })
    }
}
