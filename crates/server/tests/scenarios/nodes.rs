//! Rooms on several nodes, when nodes and Redis fail: nothing is lost that is not told (C1, C2, R1, R6, R7, R9).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, sleep, timeout};
use wire::close::CloseCode;

use crate::member::{Api, Member};
use crate::redis_servers::cluster::Cluster;
use crate::redis_servers::server::Server as Redis;
use crate::support::Server;
use crate::webhooks::Application;

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nodes that share their rooms.
struct Nodes {
    servers: Vec<(Server, tempfile::TempDir)>,
    /// Where clients find one.
    addresses: Arc<Mutex<Vec<String>>>,
    api: Api,
    url: String,
}

const MANY: [&str; 2] = ["--connections-per-address", "10000"];

impl Nodes {
    fn start(url: String, count: usize) -> Self {
        let start = |_| {
            let data = tempfile::tempdir().unwrap();
            (Server::node(data.path(), &url, &MANY), data)
        };
        let servers: Vec<_> = (0..count).map(start).collect();
        let addresses = servers.iter().map(|(server, _)| server.address.clone()).collect();
        let api = Api::of_nodes(&servers[0].0);
        Self { servers, addresses: Arc::new(Mutex::new(addresses)), api, url }
    }

    async fn join(&self, node: usize, room: &str, member: &str) -> Member {
        Member::join(&self.servers[node].0, &self.api, room, member).await
    }

    /// One that clients do not find any more.
    fn hide(&self, node: usize) {
        let gone = &self.servers[node].0.address;
        self.addresses.lock().unwrap().retain(|address| address != gone);
    }

    /// Another process in a node's place.
    fn start_again(&mut self, node: usize) {
        let (server, data) = &mut self.servers[node];
        *server = Server::node(data.path(), &self.url, &MANY);
        self.addresses.lock().unwrap().push(server.address.clone());
    }

    fn ready(&self, node: usize) -> String {
        self.servers[node].0.get("/readyz").1
    }
}

/// What became of a member that sent and listened.
struct Life {
    member: Member,
    name: String,
    room: usize,
    /// How often its connection ended, and the longest that it took until it was back.
    returns: u32,
    longest: Duration,
}

/// Sends so often as the others listen, and listens, until everything is sent and answered and as much is heard; with
/// `expected` that is known, else until it is told to stop.
async fn live(
    mut member: Member,
    (room, name): (usize, String),
    (count, every): (u64, Duration),
    addresses: Arc<Mutex<Vec<String>>>,
    is_done: impl Fn(&Member) -> bool,
) -> Life {
    let (mut returns, mut longest) = (0, Duration::ZERO);
    let mut ticks =
        interval_at(tokio::time::Instant::now() + every.mul_f64(member_phase(&name, room)), every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    loop {
        if sent == count && member.is_answered() && is_done(&member) {
            return Life { member, name, room, returns, longest };
        }
        let ended = tokio::select! {
            _ = ticks.tick() => {
                if sent < count {
                    member.send(json!([name, sent])).await;
                    sent += 1;
                }
                Ok(())
            }
            frame = member.next() => frame.map(drop),
        };
        match ended {
            Ok(()) if member.heard.len().is_multiple_of(16) => member.acknowledge().await,
            Ok(()) => {}
            Err(code) => {
                let allowed = code.is_none_or(|code| CloseCode::means_come_back(code.number()));
                assert!(allowed, "{name} in room {room} is told to stop: {code:?}");
                let begun = Instant::now();
                member.come_back(&addresses).await;
                returns += 1;
                longest = longest.max(begun.elapsed());
            }
        }
    }
}

/// So that not everybody sends in the same moment.
fn member_phase(name: &str, room: usize) -> f64 {
    let hash = base::hash_state(format!("{name} {room}").as_bytes()).0;
    (hash % 1000) as f64 / 1000.0
}

/// Whether what was heard is each sender's in its order, and nothing twice.
fn check_order(life: &Life) -> HashMap<String, Vec<u64>> {
    let mut by_sender: HashMap<String, Vec<u64>> = HashMap::new();
    for data in &life.member.heard {
        by_sender.entry(data[0].as_str().unwrap().to_owned()).or_default().push(data[1].as_u64().unwrap());
    }
    for (sender, numbers) in &by_sender {
        assert!(
            numbers.is_sorted_by(|one, other| one < other),
            "{} in room {} heard of {sender}: {numbers:?}",
            life.name,
            life.room
        );
    }
    by_sender
}

async fn all<T: Send + 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut done = Vec::new();
    while let Some(task) = tasks.join_next().await {
        done.push(task.unwrap());
    }
    done
}

/// Two members in each of many rooms, on different nodes; `fault` happens to the nodes meanwhile.
async fn under_load(nodes: &mut Nodes, rooms: usize, fault: impl AsyncFnOnce(&mut Nodes)) {
    const EACH: u64 = 20;
    let every = Duration::from_millis(400);
    let mut lives = JoinSet::new();
    let mut ready = Vec::new();
    for room in 0..rooms {
        for (node, name) in ["ann", "bob"].into_iter().enumerate() {
            ready.push((room, name.to_owned(), nodes.join(node, &format!("room-{room}"), name).await));
        }
    }
    let begun = Instant::now();
    for (room, name, member) in ready {
        let addresses = Arc::clone(&nodes.addresses);
        let is_done = |member: &Member| member.heard.len() as u64 == EACH;
        lives.spawn(live(member, (room, name), (EACH, every), addresses, is_done));
    }
    fault(nodes).await;
    let lives = all(lives).await;
    let took = begun.elapsed();
    let (mut returns, mut gaps, mut longest) = (0, 0, Duration::ZERO);
    for life in &lives {
        for (sender, numbers) in check_order(life) {
            assert_ne!(sender, life.name);
            assert!(numbers.iter().copied().eq(0..EACH), "{numbers:?}");
        }
        returns += life.returns;
        gaps += life.member.gaps + life.member.unknown;
        longest = longest.max(life.longest);
    }
    let messages = lives.len() as u64 * EACH;
    println!(
        "{rooms} rooms split over two nodes, {messages} messages in {took:.1?}: {returns} members came back, the last after \
         {longest:.2?}; 0 lost, 0 twice, 0 out of order, {gaps} gaps"
    );
    assert_eq!(gaps, 0);
    assert!(returns > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_loses_nothing_in_200_rooms() {
    let redis = Redis::start(&[]);
    let mut nodes = Nodes::start(redis.url(), 2);
    under_load(&mut nodes, 200, async |nodes| {
        sleep(Duration::from_secs(3)).await;
        nodes.hide(0);
        nodes.servers[0].0.kill();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_started_again_one_after_another_and_nothing_is_lost() {
    let redis = Redis::start(&[]);
    let mut nodes = Nodes::start(redis.url(), 2);
    under_load(&mut nodes, 50, async |nodes| {
        for node in 0..2 {
            sleep(Duration::from_millis(1500)).await;
            nodes.hide(node);
            let begun = Instant::now();
            assert!(nodes.servers[node].0.terminate().success());
            println!("a node was told to stop, and was gone after {:.2?}", begun.elapsed());
            nodes.start_again(node);
        }
    })
    .await;
}

/// A room with two members on one node and one on another.
async fn three(nodes: &Nodes, room: &str) -> [Member; 3] {
    let [mut ann, mut bob, mut cid] = [
        nodes.join(0, room, "ann").await,
        nodes.join(0, room, "bob").await,
        nodes.join(1, room, "cid").await,
    ];
    ann.send_and_wait(json!("before")).await;
    for other in [&mut bob, &mut cid] {
        assert_eq!(other.message().await, "before");
    }
    [ann, bob, cid]
}

/// Until one hears this; it comes back as often as it is told to.
async fn hear(member: &mut Member, nodes: &Nodes, wanted: &Value) {
    let hears = async {
        loop {
            match member.next().await {
                Ok(frame) if frame["type"] == "message" && frame["data"] == *wanted => return,
                Ok(_) => {}
                Err(code) => {
                    assert!(code.is_none_or(|code| CloseCode::means_come_back(code.number())), "{code:?}");
                    member.come_back(&nodes.addresses).await;
                }
            }
        }
    };
    timeout(PATIENCE, hears).await.unwrap_or_else(|_| panic!("{wanted} is not heard"));
}

/// Until what one says is in the log.
async fn say(member: &mut Member, nodes: &Nodes, data: &Value) {
    let says = async {
        while !member.kept.contains(data) {
            if member.is_answered() {
                // What has no number is answered at once.
                sleep(Duration::from_millis(20)).await;
                member.send(data.clone()).await;
            }
            if let Err(code) = member.next().await {
                assert!(code.is_none_or(|code| CloseCode::means_come_back(code.number())), "{code:?}");
                member.come_back(&nodes.addresses).await;
            }
        }
    };
    timeout(PATIENCE, says).await.unwrap_or_else(|_| panic!("{data} is not kept"));
}

/// Everybody hears everybody, with numbers.
async fn is_well(members: &mut [Member], nodes: &Nodes, word: &str) {
    for sender in 0..members.len() {
        let data = json!([word, sender]);
        say(&mut members[sender], nodes, &data).await;
        for other in (0..members.len()).filter(|other| *other != sender) {
            hear(&mut members[other], nodes, &data).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_stands_still_who_is_on_one_node_is_not_stranded() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::start(redis.url(), 2);
    let mut spoken = three(&nodes, "spoken").await;
    let mut silent = three(&nodes, "silent").await;
    let epoch = silent[0].joined["epoch"].clone();
    assert_eq!(nodes.ready(0), "ready\n");
    redis.stop();
    let stopped = Instant::now();
    while !nodes.ready(0).starts_with("degraded") || !nodes.ready(1).starts_with("degraded") {
        assert!(stopped.elapsed() < Duration::from_secs(5), "nobody notices");
        sleep(Duration::from_millis(50)).await;
    }
    println!("that Redis stands still is told after {:.1?}", stopped.elapsed());
    // What was asked in the meantime may wait; what is said now is heard by who is on this node.
    let [ann, bob, cid] = &mut spoken;
    let said = Instant::now();
    ann.send(json!("apart")).await;
    hear(bob, &nodes, &json!("apart")).await;
    assert!(said.elapsed() < Duration::from_secs(2), "{:?}", said.elapsed());
    assert_eq!(bob.unsequenced, [json!("apart")]);
    while !ann.is_answered() {
        ann.next().await.unwrap();
    }
    assert!(!ann.kept.contains(&json!("apart")), "it has no number");
    assert!(cid.unsequenced.is_empty());
    // Who comes is let in.
    let mut dan = nodes.join(0, "spoken", "dan").await;
    ann.send(json!("to dan")).await;
    hear(&mut dan, &nodes, &json!("to dan")).await;
    sleep(Duration::from_secs(5).saturating_sub(stopped.elapsed())).await;
    redis.go_on();
    let went_on = Instant::now();
    is_well(&mut spoken, &nodes, "after").await;
    println!("after {:.1?} everybody hears everybody", went_on.elapsed());
    assert!(went_on.elapsed() < Duration::from_secs(10));
    for member in &spoken {
        assert_eq!(member.gaps, 1, "who may have missed something is told");
    }
    is_well(&mut silent, &nodes, "after").await;
    for member in &silent {
        assert_eq!(
            (member.gaps, &member.joined["epoch"]),
            (0, &epoch),
            "nothing was said there, and nothing is lost"
        );
    }
    assert_eq!((nodes.ready(0), nodes.ready(1)), ("ready\n".into(), "ready\n".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_is_told_as_a_gap() {
    let mut redis = Redis::start(&[]);
    let nodes = Nodes::start(redis.url(), 2);
    let mut members = three(&nodes, "r").await;
    for _ in 0..3 {
        let gaps: Vec<_> = members.iter().map(|member| member.gaps).collect();
        redis.kill();
        redis.start_again();
        let begun = Instant::now();
        is_well(&mut members, &nodes, &format!("{begun:?}")).await;
        println!("an empty Redis: everybody hears everybody after {:.1?}", begun.elapsed());
        for (member, before) in members.iter().zip(gaps) {
            assert_eq!(member.gaps, before + 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_of_redis_is_told_as_a_gap() {
    let mut cluster = Cluster::start();
    let nodes = Nodes::start(cluster.url(), 2);
    let mut members = three(&nodes, "r").await;
    let mut others = Vec::new();
    for number in 0..12 {
        others.push(three(&nodes, &format!("other-{number}")).await);
    }
    let master = cluster.master_of(&"r".parse().unwrap(), 0);
    cluster.servers[master].kill();
    let begun = Instant::now();
    is_well(&mut members, &nodes, "after").await;
    println!("a master of Redis died: everybody hears everybody after {:.1?}", begun.elapsed());
    for member in &members {
        assert_eq!(member.gaps, 1);
    }
    let mut untouched = 0;
    for other in &mut others {
        is_well(other, &nodes, "after").await;
        untouched += usize::from(other.iter().all(|member| member.gaps == 0));
    }
    println!("{untouched} of {} other rooms noticed nothing", others.len());
    assert!(untouched > 0);
}

/// Under load, whatever befalls Redis: nothing comes twice or in another order, and who misses something is told.
async fn storm(nodes: &Nodes, rooms: usize, fault: impl AsyncFnOnce()) {
    const EACH: u64 = 60;
    let mut lives = JoinSet::new();
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut ready = Vec::new();
    for room in 0..rooms {
        for (at, name) in ["ann", "bob", "cid"].into_iter().enumerate() {
            ready.push((room, name.to_owned(), nodes.join(at % 2, &format!("storm-{room}"), name).await));
        }
    }
    for (room, name, member) in ready {
        let (addresses, over) = (Arc::clone(&nodes.addresses), Arc::clone(&over));
        let is_done = move |_: &Member| over.load(std::sync::atomic::Ordering::Relaxed);
        lives.spawn(live(member, (room, name), (EACH, Duration::from_millis(150)), addresses, is_done));
    }
    fault().await;
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut lives = all(lives).await;
    let (mut heard, mut kept, mut told, mut unsequenced) = (0, 0, 0, 0);
    lives.sort_by_key(|life| life.room);
    for room in lives.chunk_by_mut(|one, other| one.room == other.room) {
        let mut members: Vec<_> = room
            .iter_mut()
            .map(|life| std::mem::replace(&mut life.member, Member::new("", "", String::new())))
            .collect();
        is_well(&mut members, nodes, "at the end").await;
        for (life, member) in room.iter_mut().zip(members) {
            life.member = member;
            life.member.heard.retain(|data| data[0] != "at the end");
        }
        for life in &*room {
            let by_sender = check_order(life);
            for other in room.iter().filter(|other| other.name != life.name) {
                let known = by_sender.get(&other.name).map(Vec::as_slice).unwrap_or_default();
                for data in other.member.kept.iter().filter(|data| data[0] != "at the end") {
                    let number = data[1].as_u64().unwrap();
                    let has = known.contains(&number);
                    assert!(
                        has || life.member.gaps > 0,
                        "{} in room {} misses {data} and was told no gap",
                        life.name,
                        life.room
                    );
                }
                kept += other.member.kept.len();
            }
            heard += life.member.heard.len();
            told += life.member.gaps;
            unsequenced += life.member.unsequenced.len();
        }
    }
    println!(
        "{rooms} rooms: {kept} to be heard, {heard} heard, {unsequenced} without numbers, {told} gaps told"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_befalls_redis_what_is_missing_is_told() {
    let mut redis = Redis::start(&[]);
    let nodes = Nodes::start(redis.url(), 2);
    storm(&nodes, 20, async || {
        sleep(Duration::from_millis(1500)).await;
        redis.stop();
        sleep(Duration::from_millis(2500)).await;
        redis.go_on();
        sleep(Duration::from_millis(1500)).await;
        redis.kill();
        sleep(Duration::from_millis(500)).await;
        redis.start_again();
        sleep(Duration::from_millis(1500)).await;
        redis.say(&["FLUSHALL"]);
        sleep(Duration::from_millis(500)).await;
        redis.try_say(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
        redis.try_say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).unwrap();
        sleep(Duration::from_millis(3000)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deserted_room_lives_for_its_time_and_is_gone_in_redis_too() {
    let redis = Redis::start(&[]);
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let node = |at: usize| Server::node(data[at].path(), &redis.url(), &["--room-ttl", "3"]);
    let mut servers = [node(0), node(1)];
    let api = Api::of_nodes(&servers[0]);
    let mut ann = Member::join(&servers[0], &api, "r", "ann").await;
    let mut bob = Member::join(&servers[1], &api, "r", "bob").await;
    // A quiet room with members does not expire.
    sleep(Duration::from_secs(5)).await;
    ann.send_and_wait(json!(1)).await;
    assert_eq!(bob.message().await, 1);
    // The node with the other member dies, and that one stays away: it is dropped by the node that is left.
    servers[1].kill();
    let begun = Instant::now();
    while !ann.presences.contains(&"bob: dropped".to_owned()) {
        ann.frame().await.unwrap();
    }
    println!("the members of a dead node are dropped after {:.1?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(20));
    ann.vanish();
    let deserted = Instant::now();
    while !redis.keys("{r}").is_empty() {
        assert!(deserted.elapsed() < Duration::from_secs(6), "{:?}", redis.keys(""));
        sleep(Duration::from_millis(5)).await;
    }
    let took = deserted.elapsed();
    println!("a deserted room of 3 s was gone after {took:.2?}");
    assert!((2900..3300).contains(&took.as_millis()), "{took:?}");
}

/// Until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_is_opened_again_tells_an_application_nothing_twice() {
    let (application, hook) = Application::start().await;
    let redis = Redis::start(&[]);
    let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let secret = [("INTERPLAY_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")];
    let node = |at: usize| Server::node_in(data[at].path(), &redis.url(), &["--webhook", &hook], &secret);
    let servers = [node(0), node(1)];
    let api = Api::of_nodes(&servers[0]);
    let mut ann = Member::join(&servers[0], &api, "r", "ann").await;
    let mut told = vec!["r/ann member.joined"];
    application.hears(&told).await;
    let _bob = Member::join(&servers[1], &api, "r", "bob").await;
    told.push("r/bob member.joined");
    application.hears(&told).await;
    ann.vanish();
    told.push("r/ann member.dropped");
    application.hears(&told).await;
    // The room goes on over there, and is closed here.
    until("the room is kept open", || servers[0].get("/metrics").1.contains("interplay_rooms 0\n")).await;
    ann.connect().await.unwrap();
    told.push("r/ann member.returned");
    application.hears(&told).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(application.events(), told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_an_epoch_cannot_be_ended_is_let_in() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::start(redis.url(), 1);
    let mut ann = nodes.join(0, "r", "ann").await;
    // What ends a room is not answered from here on.
    redis.say(&["ACL", "SETUSER", "default", "-unlink"]);
    ann.say(&json!({"type": "leave"})).await;
    assert_eq!(ann.closed_with().await, CloseCode::Left);
    let begun = Instant::now();
    let mut bob = nodes.join(0, "r", "bob").await;
    let mut cid = nodes.join(0, "r", "cid").await;
    println!("two were let in after {:.1?}", begun.elapsed());
    bob.send(json!("apart")).await;
    hear(&mut cid, &nodes, &json!("apart")).await;
    assert_eq!(cid.unsequenced, [json!("apart")]);
    redis.say(&["ACL", "SETUSER", "default", "+unlink"]);
    sleep(Duration::from_secs(2)).await;
    is_well(&mut [bob, cid], &nodes, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_began_while_redis_stood_still_is_heard_no_more_when_it_is_over() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::start(redis.url(), 1);
    redis.stop();
    let mut ann = nodes.join(0, "r", "ann").await;
    ann.vanish();
    redis.go_on();
    until("the room is kept open", || {
        let metrics = nodes.servers[0].0.get("/metrics").1;
        metrics.contains("interplay_rooms 0\n")
    })
    .await;
    sleep(Duration::from_secs(2)).await;
    let heard: Vec<String> = redis::from_redis_value(redis.say(&["PUBSUB", "SHARDCHANNELS"])).unwrap();
    assert!(heard.is_empty(), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_lets_nobody_in() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::start(redis.url(), 1);
    // It does not answer to being closed, so that the node waits for it.
    let _ann = nodes.join(0, "r", "ann").await;
    let mut bob = Member::new(&nodes.servers[0].0.address, "r", nodes.api.token("r", "bob"));
    nodes.servers[0].0.signal("-TERM");
    sleep(Duration::from_millis(300)).await;
    assert_eq!(bob.connect().await, Err(CloseCode::GoingAway));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_into_a_slow_redis_is_turned_away_before_it_takes_all_memory() {
    let redis = Redis::start(&["--enable-debug-command", "yes"]);
    let nodes = Nodes::start(redis.url(), 1);
    let mut tasks = JoinSet::new();
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut members = Vec::new();
    for number in 0..30 {
        members.push(nodes.join(0, "r", &format!("m{number}")).await);
    }
    // What is for somebody who is away costs no time.
    nodes.join(0, "r", "absent").await.vanish();
    for mut member in members {
        let (is_over, addresses) = (Arc::clone(&is_over), Arc::clone(&nodes.addresses));
        tasks.spawn(async move {
            let data = json!("x".repeat(8000));
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut ends, mut n) = (0, 0);
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                let ended = tokio::select! {
                    _ = ticks.tick() => {
                        n += 1;
                        member.say(&json!({"type": "send", "n": n, "to": "absent", "data": data})).await;
                        Ok(())
                    }
                    frame = member.next() => frame.map(drop),
                };
                if let Err(code) = ended {
                    assert!(code.is_none_or(|code| CloseCode::means_come_back(code.number())), "{code:?}");
                    ends += 1;
                    sleep(Duration::from_millis(500)).await;
                    member.come_back(&addresses).await;
                }
            }
            ends
        });
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        redis.try_say(&["DEBUG", "SLEEP", "0.7"]).ok();
        // A few appends get through, far fewer than come.
        sleep(Duration::from_millis(2)).await;
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    let ends: usize = all(tasks).await.into_iter().sum();
    println!("{ends} connections were ended");
    assert!(ends > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_while_it_comes_over_another_node_does_not_stay() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::start(redis.url(), 2);
    let _ann = nodes.join(0, "r", "ann").await;
    let mut let_in = 0;
    for round in 0..150_u64 {
        let name = format!("m{round}");
        let mut bob = nodes.join(1, "r", &name).await;
        bob.vanish();
        let mut again = Member::new(&nodes.servers[1].0.address, "r", bob.token.clone());
        again.open().await;
        let path = format!("/api/v1/rooms/r/members/{name}");
        let key = nodes.api.key.clone();
        let api = Api::of_nodes(&nodes.servers[0].0);
        let kicking = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_micros(round * 20 % 1500));
            api.ask("DELETE", &path, &key, None).0
        });
        let joined = again.join_now().await;
        assert_eq!(kicking.await.unwrap(), 204);
        if joined.is_ok() {
            let_in += 1;
            let closed = timeout(Duration::from_millis(500), again.closed_with()).await;
            assert_eq!(closed, Ok(CloseCode::Kicked), "{name} stays");
        }
    }
    println!("{let_in} were let in, and removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_full_who_is_on_one_node_is_not_stranded() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::start(redis.url(), 1);
    let mut ann = nodes.join(0, "r", "ann").await;
    let mut bob = nodes.join(0, "r", "bob").await;
    redis.say(&["CONFIG", "SET", "maxmemory", "1"]);
    let begun = Instant::now();
    for number in 0..30 {
        ann.send(json!(number)).await;
        hear(&mut bob, &nodes, &json!(number)).await;
        while !ann.is_answered() {
            ann.next().await.unwrap();
        }
        sleep(Duration::from_millis(200)).await;
    }
    println!("heard without Redis for {:.1?}", begun.elapsed());
    assert!(nodes.ready(0).starts_with("degraded"));
    redis.say(&["CONFIG", "SET", "maxmemory", "0"]);
    sleep(Duration::from_secs(2)).await;
    is_well(&mut [ann, bob], &nodes, "after").await;
}
