//! Colours of words on a terminal, and whether there may be any.

use std::env;
use std::ffi::OsStr;
use std::fmt;

/// The colour of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    #[cfg(feature = "cli")]
    Good,
    Warning,
    Bad,
    Plain,
}

impl Tone {
    /// A text in this colour, or as it is.
    pub(crate) fn paint<T: fmt::Display>(self, text: T, has_colours: bool) -> Painted<T> {
        Painted { tone: if has_colours { self } else { Self::Plain }, text }
    }
}

pub(crate) struct Painted<T> {
    tone: Tone,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = match self.tone {
            #[cfg(feature = "cli")]
            Tone::Good => "\u{1b}[32m",
            Tone::Warning => "\u{1b}[33m",
            Tone::Bad => "\u{1b}[1;31m",
            Tone::Plain => return self.text.fmt(f),
        };
        write!(f, "{start}{}\u{1b}[0m", self.text)
    }
}

/// The wishes about colours in the environment of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColourWishes {
    /// `NO_COLOR` is not set.
    pub(crate) is_wanted: bool,
    /// The terminal can do more than show letters.
    pub(crate) is_capable: bool,
}

impl ColourWishes {
    pub(crate) fn of_process() -> Self {
        Self::new(env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref())
    }

    fn new(no_color: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        Self {
            // https://no-color.org: any value that is not empty turns colours off.
            is_wanted: no_color.is_none_or(OsStr::is_empty),
            is_capable: term.is_none_or(|term| term != "dumb"),
        }
    }

    /// Whether a stream has colours.
    pub(crate) fn allow(self, is_terminal: bool) -> bool {
        self.is_wanted && self.is_capable && is_terminal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_can_and_people_who_want() {
        let allow = |is_terminal, no_color: Option<&str>, term: Option<&str>| {
            ColourWishes::new(no_color.map(OsStr::new), term.map(OsStr::new)).allow(is_terminal)
        };
        assert!(allow(true, None, Some("xterm")));
        assert!(allow(true, None, None));
        assert!(allow(true, Some(""), Some("xterm")), "an empty NO_COLOR is none");
        assert!(!allow(false, None, Some("xterm")), "a pipe");
        assert!(!allow(true, Some("1"), Some("xterm")));
        assert!(!allow(true, None, Some("dumb")));
    }

    #[test]
    fn plain_text_has_no_escapes() {
        assert_eq!(Tone::Bad.paint("down", false).to_string(), "down");
        assert_eq!(Tone::Plain.paint("down", true).to_string(), "down");
        assert_eq!(Tone::Bad.paint("down", true).to_string(), "\u{1b}[1;31mdown\u{1b}[0m");
    }
}
