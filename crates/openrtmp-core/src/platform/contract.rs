//! What every platform must do, as tests. A platform's `tests.rs` supplies a
//! [`Bed`] and lists them all with `contract_tests!`.

use std::fmt::Debug;
use std::io::{ErrorKind, IoSlice, Read, Result, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{Answer, File, Listener, Platform, Poller, Readiness, Stream, Token, Wake};

/// Turns to wait for something before giving up.
const PATIENCE: usize = 200;

/// How long one poll may wait, where time passes by itself.
const A_WHILE: Duration = Duration::from_millis(50);

/// Longer than any test takes.
const A_MINUTE: Duration = Duration::from_secs(60);

const LISTENER: Token = Token(0);
const STREAM: Token = Token(1);

/// A platform and what a test needs around it.
pub(super) trait Bed {
    type Platform: Platform<Stream: Debug, Listener: Debug, File: Debug>;
    type Peer: Peer;
    type Host: Host<Peer = Self::Peer>;

    fn platform(&self) -> &Self::Platform;
    fn connect(&self, address: SocketAddr) -> Self::Peer;
    /// Somebody who listens.
    fn host(&self) -> Self::Host;
    /// A name that resolves to loopback addresses.
    fn local_name(&self) -> &str;
    /// Lets time pass, where it does not by itself.
    fn pass(&self);
    /// A folder for files.
    fn folder(&self) -> PathBuf;
    fn read_file(&self, path: &Path) -> Vec<u8>;
}

/// The other end of a connection. It may block.
pub(super) trait Peer: Read + Write {
    fn address(&self) -> SocketAddr;
    fn shutdown_write(&self);
    fn reset(self);
}

/// A server that is not the platform's. It may block.
pub(super) trait Host {
    type Peer;
    fn address(&self) -> SocketAddr;
    fn accept(&self) -> Self::Peer;
}

macro_rules! contract_tests {
    ($bed:expr) => {
        $crate::platform::contract::contract_tests! {
            $bed =>
            port_zero_takes_a_free_port
            accept_tells_both_addresses
            accept_of_nobody_would_block
            a_new_connection_is_an_edge
            an_address_in_use_is_refused
            a_dropped_listener_frees_its_address
            ipv4_and_ipv6_share_a_port
            a_listener_that_listens_passes_its_probe
            a_connection_to_a_host_comes_about
            a_connection_to_oneself_comes_about
            a_connection_to_nobody_is_refused
            a_reset_meets_those_who_connected
            giving_up_a_connection_under_way_leaves_nothing
            an_address_is_its_own_answer
            a_host_name_has_addresses
            an_unknown_host_is_an_error
            bytes_go_both_ways
            vectored_writes_take_every_slice
            more_slices_than_the_system_takes_are_no_error
            a_drained_socket_is_reported_again
            bytes_before_watching_are_reported
            a_removed_stream_is_not_reported
            watching_for_writing_reports_at_once
            a_full_socket_becomes_writable_again
            the_peers_half_close_leaves_the_other_half
            shutdown_sends_what_was_written_first
            dropping_a_stream_ends_it
            a_reset_is_an_error
            writing_to_a_closed_connection_is_an_error
            a_wake_ends_the_next_poll
            a_wake_outlives_its_waker
            the_clock_goes_forward
            random_bytes_differ
            loopback_is_an_interface
            a_file_is_created_with_its_folders
            a_file_is_never_overwritten
            a_file_can_be_cut_off
            a_file_that_is_removed_makes_room_for_another
        }
    };
    ($bed:expr => $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::platform::contract::$name(&$bed);
            }
        )*
    };
}
pub(super) use contract_tests;

type PollerOf<B> = <<B as Bed>::Platform as Platform>::Poller;
type ListenerOf<B> = <<B as Bed>::Platform as Platform>::Listener;
type StreamOf<B> = <<B as Bed>::Platform as Platform>::Stream;

/// A listener, a poller and one accepted connection the poller watches.
struct Connected<'a, B: Bed> {
    bed: &'a B,
    poller: PollerOf<B>,
    stream: StreamOf<B>,
    peer: B::Peer,
}

impl<'a, B: Bed> Connected<'a, B> {
    fn new(bed: &'a B) -> Connected<'a, B> {
        let (mut poller, mut stream, peer) = accepted(bed);
        poller.add_stream(&mut stream, STREAM).unwrap();
        Connected {
            bed,
            poller,
            stream,
            peer,
        }
    }

    fn wait(&mut self, wanted: impl Fn(&Readiness) -> bool) {
        wait(self.bed, &mut self.poller, |ready| {
            ready.token == STREAM && wanted(ready)
        });
    }

    /// Reads at least `count` bytes, or to the end.
    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while bytes.len() < count {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => bytes.extend_from_slice(&buffer[..length]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    self.wait(|ready| ready.readable);
                }
            }
        }
        bytes
    }

    /// Reads until there is no more for now.
    fn drain(&mut self) {
        let mut buffer = [0; 4096];
        while self.stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
    }

    fn write_all(&mut self, mut bytes: &[u8]) {
        self.watch_writable(true);
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    self.wait(|ready| ready.writable);
                }
            }
        }
        self.watch_writable(false);
    }

    fn watch_writable(&mut self, on: bool) {
        let stream = &mut self.stream;
        self.poller.watch_writable(stream, STREAM, on).unwrap();
    }

    fn peer_reads(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        for _ in 0..PATIENCE {
            let most = (count - bytes.len()).min(buffer.len());
            match self.peer.read(&mut buffer[..most]) {
                Ok(0) => return bytes,
                Ok(length) => bytes.extend_from_slice(&buffer[..length]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    self.bed.pass();
                }
            }
            if bytes.len() == count {
                return bytes;
            }
        }
        panic!("the peer got {} of {count} bytes", bytes.len());
    }

    /// The result of the peer's next read that is not `WouldBlock`.
    fn peer_read(&mut self) -> Result<usize> {
        for _ in 0..PATIENCE {
            match self.peer.read(&mut [0; 64]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.bed.pass(),
                result => return result,
            }
        }
        panic!("nothing reached the peer");
    }

    /// Fails if the stream is reported although nothing happens.
    fn expect_silence(&mut self) {
        let mut ready = Vec::new();
        self.poller.poll(Some(Duration::ZERO), &mut ready).unwrap();
        assert_eq!(ready, []);
    }
}

pub(super) fn port_zero_takes_a_free_port(bed: &impl Bed) {
    let first = listen(bed).local_address().unwrap();
    let kept = listen(bed);
    let second = kept.local_address().unwrap();
    assert!(first.port() != 0 && second.port() != 0);
    assert_eq!(first.ip(), second.ip());
}

pub(super) fn accept_tells_both_addresses(bed: &impl Bed) {
    let mut listener = listen(bed);
    let address = listener.local_address().unwrap();
    let peer = bed.connect(address);
    let (mut poller, _waker) = bed.platform().poller().unwrap();
    let (stream, peer_address) = accept(bed, &mut poller, &mut listener);
    assert_eq!(peer_address, peer.address());
    assert_eq!(stream.local_address().unwrap(), address);
}

pub(super) fn accept_of_nobody_would_block(bed: &impl Bed) {
    let error = listen(bed).accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

pub(super) fn a_new_connection_is_an_edge(bed: &impl Bed) {
    let mut listener = listen(bed);
    let address = listener.local_address().unwrap();
    let (mut poller, _waker) = bed.platform().poller().unwrap();
    poller.add_listener(&mut listener, LISTENER).unwrap();
    let mut accepted = Vec::new();
    for _ in 0..3 {
        let _peer = bed.connect(address);
        wait(bed, &mut poller, |ready| {
            ready.token == LISTENER && ready.readable
        });
        accepted.push(listener.accept().unwrap());
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    poller.remove_listener(&mut listener).unwrap();
    let _peer = bed.connect(address);
    for _ in 0..3 {
        let mut ready = Vec::new();
        poller.poll(Some(Duration::ZERO), &mut ready).unwrap();
        assert_eq!(ready, []);
        bed.pass();
    }
}

pub(super) fn an_address_in_use_is_refused(bed: &impl Bed) {
    let listener = listen(bed);
    let address = listener.local_address().unwrap();
    let error = bed.platform().listen(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

pub(super) fn a_dropped_listener_frees_its_address(bed: &impl Bed) {
    let connected = Connected::new(bed);
    let address = connected.stream.local_address().unwrap();
    // The listener of the connection is gone, the connection is not.
    let again = bed.platform().listen(address).unwrap();
    assert_eq!(again.local_address().unwrap(), address);
}

pub(super) fn ipv4_and_ipv6_share_a_port(bed: &impl Bed) {
    let v4 = bed.platform().listen("0.0.0.0:0".parse().unwrap()).unwrap();
    let port = v4.local_address().unwrap().port();
    let address: SocketAddr = format!("[::]:{port}").parse().unwrap();
    match bed.platform().listen(address) {
        Ok(v6) => assert_eq!(v6.local_address().unwrap(), address),
        // A machine without IPv6, as many containers are.
        Err(error) => assert_ne!(error.kind(), ErrorKind::AddrInUse),
    }
}

pub(super) fn a_listener_that_listens_passes_its_probe(bed: &impl Bed) {
    let mut listener = listen(bed);
    let (mut poller, _waker) = bed.platform().poller().unwrap();
    for _ in 0..3 {
        listener.probe().unwrap();
        let _peer = bed.connect(listener.local_address().unwrap());
        listener.probe().unwrap();
        accept(bed, &mut poller, &mut listener);
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

pub(super) fn a_connection_to_a_host_comes_about(bed: &impl Bed) {
    let host = bed.host();
    let (poller, stream) = connect(bed, host.address());
    let stream = stream.unwrap();
    stream.set_unsent_limit(64 * 1024).unwrap();
    stream.set_unacknowledged_limit(A_MINUTE).unwrap();
    let peer = host.accept();
    let mut connected = Connected {
        bed,
        poller,
        stream,
        peer,
    };
    let stream = &connected.stream;
    assert!(stream.connected().unwrap(), "it still is");
    assert_eq!(stream.peer_address().unwrap(), host.address());
    let local = stream.local_address().unwrap();
    assert!(local.ip().is_loopback() && local.port() != 0);
    connected.write_all(b"hello");
    assert_eq!(connected.peer_reads(5), b"hello");
    connected.peer.write_all(b"world").unwrap();
    assert_eq!(connected.read(5), b"world");
    connected.peer.shutdown_write();
    assert_eq!(connected.read(1), b"");
}

pub(super) fn a_connection_to_oneself_comes_about(bed: &impl Bed) {
    let mut listener = listen(bed);
    let address = listener.local_address().unwrap();
    let (mut poller, stream) = connect(bed, address);
    let mut ours = stream.unwrap();
    let (mut theirs, from) = accept(bed, &mut poller, &mut listener);
    assert_eq!(from, ours.local_address().unwrap());
    assert_eq!(theirs.peer_address().unwrap(), from);
    assert_eq!(ours.peer_address().unwrap(), address);
    assert!(theirs.connected().unwrap());
    let other = Token(5);
    poller.add_stream(&mut theirs, other).unwrap();
    ours.write_all(b"to myself").unwrap();
    wait(bed, &mut poller, |r| r.token == other && r.readable);
    assert_eq!(theirs.read(&mut [0; 64]).unwrap(), 9);
    theirs.write_all(b"and back").unwrap();
    wait(bed, &mut poller, |r| r.token == STREAM && r.readable);
    assert_eq!(ours.read(&mut [0; 64]).unwrap(), 8);
}

pub(super) fn a_connection_to_nobody_is_refused(bed: &impl Bed) {
    let address = bed.host().address();
    let (_poller, stream) = connect(bed, address);
    assert_eq!(stream.err().unwrap().kind(), ErrorKind::ConnectionRefused);
}

pub(super) fn a_reset_meets_those_who_connected(bed: &impl Bed) {
    let host = bed.host();
    let (mut poller, stream) = connect(bed, host.address());
    let mut stream = stream.unwrap();
    host.accept().reset();
    wait(bed, &mut poller, |r| r.token == STREAM && r.readable);
    let error = stream.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

pub(super) fn giving_up_a_connection_under_way_leaves_nothing(bed: &impl Bed) {
    let host = bed.host();
    let (mut poller, _waker) = bed.platform().poller().unwrap();
    let mut stream = bed.platform().connect(host.address()).unwrap();
    poller.add_stream(&mut stream, STREAM).unwrap();
    poller.watch_writable(&mut stream, STREAM, true).unwrap();
    poller.remove_stream(&mut stream).unwrap();
    drop(stream);
    // Its token is free, and what becomes of the next attempt is the next one's.
    let (stream, _peer) = (connect_by(bed, &mut poller, host.address()), host.accept());
    assert!(stream.unwrap().connected().unwrap());
}

pub(super) fn an_address_is_its_own_answer(bed: &impl Bed) {
    for (host, address) in [("127.0.0.1", "127.0.0.1:1935"), ("::1", "[::1]:1935")] {
        let (answer, answers) = question();
        bed.platform().resolve(host, 1935, answer);
        let found = answers.try_recv().expect("at once").unwrap();
        assert_eq!(found, [address.parse().unwrap()]);
    }
}

pub(super) fn a_host_name_has_addresses(bed: &impl Bed) {
    let found = resolve(bed, bed.local_name()).unwrap();
    assert!(!found.is_empty());
    let local = |address: &SocketAddr| address.ip().is_loopback() && address.port() == 1935;
    assert!(found.iter().all(local), "{found:?}");
}

pub(super) fn an_unknown_host_is_an_error(bed: &impl Bed) {
    // Longer than a label may be (RFC 1035 section 2.3.4): no name server is asked.
    let name = "x".repeat(64);
    assert!(resolve(bed, &name).is_err());
}

pub(super) fn bytes_go_both_ways(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    connected.peer.write_all(b"hello").unwrap();
    assert_eq!(connected.read(5), b"hello");
    assert_eq!(connected.stream.write(b"world").unwrap(), 5);
    assert_eq!(connected.peer_reads(5), b"world");
}

pub(super) fn vectored_writes_take_every_slice(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    let slices = [b"one ".as_slice(), b"", b"two ", b"three"].map(IoSlice::new);
    assert_eq!(connected.stream.write_vectored(&slices).unwrap(), 13);
    assert_eq!(connected.peer_reads(13), b"one two three");
}

pub(super) fn more_slices_than_the_system_takes_are_no_error(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    let slices = vec![IoSlice::new(b"x"); 5000];
    let written = connected.stream.write_vectored(&slices).unwrap();
    assert!((1024..=5000).contains(&written), "{written}");
    assert_eq!(connected.peer_reads(written), vec![b'x'; written]);
}

pub(super) fn a_drained_socket_is_reported_again(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    for _ in 0..3 {
        connected.peer.write_all(b"again").unwrap();
        connected.wait(|ready| ready.readable);
        connected.drain();
        let error = connected.stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        connected.expect_silence();
    }
}

pub(super) fn bytes_before_watching_are_reported(bed: &impl Bed) {
    let (mut poller, mut stream, mut peer) = accepted(bed);
    peer.write_all(b"early").unwrap();
    bed.pass();
    poller.add_stream(&mut stream, STREAM).unwrap();
    wait(bed, &mut poller, |ready| {
        ready.token == STREAM && ready.readable
    });
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 5);
}

pub(super) fn a_removed_stream_is_not_reported(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    let stream = &mut connected.stream;
    connected.poller.remove_stream(stream).unwrap();
    assert!(connected.poller.remove_stream(stream).is_err());
    connected.peer.write_all(b"unheard").unwrap();
    for _ in 0..3 {
        connected.bed.pass();
        connected.expect_silence();
    }
    // Another poller may take it over, with what came in between.
    let (mut other, _waker) = bed.platform().poller().unwrap();
    other.add_stream(&mut connected.stream, Token(7)).unwrap();
    wait(bed, &mut other, |ready| {
        ready.token == Token(7) && ready.readable
    });
}

pub(super) fn watching_for_writing_reports_at_once(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    connected.expect_silence();
    for _ in 0..2 {
        connected.watch_writable(true);
        connected.wait(|ready| ready.writable);
        connected.expect_silence();
        connected.watch_writable(false);
        connected.expect_silence();
    }
}

pub(super) fn a_full_socket_becomes_writable_again(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    connected.stream.set_unsent_limit(16 * 1024).unwrap();
    connected.watch_writable(true);
    connected.wait(|ready| ready.writable);
    let mut written = 0;
    let error = loop {
        match connected.stream.write(&[0x55; 32 * 1024]) {
            Ok(length) => written += length,
            Err(error) => break error,
        }
        connected.bed.pass();
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let full = written;
    let mut read = 0;
    // The peer takes in what is there; the kernels' buffers are their affair.
    while read < full {
        read += connected.peer_read().unwrap();
    }
    connected.wait(|ready| ready.writable);
    assert!(connected.stream.write(b"more").unwrap() > 0);
}

pub(super) fn the_peers_half_close_leaves_the_other_half(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    connected.peer.write_all(b"last words").unwrap();
    connected.peer.shutdown_write();
    assert_eq!(connected.read(usize::MAX), b"last words");
    assert_eq!(connected.stream.read(&mut [0; 8]).unwrap(), 0);
    connected.write_all(b"answer");
    assert_eq!(connected.peer_reads(6), b"answer");
}

pub(super) fn shutdown_sends_what_was_written_first(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    connected.write_all(b"goodbye");
    connected.stream.shutdown_write().unwrap();
    assert_eq!(connected.peer_reads(7), b"goodbye");
    assert_eq!(connected.peer_read().unwrap(), 0);
    let error = connected.stream.write(b"too late").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let slices = [IoSlice::new(b"too"), IoSlice::new(b"late")];
    let error = connected.stream.write_vectored(&slices).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    connected.peer.write_all(b"still heard").unwrap();
    assert_eq!(connected.read(11), b"still heard");
}

pub(super) fn dropping_a_stream_ends_it(bed: &impl Bed) {
    let mut connected = Connected::new(bed);
    connected.write_all(b"bye");
    let (_, replacement, _peer) = accepted(bed);
    connected.stream = replacement;
    assert_eq!(connected.peer_reads(3), b"bye");
    assert_eq!(connected.peer_read().unwrap(), 0);
}

pub(super) fn a_reset_is_an_error(bed: &impl Bed) {
    let Connected {
        mut poller,
        mut stream,
        peer,
        ..
    } = Connected::new(bed);
    peer.reset();
    wait(bed, &mut poller, |ready| {
        ready.token == STREAM && ready.readable
    });
    let error = stream.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

pub(super) fn writing_to_a_closed_connection_is_an_error(bed: &impl Bed) {
    let Connected {
        mut stream, peer, ..
    } = Connected::new(bed);
    drop(peer);
    let slices = [IoSlice::new(b"is anybody "), IoSlice::new(b"there?")];
    let error = (0..PATIENCE).find_map(|_| {
        bed.pass();
        stream.write_vectored(&slices).err()
    });
    let kind = error.expect("the reset never came").kind();
    let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    assert!(expected.contains(&kind), "{kind}");
}

pub(super) fn a_wake_ends_the_next_poll(bed: &impl Bed) {
    let (mut poller, waker) = bed.platform().poller().unwrap();
    let before = bed.platform().now();
    for _ in 0..3 {
        waker.wake().unwrap();
        waker.wake().unwrap();
        let mut ready = Vec::new();
        let hour = Duration::from_secs(3600);
        poller.poll(Some(hour), &mut ready).unwrap();
        assert_eq!(ready, []);
    }
    let waited = bed.platform().now().since(before);
    assert!(waited < Duration::from_secs(60), "{waited:?}");
}

pub(super) fn a_wake_outlives_its_waker(bed: &impl Bed) {
    let (mut poller, waker) = bed.platform().poller().unwrap();
    let before = bed.platform().now();
    waker.wake().unwrap();
    drop(waker);
    let patience = Duration::from_secs(60);
    poller.poll(Some(patience), &mut Vec::new()).unwrap();
    let waited = bed.platform().now().since(before);
    assert!(waited < patience, "{waited:?}");
}

pub(super) fn the_clock_goes_forward(bed: &impl Bed) {
    let (mut poller, _waker) = bed.platform().poller().unwrap();
    let before = bed.platform().now();
    let wait = Duration::from_millis(20);
    while bed.platform().now().since(before) < wait {
        let left = wait - bed.platform().now().since(before);
        poller.poll(Some(left), &mut Vec::new()).unwrap();
        bed.pass();
    }
    let waited = bed.platform().now().since(before);
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

pub(super) fn random_bytes_differ(bed: &impl Bed) {
    let mut draws = [[0; 32]; 3];
    for draw in &mut draws {
        bed.platform().fill_random(draw).unwrap();
    }
    assert!(draws[0] != draws[1] && draws[1] != draws[2] && draws[0] != draws[2]);
}

pub(super) fn loopback_is_an_interface(bed: &impl Bed) {
    let interfaces = bed.platform().interfaces().unwrap();
    let loopback = interfaces.iter().find(|interface| interface.loopback);
    let loopback = loopback.expect("no loopback interface");
    assert!(loopback.address.is_loopback() && !loopback.name.is_empty());
}

pub(super) fn a_file_is_created_with_its_folders(bed: &impl Bed) {
    let path = bed.folder().join("app/live/show.flv");
    let mut file = bed.platform().create_file(&path).unwrap();
    file.write_all(b"....body").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(b"head").unwrap();
    assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), 8);
    file.write_all(b"+tail").unwrap();
    file.sync().unwrap();
    drop(file);
    assert_eq!(bed.read_file(&path), b"headbody+tail");
}

pub(super) fn a_file_is_never_overwritten(bed: &impl Bed) {
    let path = bed.folder().join("once.flv");
    let mut file = bed.platform().create_file(&path).unwrap();
    file.write_all(b"first").unwrap();
    let error = bed.platform().create_file(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let error = bed.platform().create_file(&path.join("below")).unwrap_err();
    let expected = [ErrorKind::NotADirectory, ErrorKind::AlreadyExists];
    assert!(expected.contains(&error.kind()), "{error}");
    assert_eq!(bed.read_file(&path), b"first");
}

pub(super) fn a_file_can_be_cut_off(bed: &impl Bed) {
    let path = bed.folder().join("cut.flv");
    let mut file = bed.platform().create_file(&path).unwrap();
    file.write_all(b"whole and half").unwrap();
    file.truncate(5).unwrap();
    assert_eq!(bed.read_file(&path), b"whole");
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(b"W").unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(b"!").unwrap();
    file.sync().unwrap();
    assert_eq!(bed.read_file(&path), b"Whole!");
}

pub(super) fn a_file_that_is_removed_makes_room_for_another(bed: &impl Bed) {
    let path = bed.folder().join("app/first.flv");
    for content in [b"first", b"again"] {
        let mut file = bed.platform().create_file(&path).unwrap();
        file.write_all(content).unwrap();
        drop(file);
        assert_eq!(bed.read_file(&path), content);
        bed.platform().remove_file(&path).unwrap();
    }
    let error = bed.platform().remove_file(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

fn listen<B: Bed>(bed: &B) -> ListenerOf<B> {
    let address = "127.0.0.1:0".parse().unwrap();
    bed.platform().listen(address).unwrap()
}

/// Connects, and watches for reading; tells why if it cannot.
fn connect<B: Bed>(bed: &B, address: SocketAddr) -> (PollerOf<B>, Result<StreamOf<B>>) {
    let (mut poller, _waker) = bed.platform().poller().unwrap();
    let stream = connect_by(bed, &mut poller, address);
    (poller, stream)
}

fn connect_by<B: Bed>(
    bed: &B,
    poller: &mut PollerOf<B>,
    address: SocketAddr,
) -> Result<StreamOf<B>> {
    let mut stream = bed.platform().connect(address)?;
    poller.add_stream(&mut stream, STREAM).unwrap();
    poller.watch_writable(&mut stream, STREAM, true).unwrap();
    loop {
        wait(bed, poller, |r| r.token == STREAM && r.writable);
        if stream.connected()? {
            break;
        }
    }
    poller.watch_writable(&mut stream, STREAM, false).unwrap();
    Ok(stream)
}

/// Asks for the addresses of a host and waits for them.
fn resolve(bed: &impl Bed, host: &str) -> Result<Vec<SocketAddr>> {
    let (answer, answers) = question();
    bed.platform().resolve(host, 1935, answer);
    for _ in 0..PATIENCE {
        if let Ok(found) = answers.recv_timeout(A_WHILE) {
            return found;
        }
        bed.pass();
    }
    panic!("no answer for {host}");
}

/// What to give to a resolver, and where its answer comes out.
fn question() -> (Answer, Receiver<Result<Vec<SocketAddr>>>) {
    let (sender, receiver) = channel();
    let answer = move |found| sender.send(found).expect("it is waited for");
    (Box::new(answer), receiver)
}

/// A connection that no poller watches; its listener is closed.
fn accepted<B: Bed>(bed: &B) -> (PollerOf<B>, StreamOf<B>, B::Peer) {
    let mut listener = listen(bed);
    let peer = bed.connect(listener.local_address().unwrap());
    let (mut poller, _waker) = bed.platform().poller().unwrap();
    let (stream, _) = accept(bed, &mut poller, &mut listener);
    (poller, stream, peer)
}

fn accept<B: Bed>(
    bed: &B,
    poller: &mut PollerOf<B>,
    listener: &mut ListenerOf<B>,
) -> (StreamOf<B>, SocketAddr) {
    poller.add_listener(listener, LISTENER).unwrap();
    wait(bed, poller, |ready| {
        ready.token == LISTENER && ready.readable
    });
    poller.remove_listener(listener).unwrap();
    listener.accept().unwrap()
}

/// Polls until something wanted is reported.
fn wait<B: Bed>(bed: &B, poller: &mut PollerOf<B>, wanted: impl Fn(&Readiness) -> bool) {
    let mut ready = Vec::new();
    for _ in 0..PATIENCE {
        poller.poll(Some(A_WHILE), &mut ready).unwrap();
        if ready.iter().any(&wanted) {
            return;
        }
        bed.pass();
    }
    panic!("waited in vain; reported were {ready:?}");
}
