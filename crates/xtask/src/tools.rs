//! What the steps use: how each tool is looked for, what brings it, and installing it.

use std::env;
use std::process::{Command, Stdio};

use crate::npm::{self, Npm};
use crate::probe::{Probe, answers};
use crate::wheel::{self, FFMPEG_WHEEL};

/// A program or part of one that some step uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Rustfmt,
    Clippy,
    /// The distribution's ffmpeg and ffprobe.
    Ffmpeg,
    /// A current ffmpeg, which knows Enhanced RTMP.
    FfmpegCurrent,
    Rtmpdump,
    Gstreamer,
    /// nginx with its RTMP module.
    NginxRtmp,
    /// A cache before HTTP servers.
    Varnish,
    /// TLS for programs that speak none.
    Stunnel,
    /// TLS for GStreamer.
    GlibNetworking,
    Openssl,
    /// Scanners for weaknesses of TLS.
    Testssl,
    Sslscan,
    /// A proxy that says for whom it connects.
    Haproxy,
    /// An authority that gives certificates by itself.
    Pebble,
    /// What checks text for Prometheus.
    Promtool,
    /// OBS Studio.
    Obs,
    /// A screen that nobody sees.
    Xvfb,
    /// Reads pictures of QR codes.
    Zbar,
    /// What looks at every packet of a transport stream.
    Tstools,
    /// A client of HTTP/2.
    Curl,
    /// What reads JSON.
    Jq,
    /// What puts the files of logs aside.
    Logrotate,
    /// Fetches and unpacks the wheel that carries the current ffmpeg.
    Pip,
    /// Compilers of C and C++, with the sanitizers.
    Cxx,
    Cmake,
    PkgConfig,
    Valgrind,
    /// Makes the trees that wine and systemd run in.
    Debootstrap,
    /// Boots the one of them that systemd runs in.
    Nspawn,
    /// Has a network of one's own go up.
    Iproute,
    /// Linkers of other systems.
    Mingw,
    Aarch64Gcc,
    /// Makes and reads libraries of Apple's systems.
    Llvm,
    /// Compiles for Windows on ARM.
    ArmWindows,
    AndroidClang,
    /// Runs programs of 64-bit ARM.
    Qemu,
    /// Compiles and runs Java.
    Jdk,
    /// Builds the Kotlin library, and fetches what that takes.
    Maven,
    /// Compiles manifests and resources of Android.
    Aapt,
    /// Runs JavaScript, and fetches packages of it.
    Node,
    Chromium,
    Firefox,
    /// Packages that drive browsers, and players for them to run.
    BrowserPackages,
    /// Packages that read what the server makes.
    ReaderPackages,
    Vlc,
    Mpv,
}

/// What a tool is called, what brings it, and how it is tried.
struct Entry {
    name: &'static str,
    source: Source,
    probe: Probe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A component of the Rust toolchain.
    Component(&'static str),
    /// Debian packages. What they only recommend is not installed, so that each package
    /// that is used is named.
    Packages(&'static [&'static str]),
    /// The wheel below.
    Wheel,
    /// Packages of Node.
    Npm(&'static Npm),
}

/// Set for the chores of a test command that may not install.
pub(crate) const NO_INSTALL: &str = "OPENRTMP_NO_INSTALL";

/// Whether chores may install what they miss.
pub(crate) fn may_install() -> bool {
    env::var_os(NO_INSTALL).is_none()
}

impl Tool {
    fn entry(self) -> Entry {
        let entry = |name, source, probe| Entry {
            name,
            source,
            probe,
        };
        match self {
            Tool::Rustfmt => entry(
                "rustfmt",
                Source::Component("rustfmt"),
                Probe::Program(&["rustfmt"]),
            ),
            Tool::Clippy => entry(
                "clippy",
                Source::Component("clippy"),
                Probe::Program(&["clippy-driver", "--crate-type=lib", "--emit=metadata", "-"]),
            ),
            Tool::Ffmpeg => entry(
                "FFmpeg",
                Source::Packages(&["ffmpeg"]),
                Probe::Script(
                    r#"
                    ffmpeg -nostdin -v error -f lavfi -i testsrc2=size=64x64:duration=0.1 \
                        -f lavfi -i sine=duration=0.1 -c:v libx264 -c:a aac -f flv probe.flv
                    ffprobe -v error probe.flv
                    ffmpeg -v error -protocols | grep -q '^ *rtmp$'
                    "#,
                ),
            ),
            Tool::FfmpegCurrent => entry(
                "a current FFmpeg",
                Source::Wheel,
                Probe::Script(
                    r#"
                    test "$(cat "$TOOLS/ffmpeg-current/wheel.txt")" = "$FFMPEG_WHEEL"
                    "$TOOLS/ffmpeg-current/ffmpeg" -nostdin -v error \
                        -f lavfi -i testsrc2=size=64x64:duration=0.1 \
                        -f lavfi -i sine=sample_rate=48000:duration=0.1 \
                        -c:v libvpx-vp9 -c:a libopus -f flv probe.flv
                    "#,
                ),
            ),
            Tool::Rtmpdump => entry(
                "rtmpdump",
                Source::Packages(&["rtmpdump"]),
                Probe::Script("rtmpdump --help 2>&1 | grep -q -e --playpath"),
            ),
            Tool::Gstreamer => entry(
                "GStreamer",
                Source::Packages(&[
                    "gstreamer1.0-tools",
                    "gstreamer1.0-plugins-good",
                    "gstreamer1.0-plugins-bad",
                    "gir1.2-gstreamer-1.0",
                    "python3-gi",
                ]),
                Probe::Script(
                    r#"
                    /usr/bin/python3 -c 'import gi; gi.require_version("Gst", "1.0")'
                    for element in flvdemux flvmux rtmp2src rtmp2sink; do
                        gst-inspect-1.0 --exists $element
                    done
                    gst-launch-1.0 -q filesrc location=/dev/null ! queue ! identity \
                        ! filesink location=probe
                    "#,
                ),
            ),
            Tool::NginxRtmp => entry(
                "nginx with its RTMP module",
                Source::Packages(&["nginx-light", "libnginx-mod-rtmp"]),
                Probe::Script("nginx -v && ls /usr/lib/nginx/modules/ngx_rtmp_module.so"),
            ),
            Tool::Varnish => entry(
                "Varnish",
                Source::Packages(&["varnish"]),
                Probe::Script("varnishd -V"),
            ),
            Tool::Obs => entry(
                "OBS Studio",
                Source::Packages(&["obs-studio"]),
                Probe::Script("obs --version | grep -q OBS"),
            ),
            Tool::Xvfb => entry(
                "Xvfb",
                Source::Packages(&["xvfb"]),
                Probe::Script("command -v Xvfb"),
            ),
            Tool::Stunnel => entry(
                "stunnel",
                Source::Packages(&["stunnel4"]),
                Probe::Script("stunnel -version 2>&1 | grep -q OpenSSL"),
            ),
            Tool::GlibNetworking => entry(
                "GStreamer's TLS",
                Source::Packages(&["glib-networking", "ca-certificates"]),
                Probe::Script("ls /usr/lib/*/gio/modules/libgio*tls*.so"),
            ),
            Tool::Openssl => entry(
                "OpenSSL's command",
                Source::Packages(&["openssl"]),
                Probe::Script("openssl s_client -help 2>&1 | grep -q -e -tls1_3"),
            ),
            Tool::Haproxy => entry(
                "HAProxy",
                Source::Packages(&["haproxy"]),
                Probe::Script("/usr/sbin/haproxy -v"),
            ),
            Tool::Testssl => entry(
                "testssl.sh",
                Source::Packages(&["testssl.sh"]),
                Probe::Script("testssl --version | grep -q testssl"),
            ),
            Tool::Sslscan => entry(
                "sslscan",
                Source::Packages(&["sslscan"]),
                Probe::Script("sslscan --version | grep -q OpenSSL"),
            ),
            Tool::Pebble => entry(
                "Pebble",
                Source::Packages(&["pebble"]),
                Probe::Script("command -v pebble pebble-challtestsrv"),
            ),
            Tool::Promtool => entry(
                "promtool",
                Source::Packages(&["prometheus"]),
                Probe::Script("echo 'up 1' | promtool check metrics || test $? = 3"),
            ),
            Tool::Zbar => entry(
                "zbarimg",
                Source::Packages(&["zbar-tools"]),
                Probe::Script("zbarimg --version"),
            ),
            Tool::Tstools => entry(
                "tstools",
                Source::Packages(&["tstools"]),
                Probe::Script("tsreport -help"),
            ),
            Tool::Curl => entry(
                "curl",
                Source::Packages(&["curl"]),
                Probe::Script("curl --version | grep -q HTTP2"),
            ),
            Tool::Jq => entry(
                "jq",
                Source::Packages(&["jq"]),
                Probe::Script("echo '{\"a\": 1}' | jq -e '.a == 1'"),
            ),
            Tool::Logrotate => entry(
                "logrotate",
                Source::Packages(&["logrotate"]),
                Probe::Script("/usr/sbin/logrotate --version"),
            ),
            Tool::Pip => entry(
                "pip",
                Source::Packages(&["python3-pip", "ca-certificates"]),
                Probe::Script(
                    r#"
                    python3 -m pip download --help
                    python3 -c 'import ssl, zipfile; assert ssl.create_default_context().get_ca_certs()'
                    "#,
                ),
            ),
            Tool::Cxx => entry(
                "a C++ compiler with sanitizers",
                Source::Packages(&["g++"]),
                Probe::Script(
                    r#"
                    echo 'int main(void) { return 0; }' > probe.c
                    ${CC:-cc} -std=c99 -fsanitize=address,undefined probe.c -o probe_c
                    ./probe_c
                    ${CC:-cc} -std=c99 -fsanitize=thread probe.c -o probe_t
                    echo '#include <vector>' > probe.cpp
                    echo 'int main() { return int(std::vector<int>().size()); }' >> probe.cpp
                    ${CXX:-c++} -std=c++17 -fsanitize=address,undefined probe.cpp -o probe_cpp
                    ./probe_cpp
                    "#,
                ),
            ),
            Tool::Cmake => entry(
                "CMake",
                Source::Packages(&["cmake", "make", "g++"]),
                Probe::Script(
                    r#"
                    echo 'int main(void) { return 0; }' > probe.c
                    cp probe.c probe.cpp
                    echo 'cmake_minimum_required(VERSION 3.16)
                        project(probe C CXX)
                        add_executable(probe_c probe.c)
                        add_executable(probe_cpp probe.cpp)' > CMakeLists.txt
                    cmake -S . -B build
                    cmake --build build
                    build/probe_c
                    "#,
                ),
            ),
            Tool::PkgConfig => entry(
                "pkg-config",
                Source::Packages(&["pkg-config"]),
                Probe::Script(
                    r#"
                    printf 'Name: a\nDescription: a\nVersion: 1\nLibs.private: -lm\n' > a.pc
                    PKG_CONFIG_LIBDIR=. pkg-config --static --libs a | grep -q -e -lm
                    "#,
                ),
            ),
            Tool::Valgrind => entry(
                "valgrind",
                Source::Packages(&["valgrind"]),
                Probe::Script(
                    r#"
                    valgrind --quiet --leak-check=full --error-exitcode=9 true
                    valgrind --quiet --tool=callgrind --callgrind-out-file=/dev/null true
                    "#,
                ),
            ),
            Tool::Debootstrap => entry(
                "debootstrap",
                Source::Packages(&["debootstrap", "debian-archive-keyring", "gpgv"]),
                Probe::Script(
                    r#"
                    command -v debootstrap gpgv
                    test -e /usr/share/debootstrap/scripts/trixie
                    test -e /usr/share/keyrings/debian-archive-keyring.gpg
                    "#,
                ),
            ),
            Tool::Nspawn => entry(
                "systemd-nspawn",
                Source::Packages(&["systemd-container"]),
                Probe::Script("command -v systemd-nspawn dpkg-deb"),
            ),
            Tool::Iproute => entry(
                "ip",
                Source::Packages(&["iproute2"]),
                Probe::Script("PATH=$PATH:/usr/sbin:/sbin ip -V"),
            ),
            Tool::Mingw => entry(
                "a compiler for Windows",
                Source::Packages(&["gcc-mingw-w64-x86-64"]),
                Probe::Script(
                    r#"
                    echo '#include <winsock2.h>' > probe.c
                    echo 'int main(void) { return WSACleanup() == 0; }' >> probe.c
                    x86_64-w64-mingw32-gcc probe.c -o probe.exe -lws2_32
                    "#,
                ),
            ),
            Tool::ArmWindows => entry(
                "a compiler for Windows on ARM",
                Source::Packages(&["clang", "llvm", "mingw-w64-common"]),
                Probe::Script(
                    r#"
                    echo '#include <stdlib.h>' > probe.c
                    echo 'void *probe(void) { return malloc(1); }' >> probe.c
                    clang --target=aarch64-w64-windows-gnu -c probe.c -o probe.o \
                        -isystem /usr/share/mingw-w64/include
                    llvm-ar rc probe.a probe.o
                    "#,
                ),
            ),
            Tool::AndroidClang => entry(
                "a compiler for Android",
                Source::Packages(&["clang", "llvm"]),
                Probe::Script(
                    r#"
                    echo '#include <stdint.h>' > probe.c
                    echo 'uint32_t probe(void) { return 1; }' >> probe.c
                    clang --target=aarch64-linux-android24 -ffreestanding -c probe.c -o probe.o
                    "#,
                ),
            ),
            Tool::Aarch64Gcc => entry(
                "a compiler for 64-bit ARM",
                Source::Packages(&["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]),
                Probe::Script(
                    r#"
                    echo '#include <stdio.h>' > probe.c
                    echo 'int main(void) { return puts("") < 0; }' >> probe.c
                    aarch64-linux-gnu-gcc probe.c -o probe -lpthread -ldl -lm -lgcc_s
                    "#,
                ),
            ),
            Tool::Llvm => entry(
                "LLVM's tools for object files",
                Source::Packages(&["llvm-19"]),
                Probe::Script("command -v llvm-objdump-19 llvm-nm-19"),
            ),
            Tool::Qemu => entry(
                "qemu",
                Source::Packages(&["qemu-user", "libc6-arm64-cross"]),
                // The loader is a program too, and the first that runs of any.
                Probe::Script(
                    r#"
                    cd /usr/aarch64-linux-gnu/lib
                    qemu-aarch64 -L /usr/aarch64-linux-gnu ./ld-linux-aarch64.so.1 \
                        --list ./libc.so.6
                    "#,
                ),
            ),
            Tool::Jdk => entry(
                "a Java development kit",
                Source::Packages(&["default-jdk-headless"]),
                Probe::Script(
                    r#"
                    echo 'class Probe { public static void main(String[] a) {} }' > Probe.java
                    javac --release 11 Probe.java
                    java Probe
                    "#,
                ),
            ),
            Tool::Node => entry(
                "Node.js with npm",
                Source::Packages(&["nodejs", "npm"]),
                Probe::Script(
                    r#"
                    node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 18 ? 1 : 0)'
                    npm --version
                    "#,
                ),
            ),
            Tool::Chromium => entry(
                "Chromium",
                Source::Packages(&["chromium", "fonts-dejavu-core"]),
                Probe::Script(
                    r#"
                    chromium --headless --no-sandbox --disable-gpu --dump-dom \
                        --user-data-dir="$PWD/profile" 'data:text/html,<p id=probe>' | grep -q probe
                    "#,
                ),
            ),
            // It plays H.264 with the library of FFmpeg that it finds.
            Tool::Firefox => entry(
                "Firefox",
                Source::Packages(&["firefox-esr", "libavcodec59", "fonts-dejavu-core"]),
                Probe::Script("firefox-esr --version && ls /usr/lib/*/libavcodec.so.*"),
            ),
            Tool::BrowserPackages => entry(
                "packages for browsers",
                Source::Npm(&npm::BROWSERS),
                Probe::Npm(&npm::BROWSERS),
            ),
            Tool::ReaderPackages => entry(
                "readers of MP4",
                Source::Npm(&npm::READERS),
                Probe::Npm(&npm::READERS),
            ),
            // No screen, no sound: its engine and what it demuxes and decodes with.
            Tool::Vlc => entry(
                "VLC",
                Source::Packages(&["vlc-bin", "vlc-plugin-base"]),
                Probe::Script(
                    "command -v cvlc && ls /usr/lib/*/vlc/plugins/codec/libavcodec_plugin.so",
                ),
            ),
            Tool::Mpv => entry(
                "mpv",
                Source::Packages(&["mpv"]),
                Probe::Program(&["mpv", "--version"]),
            ),
            Tool::Aapt => entry(
                "aapt2",
                Source::Packages(&["aapt"]),
                Probe::Script("aapt2 version"),
            ),
            Tool::Maven => entry(
                "Maven",
                Source::Packages(&["maven", "ca-certificates"]),
                Probe::Script("mvn -version"),
            ),
        }
    }

    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        self.entry().name
    }

    /// The Debian packages that bring it.
    pub(crate) fn packages(self) -> &'static [&'static str] {
        match self.entry().source {
            Source::Packages(packages) => packages,
            Source::Component(_) | Source::Wheel | Source::Npm(_) => &[],
        }
    }

    /// The packages from npm that it is.
    fn npm(self) -> Option<&'static Npm> {
        match self.entry().source {
            Source::Npm(packages) => Some(packages),
            _ => None,
        }
    }

    /// Tries it; what went wrong if it does not do what it is needed for.
    pub(crate) fn try_out(self) -> Result<(), String> {
        self.entry().probe.run()
    }

    fn is_there(self) -> bool {
        self.try_out().is_ok()
    }
}

/// Those of `tools` that are not there, each once, and what it takes to fetch them.
pub(crate) fn missing(tools: &[Tool]) -> Vec<Tool> {
    let mut missing = Vec::new();
    for (place, tool) in tools.iter().enumerate() {
        if !tools[..place].contains(tool) && !tool.is_there() {
            missing.push(*tool);
        }
    }
    if missing.contains(&Tool::FfmpegCurrent) && !missing.contains(&Tool::Pip) {
        missing.extend(Some(Tool::Pip).filter(|pip| !pip.is_there()));
    }
    let is_npm = missing.iter().any(|tool| tool.npm().is_some());
    if is_npm && !missing.contains(&Tool::Node) {
        missing.extend(Some(Tool::Node).filter(|node| !node.is_there()));
    }
    missing
}

/// Sees to it that every tool of `needed` is there, or says what is not.
pub(crate) fn provide(needed: &[Tool], install: bool) -> Result<(), String> {
    let missing = missing(needed);
    let mut lines = vec![];
    if install {
        let packages = packages(&missing);
        if !packages.is_empty() {
            println!("\n=== installing {}", packages.join(" "));
            lines.extend(apt_install(&packages).err());
        }
        if missing.contains(&Tool::FfmpegCurrent) {
            println!("\n=== fetching {FFMPEG_WHEEL}");
            let error = wheel::fetch().err();
            lines.extend(error.map(|error| format!("{FFMPEG_WHEEL}: {error}")));
        }
        for npm in missing.iter().filter_map(|tool| tool.npm()) {
            println!("\n=== fetching {}", npm.line());
            let error = npm.fetch().err();
            lines.extend(error.map(|error| format!("{}: {error}", npm.line())));
        }
    }
    let mut still = Vec::new();
    for tool in missing {
        if let Err(why) = tool.try_out() {
            lines.push(format!("{} does not work here: {why}", tool.name()));
            still.push(tool);
        }
    }
    match still.as_slice() {
        [] => Ok(()),
        still => {
            lines.push("please install what is missing:".to_owned());
            lines.extend(remedies(still).iter().map(|line| format!("  {line}")));
            Err(lines.join("\n"))
        }
    }
}

/// The packages that bring `tools`, each once.
pub(crate) fn packages(tools: &[Tool]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = Vec::new();
    for package in tools.iter().flat_map(|tool| tool.packages()) {
        if !packages.contains(package) {
            packages.push(package);
        }
    }
    packages
}

/// What the user has to type to have `tools`.
pub(crate) fn remedies(tools: &[Tool]) -> Vec<String> {
    let mut lines = Vec::new();
    for tool in tools {
        if let Source::Component(component) = tool.entry().source {
            lines.push(format!("rustup component add {component}"));
        }
    }
    let packages = packages(tools);
    if !packages.is_empty() {
        lines.push(format!("apt-get install {}", packages.join(" ")));
    }
    if tools.contains(&Tool::FfmpegCurrent) {
        lines.push(format!(
            "cargo xtask test --all --only interop    (fetches {FFMPEG_WHEEL})"
        ));
    }
    for npm in tools.iter().filter_map(|tool| tool.npm()) {
        let (step, packages) = (npm.step, npm.line());
        lines.push(format!(
            "cargo xtask test --all --only {step}    (fetches {packages})"
        ));
    }
    lines
}

/// Another apt-get may be at work: so many seconds it is waited for.
const APT_PATIENCE: &str = "DPkg::Lock::Timeout=900";

fn apt_install(packages: &[&str]) -> Result<(), String> {
    let prefix = root_prefix().ok_or("that takes apt-get and root, or sudo without a password")?;
    let apt = |arguments: &[&str]| {
        let words: Vec<&str> = prefix
            .iter()
            .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .chain(&["-o", APT_PATIENCE])
            .chain(arguments)
            .copied()
            .collect();
        let (program, arguments) = words.split_first().expect("apt-get is always there");
        succeeds(Command::new(program).args(arguments).stdin(Stdio::null()))
    };
    // Old package lists name versions that are gone, and a fresh box has none;
    // a failed update may still leave lists that serve.
    apt(&["update", "-q"]);
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(packages);
    match apt(&install) {
        true => Ok(()),
        false => Err("apt-get failed".to_owned()),
    }
}

/// How to become root without being asked anything: not at all, by sudo, or not.
pub(crate) fn root_prefix() -> Option<&'static [&'static str]> {
    if !answers(Command::new("apt-get").arg("--version")) {
        return None;
    }
    let user = Command::new("id").arg("-u").output().ok()?;
    if user.stdout.trim_ascii() == b"0" {
        Some(&[])
    } else if answers(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}

pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Tool] = &[
        Tool::Rustfmt,
        Tool::Clippy,
        Tool::Ffmpeg,
        Tool::FfmpegCurrent,
        Tool::Rtmpdump,
        Tool::Gstreamer,
        Tool::NginxRtmp,
        Tool::Varnish,
        Tool::Stunnel,
        Tool::GlibNetworking,
        Tool::Openssl,
        Tool::Testssl,
        Tool::Sslscan,
        Tool::Haproxy,
        Tool::Pebble,
        Tool::Promtool,
        Tool::Obs,
        Tool::Xvfb,
        Tool::Zbar,
        Tool::Tstools,
        Tool::Curl,
        Tool::Jq,
        Tool::Logrotate,
        Tool::Pip,
        Tool::Cxx,
        Tool::Cmake,
        Tool::PkgConfig,
        Tool::Valgrind,
        Tool::Debootstrap,
        Tool::Nspawn,
        Tool::Iproute,
        Tool::Mingw,
        Tool::Aarch64Gcc,
        Tool::Llvm,
        Tool::ArmWindows,
        Tool::AndroidClang,
        Tool::Qemu,
        Tool::Jdk,
        Tool::Maven,
        Tool::Aapt,
        Tool::Node,
        Tool::Chromium,
        Tool::Firefox,
        Tool::BrowserPackages,
        Tool::ReaderPackages,
        Tool::Vlc,
        Tool::Mpv,
    ];

    #[test]
    fn what_to_type_names_every_package_once() {
        let lines = remedies(&[Tool::Clippy, Tool::Ffmpeg, Tool::Cxx, Tool::Cmake]);
        assert_eq!(
            lines,
            [
                "rustup component add clippy",
                "apt-get install ffmpeg g++ cmake make"
            ]
        );
    }

    #[test]
    fn every_tool_has_a_name_of_its_own_and_something_that_brings_it() {
        for (place, tool) in ALL.iter().enumerate() {
            assert!(!remedies(&[*tool]).is_empty(), "{tool:?}");
            let same = |other: &&Tool| other.name() == tool.name();
            assert_eq!(ALL.iter().position(|t| same(&t)), Some(place));
        }
    }
}
