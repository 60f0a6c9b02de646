//! Kinds of queries that differ on SQLite.

use diesel::dsl::{insert_into, update};
use diesel::prelude::*;
use diesel::upsert::excluded;
use registry_core::{Error, Registry, RunQueryDsl, Session, bind_tables, binds};

use crate::loads;

binds! { Main: Sqlite = "default"; }

diesel::table! { people (id) { id -> Integer, name -> Text, nick -> Nullable<Text>, } }
diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(people, notes);

bind_tables!(Main; people, notes);

fn row(id: i32) -> (diesel::dsl::Eq<notes::id, i32>, diesel::dsl::Eq<notes::text, &'static str>) {
    (notes::id.eq(id), notes::text.eq("new"))
}

loads! { selects;
    i32: people::table.filter(people::nick.is("a")).select(people::id);
    i32: people::table.filter(people::nick.is_not("a")).select(people::id);
    i32: people::table.select(people::id).intersect(notes::table.select(notes::id));
    i32: people::table.select(people::id).except(notes::table.select(notes::id).into_boxed());
    i32: people::table.select(people::id).order(people::nick.asc());
    i32: insert_into(notes::table).values(row(1)).returning(notes::id);
    (i32, i32, String): insert_into(notes::table).values(row(1));
    i32: insert_into(notes::table).values(row(1)).on_conflict(notes::id).do_update().set(notes::text.eq(excluded(notes::text))).returning(notes::id);
    i32: diesel::replace_into(notes::table).values(row(1)).returning(notes::id);
    i32: insert_into(notes::table).default_values().returning(notes::id);
    i32: update(notes::table.find(1)).set(notes::text.eq("x")).returning(notes::id);
    i32: diesel::delete(notes::table.find(1)).returning(notes::id);
}
