//! Where files are watched: every folder in which a change may make another file of one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use openrtmp_core::regular_file;

use crate::logs;

/// Links that are followed on the way to a file, as many as Linux does (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Bytes of a file that are looked at.
const LOOKED_AT: u64 = 1 << 20;

/// Tells when something changes in the folders of some files.
pub(super) struct Watcher {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
}

impl Watcher {
    pub(super) fn new(changed: impl Fn() + Send + 'static) -> notify::Result<Watcher> {
        let tell = move |event: notify::Result<Event>| {
            // A line in a log beside them is no change of theirs.
            let is_log = |event: &Event| {
                let mut paths = event.paths.iter();
                !event.paths.is_empty() && paths.all(|path| logs::is_file(path))
            };
            if event.is_ok_and(|event| !event.kind.is_access() && !is_log(&event)) {
                changed();
            }
        };
        Ok(Watcher {
            watcher: notify::recommended_watcher(tell)?,
            folders: BTreeSet::new(),
        })
    }

    /// Watches the folders of these files, and no others.
    pub(super) fn watch(&mut self, files: &[PathBuf]) {
        let wanted: BTreeSet<PathBuf> = files.iter().flat_map(|file| folders(file)).collect();
        for folder in self.folders.difference(&wanted) {
            // It may be gone, and its watch with it.
            let _ = self.watcher.unwatch(folder);
        }
        let mut watched = BTreeSet::new();
        for folder in wanted {
            // One that is watched already may be another folder of the same name by now:
            // it is asked for again.
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(folder)),
                Err(error) => {
                    let folder = folder.display();
                    log::warn!("{folder}: not watched, read again on SIGHUP alone: {error}");
                }
            }
        }
        self.folders = watched;
    }
}

/// What is in files, as far as it is of interest whether it is another.
pub(super) fn digests(files: Vec<PathBuf>) -> BTreeMap<PathBuf, Option<u64>> {
    let found = files.into_iter().map(|file| {
        let digest = digest(&file);
        (file, digest)
    });
    found.collect()
}

fn digest(file: &Path) -> Option<u64> {
    let mut content = Vec::new();
    let open = regular_file::open(file).ok()?;
    open.take(LOOKED_AT).read_to_end(&mut content).ok()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&content);
    Some(hasher.finish())
}

/// The folders in which something can change that makes another file of this one: its own,
/// and that of every link on the way to it. What replaces a file or a link is another
/// one, and watching that itself would tell of its end alone. certbot replaces links to
/// files, Kubernetes a link to the folder in which all are.
fn folders(file: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let Ok(mut path) = std::path::absolute(file) else {
        return folders;
    };
    for _ in 0..MOST_LINKS {
        let Some((link, target, rest)) = first_link(&path) else {
            break;
        };
        let folder = link.parent().unwrap_or(&link).to_owned();
        path = folder.join(target).join(rest);
        folders.insert(folder);
    }
    // Where nothing is yet, something may come.
    let existing = path.ancestors().skip(1).find(|folder| folder.is_dir());
    folders.extend(existing.map(Path::to_owned));
    folders
}

/// The first link on the way along a path: itself, where it leads, and what follows it.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf, PathBuf)> {
    let mut way = PathBuf::new();
    let mut rest = path.components();
    while let Some(component) = rest.next() {
        way.push(component);
        if let Ok(target) = fs::read_link(&way) {
            return Some((way, target, rest.as_path().to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_another_when_something_else_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let digest_of = || digests(vec![file.clone()])[&file];
        assert_eq!(digest_of(), None);
        fs::write(&file, "one").unwrap();
        let one = digest_of();
        fs::write(&file, "two").unwrap();
        assert!(one.is_some() && digest_of().is_some() && one != digest_of());
        fs::write(&file, "one").unwrap();
        assert_eq!(digest_of(), one);
    }

    #[cfg(unix)]
    #[test]
    fn every_link_on_the_way_to_a_file_is_watched() {
        use std::os::unix::fs::symlink;

        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let at = |path: &str| root.join(path);
        for folder in ["v1", "config", "archive", "live"] {
            fs::create_dir(at(folder)).unwrap();
        }
        // As Kubernetes does.
        fs::write(at("v1/server.yaml"), "").unwrap();
        symlink("../v1", at("config/..data")).unwrap();
        symlink("..data/server.yaml", at("config/server.yaml")).unwrap();
        let found = folders(&at("config/server.yaml"));
        let resolved: BTreeSet<PathBuf> = found.iter().map(|f| f.canonicalize().unwrap()).collect();
        assert_eq!(resolved, BTreeSet::from([at("config"), at("v1")]));
        // As certbot does.
        fs::write(at("archive/key1.pem"), "").unwrap();
        symlink("../archive/key1.pem", at("live/key.pem")).unwrap();
        let found = folders(&at("live/key.pem"));
        let resolved: BTreeSet<PathBuf> = found.iter().map(|f| f.canonicalize().unwrap()).collect();
        assert_eq!(resolved, BTreeSet::from([at("live"), at("archive")]));
        // A circle leads nowhere, and what is not there yet may come.
        symlink("b", at("a")).unwrap();
        symlink("a", at("b")).unwrap();
        assert!(folders(&at("a")).contains(&root));
        assert_eq!(
            folders(&at("new/server.yaml")),
            BTreeSet::from([root.clone()])
        );
    }
}
