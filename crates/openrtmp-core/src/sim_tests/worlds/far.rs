//! Another server of a world's network, which streams are passed on to and fetched from.

use std::time::Duration;

use openrtmp_protocol::Time;

use super::super::pair::FAR;
use super::super::world::{Setup, World};
use super::course::Course;
use super::plan::Terms;
use super::witness::{Broken, broken};
use crate::config::{Config, PullRule, PullStart, PushRule};
#[cfg(feature = "tls")]
use crate::config::{Pem, Roots};
use crate::events::Event;

/// What is always fetched, and never there.
const NEVER: &str = "far/none";

/// The rules of the near server.
pub(super) fn configure(terms: &Terms, config: &mut Config) {
    if terms.relays == 0 {
        return;
    }
    let is_tls = terms.tls && cfg!(feature = "tls");
    let scheme = if is_tls { "rtmps" } else { "rtmp" };
    if terms.relays & 1 != 0 {
        let to = format!("{scheme}://{FAR}/copy/{{app}}/{{name}}");
        config.relay.push = vec![PushRule::new("*", to)];
    }
    if terms.relays & 2 != 0 {
        let mut rule = PullRule::new(NEVER, format!("{scheme}://{FAR}/none/{{name}}"));
        rule.start = PullStart::Always;
        config.relay.pull = vec![rule];
    }
    config.relay.retry_min = Duration::from_millis(50);
    config.relay.retry_max = Duration::from_millis(500);
    #[cfg(feature = "tls")]
    if terms.tls {
        let certificate = super::super::tls::usual().certificate.clone();
        config.tls.client.roots = Roots::Pem(Pem::Text(certificate));
    }
}

/// The far server.
pub(super) struct Far(World);

impl Far {
    /// One of the near server's network, if there is to be one.
    pub(super) fn new(terms: &Terms, near: &World) -> Option<Far> {
        if terms.relays == 0 {
            return None;
        }
        let mut setup = Setup::new(1);
        setup.config.listen = vec![FAR.parse().expect("an address")];
        #[cfg(feature = "tls")]
        if terms.tls {
            super::super::tls::with_tls(&mut setup);
        }
        let world = setup.build_on(near.sim.clone());
        Some(Far(world.expect("nothing has gone wrong yet")))
    }

    /// False if there was nothing to do.
    pub(super) fn act(&mut self) -> bool {
        let busy = self.0.serve();
        self.0.take_events();
        busy
    }

    pub(super) fn next_step(&self) -> Option<Time> {
        self.0.next_step()
    }

    /// Whether it has a stream, by its name at the near server.
    fn has(&self, name: &str) -> bool {
        let name = self.0.shared.host_name(&format!("copy/{name}"));
        self.0.shared.directory.lock().is_live(&name)
    }
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

/// Stops it, and looks for what is left.
pub(super) fn finish(course: &mut Course<'_>) -> Result<(), Broken> {
    let Some(far) = &mut course.far else {
        return Ok(());
    };
    far.0.server.begin_stop(Duration::ZERO);
    for _ in 0..100 {
        course.run_for(20)?;
        if course
            .far
            .as_ref()
            .is_some_and(|far| far.0.workers_left() == 0)
        {
            break;
        }
    }
    let Some(Far(mut far)) = course.far.take() else {
        return Ok(());
    };
    far.finish_stop();
    far.serve();
    // Sockets and files of both are of one network and one disk.
    let of_both = ["sockets", "listeners", "files"];
    for (what, count) in far.left() {
        if count != 0 && !of_both.contains(&what) {
            return broken(
                "nothing is left",
                format!("{count} {what} of the far server"),
            );
        }
    }
    let opened = |e: &Event| matches!(e, Event::ConnectionOpened { .. });
    let closed = |e: &Event| matches!(e, Event::ConnectionClosed { .. });
    let (opened, closed) = (far.count(opened), far.count(closed));
    match opened <= closed {
        true => Ok(()),
        false => broken(
            "events balance",
            format!("{opened} opened, {closed} closed, far"),
        ),
    }
}
