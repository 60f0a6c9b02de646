//! The exchange of tokens with clients: what a request brings, and what its response hands out.

use std::time::Duration;

use axum_core::response::Response;
use http::header::{COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::token::{InvalidToken, Token, TokenKey};
use crate::work::Scope;

/// How long a response waits for the positions of writes that were not those of a unit of work. After that, the token says
/// that they are unknown, and the client's next reads go to the primary.
const PLACING_LIMIT: Duration = Duration::from_secs(1);

/// The most bytes of a cookie's name and value that browsers keep.
const MAX_LEN: usize = 4096;

/// Reads tokens from requests and writes them into responses.
#[derive(Debug)]
pub(super) struct TokenExchange {
    pub(super) key: TokenKey,
    pub(super) header: Option<HeaderName>,
    pub(super) cookie: Option<Cookie>,
}

#[derive(Debug)]
pub(super) struct Cookie {
    pub(super) name: String,
    /// What follows the value in `Set-Cookie`.
    pub(super) attributes: String,
}

impl TokenExchange {
    /// The token after which the client wants to read: that of the header and of the cookie, merged.
    ///
    /// A value that was not signed with the key is ignored, as it is the client's alone. Positions of binds and tenants that this
    /// program does not know are kept: they change no read, and a service with the same key may have handed them out, whose
    /// cookie the response is about to replace.
    pub(super) fn brought(&self, parts: &Parts) -> Token {
        let mut token = Token::default();
        let header = self.header.iter().flat_map(|name| header_values(&parts.headers, name));
        let cookie =
            self.cookie.iter().flat_map(|cookie| cookie_values(&parts.headers, &cookie.name));
        for value in header.chain(cookie).filter(|value| !value.is_empty()) {
            let verified = std::str::from_utf8(value)
                .map_err(|_| InvalidToken::Form)
                .and_then(|text| Token::verified(text, &self.key));
            match verified {
                Ok(brought) => token.merge(&brought),
                Err(error) => {
                    tracing::debug!(target: "registry", %error, "a request brought a token that is ignored");
                }
            }
        }
        token
    }

    /// Hands out the token of the scope, if the scope has written.
    pub(super) async fn hand_out(&self, scope: &Scope, response: &mut Response) {
        let writes = scope.writes();
        if !writes.has_written() {
            return;
        }
        // The limit is also that of each database alone, which is why the token is complete most of the time.
        let placed = tokio::time::timeout(PLACING_LIMIT, writes.placed_token(PLACING_LIMIT)).await;
        let token = placed.unwrap_or_else(|_| writes.token());
        if token.is_empty() {
            return;
        }
        let Some(signed) = self.signed(token) else {
            tracing::warn!(
                target: "registry",
                "a response has no token, as it would be longer than the {MAX_LEN} bytes that clients keep: the next \
                 requests of the client may not see what this one has written"
            );
            return;
        };
        let headers = response.headers_mut();
        if let (Some(name), Ok(value)) = (&self.header, HeaderValue::try_from(signed.as_str())) {
            headers.insert(name, value);
        }
        if let Some(Cookie { name, attributes }) = &self.cookie
            && let Ok(value) = HeaderValue::try_from(format!("{name}={signed}{attributes}"))
        {
            headers.append(SET_COOKIE, value);
        }
    }

    /// The text that a client keeps. If it would be too long, it says of each database only that something was written.
    fn signed(&self, token: Token) -> Option<String> {
        let name_len = self.cookie.as_ref().map_or(0, |cookie| cookie.name.len() + 1);
        let fits = |signed: &String| name_len + signed.len() <= MAX_LEN;
        let signed = token.signed(&self.key);
        Some(signed)
            .filter(fits)
            .or_else(|| Some(token.without_positions().signed(&self.key)).filter(fits))
    }
}

/// The values of a header. Proxies may join several of them with commas, which no token has.
fn header_values<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'h [u8]> + use<'h> {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// The values of a cookie: there are several if it was set for several paths.
fn cookie_values<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    // As bytes: the other cookies need not be ASCII.
    let pairs = headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.trim_ascii_start();
        let value = value.strip_prefix(b"=")?.trim_ascii();
        let is_quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(is_quoted.unwrap_or(value))
    })
}
