//! Equality of binds, as traits with the compiler's message about a query of two databases.

use crate::backend::Backend;
use crate::bind::{Bind, ByKey, Db, KeyName};

/// A bind that is the same as `B`: all tables of a query are in one database.
#[diagnostic::on_unimplemented(
    message = "a query of two databases: one of its tables is in `{Self}`, another in `{B}`",
    label = "this query needs both of them",
    note = "no database can join, combine or compare what is in another one: load from each, and put the rows together in the program"
)]
pub trait OneDatabase<B> {}

impl<B: Bind> OneDatabase<B> for B {}

/// A bind of a query that can be run on a session of the bind `S`, because it is the same.
#[diagnostic::on_unimplemented(
    message = "the wrong session: this query belongs to `{Self}`, and the session to `{S}`",
    label = "this session is one of another database",
    note = "acquire a session of the query's own database, or hand it `&registry`, which finds it"
)]
pub trait RunsOnSessionOf<S> {}

impl<B: Bind> RunsOnSessionOf<B> for B {}

/// On a session by key, only the connection type is checked.
#[diagnostic::do_not_recommend]
impl<C: Backend, N: KeyName> RunsOnSessionOf<ByKey<C>> for Db<C, N> {}
