//! The models and tables of a program, which `inventory` collects when it is linked.

use diesel::Table;
#[cfg(feature = "engine")]
use diesel::query_builder::QueryFragment;
#[cfg(feature = "engine")]
use diesel_async::AsyncConnectionCore;

use super::bound::{Bind, Bound};
use crate::backend::Backend;
use crate::backend_kind::BackendKind;
use crate::bind_key::BindKey;
#[cfg(feature = "engine")]
use crate::sql::sql_of;

/// A model or table of the program, for [`verify`](crate::Registry::verify).
#[derive(Debug)]
pub struct BoundItem {
    /// `"model"` or `"table"`.
    pub noun: &'static str,
    /// Its path, such as `app::models::Event`.
    pub path: &'static str,
    /// Its source file.
    pub file: &'static str,
    /// The line in that file.
    pub line: u32,
    /// The key of its bind.
    pub key: BindKey,
    /// The backend of its bind.
    pub backend: BackendKind,
    /// The names of the table. `None` for a model.
    #[cfg(feature = "engine")]
    pub(crate) table: Option<TableNames>,
}

/// The names of a table.
#[cfg(feature = "engine")]
#[derive(Debug)]
pub(crate) struct TableNames {
    /// Its Rust path.
    pub(crate) type_name: fn() -> &'static str,
    /// Its name as Diesel writes it in a statement.
    pub(crate) sql: fn() -> String,
}

impl BoundItem {
    /// A model that has the same bind as `M`. `M` is the model itself or, for a generic model, its bind, because a bind
    /// is bound to itself.
    #[must_use]
    pub const fn model<M: Bound>(path: &'static str, file: &'static str, line: u32) -> Self {
        Self::new::<M::Bind>("model", path, file, line)
    }

    /// The table `T`.
    #[cfg(feature = "engine")]
    #[must_use]
    pub const fn table<T>(path: &'static str, file: &'static str, line: u32) -> Self
    where
        T: Bound + Default + QueryFragment<DieselBackendOf<T>>,
    {
        let names = TableNames {
            type_name: std::any::type_name::<T>,
            sql: || sql_of::<DieselBackendOf<T>>(&T::default()),
        };
        Self { table: Some(names), ..Self::new::<T::Bind>("table", path, file, line) }
    }

    /// The table `T`. Its names are for checks of queries, and without an engine there are none.
    #[cfg(not(feature = "engine"))]
    #[must_use]
    pub const fn table<T>(path: &'static str, file: &'static str, line: u32) -> Self
    where
        T: Bound + Default,
    {
        Self::new::<T::Bind>("table", path, file, line)
    }

    /// The table `T` of another crate, which is declared for the bind `B`.
    #[cfg(feature = "engine")]
    #[must_use]
    pub const fn foreign_table<T, B: Bind>(
        path: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self
    where
        T: Table + Default + QueryFragment<DieselBackend<B>>,
    {
        let names = TableNames {
            type_name: std::any::type_name::<T>,
            sql: || sql_of::<DieselBackend<B>>(&T::default()),
        };
        Self { table: Some(names), ..Self::new::<B>("table", path, file, line) }
    }

    /// The table `T` of another crate, which is declared for the bind `B`. Without an engine, it has no names.
    #[cfg(not(feature = "engine"))]
    #[must_use]
    pub const fn foreign_table<T, B: Bind>(
        path: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self
    where
        T: Table + Default,
    {
        Self::new::<B>("table", path, file, line)
    }

    const fn new<B: Bind>(
        noun: &'static str,
        path: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        // Evaluated at compile time, so `#[bind(ByKey<..>)]` does not compile.
        let key = match BindKey::new(B::KEY) {
            Ok(key) => key,
            Err(_) => panic!("the key of a bind must be a bind key"),
        };
        Self {
            noun,
            path,
            file,
            line,
            key,
            backend: <B::Connection as Backend>::KIND,
            #[cfg(feature = "engine")]
            table: None,
        }
    }
}

#[cfg(feature = "engine")]
type DieselBackend<B> = <<B as Bind>::Connection as AsyncConnectionCore>::Backend;

#[cfg(feature = "engine")]
type DieselBackendOf<T> = DieselBackend<<T as Bound>::Bind>;

inventory::collect!(BoundItem);
