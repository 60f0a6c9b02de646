//! What a command prints: results on standard output, progress and errors on standard error.

use std::env;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use super::exit::{Exit, Failure, chain};

/// The streams of a command.
pub(super) struct Output {
    results: Box<dyn Write + Send>,
    messages: Box<dyn Write + Send>,
    pub(super) is_json: bool,
    /// Whether progress may be drawn as bars on standard error.
    pub(super) has_bars: bool,
    has_colours: Colours,
    /// Why standard output takes no more.
    broken: Option<io::Error>,
}

#[derive(Debug, Clone, Copy)]
struct Colours {
    results: bool,
    messages: bool,
}

/// The colour of a word in a result.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tone {
    Good,
    Warning,
    Bad,
    Plain,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Plain => Style::new(),
        }
    }
}

impl Output {
    /// The streams of this process.
    pub(super) fn of_process(is_json: bool) -> Self {
        // https://no-color.org: any value that is not empty turns colours off.
        let is_wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        let has_terminal = io::stderr().is_terminal();
        Self {
            results: Box::new(io::stdout()),
            messages: Box::new(io::stderr()),
            is_json,
            has_bars: has_terminal && !is_json,
            has_colours: Colours {
                results: is_wanted && io::stdout().is_terminal(),
                messages: is_wanted && has_terminal,
            },
            broken: None,
        }
    }

    /// Prints a line, or several, of the result.
    pub(super) fn result(&mut self, text: impl Display) {
        self.write(format_args!("{text}\n"));
    }

    /// Prints a document of JSON on a line of its own.
    pub(super) fn json(&mut self, document: &impl Serialize) {
        match serde_json::to_string(document) {
            Ok(text) => self.result(text),
            Err(error) => self.broken = Some(error.into()),
        }
    }

    /// Prints a message about what is done, unless a program reads the output.
    pub(super) fn progress(&mut self, text: impl Display) {
        if !self.is_json {
            self.message(text);
        }
    }

    /// Prints a message that is neither result nor error.
    pub(super) fn message(&mut self, text: impl Display) {
        // Standard error is the place for problems, and has no place for problems of its own.
        let _ = writeln!(self.messages, "{text}");
    }

    /// Asks for a line on the terminal, and leaves the cursor behind the question.
    pub(super) fn question(&mut self, text: impl Display) {
        let _ = write!(self.messages, "{text} ");
        let _ = self.messages.flush();
    }

    pub(super) fn warning(&mut self, text: impl Display) {
        let style = self.message_style(Tone::Warning);
        self.message(format_args!("{style}warning{style:#}: {text}"));
    }

    /// Prints an error and its causes on standard error, and as a document if a program reads the output.
    pub(super) fn failure(&mut self, failure: &Failure) {
        self.error(&failure.chain());
        if self.is_json {
            #[derive(Serialize)]
            struct Document {
                error: String,
                causes: Vec<String>,
                exit_code: u8,
            }
            let mut causes = failure.chain();
            let error = causes.remove(0);
            self.json(&Document { error, causes, exit_code: failure.exit.code() });
        }
    }

    pub(super) fn error(&mut self, messages: &[String]) {
        let style = self.message_style(Tone::Bad);
        for (at, message) in messages.iter().enumerate() {
            match at {
                0 => self.message(format_args!("{style}error{style:#}: {message}")),
                _ => self.message(format_args!("  because: {message}")),
            }
        }
    }

    /// A word of a result in its colour, padded to `width`.
    pub(super) fn toned(&self, tone: Tone, word: &str, width: usize) -> String {
        let style = if self.has_colours.results { tone.style() } else { Style::new() };
        let padding = width.saturating_sub(word.chars().count());
        format!("{style}{word}{style:#}{:padding$}", "")
    }

    fn message_style(&self, tone: Tone) -> Style {
        if self.has_colours.messages { tone.style() } else { Style::new() }
    }

    /// Whether the reader of standard output is gone (`| head`), so that nothing more needs to be found out for it.
    pub(super) fn is_abandoned(&self) -> bool {
        self.broken.is_some()
    }

    /// The exit code of a command whose result may not have been written.
    pub(super) fn finish(mut self, exit: Exit) -> Exit {
        if self.broken.is_none() {
            self.broken = self.results.flush().err();
        }
        match self.broken.take() {
            // The reader has read what it wanted.
            Some(error) if error.kind() == ErrorKind::BrokenPipe => exit,
            Some(error) => {
                let mut messages = vec!["the result could not be written".to_owned()];
                messages.extend(chain(&error));
                self.error(&messages);
                Exit::Failed
            }
            None => exit,
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // What is being done goes on, whether or not somebody reads about it.
        if self.broken.is_none() {
            self.broken = self.results.write_fmt(text).err();
        }
    }
}
