//! The tables that are bound, as they are found in the types of queries and in their SQL.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::bind::BoundItem;
use crate::settings::BindKey;
use crate::sql::{self, Dialect};

/// A table that is bound.
#[derive(Debug)]
pub(super) struct BoundTable {
    /// The Rust path of its module, such as `app::schema::events`.
    pub(super) path: &'static str,
    /// Its name in SQL, as [`sql::tables`] has it.
    pub(super) name: String,
    pub(super) key: BindKey,
}

/// Everything that is bound with `bind_tables!`, or in a module with `#[bind]`.
#[derive(Debug, Default)]
pub(super) struct Known {
    tables: Vec<BoundTable>,
    /// Several tables have one path if their crates are two versions of one, or if they are declared in
    /// two blocks of a function, which paths do not tell apart.
    by_path: HashMap<&'static str, Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    /// Those in methods: such a path has types in it, as in `<app::App as app::Run>::run::events`.
    in_methods: Vec<usize>,
}

impl Known {
    pub(super) fn of(tables: Vec<BoundTable>) -> Self {
        let mut known = Self::default();
        for (at, table) in tables.iter().enumerate() {
            known.by_path.entry(table.path).or_default().push(at);
            known.by_name.entry(table.name.clone()).or_default().push(at);
            if table.path.contains(['<', ' ']) {
                known.in_methods.push(at);
            }
        }
        known.tables = tables;
        known
    }

    pub(super) fn at_path(&self, path: &str) -> impl Iterator<Item = &BoundTable> + Clone {
        self.these(self.by_path.get(path).map_or(&[], Vec::as_slice))
    }

    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &BoundTable> + Clone {
        self.these(self.by_name.get(name).map_or(&[], Vec::as_slice))
    }

    pub(super) fn in_methods(&self) -> impl Iterator<Item = &BoundTable> + Clone {
        self.these(&self.in_methods)
    }

    fn these<'a>(&'a self, places: &'a [usize]) -> impl Iterator<Item = &'a BoundTable> + Clone {
        places.iter().map(|at| &self.tables[*at])
    }
}

/// The module of a table, of one of its columns, or of all of them, by the Rust path of that: in the order
/// in which they are likely.
pub(super) fn modules(path: &str) -> impl Iterator<Item = &str> {
    let column = path.rsplit_once("::").and_then(|(columns, _)| columns.strip_suffix("::columns"));
    let table = path.strip_suffix("::table").or_else(|| path.strip_suffix("::star"));
    column.into_iter().chain(table)
}

pub(super) static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let tables = inventory::iter::<BoundItem>.into_iter().filter_map(|item| {
        let table = item.table.as_ref()?;
        let name = sql::first_quoted_name(Dialect::of(item.backend), &(table.sql)())
            .map(Cow::into_owned)?;
        let path = (table.type_name)();
        Some(BoundTable { path: path.strip_suffix("::table").unwrap_or(path), name, key: item.key })
    });
    Known::of(tables.collect())
});
