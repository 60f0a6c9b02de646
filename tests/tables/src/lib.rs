//! A crate of tables, as the guide's chapter about binds describes it: it depends on Diesel and on `registry-core` without
//! a feature, so that it builds in seconds. A program that depends on it enables the backends.

use diesel::prelude::*;
use registry_core::{bind, bind_tables, binds};

binds! {
    /// What is in stock.
    pub Stock: Sqlite = "stock";
}

#[expect(missing_docs, reason = "as Diesel's command-line tool writes it")]
pub mod schema {
    diesel::table! { items (id) { id -> Integer, name -> Text, } }
    diesel::table! { orders (id) { id -> Integer, item_id -> Integer, } }
    diesel::joinable!(orders -> items (item_id));
    diesel::allow_tables_to_appear_in_same_query!(items, orders);
}

bind_tables!(Stock; schema::items);
// The same database, without its name.
bind_tables!(db = "stock", backend = Sqlite; schema::orders);

/// Something in stock.
#[bind(table)]
#[derive(Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = schema::items)]
pub struct Item {
    /// Its number.
    pub id: i32,
    /// What it is called.
    pub name: String,
}

/// Tables of a PostgreSQL server.
#[cfg(feature = "postgres")]
#[bind(db = "analytics", backend = Postgres)]
#[expect(missing_docs, reason = "as Diesel's command-line tool writes it")]
pub mod analytics {
    use diesel::prelude::*;

    diesel::table! { events (id) { id -> Integer, what -> Text, } }

    #[derive(Debug, Queryable, Selectable)]
    #[diesel(table_name = events, check_for_backend(diesel::pg::Pg))]
    pub struct Event {
        pub id: i32,
        pub what: String,
    }
}

/// A row of a PostgreSQL server, whose backend follows from `check_for_backend`.
#[cfg(feature = "postgres")]
#[bind(db = "analytics")]
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = analytics::events, check_for_backend(diesel::pg::Pg))]
pub struct Named {
    /// What happened.
    pub what: String,
}

/// Tables of a MySQL server.
#[cfg(feature = "mysql")]
#[bind(db = "reports", backend = Mysql)]
#[expect(missing_docs, reason = "as Diesel's command-line tool writes it")]
pub mod reports {
    use diesel::prelude::*;

    diesel::table! { pages (id) { id -> Integer, views -> BigInt, } }

    #[derive(Debug, Queryable, Selectable)]
    #[diesel(table_name = pages, check_for_backend(diesel::mysql::Mysql))]
    pub struct Page {
        pub id: i32,
        pub views: i64,
    }
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    use registry_core::{Backend, BackendKind, Bind, Bound};

    use super::*;

    fn bind_of<T: Bound>() -> (&'static str, BackendKind, TypeId) {
        let kind = <<T::Bind as Bind>::Connection as Backend>::KIND;
        (<T::Bind as Bind>::KEY, kind, TypeId::of::<T::Bind>())
    }

    #[test]
    fn a_crate_of_tables_knows_its_binds() {
        let stock = ("stock", BackendKind::Sqlite, TypeId::of::<Stock>());
        assert_eq!(bind_of::<schema::items::table>(), stock);
        assert_eq!(bind_of::<schema::orders::table>(), stock);
        assert_eq!(bind_of::<Item>(), stock);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_backend_that_follows_from_check_for_backend_is_that_of_the_word() {
        let table = bind_of::<analytics::events::table>();
        assert_eq!((table.0, table.1), ("analytics", BackendKind::Postgres));
        assert_eq!(bind_of::<analytics::Event>(), table);
        assert_eq!(bind_of::<Named>(), table);
    }

    #[cfg(feature = "mysql")]
    #[test]
    fn tables_of_mysql_are_those_of_their_bind() {
        let table = bind_of::<reports::pages::table>();
        assert_eq!((table.0, table.1), ("reports", BackendKind::Mysql));
        assert_eq!(bind_of::<reports::Page>(), table);
    }
}
