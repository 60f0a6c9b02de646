//! Third stage: whether the settings that a bind has inherited can be used. Every problem names the place where the
//! setting was written.
//!
//! | file | contents |
//! |---|---|
//! | this file | the options of one engine |
//! | [`ranges`] | the range of each number and duration |
//! | [`backend_support`] | a table of the options that not every backend can honour |
//! | [`connector`] | the program's own way to connect |
//! | [`memory`] | SQLite databases in memory |
//! | [`pooler`] | options that do not work through a connection pooler |
//! | [`replica`] | the replicas of a bind |
//! | [`tenants`] | `tenant_schema` and `tenant_setting` |
//! | [`url`], [`migrate_url`] | whether an engine can be opened at a URL, and migrations be run there |

pub(in crate::settings) mod backend_support;
pub(in crate::settings) mod connector;
mod memory;
pub(in crate::settings) mod migrate_url;
pub(in crate::settings) mod pooler;
pub(in crate::settings) mod ranges;
pub(in crate::settings) mod replica;
pub(in crate::settings) mod tenants;
pub(in crate::settings) mod url;

use super::error::Problem;
use super::keys::{BackendKind, BindKey};
use super::options::{EngineOptions, OptionLayers};
use super::url::DatabaseUrl;

/// Checks the options of one engine. `url` is `None` if it could not be read. Then only the checks that do not depend
/// on the backend are made.
pub(super) fn check_options(
    key: BindKey,
    url: Option<&DatabaseUrl>,
    options: &EngineOptions,
    layers: &OptionLayers<'_>,
    problems: &mut Vec<Problem>,
) {
    if let Some(url) = url {
        let backend = url.backend();
        ranges::check_durations(backend, options, layers, problems);
        backend_support::check(key, backend, options, layers, problems);
        if url.is_memory() {
            memory::check(layers.own, problems);
        }
        if backend == BackendKind::Postgres {
            problems.extend(tenants::check_setting(options, layers));
        }
    }
    ranges::check_min_idle(options, layers, problems);
}
