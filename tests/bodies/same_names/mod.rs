//! Tables of the same names in two databases, on each backend.
//!
//! A query over a table of each would find both names in the wrong database, so no database reports an error, and
//! the query has to be refused before it is sent.

use std::error::Error as StdError;

use diesel::dsl::{exists, max};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnectionCore, SimpleAsyncConnection};
use registry_core::query::HiddenTable;
use registry_core::{BindDsl, Bound, Registry, RunQueryDsl, bind_tables};

use super::{Backend, NAME, database};

mod allowed;
mod boxed;
mod own_expressions;
mod refusals;

mod near {
    diesel::table! { people (id) { id -> Integer, name -> Text, } }
    diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
    diesel::allow_tables_to_appear_in_same_query!(people, notes);
}

mod far {
    diesel::table! { people (id) { id -> Integer, name -> Text, } }
    diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
    diesel::table! { visits (id) { id -> Integer, person_id -> Integer, } }
    diesel::allow_tables_to_appear_in_same_query!(people, notes, visits);
}

use far::{notes as far_notes, people as far_people, visits as far_visits};
use near::{notes, people};

diesel::allow_tables_to_appear_in_same_query!(people, far_people);
diesel::allow_tables_to_appear_in_same_query!(people, far_notes);
diesel::allow_tables_to_appear_in_same_query!(people, far_visits);
diesel::allow_tables_to_appear_in_same_query!(notes, far_people);
diesel::allow_tables_to_appear_in_same_query!(notes, far_notes);
diesel::allow_tables_to_appear_in_same_query!(notes, far_visits);
bind_tables!(db = "default", connection = super::Backend; near::people, near::notes);
bind_tables!(db = "far", connection = super::Backend; far::people, far::notes, far::visits);

type Main = <people::table as Bound>::Bind;
type Db = <Backend as AsyncConnectionCore>::Backend;

/// The path of the other database's `people` in the program.
const FAR_PEOPLE: &str = concat!(module_path!(), "::far::people");

/// Two databases with the same tables and different rows.
async fn registry() -> Registry {
    let registry = Registry::builder()
        .bind("default", database())
        .bind("far", database())
        .build()
        .expect("good settings");
    for (key, first) in [("default", 1), ("far", 101)] {
        let mut session = registry.session_by_key::<Backend>(key).await.expect("a session");
        for statement in [
            "CREATE TABLE people (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)".to_owned(),
            "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL, person_id INTEGER NOT NULL, text VARCHAR(50) NOT NULL)".to_owned(),
            "CREATE TABLE visits (id INTEGER PRIMARY KEY NOT NULL, person_id INTEGER NOT NULL)".to_owned(),
            format!("INSERT INTO people VALUES ({first}, '{key} ada'), ({}, '{key} bob')", first + 1),
            format!("INSERT INTO notes VALUES ({first}, {first}, '{key} note')"),
            format!("INSERT INTO visits VALUES ({first}, {first})"),
        ] {
            session.batch_execute(&statement).await.expect("a database as it should be");
        }
    }
    registry
}

/// Asserts that no refused statement has changed a database.
async fn are_untouched(registry: &Registry) {
    let near: Vec<(i32, String)> =
        people::table.order(people::id).load(registry).await.expect("rows");
    assert_eq!(near, [(1, "default ada".to_owned()), (2, "default bob".to_owned())]);
    let far: Vec<(i32, String)> =
        far::people::table.order(far::people::id).load(registry).await.expect("rows");
    assert_eq!(far, [(101, "far ada".to_owned()), (102, "far bob".to_owned())]);
    let notes: Vec<String> = notes::table.select(notes::text).load(registry).await.expect("rows");
    assert_eq!(notes, ["default note"]);
}

/// The refusal inside an error of Diesel's.
fn hidden(error: &(dyn StdError + 'static)) -> HiddenTable {
    let mut cause = error;
    loop {
        if let Some(DieselError::QueryBuilderError(inner)) = cause.downcast_ref() {
            let found = inner.downcast_ref::<HiddenTable>();
            return found.unwrap_or_else(|| panic!("not refused, but {error:?}")).clone();
        }
        cause = cause.source().unwrap_or_else(|| panic!("not refused, but {error:?}"));
    }
}

/// Asserts that each query is refused for the table of `far` that is named before it.
macro_rules! refused {
    ($registry:expr; $($name:literal: $method:ident$(::<$row:ty>)?($query:expr);)*) => {$({
        let error = $query
            .bound_to::<Main>()
            .$method$(::<$row>)?(&$registry)
            .await
            .expect_err(stringify!($query));
        let found = hidden(&error);
        assert_eq!(
            (&*found.key, &*found.name, found.other.as_str()),
            ("default", $name, "far"),
            stringify!($query)
        );
    })*};
}
use refused;

macro_rules! max_id {
    () => {
        far::people::table.select(max(far::people::id)).single_value()
    };
}
use max_id;

macro_rules! one_id {
    () => {
        far::people::table.select(far::people::id).limit(1).single_value().assume_not_null()
    };
}
use one_id;

macro_rules! one_name {
    () => {
        far::people::table.select(far::people::name).limit(1).single_value().assume_not_null()
    };
}
use one_name;

macro_rules! any_note {
    () => {
        exists(far::notes::table.filter(far::notes::id.gt(0)))
    };
}
use any_note;

/// A query with the total number of its rows, as in Diesel's guide on pagination.
#[derive(Debug, Clone, Copy, QueryId)]
struct Counted<Q>(Q);

impl<Q: Query> Query for Counted<Q> {
    type SqlType = (Q::SqlType, BigInt);
}

impl<Q: QueryFragment<Db>> QueryFragment<Db> for Counted<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        out.push_sql("SELECT *, COUNT(*) OVER () FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") t");
        Ok(())
    }
}
