//! The HTTP client of the exporters.

use std::time::Duration;

use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests on the runtime of the program. The SDK exports on threads of its own, where Tokio's sockets do not work.
///
/// The default features of `opentelemetry-otlp` have another client, which needs no such help, and all of `reqwest`.
#[derive(Debug, Clone)]
pub(crate) struct CollectorClient {
    runtime: Handle,
    client: HyperClient,
}

impl CollectorClient {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime, client: HyperClient::with_default_connector(TIMEOUT, None) }
    }
}

#[async_trait::async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
