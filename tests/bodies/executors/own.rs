//! Executors that a program writes itself.

use std::panic::Location;
use std::sync::Mutex;

use registry_core::Session;
use registry_core::query::{HiddenTable, IntoExecutor, QueryCall};

use super::*;

/// Notes each query of a registry.
struct Noting {
    registry: Registry,
    noted: Mutex<Vec<(Option<&'static str>, &'static Location<'static>)>>,
}

impl Noting {
    fn of(registry: Registry) -> Self {
        Self { registry, noted: Mutex::default() }
    }

    fn keys(&self) -> Vec<&'static str> {
        self.noted.lock().expect("no panic").iter().filter_map(|(key, _)| *key).collect()
    }
}

impl<'r> IntoExecutor for &'r Noting {
    type Executor = &'r Registry;

    fn into_executor(self, call: QueryCall) -> &'r Registry {
        self.noted.lock().expect("no panic").push((call.key(), call.place()));
        &self.registry
    }
}

#[tokio::test]
async fn an_executor_notes_the_queries_of_all_binds() -> Result<(), Error> {
    let noting = Noting::of(registry().await);
    let line = line!() + 1;
    diesel::insert_into(orders::table).values(order(1, 1)).execute(&noting).await?;
    let contacts: Vec<Person> = contacts::table.load(&noting).await?;
    assert!(contacts.is_empty());
    let raw = diesel::sql_query("DELETE FROM orders").bound_to::<Shop>().execute(&noting).await?;
    assert_eq!(raw, 1);
    assert_eq!(noting.keys(), ["shop", "crm", "shop"]);
    let place = noting.noted.lock().expect("no panic")[0].1;
    assert_eq!((place.file(), place.line()), (file!(), line));

    // Refused at run time, as on the registry.
    let copied = contacts::table.select((contacts::id, contacts::id));
    let failed = diesel::insert_into(orders::table)
        .values(copied)
        .into_columns((orders::id, orders::customer))
        .execute(&noting)
        .await;
    let Err(Error::Query(error)) = failed else { panic!("another database") };
    let diesel::result::Error::QueryBuilderError(cause) = error.as_diesel() else {
        panic!("{error:?}")
    };
    assert!(cause.is::<HiddenTable>(), "{cause:?}");
    Ok(())
}

/// Counts the queries of a session.
struct Counted<'s> {
    session: &'s mut Session<Shop>,
    count: usize,
}

impl<'r> IntoExecutor for &'r mut Counted<'_> {
    type Executor = &'r mut Session<Shop>;

    fn into_executor(self, _: QueryCall) -> &'r mut Session<Shop> {
        self.count += 1;
        self.session
    }
}

#[tokio::test]
async fn an_executor_on_a_session_has_its_error_and_its_transaction() -> Result<(), Error> {
    let registry = registry().await;
    let mut session = registry.session::<Shop>().await?;
    let undone: QueryResult<()> = session
        .transaction(async |session| {
            let mut counted = Counted { session, count: 0 };
            diesel::insert_into(orders::table).values(order(1, 1)).execute(&mut counted).await?;
            let there: i64 = orders::table.count().get_result(&mut counted).await?;
            assert_eq!((there, counted.count), (1, 2));
            Err(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert_eq!(undone, Err(diesel::result::Error::RollbackTransaction));
    drop(session);
    assert!(ids(&registry).await.is_empty());
    Ok(())
}

/// Runs its queries on whatever it is made from.
struct Labelled<'a> {
    on: AnyExecutor<'a, Shop>,
    label: &'static str,
}

impl<'r> IntoExecutor for &'r mut Labelled<'_> {
    type Executor = AnyExecutor<'r, Shop>;

    fn into_executor(self, call: QueryCall) -> AnyExecutor<'r, Shop> {
        assert_eq!((self.label, call.key()), ("label", Some("shop")));
        self.on.reborrow()
    }
}

#[tokio::test]
async fn an_executor_on_any_executor_runs_its_queries() -> Result<(), Error> {
    let registry = registry().await;
    let mut work = registry.begin();
    let mut labelled = Labelled { on: (&mut work).into(), label: "label" };
    diesel::insert_into(orders::table).values(order(1, 1)).execute(&mut labelled).await?;
    work.commit().await?;
    let mut labelled = Labelled { on: (&registry).into(), label: "label" };
    let ids: Vec<i32> = orders::table.select(orders::id).load(&mut labelled).await?;
    assert_eq!(ids, [1]);
    Ok(())
}
