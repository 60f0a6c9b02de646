//! An `AnyExecutor` that is made from a shared session of PostgreSQL.

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use futures_util::TryStreamExt;
use registry_core::{
    AnyExecutor, Error, Registry, RunQueryDsl, SaveChangesDsl, Session, bind, bind_tables, binds,
};

use crate::support::postgres;

diesel::table! { shared_words (id) { id -> Integer, word -> Text, } }
diesel::table! { hidden_words (id) { id -> Integer, word -> Text, } }
binds! {
    Shared: Postgres = "shared_words";
    Hidden: Postgres = "hidden_words";
}
bind_tables!(Shared; shared_words);
bind_tables!(Hidden; hidden_words);

#[bind(table)]
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, Identifiable, AsChangeset)]
#[diesel(table_name = shared_words, check_for_backend(diesel::pg::Pg))]
struct Word {
    id: i32,
    word: String,
}

async fn session(registry: &Registry) -> Session<Shared> {
    let mut session = registry.session::<Shared>().await.expect("a session");
    let create = "CREATE TABLE shared_words (id INTEGER PRIMARY KEY, word TEXT NOT NULL)";
    session.batch_execute(create).await.expect("an empty database");
    session
}

async fn insert(on: &mut AnyExecutor<'_, Shared>, id: i32) -> Result<Word, Error> {
    let word = Word { id, word: format!("word {id}") };
    diesel::insert_into(shared_words::table).values(&word).execute(&mut *on).await?;
    shared_words::table.find(id).select(Word::as_select()).first(on).await
}

#[tokio::test]
async fn functions_share_a_session_and_its_pipeline() -> Result<(), Error> {
    let url = postgres().database("shared");
    let registry = Registry::builder().bind("shared_words", url).build()?;
    let session = session(&registry).await;
    let (mut one, mut two) = (AnyExecutor::from(&session), AnyExecutor::from(&session));
    let (one, two) = tokio::try_join!(insert(&mut one, 1), insert(&mut two, 2))?;
    assert_eq!((one.id, two.id), (1, 2));

    let mut on = AnyExecutor::from(&session);
    let mut beside = AnyExecutor::from(&session);
    let changed = Word { word: "changed".to_owned(), ..one };
    let saved: Word = changed.save_changes(&mut on).await?;
    assert_eq!(saved, changed);
    let query = shared_words::table.select(shared_words::word).order(shared_words::id);
    let rows = query.load_stream::<String>(&mut on).await?;
    // Another query beside the open stream.
    let count: i64 = shared_words::table.count().get_result(&mut beside).await?;
    assert_eq!((rows.try_collect::<Vec<_>>().await?.len(), count), (2, 2));

    let error = insert(&mut on, 1).await.expect_err("it is there already");
    assert_eq!(error.to_string(), "bind `shared_words`: the query failed");
    let hidden = diesel::insert_into(shared_words::table).values(hidden_words::table);
    let Err(Error::Query(error)) = hidden.execute(&mut on).await else { panic!("hidden") };
    assert!(error.as_diesel().to_string().contains("`hidden_words`"), "{error:?}");

    // The transaction is the session's, so a lock is kept.
    let mut session = session;
    session
        .transaction(async |session| {
            let session: &Session<Shared> = session;
            let lock = shared_words::table.select(shared_words::id).for_update();
            let locked: Vec<i32> = lock.load(&mut AnyExecutor::from(session)).await?;
            assert_eq!(locked.len(), 2);
            let mut elsewhere = registry.session::<Shared>().await?;
            let free = shared_words::table.select(shared_words::id).for_update().skip_locked();
            assert!(free.load::<i32>(&mut elsewhere).await?.is_empty());
            Ok::<_, Error>(())
        })
        .await
}
