//! What `#[bind]`, `binds!` and `bind_tables!` generate, in each of their forms.
//!
//! Forms that name no backend need exactly one enabled backend: they are at the end, and compiled for SQLite alone.

#![cfg(feature = "sqlite")]
#![expect(dead_code, reason = "models are looked at as types")]

use std::marker::PhantomData;

use registry_core::private::{BoundItem, inventory};
use registry_core::{Bind, Bound, Db, Name, bind, bind_tables, binds};

/// `registry-core` under another path, as a library that wraps it would re-export it.
mod reexport {
    pub(crate) use registry_core::*;
}

/// A connection type under an alias that a macro cannot resolve.
type SqliteConn = registry_core::Sqlite;

mod shared {
    diesel::table! { users { id -> Integer, } }
    diesel::table! { visits { id -> Integer, } }
}
use shared::{users, visits};

/// The bind `"analytics"` without a macro.
type AnalyticsSpelledOut = Db<SqliteConn, Name<'a', 'n', 'a', 'l', 'y', 't', 'i', 'c', 's'>>;

binds! {
    /// The analytics database.
    pub Analytics: Sqlite = "analytics";
    Files: crate::SqliteConn = "files";
    #[cfg(any())]
    NotThere: Sqlite = "analytics";
}

/// Compiles only if both are the same type.
fn same<T>(_: PhantomData<T>, _: PhantomData<T>) {}

/// Compiles only if `M` is bound to `B`. Returns the key.
fn key_in<M: Bound<Bind = B>, B: Bind>() -> &'static str {
    <M::Bind as Bind>::KEY
}

/// The registration for `verify` of the only item whose path ends with `name`.
fn item(name: &str) -> &'static BoundItem {
    let mut found = inventory::iter::<BoundItem>
        .into_iter()
        .filter(|item| item.path.ends_with(&format!("::{name}")));
    let item = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "{name} is there twice");
    item
}

fn is_known(name: &str) -> bool {
    inventory::iter::<BoundItem>.into_iter().any(|item| item.path.ends_with(&format!("::{name}")))
}

mod binds_macro {
    use super::*;

    #[test]
    fn declared_bind_equals_the_bind_of_its_key_and_backend() {
        same(PhantomData::<Analytics>, PhantomData::<AnalyticsSpelledOut>);
        assert_eq!(Analytics::KEY, "analytics");
    }

    #[test]
    fn a_path_can_name_the_connection_type() {
        assert_eq!(Files::KEY, "files");
        same(PhantomData::<<Files as Bind>::Connection>, PhantomData::<SqliteConn>);
    }

    #[test]
    fn crate_argument_overrides_the_path_of_registry_core() {
        binds! {
            crate = crate::reexport;
            Elsewhere: Sqlite = "analytics";
        }
        same(PhantomData::<Elsewhere>, PhantomData::<Analytics>);
    }
}

mod attribute {
    use super::*;
    use diesel::prelude::*;

    #[bind(backend = Sqlite)]
    struct InDefault;

    #[bind(db = "analytics", backend = Sqlite)]
    struct ByName;

    #[bind(super::Analytics)]
    struct ByPath;

    #[bind(<ByName as Bound>::Bind)]
    struct ByProjection;

    #[bind(Db<SqliteConn, Name<'a', 'n', 'a', 'l', 'y', 't', 'i', 'c', 's'>>)]
    struct BySpelling;

    #[bind(db = "analytics", connection = super::SqliteConn)]
    struct ByConnection;

    #[bind(db = "analytics", backend = Sqlite,)]
    enum Kind {
        One,
        Two,
    }

    #[test]
    fn every_way_to_name_a_bind_gives_the_same_type() {
        assert_eq!(
            key_in::<InDefault, Db<SqliteConn, Name<'d', 'e', 'f', 'a', 'u', 'l', 't'>>>(),
            "default"
        );
        assert_eq!(key_in::<ByName, Analytics>(), "analytics");
        key_in::<ByPath, Analytics>();
        key_in::<ByProjection, Analytics>();
        key_in::<BySpelling, Analytics>();
        key_in::<ByConnection, Analytics>();
        key_in::<Kind, Analytics>();
    }

    /// A backend under an alias that a macro cannot resolve.
    type Lite = diesel::sqlite::Sqlite;

    #[bind(db = "analytics")]
    #[derive(Queryable, Selectable)]
    #[diesel(table_name = users, check_for_backend(Lite))]
    struct AboveDerive {
        id: i32,
    }

    #[derive(Queryable, Selectable)]
    #[bind(db = "analytics")]
    #[diesel(table_name = users)]
    #[diesel(check_for_backend(diesel::sqlite::Sqlite))]
    struct BelowDerive {
        id: i32,
    }

    // The compiler expands `cfg_attr` before it runs the macro.
    #[bind(db = "analytics")]
    #[derive(Queryable, Selectable)]
    #[cfg_attr(all(), diesel(table_name = users, check_for_backend(Lite)))]
    struct InCfgAttr {
        id: i32,
    }

    #[test]
    fn the_backend_follows_from_check_for_backend() {
        key_in::<AboveDerive, Analytics>();
        key_in::<BelowDerive, Analytics>();
        key_in::<InCfgAttr, Analytics>();
    }

    #[bind(Analytics)]
    #[derive(Queryable)]
    #[diesel(table_name = users, check_for_backend(Lite))]
    struct BothAgree {
        id: i32,
    }

    #[test]
    fn check_for_backend_is_accepted_beside_a_bind_of_that_backend() {
        key_in::<BothAgree, Analytics>();
    }

    #[bind(Analytics)]
    struct Generic<'a, T: 'a + ?Sized, const N: usize>(&'a [u8; N], PhantomData<T>)
    where
        T: Send;

    #[bind(db = "analytics", backend = Sqlite)]
    enum GenericEnum<T = u8> {
        One(T),
    }

    #[test]
    fn generic_models_are_bound_for_all_their_arguments() {
        key_in::<Generic<'_, str, 3>, Analytics>();
        key_in::<Generic<'_, u8, 4>, Analytics>();
        key_in::<GenericEnum, Analytics>();
        key_in::<GenericEnum<String>, Analytics>();
        item("Generic");
    }

    #[bind(db = "analytics", backend = Sqlite, crate = crate::reexport)]
    struct Renamed;

    #[test]
    fn crate_argument_overrides_the_path_of_registry_core() {
        key_in::<Renamed, Analytics>();
        item("attribute::Renamed");
    }

    #[test]
    fn model_can_be_declared_in_a_function() {
        #[bind(Analytics)]
        struct Local;

        key_in::<Local, Analytics>();
        item("attribute::Local");
    }

    const _: () = {
        #[bind(db = "analytics", backend = Sqlite)]
        struct InConst;
    };

    #[test]
    fn model_can_be_declared_in_a_constant() {
        item("InConst");
    }

    #[bind(db = "analytics", backend = Sqlite)]
    #[cfg(any())]
    struct CompiledOut;

    #[test]
    fn model_disabled_by_cfg_registers_nothing() {
        assert!(!is_known("CompiledOut"));
    }

    bind_tables!(Analytics; super::visits);

    #[bind(table)]
    #[derive(Queryable)]
    #[diesel(table_name = super::visits)]
    struct WhereItsTableIs {
        id: i32,
    }

    #[test]
    fn bind_table_gives_a_model_the_bind_of_its_table() {
        key_in::<WhereItsTableIs, Analytics>();
    }

    #[bind(db = "inspected", backend = Sqlite)]
    struct Inspected;

    #[test]
    fn model_is_registered_for_verify() {
        let item = item("Inspected");
        assert_eq!(item.noun, "model");
        assert_eq!(item.path, "bind::attribute::Inspected");
        assert_eq!(item.file, file!());
        assert_eq!(item.key, "inspected");
        assert_eq!(item.backend, registry_core::BackendKind::Sqlite);
    }
}

mod tables {
    use super::*;

    mod schema {
        diesel::table! { audit.events (id) { id -> Integer, } }
        diesel::table! { clicks { id -> Integer, } }
        diesel::table! { views { id -> Integer, } }
        diesel::table! { pages { id -> Integer, } }
        diesel::table! { links { id -> Integer, } }
    }

    bind_tables!(crate::Analytics; schema::events, self::schema::clicks::table);
    bind_tables!(db = "analytics", backend = Sqlite; schema::views,);
    bind_tables!(db = "analytics", connection = SqliteConn; schema::pages);
    bind_tables!(db = "analytics", backend = Sqlite, crate = crate::reexport; schema::links);

    #[test]
    fn bind_tables_binds_every_table() {
        key_in::<schema::events::table, Analytics>();
        key_in::<schema::clicks::table, Analytics>();
        key_in::<schema::views::table, Analytics>();
        key_in::<schema::pages::table, Analytics>();
        key_in::<schema::links::table, Analytics>();
    }

    #[test]
    fn table_is_registered_for_verify() {
        let item = item("schema::events");
        assert_eq!(item.noun, "table");
        assert_eq!(item.path, "bind::tables::schema::events");
        assert_eq!(item.key, "analytics");
        assert_eq!(super::item("clicks").path, "bind::tables::schema::clicks");
    }
}

mod on_a_module {
    use super::*;

    binds! {
        Local: Sqlite = "local";
        Other: Sqlite = "other";
    }

    // The module declares a type with the name of the bind, which must not shadow the bind.
    #[bind(Local)]
    mod by_path {
        use diesel::prelude::*;

        pub(super) type Local = u8;

        diesel::table! { gauges { id -> Integer, } }
        table! {
            use diesel::sql_types::*;

            /// A table with everything that may precede its name.
            public.meters (id) { id -> Integer, }
        }

        #[derive(Queryable)]
        #[diesel(table_name = gauges)]
        pub(super) struct Gauge<T> {
            id: T,
        }

        #[derive(Queryable)]
        #[diesel(table_name = crate::users)]
        #[super::bind(super::Other)]
        pub(super) struct Otherwise {
            id: i32,
        }

        /// A struct that is not a model.
        pub(super) struct Plain;

        pub(super) mod inner {
            pub(in super::super) mod deep {
                use diesel::prelude::*;

                #[derive(Queryable)]
                #[diesel(table_name = super::super::gauges, check_for_backend(diesel::sqlite::Sqlite))]
                pub(in super::super::super) struct Deep {
                    id: i32,
                }
            }
        }

        #[registry_core::bind(super::Other)]
        pub(super) mod own {
            diesel::table! { knobs { id -> Integer, } }
        }

        #[cfg(any())]
        #[diesel(table_name = nowhere)]
        struct CompiledOut;
    }

    #[test]
    fn nested_models_and_tables_get_the_bind_of_the_module() {
        key_in::<by_path::gauges::table, Local>();
        key_in::<by_path::meters::table, Local>();
        key_in::<by_path::Gauge<i32>, Local>();
        key_in::<by_path::inner::deep::Deep, Local>();
        assert_eq!(item("Deep").path, "bind::on_a_module::by_path::inner::deep::Deep");
        assert_eq!(item("meters").noun, "table");
    }

    #[test]
    fn a_models_own_bind_overrides_that_of_the_module() {
        key_in::<by_path::Otherwise, Other>();
        key_in::<by_path::own::knobs::table, Other>();
    }

    #[test]
    fn structs_without_a_table_get_no_bind() {
        assert!(!is_known("Plain"));
    }

    #[bind(db = "local")]
    mod by_check {
        #[derive(diesel::Queryable)]
        #[diesel(table_name = crate::users, check_for_backend(diesel::sqlite::Sqlite))]
        pub(super) struct Checked {
            id: i32,
        }
    }

    #[bind(db = "local", backend = Sqlite)]
    mod by_word {
        pub(super) mod inner {
            diesel::table! { dials { id -> Integer, } }
        }
    }

    #[bind(db = "local", connection = super::SqliteConn, crate = super::reexport)]
    mod by_connection {
        pub(super) mod inner {
            diesel::table! { levers { id -> Integer, } }
        }
    }

    #[bind(db = "local", connection = ::registry_core::Sqlite, crate = reexported)]
    mod by_absolute_connection {
        diesel::table! { cranks { id -> Integer, } }
    }
    use super::reexport as reexported;

    #[bind(table)]
    mod by_table {
        #[derive(diesel::Queryable)]
        #[diesel(table_name = super::by_path::gauges)]
        pub(super) struct InItsTablesBind {
            id: i32,
        }
    }

    #[test]
    fn every_form_of_the_attribute_works_on_a_module() {
        key_in::<by_check::Checked, Local>();
        key_in::<by_word::inner::dials::table, Local>();
        key_in::<by_connection::inner::levers::table, Local>();
        key_in::<by_absolute_connection::cranks::table, Local>();
        key_in::<by_table::InItsTablesBind, Local>();
    }

    #[test]
    fn module_can_be_declared_in_a_function() {
        #[bind(db = "local", backend = Sqlite)]
        mod local {
            diesel::table! { cogs { id -> Integer, } }
        }
        key_in::<local::cogs::table, Local>();
    }
}

/// With one enabled backend, nothing needs to name it.
#[cfg(not(any(feature = "postgres", feature = "mysql")))]
mod only_backend {
    use super::*;

    #[bind]
    struct Default;

    #[bind(db = "analytics")]
    struct Named;

    #[bind(db = "analytics", crate = super::reexport)]
    struct Renamed;

    #[bind()]
    mod module {
        diesel::table! { nuts { id -> Integer, } }
    }

    binds! {
        Declared = "analytics";
    }

    mod schema {
        diesel::table! { bolts { id -> Integer, } }
    }
    bind_tables!(db = "default"; schema::bolts);

    #[test]
    fn the_only_enabled_backend_is_the_default() {
        key_in::<Named, Analytics>();
        key_in::<Renamed, Analytics>();
        same(PhantomData::<Declared>, PhantomData::<Analytics>);
        same(
            PhantomData::<<Default as Bound>::Bind>,
            PhantomData::<<schema::bolts::table as Bound>::Bind>,
        );
        same(
            PhantomData::<<Default as Bound>::Bind>,
            PhantomData::<<module::nuts::table as Bound>::Bind>,
        );
        assert_eq!(<Default as Bound>::Bind::KEY, "default");
    }
}

/// With several enabled backends, `check_for_backend` of each model selects one.
#[cfg(all(feature = "postgres", feature = "mysql"))]
mod several_backends {
    use super::*;

    #[bind(db = "there")]
    #[derive(diesel::Queryable)]
    #[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
    struct InPostgres {
        id: i32,
    }

    #[bind(db = "there", backend = Mysql)]
    #[derive(diesel::Queryable)]
    #[diesel(table_name = users, check_for_backend(diesel::mysql::Mysql))]
    struct InMysql {
        id: i32,
    }

    #[bind(db = "there")]
    mod mixed {
        #[derive(diesel::Queryable)]
        #[diesel(table_name = super::users, check_for_backend(diesel::mysql::Mysql))]
        pub(super) struct Mixed {
            id: i32,
        }
    }

    #[test]
    fn check_for_backend_selects_the_backend_of_each_model() {
        same(
            PhantomData::<<<InPostgres as Bound>::Bind as Bind>::Connection>,
            PhantomData::<registry_core::Postgres>,
        );
        same(PhantomData::<<InMysql as Bound>::Bind>, PhantomData::<<mixed::Mixed as Bound>::Bind>);
    }
}
