//! The compared subjects: one way each to keep a pool for every bind.

use std::collections::HashMap;
use std::hint::black_box;

use crate::plan::Backend;

pub(crate) mod diesel_pools;
pub(crate) mod ours;
pub(crate) mod sqlx;
pub(crate) mod tokio_rusqlite;

/// Databases with a pool each, numbered from 0.
pub(crate) trait Subject: Clone + Send + Sync + 'static {
    /// A connection that is checked out, until it is dropped.
    type Held: Send;

    /// Acquires a connection to a database.
    fn hold(&self, bind: usize) -> impl Future<Output = Self::Held> + Send;

    /// Acquires a connection to a database, loads the row with this id, and returns the connection.
    fn read(&self, bind: usize, id: i64) -> impl Future<Output = ()> + Send;

    /// Acquires a connection to a database and returns it.
    fn acquire(&self, bind: usize) -> impl Future<Output = ()> + Send {
        async move {
            black_box(&self.hold(bind).await);
        }
    }
}

/// The names of the subjects of a backend. Ours come first.
pub(crate) fn names(backend: Backend) -> &'static [&'static str] {
    match backend {
        Backend::Sqlite => &[
            "registry",
            "registry-tenants",
            "bb8-tuned",
            "bb8",
            "deadpool-tuned",
            "deadpool",
            "sqlx-tuned",
            "sqlx",
            "tokio-rusqlite",
        ],
        Backend::Postgres => &[
            "registry",
            "registry-tenants",
            "bb8-tuned",
            "bb8",
            "deadpool-tuned",
            "deadpool",
            "sqlx-tuned",
            "sqlx",
        ],
    }
}

/// Whether a subject has pools. Without one, there is nothing to acquire.
pub(crate) fn has_pools(subject: &str) -> bool {
    subject != "tokio-rusqlite"
}

/// The URLs of the databases. Their names are `b0`, `b1` and so on.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    /// The URL with [`Urls::NAME`] in place of the name.
    pub(crate) template: String,
    pub(crate) binds: usize,
}

impl Urls {
    pub(crate) const NAME: &str = "{tenant}";

    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        (0..self.binds).map(|number| format!("b{number}"))
    }

    pub(crate) fn of(&self, name: &str) -> String {
        self.template.replace(Self::NAME, name)
    }
}

/// What a program without a registry has: a pool for each name.
pub(crate) struct Pools<P> {
    names: Vec<String>,
    by_name: HashMap<String, P>,
}

impl<P> Pools<P> {
    pub(crate) fn new(urls: &Urls, pool: impl Fn(&str) -> P) -> Self {
        let by_name = urls.names().map(|name| {
            let pool = pool(&urls.of(&name));
            (name, pool)
        });
        Self { by_name: by_name.collect(), names: urls.names().collect() }
    }

    /// Looks the pool up by its name, as a program does that has got the name with a request.
    pub(crate) fn of(&self, bind: usize) -> &P {
        &self.by_name[&self.names[bind]]
    }
}
