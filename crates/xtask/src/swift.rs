//! `cargo xtask swift`: the Swift package built and tested in a Debian tree that has Swift,
//! with FFmpeg, where nothing but its own loopback is reached.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::library::{self, Profile, Refusal};
use crate::runner::{self, Tally};
use crate::tools::{self, Tool};
use crate::wine::{as_root, root_command};
use crate::{EXIT_SETUP, workspace};

/// The first that has Swift 6.
const SUITE: &str = "trixie";

/// What the tree has beside the least of a Debian: Swift and what it links with, what
/// publishes and plays, Avahi with its library of the functions of dns_sd.h.
const PACKAGES: &[&str] = &[
    "swiftlang",
    "libc6-dev",
    "libstdc++-14-dev",
    "git",
    "ca-certificates",
    "openssl",
    "ffmpeg",
    "iproute2",
    "libavahi-compat-libdnssd-dev",
    "avahi-daemon",
    "avahi-utils",
    "dbus",
];

/// Seconds that one run may take; then it and all it started are killed.
const PATIENCE: &str = "600";

/// Runs a command in namespaces of its own: what is mounted goes, what was started ends, and
/// no network is there but a loopback of its own. Takes the tree, two folders to show in it
/// under their own names, the working folder, the command.
const ENTER: &str = r#"
    set -e
    tree=$1 root=$2 target=$3 folder=$4
    shift 4
    for place in "$root" "$target"; do
        mkdir -p "$tree$place"
        mount --bind "$place" "$tree$place"
    done
    mount -t proc proc "$tree/proc"
    mount --bind /dev "$tree/dev"
    mount -t tmpfs tmpfs "$tree/run"
    [ -e "$tree/etc/hosts" ] || printf '127.0.0.1 localhost\n::1 localhost\n' > "$tree/etc/hosts"
    chroot "$tree" ip link set lo up
    exec chroot "$tree" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        OPENRTMP_DNS_SD=1 sh -c 'cd "$1"; shift; exec "$@"' sh "$folder" "$@"
"#;

/// The chapter of the README whose code is compiled.
const CHAPTER: &str = "## In your iPad app\n";

/// Makes the documentation: of the module as the first command built it, and the articles.
/// What it warns of is an error. Takes the folder of the build, one for what is written.
const DOCUMENT: &str = r#"
    set -e
    build=$1 out=$2
    rm -rf "$out" && mkdir -p "$out/symbols"
    maps=
    for name in COpenRTMP CDNSSD; do
        maps="$maps -Xcc -fmodule-map-file=$PWD/Sources/$name/module.modulemap"
    done
    # shellcheck disable=SC2086
    /usr/libexec/swift/bin/swift-symbolgraph-extract -module-name OpenRTMP $maps \
        -I "$build/debug/Modules" -target x86_64-pc-linux-gnu -minimum-access-level public \
        -output-dir "$out/symbols"
    /usr/libexec/swift/bin/docc convert Sources/OpenRTMP/OpenRTMP.docc \
        --fallback-display-name OpenRTMP --fallback-bundle-identifier org.openrtmp \
        --fallback-bundle-version 1 --additional-symbol-graph-dir "$out/symbols" \
        --output-dir "$out/archive" --warnings-as-errors
"#;

/// Compiles the parts that are for Apple's systems alone against stand-ins for what they call.
/// Takes the folder for what is made of these.
const APPLE: &str = r#"
    out=$1
    mkdir -p "$out"
    for stub in Tests/AppleStubs/*.swift; do
        name=$(basename "$stub" .swift)
        swiftc -emit-module -parse-as-library -module-name "$name" -swift-version 6 -I "$out" \
            -emit-module-path "$out/$name.swiftmodule" "$stub" || exit
    done
    find Sources/OpenRTMP -name '*.swift' | xargs swiftc -typecheck -parse-as-library \
        -module-name OpenRTMP -swift-version 6 -warnings-as-errors -I "$out" \
        -I Sources/COpenRTMP -I Sources/CDNSSD
"#;

/// Runs a command where Avahi does, and a browser that writes what it finds to a file.
const AVAHI: &str = r#"
    set -e
    mkdir -p /run/dbus
    dbus-daemon --system --fork
    avahi-daemon --daemonize --no-drop-root --no-chroot --no-rlimits
    stdbuf -oL avahi-browse -rpk _rtmp._tcp > /run/found.txt &
    OPENRTMP_FOUND=/run/found.txt "$@"
"#;

/// The test that is for there.
const FOUND: &str = "BonjourTests/testAServerIsFoundUntilItIsToldOfNoMore";

/// Both programs, in a package of their own.
const PROGRAMS: &str = r#"// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "Programs",
    platforms: [.iOS(.v16), .macOS(.v13)],
    dependencies: [.package(name: "OpenRTMP", path: "PACKAGE")],
    targets: ["Server", "Readme"].map {
        .executableTarget(name: $0, dependencies: ["OpenRTMP"])
    },
    swiftLanguageModes: [.v6]
)
"#;

pub(crate) fn run(options: &[String]) -> ExitCode {
    let sanitize = match options {
        [] => false,
        [option] if option == "--tsan" => true,
        _ => {
            eprintln!("error: swift takes --tsan or nothing");
            return ExitCode::from(EXIT_SETUP);
        }
    };
    let tree = match provide() {
        Ok(tree) => tree,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(EXIT_SETUP);
        }
    };
    match check(&tree, sanitize) {
        Ok(tally) => {
            println!("{tally}");
            match tally.failed {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the tree if it is not there.
pub(crate) fn provide() -> Result<PathBuf, String> {
    let tree = workspace::target().join("tools/swift");
    let mark = tree.with_extension("txt");
    let made = PACKAGES.join("\n");
    if fs::read_to_string(&mark).is_ok_and(|found| found == made) {
        return Ok(tree);
    }
    if !tools::may_install() {
        return Err("there is no Debian tree with Swift yet".to_owned());
    }
    tools::provide(&[Tool::Debootstrap], true)?;
    println!("=== making a Debian tree with Swift");
    let path = tree.display().to_string();
    fs::create_dir_all(workspace::target().join("tools")).map_err(|e| e.to_string())?;
    as_root(&["rm", "-rf", &path])?;
    as_root(&["debootstrap", "--variant=minbase", SUITE, &path])?;
    let apt = |arguments: &[&str]| {
        let mut words = vec!["chroot", &path, "env", "DEBIAN_FRONTEND=noninteractive"];
        words.push("apt-get");
        words.extend(arguments);
        as_root(&words)
    };
    apt(&["update", "-q"])?;
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(PACKAGES);
    apt(&install)?;
    apt(&["clean"])?;
    fs::write(&mark, made).map_err(|e| e.to_string())?;
    Ok(tree)
}

/// A command in the tree, to which the program's name and its arguments are added.
pub(crate) fn inside(tree: &Path, folder: &Path) -> Result<Command, String> {
    let mut command = root_command("timeout")?;
    command
        .args(["-s", "KILL", PATIENCE])
        .args(["unshare", "--mount", "--net", "--pid", "--fork"])
        .args(["--kill-child", "sh", "-c", ENTER, "sh"]);
    for path in [tree, workspace::root(), &workspace::target(), folder] {
        let path = path.canonicalize();
        command.arg(path.map_err(|e| format!("{}: {e}", folder.display()))?);
    }
    Ok(command)
}

fn check(tree: &Path, sanitize: bool) -> Result<Tally, String> {
    let said = |error: std::io::Error| error.to_string();
    let folder = workspace::target().join("swift");
    let library = folder.join("lib");
    fs::create_dir_all(&library).map_err(said)?;
    let built = match library::build(None, Profile::Dev, &[]) {
        Ok(built) => built,
        Err(Refusal::Unavailable(why) | Refusal::Failed(why)) => return Err(why),
    };
    // In a folder without the shared one, which would be taken first.
    let archive = built.files.archive;
    fs::copy(built.folder.join(archive), library.join(archive)).map_err(said)?;

    let package = workspace::root().join("bindings/swift");
    // What comes before is what runs it.
    let swift = |place: &Path, before: &[&str], verb: &str, scratch| -> Result<Command, String> {
        let mut command = inside(tree, place)?;
        command.args(before);
        let example = folder.join("programs/build/debug/Server");
        command
            .arg("env")
            .arg(format!("OPENRTMP_EXAMPLE={}", example.display()))
            .arg(format!(
                "TSAN_OPTIONS=halt_on_error=0 exitcode=66 suppressions={}",
                workspace::root().join("bindings/tsan.supp").display()
            ))
            .args(["swift", verb, "--disable-sandbox", "-Xlinker"])
            .arg(format!("-L{}", library.display()))
            .arg("--scratch-path")
            .arg(folder.join::<&str>(scratch));
        if verb == "test" {
            // What swift-testing would run, of which there is nothing.
            command.arg("--disable-swift-testing");
            if sanitize {
                command.arg("--sanitize=thread");
            }
        }
        Ok(command)
    };
    let programs = write_programs(&folder, &package)?;
    let build = swift(&programs, &[], "build", "programs/build")?;
    if !runner::run(build).map_err(said)?.success {
        return Err("the example, or the README's code, does not build".to_owned());
    }
    let report = folder.join("report.txt");
    let scratch = if sanitize { "tsan" } else { "build" };
    let mut tally = tested(swift(&package, &[], "test", scratch)?, &report)?;
    let mut found = swift(&package, &["sh", "-c", AVAHI, "sh"], "test", scratch)?;
    found.args(["--filter", FOUND]);
    tally.add(tested(found, &report)?);
    if !sanitize {
        let mut apple = inside(tree, &package)?;
        apple.args(["sh", "-c", APPLE, "sh"]);
        apple.arg(folder.join("stubs"));
        if !runner::run(apple).map_err(said)?.success {
            return Err("the parts for Apple's systems do not compile".to_owned());
        }
        let mut document = inside(tree, &package)?;
        document.args(["sh", "-c", DOCUMENT, "sh"]);
        document.arg(folder.join("build")).arg(folder.join("docs"));
        if !runner::run(document).map_err(said)?.success {
            return Err("the documentation has faults".to_owned());
        }
    }
    Ok(tally)
}

/// Runs tests, and counts them.
fn tested(command: Command, report: &Path) -> Result<Tally, String> {
    let success = keep(command, report)?;
    let text = fs::read(report).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&text);
    let tally = count(&text).ok_or("no test was run")?;
    if text.contains("WARNING: ThreadSanitizer") {
        return Err("ThreadSanitizer complains".to_owned());
    }
    match success || tally.failed > 0 {
        true => Ok(tally),
        false => Err("swift test failed".to_owned()),
    }
}

/// Runs it, keeps what it says in a file, and shows that.
fn keep(mut command: Command, file: &Path) -> Result<bool, String> {
    let said = |error: std::io::Error| error.to_string();
    let output = fs::File::create(file).map_err(said)?;
    command.stdin(Stdio::null());
    command
        .stdout(output.try_clone().map_err(said)?)
        .stderr(output);
    let status = command.status().map_err(said)?;
    print!(
        "{}",
        String::from_utf8_lossy(&fs::read(file).map_err(said)?)
    );
    Ok(status.success())
}

/// The package of the example and of what the README shows.
fn write_programs(folder: &Path, package: &Path) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| error.to_string();
    let programs = folder.join("programs");
    let readme = fs::read_to_string(workspace::root().join("README.md")).map_err(said)?;
    let code = code_of(&readme).ok_or("the README has no Swift in its chapter about iPads")?;
    let example = workspace::root().join("examples/swift/Sources/Server/Server.swift");
    let example = fs::read_to_string(example).map_err(said)?;
    for (name, file, text) in [
        (
            "Readme",
            "Readme.swift",
            format!("{code}\n@main enum Nothing {{ static func main() {{}} }}\n"),
        ),
        ("Server", "Server.swift", example),
    ] {
        let sources = programs.join("Sources").join(name);
        fs::create_dir_all(&sources).map_err(said)?;
        write_changed(&sources.join(file), &text).map_err(said)?;
    }
    let manifest = PROGRAMS.replace("PACKAGE", &package.display().to_string());
    write_changed(&programs.join("Package.swift"), &manifest).map_err(said)?;
    Ok(programs)
}

/// What has not changed is not built again.
fn write_changed(file: &Path, text: &str) -> std::io::Result<()> {
    match fs::read_to_string(file) {
        Ok(found) if found == text => Ok(()),
        _ => fs::write(file, text),
    }
}

/// The first Swift of the chapter.
fn code_of(readme: &str) -> Option<&str> {
    let (_, chapter) = readme.split_once(CHAPTER)?;
    let chapter = chapter.split("\n## ").next()?;
    let (_, code) = chapter.split_once("```swift\n")?;
    Some(code.split_once("```")?.0)
}

/// What XCTest says of all its suites: the last of its lines such as
/// ` Executed 21 tests, with 1 test skipped and 2 failures (0 unexpected) in 1 (1) seconds`.
fn count(report: &str) -> Option<Tally> {
    let line = report
        .lines()
        .rfind(|line| line.trim_start().starts_with("Executed "))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let before = |word: &str| -> u64 {
        let place = words.iter().position(|found| found.starts_with(word));
        let number = place.and_then(|place| words.get(place.checked_sub(1)?));
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let failed = before("failure");
    let skipped = match line.contains("skipped") {
        true => words
            .iter()
            .position(|word| *word == "with")
            .and_then(|place| words.get(place + 1)?.parse().ok())
            .unwrap_or(0),
        false => 0,
    };
    let all: u64 = words.get(1)?.parse().ok()?;
    (all > 0).then_some(Tally {
        passed: all.saturating_sub(failed + skipped),
        failed,
        skipped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_code_for_ipads() {
        let readme = fs::read_to_string(workspace::root().join("README.md")).unwrap();
        assert!(code_of(&readme).is_some_and(|code| code.contains("RTMPServer")));
    }

    #[test]
    fn what_xctest_says_is_counted() {
        let report = "\t Executed 3 tests, with 0 failures (0 unexpected) in 0.1 (0.1) seconds\n\
            \t Executed 21 tests, with 1 test skipped and 2 failures (0 unexpected) in 1 (1) seconds\n";
        let tally = Tally {
            passed: 18,
            failed: 2,
            skipped: 1,
        };
        assert_eq!(count(report), Some(tally));
        let clean = "Executed 5 tests, with 0 failures (0 unexpected) in 1 (1) seconds\n";
        assert_eq!(count(clean).map(|tally| tally.passed), Some(5));
        assert_eq!(count("Executed 0 tests, with 0 failures"), None);
        assert_eq!(count(""), None);
    }
}
