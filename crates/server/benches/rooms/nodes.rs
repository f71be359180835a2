//! Rooms on two nodes, and a real Redis server between them.

use std::time::{Duration, Instant};

use futures_util::SinkExt;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::redis_servers::server::Server as Redis;
use crate::relay;
use crate::support::{Server, hear, join};

pub(crate) async fn measure(share: usize) {
    for class in ["normal", "volatile"] {
        for under_way in [1, 8] {
            let (_redis, nodes) = start();
            let [one, other] = &nodes;
            relay("two nodes", [one, other], ("r", class), (under_way, 10_000 / share as u32)).await;
        }
    }
    flood(20_000 / share).await;
    memory(2_000 / share).await;
}

fn start() -> (Redis, [Server; 2]) {
    let redis = Redis::start(&[]);
    let nodes = [(); 2].map(|()| Server::node(&redis.url()));
    (redis, nodes)
}

/// A field of what Redis says of itself.
fn field(redis: &Redis, section: &str, name: &str) -> f64 {
    let info = redis.text(&["INFO", section]);
    let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_start_matches([':', '='])
        .split([',', '\r'])
        .next()
        .unwrap_or_default()
        .parse()
        .unwrap_or_default()
}

/// What scripts have cost: how many there were, and their processor time in microseconds.
fn scripts(redis: &Redis) -> (f64, f64) {
    let stats = redis.text(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap_or_default();
    let number = |name: &str| -> f64 {
        let found = line.split([':', ',']).find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|number| number.parse().ok()).unwrap_or_default()
    };
    (number("calls"), number("usec"))
}

/// As many rooms as keep both nodes busy, with a member of each on either node; each sends as soon as it has an answer.
async fn flood(messages: usize) {
    const ROOMS: usize = 32;
    let (redis, nodes) = start();
    let each = messages / ROOMS / 2;
    let mut members = Vec::new();
    for room in 0..ROOMS {
        let room = format!("room-{room}");
        for (node, name) in nodes.iter().zip(["ann", "bob"]) {
            let url = format!("ws://{}/ws/rooms/{room}", node.address);
            members.push(join(&url, &node.token(&room, name), None).await);
        }
    }
    let spent = || nodes.iter().map(Server::processor_time).sum::<Duration>();
    let (before, scripts_before, begun) = (spent(), scripts(&redis), Instant::now());
    let cpu = field(&redis, "cpu", "used_cpu_user") + field(&redis, "cpu", "used_cpu_sys");
    let mut tasks = JoinSet::new();
    for mut member in members {
        tasks.spawn(async move {
            let (mut answered, mut heard) = (0, 0);
            for n in 1..=each {
                let send = json!({"type": "send", "n": n, "data": "x".repeat(64)});
                member.socket.send(Message::text(send.to_string())).await.unwrap();
                while answered < n {
                    let frame = hear(&mut member.socket).await;
                    answered += usize::from(frame["type"] == "sent");
                    heard += usize::from(frame["type"] == "message");
                }
            }
            while heard < each {
                heard += usize::from(hear(&mut member.socket).await["type"] == "message");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let (took, sent) = (begun.elapsed().as_secs_f64(), (each * ROOMS * 2) as f64);
    let (calls, time) = scripts(&redis);
    let (calls, time) = (calls - scripts_before.0, time - scripts_before.1);
    let cpu = field(&redis, "cpu", "used_cpu_user") + field(&redis, "cpu", "used_cpu_sys") - cpu;
    println!(
        "two nodes: {ROOMS} rooms, {} senders: {:.0} messages a second kept and heard on the other node; processor {:.0} µs \
         each of both nodes, {:.0} µs of Redis; {:.2} messages a script, {:.1} µs a script",
        ROOMS * 2,
        sent / took,
        (spent() - before).as_secs_f64() * 1e6 / sent,
        cpu * 1e6 / sent,
        sent / calls,
        time / calls,
    );
}

/// What a room and a member cost in nodes and in Redis when nothing happens.
async fn memory(rooms: usize) {
    const MEMBERS: usize = 5;
    let (redis, nodes) = start();
    let mut held = Vec::new();
    let used =
        || (nodes.iter().map(Server::resident_bytes).sum::<u64>(), field(&redis, "memory", "used_memory"));
    let mut before = used();
    for number in 0..=rooms {
        let room = format!("room-{number}");
        for member in 0..MEMBERS {
            let node = &nodes[member % 2];
            let url = format!("ws://{}/ws/rooms/{room}", node.address);
            held.push(join(&url, &node.token(&room, &format!("m{member}")), None).await);
        }
        if number == 0 {
            before = used();
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = used();
    println!(
        "two nodes: {rooms} rooms of {MEMBERS}: {} bytes of both nodes a member, {:.0} bytes of Redis a room",
        (after.0 - before.0) / (rooms * MEMBERS) as u64,
        (after.1 - before.1) / rooms as f64,
    );
    let messages = |count: usize| {
        let room = format!("full-{count}");
        for number in 0..count {
            let path = format!("/api/v1/rooms/{room}/messages");
            nodes[0].post(&path, &json!({"data": [number, "x".repeat(190)]}));
        }
        let keys = redis.keys(&format!("{{{room}}}"));
        keys.iter().map(|key| redis.number(&["MEMORY", "USAGE", key, "SAMPLES", "0"])).sum::<i64>()
    };
    let (empty, full) = (messages(1), messages(50));
    println!("two nodes: keys of a room with 1 message of 200 bytes: {empty} bytes; with 50: {full} bytes");
}
