//! psql, or another program over libpq, which reads the environment.

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

use super::{Client, Files, Wanted};
use crate::backend::postgres_config;
use crate::cause::DriverError;
use crate::settings::DatabaseUrl;
use crate::settings::url::tls::{TlsMode, TlsRoots};

/// Variables of libpq and psql that say nothing of where and as whom to connect.
const KEPT: [&str; 6] =
    ["PGCLIENTENCODING", "PGDATESTYLE", "PGGEQO", "PGLOCALEDIR", "PGSYSCONFDIR", "PGTZ"];

/// Where systems have the certificates of the authorities that they trust.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) fn client(wanted: &Wanted<'_>) -> Result<Client, DriverError> {
    let config = postgres_config(wanted.url, wanted.options)?;
    let mut files = Files::default();
    let mut variables = Variables::of_process();
    variables.connection(&config);
    variables.tls(wanted.url, &mut files)?;
    Ok(Client {
        program: wanted.program.map_or_else(|| "psql".into(), Path::to_owned),
        arguments: Vec::new(),
        variables: variables.0,
        package: wanted.package("postgresql-client"),
        files,
    })
}

struct Variables(Vec<(OsString, Option<OsString>)>);

impl Variables {
    /// Removes those of this process that would say something else.
    fn of_process() -> Self {
        let of_libpq = env::vars_os().map(|(name, _)| name).filter(|name| {
            let text = name.to_string_lossy();
            text.starts_with("PG") && !KEPT.contains(&&*text)
        });
        Self(of_libpq.map(|name| (name, None)).collect())
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push((name.into(), Some(value.into())));
    }

    fn connection(&mut self, config: &Config) {
        let hosts = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) => folder.to_string_lossy().into_owned(),
        });
        self.list("PGHOST", hosts);
        self.list("PGHOSTADDR", config.get_hostaddrs());
        self.list("PGPORT", config.get_ports());
        let texts = [
            ("PGUSER", config.get_user()),
            ("PGDATABASE", config.get_dbname()),
            ("PGOPTIONS", config.get_options()),
            ("PGAPPNAME", config.get_application_name()),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                self.set(name, value);
            }
        }
        if let Some(password) = config.get_password() {
            self.set("PGPASSWORD", String::from_utf8_lossy(password).into_owned());
        }
        if let Some(limit) = config.get_connect_timeout() {
            self.set("PGCONNECT_TIMEOUT", limit.as_secs().max(1).to_string());
        }
        match config.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => self.set("PGTARGETSESSIONATTRS", "read-write"),
            TargetSessionAttrs::ReadOnly => self.set("PGTARGETSESSIONATTRS", "read-only"),
            _ => {}
        }
    }

    /// A value for each host.
    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl Display>) {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        if !values.is_empty() {
            self.set(name, values.join(","));
        }
    }

    fn tls(&mut self, url: &DatabaseUrl, files: &mut Files) -> std::io::Result<()> {
        let Some(tls) = url.tls() else { return Ok(()) };
        let mode = match tls.mode {
            TlsMode::Disable => "disable",
            TlsMode::Allow => "allow",
            TlsMode::Prefer => "prefer",
            TlsMode::Require => "require",
            TlsMode::VerifyCa => "verify-ca",
            TlsMode::VerifyFull => "verify-full",
        };
        self.set("PGSSLMODE", mode);
        match &tls.roots {
            TlsRoots::Only(source) => {
                self.set("PGSSLROOTCERT", files.path_of("root.crt", source)?);
            }
            // `system` is known to libpq since PostgreSQL 16, and only together with `verify-full`.
            TlsRoots::System if tls.mode >= TlsMode::VerifyCa => {
                let bundle = SYSTEM_ROOTS.iter().map(PathBuf::from).find(|path| path.is_file());
                self.set("PGSSLROOTCERT", bundle.unwrap_or_else(|| "system".into()));
            }
            TlsRoots::System => {}
        }
        if let Some(identity) = &tls.identity {
            self.set("PGSSLCERT", files.path_of("client.crt", &identity.certificate)?);
            self.set("PGSSLKEY", files.path_of("client.key", &identity.key)?);
        }
        Ok(())
    }
}
