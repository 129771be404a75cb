//! A stream's way to its players on another worker.
//!
//! It is bounded, and never slows the stream: a worker that does not keep up loses video
//! to the next key frame, as a player does, and everything once it is far behind.

use std::sync::Arc;

use super::class::Class;
use super::gate::Gate;
use super::packet::SharedPacket;
use crate::budget::Budget;
use crate::credit::{Allowance, Credit, InFlight, Level};
use crate::limit::Limit;

/// The packets of one stream on their way to one worker.
pub(crate) struct WorkerFeed {
    pub(crate) worker: usize,
    gate: Gate,
    in_flight: Arc<InFlight>,
    /// Headers or metadata were lost: they are sent anew once there is room.
    is_stale: bool,
    /// A loss goes on that was told.
    is_losing: bool,
}

/// What became of a packet.
pub(crate) enum Offered {
    /// It is to be sent, with this.
    Sent(Credit),
    /// It is lost. The first of a loss names the limit.
    Lost { reached: Option<Limit> },
}

impl WorkerFeed {
    pub(crate) fn new(worker: usize, allowance: Allowance) -> WorkerFeed {
        WorkerFeed {
            worker,
            gate: Gate::open(),
            in_flight: InFlight::new(allowance),
            is_stale: false,
            is_losing: false,
        }
    }

    /// True if headers and metadata are to be sent anew before what follows.
    pub(crate) fn wants_headers(&self) -> bool {
        self.is_stale && self.in_flight.level() == Level::Within
    }

    /// They are sent now.
    pub(crate) fn renew(&mut self) {
        self.is_stale = false;
    }

    pub(crate) fn offer(&mut self, packet: &SharedPacket, budget: &Arc<Budget>) -> Offered {
        let level = self.in_flight.level();
        if level > Level::Within && !self.gate.is_shedding() {
            self.gate.shed(0, true);
        }
        if level < Level::FarBeyond && self.gate.admit(packet) {
            self.is_losing &= level > Level::Within || self.gate.is_shedding();
            return Offered::Sent(self.in_flight.take(packet.len(), 0, budget));
        }
        self.is_stale |= matches!(packet.class, Class::Header | Class::Metadata);
        let is_first = !std::mem::replace(&mut self.is_losing, true);
        let reached = is_first.then(|| match self.in_flight.is_full_of_messages() {
            true => Limit::WorkerMessages,
            false => Limit::WorkerBytes,
        });
        Offered::Lost { reached }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::stream::test_packet;

    const ALLOWANCE: Allowance = Allowance {
        bytes: 1 << 20,
        messages: 4,
    };

    struct Way {
        feed: WorkerFeed,
        budget: Arc<Budget>,
        /// What the other worker has not taken.
        waiting: Vec<Credit>,
        told: u32,
    }

    impl Way {
        fn new() -> Way {
            Way {
                feed: WorkerFeed::new(1, ALLOWANCE),
                budget: Budget::new(usize::MAX),
                waiting: Vec::new(),
                told: 0,
            }
        }

        fn passes(&mut self, class: Class) -> bool {
            match self.feed.offer(&test_packet(class, 0, 10), &self.budget) {
                Offered::Sent(credit) => {
                    self.waiting.push(credit);
                    true
                }
                Offered::Lost { reached } => {
                    self.told += u32::from(reached == Some(Limit::WorkerMessages));
                    false
                }
            }
        }
    }

    #[test]
    fn who_does_not_keep_up_loses_video_to_the_next_key_frame() {
        use Class::{Audio, Inter, Key};
        let mut way = Way::new();
        for class in [Key, Inter, Audio, Inter] {
            assert!(way.passes(class));
        }
        assert!(!way.passes(Inter), "more than it may have on its way");
        assert!(way.passes(Audio));
        way.waiting.clear();
        assert!(!way.passes(Inter), "it needs what was lost");
        assert!(way.passes(Key));
        assert!(way.passes(Inter));
        assert_eq!(way.told, 1);
        assert!(!way.feed.wants_headers());
    }

    #[test]
    fn far_behind_everything_is_lost_and_headers_are_sent_anew() {
        use Class::{Audio, Header, Inter, Key};
        let mut way = Way::new();
        for _ in 0..8 {
            assert!(way.passes(Audio));
        }
        for class in [Audio, Header, Key, Inter] {
            assert!(!way.passes(class));
        }
        assert!(!way.feed.wants_headers(), "no room for them");
        way.waiting.clear();
        assert!(way.feed.wants_headers());
        way.feed.renew();
        assert!(way.passes(Header));
        assert!(!way.passes(Inter));
        assert!(way.passes(Key));
        assert_eq!(way.told, 1);
        assert!(!way.feed.wants_headers());
    }

    #[test]
    fn bytes_fill_it_as_messages_do() {
        let budget = Budget::new(usize::MAX);
        let mut feed = WorkerFeed::new(1, ALLOWANCE);
        let large = test_packet(Class::Inter, 0, 1 << 20);
        let sent = feed.offer(&large, &budget);
        assert!(matches!(sent, Offered::Sent(_)));
        assert!(matches!(
            feed.offer(&large, &budget),
            Offered::Lost {
                reached: Some(Limit::WorkerBytes)
            }
        ));
    }
}
