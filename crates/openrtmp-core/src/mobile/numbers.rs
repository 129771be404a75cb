//! The numbers by which programs in other languages say what phones tell and are told: those of
//! `openrtmp.h`, which all bindings share.

use super::terms::{
    MemoryLevel, NetworkKind, Permission, PermissionState, ServiceOrder, ServiceState, ThermalState,
};

/// What has a number.
pub trait Numbered: Copy + 'static {
    /// What it is, in words, to say that a number is none.
    const WHAT: &'static str;

    /// The one with this number; `None`: there is none.
    fn from_number(number: u32) -> Option<Self>;

    /// Its number.
    fn number(self) -> u32;
}

macro_rules! numbered {
    ($($type:ident, $what:literal { $($number:literal $variant:ident,)* })*) => {
        $(impl Numbered for $type {
            const WHAT: &'static str = $what;

            fn from_number(number: u32) -> Option<$type> {
                match number {
                    $($number => Some($type::$variant),)*
                    _ => None,
                }
            }

            fn number(self) -> u32 {
                match self {
                    $($type::$variant => $number,)*
                }
            }
        })*
    };
}

numbered! {
    NetworkKind, "kind of network" {
        0 Other,
        1 Wifi,
        2 Ethernet,
        3 Cellular,
        4 Hotspot,
        5 Usb,
        6 Vpn,
    }
    Permission, "permission" {
        1 LocalNetwork,
        2 Notifications,
    }
    PermissionState, "state of a permission" {
        0 Unknown,
        1 Granted,
        2 Denied,
    }
    ThermalState, "thermal state" {
        0 Nominal,
        1 Fair,
        2 Serious,
        3 Critical,
    }
    MemoryLevel, "level of memory" {
        0 Normal,
        1 Moderate,
        2 Critical,
    }
    ServiceState, "state of a service" {
        1 Started,
        2 Refused,
        3 TimedOut,
        4 Stopped,
    }
    ServiceOrder, "order about a service" {
        1 Start,
        2 Update,
        3 Stop,
    }
}
