//! Connections that never become players or publishers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::stage::Random;

/// At once, of one stage.
const AT_MOST: usize = 20;

/// Longer than the server lets anybody be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Strangers that are there now.
pub(super) struct Strangers {
    address: SocketAddr,
    present: Vec<Stranger>,
}

struct Stranger {
    stream: TcpStream,
    came: Instant,
}

impl Strangers {
    pub(super) fn of(address: SocketAddr) -> Strangers {
        Strangers {
            address,
            present: Vec::new(),
        }
    }

    /// One comes and does one of several bad things.
    pub(super) fn come(&mut self, random: &mut Random) -> io::Result<()> {
        if self.present.len() >= AT_MOST {
            return Ok(());
        }
        let mut hello = match random.below(4) {
            // Says nothing.
            0 => Vec::new(),
            // A part of C0 and C1.
            1 => {
                let mut bytes = random.bytes(1536);
                bytes[0] = 3;
                bytes.truncate(1 + random.below(1535));
                bytes
            }
            // Another protocol.
            2 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            // A handshake of any content, then anything: C0, C1, C2, chunks.
            _ => {
                let mut bytes = random.bytes(1 + 2 * 1536 + 4096);
                bytes[0] = 3;
                bytes
            }
        };
        let mut stream = TcpStream::connect(self.address)?;
        if random.below(4) == 0 {
            // Gone before it can be answered.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            hello.truncate(hello.len() / 2);
            // The server may have closed it.
            let _ = stream.write_all(&hello);
            return Ok(());
        }
        let _ = stream.write_all(&hello);
        stream.set_nonblocking(true)?;
        let came = Instant::now();
        self.present.push(Stranger { stream, came });
        Ok(())
    }

    /// Forgets those that the server has closed; tells how many. Those that it lets
    /// stay too long are an error.
    pub(super) fn look(&mut self) -> io::Result<u64> {
        let before = self.present.len();
        let mut buffer = [0; 8192];
        self.present.retain_mut(|stranger| {
            loop {
                match stranger.stream.read(&mut buffer) {
                    Ok(0) => break false,
                    Ok(_) => {}
                    Err(e) => break e.kind() == io::ErrorKind::WouldBlock,
                }
            }
        });
        if self.present.iter().any(|s| s.came.elapsed() > PATIENCE) {
            let seconds = PATIENCE.as_secs();
            return Err(io::Error::other(format!(
                "the server kept a stranger for more than {seconds} s"
            )));
        }
        Ok((before - self.present.len()) as u64)
    }
}
