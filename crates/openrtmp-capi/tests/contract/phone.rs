//! The life of a phone, as a program in C tells of it.

use std::ffi::c_void;
use std::net::TcpStream;
use std::ptr::null;
use std::sync::mpsc::{Sender, channel};

use openrtmp::OpenrtmpStr;
use openrtmp::error::{
    OPENRTMP_ERROR_INVALID_ARGUMENT, OPENRTMP_ERROR_STATE, OPENRTMP_ERROR_STRUCT_SIZE, OPENRTMP_OK,
};
use openrtmp::event::{
    OPENRTMP_EVENT_BACKGROUND, OPENRTMP_EVENT_RESUMED, OPENRTMP_EVENT_SUSPENDED,
};
use openrtmp::host::*;
use openrtmp::server::{
    OpenrtmpCallbacks, OpenrtmpServer, openrtmp_server_free, openrtmp_server_start,
};

use crate::host::{Host, made, ok, owned};

fn suspend_report() -> OpenrtmpSuspendReport {
    OpenrtmpSuspendReport {
        struct_size: size_of::<OpenrtmpSuspendReport>() as u32,
        in_time: 7,
        listeners: 7,
        told: 7,
        closed: 7,
        recordings: 7,
    }
}

fn resume_report() -> OpenrtmpResumeReport {
    OpenrtmpResumeReport {
        struct_size: size_of::<OpenrtmpResumeReport>() as u32,
        in_time: 7,
        alive: 7,
        remade: 7,
        failed: 7,
        connections_lost: 7,
    }
}

#[test]
fn a_suspended_server_refuses_and_is_back_on_its_port() {
    let (tell, told) = channel();
    let host = Host::new(&[], move |_, event| {
        let _ = tell.send(event.clone());
    });
    host.start();
    let until = |kind| {
        let event = told.iter().find(|event| event.kind == kind);
        event.expect("it is told")
    };
    let address = host.address();
    let idle = TcpStream::connect(&address).expect("it listens");
    let mut report = suspend_report();
    // SAFETY: the handle lives, and the reports are as large as they say.
    unsafe { ok(openrtmp_host_background(host.server, u64::MAX)) };
    assert_eq!(until(OPENRTMP_EVENT_BACKGROUND).number, u64::MAX);
    // SAFETY: as above.
    unsafe { ok(openrtmp_host_suspend(host.server, 700, &mut report)) };
    assert_eq!((report.listeners, report.in_time), (1, 1));
    assert_eq!(until(OPENRTMP_EVENT_SUSPENDED).number, report.closed);
    assert!(TcpStream::connect(&address).is_err(), "refused");
    // SAFETY: as above.
    unsafe {
        ok(openrtmp_host_suspend(
            host.server,
            700,
            std::ptr::null_mut(),
        ))
    };

    let mut report = resume_report();
    // SAFETY: as above.
    unsafe { ok(openrtmp_host_resume(host.server, 5000, &mut report)) };
    assert_eq!((report.remade, report.failed, report.in_time), (1, 0, 1));
    assert_eq!(until(OPENRTMP_EVENT_RESUMED).number, 5000);
    TcpStream::connect(&address).expect("the same port");
    // SAFETY: as above.
    unsafe {
        ok(openrtmp_host_foreground(host.server));
        ok(openrtmp_server_check_listeners(host.server, &mut report));
    }
    assert_eq!((report.alive, report.remade, report.failed), (1, 0, 0));
    drop(idle);
    host.end();
}

/// The host's side of a server that suspends itself when it is told to.
struct Obedient {
    server: *mut OpenrtmpServer,
    codes: Sender<(u32, i32)>,
}

unsafe extern "C" fn on_order(user_data: *mut c_void, order: *const OpenrtmpOrder) {
    // SAFETY: it lives until the server is freed, the order during the call.
    let (side, order) = unsafe { (&*user_data.cast::<Obedient>(), &*order) };
    let code = match order.kind {
        // SAFETY: the handle lives as long as its callbacks.
        OPENRTMP_ORDER_SUSPEND_NOW => unsafe {
            openrtmp_host_suspend(side.server, 700, std::ptr::null_mut())
        },
        _ => OPENRTMP_OK,
    };
    let _ = side.codes.send((order.kind, code));
}

#[test]
fn an_order_is_obeyed_inside_its_callback() {
    let (codes, told) = channel();
    let mut side = Box::new(Obedient {
        server: std::ptr::null_mut(),
        codes,
    });
    let table = OpenrtmpCallbacks {
        struct_size: size_of::<OpenrtmpCallbacks>() as u32,
        reserved: 0,
        user_data: std::ptr::from_mut(&mut *side).cast(),
        on_event: None,
        on_access: None,
        on_closed: None,
        on_order: Some(on_order),
    };
    side.server = made(&[("mobile.background", "stop")], &raw const table);
    // SAFETY: the handle lives until it is freed, once.
    unsafe {
        ok(openrtmp_server_start(side.server));
        ok(openrtmp_host_background(side.server, 30_000));
        assert_eq!(told.recv(), Ok((OPENRTMP_ORDER_SUSPEND_NOW, OPENRTMP_OK)));
        ok(openrtmp_server_free(side.server));
    }
}

fn network(kind: u32, addresses: &str) -> OpenrtmpNetwork {
    OpenrtmpNetwork {
        struct_size: size_of::<OpenrtmpNetwork>() as u32,
        kind,
        flags: OPENRTMP_NETWORK_DEFAULT,
        reserved: 0,
        name: OpenrtmpStr::new("wlan0"),
        addresses: OpenrtmpStr::new(addresses),
    }
}

#[test]
fn what_is_told_is_checked() {
    let host = Host::new(&[], |_, _| {});
    // SAFETY: the handle lives.
    let before = unsafe { openrtmp_host_foreground(host.server) };
    assert_eq!(before, OPENRTMP_ERROR_STATE, "not before it runs");
    host.start();
    let told = |networks: &[OpenrtmpNetwork]| {
        // SAFETY: the handle lives, and the list during the call.
        unsafe { openrtmp_host_network(host.server, networks.as_ptr(), networks.len()) }
    };
    let good = network(OPENRTMP_NETWORK_WIFI, "192.168.1.5, fe80::1%wlan0");
    assert_eq!(
        told(&[good, network(OPENRTMP_NETWORK_VPN, "")]),
        OPENRTMP_OK
    );
    assert_eq!(told(&[]), OPENRTMP_OK);
    let mut strange = good;
    strange.flags = 8;
    let mut small = good;
    small.struct_size = 4;
    for (list, code) in [
        ([good, network(99, "")], OPENRTMP_ERROR_INVALID_ARGUMENT),
        (
            [good, network(OPENRTMP_NETWORK_WIFI, "1.2.3")],
            OPENRTMP_ERROR_INVALID_ARGUMENT,
        ),
        ([good, strange], OPENRTMP_ERROR_INVALID_ARGUMENT),
        ([good, small], OPENRTMP_ERROR_STRUCT_SIZE),
    ] {
        assert_eq!(told(&list), code);
    }
    // SAFETY: the handle lives.
    let codes = unsafe {
        [
            openrtmp_host_network(host.server, null(), 1),
            openrtmp_host_permission(host.server, 9, OPENRTMP_PERMISSION_DENIED),
            openrtmp_host_permission(host.server, OPENRTMP_PERMISSION_LOCAL_NETWORK, 9),
            openrtmp_host_power(host.server, 2, 0, OPENRTMP_THERMAL_NOMINAL),
            openrtmp_host_power(host.server, 0, 0, 9),
            openrtmp_host_memory(host.server, 3),
            openrtmp_host_audio(host.server, 2),
            openrtmp_host_service(host.server, 0),
        ]
    };
    assert_eq!(codes, [OPENRTMP_ERROR_INVALID_ARGUMENT; 8]);
    host.end();
}

unsafe extern "C" fn collect(user_data: *mut c_void, info: *const OpenrtmpReachableInfo) {
    // SAFETY: the list outlives the visit, in which the info lives.
    unsafe {
        let (list, info) = (&mut *user_data.cast::<Vec<(String, u32)>>(), &*info);
        list.push((owned(info.url), info.rank));
    }
}

#[test]
fn urls_and_power_are_told() {
    let host = Host::new(&[], |_, _| {});
    host.start();
    let mut found: Vec<(String, u32)> = Vec::new();
    let mut stats = OpenrtmpPowerStats {
        struct_size: size_of::<OpenrtmpPowerStats>() as u32,
        reserved: 0,
        wake_ups: 0,
        system_calls: 0,
        active_us: 0,
    };
    // SAFETY: the handle lives, the list during the call, the struct is as large as it says.
    unsafe {
        let list = std::ptr::from_mut(&mut found).cast();
        let stream = OpenrtmpStr::new("live/cam");
        ok(openrtmp_server_reachable(
            host.server,
            stream,
            0,
            Some(collect),
            list,
        ));
        let wrong = openrtmp_server_reachable(host.server, stream, 8, Some(collect), list);
        assert_eq!(wrong, OPENRTMP_ERROR_INVALID_ARGUMENT);
        ok(openrtmp_server_power_stats(host.server, &mut stats));
    }
    assert_eq!(found, [(format!("rtmp://{}/live/cam", host.address()), 0)]);
    assert!(stats.system_calls > 0 && stats.wake_ups > 0);
    host.end();
}
