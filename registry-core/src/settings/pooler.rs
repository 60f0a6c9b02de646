//! What stands between an engine and its server, and what cannot be had through it.

use super::draft::Said;
use super::error::Problem;
use super::honour::Layers;
use super::nearest::did_you_mean;
use super::value::{FromValue, Value, expected};
use super::{BackendKind, DatabaseUrl, EngineOptions, ResetOnReturn};
use crate::settings::BindKey;

/// A connection pooler, such as PgBouncer, between an engine and its PostgreSQL server.
///
/// In settings `"none"` and `"transaction"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Pooler {
    /// None, or one that gives each connection a server connection of its own: PgBouncer with
    /// `pool_mode = session`. The default.
    #[default]
    None,
    /// One that gives each transaction another server connection: PgBouncer with
    /// `pool_mode = transaction`.
    ///
    /// What a session sets would reach other clients, so `tenant_schema`, `statement_timeout`,
    /// `read_only`, `on_connect` and the URL's parameter `options` are errors when the registry is
    /// built. Migrations need `migrate_url`, the URL of the server itself.
    Transaction,
}

impl FromValue for Pooler {
    fn from_value(value: &Value) -> Result<Self, String> {
        const WORDS: [&str; 2] = ["none", "transaction"];
        let what = "\"none\" or \"transaction\"";
        let Value::Text(text) = value else {
            return Err(expected(what, value));
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "transaction" => Ok(Self::Transaction),
            other => Err(expected(what, value) + &did_you_mean(other, WORDS)),
        }
    }
}

/// What one bind says beside its options.
pub(super) struct Beside<'a> {
    pub(super) url: &'a DatabaseUrl,
    /// Where the URL was said.
    pub(super) url_place: &'a str,
    pub(super) tenant_schema: Option<&'a Said<String>>,
}

/// What a bind asks for that it cannot have through its pooler.
pub(super) fn check(
    key: BindKey,
    options: &EngineOptions,
    layers: &Layers<'_>,
    beside: &Beside<'_>,
    problems: &mut Vec<Problem>,
) {
    if options.pooler == Pooler::None {
        return;
    }
    let backend = beside.url.backend();
    if backend != BackendKind::Postgres {
        problems.push(match layers.own.place("pooler") {
            Some(place) => {
                Problem::new(place, format!("`pooler` is for PostgreSQL, and this is {backend}"))
            }
            None => Problem::new(
                layers.place("pooler"),
                format!(
                    "the bind `{key}` is {backend}, and `pooler` is for PostgreSQL; say \"none\" for it"
                ),
            ),
        });
        return;
    }
    let mut refused = |place: &str, what: &str, why: &str| {
        let message = format!("{what} cannot be had with `pooler = \"transaction\"`: {why}");
        problems.push(Problem::new(place, message));
    };
    let other_clients = "the pooler gives each transaction another server connection, so a setting \
                         of the session would reach other clients";
    if beside.url.has_startup_options() {
        let why = "such a pooler refuses start-up options";
        refused(beside.url_place, "the parameter `options` of the URL", why);
    }
    if let Some(schema) = beside.tenant_schema {
        refused(&schema.place, "a schema for each tenant", other_clients);
    }
    for (name, is_said) in [
        ("statement_timeout", options.statement_timeout.is_some()),
        ("read_only", options.read_only),
        ("on_connect", !options.on_connect.is_empty()),
    ] {
        if is_said {
            refused(layers.place(name), &format!("`{name}`"), other_clients);
        }
    }
    if options.reset_on_return == ResetOnReturn::Full {
        let why = "there is no session of its own that could be made as new";
        refused(layers.place("reset_on_return"), "`reset_on_return = \"full\"`", why);
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::resolve::testing::{engines, problems};
    use crate::settings::{Pooler, Settings};

    fn toml(text: &str) -> Settings {
        Settings::from_toml(text).unwrap()
    }

    #[test]
    fn a_full_reset_is_not_promised_where_there_is_no_session() {
        assert_eq!(
            problems(&toml(
                "
                [binds.a]
                url = 'postgres://localhost/app'
                pooler = 'transaction'
                reset_on_return = 'full'
                "
            )),
            ["binds.a.reset_on_return: `reset_on_return = \"full\"` cannot be had with `pooler = \
              \"transaction\"`: there is no session of its own that could be made as new"]
        );
    }

    #[test]
    fn what_a_pooler_would_give_to_other_clients_is_a_problem() {
        assert_eq!(
            problems(&toml(
                "
                [options]
                statement_timeout = '1s'
                [binds.a]
                url = 'postgres://h/app?options=-c%20work_mem=1MB'
                pooler = 'transaction'
                read_only = true
                on_connect = ['SELECT 1']
                [binds.b]
                url = 'postgres://h/app'
                pooler = 'transaction'
                statement_timeout = 'none'
                tenant_schema = 'tenant_{tenant}'
                "
            )),
            [
                "binds.a.url: the parameter `options` of the URL cannot be had with `pooler = \
                 \"transaction\"`: such a pooler refuses start-up options",
                "options.statement_timeout: `statement_timeout` cannot be had with `pooler = \
                 \"transaction\"`: the pooler gives each transaction another server connection, so a \
                 setting of the session would reach other clients",
                "binds.a.read_only: `read_only` cannot be had with `pooler = \"transaction\"`: the \
                 pooler gives each transaction another server connection, so a setting of the \
                 session would reach other clients",
                "binds.a.on_connect: `on_connect` cannot be had with `pooler = \"transaction\"`: the \
                 pooler gives each transaction another server connection, so a setting of the \
                 session would reach other clients",
                "binds.b.tenant_schema: a schema for each tenant cannot be had with `pooler = \
                 \"transaction\"`: the pooler gives each transaction another server connection, so \
                 a setting of the session would reach other clients",
            ]
        );
    }

    #[test]
    fn a_pooler_is_for_postgres() {
        assert_eq!(
            problems(&toml(
                "
                [options]
                pooler = 'transaction'
                [binds]
                files = 'sqlite://files.db'
                pg = 'postgres://h/app'
                [binds.my]
                url = 'mysql://h/app'
                pooler = 'transaction'
                "
            )),
            [
                "options.pooler: the bind `files` is SQLite, and `pooler` is for PostgreSQL; say \
                 \"none\" for it",
                "binds.my.pooler: `pooler` is for PostgreSQL, and this is MySQL",
            ]
        );
    }

    #[test]
    fn a_pooler_is_said_for_one_bind_or_for_all() {
        let engines = engines(&toml(
            "
            [options]
            pooler = 'Transaction'
            [binds]
            a = 'postgres://h/app'
            [binds.b]
            url = 'postgres://h/app'
            pooler = 'none'
            ",
        ));
        let poolers: Vec<Pooler> = engines.iter().map(|engine| engine.options.pooler).collect();
        assert_eq!(poolers, [Pooler::Transaction, Pooler::None]);
    }

    #[test]
    fn an_unknown_pooler_names_the_words_and_the_nearest() {
        assert_eq!(
            problems(&toml("binds.a = { url = 'postgres://h/app', pooler = 'transactions' }")),
            [
                "binds.a.pooler: expected \"none\" or \"transaction\", found another text; did you mean \
              `transaction`?"
            ]
        );
    }
}
