//! The C library for the native code of apps, in Google's form for that: an AAR that Gradle's
//! plugin makes packages for CMake and ndk-build of. What is made here is read again as that
//! plugin reads it, and a library is built against what an app finds in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::link::{self, Abi, C};
use super::pack::names;
use super::{Libraries, elf, folder};
use crate::install::succeed;
use crate::workspace;

/// As the repository calls it.
pub(crate) const ARTIFACT: &str = "openrtmp-android-prefab";

/// Package and module, whose library is `lib` and this.
const MODULE: &str = "openrtmp";

/// The oldest Android that the library is for.
const API: u32 = 24;

/// The oldest NDK that builds the library; to those who use a library in C it is all the same.
const NDK: u32 = 26;

const HEADERS: [&str; 2] = ["openrtmp.h", "openrtmp.hpp"];

/// What the library gives away: the functions that its header declares.
pub(crate) fn functions() -> Vec<&'static str> {
    let header = include_str!("../../../../include/openrtmp.h");
    let is_code = |line: &&str| !line.starts_with([' ', '#', '/']) && !line.starts_with("static");
    let code = header.lines().filter(is_code);
    let names = code.filter_map(|line| {
        let (before, _) = line.split_once('(')?;
        let name = before.rsplit([' ', '*']).next()?;
        name.starts_with("openrtmp_").then_some(name)
    });
    names.collect()
}

/// The tree of the AAR.
pub(crate) fn lay_out(tree: &Path, version: &str, libraries: &Libraries) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let package = tree.join("prefab");
    let module = package.join("modules").join(MODULE);
    let include = module.join("include");
    fs::create_dir_all(&include).map_err(said)?;
    let manifest = format!(
        "<manifest xmlns:android=\"http://schemas.android.com/apk/res/android\"\n    \
         package=\"org.openrtmp.prefab\">\n    \
         <uses-sdk android:minSdkVersion=\"{API}\" />\n</manifest>\n"
    );
    fs::write(tree.join("AndroidManifest.xml"), manifest).map_err(said)?;
    let text = format!(
        "{{\"schema_version\": 2, \"name\": \"{MODULE}\", \"version\": \"{version}\", \
         \"dependencies\": []}}\n"
    );
    fs::write(package.join("prefab.json"), text).map_err(said)?;
    let text = format!("{{\"export_libraries\": [], \"library_name\": \"lib{MODULE}\"}}\n");
    fs::write(module.join("module.json"), text).map_err(said)?;
    for header in HEADERS {
        let from = workspace::root().join("include").join(header);
        fs::copy(from, include.join(header)).map_err(said)?;
    }
    for (abi, library) in libraries {
        let folder = module.join("libs").join(format!("android.{}", abi.name));
        fs::create_dir_all(&folder).map_err(said)?;
        fs::copy(library, folder.join(C.file)).map_err(said)?;
        let text = format!(
            "{{\"abi\": \"{}\", \"api\": {API}, \"ndk\": {NDK}, \"stl\": \"none\", \
             \"static\": false}}\n",
            abi.name
        );
        fs::write(folder.join("abi.json"), text).map_err(said)?;
    }
    Ok(())
}

/// Reads the AAR among those that a project resolved, and builds against it.
pub(crate) fn check(aars: &Path, libraries: &Libraries) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let version = names()?.version;
    let aar = aars.join(format!("{ARTIFACT}-{version}.aar"));
    let work = folder("prefab");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).map_err(said)?;
    succeed(
        Command::new("jar")
            .current_dir(&work)
            .args(["--extract", "--file"])
            .arg(&aar),
    )?;
    let package = work.join("prefab");
    let module = package.join("modules").join(MODULE);
    look_at(&package.join("prefab.json"), PACKAGE, &version)?;
    look_at(&module.join("module.json"), MODULE_SAYS, MODULE)?;
    let mut there = fs::read_dir(module.join("libs")).map_err(said)?;
    if there.by_ref().count() != libraries.len() {
        return Err("other libraries than were made".to_owned());
    }
    let allowed: Vec<&str> = link::symbols().map(|(_, name, _)| name).collect();
    for (abi, _) in libraries {
        let folder = module.join("libs").join(format!("android.{}", abi.name));
        look_at(&folder.join("abi.json"), LIBRARY_SAYS, abi.name)?;
        let library = folder.join(C.file);
        let wrong = elf::read(&library)?.check(C.file, &functions(), &allowed);
        if !wrong.is_empty() {
            return Err(format!("{}: {}", abi.name, wrong.join("; ")));
        }
        build_against(abi, &library, &module.join("include"), &work)?;
    }
    Ok(())
}

/// What each description has to say, to jq: all that Google's tool asks for, and no other key,
/// which would be an error to it.
const PACKAGE: &str = r#"keys == ["dependencies", "name", "schema_version", "version"]
    and .schema_version == 2 and .name == "openrtmp" and .dependencies == []
    and .version == $it and (.version | test("^[0-9]+([.][0-9]+){0,3}$"))"#;
const MODULE_SAYS: &str = r#"keys == ["export_libraries", "library_name"]
    and .export_libraries == [] and .library_name == "lib" + $it"#;
const LIBRARY_SAYS: &str = r#"keys == ["abi", "api", "ndk", "static", "stl"]
    and .abi == $it and .api == 24 and (.ndk | type) == "number"
    and .stl == "none" and .static == false"#;

fn look_at(file: &Path, says: &str, it: &str) -> Result<(), String> {
    let mut jq = Command::new("jq");
    jq.args(["--exit-status", "--arg", "it", it, says])
        .arg(file);
    succeed(&mut jq)
}

/// Compiles and links a library of an app's, in C, with every name resolved.
fn build_against(abi: &Abi, library: &Path, include: &Path, work: &Path) -> Result<(), String> {
    let app = workspace::root().join("bindings/kotlin/prefab");
    let (object, out) = (work.join("app.o"), work.join("libapp.so"));
    let mut clang = Command::new("clang");
    clang.arg(format!("--target={}{API}", abi.target)).args([
        "-fPIC",
        "-nostdlibinc",
        "-Wall",
        "-Wextra",
        "-Werror",
    ]);
    clang.arg("-I").arg(include);
    clang.arg("-isystem").arg(app.join("stand-ins"));
    clang.arg("-c").arg(app.join("app.c"));
    succeed(clang.arg("-o").arg(&object))?;
    let libc = link::stubs(abi)?.join("libc.so");
    let mut link = Command::new(link::rust_lld()?);
    link.args(["-flavor", "gnu", "-shared", "-zdefs", "-o"]);
    link.args([out.as_path(), &object, library, &libc]);
    succeed(&mut link)?;
    let needs = elf::read(&out)?.needed;
    match needs.iter().any(|name| name == C.file) {
        true => Ok(()),
        false => Err(format!("{} needs {needs:?}", out.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_the_functions() {
        let functions = functions();
        assert!(functions.len() > 80, "{functions:?}");
        for name in [
            "openrtmp_version",
            "openrtmp_version_string",
            "openrtmp_tap_next",
        ] {
            assert!(functions.contains(&name), "{name}");
        }
    }
}
