//! A subject in a process of its own, which does what the parent writes to its standard input, line by line:
//!
//! | line | answer |
//! |---|---|
//! | `build BINDS URL` | the pools exist: resident KiB before and after, threads |
//! | `open` | all connections are open: resident KiB, threads |
//! | `turn OPERATION TASKS MICROSECONDS` | operations, nanoseconds |
//! | `size` | resident KiB, threads |
//!
//! It ends when its standard input does, so it never outlives the parent.

use std::io::{BufRead, Write};
use std::time::Duration;

use registry_core::{Postgres, Sqlite};
use tokio::runtime::Runtime;

use crate::plan::{Backend, Checks, Operation};
use crate::process::{Size, size};
use crate::subjects::diesel_pools::{postgres, sqlite};
use crate::subjects::ours::{Named, Tenants};
use crate::subjects::sqlx::{OfPostgres, OfSqlite};
use crate::subjects::tokio_rusqlite::TokioRusqlite;
use crate::subjects::{Subject, Urls};
use crate::turn::Running;

/// Serves the parent until that closes the standard input.
pub(crate) fn serve(backend: Backend, subject: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let served = Served { runtime: &runtime, before: size() };
    match backend {
        Backend::Sqlite => served.on_sqlite(subject),
        Backend::Postgres => served.on_postgres(subject),
    }
}

struct Served<'a> {
    runtime: &'a Runtime,
    before: Size,
}

impl Served<'_> {
    fn on_sqlite(self, subject: &str) {
        use Checks::{Default, Never};
        use sqlite::{Bb8, Deadpool};

        match subject {
            "registry" => self.serve(Named::<Sqlite>::new),
            "registry-tenants" => self.serve(Tenants::<Sqlite>::new),
            "bb8" => self.serve(|urls| Bb8::new(urls, Default)),
            "bb8-tuned" => self.serve(|urls| Bb8::new(urls, Never)),
            "deadpool" => self.serve(|urls| Deadpool::new(urls, Default)),
            "deadpool-tuned" => self.serve(|urls| Deadpool::new(urls, Never)),
            "sqlx" => self.serve(|urls| OfSqlite::new(urls, Default)),
            "sqlx-tuned" => self.serve(|urls| OfSqlite::new(urls, Never)),
            "tokio-rusqlite" => self.serve(TokioRusqlite::new),
            unknown => panic!("no subject `{unknown}`"),
        }
    }

    fn on_postgres(self, subject: &str) {
        use Checks::{Default, Never};
        use postgres::{Bb8, Deadpool};

        match subject {
            "registry" => self.serve(Named::<Postgres>::new),
            "registry-tenants" => self.serve(Tenants::<Postgres>::new),
            "bb8" => self.serve(|urls| Bb8::new(urls, Default)),
            "bb8-tuned" => self.serve(|urls| Bb8::new(urls, Never)),
            "deadpool" => self.serve(|urls| Deadpool::new(urls, Default)),
            "deadpool-tuned" => self.serve(|urls| Deadpool::new(urls, Never)),
            "sqlx" => self.serve(|urls| OfPostgres::new(urls, Default)),
            "sqlx-tuned" => self.serve(|urls| OfPostgres::new(urls, Never)),
            unknown => panic!("no subject `{unknown}`"),
        }
    }

    fn serve<S: Subject>(self, build: impl Fn(&Urls) -> S) {
        let mut running = None;
        for line in std::io::stdin().lock().lines() {
            let line = line.expect("the parent writes UTF-8");
            let words: Vec<_> = line.split_whitespace().collect();
            match (&words[..], &running) {
                (["build", binds, template], None) => {
                    let urls = Urls { template: (*template).to_owned(), binds: number(binds) };
                    // Pools spawn tasks.
                    let _entered = self.runtime.enter();
                    let runtime = self.runtime.handle().clone();
                    running = Some(Running { runtime, subject: build(&urls), binds: urls.binds });
                    let Size { resident_kib, threads } = size();
                    answer(&[self.before.resident_kib, resident_kib, threads]);
                }
                (["open"], Some(running)) => {
                    running.open();
                    answer_size();
                }
                (["turn", operation, tasks, microseconds], Some(running)) => {
                    let of_word = |wanted: &Operation| wanted.word() == *operation;
                    let operation = Operation::ALL.into_iter().find(of_word).expect("a known word");
                    let length = Duration::from_micros(number(microseconds));
                    let done = running.turn(operation, number(tasks), length);
                    let nanoseconds = u64::try_from(done.took.as_nanos()).expect("some seconds");
                    answer(&[done.operations, nanoseconds]);
                }
                (["size"], Some(_)) => answer_size(),
                _ => panic!("`{line}` is nothing to do now"),
            }
        }
    }
}

fn number<N: std::str::FromStr>(word: &str) -> N {
    word.parse().unwrap_or_else(|_| panic!("`{word}` is no number"))
}

fn answer_size() {
    let Size { resident_kib, threads } = size();
    answer(&[resident_kib, threads]);
}

fn answer(numbers: &[u64]) {
    let words: Vec<_> = numbers.iter().map(u64::to_string).collect();
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", words.join(" "))
        .and_then(|()| output.flush())
        .expect("a parent that reads");
}
