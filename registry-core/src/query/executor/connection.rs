//! Queries on a bare connection. They are not checked, since the bind of the connection is not known.

use std::future::{Ready, ready};

use diesel::result::Error as DieselError;

use super::{ConnectsTo, Executor, Lender, QueryPlace};
use crate::backend;
use crate::query::routing::RouteMarker;

/// Stands in for the bind of a bare connection, and is the marker of the queries on it.
#[derive(Debug)]
pub struct Unchecked(());

impl RouteMarker for Unchecked {}

macro_rules! on_connections {
    ($($feature:literal $connection:ident;)*) => {$(
        #[cfg(feature = $feature)]
        impl<Q> Executor<Q, Unchecked, Unchecked> for &mut backend::$connection {}

        #[cfg(feature = $feature)]
        impl ConnectsTo<Unchecked> for &mut backend::$connection {}

        #[cfg(feature = $feature)]
        impl Lender<Unchecked> for &mut backend::$connection {
            type Connection = backend::$connection;
            type Lease = Self;
            type Leasing = Ready<Result<Self, DieselError>>;
            type LeaseError = DieselError;
            type Error = DieselError;
            type Again = Self;

            const TELLS_MORE: bool = false;

            const KEY: Option<&'static str> = None;

            fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
                (ready(Ok(self)), None)
            }
        }
    )*};
}

#[cfg(feature = "postgres")]
mod shared {
    use std::future::{Ready, ready};

    use diesel::result::Error as DieselError;

    use super::Unchecked;
    use crate::backend::Postgres;
    use crate::query::executor::shared::SharedConnection;
    use crate::query::executor::{ConnectsTo, Executor, Lender, QueryPlace};

    impl ConnectsTo<Unchecked> for SharedConnection<'_, Unchecked, Postgres> {}

    impl<Q> Executor<Q, Unchecked, Unchecked> for &Postgres {}

    impl<'c> Lender<Unchecked> for &'c Postgres {
        type Connection = &'c Postgres;
        type Lease = SharedConnection<'c, Unchecked, Postgres>;
        type Leasing = Ready<Result<Self::Lease, DieselError>>;
        type LeaseError = DieselError;
        type Error = DieselError;
        type Again = Self;

        const TELLS_MORE: bool = false;

        const KEY: Option<&'static str> = None;

        fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
            (ready(Ok(SharedConnection::bare(self))), None)
        }
    }

    impl<Q> Executor<Q, Unchecked, Unchecked> for &mut &Postgres {}

    impl<'c> Lender<Unchecked> for &mut &'c Postgres {
        type Connection = &'c Postgres;
        type Lease = SharedConnection<'c, Unchecked, Postgres>;
        type Leasing = Ready<Result<Self::Lease, DieselError>>;
        type LeaseError = DieselError;
        type Error = DieselError;
        type Again = Self;

        const TELLS_MORE: bool = false;

        const KEY: Option<&'static str> = None;

        fn lease(self, _: QueryPlace) -> (Self::Leasing, Option<Self>) {
            (ready(Ok(SharedConnection::bare(*self))), None)
        }
    }
}

on_connections! {
    "postgres" Postgres;
    "mysql" Mysql;
    "sqlite" Sqlite;
}
