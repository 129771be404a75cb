//! Runs every target on every file of its corpus.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use openrtmp_fuzz_targets as targets;

/// The folder of the fuzz package.
fn folder() -> &'static Path {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR"));
    targets.parent().expect("it lies in the fuzz package")
}

/// The names of what a folder holds, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a folder can be read").file_name())
        .map(|name| name.into_string().expect("a name is UTF-8"))
        .collect();
    names.sort();
    names
}

/// Names the file that a panic was about: its own message does not.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus: PathBuf = folder().join("corpus").join(target);
    let names = names(&corpus);
    assert!(!names.is_empty(), "{} is empty", corpus.display());
    let failed: Vec<&String> = names
        .iter()
        .filter(|name| {
            let data = fs::read(corpus.join(name)).expect("a file can be read");
            catch_unwind(AssertUnwindSafe(|| run(&data))).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "{target} fails on {failed:?}");
}

/// A test for each target, and one that none was forgotten.
macro_rules! replays {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target), targets::$target::run);
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let programs: Vec<String> = names(&folder().join("fuzz_targets"))
                .iter()
                .map(|name| name.trim_end_matches(".rs").to_owned())
                .collect();
            let mut tests = vec![$(stringify!($target).to_owned()),*];
            tests.sort();
            assert_eq!(programs, tests);
            assert_eq!(names(&folder().join("corpus")), tests);
        }
    };
}

replays! {
    amf0
    amf3
    capi
    chunk_read
    chunk_write
    client_session
    config
    flv
    handshake
    hls
    dash
    media
    message
    mp4
    packager
    relay
    server_session
    session_pair
    tls
    url
    viewer
}
