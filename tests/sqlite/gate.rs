//! A statement that runs for as long as a test wants it to.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc;

use registry_core::Sqlite;
use tokio::sync::mpsc as asynchronous;

diesel::define_sql_function! { fn gate(value: diesel::sql_types::Integer) -> diesel::sql_types::Integer; }

/// The SQL function `gate`, which blocks until it is let through and then returns its argument.
pub(crate) struct Gate {
    entered: asynchronous::UnboundedReceiver<()>,
    through: mpsc::Sender<()>,
}

impl Gate {
    pub(crate) async fn on(connection: &mut Sqlite) -> Self {
        let (enter, entered) = asynchronous::unbounded_channel();
        let (through, is_let) = mpsc::channel();
        let both = AssertUnwindSafe((enter, is_let));
        let wait = move |value: i32| {
            let AssertUnwindSafe((enter, is_let)) = &both;
            let _ = enter.send(());
            let _ = is_let.recv();
            value
        };
        connection
            .spawn_blocking(|connection| {
                gate_utils::register_nondeterministic_impl(connection, wait)
            })
            .await
            .expect("a function");
        Self { entered, through }
    }

    /// Polls `statement` until it waits at the gate, and drops it.
    pub(crate) async fn abandon(&mut self, statement: impl Future) {
        tokio::select! {
            biased;
            _ = self.entered.recv() => {}
            _ = statement => panic!("it does not end by itself"),
        }
    }

    /// Lets one call through.
    pub(crate) fn open(&self) {
        self.through.send(()).expect("the connection is open");
    }
}
