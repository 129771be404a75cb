//! A server on a phone, over the sockets of a real system: connections and listeners that
//! somebody destroys, an address that goes away, a suspension.
//!
//! The tests run in a network of their own, a program started in a namespace of Linux: what
//! they do to sockets and addresses is done to nobody else's. That takes a kernel that lets
//! this user have one, and the programs of iproute2; where it does not, they are left out.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use openrtmp_core::protocol::media::{FrameType, VideoCodec, VideoPacketKind};
use openrtmp_core::{
    CloseReason, Config, DeviceNetwork, Event, NetworkKind, Publisher, PushRule, RelayRule, Server,
    StreamId, Tap, TapEvent, VideoPacket,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the test of this name below, in a network of its own.
fn in_a_network_of_its_own(test: &str) {
    let inside = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--map-root-user", "sh", "-c", command, "sh"]);
        unshare
    };
    let tried = inside("ip link set lo up && ip address add 10.77.0.9/32 dev lo && ss -V").output();
    let why = match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = why {
        openrtmp_tests::skip(test, &format!("no network of its own: {}", why.trim()));
        return;
    }
    let program = std::env::current_exe().expect("this one");
    let mut command = inside("ip link set lo up && exec \"$@\"");
    command.arg(program);
    command.args([
        "--ignored",
        "--exact",
        "--nocapture",
        &format!("inside::{test}"),
    ]);
    let output = command.output().expect("it was there just now");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_publisher_whose_connection_was_destroyed_comes_back_and_its_stream_goes_on() {
    in_a_network_of_its_own("connections_are_destroyed");
}

#[test]
fn a_listener_that_was_destroyed_listens_again_on_its_port() {
    in_a_network_of_its_own("the_listener_is_destroyed");
}

#[test]
fn a_program_that_comes_back_without_its_listener_listens_again_on_its_port() {
    in_a_network_of_its_own("the_listener_is_destroyed_and_the_host_tells");
}

#[test]
fn a_suspended_server_lets_its_stream_go_on_afterwards() {
    in_a_network_of_its_own("the_server_is_suspended");
}

#[test]
fn a_server_whose_address_is_gone_says_so_and_its_stream_goes_on_when_it_is_back() {
    in_a_network_of_its_own("the_address_goes_away");
}

/// A phone that streams are published to, and a server elsewhere that passes one on to it, and
/// connects again by itself.
struct Scene {
    phone: Server,
    of_phone: Receiver<Event>,
    tap: Tap,
    elsewhere: Server,
    publisher: Publisher,
    /// Frames written.
    written: u32,
}

fn start(listen: &[IpAddr]) -> (Server, Receiver<Event>) {
    let mut config = Config::mobile();
    let listen = listen.iter().map(|&address| SocketAddr::new(address, 0));
    config.listen = listen.map(Into::into).collect();
    // Whoever is silent is found out soon.
    config.rtmp.ping_interval = Duration::from_secs(1);
    config.rtmp.idle_timeout = Duration::from_secs(3);
    config.relay.retry_max = config.relay.retry_min;
    let (sender, events) = channel();
    let builder = Server::builder(config).on_event(move |event| drop(sender.send(event)));
    (builder.start().expect("it starts"), events)
}

impl Scene {
    fn begin(addresses: &[IpAddr]) -> Scene {
        let (phone, of_phone) = start(addresses);
        let (elsewhere, _) = start(&[[127, 0, 0, 1].into()]);
        let tap = phone.tap("live/cam");
        let url = format!("rtmp://{}/live/cam", phone.addresses()[0]);
        let rule = RelayRule::Push(PushRule::new("live/cam", url));
        elsewhere.add_relay(&rule).expect("a rule");
        let publisher = elsewhere.publish("live/cam").expect("nobody else does");
        Scene {
            phone,
            of_phone,
            tap,
            elsewhere,
            publisher,
            written: 0,
        }
    }

    fn address(&self) -> SocketAddr {
        self.phone.addresses()[0]
    }

    fn wait_for<T>(&self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.of_phone.recv_timeout(left).expect("the event comes");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    fn wait_until_published(&self) -> StreamId {
        self.wait_for(|event| match event {
            Event::StreamPublished { stream, .. } => Some(stream),
            _ => None,
        })
    }

    fn wait_until_lost(&self, listener: SocketAddr) {
        self.wait_for(|event| match event {
            Event::ListenerLost { address, .. } if address == listener => Some(()),
            Event::ListenerRestored { address } => panic!("{address} was not lost"),
            _ => None,
        });
    }

    fn wait_until_restored(&self, listener: SocketAddr) {
        self.wait_for(|event| match event {
            Event::ListenerRestored { address } if address == listener => Some(()),
            _ => None,
        });
    }

    /// Publishes a key frame, and waits until the phone has it. True if the tap was told
    /// before that the stream goes on with another publisher; never is it told that it ended.
    fn passes_a_frame(&mut self) -> bool {
        self.written += 1;
        let body = format!("frame {}", self.written);
        let header = [1, 100, 0, 31, 255, 224, 0];
        for (kind, body) in [
            (VideoPacketKind::SequenceStart, &header[..]),
            (VideoPacketKind::Frame, body.as_bytes()),
        ] {
            let packet = VideoPacket {
                codec: VideoCodec::Avc,
                track: 0,
                frame_type: FrameType::Key,
                kind,
                timestamp: self.written * 1000,
                composition_time: 0,
                body,
            };
            self.publisher.write_video(&packet).expect("taken");
        }
        let mut is_another = false;
        loop {
            match self.tap.recv(PATIENCE).expect("it comes") {
                TapEvent::Frame(frame) if frame.payload[..] == *body.as_bytes() => {
                    return is_another;
                }
                TapEvent::Republished(_) => is_another = true,
                TapEvent::Ended(_) => panic!("the stream is over"),
                _ => {}
            }
        }
    }

    fn end(self) {
        self.elsewhere.stop(Duration::ZERO);
        self.phone.stop(Duration::ZERO);
    }
}

/// Destroys sockets, as a system does to those of a program that it froze.
fn destroy(which: &[&str], port: u16) {
    let mut ss = Command::new("ss");
    ss.args(["-H", "-K", "-t", "-n"]).args(which);
    ss.args(["sport", "=", &format!(":{port}")]);
    let output = ss.output().expect("ss is there");
    // It prints what it destroyed.
    assert!(!output.stdout.is_empty(), "a kernel without SOCK_DESTROY");
}

fn ip(words: &str) {
    let mut ip = Command::new("ip");
    let status = ip.args(words.split(' ')).status().expect("ip is there");
    assert!(status.success(), "ip {words}");
}

mod inside {
    use super::*;

    /// An address besides, which comes and goes.
    const ADDRESS: &str = "10.77.0.9";
    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    #[ignore = "run in a network of its own by the test above"]
    fn connections_are_destroyed() {
        let mut scene = Scene::begin(&[LOOPBACK]);
        let stream = scene.wait_until_published();
        assert!(!scene.passes_a_frame());
        for _ in 0..3 {
            destroy(&["state", "established"], scene.address().port());
            let lost = scene.wait_for(|event| match event {
                Event::PublisherLost { stream, .. } => Some(stream),
                _ => None,
            });
            assert_eq!(lost, stream);
            assert_eq!(scene.wait_until_published(), stream, "the same stream");
            assert!(scene.passes_a_frame());
        }
        scene.end();
    }

    #[test]
    #[ignore = "run in a network of its own by the test above"]
    fn the_listener_is_destroyed() {
        ip(&format!("address add {ADDRESS}/32 dev lo"));
        let mut scene = Scene::begin(&[LOOPBACK, ADDRESS.parse().expect("an address")]);
        scene.wait_until_published();
        let [address, other] = scene.phone.addresses()[..] else {
            panic!("two addresses");
        };
        // Linux tells the server; nobody asks it to look.
        destroy(&["-l"], address.port());
        scene.wait_until_lost(address);
        scene.wait_until_restored(address);
        let _peer = TcpStream::connect(address).expect("the same port");
        assert!(!scene.passes_a_frame(), "its connection was left alone");
        assert!(scene.phone.health().ready);

        // One whose address is gone cannot be had again for now.
        ip(&format!("address del {ADDRESS}/32 dev lo"));
        destroy(&["-l"], other.port());
        scene.wait_until_lost(other);
        let health = scene.phone.health();
        assert!(health.live && !health.ready, "{health:?}");
        assert_eq!(health.reasons, [format!("not listening on {other}")]);
        let _peer = TcpStream::connect(address).expect("the first goes on");
        assert!(!scene.passes_a_frame());
        ip(&format!("address add {ADDRESS}/32 dev lo"));
        scene.wait_until_restored(other);
        assert!(scene.phone.health().ready);
        let _peer = TcpStream::connect(other).expect("the same port");
        scene.end();
    }

    #[test]
    #[ignore = "run in a network of its own by the test above"]
    fn the_listener_is_destroyed_and_the_host_tells() {
        let mut scene = Scene::begin(&[LOOPBACK]);
        scene.wait_until_published();
        let address = scene.address();
        destroy(&["-l"], address.port());
        // Where nothing tells the server, the host's word has it looked for.
        scene.phone.host().resume(Duration::from_secs(60));
        scene.wait_until_restored(address);
        let _peer = TcpStream::connect(address).expect("the same port");
        assert!(!scene.passes_a_frame(), "its connection was left alone");
        scene.end();
    }

    #[test]
    #[ignore = "run in a network of its own by the test above"]
    fn the_server_is_suspended() {
        let mut scene = Scene::begin(&[LOOPBACK]);
        let stream = scene.wait_until_published();
        assert!(!scene.passes_a_frame());
        let address = scene.address();
        for _ in 0..3 {
            let begun = Instant::now();
            let report = scene.phone.host().suspend(Duration::from_millis(700));
            assert!(report.in_time, "{report:?} after {:?}", begun.elapsed());
            assert_eq!((report.listeners, report.closed), (1, 1), "{report:?}");
            TcpStream::connect(address).expect_err("nobody listens");
            // Told twice, and without a word of the system's in between.
            let again = scene.phone.host().suspend(Duration::from_millis(700));
            assert_eq!((again.listeners, again.closed), (0, 0), "{again:?}");

            let report = scene.phone.host().resume(Duration::from_secs(60));
            assert!(report.in_time, "{report:?}");
            assert_eq!((report.remade, report.failed), (1, 0), "{report:?}");
            TcpStream::connect(address).expect("the same port");
            assert_eq!(scene.wait_until_published(), stream, "the same stream");
            assert!(scene.passes_a_frame());
        }
        // What is destroyed while nobody is told of it is found at the next word.
        destroy(&["state", "established"], address.port());
        let closed = scene.wait_for(|event| match event {
            Event::ConnectionClosed { reason, .. } if reason != CloseReason::Suspended => {
                Some(reason)
            }
            _ => None,
        });
        assert!(
            matches!(closed, CloseReason::Network(_) | CloseReason::Peer),
            "{closed:?}"
        );
        assert_eq!(scene.wait_until_published(), stream, "the same stream");
        scene.end();
    }

    #[test]
    #[ignore = "run in a network of its own by the test above"]
    fn the_address_goes_away() {
        let wifi = || {
            let mut network = DeviceNetwork::new("lo", NetworkKind::Wifi);
            network.is_default = true;
            network.addresses = vec![ADDRESS.parse().expect("an address")];
            network
        };
        ip(&format!("address add {ADDRESS}/32 dev lo"));
        let (phone, of_phone) = start(&[[0, 0, 0, 0].into()]);
        let port = phone.addresses()[0].port();
        let (elsewhere, _) = start(&[LOOPBACK]);
        let tap = phone.tap("live/cam");
        let url = format!("rtmp://{ADDRESS}:{port}/live/cam");
        let rule = RelayRule::Push(PushRule::new("live/cam", url));
        elsewhere.add_relay(&rule).expect("a rule");
        let publisher = elsewhere.publish("live/cam").expect("nobody else does");
        let mut scene = Scene {
            phone,
            of_phone,
            tap,
            elsewhere,
            publisher,
            written: 0,
        };
        scene.phone.host().networks(vec![wifi()]);
        let stream = scene.wait_until_published();
        assert!(!scene.passes_a_frame());

        ip(&format!("address del {ADDRESS}/32 dev lo"));
        scene.phone.host().networks(Vec::new());
        scene.wait_for(|event| match event {
            Event::NetworkLost { .. } => Some(()),
            _ => None,
        });
        // Nothing tells either side that the other cannot be reached: silence does.
        let lost = scene.wait_for(|event| match event {
            Event::PublisherLost { stream, .. } => Some(stream),
            _ => None,
        });
        assert_eq!(lost, stream);

        ip(&format!("address add {ADDRESS}/32 dev lo"));
        scene.phone.host().networks(vec![wifi()]);
        scene.wait_for(|event| match event {
            Event::NetworkBack => Some(()),
            _ => None,
        });
        assert_eq!(scene.wait_until_published(), stream, "the same stream");
        assert!(scene.passes_a_frame());
        scene.end();
    }
}
