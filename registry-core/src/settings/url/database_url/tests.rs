use super::*;

fn refused(text: &str) -> String {
    DatabaseUrl::parse(text).unwrap_err().to_string()
}

#[test]
fn an_engine_is_found_by_the_url_that_it_was_opened_for() {
    let url = |text: &str| DatabaseUrl::parse(text).unwrap();
    let opened = |template: &str, folder: &str| {
        url(template).resolved_against(Path::new(folder)).for_tenant("acme").unwrap()
    };
    let is_opened = |text: &str, template: &str| url(text).is_opened_as(&opened(template, "/srv"));
    assert!(is_opened("sqlite:///srv/acme.db", "sqlite://{tenant}.db"));
    assert!(is_opened("sqlite:///srv/acme.db?mode=rw", "sqlite:///srv/{tenant}.db"));
    assert!(is_opened("sqlite:///d/acme.db?cache=shared", "sqlite:///d/{tenant}.db?cache=shared"));
    assert!(is_opened("sqlite:///srv/acme.db", "sqlite://{tenant}.db?mode=rwc"));
    assert!(is_opened("sqlite:///srv/acme.db?mode=rwc", "sqlite://{tenant}.db?mode=rwc"));
    assert!(!is_opened("sqlite:///srv/acme.db?mode=ro", "sqlite://{tenant}.db"));
    assert!(!is_opened("sqlite:///srv/other.db", "sqlite://{tenant}.db"));
    assert!(is_opened("mysql://app@db/acme", "mysql://app@db/{tenant}"));
    assert!(!is_opened("mysql://other@db/acme", "mysql://app@db/{tenant}"));
    // In code, relative paths begin in the current directory.
    assert!(url("sqlite://acme.db").is_opened_as(&opened("sqlite://{tenant}.db", "")));
    let plain = url("sqlite://acme.db").resolved_against(Path::new(""));
    assert!(url("sqlite:acme.db").is_opened_as(&plain));
}

#[test]
fn schemes_tell_the_backend() {
    for (text, backend) in [
        ("postgres://localhost/app", BackendKind::Postgres),
        ("postgresql://localhost/app", BackendKind::Postgres),
        ("POSTGRES://localhost/app", BackendKind::Postgres),
        ("mysql://localhost/app", BackendKind::Mysql),
        ("mariadb://localhost/app", BackendKind::Mysql),
        ("sqlite:app.db", BackendKind::Sqlite),
        ("SQLite://app.db", BackendKind::Sqlite),
    ] {
        assert_eq!(DatabaseUrl::parse(text).unwrap().backend(), backend);
    }
}

#[test]
fn an_unknown_scheme_lists_the_known_and_the_nearest() {
    assert_eq!(
        refused("postgre://localhost/app"),
        "unknown scheme `postgre`; did you mean `postgres`?; known are postgres, postgresql, \
         mysql, mariadb, sqlite"
    );
    assert_eq!(
        refused("oracle://localhost/app"),
        "unknown scheme `oracle`; known are postgres, postgresql, mysql, mariadb, sqlite"
    );
}

#[test]
fn a_text_without_a_scheme_is_not_repeated() {
    for text in ["", "data/app.db", "app:secret@host/db", r"C:\data\app.db", ":memory:"] {
        assert_eq!(
            refused(text),
            "not the URL of a database: one begins with `postgres://`, `mysql://` or \
             `sqlite:`, such as `sqlite://data/app.db`",
            "{text}"
        );
    }
}

#[test]
fn the_scheme_of_a_server_is_followed_by_two_slashes() {
    assert_eq!(
        refused("postgres:localhost/app"),
        "`postgres:` is followed by `//`, as in `postgres://user@host/database`"
    );
}

#[test]
fn control_characters_are_refused() {
    assert_eq!(
        refused("mysql://app:sec\nret@localhost/app"),
        "a URL has no line breaks and no other control characters"
    );
}

#[test]
fn equal_urls_are_equal_and_a_password_counts() {
    use std::collections::HashSet;

    let url = |text| DatabaseUrl::parse(text).unwrap();
    assert_eq!(url("sqlite:app.db"), url("sqlite://app.db"));
    assert_eq!(url("mariadb://h/db"), url("mysql://h/db"));
    assert_ne!(url("mysql://u:one@h/db"), url("mysql://u:two@h/db"));
    let set = HashSet::from([url("sqlite:app.db"), url("sqlite://app.db")]);
    assert_eq!(set.len(), 1);
}

/// `zauber` stands for the password, or for a part of it, in URLs as people mangle them.
#[test]
fn no_url_however_ugly_shows_its_password() {
    for text in [
        "postgres://u:zauber@h/db",
        "postgres://u:zauber@h",
        "postgres://:zauber@h/db",
        "postgres://u:a:zauber@h/db",
        "postgres://u:zauber%40x@h/db",
        "postgres://u:x@zauber@h/db",
        "postgres://u:zauber@x@h/db",
        "postgres://u:x/zauber@h/db",
        "postgres://u:zauber/x@h/db",
        "postgres://u:x?zauber@h/db",
        "postgres://u:x?a=zauber@h/db",
        "postgres://u:x#zauber@h/db",
        "postgres://u:x@/zauber@h/db",
        "postgres://u:x@y?password=zauber@h/db",
        "postgres://u:zauber",
        "postgres://u:zauber%40h/db",
        "postgres://h1,h2:zauber/db",
        "postgres://[::1]:zauber/db",
        "postgres://[::1]zauber@h/db",
        "postgres://u@h/db?password=zauber",
        "postgres://u@h/db?PASSWORD=zauber",
        "postgres://u@h/db?pass%77ord=zauber",
        "postgres://u@h/db?sslpassword=zauber",
        "postgres://u@h/db?sslmode=zauber",
        "postgres://u@h/db?passwort=zauber",
        "postgres://u@h/db?zauber",
        "postgres://u@h/db?options=-c%20x.token=zauber",
        "postgres://u@h/db?a=b&password=zauber&c=d",
        "postgres:u:zauber@h/db",
        "postgres:/u:zauber@h/db",
        "postgres:///u:zauber@h/db",
        "postgres//u:zauber@h/db",
        "postgress://u:zauber@h/db",
        "://u:zauber@h/db",
        "u:zauber@h/db",
        "zauber",
        "zauber@h/db",
        "mysql://u:zauber@h/db",
        "mysql://u:x#zauber@h/db",
        "mysql://u:x#zauber",
        "mysql://u:zauber@h/db?require_ssl=true",
        "mysql://u@h/db?secret=zauber",
        "mysql://u@h/db?secret=zauber#",
        "mysql://u:zauber\n@h/db",
        "sqlite://u:zauber@h/db",
        "sqlite:u:zauber@h/db",
        "sqlite://x.db?password=zauber",
        "sqlite://x.db?vfs=crypt&hexkey=zauber",
        "sqlite://x.db?zauber",
        "oracle://u:zauber@h/db",
        "host=h user=u password=zauber",
        "postgres://h/app&user=u&password=zauber",
        "postgres://h/app;password=zauber",
        "postgres://h/app,password=zauber",
        "postgres://h/app password=zauber",
        "postgres://h/app#password=zauber",
        "postgres://h/app:zauber",
        "postgres://h/app%3Azauber",
        "postgres://h/app%3Fpassword=zauber",
        "postgres://h/app%3Fpassword%3Dzauber",
        "postgres://h/app%26x%3Dzauber",
        "postgres://h;password=zauber/app",
        "postgres://h&password=zauber/app",
        "postgres://h%3Bpassword%3Dzauber/app",
        "postgres://h%3Bx%3Dzauber/app",
        "postgres://user=u;password=zauber@h/app",
        "postgres://u;zauber@h/app",
        "postgres://u%3Azauber@h/app",
        "postgres://u%3Bpassword%3Dzauber@h/app",
        "postgres://password=zauber",
        "postgres://h/app?user=u;password=zauber",
        "postgres://h/app?user=u,password=zauber",
        "postgres://h/app?user=u:zauber",
        "postgres://h/app?user=u%26password%3Dzauber",
        "postgres://h/app?application_name=x?password=zauber",
        "postgres://h/app?application_name=x%3Bodd%3Dzauber",
        "postgres://h/app?sslmode=require;password=zauber",
        "postgres://h/app?sslrootcert=ca.pem;password=zauber",
        "postgres://h/app?host=u%3Azauber%40h",
        "postgres://h/app?password:zauber==",
        "postgres://h/app?zauber==",
        "postgres://h/app?zauber=",
        "postgres://h/app?password zauber=1",
        "postgres://h/app?a;password=zauber",
        "mysql://h/app&user=u&password=zauber",
        "mysql://h/app;password=zauber",
        "mysql://h/app?pool_min=1;password=zauber",
        "mysql://h/app?socket=/run/x;password=zauber",
        "sqlite://x.db;password=zauber",
        "sqlite://x.db&key=zauber",
        "sqlite://x.db#key=zauber",
        "sqlite://x.db%3Fkey%3Dzauber",
        "sqlite://x.db?mode=ro;key=zauber",
        "sqlite://x.db?vfs=unix;key=zauber",
        "sqlite://x.db?vfs=unix%26key%3Dzauber",
    ] {
        for text in [text.to_owned(), format!(" {text}"), format!("{text}/")] {
            let shown = match DatabaseUrl::parse(&text) {
                Ok(url) => format!("{url} {url:?}"),
                Err(invalid) => format!("{invalid} {invalid:?}"),
            };
            assert!(!shown.contains("zauber"), "{text} is shown as {shown}");
        }
    }
}
