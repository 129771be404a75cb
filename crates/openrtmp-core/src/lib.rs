//! The OpenRTMP server, to be embedded in a program.
//!
//! [`Server::start`] takes a [`Config`], binds, and returns a handle; the server
//! then runs on threads of its own until [`Server::stop`].
//!
//! ```
//! use std::time::Duration;
//! use openrtmp_core::{Config, Server};
//!
//! let mut config = Config::desktop();
//! config.listen = vec!["127.0.0.1:0".parse()?];
//! let server = Server::builder(config)
//!     .on_event(|event| println!("{event:?}"))
//!     .on_access(|request| {
//!         request.accept();
//!     })
//!     .start()?;
//! println!("publish to rtmp://{}/live/cam", server.addresses()[0]);
//! let summary = server.stop(Duration::from_secs(1));
//! assert_eq!(summary.connections, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where one message travels
//!
//! A socket becomes readable; its [worker](self#threads) reads into a buffer that
//! all its connections share; the protocol crate's chunk reader appends to the
//! message being assembled, which is the only copy; the whole message is frozen
//! and comes out of the session as media; the stream classifies and stamps it,
//! keeps it for those who will join, and makes the immutable packet with its
//! chunk headers; each subscriber's queue takes a reference; at the end of the
//! turn each connection writes what waits with one vectored write.
//!
//! # Threads
//!
//! A few workers, each with its own poller and connections; a stream lives on
//! one of them. One thread for event callbacks, one for access callbacks, one for
//! recording, each only if asked for. Host code never runs on a worker, but for two things
//! that must not wait: the waker of a tap, and the logger of the `log` crate, which is also
//! called with locks held: it must not call the server.

#![deny(missing_debug_implementations)]

mod access;
mod addresses;
mod assembly;
mod budget;
pub mod client;
mod close_reason;
mod config;
mod credit;
mod delay;
mod dial;
mod dispatch;
mod drain;
mod errand;
mod error;
mod error_code;
mod events;
mod id;
mod inbox;
mod interfaces;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod limit;
mod listening;
mod lists;
mod locations;
mod log_limit;
#[cfg(all(test, loom))]
mod loom_models;
mod metrics;
mod mobile;
mod newcomers;
mod outgoing;
mod placement;
#[doc(hidden)]
pub mod platform;
mod prefetch;
#[doc(hidden)]
pub mod private_file;
mod prometheus;
mod publisher;
mod rate;
mod reconfigure;
mod record;
#[doc(hidden)]
pub mod regular_file;
mod relay;
mod secret;
mod server;
mod shared;
#[cfg(test)]
mod sim_tests;
mod steps;
mod stream;
mod sync;
mod system_log;
mod tap;
mod threads;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod visit;
mod worker;

pub use access::{
    AccessAction, AccessRequest, KeyFileError, KeyKind, KeyRecord, KeyRing, PeerCertificate,
    PlayGranted, PlayQuestion, PlayRefused, PlayRequest, Protocol, Proxies, WrongKey,
};
pub use addresses::counted_as;
pub use config::{
    AccessConfig, AcmeChallenge, AcmeConfig, AddressRule, Applies, Authenticate, BackgroundPolicy,
    CallbackConfig, CallbackFallback, CallbackFormat, CertificateConfig, ClientAuth,
    ClientAuthConfig, Config, ConfigError, ControlConfig, ControlListen, CorsConfig, DEFAULT_PORT,
    DashConfig, DocumentError, DvrConfig, EabConfig, FailedAttemptsConfig, FileError, Format,
    GopConfig, HooksConfig, HttpConfig, HttpList, HttpListen, HttpPreset, LimitsConfig, Listen,
    ListenTransport, LogConfig, LogFileConfig, LogFormat, LogLevel, MAX_DOCUMENT, MetricsConfig,
    MobileConfig, Network, NetworkPolicy, NoDelivery, Pem, PullRule, PullStart, PushRule,
    QueueConfig, RecordConfig, RecordFormat, RecordStreams, RelayConfig, Roots, RtmpConfig,
    SecondPublisher, Setting, StreamConfig, TimeZone, TlsClientConfig, TlsConfig, TlsVersion,
    TokensConfig, UnknownVariable, UserConfig, VariableError, ViewersConfig,
};
#[doc(hidden)]
pub use dispatch::AwaitedThread;
pub use drain::{DrainError, DrainOptions};
pub use error::{RecordError, StartError};
#[doc(hidden)]
pub use error_code::{Coded, ErrorCode};
pub use events::{CloseReason, Event};
pub use id::{ConnectionId, RelayId, StreamId, next_server_id};
pub use interfaces::reachable_hosts;
pub use limit::Limit;
pub use listening::{explain_listening, goes_without_saying};
pub use metrics::{
    CertificateMetrics, ConnectionMetrics, DelayPercentiles, ErrorCounts, IgnoredCounts, Metrics,
    RelayCounts, StreamMetrics, SubscriberMetrics, WorkerMetrics,
};
#[doc(hidden)]
pub use mobile::Numbered;
pub use mobile::{
    DeviceNetwork, Host, MemoryLevel, NetworkKind, Order, Permission, PermissionState, Power,
    PowerStats, Reachable, ReachableUrl, ResumeReport, ServiceOrder, ServiceState, SuspendReport,
    ThermalState,
};
pub use openrtmp_protocol as protocol;
pub use outgoing::OutgoingError;
pub use publisher::{Admission, AudioPacket, PublishError, Publisher, VideoPacket};
pub use reconfigure::{ReconfigureError, Reconfigured};
pub use record::RecordingSummary;
pub use relay::{RelayDirection, RelayError, RelayInfo, RelayLink, RelayRule, RelayState};
pub use secret::StreamName;
pub use server::{CoalesceError, Health, Server, ServerBuilder, Summary, Unanswered};
pub use stream::frame::{Frame, FrameContent};
pub use stream::listed::{PublisherInfo, TapInfo};
pub use stream::tap_queue::{
    Loss, StreamSelector, TapStream, TapStreams, shard_of, without_ending,
};
pub use stream::tracks::Track;
pub use system_log::{SystemLog, SystemLogError, log_to_system};
pub use tap::{Message, Tap, TapCloser, TapEvent, TapForm, TapOptions};
pub use threads::{THREAD_STACK, clear_thread_hooks, current_server, set_thread_hooks};
#[doc(hidden)]
pub use threads::{ThreadLife, WorksFor, spawn_thread};
#[cfg(feature = "tls")]
pub use tls::{CertificateInfo, TlsError};
pub use visit::Visit;
