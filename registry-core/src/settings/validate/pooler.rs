//! What cannot be had through a connection pooler.

use crate::settings::error::Problem;
use crate::settings::keys::BackendKind;
use crate::settings::keys::BindKey;
use crate::settings::options::{EngineOptions, Pooler, ResetOnReturn};
use crate::settings::parse::draft::Said;
use crate::settings::url::DatabaseUrl;
use crate::settings::validate::backend_support::Layers;

/// What one bind says beside its options.
pub(in crate::settings) struct Beside<'a> {
    pub(in crate::settings) url: &'a DatabaseUrl,
    /// Where the URL was said.
    pub(in crate::settings) url_place: &'a str,
    pub(in crate::settings) tenant_schema: Option<&'a Said<String>>,
}

/// What a bind asks for that it cannot have through its pooler.
pub(in crate::settings) fn check(
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
mod tests;
