//! What a store tells, how long what it keeps lives, and what is kept beside the log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use live::{ConnectError, Live, News, RedisUrl};
use room::replica::{NodeId, Refusal};
use support::cluster::Cluster;
use support::server::Server;
use support::{Node, at, entries, entry, epoch, room, snapshot, until};
use wire::room::{MemberId, RoomId};

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

async fn publications_are_what_was_answered(url: &str) {
    let (mut one, mut other) = (Node::of(url).await, Node::of(url).await);
    let (room, e) = (room(), epoch(1));
    one.live.open(&room, (e, &snapshot(e, 0))).await.unwrap();
    for node in [&one, &other] {
        node.live.subscribe(&room).await.unwrap();
        // Twice is no different from once.
        node.live.subscribe(&room).await.unwrap();
    }
    for turn in 0..5 {
        let appended = entries(1, turn * 3 + 1..=turn * 3 + 3);
        let answered = one.live.append(&room, at(e, turn * 3), &appended).await.unwrap().unwrap();
        let told = News::Stored { room: room.clone(), entries: answered };
        assert_eq!(one.hear().await, told);
        assert_eq!(other.hear().await, told);
    }
    other.live.relay(&room, NodeId(u64::MAX), b"\0volatile\xff").await.unwrap();
    let told =
        News::Relayed { room: room.clone(), from: NodeId(u64::MAX), bytes: b"\0volatile\xff".to_vec() };
    assert_eq!(one.hear().await, told);
    assert_eq!(other.hear().await, told);
    // What is missed is read.
    other.live.unsubscribe(&room).await.unwrap();
    until("quiet", async || {
        one.live.relay(&room, NodeId(1), b"").await.unwrap();
        one.hear().await;
        let heard = tokio::time::timeout(Duration::from_millis(100), other.news.recv()).await;
        heard.is_err().then_some(())
    })
    .await;
    let missed = one.live.append(&room, at(e, 15), &[entry(1, 16)]).await.unwrap().unwrap();
    other.live.subscribe(&room).await.unwrap();
    let heard = one.live.append(&room, at(e, 16), &[entry(1, 17)]).await.unwrap().unwrap();
    assert_eq!(other.hear().await, News::Stored { room: room.clone(), entries: heard.clone() });
    let read = other.live.read_after(&room, at(e, 15)).await.unwrap().unwrap();
    assert_eq!(read, [missed, heard].concat());
}

#[tokio::test]
async fn publications_of_a_single_server_are_what_was_answered() {
    publications_are_what_was_answered(&Server::shared().url()).await;
}

#[tokio::test]
async fn publications_of_a_cluster_are_what_was_answered() {
    publications_are_what_was_answered(&Cluster::shared().url()).await;
}

#[tokio::test]
async fn a_publication_that_cannot_be_read_is_dropped() {
    let server = Server::shared();
    let mut node = Node::of(&server.url()).await;
    let room = room();
    node.live.subscribe(&room).await.unwrap();
    let channel = format!("interplay:{{{room}}}");
    for nonsense in ["", "S", "Sffff", "R+000000000000001", "what?"] {
        assert_eq!(server.number(&["SPUBLISH", &channel, nonsense]), 1);
    }
    node.live.relay(&room, NodeId(1), b"sense").await.unwrap();
    assert_eq!(node.hear().await, News::Relayed { room, from: NodeId(1), bytes: b"sense".to_vec() });
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_that_it_has_missed_something() {
    let server = Server::shared();
    let mut node = Node::of(&server.url()).await;
    let room = room();
    node.live.subscribe(&room).await.unwrap();
    // More than may wait.
    let publish =
        format!("for i = 1, 5000 do redis.call('SPUBLISH', 'interplay:{{{room}}}', 'R0000000000000001') end");
    server.say(&["EVAL", &publish, "0"]);
    node.hear_of_interruption().await;
    node.live.relay(&room, NodeId(2), b"now").await.unwrap();
    until("news", async || matches!(node.hear().await, News::Relayed { from: NodeId(2), .. }).then_some(()))
        .await;
}

/// Both of a room's keys, if it has them, with how long each still lives.
fn lives(server: &Server, room: &RoomId) -> Vec<i64> {
    let keys = server.keys(&format!("{{{room}}}"));
    keys.iter().map(|key| server.number(&["PTTL", key])).collect()
}

#[tokio::test]
async fn every_operation_but_an_end_keeps_a_room_alive_and_nothing_else_does() {
    const TTL: Duration = Duration::from_secs(1);
    let server = Server::shared();
    let (room, e) = (room(), epoch(1));
    let (live, _news) = Live::connect(&server.url().parse().unwrap(), TTL).await.unwrap();
    let fresh = snapshot(e, 0);
    let shorten = || {
        for key in server.keys(&format!("{{{room}}}")) {
            server.say(&["PEXPIRE", &key, "500"]);
        }
    };
    let looks = |keys: usize, least: i64, most: i64| {
        let lives = lives(server, &room);
        assert!(lives.len() == keys && lives.iter().all(|life| (least..=most).contains(life)), "{lives:?}");
        shorten();
    };
    let (least, most) = (600, 1000);
    live.open(&room, (e, &fresh)).await.unwrap();
    looks(1, least, most);
    live.append(&room, at(e, 0), &[]).await.unwrap().unwrap();
    looks(1, least, most);
    live.append(&room, at(e, 0), &[entry(1, 1)]).await.unwrap().unwrap();
    looks(2, least, most);
    live.append(&room, at(e, 1), &[entry(1, 2)]).await.unwrap().unwrap();
    looks(2, least, most);
    live.read_after(&room, at(e, 0)).await.unwrap().unwrap();
    looks(2, least, most);
    live.read_after(&room, at(e, 2)).await.unwrap().unwrap();
    looks(2, least, most);
    live.read_after(&room, at(epoch(2), 0)).await.unwrap().unwrap_err();
    looks(2, least, most);
    live.append(&room, at(e, 9), &[entry(1, 3)]).await.unwrap().unwrap_err();
    looks(2, least, most);
    live.compact(&room, at(e, 1), &snapshot(e, 1)).await.unwrap().unwrap();
    looks(2, least, most);
    live.open(&room, (epoch(2), &fresh)).await.unwrap();
    looks(2, least, most);
    // What is beside the log.
    assert!(live.set_note(&room, &member("ann"), b"good").await.unwrap());
    live.note(&room, &member("ann")).await.unwrap();
    live.relay(&room, NodeId(1), b"x").await.unwrap();
    live.end(&room, epoch(9)).await.unwrap();
    live.list(None, 10).await.unwrap();
    looks(2, 0, 500);
    until("expiry", async || lives(server, &room).is_empty().then_some(())).await;
    assert_eq!(live.append(&room, at(e, 2), &[entry(1, 3)]).await.unwrap(), Err(Refusal::Gone));
    assert_eq!(lives(server, &room), [0_i64; 0]);
}

#[tokio::test]
async fn an_end_leaves_nothing() {
    for (url, keys) in [
        (Server::shared().url(), &(|part: &str| Server::shared().keys(part).len()) as &dyn Fn(&str) -> usize),
        (Cluster::shared().url(), &|part: &str| Cluster::shared().keys(part).len()),
    ] {
        let node = Node::of(&url).await;
        let (room, e) = (room(), epoch(1));
        node.live.open(&room, (e, &snapshot(e, 0))).await.unwrap();
        node.live.append(&room, at(e, 0), &entries(1, 1..=9)).await.unwrap().unwrap();
        node.live.compact(&room, at(e, 5), &snapshot(e, 5)).await.unwrap().unwrap();
        node.live.set_note(&room, &member("ann"), b"note").await.unwrap();
        assert!(keys(room.as_str()) >= 2);
        node.live.end(&room, e).await.unwrap();
        // A cluster's replicas hear of it later.
        until("an end", async || (keys(room.as_str()) == 0).then_some(())).await;
    }
}

/// What is done to a room, by the names of its keys.
type Garbling<'a> = (&'static str, &'a dyn Fn(&str, &str));

#[tokio::test]
async fn a_room_that_cannot_be_read_begins_anew() {
    let server = Server::shared();
    let node = Node::of(&server.url()).await;
    let (e, next) = (epoch(1), epoch(2));
    let garble: [Garbling<'_>; 9] = [
        ("its snapshot is garbled", &|room, _| drop(server.say(&["HSET", room, "snapshot", "\u{1}what?"]))),
        ("its snapshot is empty", &|room, _| drop(server.say(&["HSET", room, "snapshot", ""]))),
        ("its snapshot is gone", &|room, _| drop(server.say(&["HDEL", room, "snapshot"]))),
        ("its tip is no number", &|room, _| drop(server.say(&["HSET", room, "tip", "many"]))),
        ("its log is gone", &|_, log| drop(server.say(&["DEL", log]))),
        ("its log is of another kind", &|_, log| drop(server.say(&["SET", log, "what?"]))),
        ("its log has a hole", &|_, log| drop(server.say(&["XDEL", log, "2-0"]))),
        ("its log has something else", &|_, log| {
            drop(server.say(&["XADD", log, "4-0", "first", "4", "at", "1", "entries", "\u{ff}"]));
        }),
        ("it is of another kind", &|room, _| {
            server.say(&["DEL", room]);
            server.say(&["SET", room, "what?"]);
        }),
    ];
    for (what, garble) in garble {
        let room = room();
        node.live.open(&room, (e, &snapshot(e, 0))).await.unwrap();
        for version in 0..3 {
            node.live.append(&room, at(e, version), &[entry(1, version + 1)]).await.unwrap().unwrap();
        }
        garble(&format!("interplay:room:{{{room}}}"), &format!("interplay:log:{{{room}}}"));
        // Who has it open either can go on or is told; it never hears of less than there is.
        if let Ok(read) = node.live.read_after(&room, at(e, 0)).await.unwrap() {
            assert!(read.iter().map(|stored| stored.version).eq(1..=3), "{what}");
        }
        let opened = node.live.open(&room, (next, &snapshot(next, 0))).await.unwrap();
        assert_eq!(opened.snapshot, snapshot(next, 0), "{what}");
        assert!(opened.entries.is_empty(), "{what}");
        assert!(node.live.append(&room, at(next, 0), &[entry(1, 1)]).await.unwrap().is_ok(), "{what}");
    }
}

#[tokio::test]
async fn a_room_of_another_version_of_this_program_is_left_to_others() {
    let server = Server::shared();
    let node = Node::of(&server.url()).await;
    let (room, e) = (room(), epoch(1));
    let mut newer = snapshot(e, 0);
    newer[0] = 77;
    node.live.open(&room, (e, &newer)).await.unwrap();
    let log = format!("interplay:log:{{{room}}}");
    server.say(&["XADD", &log, "1-0", "of", "another", "form", ""]);
    let opened = node.live.open(&room, (epoch(2), &snapshot(epoch(2), 0))).await.unwrap();
    assert_eq!((opened.snapshot, opened.entries), (newer, vec![]));
}

#[tokio::test]
async fn notes_go_with_the_room() {
    let node = Node::of(&Server::shared().url()).await;
    let (room, e, ann) = (room(), epoch(1), member("ann"));
    assert!(!node.live.set_note(&room, &ann, b"early").await.unwrap());
    assert_eq!(node.live.note(&room, &ann).await.unwrap(), None);
    node.live.open(&room, (e, &snapshot(e, 0))).await.unwrap();
    assert_eq!(node.live.note(&room, &ann).await.unwrap(), None);
    assert!(node.live.set_note(&room, &ann, b"\0good\xff").await.unwrap());
    assert_eq!(node.live.note(&room, &ann).await.unwrap().unwrap(), b"\0good\xff");
    assert_eq!(node.live.note(&room, &member("bob")).await.unwrap(), None);
    node.live.end(&room, e).await.unwrap();
    assert_eq!(node.live.note(&room, &ann).await.unwrap(), None);
}

#[tokio::test]
async fn a_revocation_outlives_the_room_and_is_never_made_less() {
    let server = Server::shared();
    let node = Node::of(&server.url()).await;
    let (room, ann) = (room(), member("ann"));
    let keep = Duration::from_secs(50);
    assert_eq!(node.live.revoked(&room, &ann).await.unwrap(), None);
    for (until, then, keep) in [
        (9, 9, keep),
        (7, 9, keep / 10),
        (10, 10, Duration::ZERO),
        (u64::MAX, u64::MAX, keep / 2),
        (3, u64::MAX, keep),
    ] {
        node.live.revoke(&room, &ann, until, keep).await.unwrap();
        assert_eq!(node.live.revoked(&room, &ann).await.unwrap(), Some(then));
        let left = server.number(&["PTTL", &format!("interplay:void:{{{room}}}:ann")]);
        assert!((40_000..=50_000).contains(&left), "{left}");
    }
    assert_eq!(node.live.revoked(&room, &member("bob")).await.unwrap(), None);
    let bob = member("bob");
    node.live.revoke(&room, &bob, 1, Duration::ZERO).await.unwrap();
    until("oblivion", async || node.live.revoked(&room, &bob).await.unwrap().is_none().then_some(())).await;
}

#[tokio::test]
async fn nodes_live_while_they_beat() {
    let server = Server::start(&[]);
    for url in [server.url(), Cluster::shared().url()] {
        let node = Node::of(&url).await;
        let live = node.live.with_lease(Duration::from_millis(400));
        let (one, other, third) = (NodeId(1), NodeId(u64::MAX), NodeId(3));
        let beat = live.beat(one).await.unwrap();
        assert_eq!(beat.nodes, BTreeSet::from([one]));
        assert!(!beat.is_whole);
        live.beat(third).await.unwrap();
        assert_eq!(live.beat(other).await.unwrap().nodes, BTreeSet::from([one, other, third]));
        live.part(third).await.unwrap();
        let begun = live.beat(other).await.unwrap();
        assert_eq!(begun.nodes, BTreeSet::from([one, other]));
        let last = until("an end", async || {
            let beat = live.beat(other).await.unwrap();
            assert!(beat.nodes.contains(&other));
            (!beat.nodes.contains(&one)).then_some(beat)
        })
        .await;
        assert!(last.is_whole && last.time.0 >= beat.time.0 + 400);
        live.part(other).await.unwrap();
    }
}

#[tokio::test]
async fn rooms_are_listed_by_name() {
    for (server, cluster) in [(Some(Server::start(&[])), None), (None, Some(Cluster::shared()))] {
        let url = server.as_ref().map_or_else(|| cluster.unwrap().url(), Server::url);
        let node = Node::of(&url).await;
        let name = |number: u32| format!("zz-listed-{number:03}").parse::<RoomId>().unwrap();
        for number in 0..40 {
            node.live.open(&name(number), (epoch(1), &snapshot(epoch(1), 0))).await.unwrap();
        }
        let list = async |after: Option<&str>, most| node.live.list(after, most).await.unwrap();
        let names = |numbers: core::ops::Range<u32>| numbers.map(name).collect::<Vec<_>>();
        assert_eq!(list(Some("zz-listed-"), 10).await, names(0..10));
        assert_eq!(list(Some("zz-listed-009"), 10).await, names(10..20));
        assert_eq!(list(Some("zz-listed-029"), 100).await, names(30..40));
        assert_eq!(list(Some("zz-listed-039"), 100).await, vec![]);
        assert_eq!(list(None, 0).await, vec![]);
        for number in 0..40 {
            node.live.end(&name(number), epoch(1)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn who_may_not_is_told_why() {
    let server = Server::start(&[]);
    server.say(&["CONFIG", "SET", "requirepass", "hush"]);
    let connect = async |url: String| Live::connect(&url.parse::<RedisUrl>().unwrap(), support::TTL).await;
    let port = server.port;
    let refused = connect(format!("redis://127.0.0.1:{port}")).await.err().unwrap();
    assert!(matches!(refused, ConnectError::Unfit { .. } | ConnectError::Unreachable { .. }), "{refused}");
    let refused = connect(format!("redis://:secret@127.0.0.1:{port}")).await.err().unwrap();
    assert!(!refused.to_string().contains("secret"), "{refused}");
    connect(format!("redis://:hush@127.0.0.1:{port}")).await.unwrap();
    connect(format!("redis://default:hush@127.0.0.1:{port}/3")).await.unwrap();
    let [nobody] = support::server::ports();
    let refused = connect(format!("redis://127.0.0.1:{nobody}")).await.err().unwrap();
    assert!(refused.to_string().contains(&nobody.to_string()), "{refused}");
    let master = Server::start(&[]);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let refused = connect(replica.url()).await.err().unwrap();
    assert!(refused.to_string().contains("replica"), "{refused}");
}

/// The least that a user must be allowed, as the documentation has it.
#[tokio::test]
async fn a_user_needs_no_more_than_the_documentation_says() {
    let server = Server::start(&[]);
    let allowed = [
        "ACL",
        "SETUSER",
        "ann",
        "on",
        ">hush",
        "~interplay:*",
        "resetchannels",
        "&interplay:*",
        "-@all",
        "+@read",
        "+@write",
        "+@scripting",
        "+@pubsub",
        "+@connection",
        "+@transaction",
        "+info",
        "+time",
        "+scan",
        "-@dangerous",
        "+info",
    ];
    server.say(&allowed);
    let mut node = Node::of(&format!("redis://ann:hush@127.0.0.1:{}", server.port)).await;
    let (room, e, ann) = (room(), epoch(1), member("ann"));
    let live = &node.live;
    live.subscribe(&room).await.unwrap();
    live.open(&room, (e, &snapshot(e, 0))).await.unwrap();
    live.append(&room, at(e, 0), &[entry(1, 1)]).await.unwrap().unwrap();
    live.read_after(&room, at(e, 0)).await.unwrap().unwrap();
    live.compact(&room, at(e, 1), &snapshot(e, 1)).await.unwrap().unwrap();
    live.relay(&room, NodeId(1), b"x").await.unwrap();
    live.set_note(&room, &ann, b"x").await.unwrap();
    live.note(&room, &ann).await.unwrap();
    live.revoke(&room, &ann, 1, Duration::from_secs(1)).await.unwrap();
    live.revoked(&room, &ann).await.unwrap();
    live.beat(NodeId(1)).await.unwrap();
    live.part(NodeId(1)).await.unwrap();
    assert_eq!(live.list(None, 9).await.unwrap(), std::slice::from_ref(&room));
    live.end(&room, e).await.unwrap();
    assert!(matches!(node.hear().await, News::Stored { .. }));
}
