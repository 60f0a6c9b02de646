//! Where an example keeps its SQLite files.

use std::path::PathBuf;

/// The folder that the second argument of the program names, `target/<example>` by default. It is created if
/// it is missing.
pub(crate) fn folder(example: &str) -> std::io::Result<PathBuf> {
    let folder = std::env::args_os().nth(2).map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).join(example),
        PathBuf::from,
    );
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
