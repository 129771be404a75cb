use super::*;
use crate::platform::contract::{Bed, Peer, contract_tests};

contract_tests!(Sim::new(1));

impl Bed for Sim {
    type Platform = Sim;
    type Peer = SimSocket;

    fn platform(&self) -> &Sim {
        self
    }

    fn connect(&self, address: SocketAddr) -> SimSocket {
        Sim::connect(self, address).unwrap()
    }

    fn pass(&self) {
        self.advance(Duration::from_millis(1));
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from("/recordings")
    }

    fn read_file(&self, path: &Path) -> Vec<u8> {
        self.file(path).unwrap()
    }
}

impl Peer for SimSocket {
    fn address(&self) -> SocketAddr {
        self.local_address().unwrap()
    }

    fn shutdown_write(&self) {
        SimSocket::shutdown_write(self).unwrap();
    }

    fn reset(self) {
        SimSocket::reset(self);
    }
}
