use registry_core::{bind, bind_tables, binds};

mod schema {
    diesel::table! { events { id -> BigInt, } }
    diesel::table! { clicks { id -> BigInt, } }
}

#[bind(db = "Event Log", backend = MySQL, tables, crate)]
#[bind]
struct Event;

binds! {
    Analytics: Postgre = "analytics!";
    Reports Postgres = "reports";
    Files: Sqlite = 3;
    Users: Mysql = "";
}

bind_tables!(db = "_", backend = Lite; schema::events, schema::clicks, 3);

#[bind(key = "models", db = "9")]
mod models {
    diesel::table! { views { id -> BigInt, } }

    #[derive(diesel::Queryable)]
    #[diesel(table_name = views, check_for_backend(diesel::pg::Pg, diesel::mysql::Mysql))]
    struct View {
        id: i64,
    }

    mod inner {
        #[derive(diesel::Queryable)]
        #[diesel(table_name = super::views)]
        struct Seen {
            id: i64,
        }
    }
}

/// Nothing further is said about what uses them.
fn use_of<M: registry_core::Bound>() {
    fn the_same<B: registry_core::Bind>() {}
    the_same::<M::Bind>();
}

fn uses() {
    use_of::<Event>();
    use_of::<Analytics>();
    use_of::<schema::events::table>();
    use_of::<models::views::table>();
}

fn main() {}
