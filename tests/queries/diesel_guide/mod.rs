//! Diesel's guides and examples, and those of diesel-async, with the imports of this crate.
//!
//! Each topic is a program of its own in one file, and says nothing of this crate: it takes its traits and the type of
//! its connection from a prelude. It is compiled and run once with each prelude of [`told`], so the imports are the
//! only difference. A variable that is a `&mut` and is used again is written as `&mut *connection`, which all of
//! them accept.
//!
//! | topic | after | backends |
//! |---|---|---|
//! | `getting_started`, `getting_started_without_returning` | the guide "Getting Started", `getting_started_step_3` | all |
//! | `inserts`, `batches`, `returning`, `batches_returning` | the guide "All About Inserts", `all_about_inserts` | all |
//! | `updates` | the guide "All About Updates", `all_about_updates` | all |
//! | `relations` | the guide "Relations", `relations` | all that have `RETURNING` |
//! | `composing` | the guide "Composing Applications" | all |
//! | `extending` | the guide "Extending Diesel" | all |
//! | `blog` | `advanced-blog-cli` | PostgreSQL |
//! | `composite_types`, `custom_arrays`, `custom_types` | the examples of these names | PostgreSQL |
//! | `asynchronous` | the README of diesel-async, `sync-wrapper` | all |
//! | `pipelining` | the example of this name of diesel-async | PostgreSQL |

mod migrations;

/// Mounts topics on a backend, each with the tables that are bound.
///
/// Those of the second group need a connection to themselves: they begin transactions, or have queries without a table
/// or of a type that is not Diesel's. Those of the third are only accepted by this crate.
macro_rules! told {
    ($backend:ident:
        everywhere { $($topic:ident: $($table:ident),*;)* }
        on a connection { $($own:ident: $($owns:ident),*;)* }
        by this crate { $($more:ident: $($has:ident),*;)* }
    ) => {
        // On an inline module, `path` is the folder of the modules in it.
        #[path = "."]
        mod $backend {
            use crate::support::backends::$backend as backend;

            /// What the originals import, for asynchronous connections.
            #[path = "."]
            mod with_diesel_async {
                mod prelude {
                    pub(super) use super::super::{Bare as Connection, Bare, Db};
                    pub(super) use diesel::prelude::*;
                    pub(super) use diesel_async::{AsyncConnection, RunQueryDsl, SaveChangesDsl};
                }
                $crate::diesel_guide::topics! { on_a_connection; $($topic)* $($own)* }
            }

            /// The imports changed, and the tables bound.
            #[path = "."]
            mod on_a_session {
                mod prelude {
                    pub(super) use super::super::{Bare, Db};
                    pub(super) use diesel::prelude::*;
                    pub(super) use registry_core::{RunQueryDsl, SaveChangesDsl};

                    pub(super) type Connection = registry_core::Session<super::super::Main>;
                }
                $crate::diesel_guide::topics! { on_a_session; $($topic)* $($own)* $($more)* }
                registry_core::bind_tables!(super::Main; $($($topic::$table,)*)* $($($own::$owns,)*)* $($($more::$has,)*)*);
            }

            /// The same as a part of a transaction over several databases, with its own error.
            #[path = "."]
            mod in_a_unit_of_work {
                mod prelude {
                    pub(super) use super::super::Db;
                    pub(super) use diesel::prelude::*;
                    pub(super) use registry_core::UnitOfWork as Connection;
                    pub(super) use registry_core::{OptionalExtension, RunQueryDsl, SaveChangesDsl};

                    pub(super) type QueryResult<T> = Result<T, registry_core::Error>;
                }
                $crate::diesel_guide::topics! { in_a_unit_of_work; $($topic)* $($more)* }
                registry_core::bind_tables!(super::Main; $($($topic::$table,)*)* $($($more::$has,)*)*);
            }

            /// The same on whatever runs queries of a bind, here the registry: each query acquires a session.
            #[path = "."]
            mod on_any_executor {
                mod prelude {
                    pub(super) use super::super::Db;
                    pub(super) use diesel::prelude::*;
                    pub(super) use registry_core::{OptionalExtension, RunQueryDsl, SaveChangesDsl};

                    pub(super) type Connection = registry_core::AnyExecutor<'static, super::super::Main>;
                    pub(super) type QueryResult<T> = Result<T, registry_core::Error>;
                }
                $crate::diesel_guide::topics! { on_any_executor; $($topic)* $($more)* }
                registry_core::bind_tables!(super::Main; $($($topic::$table,)*)* $($($more::$has,)*)*);
            }

            /// A connection without a bind, and what Diesel calls its backend.
            type Bare = backend::Backend;
            type Db = <Bare as diesel_async::AsyncConnectionCore>::Backend;

            registry_core::binds! { Main: backend::Backend = "default"; }

            async fn connection(tables: &[&str]) -> Bare {
                super::connection(&backend::database(), backend::NAME, tables).await
            }

            async fn registry(tables: &[&str]) -> registry_core::Registry {
                let registry = registry_core::Registry::builder().bind("default", backend::database());
                let registry = registry.build().expect("good settings");
                for sql in super::in_dialect(backend::NAME, tables) {
                    crate::support::run_sql::<Main>(&registry, &sql).await;
                }
                registry
            }
        }
    };
}

/// Declares the modules of topics, and runs each in a test of the same name.
macro_rules! topics {
    ($on:ident; $($topic:ident)*) => {
        $(
            #[expect(clippy::duplicate_mod, reason = "the point: one program, other imports")]
            mod $topic;

            #[tokio::test]
            async fn $topic() {
                $crate::diesel_guide::topics! { @$on $topic }
            }
        )*
    };
    (@on_a_connection $topic:ident) => {
        let mut connection = super::connection($topic::TABLES).await;
        $topic::tell(&mut connection).await.expect("it runs");
    };
    (@on_a_session $topic:ident) => {
        let registry = super::registry($topic::TABLES).await;
        let mut session = registry.session().await.expect("a session");
        $topic::tell(&mut session).await.expect("it runs");
    };
    (@on_any_executor $topic:ident) => {
        // For the tests to name no lifetime.
        let registry = Box::leak(Box::new(super::registry($topic::TABLES).await));
        $topic::tell(&mut (&*registry).into()).await.expect("it runs");
    };
    (@in_a_unit_of_work $topic:ident) => {
        let registry = super::registry($topic::TABLES).await;
        registry.transaction(async |work| $topic::tell(work).await).await.expect("it runs");
    };
}
use topics;

told! { postgres:
    everywhere {
        getting_started: posts;
        inserts: users;
        batches: users;
        returning: users;
        batches_returning: users;
        updates: posts, notes;
        relations: authors, books, books_authors, pages;
        composing: crates, versions;
        custom_arrays: service;
        custom_types: translations;
    }
    on a connection {
        asynchronous: users;
        blog: users, posts, comments;
        composite_types: colors, coordinates;
        extending: articles;
        pipelining: users;
    }
    by this crate {}
}

told! { mysql:
    everywhere {
        inserts: users;
        batches: users;
        updates: posts, notes;
        composing: crates, versions;
    }
    on a connection {
        asynchronous: users;
        extending: articles;
        getting_started_without_returning: posts;
    }
    by this crate {}
}

told! { sqlite:
    everywhere {
        getting_started: posts;
        inserts: users;
        returning: users;
        updates: posts, notes;
        relations: authors, books, books_authors, pages;
        composing: crates, versions;
    }
    on a connection {
        asynchronous: users;
        extending: articles;
        getting_started_without_returning: posts;
    }
    by this crate {
        batches: users;
    }
}

/// The statements in the backend's dialect: `{key}` is a key that the database generates.
fn in_dialect(backend: &str, tables: &[&str]) -> Vec<String> {
    let key = match backend {
        "postgres" => "SERIAL PRIMARY KEY",
        "mysql" => "INTEGER PRIMARY KEY AUTO_INCREMENT",
        _ => "INTEGER PRIMARY KEY AUTOINCREMENT",
    };
    tables.iter().map(|sql| sql.replace("{key}", key)).collect()
}

/// A connection without this crate, with those tables.
async fn connection<C: diesel_async::AsyncConnection>(
    url: &str,
    backend: &str,
    tables: &[&str],
) -> C {
    let mut connection = C::establish(url).await.expect("a connection");
    for sql in in_dialect(backend, tables) {
        let done = connection.batch_execute(&sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    connection
}
