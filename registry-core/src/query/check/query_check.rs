//! The check of a query: first the cached result for the query's type, then the query's SQL if the type does not suffice.
//!
//! In SQL, Diesel quotes each table that it writes after `FROM`, `JOIN`, `INTO`, `UPDATE` and `ONLY`. A table at
//! one of these places that is bound to another bind than the query's is an error. In a query with `.bound_to()`, the
//! program may have written parts of the SQL itself, so names without quotes are read as well.

use diesel::QueryResult;
use diesel::backend::Backend;

use super::bound_tables::{BOUND_TABLES, BoundTable, BoundTables};
use super::hidden_table::HiddenTable;
use super::lost_locks::{LostRowLock, loses_row_lock};
use super::only_reads::{NotOnlyReading, QueryEffect, effect_of};
use super::source_counts::{SourceCount, count_sources};
use super::statement_cache::check_statement_once;
use super::type_cache::{
    QueryType, SqlPart, SqlReading, TableCheck, TypeCheck, cached_check, succeed_once,
};
use super::type_inspection::{TypeCoverage, inspect_type, may_nest_tables};
use crate::query::erased::ErasedQuery;
use crate::query::executor::lease::Lease;
use crate::query::executor::{Lender, OpenedBy};
use crate::sql::{self, Dialect, NamedTable, Names};

/// What is checked in a query before it is sent to a given executor.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The key of the bind that all tables must belong to. `None` on a session by key and on a bare connection, where
    /// nothing is checked.
    key: Option<&'static str>,
    dialect: Dialect,
    /// Whether the executor's connection, and with it a row lock, outlives the call.
    keeps_locks: bool,
    /// Whether the executor takes only queries that read.
    only_reads: bool,
    /// Whether the queries come from one with `.bound_to()`, although their types do not show it.
    is_bound_to: bool,
}

impl Check {
    pub(in crate::query) fn for_lease<E: Lender<B>, B>(lease: &E::Lease) -> Self {
        let dialect = Dialect::of(<OpenedBy<E, B> as crate::backend::Backend>::KIND);
        Self {
            key: E::KEY,
            dialect,
            keeps_locks: lease.outlives_query(),
            only_reads: lease.only_reads(),
            is_bound_to: false,
        }
    }

    /// The same check for the statements that a query with `.bound_to()` is sent as.
    pub(in crate::query) const fn for_bound_to(self) -> Self {
        Self { is_bound_to: true, ..self }
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
        let query_type = QueryType::of_query(query.type_identity(), key, self.is_bound_to);
        let check = cached_check(query_type, || check_type(&BOUND_TABLES, query_type));
        let mut sql = None;
        match check.effect {
            QueryEffect::FalseClaim => return Err(NotOnlyReading::FalseClaim.into()),
            QueryEffect::Writes if self.only_reads => return Err(NotOnlyReading::OnReader.into()),
            QueryEffect::InText if self.only_reads => {
                if sql::may_write(self.dialect, sql.insert(query.sql())) {
                    return Err(NotOnlyReading::OnReader.into());
                }
            }
            QueryEffect::Reads | QueryEffect::Writes | QueryEffect::InText => {}
        }
        if check.loses_lock && !self.keeps_locks {
            return Err(LostRowLock.into());
        }
        match &check.tables {
            TableCheck::Passed => Ok(()),
            TableCheck::Failed(error) => Err(error.clone().into()),
            TableCheck::OneStatement { part, has_passed } => {
                let reading = SqlReading::of_diesel(*part);
                let check =
                    || check_sql(&BOUND_TABLES, query_type, self.dialect, &query.sql(), reading);
                Ok(succeed_once(has_passed, check)?)
            }
            TableCheck::EveryStatement(reading) => {
                let check =
                    |sql: &str| check_sql(&BOUND_TABLES, query_type, self.dialect, sql, *reading);
                let sql = sql.unwrap_or_else(|| query.sql());
                Ok(check_statement_once(query_type, self.dialect, &sql, check)?)
            }
        }
    }

    /// Fails if the changeset of the type `type_name` contains a table of another bind, or on a reader. Its SQL is not built
    /// yet at the time of the check.
    pub(in crate::query) fn check_changeset(self, type_name: &'static str) -> QueryResult<()> {
        if self.only_reads {
            return Err(NotOnlyReading::OnReader.into());
        }
        let Some(key) = self.key else { return Ok(()) };
        let query_type = QueryType::of_type_name(type_name, key);
        match &cached_check(query_type, || check_type(&BOUND_TABLES, query_type)).tables {
            TableCheck::Failed(error) => Err(error.clone().into()),
            _ => Ok(()),
        }
    }
}

fn check_type(bound_tables: &BoundTables, query_type: QueryType) -> TypeCheck {
    let QueryType { type_name, key, .. } = query_type;
    let tables = match inspect_type(bound_tables, type_name, key, query_type.is_bound_to()) {
        Ok(TypeCoverage::Complete) => TableCheck::Passed,
        Ok(TypeCoverage::NeedsModelSql) => TableCheck::one_statement(SqlPart::WholeStatement),
        Ok(TypeCoverage::NeedsSelectionSql) => TableCheck::one_statement(SqlPart::Selection),
        Ok(TypeCoverage::Partial) => TableCheck::EveryStatement(SqlReading {
            part: SqlPart::WholeStatement,
            names: if query_type.is_bound_to() { Names::All } else { Names::Quoted },
            may_nest_tables: query_type.is_bound_to() && may_nest_tables(type_name),
        }),
        Err(table) => TableCheck::Failed(hidden_table(bound_tables, query_type.key, table)),
    };
    TypeCheck {
        tables,
        loses_lock: loses_row_lock(query_type.type_name),
        effect: effect_of(query_type.type_name),
    }
}

/// Fails if the statement names a table of another bind.
fn check_sql(
    bound_tables: &BoundTables,
    query_type: QueryType,
    dialect: Dialect,
    sql: &str,
    SqlReading { part, names, may_nest_tables }: SqlReading,
) -> Result<(), HiddenTable> {
    let tables = sql::tables(dialect, names, sql);
    let is_in_part = |table: &&NamedTable<'_>| part == SqlPart::WholeStatement || table.is_selected;
    for table in tables.iter().filter(is_in_part) {
        let candidates = bound_tables.meant_by(dialect, names, &table.name);
        let in_this_bind = |candidate: &&BoundTable| candidate.key == query_type.key;
        let Some(foreign) = candidates.clone().find(|candidate| !in_this_bind(candidate)) else {
            continue;
        };
        // Both databases may have a table of this name.
        let mut own_tables = candidates.filter(in_this_bind);
        let is_accounted_for = if table.is_in_outer_query && !may_nest_tables {
            let in_type = own_tables
                .map(|own| count_sources(query_type.type_name, own.path))
                .sum::<SourceCount>();
            type_accounts_for(in_type, &tables, &table.name)
        } else {
            own_tables.next().is_some()
        };
        if !is_accounted_for {
            let is_in_text = may_nest_tables;
            return Err(HiddenTable {
                is_in_text,
                ..hidden_table(bound_tables, query_type.key, foreign)
            });
        }
    }
    Ok(())
}

/// True if the query's type mentions the table of this bind at least as often as the SQL names it (`name`).
///
/// Called where a subquery and the query around it both use a table of that name. If the SQL has more mentions than the
/// type, the extra one is the other database's table, hidden in a boxed expression: Diesel does not nest a table in
/// itself.
fn type_accounts_for(in_type: SourceCount, tables: &[NamedTable<'_>], name: &str) -> bool {
    let count_in_sql = |in_set_or_values: bool| {
        let is_counted = |table: &&NamedTable<'_>| {
            table.is_source && table.name == name && table.is_set == in_set_or_values
        };
        tables.iter().filter(is_counted).count()
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
        is_in_text: false,
    }
}
