//! The programs in `examples/`, as users build them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The program of an example. It is built with the features of these tests, so that at most the example itself is
/// compiled.
pub(crate) fn example(name: &str) -> PathBuf {
    static BUILT: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

    let this = std::env::current_exe().expect("this test binary");
    let profile = this.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let target = profile.parent().expect("target/<profile>");
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !built.contains(name) {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package=registry", "--all-features", "--example", name])
            .arg("--target-dir")
            .arg(target)
            .current_dir(super::workspace())
            .status()
            .expect("cargo");
        assert!(status.success());
        built.insert(name.to_owned());
    }
    profile.join("examples").join(name)
}
