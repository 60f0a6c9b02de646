//! Units of work: transactions over several databases.
//!
//! ```
//! use diesel::prelude::*;
//! use registry_core::{Error, Registry, RunQueryDsl, bind_tables};
//!
//! diesel::table! { users (id) { id -> Integer, } }
//! diesel::table! { events (id) { id -> Integer, } }
//! bind_tables!(db = "default", backend = Sqlite; users);
//! bind_tables!(db = "analytics", backend = Sqlite; events);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! # let registry = Registry::builder()
//! #     .bind("default", "sqlite::memory:").bind("analytics", "sqlite::memory:").build()?;
//! # use registry_core::BindDsl;
//! # let create = "CREATE TABLE users (id INTEGER PRIMARY KEY)";
//! # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
//! # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY)";
//! # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
//! registry
//!     .transaction(async |work| {
//!         diesel::insert_into(users::table).values(users::id.eq(1)).execute(&mut *work).await?;
//!         diesel::insert_into(events::table).values(events::id.eq(1)).execute(work).await?;
//!         Ok::<_, Error>(())
//!     })
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! A new [`UnitOfWork`] has no sessions. The first use of a bind acquires a session and begins a transaction on it: a
//! query with `&mut work` as its executor, or a call of [`session_for`](UnitOfWork::session_for).
//! [`commit`](UnitOfWork::commit), [`rollback`](UnitOfWork::rollback) and [`savepoint`](UnitOfWork::savepoint) apply to
//! all binds that the unit of work has touched. A [`Scope`] gives a task, or a request, a current unit of
//! work. [`transaction_with`](crate::Registry::transaction_with) runs a closure again after transient failures, up to
//! [`WorkOptions::retries`] times, and never after a commit that may have happened.
//!
//! # What is atomic and what is not
//!
//! - **On one database**, a unit of work is a transaction of that database, with all guarantees of the database.
//! - **Before the commit**, no change is visible to other transactions on any database. Any failure before the commit
//!   rolls back all databases: after an error, a panic, a future that is dropped, or the death of the process.
//! - **The commit over several databases is not atomic.** The databases commit one after another, in the order of their
//!   first use, of [`commit_in_order`](UnitOfWork::commit_in_order), or of [`WorkOptions::commit_order`]. Between two
//!   commits, other transactions may see one database committed and the next database not yet. If a commit fails, the
//!   databases before it stay committed, and the databases after it are rolled back. If the order names a key without a
//!   bind, the commit fails, and nothing is committed.
//! - **Every transaction is checked before the first commit.** The whole unit of work fails, and no database is committed,
//!   if PostgreSQL has aborted a transaction, if a deadlock has ended one on MySQL, if a statement of the program has
//!   ended one, or if a savepoint is unfinished. Failures that a database only detects at the commit (deferred
//!   constraints, serialization failures) can still happen after the first commit: put such a database first.
//! - **[`CommitError`] has the outcome of each bind**: committed, failed, rolled back, ended or in doubt, as data. A bind
//!   is in doubt if its connection broke during the commit, because the server may have received the commit or not.
//!   The binds after it are not committed.
//! - **If the process dies between two commits**, the first database is committed and the second is rolled back, and
//!   nothing reports it.
//!
//! SQLAlchemy's session commits over several binds in the same way, but in no defined order, and without reporting
//! which binds are committed (<https://docs.sqlalchemy.org/en/20/orm/persistence_techniques.html>).
//!
//! # In the terms of each backend
//!
//! | [`WorkOptions`] | PostgreSQL | MySQL, MariaDB | SQLite |
//! |---|---|---|---|
//! | none | `BEGIN` | `START TRANSACTION` | `BEGIN IMMEDIATE` |
//! | `isolation` | `BEGIN ISOLATION LEVEL ..` | `SET TRANSACTION ISOLATION LEVEL ..` before it | serializable, or an error |
//! | `read_only` | `BEGIN READ ONLY` | `START TRANSACTION READ ONLY` | `BEGIN`, with `PRAGMA query_only` |
//! | `deferrable` | `BEGIN DEFERRABLE` | an error | an error |
//!
//! On SQLite, a transaction that reads first and writes later fails with "database is locked" if another connection has
//! written in between, whatever `busy_timeout` says (<https://www.sqlite.org/rescode.html#busy_snapshot>). So a
//! transaction that may write takes the lock when it begins. Before that it waits for its turn to write: the writers of one
//! file in this process queue, first come, first served, so that none of them polls the lock. Units of work and queries on
//! a registry or a tenant take turns; a session that the program uses by itself does not, and waits for `busy_timeout`.
//!
//! Two binds that name one SQLite file cannot both be written in one unit of work: the second would wait for the first, and
//! fails with [`AcquireError::WriteDeadlock`](crate::AcquireError::WriteDeadlock). So does a query on the registry that
//! may write, in the closure of a unit of work that has written to the same file.
//!
//! On MySQL and MariaDB, tables of engines without transactions (MyISAM, Aria, MEMORY) do not take part in a transaction:
//! a write to such a table is stored at once, and a rollback does not undo it. The rollback is no error; the server only
//! returns a warning (1196).
//!
//! # Transactions that a statement ends
//!
//! A `COMMIT` or `ROLLBACK` in the program's own SQL ends the transaction without the unit of work, and so does every
//! statement of MySQL that commits implicitly: `TRUNCATE`, `CREATE INDEX`, `LOCK TABLES`, a procedure that commits. The
//! changes before such a statement may be committed, and later statements run in no transaction or in another
//! transaction. So the next use of the bind fails ([`WorkError::Ended`]), `commit` rolls the other binds back and reports this one as
//! [`Outcome::Ended`], and `rollback` is an error as well.
//!
//! | | detection |
//! |---|---|
//! | PostgreSQL | in the protocol stream, which the library reads along, the server reports each statement, and the status of the transaction after it |
//! | PostgreSQL by a Unix socket | after statements that may end a transaction, the library reads a setting that is local to the transaction |
//! | MySQL, MariaDB | after statements that are not known to leave the transaction open, and before the commit, the library rolls back to a savepoint in the transaction |
//! | SQLite | the library asks SQLite, with a savepoint around statements that may end one transaction and begin another |
//!
//! # Errors in a transaction
//!
//! A failed statement on PostgreSQL aborts the transaction: run it in a [`savepoint`](UnitOfWork::savepoint) if the unit of
//! work is to continue after it. A deadlock on MySQL rolls back the whole transaction, and so does `OR ROLLBACK` on
//! SQLite; later statements would be committed one by one. So later uses of the unit of work fail
//! ([`WorkError::RolledBack`]). A later statement on its session is not stored either: SQLite does not run it, and MySQL
//! runs it in a transaction that is rolled back.

// The files of this folder, in the order in which they are best read:
//
// | file | content |
// |---|---|
// | `unit_of_work.rs` | `UnitOfWork`: the binds that it has touched, their sessions, its state |
// | `session_factory.rs` | the source of its sessions: a registry or a tenant |
// | `participant/` | the part of a unit of work on one bind: a session in a transaction |
// | `participants.rs` | the list of participants, whose drop rolls back the remaining participants |
// | `commit.rs` | the commit over all participants: checks, order, and the participant in doubt |
// | `rollback.rs`, `savepoint.rs` | the rollback, and savepoints, over all participants |
// | `error.rs`, `outcome.rs` | the errors of a unit of work, and the outcome of each bind at the commit |
// | `begin.rs`, `run.rs` | `begin`, `transaction`, `transaction_with` of a registry; running the closure, and retries |
// | `sessions_for.rs` | sessions of several binds at once |
// | `scope.rs`, `current.rs` | `Scope`, and the unit of work of the scope that the calling task is in |
// | `work_lock.rs`, `current_work.rs` | the unit of work of a scope behind a lock, and the guard of the lock |
// | `deadlock/` | detects a future that waits for that lock and for itself |
// | `open_scope.rs`, `scopes.rs` | opening a scope of a registry; scopes by a key of the program |
// | `tenant.rs` | the methods of `begin.rs` and `open_scope.rs` for a tenant |

mod begin;
mod commit;
mod current;
mod current_work;
mod deadlock;
mod error;
mod open_scope;
mod outcome;
mod participant;
mod participants;
mod rollback;
mod run;
mod savepoint;
mod scope;
mod scope_records;
mod scopes;
mod session_factory;
mod sessions_for;
mod tenant;
mod unit_of_work;
mod work_lock;

#[doc(no_inline)]
pub use current_work::CurrentWork;
#[doc(no_inline)]
pub use error::WorkError;
#[doc(no_inline)]
pub use outcome::{CommitError, Committed};
pub use outcome::{Outcome, WorkFailure};
#[doc(no_inline)]
pub use scope::Scope;
pub use scopes::Scopes;
pub use sessions_for::Several;
#[doc(no_inline)]
pub use unit_of_work::UnitOfWork;

#[doc(no_inline)]
pub use crate::settings::{Isolation, WorkOptions, WrongKeys};
