//! A server process, and members of its rooms.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The secrets of nodes that serve together.
const KEY: &str = "an-api-key-of-nodes-that-serve-together";
const SECRET: &str = "a-secret-of-nodes-that-serve-together";

pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
    agent: ureq::Agent,
    _data: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// One that shares its rooms with others.
    pub(crate) fn node(redis: &str) -> Self {
        Self::start_with(&["--redis", redis])
    }

    fn start_with(more: &[&str]) -> Self {
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
            .args(more)
            .envs([("INTERPLAY_SECRET", SECRET), ("INTERPLAY_API_KEY", KEY)])
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
        Self { process, address, agent: ureq::Agent::new_with_defaults(), _data: data }
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}{path}", self.address);
        let request = self.agent.post(url).header("authorization", format!("Bearer {KEY}"));
        request.send_json(body).unwrap().body_mut().read_json().unwrap()
    }

    pub(crate) fn token(&self, room: &str, member: &str) -> String {
        let answer = self.post("/api/v1/tokens", &json!({"room": room, "member": member}));
        answer["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Of all of the process's threads that still are.
    pub(crate) fn processor_time(&self) -> Duration {
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

pub(crate) struct Member {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) place: (String, u64, u64),
}

pub(crate) async fn join(url: &str, token: &str, place: Option<&(String, u64, u64)>) -> Member {
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

pub(crate) async fn hear(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Value {
    loop {
        let heard = timeout(PATIENCE, socket.next()).await.expect("something is said in time");
        if let Message::Text(text) = heard.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

pub(crate) async fn message(member: &mut Member) -> Value {
    loop {
        let frame = hear(&mut member.socket).await;
        if frame["type"] == "message" {
            return frame["data"].clone();
        }
    }
}
