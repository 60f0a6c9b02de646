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
//! A [`UnitOfWork`] begins with nothing. A bind's session is acquired, and its transaction begun, the first time that
//! the bind is asked for: by a query with `&mut work` as its executor, or by [`session_for`](UnitOfWork::session_for).
//! [`commit`](UnitOfWork::commit) and [`rollback`](UnitOfWork::rollback) are of all binds that were touched, and
//! [`savepoint`](UnitOfWork::savepoint) nests over all of them. A [`Scope`] gives a task, or a request, a current unit of
//! work. [`transaction_with`](crate::Registry::transaction_with) runs a closure again after transient failures, as often
//! as [`WorkOptions::retries`] says, and never after a commit that may have happened.
//!
//! # What is atomic and what is not
//!
//! - **On one database**, a unit of work is a transaction of that database, with all that it promises.
//! - **Before the commit**, nothing is visible to others on any database. If anything goes wrong until then, everything
//!   is rolled back everywhere: after an error, a panic, a future that is dropped, or the death of the process.
//! - **The commit over several databases is not atomic.** The databases commit one after another, in the order of their
//!   first touch, in that of [`commit_in_order`](UnitOfWork::commit_in_order), or in that of
//!   [`WorkOptions::commit_order`]. In between, others may see one database committed and the next one not yet. If a
//!   commit fails, the databases before it are committed and stay so, and those after it are rolled back. An order that
//!   names a key that no bind has is an error, and nothing is committed.
//! - **Every transaction is checked before the first commit.** One that PostgreSQL has aborted, that a deadlock has ended
//!   on MySQL, that a statement of the program has ended, or in which a savepoint is unfinished fails the whole unit of
//!   work while no database is committed. What a database only notices at the commit (deferred constraints,
//!   serialization failures) can still fail in between: give such a database the first place.
//! - **[`CommitError`] says what became of each bind**: committed, failed, rolled back, ended or in doubt, as data. A bind
//!   is in doubt if its connection broke during the commit, because the server may have received the commit or not.
//!   Nothing after it is committed then.
//! - **If the process dies between two commits**, the first database is committed and the second is rolled back, and
//!   nothing reports it.
//!
//! SQLAlchemy's session commits over several binds in the same way, but in no defined order, and without saying how far
//! it has come (<https://docs.sqlalchemy.org/en/20/orm/persistence_techniques.html>).
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
//! transaction that may write takes the lock when it begins.
//!
//! Two binds that name one SQLite file cannot both be written in one unit of work: the second waits for the first.
//!
//! On MySQL and MariaDB, tables of engines without transactions (MyISAM, Aria, MEMORY) do not take part in a transaction:
//! what is written to them is stored at once and stays so. A rollback leaves it there, and is no error; the server only
//! gives a warning (1196).
//!
//! # Transactions that a statement ends
//!
//! A `COMMIT` or `ROLLBACK` in SQL of the program's own ends the transaction without the unit of work, and so does every
//! statement of MySQL that commits implicitly: `TRUNCATE`, `CREATE INDEX`, `LOCK TABLES`, a procedure that commits. What
//! was done before it may be committed then, and what follows is in no transaction or in another one. So the bind is
//! refused at its next use ([`WorkError::Ended`]), `commit` rolls the other binds back and reports this one as
//! [`Outcome::Ended`], and `rollback` is an error as well.
//!
//! | | how it is noticed |
//! |---|---|
//! | PostgreSQL | the server reports each statement, and the status of the transaction after it, in the protocol stream, which is read along |
//! | PostgreSQL by a Unix socket | a setting that is local to the transaction is read, after statements that may end one |
//! | MySQL, MariaDB | a savepoint in the transaction is rolled back to, after statements that are not known to leave the transaction open, and before the commit |
//! | SQLite | SQLite is asked on its thread, with a savepoint around what may end one transaction and begin another |
//!
//! # Errors in a transaction
//!
//! A statement that fails on PostgreSQL aborts the transaction: run it in a [`savepoint`](UnitOfWork::savepoint) if the
//! work is to go on. A deadlock on MySQL rolls the whole transaction back, and so does `OR ROLLBACK` on SQLite;
//! statements that follow would be committed one by one. So the unit of work is refused from then on
//! ([`WorkError::RolledBack`]). A statement that is run on its session all the same is not stored: SQLite does not run
//! it, and MySQL runs it in a transaction that is rolled back.

// The files of this folder, in the order in which they are best read:
//
// | file | what it has |
// |---|---|
// | `unit_of_work.rs` | `UnitOfWork`: the binds that it has touched, their sessions, its state |
// | `session_factory.rs` | where its sessions come from: a registry or a tenant |
// | `participant/` | the part of a unit of work on one bind: a session in a transaction |
// | `participants.rs` | the list of them, which rolls back what is left in it when it is dropped |
// | `commit.rs` | the commit over all participants: who is asked what, in which order, and what is in doubt when |
// | `rollback.rs`, `savepoint.rs` | the rollback, and savepoints, over all participants |
// | `error.rs`, `outcome.rs` | why a unit of work cannot go on, and what became of each bind at the commit |
// | `begin.rs`, `run.rs` | `begin`, `transaction`, `transaction_with` of a registry; the closure that is run, and retries |
// | `sessions_for.rs` | sessions of several binds at once |
// | `scope.rs`, `current.rs` | `Scope`, and the unit of work of the scope that the calling task is in |
// | `work_lock.rs`, `current_work.rs` | the unit of work of a scope behind a lock, and the guard that the user has of it |
// | `deadlock/` | whether a future that waits for that lock waits for itself |
// | `open_scope.rs`, `scopes.rs` | opening a scope of a registry; scopes by a key of the program's own |
// | `tenant.rs` | all of `begin.rs` and `open_scope.rs` once more, for a tenant |

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
