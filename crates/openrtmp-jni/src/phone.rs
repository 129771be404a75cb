//! Methods for the life of a phone: what the program tells a server of its system. The
//! server's orders come back through `ServerCallbacks.order`.

use std::net::IpAddr;
use std::time::Duration;

use jni::objects::{JClass, JObjectArray, JString};
use jni::sys::{jboolean, jint, jlong};
use jni::{Env, NativeMethod, native_method};
use openrtmp_core::{DeviceNetwork, NetworkKind, Numbered, Power, Reachable};
use serde_json::json;

use crate::failure::{Failure, Throw};
use crate::server::{Done, Text, duration, json_text, running, text};

pub(crate) const METHODS: &[NativeMethod] = &[
    native_method! {
        static fn host_background(server: jlong, remaining_ms: jlong),
        fn = background, error_policy = Throw
    },
    native_method! {
        static fn host_remaining_time(server: jlong, remaining_ms: jlong),
        fn = remaining_time, error_policy = Throw
    },
    native_method! {
        static fn host_suspend(server: jlong, within_ms: jlong) -> java.lang.String,
        fn = suspend, error_policy = Throw
    },
    native_method! {
        static fn host_resume(server: jlong, away_ms: jlong) -> java.lang.String,
        fn = resume, error_policy = Throw
    },
    native_method! {
        static fn host_foreground(server: jlong), fn = foreground, error_policy = Throw
    },
    native_method! {
        static fn host_network(server: jlong, words: java.lang.String[]),
        fn = networks, error_policy = Throw
    },
    native_method! {
        static fn host_permission(server: jlong, which: jint, state: jint),
        fn = permission, error_policy = Throw
    },
    native_method! {
        static fn host_power(
            server: jlong, low_power: jboolean, device_idle: jboolean, thermal: jint
        ), fn = power, error_policy = Throw
    },
    native_method! {
        static fn host_memory(server: jlong, level: jint), fn = memory, error_policy = Throw
    },
    native_method! {
        static fn host_audio(server: jlong, active: jboolean), fn = audio, error_policy = Throw
    },
    native_method! {
        static fn host_service(server: jlong, state: jint), fn = service, error_policy = Throw
    },
    native_method! {
        static fn check_listeners(server: jlong) -> java.lang.String,
        fn = check_listeners, error_policy = Throw
    },
    native_method! {
        static fn reachable(
            server: jlong, stream: java.lang.String, cellular: jboolean, vpn: jboolean,
            loopback: jboolean
        ) -> java.lang.String, fn = reachable, error_policy = Throw
    },
    native_method! {
        static fn power_stats(server: jlong) -> java.lang.String,
        fn = power_stats, error_policy = Throw
    },
];

/// Nothing waits longer.
const MAX_WITHIN: Duration = Duration::from_secs(10);

/// Words that tell of a network: interface, kind, flags, addresses.
const WORDS: usize = 4;

/// Networks of a device: more are not one.
const MAX_NETWORKS: usize = 256;

/// A negative time: the system did not say.
fn background<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong, remaining_ms: jlong) -> Done {
    let remaining = u64::try_from(remaining_ms).ok().map(Duration::from_millis);
    running(server)?.host().background(remaining);
    Ok(())
}

fn remaining_time<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong, remaining_ms: jlong) -> Done {
    let left = duration(remaining_ms)?;
    running(server)?.host().remaining_time(left);
    Ok(())
}

fn suspend<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong, within_ms: jlong) -> Text<'l> {
    let within = duration(within_ms)?.min(MAX_WITHIN);
    let report = running(server)?.host().suspend(within);
    json_text(env, &json!(report))
}

fn resume<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong, away_ms: jlong) -> Text<'l> {
    let away = duration(away_ms)?;
    let report = running(server)?.host().resume(away);
    json_text(env, &json!(report))
}

fn foreground<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Done {
    running(server)?.host().foreground();
    Ok(())
}

fn networks<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    words: JObjectArray<'l, JString<'l>>,
) -> Done {
    let count = words.len(env)? / WORDS;
    if count > MAX_NETWORKS {
        return Err(Failure::argument(format!(
            "{count} networks are over {MAX_NETWORKS}"
        )));
    }
    let mut told = Vec::with_capacity(count);
    for network in 0..count {
        let mut word = |place: usize| -> Result<String, Failure> {
            let word = words.get_element(env, network * WORDS + place)?;
            text(env, &word)
        };
        let (name, kind, flags, addresses) = (word(0)?, word(1)?, word(2)?, word(3)?);
        let mut network = DeviceNetwork::new(name, kind_of(&kind)?);
        let has = |flag: &str| flags.split(',').any(|told| told == flag);
        network.metered = has("metered");
        network.constrained = has("constrained");
        network.is_default = has("default");
        network.addresses = addresses_of(&addresses)?;
        told.push(network);
    }
    running(server)?.host().networks(told);
    Ok(())
}

fn kind_of(name: &str) -> Result<NetworkKind, Failure> {
    Ok(match name {
        "wifi" => NetworkKind::Wifi,
        "ethernet" => NetworkKind::Ethernet,
        "cellular" => NetworkKind::Cellular,
        "hotspot" => NetworkKind::Hotspot,
        "usb" => NetworkKind::Usb,
        "vpn" => NetworkKind::Vpn,
        "other" => NetworkKind::Other,
        other => return Err(Failure::argument(format!("no network is {other}"))),
    })
}

/// Addresses with commas between them; systems tell link-local ones with their zone.
fn addresses_of(list: &str) -> Result<Vec<IpAddr>, Failure> {
    let parts = list.split(',').map(str::trim);
    let addresses = parts.filter(|address| !address.is_empty()).map(|address| {
        let bare = address.split('%').next().unwrap_or(address);
        let wrong = |_| Failure::argument(format!("{address:?} is no IP address"));
        bare.parse().map_err(wrong)
    });
    addresses.collect()
}

fn permission<'l>(
    _: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    permission: jint,
    state: jint,
) -> Done {
    let permission = numbered(permission)?;
    let state = numbered(state)?;
    running(server)?.host().permission(permission, state);
    Ok(())
}

fn power<'l>(
    _: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    low_power: jboolean,
    device_idle: jboolean,
    thermal: jint,
) -> Done {
    let thermal = numbered(thermal)?;
    let power = Power::new(low_power, device_idle, thermal);
    running(server)?.host().power(power);
    Ok(())
}

fn memory<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong, level: jint) -> Done {
    let level = numbered(level)?;
    running(server)?.host().memory(level);
    Ok(())
}

fn audio<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong, active: jboolean) -> Done {
    running(server)?.host().audio(active);
    Ok(())
}

fn service<'l>(_: &mut Env<'l>, _: JClass<'l>, server: jlong, state: jint) -> Done {
    let state = numbered(state)?;
    running(server)?.host().service(state);
    Ok(())
}

/// What Kotlin gave as a number: that of the header.
fn numbered<T: Numbered>(number: jint) -> Result<T, Failure> {
    let found = u32::try_from(number).ok().and_then(T::from_number);
    found.ok_or_else(|| Failure::argument(format!("{number} is no {}", T::WHAT)))
}

/// The addresses that were lost.
fn check_listeners<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let lost = running(server)?.check_listeners()?;
    json_text(env, &json!(lost))
}

fn reachable<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    stream: JString<'l>,
    cellular: jboolean,
    vpn: jboolean,
    loopback: jboolean,
) -> Text<'l> {
    let stream = text(env, &stream)?;
    let mut wanted = Reachable::default();
    (wanted.cellular, wanted.vpn, wanted.loopback) = (cellular, vpn, loopback);
    let urls = running(server)?.reachable(&stream, wanted);
    json_text(env, &json!(urls))
}

fn power_stats<'l>(env: &mut Env<'l>, _: JClass<'l>, server: jlong) -> Text<'l> {
    let stats = running(server)?.power_stats()?;
    let told = json!({
        "wake_ups": stats.wake_ups,
        "system_calls": stats.system_calls,
        "active_us": u64::try_from(stats.active.as_micros()).unwrap_or(u64::MAX),
    });
    json_text(env, &told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_their_zones() {
        let read = addresses_of("192.168.1.5, fe80::1%wlan0,").unwrap();
        let meant: [IpAddr; 2] = ["192.168.1.5".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(read, meant);
        assert!(addresses_of("wlan0").is_err());
        assert!(kind_of("carrier pigeons").is_err());
    }
}
