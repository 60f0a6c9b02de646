//! Two processes with sixty-four tasks each, on four server connections.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::process::{END, INNER, MODE, SETUP, URL};
use super::rig::by_transaction;
use crate::support::{mortal_postgres, postgres};

/// An inner process that puts load on the database at `url`.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(url: &str, mode: &str) -> Self {
        let this = std::env::current_exe().expect("this test binary");
        let mut child = Command::new(this)
            .args([INNER, "--exact", "--nocapture"])
            .env(URL, url)
            .env(MODE, mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    /// Waits until it has printed `times` more reports, one for each few hundred requests.
    fn has_served(&mut self, times: usize) {
        let mut seen = 0;
        let mut line = String::new();
        while seen < times {
            line.clear();
            let read = self.output.read_line(&mut line).expect("its output");
            assert!(read > 0, "it ended before it had served its requests");
            seen += usize::from(line.contains("served"));
        }
    }

    /// Tells it that no more errors are expected.
    fn settle(&mut self) {
        let mut input = self.child.stdin.take().expect("once");
        writeln!(input, "{END}").expect("it reads");
    }

    fn finish(mut self) {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.output, &mut rest).expect("its output");
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}\n{rest}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_behind_a_pooler_get_their_own_answers() {
    let direct = postgres().database("pooled");
    postgres().execute_in(&direct, SETUP);
    let pooler = by_transaction(postgres());
    let url = pooler.url(&direct);
    tokio::task::block_in_place(|| {
        let mut both = [Process::start(&url, "strict"), Process::start(&url, "strict")];
        for process in &mut both {
            process.settle();
        }
        both.into_iter().for_each(Process::finish);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_of_pooler_and_server_causes_only_explained_errors() {
    let server = mortal_postgres().await;
    let direct = server.database("pooled");
    server.execute_in(&direct, SETUP);
    tokio::task::block_in_place(|| {
        let pooler = by_transaction(&server);
        let url = pooler.url(&direct);
        let mut both = [Process::start(&url, "tolerant"), Process::start(&url, "tolerant")];
        let mut have_served = |times| both.iter_mut().for_each(|process| process.has_served(times));
        have_served(1);
        pooler.kill9();
        pooler.start();
        have_served(2);
        server.stop();
        server.start();
        // Clients are refused until the pooler has logged in again, and earlier reports of the processes are still
        // unread.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !server.answers_at(&url) {
            assert!(std::time::Instant::now() < deadline, "the pooler does not recover");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        have_served(2);
        for process in &mut both {
            process.settle();
        }
        both.into_iter().for_each(Process::finish);
    });
}
