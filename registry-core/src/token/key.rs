//! The key that signs tokens which clients keep.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::{InvalidToken, Token};

/// The shortest secret.
const MIN_LEN: usize = 16;

/// How many bytes of the HMAC are kept: 128 bits, half of it (RFC 2104, section 5).
const MAC_LEN: usize = 16;

/// Signs tokens that clients keep, with HMAC-SHA-256, so that a client can neither make nor change one.
///
/// Every process of a service has to have the same secret. It is never shown.
///
/// ```
/// use registry_core::{Token, TokenKey};
///
/// let key = TokenKey::new("0123456789abcdef")?;
/// let token: Token = "shop:p1f.1.16b3748".parse()?;
/// let cookie = token.signed(&key);
/// assert_eq!(Token::verified(&cookie, &key)?, token);
/// assert!(Token::verified("shop:p1f.1.16b3749", &key).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenKey(SecretString);

/// The secret is too short to sign tokens with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key for tokens has at least {MIN_LEN} bytes, and this has {len}")]
#[non_exhaustive]
pub struct WeakTokenKey {
    /// Its length, in bytes.
    pub len: usize,
}

impl TokenKey {
    /// The key with this secret.
    ///
    /// # Errors
    ///
    /// The secret has fewer than 16 bytes.
    ///
    /// ```
    /// assert!(registry_core::TokenKey::new("short").is_err());
    /// ```
    pub fn new(secret: impl Into<String>) -> Result<Self, WeakTokenKey> {
        Self::from_secret(secret.into().into())
    }

    pub(crate) fn from_secret(secret: SecretString) -> Result<Self, WeakTokenKey> {
        match secret.expose_secret().len() {
            len if len < MIN_LEN => Err(WeakTokenKey { len }),
            _ => Ok(Self(secret)),
        }
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()) else {
            unreachable!("HMAC takes keys of any length")
        };
        mac.update(b"registry token\0");
        mac.update(text.as_bytes());
        mac
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(***)")
    }
}

impl Token {
    /// The text of this token, with a signature that [`verified`](Self::verified) checks.
    ///
    /// Of a token with positions of about a hundred databases the text is longer than `verified` reads. So a token that was
    /// merged from many tenants' is not for clients.
    #[must_use]
    pub fn signed(&self, key: &TokenKey) -> String {
        let text = self.to_string();
        let mac = key.mac(&text).finalize().into_bytes();
        let mut signed = text;
        signed.push('*');
        for byte in &mac[..MAC_LEN] {
            signed.push_str(&format!("{byte:02x}"));
        }
        signed
    }

    /// Reads what [`signed`](Self::signed) has written with the same key. The check takes the same time, whatever is wrong
    /// with the signature.
    ///
    /// # Errors
    ///
    /// [`InvalidToken::Signature`] if it was not signed with this key, or was changed, [`InvalidToken::TooLong`] over 4160
    /// bytes, and the errors of reading a token.
    pub fn verified(text: &str, key: &TokenKey) -> Result<Self, InvalidToken> {
        if text.len() > super::text::MAX_SIGNED_LEN {
            return Err(InvalidToken::TooLong { len: text.len() });
        }
        let (text, signature) = text.rsplit_once('*').ok_or(InvalidToken::Signature)?;
        let signature = bytes(signature).ok_or(InvalidToken::Signature)?;
        let verified = key.mac(text).verify_truncated_left(&signature);
        verified.map_err(|_| InvalidToken::Signature)?;
        text.parse()
    }
}

fn bytes(hexadecimal: &str) -> Option<[u8; MAC_LEN]> {
    let mut bytes = [0; MAC_LEN];
    if hexadecimal.len() != 2 * MAC_LEN || !hexadecimal.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hexadecimal[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_changed_or_signed_by_others_is_refused() {
        let key = TokenKey::new("0123456789abcdef").unwrap();
        let other = TokenKey::new("0123456789abcdeg").unwrap();
        let token: Token = "shop:p1.1.5".parse().unwrap();
        let signed = token.signed(&key);
        assert_eq!(Token::verified(&signed, &key), Ok(token.clone()));
        let changed = signed.replace("1.5", "1.6");
        let cut = &signed[..signed.len() - 2];
        for forged in [&token.signed(&other), &changed, cut, "shop:p1.1.5", "", "*", "shop:p1.1.5*"]
        {
            assert_eq!(Token::verified(forged, &key), Err(InvalidToken::Signature), "{forged}");
        }
        assert!(!format!("{key:?}").contains("0123"));
    }
}
