//! The digests by which a ledger recognises a set of migrations and a place.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The hexadecimal SHA-256 of texts. Each is followed by a zero byte, so that two lists of texts are never one.
pub(super) fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.as_bytes());
        digest.update([0]);
    }
    digest.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
