//! Bots in the world: a thread each, with a socket, HTTP, and time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use base::{Rng, Timestamp, derive_seed};
use futures_util::{SinkExt, StreamExt};
use host::Module;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant as Moment, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use wire::close::CloseCode;
use wire::control::EnvironmentRef;
use wire::transfer::MAX_TRANSFER_BYTES;

use crate::answers::Wrong;
use crate::participant::{Act, Participant};
use crate::play::{Asked, Request};

/// The entry parameter by which a visit is known as a bot's.
pub const MARK: &str = "bot";

/// How long a connection or an answer may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Between two visits, and after one that came to nothing.
const BETWEEN: Duration = Duration::from_millis(500);
const AFTER_FAILURE: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What bots need.
#[derive(Debug)]
pub struct Bots {
    /// Where the server listens.
    pub server: SocketAddr,
    /// Proves to it that they are its own.
    pub key: String,
    /// How many.
    pub count: u16,
    /// What they press and answer follows from it.
    pub seed: u64,
    /// Prepared environments to be compiled before anybody waits for them.
    pub environments: Vec<Vec<u8>>,
    /// Whether they come back when the server says that it goes away, because another goes on in its place.
    pub comes_back: bool,
}

/// What all bots of a server share.
struct Shared {
    server: SocketAddr,
    key: String,
    comes_back: bool,
    agent: ureq::Agent,
    /// By the prepared module's SHA-256.
    modules: Mutex<HashMap<String, Module>>,
    wrong: Mutex<Wrong>,
}

/// What was done elsewhere.
enum Done {
    Answered(Request, Option<Vec<u8>>),
    Loaded(String, Result<Module, String>),
}

/// How a visit ended.
enum Ended {
    Done,
    /// It was turned away, as by a comprehension check, or the server takes nothing more from it.
    Refused,
    /// The server stops.
    ServerStops,
}

/// Starts bots. They live until the server stops.
///
/// # Errors
/// When there is no thread for them.
pub fn start(bots: Bots) -> std::io::Result<()> {
    let Bots { server, key, count, seed, environments, comes_back } = bots;
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER_LIMIT)).build();
    let shared = Arc::new(Shared {
        server,
        key,
        comes_back,
        agent: config.into(),
        modules: Mutex::default(),
        wrong: Mutex::default(),
    });
    let loads = Arc::clone(&shared);
    std::thread::Builder::new().name("bots' environments".into()).spawn(move || {
        for prepared in environments {
            let sha256 = hex(&Sha256::digest(&prepared));
            loads.module(&sha256, || Ok(prepared)).ok();
        }
    })?;
    for number in 0..count {
        let (shared, rng) = (Arc::clone(&shared), Rng::from_seed(derive_seed(seed, number.into())));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name(format!("bot {number}"))
            .spawn(move || runtime.block_on(live(shared, number, rng)))?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Visit after visit.
async fn live(shared: Arc<Shared>, number: u16, mut rng: Rng) {
    loop {
        let own = Rng::from_seed(rng.below(u64::MAX));
        let ended = match begin(&shared).await {
            Ok(token) => attend(&shared, token, own).await,
            Err(error) => {
                tracing::warn!(bot = number, "a bot cannot begin a visit: {error:#}");
                Ended::Refused
            }
        };
        match ended {
            Ended::ServerStops => return,
            Ended::Done => sleep(BETWEEN).await,
            Ended::Refused => sleep(AFTER_FAILURE).await,
        }
    }
}

/// A new visit's token.
async fn begin(shared: &Arc<Shared>) -> anyhow::Result<String> {
    let shared = Arc::clone(shared);
    let answer = spawn_blocking(move || {
        let url = format!("http://{}/api/v1/visits", shared.server);
        let request = shared.agent.post(&url).header("Authorization", format!("Bearer {}", shared.key));
        let mut answer = request.send_json(serde_json::json!({ "entry": { MARK: "1" } }))?;
        anyhow::ensure!(answer.status() == 201, "the server answers HTTP {}", answer.status());
        Ok(answer.body_mut().read_json::<serde_json::Value>()?)
    });
    let answer = answer.await??;
    answer["token"].as_str().map(str::to_owned).context("the server gives no token")
}

/// One visit, from the first scene to the end.
async fn attend(shared: &Arc<Shared>, token: String, rng: Rng) -> Ended {
    let start = Instant::now();
    let now = || Timestamp::from_micros(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    let mut bot = Participant::new(token, rng, now());
    let mut socket: Option<Socket> = None;
    let (tell, mut done) = mpsc::unbounded_channel();
    loop {
        while let Some(act) = bot.poll_act() {
            match act {
                Act::Connect => {
                    socket = connect(shared.server).await;
                    if socket.is_some() {
                        bot.opened(now());
                    } else {
                        bot.closed(None, now());
                    }
                }
                Act::Disconnect => socket = None,
                Act::Text(text) => send(&mut socket, Message::text(text)).await,
                Act::Lane(bundle) => send(&mut socket, Message::binary(bundle)).await,
                Act::Ask(request) => {
                    let (shared, tell, token) = (Arc::clone(shared), tell.clone(), bot.token().to_owned());
                    spawn_blocking(move || {
                        let answer = shared.ask(&request, &token).ok().flatten();
                        tell.send(Done::Answered(request, answer)).ok();
                    });
                }
                Act::Load(EnvironmentRef { url, sha256 }) => {
                    let (shared, tell) = (Arc::clone(shared), tell.clone());
                    spawn_blocking(move || {
                        let module = shared.module(&sha256, || shared.download(&url));
                        tell.send(Done::Loaded(sha256, module.map_err(|error| format!("{error:#}")))).ok();
                    });
                }
            }
        }
        if bot.is_done(now()) {
            if let Some(mut socket) = socket {
                socket.close(None).await.ok();
            }
            return if bot.was_of_use() { Ended::Done } else { Ended::Refused };
        }
        let wake = Moment::from_std(start + bot.poll_timeout().saturating_since(Timestamp::default()));
        tokio::select! {
            message = next(&mut socket) => match message {
                Some(Ok(Message::Text(text))) => {
                    bot.hear(&text, &mut shared.wrong.lock().unwrap_or_else(PoisonError::into_inner), now());
                }
                Some(Ok(Message::Binary(packet))) => bot.hear_lane(&packet, now()),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map(|frame| u16::from(frame.code));
                    socket = None;
                    if code == Some(CloseCode::GoingAway.number()) && !shared.comes_back {
                        return Ended::ServerStops;
                    }
                    if !bot.closed(code, now()) {
                        return Ended::Refused;
                    }
                }
                Some(Ok(_)) => {}
                None | Some(Err(_)) => {
                    socket = None;
                    bot.closed(None, now());
                }
            },
            Some(done) = done.recv() => match done {
                Done::Answered(request, answer) => bot.answered(&request, answer.as_deref(), now()),
                Done::Loaded(sha256, module) => bot.loaded(&sha256, module, now()),
            },
            () = sleep_until(wake) => {}
        }
        bot.handle_timeout(&shared.wrong.lock().unwrap_or_else(PoisonError::into_inner), now());
    }
}

async fn connect(server: SocketAddr) -> Option<Socket> {
    let url = format!("ws://{server}/ws");
    // Packets do not wait for each other.
    let connecting = connect_async_with_config(url, None, true);
    timeout(CONNECT_LIMIT, connecting).await.ok()?.ok().map(|(socket, _)| socket)
}

/// What cannot be sent is noticed where something is read.
async fn send(socket: &mut Option<Socket>, message: Message) {
    if let Some(socket) = socket {
        timeout(CONNECT_LIMIT, socket.send(message)).await.ok();
    }
}

async fn next(socket: &mut Option<Socket>) -> Option<Result<Message, tokio_tungstenite::tungstenite::Error>> {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// A compiled environment, made when it is first asked for; whoever asks for it meanwhile waits.
    fn module(
        &self,
        sha256: &str,
        prepared: impl FnOnce() -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Module> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(sha256) {
            return Ok(module.clone());
        }
        let prepared = prepared()?;
        anyhow::ensure!(hex(&Sha256::digest(&prepared)) == sha256, "the environment that came is another");
        let module = Module::new(&prepared)?;
        modules.insert(sha256.to_owned(), module.clone());
        Ok(module)
    }

    fn download(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut answer = self.agent.get(format!("http://{}{path}", self.server)).call()?;
        anyhow::ensure!(answer.status() == 200, "the environment is not to be had: HTTP {}", answer.status());
        Ok(answer.body_mut().with_config().limit(MAX_TRANSFER_BYTES as u64 * 4).read_to_vec()?)
    }

    /// The body of an answer that says that all went well.
    fn ask(&self, Request { game, what, .. }: &Request, token: &str) -> Result<Option<Vec<u8>>, ureq::Error> {
        let url = format!("http://{}/api/v1/games/{game}/", self.server);
        let bearer = format!("Bearer {token}");
        let post = |what: &str, body: &[u8]| {
            let request = self.agent.post(url.clone() + what).header("Authorization", &bearer);
            request.content_type("application/octet-stream").send(body)
        };
        let get = |what: &str| self.agent.get(url.clone() + what).header("Authorization", &bearer).call();
        let mut answer = match what {
            Asked::Records(body) => post("records", body),
            Asked::GiveState(body) => post("state", body),
            Asked::Inputs(from) => get(&format!("inputs?from={from}")),
            Asked::State => get("state"),
        }?;
        if answer.status() != 200 {
            return Ok(None);
        }
        answer.body_mut().with_config().limit(MAX_TRANSFER_BYTES as u64 * 4).read_to_vec().map(Some)
    }
}
