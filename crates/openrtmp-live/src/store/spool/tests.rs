//! Files that come and go.

use std::fs;
use std::time::Instant;

use openrtmp_core::Config;
use openrtmp_media::packager::{Beginning, Part, Segment};
use tempfile::TempDir;

use super::folder::LOCK;
use super::*;

const TRACK: TrackName = TrackName::Video(0);
/// Half of a MiB.
const HALF: usize = 512 << 10;

pub(crate) struct Place {
    directory: TempDir,
    server: Arc<Server>,
    pub(crate) budget: Arc<Budget>,
}

impl Place {
    /// A folder with room for so many bytes.
    pub(crate) fn new(bytes: u64) -> Place {
        let mut config = Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.http.dvr.bytes = bytes;
        Place {
            directory: tempfile::tempdir().unwrap(),
            server: Arc::new(Server::start(config).unwrap()),
            budget: Arc::default(),
        }
    }

    pub(crate) fn spool(&self) -> io::Result<Arc<Spool>> {
        Spool::start(self.directory.path(), &self.server, &self.budget)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.directory.path().join(FOLDER)
    }

    /// What is in the folder, in the order of names.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// A segment of two parts with so many bytes together.
pub(crate) fn segment(msn: u64, bytes: usize) -> Arc<Kept> {
    let part = |bytes: Vec<u8>| Part {
        start: 0,
        ticks: 1,
        duration: Duration::from_secs(1),
        is_independent: true,
        is_gap: false,
        frames: 1,
        reorder: 0,
        bytes: bytes.into(),
    };
    let all: Vec<u8> = (0..bytes).map(|n| (n as u64 + msn) as u8).collect();
    let (first, second) = all.split_at(bytes / 3);
    Arc::new(Kept::of(&Segment {
        beginning: Beginning {
            msn,
            is_discontinuity: false,
            discontinuities: 0,
            init: 0,
            wall: 0,
            time: 0,
        },
        parts: vec![part(first.to_vec()), part(second.to_vec())],
        is_complete: true,
        cues: Vec::new(),
        is_released: false,
    }))
}

fn names() -> Names {
    Names {
        epoch: "18f0-0".to_owned(),
    }
}

fn task(kept: &Arc<Kept>) -> Task {
    Task {
        name: format!("18f0-0-v0-{}.m4s", kept.msn),
        listed: Arc::downgrade(kept),
        number: kept.msn,
    }
}

/// The file of a segment that is written now, if it ever is.
pub(crate) fn written(spool: &Spool, kept: &Arc<Kept>) -> Option<Arc<Stored>> {
    spool.write(&names(), TRACK, kept);
    decided(kept)
}

fn decided(kept: &Kept) -> Option<Arc<Stored>> {
    until(|| kept.written().map(|stored| stored.cloned()))
}

/// A segment that cannot be written as things are.
fn refused(spool: &Spool, msn: u64, bytes: usize) -> Arc<Kept> {
    let (kept, failures) = (segment(msn, bytes), spool.failures());
    spool.write(&names(), TRACK, &kept);
    until(|| (spool.failures() > failures).then_some(()));
    assert!(kept.written().is_none());
    kept
}

fn is_there(stored: &Stored) -> bool {
    stored.is_there().unwrap_or(false)
}

/// What the thread brings about.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::yield_now();
    }
}

#[test]
fn a_segment_is_a_file_as_long_as_somebody_has_it() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let kept = segment(7, 1000);
    let stored = written(&spool, &kept).unwrap();
    assert_eq!(place.names(), ["18f0-0-v0-7.m4s", LOCK]);
    let whole = kept.read().unwrap().concat();
    let file = place.folder().join("18f0-0-v0-7.m4s");
    assert_eq!(fs::read(&file).unwrap(), whole);
    #[cfg(unix)]
    for (path, mode) in [(&file, 0o600), (&place.folder(), 0o700)] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            mode
        );
    }
    assert!(is_there(&stored) && spool.bytes() == 1000);
    assert_eq!(stored.read(0..1000).unwrap(), whole);
    assert_eq!(stored.read(333..700).unwrap(), whole[333..700]);
    let moved = kept.moved_to(&stored);
    assert_eq!((moved.len(), moved.parts()), (1000, None));
    assert_eq!(moved.read().unwrap().concat(), whole);
    drop((kept, moved));
    assert!(is_there(&stored));
    drop(stored);
    until(|| (spool.bytes() == 0).then_some(()));
    assert_eq!(place.names(), [LOCK]);
    spool.stop();
}

#[test]
fn what_is_listed_no_longer_is_not_written() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let gone = segment(1, 1000);
    spool.waiting.fetch_add(1, Ordering::Relaxed);
    spool.jobs.send(Job::Write(task(&gone))).unwrap();
    drop(gone);
    // Either it was written before, and is removed, or it was not.
    written(&spool, &segment(2, 10)).unwrap();
    until(|| (spool.bytes() == 0).then_some(()));
    assert_eq!(place.names(), [LOCK]);
    spool.stop();
}

#[test]
fn the_oldest_go_where_there_is_no_room() {
    let place = Place::new(5 * HALF as u64);
    let spool = place.spool().unwrap();
    let kept: Vec<_> = (1..=3).map(|msn| segment(msn, 2 * HALF)).collect();
    let stored: Vec<_> = kept
        .iter()
        .map(|kept| written(&spool, kept).unwrap())
        .collect();
    assert_eq!(spool.bytes(), 4 * HALF as u64);
    assert!(stored[0].is_gone() && !is_there(&stored[0]) && spool.removed() == 1);
    assert!(is_there(&stored[1]) && is_there(&stored[2]));
    // More than there is room for.
    assert!(written(&spool, &segment(4, 6 * HALF)).is_none());
    assert_eq!((spool.bytes(), spool.removed()), (4 * HALF as u64, 1));
    assert_eq!(spool.lost(), 0, "it is as it is set");
    // Of what its owner let go of nothing is to be removed.
    drop(stored);
    drop(kept);
    let last = segment(5, 5 * HALF);
    let stored = written(&spool, &last).unwrap();
    assert!(is_there(&stored) && spool.removed() == 1);
    spool.stop();
    assert!(!is_there(&stored));
    assert_eq!((place.names(), spool.bytes()), (vec![LOCK.to_owned()], 0));
    // What comes later is in no file.
    assert!(written(&spool, &segment(6, 100)).is_none());
}

#[test]
fn one_that_is_larger_than_what_may_be_there_holds_up_nobody() {
    let place = Place::new(2 * HALF as u64);
    let spool = place.spool().unwrap();
    let large = segment(1, 3 * HALF);
    spool.write(&names(), TRACK, &large);
    assert!(written(&spool, &segment(2, HALF)).is_some());
    assert!(decided(&large).is_none());
    until(|| (spool.waiting() == 0).then_some(()));
    assert_eq!(spool.failures(), 1);
    spool.stop();
}

#[test]
fn one_that_cannot_be_written_holds_up_nobody_and_is_tried_again() {
    let place = Place::new(4 * HALF as u64);
    let spool = place.spool().unwrap();
    let path = place.folder().join("18f0-0-v0-1.m4s");
    fs::create_dir(&path).unwrap();
    let first = refused(&spool, 1, 100);
    assert!(written(&spool, &segment(2, 100)).is_some());
    until(|| (spool.waiting() == 1).then_some(()));
    assert!(first.written().is_none());
    fs::remove_dir(&path).unwrap();
    let stored = decided(&first).unwrap();
    assert!(is_there(&stored));
    until(|| (spool.waiting() == 0).then_some(()));
    spool.stop();
}

#[test]
fn what_is_written_late_is_as_old_as_it_is() {
    let place = Place::new(4 * HALF as u64);
    let spool = place.spool().unwrap();
    let path = place.folder().join("18f0-0-v0-1.m4s");
    fs::create_dir(&path).unwrap();
    let first = refused(&spool, 1, HALF);
    let second = segment(2, HALF);
    let later = written(&spool, &second).unwrap();
    fs::remove_dir(&path).unwrap();
    let late = decided(&first).unwrap();
    // Of the two the first goes.
    let third = segment(3, 3 * HALF);
    assert!(written(&spool, &third).is_some());
    assert!(late.is_gone() && !later.is_gone() && is_there(&later));
    spool.stop();
}

/// As behind a disk that does not answer.
#[test]
fn one_that_has_no_place_to_wait_stays_in_memory() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    spool.waiting.fetch_add(MOST_WAITING, Ordering::Relaxed);
    let kept = segment(1, 100);
    spool.write(&names(), TRACK, &kept);
    assert!(kept.written().is_none() && spool.is_behind.load(Ordering::Relaxed));
    assert_eq!(
        (spool.failures(), spool.waiting()),
        (1, MOST_WAITING as u64)
    );
    spool.waiting.fetch_sub(MOST_WAITING, Ordering::Relaxed);
    assert!(written(&spool, &segment(2, 100)).is_some());
    until(|| (!spool.is_behind.load(Ordering::Relaxed)).then_some(()));
    assert!(kept.written().is_none());
    spool.stop();
}

/// Somebody who removes what is old, say.
#[test]
fn who_misses_a_file_first_tells_the_others() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let first = written(&spool, &segment(1, 1000)).unwrap();
    let second = written(&spool, &segment(2, 1000)).unwrap();
    assert_eq!((spool.files(), spool.bytes()), (2, 2000));
    fs::remove_file(place.folder().join("18f0-0-v0-1.m4s")).unwrap();
    assert!(!is_there(&first) && !is_there(&first));
    until(|| first.is_gone().then_some(()));
    until(|| (spool.lost() == 1).then_some(()));
    assert_eq!(spool.removed(), 1);
    assert_eq!((spool.files(), spool.bytes()), (1, 1000));
    assert!(is_there(&second) && !second.is_gone());
    drop((first, second));
    until(|| (spool.bytes() == 0).then_some(()));
    assert_eq!((spool.files(), spool.removed()), (0, 1));
    spool.stop();
}

#[test]
fn who_reads_what_is_missing_tells_the_others_too() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let kept: Vec<_> = (1..=2).map(|msn| segment(msn, 1000)).collect();
    let [whole, part] = [&kept[0], &kept[1]].map(|kept| written(&spool, kept).unwrap());
    fs::remove_file(place.folder().join(&whole.name)).unwrap();
    let mut options = OpenOptions::new();
    let file = options.write(true).open(place.folder().join(&part.name));
    file.unwrap().set_len(500).unwrap();
    for stored in [whole, part] {
        assert!(is_missing(&stored.read(0..1000).unwrap_err()));
        until(|| stored.is_gone().then_some(()));
    }
    spool.stop();
}

/// As of a folder that was moved away for a moment.
#[test]
fn what_was_missed_and_came_back_can_be_missed_again() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let kept = segment(1, 1000);
    let stored = written(&spool, &kept).unwrap();
    stored.was_missed.store(true, Ordering::Relaxed);
    spool.jobs.send(Job::Look(stored.name.clone())).unwrap();
    until(|| (!stored.was_missed.load(Ordering::Relaxed)).then_some(()));
    // The thread has nothing to do before this is written, so it has looked then.
    written(&spool, &segment(2, 1000)).unwrap();
    assert!(!stored.is_gone() && is_there(&stored));
    fs::remove_file(place.folder().join(&stored.name)).unwrap();
    assert!(!is_there(&stored));
    until(|| stored.is_gone().then_some(()));
    spool.stop();
}

// Windows removes no folder in which a file is open.
#[cfg(unix)]
#[test]
fn a_folder_that_is_taken_away_is_made_again() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let first = segment(1, 1000);
    let stored = written(&spool, &first).unwrap();
    let elsewhere = place.directory.path().join("elsewhere");
    fs::rename(place.folder(), &elsewhere).unwrap();
    // Something else is in its place.
    fs::write(place.folder(), "mine").unwrap();
    let second = refused(&spool, 2, 1000);
    assert!(stored.is_gone() && !is_there(&stored) && stored.read(0..1).is_err());
    assert_eq!((spool.files(), spool.bytes(), spool.removed()), (0, 0, 1));
    assert_eq!(fs::read(place.folder()).unwrap(), b"mine");
    fs::remove_file(place.folder()).unwrap();
    // Nobody has to send another one for that.
    let late = decided(&second).unwrap();
    assert!(is_there(&late));
    assert_eq!(place.names(), ["18f0-0-v0-2.m4s", LOCK]);
    let newer = written(&spool, &segment(3, 1000)).unwrap();
    assert_eq!((spool.files(), spool.bytes()), (2, 2000));
    drop((first, stored, second, late, newer));
    until(|| (spool.bytes() == 0).then_some(()));
    spool.stop();
    assert!(elsewhere.join("18f0-0-v0-1.m4s").exists());
}

#[cfg(unix)]
#[test]
fn a_folder_whose_place_is_gone_is_not_made_somewhere_else() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let above = place.directory.path().to_owned();
    let elsewhere = above.with_extension("elsewhere");
    fs::rename(&above, &elsewhere).unwrap();
    let kept = refused(&spool, 1, 1000);
    assert!(!above.exists());
    fs::rename(&elsewhere, &above).unwrap();
    assert!(is_there(&decided(&kept).unwrap()));
    spool.stop();
}

/// As where it is not mounted any longer, which leaves an empty folder.
#[cfg(unix)]
#[test]
fn a_folder_is_not_taken_again_on_another_disk() {
    let place = Place::new(1 << 20);
    let mut folder = Folder::take(place.folder()).unwrap();
    fs::remove_dir_all(place.folder()).unwrap();
    folder.disk ^= 1;
    assert!(folder.take_again().is_err() && !place.folder().exists());
    folder.disk ^= 1;
    folder.take_again().unwrap();
    assert!(folder.is_ours().unwrap());
}

#[cfg(unix)]
#[test]
fn whose_lock_is_deleted_goes_on_unless_another_server_has_come() {
    let place = Place::new(1 << 20);
    let lock = place.folder().join(LOCK);
    let spool = place.spool().unwrap();
    let first = written(&spool, &segment(1, 1000)).unwrap();
    fs::remove_file(&lock).unwrap();
    let second = written(&spool, &segment(2, 1000)).unwrap();
    assert!(lock.exists() && is_there(&first) && is_there(&second));
    // Another one begins with an empty folder.
    fs::remove_file(&lock).unwrap();
    let other = place.spool().unwrap();
    let theirs = written(&other, &segment(3, 1000)).unwrap();
    let fourth = refused(&spool, 4, 1000);
    assert!(first.is_gone() && second.is_gone() && spool.bytes() == 0);
    assert!(is_there(&theirs));
    other.stop();
    let fourth = decided(&fourth).unwrap();
    assert!(is_there(&fourth));
    // Who ends removes nothing of another's.
    fs::remove_file(&lock).unwrap();
    let other = place.spool().unwrap();
    let theirs = written(&other, &segment(5, 1000)).unwrap();
    spool.stop();
    assert!(is_there(&theirs));
    other.stop();
}

#[test]
fn what_cannot_be_removed_is_read_on_and_removed_later() {
    let place = Place::new(3 * HALF as u64);
    let spool = place.spool().unwrap();
    let first = segment(1, 2 * HALF);
    let stored = written(&spool, &first).unwrap();
    // Nobody can remove a folder as if it were a file.
    let path = place.folder().join("18f0-0-v0-1.m4s");
    let elsewhere = place.directory.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    fs::create_dir(&path).unwrap();
    let second = refused(&spool, 2, 2 * HALF);
    assert!(!stored.is_gone() && (spool.bytes(), spool.removed()) == (2 * HALF as u64, 0));
    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    let newer = decided(&second).unwrap();
    assert!(stored.is_gone() && is_there(&newer) && spool.bytes() == 2 * HALF as u64);
    // The same where nobody has it any longer, which keeps no other from being removed.
    let path = place.folder().join("18f0-0-v0-2.m4s");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let small = segment(3, 1000);
    let stored = written(&spool, &small).unwrap();
    drop((first, second, newer));
    drop((small, stored));
    until(|| (spool.bytes() == 2 * HALF as u64).then_some(()));
    let last = refused(&spool, 4, 2 * HALF);
    fs::remove_dir(&path).unwrap();
    assert!(decided(&last).is_some());
    assert_eq!((spool.files(), spool.bytes()), (1, 2 * HALF as u64));
    spool.stop();
}

/// A file that became another is not sent as what it was.
#[test]
fn what_is_shorter_than_it_was_is_not_there() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let kept = segment(1, 1000);
    let stored = written(&spool, &kept).unwrap();
    let path = place.folder().join("18f0-0-v0-1.m4s");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(500).unwrap();
    assert!(!is_there(&stored));
    assert!(stored.read(0..500).is_ok() && stored.read(400..600).is_err());
    #[cfg(unix)]
    {
        let other = place.directory.path().join("other");
        fs::write(&other, vec![0; 1000]).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(!is_there(&stored) && stored.read(0..1).is_err());
    }
    spool.stop();
}

/// Where removing gives nothing back, say.
#[test]
fn a_disk_that_stays_full_takes_a_tenth_at_a_time() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let folder = Folder::take(place.directory.path().join("another")).unwrap();
    let mut writer = Writer::new(&spool, &place.server, folder);
    let kept = (1..=20).map(|msn| segment(msn, 1000));
    let stored: Vec<_> = kept
        .map(|kept| writer.store(&task(&kept), &kept, 1 << 20))
        .map(Result::unwrap)
        .collect();
    let gone = || stored.iter().take_while(|stored| stored.is_gone()).count();
    for (tries, expected) in [(2, 2), (2, 4)] {
        let mut left = tries;
        let full = writer.with_room(|_| {
            left -= 1;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            (left, gone(), spool.removed()),
            (0, expected, expected as u64)
        );
    }
    // Where it does, that is all.
    let mut is_full = true;
    let made = writer.with_room(|_| match std::mem::replace(&mut is_full, false) {
        true => Err(io::ErrorKind::QuotaExceeded.into()),
        false => Ok(()),
    });
    assert!(made.is_ok());
    assert_eq!((gone(), spool.files(), spool.bytes()), (6, 14, 14_000));
    assert_eq!(spool.lost(), 6);
    // Of nothing else anything is removed.
    let denied = writer.with_room(|_| Err(io::ErrorKind::PermissionDenied.into()));
    assert!(denied.is_err() && gone() == 6);
    spool.stop();
}

#[test]
fn what_another_run_left_is_removed_and_nothing_else() {
    let place = Place::new(1 << 20);
    fs::create_dir(place.folder()).unwrap();
    let put = |name: &str| fs::write(place.folder().join(name), name).unwrap();
    let (ours, others) = (
        ["18f0-0-v0-1.m4s", "1a-ff-a12-18446744073709551615.m4s"],
        [
            "18f0-0-v0-1.mp4",
            "18f0-0-v0-.m4s",
            "18f0-0-v-1.m4s",
            "18f0-0-x0-1.m4s",
            "18g0-0-v0-1.m4s",
            "18f0-0-v0-1-1.m4s",
            "a.m4s",
            "film.m4s.bak",
        ],
    );
    ours.into_iter().chain(others).for_each(put);
    fs::create_dir(place.folder().join("18f0-0-v0-2.m4s")).unwrap();
    let outside = place.directory.path().join("18f0-0-v0-3.m4s");
    fs::write(&outside, "outside").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&outside, place.folder().join("18f0-0-v0-4.m4s")).unwrap();
    place.spool().unwrap().stop();
    let names = place.names();
    assert!(ours.iter().all(|name| !names.contains(&(*name).to_owned())));
    assert!(
        others
            .iter()
            .all(|name| names.contains(&(*name).to_owned())),
        "{names:?}"
    );
    assert!(names.contains(&"18f0-0-v0-2.m4s".to_owned()));
    assert_eq!(names.contains(&"18f0-0-v0-4.m4s".to_owned()), cfg!(unix));
    assert_eq!(fs::read(&outside).unwrap(), b"outside");
}

#[test]
fn a_folder_is_one_servers() {
    let place = Place::new(1 << 20);
    let spool = place.spool().unwrap();
    let kept = segment(1, 1000);
    let stored = written(&spool, &kept).unwrap();
    let error = place.spool().unwrap_err();
    assert_eq!(error.to_string(), "another server uses it");
    assert!(is_there(&stored));
    spool.stop();
    place.spool().unwrap().stop();
}

#[cfg(unix)]
#[test]
fn a_link_is_no_folder() {
    let place = Place::new(1 << 20);
    let elsewhere = place.directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("18f0-0-v0-1.m4s"), "film").unwrap();
    std::os::unix::fs::symlink(&elsewhere, place.folder()).unwrap();
    assert!(place.spool().is_err());
    assert!(elsewhere.join("18f0-0-v0-1.m4s").exists());
}
