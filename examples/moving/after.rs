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
use registry_core::{BindSettings, Error, Registry, RunQueryDsl, UnitOfWork, bind_tables, binds};

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

async fn add_user(work: &mut UnitOfWork, name: &str) -> Result<User, Error> {
    let user: User = diesel::insert_into(users::table)
        .values(users::name.eq(name))
        .returning(User::as_returning())
        .get_result(&mut *work)
        .await?;
    diesel::insert_into(letters::table)
        .values((letters::user_id.eq(user.id), letters::text.eq("Welcome!")))
        .execute(work)
        .await?;
    Ok(user)
}

async fn note(work: &mut UnitOfWork, user: &User, what: &str) -> Result<usize, Error> {
    let event = (events::user_id.eq(user.id), events::what.eq(what));
    diesel::insert_into(events::table).values(event).execute(work).await
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

    async fn sign_up(&self, name: &str) -> Result<User, Error> {
        let signed_up = self.registry.transaction(async |work| {
            let user = add_user(work, name).await?;
            note(work, &user, "sign-up").await?;
            Ok(user)
        });
        signed_up.await
    }

    async fn report(&self) -> Result<Vec<(String, i64)>, Error> {
        let users = users::table.order(users::id).select(User::as_select());
        let users = users.load(&self.registry).await?;
        let counts: Vec<(i32, i64)> = events::table
            .group_by(events::user_id)
            .select((events::user_id, count_star()))
            .load(&self.registry)
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
    use super::*;

    #[tokio::test]
    async fn users_get_a_letter() -> Result<(), AnyError> {
        let app = App::open().await?;
        let app = App { registry: app.registry.test_isolation().await? };
        let user = app.sign_up("Eve").await?;
        let letters = letters::table.filter(letters::user_id.eq(user.id)).select(letters::text);
        assert_eq!(letters.load::<String>(&app.registry).await?, ["Welcome!"]);
        let events = events::table.filter(events::user_id.eq(user.id)).select(events::what);
        assert_eq!(events.load::<String>(&app.registry).await?, ["sign-up"]);
        Ok(())
    }
}
