use secrecy::SecretString;

use crate::settings::url::{DatabaseUrl, InvalidUrl};

fn url(text: &str) -> DatabaseUrl {
    DatabaseUrl::parse(text).unwrap()
}

#[test]
fn a_server_url_reaches_the_driver_as_written() {
    for text in [
        "postgres://localhost/app",
        "postgres://app@localhost:5432/app",
        "postgres://app:s%40cret@localhost/app?application_name=x&connect_timeout=3",
        "postgres://app:pw@h1:5432,h2:5433,[::1]:5434/app?target_session_attrs=read-write",
        "postgres://app@%2Fvar%2Frun%2Fpostgresql/app",
        "postgres:///app?host=/var/run/postgresql",
        "postgres://app:p#w@localhost/app",
        "mysql://app:pw@127.0.0.1:3306/app?stmt_cache_size=0",
        "mysql://app@localhost/app?socket=/run/mysqld/mysqld.sock",
    ] {
        assert_eq!(url(text).for_driver(), text);
    }
}

#[test]
fn other_schemes_reach_the_driver_as_it_knows_them() {
    assert_eq!(url("mariadb://app@h/app").for_driver(), "mysql://app@h/app");
    assert_eq!(url("postgresql://h/app").for_driver(), "postgres://h/app");
    assert_eq!(
        url("postgres://h/app?sslmode=Allow&user=app").for_driver(),
        "postgres://h/app?user=app"
    );
    assert_eq!(
        url("mysql://h/app?ssl-mode=PREFERRED&stmt_cache_size=0").for_driver(),
        "mysql://h/app?stmt_cache_size=0"
    );
}

#[cfg(feature = "postgres")]
#[test]
fn the_postgres_driver_accepts_the_exposed_url() {
    for text in [
        "postgres://app:s%40cret@h1:5432,h2:5433/app?sslmode=ALLOW",
        "postgres://app@%2Fvar%2Frun%2Fpostgresql/app",
        "postgres:///app?host=/var/run/postgresql",
    ] {
        let exposed = url(text).with_password(&SecretString::from("a/b@c:d?e#f %")).for_driver();
        let config: tokio_postgres::Config = exposed.parse().unwrap();
        assert_eq!(config.get_password().unwrap(), b"a/b@c:d?e#f %", "{text}");
        assert_eq!(config.get_dbname(), Some("app"), "{text}");
    }
}

#[cfg(feature = "mysql")]
#[test]
fn the_mysql_driver_accepts_the_exposed_url() {
    for text in ["mariadb://app:x@h:3307/app", "mysql://app@h:3307/app?ssl_mode=disabled"] {
        let exposed = url(text).with_password(&SecretString::from("a/b@c:d?e#f %+")).for_driver();
        let opts = mysql_async::Opts::from_url(&exposed).unwrap();
        assert_eq!(opts.pass(), Some("a/b@c:d?e#f %+"), "{text}");
        assert_eq!(opts.tcp_port(), 3307, "{text}");
        assert_eq!(opts.db_name(), Some("app"), "{text}");
    }
}

#[test]
fn the_user_and_the_place_are_shown_and_the_password_is_not() {
    assert_eq!(
        url("postgresql://app:secret@h1:1,h2:2/app?user=x&password=secret&odd=secret").to_string(),
        "postgresql://app:***@h1:1,h2:2/app?user=x&password=***&odd=***"
    );
    assert_eq!(
        format!("{:?}", url("mariadb://app:secret@h/app")),
        "DatabaseUrl(mariadb://app:***@h/app)"
    );
}

#[test]
fn a_password_is_inserted_where_the_driver_looks_for_it() {
    let with = |text| url(text).with_password(&SecretString::from("n w")).for_driver();
    assert_eq!(with("postgres://app@h/db"), "postgres://app:n%20w@h/db");
    assert_eq!(with("postgres://app:old@h/db"), "postgres://app:n%20w@h/db");
    assert_eq!(with("postgres://h/db"), "postgres://h/db?password=n%20w");
    assert_eq!(with("postgres://app@h/db?password=old"), "postgres://app:n%20w@h/db");
    assert_eq!(with("mysql://app@h/db"), "mysql://app:n%20w@h/db");
}

#[test]
fn passwords_are_found_in_both_places_of_a_url() {
    assert!(url("postgres://app:x@h/db").has_password());
    assert!(url("postgres://app@h/db?password=x").has_password());
    assert!(!url("postgres://app@h/db").has_password());
    assert!(!url("postgres://app:@h/db").has_password());
}

#[test]
fn parameters_for_tls_are_shown_and_compared() {
    for text in [
        "postgres://h/db?sslmode=disable&sslrootcert=tls/ca.pem",
        "mysql://h/db?ssl-mode=DISABLED&ssl-ca=tls/ca.pem",
    ] {
        assert_eq!(url(text).to_string(), text);
        assert_ne!(url(text), url(text.split_once('?').unwrap().0));
    }
    assert_eq!(url("postgres://h/db?sslmode=prefer"), url("postgres://h/db"));
}

#[cfg(not(feature = "rustls"))]
#[test]
fn a_url_that_asks_for_tls_is_refused() {
    for text in ["postgres://h/db?sslmode=require", "mysql://h/db?require_ssl=true"] {
        let invalid = DatabaseUrl::parse(text).unwrap_err();
        assert!(matches!(invalid, InvalidUrl::Tls { .. }), "{invalid}");
    }
}

#[test]
fn urls_that_drivers_read_differently_are_refused() {
    for text in [
        "postgres://u:p@x@h/db",
        "postgres://u:p/x@h/db",
        "postgres://u:p?x@h/db",
        "postgres:///db?application_name=a@b",
        "mysql://u:p#x@h/db",
        "mysql://h/db#x",
    ] {
        assert_eq!(DatabaseUrl::parse(text), Err(InvalidUrl::Ambiguous), "{text}");
    }
}

#[test]
fn parameters_that_are_not_split_are_refused() {
    for text in [
        "postgres://h/app&user=app&password=x",
        "postgres://h/app;password=x",
        "postgres://h;password=x/app",
        "postgres://user=app;password=x@h/app",
        "postgres://h/app%3Fpassword%3Dx",
        "postgres://h/app?user=app;password=x",
        "postgres://h/app?application_name=x%26password%3Dx",
        "mysql://h/app:x",
        "mysql://h/app?pool_min=1;password=x",
    ] {
        assert_eq!(DatabaseUrl::parse(text), Err(InvalidUrl::StraySeparator), "{text}");
    }
    for text in [
        "postgres://a%3Bb:p;w=x&y@h/a%3Db?options=-c%20a=b&password=a;b=c",
        "mysql://h/a%3Bb%26c?pool_min=1&pool_max=2",
    ] {
        assert_eq!(url(text).for_driver(), text);
    }
}

#[test]
fn names_that_may_be_several_parameters_are_not_shown() {
    assert_eq!(url("postgres://a%3Bb@h/a%3Db").to_string(), "postgres://***@h***");
    assert_eq!(
        url("postgres://h/db?user=app:x&application_name=a%3Bb&odd=1&x%20y=1&eA==").to_string(),
        "postgres://h/db?user=***&application_name=***&odd=***&***&***"
    );
}

#[test]
fn a_port_that_is_not_a_number_is_refused() {
    for text in [
        "postgres://app:secret",
        "postgres://h:99999/db",
        "postgres://::1/db",
        "postgres://[::1/db",
        "postgres://[::1]5432/db",
        "mysql://h:x/db",
    ] {
        assert_eq!(DatabaseUrl::parse(text), Err(InvalidUrl::InvalidPort), "{text}");
    }
}
