//! `cargo xtask test`: checks and tests, with the tools that are there, or with all.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::runner::{self, Outcome, Tally};
use crate::steps::{BY_HAND, INSTALLING, Run, STEPS, Step, Tier};
use crate::tools::{self, Tool};
use crate::{EXIT_SETUP, workspace};

/// What the user asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Every step, with every tool.
    all: bool,
    /// Install nothing, even for everything.
    no_install: bool,
    /// Names of the steps to run; empty means those of the tier.
    only: Vec<String>,
    /// Say what there is, and run nothing.
    list: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--all" => options.all = true,
                "--no-install" => options.no_install = true,
                "--list" => options.list = true,
                "--only" => {
                    let name = arguments.next().ok_or("--only needs the name of a step")?;
                    if !STEPS.iter().any(|step| step.name == name) {
                        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
                        return Err(format!("no step `{name}`; there are {}", names.join(", ")));
                    }
                    options.only.push(name.clone());
                }
                other => return Err(format!("unknown option `{other}`")),
            }
        }
        Ok(options)
    }

    fn wants(&self, step: &Step) -> bool {
        match self.only.as_slice() {
            [] => step.tier == Tier::Quick || self.all && step.tier == Tier::All,
            names => names.iter().any(|name| name == step.name),
        }
    }

    fn installs(&self) -> bool {
        self.all && !self.no_install
    }
}

/// Runs the steps; a failed one does not keep the others from running.
pub(crate) fn run(options: &Options) -> ExitCode {
    if options.list {
        print!("{}", list());
        return ExitCode::SUCCESS;
    }
    let (steps, others): (Vec<&Step>, Vec<&Step>) =
        STEPS.iter().partition(|step| options.wants(step));
    let used: Vec<Tool> = steps.iter().flat_map(|step| step.tools()).collect();
    let started = Instant::now();
    println!("=== trying the tools");
    let mut missing = tools::missing(&used);
    println!("{}", announcement(options, &steps, &missing));
    if options.all {
        if let Err(message) = tools::provide(&missing, options.installs()) {
            eprintln!("error: {message}");
            return ExitCode::from(EXIT_SETUP);
        }
        missing.clear();
    }
    let prepared = started.elapsed();

    let results: Vec<StepResult> = steps
        .into_iter()
        .map(|step| run_step(step, &missing, options.installs()))
        .collect();
    print_summary(prepared, &results);
    print_left_out(options, &missing, &others);
    let total = total(&results);
    println!("\n{}", tally_line(total));
    match total {
        Tally { failed: 1.., .. } => ExitCode::FAILURE,
        // Nothing was found wrong, but nothing was looked at either.
        Tally { passed: 0, .. } => ExitCode::from(EXIT_SETUP),
        _ => ExitCode::SUCCESS,
    }
}

/// What is about to be done, and for how long.
fn announcement(options: &Options, steps: &[&Step], missing: &[Tool]) -> String {
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    let mut took = steps.iter().map(|step| step.minutes).sum();
    if options.installs() && !missing.is_empty() {
        took += INSTALLING;
    }
    let mut lines = vec![format!(
        "=== {} on two cores if nothing is built yet: {}",
        minutes(took),
        names.join(", ")
    )];
    if !options.installs() {
        lines.push("=== nothing is installed, and nothing downloaded but crates".to_owned());
        return lines.join("\n");
    }
    let packages = match tools::packages(missing).join(" ") {
        packages if packages.is_empty() => "nothing that is missing".to_owned(),
        packages => packages,
    };
    lines.push(format!("=== installed with apt-get: {packages}"));
    for fetched in steps.iter().flat_map(|step| step.fetches) {
        lines.push(format!("=== downloaded unless it is there: {fetched}"));
    }
    lines.join("\n")
}

/// Every step, with what it takes.
fn list() -> String {
    let mut text = String::new();
    for (tier, command, installs) in [
        (
            Tier::Quick,
            "cargo xtask test",
            "installs nothing, downloads nothing but crates, uses what is there",
        ),
        (
            Tier::All,
            "cargo xtask test --all",
            "the above and these; installs and downloads what is missing",
        ),
        (
            Tier::Named,
            "cargo xtask test --all --only STEP",
            "one of the above or these, each of which is long",
        ),
    ] {
        let included = |step: &&Step| match tier {
            Tier::Quick | Tier::Named => step.tier == tier,
            Tier::All => step.tier != Tier::Named,
        };
        let steps = STEPS.iter().filter(included).map(|step| step.minutes);
        let installing = if tier == Tier::All { INSTALLING } else { 0 };
        let total = steps.sum::<u32>() + installing;
        text += &format!("{command}: {}; {installs}\n", minutes(total));
        for step in STEPS.iter().filter(|step| step.tier == tier) {
            text += &format!(
                "  {:<13} {:>3} min  {}\n",
                step.name, step.minutes, step.what
            );
            let tools = step.tools();
            let packages = tools::packages(&tools);
            if !packages.is_empty() {
                text += &format!("{:>23}packages: {}\n", "", packages.join(" "));
            }
            for fetched in step.fetches {
                text += &format!("{:>23}download: {fetched}\n", "");
            }
        }
        text.push('\n');
    }
    text += "by hand:\n";
    for (command, minutes, what) in BY_HAND {
        text += &format!("  {command:<30} {minutes:>3} min  {what}\n");
    }
    text
}

fn minutes(count: u32) -> String {
    format!("about {count} min")
}

struct StepResult {
    name: &'static str,
    verdict: &'static str,
    tally: Tally,
    /// What could not run here, and why.
    skipped: Vec<String>,
    took: Duration,
}

fn run_step(step: &Step, missing: &[Tool], install: bool) -> StepResult {
    println!("\n=== {}: {}", step.name, step.what);
    let started = Instant::now();
    let mut outcome = Outcome {
        success: true,
        ..Outcome::default()
    };
    let mut ran = false;
    let mut lacks = Vec::new();
    for run in step.runs {
        let without = lacking(run, missing);
        if !without.is_empty() {
            for name in without {
                if !lacks.contains(&name) {
                    lacks.push(name);
                }
            }
            continue;
        }
        ran = true;
        let mut command: Command = workspace::cargo();
        command
            .args(run.cargo)
            .envs(step.environment.iter().copied());
        if install {
            // Everything is built once and not again: what would speed up the next
            // build of it is as large as what is built.
            command.env("CARGO_INCREMENTAL", "0");
        } else {
            command.env(tools::NO_INSTALL, "1");
        }
        outcome.add(runner::run(command).unwrap_or_else(|error| {
            eprintln!("error: cargo could not be run: {error}");
            Outcome::default()
        }));
        if !outcome.success {
            break;
        }
    }
    let took = started.elapsed();
    let mut tally = counted(&outcome, ran);
    let mut skipped = outcome.skipped;
    if !lacks.is_empty() {
        tally.skipped += 1;
        let part = if ran { "what needs" } else { "it needs" };
        skipped.push(format!("{part} {}", lacks.join(", ")));
    }
    let result = StepResult {
        name: step.name,
        verdict: match (outcome.success, ran) {
            (false, _) => "FAILED",
            (true, true) => "passed",
            (true, false) => "left out",
        },
        tally,
        skipped,
        took,
    };
    let (name, verdict) = (result.name, result.verdict);
    println!("=== {name} {verdict} in {}", seconds(took));
    result
}

/// The names of what a run needs and is not there.
fn lacking(run: &Run, missing: &[Tool]) -> Vec<&'static str> {
    let lacking = run.needs.iter().filter(|tool| missing.contains(tool));
    lacking.map(|tool| tool.name()).collect()
}

/// A step without tests of its own counts as one; so does a failure that no
/// test accounts for, such as code that does not compile.
fn counted(outcome: &Outcome, ran: bool) -> Tally {
    let mut tally = outcome.tally;
    if !outcome.success {
        tally.failed = tally.failed.max(1);
    } else if ran && tally == Tally::default() {
        tally.passed = 1;
    }
    tally
}

fn total(results: &[StepResult]) -> Tally {
    let mut total = Tally::default();
    for result in results {
        total.add(result.tally);
    }
    total
}

fn print_summary(prepared: Duration, results: &[StepResult]) {
    println!("\n{:<13} {:<8} {:>10}  counts", "step", "result", "time");
    println!("{:<13} {:<8} {:>10}", "tools", "", seconds(prepared));
    let mut time = prepared;
    for result in results {
        let StepResult { name, verdict, .. } = result;
        let (took, tally) = (seconds(result.took), tally_line(result.tally));
        println!("{name:<13} {verdict:<8} {took:>10}  {tally}");
        time += result.took;
    }
    println!("{:<13} {:<8} {:>10}", "all", "", seconds(time));
    for result in results {
        for skipped in &result.skipped {
            println!("{}{}: {skipped}", runner::SKIPPED, result.name);
        }
    }
}

/// What was not run, and what would bring it.
fn print_left_out(options: &Options, missing: &[Tool], others: &[&Step]) {
    for remedy in tools::remedies(missing) {
        println!("to have it: {remedy}");
    }
    if !options.all && options.only.is_empty() {
        let names: Vec<&str> = others.iter().map(|step| step.name).collect();
        let names = names.join(", ");
        println!("left out: {names}: `cargo xtask test --all` runs them too");
    }
}

fn tally_line(tally: Tally) -> String {
    let mut line = format!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.skipped > 0 {
        line.push_str(&format!(", {} skipped", tally.skipped));
    }
    line
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        Options::parse(&arguments)
    }

    fn outcome(success: bool, passed: u64, failed: u64) -> Outcome {
        let tally = Tally {
            passed,
            failed,
            skipped: 0,
        };
        Outcome {
            success,
            tally,
            ..Outcome::default()
        }
    }

    fn wanted(arguments: &[&str]) -> Vec<&'static str> {
        let options = parse(arguments).unwrap();
        let wanted = STEPS.iter().filter(|step| options.wants(step));
        wanted.map(|step| step.name).collect()
    }

    #[test]
    fn steps_run_by_their_tier_unless_some_are_named() {
        let named = STEPS.iter().filter(|step| step.tier == Tier::Named);
        assert_eq!(wanted(&["--all"]).len() + named.count(), STEPS.len());
        assert_eq!(wanted(&["--all", "--only", "service"]), ["service"]);
        let quick = wanted(&[]);
        assert!(quick.contains(&"test") && !quick.contains(&"foreign"));
        for all in [&[][..], &["--all"]] {
            let only = ["--only", "foreign", "--only", "fmt"];
            assert_eq!(wanted(&[all, &only].concat()), ["fmt", "foreign"]);
        }
    }

    #[test]
    fn only_all_installs_and_not_if_forbidden() {
        let installs = |arguments: &[&str]| parse(arguments).unwrap().installs();
        assert!(installs(&["--all"]));
        assert!(installs(&["--all", "--only", "foreign"]));
        assert!(!installs(&[]));
        assert!(!installs(&["--only", "foreign"]));
        assert!(!installs(&["--no-install", "--all"]));
    }

    #[test]
    fn what_is_installed_is_said_before() {
        let steps: Vec<&Step> = STEPS.iter().collect();
        let missing = [Tool::Valgrind, Tool::Aarch64Gcc];
        let all = announcement(&parse(&["--all"]).unwrap(), &steps, &missing);
        assert!(all.contains("valgrind gcc-aarch64-linux-gnu libc6-dev-arm64-cross"));
        assert!(all.contains("wine") && all.contains(" min"), "{all}");
        let quick = announcement(&parse(&[]).unwrap(), &steps, &missing);
        assert!(quick.contains("nothing is installed"), "{quick}");
        assert!(!quick.contains("valgrind"), "{quick}");
    }

    #[test]
    fn the_list_has_every_step_once_and_what_it_fetches() {
        let list = list();
        for step in STEPS {
            let start = format!("  {:<13} ", step.name);
            let lines = list.lines().filter(|line| line.starts_with(&start));
            assert_eq!(lines.count(), 1, "{}", step.name);
            assert!(step.fetches.iter().all(|fetched| list.contains(fetched)));
        }
    }

    #[test]
    fn a_run_is_left_out_for_what_it_needs_and_nothing_else() {
        let run = Run {
            needs: &[Tool::Cxx, Tool::Ffmpeg],
            cargo: &[],
        };
        assert!(lacking(&run, &[Tool::Qemu]).is_empty());
        assert_eq!(lacking(&run, &[Tool::Qemu, Tool::Ffmpeg]), ["FFmpeg"]);
    }

    #[test]
    fn unknown_steps_and_options_are_refused() {
        assert!(parse(&["--only"]).is_err());
        assert!(parse(&["--only", "nonsense"]).unwrap_err().contains("fmt"));
        assert!(parse(&["--fast"]).is_err());
    }

    #[test]
    fn every_failure_is_counted() {
        assert_eq!(counted(&outcome(true, 0, 0), true).passed, 1);
        assert_eq!(counted(&outcome(true, 0, 0), false).passed, 0);
        assert_eq!(counted(&outcome(true, 5, 0), true).passed, 5);
        assert_eq!(counted(&outcome(false, 5, 2), true).failed, 2);
        assert_eq!(counted(&outcome(false, 5, 0), true).failed, 1);
    }

    #[test]
    fn the_last_line_names_skipped_tests_only_when_there_are_any() {
        let mut tally = Tally {
            passed: 3,
            failed: 1,
            skipped: 0,
        };
        assert_eq!(tally_line(tally), "3 passed, 1 failed");
        tally.skipped = 2;
        assert_eq!(tally_line(tally), "3 passed, 1 failed, 2 skipped");
    }
}
