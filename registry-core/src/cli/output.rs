//! What a command prints: results on standard output, progress and errors on standard error.

use std::fmt::{Arguments, Display};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::exit::{Exit, Failure, chain};
use crate::tone::ColourWishes;
pub(super) use crate::tone::Tone;

/// The streams of a command. Clones write to the same streams.
#[derive(Clone)]
pub(super) struct Output {
    streams: Arc<Mutex<Streams>>,
    pub(super) is_json: bool,
    /// Whether progress may be drawn on standard error, which is a terminal.
    pub(super) has_bars: bool,
    has_colours: Colours,
}

struct Streams {
    results: Box<dyn Write + Send>,
    messages: Box<dyn Write + Send>,
    /// What is drawn at the bottom of the terminal, below all lines.
    bar: Option<ProgressBar>,
    /// Why standard output takes no more.
    broken: Option<io::Error>,
}

#[derive(Debug, Clone, Copy)]
struct Colours {
    results: bool,
    messages: bool,
}

impl Output {
    /// The streams of this process.
    pub(super) fn of_process(is_json: bool) -> Self {
        let wishes = ColourWishes::of_process();
        let has_terminal = io::stderr().is_terminal();
        let streams = Streams {
            results: Box::new(io::stdout()),
            messages: Box::new(io::stderr()),
            bar: None,
            broken: None,
        };
        Self {
            streams: Arc::new(Mutex::new(streams)),
            is_json,
            has_bars: has_terminal && wishes.is_capable && !is_json,
            has_colours: Colours {
                results: wishes.allow(io::stdout().is_terminal()),
                messages: wishes.allow(has_terminal),
            },
        }
    }

    /// Prints a line, or several, of the result.
    pub(super) fn result(&self, text: impl Display) {
        self.write(format_args!("{text}\n"));
    }

    /// Prints a document of JSON on a line of its own.
    pub(super) fn json(&self, document: &impl Serialize) {
        match serde_json::to_string(document) {
            Ok(text) => self.result(text),
            Err(error) => self.lock().broken = Some(error.into()),
        }
    }

    /// Prints a message about what is done, unless a program reads the output.
    pub(super) fn progress(&self, text: impl Display) {
        if !self.is_json {
            self.message(text);
        }
    }

    /// Prints a message that is neither result nor error.
    pub(super) fn message(&self, text: impl Display) {
        self.lock().write_message(format_args!("{text}\n"));
    }

    /// Asks for a line on the terminal, and leaves the cursor behind the question.
    pub(super) fn question(&self, text: impl Display) {
        self.lock().write_message(format_args!("{text} "));
    }

    pub(super) fn warning(&self, text: impl Display) {
        let word = Tone::Warning.paint("warning", self.has_colours.messages);
        self.message(format_args!("{word}: {text}"));
    }

    /// Prints an error and its causes on standard error, and as a document if a program reads the output.
    pub(super) fn failure(&self, failure: &Failure) {
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

    pub(super) fn error(&self, messages: &[String]) {
        let word = Tone::Bad.paint("error", self.has_colours.messages);
        for (at, message) in messages.iter().enumerate() {
            match at {
                0 => self.message(format_args!("{word}: {message}")),
                _ => self.message(format_args!("  because: {message}")),
            }
        }
    }

    /// A word of a result in its colour, padded to `width`.
    pub(super) fn toned(&self, tone: Tone, word: &str, width: usize) -> String {
        let padding = width.saturating_sub(word.chars().count());
        format!("{}{:padding$}", tone.paint(word, self.has_colours.results), "")
    }

    /// Draws at the bottom of a terminal what is being done, until the guard is dropped. Elsewhere, nothing is drawn.
    pub(super) fn spinner(&self, message: impl Into<String>) -> Spinner<'_> {
        if self.has_bars {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A template that is not valid is a mistake in this file.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.set_message(message.into());
            bar.enable_steady_tick(Duration::from_millis(100));
            self.lock().bar = Some(bar);
        }
        Spinner(self)
    }

    /// Changes what is drawn.
    pub(super) fn set_spinner(&self, message: impl Into<String>) {
        if let Some(bar) = &self.lock().bar {
            bar.set_message(message.into());
        }
    }

    /// Whether the reader of standard output is gone (`| head`), so that nothing more needs to be found out for it.
    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().broken.is_some()
    }

    /// The exit code of a command whose result may not have been written.
    pub(super) fn finish(&self, exit: Exit) -> Exit {
        let broken = {
            let mut streams = self.lock();
            let flushed = streams.results.flush();
            streams.broken.take().or(flushed.err())
        };
        match broken {
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

    fn write(&self, text: Arguments<'_>) {
        self.lock().write_result(text);
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn write_result(&mut self, text: Arguments<'_>) {
        // What is being done goes on, whether or not somebody reads about it.
        if self.broken.is_none() {
            let results = &mut self.results;
            let mut written = || results.write_fmt(text);
            self.broken = match &self.bar {
                Some(bar) => bar.suspend(written).err(),
                None => written().err(),
            };
        }
    }

    fn write_message(&mut self, text: Arguments<'_>) {
        let messages = &mut self.messages;
        let mut written = || messages.write_fmt(text).and_then(|()| messages.flush());
        // Standard error is the place for problems, and has no place for problems of its own.
        let _ = match &self.bar {
            Some(bar) => bar.suspend(written),
            None => written(),
        };
    }
}

/// What is drawn as long as this guard lives.
pub(super) struct Spinner<'o>(&'o Output);

impl Drop for Spinner<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.0.lock().bar.take() {
            bar.finish_and_clear();
        }
    }
}
