//! What a query can be run on.

use std::future::Future;
use std::ops::DerefMut;
use std::panic::Location;

use diesel::result::Error as DieselError;

use super::hidden::HiddenTable;
use super::routed::{Checked, FindsBind, Routed, TakesFrom};
use super::same::ServedBy;
use crate::backend::Backend;
use crate::bind::Bind;
use crate::error::Error;
use crate::registry::Registry;
use crate::session::Session;

/// The last argument of a query's method: what has a connection for the query `Q`, or acquires one.
///
/// `B` is the bind of the query and `Via` is how that is known; both are for the compiler to find.
#[diagnostic::on_unimplemented(
    message = "a query cannot be run on `{Self}`",
    label = "expected `&registry`, `&mut session` or `&mut connection` as the last argument",
    note = "a `&mut` to a variable that is a `&mut` itself has one too many: write `session`, or `&mut *session`"
)]
pub trait Executor<Q, B, Via>: Sized + Send {
    /// The connection type that the query is run with.
    type Connection: Backend;

    /// What has the connection while the query is run.
    type Lease: DerefMut<Target = Self::Connection> + Send;

    /// What can go wrong: running a query, and acquiring a session where that is part of it.
    type Error: From<DieselError> + From<HiddenTable> + Send;

    /// What is left to be looked at when the query is run.
    const CHECK: Check;

    /// The connection. `at` is where in the program it is asked for.
    fn lease(
        self,
        at: &'static Location<'static>,
    ) -> impl Future<Output = Result<Self::Lease, Self::Error>> + Send;
}

/// What is left to be looked at when a query is run.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The bind in which all its tables must be, if any bind is known.
    pub(super) key: Option<&'static str>,
    /// Whether its type can have a part that cannot be named.
    pub(super) is_open: bool,
}

impl<'s, S: Bind, Q, B: Bind, Via> Executor<Q, B, Via> for &'s mut Session<S>
where
    Q: Routed<B, Via> + Checked<B, Via>,
    Via: TakesFrom<S, B>,
    B: ServedBy<S>,
{
    type Connection = S::Connection;
    type Lease = &'s mut S::Connection;
    type Error = DieselError;

    const CHECK: Check = Check { key: known::<S>(), is_open: Q::IS_OPEN };

    async fn lease(self, _: &'static Location<'static>) -> Result<Self::Lease, DieselError> {
        Ok(&mut *self)
    }
}

impl<Q, B: Bind, Via> Executor<Q, B, Via> for &Registry
where
    Q: Routed<B, Via> + Checked<B, Via>,
    Via: FindsBind,
{
    type Connection = B::Connection;
    type Lease = Session<B>;
    type Error = Error;

    const CHECK: Check = Check { key: Some(B::KEY), is_open: Q::IS_OPEN };

    async fn lease(self, at: &'static Location<'static>) -> Result<Session<B>, Error> {
        if cfg!(debug_assertions) {
            self.warn_of_held::<B>(at);
        }
        Ok(self.session::<B>().await?)
    }
}

/// The key of a bind, unless it is that of a session by key: what is run there is not checked.
const fn known<B: Bind>() -> Option<&'static str> {
    if B::KEY.is_empty() { None } else { Some(B::KEY) }
}

/// The bind of a connection, of which nothing is known.
#[derive(Debug)]
pub struct Unchecked(());

macro_rules! on_connections {
    ($($feature:literal $connection:ident;)*) => {$(
        #[cfg(feature = $feature)]
        impl<Q> Executor<Q, Unchecked, Unchecked> for &mut crate::backend::$connection {
            type Connection = crate::backend::$connection;
            type Lease = Self;
            type Error = DieselError;

            const CHECK: Check = Check { key: None, is_open: false };

            async fn lease(self, _: &'static Location<'static>) -> Result<Self, DieselError> {
                Ok(self)
            }
        }
    )*};
}

on_connections! {
    "postgres" Postgres;
    "mysql" Mysql;
    "sqlite" Sqlite;
}
