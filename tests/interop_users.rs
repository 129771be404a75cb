//! Users with passwords (`authmod=adobe`), shown by programs that we did not write and by
//! our own.

use openrtmp_core::{Authenticate, Config, PullRule, PushRule, UserConfig};
use openrtmp_tests::{Ending, Media, Player, Publisher, Server};

const USER: &str = "ann:s3cret";

fn users(config: &mut Config) {
    config.access.users = vec![
        UserConfig::new("bob", "another"),
        UserConfig::new("ann", "s3cret"),
    ];
}

fn server() -> Server {
    Server::start_with(users)
}

/// The URL of a stream for a user.
fn url(server: &Server, userinfo: &str, path: &str) -> String {
    server
        .url(path)
        .replacen("://", &format!("://{userinfo}@"), 1)
}

/// All players that can show who they are: rtmpdump cannot. (Its library can, to publish,
/// but that of Debian writes beyond what it allocates then.)
const PLAYERS: [Player; 4] = [
    Player::Ffmpeg,
    Player::FfmpegCurrent,
    Player::Gstreamer,
    Player::Openrtmp,
];

fn pass(publisher: Publisher, media: Media, players: &[Player]) {
    let server = server();
    let path = format!("live/{media:?}");
    let url = url(&server, USER, &path);
    let folder = tempfile::tempdir().expect("a folder");
    let playing: Vec<_> = players
        .iter()
        .map(|player| player.start(&url, folder.path()))
        .collect();
    server.wait_for_players(&path, players.len());
    publisher.start(media, &url).wait();
    for player in playing {
        player.wait_and_check(media, Ending::Complete);
    }
}

#[test]
fn ffmpeg_shows_a_password_as_publisher_and_player() {
    pass(Publisher::Ffmpeg, Media::H264Aac, &PLAYERS);
}

#[test]
fn a_current_ffmpeg_shows_a_password() {
    pass(
        Publisher::FfmpegCurrent,
        Media::Hevc,
        &[Player::FfmpegCurrent],
    );
}

#[test]
fn gstreamer_shows_a_password() {
    let players = [Player::Gstreamer, Player::Openrtmp];
    pass(Publisher::Gstreamer, Media::H264Aac, &players);
}

#[test]
fn our_own_command_shows_a_password() {
    pass(Publisher::Openrtmp, Media::BFrames, &PLAYERS);
}

#[test]
fn a_wrong_password_and_none_turn_every_program_away() {
    let server = server();
    for publisher in [
        Publisher::Ffmpeg,
        Publisher::FfmpegCurrent,
        Publisher::Gstreamer,
        Publisher::Openrtmp,
    ] {
        for userinfo in ["ann:guess", "carl:s3cret"] {
            let url = url(&server, userinfo, "live/cam");
            publisher.start(Media::H264Aac, &url).wait_for_failure();
        }
        let none = server.url("live/cam");
        publisher.start(Media::H264Aac, &none).wait_for_failure();
    }
    server.wait_until_closed_for(&["the user name or the password is wrong"]);
    server.wait_until_closed_for(&["a user name and a password are asked for"]);
}

/// Players that cannot show who they are, and an encoder that must.
#[test]
fn players_are_let_alone_where_publishers_are_asked() {
    let server = Server::start_with(|config| {
        users(config);
        config.access.authenticate = Authenticate::Publishers;
    });
    let (path, media) = ("live/cam", Media::H264Aac);
    let folder = tempfile::tempdir().expect("a folder");
    let playing: Vec<_> = Player::ALL
        .iter()
        .map(|player| player.start(&server.url(path), folder.path()))
        .collect();
    server.wait_for_players(path, playing.len());
    let refused = Publisher::Ffmpeg.start(media, &server.url(path));
    refused.wait_for_failure();
    let publishing = Publisher::Ffmpeg.start(media, &url(&server, USER, path));
    publishing.wait();
    for player in playing {
        player.wait_and_check(media, Ending::Complete);
    }
}

#[test]
fn relays_show_a_password_both_ways() {
    let middle = server();
    let at_middle = url(&middle, USER, "{app}/{name}");
    let near = Server::start_with(|config| {
        config.relay.push = vec![PushRule::new("live/*", &*at_middle)];
    });
    let far = Server::start_with(|config| {
        config.relay.pull = vec![PullRule::new("live/*", &*at_middle)];
    });
    let (path, media) = ("live/cam", Media::H264Aac);
    let folder = tempfile::tempdir().expect("a folder");
    let playing = Player::Ffmpeg.start(&far.url(path), folder.path());
    far.wait_for_players(path, 1);
    Publisher::Ffmpeg.start(media, &near.url(path)).wait();
    playing.wait_and_check(media, Ending::Complete);
}
