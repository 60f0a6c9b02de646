//! What types cannot see of a query, looked for in its SQL before it is sent.
//!
//! Diesel quotes every table that it writes after `FROM`, `JOIN`, `INTO`, `UPDATE` and `ONLY`. Those that
//! are bound, and not to the bind of the query, are where they should not be.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use diesel::backend::Backend;
use diesel::result::Error as DieselError;
use diesel::{QueryResult, debug_query};

use super::erased::Erased;
use super::executor::Lender;
use super::routed::{Unseen, Way};
use crate::backend::driver::sql_of;
use crate::bind_key::BindKey;
use crate::private::BoundItem;
use crate::sql::{self, Dialect};

/// A query was not sent, as a part of it that its type does not show belongs to another database.
///
/// It comes as the cause of Diesel's `QueryBuilderError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a query for bind `{key}` has the {noun} `{name}`, which belongs to bind `{other}`")]
#[non_exhaustive]
pub struct HiddenTable {
    /// The bind of the query.
    pub key: String,
    /// `table`, or `model` if it is what the rows were to be loaded into.
    pub noun: &'static str,
    /// Its name in the database, or the model's path in the program.
    pub name: String,
    /// The bind that it belongs to.
    pub other: BindKey,
}

impl From<HiddenTable> for DieselError {
    fn from(error: HiddenTable) -> Self {
        Self::QueryBuilderError(Box::new(error))
    }
}

/// What is left to be looked at when a query is run.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The bind in which all its tables must be, if any bind is known.
    key: Option<&'static str>,
    unseen: Unseen,
    dialect: Dialect,
}

impl Check {
    pub(super) const fn of<E: Lender<B>, B, Via: Way>() -> Self {
        let dialect = Dialect::of(<E::Connection as crate::Backend>::KIND);
        Self { key: E::KEY, unseen: Via::UNSEEN, dialect }
    }

    /// Looks at the SQL of a query, and at the type that its rows are loaded into: in debug builds
    /// always, and otherwise if the rows may come from another query.
    pub(super) fn look_at<DB, ST>(self, query: &Erased<'_, DB, ST>, row: &str) -> QueryResult<()>
    where
        DB: Backend<QueryBuilder: Default> + Default,
    {
        let is_due = self.key.is_some()
            && match self.unseen {
                Unseen::All => false,
                Unseen::Rows => cfg!(debug_assertions) || has_rows_of_query(query.type_name()),
                Unseen::Corners => cfg!(debug_assertions),
            };
        if is_due {
            sql::tables(self.dialect, &sql_of(&debug_query::<DB, _>(query)))
                .try_for_each(|name| self.admit("table", &KNOWN.tables, &name))?;
            self.look_at_model(row)?;
        }
        Ok(())
    }

    fn look_at_model(self, type_name: &str) -> Result<(), HiddenTable> {
        // A tuple or an `Option` of models shows the paths of all of them.
        type_name
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':')))
            .try_for_each(|path| self.admit("model", &KNOWN.models, path))
    }

    fn admit(
        self,
        noun: &'static str,
        known: &HashMap<String, Vec<BindKey>>,
        name: &str,
    ) -> Result<(), HiddenTable> {
        let Some(key) = self.key else { return Ok(()) };
        match known.get(name) {
            Some(binds) if !binds.iter().any(|bind| *bind == key) => {
                let name = name.to_owned();
                Err(HiddenTable { key: key.to_owned(), noun, name, other: binds[0] })
            }
            // In several databases there can be tables of the same name.
            _ => Ok(()),
        }
    }
}

/// Whether the rows of a query come from another one, by the name of its type: Diesel's type for an
/// `INSERT` from a `SELECT` is private, and in a box there can be any query.
fn has_rows_of_query(type_name: &str) -> bool {
    ["InsertFromSelect<", "BoxedSelectStatement<"].iter().any(|part| type_name.contains(part))
}

/// Everything that is bound, by name.
struct Known {
    tables: HashMap<String, Vec<BindKey>>,
    models: HashMap<String, Vec<BindKey>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut known = Known { tables: HashMap::new(), models: HashMap::new() };
    for item in inventory::iter::<BoundItem> {
        let (names, name) = match item.sql {
            Some(sql) => {
                let name = sql::first_name(Dialect::of(item.backend), &sql()).map(Cow::into_owned);
                (&mut known.tables, name)
            }
            None => (&mut known.models, Some(item.path.to_owned())),
        };
        if let Some(name) = name {
            names.entry(name).or_default().push(item.key);
        }
    }
    known
});

#[cfg(test)]
mod tests {
    use diesel::prelude::*;

    use super::has_rows_of_query;

    diesel::table! { words (id) { id -> Integer, } }

    fn name_of<T>(_: &T) -> &'static str {
        std::any::type_name::<T>()
    }

    /// In release builds nothing but the names of Diesel's types shows it.
    #[test]
    fn queries_whose_rows_come_from_others_are_known_by_name() {
        let from_select = diesel::insert_into(words::table).values(words::table.select(words::id));
        assert!(has_rows_of_query(name_of(&from_select)));
        assert!(has_rows_of_query(name_of(&from_select.into_columns(words::id))));
        assert!(!has_rows_of_query(name_of(
            &diesel::insert_into(words::table).values(words::id.eq(1))
        )));
        assert!(!has_rows_of_query(name_of(&words::table.filter(words::id.eq(1)))));
    }
}
