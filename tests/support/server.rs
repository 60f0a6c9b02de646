//! A database server of this test binary.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::panic::{self, RefUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::home::Home;
use super::programs;
use super::server_url::ServerUrl;
use super::watchdog::Watchdog;

/// The time limit for starting and for stopping a server.
const LIMIT: Duration = Duration::from_secs(60);

/// The files in a server's folder that make it offer TLS, if they exist.
pub(crate) const CERTIFICATE: &str = "tls.crt";
/// The authorities of clients' certificates, if a test has written them into the server's folder before its start.
pub(crate) const CLIENT_AUTHORITIES: &str = "client-authorities.pem";
pub(crate) const KEY: &str = "tls.key";

/// A database product, and how its programs are run.
pub(crate) trait Product: Sync + RefUnwindSafe {
    /// The name for people, such as `PostgreSQL`.
    fn name(&self) -> &'static str;

    /// The variable with the URL of a server to use instead of starting one.
    fn variable(&self) -> &'static str;

    /// The Debian package that contains it.
    fn package(&self) -> &'static str;

    /// The port for URLs that name none.
    fn default_port(&self) -> u16;

    /// The programs that are needed; the server itself is last.
    fn programs(&self) -> &'static [&'static str];

    /// The accounts to run it as where the tests run as root, in the order of preference.
    fn accounts(&self) -> &'static [&'static str];

    /// The signals for an orderly and for an immediate shutdown.
    fn signals(&self) -> (Signal, Signal);

    /// The URL of a server in `home`.
    fn url(&self, port: u16) -> ServerUrl;

    /// Creates the data folder of a server.
    fn initialise(&self, home: &Home, program: &dyn Fn(&str) -> PathBuf, url: &ServerUrl);

    /// The arguments of the server's program.
    fn arguments(&self, home: &Path, url: &ServerUrl) -> Vec<String>;

    /// Variables for the server's program, in addition to the environment of the tests.
    fn environment(&self, _home: &Path) -> Vec<(&'static str, PathBuf)> {
        Vec::new()
    }

    /// Connects with the password and runs `sql`.
    fn execute(&self, url: &str, sql: &str) -> Result<(), String>;

    /// A command-line client that runs its last argument as SQL.
    fn client(&self, url: &ServerUrl) -> Command;

    /// The statement that creates the database `name`.
    fn create_database(&self, name: &str) -> String;
}

/// A running database server. The tests of a binary share it, each with its own database.
pub(crate) struct Server {
    product: &'static dyn Product,
    url: ServerUrl,
    place: Place,
    databases: AtomicU32,
}

enum Place {
    /// Started by this test binary.
    Ours { home: Home, program: PathBuf, process: Mutex<Option<Child>> },
    /// Named by a variable. The databases of the tests are dropped at the end, if a command-line client is installed.
    Theirs { watchdog: Watchdog },
}

/// The server of this test binary, obtained once. If that fails, the first test panics with the reason, and the
/// others fail without trying again.
pub(crate) fn shared(
    server: &'static OnceLock<Option<Server>>,
    product: &'static dyn Product,
) -> &'static Server {
    once(server, product, || Server::obtain(product))
}

/// As [`shared`], for a server that is always started here.
pub(crate) fn mortal(
    server: &'static OnceLock<Option<tokio::sync::Mutex<Server>>>,
    product: &'static dyn Product,
) -> &'static tokio::sync::Mutex<Server> {
    once(server, product, || tokio::sync::Mutex::new(Server::launched(product)))
}

fn once<T>(
    cell: &'static OnceLock<Option<T>>,
    product: &'static dyn Product,
    obtain: impl FnOnce() -> T + panic::UnwindSafe,
) -> &'static T {
    let mut reason = None;
    let obtained =
        cell.get_or_init(|| panic::catch_unwind(obtain).map_err(|panic| reason = Some(panic)).ok());
    match (obtained, reason) {
        (Some(server), _) => server,
        (None, Some(reason)) => panic::resume_unwind(reason),
        (None, None) => {
            panic!("{} cannot be had: the first test that asked for it says why", product.name())
        }
    }
}

impl Server {
    /// The server that the product's variable names, else a new one.
    pub(crate) fn obtain(product: &'static dyn Product) -> Self {
        match std::env::var(product.variable()) {
            Ok(url) if !url.is_empty() => Self::named(product, &url),
            _ => Self::launched(product),
        }
    }

    /// The URL of the main database, for a user with all privileges.
    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Creates an empty database and returns its URL.
    pub(crate) fn database(&self, prefix: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}_{}_{:x}_{number}", std::process::id(), self.nonce());
        self.product
            .execute(&self.url(), &self.product.create_database(&name))
            .unwrap_or_else(|error| panic!("{} makes no database: {error}", self.product.name()));
        if let Place::Theirs { watchdog } = &self.place {
            watchdog.drop_later(&name);
        }
        self.url.of_database(&name).to_string()
    }

    /// Creates an empty database for each tenant, and returns their URL with `{tenant}` in place of the name.
    pub(crate) fn tenants<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("t{number}_{:x}", self.nonce());
        for name in names {
            let name = format!("{prefix}_{name}");
            self.product.execute(&self.url(), &self.product.create_database(&name)).unwrap_or_else(
                |error| panic!("{} makes no database: {error}", self.product.name()),
            );
            if let Place::Theirs { watchdog } = &self.place {
                watchdog.drop_later(&name);
            }
        }
        self.url.of_database(&format!("{prefix}_{{tenant}}")).to_string()
    }

    /// Runs a statement in its main database.
    pub(crate) fn execute(&self, sql: &str) {
        self.execute_in(&self.url(), sql);
    }

    /// Whether the database at `url`, which may be behind a pooler, accepts a connection and answers.
    pub(crate) fn answers_at(&self, url: &str) -> bool {
        self.product.execute(url, "SELECT 1").is_ok()
    }

    /// Runs a statement in the database at `url`.
    pub(crate) fn execute_in(&self, url: &str, sql: &str) {
        self.product
            .execute(url, sql)
            .unwrap_or_else(|error| panic!("{} does not `{sql}`: {error}", self.product.name()));
    }

    /// The URL of its main database with another password.
    pub(crate) fn url_with_password(&self, password: &str) -> String {
        let mut url = self.url.clone();
        url.password = password.to_owned();
        url.to_string()
    }

    pub(crate) fn user(&self) -> &str {
        &self.url.user
    }

    pub(crate) fn password(&self) -> &str {
        &self.url.password
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port
    }

    /// The process id, while the server runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        let (_, _, process) = self.ours();
        process.lock().expect("no panic holds it").as_ref().map(Child::id)
    }

    /// The folder with its data, its log and its Unix socket.
    pub(crate) fn folder(&self) -> &Path {
        self.ours().0.path()
    }

    /// The URL of the same database through the Unix socket.
    pub(crate) fn by_socket(&self, url: &str) -> String {
        let folder = self.socket_dir().display().to_string().replace('/', "%2F");
        let by_socket = url.replacen("@127.0.0.1:", &format!("@{folder}:"), 1);
        assert_ne!(by_socket, url, "a URL of a server on this machine");
        by_socket
    }

    /// The folder of its Unix socket.
    pub(crate) fn socket_dir(&self) -> &Path {
        self.folder()
    }

    /// Whether this test binary started it, and so can stop it.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.place, Place::Ours { .. })
    }

    /// Kills it, as a machine failure would. The data stay.
    pub(crate) fn kill9(&self) {
        self.end(Signal::SIGKILL);
    }

    /// Shuts it down in an orderly way: clients are disconnected. The data stay.
    pub(crate) fn stop(&self) {
        self.end(self.product.signals().0);
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill9`](Self::kill9), with its data and port.
    pub(crate) fn start(&self) {
        let (home, program, process) = self.ours();
        let mut process = process.lock().expect("no panic holds it");
        assert!(process.is_none(), "{} is running", self.product.name());
        // After a kill, the port and the shared memory become free only when its last child process has ended.
        let child = (0..20).find_map(|_| {
            let child = run(self.product, home, program, &self.url);
            if child.is_none() {
                std::thread::sleep(Duration::from_millis(250));
            }
            child
        });
        *process = Some(child.unwrap_or_else(|| panic!("{}", exited(self.product, home))));
    }

    /// Restarts it with this certificate and key, both as PEM, or without TLS.
    pub(crate) fn restart_with_tls(&self, tls: Option<(&str, &str)>) {
        self.stop();
        let (home, _, _) = self.ours();
        match tls {
            Some((certificate, key)) => {
                home.write(CERTIFICATE, certificate);
                home.write(KEY, key);
            }
            None => {
                for name in [CERTIFICATE, KEY] {
                    let _ = std::fs::remove_file(home.path().join(name));
                }
            }
        }
        self.start();
    }

    fn named(product: &'static dyn Product, url: &str) -> Self {
        let variable = product.variable();
        let url = ServerUrl::parse(url, product.default_port()).unwrap_or_else(|| {
            panic!("{variable} is no URL such as {}", product.url(product.default_port()))
        });
        if let Err(error) = product.execute(&url.to_string(), "SELECT 1") {
            panic!("{variable} names a server that cannot be used: {error}");
        }
        Self {
            product,
            place: Place::Theirs { watchdog: Watchdog::of_databases(&product.client(&url)) },
            url,
            databases: AtomicU32::new(0),
        }
    }

    /// Starts a new server.
    pub(crate) fn launched(product: &'static dyn Product) -> Self {
        let program = |name: &str| {
            programs::find(name).unwrap_or_else(|| panic!("{}", unavailable(product, name)))
        };
        let [.., main] = product.programs() else { unreachable!("a server has a program") };
        let found: Vec<_> = product.programs().iter().copied().map(program).collect();
        let main = found.last().filter(|path| path.ends_with(main)).expect("the last").clone();

        let (_, at_once) = product.signals();
        let home = Home::of_server(product.accounts(), at_once.as_str().trim_start_matches("SIG"));
        product.initialise(&home, &program, &product.url(0));
        // Another process may take the port first.
        let started = (0..5).find_map(|_| {
            let url = product.url(free_port());
            run(product, &home, &main, &url).map(|child| (child, url))
        });
        let (child, url) = started.unwrap_or_else(|| panic!("{}", exited(product, &home)));
        Self {
            product,
            url,
            place: Place::Ours { home, program: main, process: Mutex::new(Some(child)) },
            databases: AtomicU32::new(0),
        }
    }

    fn ours(&self) -> (&Home, &Path, &Mutex<Option<Child>>) {
        match &self.place {
            Place::Ours { home, program, process } => (home, program, process),
            Place::Theirs { .. } => panic!(
                "this test needs a {} of its own: unset {}",
                self.product.name(),
                self.product.variable()
            ),
        }
    }

    fn end(&self, signal: Signal) {
        let (home, _, process) = self.ours();
        let mut process = process.lock().expect("no panic holds it");
        let mut child =
            process.take().unwrap_or_else(|| panic!("{} is not running", self.product.name()));
        signal_to(&child, signal);
        let deadline = Instant::now() + LIMIT;
        while child.try_wait().expect("our child").is_none() {
            if Instant::now() > deadline {
                signal_to(&child, Signal::SIGKILL);
                panic!("{} does not end on {signal}.\n{}", self.product.name(), log_of(home));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // The process id may be reused soon.
        let _ = std::fs::remove_file(home.path().join("pid"));
    }

    /// A number that keeps the databases of concurrent test runs on one server apart.
    fn nonce(&self) -> u128 {
        static NONCE: OnceLock<u128> = OnceLock::new();
        *NONCE.get_or_init(|| std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis()))
    }
}

/// Starts the server's program and waits until it accepts a client; `None` if the process ends first.
fn run(product: &dyn Product, home: &Home, program: &Path, url: &ServerUrl) -> Option<Child> {
    let log = home.log();
    // `exec` replaces the shell by the server, so the process id that the shell writes is the server's. If the folder
    // is gone, the test binary has ended, and nothing is started.
    let mut child = home
        .command(Path::new("/bin/sh"))
        .args(["-c", "echo $$ > pid && exec \"$@\"", "server"])
        .arg(program)
        .args(product.arguments(home.path(), url))
        .envs(product.environment(home.path()))
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
        let Err(error) = product.execute(&url.to_string(), "SELECT 1") else {
            // The one that answered might be another server with the same port and password.
            return child.try_wait().expect("our child").is_none().then_some(child);
        };
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "{} did not come up within {LIMIT:?}: {error}\n{}",
                product.name(),
                log_of(home)
            );
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

pub(crate) trait ProcessGroup {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl ProcessGroup for Command {
    /// Ctrl-C in a terminal is sent to the whole process group. The server must not get it: the tests stop the server.
    fn process_group_of_its_own(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}

pub(crate) fn signal_to(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    kill(pid, signal).expect("it has not been waited for");
}

/// A port below the ephemeral range of the system, so that no outgoing connection takes it while a server is
/// restarted.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 397).unwrap_or_default() * 25;
    (0..1000)
        .map(|_| 20_000 + (spread + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// Runs a program to its end.
pub(crate) fn complete(mut command: Command) {
    let shown = format!("{:?}", command.get_program());
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{shown}: {error}"));
    if !output.status.success() {
        let mut text = format!("{shown} failed with {}", output.status);
        for part in [&output.stdout, &output.stderr] {
            let _ = write!(text, "\n{}", String::from_utf8_lossy(part));
        }
        panic!("{text}");
    }
}

/// Runs a future to its end. Works inside a runtime too.
pub(crate) fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let run = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(future)
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("no panic"))
}

fn unavailable(product: &dyn Product, missing: &str) -> String {
    format!(
        "this test needs {name}, and `{missing}` is not installed.\n\
         Run ./tests/run.sh, which installs it where it can; or `apt-get install {package}`; \
         or set {variable} to the URL of a running server, such as {url}",
        name = product.name(),
        package = product.package(),
        variable = product.variable(),
        url = product.url(product.default_port()),
    )
}

fn exited(product: &dyn Product, home: &Home) -> String {
    format!("{} ended as soon as it was started.\n{}", product.name(), log_of(home))
}

/// The end of the server's log. The whole would be long, as each failed login attempt adds a line.
pub(crate) fn log_of(home: &Home) -> String {
    let log = std::fs::read(home.path().join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    let end = &lines[lines.len().saturating_sub(40)..];
    format!("Its log ends with:\n{}", end.join("\n"))
}
