//! Queries without their types, once the types have said all that they have to say.
//!
//! The type of a query is long and unlike all others. Everything that is written for it is written out by
//! the compiler once more, down to the driver. So a query goes there in a box, where its rows alone still
//! have a type: that takes the compiler less time than diesel-async's own methods.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

use super::verdicts::Kind;
use crate::sql::sql_of;

/// A query for a backend `DB` whose rows have the SQL type `ST`.
pub struct Erased<'q, DB, ST> {
    /// Empty only while it is dropped.
    query: Option<Boxed<'q, DB>>,
    home: Option<Place<'q, DB>>,
    shape: Shape,
    row: PhantomData<fn() -> ST>,
}

/// What is left of its type.
#[derive(Clone, Copy)]
struct Shape {
    type_name: &'static str,
    code: usize,
}

/// The address of the code that writes the SQL of a `Q`.
fn code_of<DB: Backend, Q: QueryFragment<DB>>() -> usize {
    let code: for<'a, 'b> fn(&'b Q, AstPass<'a, 'b, DB>) -> QueryResult<()> = Q::walk_ast;
    code as usize
}

type Boxed<'q, DB> = Box<dyn QueryFragment<DB> + Send + 'q>;
type Place<'q, DB> = Arc<Mutex<Option<Boxed<'q, DB>>>>;

/// Where a query is to be found again when diesel-async has dropped it, which takes queries by value.
pub(super) struct Home<'q, DB, ST> {
    place: Option<Place<'q, DB>>,
    shape: Shape,
    row: PhantomData<fn() -> ST>,
}

impl<'q, DB: Backend, ST> Erased<'q, DB, ST> {
    pub(super) fn new<Q: QueryFragment<DB> + Send + 'q>(query: Q) -> Self {
        let shape = Shape { type_name: type_name::<Q>(), code: code_of::<DB, Q>() };
        Self { query: Some(Box::new(query)), home: None, shape, row: PhantomData }
    }

    /// The query, and where it will be found again if `is_kept`.
    pub(super) fn lent(mut self, is_kept: bool) -> (Self, Home<'q, DB, ST>) {
        self.home = is_kept.then(Arc::default);
        let home = Home { place: self.home.clone(), shape: self.shape, row: PhantomData };
        (self, home)
    }

    fn query(&self) -> &(dyn QueryFragment<DB> + Send + 'q) {
        match &self.query {
            Some(query) => &**query,
            None => unreachable!("a query is only emptied when it is dropped"),
        }
    }

    /// What kind of query it is, if it is run for the bind of that key.
    pub(super) fn kind(&self, key: &'static str) -> Kind {
        let Shape { type_name, code } = self.shape;
        Kind { type_name, code, key }
    }
}

impl<DB, ST> Drop for Erased<'_, DB, ST> {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            *home.lock().unwrap_or_else(PoisonError::into_inner) = self.query.take();
        }
    }
}

impl<'q, DB, ST> Home<'q, DB, ST>
where
    DB: Backend<QueryBuilder: Default> + Default,
{
    /// The query, if it was kept, and is one that leaves nothing behind when it fails outside a transaction.
    pub(super) fn into_repeatable(self) -> Option<Erased<'q, DB, ST>> {
        let query = self.place?.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let Self { shape, row, .. } = self;
        let query = Erased { query: Some(query), home: None, shape, row };
        // A procedure can commit a part of its work, so that the statement is not rolled back as a whole.
        let sql = sql_of::<DB>(&query);
        let word = sql.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let is_atomic = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known));
        (is_atomic || sql.starts_with('(')).then_some(query)
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
        self.query().walk_ast(out)
    }
}

impl<DB, ST> fmt::Debug for Erased<'_, DB, ST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Erased")
    }
}
