use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{TryRecvError, channel};

use openrtmp_protocol::Time;

use super::{Client, ClientConfig, ClientError, ClientWaker};
use crate::dial::{Dial, Progress};
use crate::platform::native::{Native, NativePoller, NativeStream};
use crate::platform::{Platform, Poller, Readiness, Token};

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
}

impl Connecting {
    /// Nothing is sent before [`Connecting::finish`], but the time of
    /// [`ClientConfig::connect_timeout`] begins.
    ///
    /// # Errors
    ///
    /// `Tls`; `Io` if the process is out of descriptors.
    pub fn new(config: ClientConfig) -> Result<Connecting, ClientError> {
        if config.session.url.tls {
            return Err(ClientError::Tls);
        }
        let platform = Native::new();
        let deadline = platform.now() + config.connect_timeout;
        let (poller, waker) = platform.poller()?;
        Ok(Connecting {
            config,
            platform,
            poller,
            waker: ClientWaker::new(waker),
            deadline,
        })
    }

    /// Interrupts [`Connecting::finish`], and later the client's waits.
    pub fn waker(&self) -> ClientWaker {
        self.waker.clone()
    }

    /// Blocks until media may flow, as [`Client::connect`].
    ///
    /// # Errors
    ///
    /// As [`Client::connect`]; `Interrupted` if the waker was used, before or
    /// meanwhile.
    pub fn finish(mut self) -> Result<Client, ClientError> {
        let addresses = self.resolve()?;
        let (socket, peer) = self.dial(addresses)?;
        let deadline = self.deadline;
        let mut client = Client::new(self, socket, peer)?;
        client.become_ready(deadline)?;
        Ok(client)
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

    /// What a client goes on with.
    pub(super) fn into_parts(self) -> (ClientConfig, Native, NativePoller, ClientWaker) {
        (self.config, self.platform, self.poller, self.waker)
    }
}
