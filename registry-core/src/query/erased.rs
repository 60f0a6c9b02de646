//! Queries in a box, whose own type is erased once it has been checked.
//!
//! Each query has a long type of its own. For each such type the compiler would generate all code down to the driver
//! again. To avoid that, this module boxes the query, and keeps only the SQL type of its rows as a type parameter. A
//! program with boxed queries compiles faster than with diesel-async's own methods.

use std::any::type_name;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};

use crate::backend::bind_variables::BindVariables;
use crate::sql::{self, Dialect, is_plain_select};
use crate::telemetry::{QueryTags, Statement, bind_values};

/// A query for a backend `DB` whose rows have the SQL type `ST`.
pub struct ErasedQuery<'q, DB, ST> {
    /// `None` only during the drop.
    query: Option<BoxedQuery<'q, DB>>,
    /// The slot that receives the query when this value is dropped. `None` if the query may not be run again.
    return_slot: Option<ReturnSlot<'q, DB>>,
    /// Whether the driver prepares the statement anew, and does not use one that it has kept.
    bypasses_cache: bool,
    /// The SQL without tags, once it was asked for, so that the driver need not write it once more.
    sql: Option<Arc<str>>,
    /// The comment behind the statement.
    tags: Option<QueryTags>,
    identity: TypeIdentity,
    row: PhantomData<fn() -> ST>,
}

/// The modules of Diesel's statements that write.
const WRITING_TYPES: [&str; 3] = ["insert_statement::", "update_statement::", "delete_statement::"];

/// Identifies the type of a query before its erasure.
#[derive(Clone, Copy)]
pub(super) struct TypeIdentity {
    pub(super) type_name: &'static str,
    /// The address of the function that writes the query's SQL. Types that are declared in two blocks of one function
    /// have the same name, but each type has a separate function, unless both functions write the same SQL.
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
/// diesel-async takes a query by value and drops it. The drop of [`ErasedQuery`] moves its content to a slot, which this
/// type reads.
pub(super) struct KeptQuery<'q, DB, ST> {
    slot: Option<ReturnSlot<'q, DB>>,
    tags: Option<QueryTags>,
    identity: TypeIdentity,
    row: PhantomData<fn() -> ST>,
}

impl<'q, DB: Backend, ST> ErasedQuery<'q, DB, ST> {
    pub(super) fn new<Q: QueryFragment<DB> + Send + 'q>(query: Q) -> Self {
        let identity = TypeIdentity::of::<DB, Q>();
        Self {
            query: Some(Box::new(query)),
            return_slot: None,
            bypasses_cache: false,
            sql: None,
            tags: None,
            identity,
            row: PhantomData,
        }
    }

    /// The query to be sent, and what returns it afterwards if `may_retry`.
    pub(super) fn split_for_retry(mut self, may_retry: bool) -> (Self, KeptQuery<'q, DB, ST>) {
        self.return_slot = may_retry.then(Arc::default);
        let slot = self.return_slot.clone();
        let tags = self.tags.clone();
        let kept = KeptQuery { slot, tags, identity: self.identity, row: PhantomData };
        (self, kept)
    }

    /// Makes the driver prepare the statement anew.
    pub(super) fn bypass_cache(&mut self) {
        self.bypasses_cache = true;
    }

    /// Sends these tags with the statement, unless it is one that takes none.
    pub(super) fn tag(&mut self, tags: &QueryTags)
    where
        DB: BindVariables,
    {
        if sql::takes_tags(DB::DIALECT, &self.sql()) {
            self.tags = Some(tags.clone());
        }
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

    /// Whether the query may write, on SQLite. The type tells for most queries, otherwise the SQL text does.
    pub(super) fn may_write(&self) -> bool
    where
        DB: Backend<QueryBuilder: Default> + Default,
    {
        match self.identity.type_name.strip_prefix("diesel::query_builder::") {
            Some(name) if name.starts_with("select_statement::") => false,
            Some(name) if WRITING_TYPES.iter().any(|prefix| name.starts_with(prefix)) => true,
            _ => sql::may_write(Dialect::Sqlite, &self.sql()),
        }
    }

    /// The text of the query, with its values if they are asked for.
    pub(super) fn statement(&mut self, with_values: bool) -> Statement
    where
        DB: BindVariables,
    {
        let sql: Arc<str> = match self.written() {
            Ok(sql) => Arc::clone(self.sql.insert(sql.into())),
            Err(sql) => sql.into(),
        };
        let shown = || diesel::debug_query::<DB, _>(self).to_string();
        let values = if with_values { bind_values(&sql, &shown()) } else { None };
        Statement { sql, values }
    }

    /// The SQL, with placeholders in place of values, and without tags.
    pub(super) fn sql(&self) -> Cow<'_, str>
    where
        DB: Backend<QueryBuilder: Default> + Default,
    {
        match &self.sql {
            Some(sql) => Cow::Borrowed(sql),
            // If the SQL cannot be built, the query fails when it is run.
            None => Cow::Owned(self.written().unwrap_or_else(|sql| sql)),
        }
    }

    /// The SQL without tags. An error has as much of it as could be built.
    fn written(&self) -> Result<String, String>
    where
        DB: Backend<QueryBuilder: Default> + Default,
    {
        let mut sql = DB::QueryBuilder::default();
        let outcome = self.query().to_sql(&mut sql, &DB::default());
        let sql = sql.finish();
        if outcome.is_ok() { Ok(sql) } else { Err(sql) }
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
    /// The query, if it was kept, and if `rule` allows to run it again outside of a transaction.
    pub(super) fn into_repeatable(self, rule: RetryRule) -> Option<ErasedQuery<'q, DB, ST>> {
        let query = self.slot?.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let Self { tags, identity, row, .. } = self;
        let query = ErasedQuery {
            query: Some(query),
            return_slot: None,
            bypasses_cache: false,
            sql: None,
            tags,
            identity,
            row,
        };
        let is_repeatable = match rule {
            RetryRule::Always => true,
            RetryRule::IfAtomic => is_atomic(&query.sql()),
            RetryRule::IfPlainSelect(dialect) => {
                !is_raw_sql(identity.type_name) && is_plain_select(dialect, &query.sql())
            }
        };
        is_repeatable.then_some(query)
    }
}

/// Which queries may be run again.
#[derive(Debug, Clone, Copy)]
pub enum RetryRule {
    /// Every query: nothing of it was sent.
    Always,
    /// A query that the database rolls back as a whole when it fails: it has failed.
    IfAtomic,
    /// A query that writes nothing: it may have been executed.
    IfPlainSelect(Dialect),
}

/// Whether the whole query is the text of a `sql_query`.
fn is_raw_sql(type_name: &str) -> bool {
    type_name.contains("diesel::query_builder::sql_query::")
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

impl<DB: BindVariables, ST> QueryFragment<DB> for ErasedQuery<'_, DB, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let tags = self.tags.as_ref();
        if self.bypasses_cache || tags.is_some_and(|tags| tags.is_of_one_run) {
            out.unsafe_to_cache_prepared();
        }
        self.query().walk_ast(out.reborrow())?;
        if let Some(tags) = tags {
            out.push_sql(&tags.comment);
        }
        Ok(())
    }

    /// Writes what was written before, if it was.
    fn to_sql(&self, out: &mut DB::QueryBuilder, backend: &DB) -> QueryResult<()> {
        match &self.sql {
            Some(sql) => out.push_sql(sql),
            None => self.query().to_sql(out, backend)?,
        }
        if let Some(tags) = &self.tags {
            out.push_sql(&tags.comment);
        }
        Ok(())
    }

    /// Collects the values. All connections do so before they send anything, so a statement with too many values is refused
    /// here.
    fn collect_binds<'b>(
        &'b self,
        out: &mut DB::BindCollector<'b>,
        metadata_lookup: &mut DB::MetadataLookup,
        backend: &'b DB,
    ) -> QueryResult<()> {
        self.query().collect_binds(out, metadata_lookup, backend)?;
        Ok(DB::check_collected(out)?)
    }
}

impl<DB, ST> fmt::Debug for ErasedQuery<'_, DB, ST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErasedQuery")
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use diesel::prelude::*;
    use diesel::query_builder::AsQuery;
    use diesel::sqlite::Sqlite;

    use super::*;

    diesel::table! { words (id) { id -> Integer, } }

    /// Whether the query may be run again by each rule.
    fn is_repeatable<Q: QueryFragment<Sqlite> + Send>(query: impl Fn() -> Q) -> [bool; 3] {
        let rules =
            [RetryRule::Always, RetryRule::IfAtomic, RetryRule::IfPlainSelect(Dialect::Sqlite)];
        rules.map(|rule| {
            let (sent, kept) = ErasedQuery::<_, ()>::new(query()).split_for_retry(true);
            drop(sent);
            kept.into_repeatable(rule).is_some()
        })
    }

    #[test]
    fn rules_tell_which_queries_may_be_run_again() {
        assert_eq!(is_repeatable(|| words::table.as_query()), [true, true, true]);
        assert_eq!(is_repeatable(|| words::table.into_boxed::<Sqlite>()), [true, true, true]);
        assert_eq!(is_repeatable(|| diesel::delete(words::table)), [true, true, false]);
        assert_eq!(is_repeatable(|| diesel::sql_query("SELECT 1")), [true, true, false]);
        assert_eq!(
            is_repeatable(|| diesel::sql_query("SELECT 1").into_boxed::<Sqlite>()),
            [true, true, false]
        );
        assert_eq!(is_repeatable(|| diesel::sql_query("CALL p()")), [true, false, false]);
        let (sent, kept) =
            ErasedQuery::<Sqlite, ()>::new(words::table.as_query()).split_for_retry(false);
        drop(sent);
        assert!(kept.into_repeatable(RetryRule::Always).is_none(), "it was not kept");
    }

    #[test]
    fn text_of_a_query_that_cannot_be_written_is_told_and_not_sent() {
        let nothing = None::<diesel::dsl::Eq<words::id, i32>>;
        let update = diesel::update(words::table).set(nothing);
        let mut query = ErasedQuery::<Sqlite, ()>::new(update);
        assert_eq!(&*query.statement(false).sql, "", "an update of nothing has no text");
        let written = query.to_sql(&mut Default::default(), &Sqlite);
        let error = written.expect_err("it fails when it is sent");
        assert!(matches!(error, diesel::result::Error::QueryBuilderError(_)), "{error:?}");
    }
}
