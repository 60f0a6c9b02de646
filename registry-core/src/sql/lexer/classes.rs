//! Classes of bytes, as tables: a look-up is cheaper than a sequence of comparisons.

/// The class of a token by its first byte.
#[derive(Clone, Copy)]
pub(super) enum Class {
    Space,
    Word,
    Digit,
    Quote,
    DoubleQuote,
    Backtick,
    Bracket,
    Open,
    Close,
    Comma,
    Dot,
    Semicolon,
    Dash,
    Slash,
    Hash,
    Dollar,
    At,
    Colon,
    Question,
    Control,
    Other,
}

pub(super) const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'\t'..=b'\r' | b' ' => Class::Space,
            0..=31 | 127 => Class::Control,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 128.. => Class::Word,
            b'0'..=b'9' => Class::Digit,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            b'`' => Class::Backtick,
            b'[' => Class::Bracket,
            b'(' => Class::Open,
            b')' => Class::Close,
            b',' => Class::Comma,
            b'.' => Class::Dot,
            b';' => Class::Semicolon,
            b'-' => Class::Dash,
            b'/' => Class::Slash,
            b'#' => Class::Hash,
            b'$' => Class::Dollar,
            b'@' => Class::At,
            b':' => Class::Colon,
            b'?' => Class::Question,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

pub(super) const IS_IN_WORD: [bool; 256] = {
    let mut is_in_word = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        is_in_word[byte] =
            matches!(CLASSES[byte], Class::Word | Class::Digit) || byte as u8 == b'$';
        byte += 1;
    }
    is_in_word
};

pub(super) fn is_space_or_control(byte: u8) -> bool {
    byte <= b' ' || byte == 127
}
