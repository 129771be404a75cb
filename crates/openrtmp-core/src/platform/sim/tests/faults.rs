//! One test for each fault; `tests.rs` has them all at once.

use super::*;

#[test]
fn short_reads_and_writes() {
    let sim = sim_with(Faults {
        short_reads: ALWAYS,
        short_writes: ALWAYS,
        ..Faults::default()
    });
    let (mut stream, mut client) = pair(&sim);
    let bytes = pattern(1000);
    let mut lengths = Vec::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (first, second) = rest.split_at(rest.len() / 2);
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        let length = stream.write_vectored(&slices).unwrap();
        assert!((1..=rest.len()).contains(&length));
        rest = &rest[length..];
        lengths.push(length);
    }
    assert!(lengths.len() > 2, "{lengths:?}");
    sim.advance(SECOND);
    // The client's own reads and writes are never short.
    let mut buffer = [0; 1000];
    assert_eq!(client.read(&mut buffer).unwrap(), 1000);
    assert_eq!(buffer.as_slice(), bytes);
    assert_eq!(client.write(&bytes).unwrap(), 1000);
    sim.advance(SECOND);
    let mut received = Vec::new();
    let mut reads = 0;
    while received.len() < 1000 {
        let length = stream.read(&mut buffer).unwrap();
        received.extend_from_slice(&buffer[..length]);
        reads += 1;
    }
    assert_eq!(received, bytes);
    assert!(reads > 2, "{reads}");
}

#[test]
fn spurious_readiness_finds_nothing() {
    let sim = sim_with(Faults {
        spurious_readiness: ALWAYS,
        ..Faults::default()
    });
    let (mut stream, _client) = pair(&sim);
    let (mut poller, _waker) = sim.poller().unwrap();
    let mut ready = Vec::new();
    poller.poll(None, &mut ready).unwrap();
    assert_eq!(ready, []);
    poller.add_stream(&mut stream, Token(4)).unwrap();
    poller.poll(None, &mut ready).unwrap();
    let readiness = Readiness {
        token: Token(4),
        readable: true,
        writable: false,
    };
    assert_eq!(ready, [readiness]);
    let error = stream.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn delayed_readiness_comes_within_its_span() {
    let sim = sim_with(Faults {
        delayed_readiness: always(SECOND),
        ..Faults::default()
    });
    let (mut stream, mut client) = pair(&sim);
    let (mut poller, _waker) = sim.poller().unwrap();
    poller.add_stream(&mut stream, Token(1)).unwrap();
    poller.poll(None, &mut Vec::new()).unwrap();
    client.write_all(b"late").unwrap();
    sim.advance(Duration::from_millis(1));
    assert!(!sim.is_due(poller.index()));
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 1);
    sim.advance(SECOND);
    assert!(sim.is_due(poller.index()));
    let mut ready = Vec::new();
    poller.poll(None, &mut ready).unwrap();
    assert_eq!(ready.len(), 1);
}

#[test]
fn an_early_return_keeps_what_it_had_to_say() {
    let sim = sim_with(Faults {
        early_returns: ALWAYS,
        ..Faults::default()
    });
    let (mut stream, mut client) = pair(&sim);
    let (mut poller, _waker) = sim.poller().unwrap();
    poller.add_stream(&mut stream, Token(1)).unwrap();
    client.write_all(b"x").unwrap();
    sim.advance(SECOND);
    let mut ready = Vec::new();
    poller.poll(None, &mut ready).unwrap();
    assert_eq!(ready, []);
    assert!(sim.is_due(poller.index()));
    poller.poll(None, &mut ready).unwrap();
    assert_eq!(ready.len(), 1);
}

#[test]
fn late_wakes_arrive() {
    let sim = sim_with(Faults {
        late_wakes: always(SECOND),
        ..Faults::default()
    });
    let (mut poller, waker) = sim.poller().unwrap();
    poller.poll(None, &mut Vec::new()).unwrap();
    waker.wake().unwrap();
    waker.wake().unwrap();
    assert!(!sim.is_due(poller.index()));
    assert!(sim.advance_to_next());
    assert!(sim.is_due(poller.index()));
    assert!(sim.now() > Time::ZERO && sim.now() <= Time::ZERO + SECOND);
}

#[test]
fn resets_strike_both_ends() {
    let faults = Faults {
        resets: ALWAYS,
        ..Faults::default()
    };
    let sim = sim_with(faults);
    let (mut stream, mut client) = pair(&sim);
    client.write_all(b"x").unwrap();
    let error = stream.write(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    sim.advance(SECOND);
    let error = client.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_reset_may_discard_what_was_received() {
    for (chance, expected) in [(0.0, Ok(4)), (ALWAYS, Err(ErrorKind::ConnectionReset))] {
        let sim = sim_with(Faults {
            reset_discards: chance,
            ..Faults::default()
        });
        let (mut stream, mut client) = pair(&sim);
        client.write_all(b"lost").unwrap();
        sim.advance(SECOND);
        client.reset();
        sim.advance(SECOND);
        let read = stream.read(&mut [0; 8]).map_err(|error| error.kind());
        assert_eq!(read, expected);
    }
}

#[test]
fn a_stalled_direction_goes_on_in_the_end() {
    let sim = sim_with(Faults {
        stalls: always(100 * SECOND),
        ..Faults::default()
    });
    let (mut stream, mut client) = pair(&sim);
    stream.write_all(b"held").unwrap();
    // No other stall begins; this one holds up what is written meanwhile too.
    sim.set_faults(Faults::default());
    stream.write_all(b" up").unwrap();
    sim.advance(Duration::from_millis(2));
    assert!(!client.readable());
    sim.advance(101 * SECOND);
    assert_eq!(client.read(&mut [0; 16]).unwrap(), 7);
}

#[test]
fn exhaustion_leaves_the_connection_waiting_without_an_edge() {
    let sim = Sim::new(7);
    let mut echo = Echo::new(&sim);
    let mut client = echo.connect();
    sim.set_faults(Faults {
        exhaustion: always(10 * SECOND),
        ..Faults::default()
    });
    while sim.waiting_connections() == 0 {
        assert!(echo.step());
    }
    echo.turn();
    assert!(echo.retry_accept);
    #[cfg(unix)]
    {
        let error = echo.listener.accept().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    }
    // No edge will come: the retry of the server is what gets it accepted.
    sim.set_faults(Faults::default());
    assert_eq!(echo.exchange(&mut client, b"at last"), b"at last");
    assert!(sim.now() < Time::ZERO + 11 * SECOND);
}

#[test]
fn the_time_of_day_jumps_and_the_monotonic_clock_does_not() {
    let sim = sim_with(Faults {
        clock_jumps: always(3600 * SECOND),
        ..Faults::default()
    });
    let times: Vec<SystemTime> = (0..50).map(|_| sim.wall_clock()).collect();
    assert!(times.windows(2).any(|pair| pair[1] > pair[0]));
    assert!(times.windows(2).any(|pair| pair[1] < pair[0]));
    assert_eq!(sim.now(), Time::ZERO);
    sim.set_faults(Faults::default());
    let noon = UNIX_EPOCH + 43_200 * SECOND;
    sim.set_wall_clock(noon);
    sim.advance(SECOND);
    assert_eq!(sim.wall_clock(), noon + SECOND);
}

#[test]
fn a_full_disk_takes_what_fits() {
    let sim = sim_with(Faults {
        disk_capacity: Some(10),
        ..Faults::default()
    });
    let mut first = sim.create_file(Path::new("a")).unwrap();
    let mut second = sim.create_file(Path::new("b")).unwrap();
    assert_eq!(first.write(b"123456").unwrap(), 6);
    assert_eq!(second.write(b"123456").unwrap(), 4);
    let error = second.write(b"5").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    // What is there may still be overwritten.
    first.seek(SeekFrom::Start(4)).unwrap();
    assert_eq!(first.write(b"abcd").unwrap(), 2);
    assert_eq!(sim.file("a").unwrap(), b"1234ab");
    assert_eq!(sim.file("b").unwrap(), b"1234");
    sim.set_faults(Faults::default());
    assert_eq!(second.write(b"5").unwrap(), 1);
}

#[test]
fn creating_a_file_may_be_denied() {
    let sim = sim_with(Faults {
        create_denied: ALWAYS,
        ..Faults::default()
    });
    let error = sim.create_file(Path::new("a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(sim.files().is_empty());
}
