//! Reading which versions were run, without writing anything: not even the tables.

use std::collections::HashMap;

use diesel_async::AsyncConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use tokio::runtime::Handle;

use super::records::Records;
use super::task::AppliedVersion;
use crate::backend::driver::Driver;
use crate::cause::DriverError;

/// The versions in Diesel's table, each with its record, in the order of the versions. None if there is no such table.
pub(crate) fn read_applied<C>(connection: C) -> (C, Result<Vec<AppliedVersion>, DriverError>)
where
    C: Driver + AsyncConnection + 'static,
    AsyncConnectionWrapper<C>: Records,
{
    let mut harness: AsyncConnectionWrapper<C> = connection.into();
    let applied = applied(&mut harness);
    (harness.into_inner(), applied)
}

fn applied<C>(harness: &mut AsyncConnectionWrapper<C>) -> Result<Vec<AppliedVersion>, DriverError>
where
    C: Driver + AsyncConnection + 'static,
    AsyncConnectionWrapper<C>: Records,
{
    if !Handle::current().block_on(harness.has_table("__diesel_schema_migrations"))? {
        return Ok(Vec::new());
    }
    let versions = harness.versions(C::RUN_ON_AS_TEXT)?;
    let records =
        match Handle::current().block_on(harness.has_table("__registry_schema_migrations"))? {
            true => harness.records()?,
            false => Vec::new(),
        };
    let mut records: HashMap<_, _> =
        records.into_iter().map(|record| (record.version, (record.name, record.bind))).collect();
    let applied = versions.into_iter().map(|(version, run_on)| {
        let record = records.remove(&version);
        AppliedVersion { version, run_on, record }
    });
    Ok(applied.collect())
}
