//! The steps of the test command: what each runs, uses, fetches, and how long it takes.

use crate::tools::Tool;

/// One part of the test command.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) tier: Tier,
    /// On two cores, in a run that began with nothing built.
    pub(crate) minutes: u32,
    /// What it downloads beside crates and its tools' packages, when it may.
    pub(crate) fetches: &'static [&'static str],
    /// A run that fails is the last.
    pub(crate) runs: &'static [Run],
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

/// When a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Always: it needs Rust and a C compiler, and uses other programs that it finds.
    Quick,
    /// When everything is asked for.
    All,
    /// When it is named: with it, everything would take more than an hour.
    Named,
}

/// One call of cargo.
pub(crate) struct Run {
    /// Without one of these it is left out.
    pub(crate) needs: &'static [Tool],
    pub(crate) cargo: &'static [&'static str],
}

impl Step {
    /// The tools of its runs; some more than once.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        self.runs
            .iter()
            .flat_map(|run| run.needs)
            .copied()
            .collect()
    }
}

/// A run that needs nothing but Rust.
const fn run(cargo: &'static [&'static str]) -> Run {
    Run { needs: &[], cargo }
}

/// Tests by their names, and with these arguments if there are any.
macro_rules! tests {
    ([$($test:literal),+ $(,)?] $(, [$($argument:literal),+])?) => {
        &[
            "test",
            "--workspace",
            "--no-fail-fast",
            "--features",
            FEATURES,
            $("--test", $test,)+
            $("--", $($argument),+)?
        ]
    };
}

/// Minutes that installing takes where nothing is there.
pub(crate) const INSTALLING: u32 = 4;

/// What the tests with other programs stand behind.
pub(crate) const FEATURES: &str = "openrtmp-tests/interop,openrtmp-capi/interop";

/// Some tests start it, and cargo builds a package's programs for the tests of that package
/// only. With the features of all the others, so that nothing is built once more.
const THE_COMMAND: &[&str] = &[
    "build",
    "--workspace",
    "--bin",
    "openrtmp",
    "--features",
    FEATURES,
];

const CROSS: &[Tool] = &[
    Tool::Clippy,
    Tool::Mingw,
    Tool::Aarch64Gcc,
    Tool::ArmWindows,
];

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        what: "formatting",
        tier: Tier::Quick,
        minutes: 1,
        fetches: &[],
        runs: &[Run {
            needs: &[Tool::Rustfmt],
            cargo: &["fmt", "--all", "--check"],
        }],
        environment: &[],
    },
    Step {
        name: "clippy",
        what: "lints, warnings are errors",
        tier: Tier::Quick,
        minutes: 3,
        fetches: &[],
        runs: &[Run {
            needs: &[Tool::Clippy],
            cargo: &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--features",
                FEATURES,
                "--",
                "-D",
                "warnings",
            ],
        }],
        environment: &[],
    },
    Step {
        name: "test",
        what: "unit, property, simulation, golden, integration and doc tests",
        tier: Tier::Quick,
        minutes: 8,
        fetches: &[],
        runs: &[run(&["test", "--workspace", "--no-fail-fast"])],
        environment: &[],
    },
    Step {
        name: "doc",
        what: "documentation builds without warnings",
        tier: Tier::Quick,
        minutes: 1,
        fetches: &[],
        runs: &[run(&["doc", "--no-deps", "--workspace"])],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Step {
        name: "interop",
        what: "with FFmpeg, rtmpdump, GStreamer, and programs in C and C++",
        tier: Tier::Quick,
        minutes: 4,
        fetches: &["a current FFmpeg from PyPI, 70 MB, which takes python3-pip"],
        runs: &[
            Run {
                needs: &[Tool::Cxx],
                cargo: tests!(["interop_arguments", "interop_macros", "interop_programs"]),
            },
            Run {
                needs: &[Tool::Cxx, Tool::Ffmpeg],
                cargo: tests!(["interop_examples", "interop_live"]),
            },
            Run {
                needs: STREAMING,
                cargo: THE_COMMAND,
            },
            // Live streams mostly wait for the clock: four at a time suit two cores.
            Run {
                needs: STREAMING,
                cargo: tests!(
                    [
                        "interop_ffmpeg",
                        "interop_ffmpeg_current",
                        "interop_gstreamer",
                        "interop_openrtmp",
                        "interop_mp4",
                        "interop_hls",
                        "interop_dash",
                        "interop_recording",
                        "interop_rtmpdump",
                        "interop_streams",
                        "interop_users"
                    ],
                    ["--test-threads=4"]
                ),
            },
        ],
        environment: &[],
    },
    Step {
        name: "delivery",
        what: "streams over HTTP, to FFmpeg, GStreamer, curl, and peers that are none",
        tier: Tier::Quick,
        minutes: 5,
        fetches: &[],
        runs: &[
            Run {
                needs: DELIVERY,
                cargo: tests!(
                    [
                        "delivery",
                        "delivery_dash",
                        "delivery_dvr",
                        "delivery_ts",
                        "delivery_variants",
                        "delivery_peers",
                        "delivery_access",
                        "delivery_answers",
                        "delivery_h2",
                        "delivery_page",
                        "delivery_siege",
                        "interop_probe"
                    ],
                    ["--test-threads=4"]
                ),
            },
            // By a library in C too.
            Run {
                needs: &[Tool::Cxx, Tool::Ffmpeg],
                cargo: &[
                    "test",
                    "--workspace",
                    "--no-fail-fast",
                    "--features",
                    "openrtmp-capi/interop,openrtmp-capi/live",
                    "--test",
                    "contract",
                    "--test",
                    "interop_delivery",
                ],
            },
        ],
        environment: &[],
    },
    Step {
        name: "qr",
        what: "the server's URL as a picture, read by zbar",
        tier: Tier::Quick,
        minutes: 1,
        fetches: &[],
        runs: &[Run {
            needs: &[Tool::Zbar, Tool::Ffmpeg],
            cargo: tests!(["interop_qr"]),
        }],
        environment: &[],
    },
    Step {
        name: "capi",
        what: "the C library installed, found by CMake and pkg-config, under valgrind",
        tier: Tier::Quick,
        minutes: 1,
        fetches: &[],
        runs: &[Run {
            needs: &[Tool::Cxx, Tool::Cmake, Tool::PkgConfig, Tool::Valgrind],
            cargo: &["xtask", "capi"],
        }],
        environment: &[],
    },
    Step {
        name: "soak",
        what: "a server under players and publishers that misbehave",
        tier: Tier::Quick,
        minutes: 1,
        fetches: &[],
        runs: &[run(&["xtask", "soak", "--seconds", "25", "--dev"])],
        environment: &[],
    },
    Step {
        name: "relays",
        what: "streams passed on and fetched, through nginx with its RTMP module too, by stunnel as well",
        tier: Tier::All,
        minutes: 1,
        fetches: &["a current FFmpeg from PyPI, 70 MB, which takes python3-pip"],
        runs: &[Run {
            needs: &[
                Tool::Ffmpeg,
                Tool::FfmpegCurrent,
                Tool::Rtmpdump,
                Tool::NginxRtmp,
                Tool::Stunnel,
            ],
            cargo: tests!(["interop_relays"]),
        }],
        environment: &[],
    },
    Step {
        name: "obs",
        what: "OBS Studio as publisher that shows a password, on a screen that nobody sees",
        tier: Tier::Named,
        minutes: 3,
        fetches: &[],
        runs: &[Run {
            needs: &[Tool::Obs, Tool::Xvfb],
            cargo: tests!(["interop_obs"]),
        }],
        environment: &[],
    },
    Step {
        name: "browsers",
        what: "the page in Chromium and Firefox, of media of every coding",
        tier: Tier::Named,
        minutes: 20,
        fetches: &["what drives browsers and players from npm, 380 MB below the target folder"],
        runs: &[Run {
            needs: BROWSERS,
            // One browser at a time: two cores are little enough for it and an encoder.
            cargo: tests!(["browsers", "codecs"], ["--test-threads=1", "--nocapture"]),
        }],
        environment: &[],
    },
    Step {
        name: "engines",
        what: "hls.js, Shaka, video.js, dash.js, RxPlayer and mpegts.js, a minute each, in browsers",
        tier: Tier::Named,
        minutes: 35,
        fetches: &["what drives browsers and players from npm, 380 MB below the target folder"],
        runs: &[Run {
            needs: BROWSERS,
            cargo: tests!(["engines"], ["--test-threads=1", "--nocapture"]),
        }],
        environment: &[],
    },
    Step {
        name: "readers",
        what: "what is delivered, read by MP4Box.js and Shaka Packager, and played by VLC and mpv",
        tier: Tier::Named,
        minutes: 6,
        fetches: &["two readers of MP4 from npm, 40 MB below the target folder"],
        runs: &[
            Run {
                needs: &[Tool::FfmpegCurrent, Tool::Node, Tool::ReaderPackages],
                cargo: tests!(["readers"]),
            },
            Run {
                needs: &[Tool::Ffmpeg, Tool::FfmpegCurrent, Tool::Vlc, Tool::Mpv],
                cargo: tests!(["players"], ["--test-threads=1"]),
            },
        ],
        environment: &[],
    },
    Step {
        name: "hls",
        what: "all rates and kinds of sound for ten minutes each, cut and held against HLS; encoders",
        tier: Tier::Named,
        minutes: 40,
        fetches: &[],
        runs: &[
            run(&["test", "--release", "--package", "openrtmp-media", "grid"]),
            Run {
                needs: &[Tool::Ffmpeg],
                cargo: tests!(["captures"], ["--nocapture"]),
            },
        ],
        environment: &[("HLS_GRID_SECONDS", "600")],
    },
    Step {
        name: "callback",
        what: "HTTP servers asked who may publish: nginx and Python's",
        tier: Tier::All,
        minutes: 2,
        fetches: &["a current FFmpeg from PyPI, 70 MB, which takes python3-pip"],
        runs: &[Run {
            needs: &[
                Tool::Ffmpeg,
                Tool::FfmpegCurrent,
                Tool::NginxRtmp,
                Tool::Pip,
            ],
            cargo: tests!(["callback_programs"]),
        }],
        environment: &[],
    },
    Step {
        name: "cdn",
        what: "nginx and Varnish before the delivery, as operators are told to set them up, with 200 viewers",
        tier: Tier::All,
        minutes: 2,
        fetches: &[],
        runs: &[Run {
            needs: &[Tool::Ffmpeg, Tool::NginxRtmp, Tool::Varnish],
            cargo: tests!(["cdn"], ["--test-threads=1"]),
        }],
        environment: &[],
    },
    Step {
        name: "proxy",
        what: "peers behind HAProxy and stunnel, by the PROXY protocol",
        tier: Tier::All,
        minutes: 1,
        fetches: &["a current FFmpeg from PyPI, 70 MB, which takes python3-pip"],
        runs: &[Run {
            needs: &[
                Tool::Ffmpeg,
                Tool::FfmpegCurrent,
                Tool::Haproxy,
                Tool::Stunnel,
            ],
            cargo: tests!(["interop_proxy"]),
        }],
        environment: &[],
    },
    Step {
        name: "tls",
        what: "RTMPS with FFmpeg, GStreamer, OpenSSL, testssl.sh and sslscan",
        tier: Tier::All,
        minutes: 3,
        fetches: &["a current FFmpeg from PyPI, 70 MB, which takes python3-pip"],
        runs: &[
            Run {
                needs: &[
                    Tool::Ffmpeg,
                    Tool::FfmpegCurrent,
                    Tool::Gstreamer,
                    Tool::GlibNetworking,
                    Tool::Openssl,
                ],
                cargo: tests!(["tls_programs"], ["--test-threads=4"]),
            },
            Run {
                needs: &[Tool::Testssl, Tool::Sslscan],
                cargo: tests!(["tls_scanners"]),
            },
        ],
        environment: &[],
    },
    Step {
        name: "acme",
        what: "certificates from Pebble, an authority that gives them by itself",
        tier: Tier::All,
        minutes: 3,
        fetches: &[],
        runs: &[
            Run {
                needs: AUTHORITY,
                cargo: THE_COMMAND,
            },
            Run {
                needs: AUTHORITY,
                cargo: tests!(["acme"], ["--test-threads=4"]),
            },
        ],
        environment: &[],
    },
    Step {
        name: "metrics",
        what: "the text for Prometheus, looked at by promtool",
        tier: Tier::All,
        minutes: 2,
        fetches: &[],
        runs: &[
            Run {
                needs: &[Tool::Promtool],
                cargo: THE_COMMAND,
            },
            Run {
                needs: &[Tool::Promtool],
                cargo: tests!(["metrics"]),
            },
        ],
        environment: &[],
    },
    Step {
        name: "kotlin",
        what: "the Kotlin and Java library, on a Java virtual machine, with FFmpeg",
        tier: Tier::Named,
        minutes: 5,
        fetches: &["Kotlin's compiler and libraries with Maven, 95 MB below the target folder"],
        runs: &[Run {
            needs: &[Tool::Jdk, Tool::Maven, Tool::Ffmpeg],
            cargo: &["xtask", "kotlin"],
        }],
        environment: &[],
    },
    Step {
        name: "android",
        what: "its part for Android, over Android's classes in Robolectric, with FFmpeg",
        tier: Tier::Named,
        minutes: 8,
        fetches: &[
            "Kotlin's compiler and libraries with Maven, 95 MB below the target folder",
            "Robolectric and Android's classes with Maven, 1.1 GB below the target folder",
        ],
        runs: &[Run {
            needs: &[Tool::Jdk, Tool::Maven, Tool::Ffmpeg, Tool::Aapt],
            cargo: &["xtask", "android"],
        }],
        environment: &[],
    },
    Step {
        name: "aar",
        what: "what is published for Android: linked, checked, resolved, shrunk, loaded",
        tier: Tier::Named,
        minutes: 20,
        fetches: &[
            "all that the step android fetches",
            "ProGuard and an emulator with Maven, 60 MB below the target folder",
            "Rust's standard library for three systems with rustup",
        ],
        runs: &[Run {
            needs: &[
                Tool::Cxx,
                Tool::AndroidClang,
                Tool::Jdk,
                Tool::Maven,
                Tool::Ffmpeg,
                Tool::Aapt,
                Tool::Jq,
            ],
            cargo: &["xtask", "aar"],
        }],
        environment: &[],
    },
    Step {
        name: "swift",
        what: "the Swift package, its example and the README's code, with FFmpeg",
        tier: Tier::Named,
        minutes: 8,
        fetches: &["a Debian 13 tree with Swift, 690 MB, 4 GB below the target folder"],
        runs: &[Run {
            needs: &[Tool::Debootstrap],
            cargo: &["xtask", "swift"],
        }],
        environment: &[],
    },
    Step {
        name: "apple",
        what: "the Swift package for Xcode, with the library for five of Apple's targets",
        tier: Tier::Named,
        minutes: 15,
        fetches: &["Rust's standard library for five systems, or its source, with rustup"],
        runs: &[Run {
            needs: &[Tool::Llvm],
            cargo: &["xtask", "xcframework", "--debug"],
        }],
        environment: &[],
    },
    Step {
        name: "logs",
        what: "the log of the command, read by jq and put aside by logrotate",
        tier: Tier::All,
        minutes: 2,
        fetches: &[],
        runs: &[
            Run {
                needs: &[Tool::Jq, Tool::Logrotate],
                cargo: THE_COMMAND,
            },
            Run {
                needs: &[Tool::Jq, Tool::Logrotate],
                cargo: tests!(["log_programs"]),
            },
        ],
        environment: &[],
    },
    Step {
        name: "cross",
        what: "the C library's crates linted for every system",
        tier: Tier::All,
        minutes: 5,
        fetches: &["Rust's standard library for nine systems, or its source, with rustup"],
        runs: &[Run {
            needs: CROSS,
            cargo: &["xtask", "build", "--all", "--check"],
        }],
        environment: &[],
    },
    Step {
        name: "size",
        what: "the shared library as it is shipped, against its size budget",
        tier: Tier::All,
        minutes: 3,
        fetches: &[],
        runs: &[Run {
            needs: CROSS,
            cargo: &["xtask", "build", "--target", "x86_64-unknown-linux-gnu"],
        }],
        environment: &[],
    },
    Step {
        name: "deb",
        what: "the Debian package as it is shipped, installed, run under a systemd, purged",
        tier: Tier::Named,
        minutes: 12,
        fetches: &["a Debian tree with systemd, 300 MB below the target folder"],
        runs: &[Run {
            needs: &[Tool::Debootstrap, Tool::Nspawn],
            cargo: &["xtask", "service", "--dist"],
        }],
        environment: &[],
    },
    Step {
        name: "service",
        what: "the Debian package under a systemd: watched, on its sockets, locked in, purged",
        tier: Tier::Named,
        minutes: 4,
        fetches: &["a Debian tree with systemd, 300 MB below the target folder"],
        runs: &[Run {
            needs: &[Tool::Debootstrap, Tool::Nspawn],
            cargo: &["xtask", "service"],
        }],
        environment: &[],
    },
    Step {
        name: "foreign",
        what: "tests and the C example on Windows (wine) and 64-bit ARM (qemu)",
        tier: Tier::All,
        minutes: 12,
        fetches: &["a Debian 13 tree with wine, 1.5 GB below the target folder"],
        runs: &[Run {
            needs: &[
                Tool::Mingw,
                Tool::Aarch64Gcc,
                Tool::Qemu,
                Tool::PkgConfig,
                Tool::Ffmpeg,
                Tool::Debootstrap,
            ],
            cargo: &["xtask", "foreign"],
        }],
        environment: UNOPTIMISED,
    },
    Step {
        name: "winservice",
        what: "the command as a service of Windows, under wine, with FFmpeg",
        tier: Tier::Named,
        minutes: 3,
        fetches: &["a Debian 13 tree with wine, 1.5 GB below the target folder"],
        runs: &[Run {
            needs: &[Tool::Mingw, Tool::Ffmpeg, Tool::Iproute, Tool::Debootstrap],
            cargo: &["xtask", "winservice"],
        }],
        // What the step before it built is not built again.
        environment: UNOPTIMISED,
    },
    Step {
        name: "instructions",
        what: "instruction counts of the hot paths against their baseline",
        tier: Tier::All,
        minutes: 4,
        fetches: &[],
        runs: &[Run {
            needs: &[Tool::Valgrind],
            cargo: &["xtask", "instructions"],
        }],
        environment: &[],
    },
    Step {
        name: "sanitize",
        what: "thread models under loom, the C interface under Miri",
        tier: Tier::All,
        minutes: 6,
        fetches: &["the nightly toolchain with miri and rust-src, with rustup"],
        runs: &[run(&["xtask", "sanitize", "--quick"])],
        environment: &[],
    },
    Step {
        name: "msrv",
        what: "what users build, by the oldest Rust that is promised",
        tier: Tier::All,
        minutes: 3,
        fetches: &["that toolchain, with rustup"],
        runs: &[run(&["xtask", "msrv"])],
        environment: &[],
    },
];

/// Building takes most of the time: what runs for seconds is not worth optimising.
const UNOPTIMISED: &[(&str, &str)] = &[
    ("CARGO_PROFILE_DEV_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_DEV_DEBUG", "false"),
];

/// What gives certificates, and looks at them.
const AUTHORITY: &[Tool] = &[Tool::Pebble, Tool::Openssl];

/// What publishes and plays over HTTP.
const DELIVERY: &[Tool] = &[
    Tool::Ffmpeg,
    Tool::FfmpegCurrent,
    Tool::Gstreamer,
    Tool::Curl,
    Tool::Openssl,
    Tool::NginxRtmp,
    Tool::Tstools,
];

/// What goes through pages, and what for.
const BROWSERS: &[Tool] = &[
    Tool::Ffmpeg,
    Tool::FfmpegCurrent,
    Tool::Node,
    Tool::Chromium,
    Tool::Firefox,
    Tool::BrowserPackages,
];

/// What publishes and plays in the interop tests.
const STREAMING: &[Tool] = &[
    Tool::Ffmpeg,
    Tool::FfmpegCurrent,
    Tool::Rtmpdump,
    Tool::Gstreamer,
];

/// Commands of the same kind that take too long for either tier, with their minutes.
pub(crate) const BY_HAND: &[(&str, u32, &str)] = &[
    (
        "cargo xtask build --all",
        20,
        "the shared library for every system, against its size budget",
    ),
    (
        "cargo xtask sim --seeds 5000",
        15,
        "simulated worlds made from seeds",
    ),
    (
        "cargo xtask sanitize",
        60,
        "all tests under AddressSanitizer and ThreadSanitizer, the protocol under Miri",
    ),
    (
        "cargo xtask soak --minutes 60",
        60,
        "what grows under load, proven by a slope",
    ),
    (
        "cargo run --release -p openrtmp-bench -- passing --seconds 3600",
        60,
        "what grows as streams come and go that are watched over HTTP",
    ),
    (
        "cargo run --release -p openrtmp-bench -- delivery",
        20,
        "what the delivery over HTTP costs, beside nginx",
    ),
    (
        "cargo xtask fuzz --seconds 600",
        150,
        "new inputs for the fuzz targets",
    ),
    (
        "cargo xtask coverage",
        15,
        "lines and branches that the tests reach",
    ),
    (
        "cargo xtask bench",
        20,
        "beside nginx-rtmp and a bare TCP fan-out",
    ),
];

#[cfg(test)]
mod tests;
