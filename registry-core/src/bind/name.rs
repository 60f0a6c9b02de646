//! Bind keys as types.

use crate::bind_key::BindKey;

/// A bind key as a type. Only [`Name`] implements it.
pub trait KeyName: sealed::Sealed + 'static {
    /// The key as text.
    const KEY: &'static str;
}

mod sealed {
    pub trait Sealed {}
}

/// Declares [`Name`] with one `char` parameter for each of the 32 characters that a key can have.
macro_rules! declare_name {
    ($($letter:ident)*) => {
        /// A bind key as a type: `Name<'a', 'n', 'a', 'l', 'y', 't', 'i', 'c', 's'>`.
        ///
        /// Stable Rust has no `const` parameters that are strings, so each character is a parameter. Unused parameters
        /// are `'\0'` by default, and the compiler does not print defaults, so a message shows only the key. Only
        /// generated code names this type; people write the key as a string.
        #[expect(missing_debug_implementations, reason = "a name for types, never a value")]
        pub struct Name<$(const $letter: char = '\0'),*>;

        impl<$(const $letter: char),*> Name<$($letter),*> {
            const PACKED: ([u8; BindKey::MAX_LEN], usize) = packed([$($letter),*]);
        }

        impl<$(const $letter: char),*> sealed::Sealed for Name<$($letter),*> {}

        impl<$(const $letter: char),*> KeyName for Name<$($letter),*> {
            const KEY: &'static str = {
                let (bytes, len) = &Self::PACKED;
                let (key, _) = bytes.split_at(*len);
                match std::str::from_utf8(key) {
                    Ok(key) => match BindKey::new(key) {
                        Ok(_) => key,
                        Err(_) => panic!("a bind key is 1 to 32 of a-z, 0-9 and _, first a letter"),
                    },
                    Err(_) => panic!("a bind key is ASCII"),
                }
            };
        }
    };
}

declare_name!(
    A B C D E F G H I J K L M N O P Q R S T U V W X Y Z A1 B1 C1 D1 E1 F1
);

/// The characters before the first `'\0'`, as bytes, and their number.
const fn packed(chars: [char; BindKey::MAX_LEN]) -> ([u8; BindKey::MAX_LEN], usize) {
    let mut bytes = [0; BindKey::MAX_LEN];
    let mut len = 0;
    while len < BindKey::MAX_LEN && chars[len] != '\0' {
        // A cast would turn a character that is not ASCII into one that is. 0xff is refused later.
        bytes[len] = if chars[len].is_ascii() { chars[len] as u8 } else { 0xff };
        len += 1;
    }
    (bytes, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_spells_its_key() {
        assert_eq!(<Name<'a', 'b', '_', '9'> as KeyName>::KEY, "ab_9");
    }
}
