//! Every executor of a reader, and every kind of query that it takes.

use super::*;

#[tokio::test]
async fn queries_that_read_run_on_every_executor_of_a_reader() {
    let registry = registry().await;
    let reader = registry.reader();
    let ids = orders::table.select(orders::id).order(orders::id);
    assert_eq!(ids.load::<i32>(&reader).await.expect("rows"), [1, 2]);
    assert_eq!(ids.load::<i32>(reader.clone()).await.expect("rows"), [1, 2]);

    let mut session = reader.session_for::<orders::table>().await.expect("a session");
    assert_eq!(session.key(), "shop");
    assert_eq!(ids.load::<i32>(&mut session).await.expect("rows"), [1, 2]);
    assert_eq!(ids.first::<i32>(session).await.expect("a row"), 1);
    let session = reader.session::<Shop>().await.expect("a session");
    assert_eq!(ids.load::<i32>(session).await.expect("rows"), [1, 2]);

    let text = "SELECT id FROM orders WHERE customer = 8";
    let raw = || diesel::sql_query(text).reads::<orders::table>();
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        id: i32,
    }
    for row in [
        raw().get_result::<Id>(&reader).await.expect("a row"),
        raw().get_result::<Id>(&registry).await.expect("a row"),
    ] {
        assert_eq!(row.id, 2);
    }
}
