//! Which errors of a database are the client's, and what their responses say.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use diesel::result::DatabaseErrorKind;
use diesel::result::Error as DieselError;
use futures_util::future::BoxFuture;
use http::StatusCode;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::Error;
use crate::work::WorkFailure;

/// Which violations of constraints are the client's fault, and what the responses to errors say.
///
/// Without a policy, a violated constraint is `500 Internal Server Error`, because a server should have checked its
/// input, and the body of each error is the text of its status. A policy changes both for the [`Error`]s behind its
/// [`ErrorLayer`], and nothing else: no text of the database, no name of a table or constraint and no value ever gets
/// into a body.
///
/// ```
/// use axum::http::StatusCode;
/// use axum::{Router, extract::Path, routing::put};
/// use diesel::prelude::*;
/// use registry_core::web::{ErrorLayer, ErrorPolicy, ScopeLayer};
/// use registry_core::{CurrentWork, Error, Registry, RunQueryDsl, bind_tables};
/// # use registry_core::BindDsl;
///
/// diesel::table! { users (name) { name -> Text, } }
/// bind_tables!(db = "default", backend = Sqlite; users);
///
/// async fn add(Path(name): Path<String>, mut work: CurrentWork) -> Result<StatusCode, Error> {
///     diesel::insert_into(users::table).values(users::name.eq(name)).execute(&mut *work).await?;
///     Ok(StatusCode::CREATED)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use tower_service::Service;
/// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
/// # let create = "CREATE TABLE users (name TEXT PRIMARY KEY)";
/// # diesel::sql_query(create).bound_to::<users::table>().execute(&registry).await?;
/// let policy = ErrorPolicy::new().unique_violation(StatusCode::CONFLICT);
/// let mut app: Router = Router::new()
///     .route("/users/{name}", put(add))
///     .layer(ScopeLayer::new(registry))
///     .layer(ErrorLayer::new(policy)); // around the `ScopeLayer`, whose commits can fail too
/// # for status in [201, 409] {
/// #     let request = axum::http::Request::put("/users/ada").body(axum::body::Body::empty())?;
/// #     assert_eq!(app.call(request).await?.status(), status);
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # What is recognised
///
/// The kind of an error is Diesel's [`DatabaseErrorKind`], which PostgreSQL and SQLite tell for all of them. MySQL's
/// check violations are recognised, and MariaDB's are not (code 4025, which diesel-async does not know), so they stay
/// 500. Only PostgreSQL tells the name of the constraint. A constraint that is deferred fails at the commit, and is
/// recognised if nothing was committed.
#[derive(Clone, Default)]
pub struct ErrorPolicy {
    unique: Option<StatusCode>,
    foreign_key: Option<StatusCode>,
    check: Option<StatusCode>,
    not_null: Option<StatusCode>,
    exclusion: Option<StatusCode>,
    constraints: HashMap<Cow<'static, str>, (StatusCode, Cow<'static, str>)>,
    body: Option<Arc<RenderBody>>,
}

type RenderBody = dyn Fn(StatusCode, &str) -> Response + Send + Sync;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident $field:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// A status below 400 is not taken, since it would be a success.
        #[must_use]
        pub fn $name(self, status: StatusCode) -> Self {
            Self { $field: error_status(status).or(self.$field), ..self }
        }
    )*};
}

/// The status, if it is one of an error. `ScopeLayer` commits after every other.
fn error_status(status: StatusCode) -> Option<StatusCode> {
    (status.is_client_error() || status.is_server_error()).then_some(status)
}

impl ErrorPolicy {
    /// A policy that changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A policy for servers that leave checks to the database: `409 Conflict` for unique, foreign key and exclusion
    /// constraints, `422 Unprocessable Entity` for check and not-null constraints.
    #[must_use]
    pub fn client_errors() -> Self {
        Self::new()
            .unique_violation(StatusCode::CONFLICT)
            .foreign_key_violation(StatusCode::CONFLICT)
            .exclusion_violation(StatusCode::CONFLICT)
            .check_violation(StatusCode::UNPROCESSABLE_ENTITY)
            .not_null_violation(StatusCode::UNPROCESSABLE_ENTITY)
    }

    statuses! {
        /// The status for a violated unique constraint or primary key.
        unique_violation unique;
        /// The status for a violated foreign key, also one with `ON DELETE RESTRICT`.
        foreign_key_violation foreign_key;
        /// The status for a violated check constraint.
        check_violation check;
        /// The status for `NULL`, or nothing, in a column that is `NOT NULL`.
        not_null_violation not_null;
        /// The status for a violated exclusion constraint of PostgreSQL.
        exclusion_violation exclusion;
    }

    /// The status and the text of the response if the constraint `name` is violated, before the status of its kind.
    ///
    /// Only PostgreSQL tells the names of constraints, so this has no effect on other databases. A status below 400 is
    /// not taken.
    #[must_use]
    pub fn constraint(
        mut self,
        name: impl Into<Cow<'static, str>>,
        status: StatusCode,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        if let Some(status) = error_status(status) {
            self.constraints.insert(name.into(), (status, text.into()));
        }
        self
    }

    /// How the response to an error is made: from its status, and its text. The text is the one given to
    /// [`constraint`](Self::constraint) or [`NotFound`](super::NotFound), otherwise that of the status, such as
    /// `Conflict`.
    ///
    /// The status of the response is the one that was given, whatever `render` makes of it. Responses that are not made
    /// of an error of this crate are not touched.
    ///
    /// ```
    /// use axum::Json;
    /// use axum::response::IntoResponse;
    /// use registry_core::web::ErrorPolicy;
    ///
    /// let policy = ErrorPolicy::new()
    ///     .body(|_, text| Json(serde_json::json!({ "error": text })).into_response());
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn body(
        self,
        render: impl Fn(StatusCode, &str) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self { body: Some(Arc::new(render)), ..self }
    }

    /// The status and the text of the response, if the error is the client's.
    fn answer(&self, error: &Error) -> Option<(StatusCode, Option<&str>)> {
        let DieselError::DatabaseError(kind, information) = database_error(error)? else {
            return None;
        };
        let status = match kind {
            DatabaseErrorKind::UniqueViolation => self.unique,
            DatabaseErrorKind::ForeignKeyViolation | DatabaseErrorKind::RestrictViolation => {
                self.foreign_key
            }
            DatabaseErrorKind::CheckViolation => self.check,
            DatabaseErrorKind::NotNullViolation => self.not_null,
            DatabaseErrorKind::ExclusionViolation => self.exclusion,
            _ => return None,
        };
        let constraint = information.constraint_name().and_then(|name| self.constraints.get(name));
        match constraint {
            Some((status, text)) => Some((*status, Some(text))),
            None => status.map(|status| (status, None)),
        }
    }
}

/// Diesel's error, if a query has failed, or a commit of which nothing is committed.
fn database_error(error: &Error) -> Option<&DieselError> {
    match error {
        Error::Query(error) => Some(error.as_diesel()),
        Error::Commit(error) if error.is_rolled_back() => match error.failed()?.1 {
            WorkFailure::Database(error) => Some(error),
            WorkFailure::Work(_) => None,
        },
        _ => None,
    }
}

impl fmt::Debug for ErrorPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unique, foreign_key, check, not_null, exclusion, constraints, body } = self;
        f.debug_struct("ErrorPolicy")
            .field("unique", unique)
            .field("foreign_key", foreign_key)
            .field("check", check)
            .field("not_null", not_null)
            .field("exclusion", exclusion)
            .field("constraints", constraints)
            .field("has_body", &body.is_some())
            .finish()
    }
}

tokio::task_local! {
    /// The policy of the request that the task serves.
    static POLICY: Arc<ErrorPolicy>;
}

fn with_policy<T>(read: impl FnOnce(&ErrorPolicy) -> Option<T>) -> Option<T> {
    POLICY.try_with(|policy| read(policy)).ok().flatten()
}

/// The status and the text for an error that is the client's, by the policy of the current request.
pub(super) fn answer_by_policy(error: &Error) -> Option<(StatusCode, Option<String>)> {
    with_policy(|policy| {
        let (status, text) = policy.answer(error)?;
        Some((status, text.map(str::to_owned)))
    })
}

/// The response with this status, and with this text or that of the status.
pub(super) fn rendered(status: StatusCode, text: Option<&str>) -> Response {
    let text = text.or_else(|| status.canonical_reason()).unwrap_or_default();
    let render = with_policy(|policy| policy.body.clone());
    let mut response = match render {
        Some(render) => render(status, text),
        None => Body::from(text.to_owned()).into_response(),
    };
    *response.status_mut() = status;
    response
}

/// Applies an [`ErrorPolicy`] to the errors of the services in it.
///
/// Add it after the [`ScopeLayer`](super::ScopeLayer), so that it is around it and sees its errors as well. The policy
/// holds in the task that serves the request: a response that a handler makes in a spawned task has no policy.
#[derive(Debug, Clone)]
pub struct ErrorLayer(Arc<ErrorPolicy>);

impl ErrorLayer {
    /// A layer with this policy.
    #[must_use]
    pub fn new(policy: ErrorPolicy) -> Self {
        Self(Arc::new(policy))
    }
}

impl<S> Layer<S> for ErrorLayer {
    type Service = ErrorService<S>;

    fn layer(&self, inner: S) -> ErrorService<S> {
        ErrorService { inner, policy: Arc::clone(&self.0) }
    }
}

/// A service whose errors are responses by an [`ErrorPolicy`]. [`ErrorLayer`] wraps another service in it.
#[derive(Debug, Clone)]
pub struct ErrorService<S> {
    inner: S,
    policy: Arc<ErrorPolicy>,
}

impl<S, R> Service<R> for ErrorService<S>
where
    S: Service<R, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // Only `self.inner` was polled by `poll_ready`, so it serves this request, and the clone serves the next
        // request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let policy = Arc::clone(&self.policy);
        Box::pin(POLICY.scope(policy, async move { inner.call(request).await }))
    }
}
