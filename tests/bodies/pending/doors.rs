//! Every way to the database of a tenant leads through the gate.

use registry_core::{AnyExecutor, CurrentWork, Scope};

use super::*;

async fn through_any(mut on: AnyExecutor<'_, Crm>) -> Result<i64, Error> {
    invoices::table.count().get_result(&mut on).await
}

/// Asks for the number of rows through each door, and names the door.
async fn through_every_door(tenant: &Tenant) -> Vec<(&'static str, Result<i64, Error>)> {
    let count = || invoices::table.count();
    let session = async {
        let mut session = tenant.session::<Crm>().await?;
        Ok::<i64, Error>(count().get_result(&mut session).await?)
    };
    let session_for = async {
        let mut session = tenant.session_for::<invoices::table>().await?;
        Ok::<i64, Error>(count().get_result(&mut session).await?)
    };
    let connection = async {
        let session = tenant.session::<Crm>().await?;
        let mut connection = session.into_inner().expect("a connection of its own");
        Ok::<i64, Error>(count().get_result(&mut connection).await?)
    };
    let begun = async {
        let mut work = tenant.begin();
        let count = count().get_result(&mut work).await?;
        work.commit().await?;
        Ok::<i64, Error>(count)
    };
    let transaction =
        tenant.transaction(async |work| invoices::table.count().get_result::<i64>(work).await);
    let scope = tenant.scope(async {
        let mut work: CurrentWork = Scope::current()?.work().await?;
        count().get_result::<i64>(&mut *work).await
    });
    let reader = tenant.reader();
    let read_session = async {
        let mut session = reader.session::<Crm>().await?;
        Ok::<i64, Error>(count().get_result(&mut session).await?)
    };
    vec![
        ("a query", count().get_result(tenant).await),
        ("a query, owned", count().get_result(tenant.clone()).await),
        ("a session", session.await),
        ("a session of a table", session_for.await),
        ("a connection taken out", connection.await),
        ("any executor", through_any(tenant.into()).await),
        ("any executor on a reader", through_any((&reader).into()).await),
        ("a query of a reader", count().get_result(&reader).await),
        ("a session of a reader", read_session.await),
        ("a unit of work", begun.await),
        ("a transaction", transaction.await),
        ("a scope", scope.await),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_is_closed_until_the_migrations_were_run_in_this_process() {
    let registry = registry(settings(&["acme", "globex"], WhenPending::Fail));
    let acme = tenant(&registry, "acme");
    for (door, result) in through_every_door(&acme).await {
        match result {
            Err(error) => {
                assert_eq!(pending_of(error), [CREATE.name, FILL.name], "{door}");
            }
            Ok(rows) => panic!("{door}: {rows} rows"),
        }
    }
    let token = acme.token::<Crm>().await;
    assert_eq!(pending(token.unwrap_err()), [CREATE.name, FILL.name]);

    acme.migrate::<Crm>(steps()).await.expect("migrations go around the gate");
    for (door, result) in through_every_door(&acme).await {
        assert_eq!(result.unwrap_or_else(|error| panic!("{door}: {error}")), 1, "{door}");
    }
    acme.token::<Crm>().await.expect("a token");
    let globex = rows(&tenant(&registry, "globex")).await;
    assert_eq!(pending_of(globex.unwrap_err()).len(), 2, "a tenant says nothing of another");
}
