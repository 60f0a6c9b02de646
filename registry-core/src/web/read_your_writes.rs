//! The settings of read-your-writes for clients: where a token is carried, and by which key it is signed.

use std::time::Duration;

use http::HeaderName;

use super::token_exchange::{Cookie, TokenExchange};
use crate::registry::Registry;
use crate::token::TokenKey;

const HEADER: HeaderName = HeaderName::from_static("x-read-after");
const COOKIE: &str = "read_after";
const MAX_AGE: Duration = Duration::from_secs(60);

/// How clients carry the token after which their next requests read: for
/// [`ScopeLayer::read_your_writes`](super::ScopeLayer::read_your_writes).
///
/// | setting | default |
/// |---|---|
/// | [`header`](Self::header) | `x-read-after` |
/// | [`cookie`](Self::cookie) | `read_after`, with `HttpOnly` and `SameSite=Lax` |
/// | [`max_age`](Self::max_age) of the cookie | 60 s |
/// | [`path`](Self::path) of the cookie | `/` |
/// | [`secure`](Self::secure) of the cookie | off |
/// | [`key`](Self::key) | the `token_key` of the settings |
///
/// ```
/// use std::time::Duration;
/// use registry_core::Registry;
/// use registry_core::web::{ReadYourWrites, ScopeLayer};
///
/// # let secret = || "0123456789abcdef".to_owned();
/// // token_key_file = "/run/secrets/token_key" in the settings, or:
/// let registry = Registry::builder().bind("default", "sqlite::memory:").token_key(secret()).build()?;
/// let carried = ReadYourWrites::new().secure(true).max_age(Duration::from_secs(120));
/// let layer = ScopeLayer::new(registry).read_your_writes(carried)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "it has an effect only in `ScopeLayer::read_your_writes`"]
pub struct ReadYourWrites {
    key: Option<TokenKey>,
    header: Option<HeaderName>,
    cookie: Option<String>,
    max_age: Duration,
    path: String,
    is_secure: bool,
}

/// The settings of [`ReadYourWrites`] cannot work. Returned when the layer is made, so before the first request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidReadYourWrites {
    /// There is no key, and tokens that are not signed could be forged.
    #[error(
        "there is no key to sign tokens with: set `token_key` or `token_key_file` in the settings, or call \
         `ReadYourWrites::key`; with a layer of tenants, call `ReadYourWrites::key_of(&registry)`"
    )]
    NoKey,
    /// Both the header and the cookie are switched off.
    #[error("the header and the cookie are both switched off, so no client would get a token")]
    NotCarried,
    /// The name of the cookie is not allowed.
    #[error("`{0}` cannot be the name of a cookie")]
    CookieName(String),
    /// The path of the cookie does not begin with a slash, or has a character that is not allowed there.
    #[error("`{0}` cannot be the path of a cookie")]
    CookiePath(String),
    /// Browsers refuse the cookie, because the prefix of its name promises attributes that it does not have.
    #[error(
        "browsers refuse the cookie `{0}`: `__Secure-` needs `secure(true)`, and `__Host-` also the path `/`"
    )]
    CookiePrefix(String),
}

impl Default for ReadYourWrites {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadYourWrites {
    /// In a header and in a cookie, signed with the `token_key` of the settings.
    pub fn new() -> Self {
        Self {
            key: None,
            header: Some(HEADER),
            cookie: Some(COOKIE.to_owned()),
            max_age: MAX_AGE,
            path: "/".to_owned(),
            is_secure: false,
        }
    }

    /// Signs with this key, instead of the `token_key` of the settings.
    ///
    /// ```
    /// use registry_core::web::{ReadYourWrites, ScopeLayer};
    /// use registry_core::{Registry, TokenKey};
    ///
    /// # let secret = || "0123456789abcdef".to_owned();
    /// let registry = Registry::builder().bind("default", "sqlite::memory:").build()?;
    /// let carried = ReadYourWrites::new().key(TokenKey::new(secret())?);
    /// let layer = ScopeLayer::new(registry).read_your_writes(carried)?;
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(mut self, key: TokenKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Signs with the `token_key` of the settings of this registry, if they have one. Only a layer of tenants needs it:
    /// that layer knows the registry of a request only when the request has arrived.
    ///
    /// ```
    /// use axum::http::request::Parts;
    /// use registry_core::Registry;
    /// use registry_core::web::{ReadYourWrites, ScopeLayer};
    ///
    /// # let secret = || "0123456789abcdef".to_owned();
    /// let builder = Registry::builder().bind("default", "sqlite:///srv/{tenant}.db");
    /// let registry = builder.token_key(secret()).build()?;
    /// let carried = ReadYourWrites::new().key_of(&registry);
    /// let layer = ScopeLayer::per_tenant(move |parts: &Parts| {
    ///     Some(registry.tenant(parts.headers.get("x-tenant")?.to_str().ok()?))
    /// });
    /// let layer = layer.read_your_writes(carried)?;
    /// # let _ = layer;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_of(mut self, registry: &Registry) -> Self {
        self.key = registry.token_key().cloned();
        self
    }

    /// The name of the header, in requests and in responses: `x-read-after` by default. `None` switches it off.
    ///
    /// JavaScript of another origin can read the header only if the response names it in `Access-Control-Expose-Headers`.
    ///
    /// ```
    /// use axum::http::HeaderName;
    /// use registry_core::web::ReadYourWrites;
    ///
    /// let named = ReadYourWrites::new().header(HeaderName::from_static("x-shop-after"));
    /// let only_cookie = ReadYourWrites::new().header(None);
    /// # let _ = (named, only_cookie);
    /// ```
    pub fn header(mut self, name: impl Into<Option<HeaderName>>) -> Self {
        self.header = name.into();
        self
    }

    /// The name of the cookie, in requests and in responses: `read_after` by default. `None` switches it off.
    ///
    /// ```
    /// use registry_core::web::ReadYourWrites;
    ///
    /// let named = ReadYourWrites::new().cookie("shop_after");
    /// let only_header = ReadYourWrites::new().cookie(None);
    /// # let _ = (named, only_header);
    /// ```
    pub fn cookie<'n>(mut self, name: impl Into<Option<&'n str>>) -> Self {
        self.cookie = name.into().map(str::to_owned);
        self
    }

    /// How long a browser keeps the cookie after the last write, in whole seconds, rounded up: 60 s by default. It should
    /// be longer than replicas usually lag, for a client that is back later may read what is older than its own write.
    ///
    /// ```
    /// use std::time::Duration;
    /// use registry_core::web::ReadYourWrites;
    ///
    /// let carried = ReadYourWrites::new().max_age(Duration::from_secs(600));
    /// # let _ = carried;
    /// ```
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Whether a browser sends the cookie over HTTPS only: `false` by default, so that it works on a laptop. The token
    /// tells nothing of the data, and cannot be changed.
    ///
    /// ```
    /// let carried = registry_core::web::ReadYourWrites::new().secure(true).cookie("__Secure-read_after");
    /// # let _ = carried;
    /// ```
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// The path below which a browser sends the cookie: `/` by default.
    ///
    /// ```
    /// let carried = registry_core::web::ReadYourWrites::new().path("/shop");
    /// # let _ = carried;
    /// ```
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Checks everything. `registry` is that of the layer, if it has one.
    pub(super) fn build(
        self,
        registry: Option<&Registry>,
    ) -> Result<TokenExchange, InvalidReadYourWrites> {
        let Self { key, header, cookie, max_age, path, is_secure } = self;
        let key = key.or_else(|| registry?.token_key().cloned());
        let key = key.ok_or(InvalidReadYourWrites::NoKey)?;
        if header.is_none() && cookie.is_none() {
            return Err(InvalidReadYourWrites::NotCarried);
        }
        let cookie = match cookie {
            Some(name) => Some(checked_cookie(name, max_age, path, is_secure)?),
            None => None,
        };
        Ok(TokenExchange { key, header, cookie })
    }
}

fn checked_cookie(
    name: String,
    max_age: Duration,
    path: String,
    is_secure: bool,
) -> Result<Cookie, InvalidReadYourWrites> {
    // RFC 6265, section 4.1.1: a cookie's name has the characters of a header's.
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(InvalidReadYourWrites::CookieName(name));
    }
    let is_in_path = |byte: u8| matches!(byte, b' '..=b'~') && byte != b';';
    if !path.starts_with('/') || !path.bytes().all(is_in_path) {
        return Err(InvalidReadYourWrites::CookiePath(path));
    }
    // Browsers compare the prefixes without regard to case.
    let has_prefix = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let is_refused = has_prefix("__Secure-") && !is_secure
        || has_prefix("__Host-") && (!is_secure || path != "/");
    if is_refused {
        return Err(InvalidReadYourWrites::CookiePrefix(name));
    }
    let seconds = max_age.as_secs().saturating_add(u64::from(max_age.subsec_nanos() > 0));
    let secure = if is_secure { "; Secure" } else { "" };
    let attributes = format!("; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    Ok(Cookie { name, attributes })
}
