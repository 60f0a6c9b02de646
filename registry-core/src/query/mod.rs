//! Queries that find their own database.
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
//! A query has a table, and a table is bound: so the type of a query says which database it is for. Import
//! [`RunQueryDsl`] in place of diesel-async's trait of that name, and the last argument of a query's method
//! can be what is at hand:
//!
//! | executor | which queries | where | error |
//! |---|---|---|---|
//! | `&registry` | those that have a bind | on a session that is acquired for it and returned after it | [`Error`](crate::Error) |
//! | `&tenant` | the same | the same, in the tenant's database | the same |
//! | `&mut work` | the same | in the transaction of a [`UnitOfWork`](crate::UnitOfWork) | the same |
//! | `&mut session` | those of its bind, and those that have no table | there | Diesel's |
//! | `&mut connection` | all: nothing is checked | there | Diesel's |
//!
//! A `&mut` that is a variable, such as a function's parameter, is moved into the call. Where it is used
//! once more, write `&mut *session`; the compiler says so too.
//!
//! # What is found out, and when
//!
//! | mistake | found |
//! |---|---|
//! | a query on a session of another database | by the compiler |
//! | a function that is handed such a session where it asks for a [`Lender`] of its own bind | by the compiler |
//! | a join, a `UNION` (of boxed queries, too) or a subquery in `WHERE` of two databases | by the compiler |
//! | the same in an `UPDATE` or a `DELETE`, and in a `select(exists(..))` | by the compiler |
//! | a table that is not bound; a query without a table on the registry | by the compiler |
//! | a locking clause, such as `for_update()`, on `&registry` or `&tenant`: the lock would be gone when the call returns | by the compiler |
//! | the same in a query that was told where it belongs | when it is run: an error, and nothing is sent |
//! | a model bound to another database than its `table_name` | by the compiler, at the model |
//! | a table of another database anywhere else: in what is inserted, in the `SELECT` list, `SET`, `HAVING`, `ON`, `ORDER BY`, `RETURNING` or an upsert; anywhere in a query that was told where it belongs (`.bound_to::<Model>()`) | when it is run: an error, and nothing is sent |
//! | one in a box (`into_boxed()`, `dyn BoxableExpression`), in a type that is not Diesel's, in a model's `select_expression`, or by an alias of which no column is named | when it is run, by its name in SQL: an error, and nothing is sent |
//! | the same, if both databases have a table of that name | when it is run, if the query around it is on the table of that name as well, and neither of the two goes by an alias; otherwise never |
//! | a query on the registry or a tenant in a [`Scope`](crate::Scope) of the same registry, and so outside of its unit of work | when it is run: a warning in the log, with the place, once for each place |
//! | a query on the registry by a task that has a session of the same bind, and may be in a transaction, or a [`UnitOfWork`](crate::UnitOfWork) of any | when it is run, in debug builds: a warning in the log, with the place |
//! | other tables in the text of `sql_query` and `sql`, and a lock in it; a model's `select_expression` beside such a text in the same `SELECT` list or `RETURNING` | never |
//!
//! What is found out when a query is run is found in every build, and costs little: the verdict on a type of
//! queries is remembered, and where that depends on the statement, the verdict on its text. The error is a
//! [`HiddenTable`]. It goes by the Rust types of the tables that are bound with
//! [`bind_tables!`](crate::bind_tables) or in a module with [`#[bind]`](macro@crate::bind), so it makes no
//! difference whether two databases have tables of one name.
//!
//! A box has no such types in its own, so its SQL is read: a name in quotes, as Diesel writes tables, must be
//! that of a table of the query's bind, or of none. That includes the text of `sql("..")` in a box. If two
//! databases have tables of one name, a subquery on it in a box is taken for one on the query's own database;
//! but not if the query around it is on that very table, since Diesel does not nest a table in itself. It does
//! so only where the inner query is in a box of its own; should both be boxed, give one of them an alias.
//! What is in an `Option` is in the type of a query whether or not there is anything in it: so where a `None` in `SET`
//! could have been a subquery on that very table, one in a box in the same `SET` is taken for it.
//!
//! Rows may be loaded into any model that has a place for them, wherever that model is bound.
//!
//! # What is not taken
//!
//! Nearly every query that diesel-async takes is taken here. These are not, and with
//! `.bound_to::<Model>()` all of them are but the last three:
//!
//! - a query type that is not Diesel's own, such as the `Paginated` of Diesel's guide, also on a session;
//! - on the registry, a `select(..)` without a table that has more in it than subqueries, as in
//!   `select((exists(..), 1.into_sql::<Integer>()))`, or that is in a box. Where it has literal SQL or
//!   functions without arguments and nothing else, the compiler asks for type annotations;
//! - a `select(exists(..))` of a query whose condition is a `Box<dyn BoxableExpression<..>>`;
//! - a predicate of the program's own that implements Diesel's `AppearsOnTable` for one table, and not for any source,
//!   as `impl<QS> AppearsOnTable<QS>` does: also on a session. `.into_boxed()` is another answer;
//! - a `UNION` with text as a part, as in `union_all(sql::<Integer>("SELECT 41"))`, also on a session;
//! - an `INSERT` of many rows on SQLite that is to return them: it is one statement for each row;
//! - an upsert of many rows on SQLite with columns that may be left to their `DEFAULT`, as optional fields of
//!   an `Insertable` model are; Diesel has none either;
//! - a locking clause on `&registry` or `&tenant`: see above.
//!
//! # What the compiler says
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
//!   = note: or say where it belongs: `.bound_to::<Model>()`, with `use registry_core::BindDsl`
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
//! With Diesel's or diesel-async's `RunQueryDsl` in scope, and not that of this crate, of which the compiler
//! only knows that it wants a `&mut` connection:
//!
//! ```text
//! error[E0308]: mismatched types
//!   |     users::table.load::<User>(&registry).await?;
//!   |                               ^^^^^^^^^ types differ in mutability
//!   = note: expected mutable reference `&mut _`
//!                      found reference `&Registry`
//! ```
//!
//! `use registry_core::RunQueryDsl` is the answer. It goes before that of `diesel::prelude::*`, and takes the
//! place of `use diesel_async::RunQueryDsl`.

mod bound_to;
mod check;
mod dsl;
mod erased;
mod error;
mod execute;
mod executor;
mod optional;
mod retry;
mod routing;
mod rows;
mod run;
mod save_changes;

pub use bound_to::{BindDsl, BoundTo};
pub use check::{Check, HiddenTable};
pub use dsl::RunQueryDsl;
pub use error::QueryError;
pub use execute::Execute;
pub use executor::{Executor, Lender};
pub use optional::OptionalExtension;
pub use rows::Rows;
pub use run::Running;
pub use save_changes::SaveChangesDsl;
