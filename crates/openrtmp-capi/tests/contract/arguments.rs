//! Arguments that nothing can be, and failures that tell of themselves.

use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

use openrtmp::OpenrtmpStr;
use openrtmp::config::{
    OPENRTMP_FORMAT_YAML, OPENRTMP_PROFILE_DESKTOP, openrtmp_config_free, openrtmp_config_get,
    openrtmp_config_load_file, openrtmp_config_load_text, openrtmp_config_new, openrtmp_config_set,
};
use openrtmp::error::{
    OPENRTMP_ERROR_CONFIG, OPENRTMP_ERROR_INVALID_ARGUMENT, OPENRTMP_ERROR_IO,
    OPENRTMP_ERROR_MEMORY, OPENRTMP_OK, openrtmp_last_error_message,
};
use openrtmp::publisher::{
    OpenrtmpMedia, OpenrtmpTrack, openrtmp_publisher_configure, openrtmp_publisher_lend,
    openrtmp_publisher_write, openrtmp_publisher_write_message,
};
use openrtmp::server::{
    OpenrtmpCallbacks, OpenrtmpHealth, openrtmp_server_health, openrtmp_server_new,
};
use openrtmp::tap::{OPENRTMP_FOURCC_AVC, OPENRTMP_MEDIA_VIDEO};

use crate::host::{Host, last_error, ok};

/// No memory is that large.
const HUGE: usize = 1 << 46;

fn zeroed<T: Copy>(set_size: impl FnOnce(&mut T)) -> T {
    // SAFETY: the structs of the interface are integers, pointers and nullable functions.
    let mut value: T = unsafe { std::mem::zeroed() };
    set_size(&mut value);
    value
}

fn track() -> OpenrtmpTrack {
    zeroed(|track: &mut OpenrtmpTrack| {
        track.struct_size = size_of::<OpenrtmpTrack>() as u32;
        track.kind = OPENRTMP_MEDIA_VIDEO;
        track.codec = OPENRTMP_FOURCC_AVC;
    })
}

fn media() -> OpenrtmpMedia {
    zeroed(|media: &mut OpenrtmpMedia| {
        media.struct_size = size_of::<OpenrtmpMedia>() as u32;
        media.kind = OPENRTMP_MEDIA_VIDEO;
    })
}

#[test]
fn lengths_that_nothing_has_are_refused_before_anything_is_read_or_copied() {
    let host = Host::new(&[], |_, _| {});
    host.start();
    let publisher = host.publisher("live/cam").unwrap();
    let byte = 7u8;
    for length in [HUGE, 200 << 20, (16 << 20), usize::MAX] {
        let mut config = track();
        (config.config, config.config_length) = (&raw const byte, length);
        let mut frame = media();
        (frame.payload, frame.payload_length) = (&raw const byte, length);
        let mut buffer = null_mut();
        // SAFETY: what the lengths say is not there, and not looked at.
        let codes = unsafe {
            ok(openrtmp_publisher_configure(publisher.0, &track()));
            [
                openrtmp_publisher_configure(publisher.0, &config),
                openrtmp_publisher_write(publisher.0, &frame),
                openrtmp_publisher_write_message(publisher.0, 2, 0, &raw const byte, length),
                openrtmp_publisher_lend(publisher.0, length, &mut buffer),
            ]
        };
        assert_eq!(codes, [OPENRTMP_ERROR_INVALID_ARGUMENT; 4], "{length}");
    }
    drop(publisher);
    let text = OpenrtmpStr {
        data: (&raw const byte).cast(),
        length: HUGE,
    };
    let mut config = null_mut();
    // SAFETY: as above.
    unsafe {
        ok(openrtmp_config_new(OPENRTMP_PROFILE_DESKTOP, &mut config));
        let codes = [
            openrtmp_config_load_text(config, text, OPENRTMP_FORMAT_YAML),
            openrtmp_config_set(config, text, OpenrtmpStr::new("1")),
            openrtmp_config_set(config, OpenrtmpStr::new("workers"), text),
            openrtmp_config_get(config, text, null_mut(), 0, null_mut()),
            openrtmp_config_load_file(config, text),
        ];
        assert_eq!(codes, [OPENRTMP_ERROR_INVALID_ARGUMENT; 5]);
        openrtmp_config_free(config);
    }
    assert_eq!(host.free(), OPENRTMP_OK);
}

#[test]
fn the_message_of_a_failure_stands_where_the_one_before_stood() {
    let message = || openrtmp_last_error_message();
    let mut config = null_mut();
    // SAFETY: a place for the handle, texts that live during the calls.
    unsafe {
        ok(openrtmp_config_new(OPENRTMP_PROFILE_DESKTOP, &mut config));
        let set = |value: &str| {
            openrtmp_config_set(config, OpenrtmpStr::new("workers"), OpenrtmpStr::new(value))
        };
        let before = message();
        assert_eq!(set("65"), OPENRTMP_ERROR_CONFIG);
        assert_eq!(message(), before);
        let told = CStr::from_ptr(before).to_str().unwrap();
        assert_eq!(told, "workers = 65: expected a whole number from 0 to 64");
        // A longer one, which names a file, is cut at the end of a character.
        let name = "\u{e4}".repeat(5000);
        let loaded = openrtmp_config_load_file(config, OpenrtmpStr::new(&name));
        assert_eq!(loaded, OPENRTMP_ERROR_IO);
        assert_eq!(message(), before);
        let told = CStr::from_ptr(before).to_str().unwrap();
        assert!((1020..1024).contains(&told.len()), "{}", told.len());
        let length = told.len();
        // What works leaves it alone.
        assert_eq!(set("3"), OPENRTMP_OK);
        assert_eq!(CStr::from_ptr(before).to_bytes().len(), length);
        openrtmp_config_free(config);
    }
}

#[test]
fn settings_are_refused_where_they_are_set() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.yaml");
    std::fs::write(
        &file,
        "access:\n  publish_keys: [s3cret]\nlimits:\n  memory: 1KiB\n",
    )
    .unwrap();
    let mut config = null_mut();
    // SAFETY: a place for the handle, texts that live during the calls.
    unsafe {
        ok(openrtmp_config_new(OPENRTMP_PROFILE_DESKTOP, &mut config));
        let path = file.to_str().unwrap();
        let code = openrtmp_config_load_file(config, OpenrtmpStr::new(path));
        assert_eq!(code, OPENRTMP_ERROR_CONFIG);
        assert_eq!(
            last_error(),
            format!(
                "{path}: line 4: limits.memory = \"1KiB\": expected bytes of at least 1048576, as \
                 a number or such as 64KiB"
            )
        );
        let broken = OpenrtmpStr::new("access:\n  publish_keys: [s3cret\n");
        let code = openrtmp_config_load_text(config, broken, OPENRTMP_FORMAT_YAML);
        assert_eq!(code, OPENRTMP_ERROR_CONFIG);
        let told = last_error();
        assert!(
            told.contains("not YAML") && !told.contains("s3cret"),
            "{told}"
        );
        assert!(!told.contains('\n'), "{told}");
        openrtmp_config_free(config);
    }
}

#[test]
fn what_is_reserved_is_zero_and_what_is_filled_says_how_much() {
    let host = Host::new(&[], |_, _| {});
    host.start();
    let mut table: OpenrtmpCallbacks = zeroed(|table: &mut OpenrtmpCallbacks| {
        table.struct_size = size_of::<OpenrtmpCallbacks>() as u32;
    });
    table.reserved = 1;
    let mut config = null_mut();
    let mut server = null_mut();
    // SAFETY: places for handles, whole structs.
    unsafe {
        ok(openrtmp_config_new(OPENRTMP_PROFILE_DESKTOP, &mut config));
        let code = openrtmp_server_new(config, &table, &mut server);
        assert_eq!(code, OPENRTMP_ERROR_INVALID_ARGUMENT);
        openrtmp_config_free(config);
        // A struct of a header to come.
        #[repr(C)]
        struct Newer {
            known: OpenrtmpHealth,
            new: [u64; 4],
        }
        let mut newer: Newer = std::mem::zeroed();
        newer.known.struct_size = size_of::<Newer>() as u32;
        newer.new = [9; 4];
        ok(openrtmp_server_health(
            host.server,
            &raw mut newer.known,
            None,
            null::<c_void>().cast_mut(),
        ));
        assert_eq!(newer.known.struct_size, size_of::<OpenrtmpHealth>() as u32);
        assert_eq!((newer.known.ready, newer.new), (1, [9; 4]));
    }
    assert_eq!(host.free(), OPENRTMP_OK);
}

#[cfg(target_os = "linux")]
#[test]
fn a_copy_that_memory_has_no_room_for_is_a_code() {
    // In a process of its own, whose memory is bounded.
    const CHILD: &str = "OPENRTMP_TEST_LITTLE_MEMORY";
    if std::env::var_os(CHILD).is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "arguments::a_copy_that_memory_has_no_room_for_is_a_code",
            ])
            .args(["--test-threads", "1"])
            .env(CHILD, "1")
            // No thread has memory put by.
            .env("MALLOC_ARENA_MAX", "1")
            .status();
        return assert!(status.unwrap().success());
    }
    let host = Host::new(&[], |_, _| {});
    host.start();
    let publisher = host.publisher("live/cam").unwrap();
    let payload = vec![0u8; 8 << 20];
    let mut frame = media();
    (frame.payload, frame.payload_length) = (payload.as_ptr(), payload.len());
    // SAFETY: the handle lives, the structs are whole, and so is the payload.
    unsafe {
        ok(openrtmp_publisher_configure(publisher.0, &track()));
        let mut limit: libc::rlimit = std::mem::zeroed();
        libc::getrlimit(libc::RLIMIT_AS, &mut limit);
        let before = limit;
        // Room for what is small.
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: libc::rlim_t = pages.split(' ').next().unwrap().parse().unwrap();
        let page = libc::sysconf(libc::_SC_PAGESIZE) as libc::rlim_t;
        limit.rlim_cur = pages * page + (4 << 20);
        libc::setrlimit(libc::RLIMIT_AS, &limit);
        let mut buffer = null_mut();
        let codes = [
            openrtmp_publisher_write(publisher.0, &frame),
            openrtmp_publisher_lend(publisher.0, 8 << 20, &mut buffer),
            openrtmp_publisher_write_message(publisher.0, 2, 0, payload.as_ptr(), payload.len()),
        ];
        libc::setrlimit(libc::RLIMIT_AS, &before);
        assert_eq!(codes, [OPENRTMP_ERROR_MEMORY; 3]);
        ok(openrtmp_publisher_write(publisher.0, &frame));
    }
    drop(publisher);
    assert_eq!(host.free(), OPENRTMP_OK);
}
