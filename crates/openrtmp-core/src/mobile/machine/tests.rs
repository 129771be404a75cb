//! Single stories, and every order of signals.

use super::*;
use crate::mobile::{ResumeReport, SuspendReport, ThermalState};
use crate::platform::sim::Random;

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn with(background: BackgroundPolicy) -> Machine {
    Machine::new(MobileConfig {
        background,
        ..MobileConfig::default()
    })
}

const BUSY: Load = Load {
    streams: 1,
    players: 2,
    connections: 3,
};

fn orders(outputs: Vec<Output>) -> Vec<Order> {
    let order = |output| match output {
        Output::Order(order) => Some(order),
        Output::Event(_) | Output::Refresh => None,
    };
    outputs.into_iter().filter_map(order).collect()
}

fn events(outputs: &[Output]) -> Vec<String> {
    let event = |output: &Output| match output {
        Output::Event(event) => {
            let value = serde_json::to_value(event).expect("plain values");
            Some(value["event"].as_str().expect("a tag").to_owned())
        }
        Output::Order(_) | Output::Refresh => None,
    };
    outputs.iter().filter_map(event).collect()
}

fn enter_background(machine: &mut Machine, remaining: u64, load: Load) -> Vec<Output> {
    let remaining = Some(seconds(remaining));
    machine.handle(Signal::Background { remaining, load }, at(0))
}

#[test]
fn a_grace_is_borrowed_and_ends_in_a_suspension_before_the_system_does() {
    let mut machine = with(BackgroundPolicy::Grace);
    let awake = Order::KeepAwake {
        cpu: true,
        wifi: true,
    };
    assert_eq!(
        orders(enter_background(&mut machine, 30, BUSY)),
        [awake, Order::Task { begin: true }]
    );
    assert!(machine.collects());
    assert_eq!(machine.deadline(), Some(at(25_000)));
    let told = machine.handle(Signal::RemainingTime(seconds(9)), at(21_000));
    assert_eq!(events(&told), ["remaining_time"]);
    assert_eq!(machine.deadline(), Some(at(25_000)));
    assert_eq!(
        orders(machine.handle_timeout(at(25_000))),
        [Order::SuspendNow]
    );
    assert_eq!(machine.deadline(), None);
    let sleep = Order::KeepAwake {
        cpu: false,
        wifi: false,
    };
    // The borrowed time is what the suspension is done in.
    assert_eq!(orders(machine.handle(Signal::Suspend, at(25_000))), [sleep]);
    let done = machine.handle(Signal::Suspended(SuspendReport::default()), at(25_300));
    assert_eq!(events(&done), ["suspended"]);
    assert_eq!(orders(done), [Order::Task { begin: false }]);
    assert_eq!(machine.complaints(), ["the server is suspended"]);
    machine.handle(Signal::Resume, at(90_000));
    let back = machine.handle(
        Signal::Resumed {
            away: seconds(65),
            report: ResumeReport::default(),
        },
        at(90_100),
    );
    assert_eq!(events(&back), ["resumed"]);
    assert!(machine.complaints().is_empty());
    assert_eq!(machine.grace(), seconds(30));
    machine.handle(Signal::Foreground, at(90_200));
    assert!(!machine.collects());
    machine.handle_timeout(at(120_100));
    assert_eq!(machine.grace(), Duration::ZERO);
}

#[test]
fn nobody_borrows_time_for_nothing() {
    let mut machine = with(BackgroundPolicy::Grace);
    let nobody = enter_background(&mut machine, 30, Load::default());
    assert_eq!(orders(nobody), [Order::SuspendNow]);
    let mut machine = with(BackgroundPolicy::Stop);
    let stops = orders(enter_background(&mut machine, 30, BUSY));
    assert_eq!(stops.last(), Some(&Order::SuspendNow));
    let mut machine = with(BackgroundPolicy::App);
    let nothing = orders(enter_background(&mut machine, 30, Load::default()));
    assert_eq!((nothing, machine.deadline()), (vec![], None));
}

#[test]
fn who_comes_back_is_not_sent_to_sleep_on_the_way() {
    for policy in [BackgroundPolicy::Grace, BackgroundPolicy::Stop] {
        let mut machine = with(policy);
        enter_background(&mut machine, 30, Load::default());
        machine.handle(Signal::Suspend, at(1));
        machine.handle(Signal::Suspended(SuspendReport::default()), at(2));
        let resumed = Signal::Resumed {
            away: seconds(60),
            report: ResumeReport::default(),
        };
        let mut told = orders(machine.handle(Signal::Resume, at(60_000)));
        told.extend(orders(machine.handle(resumed, at(60_100))));
        assert_eq!(told, []);
        // For a moment only, says the system.
        machine.handle(Signal::RemainingTime(seconds(20)), at(60_200));
        assert_eq!(machine.deadline(), Some(at(75_200)));
        let again = orders(enter_background(&mut machine, 30, Load::default()));
        assert_eq!(again, [Order::SuspendNow]);
    }
}

#[test]
fn video_goes_only_while_sound_keeps_the_program_alive() {
    let mut machine = with(BackgroundPolicy::Audio);
    machine.handle(Signal::Audio(true), at(0));
    assert!(!machine.is_audio_only());
    enter_background(&mut machine, 30, BUSY);
    assert!(machine.is_audio_only());
    machine.handle(Signal::Audio(false), at(1));
    assert!(!machine.is_audio_only());
    assert_eq!(machine.deadline(), Some(at(25_000)));
    machine.handle(Signal::Audio(true), at(2));
    machine.handle(Signal::Foreground, at(3));
    assert!(!machine.is_audio_only());
}

#[test]
fn a_service_starts_in_front_and_not_from_the_background() {
    let mut machine = with(BackgroundPolicy::Service);
    let start = orders(machine.handle(Signal::Foreground, at(0)));
    let order = |action, load: Load| Order::Service {
        action,
        streams: load.streams,
        connections: load.connections,
    };
    assert_eq!(start, [order(ServiceOrder::Start, Load::default())]);
    let refused = machine.handle(Signal::Service(ServiceState::Refused), at(1));
    assert_eq!(events(&refused), ["service"]);
    assert_eq!(orders(refused), []);
    let started = orders(enter_background(&mut machine, 30, BUSY));
    assert!(!started.iter().any(|o| matches!(o, Order::Service { .. })));
    // Without the service it is a grace.
    assert!(started.contains(&Order::Task { begin: true }));
    let again = orders(machine.handle(Signal::Foreground, at(2)));
    assert_eq!(
        again,
        [
            order(ServiceOrder::Start, BUSY),
            Order::Task { begin: false }
        ]
    );
    machine.handle(Signal::Service(ServiceState::Started), at(3));
    assert_eq!(orders(enter_background(&mut machine, 30, BUSY)), []);
    let stopped = orders(machine.handle(Signal::Stop, at(4)));
    assert!(stopped.contains(&order(ServiceOrder::Stop, BUSY)));
}

#[test]
fn networks_are_looked_at_once_they_have_settled() {
    let mut machine = with(BackgroundPolicy::Grace);
    let found = |urls: &[&str]| Signal::Found {
        urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        links: Arc::default(),
    };
    assert_eq!(events(&machine.handle(found(&["a"]), at(0))), [""; 0]);
    let wifi = DeviceNetwork::new("wlan0", NetworkKind::Wifi);
    let cellular = DeviceNetwork::new("rmnet0", NetworkKind::Cellular);
    for ms in [100, 150, 250] {
        machine.handle(Signal::Networks(vec![wifi.clone()]), at(ms));
    }
    assert_eq!(machine.deadline(), Some(at(450)));
    let looked = machine.handle_timeout(at(450));
    assert!(matches!(looked.as_slice(), [Output::Refresh]));
    assert_eq!(
        events(&machine.handle(found(&["b"]), at(460))),
        ["urls_changed"]
    );
    assert_eq!(events(&machine.handle(found(&["b"]), at(470))), [""; 0]);
    machine.handle(Signal::Networks(vec![cellular]), at(1000));
    machine.handle_timeout(at(1200));
    assert_eq!(
        events(&machine.handle(found(&[]), at(1200))),
        ["cellular_used", "urls_changed"]
    );
    machine.handle(Signal::Networks(Vec::new()), at(2000));
    machine.handle_timeout(at(2200));
    assert_eq!(
        events(&machine.handle(found(&[]), at(2200))),
        ["network_lost"]
    );
    machine.handle_timeout(at(100_000));
    assert_eq!(machine.grace(), seconds(30), "as long as there is none");
    // A hotspot of its own is among no system's networks.
    assert_eq!(
        events(&machine.handle(found(&["c"]), at(100_000))),
        ["network_back", "urls_changed"]
    );
}

#[test]
fn one_permission_is_asked_for_at_a_time_and_none_twice() {
    let mut machine = with(BackgroundPolicy::Grace);
    let unknown = PermissionState::Unknown;
    let ask = |permission| Order::AskPermission { permission };
    let (local, notices) = (Permission::LocalNetwork, Permission::Notifications);
    let first = machine.handle(Signal::Permission(local, unknown), at(0));
    assert_eq!(orders(first), [ask(local)]);
    let second = machine.handle(Signal::Permission(notices, unknown), at(1));
    assert_eq!(orders(second), []);
    let denied = machine.handle(Signal::Permission(local, PermissionState::Denied), at(2));
    assert_eq!(orders(denied), [ask(notices)]);
    assert_eq!(machine.complaints().len(), 1);
    let again = machine.handle(Signal::Permission(local, unknown), at(3));
    assert_eq!(orders(again), []);
    machine.handle(Signal::Permission(local, PermissionState::Granted), at(4));
    assert!(machine.complaints().is_empty());
}

/// What has to be so after any signals in any order.
#[derive(Default)]
struct Watch {
    awake: bool,
    task: bool,
    advertised: bool,
    service: bool,
    asked: Option<Permission>,
    is_down: bool,
    suspends_told: usize,
    urls: Option<Vec<String>>,
    stopped: bool,
}

impl Watch {
    fn see(&mut self, signal: &Signal, outputs: &[Output], suspended: bool, in_back: bool) {
        if self.stopped {
            assert!(outputs.is_empty(), "after the stop: {outputs:?}");
        }
        match signal {
            Signal::Permission(permission, state) if *state != PermissionState::Unknown => {
                self.asked.take_if(|asked| *asked == *permission);
            }
            Signal::Foreground | Signal::Resume => self.suspends_told = 0,
            Signal::Service(state) if *state != ServiceState::Started => self.service = false,
            _ => {}
        }
        for output in outputs {
            match output {
                Output::Order(order) => self.obey(order, suspended, in_back),
                Output::Event(Event::Suspended { .. }) => {
                    assert!(!self.is_down, "suspended twice");
                    self.is_down = true;
                }
                Output::Event(Event::Resumed { .. }) => self.is_down = false,
                Output::Event(Event::UrlsChanged { urls }) => {
                    assert!(!suspended && self.urls.as_ref() != Some(urls));
                    self.urls = Some(urls.clone());
                }
                Output::Event(_) => {}
                Output::Refresh => assert!(!suspended, "nothing is looked at in the dark"),
            }
        }
        if matches!(signal, Signal::Stop) {
            self.stopped = true;
            let left = (self.awake, self.task, self.advertised, self.service);
            assert_eq!(left, (false, false, false, false), "what a stop leaves");
        }
    }

    fn obey(&mut self, order: &Order, suspended: bool, in_back: bool) {
        let turns = |state: &mut bool, on: bool| {
            assert_ne!(std::mem::replace(state, on), on, "{order:?} twice");
            assert!(!(on && suspended), "{order:?} while suspended");
        };
        match order {
            Order::KeepAwake { cpu, .. } => turns(&mut self.awake, *cpu),
            Order::Task { begin } => turns(&mut self.task, *begin),
            Order::Advertise { port, .. } => {
                let on = port.is_some();
                assert!(!(on && suspended));
                assert!(on || self.advertised, "off twice");
                self.advertised = on;
            }
            Order::Service { action, .. } => match action {
                ServiceOrder::Start => {
                    assert!(!in_back, "started from the background");
                    assert!(!std::mem::replace(&mut self.service, true));
                }
                ServiceOrder::Update => assert!(self.service),
                ServiceOrder::Stop => assert!(std::mem::take(&mut self.service)),
            },
            Order::AskPermission { permission } => {
                assert_eq!(self.asked.replace(*permission), None, "two at a time");
            }
            Order::SuspendNow => {
                assert!(!suspended, "told to suspend while suspended");
                self.suspends_told += 1;
            }
        }
    }
}

/// A number below `most`.
fn below(random: &mut Random, most: usize) -> u64 {
    random.up_to(most) as u64 - 1
}

fn any_signal(random: &mut Random) -> Signal {
    let mut pick = |most| below(random, most);
    let load = Load {
        streams: pick(3) as usize,
        players: pick(3) as usize,
        connections: pick(3) as usize,
    };
    let states = [
        PermissionState::Unknown,
        PermissionState::Granted,
        PermissionState::Denied,
    ];
    match pick(24) {
        0 => {
            let policies = [
                BackgroundPolicy::Stop,
                BackgroundPolicy::Grace,
                BackgroundPolicy::Audio,
                BackgroundPolicy::Service,
                BackgroundPolicy::App,
            ];
            let config = MobileConfig {
                background: policies[pick(5) as usize],
                advertise: pick(2) == 0,
                network_grace: seconds(pick(60)),
                ..MobileConfig::default()
            };
            Signal::Configure(config)
        }
        1 => Signal::Listening((pick(3) > 0).then_some((1935 + pick(2) as u16, pick(2) == 0))),
        2 | 3 => Signal::Background {
            remaining: (pick(3) > 0).then(|| seconds(pick(40))),
            load,
        },
        4 => Signal::RemainingTime(seconds(pick(30))),
        5 | 6 => Signal::Suspend,
        7 | 8 => Signal::Suspended(SuspendReport::default()),
        9 | 10 => Signal::Resume,
        11 | 12 => Signal::Resumed {
            away: seconds(pick(1000)),
            report: ResumeReport::default(),
        },
        13 => Signal::Foreground,
        14 => {
            let kinds = [NetworkKind::Wifi, NetworkKind::Cellular];
            let count = pick(3);
            let networks = (0..count).map(|n| {
                let mut network = DeviceNetwork::new(format!("if{n}"), kinds[pick(2) as usize]);
                network.is_default = pick(2) == 0;
                network
            });
            Signal::Networks(networks.collect())
        }
        15 => {
            let permissions = [Permission::LocalNetwork, Permission::Notifications];
            Signal::Permission(permissions[pick(2) as usize], states[pick(3) as usize])
        }
        16 => Signal::Power(Power {
            low_power: pick(2) == 0,
            device_idle: pick(2) == 0,
            thermal: [ThermalState::Nominal, ThermalState::Critical][pick(2) as usize],
        }),
        17 => {
            let levels = [
                MemoryLevel::Normal,
                MemoryLevel::Moderate,
                MemoryLevel::Critical,
            ];
            Signal::Memory(levels[pick(3) as usize])
        }
        18 => Signal::Audio(pick(2) == 0),
        19 => {
            let states = [
                ServiceState::Started,
                ServiceState::Refused,
                ServiceState::TimedOut,
                ServiceState::Stopped,
            ];
            Signal::Service(states[pick(4) as usize])
        }
        20 => Signal::Collect(pick(2) == 0),
        21 => Signal::Load(load),
        22 => Signal::Found {
            urls: (0..pick(3)).map(|n| format!("rtmp://{n}/")).collect(),
            links: Arc::default(),
        },
        _ if pick(20) == 0 => Signal::Stop,
        _ => Signal::Load(Load::default()),
    }
}

#[test]
fn every_order_of_signals_leaves_orders_in_pairs() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut machine = Machine::new(MobileConfig::default());
        let (mut watch, mut now) = (Watch::default(), 1000);
        let mut ended = false;
        for _ in 0..300 {
            now += below(&mut random, 4000);
            if let Some(due) = machine.deadline().filter(|due| *due <= at(now)) {
                let outputs = machine.handle_timeout(due);
                let in_back = machine.background.is_some();
                let timeout = Signal::Collect(machine.collect);
                watch.see(&timeout, &outputs, machine.is_suspended(), in_back);
                let next = machine.deadline();
                assert!(next.is_none_or(|next| next > due), "it does not spin");
            }
            let signal = match ended {
                true => Signal::Stop,
                false => any_signal(&mut random),
            };
            let outputs = machine.handle(signal.clone(), at(now));
            let in_back = machine.background.is_some();
            watch.see(&signal, &outputs, machine.is_suspended(), in_back);
            assert!(watch.suspends_told <= 1, "told once until it is back");
            ended |= watch.stopped;
        }
        if !ended {
            let outputs = machine.handle(Signal::Stop, at(now));
            watch.see(&Signal::Stop, &outputs, false, false);
        }
        assert_eq!(machine.deadline(), None);
    }
}
