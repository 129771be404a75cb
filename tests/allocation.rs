//! Memory that runs out, and memory that attacks take, seen by the allocator.
//!
//! Every allocation of [`LARGE`] bytes and more that a thread of the server makes
//! can be refused. Collections of Rust abort the process when that happens, unless
//! they are asked for room first: this test shows that wherever a peer's bytes
//! decide the size, they are.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::{ClientEvent, ClientMode, MediaKind};
use openrtmp_core::{Config, Server};

/// Smaller ones may not fail: see SECURITY.md.
const LARGE: usize = 32 * 1024;

const PATIENCE: Duration = Duration::from_secs(20);

/// Nothing is refused.
const NONE: usize = usize::MAX;

/// Large allocations of the server since [`refuse`].
static MADE: AtomicUsize = AtomicUsize::new(0);
/// The one to refuse.
static REFUSED: AtomicUsize = AtomicUsize::new(NONE);
/// Bytes that the server's threads hold, and the most they did.
static HELD: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    /// This thread is the test's, not the server's.
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
}

struct Meter;

impl Meter {
    /// False if this allocation is to be refused.
    fn admits(size: usize) -> bool {
        // A thread that ends has no locals any more; it takes nothing large.
        if size < LARGE || EXEMPT.try_with(Cell::get).unwrap_or(true) {
            return true;
        }
        MADE.fetch_add(1, Ordering::Relaxed) != REFUSED.load(Ordering::Relaxed)
    }

    fn count(bytes: isize) {
        if !EXEMPT.try_with(Cell::get).unwrap_or(true) {
            let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
            PEAK.fetch_max(held, Ordering::Relaxed);
        }
    }
}

// SAFETY: all memory comes from `System`; what is refused is refused as it does,
// with a null pointer. Counting allocates nothing: atomics, and a thread local
// that needs no initialisation and no destructor.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !Meter::admits(layout.size()) {
            return std::ptr::null_mut();
        }
        Meter::count(layout.size() as isize);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Meter::count(-(layout.size() as isize));
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !Meter::admits(size) {
            return std::ptr::null_mut();
        }
        Meter::count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static METER: Meter = Meter;

/// Refuses the large allocation of this number from now on, counted from 0.
fn refuse(number: usize) {
    REFUSED.store(number, Ordering::Relaxed);
    MADE.store(0, Ordering::Relaxed);
}

/// The most that the server's threads hold while something is done, beyond what
/// they held before.
fn peak_of(act: impl FnOnce()) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    act();
    usize::try_from(PEAK.load(Ordering::Relaxed) - before).unwrap_or(0)
}

fn start(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::desktop();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    config.workers = 1;
    // What a test waits for is that a stream is over.
    config.streams.republish_grace = Duration::ZERO;
    change(&mut config);
    Server::builder(config)
        .on_event(|_| {})
        .start()
        .expect("it starts")
}

fn client(server: &Server, mode: ClientMode, name: &str) -> Option<Client> {
    let url = format!("rtmp://{}/live/{name}", server.addresses()[0]);
    let url = RtmpUrl::parse(&url).expect("a URL");
    Client::connect(ClientConfig::new(url, mode)).ok()
}

/// A connection past its handshake, unless the server closes it.
fn shaken(server: &Server) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(server.addresses()[0])?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let mut hello = vec![0u8; 1 + 1536];
    hello[0] = 3;
    socket.write_all(&hello)?;
    let mut answer = vec![0u8; 1 + 2 * 1536];
    socket.read_exact(&mut answer)?;
    socket.write_all(&answer[1..1 + 1536])?;
    Ok(socket)
}

/// A message in one chunk, after a Set Chunk Size to the largest there is.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF];
    let length = (body.len() as u32).to_be_bytes();
    bytes.extend([
        3, 0, 0, 0, length[1], length[2], length[3], kind, 0, 0, 0, 0,
    ]);
    bytes.extend(body);
    bytes
}

/// The same on a message stream.
fn on_stream(stream: u8, mut message: Vec<u8>) -> Vec<u8> {
    message[24] = stream;
    message
}

/// The name, transaction and object that every command begins with.
fn command(name: &str, arguments: &[u8]) -> Vec<u8> {
    let mut body = vec![2, 0, name.len() as u8];
    body.extend(name.as_bytes());
    body.extend([0, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0]);
    body.extend(arguments);
    message(20, &body)
}

/// Commands whose values are large once decoded.
fn large_commands() -> Vec<Vec<u8>> {
    let connect = command("connect", b"\x03\x00\x03app\x02\x00\x04live\x00\x00\x09");
    // A string of 60,000 bytes, and one that is not UTF-8.
    let mut strings = vec![0x05];
    strings.extend(b"\x0c\x00\x00\xEA\x60");
    strings.extend([b'x'; 60_000]);
    strings.extend(b"\x0c\x00\x00\x4E\x20");
    strings.extend([0xFF; 20_000]);
    // A strict array of 5,000 nulls, an object of 2,000 members.
    let mut lists = vec![0x05];
    lists.extend(b"\x0a\x00\x00\x13\x88");
    lists.extend([0x05; 5000]);
    lists.push(0x03);
    for _ in 0..2000 {
        lists.extend(b"\x00\x01a\x05");
    }
    lists.extend(b"\x00\x00\x09");
    // AMF3: a byte array of 50,000 bytes, a vector of 10,000 numbers.
    let mut amf3 = vec![0x05];
    amf3.extend(b"\x11\x0c\x86\x8d\x21");
    amf3.extend([7; 50_000]);
    amf3.extend(b"\x11\x0d\x81\x9c\x21\x00");
    amf3.extend([0; 40_000]);
    let mut commands = vec![connect];
    commands.extend([strings, lists, amf3].map(|arguments| command("whatever", &arguments)));
    commands
}

/// Asks to be pinged back and waits for it, or for the end.
fn settle(socket: &mut TcpStream) {
    let mut ping = message(4, &[0, 6, 0x12, 0x34, 0x56, 0x78]);
    ping.drain(..16);
    // The server may have closed it: then the read tells.
    let _ = socket.write_all(&ping);
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    while !got.windows(6).any(|w| w == [0, 7, 0x12, 0x34, 0x56, 0x78]) {
        match socket.read(&mut buffer) {
            Ok(n) if n > 0 => got.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
}

/// Timestamp of the last frame of [`course`].
const LAST: u32 = 7000;

/// A frame of so many bytes.
fn frame(size: usize) -> Vec<u8> {
    let mut frame = vec![0x17, 1, 0, 0, 0];
    frame.resize(size, 7);
    frame
}

/// Publishes large and many messages, with a player that reads and one that does
/// not, and sends large commands. Whatever fails is the connection's end.
fn course(server: &Server) {
    for large in large_commands() {
        if let Ok(mut socket) = shaken(server) {
            let _ = socket.write_all(&large_commands()[0]);
            let _ = socket.write_all(&large);
            settle(&mut socket);
        }
    }
    let player = client(server, ClientMode::Play, "cam");
    let stuck = client(server, ClientMode::Play, "cam");
    let mut flood = shaken(server);
    if let Ok(socket) = &mut flood {
        // Answers of many kilobytes at once.
        let _ = socket.write_all(&large_commands()[0]);
        let ask = command("createStream", &[5]);
        let _ = socket.write_all(&ask.repeat(2000));
    }
    let Some(mut publisher) = client(server, ClientMode::Publish, "cam") else {
        return;
    };
    // More than the kernel holds for the one that is stuck.
    for n in 0..80 {
        if publisher
            .send(MediaKind::Video, n * 40, &frame(300_000))
            .is_err()
        {
            return;
        }
    }
    for time in 4000..=LAST {
        if publisher.send(MediaKind::Video, time, &frame(10)).is_err() {
            return;
        }
    }
    let _ = publisher.flush();
    if let Some(mut player) = player {
        let deadline = Deadline::after(PATIENCE);
        loop {
            match player.next_event(deadline) {
                Ok(Some(ClientEvent::Media(media))) if media.timestamp == LAST => break,
                // The publisher was cut off.
                Ok(Some(ClientEvent::StreamEof) | None) | Err(_) => break,
                Ok(Some(_)) => {}
            }
        }
    }
    drop((stuck, flood, publisher));
}

/// Waits until nobody is connected and nothing is held.
fn rest(server: &Server) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = server.metrics();
        if metrics.connections == 0 && metrics.memory == 0 && metrics.streams.is_empty() {
            assert_eq!(metrics.errors.internal, 0, "a panic was caught");
            return;
        }
        assert!(
            Instant::now() < deadline,
            "left behind: {}",
            metrics.to_json()
        );
        std::thread::yield_now();
    }
}

/// A stream is published and played: the server is well.
fn streams(server: &Server) {
    let mut player = client(server, ClientMode::Play, "well").expect("it accepts");
    let mut publisher = client(server, ClientMode::Publish, "well").expect("it accepts");
    publisher
        .send(MediaKind::Video, 0, &frame(100_000))
        .expect("it is taken");
    publisher.flush().expect("it is sent");
    loop {
        let deadline = Deadline::after(PATIENCE);
        match player.next_event(deadline).expect("it goes on") {
            Some(ClientEvent::Media(media)) if media.kind == MediaKind::Video => {
                assert_eq!(media.payload.len(), 100_000);
                return;
            }
            Some(_) => {}
            None => panic!("no frame came"),
        }
    }
}

/// One test, alone in its process: it counts what the process allocates.
#[test]
fn memory_is_refused_without_harm_and_attacks_take_little() {
    EXEMPT.set(true);
    any_large_allocation_may_fail();
    idle_connections_are_small();
    what_attacks_take_is_bounded();
}

fn any_large_allocation_may_fail() {
    let mut number = 0;
    loop {
        let server = start(|_| {});
        refuse(number);
        course(&server);
        let made = MADE.load(Ordering::Relaxed);
        refuse(NONE);
        rest(&server);
        streams(&server);
        rest(&server);
        server.stop(Duration::ZERO);
        if made <= number {
            break;
        }
        // Those of the frames are much alike: not each of them.
        number += if number < 30 { 1 } else { 7 };
    }
    assert!(number >= 30, "{number} large allocations: little was tried");
}

fn idle_connections_are_small() {
    const COUNT: usize = 200;
    let server = start(|_| {});
    streams(&server);
    rest(&server);
    let mut sockets = Vec::new();
    let taken = peak_of(|| {
        for _ in 0..COUNT {
            let mut socket = shaken(&server).expect("it accepts");
            settle(&mut socket);
            sockets.push(socket);
        }
    });
    assert!(taken < COUNT * 16 * 1024, "{} bytes each", taken / COUNT);
    server.stop(Duration::ZERO);
}

fn what_attacks_take_is_bounded() {
    const MIB: usize = 1 << 20;
    let server = start(|_| {});
    streams(&server);
    rest(&server);
    let connected = || {
        let mut socket = shaken(&server).expect("it accepts");
        socket.write_all(&large_commands()[0]).expect("sent");
        socket
    };

    // AMF: what one message of 128 KiB decodes to, of a command whose body is read.
    let mut bomb = vec![0x05];
    bomb.extend(b"\x0a\x00\x00\x3F\x00");
    bomb.extend([0x05; 0x3F00]);
    for _ in 0..30 {
        bomb.extend(b"\x02\x0F\xFF");
        bomb.extend([b'x'; 0xFFF]);
    }
    let taken = peak_of(|| {
        let mut socket = connected();
        let _ = socket.write_all(&command("play", &bomb));
        settle(&mut socket);
    });
    assert!(taken > MIB / 4, "{taken}: it was decoded");
    assert!(taken < 4 * MIB, "AMF: {taken}");
    rest(&server);

    // Nesting, a thousand deep, many times over.
    let nested = [0x0A, 0, 0, 0, 1].repeat(1000);
    let taken = peak_of(|| {
        for _ in 0..100 {
            let mut socket = connected();
            let _ = socket.write_all(&command("play", &nested));
            settle(&mut socket);
        }
    });
    assert!(taken < 4 * MIB, "nesting: {taken}");
    rest(&server);

    // Unfinished messages: 20 peers send 200,000 bytes each of one they never end.
    const SENT: usize = 200_000;
    let taken = peak_of(|| {
        let mut sockets: Vec<_> = (0..20).map(|_| connected()).collect();
        for socket in &mut sockets {
            let mut bytes = message(9, &[]);
            bytes.extend([6, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0]);
            bytes.extend([7; SENT]);
            socket.write_all(&bytes).expect("sent");
        }
        let deadline = Instant::now() + PATIENCE;
        while server.metrics().memory < 20 * SENT {
            assert!(Instant::now() < deadline, "it does not come");
            std::thread::yield_now();
        }
    });
    assert!(taken >= 20 * SENT, "{taken}: it was held");
    assert!(taken < 20 * 280 * 1024 + MIB / 2, "unfinished: {taken}");
    rest(&server);

    // Small parts of large messages: of half a MiB each, 8 bytes are kept.
    let publisher = |name: &str| {
        let mut socket = connected();
        let mut arguments = vec![5, 2, 0, name.len() as u8];
        arguments.extend(name.as_bytes());
        arguments.extend(b"\x02\x00\x04live");
        let publish = on_stream(1, command("publish", &arguments));
        socket.write_all(&publish).expect("sent");
        let key = on_stream(1, message(9, &frame(100)));
        socket.write_all(&key).expect("sent");
        socket
    };
    let frames = |server: &Server| {
        let streams = server.metrics().streams;
        streams
            .iter()
            .map(|stream| stream.gop_frames)
            .sum::<usize>()
    };
    let until = |what: &dyn Fn() -> bool| {
        let deadline = Instant::now() + PATIENCE;
        while !what() {
            assert!(Instant::now() < deadline, "it does not come");
            std::thread::yield_now();
        }
    };
    let taken = peak_of(|| {
        let mut socket = publisher("pin");
        let mut body = b"\x02\x00\x0d@setDataFrame".to_vec();
        body.resize(MIB / 2, 5);
        body.extend(b"\x02\x00\x01x\x02\x00\x01y");
        let pin = on_stream(1, message(20, &body));
        for _ in 0..40 {
            socket.write_all(&pin).expect("sent");
        }
        until(&|| frames(&server) > 40);
    });
    assert!(taken < 4 * MIB, "small parts: {taken}");
    rest(&server);

    // Playing again and again without reading: what is held is what is counted.
    let before = server.metrics().memory;
    let mut counted = 0;
    let taken = peak_of(|| {
        let mut flooder = publisher("tiny");
        let audio = on_stream(1, message(8, &[0xAF, 1]));
        flooder.write_all(&audio.repeat(2000)).expect("sent");
        until(&|| frames(&server) > 2000);
        let mut players: Vec<_> = (0..5).map(|_| connected()).collect();
        let play = on_stream(2, command("play", b"\x05\x02\x00\x04tiny"));
        for player in &mut players {
            player.write_all(&play.repeat(50)).expect("sent");
        }
        until(&|| {
            let queued = server.metrics().connections_list;
            let most = queued.iter().map(|c| c.queue_bytes).max();
            most.is_some_and(|most| most > 100_000)
        });
        counted = server.metrics().memory - before;
    });
    let bound = counted + counted / 10 + 4 * MIB;
    assert!(taken < bound, "play: {taken} held, {counted} counted");
    rest(&server);

    // Answers nobody reads.
    let taken = peak_of(|| {
        let mut socket = connected();
        let ask = command("FCPublish", b"\x05\x02\x00\x03cam").repeat(1000);
        while socket.write_all(&ask).is_ok() {}
    });
    assert!(taken < 8 * MIB, "answers: {taken}");
    rest(&server);
    server.stop(Duration::ZERO);
}
