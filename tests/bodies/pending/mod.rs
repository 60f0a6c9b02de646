//! Tenants on which migrations are pending, which the registry's builder was told, on each backend, and with a schema for
//! each tenant.

use diesel::prelude::*;
use registry_core::{
    AcquireError, BindSettings, Error, Registry, RunQueryDsl, Tenant, WhenPending, bind_tables,
};

use held::Held;

use super::{NAME, tenant_settings};
use crate::support::steps::{Step, Steps, step};

mod doors;
mod held;
mod opened_again;
mod refused;
mod run_first;

diesel::table! {
    invoices (id) {
        id -> Integer,
    }
}
bind_tables!(db = "crm", connection = super::Backend; invoices);

type Crm = <invoices::table as registry_core::Bound>::Bind;

const CREATE: Step =
    step("20260101000000_invoices", "CREATE TABLE invoices (id INTEGER PRIMARY KEY NOT NULL)");
const FILL: Step = step("20260201000000_fill", "INSERT INTO invoices VALUES (1)");

fn steps() -> Steps {
    Steps(vec![CREATE, FILL])
}

/// The settings of a bind with these tenants, and what is done with pending migrations.
fn settings(names: &[&str], when_pending: WhenPending) -> BindSettings {
    tenant_settings(names.iter().copied()).when_pending(when_pending)
}

/// A registry that knows `steps`.
fn registry(settings: BindSettings) -> Registry {
    let builder = Registry::builder().bind("crm", settings).migrations::<Crm>(steps());
    builder.build().expect("good settings")
}

fn tenant(registry: &Registry, name: &str) -> Tenant {
    registry.tenant(name).expect("a good name")
}

async fn rows(tenant: &Tenant) -> Result<i64, Error> {
    invoices::table.count().get_result(tenant).await
}

/// The names of the migrations for which a tenant is refused.
fn pending(error: AcquireError) -> Vec<String> {
    match error {
        AcquireError::PendingMigrations { key, migrations, .. } if key == "crm" => migrations,
        error => panic!("{error:?}"),
    }
}

fn pending_of(error: Error) -> Vec<String> {
    match error {
        Error::Acquire(error) => pending(error),
        error => panic!("{error:?}"),
    }
}
