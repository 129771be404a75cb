//! Sound of several codecs: what master playlists say of it, held against the rules, and against
//! what else they could say.

use super::*;
use crate::dash;
use crate::hls::session::{Master, Session};
use crate::mp4::{Codec, Frame, TrackName};
use crate::packager::timelines::{AUDIO, Input, OPUS, OPUS_HEAD, PLAIN_AAC, SMALL};

const SECOND: TrackName = TrackName::Audio(1);
const THIRD: TrackName = TrackName::Audio(2);

/// Two sizes of pictures with sound of these codecs, for twelve seconds.
fn window_of(sounds: &[(TrackName, Codec)]) -> Window {
    let mut inputs = vec![timelines::video_config(0), timelines::config_of(SMALL, 1)];
    for (track, codec) in sounds {
        let Input::Configure(_, _, aac) = timelines::audio_config(0) else {
            panic!("a header");
        };
        let header = if *codec == OPUS {
            OPUS_HEAD.to_vec()
        } else {
            aac
        };
        inputs.push(Input::Configure(*track, *codec, header));
    }
    for number in 0..600 {
        let time = number * 20;
        if number % 2 == 0 {
            inputs.push(timelines::frame(VIDEO, time, 0, number % 50 == 0));
            inputs.push(timelines::frame(SMALL, time, 0, number % 50 == 0));
        }
        for (track, codec) in sounds {
            let Input::Push(plain) = timelines::frame(*track, time, 0, true) else {
                panic!("a frame");
            };
            // CELT, one frame of 20 ms; the tracks have other rates.
            let mut data = vec![31 << 3; 40];
            data.resize(40 + 40 * usize::from(*codec == OPUS), 7);
            inputs.push(Input::Push(Frame {
                codec: *codec,
                data,
                ..plain
            }));
        }
    }
    let mut window = Window::new(Settings::default());
    // As it is while it goes on.
    let events = timelines::events(Settings::default(), &inputs);
    for event in events.into_iter().filter(|event| *event != Event::End) {
        window.apply(event);
    }
    window
}

/// What is wrong with a master playlist of a stream, by itself and by what is fetched.
fn wrong(window: &Window, master: &str) -> Vec<String> {
    let master = Master::parse(master).unwrap();
    let mut session = Session::new(Some(&master));
    for variant in &master.variants {
        session.codecs(&variant.uri, master.codecs(variant));
    }
    for rendition in window.renditions() {
        let (track, name) = (rendition.track, names().playlist(rendition.track));
        let text = media_playlist(window, track, &names(), Form::Full).unwrap();
        session.playlist(&name, &text, Duration::ZERO);
        let listed = session.last(&name).unwrap().clone();
        let msns = listed
            .numbered()
            .filter_map(|(msn, is)| Some((msn, is.uri.clone()?)));
        for (msn, uri) in msns {
            let parts = &rendition.segment(msn).unwrap().parts;
            let bytes: Vec<u8> = parts.iter().flat_map(|part| part.bytes.to_vec()).collect();
            session.media(&name, &uri, bytes);
        }
        let (number, _, init) = rendition.inits.back().unwrap();
        let uri = names().init(track, *number);
        session.media(&name, names().in_playlist(&uri), init.to_vec());
    }
    // Rates are held against what is told once there are lists.
    session.master(&master);
    let wrong = session.wrong();
    wrong.iter().map(|(wrong, _)| wrong.to_string()).collect()
}

/// The lines that begin with this, without it.
fn lines<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let lines = text.lines();
    lines.filter_map(|line| line.strip_prefix(tag)).collect()
}

#[test]
fn sound_of_each_codec_is_a_group_that_all_pictures_are_played_with() {
    let window = window_of(&[(AUDIO, PLAIN_AAC), (SECOND, OPUS), (THIRD, PLAIN_AAC)]);
    let text = master_playlist(&window, &names()).unwrap();
    let media = |group: &str, track: &str, is_default: &str, channels: u32| {
        format!(
            "TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{track}\",LANGUAGE=\"und\",\
             DEFAULT={is_default},AUTOSELECT=YES,URI=\"e/{track}.m3u8\",CHANNELS=\"{channels}\""
        )
    };
    assert_eq!(
        lines(&text, "#EXT-X-MEDIA:"),
        [
            media("audio", "a0", "YES", 1),
            media("audio", "a2", "NO", 1),
            media("audio-opus", "a1", "YES", 2),
        ]
    );
    let rates = |track| window.rendition(track).unwrap().rates();
    let variants = text.lines().collect::<Vec<_>>();
    let variants = variants.windows(2);
    let variants = variants.filter(|lines| lines[0].starts_with("#EXT-X-STREAM-INF"));
    let mut expected = Vec::new();
    for (group, codec, sound) in [
        ("audio", "mp4a.40.2", AUDIO),
        ("audio-opus", "opus", SECOND),
    ] {
        for picture in [VIDEO, SMALL] {
            let (picture_rates, rates) = (rates(picture), rates(sound));
            let told = |picture: u64, sound: u64| (picture + sound) * HEADROOM / 100;
            expected.push([
                format!(
                    "BANDWIDTH={},AVERAGE-BANDWIDTH={},",
                    told(picture_rates.peak, rates.peak),
                    told(picture_rates.average, rates.average)
                ),
                format!(",{codec}\","),
                format!(",AUDIO=\"{group}\","),
                format!("e/{picture}.m3u8"),
            ]);
        }
    }
    let variants: Vec<_> = variants.collect();
    assert_eq!(variants.len(), expected.len(), "{text}");
    for (lines, [rates, codec, group, uri]) in variants.iter().zip(&expected) {
        assert!(lines[0].contains(rates), "{rates} {text}");
        assert!(lines[0].contains(codec), "{codec} {text}");
        assert!(lines[0].contains(group), "{group} {text}");
        assert_eq!(lines[1], uri, "{text}");
    }
    assert_eq!(wrong(&window, &text), [""; 0]);
    // All in one group, of which each variant tells all.
    let one = text.replace("\"audio-opus\"", "\"audio\"");
    let all = one.replacen("DEFAULT=YES,AUTOSELECT=YES,URI=\"e/a1", "URI=\"e/a1", 1);
    let all = all.replace(",opus\"", ",mp4a.40.2,opus\"");
    let all = all.replace(",mp4a.40.2\"", ",mp4a.40.2,opus\"");
    let mut told = wrong(&window, &all);
    told.retain(|told| !told.contains("BANDWIDTH"));
    assert_eq!(told, ["the group audio has sound of mp4a and opus"]);
    // And of which each tells one.
    assert_eq!(
        wrong(&window, &one)[..3],
        [
            "the group audio has more than one default",
            "e/v0.m3u8 tells of other codecs of the group audio than others do",
            "e/v1.m3u8 tells of other codecs of the group audio than others do",
        ]
    );
}

#[test]
fn a_variant_that_does_not_match_its_group_breaks_rules() {
    let window = window_of(&[(AUDIO, PLAIN_AAC), (SECOND, OPUS)]);
    let text = master_playlist(&window, &names()).unwrap();
    let spoilt = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} {text}");
        wrong(&window, &text.replace(from, to))
    };
    assert_eq!(
        spoilt(",AUDIO=\"audio-opus\"", ",AUDIO=\"audio-ac-3\""),
        [
            "e/v0.m3u8 is played with the group audio-ac-3, which is not there",
            "e/v1.m3u8 is played with the group audio-ac-3, which is not there",
        ]
    );
    // Of all that are played with it, and of one.
    let both = spoilt(",opus\"", ",mp4a.40.2\"");
    assert_eq!(
        both,
        [
            "e/a1.m3u8: a1/init0.mp4 is opus, and CODECS says mp4a.40.2",
            "e/v0.m3u8 is told to have mp4a.40.2, and the group audio-opus has none of it",
            "e/v1.m3u8 is told to have mp4a.40.2, and the group audio-opus has none of it",
        ]
    );
    assert_eq!(
        spoilt("avc1.64000d,opus", "avc1.64000d,opus,ec-3"),
        [
            "e/v1.m3u8 tells of other codecs of the group audio-opus than others do",
            "e/v0.m3u8 is told to have ec-3, and the group audio-opus has none of it",
        ]
    );
    assert_eq!(
        spoilt("NAME=\"a1\"", "NAME=\"a0\""),
        [""; 0],
        "in another group it is the same sound in another coding"
    );
}

#[test]
fn sound_of_one_codec_is_one_group() {
    let window = window_of(&[(AUDIO, OPUS), (SECOND, OPUS)]);
    let text = master_playlist(&window, &names()).unwrap();
    assert_eq!(text.matches("GROUP-ID=\"audio\"").count(), 2, "{text}");
    assert_eq!(text.matches(",AUDIO=\"audio\"").count(), 2, "{text}");
    assert_eq!(text.matches("DEFAULT=YES").count(), 1, "{text}");
    assert_eq!(wrong(&window, &text), [""; 0]);
    assert_eq!(
        wrong(&window, &text.replace("NAME=\"a1\"", "NAME=\"a0\"")),
        ["two of the group audio are called a0"]
    );
}

#[test]
fn a_manifest_has_a_set_for_each_track_of_sound() {
    let window = window_of(&[(AUDIO, PLAIN_AAC), (SECOND, OPUS)]);
    let clock = dash::Clock {
        published: 0,
        url: "/time",
    };
    let text = dash::manifest(&window, &names(), &clock).unwrap();
    let broken = |text: &str| dash::check::Checker::default().read(text);
    assert_eq!(broken(&text), []);
    assert_eq!(text.matches("contentType=\"audio\"").count(), 2, "{text}");
    // With both in one set nobody could switch between them.
    let end = text
        .find("</AdaptationSet>\n    <AdaptationSet id=\"4\"")
        .expect("a set");
    let next = end + text[end..].find("<Representation").expect("a track");
    let one = [&text[..end], &text[next..]].concat();
    assert_eq!(
        broken(&one),
        [dash::check::Broken::SetCodec("a1 in period 0".to_owned())]
    );
}
