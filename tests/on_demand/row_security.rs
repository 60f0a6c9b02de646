//! Tenants in one table, kept apart by row-level security.

use diesel::prelude::*;
use registry_core::{BindSettings, Error, Registry, RunQueryDsl, UnitOfWork, bind_tables};

use crate::support::postgres;

diesel::table! {
    notes (id) {
        id -> Integer,
        tenant -> Text,
    }
}
bind_tables!(db = "notes", backend = Postgres; notes);

/// Creates the account of the program. It is no superuser, as policies do not apply to superusers.
const SETUP: &str = "DO $$ BEGIN CREATE ROLE clerk LOGIN PASSWORD 'sesame'; \
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; \
    CREATE TABLE notes (id SERIAL PRIMARY KEY, tenant TEXT NOT NULL); \
    INSERT INTO notes (tenant) VALUES ('acme'), ('globex'), ('globex'); \
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY; \
    CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant', true)); \
    GRANT ALL ON notes, notes_id_seq TO clerk";

fn registry() -> Registry {
    let url = postgres().database("rows");
    postgres().execute_in(&url, SETUP);
    let settings = BindSettings::new(url.replace("admin:", "clerk:"))
        .tenant_setting("app.tenant")
        .max_connections(1);
    Registry::builder().bind("notes", settings).build().expect("good settings")
}

async fn seen(work: &mut UnitOfWork) -> Vec<String> {
    notes::table.select(notes::tenant).order(notes::id).load(work).await.expect("rows")
}

#[tokio::test]
async fn unit_of_work_of_a_tenant_reads_and_writes_only_its_rows() {
    let registry = registry();
    for (name, rows) in [("acme", 1), ("globex", 2), ("initech", 0), ("acme", 1)] {
        let tenant = registry.tenant(name).expect("a good name");
        let seen = tenant.transaction(async |work| Ok::<_, Error>(seen(work).await)).await;
        assert_eq!(seen.expect("committed"), vec![name; rows]);
        let other = diesel::insert_into(notes::table).values(notes::tenant.eq("somebody else"));
        let refused = tenant.transaction(async |work| other.execute(work).await).await;
        let refused = refused.expect_err("a row of somebody else's");
        assert!(refused.to_string().contains(name), "{refused}");
    }
}

#[tokio::test]
async fn tenant_setting_ends_with_its_unit_of_work() {
    let registry = registry();
    let acme = registry.tenant("acme").expect("a good name");
    for how in 0..3 {
        let mut work = acme.begin();
        assert_eq!(seen(&mut work).await, ["acme"]);
        match how {
            0 => drop(work.commit().await.expect("committed")),
            1 => work.rollback().await.expect("rolled back"),
            _ => drop(work),
        }
        // The same connection without a tenant, inside a unit of work and outside.
        let mut work = registry.begin();
        assert_eq!(seen(&mut work).await, [""; 0]);
        drop(work);
        let all = notes::table.select(notes::tenant);
        assert_eq!(all.load::<String>(&registry).await.expect("rows"), [""; 0]);
        assert_eq!(all.load::<String>(&acme).await.expect("rows"), [""; 0], "in no unit of work");
    }
}

#[tokio::test]
async fn rolled_back_savepoint_keeps_the_tenant() {
    let registry = registry();
    let mut work = registry.tenant("globex").expect("a good name").begin();
    let undone = work.savepoint(async |work| {
        assert_eq!(seen(work).await.len(), 2);
        Err::<(), Error>(diesel::result::Error::RollbackTransaction.into())
    });
    undone.await.expect_err("undone");
    assert_eq!(seen(&mut work).await.len(), 2);
}
