//! What the settings of a replica may be, beside those of its bind.

use crate::settings::error::Problem;
use crate::settings::keys::BackendKind;
use crate::settings::options::OptionLayer;
use crate::settings::parse::draft::BindDraft;
use crate::settings::url::{DatabaseUrl, TENANT_PLACEHOLDER};

/// The options of a bind as a whole, whichever server its reads go to.
pub(in crate::settings) const OPTIONS_OF_THE_BIND: [&str; 8] = [
    "max_lag",
    "max_lag_bytes",
    "when_behind",
    "wait_for_replica",
    "probe_interval",
    "max_reads_on_primary",
    "when_pending",
    "when_unknown",
];

/// Reports what a bind has and its replicas do not.
pub(in crate::settings) fn check_fields(replica: &BindDraft, problems: &mut Vec<Problem>) {
    let required = replica.required.as_ref().map(|written| &written.place);
    let schema = replica.tenant_schema.as_ref().map(|written| &written.place);
    let migrate_url = replica.migrate_url.as_ref().map(|written| &written.place);
    let replicas = replica.replicas.as_ref().map(|written| &written.place);
    for (place, message) in [
        (
            required,
            "`required` is for the bind: without this replica, its readers read from another server",
        ),
        (schema, "`tenant_schema` is for the bind: its replicas have the same schemas"),
        (migrate_url, "migrations are run on the primary, so `migrate_url` is for the bind"),
        (replicas, "a replica has no replicas of its own: add them to those of the bind"),
    ] {
        problems.extend(place.map(|place| Problem::new(place, message)));
    }
    check_options(&replica.options, problems);
}

fn check_options(own: &OptionLayer, problems: &mut Vec<Problem>) {
    for name in OPTIONS_OF_THE_BIND {
        if let Some(place) = own.place(name) {
            let message = format!("`{name}` is for the bind, and for all of its replicas alike");
            problems.push(Problem::new(place, message));
        }
    }
    if own.options.read_only == Some(false) {
        let place = own.place("read_only").unwrap_or("read_only");
        problems.push(Problem::new(place, "a replica is only read, so `read_only` is always true"));
    }
}

/// Reports the weight of a bind that is no replica.
pub(in crate::settings) fn check_weight(bind: &BindDraft) -> Option<Problem> {
    let weight = bind.weight.as_ref()?;
    let message = "a weight is for a replica, beside others: this is the bind itself";
    Some(Problem::new(&weight.place, message))
}

/// Checks whether a server at `url` can be a replica of the one at `bind_url`.
pub(in crate::settings) fn check_url(
    url: &DatabaseUrl,
    bind_url: &DatabaseUrl,
) -> Result<(), String> {
    if url.backend() != bind_url.backend() {
        return Err(format!(
            "this is {}, and the URL of the bind is for {}: a replica has a copy of the same database",
            url.backend(),
            bind_url.backend()
        ));
    }
    if let Some(wanted) = url.wants_primary() {
        return Err(format!(
            "a replica takes no writes, so with `target_session_attrs={wanted}` none would be found: leave it out"
        ));
    }
    match (url.is_per_tenant(), bind_url.is_per_tenant()) {
        (true, false) => Err(format!(
            "`{TENANT_PLACEHOLDER}` in the URL of a replica gives each tenant a database, and the URL of the bind does not"
        )),
        (false, true) => Err(format!(
            "the bind has a database for each tenant, so the URLs of its replicas have `{TENANT_PLACEHOLDER}` in them as well"
        )),
        _ => Ok(()),
    }
}

/// Checks whether `url` names the database of `bind_url`, where both name one. Reads from another database on the same
/// servers would find its tables, or none.
pub(in crate::settings) fn check_database(
    url: &DatabaseUrl,
    bind_url: &DatabaseUrl,
) -> Result<(), &'static str> {
    match (url.database_name(), bind_url.database_name()) {
        (Some(own), Some(of_bind)) if own != of_bind => Err(
            "this is another database than that of the bind's URL: a replica has a copy of the same database, under the same name",
        ),
        _ => Ok(()),
    }
}

/// Why a bind of this backend has no replicas, if it has none.
pub(in crate::settings) fn check_backend(backend: BackendKind) -> Result<(), &'static str> {
    match backend {
        BackendKind::Sqlite => {
            Err("a SQLite file has no replicas: a reader reads from the file itself")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
