//! Every setting: what may stand there, from when on a change of it holds, and what it
//! does. The one table from which documents are read and checked, and from which the
//! reference, the JSON Schema and the list in the C header are made.

use std::fmt;

use super::Config;
use super::schema::Kind::{
    self, Addresses, Bytes, Choice, Command, Duration as Time, Flag, Groups, Key, Keys, List,
    Number, Secret, Sockets, Text, TextOrOff, Url, WebAddresses, WebUrl,
};
use super::schema::{Range, optional, required};

/// A setting, by its path.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    path: &'static str,
    pub(super) kind: Kind,
    applies: Applies,
    text: &'static str,
}

/// From when on another value of a setting holds on a running server, see
/// [`Server::reconfigure`](crate::Server::reconfigure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// At once, for everything that there is.
    Now,
    /// For connections and streams that begin from then on.
    New,
    /// After a restart alone.
    Restart,
}

use Applies::{New, Now, Restart};

impl Setting {
    /// The dotted path, for example `rtmp.chunk_size`.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// What it does, in one line.
    pub fn description(&self) -> &'static str {
        self.text
    }

    /// From when on a change of it holds.
    pub fn applies(&self) -> Applies {
        self.applies
    }

    /// What may stand there, with its range, as what follows "expected".
    pub fn expected(&self) -> String {
        self.kind.to_string()
    }
}

impl fmt::Display for Applies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Applies::Now => "at once",
            Applies::New => "for what begins from then on",
            Applies::Restart => "after a restart",
        })
    }
}

impl Config {
    /// Every setting that there is.
    pub fn settings() -> &'static [Setting] {
        SETTINGS
    }
}

const fn setting(path: &'static str, kind: Kind, applies: Applies, text: &'static str) -> Setting {
    Setting {
        path,
        kind,
        applies,
        text,
    }
}

const fn range(least: u64, most: u64) -> Range {
    Range {
        least,
        most,
        or_zero: false,
    }
}

const fn off_or(least: u64, most: u64) -> Range {
    Range {
        least,
        most,
        or_zero: true,
    }
}

const LONG: u64 = u64::MAX;
const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// At least so much, as far as memory can hold it.
const fn least(least: u64) -> Range {
    range(least, usize::MAX as u64)
}

/// Any number of what memory holds, where none at all has a meaning of its own.
const HELD: Range = least(0);

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        "listen",
        Addresses,
        Now,
        "addresses with commas between them; port 0: a free one; [::] is IPv6 only; rtmps://ADDRESS:PORT speaks TLS; behind a proxy JSON: [{\"address\": ADDRESS, \"tls\": false, \"proxy_protocol\": true}]",
    ),
    setting(
        "tls.certificate",
        Text,
        New,
        "PEM file, or PEM text: the certificate, then those between it and its authority",
    ),
    setting(
        "tls.key",
        Key,
        New,
        "PEM file, or PEM text, of its private key; none: beside the certificate",
    ),
    setting(
        "tls.certificates",
        Groups(&[required("certificate", Text), required("key", Key)]),
        New,
        "more for other names, as JSON: [{\"certificate\": FILE, \"key\": FILE}]",
    ),
    setting(
        "tls.self_signed",
        Flag,
        New,
        "make a certificate if none is named",
    ),
    setting(
        "tls.state_directory",
        Text,
        New,
        "folder that keeps the key of such a certificate",
    ),
    setting(
        "tls.min_version",
        Choice(&["1.2", "1.3"]),
        New,
        "of TLS: 1.2 or 1.3",
    ),
    setting(
        "tls.cipher_suites",
        List,
        New,
        "names as IANA has them, the best first; none: all that are safe",
    ),
    setting(
        "tls.handshake_timeout",
        Time(range(100, 10 * MINUTE)),
        New,
        "ms to the end of the handshake of TLS, 100 to 600000",
    ),
    setting(
        "tls.acme.directory",
        Text,
        Now,
        "who gives certificates, with https://; the openrtmp command asks, the library waits for tls.acme.storage",
    ),
    setting(
        "tls.acme.ca",
        Text,
        Now,
        "PEM of the authority of its own HTTPS server; none: the system's",
    ),
    setting(
        "tls.acme.email",
        Text,
        Now,
        "where it writes before a certificate expires",
    ),
    setting(
        "tls.acme.domains",
        List,
        Now,
        "names that the certificate is for, without wildcards, up to 100; none: off",
    ),
    setting(
        "tls.acme.challenge",
        Choice(&["http-01", "tls-alpn-01"]),
        Now,
        "how it sees that they lead here: http-01 or tls-alpn-01",
    ),
    setting(
        "tls.acme.http_listen",
        Sockets,
        Now,
        "where http-01 is answered",
    ),
    setting(
        "tls.acme.storage",
        Text,
        Now,
        "folder for the account's key, and for certificate and key",
    ),
    setting(
        "tls.acme.eab.kid",
        Text,
        Now,
        "names the key that an authority hands out for accounts it knows",
    ),
    setting("tls.acme.eab.key", Secret, Now, "that key, as base64url"),
    setting(
        "tls.client_auth.mode",
        Choice(&["off", "optional", "required"]),
        New,
        "certificates of those who connect: off, optional or required",
    ),
    setting(
        "tls.client_auth.ca",
        Text,
        New,
        "PEM of the authorities whose certificates are good",
    ),
    setting(
        "tls.client_auth.pins",
        List,
        New,
        "pins of their keys, sha256//BASE64",
    ),
    setting(
        "tls.client.roots",
        Text,
        New,
        "whom to believe when connecting: system, bundled, or PEM",
    ),
    setting(
        "tls.client.pins",
        List,
        New,
        "pins of servers' keys, sha256//BASE64, in place of that",
    ),
    setting(
        "tls.client.certificate",
        Text,
        New,
        "PEM of the certificate to show to servers",
    ),
    setting("tls.client.key", Key, New, "PEM of its private key"),
    setting(
        "tls.client.insecure",
        Flag,
        New,
        "believe any server; for development alone",
    ),
    setting(
        "http.listen",
        WebAddresses,
        Restart,
        "where the openrtmp command, or a library built with `live`, delivers streams to viewers: http://ADDRESS:PORT, https://ADDRESS:PORT, with commas between them; auto: port 8080 of the addresses of listen, if it is free, by the command alone; none: nowhere",
    ),
    setting(
        "http.preset",
        Choice(&["lan", "balanced", "public"]),
        New,
        "how far behind viewers are to be: lan (parts of 0.2 s), balanced (0.334 s) or public (1 s)",
    ),
    setting(
        "http.window",
        Time(range(10_000, 6 * 60 * MINUTE)),
        New,
        "ms of a stream that viewers can go back, 10000 to 21600000",
    ),
    setting(
        "http.dash.low_latency",
        Flag,
        New,
        "DASH tells of segments that are not complete, if all are equally long",
    ),
    setting(
        "http.variants",
        List,
        Restart,
        "endings of names that are the same stream in other sizes, such as _low: cam_low is delivered as one of cam",
    ),
    setting(
        "http.base_url",
        Text,
        Now,
        "where they fetch media, in front of its path, for example https://cdn.example.org; none: where the master playlist was",
    ),
    setting(
        "http.cors.origins",
        List,
        Now,
        "pages of other sites that may use it, such as https://www.example.org; *: all",
    ),
    setting(
        "http.list",
        Choice(&["all", "allowed", "none"]),
        Now,
        "which streams are listed, at / and /api/streams: all, allowed (those that who asks may play), or none",
    ),
    setting(
        "http.memory",
        Bytes(HELD),
        Now,
        "of streams that are kept for viewers, all together; 0: half of limits.memory",
    ),
    setting(
        "http.viewers.connections",
        Number(range(1, 1_000_000)),
        Now,
        "of viewers at once, 1 to 1000000; an address has no more than are free",
    ),
    setting(
        "http.viewers.connections_per_address",
        Number(off_or(1, 1_000_000)),
        Now,
        "of one address, 1 to 1000000; 0: as many as there may be",
    ),
    setting(
        "http.viewers.requests",
        Number(range(8, 1024)),
        New,
        "of one HTTP/2 connection at once, 8 to 1024",
    ),
    setting(
        "http.viewers.waiting",
        Number(range(4, 1024)),
        Now,
        "requests of one connection that wait for what comes, 4 to 1024",
    ),
    setting(
        "http.viewers.waiting_per_stream",
        Number(range(16, 10_000_000)),
        Now,
        "the same of one stream, 16 to 10000000; an address has no more than are free",
    ),
    setting(
        "http.viewers.wanted",
        Number(range(1, 1_000_000)),
        Now,
        "streams that are begun for viewers or kept for them at once, 1 to 1000000; an address has no more than are free",
    ),
    setting(
        "http.viewers.least_rate",
        Bytes(range(0, 1 << 30)),
        Now,
        "per second that a viewer takes of an answer, 0 to 1073741824",
    ),
    setting(
        "http.tokens.keys",
        Keys,
        Restart,
        "secrets that tokens of viewers are signed with, 16 bytes or more, the first signs; none: one that is made at the start",
    ),
    setting(
        "http.tokens.life",
        Time(range(MINUTE, 30 * DAY)),
        New,
        "ms that a token of a viewer is good, 60000 to 2592000000",
    ),
    setting(
        "http.connections",
        Number(range(1, 65_536)),
        Now,
        "of the openrtmp command's HTTP server, 1 to 65536, then the silent are closed",
    ),
    setting(
        "http.requests",
        Number(range(1, u32::MAX as u64)),
        Now,
        "of one connection, then it is closed, 1 or more",
    ),
    setting(
        "http.header_bytes",
        Bytes(range(KIB, 64 * KIB)),
        Now,
        "of a request's head, 1024 to 65536",
    ),
    setting(
        "http.headers",
        Number(range(1, 1000)),
        Now,
        "fields of it, 1 to 1000",
    ),
    setting(
        "http.request_timeout",
        Time(range(100, 10 * MINUTE)),
        Now,
        "ms for a request to be complete, 100 to 600000",
    ),
    setting(
        "http.idle_timeout",
        Time(range(100, DAY)),
        Now,
        "ms for one to begin, 100 to 86400000",
    ),
    setting(
        "http.answer_timeout",
        Time(range(100, DAY)),
        Now,
        "ms for the peer to take an answer, 100 to 86400000",
    ),
    setting(
        "http.answer_bytes",
        Bytes(least(64 * KIB)),
        Now,
        "of answers that wait for peers, all together, 65536 or more",
    ),
    setting(
        "metrics.listen",
        Sockets,
        Now,
        "where the openrtmp command tells numbers and health over HTTP; none: nowhere",
    ),
    setting(
        "metrics.streams",
        Number(range(0, 100_000)),
        Now,
        "streams with series of their own in openrtmp_server_metrics_text(), to 100000",
    ),
    setting(
        "log.level",
        Choice(&["off", "error", "warn", "info", "debug", "trace"]),
        Now,
        "what the openrtmp command logs: off, error, warn, info, debug or trace",
    ),
    setting(
        "log.format",
        Choice(&["text", "json"]),
        Now,
        "of its lines: text, or a JSON object each",
    ),
    setting(
        "log.output",
        List,
        Now,
        "where they go: stderr, file, syslog (Unix), eventlog (Windows; a service's default), oslog (macOS) and logcat (Android), as many as there are to be; none: nowhere",
    ),
    setting(
        "log.file.path",
        Text,
        Now,
        "the file, in a folder that is there",
    ),
    setting(
        "log.file.max_bytes",
        Bytes(off_or(4 * KIB, LONG)),
        Now,
        "bytes, 4096 or more, then a new file; 0: never",
    ),
    setting(
        "log.file.max_age",
        Time(off_or(1000, 3650 * DAY)),
        Now,
        "ms, 1000 or more, then a new file; 0: never",
    ),
    setting(
        "log.file.keep",
        Number(range(0, 10_000)),
        Now,
        "files of before that are kept, to 10000",
    ),
    setting("log.file.gzip", Flag, Now, "they are compressed"),
    setting(
        "control.listen",
        TextOrOff,
        Now,
        "socket of the openrtmp command for openrtmp ctl: a path, auto (/run/openrtmp/ctl.sock if that can be had; on Windows \\\\.\\pipe\\openrtmp), or off",
    ),
    setting(
        "control.clients",
        Number(range(1, 256)),
        Now,
        "connections to it at once, 1 to 256",
    ),
    setting(
        "control.request_bytes",
        Bytes(range(KIB, MIB)),
        Now,
        "of one request, 1024 to 1048576",
    ),
    setting(
        "control.timeout",
        Time(range(100, DAY)),
        Now,
        "ms for a request to come, and for an answer to be taken, 100 to 86400000",
    ),
    setting(
        "hooks.on_publish",
        Command,
        Now,
        "program, with its arguments, that the openrtmp command runs while a stream is published; none: none",
    ),
    setting(
        "hooks.on_publish_done",
        Command,
        Now,
        "the same when a publisher has left",
    ),
    setting(
        "hooks.on_play",
        Command,
        Now,
        "the same while somebody plays, for each player",
    ),
    setting(
        "hooks.on_record_done",
        Command,
        Now,
        "the same when a recording is complete",
    ),
    setting(
        "hooks.on_demand",
        Command,
        Now,
        "the same while a stream is played that nobody else publishes: it is to publish it",
    ),
    setting(
        "hooks.processes",
        Number(range(1, 65_536)),
        Now,
        "of them at once, 1 to 65536",
    ),
    setting(
        "hooks.timeout",
        Time(range(1000, DAY)),
        Now,
        "ms that on_publish_done and on_record_done may run, 1000 to 86400000",
    ),
    setting(
        "hooks.stop_timeout",
        Time(range(0, 10 * MINUTE)),
        Now,
        "ms that a program may take to end when it is asked to, to 600000, then it is killed",
    ),
    setting(
        "hooks.demand_timeout",
        Time(range(1000, 10 * MINUTE)),
        Now,
        "ms for on_demand to publish, 1000 to 600000, then players are disconnected",
    ),
    setting(
        "hooks.idle_timeout",
        Time(range(0, DAY)),
        Now,
        "ms after its last player that on_demand is ended, to 86400000",
    ),
    setting(
        "hooks.log_lines",
        Number(range(0, 100_000)),
        Now,
        "a second of what one process writes that go to the log, to 100000; 0: none",
    ),
    setting(
        "workers",
        Number(range(0, 64)),
        Restart,
        "threads that move media, 1 to 64; 0: as many as cores",
    ),
    setting(
        "rtmp.chunk_size",
        Bytes(range(128, 65_536)),
        New,
        "bytes, 128 to 65536",
    ),
    setting(
        "rtmp.window_ack_size",
        Bytes(range(KIB, u32::MAX as u64)),
        New,
        "bytes, 1024 or more",
    ),
    setting(
        "rtmp.strict_handshake",
        Flag,
        New,
        "refuse peers whose C2 does not echo S1",
    ),
    setting(
        "rtmp.handshake_timeout",
        Time(range(100, 10 * MINUTE)),
        New,
        "ms to the end of the handshake, 100 to 600000",
    ),
    setting(
        "rtmp.connect_timeout",
        Time(range(100, 10 * MINUTE)),
        New,
        "ms from there to connect, 100 to 600000",
    ),
    setting(
        "rtmp.idle_timeout",
        Time(range(100, DAY)),
        New,
        "ms from there to publish or play, 100 to 86400000",
    ),
    setting(
        "rtmp.ping_interval",
        Time(off_or(1000, DAY)),
        Now,
        "ms of silence, 1000 to 86400000, then a ping; 0: never",
    ),
    setting(
        "streams.second_publisher",
        Choice(&["reject", "takeover", "wait"]),
        Now,
        "who stays: reject, takeover or wait",
    ),
    setting(
        "streams.publisher_timeout",
        Time(range(100, DAY)),
        Now,
        "ms of silence, then anybody may take over, 100 to 86400000",
    ),
    setting(
        "streams.media_timeout",
        Time(off_or(100, DAY)),
        Now,
        "ms without a byte of media, then a publish ends; 0: never",
    ),
    setting(
        "streams.message_timeout",
        Time(off_or(100, DAY)),
        Now,
        "ms without a whole message, then a publish ends; 0: never",
    ),
    setting(
        "streams.video_timeout",
        Time(off_or(100, DAY)),
        Now,
        "ms without a picture while sound goes on, 100 to 86400000, then that is told; 0: never",
    ),
    setting(
        "streams.goodbye_grace",
        Time(range(0, DAY)),
        New,
        "ms that players wait for one that said goodbye, to 86400000",
    ),
    setting(
        "streams.start_at_zero",
        Flag,
        New,
        "a new stream's clock begins at 0, not where its publisher's is",
    ),
    setting(
        "streams.all_tracks",
        Flag,
        Now,
        "also players that announce no multitrack get every track",
    ),
    setting(
        "streams.republish_grace",
        Time(range(0, DAY)),
        New,
        "ms that players wait for a publisher that vanished, to 86400000",
    ),
    setting(
        "streams.wait_for_publisher",
        Flag,
        Now,
        "players wait for streams that are not there",
    ),
    setting(
        "gop.min_duration",
        Time(range(0, MINUTE)),
        Now,
        "ms kept for who joins, in whole GOPs, to 60000",
    ),
    setting(
        "gop.max_duration",
        Time(range(0, 10 * MINUTE)),
        Now,
        "ms, to 600000: a longer GOP is not kept; 0: none",
    ),
    setting(
        "gop.max_frames",
        Number(HELD),
        Now,
        "nor one of more frames",
    ),
    setting("gop.max_bytes", Bytes(HELD), Now, "nor one of more bytes"),
    setting(
        "queue.max_delay",
        Time(range(10, 10 * MINUTE)),
        Now,
        "ms waiting, 10 to 600000, then video is dropped",
    ),
    setting(
        "queue.max_bytes",
        Bytes(least(64 * KIB)),
        Now,
        "the same by bytes, 65536 or more",
    ),
    setting(
        "queue.worker_bytes",
        Bytes(least(64 * KIB)),
        New,
        "of one stream, on their way to another worker, 65536 or more",
    ),
    setting(
        "queue.worker_messages",
        Number(least(16)),
        New,
        "the same in messages, 16 or more",
    ),
    setting(
        "queue.stall_timeout",
        Time(range(100, DAY)),
        Now,
        "ms of taking nothing, 100 to 86400000, then disconnected",
    ),
    setting(
        "queue.write_coalesce",
        Time(range(0, 350)),
        Now,
        "ms that packets are collected before they are written, to 350",
    ),
    setting(
        "queue.coalesce_bytes",
        Bytes(HELD),
        Now,
        "bytes that end such a wait early",
    ),
    setting(
        "queue.background_coalesce",
        Time(range(0, 350)),
        Now,
        "the same in the background at least, for reads of publishers too, to 350",
    ),
    setting(
        "queue.unsent_bytes",
        Bytes(off_or(16 * KIB, u32::MAX as u64)),
        New,
        "bytes that may wait in the system, 16384 or more; 0: any",
    ),
    setting(
        "access.publish_keys",
        Keys,
        Now,
        "keys with commas between them; none: everybody may",
    ),
    setting("access.play_keys", Keys, Now, "the same for playing"),
    setting(
        "access.users",
        Groups(&[required("user", Text), required("password", Secret)]),
        Now,
        "a list of {\"user\": \"ann\", \"password\": \"...\"}; none: nobody is asked",
    ),
    setting(
        "access.authenticate",
        Choice(&["everybody", "publishers"]),
        Now,
        "who has to be one of them: everybody, or publishers",
    ),
    setting(
        "access.challenge_timeout",
        Time(range(1000, 10 * MINUTE)),
        New,
        "ms to show the password in, 1000 to 600000",
    ),
    setting(
        "access.keys_file",
        Text,
        Now,
        "file of keys for one app each; with it nobody publishes without",
    ),
    setting(
        "access.revoke_ends_play",
        Flag,
        Now,
        "what is played ends with the key of that file that it began with",
    ),
    setting(
        "access.rules",
        Groups(&[
            optional("allow", Text),
            optional("deny", Text),
            optional("app", Text),
            optional("action", Choice(&["connect", "publish", "play"])),
        ]),
        Now,
        "who may come from where, the first that is about it decides: [{\"deny\": \"10.0.0.0/8\", \"action\": \"publish\"}]",
    ),
    setting(
        "access.trusted_proxies",
        List,
        Now,
        "networks of proxies, which may say where a peer really comes from",
    ),
    setting(
        "access.failed_attempts.limit",
        Number(range(0, 1_000_000)),
        Now,
        "wrong keys and refusals of one address, then it is blocked; 0: never",
    ),
    setting(
        "access.failed_attempts.window",
        Time(range(1000, DAY)),
        Now,
        "ms in which they count, 1000 to 86400000",
    ),
    setting(
        "access.failed_attempts.block",
        Time(range(1000, 30 * DAY)),
        Now,
        "ms that it is blocked, 1000 to 2592000000",
    ),
    setting(
        "access.callback.url",
        WebUrl,
        Now,
        "HTTP server that the openrtmp command asks who may do what; none: nobody is asked",
    ),
    setting(
        "access.callback.format",
        Choice(&["json", "nginx", "srs", "mediamtx"]),
        Now,
        "in whose words: json (ours), nginx, srs or mediamtx",
    ),
    setting(
        "access.callback.events",
        List,
        Now,
        "about what: connect, publish, play, update, and notices publish_done, play_done, record_done",
    ),
    setting(
        "access.callback.timeout",
        Time(range(100, MINUTE)),
        Now,
        "ms for one answer, 100 to 60000",
    ),
    setting(
        "access.callback.fallback",
        Choice(&["deny", "allow"]),
        Now,
        "what holds without an answer: deny or allow",
    ),
    setting(
        "access.callback.cache",
        Time(range(0, DAY)),
        Now,
        "ms that a consent holds for the same wish from the same address, to 86400000",
    ),
    setting(
        "access.callback.update_interval",
        Time(off_or(1000, DAY)),
        Now,
        "ms until it is asked again about what goes on, 1000 to 86400000; 0: never",
    ),
    setting(
        "access.callback.secret",
        Secret,
        Now,
        "signs each request (HMAC-SHA256)",
    ),
    setting(
        "access.callback.ca",
        Text,
        Now,
        "PEM of the authorities to believe in place of the system's",
    ),
    setting(
        "access.secret_names",
        Flag,
        Now,
        "true: the last segment of every name is a key, not shown",
    ),
    setting(
        "access.decision_timeout",
        Time(off_or(100, 10 * MINUTE)),
        New,
        "ms for on_access to be answered, 100 to 600000; 0: 10000",
    ),
    setting(
        "record.directory",
        Text,
        Now,
        "folder, made if missing; naming it records, \"record\" null does not",
    ),
    setting(
        "record.template",
        Text,
        Now,
        "file name with {app} {name} {date} {time} {index}",
    ),
    setting(
        "record.format",
        Choice(&["flv", "mp4"]),
        Now,
        "kind of files: flv, which holds everything, or mp4, which more programs play",
    ),
    setting(
        "record.time_zone",
        Choice(&["utc", "local"]),
        Now,
        "of {date} and {time}: utc, or local",
    ),
    setting(
        "record.apps",
        List,
        Now,
        "apps with commas between them; none: all",
    ),
    setting(
        "record.streams",
        Choice(&["all", "asked"]),
        Now,
        "all, or those whose publishers ask for it: they publish with the mode record or append",
    ),
    setting(
        "record.split_duration",
        Time(range(0, 365 * DAY)),
        Now,
        "ms, then a new file; 0: never",
    ),
    setting(
        "record.split_bytes",
        Bytes(range(0, LONG)),
        Now,
        "bytes, then a new file; 0: never",
    ),
    setting(
        "record.queue_bytes",
        Bytes(least(MIB)),
        Now,
        "bytes of a stream that wait for the disk, 1048576 or more",
    ),
    setting(
        "relay.push",
        Groups(&[required("match", Text), required("to", Url)]),
        Now,
        "a list of {\"match\": \"live/*\", \"to\": \"rtmp://host/{app}/{name}\"}",
    ),
    setting(
        "relay.pull",
        Groups(&[
            required("match", Text),
            required("from", Url),
            optional("start", Choice(&["demand", "always"])),
            optional("idle_timeout", Time(range(0, DAY))),
        ]),
        Now,
        "the same with \"from\", and with \"start\": \"demand\" or \"always\", \"idle_timeout\": ms",
    ),
    setting(
        "relay.retry_min",
        Time(range(10, 60 * MINUTE)),
        Now,
        "ms before another server is tried again, doubled each time, 10 to 3600000",
    ),
    setting(
        "relay.retry_max",
        Time(range(10, DAY)),
        Now,
        "ms that this grows to, to 86400000",
    ),
    setting(
        "mobile.background",
        Choice(&["stop", "grace", "audio", "service", "app"]),
        Now,
        "what the background means for the server: stop, grace, audio, service or app",
    ),
    setting(
        "mobile.suspend_margin",
        Time(range(1000, 30_000)),
        Now,
        "ms before the end of the system's time that the host is told to suspend, 1000 to 30000",
    ),
    setting(
        "mobile.network_grace",
        Time(range(0, 10 * MINUTE)),
        Now,
        "ms that streams are kept at least without network, and after a suspension, to 600000",
    ),
    setting(
        "mobile.networks",
        Choice(&["any", "wifi", "cellular"]),
        Now,
        "by which networks peers may come: any, wifi (all but cellular and VPN) or cellular",
    ),
    setting(
        "mobile.advertise",
        Flag,
        Now,
        "the host is told to advertise the server in the local network",
    ),
    setting(
        "limits.connections",
        Number(range(1, 1 << 24)),
        Now,
        "at once, 1 or more",
    ),
    setting(
        "limits.connections_per_address",
        Number(HELD),
        Now,
        "the same of one address; 0: no limit",
    ),
    setting(
        "limits.handshake_grace",
        Time(range(0, 10 * MINUTE)),
        Now,
        "ms, to 600000; then who has not got to connect makes room",
    ),
    setting(
        "limits.publishers",
        Number(range(1, 1 << 24)),
        Now,
        "at once, 1 or more",
    ),
    setting(
        "limits.publishers_per_connection",
        Number(range(1, 65_536)),
        Now,
        "of them, 1 or more",
    ),
    setting(
        "limits.publishers_per_address",
        Number(HELD),
        Now,
        "of them, from one address; 0: no limit",
    ),
    setting(
        "limits.connection_work",
        Time(off_or(1, 1000)),
        Now,
        "ms of a worker that one connection may take of each second; 0: any",
    ),
    setting(
        "limits.message_rate",
        Number(range(0, u32::MAX as u64)),
        Now,
        "messages a second that one connection may live on; 0: any",
    ),
    setting(
        "limits.publisher_bitrate",
        Number(range(0, LONG)),
        Now,
        "bit/s of one, then an event; 0: no limit",
    ),
    setting(
        "limits.disconnect_over_bitrate",
        Flag,
        Now,
        "and the publisher is disconnected",
    ),
    setting(
        "limits.outgoing_bitrate",
        Number(range(0, LONG)),
        Now,
        "bit/s of all, then an event; 0: no limit",
    ),
    setting(
        "limits.memory",
        Bytes(least(MIB)),
        Now,
        "bytes held for peers, 1048576 or more",
    ),
    setting(
        "limits.answer_bytes",
        Bytes(least(64 * KIB)),
        Now,
        "bytes of answers that a peer has not read, 65536 or more",
    ),
    setting(
        "limits.header_bytes",
        Bytes(least(64)),
        Now,
        "bytes of metadata and decoder configurations of a stream",
    ),
    setting(
        "limits.tracks",
        Number(least(1)),
        Now,
        "of a stream, looked into and told of; others are passed on",
    ),
    setting(
        "limits.linger",
        Time(range(0, MINUTE)),
        Now,
        "ms that a peer may read what was said last, to 60000",
    ),
    setting(
        "limits.linger_bytes",
        Bytes(HELD),
        Now,
        "bytes read and thrown away meanwhile",
    ),
    setting(
        "limits.accept_retry",
        Time(range(10, MINUTE)),
        Now,
        "ms after accepting failed, 10 to 60000",
    ),
    setting(
        "limits.challenges",
        Number(range(64, MIB)),
        Now,
        "the latest that may be answered, 64 to 1048576",
    ),
    setting(
        "limits.recordings",
        Number(range(0, 4096)),
        Now,
        "recordings that the host may have asked for, a thread each, to 4096",
    ),
    setting(
        "limits.relay_rules",
        Number(range(0, 65_536)),
        Now,
        "relays that the host may have added, to 65536",
    ),
    setting(
        "limits.relay_hops",
        Number(range(1, 63)),
        Now,
        "servers that a relayed stream may have come through, 1 to 63",
    ),
    setting(
        "limits.relay_redirects",
        Number(range(0, 100)),
        Now,
        "that a relay follows in a row, to 100",
    ),
    setting(
        "limits.log_lines",
        Number(range(0, u32::MAX as u64)),
        Now,
        "a second that peers can cause, of each kind; 0: no limit",
    ),
    setting(
        "limits.session.message_bytes",
        Bytes(range(KIB, 0xFF_FFFF)),
        New,
        "bytes of one message, 1024 to 16777215",
    ),
    setting(
        "limits.session.partial_bytes",
        Bytes(least(KIB)),
        New,
        "bytes of unfinished messages, 1024 or more",
    ),
    setting(
        "limits.session.command_bytes",
        Bytes(least(KIB)),
        New,
        "the same of who does not publish",
    ),
    setting(
        "limits.session.chunk_streams",
        Number(range(4, 65_598)),
        New,
        "of one connection, 4 to 65598",
    ),
    setting(
        "limits.session.message_streams",
        Number(range(1, 65_536)),
        New,
        "of one connection, 1 to 65536",
    ),
    setting(
        "limits.session.name_bytes",
        Bytes(least(16)),
        New,
        "bytes of an app or a stream's name, query included",
    ),
    setting(
        "limits.session.pending_requests",
        Number(range(1, 65_536)),
        New,
        "of one connection, 1 to 65536",
    ),
    setting(
        "limits.session.waiting_messages",
        Number(range(16, MIB)),
        New,
        "media behind an unanswered publish, 16 to 1048576",
    ),
    setting(
        "limits.session.amf.depth",
        Number(range(1, 64)),
        New,
        "levels of values in values, 1 to 64",
    ),
    setting(
        "limits.session.amf.string_bytes",
        Bytes(least(64)),
        New,
        "bytes of one text",
    ),
    setting(
        "limits.session.amf.elements",
        Number(least(16)),
        New,
        "of one message",
    ),
    setting(
        "limits.session.amf.decoded_bytes",
        Bytes(least(KIB)),
        New,
        "bytes of one message, decoded",
    ),
    setting(
        "limits.session.amf.values_per_byte",
        Number(range(2, KIB)),
        New,
        "of one message, references expanded, 2 to 1024",
    ),
    setting(
        "limits.session.amf.values_base",
        Number(HELD),
        New,
        "what a message may hold beside them",
    ),
];
