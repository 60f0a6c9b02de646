//! Whether a `migrate_url` leads to the database of its bind.

use crate::settings::url::{DatabaseUrl, TENANT_PLACEHOLDER};

/// Checks `url`, the `migrate_url` of a bind at `bind_url`.
pub(in crate::settings) fn check(url: &DatabaseUrl, bind_url: &DatabaseUrl) -> Result<(), String> {
    if url.backend() != bind_url.backend() {
        return Err(format!(
            "`migrate_url` is for {}, and the URL of the bind for {}: both lead to one database",
            url.backend(),
            bind_url.backend()
        ));
    }
    if url.is_memory() || bind_url.is_memory() {
        return Err("no second URL leads to a SQLite database in memory".to_owned());
    }
    match (url.is_per_tenant(), bind_url.is_per_tenant()) {
        (true, false) => Err(format!(
            "`{TENANT_PLACEHOLDER}` in `migrate_url` gives each tenant a database, and the URL of the bind does not"
        )),
        (false, true) => Err(format!(
            "the bind has a database for each tenant, so `migrate_url` has `{TENANT_PLACEHOLDER}` in it as well"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
