//! mariadb or mysql, which read an option file.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Client, Files, Wanted};
use crate::backend::{MYSQL_READ_ONLY, mysql_opts};
use crate::cause::DriverError;
use crate::settings::url::tls::{TlsMode, TlsRoots, TlsSettings};

/// In this order: `mysql` is MariaDB's client under its old name where both are installed.
const PROGRAMS: [&str; 2] = ["mariadb", "mysql"];

pub(super) async fn client(wanted: &Wanted<'_>) -> Result<Client, DriverError> {
    let (program, is_mariadb) = find(wanted.program).await;
    let opts = mysql_opts(wanted.url)?;
    let mut file = OptionFile::new();
    if let Some(user) = opts.user() {
        file.set("user", user);
    }
    // Also an empty one: without it, some clients ask, and some take the one of another file.
    file.set("password", opts.pass().unwrap_or_default());
    match opts.socket() {
        Some(socket) => file.set("socket", socket),
        None => {
            file.set("host", opts.ip_or_hostname());
            file.set("port", &opts.tcp_port().to_string());
            // The clients would look for a socket if the host is `localhost`.
            file.set("protocol", "tcp");
        }
    }
    if let Some(database) = opts.db_name() {
        file.set("database", database);
    }
    file.set("default-character-set", "utf8mb4");
    if wanted.options.read_only {
        file.set("init-command", MYSQL_READ_ONLY);
    }
    let mut files = Files::default();
    if let Some(tls) = wanted.url.tls().filter(|_| opts.socket().is_none()) {
        file.tls(tls, is_mariadb, &mut files)?;
    }
    let path = files.write("client.cnf", file.0.as_bytes())?;
    // `--defaults-extra-file` would not do: what is in the user's own file wins over it, also a password.
    let mut argument = OsString::from("--defaults-file=");
    argument.push(path);
    Ok(Client {
        program,
        arguments: vec![argument],
        // MySQL's client reads this file whatever it is told, and what is in it wins.
        variables: vec![
            ("MYSQL_TEST_LOGIN_FILE".into(), Some("/dev/null".into())),
            ("MYSQL_PWD".into(), None),
            ("MYSQL_HOST".into(), None),
            ("MYSQL_TCP_PORT".into(), None),
            ("MYSQL_UNIX_PORT".into(), None),
        ],
        package: wanted.package("mariadb-client"),
        files,
    })
}

/// The client, and whether it is MariaDB's.
async fn find(chosen: Option<&Path>) -> (PathBuf, bool) {
    let candidates = match chosen {
        Some(program) => vec![program.to_owned()],
        None => PROGRAMS.map(PathBuf::from).to_vec(),
    };
    for program in &candidates {
        if let Ok(version) = Command::new(program).arg("--version").output().await {
            let is_mariadb = String::from_utf8_lossy(&version.stdout).contains("MariaDB");
            return (program.clone(), is_mariadb);
        }
    }
    // Running it says that there is none.
    (candidates[0].clone(), true)
}

/// A file in the format of `my.cnf`.
struct OptionFile(String);

impl OptionFile {
    fn new() -> Self {
        Self("[client]\n".to_owned())
    }

    fn set(&mut self, name: &str, value: &str) {
        // Between quotation marks, spaces at the ends and `#` are kept.
        let value: String = value
            .chars()
            .map(|c| match c {
                '\\' => "\\\\".to_owned(),
                '"' => "\\\"".to_owned(),
                '\n' => "\\n".to_owned(),
                '\r' => "\\r".to_owned(),
                '\t' => "\\t".to_owned(),
                c => c.to_string(),
            })
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name}=\"{value}\"");
    }

    fn set_path(&mut self, name: &str, path: &Path) {
        self.set(name, &path.to_string_lossy());
    }

    fn tls(
        &mut self,
        tls: &TlsSettings,
        is_mariadb: bool,
        files: &mut Files,
    ) -> std::io::Result<()> {
        if is_mariadb {
            match tls.mode {
                TlsMode::Disable => self.set("ssl", "0"),
                // A client that wants TLS refuses a server that has none, so the client's own default stands.
                TlsMode::Allow | TlsMode::Prefer => self.set("ssl-verify-server-cert", "0"),
                TlsMode::Require => {
                    self.set("ssl", "1");
                    self.set("ssl-verify-server-cert", "0");
                }
                // It checks the authority and the name, or neither.
                TlsMode::VerifyCa | TlsMode::VerifyFull => {
                    self.set("ssl", "1");
                    self.set("ssl-verify-server-cert", "1");
                }
            }
        } else {
            let mode = match tls.mode {
                TlsMode::Disable => "DISABLED",
                TlsMode::Allow | TlsMode::Prefer => "PREFERRED",
                TlsMode::Require => "REQUIRED",
                TlsMode::VerifyCa => "VERIFY_CA",
                TlsMode::VerifyFull => "VERIFY_IDENTITY",
            };
            self.set("ssl-mode", mode);
        }
        if let TlsRoots::Only(source) = &tls.roots {
            self.set_path("ssl-ca", &files.path_of("root.pem", source)?);
        }
        if let Some(identity) = &tls.identity {
            self.set_path("ssl-cert", &files.path_of("client.pem", &identity.certificate)?);
            self.set_path("ssl-key", &files.path_of("client-key.pem", &identity.key)?);
        }
        Ok(())
    }
}
