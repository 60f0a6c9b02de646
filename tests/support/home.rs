//! A temporary folder with a watchdog.

use std::path::{Path, PathBuf};

use super::account::Account;
use super::watchdog::Watchdog;

/// A folder that the watchdog removes after the test binary has ended, together with the server in it.
pub(crate) struct Home {
    path: PathBuf,
    account: Account,
    _watchdog: Watchdog,
}

impl Home {
    /// A folder for plain files.
    pub(crate) fn of_files() -> Self {
        Self::new(Account::find(&["root"]), "TERM")
    }

    /// A folder for a server that runs as one of `accounts` if the tests run as root, and stops immediately on
    /// `signal`.
    pub(crate) fn of_server(accounts: &[&str], signal: &str) -> Self {
        Self::new(Account::find(accounts), signal)
    }

    fn new(account: Account, signal: &str) -> Self {
        // Not the folder in `TMPDIR`: the path of a Unix socket is limited to about 100 bytes, and the account that
        // the server runs as may not enter a temporary folder of root's.
        let path = tempfile::Builder::new()
            .prefix("registry-")
            .tempdir_in("/tmp")
            .expect("/tmp can be written to")
            .keep();
        let watchdog = Watchdog::of_folder(&path, signal);
        account.own(&path);
        Self { path, account, _watchdog: watchdog }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only its owner may read, which servers require of private keys.
    pub(crate) fn write(&self, name: &str, content: &str) {
        use std::os::unix::fs::PermissionsExt;

        let path = self.path.join(name);
        std::fs::write(&path, content).expect("a file of the server's");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("our file");
        self.account.own(&path);
    }

    /// The log file of the server, to append to.
    pub(crate) fn log(&self) -> std::fs::File {
        let mut options = std::fs::File::options();
        options.append(true).create(true).open(self.path.join("log")).expect("a log")
    }

    /// A command that runs in this folder, as its owner.
    pub(crate) fn command(&self, program: &Path) -> std::process::Command {
        let mut command = self.account.command(program);
        command.current_dir(&self.path);
        command
    }
}
