//! What is measured: the parts of the benchmark, and for how long.

use std::fmt;
use std::time::Duration;

/// The connections of each pool. Two, as a thousand binds with the ten that are the default would be ten thousand
/// connections of each subject; and not one, because then a pool would never have to choose.
pub(crate) const CONNECTIONS: u32 = 2;

/// Whether a peer checks a connection each time it is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checks {
    /// By a query or a ping, as the documentation of each peer begins.
    Default,
    Never,
}

/// The numbers of tasks that run at once.
pub(crate) const TASKS: [u32; 5] = [1, 16, 64, 256, 1_024];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    pub(crate) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// The name in arguments and in the CSV file.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.word() == word)
    }

    /// The numbers of binds. A connection to PostgreSQL is a process of the server: with a thousand binds, the subjects
    /// together would have sixteen thousand of them.
    pub(crate) fn binds(self) -> &'static [u32] {
        match self {
            Self::Sqlite => &[1, 10, 100, 1_000],
            Self::Postgres => &[1, 10, 100],
        }
    }
}

/// The subjects with a number of binds of one backend. They run side by side, each in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) backend: Backend,
    pub(crate) binds: u32,
}

impl fmt::Display for Part {
    /// The name in arguments, such as `sqlite-1000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.backend.word(), self.binds)
    }
}

/// The parts whose names are given, or which are of a backend that is given; all if nothing is.
pub(crate) fn parts(wanted: &[String]) -> Vec<Part> {
    let all = Backend::ALL.into_iter();
    let all = all.flat_map(|backend| {
        backend.binds().iter().map(move |binds| Part { backend, binds: *binds })
    });
    let is_wanted = |part: &Part| {
        let is_named = |name: &String| *name == part.to_string() || name == part.backend.word();
        wanted.is_empty() || wanted.iter().any(is_named)
    };
    all.filter(is_wanted).collect()
}

/// What a task does again and again, on one bind after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Loads a row by its primary key, and acquires and returns a connection for that.
    Read,
    /// Acquires a connection and returns it.
    Acquire,
}

impl Operation {
    pub(crate) const ALL: [Self; 2] = [Self::Read, Self::Acquire];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Acquire => "acquire",
        }
    }

    /// The measure in the CSV file.
    pub(crate) fn measure(self) -> &'static str {
        match self {
            Self::Read => "read_ns",
            Self::Acquire => "acquire_ns",
        }
    }
}

/// How often and how long each subject has its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    pub(crate) rounds: usize,
    pub(crate) read: Duration,
    pub(crate) acquire: Duration,
}

impl Turns {
    pub(crate) const FULL: Self =
        Self { rounds: 7, read: Duration::from_millis(30), acquire: Duration::from_millis(12) };

    /// For a first look: too few rounds to believe a small difference.
    pub(crate) const QUICK: Self =
        Self { rounds: 2, read: Duration::from_millis(12), acquire: Duration::from_millis(6) };

    pub(crate) fn length(self, operation: Operation) -> Duration {
        match operation {
            Operation::Read => self.read,
            Operation::Acquire => self.acquire,
        }
    }
}
