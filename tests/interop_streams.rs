//! How streams begin, go on and end, seen by real publishers and players.

use std::time::{Duration, Instant};

use openrtmp_core::SecondPublisher;
use openrtmp_tests::flv::{self, Tag};
use openrtmp_tests::{Ending, FrameHashes, Media, Player, Publisher, Server};

#[test]
fn three_streams_with_three_players_each_do_not_mix() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let streams = [
        (Publisher::Ffmpeg, Media::H264Aac),
        (Publisher::FfmpegCurrent, Media::BFrames),
        (Publisher::Gstreamer, Media::VideoOnly),
    ];
    let players = [Player::Ffmpeg, Player::Rtmpdump, Player::Gstreamer];
    let running: Vec<_> = streams
        .iter()
        .map(|&(publisher, media)| {
            let path = format!("live/{media:?}");
            let publishing = publisher.start(media, &server.url(&path));
            server.wait_until_published(&path);
            let playing = players.map(|player| player.start(&server.url(&path), folder.path()));
            (media, publishing, playing)
        })
        .collect();
    for (media, publishing, playing) in running {
        publishing.wait();
        for player in playing {
            player.wait_and_check(media, Ending::Complete);
        }
    }
}

#[test]
fn players_that_wait_get_the_stream_from_its_first_packet() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let playing = Player::ALL.map(|player| player.start(&server.url("live/w"), folder.path()));
    server.wait_for_players("live/w", playing.len());
    Publisher::Ffmpeg.start(media, &server.url("live/w")).wait();

    let published = media.hashes();
    for player in playing {
        let file = player.file().to_owned();
        player.wait_and_check(media, Ending::Complete);
        let played = FrameHashes::of(&file);
        for stream in ["audio 0", "video 0"] {
            let (first, wanted) = (&played.stream(stream)[0], &published.stream(stream)[0]);
            assert_eq!(first.hash, wanted.hash, "{stream} of {}", file.display());
        }
    }
}

/// Clients make names of files of their own of it: some put a type before it, some cut
/// the end off.
#[test]
fn a_name_that_ends_as_that_of_a_file_is_one_stream_to_all() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let running: Vec<_> = [
        (Publisher::Ffmpeg, "live/a.mp4", "live/a"),
        (Publisher::Gstreamer, "live/b.flv", "live/b"),
    ]
    .into_iter()
    .map(|(publisher, asked, path)| {
        let url = server.url(asked);
        // It waits: building it may take longer than a stream lasts.
        let waiting = Player::Openrtmp.start(&url, folder.path());
        server.wait_for_players(path, 1);
        let publishing = publisher.start(media, &url);
        server.wait_until_published(path);
        let joining = Player::ALL.map(|player| player.start(&url, folder.path()));
        (publishing, waiting, joining)
    })
    .collect();
    for (publishing, waiting, joining) in running {
        publishing.wait();
        for player in joining.into_iter().chain([waiting]) {
            player.wait_and_check(media, Ending::Complete);
        }
    }
}

#[test]
fn players_end_when_their_publisher_is_killed() {
    let server = Server::start_with(|config| config.streams.republish_grace = Duration::ZERO);
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let mut publishing = Publisher::Ffmpeg.start(media, &server.url("live/k"));
    publishing.wait_until_sent(100);
    let mut playing = Player::ALL.map(|player| player.start(&server.url("live/k"), folder.path()));
    for player in &mut playing {
        player.wait_until_flowing();
    }
    publishing.kill();
    let killed = Instant::now();
    server.wait_until_unpublished("live/k");
    for player in playing {
        player.wait_and_check(media, Ending::Cut);
    }
    // Unavailable within 5 s of the socket's end, players told 1 s later.
    assert!(
        killed.elapsed() < Duration::from_secs(6),
        "took {:?}",
        killed.elapsed()
    );
}

#[test]
fn a_player_stays_while_its_publisher_comes_back_within_the_grace_time() {
    let server =
        Server::start_with(|config| config.streams.republish_grace = Duration::from_secs(4));
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let playing = Player::Rtmpdump.start(&server.url("live/g"), folder.path());
    server.wait_for_players("live/g", 1);
    let mut first = Publisher::Ffmpeg.start(media, &server.url("live/g"));
    first.wait_until_sent(500);
    first.kill();
    server.wait_until_unpublished("live/g");
    Publisher::FfmpegCurrent
        .start(media, &server.url("live/g"))
        .wait();
    let tags = flv::read(&playing.wait());

    check_two_publications(&tags, media);
}

#[test]
fn a_second_publisher_is_refused_and_the_first_goes_on() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let playing = Player::Rtmpdump.start(&server.url("live/r"), folder.path());
    server.wait_for_players("live/r", 1);
    let first = Publisher::Ffmpeg.start(media, &server.url("live/r"));
    server.wait_until_published("live/r");
    Publisher::FfmpegCurrent
        .start(Media::BFrames, &server.url("live/r"))
        .wait_for_failure();
    first.wait();
    playing.wait_and_check(media, Ending::Complete);
}

#[test]
fn a_second_publisher_takes_over_where_that_is_the_policy() {
    let server = Server::start_with(|config| {
        config.streams.second_publisher = SecondPublisher::Takeover;
    });
    let folder = tempfile::tempdir().unwrap();
    let media = Media::H264Aac;
    let playing = Player::Rtmpdump.start(&server.url("live/t"), folder.path());
    server.wait_for_players("live/t", 1);
    let mut first = Publisher::Ffmpeg.start(media, &server.url("live/t"));
    first.wait_until_sent(500);
    let second = Publisher::FfmpegCurrent.start(media, &server.url("live/t"));
    first.wait_for_failure();
    second.wait();
    check_two_publications(&flv::read(&playing.wait()), media);
}

#[test]
fn a_second_publisher_waits_for_its_turn_where_that_is_the_policy() {
    let server = Server::start_with(|config| {
        config.streams.second_publisher = SecondPublisher::Wait;
    });
    let media = Media::H264Aac;
    let first = Publisher::Ffmpeg.start(media, &server.url("live/q"));
    server.wait_until_published("live/q");
    let second = Publisher::FfmpegCurrent.start(media, &server.url("live/q"));
    first.wait();
    second.wait();
    assert_eq!(server.publications("live/q"), 2);
}

/// Checks that a player saw the beginning of one publication of `media`, then
/// the whole of another, on one clock.
fn check_two_publications(tags: &[Tag], media: Media) {
    let frames = |tags: &[Tag]| -> Vec<Tag> {
        tags.iter()
            .filter(|tag| tag.is_video_frame())
            .cloned()
            .collect()
    };
    let bodies =
        |tags: &[Tag]| -> Vec<Vec<u8>> { tags.iter().map(|tag| tag.body.clone()).collect() };
    let (played, all) = (frames(tags), frames(&flv::read(&media.file())));
    let before = played
        .len()
        .checked_sub(all.len())
        .expect("all of the second publication");
    assert!(before > 0, "the player also got the first publication");
    assert!(before < all.len(), "which was cut off");
    assert!(
        bodies(&played[..before]) == bodies(&all[..before]),
        "the first from its start"
    );
    assert!(
        bodies(&played[before..]) == bodies(&all),
        "then the second from its start"
    );
    assert!(
        played.is_sorted_by_key(|tag| tag.time),
        "the clock never goes back"
    );
}
