//! `cargo xtask aar`: the Kotlin library as its users get it, a Maven repository below
//! `dist/maven` in the target folder, and what shows that it is whole:
//!
//! - `link`: the native libraries for Android's processors;
//! - `elf`: what these must be to be loaded;
//! - `pack`: the AARs, and the repository;
//! - `prefab`: what native code is built against, and a library that is;
//! - `stranger`: a project that knows nothing but the repository, and runs what is in it;
//! - `shrink`: the tests over what ProGuard left, by the rules that come with the library;
//! - `bionic`: the library for 64-bit ARM, loaded and called over an Android's C library.

mod bionic;
mod elf;
mod link;
mod pack;
mod prefab;
mod shrink;
mod stranger;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use self::link::{ABIS, Product, Tls};
use crate::library::Profile;
use crate::runner::{SKIPPED, Tally};
use crate::{EXIT_SETUP, kotlin, workspace};

/// What TLS adds, as the file of budgets calls it.
const TLS: &str = "tls";

/// What Java's library gives away.
const EXPORT: &str = "JNI_OnLoad";

/// Libraries, each with the kind of processor that it is for.
pub(crate) type Libraries = Vec<(&'static link::Abi, PathBuf)>;

pub(crate) fn run(options: &[String]) -> ExitCode {
    let (mut profile, mut link_alone, mut abis) = (Profile::Phone, false, Vec::new());
    let mut tls = match link::ndk() {
        Some(_) => Tls::With,
        None => Tls::Without,
    };
    for option in options {
        match option.as_str() {
            "--debug" => profile = Profile::Dev,
            "--link" => link_alone = true,
            "--tls" => tls = Tls::With,
            other => match ABIS.iter().find(|abi| abi.name == other) {
                Some(abi) => abis.push(abi),
                None => {
                    let names: Vec<&str> = ABIS.iter().map(|abi| abi.name).collect();
                    let names = names.join(", ");
                    eprintln!("error: aar takes --debug, --link, --tls, and processors: {names}");
                    return ExitCode::from(EXIT_SETUP);
                }
            },
        }
    }
    if abis.is_empty() {
        abis.extend(ABIS);
    }
    kotlin::exit(make(profile, tls, &abis, link_alone))
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
    product: &Product,
    profile: Profile,
    tls: Tls,
    abis: &[&'static link::Abi],
    tally: &mut Tally,
) -> Result<Libraries, String> {
    let mut libraries = Libraries::new();
    let allowed: Vec<&str> = link::symbols().map(|(_, name, _)| name).collect();
    let exports = match product.file == link::C.file {
        true => prefab::functions(),
        false => vec![EXPORT],
    };
    for &abi in abis {
        let library = link::build(product, abi, profile, tls)?;
        let name = format!("{} for {}", product.file, abi.name);
        let wrong = elf::read(&library)?.check(product.file, &exports, &allowed);
        count(tally, &format!("{name} as Android loads it"), &wrong);
        match abi.is_whole() {
            true => libraries.push((abi, library.clone())),
            false => println!(
                "{SKIPPED}{name} in the AAR: what unwinds there comes with an NDK, and has \
                 stand-ins here"
            ),
        }
        if profile == Profile::Dev || link::ndk().is_some() {
            println!("{SKIPPED}the size of {name}: of releases without an NDK");
            continue;
        }
        let bytes = fs::metadata(&library);
        let bytes = bytes.map_err(|error| error.to_string())?.len();
        let wrong = over_budget(product.file, abi.name, tls, bytes);
        count(tally, &format!("{name}, {bytes} bytes"), &wrong);
    }
    Ok(libraries)
}

fn make(
    profile: Profile,
    tls: Tls,
    abis: &[&'static link::Abi],
    link_alone: bool,
) -> Result<Tally, String> {
    let mut tally = Tally::default();
    if link::ndk().is_none() {
        println!(
            "{SKIPPED}a release build: ANDROID_NDK_HOME names no NDK; linked against stand-ins"
        );
    }
    let java = link_all(&link::JNI, profile, tls, abis, &mut tally)?;
    let native = link_all(&link::C, profile, tls, abis, &mut tally)?;
    if link_alone {
        return Ok(tally);
    }
    if java.is_empty() {
        println!("{SKIPPED}the Maven repository: no native library could be in it");
        return Ok(tally);
    }
    let repository = pack::pack(&java, &native)?;
    println!("{}", repository.display());
    let of_stranger = stranger::run(&repository, &java);
    let in_native_code = of_stranger
        .clone()
        .and_then(|aars| prefab::check(&aars, &native));
    count(
        &mut tally,
        "a stranger's project",
        &told(of_stranger.map(drop)),
    );
    count(
        &mut tally,
        "native code built against the AAR",
        &told(in_native_code),
    );
    let shrunk = told(shrink::run());
    count(&mut tally, "shrunk by the rules that come along", &shrunk);
    match java.iter().find(|(abi, _)| abi.name == bionic::ABI) {
        Some((_, arm)) => {
            let on_bionic = told(bionic::run(arm));
            count(&mut tally, "on an Android's C library", &on_bionic);
        }
        None => println!("{SKIPPED}an Android's C library: it is for {}", bionic::ABI),
    }
    Ok(tally)
}

fn told(done: Result<(), String>) -> Vec<String> {
    done.err().into_iter().collect()
}

/// Why a library is too large; one without a budget has none.
fn over_budget(file: &str, abi: &str, tls: Tls, bytes: u64) -> Vec<String> {
    let of_tls = match tls {
        Tls::With => budget(TLS, abi),
        Tls::Without => Some(0),
    };
    let most = budget(file, abi).zip(of_tls);
    match most.map(|(most, of_tls)| most + of_tls) {
        Some(most) if bytes > most => vec![format!("over its budget of {most}")],
        Some(_) => Vec::new(),
        None => vec!["no budget".to_owned()],
    }
}

/// From the file of budgets: library, kind of processor, bytes.
fn budget(file: &str, abi: &str) -> Option<u64> {
    let budgets = include_str!("../../../openrtmp-jni/size-budget.txt");
    let mut lines = budgets.lines().map(|line| line.split(' '));
    let of_this = |words: &mut std::str::Split<'_, char>| {
        words.next() == Some(file) && words.next() == Some(abi)
    };
    lines.find_map(|mut words| of_this(&mut words).then(|| words.next()?.parse().ok())?)
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
        for (file, abi) in [link::JNI.file, link::C.file]
            .into_iter()
            .flat_map(|file| ABIS.iter().map(move |abi| (file, abi.name)))
        {
            for tls in [Tls::With, Tls::Without] {
                assert!(over_budget(file, abi, tls, 1).is_empty(), "{file} {abi}");
                assert_eq!(over_budget(file, abi, tls, u64::MAX).len(), 1);
            }
        }
        // The goal of what devices have; emulators get more, see the file.
        let of_tls = budget(TLS, bionic::ABI);
        assert!(of_tls.is_some_and(|bytes| bytes <= 1 << 20));
        let unknown = over_budget(link::C.file, "pdp11", Tls::Without, 1);
        assert_eq!(unknown, ["no budget"]);
    }
}
