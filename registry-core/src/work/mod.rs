//! Transactions over several databases.
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
//! A [`UnitOfWork`] begins with nothing. A bind's session is acquired, and its transaction begun,
//! the first time that the bind is asked for: by a query with `&mut work` as its executor, or by
//! [`session_for`](UnitOfWork::session_for).
//! [`commit`](UnitOfWork::commit) and [`rollback`](UnitOfWork::rollback) are of all that were touched, and
//! [`savepoint`](UnitOfWork::savepoint) nests over all of them. A [`Scope`] gives a task, or a request, a current one.
//!
//! # What is atomic, and what is not
//!
//! - On one database, a unit of work is a transaction of that database, with all that it promises.
//! - Over several, nothing is visible anywhere before the commit, and all of it is rolled back if
//!   anything goes wrong before: on an error, a panic, a future that is dropped, a process that
//!   dies.
//! - **The commit itself is not atomic.** The databases commit one after another, in the order of
//!   their first touch, in that of [`commit_in_order`](UnitOfWork::commit_in_order), or in that of
//!   [`WorkOptions::commit_order`]. A key that no bind has is an error there, and nothing is committed. For that
//!   moment, others may see one database committed and the next one not yet. If a commit fails,
//!   those before it are committed and stay so, and those after it are rolled back.
//! - Before the first commit, each transaction is looked at: one that PostgreSQL has aborted, that
//!   a deadlock has ended on MySQL, that a statement of the program has ended, or in which a savepoint is unfinished,
//!   fails the whole unit of work while none of the others is committed. What databases only notice at the commit (deferred
//!   constraints, serialization failures) can still fail in between: give such a database the first
//!   place.
//! - [`CommitError`] says of each bind whether it is committed, failed, rolled back, ended or in doubt, as
//!   data. It is in doubt if the connection broke during the commit: the server may have heard it
//!   or not. Nothing after it is committed then.
//! - A process that dies between two commits leaves the first committed and the second rolled back,
//!   and nobody is told.
//!
//! [`transaction_with`](Registry::transaction_with) runs a closure again after transient failures, as often as
//! [`WorkOptions::retries`] says, and never after a commit that may have happened.
//!
//! SQLAlchemy's session commits over several binds in the same way; in no defined order, and
//! without saying how far it has come
//! (<https://docs.sqlalchemy.org/en/20/orm/persistence_techniques.html>).
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
//! On SQLite, a transaction that reads first and writes later fails with "database is locked" if
//! another connection has written in between, whatever `busy_timeout` says
//! (<https://www.sqlite.org/rescode.html#busy_snapshot>). So one that may write takes the lock at
//! once.
//!
//! Two binds that name one SQLite file cannot both be written in one unit of work: the second waits
//! for the first.
//!
//! On MySQL and MariaDB, tables of engines without transactions (MyISAM, Aria, MEMORY) take part in none: what is written
//! to them is stored at once and stays so, and a rollback passes over it and is no error. The server says so in a warning
//! alone (1196).
//!
//! # Transactions that a statement ends
//!
//! A `COMMIT` or `ROLLBACK` in SQL of the program's own ends the transaction behind the back of the unit of work, and
//! so does every statement of MySQL that commits implicitly: `TRUNCATE`, `CREATE INDEX`, `LOCK TABLES`, a procedure that
//! commits. What was done before may be committed then, and what follows is in no transaction or in another one. So the
//! bind is refused at its next use ([`WorkError::Ended`]), `commit` rolls the other binds back and says
//! [`Outcome::Ended`] of this one, and `rollback` is an error as well.
//!
//! | | how it is noticed |
//! |---|---|
//! | PostgreSQL | the server reports each statement and the status after it, in the stream that is read along |
//! | PostgreSQL by a Unix socket | a setting that is local to the transaction is looked for, after statements that may end one |
//! | MySQL, MariaDB | a savepoint in the transaction is looked for, after statements that are not known to leave it alone, and before the commit |
//! | SQLite | SQLite is asked on its thread, with a savepoint around what may end one transaction and begin another |
//!
//! # Errors in a transaction
//!
//! A statement that fails on PostgreSQL aborts the transaction: put it in a savepoint if the work
//! is to go on. A deadlock on MySQL rolls the whole transaction back, and so does `OR ROLLBACK` on SQLite, and what follows
//! would be committed one by one: after it, the unit of work is refused ([`WorkError::RolledBack`]). What is run on its
//! session all the same is not stored: SQLite does not run it, and MySQL has it in a transaction that is rolled back.

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

pub use current_work::CurrentWork;
pub use error::WorkError;
pub use outcome::{CommitError, Committed, Outcome, WorkFailure};
pub use scope::Scope;
pub use scopes::Scopes;
pub use sessions_for::Several;
pub use unit_of_work::UnitOfWork;

#[doc(no_inline)]
pub use crate::settings::{Isolation, WorkOptions, WrongKeys};
