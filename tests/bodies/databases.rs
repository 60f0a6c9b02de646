//! The test databases themselves, on each backend.

use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};

use super::{Backend, database};

#[derive(QueryableByName)]
struct Note {
    #[diesel(sql_type = Text)]
    text: String,
}

async fn notes(connection: &mut Backend) -> Vec<String> {
    let notes: Vec<Note> =
        sql_query("SELECT text FROM notes").load(connection).await.expect("the table is there");
    notes.into_iter().map(|note| note.text).collect()
}

#[tokio::test]
async fn each_test_database_is_empty_and_separate() {
    let (first, second) = (database(), database());
    assert_ne!(first, second);
    for (url, text) in [(&first, "one"), (&second, "two")] {
        let mut connection = Backend::establish(url).await.expect("the database is there");
        connection
            .batch_execute("CREATE TABLE notes (text VARCHAR(10) NOT NULL)")
            .await
            .expect("no table of that name is there yet");
        sql_query(format!("INSERT INTO notes VALUES ('{text}')"))
            .execute(&mut connection)
            .await
            .expect("it can be written to");
    }
    for (url, text) in [(&first, "one"), (&second, "two")] {
        let mut connection = Backend::establish(url).await.expect("the database is there");
        assert_eq!(notes(&mut connection).await, [text]);
    }
}
