//! A host name with two addresses, of which the first accepts connections and never answers.
//!
//! The name is in a copy of `/etc/hosts` that only an inner process sees, in a mount namespace.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use registry_core::{Backend, BindSettings, Mysql, Postgres, Registry};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Server, fresh_folder, mariadb, postgres};

const URL: &str = "REGISTRY_TEST_INNER_ADDRESSES";
const NAME: &str = "two-addresses.test";
const CONNECT: Duration = Duration::from_secs(4);

/// Does nothing when it is run directly: the tests below run it in an inner process that knows the name.
#[tokio::test]
async fn inner_process_acquires_by_a_name_with_two_addresses() {
    let Ok(url) = std::env::var(URL) else { return };
    match url.starts_with("mysql") {
        true => acquires::<Mysql>(&url).await,
        false => acquires::<Postgres>(&url).await,
    }
}

async fn acquires<C: Backend>(url: &str) {
    let bind = BindSettings::new(url).connect_timeout(CONNECT).acquire_timeout(CONNECT * 2);
    let registry = Registry::builder().bind("default", bind).build().expect("good settings");
    let acquire = || registry.session_by_key::<C>("default");
    let one = acquire().await.expect("a session by the second address");
    let started = Instant::now();
    let two = acquire().await.expect("a session by the second address");
    assert!(started.elapsed() < CONNECT / 2, "the first one was waited for again");
    drop((one, two));
    println!("\nseen both");
}

/// The name resolves to `127.0.0.1`, where a listener accepts and sends nothing, and then to `127.0.0.2`, which leads
/// to the server. On Linux, both are addresses of the loopback interface.
async fn assert_second_address_is_reached(server: &Server) {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(client) = silent.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            held.push(client);
        }
    });
    let behind = TcpListener::bind(("127.0.0.2", port)).await.expect("the same port");
    let target = ("127.0.0.1", server.port());
    let passing = tokio::spawn(async move {
        while let Ok((mut client, _)) = behind.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    let hosts = fresh_folder().join("hosts");
    let lines = format!("127.0.0.1 {NAME} localhost\n127.0.0.2 {NAME}\n");
    std::fs::write(&hosts, lines).expect("a file");
    let url = server.database("addresses");
    let direct = format!("127.0.0.1:{}", server.port());
    let url = url.replacen(&direct, &format!("{NAME}:{port}"), 1);
    let output = tokio::task::spawn_blocking(move || {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg("mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"")
            .arg("sh")
            .arg(hosts)
            .arg(std::env::current_exe().expect("this test binary"))
            .args([
                "addresses::inner_process_acquires_by_a_name_with_two_addresses",
                "--exact",
                "--nocapture",
            ])
            .env(URL, url)
            .output()
            .expect("it can be run")
    });
    let output = output.await.expect("no panic");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("seen both"), "{output:?}");
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "it is tried first, and then last");
    accepting.abort();
    passing.abort();
}

#[tokio::test]
async fn postgresql_address_without_an_answer_leaves_time_for_the_next() {
    assert_second_address_is_reached(postgres()).await;
}

#[tokio::test]
async fn mariadb_address_without_an_answer_leaves_time_for_the_next() {
    assert_second_address_is_reached(mariadb()).await;
}
