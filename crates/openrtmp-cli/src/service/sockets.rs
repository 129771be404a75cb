//! Sockets that the service manager passes to the server, sd_listen_fds(3): they stay open
//! while it is started again.

use std::net::{SocketAddr, TcpListener};
use std::sync::OnceLock;

use openrtmp_core::Listen;

/// What was passed, by its name (`FileDescriptorName=`).
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// `rtmp`, and with TLS `rtmps`.
    rtmp: Vec<(TcpListener, Listen)>,
    /// `http`.
    http: Vec<(TcpListener, SocketAddr)>,
    /// What is wrong with the rest, for the log.
    wrong: Vec<String>,
}

/// The first of them (SD_LISTEN_FDS_START).
#[cfg(unix)]
const FIRST: u32 = 3;

/// More are not taken.
#[cfg(unix)]
const MOST: u32 = 64;

/// What was passed to this process. Nothing, for the most part. Asked for first before the
/// process opens anything: what has one of their numbers then was passed.
pub(crate) fn given() -> &'static Given {
    static GIVEN: OnceLock<Given> = OnceLock::new();
    GIVEN.get_or_init(|| {
        #[cfg(unix)]
        if let Some(names) = names(|name| std::env::var(name).ok(), std::process::id()) {
            return take(&names);
        }
        Given::default()
    })
}

impl Given {
    /// Logs what is wrong with what was passed.
    pub(crate) fn tell(&self) {
        for what in &self.wrong {
            log::error!("{what}");
        }
    }

    /// Where RTMP is spoken on them: as `listen` says of the same address, and otherwise plain,
    /// or over TLS. Nothing if none was passed.
    pub(crate) fn listen(&self, listen: &[Listen]) -> Vec<Listen> {
        let of = |given: &Listen| {
            let same = |l: &&Listen| l.address == given.address && l.transport == given.transport;
            *listen.iter().find(same).unwrap_or(given)
        };
        self.rtmp.iter().map(|(_, given)| of(given)).collect()
    }

    /// Where HTTP is spoken on them.
    pub(crate) fn http(&self) -> Vec<SocketAddr> {
        self.http.iter().map(|(_, address)| *address).collect()
    }

    /// Those for RTMP.
    pub(crate) fn rtmp_sockets(&self) -> std::io::Result<Vec<TcpListener>> {
        self.rtmp
            .iter()
            .map(|(socket, _)| socket.try_clone())
            .collect()
    }

    /// The one for HTTP at this address, if there is one.
    pub(crate) fn http_socket(&self, address: SocketAddr) -> Option<std::io::Result<TcpListener>> {
        let mut sockets = self.http.iter();
        let (socket, _) = sockets.find(|(_, at)| *at == address)?;
        Some(socket.try_clone())
    }

    #[cfg(unix)]
    fn add(&mut self, socket: TcpListener, name: &str) {
        let Ok(address) = socket.local_addr() else {
            let what = format!("the socket {name} of the service manager is none of TCP");
            self.wrong.push(what);
            return;
        };
        match name {
            "rtmp" => self.rtmp.push((socket, address.into())),
            "rtmps" => self.rtmp.push((socket, Listen::from(address).with_tls())),
            "http" => self.http.push((socket, address)),
            _ => self.wrong.push(format!(
                "the socket {address} of the service manager is called {name:?}: expected \
                 FileDescriptorName=rtmp, rtmps or http"
            )),
        }
    }
}

/// The names of what was passed, in order; `None` if nothing was, or to another process.
#[cfg(unix)]
fn names(variable: impl Fn(&str) -> Option<String>, own: u32) -> Option<Vec<String>> {
    if variable("LISTEN_PID")?.parse() != Ok(own) {
        return None;
    }
    let count: u32 = variable("LISTEN_FDS")?.parse().ok()?;
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let count = count.min(MOST) as usize;
    Some(
        (0..count)
            .map(|_| names.next().unwrap_or_default())
            .collect(),
    )
}

/// Takes the descriptors over.
#[cfg(unix)]
fn take(names: &[String]) -> Given {
    use std::os::fd::{FromRawFd, OwnedFd, RawFd};

    let mut given = Given::default();
    for (name, number) in names.iter().zip(FIRST..) {
        let Ok(number) = RawFd::try_from(number) else {
            break;
        };
        if !is_listener(number) {
            let what = format!("descriptor {number} of the service manager is no listening socket");
            given.wrong.push(what);
            continue;
        }
        // SAFETY: the service manager has opened these descriptors for this process
        // (LISTEN_PID names it), in which nobody else knows of them, and each is taken once:
        // there is one value of what was given.
        #[allow(unsafe_code)]
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        // Programs that are started have no use for it.
        if let Err(error) = rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC) {
            let what = format!("the socket {name} of the service manager: {error}");
            given.wrong.push(what);
            continue;
        }
        given.add(TcpListener::from(descriptor), name);
    }
    given
}

/// Whether a number is that of a listening socket. More may be announced than was passed: what
/// has such a number then is not taken, and not closed.
#[cfg(unix)]
fn is_listener(number: std::os::fd::RawFd) -> bool {
    // SAFETY: it is only asked what it is, which fails for what is not open; nothing else of
    // this process runs that could open or close it meanwhile.
    #[allow(unsafe_code)]
    let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    let socket = socket2::SockRef::from(&descriptor);
    #[cfg(target_os = "linux")]
    return socket.is_listener().unwrap_or(false);
    #[cfg(not(target_os = "linux"))]
    return socket.local_addr().is_ok();
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_is_no_listening_socket_is_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        assert!(is_listener(listener.as_raw_fd()));
        let (read, _write) = std::io::pipe().expect("a pipe");
        assert!(!is_listener(read.as_raw_fd()));
        assert!(!is_listener(9_999), "it is not open");
        #[cfg(target_os = "linux")]
        {
            let address = listener.local_addr().expect("it is bound");
            let stream = std::net::TcpStream::connect(address).expect("it listens");
            assert!(!is_listener(stream.as_raw_fd()));
        }
    }

    #[test]
    fn what_is_passed_is_for_one_process_and_has_names() {
        let passed = |pid: &'static str, count: &'static str, names: Option<&'static str>| {
            let variable = move |name: &str| match name {
                "LISTEN_PID" => Some(pid.to_owned()),
                "LISTEN_FDS" => Some(count.to_owned()),
                _ => names.map(str::to_owned),
            };
            super::names(variable, 7)
        };
        let named = passed("7", "3", Some("rtmp:rtmps"));
        assert_eq!(
            named,
            Some(vec!["rtmp".into(), "rtmps".into(), String::new()])
        );
        assert_eq!(passed("8", "1", Some("rtmp")), None);
        assert_eq!(passed("7", "x", Some("rtmp")), None);
        assert_eq!(passed("7", "0", None), Some(Vec::new()));
        let most = passed("7", "4000000000", None).expect("some");
        assert_eq!(most.len(), MOST as usize);
        assert_eq!(super::names(|_| None, 7), None);
    }

    #[test]
    fn each_is_served_as_it_is_called_and_as_the_settings_say_of_its_address() {
        let socket = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut given = Given::default();
        for name in ["rtmp", "rtmps", "http", "else", ""] {
            given.add(socket(), name);
        }
        let plain = Listen::from(given.rtmp[0].0.local_addr().expect("bound"));
        let tls = Listen::from(given.rtmp[1].0.local_addr().expect("bound")).with_tls();
        let other: Listen = "0.0.0.0:1935".parse().expect("an address");
        assert_eq!(given.listen(&[other]), [plain, tls]);
        let proxied = plain.with_proxy_protocol();
        assert_eq!(given.listen(&[other, proxied]), [proxied, tls]);
        assert_eq!(given.rtmp_sockets().expect("two").len(), 2);
        let [http] = given.http()[..] else {
            panic!("{given:?}");
        };
        let copy = given
            .http_socket(http)
            .expect("it was given")
            .expect("a copy");
        assert_eq!(copy.local_addr().expect("bound"), http);
        assert!(given.http_socket(plain.address).is_none());
        assert!(Given::default().listen(&[other]).is_empty());
    }
}
