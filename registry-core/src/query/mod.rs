//! Running queries, each in the database of its tables.
//!
//! ```
//! use diesel::prelude::*;
//! use registry_core::{Registry, RunQueryDsl, bind_tables};
//!
//! diesel::table! { events (id) { id -> Integer, what -> Text, } }
//! bind_tables!(db = "analytics", backend = Sqlite; events);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), registry_core::Error> {
//! # let settings = "sqlite::memory:";
//! let registry = Registry::builder().bind("analytics", settings).build()?;
//! # use registry_core::BindDsl;
//! # let create = "CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT NOT NULL)";
//! # diesel::sql_query(create).bound_to::<events::table>().execute(&registry).await?;
//! diesel::insert_into(events::table).values(events::what.eq("sign-up")).execute(&registry).await?;
//! let seen: Vec<String> = events::table.select(events::what).load(&registry).await?;
//! assert_eq!(seen, ["sign-up"]);
//! # Ok(())
//! # }
//! ```
//!
//! The type of a query names its tables, and each table is bound to one database. So the type of a query determines
//! its database. Import [`RunQueryDsl`] in place of diesel-async's trait of the same name. The last argument of a
//! query's method is then an executor:
//!
//! | executor | which queries | where | error |
//! |---|---|---|---|
//! | `&registry` | queries with a bind | on a session that is acquired for the query and returned after it | [`Error`](crate::Error) |
//! | `&tenant` | the same | the same, in the tenant's database | the same |
//! | `&mut work` | the same | in the transaction of a [`UnitOfWork`](crate::UnitOfWork) | the same |
//! | `&mut session` | queries of its bind, and queries without a table | on this session | Diesel's |
//! | `&session`, of PostgreSQL | the same as on `&mut session` | on this session, several at once | the same |
//! | `registry`, `tenant`, `session` by value | as by reference, but a session takes no locking clause | as by reference, and the session is returned at the end; the future and a stream borrow nothing | as by reference |
//! | `&reader`, `reader` by value | queries with a bind that [only read](#queries-that-only-read) | on a session of a [`Reader`](crate::Reader), on a replica or on the primary, that is acquired for the query and returned after it | [`Error`](crate::Error) |
//! | `&mut read_session`, `read_session` by value, and of PostgreSQL `&read_session` | queries of its bind, and queries without a table, that only read | on this [`ReadSession`](crate::ReadSession) | Diesel's |
//! | `&mut connection` | all: nothing is checked | on this connection | Diesel's |
//! | `&connection`, of PostgreSQL | the same | on this connection, several at once | the same |
//! | `&mut on`, an [`AnyExecutor<'_, B>`](crate::AnyExecutor) | queries of its bind, and queries without a table | on whatever it was made from | [`Error`](crate::Error) |
//! | a value of the program that names one of these, see [`IntoExecutor`] | those of the executor | on the executor | that of the executor |
//!
//! A function that takes an [`AnyExecutor`] can be called with each of the first five, and with those of a reader. Code that is
//! generic over models or executors uses [`QueryOf`], [`CommandOf`] and [`Runs`].
//!
//! A variable that is a `&mut`, such as a parameter of a function, is moved into the call. To use it again
//! afterwards, write `&mut *session`. The compiler suggests this spelling too.
//!
//! [`paginate`] loads pages of a query.
//!
//! # Several queries at once
//!
//! On PostgreSQL, queries on one `&session` that are awaited together, by `try_join!` or `try_join_all`, are one pipeline: each
//! is sent without waiting for the answers to the queries before it, so all of them take about one round trip. The server
//! runs them one after the other, in the order in which they were sent, each in a transaction of its own unless one is
//! open. `&mut &session` is accepted as well, as by diesel-async.
//!
//! - Await them together. A future that was polled once and is not polled again may hold up the others: it holds a lock of
//!   the driver while its statement is prepared, which happens when the statement is first run on the connection. The rows
//!   of a stream arrive before the answers to later queries, so a stream is read while these are awaited, in another branch
//!   of the same `try_join!`.
//! - In a transaction, the error of one query aborts the transaction, and the queries after it fail.
//! - Dropping one of the futures leaves the other queries their answers. The connection is closed when the session is
//!   dropped, and the statement is then cancelled on the server, not earlier.
//! - If a prepared statement no longer fits its table, every query on it that was sent meanwhile fails, as one does on
//!   `&mut session`. Later queries on `&session` are prepared anew each time, until `&mut session` is used.
//! - [`save_changes`](SaveChangesDsl::save_changes) and `batch_execute` need `&mut session`.
//!
//! MySQL and MariaDB have no pipelines in their protocol, and SQLite has no server to wait for: there, `&session` does not
//! compile.
//!
//! # Queries that only read
//!
//! A [`Reader`](crate::Reader) and a [`ReadSession`](crate::ReadSession) take a query if its type shows that it neither writes
//! nor locks rows: a `SELECT` without a locking clause, in a box or not, a `UNION` of such, pages of them, and
//! `select(..)` without a table. An insert, an update, a delete, a statement on many rows and
//! [`save_changes`](SaveChangesDsl::save_changes) do not compile.
//!
//! The type of `sql_query(..)`, of `sql(..)` as a whole query, and of a query type of the program shows nothing. There, the program
//! claims it: `.reads::<Model>()` takes the place of [`.bound_to::<Model>()`](BindDsl::bound_to), see
//! [`BindDsl::reads`]. The compiler believes the claim.
//!
//! Before a query is sent, its type is read again, and its SQL where the type hides something (in a box, or in text).
//! So a lock in a subquery, a statement that writes on an [`AnyExecutor`] or in generic code that turns out to be a
//! reader, and a claim for a statement of Diesel's that writes are errors, and nothing is sent.
//!
//! The rest is refused by the server, as each transaction on a reader is read-only: SQL text that writes, a
//! sequence (`nextval`), a function or a trigger that writes, `SELECT .. INTO`, and statements that define something. What
//! changes no row is no write for the server: advisory locks (`pg_advisory_lock`, `GET_LOCK`), notifications, settings of the
//! session, `VACUUM`, MariaDB's `LOCK IN SHARE MODE` in text with a claim, and before PostgreSQL 16 the creation of large
//! objects (`lo_create`).
//!
//! # Mistakes, and when they are detected
//!
//! | mistake | detected |
//! |---|---|
//! | a query on a session of another database | by the compiler |
//! | a session of another database, passed to a function that takes a [`Lender`], an [`AnyExecutor`] or [`Runs`] of its own bind | by the compiler |
//! | a query on `&session` of MySQL, MariaDB or SQLite | by the compiler |
//! | a join, a `UNION` (of boxed queries, too) or a subquery in `WHERE` of two databases | by the compiler |
//! | the same in an `UPDATE` or a `DELETE`, and in a `select(exists(..))` | by the compiler |
//! | a table that is not bound; a query without a table on the registry | by the compiler |
//! | a locking clause, such as `for_update()`, on `&registry` or `&tenant`: the row lock would be released when the call returns | by the compiler |
//! | a locking clause in a query with `.bound_to::<Model>()`, on the same executors, or in any query on an [`AnyExecutor`] that was made from one of them, or in generic code ([`QueryOf`]) | when it is run: an error, and nothing is sent |
//! | a query that writes on a reader: an insert, an update, a delete, `save_changes`, a statement on many rows | by the compiler |
//! | a locking clause on a reader, also in a part of a `UNION` | by the compiler |
//! | SQL text or a query type of the program on a reader, without `.reads::<Model>()` | by the compiler |
//! | a query that writes on an [`AnyExecutor`] that was made from a reader, or in generic code ([`CommandOf`]) | when it is run: an error, and nothing is sent |
//! | a locking clause in a subquery or in a box on a reader; a statement of Diesel's that writes or locks with `.reads::<Model>()`, on any executor | when it is run: an error, and nothing is sent |
//! | SQL text that writes, on a reader with `.reads::<Model>()`; a function that writes | by the server, which refuses it |
//! | a model bound to another database than its `table_name` | by the compiler, at the model |
//! | a table of another database anywhere else: in the values of an `INSERT`, in the `SELECT` list, `SET`, `HAVING`, `ON`, `ORDER BY`, `RETURNING` or an upsert; anywhere in a query with `.bound_to::<Model>()` | when it is run: an error, and nothing is sent |
//! | one in a box (`into_boxed()`, `dyn BoxableExpression`), in a type that is not Diesel's, in a model's `select_expression`, or in an alias of which no column is named | when it is run, by its name in SQL: an error, and nothing is sent |
//! | the same, if both databases have a table of that name | when it is run, if the query around it is on the table of that name as well, and neither of the two has an alias; otherwise never |
//! | one in the text of `sql_query` or `sql`, in a query with `.bound_to::<Model>()` | when it is run, by its [name in the text](#tables-in-sql-text): an error, and nothing is sent |
//! | a table that [`bind_foreign!`](crate::bind_foreign) has declared for another database | when it is run, like a bound table: an error, and nothing is sent |
//! | more bind variables than the database takes in a statement | when it is run: [`TooManyBindVariables`], and nothing is sent |
//! | a query on the registry or a tenant in a [`Scope`](crate::Scope) of the same registry, and so outside of its unit of work | when it is run: a warning in the log, with the place, once for each place |
//! | a query on the registry by a task that has a session of the same bind, and may be in a transaction, or a [`UnitOfWork`](crate::UnitOfWork) of any bind | when it is run, in debug builds: a warning in the log, with the place |
//! | other tables in the text of `sql_query` and `sql` without `.bound_to::<Model>()`; a locking clause in such a text; a model's `select_expression` beside such a text in the same `SELECT` list or `RETURNING` | never |
//!
//! The checks at run time are made in every build, before anything is sent, and the error is a [`HiddenTable`]. For
//! most queries they take about 10 ns, because the result is cached for each type of query. Where the result depends
//! on the statement, its SQL is built once more, and the result is cached for each text.
//!
//! A table is identified by its Rust type, so two databases may have tables of the same name. The types that are
//! known are the types that are bound with [`bind_tables!`](crate::bind_tables) or in a module with
//! [`#[bind]`](macro@crate::bind), or declared with [`bind_foreign!`](crate::bind_foreign).
//!
//! ## Tables in a box
//!
//! The type of a box does not name the types in it, so the SQL of the query is read instead. Diesel writes the names
//! of tables in quotes. Each must be the name of a table of the query's bind, or of no bound table at all. This holds
//! for the text of `sql("..")` in a box as well.
//!
//! If two databases have a table of the same name, the check assumes that a boxed subquery on that name uses the table of
//! the query's own database. But if the query around it uses a table of that name as well, the check assumes that the
//! subquery uses the table of the other database, and refuses it, since Diesel does not nest a table in itself. Two
//! limits follow:
//!
//! - Diesel does nest a table in itself if the subquery is in a box of its own. If the query around it is boxed as
//!   well, the check cannot tell this from a table of the other database, and refuses it. Give one of the two an
//!   alias.
//! - The type of a query contains the type inside of an `Option` even if the value is `None`. If a `None` in `SET` could
//!   have been a subquery on the query's own table, the check takes a boxed subquery on the other database in the same
//!   `SET` for that subquery, and does not detect it.
//!
//! ## Tables in SQL text
//!
//! In a query with `.bound_to::<Model>()`, the program may have written the SQL itself: in `sql_query` and `sql`, or in a
//! query type of its own. The SQL is read before it is sent, and each table in it must be one of the query's bind, or no
//! bound table at all.
//!
//! - A table is a name, in quotes or not, after `FROM`, `JOIN`, `INTO`, `UPDATE`, `USING`, `TABLE` or `TRUNCATE`, or
//!   after a comma in such a list. Columns, aliases, functions, literals, comments and the names of common table
//!   expressions are none.
//! - Only statements that read or change rows are read. Those that define something, such as `CREATE TABLE` and
//!   `DROP TABLE`, and `COPY`, `CALL` and `DECLARE` are not.
//! - Names are compared as the database does it: on PostgreSQL, a name without quotes is in lower case; on MySQL and
//!   SQLite, case does not matter. `public.` on PostgreSQL and `main.` on SQLite may be left out. Any other schema or
//!   database before a name makes it another table.
//! - A name of both databases means the table of the query's own. But if the query's own database has a table of that name
//!   which is *not* bound, and another bind has one which is, the query is refused, because the check cannot know the
//!   first. Bind the table, or run the text without `.bound_to` on a session, where it is not checked.
//!
//! ## Models
//!
//! Rows may be loaded into any model with matching fields, even one that is bound to another database.
//!
//! # Queries that are not accepted
//!
//! Nearly every query that diesel-async accepts is accepted here, with these exceptions. With `.bound_to::<Model>()`,
//! all but the last three are accepted as well:
//!
//! - a query type that is not Diesel's own, such as the `Paginated` of Diesel's guide, also on a session;
//! - a query on a table that cannot be bound, because it is declared in a crate that does not know this one, also on a
//!   session. [`bind_foreign!`](crate::bind_foreign) declares its bind for the checks;
//! - on the registry, a `select(..)` without a table that has more in it than subqueries, as in
//!   `select((exists(..), 1.into_sql::<Integer>()))`, or that is in a box. If the selection has literal SQL or functions without
//!   arguments and nothing else, the compiler asks for type annotations;
//! - a `select(exists(..))` of a query whose condition is a `Box<dyn BoxableExpression<..>>`;
//! - a predicate of the program that implements Diesel's `AppearsOnTable` for one table, and not for any source as
//!   `impl<QS> AppearsOnTable<QS>` does: also on a session. `.into_boxed()` is another remedy;
//! - a `UNION` with literal SQL as a part, as in `union_all(sql::<Integer>("SELECT 41"))`, also on a session;
//! - an `INSERT` of many rows on SQLite that returns the rows: such an insert is sent as one statement for each row;
//! - an upsert of many rows on SQLite with columns that may be left to their `DEFAULT`, such as optional fields of an
//!   `Insertable` model: Diesel does not support it either. [`batched`] sends one statement for each row, in a transaction:
//!   `batched(&rows, |rows| insert_into(table).values(&rows[0]).on_conflict(..)..).rows_per_statement(1)`;
//! - a locking clause on `&registry` or `&tenant`: take the lock in a unit of work, or on a session, in a
//!   transaction;
//! - on a reader, whatever is not known to [only read](#queries-that-only-read).
//!
//! # Messages of the compiler
//!
//! On a session of another database:
//!
//! ```text
//! error[E0277]: the wrong session: this query belongs to `Db<.., Name<'d', 'e', 'f', 'a', 'u', 'l', 't'>>`,
//!               and the session to `Db<.., Name<'a', 'n', 'a', 'l', 'y', 't', 'i', 'c', 's'>>`
//!   |     users::table.load::<User>(&mut session).await?;
//!   |                  ^^^^ this session is one of another database
//!   = note: acquire a session of the query's own database, or hand it `&registry`, which finds it
//! ```
//!
//! A join of two databases, and likewise a union or a subquery:
//!
//! ```text
//! error[E0277]: a query of two databases: one of its tables is in `Db<.., Name<'a', 'n', 'a', 'l', ..>>`,
//!               another in `Db<.., Name<'d', 'e', 'f', 'a', 'u', 'l', 't'>>`
//!   |     users::table.inner_join(events::table).load::<(User, Event)>(&registry).await?;
//!   |                                            ^^^^ this query needs both of them
//!   = note: no database can join, combine or compare what is in another one: load from each, and put the
//!           rows together in the program
//! ```
//!
//! A query without a table, on the registry:
//!
//! ```text
//! error[E0277]: this query has no table, so the registry cannot know in which database to run it
//!   |     diesel::sql_query("ANALYZE").execute(&registry).await?;
//!   |                                  ^^^^^^^ there is nothing in this query to find a database by
//!   = note: run it on a session: `registry.session_for::<Model>().await?`
//!   = note: or say where it belongs: `.bound_to::<Model>()`, or on a reader `.reads::<Model>()`, with `use registry_core::BindDsl`
//! ```
//!
//! A locking clause on the registry:
//!
//! ```text
//! error[E0277]: the rows that this query locks are not locked any more when the call returns
//!   |     jobs::table.for_update().skip_locked().first::<Job>(&registry).await?;
//!   |                                                         ^^^^^^^^^ the session is returned at the end of
//!   |                                                 this call, and the lock goes with its transaction
//!   = note: take the lock in a unit of work, `registry.transaction(async |work| ..)`, or on a session,
//!           in a transaction
//! ```
//!
//! A write on a reader, and likewise a lock, or text without a claim:
//!
//! ```text
//! error[E0277]: a reader only reads, and this query writes, locks rows, or is not known to only read
//!   |     diesel::delete(carts::table).execute(&reader).await?;
//!   |                                          ^^^^^^^ this executor takes only queries that read
//!   = note: run a query that writes on `&registry`, `&tenant`, a session or in a unit of work, and one that
//!           locks rows on a session or in a unit of work
//!   = note: say of SQL text, and of a query type of your own, that it only reads: `.reads::<Model>()`, with
//!           `use registry_core::BindDsl`
//! ```
//!
//! With the `RunQueryDsl` of Diesel or diesel-async in scope instead of this crate's trait. Those traits accept only a
//! `&mut` connection:
//!
//! ```text
//! error[E0308]: mismatched types
//!   |     users::table.load::<User>(&registry).await?;
//!   |                               ^^^^^^^^^ types differ in mutability
//!   = note: expected mutable reference `&mut _`
//!                      found reference `&Registry`
//! ```
//!
//! The remedy is `use registry_core::RunQueryDsl`. It takes precedence over the trait in `diesel::prelude::*`, and
//! has to replace `use diesel_async::RunQueryDsl`.

// The map for maintainers. A query passes through these files in this order:
//
//   dsl.rs             the methods that a program calls: `load`, `execute`, ..
//   executor.rs        the trait of executors, and how to add one; executor/ has a file for each executor
//   routing/           how the compiler finds the bind of a query, by types alone
//   erased.rs          the query in a box, so that the compiler generates less code for each
//   execute.rs         the same for commands; two kinds of commands are sent to SQLite in other ways (execute/)
//   run.rs, rows.rs    lease a connection, check the query, send it; rows.rs for streams
//   check/             the checks at run time, before the query is sent
//   retry.rs           the handling of a failure: the error, or a second try
//   error.rs           the error of a query
//   generic.rs         bounds for generic code, with methods that enter at run.rs
//
// bound_to.rs (`.bound_to::<Model>()`, `.reads::<Model>()`), batched.rs, save_changes.rs and optional.rs stand beside that path. paginate/ and keyset/ are
// pages by number and by key; on_lease.rs runs their statements, on one connection.
//
// Imports have no circle: dsl -> run -> rows -> retry -> executor -> routing -> bound_to, batched; run -> check -> erased.

mod batched;
mod bound_to;
mod check;
mod dsl;
mod erased;
mod error;
mod execute;
mod executor;
mod generic;
mod keyset;
mod on_lease;
mod optional;
pub mod paginate;
mod retry;
mod routing;
mod rows;
mod run;
mod save_changes;

pub use crate::backend::bind_variables::TooManyBindVariables;
pub use batched::{Batched, InsertBatched, RowOf};
#[doc(no_inline)]
pub use batched::{InsertBatchedDsl, batched};
#[doc(no_inline)]
pub use bound_to::BindDsl;
pub use bound_to::BoundTo;
pub use check::{Check, HiddenTable};
#[doc(no_inline)]
pub use dsl::RunQueryDsl;
#[cfg(feature = "axum")]
pub(crate) use erased::ErasedQuery;
#[doc(no_inline)]
pub use error::QueryError;
pub use execute::Execute;
#[doc(no_inline)]
pub use executor::AnyExecutor;
#[cfg(feature = "axum")]
pub(crate) use executor::LenderBackend;
pub use executor::{ErrorOf, Executor, IntoExecutor, Lender, QueryCall};
pub use generic::{CommandOf, DieselBackend, QueryOf, Runs};
#[doc(no_inline)]
pub use optional::OptionalExtension;
#[cfg(feature = "axum")]
pub(crate) use routing::RouteMarker;
pub use rows::Rows;
pub use run::Running;
#[doc(no_inline)]
pub use save_changes::SaveChangesDsl;
