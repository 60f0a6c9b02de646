//! `examples/web.rs` as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::proxy::soon;
use crate::{Answer, request, support};

/// The process, which is killed at the end of the test if it has not ended.
pub(crate) struct Example {
    child: Child,
    /// Held open, as the process prints on it.
    _stdout: BufReader<ChildStdout>,
    pub(crate) address: String,
    /// Where its databases are.
    folder: PathBuf,
}

impl Example {
    /// A process that has loaded its data and serves.
    pub(crate) async fn started() -> Self {
        let folder = support::fresh_folder().join("abracadabra");
        let mut child = Command::new(support::examples::example("web"))
            .arg(support::workspace().join("examples/data"))
            .arg(&folder)
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it was built");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("UTF-8");
        let address = first.trim().trim_start_matches("http://").to_owned();
        let example = Self { child, _stdout: stdout, address, folder };
        // It listens at once, and answers when the data are loaded.
        assert_eq!(example.get("/airports/ATL").await.status, 200);
        example
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        request(&self.address, "GET", path, "").await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.child.id().try_into().expect("an id");
        kill(Pid::from_raw(process), signal).expect("our child");
    }

    /// Waits for its end. Returns its exit code, and what it has printed on standard error.
    pub(crate) async fn end(mut self) -> (Option<i32>, String) {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("our child") {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let status = soon(ended).await;
        let mut printed = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        stderr.read_to_string(&mut printed).expect("UTF-8");
        (status.code(), printed)
    }

    /// Another program's connection to the database of the routes.
    pub(crate) fn routes(&self) -> SqliteConnection {
        let file = self.folder.join("analytics.db");
        SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("it is there")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn web_example_serves_its_routes() {
    let example = Example::started().await;
    let address = &example.address;
    let mut after = String::new();
    for expected in [["00M", "00R"], ["00V", "01G"]] {
        let page = example.get(&format!("/airports?per_page=2{after}")).await;
        assert_eq!(page.status, 200);
        let page: serde_json::Value = serde_json::from_str(&page.body).expect("JSON");
        let items = page["items"].as_array().expect("a list");
        let codes: Vec<_> = items.iter().map(|one| &one["iata"]).collect();
        assert_eq!(codes, expected);
        after = format!("&after={}", page["next"].as_str().expect("more airports"));
    }

    let airport = example.get("/airports/ATL").await;
    let airport: serde_json::Value = serde_json::from_str(&airport.body).expect("JSON");
    assert_eq!(airport["airport"]["city"], "Atlanta");
    assert_eq!(airport["busiest_routes"].as_array().expect("a list").len(), 5);
    assert_eq!(example.get("/airports/NOWHERE").await.status, 404);

    let added = request(address, "PUT", "/routes/ATL/XNA", r#"{"flights": 999999}"#).await;
    assert_eq!(added.status, 204);
    let airport = example.get("/airports/ATL").await;
    let airport: serde_json::Value = serde_json::from_str(&airport.body).expect("JSON");
    assert_eq!(airport["busiest_routes"][0]["destination"], "XNA");
    let refused = request(address, "PUT", "/routes/ATL/NOWHERE", r#"{"flights": 1}"#).await;
    assert_eq!(refused.status, 422);

    let health = example.get("/health").await;
    assert_eq!(health.status, 200);
    assert_eq!(
        health.body,
        r#"{"status":"ok","binds":[{"key":"analytics","status":"ok"},{"key":"default","status":"ok"}]}"#
    );
}

#[tokio::test]
async fn health_of_the_web_example_says_down_and_not_why() {
    let example = Example::started().await;
    let mut routes = example.routes();
    routes.batch_execute("BEGIN IMMEDIATE").expect("nobody writes");
    // From now on, no connection can be opened, and those that are open still work.
    let away = example.folder.with_file_name("away");
    std::fs::rename(&example.folder, &away).expect("the same folder");
    let down = async {
        loop {
            // It holds the open connections while it waits for the lock. It fails if a check of the health was quicker.
            let request = request(&example.address, "PUT", "/routes/ATL/XNA", r#"{"flights": 1}"#);
            let health = async {
                loop {
                    let health = example.get("/health").await;
                    if health.status != 200 {
                        break health;
                    }
                }
            };
            tokio::select! {
                health = health => break health,
                _ = request => {}
            }
        }
    };
    let down = soon(down).await;
    assert_eq!(down.status, 503);
    let report: serde_json::Value = serde_json::from_str(&down.body).expect("JSON");
    assert_eq!(report["status"], "down");
    for bind in report["binds"].as_array().expect("a list") {
        let names: Vec<&String> = bind.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["key", "status"]);
    }
    for word in ["abracadabra", "sqlite:", ".db", "unable to open", "/tmp"] {
        assert!(!down.body.contains(word) && !down.head.contains(word), "{}", down.body);
    }
    routes.batch_execute("ROLLBACK").expect("it has a transaction");
    example.signal(Signal::SIGTERM);
    let (_, printed) = example.end().await;
    assert!(printed.contains("unable to open"), "the log has the reason: {printed}");
}
