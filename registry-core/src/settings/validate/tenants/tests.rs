use super::*;
use crate::settings::sources::Settings;
use crate::settings::testing::{engines, problems, resolve};

fn toml(text: &str) -> Settings {
    Settings::from_toml(text).unwrap()
}

#[test]
fn what_happens_to_migrations_is_written_like_other_options() {
    let file = toml(
        "
        [options]
        when_pending = 'serve'
        [binds.crm]
        url = 'sqlite:///srv/{tenant}.db'
        when_pending = 'migrate'
        when_unknown = 'fail'
        [binds.schemas]
        url = 'postgres://app@one/schemas'
        tenant_schema = 'tenant_{tenant}'
        when_pending = 'migrate'
        [binds.shop]
        url = 'mysql://app@one/shop'
        ",
    );
    let of = |settings: &Settings| -> Vec<_> {
        let options = engines(settings).into_iter().map(|engine| engine.options);
        options.map(|options| (options.when_pending, options.when_unknown)).collect()
    };
    assert_eq!(
        of(&file),
        [
            (WhenPending::Migrate, WhenUnknown::Fail),
            (WhenPending::Migrate, WhenUnknown::Warn),
            (WhenPending::Serve, WhenUnknown::Warn),
        ]
    );
    let variables = file.overlaid_with([
        ("DATABASE__BINDS__CRM__WHEN_PENDING", "fail"),
        ("DATABASE__BINDS__SHOP__WHEN_UNKNOWN", "fail"),
        ("DATABASE__OPTIONS__WHEN_PENDING", "fail"),
    ]);
    assert_eq!(
        of(&variables),
        [
            (WhenPending::Fail, WhenUnknown::Fail),
            (WhenPending::Migrate, WhenUnknown::Warn),
            (WhenPending::Fail, WhenUnknown::Fail),
        ]
    );
}

#[test]
fn unknown_words_name_the_known_ones() {
    let file = toml(
        "
        url = 'sqlite://app.db'
        [binds.default]
        when_pending = 'migrat'
        when_unknown = 'ignore'
        ",
    );
    assert_eq!(
        problems(&file),
        [
            "binds.default.when_pending: expected \"fail\", \"migrate\" or \"serve\", found another text; did you mean \
             `migrate`?",
            "binds.default.when_unknown: expected \"warn\" or \"fail\", found another text",
        ]
    );
}

#[test]
fn migrate_is_for_binds_with_tenants() {
    let file = toml(
        "
        url = 'sqlite://app.db'
        [binds.default]
        when_pending = 'migrate'
        [binds.crm]
        url = 'sqlite:///srv/{tenant}.db'
        when_pending = 'migrate'
        ",
    );
    assert_eq!(
        problems(&file),
        [
            "binds.default.when_pending: \"migrate\" is for binds with a database or schema for each tenant: a bind with \
          one database is migrated by `registry.migrate`"
        ]
    );
    let by_variable = toml("url = 'sqlite://app.db'")
        .overlaid_with([("DATABASE__BINDS__DEFAULT__WHEN_PENDING", "migrate")]);
    let found = problems(&by_variable);
    assert!(
        found[0].starts_with("DATABASE__BINDS__DEFAULT__WHEN_PENDING: \"migrate\" is"),
        "{found:?}"
    );
    let for_every_engine = toml("url = 'sqlite://app.db'\n[options]\nwhen_pending = 'migrate'");
    assert_eq!(engines(&for_every_engine)[0].options.when_pending, WhenPending::Migrate);
}

#[test]
fn tenants_that_are_not_asked_have_no_unknown_migrations() {
    let file = |of_crm: &str| {
        toml(&format!(
            "
            url = 'sqlite://app.db'
            [binds.default]
            when_pending = 'serve'
            when_unknown = 'fail'
            [binds.crm]
            url = 'sqlite:///srv/{{tenant}}.db'
            {of_crm}
            "
        ))
    };
    let found = problems(&file("when_pending = 'serve'\nwhen_unknown = 'fail'"));
    assert_eq!(
        found,
        [
            "binds.crm.when_unknown: with `when_pending = \"serve\"` the databases of tenants are not asked for their \
          migrations, so none is found to be unknown"
        ]
    );
    assert!(problems(&file("when_pending = 'serve'")).is_empty());
    assert!(problems(&file("when_unknown = 'fail'")).is_empty());
}

#[test]
fn replicas_have_no_migrations_of_their_own() {
    let file = toml(
        "
        [binds.shop]
        url = 'postgres://app@one/shop'
        replicas = [{ url = 'postgres://two', when_pending = 'serve', when_unknown = 'fail' }]
        ",
    );
    assert_eq!(
        problems(&file),
        [
            "binds.shop.replicas[0].when_pending: `when_pending` is for the bind, and for all of its replicas alike",
            "binds.shop.replicas[0].when_unknown: `when_unknown` is for the bind, and for all of its replicas alike",
        ]
    );
}

#[test]
fn problems_in_code_name_the_call() {
    use crate::settings::bind_settings::BindSettings;

    let bind = BindSettings::new("sqlite://app.db").when_pending(WhenPending::Migrate);
    let (_, problems) = resolve(
        &Settings::default(),
        vec![("default".to_owned(), bind)],
        &EngineOptions::default(),
    );
    let problem = problems[0].to_string();
    assert!(problem.starts_with("bind(\"default\").when_pending: \"migrate\" is"), "{problem}");
}
