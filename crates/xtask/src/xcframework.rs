//! `cargo xtask xcframework`: the Swift package for Xcode, whole: its sources, and the C
//! library as an XCFramework with the slices of iOS, its simulator and macOS. On Linux it is
//! laid out by hand and looked at; it has no TLS then, whose parts in C take Apple's kits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::install::succeed;
use crate::library::{self, Profile, Refusal, Target};
use crate::runner::{SKIPPED, Tally};
use crate::tools::{self, Tool};
use crate::{EXIT_SETUP, swift, workspace};

/// Libraries of one platform, which stand in one file.
struct Slice {
    folder: &'static str,
    platform: &'static str,
    variant: Option<&'static str>,
    /// Apple's names of the processors, and Rust's of the targets.
    parts: &'static [(&'static str, &'static str)],
}

const SLICES: &[Slice] = &[
    Slice {
        folder: "ios-arm64",
        platform: "ios",
        variant: None,
        parts: &[("arm64", "aarch64-apple-ios")],
    },
    Slice {
        folder: "ios-arm64_x86_64-simulator",
        platform: "ios",
        variant: Some("simulator"),
        parts: &[
            ("arm64", "aarch64-apple-ios-sim"),
            ("x86_64", "x86_64-apple-ios"),
        ],
    },
    Slice {
        folder: "macos-arm64_x86_64",
        platform: "macos",
        variant: None,
        parts: &[
            ("arm64", "aarch64-apple-darwin"),
            ("x86_64", "x86_64-apple-darwin"),
        ],
    },
];

const LIBRARY: &str = "libopenrtmp.a";

/// Folders of headers of all packages are poured into one by Xcode: only what has a folder of
/// its own there stands in nobody's way.
const HEADERS: &str = "Headers/COpenRTMP";

const MODULE: &str = "module COpenRTMP {\n    header \"openrtmp.h\"\n    export *\n}\n";

const MANIFEST: &str = r#"// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "OpenRTMP",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "OpenRTMP", targets: ["OpenRTMP"])],
    targets: [
        .binaryTarget(name: "COpenRTMP", path: "COpenRTMP.xcframework"),
        .target(
            name: "OpenRTMP",
            dependencies: ["COpenRTMP"],
            resources: [.copy("PrivacyInfo.xcprivacy")],
            linkerSettings: [LINKED]
        ),
    ],
    swiftLanguageModes: [.v6]
)
"#;

/// Calls that Apple wants a reason for, by the category that the privacy manifest has to
/// name.
const REASONED: &[(&str, &[&str])] = &[
    (
        "NSPrivacyAccessedAPICategoryFileTimestamp",
        &[
            "_stat",
            "_fstat",
            "_fstatat",
            "_lstat",
            "_getattrlist",
            "_getattrlistbulk",
            "_fgetattrlist",
        ],
    ),
    (
        "NSPrivacyAccessedAPICategorySystemBootTime",
        &["_mach_absolute_time"],
    ),
    (
        "NSPrivacyAccessedAPICategoryDiskSpace",
        &["_statfs", "_statvfs", "_fstatfs", "_fstatvfs"],
    ),
];

pub(crate) fn run(options: &[String]) -> ExitCode {
    let profile = match options {
        [] => Profile::Dist,
        [option] if option == "--debug" => Profile::Dev,
        _ => {
            eprintln!("error: xcframework takes --debug or nothing");
            return ExitCode::from(EXIT_SETUP);
        }
    };
    if let Err(why) = tools::provide(&[Tool::Llvm], tools::may_install()) {
        eprintln!("error: {why}");
        return ExitCode::from(EXIT_SETUP);
    }
    library::finish(make(profile))
}

fn make(profile: Profile) -> Result<Tally, Refusal> {
    let failed = |error: std::io::Error| Refusal::Failed(error.to_string());
    let dist = workspace::target().join("dist/swift");
    let package = dist.join("OpenRTMP");
    // What an older run left is not part of this one.
    let _ = fs::remove_dir_all(&dist);
    let framework = package.join("COpenRTMP.xcframework");
    let mut linked = Vec::new();
    for slice in SLICES {
        let folder = framework.join(slice.folder);
        fs::create_dir_all(folder.join(HEADERS)).map_err(failed)?;
        let mut archives = Vec::new();
        for (_, name) in slice.parts {
            println!("=== {name}");
            let (archive, needs) = build(name, profile)?;
            archives.push(archive);
            linked = needs;
        }
        let processors = slice.parts.iter().map(|(processor, _)| *processor);
        let parts: Vec<_> = processors.zip(archives).collect();
        write_library(&parts, &folder.join(LIBRARY)).map_err(Refusal::Failed)?;
        let headers = folder.join(HEADERS);
        let header = workspace::root().join("include/openrtmp.h");
        fs::copy(header, headers.join("openrtmp.h")).map_err(failed)?;
        fs::write(headers.join("module.modulemap"), MODULE).map_err(failed)?;
    }
    fs::write(framework.join("Info.plist"), info()).map_err(failed)?;
    let sources = workspace::root().join("bindings/swift/Sources/OpenRTMP");
    copy_tree(&sources, &package.join("Sources/OpenRTMP")).map_err(failed)?;
    let manifest = MANIFEST.replace("LINKED", &linked.join(", "));
    fs::write(package.join("Package.swift"), manifest).map_err(failed)?;
    fs::write(package.join("README.md"), readme()).map_err(failed)?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(workspace::root().join(licence), package.join(licence)).map_err(failed)?;
    }
    let checksum = zip(&package, &dist).map_err(Refusal::Failed)?;
    println!("{}\nchecksum {checksum}", package.display());
    Ok(look_at(&package, &framework))
}

/// One file of the libraries for several processors (`mach-o/fat.h`). What would do that,
/// llvm-lipo, reads the bitcode that Rust's own libraries for iOS have in them, and understands
/// that of its own version alone.
fn write_library(parts: &[(&str, PathBuf)], to: &Path) -> Result<(), String> {
    let mut all = Vec::new();
    for (processor, archive) in parts {
        let bytes = fs::read(archive).map_err(|e| format!("{}: {e}", archive.display()))?;
        all.push((*processor, bytes));
    }
    let bytes = match all.as_slice() {
        [(_, alone)] => alone.clone(),
        several => fat(several)?,
    };
    fs::write(to, bytes).map_err(|e| format!("{}: {e}", to.display()))
}

/// All numbers are big-endian.
fn fat(parts: &[(&str, Vec<u8>)]) -> Result<Vec<u8>, String> {
    /// The part begins at a multiple of 2 to this power.
    const ALIGNED: u32 = 3;
    let too_large = |_| "the library is larger than 4 GiB".to_owned();
    let mut at = 8 + 20 * parts.len();
    let (mut head, mut body) = (Vec::new(), Vec::new());
    head.extend(0xCAFE_BABE_u32.to_be_bytes());
    head.extend((parts.len() as u32).to_be_bytes());
    for (processor, bytes) in parts {
        // The type of the processor, its 64-bit bit included, and all of that type.
        let (kind, of_it): (u32, u32) = match *processor {
            "arm64" => (0x0100_000C, 0),
            "x86_64" => (0x0100_0007, 3),
            other => return Err(format!("no number for {other}")),
        };
        let begin = at.next_multiple_of(1 << ALIGNED);
        body.resize(body.len() + begin - at, 0);
        body.extend(bytes);
        at = begin + bytes.len();
        let begin = u32::try_from(begin).map_err(too_large)?;
        let length = u32::try_from(bytes.len()).map_err(too_large)?;
        for number in [kind, of_it, begin, length, ALIGNED] {
            head.extend(number.to_be_bytes());
        }
    }
    head.extend(body);
    Ok(head)
}

/// The static library of a target, and what has to be linked beside it.
fn build(name: &str, profile: Profile) -> Result<(PathBuf, Vec<String>), Refusal> {
    let target: &Target = match library::APPLE_INTEL.iter().find(|t| t.name == name) {
        Some(target) => target,
        None => library::target(name).map_err(Refusal::Failed)?,
    };
    let built = library::build(Some(target), profile, &[])?;
    let archive = built.folder.join(built.files.archive);
    Ok((archive, settings(&built.native_libraries)))
}

/// What rustc says a program needs, as Swift's packages say it.
fn settings(native: &str) -> Vec<String> {
    let mut settings = Vec::new();
    let mut words = native.split_whitespace();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-l") {
            // These are in every program.
            Some("System" | "c" | "m") => continue,
            Some(library) => format!(".linkedLibrary(\"{library}\")"),
            None if word == "-framework" => match words.next() {
                Some(name) => format!(".linkedFramework(\"{name}\")"),
                None => continue,
            },
            None => continue,
        };
        if !settings.contains(&setting) {
            settings.push(setting);
        }
    }
    settings
}

/// The list of an XCFramework's slices.
fn info() -> String {
    let slices: String = SLICES.iter().map(entry).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
        \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
        <plist version=\"1.0\">\n<dict>\n\
        <key>AvailableLibraries</key>\n<array>\n{slices}</array>\n\
        <key>CFBundlePackageType</key>\n<string>XFWK</string>\n\
        <key>XCFrameworkFormatVersion</key>\n<string>1.0</string>\n\
        </dict>\n</plist>\n"
    )
}

fn entry(slice: &Slice) -> String {
    let processors: String = slice
        .parts
        .iter()
        .map(|(processor, _)| format!("<string>{processor}</string>\n"))
        .collect();
    let variant = slice.variant.map_or(String::new(), |variant| {
        format!("<key>SupportedPlatformVariant</key>\n<string>{variant}</string>\n")
    });
    format!(
        "<dict>\n\
        <key>BinaryPath</key>\n<string>{LIBRARY}</string>\n\
        <key>HeadersPath</key>\n<string>Headers</string>\n\
        <key>LibraryIdentifier</key>\n<string>{folder}</string>\n\
        <key>LibraryPath</key>\n<string>{LIBRARY}</string>\n\
        <key>SupportedArchitectures</key>\n<array>\n{processors}</array>\n\
        <key>SupportedPlatform</key>\n<string>{platform}</string>\n\
        {variant}</dict>\n",
        folder = slice.folder,
        platform = slice.platform,
    )
}

fn readme() -> String {
    let tls = match cfg!(target_os = "macos") {
        true => "",
        false => {
            "\n**Made on Linux, and for looking at alone**: there is no TLS in it, and nobody has \
            linked it into an app. Make it on a Mac to ship it.\n"
        }
    };
    format!(
        "# OpenRTMP for Xcode\n\n\
        An RTMP server inside an app for iOS 16 and macOS 13: add this folder as a local package, \
        or push it as a repository of its own. The product and the module are `OpenRTMP`.\n{tls}"
    )
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &place)?,
            false => fs::copy(entry.path(), place).map(drop)?,
        }
    }
    Ok(())
}

/// The XCFramework for `.binaryTarget(url:checksum:)`: a zip, and the SHA-256 of it.
fn zip(package: &Path, dist: &Path) -> Result<String, String> {
    let file = dist.join("COpenRTMP.xcframework.zip");
    let mut zip = Command::new("python3");
    zip.current_dir(package).args(["-m", "zipfile", "-c"]);
    succeed(zip.arg(&file).arg("COpenRTMP.xcframework"))?;
    // Macs have no sha256sum.
    let script = "import hashlib, sys\n\
        print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())\n";
    let said = output(Command::new("python3").args(["-c", script]).arg(&file))?;
    let checksum = said.trim().to_owned();
    fs::write(file.with_extension("zip.sha256"), format!("{checksum}\n"))
        .map_err(|e| e.to_string())?;
    Ok(checksum)
}

/// What can be known of it without a Mac.
fn look_at(package: &Path, framework: &Path) -> Tally {
    let mut tally = Tally::default();
    let mut told = |what: &str, result: Result<(), String>| match result {
        Ok(()) => {
            tally.passed += 1;
            println!("ok: {what}");
        }
        Err(why) => {
            tally.failed += 1;
            println!("FAILED: {what}: {why}");
        }
    };
    for slice in SLICES {
        let library = framework.join(slice.folder).join(LIBRARY);
        told(
            &format!("{}: processors", slice.folder),
            processors(slice, &library),
        );
        for (processor, _) in slice.parts {
            let name = format!("{} {processor}", slice.folder);
            told(
                &format!("{name}: functions of the header"),
                functions(processor, &library),
            );
            told(
                &format!("{name}: reasons for calls"),
                reasons(processor, &library, package),
            );
        }
    }
    told("the list of slices", list(framework));
    told(
        "no module map where Xcode would pour it over another's",
        SLICES.iter().try_for_each(|slice| {
            let headers = framework.join(slice.folder).join("Headers");
            let entries = fs::read_dir(headers).map_err(|e| e.to_string())?;
            match entries.count() {
                1 => Ok(()),
                more => Err(format!("{more} things in {}", slice.folder)),
            }
        }),
    );
    // A tree is a large download: where there is none yet this is left out.
    if workspace::target().join("tools/swift.txt").exists() {
        told(
            "the manifest, and the module map",
            read_by_swift(package, framework),
        );
    } else {
        tally.skipped += 1;
        println!("{SKIPPED}the manifest is read by Swift: cargo xtask swift makes its tree");
    }
    tally
}

fn processors(slice: &Slice, library: &Path) -> Result<(), String> {
    let mut headers = Command::new("llvm-objdump-19");
    headers.args(["--macho", "--universal-headers"]);
    let said = output(headers.arg(library))?;
    let lines = said.lines().map(str::trim);
    let mut found: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("cputype "))
        .collect();
    found.sort_unstable();
    let mut wanted: Vec<&str> = match slice.parts {
        // It has no such header.
        [_] => Vec::new(),
        parts => parts
            .iter()
            .map(|(name, _)| match *name {
                "arm64" => "CPU_TYPE_ARM64",
                _ => "CPU_TYPE_X86_64",
            })
            .collect(),
    };
    wanted.sort_unstable();
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{found:?}")),
    }
}

fn names(kind: &str, processor: &str, library: &Path) -> Result<Vec<String>, String> {
    let mut nm = Command::new("llvm-nm-19");
    // Rust's own libraries for iOS have bitcode beside the code, of a newer LLVM than this.
    nm.args(["--quiet", "--no-llvm-bc", "--format=just-symbols", kind]);
    let said = output(nm.args(["--arch", processor]).arg(library))?;
    Ok(said.lines().map(|line| line.trim().to_owned()).collect())
}

fn functions(processor: &str, library: &Path) -> Result<(), String> {
    let defined = names("--defined-only", processor, library)?;
    let header = workspace::root().join("include/openrtmp.h");
    let header = fs::read_to_string(header).map_err(|e| e.to_string())?;
    let declared = declared(&header);
    let missing: Vec<&&str> = declared
        .iter()
        .filter(|name| !defined.contains(&format!("_{name}")))
        .collect();
    match (declared.len() > 60, missing.is_empty()) {
        (true, true) => Ok(()),
        (false, _) => Err("the header was not understood".to_owned()),
        (_, false) => Err(format!("without {missing:?}")),
    }
}

/// The functions that a header declares, each at the beginning of a line.
fn declared(header: &str) -> Vec<&str> {
    header
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter(|line| !line.starts_with("static") && !line.starts_with("typedef"))
        .filter_map(|line| {
            let name = &line[line.find("openrtmp_")?..];
            // Behind the type that it gives, which may be one of ours.
            let (before, _) = name.split_once('(')?;
            before.rsplit([' ', '*']).next()
        })
        .filter(|name| name.starts_with("openrtmp_"))
        .collect()
}

fn reasons(processor: &str, library: &Path, package: &Path) -> Result<(), String> {
    let asked = names("--undefined-only", processor, library)?;
    let manifest = package.join("Sources/OpenRTMP/PrivacyInfo.xcprivacy");
    let manifest = fs::read_to_string(manifest).map_err(|e| e.to_string())?;
    for (category, calls) in REASONED {
        let call = calls.iter().find(|call| {
            // Older systems of Intel's have names with endings.
            let variant = format!("{call}$");
            asked
                .iter()
                .any(|name| name == *call || name.starts_with(&variant))
        });
        if let Some(call) = call
            && !manifest.contains(category)
        {
            return Err(format!("{call} needs {category} in the privacy manifest"));
        }
    }
    Ok(())
}

/// What Python makes of the list, and whether all of it is there.
fn list(framework: &Path) -> Result<(), String> {
    let script = "import plistlib, os, sys\n\
        root = sys.argv[1]\n\
        info = plistlib.load(open(os.path.join(root, 'Info.plist'), 'rb'))\n\
        slices = info['AvailableLibraries']\n\
        assert info['CFBundlePackageType'] == 'XFWK' and len(slices) == 3, info\n\
        for one in slices:\n\
        \x20   folder = os.path.join(root, one['LibraryIdentifier'])\n\
        \x20   assert os.path.isfile(os.path.join(folder, one['LibraryPath'])), one\n\
        \x20   assert os.path.isdir(os.path.join(folder, one['HeadersPath'])), one\n\
        folders = {one['LibraryIdentifier'] for one in slices} | {'Info.plist'}\n\
        assert set(os.listdir(root)) == folders, os.listdir(root)\n";
    succeed(Command::new("python3").args(["-c", script]).arg(framework))
}

/// Swift reads the manifest, and its compiler of C the module, as one of Linux.
fn read_by_swift(package: &Path, framework: &Path) -> Result<(), String> {
    let tree = swift::provide()?;
    let mut describe = swift::inside(&tree, package)?;
    describe.args([
        "swift",
        "package",
        "--disable-sandbox",
        "--scratch-path",
        "/tmp/describe",
    ]);
    let said = output(describe.arg("dump-package"))?;
    if !said.contains("COpenRTMP.xcframework") {
        return Err(said);
    }
    let script = "echo '@import COpenRTMP; unsigned a(void) { return openrtmp_version(); }' > /tmp/a.m\n\
        for headers in */Headers; do\n\
            /usr/libexec/swift/bin/clang -fsyntax-only -fmodules -fmodules-cache-path=/tmp/modules \
                -fmodule-map-file=$headers/COpenRTMP/module.modulemap -I $headers /tmp/a.m || exit\n\
        done";
    let mut modules = swift::inside(&tree, framework)?;
    output(modules.args(["sh", "-c", script])).map(drop)
}

/// What a program says on standard output; all it said if it fails.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!(
            "{command:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustc_says_becomes_settings() {
        let native = "-framework Security -liconv -lSystem -lc -lm -liconv";
        let expected = [
            ".linkedFramework(\"Security\")",
            ".linkedLibrary(\"iconv\")",
        ];
        assert_eq!(settings(native), expected);
        assert!(settings("-lSystem -framework").is_empty());
    }

    #[test]
    fn libraries_for_two_processors_stand_in_one_file() {
        let parts = [("arm64", vec![1; 13]), ("x86_64", vec![2; 5])];
        let file = fat(&parts).unwrap();
        let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((number(0), number(4)), (0xCAFE_BABE, 2));
        for (index, (_, bytes)) in parts.iter().enumerate() {
            let entry = 8 + 20 * index;
            let (begin, length) = (number(entry + 8) as usize, number(entry + 12) as usize);
            assert!(begin.is_multiple_of(8));
            assert_eq!(file[begin..begin + length], bytes[..]);
        }
        assert!(fat(&[("pdp11", Vec::new())]).is_err());
    }

    #[test]
    fn functions_of_the_header_are_found() {
        let header = "// openrtmp_no(\nint32_t openrtmp_a(struct openrtmp_b *c);\n\
            const struct openrtmp_frame *OPENRTMP_NULLABLE openrtmp_retain(const struct x *y);\n\
            static inline openrtmp_str openrtmp_no(void);\ntypedef void (*openrtmp_no)(void);\n";
        assert_eq!(declared(header), ["openrtmp_a", "openrtmp_retain"]);
    }

    #[test]
    fn every_slice_is_of_targets_that_there_are() {
        for (_, name) in SLICES.iter().flat_map(|slice| slice.parts) {
            let intel = library::APPLE_INTEL
                .iter()
                .any(|target| target.name == *name);
            assert!(intel || library::target(name).is_ok(), "{name}");
        }
    }
}
