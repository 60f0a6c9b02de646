//! Taking the connection out of a session.

use super::{IntoInnerError, Session};
use crate::bind::Bind;

impl<B: Bind> Session<B> {
    /// Takes the connection out of its engine for good, as deadpool's `Object::take` and bb8's `dedicated_connection` do:
    /// for a listener that keeps its connection as long as the program runs, or for code that needs to own one.
    ///
    /// It does not wait. The engine gives the place to the next caller at once, and opens another connection there. So the
    /// connection no longer counts against `max_connections`: the server has one more than that for as long as it is kept.
    /// The connection keeps working when the engine or the registry is closed, and closing waits for it no longer. It
    /// needs the Tokio runtime in which it was opened.
    ///
    /// The connection is handed over as it is: a transaction stays open, settings of the session stay set, and a tenant's
    /// session stays in the schema of the tenant. The engine's instrumentation is removed, and the
    /// [default instrumentation](diesel::connection::set_default_instrumentation) takes its place; an instrumentation that
    /// the program has set stays. [`from_connection`](Self::from_connection) makes a session of it again.
    ///
    /// # Errors
    ///
    /// [`IntoInnerError`], and the session is returned to its engine: a SQLite database in memory lives in its connection,
    /// and in [test isolation](crate::Registry::test_isolation) the connection of a server holds the transaction of the
    /// test. (Of a session without a registry, the connection of a database in memory can be taken.)
    ///
    /// ```
    /// use diesel_async::SimpleAsyncConnection;
    /// use registry_core::{Registry, binds};
    ///
    /// binds! { Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("sqlite://{}", folder.path().join("analytics.db").display());
    /// let registry = Registry::builder().bind("analytics", url).build()?;
    /// let mut connection = registry.session::<Analytics>().await?.into_inner()?;
    /// registry.close().await;
    /// connection.batch_execute("SELECT 1").await?; // it is the program's own now
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_inner(self) -> Result<B::Connection, IntoInnerError> {
        let key = self.bind_key();
        self.checkout.into_connection(key)
    }
}
