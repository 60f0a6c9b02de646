//! The settings of a bind for its tenants: `tenant_schema`, `tenant_setting`, and what happens to their migrations.

use crate::settings::error::Problem;
use crate::settings::keys::BackendKind;
use crate::settings::options::{
    EngineOptions, OptionLayer, OptionLayers, WhenPending, WhenUnknown,
};
use crate::settings::parse::draft::Written;
use crate::settings::url::{DatabaseUrl, TENANT_PLACEHOLDER};

pub(in crate::settings) fn check_schema(
    schema: &Written<String>,
    url: &DatabaseUrl,
) -> Option<Problem> {
    let message = if url.backend() != BackendKind::Postgres {
        format!("{} has no schemas in a database: only PostgreSQL has", url.backend())
    } else if !schema.value.contains(TENANT_PLACEHOLDER) {
        format!("the schema of a tenant has `{TENANT_PLACEHOLDER}` in it")
    } else if url.is_per_tenant() {
        format!(
            "`{TENANT_PLACEHOLDER}` in the URL gives each tenant a database, and this a schema: one will do"
        )
    } else if schema.value.contains(['\0', '"']) {
        "a schema has no quotes in its name".to_owned()
    } else {
        return None;
    };
    Some(Problem::new(&schema.place, message))
}

/// The name of a setting that PostgreSQL does not define itself must have a dot in it. The name is inserted into
/// statements, so only two words with a dot between them are accepted.
pub(super) fn check_setting(options: &EngineOptions, layers: &OptionLayers<'_>) -> Option<Problem> {
    let name = options.tenant_setting.as_ref()?;
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match name.split_once('.') {
        Some((class, name)) if is_word(class) && is_word(name) => None,
        _ => Some(Problem::new(
            layers.place("tenant_setting"),
            "the name of a setting of your own is two words with a dot between them, such as \
             \"app.tenant\"",
        )),
    }
}

/// Reports a bind's own `when_pending` and `when_unknown` that it cannot honour. `options` are the merged ones.
///
/// Options for every engine are not reported: they are for the binds that can honour them.
pub(in crate::settings) fn check_migrations(
    own: &OptionLayer,
    options: &EngineOptions,
    has_tenants: bool,
    problems: &mut Vec<Problem>,
) {
    let mut problem = |name: &str, message: &str| {
        let place = own.place(name).unwrap_or(name);
        problems.push(Problem::new(place, message));
    };
    let own = &own.options;
    if !has_tenants && own.when_pending == Some(WhenPending::Migrate) {
        problem(
            "when_pending",
            "\"migrate\" is for binds with a database or schema for each tenant: a bind with one database is \
             migrated by `registry.migrate`",
        );
    }
    if has_tenants
        && options.when_pending == WhenPending::Serve
        && own.when_unknown == Some(WhenUnknown::Fail)
    {
        problem(
            "when_unknown",
            "with `when_pending = \"serve\"` the databases of tenants are not asked for their migrations, so none is \
             found to be unknown",
        );
    }
}

#[cfg(test)]
mod tests;
