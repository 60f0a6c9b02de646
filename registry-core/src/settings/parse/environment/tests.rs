use super::*;
use crate::settings::error::SettingsError;
use crate::settings::sources::Settings;
use crate::settings::testing::{engines, problems, urls};

const FILE: &str = "
    [database]
    url = 'sqlite:///file/default.db'
    [database.binds]
    analytics = 'sqlite:///file/analytics.db'
";

fn laid_over(file: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Ok(Settings::from_toml(file)?.overlaid_with(variables.iter().copied()))
}

#[test]
fn the_url_of_the_default_bind_needs_no_file() {
    let settings = Settings::default().overlaid_with([("DATABASE_URL", "sqlite:///app.db")]);
    assert_eq!(urls(&settings), ["default sqlite:///app.db"]);
}

#[test]
fn a_named_url_overrides_a_bind_and_makes_none() {
    let settings = laid_over(
        FILE,
        &[
            ("DATABASE_URL", "sqlite:///env/default.db"),
            ("ANALYTICS_DATABASE_URL", "sqlite:///env/analytics.db"),
            ("TEST_DATABASE_URL", "nonsense"),
        ],
    );
    assert_eq!(
        urls(&settings.unwrap()),
        ["analytics sqlite:///env/analytics.db", "default sqlite:///env/default.db"]
    );
}

#[test]
fn a_named_url_overrides_a_bind_that_another_variable_made() {
    let settings = Settings::default().overlaid_with([
        ("ANALYTICS_DATABASE_URL", "sqlite:///short.db"),
        ("DATABASE__BINDS__ANALYTICS__BUSY_TIMEOUT", "1s"),
        ("DATABASE__URL", "sqlite:///long.db"),
        ("DATABASE_URL", "sqlite:///short.db"),
        ("DEFAULT_DATABASE_URL", "sqlite:///other.db"),
    ]);
    assert_eq!(urls(&settings), ["analytics sqlite:///short.db", "default sqlite:///short.db"]);
}

#[test]
fn a_nested_variable_sets_anything_and_may_make_a_bind() {
    let settings = laid_over(
        FILE,
        &[
            ("DATABASE__URL", "sqlite:///env/default.db"),
            ("DATABASE__REQUIRED", "false"),
            ("DATABASE__OPTIONS__MAX_CONNECTIONS", "7"),
            ("DATABASE__BINDS__REPORTS", "sqlite:///env/reports.db"),
            ("DATABASE__BINDS__REPORTS__MAX_CONNECTIONS", "3"),
            ("DATABASE__BINDS__TWO__PARTS__URL", "sqlite:///env/two.db"),
        ],
    )
    .unwrap();
    let engines = engines(&settings);
    let seen: Vec<_> = engines
        .iter()
        .map(|engine| {
            let max = engine.options.max_connections;
            format!("{} {} {max} {}", engine.key, engine.url, engine.required)
        })
        .collect();
    assert_eq!(
        seen,
        [
            "analytics sqlite:///file/analytics.db 7 true",
            "default sqlite:///env/default.db 7 false",
            "reports sqlite:///env/reports.db 3 true",
            "two__parts sqlite:///env/two.db 7 true",
        ]
    );
}

#[test]
fn empty_means_unset() {
    let settings = laid_over(
        FILE,
        &[
            ("DATABASE_URL", ""),
            ("ANALYTICS_DATABASE_URL", ""),
            ("DATABASE__OPTIONS__MAX_CONNECTIONS", ""),
            ("DATABASE__BINDS__REPORTS", ""),
        ],
    );
    assert_eq!(
        urls(&settings.unwrap()),
        ["analytics sqlite:///file/analytics.db", "default sqlite:///file/default.db"]
    );
}

#[test]
fn problems_name_the_variable() {
    let settings = laid_over(
        FILE,
        &[
            ("DATABASE__MAX_CONECTIONS", "4"),
            ("DATABASE__OPTIONS__MAX_CONNECTIONS", "many"),
            ("DATABASE__BINDS__9__URL", "sqlite::memory:"),
            ("DATABASE__BINDS", "x"),
            ("ANALYTICS_DATABASE_URL", "oracle://x"),
        ],
    );
    assert_eq!(
        problems(&settings.unwrap()),
        [
            "DATABASE__BINDS: unknown; known are url, url_file, password, password_file, \
             required, tenant_schema, migrate_url, replicas, max_engines, engine_idle_timeout, token_key, token_key_file, options__.., binds__.., binds__..__..",
            "DATABASE__BINDS__9__URL: a bind key has only a-z, 0-9 and _, and begins with a \
             letter: look at byte 0",
            "DATABASE__MAX_CONECTIONS: unknown; known are url, url_file, password, \
             password_file, required, tenant_schema, migrate_url, replicas, max_engines, engine_idle_timeout, token_key, token_key_file, options__.., binds__.., binds__..__..",
            "DATABASE__OPTIONS__MAX_CONNECTIONS: expected a whole number, such as 10, found \
             another text",
            "ANALYTICS_DATABASE_URL: unknown scheme `oracle`; known are postgres, postgresql, \
             mysql, mariadb, sqlite",
        ]
    );
}

#[test]
fn an_unknown_key_of_a_bind_or_of_the_options_is_a_problem() {
    let problems = problems(
        &laid_over(
            FILE,
            &[
                ("DATABASE__BINDS__ANALYTICS__BUSY_TIMEOUTS", "4s"),
                ("DATABASE__OPTIONS__MIN_IDEL", "4"),
            ],
        )
        .unwrap(),
    );
    assert_eq!(problems.len(), 2);
    assert!(problems[0].starts_with(
        "DATABASE__BINDS__ANALYTICS__BUSY_TIMEOUTS: unknown; did you mean `busy_timeout`?; \
         known are url, "
    ));
    assert!(problems[1].starts_with(
        "DATABASE__OPTIONS__MIN_IDEL: unknown; did you mean `min_idle`?; known are \
         max_connections, "
    ));
}

#[test]
fn a_value_that_is_not_unicode_is_a_problem_only_where_it_counts() {
    let variables = [("DATABASE_URL", None), ("PATH", None)];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let draft = read("DATABASE", variables.into(), 0);
    assert_eq!(draft.problems, [Problem::new("DATABASE_URL", "the value is not Unicode")]);
}

#[test]
fn the_prefix_can_be_changed() {
    let settings = Settings::from_toml(FILE).unwrap().overlaid_with_prefix(
        "APP_DB",
        [
            ("APP_DB_URL", "sqlite:///env/default.db"),
            ("ANALYTICS_APP_DB_URL", "sqlite:///env/analytics.db"),
            ("APP_DB__BINDS__MORE", "sqlite:///env/more.db"),
            ("DATABASE_URL", "nonsense"),
            ("DATABASE__NONSENSE", "nonsense"),
        ],
    );
    assert_eq!(
        urls(&settings),
        [
            "analytics sqlite:///env/analytics.db",
            "default sqlite:///env/default.db",
            "more sqlite:///env/more.db"
        ]
    );
}
