use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{TryRecvError, channel};

use openrtmp_protocol::Time;
use openrtmp_protocol::session::SessionError;

use super::{Client, ClientConfig, ClientError, ClientWaker};
use crate::dial::{Dial, Progress};
use crate::platform::native::{Native, NativePoller, NativeStream};
use crate::platform::{Platform, Poller, Readiness, Token};
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
#[cfg(feature = "tls")]
use crate::transport::TlsStream;
use crate::transport::Transport;

/// A [`Client`] on its way, for those who may have to interrupt it: the waker is
/// there before the host is looked up.
///
/// ```no_run
/// use openrtmp_core::client::{ClientConfig, ClientError, ClientMode, Connecting, Deadline};
/// use openrtmp_protocol::RtmpUrl;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url = RtmpUrl::parse("rtmp://example.com/live/camera")?;
/// let connecting = Connecting::new(ClientConfig::new(url, ClientMode::Play))?;
/// let waker = connecting.waker();
/// std::thread::spawn(move || waker.wake());
/// match connecting.finish() {
///     Ok(client) => client.close(Deadline::NEVER)?,
///     Err(ClientError::Interrupted) => {}
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Connecting {
    config: ClientConfig,
    platform: Native,
    poller: NativePoller,
    waker: ClientWaker,
    deadline: Time,
    /// For `rtmps`, and what the next socket carries.
    #[cfg(feature = "tls")]
    tls: Option<(ClientTls, Option<rustls::Connection>)>,
}

impl Connecting {
    /// Nothing is sent before [`Connecting::finish`], but the time of
    /// [`ClientConfig::connect_timeout`] begins.
    ///
    /// # Errors
    ///
    /// `NoTls`; `Tls` if a file of [`ClientConfig::tls`] is not what it should be; `Io` if
    /// the process is out of descriptors.
    pub fn new(config: ClientConfig) -> Result<Connecting, ClientError> {
        let url = &config.session.url;
        if url.tls && cfg!(not(feature = "tls")) {
            return Err(ClientError::NoTls);
        }
        #[cfg(feature = "tls")]
        let tls = match url.tls {
            true => {
                let tls = ClientTls::new(&config.tls)?;
                let connection = tls.connect(&url.host)?;
                Some((tls, Some(connection)))
            }
            false => None,
        };
        let platform = Native::new();
        let deadline = platform.now() + config.connect_timeout;
        let (poller, waker) = platform.poller()?;
        Ok(Connecting {
            config,
            platform,
            poller,
            waker: ClientWaker::new(waker),
            deadline,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// Interrupts [`Connecting::finish`], and later the client's waits.
    pub fn waker(&self) -> ClientWaker {
        self.waker.clone()
    }

    /// Blocks until media may flow, as [`Client::connect`]. A server that asks for the user
    /// name and the password of the URL gets them over as many sockets as it asks for, up
    /// to five more.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`]; `Interrupted` if the waker was used, before or
    /// meanwhile.
    pub fn finish(mut self) -> Result<Client, ClientError> {
        let addresses = self.resolve()?;
        loop {
            let (socket, peer) = self.dial(addresses.clone())?;
            let deadline = self.deadline;
            let transport = self.transport(socket)?;
            let (config, waker) = (&self.config, self.waker.clone());
            let mut client = Client::new(
                config,
                self.platform.clone(),
                self.poller,
                waker,
                transport,
                peer,
            )?;
            match client.become_ready(deadline) {
                Ok(()) => return Ok(client),
                Err(ClientError::Protocol(SessionError::Authenticate(login))) => {
                    self.config.session.login = login;
                    self.poller = client.hang_up();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn resolve(&mut self) -> Result<Vec<SocketAddr>, ClientError> {
        let (sender, answers) = channel();
        let waker = self.waker.clone();
        let answer = move |found| {
            // It may come when nobody waits any more.
            let _ = sender.send(found);
            waker.end_poll();
        };
        let url = &self.config.session.url;
        let (host, port) = (url.host.clone(), url.port);
        self.platform.resolve(&host, port, Box::new(answer));
        let failed = |source| ClientError::Resolve {
            host: host.clone(),
            source,
        };
        loop {
            match answers.try_recv() {
                Ok(found) => return found.map_err(failed),
                Err(TryRecvError::Disconnected) => {
                    return Err(failed(io::Error::other("the resolver gave up")));
                }
                Err(TryRecvError::Empty) => {}
            }
            if !self.wait(None)? {
                let error = format!("no answer within {:?}", self.config.connect_timeout);
                return Err(failed(io::Error::new(io::ErrorKind::TimedOut, error)));
            }
        }
    }

    fn dial(
        &mut self,
        addresses: Vec<SocketAddr>,
    ) -> Result<(NativeStream, SocketAddr), ClientError> {
        let mut dial = Dial::<Native>::new(addresses, self.platform.now());
        loop {
            match dial.advance(&self.platform, &mut self.poller, Token) {
                Progress::Connected(stream, address) => return Ok((stream, address)),
                Progress::Failed => break,
                Progress::Wait(until) => {
                    if !self.wait(until)? {
                        break;
                    }
                }
            }
        }
        let failures = dial.abandon(&mut self.poller);
        Err(ClientError::Connect(failures))
    }

    /// What carries the bytes.
    fn transport(&mut self, socket: NativeStream) -> Result<Transport<NativeStream>, ClientError> {
        #[cfg(feature = "tls")]
        if let Some((tls, next)) = &mut self.tls {
            let connection = match next.take() {
                Some(connection) => connection,
                None => tls.connect(&self.config.session.url.host)?,
            };
            let stream = TlsStream::new(socket, connection, 0);
            return Ok(Transport::Tls(Box::new(stream)));
        }
        Ok(Transport::Plain(socket))
    }

    /// Waits until something happened or `until`; false once the deadline has come.
    fn wait(&mut self, until: Option<Time>) -> Result<bool, ClientError> {
        let now = self.platform.now();
        if now >= self.deadline {
            return Ok(false);
        }
        let until = until.map_or(self.deadline, |until| until.min(self.deadline));
        let mut ready: Vec<Readiness> = Vec::new();
        self.poller.poll(Some(until.since(now)), &mut ready)?;
        match self.waker.take() {
            true => Err(ClientError::Interrupted),
            false => Ok(true),
        }
    }
}
