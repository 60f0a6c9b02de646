//! Queries in a box, whose own type is erased once it has been checked.
//!
//! Each query has a long type of its own, and for each type the compiler generates everything that the query passes
//! through, down to the driver, once more. To avoid that, a query is boxed here, and only the SQL type of its rows
//! stays a type. That takes the compiler less time than diesel-async's own methods.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};

/// A query for a backend `DB` whose rows have the SQL type `ST`.
pub struct ErasedQuery<'q, DB, ST> {
    /// `None` only while it is dropped.
    query: Option<BoxedQuery<'q, DB>>,
    /// Where the query goes when this is dropped, if it may be run again.
    return_slot: Option<ReturnSlot<'q, DB>>,
    identity: TypeIdentity,
    row: PhantomData<fn() -> ST>,
}

/// Which type a query had before it was erased.
#[derive(Clone, Copy)]
pub(super) struct TypeIdentity {
    pub(super) type_name: &'static str,
    /// The address of the function that writes the query's SQL. Types that are declared in two blocks of one function
    /// have the same name, but each has a function of its own, unless both write the same.
    pub(super) writer: usize,
}

impl TypeIdentity {
    fn of<DB: Backend, Q: QueryFragment<DB>>() -> Self {
        let writer: for<'a, 'b> fn(&'b Q, AstPass<'a, 'b, DB>) -> QueryResult<()> = Q::walk_ast;
        Self { type_name: type_name::<Q>(), writer: writer as usize }
    }
}

type BoxedQuery<'q, DB> = Box<dyn QueryFragment<DB> + Send + 'q>;
type ReturnSlot<'q, DB> = Arc<Mutex<Option<BoxedQuery<'q, DB>>>>;

/// A query that has been sent, if it was kept to be run again.
///
/// diesel-async takes a query by value and drops it. [`ErasedQuery`] then moves its content to a slot, where this
/// finds it.
pub(super) struct KeptQuery<'q, DB, ST> {
    slot: Option<ReturnSlot<'q, DB>>,
    identity: TypeIdentity,
    row: PhantomData<fn() -> ST>,
}

impl<'q, DB: Backend, ST> ErasedQuery<'q, DB, ST> {
    pub(super) fn new<Q: QueryFragment<DB> + Send + 'q>(query: Q) -> Self {
        let identity = TypeIdentity::of::<DB, Q>();
        Self { query: Some(Box::new(query)), return_slot: None, identity, row: PhantomData }
    }

    /// The query to be sent, and what returns it afterwards if `may_retry`.
    pub(super) fn split_for_retry(mut self, may_retry: bool) -> (Self, KeptQuery<'q, DB, ST>) {
        self.return_slot = may_retry.then(Arc::default);
        let slot = self.return_slot.clone();
        let kept = KeptQuery { slot, identity: self.identity, row: PhantomData };
        (self, kept)
    }

    fn query(&self) -> &(dyn QueryFragment<DB> + Send + 'q) {
        match &self.query {
            Some(query) => &**query,
            None => unreachable!("the query is only taken out when this is dropped"),
        }
    }

    pub(super) fn type_identity(&self) -> TypeIdentity {
        self.identity
    }

    /// The SQL, with placeholders in place of values.
    pub(super) fn sql(&self) -> String
    where
        DB: Backend<QueryBuilder: Default> + Default,
    {
        let mut sql = DB::QueryBuilder::default();
        // A query whose SQL cannot be built fails when it is run.
        let _ = self.query().to_sql(&mut sql, &DB::default());
        sql.finish()
    }
}

impl<DB, ST> Drop for ErasedQuery<'_, DB, ST> {
    fn drop(&mut self) {
        if let Some(slot) = self.return_slot.take() {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = self.query.take();
        }
    }
}

impl<'q, DB, ST> KeptQuery<'q, DB, ST>
where
    DB: Backend<QueryBuilder: Default> + Default,
{
    /// The query, if it was kept, and if it leaves nothing behind when it fails outside of a transaction.
    pub(super) fn into_repeatable(self) -> Option<ErasedQuery<'q, DB, ST>> {
        let query = self.slot?.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let Self { identity, row, .. } = self;
        let query = ErasedQuery { query: Some(query), return_slot: None, identity, row };
        is_atomic(&query.sql()).then_some(query)
    }
}

/// Whether the database rolls the statement back as a whole when it fails. `CALL` is not listed, since a procedure
/// can commit a part of its work.
fn is_atomic(sql: &str) -> bool {
    let word = sql.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    sql.starts_with('(')
        || ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES"]
            .iter()
            .any(|atomic| word.eq_ignore_ascii_case(atomic))
}

impl<DB, ST> Query for ErasedQuery<'_, DB, ST> {
    type SqlType = ST;
}

/// Without a static id, Diesel looks its prepared statement up by the SQL.
impl<DB, ST> QueryId for ErasedQuery<'_, DB, ST> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: Backend, ST> QueryFragment<DB> for ErasedQuery<'_, DB, ST> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query().walk_ast(out)
    }
}

impl<DB, ST> fmt::Debug for ErasedQuery<'_, DB, ST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErasedQuery")
    }
}
