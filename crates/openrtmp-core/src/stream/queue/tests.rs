use std::io::{self, IoSlice, Write};

use super::*;
use crate::stream::class::Class;
use crate::stream::test_packet;

/// Takes a few bytes at a time, then is full until the next round.
struct Socket {
    taken: Vec<u8>,
    /// Bytes that one write takes at most.
    step: usize,
    /// Writes before it is full.
    writes: usize,
}

impl Socket {
    fn new(step: usize, writes: usize) -> Socket {
        Socket {
            taken: Vec::new(),
            step,
            writes,
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.writes == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.writes -= 1;
        let bytes = slices.iter().flat_map(|s| s.iter());
        let before = self.taken.len();
        self.taken.extend(bytes.take(self.step));
        Ok(self.taken.len() - before)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn config(delay_ms: u64, bytes: usize) -> QueueConfig {
    QueueConfig {
        max_delay: Duration::from_millis(delay_ms),
        max_bytes: bytes,
        stall_timeout: Duration::from_secs(1),
        worker_bytes: 16 << 20,
        worker_messages: 1024,
        write_coalesce: Duration::ZERO,
        coalesce_bytes: 64 << 10,
        background_coalesce: Duration::ZERO,
        unsent_bytes: 0,
    }
}

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

fn packet(class: Class, timestamp: u32) -> SharedPacket {
    test_packet(class, timestamp, 100)
}

fn written(bytes: usize, end: WriteEnd) -> Written {
    Written { bytes, end }
}

/// Pushes packets of one stream, a millisecond apart.
fn filled(classes: &[Class]) -> (SendQueue, Lane) {
    let mut queue = empty();
    let mut lane = queue.lane(1);
    for (n, class) in classes.iter().enumerate() {
        queue.push_media(packet(*class, n as u32), &mut lane, at(n as u64));
    }
    (queue, lane)
}

fn empty() -> SendQueue {
    SendQueue::new(&Budget::new(usize::MAX))
}

fn times(queue: &SendQueue) -> Vec<u32> {
    let time = |entry: &Entry| match &entry.content {
        Content::Media(packet, _) => Some(packet.timestamp),
        Content::Control(_) => None,
    };
    queue.entries.iter().filter_map(time).collect()
}

/// What the entries are on the wire, after RTMP 1.0 section 5.3: fmt 0
/// headers, then fmt 3 before each further 128 bytes.
fn wire() -> (SendQueue, Vec<u8>) {
    let mut queue = empty();
    let [mut first, mut fifth] = [1, 5].map(|stream| queue.lane(stream));
    let mut wire = b"control".to_vec();
    queue.push_control(Bytes::from_static(b"control"), at(0));
    queue.push_media(test_packet(Class::Key, 0x010203, 300), &mut first, at(0));
    wire.extend([6, 1, 2, 3, 0, 1, 44, 9, 1, 0, 0, 0]);
    wire.extend([0; 128]);
    wire.push(0xC6);
    wire.extend([0; 128]);
    wire.push(0xC6);
    wire.extend([0; 44]);
    queue.push_media(test_packet(Class::Audio, 7, 1), &mut fifth, at(0));
    wire.extend([4, 0, 0, 7, 0, 0, 1, 8, 5, 0, 0, 0, 0]);
    queue.push_media(test_packet(Class::Data, u32::MAX, 2), &mut first, at(0));
    wire.extend([5, 255, 255, 255, 0, 0, 2, 18, 1, 0, 0, 0]);
    wire.extend([255, 255, 255, 255, 0, 0]);
    (queue, wire)
}

#[test]
fn what_is_written_is_the_same_wherever_writes_are_cut() {
    for step in 1..400 {
        for writes in [1, 3, usize::MAX] {
            let (mut queue, wire) = wire();
            let (mut taken, mut sent) = (Vec::new(), Vec::new());
            while !queue.is_empty() {
                let mut socket = Socket::new(step, writes);
                let written = queue
                    .write_to(&mut socket, 128, usize::MAX, |p| sent.push(p.timestamp))
                    .unwrap();
                assert_eq!(written.bytes, socket.taken.len());
                let end = match queue.is_empty() {
                    true => WriteEnd::Drained,
                    false => WriteEnd::Blocked,
                };
                assert_eq!(written.end, end);
                taken.extend(socket.taken);
            }
            assert_eq!(taken, wire, "{step} bytes at a time");
            assert_eq!(sent, [0x010203, 7, u32::MAX]);
            assert_eq!(queue.bytes(), 0);
        }
    }
}

#[test]
fn a_budget_ends_writing_soon_after_it_is_used() {
    let packets: Vec<Class> = vec![Class::Inter; 50];
    let (mut queue, _) = filled(&packets);
    let each = 12 + 100;
    for left in [40, 30, 20, 10] {
        let mut socket = Socket::new(usize::MAX, usize::MAX);
        let end = queue.write_to(&mut socket, 128, 10 * each, |_| ());
        assert_eq!(end.unwrap(), written(10 * each, WriteEnd::Budget));
        assert_eq!(queue.len(), left);
    }
    let mut socket = Socket::new(usize::MAX, usize::MAX);
    let end = queue.write_to(&mut socket, 128, 10 * each, |_| ());
    assert_eq!(end.unwrap(), written(10 * each, WriteEnd::Drained));
}

#[test]
fn a_socket_is_blocked_only_when_it_has_said_so() {
    let (mut queue, wire) = wire();
    let mut socket = Socket::new(10, 3);
    assert_eq!(
        queue
            .write_to(&mut socket, 128, usize::MAX, |_| ())
            .unwrap(),
        written(30, WriteEnd::Blocked)
    );
    assert_eq!(socket.writes, 0, "short writes are tried again");
    let mut socket = Socket::new(10_000, 1);
    let rest = wire.len() - 30;
    assert_eq!(
        queue
            .write_to(&mut socket, 128, usize::MAX, |_| ())
            .unwrap(),
        written(rest, WriteEnd::Drained)
    );
}

#[test]
fn more_slices_than_one_write_takes_go_out_in_several() {
    let mut queue = empty();
    let mut lane = queue.lane(1);
    for n in 0..500 {
        queue.push_media(packet(Class::Inter, n), &mut lane, at(0));
    }
    let mut socket = Socket::new(usize::MAX, usize::MAX);
    let mut sent = 0;
    queue
        .write_to(&mut socket, 128, usize::MAX, |_| sent += 1)
        .unwrap();
    assert_eq!(sent, 500);
    assert_eq!(socket.taken.len(), 500 * (12 + 100));
}

#[test]
fn errors_of_the_socket_are_told_and_interruptions_are_not() {
    struct Broken(Vec<io::ErrorKind>);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            match self.0.pop() {
                Some(kind) => Err(kind.into()),
                None => Ok(0),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let write = |kinds: Vec<io::ErrorKind>| {
        let result = wire()
            .0
            .write_to(&mut Broken(kinds), 128, usize::MAX, |_| ());
        result.map_err(|e| e.kind())
    };
    use io::ErrorKind::{BrokenPipe, Interrupted, WouldBlock, WriteZero};
    assert_eq!(write(vec![BrokenPipe, Interrupted]), Err(BrokenPipe));
    assert_eq!(
        write(vec![WouldBlock, Interrupted]),
        Ok(written(0, WriteEnd::Blocked))
    );
    assert_eq!(write(vec![]), Err(WriteZero));
}

#[test]
fn delay_is_that_of_the_oldest_frame_that_may_be_dropped() {
    use Class::{Audio, Inter, Key};
    let (mut queue, _) = filled(&[Key, Audio, Inter, Audio, Inter]);
    assert_eq!(queue.delay(at(10)), Duration::from_millis(8));
    let send = |queue: &mut SendQueue, packets| {
        let mut socket = Socket::new(12 + 100, packets);
        let sent = queue.write_to(&mut socket, 4096, usize::MAX, |_| {});
        sent.expect("a socket that takes them").end
    };
    assert_eq!(send(&mut queue, 3), WriteEnd::Blocked);
    assert_eq!(queue.delay(at(10)), Duration::from_millis(6));
    assert_eq!(queue.bytes(), 200);
    assert_eq!(send(&mut queue, 2), WriteEnd::Drained);
    assert_eq!(queue.delay(at(10)), Duration::ZERO);
}

#[test]
fn shedding_goes_to_the_newest_keyframe_if_that_is_enough() {
    use Class::{Audio, Inter, Key};
    let (mut queue, mut lane) = filled(&[Key, Inter, Audio, Inter, Key, Inter, Audio]);
    let mut gate = Gate::joining();
    gate.admit(&packet(Key, 0));
    // Frames 1 and 3 are too old, frame 5 is not.
    let frames = queue.push_through(
        &mut gate,
        &packet(Inter, 7),
        &mut lane,
        at(104),
        &config(100, 1 << 20),
    );
    assert_eq!(frames, 2);
    assert_eq!(times(&queue), [0, 2, 4, 5, 6, 7]);
    assert_eq!(queue.bytes(), 600);
    assert_eq!((gate.dropped(), gate.is_shedding()), (2, false));
}

#[test]
fn shedding_without_a_young_keyframe_waits_for_the_next() {
    use Class::{Audio, Header, Inter, Key};
    let (mut queue, mut lane) = filled(&[Key, Inter, Audio, Inter, Header]);
    let mut gate = Gate::joining();
    gate.admit(&packet(Key, 0));
    let config = config(100, 1 << 20);
    let mut push = |queue: &mut SendQueue, class, n: u32| {
        queue.push_through(
            &mut gate,
            &packet(class, n),
            &mut lane,
            at(200 + u64::from(n)),
            &config,
        )
    };
    assert_eq!(push(&mut queue, Inter, 5), 2);
    assert_eq!(push(&mut queue, Audio, 6), 0);
    assert_eq!(push(&mut queue, Inter, 7), 0);
    assert_eq!(push(&mut queue, Key, 8), 0);
    assert_eq!(push(&mut queue, Inter, 9), 0);
    assert_eq!(times(&queue), [0, 2, 4, 6, 8, 9]);
    // Two from the queue, two at the gate.
    assert_eq!(gate.dropped(), 4);
}

#[test]
fn too_many_bytes_shed_as_too_much_delay_does() {
    use Class::{Inter, Key};
    let (mut queue, mut lane) = filled(&[Key, Inter, Inter, Key, Inter]);
    let mut gate = Gate::joining();
    gate.admit(&packet(Key, 0));
    // 500 bytes: without 1 and 2 it is 300.
    assert_eq!(
        queue.push_through(
            &mut gate,
            &packet(Inter, 5),
            &mut lane,
            at(5),
            &config(10_000, 350)
        ),
        2
    );
    assert_eq!(times(&queue), [0, 3, 4, 5]);
    // Nothing helps but to drop all.
    assert_eq!(
        queue.push_through(
            &mut gate,
            &packet(Inter, 6),
            &mut lane,
            at(6),
            &config(10_000, 150)
        ),
        2
    );
    assert_eq!(times(&queue), [0, 3]);
    assert!(gate.is_shedding());
}

#[test]
fn a_frame_that_is_half_sent_is_not_dropped() {
    use Class::{Inter, Key};
    let (mut queue, mut lane) = filled(&[Inter, Inter, Inter]);
    let mut socket = Socket::new(50, 1);
    queue
        .write_to(&mut socket, 128, usize::MAX, |_| ())
        .unwrap();
    let mut gate = Gate::joining();
    gate.admit(&packet(Key, 0));
    let frames = queue.push_through(
        &mut gate,
        &packet(Inter, 3),
        &mut lane,
        at(900),
        &config(100, 1 << 20),
    );
    assert_eq!(frames, 2);
    assert_eq!(times(&queue), [0]);
    let mut rest = Socket::new(usize::MAX, 9);
    queue.write_to(&mut rest, 128, usize::MAX, |_| ()).unwrap();
    assert_eq!(socket.taken.len() + rest.taken.len(), 12 + 100);
}

#[test]
fn one_subscription_does_not_shed_the_frames_of_another() {
    use Class::{Inter, Key};
    let (mut queue, mut lane) = filled(&[Key, Inter]);
    let mut other = queue.lane(2);
    queue.push_media(packet(Key, 10), &mut other, at(2));
    queue.push_media(packet(Inter, 11), &mut other, at(3));
    let mut gate = Gate::joining();
    gate.admit(&packet(Key, 0));
    queue.push_through(
        &mut gate,
        &packet(Inter, 2),
        &mut lane,
        at(900),
        &config(100, 1 << 20),
    );
    assert_eq!(times(&queue), [0, 10, 11]);
}

/// What a push costs in entries looked at, at most, when so many wait.
fn dearest_push(waiting: u32, class: impl Fn(u32) -> Class) -> u64 {
    let mut queue = empty();
    let mut lane = queue.lane(1);
    let mut gate = Gate::joining();
    let config = config(100, usize::MAX / 4);
    queue.push_media(test_packet(Class::Inter, 0, 5000), &mut lane, at(0));
    let mut socket = Socket::new(1000, 1);
    queue
        .write_to(&mut socket, 128, usize::MAX, |_| ())
        .unwrap();
    let mut push = |queue: &mut SendQueue, n: u32| {
        let before = steps::taken();
        let now = at(1000 + u64::from(n));
        queue.push_through(
            &mut gate,
            &test_packet(class(n), n, 1),
            &mut lane,
            now,
            &config,
        );
        steps::taken() - before
    };
    for n in 0..waiting {
        push(&mut queue, n);
    }
    (waiting..waiting + 1000)
        .map(|n| push(&mut queue, n))
        .max()
        .unwrap_or(0)
}

#[test]
fn a_push_costs_the_same_however_many_wait() {
    let classes: [fn(u32) -> Class; 3] = [
        |_| Class::Key,
        |n| if n % 2 == 0 { Class::Key } else { Class::Inter },
        |n| match n % 3 {
            0 => Class::Key,
            1 => Class::Audio,
            _ => Class::Inter,
        },
    ];
    for class in classes {
        let (few, many) = (dearest_push(100, class), dearest_push(50_000, class));
        // Places are found by halving.
        assert!(few > 0 && many < few + 60, "{few} and {many}");
    }
}

#[test]
fn what_is_sent_and_dropped_is_looked_at_a_few_times_in_all() {
    let mut queue = empty();
    let mut lanes = [1, 2].map(|stream| queue.lane(stream));
    let mut gates = [(); 2].map(|()| Gate::joining());
    let config = config(50, usize::MAX / 4);
    let frames = 20_000u32;
    let before = steps::taken();
    for n in 0..frames {
        let which = (n / 7 % 2) as usize;
        let class = match n % 100 {
            0..7 => Class::Key,
            n if n % 2 == 0 => Class::Audio,
            _ => Class::Inter,
        };
        let now = at(u64::from(n) * 4);
        let (gate, lane) = (&mut gates[which], &mut lanes[which]);
        queue.push_through(gate, &packet(class, n), lane, now, &config);
        // It takes a little, now and then a whole frame.
        let mut socket = Socket::new(if n % 50 == 0 { 1500 } else { 7 }, 1);
        queue
            .write_to(&mut socket, 4096, usize::MAX, |_| ())
            .unwrap();
    }
    let each = (steps::taken() - before) / u64::from(frames);
    assert!(queue.len() > 3000, "{}", queue.len());
    assert!(each < 40, "{each} each");
}

#[test]
fn room_is_counted_and_given_back() {
    let budget = Budget::new(usize::MAX);
    let mut queue = SendQueue::new(&budget);
    let mut lane = queue.lane(2);
    for n in 0..10_000 {
        assert!(queue.reserve());
        queue.push_media(packet(Class::Audio, n), &mut lane, at(0));
    }
    assert!(budget.used() >= queue.entries.capacity() * size_of::<Entry>());
    assert!(queue.footprint() > 10_000 * (100 + size_of::<Entry>()));
    let mut socket = Socket::new(usize::MAX, usize::MAX);
    queue
        .write_to(&mut socket, 128, 9_500 * 112, |_| ())
        .unwrap();
    assert!(
        budget.used() < 2000 * size_of::<Entry>(),
        "{}",
        budget.used()
    );
    queue
        .write_to(&mut socket, 128, usize::MAX, |_| ())
        .unwrap();
    assert_eq!(budget.used(), 0);
    assert_eq!(socket.taken.len(), 10_000 * 112);
}
