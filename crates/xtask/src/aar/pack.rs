//! The AARs, the jars, and the Maven repository that holds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::link::JNI;
use super::{Libraries, folder, prefab};
use crate::install::succeed;
use crate::maven::{self, define, element};
use crate::{android, kotlin, workspace};

/// How Gradle's plugin knows that an app is new enough for an AAR.
const METADATA: &str = "META-INF/com/android/build/gradle/aar-metadata.properties";

/// Who they are, as one POM says.
pub(crate) struct Names {
    pub(crate) group: String,
    pub(crate) version: String,
}

pub(crate) fn names() -> Result<Names, String> {
    let pom = fs::read_to_string(workspace::root().join(maven::POM));
    let pom = pom.map_err(|error| error.to_string())?;
    let read = |name: &str| {
        let value = element(&pom, name).map(str::to_owned);
        value.ok_or_else(|| format!("{} names no {name}", maven::POM))
    };
    Ok(Names {
        group: read("groupId")?,
        version: read("version")?,
    })
}

/// Makes everything anew; the repository.
pub(crate) fn pack(java: &Libraries, native: &Libraries) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| error.to_string();
    let names = names()?;
    let resources = android::package()?;
    let work = folder("aar");
    let _ = fs::remove_dir_all(&work);
    let tree = work.join("tree");
    let put = |from: &Path, to: &str| -> Result<(), String> {
        let to = tree.join(to);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(said)?;
        }
        fs::copy(from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
        Ok(())
    };
    let kotlin = workspace::root().join("bindings/kotlin");
    let main = android::folder().join("src/main");
    let classes = |kind: &str| {
        let name = format!("openrtmp-android-{}{kind}.jar", names.version);
        android::output().join(name)
    };
    put(&main.join("AndroidManifest.xml"), "AndroidManifest.xml")?;
    put(&classes(""), "classes.jar")?;
    put(&resources.join("R.txt"), "R.txt")?;
    let rules = kotlin.join("src/main/resources/META-INF/proguard/openrtmp.pro");
    put(&rules, "proguard.txt")?;
    for file in ["values/strings.xml", "drawable/openrtmp_notice.xml"] {
        put(&main.join("res").join(file), &format!("res/{file}"))?;
    }
    for (abi, library) in java {
        put(library, &format!("jni/{}/{}", abi.name, JNI.file))?;
    }
    let metadata = tree.join(METADATA);
    fs::create_dir_all(metadata.parent().unwrap_or(&tree)).map_err(said)?;
    fs::write(
        &metadata,
        "aarFormatVersion=1.0\naarMetadataVersion=1.0\nminCompileSdk=34\n",
    )
    .map_err(said)?;
    let aar = work.join("openrtmp-android.aar");
    zip(&tree, &aar)?;
    let pom = work.join("openrtmp-android.pom");
    let needs = dependency(&names);
    let text = aar_pom(&names, "openrtmp-android", "OpenRTMP for Android", &needs);
    fs::write(&pom, text).map_err(said)?;
    let tree = work.join("prefab");
    prefab::lay_out(&tree, &names.version, native)?;
    let native_aar = work.join("openrtmp-android-prefab.aar");
    zip(&tree, &native_aar)?;
    let native_pom = work.join("openrtmp-android-prefab.pom");
    let text = aar_pom(
        &names,
        prefab::ARTIFACT,
        "OpenRTMP for Android's native code",
        "",
    );
    fs::write(&native_pom, text).map_err(said)?;

    let natives = natives(&work)?;
    let repository = workspace::target().join("dist/maven");
    let _ = fs::remove_dir_all(&repository);
    let build = workspace::target().join("kotlin/build");
    let jar = |kind: &str| build.join(format!("openrtmp-{}{kind}.jar", names.version));
    deploy(
        &repository,
        &workspace::root().join(maven::POM),
        &jar(""),
        Some(&jar("-sources")),
        Some(&natives),
    )?;
    let sources = classes("-sources");
    deploy(&repository, &pom, &aar, Some(&sources), None)?;
    deploy(&repository, &native_pom, &native_aar, None, None)?;
    Ok(repository)
}

/// A jar with the native library of this machine, where the Kotlin library looks for it.
fn natives(work: &Path) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| error.to_string();
    let tree = work.join("natives");
    let inside = tree.join(format!("org/openrtmp/native/{}", system()));
    fs::create_dir_all(&inside).map_err(said)?;
    let library = kotlin::native_library()?.join(JNI.file);
    fs::copy(&library, inside.join(JNI.file)).map_err(said)?;
    let jar = work.join("natives.jar");
    zip(&tree, &jar)?;
    Ok(jar)
}

/// As Java calls this machine: system and processor.
pub(crate) fn system() -> String {
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        other => other,
    };
    format!("linux-{processor}")
}

/// What an AAR needs: not how it is built.
fn aar_pom(names: &Names, artifact: &str, name: &str, dependencies: &str) -> String {
    let Names { group, version } = names;
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>{group}</groupId>
  <artifactId>{artifact}</artifactId>
  <version>{version}</version>
  <packaging>aar</packaging>
  <name>{name}</name>
  <licenses>
    <license><name>MIT</name></license>
    <license><name>Apache-2.0</name></license>
  </licenses>
{dependencies}</project>
"#
    )
}

/// The Kotlin library, as a POM names what it needs.
fn dependency(names: &Names) -> String {
    let Names { group, version } = names;
    format!(
        "  <dependencies>
    <dependency>
      <groupId>{group}</groupId>
      <artifactId>openrtmp</artifactId>
      <version>{version}</version>
    </dependency>
  </dependencies>
"
    )
}

/// Everything below a folder, without a manifest of Java's.
fn zip(tree: &Path, to: &Path) -> Result<(), String> {
    let mut jar = Command::new("jar");
    jar.args(["--create", "--no-manifest", "--file"]);
    succeed(jar.arg(to).arg("-C").arg(tree).arg("."))
}

/// Puts an artifact into the repository, with checksums and the list of versions.
fn deploy(
    repository: &Path,
    pom: &Path,
    file: &Path,
    sources: Option<&Path>,
    natives: Option<&Path>,
) -> Result<(), String> {
    let mut command = maven::maven(workspace::root());
    command
        .arg("org.apache.maven.plugins:maven-deploy-plugin:3.1.4:deploy-file")
        .args(["-DrepositoryId=dist", "-DgeneratePom=false"])
        .arg(format!("-Durl=file://{}", repository.display()))
        .arg(define("pomFile", pom))
        .arg(define("file", file));
    if let Some(sources) = sources {
        command.arg(define("sources", sources));
    }
    if let Some(natives) = natives {
        command
            .arg(define("files", natives))
            .arg(format!("-Dclassifiers=natives-{}", system()))
            .arg("-Dtypes=jar");
    }
    succeed(&mut command)
}
