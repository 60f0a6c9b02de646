//! Environment variables, to a draft.

use std::collections::BTreeMap;

use crate::settings::error::Problem;
use crate::settings::keys::BindKey;
use crate::settings::options::PartialOptions;
use crate::settings::parse::document::unknown_key;
use crate::settings::parse::draft::{BindDraft, Draft, UrlSource, Written};
use crate::settings::parse::{near_miss, replicas};
use crate::settings::url::DatabaseUrl;
use crate::settings::value::Value;

/// Variables by name; `None` is a value that is not Unicode.
pub(in crate::settings) type Variables = BTreeMap<String, Option<String>>;

/// Reads the variables of one prefix as one layer, and ignores all others.
pub(in crate::settings) fn read(prefix: &str, variables: Variables, layer: usize) -> Draft {
    let nested = format!("{prefix}__");
    let url = format!("{prefix}_URL");
    let other_url = format!("_{prefix}_URL");

    let mut draft = Draft::default();
    let mut default_url = None;
    for (name, value) in variables {
        let bind = name.strip_suffix(&other_url).map(str::to_ascii_lowercase);
        let bind = bind.and_then(|key| BindKey::new(&key).ok());
        if !name.starts_with(&nested) && name != url && bind.is_none() {
            if value.is_none_or(|value| !value.is_empty()) {
                draft.near_variables.extend(near_miss::variable_nearly_named(prefix, &name));
            }
            continue;
        }
        let Some(value) = value else {
            draft.problems.push(Problem::new(name, "the value is not Unicode"));
            continue;
        };
        if value.is_empty() {
            continue;
        }
        if let Some(path) = name.strip_prefix(&nested) {
            let path = path.to_ascii_lowercase();
            if let Err(message) = read_nested(&mut draft, &path, value, &name, layer) {
                draft.problems.push(Problem::new(name, message));
            }
            continue;
        }
        let written =
            Written { value: UrlSource::Text(DatabaseUrl::parse(&value)), place: name, layer };
        match bind {
            Some(bind) => {
                draft.overrides.insert(bind, written);
            }
            None => default_url = Some(written),
        }
    }
    if let Some(written) = default_url {
        draft.overrides.remove(&BindKey::DEFAULT);
        let bind = draft.binds.entry(BindKey::DEFAULT);
        let bind = bind.or_insert_with(|| BindDraft::new(&written.place));
        bind.url = Some(written);
    }
    draft
}

/// Reads the variable whose name after `DATABASE__`, in lower case, is `path`.
fn read_nested(
    draft: &mut Draft,
    path: &str,
    value: String,
    name: &str,
    layer: usize,
) -> Result<(), String> {
    let value = Value::Text(value);
    let (table, rest) = path.split_once("__").unwrap_or(("", path));
    match table {
        "options" => {
            let known = PartialOptions::NAMES.iter().copied();
            let read = draft.options.read(rest, &value, name);
            read.unwrap_or_else(|| Err(unknown_key(rest, known)))
        }
        "binds" => {
            // A bind key may contain two underscores itself, so the field is the part after the last two underscores.
            let (key, field) = rest.rsplit_once("__").unwrap_or((rest, "url"));
            if is_within_replicas(key) {
                return Err(WITHIN_REPLICAS.to_owned());
            }
            let key = BindKey::new(key).map_err(|invalid| invalid.to_string())?;
            let is_option = PartialOptions::NAMES.contains(&field);
            if !BindDraft::is_field(field) && !is_option {
                return Err(unknown_key(field, BindDraft::field_and_option_names()));
            }
            read_field(draft, key, field, &value, name, layer)
        }
        "" if BindDraft::is_field(rest) => {
            read_field(draft, BindKey::DEFAULT, rest, &value, name, layer)
        }
        "" if Draft::FIELDS.contains(&rest) => draft.read(rest, &value, name, layer),
        "replicas" => Err(WITHIN_REPLICAS.to_owned()),
        _ => Err(unknown_key(
            path,
            BindDraft::FIELDS.into_iter().chain(Draft::FIELDS).chain([
                "options__..",
                "binds__..",
                "binds__..__..",
            ]),
        )),
    }
}

const WITHIN_REPLICAS: &str = "no variable gives a part of the replicas: one variable, whose name ends in `REPLICAS`, \
                               gives all of them, as URLs with white space between them";

/// Whether the key of a bind seems to be the path of a replica: `shop__replicas__0`. It would create another bind.
fn is_within_replicas(key: &str) -> bool {
    key.ends_with("__replicas") || key.contains("__replicas__")
}

fn read_field(
    draft: &mut Draft,
    key: BindKey,
    field: &str,
    value: &Value,
    name: &str,
    layer: usize,
) -> Result<(), String> {
    let bind = draft.binds.entry(key);
    let bind = bind.or_insert_with(|| BindDraft::new(name));
    if field == "replicas" {
        replicas::read(bind, value, name, layer, &mut draft.problems);
        return Ok(());
    }
    bind.read(field, value, name, layer).unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests;
