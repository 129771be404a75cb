//! `cargo xtask android`: the part of the Kotlin library that knows Android, compiled against
//! Android's classes, with manifest and resources through aapt2, and tested by Robolectric
//! over the native library of this machine. No Android device or emulator runs here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::install::succeed;
use crate::maven::{self, define};
use crate::runner::Tally;
use crate::{kotlin, workspace};

/// Whose resources aapt2 links against: of Android 14, newer ones it does not read.
const FRAMEWORK: &str = "org.robolectric:android-all:14-robolectric-10818077";
const FRAMEWORK_JAR: &str = "android-all-14-robolectric-10818077.jar";

/// The oldest Android that the library is for (Android 7.0).
const MIN_SDK: &str = "24";

/// That of the tests, for which apps would be built.
const TARGET_SDK: &str = "35";

pub(crate) fn run() -> ExitCode {
    kotlin::exit(check())
}

fn check() -> Result<Tally, String> {
    let (command, _) = build()?;
    maven::test(command, &output().join("surefire-reports"))
}

/// Builds it untested; where its resources are.
pub(crate) fn package() -> Result<PathBuf, String> {
    let (mut command, resources) = build()?;
    succeed(command.arg("-Dmaven.test.skip=true"))?;
    Ok(resources)
}

/// The call that compiles, tests and packs it, and its resources.
fn build() -> Result<(Command, PathBuf), String> {
    let library = kotlin::native_library()?;
    let compiled = compile_resources()?;
    install_library(&library)?;
    let output = output();
    // Classes and reports of tests that are gone would be run, and counted.
    let _ = fs::remove_dir_all(&output);
    let mut command = maven::maven(&folder());
    command
        .arg(define("native.folder", &library))
        .arg(define("output.folder", &output))
        .arg(define("resources.folder", &compiled))
        .arg(define(
            "android.runtime",
            workspace::target().join("kotlin/runtime"),
        ))
        .arg("package");
    Ok((command, compiled))
}

pub(crate) fn folder() -> PathBuf {
    workspace::root().join("bindings/kotlin/android")
}

/// Where Maven puts its jar.
pub(crate) fn output() -> PathBuf {
    workspace::target().join("kotlin/android")
}

/// The Kotlin library, untested, for what is built upon it.
fn install_library(native: &Path) -> Result<(), String> {
    let mut command = maven::maven(&workspace::root().join("bindings/kotlin"));
    let output = workspace::target().join("kotlin/build");
    fs::create_dir_all(output.join("readme")).map_err(|error| error.to_string())?;
    command
        .arg(define("native.folder", native))
        .arg(define("output.folder", output))
        .args(["-Dmaven.test.skip=true", "install"]);
    succeed(&mut command)
}

/// Compiles manifest and resources: `java` with the class of their numbers, `test` with what
/// Robolectric reads, and `R.txt`, as an AAR has it.
fn compile_resources() -> Result<PathBuf, String> {
    let said = |error: std::io::Error| error.to_string();
    let to = workspace::target().join("kotlin/resources");
    let _ = fs::remove_dir_all(&to);
    let settings = to.join("test/com/android/tools");
    fs::create_dir_all(&settings).map_err(said)?;
    let framework = workspace::target().join("kotlin/framework");
    if !framework.join(FRAMEWORK_JAR).is_file() {
        maven::fetch(FRAMEWORK, &framework)?;
    }
    let main = folder().join("src/main");
    let manifest = main.join("AndroidManifest.xml");
    let compiled = to.join("compiled.zip");
    succeed(
        Command::new("aapt2")
            .args(["compile", "--dir"])
            .arg(main.join("res"))
            .arg("-o")
            .arg(&compiled),
    )?;
    let link = |options: &[&str], out: &str, more: &[(&str, PathBuf)]| {
        let mut aapt = Command::new("aapt2");
        aapt.arg("link").args(options);
        aapt.arg("-I").arg(framework.join(FRAMEWORK_JAR));
        aapt.arg("--manifest").arg(&manifest);
        aapt.args([
            "--min-sdk-version",
            MIN_SDK,
            "--target-sdk-version",
            TARGET_SDK,
        ]);
        for (option, path) in more {
            aapt.arg(option).arg(path);
        }
        aapt.arg("-o").arg(to.join(out)).arg(&compiled);
        succeed(&mut aapt)
    };
    let text = [("--output-text-symbols", to.join("R.txt"))];
    link(&["--static-lib"], "library.apk", &text)?;
    // The numbers of an app, which replaces them by its own.
    let java = [("--java", to.join("java"))];
    link(&["--non-final-ids"], "test.apk", &java)?;
    let config = format!(
        "android_merged_manifest={}\nandroid_resource_apk={}\n\
         android_custom_package=org.openrtmp.android\n",
        manifest.display(),
        to.join("test.apk").display()
    );
    fs::write(settings.join("test_config.properties"), config).map_err(said)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What apps are asked for in its name; aapt2 does not know permissions from others.
    const PERMISSIONS: [&str; 8] = [
        "INTERNET",
        "ACCESS_LOCAL_NETWORK",
        "ACCESS_NETWORK_STATE",
        "WAKE_LOCK",
        "FOREGROUND_SERVICE",
        "FOREGROUND_SERVICE_CONNECTED_DEVICE",
        "CHANGE_NETWORK_STATE",
        "POST_NOTIFICATIONS",
    ];

    #[test]
    fn the_manifest_asks_for_what_is_needed_and_no_more() {
        let manifest = fs::read_to_string(folder().join("src/main/AndroidManifest.xml")).unwrap();
        let asked: Vec<&str> = manifest
            .split("<uses-permission android:name=\"android.permission.")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert_eq!(asked, PERMISSIONS);
        assert!(manifest.contains(&format!("android:minSdkVersion=\"{MIN_SDK}\"")));
    }
}
