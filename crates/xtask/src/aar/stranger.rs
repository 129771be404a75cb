//! A project that knows the repository and nothing else of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::link::JNI;
use super::pack::{names, system};
use super::{Libraries, folder};
use crate::install::succeed;
use crate::maven::{self, define};
use crate::workspace;

/// What an AAR has to hold, beside the native libraries.
const CONTENTS: &[&str] = &[
    "AndroidManifest.xml",
    "classes.jar",
    "R.txt",
    "proguard.txt",
    "res/values/strings.xml",
    "res/drawable/openrtmp_notice.xml",
    "META-INF/com/android/build/gradle/aar-metadata.properties",
];

/// Where the AARs are that it resolved.
pub(crate) fn run(repository: &Path, libraries: &Libraries) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| error.to_string();
    let names = names()?;
    // What was installed for our own builds must not be found in place of it.
    let ours = maven::repository().join(names.group.replace('.', "/"));
    let _ = fs::remove_dir_all(ours);
    let project = workspace::root().join("bindings/kotlin/stranger");
    let work = folder("stranger");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).map_err(said)?;
    let classes = work.join("class-path");
    let mut command = maven::maven(&project);
    command
        .arg(format!(
            "-Dopenrtmp.repository=file://{}",
            repository.display()
        ))
        .arg(format!("-Dopenrtmp.group={}", names.group))
        .arg(format!("-Dopenrtmp.version={}", names.version))
        .arg(format!("-Dopenrtmp.system={}", system()))
        .arg(define("output.folder", work.join("build")))
        .arg(define("mdep.outputFile", &classes))
        .arg(define("outputDirectory", work.join("aar")))
        .args([
            "compile",
            "dependency:build-classpath",
            "dependency:copy-dependencies",
        ]);
    succeed(&mut command)?;
    let path = fs::read_to_string(&classes).map_err(said)?;
    let path = format!("{}:{path}", work.join("build/classes").display());
    // Serves, is fed by ffmpeg, and taps a frame, with no library on the path.
    succeed(Command::new("java").args([
        "-Xcheck:jni",
        "-cp",
        &path,
        "stranger.Stranger",
        "ffmpeg",
    ]))?;
    let aars = work.join("aar");
    check_aar(&aars, &names.version, libraries)?;
    Ok(aars)
}

fn check_aar(folder: &Path, version: &str, libraries: &Libraries) -> Result<(), String> {
    let aar = folder.join(format!("openrtmp-android-{version}.aar"));
    let output = Command::new("jar")
        .arg("--list")
        .arg("--file")
        .arg(&aar)
        .output();
    let output = output.map_err(|error| format!("jar: {error}"))?;
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let list: Vec<&str> = list.lines().collect();
    let natives = libraries
        .iter()
        .map(|(abi, _)| format!("jni/{}/{}", abi.name, JNI.file));
    let wanted = CONTENTS
        .iter()
        .map(|name| (*name).to_owned())
        .chain(natives);
    let missing: Vec<String> = wanted
        .filter(|name| !list.contains(&name.as_str()))
        .collect();
    if !missing.is_empty() {
        return Err(format!("not in {}: {missing:?}", aar.display()));
    }
    // The numbers of resources are each app's own.
    let classes = folder.join("classes");
    fs::create_dir_all(&classes).map_err(|error| error.to_string())?;
    succeed(
        Command::new("jar")
            .current_dir(&classes)
            .arg("--extract")
            .arg("--file")
            .arg(&aar)
            .arg("classes.jar"),
    )?;
    let output = Command::new("jar")
        .current_dir(&classes)
        .args(["--list", "--file", "classes.jar"])
        .output();
    let output = output.map_err(|error| format!("jar: {error}"))?;
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    match list.contains("org/openrtmp/android/OpenRtmpService.class") && !list.contains("/R.class")
    {
        true => Ok(()),
        false => Err(format!("these are not the classes of the library: {list}")),
    }
}
