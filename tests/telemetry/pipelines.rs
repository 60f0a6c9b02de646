//! Several queries at once on one session of PostgreSQL.

use std::pin::pin;

use diesel::prelude::*;
use diesel_async::SimpleAsyncConnection;
use futures_util::poll;
use registry_core::{BindDsl, BindSettings, Registry, RunQueryDsl, SqlTags, bind_tables};
use tokio::join;

use crate::support::{postgres, run_sql};

diesel::table! { things (id) { id -> Integer, } }
bind_tables!(db = "main", connection = registry_core::Postgres; things);

type Main = <things::table as registry_core::Bound>::Bind;

async fn registry(url: &str) -> Registry {
    let bind = BindSettings::new(url).max_connections(1);
    let tags = SqlTags::new().route(true);
    let registry = Registry::builder().bind("main", bind).sql_tags(tags).record_queries(true);
    let registry = registry.build().expect("good settings");
    run_sql::<Main>(&registry, "CREATE TABLE things (id INTEGER PRIMARY KEY)").await;
    registry
}

#[tokio::test]
async fn each_query_of_a_pipeline_is_told_for_itself() {
    let server = postgres();
    for url in [server.database("told"), server.by_socket(&server.database("told"))] {
        let registry = registry(&url).await;
        let session = registry.session::<Main>().await.expect("a session");
        let (one, two) = (registry.new_scope(), registry.new_scope());
        let insert = |id: i32| diesel::insert_into(things::table).values(things::id.eq(id));
        let bare = async {
            let mut bare = &*session;
            bare.batch_execute("SELECT 7").await
        };
        let (inserted, failed, counted, bare) = join!(
            one.enter(insert(1).execute(&session)),
            two.enter(insert(1).execute(&session)),
            one.enter(things::table.count().get_result::<i64>(&session)),
            two.enter(bare),
        );
        inserted.expect("a row");
        failed.expect_err("it is there");
        assert_eq!(counted.expect("a count"), 1);
        bare.expect("an answer");
        let told = |scope: &registry_core::Scope| {
            let mut told: Vec<_> = scope
                .queries()
                .iter()
                .map(|it| {
                    (
                        it.operation.as_deref().unwrap_or("?").to_owned(),
                        it.rows,
                        it.error,
                        it.place.is_some(),
                    )
                })
                .collect();
            told.sort();
            told
        };
        assert_eq!(
            told(&one),
            [("INSERT".into(), Some(1), None, true), ("SELECT".into(), Some(1), None, true)]
        );
        assert_eq!(
            told(&two),
            [
                ("INSERT".into(), None, Some("unique_violation"), true),
                ("SELECT".into(), None, None, false)
            ]
        );

        // One is dropped while two others go on.
        let three = registry.new_scope();
        three
            .enter(async {
                let slow = diesel::sql_query("SELECT pg_sleep(0.05)").bound_to::<Main>();
                let mut dropped = Box::pin(slow.execute(&session));
                let mut after = pin!(things::table.count().get_result::<i64>(&session));
                assert!(poll!(&mut dropped).is_pending());
                assert!(poll!(&mut after).is_pending());
                drop(dropped);
                assert_eq!(after.await.expect("a count"), 1);
            })
            .await;
        let queries = three.queries();
        assert_eq!(queries.len(), 2, "{queries}");
        assert_eq!((queries[0].error, queries[1].error), (Some("cancelled"), None), "{queries}");
        drop(session);
        let before = registry.queries().total();
        things::table.count().get_result::<i64>(&registry).await.expect("a count");
        assert_eq!(registry.queries().total(), before + 1);
    }
}

#[tokio::test]
async fn unit_of_work_and_isolation_by_socket_add_no_queries() {
    let server = postgres();
    let registry = registry(&server.by_socket(&server.database("marks"))).await;
    for isolated in [false, true] {
        let registry = if isolated {
            registry.test_isolation().await.expect("an isolation")
        } else {
            registry.clone()
        };
        let scope = registry.new_scope();
        scope
            .enter(async {
                let mut work = registry.begin();
                diesel::insert_into(things::table)
                    .values(things::id.eq(1))
                    .execute(&mut work)
                    .await
                    .expect("a row");
                work.rollback().await.expect("it rolls back");
                let mut session = registry.session::<Main>().await.expect("a session");
                session
                    .transaction(async |session| {
                        diesel::insert_into(things::table)
                            .values(things::id.eq(2 + i32::from(isolated)))
                            .execute(session)
                            .await
                    })
                    .await
                    .expect("a row");
                drop(session);
            })
            .await;
        assert_eq!(scope.queries().len(), 2, "isolated: {isolated}\n{}", scope.queries());
    }
}

/// A statement that was prepared with the tags of one scope is never sent for another one, also if both are under way on one
/// connection.
#[tokio::test]
async fn tags_of_a_pipeline_are_each_scopes_own() {
    let url = postgres().database("routes");
    let registry = registry(&url).await;
    let session = registry.session::<Main>().await.expect("a session");
    let own = |route: &'static str| {
        let (registry, session) = (&registry, &session);
        async move {
            let scope = registry.new_scope();
            scope.set_tag("route", route);
            for _ in 0..20 {
                let query = diesel::dsl::sql::<diesel::sql_types::Text>("current_query()");
                let text: String = scope
                    .enter(diesel::select(query).bound_to::<Main>().get_result(session))
                    .await
                    .expect("a text");
                assert!(text.ends_with(&format!("/*route='{route}'*/")), "{text}");
            }
        }
    };
    join!(own("a"), own("b"), own("c"));
}
