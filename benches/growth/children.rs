//! The processes of the subjects, as the parent sees them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::plan::Backend;
use crate::process::ticks;

/// After how long without an answer a subject is given up. The longest answer is that to `open`.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running subject. Dropping it ends the process.
pub(crate) struct SubjectProcess {
    pub(crate) name: &'static str,
    process: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    idle: Idle,
}

/// The processor time that a subject takes while it has no turn.
struct Idle {
    since: Instant,
    ticks: u64,
    time: Duration,
    used: u64,
}

impl SubjectProcess {
    /// Starts this program again, as the subject.
    pub(crate) fn start(backend: Backend, name: &'static str) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let mut process = Command::new(program)
            .args(["--subject", backend.word(), name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let input = process.stdin.take().expect("a pipe");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, answers) = mpsc::channel();
        // Reads in a thread, as a pipe has no time limit.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let idle = Idle { since: Instant::now(), ticks: 0, time: Duration::ZERO, used: 0 };
        Self { name, process, input, answers, idle }
    }

    /// Writes a line. Other subjects may be asked before the answer is read.
    pub(crate) fn ask(&mut self, line: &str) {
        writeln!(self.input, "{line}")
            .unwrap_or_else(|error| panic!("{} ended: {error}", self.name));
    }

    /// Waits for the numbers of the answer.
    pub(crate) fn answer<const N: usize>(&mut self) -> [u64; N] {
        let line = self.answers.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|error| panic!("{} does not answer: {error}", self.name));
        let numbers: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
        let numbers = numbers.unwrap_or_else(|_| panic!("{} answers `{line}`", self.name));
        numbers.try_into().unwrap_or_else(|_| panic!("{} answers `{line}`", self.name))
    }

    /// Writes a line and waits for the answer.
    pub(crate) fn call<const N: usize>(&mut self, line: &str) -> [u64; N] {
        self.ask(line);
        self.answer()
    }

    /// The nanoseconds per operation of a turn. The time since the last one counts as idle.
    pub(crate) fn turn(&mut self, line: &str) -> f64 {
        let process = self.process.id();
        self.idle.time += self.idle.since.elapsed();
        self.idle.used += ticks(process) - self.idle.ticks;
        let [operations, nanoseconds] = self.call(line);
        self.rest();
        nanoseconds as f64 / operations as f64
    }

    /// How many files it has open whose names end so. SQLite opens the file of a database once for each connection.
    pub(crate) fn open_files(&self, ending: &str) -> u64 {
        let folder = format!("/proc/{}/fd", self.process.id());
        let files = std::fs::read_dir(folder).expect("it runs").filter_map(Result::ok);
        let names = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        names.filter(|name| name.to_string_lossy().ends_with(ending)).count() as u64
    }

    /// The idle time begins.
    pub(crate) fn rest(&mut self) {
        self.idle.since = Instant::now();
        self.idle.ticks = ticks(self.process.id());
    }

    /// The share of a processor that it has used while it had no turn.
    pub(crate) fn idle_share(&self) -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0;

        self.idle.used as f64 / TICKS_PER_SECOND / self.idle.time.as_secs_f64().max(0.01)
    }
}

impl Drop for SubjectProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
