//! The tags that the layer gives to the statements of a request.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

use super::scope_layer::ScopeLayer;
use crate::work::Scope;

/// A tag, and how it is found in a request.
#[derive(Clone)]
pub(super) struct RequestTag {
    key: &'static str,
    find: Arc<FindTag>,
}

type FindTag = dyn Fn(&Parts) -> Option<String> + Send + Sync;

impl ScopeLayer {
    /// Sets the tag `route` of the statements of each request, if the registry asks for it by
    /// [`SqlTags::route`](crate::SqlTags::route). `find` returns the pattern of the route, and not the path: each route makes
    /// prepared statements of its own.
    ///
    /// axum tells the pattern in the extension `MatchedPath` of the request, if the layer is added by `Router::layer` or
    /// `Router::route_layer`:
    ///
    /// ```
    /// use axum::Router;
    /// use axum::extract::MatchedPath;
    /// use registry_core::web::ScopeLayer;
    /// use registry_core::{Registry, SqlTags};
    ///
    /// let registry = Registry::builder()
    ///     .bind("default", "sqlite::memory:")
    ///     .sql_tags(SqlTags::new().route(true))
    ///     .build()?;
    /// let layer = ScopeLayer::new(registry).route(|parts| {
    ///     parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned())
    /// });
    /// let app: Router = Router::new().layer(layer);
    /// # let _ = app;
    /// # Ok::<(), registry_core::SettingsError>(())
    /// ```
    #[must_use]
    pub fn route(self, find: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.tag("route", find)
    }

    /// Sets the tag `controller` of the statements of each request, as [`route`](Self::route) does: for a layer on a router of
    /// its own, mostly the name of its part of the program.
    #[must_use]
    pub fn controller(
        self,
        find: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.tag("controller", find)
    }

    /// Sets any other tag of the statements of each request that the registry asks for by
    /// [`SqlTags::scope_tag`](crate::SqlTags::scope_tag). Handlers set one by [`Scope::set_tag`].
    #[must_use]
    pub fn tag(
        mut self,
        key: &'static str,
        find: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.tags.push(RequestTag { key, find: Arc::new(find) });
        self
    }
}

/// Sets the tags of the scope of a request.
pub(super) fn set_tags(tags: &[RequestTag], parts: &Parts, scope: &Scope) {
    for RequestTag { key, find } in tags {
        if let Some(value) = find(parts) {
            scope.set_tag(key, value);
        }
    }
}

impl fmt::Debug for RequestTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestTag").field("key", &self.key).finish_non_exhaustive()
    }
}
