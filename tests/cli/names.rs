//! Names of programs and databases that a shell does not take as they are.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::rig::Program;
use crate::support;

#[test]
fn completions_are_for_the_whole_name_and_refused_for_one_that_no_shell_completes() {
    let folder = support::fresh_folder();
    for (name, code, text) in [
        ("manage-1.2", 0, "manage-1.2"),
        ("odd name", 2, "there are no completions for a program that is called `odd name`"),
    ] {
        let path = folder.join(name);
        symlink(support::examples::example("manage"), &path).expect("a link");
        let printed = Command::new(path).args(["completions", "bash"]).output().expect("a link");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&printed.stdout), String::from_utf8_lossy(&printed.stderr));
        assert_eq!(printed.status.code(), Some(code), "{stderr}");
        if code == 0 {
            let registered = stdout.lines().filter(|line| line.trim().starts_with("complete -F"));
            assert!(registered.clone().count() > 0, "{stdout}");
            assert!(registered.into_iter().all(|line| line.ends_with(text)), "{stdout}");
        } else {
            assert!(stderr.contains(text), "{stderr}");
        }
    }
}

#[test]
fn the_name_in_an_advice_can_be_pasted_into_a_shell() {
    let program = Program::new(
        "manage",
        "[database]\nurl = \"sqlite://FOLDER/a%20b%27s.db\"\n[database.binds]\nanalytics = \"sqlite://FOLDER/a.db\"\nbookings = \"sqlite://FOLDER/b-{tenant}.db\"\n",
    );
    assert_eq!(program.pipe(&["create", "default"]).code, 0);
    let printed = program.pipe(&["drop", "default"]);
    assert_eq!(printed.code, 2);
    let advice = printed.stderr.trim().rsplit_once("add ").expect("an advice").1.to_owned();
    assert_eq!(advice, r"--yes-drop 'a b'\''s.db'");
}

#[test]
fn a_plan_does_not_take_what_it_would_ignore() {
    let printed = Program::on_sqlite().pipe(&["migrate", "--plan", "--keep-going"]);
    assert_eq!(printed.code, 2, "{printed:?}");
}
