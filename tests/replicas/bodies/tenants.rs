//! Readers of tenants, whose databases are on the same servers.

use diesel_async::SimpleAsyncConnection;
use registry_core::{BindDsl, BindSettings, Registry, RunQueryDsl, Tenant, Token, bind_tables};
use tokio::task::block_in_place;

use super::rig::{Seen, seen};
use super::{Backend, Cluster, cluster};

diesel::table! {
    invoices (id) {
        id -> BigInt,
    }
}
bind_tables!(db = "crm", connection = Backend; invoices);

type Crm = <invoices::table as registry_core::Bound>::Bind;

const NAMES: [&str; 2] = ["acme", "globex"];

async fn write(tenant: &Tenant, id: i64) -> Token {
    let mut work = tenant.begin();
    diesel::insert_into(invoices::table)
        .values(diesel::ExpressionMethods::eq(invoices::id, id))
        .execute(&mut work)
        .await
        .expect("the primary takes it");
    work.commit().await.expect("the primary takes it").token()
}

async fn read(reader: &registry_core::Reader, id: i64) -> Seen {
    let query = diesel::select(seen("invoices", id)).reads::<invoices::table>();
    crate::support::proxy::soon(query.get_result(reader)).await.expect("a server answers")
}

fn real_port(cluster: &Cluster, number: usize) -> String {
    cluster.node(number).server().port().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_of_a_tenant_reads_from_replicas_and_never_stale_after_its_token() {
    let cluster = block_in_place(|| cluster(1)).proxied().await;
    let url = block_in_place(|| cluster.tenants(NAMES));
    let settings = BindSettings::new(url.as_str())
        .max_lag(None)
        .probe_interval(std::time::Duration::from_millis(20))
        .replica(cluster.node(1).at(&url));
    let registry = Registry::builder().bind("crm", settings).build().expect("good settings");
    let tenants = NAMES.map(|name| registry.tenant(name).expect("a good name"));
    for tenant in &tenants {
        let mut session = tenant.session::<Crm>().await.expect("a session");
        let create = "CREATE TABLE invoices (id BIGINT NOT NULL PRIMARY KEY)";
        session.batch_execute(create).await.expect("a table");
    }
    block_in_place(|| cluster.wait_until_caught_up());
    let (primary, replica) = (real_port(&cluster, 0), real_port(&cluster, 1));
    for tenant in &tenants {
        let reader = tenant.reader();
        while read(&reader, 0).await.port != replica {
            tokio::task::yield_now().await;
        }
    }
    let shown = registry.status().to_string();
    for name in NAMES {
        let counted = format!("reads of `crm {name}`: ");
        let listed = format!("crm {name}");
        assert!(shown.contains(&counted), "{shown}");
        assert!(shown.lines().filter(|line| line.starts_with(&listed)).count() == 2, "{shown}");
    }
    block_in_place(|| cluster.node(1).pause_replay());
    let [acme, globex] = &tenants;
    scope_reads_what_its_tenant_has_written(&registry, &tenants, &primary, &replica).await;
    let token = write(acme, 1).await;
    assert_eq!(read(&acme.reader(), 1).await, Seen { port: replica.clone(), found: 0 });
    let after = acme.reader().after(&token);
    assert_eq!(read(&after, 1).await, Seen { port: primary.clone(), found: 1 });
    let both = globex.reader().after(&token.merged(&write(globex, 2).await));
    assert_eq!(read(&both, 2).await, Seen { port: primary.clone(), found: 1 });
    assert_eq!(read(&both, 1).await.found, 0, "that is the other tenant's");
    block_in_place(|| cluster.node(1).resume_replay());
    while read(&after, 1).await.port != replica {
        tokio::task::yield_now().await;
    }
    assert_eq!(read(&after, 1).await, Seen { port: replica.clone(), found: 1 });
}

/// A session and a unit of work of a tenant, from before the scope.
async fn scope_reads_what_its_tenant_has_written(
    registry: &Registry,
    [acme, globex]: &[Tenant; 2],
    primary: &str,
    replica: &str,
) {
    let seen = |port: &str, found| Seen { port: port.to_owned(), found };
    let insert = |id: i64| {
        let id = diesel::ExpressionMethods::eq(invoices::id, id);
        diesel::insert_into(invoices::table).values(id)
    };
    let mut session = acme.session::<Crm>().await.expect("a session");
    let mut work = globex.begin();
    insert(11).execute(&mut work).await.expect("the primary takes it");
    registry
        .scope(async {
            insert(10).execute(&mut session).await.expect("the primary takes it");
            assert_eq!(read(&acme.reader(), 10).await, seen(primary, 1));
            assert_eq!(read(&globex.reader(), 10).await, seen(replica, 0), "of another tenant");
            work.commit().await.expect("the primary takes it");
            assert_eq!(read(&globex.reader(), 11).await, seen(primary, 1));
        })
        .await;
}
