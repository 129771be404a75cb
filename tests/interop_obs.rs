//! OBS Studio, on a screen that nobody sees, publishes with a user name and a password
//! (`authmod=adobe`, by the librtmp that it brings).

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use openrtmp_core::client::{Client, ClientConfig, Deadline};
use openrtmp_core::protocol::RtmpUrl;
use openrtmp_core::protocol::session::{ClientEvent, ClientMode, MediaKind};
use openrtmp_core::{Authenticate, UserConfig};
use openrtmp_tests::{Process, Server};

const PATIENCE: Duration = Duration::from_secs(60);

/// A screen, and what it is called.
fn screen() -> (Process, String) {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", "1024x768x24"]);
    command.args(["-nolisten", "tcp"]);
    let mut process = Process::start("Xvfb", command);
    let number = |line: &str| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
    let line = process.wait_for("its number", number);
    (process, format!(":{line}"))
}

/// Settings as OBS keeps them, after its questions of the first start.
fn settle(folder: &Path, server: &Server, password: &str) {
    let basic = folder.join("obs-studio").join("basic");
    let (profile, scenes) = (basic.join("profiles").join("Test"), basic.join("scenes"));
    fs::create_dir_all(&profile).expect("a folder");
    fs::create_dir_all(&scenes).expect("a folder");
    let write = |path: &Path, text: &str| fs::write(path, text).expect("it is written");
    write(
        &folder.join("obs-studio").join("global.ini"),
        "[General]\nFirstRun=true\nLastVersion=4294967295\n\
         [Basic]\nProfile=Test\nProfileDir=Test\nSceneCollection=Test\nSceneCollectionFile=Test\n",
    );
    write(
        &profile.join("basic.ini"),
        "[General]\nName=Test\n[Output]\nMode=Simple\n\
         [SimpleOutput]\nStreamEncoder=x264\nVBitrate=500\nPreset=ultrafast\n\
         [Video]\nBaseCX=320\nBaseCY=180\nOutputCX=320\nOutputCY=180\nFPSCommon=30\n",
    );
    let service = serde_json::json!({
        "type": "rtmp_custom",
        "settings": {
            "server": server.url("live"),
            "key": "obs",
            "use_auth": true,
            "username": "ann",
            "password": password,
        },
    });
    write(&profile.join("service.json"), &service.to_string());
    let scene = serde_json::json!({
        "name": "Test",
        "current_scene": "Scene",
        "current_program_scene": "Scene",
        "scene_order": [{"name": "Scene"}],
        "sources": [{"id": "scene", "name": "Scene", "settings": {}}],
    });
    write(&scenes.join("Test.json"), &scene.to_string());
}

fn obs(folder: &Path, screen: &str) -> Process {
    let mut command = Command::new("obs");
    command.args([
        "--startstreaming",
        "--profile",
        "Test",
        "--collection",
        "Test",
    ]);
    command.args(["--multi", "--disable-updater"]);
    command
        .env("DISPLAY", screen)
        .env("LIBGL_ALWAYS_SOFTWARE", "1");
    command.env_remove("WAYLAND_DISPLAY");
    for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
        command.env(variable, folder);
    }
    command.stdin(Stdio::null());
    Process::start("obs", command)
}

#[test]
fn obs_studio_shows_a_password() {
    let server = Server::start_with(|config| {
        config.access.users = vec![UserConfig::new("ann", "s3cret")];
        config.access.authenticate = Authenticate::Publishers;
    });
    let (_screen, screen) = screen();
    let folder = tempfile::tempdir().expect("a folder");
    settle(folder.path(), &server, "gue55");
    let wrong = obs(folder.path(), &screen);
    server.wait_until_closed_for(&["password", "wrong"]);
    wrong.kill();
    assert_eq!(server.publications("live/obs"), 0);

    let folder = tempfile::tempdir().expect("a folder");
    settle(folder.path(), &server, "s3cret");
    let _obs = obs(folder.path(), &screen);
    server.wait_until_published("live/obs");
    let url = RtmpUrl::parse(&server.url("live/obs")).expect("a URL");
    let mut player = Client::connect(ClientConfig::new(url, ClientMode::Play)).expect("granted");
    let (mut pictures, mut sounds) = (0, 0);
    while pictures < 60 || sounds < 60 {
        let event = player.next_event(Deadline::after(PATIENCE));
        if let ClientEvent::Media(media) = event.expect("it goes on").expect("in time") {
            pictures += usize::from(media.kind == MediaKind::Video);
            sounds += usize::from(media.kind == MediaKind::Audio);
        }
    }
}
