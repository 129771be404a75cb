//! Attackers on real sockets, all on the thread that presses them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use openrtmp_attacks::{Flood, Kind};

/// Bytes that one connection says between two looks at the others.
const TURN: usize = 256 * 1024;

/// Attackers of one stream.
pub(crate) struct Attackers {
    address: SocketAddr,
    /// The name of the stream that they attack beside, of the app `live`.
    victim: String,
    /// Attackers that came so far.
    came: u32,
    present: Vec<Attacker>,
    /// Those who were sent away, and come again.
    away: Vec<Kind>,
}

struct Attacker {
    kind: Kind,
    leaves: bool,
    line: Line,
    players: Vec<Line>,
}

/// One connection.
struct Line {
    stream: TcpStream,
    first: Vec<u8>,
    again: Vec<u8>,
    /// Of `first`, then of `again`, over and over.
    said: usize,
    reads: bool,
}

impl Attackers {
    pub(crate) fn of(address: SocketAddr, victim: &str) -> Attackers {
        Attackers {
            address,
            victim: victim.to_owned(),
            came: 0,
            present: Vec::new(),
            away: Vec::new(),
        }
    }

    /// Another one.
    pub(crate) fn come(&mut self, kind: Kind) -> io::Result<()> {
        let number = self.came;
        self.came += 1;
        let Flood {
            first,
            again,
            players,
            reads,
            players_read,
            leaves,
        } = kind.flood(number, &self.victim);
        let line = Line::open(self.address, first, again, reads)?;
        let players = players
            .into_iter()
            .map(|script| Line::open(self.address, script, Vec::new(), players_read))
            .collect::<io::Result<_>>()?;
        self.present.push(Attacker {
            kind,
            leaves,
            line,
            players,
        });
        Ok(())
    }

    /// Everybody says what the network takes, and a bounded part of it. Whoever was
    /// sent away comes again, or tries to.
    pub(crate) fn press(&mut self) {
        let mut away = std::mem::take(&mut self.away);
        self.present.retain_mut(|attacker| {
            for player in &mut attacker.players {
                // What its players are told is not its concern.
                let _ = player.press();
            }
            let stays = attacker.line.press().is_ok()
                && !(attacker.leaves && attacker.line.said >= attacker.line.first.len());
            if !stays {
                away.push(attacker.kind);
            }
            stays
        });
        for kind in away {
            // A server that takes nobody at the moment is asked again at the next turn.
            if self.come(kind).is_err() {
                self.away.push(kind);
            }
        }
    }

    /// All go.
    pub(crate) fn leave(&mut self) {
        self.present.clear();
        self.away.clear();
    }
}

impl Line {
    fn open(address: SocketAddr, first: Vec<u8>, again: Vec<u8>, reads: bool) -> io::Result<Line> {
        let stream = TcpStream::connect(address)?;
        stream.set_nonblocking(true)?;
        Ok(Line {
            stream,
            first,
            again,
            said: 0,
            reads,
        })
    }

    /// An error once the connection is over.
    fn press(&mut self) -> io::Result<()> {
        let mut left = TURN;
        while left > 0 {
            let rest = match self.said.checked_sub(self.first.len()) {
                None => &self.first[self.said..],
                Some(_) if self.again.is_empty() => break,
                Some(again) => &self.again[again % self.again.len()..],
            };
            match self.stream.write(&rest[..rest.len().min(left)]) {
                Ok(said) => {
                    self.said += said;
                    left -= said;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        if !self.reads {
            return Ok(());
        }
        let mut buffer = [0; 16 * 1024];
        for _ in 0..TURN / buffer.len() {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
