//! Tables of another bind in a query, looked for before it is sent, where the compiler cannot.
//!
//! A table is its Rust type. The name of a query's type has all those that are not in a box, so that is what
//! is read first ([`shown`](super::shown)). What is in a box goes by its SQL: Diesel quotes every table that
//! it writes after `FROM`, `JOIN`, `INTO`, `UPDATE` and `ONLY`, and of those, the ones that are bound, and not
//! to the bind of the query, are where they should not be.

use std::fmt;

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::result::Error as DieselError;

use super::erased::Erased;
use super::executor::Lender;
use super::known::{BoundTable, KNOWN, Known};
use super::locks::{LockThatIsLost, is_lost};
use super::shown::{Shown, count_sources, read};
use super::verdicts::{Judgement, Kind, Place, Verdict, judgement_of, look_once, succeed_once};
use crate::settings::BindKey;
use crate::sql::{self, Dialect, NamedTable};

/// A query was not sent, as a part of it belongs to another database.
///
/// It is what Diesel's `QueryBuilderError` has in it:
///
/// ```
/// use registry_core::query::HiddenTable;
///
/// fn is_hidden_table(error: &diesel::result::Error) -> bool {
///     match error {
///         diesel::result::Error::QueryBuilderError(cause) => cause.is::<HiddenTable>(),
///         _ => false,
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HiddenTable {
    /// The bind of the query.
    pub key: String,
    /// `table`.
    pub noun: &'static str,
    /// Its name in the database.
    pub name: String,
    /// The bind that it belongs to.
    pub other: BindKey,
    /// The path of its module in the program, if the bind of the query has a table of that name as well.
    pub path: Option<&'static str>,
}

impl fmt::Display for HiddenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, noun, name, other, path } = self;
        write!(
            f,
            "a query for bind `{key}` has the {noun} `{name}`, which belongs to bind `{other}`"
        )?;
        match path {
            Some(path) => write!(f, " (`{path}` in the program)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for HiddenTable {}

impl From<HiddenTable> for DieselError {
    fn from(error: HiddenTable) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

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
    pub(super) const fn of<E: Lender<B>, B>() -> Self {
        let dialect = Dialect::of(<E::Connection as crate::Backend>::KIND);
        Self { key: E::KEY, dialect, keeps_locks: E::KEEPS_LOCKS }
    }

    /// Fails if a table of the query belongs to another bind.
    #[inline]
    pub(super) fn look_at<DB, ST>(self, query: &Erased<'_, DB, ST>) -> QueryResult<()>
    where
        DB: Backend<QueryBuilder: Default> + Default,
    {
        let Some(key) = self.key else { return Ok(()) };
        let kind = query.kind(key);
        let judgement = judgement_of(kind, || judge(&KNOWN, kind));
        if judgement.loses_lock && !self.keeps_locks {
            return Err(LockThatIsLost.into());
        }
        match &judgement.tables {
            Verdict::Right => Ok(()),
            Verdict::Wrong(error) => Err(error.clone().into()),
            Verdict::AsOne { place, was_right } => {
                let look = || look_at_sql(&KNOWN, kind, self.dialect, &sql::sql_of(query), *place);
                Ok(succeed_once(was_right, look)?)
            }
            Verdict::Each => {
                let look = |sql: &str| look_at_sql(&KNOWN, kind, self.dialect, sql, Place::All);
                Ok(look_once(kind, self.dialect, sql::sql_of(query), look)?)
            }
        }
    }

    /// Fails if the type of that name shows a table of another bind.
    pub(super) fn look_at_type(self, type_name: &'static str) -> QueryResult<()> {
        let Some(key) = self.key else { return Ok(()) };
        let kind = Kind { type_name, code: 0, key };
        match &judgement_of(kind, || judge(&KNOWN, kind)).tables {
            Verdict::Wrong(error) => Err(error.clone().into()),
            _ => Ok(()),
        }
    }
}

fn judge(known: &Known, kind: Kind) -> Judgement {
    let tables = match read(known, kind.type_name, kind.key) {
        Ok(Shown::All) => Verdict::Right,
        Ok(Shown::AllButModels) => Verdict::as_one(Place::All),
        Ok(Shown::AllButModelsBesideText) => Verdict::as_one(Place::Selection),
        Ok(Shown::Part) => Verdict::Each,
        Err(table) => Verdict::Wrong(found(known, kind.key, table)),
    };
    Judgement { tables, loses_lock: is_lost(kind.type_name) }
}

fn look_at_sql(
    known: &Known,
    kind: Kind,
    dialect: Dialect,
    sql: &str,
    place: Place,
) -> Result<(), HiddenTable> {
    let tables = sql::tables(dialect, sql);
    for table in tables.iter().filter(|table| place == Place::All || table.is_selected) {
        let bound = known.named(&table.name);
        let is_own = |other: &&BoundTable| other.key == kind.key;
        let Some(other) = bound.clone().find(|other| !is_own(other)) else { continue };
        let mut own = bound.filter(is_own);
        // In several databases there can be tables of the same name.
        let is_own = match table.is_in_outer_query {
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

fn found(known: &Known, key: &str, table: &BoundTable) -> HiddenTable {
    let is_ambiguous = known.named(&table.name).any(|other| other.key == key);
    HiddenTable {
        key: key.to_owned(),
        noun: "table",
        name: table.name.clone(),
        other: table.key,
        path: is_ambiguous.then_some(table.path),
    }
}
