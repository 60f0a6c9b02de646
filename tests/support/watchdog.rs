//! Ends what a test binary started, once that binary is gone.
//!
//! Rust drops no statics at exit, and a process that is killed drops nothing. But when a process ends,
//! by whatever cause, the kernel closes its pipes: the watchdog is a shell that reads a pipe which only
//! the test process can write to, and cleans up when it reads the end.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Alive for as long as this value is.
pub(crate) struct Watchdog(Mutex<Child>);

/// `$1` is the folder, `$2` the signal that ends a server at once. The server writes its own process
/// id to the file `pid` before it does anything else, so there is no moment at which it runs unknown.
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

/// Each line is the name of a database to drop; the arguments are a client, to which a statement is added.
const DATABASES: &str = r#"
trap '' HUP INT TERM
names=
while read -r name; do names="$names $name"; done
for name in $names; do "$@" "DROP DATABASE IF EXISTS $name"; done
"#;

impl Watchdog {
    /// Over a folder and the server in it, if there is one.
    pub(crate) fn of_folder(folder: &Path, signal: &str) -> Self {
        let mut shell = shell(SERVER);
        shell.arg(folder).arg(signal);
        Self::run(shell)
    }

    /// Over the databases made on a server that is not ours. The client has what it needs to log in.
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

    /// Has the watchdog drop this database too.
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
    /// Waits until everything is cleaned up.
    fn drop(&mut self) {
        let child = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Closes the pipe first.
        let _ = child.wait();
    }
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "watchdog"])
        .stdin(Stdio::piped())
        // Whoever reads the output of the test binary waits until nobody can write to it any more.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // Not ended together with the test binary, by Ctrl-C or a kill of its process group.
        .process_group(0);
    shell
}
