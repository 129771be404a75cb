//! One stream: its publisher, its players, and what is done to them.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openrtmp_attacks::Kind;
use openrtmp_protocol::command::code;
use openrtmp_protocol::session::SessionError;
use serde::Serialize;

use super::strangers::Strangers;
use crate::attackers::Attackers;
use crate::payload::{Clock, Frames, mix};
use crate::players::{self, Faults, Gap, Players};
use crate::publisher::{self, Pace, Publisher};
use crate::target::Target;

const FRAMES_PER_SECOND: u32 = 25;

/// Frames from one key frame to the next.
const GOP: u64 = 25;

/// Between two looks at what is due.
const TURN: Duration = Duration::from_millis(20);

/// Between two faults, milliseconds, at most.
const FAULT_PERIOD: usize = 600;

/// The longest that a player stalls, milliseconds. The server gives up on one
/// after 15 s.
const LONGEST_STALL: usize = 20_000;

/// The longest that a player is flooding, milliseconds.
const LONGEST_FLOOD: usize = 2_000;

/// The longest that one attacks, milliseconds.
const LONGEST_ATTACK: usize = 1_000;

/// Garbage written at once.
const FLOOD: usize = 16 * 1024;

/// The longest that a publisher is away, milliseconds: the server keeps its
/// players for 3 s.
const LONGEST_ABSENCE: usize = 5_000;

/// The longest that a publisher sends nothing, milliseconds: less than the 10 s
/// after which the server lets another take its place.
const LONGEST_PAUSE: usize = 6_000;

/// How long anything may take that should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Numbers that follow from a seed.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn of(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        words
            .take(count.div_ceil(8))
            .flatten()
            .take(count)
            .collect()
    }

    fn millis(&mut self, most: usize) -> Duration {
        Duration::from_millis(self.below(most) as u64)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Tally {
    players_killed: u64,
    players_stalled: u64,
    players_flooding: u64,
    publishers_ended: u64,
    publishers_cut: u64,
    publishers_paused: u64,
    strangers: u64,
    attacks: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Tally) {
        self.players_killed += other.players_killed;
        self.players_stalled += other.players_stalled;
        self.players_flooding += other.players_flooding;
        self.publishers_ended += other.publishers_ended;
        self.publishers_cut += other.publishers_cut;
        self.publishers_paused += other.publishers_paused;
        self.strangers += other.strangers;
        self.attacks += other.attacks;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} players killed, {} stalled, {} flooding; {} publishers ended, {} cut, {} paused; \
             {} strangers, {} attacks",
            self.players_killed,
            self.players_stalled,
            self.players_flooding,
            self.publishers_ended,
            self.publishers_cut,
            self.publishers_paused,
            self.strangers,
            self.attacks
        )
    }
}

/// What became of a stage.
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) faults: Faults,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) complaints: Vec<String>,
}

/// One stream.
pub(super) struct Stage {
    target: Target,
    frames: Arc<Frames>,
    clock: Clock,
    players: Players,
    /// Players that nothing is ever done to come first, as many as others.
    count: usize,
    publisher: On,
    /// What was published, connection by connection.
    publications: Vec<Publication>,
    strangers: Strangers,
    /// Who attacks, until when.
    attackers: Attackers,
    attacked_until: Option<Instant>,
    /// Players that have to be replaced, and when.
    abused: Vec<Abused>,
    random: Random,
    tally: Tally,
}

enum On {
    /// Sends; until this time it does not.
    Air(Publisher, Option<Instant>),
    /// Comes back at this time.
    Leave(Instant),
}

/// The frames of one publisher's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Publication {
    first: u64,
    /// The number after the last.
    end: u64,
    /// The server had every frame before the connection ended.
    whole: bool,
}

struct Abused {
    player: usize,
    floods: bool,
    until: Instant,
}

impl Stage {
    /// Starts to publish and play.
    pub(super) fn open(
        target: &Target,
        count: usize,
        bitrate: u64,
        seed: u64,
    ) -> io::Result<Stage> {
        let frames = Arc::new(Frames::new(bitrate, FRAMES_PER_SECOND, GOP));
        let clock = Clock::start();
        let mut stage = Stage {
            players: Players::new(std::slice::from_ref(target), None, frames.clone(), clock)?,
            strangers: Strangers::of(target.address()?),
            attackers: Attackers::of(target.address()?, target.stream()),
            attacked_until: None,
            publisher: On::Leave(Instant::now()),
            publications: Vec::new(),
            target: target.clone(),
            frames,
            clock,
            count,
            abused: Vec::new(),
            random: Random(seed),
            tally: Tally::default(),
        };
        stage.publish()?;
        stage.players.join(count, 20, PATIENCE)?;
        Ok(stage)
    }

    /// Does one bad thing after another until `end`, then sees what came of it.
    pub(super) fn run(mut self, end: Instant) -> io::Result<Outcome> {
        let mut next_fault = Instant::now();
        while Instant::now() < end {
            self.turn()?;
            if Instant::now() >= next_fault {
                self.fault()?;
                next_fault = Instant::now() + self.random.millis(FAULT_PERIOD);
            }
        }
        self.calm()?;
        self.outcome()
    }

    fn turn(&mut self) -> io::Result<()> {
        self.players.run_for(TURN)?;
        self.strangers.look()?;
        let now = Instant::now();
        match self.attacked_until {
            Some(until) if until > now => self.attackers.press(),
            _ => self.attackers.leave(),
        }
        match &mut self.publisher {
            On::Leave(until) if *until <= now => self.publish()?,
            On::Air(publisher, paused) if paused.is_some_and(|until| until <= now) => {
                *paused = None;
                publisher.pause(false);
            }
            _ => {}
        }
        let (due, rest) = std::mem::take(&mut self.abused)
            .into_iter()
            .partition(|abused| abused.until <= now);
        self.abused = rest;
        self.replace(due)?;
        for index in 0..self.abused.len() {
            if self.abused[index].floods {
                let garbage = self.random.bytes(FLOOD);
                if !self.players.flood(self.abused[index].player, &garbage) {
                    self.abused[index].until = now;
                }
            }
        }
        Ok(())
    }

    fn fault(&mut self) -> io::Result<()> {
        match self.random.below(100) {
            0..25 => self.kill_player(),
            25..35 => self.stall_player(),
            35..50 => self.flood(),
            50..54 => self.disturb_publisher(),
            54..64 => self.attack(),
            _ => {
                self.tally.strangers += 1;
                self.strangers.come(&mut self.random)
            }
        }
    }

    /// A player that things are done to, if it plays and nothing was done to it yet.
    fn victim(&mut self) -> Option<usize> {
        let steady = self.count.div_ceil(2);
        let index = steady + self.random.below(self.count - steady);
        (index < self.count && self.players.is_healthy(index)).then_some(index)
    }

    fn kill_player(&mut self) -> io::Result<()> {
        let Some(player) = self.victim() else {
            return Ok(());
        };
        self.tally.players_killed += 1;
        let ending = self.ending();
        self.players.replace(player, ending)
    }

    fn ending(&mut self) -> players::Ending {
        match self.random.below(2) {
            0 => players::Ending::Close,
            _ => players::Ending::Reset,
        }
    }

    fn stall_player(&mut self) -> io::Result<()> {
        let Some(player) = self.victim() else {
            return Ok(());
        };
        self.tally.players_stalled += 1;
        self.players.stall(player);
        self.abuse(player, false, LONGEST_STALL);
        Ok(())
    }

    fn flood(&mut self) -> io::Result<()> {
        let Some(player) = self.victim() else {
            return Ok(());
        };
        self.tally.players_flooding += 1;
        // The first garbage may end it: then it is replaced at the next turn.
        let garbage = self.random.bytes(FLOOD);
        self.players.flood(player, &garbage);
        self.abuse(player, true, LONGEST_FLOOD);
        Ok(())
    }

    /// One more attacks, beside those that do already.
    fn attack(&mut self) -> io::Result<()> {
        self.tally.attacks += 1;
        let kind = Kind::ALL[self.random.below(Kind::ALL.len())];
        self.attacked_until = Some(Instant::now() + self.random.millis(LONGEST_ATTACK));
        // A server that has all the connections it wants refuses.
        let _ = self.attackers.come(kind);
        Ok(())
    }

    fn abuse(&mut self, player: usize, floods: bool, most: usize) {
        let until = Instant::now() + self.random.millis(most);
        self.abused.push(Abused {
            player,
            floods,
            until,
        });
    }

    fn replace(&mut self, abused: Vec<Abused>) -> io::Result<()> {
        for abused in abused {
            let ending = self.ending();
            self.players.replace(abused.player, ending)?;
        }
        Ok(())
    }

    fn disturb_publisher(&mut self) -> io::Result<()> {
        let back = Instant::now() + self.random.millis(LONGEST_ABSENCE);
        let kind = self.random.below(4);
        match std::mem::replace(&mut self.publisher, On::Leave(back)) {
            On::Air(publisher, None) if kind == 0 => {
                self.tally.publishers_paused += 1;
                publisher.pause(true);
                let until = Instant::now() + self.random.millis(LONGEST_PAUSE);
                self.publisher = On::Air(publisher, Some(until));
                Ok(())
            }
            On::Air(publisher, _) => {
                let ending = match kind {
                    1 => publisher::Ending::Goodbye,
                    2 => publisher::Ending::Vanish,
                    _ => publisher::Ending::Reset,
                };
                self.end_publication(publisher, ending)
            }
            away @ On::Leave(_) => {
                self.publisher = away;
                Ok(())
            }
        }
    }

    fn publish(&mut self) -> io::Result<()> {
        // The first frame of a connection is a key frame.
        let last = self.publications.last();
        let first = last.map_or(0, |last| last.end.next_multiple_of(GOP));
        let was_reset = last.is_some_and(|last| !last.whole);
        let patience = Instant::now() + PATIENCE;
        let publisher = loop {
            let started = Publisher::start_at(
                &self.target,
                self.frames.clone(),
                self.clock,
                Pace::RealTime(FRAMES_PER_SECOND),
                first,
            );
            match started {
                // Nobody hears when a reset is noticed: as encoders do, ask again.
                Err(e) if was_reset && is_taken(&e) && Instant::now() < patience => {
                    self.players.run_for(TURN)?;
                }
                started => break started?,
            }
        };
        self.publications.push(Publication {
            first,
            end: u64::MAX,
            whole: true,
        });
        self.publisher = On::Air(publisher, None);
        Ok(())
    }

    fn end_publication(
        &mut self,
        publisher: Publisher,
        ending: publisher::Ending,
    ) -> io::Result<()> {
        let end = publisher.stop();
        let whole = !matches!(ending, publisher::Ending::Reset);
        match whole {
            true => self.tally.publishers_ended += 1,
            false => self.tally.publishers_cut += 1,
        }
        if let Some(publication) = self.publications.last_mut() {
            publication.end = end;
            publication.whole = whole;
        }
        publisher.end(ending)?;
        Ok(())
    }

    /// Lets everybody be well again.
    fn calm(&mut self) -> io::Result<()> {
        self.attackers.leave();
        let abused = std::mem::take(&mut self.abused);
        self.replace(abused)?;
        match &mut self.publisher {
            On::Leave(_) => self.publish()?,
            On::Air(publisher, _) => publisher.pause(false),
        }
        self.players.wait_for_frames(PATIENCE)?;
        // Of one that has just come back and sends nothing, players would be asked for what is
        // between it and the one before.
        let first = self.publications.last().map_or(0, |last| last.first);
        let until = Instant::now() + PATIENCE;
        while matches!(&self.publisher, On::Air(publisher, _) if publisher.next() <= first)
            && Instant::now() < until
        {
            self.players.run_for(TURN)?;
        }
        Ok(())
    }

    fn outcome(mut self) -> io::Result<Outcome> {
        let mut complaints = Vec::new();
        let sent = match &self.publisher {
            On::Air(publisher, _) => publisher.stop(),
            On::Leave(_) => 0,
        };
        if let Some(publication) = self.publications.last_mut() {
            publication.end = sent;
        }
        self.players.wait_for_end(&[sent], PATIENCE)?;
        let publications = &self.publications;
        let faults = self
            .players
            .faults_but(&[sent], |gap| is_excused(gap, publications));
        if let Some(loss) = self.players.first_loss() {
            complaints.push(format!("a player was lost: {loss}"));
        }
        if let On::Air(publisher, _) = self.publisher
            && let Err(e) = publisher.finish()
        {
            complaints.push(format!("a publisher was lost: {e}"));
        }
        Ok(Outcome {
            tally: self.tally,
            faults,
            frames: self.players.frames(),
            bytes: self.players.bytes(),
            complaints,
        })
    }
}

/// Whether a publisher was refused because its stream has one.
fn is_taken(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|e| e.downcast_ref());
    matches!(error, Some(SessionError::Refused { code, .. }) if &**code == code::PUBLISH_BAD_NAME)
}

/// A publisher that comes back begins with the next multiple of a GOP; only what
/// one was sending when its connection was cut may be missing before that.
fn is_excused(gap: Gap, publications: &[Publication]) -> bool {
    let Some(came) = publications.iter().position(|p| p.first == gap.came) else {
        return false;
    };
    let Some(before) = publications[..came].last() else {
        return false;
    };
    let none_came = Gap {
        came: before.first,
        ..gap
    };
    gap.expected == before.end
        || !before.whole
            && ((before.first..before.end).contains(&gap.expected)
                || is_excused(none_came, publications))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(first: u64, end: u64, whole: bool) -> Publication {
        Publication { first, end, whole }
    }

    fn gap(expected: u64, came: u64) -> Gap {
        Gap { expected, came }
    }

    #[test]
    fn only_gaps_between_publishers_are_excused() {
        let history = [
            publication(0, 60, true),
            publication(75, 90, false),
            publication(100, 130, true),
            publication(150, 151, false),
            publication(175, 200, true),
        ];
        assert!(is_excused(gap(60, 75), &history));
        assert!(is_excused(gap(90, 100), &history));
        assert!(is_excused(gap(88, 100), &history), "cut on its way");
        assert!(is_excused(gap(130, 175), &history), "cut before it began");
        assert!(!is_excused(gap(129, 175), &history), "the server had it");
        assert!(!is_excused(gap(58, 75), &history), "the server had it");
        assert!(!is_excused(gap(20, 22), &history), "in the middle");
        assert!(!is_excused(gap(60, 76), &history), "not the first");
        assert!(!is_excused(gap(60, 50), &history), "backwards");
    }

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let numbers = |seed| {
            let mut random = Random(seed);
            (random.bytes(11), random.below(1000))
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert_eq!(numbers(7).0.len(), 11);
    }
}
