//! Rooms, measured from outside: a real server process, real sockets, on this machine alone.
//!
//! - a storm: members dropped at once, 20 messages missed each, all back within a second;
//! - what an idle member costs the server in memory, all layers counted;
//! - what a relayed message costs it in processor time, and how long it takes.
//!
//! `--quick` does the same with a tenth of the members.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const ROOM: usize = 50;
const MISSED: usize = 20;

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    process: Child,
    address: String,
    key: String,
    agent: ureq::Agent,
    _data: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let arguments = [
            "rooms",
            "--listen",
            "127.0.0.1:0",
            "--connections-per-address",
            "100000",
            "--room-messages-per-second",
            "1000000",
            "--room-bytes-per-second",
            "1000000000",
        ];
        let mut process = Command::new(env!("CARGO_BIN_EXE_interplay"))
            .args(arguments)
            .arg("--data")
            .arg(data.path())
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).unwrap();
        let address = address.trim_end_matches("/api").to_owned();
        let key = std::fs::read_to_string(data.path().join("api-key")).unwrap();
        Self { process, address, key, agent: ureq::Agent::new_with_defaults(), _data: data }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}{path}", self.address);
        let request = self.agent.post(url).header("authorization", format!("Bearer {}", self.key));
        request.send_json(body).unwrap().body_mut().read_json().unwrap()
    }

    fn token(&self, room: &str, member: &str) -> String {
        let answer = self.post("/api/v1/tokens", &json!({"room": room, "member": member}));
        answer["token"].as_str().unwrap().to_owned()
    }

    fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Of all of the process's threads that still are.
    fn processor_time(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let nanoseconds = threads.map(|thread| {
            let path = thread.unwrap().path().join("schedstat");
            let stat = std::fs::read_to_string(path).unwrap_or_default();
            stat.split_whitespace().next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0)
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

struct Member {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    place: (String, u64, u64),
}

async fn join(url: &str, token: &str, place: Option<&(String, u64, u64)>) -> Member {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut join = json!({"type": "join", "protocol": 1, "token": token});
    if let Some((epoch, sequence, connection)) = place {
        join["resume"] = json!({"after": {"epoch": epoch, "sequence": sequence}});
        join["after"] = (*connection).into();
    }
    socket.send(Message::text(join.to_string())).await.unwrap();
    loop {
        let frame = hear(&mut socket).await;
        if frame["type"] == "joined" {
            let number = |key: &str| frame[key].as_u64().unwrap();
            let place =
                (frame["epoch"].as_str().unwrap().to_owned(), number("position"), number("connection"));
            return Member { socket, place };
        }
    }
}

async fn hear(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Value {
    loop {
        let heard = timeout(PATIENCE, socket.next()).await.expect("something is said in time");
        if let Message::Text(text) = heard.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn message(member: &mut Member) -> Value {
    loop {
        let frame = hear(&mut member.socket).await;
        if frame["type"] == "message" {
            return frame["data"].clone();
        }
    }
}

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

/// One member sends and another hears; so many messages are under way at any time.
async fn relay(class: &'static str, under_way: u32, messages: u32) {
    let server = Server::start();
    let url = format!("ws://{}/ws/rooms/r", server.address);
    let Member { socket: ann, .. } = join(&url, &server.token("r", "ann"), None).await;
    let mut bob = join(&url, &server.token("r", "bob"), None).await;
    let (mut ann, answers) = ann.split();
    // They are read, as a client does; what they say the tests check.
    let answers = tokio::spawn(answers.for_each(|_| std::future::ready(())));
    let (before, begun) = (server.processor_time(), Instant::now());
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
        "relay: {class}, 64 bytes, {under_way} under way, {:.0} messages a second: from sender to recipient {:.0} µs at \
         the median, {:.0} at p99; the server's processor {:.1} µs each",
        f64::from(messages) / begun.elapsed().as_secs_f64(),
        percentile(&times, 0.5).as_secs_f64() * 1e6,
        percentile(&times, 0.99).as_secs_f64() * 1e6,
        (server.processor_time() - before).as_secs_f64() * 1e6 / f64::from(messages),
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
                relay(class, under_way, 20_000 / share as u32).await;
            }
        }
    });
}
