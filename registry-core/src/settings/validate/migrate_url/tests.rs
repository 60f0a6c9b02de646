use std::fs;
use std::path::Path;

use crate::settings::bind_settings::BindSettings;
use crate::settings::options::EngineOptions;
use crate::settings::sources::Settings;
use crate::settings::testing::{engines, problems, resolve};
use crate::settings::url::DatabaseUrl;

fn toml(text: &str) -> Settings {
    Settings::from_toml(text).unwrap()
}

fn migrate_urls(settings: &Settings) -> Vec<Option<String>> {
    let engines = engines(settings);
    engines.iter().map(|engine| engine.migrate_url.as_ref().map(DatabaseUrl::expose)).collect()
}

#[test]
fn a_migrate_url_takes_the_password_of_the_bind_unless_it_has_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "p/w\n").unwrap();
    let settings = toml(
        "
        [binds.a]
        url = 'postgres://app@pooler/db'
        migrate_url = 'postgres://owner@server/db'
        password_file = 'password'
        [binds.b]
        url = 'postgres://app@pooler/db'
        migrate_url = 'postgres://owner:own@server/db'
        password = 'x'
        [binds.c]
        url = 'postgres://app:x@pooler/db'
        migrate_url = 'postgres://owner@server/db'
        [binds.d]
        url = 'postgres://app:x@pooler/db'
        ",
    );
    assert_eq!(
        migrate_urls(&settings.relative_to(folder.path())),
        [
            Some("postgres://owner:p%2Fw@server/db".to_owned()),
            Some("postgres://owner:own@server/db".to_owned()),
            Some("postgres://owner@server/db".to_owned()),
            None,
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_relative_path_begins_where_that_of_the_url_does() {
    let text = "url = 'sqlite://app.db'\nmigrate_url = 'sqlite://sub/app.db'";
    assert_eq!(
        migrate_urls(&toml(text).relative_to(Path::new("/srv"))),
        [Some("sqlite:///srv/sub/app.db".to_owned())]
    );
}

#[test]
fn a_migrate_url_can_come_from_variables_and_code() {
    let settings = toml("binds.a = 'postgres://pooler/db'\nurl = 'postgres://pooler/db'")
        .overlaid_with([
            ("DATABASE__BINDS__A__MIGRATE_URL", "postgres://server/a"),
            ("DATABASE__MIGRATE_URL", "postgres://server/db"),
        ]);
    assert_eq!(
        migrate_urls(&settings),
        [Some("postgres://server/a".to_owned()), Some("postgres://server/db".to_owned())]
    );
    let bind = BindSettings::new("postgres://app@pooler/db")
        .password("zauber")
        .migrate_url("postgres://owner@server/db");
    assert!(!format!("{bind:?}").contains("zauber"));
    let (engines, problems) =
        resolve(&Settings::default(), vec![("a".to_owned(), bind)], &EngineOptions::default());
    assert_eq!(problems, []);
    let url = engines[0].migrate_url.as_ref().map(DatabaseUrl::expose);
    assert_eq!(url.as_deref(), Some("postgres://owner:zauber@server/db"));
}

#[test]
fn a_url_of_an_upper_layer_discards_a_migrate_url_of_a_lower_one() {
    let file = "url = 'postgres://pooler/db'\nmigrate_url = 'postgres://server/db'";
    let settings = toml(file).overlaid_with([("DATABASE_URL", "postgres://test/db")]);
    assert_eq!(migrate_urls(&settings), [None]);
}

#[test]
fn a_url_that_leads_elsewhere_is_a_problem() {
    assert_eq!(
        problems(&toml(
            "
            [binds.a]
            url = 'postgres://pooler/db'
            migrate_url = 'mysql://server/db'
            [binds.b]
            url = 'postgres://pooler/{tenant}'
            migrate_url = 'postgres://server/db'
            [binds.c]
            url = 'postgres://pooler/db'
            migrate_url = 'postgres://server/{tenant}'
            [binds.d]
            url = 'sqlite::memory:'
            migrate_url = 'sqlite://app.db'
            [binds.e]
            url = 'postgres://pooler/db'
            migrate_url = 'postgres://u:x@zauber@server/db'
            [binds.f]
            url = 'postgres://pooler/db'
            migrate_url = 5
            "
        )),
        [
            "binds.f.migrate_url: expected the URL of a database, found a number",
            "binds.a.migrate_url: `migrate_url` is for MySQL, and the URL of the bind for \
             PostgreSQL: both lead to one database",
            "binds.b.migrate_url: the bind has a database for each tenant, so `migrate_url` has \
             `{tenant}` in it as well",
            "binds.c.migrate_url: `{tenant}` in `migrate_url` gives each tenant a database, and \
             the URL of the bind does not",
            "binds.d.migrate_url: no second URL leads to a SQLite database in memory",
            "binds.e.migrate_url: it is unclear where the host begins: elsewhere than before it, \
             write `%40` for `@`, and in a password also `%2F` for `/`, `%3F` for `?` and `%23` \
             for `#`",
        ]
    );
}
