//! Diesel in the calling thread, which is a thread of the runtime: it blocks there for as long as the database takes.
//!
//! A task takes a connection from a list, and no other task runs on its thread until it has put it back. So there are
//! as many connections as threads, and nothing ever waits for one.

use std::hint::black_box;
use std::sync::{Arc, Mutex};

use diesel::prelude::*;

use super::database::{Item, Sale, connect, items, sales};
use crate::case::Outcome;
use crate::peers::{Find, Insert};

#[derive(Clone)]
pub(crate) struct Blocking {
    path: String,
    idle: Arc<Mutex<Vec<SqliteConnection>>>,
}

impl Blocking {
    pub(crate) fn open(path: &str) -> Self {
        Self { path: path.to_owned(), idle: Arc::default() }
    }

    fn run(&self, operation: impl FnOnce(&mut SqliteConnection) -> QueryResult<()>) -> Outcome {
        let idle = self.idle.lock().expect("no panic holds it").pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        let outcome = operation(&mut connection);
        self.idle.lock().expect("no panic holds it").push(connection);
        Ok(outcome?)
    }
}

impl Find for Blocking {
    async fn find(&self, id: i64) -> Outcome {
        self.run(|connection| {
            let query = items::table.find(id).select(Item::as_select());
            let item: Item = query.get_result(connection)?;
            black_box(item);
            Ok(())
        })
    }
}

impl Insert for Blocking {
    async fn insert(&self, item: i64) -> Outcome {
        self.run(|connection| {
            let sale = Sale { item_id: item, quantity: 1 };
            diesel::insert_into(sales::table).values(sale).execute(connection)?;
            Ok(())
        })
    }
}
