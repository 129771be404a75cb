//! Settings: typed, with defaults for a desktop and a mobile device, checked
//! before they are used.

mod acme;
mod addresses;
mod callback;
mod control;
mod delivery;
mod describe;
mod document;
mod environment;
mod files;
mod hooks;
mod http;
mod listen;
mod log;
mod metrics;
mod mobile;
mod network;
pub(crate) mod pin;
mod relay;
mod schema;
mod settings;
mod tls;
mod units;
mod users;
mod validate;
mod web_url;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use openrtmp_protocol::{AmfLimits, Limits};
use serde::{Deserialize, Serialize};

use crate::credit::Allowance;
pub use acme::{AcmeChallenge, AcmeConfig, EabConfig};
pub use addresses::{AddressRule, FailedAttemptsConfig};
pub use callback::{CallbackConfig, CallbackFallback, CallbackFormat};
pub use control::{ControlConfig, ControlListen};
pub use delivery::{
    CorsConfig, DashConfig, DvrConfig, HttpList, HttpListen, HttpPreset, NoDelivery, TokensConfig,
    ViewersConfig,
};
pub use document::{DocumentError, FileError, Format, MAX_DOCUMENT};
pub(crate) use document::{parse as parse_document, read as read_document};
pub use environment::{UnknownVariable, VariableError};
pub use hooks::HooksConfig;
pub use http::HttpConfig;
pub use listen::{Listen, ListenTransport};
pub use log::{LogConfig, LogFileConfig, LogFormat, LogLevel};
pub use metrics::MetricsConfig;
pub use mobile::{BackgroundPolicy, MobileConfig, NetworkPolicy};
pub use network::Network;
pub use relay::{PullRule, PullStart, PushRule, RelayConfig};
pub use settings::{Applies, Setting};
pub use tls::{
    CertificateConfig, ClientAuth, ClientAuthConfig, Pem, Roots, TlsClientConfig, TlsConfig,
    TlsVersion,
};
pub use users::{Authenticate, UserConfig};
pub use validate::ConfigError;
pub(crate) use validate::write_coalesce;

/// The port IANA assigned to RTMP.
pub const DEFAULT_PORT: u16 = 1935;

/// Everything that can be set. Change fields, then hand it to
/// [`Server::start`](crate::Server::start), which checks it first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Addresses to listen on. Port 0 takes a free port. IPv6 sockets are IPv6
    /// only: name `0.0.0.0` and `[::]` for both. May be empty if `relay.pull` is not.
    pub listen: Vec<Listen>,
    /// What is shown and asked for where TLS is spoken.
    pub tls: TlsConfig,
    /// HTTP: streams for viewers, and the small server of the `openrtmp` command.
    pub http: HttpConfig,
    /// Who is told numbers.
    pub metrics: MetricsConfig,
    /// Where the lines of the `openrtmp` command's log go.
    pub log: LogConfig,
    /// Who may operate it.
    pub control: ControlConfig,
    /// Programs that are run.
    pub hooks: HooksConfig,
    /// Event loop threads, 1 to 64; 0 takes as many as there are cores.
    pub workers: usize,
    /// The RTMP protocol.
    pub rtmp: RtmpConfig,
    /// Publishing and playing.
    pub streams: StreamConfig,
    /// What a joining player gets at once.
    pub gop: GopConfig,
    /// What waits for slow subscribers.
    pub queue: QueueConfig,
    /// Who may publish and play.
    pub access: AccessConfig,
    /// Record streams to files; `None` records nothing by itself.
    pub record: Option<RecordConfig>,
    /// Streams passed on to other servers, and fetched from them.
    pub relay: RelayConfig,
    /// What it does on a phone.
    pub mobile: MobileConfig,
    /// What peers may make the server hold or do.
    pub limits: LimitsConfig,
}

/// The RTMP protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RtmpConfig {
    /// Chunk size written, 128 to 65,536 bytes.
    pub chunk_size: u32,
    /// Window acknowledgement size announced, at least 1,024 bytes.
    pub window_ack_size: u32,
    /// Close connections whose C2 does not echo S1.
    pub strict_handshake: bool,
    /// From accept to the end of the handshake, 100 ms to 10 min.
    #[serde(with = "document::milliseconds")]
    pub handshake_timeout: Duration,
    /// From there to `connect`, 100 ms to 10 min.
    #[serde(with = "document::milliseconds")]
    pub connect_timeout: Duration,
    /// From there to `publish` or `play`, 100 ms to 1 day.
    #[serde(with = "document::milliseconds")]
    pub idle_timeout: Duration,
    /// Ping a connection that was silent this long; zero never does. TCP
    /// keep-alive finds dead peers without waking this process.
    #[serde(with = "document::milliseconds")]
    pub ping_interval: Duration,
}

/// Who wins when a second publisher comes. A publisher that has been
/// silent for [`StreamConfig::publisher_timeout`] is replaced under each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SecondPublisher {
    /// The first: the second gets NetStream.Publish.BadName and is closed.
    #[default]
    Reject,
    /// The second: the first is closed, subscribers stay.
    Takeover,
    /// The second waits until the first is gone.
    Wait,
}

/// Publishing and playing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StreamConfig {
    /// Who wins when a second publisher comes.
    pub second_publisher: SecondPublisher,
    /// A publisher of which no byte of audio, video or data has come for so long may
    /// always be replaced by another of the same name; and when there are as many as
    /// `limits.publishers` allows, the one that has been silent longest beyond it makes
    /// room for a new one. 100 ms to 1 day.
    #[serde(with = "document::milliseconds")]
    pub publisher_timeout: Duration,
    /// A publish ends of which no byte of audio, video or data has come for so long:
    /// its peer or its network has vanished. Zero keeps it; otherwise 100 ms to 1 day.
    /// Time in which the server does not read from the connection does not count, here
    /// and below.
    #[serde(with = "document::milliseconds")]
    pub media_timeout: Duration,
    /// A publish ends of which no whole message has come for so long. Zero keeps it;
    /// otherwise 100 ms to 1 day. A large picture on a slow line may take a while.
    #[serde(with = "document::milliseconds")]
    pub message_timeout: Duration,
    /// A picture that is missing for so long, by the clock of the sound that goes on, is
    /// told once ([`Event::VideoStopped`](crate::Event::VideoStopped)), and so is the next.
    /// Nothing else becomes of it. Zero tells nothing; otherwise 100 ms to 1 day.
    #[serde(with = "document::milliseconds")]
    pub video_timeout: Duration,
    /// Players stay attached this long after a publisher vanished without a goodbye, and
    /// notice nothing but a pause if it is back by then: a hiccup of an encoder's line
    /// ends nobody's playback. [`Event::PublisherLost`](crate::Event::PublisherLost)
    /// tells the host at once. Zero tells players at once. Up to 1 day.
    #[serde(with = "document::milliseconds")]
    pub republish_grace: Duration,
    /// The same after a goodbye (FCUnpublish, deleteStream or closeStream, or the host's
    /// own end of it): whoever said so does not come back at once.
    #[serde(with = "document::milliseconds")]
    pub goodbye_grace: Duration,
    /// Players of a stream that is not there wait for it; otherwise they get
    /// NetStream.Play.StreamNotFound.
    pub wait_for_publisher: bool,
    /// A new stream's first frame is at time 0, whatever its publisher's clock says;
    /// otherwise its clock is the publisher's. All players see the stream's clock: who
    /// joins later begins at the time it has by then.
    pub start_at_zero: bool,
    /// Players get every track though they announce no multitrack; otherwise those get
    /// the default tracks alone, in the plainest messages that can carry them. A player
    /// asks for all by `?tracks=all` behind the stream's name.
    pub all_tracks: bool,
}

/// The GOP cache: what a player gets at once when it joins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GopConfig {
    /// Keep at least this much behind the newest frame, whole GOPs, 0 to 60 s.
    #[serde(with = "document::milliseconds")]
    pub min_duration: Duration,
    /// A GOP longer than this is not kept, 0 (no cache) to 10 min.
    #[serde(with = "document::milliseconds")]
    pub max_duration: Duration,
    /// Nor one of more frames, audio included; 0 is no cache.
    pub max_frames: usize,
    /// Nor one of more bytes; 0 is no cache.
    pub max_bytes: usize,
}

/// What waits for a slow subscriber.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct QueueConfig {
    /// When the oldest waiting frame is older than this, video is dropped up to
    /// the next key frame. 10 ms to 10 min.
    #[serde(with = "document::milliseconds")]
    pub max_delay: Duration,
    /// The same when more bytes wait, 64 KiB or more.
    pub max_bytes: usize,
    /// A subscriber that takes nothing for this long is disconnected, as is one
    /// that is behind by `max_delay` and this, and one whose queue stays over twice
    /// `max_bytes` after dropping. 100 ms to 1 day.
    #[serde(with = "document::milliseconds")]
    pub stall_timeout: Duration,
    /// Bytes on their way from one worker to another, of one stream or publisher, 64 KiB
    /// or more. Beyond them a publisher whose stream lives elsewhere is not read;
    /// players elsewhere lose video to the next key frame, beyond twice of them
    /// everything.
    pub worker_bytes: usize,
    /// The same in messages, 16 or more.
    pub worker_messages: usize,
    /// Collect packets this long before writing them together, 0 (write at once)
    /// to 350 ms and to three quarters of `max_delay`; `coalesce_bytes` end the
    /// wait early, and what a joining player gets at once is never held back.
    ///
    /// [`Server::set_write_coalesce`](crate::Server::set_write_coalesce) changes it
    /// for one player.
    #[serde(with = "document::milliseconds")]
    pub write_coalesce: Duration,
    /// Bytes that end such a wait early.
    pub coalesce_bytes: usize,
    /// The least `write_coalesce` of every player while the host is in the
    /// background, see [`Server::set_background`](crate::Server::set_background): 0
    /// to 350 ms, cut to three quarters of `max_delay`. Writes go out at its multiples, for all
    /// at once, and from 30 ms on what publishers send is read at them too: taps and recordings
    /// get it so much later. Who publishes much is read more often, so that no buffer is full.
    /// The processor wakes once for all of it, and the radio less.
    #[serde(with = "document::milliseconds")]
    pub background_coalesce: Duration,
    /// Bytes that may wait in the system's send buffer of a player without having
    /// been sent, 16 KiB or more; 0 leaves it to the system. What waits there can
    /// no longer be dropped for a slow player. Linux, Android and Apple systems
    /// (`TCP_NOTSENT_LOWAT`); elsewhere without effect.
    pub unsent_bytes: u32,
}

/// Who may publish and play.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AccessConfig {
    /// Keys that may publish, see [`crate::access::KeyRing`]. None: open.
    pub publish_keys: Vec<String>,
    /// Keys that may play. None: open.
    pub play_keys: Vec<String>,
    /// File of keys for one app each, see [`crate::KeyRecord`]. With it nobody publishes
    /// without a key, and once there is one for playing nobody plays without. It is read
    /// again by [`Server::reload_keys`](crate::Server::reload_keys), and whenever settings
    /// are put in force.
    #[serde(with = "tls::text_or_none")]
    pub keys_file: Option<PathBuf>,
    /// What is being played ends with the key that it was begun with, over every protocol;
    /// otherwise that keeps others from beginning.
    pub revoke_ends_play: bool,
    /// Who may come from where.
    pub rules: Vec<AddressRule>,
    /// Addresses and networks of proxies, which may say where a peer really comes from.
    pub trusted_proxies: Vec<String>,
    /// What becomes of addresses that guess.
    pub failed_attempts: FailedAttemptsConfig,
    /// An HTTP server that is asked.
    pub callback: CallbackConfig,
    /// Users: whoever connects has to be one of them, as `authenticate` says, and shows it
    /// with a password (`authmod=adobe`). None: nobody is asked.
    pub users: Vec<UserConfig>,
    /// Who has to be a user, if there are any.
    pub authenticate: Authenticate,
    /// How long a challenge may be answered, 1 s to 10 min.
    #[serde(with = "document::milliseconds")]
    pub challenge_timeout: Duration,
    /// The last segment of every stream's name is a key, which only the host knows: it
    /// is not shown in logs, events, numbers and file names. Where keys are set, names
    /// that may be keys are not, without this.
    pub secret_names: bool,
    /// A request that the host has not answered by then is refused, 100 ms to
    /// 10 min; zero is the default of 10 s.
    #[serde(with = "document::milliseconds")]
    pub decision_timeout: Duration,
}

impl AccessConfig {
    /// How long a decision is waited for: [`AccessConfig::decision_timeout`], and 10 s where
    /// that is zero.
    pub fn patience(&self) -> Duration {
        match self.decision_timeout {
            Duration::ZERO => Duration::from_secs(10),
            timeout => timeout,
        }
    }
}

/// Keys are not shown.
impl fmt::Debug for AccessConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessConfig")
            .field("publish_keys", &vec!["***"; self.publish_keys.len()])
            .field("play_keys", &vec!["***"; self.play_keys.len()])
            .field("keys_file", &self.keys_file)
            .field("revoke_ends_play", &self.revoke_ends_play)
            .field("rules", &self.rules)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("failed_attempts", &self.failed_attempts)
            .field("callback", &self.callback)
            .field("users", &self.users)
            .field("authenticate", &self.authenticate)
            .field("challenge_timeout", &self.challenge_timeout)
            .field("secret_names", &self.secret_names)
            .field("decision_timeout", &self.decision_timeout)
            .finish()
    }
}

/// Which time of day is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeZone {
    /// The same everywhere, and never twice.
    #[default]
    Utc,
    /// That of the machine's time zone: `TZ` in the environment where that is set, else
    /// the system's. UTC if there is none.
    Local,
}

/// What kind of files recordings are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordFormat {
    /// What publishers send, as they send it: every codec and track that RTMP has, and data.
    #[default]
    Flv,
    /// Fragmented MP4, which browsers and phones play: H.264, H.265, AV1, VP8 and VP9; AAC,
    /// MP3, Opus, FLAC, AC-3 and E-AC-3; every track. Others end the recording.
    Mp4,
}

/// Which streams are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordStreams {
    /// All of them, whatever their publishers want.
    #[default]
    All,
    /// Those whose publishers want it: they publish with the mode `record` or `append`
    /// (RTMP 1.0 section 7.2.2.6). Either begins a file of its own: what is there is neither
    /// overwritten nor written on.
    Asked,
}

/// Recording to files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RecordConfig {
    /// Folder; made if missing.
    pub directory: PathBuf,
    /// File name below it: `{app}`, `{name}`, `{date}`, `{time}` and `{index}` (the
    /// part's number) are replaced; `.flv` or `.mp4` is added.
    pub template: String,
    /// What kind of files.
    pub format: RecordFormat,
    /// Which date and time those are.
    pub time_zone: TimeZone,
    /// Apps whose streams are recorded; empty: all.
    pub apps: Vec<String>,
    /// Which of their streams.
    pub streams: RecordStreams,
    /// A new file at the next key frame once one is this long; zero never.
    #[serde(with = "document::milliseconds")]
    pub split_duration: Duration,
    /// The same by size in bytes; zero never.
    pub split_bytes: u64,
    /// Bytes of each stream that may wait for a slow disk, 1 MiB or more. With more,
    /// video is lost up to the next key frame, and with twice as many everything that
    /// waits; [`Event::RecordingLost`](crate::Event::RecordingLost) tells of it. They
    /// count for `limits.memory`.
    pub queue_bytes: usize,
}

/// What peers may make the server hold or do. Defaults, not ceilings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// Connections at once. 16 more are heard until they can be told why they are
    /// refused; what comes then is closed at once.
    pub connections: usize,
    /// The same of one address (of IPv6: one /64); 0: no limit. Off by default:
    /// behind a proxy or one router, many viewers share an address.
    pub connections_per_address: usize,
    /// Once there are as many connections as allowed, the oldest that has not got
    /// to `connect` in this time makes room for a new one. 0 to 10 min.
    #[serde(with = "document::milliseconds")]
    pub handshake_grace: Duration,
    /// Time of a worker that one connection may take of each second, 1 ms to 1 s; 0: no
    /// limit. Counted in work that is about that much, by what it says and what that
    /// leads to: 0.25 us for each player of each message are a third of it, at 1,000 players
    /// and 300 messages a second. One that is a second's worth ahead is not read until that is made up
    /// for, so that its peer has to wait.
    #[serde(with = "document::milliseconds")]
    pub connection_work: Duration,
    /// Messages a second of one connection, of every kind; 0: no limit. One that has
    /// sent more than ten seconds' worth ahead of that is closed.
    pub message_rate: u32,
    /// Publishers at once, the host's own included.
    pub publishers: usize,
    /// Publishers of one connection, 1 or more.
    pub publishers_per_connection: usize,
    /// Publishers from one address (of IPv6: one /64); 0: no limit. Off by default: one
    /// machine may well publish many streams.
    pub publishers_per_address: usize,
    /// Bit/s of one publisher; beyond, a warning; 0: no limit.
    pub publisher_bitrate: u64,
    /// Disconnect a publisher over its bit rate rather than only warn.
    pub disconnect_over_bitrate: bool,
    /// Bit/s sent altogether; beyond, a warning; 0: no limit.
    pub outgoing_bitrate: u64,
    /// Bytes that peers can make the server hold: unfinished messages, caches,
    /// queued packets (counted once however many subscribers share them).
    ///
    /// Once it is used up, nothing new is granted, frames are refused up to a key
    /// frame that fits, and a connection that does not publish and holds more
    /// than 64 KiB is closed.
    pub memory: usize,
    /// Bytes of answers that may wait for a peer that asks and does not read,
    /// 64 KiB or more; beyond, it is disconnected.
    pub answer_bytes: usize,
    /// Bytes of metadata and decoder configurations kept of a stream; what goes
    /// beyond is dropped.
    pub header_bytes: usize,
    /// Tracks of a stream that are looked into and told of; those of more tracks
    /// are passed on.
    pub tracks: usize,
    /// How long a connection that the server ends may take to read what was said
    /// last, up to 1 min.
    #[serde(with = "document::milliseconds")]
    pub linger: Duration,
    /// Bytes that are read from it meanwhile, and thrown away, so that it is not
    /// reset before it has read.
    pub linger_bytes: usize,
    /// After accepting failed (too many open files, mostly) the next try, 10 ms to
    /// 1 min.
    #[serde(with = "document::milliseconds")]
    pub accept_retry: Duration,
    /// Challenges, of those that were given last, that count when they are answered: 64
    /// to 1,048,576. A bit each is kept.
    pub challenges: usize,
    /// Recordings that the host may have asked for at a time, up to 4,096. Each is a thread,
    /// also while its stream is still to come.
    pub recordings: usize,
    /// Relays that the host may have added at a time, up to 65,536.
    pub relay_rules: usize,
    /// Servers that a relayed stream, or the wish for one, may have come through, 1 to 63.
    pub relay_hops: usize,
    /// Redirects, and requests to connect elsewhere, that a relay follows in a row, up to
    /// 100.
    pub relay_redirects: u32,
    /// Log lines a second that peers can cause, of each kind; how many more there
    /// were is told in one line. 0: no limit.
    pub log_lines: u32,
    /// Message, chunk stream and AMF limits of each connection.
    #[serde(with = "SessionLimits")]
    pub session: Limits,
}

/// [`Limits`] as settings: the protocol crate knows no documents. One field that is read by a
/// function has serde make this and convert it, as what another crate may extend needs.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits", deny_unknown_fields)]
struct SessionLimits {
    #[serde(getter = "message_bytes")]
    message_bytes: usize,
    partial_bytes: usize,
    command_bytes: usize,
    chunk_streams: usize,
    message_streams: usize,
    name_bytes: usize,
    pending_requests: usize,
    waiting_messages: usize,
    #[serde(with = "SessionAmfLimits")]
    amf: AmfLimits,
}

fn message_bytes(limits: &Limits) -> usize {
    limits.message_bytes
}

impl From<SessionLimits> for Limits {
    fn from(read: SessionLimits) -> Limits {
        // None can be forgotten.
        let SessionLimits {
            message_bytes,
            partial_bytes,
            command_bytes,
            chunk_streams,
            message_streams,
            name_bytes,
            pending_requests,
            waiting_messages,
            amf,
        } = read;
        let mut limits = Limits::default();
        limits.message_bytes = message_bytes;
        limits.partial_bytes = partial_bytes;
        limits.command_bytes = command_bytes;
        limits.chunk_streams = chunk_streams;
        limits.message_streams = message_streams;
        limits.name_bytes = name_bytes;
        limits.pending_requests = pending_requests;
        limits.waiting_messages = waiting_messages;
        limits.amf = amf;
        limits
    }
}

/// The same of [`AmfLimits`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "AmfLimits", deny_unknown_fields)]
struct SessionAmfLimits {
    #[serde(getter = "depth")]
    depth: usize,
    string_bytes: usize,
    elements: usize,
    decoded_bytes: usize,
    values_per_byte: usize,
    values_base: usize,
}

fn depth(limits: &AmfLimits) -> usize {
    limits.depth
}

impl From<SessionAmfLimits> for AmfLimits {
    fn from(read: SessionAmfLimits) -> AmfLimits {
        let SessionAmfLimits {
            depth,
            string_bytes,
            elements,
            decoded_bytes,
            values_per_byte,
            values_base,
        } = read;
        let mut limits = AmfLimits::default();
        limits.depth = depth;
        limits.string_bytes = string_bytes;
        limits.elements = elements;
        limits.decoded_bytes = decoded_bytes;
        limits.values_per_byte = values_per_byte;
        limits.values_base = values_base;
        limits
    }
}

impl QueueConfig {
    /// What is held back for longer than this could be dropped for having waited.
    pub(crate) fn longest_window(&self) -> Duration {
        self.max_delay * 3 / 4
    }

    /// What may be on its way from one worker to another.
    pub(crate) fn between_workers(&self) -> Allowance {
        Allowance {
            bytes: self.worker_bytes,
            messages: self.worker_messages,
        }
    }
}

impl Config {
    /// Defaults for a desktop or server machine.
    pub fn desktop() -> Config {
        Config {
            listen: vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)).into(),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, DEFAULT_PORT)).into(),
            ],
            tls: TlsConfig::default(),
            http: HttpConfig::default(),
            metrics: MetricsConfig::default(),
            log: LogConfig::default(),
            control: ControlConfig::default(),
            hooks: HooksConfig::default(),
            workers: 0,
            rtmp: RtmpConfig {
                chunk_size: 60_000,
                window_ack_size: 2_500_000,
                strict_handshake: false,
                handshake_timeout: Duration::from_secs(10),
                connect_timeout: Duration::from_secs(10),
                idle_timeout: Duration::from_secs(30),
                ping_interval: Duration::ZERO,
            },
            streams: StreamConfig {
                second_publisher: SecondPublisher::Reject,
                publisher_timeout: Duration::from_secs(10),
                media_timeout: Duration::from_secs(10),
                message_timeout: Duration::from_secs(30),
                video_timeout: Duration::from_secs(5),
                republish_grace: Duration::from_secs(5),
                goodbye_grace: Duration::ZERO,
                wait_for_publisher: true,
                start_at_zero: false,
                all_tracks: false,
            },
            gop: GopConfig {
                min_duration: Duration::from_secs(2),
                max_duration: Duration::from_secs(30),
                max_frames: 4096,
                max_bytes: 64 << 20,
            },
            queue: QueueConfig {
                max_delay: Duration::from_secs(5),
                max_bytes: 64 << 20,
                stall_timeout: Duration::from_secs(15),
                worker_bytes: 16 << 20,
                worker_messages: 1024,
                write_coalesce: Duration::ZERO,
                coalesce_bytes: 64 << 10,
                background_coalesce: Duration::from_millis(250),
                unsent_bytes: 256 << 10,
            },
            access: AccessConfig {
                revoke_ends_play: true,
                decision_timeout: Duration::from_secs(10),
                challenge_timeout: Duration::from_secs(30),
                ..AccessConfig::default()
            },
            record: None,
            relay: RelayConfig::default(),
            mobile: MobileConfig::default(),
            limits: LimitsConfig {
                connections: 1000,
                connections_per_address: 0,
                handshake_grace: Duration::from_secs(1),
                connection_work: Duration::from_millis(250),
                message_rate: 10_000,
                publishers: 10,
                publishers_per_connection: 4,
                publishers_per_address: 0,
                publisher_bitrate: 50_000_000,
                disconnect_over_bitrate: false,
                outgoing_bitrate: 500_000_000,
                memory: 1 << 30,
                answer_bytes: 2 << 20,
                header_bytes: 1 << 20,
                tracks: 32,
                linger: Duration::from_secs(2),
                linger_bytes: 1 << 20,
                accept_retry: Duration::from_millis(250),
                challenges: 65_536,
                recordings: 256,
                relay_rules: 1024,
                relay_hops: 16,
                relay_redirects: 5,
                log_lines: 20,
                session: Limits::default(),
            },
        }
    }

    /// Defaults for a phone or tablet: one worker, smaller limits.
    pub fn mobile() -> Config {
        let mut config = Config::desktop();
        config.workers = 1;
        config.gop.max_bytes = 16 << 20;
        config.queue.max_bytes = 16 << 20;
        config.limits.connections = 100;
        config.limits.publishers = 3;
        config.limits.publisher_bitrate = 20_000_000;
        config.limits.outgoing_bitrate = 100_000_000;
        config.limits.memory = 128 << 20;
        config
    }

    /// Low latency: half a second of queue instead of five.
    pub fn with_low_latency(mut self) -> Config {
        self.queue.max_delay = Duration::from_millis(500);
        self
    }

    /// Checks every value. The first one that is not allowed is the error.
    pub fn validate(&self) -> Result<(), ConfigError> {
        validate::faults(self)
            .into_iter()
            .next()
            .map_or(Ok(()), Err)
    }

    /// Where a program that embeds the server is to deliver streams over HTTP: the addresses
    /// that its settings name. [`HttpListen::Auto`], which is there by default, is none: a
    /// library opens no port that nobody asked it for.
    pub fn named_http_listen(&self) -> Vec<HttpListen> {
        let listen = self.http.listen.iter().copied();
        listen.filter(|it| *it != HttpListen::Auto).collect()
    }

    /// Checks that nothing is to be delivered over HTTP, for libraries that cannot: what is
    /// asked for is not to be left out without a word.
    ///
    /// # Errors
    /// An address is named.
    pub fn check_no_delivery(&self) -> Result<(), NoDelivery> {
        match self.named_http_listen().first() {
            Some(&at) => Err(NoDelivery { at }),
            None => Ok(()),
        }
    }

    /// Somewhere TLS is spoken.
    #[cfg(feature = "tls")]
    pub(crate) fn speaks_tls(&self) -> bool {
        let delivers = self.http.listen.iter().any(HttpListen::is_tls);
        delivers || self.listen.iter().any(Listen::is_tls)
    }

    /// Workers after 0 was replaced by the number of cores.
    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(64),
            n => n,
        }
    }

    /// `id`: names the server among those that relayed streams come through.
    pub(crate) fn session(&self, id: u64) -> openrtmp_protocol::session::ServerConfig {
        let mut config = openrtmp_protocol::session::ServerConfig::default();
        config.chunk_size = self.rtmp.chunk_size;
        config.window_ack_size = self.rtmp.window_ack_size;
        config.strict_handshake = self.rtmp.strict_handshake;
        config.handshake_timeout = self.rtmp.handshake_timeout;
        config.connect_timeout = self.rtmp.connect_timeout;
        config.idle_timeout = self.rtmp.idle_timeout;
        config.limits = self.limits.session.clone();
        config.id = id;
        config
    }
}

impl Default for Config {
    /// [`Config::desktop`].
    fn default() -> Config {
        Config::desktop()
    }
}

impl RecordConfig {
    /// Records every stream into a folder, one file per publish.
    pub fn new(directory: impl Into<PathBuf>) -> RecordConfig {
        RecordConfig {
            directory: directory.into(),
            template: "{app}/{name}-{date}-{time}".to_owned(),
            format: RecordFormat::Flv,
            time_zone: TimeZone::Utc,
            apps: Vec::new(),
            streams: RecordStreams::All,
            split_duration: Duration::ZERO,
            split_bytes: 0,
            queue_bytes: 64 << 20,
        }
    }
}
