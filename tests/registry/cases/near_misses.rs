//! Warnings of names that nearly are those of a bind or of the table `database`.

use registry_core::{Registry, Settings};

use crate::support::log::own_log;

const TOML: &str = r#"
    [database]
    url = "sqlite::memory:"
    binds.analytics = "sqlite::memory:"
    binds.a = "sqlite::memory:"
    binds.rest = "sqlite::memory:"
"#;

/// The warnings of building a registry from these settings, to which code adds the bind `reports`.
fn warnings(toml: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let (log, _guard) = own_log();
    let settings = Settings::from_toml(toml).expect("TOML");
    let settings = settings.overlaid_with(variables.iter().copied());
    assert_eq!(log.lines_with("WARN"), [""; 0], "nothing is said before the settings are used");
    let built = Registry::builder().settings(settings).bind("reports", "sqlite::memory:").build();
    built.expect("a warning is no error");
    log.lines_with("WARN registry:")
}

#[test]
fn variable_that_nearly_names_a_bind_is_warned_of() {
    let value = "sqlite://zauber.db";
    let seen = warnings(TOML, &[("ANALITYCS_DATABASE_URL", value), ("REPORT_DATABASE_URL", value)]);
    assert_eq!(seen.len(), 2, "{seen:?}");
    for (event, variable, bind) in [
        (&seen[0], "ANALITYCS_DATABASE_URL", "analytics"),
        (&seen[1], "REPORT_DATABASE_URL", "reports"),
    ] {
        assert!(event.contains("a variable changes nothing: no bind has that name"), "{event}");
        assert!(event.contains(&format!("bind={bind}")), "{event}");
        assert!(event.contains(&format!("variable=\"{variable}\"")), "{event}");
        assert!(!event.contains("zauber"), "{event}");
    }
}

#[test]
fn variable_with_one_underscore_where_two_belong_is_warned_of() {
    let variables = [
        ("ANALYTICS_DATABASE_MAX_CONNECTIONS", "ANALYTICS__MAX_CONNECTIONS"),
        ("DATABASE_BINDS_REPORTS_REPLICAS", "REPORTS__REPLICAS"),
        ("DATABASE_OPTIONS_MAX_LAG", ""),
        ("DATABASE_TOKEN_KEY", ""),
    ];
    let value = "postgres://app:zauber@h/db";
    let seen = warnings(TOML, &variables.map(|(name, _)| (name, value)));
    assert_eq!(seen.len(), 4, "{seen:?}");
    for (event, (name, of_bind)) in seen.iter().zip(variables) {
        assert!(event.contains("its name has one underscore where two belong"), "{event}");
        assert!(event.contains(&format!("variable=\"{name}\" meant=\"DATABASE__")), "{event}");
        assert!(of_bind.is_empty() || event.contains(&format!("__BINDS__{of_bind}\"")), "{event}");
        assert!(!event.contains("zauber"), "{event}");
    }
}

#[test]
fn variables_of_other_programs_are_not_warned_of() {
    let others = [
        "TEST_DATABASE_URL",
        "POSTGRES_DATABASE_URL",
        "B_DATABASE_URL",
        "BILLING_DATABASE_URL",
        "ANALYTICS_DATABASE_URL",
        "DATABASE_URL",
        "BILLING_DATABASE_REPLICAS",
        "DATABASE_NAME",
        "DATABASE_PASSWORD",
    ];
    let variables: Vec<_> = others.iter().map(|name| (*name, "sqlite::memory:")).collect();
    assert_eq!(warnings(TOML, &variables), [""; 0]);
}

#[test]
fn table_beside_the_table_database_with_nearly_its_name_is_warned_of() {
    let near = format!("{TOML}\n[databse.binds]\nlogs = 'postgres://app:zauber@h/db'");
    let seen = warnings(&near, &[]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].contains("a table of the settings is not read"), "{seen:?}");
    assert!(seen[0].contains("table=\"databse\" nearest=\"database\""), "{seen:?}");
    assert!(!seen[0].contains("zauber"), "{seen:?}");

    let far = format!("{TOML}\n[server]\nport = 80\n[data]\nfolder = 'x'");
    assert_eq!(warnings(&far, &[]), [""; 0]);
}

#[test]
fn misspelt_table_without_the_right_one_is_an_error() {
    let settings = Settings::from_toml("[databse]\nurl = 'sqlite::memory:'").expect("TOML");
    let error = Registry::from_settings(settings).expect_err("there is no database").to_string();
    assert!(error.contains("databse: unknown; did you mean the table `database`?"), "{error}");
}

#[test]
fn max_lag_that_probes_cannot_tell_is_warned_of() {
    let replicas = |options: &str| {
        warnings(
            &format!(
                "[database]\nurl = 'postgres://app:zauber@one/db'\n\
                 replicas = ['postgres://two/db', 'postgres://three/db']\n{options}"
            ),
            &[],
        )
    };
    assert_eq!(replicas("options.max_lag = '1s'"), [""; 0]);
    assert_eq!(replicas("options.max_lag = 'none'\noptions.probe_interval = '1m'"), [""; 0]);
    let [event] = &replicas("options.max_lag = '900ms'")[..] else { panic!("one warning") };
    assert!(event.contains("the replicas get few reads"), "{event}");
    assert!(event.contains("bind=default max_lag=900ms probe_interval=1s"), "{event}");
}
