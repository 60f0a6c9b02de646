use std::future::{Ready, ready};
use std::panic::Location;

use diesel::result::Error;
use registry_core::query::Lender;
use registry_core::{Postgres, Session, bind_tables, binds};

binds! {
    Shop: Postgres = "shop";
    People: Postgres = "people";
}

diesel::table! { users (id) { id -> Integer, name -> Text, } }
diesel::table! { products (id) { id -> Integer, name -> Text, } }
diesel::allow_tables_to_appear_in_same_query!(users, products);
bind_tables!(People; users);
bind_tables!(Shop; products);

/// Would lend a session without the checks.
struct Own<'s>(&'s mut Session<Shop>);

impl<'s> Lender<Shop> for Own<'s> {
    type Connection = Postgres;
    type Lease = &'s mut Session<Shop>;
    type Leasing = Ready<Result<Self::Lease, Error>>;
    type LeaseError = Error;
    type Error = Error;
    type Again = Self;

    const TELLS_MORE: bool = false;
    const KEY: Option<&'static str> = None;

    fn lease(self, _: &'static Location<'static>) -> (Self::Leasing, Option<Self>) {
        (ready(Ok(self.0)), None)
    }
}

fn main() {}
