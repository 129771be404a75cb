//! Writes the first inputs of every target into its corpus, made of the golden
//! vectors and of what `capture` recorded:
//! `cargo run -p openrtmp-fuzz-targets --example seeds -- FOLDER`, by default the
//! corpus itself. `cargo fuzz cmin` then throws out what adds nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use openrtmp_core::{Config, Format};
use openrtmp_fuzz_targets::input::Piece;
use openrtmp_fuzz_targets::media::{AUDIO, VIDEO};
use openrtmp_fuzz_targets::{capi, client_session, server_session};

/// C0 and C1 and C2, or what answers them.
const HANDSHAKE: usize = 1 + 2 * 1536;

fn main() -> io::Result<()> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let golden = fuzz.join("../golden");
    let folder = std::env::args_os().nth(1);
    let corpus = folder.map_or_else(|| fuzz.join("corpus"), PathBuf::from);
    let seeds = Seeds(&corpus);
    seeds.golden(&golden)?;
    seeds.captures(&fuzz.join("captures"))?;
    seeds.sessions()?;
    seeds.texts()?;
    seeds.calls()
}

struct Seeds<'a>(&'a Path);

impl Seeds<'_> {
    /// Writes one input, named by what it is.
    fn put(&self, target: &str, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let folder = self.0.join(target);
        fs::create_dir_all(&folder)?;
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = name.chars().map(plain).collect();
        fs::write(folder.join(name), parts.concat())
    }

    fn golden(&self, golden: &Path) -> io::Result<()> {
        for (file, target) in [("amf0", "amf0"), ("amf3", "amf3"), ("commands", "message")] {
            let text = fs::read_to_string(golden.join("amf").join(file).with_extension("txt"))?;
            for (name, bytes) in sections(&text) {
                match target {
                    "message" => {
                        self.put(target, &name, &[&[20, 0], &bytes])?;
                        self.put("amf0", &name, &[&[0], &bytes])?;
                    }
                    _ => self.put(target, &name, &[&[0], &bytes])?,
                }
            }
        }
        for (folder, name, bytes) in hex_files(golden, &["chunk", "control", "handshake"])? {
            match folder.as_str() {
                "chunk" if name.ends_with("wire") => {
                    self.put("chunk_read", &name, &[&[0, 1, 0], &bytes])?;
                }
                "control" => {
                    let kinds: &[u8] = match name.contains("aggregate") {
                        true => &[22],
                        false => &[1, 2, 3, 4, 5, 6],
                    };
                    for kind in kinds {
                        let name = format!("{name} {kind}");
                        self.put("message", &name, &[&[*kind, 0], &bytes])?;
                    }
                }
                "handshake" => {
                    let server = u8::from(name.contains("c0") || name.contains("c2"));
                    self.put("handshake", &name, &[&[server, 0, 9, 0], &bytes])?;
                }
                _ => {}
            }
        }
        for side in 0..8 {
            self.put(
                "handshake",
                &format!("pair {side}"),
                &[&[side | 4, side, 3, 0]],
            )?;
        }
        for (file, kind) in [
            ("ertmp/video", 0),
            ("ertmp/audio", 1),
            ("codec/video_config", 2),
            ("codec/video_frame", 2),
            ("codec/audio_config", 3),
            ("codec/audio_frame", 3),
        ] {
            let text = fs::read_to_string(golden.join(file).with_extension("txt"))?;
            for (name, bytes, fourcc) in cases(&text) {
                let video = VIDEO.iter().position(|c| c.fourcc().as_string() == fourcc);
                let audio = AUDIO.iter().position(|c| c.fourcc().as_string() == fourcc);
                let codec = video.or(audio).unwrap_or(0) as u8;
                let name = format!("{file} {name}");
                self.put("media", &name, &[&[kind, codec], &bytes])?;
            }
        }
        let text = fs::read_to_string(golden.join("flv/files.txt"))?;
        for (name, bytes, _) in cases(&text) {
            self.put("flv", &name, &[&[1, 0], &bytes])?;
        }
        Ok(())
    }

    fn captures(&self, captures: &Path) -> io::Result<()> {
        let mut files: Vec<PathBuf> = fs::read_dir(captures)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?;
        files.sort();
        for file in files {
            let bytes = fs::read(&file)?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let (greeting, wire) = bytes.split_at(HANDSHAKE.min(bytes.len()));
            self.put("chunk_read", &name, &[&[0, 7, 0], wire])?;
            let mut raw = Vec::new();
            Piece::write(wire, &mut raw);
            let client = name.ends_with("client");
            self.put(
                "handshake",
                &name,
                &[&[u8::from(client), 0, 5, 0], greeting],
            )?;
            if client {
                let flags = server_session::flag::GREETED | server_session::flag::ACCEPTING;
                let head = [flags, 5, 0, server_session::RAW];
                self.put("server_session", &name, &[&head, &raw])?;
            } else {
                let mode = match name.contains("plays") {
                    true => 0,
                    false => client_session::flag::PUBLISH,
                };
                let flags = client_session::flag::GREETED | mode;
                let head = [flags, 5, 0, client_session::RAW];
                self.put("client_session", &name, &[&head, &raw])?;
            }
        }
        Ok(())
    }

    /// What captures do not hold: operations as the targets' `Operation::take` reads
    /// them.
    fn sessions(&self) -> io::Result<()> {
        use server_session::flag::{ACCEPTING, CONNECTED, GREETED, PUBLISHING};
        // Two parts: audio and video of two bytes each.
        let aggregate = [
            &[1u8, 30, 0][..],
            &[8, 0, 0, 2, 0, 0, 5, 0, 0, 0, 0, 0xAF, 1, 0, 0, 0, 13],
            &[9, 0, 0, 2, 0, 0, 9, 0, 0, 0, 0, 0x27, 1],
            &[4, 22, 1, 9, 0],
        ]
        .concat();
        let chunk_size = [1, 4, 0, 0, 0, 0x10, 0, 0, 1, 0, 0, 0];
        let video = [6, 5, 200, 40, 1];
        let connect = [3, 0, 0, 1, 0x2A, 0, 3, 0, 4, 6, 1];
        for (name, flags, operations) in [
            (
                "aggregate",
                PUBLISHING,
                [&aggregate[..], &video, &aggregate].concat(),
            ),
            (
                "chunk size",
                PUBLISHING,
                [&chunk_size[..], &video, &[8, 5, 0, 90, 1, 0, 9]].concat(),
            ),
            (
                "end publish",
                PUBLISHING,
                [&video[..], &[12, 1], &video, &[11, 255, 255]].concat(),
            ),
            (
                "reconnect",
                0,
                [&connect[..], &[9, 0, 14, 2, 14, 3]].concat(),
            ),
            (
                "close",
                PUBLISHING,
                vec![3, 0x11, 6, 2, 0, 3, 1, 3, 0x11, 9, 3, 0, 3, 1],
            ),
            (
                "play",
                0,
                [&[3u8, 0x11, 3, 0, 0, 3, 1][..], &[13, 1], &[3, 1, 11, 1, 0]].concat(),
            ),
        ] {
            let connected = if name == "reconnect" { 0 } else { CONNECTED };
            let flags = flags | GREETED | ACCEPTING | connected;
            self.put("server_session", name, &[&[flags, 3, 0], &operations])?;
        }
        use client_session::flag::{CREATED, GREETED as GREETED_CLIENT, PUBLISH};
        let status = |code: u8| [3, 0x11, 20, 0, 0, 0x1A, 10, 3, code];
        let (publish_start, play_start, reconnect) = (status(11), status(12), status(14));
        let eof = [1, 6, 0, 0, 1, 0, 0, 0, 1, 0, 4, 0, 0, 0];
        let send = [9, 5, 200, 40, 1];
        for (name, flags, operations) in [
            (
                "publishes",
                PUBLISH,
                [&publish_start[..], &send, &[9, 2, 9, 0, 1], &[11]].concat(),
            ),
            (
                "plays",
                0,
                [
                    &play_start[..],
                    &[7, 5, 200, 40, 1],
                    &aggregate,
                    &eof,
                    &reconnect,
                ]
                .concat(),
            ),
            ("times out", 0, [&[10, 255, 255][..], &send].concat()),
        ] {
            let flags = flags | GREETED_CLIENT | CREATED;
            self.put("client_session", name, &[&[flags, 3, 0], &operations])?;
        }
        Ok(())
    }

    /// Operations of two ends, and bytes for one.
    fn tls(&self) -> io::Result<()> {
        let (client, server) = (0u8, 1u8);
        let step = |what: u8, end: u8, amount: u16| {
            let amount = amount.to_le_bytes();
            vec![what << 1 | end, amount[0], amount[1]]
        };
        let write = |end: u8, text: &[u8]| {
            let mut step = step(0, end, 0);
            Piece::write(text, &mut step);
            step
        };
        // Room on the wire, and what is on it to the other end.
        let pass = |end: u8| [step(4, end, u16::MAX), step(5, end, u16::MAX)].concat();
        let shake = [client, server, client, server].map(pass).concat();
        let talk = [
            write(client, b"from the client"),
            pass(client),
            write(server, &[7; 20_000]),
            pass(server),
        ];
        let talk = talk.concat();
        let bye = [step(3, client, 0), pass(client)].concat();
        let alter = [write(client, b"altered"), step(4, client, u16::MAX)].concat();
        let alter = [alter, step(2, client, 9), step(5, client, u16::MAX)].concat();
        let drip: Vec<u8> = (0..40)
            .flat_map(|n| [step(4, n % 2, 300), step(5, n % 2, 70)].concat())
            .collect();
        for (name, steps) in [
            ("talks", [&shake[..], &talk, &talk].concat()),
            ("says goodbye", [&shake[..], &talk, &bye].concat()),
            ("altered", [&shake[..], &talk, &alter, &talk].concat()),
            ("drips", [&drip[..], &talk].concat()),
            (
                "altered handshake",
                [&step(4, client, 900)[..], &step(2, client, 70), &shake].concat(),
            ),
        ] {
            self.put("tls", name, &[&[1], &steps])?;
        }
        for (name, bytes) in [
            ("plain RTMP", &[3; 100][..]),
            ("HTTP", b"GET / HTTP/1.1\r\n\r\n"),
            ("empty records", &[22, 3, 1, 0, 0, 22, 3, 1, 0, 0]),
            ("a long record", &[22, 3, 3, 0x41, 1, 1, 0, 0, 0]),
            ("half a record", &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]),
            ("an alert", &[21, 3, 3, 0, 2, 2, 40]),
            (
                "early data",
                &[
                    23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
                ],
            ),
        ] {
            self.put("tls", name, &[&[0, 0, 0], bytes])?;
        }
        Ok(())
    }

    fn texts(&self) -> io::Result<()> {
        for (number, url) in [
            "rtmp://host/live/cam",
            "rtmps://[fe80::1%25eth0]:1936/live/room/cam?key=1&x=2",
            "RTMP://10.0.0.1:65535//cam",
            " \"rtmp://host/cam\" ",
            "rtmp://user:secret@host/live/cam",
            "/live/'room'//cam?token=rtmp://x",
        ]
        .iter()
        .enumerate()
        {
            let mut app = Vec::new();
            Piece::write(b"live/room", &mut app);
            self.put("url", &format!("url {number}"), &[&app, url.as_bytes()])?;
        }
        for (number, (template, path, redirect)) in [
            ("rtmp://host/{app}/{name}", "live/cam", "rtmp://other/edge"),
            (
                "rtmps://ann:p%40ss@host:1936/x/{name}?k={app}",
                "a/b/cam",
                "//other/live",
            ),
            (
                "rtmp://[::1]/live/{name}-{app}",
                "live/%3Fa%2Fb",
                "/other/app/cam",
            ),
            ("rtmp://host/{name}/KEY?key=1", "cam", "rtmps://a:b@c/d?e"),
            ("rtmp://a:{name}@host/live/x", "cam", ""),
        ]
        .iter()
        .enumerate()
        {
            let mut both = Vec::new();
            Piece::write(template.as_bytes(), &mut both);
            Piece::write(path.as_bytes(), &mut both);
            let name = format!("relay {number}");
            self.put("relay", &name, &[&both, redirect.as_bytes()])?;
        }
        self.tls()?;
        let mut full = Config::mobile();
        let text = r#"{"access": {"publish_keys": ["a"]}, "record": {"directory": "d"}}"#;
        full.merge(text, Format::Json).map_err(io::Error::other)?;
        for (number, config) in [Config::desktop(), full].iter().enumerate() {
            for (what, format) in [(4, Format::Json), (5, Format::Yaml)] {
                let mut document = Vec::new();
                Piece::write(config.dump(format).as_bytes(), &mut document);
                let name = format!("dump {number} {format:?}");
                self.put("config", &name, &[&[0, what], &document])?;
            }
        }
        for (number, (path, value)) in [
            ("listen", "127.0.0.1:0, [::1]:1935"),
            ("rtmp.chunk_size", "4096"),
            ("streams.second_publisher", "takeover"),
            ("record.directory", "\"a b\""),
            ("record", "null"),
            ("rtmp", "{\"chunk_size\": 128}"),
            ("rtmp.chunk_sise", "1"),
            ("access.play_keys", "a,b"),
        ]
        .iter()
        .enumerate()
        {
            let mut both = Vec::new();
            Piece::write(path.as_bytes(), &mut both);
            Piece::write(value.as_bytes(), &mut both);
            self.put("config", &format!("set {number}"), &[&[1, 6], &both])?;
        }
        for (number, yaml) in [
            "rtmp:\n  strict_handshake: true\n  idle_timeout: 1500\n",
            "listen: [127.0.0.1:0]\nlimits: &a\n  memory: 0x100000\n",
            "record: ~\nworkers: 3\n---\n",
        ]
        .iter()
        .enumerate()
        {
            let mut document = Vec::new();
            Piece::write(yaml.as_bytes(), &mut document);
            self.put("config", &format!("yaml {number}"), &[&[1, 5], &document])?;
        }
        for (number, media) in [
            &[0u8, 0, 0, 0, 100, 0, 1][..],
            &[6, 0xFF, 0xFF, 0xFF, 0, 200, 100, 2],
            &[5, 1, 0, 0, 0, 20, 0, 3],
        ]
        .iter()
        .enumerate()
        {
            for flags in 0..8 {
                let name = format!("pair {flags} {number}");
                let head = [flags, 0, 1, 200, 0, 3, 0];
                self.put("session_pair", &name, &[&head, media, media])?;
                let habits = [3, 0, 64, 0, flags & 1, 2, 0, 1, 2];
                self.put("chunk_write", &name, &[&habits, media, media, media])?;
            }
        }
        Ok(())
    }

    fn calls(&self) -> io::Result<()> {
        for (name, calls) in capi::seeds() {
            self.put("capi", name, &[&calls])?;
        }
        Ok(())
    }
}

/// `[name]` and the hex below it.
fn sections(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut sections: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.lines().map(bare) {
        if let Some(name) = line.strip_prefix('[') {
            sections.push((name.trim_end_matches(']').to_owned(), Vec::new()));
        } else if let Some((_, bytes)) = sections.last_mut() {
            bytes.extend(hex(line).unwrap_or_default());
        }
    }
    sections
}

/// `case: name`, the hex below it, and what `codec:` says.
fn cases(text: &str) -> Vec<(String, Vec<u8>, String)> {
    let mut cases: Vec<(String, Vec<u8>, String)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("case: ") {
            cases.push((name.to_owned(), Vec::new(), String::new()));
        } else if let Some((_, bytes, codec)) = cases.last_mut() {
            let line = bare(line);
            match line.strip_prefix("codec: ") {
                Some(name) => name.clone_into(codec),
                None => bytes.extend(hex(line).unwrap_or_default()),
            }
        }
    }
    cases
}

/// Every section of every `.hex` file: folder, file and section, bytes.
fn hex_files(golden: &Path, folders: &[&str]) -> io::Result<Vec<(String, String, Vec<u8>)>> {
    let mut found: Vec<(String, String, Vec<u8>)> = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(golden.join(folder))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "hex") {
                continue;
            }
            let file = path.file_stem().unwrap_or_default().to_string_lossy();
            let first = found.len();
            for line in fs::read_to_string(&path)?.lines().map(bare) {
                if let Some(section) = line.strip_suffix(':') {
                    let name = format!("{file} {section}");
                    found.push(((*folder).to_owned(), name, Vec::new()));
                } else if found.len() > first
                    && let Some((.., bytes)) = found.last_mut()
                {
                    bytes.extend(hex(line).unwrap_or_default());
                }
            }
        }
    }
    Ok(found)
}

fn bare(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// Words of hex digits.
fn hex(line: &str) -> Option<Vec<u8>> {
    let digits: String = line.split_whitespace().collect();
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect()
}
