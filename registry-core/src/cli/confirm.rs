//! Questions that a person answers on the terminal.

use std::io::{self, IsTerminal};

use super::output::Output;

/// Whether a person can be asked: both ends of the conversation are a terminal.
pub(super) fn has_person() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The line that the person types, without its end. `None` at the end of the input.
pub(super) fn ask(output: &Output, question: &str) -> io::Result<Option<String>> {
    output.question(question);
    let mut line = String::new();
    // Blocks the thread: nothing else goes on meanwhile, and Ctrl-C ends the process as ever.
    if io::stdin().read_line(&mut line)? == 0 {
        output.message("");
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}
