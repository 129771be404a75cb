//! Starting and stopping over real sockets: nothing is left behind, however often
//! and however it ends.
#![cfg(target_os = "linux")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::{ClientMode, MediaKind};
use openrtmp_core::{Config, Server, StartError};

fn config() -> Config {
    let mut config = Config::desktop();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    config.workers = 2;
    config
}

/// Open file descriptors and threads of this process.
fn held() -> (usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).expect("procfs").count();
    (count("/proc/self/fd"), count("/proc/self/task"))
}

/// Waits until no more is held than before: a thread that was joined stays on the
/// kernel's list for a moment, when this is counted as well as when `before` was.
fn assert_held(before: (usize, usize)) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let exceeded = || {
        let now = held();
        (now.0 > before.0 || now.1 > before.1).then_some(now)
    };
    while exceeded().is_some() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let more = exceeded();
    assert!(
        more.is_none(),
        "{more:?} (file descriptors, threads) after {before:?}"
    );
}

fn publisher(server: &Server, name: &str) -> Client {
    let url = format!("rtmp://{}/{name}", server.addresses()[0]);
    let url = RtmpUrl::parse(&url).expect("a URL");
    Client::connect(ClientConfig::new(url, ClientMode::Publish)).expect("the server accepts")
}

/// One test, alone in its process: it counts what the process holds.
#[test]
fn starting_and_stopping_a_thousand_times_leaves_nothing() {
    let cycle = |streaming: bool| {
        let server = Server::builder(config())
            .on_event(|_| {})
            .on_access(|request| {
                request.accept();
            })
            .start()
            .expect("it starts");
        let mut tap = server.tap("live/cam");
        let client = streaming.then(|| {
            let mut client = publisher(&server, "live/cam");
            client
                .send(MediaKind::Video, 0, &[0x17, 1, 0, 0, 0, 1, 2, 3])
                .expect("it is taken");
            client.flush().expect("it is sent");
            client
        });
        if streaming {
            assert!(tap.recv(Duration::from_secs(10)).is_some());
        }
        server.stop(Duration::ZERO);
        drop(client);
        assert!(tap.recv(Duration::from_secs(10)).is_none() || streaming);
    };
    // The first ones fill what the process keeps (standard library, allocator).
    for _ in 0..5 {
        cycle(true);
    }
    let before = held();
    for n in 0..1000 {
        cycle(n % 20 == 0);
    }
    assert_held(before);

    the_last_words_of_a_stop();
    a_taken_port_is_told_and_leaves_nothing(before);
    a_forced_stop_does_not_wait_for_a_callback();
}

fn the_last_words_of_a_stop() {
    let server = Server::start(config()).expect("it starts");
    let mut client = publisher(&server, "live/cam");
    let idle = TcpStream::connect(server.addresses()[0]).expect("it listens");
    let (address, started) = (server.addresses()[0], Instant::now());
    // Graceful: the publisher is told, and leaves before the grace is over.
    let leaver = std::thread::spawn(move || {
        let deadline = Deadline::after(Duration::from_secs(20));
        let told = client.next_event(deadline);
        drop(client);
        told
    });
    let summary = server.stop(Duration::from_secs(20));
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "it waited though all had left"
    );
    assert_eq!((summary.publishers, summary.forced), (1, 0));
    let told = leaver.join().expect("no panic");
    assert!(
        matches!(&told, Ok(Some(_))),
        "the publisher was told: {told:?}"
    );
    assert!(
        TcpStream::connect(address).is_err(),
        "nothing listens any more"
    );
    drop(idle);
}

fn a_taken_port_is_told_and_leaves_nothing(before: (usize, usize)) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut config = config();
    config
        .listen
        .push(taken.local_addr().expect("bound").into());
    let error = Server::start(config).expect_err("the port is taken");
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(
        error.to_string().contains("taken by another program"),
        "{error}"
    );
    drop(taken);
    assert_held(before);
}

fn a_forced_stop_does_not_wait_for_a_callback() {
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let (entered, inside) = std::sync::mpsc::channel();
    let server = Server::builder(config())
        .on_event(move |_| {
            let _ = entered.send(());
            // Until the test lets go, or is over.
            let _ = hold.recv();
        })
        .start()
        .expect("it starts");
    inside.recv().expect("the first event came");
    server.stop(Duration::ZERO);
    drop(release);
}
