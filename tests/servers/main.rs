//! The temporary servers of the tests: starting, stopping and cleaning up.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection, AsyncMysqlConnection, AsyncPgConnection};

#[path = "../support/mount.rs"]
mod mount;
#[path = "../support/mod.rs"]
mod support;

mount::mount!(databases);

#[tokio::test]
async fn postgres_refuses_a_wrong_password() {
    let url = support::postgres().url_with_password("wrong");
    let error = AsyncPgConnection::establish(&url).await.err().expect("it must not let us in");
    let error = error.to_string();
    assert!(error.contains("password authentication failed"), "{error}");
}

#[tokio::test]
async fn mariadb_refuses_a_wrong_password() {
    let url = support::mariadb().url_with_password("wrong");
    let error = AsyncMysqlConnection::establish(&url).await.err().expect("it must not let us in");
    let error = error.to_string();
    assert!(error.contains("Access denied for user"), "{error}");
}

/// Run in an inner process, as the other tests of this binary use its server.
fn stops_and_starts(server: &support::Server) {
    for end in [support::Server::kill9, support::Server::stop] {
        let (port, pid) = (server.port(), server.pid());
        end(server);
        assert_eq!(server.pid(), None);
        TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens any more");
        server.start();
        assert_ne!(server.pid(), pid);
        server.database("after");
    }
}

/// An inner process and the servers that it reports, as their ports and folders.
struct Started {
    process: Child,
    servers: Vec<(u16, String)>,
    /// Kept open so that the process can continue to write.
    _output: BufReader<ChildStdout>,
}

/// The test that is run in an inner process, and the variable that says how the process ends.
const INNER: &str = "inner_process_starts_servers";
const POSTGRES: &str = "REGISTRY_TEST_POSTGRES_URL";
const MYSQL: &str = "REGISTRY_TEST_MYSQL_URL";
const END: &str = "REGISTRY_TEST_INNER_END";

/// Does nothing when it is run directly: the tests below run it in an inner process and watch its servers.
#[test]
fn inner_process_starts_servers() {
    let Ok(end) = std::env::var(END) else { return };
    let servers = [support::postgres(), support::mariadb()];
    for server in servers.into_iter().filter(|server| server.is_ours()) {
        if end == "restart" {
            stops_and_starts(server);
        }
        println!("server {} {}", server.port(), server.folder().display());
    }
    println!("end");
    match end.as_str() {
        "panic" => panic!("as asked"),
        "sleep" => std::thread::sleep(Duration::from_secs(60)),
        _ => {}
    }
}

fn start(end: &str) -> Started {
    let errors = support::fresh_folder().join("stderr");
    let this = std::env::current_exe().expect("this test binary");
    let mut process = Command::new(this)
        .args([INNER, "--exact", "--nocapture"])
        .env(END, end)
        .stdout(Stdio::piped())
        .stderr(File::create(&errors).expect("a file"))
        .spawn()
        .expect("it can be run");
    let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
    let servers: Vec<_> = output
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .take_while(|line| line != "end")
        .filter_map(|line| {
            // libtest prints the name of the test in front of the first line.
            let (_, line) = line.split_once("server ")?;
            let (port, folder) = line.split_once(' ')?;
            Some((port.parse().expect("a port"), folder.to_owned()))
        })
        .collect();
    // Servers that a variable names are not started here, and so not reported.
    let named = [POSTGRES, MYSQL].into_iter().filter(|name| std::env::var_os(name).is_some());
    assert_eq!(
        servers.len(),
        2 - named.count(),
        "{}",
        std::fs::read_to_string(&errors).expect("UTF-8")
    );
    Started { process, servers, _output: output }
}

fn assert_nothing_is_left(servers: &[(u16, String)]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    for (port, folder) in servers {
        while Path::new(folder).exists() || TcpStream::connect(("127.0.0.1", *port)).is_ok() {
            assert!(Instant::now() < deadline, "port {port}, {folder}: still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn killed_test_process_leaves_no_server() {
    let mut inner = start("sleep");
    for (port, folder) in &inner.servers {
        assert!(Path::new(folder).exists());
        TcpStream::connect(("127.0.0.1", *port)).expect("the server is up");
    }
    inner.process.kill().expect("it runs");
    inner.process.wait().expect("our child");
    assert_nothing_is_left(&inner.servers);
}

#[test]
fn panicking_test_process_leaves_no_server() {
    let mut inner = start("panic");
    assert!(!inner.process.wait().expect("our child").success());
    assert_nothing_is_left(&inner.servers);
}

#[test]
fn finished_test_process_leaves_no_server() {
    let mut inner = start("return");
    assert!(inner.process.wait().expect("our child").success());
    assert_nothing_is_left(&inner.servers);
}

#[test]
fn killed_or_stopped_server_starts_again() {
    let mut inner = start("restart");
    assert!(inner.process.wait().expect("our child").success());
    assert_nothing_is_left(&inner.servers);
}
