//! What a URL says of TLS.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::invalid::InvalidUrl;
use crate::settings::keys::BackendKind;

/// How the connections to a server are encrypted. The drivers know less of it than libpq and MySQL's
/// own clients do, so it is read here and kept from their parsers.
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
    /// Plaintext and, if the server does not want that, TLS.
    Allow,
    /// TLS and, if that cannot be had, plaintext.
    Prefer,
    /// TLS with whoever answers.
    Require,
    /// TLS with one whom a trusted authority vouches for.
    VerifyCa,
    /// And who is the host that was asked for.
    VerifyFull,
}

/// The authorities that are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TlsRoots {
    /// Those that the operating system trusts.
    System,
    /// Those in this file, and no others.
    File(PathBuf),
}

impl TlsSettings {
    /// A relative path is below `base`, and that below the current directory.
    pub(super) fn resolved_against(&self, base: &Path) -> Self {
        let roots = match &self.roots {
            TlsRoots::System => TlsRoots::System,
            TlsRoots::File(file) => {
                let joined = base.join(file);
                // Fails only where there is no current directory; opening the file then says so.
                TlsRoots::File(std::path::absolute(&joined).unwrap_or(joined))
            }
        };
        Self { mode: self.mode, roots }
    }
}

/// Whether a parameter is read here, and so kept from the driver, which does not know it or knows
/// other values.
pub(super) fn is_ours(backend: BackendKind, name: &str) -> bool {
    let name = decoded(name).to_ascii_lowercase();
    match backend {
        BackendKind::Mysql => {
            is_mysql_mode(&name)
                || is_mysql_ca(&name)
                || matches!(
                    name.as_str(),
                    "require_ssl" | "verify_ca" | "verify_identity" | "built_in_roots"
                )
        }
        _ => matches!(name.as_str(), "sslmode" | "sslrootcert"),
    }
}

/// Reads the parameters of a URL, of which those that have nothing to do with TLS are passed over.
///
/// `is_available` is whether this crate can speak TLS: where it cannot, what asks for it is refused,
/// as the connection would be plaintext.
pub(super) fn read<'a>(
    backend: BackendKind,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    is_available: bool,
) -> Result<TlsSettings, InvalidUrl> {
    let mut said = Said::default();
    for (name, value) in parameters {
        let (name, value) = (decoded(name).to_ascii_lowercase(), decoded(value));
        match backend {
            BackendKind::Mysql => said.read_mysql(&name, &value)?,
            _ => said.read_postgres(&name, &value)?,
        }
    }
    let demand = said.demand.take();
    let settings = match backend {
        BackendKind::Mysql => said.mysql()?,
        _ => said.postgres()?,
    };
    let demand = demand.or((settings.mode >= TlsMode::Require).then(|| "ssl-ca".to_owned()));
    match demand {
        Some(parameter) if !is_available => Err(InvalidUrl::Tls { parameter }),
        _ => Ok(settings),
    }
}

/// What was said so far.
#[derive(Default)]
struct Said {
    mode: Option<TlsMode>,
    roots: Option<TlsRoots>,
    /// The first parameter that asks for TLS.
    demand: Option<String>,
    direct: bool,
    /// The flags of mysql_async.
    require_ssl: Option<bool>,
    verify_ca: Option<bool>,
    verify_identity: Option<bool>,
}

impl Said {
    fn read_postgres(&mut self, name: &str, value: &str) -> Result<(), InvalidUrl> {
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
                self.demand_if(mode >= TlsMode::Require, name, &lower);
                once(&mut self.mode, mode, name)
            }
            // As libpq has it: an empty one is none.
            "sslrootcert" if value.is_empty() => Ok(()),
            "sslrootcert" => {
                let is_system = value == "system";
                self.demand_if(is_system, name, value);
                let roots = if is_system { TlsRoots::System } else { TlsRoots::File(value.into()) };
                once(&mut self.roots, roots, name)
            }
            "sslnegotiation" => {
                self.direct = lower == "direct";
                self.demand_if(self.direct, name, &lower);
                Ok(())
            }
            "channel_binding" => {
                self.demand_if(lower == "require", name, &lower);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn read_mysql(&mut self, name: &str, value: &str) -> Result<(), InvalidUrl> {
        let lower = value.to_ascii_lowercase();
        if is_mysql_mode(name) {
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
            self.demand_if(mode >= TlsMode::Require, name, &lower);
            return once(&mut self.mode, mode, name);
        }
        if is_mysql_ca(name) {
            if value.is_empty() {
                return Ok(());
            }
            return once(&mut self.roots, TlsRoots::File(value.into()), name);
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
        once(flag, is_on, name)?;
        self.demand_if(is_on, name, "true");
        Ok(())
    }

    fn demand_if(&mut self, asks: bool, name: &str, value: &str) {
        if asks && self.demand.is_none() {
            self.demand = Some(format!("{name}={value}"));
        }
    }

    /// As libpq's manual has it, save that a file of authorities does nothing in silence: with no
    /// `sslmode` at all, libpq would check the server's certificate, and go on in plaintext if it is
    /// bad.
    fn postgres(self) -> Result<TlsSettings, InvalidUrl> {
        let mode = match (self.mode, &self.roots) {
            (None, None) => TlsMode::Prefer,
            (None, Some(TlsRoots::System)) => TlsMode::VerifyFull,
            (Some(mode), Some(TlsRoots::System)) if mode < TlsMode::VerifyFull => {
                return Err(invalid(
                    "`sslrootcert=system` needs `sslmode=verify-full`: anybody can have a \
                     certificate of a public authority",
                ));
            }
            (None, Some(TlsRoots::File(_))) => {
                return Err(invalid(
                    "`sslrootcert` without `sslmode` would verify nothing: add \
                     `sslmode=verify-full` or `sslmode=verify-ca`",
                ));
            }
            (Some(TlsMode::Require), Some(_)) => TlsMode::VerifyCa,
            (Some(mode), _) => mode,
        };
        if self.direct && mode < TlsMode::Require {
            return Err(invalid(
                "`sslnegotiation=direct` needs `sslmode=require` or a stronger one",
            ));
        }
        Ok(TlsSettings { mode, roots: self.roots.unwrap_or(TlsRoots::System) })
    }

    /// `ssl-mode` and `ssl-ca` are those of MySQL's own clients, the others those of mysql_async.
    /// Where nothing is said, TLS is not used, as in mysql_async.
    fn mysql(self) -> Result<TlsSettings, InvalidUrl> {
        let Self { require_ssl, verify_ca, verify_identity, .. } = self;
        let flags = [require_ssl, verify_ca, verify_identity];
        let asks = flags.contains(&Some(true));
        let has_file = self.roots.is_some();
        let mode = match self.mode {
            Some(_) if flags != [None; 3] => {
                return Err(invalid(
                    "`ssl-mode` says it all: leave out `require_ssl`, `verify_ca` and \
                     `verify_identity`",
                ));
            }
            // Not in MySQL, which warns that it does not verify: as in PostgreSQL.
            Some(TlsMode::Require) if has_file => TlsMode::VerifyCa,
            Some(mode) => mode,
            // mysql_async ignores the other two without `require_ssl`, and is silent about it.
            None if require_ssl == Some(false) && asks => {
                return Err(invalid("`require_ssl=false` leaves nothing to verify"));
            }
            None if require_ssl == Some(false) || !(asks || has_file) => TlsMode::Disable,
            // The rule of MySQL's clients.
            None if flags == [None; 3] => TlsMode::VerifyCa,
            // As in mysql_async, all is verified that is not said to be left out.
            None => match (verify_ca != Some(false), verify_identity) {
                (true, Some(false)) => TlsMode::VerifyCa,
                (true, _) => TlsMode::VerifyFull,
                (false, Some(true)) => return Err(invalid("`verify_identity` needs `verify_ca`")),
                (false, _) => TlsMode::Require,
            },
        };
        Ok(TlsSettings { mode, roots: self.roots.unwrap_or(TlsRoots::System) })
    }
}

fn is_mysql_mode(name: &str) -> bool {
    matches!(name, "ssl-mode" | "ssl_mode" | "sslmode")
}

fn is_mysql_ca(name: &str) -> bool {
    matches!(name, "ssl-ca" | "ssl_ca")
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A URL that says one thing twice means something else to each that reads it.
fn once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), InvalidUrl> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(&format!("`{name}` is said twice"))),
    }
}

fn invalid(message: &str) -> InvalidUrl {
    InvalidUrl::TlsParameter(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::url::DatabaseUrl;

    fn read_with(backend: BackendKind, query: &str, available: bool) -> Result<String, InvalidUrl> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        read(backend, pairs, available).map(|TlsSettings { mode, roots }| match roots {
            TlsRoots::System => format!("{mode:?}"),
            TlsRoots::File(file) => format!("{mode:?} {}", file.display()),
        })
    }

    fn table(backend: BackendKind, rows: &[(&str, &str)]) {
        for (query, expected) in rows {
            let found = read_with(backend, query, true).unwrap_or_else(|error| error.to_string());
            assert_eq!(found, *expected, "{query}");
        }
    }

    #[test]
    fn postgres_modes_are_those_of_libpq() {
        table(
            BackendKind::Postgres,
            &[
                ("", "Prefer"),
                ("application_name=x", "Prefer"),
                ("sslmode=disable", "Disable"),
                ("sslmode=Allow", "Allow"),
                ("sslmode=prefer", "Prefer"),
                ("ssl%6Dode=requ%69re", "Require"),
                ("sslmode=require&sslrootcert=", "Require"),
                ("sslmode=require&sslrootcert=ca.pem", "VerifyCa ca.pem"),
                ("sslrootcert=a%20b.pem&sslmode=verify-ca", "VerifyCa a b.pem"),
                ("sslmode=verify-full", "VerifyFull"),
                ("sslmode=prefer&sslrootcert=ca.pem", "Prefer ca.pem"),
                ("sslrootcert=system", "VerifyFull"),
                ("sslmode=require&sslnegotiation=direct", "Require"),
                ("sslmode=require&channel_binding=require", "Require"),
            ],
        );
    }

    #[test]
    fn mysql_modes_are_those_of_its_clients_and_the_flags_those_of_the_driver() {
        table(
            BackendKind::Mysql,
            &[
                ("", "Disable"),
                ("ssl-mode=DISABLED", "Disable"),
                ("ssl_mode=preferred", "Prefer"),
                ("sslmode=REQUIRED", "Require"),
                ("ssl-mode=REQUIRED&ssl-ca=ca.pem", "VerifyCa ca.pem"),
                ("ssl-mode=VERIFY_CA", "VerifyCa"),
                ("ssl-mode=verify-identity&ssl_ca=ca.pem", "VerifyFull ca.pem"),
                ("ssl-ca=ca.pem", "VerifyCa ca.pem"),
                ("require_ssl=false", "Disable"),
                ("require_ssl=false&ssl-ca=ca.pem", "Disable ca.pem"),
                ("verify_ca=false", "Disable"),
                ("require_ssl=true", "VerifyFull"),
                ("require_ssl=true&verify_ca=false", "Require"),
                ("require_ssl=true&verify_identity=false", "VerifyCa"),
                ("verify_ca=true", "VerifyFull"),
                ("verify_ca=true&verify_identity=false", "VerifyCa"),
                ("ssl-ca=ca.pem&verify_identity=false", "VerifyCa ca.pem"),
                ("ssl-ca=ca.pem&verify_identity=true", "VerifyFull ca.pem"),
            ],
        );
    }

    #[test]
    fn contradictions_are_told() {
        let weak = "`sslrootcert=system` needs `sslmode=verify-full`: anybody can have a \
                    certificate of a public authority";
        let direct = "`sslnegotiation=direct` needs `sslmode=require` or a stronger one";
        table(
            BackendKind::Postgres,
            &[
                (
                    "sslmode=yes",
                    "`sslmode` is `disable`, `allow`, `prefer`, `require`, `verify-ca` or \
                     `verify-full`",
                ),
                ("sslmode=require&sslmode=disable", "`sslmode` is said twice"),
                ("sslmode=verify-ca&sslrootcert=system", weak),
                ("sslmode=disable&sslrootcert=system", weak),
                (
                    "sslrootcert=ca.pem",
                    "`sslrootcert` without `sslmode` would verify nothing: add \
                     `sslmode=verify-full` or `sslmode=verify-ca`",
                ),
                ("sslnegotiation=direct", direct),
                ("sslnegotiation=direct&sslmode=prefer", direct),
            ],
        );
        let twice = "`ssl-mode` says it all: leave out `require_ssl`, `verify_ca` and \
                     `verify_identity`";
        table(
            BackendKind::Mysql,
            &[
                (
                    "ssl-mode=on",
                    "`ssl-mode` is `DISABLED`, `PREFERRED`, `REQUIRED`, `VERIFY_CA` or \
                     `VERIFY_IDENTITY`",
                ),
                ("require_ssl=1", "`require_ssl` is `true` or `false`"),
                ("ssl-mode=REQUIRED&ssl_mode=DISABLED", "`ssl_mode` is said twice"),
                ("ssl-mode=REQUIRED&require_ssl=true", twice),
                ("ssl-mode=DISABLED&verify_ca=true", twice),
                (
                    "require_ssl=false&verify_ca=true",
                    "`require_ssl=false` leaves nothing to verify",
                ),
                ("verify_ca=false&verify_identity=true", "`verify_identity` needs `verify_ca`"),
                (
                    "require_ssl=true&built_in_roots=false",
                    "`built_in_roots` has no meaning here: trusted are the authorities that the \
                     operating system trusts or, with `ssl-ca`, those in that file",
                ),
            ],
        );
    }

    #[test]
    fn without_the_feature_what_asks_for_tls_is_refused() {
        for (backend, query, parameter) in [
            (BackendKind::Postgres, "sslmode=require", "sslmode=require"),
            (BackendKind::Postgres, "sslmode=Verify-CA", "sslmode=verify-ca"),
            (BackendKind::Postgres, "user=x&sslmode=verify-full", "sslmode=verify-full"),
            (BackendKind::Postgres, "ssl%6Dode=requ%69re", "sslmode=require"),
            (BackendKind::Postgres, "sslrootcert=system", "sslrootcert=system"),
            (BackendKind::Postgres, "channel_binding=require", "channel_binding=require"),
            (BackendKind::Mysql, "require_ssl=true", "require_ssl=true"),
            (BackendKind::Mysql, "verify_ca=true", "verify_ca=true"),
            (BackendKind::Mysql, "ssl-mode=REQUIRED", "ssl-mode=required"),
            (BackendKind::Mysql, "ssl_mode=verify_identity", "ssl_mode=verify_identity"),
            (BackendKind::Mysql, "ssl-ca=/zauber.pem", "ssl-ca"),
        ] {
            let error = read_with(backend, query, false).unwrap_err();
            assert_eq!(error, InvalidUrl::Tls { parameter: parameter.to_owned() }, "{query}");
            assert_eq!(
                error.to_string(),
                format!(
                    "`{parameter}` asks for TLS, which needs the feature `rustls` of registry-core: \
                     add it to that dependency's `features` in Cargo.toml"
                )
            );
            read_with(backend, query, true).unwrap();
        }
        for (backend, query) in [
            (BackendKind::Postgres, ""),
            (BackendKind::Postgres, "sslmode=prefer"),
            (BackendKind::Postgres, "sslmode=disable&sslrootcert=ca.pem"),
            (BackendKind::Mysql, "ssl-mode=PREFERRED"),
            (BackendKind::Mysql, "require_ssl=false"),
        ] {
            read_with(backend, query, false).unwrap();
        }
    }

    #[test]
    fn a_file_is_relative_to_the_settings() {
        let url = DatabaseUrl::parse("postgres://h/db?sslmode=disable&sslrootcert=tls/ca.pem");
        let url = url.unwrap().resolved_against(Path::new("/etc/app"));
        let file = TlsRoots::File(PathBuf::from("/etc/app/tls/ca.pem"));
        assert_eq!(url.tls().unwrap().roots, file);
    }
}
