//! What a run asks of its ledger, and what it writes there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep};

use super::super::ledger::{Ledger, now};
use super::super::report::{TenantOutcome, TenantResult};
use super::{Run, Stop};
use crate::backend::ledger::{DONE, FAILED, LedgerRow, LedgerScope};
use crate::backend::namespace::LOCK_PAUSE;
use crate::cause::{Chain, DriverError};

/// How often the lease is checked while nothing else is sent on its connection.
pub(super) const LEASE_CHECK_PERIOD: Duration = Duration::from_secs(3);

/// How many rows are written to the ledger at once.
const ROWS_OF_A_STATEMENT: usize = 500;

/// The maximum number of characters of an error in the ledger.
const MAX_DETAIL: usize = 4_000;

impl Run {
    /// Sorts the names that were read into those that are done and those that are queued.
    pub(super) async fn ask_ledger(&mut self) {
        let names = std::mem::take(&mut self.chunk);
        if names.is_empty() {
            return;
        }
        match self.find_done(&names).await {
            Ok(done) => {
                for tenant in names {
                    match done.contains(&*tenant) {
                        true => self.note(TenantOutcome {
                            tenant: tenant.to_string(),
                            result: TenantResult::UpToDate,
                        }),
                        false if self.stop.is_some() => self.note_not_reached(&tenant),
                        false => self.queue.push_back(tenant),
                    }
                }
            }
            Err(stop) => {
                self.chunk = names;
                self.stop_for(stop);
            }
        }
    }

    /// Those among `names` that are done. If that is not all of them, the lease is taken, and they are asked for again,
    /// because another run may have migrated some until then.
    async fn find_done(&mut self, names: &[Arc<str>]) -> Result<HashSet<String>, Stop> {
        let Some(task) = &self.task.ledger else { return Ok(HashSet::new()) };
        let mut ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => {
                task.bind.open(task.registry.clone(), task.place).await.map_err(Stop::Ledger)?
            }
        };
        let (scope, rechecks) = (task.scope.clone(), task.rechecks);
        if !self.has_lease {
            // An error may mean that there is no ledger yet, which is then created. If it has another reason, the next
            // operation fails as well.
            let mut may_lack_tables = rechecks;
            if !rechecks {
                match ledger.find_done(&scope, names).await {
                    Ok(done) if done.len() == names.len() => {
                        self.ledger = Some(ledger);
                        return Ok(done.into_iter().collect());
                    }
                    Ok(_) => {}
                    Err(_) => may_lack_tables = true,
                }
            }
            self.take_lease(&mut *ledger, may_lack_tables).await?;
        }
        let done = match rechecks {
            true => Ok(Vec::new()),
            false => ledger.find_done(&scope, names).await,
        };
        self.ledger = Some(ledger);
        self.postpone_lease_check();
        match done {
            Ok(done) => Ok(done.into_iter().collect()),
            Err(error) => Err(self.ledger_failed(error).await),
        }
    }

    async fn take_lease(
        &mut self,
        ledger: &mut dyn Ledger,
        may_lack_tables: bool,
    ) -> Result<(), Stop> {
        let limit = self.task.ledger.as_ref().and_then(|task| task.wait_for_lease);
        let limit = limit.unwrap_or(ledger.acquire_timeout());
        let started = Instant::now();
        let key = self.task.key;
        while !ledger.take_lease(key, may_lack_tables).await.map_err(Stop::Ledger)? {
            let remaining = limit.saturating_sub(started.elapsed());
            if remaining.is_zero() {
                let holder = ledger.holder(self.task.key).await;
                return Err(Stop::LeaseHeld { holder, after: limit });
            }
            let pause = std::pin::pin!(sleep(LOCK_PAUSE.min(remaining)));
            if !self.is_signalled
                && let Either::Left((signal, _)) = select(&mut self.task.stop, pause).await
            {
                self.is_signalled = true;
                return Err(Stop::from(signal));
            }
        }
        self.has_lease = true;
        Ok(())
    }

    pub(super) async fn write_rows(&mut self, rows: &[LedgerRow]) {
        let (Some(task), Some(ledger)) = (&self.task.ledger, &mut self.ledger) else { return };
        let mut written = Ok(());
        // A statement has a limited number of bind variables.
        for rows in rows.chunks(ROWS_OF_A_STATEMENT) {
            if written.is_ok() {
                written = write_statement(&mut **ledger, &task.scope, rows).await;
            }
        }
        if let Err(error) = written {
            let stop = self.ledger_failed(error).await;
            self.stop_for(stop);
        }
        self.postpone_lease_check();
    }

    /// What an error of the ledger means while the run has the lease.
    async fn ledger_failed(&mut self, error: DriverError) -> Stop {
        let Some(ledger) = &mut self.ledger else { return Stop::Ledger(error) };
        self.has_lease = ledger.has_lease(self.task.key).await.unwrap_or(false);
        match self.has_lease {
            true => Stop::Ledger(error),
            false => Stop::LeaseLost(Some(error)),
        }
    }

    pub(super) async fn check_lease(&mut self) {
        let Some(ledger) = &mut self.ledger else { return };
        let error = match ledger.has_lease(self.task.key).await {
            Ok(true) => return self.postpone_lease_check(),
            Ok(false) => None,
            Err(error) => Some(error),
        };
        self.has_lease = false;
        self.stop_for(Stop::LeaseLost(error));
    }

    fn postpone_lease_check(&mut self) {
        self.lease_is_due.as_mut().reset(Instant::now() + LEASE_CHECK_PERIOD);
    }
}

/// Writes rows by one statement.
async fn write_statement(
    ledger: &mut dyn Ledger,
    scope: &LedgerScope,
    rows: &[LedgerRow],
) -> Result<(), DriverError> {
    let written = ledger.write_rows(scope, rows).await;
    if written.is_ok() || rows.iter().all(|row| row.detail.is_ascii()) {
        return written;
    }
    // The encoding of the ledger's database may lack a character that the error of a tenant's database has.
    let to_ascii = |char: char| if char.is_ascii() { char } else { '?' };
    let in_ascii = |row: &LedgerRow| {
        let detail = row.detail.chars().map(to_ascii).collect();
        LedgerRow { detail, ..row.clone() }
    };
    let rows: Vec<_> = rows.iter().map(in_ascii).collect();
    ledger.write_rows(scope, &rows).await
}

/// The row of a tenant that was migrated, or whose migration failed.
pub(super) fn row_of(outcome: &TenantOutcome) -> Option<LedgerRow> {
    let (state, detail) = match &outcome.result {
        TenantResult::Applied(_) | TenantResult::UpToDate => (DONE, String::new()),
        TenantResult::Failed(failure) => {
            let chain = Chain(failure).to_string();
            // PostgreSQL stores no zero characters.
            (FAILED, chain.chars().filter(|char| *char != '\0').take(MAX_DETAIL).collect())
        }
        TenantResult::NotReached | TenantResult::Repeated => return None,
    };
    Some(LedgerRow { tenant: outcome.tenant.as_str().into(), state, detail, at: now() })
}
