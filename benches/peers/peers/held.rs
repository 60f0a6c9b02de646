//! diesel-async without a pool: each task holds a connection of its own for the whole turn.

use std::hint::black_box;
use std::sync::{Arc, Mutex};

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::CONNECTIONS;
use crate::database::{Item, connect, id_of, items};
use crate::measure::Worker;

/// One connection for each task.
#[derive(Clone)]
pub(crate) struct Held(Arc<Mutex<Vec<AsyncPgConnection>>>);

impl Held {
    pub(crate) async fn connect(url: &str) -> Self {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(connect(url).await);
        }
        Self(Arc::new(Mutex::new(connections)))
    }

    /// Takes a connection until the worker is dropped.
    pub(crate) fn worker(&self) -> HeldFinds {
        let connection = self.0.lock().expect("no panic holds it").pop();
        assert!(connection.is_some(), "a task for each connection");
        HeldFinds { connection, home: self.clone() }
    }
}

/// Finds rows again and again on one connection.
pub(crate) struct HeldFinds {
    connection: Option<AsyncPgConnection>,
    home: Held,
}

impl Worker for HeldFinds {
    async fn work(&mut self, number: u64) {
        let connection = self.connection.as_mut().expect("until it is dropped");
        let query = items::table.find(id_of(number)).select(Item::as_select());
        let item: Item = query.get_result(connection).await.expect("a row");
        black_box(item);
    }
}

impl Drop for HeldFinds {
    fn drop(&mut self) {
        self.home.0.lock().expect("no panic holds it").extend(self.connection.take());
    }
}
