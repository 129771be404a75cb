//! What holds of all steps.

use std::fs;

use super::*;
use crate::workspace;

/// The tests of a manifest that are built with features only: nothing runs them by itself.
fn tests_with_features(manifest: &str) -> Vec<String> {
    let tables = manifest.split("\n[").filter(|it| it.starts_with("[test]]"));
    let tests = tables.filter(|it| it.contains("\nrequired-features"));
    let name = |test: &str| {
        let name = test.lines().find_map(|line| line.strip_prefix("name = "));
        name.expect("a test has a name")
            .trim_matches('"')
            .to_owned()
    };
    tests.map(name).collect()
}

#[test]
fn every_test_that_needs_features_is_run_once() {
    let root = workspace::root();
    let crates = fs::read_dir(root.join("crates")).unwrap();
    let mut manifests: Vec<_> = crates.map(|entry| entry.unwrap().path()).collect();
    manifests.push(root.join("tests"));
    let read = |folder: &std::path::PathBuf| fs::read_to_string(folder.join("Cargo.toml")).ok();
    let manifests = manifests.iter().filter_map(read);
    let all: Vec<String> = manifests.flat_map(|it| tests_with_features(&it)).collect();
    assert!(all.len() > 30, "{all:?}");
    let runs = || STEPS.iter().flat_map(|step| step.runs);
    for test in all {
        let names = |run: &&Run| {
            run.cargo
                .windows(2)
                .any(|it| it == ["--test", test.as_str()])
        };
        assert_eq!(runs().filter(names).count(), 1, "{test}");
    }
}

#[test]
fn a_test_without_features_runs_by_itself() {
    let manifest = "[package]\nname = \"p\"\n\n[[test]]\nname = \"a\"\n\n\
                    [[test]]\nname = \"b\"\nrequired-features = [\"c\"]\n\n[[bin]]\n\
                    name = \"d\"\nrequired-features = [\"c\"]\n";
    assert_eq!(tests_with_features(manifest), ["b"]);
}

#[test]
fn steps_have_names_of_their_own() {
    for (place, step) in STEPS.iter().enumerate() {
        let first = STEPS.iter().position(|other| other.name == step.name);
        assert_eq!(first, Some(place), "{}", step.name);
    }
}

#[test]
fn what_always_runs_comes_first() {
    assert!(STEPS.is_sorted_by_key(|step| step.tier != Tier::Quick));
}
