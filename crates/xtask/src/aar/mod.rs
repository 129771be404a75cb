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
use crate::{EXIT_SETUP, kotlin, workspace};

/// What the native library gives away.
const EXPORT: &str = "JNI_OnLoad";

pub(crate) fn run(options: &[String]) -> ExitCode {
    let (mut profile, mut alone) = (Profile::Dist, None);
    for option in options {
        match option.as_str() {
            "--debug" => profile = Profile::Dev,
            "--link" => alone = Some(ABIS.iter().collect()),
            other => match ABIS.iter().find(|abi| abi.name == other) {
                Some(abi) if alone.is_some() => alone = Some(vec![abi]),
                _ => {
                    eprintln!("error: aar takes --debug, --link, and with that a processor");
                    return ExitCode::from(EXIT_SETUP);
                }
            },
        }
    }
    kotlin::exit(match alone {
        Some(abis) => {
            let mut tally = Tally::default();
            link_all(profile, &abis, &mut tally).map(|_| tally)
        }
        None => make(profile),
    })
}

/// Prints what was looked at, and counts it.
fn count(tally: &mut Tally, what: &str, wrong: &[String]) {
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
}

/// The libraries that an AAR may have, with their kinds of processors, each looked at.
fn link_all(
    profile: Profile,
    abis: &[&'static link::Abi],
    tally: &mut Tally,
) -> Result<Vec<(&'static str, PathBuf)>, String> {
    if link::ndk().is_none() {
        println!(
            "{SKIPPED}a release build: ANDROID_NDK_HOME names no NDK; linked against stand-ins, \
             without TLS"
        );
    }
    let mut libraries: Vec<(&'static str, PathBuf)> = Vec::new();
    let allowed: Vec<&str> = link::symbols().map(|(_, name, _)| name).collect();
    for abi in abis {
        let library = link::build(abi, profile)?;
        let wrong = elf::read(&library)?.check(LIBRARY, EXPORT, &allowed);
        count(tally, &format!("{} as Android loads it", abi.name), &wrong);
        match abi.is_whole() {
            true => libraries.push((abi.name, library.clone())),
            false => println!(
                "{SKIPPED}{} in the AAR: what unwinds there comes with an NDK, and has stand-ins here",
                abi.name
            ),
        }
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
        let wrong = over_budget(abi.name, bytes);
        count(tally, &format!("{}, {bytes} bytes", abi.name), &wrong);
    }
    Ok(libraries)
}

fn make(profile: Profile) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let libraries = link_all(profile, &ABIS.iter().collect::<Vec<_>>(), &mut tally)?;
    let repository = pack::pack(&libraries)?;
    println!("{}", repository.display());
    let of_stranger = told(stranger::run(&repository, &libraries));
    count(&mut tally, "a stranger's project", &of_stranger);
    let shrunk = told(shrink::run());
    count(&mut tally, "shrunk by the rules that come along", &shrunk);
    let (_, arm) = &libraries[0];
    let on_bionic = told(bionic::run(arm));
    count(&mut tally, "on an Android's C library", &on_bionic);
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
