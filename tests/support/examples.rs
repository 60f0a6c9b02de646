//! The programs in `examples/`, as users build them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program of an example. It is built with the features of these tests, so that at most the examples themselves are
/// compiled.
pub(crate) fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let this = std::env::current_exe().expect("this test binary");
        let profile = this.parent().and_then(Path::parent).expect("target/<profile>/deps");
        let target = profile.parent().expect("target/<profile>");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package=registry", "--all-features", "--examples"])
            .arg("--target-dir")
            .arg(target)
            .current_dir(super::workspace())
            .status()
            .expect("cargo");
        assert!(built.success());
        profile.join("examples")
    });
    folder.join(name)
}
