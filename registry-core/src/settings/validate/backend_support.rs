//! Which backend can honour an option.

use crate::settings::error::Problem;
use crate::settings::keys::BackendKind;
use crate::settings::keys::BindKey;
use crate::settings::options::{EngineOptions, OptionLayer};
use crate::settings::url::DatabaseUrl;
use crate::settings::validate::ranges::check_times;

/// Where an engine's options come from, the strongest first.
pub(in crate::settings) struct Layers<'a> {
    pub(in crate::settings) own: &'a OptionLayer,
    pub(in crate::settings) general: &'a OptionLayer,
    pub(in crate::settings) base: &'a OptionLayer,
}

/// The options of one engine, fitted to its database.
pub(in crate::settings) fn fitted(
    key: BindKey,
    url: Option<&DatabaseUrl>,
    base: &EngineOptions,
    layers: &Layers<'_>,
    problems: &mut Vec<Problem>,
) -> EngineOptions {
    let mut options = base.clone();
    layers.general.said.apply(&mut options);
    layers.own.said.apply(&mut options);

    if let Some(url) = url {
        check_times(url.backend(), &options, layers, problems);
        match url.sqlite_file() {
            Some(file) => {
                fit_sqlite(key, &options, layers, problems);
                if file.is_memory() {
                    fit_memory(&mut options, layers, problems);
                }
            }
            None => {
                if let Some(place) = layers.own.place("busy_timeout") {
                    problems.push(Problem::new(
                        place,
                        format!("{} has no busy timeout: it is for SQLite", url.backend()),
                    ));
                }
            }
        }
    }
    if let (Some(url), Some(name)) = (url, &options.tenant_setting)
        && let Err(message) = check_tenant_setting(key, url, name)
    {
        problems.push(Problem::new(layers.place("tenant_setting"), message));
    }
    check_min_idle(&options, layers, problems);
    options
}

/// A setting of a program's own has a dot in its name, and is written into statements.
fn check_tenant_setting(key: BindKey, url: &DatabaseUrl, name: &str) -> Result<(), String> {
    if url.backend() != BackendKind::Postgres {
        return Err(format!(
            "the bind `{key}` is {}, and `tenant_setting` is for PostgreSQL; say \"none\" for it",
            url.backend()
        ));
    }
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match name.split_once('.') {
        Some((class, name)) if is_word(class) && is_word(name) => Ok(()),
        _ => {
            Err("the name of a setting of your own is two words with a dot between them, such as \
                  \"app.tenant\""
                .to_owned())
        }
    }
}

fn fit_sqlite(
    key: BindKey,
    options: &EngineOptions,
    layers: &Layers<'_>,
    problems: &mut Vec<Problem>,
) {
    if options.statement_timeout.is_none() {
        return;
    }
    let name = "statement_timeout";
    problems.push(match layers.own.place(name) {
        Some(place) => Problem::new(place, "SQLite has no statement timeout"),
        None => Problem::new(
            layers.place(name),
            format!(
                "the bind `{key}` is SQLite, which has no statement timeout; say \"none\" for it"
            ),
        ),
    });
}

/// Each connection to a database in memory would be a database of its own, and the end of the last
/// one is the end of the database. What is said for every engine gives way to that.
fn fit_memory(options: &mut EngineOptions, layers: &Layers<'_>, problems: &mut Vec<Problem>) {
    let own = layers.own;
    if own.said.max_connections.is_some_and(|number| number > 1) {
        problems.push(Problem::new(
            own.place("max_connections").unwrap_or_default(),
            "a SQLite database in memory has 1 connection: each would be a database of its own",
        ));
    }
    for (name, value) in
        [("idle_timeout", own.said.idle_timeout), ("max_lifetime", own.said.max_lifetime)]
    {
        if matches!(value, Some(Some(_))) {
            problems.push(Problem::new(
                own.place(name).unwrap_or_default(),
                "the connection of a SQLite database in memory never expires: its data would be lost",
            ));
        }
    }
    options.max_connections = 1;
    options.idle_timeout = None;
    options.max_lifetime = None;
    if own.said.min_idle.is_none() {
        options.min_idle = options.min_idle.min(1);
    }
}

fn check_min_idle(options: &EngineOptions, layers: &Layers<'_>, problems: &mut Vec<Problem>) {
    let EngineOptions { min_idle, max_connections, .. } = options;
    // Zero connections are a problem already.
    if min_idle <= max_connections || *max_connections == 0 {
        return;
    }
    let places = [layers.own, layers.general, layers.base];
    let place =
        places.iter().find_map(|layer| layer.place("min_idle").or(layer.place("max_connections")));
    problems.push(Problem::new(
        place.unwrap_or("min_idle"),
        format!("min_idle is {min_idle}, which is more than max_connections, {max_connections}"),
    ));
}

/// An option for every engine must be one that at least one of them has.
pub(in crate::settings) fn check_general(
    general: &OptionLayer,
    urls: &[DatabaseUrl],
    problems: &mut Vec<Problem>,
) {
    let is_sqlite = |url: &DatabaseUrl| url.backend() == BackendKind::Sqlite;
    // Where no URL could be read, nobody knows.
    if let Some(place) = general.place("busy_timeout")
        && !urls.is_empty()
        && !urls.iter().any(is_sqlite)
    {
        problems.push(Problem::new(
            place,
            "no database here is SQLite, and the others have no busy timeout",
        ));
    }
}

impl<'a> Layers<'a> {
    pub(in crate::settings) fn place(&self, name: &'a str) -> &'a str {
        let layers = [self.own, self.general, self.base];
        let place = layers.iter().find_map(|layer| layer.place(name));
        place.unwrap_or(name)
    }
}

#[cfg(test)]
mod tests;
