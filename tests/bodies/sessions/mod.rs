//! Acquiring sessions, on each backend.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_core::settings::BindSettings;
use registry_core::{Registry, Session, bind, bind_tables};

use super::{Backend, NAME, database};

mod closing;
mod maintenance;
mod one_off;
mod options;
mod queue;
mod resets;
mod routing;
mod taken;

mod schema {
    diesel::table! {
        events (id) {
            id -> Integer,
            what -> Text,
        }
    }

    diesel::table! {
        #[sql_name = "events"]
        old_events (id) {
            id -> Integer,
            what -> Text,
        }
    }
}

use schema::{events, old_events};

#[bind(connection = super::Backend)]
#[derive(Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = events)]
struct Event {
    id: i32,
    what: String,
}

type Main = <Event as registry_core::Bound>::Bind;
bind_tables!(db = "default", connection = super::Backend; schema::events);
const CREATE: &str = "CREATE TABLE events (id INTEGER PRIMARY KEY NOT NULL, what TEXT NOT NULL)";

/// A registry of one new database, with the settings that the closure adds.
fn registry_with(settings: impl FnOnce(BindSettings) -> BindSettings) -> Registry {
    Registry::builder()
        .bind("default", settings(BindSettings::new(database())))
        .build()
        .expect("good settings")
}

async fn insert(session: &mut Session<Main>, id: i32) {
    diesel::insert_into(events::table)
        .values(Event { id, what: "new".to_owned() })
        .execute(session)
        .await
        .expect("a row");
}

async fn ids(session: &mut Session<Main>) -> Vec<i32> {
    events::table.select(events::id).order(events::id).load(session).await.expect("rows")
}
