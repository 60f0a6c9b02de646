//! All tables that the program has bound, or has declared for a bind with `bind_foreign!`, by their Rust path and by their name in SQL.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::bind::BoundItem;
use crate::settings::BindKey;
use crate::sql::{self, Dialect, Names};

/// A table that is bound.
#[derive(Debug)]
pub(super) struct BoundTable {
    /// The Rust path of its module, such as `app::schema::events`.
    pub(super) path: &'static str,
    /// Its name in SQL, in the form of [`sql::tables`].
    pub(super) name: String,
    pub(super) key: BindKey,
}

/// All tables that are bound with `bind_tables!` or in a module with `#[bind]`, or declared with `bind_foreign!`.
#[derive(Debug, Default)]
pub(super) struct BoundTables {
    tables: Vec<BoundTable>,
    /// By path, as indices of `tables`. Several tables share a path if their crates are two versions of one crate, or
    /// if they are declared in two blocks of one function, which paths do not distinguish. A table of another crate can
    /// be declared for several binds.
    by_path: HashMap<&'static str, Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    /// By the name in lower case, for databases that compare names without regard to case.
    by_folded_name: HashMap<String, Vec<usize>>,
    /// Tables that are declared in methods. Their paths contain types, as in `<app::App as app::Run>::run::events`.
    in_methods: Vec<usize>,
}

impl BoundTables {
    pub(super) fn new(tables: Vec<BoundTable>) -> Self {
        let mut bound_tables = Self::default();
        for (at, table) in tables.iter().enumerate() {
            bound_tables.by_path.entry(table.path).or_default().push(at);
            bound_tables.by_name.entry(table.name.clone()).or_default().push(at);
            let folded = table.name.to_ascii_lowercase();
            bound_tables.by_folded_name.entry(folded).or_default().push(at);
            if table.path.contains(['<', ' ']) {
                bound_tables.in_methods.push(at);
            }
        }
        bound_tables.tables = tables;
        bound_tables
    }

    pub(super) fn at_path(&self, path: &str) -> impl Iterator<Item = &BoundTable> + Clone {
        self.at_indices(self.by_path.get(path).map_or(&[], Vec::as_slice))
    }

    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &BoundTable> + Clone {
        self.at_indices(self.by_name.get(name).map_or(&[], Vec::as_slice))
    }

    /// The tables that a statement can mean by `name`, as [`sql::tables`] has read it.
    pub(super) fn meant_by(
        &self,
        dialect: Dialect,
        names: Names,
        name: &str,
    ) -> impl Iterator<Item = &BoundTable> + Clone {
        let by_name = match (names, dialect) {
            (Names::Quoted, _) | (Names::All, Dialect::Postgres) => &self.by_name,
            (Names::All, Dialect::Mysql | Dialect::Sqlite) => &self.by_folded_name,
        };
        // People also write the schema in which a name without one is found.
        let default_schema = match (names, dialect) {
            (Names::All, Dialect::Postgres) => "public.",
            (Names::All, Dialect::Sqlite) => "main.",
            _ => "",
        };
        let in_default_schema = || name.strip_prefix(default_schema);
        let found = by_name.get(name).or_else(|| by_name.get(in_default_schema()?));
        self.at_indices(found.map_or(&[], Vec::as_slice))
    }

    pub(super) fn in_methods(&self) -> impl Iterator<Item = &BoundTable> + Clone {
        self.at_indices(&self.in_methods)
    }

    fn at_indices<'a>(
        &'a self,
        indices: &'a [usize],
    ) -> impl Iterator<Item = &'a BoundTable> + Clone {
        indices.iter().map(|at| &self.tables[*at])
    }
}

/// The possible paths of a table's module, if `path` is the path of the table, of one of its columns or of its `star`.
/// Columns are the most frequent, and so come first.
pub(super) fn candidate_modules(path: &str) -> impl Iterator<Item = &str> {
    let column = path.rsplit_once("::").and_then(|(columns, _)| columns.strip_suffix("::columns"));
    let table = path.strip_suffix("::table").or_else(|| path.strip_suffix("::star"));
    column.into_iter().chain(table)
}

/// The tables that the linker has collected.
pub(super) static BOUND_TABLES: LazyLock<BoundTables> = LazyLock::new(|| {
    let tables = inventory::iter::<BoundItem>.into_iter().filter_map(|item| {
        let table = item.table.as_ref()?;
        let name = sql::first_quoted_name(Dialect::of(item.backend), &(table.sql)())
            .map(Cow::into_owned)?;
        let path = (table.type_name)();
        Some(BoundTable { path: path.strip_suffix("::table").unwrap_or(path), name, key: item.key })
    });
    BoundTables::new(tables.collect())
});
