//! The libraries for Android, that of Java and that of C: with an NDK, if ANDROID_NDK_HOME names one; else linked
//! against stand-ins for the system's libraries that hold the names they would have, which
//! shows that everything is found, and says so.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install::succeed;
use crate::library::{self, Profile};
use crate::workspace;

/// A kind of processor.
pub(crate) struct Abi {
    /// As Android calls it.
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    /// The crate `unwinding` knows it; what unwinds on others comes with an NDK only, and has
    /// stand-ins without one.
    unwinds: bool,
    /// The NDK's compiler for the oldest Android that the library is for.
    clang: &'static str,
}

/// Phones and tablets, emulators, and boxes with systems of 32 bits.
pub(crate) const ABIS: &[Abi] = &[
    Abi {
        name: "arm64-v8a",
        target: "aarch64-linux-android",
        unwinds: true,
        clang: "aarch64-linux-android24-clang",
    },
    Abi {
        name: "x86_64",
        target: "x86_64-linux-android",
        unwinds: true,
        clang: "x86_64-linux-android24-clang",
    },
    Abi {
        name: "armeabi-v7a",
        target: "armv7-linux-androideabi",
        unwinds: false,
        clang: "armv7a-linux-androideabi24-clang",
    },
];

/// A library that is made for Android.
pub(crate) struct Product {
    package: &'static str,
    pub(crate) file: &'static str,
}

/// Java's.
pub(crate) const JNI: Product = Product {
    package: "openrtmp-jni",
    file: "libopenrtmp_jni.so",
};

/// C's, for native code of apps. Not with the feature `android_logger`, which names a function
/// of the system's log that Android has since its level 30.
pub(crate) const C: Product = Product {
    package: "openrtmp-capi",
    file: "libopenrtmp.so",
};

/// How they are linked: without names that nobody needs; for pages of 16 KB; functions that are the same in all but name are
/// one; places that the system fills in when it loads the library are listed in Android's
/// packed form, which it reads since its level 23 (the other form, RELR, since 28).
const LINKING: [&str; 4] = [
    "--strip-all",
    "-zmax-page-size=16384",
    "--icf=all",
    "--pack-dyn-relocs=android",
];

/// What may be asked of the system, with its library and its API level.
pub(crate) const SYMBOLS: &str = include_str!("../../../openrtmp-jni/android-symbols.txt");

/// Lines of [`SYMBOLS`]: library, name, level.
pub(crate) fn symbols() -> impl Iterator<Item = (&'static str, &'static str, u32)> {
    let lines = SYMBOLS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [library, name, level] = words[..] else {
            return None;
        };
        Some((library, name, level.parse().ok()?))
    })
}

/// The NDK, if there is one.
pub(crate) fn ndk() -> Option<PathBuf> {
    env::var_os("ANDROID_NDK_HOME").map(PathBuf::from)
}

/// What the standard library asks of whatever unwinds on 32-bit ARM (Exception Handling ABI
/// for the Arm Architecture, sections 7 to 9, and what compilers add to it).
const UNWINDER: [&str; 12] = [
    "_Unwind_Backtrace",
    "_Unwind_DeleteException",
    "_Unwind_GetDataRelBase",
    "_Unwind_GetLanguageSpecificData",
    "_Unwind_GetRegionStart",
    "_Unwind_GetTextRelBase",
    "_Unwind_RaiseException",
    "_Unwind_Resume",
    "_Unwind_VRS_Get",
    "_Unwind_VRS_Set",
    "__aeabi_unwind_cpp_pr0",
    "__gnu_unwind_frame",
];

impl Abi {
    /// Whether all of the library is there, as it is built on this machine. Without that it is
    /// for looking at alone.
    pub(crate) fn is_whole(&self) -> bool {
        self.unwinds || ndk().is_some()
    }
}

/// Whether a library has TLS, which a build with an NDK always has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    With,
    Without,
}

/// The parts of TLS in C declare what they take of a C library themselves, when they are told
/// that there are no headers of one. The compiler's own header of vector instructions would
/// include one for memory that nobody asks it for here: it is told that it has done so.
const WITHOUT_HEADERS: &str = "-nostdlibinc -DRING_CORE_NOSTDLIBINC=1 -D__MM_MALLOC_H";

/// Builds a library as it is shipped, or for development; its path.
pub(crate) fn build(
    product: &Product,
    abi: &Abi,
    profile: Profile,
    tls: Tls,
) -> Result<PathBuf, String> {
    let mut cargo = workspace::cargo();
    cargo.args(["rustc", "--package", product.package, "--lib"]);
    cargo.args(["--crate-type", "cdylib"]);
    cargo.args(["--profile", profile.name(), "--target", abi.target]);
    match profile {
        Profile::Phone => library::provide_small_std(&mut cargo, abi.target)?,
        Profile::Dev | Profile::Dist => library::provide_std(&mut cargo, abi.target)?,
    }
    cargo.arg("--no-default-features");
    let mut features = Vec::new();
    if tls == Tls::With {
        features.push("tls");
    }
    let variable = abi.target.to_uppercase().replace('-', "_");
    let linker = format!("CARGO_TARGET_{variable}_LINKER");
    match ndk() {
        Some(ndk) => {
            let compiler = library::ndk_program(&ndk, abi.clang);
            let under = abi.target.replace('-', "_");
            cargo.env(format!("CC_{under}"), &compiler);
            cargo.env(format!("AR_{under}"), library::ndk_program(&ndk, "llvm-ar"));
            cargo.arg("--features").arg(features.join(","));
            cargo.env(linker, compiler).arg("--");
            for option in LINKING {
                cargo.arg(format!("-Clink-arg=-Wl,{option}"));
            }
            cargo.arg(format!("-Clink-arg=-Wl,-soname={}", product.file));
        }
        None => {
            let stubs = stubs(abi)?;
            let linker_script = linker_script(&stubs)?;
            library::use_clang(&mut cargo, abi.target);
            let flags = format!("CFLAGS_{}", abi.target.replace('-', "_"));
            // Said once more as the NDK says it: of 32-bit ARM clang would take the oldest.
            let kind = abi.clang.trim_end_matches("-clang");
            cargo.env(flags, format!("{WITHOUT_HEADERS} --target={kind}"));
            if abi.unwinds {
                features.push("own-unwinder");
            }
            cargo.arg("--features").arg(features.join(","));
            cargo.env(linker, linker_script).arg("--");
            if !abi.unwinds {
                let unwinder = stand_ins(abi, &stubs, "unwinder", UNWINDER)?;
                cargo.arg(format!("-Clink-arg={}", unwinder.display()));
            }
            cargo.args(["-Clinker-flavor=ld.lld", "-Clink-arg=-zdefs"]);
            for option in LINKING {
                cargo.arg(format!("-Clink-arg={option}"));
            }
            cargo.arg(format!("-Clink-arg=-soname={}", product.file));
            cargo.arg(format!("-Lnative={}", stubs.display()));
        }
    }
    if !cargo.status().map_err(|error| error.to_string())?.success() {
        let (file, abi) = (product.file, abi.name);
        return Err(format!("{file} does not build for {abi}"));
    }
    let folder = workspace::target().join(abi.target).join(profile.folder());
    Ok(folder.join(product.file))
}

/// Makes libraries that have the names of [`SYMBOLS`], and nothing behind them.
pub(crate) fn stubs(abi: &Abi) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| error.to_string();
    let folder = workspace::target().join("android-stubs").join(abi.name);
    fs::create_dir_all(&folder).map_err(said)?;
    let lld = rust_lld()?;
    for library in ["libc.so", "libm.so", "libdl.so", "liblog.so"] {
        let stem = library.trim_end_matches(".so");
        let names = symbols().filter(|(of, _, _)| *of == library);
        let object = stand_ins(abi, &folder, stem, names.map(|(_, name, _)| name))?;
        succeed(
            Command::new(&lld)
                .args([
                    "-flavor",
                    "gnu",
                    "-shared",
                    "--no-gc-sections",
                    "-soname",
                    library,
                    "-o",
                ])
                .args([&folder.join(library), &object]),
        )?;
    }
    // Asked for by the standard library; the crate `unwinding` is in its place.
    fs::write(folder.join("libunwind.a"), "!<arch>\n").map_err(said)?;
    Ok(folder)
}

/// An object that has these functions, and nothing behind them.
fn stand_ins(
    abi: &Abi,
    folder: &Path,
    stem: &str,
    names: impl IntoIterator<Item = &'static str>,
) -> Result<PathBuf, String> {
    let (source, object) = (
        folder.join(format!("{stem}.s")),
        folder.join(format!("{stem}.o")),
    );
    let mut text = String::from(".text\nstand_in:\n.byte 0\n");
    for name in names {
        text += &format!(".globl {name}\n.type {name}, %function\n.set {name}, stand_in\n");
    }
    fs::write(&source, text).map_err(|error| error.to_string())?;
    // Not by rustc, which takes the target's standard library even for what uses none.
    succeed(
        Command::new("clang")
            .arg(format!("--target={}", abi.target))
            .args(["-c", "-o"])
            .args([&object, &source]),
    )?;
    Ok(object)
}

/// The linker, which leaves out of what rustc would export the functions that unwind: they are
/// for this library alone, and others of the same names may be in the process. What is said to
/// compilers that link is left out, too: it is told the same in its own words.
fn linker_script(folder: &Path) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| error.to_string();
    let path = folder.join("rust-lld");
    let text = format!(
        "#!/bin/sh\nfor argument; do\n    shift\n    case $argument in\n    \
         --version-script=*) sed -i '/_Unwind_/d' \"${{argument#*=}}\" ;;\n    \
         -Wl,*) continue ;;\n    esac\n    set -- \"$@\" \"$argument\"\ndone\nexec '{}' \"$@\"\n",
        rust_lld()?.display()
    );
    fs::write(&path, text).map_err(said)?;
    succeed(Command::new("chmod").arg("+x").arg(&path))?;
    Ok(path)
}

/// The linker that comes with the compiler.
pub(crate) fn rust_lld() -> Result<PathBuf, String> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir"])
        .output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    let libraries = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let linker = Path::new(&libraries)
        .parent()
        .map(|folder| folder.join("bin/rust-lld"));
    let linker = linker.filter(|path| path.is_file());
    linker.ok_or_else(|| format!("no rust-lld beside {libraries}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_of_a_newer_android() {
        assert!(symbols().count() > 50);
        for (library, name, level) in symbols() {
            assert!(level <= 24, "{name}");
            assert!(["libc.so", "libdl.so"].contains(&library), "{name}");
        }
    }
}
