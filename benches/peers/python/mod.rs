//! Flask-SQLAlchemy, in a process of Python that speaks the protocol of [`child`](crate::child).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Process;

pub(crate) const NAME: &str = "flask-sqlalchemy";

/// What it does in a case, if it takes part there.
pub(crate) fn operation(case: &str) -> Option<&'static str> {
    match case {
        "lite-read-1" | "lite-read-64" => Some("find"),
        "lite-write-1" => Some("insert"),
        _ => None,
    }
}

/// A virtual environment that has it.
pub(crate) struct Python {
    program: PathBuf,
}

impl Python {
    /// Makes the environment in `target/benchmarks/venv`, or uses the one that is there.
    pub(crate) fn install() -> Self {
        let environment = crate::report::folder().join("venv");
        let program = environment.join("bin/python");
        if !program.exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
        }
        run(Command::new(&program)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(sources().join("requirements.txt")));
        Self { program }
    }

    /// A process with one subject: as many threads as there are tasks.
    pub(crate) fn process(
        &self,
        operation: &str,
        tasks: u32,
        keeps_latencies: bool,
        path: &str,
    ) -> Process {
        let mut command = Command::new(&self.program);
        command.arg(sources().join("subject.py")).args([operation, &tasks.to_string()]);
        if keeps_latencies {
            command.arg("--latencies");
        }
        Process::start(command, format!("{NAME}, {operation}"), path)
    }
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/python")
}

fn run(command: &mut Command) {
    let status = command.stdout(std::process::Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    assert!(status.success(), "{command:?} failed with {status}");
}
