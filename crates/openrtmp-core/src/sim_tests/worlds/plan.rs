//! A world as data: what it is made of and what happens in it. Nothing in it is
//! invalid, whatever the numbers are, so that a shrinker may change any of them:
//! zero is always the plain case.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Config, RecordConfig, SecondPublisher};
use crate::platform::sim::{self, Episode, Faults};

/// Streams of a world; the last one is for the end, when nothing goes wrong.
pub(super) const STREAMS: [&str; 4] = ["live/a", "live/b", "other/room/a", "calm/fine"];

/// A stream that the other server has, and its name where it is fetched: behind those of
/// [`STREAMS`].
pub(super) const SOURCE: &str = "source/cam";
pub(super) const FETCHED: &str = "far/cam";
pub(super) const FETCHED_PLACE: usize = STREAMS.len();

/// Before the names of what was passed on to the other server.
pub(super) const COPY: &str = "copy/";

/// A stream's place by its name at either server.
pub(super) fn place(name: &str) -> Option<usize> {
    match name.strip_prefix(COPY).unwrap_or(name) {
        SOURCE | FETCHED => Some(FETCHED_PLACE),
        name => STREAMS.iter().position(|stream| *stream == name),
    }
}

/// Keys of a world; an operation's key 0 is none, 1 the first of them.
pub(super) const KEYS: [&str; 3] = ["zero", "one", "two"];

/// Where worlds record.
pub(super) const FOLDER: &str = "/rec";

/// A world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Of the simulated platform: when faults strike.
    pub(super) seed: u64,
    pub(super) terms: Terms,
    pub(super) steps: Vec<Step>,
}

/// An operation and the millisecond it happens at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) at: u32,
    pub(super) op: Op,
}

/// What happens. `who` is a client's place, 0 to 31: an operation on a place
/// where nobody fits it does nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Op {
    /// An encoder connects and sends until it is stopped.
    Publish {
        who: u32,
        source: Source,
        link: Link,
    },
    Play {
        who: u32,
        stream: u32,
        key: u32,
        link: Link,
    },
    /// A hostile peer, see `attack.rs`.
    Attack {
        who: u32,
        kind: u32,
        amount: u32,
        deaf: bool,
        link: Link,
    },

    /// So many connections that say nothing.
    Flood {
        count: u32,
    },

    /// Says goodbye and closes.
    Leave {
        who: u32,
    },
    /// Closes without a word.
    Close {
        who: u32,
    },
    /// Is reset.
    Kill {
        who: u32,
    },
    /// Begins or stops to read.
    Read {
        who: u32,
        on: bool,
    },
    /// Reads so many bytes in ten milliseconds; 0: all there are.
    Speed {
        who: u32,
        bytes: u32,
    },

    /// An encoder pauses or goes on.
    Silence {
        who: u32,
        on: bool,
    },
    /// It sends its headers again, changed or as they were.
    Headers {
        who: u32,
        changed: bool,
    },
    Metadata {
        who: u32,
    },
    Data {
        who: u32,
    },
    /// Its timestamps jump.
    Jump {
        who: u32,
        by: i32,
    },
    /// It sends so many frames at once.
    Burst {
        who: u32,
        frames: u32,
    },
    /// It sends a frame of so many bytes.
    Big {
        who: u32,
        key: bool,
        bytes: u32,
    },

    /// A player pauses or goes on.
    Pause {
        who: u32,
        on: bool,
    },
    /// What a player wants to receive.
    Want {
        who: u32,
        audio: bool,
        video: bool,
    },
    /// It stops and plays again on the same message stream, so much later; once it
    /// is told that it plays, again, so many times.
    PlayAgain {
        who: u32,
        stream: u32,
        gap: u32,
        more: u32,
    },

    /// The host publishes.
    HostPublish {
        who: u32,
        source: Source,
    },
    HostUnpublish {
        who: u32,
    },
    /// A tap on a stream, or on all of them beyond the last; it is read every so
    /// many milliseconds, never if 0.
    Tap {
        who: u32,
        stream: u32,
        every: u32,
    },
    TapClose {
        who: u32,
    },
    Record {
        stream: u32,
    },
    StopRecording {
        stream: u32,
    },
    EndStream {
        stream: u32,
    },
    Disconnect {
        who: u32,
    },
    AddKey {
        key: u32,
        play: bool,
    },
    Revoke {
        key: u32,
        play: bool,
    },
    Inspect,
    /// The host puts other settings in force, of those that can change.
    Reconfigure {
        terms: Box<Terms>,
    },

    /// Code of ours panics while it serves this client.
    Panic {
        who: u32,
    },
    /// Code of ours panics in a worker's loop.
    PanicWorker {
        worker: u32,
    },
    /// The disk holds so many bytes; 0: any number.
    Disk {
        bytes: u32,
    },
    /// The time of day jumps by so many seconds.
    WallClock {
        by: i32,
    },

    /// The server stops; the grace in milliseconds.
    Stop {
        grace: u32,
    },
    Force,
}

/// What a publisher sends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Source {
    pub(super) stream: u32,
    pub(super) key: u32,
    /// 0 both, 1 audio only, 2 video only, 3 video begins after 20 frames.
    pub(super) tracks: u32,
    /// Milliseconds from frame to frame; 0: 40.
    pub(super) interval: u32,
    /// Frames from key frame to key frame; 0: 10.
    pub(super) group: u32,
    /// Bytes of a frame; 0: 200.
    pub(super) size: u32,
    /// It sends neither metadata nor headers.
    pub(super) bare: bool,
    /// Timestamp of its first frame.
    pub(super) first: u32,
    /// How it lies: 1 every picture is tagged as a key frame, 2 video is announced and
    /// does not come, 3 parameter sets call themselves key frames, 4 audio is ahead, 5
    /// some timestamps are off, 6 empty configurations come between; 0: it does not.
    pub(super) lies: u32,
}

/// A client's connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    /// It writes so many bytes at a time; 0: all there are.
    pub(super) bite: u32,
    /// Milliseconds from bite to bite.
    pub(super) pause: u32,
    /// It reads so many bytes in ten milliseconds; 0: all there are.
    pub(super) speed: u32,
    /// After so many bytes in either direction it ends; 0: never.
    pub(super) ends_after: u32,
    /// 0 by a reset, 1 by closing, 2 by falling silent.
    pub(super) ends_by: u32,
    /// Once cut off it comes back after so many milliseconds; 0: never.
    pub(super) back: u32,
}

/// Settings of a world and what goes wrong in it. Times are in milliseconds,
/// chances in thousandths; zero is the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Terms {
    pub(super) workers: u32,
    pub(super) second_publisher: u32,
    pub(super) republish_grace: u32,
    pub(super) publisher_timeout: u32,
    pub(super) no_waiting: bool,
    pub(super) gop_min: u32,
    pub(super) gop_max: u32,
    pub(super) gop_frames: u32,
    pub(super) gop_bytes: u32,
    pub(super) queue_delay: u32,
    pub(super) queue_bytes: u32,
    pub(super) stall: u32,
    pub(super) coalesce: u32,
    pub(super) chunk_size: u32,
    pub(super) window: u32,
    pub(super) ping: u32,
    pub(super) strict_handshake: bool,
    pub(super) handshake_timeout: u32,
    pub(super) connect_timeout: u32,
    pub(super) idle_timeout: u32,
    pub(super) connections: u32,
    pub(super) publishers: u32,
    pub(super) memory: u32,
    pub(super) message_bytes: u32,
    pub(super) bitrate: u32,
    pub(super) disconnect_over_bitrate: bool,
    /// 0: there is no host to ask; else it answers by this pattern.
    pub(super) host: u32,
    pub(super) decision_timeout: u32,
    /// 1: keys to publish, 2: keys to play, 3: both.
    pub(super) keys: u32,
    pub(super) record: bool,
    pub(super) split: u32,
    pub(super) split_bytes: u32,
    /// The recorder gets its turn only so often.
    pub(super) recorder_every: u32,
    /// All clients speak TLS, as the listener does.
    pub(super) tls: bool,
    /// What another server of the same network has to do with this one: 1: all streams are
    /// passed on to it, 2: one that it has, and one that it never has, are always fetched
    /// from it, 3: both.
    pub(super) relays: u32,

    pub(super) latency: u32,
    pub(super) send_buffer: u32,
    pub(super) receive_buffer: u32,
    pub(super) short_reads: u32,
    pub(super) short_writes: u32,
    pub(super) spurious: u32,
    pub(super) early: u32,
    pub(super) delayed: Spell,
    pub(super) late_wakes: Spell,
    /// In hundred thousandths.
    pub(super) resets: u32,
    pub(super) reset_discards: u32,
    pub(super) stalls: Spell,
    pub(super) exhaustion: Spell,
    pub(super) clock_jumps: Spell,
    pub(super) disk_bytes: u32,
    pub(super) create_denied: u32,
}

/// A fault that lasts: its chance in thousandths, and how long at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Spell {
    pub(super) chance: u32,
    pub(super) up_to: u32,
}

impl Spell {
    fn episode(self) -> Episode {
        Episode {
            chance: thousandths(self.chance),
            up_to: Duration::from_millis(self.up_to.into()),
        }
    }
}

fn thousandths(chance: u32) -> f64 {
    f64::from(chance.min(1000)) / 1000.0
}

/// A number within its range; the default if it is zero.
fn or<T: From<u32> + Ord + Copy>(value: u32, range: (T, T), default: T) -> T {
    match value {
        0 => default,
        value => T::from(value).clamp(range.0, range.1),
    }
}

fn time(value: u32, least: u64, default: Duration) -> Duration {
    match value {
        0 => default,
        value => Duration::from_millis(u64::from(value).max(least)),
    }
}

fn size(value: u32, least: usize, default: usize) -> usize {
    match value {
        0 => default,
        value => (value as usize).max(least),
    }
}

impl Terms {
    pub(super) fn workers(&self) -> usize {
        self.workers.clamp(1, 3) as usize
    }

    pub(super) fn policy(&self) -> SecondPublisher {
        match self.second_publisher {
            0 => SecondPublisher::Reject,
            1 => SecondPublisher::Takeover,
            _ => SecondPublisher::Wait,
        }
    }

    /// True if frames may be refused for want of memory.
    pub(super) fn short_of_memory(&self) -> bool {
        self.memory > 0
    }

    /// The settings, from the defaults.
    pub(super) fn config(&self, mut c: Config) -> Config {
        let ms = Duration::from_millis;
        c.workers = self.workers();
        c.streams.second_publisher = self.policy();
        c.streams.republish_grace = ms(self.republish_grace.into());
        c.streams.publisher_timeout =
            time(self.publisher_timeout, 100, c.streams.publisher_timeout);
        c.streams.wait_for_publisher = !self.no_waiting;
        c.gop.min_duration = time(self.gop_min, 0, c.gop.min_duration);
        c.gop.max_duration = time(self.gop_max, 0, c.gop.max_duration);
        c.gop.max_frames = size(self.gop_frames, 0, c.gop.max_frames);
        c.gop.max_bytes = size(self.gop_bytes, 0, c.gop.max_bytes);
        c.queue.max_delay = time(self.queue_delay, 10, c.queue.max_delay);
        c.queue.max_bytes = size(self.queue_bytes, 64 << 10, c.queue.max_bytes);
        c.queue.stall_timeout = time(self.stall, 100, c.queue.stall_timeout);
        let coalesce = ms(self.coalesce.min(350).into());
        c.queue.write_coalesce = coalesce.min(c.queue.max_delay * 3 / 4);
        c.rtmp.chunk_size = or(self.chunk_size, (128, 65_536), c.rtmp.chunk_size);
        c.rtmp.window_ack_size = or(self.window, (1024, u32::MAX), c.rtmp.window_ack_size);
        c.rtmp.ping_interval = time(self.ping, 1000, Duration::ZERO);
        c.rtmp.strict_handshake = self.strict_handshake;
        c.rtmp.handshake_timeout = time(self.handshake_timeout, 100, c.rtmp.handshake_timeout);
        c.rtmp.connect_timeout = time(self.connect_timeout, 100, c.rtmp.connect_timeout);
        c.rtmp.idle_timeout = time(self.idle_timeout, 100, c.rtmp.idle_timeout);
        c.limits.connections = size(self.connections, 1, c.limits.connections);
        c.limits.publishers = size(self.publishers, 1, c.limits.publishers);
        c.limits.memory = size(self.memory, 1 << 20, c.limits.memory);
        c.limits.publisher_bitrate = self.bitrate.into();
        c.limits.disconnect_over_bitrate = self.disconnect_over_bitrate;
        let session = &mut c.limits.session;
        session.message_bytes = size(self.message_bytes, 1024, session.message_bytes);
        c.access.decision_timeout = time(self.decision_timeout, 100, Duration::ZERO);
        let keys = || KEYS[..2].iter().map(|key| (*key).to_owned()).collect();
        if self.keys & 1 != 0 {
            c.access.publish_keys = keys();
        }
        if self.keys & 2 != 0 {
            c.access.play_keys = keys();
        }
        // A world's peers have few addresses, and may come again whatever they did.
        c.access.failed_attempts.limit = 0;
        c.record = self.record.then(|| self.recording());
        c
    }

    /// A chance that there is only where streams are relayed.
    fn relayed(&self, chance: f64) -> f64 {
        match self.relays {
            0 => 0.0,
            _ => chance,
        }
    }

    pub(super) fn recording(&self) -> RecordConfig {
        let mut record = RecordConfig::new(FOLDER);
        record.split_duration = Duration::from_millis(self.split.into());
        record.split_bytes = self.split_bytes.into();
        record
    }

    pub(super) fn network(&self) -> sim::Config {
        sim::Config {
            latency: Duration::from_micros(match self.latency {
                0 => 1000,
                latency => latency.min(500_000).into(),
            }),
            send_buffer: size(self.send_buffer, 256, 64 << 10),
            receive_buffer: size(self.receive_buffer, 256, 64 << 10),
            faults: Faults {
                short_reads: thousandths(self.short_reads),
                short_writes: thousandths(self.short_writes),
                spurious_readiness: thousandths(self.spurious),
                delayed_readiness: self.delayed.episode(),
                early_returns: thousandths(self.early),
                late_wakes: self.late_wakes.episode(),
                resets: thousandths(self.resets) / 100.0,
                reset_discards: thousandths(self.reset_discards),
                stalls: self.stalls.episode(),
                exhaustion: self.exhaustion.episode(),
                clock_jumps: self.clock_jumps.episode(),
                disk_capacity: (self.disk_bytes > 0).then_some(self.disk_bytes.into()),
                create_denied: thousandths(self.create_denied),
                // Of connections that the server makes.
                slow_connects: Episode {
                    chance: self.relayed(0.1),
                    up_to: Duration::from_millis(300),
                },
                refusals: self.relayed(0.1),
                unreachable: self.relayed(0.05),
                black_holes: self.relayed(0.02),
                connect_resets: self.relayed(0.1),
                slow_lookups: Episode {
                    chance: self.relayed(0.2),
                    up_to: Duration::from_secs(1),
                },
                lookup_failures: self.relayed(0.1),
                lookup_hangs: self.relayed(0.01),
                lookup_changes: self.relayed(0.3),
            },
        }
    }
}
