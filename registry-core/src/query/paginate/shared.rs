//! A query that is sent twice, in two forms.

use std::sync::{Arc, Mutex, PoisonError};

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment};

/// A query that comes back when the statement that has it is dropped.
///
/// A query is sent by value, and most types of queries cannot be cloned, such as those in a box.
#[derive(Debug)]
pub(in crate::query) struct Shared<Q> {
    /// `None` only during the drop.
    query: Option<Q>,
    slot: Slot<Q>,
}

/// Where the query is after its statement.
#[derive(Debug)]
pub(super) struct Slot<Q>(Arc<Mutex<Option<Q>>>);

impl<Q> Shared<Q> {
    /// The query, and where it is afterwards.
    pub(super) fn new(query: Q) -> (Self, Slot<Q>) {
        let slot = Slot(Arc::default());
        (Self { query: Some(query), slot: Slot(Arc::clone(&slot.0)) }, slot)
    }

    fn query(&self) -> &Q {
        match &self.query {
            Some(query) => query,
            None => unreachable!("the query is only taken out when this is dropped"),
        }
    }
}

impl<Q> Slot<Q> {
    pub(super) fn take(self) -> Option<Q> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<Q> Drop for Shared<Q> {
    fn drop(&mut self) {
        *self.slot.0.lock().unwrap_or_else(PoisonError::into_inner) = self.query.take();
    }
}

impl<Q: Query> Query for Shared<Q> {
    type SqlType = Q::SqlType;
}

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Shared<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.query().walk_ast(out)
    }
}
