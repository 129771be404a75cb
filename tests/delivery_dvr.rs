//! Viewers go back further than what is in memory.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use openrtmp_core::Config;
use openrtmp_media::hls::check::Checker;
use openrtmp_media::hls::read::{Listed, ListedSegment};
use openrtmp_tests::followed::Looks;
use openrtmp_tests::{Delivered, Media, Process, ServerProcess, Tool, Web, found_at_last};

/// The folder in that of `http.dvr.directory`.
const FOLDER: &str = "openrtmp-dvr";
const SECOND: Duration = Duration::from_secs(1);

/// A stream of half a minute in each four seconds, round and round.
fn hurried(media: Media, url: &str) -> Process {
    let mut command = Tool::Ffmpeg.command();
    command.args(["-nostdin", "-v", "error", "-readrate", "8"]);
    command.args(["-stream_loop", "1000", "-i"]);
    command.arg(media.file());
    command.args(["-c", "copy", "-f", "flv", url]);
    Process::start("ffmpeg publishing", command)
}

/// Ten seconds are in memory, or what six segments take, and forty can be gone back.
fn started(change: impl FnOnce(&mut Config)) -> Delivered {
    Delivered::start(|config| {
        config.http.window = 10 * SECOND;
        config.http.dvr.duration = 40 * SECOND;
        change(config);
    })
}

/// Who follows a playlist, every second time by what is new in it.
struct Follower {
    playlist: String,
    web: Web,
    checker: Checker,
    reloads: usize,
}

impl Follower {
    fn new(delivered: &Delivered, playlist: &str) -> Follower {
        let mut follower = Follower {
            playlist: playlist.to_owned(),
            web: Web::connect(delivered.address()),
            checker: Checker::default(),
            reloads: 0,
        };
        follower.catch_up();
        follower
    }

    fn listed(&self) -> &Listed {
        self.checker.last().unwrap()
    }

    /// The whole playlist as it is now: who was away for longer than updates tell begins so.
    fn catch_up(&mut self) {
        let answer = self.web.get(&self.playlist, &[]);
        assert_eq!(self.checker.full(answer.text()), []);
        self.reloads = 0;
    }

    /// The playlist with the next segment.
    fn go_on(&mut self) {
        let newest = self.listed().numbered().last().unwrap().0;
        let skip = ["", "&_HLS_skip=YES"][self.reloads % 2];
        let path = format!(
            "{}?_HLS_msn={}&_HLS_part=0{skip}",
            self.playlist,
            newest + 1
        );
        let answer = self.web.get(&path, &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let broken = match skip.is_empty() {
            true => self.checker.full(answer.text()),
            false => self.checker.delta(answer.text()),
        };
        assert_eq!(broken, [], "{}", answer.text());
        self.reloads += 1;
    }

    fn go_on_until(&mut self, is_it: impl Fn(&Listed) -> bool) {
        while !is_it(self.listed()) {
            self.go_on();
        }
    }

    fn path(&self, segment: &ListedSegment) -> String {
        let folder = self.playlist.rsplit_once('/').unwrap().0;
        format!("{folder}/{}", segment.uri.as_ref().unwrap())
    }
}

/// Seconds that a playlist has.
fn length(listed: &Listed) -> f64 {
    listed.segments.iter().filter_map(|is| is.duration).sum()
}

/// The names of the segments in a folder.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join(FOLDER)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".m4s")).collect()
}

/// Hashes of pictures, as FFmpeg finds them from the oldest segment on.
fn pictures_from_the_oldest(url: &str, count: usize) -> Vec<String> {
    let mut command = Tool::FfmpegCurrent.command();
    command.args(["-nostdin", "-v", "error", "-live_start_index", "0"]);
    command.args(["-i", url, "-map", "0:v", "-c", "copy", "-frames:v"]);
    command
        .arg(count.to_string())
        .args(["-f", "framehash", "-"]);
    let finished = Process::start("ffmpeg going back", command).wait();
    let lines = finished.expect_success().output;
    let packets = lines.iter().filter(|line| !line.starts_with('#'));
    packets
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

#[test]
fn what_is_old_is_read_from_files_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let delivered = started(|config| {
        config.http.dvr.directory = Some(directory.path().join("made/by/itself"));
    });
    let directory = directory.path().join("made/by/itself");
    let publishing = hurried(Media::H264Aac, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let pictures = delivered.playlists("live/cam").pop().unwrap();
    let mut follower = Follower::new(&delivered, &pictures);
    // As it came; what is sent later from a file is the same.
    let early = follower.listed().segments[0].clone();
    let path = follower.path(&early);
    let mut web = Web::connect(delivered.address());
    let from_memory = web.get(&path, &[]);
    assert_eq!(from_memory.status, 200);
    follower.go_on_until(|listed| length(listed) > 30.0);
    assert_eq!(follower.path(&follower.listed().segments[0]), path);
    let part = path.replace(".m4s", ".0.m4s");
    assert_eq!(web.get(&part, &[]).status, 404, "it is in a file");
    let from_file = web.get(&path, &[]);
    assert_eq!(from_file.status, 200);
    assert!(from_file.body == from_memory.body, "{path}");
    for header in [
        "cache-control",
        "content-type",
        "etag",
        "accept-ranges",
        "content-length",
        "access-control-allow-origin",
    ] {
        assert_eq!(
            from_file.header(header),
            from_memory.header(header),
            "{header}"
        );
    }
    let size = from_file.body.len();
    let range = web.get(&path, &[("Range", "bytes=1000-1999")]);
    assert_eq!(range.status, 206);
    let told = range.header("content-range").unwrap().to_owned();
    assert_eq!(told, format!("bytes 1000-1999/{size}"));
    assert!(range.body == from_file.body[1000..2000]);
    let suffix = web.get(&path, &[("Range", "bytes=-7")]);
    assert!(suffix.body == from_file.body[size - 7..]);
    let beyond = web.get(&path, &[("Range", "bytes=99999999-")]);
    assert_eq!(beyond.status, 416);
    let known = web.get(
        &path,
        &[("If-None-Match", from_file.header("etag").unwrap())],
    );
    assert_eq!(known.status, 304);
    let head = web.ask("HEAD", &path, &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(&*size.to_string()));

    // What leaves the list leaves the folder.
    follower.go_on_until(|listed| listed.msn > 3);
    let url = delivered.url(&pictures);
    let played = pictures_from_the_oldest(&url, 180);
    let source = Media::H264Aac.hashes();
    let source: Vec<&str> = source
        .stream("video 0")
        .iter()
        .map(|is| is.hash.as_str())
        .collect();
    let begins = source.iter().position(|hash| *hash == played[0]).unwrap();
    for (number, hash) in played.iter().enumerate() {
        assert_eq!(
            hash,
            source[(begins + number) % source.len()],
            "picture {number}"
        );
    }
    for listed in [
        delivered.begun("/live/cam/ts/index.m3u8"),
        delivered.manifest("live/cam"),
    ] {
        assert!(!listed.is_empty());
    }
    follower.catch_up();
    // Its first is the oldest that there is: the one behind it is there a moment longer.
    let (_, second) = follower.listed().numbered().nth(1).unwrap();
    let (path, transported) = (follower.path(second), follower.path(second));
    assert_eq!(web.get(&path, &[]).status, 200);
    let transported = transported.replace("/v0/", "/ts/").replace(".m4s", ".ts");
    let transported = web.get(&transported, &[]);
    assert_eq!(transported.status, 200, "{}", transported.text());
    assert!(transported.body.len().is_multiple_of(188) && transported.body[0] == 0x47);
    let held = delivered.delivery().held();
    let on_disk: u64 = files(&directory)
        .iter()
        .filter_map(|name| fs::metadata(directory.join(FOLDER).join(name)).ok())
        .map(|file| file.len())
        .sum();
    assert!(held.files > 0 && on_disk > 0);
    // Two tracks of 40 s and what left a moment ago, in segments of 2 s.
    let count = files(&directory).len();
    assert!((40..60).contains(&count), "{count} files");
    assert!(held.streams < held.files, "{held:?}");

    publishing.kill();
    drop(delivered);
    assert_eq!(files(&directory), [""; 0]);
}

#[test]
fn so_many_bytes_are_in_files_and_no_more_and_who_is_live_sees_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = 80 << 20;
    let delivered = started(|config| {
        config.http.dvr.directory = Some(directory.path().to_owned());
        config.http.dvr.bytes = bytes;
    });
    let publishing = hurried(Media::TwentyMegabits, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let pictures = delivered.playlists("live/cam").pop().unwrap();
    let mut follower = Follower::new(&delivered, &pictures);
    let mut web = Web::connect(delivered.address());
    for _ in 0..30 {
        follower.go_on();
        assert!(delivered.delivery().held().files <= bytes);
        let listed = follower.listed();
        let newest = listed.segments.iter().rfind(|is| is.uri.is_some());
        let newest = follower.path(newest.unwrap());
        assert_eq!(web.get(&newest, &[]).status, 200, "{newest}");
    }
    // 40 s would be 100 MB.
    let told = length(follower.listed());
    assert!((20.0..38.0).contains(&told), "{told} s");

    // Who asks for it and takes nothing holds a piece of it, and no file.
    let mut slow: Vec<TcpStream> = Vec::new();
    while slow.len() < 100 {
        // The newest of those that are in files alone.
        let mut behind = 0.0;
        let old = follower.listed().segments.iter().rfind(|segment| {
            behind += segment.duration.unwrap_or(0.0);
            behind > 16.0
        });
        let old = follower.path(old.unwrap());
        let mut stream = TcpStream::connect(delivered.address()).unwrap();
        write!(stream, "GET {old} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        match &status {
            b"HTTP/1.1 200" => slow.push(stream),
            // It was removed meanwhile.
            b"HTTP/1.1 404" => follower.catch_up(),
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    follower.catch_up();
    for _ in 0..5 {
        follower.go_on();
        let open = fs::read_dir("/proc/self/fd").into_iter().flatten();
        let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let segments = open.filter(|file| file.extension().is_some_and(|is| is == "m4s"));
        assert!(segments.count() < 16);
        assert!(delivered.delivery().held().answers <= 16 << 20);
    }
    let newest = follower
        .listed()
        .segments
        .iter()
        .rfind(|is| is.uri.is_some());
    assert_eq!(web.get(&follower.path(newest.unwrap()), &[]).status, 200);
    publishing.kill();
}

#[test]
fn without_a_folder_it_is_as_long_as_there_is_room_in_memory() {
    let memory = 64 << 20;
    let delivered = started(|config| config.http.memory = memory);
    let publishing = hurried(Media::TwentyMegabits, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let pictures = delivered.playlists("live/cam").pop().unwrap();
    let mut follower = Follower::new(&delivered, &pictures);
    let mut web = Web::connect(delivered.address());
    let mut longest = 0.0f64;
    for _ in 0..30 {
        follower.go_on();
        assert!(delivered.delivery().held().streams <= memory * 3 / 4);
        longest = longest.max(length(follower.listed()));
        let mut whole = follower
            .listed()
            .segments
            .iter()
            .filter(|is| is.uri.is_some());
        // Nobody plays the oldest, which may leave before it is asked for.
        if let Some(old) = whole.nth(2) {
            assert_eq!(web.get(&follower.path(old), &[]).status, 200);
        }
    }
    // 12 s are 30 MB, in any case; 40 s would be 100 MB.
    assert!((14.0..30.0).contains(&longest), "{longest} s");
    publishing.kill();
}

#[test]
fn a_folder_that_is_gone_shortens_the_list_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let delivered = started(|config| {
        config.http.dvr.directory = Some(directory.path().to_owned());
    });
    let publishing = hurried(Media::H264Aac, &delivered.server().url("live/cam"));
    delivered.server().wait_until_published("live/cam");
    let pictures = delivered.playlists("live/cam").pop().unwrap();
    let mut follower = Follower::new(&delivered, &pictures);
    follower.go_on_until(|listed| length(listed) > 24.0);
    let mut web = Web::connect(delivered.address());
    let oldest = follower.path(&follower.listed().segments[0]);
    assert_eq!(web.get(&oldest, &[]).status, 200);
    // At once, whatever is being written there.
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(directory.path().join(FOLDER), &elsewhere).unwrap();
    let gone = web.get(&oldest, &[]);
    assert_eq!(gone.status, 404);
    assert_eq!(gone.header("cache-control"), Some("no-store"));
    follower.go_on_until(|listed| length(listed) < 18.0);
    for _ in 0..3 {
        follower.go_on();
        for segment in follower
            .listed()
            .segments
            .iter()
            .filter(|is| is.uri.is_some())
        {
            assert_eq!(web.get(&follower.path(segment), &[]).status, 200);
        }
    }
    // It is made again.
    follower.go_on_until(|listed| length(listed) > 30.0);
    assert!(!files(directory.path()).is_empty());
    publishing.kill();
}

/// What the tests below do to a disk is done to one of their own, in a namespace of mounts that
/// nobody else has.
#[cfg(target_os = "linux")]
mod inside {
    use std::fs::File;
    use std::io;
    use std::path::PathBuf;
    use std::process::Command;
    use std::sync::mpsc::{self, Sender};
    use std::thread::JoinHandle;

    use super::*;

    /// The variable that says where a disk may be put.
    const PLACE: &str = "OPENRTMP_TEST_DISK";
    /// One that hangs does so no longer, so that a test that fails comes to its end.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Runs the test of this name below once these commands have put a disk at `$DISK`.
    pub(super) fn with_a_disk(test: &str, commands: &str) {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("disk")).unwrap();
        let inside = |command: &str| {
            let mut unshare = Command::new("unshare");
            unshare.arg("--mount");
            if !rustix::process::geteuid().is_root() {
                unshare.arg("--map-root-user");
            }
            let all = format!(
                "PATH=$PATH:/usr/sbin:/sbin; DISK=${PLACE}/disk; set -e; {commands}; {command}"
            );
            unshare
                .args(["sh", "-c", &all, "sh"])
                .env(PLACE, place.path());
            unshare
        };
        let why = match inside("true").output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            openrtmp_tests::skip(test, &format!("no disk of its own: {}", why.trim()));
            return;
        }
        let mut command = inside("exec \"$@\"");
        command.arg(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture"]);
        let output = command.arg(format!("inside::{test}")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn disk() -> PathBuf {
        PathBuf::from(std::env::var_os(PLACE).expect("a disk")).join("disk")
    }

    /// Whatever is listed can be fetched, or is listed no longer by then.
    fn expect_all(follower: &mut Follower, web: &mut Web) {
        let listed: Vec<String> = follower
            .listed()
            .segments
            .iter()
            .filter(|is| is.uri.is_some())
            .map(|is| follower.path(is))
            .collect();
        for path in listed {
            let answer = web.ask("HEAD", &path, &[]);
            if answer.status == 404 {
                follower.catch_up();
                let mut now = follower.listed().segments.iter();
                let is_it = |is: &ListedSegment| is.uri.is_some() && follower.path(is) == path;
                assert!(!now.any(is_it), "{path}");
            } else {
                assert_eq!(answer.status, 200, "{path}");
            }
        }
    }

    #[test]
    #[ignore = "with a disk of its own"]
    fn a_disk_is_full() {
        let disk = disk();
        // Somebody else has all of it.
        let others = disk.join("others");
        let mut file = File::create(&others).unwrap();
        let why = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error.kind();
            }
        };
        assert_eq!(why, io::ErrorKind::StorageFull);
        drop(file);
        let delivered = started(|config| {
            config.http.memory = 64 << 20;
            config.http.dvr.directory = Some(disk.clone());
        });
        let told = || delivered.delivery().dvr_files().unwrap();
        let publishing = hurried(Media::TwentyMegabits, &delivered.server().url("live/cam"));
        delivered.server().wait_until_published("live/cam");
        let pictures = delivered.playlists("live/cam").pop().unwrap();
        let mut follower = Follower::new(&delivered, &pictures);
        let mut web = Web::connect(delivered.address());
        // It is in memory, as far as there is room there.
        for _ in 0..20 {
            follower.go_on();
            expect_all(&mut follower, &mut web);
        }
        let longest = length(follower.listed());
        assert!((14.0..26.0).contains(&longest), "{longest} s");
        assert!(told().failures > 0 && told().waiting > 0);
        assert_eq!((told().segments, told().bytes), (0, 0));
        // There is room, and then all of it is used: 40 s have 100 MB.
        fs::remove_file(&others).unwrap();
        follower.go_on_until(|listed| length(listed) > 28.0);
        expect_all(&mut follower, &mut web);
        let failures = told().failures;
        follower.go_on_until(|_| told().removed > 0);
        for _ in 0..10 {
            follower.go_on();
            expect_all(&mut follower, &mut web);
        }
        // What is old makes room for what is new.
        assert_eq!(told().failures, failures);
        let now = length(follower.listed());
        assert!((20.0..39.0).contains(&now), "{now} s");
        publishing.kill();
    }

    /// A disk that does not answer who writes, until this is dropped.
    struct Frozen(Option<(Sender<()>, JoinHandle<bool>)>);

    impl Frozen {
        fn new(disk: PathBuf) -> Frozen {
            let fsfreeze = move |what: &str| {
                let done = Command::new("fsfreeze").arg(what).arg(&disk).status();
                assert!(done.unwrap().success());
            };
            fsfreeze("--freeze");
            let (thaw, thawed) = mpsc::channel::<()>();
            let thread = std::thread::spawn(move || {
                let asked = thawed.recv_timeout(PATIENCE);
                fsfreeze("--unfreeze");
                asked != Err(mpsc::RecvTimeoutError::Timeout)
            });
            Frozen(Some((thaw, thread)))
        }
    }

    impl Drop for Frozen {
        fn drop(&mut self) {
            let (thaw, thread) = self.0.take().unwrap();
            drop(thaw);
            let was_in_time = thread.join().unwrap();
            assert!(was_in_time || std::thread::panicking(), "it was waited for");
        }
    }

    #[test]
    #[ignore = "with a disk of its own"]
    fn a_disk_does_not_answer() {
        let disk = disk();
        let delivered = started(|config| config.http.dvr.directory = Some(disk.clone()));
        let told = || delivered.delivery().dvr_files().unwrap();
        let publishing = hurried(Media::H264Aac, &delivered.server().url("live/cam"));
        delivered.server().wait_until_published("live/cam");
        let pictures = delivered.playlists("live/cam").pop().unwrap();
        let mut follower = Follower::new(&delivered, &pictures);
        let mut web = Web::connect(delivered.address());
        follower.go_on_until(|listed| length(listed) > 24.0);
        let frozen = Frozen::new(disk.clone());
        // Twice as long as all that is listed.
        for _ in 0..40 {
            follower.go_on();
            expect_all(&mut follower, &mut web);
        }
        // It is in memory as a whole, for want of anything better.
        assert!(length(follower.listed()) > 36.0 && told().waiting > 10);
        publishing.kill();
        // Nor does the end wait for it.
        drop(delivered);
        drop(frozen);
        // What was to be removed is, once it answers.
        found_at_last("an empty folder", || files(&disk).is_empty().then_some(()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_is_used_again_once_it_is_not() {
    inside::with_a_disk(
        "a_disk_is_full",
        "mount -t tmpfs -o size=88m disk \"$DISK\"",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn for_a_disk_that_does_not_answer_nobody_waits() {
    let commands = "truncate -s 96M \"$DISK.image\"; mkfs.ext4 -q \"$DISK.image\"; \
                    mount -o loop \"$DISK.image\" \"$DISK\"; \
                    fsfreeze --freeze \"$DISK\"; fsfreeze --unfreeze \"$DISK\"";
    inside::with_a_disk("a_disk_does_not_answer", commands);
}

#[test]
fn what_a_killed_server_left_is_removed_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("settings.yaml");
    let folder = directory.path().display();
    let text = format!(
        "http:\n  listen: [\"http://127.0.0.1:0\"]\n  window: 10s\n  dvr:\n    duration: 60s\n    directory: {folder}\n"
    );
    fs::write(&settings, text).unwrap();
    let arguments = ["--config", settings.to_str().unwrap()];
    let server = ServerProcess::start(&arguments);
    let publishing = hurried(Media::H264Aac, &server.url("live/cam"));
    let left = || {
        let names = files(directory.path());
        (names.len() >= 20).then_some(names)
    };
    found_at_last("segments in files", left);
    server.kill();
    publishing.kill();
    let left = files(directory.path());
    assert!(left.len() >= 20);
    let other = directory.path().join(FOLDER).join("film.m4s");
    fs::write(&other, "mine").unwrap();
    let server = ServerProcess::start(&arguments);
    assert_eq!(files(directory.path()), ["film.m4s"]);
    // And it has what comes now.
    let publishing = hurried(Media::H264Aac, &server.url("live/cam"));
    found_at_last("segments in files", || {
        (files(directory.path()).len() > 20).then_some(())
    });
    publishing.kill();
    server.kill();
}
