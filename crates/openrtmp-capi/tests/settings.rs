//! Every setting can be read and written by its path, and the header tells of it.

#![allow(unsafe_code, reason = "it calls the library as C does")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char};
use std::fs;
use std::ptr::null_mut;

use openrtmp::OpenrtmpStr;
use openrtmp::config::{
    OPENRTMP_FORMAT_JSON, OPENRTMP_PROFILE_DESKTOP, OPENRTMP_PROFILE_MOBILE, OpenrtmpConfig,
    openrtmp_config_dump, openrtmp_config_free, openrtmp_config_get, openrtmp_config_new,
    openrtmp_config_set,
};
use openrtmp::error::{OPENRTMP_OK, openrtmp_last_error_message};
use serde_json::Value;
use support::include_dir;

/// Settings, as a program in C has them.
struct Settings(*mut OpenrtmpConfig);

impl Settings {
    fn new(profile: u32) -> Settings {
        let mut handle = null_mut();
        // SAFETY: the place for the handle can be written.
        let code = unsafe { openrtmp_config_new(profile, &mut handle) };
        assert_eq!(code, OPENRTMP_OK);
        Settings(handle)
    }

    fn try_set(&self, path: &str, value: &str) -> i32 {
        // SAFETY: a live handle and texts that live as long as the call.
        unsafe { openrtmp_config_set(self.0, OpenrtmpStr::new(path), OpenrtmpStr::new(value)) }
    }

    #[track_caller]
    fn set(&self, path: &str, value: &str) {
        let code = self.try_set(path, value);
        // SAFETY: it is never NULL, and ends with NUL.
        let message = unsafe { CStr::from_ptr(openrtmp_last_error_message()) };
        assert_eq!(code, OPENRTMP_OK, "{path} = {value}: {message:?}");
    }

    #[track_caller]
    fn get(&self, path: &str) -> String {
        read(|buffer, capacity, length| {
            // SAFETY: a live handle, a text, and a buffer of that capacity.
            unsafe { openrtmp_config_get(self.0, OpenrtmpStr::new(path), buffer, capacity, length) }
        })
    }

    fn all(&self) -> Value {
        let text = read(|buffer, capacity, length| {
            // SAFETY: a live handle, and a buffer of that capacity.
            unsafe { openrtmp_config_dump(self.0, OPENRTMP_FORMAT_JSON, buffer, capacity, length) }
        });
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // SAFETY: from openrtmp_config_new, freed once.
        unsafe { openrtmp_config_free(self.0) };
    }
}

#[track_caller]
fn read(write: impl FnOnce(*mut c_char, usize, *mut usize) -> i32) -> String {
    let (mut buffer, mut length) = (vec![0u8; 16 * 1024], 0);
    let code = write(buffer.as_mut_ptr().cast(), buffer.len(), &mut length);
    assert_eq!(code, OPENRTMP_OK);
    buffer.truncate(length);
    String::from_utf8(buffer).unwrap()
}

/// Path and defaults of each setting in the header: `//   PATH [DEFAULT; MOBILE]: ...`.
fn documented() -> BTreeMap<String, (String, String)> {
    let header = fs::read_to_string(include_dir().join("openrtmp.h")).unwrap();
    let mut settings = BTreeMap::new();
    for line in header.lines() {
        let Some((path, rest)) = line
            .strip_prefix("//   ")
            .and_then(|line| line.split_once(" ["))
        else {
            continue;
        };
        let (defaults, _) = rest.split_once("]: ").unwrap();
        let (desktop, mobile) = defaults.split_once("; ").unwrap_or((defaults, defaults));
        settings.insert(path.to_owned(), (desktop.to_owned(), mobile.to_owned()));
    }
    settings
}

/// Paths of all values.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = match path {
                    "" => name.clone(),
                    _ => format!("{path}.{name}"),
                };
                paths(member, &path, found);
            }
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn the_header_lists_every_setting() {
    let settings = Settings::new(OPENRTMP_PROFILE_DESKTOP);
    settings.set("record.directory", "recordings");
    let mut all = BTreeSet::new();
    paths(&settings.all(), "", &mut all);
    assert!(all.len() > 40, "{}", all.len());
    let documented: BTreeSet<String> = documented().into_keys().collect();
    assert_eq!(documented, all);
}

#[test]
fn the_headers_defaults_are_the_defaults_of_the_profiles() {
    let profiles = [OPENRTMP_PROFILE_DESKTOP, OPENRTMP_PROFILE_MOBILE];
    for (index, profile) in profiles.into_iter().enumerate() {
        for (path, (desktop, mobile)) in documented() {
            let settings = Settings::new(profile);
            if path == "record.directory" {
                assert_eq!(settings.get("record"), "null", "nothing is recorded");
                continue;
            }
            if path.starts_with("record.") {
                settings.set("record.directory", "recordings");
            }
            let before = settings.all();
            settings.set(&path, [&desktop, &mobile][index]);
            assert_eq!(settings.all(), before, "{path}");
        }
    }
}

#[test]
fn every_setting_is_written_and_read_back_and_no_other_changes() {
    for path in documented().keys() {
        let settings = Settings::new(OPENRTMP_PROFILE_DESKTOP);
        settings.set("record.directory", "recordings");
        let (mut expected, old) = (settings.all(), settings.get(path));
        let pointer = format!("/{}", path.replace('.', "/"));
        let (text, value): (String, Value) = match expected.pointer(&pointer).unwrap() {
            Value::Bool(old) => (format!("{}", !old), (!old).into()),
            Value::Number(old) => {
                let old = old.as_u64().unwrap();
                // Whichever is in the setting's range.
                let mut others = [old + 1000, old + 1, old.saturating_sub(1)].into_iter();
                let fits = |new: &u64| settings.try_set(path, &new.to_string()) == OPENRTMP_OK;
                let new = others.find(fits).unwrap();
                (new.to_string(), new.into())
            }
            Value::Array(_) if path == "listen" => {
                let addresses = ["127.0.0.1:1936", "[::1]:0"];
                (addresses.join(", "), addresses.to_vec().into())
            }
            Value::Array(_) => ("one,two".to_owned(), vec!["one", "two"].into()),
            _ if path == "streams.second_publisher" => ("takeover".into(), "takeover".into()),
            _ => ("elsewhere".into(), "elsewhere".into()),
        };
        settings.set(path, &text);
        let read = settings.get(path);
        assert_ne!(read, old, "{path}");
        // What is read can be written.
        settings.set(path, &read);
        assert_eq!(settings.get(path), read);
        *expected.pointer_mut(&pointer).unwrap() = value;
        assert_eq!(settings.all(), expected, "{path}");
    }
}
