//! Cleans up after a test binary that has ended.
//!
//! Rust does not drop statics at exit, and a killed process drops nothing. But whichever way a process ends, the
//! kernel closes its pipes. The watchdog is a shell that reads from a pipe to which only the test process can
//! write, and cleans up when it reads the end of file.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// A watchdog process. Dropping the value makes it clean up.
pub(crate) struct Watchdog(Mutex<Child>);

/// `$1` is the folder, `$2` the signal for an immediate shutdown. The server writes its process id to the file `pid`
/// before it does anything else, so at no time does it run without the watchdog being able to find it.
const SERVER: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
if pid=$(cat "$1/pid"); then
    kill -s "$2" "$pid"
    tries=0
    while kill -0 "$pid" && [ "$tries" -lt 50 ]; do
        # Ended, but nobody has asked how: in a container whose first process does not, that is for good.
        case "$(ps -o stat= -p "$pid")" in Z*) break ;; esac
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -s KILL "$pid"
fi
# Twice: the last writes of a server that was killed can come between.
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"#;

/// Each line that is read is the name of a database to drop. The arguments are a command-line client, to which the
/// statement is added.
const DATABASES: &str = r#"
trap '' HUP INT TERM
names=
while read -r name; do names="$names $name"; done
for name in $names; do "$@" "DROP DATABASE IF EXISTS $name"; done
"#;

impl Watchdog {
    /// Watches over a folder and the server in it, if there is one.
    pub(crate) fn of_folder(folder: &Path, signal: &str) -> Self {
        let mut shell = shell(SERVER);
        shell.arg(folder).arg(signal);
        Self::run(shell)
    }

    /// Watches over databases on a server that was not started here. The client can log in.
    pub(crate) fn of_databases(client: &Command) -> Self {
        let mut shell = shell(DATABASES);
        shell.arg(client.get_program()).args(client.get_args());
        for (name, value) in client.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        Self::run(shell)
    }

    /// Adds a database to drop.
    pub(crate) fn drop_later(&self, database: &str) {
        let mut child = self.0.lock().expect("no panic holds it");
        let input = child.stdin.as_mut().expect("open until the drop");
        writeln!(input, "{database}").expect("the watchdog is alive");
    }

    fn run(mut shell: Command) -> Self {
        Self(Mutex::new(shell.spawn().expect("a POSIX shell")))
    }
}

impl Drop for Watchdog {
    /// Waits until the clean-up is done.
    fn drop(&mut self) {
        let child = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // `wait` closes the pipe first, which starts the clean-up.
        let _ = child.wait();
    }
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "watchdog"])
        .stdin(Stdio::piped())
        // A reader of the test binary's output waits until every process that can write to it has ended.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // In a process group of its own, so that Ctrl-C or a kill of the test binary's group does not end it.
        .process_group(0);
    shell
}
