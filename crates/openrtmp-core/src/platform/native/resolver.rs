//! Host names. `getaddrinfo` blocks, for half a minute where no name server
//! answers, so it runs on threads of its own: one per look-up that is under way,
//! at most [`THREADS`], and none while there is nothing to look up.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard};

use crate::platform::Answer;
use crate::sync::lock;
use crate::threads::{WorksFor, spawn_thread};

/// Look-ups under way at a time, in the whole process. A host whose look-up hangs
/// holds one of them, however often it is asked for.
const THREADS: usize = 4;

/// Answers that may wait, for all hosts together; more are refused at once.
const WAITING: usize = 256;

/// The process's one resolver: what hangs in one server must not cost threads in
/// another.
pub(super) static RESOLVER: Resolver = Resolver::new(system);

/// Asks the system, off the caller's thread.
pub(super) struct Resolver {
    ask: fn(&str) -> io::Result<Vec<SocketAddr>>,
    state: Mutex<State>,
}

struct State {
    /// Under way or to come, in the order of asking, one per host.
    lookups: VecDeque<Lookup>,
    threads: usize,
}

struct Lookup {
    host: String,
    under_way: bool,
    waiting: Vec<(u16, Answer)>,
}

impl Resolver {
    const fn new(ask: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Resolver {
        Resolver {
            ask,
            state: Mutex::new(State {
                lookups: VecDeque::new(),
                threads: 0,
            }),
        }
    }

    pub(super) fn resolve(&'static self, host: &str, port: u16, answer: Answer) {
        if let Ok(address) = host.parse::<IpAddr>() {
            return answer(Ok(vec![SocketAddr::new(address, port)]));
        }
        match self.ask_for(host, port, answer) {
            None => {}
            Some((answer, error)) => answer(Err(error)),
        }
    }

    /// Queues the look-up; gives the answer back with the reason if it cannot.
    fn ask_for(
        &'static self,
        host: &str,
        port: u16,
        answer: Answer,
    ) -> Option<(Answer, io::Error)> {
        let mut state = self.lock();
        if state.waiting() >= WAITING {
            return Some((answer, io::ErrorKind::WouldBlock.into()));
        }
        if let Some(lookup) = state.lookups.iter_mut().find(|l| l.host == host) {
            lookup.waiting.push((port, answer));
            return None;
        }
        if state.threads < THREADS {
            // It looks up for every server of the process.
            let _nobody = WorksFor::server(0);
            match spawn_thread("openrtmp-lookup", Box::new(|| self.work())) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Some((answer, error)),
                // One that is there already will come to it.
                Err(_) => {}
            }
        }
        state.lookups.push_back(Lookup {
            host: host.to_owned(),
            under_way: false,
            waiting: vec![(port, answer)],
        });
        None
    }

    /// Looks up until nothing waits.
    fn work(&self) {
        while let Some(host) = self.next_host() {
            let found = catch_unwind(|| (self.ask)(&host))
                .unwrap_or_else(|_| Err(io::Error::other("the resolver panicked")));
            for (port, answer) in self.finish(&host) {
                let found = with_port(&found, port);
                // A foreign panic must not cost the thread, nor the others their answer.
                let _ = catch_unwind(AssertUnwindSafe(|| answer(found)));
            }
        }
    }

    /// The next host nobody is looking up; if there is none, the thread is to end.
    fn next_host(&self) -> Option<String> {
        let mut state = self.lock();
        match state.lookups.iter_mut().find(|lookup| !lookup.under_way) {
            Some(lookup) => {
                lookup.under_way = true;
                Some(lookup.host.clone())
            }
            None => {
                state.threads -= 1;
                None
            }
        }
    }

    fn finish(&self, host: &str) -> Vec<(u16, Answer)> {
        let mut state = self.lock();
        let place = state.lookups.iter().position(|l| l.host == host);
        let lookup = place.and_then(|place| state.lookups.remove(place));
        lookup.map(|lookup| lookup.waiting).unwrap_or_default()
    }

    /// Foreign code never runs under it: the state is valid whatever happened.
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn waiting(&self) -> usize {
        self.lookups.iter().map(|lookup| lookup.waiting.len()).sum()
    }
}

fn system(host: &str) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = (host, 0).to_socket_addrs()?.collect();
    match found.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")),
        false => Ok(found),
    }
}

fn with_port(found: &io::Result<Vec<SocketAddr>>, port: u16) -> io::Result<Vec<SocketAddr>> {
    match found {
        Ok(addresses) => Ok(addresses
            .iter()
            .map(|&address| {
                let mut address = address;
                address.set_port(port);
                address
            })
            .collect()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;

    type Found = io::Result<Vec<SocketAddr>>;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A resolver of its own, for one test.
    fn resolver(ask: fn(&str) -> Found) -> &'static Resolver {
        Box::leak(Box::new(Resolver::new(ask)))
    }

    fn into(sender: &Sender<Found>) -> Answer {
        let sender = sender.clone();
        Box::new(move |found| drop(sender.send(found)))
    }

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter()
            .map(|address| address.parse().unwrap())
            .collect()
    }

    /// Waits until a resolver has no thread left.
    fn quiet(resolver: &Resolver) {
        while resolver.lock().threads > 0 {
            std::thread::yield_now();
        }
        assert!(resolver.lock().lookups.is_empty());
    }

    #[test]
    fn an_address_is_answered_by_the_caller() {
        let resolver = resolver(|_| panic!("nothing to look up"));
        let (sender, answers) = channel();
        resolver.resolve("192.0.2.1", 1935, into(&sender));
        resolver.resolve("2001:db8::1", 443, into(&sender));
        let answered = || answers.try_recv().unwrap().unwrap();
        assert_eq!(answered(), addresses(&["192.0.2.1:1935"]));
        assert_eq!(answered(), addresses(&["[2001:db8::1]:443"]));
        assert_eq!(resolver.lock().threads, 0);
    }

    #[test]
    fn hosts_that_hang_hold_no_more_threads_than_there_may_be() {
        /// One reception lets one look-up end.
        static GATE: Mutex<Option<Receiver<()>>> = Mutex::new(None);
        static BEGUN: Mutex<Vec<String>> = Mutex::new(Vec::new());
        fn hang(host: &str) -> Found {
            BEGUN.lock().unwrap().push(host.to_owned());
            GATE.lock().unwrap().as_ref().unwrap().recv().unwrap();
            Ok(addresses(&["192.0.2.7:0"]))
        }
        let (open, gate) = channel();
        *GATE.lock().unwrap() = Some(gate);

        let resolver = resolver(hang);
        let (sender, answers) = channel();
        // Asking for the same host again and again is one look-up.
        for port in 1..=3 {
            for host in 0..10 {
                resolver.resolve(&format!("host{host}.example"), port, into(&sender));
            }
        }
        while BEGUN.lock().unwrap().len() < THREADS {
            std::thread::yield_now();
        }
        assert_eq!(resolver.lock().threads, THREADS);
        assert_eq!(resolver.lock().lookups.len(), 10);
        assert_eq!(BEGUN.lock().unwrap().len(), THREADS);
        for _ in 30..WAITING {
            resolver.resolve("host0.example", 9, into(&sender));
        }
        assert!(answers.try_recv().is_err());
        resolver.resolve("one.too.many.example", 9, into(&sender));
        let refused = answers.try_recv().unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);

        for _ in 0..10 {
            open.send(()).unwrap();
        }
        let mut ports = Vec::new();
        for _ in 0..WAITING {
            let found = answers.recv_timeout(PATIENCE).unwrap().unwrap();
            ports.push(found[0].port());
        }
        for port in 1..=3 {
            assert_eq!(ports.iter().filter(|&&p| p == port).count(), 10);
        }
        quiet(resolver);
        assert_eq!(BEGUN.lock().unwrap().len(), 10);
    }

    #[test]
    fn a_failure_is_everybodys_and_a_panic_nobodys() {
        let resolver = resolver(|host| match host {
            "panic.example" => panic!("a resolver's bug"),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such host")),
        });
        let (sender, answers) = channel();
        for _ in 0..20 {
            resolver.resolve("bad.example", 1, Box::new(|_| panic!("the asker's bug")));
            resolver.resolve("bad.example", 1, into(&sender));
            resolver.resolve("panic.example", 1, into(&sender));
        }
        for _ in 0..40 {
            let error = answers.recv_timeout(PATIENCE).unwrap().unwrap_err();
            let text = error.to_string();
            assert!(["no such host", "the resolver panicked"].contains(&text.as_str()));
        }
        quiet(resolver);
    }

    #[test]
    fn the_system_knows_localhost() {
        let (sender, answers) = channel();
        RESOLVER.resolve("localhost", 1935, into(&sender));
        let found = answers.recv_timeout(PATIENCE).unwrap().unwrap();
        assert!(
            found
                .iter()
                .all(|a| a.ip().is_loopback() && a.port() == 1935)
        );
        assert!(!found.is_empty());
    }
}
