//! The lease of a ledger for a change to a single tenant, which takes back what the ledger has noted.

use std::panic::Location;

use tokio::time::{Instant, sleep};

use super::error::MigrateTenantsError;
use super::ledger::{Ledger, LedgerBind};
use super::report::MigrateTenantsReport;
use crate::backend::namespace::LOCK_PAUSE;
use crate::cause::DriverError;
use crate::registry::handle::Registry;
use crate::settings::BindKey;

/// The lease of the tenants of a bind. As long as it is held, no run over all tenants is in between the migrations of a
/// tenant and their row in the ledger: such a row would be written after the tenant was reverted, and hide that.
///
/// The lease ends when this is dropped. [`release`](Self::release) ends it sooner, as the server notices the end of a
/// connection with a delay.
pub(crate) struct HeldLedger {
    ledger: Box<dyn Ledger>,
    key: BindKey,
}

impl HeldLedger {
    /// Waits for the lease, at most for the `acquire_timeout` of the ledger's bind.
    ///
    /// # Errors
    ///
    /// [`LeaseHeld`](MigrateTenantsError::LeaseHeld) if another run has it until then, and
    /// [`Ledger`](MigrateTenantsError::Ledger) if the ledger cannot be used.
    pub(crate) async fn take(
        registry: &Registry,
        ledger: &dyn LedgerBind,
        key: BindKey,
        place: &'static Location<'static>,
    ) -> Result<Self, MigrateTenantsError> {
        let (ledger_key, started) = (ledger.key(), Instant::now());
        let failed = |source| {
            let report = Box::new(MigrateTenantsReport::new(key));
            MigrateTenantsError::Ledger { key, ledger: ledger_key, report, source }
        };
        let mut ledger = ledger.open(registry.clone(), place).await.map_err(failed)?;
        let after = ledger.acquire_timeout();
        while !ledger.take_lease(key, false).await.map_err(failed)? {
            if started.elapsed() >= after {
                let holder = ledger.holder(key).await;
                let (holder, since) =
                    holder.map(|holder| (holder.name.into(), holder.since.into())).unzip();
                let report = Box::new(MigrateTenantsReport::new(key));
                let ledger = ledger_key;
                return Err(MigrateTenantsError::LeaseHeld {
                    key,
                    ledger,
                    holder,
                    since,
                    after,
                    report,
                });
            }
            sleep(LOCK_PAUSE).await;
        }
        Ok(Self { ledger, key })
    }

    /// Deletes the row of a tenant.
    ///
    /// # Errors
    ///
    /// The ledger cannot be used.
    pub(crate) async fn forget(&mut self, tenant: &str) -> Result<(), DriverError> {
        self.ledger.forget(self.key, tenant).await
    }

    pub(crate) async fn release(self) {
        self.ledger.release(self.key).await;
    }
}
