//! diesel-async without a pool: each task holds a connection of its own for the whole turn.

use std::sync::{Arc, Mutex};

use super::{CONNECTIONS, Connection, id_of};
use crate::case::{Outcome, Worker};

/// A worker that finds rows again and again on one connection.
pub(crate) struct Held<C: Send> {
    connection: Option<C>,
    /// Where the connections of all tasks are between turns.
    home: Arc<Mutex<Vec<C>>>,
}

impl<C: Connection> Held<C> {
    /// Connects for `tasks` tasks, or for as many as have a connection each: the most that the server can deliver.
    pub(crate) async fn connect(place: &str, tasks: u32) -> Self {
        let mut connections = Vec::new();
        for _ in 0..tasks.min(CONNECTIONS) {
            connections.push(C::open(place).await.expect("a connection"));
        }
        Self { connection: None, home: Arc::new(Mutex::new(connections)) }
    }
}

impl<C: Send> Clone for Held<C> {
    fn clone(&self) -> Self {
        Self { connection: None, home: Arc::clone(&self.home) }
    }
}

impl<C: Connection> Worker for Held<C> {
    const TASKS: u32 = CONNECTIONS;

    async fn work(&mut self, number: u64) -> Outcome {
        if self.connection.is_none() {
            self.connection = self.home.lock().expect("no panic holds it").pop();
        }
        let connection = self.connection.as_mut().expect("a connection for each task");
        Ok(connection.find(id_of(number)).await?)
    }
}

impl<C: Send> Drop for Held<C> {
    fn drop(&mut self) {
        self.home.lock().expect("no panic holds it").extend(self.connection.take());
    }
}
