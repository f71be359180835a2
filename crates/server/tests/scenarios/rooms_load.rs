//! Rooms under load: whoever comes back at any moment hears everything once and in order (R1, R3, R7, R8).

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use wire::close::CloseCode;

use crate::member::{Api, Member, Way};
use crate::support::Server;

fn start() -> (Server, Api, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--connections-per-address", "1000"]);
    let api = Api::of(&server, data.path());
    (server, api, data)
}

/// Numbers that a seed repeats.
fn rng(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut rng = base::Rng::from_seed(base::derive_seed(seed, 0));
    move |bound| rng.below(bound)
}

/// Listens until it has heard this many, and is away now and then.
async fn listen(mut member: Member, expected: usize, seed: u64) -> (usize, u64, Vec<Value>) {
    let mut below = rng(seed);
    let mut returns = 0;
    while member.heard.len() < expected {
        let leaves_at = member.heard.len() + 1 + below(120) as usize;
        while member.heard.len() < leaves_at.min(expected) {
            member.message().await;
            if member.heard.len().is_multiple_of(16) {
                member.acknowledge().await;
            }
        }
        if member.heard.len() < expected {
            member.vanish();
            tokio::time::sleep(Duration::from_millis(below(300))).await;
            member.connect().await.unwrap();
            returns += 1;
        }
    }
    (returns, member.gaps, member.heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_falls_between_replay_and_live() {
    const ROOMS: usize = 10;
    const LISTENERS: usize = 20;
    const SENDERS: usize = 4;
    const EACH: usize = 150;
    let (server, api, _data) = start();
    let mut listeners = JoinSet::new();
    let mut senders = JoinSet::new();
    let mut ready = Vec::new();
    for room in 0..ROOMS {
        let name = format!("room-{room}");
        for number in 0..LISTENERS {
            let member = Member::join(&server, &api, &name, &format!("l{number}")).await;
            listeners.spawn(listen(member, SENDERS * EACH, (room * LISTENERS + number) as u64));
        }
        for number in 0..SENDERS {
            ready.push((number, Member::join(&server, &api, &name, &format!("s{number}")).await));
        }
    }
    let begun = Instant::now();
    for (number, mut sender) in ready {
        senders.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(40));
            for at in 0..EACH {
                ticks.tick().await;
                sender.send(json!([number, at])).await;
                while !sender.is_answered() {
                    sender.frame().await.unwrap();
                }
            }
            sender
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }
    let rate = (ROOMS * SENDERS * EACH) as f64 / begun.elapsed().as_secs_f64();
    let mut returns = 0;
    while let Some(heard) = listeners.join_next().await {
        let (times, gaps, heard) = heard.unwrap();
        returns += times;
        assert_eq!(gaps, 0, "a gap");
        // Once each, and each sender's in its order; `prev` was checked with every message.
        for number in 0..SENDERS {
            let own = heard.iter().filter(|data| data[0] == number).map(|data| data[1].as_u64().unwrap());
            assert!(own.eq(0..EACH as u64), "sender {number}");
        }
    }
    println!(
        "{} listeners returned {returns} times while {rate:.0} messages a second were sent: 0 lost",
        ROOMS * LISTENERS
    );
    assert!(returns >= ROOMS * LISTENERS * 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_drops_lose_nothing_in_a_hundred_rooms() {
    let (server, api, _data) = start();
    let mut rooms = JoinSet::new();
    for room in 0..100_u64 {
        let name = format!("room-{room}");
        let way = Way::to(&server).await;
        let mut sender = Member::join(&server, &api, &name, "sender").await;
        let mut listener = Member::new(&way.address, &name, api.token(&name, "listener"));
        listener.connect().await.unwrap();
        let address = server.address.clone();
        rooms.spawn(async move {
            let mut below = rng(room);
            let swallowed_after = 5 + below(20);
            let back_after = swallowed_after + 5 + below(20);
            let sending = tokio::spawn(async move {
                for number in 0..60 {
                    sender.send(json!(number)).await;
                    while !sender.is_answered() {
                        sender.frame().await.unwrap();
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                sender
            });
            while (listener.heard.len() as u64) < swallowed_after {
                listener.message().await;
            }
            way.swallow();
            tokio::time::sleep(Duration::from_millis((back_after - swallowed_after) * 6)).await;
            listener.address = address;
            listener.connect().await.unwrap();
            let missed = listener.returned.as_ref().unwrap()["missed_message_count"].as_u64().unwrap();
            while listener.heard.len() < 60 {
                listener.message().await;
            }
            sending.await.unwrap();
            assert!(listener.heard.iter().eq((0..60).map(|number| json!(number)).collect::<Vec<_>>().iter()));
            assert_eq!(listener.gaps, 0);
            missed
        });
    }
    let mut missed = 0;
    while let Some(room) = rooms.join_next().await {
        missed += room.unwrap();
    }
    println!("100 half-open drops: {missed} messages missed, 0 lost");
    assert!(missed > 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_holds_nobody_up_and_takes_no_memory() {
    let (server, api, _data) = start();
    let mut sender = Member::join(&server, &api, "r", "sender").await;
    let mut reader = Member::join(&server, &api, "r", "reader").await;
    let mut slow = Member::join(&server, &api, "r", "slow").await;
    let before = server.resident_bytes();
    let payload = "x".repeat(8 * 1024);
    let mut slowest = Duration::ZERO;
    for _ in 0..1200 {
        let sent = Instant::now();
        sender.send_and_wait(json!(payload)).await;
        reader.message().await;
        slowest = slowest.max(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(34)).await;
        if reader.heard.len().is_multiple_of(8) {
            reader.acknowledge().await;
        }
        if api.get("/api/v1/rooms/r").1["members"][2]["is_connected"] == false {
            break;
        }
    }
    let grown = server.resident_bytes().saturating_sub(before);
    let sent = reader.heard.len();
    println!(
        "cut off after {sent} messages of 8 KiB; memory grew by {} KiB; others waited {slowest:?} at most",
        grown / 1024
    );
    assert!(sent > 128, "what a socket and the queue hold is not slow: {sent}");
    assert!(sent < 1200, "it was never cut off");
    assert!(grown < 8 << 20, "{grown} bytes");
    // It reads what its socket still held, is told to come back, and does.
    assert_eq!(slow.closed_with().await, CloseCode::SlowReader);
    slow.connect().await.unwrap();
    sender.send_and_wait(json!("live")).await;
    while slow.message().await != "live" {}
    let returned = slow.returned.as_ref().unwrap();
    assert_eq!(slow.heard.len() <= sent, !returned["gap"].is_null(), "all, or a gap: {returned}");
}
