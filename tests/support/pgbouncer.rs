//! PgBouncer in front of a PostgreSQL server: `pgbouncer`.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::home::Home;
use super::programs;
use super::server::{ProcessGroup, Server, free_port, log_of, signal_to};

/// The time limit for starting and for stopping.
const LIMIT: Duration = Duration::from_secs(20);

/// A running PgBouncer with its own configuration. It stops when it is dropped, or after the test binary has
/// ended.
pub(crate) struct Pooler {
    home: Home,
    program: PathBuf,
    port: u16,
    server_port: u16,
    process: Mutex<Option<Child>>,
}

impl Pooler {
    /// Starts one in front of `server`, which must run on this machine. `settings` are added to the section
    /// `[pgbouncer]` of its configuration.
    pub(crate) fn before(server: &Server, settings: &[(&str, &str)]) -> Self {
        Self::leading_to(server.port(), server, settings)
    }

    /// Starts one that reaches `server` by another port, such as that of a proxy.
    pub(crate) fn leading_to(server_port: u16, server: &Server, settings: &[(&str, &str)]) -> Self {
        let program = programs::find("pgbouncer").unwrap_or_else(|| {
            panic!(
                "this test needs PgBouncer, and `pgbouncer` is not installed.\n\
                 Run ./tests/run.sh, which installs it where it can; or `apt-get install pgbouncer`"
            )
        });
        let home = Home::of_server(&["postgres", "nobody"], "KILL");
        // In plain text, so that it can log in by whichever method the server demands.
        home.write("users.txt", &format!("\"{}\" \"{}\"\n", server.user(), server.password()));
        // Another process may take the port first.
        let (port, child) = (0..5)
            .find_map(|_| {
                let port = free_port();
                let text = configuration(port, &home, server, server_port, settings);
                home.write("pgbouncer.ini", &text);
                start(&home, &program, port).map(|child| (port, child))
            })
            .unwrap_or_else(|| {
                panic!("PgBouncer ended as soon as it was started.\n{}", log_of(&home))
            });
        let process = Mutex::new(Some(child));
        Self { home, program, port, server_port, process }
    }

    /// The URL of the same database through the pooler.
    pub(crate) fn url(&self, direct: &str) -> String {
        let (old, new) = (format!(":{}/", self.server_port), format!(":{}/", self.port));
        let url = direct.replacen(&old, &new, 1);
        assert_ne!(url, direct, "a URL with the port of the server");
        url
    }

    /// The URL of the same database through the Unix socket of the pooler.
    pub(crate) fn by_socket(&self, direct: &str) -> String {
        let folder = self.home.path().display().to_string().replace('/', "%2F");
        self.url(direct).replacen("@127.0.0.1:", &format!("@{folder}:"), 1)
    }

    /// Kills it, as a machine failure would: clients and servers are cut off.
    pub(crate) fn kill9(&self) {
        let mut process = self.process.lock().expect("no panic holds it");
        let mut child = process.take().expect("it is running");
        signal_to(&child, Signal::SIGKILL);
        child.wait().expect("our child");
        // The process id may be reused soon.
        let _ = std::fs::remove_file(self.home.path().join("pid"));
    }

    /// Starts it again after [`kill9`](Self::kill9), on the same port.
    pub(crate) fn start(&self) {
        let mut process = self.process.lock().expect("no panic holds it");
        assert!(process.is_none(), "PgBouncer is running");
        let child = (0..20).find_map(|_| {
            let child = start(&self.home, &self.program, self.port);
            if child.is_none() {
                std::thread::sleep(Duration::from_millis(250));
            }
            child
        });
        *process = Some(child.unwrap_or_else(|| panic!("no start.\n{}", log_of(&self.home))));
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if self.process.lock().is_ok_and(|process| process.is_some()) {
            self.kill9();
        }
    }
}

fn configuration(
    port: u16,
    home: &Home,
    server: &Server,
    server_port: u16,
    settings: &[(&str, &str)],
) -> String {
    let mut text = format!(
        "[databases]\n* = host=127.0.0.1 port={server_port}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir = {}\nauth_type = plain\nauth_file = users.txt\n\
         admin_users = {}\nmax_client_conn = 500\n",
        home.path().display(),
        server.user()
    );
    for (name, value) in settings {
        let _ = writeln!(text, "{name} = {value}");
    }
    text
}

/// Starts the program and waits until it listens; `None` if it ends before.
fn start(home: &Home, program: &Path, port: u16) -> Option<Child> {
    let log = home.log();
    // `exec` replaces the shell by PgBouncer, so the process id that the shell writes for the watchdog is PgBouncer's.
    let mut child = home
        .command(Path::new("/bin/sh"))
        .args(["-c", "echo $$ > pid && exec \"$@\"", "pgbouncer"])
        .arg(program)
        .arg("pgbouncer.ini")
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .process_group_of_its_own()
        .spawn()
        .expect("a POSIX shell");
    let deadline = Instant::now() + LIMIT;
    loop {
        if child.try_wait().expect("our child").is_some() {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            // Another process might be the one that listens on this port.
            std::thread::sleep(Duration::from_millis(50));
            return child.try_wait().expect("our child").is_none().then_some(child);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("PgBouncer did not come up within {LIMIT:?}.\n{}", log_of(home));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
