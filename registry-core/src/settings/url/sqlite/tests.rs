use super::*;
use crate::settings::url::DatabaseUrl;

fn file(text: &str) -> SqliteFile {
    let url = DatabaseUrl::parse(text).unwrap();
    url.sqlite_file().unwrap().clone()
}

fn refused(text: &str) -> String {
    DatabaseUrl::parse(text).unwrap_err().to_string()
}

#[test]
fn a_url_without_a_third_slash_is_a_relative_path() {
    for text in [
        "sqlite:data/app.db",
        "sqlite://data/app.db",
        "sqlite:file:data/app.db",
        "sqlite://file:data/app.db",
    ] {
        let file = file(text);
        assert_eq!(file.connection_string(), "file:data/app.db", "{text}");
        assert_eq!(file.created_parent(), Some(Path::new("data")), "{text}");
        assert_eq!(file.to_string(), "sqlite://data/app.db", "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_third_slash_begins_an_absolute_path_whose_folder_is_not_created() {
    for text in [
        "sqlite:/srv/app.db",
        "sqlite:///srv/app.db",
        "sqlite:file:/srv/app.db",
        "sqlite:file:///srv/app.db",
        "sqlite:file://localhost/srv/app.db",
    ] {
        let file = file(text);
        assert_eq!(file.connection_string(), "file:///srv/app.db", "{text}");
        assert_eq!(file.created_parent(), None, "{text}");
        assert_eq!(file.to_string(), "sqlite:///srv/app.db", "{text}");
    }
}

#[test]
fn memory_is_read_neither_as_a_port_nor_as_a_file() {
    for text in
        ["sqlite::memory:", "sqlite://:memory:", "sqlite:///:memory:", "sqlite:file::memory:"]
    {
        assert!(file(text).is_memory(), "{text}");
        assert_eq!(file(text).connection_string(), ":memory:", "{text}");
        assert_eq!(file(text).to_string(), "sqlite::memory:", "{text}");
    }
    let shared = file("sqlite:file:cache?mode=memory&cache=shared");
    assert!(shared.is_memory());
    assert_eq!(shared.connection_string(), "file:cache?mode=memory&cache=shared");
    let shared = file("sqlite::memory:?cache=shared");
    assert_eq!(shared.connection_string(), "file::memory:?cache=shared");
    assert_eq!(shared.resolved_against(Path::new("/srv")), shared);
}

#[test]
fn paths_are_decoded_and_encoded_again() {
    let path = |text| match file(text) {
        SqliteFile::File { path, .. } => path,
        SqliteFile::Memory { .. } => panic!("{text} is a file"),
    };
    assert_eq!(path("sqlite://a%20b%3Fc.db"), Path::new("a b?c.db"));
    assert_eq!(path("sqlite://100%.db"), Path::new("100%.db"));
    assert_eq!(path("sqlite://a#b.db"), Path::new("a#b.db"));
    assert_eq!(file("sqlite://a%20b%3Fc#d%25.db").connection_string(), "file:a%20b%3Fc%23d%25.db");
    assert_eq!(path("sqlite://jörg.db"), Path::new("jörg.db"));
    assert_eq!(file("sqlite://jörg.db").connection_string(), "file:j%C3%B6rg.db");
}

#[test]
fn a_windows_path_is_read_as_a_path() {
    for text in [r"sqlite:C:\data\app.db", r"sqlite://C:\data\app.db"] {
        let SqliteFile::File { path, .. } = file(text) else {
            panic!("{text} is a file");
        };
        assert_eq!(path, Path::new(r"C:\data\app.db"), "{text}");
    }
}

#[test]
fn the_mode_says_whether_it_can_be_written_and_created() {
    assert!(file("sqlite:file:x.db?mode=ro").is_read_only());
    assert!(file("sqlite://x.db?immutable=1").is_read_only());
    assert!(!file("sqlite://x.db?immutable=0").is_read_only());
    assert!(!file("sqlite://x.db?mode=rwc").is_read_only());
    assert_eq!(file("sqlite://d/x.db?mode=ro").created_parent(), None);
    assert_eq!(file("sqlite://d/x.db?mode=rw").created_parent(), None);
    assert_eq!(file("sqlite://d/x.db?mode=rwc").created_parent(), Some(Path::new("d")));
}

#[test]
fn known_parameters_are_passed_on() {
    assert_eq!(
        file("sqlite://x.db?mode=ro&cache=private&vfs=unix-none").connection_string(),
        "file:x.db?mode=ro&cache=private&vfs=unix%2Dnone"
    );
}

#[test]
fn parameters_that_sqlite_would_ignore_are_refused() {
    assert_eq!(
        refused("sqlite://x.db?moed=ro"),
        "a parameter that SQLite does not have; did you mean `mode`?; it has mode, cache, \
         immutable, nolock, psow, vfs"
    );
    assert_eq!(
        refused("sqlite://x.db?mode=readonly"),
        "the parameter `mode` is one of ro, rw, rwc, memory"
    );
    assert_eq!(refused("sqlite://x.db?mode=ro&mode=rw"), "the parameter `mode` is given twice");
}

#[test]
fn sqlite_urls_need_a_path_and_have_no_user() {
    for text in ["sqlite:", "sqlite://", "sqlite:file:", "sqlite://?mode=ro"] {
        assert_eq!(
            refused(text),
            "a SQLite URL has a path, such as `sqlite://data/app.db`, `sqlite:///srv/app.db` \
             or `sqlite::memory:`",
            "{text}"
        );
    }
    assert_eq!(
        refused("sqlite://app:secret@host/app.db"),
        "a SQLite URL has a path and no user, password or host; in a path, write `%40` for `@`"
    );
    assert_eq!(
        refused("sqlite://x%00.db"),
        "the path of a SQLite URL is UTF-8, and has no NUL in it"
    );
}

#[cfg(unix)]
#[test]
fn a_relative_path_is_resolved_and_remembers_that_it_was_relative() {
    let resolved = file("sqlite://./data/app.db?mode=rwc").resolved_against(Path::new("/etc/app"));
    assert_eq!(resolved.connection_string(), "file:///etc/app/data/app.db?mode=rwc");
    assert_eq!(resolved.to_string(), "sqlite:///etc/app/data/app.db?mode=rwc");
    assert_eq!(resolved.created_parent(), Some(Path::new("/etc/app/data")));

    let absolute = file("sqlite:///srv/app.db").resolved_against(Path::new("/etc/app"));
    assert_eq!(absolute.connection_string(), "file:///srv/app.db");

    let current = file("sqlite://app.db").resolved_against(Path::new(""));
    assert_eq!(current.created_parent(), Some(std::env::current_dir().unwrap().as_path()));
}

#[cfg(all(feature = "sqlite", unix))]
#[test]
fn sqlite_opens_the_very_file_and_honours_its_mode() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};

    let folder = tempfile::tempdir().unwrap();
    let open = |text: &str| {
        let file = file(text).resolved_against(folder.path());
        SqliteConnection::establish(&file.connection_string())
    };
    let written = "sqlite://ä b%3Fc#d%25e.db";
    assert!(open(&format!("{written}?mode=rw")).is_err());
    let create = "CREATE TABLE t (id INTEGER)";
    open(written).unwrap().batch_execute(create).unwrap();
    assert!(folder.path().join("ä b?c#d%e.db").exists());

    let mut read_only = open(&format!("{written}?mode=ro")).unwrap();
    read_only.batch_execute("SELECT * FROM t").unwrap();
    assert!(read_only.batch_execute("DROP TABLE t").is_err());

    let mut first = open("sqlite:file:shared?mode=memory&cache=shared").unwrap();
    first.batch_execute(create).unwrap();
    let mut second = open("sqlite:file:shared?mode=memory&cache=shared").unwrap();
    second.batch_execute("SELECT * FROM t").unwrap();
    assert!(open("sqlite::memory:").is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_sqlite_url_as_shown_names_the_same_file() {
    for text in [
        "sqlite:file:cache?mode=memory&cache=shared",
        "sqlite::memory:?cache=shared",
        "sqlite://a%20b%3Fc#d%25.db?mode=ro",
        "sqlite:///srv/a@b.db",
    ] {
        assert_eq!(file(&file(text).to_string()), file(text), "{text}");
    }
}
