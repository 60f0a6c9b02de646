use std::collections::BTreeMap;

use crate::settings::error::Problem;
use crate::settings::keys::BindKey;
use crate::settings::options::SaidOptions;
use crate::settings::parse::document::unknown;
use crate::settings::parse::draft::{BindDraft, Draft, OnDemandDraft, Said, UrlFrom};
use crate::settings::url::DatabaseUrl;
use crate::settings::value::Value;

/// Variables by name; `None` is a value that is not Unicode.
pub(in crate::settings) type Variables = BTreeMap<String, Option<String>>;

/// Reads the variables of one prefix as one layer, and leaves all others alone.
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
        let said = Said { value: UrlFrom::Text(DatabaseUrl::parse(&value)), place: name, layer };
        match bind {
            Some(bind) => {
                draft.overrides.insert(bind, said);
            }
            None => default_url = Some(said),
        }
    }
    if let Some(said) = default_url {
        draft.overrides.remove(&BindKey::DEFAULT);
        let bind = draft.binds.entry(BindKey::DEFAULT);
        let bind = bind.or_insert_with(|| BindDraft::new(&said.place));
        bind.url = Some(said);
    }
    draft
}

/// Reads what follows `DATABASE__`, in lower case.
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
            let known = SaidOptions::NAMES.iter().copied();
            let read = draft.options.read(rest, &value, name);
            read.unwrap_or_else(|| Err(unknown(rest, known)))
        }
        "binds" => {
            // A key may have two underscores as well, so its end is found from the back.
            let (key, field) = rest.rsplit_once("__").unwrap_or((rest, "url"));
            let key = BindKey::new(key).map_err(|invalid| invalid.to_string())?;
            if !BindDraft::known().any(|known| known == field) {
                return Err(unknown(field, BindDraft::known()));
            }
            read_field(draft, key, field, &value, name, layer)
        }
        "" if BindDraft::FIELDS.contains(&rest) => {
            read_field(draft, BindKey::DEFAULT, rest, &value, name, layer)
        }
        "" if OnDemandDraft::FIELDS.contains(&rest) => {
            draft.on_demand.read(rest, &value, name, layer)
        }
        _ => Err(unknown(
            path,
            BindDraft::FIELDS.into_iter().chain(OnDemandDraft::FIELDS).chain([
                "options__..",
                "binds__..",
                "binds__..__..",
            ]),
        )),
    }
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
    bind.read(field, value, name, layer).unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests;
