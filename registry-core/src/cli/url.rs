//! `url`: the URL of a database, for other programs.

use serde::Serialize;

use super::command::UrlArgs;
use super::confirm;
use super::databases::Databases;
use super::exit::{Caused, Exit, Failure, Outcome};
use super::output::Output;
use crate::registry::Located;
use crate::settings::DatabaseUrl;

#[derive(Serialize)]
struct Document<'a> {
    bind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    url: String,
    /// Whether something of the URL was left out, because it is or may be a secret.
    is_complete: bool,
}

pub(super) async fn run(databases: &Databases, output: &Output, arguments: &UrlArgs) -> Outcome {
    let located = databases.locate(&arguments.database).await?;
    let url = connected_url(&located, arguments.migrate).await?;
    let whole = with_schema(&url, &located).expose();
    let without = match DatabaseUrl::parse(&url.without_secrets()) {
        // Options of the user's own may have a secret, so they are left out, and with them the schema.
        Ok(without) if !url.has_startup_options() => with_schema(&without, &located).expose(),
        _ => url.without_secrets(),
    };
    let has_secret = without != whole;
    let shows_secret = has_secret && arguments.show_password;
    if shows_secret && !arguments.yes && !is_confirmed(output)? {
        return Err(Failure::usage("the URL was not shown, as nobody confirmed it"));
    }
    let shown = if shows_secret { whole } else { without };
    let is_complete = shows_secret || !has_secret;
    if output.is_json {
        output.json(&Document {
            bind: &located.settings.key,
            tenant: arguments.database.tenant.as_deref(),
            schema: located.schema.as_deref(),
            url: shown,
            is_complete,
        });
    } else {
        output.result(shown);
    }
    if !is_complete {
        output.progress("The password is left out: --show-password prints it too.");
    }
    Ok(Exit::Done)
}

fn is_confirmed(output: &Output) -> Result<bool, Failure> {
    if !confirm::has_person() {
        return Err(Failure::usage(
            "--show-password asks first, and there is no terminal to ask on: add --yes",
        ));
    }
    let answer = confirm::ask(output, "Show the URL with its password on this terminal? [y/N]")?;
    Ok(answer.is_some_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes" | "Yes")))
}

/// The URL by which a program connects to the database. That of a tenant's schema selects the schema.
pub(super) async fn url_of(located: &Located, migrate: bool) -> Result<DatabaseUrl, Failure> {
    Ok(with_schema(&connected_url(located, migrate).await?, located))
}

/// The URL of a database, with the password of the moment if the program asks for one at each connection.
async fn connected_url(located: &Located, migrate: bool) -> Result<DatabaseUrl, Failure> {
    let settings = &located.settings;
    let url = if migrate { settings.url_to_migrate() } else { &settings.url };
    let Some(credentials) = &settings.credentials else { return Ok(url.clone()) };
    let url = credentials.url_with_credentials(url).await;
    Ok(url.map_err(|error| {
        let message = format!("bind `{}`: its credentials could not be obtained", settings.key);
        Caused::new(message, error)
    })?)
}

fn with_schema(url: &DatabaseUrl, located: &Located) -> DatabaseUrl {
    match &located.schema {
        None => url.clone(),
        Some(schema) => url.with_startup_option(&search_path(schema)),
    }
}

/// The start-up option of PostgreSQL that selects a schema.
fn search_path(schema: &str) -> String {
    let quoted = format!("\"{}\",pg_temp", schema.replace('"', "\"\""));
    // The server splits the options at spaces that have no backslash before them.
    let escaped: String = quoted
        .chars()
        .flat_map(|c| matches!(c, ' ' | '\\').then_some('\\').into_iter().chain([c]))
        .collect();
    format!("-csearch_path={escaped}")
}
