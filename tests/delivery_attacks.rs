//! What strangers send to the delivery of streams over HTTP, as fast as they can, beside a
//! stream that is played and watched: neither loses anything, and little is held.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openrtmp_core::PullRule;
use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::{ClientMode, MediaKind};
use openrtmp_live::Pass;
use openrtmp_media::hls::check::Checker;
use openrtmp_tests::followed::Looks;
use openrtmp_tests::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, H2, HEADERS, OK, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame, request,
};
use openrtmp_tests::innocents::{HEADER, Innocents, PATH};
use openrtmp_tests::journal::Journal;
use openrtmp_tests::siege::{
    Attack, Held, LINES, MEMORY, Target, alone, besieged, besieged_asking, besieged_over_tls,
    expect_few, picture,
};
use openrtmp_tests::wire::Spoken;
use openrtmp_tests::{Delivered, Web, found_at_last};

/// Bytes that is the same each time (xorshift).
fn garbage(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn directives_paths_ranges_and_tokens_of_every_wrong_form() {
    let directives: fn(&Target) = |target| {
        for query in [
            "_HLS_msn=18446744073709551615",
            "_HLS_msn=18446744073709551616&_HLS_part=1",
            "_HLS_msn=-1",
            "_HLS_part=0",
            "_HLS_msn=1&_HLS_msn=2",
            "_HLS_msn=0&_HLS_part=18446744073709551615",
            "_HLS_skip=YES&_HLS_skip=v2",
            "_HLS_skip=%00",
            "_HLS_msn=%F0%9F%98%80",
        ] {
            target.get(&format!("{}?{query}", target.playlist), "");
        }
        let long = "&_HLS_msn".repeat(800);
        target.get(&format!("{}?{long}", target.playlist), "");
    };
    let paths: fn(&Target) = |target| {
        for path in [
            "/live/../../etc/passwd",
            "/live/%2e%2e/%2e%2e/x.flv",
            "/live/%00.flv",
            "/live/%c0%ae%c0%ae/x.flv",
            "/live/%25%32%65/index.m3u8",
            "//",
            "*",
            "http://elsewhere/live/innocent/index.m3u8",
            "/live/innocent/0-0/v0/99999999999999999999.m4s",
        ] {
            target.get(path, "");
        }
        target.get(&format!("/{}", "a/".repeat(1000)), "");
        target.say("CONNECT elsewhere:1 HTTP/1.1\r\nHost: x\r\n\r\n");
        target.say("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    };
    let ranges: fn(&Target) = |target| {
        let folder = target.playlist.rsplit_once('/').unwrap().0;
        let init = format!("{folder}/v0/init0.mp4");
        let bomb = format!("Range: bytes={}0-\r\n", "0-,".repeat(1300));
        target.get(&init, &bomb);
        let known = format!("If-None-Match: {}\r\n", "\"a\",".repeat(1500));
        target.get(&init, &known);
        let codings = format!("Accept-Encoding: {}\r\n", "gzip;q=0,".repeat(800));
        target.get(&target.playlist, &codings);
        target.get(
            &init,
            "Range: bytes=18446744073709551615-\r\nRange: bytes=0-\r\n",
        );
    };
    let tokens: fn(&Target) = |target| {
        for token in ["a.b", "....", "%00", &"A".repeat(1000), &"A".repeat(7000)] {
            target.get(&format!("/v/{token}{}", target.playlist), "");
        }
    };
    besieged(
        |_| (),
        &[
            ("directives", true, directives),
            ("paths", true, paths),
            ("ranges", false, ranges),
            ("tokens", true, tokens),
        ],
    );
}

#[test]
fn requests_that_wait_by_the_thousand_and_are_given_up() {
    // All that can be waited for is taken by who is at one address.
    let parked: fn(&Target) = |target| {
        let Some((_, next)) = beyond(target, &target.playlist) else {
            return;
        };
        let mut waiting = Vec::new();
        while target.goes_on() && waiting.len() < 200 {
            // Who is elsewhere has as many places left.
            let head = "HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
            let Some(mut stream) = target.raw() else {
                break;
            };
            let request = format!("GET {next} {head}").repeat(2);
            let _ = stream.write_all(request.as_bytes());
            waiting.push(stream);
        }
        if let Some(first) = waiting.first_mut() {
            target.begins_with(first, b"HTTP/1.1 200");
        }
    };
    let reset: fn(&Target) = |target| {
        let Some((_, next)) = beyond(target, &target.playlist) else {
            return;
        };
        target.h2(|peer, stream| {
            peer.ask(stream, &next)?;
            // It waits when the ping is answered.
            peer.send(PING, 0, 0, &[0; 8])?;
            peer.next(PING).ok_or(std::io::ErrorKind::UnexpectedEof)?;
            peer.send(RST_STREAM, 0, stream, &8u32.to_be_bytes())
        });
    };
    besieged(
        |config| {
            config.access.trusted_proxies = vec!["127.0.0.1".to_owned()];
            config.http.viewers.waiting_per_stream = 64;
        },
        &[
            ("parked beyond a limit", true, parked),
            ("reset", false, reset),
        ],
    );
}

/// The segment that comes to be in a playlist, if there is one, and what asks for the one after
/// it, which is not there for seconds.
fn beyond(target: &Target, playlist: &str) -> Option<(u64, String)> {
    let request = format!("GET {playlist} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let listed = target.answer(request);
    let text = String::from_utf8_lossy(&listed).into_owned();
    let hint = text.split("TYPE=PART,URI=\"v0/").nth(1)?;
    let msn = hint.split('.').next()?.parse::<u64>().ok()?;
    Some((msn, format!("{playlist}?_HLS_msn={}", msn + 1)))
}

#[test]
fn thousands_of_requests_that_wait_at_the_limits_that_are_set_by_default() {
    // Each of 4 x 20 connections has as many as one may have, which is more than one stream of
    // HTTP/2 has to be reset for.
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let parked: fn(&Target) = |target| {
        let Some((_, next)) = beyond(target, &target.playlist) else {
            return;
        };
        let mut waiting = Vec::new();
        while target.goes_on() && waiting.len() < 20 {
            let Ok(mut peer) = H2::at(&target.place) else {
                break;
            };
            let asked = (0..60).all(|n| peer.ask(2 * n + 1, &next).is_ok());
            if !asked || peer.send(PING, 0, 0, &[0; 8]).is_err() {
                break;
            }
            waiting.push(peer);
        }
        // Those wait whose ping is answered before anything else is.
        let is_first = |peer: &mut H2| {
            let mut frames = std::iter::from_fn(|| peer.frame().map(|(kind, _)| kind));
            frames.find(|kind| matches!(*kind, PING | HEADERS)) == Some(PING)
        };
        let parked = waiting
            .iter_mut()
            .filter_map(|peer| is_first(peer).then_some(60));
        MOST.fetch_max(parked.sum(), Ordering::Relaxed);
        if let Some(first) = waiting.first_mut()
            && first
                .next(HEADERS)
                .is_some_and(|head| head.first() == Some(&OK))
        {
            target.is_heard();
        }
    };
    besieged(|_| (), &[("parked", false, parked)]);
    // Each of four attackers at once.
    let parked = MOST.load(Ordering::Relaxed);
    assert!(parked >= 1000, "{parked} requests of one attacker waited");
}

#[test]
fn forged_tokens_at_a_stream_that_is_not_public() {
    // One that is good is in the playlist's path.
    let forged: fn(&Target) = |target| {
        let token = target.playlist.split('/').nth(2).unwrap();
        let place = target.heard() % token.len();
        for (from, to) in [('A', 'B'), ('0', '1'), ('.', '/')] {
            let other = if token[place..].starts_with(from) {
                to
            } else {
                from
            };
            let forged = format!("{}{other}{}", &token[..place], &token[place + 1..]);
            target.get(&target.playlist.replacen(token, &forged, 1), "");
        }
        for cut in [&token[..place], &token[place..]] {
            target.get(&target.playlist.replacen(token, cut, 1), "");
        }
        // A good one, of another stream.
        let elsewhere = target.heavy.split('/').nth(2).unwrap();
        target.get(&target.playlist.replacen(token, elsewhere, 1), "");
        target.get(&target.playlist.replacen(&format!("/v/{token}"), "", 1), "");
    };
    let revoked: fn(&Target) = |target| {
        target.get(&format!("/{PATH}/index.m3u8?key=the-other-key"), "");
        target.get(&format!("/{PATH}.flv?key=the-key-that-was"), "");
    };
    besieged_asking(
        "?key=the-own-key",
        |config| {
            config.access.play_keys = vec!["the-own-key".to_owned()];
            // Who guesses and who is innocent are at one address here.
            config.access.failed_attempts.limit = 0;
        },
        &[
            ("forged tokens", true, forged),
            ("wrong keys", true, revoked),
        ],
    );
}

/// Another number each time.
fn another() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// Asks with a token in each place that one may stand in, from another address each time.
fn ask_with(target: &Target, token: &str) {
    let number = another();
    let from = format!(
        "X-Forwarded-For: 2001:db8:{:x}:{:x}::1\r\n",
        number >> 16 & 0xffff,
        number & 0xffff
    );
    let own = target.playlist.split('/').nth(2).unwrap();
    let plain = target.playlist.replacen(&format!("/v/{own}"), "", 1);
    let entry = format!("/{PATH}/index.m3u8");
    target.get(&format!("/v/{token}{plain}"), &from);
    target.get(&format!("/v/{token}{entry}"), &from);
    target.get(&format!("{entry}?token={token}"), &from);
    for (name, value) in [("Authorization", "Bearer "), ("Cookie", "__Host-openrtmp=")] {
        let header = format!("{from}{name}: {value}{token}\r\n");
        target.get(&plain, &header);
        target.get(&entry, &header);
    }
}

#[test]
fn tokens_that_open_nothing_wherever_they_may_stand() {
    const SECRET: &str = "the-secret-of-the-server";
    fn token(path: &str, expires: u64, secret: &str) -> String {
        let mut pass = Pass::new(path, expires);
        // None is like another.
        pass.viewer = another();
        pass.sign(secret).expect("a token")
    }
    let over: fn(&Target) = |target| ask_with(target, &token(PATH, 1 + another(), SECRET));
    let forged: fn(&Target) =
        |target| ask_with(target, &token(PATH, u64::MAX, "a-secret-of-somebody"));
    let elsewhere: fn(&Target) = |target| {
        ask_with(target, &token("live/elsewhere", u64::MAX, SECRET));
        ask_with(target, &token(&format!("{PATH}-2"), u64::MAX, SECRET));
    };
    let too_long: fn(&Target) = |target| {
        let good = token(PATH, u64::MAX, SECRET);
        let (payload, signature) = good.split_once('.').expect("two parts");
        ask_with(target, &format!("{payload}{}.{signature}", "A".repeat(900)));
        ask_with(target, &format!("{good}{}", "A".repeat(6000)));
        ask_with(target, &".".repeat(6000));
    };
    besieged_asking(
        "?key=the-own-key",
        |config| {
            config.access.play_keys = vec!["the-own-key".to_owned()];
            config.access.trusted_proxies = vec!["127.0.0.1".to_owned()];
            config.http.tokens.keys = vec![SECRET.to_owned()];
        },
        &[
            ("tokens that are over", true, over),
            ("forged tokens", true, forged),
            ("tokens of other streams", true, elsewhere),
            ("tokens that are too long", true, too_long),
        ],
    );
}

#[test]
fn heads_that_never_end_and_such_as_contradict_themselves() {
    let endless: fn(&Target) = |target| {
        let mut open = Vec::new();
        while target.goes_on() && open.len() < 100 {
            let Some(mut stream) = target.raw() else {
                break;
            };
            let _ = stream.write_all(b"GET /time HTTP/1.1\r\nHost: x\r\nX-Slow: ");
            open.push(stream);
            let Ok(mut peer) = H2::at(&target.place) else {
                break;
            };
            if peer.next(SETTINGS).is_some() {
                target.is_heard();
            }
            let _ = peer.send(HEADERS, END_STREAM, 1, &request("/time"));
            if let Some(mut stream) = target.raw() {
                let _ = stream.write_all(b"PRI * HTTP/2.0\r\n");
            }
        }
    };
    let contradicting: fn(&Target) = |target| {
        for head in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Content-Length: 5\nContent-Length: 6\r\n",
            "Expect: 100-continue\r\nContent-Length: 1000000\r\n",
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQ\r\n",
            "Host: y\r\nHost: z\r\n",
            " folded: x\r\n",
            "X : y\r\n",
            "X\0: y\r\n",
        ] {
            target.get("/time", head);
        }
        target.say("GET /time HTTP/1.1\nHost: x\n\n");
        target.say("GET /time\r\n\r\n");
        target.say("GET /time HTTP/9.9\r\n\r\n");
        target.say(garbage(4096));
        target.say(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03");
        target.say(format!(
            "POST /time HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}",
            "X: y\r\n".repeat(5000)
        ));
    };
    let bombs: fn(&Target) = |target| {
        target.get("/time", &"X: y\r\n".repeat(1000));
        target.get("/time", &format!("X: {}\r\n", "y".repeat(100_000)));
        // A field that is remembered, and then meant by a byte, a thousand times.
        let mut bomb = request("/time");
        bomb.extend_from_slice(b"\x40\x01x\x7f\xb9\x16");
        bomb.extend_from_slice(&[b'y'; 3000]);
        bomb.extend_from_slice(&[0xbe; 1000]);
        target.h2(|peer, stream| peer.send(HEADERS, END_STREAM | END_HEADERS, stream, &bomb));
    };
    let attacks = [
        ("endless heads", false, endless),
        ("contradicting heads", true, contradicting),
        ("bombs", true, bombs),
    ];
    besieged(|_| (), &attacks);
    besieged_over_tls(|_| (), &attacks);
}

#[test]
fn handshakes_that_never_end_and_such_as_are_none() {
    /// A greeting of TLS, as it is sent.
    fn hello(target: &Target) -> Vec<u8> {
        let mut records = Vec::new();
        if let Ok(Some(mut tls)) = target.place.hello(Spoken::Http2) {
            let _ = tls.write_tls(&mut records);
        }
        records
    }
    // They are ended where nothing comes of them.
    let begun: fn(&Target) = |target| {
        let hello = hello(target);
        let mut open = Vec::new();
        while target.goes_on() && open.len() < 100 {
            let Ok(mut socket) = TcpStream::connect(target.place.address) else {
                break;
            };
            // Nothing at all, a part of it, and all without what has to follow.
            let length = [0, 5, hello.len() / 2, hello.len()][open.len() % 4];
            let _ = socket.write_all(&hello[..length]);
            open.push(socket);
        }
        for mut socket in open.into_iter().take(4) {
            let _ = socket.set_read_timeout(Some(Duration::from_secs(15)));
            if socket.read_to_end(&mut Vec::new()).is_ok() {
                target.is_heard();
            }
        }
    };
    let trickled: fn(&Target) = |target| {
        let Ok(mut socket) = TcpStream::connect(target.place.address) else {
            return;
        };
        let _ = socket.set_read_timeout(Some(Duration::from_millis(20)));
        for byte in hello(target) {
            // A little later each, until the server has had enough.
            let is_over = !matches!(socket.read(&mut [0]), Err(error) if would_block(&error));
            if is_over || !target.goes_on() || socket.write_all(&[byte]).is_err() {
                return target.is_heard();
            }
        }
    };
    let senseless: fn(&Target) = |target| {
        let hello = hello(target);
        let mut other = hello.clone();
        if let Some(byte) = other.get_mut(another() as usize % hello.len().max(1)) {
            *byte ^= 0xff;
        }
        for said in [
            other,
            garbage(4096),
            b"\x16\x03\x01\xff\xff".repeat(1000),
            b"\x14\x03\x03\0\x01\x01".repeat(10_000),
            [&hello[..], b"\x17\x03\x03\x40\0", &garbage(16 << 10)].concat(),
            hello.repeat(3),
            b"GET /time HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ] {
            let Ok(mut socket) = TcpStream::connect(target.place.address) else {
                return;
            };
            let _ = socket.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = socket.write_all(&said);
            let _ = socket.shutdown(Shutdown::Write);
            // An alert, an end, or a reset: what was said was heard.
            let _ = socket.read_to_end(&mut Vec::new());
            target.is_heard();
        }
    };
    besieged_over_tls(
        |config| config.tls.handshake_timeout = Duration::from_secs(1),
        &[
            ("handshakes that stop", true, begun),
            ("handshakes byte by byte", true, trickled),
            ("no handshakes", true, senseless),
        ],
    );
}

fn would_block(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

#[test]
fn floods_of_frames_whether_their_answers_are_read_or_not() {
    let mut attacks: Vec<fn(&Target)> = vec![
        |target| {
            target.h2(|peer, stream| {
                peer.ask(stream, "/time")?;
                peer.send(RST_STREAM, 0, stream, &8u32.to_be_bytes())
            });
        },
        |target| {
            target.h2(|peer, stream| {
                if stream == 1 {
                    peer.send(HEADERS, END_STREAM, 1, &request("/time"))?;
                }
                peer.send(CONTINUATION, 0, 1, &b"\x00\x01x\x01y".repeat(1000))
            });
        },
        |target| target.h2(|peer, _| peer.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])),
        |target| target.h2(|peer, _| peer.send(PING, 0, 0, &[7; 8])),
    ];
    // Who reads the answers is not slow.
    attacks.extend([
        |target: &Target| target.h2_heard(|_| frame(PING, 0, 0, &[7; 8]).repeat(500)),
        |target: &Target| {
            target.h2_heard(|_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(500));
        },
        |target: &Target| {
            target.h2_heard(|_| frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 16]).repeat(500));
        },
        |target: &Target| {
            target.h2_heard(|_| frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()).repeat(500));
        },
        |target: &Target| {
            // A body that is not taken, of nothing, without an end.
            target.h2_heard(|stream| match stream {
                1 => frame(HEADERS, END_HEADERS, 1, &request("/time")),
                _ => frame(DATA, 0, 1, &[]).repeat(500),
            });
        },
    ]);
    let named = attacks.into_iter().map(|attack| ("a flood", false, attack));
    let named: Vec<Attack> = named.collect();
    besieged(|_| (), &named);
    besieged_over_tls(|_| (), &named);
}

#[test]
fn websockets_that_lie_that_shout_and_that_never_close() {
    // A frame of 2^63 bytes, one of a megabyte, one that is not masked, one of an unknown kind.
    let lies: fn(&Target) = |target| {
        let most = [0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        for frame in [
            [&[0x82][..], &most, &[0; 4]].concat(),
            [
                &[0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0],
                &[0; 4][..],
                &garbage(4096),
            ]
            .concat(),
            b"\x82\x05hello".to_vec(),
            b"\xf3\x80\0\0\0\0".to_vec(),
            b"\x89\xfe\x01\0\0\0\0\0".to_vec(),
        ] {
            if let Some(mut socket) = target.socket() {
                let _ = socket.write_all(&frame);
                // Its end, or a little of the stream.
                let mut buffer = [0; 16 << 10];
                for _ in 0..20 {
                    if !matches!(socket.read(&mut buffer), Ok(1..)) {
                        break;
                    }
                }
            }
        }
    };
    let shouts: fn(&Target) = |target| {
        let Some(mut socket) = target.socket() else {
            return;
        };
        let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(2000);
        while target.goes_on() && socket.write_all(&pings).is_ok() {}
    };
    // The beginning of a message that goes on in pieces of nothing.
    let pieces: fn(&Target) = |target| {
        let Some(mut socket) = target.socket() else {
            return;
        };
        let mut frames = b"\x02\x80\0\0\0\0".to_vec();
        while target.goes_on() && socket.write_all(&frames).is_ok() {
            frames = [0, 0x80, 0, 0, 0, 0].repeat(2000);
        }
    };
    let leaves: fn(&Target) = |target| {
        if let Some(mut socket) = target.socket() {
            let _ = socket.write_all(b"\x88\x82\0\0\0\0\x03\xe8");
            let _ = socket.read(&mut [0; 64]);
        }
    };
    besieged(
        |_| (),
        &[
            ("lies", false, lies),
            ("shouts", false, shouts),
            ("pieces", false, pieces),
            ("leaves", false, leaves),
        ],
    );
}

#[test]
fn answers_that_nobody_takes_and_requests_without_end() {
    let untaken: fn(&Target) = |target| {
        let mut open = Vec::new();
        while target.goes_on() && open.len() < 100 {
            let Some(mut stream) = target.raw() else {
                break;
            };
            let request = format!("GET /{PATH}.flv HTTP/1.1\r\nHost: x\r\n\r\n");
            let _ = stream.write_all(request.as_bytes());
            open.push(stream);
        }
        if let Some(first) = open.first_mut() {
            target.begins_with(first, b"HTTP/1.1 200");
        }
    };
    // Whole segments of some 1 MB, of which nothing is read.
    let segments: fn(&Target) = |target| {
        let Some(newest) = beyond(target, &target.heavy) else {
            return;
        };
        let folder = target.heavy.rsplit_once('/').unwrap().0;
        let mut open = Vec::new();
        while target.goes_on() && open.len() < 50 {
            let Some(mut stream) = target.raw() else {
                break;
            };
            // The newest that is complete.
            let path = format!("{folder}/v0/{}.m4s", newest.0.saturating_sub(1));
            let _ = stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
            open.push(stream);
        }
        if let Some(first) = open.first_mut() {
            target.begins_with(first, b"HTTP/1.1 200");
        }
    };
    let narrow: fn(&Target) = |target| {
        target.h2(|peer, stream| {
            if stream == 1 {
                // No room in any window.
                peer.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])?;
            }
            peer.ask(stream, &format!("/{PATH}.flv"))?;
            match stream {
                0..500 => Ok(()),
                _ => Err(std::io::ErrorKind::Other.into()),
            }
        });
    };
    let pipelined: fn(&Target) = |target| {
        let Some(mut stream) = target.raw() else {
            return;
        };
        let requests = "GET /time HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
        if stream.write_all(requests.as_bytes()).is_ok() {
            target.begins_with(&mut stream, b"HTTP/1.1 200");
        }
        while target.goes_on() && stream.write_all(requests.as_bytes()).is_ok() {}
    };
    let codes: fn(&Target) = |target| {
        target.get(&format!("/api/qr?text={}", "a".repeat(1000)), "");
        target.get("/api/streams", "");
        target.get(&format!("/{PATH}/ts/index.m3u8"), "");
        target.get(&format!("/{PATH}/manifest.mpd"), "");
        target.get(&format!("/{PATH}/picture.mp4"), "");
    };
    let wanted: fn(&Target) = |target| {
        let name = target as *const Target as usize;
        let Some(mut stream) = target.raw() else {
            return;
        };
        let request = format!("GET /wanted/{name}/index.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n");
        let _ = stream.write_all(request.as_bytes());
        target.begins_with(&mut stream, b"HTTP/1.1 404");
    };
    besieged(
        |config| {
            config.relay.pull = vec![PullRule::new("wanted/*", "rtmp://127.0.0.1:1/{app}/{name}")];
        },
        &[
            ("untaken", false, untaken),
            ("untaken segments", false, segments),
            ("narrow windows", false, narrow),
            ("pipelined", false, pipelined),
            ("codes", true, codes),
            ("wanted", false, wanted),
        ],
    );
}

/// What an encoder sends as its n-th message, and when, in milliseconds.
type Odd = fn(u32) -> (u32, Vec<u8>);

/// One unit of H.264, of this type.
fn unit(kind: u8) -> Vec<u8> {
    [&[0, 0, 0, 5, kind][..], b"unit"].concat()
}

/// x265: an `HEVCDecoderConfigurationRecord` of 1920x1080.
const HEVC: [u8; 110] = *b"\
    \x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x78\xF0\x00\xFC\xFD\xF8\xF8\x00\x00\x0F\
    \x03\x20\x00\x01\x00\x18\x40\x01\x0C\x01\xFF\xFF\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\
    \x00\x00\x03\x00\x78\x95\x98\x09\x21\x00\x01\x00\x29\x42\x01\x01\x01\x60\x00\x00\x03\x00\
    \x90\x00\x00\x03\x00\x00\x03\x00\x78\xA0\x03\xC0\x80\x10\xE5\x96\x56\x69\x24\xCA\xF0\x16\
    \x80\x80\x00\x01\xF4\x80\x00\x3A\x98\x04\x22\x00\x01\x00\x07\x44\x01\xC1\x72\xB4\x62\x40";

/// A message of HEVC by Enhanced RTMP, with this first byte.
fn hevc(head: u8, body: &[u8]) -> Vec<u8> {
    [&[head], &b"hvc1"[..], body].concat()
}

#[test]
fn encoders_that_do_what_no_encoder_does() {
    // Whether viewers have something of it, and whether the log tells of it.
    let odd: [(&str, bool, bool, Odd); 8] = [
        ("jumps an hour", true, true, |n| {
            let jump = n / 100 % 3 * 3_600_000;
            (jump + n * 40, picture(n % 25 == 0, &unit(0x65)))
        }),
        ("never sends a key frame", false, true, |n| {
            (n * 40, picture(false, &unit(0x41)))
        }),
        ("changes its level every second", true, true, |n| {
            match n % 25 {
                0 => {
                    let mut header = HEADER.to_vec();
                    header[8] = 10 + (n / 25 % 40) as u8;
                    (n * 40, header)
                }
                place => (n * 40, picture(place == 1, &unit(0x65))),
            }
        }),
        ("changes its codec every second", true, true, |n| {
            let message = match (n / 25 % 2, n % 25) {
                (0, 0) => HEADER.to_vec(),
                (0, place) => picture(place == 1, &unit(if place == 1 { 0x65 } else { 0x41 })),
                (_, 0) => hevc(0x90, &HEVC),
                (_, 1) => hevc(0x93, &unit(19 << 1)),
                (_, _) => hevc(0xA3, &unit(1 << 1)),
            };
            (n * 40, message)
        }),
        ("sends frames of nothing", false, true, |n| {
            (n * 40, picture(n % 25 == 0, &[]))
        }),
        ("has a GOP of ten minutes", true, true, |n| {
            (n * 200, picture(n == 0, &unit(0x41)))
        }),
        ("stands still", true, false, |n| {
            (0, picture(n % 25 == 0, &unit(0x65)))
        }),
        ("goes back", true, false, |n| {
            (10_000_000 - n * 40, picture(n % 25 == 0, &unit(0x65)))
        }),
    ];
    let _alone = alone();
    let journal = Journal::kept();
    let delivered = Delivered::start(|config| {
        config.limits.publishers = 100;
        config.limits.memory = MEMORY;
        config.limits.log_lines = LINES as u32;
    });
    let innocents = Innocents::of(&delivered);
    let held = Held::of(&delivered);
    let mut others = Vec::new();
    for (place, (what, is_delivered, is_told, message)) in odd.iter().enumerate() {
        let begun = Instant::now();
        let path = format!("live/odd{place}");
        let url = RtmpUrl::parse(&delivered.server().url(&path)).unwrap();
        let config = ClientConfig::new(url, ClientMode::Publish);
        let mut client = Client::connect(config).expect("it may publish");
        client.send(MediaKind::Video, 0, HEADER).expect(what);
        for n in 0..3000 {
            let (time, body) = message(n);
            client.send(MediaKind::Video, time, &body).expect(what);
            if n % 100 == 0 {
                held.look();
            }
        }
        client
            .close(Deadline::after(Duration::from_secs(30)))
            .expect(what);
        delivered.server().wait_until_unpublished(&path);
        innocents.go_on(1);
        // It is there to its end, or nothing is.
        let master = Web::fetch(delivered.address(), &format!("/{path}/index.m3u8"));
        match master.status {
            200 => {
                for playlist in delivered.playlists(&path) {
                    let ended = delivered.ended(&playlist);
                    assert!(ended.has_ended && !ended.segments.is_empty(), "{what}");
                    let text = Web::fetch(delivered.address(), &playlist);
                    let broken = Checker::new(Some(0)).full(text.text());
                    assert!(broken.is_empty(), "{what}: {broken:?}\n{}", text.text());
                }
            }
            status => assert!(matches!(status, 404 | 503), "{what}: {status}"),
        }
        held.look();
        let lines = found_at_last(what, || {
            let lines = journal.with(&path);
            (!*is_told || !lines.is_empty()).then_some(lines)
        });
        expect_few(what, &lines, begun.elapsed());
        if (master.status == 200) != *is_delivered {
            others.push(format!("{what}: {}", master.status));
        }
    }
    assert!(others.is_empty(), "{others:?}");
    innocents.expect_unharmed();
    held.expect_bounded();
}
