//! Our client against our server, over a wire that cuts where it likes.

use std::time::Duration;

use openrtmp_protocol::command::code;
use openrtmp_protocol::session::{
    ClientConfig, ClientEvent, ClientMode, ClientSession, Media, MediaKind, RejectReason,
    RequestId, ServerConfig, ServerEvent, ServerSession, SessionError, Stage,
};
use openrtmp_protocol::{RtmpUrl, Time};
use proptest::prelude::*;

use crate::wire::string;

/// Both ends, the bytes under way, a clock that steps with each delivery.
struct Pair {
    client: ClientSession,
    server: ServerSession,
    now: Time,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    cuts: Box<dyn Iterator<Item = usize>>,
    client_events: Vec<ClientEvent>,
    server_events: Vec<ServerEvent>,
}

impl Pair {
    fn new(mode: ClientMode, digest: bool, cuts: Vec<usize>) -> Pair {
        Pair::of_relay(mode, digest, cuts, Vec::new())
    }

    fn of_relay(mode: ClientMode, digest: bool, cuts: Vec<usize>, via: Vec<u64>) -> Pair {
        let url = RtmpUrl::parse("rtmp://127.0.0.1/live/cam?k=v").expect("a URL");
        let mut config = ClientConfig::new(url, mode);
        config.digest_handshake = digest;
        config.via = via;
        let mut random = |bytes: &mut [u8]| bytes.fill(0x5A);
        let mut server = ServerConfig::default();
        server.id = 42;
        Pair {
            client: ClientSession::new(config, Time::ZERO, &mut random),
            server: ServerSession::new(&server, Time::ZERO, &mut random),
            now: Time::ZERO,
            to_server: Vec::new(),
            to_client: Vec::new(),
            cuts: Box::new(cuts.into_iter().cycle()),
            client_events: Vec::new(),
            server_events: Vec::new(),
        }
    }

    /// Delivers until nothing is under way.
    fn run(&mut self) {
        loop {
            self.now = self.now + Duration::from_micros(10);
            self.to_server
                .extend(self.client.poll_transmit().unwrap_or_default());
            self.to_client
                .extend(self.server.poll_transmit().unwrap_or_default());
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return;
            }
            let cut = self.cuts.next().expect("endless").min(self.to_server.len());
            let used = self.server.handle_input(self.now, &self.to_server[..cut]);
            self.to_server.drain(..used.expect("the client is right"));
            self.server_events
                .extend(std::iter::from_fn(|| self.server.poll_event()));

            let cut = self.cuts.next().expect("endless").min(self.to_client.len());
            let used = self.client.handle_input(self.now, &self.to_client[..cut]);
            self.to_client.drain(..used.expect("the server is right"));
            self.client_events
                .extend(std::iter::from_fn(|| self.client.poll_event()));
        }
    }

    /// Runs, accepts what was asked, until nothing is.
    fn start(&mut self) {
        let mut accepted = 0;
        loop {
            self.run();
            let requests: Vec<_> = self.server_events.iter().filter_map(request).collect();
            if requests.len() == accepted {
                return;
            }
            for request in &requests[accepted..] {
                assert!(self.server.accept(self.now, *request));
            }
            accepted = requests.len();
        }
    }
}

fn request(event: &ServerEvent) -> Option<RequestId> {
    match event {
        ServerEvent::Connect { request, .. }
        | ServerEvent::Publish { request, .. }
        | ServerEvent::Play { request, .. } => Some(*request),
        _ => None,
    }
}

fn media() -> impl Strategy<Value = (MediaKind, u32, Vec<u8>)> {
    let kind = prop_oneof![Just(MediaKind::Audio), Just(MediaKind::Video)];
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (59_990usize..60_010).prop_map(|length| vec![3; length]),
    ];
    (kind, any::<u32>(), payload)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1usize..20, 1usize..70_000], 2..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 48 }))]

    #[test]
    fn publishing_delivers_every_message_in_order(
        sent in prop::collection::vec(media(), 0..20),
        digest: bool,
        cuts in cuts(),
    ) {
        let mut pair = Pair::new(ClientMode::Publish, digest, cuts);
        pair.start();
        prop_assert_eq!(pair.client_events.last(), Some(&ClientEvent::Ready));
        prop_assert_eq!(pair.server.stage(), Stage::Publishing);
        let metadata = string("onMetaData");
        prop_assert!(pair.client.send(MediaKind::Data, 0, &metadata));
        for (kind, timestamp, payload) in &sent {
            prop_assert!(pair.client.send(*kind, *timestamp, payload));
        }
        pair.server_events.clear();
        pair.run();
        let mut received = pair.server_events.drain(..).map(|event| match event {
            ServerEvent::Media(Media { kind, timestamp, payload, .. }) => {
                (kind, timestamp, payload.to_vec())
            }
            other => panic!("{other:?}"),
        });
        prop_assert_eq!(received.next(), Some((MediaKind::Data, 0, metadata)));
        prop_assert_eq!(received.collect::<Vec<_>>(), sent);

        pair.client.close();
        pair.run();
        prop_assert_eq!(&pair.server_events, &[ServerEvent::PublishEnd { stream: 1 }]);
        prop_assert_eq!(pair.server.buffered_bytes(), 0);
    }

    #[test]
    fn playing_starts_and_ends(digest: bool, cuts in cuts()) {
        let mut pair = Pair::new(ClientMode::Play, digest, cuts);
        pair.start();
        prop_assert_eq!(pair.client_events.last(), Some(&ClientEvent::Ready));
        prop_assert_eq!(pair.server.stage(), Stage::Playing);
        prop_assert_eq!(pair.client.poll_timeout(), None);

        pair.client_events.clear();
        pair.server.notify_unpublished(1);
        pair.run();
        prop_assert_eq!(&pair.client_events[0], &ClientEvent::StreamEof);
        prop_assert!(matches!(pair.client_events[1], ClientEvent::Status(_)));

        pair.server_events.clear();
        pair.client.close();
        pair.run();
        prop_assert_eq!(&pair.server_events, &[ServerEvent::PlayEnd { stream: 1 }]);
    }
}

#[test]
fn the_client_reads_what_the_server_says_of_itself() {
    let mut pair = Pair::new(ClientMode::Publish, false, vec![usize::MAX]);
    pair.start();
    let capabilities = pair.client_events.iter().find_map(|event| match event {
        ClientEvent::Connected(capabilities) => Some(capabilities.clone()),
        _ => None,
    });
    let capabilities = capabilities.expect("connected");
    assert_eq!(
        capabilities,
        openrtmp_protocol::session::Capabilities::server()
    );

    assert!(
        pair.server
            .request_reconnect(Some("rtmp://b/live"), "restart")
    );
    pair.run();
    let moved = ClientEvent::ReconnectRequest(Some("rtmp://b/live".into()));
    assert_eq!(pair.client_events.last(), Some(&moved));
}

#[test]
fn relays_and_servers_tell_each_other_who_they_are() {
    for via in [vec![], vec![7, u64::MAX]] {
        let mut pair = Pair::of_relay(ClientMode::Publish, false, vec![usize::MAX], via.clone());
        pair.start();
        let said = pair.server_events.iter().find_map(|event| match event {
            ServerEvent::Connect { connect, .. } => Some(connect.via.clone()),
            _ => None,
        });
        assert_eq!(said.as_ref(), Some(&via));
        let id = (!via.is_empty()).then_some(42);
        assert_eq!(pair.client.server_id(), id, "nobody else is told");
    }
}

#[test]
fn what_comes_back_is_refused_as_a_loop() {
    let mut pair = Pair::of_relay(ClientMode::Publish, false, vec![usize::MAX], vec![42]);
    pair.run();
    let request = pair
        .server_events
        .iter()
        .find_map(request)
        .expect("connect");
    let reason = RejectReason::Loop("it came from here".to_owned());
    assert!(pair.server.reject(pair.now, request, &reason));
    let answer = pair.server.poll_transmit().expect("an answer");
    let refused = pair.client.handle_input(pair.now, &answer);
    let Err(SessionError::Refused { code, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(code, code::CONNECT_LOOP);
}

/// One write each: answers are not held back and not scattered.
#[test]
fn a_publish_takes_the_client_four_writes() {
    let mut pair = Pair::new(ClientMode::Publish, false, vec![usize::MAX]);
    let mut writes = Vec::new();
    for _ in 0..20 {
        let Some(bytes) = pair.client.poll_transmit() else {
            break;
        };
        assert_eq!(pair.client.poll_transmit(), None);
        writes.push(bytes.len());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let used = pair.server.handle_input(pair.now, rest).expect("valid");
            rest = &rest[used..];
            while let Some(event) = pair.server.poll_event() {
                if let Some(request) = request(&event) {
                    pair.server.accept(pair.now, request);
                }
            }
        }
        let bytes = pair.server.poll_transmit().unwrap_or_default();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let used = pair.client.handle_input(pair.now, rest).expect("valid");
            rest = &rest[used..];
            pair.client_events
                .extend(std::iter::from_fn(|| pair.client.poll_event()));
        }
    }
    assert_eq!(pair.client_events.last(), Some(&ClientEvent::Ready));
    // C0+C1; C2+connect; createStream and its like; publish.
    assert_eq!(writes.len(), 4, "{writes:?}");
}
