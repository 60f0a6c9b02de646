//! The parent's side of a subject's process.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::latency::Quantiles;

/// A child process, see [`child`](crate::child). It is ended when the value is dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What a subject has done in one turn.
pub(crate) struct Turned {
    pub(crate) operations: u64,
    pub(crate) elapsed: Duration,
    pub(crate) failures: u64,
    pub(crate) locked: u64,
}

impl Process {
    /// This program once more, for subjects of a case.
    pub(crate) fn of_subjects(case: &str, subjects: &[&str], place: &str) -> Self {
        // Even if Cargo has replaced the file since this process was started.
        let mut command = Command::new("/proc/self/exe");
        command.args(["--child", case]).args(subjects);
        Self::start(command, format!("{case} {}", subjects.join(" ")), place)
    }

    /// Runs a command, and waits until it is ready. The place is not an argument: a URL has a password.
    pub(crate) fn start(mut command: Command, name: String, place: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut process = Self { name, child, input, output };
        let answer = process.ask(place);
        assert_eq!(answer, "ready", "{}", process.name);
        process
    }

    /// Gives one of the subjects a turn.
    pub(crate) fn turn(&mut self, subject: usize, length: Duration) -> Turned {
        let answer = self.ask(&format!("turn {subject} {}", length.as_micros()));
        let numbers: Vec<u64> =
            answer.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [operations, nanos, failures, locked] = numbers[..] else {
            panic!("{}: {answer}", self.name)
        };
        Turned { operations, elapsed: Duration::from_nanos(nanos), failures, locked }
    }

    /// The time of one operation, over all turns so far.
    pub(crate) fn latency(&mut self, subject: usize) -> Option<Quantiles> {
        Quantiles::parse(&self.ask(&format!("latency {subject}")), ' ')
    }

    fn ask(&mut self, line: &str) -> String {
        let mut answer = String::new();
        let asked = writeln!(self.input, "{line}").and_then(|()| self.input.flush());
        if asked.is_err() || self.output.read_line(&mut answer).is_err() || answer.is_empty() {
            panic!("the process of {} has ended", self.name);
        }
        answer.trim_end().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
