//! Commands on the databases of a program, as a part of its own command line. With the feature `cli`.
//!
//! [`DatabaseCommand`] is a [`clap::Subcommand`], and [`Databases`] runs it. The binds, models and migrations are those of
//! the program that they are built into, so there is no other program to install, and nothing to keep in step with it:
//!
//! ```
//! use std::process::ExitCode;
//!
//! use clap::Parser;
//! use diesel_migrations::{EmbeddedMigrations, embed_migrations};
//! use registry_core::cli::{DatabaseCommand, Databases};
//! use registry_core::{Registry, binds};
//!
//! binds! {
//!     Main: Sqlite = "default";
//! }
//!
//! # /*
//! const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
//! # */
//! # const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../examples/migrations/main");
//!
//! #[derive(Parser)]
//! struct Arguments {
//!     #[command(subcommand)]
//!     command: DatabaseCommand,
//! }
//!
//! # #[cfg(any())]
//! #[tokio::main]
//! async fn main() -> ExitCode {
//!     manage(Arguments::parse()).await
//! }
//!
//! async fn manage(arguments: Arguments) -> ExitCode {
//!     let built = Registry::builder().bind("default", "sqlite://app.db").build();
//!     let registry = match built {
//!         Ok(registry) => registry,
//!         Err(error) => {
//!             eprintln!("error: {error}");
//!             return ExitCode::FAILURE;
//!         }
//!     };
//!     Databases::new(&registry)
//!         .migrations::<Main>(MIGRATIONS)
//!         .program::<Arguments>()
//!         .run(arguments.command)
//!         .await
//! }
//! # fn main() {
//! #     Arguments::parse_from(["manage", "migrate", "--json"]);
//! #     let _ = manage;
//! # }
//! ```
//!
//! # Commands
//!
//! | command | what it does |
//! |---|---|
//! | `status` | shows each bind, and which of its migrations are applied, pending or unknown |
//! | `migrate` | runs the pending migrations: of all binds that have one database, and with `--all-tenants` of all tenants too. `--plan` prints their SQL and runs nothing |
//! | `revert`, `redo` | reverts the last migrations; reverts the last one and runs it again |
//! | `create`, `drop` | creates or drops the database of a bind, or a tenant. `drop` asks for the name |
//! | `verify` | checks that all databases answer, and that the models fit |
//! | `check` | shows how long each database takes to answer, with `--watch` again and again |
//! | `url` | prints the URL of a database for other programs, such as Diesel's command line |
//! | `shell` | opens `psql`, `mariadb` (or `mysql`) or `sqlite3` on a database |
//! | `completions` | prints the completions of the program for a shell |
//!
//! Each command prints its arguments with `--help`.
//!
//! # Output
//!
//! Results go to standard output; progress, questions and errors to standard error. What runs is drawn on a terminal, and
//! in a pipe or file each database and each tenant that was changed has a line of its own. There are colours on a terminal
//! only, and none if the variable `NO_COLOR` is set.
//!
//! With `--json`, standard output is JSON, one object a line. `migrate`, `revert` and `redo` print a line for each database
//! (and for each tenant, also one that was up to date) as soon as it is done, and a report as the last line. `status
//! --all-tenants` does the same, `check --watch` prints a line for each check, and `create` one for each database or
//! tenant. The other commands print one line. A command that fails prints an object with the fields `error`, `causes` and
//! `exit_code`, unless its report says so. What clap refuses is text on standard error alone.
//!
//! No password is printed, except by `url --show-password`.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | it failed |
//! | 2 | the arguments are wrong, or do not fit the binds; or a question was not answered with yes |
//! | 3 | a migration is pending (only `status --exit-code`) |
//! | 4 | some tenants failed or were not reached |
//! | 5 | another run migrates the tenants, and holds the lease |
//! | 130 | a run was ended by Ctrl-C or SIGTERM before all was done |
//!
//! `shell` has the exit code of the program that it opens, or 128 and the number of the signal that ended that program.

mod check;
mod command;
mod completions;
mod confirm;
mod create;
mod databases;
mod drop;
mod exit;
mod interrupt;
mod migrate;
mod output;
mod plan;
mod revert;
mod shell;
mod status;
mod targets;
mod tenant_status;
mod tenants;
mod url;
mod verify;

pub use command::DatabaseCommand;
pub use databases::Databases;
