//! A replica by a name that has several addresses, and other ones later.
//!
//! The name is in a copy of `/etc/hosts` that only an inner process sees, in a mount namespace.

use std::process::Command;

use registry_core::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;

use super::rig::{bind, prepare, read};
use crate::support::fresh_folder;
use crate::support::proxy::soon;

const NAME: &str = "replicas.test";
/// The URL of the primary, that of the replica by its name, the ports of the two servers behind the name, and the file
/// with its addresses.
const INNER: &str = "REGISTRY_TEST_INNER_NAMES";

/// Two addresses of the loopback interface, on Linux.
const FIRST: &str = "127.0.0.11";
const SECOND: &str = "127.0.0.12";

fn write_hosts(path: &str, addresses: &[&str]) {
    let lines = addresses.iter().map(|address| format!("{address} {NAME}\n"));
    std::fs::write(path, format!("127.0.0.1 localhost\n{}", lines.collect::<String>()))
        .expect("a file");
}

/// Does nothing when it is run directly: the test below runs it in an inner process that knows the name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inner_process_reads_by_a_name_with_several_addresses() {
    let Ok(inner) = std::env::var(INNER) else { return };
    let [primary, replica, first, second, hosts] = &inner.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{inner}")
    };
    let settings = bind(primary).max_lag(None).replica(*replica);
    let registry = Registry::builder().bind("default", settings).build().expect("good settings");
    let reader = registry.reader();
    for (addresses, expected) in [
        (&[FIRST][..], &[*first][..]),
        (&[FIRST, SECOND], &[*first, *second]),
        (&[SECOND], &[*second]),
    ] {
        write_hosts(hosts, addresses);
        soon(async {
            loop {
                let mut found = Vec::new();
                for _ in 0..24 {
                    found.push(read(&reader, 0).await.expect("a server answers").port);
                }
                if found.iter().all(|port| expected.contains(&port.as_str()))
                    && expected.iter().all(|port| found.iter().any(|other| other == port))
                {
                    break;
                }
            }
        })
        .await;
    }
    println!("\nread from all");
}

/// Passes connections to an address on to a port of this machine.
fn relay(listener: TcpListener, port: u16) {
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_address_of_a_name_is_a_replica_as_long_as_the_name_has_it() {
    let (cluster, url) = prepare(2).await;
    let [first, second] = [1, 2].map(|number| cluster.node(number));
    let listener = TcpListener::bind((FIRST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    relay(listener, first.port());
    relay(TcpListener::bind((SECOND, port)).await.expect("the same port"), second.port());

    let hosts = fresh_folder().join("hosts").display().to_string();
    write_hosts(&hosts, &[FIRST]);
    let old = format!("127.0.0.1:{}", cluster.node(0).port());
    let by_name = url.replacen(&old, &format!("{NAME}:{port}"), 1);
    let [first, second] = [first, second].map(|node| node.server().port());
    let inner = format!("{url} {by_name} {first} {second} {hosts}");
    let (_, module) = module_path!().split_once("::").expect("in a crate");
    let test = format!("{module}::inner_process_reads_by_a_name_with_several_addresses");
    let output = spawn_blocking(move || {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg("mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"")
            .arg("sh")
            .arg(hosts)
            .arg(std::env::current_exe().expect("this test binary"))
            .args([test.as_str(), "--exact", "--nocapture"])
            .env(INNER, inner)
            .output()
            .expect("`unshare`, of util-linux")
    });
    let output = output.await.expect("no panic");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("\nread from all"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
