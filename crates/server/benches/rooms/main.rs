//! Rooms, measured from outside: a real server process, real sockets, on this machine alone.
//!
//! - a storm: members dropped at once, 20 messages missed each, all back within a second;
//! - what an idle member costs the server in memory, all layers counted;
//! - what a relayed message costs it in processor time, and how long it takes;
//! - the same on two nodes that share their rooms through Redis, and what that costs there.
//!
//! `--quick` does the same with a tenth of the members.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod nodes;
#[path = "../../tests/scenarios/redis_servers.rs"]
mod redis_servers;
mod support;

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::Message;

use support::{Member, Server, join, message};

const ROOM: usize = 50;
const MISSED: usize = 20;

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

async fn storm(members: usize) {
    let server = Server::start();
    let rooms = members / ROOM;
    let mut away = Vec::new();
    for room in 0..rooms {
        let url = format!("ws://{}/ws/rooms/room-{room}", server.address);
        for number in 0..ROOM {
            let token = server.token(&format!("room-{room}"), &format!("m{number}"));
            let member = join(&url, &token, None).await;
            away.push((url.clone(), token, member));
        }
    }
    // Dropped at once, without a word.
    let away: Vec<_> = away
        .into_iter()
        .map(|(url, token, Member { socket, place })| {
            if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
                stream.set_zero_linger().unwrap();
            }
            (url, token, place)
        })
        .collect();
    for room in 0..rooms {
        for number in 0..MISSED {
            server.post(&format!("/api/v1/rooms/room-{room}/messages"), &json!({"data": number}));
        }
    }
    let mut returning = JoinSet::new();
    let begun = Instant::now();
    for (at, (url, token, place)) in away.into_iter().enumerate() {
        let delay = Duration::from_secs(1).mul_f64(at as f64 / members as f64);
        returning.spawn(async move {
            tokio::time::sleep_until((begun + delay).into()).await;
            let begun = Instant::now();
            let mut member = join(&url, &token, Some(&place)).await;
            for number in 0..MISSED {
                assert_eq!(message(&mut member).await, number, "lost, double or out of order");
            }
            (begun.elapsed(), member)
        });
    }
    let mut times = Vec::new();
    let mut back = Vec::new();
    while let Some(done) = returning.join_next().await {
        let (time, member) = done.unwrap();
        times.push(time);
        back.push(member);
    }
    times.sort_unstable();
    println!(
        "storm: {members} members back within {:.2} s, {MISSED} messages missed each: 0 lost; from reconnecting to the last \
         replayed message p50 {:.1} ms, p99 {:.1} ms",
        begun.elapsed().as_secs_f64(),
        percentile(&times, 0.5).as_secs_f64() * 1000.0,
        percentile(&times, 0.99).as_secs_f64() * 1000.0,
    );
}

async fn idle(members: usize) {
    let server = Server::start();
    let mut held = Vec::new();
    let mut before = 0;
    for number in 0..members + ROOM {
        // The first room is there before: what the process needs once is not an idle member's.
        if number == ROOM {
            before = server.resident_bytes();
        }
        let room = format!("room-{}", number / ROOM);
        let token = server.token(&room, &format!("m{number}"));
        held.push(join(&format!("ws://{}/ws/rooms/{room}", server.address), &token, None).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let bytes = (server.resident_bytes() - before) / members as u64;
    println!("idle: {members} members in rooms of {ROOM}: {bytes} bytes of the server's memory each");
}

/// One member sends and another hears, over these servers; so many messages are under way at any time.
async fn relay(
    what: &str,
    [from, to]: [&Server; 2],
    (room, class): (&str, &'static str),
    (under_way, messages): (u32, u32),
) {
    let url = |server: &Server| format!("ws://{}/ws/rooms/{room}", server.address);
    let Member { socket: ann, .. } = join(&url(from), &from.token(room, "ann"), None).await;
    let mut bob = join(&url(to), &from.token(room, "bob"), None).await;
    let (mut ann, answers) = ann.split();
    // They are read, as a client does; what they say the tests check.
    let answers = tokio::spawn(answers.for_each(|_| std::future::ready(())));
    let spent = || {
        let other = if std::ptr::eq(from, to) { Duration::ZERO } else { to.processor_time() };
        from.processor_time() + other
    };
    let (before, begun) = (spent(), Instant::now());
    let mut sent = VecDeque::new();
    let mut times = Vec::new();
    for number in 1..=messages + under_way {
        if number <= messages {
            let send = json!({"type": "send", "n": number, "class": class, "data": "x".repeat(64)});
            sent.push_back(Instant::now());
            ann.send(Message::text(send.to_string())).await.unwrap();
        }
        if number > under_way {
            message(&mut bob).await;
            times.extend(sent.pop_front().map(|sent| sent.elapsed()));
        }
    }
    answers.abort();
    times.sort_unstable();
    println!(
        "{what}: {class}, 64 bytes, {under_way} under way, {:.0} messages a second: from sender to recipient {:.0} µs at \
         the median, {:.0} at p99; processor {:.1} µs each",
        f64::from(messages) / begun.elapsed().as_secs_f64(),
        percentile(&times, 0.5).as_secs_f64() * 1e6,
        percentile(&times, 0.99).as_secs_f64() * 1e6,
        (spent() - before).as_secs_f64() * 1e6 / f64::from(messages),
    );
}

fn main() {
    let share = if std::env::args().any(|argument| argument == "--quick") { 10 } else { 1 };
    assert!(Path::new(env!("CARGO_BIN_EXE_interplay")).exists());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        storm(2000 / share).await;
        idle(10_000 / share).await;
        for class in ["normal", "volatile"] {
            for under_way in [1, 8] {
                let server = Server::start();
                let messages = 20_000 / share as u32;
                relay("relay", [&server; 2], ("r", class), (under_way, messages)).await;
            }
        }
        nodes::measure(share).await;
    });
}
