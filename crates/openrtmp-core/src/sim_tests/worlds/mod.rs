//! Worlds made from seeds: a plan of publishers, players, attackers, host calls
//! and faults, and rules that hold whatever happens.
//!
//! `generate` makes a [`Plan`](plan::Plan), which is data; `course` runs it, with
//! `client` for the peers, `host` for the embedding program and `attack` for what
//! hostile peers say; `lives` is what publishers send, `witness` judges what
//! becomes of it, `far` another server that
//! streams are relayed to and fetched from, `ledger` the events, `files` the recordings, `end` how it all
//! ends; `shrink` makes a failing plan small. `siege` is of another make: peers that
//! attack at full speed a server whose work takes time.
//!
//! A seed fixes all of it. `cargo xtask sim` runs more seeds than the ordinary
//! test, one of them again, or a plan from a file.

mod attack;
mod client;
mod course;
mod end;
mod far;
mod files;
mod found;
mod generate;
mod host;
mod ledger;
mod lives;
mod panics;
mod plan;
mod shrink;
mod siege;
mod witness;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sync::{lock, unpoisoned};
use course::Outcome;
use plan::Plan;
use witness::Broken;

/// Threads that run worlds.
const THREADS: usize = 2;

/// Seeds of the ordinary test.
const SEEDS: u64 = 2_000;

#[test]
fn two_thousand_worlds_keep_the_rules() {
    let total = sweep(0, SEEDS, false);
    assert_eq!(total.worlds, SEEDS);
    let each = total.messages / SEEDS;
    assert!(each > 200, "{each} messages a world: little was tried");
    let each = total.relayed / (SEEDS / generate::RELAYS_EVERY);
    assert!(each > 300, "{each} frames relayed: little was tried");
}

#[test]
fn a_seed_fixes_the_world() {
    let hash = |seed| {
        let outcome = course::run(&generate::plan(seed));
        outcome
            .unwrap_or_else(|broken| panic!("seed {seed}: {broken:?}"))
            .hash
    };
    for seed in 0..50 {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_plan_survives_being_written_down() {
    for seed in 0..200 {
        let plan = generate::plan(seed);
        let text = shrink::show(&plan);
        assert_eq!(serde_json::from_str::<Plan>(&text).expect(&text), plan);
    }
}

/// What `cargo xtask sim` runs; it says what by these variables.
#[test]
#[ignore = "started by cargo xtask sim"]
fn campaign() {
    let variable = |name: &str| std::env::var(name).ok();
    let number = |name: &str| variable(name).and_then(|value| value.parse().ok());
    if let Some(file) = variable("OPENRTMP_SIM_REPLAY") {
        let text = std::fs::read_to_string(&file).expect(&file);
        let plan: Plan = serde_json::from_str(&text).expect("a plan");
        replay(&plan);
        return;
    }
    let from = number("OPENRTMP_SIM_FROM").unwrap_or(0);
    let seeds = number("OPENRTMP_SIM_SEEDS").unwrap_or(SEEDS);
    if seeds == 1 {
        replay(&generate::plan(from));
        return;
    }
    let began = Instant::now();
    let total = sweep(from, seeds, variable("OPENRTMP_SIM_GO_ON").is_some());
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let hours = total.simulated.as_secs_f64() / 3600.0;
    eprintln!(
        "{seeds} worlds from seed {from}: {} connections, {} messages to players, \
         {} frames relayed, {hours:.1} simulated hours in {minutes:.1} minutes, {:.1} hours a minute",
        total.connections,
        total.messages,
        total.relayed,
        hours / minutes
    );
}

fn replay(plan: &Plan) {
    eprintln!("{}", shrink::show(plan));
    match course::told(plan, &mut |what| eprintln!("{what}")) {
        Ok(outcome) => eprintln!("all rules were kept: {outcome:?}"),
        Err(broken) => panic!("{}: {}", broken.rule, broken.what),
    }
}

/// What many worlds came to.
#[derive(Debug, Default)]
struct Total {
    worlds: u64,
    messages: u64,
    relayed: u64,
    connections: usize,
    simulated: Duration,
}

impl Total {
    fn add(&mut self, outcome: &Outcome) {
        self.worlds += 1;
        self.messages += outcome.messages;
        self.relayed += outcome.relayed;
        self.connections += outcome.connections;
        self.simulated += outcome.simulated;
    }
}

/// Runs so many seeds. Panics if one breaks a rule: with the seed and the smallest
/// plan found that breaks the same. It stops there unless it is to `go_on`; then
/// it tells for each rule how many seeds break it.
fn sweep(from: u64, seeds: u64, go_on: bool) -> Total {
    let next = AtomicU64::new(from);
    let over = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    let failures: Mutex<BTreeMap<u64, Broken>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    match course::run(&generate::plan(seed)) {
                        Ok(outcome) => lock(&total).add(&outcome),
                        Err(broken) => {
                            over.store(!go_on, Ordering::Relaxed);
                            lock(&failures).insert(seed, broken);
                        }
                    }
                }
            });
        }
    });
    let failures = unpoisoned(failures.into_inner());
    assert!(failures.is_empty(), "{}", describe(&failures));
    unpoisoned(total.into_inner())
}

/// For each rule broken, how often and the first seed, made small.
fn describe(failures: &BTreeMap<u64, Broken>) -> String {
    let mut rules: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for (seed, broken) in failures {
        rules.entry(broken.rule).or_insert((0, *seed)).0 += 1;
    }
    let mut text = String::new();
    for (rule, (count, seed)) in rules {
        let (first, plan) = (failures[&seed].clone(), generate::plan(seed));
        text += &format!(
            "\n{count} seeds break a rule: {rule}\nseed {seed}: {}\n",
            first.what
        );
        let (plan, broken) = shrink::shrink(&plan, first);
        let steps = plan.steps.len();
        text += &format!(
            "made small, {steps} operations: {}\n{}\n",
            broken.what,
            shrink::show(&plan)
        );
    }
    text
}
