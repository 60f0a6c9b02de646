//! Code that is generic over models, queries and executors.

use std::future::Future;

use diesel::associations::HasTable;
use diesel::dsl::{Find, delete, insert_into};
use diesel::query_builder::{InsertStatement, IntoUpdateTarget};
use diesel::query_dsl::methods;
use registry_core::OptionalExtension;
use registry_core::query::{CommandOf, QueryOf, Runs};

use super::*;

/// What every model can do, on every executor.
trait Crud: Bound + Sized {
    fn all<E: Runs<Self::Bind>>(on: E) -> impl Future<Output = Result<Vec<Self>, E::Error>> + Send;

    fn find<E: Runs<Self::Bind>>(
        on: E,
        id: i32,
    ) -> impl Future<Output = Result<Self, E::Error>> + Send;

    fn insert<E: Runs<Self::Bind>>(
        self,
        on: E,
    ) -> impl Future<Output = Result<(), E::Error>> + Send;

    fn delete<E: Runs<Self::Bind>>(
        on: E,
        id: i32,
    ) -> impl Future<Output = Result<bool, E::Error>> + Send;
}

impl<M> Crud for M
where
    M: Bound
        + HasTable<Table: methods::FindDsl<i32, Output: IntoUpdateTarget>>
        + Insertable<M::Table>
        + Send,
    M::Table: QueryOf<M::Bind, M>,
    Find<M::Table, i32>: QueryOf<M::Bind, M>,
    delete<Find<M::Table, i32>>: CommandOf<M::Bind>,
    InsertStatement<M::Table, M::Values>: CommandOf<M::Bind>,
{
    async fn all<E: Runs<M::Bind>>(on: E) -> Result<Vec<M>, E::Error> {
        M::table().load_on(on).await
    }

    async fn find<E: Runs<M::Bind>>(on: E, id: i32) -> Result<M, E::Error> {
        M::table().find(id).get_result_on(on).await
    }

    async fn insert<E: Runs<M::Bind>>(self, on: E) -> Result<(), E::Error> {
        insert_into(M::table()).values(self).execute_on(on).await?;
        Ok(())
    }

    async fn delete<E: Runs<M::Bind>>(on: E, id: i32) -> Result<bool, E::Error> {
        Ok(delete(M::table().find(id)).execute_on(on).await? == 1)
    }
}

/// Generic over the model, with one type of executor.
async fn replace<M: Crud + Send>(
    on: &mut AnyExecutor<'_, M::Bind>,
    id: i32,
    with: M,
) -> Result<Option<M>, Error> {
    let old = M::find(&mut *on, id).await.optional()?;
    if M::delete(&mut *on, id).await? {
        with.insert(on).await?;
    }
    Ok(old)
}

#[tokio::test]
async fn a_crud_trait_runs_on_every_executor() -> Result<(), Error> {
    let registry = registry().await;
    // Each model in its own database.
    order(1, 7).insert(&registry).await?;
    Person { id: 1, name: "Ada".to_owned() }.insert(&registry).await?;
    assert_eq!(Order::all(&registry).await?, [order(1, 7)]);
    assert_eq!(Person::all(&registry).await?, [Person { id: 1, name: "Ada".to_owned() }]);
    assert_eq!(Order::find(&registry, 1).await?, order(1, 7));
    assert_eq!(Order::find(&registry, 2).await.optional()?, None);

    let mut session = registry.session_for::<Order>().await?;
    order(2, 7).insert(&mut session).await?;
    let missing: QueryResult<Order> = Order::find(&mut session, 3).await;
    assert_eq!(missing, Err(diesel::result::Error::NotFound));
    let mut on = AnyExecutor::from(&mut session);
    assert_eq!(replace(&mut on, 2, order(2, 8)).await?, Some(order(2, 7)));
    assert_eq!(replace(&mut on, 3, order(3, 8)).await?, None);
    drop(session);

    let mut work = registry.begin();
    assert!(Order::delete(&mut work, 1).await?);
    assert!(!Order::delete(&mut work, 1).await?);
    assert_eq!(Order::all(&mut AnyExecutor::from(&mut work)).await?, [order(2, 8)]);
    work.commit().await?;
    assert_eq!(ids(&registry).await, [2]);
    let task = tokio::spawn(async move { Person::all(&registry).await });
    assert_eq!(task.await.expect("no panic")?.len(), 1);
    Ok(())
}

/// Generic over the executor alone, with a selection and a query that is named with `bound_to`.
async fn customers<E: Runs<Shop> + Copy>(on: E) -> Result<(Vec<i32>, Vec<Order>), E::Error> {
    let customers = orders::table.select(orders::customer).order(orders::id).load_on(on).await?;
    let all = orders::table
        .select(Order::as_select())
        .filter(orders::id.gt(1))
        .union(orders::table.select(Order::as_select()).filter(orders::id.le(1)))
        .bound_to::<Shop>();
    Ok((customers, all.load_on(on).await?))
}

#[tokio::test]
async fn a_function_is_generic_over_its_executor() -> Result<(), Error> {
    let registry = registry().await;
    order(1, 7).insert(&registry).await?;
    let tenant = registry.tenant("acme")?;
    for (customers, all) in [customers(&registry).await?, customers(&tenant).await?] {
        assert_eq!((customers, all), (vec![7], vec![order(1, 7)]));
    }
    Ok(())
}

#[tokio::test]
async fn queries_of_generic_code_are_checked_before_sending() -> Result<(), Error> {
    let registry = registry().await;
    let hidden = || {
        orders::table
            .select((orders::id, contacts::table.select(contacts::id).single_value()))
            .into_boxed::<Db>()
    };
    let on_registry = hidden().load_on(&registry).await;
    let _: &Result<Vec<(i32, Option<i32>)>, _> = &on_registry;
    let said = "a query for bind `shop` has the table `contacts`, which belongs to bind `crm`";
    match on_registry.expect_err("another database") {
        Error::Query(error) => assert_eq!(error.as_diesel().to_string(), said),
        error => panic!("{error:?}"),
    }
    let mut session = registry.session::<Shop>().await?;
    let on_session: QueryResult<(i32, Option<i32>)> = hidden().get_result_on(&mut session).await;
    assert_eq!(on_session.expect_err("another database").to_string(), said);
    Ok(())
}
