//! A member of a room, as docs/protocol.md has it; and a network that can swallow everything.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use wire::close::CloseCode;

use crate::support::{NODES_API_KEY, Server};

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A room's REST API, with the server's key.
pub(crate) struct Api {
    agent: ureq::Agent,
    url: String,
    pub(crate) key: String,
}

impl Api {
    pub(crate) fn of(server: &Server, data: &std::path::Path) -> Self {
        Self::with_key(server, std::fs::read_to_string(data.join("api-key")).unwrap())
    }

    /// Of one of several nodes.
    pub(crate) fn of_nodes(server: &Server) -> Self {
        Self::with_key(server, NODES_API_KEY.to_owned())
    }

    fn with_key(server: &Server, key: String) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { agent, url: format!("http://{}", server.address), key }
    }

    /// Status and JSON of a request; null when there is no body.
    pub(crate) fn ask(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> (u16, Value) {
        let request = tungstenite::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut answer = self.agent.run(request.body(body).unwrap()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, &self.key, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, &self.key, Some(body))
    }

    pub(crate) fn token(&self, room: &str, member: &str) -> String {
        let (status, answer) = self.post("/api/v1/tokens", &json!({"room": room, "member": member}));
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }
}

/// A member's client. It keeps the rules: chains of `prev`, counters, what was not answered.
pub(crate) struct Member {
    pub(crate) address: String,
    pub(crate) room: String,
    pub(crate) token: String,
    sender: String,
    socket: Option<Socket>,
    counter: u64,
    unanswered: VecDeque<(u64, Value)>,
    place: Option<(String, u64, u64)>,
    /// What it heard, in order.
    pub(crate) heard: Vec<Value>,
    /// `reconnection-detected` of the last connection.
    pub(crate) returned: Option<Value>,
    pub(crate) joined: Value,
    pub(crate) gaps: u64,
    /// What it heard without a number.
    pub(crate) unsequenced: Vec<Value>,
    /// What it sent and is in the log.
    pub(crate) kept: Vec<Value>,
    /// How many of its messages nobody knows of.
    pub(crate) unknown: u64,
    attempts: usize,
    /// What became of others, as `member: state`.
    pub(crate) presences: Vec<String>,
}

impl Member {
    pub(crate) fn new(address: &str, room: &str, token: String) -> Self {
        Self {
            address: address.to_owned(),
            room: room.to_owned(),
            token,
            sender: format!("{:p}", Box::leak(Box::new(0_u8))),
            socket: None,
            counter: 0,
            unanswered: VecDeque::new(),
            place: None,
            heard: Vec::new(),
            returned: None,
            joined: Value::Null,
            gaps: 0,
            unsequenced: Vec::new(),
            kept: Vec::new(),
            unknown: 0,
            attempts: 0,
            presences: Vec::new(),
        }
    }

    /// A member that is here.
    pub(crate) async fn join(server: &Server, api: &Api, room: &str, member: &str) -> Self {
        let mut member = Self::new(&server.address, room, api.token(room, member));
        member.connect().await.unwrap();
        member
    }

    /// Opens the socket and says nothing.
    pub(crate) async fn open(&mut self) {
        self.try_to_open().await.unwrap();
    }

    async fn try_to_open(&mut self) -> Result<(), tungstenite::Error> {
        let url = format!("ws://{}/ws/rooms/{}", self.address, self.room);
        let opened = timeout(PATIENCE, tokio_tungstenite::connect_async(url)).await.unwrap();
        self.socket = Some(opened?.0);
        Ok(())
    }

    /// Comes back to where it was, over the first of these addresses at which somebody lets it in.
    pub(crate) async fn come_back(&mut self, addresses: &Mutex<Vec<String>>) {
        let begun = Instant::now();
        for attempt in self.attempts.. {
            assert!(begun.elapsed() < PATIENCE, "{} does not come back", self.room);
            let address = {
                let addresses = addresses.lock().unwrap();
                addresses[attempt % addresses.len()].clone()
            };
            self.address = address;
            self.attempts = attempt;
            let (resume, after) = self.place();
            if self.try_to_open().await.is_ok() {
                match self.attempt(resume, after).await {
                    Ok(()) => return,
                    Err(Some(code)) if !CloseCode::means_come_back(code.number()) => panic!("{code:?}"),
                    Err(_) => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Joins over the socket that is open.
    pub(crate) async fn join_now(&mut self) -> Result<(), CloseCode> {
        self.attempt(None, None).await.map_err(worded)
    }

    fn place(&self) -> (Option<Value>, Option<u64>) {
        let resume = self.place.as_ref().map(|(epoch, last, connection)| {
            (json!({"after": {"epoch": epoch, "sequence": last}}), *connection)
        });
        resume.map_or((None, None), |(resume, after)| (Some(resume), Some(after)))
    }

    /// Comes, or comes back to where it was.
    pub(crate) async fn connect(&mut self) -> Result<(), CloseCode> {
        let (resume, after) = self.place();
        self.connect_from(resume, after).await
    }

    pub(crate) async fn connect_from(
        &mut self,
        resume: Option<Value>,
        after: Option<u64>,
    ) -> Result<(), CloseCode> {
        self.open().await;
        self.attempt(resume, after).await.map_err(worded)
    }

    async fn attempt(&mut self, resume: Option<Value>, after: Option<u64>) -> Result<(), Option<CloseCode>> {
        let mut join = json!({"type": "join", "protocol": 1, "token": self.token, "sender": self.sender});
        if let Some(resume) = resume {
            join["resume"] = resume;
        }
        if let Some(after) = after {
            join["after"] = after.into();
        }
        self.say(&join).await;
        self.returned = None;
        loop {
            let frame = self.next().await?;
            match frame["type"].as_str().unwrap() {
                "reconnection-detected" => {
                    self.gaps += u64::from(!frame["gap"].is_null());
                    self.returned = Some(frame);
                }
                "joined" => {
                    let number = |key: &str| frame[key].as_u64().unwrap();
                    let epoch = frame["epoch"].as_str().unwrap().to_owned();
                    if self.place.as_ref().is_some_and(|(before, ..)| *before != epoch) {
                        // Whether these arrived nobody knows.
                        self.unknown += self.unanswered.len() as u64;
                        self.unanswered.clear();
                    }
                    self.place = Some((epoch, number("position"), number("connection")));
                    let accepted = number("accepted");
                    self.joined = frame;
                    self.unanswered.retain(|(n, _)| *n > accepted);
                    for (n, data) in self.unanswered.clone() {
                        self.say(&json!({"type": "send", "n": n, "data": data})).await;
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    /// The server may have hung up meanwhile; what it said then is still to be read.
    pub(crate) async fn say(&mut self, frame: &Value) {
        self.say_text(&frame.to_string()).await;
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        if let Some(socket) = &mut self.socket {
            socket.send(Message::text(text)).await.ok();
        }
    }

    pub(crate) async fn say_bytes(&mut self, bytes: Vec<u8>) {
        self.socket.as_mut().unwrap().send(Message::binary(bytes)).await.ok();
    }

    /// Sends, and does not wait for the answer.
    pub(crate) async fn send(&mut self, data: Value) -> u64 {
        self.counter += 1;
        let n = self.counter;
        self.unanswered.push_back((n, data.clone()));
        self.say(&json!({"type": "send", "n": n, "data": data})).await;
        n
    }

    /// Everything that it sent has been answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// The next frame, or the code with which the server closed.
    pub(crate) async fn frame(&mut self) -> Result<Value, CloseCode> {
        self.next().await.map_err(worded)
    }

    /// The next frame, or the code with which the server closed, if it has told one.
    pub(crate) async fn next(&mut self) -> Result<Value, Option<CloseCode>> {
        loop {
            let socket = self.socket.as_mut().unwrap();
            match timeout(PATIENCE, socket.next()).await.expect("something is said in time") {
                Some(Ok(Message::Text(text))) => {
                    let frame = serde_json::from_str(&text).unwrap();
                    self.take(&frame);
                    return Ok(frame);
                }
                Some(Ok(Message::Binary(bytes))) => {
                    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
                    let mut frame: Value = serde_json::from_slice(&bytes[2..2 + length]).unwrap();
                    frame["data"] = json!(bytes[2 + length..].to_vec());
                    self.take(&frame);
                    return Ok(frame);
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    let code = CloseCode::from_number(close.code.into());
                    return Err(Some(code.expect("one of ours")));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    fn take(&mut self, frame: &Value) {
        if frame["type"] == "sent" {
            let n = frame["n"].as_u64().unwrap();
            if frame["sequence"].is_u64() {
                let own = self.unanswered.iter().filter(|(own, _)| *own == n);
                self.kept.extend(own.map(|(_, data)| data.clone()));
            }
            self.unanswered.retain(|(own, _)| *own != n);
        }
        if frame["type"] == "presence" {
            let word = |key: &str| frame[key].as_str().unwrap().to_owned();
            self.presences.push(format!("{}: {}", word("member"), word("state")));
        }
        if frame["type"] == "message" && frame["sequence"].is_null() {
            self.unsequenced.push(frame["data"].clone());
        }
        if frame["type"] == "message"
            && let Some(sequence) = frame["sequence"].as_u64()
        {
            let (_, last, _) = self.place.as_mut().unwrap();
            assert_eq!(frame["prev"].as_u64(), Some(*last), "{frame} does not follow {last}");
            assert!(sequence > *last, "{frame} comes after {last}");
            *last = sequence;
            self.heard.push(frame["data"].clone());
        }
    }

    /// The next frame of a type; others are passed over.
    pub(crate) async fn frame_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await.unwrap();
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// The next message's data.
    pub(crate) async fn message(&mut self) -> Value {
        self.frame_of("message").await["data"].clone()
    }

    /// Sends, and waits until it is kept.
    pub(crate) async fn send_and_wait(&mut self, data: Value) -> u64 {
        let n = self.send(data).await;
        loop {
            let sent = self.frame_of("sent").await;
            if sent["n"] == n {
                return sent["sequence"].as_u64().unwrap();
            }
        }
    }

    /// Acknowledges what it heard.
    pub(crate) async fn acknowledge(&mut self) {
        let last = self.place.as_ref().unwrap().1;
        self.say(&json!({"type": "ack", "sequence": last})).await;
    }

    /// The code with which the server closes, whatever it says before.
    pub(crate) async fn closed_with(&mut self) -> CloseCode {
        loop {
            if let Err(code) = self.frame().await {
                return code;
            }
        }
    }

    /// The connection is gone, without a close frame.
    pub(crate) fn vanish(&mut self) {
        if let Some(socket) = self.socket.take()
            && let MaybeTlsStream::Plain(stream) = socket.get_ref()
        {
            stream.set_zero_linger().ok();
        }
    }

    /// The page forgets everything but its token.
    pub(crate) fn reload(&mut self) {
        *self = Self::new(&self.address, &self.room, self.token.clone());
    }

    pub(crate) fn connection(&self) -> u64 {
        self.place.as_ref().unwrap().2
    }
}

fn worded(code: Option<CloseCode>) -> CloseCode {
    code.expect("the connection ended without a word")
}

/// A way to the server that can begin to swallow everything, both ways, with nobody noticing.
pub(crate) struct Way {
    pub(crate) address: String,
    swallows: Arc<AtomicBool>,
}

impl Way {
    pub(crate) async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let swallows = Arc::new(AtomicBool::new(false));
        let (target, switch) = (server.address.clone(), Arc::clone(&swallows));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.unwrap();
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let (near, far) = (near.into_split(), far.into_split());
                for (mut from, mut to) in [(near.0, far.1), (far.0, near.1)] {
                    let switch = Arc::clone(&switch);
                    tokio::spawn(async move {
                        let mut buffer = vec![0; 4096];
                        while let Ok(length) = from.read(&mut buffer).await {
                            if switch.load(Ordering::Relaxed) {
                                // Open to both, and deaf.
                                std::future::pending::<()>().await;
                            }
                            if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
                                return;
                            }
                        }
                    });
                }
            }
        });
        Self { address, swallows }
    }

    /// From here on nothing passes.
    pub(crate) fn swallow(&self) {
        self.swallows.store(true, Ordering::Relaxed);
    }
}
