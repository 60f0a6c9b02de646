//! Ten independent reads on one session: sent without waiting for each other, and in a row.

use std::hint::black_box;

use diesel::prelude::*;
use diesel_async::AsyncPgConnection;
use futures_util::future::try_join_all;
use registry_core::{Bound, RunQueryDsl, Session};

use super::database::{Item, items};
use super::ours;
use crate::case::{Case, Outcome, Subject, Worker};
use crate::peers::{Connection, id_of};
use crate::places::Place;

const READS: u64 = 10;

pub(crate) fn case() -> Case {
    let ours = |name, is_pipeline| {
        Subject::new(name, move |url: String| async move {
            let session = ours::registry(&url).session_for::<Item>().await.expect("a session");
            Ours { session: shared(session), is_pipeline }
        })
    };
    let diesel = |name, is_pipeline| {
        Subject::new(name, move |url: String| async move {
            let connection = AsyncPgConnection::open(&url).await.expect("a connection");
            Diesel { connection: shared(connection), is_pipeline }
        })
    };
    let subjects = [
        ours("ours", true),
        ours("ours-in-a-row", false),
        diesel("diesel-async", true),
        diesel("diesel-async-in-a-row", false),
    ];
    Case::new("pipeline-10", 1, Place::Postgres, subjects)
}

/// Kept from turn to turn. There is one task, so nothing ever waits for the lock.
type Shared<T> = std::sync::Arc<tokio::sync::Mutex<T>>;

fn shared<T>(value: T) -> Shared<T> {
    std::sync::Arc::new(tokio::sync::Mutex::new(value))
}

fn ids(number: u64) -> impl Iterator<Item = i64> {
    (number * READS..(number + 1) * READS).map(id_of)
}

#[derive(Clone)]
struct Ours {
    session: Shared<Session<<Item as Bound>::Bind>>,
    is_pipeline: bool,
}

impl Worker for Ours {
    const OPERATIONS: u64 = READS;

    async fn work(&mut self, number: u64) -> Outcome {
        let mut session = self.session.lock().await;
        if self.is_pipeline {
            let session = &*session;
            let find = |id| items::table.find(id).select(Item::as_select()).get_result(session);
            let found: Vec<Item> = try_join_all(ids(number).map(find)).await?;
            black_box(found);
        } else {
            for id in ids(number) {
                let query = items::table.find(id).select(Item::as_select());
                let found: Item = query.get_result(&mut *session).await?;
                black_box(found);
            }
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Diesel {
    connection: Shared<AsyncPgConnection>,
    is_pipeline: bool,
}

impl Worker for Diesel {
    const OPERATIONS: u64 = READS;

    async fn work(&mut self, number: u64) -> Outcome {
        let mut connection = self.connection.lock().await;
        if self.is_pipeline {
            let connection = &*connection;
            let found = try_join_all(ids(number).map(|id| find(connection, id))).await?;
            black_box(found);
        } else {
            for id in ids(number) {
                connection.find(id).await?;
            }
        }
        Ok(())
    }
}

async fn find(mut connection: &AsyncPgConnection, id: i64) -> QueryResult<Item> {
    let query = items::table.find(id).select(Item::as_select());
    diesel_async::RunQueryDsl::get_result(query, &mut connection).await
}
