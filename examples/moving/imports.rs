//! Accounts, and what is known of them, in two databases: a program that moves in from diesel-async and bb8.
//!
//! It is in this folder once for each step of the guide's chapter "Moving in": `before.rs`, `pool.rs`, `imports.rs` and
//! `after.rs`.
//!
//! ```sh
//! export DATABASE_URL=postgres://app:secret@localhost/app
//! export ANALYTICS_DATABASE_URL=postgres://app:secret@localhost/analytics
//! psql $DATABASE_URL -c 'CREATE TABLE users (id SERIAL PRIMARY KEY, name TEXT NOT NULL)' \
//!     -c 'CREATE TABLE letters (id SERIAL PRIMARY KEY, user_id INTEGER NOT NULL, text TEXT NOT NULL)'
//! psql $ANALYTICS_DATABASE_URL \
//!     -c 'CREATE TABLE events (id SERIAL PRIMARY KEY, user_id INTEGER NOT NULL, what TEXT NOT NULL)'
//! cargo run --example moving_before --features postgres # or moving_pool, moving_imports, moving_after
//! ```

use std::time::Duration;

use diesel::dsl::count_star;
use diesel::prelude::*;
use registry_core::{BindSettings, Registry, RunQueryDsl, Session, bind_tables, binds};

use schema::{events, letters, users};

mod schema {
    diesel::table! { users (id) { id -> Integer, name -> Text, } }
    diesel::table! { letters (id) { id -> Integer, user_id -> Integer, text -> Text, } }
    diesel::table! { events (id) { id -> Integer, user_id -> Integer, what -> Text, } }
}

#[derive(Queryable, Selectable)]
struct User {
    id: i32,
    name: String,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

binds! {
    Main: Postgres = "default";
    Analytics: Postgres = "analytics";
}

bind_tables!(Main; schema::users, schema::letters);
bind_tables!(Analytics; schema::events);

struct App {
    registry: Registry,
}

fn bind(variable: &str) -> Result<BindSettings, AnyError> {
    let bind = BindSettings::new(std::env::var(variable)?);
    Ok(bind.max_connections(10).acquire_timeout(Duration::from_secs(5)))
}

async fn add_user(connection: &mut Session<Main>, name: &str) -> QueryResult<User> {
    let user: User = diesel::insert_into(users::table)
        .values(users::name.eq(name))
        .returning(User::as_returning())
        .get_result(&mut *connection)
        .await?;
    diesel::insert_into(letters::table)
        .values((letters::user_id.eq(user.id), letters::text.eq("Welcome!")))
        .execute(connection)
        .await?;
    Ok(user)
}

async fn note(connection: &mut Session<Analytics>, user: &User, what: &str) -> QueryResult<usize> {
    let event = (events::user_id.eq(user.id), events::what.eq(what));
    diesel::insert_into(events::table).values(event).execute(connection).await
}

impl App {
    async fn open() -> Result<Self, AnyError> {
        let registry = Registry::builder()
            .bind("default", bind("DATABASE_URL")?)
            .bind("analytics", bind("ANALYTICS_DATABASE_URL")?)
            .build()?;
        registry.verify().await?;
        Ok(Self { registry })
    }

    async fn sign_up(&self, name: &str) -> Result<User, AnyError> {
        let mut main = self.registry.session::<Main>().await?;
        let user = main.transaction(async |main| add_user(main, name).await).await?;
        let mut analytics = self.registry.session::<Analytics>().await?;
        note(&mut analytics, &user, "sign-up").await?;
        Ok(user)
    }

    async fn report(&self) -> Result<Vec<(String, i64)>, AnyError> {
        let mut main = self.registry.session::<Main>().await?;
        let users = users::table.order(users::id).select(User::as_select()).load(&mut main).await?;
        let mut analytics = self.registry.session::<Analytics>().await?;
        let counts: Vec<(i32, i64)> = events::table
            .group_by(events::user_id)
            .select((events::user_id, count_star()))
            .load(&mut analytics)
            .await?;
        let events = |user: &User| counts.iter().find(|(id, _)| *id == user.id);
        let row = |user: User| (user.name.clone(), events(&user).map_or(0, |(_, events)| *events));
        Ok(users.into_iter().map(row).collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let app = App::open().await?;
    for name in ["Ada", "Bob"] {
        app.sign_up(name).await?;
    }
    for (name, events) in app.report().await? {
        println!("{name}: {events}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel_async::AsyncConnection;

    use super::*;

    #[tokio::test]
    async fn users_get_a_letter() -> Result<(), AnyError> {
        let app = App::open().await?;
        let mut main = app.registry.session::<Main>().await?;
        main.begin_test_transaction().await?;
        let user = add_user(&mut main, "Eve").await?;
        let letters = letters::table.filter(letters::user_id.eq(user.id)).select(letters::text);
        assert_eq!(letters.load::<String>(&mut main).await?, ["Welcome!"]);
        Ok(())
    }
}
