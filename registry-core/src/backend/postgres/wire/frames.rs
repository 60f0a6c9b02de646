//! Finds the messages of PostgreSQL's protocol in a stream that arrives in pieces.
//!
//! A message is one byte for its kind, four bytes for its length, which includes these four bytes, and the body
//! (<https://www.postgresql.org/docs/current/protocol-overview.html>). The first message of a client has no kind.

/// Finds messages in the pieces of a stream. It copies nothing but the body of a wanted message that was cut in two.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER],
    header_length: usize,
    /// How much of the body is still to come, once the header is complete.
    remaining: usize,
    /// The part of a wanted body that has arrived.
    body: Vec<u8>,
}

const HEADER: usize = 5;

impl Frames {
    /// For the stream of a client from its start: the first message has no kind, and is found as a message of kind zero.
    pub(super) fn before_startup() -> Self {
        Self { header_length: 1, ..Self::default() }
    }

    /// Calls `found` with the kind and the body of each message that ends in `bytes`. The body is empty unless `wants` returns
    /// true for the kind.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        wants: impl Fn(u8) -> bool,
        mut found: impl FnMut(u8, &[u8]),
    ) {
        loop {
            if self.header_length < HEADER {
                let taken = bytes.len().min(HEADER - self.header_length);
                self.header[self.header_length..][..taken].copy_from_slice(&bytes[..taken]);
                self.header_length += taken;
                bytes = &bytes[taken..];
                if self.header_length < HEADER {
                    return;
                }
                self.remaining = body_length(&self.header);
            }
            let kind = self.header[0];
            let (part, rest) = bytes.split_at(bytes.len().min(self.remaining));
            self.remaining -= part.len();
            let is_wanted = wants(kind);
            if self.remaining > 0 {
                if is_wanted {
                    self.body.extend_from_slice(part);
                }
                return;
            }
            match is_wanted {
                true if self.body.is_empty() => found(kind, part),
                true => {
                    self.body.extend_from_slice(part);
                    found(kind, &self.body);
                    self.body.clear();
                }
                false => found(kind, &[]),
            }
            self.header_length = 0;
            bytes = rest;
        }
    }
}

/// The length of a body, according to the header before it.
pub(super) fn body_length(header: &[u8; HEADER]) -> usize {
    let [_, a, b, c, d] = *header;
    (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4)
}

/// A text that ends with a zero byte, and the bytes after it.
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![kind];
        message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        message.extend(body);
        message
    }

    #[test]
    fn messages_are_found_however_the_stream_is_cut() {
        let stream = [
            message(b'Z', b"I"),
            message(b'1', b""),
            message(b'D', b"a row"),
            message(b'E', b"an error"),
            message(b'Z', b"E"),
        ]
        .concat();
        let expected = [
            (b'Z', b"I".to_vec()),
            (b'1', Vec::new()),
            (b'D', Vec::new()),
            (b'E', b"an error".to_vec()),
            (b'Z', b"E".to_vec()),
        ];
        for size in 1..=stream.len() {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(size) {
                let wants = |kind| kind != b'D';
                frames.feed(piece, wants, |kind, body| seen.push((kind, body.to_vec())));
            }
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_text_ends_with_a_zero_byte() {
        assert_eq!(text(b"s1\0SELECT\0"), Some((&b"s1"[..], &b"SELECT\0"[..])));
        assert_eq!(text(b"s1"), None);
    }
}
