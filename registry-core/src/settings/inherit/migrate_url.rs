//! The URL that migrations connect to, if a bind has one for them.

use std::path::Path;

use super::secret::password_of;
use super::tls;
use crate::settings::error::Problem;
use crate::settings::parse::draft::BindDraft;
use crate::settings::url::DatabaseUrl;
use crate::settings::url::tls::TlsMaterial;
use crate::settings::validate::migrate_url;
use crate::settings::validate::url::{self, CheckUrl};

/// The `migrate_url` of a bind, with the bind's password if it has none itself.
///
/// `bind_url` is the bind's own URL. If `bind_url` comes from an upper layer, such as a variable, it may lead to
/// another database than the `migrate_url` of the lower layer. Therefore that `migrate_url` is ignored.
pub(super) fn read(
    draft: &BindDraft,
    bind_url: &DatabaseUrl,
    folder: &Path,
    material: &TlsMaterial,
    check_url: CheckUrl,
) -> Result<Option<DatabaseUrl>, Problem> {
    let Some(written) = &draft.migrate_url else { return Ok(None) };
    if draft.url.as_ref().is_some_and(|url| written.layer < url.layer) {
        return Ok(None);
    }
    let problem = |message: String| Problem::new(&written.place, message);
    let url = written.value.as_ref().map_err(|invalid| problem(invalid.to_string()))?;
    let url = &tls::applied(material, url.clone(), &written.place)?;
    migrate_url::check(url, bind_url).map_err(problem)?;
    url::check(url, folder, check_url).map_err(problem)?;
    let url = url.resolved_against(folder);
    if url.has_password() || url.sqlite_file().is_some() {
        return Ok(Some(url));
    }
    Ok(Some(match password_of(draft, folder)? {
        Some(password) => url.with_password(&password),
        None => url,
    }))
}
