//! A scope around each request.

use std::panic::Location;
use std::task::{Context, Poll};

use axum_core::extract::Request;
use axum_core::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::StatusCode;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::Error;
use crate::registry::Registry;
use crate::work::WorkOptions;

/// Gives each request a [`Scope`](crate::Scope), in which the handler and what it calls share one
/// unit of work.
///
/// It is committed if the status of the response is below 400, before the response is sent; a
/// commit that fails becomes the response. Otherwise, and if the client goes away before that, it
/// is rolled back. A body that is streamed is made after the end of the scope.
#[derive(Debug, Clone)]
pub struct ScopeLayer {
    registry: Registry,
    commits: bool,
    options: Option<WorkOptions>,
    made_at: &'static Location<'static>,
}

impl ScopeLayer {
    /// A layer that commits after a success.
    #[must_use]
    #[track_caller]
    pub fn new(registry: Registry) -> Self {
        Self { registry, commits: true, options: None, made_at: Location::caller() }
    }

    /// Whether the unit of work is committed after a success. If not, handlers commit by
    /// [`Scope::commit`](crate::Scope::commit), and what they leave open is rolled back, as in Flask-SQLAlchemy.
    #[must_use]
    pub fn commit_on_success(mut self, commits: bool) -> Self {
        self.commits = commits;
        self
    }

    /// The options of each request's units of work, in place of those that were given to the builder of the registry.
    #[must_use]
    pub fn work_options(mut self, options: WorkOptions) -> Self {
        self.options = Some(options);
        self
    }
}

impl<S> Layer<S> for ScopeLayer {
    type Service = ScopeService<S>;

    fn layer(&self, inner: S) -> ScopeService<S> {
        ScopeService { inner, layer: self.clone() }
    }
}

/// What [`ScopeLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct ScopeService<S> {
    inner: S,
    layer: ScopeLayer,
}

impl<S> Service<Request> for ScopeService<S>
where
    S: Service<Request, Response: IntoResponse, Future: Send> + Clone + Send + 'static,
    S::Error: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let ScopeLayer { registry, commits, options, made_at } = self.layer.clone();
        // The one that is ready.
        let other = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, other);
        Box::pin(async move {
            let scope = registry.new_scope_at(options, made_at);
            request.extensions_mut().insert(scope.clone());
            request.extensions_mut().insert(registry);
            let ending = scope.clone();
            let handled = async {
                let response = inner.call(request).await?.into_response();
                let is_success =
                    !response.status().is_client_error() && !response.status().is_server_error();
                if commits && is_success {
                    // Committed in a task of its own: a client that goes away now must not leave one database
                    // committed and the next one not.
                    let unit = match scope.take_to_commit().await {
                        Ok(unit) => unit,
                        // Something of the response still has it.
                        Err(error) => return Ok(Error::from(error).into_response()),
                    };
                    let committed = tokio::spawn(unit.commit()).await;
                    if let Ok(Err(error)) = committed {
                        return Ok(error.into_response());
                    }
                    if committed.is_err() {
                        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
                    }
                }
                Ok(response)
            };
            ending.run(handled).await
        })
    }
}
