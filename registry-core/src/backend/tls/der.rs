//! Reading DER, the binary form of certificates and keys.

/// The content of the first DER element, and the bytes after the element.
pub(super) fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[_, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        // 0x80 is the indefinite length, which DER does not allow.
        _ => return None,
    };
    rest.split_at_checked(length)
}
