//! What is told of queries on replicas, and of what is asked for their sake.

use registry_core::Role;
use tokio::task::block_in_place;

use super::rig::{Main, Rig, read, read_on, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_for_positions_are_nobodys_queries() {
    let rig = Rig::with(1, |bind| bind.max_lag(None)).await;
    let scope = rig.registry.new_scope();
    scope
        .enter(async {
            let token = write(&rig.registry, 1).await.expect("the primary takes it");
            let _ = read(&rig.reader().after(&token), 1).await.expect("a row");
            let mut session = rig.reader().session::<Main>().await.expect("a session");
            read_on(&mut session, 1).await.expect("a row");
            let _ = scope.token().await;
        })
        .await;
    let queries = scope.queries();
    assert_eq!(queries.len(), 3, "{queries}");
    assert!(queries.iter().all(|query| query.place.is_some()), "{queries}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_has_the_role_of_the_server_that_has_answered() {
    let rig =
        Rig::with(1, |bind| bind.max_lag(None).probe_interval(std::time::Duration::from_secs(60)))
            .await;
    let (primary, replica) = (rig.real_port(0), rig.real_port(1));
    let told = async || {
        let scope = rig.registry.new_scope();
        let port = scope.enter(read(&rig.reader(), 0)).await.expect("a server answers").port;
        let queries = scope.queries();
        assert_eq!(
            (queries.len(), queries[0].rows, queries[0].error),
            (1, Some(1), None),
            "{queries}"
        );
        let expected = if port == primary { Role::Primary } else { Role::Replica };
        assert_eq!(queries[0].role, expected, "{port}: {queries}");
        port
    };
    assert_eq!(told().await, replica);
    block_in_place(|| rig.cluster.node(1).kill9());
    while told().await != primary {}
}
