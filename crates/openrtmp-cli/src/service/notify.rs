//! What is told to the service manager, sd_notify(3): that the server serves, that it is
//! alive, that it stops. Nothing where nobody asks for it.

#[cfg(unix)]
use std::ffi::{OsStr, OsString};
#[cfg(unix)]
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use openrtmp_core::Server;

/// Tells the service manager how things are, if there is one.
pub(crate) fn tell(state: &str) {
    #[cfg(unix)]
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, state)
    {
        log::warn!("the service manager cannot be told {state:?}: {error}");
    }
    #[cfg(windows)]
    super::scm::tell(state);
    #[cfg(not(any(unix, windows)))]
    let _ = state;
}

/// The socket is a path, or an abstract name behind `@`.
#[cfg(unix)]
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::UnixDatagram;

    let sender = UnixDatagram::unbound()?;
    let sent = match socket.as_bytes().strip_prefix(b"@") {
        // Where there is such a manager.
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            use std::os::unix::net::SocketAddr;

            let address = SocketAddr::from_abstract_name(name)?;
            sender.send_to_addr(state.as_bytes(), &address)?
        }
        _ => sender.send_to(state.as_bytes(), OsString::from(socket))?,
    };
    match sent == state.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Tells the service manager that the server is alive, as long as all its workers answer.
/// Without that it is killed, and started again. It ends with this value.
pub(crate) struct Watchdog {
    /// Held, never read.
    _end: Sender<()>,
}

impl Watchdog {
    /// `None` if nobody watches.
    pub(crate) fn start(server: &Arc<Server>) -> std::io::Result<Option<Watchdog>> {
        let Some(every) = interval(|name| std::env::var(name).ok(), std::process::id()) else {
            return Ok(None);
        };
        let (end, ended) = channel();
        let server = Arc::downgrade(server);
        let run = move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let Some(server) = server.upgrade() else {
                    return;
                };
                match server.health() {
                    health if health.live => tell("WATCHDOG=1"),
                    health => log::error!("not alive: {}", health.reasons.join("; ")),
                }
            }
        };
        let thread = thread::Builder::new().name("watchdog".to_owned());
        thread.spawn(run)?;
        Ok(Some(Watchdog { _end: end }))
    }
}

/// Half of the time after which it is taken for dead, sd_watchdog_enabled(3).
fn interval(variable: impl Fn(&str) -> Option<String>, own: u32) -> Option<Duration> {
    let is_other = |text: String| text.parse() != Ok(own);
    if variable("WATCHDOG_PID").is_some_and(is_other) {
        return None;
    }
    let most: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (most > 0).then(|| Duration::from_micros(most) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_watched_tells_it_twice_in_the_time() {
        let asked = |usec: &'static str, pid: Option<&'static str>| {
            let variable = move |name: &str| match name {
                "WATCHDOG_USEC" => Some(usec.to_owned()),
                _ => pid.map(str::to_owned),
            };
            interval(variable, 7)
        };
        assert_eq!(asked("2000000", None), Some(Duration::from_secs(1)));
        assert_eq!(asked("2000000", Some("7")), Some(Duration::from_secs(1)));
        assert_eq!(asked("2000000", Some("8")), None, "somebody else is");
        assert_eq!(asked("0", None), None);
        assert_eq!(asked("x", None), None);
        assert_eq!(interval(|_| None, 7), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_manager_is_told_at_a_path() {
        use std::os::unix::net::UnixDatagram;

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        send(path.as_os_str(), "READY=1").expect("it is told");
        let mut told = [0; 64];
        let length = manager.recv(&mut told).expect("it was told");
        assert_eq!(&told[..length], b"READY=1");
        send(OsStr::new("/nowhere/notify"), "READY=1").expect_err("nobody is there");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_manager_is_told_at_an_abstract_name() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};

        let name = format!("openrtmp-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let manager = UnixDatagram::bind_addr(&address).expect("a socket");
        send(OsStr::new(&format!("@{name}")), "STOPPING=1").expect("it is told");
        let mut told = [0; 64];
        let length = manager.recv(&mut told).expect("it was told");
        assert_eq!(&told[..length], b"STOPPING=1");
    }
}
