//! The life of a phone: what its system tells, and what the host is to do.

use std::ffi::c_void;
use std::net::IpAddr;
use std::time::Duration;

use openrtmp_core::{DeviceNetwork, Numbered, Order, Power, Reachable, ServiceOrder};

use crate::boundary;
use crate::convert::{
    OpenrtmpStr, Versioned, borrow, fill, fillable, must_be_zero, text, versioned,
};
use crate::error::Failure;
use crate::server::{OpenrtmpServer, required};

/// Something is streamed: hold the locks that keep processor (cpu) and Wi-Fi (wifi) awake;
/// at 0 let them go.
pub const OPENRTMP_ORDER_KEEP_AWAKE: u32 = 1;
/// About the service that keeps the program running (Android). action:
/// OPENRTMP_SERVICE_ORDER_*, streams and connections: to be shown.
pub const OPENRTMP_ORDER_SERVICE: u32 = 2;
/// on: ask the system for time in the background; 0: give it back.
pub const OPENRTMP_ORDER_TASK: u32 = 3;
/// on: tell the local network of the server (Bonjour, NSD), port and txt; 0: stop that.
pub const OPENRTMP_ORDER_ADVERTISE: u32 = 4;
/// The user has not been asked for a permission that is needed. permission. When to ask is
/// the program's to say; nothing else is asked for before openrtmp_host_permission() tells
/// the answer.
pub const OPENRTMP_ORDER_ASK_PERMISSION: u32 = 5;
/// Call openrtmp_host_suspend() now.
pub const OPENRTMP_ORDER_SUSPEND_NOW: u32 = 6;

/// Start it, while the program is in front.
pub const OPENRTMP_SERVICE_ORDER_START: u32 = 1;
/// Show other numbers.
pub const OPENRTMP_SERVICE_ORDER_UPDATE: u32 = 2;
/// It is not needed any more.
pub const OPENRTMP_SERVICE_ORDER_STOP: u32 = 3;

/// The service runs.
pub const OPENRTMP_SERVICE_STARTED: u32 = 1;
/// The system did not let it start.
pub const OPENRTMP_SERVICE_REFUSED: u32 = 2;
/// The system's time for it is over.
pub const OPENRTMP_SERVICE_TIMED_OUT: u32 = 3;
/// The user ended it.
pub const OPENRTMP_SERVICE_STOPPED: u32 = 4;

/// Anything else, and what nothing is known of.
pub const OPENRTMP_NETWORK_OTHER: u32 = 0;
/// A wireless network that this device has joined.
pub const OPENRTMP_NETWORK_WIFI: u32 = 1;
/// A cable.
pub const OPENRTMP_NETWORK_ETHERNET: u32 = 2;
/// A mobile operator's network.
pub const OPENRTMP_NETWORK_CELLULAR: u32 = 3;
/// A wireless network that this device opened for others.
pub const OPENRTMP_NETWORK_HOTSPOT: u32 = 4;
/// A cable to a computer or another phone (tethering).
pub const OPENRTMP_NETWORK_USB: u32 = 5;
/// A tunnel.
pub const OPENRTMP_NETWORK_VPN: u32 = 6;

/// What is sent there costs money, or counts.
pub const OPENRTMP_NETWORK_METERED: u32 = 1;
/// The user asked programs to send little there.
pub const OPENRTMP_NETWORK_CONSTRAINED: u32 = 2;
/// Where the system sends what has no better way.
pub const OPENRTMP_NETWORK_DEFAULT: u32 = 4;

/// Devices of the local network.
pub const OPENRTMP_PERMISSION_LOCAL_NETWORK: u32 = 1;
/// Showing notices.
pub const OPENRTMP_PERMISSION_NOTIFICATIONS: u32 = 2;

/// Nobody was asked yet, or the system does not tell.
pub const OPENRTMP_PERMISSION_UNKNOWN: u32 = 0;
/// The user said yes.
pub const OPENRTMP_PERMISSION_GRANTED: u32 = 1;
/// The user said no.
pub const OPENRTMP_PERMISSION_DENIED: u32 = 2;

/// Not hot.
pub const OPENRTMP_THERMAL_NOMINAL: u32 = 0;
/// A little.
pub const OPENRTMP_THERMAL_FAIR: u32 = 1;
/// The system slows down: treated as little power.
pub const OPENRTMP_THERMAL_SERIOUS: u32 = 2;
/// The system is about to stop things: the same.
pub const OPENRTMP_THERMAL_CRITICAL: u32 = 3;

/// There is memory.
pub const OPENRTMP_MEMORY_NORMAL: u32 = 0;
/// Of each stream one GOP is kept.
pub const OPENRTMP_MEMORY_MODERATE: u32 = 1;
/// None is, queues are half as long, and nobody new is let in.
pub const OPENRTMP_MEMORY_CRITICAL: u32 = 2;

/// URLs by mobile operators' networks too.
pub const OPENRTMP_REACHABLE_CELLULAR: u32 = 1;
/// Those by tunnels.
pub const OPENRTMP_REACHABLE_VPN: u32 = 2;
/// This device's own.
pub const OPENRTMP_REACHABLE_LOOPBACK: u32 = 4;

/// What the host of a server on a phone is to do. Which members mean something stands at
/// each kind; the others are 0 or empty. Lives as long as the callback.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpOrder {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// OPENRTMP_ORDER_*.
    pub kind: u32,
    /// 0 or 1.
    pub on: u32,
    /// 0 or 1.
    pub cpu: u32,
    /// 0 or 1.
    pub wifi: u32,
    /// OPENRTMP_SERVICE_ORDER_*.
    pub action: u32,
    /// OPENRTMP_PERMISSION_LOCAL_NETWORK and so on.
    pub permission: u32,
    /// Of the first listener that others reach.
    pub port: u32,
    /// Streams that are live.
    pub streams: u64,
    /// Connections.
    pub connections: u64,
    /// What to tell besides, such as "v=1 app=live tls=0".
    pub txt: OpenrtmpStr,
}

/// A network that the system says this device is connected to. Filled by the caller.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpNetwork {
    /// sizeof(openrtmp_network).
    pub struct_size: u32,
    /// OPENRTMP_NETWORK_WIFI and so on.
    pub kind: u32,
    /// OPENRTMP_NETWORK_METERED, _CONSTRAINED and _DEFAULT, added.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// Its interface, such as "wlan0".
    pub name: OpenrtmpStr,
    /// This device's addresses there, with commas between them; may be empty.
    pub addresses: OpenrtmpStr,
}

// SAFETY: integers and pointers without padding.
unsafe impl Versioned for OpenrtmpNetwork {
    const FIRST: usize = size_of::<OpenrtmpNetwork>();
}

/// What openrtmp_host_suspend() did.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpSuspendReport {
    /// sizeof(openrtmp_suspend_report).
    pub struct_size: u32,
    /// 1 if all was done in time.
    pub in_time: u32,
    /// Listening sockets that were closed.
    pub listeners: u64,
    /// Connections that were told.
    pub told: u64,
    /// Connections that are closed.
    pub closed: u64,
    /// Recorders whose files are on the disk as far as they were written.
    pub recordings: u64,
}

// SAFETY: integers without padding.
unsafe impl Versioned for OpenrtmpSuspendReport {
    const FIRST: usize = size_of::<OpenrtmpSuspendReport>();
}

/// What openrtmp_host_resume() or openrtmp_server_check_listeners() found and did.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpResumeReport {
    /// sizeof(openrtmp_resume_report).
    pub struct_size: u32,
    /// 1 if all was done in time, and nothing came in between.
    pub in_time: u32,
    /// Listening sockets that were there still.
    pub alive: u64,
    /// Those that were bound again, on the same ports.
    pub remade: u64,
    /// Those that could not be had yet; they are tried again.
    pub failed: u64,
    /// Connections whose sockets the system had taken.
    pub connections_lost: u64,
}

// SAFETY: integers without padding.
unsafe impl Versioned for OpenrtmpResumeReport {
    const FIRST: usize = size_of::<OpenrtmpResumeReport>();
}

/// A URL under which others reach a server. Lives as long as the visit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpReachableInfo {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// OPENRTMP_NETWORK_WIFI and so on.
    pub kind: u32,
    /// 0 for the one that others are most likely to reach, and so on.
    pub rank: u32,
    /// 1 if what is sent there costs money, or counts.
    pub metered: u32,
    /// Such as "rtmp://192.168.1.5:1935/live/cam".
    pub url: OpenrtmpStr,
    /// The interface that has its address; empty if that is not known.
    pub interface_name: OpenrtmpStr,
}

/// What a server costs in power, since its start.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpPowerStats {
    /// sizeof(openrtmp_power_stats).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// How often a worker thread went on after waiting.
    pub wake_ups: u64,
    /// Calls of the system for sockets.
    pub system_calls: u64,
    /// Time that worker threads did not wait, of all together.
    pub active_us: u64,
}

// SAFETY: integers without padding.
unsafe impl Versioned for OpenrtmpPowerStats {
    const FIRST: usize = size_of::<OpenrtmpPowerStats>();
}

impl OpenrtmpOrder {
    /// An order for C; `txt` lends the text that it borrows.
    pub(crate) fn with<T>(order: &Order, call: impl FnOnce(&OpenrtmpOrder) -> T) -> T {
        let mut told = OpenrtmpOrder {
            struct_size: size_of::<OpenrtmpOrder>() as u32,
            kind: 0,
            on: 0,
            cpu: 0,
            wifi: 0,
            action: 0,
            permission: 0,
            port: 0,
            streams: 0,
            connections: 0,
            txt: OpenrtmpStr::new(""),
        };
        match order {
            Order::KeepAwake { cpu, wifi } => {
                told.kind = OPENRTMP_ORDER_KEEP_AWAKE;
                (told.cpu, told.wifi) = ((*cpu).into(), (*wifi).into());
                told.on = (*cpu || *wifi).into();
            }
            Order::Service {
                action,
                streams,
                connections,
            } => {
                told.kind = OPENRTMP_ORDER_SERVICE;
                told.action = action.number();
                told.on = (*action != ServiceOrder::Stop).into();
                (told.streams, told.connections) = (*streams as u64, *connections as u64);
            }
            Order::Task { begin } => {
                told.kind = OPENRTMP_ORDER_TASK;
                told.on = (*begin).into();
            }
            Order::Advertise { port, txt } => {
                told.kind = OPENRTMP_ORDER_ADVERTISE;
                told.on = port.is_some().into();
                told.port = port.unwrap_or(0).into();
                told.txt = OpenrtmpStr::new(txt);
            }
            Order::AskPermission { permission } => {
                told.kind = OPENRTMP_ORDER_ASK_PERMISSION;
                told.permission = permission.number();
            }
            Order::SuspendNow => told.kind = OPENRTMP_ORDER_SUSPEND_NOW,
            // One of a newer core has no kind.
            _ => {}
        }
        call(&told)
    }
}

/// What a program gave as a number.
fn numbered<T: Numbered>(number: u32) -> Result<T, Failure> {
    T::from_number(number).ok_or_else(|| unknown(number, T::WHAT))
}

fn unknown(number: u32, what: &str) -> Failure {
    Failure::argument(format!("{number} is no {what}"))
}

fn flag(number: u32) -> Result<bool, Failure> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Failure::argument(format!("{other} is neither 0 nor 1"))),
    }
}

/// Networks of a device: more are not one.
const MAX_NETWORKS: usize = 256;

/// A list of structs that are as large as the first says.
///
/// # Safety
/// `networks` is NULL or points to `count` structs of the same `struct_size`.
unsafe fn networks_of(
    networks: *const OpenrtmpNetwork,
    count: usize,
) -> Result<Vec<DeviceNetwork>, Failure> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > MAX_NETWORKS {
        return Err(Failure::argument(format!(
            "{count} networks are over {MAX_NETWORKS}"
        )));
    }
    let mut all = Vec::with_capacity(count);
    let mut place = networks;
    for _ in 0..count {
        // SAFETY: the caller's promise.
        let (network, size) = unsafe { (versioned(place)?, place.cast::<u32>().read() as usize) };
        // SAFETY: as above; the text lives as long as the call.
        all.push(unsafe { network_of(&network)? });
        // SAFETY: the next of them, or one past the last.
        place = unsafe { place.byte_add(size) };
    }
    Ok(all)
}

/// # Safety
/// The texts live as long as the call.
unsafe fn network_of(told: &OpenrtmpNetwork) -> Result<DeviceNetwork, Failure> {
    must_be_zero(told.reserved)?;
    let known = OPENRTMP_NETWORK_METERED | OPENRTMP_NETWORK_CONSTRAINED | OPENRTMP_NETWORK_DEFAULT;
    if told.flags & !known != 0 {
        return Err(unknown(told.flags, "sum of OPENRTMP_NETWORK_* flags"));
    }
    // SAFETY: the caller's promise.
    let (name, addresses) = unsafe { (text(told.name)?, text(told.addresses)?) };
    let mut network = DeviceNetwork::new(name, numbered(told.kind)?);
    let is_set = |flag| told.flags & flag != 0;
    network.metered = is_set(OPENRTMP_NETWORK_METERED);
    network.constrained = is_set(OPENRTMP_NETWORK_CONSTRAINED);
    network.is_default = is_set(OPENRTMP_NETWORK_DEFAULT);
    let parts = addresses.split(',').map(str::trim);
    for address in parts.filter(|address| !address.is_empty()) {
        // Systems tell link-local addresses with the zone that they are in.
        let bare = address.split('%').next().unwrap_or(address);
        let parsed: Result<IpAddr, _> = bare.parse();
        let wrong = |_| Failure::argument(format!("{address:?} is no IP address"));
        network.addresses.push(parsed.map_err(wrong)?);
    }
    Ok(network)
}

/// Tells that the program goes to the background, where the system lets it run for
/// remaining_ms; UINT64_MAX: it did not say. Writes to players are collected from now on,
/// and "mobile.background" says what else happens. OPENRTMP_EVENT_BACKGROUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_background(
    server: *mut OpenrtmpServer,
    remaining_ms: u64,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let is_known = remaining_ms != u64::MAX;
        let remaining = is_known.then(|| Duration::from_millis(remaining_ms));
        server.host().background(remaining);
        Ok(())
    })
}

/// Tells how much of that time is left. OPENRTMP_EVENT_REMAINING_TIME at 20, 10 and 5 s,
/// OPENRTMP_ORDER_SUSPEND_NOW once it is "mobile.suspend_margin".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_remaining_time(
    server: *mut OpenrtmpServer,
    remaining_ms: u64,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        let left = Duration::from_millis(remaining_ms);
        server.host().remaining_time(left);
        Ok(())
    })
}

/// Tells that the program is about to be frozen: listening sockets are closed first, so
/// that nobody connects into nothing; peers are told, connections closed, recordings
/// synced. Streams stay, and taps on them, for "mobile.network_grace" or
/// "streams.republish_grace", whichever is longer; that time stands still until
/// openrtmp_host_resume(). Waits at most within_ms, of which 700 are enough. A server that
/// is suspended already stays so. The report may be NULL. May be called in callbacks.
/// Delivery over HTTP is not suspended: stop a server that delivers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_suspend(
    server: *mut OpenrtmpServer,
    within_ms: u64,
    out_report: *mut OpenrtmpSuspendReport,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        if !out_report.is_null() {
            // SAFETY: the contract of the header.
            unsafe { fillable(out_report)? };
        }
        let within = Duration::from_millis(within_ms.min(MAX_WITHIN_MS));
        let done = server.running()?.host().suspend(within);
        if out_report.is_null() {
            return Ok(());
        }
        let report = OpenrtmpSuspendReport {
            struct_size: 0,
            in_time: done.in_time.into(),
            listeners: done.listeners as u64,
            told: done.told as u64,
            closed: done.closed as u64,
            recordings: done.recordings as u64,
        };
        // SAFETY: the contract of the header.
        unsafe { fill(out_report, &report) }
    })
}

/// Nothing waits longer.
const MAX_WITHIN_MS: u64 = 10_000;

/// Tells that the program runs again, after it was away for away_ms by the clock on the
/// wall: after openrtmp_host_suspend(), and, since systems suspend without a word, whenever
/// it comes to the front. Listeners are bound again on the same ports, or looked after;
/// connections are closed that the system took the sockets of; addresses are listed anew.
/// Waits at most 2 s; what failed is tried on, and events tell of it. The report may be
/// NULL. May be called in callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_resume(
    server: *mut OpenrtmpServer,
    away_ms: u64,
    out_report: *mut OpenrtmpResumeReport,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        if !out_report.is_null() {
            // SAFETY: the contract of the header.
            unsafe { fillable(out_report)? };
        }
        let away = Duration::from_millis(away_ms);
        let done = server.running()?.host().resume(away);
        if out_report.is_null() {
            return Ok(());
        }
        let report = OpenrtmpResumeReport {
            struct_size: 0,
            in_time: done.in_time.into(),
            alive: done.alive as u64,
            remade: done.remade as u64,
            failed: done.failed as u64,
            connections_lost: done.connections_lost as u64,
        };
        // SAFETY: the contract of the header.
        unsafe { fill(out_report, &report) }
    })
}

/// Tells that the program is in front.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_foreground(server: *mut OpenrtmpServer) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? }.running()?;
        server.host().foreground();
        Ok(())
    })
}

/// Tells the networks that the system says there are, all of them each time; NULL and 0:
/// none. 200 ms after the last word about it addresses are listed anew, listeners looked
/// after, and events told of what is different. All structs have the same struct_size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_network(
    server: *mut OpenrtmpServer,
    networks: *const OpenrtmpNetwork,
    count: usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        // SAFETY: the contract of the header.
        let networks = unsafe { networks_of(networks, count)? };
        server.running()?.host().networks(networks);
        Ok(())
    })
}

/// Tells what the user says about a permission (OPENRTMP_PERMISSION_LOCAL_NETWORK and so
/// on; OPENRTMP_PERMISSION_UNKNOWN and so on). One that was refused is a reason not to be
/// ready (openrtmp_server_health()); of one that the user was not asked for yet
/// OPENRTMP_ORDER_ASK_PERMISSION reminds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_permission(
    server: *mut OpenrtmpServer,
    permission: u32,
    state: u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        let permission = numbered(permission)?;
        let state = numbered(state)?;
        server.running()?.host().permission(permission, state);
        Ok(())
    })
}

/// Tells how the device is off for power: low_power and device_idle are 0 or 1, thermal is
/// OPENRTMP_THERMAL_*. With little power, or much heat, writes to players are collected, and
/// what publishers send is left with the system, for up to 350 ms.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_power(
    server: *mut OpenrtmpServer,
    low_power: u32,
    device_idle: u32,
    thermal: u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        let thermal = numbered(thermal)?;
        let power = Power::new(flag(low_power)?, flag(device_idle)?, thermal);
        server.running()?.host().power(power);
        Ok(())
    })
}

/// Tells how the device is off for memory (OPENRTMP_MEMORY_*).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_memory(server: *mut OpenrtmpServer, level: u32) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        let level = numbered(level)?;
        server.running()?.host().memory(level);
        Ok(())
    })
}

/// Tells that the program plays audible sound (1), or no longer (0): with
/// "mobile.background" = "audio" the server goes on without video in the background
/// meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_audio(server: *mut OpenrtmpServer, active: u32) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        let active = flag(active)?;
        server.running()?.host().audio(active);
        Ok(())
    })
}

/// Tells what became of the service that OPENRTMP_ORDER_SERVICE asked for
/// (OPENRTMP_SERVICE_STARTED and so on).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_host_service(server: *mut OpenrtmpServer, state: u32) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        let state = numbered(state)?;
        server.running()?.host().service(state);
        Ok(())
    })
}

/// Asks the system whether the listening sockets are there still, without any traffic, and
/// binds those again that are not. Waits at most 1 s. The report may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_check_listeners(
    server: *mut OpenrtmpServer,
    out_report: *mut OpenrtmpResumeReport,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        if !out_report.is_null() {
            // SAFETY: the contract of the header.
            unsafe { fillable(out_report)? };
        }
        let server = server.running()?;
        let all = server.addresses().len();
        let lost = server.check_listeners()?.len();
        if out_report.is_null() {
            return Ok(());
        }
        let failed = server.lost_listeners().len();
        let report = OpenrtmpResumeReport {
            struct_size: 0,
            in_time: 1,
            alive: all.saturating_sub(lost) as u64,
            remade: lost.saturating_sub(failed) as u64,
            failed: failed as u64,
            connections_lost: 0,
        };
        // SAFETY: the contract of the header.
        unsafe { fill(out_report, &report) }
    })
}

/// Visits the URLs under which other devices reach a stream ("app/name", or empty for the
/// server itself), the best first. flags: OPENRTMP_REACHABLE_* added, for those that are
/// left out otherwise. Addresses are listed each time: to be called again every few
/// seconds while the URLs are shown, since no system tells of a hotspot that it opens.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_reachable(
    server: *const OpenrtmpServer,
    stream: OpenrtmpStr,
    flags: u32,
    visit: Option<unsafe extern "C" fn(user_data: *mut c_void, url: *const OpenrtmpReachableInfo)>,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, stream) = unsafe { (borrow(server)?, text(stream)?) };
        let visit = required(visit)?;
        let known =
            OPENRTMP_REACHABLE_CELLULAR | OPENRTMP_REACHABLE_VPN | OPENRTMP_REACHABLE_LOOPBACK;
        if flags & !known != 0 {
            return Err(unknown(flags, "sum of OPENRTMP_REACHABLE_*"));
        }
        let mut wanted = Reachable::default();
        wanted.cellular = flags & OPENRTMP_REACHABLE_CELLULAR != 0;
        wanted.vpn = flags & OPENRTMP_REACHABLE_VPN != 0;
        wanted.loopback = flags & OPENRTMP_REACHABLE_LOOPBACK != 0;
        for found in server.running()?.reachable(stream, wanted) {
            let info = OpenrtmpReachableInfo {
                struct_size: size_of::<OpenrtmpReachableInfo>() as u32,
                kind: found.kind.number(),
                rank: found.rank as u32,
                metered: found.metered.into(),
                url: OpenrtmpStr::new(&found.url),
                interface_name: OpenrtmpStr::new(&found.interface),
            };
            // SAFETY: the host's function; the struct outlives the call.
            unsafe { visit(user_data, &info) };
        }
        Ok(())
    })
}

/// Tells what the server costs in power. OPENRTMP_ERROR_TIMEOUT if a worker thread is busy
/// for more than 1 s.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_power_stats(
    server: *const OpenrtmpServer,
    out_stats: *mut OpenrtmpPowerStats,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe {
            fillable(out_stats)?;
            borrow(server)?.running()?
        };
        let stats = server.power_stats()?;
        let filled = OpenrtmpPowerStats {
            struct_size: 0,
            reserved: 0,
            wake_ups: stats.wake_ups,
            system_calls: stats.system_calls,
            active_us: u64::try_from(stats.active.as_micros()).unwrap_or(u64::MAX),
        };
        // SAFETY: the contract of the header.
        unsafe { fill(out_stats, &filled) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_all_bindings_have() {
        use openrtmp_core::{
            MemoryLevel, NetworkKind, Permission, PermissionState, ServiceState, ThermalState,
        };

        fn same<T: Numbered + PartialEq + std::fmt::Debug>(pairs: &[(u32, T)]) {
            for (number, value) in pairs {
                assert_eq!(
                    (value.number(), T::from_number(*number)),
                    (*number, Some(*value))
                );
            }
            let beyond = pairs.iter().map(|(number, _)| number + 1).max();
            assert_eq!(beyond.and_then(T::from_number), None);
        }
        same(&[
            (OPENRTMP_NETWORK_OTHER, NetworkKind::Other),
            (OPENRTMP_NETWORK_WIFI, NetworkKind::Wifi),
            (OPENRTMP_NETWORK_ETHERNET, NetworkKind::Ethernet),
            (OPENRTMP_NETWORK_CELLULAR, NetworkKind::Cellular),
            (OPENRTMP_NETWORK_HOTSPOT, NetworkKind::Hotspot),
            (OPENRTMP_NETWORK_USB, NetworkKind::Usb),
            (OPENRTMP_NETWORK_VPN, NetworkKind::Vpn),
        ]);
        same(&[
            (OPENRTMP_PERMISSION_LOCAL_NETWORK, Permission::LocalNetwork),
            (OPENRTMP_PERMISSION_NOTIFICATIONS, Permission::Notifications),
        ]);
        same(&[
            (OPENRTMP_PERMISSION_UNKNOWN, PermissionState::Unknown),
            (OPENRTMP_PERMISSION_GRANTED, PermissionState::Granted),
            (OPENRTMP_PERMISSION_DENIED, PermissionState::Denied),
        ]);
        same(&[
            (OPENRTMP_THERMAL_NOMINAL, ThermalState::Nominal),
            (OPENRTMP_THERMAL_FAIR, ThermalState::Fair),
            (OPENRTMP_THERMAL_SERIOUS, ThermalState::Serious),
            (OPENRTMP_THERMAL_CRITICAL, ThermalState::Critical),
        ]);
        same(&[
            (OPENRTMP_MEMORY_NORMAL, MemoryLevel::Normal),
            (OPENRTMP_MEMORY_MODERATE, MemoryLevel::Moderate),
            (OPENRTMP_MEMORY_CRITICAL, MemoryLevel::Critical),
        ]);
        same(&[
            (OPENRTMP_SERVICE_STARTED, ServiceState::Started),
            (OPENRTMP_SERVICE_REFUSED, ServiceState::Refused),
            (OPENRTMP_SERVICE_TIMED_OUT, ServiceState::TimedOut),
            (OPENRTMP_SERVICE_STOPPED, ServiceState::Stopped),
        ]);
        same(&[
            (OPENRTMP_SERVICE_ORDER_START, ServiceOrder::Start),
            (OPENRTMP_SERVICE_ORDER_UPDATE, ServiceOrder::Update),
            (OPENRTMP_SERVICE_ORDER_STOP, ServiceOrder::Stop),
        ]);
    }
}
