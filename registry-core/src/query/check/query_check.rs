//! The check of a query: the cached result for its type first, its SQL only where the type does not suffice.
//!
//! In SQL, Diesel quotes each table that it writes after `FROM`, `JOIN`, `INTO`, `UPDATE` and `ONLY`. A name there
//! that is bound, but not to the query's bind, is an error.

use diesel::QueryResult;
use diesel::backend::Backend;

use super::bound_tables::{BOUND_TABLES, BoundTable, BoundTables};
use super::hidden_table::HiddenTable;
use super::lost_locks::{LostRowLock, loses_row_lock};
use super::source_counts::{SourceCount, count_sources};
use super::statement_cache::check_statement_once;
use super::type_cache::{QueryType, SqlScope, TableCheck, TypeCheck, cached_check, succeed_once};
use super::type_inspection::{TypeCoverage, inspect_type};
use crate::query::erased::ErasedQuery;
use crate::query::executor::Lender;
use crate::sql::{self, Dialect, NamedTable};

/// What is checked in a query before it is sent to a given executor.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The key of the bind that all tables must belong to. `None` on a session by key and on a bare connection, where
    /// nothing is checked.
    key: Option<&'static str>,
    dialect: Dialect,
    /// Whether the executor's connection, and with it a row lock, outlives the call.
    keeps_locks: bool,
}

impl Check {
    pub(in crate::query) const fn for_lender<E: Lender<B>, B>() -> Self {
        let dialect = Dialect::of(<E::Connection as crate::backend::Backend>::KIND);
        Self { key: E::KEY, dialect, keeps_locks: E::KEEPS_LOCKS }
    }

    /// Fails if a table of the query belongs to another bind, or if it takes a row lock that the executor would
    /// release at the end of the call.
    #[inline]
    pub(in crate::query) fn check_query<DB, ST>(
        self,
        query: &ErasedQuery<'_, DB, ST>,
    ) -> QueryResult<()>
    where
        DB: Backend<QueryBuilder: Default> + Default,
    {
        let Some(key) = self.key else { return Ok(()) };
        let query_type = QueryType::of_query(query.type_identity(), key);
        let check = cached_check(query_type, || check_type(&BOUND_TABLES, query_type));
        if check.loses_lock && !self.keeps_locks {
            return Err(LostRowLock.into());
        }
        match &check.tables {
            TableCheck::Passed => Ok(()),
            TableCheck::Failed(error) => Err(error.clone().into()),
            TableCheck::OneStatement { scope, has_passed } => {
                let check =
                    || check_sql(&BOUND_TABLES, query_type, self.dialect, &query.sql(), *scope);
                Ok(succeed_once(has_passed, check)?)
            }
            TableCheck::EveryStatement => {
                let scope = SqlScope::WholeStatement;
                let check =
                    |sql: &str| check_sql(&BOUND_TABLES, query_type, self.dialect, sql, scope);
                Ok(check_statement_once(query_type, self.dialect, query.sql(), check)?)
            }
        }
    }

    /// Fails if the type of that name has a table of another bind: for changesets, of which there is no SQL yet.
    pub(in crate::query) fn check_type_name(self, type_name: &'static str) -> QueryResult<()> {
        let Some(key) = self.key else { return Ok(()) };
        let query_type = QueryType::of_type_name(type_name, key);
        match &cached_check(query_type, || check_type(&BOUND_TABLES, query_type)).tables {
            TableCheck::Failed(error) => Err(error.clone().into()),
            _ => Ok(()),
        }
    }
}

fn check_type(bound_tables: &BoundTables, query_type: QueryType) -> TypeCheck {
    let tables = match inspect_type(bound_tables, query_type.type_name, query_type.key) {
        Ok(TypeCoverage::Complete) => TableCheck::Passed,
        Ok(TypeCoverage::AllButModels) => TableCheck::one_statement(SqlScope::WholeStatement),
        Ok(TypeCoverage::AllButModelsBesideText) => TableCheck::one_statement(SqlScope::Selection),
        Ok(TypeCoverage::Partial) => TableCheck::EveryStatement,
        Err(table) => TableCheck::Failed(hidden_table(bound_tables, query_type.key, table)),
    };
    TypeCheck { tables, loses_lock: loses_row_lock(query_type.type_name) }
}

/// Fails if the statement has a table of another bind within `scope`.
fn check_sql(
    bound_tables: &BoundTables,
    query_type: QueryType,
    dialect: Dialect,
    sql: &str,
    scope: SqlScope,
) -> Result<(), HiddenTable> {
    let tables = sql::tables(dialect, sql);
    let in_scope = |table: &&NamedTable<'_>| scope == SqlScope::WholeStatement || table.is_selected;
    for table in tables.iter().filter(in_scope) {
        let bound = bound_tables.named(&table.name);
        let is_own = |other: &&BoundTable| other.key == query_type.key;
        let Some(foreign) = bound.clone().find(|other| !is_own(other)) else { continue };
        // Both databases may have a table of this name.
        let mut own = bound.filter(is_own);
        let is_own = if table.is_in_outer_query {
            let in_type =
                own.map(|own| count_sources(query_type.type_name, own.path)).sum::<SourceCount>();
            is_explained_by(in_type, &tables, &table.name)
        } else {
            own.next().is_some()
        };
        if !is_own {
            return Err(hidden_table(bound_tables, query_type.key, foreign));
        }
    }
    Ok(())
}

/// Whether the type of a query has the table itself in as many places as its SQL has the table's name.
///
/// Asked where a subquery and the query around it are both on a table of that name. Diesel does not nest a table in
/// itself, so a surplus in SQL is a table of another database, in a box.
fn is_explained_by(in_type: SourceCount, tables: &[NamedTable<'_>], name: &str) -> bool {
    let count_in_sql = |is_set: bool| {
        let is_same = |table: &&NamedTable<'_>| {
            table.is_source && table.name == name && table.is_set == is_set
        };
        tables.iter().filter(is_same).count()
    };
    let (set, elsewhere) = (count_in_sql(true), count_in_sql(false));
    elsewhere <= in_type.elsewhere && elsewhere + set <= in_type.total()
}

fn hidden_table(bound_tables: &BoundTables, key: &str, table: &BoundTable) -> HiddenTable {
    let is_ambiguous = bound_tables.named(&table.name).any(|other| other.key == key);
    HiddenTable {
        key: key.to_owned(),
        noun: "table",
        name: table.name.clone(),
        other: table.key,
        path: is_ambiguous.then_some(table.path),
    }
}
