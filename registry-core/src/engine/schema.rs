//! Switching a connection to a tenant's schema before it is lent.

use std::sync::Arc;

use tokio::time::timeout;

use super::checkout::Checkout;
use super::error::AcquireError;
use super::isolation::run_to_completion;
use super::observe::caller::Caller;
use super::setup::{forget_statements, has_setup, set_up, setup_error};
use super::typed::TypedEngine;
use crate::attribution::own;
use crate::backend::{Backend, ConnectError};

impl<C: Backend> TypedEngine<C> {
    /// Runs the statements that switch a connection to a schema, for at most `check_timeout`. False if the schema does not
    /// exist.
    pub(super) async fn enter_schema_on(
        &self,
        connection: &mut C,
        schema: &str,
        is_from_another: bool,
    ) -> Result<bool, ConnectError> {
        let options = &self.settings.options;
        let entering = async {
            if is_from_another && has_setup(&self.settings) {
                // `on_connect` may set the search path, so it runs after the reset and before the switch to the schema.
                // Every backend with schemas has a reset. Without one, the session would still be the other tenant's.
                let Some(reset) = C::FULL_RESET else { return Ok(false) };
                let reset = connection.batch_execute(reset).await;
                reset.map_err(|error| setup_error::<C>("the reset between tenants", error))?;
                set_up(connection, &self.settings, options).await?;
            }
            let is_from_another = is_from_another && !has_setup(&self.settings);
            let entered = connection.enter_schema(schema, is_from_another).await;
            entered.map_err(|error| setup_error::<C>("SET search_path", error))
        };
        match timeout(options.check_timeout, entering).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::TimedOut { after: options.check_timeout }),
        }
    }

    /// Switches a checkout to a schema before it is lent. `None` if there is no schema of that name.
    ///
    /// The switch is made for each checkout, because the last borrower may have changed the search path. A connection that
    /// was in another tenant's schema is reset, and Diesel forgets its prepared statements, because they were prepared for
    /// the other tenant's tables.
    pub(crate) async fn enter_schema(
        mut checkout: Checkout<C>,
        schema: String,
    ) -> Result<Option<Checkout<C>>, AcquireError> {
        let engine = Arc::clone(checkout.engine());
        let is_there = if engine.settings.is_isolated {
            let is_there;
            (checkout, is_there) = Self::switch_schema_in_own_task(checkout, schema).await?;
            is_there
        } else {
            engine.switch_schema(&mut checkout, &schema).await?
        };
        // The switch has replaced the `ConnectionWatch`, maybe in another task, so the holder is set again.
        if let Some(watch) = checkout.watch() {
            watch.set_holder(Caller::current());
        }
        Ok(is_there.then_some(checkout))
    }

    /// Switches a checkout to a schema. False if the schema does not exist.
    pub(super) async fn switch_schema(
        &self,
        checkout: &mut Checkout<C>,
        schema: &str,
    ) -> Result<bool, AcquireError> {
        let before = checkout.lease_mut().and_then(|lease| lease.schema());
        let is_from_another = before.is_some_and(|before| before != schema);
        let connection = checkout.connection_mut();
        if is_from_another && self.settings.options.statement_cache {
            forget_statements(connection);
        }
        let entering = own(self.enter_schema_on(connection, schema, is_from_another));
        let entered = match self.unless_closed(entering).await {
            Ok(entered) => entered,
            Err(closed) => {
                // The statement was cut short, and a new `ConnectionWatch` would not record that.
                checkout.discard();
                return Err(closed);
            }
        };
        if is_from_another {
            checkout.connection_mut().forget_received();
        }
        if let Some(lease) = checkout.lease_mut() {
            match &entered {
                // The statements so far are not the borrower's, so a new watch begins without them.
                Ok(is_there) => {
                    if *is_there {
                        lease.set_schema(schema);
                    }
                    self.restart_watch(lease);
                }
                // A statement may have been cut short, and a new `ConnectionWatch` would not record that.
                Err(_) => checkout.discard(),
            }
        }
        entered.map_err(|error| self.could_not_connect(error))
    }

    /// Switches the connection of a test isolation in a task of its own, so that a caller cannot cut the switch short: see
    /// [`fill_in_own_task`](TypedEngine::fill_in_own_task).
    pub(super) async fn switch_schema_in_own_task(
        mut checkout: Checkout<C>,
        schema: String,
    ) -> Result<(Checkout<C>, bool), AcquireError> {
        let engine = Arc::clone(checkout.engine());
        let key = engine.settings.key;
        let put = async move {
            let is_there = engine.switch_schema(&mut checkout, &schema).await?;
            Ok((checkout, is_there))
        };
        run_to_completion(key, put).await
    }
}
