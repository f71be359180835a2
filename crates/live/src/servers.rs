//! The servers of a store, and how each is asked what is its to answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::watch;

use crate::address::Address;
use crate::connection::{Connection, Connector};
use crate::error::Unanswered;
use crate::slots::SlotMap;

/// The longest that any operation takes, connecting included.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);

/// How long to wait before something is tried again that has just failed.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest that is waited for a server to say who has which slots.
const MAP_LIMIT: Duration = Duration::from_millis(300);

/// What to ask.
pub(crate) struct Question<'a> {
    /// The slot of its keys.
    pub(crate) slot: u16,
    /// The command. It is asked whether the server may be expected to know a script by its name.
    pub(crate) command: &'a (dyn Fn(bool) -> Cmd + Sync),
    /// Whether doing it twice is no different from doing it once.
    pub(crate) may_be_repeated: bool,
}

/// All servers of a store.
pub(crate) struct Servers {
    connector: Connector,
    seeds: Vec<Address>,
    is_cluster: bool,
    map: RwLock<Arc<SlotMap>>,
    changed: watch::Sender<()>,
    links: Mutex<HashMap<Address, Arc<Link>>>,
    /// When it was last asked who has which slots.
    mapped: tokio::sync::Mutex<Option<Instant>>,
}

/// The way to one server.
struct Link {
    address: Address,
    up: Mutex<Option<Connection>>,
    /// Held while connecting; when that last failed, and why.
    connecting: tokio::sync::Mutex<Option<(Instant, String)>>,
}

/// What to do after an answer that is none.
enum Next {
    /// The slot is elsewhere, for good or just for this command.
    Elsewhere { at: Address, ahead: bool },
    /// It does not know the script.
    Explain,
    /// It cannot answer for now.
    Wait,
    /// It cannot write, or the connection is of no use any more.
    Reconnect { was_done: bool },
    /// It will answer the same next time.
    GiveUp,
}

fn next_of(error: &RedisError, asked: &Address) -> Next {
    let redirected = |ahead| {
        let at = error.redirect_node().and_then(|(at, _)| Address::of_redirection(at, asked));
        at.map_or(Next::Wait, |at| Next::Elsewhere { at, ahead })
    };
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved) => redirected(false),
        ErrorKind::Server(ServerErrorKind::Ask) => redirected(true),
        ErrorKind::Server(ServerErrorKind::NoScript) => Next::Explain,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown,
        ) => Next::Wait,
        ErrorKind::Server(ServerErrorKind::ReadOnly) => Next::Reconnect { was_done: false },
        // Others' scripts take too long, or too few replicas are there to write to.
        _ if matches!(error.code(), Some("BUSY" | "NOREPLICAS")) => Next::Wait,
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType => Next::GiveUp,
        _ => Next::Reconnect { was_done: true },
    }
}

impl Link {
    fn up(&self) -> MutexGuard<'_, Option<Connection>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self, connector: &Connector) -> Result<Connection, String> {
        if let Some(up) = self.up().clone() {
            return Ok(up);
        }
        let mut failed = self.connecting.lock().await;
        if let Some(up) = self.up().clone() {
            return Ok(up);
        }
        if let Some((at, problem)) = &*failed
            && at.elapsed() < PAUSE
        {
            return Err(problem.clone());
        }
        match connector.connect(&self.address).await {
            Ok(connection) => {
                *failed = None;
                *self.up() = Some(connection.clone());
                Ok(connection)
            }
            Err(problem) => {
                *failed = Some((Instant::now(), problem.clone()));
                Err(problem)
            }
        }
    }

    /// Lets go of a connection that is of no use any more.
    fn retire(&self, connection: &Connection) {
        let mut up = self.up();
        if up.as_ref().is_some_and(|up| up.is(connection)) {
            *up = None;
        }
        connection.end();
    }
}

/// Who is to say who has which slots.
#[derive(Clone, Copy)]
pub(crate) enum Whom<'a> {
    Anyone,
    /// It seems not to know.
    AnyoneBut(&'a Address),
    /// It has what somebody else had.
    Only(&'a Address),
}

/// Where a question is, for who gives it up.
#[derive(Default)]
struct Progress {
    problem: String,
    under_way: Option<(Arc<Link>, Connection)>,
}

impl Servers {
    pub(crate) fn new(connector: Connector, seeds: Vec<Address>, map: SlotMap, is_cluster: bool) -> Self {
        let (map, links) = (RwLock::new(Arc::new(map)), Mutex::default());
        let mapped = tokio::sync::Mutex::new(None);
        Self { connector, seeds, is_cluster, map, changed: watch::Sender::new(()), links, mapped }
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Who has which slots, as far as it is known.
    pub(crate) fn map(&self) -> Arc<SlotMap> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells when somebody else has a slot.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn link(&self, address: &Address) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let (address, up) = (address.clone(), Mutex::default());
            Arc::new(Link { address, up, connecting: tokio::sync::Mutex::default() })
        };
        Arc::clone(links.entry(address.clone()).or_insert_with(new))
    }

    /// Asks whoever has the slot, following it wherever it goes.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Value, Unanswered> {
        let mut progress = Progress::default();
        if let Ok(answer) = tokio::time::timeout(LIMIT, self.pursue(&question, &mut progress)).await {
            return answer;
        }
        let mut problem = progress.problem;
        if let Some((link, connection)) = progress.under_way {
            problem = format!("{} is silent", link.address);
            // If it answers others it is only slow.
            if connection.silence() >= LIMIT {
                link.retire(&connection);
            }
        }
        Err(Unanswered::Late { limit: LIMIT, problem })
    }

    async fn pursue(&self, question: &Question<'_>, progress: &mut Progress) -> Result<Value, Unanswered> {
        let mut redirected = None;
        let mut is_known = true;
        loop {
            let (address, ahead) = match redirected.take() {
                Some(redirected) => redirected,
                None => match self.map().owner(question.slot) {
                    Some(owner) => (owner.clone(), false),
                    None => {
                        progress.problem = "no server has this room".to_owned();
                        self.learn(Whom::Anyone).await;
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
            };
            let link = self.link(&address);
            let connection = match link.connection(&self.connector).await {
                Ok(connection) => connection,
                Err(problem) => {
                    progress.problem = problem;
                    self.learn(Whom::AnyoneBut(&address)).await;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            progress.under_way = Some((Arc::clone(&link), connection.clone()));
            let command = (question.command)(is_known);
            let answer =
                if ahead { connection.ask_ahead(command).await } else { connection.ask(&command).await };
            progress.under_way = None;
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            progress.problem = format!("{address}: {error}");
            match next_of(&error, &address) {
                Next::Elsewhere { at, ahead } => {
                    if !ahead {
                        self.learn(Whom::Only(&at)).await;
                    }
                    redirected = Some((at, ahead));
                }
                Next::Explain => {
                    is_known = false;
                    redirected = Some((address, ahead));
                }
                Next::Wait => {
                    self.learn(Whom::Anyone).await;
                    tokio::time::sleep(PAUSE).await;
                }
                Next::Reconnect { was_done } => {
                    link.retire(&connection);
                    if was_done && !question.may_be_repeated {
                        return Err(Unanswered::Lost(core::mem::take(&mut progress.problem)));
                    }
                    self.learn(Whom::AnyoneBut(&address)).await;
                    tokio::time::sleep(PAUSE).await;
                }
                Next::GiveUp => return Err(Unanswered::Strange(core::mem::take(&mut progress.problem))),
            }
        }
    }

    /// Asks one server, which need not have anything.
    pub(crate) async fn ask_server(&self, address: &Address, command: &Cmd) -> Result<Value, Unanswered> {
        let link = self.link(address);
        let asked = async {
            let lost = |problem| Unanswered::Lost(problem);
            let connection = link.connection(&self.connector).await.map_err(lost)?;
            let answer = connection.ask(command).await;
            answer.map_err(|error| {
                if matches!(next_of(&error, address), Next::Reconnect { .. }) {
                    link.retire(&connection);
                }
                Unanswered::Lost(format!("{address}: {error}"))
            })
        };
        let late = |_| Unanswered::Late { limit: LIMIT, problem: format!("{address} is silent") };
        tokio::time::timeout(LIMIT, asked).await.map_err(late)?
    }

    /// Asks who has which slots now.
    pub(crate) async fn learn(&self, whom: Whom<'_>) {
        if !self.is_cluster {
            return;
        }
        let asked = Instant::now();
        let mut mapped = self.mapped.lock().await;
        // Somebody else has asked meanwhile, or just before.
        if mapped.is_some_and(|at| at + PAUSE > asked) {
            return;
        }
        let mut known = self.map().servers();
        known.extend(self.seeds.iter().cloned());
        known.sort();
        known.dedup();
        match whom {
            Whom::AnyoneBut(doubtful) if known.len() > 1 => known.retain(|address| address != doubtful),
            Whom::Only(address) => known = vec![address.clone()],
            Whom::Anyone | Whom::AnyoneBut(_) => {}
        }
        let command = redis::cmd("CLUSTER").arg("SLOTS").to_owned();
        let mut answers: FuturesUnordered<_> = known
            .iter()
            .map(|address| {
                let command = &command;
                async move {
                    let connection = self.link(address).connection(&self.connector).await.ok()?;
                    SlotMap::of_answer(&connection.ask(command).await.ok()?, address)
                }
            })
            .collect();
        let first = async {
            while let Some(answer) = answers.next().await {
                if answer.is_some() {
                    return answer;
                }
            }
            None
        };
        let found = tokio::time::timeout(MAP_LIMIT, first).await.ok().flatten();
        drop(answers);
        *mapped = Some(Instant::now());
        let Some(found) = found else { return };
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if **map != found {
            let servers = found.servers();
            let is_in_use = |address: &Address| servers.contains(address) || self.seeds.contains(address);
            self.links.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| is_in_use(address));
            *map = Arc::new(found);
            self.changed.send_replace(());
        }
    }
}
