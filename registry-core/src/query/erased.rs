//! Queries without their types, once the types have said all that they have to say.
//!
//! The type of a query is long and unlike all others. Everything that is written for it is written out by
//! the compiler once more, down to the driver. So a query goes there in a box, where its rows alone still
//! have a type: that takes the compiler less time than diesel-async's own methods.

use std::fmt;
use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// A query for a backend `DB` whose rows have the SQL type `ST`.
pub struct Erased<'q, DB, ST> {
    query: Box<dyn QueryFragment<DB> + Send + 'q>,
    type_name: &'static str,
    row: PhantomData<fn() -> ST>,
}

impl<'q, DB: Backend, ST> Erased<'q, DB, ST> {
    pub(super) fn new<Q: QueryFragment<DB> + Send + 'q>(query: Q) -> Self {
        // Debug builds look at every query, whatever its type is called.
        #[cfg(debug_assertions)]
        let type_name = "";
        #[cfg(not(debug_assertions))]
        let type_name = std::any::type_name::<Q>();
        Self { query: Box::new(query), type_name, row: PhantomData }
    }

    pub(super) fn type_name(&self) -> &'static str {
        self.type_name
    }
}

impl<DB, ST> Query for Erased<'_, DB, ST> {
    type SqlType = ST;
}

/// Its prepared statement is found by its SQL.
impl<DB, ST> QueryId for Erased<'_, DB, ST> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: Backend, ST> QueryFragment<DB> for Erased<'_, DB, ST> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query.walk_ast(out)
    }
}

impl<DB, ST> fmt::Debug for Erased<'_, DB, ST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Erased")
    }
}
