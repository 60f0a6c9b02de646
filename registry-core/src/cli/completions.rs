//! `completions`: the completions of the command line for a shell.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use clap::{Command, Subcommand};
use clap_complete::Shell;

use super::command::DatabaseCommand;
use super::exit::{Exit, Failure, Outcome};

pub(super) fn run(program: Option<fn() -> Command>, shell: Shell) -> Outcome {
    let name = env::args_os().next();
    let name = name.as_deref().map(Path::new).and_then(Path::file_name).map(OsStr::to_string_lossy);
    let mut command = match program {
        Some(program) => program(),
        None => DatabaseCommand::augment_subcommands(Command::new("")),
    };
    // The completions belong to the name by which the program is called.
    let name = name.unwrap_or_else(|| command.get_name().into());
    let name = name.strip_suffix(env::consts::EXE_SUFFIX).unwrap_or(&name).to_owned();
    // clap_complete panics, and no shell could load them.
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(Failure::usage(format!(
            "there are no completions for a program that is called `{name}`: call it by a name without spaces"
        )));
    }
    let mut completions = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut completions);
    match io::Write::write_all(&mut io::stdout(), &completions) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}
