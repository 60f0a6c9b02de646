//! Kinds of queries that only MySQL and MariaDB have, or that differ there.

use diesel::dsl::{DuplicatedKeys, exists, insert_into, max, update};
use diesel::prelude::*;
use registry_core::{Error, Registry, RunQueryDsl, Session, bind_tables, binds};

use crate::{executes, loads};

binds! { Main: Mysql = "default"; }

diesel::table! { people (id) { id -> Integer, name -> Text, flags -> Unsigned<Integer>, } }
diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
diesel::joinable!(notes -> people (person_id));
diesel::allow_tables_to_appear_in_same_query!(people, notes);

bind_tables!(Main; people, notes);

type Condition = Box<
    dyn BoxableExpression<people::table, diesel::mysql::Mysql, SqlType = diesel::sql_types::Bool>,
>;

fn named() -> Condition {
    Box::new(people::name.eq("ada"))
}

fn row(id: i32) -> (diesel::dsl::Eq<notes::id, i32>, diesel::dsl::Eq<notes::text, &'static str>) {
    (notes::id.eq(id), notes::text.eq("new"))
}

loads! { selects;
    (i32, Option<i32>): people::table.left_join(notes::table).select((people::id, notes::id.nullable()));
    Option<i32>: people::table.select(max(people::id));
    i32: people::table.filter(people::flags.eq(1)).select(people::id);
    i32: people::table.filter(named()).select(people::id).limit(1).offset(1);
    i32: people::table.select(people::id).union(notes::table.select(notes::id).into_boxed());
    i32: people::table.filter(named()).select(people::id).union_all(notes::table.select(notes::id));
    i32: people::table.filter(people::id.eq_any(notes::table.select(notes::id).for_update())).select(people::id);
    bool: diesel::select(exists(people::table.filter(people::id.eq(1))));
}

executes! { commands;
    insert_into(notes::table).values(vec![row(1), row(2)]);
    insert_into(notes::table).values(vec![row(1), row(2)]).on_conflict_do_nothing();
    insert_into(notes::table).values(row(1)).on_conflict(DuplicatedKeys).do_update().set(notes::text.eq("x"));
    insert_into(notes::table).values(&vec![row(1)]).on_conflict(DuplicatedKeys).do_nothing();
    insert_into(notes::table).default_values();
    insert_into(notes::table).values(people::table.select((people::id, people::id, people::name)));
    diesel::insert_or_ignore_into(notes::table).values(vec![row(1), row(2)]);
    diesel::replace_into(notes::table).values(vec![row(1), row(2)]);
    update(people::table.filter(named())).set(people::name.eq("x"));
    diesel::delete(people::table.filter(named()));
    diesel::delete(people::table).filter(people::id.eq_any(notes::table.select(notes::person_id)));
}
