//! The tests over classes that were shrunk as release builds of apps shrink them, with the
//! rules that come with the library; and without those, to see that they are needed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::folder;
use crate::install::succeed;
use crate::maven::{self, define};
use crate::workspace;

/// Those that use the library as apps do. The others look at names that an app does not keep.
const TESTS: &str = "org[.]openrtmp[.](Server|Media|Device|Json|JavaUse)Test";

pub(crate) fn run() -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let kotlin = workspace::root().join("bindings/kotlin");
    let build = workspace::target().join("kotlin/build");
    let work = folder("shrink");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).map_err(said)?;
    let native = crate::kotlin::native_library()?;
    // The tests were not compiled where the library alone was wanted.
    let tested = work.join("tested");
    let mut command = maven::maven(&kotlin);
    fs::create_dir_all(build.join("readme")).map_err(said)?;
    command
        .arg(define("native.folder", &native))
        .arg(define("output.folder", &build))
        .arg(define("mdep.outputFile", &tested))
        .args([
            "test-compile",
            "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:build-classpath",
        ]);
    succeed(&mut command)?;
    let tools = work.join("tools");
    let mut command = maven::maven(&kotlin.join("shrink"));
    command
        .arg(define("mdep.outputFile", &tools))
        .arg("dependency:build-classpath");
    succeed(&mut command)?;
    let read = |path: &Path| fs::read_to_string(path).map_err(said);
    let shrinking = Shrinking {
        tools: read(&tools)?.trim().to_owned(),
        libraries: read(&tested)?.trim().to_owned(),
        build: &build,
        native: &native,
        work: &work,
    };
    let rules = kotlin.join("src/main/resources/META-INF/proguard/openrtmp.pro");
    let shrunk = shrinking.shrink("with", Some(&rules))?;
    shrinking.test(&shrunk)?;
    let bare = shrinking.shrink("without", None)?;
    match shrinking.test(&bare) {
        Err(_) => Ok(()),
        Ok(()) => Err("the tests pass without the rules, which then say nothing".to_owned()),
    }
}

struct Shrinking<'a> {
    /// ProGuard's classes, and what runs tests.
    tools: String,
    /// What the tests use, which is left as it is.
    libraries: String,
    build: &'a Path,
    native: &'a Path,
    work: &'a Path,
}

impl Shrinking<'_> {
    fn shrink(&self, name: &str, rules: Option<&Path>) -> Result<std::path::PathBuf, String> {
        let out = self.work.join(format!("{name}.jar"));
        let home = java_home()?;
        let java = format!("{home}/jmods/java.base.jmod(!**.jar;!module-info.class)");
        let logging = format!("{home}/jmods/java.logging.jmod(!**.jar;!module-info.class)");
        let mut command = Command::new("java");
        command.args(["-cp", &self.tools, "proguard.ProGuard"]);
        for classes in ["classes", "test-classes"] {
            command.arg("-injars").arg(self.build.join(classes));
        }
        command.arg("-outjars").arg(&out);
        let libraries = format!("{java}:{logging}:{}", self.libraries);
        command.args(["-libraryjars", &libraries]);
        let app = workspace::root().join("bindings/kotlin/shrink/app.pro");
        for file in [Some(app.as_path()), rules].into_iter().flatten() {
            command.arg(format!("@{}", file.display()));
        }
        succeed(&mut command)?;
        Ok(out)
    }

    fn test(&self, classes: &Path) -> Result<(), String> {
        let root = workspace::root();
        let path = format!("{}:{}", classes.display(), self.libraries);
        let mut command = Command::new("java");
        command
            .arg("-Xcheck:jni")
            .arg(define("java.library.path", self.native))
            .arg(define("openrtmp.header", root.join("include/openrtmp.h")))
            .arg("-Dopenrtmp.ffmpeg=ffmpeg")
            .args(["-cp", &format!("{}:{path}", self.tools)])
            .args(["org.junit.platform.console.ConsoleLauncher", "execute"])
            .args([
                "--disable-banner",
                "--details=summary",
                "--fail-if-no-tests",
            ])
            .arg("--scan-classpath")
            .arg(classes)
            .args(["--include-classname", TESTS])
            .stdin(Stdio::null());
        succeed(&mut command)
    }
}

/// Where the modules of the development kit are.
fn java_home() -> Result<String, String> {
    let output = Command::new("java")
        .args(["-XshowSettings:properties", "-version"])
        .output();
    let output = output.map_err(|error| format!("java: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let home = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("java.home = "));
    home.map(str::to_owned)
        .ok_or_else(|| "java does not tell its home".to_owned())
}
