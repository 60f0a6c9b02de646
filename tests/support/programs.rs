//! Finds the programs of the database servers.

use std::path::{Path, PathBuf};

/// The path of a program: from `PATH`, else the newest version in the folders that packages install servers to.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(versions("/usr/lib/postgresql"))
        .chain(["/usr/sbin", "/usr/libexec", "/usr/local/sbin"].map(PathBuf::from))
        .chain(versions("/opt/homebrew/opt"))
        .chain(versions("/usr/local/opt"))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// The `bin` folders of the packages in `folder`, from the highest version to the lowest.
fn versions(folder: &str) -> Vec<PathBuf> {
    let version = |path: &Path| -> u32 {
        let digits = path.to_string_lossy().replace(|c: char| !c.is_ascii_digit(), "");
        digits.parse().unwrap_or_default()
    };
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    found.sort_by_key(|path| std::cmp::Reverse(version(path)));
    found.into_iter().map(|path| path.join("bin")).collect()
}
