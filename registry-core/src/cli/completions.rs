//! `completions`: the completions of the command line for a shell.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use clap::{Command, Subcommand};
use clap_complete::Shell;

use super::command::DatabaseCommand;
use super::exit::{Exit, Outcome};

pub(super) fn run(program: Option<fn() -> Command>, shell: Shell) -> Outcome {
    let name = env::args_os().next();
    let name = name.as_deref().map(Path::new).and_then(Path::file_stem).map(OsStr::to_string_lossy);
    let mut command = match program {
        Some(program) => program(),
        None => DatabaseCommand::augment_subcommands(Command::new("")),
    };
    // The completions belong to the name by which the program is called.
    let name = name.map_or_else(|| command.get_name().to_owned(), |name| name.into_owned());
    let mut completions = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut completions);
    match io::Write::write_all(&mut io::stdout(), &completions) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}
