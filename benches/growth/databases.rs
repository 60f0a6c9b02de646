//! The databases: files, and a PostgreSQL server as the tests start it.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use crate::children::SubjectProcess;
use crate::many_clients::ManyClients;
use crate::plan::{Backend, Part};
use crate::schema::{CREATE, fill};
use crate::subjects::Urls;
use crate::support::home::Home;
use crate::support::server::Server;

/// The databases of all parts. They are removed when this is dropped, and also when the program is killed.
pub(crate) struct Databases {
    files: Option<Home>,
    server: Option<Server>,
}

impl Databases {
    /// As many as the largest part of each backend needs.
    pub(crate) fn for_parts(parts: &[Part]) -> Self {
        let most = |backend| {
            let of_backend = parts.iter().filter(|part| part.backend == backend);
            of_backend.map(|part| part.binds as usize).max()
        };
        Self {
            files: most(Backend::Sqlite).map(files),
            server: most(Backend::Postgres).map(server),
        }
    }

    /// The URLs for a part, as a subject is to have them.
    pub(crate) fn urls(&self, part: Part, subject: &str) -> Urls {
        let name = Urls::NAME;
        let template = match part.backend {
            Backend::Sqlite => format!("sqlite://{}/{name}.db", self.folder().display()),
            Backend::Postgres => {
                // Written into the path, as `{` is no character of a URL.
                let url = self.server().url();
                let (before, _) = url.rsplit_once('/').expect("a URL with a database");
                format!("{before}/{name}?application_name={subject}")
            }
        };
        Urls { template, binds: part.binds as usize }
    }

    fn folder(&self) -> &Path {
        self.files.as_ref().expect("made for the parts").path()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("made for the parts")
    }

    /// How many connections the subject has open.
    pub(crate) fn connections(&self, part: Part, subject: &SubjectProcess) -> u64 {
        match part.backend {
            Backend::Sqlite => subject.open_files(".db"),
            Backend::Postgres => self.connections_to_server(subject.name),
        }
    }

    /// How many connections the subject has open, as the server counts them.
    fn connections_to_server(&self, subject: &str) -> u64 {
        use diesel::sql_types::{BigInt, Text};
        use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

        let url = self.server().url();
        crate::support::server::block_on(async move {
            let mut connection = AsyncPgConnection::establish(&url).await.expect("a connection");
            let count = diesel::select(
                diesel::dsl::sql::<BigInt>(
                    "(SELECT count(*) FROM pg_stat_activity WHERE application_name = ",
                )
                .bind::<Text, _>(subject)
                .sql(")"),
            );
            let count: i64 = count.get_result(&mut connection).await.expect("a count");
            u64::try_from(count).expect("a count")
        })
    }
}

fn files(number: usize) -> Home {
    let home = Home::of_files();
    let first = home.path().join("b0.db");
    let mut connection = SqliteConnection::establish(&first.display().to_string()).expect("a file");
    // The file remembers WAL, so that every subject has it.
    connection.batch_execute("PRAGMA journal_mode = WAL").expect("WAL");
    connection.batch_execute(CREATE).expect("a table");
    connection.batch_execute(&fill()).expect("rows");
    connection.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").expect("all in the file");
    drop(connection);
    for other in 1..number {
        std::fs::copy(&first, home.path().join(format!("b{other}.db"))).expect("a copy");
    }
    home
}

fn server(number: usize) -> Server {
    let server = Server::launched(&ManyClients);
    server.execute("CREATE DATABASE b0 TEMPLATE template0");
    let url = server.url();
    let (before, _) = url.rsplit_once('/').expect("a URL with a database");
    let first = format!("{before}/b0");
    server.execute_in(&first, CREATE);
    server.execute_in(&first, &fill());
    server.execute_in(&first, "VACUUM ANALYZE items");
    for other in 1..number {
        server.execute(&format!("CREATE DATABASE b{other} TEMPLATE b0 STRATEGY file_copy"));
    }
    server
}
