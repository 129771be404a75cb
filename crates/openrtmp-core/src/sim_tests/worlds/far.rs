//! Another server of a world's network, which streams are passed on to and fetched from.

use std::time::Duration;

use openrtmp_protocol::Time;

use super::super::pair::{FAR, FAR_NAME, name_hosts};
use super::super::world::{Setup, World};
use super::client::Client;
use super::course::Course;
use super::host::{HostPublisher, HostTap};
use super::ledger::Ledger;
use super::lives::{Feeder, Lives};
use super::plan::{FETCHED, FETCHED_PLACE, SOURCE, Source, Terms};
use super::witness::{Broken, broken};
use crate::config::{Config, PullRule, PullStart, PushRule};
#[cfg(feature = "tls")]
use crate::config::{Pem, Roots};

/// What is always fetched, and never there.
const NEVER: &str = "far/none";

/// Milliseconds from one look of the taps to the next.
const LOOK: u32 = 20;

/// Frames of a second of a stream of the calm, which are more, that are enough.
const ENOUGH: u64 = 20;

/// The rules of the near server.
pub(super) fn configure(terms: &Terms, config: &mut Config) {
    if terms.relays == 0 {
        return;
    }
    let is_tls = terms.tls && cfg!(feature = "tls");
    let scheme = if is_tls { "rtmps" } else { "rtmp" };
    if terms.relays & 1 != 0 {
        let to = format!("{scheme}://{FAR_NAME}/copy/{{app}}/{{name}}");
        config.relay.push = vec![PushRule::new("*", to)];
    }
    if terms.relays & 2 != 0 {
        config.relay.pull = [(NEVER, "none/{name}"), (FETCHED, SOURCE)]
            .map(|(name, path)| {
                let mut rule = PullRule::new(name, format!("{scheme}://{FAR_NAME}/{path}"));
                rule.start = PullStart::Always;
                rule
            })
            .to_vec();
    }
    config.relay.retry_min = Duration::from_millis(50);
    config.relay.retry_max = Duration::from_millis(500);
    #[cfg(feature = "tls")]
    if terms.tls {
        let certificate = super::super::tls::usual().certificate.clone();
        config.tls.client.roots = Roots::Pem(Pem::Text(certificate));
    }
}

/// The far server, and what passes between the two.
pub(super) struct Far {
    world: World,
    ledger: Ledger,
    /// What is fetched from it.
    source: HostPublisher,
    /// What was passed on to it.
    copies: HostTap,
    /// What was fetched, at the near server.
    fetched: HostTap,
}

impl Far {
    /// One of the near server's network, if there is to be one.
    pub(super) fn new(terms: &Terms, near: &World, lives: &mut Lives) -> Option<Far> {
        if terms.relays == 0 {
            return None;
        }
        name_hosts(&near.sim);
        let mut setup = Setup::new(1);
        setup.config.listen = vec![FAR.parse().expect("an address")];
        #[cfg(feature = "tls")]
        if terms.tls {
            super::super::tls::with_tls(&mut setup);
        }
        let world = setup.build_on(near.sim.clone());
        let world = world.expect("nothing has gone wrong yet");
        let source = Source {
            stream: FETCHED_PLACE as u32,
            ..Source::default()
        };
        let now = near.now();
        let source = HostPublisher {
            publisher: world.server.publish(SOURCE).expect("nobody else does"),
            feeder: Feeder::new(&source, lives, now),
        };
        // What is missing says nothing where memory is short.
        let lenient = terms.short_of_memory();
        Some(Far {
            copies: HostTap::new(world.server.tap_all(), LOOK, lenient, now),
            fetched: HostTap::new(near.server.tap(FETCHED), LOOK, lenient, now),
            ledger: Ledger::default(),
            source,
            world,
        })
    }

    /// False if there was nothing to do.
    pub(super) fn act(&mut self, lives: &mut Lives) -> Result<bool, Broken> {
        let busy = self.world.serve();
        for event in self.world.take_events() {
            let entered = self.ledger.enter(&event);
            entered.map_err(|e| at_far(&e))?;
        }
        let now = self.world.now();
        self.source.act(lives, now);
        self.copies.act(lives, now).map_err(|e| at_far(&e))?;
        self.fetched.act(lives, now)?;
        Ok(busy)
    }

    pub(super) fn next_step(&self) -> Option<Time> {
        let taps = [self.copies.wake(), self.fetched.wake()];
        let next = taps.into_iter().chain([self.source.feeder.due()]);
        next.chain([self.world.next_step()]).flatten().min()
    }

    pub(super) fn fall_silent(&mut self) {
        self.source.feeder.silent = true;
    }

    /// Whether it has a stream, by its name at the near server.
    fn has(&self, name: &str) -> bool {
        let name = self.world.shared.host_name(&format!("copy/{name}"));
        self.world.shared.directory.lock().is_live(&name)
    }
}

fn at_far(broken: &Broken) -> Broken {
    Broken {
        rule: broken.rule,
        what: format!("far: {}", broken.what),
    }
}

/// What is fetched comes, if late: whoever begins a connection that hangs gives it up.
pub(super) fn fetches(course: &mut Course<'_>) -> Result<(), Broken> {
    if course.terms.relays & 2 == 0 {
        return Ok(());
    }
    let name = course.world.shared.host_name(FETCHED);
    for _ in 0..60 {
        if course.world.shared.directory.lock().is_live(&name) {
            // Enough for a second of it.
            return course.run_for(1000);
        }
        course.run_for(1000)?;
    }
    let relays = course.world.server.relays();
    broken("relays in the calm", format!("no {FETCHED}: {relays:?}"))
}

/// A stream that began in the calm is passed on.
pub(super) fn relayed(course: &Course<'_>, name: &str) -> Result<(), Broken> {
    let Some(far) = &course.far else {
        return Ok(());
    };
    match course.terms.relays & 1 == 0 || far.has(name) {
        true => Ok(()),
        false => {
            let relays = course.world.server.relays();
            broken(
                "relays in the calm",
                format!("{name} is not there: {relays:?}"),
            )
        }
    }
}

/// Nothing more is sent: what a client published has reached the far server, and what is
/// fetched the near one.
pub(super) fn up_to_date(course: &Course<'_>, publisher: u32) -> Result<(), Broken> {
    let Some(far) = &course.far else {
        return Ok(());
    };
    let feeder = course.clients.get(&publisher).and_then(Client::feeder);
    if let Some(feeder) = feeder
        && course.terms.relays & 1 != 0
    {
        let current = far
            .copies
            .assert_current(&course.lives, feeder.life, ENOUGH);
        current.map_err(|e| at_far(&e))?;
    }
    if course.terms.relays & 2 != 0 {
        let life = far.source.feeder.life;
        let current = far.fetched.assert_current(&course.lives, life, ENOUGH);
        current.map_err(|e| Broken {
            what: format!("fetched: {}", e.what),
            ..e
        })?;
    }
    Ok(())
}

/// Stops it, and looks for what is left.
pub(super) fn finish(course: &mut Course<'_>) -> Result<(), Broken> {
    let Some(far) = &mut course.far else {
        return Ok(());
    };
    far.world.server.begin_stop(Duration::ZERO);
    for _ in 0..100 {
        course.run_for(20)?;
        if course
            .far
            .as_ref()
            .is_some_and(|far| far.world.workers_left() == 0)
        {
            break;
        }
    }
    let Some(mut far) = course.far.take() else {
        return Ok(());
    };
    far.world.finish_stop();
    far.act(&mut course.lives)?;
    course.relayed = far.copies.relayed + far.fetched.relayed;
    let Far { world, ledger, .. } = far;
    // Sockets and files of both are of one network and one disk.
    let of_both = ["sockets", "listeners", "files"];
    for (what, count) in world.left() {
        if count != 0 && !of_both.contains(&what) {
            return broken(
                "nothing is left",
                format!("{count} {what} of the far server"),
            );
        }
    }
    ledger.assert_closed().map_err(|e| at_far(&e))
}
