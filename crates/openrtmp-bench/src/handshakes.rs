//! How many clients can connect over TLS for a second of a processor.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, StreamOwned};
use serde::Serialize;

use crate::server::{Contender, Running};
use crate::stats::median;
use crate::target::Ends;
use crate::tls::{self, Identity};

/// For a server that says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// C0 and C1, and what answers them: S0, S1, S2 (RTMP 1.0 section 5.2).
const HELLO: usize = 1 + 1536;
const ANSWER: usize = 1 + 2 * 1536;

/// What was measured.
#[derive(Serialize)]
pub(crate) struct Handshakes {
    rounds: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// Connections for each second of the server's processor time, round by round.
    full: Vec<f64>,
    resumed: Vec<f64>,
}

/// Servers take turns.
pub(crate) fn run(
    rounds: usize,
    duration: Duration,
    progress: impl Fn(&str),
) -> io::Result<Handshakes> {
    let identity = Identity::new()?;
    let contenders = [
        Contender::OpenRtmp {
            workers: 1,
            merge_ms: 0,
        },
        Contender::Nginx { chunk_size: 4096 },
    ];
    let contenders = contenders.iter().filter(|c| c.is_installed());
    let mut rows: Vec<(&Contender, Row)> = contenders
        .map(|contender| {
            let row = Row {
                name: contender.name(),
                full: Vec::new(),
                resumed: Vec::new(),
            };
            (contender, row)
        })
        .collect();
    for round in 1..=rounds {
        for (contender, row) in &mut rows {
            let running = Running::start(contender, Some(&identity))?;
            for (resumes, results) in [(false, &mut row.full), (true, &mut row.resumed)] {
                let config = identity.client(resumes)?;
                results.push(rate(&running, &config, duration)?);
            }
            progress(&format!("round {round}, {row}"));
        }
    }
    Ok(Handshakes {
        rounds,
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    })
}

fn rate(running: &Running, config: &Arc<ClientConfig>, duration: Duration) -> io::Result<f64> {
    let process = running.process();
    // The first has no ticket yet.
    connect(running.ends(), config)?;
    let before = process.cpu();
    let end = Instant::now() + duration;
    let mut count = 0_u32;
    while Instant::now() < end {
        connect(running.ends(), config)?;
        count += 1;
    }
    Ok(f64::from(count) / (process.cpu() - before).as_secs_f64())
}

/// Connects, and shakes hands in RTMP too, behind which the tickets of TLS have come.
pub(crate) fn connect(ends: &Ends, config: &Arc<ClientConfig>) -> io::Result<()> {
    let stream = TcpStream::connect_timeout(&ends.play.address()?, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(tls::client_connection(config)?, stream);
    let mut hello = [0; HELLO];
    hello[0] = 3;
    stream.write_all(&hello)?;
    stream.read_exact(&mut [0; ANSWER])?;
    stream.conn.send_close_notify();
    stream.flush()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | {:.0} | {:.0} |",
            self.name,
            median(self.full.iter().copied()),
            median(self.resumed.iter().copied())
        )
    }
}

impl fmt::Display for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Medians of {} rounds.\n", self.rounds)?;
        writeln!(
            f,
            "| server | full handshakes per core-second | resumed ones |"
        )?;
        writeln!(f, "|---|---|---|")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        Ok(())
    }
}
