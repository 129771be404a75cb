//! Models of how threads meet: loom runs each through every interleaving, and
//! through every value that the memory ordering allows a load to see.
//!
//! ```sh
//! cargo xtask sanitize --only loom
//! ```
//!
//! The code modelled is production's; only its locks, atomics and threads are
//! the model checker's ([`crate::sync`]). A wake-up that is lost shows as a
//! deadlock.

use std::io;
use std::sync::{Arc, Mutex as PlainMutex};
use std::task::Waker;
use std::time::Duration;

use openrtmp_protocol::Time;

use crate::budget::{Budget, Charge};
use crate::config::{Config, PushRule};
use crate::dispatch::{AwaitedThread, Dispatcher};
use crate::events::Event;
use crate::id::{RelayId, StreamId};
use crate::inbox::{Command, Inbox, InboxReceiver};
use crate::platform::Wake;
use crate::relay::{RelayHub, RelayRule, Settings};
use crate::secret::StreamName;
use crate::stream::class::Class;
use crate::stream::make_packet;
use crate::stream::tap_queue::{Bound, Selection, TapNews, TapQueue, TapSink, TapStart, TapStream};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, thread};

/// As long as it takes: time does not pass in a model.
const PATIENCE: Duration = Duration::MAX;

/// What a poller promises of its waker: the current or the next wait returns.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
    times: AtomicUsize,
}

struct Ringer(Arc<Bell>);

impl Wake for Ringer {
    fn wake(&self) -> io::Result<()> {
        self.0.times.fetch_add(1, Ordering::Relaxed);
        *self.0.rung.lock().expect("never poisoned") = true;
        self.0.ringing.notify_one();
        Ok(())
    }
}

impl Bell {
    fn poll(&self) {
        let rung = self.rung.lock().expect("never poisoned");
        let mut rung = self
            .ringing
            .wait_while(rung, |rung| !*rung)
            .expect("never poisoned");
        *rung = false;
    }
}

fn inbox() -> (Arc<Inbox>, InboxReceiver, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let (inbox, outlet) = Inbox::new(Box::new(Ringer(bell.clone())));
    (Arc::new(inbox), outlet, bell)
}

#[test]
fn a_worker_gets_every_command_however_it_and_its_senders_interleave() {
    loom::model(|| {
        let (inbox, outlet, bell) = inbox();
        let senders = [(); 2].map(|()| {
            let inbox = inbox.clone();
            thread::spawn(move || inbox.send(Command::Adopt))
        });
        let (mut received, mut turns) = (0, 0);
        while received < 2 {
            bell.poll();
            turns += 1;
            outlet.begin();
            while outlet.next().is_some() {
                received += 1;
            }
        }
        for sender in senders {
            sender.join().expect("sends and ends");
        }
        let wake_ups = bell.times.load(Ordering::Relaxed);
        assert!(wake_ups <= turns + 1, "{wake_ups} in {turns} turns");
    });
}

#[test]
fn a_worker_that_leaves_commands_for_its_next_turn_gets_them() {
    loom::model(|| {
        let (inbox, outlet, bell) = inbox();
        let theirs = inbox.clone();
        let sender = thread::spawn(move || {
            theirs.send(Command::Adopt);
            theirs.send(Command::Adopt);
        });
        let mut received = 0;
        // Its own message to itself, which tells that there may be more, counts too.
        while received < 3 {
            bell.poll();
            outlet.begin();
            if outlet.next().is_some() {
                received += 1;
                if received == 1 {
                    inbox.send(Command::Adopt);
                    continue;
                }
                while outlet.next().is_some() {
                    received += 1;
                }
            }
        }
        sender.join().expect("sends and ends");
    });
}

#[test]
fn sending_to_a_worker_that_ends_is_no_error() {
    loom::model(|| {
        let (inbox, outlet, _bell) = inbox();
        let worker = thread::spawn(move || drop(outlet));
        inbox.send(Command::Adopt);
        worker.join().expect("ends");
    });
}

#[test]
fn every_item_is_delivered_or_told_as_lost() {
    loom::model(|| {
        let told = Arc::new(PlainMutex::new((0, 0)));
        let sink = told.clone();
        let (dispatcher, inlet) = Dispatcher::new(
            Box::new(move |item: u64| {
                let mut told = sink.lock().expect("held for this line only");
                if item == 0 {
                    told.0 += 1;
                } else {
                    told.1 += item;
                }
            }),
            Some(|lost| lost),
        );
        let theirs = dispatcher.clone();
        let sender = thread::spawn(move || theirs.send(0));
        let callbacks = inlet.spawn("callbacks").expect("a thread of the model");
        dispatcher.send(0);
        sender.join().expect("sends and ends");
        dispatcher.close();
        assert!(callbacks.wait(PATIENCE).is_ok());
        let (delivered, lost) = *told.lock().expect("held for this line only");
        assert_eq!(delivered + lost, 2);
    });
}

#[test]
fn an_item_reaches_its_callback_without_another_to_push_it() {
    loom::model(|| {
        let bell = Arc::new(Bell::default());
        let ringer = Ringer(bell.clone());
        let (dispatcher, inlet) = Dispatcher::new(
            Box::new(move |()| ringer.wake().expect("a bell of the model rings")),
            None,
        );
        let callbacks = inlet.spawn("callbacks").expect("a thread of the model");
        dispatcher.send(());
        bell.poll();
        dispatcher.send(());
        bell.poll();
        dispatcher.close();
        assert!(callbacks.wait(PATIENCE).is_ok());
    });
}

#[test]
fn what_a_callback_holds_is_released_when_its_thread_has_been_waited_for() {
    loom::model(|| {
        let held = Arc::new(());
        let witness = Arc::downgrade(&held);
        let (dispatcher, inlet) = Dispatcher::new(
            Box::new(move |()| {
                let _held = &held;
            }),
            None,
        );
        let callbacks = inlet.spawn("callbacks").expect("a thread of the model");
        dispatcher.send(());
        dispatcher.close();
        assert!(callbacks.wait(PATIENCE).is_ok());
        assert!(witness.upgrade().is_none());
    });
}

#[test]
fn only_the_callback_thread_is_the_current_one() {
    loom::model(|| {
        let myself = Arc::new(PlainMutex::new(None::<Dispatcher<()>>));
        let theirs = myself.clone();
        let (dispatcher, inlet) = Dispatcher::new(
            Box::new(move |()| {
                let dispatcher = theirs.lock().expect("held for this line only").take();
                let dispatcher = dispatcher.expect("put there before the first item");
                assert!(dispatcher.is_current_thread());
            }),
            None,
        );
        *myself.lock().expect("held for this line only") = Some(dispatcher.clone());
        let callbacks = inlet.spawn("callbacks").expect("a thread of the model");
        dispatcher.send(());
        assert!(!dispatcher.is_current_thread());
        dispatcher.close();
        assert!(callbacks.wait(PATIENCE).is_ok());
        assert!(myself.lock().expect("held for this line only").is_none());
    });
}

#[test]
fn whoever_waits_for_a_thread_sees_what_it_did() {
    loom::model(|| {
        let done = Arc::new(AtomicUsize::new(0));
        let theirs = done.clone();
        let patient = AwaitedThread::spawn("work", move || theirs.store(1, Ordering::Relaxed))
            .expect("a thread of the model");
        assert!(patient.wait(PATIENCE).is_ok());
        assert_eq!(done.load(Ordering::Relaxed), 1);
    });
}

/// Every interleaving in which no thread is taken off more than four times against its
/// will: a tap has too many locks for all of them.
fn bounded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

fn tap() -> Arc<TapQueue> {
    let bytes = 1 << 20;
    let budget = Budget::new(usize::MAX);
    TapQueue::new(Selection::ALL, Bound { bytes, delay: None }, &budget)
}

fn attach(tap: &Arc<TapQueue>, id: u64) -> TapSink {
    let start = TapStart {
        stream: TapStream {
            id: StreamId::from_u64(id),
            name: StreamName::plain("live/stream"),
        },
        tracks: &[],
        snapshot: &[],
        clock: 0,
    };
    TapSink::attach(tap.clone(), start, Time::ZERO)
}

#[test]
fn closing_a_tap_wakes_whoever_waits_in_it() {
    loom::model(|| {
        let tap = tap();
        let theirs = tap.clone();
        let closer = thread::spawn(move || theirs.close());
        while !tap.is_closed() {
            tap.wait(Some(PATIENCE));
        }
        closer.join().expect("closes and ends");
    });
}

#[test]
fn a_tap_gets_start_frames_and_end_in_order() {
    bounded(|| {
        let tap = tap();
        let theirs = tap.clone();
        let worker = thread::spawn(move || {
            let mut sink = attach(&theirs, 1);
            let packet = make_packet(Class::Audio, 0, 0, 4);
            assert!(sink.push(&packet, Time::ZERO));
        });
        let mut told = Vec::new();
        while told.last() != Some(&"ended") {
            match tap.take().map(|item| item.news) {
                Some(TapNews::Started) => told.push("started"),
                Some(TapNews::Packet { .. }) => told.push("packet"),
                Some(TapNews::Ended) => told.push("ended"),
                Some(_) => told.push("something else"),
                None => tap.wait(None),
            }
        }
        assert_eq!(told, ["started", "packet", "ended"]);
        worker.join().expect("ends");
    });
}

#[test]
fn a_tap_hears_of_every_stream_however_their_workers_interleave() {
    bounded(|| {
        let tap = tap();
        let workers = [1, 2].map(|id| {
            let tap = tap.clone();
            // Ended by whoever joins the thread: the model is small without.
            thread::spawn(move || attach(&tap, id))
        });
        let mut started = 0;
        while started < 2 {
            match tap.take().map(|item| item.news) {
                Some(TapNews::Started) => started += 1,
                Some(_) => unreachable!("nothing else happens"),
                None => tap.wait(None),
            }
        }
        for worker in workers {
            drop(worker.join().expect("ends"));
        }
    });
}

/// A task of a host's executor, whose lock is held where a waker is registered and taken
/// where it is called.
struct HostsTask {
    executor: Mutex<()>,
    ringer: Ringer,
}

impl std::task::Wake for HostsTask {
    fn wake(self: Arc<Self>) {
        let _held = self.executor.lock().expect("never poisoned");
        self.ringer.wake().expect("a bell of the model rings");
    }
}

#[test]
fn a_task_that_waits_for_a_tap_is_woken() {
    loom::model(|| {
        let tap = tap();
        let theirs = tap.clone();
        let worker = thread::spawn(move || attach(&theirs, 1));
        let task = Arc::new(HostsTask {
            executor: Mutex::new(()),
            ringer: Ringer(Arc::default()),
        });
        let waker = Waker::from(task.clone());
        while tap.take().is_none() {
            let held = task.executor.lock().expect("never poisoned");
            let is_raised = tap.register(&waker);
            drop(held);
            if !is_raised {
                task.ringer.0.poll();
            }
        }
        drop(worker.join().expect("ends"));
    });
}

#[test]
fn charges_of_several_threads_add_up_and_come_back() {
    loom::model(|| {
        let budget = Budget::new(100);
        let held = Charge::new(&budget, 5);
        let threads = [10, 20].map(|bytes| {
            let budget = budget.clone();
            thread::spawn(move || {
                let mut charge = Charge::new(&budget, bytes);
                charge.set(bytes / 2);
                charge.set(bytes);
            })
        });
        let used = budget.used();
        assert!((5..=35).contains(&used), "{used}");
        for thread in threads {
            thread.join().expect("ends");
        }
        assert_eq!(budget.used(), 5);
        drop(held);
        assert_eq!(budget.used(), 0);
    });
}

/// A stream is entered in the directory, and told of then; meanwhile the first rule is
/// added, with what the directory holds.
#[test]
fn a_rule_and_a_stream_that_come_at_once_find_one_another() {
    loom::model(|| {
        let settings = Settings::of(&Config::desktop());
        let relays = Arc::new(RelayHub::new(1, 1, settings));
        let directory = Arc::new(Mutex::new(Vec::new()));
        let name = StreamName::plain("live/cam");
        let publisher = {
            let (relays, directory, name) = (relays.clone(), directory.clone(), name.clone());
            thread::spawn(move || {
                let entry = (name.clone(), None);
                directory.lock().expect("never poisoned").push(entry);
                let event = Event::StreamPublished {
                    stream: StreamId::from_u64(1),
                    name,
                    takeover: false,
                    connection: None,
                };
                relays.hears(&event, || Time::ZERO)
            })
        };
        let rule = RelayRule::Push(PushRule::new("live/*", "rtmp://far/live/{name}"));
        let rule = rule.check().expect("a rule");
        let woken = relays.update(|relays| {
            let live = directory.lock().expect("never poisoned").clone();
            relays.add(Time::ZERO, RelayId::from_u64(1), rule, false, live);
        });
        let heard = publisher.join().expect("no panic");
        assert!(woken || heard, "worker 0 has something to do");
        let links = relays.lock().list(Time::ZERO).remove(0).links;
        assert_eq!((links.len(), &links[0].stream), (1, &name));
    });
}
