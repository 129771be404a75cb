//! Who serves whom: the choice of a worker for what comes.
//!
//! A worker more costs: it is woken for every frame, and what it sends has to come from
//! another core's cache. So what comes goes where its like is, until that worker is two
//! thirds busy; only then is it spread.

use std::time::Duration;

use openrtmp_protocol::Time;

use crate::sync::atomic::{AtomicU32, Ordering};

/// The share of a worker's time, in millionths, beyond which others are asked to help.
const BUSY: u32 = 667_000;

/// What somebody is thought to cost at least before it has been measured, in millionths:
/// a player of 2.5 Mbit/s and 30 frames a second takes 450 of a server's core.
const NEWCOMER: u32 = 500;

/// How long busyness is measured before it is told.
const WINDOW: Duration = Duration::from_millis(500);

/// How busy one worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Millionths of its time that it worked, when last measured.
    pub(crate) busy: u32,
    /// The connections it had then.
    pub(crate) serving: u32,
    /// What was placed there since, and is in no measurement yet.
    pub(crate) placed: u32,
}

impl Load {
    /// Millionths of its time, what is still to come guessed: as costly as those it has.
    fn expected(self) -> u32 {
        let each = NEWCOMER.max(self.busy.checked_div(self.serving).unwrap_or(0));
        self.busy.saturating_add(self.placed.saturating_mul(each))
    }
}

/// The worker for somebody who would best be on `preferred`: that one until it is two
/// thirds busy, then the least busy one, the preferred one and the lower number first.
pub(crate) fn choose(loads: &[Load], preferred: usize) -> usize {
    let expected = |worker: usize| loads.get(worker).copied().unwrap_or_default().expected();
    if expected(preferred) < BUSY {
        return preferred;
    }
    (0..loads.len())
        .min_by_key(|&worker| (expected(worker), worker != preferred, worker))
        .unwrap_or(preferred)
}

/// The loads of all workers, and the choice between them.
#[derive(Debug)]
pub(crate) struct Placement {
    loads: Vec<Shared>,
    #[cfg(test)]
    rule: std::sync::Mutex<Rule>,
}

#[derive(Debug, Default)]
struct Shared {
    busy: AtomicU32,
    serving: AtomicU32,
    placed: AtomicU32,
}

/// How a simulation places, whose clock does not run while a worker works.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) enum Rule {
    /// By load.
    #[default]
    Load,
    /// Newcomers in turn, and nobody moves.
    Fixed,
    /// Anywhere, by a seed.
    Seeded(u64),
}

impl Placement {
    pub(crate) fn new(workers: usize) -> Placement {
        Placement {
            loads: (0..workers).map(|_| Shared::default()).collect(),
            #[cfg(test)]
            rule: std::sync::Mutex::default(),
        }
    }

    /// Where a connection begins: nobody knows yet what it will do, so it counts for
    /// nothing.
    pub(crate) fn of_newcomer(&self, number: u64) -> usize {
        self.best(0, number as usize % self.loads.len())
    }

    /// Where the host's own publisher begins a stream.
    pub(crate) fn of_host(&self, number: u64) -> usize {
        self.choose(0, number as usize % self.loads.len())
    }

    /// Where a publisher is served that is on worker `here`: where its stream lives
    /// already, or else here while there is room.
    pub(crate) fn of_publisher(&self, home: Option<usize>, here: usize) -> usize {
        match home {
            Some(home) if !self.is_fixed() => home,
            _ => self.choose(here, here),
        }
    }

    /// Where a player is served that is on worker `here`: where its stream lives while
    /// there is room, or here as long as that is nowhere.
    pub(crate) fn of_player(&self, home: Option<usize>, here: usize) -> usize {
        match home {
            Some(home) => self.choose(home, here),
            None => here,
        }
    }

    /// A worker for what would best be on `preferred`, and is there from now on.
    fn choose(&self, preferred: usize, fixed: usize) -> usize {
        let worker = self.best(preferred, fixed);
        self.loads[worker].placed.fetch_add(1, Ordering::Relaxed);
        worker
    }

    /// A worker for what would best be on `preferred`. `fixed` is the answer of a
    /// simulation in which nobody moves.
    fn best(&self, preferred: usize, fixed: usize) -> usize {
        #[cfg(test)]
        if let Some(worker) = self.by_rule(fixed) {
            return worker;
        }
        let _ = fixed;
        match self.loads.len() {
            1 => preferred,
            _ => choose(&self.loads(), preferred),
        }
    }

    fn loads(&self) -> Vec<Load> {
        let load = |shared: &Shared| Load {
            busy: shared.busy.load(Ordering::Relaxed),
            serving: shared.serving.load(Ordering::Relaxed),
            placed: shared.placed.load(Ordering::Relaxed),
        };
        self.loads.iter().map(load).collect()
    }

    /// So busy was a worker, in millionths, with so many connections.
    pub(crate) fn measured(&self, worker: usize, busy: u32, serving: usize) {
        self.loads[worker].busy.store(busy, Ordering::Relaxed);
        let serving = u32::try_from(serving).unwrap_or(u32::MAX);
        self.loads[worker].serving.store(serving, Ordering::Relaxed);
        self.loads[worker].placed.store(0, Ordering::Relaxed);
    }

    #[cfg(not(test))]
    fn is_fixed(&self) -> bool {
        false
    }

    #[cfg(test)]
    fn is_fixed(&self) -> bool {
        matches!(*crate::sync::lock(&self.rule), Rule::Fixed)
    }

    #[cfg(test)]
    pub(crate) fn set_rule(&self, rule: Rule) {
        *crate::sync::lock(&self.rule) = rule;
    }

    #[cfg(test)]
    fn by_rule(&self, fixed: usize) -> Option<usize> {
        match &mut *crate::sync::lock(&self.rule) {
            Rule::Load => None,
            Rule::Fixed => Some(fixed),
            Rule::Seeded(state) => {
                // SplitMix64's step.
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                Some((mixed >> 33) as usize % self.loads.len())
            }
        }
    }
}

/// Measures how busy one worker is.
#[derive(Debug, Default)]
pub(crate) struct LoadMeter {
    window_began: Time,
    worked: Duration,
}

impl LoadMeter {
    /// The worker, which has so many connections, worked from `began` to `ended`.
    pub(crate) fn worked(
        &mut self,
        began: Time,
        ended: Time,
        placement: &Placement,
        (worker, serving): (usize, usize),
    ) {
        self.worked += ended.since(began);
        let window = ended.since(self.window_began);
        if window < WINDOW {
            return;
        }
        let busy = self.worked.as_micros() * 1_000_000 / window.as_micros().max(1);
        placement.measured(worker, busy.min(1_000_000) as u32, serving);
        (self.window_began, self.worked) = (ended, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn busy(loads: &[u32]) -> Vec<Load> {
        let load = |&thousandths: &u32| Load {
            busy: thousandths * 1000,
            ..Load::default()
        };
        loads.iter().map(load).collect()
    }

    #[test]
    fn everybody_goes_to_the_preferred_worker_until_it_is_two_thirds_busy() {
        assert_eq!(choose(&busy(&[0, 0]), 1), 1);
        assert_eq!(choose(&busy(&[0, 666]), 1), 1);
        assert_eq!(choose(&busy(&[0, 667]), 1), 0);
        assert_eq!(choose(&busy(&[900, 800, 700]), 0), 2);
        assert_eq!(choose(&busy(&[800, 800, 800]), 1), 1, "a tie stays");
        assert_eq!(choose(&busy(&[700, 900, 700]), 1), 0);
    }

    #[test]
    fn a_crowd_that_comes_between_two_measurements_is_spread_too() {
        let placement = Placement::new(2);
        // Each of those it has takes five thousandths of it.
        placement.measured(0, 600_000, 120);
        let mut counts = [0; 2];
        for _ in 0..200 {
            counts[placement.choose(0, 0)] += 1;
        }
        assert_eq!(counts, [14, 186]);
        placement.measured(0, 300_000, 130);
        assert_eq!(placement.choose(0, 0), 0, "measured again");
    }

    #[test]
    fn those_who_only_connect_are_not_taken_for_players() {
        let placement = Placement::new(2);
        for number in 0..10_000 {
            assert_eq!(placement.of_newcomer(number), 0);
        }
        for _ in 0..1000 {
            assert_eq!(placement.of_player(Some(0), 0), 0);
        }
    }

    #[test]
    fn a_meter_tells_the_share_of_a_window() {
        let at = |ms: u64| Time::from_micros(ms * 1000);
        let (placement, mut meter) = (Placement::new(1), LoadMeter::default());
        for ms in (1000..2000).step_by(10) {
            meter.worked(at(ms), at(ms + 4), &placement, (0, 7));
        }
        let Load { busy, serving, .. } = placement.loads()[0];
        assert!((380_000..=420_000).contains(&busy), "{busy}");
        assert_eq!(serving, 7);
    }

    proptest! {
        #[test]
        fn nobody_is_sent_to_a_worker_busier_than_the_preferred_one(
            loads in proptest::collection::vec((0u32..=1_000_000, 0u32..3000, 0u32..3000), 1..9),
            preferred in 0usize..9,
        ) {
            let loads: Vec<Load> = loads
                .into_iter()
                .map(|(busy, serving, placed)| Load { busy, serving, placed })
                .collect();
            let preferred = preferred % loads.len();
            let chosen = choose(&loads, preferred);
            prop_assert!(loads[chosen].expected() <= loads[preferred].expected());
            prop_assert!(chosen == preferred || loads[preferred].expected() >= BUSY);
        }
    }
}
