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
//! recording, each only if asked for. Host code never runs on a worker.

#![deny(missing_debug_implementations)]

mod access;
mod addresses;
mod budget;
pub mod client;
mod config;
mod credit;
mod dial;
mod dispatch;
mod error;
mod events;
mod id;
mod inbox;
mod interfaces;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod limit;
mod locations;
mod log_limit;
#[cfg(all(test, loom))]
mod loom_models;
mod metrics;
mod newcomers;
mod outgoing;
mod placement;
#[doc(hidden)]
pub mod platform;
mod publisher;
mod rate;
mod reconfigure;
mod record;
mod secret;
mod server;
mod shared;
#[cfg(test)]
mod sim_tests;
mod steps;
mod stream;
mod sync;
mod tap;
mod threads;
mod worker;

pub use access::{AccessAction, AccessRequest, KeyRing, Protocol};
pub use config::{
    AccessConfig, Config, ConfigError, DEFAULT_PORT, DocumentError, FileError, Format, GopConfig,
    LimitsConfig, Listen, ListenTransport, MAX_DOCUMENT, QueueConfig, RecordConfig, RtmpConfig,
    SecondPublisher, StreamConfig,
};
pub use error::{RecordError, StartError};
pub use events::{CloseReason, Event};
pub use id::{ConnectionId, StreamId, next_server_id};
pub use interfaces::reachable_hosts;
pub use limit::Limit;
pub use metrics::{
    ConnectionMetrics, DelayPercentiles, ErrorCounts, Metrics, StreamMetrics, SubscriberMetrics,
    WorkerMetrics,
};
pub use openrtmp_protocol as protocol;
pub use outgoing::OutgoingError;
pub use publisher::{Admission, AudioPacket, PublishError, Publisher, VideoPacket};
pub use reconfigure::{ReconfigureError, Reconfigured};
pub use record::RecordingSummary;
pub use secret::StreamName;
pub use server::{CoalesceError, Health, Server, ServerBuilder, Summary, Unanswered};
pub use stream::frame::{Frame, FrameContent};
pub use stream::tap_queue::{Loss, StreamSelector, TapStream, TapStreams, shard_of};
pub use stream::tracks::Track;
pub use tap::{Message, Tap, TapCloser, TapEvent, TapForm, TapOptions};
#[doc(hidden)]
pub use threads::spawn_thread;
pub use threads::{THREAD_STACK, clear_thread_hooks, current_server, set_thread_hooks};
