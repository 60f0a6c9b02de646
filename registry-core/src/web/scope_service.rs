//! The service that runs each request in its scope.

use std::task::{Context, Poll};

use axum_core::extract::Request;
use axum_core::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::StatusCode;
use tower_layer::Layer;
use tower_service::Service;

use super::scope_layer::ScopeLayer;
use super::scope_tags::set_tags;
use super::server_timing::tell_timing;
use crate::error::Error;

impl<S> Layer<S> for ScopeLayer {
    type Service = ScopeService<S>;

    fn layer(&self, inner: S) -> ScopeService<S> {
        ScopeService { inner, layer: self.clone() }
    }
}

/// A service that gives each request a scope. [`ScopeLayer`] wraps another service in it.
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

    fn call(&mut self, request: Request) -> Self::Future {
        let layer = self.layer.clone();
        // Only `self.inner` was polled by `poll_ready`, so it serves this request, and the clone serves the next request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let scope = match layer.scope_for(&parts).await {
                Ok(scope) => scope,
                Err(response) => return Ok(*response),
            };
            if let Some(tokens) = &layer.tokens {
                scope.writes().read_after(&tokens.brought(&parts));
            }
            set_tags(&layer.tags, &parts, &scope);
            if layer.tells_timing {
                scope.telemetry().start_timing();
            }
            parts.extensions.insert(scope.registry().clone());
            parts.extensions.insert(scope.clone());
            let request = Request::from_parts(parts, body);
            let (ending, told) = (scope.clone(), scope.clone());
            let handled = async {
                let response = inner.call(request).await?.into_response();
                let is_success =
                    !response.status().is_client_error() && !response.status().is_server_error();
                if layer.commits_on_success && is_success {
                    let unit = match scope.take_to_commit().await {
                        Ok(unit) => unit,
                        // The response still holds the unit of work.
                        Err(error) => return Ok(Error::from(error).into_response()),
                    };
                    // The server drops this future if the client disconnects. The commit runs in a separate task, so
                    // that a disconnect does not stop it between two databases.
                    let committed = tokio::spawn(unit.commit()).await;
                    if let Ok(Err(error)) = committed {
                        return Ok(error.into_response());
                    }
                    // The task has panicked.
                    if committed.is_err() {
                        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
                    }
                }
                Ok(response)
            };
            let mut response = ending.run(handled).await?;
            if let Some(tokens) = &layer.tokens {
                tokens.hand_out(&told, &mut response).await;
            }
            if layer.tells_timing {
                tell_timing(&told, &mut response);
            }
            Ok(response)
        })
    }
}
