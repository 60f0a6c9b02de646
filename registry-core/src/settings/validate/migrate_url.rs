//! The URL that migrations go to, where it is not the bind's own.

use std::path::Path;

use crate::settings::error::Problem;
use crate::settings::inherit::bind_defaults::password_of;
use crate::settings::parse::draft::{BindDraft, Said};
use crate::settings::url::{DatabaseUrl, TENANT_PLACEHOLDER};

/// What a bind says of it, checked, with the bind's password if it has none itself.
///
/// `of` is the bind's own URL. One that an upper layer says, such as a variable, is that of another
/// database: what a lower layer says about migrations is not about that one, and does not count.
pub(in crate::settings) fn read(
    draft: &BindDraft,
    of: &DatabaseUrl,
    folder: &Path,
    check_url: fn(&DatabaseUrl) -> Result<(), String>,
) -> Result<Option<DatabaseUrl>, Problem> {
    let Some(said) = &draft.migrate_url else { return Ok(None) };
    if draft.url.as_ref().is_some_and(|url| said.layer < url.layer) {
        return Ok(None);
    }
    let Said { value, place, .. } = said;
    let told = |message: String| Problem::new(place, message);
    let url = value.as_ref().map_err(|invalid| told(invalid.to_string()))?;
    check(url, of).map_err(told)?;
    url.check_braces().map_err(told)?;
    let resolved = url.resolved_against(folder);
    let checked = if resolved.is_per_tenant() {
        resolved.for_tenant("a").map_err(|unfit| told(unfit.to_string()))?
    } else {
        resolved.clone()
    };
    check_url(&checked).map_err(told)?;
    if resolved.has_password() || resolved.sqlite_file().is_some() {
        return Ok(Some(resolved));
    }
    Ok(Some(match password_of(draft, folder)? {
        Some(password) => resolved.with_password(&password),
        None => resolved,
    }))
}

fn check(url: &DatabaseUrl, of: &DatabaseUrl) -> Result<(), String> {
    if url.backend() != of.backend() {
        return Err(format!(
            "`migrate_url` is for {}, and the URL of the bind for {}: both lead to one database",
            url.backend(),
            of.backend()
        ));
    }
    if url.is_memory() || of.is_memory() {
        return Err("no second URL leads to a SQLite database in memory".to_owned());
    }
    match (url.is_per_tenant(), of.is_per_tenant()) {
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
