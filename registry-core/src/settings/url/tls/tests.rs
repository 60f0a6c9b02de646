use super::*;
use crate::settings::url::DatabaseUrl;

fn read_with(backend: BackendKind, query: &str, available: bool) -> Result<String, InvalidUrl> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let settings = read(backend, pairs, &TlsMaterial::default(), available);
    settings.map(|TlsSettings { mode, roots, identity }| {
        let mut shown = format!("{mode:?}");
        let mut add = |source: &PemSource| match source {
            PemSource::File(file) => shown += &format!(" {}", file.display()),
            PemSource::Memory(pem) => shown += &format!(" {pem:?}"),
        };
        if let TlsRoots::Only(source) = &roots {
            add(source);
        }
        if let Some(identity) = &identity {
            add(&identity.certificate);
            add(&identity.key);
        }
        shown
    })
}

fn table(backend: BackendKind, rows: &[(&str, &str)]) {
    for (query, expected) in rows {
        let found = read_with(backend, query, true).unwrap_or_else(|error| error.to_string());
        assert_eq!(found, *expected, "{query}");
    }
}

#[test]
fn postgres_modes_are_those_of_libpq() {
    table(
        BackendKind::Postgres,
        &[
            ("", "Prefer"),
            ("application_name=x", "Prefer"),
            ("sslmode=disable", "Disable"),
            ("sslmode=Allow", "Allow"),
            ("sslmode=prefer", "Prefer"),
            ("ssl%6Dode=requ%69re", "Require"),
            ("sslmode=require&sslrootcert=", "Require"),
            ("sslmode=require&sslrootcert=ca.pem", "VerifyCa ca.pem"),
            ("sslrootcert=a%20b.pem&sslmode=verify-ca", "VerifyCa a b.pem"),
            ("sslmode=verify-full", "VerifyFull"),
            ("sslmode=prefer&sslrootcert=ca.pem", "Prefer ca.pem"),
            ("sslrootcert=system", "VerifyFull"),
            ("sslmode=require&sslnegotiation=direct", "Require"),
            ("sslmode=require&channel_binding=require", "Require"),
        ],
    );
}

#[test]
fn mysql_modes_are_those_of_its_clients_and_the_flags_those_of_the_driver() {
    table(
        BackendKind::Mysql,
        &[
            ("", "Disable"),
            ("ssl-mode=DISABLED", "Disable"),
            ("ssl_mode=preferred", "Prefer"),
            ("sslmode=REQUIRED", "Require"),
            ("ssl-mode=REQUIRED&ssl-ca=ca.pem", "VerifyCa ca.pem"),
            ("ssl-mode=VERIFY_CA", "VerifyCa"),
            ("ssl-mode=verify-identity&ssl_ca=ca.pem", "VerifyFull ca.pem"),
            ("ssl-ca=ca.pem", "VerifyCa ca.pem"),
            ("require_ssl=false", "Disable"),
            ("require_ssl=false&ssl-ca=ca.pem", "Disable ca.pem"),
            ("verify_ca=false", "Disable"),
            ("require_ssl=true", "VerifyFull"),
            ("require_ssl=true&verify_ca=false", "Require"),
            ("require_ssl=true&verify_identity=false", "VerifyCa"),
            ("verify_ca=true", "VerifyFull"),
            ("verify_ca=true&verify_identity=false", "VerifyCa"),
            ("ssl-ca=ca.pem&verify_identity=false", "VerifyCa ca.pem"),
            ("ssl-ca=ca.pem&verify_identity=true", "VerifyFull ca.pem"),
        ],
    );
}

#[test]
fn contradictions_are_refused() {
    let weak = "`sslrootcert=system` needs `sslmode=verify-full`: anybody can have a \
                certificate of a public authority";
    let direct = "`sslnegotiation=direct` needs `sslmode=require` or a stronger one";
    table(
        BackendKind::Postgres,
        &[
            (
                "sslmode=yes",
                "`sslmode` is `disable`, `allow`, `prefer`, `require`, `verify-ca` or \
                 `verify-full`",
            ),
            ("sslmode=require&sslmode=disable", "`sslmode` is given twice"),
            ("sslmode=verify-ca&sslrootcert=system", weak),
            ("sslmode=disable&sslrootcert=system", weak),
            (
                "sslrootcert=ca.pem",
                "`sslrootcert` without `sslmode` would verify nothing: add \
                 `sslmode=verify-full` or `sslmode=verify-ca`",
            ),
            ("sslnegotiation=direct", direct),
            ("sslnegotiation=direct&sslmode=prefer", direct),
        ],
    );
    let twice = "`ssl-mode` says it all: leave out `require_ssl`, `verify_ca` and \
                 `verify_identity`";
    table(
        BackendKind::Mysql,
        &[
            (
                "ssl-mode=on",
                "`ssl-mode` is `DISABLED`, `PREFERRED`, `REQUIRED`, `VERIFY_CA` or \
                 `VERIFY_IDENTITY`",
            ),
            ("require_ssl=1", "`require_ssl` is `true` or `false`"),
            ("ssl-mode=REQUIRED&ssl_mode=DISABLED", "`ssl_mode` is given twice"),
            ("ssl-mode=REQUIRED&require_ssl=true", twice),
            ("ssl-mode=DISABLED&verify_ca=true", twice),
            ("require_ssl=false&verify_ca=true", "`require_ssl=false` leaves nothing to verify"),
            ("verify_ca=false&verify_identity=true", "`verify_identity` needs `verify_ca`"),
            (
                "require_ssl=true&built_in_roots=false",
                "`built_in_roots` has no meaning here: trusted are the authorities that the \
                 operating system trusts or, with `ssl-ca`, those in that file",
            ),
        ],
    );
}

#[test]
fn without_the_feature_a_url_that_asks_for_tls_is_refused() {
    for (backend, query, parameter) in [
        (BackendKind::Postgres, "sslmode=require", "sslmode=require"),
        (BackendKind::Postgres, "sslmode=Verify-CA", "sslmode=verify-ca"),
        (BackendKind::Postgres, "user=x&sslmode=verify-full", "sslmode=verify-full"),
        (BackendKind::Postgres, "ssl%6Dode=requ%69re", "sslmode=require"),
        (BackendKind::Postgres, "sslrootcert=system", "sslrootcert=system"),
        (BackendKind::Postgres, "channel_binding=require", "channel_binding=require"),
        (BackendKind::Mysql, "require_ssl=true", "require_ssl=true"),
        (BackendKind::Mysql, "verify_ca=true", "verify_ca=true"),
        (BackendKind::Mysql, "ssl-mode=REQUIRED", "ssl-mode=required"),
        (BackendKind::Mysql, "ssl_mode=verify_identity", "ssl_mode=verify_identity"),
        (BackendKind::Mysql, "ssl-ca=/zauber.pem", "ssl-ca"),
    ] {
        let error = read_with(backend, query, false).unwrap_err();
        assert_eq!(error, InvalidUrl::Tls { parameter: parameter.to_owned() }, "{query}");
        assert_eq!(
            error.to_string(),
            format!(
                "`{parameter}` asks for TLS, which needs the feature `rustls` of registry-core: \
                 add it to that dependency's `features` in Cargo.toml"
            )
        );
        read_with(backend, query, true).unwrap();
    }
    for (backend, query) in [
        (BackendKind::Postgres, ""),
        (BackendKind::Postgres, "sslmode=prefer"),
        (BackendKind::Postgres, "sslmode=disable&sslrootcert=ca.pem"),
        (BackendKind::Mysql, "ssl-mode=PREFERRED"),
        (BackendKind::Mysql, "require_ssl=false"),
    ] {
        read_with(backend, query, false).unwrap();
    }
}

#[test]
fn a_file_is_relative_to_the_settings() {
    let url = DatabaseUrl::parse("postgres://h/db?sslmode=disable&sslrootcert=tls/ca.pem");
    let url = url.unwrap().resolved_against(Path::new("/etc/app"));
    let file = TlsRoots::Only(PemSource::File(PathBuf::from("/etc/app/tls/ca.pem")));
    assert_eq!(url.tls().unwrap().roots, file);
}

#[test]
fn client_certificates_are_read_for_each_backend() {
    table(
        BackendKind::Postgres,
        &[
            ("sslmode=require&sslcert=a.pem&sslkey=b%20c.key", "Require a.pem b c.key"),
            ("sslcert=a.pem&sslkey=a.key", "Prefer a.pem a.key"),
            ("sslcert=&sslkey=", "Prefer"),
            ("sslmode=disable&sslcert=a.pem&sslkey=a.key", "Disable a.pem a.key"),
            ("sslcert=a.pem&sslcert=b.pem", "`sslcert` is given twice"),
        ],
    );
    table(
        BackendKind::Mysql,
        &[
            ("ssl-mode=REQUIRED&ssl-cert=a.pem&ssl_key=a.key", "Require a.pem a.key"),
            ("ssl-ca=ca.pem&ssl-cert=a.pem&ssl-key=a.key", "VerifyCa ca.pem a.pem a.key"),
            ("ssl-mode=DISABLED&ssl-cert=a.pem&ssl-key=a.key", "Disable a.pem a.key"),
        ],
    );
    let refused = read_with(BackendKind::Postgres, "sslcert=a.pem&sslkey=a.key", false);
    assert!(matches!(refused, Err(InvalidUrl::Tls { parameter }) if parameter == "sslcert"));
}

#[test]
fn parameter_of_the_url_wins_over_an_option_for_every_engine() {
    let source = |name: &str| PemSource::File(PathBuf::from(name));
    let material = |is_own| TlsMaterial {
        roots: Some(Given { source: source("option.pem"), is_own }),
        ..TlsMaterial::default()
    };
    let with = |is_own, url: &str| {
        let url = DatabaseUrl::parse(url).unwrap().with_tls_material(&material(is_own));
        url.map(|url| url.tls().unwrap().roots.clone()).map_err(|error| error.to_string())
    };
    let (without, written) = (
        "postgres://h/app?sslmode=verify-ca",
        "postgres://h/app?sslmode=verify-ca&sslrootcert=url.pem",
    );
    for is_own in [true, false] {
        assert_eq!(with(is_own, without), Ok(TlsRoots::Only(source("option.pem"))));
    }
    assert_eq!(with(false, written), Ok(TlsRoots::Only(source("url.pem"))));
    assert_eq!(
        with(true, written),
        Err("`sslrootcert` is given twice: by the URL, and by an option of the bind".to_owned())
    );
}
