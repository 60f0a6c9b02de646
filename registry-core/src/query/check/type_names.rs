//! A parser for the names that [`std::any::type_name`] returns.

/// A type that encloses a path in the name of a type.
///
/// Tuples and other parentheses have the empty path, slices and arrays have [`SLICE`].
#[derive(Debug, Clone, Copy)]
pub(super) struct EnclosingType<'n> {
    pub(super) path: &'n str,
    /// The index of the argument that contains the path, from zero.
    pub(super) argument: usize,
}

/// Stands in for the path of a slice or an array.
pub(super) const SLICE: &str = "[";

/// Calls `visit` for each path in the name of a type, with the types that enclose it, the outermost first.
pub(super) fn walk_type_name<'n>(
    type_name: &'n str,
    mut visit: impl FnMut(&'n str, &[EnclosingType<'n>]),
) {
    let bytes = type_name.as_bytes();
    let mut enclosing: Vec<EnclosingType<'n>> = Vec::new();
    let (mut at, mut last) = (0, "");
    while at < bytes.len() {
        let start = at;
        while at < bytes.len() && is_in_path(bytes[at]) {
            at += 1;
        }
        if at > start {
            last = &type_name[start..at];
            visit(last, &enclosing);
            continue;
        }
        match bytes[at] {
            b'<' => enclosing.push(EnclosingType { path: last, argument: 0 }),
            b'(' => enclosing.push(EnclosingType { path: "", argument: 0 }),
            b'[' => enclosing.push(EnclosingType { path: SLICE, argument: 0 }),
            // The arrow in the type of a function.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' => {
                enclosing.pop();
            }
            // A lifetime, which is always written `'_`.
            b'\'' => {
                while bytes.get(at + 1).is_some_and(|byte| is_in_path(*byte)) {
                    at += 1;
                }
            }
            b',' => {
                if let Some(outer) = enclosing.last_mut() {
                    outer.argument += 1;
                }
            }
            _ => {}
        }
        if bytes[at] != b' ' {
            last = "";
        }
        at += 1;
    }
}

/// Whether a byte can be part of a path, such as `app::run::{{closure}}::r#type::table`.
fn is_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte >= 128
        || matches!(byte, b'_' | b':' | b'{' | b'}' | b'#' | b'$')
}
