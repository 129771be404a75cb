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

/// What may stand at a setting that is one of several words.
fn choices(path: &str) -> Option<Vec<String>> {
    let mut settings = openrtmp_core::Config::settings().iter();
    let expected = settings.find(|setting| setting.path() == path)?.expected();
    let words = expected.strip_prefix("one of ")?;
    Some(words.split(", ").map(str::to_owned).collect())
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
fn the_header_says_of_each_setting_what_the_library_does() {
    let header = fs::read_to_string(include_dir().join("openrtmp.h")).unwrap();
    for setting in openrtmp_core::Config::settings() {
        let (path, text) = (setting.path(), setting.description());
        let line = header
            .lines()
            .find(|line| line.starts_with(&format!("//   {path} [")));
        let line = line.unwrap_or_else(|| panic!("the header does not tell of {path}"));
        assert!(line.ends_with(&format!("]: {text}")), "{line}: {text}");
    }
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
        // What others need beside them.
        for beside in [
            "tls.certificate",
            "tls.client.certificate",
            "tls.client_auth.ca",
            "log.file.path",
        ] {
            settings.set(beside, "some.pem");
        }
        let (mut expected, old) = (settings.all(), settings.get(path));
        let pointer = format!("/{}", path.replace('.', "/"));
        let (text, value): (String, Value) = match expected.pointer(&pointer).unwrap() {
            Value::Bool(old) => (format!("{}", !old), (!old).into()),
            Value::Number(old) => {
                let old = old.as_u64().unwrap();
                // Whichever is in the setting's range.
                let mut others =
                    [old + 1000, old + 1, old + 10_000, old.saturating_sub(1)].into_iter();
                let fits = |new: &u64| settings.try_set(path, &new.to_string()) == OPENRTMP_OK;
                let new = others.find(fits).unwrap();
                (new.to_string(), new.into())
            }
            Value::Array(_) if path == "listen" => {
                let addresses = ["127.0.0.1:1936", "[::1]:0"];
                (addresses.join(", "), addresses.to_vec().into())
            }
            Value::Array(_) if path == "http.listen" => {
                let addresses = ["http://127.0.0.1:8081", "http://[::1]:0"];
                (addresses.join(", "), addresses.to_vec().into())
            }
            Value::Array(_) if path == "tls.certificates" => {
                let list = r#"[{"certificate":"other.pem","key":"other.key"}]"#;
                (list.to_owned(), serde_json::from_str(list).unwrap())
            }
            Value::Array(_) if path == "relay.push" => {
                let list = r#"[{"match":"live/*","to":"rtmp://h/{app}/{name}"}]"#;
                (list.to_owned(), serde_json::from_str(list).unwrap())
            }
            Value::Array(_) if path == "relay.pull" => {
                let list = r#"[{"match":"live/a","from":"rtmp://h/live/a","start":"always","idle_timeout":5000}]"#;
                (list.to_owned(), serde_json::from_str(list).unwrap())
            }
            Value::Array(_) if path == "access.callback.events" => {
                ("publish".to_owned(), vec!["publish"].into())
            }
            Value::Array(_) if path == "log.output" => ("file".to_owned(), vec!["file"].into()),
            Value::Array(_) if path == "access.users" => {
                let list = r#"[{"user":"ann","password":"secret"}]"#;
                (list.to_owned(), serde_json::from_str(list).unwrap())
            }
            Value::Array(_) if path == "metrics.listen" || path == "tls.acme.http_listen" => {
                let address = "127.0.0.1:8080";
                (address.to_owned(), vec![address].into())
            }
            Value::Array(_) if path == "tls.acme.domains" => {
                let name = "media.example";
                (name.to_owned(), vec![name].into())
            }
            Value::Array(_) if path == "access.rules" => {
                let list = r#"[{"deny":"10.0.0.0/8","app":"live","action":"publish"}]"#;
                (list.to_owned(), serde_json::from_str(list).unwrap())
            }
            Value::Array(_) if path == "access.trusted_proxies" => {
                let network = "10.0.0.0/8";
                (network.to_owned(), vec![network].into())
            }
            Value::Array(_) if path == "tls.cipher_suites" => {
                let suite = "TLS_AES_128_GCM_SHA256";
                (suite.to_owned(), vec![suite].into())
            }
            Value::Array(_) if path.ends_with(".pins") => {
                let pin = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
                (pin.to_owned(), vec![pin].into())
            }
            Value::Array(_) if path == "http.cors.origins" => {
                let origin = "https://page.example";
                (origin.to_owned(), vec![origin].into())
            }
            Value::Array(_) if path == "http.tokens.keys" => {
                let key = "sixteen-and-more-bytes";
                (key.to_owned(), vec![key].into())
            }
            Value::Array(_) => ("one,two".to_owned(), vec!["one", "two"].into()),
            _ if path == "access.callback.url" || path == "http.base_url" => {
                ("http://h/".into(), "http://h/".into())
            }
            _ if path == "tls.acme.directory" => ("https://h/".into(), "https://h/".into()),
            _ if path == "tls.acme.email" => ("a@b.example".into(), "a@b.example".into()),
            _ if choices(path).is_some() => {
                let choices = choices(path).unwrap();
                let other = choices.into_iter().find(|choice| *choice != old).unwrap();
                (other.clone(), other.into())
            }
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
