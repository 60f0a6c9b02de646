//! Settings of a bind that do not work through a connection pooler.

use crate::settings::error::Problem;
use crate::settings::keys::BackendKind;
use crate::settings::options::{EngineOptions, OptionLayers, Pooler, ResetOnReturn};
use crate::settings::parse::draft::Written;
use crate::settings::url::DatabaseUrl;

/// Why settings of a session are refused.
const REACHES_OTHERS: &str = "the pooler gives each transaction another server connection, so a setting of the \
                              session would reach other clients";

/// Reports the settings of a bind that do not work through its pooler.
pub(in crate::settings) fn check(
    url: &Written<&DatabaseUrl>,
    tenant_schema: Option<&Written<String>>,
    options: &EngineOptions,
    layers: &OptionLayers<'_>,
    problems: &mut Vec<Problem>,
) {
    // A pooler in front of another backend is reported by `backend_support`.
    if options.pooler == Pooler::None || url.value.backend() != BackendKind::Postgres {
        return;
    }
    let mut refused = |place: &str, what: &str, why: &str| {
        let message = format!("{what} cannot be had with `pooler = \"transaction\"`: {why}");
        problems.push(Problem::new(place, message));
    };
    if url.value.has_startup_options() {
        let why = "such a pooler refuses start-up options";
        refused(&url.place, "the parameter `options` of the URL", why);
    }
    if let Some(schema) = tenant_schema {
        refused(&schema.place, "a schema for each tenant", REACHES_OTHERS);
    }
    // The options that the driver sets on the session when it connects.
    for (name, is_used) in [
        ("statement_timeout", options.statement_timeout.is_some()),
        ("read_only", options.read_only),
        ("on_connect", !options.on_connect.is_empty()),
    ] {
        if is_used {
            refused(layers.place(name), &format!("`{name}`"), REACHES_OTHERS);
        }
    }
    if options.reset_on_return == ResetOnReturn::Full {
        let why = "other clients share the server session, so it cannot be reset for one";
        refused(layers.place("reset_on_return"), "`reset_on_return = \"full\"`", why);
    }
}

#[cfg(test)]
mod tests;
