//! The account that servers run as. PostgreSQL and MariaDB refuse to run as root.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User};

/// The account to switch to where the tests run as root; `None` where they run as an ordinary user.
pub(crate) struct Account(Option<User>);

impl Account {
    /// The current user or, if that is root, the first of `names` that exists.
    pub(crate) fn find(names: &[&str]) -> Self {
        if !Uid::effective().is_root() {
            return Self(None);
        }
        let user = names
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .unwrap_or_else(|| panic!("none of the users {names:?} exists, and root cannot run a database server: run the tests as another user"));
        Self(Some(user))
    }

    /// Makes the account the owner of `path`.
    pub(crate) fn own(&self, path: &Path) {
        if let Some(user) = &self.0 {
            std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("root may give files away");
        }
    }

    /// A command that runs as this user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(user) = &self.0 {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }
}
