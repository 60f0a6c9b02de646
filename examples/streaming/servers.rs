//! PostgreSQL with a streaming replica, in a temporary folder, for as long as the value lives.

use std::error::Error;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};

/// Where the programs are, and as whom they run.
pub(crate) struct Programs {
    folder: PathBuf,
    /// PostgreSQL refuses to run as root.
    account: Option<User>,
}

impl Programs {
    const NEEDED: [&str; 3] = ["initdb", "pg_basebackup", "postgres"];

    /// The installed programs, or what is missing.
    pub(crate) fn find() -> Result<Self, String> {
        let has_all =
            |folder: &PathBuf| Self::NEEDED.iter().all(|name| folder.join(name).is_file());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut packages: Vec<_> = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"]
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .collect();
        packages.sort();
        let folder =
            std::env::split_paths(&path).chain(packages.into_iter().rev()).find(has_all).ok_or(
                "PostgreSQL is not installed: there is no folder with `initdb`, `pg_basebackup` and `postgres`.\n\
                 Debian: apt-get install postgresql. macOS: brew install postgresql",
            )?;
        let account = if Uid::effective().is_root() {
            let user = |name| User::from_name(name).ok().flatten();
            Some(user("postgres").or_else(|| user("nobody")).ok_or(
                "root cannot run PostgreSQL, and there is no user `postgres`: run this as another user",
            )?)
        } else {
            None
        };
        Ok(Self { folder, account })
    }

    fn command(&self, program: &Path, home: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(user) = &self.account {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.current_dir(home);
        command
    }

    /// Runs a program to its end.
    fn run(&self, name: &str, home: &Path, arguments: &[String]) -> Result<(), Box<dyn Error>> {
        let mut command = self.command(&self.folder.join(name), home);
        let output = command.env("PGPASSWORD", PASSWORD).args(arguments).output()?;
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into())
        }
    }
}

const PASSWORD: &str = "sesame";

/// A server. Its process ends and its folder is removed when this is dropped, or when this program ends in any way.
pub(crate) struct Server {
    /// A shell that waits for the end of its input, whose other end only this process has.
    keeper: Child,
    log: PathBuf,
    port: u16,
}

impl Server {
    /// A new primary.
    pub(crate) fn primary(programs: &Programs) -> Result<Self, Box<dyn Error>> {
        let home = home(programs)?;
        fs::write(home.join("password"), PASSWORD)?;
        let arguments =
            ["-D", "data", "-U", "app", "--pwfile=password", "-A", "scram-sha-256", "-N"];
        programs.run("initdb", &home, &arguments.map(str::to_owned))?;
        Self::start(programs, &home)
    }

    /// A replica of this server.
    pub(crate) fn replica(&self, programs: &Programs) -> Result<Self, Box<dyn Error>> {
        let home = home(programs)?;
        let arguments =
            ["-D", "data", "-h", "127.0.0.1", "-U", "app", "-c", "fast", "-N", "-R", "-p"];
        let mut arguments = arguments.map(str::to_owned).to_vec();
        arguments.push(self.port.to_string());
        programs.run("pg_basebackup", &home, &arguments)?;
        Self::start(programs, &home)
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://app:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    fn start(programs: &Programs, home: &Path) -> Result<Self, Box<dyn Error>> {
        const KEEPER: &str = "home=$PWD; \"$@\" </dev/null >log 2>&1 & \
            cat >/dev/null; kill -QUIT $!; wait; cd /; rm -rf \"$home\"";
        // Free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let keeper = programs
            .command(Path::new("/bin/sh"), home)
            .args(["-c", KEEPER, "keeper"])
            .arg(programs.folder.join("postgres"))
            .args(["-D", "data", "-h", "127.0.0.1", "-F", "-k"])
            .arg(home)
            .args(["-p", &port.to_string()])
            .stdin(Stdio::piped())
            // Ctrl-C is for this program alone.
            .process_group(0)
            .spawn()?;
        let server = Self { keeper, log: home.join("log"), port };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            if log.contains("ready to accept") {
                return Ok(());
            }
            if Instant::now() > deadline || log.contains("FATAL") {
                return Err(format!("PostgreSQL does not start:\n{log}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It closes the input first.
        let _ = self.keeper.wait();
    }
}

/// A new folder that belongs to the account of the server.
fn home(programs: &Programs) -> io::Result<PathBuf> {
    // The path of a Unix socket is limited to about 100 bytes, and a temporary folder of root's is closed to others.
    let home = tempfile::Builder::new().prefix("replicas-").tempdir_in("/tmp")?.keep();
    if let Some(user) = &programs.account {
        std::os::unix::fs::chown(&home, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    Ok(home)
}
