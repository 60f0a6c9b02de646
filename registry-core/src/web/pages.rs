//! Pages: which one a request asks for, and links to its neighbours.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::{Display, Write};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponseParts, ResponseParts};
use http::header::LINK;
use http::request::Parts;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::query::paginate::{Cursor, CursorPage, InvalidCursor, InvalidPage, Page, PageRequest};

const PAGE: &str = "page";
const PER_PAGE: &str = "per_page";
const AFTER: &str = "after";

/// How many rows a client may ask for on one page: `per_page`, if a request does not say it, and the upper limit.
///
/// The defaults are 20 and 100, those of Flask-SQLAlchemy. Other limits are an extension of the request:
///
/// ```
/// use axum::{Extension, Router};
/// use registry_core::web::PageLimits;
///
/// let app: Router = Router::new().layer(Extension(PageLimits::new(50, 500)));
/// # let _ = app;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    per_page: i64,
    max_per_page: i64,
}

impl PageLimits {
    /// Limits of `per_page` rows, if a request does not say it, and of `max_per_page` rows at the most. A number below
    /// 1 is taken as 1.
    #[must_use]
    pub const fn new(per_page: i64, max_per_page: i64) -> Self {
        let max_per_page = if max_per_page < 1 { 1 } else { max_per_page };
        let per_page = if per_page < 1 { 1 } else { per_page };
        Self {
            per_page: if per_page > max_per_page { max_per_page } else { per_page },
            max_per_page,
        }
    }
}

impl Default for PageLimits {
    fn default() -> Self {
        Self::new(PageRequest::PER_PAGE, 100)
    }
}

/// The page that a request asks for with `?page=2&per_page=50`. Without them, the first page with 20 rows.
///
/// A `per_page` above the limit of the [`PageLimits`](super::PageLimits), 100, is taken as the limit, as in
/// Flask-SQLAlchemy. [`Page::per_page`] tells what was taken.
///
/// # Errors
///
/// The handler does not run, and the response is `404 Not Found`, as in Flask-SQLAlchemy: if `page` or `per_page` is
/// not a number, is below 1 or is there twice.
impl<S: Sync> FromRequestParts<S> for PageRequest {
    type Rejection = InvalidPage;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, InvalidPage> {
        let limits = parts.extensions.get::<PageLimits>().copied().unwrap_or_default();
        let query = parts.uri.query().unwrap_or_default();
        let number = |name| match single(query, name) {
            None => Ok(None),
            Some(text) => text.and_then(|text| text.parse::<i64>().ok()).map(Some).ok_or(name),
        };
        let page = number(PAGE).map_err(InvalidPage::no_number)?;
        let per_page = number(PER_PAGE).map_err(InvalidPage::no_number)?;
        let per_page = per_page.unwrap_or(limits.per_page).min(limits.max_per_page);
        Self::new(page.unwrap_or(1), per_page)
    }
}

/// The cursor that a request has in `?after=..`.
///
/// # Errors
///
/// The handler does not run, and the response is `400 Bad Request`: if the request has no cursor, several or an invalid
/// one. Take `Option<Cursor<K>>` for requests that may have none.
impl<S: Sync, K: DeserializeOwned> FromRequestParts<S> for Cursor<K> {
    type Rejection = InvalidCursor;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, InvalidCursor> {
        cursor_of(parts).unwrap_or(Err(InvalidCursor::new()))
    }
}

/// The cursor that a request has in `?after=..`, or `None` without one.
///
/// # Errors
///
/// The handler does not run, and the response is `400 Bad Request`: if the request has an invalid cursor, or several.
impl<S: Sync, K: DeserializeOwned> OptionalFromRequestParts<S> for Cursor<K> {
    type Rejection = InvalidCursor;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, InvalidCursor> {
        cursor_of(parts).transpose()
    }
}

fn cursor_of<K: DeserializeOwned>(parts: &Parts) -> Option<Result<Cursor<K>, InvalidCursor>> {
    let text = single(parts.uri.query().unwrap_or_default(), AFTER)?;
    Some(text.ok_or(InvalidCursor::new()).and_then(|text| text.parse()))
}

/// The value of a parameter. `None` if it is not there, `Some(None)` if it is there twice or is no text.
fn single<'q>(query: &'q str, name: &str) -> Option<Option<Cow<'q, str>>> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        is_named(key, name).then_some(value)
    });
    let value = values.next()?;
    let is_only = values.next().is_none();
    // A `+` stands for a space, which no number and no cursor has, and is none here either.
    Some(percent_decode_str(value).decode_utf8().ok().filter(|_| is_only))
}

/// Whether the key of a pair, as it is written, is this name.
fn is_named(key: &str, name: &str) -> bool {
    percent_decode_str(key).eq(name.bytes())
}

/// A `Link` header with the neighbours of a page ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)), as a part of a
/// response.
///
/// The relations are `first`, `prev`, `next` and `last` for a [`Page`], and `first` and `next` for a [`CursorPage`].
/// Each link is a reference relative to the address of the request, such as `<?page=3&per_page=20>`, so it is right
/// behind a proxy and in a nested router. It keeps the other parameters of the request.
///
/// ```
/// use axum::extract::State;
/// use axum::http::Uri;
/// use axum::response::IntoResponse;
/// use axum::Json;
/// use diesel::prelude::*;
/// use registry_core::query::paginate::{PageRequest, PaginateDsl};
/// use registry_core::web::{HandlerError, Or404, PageLinks};
/// use registry_core::{Registry, bind_tables};
///
/// diesel::table! { users (id) { id -> Integer, name -> Text, } }
/// bind_tables!(db = "default", backend = Sqlite; users);
///
/// async fn names(
///     State(registry): State<Registry>,
///     page: PageRequest,
///     uri: Uri,
/// ) -> Result<impl IntoResponse, HandlerError> {
///     let names = users::table.select(users::name).order(users::id);
///     let page = names.paginate(page).load::<String>(&registry).await?.or_404()?;
///     Ok((PageLinks::new(&page, &uri), Json(page)))
/// }
/// # let _ = names;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLinks {
    header: String,
}

impl PageLinks {
    /// The links of `page`, which was asked for at `uri`.
    #[must_use]
    pub fn new(page: &impl Linked, uri: &Uri) -> Self {
        let mut links = Self { header: String::new() };
        page.add_links(&mut links, uri.query().unwrap_or_default());
        links
    }

    /// Adds a link to the same address with these parameters, in place of those in the query with their names.
    fn add(&mut self, relation: &str, query: &str, parameters: &[(&str, Option<&dyn Display>)]) {
        let is_kept = |pair: &&str| {
            let key = pair.split('=').next().unwrap_or_default();
            !pair.is_empty() && !parameters.iter().any(|(name, _)| is_named(key, name))
        };
        let kept = query.split('&').filter(is_kept).map(Cow::Borrowed);
        let values = parameters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let added = values.map(|(name, value)| Cow::Owned(format!("{name}={value}")));
        // A `>` would end the reference.
        let query = kept.chain(added).collect::<Vec<_>>().join("&").replace('>', "%3E");
        let separator = if self.header.is_empty() { "" } else { ", " };
        // Writing to a `String` does not fail.
        let _ = write!(self.header, "{separator}<?{query}>; rel=\"{relation}\"");
    }
}

impl IntoResponseParts for PageLinks {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        // The query of a request consists of characters that a header can have.
        if let Ok(value) = HeaderValue::from_str(&self.header) {
            response.headers_mut().append(LINK, value);
        }
        Ok(response)
    }
}

/// A page that has links: a [`Page`] or a [`CursorPage`].
pub trait Linked: sealed::AddLinks {}

impl<T> Linked for Page<T> {}

impl<T, K: Serialize> Linked for CursorPage<T, K> {}

mod sealed {
    use super::*;

    pub trait AddLinks {
        fn add_links(&self, links: &mut PageLinks, query: &str);
    }

    impl<T> AddLinks for Page<T> {
        fn add_links(&self, links: &mut PageLinks, query: &str) {
            let last = self.pages().max(1);
            let pages = [
                ("first", Some(1)),
                ("prev", self.prev_page()),
                ("next", self.next_page()),
                ("last", Some(last)),
            ];
            for (relation, page) in pages {
                if let Some(page) = &page {
                    let parameters: [(_, Option<&dyn Display>); 2] =
                        [(PAGE, Some(page)), (PER_PAGE, Some(&self.per_page))];
                    links.add(relation, query, &parameters);
                }
            }
        }
    }

    impl<T, K: Serialize> AddLinks for CursorPage<T, K> {
        fn add_links(&self, links: &mut PageLinks, query: &str) {
            links.add("first", query, &[(AFTER, None)]);
            if let Some(next) = &self.next {
                links.add("next", query, &[(AFTER, Some(next))]);
            }
        }
    }
}
