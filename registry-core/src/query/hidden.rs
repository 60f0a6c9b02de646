//! What types cannot see of a query, looked for in its SQL before it is sent.
//!
//! Diesel quotes every table that it writes after `FROM`, `JOIN`, `INTO`, `UPDATE` and `ONLY`. Those that
//! are bound, and not to the bind of the query, are where they should not be.

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
}

impl Check {
    pub(super) const fn of<E: Lender<B>, B, Via: Way>() -> Self {
        Self { key: E::KEY, unseen: Via::UNSEEN }
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
            tables(&sql_of(&debug_query::<DB, _>(query)))
                .try_for_each(|name| self.admit("table", &KNOWN.tables, name))?;
            self.look_at_model(row)?;
        }
        Ok(())
    }

    fn look_at_model(self, type_name: &str) -> Result<(), HiddenTable> {
        // A tuple or an `Option` of models shows the paths of all of them.
        type_name
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':')))
            .try_for_each(|path| self.admit("model", &KNOWN.models, path.to_owned()))
    }

    fn admit(
        self,
        noun: &'static str,
        known: &HashMap<String, Vec<BindKey>>,
        name: String,
    ) -> Result<(), HiddenTable> {
        let Some(key) = self.key else { return Ok(()) };
        match known.get(&name) {
            Some(binds) if !binds.iter().any(|bind| *bind == key) => {
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
            Some(sql) => (&mut known.tables, name_in(&sql())),
            None => (&mut known.models, Some(item.path.to_owned())),
        };
        if let Some(name) = name {
            names.entry(name).or_default().push(item.key);
        }
    }
    known
});

/// The name in the SQL that Diesel writes of a table alone.
fn name_in(sql: &str) -> Option<String> {
    let mut words = Words(sql);
    words.find_map(|word| match word {
        Word::Name(name) => Some(name),
        Word::Plain(_) => None,
    })
}

/// The tables that a statement names.
fn tables(sql: &str) -> impl Iterator<Item = String> {
    let (mut last, mut is_table) = ("", false);
    Words(sql).filter_map(move |word| match word {
        Word::Name(name) => std::mem::take(&mut is_table).then_some(name),
        Word::Plain(word) => {
            is_table = match word {
                "FROM" | "JOIN" | "INTO" | "ONLY" => true,
                // Not `ON DUPLICATE KEY UPDATE`, where columns follow.
                "UPDATE" => last != "KEY",
                // `FROM ("a" INNER JOIN "b" ..)`
                "(" => is_table,
                _ => false,
            };
            last = word;
            None
        }
    })
}

/// A statement as names and what is in between. Literals are passed over.
struct Words<'a>(&'a str);

enum Word<'a> {
    /// A quoted identifier, without its quotes: `schema.table` if it has several parts.
    Name(String),
    Plain(&'a str),
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            self.0 = self.0.trim_start();
            let first = self.0.chars().next()?;
            match first {
                '"' | '`' => return Some(Word::Name(self.name(first))),
                '\'' => drop(self.quoted('\'')),
                _ => {
                    let is_word = |c: char| c.is_alphanumeric() || c == '_';
                    let len = if is_word(first) {
                        self.0.find(|c| !is_word(c)).unwrap_or(self.0.len())
                    } else {
                        first.len_utf8()
                    };
                    let (word, rest) = self.0.split_at(len);
                    self.0 = rest;
                    return Some(Word::Plain(word));
                }
            }
        }
    }
}

impl Words<'_> {
    fn name(&mut self, quote: char) -> String {
        let mut name = self.quoted(quote);
        while let Some(rest) = self.0.strip_prefix('.').filter(|rest| rest.starts_with(quote)) {
            self.0 = rest;
            name.push('.');
            name.push_str(&self.quoted(quote));
        }
        name
    }

    /// What is in quotes, at which the rest begins. A quote in it is written twice.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        let mut chars = self.0.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c != quote {
                text.push(c);
            } else if chars.next_if(|(_, next)| *next == quote).is_some() {
                text.push(quote);
            } else {
                self.0 = &self.0[at + quote.len_utf8()..];
                return text;
            }
        }
        self.0 = "";
        text
    }
}

#[cfg(test)]
mod tests {
    use diesel::prelude::*;

    use super::{has_rows_of_query, tables};

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

    fn found(sql: &str) -> Vec<String> {
        tables(sql).collect()
    }

    #[test]
    fn tables_are_found_where_diesel_writes_them() {
        assert_eq!(found(r#"SELECT "a"."id" FROM "a" WHERE ("a"."id" = $1)"#), ["a"]);
        assert_eq!(
            found("SELECT `x`.`id` FROM (`x` INNER JOIN `s`.`y` AS `z` ON (`x`.`id` = `z`.`id`))"),
            ["x", "s.y"]
        );
        assert_eq!(found(r#"INSERT INTO "a" ("id") SELECT "b"."id" FROM ONLY "b""#), ["a", "b"]);
        assert_eq!(found(r#"UPDATE "a" SET "n" = (SELECT "b"."n" FROM "b" LIMIT $1)"#), ["a", "b"]);
        assert_eq!(found(r#"DELETE FROM "a" WHERE EXISTS (SELECT * FROM "b")"#), ["a", "b"]);
        assert_eq!(
            found(r#"(SELECT "a"."id" FROM "a") UNION (SELECT "b"."id" FROM "b")"#),
            ["a", "b"]
        );
    }

    #[test]
    fn what_is_no_table_is_passed_over() {
        assert_eq!(found(r#"SELECT 'FROM "x"', 'it''s FROM "y"' FROM "a""#), ["a"]);
        assert_eq!(found(r#"SELECT EXTRACT(DAY FROM "a"."at") FROM "b""#), ["a.at", "b"]);
        assert_eq!(found(r#"SELECT 1 FROM "od""d""#), [r#"od"d"#]);
        assert_eq!(
            found("INSERT INTO `a` (`b`) VALUES (?) ON DUPLICATE KEY UPDATE `b` = ?"),
            ["a"]
        );
        assert_eq!(found(r#"SELECT "a"."b" FROM "a" FOR UPDATE"#), ["a"]);
        assert!(found("SELECT 1").is_empty());
        assert!(found(r#"SELECT "a"#).is_empty());
    }
}
