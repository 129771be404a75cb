//! The server inside your own program: start it, watch it, decide who may come
//! in, take frames out, stop it.
//!
//! `cargo run --example embed -- 127.0.0.1:1935`, then publish to
//! `rtmp://127.0.0.1/live/cam`.

use std::io::Write;
use std::time::Duration;

use openrtmp_core::{AccessAction, Config, Event, FrameContent, Server, TapEvent};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::desktop();
    if let Some(address) = std::env::args().nth(1) {
        config.listen = vec![address.parse()?];
    }

    let server = Server::builder(config)
        // On a thread of its own: take your time, the server does not wait.
        .on_event(|event| match event {
            Event::StreamTracks { name, tracks, .. } => say(&format!("{name}: {tracks:?}")),
            other => say(&format!("{other:?}")),
        })
        // Answer here or later, from any thread.
        .on_access(|request| match request.action {
            AccessAction::Publish if request.app != "live" => {
                request.reject("publish to the app \"live\"");
            }
            _ => {
                request.accept();
            }
        })
        .start()?;
    say(&format!(
        "listening on {:?}; Enter stops",
        server.addresses()
    ));

    // Frames of every stream, on a thread that is yours.
    let mut tap = server.tap_all();
    let counter = std::thread::spawn(move || {
        let mut keyframes = 0u64;
        while !tap.is_closed() {
            match tap.recv(Duration::from_secs(1)) {
                Some(TapEvent::Frame(frame)) if frame.content == FrameContent::Key => {
                    keyframes += 1;
                }
                Some(TapEvent::Ended(stream)) => say(&format!("{} ended", stream.name)),
                _ => {}
            }
        }
        keyframes
    });

    std::io::stdin().read_line(&mut String::new())?;
    let summary = server.stop(Duration::from_secs(2));
    say(&format!("{summary:?}"));
    say(&format!(
        "{} key and audio frames seen",
        counter.join().unwrap_or_default()
    ));
    Ok(())
}

fn say(line: &str) {
    // A closed terminal is no reason to stop serving.
    let _ = writeln!(std::io::stdout(), "{line}");
}
