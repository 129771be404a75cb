//! Makes a world from a seed.

use super::attack;
use super::plan::{KEYS, Link, Op, Plan, Source, Spell, Step, Terms};
use crate::platform::sim::Random;

/// Places for clients, and for the host's publishers and taps.
const PLACES: u32 = 14;
const HOST_PLACES: u32 = 3;

/// One of so many worlds relays.
pub(super) const RELAYS_EVERY: u64 = 5;

/// The world of a seed.
pub(super) fn plan(seed: u64) -> Plan {
    let mut dice = Dice {
        random: Random::new(seed),
        players: Vec::new(),
        encoders: Vec::new(),
    };
    let terms = Terms {
        // One that speaks TLS is otherwise what it would be without.
        tls: seed % 4 == 3,
        // So is one that relays.
        relays: if seed % RELAYS_EVERY == 2 {
            1 + (seed / RELAYS_EVERY % 3) as u32
        } else {
            0
        },
        ..dice.terms()
    };
    let steps = dice.steps(&terms);
    Plan { seed, terms, steps }
}

struct Dice {
    random: Random,
    /// Places where somebody plays or publishes, by what was planned so far.
    players: Vec<u32>,
    encoders: Vec<u32>,
}

impl Dice {
    /// A number below `count`.
    fn below(&mut self, count: u32) -> u32 {
        self.random.up_to(count as usize) as u32 - 1
    }

    fn range(&mut self, from: u32, to: u32) -> u32 {
        from + self.below(to - from + 1)
    }

    /// True once in so many times.
    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u32) as usize]
    }

    /// Mostly zero.
    fn rarely(&mut self, count: u32, from: u32, to: u32) -> u32 {
        match self.one_in(count) {
            true => self.range(from, to),
            false => 0,
        }
    }

    /// Small numbers as likely as large ones.
    fn scale(&mut self, most: u32) -> u32 {
        let bits = self.range(1, 32 - most.leading_zeros());
        self.range(1, (1 << bits) - 1).min(most)
    }

    fn spell(&mut self, chance: u32, up_to: u32) -> Spell {
        Spell {
            chance: self.range(1, chance),
            up_to: self.range(1, up_to),
        }
    }
}

/// Settings.
impl Dice {
    fn terms(&mut self) -> Terms {
        let mut terms = Terms {
            workers: self.range(1, 3),
            second_publisher: self.below(3),
            ..Terms::default()
        };
        self.stream_terms(&mut terms);
        self.peer_terms(&mut terms);
        self.fault_terms(&mut terms);
        terms
    }

    fn stream_terms(&mut self, t: &mut Terms) {
        t.republish_grace = self.rarely(2, 1, 1500);
        t.publisher_timeout = self.rarely(5, 100, 1500);
        t.no_waiting = self.one_in(5);
        t.gop_min = self.rarely(4, 1, 3000);
        t.gop_max = self.rarely(6, 1, 2000);
        t.gop_frames = self.rarely(6, 1, 50);
        t.gop_bytes = self.rarely(5, 1, 60_000);
        t.queue_delay = self.rarely(2, 10, 800);
        t.queue_bytes = self.rarely(3, 65_536, 200_000);
        t.stall = self.rarely(3, 100, 4000);
        t.coalesce = self.rarely(5, 1, 350);
        t.record = self.one_in(4);
        t.split = self.rarely(3, 200, 2000);
        t.split_bytes = self.rarely(4, 1000, 50_000);
        t.recorder_every = self.rarely(5, 1, 2000);
        t.memory = self.rarely(8, 1 << 20, 3 << 20);
    }

    fn peer_terms(&mut self, t: &mut Terms) {
        t.chunk_size = match self.below(3) {
            0 => 0,
            1 => self.range(128, 600),
            _ => self.range(128, 65_536),
        };
        t.window = self.rarely(4, 1024, 60_000);
        t.ping = self.rarely(5, 1000, 3000);
        t.strict_handshake = self.one_in(8);
        t.handshake_timeout = self.rarely(3, 500, 4000);
        t.connect_timeout = self.rarely(4, 500, 4000);
        t.idle_timeout = self.rarely(4, 500, 4000);
        t.connections = self.rarely(8, 2, 12);
        t.publishers = self.rarely(8, 1, 3);
        t.message_bytes = self.rarely(8, 4096, 100_000);
        t.bitrate = self.rarely(10, 20_000, 400_000);
        t.disconnect_over_bitrate = self.one_in(3);
        t.host = self.rarely(3, 1, 6);
        t.decision_timeout = self.rarely(2, 100, 1500);
        t.keys = self.rarely(5, 1, 3);
    }

    fn fault_terms(&mut self, t: &mut Terms) {
        t.latency = self.rarely(3, 10, 80_000);
        t.send_buffer = match self.below(3) {
            0 => 0,
            _ => self.range(256, 20_000),
        };
        t.receive_buffer = match self.below(3) {
            0 => 0,
            _ => self.range(256, 20_000),
        };
        if self.one_in(5) {
            return;
        }
        t.short_reads = self.rarely(2, 1, 1000);
        t.short_writes = self.rarely(2, 1, 1000);
        t.spurious = self.rarely(2, 1, 300);
        t.early = self.rarely(3, 1, 500);
        if self.one_in(2) {
            t.delayed = self.spell(200, 40);
        }
        if self.one_in(2) {
            t.late_wakes = self.spell(500, 40);
        }
        t.resets = self.rarely(3, 1, 100);
        t.reset_discards = self.rarely(2, 1, 1000);
        if self.one_in(3) {
            t.stalls = self.spell(30, 1500);
        }
        if self.one_in(4) {
            t.exhaustion = self.spell(300, 1000);
        }
        if self.one_in(4) {
            t.clock_jumps = self.spell(100, 3_600_000);
        }
        t.disk_bytes = self.rarely(4, 1, 200_000);
        t.create_denied = self.rarely(8, 1, 1000);
    }
}

/// Operations.
impl Dice {
    fn steps(&mut self, terms: &Terms) -> Vec<Step> {
        let count = self.range(4, 45);
        let pace = self.pick(&[30, 120, 300]);
        let mut at = 0;
        let mut steps = Vec::new();
        // Most worlds begin with somebody to look at.
        let streams = self.range(1, 2);
        for _ in 0..self.range(1, 3) {
            let who = self.below(PLACES);
            let op = self.publish(who, streams, terms);
            steps.push(Step { at, op });
            at += self.below(pace);
        }
        for _ in 0..count {
            let op = self.op(streams, terms);
            steps.push(Step { at, op });
            at += match self.below(10) {
                0..=2 => 0,
                3 => self.below(5),
                _ => self.below(2 * pace),
            };
        }
        at += self.range(0, 1500);
        if self.one_in(4) {
            let grace = self.rarely(2, 1, 3000);
            steps.push(Step {
                at,
                op: Op::Stop { grace },
            });
            // Life goes on while a stop waits.
            for _ in 0..self.below(8) {
                at += self.below(400);
                let op = self.op(streams, terms);
                steps.push(Step { at, op });
            }
            if self.one_in(4) {
                at += self.below(1000);
                steps.push(Step { at, op: Op::Force });
            }
        }
        steps
    }

    fn op(&mut self, streams: u32, terms: &Terms) -> Op {
        let who = self.below(PLACES);
        match self.below(100) {
            0..=7 => self.publish(who, streams, terms),
            8..=27 => {
                self.settle(who);
                self.players.push(who);
                Op::Play {
                    who,
                    stream: self.stream(streams),
                    key: self.key(terms.keys & 2 != 0),
                    link: self.link(),
                }
            }
            28 => Op::Flood {
                count: self.scale(60),
            },
            29..=37 => {
                self.settle(who);
                Op::Attack {
                    who,
                    kind: self.below(attack::KINDS),
                    amount: self.scale(400),
                    deaf: self.one_in(3),
                    link: self.link(),
                }
            }
            38..=65 => {
                let who = self.one_of(|dice| &dice.players, who);
                self.client_op(who)
            }
            66..=80 => {
                let who = self.one_of(|dice| &dice.encoders, who);
                self.publisher_op(who)
            }
            _ => self.host_op(who, streams, terms),
        }
    }

    fn publish(&mut self, who: u32, streams: u32, terms: &Terms) -> Op {
        self.settle(who);
        self.encoders.push(who);
        let source = self.source(streams, terms);
        let link = self.link();
        Op::Publish { who, source, link }
    }

    /// Somebody else takes this place.
    fn settle(&mut self, who: u32) {
        self.players.retain(|place| *place != who);
        self.encoders.retain(|place| *place != who);
    }

    /// Mostly one of these places.
    fn one_of(&mut self, places: fn(&Dice) -> &Vec<u32>, other: u32) -> u32 {
        let count = places(self).len() as u32;
        match count == 0 || self.one_in(5) {
            true => other,
            false => {
                let place = self.below(count);
                places(self)[place as usize]
            }
        }
    }

    fn client_op(&mut self, who: u32) -> Op {
        match self.below(14) {
            0 => Op::Leave { who },
            1 => Op::Close { who },
            2 => Op::Kill { who },
            3..=5 => Op::Read {
                who,
                on: self.one_in(3),
            },
            6 => Op::Speed {
                who,
                bytes: self.scale(4000),
            },
            7 => Op::Pause {
                who,
                on: self.one_in(2),
            },
            8 => Op::Want {
                who,
                audio: !self.one_in(3),
                video: !self.one_in(3),
            },
            _ => Op::PlayAgain {
                who,
                stream: self.below(2),
                gap: self.pick(&[0, 1, 1, 2, 5, 20, 300]),
                more: self.rarely(2, 1, 30),
            },
        }
    }

    fn publisher_op(&mut self, who: u32) -> Op {
        match self.below(8) {
            0 => Op::Silence {
                who,
                on: self.one_in(2),
            },
            1 | 2 => Op::Headers {
                who,
                changed: self.one_in(2),
            },
            3 => Op::Metadata { who },
            4 => Op::Data { who },
            5 => Op::Jump {
                who,
                by: self.range(0, 40_000) as i32 - 20_000,
            },
            6 => Op::Burst {
                who,
                frames: self.scale(200),
            },
            _ => Op::Big {
                who,
                key: self.one_in(2),
                bytes: self.scale(200_000),
            },
        }
    }

    fn host_op(&mut self, who: u32, streams: u32, terms: &Terms) -> Op {
        let place = self.below(HOST_PLACES);
        let stream = self.stream(streams);
        match self.below(20) {
            0 | 1 => {
                let source = self.source(streams, terms);
                Op::HostPublish { who: place, source }
            }
            2 => Op::HostUnpublish { who: place },
            3..=5 => Op::Tap {
                who: place,
                stream: if self.one_in(3) { 99 } else { stream },
                every: self.pick(&[0, 1, 20, 300, 1500]),
            },
            6 => Op::TapClose { who: place },
            7 | 8 => Op::Record { stream },
            9 => Op::StopRecording { stream },
            10 => Op::EndStream { stream },
            11 => Op::Disconnect { who },
            12 if terms.keys > 0 => Op::AddKey {
                key: self.below(3),
                play: self.one_in(2),
            },
            13 if terms.keys > 0 => Op::Revoke {
                key: self.below(3),
                play: self.one_in(3),
            },
            12..=14 => Op::Inspect,
            15 => {
                let terms = self.terms();
                Op::Reconfigure {
                    terms: Box::new(terms),
                }
            }
            16 => Op::Panic { who },
            17 if self.one_in(2) => Op::PanicWorker {
                worker: self.below(3),
            },
            18 if terms.disk_bytes > 0 => Op::Disk {
                bytes: self.rarely(2, 1, 400_000),
            },
            _ => Op::WallClock {
                by: self.range(0, 200_000) as i32 - 100_000,
            },
        }
    }

    /// Few streams, so that peers meet.
    fn stream(&mut self, streams: u32) -> u32 {
        match self.one_in(12) {
            true => 2,
            false => self.below(streams),
        }
    }

    fn key(&mut self, needed: bool) -> u32 {
        match needed {
            true if !self.one_in(6) => self.range(1, KEYS.len() as u32),
            _ => 0,
        }
    }

    fn source(&mut self, streams: u32, terms: &Terms) -> Source {
        let interval = self.pick(&[0, 0, 20, 33, 100]);
        Source {
            stream: self.stream(streams),
            key: self.key(terms.keys & 1 != 0),
            tracks: self.rarely(3, 1, 3),
            interval,
            group: match interval {
                _ if self.one_in(6) => 1,
                100 => self.range(1, 10),
                _ => self.range(1, 30),
            },
            size: match self.below(8) {
                0 => self.range(1, 30),
                1 => self.range(2000, 12_000),
                _ => self.range(30, 1500),
            },
            bare: self.one_in(8),
            first: match self.below(6) {
                0 => self.random.next() as u32,
                1 => 0_u32.wrapping_sub(self.below(3000)),
                2 => (1 << 31) - self.below(3000),
                3 => self.below(100_000),
                _ => 0,
            },
            lies: self.rarely(3, 1, 6),
        }
    }

    fn link(&mut self) -> Link {
        let mut link = Link::default();
        if self.one_in(5) {
            link.bite = self.scale(5000);
            link.pause = self.range(1, 30);
        }
        if self.one_in(5) {
            link.speed = self.scale(3000);
        }
        if self.one_in(5) {
            // Every stage: the handshake takes 3 KiB each way.
            link.ends_after = self.scale(60_000);
            link.ends_by = self.below(3);
        }
        if self.one_in(3) {
            link.back = self.range(1, 1000);
        }
        link
    }
}
