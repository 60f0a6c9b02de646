//! Whether an engine can be opened at a URL.

use std::path::Path;

use crate::settings::url::DatabaseUrl;

/// Returns why the driver would reject a URL, without connecting.
pub(in crate::settings) type CheckUrl = fn(&DatabaseUrl) -> Result<(), String>;

/// Checks the braces in the URL and the value of `target_session_attrs`, and has the driver check the URL as it will be used. In a URL with `{tenant}`, the
/// shortest possible name of a tenant, `a`, takes its place.
pub(in crate::settings) fn check(
    url: &DatabaseUrl,
    folder: &Path,
    check_url: CheckUrl,
) -> Result<(), String> {
    url.check_braces()?;
    url.check_session_attrs()?;
    let resolved = url.resolved_against(folder);
    if resolved.is_per_tenant() {
        check_url(&resolved.for_tenant("a").map_err(|unfit| unfit.to_string())?)
    } else {
        check_url(&resolved)
    }
}
