//! `cargo xtask aar`: the Kotlin library as its users get it, a Maven repository below
//! `dist/maven` in the target folder, and what shows that it is whole:
//!
//! - `link`: the native library for Android's processors;
//! - `elf`: what these must be to be loaded;
//! - `pack`: the AAR, and the repository;
//! - `stranger`: a project that knows nothing but the repository, and runs what is in it;
//! - `shrink`: the tests over what ProGuard left, by the rules that come with the library;
//! - `bionic`: the library for 64-bit ARM, loaded and called over an Android's C library.

mod bionic;
mod elf;
mod link;
mod pack;
mod shrink;
mod stranger;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use self::link::{ABIS, LIBRARY};
use crate::library::Profile;
use crate::runner::{SKIPPED, Tally};
use crate::{kotlin, workspace};

/// What the native library gives away.
const EXPORT: &str = "JNI_OnLoad";

pub(crate) fn run(profile: Profile) -> ExitCode {
    kotlin::exit(make(profile))
}

fn make(profile: Profile) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut count = |what: &str, wrong: Vec<String>| {
        match wrong.is_empty() {
            true => tally.passed += 1,
            false => tally.failed += 1,
        }
        let verdict = if wrong.is_empty() {
            "ok".to_owned()
        } else {
            wrong.join("; ")
        };
        println!("{what}: {verdict}");
    };
    if link::ndk().is_none() {
        println!(
            "{SKIPPED}a release build: ANDROID_NDK_HOME names no NDK; linked against stand-ins, \
             without TLS"
        );
    }
    let mut libraries: Vec<(&'static str, PathBuf)> = Vec::new();
    let allowed: Vec<&str> = link::symbols().map(|(_, name, _)| name).collect();
    for abi in ABIS {
        if !abi.can_be_linked() {
            println!(
                "{SKIPPED}{}: what unwinds there comes with an NDK",
                abi.name
            );
            continue;
        }
        let library = link::build(abi, profile)?;
        let wrong = elf::read(&library)?.check(LIBRARY, EXPORT, &allowed);
        count(&format!("{} as Android loads it", abi.name), wrong);
        libraries.push((abi.name, library.clone()));
        if profile == Profile::Dev || link::ndk().is_some() {
            println!(
                "{SKIPPED}the size for {}: of releases without an NDK",
                abi.name
            );
            continue;
        }
        let bytes = fs::metadata(&library)
            .map_err(|error| error.to_string())?
            .len();
        count(
            &format!("{}, {bytes} bytes", abi.name),
            over_budget(abi.name, bytes),
        );
    }
    let repository = pack::pack(&libraries)?;
    println!("{}", repository.display());
    count(
        "a stranger's project",
        told(stranger::run(&repository, &libraries)),
    );
    count("shrunk by the rules that come along", told(shrink::run()));
    let (_, arm) = &libraries[0];
    count("on an Android's C library", told(bionic::run(arm)));
    Ok(tally)
}

fn told(done: Result<(), String>) -> Vec<String> {
    done.err().into_iter().collect()
}

/// Why a library is too large; a kind of processor without a budget has none.
fn over_budget(abi: &str, bytes: u64) -> Vec<String> {
    match budget(abi) {
        Some(most) if bytes > most => vec![format!("over its budget of {most}")],
        Some(_) => Vec::new(),
        None => vec!["no budget".to_owned()],
    }
}

/// From the file of budgets.
fn budget(abi: &str) -> Option<u64> {
    let file = include_str!("../../../openrtmp-jni/size-budget.txt");
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let mut budgets = lines.filter_map(|line| line.split_once(' '));
    let (_, most) = budgets.find(|(name, _)| *name == abi)?;
    most.parse().ok()
}

/// Of what is made on the way.
fn folder(name: &str) -> PathBuf {
    workspace::target().join("kotlin").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_processor_has_a_budget() {
        for abi in ABIS {
            assert!(budget(abi.name).is_some(), "{}", abi.name);
        }
        assert_eq!(over_budget("arm64-v8a", 1), Vec::<String>::new());
        assert_eq!(over_budget("arm64-v8a", u64::MAX).len(), 1);
        assert_eq!(over_budget("pdp11", 1), ["no budget"]);
    }
}
