//! A server process, and a page's side of its control channel.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};
use wire::PROTOCOL_VERSION;
use wire::close::CloseCode;
use wire::control::{ClientMessage, GameStart, SceneKind, ServerMessage, place_of};

/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that nobody has, over UDP or TCP, and that the system gives to nobody who does not ask for it: another would have it before
/// a server does.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id() as u16);
        let port = 12_000 + number % 20_000;
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The binary with some arguments.
pub(crate) fn interplay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interplay"));
    command.args(arguments).env("RUST_LOG", "error");
    command
}

/// What nodes share.
pub(crate) const NODES_SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const NODES_API_KEY: &str = "fedcba9876543210fedcba9876543210";
const NODES: [(&str, &str); 2] = [("INTERPLAY_SECRET", NODES_SECRET), ("INTERPLAY_API_KEY", NODES_API_KEY)];

/// One process of the server.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
}

impl Server {
    /// Serves the demo on a free port.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(data: &Path, arguments: &[&str]) -> Self {
        Self::start_in(arguments, data, &[])
    }

    /// The same, with variables.
    pub(crate) fn start_in(arguments: &[&str], data: &Path, variables: &[(&str, &str)]) -> Self {
        Self::begin(&[&["demo", "--players", "2"], arguments].concat(), data, variables)
    }

    /// Any command that serves.
    pub(crate) fn start_as(arguments: &[&str], data: &Path) -> Self {
        Self::begin(arguments, data, &[])
    }

    /// One of several nodes, for rooms alone.
    pub(crate) fn node(data: &Path, redis: &str, arguments: &[&str]) -> Self {
        Self::node_in(data, redis, arguments, &[])
    }

    /// The same, with more variables.
    pub(crate) fn node_in(data: &Path, redis: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let variables = [&NODES, variables].concat();
        Self::begin(&[&["rooms", "--redis", redis], arguments].concat(), data, &variables)
    }

    fn begin(arguments: &[&str], data: &Path, variables: &[(&str, &str)]) -> Self {
        Self::spawn("127.0.0.1:0", arguments, data, variables)
    }

    /// One of several nodes of the demo, with more arguments; or, with `run` and a folder, of an experiment.
    pub(crate) fn start_node(database: &str, data: &Path, arguments: &[&str]) -> Self {
        // Others must be told of it before it is there.
        let free = format!("127.0.0.1:{}", free_port());
        let node = format!("http://{free}");
        let demo = ["demo", "--players", "2"];
        let served = if arguments.first() == Some(&"run") { &[][..] } else { &demo[..] };
        let all = [served, arguments, &["--database", database, "--node", &node]].concat();
        Self::spawn(&free, &all, data, &NODES)
    }

    fn spawn(listen: &str, arguments: &[&str], data: &Path, variables: &[(&str, &str)]) -> Self {
        let mut process = interplay(arguments)
            .args(["--listen", listen, "--data"])
            .arg(data)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        let address = address.trim_end_matches("/api").to_owned();
        Self { process, address }
    }

    /// SIGKILL; waits for the process's end.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let told = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// SIGTERM; waits for the process's end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.process.wait().unwrap()
    }

    /// The process's memory, as the system counts it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// A new visit's token.
    pub(crate) fn visit(&self) -> String {
        self.visit_of(&serde_json::json!({}))
    }

    /// A token for whoever comes by an entry link with these parameters.
    pub(crate) fn visit_of(&self, entry: &Value) -> String {
        let url = format!("http://{}/api/v1/visits", self.address);
        let request = serde_json::json!({ "entry": entry });
        let answer: Value = ureq::post(&url).send_json(request).unwrap().body_mut().read_json().unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Status and body of a GET.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(format!("http://{}{path}", self.address)).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A failing test must not leave a server behind; one that has ended cannot be killed again.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Whether a node runs the experiment's stage.
pub(crate) fn has_the_stage(server: &Server) -> bool {
    server.get("/metrics").1.lines().any(|line| line == "interplay_stage_owner 1")
}

/// A message, and if it is numbered its number and that of the one before it.
type Placed = (Option<(u64, u64)>, ServerMessage);

/// A page's control channel.
pub(crate) struct Page {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
}

impl Page {
    /// Connects and says nothing.
    pub(crate) fn connect(server: &Server) -> Self {
        Self::connect_as(format!("ws://{}/ws", server.address).into_client_request().unwrap())
    }

    fn connect_as(request: Request) -> Self {
        let (socket, _) = tungstenite::connect(request).unwrap();
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Self { socket }
    }

    /// Connects as a browser that calls itself so, and says hello.
    pub(crate) fn open_in(server: &Server, token: &str, user_agent: Option<&str>) -> Self {
        let mut request = format!("ws://{}/ws", server.address).into_client_request().unwrap();
        if let Some(user_agent) = user_agent {
            request.headers_mut().insert("user-agent", user_agent.parse().unwrap());
        }
        Self::connect_as(request).with_hello(token, 1, "", 0)
    }

    /// Connects and says hello.
    pub(crate) fn open(server: &Server, token: &str) -> Self {
        Self::resume(server, token, "", 0)
    }

    /// Comes back to where it was.
    pub(crate) fn resume(server: &Server, token: &str, epoch: &str, sequence: u64) -> Self {
        Self::hello(server, token, 1, epoch, sequence)
    }

    /// A page load of this number, which knows nothing yet; the first has the number 1.
    pub(crate) fn load(server: &Server, token: &str, page: u64) -> Self {
        Self::hello(server, token, page, "", 0)
    }

    /// A page that came with these texts.
    pub(crate) fn open_with(server: &Server, token: &str, texts: &str) -> Self {
        let mut own = Self::connect(server);
        let (token, epoch, texts) = (token.to_owned(), String::new(), Some(texts.to_owned()));
        let (protocol, page, sequence) = (PROTOCOL_VERSION, 1, 0);
        own.say(&ClientMessage::Hello { protocol, token, page, epoch, sequence, texts });
        own
    }

    fn hello(server: &Server, token: &str, page: u64, epoch: &str, sequence: u64) -> Self {
        Self::connect(server).with_hello(token, page, epoch, sequence)
    }

    fn with_hello(mut self, token: &str, page: u64, epoch: &str, sequence: u64) -> Self {
        let (token, epoch) = (token.to_owned(), epoch.to_owned());
        let texts = None;
        self.say(&ClientMessage::Hello { protocol: PROTOCOL_VERSION, token, page, epoch, sequence, texts });
        self
    }

    pub(crate) fn say(&mut self, message: &ClientMessage) {
        self.say_text(&serde_json::to_string(message).unwrap());
    }

    /// The server may have hung up meanwhile; what it said then is still to be read.
    pub(crate) fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).ok();
    }

    /// The next message, or the frame that closed the connection.
    pub(crate) fn hear(&mut self) -> Result<ServerMessage, Option<CloseFrame>> {
        self.hear_placed().map(|(_, message)| message)
    }

    /// The next message with its number and that of the one before it, if it is numbered.
    pub(crate) fn hear_placed(&mut self) -> Result<Placed, Option<CloseFrame>> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    return Ok((place_of(&text), serde_json::from_str(&text).unwrap()));
                }
                Ok(Message::Close(frame)) => return Err(frame),
                Ok(_) => {}
                // Reading with a limit is not taken up again by itself after this process stood still.
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("the connection ended without a word: {error}"),
            }
        }
    }

    /// What `wanted` makes of the first message that it wants; others are passed over.
    pub(crate) fn hear_until<T>(&mut self, wanted: impl Fn(ServerMessage) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.hear().unwrap()) {
                return found;
            }
        }
    }

    /// What the server says before the connection ends, in whatever way.
    pub(crate) fn last_words(&mut self) -> Vec<ServerMessage> {
        let mut words = Vec::new();
        while let Ok(message) = self.socket.read() {
            match message {
                Message::Text(text) => words.push(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => break,
                _ => {}
            }
        }
        words
    }

    /// Is there no more, as after a lost network: the socket stays open, and nobody reads it.
    pub(crate) fn vanish(self) {
        // Half-open: the socket stays, and nobody is there.
        std::mem::forget(self.socket);
    }

    /// The code with which the server closes, whatever it says before.
    pub(crate) fn closed_with(&mut self) -> CloseCode {
        loop {
            if let Err(frame) = self.hear() {
                return CloseCode::from_number(frame.expect("a close frame").code.into())
                    .expect("one of ours");
            }
        }
    }

    /// Presses the start scene's button.
    pub(crate) fn enter_lobby(&mut self) {
        loop {
            if let ServerMessage::ActivateScene { scene } = self.hear().unwrap()
                && matches!(scene.kind, SceneKind::Start { .. })
            {
                return self
                    .say(&ClientMessage::AdvanceScene { scene_id: scene.id, answers: Default::default() });
            }
        }
    }

    /// Waits to be matched.
    pub(crate) fn game_start(&mut self) -> GameStart {
        loop {
            if let ServerMessage::GameStart(start) = self.hear().unwrap() {
                return *start;
            }
        }
    }
}

/// Runs a command that ends by itself: its code, and what it said on the error stream.
pub(crate) fn ended(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}
