//! Each rule is one that a stream can break.

use super::super::read::Unreadable;
use super::*;

const NOW: Duration = Duration::ZERO;

const MASTER: &str = "#EXTM3U\n#EXT-X-VERSION:6\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a0\",LANGUAGE=\"en\",\
    URI=\"e/a0.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1000,AVERAGE-BANDWIDTH=900,CODECS=\"avc1.64001f,mp4a.40.2\",\
    RESOLUTION=320x180,FRAME-RATE=30.000,AUDIO=\"a\"\ne/v0.m3u8\n";

#[test]
fn a_master_playlist_names_each_rendition_once() {
    let master = Master::parse(MASTER).unwrap();
    let uris: Vec<&str> = master.variants.iter().map(|it| it.uri.as_str()).collect();
    assert_eq!(uris, ["e/a0.m3u8", "e/v0.m3u8"]);
    assert_eq!(master.wrong(), []);
    let twice = MASTER.to_owned() + "#EXT-X-STREAM-INF:BANDWIDTH=1\ne/v0.m3u8\n";
    assert_eq!(Master::parse(&twice).unwrap().variants.len(), 2);
    for variant in &master.variants {
        assert_eq!(master.codecs(variant), ["avc1.64001f", "mp4a.40.2"]);
    }
    let alone = MASTER.replace("AUDIO=\"a\"\n", "AUDIO=\"b\"\n");
    let alone = Master::parse(&alone).unwrap();
    assert_eq!(alone.codecs(&alone.variants[0]), [""; 0]);
    for none in ["", "#EXTM3U\n", "#EXTM3U\n#EXTINF:1,\na.ts\n", "x\ny\n"] {
        assert_eq!(Master::parse(none), None, "{none}");
    }
}

#[test]
fn what_is_missing_in_a_master_playlist_is_told() {
    let bad = MASTER
        .replace("AVERAGE-BANDWIDTH=900,", "")
        .replace(",FRAME-RATE=30.000", "")
        .replace("avc1.64001f", "hev1.1.6.L93.B0");
    let told: Vec<String> = Master::parse(&bad)
        .unwrap()
        .wrong()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "e/v0.m3u8 of the master playlist has no AVERAGE-BANDWIDTH",
            "e/v0.m3u8 of the master playlist has no FRAME-RATE",
            "e/v0.m3u8 is coded as hev1",
        ]
    );
}

#[test]
fn numbers_that_nobody_has_are_refused() {
    for tag in [
        "EXT-X-TARGETDURATION:18446744073709551615",
        "EXT-X-MEDIA-SEQUENCE:9223372036854775808",
        "EXT-X-DISCONTINUITY-SEQUENCE:18446744073709551615",
        "EXT-X-SKIP:SKIPPED-SEGMENTS=18446744073709551615",
    ] {
        let text = format!("#EXTM3U\n#{tag}\n#EXTINF:1,\na.m4s\n");
        assert_eq!(Listed::parse(&text), Err(Unreadable(2)), "{tag}");
    }
}

#[test]
fn so_much_that_is_wrong_is_told_and_no_more() {
    let mut session = Session::new(None);
    for number in 0..2 * KNOWN {
        session.status(&number.to_string(), 404);
    }
    session.status("0", 404);
    let wrong = session.wrong();
    assert_eq!((wrong.len(), wrong[0].1, wrong[1].1), (KNOWN, 2, 1));
}

#[test]
fn what_stands_behind_a_path_may_be_a_key_and_is_not_told() {
    let list = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv0.m3u8?key=secret\n";
    let mut session = Session::new(Some(&Master::parse(list).unwrap()));
    let (name, uri) = ("v0.m3u8", "a.m4s?key=secret");
    session.media(name, uri, vec![1]);
    session.media(name, uri, vec![2]);
    session.told_length(name, uri, Some(9));
    let wrong = session.wrong();
    let told: Vec<String> = wrong.iter().map(|(wrong, _)| wrong.to_string()).collect();
    assert!(told.contains(&"v0.m3u8: a.m4s is not what it was".to_owned()));
    assert!(
        told.len() > 2 && told.iter().all(|it| !it.contains("secret")),
        "{told:?}"
    );
}

#[test]
fn what_goes_wrong_again_and_again_is_told_once() {
    let list = |msn: u64| {
        format!(
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{msn}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"i.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:4.0,\n{msn}.m4s\n"
        )
    };
    let mut session = Session::new(None);
    session.playlist("v0.m3u8", &list(7), NOW);
    session.playlist("v0.m3u8", &list(7), NOW);
    session.status("7.m4s", 404);
    session.sent(
        "v0.m3u8",
        "application/vnd.apple.mpegurl; charset=utf-8",
        true,
    );
    session.directives("v0.m3u8", "_HLS_part=1", 400, 400);
    let wrong = session.wrong();
    assert_eq!(
        wrong,
        [
            (
                Wrong::Media("v0.m3u8".into(), Broken::LongSegment(7, 4.0)),
                2
            ),
            (Wrong::Status("7.m4s".into(), 404), 1),
        ]
    );
    assert_eq!(session.last("v0.m3u8").unwrap().msn, 7);
    session.sent("v0.m3u8", "text/plain", false);
    session.directives("v0.m3u8", "_HLS_part=1", 200, 400);
    session.playlist("a0.m3u8", &list(7).replace("DURATION:2", "DURATION:4"), NOW);
    let told: Vec<String> = session
        .wrong()
        .iter()
        .skip(2)
        .map(|(wrong, _)| wrong.to_string())
        .collect();
    assert_eq!(
        told,
        [
            "v0.m3u8 is said to be text/plain",
            "v0.m3u8 is not compressed",
            "v0.m3u8?_HLS_part=1: answered with 200, not 400",
            "a0.m3u8 and v0.m3u8 have other target durations",
        ]
    );
}

/// A playlist with so many parts of half a second in its open segment.
fn parts(count: usize) -> String {
    let part = |number| format!("#EXT-X-PART:DURATION=0.5,URI=\"7.{number}.m4s\"\n");
    let parts: String = (0..count).map(part).collect();
    format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n\
         #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:6\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"i.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXTINF:4.0,\n6.m4s\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.000Z\n{parts}\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"7.{count}.m4s\"\n"
    )
}

#[test]
fn parts_come_within_their_time() {
    let follow = |states: &[(usize, u64)], tolerance: Option<u64>| {
        let mut session = Session::new(None);
        if let Some(tolerance) = tolerance {
            session.tolerate(Duration::from_millis(tolerance));
        }
        for (count, came) in states {
            session.playlist("v0", &parts(*count), Duration::from_millis(*came));
        }
        session.wrong()
    };
    // One after the other, and two at once in the time of two; the same again says nothing.
    let even = [(1, 0), (2, 900), (2, 1300), (4, 2300), (5, 3300)];
    assert_eq!(follow(&even, None), []);
    let late = [(1, 0), (2, 1200), (4, 2700), (5, 5700)];
    let expected = |times, worst| [(Wrong::Late("v0".to_owned(), worst), times)];
    assert_eq!(follow(&late, None), expected(2, 2.5));
    assert_eq!(follow(&late, Some(2000)), expected(1, 2.5));
    assert_eq!(follow(&late, Some(3000)), []);
}

#[test]
fn a_playlist_reports_of_others_alone() {
    let report = "#EXT-X-RENDITION-REPORT:URI=\"v0.m3u8\",LAST-MSN=7,LAST-PART=0\n";
    let told = |name| {
        let mut session = Session::new(None);
        session.playlist(name, &(parts(1) + report), NOW);
        session.wrong()
    };
    assert_eq!(told("/live/e/a0.m3u8"), []);
    let own = "/live/e/v0.m3u8";
    let wrong = Wrong::Media(own.to_owned(), Broken::ReportOfItself);
    assert_eq!(told(own), [(wrong, 1)]);
}

#[test]
fn what_caches_are_told_is_looked_at() {
    let told = |kind, control: Option<&str>| {
        let mut session = Session::new(None);
        session.playlist("v0", &parts(1), NOW);
        session.cached("v0", "it", kind, control);
        let wrong = session.wrong();
        wrong.first().map(|(wrong, _)| wrong.to_string())
    };
    use Kind::{Media, Named, Newest, Refused};
    for (kind, control) in [
        (Newest, "public, max-age=2"),
        (Newest, "no-cache"),
        (Newest, "max-age=600, s-maxage=1"),
        (Named, "private, max-age=24"),
        (Media, "public, max-age=31536000, immutable"),
        (Refused, "no-store"),
        (Refused, "max-age=16"),
    ] {
        assert_eq!(told(kind, Some(control)), None, "{control}");
    }
    for (kind, control) in [
        (Newest, Some("max-age=3")),
        (Newest, None),
        (Named, Some("no-store")),
        (Named, None),
        (Media, Some("max-age=1")),
        (Media, Some("public, no-cache, max-age=600")),
        (Refused, Some("max-age=17")),
        (Refused, None),
    ] {
        assert!(told(kind, control).is_some(), "{kind:?} {control:?}");
    }
    assert_eq!(
        told(Newest, Some("max-age=3")).unwrap(),
        "it is answered with max-age=3: too long for what is new soon"
    );
}

#[test]
fn media_that_came_are_held_against_what_is_told_of_them() {
    let mut session = Session::new(None);
    session.playlist("v0", &parts(1), NOW);
    session.media("v0", "6.m4s", b"no media".to_vec());
    assert_eq!(session.wrong(), []);
    session.media("v0", "i.mp4", b"no init".to_vec());
    let untrue = Untrue::Unreadable("i.mp4".to_owned());
    let expected = [(Wrong::Untrue("v0".to_owned(), untrue), 1)];
    assert_eq!(session.wrong(), expected);
    // All of a file is no piece of it.
    let pieces = parts(1).replace("#EXTINF:4.0,\n", "#EXTINF:4.0,\n#EXT-X-BYTERANGE:9@1\n");
    let mut session = Session::new(None);
    session.playlist("v0", &pieces, NOW);
    session.media("v0", "6.m4s", b"no media".to_vec());
    session.media("v0", "i.mp4", b"no init".to_vec());
    assert_eq!(session.wrong(), []);
}

/// What a session that did this says.
fn told(master: Option<&Master>, done: impl FnOnce(&mut Session)) -> Vec<String> {
    let mut session = Session::new(master);
    done(&mut session);
    let wrong = session.wrong();
    wrong.iter().map(|(wrong, _)| wrong.to_string()).collect()
}

#[test]
fn what_a_master_playlist_has_to_tell_of_sound_and_pictures() {
    let bad = MASTER
        .replace("LANGUAGE=\"en\",", "")
        .replace("RESOLUTION=320x180,", "");
    let bad = Master::parse(&bad).unwrap();
    assert_eq!(
        told(Some(&bad), |_| {}),
        [
            "e/a0.m3u8 of the master playlist has no LANGUAGE",
            "e/v0.m3u8 of the master playlist has no RESOLUTION",
        ]
    );
}

#[test]
fn an_answer_has_what_was_asked_for() {
    let answered = |count: usize, query: &str, text: &str| {
        told(None, |session| {
            session.playlist("v0", &parts(count), NOW);
            session.answered("v0", query, text);
        })
    };
    for query in [
        "",
        "_HLS_msn=6",
        "_HLS_msn=7",
        "_HLS_msn=7&_HLS_part=1",
        "x",
    ] {
        assert_eq!(answered(2, query, ""), [""; 0], "{query}");
    }
    // What is past the last part of a segment is in the next, which has begun.
    assert_eq!(answered(1, "_HLS_msn=6&_HLS_part=9", ""), [""; 0]);
    let too_soon = ["v0: an answer is without the part or segment that was asked for"];
    for query in [
        "_HLS_msn=7&_HLS_part=2",
        "_HLS_msn=8",
        "_HLS_msn=8&_HLS_part=0",
    ] {
        assert_eq!(answered(2, query, ""), too_soon, "{query}");
    }
    let delta = "#EXT-X-SKIP:SKIPPED-SEGMENTS=3";
    assert_eq!(answered(2, "_HLS_msn=6&_HLS_skip=YES", delta), [""; 0]);
    assert_eq!(
        answered(2, "_HLS_msn=6", delta),
        ["v0: something is left out of an answer to who asked for the whole"]
    );
}

#[test]
fn each_other_playlist_is_reported_of_by_its_name() {
    let master = Master::parse(MASTER).unwrap();
    let reported = |uri: &str| {
        let report = format!("#EXT-X-RENDITION-REPORT:URI=\"{uri}\",LAST-MSN=7,LAST-PART=0\n");
        told(Some(&master), |session| {
            session.playlist("live/e/v0.m3u8", &(parts(1) + &report), NOW);
        })
    };
    assert_eq!(reported("a0.m3u8"), [""; 0]);
    assert_eq!(reported("../e/a0.m3u8"), [""; 0]);
    assert_eq!(
        reported("a1.m3u8"),
        ["live/e/v0.m3u8: no rendition report of e/a0.m3u8"]
    );
    for absolute in ["http://host/e/a0.m3u8", "/e/a0.m3u8"] {
        let said = reported(absolute);
        assert!(said[0].contains("which is not relative"), "{said:?}");
    }
}

#[test]
fn renditions_that_were_not_aligned_once_are_told_though_they_are_now() {
    let list = |date: u64, length: f64, count: u64| {
        let segment = |number: u64| {
            let is_first = number == date;
            let length = if is_first { length } else { 4.0 };
            format!(
                "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.00{number}Z\n\
                 #EXTINF:{length},\n{number}.m4s\n"
            )
        };
        let segments: String = (date..date + count).map(segment).collect();
        format!(
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{date}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP:URI=\"i.mp4\"\n{segments}"
        )
    };
    let said = told(None, |session| {
        session.playlist("a0", &list(1, 4.0, 7), NOW);
        session.playlist("v0", &list(1, 3.5, 7), NOW);
        session.playlist("a0", &list(2, 4.0, 7), NOW);
        session.playlist("v0", &list(2, 4.0, 7), NOW);
    });
    assert_eq!(said, ["v0: tracks differ in segment 1"]);
}

#[test]
fn media_stay_what_they_are_and_where_they_are() {
    let said = told(None, |session| {
        session.playlist("v0", &parts(1), NOW);
        session.media("v0", "7.1.m4s", b"what was announced".to_vec());
        session.media("v0", "7.1.m4s", b"what was announced".to_vec());
        session.media("v0", "7.1.m4s", b"another".to_vec());
        session.status("v0: 6.m4s", 302);
    });
    assert_eq!(
        said,
        ["v0: 7.1.m4s is not what it was", "v0: 6.m4s is redirected"]
    );
}

#[test]
fn parts_that_left_a_list_are_to_be_there_for_a_while() {
    let mut session = Session::new(None);
    let at = Duration::from_secs;
    session.playlist("v0", &parts(2), at(10));
    assert_eq!(session.due("v0", at(10)), [""; 0]);
    let later = parts(0).replace("#EXT-X-PRELOAD", "#EXTINF:1.0,\n7.m4s\n#EXT-X-PRELOAD");
    session.playlist("v0", &later, at(11));
    assert_eq!(session.due("v0", at(22)), ["7.0.m4s", "7.1.m4s"]);
    assert_eq!(session.due("v0", at(23)), [""; 0]);
    assert_eq!(session.due("a0", at(11)), [""; 0]);
}

#[test]
fn rates_are_those_that_are_told() {
    let master = Master::parse(MASTER).unwrap();
    let rates = |bytes: usize, comes_again: bool| {
        told(Some(&master), |session| {
            session.playlist("e/v0.m3u8", &parts(1), NOW);
            if comes_again {
                session.master(&master);
            }
            session.media("e/v0.m3u8", "6.m4s", vec![0; bytes]);
        })
    };
    let is_of_rates = |said: &&String| said.contains("BANDWIDTH");
    // Nobody knew.
    assert_eq!(rates(640, false).iter().find(is_of_rates), None);
    // 4 s, and 1000 bits per second are told.
    assert_eq!(rates(620, true).iter().find(is_of_rates), None);
    assert_eq!(
        rates(640, true).iter().find(is_of_rates).unwrap(),
        "e/v0.m3u8 has a BANDWIDTH of 1000, and was measured with 1280 bits per second"
    );
}

#[test]
fn high_dynamic_range_is_told() {
    let range = |transfer: u8, attribute: &str| {
        let text = MASTER.replace(
            "FRAME-RATE=30.000",
            &format!("FRAME-RATE=30.000{attribute}"),
        );
        let master = Master::parse(&text).unwrap();
        let said = told(Some(&master), |session| {
            session.playlist("e/v0.m3u8", &parts(1), NOW);
            let init = [b"colrnclx\0\x09\0", &[transfer][..], b"\0\x09\0"].concat();
            session.media("e/v0.m3u8", "i.mp4", init);
        });
        said.into_iter().find(|said| said.contains("told to be"))
    };
    for (transfer, attribute) in [
        (1, ""),
        (1, ",VIDEO-RANGE=SDR"),
        (16, ",VIDEO-RANGE=PQ"),
        (18, ",VIDEO-RANGE=HLG"),
    ] {
        assert_eq!(range(transfer, attribute), None, "{transfer} {attribute}");
    }
    for (transfer, attribute, expected) in [
        (16, "", "e/v0.m3u8 is told to be SDR, and is PQ"),
        (
            18,
            ",VIDEO-RANGE=PQ",
            "e/v0.m3u8 is told to be PQ, and is HLG",
        ),
        (
            1,
            ",VIDEO-RANGE=PQ",
            "e/v0.m3u8 is told to be PQ, and is SDR",
        ),
    ] {
        assert_eq!(range(transfer, attribute).unwrap(), expected);
    }
}

/// The newest part is so many half seconds into segment 7, and that of the other playlist so
/// many.
fn reporting(count: usize, other: &str, told: usize) -> String {
    let last = told - 1;
    parts(count) + &format!("#EXT-X-RENDITION-REPORT:URI=\"{other}\",LAST-MSN=7,LAST-PART={last}\n")
}

#[test]
fn reports_are_of_what_the_other_playlist_is() {
    let follow = |states: &[(&str, usize, usize, u64, u64)]| {
        told(None, |session| {
            for (name, count, others, asked, came) in states {
                let other = if *name == "v0" { "a0" } else { "v0" };
                let (asked, came) = (Duration::from_millis(*asked), Duration::from_millis(*came));
                session.playlist(name, &reporting(*count, other, *others), came);
                session.reports(name, asked, came);
            }
        })
    };
    // Both go on, and each is seen a little before the other.
    let even = [
        ("v0", 1, 1, 0, 10),
        ("a0", 1, 1, 0, 20),
        ("v0", 2, 1, 20, 500),
        ("a0", 2, 2, 30, 510),
        ("v0", 3, 2, 510, 1000),
        ("a0", 3, 3, 520, 1010),
    ];
    assert_eq!(follow(&even), [""; 0]);
    // What the other was long before it was asked for.
    let old = [
        ("v0", 1, 1, 0, 10),
        ("a0", 3, 1, 20, 900),
        ("v0", 3, 2, 1450, 1500),
    ];
    let outdated = "v0: the rendition report of a0 is of what was before";
    assert_eq!(follow(&old), [outdated]);
    // What the other does not have long after that.
    let ahead = [
        ("a0", 1, 1, 0, 10),
        ("v0", 1, 5, 20, 30),
        ("a0", 2, 1, 100, 600),
        ("a0", 3, 1, 610, 1000),
    ];
    let unfounded = "v0: the rendition report of a0 is of what is not there";
    assert_eq!(follow(&ahead), [unfounded]);
}

#[test]
fn a_report_is_of_no_part_that_a_segment_never_had() {
    let said = told(None, |session| {
        for (name, text) in [
            ("a0", parts(1)),
            ("v0", reporting(1, "a0", 9)),
            (
                "a0",
                parts(2).replace(
                    "#EXT-X-PRELOAD",
                    "#EXTINF:1.0,\n7.m4s\n#EXT-X-PART:DURATION=0.5,URI=\"8.0.m4s\"\n#EXT-X-PRELOAD",
                ),
            ),
        ] {
            session.playlist(name, &text, NOW);
            session.reports(name, NOW, NOW);
        }
    });
    let unfounded = "v0: the rendition report of a0 is of what is not there";
    assert!(said.contains(&unfounded.to_owned()), "{said:?}");
}

#[test]
fn bytes_that_are_asked_for_alone_are_those_of_the_whole() {
    let piece = |told_range: Option<&str>, bytes: &[u8]| {
        told(None, |session| {
            session.media("v0", "6.m4s", b"0123456789".to_vec());
            session.piece("v0", "6.m4s", 1..=3, told_range, bytes);
            session.piece("v0", "7.m4s", 1..=3, None, b"of what is not known");
        })
    };
    assert_eq!(piece(Some("bytes 1-3/10"), b"123"), [""; 0]);
    assert_eq!(piece(None, b"0123456789"), [""; 0]);
    for (told_range, bytes, wrong) in [
        (None, &b"123"[..], "some bytes come without Content-Range"),
        (
            Some("bytes 0-2/10"),
            b"012",
            "Content-Range is not what was asked for",
        ),
        (
            Some("bytes 1-3/10"),
            b"012",
            "bytes that are asked for alone are others",
        ),
    ] {
        assert_eq!(piece(told_range, bytes), [format!("v0: 6.m4s: {wrong}")]);
    }
    let head = |length| {
        told(None, |session| {
            session.media("v0", "6.m4s", b"0123456789".to_vec());
            session.told_length("v0", "6.m4s", length);
        })
    };
    assert_eq!(head(None), [""; 0]);
    assert_eq!(head(Some(10)), [""; 0]);
    assert_eq!(head(Some(0)), ["v0: 6.m4s: HEAD tells another length"]);
}

#[test]
fn who_may_read_a_playlist_may_read_what_it_names() {
    let told = |playlist, media| {
        told(None, |session| {
            session.open("v0", None, playlist);
            session.open("v0", Some("v0: 6.m4s"), media);
        })
    };
    for (playlist, media) in [(false, false), (false, true), (true, true)] {
        assert_eq!(told(playlist, media), [""; 0]);
    }
    let closed = "v0: 6.m4s is not for the pages that may read the playlist";
    assert_eq!(told(true, false), [closed]);
}

#[test]
fn what_is_announced_and_comes_is_not_refused() {
    let told = |count| {
        told(None, |session| {
            session.playlist("v0", &parts(1), NOW);
            session.unhinted("v0", "7.1.m4s", 404);
            session.playlist("v0", &parts(count), NOW);
        })
    };
    assert_eq!(told(1), [""; 0]);
    assert_eq!(
        told(2),
        ["v0: 7.1.m4s was announced, and answered with 404"]
    );
}
