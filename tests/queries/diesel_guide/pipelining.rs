//! Several queries at once on one connection, through shared references to it.

use super::prelude::*;

diesel::table! {
    users (id) { id -> Integer, name -> Text, }
}

pub(super) const TABLES: &[&str] = &[
    "CREATE TABLE users (id INTEGER PRIMARY KEY NOT NULL, name VARCHAR(50) NOT NULL)",
    "INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob')",
];

#[derive(Debug, PartialEq, HasQuery)]
#[diesel(check_for_backend(Db))]
struct User {
    id: i32,
    name: String,
}

impl User {
    async fn all(mut connection: &Connection) -> QueryResult<Vec<Self>> {
        Self::query().order(users::id).load(&mut connection).await
    }

    async fn with_id(mut connection: &Connection, id: i32) -> QueryResult<Option<Self>> {
        Self::query().find(id).get_result(&mut connection).await.optional()
    }
}

pub(super) async fn tell(connection: &mut Connection) -> QueryResult<()> {
    let connection = &*connection;
    let mut first = connection;
    let mut second = connection;
    let all = User::query().load::<User>(&mut first);
    let one = User::query().find(1).get_result::<User>(&mut second);
    let (all, one) = tokio::try_join!(all, one)?;
    assert!(all.len() == 2 && all.contains(&one));

    let (all, none) = tokio::try_join!(User::all(connection), User::with_id(connection, 3))?;
    assert_eq!((all.len(), none), (2, None));
    Ok(())
}
