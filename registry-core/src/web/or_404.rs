//! The methods that turn a missing row into `404 Not Found`.

use std::borrow::Cow;
use std::future::Future;

use diesel::QueryResult;
use diesel::dsl::{Find, Limit};
use diesel::query_builder::{AsQuery, QueryFragment};
use diesel::query_dsl::methods::{FindDsl, LimitDsl};
use diesel::result::Error as DieselError;
use diesel_async::methods::LoadQuery;

use super::handler_error::{HandlerError, NotFound};
use crate::error::Error;
use crate::query::paginate::Page;
use crate::query::{ErasedQuery, Executor, LenderBackend, RouteMarker, RunQueryDsl};

/// Turns what is missing into `404 Not Found`: Diesel's `NotFound`, `None`, and a page beyond the last one.
///
/// It stands beside [`OptionalExtension`](crate::OptionalExtension).
///
/// ```
/// use axum::{Json, extract::{Path, State}};
/// use diesel::prelude::*;
/// use registry_core::web::{HandlerError, Or404};
/// use registry_core::{Registry, RunQueryDsl, bind_tables};
///
/// diesel::table! { users (id) { id -> Integer, name -> Text, } }
/// bind_tables!(db = "default", backend = Sqlite; users);
///
/// async fn name(
///     State(registry): State<Registry>,
///     Path(id): Path<i32>,
/// ) -> Result<Json<String>, HandlerError> {
///     let name = users::table.find(id).select(users::name).first(&registry).await;
///     Ok(Json(name.or_404_with("there is no such user")?))
/// }
/// # let _ = name;
/// ```
pub trait Or404<T>: Sized {
    /// The value, or [`NotFound`].
    ///
    /// # Errors
    ///
    /// [`HandlerError::NotFound`] if it is missing. Every other error keeps its own response.
    fn or_404(self) -> Result<T, HandlerError>;

    /// The value, or [`NotFound`] with a text for the client.
    ///
    /// # Errors
    ///
    /// [`HandlerError::NotFound`] if it is missing. Every other error keeps its own response.
    fn or_404_with(self, text: impl Into<Cow<'static, str>>) -> Result<T, HandlerError> {
        self.or_404().map_err(|error| match error {
            HandlerError::NotFound(_) => NotFound::with_text(text).into(),
            error => error,
        })
    }
}

impl<T> Or404<T> for Option<T> {
    fn or_404(self) -> Result<T, HandlerError> {
        self.ok_or_else(|| NotFound::new().into())
    }
}

impl<T> Or404<T> for QueryResult<T> {
    fn or_404(self) -> Result<T, HandlerError> {
        self.map_err(|error| or_not_found(error.into()))
    }
}

impl<T> Or404<T> for Result<T, Error> {
    fn or_404(self) -> Result<T, HandlerError> {
        self.map_err(or_not_found)
    }
}

impl<T> Or404<T> for Result<T, HandlerError> {
    fn or_404(self) -> Result<T, HandlerError> {
        self
    }
}

/// The first page is there even if it is empty, as in Flask-SQLAlchemy.
impl<T> Or404<Self> for Page<T> {
    fn or_404(self) -> Result<Self, HandlerError> {
        let is_missing = self.items.is_empty() && self.page > 1;
        if is_missing { Err(NotFound::new().into()) } else { Ok(self) }
    }
}

fn or_not_found(error: Error) -> HandlerError {
    match error {
        Error::Query(error) if matches!(error.as_diesel(), DieselError::NotFound) => {
            NotFound::new().into()
        }
        error => error.into(),
    }
}

/// Queries for one row that has to be there, named as in Flask-SQLAlchemy.
///
/// ```
/// use axum::{Json, extract::{Path, State}};
/// use diesel::prelude::*;
/// use registry_core::web::{HandlerError, Or404Dsl};
/// use registry_core::{Registry, bind_tables};
///
/// diesel::table! { users (id) { id -> Integer, name -> Text, } }
/// bind_tables!(db = "default", backend = Sqlite; users);
///
/// async fn name(
///     State(registry): State<Registry>,
///     Path(id): Path<i32>,
/// ) -> Result<Json<String>, HandlerError> {
///     Ok(Json(users::table.select(users::name).get_or_404(id, &registry).await?))
/// }
/// # let _ = name;
/// ```
pub trait Or404Dsl<E, B: 'static, Via: RouteMarker>: Sized {
    /// [`RunQueryDsl::first`], with `404 Not Found` if there is no row.
    ///
    /// # Errors
    ///
    /// [`HandlerError::NotFound`] if there is no row. Every other error keeps its own response: `503 Service
    /// Unavailable` if the database is gone.
    #[track_caller]
    fn first_or_404<'q, U>(self, on: E) -> impl Future<Output = Result<U, HandlerError>> + Send + 'q
    where
        Self: LimitDsl<Output: AsQuery<SqlType: 'static>>,
        <Limit<Self> as AsQuery>::Query: QueryFragment<LenderBackend<E, B>> + Send + 'q,
        E: Executor<<Limit<Self> as AsQuery>::Query, B, Via, Error: Into<Error>> + 'q,
        ErasedQuery<'q, LenderBackend<E, B>, <Limit<Self> as AsQuery>::SqlType>:
            LoadQuery<'q, E::Connection, U>,
        U: Send + 'static,
    {
        let running = RunQueryDsl::<E, B, Via>::first::<U>(self, on);
        async move { running.await.map_err(|error| or_not_found(error.into())) }
    }

    /// The row with this primary key, with `404 Not Found` if there is none. It is Diesel's `find`, and then
    /// [`first_or_404`](Self::first_or_404).
    ///
    /// # Errors
    ///
    /// Those of [`first_or_404`](Self::first_or_404).
    #[track_caller]
    fn get_or_404<'q, U, Id>(
        self,
        id: Id,
        on: E,
    ) -> impl Future<Output = Result<U, HandlerError>> + Send + 'q
    where
        Self: FindDsl<Id, Output: LimitDsl<Output: AsQuery<SqlType: 'static>>>,
        <Limit<Find<Self, Id>> as AsQuery>::Query: QueryFragment<LenderBackend<E, B>> + Send + 'q,
        E: Executor<<Limit<Find<Self, Id>> as AsQuery>::Query, B, Via, Error: Into<Error>> + 'q,
        ErasedQuery<'q, LenderBackend<E, B>, <Limit<Find<Self, Id>> as AsQuery>::SqlType>:
            LoadQuery<'q, E::Connection, U>,
        U: Send + 'static,
    {
        Or404Dsl::<E, B, Via>::first_or_404::<U>(FindDsl::find(self, id), on)
    }
}

impl<Q, E, B: 'static, Via: RouteMarker> Or404Dsl<E, B, Via> for Q {}
