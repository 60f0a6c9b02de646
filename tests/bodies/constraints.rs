//! What an error tells of the rule of the database that a statement has broken.

use diesel::prelude::*;
use diesel::result::DatabaseErrorKind::{
    self, CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation,
};
use registry_core::{BindDsl, Error, Registry, RunQueryDsl, bind_tables};

use crate::support::run_sql;

diesel::table! {
    people (id) {
        id -> Integer,
        email -> Nullable<Text>,
        parent -> Nullable<Integer>,
        age -> Nullable<Integer>,
    }
}
bind_tables!(db = "default", connection = super::Backend; people);

type Main = <people::table as registry_core::Bound>::Bind;

async fn registry() -> Registry {
    let registry = Registry::builder().bind("default", super::database()).build();
    let registry = registry.expect("good settings");
    let create = "CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(50) NOT NULL, \
                  parent INTEGER, age INTEGER, CONSTRAINT one_email UNIQUE (email), \
                  CONSTRAINT has_parent FOREIGN KEY (parent) REFERENCES people (id), \
                  CONSTRAINT born CHECK (age >= 0))";
    run_sql::<Main>(&registry, create).await;
    registry
}

type Person = (i32, Option<&'static str>, Option<i32>, Option<i32>);

async fn insert(registry: &Registry, (id, email, parent, age): Person) -> Result<usize, Error> {
    let person = (
        people::id.eq(id),
        people::email.eq(email),
        people::parent.eq(parent),
        people::age.eq(age),
    );
    diesel::insert_into(people::table).values(person).execute(registry).await
}

fn kind(error: &Error) -> String {
    format!("{:?}", error.database_kind().expect("an error of the database"))
}

#[tokio::test]
async fn error_has_the_kind_and_the_names_that_the_database_reports() {
    let registry = registry().await;
    insert(&registry, (1, Some("anna"), None, None)).await.expect("a person");
    let check_kind = if super::NAME == "mysql" {
        // MariaDB's code, which diesel-async does not know.
        DatabaseErrorKind::Unknown
    } else {
        CheckViolation
    };
    for (person, expected, constraint, column) in [
        ((2, Some("anna"), None, None), UniqueViolation, Some("one_email"), None),
        ((2, Some("bert"), Some(9), None), ForeignKeyViolation, Some("has_parent"), None),
        ((2, None, None, None), NotNullViolation, None, Some("email")),
        ((2, Some("bert"), None, Some(-1)), check_kind, Some("born"), None),
    ] {
        let error = insert(&registry, person).await.expect_err("a rule is broken");
        assert_eq!(kind(&error), format!("{expected:?}"), "{error:?}");
        let names = (error.constraint_name(), error.table_name(), error.column_name());
        // Only PostgreSQL reports names. What the others write into the message is not read.
        let reported = match super::NAME {
            "postgres" => (constraint, Some("people"), column),
            _ => (None, None, None),
        };
        assert_eq!(names, reported, "{error:?}");
        assert!(!error.is_transient() && !error.is_connection_lost(), "{error:?}");
        let Error::Query(error) = &error else { panic!("{error:?}") };
        assert_eq!((error.constraint_name(), error.table_name(), error.column_name()), names);
    }
    let missing = diesel::sql_query("DELETE FROM missing").bound_to::<people::table>();
    let error = missing.execute(&registry).await.expect_err("no such table");
    assert_eq!(kind(&error), "Unknown");
    assert_eq!(
        (error.constraint_name(), error.table_name(), error.column_name()),
        (None, None, None)
    );
    let error: Error = diesel::result::Error::NotFound.into();
    assert!(error.database_kind().is_none() && error.constraint_name().is_none());
}

#[tokio::test]
async fn deferred_constraint_that_fails_at_the_commit_is_reported_as_well() {
    if super::NAME == "mysql" {
        // It has no deferred constraints.
        return;
    }
    let registry = registry().await;
    let create = "CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER, \
                  CONSTRAINT has_owner FOREIGN KEY (owner) REFERENCES people (id) \
                  DEFERRABLE INITIALLY DEFERRED)";
    run_sql::<Main>(&registry, create).await;
    let outcome = registry
        .transaction(async |work| {
            let insert = diesel::sql_query("INSERT INTO pets VALUES (1, 77)");
            insert.bound_to::<people::table>().execute(work).await
        })
        .await;
    let error: Error = outcome.expect_err("there is no owner");
    assert!(matches!(error, Error::Commit(_)), "{error:?}");
    assert_eq!(kind(&error), "ForeignKeyViolation");
    let is_postgres = super::NAME == "postgres";
    assert_eq!(error.constraint_name(), is_postgres.then_some("has_owner"));
    assert_eq!(error.table_name(), is_postgres.then_some("pets"));
}
