use super::*;
use crate::secret::Masks;

fn name(text: &str) -> StreamName {
    StreamName::plain(text)
}

fn connection(worker: usize, slot: usize) -> ConnectionId {
    ConnectionId::from_u64((worker * 100 + slot) as u64)
}

fn publisher(worker: usize, slot: usize) -> PublisherId {
    PublisherId::Connection(connection(worker, slot), 1)
}

fn at(ms: u64) -> Time {
    Time::from_micros(ms * 1000)
}

fn rules(policy: SecondPublisher) -> ClaimRules {
    ClaimRules {
        policy,
        publisher_timeout: Duration::from_secs(10),
        max_publishers: 2,
        asked_to_record: false,
    }
}

/// A claim under the reject policy that is granted.
fn claim(directory: &mut Inner, text: &str, worker: usize) -> Box<Grant> {
    let rules = rules(SecondPublisher::Reject);
    match directory.claim(&name(text), publisher(worker, 0), worker, &rules, at(0)) {
        Claim::Granted(grant) => grant,
        _ => panic!("not granted"),
    }
}

#[test]
fn the_first_publisher_gives_a_stream_its_home() {
    let directory = Directory::new(Arc::default());
    let mut d = directory.lock();
    assert_eq!(d.attach(&name("a"), 2).home, None);
    let grant = claim(&mut d, "a", 1);
    assert_eq!((grant.home, grant.workers), (1, vec![2]));
    assert_eq!(grant.replaced, None);
    let attached = d.attach(&name("a"), 0);
    assert_eq!((attached.stream, attached.home), (grant.id, Some(1)));
    assert_eq!(d.home(&name("a")), Some((grant.id, 1)));
    assert_eq!(d.home(&name("b")), None);
    assert_eq!(d.publishers(), 1);
}

#[test]
fn a_second_claim_is_decided_by_the_policy_and_by_silence() {
    let directory = Directory::new(Arc::default());
    let mut d = directory.lock();
    let first = claim(&mut d, "a", 1);
    let mut second = |policy, now| d.claim(&name("a"), publisher(0, 9), 0, &rules(policy), now);
    assert!(matches!(
        second(SecondPublisher::Reject, at(9_999)),
        Claim::Busy
    ));
    assert!(matches!(
        second(SecondPublisher::Wait, at(9_999)),
        Claim::Busy
    ));
    first.pulse.fall_silent(at(5_000));
    assert!(matches!(
        second(SecondPublisher::Reject, at(14_999)),
        Claim::Busy
    ));
    let Claim::Granted(grant) = second(SecondPublisher::Reject, at(15_000)) else {
        panic!("silent");
    };
    // It lives on where it was.
    assert_eq!((grant.id, grant.home), (first.id, 1));
    assert_eq!(grant.replaced, Some(publisher(1, 0)));
    assert_ne!(grant.epoch, first.epoch);
    let Claim::Granted(_) = second(SecondPublisher::Takeover, at(15_001)) else {
        panic!("takeover");
    };
    assert_eq!(d.publishers(), 1);
}

#[test]
fn an_earlier_publishers_end_changes_nothing() {
    let directory = Directory::new(Arc::default());
    let mut d = directory.lock();
    let first = claim(&mut d, "a", 1);
    let takeover = rules(SecondPublisher::Takeover);
    d.claim(&name("a"), publisher(0, 1), 0, &takeover, at(1));
    d.release_to_next(first.id, first.epoch);
    assert_eq!(d.publishers(), 1);
    assert_eq!(d.close(first.id, first.epoch), None);
    let epoch = first.epoch + 1;
    assert_eq!(d.close(first.id, epoch), None, "it has a publisher");
    d.release_to_next(first.id, epoch);
    d.release_to_next(first.id, epoch);
    assert_eq!(d.publishers(), 0);
    assert_eq!(d.close(first.id, epoch), Some(vec![]));
    assert_eq!(d.len(), 0);
}

#[test]
fn as_many_publishers_as_allowed_and_a_replacement_is_none_more() {
    let directory = Directory::new(Arc::default());
    let mut d = directory.lock();
    claim(&mut d, "a", 0);
    let b = claim(&mut d, "b", 0);
    let reject = rules(SecondPublisher::Reject);
    let third = d.claim(&name("c"), publisher(0, 3), 0, &reject, at(0));
    assert!(matches!(third, Claim::Full));
    assert_eq!(d.len(), 2, "the refused name is forgotten");
    let takeover = rules(SecondPublisher::Takeover);
    let again = d.claim(&name("a"), publisher(0, 3), 0, &takeover, at(0));
    assert!(matches!(again, Claim::Granted(_)));
    d.release_to_next(b.id, b.epoch);
    claim(&mut d, "c", 0);
}

#[test]
fn those_who_wait_are_called_in_order_once_the_stream_is_free() {
    let directory = Directory::new(Arc::default());
    let mut d = directory.lock();
    let grant = claim(&mut d, "a", 0);
    let tickets = [1, 2, 3, 4].map(|slot| {
        let who = (connection(1, slot), RequestId(slot as u32));
        d.wait(&name("a"), who)
    });
    d.stop_waiting(&name("a"), tickets[1]);
    assert_eq!(d.next_waiting(grant.id), None, "it has a publisher");
    let next = d.release_to_next(grant.id, grant.epoch);
    assert_eq!(next, Some((connection(1, 1), RequestId(1))));
    // That one never came.
    let next = d.next_waiting(grant.id);
    assert_eq!(next, Some((connection(1, 3), RequestId(3))));
    assert_eq!(d.close(grant.id, grant.epoch), Some(vec![]));
    assert_eq!(d.len(), 1, "somebody waits");
    assert!(d.next_waiting(grant.id).is_some());
    assert_eq!(d.len(), 0);
}

#[test]
fn names_last_as_long_as_anybody_has_to_do_with_them() {
    let directory = Directory::new(Arc::default());
    let mut d = directory.lock();
    let id = d.attach(&name("a"), 0).stream;
    d.attach(&name("a"), 1);
    assert_eq!(d.detach(id, 0), None);
    assert_eq!(d.len(), 1);
    let grant = claim(&mut d, "a", 0);
    assert_eq!(grant.id, id);
    assert_eq!(d.detach(id, 1), Some(0));
    d.release_to_next(id, grant.epoch);
    assert_eq!(d.len(), 1, "within its grace");
    d.close(id, grant.epoch);
    assert_eq!(d.len(), 0);
    assert_ne!(
        d.attach(&name("a"), 0).stream,
        id,
        "ids are never used twice"
    );
}

#[test]
fn a_dead_workers_streams_are_over_and_its_subscribers_gone() {
    let directory = Directory::new(Arc::default());
    let mut d = directory.lock();
    let lost = claim(&mut d, "lost", 0);
    let kept = claim(&mut d, "kept", 1);
    for worker in 0..3 {
        d.attach(&name("lost"), worker);
        d.attach(&name("kept"), worker);
    }
    d.attach(&name("only"), 0);
    d.wait(&name("kept"), (connection(0, 1), RequestId(1)));
    let orphan = Orphan {
        id: lost.id,
        workers: vec![1, 2],
        publisher: Some(publisher(0, 0)),
    };
    assert_eq!(d.worker_died(0, |c| c.as_u64() < 100), [orphan]);
    assert_eq!(d.publishers(), 1);
    assert_eq!(d.home(&name("lost")), None);
    assert_eq!(d.len(), 2);
    assert_eq!(d.release_to_next(lost.id, lost.epoch), None);
    assert_eq!(d.release_to_next(kept.id, kept.epoch), None, "nobody waits");
    assert_eq!(d.close(kept.id, kept.epoch), Some(vec![1, 2]));
}

#[test]
fn a_publisher_says_what_the_name_of_its_stream_is() {
    let came = |secrecy| StreamName::new("live/a", secrecy, &Masks::default(), |_| false);
    let directory = Directory::new(Arc::default());
    let mut d = directory.lock();
    let waiting = d.attach(&came(Secrecy::Suspected), 0);
    assert!(waiting.name.is_secret());
    let takeover = rules(SecondPublisher::Takeover);
    let claim = |d: &mut Inner, secrecy| match d.claim(
        &came(secrecy),
        publisher(0, 1),
        0,
        &takeover,
        at(0),
    ) {
        Claim::Granted(grant) => grant,
        _ => panic!("not granted"),
    };
    let grant = claim(&mut d, Secrecy::Public);
    assert!(!waiting.name.is_secret() && !grant.name.is_secret());
    // Who comes later says nothing new of it, unless it is the host.
    assert!(!d.known(&came(Secrecy::Suspected)).is_secret());
    assert!(!d.attach(&came(Secrecy::Suspected), 0).name.is_secret());
    d.attach(&came(Secrecy::Secret), 0);
    assert!(grant.name.is_secret());
    claim(&mut d, Secrecy::Public);
    assert!(grant.name.is_secret(), "as long as the stream is known");
    assert_eq!(d.name_of(grant.id), Some(came(Secrecy::Public)));
    assert_eq!(d.home_of(grant.id), Some(0));
}
