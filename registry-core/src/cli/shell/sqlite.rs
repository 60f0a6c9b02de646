//! sqlite3, with what every connection of this library sets.

use std::ffi::OsString;
use std::io::{Error, ErrorKind};
use std::path::Path;

use super::{Client, Files, Wanted};
use crate::cause::DriverError;

pub(super) fn client(wanted: &Wanted<'_>) -> Result<Client, DriverError> {
    let file = wanted.url.sqlite_file();
    let Some((file, path)) = file.and_then(|file| Some((file, file.path()?))) else {
        return Err("a database in memory is visible to its own process only".into());
    };
    // sqlite3 would create it.
    if !path.try_exists()? {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("there is no database at {}: `create` or `migrate` makes it", path.display()),
        )
        .into());
    }
    let mut arguments: Vec<OsString> = Vec::new();
    if file.is_read_only() || wanted.options.read_only {
        arguments.push("-readonly".into());
    }
    let timeout = wanted.options.busy_timeout.as_millis();
    for command in [format!(".timeout {timeout}"), "PRAGMA foreign_keys = ON".to_owned()] {
        arguments.extend(["-cmd".into(), command.into()]);
    }
    // The path is absolute, so it is no option.
    arguments.push(path.into());
    Ok(Client {
        program: wanted.program.map_or_else(|| "sqlite3".into(), Path::to_owned),
        arguments,
        variables: Vec::new(),
        package: wanted.package("sqlite3"),
        files: Files::default(),
    })
}
