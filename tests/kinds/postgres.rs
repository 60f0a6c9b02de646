//! Kinds of queries that only PostgreSQL has. They are compiled, and not run.

use std::ops::Bound;

use diesel::dsl::{OnlyDsl, TablesampleDsl};
use diesel::dsl::{
    array, case_when, count, count_star, exists, insert_into, max, rank, sum, update,
};
use diesel::prelude::*;
use diesel::upsert::{excluded, on_constraint};
use registry_core::{Error, Registry, RunQueryDsl, Session, bind_tables, binds};

use crate::{executes, loads};

binds! { Main: Postgres = "default"; }

diesel::table! {
    people (id) { id -> Integer, name -> Text, nick -> Nullable<Text>, tags -> Array<Text>, years -> Range<Integer>, }
}
diesel::table! { notes (id) { id -> Integer, person_id -> Integer, text -> Text, } }
diesel::joinable!(notes -> people (person_id));
diesel::allow_tables_to_appear_in_same_query!(people, notes);

bind_tables!(Main; people, notes);

type Condition =
    Box<dyn BoxableExpression<people::table, diesel::pg::Pg, SqlType = diesel::sql_types::Bool>>;

fn named() -> Condition {
    Box::new(people::name.ilike("a%"))
}

fn row(id: i32) -> (diesel::dsl::Eq<notes::id, i32>, diesel::dsl::Eq<notes::text, &'static str>) {
    (notes::id.eq(id), notes::text.eq("new"))
}

macro_rules! filters {
    ($name:ident; $($condition:expr;)*) => {
        loads! { $name; $(i32: people::table.filter($condition).select(people::id);)* }
    };
}

filters! { conditions;
    people::name.ilike("a%");
    people::name.not_ilike("a%");
    people::name.similar_to("a");
    people::name.not_similar_to("a");
    people::nick.is_distinct_from("a");
    people::nick.is_not_distinct_from("a");
    people::id.eq_any(vec![1, 2]);
    people::id.ne_all(vec![1, 2]);
    people::tags.contains(vec!["a"]);
    people::tags.is_contained_by(vec!["a"]);
    people::tags.overlaps_with(vec!["a"]);
    people::tags.concat(vec!["a"]).eq(vec!["a"]);
    people::tags.index(1).eq("a");
    people::years.contains(3);
    people::years.contains_range((Bound::Included(1), Bound::Excluded(2)));
    people::years.overlaps_with((Bound::Included(1), Bound::Excluded(2)));
    people::years.lesser_than((Bound::Included(1), Bound::Excluded(2)));
    array((people::id, 1)).contains(vec![1]);
    array(notes::table.select(notes::id)).contains(vec![1]);
    named();
    named().and(people::id.gt(1));
    exists(notes::table.filter(notes::person_id.eq(people::id)));
}

loads! { selects;
    i32: people::table.select(people::id).distinct_on(people::name).order(people::name);
    i32: people::table.select(people::id).distinct_on((people::name, people::nick));
    i32: people::table.only().select(people::id);
    i32: people::table.tablesample_bernoulli(10).select(people::id);
    i32: people::table.tablesample_system(10).with_seed(1.0).select(people::id);
    i32: people::table.select(people::id).order(people::nick.asc().nulls_first());
    i32: people::table.select(people::id).order(people::nick.desc().nulls_last());
    (i32, i64): people::table.select((people::id, rank().over().partition_by(people::name).window_order(people::id)));
    (i32, i64): people::table.select((people::id, count(people::id).over().partition_by(people::name)));
    i64: people::table.select(count(people::id).aggregate_filter(people::id.gt(1)));
    i64: people::table.select(count(people::id).aggregate_distinct());
    Option<i32>: people::table.select(max(people::id));
    Option<i64>: people::table.select(sum(people::id));
    i32: people::table.select(case_when(people::id.gt(1), people::id).otherwise(0));
    Vec<i32>: people::table.select(array((people::id, 1)));
    Vec<i32>: people::table.select(array(notes::table.select(notes::id)));
    (i32, i64): people::table.inner_join(notes::table).group_by(people::id).select((people::id, count_star()));
    i32: people::table.select(people::id).intersect(notes::table.select(notes::id));
    i32: people::table.select(people::id).intersect_all(notes::table.select(notes::id));
    i32: people::table.select(people::id).except(notes::table.select(notes::id));
    i32: people::table.filter(named()).select(people::id).except_all(notes::table.select(notes::id).into_boxed());
    i32: people::table.filter(people::id.eq_any(notes::table.select(notes::id).for_update().skip_locked())).select(people::id);
    i32: insert_into(notes::table).values(row(1)).returning(notes::id);
    i32: insert_into(notes::table).values(vec![row(1), row(2)]).returning(notes::id);
    (i32, i32, String): insert_into(notes::table).values(vec![row(1), row(2)]);
    i32: insert_into(notes::table).values(row(1)).on_conflict(notes::id).do_update().set(notes::text.eq("x")).returning(notes::id);
    i32: update(notes::table.find(1)).set(notes::text.eq("x")).returning(notes::id);
    (i32, i32, String): update(notes::table).set(notes::text.eq("x"));
    i32: update(notes::table).filter(notes::person_id.eq_any(people::table.select(people::id).limit(1).for_update().skip_locked())).set(notes::text.eq("x")).returning(notes::id);
    i32: diesel::delete(notes::table.find(1)).returning(notes::id);
    bool: diesel::select(exists(people::table.filter(people::tags.contains(vec!["a"]))));
}

executes! { commands;
    insert_into(notes::table).values(vec![row(1), row(2)]);
    insert_into(notes::table).values(&vec![row(1), row(2)]).on_conflict_do_nothing();
    insert_into(notes::table).values(&vec![row(1), row(2)]).on_conflict(notes::id).do_nothing();
    insert_into(notes::table).values(&vec![row(1), row(2)]).on_conflict(notes::id).do_update().set(notes::text.eq(excluded(notes::text)));
    insert_into(notes::table).values(row(1)).on_conflict(on_constraint("notes_pkey")).do_nothing();
    insert_into(notes::table).values(row(1)).on_conflict((notes::id, notes::person_id)).do_nothing();
    diesel::query_dsl::methods::FilterDsl::filter(insert_into(notes::table).values(row(1)).on_conflict(notes::id).do_update().set(notes::text.eq("x")), notes::id.gt(1));
    insert_into(notes::table).values(row(1)).on_conflict(notes::id).filter_target(notes::id.gt(1)).do_nothing();
    insert_into(notes::table).default_values();
    insert_into(notes::table).values(people::table.select((people::id, people::id, people::name))).on_conflict_do_nothing();
    insert_into(notes::table).values(people::table.select((people::id, people::name))).into_columns((notes::id, notes::text)).on_conflict(notes::id).do_nothing();
    update(people::table).set(people::tags.eq(vec!["a"]));
    update(people::table).set(people::tags.eq(people::tags.concat(vec!["a"])));
    update(people::table.filter(named())).set(people::name.eq("x"));
    diesel::delete(people::table.filter(named()));
    diesel::delete(notes::table.filter(notes::person_id.eq_any(people::table.filter(people::name.eq("x")).select(people::id))));
}
