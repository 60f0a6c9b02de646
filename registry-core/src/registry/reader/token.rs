//! The position of a primary at the moment, as a token.

use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;

use crate::bind::{self, Bind};
use crate::engine::{AcquireError, AnyEngine, CheckFailure};
use crate::registry::handle::Registry;
use crate::registry::route::Route;
use crate::registry::tenants::Tenant;
use crate::token::Token;

impl Registry {
    /// The position of the primary of the bind `B` at this moment: reads [after](crate::Reader::after) it see everything
    /// that was committed before this was called.
    ///
    /// It asks the primary, which waits for a free connection, for `acquire_timeout` at most. A bind without replicas has
    /// an empty token, and is not asked. If the database tells no position, no replica counts as after the token, and its
    /// reads go to the primary. Dropping the future asks for nothing.
    ///
    /// # Errors
    ///
    /// Those of acquiring a session, and [`AcquireError::Position`] if the database did not answer the question.
    ///
    /// ```
    /// use registry_core::{Error, Registry, binds};
    ///
    /// binds! { Analytics: Sqlite = "analytics"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let registry = Registry::builder().bind("analytics", "sqlite::memory:").build()?;
    /// let token = registry.token::<Analytics>().await?;
    /// let reader = registry.reader().after(&token);
    /// # let _ = reader;
    /// # Ok(())
    /// # }
    /// ```
    pub fn token<B: Bind>(&self) -> impl Future<Output = Result<Token, AcquireError>> + Send {
        token::<B>(self, Route::Bind)
    }
}

impl Tenant {
    /// The position of the primary of this tenant's database at this moment, as [`Registry::token`].
    ///
    /// # Errors
    ///
    /// The errors of [`Registry::token`].
    ///
    /// ```
    /// use registry_core::{Error, Registry, binds};
    ///
    /// binds! { Crm: Sqlite = "default"; }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().display();
    /// # std::fs::File::create(folder.path().join("acme.db"))?;
    /// let registry = Registry::builder().bind("default", format!("sqlite://{path}/{{tenant}}.db")).build()?;
    /// let token = registry.tenant("acme")?.token::<Crm>().await?;
    /// assert!(token.is_empty(), "a file has no replicas");
    /// # Ok(())
    /// # }
    /// ```
    pub fn token<B: Bind>(&self) -> impl Future<Output = Result<Token, AcquireError>> + Send {
        token::<B>(self.registry(), Route::Tenant(self))
    }
}

async fn token<B: Bind>(registry: &Registry, route: Route<'_>) -> Result<Token, AcquireError> {
    let for_caller = |error: AcquireError| route.error_for_caller::<B>(error);
    loop {
        let found = route.open::<B>(registry, Instant::now(), None).await.map_err(for_caller)?;
        let engine = Arc::clone(found.engine.engine());
        if AnyEngine::settings(&*engine).replicas.is_empty() {
            return Ok(Token::default());
        }
        let is_of_one_tenant = engine.is_of_one_tenant();
        match AnyEngine::ask_position(engine, None).await {
            Ok(position) => {
                let tenant = route.tenant().filter(|_| is_of_one_tenant);
                return Ok(Token::of(bind::key_of::<B>(), tenant, position));
            }
            // The engine was replaced in between.
            Err(CheckFailure::Acquire(AcquireError::Closed { .. })) if !registry.is_closed() => {}
            Err(CheckFailure::Acquire(error)) => return Err(for_caller(error)),
            Err(CheckFailure::Check(error)) => {
                let key = bind::key_of::<B>();
                return Err(AcquireError::Position { key, source: error });
            }
        }
    }
}
