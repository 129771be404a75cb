//! Collecting packets before they are written: all arrive, in order, in time.

use std::net::SocketAddr;
use std::time::Duration;

use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::{ClientEvent, ClientMode, MediaKind};
use openrtmp_core::{Config, Server};

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn what_a_window_collected_is_sent_when_it_ends() {
    let mut config = Config::desktop();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    config.workers = 1;
    config.queue.write_coalesce = Duration::from_millis(100);
    let server = Server::start(config).expect("it starts");
    let url = format!("rtmp://{}/live/cam", server.addresses()[0]);
    let connect = |mode| {
        let url = RtmpUrl::parse(&url).expect("a URL");
        Client::connect(ClientConfig::new(url, mode)).expect("the server accepts")
    };

    let mut publisher = connect(ClientMode::Publish);
    let mut send = |number: u8| {
        let first = if number == 0 { 0x17 } else { 0x27 };
        let body = [first, 1, 0, 0, 0, number];
        let sent = publisher.send(MediaKind::Video, u32::from(number), &body);
        sent.and_then(|()| publisher.flush()).expect("it is sent");
    };
    let mut player = connect(ClientMode::Play);
    let mut receive = || {
        let end = Deadline::after(PATIENCE);
        while let Some(event) = player.next_event(end).expect("it plays") {
            if let ClientEvent::Media(media) = event
                && media.kind == MediaKind::Video
            {
                return media.payload[5];
            }
        }
        panic!("nothing came within {PATIENCE:?}");
    };

    send(0);
    assert_eq!(receive(), 0);
    // Each window is opened by a frame and ended by nothing but the clock.
    for window in 0..3 {
        let numbers = window * 4 + 1..window * 4 + 5;
        numbers.clone().for_each(&mut send);
        for number in numbers {
            assert_eq!(receive(), number);
        }
    }
}
