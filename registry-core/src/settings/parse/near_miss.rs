//! Names that nearly are those of a bind or of the table `database`, which are probably misspelt.
//!
//! Such a name may as well belong to another program or to another part of the application, so it is a warning and not a
//! problem. A warning shows names, and never a value.

use crate::settings::keys::BindKey;
use crate::settings::options::PartialOptions;
use crate::settings::parse::draft::{BindDraft, Draft};

/// A variable whose name has one underscore where two belong: `DATABASE_REPLICAS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::settings) struct NearVariable {
    pub(in crate::settings) name: String,
    /// The bind that is named in it. `None` for the default bind, and for what all binds share.
    pub(in crate::settings) bind: Option<BindKey>,
    /// The name that was probably meant.
    pub(in crate::settings) meant: String,
}

/// The key of a table that stands beside `[database]`, and nearly has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::settings) struct NearTable(pub(in crate::settings) String);

/// Words that other tools and other deployments use in such variables: `TEST_DATABASE_URL`.
const OF_OTHERS: [&str; 22] = [
    "app",
    "ci",
    "dev",
    "development",
    "django",
    "heroku",
    "jdbc",
    "local",
    "mariadb",
    "mysql",
    "pg",
    "postgres",
    "postgresql",
    "prod",
    "production",
    "rails",
    "shadow",
    "sqlite",
    "sqlx",
    "staging",
    "stage",
    "test",
];

/// The bind whose name `key` was probably meant to be. `key` is from the name of a variable and no bind's key.
///
/// Stricter than for the suggestions in errors, which are only made where there is a mistake anyway: one wrong character
/// in a name of 4 to 8, two in a longer one, and none in a shorter one. Names that differ in digits alone are other names.
pub(in crate::settings) fn bind_nearly_named<'a>(
    key: &str,
    binds: impl Iterator<Item = &'a BindKey>,
) -> Option<&'a BindKey> {
    if OF_OTHERS.contains(&key) || OF_OTHERS.contains(&key.trim_end_matches("_test")) {
        return None;
    }
    let nearest = binds
        .map(|bind| (strsim::damerau_levenshtein(key, bind), bind))
        .min_by_key(|(distance, _)| *distance)?;
    let (distance, bind) = nearest;
    let is_near = distance <= tolerated(key.len().min(bind.len()));
    (is_near && without_digits(key) != without_digits(bind)).then_some(bind)
}

/// The variable that `name` was probably meant to be. `name` is none that is read.
pub(in crate::settings) fn variable_nearly_named(prefix: &str, name: &str) -> Option<NearVariable> {
    let (before, path) = name.split_once(&format!("{prefix}_"))?;
    let path = path.to_ascii_lowercase().replace("__", "_");
    let path = path.trim_start_matches('_');
    let near = |bind: Option<&str>, meant: String| {
        let bind = bind.map(BindKey::new).transpose().ok()?;
        let meant = format!("{prefix}__{}", meant.to_ascii_uppercase());
        Some(NearVariable { name: name.to_owned(), bind, meant })
    };
    let is_of_bind = |field: &str| BindDraft::field_and_option_names().any(|name| name == field);
    if !before.is_empty() {
        let key = before.strip_suffix('_')?.to_ascii_lowercase();
        return near(Some(&key), format!("binds__{key}__{path}")).filter(|_| is_of_bind(path));
    }
    if let Some(rest) = path.strip_prefix("binds_") {
        // The first of them has the longest name: `url_file` may be `file` of a bind `.._url`.
        let ends = rest.match_indices('_').map(|(at, _)| (&rest[..at], &rest[at + 1..]));
        let (key, field) = ends.into_iter().find(|(_, field)| is_of_bind(field))?;
        return near(Some(key), format!("binds__{key}__{field}"));
    }
    let is_option = |name: &str| PartialOptions::NAMES.contains(&name);
    match path.strip_prefix("options_").unwrap_or(path) {
        option if is_option(option) => near(None, format!("options__{option}")),
        // Often a part of the URL, which the deployment puts together: `postgres://app:$(DATABASE_PASSWORD)@..`.
        "password" => None,
        field if BindDraft::FIELDS.contains(&field) || Draft::FIELDS.contains(&field) => {
            near(None, field.to_owned())
        }
        _ => None,
    }
}

/// Whether the key of a table is nearly `table`.
pub(in crate::settings) fn is_nearly_table(key: &str, table: &str) -> bool {
    key != table && strsim::damerau_levenshtein(key, table) <= 2
}

fn tolerated(length: usize) -> usize {
    match length {
        0..4 => 0,
        4..9 => 1,
        _ => 2,
    }
}

fn without_digits(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Warns of a variable that nearly names a bind.
pub(in crate::settings) fn warn_variable(variable: &str, bind: &BindKey) {
    tracing::warn!(
        target: "registry",
        %bind,
        variable,
        "a variable changes nothing: no bind has that name, but one nearly has"
    );
}

/// Warns of a variable that has one underscore where two belong.
pub(in crate::settings) fn warn_underscore(variable: &NearVariable) {
    tracing::warn!(
        target: "registry",
        variable = variable.name,
        meant = variable.meant,
        "a variable changes nothing: its name has one underscore where two belong"
    );
}

/// Warns of a table that nearly is the table `database`.
pub(in crate::settings) fn warn_table(table: &NearTable) {
    tracing::warn!(
        target: "registry",
        table = table.0,
        nearest = "database",
        "a table of the settings is not read: its name is nearly that of the table with the databases"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest<'a>(key: &str, binds: &'a [BindKey]) -> Option<&'a str> {
        bind_nearly_named(key, binds.iter()).map(|bind| &**bind)
    }

    #[test]
    fn misspelt_names_are_told_from_the_names_of_others() {
        let keys = ["a", "analytics", "crm", "default", "orders", "rest", "shard_1"];
        let binds = keys.map(|key| BindKey::new(key).unwrap());
        for (key, bind) in [
            ("analitycs", Some("analytics")),
            ("analytic", Some("analytics")),
            ("order", Some("orders")),
            ("odrers", Some("orders")),
            ("defautl", Some("default")),
            // Too far, too short, or another shard.
            ("analysis", None),
            ("reports", None),
            ("crn", None),
            ("b", None),
            ("shard_2", None),
            // Words of other tools.
            ("test", None),
            ("postgres", None),
        ] {
            assert_eq!(nearest(key, &binds), bind, "{key}");
        }
    }

    #[test]
    fn one_underscore_where_two_belong_is_found() {
        for (name, bind, meant) in [
            ("DATABASE_REPLICAS", None, "DATABASE__REPLICAS"),
            ("DATABASE_URL_FILE", None, "DATABASE__URL_FILE"),
            ("DATABASE_TOKEN_KEY", None, "DATABASE__TOKEN_KEY"),
            ("DATABASE_MAX_CONNECTIONS", None, "DATABASE__OPTIONS__MAX_CONNECTIONS"),
            ("DATABASE_OPTIONS__MAX_LAG", None, "DATABASE__OPTIONS__MAX_LAG"),
            ("SHOP_DATABASE_REPLICAS", Some("shop"), "DATABASE__BINDS__SHOP__REPLICAS"),
            ("SHOP_DATABASE__PASSWORD", Some("shop"), "DATABASE__BINDS__SHOP__PASSWORD"),
            ("DATABASE_BINDS_BIG_SHOP_URL", Some("big_shop"), "DATABASE__BINDS__BIG_SHOP__URL"),
            ("DATABASE_BINDS__SHOP__URL_FILE", Some("shop"), "DATABASE__BINDS__SHOP__URL_FILE"),
        ] {
            let near = variable_nearly_named("DATABASE", name).expect(name);
            assert_eq!((near.bind.as_deref(), &*near.meant), (bind, meant), "{name}");
            assert_eq!(near.name, name);
        }
        for other in
            ["DATABASE_NAME", "DATABASE_PASSWORD", "DATABASES_REPLICAS", "MYDATABASE_REPLICAS"]
        {
            assert_eq!(variable_nearly_named("DATABASE", other), None, "{other}");
        }
    }

    #[test]
    fn only_tables_within_two_characters_count() {
        for near in ["databse", "Database", "databases", "dtabase", "datbase"] {
            assert!(is_nearly_table(near, "database"), "{near}");
        }
        for far in ["database", "data", "server", "base", "metadata_base"] {
            assert!(!is_nearly_table(far, "database"), "{far}");
        }
    }
}
