//! Tables of another bind in a query, looked for before it is sent, where the compiler cannot.
//!
//! A table is its Rust type. The name of a query's type has all those that are not in a box, so that is what
//! is read first ([`shown`](super::type_inspection)). What is in a box goes by its SQL: Diesel quotes every table that
//! it writes after `FROM`, `JOIN`, `INTO`, `UPDATE` and `ONLY`, and of those, the ones that are bound, and not
//! to the bind of the query, are where they should not be.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{QueryBuilder, QueryFragment};

use super::bound_tables::{BOUND_TABLES, BoundTable, BoundTables};
use super::hidden_table::HiddenTable;
use super::lost_locks::{LostRowLock, loses_lock};
use super::source_counts::count_sources;
use super::statement_cache::check_statement_once;
use super::type_cache::{QueryType, SqlScope, TableCheck, TypeCheck, cached_check, succeed_once};
use super::type_inspection::{TypeCoverage, read};
use crate::query::erased::ErasedQuery;
use crate::query::executor::Lender;
use crate::sql::{self, Dialect, NamedTable};

/// What is looked for in a query before it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The bind in which all its tables must be, if any bind is known.
    key: Option<&'static str>,
    dialect: Dialect,
    /// Whether what a query locks is locked after it.
    keeps_locks: bool,
}

impl Check {
    pub(in crate::query) const fn of<E: Lender<B>, B>() -> Self {
        let dialect = Dialect::of(<E::Connection as crate::Backend>::KIND);
        Self { key: E::KEY, dialect, keeps_locks: E::KEEPS_LOCKS }
    }

    /// Fails if a table of the query belongs to another bind.
    #[inline]
    pub(in crate::query) fn look_at<DB, ST>(
        self,
        query: &ErasedQuery<'_, DB, ST>,
    ) -> QueryResult<()>
    where
        DB: Backend<QueryBuilder: Default> + Default,
    {
        let Some(key) = self.key else { return Ok(()) };
        let kind = query.kind(key);
        let check = cached_check(kind, || check_type(&BOUND_TABLES, kind));
        if check.loses_lock && !self.keeps_locks {
            return Err(LostRowLock.into());
        }
        match &check.tables {
            TableCheck::Passed => Ok(()),
            TableCheck::Failed(error) => Err(error.clone().into()),
            TableCheck::OneStatement { place, has_passed } => {
                let look = || check_sql(&BOUND_TABLES, kind, self.dialect, &sql_of(query), *place);
                Ok(succeed_once(has_passed, look)?)
            }
            TableCheck::EveryStatement => {
                let look = |sql: &str| {
                    check_sql(&BOUND_TABLES, kind, self.dialect, sql, SqlScope::Statement)
                };
                Ok(check_statement_once(kind, self.dialect, sql_of(query), look)?)
            }
        }
    }

    /// Fails if the type of that name shows a table of another bind.
    pub(in crate::query) fn look_at_type(self, type_name: &'static str) -> QueryResult<()> {
        let Some(key) = self.key else { return Ok(()) };
        let kind = QueryType { type_name, code: 0, key };
        match &cached_check(kind, || check_type(&BOUND_TABLES, kind)).tables {
            TableCheck::Failed(error) => Err(error.clone().into()),
            _ => Ok(()),
        }
    }
}

fn check_type(known: &BoundTables, kind: QueryType) -> TypeCheck {
    let tables = match read(known, kind.type_name, kind.key) {
        Ok(TypeCoverage::All) => TableCheck::Passed,
        Ok(TypeCoverage::AllButModels) => TableCheck::one_statement(SqlScope::Statement),
        Ok(TypeCoverage::AllButModelsBesideText) => TableCheck::one_statement(SqlScope::Selection),
        Ok(TypeCoverage::Part) => TableCheck::EveryStatement,
        Err(table) => TableCheck::Failed(found(known, kind.key, table)),
    };
    TypeCheck { tables, loses_lock: loses_lock(kind.type_name) }
}

fn check_sql(
    known: &BoundTables,
    kind: QueryType,
    dialect: Dialect,
    sql: &str,
    place: SqlScope,
) -> Result<(), HiddenTable> {
    let tables = sql::tables(dialect, sql);
    for table in tables.iter().filter(|table| place == SqlScope::Statement || table.is_selected) {
        let bound = known.named(&table.name);
        let is_own = |other: &&BoundTable| other.key == kind.key;
        let Some(other) = bound.clone().find(|other| !is_own(other)) else { continue };
        let mut own = bound.filter(is_own);
        // In several databases there can be tables of the same name.
        let is_own = match table.is_around {
            false => own.next().is_some(),
            true => {
                let written = |is_set: bool| {
                    let is_same = |one: &&NamedTable<'_>| one.is_source && one.name == table.name;
                    tables.iter().filter(is_same).filter(|one| one.is_set == is_set).count()
                };
                let shown = own.map(|own| count_sources(kind.type_name, own.path));
                let (set, elsewhere) = shown.fold((0_usize, 0_usize), |(set, elsewhere), one| {
                    (set.saturating_add(one.set), elsewhere.saturating_add(one.elsewhere))
                });
                written(false) <= elsewhere
                    && written(false) + written(true) <= set.saturating_add(elsewhere)
            }
        };
        if !is_own {
            return Err(found(known, kind.key, other));
        }
    }
    Ok(())
}

fn found(known: &BoundTables, key: &str, table: &BoundTable) -> HiddenTable {
    let is_ambiguous = known.named(&table.name).any(|other| other.key == key);
    HiddenTable {
        key: key.to_owned(),
        noun: "table",
        name: table.name.clone(),
        other: table.key,
        path: is_ambiguous.then_some(table.path),
    }
}

/// The SQL of a query, without its values.
fn sql_of<DB, ST>(query: &ErasedQuery<'_, DB, ST>) -> String
where
    DB: Backend<QueryBuilder: Default> + Default,
{
    let mut sql = DB::QueryBuilder::default();
    // What cannot be written is an error when the query is run.
    let _ = query.to_sql(&mut sql, &DB::default());
    sql.finish()
}
