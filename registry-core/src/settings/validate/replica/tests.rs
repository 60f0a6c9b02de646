use std::fs;
use std::time::Duration;

use crate::settings::bind_settings::BindSettings;
use crate::settings::inherit::resolve::resolve_with;
use crate::settings::inherit::{BuilderSettings, Resolved};
use crate::settings::options::{EngineOptions, Share, WhenBehind};
use crate::settings::role::Role;
use crate::settings::sources::Settings;
use crate::settings::testing::{engines, problems};

fn toml(text: &str) -> Settings {
    Settings::from_toml(text).unwrap()
}

/// Everything that the settings and the binds of code come to.
fn resolve<const N: usize>(settings: &Settings, binds: [(&str, BindSettings); N]) -> Resolved {
    let binds = binds.into_iter().map(|(key, bind)| (key.to_owned(), bind)).collect();
    let code = BuilderSettings { binds, ..BuilderSettings::default() };
    resolve_with(settings, code, |_| true, |_| Ok(()))
}

/// The URLs of the replicas of the first bind, with their passwords.
fn urls(settings: &Settings) -> Vec<String> {
    let engines = engines(settings);
    engines[0].replicas.iter().map(|replica| replica.settings.url.expose()).collect()
}

fn problems_of(text: &str) -> Vec<String> {
    problems(&toml(text))
}

#[test]
fn replicas_are_urls_or_tables_and_have_the_rest_from_their_bind() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "p/w\n").unwrap();
    let settings = toml(
        "
        [binds.shop]
        url = 'postgres://app@one/shop?application_name=x'
        password_file = 'password'
        max_connections = 7
        replicas = [
            'postgres://two',
            { url = 'postgres://reader:own@three/shop', weight = 3, max_connections = 2 },
            'postgres://four:5433/shop?application_name=y',
        ]
        ",
    );
    let settings = settings.relative_to(folder.path());
    assert_eq!(
        urls(&settings),
        [
            "postgres://app:p%2Fw@two/shop?application_name=x",
            "postgres://reader:own@three/shop?application_name=x",
            "postgres://app:p%2Fw@four:5433/shop?application_name=y",
        ]
    );
    let bind = &engines(&settings)[0];
    assert_eq!((bind.role, bind.options.read_only), (Role::Primary, false));
    let told = bind.replicas.iter().map(|replica| {
        let options = &replica.settings.options;
        (replica.weight, options.max_connections, options.read_only, replica.settings.role)
    });
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [(1, 7, true, Role::Replica), (3, 2, true, Role::Replica), (1, 7, true, Role::Replica)]
    );
}

#[test]
fn code_gives_what_a_file_gives() {
    let bind = BindSettings::new("mysql://app:x@one/shop")
        .replica("mysql://two")
        .replica(BindSettings::new("mysql://three").weight(0).max_connections(3))
        .max_lag(None)
        .when_behind(WhenBehind::Error)
        .max_reads_on_primary(Share::percent(20));
    let resolved = resolve(&Settings::default(), [("shop", bind)]);
    assert_eq!(resolved.problems, []);
    let engine = &resolved.engines[0];
    let of_replicas = engine.replicas.iter().map(|replica| {
        (replica.settings.url.expose(), replica.weight, replica.settings.options.max_connections)
    });
    assert_eq!(
        of_replicas.collect::<Vec<_>>(),
        [
            ("mysql://app:x@two/shop".to_owned(), 1, 10),
            ("mysql://app:x@three/shop".to_owned(), 0, 3),
        ]
    );
    assert_eq!(engine.options.max_lag, None);
    assert_eq!(engine.options.when_behind, WhenBehind::Error);
    assert_eq!(engine.for_reads_on_primary().options.max_connections, 2);
}

#[test]
fn every_option_of_reads_can_be_written() {
    let options = |text: &str| {
        let text = format!("url = 'postgres://app@one/shop'\n[binds.default]\n{text}");
        engines(&toml(&text))[0].options.clone()
    };
    let written = options(
        "
        max_lag = '2s'
        max_lag_bytes = 65536
        when_behind = 'wait'
        wait_for_replica = '50ms'
        probe_interval = '100ms'
        max_reads_on_primary = 0.25
        ",
    );
    assert_eq!(
        written,
        EngineOptions {
            max_lag: Some(Duration::from_secs(2)),
            max_lag_bytes: Some(65536),
            when_behind: WhenBehind::Wait,
            wait_for_replica: Duration::from_millis(50),
            probe_interval: Duration::from_millis(100),
            max_reads_on_primary: Share::percent(25),
            ..EngineOptions::default()
        }
    );
    assert_eq!(options("max_lag = 'none'").max_lag, None);
    for all in ["1", "1.0", "'100%'", "'100 %'"] {
        let share = options(&format!("max_reads_on_primary = {all}")).max_reads_on_primary;
        assert_eq!(share, Share::percent(100), "{all}");
    }
}

#[test]
fn variables_give_all_replicas_and_replace_the_urls_with_their_replicas() {
    let file = "
        [binds.shop]
        url = 'postgres://app@one/shop'
        replicas = 'postgres://two'
    ";
    assert_eq!(urls(&toml(file)), ["postgres://app@two/shop"]);
    let with = |name: &str, value: &str| toml(file).overlaid_with([(name, value)]);
    assert_eq!(
        urls(&with("DATABASE__BINDS__SHOP__REPLICAS", " postgres://a,b/shop\n postgres://c ")),
        ["postgres://app@a,b/shop", "postgres://app@c/shop"]
    );
    assert_eq!(urls(&with("DATABASE__BINDS__SHOP__REPLICAS", "")), ["postgres://app@two/shop"]);
    // They lead to the database of the file's URL.
    assert_eq!(urls(&with("SHOP_DATABASE_URL", "postgres://app@other/shop")), [""; 0]);
    assert_eq!(urls(&with("DATABASE__BINDS__SHOP__URL", "postgres://app@x/shop")), [""; 0]);
    let parts = with("DATABASE__BINDS__SHOP__REPLICAS__0__URL", "postgres://c");
    assert_eq!(problems(&parts).len(), 1);
    assert!(problems(&parts)[0].contains("REPLICAS"), "{:?}", problems(&parts));
}

#[test]
fn mistakes_are_told_at_their_places_and_all_at_once() {
    let told = problems_of(
        "
        [binds.shop]
        url = 'postgres://app@one/shop'
        weight = 2
        replicas = [
            'oracle://two',
            { url = 'postgres://three', wieght = 3 },
            { weight = 3 },
            { url = 'postgres://four', read_only = false },
            { url = 'postgres://five', replicas = ['postgres://six'] },
            { url = 'postgres://seven', max_lag = '1s' },
            { url = 'postgres://eight', weight = -1 },
            'mysql://nine',
            'postgres://ten',
            'postgres://ten',
            'postgres://eleven?target_session_attrs=read-write',
            7,
        ]
        ",
    );
    let place = |at: usize| told.get(at).map_or("", String::as_str);
    let all = told.join("\n");
    for expected in [
        "binds.shop.weight: a weight is for a replica",
        "binds.shop.replicas[0]: ",
        "binds.shop.replicas[1].wieght: unknown; did you mean `weight`?",
        "binds.shop.replicas[2]: ",
        "binds.shop.replicas[3].read_only: a replica is only read",
        "binds.shop.replicas[4].replicas: a replica has no replicas of its own",
        "binds.shop.replicas[5].max_lag: `max_lag` is for the bind",
        "binds.shop.replicas[6].weight: ",
        "binds.shop.replicas[7]: this is MySQL",
        "binds.shop.replicas[9]: given twice: `binds.shop.replicas[8]` has the same URL",
        "binds.shop.replicas[10]: a replica takes no writes",
        "binds.shop.replicas[11]: ",
    ] {
        assert!(all.contains(expected), "no {expected:?} in\n{all}");
    }
    assert!(!place(0).is_empty());
}

#[test]
fn a_replica_has_the_database_of_its_bind() {
    let bind = |scheme: &str, replica: &str, option: &str| {
        problems_of(&format!(
            "[binds.shop]\nurl = '{scheme}://app@one/shop'\nreplicas = ['{scheme}://two{replica}']\n{option}"
        ))
    };
    for scheme in ["postgres", "mysql"] {
        assert_eq!(bind(scheme, "", ""), [""; 0]);
        assert_eq!(bind(scheme, "/", ""), [""; 0]);
        assert_eq!(bind(scheme, "/sh%6Fp", ""), [""; 0]);
        let told = bind(scheme, "/crm", "");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("binds.shop.replicas[0]: this is another database"),
            "{told:?}"
        );
    }
    // It may call the databases of its two servers as it likes.
    assert_eq!(bind("postgres", "/shop_reads", "pooler = 'transaction'"), [""; 0]);
}

#[test]
fn several_urls_with_commas_in_between_are_not_one() {
    let own = "url = 'postgres://app@one/shop'";
    let is_told = |settings: &Settings, places: &[&str]| {
        let told = problems(settings);
        assert_eq!(told.len(), places.len(), "{told:?}");
        for (told, place) in told.iter().zip(places) {
            let expected = format!("{place}: a comma stands between the hosts of one URL");
            assert!(told.starts_with(&expected), "{told}");
        }
    };
    for urls in ["postgres://two,postgres://three", "postgres://a:b@two:5432,postgres://a:b@three"]
    {
        is_told(&toml(&format!("{own}\nreplicas = '{urls}'")), &["replicas"]);
        is_told(&toml(&format!("{own}\nreplicas = ['{urls}']")), &["replicas[0]"]);
        is_told(&toml(&format!("{own}\nreplicas = [{{ url = '{urls}' }}]")), &["replicas[0].url"]);
        let variable = toml(own).overlaid_with([("DATABASE__REPLICAS", urls)]);
        is_told(&variable, &["DATABASE__REPLICAS"]);
    }
    let spaced = format!("{own}\nreplicas = 'postgres://two, postgres://three'");
    is_told(&toml(&spaced), &["replicas[0]"]);
    // The hosts of one URL.
    let hosts = format!("{own}\nreplicas = 'postgres://two,three:5433'");
    assert_eq!(urls(&toml(&hosts)), ["postgres://app@two,three:5433/shop"]);
}

#[cfg(feature = "postgres")]
#[test]
fn wishes_for_a_kind_of_server_that_the_driver_does_not_know_are_told() {
    for wish in ["standby", "prefer-standby", "primary"] {
        let text = format!(
            "url = 'postgres://app@one/shop'\nreplicas = ['postgres://two?target_session_attrs={wish}']"
        );
        assert_eq!(
            problems_of(&text),
            [
                "replicas[0]: `target_session_attrs` is `any`, `read-write` (a primary) or `read-only` (a standby)"
            ]
        );
    }
}

#[test]
fn a_bind_without_replicas_of_its_backend_is_told_so() {
    let file = problems_of("url = 'sqlite://app.db'\nreplicas = ['sqlite://copy.db']");
    assert_eq!(
        file,
        ["replicas: a SQLite file has no replicas: a reader reads from the file itself"]
    );
    let own = problems_of("url = 'sqlite://app.db'\n[binds.default]\nmax_lag = '1s'");
    assert_eq!(own.len(), 1, "{own:?}");
    assert!(own[0].starts_with("binds.default.max_lag: "), "{own:?}");
    let general = problems_of("url = 'sqlite://app.db'\noptions.max_lag = '1s'");
    assert_eq!(general, [""; 0], "it is for those that have replicas");
    let bytes = problems_of("url = 'mysql://app@one/shop'\n[binds.default]\nmax_lag_bytes = 1");
    assert!(bytes[0].starts_with("binds.default.max_lag_bytes: "), "{bytes:?}");
}

#[test]
fn templates_of_tenants_are_in_all_urls_or_in_none() {
    let bind = |url: &str, replica: &str| {
        problems_of(&format!(
            "url = 'postgres://app@one/{url}'\nreplicas = ['postgres://two/{replica}']"
        ))
    };
    assert_eq!(bind("crm_{tenant}", "crm_{tenant}"), [""; 0]);
    assert_eq!(bind("crm_{tenant}", ""), [""; 0], "the database is the bind's");
    assert!(
        bind("crm_{tenant}", "crm")[0]
            .starts_with("replicas[0]: the bind has a database for each tenant")
    );
    assert!(
        bind("crm_{tenant}", "{tenant}_crm")[0]
            .starts_with("replicas[0]: this is another database than that of the bind's URL")
    );
    assert!(
        bind("crm", "crm_{tenant}")[0]
            .starts_with("replicas[0]: `{tenant}` in the URL of a replica")
    );
}

#[test]
fn figures_out_of_range_are_told() {
    for (option, message) in [
        ("max_lag = 10", "a duration needs a unit"),
        ("max_reads_on_primary = 2", "a share from 0 to 1"),
        ("max_reads_on_primary = '50'", ""),
        ("probe_interval = '1ms'", "too short"),
        ("when_behind = 'never'", ""),
        ("max_lag_bytes = -1", ""),
    ] {
        let text = format!("url = 'postgres://app@one/shop'\n[binds.default]\n{option}");
        let told = problems_of(&text);
        assert_eq!(told.len(), 1, "{option}: {told:?}");
        let name = option.split(' ').next().unwrap();
        assert!(told[0].starts_with(&format!("binds.default.{name}: ")), "{told:?}");
        assert!(told[0].contains(message), "{told:?}");
    }
}

#[test]
fn a_key_for_tokens_is_long_enough_and_is_never_shown() {
    let key = |text: &str| resolve(&toml(&format!("url = 'sqlite://app.db'\n{text}")), []);
    assert!(key("token_key = '0123456789abcdef'").token_key.is_some());
    let short = key("token_key = 'zauber'");
    assert_eq!(short.problems.len(), 1);
    let shown = short.problems[0].to_string();
    assert!(shown.starts_with("token_key: ") && !shown.contains("zauber"), "{shown}");
    let settings = toml("url = 'sqlite://app.db'\ntoken_key = 'zauberzauberzauber'");
    assert!(!format!("{settings:?}").contains("zauber"));
}

#[test]
fn no_password_of_a_replica_is_shown() {
    let text = "url = 'postgres://app@one/shop'\nreplicas = ['postgres://app:zauber@two', { url = 'x://app:zauber@y', password = 'zauber' }]";
    let settings = toml(text);
    let shown = format!("{settings:?} {settings:#?} {:?}", problems(&settings));
    assert!(!shown.contains("zauber"), "{shown}");
    let bind = BindSettings::new("postgres://app@one/shop").replica("postgres://app:zauber@two");
    assert!(!format!("{bind:?}").contains("zauber"));
    let resolved = resolve(&Settings::default(), [("shop", bind)]);
    assert!(!format!("{resolved:?}").contains("zauber"));
}
