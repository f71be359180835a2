//! A store that dies, stands still, forgets, or is replaced by another (C2, R9).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use live::{Live, News, Unanswered};
use room::replica::{NodeId, Refusal};
use support::cluster::Cluster;
use support::server::Server;
use support::{Node, at, entries, entry, epoch, room, snapshot, until};
use wire::room::RoomId;

/// Repeats what was not answered.
async fn answered<T>(mut ask: impl AsyncFnMut() -> Result<T, Unanswered>) -> T {
    until("an answer", async || ask().await.ok()).await
}

/// A room with two entries.
async fn begin(live: &Live) -> RoomId {
    let (room, e) = (room(), epoch(1));
    live.open(&room, (e, &snapshot(e, 0))).await.unwrap();
    live.append(&room, at(e, 0), &entries(1, 1..=2)).await.unwrap().unwrap();
    room
}

/// Every operation is refused, until the room is opened anew.
async fn is_refused(live: &Live, room: &RoomId, refusal: Refusal) {
    let (e, next) = (epoch(1), epoch(2));
    assert_eq!(answered(async || live.append(room, at(e, 2), &[entry(1, 3)]).await).await, Err(refusal));
    assert_eq!(answered(async || live.read_after(room, at(e, 0)).await).await, Err(refusal));
    assert_eq!(answered(async || live.compact(room, at(e, 0), &snapshot(e, 0)).await).await, Err(refusal));
    let opened = answered(async || live.open(room, (next, &snapshot(next, 0))).await).await;
    assert_eq!((opened.snapshot, opened.entries), (snapshot(next, 0), vec![]));
    assert!(answered(async || live.append(room, at(next, 0), &[entry(1, 1)]).await).await.is_ok());
    assert_eq!(live.append(room, at(e, 0), &[entry(1, 3)]).await.unwrap(), Err(Refusal::OtherEpoch));
}

/// What is published now is heard.
async fn is_heard(node: &mut Node, room: &RoomId) {
    node.live.relay(room, NodeId(7), b"again").await.unwrap();
    until("news", async || matches!(node.hear().await, News::Relayed { from: NodeId(7), .. }).then_some(()))
        .await;
}

#[tokio::test]
async fn a_store_that_was_emptied_has_no_rooms() {
    let mut server = Server::start(&[]);
    let mut node = Node::of(&server.url()).await;
    let room = begin(&node.live).await;
    node.live.subscribe(&room).await.unwrap();
    server.kill();
    let begun = Instant::now();
    node.live.read_after(&room, at(epoch(1), 0)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    server.start_again();
    let begun = Instant::now();
    is_refused(&node.live, &room, Refusal::Gone).await;
    node.hear_of_interruption().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    is_heard(&mut node, &room).await;
}

#[tokio::test]
async fn a_store_that_has_read_its_data_again_may_have_lost_some() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let node = Node::of(&server.url()).await;
    let room = begin(&node.live).await;
    server.kill();
    server.start_again();
    assert_eq!(server.keys(room.as_str()).len(), 2);
    is_refused(&node.live, &room, Refusal::Behind).await;
}

#[tokio::test]
async fn an_epoch_of_another_run_can_be_ended() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let node = Node::of(&server.url()).await;
    let room = begin(&node.live).await;
    server.kill();
    server.start_again();
    answered(async || node.live.end(&room, epoch(1)).await).await;
    is_refused(&node.live, &room, Refusal::Gone).await;
}

#[tokio::test]
async fn a_store_that_stands_still_is_not_waited_for() {
    let server = Server::start(&[]);
    let mut node = Node::of(&server.url()).await;
    let room = begin(&node.live).await;
    node.live.subscribe(&room).await.unwrap();
    server.stop();
    let other = support::room();
    for _ in 0..2 {
        let begun = Instant::now();
        let (e, live) = (epoch(1), &node.live);
        let fresh = snapshot(e, 0);
        let (appended, read, opened, subscribed, beat) = tokio::join!(
            live.append(&room, at(e, 2), &[]),
            live.read_after(&room, at(e, 2)),
            live.open(&room, (e, &fresh)),
            live.subscribe(&other),
            live.beat(NodeId(1)),
        );
        assert!(
            appended.is_err() && read.is_err() && opened.is_err() && subscribed.is_err() && beat.is_err()
        );
        let taken = begun.elapsed();
        assert!((900..2500).contains(&taken.as_millis()), "{taken:?}");
    }
    server.go_on();
    // It is the same as before, and nothing was lost.
    let read = answered(async || node.live.read_after(&room, at(epoch(1), 0)).await).await.unwrap();
    assert_eq!(read.len(), 2);
    answered(async || node.live.subscribe(&other).await).await;
    node.hear_of_interruption().await;
    is_heard(&mut node, &room).await;
    is_heard(&mut node, &other).await;
}

#[tokio::test]
async fn whoever_may_have_missed_something_is_told() {
    let server = Server::start(&[]);
    let mut node = Node::of(&server.url()).await;
    let rooms = [begin(&node.live).await, begin(&node.live).await];
    for room in &rooms {
        node.live.subscribe(room).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(server.number(&["CLIENT", "KILL", "TYPE", "pubsub"]), 1);
        let begun = Instant::now();
        assert_eq!(node.hear().await, News::Interrupted);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        for room in &rooms {
            is_heard(&mut node, room).await;
        }
    }
    // Commands' connections come back too.
    server.number(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    node.live.read_after(&rooms[0], at(epoch(1), 0)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_replica_in_its_masters_place_may_have_lost_something() {
    let mut cluster = Cluster::start();
    let mut node = Node::of(&cluster.url()).await;
    let room = begin(&node.live).await;
    node.live.subscribe(&room).await.unwrap();
    let master = cluster.master_of(&room, 0);
    let begun = Instant::now();
    cluster.servers[master].kill();
    let e = epoch(1);
    let mut refusal = Ok(vec![]);
    let mut version = 2;
    // It is never gone on with.
    while let Ok(appended) = &refusal {
        version = appended.last().map_or(version, |stored: &room::replica::Stored| stored.version);
        assert_eq!(version, 2, "the epoch goes on");
        refusal = answered(async || node.live.append(&room, at(e, version), &[entry(1, 3)]).await).await;
    }
    assert!(matches!(refusal, Err(Refusal::Behind | Refusal::Gone)), "{refusal:?}");
    println!("failed over in {:?}", begun.elapsed());
    is_refused(&node.live, &room, refusal.unwrap_err()).await;
    node.hear_of_interruption().await;
    is_heard(&mut node, &room).await;
    // Whoever comes now finds it too, though one of the seeds is gone.
    let late = Node::of(&cluster.url()).await;
    assert!(late.live.read_after(&room, at(epoch(2), 0)).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_master_that_was_replaced_and_is_put_in_its_place_again_may_have_lost_something() {
    let cluster = Cluster::start();
    let mut node = Node::of(&cluster.url()).await;
    let room = begin(&node.live).await;
    node.live.subscribe(&room).await.unwrap();
    let master = cluster.master_of(&room, 0);
    // Nobody touches the room meanwhile; the process is the same as before.
    cluster.promote(Cluster::partner(master));
    cluster.promote(master);
    is_refused(&node.live, &room, Refusal::Behind).await;
    is_heard(&mut node, &room).await;
}

#[tokio::test]
async fn a_room_is_found_where_it_has_gone() {
    let cluster = Cluster::start();
    let mut node = Node::of(&cluster.url()).await;
    let room = begin(&node.live).await;
    node.live.subscribe(&room).await.unwrap();
    let from = cluster.master_of(&room, 0);
    let to = (from + 1) % 3;
    let (source, target) = (&cluster.servers[from], &cluster.servers[to]);
    let slot = source.number(&["CLUSTER", "KEYSLOT", room.as_str()]).to_string();
    let (source_id, target_id) = (source.text(&["CLUSTER", "MYID"]), target.text(&["CLUSTER", "MYID"]));
    target.say(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]);
    source.say(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]);
    assert!(node.live.read_after(&room, at(epoch(1), 0)).await.unwrap().is_ok());
    let keys = [format!("interplay:room:{{{room}}}"), format!("interplay:log:{{{room}}}")];
    let port = target.port.to_string();
    source.say(&["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS", &keys[0], &keys[1]]);
    // It is only about to have it: it must be asked so.
    assert_eq!(node.live.read_after(&room, at(epoch(1), 0)).await.unwrap(), Err(Refusal::Behind));
    for server in [target, source] {
        server.say(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]);
    }
    is_refused(&node.live, &room, Refusal::Behind).await;
    node.hear_of_interruption().await;
    is_heard(&mut node, &room).await;
}

#[tokio::test]
async fn a_whole_cluster_that_was_emptied_has_no_rooms() {
    let mut cluster = Cluster::start();
    let mut node = Node::of(&cluster.servers[0].url()).await;
    let room = begin(&node.live).await;
    node.live.subscribe(&room).await.unwrap();
    for server in &mut cluster.servers {
        server.kill();
    }
    node.live.read_after(&room, at(epoch(1), 0)).await.unwrap_err();
    // They know each other still; their data is gone.
    for server in &mut cluster.servers {
        server.start_again();
    }
    is_refused(&node.live, &room, Refusal::Gone).await;
    node.hear_of_interruption().await;
    is_heard(&mut node, &room).await;
}
