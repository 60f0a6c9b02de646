//! A program with its settings, and how it is run.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::support;
use crate::transcript::Transcript;

/// Waits for what is due at once; the limit only ends a test that would hang.
const LIMIT: Duration = Duration::from_secs(60);

/// One of the programs with its own settings, in a folder of its own.
pub(crate) struct Program {
    path: PathBuf,
    pub(crate) folder: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Program {
    /// The example `name`, with these settings. `FOLDER` in them is a folder of its own.
    pub(crate) fn new(name: &str, settings: &str) -> Self {
        let folder = support::fresh_folder();
        let file = folder.join("settings.toml");
        let settings = settings.replace("FOLDER", &folder.display().to_string());
        std::fs::write(&file, settings).expect("the settings");
        let arguments = vec!["--settings".to_owned(), file.display().to_string()];
        let path = support::examples::example(name);
        Self { path, folder, arguments, variables: Vec::new() }
    }

    /// Two files and a file for each tenant, by `examples/manage.rs`.
    pub(crate) fn on_sqlite() -> Self {
        Self::new(
            "manage",
            r#"
            [database]
            url = "sqlite://FOLDER/main.db"
            [database.binds]
            analytics = "sqlite://FOLDER/analytics.db"
            bookings = "sqlite://FOLDER/bookings-{tenant}.db"
            "#,
        )
    }

    /// A test of this binary, run alone, with a variable by which it knows that.
    pub(crate) fn inner_test(name: &str, variable: &str) -> Self {
        let path = std::env::current_exe().expect("this test binary");
        let arguments = [name, "--exact", "--nocapture"].map(str::to_owned).into();
        let variables = vec![(variable.to_owned(), "1".to_owned())];
        Self { path, folder: support::fresh_folder(), arguments, variables }
    }

    pub(crate) fn argument(&mut self, argument: &str) {
        self.arguments.push(argument.to_owned());
    }

    pub(crate) fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn configure(&self, command: &mut Command) {
        for name in ["DATABASE_URL", "ANALYTICS_DATABASE_URL", "NO_COLOR", "PAGER"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm").envs(self.variables.iter().cloned());
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).args(arguments);
        self.configure(&mut command);
        command
    }

    /// Runs it with its output in pipes, and nothing to read.
    pub(crate) fn pipe(&self, arguments: &[&str]) -> Printed {
        let mut command = self.command(arguments);
        let output = command.stdin(Stdio::null()).output().expect("it was built");
        Printed {
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
            code: output.status.code().expect("it was not killed"),
        }
    }

    /// Starts it in a terminal of its own, which it controls.
    pub(crate) fn terminal(&self, arguments: &[&str]) -> Terminal {
        // `setsid` has Ctrl-C, when it is typed, go to the program.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(&self.path).args(&self.arguments).args(arguments);
        self.configure(&mut command);
        Terminal::open(command)
    }

    /// Runs it in pipes, and adds it to the transcript.
    pub(crate) fn shows(&self, transcript: &mut Transcript, arguments: &[&str]) {
        let printed = self.pipe(arguments);
        transcript.command(arguments);
        transcript.stream("", &printed.stdout);
        transcript.stream("stderr", &printed.stderr);
        transcript.exit_code(printed.code);
    }

    /// Runs it in a terminal, types the answer to each question, and adds it to the transcript.
    pub(crate) fn shows_in_terminal(
        &self,
        transcript: &mut Transcript,
        arguments: &[&str],
        answers: &[(&str, &str)],
    ) {
        let mut terminal = self.terminal(arguments);
        for (question, answer) in answers {
            terminal.wait_for(question);
            terminal.type_in(answer);
        }
        let (screen, code) = terminal.end();
        transcript.command(arguments);
        transcript.stream("", &screen);
        transcript.exit_code(code);
    }
}

/// What a program has printed in pipes, and its exit code.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Printed {
    /// The documents of JSON on standard output, one a line.
    pub(crate) fn documents(&self) -> Vec<serde_json::Value> {
        let parsed =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parsed).collect()
    }
}

/// A program in a terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    written: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

const ROWS: u16 = 60;
const COLUMNS: u16 = 150;

impl Terminal {
    fn open(mut command: Command) -> Self {
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("a terminal");
        let stdio = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().expect("setsid, of util-linux");
        // Held by the command too, and the terminal only ends when nobody holds it.
        drop(command);
        drop::<OwnedFd>(pty.slave);
        let keyboard = File::from(pty.master);
        let mut screen = keyboard.try_clone().expect("a descriptor");
        let written = Arc::new(Mutex::new(Vec::new()));
        let writes = Arc::clone(&written);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Fails when the last program in the terminal has ended.
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                writes.lock().expect("no panic").extend_from_slice(&buffer[..length]);
            }
        });
        Self { child, keyboard, written, reader: Some(reader) }
    }

    /// All bytes that were written to the terminal.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("no panic")).into_owned()
    }

    /// Waits until a text was written.
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_until(text, || self.written().contains(text));
    }

    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !condition() {
            assert!(Instant::now() < deadline, "no {what:?} in: {}", self.written());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("a terminal");
    }

    /// `setsid`, whose child the program is.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The program itself.
    pub(crate) fn program(&self) -> u32 {
        let children = children_of(self.child.id());
        // `setsid` becomes the program itself, unless it led a group of processes.
        children.into_iter().find(|child| is_named(*child, "manage")).unwrap_or(self.child.id())
    }

    /// Waits for the end of the program. Returns what is on the screen then, and the exit code.
    pub(crate) fn end(mut self) -> (String, i32) {
        let status = self.child.wait().expect("our child");
        self.reader.take().expect("it is joined once").join().expect("no panic");
        let screen = shown(&self.written.lock().expect("no panic"));
        (screen, status.code().expect("it was not killed"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only if the test has failed: `end` has waited for it.
        if self.reader.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The screen of a terminal after these bytes. What is coloured is in brackets, with the name of its colour.
fn shown(written: &[u8]) -> String {
    let mut parser = vt100::Parser::new(ROWS, COLUMNS, 0);
    parser.process(written);
    let screen = parser.screen();
    let mut rows = Vec::new();
    for row in 0..ROWS {
        let mut text = String::new();
        let mut colour = None;
        for column in 0..COLUMNS {
            let Some(cell) = screen.cell(row, column) else { continue };
            let here = match cell.fgcolor() {
                vt100::Color::Idx(1) => Some("red"),
                vt100::Color::Idx(2) => Some("green"),
                vt100::Color::Idx(3) => Some("yellow"),
                vt100::Color::Default => None,
                _ => Some("other"),
            };
            if here != colour {
                if colour.is_some() {
                    text.push(']');
                }
                if let Some(name) = here {
                    text.push_str(&format!("[{name} "));
                }
                colour = here;
            }
            text.push_str(if cell.has_contents() { cell.contents() } else { " " });
        }
        rows.push(text.trim_end().to_owned());
    }
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// The arguments of a process and of its children.
pub(crate) fn arguments_of(process: u32) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![process];
    while let Some(process) = waiting.pop() {
        let folder = Path::new("/proc").join(process.to_string());
        if let Ok(arguments) = std::fs::read(folder.join("cmdline")) {
            found.push(String::from_utf8_lossy(&arguments).replace('\0', " "));
        }
        waiting.extend(children_of(process));
    }
    found
}

fn children_of(process: u32) -> Vec<u32> {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(children).unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn is_named(process: u32, name: &str) -> bool {
    let arguments = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
    arguments.split('\0').next().is_some_and(|program| program.contains(name))
}
