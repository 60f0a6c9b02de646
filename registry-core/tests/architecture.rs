//! The rules of ARCHITECTURE.md that a machine can check: imports go one way, and files stay small.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders and root files of `src/`, from the ground up. A file imports from its own row or from rows above it.
///
/// `error.rs` unites the errors of all operations, and the operations of the rows below it return it. So it may
/// import the `error.rs` of those, which import nothing of their folder.
const LAYERS: &[&[&str]] = &[
    &[
        "async_func",
        "attribution",
        "backend_kind",
        "bind_key",
        "cause",
        "latch",
        "panicked",
        "serialized",
        "tone",
    ],
    &["settings"],
    &["meters"],
    &["sql"],
    // Of these two there is one in a build.
    &["backend", "stand_ins"],
    &["token"],
    &["bind"],
    &["telemetry"],
    &["engine"],
    &["session"],
    &["on_demand"],
    &["registry"],
    &["error"],
    &["work"],
    &["query"],
    &["web", "cli"],
    // What generated code names, and what users do.
    &["private", "tenant", "migrations", "guide", "lib"],
];

/// What `error.rs` may import from the rows below it.
const UNITED: [&str; 2] = ["query", "work"];

#[test]
fn imports_go_one_way() {
    let layer_of: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(layer, folders)| folders.iter().map(move |folder| (*folder, layer)))
        .collect();
    let mut wrong = BTreeSet::new();
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for file in files.into_iter().filter(|file| !is_of_tests(file)) {
        let path = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("it is below").display();
        let folder = folder_of(&file);
        let own =
            *layer_of.get(&*folder).unwrap_or_else(|| panic!("{path}: `{folder}` has no layer"));
        for imported in imports(&fs::read_to_string(&file).expect("a source file")) {
            // Exported macros are at the root, wherever they are written.
            if imported.starts_with("__") {
                continue;
            }
            let is_united = folder == "error" && UNITED.contains(&&*imported);
            match layer_of.get(&*imported) {
                Some(layer) if *layer <= own || is_united => {}
                Some(_) => {
                    wrong.insert(format!(
                        "{path} imports `{imported}`, which is built on `{folder}`"
                    ));
                }
                None => {
                    wrong.insert(format!(
                        "{path} imports `crate::{imported}`: name the folder it is in"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let folders = [
        "registry-core/src",
        "registry-core/tests",
        "registry-derive/src",
        "tests",
        "examples",
        "benches",
    ];
    let mut lines: Vec<(usize, PathBuf)> = folders
        .iter()
        .flat_map(|folder| sources(&root.join(folder)))
        .map(|file| (fs::read_to_string(&file).expect("a source file").lines().count(), file))
        .collect();
    lines.sort();
    let (longest, file) = lines.last().expect("there are files");
    assert!(*longest <= 600, "{} has {longest} lines: split it by subject", file.display());
    let (median, _) = &lines[lines.len() / 2];
    assert!(*median < 200, "half of the files have {median} lines or more");
}

#[test]
fn architecture_md_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the map");
    // Names without a folder are relative to the row of the table that they are in.
    let is_path =
        |word: &&str| word.contains('/') && (word.ends_with(".rs") || word.ends_with('/'));
    let missing: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(is_path)
        .filter(|path| {
            let folder = path.split('/').next().unwrap_or_default();
            let source = root.join("registry-core/src");
            let is_whole = source.join(folder).exists() || root.join(folder).exists();
            is_whole && !source.join(path).exists() && !root.join(path).exists()
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Every Rust file below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    // The other folders of the workspace are not in the package of this crate.
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The folder of `src/` that a file is in, or its own name if it is in none.
fn folder_of(file: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let below = file.strip_prefix(source).expect("it is in `src`");
    let first = below.components().next().expect("it has a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn is_of_tests(file: &Path) -> bool {
    file.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name == "tests" || name.ends_with("tests.rs")
    })
}

/// The folders that the code of a file names by `crate::`, tests and comments apart.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("\nmod tests {").next().unwrap_or_default();
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` is in macros, which are expanded in other crates.
        if code[..at].ends_with(|c: char| c == '$' || c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let path = &code[at + "crate::".len()..];
        match path.strip_prefix('{') {
            Some(tree) => found.extend(branches(tree)),
            None => _ = found.insert(first_word(path)),
        }
    }
    found
}

/// The first words of the branches of a `use` tree, which begins behind its brace.
fn branches(tree: &str) -> Vec<String> {
    let mut depth = 1;
    let end = tree.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    let mut words = Vec::new();
    for part in tree[..end.unwrap_or(tree.len())].split(',') {
        // Not inside of an inner brace, nor behind the last comma.
        if depth == 0 && !part.trim().is_empty() {
            words.push(first_word(part));
        }
        depth += part.matches('{').count() as i32 - part.matches('}').count() as i32;
    }
    words
}

fn first_word(path: &str) -> String {
    let path = path.trim_start();
    path.chars().take_while(|c| *c == '_' || c.is_alphanumeric()).collect()
}
