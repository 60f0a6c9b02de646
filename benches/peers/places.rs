//! The servers and files that subjects work on. Each is started or created when a case first needs it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::mariadb::Mariadb;
use crate::support::pgbouncer::Pooler;
use crate::support::postgres::Postgres;
use crate::support::server::Server;
use crate::{child, mariadb, postgres, sqlite, streaming};

/// The kind of place that a case needs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Place {
    /// The URL of a database of PostgreSQL.
    Postgres,
    /// The URLs of the same database through PgBouncer: in transaction mode, a space, in session mode.
    Poolers,
    /// The URLs of a database of PostgreSQL, and of two streaming replicas of it, with spaces in between.
    Replicas,
    /// The URL of a database of MariaDB.
    Mariadb,
    /// The path of a file of SQLite's, which no other subject has.
    Sqlite,
    /// An empty folder.
    Folder,
    Nowhere,
}

/// The file of SQLite's that those of all subjects are copies of.
const TEMPLATE: &str = "template.db";

#[derive(Default)]
pub(crate) struct Places {
    postgres: OnceLock<(Server, String)>,
    poolers: OnceLock<[Pooler; 2]>,
    replicas: OnceLock<[streaming::Server; 3]>,
    mariadb: OnceLock<(Server, String)>,
    files: OnceLock<TempDir>,
    number_of_names: usize,
}

impl Places {
    pub(crate) fn open(&mut self, place: Place) -> String {
        match place {
            Place::Postgres => self.postgres().1.clone(),
            Place::Poolers => {
                let (server, url) = self.postgres();
                let pooler = |mode| {
                    let settings = [("pool_mode", mode), ("default_pool_size", "4")];
                    Pooler::before(server, &settings)
                };
                let poolers = self.poolers.get_or_init(|| ["transaction", "session"].map(pooler));
                poolers.each_ref().map(|pooler| pooler.url(url)).join(" ")
            }
            Place::Replicas => self.replicas().each_ref().map(streaming::Server::url).join(" "),
            Place::Mariadb => self.mariadb().1.clone(),
            Place::Sqlite => {
                let file = self.new_name();
                std::fs::copy(self.files().join(TEMPLATE), &file).expect("a copy of a file");
                file.display().to_string()
            }
            Place::Folder => {
                let folder = self.new_name();
                std::fs::create_dir(&folder).expect("a folder in target");
                folder.display().to_string()
            }
            Place::Nowhere => String::new(),
        }
    }

    /// Checks, while all subjects are connected, that they came by the same kind of socket.
    pub(crate) fn check(&self, place: Place) {
        if place == Place::Mariadb {
            let (_, url) = self.mariadb();
            child::runtime().block_on(mariadb::database::check_sockets(url));
        }
    }

    /// The database at a place that has been opened, with its version; empty where there is none.
    pub(crate) fn database(&self, place: Place) -> String {
        let first_word =
            |version: String, end: char| version.split(end).next().unwrap_or_default().to_owned();
        let runtime = child::runtime();
        match place {
            Place::Postgres | Place::Poolers => {
                let version = runtime.block_on(postgres::database::version(&self.postgres().1));
                format!("PostgreSQL {}", first_word(version, ' '))
            }
            Place::Replicas => {
                let url = self.replicas()[0].url();
                let version = runtime.block_on(postgres::database::version(&url));
                format!("PostgreSQL {}", first_word(version, ' '))
            }
            Place::Mariadb => {
                let version = runtime.block_on(mariadb::database::version(&self.mariadb().1));
                format!("MariaDB {}", first_word(version, '-'))
            }
            Place::Sqlite => format!("SQLite {}", sqlite::database::version()),
            Place::Folder | Place::Nowhere => String::new(),
        }
    }

    fn postgres(&self) -> &(Server, String) {
        self.postgres.get_or_init(|| {
            let server = Server::obtain(&Postgres);
            let url = server.database("peers");
            child::runtime().block_on(postgres::database::fill(&url));
            (server, url)
        })
    }

    /// A primary and its replicas.
    fn replicas(&self) -> &[streaming::Server; 3] {
        self.replicas.get_or_init(|| {
            let programs = streaming::Programs::find().expect("PostgreSQL");
            let primary = streaming::Server::primary(&programs).expect("a primary");
            child::runtime().block_on(postgres::database::fill(&primary.url()));
            let replica = || primary.replica(&programs).expect("a replica");
            let replicas = [replica(), replica()];
            let [one, two] = replicas;
            [primary, one, two]
        })
    }

    fn mariadb(&self) -> &(Server, String) {
        self.mariadb.get_or_init(|| {
            let server = Server::obtain(&Mariadb);
            // By TCP, as for PostgreSQL. Without this word, mysql_async goes on by the Unix socket.
            let url = server.database("peers") + "?prefer_socket=false";
            child::runtime().block_on(mariadb::database::fill(&url));
            (server, url)
        })
    }

    fn new_name(&mut self) -> PathBuf {
        self.number_of_names += 1;
        self.files().join(self.number_of_names.to_string())
    }

    /// Beside the build's own files, as a temporary folder may be in memory.
    fn files(&self) -> &Path {
        let folder = self.files.get_or_init(|| {
            let folder = crate::report::folder();
            let folder = tempfile::Builder::new().prefix("sqlite-").tempdir_in(folder);
            let folder = folder.expect("a folder in target");
            sqlite::database::fill(&folder.path().join(TEMPLATE));
            folder
        });
        folder.path()
    }
}
