//! Where in the name of a type a path stands.

/// A type that is enclosing a path: its own path, and which of its arguments the path is in.
///
/// Tuples, slices and other parentheses have no path.
#[derive(Debug, Clone, Copy)]
pub(super) struct EnclosingType<'n> {
    pub(super) path: &'n str,
    pub(super) argument: usize,
}

/// Hands each path in the name of a type to `visit`, with the types enclosing it, from the outside.
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
            // The arrow of a function's type.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' => {
                enclosing.pop();
            }
            // A lifetime, which has no name here: `'_`.
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

/// What stands for the path of a slice or an array.
pub(super) const SLICE: &str = "[";

/// What a path consists of, in `app::run::{{closure}}::r#type::table`.
fn is_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte >= 128
        || matches!(byte, b'_' | b':' | b'{' | b'}' | b'#' | b'$')
}
