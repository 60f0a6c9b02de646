//! `AnyExecutor`.

use std::error::Error as _;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use registry_core::{SaveChangesDsl, UnitOfWork};

use super::*;

async fn orders_of(on: &mut AnyExecutor<'_, Shop>, customer: i32) -> Result<Vec<Order>, Error> {
    orders::table
        .filter(orders::customer.eq(customer))
        .order(orders::id)
        .select(Order::as_select())
        .load(on)
        .await
}

async fn insert(on: &mut AnyExecutor<'_, Shop>, order: &Order) -> Result<(), Error> {
    diesel::insert_into(orders::table).values(order).execute(on).await?;
    Ok(())
}

/// Runs queries of every kind on the same executor, and calls other functions with it.
async fn exercise(on: &mut AnyExecutor<'_, Shop>, first: i32) -> Result<(), Error> {
    let customer = first;
    let rows = [order(first, customer), order(first + 1, customer), order(first + 2, customer)];
    // On SQLite, this is one statement for each row.
    let inserted =
        diesel::insert_into(orders::table).values(&rows[..2].to_vec()).execute(&mut *on).await?;
    assert_eq!(inserted, 2);
    insert(on, &rows[2]).await?;
    assert_eq!(orders_of(on, customer).await?, rows);

    let all = || orders::table.filter(orders::customer.eq(customer));
    let own = || all().order(orders::id.desc());
    let newest: Order = own().first(on.reborrow()).await?;
    assert_eq!(newest, rows[2]);
    let count: i64 = all().count().get_result(on.reborrow()).await?;
    assert_eq!(count, 3);
    let mut streamed = own().select(orders::id).load_stream::<i32>(&mut *on).await?;
    let mut seen = Vec::new();
    while let Some(id) = streamed.try_next().await? {
        seen.push(id);
    }
    drop(streamed);
    assert_eq!(seen, [first + 2, first + 1, first]);

    let changed = Order { note: Some("gift".to_owned()), ..rows[0].clone() };
    let saved: Order = changed.save_changes(&mut *on).await?;
    assert_eq!(saved, changed);
    let deleted = diesel::delete(orders::table.find(first + 1)).execute(&mut *on).await?;
    assert_eq!(deleted, 1);
    assert_eq!(orders_of(on, customer).await?, [changed, rows[2].clone()]);

    // The bind is known, so raw SQL needs none.
    let raw = format!("DELETE FROM orders WHERE id = {}", first + 2);
    assert_eq!(diesel::sql_query(raw).execute(&mut *on).await?, 1);
    let boxed = own().select(orders::id).into_boxed::<Db>();
    assert_eq!(boxed.load::<i32>(on).await?, [first]);
    Ok(())
}

#[tokio::test]
async fn every_kind_of_query_runs_on_every_kind_of_executor() -> Result<(), Error> {
    let registry = registry().await;
    exercise(&mut (&registry).into(), 10).await?;
    let tenant = registry.tenant("acme")?;
    exercise(&mut (&tenant).into(), 20).await?;
    let mut session = registry.session::<Shop>().await?;
    exercise(&mut (&mut session).into(), 30).await?;
    // The session is free again afterwards.
    assert_eq!(orders::table.count().get_result::<i64>(&mut session).await?, 3);
    drop(session);
    let mut work = registry.begin();
    exercise(&mut (&mut work).into(), 40).await?;
    work.commit().await?;
    registry
        .scope(async {
            let mut work = UnitOfWork::current().await?;
            exercise(&mut (&mut work).into(), 50).await?;
            drop(work);
            registry_core::Scope::current()?.commit().await
        })
        .await?;
    assert_eq!(ids(&registry).await, [10, 20, 30, 40, 50]);
    Ok(())
}

#[tokio::test]
async fn an_executor_by_value_and_one_made_from_another_are_executors() -> Result<(), Error> {
    async fn add(on: impl Into<AnyExecutor<'_, Shop>>, id: i32) -> Result<i64, Error> {
        let mut on = on.into();
        insert(&mut on, &order(id, 1)).await?;
        orders::table.count().get_result(on).await
    }

    async fn add_two(on: impl Into<AnyExecutor<'_, Shop>>, id: i32) -> Result<i64, Error> {
        let mut on = on.into();
        add(&mut on, id).await?;
        add(&mut on, id + 1).await
    }

    let registry = registry().await;
    assert_eq!(add_two(&registry, 1).await?, 2);
    let mut session = registry.session::<Shop>().await?;
    assert_eq!(add_two(&mut session, 3).await?, 4);
    drop(session);
    let mut work = registry.begin();
    assert_eq!(add_two(&mut work, 5).await?, 6);
    work.rollback().await?;
    assert_eq!(ids(&registry).await, [1, 2, 3, 4]);
    Ok(())
}

/// What a transaction, a savepoint and a unit of work promise does not depend on the executor that is put around them.
#[tokio::test]
async fn queries_belong_to_the_transaction_that_the_executor_was_made_from() -> Result<(), Error> {
    let registry = registry().await;
    let mut session = registry.session::<Shop>().await?;
    let undone = session
        .transaction(async |session| {
            insert(&mut session.into(), &order(1, 1)).await?;
            Err::<(), _>(Error::from(diesel::result::Error::RollbackTransaction))
        })
        .await;
    assert!(undone.is_err());
    drop(session);

    let mut work = registry.begin();
    insert(&mut (&mut work).into(), &order(2, 1)).await?;
    let undone = work
        .savepoint(async |work| {
            insert(&mut (&mut *work).into(), &order(3, 1)).await?;
            // Two orders with one id.
            insert(&mut work.into(), &order(3, 1)).await
        })
        .await
        .expect_err("the id is there twice");
    assert!(
        matches!(undone.database_kind(), Some(diesel::result::DatabaseErrorKind::UniqueViolation)),
        "{undone:?}"
    );
    insert(&mut (&mut work).into(), &order(4, 1)).await?;
    work.commit().await?;
    assert_eq!(ids(&registry).await, [2, 4]);
    Ok(())
}

#[tokio::test]
async fn the_error_names_the_bind_even_on_a_session() -> Result<(), Error> {
    let registry = registry().await;
    insert(&mut (&registry).into(), &order(1, 1)).await?;
    let mut session = registry.session::<Shop>().await?;
    let on_session = insert(&mut (&mut session).into(), &order(1, 1)).await;
    drop(session);
    let on_registry = insert(&mut (&registry).into(), &order(1, 1)).await;
    let mut work = registry.begin();
    let in_work = insert(&mut (&mut work).into(), &order(1, 1)).await;
    for failed in [on_session, on_registry, in_work] {
        let error = failed.expect_err("it is there already");
        assert_eq!(error.to_string(), "bind `shop`: the query failed");
        assert!(error.source().is_some());
        let kind = error.database_kind();
        assert!(
            matches!(kind, Some(diesel::result::DatabaseErrorKind::UniqueViolation)),
            "{error:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn tables_of_another_bind_are_refused_before_sending() -> Result<(), Error> {
    async fn copy(on: &mut AnyExecutor<'_, Shop>) -> String {
        let copied = contacts::table.select((contacts::id, contacts::id));
        let failed = diesel::insert_into(orders::table)
            .values(copied)
            .into_columns((orders::id, orders::customer))
            .execute(&mut *on)
            .await;
        // The executor can be used again.
        orders_of(on, 1).await.expect("rows");
        match failed.expect_err("another database") {
            Error::Query(error) => error.as_diesel().to_string(),
            error => panic!("{error:?}"),
        }
    }

    let said = "a query for bind `shop` has the table `contacts`, which belongs to bind `crm`";
    let registry = registry().await;
    assert_eq!(copy(&mut (&registry).into()).await, said);
    let mut session = registry.session::<Shop>().await?;
    assert_eq!(copy(&mut (&mut session).into()).await, said);
    drop(session);
    let mut work = registry.begin();
    assert_eq!(copy(&mut (&mut work).into()).await, said);
    Ok(())
}

#[async_trait]
trait Repository: Send + Sync {
    async fn add(&self, on: &mut AnyExecutor<'_, Shop>, order: Order) -> Result<(), Error>;

    async fn of(&self, on: &mut AnyExecutor<'_, Shop>, customer: i32) -> Result<usize, Error>;
}

struct InDatabase;

#[async_trait]
impl Repository for InDatabase {
    async fn add(&self, on: &mut AnyExecutor<'_, Shop>, order: Order) -> Result<(), Error> {
        diesel::insert_into(orders::table).values(order).execute(&mut *on).await?;
        Ok(())
    }

    async fn of(&self, on: &mut AnyExecutor<'_, Shop>, customer: i32) -> Result<usize, Error> {
        Ok(orders_of(on, customer).await?.len())
    }
}

#[tokio::test]
async fn repositories_are_trait_objects_and_their_futures_are_send() -> Result<(), Error> {
    let registry = registry().await;
    let repository: Arc<dyn Repository> = Arc::new(InDatabase);
    let task = tokio::spawn({
        let registry = registry.clone();
        async move {
            let mut on = AnyExecutor::from(&registry);
            repository.add(&mut on, order(1, 7)).await?;
            let mut work = registry.begin();
            let mut on = AnyExecutor::from(&mut work);
            repository.add(&mut on, order(2, 7)).await?;
            assert_eq!(repository.of(&mut on, 7).await?, 2);
            work.rollback().await?;
            let mut session = registry.session::<Shop>().await?;
            repository.of(&mut (&mut session).into(), 7).await
        }
    });
    assert_eq!(task.await.expect("no panic")?, 1);
    Ok(())
}
