//! The settings of a bind for its tenants: `tenant_schema` and `tenant_setting`.

use crate::settings::error::Problem;
use crate::settings::keys::BackendKind;
use crate::settings::options::{EngineOptions, OptionLayers};
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
