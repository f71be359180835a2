//! One rule at a time.

use base::{Timestamp, WallTime};
use room::log::{Draft, JoinError, LogRules, Sent};
use room::replica::{
    ClosedBy, Command, Entry, EntryId, NodeId, Opened, Origin, Outcome, Replica, Reunion, Snapshot,
    SnapshotError, Step, Stored,
};
use wire::room::{Class, Epoch, Fence, MemberId, Payload, Presence};

const EPOCH: Epoch = Epoch(7);

fn node(number: u64) -> Origin {
    Origin { node: NodeId(number), opening: 1 }
}

fn nothing() -> Opened {
    Opened { snapshot: Snapshot::of_nothing(EPOCH, LogRules::default()).to_bytes(), entries: Vec::new() }
}

fn replica(number: u64) -> Replica {
    Replica::open(node(number), &nothing()).unwrap()
}

fn id(name: &str) -> MemberId {
    name.parse().unwrap()
}

fn join(name: &str, fence: u64) -> Command {
    let sender = Some(format!("{name}.page").parse().unwrap());
    Command::Join { member: id(name), fence: Fence(fence), resume: None, after: None, sender }
}

fn send(name: &str, fence: u64, counter: u64) -> Command {
    let draft = Draft { to: None, class: Class::Normal, payload: Payload::Binary([counter as u8].into()) };
    Command::Send { member: id(name), fence: Fence(fence), counter: Some(counter), draft }
}

/// An entry as a store has it.
fn stored(version: u64, origin: Origin, counter: u64, command: Command) -> Stored {
    let entry = Entry { id: EntryId { origin, counter }, command };
    Stored { epoch: EPOCH, version, at: WallTime(1000 + version), entry }
}

fn apply(replica: &mut Replica, stored: &Stored) -> room::replica::Applied {
    match replica.apply(stored) {
        Step::Applied(applied) => applied,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_entry_that_is_in_the_log_twice_counts_once() {
    let mut replica = replica(1);
    replica.propose(join("ann", 5));
    replica.propose(send("ann", 5, 1));
    apply(&mut replica, &stored(1, node(1), 1, join("ann", 5)));
    assert!(matches!(
        apply(&mut replica, &stored(2, node(1), 2, send("ann", 5, 1))).outcome,
        Outcome::Sent(Ok(Sent::New(_)))
    ));
    assert!(replica.pending().is_empty());
    assert_eq!(apply(&mut replica, &stored(3, node(1), 1, join("ann", 5))).outcome, Outcome::Repeat);
    assert_eq!(apply(&mut replica, &stored(4, node(1), 2, send("ann", 5, 1))).outcome, Outcome::Repeat);
    assert_eq!(replica.log().tip(), 1);
}

#[test]
fn what_is_missing_is_asked_for_and_what_is_known_passed_over() {
    let mut replica = replica(1);
    let first = stored(1, node(2), 1, join("ann", 5));
    let second = stored(2, node(2), 2, send("ann", 5, 1));
    assert_eq!(replica.apply(&second), Step::Missing);
    assert_eq!((replica.applied().version, replica.known().version), (0, 2));
    apply(&mut replica, &first);
    apply(&mut replica, &second);
    assert_eq!(replica.apply(&first), Step::Seen);
    assert_eq!(replica.apply(&Stored { epoch: Epoch(8), ..first }), Step::OtherEpoch);
}

#[test]
fn another_entry_under_the_same_version_is_a_doubt() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(2), 1, join("ann", 5)));
    assert_eq!(replica.apply(&stored(1, node(3), 1, join("ann", 5))), Step::Doubt);
}

#[test]
fn a_connection_counts_only_from_its_own_node() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(1), 1, join("ann", 5)));
    // Another node has the same number, and was refused.
    let refused = apply(&mut replica, &stored(2, node(2), 1, join("ann", 5)));
    assert_eq!(refused.outcome, Outcome::Refused { error: JoinError::Replaced, is_own: true });
    let drop = Command::Drop { member: id("ann"), fence: Fence(5), node: NodeId(2) };
    assert_eq!(apply(&mut replica, &stored(3, node(2), 2, drop)).outcome, Outcome::Dropped(false));
    let leave = Command::Leave { member: id("ann"), fence: Some(Fence(5)) };
    assert_eq!(apply(&mut replica, &stored(4, node(2), 3, leave)).outcome, Outcome::Left(false));
    assert!(apply(&mut replica, &stored(5, node(2), 4, send("ann", 5, 1))).message().is_none());
    assert!(replica.is_here(&id("ann"), Fence(5)));
}

#[test]
fn who_takes_over_on_another_node_has_the_older_connection_closed_there() {
    let (mut old, mut new) = (replica(1), replica(2));
    let first = stored(1, node(1), 1, join("ann", 5));
    let second = stored(2, node(2), 1, join("ann", 6));
    apply(&mut old, &first);
    apply(&mut new, &first);
    let closed = apply(&mut old, &second).closed.unwrap();
    assert_eq!((closed.fence, closed.by), (Fence(5), ClosedBy::Replaced { is_own: true }));
    assert_eq!(apply(&mut new, &second).closed, None);
    assert_eq!(old.snapshot().to_bytes(), new.snapshot().to_bytes());
}

#[test]
fn a_clock_that_is_behind_makes_nobody_a_duplicate() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(2), 1, join("ann", 9_000_000)));
    assert!(replica.fence(Timestamp::from_millis(5), None) > Fence(9_000_000));
    let known = replica.fence(Timestamp::from_millis(5), Some(Fence(12_000_000)));
    assert!(known > Fence(12_000_000));
    // Nobody can use up all fences.
    assert_eq!(replica.fence(Timestamp::from_millis(5), Some(Fence(u64::MAX))), Fence(known.0 + 1));
    let opened = Opened { snapshot: replica.snapshot().to_bytes(), entries: Vec::new() };
    let mut other = Replica::open(node(3), &opened).unwrap();
    assert!(other.fence(Timestamp::from_millis(5), None) > Fence(9_000_000));
}

#[test]
fn members_of_a_node_that_is_gone_are_dropped_once() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(2), 1, join("ann", 5)));
    let drops = replica.drops(|node, _, _| node != NodeId(2));
    let drop = Command::Drop { member: id("ann"), fence: Fence(5), node: NodeId(2) };
    assert_eq!(drops, std::slice::from_ref(&drop));
    replica.propose(drop.clone());
    assert!(replica.drops(|node, _, _| node != NodeId(2)).is_empty());
    let applied = apply(&mut replica, &stored(2, node(1), 1, drop.clone()));
    assert_eq!(applied.presence, [(id("ann"), Presence::Dropped)]);
    assert_eq!(apply(&mut replica, &stored(3, node(3), 1, drop)).outcome, Outcome::Dropped(false));
}

#[test]
fn nothing_follows_the_last_leave() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(1), 1, join("ann", 5)));
    apply(&mut replica, &stored(2, node(1), 2, Command::Leave { member: id("ann"), fence: None }));
    assert!(replica.is_over());
    assert_eq!(apply(&mut replica, &stored(3, node(2), 1, join("bob", 6))).outcome, Outcome::Over);
    assert!(replica.log().members().next().is_none());
}

#[test]
fn what_is_heard_is_known_on_one_node_only() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(1), 1, join("ann", 5)));
    let before = replica.snapshot();
    replica.heard(&id("ann"), Fence(5), Timestamp::from_millis(9000));
    assert_eq!(replica.last_seen(&id("ann")), Some(Timestamp::from_millis(9000)));
    assert_eq!(replica.snapshot(), before);
}

#[test]
fn a_room_that_was_quiet_while_the_store_was_away_goes_on() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(1), 1, join("ann", 5)));
    let now = Timestamp::from_millis(2000);
    replica.part(Epoch(8), LogRules::default(), (now, WallTime(2000)));
    replica.join_apart(&id("bob"), Fence(6), None, None, now).unwrap().unwrap();
    assert_eq!(replica.reunite(), Reunion::GoOn(vec![(id("bob"), Fence(6))]));
    replica.part(Epoch(9), LogRules::default(), (now, WallTime(2000)));
    let draft = Draft { to: None, class: Class::Normal, payload: Payload::Json("1".into()) };
    let time = (now, WallTime(2000));
    let send = |replica: &mut Replica| {
        replica.send_apart((&id("ann"), Fence(5), Some(1)), draft.clone(), time).unwrap().unwrap()
    };
    assert!(send(&mut replica).is_some());
    assert_eq!(send(&mut replica), None, "a repeat is not handed out again");
    assert_eq!(replica.reunite(), Reunion::Doubt);
}

#[test]
fn what_was_sent_before_is_not_handed_out_apart() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(1), 1, join("ann", 5)));
    apply(&mut replica, &stored(2, node(1), 2, send("ann", 5, 1)));
    apply(&mut replica, &stored(3, node(1), 3, join("ann", 6)));
    let now = Timestamp::from_millis(2000);
    replica.part(Epoch(8), LogRules::default(), (now, WallTime(2000)));
    let draft = Draft { to: None, class: Class::Normal, payload: Payload::Binary([1].into()) };
    let handed = replica.send_apart((&id("ann"), Fence(6), Some(1)), draft, (now, WallTime(2000)));
    assert_eq!(handed, Some(Ok(None)));
}

#[test]
fn what_is_under_way_is_handed_out_apart_once() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(1), 1, join("ann", 5)));
    apply(&mut replica, &stored(2, node(1), 2, join("bob", 6)));
    replica.propose(join("ann", 5));
    replica.propose(join("bob", 6));
    let sent = replica.propose(send("ann", 5, 1));
    let now = (Timestamp::from_millis(2000), WallTime(2000));
    let handed = replica.part(Epoch(8), LogRules::default(), now);
    let to: Vec<_> = handed.iter().map(|(id, handed)| (*id, handed.to.clone())).collect();
    assert_eq!(to, [(sent, vec![(id("bob"), Fence(6))])]);
    let draft = Draft { to: None, class: Class::Normal, payload: Payload::Binary([1].into()) };
    let again = replica.send_apart((&id("ann"), Fence(5), Some(1)), draft, now);
    assert_eq!(again, Some(Ok(None)));
    assert_eq!(replica.reunite(), Reunion::Doubt);
}

#[test]
fn a_snapshot_is_read_back_or_refused() {
    let mut replica = replica(1);
    apply(&mut replica, &stored(1, node(1), 1, join("ann", 5)));
    apply(&mut replica, &stored(2, node(1), 2, send("ann", 5, 1)));
    let bytes = replica.snapshot().to_bytes();
    let other = Replica::open(node(2), &Opened { snapshot: bytes.clone(), entries: Vec::new() }).unwrap();
    assert_eq!(other.snapshot().to_bytes(), bytes);
    for end in 0..bytes.len() {
        assert!(matches!(Snapshot::of_bytes(&bytes[..end]), Err(SnapshotError::Unreadable(_))));
    }
    let later = Snapshot { format: 9, ..replica.snapshot() }.to_bytes();
    assert_eq!(Snapshot::of_bytes(&later), Err(SnapshotError::Format(9)));
    let spoil: [fn(&mut Snapshot); 5] = [
        |snapshot| snapshot.version = u64::MAX,
        |snapshot| snapshot.log.next = 0,
        |snapshot| snapshot.log.trimmed = snapshot.log.next,
        |snapshot| snapshot.log.messages[0].sequence = 0,
        |snapshot| snapshot.log.members[0].record.tip = u64::MAX,
    ];
    for spoil in spoil {
        let mut snapshot = replica.snapshot();
        spoil(&mut snapshot);
        assert_eq!(Snapshot::of_bytes(&snapshot.to_bytes()), Err(SnapshotError::Unsound));
    }
}
