//! Listens, until it is told to stop.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use live::RedisUrl;
use metrics::gauge;
use store::{DatabaseUrl, Location, Lookout, Node, Store};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::addresses::Addresses;
use crate::bots;
pub use crate::bots::BotsWanted;
use crate::drain::Drain;
use crate::experiment::Loaded;
use crate::kit::Kit;
use crate::nodes::{self, NodeAddress, NodeToken, Nodes};
pub use crate::rooms::Limits;
use crate::rooms::{Cluster, RoomTokens, Rooms, Webhook};
use crate::routes::{App, Current, Readings, Study, router};
use crate::token::Tokens;
use crate::turn::{Place, Turn, TurnAccess, TurnConfig, TurnOffer};
use crate::webhook::Caller;
use crate::{accept, reload, telemetry, token};

/// How long requests that are under way may take after the server was told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Who may connect, and how much they may do (A2).
#[derive(Clone, Debug)]
pub struct Access {
    /// Other sites whose pages may join rooms, like `https://app.example.org`.
    pub origins: Vec<String>,
    /// The most WebSockets of an address.
    pub connections: usize,
    /// Proxies that are believed when they tell for whom they ask.
    pub proxies: Vec<IpAddr>,
    /// What may be done in rooms.
    pub rooms: Limits,
    /// Where the application's own server wants to hear of rooms' members.
    pub webhook: Option<String>,
    /// Through what rooms are shared with other nodes, if they are.
    pub redis: Option<RedisUrl>,
    /// What this node is called, if it is one of several.
    pub node: Option<String>,
    /// How long it takes to let go of connections when this server is told to stop.
    pub drain: Option<Duration>,
}

/// How long one of several nodes takes to let go of its connections: longer than load balancers take to hear of it that ask every
/// second. A server that is alone is back sooner without.
const DRAIN: Duration = Duration::from_secs(2);

/// How many connections may wait to be accepted: all of a study that comes back at once.
const BACKLOG: u32 = 4096;

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that was restarted takes its address again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What is served beside rooms.
pub struct Served {
    /// The experiment.
    pub loaded: Loaded,
    /// The database, when what is collected is not kept in the data folder.
    pub database: Option<DatabaseUrl>,
    /// Where other nodes reach this one, if there may be some.
    pub node: Option<NodeAddress>,
    /// This server's STUN and TURN.
    pub turn: TurnConfig,
    /// The folder whose changes are taken up while it is served, if they are.
    pub reload: Option<PathBuf>,
    /// Scripted participants, if there are to be some.
    pub bots: Option<BotsWanted>,
}

/// Serves rooms, and an experiment if there is one, until SIGTERM or SIGINT; then lets everything that was promised
/// become durable.
///
/// # Errors
/// When it cannot listen, cannot use the data folder, or has no randomness; in words for the person at the
/// terminal.
pub async fn serve(
    listen: SocketAddr,
    data: &Path,
    access: Access,
    served: Option<Served>,
) -> anyhow::Result<()> {
    let listener = bind(listen).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{listen} is in use by another program; choose another with --listen")
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {listen}")),
    })?;
    let address = listener.local_addr().context("cannot tell the address")?;
    // Nothing in the folder is touched before it is this server's.
    let (store, lock) = match &served {
        Some(Served { node: Some(_), loaded, .. }) => {
            let asks = loaded.webhook.is_some() || loaded.experiment.has_checks();
            token::are_shared(asks || access.webhook.is_some())?;
            (None, Some(store::lock(data)?))
        }
        Some(Served { database: Some(url), .. }) => {
            let lock = store::lock(data)?;
            (Some(Store::open(url.clone())?), Some(lock))
        }
        Some(_) => (Some(Store::open(data)?), None),
        None => (None, Some(store::lock(data)?)),
    };
    let metrics = telemetry::metrics()?;
    if let Some(node) = access.node {
        gauge!("interplay_node_info", "node" => node).set(1.0);
    }
    let tokens = Tokens::open(data)?;
    let (turn, place) = match &served {
        Some(served) => Turn::start(listen.ip(), &served.turn, tokens.secret())?.unzip(),
        None => (None, None),
    };
    let caller = || anyhow::Ok(Caller::new(token::WebhookSecret::open(data)?));
    let webhook = |url| anyhow::Ok(Webhook { url, caller: caller()? });
    let webhook = access.webhook.map(webhook).transpose()?;
    let rooms = match &access.redis {
        Some(redis) => {
            token::are_shared(webhook.is_some())?;
            Rooms::Cluster(Cluster::connect(redis, data, access.rooms, webhook).await?)
        }
        None => Rooms::open(data, access.rooms, webhook)?,
    };
    tokio::spawn(rooms.clone().tend());
    let node = match &served {
        Some(Served { node: Some(address), database: Some(url), turn, .. }) => {
            Some(join(address, url, (turn, place.as_ref()), &tokens).await?)
        }
        _ => None,
    };
    let sockets = watch::Sender::new(());
    let is_alone = access.redis.is_none() && node.is_none();
    let drain = Drain::new(access.drain.unwrap_or(if is_alone { Duration::ZERO } else { DRAIN }));
    let token = node.as_ref().map(|node| node.token.clone());
    let app = App {
        rooms: rooms.clone(),
        room_tokens: RoomTokens::under(tokens.secret()),
        api_key: token::ApiKey::open(data)?,
        origins: access.origins.into(),
        addresses: Addresses::new(access.connections, access.proxies, token),
        metrics,
        sockets: sockets.clone(),
        drain: drain.clone(),
        store: store.clone(),
        nodes: node.as_ref().map(|node| node.nodes.clone()),
    };
    let bots = served.as_ref().and_then(|served| served.bots);
    let hint = match &served {
        Some(Served { bots: Some(bots), .. }) => format!("Open http://{address} to play with {bots}."),
        Some(_) => format!("Open http://{address} in two tabs to play."),
        None => format!("Open http://{address}/api to see how its rooms are used."),
    };
    let offer = match &node {
        Some(node) => Some(node.offer.clone()),
        None => place.map(TurnOffer::alone),
    };
    let reload = served.as_ref().and_then(|served| served.reload.clone());
    let kit = served.map(|served| kit(served, data, (app.clone(), tokens), offer)).transpose()?;
    let play = match (&kit, store) {
        (Some(kit), Some(store)) => Some(kit.begin(store).await?),
        _ => None,
    };
    if let Some((folder, play)) = reload.zip(play.clone()) {
        tokio::spawn(reload::watch(folder, play));
    }

    // Whoever reads the line may say stop at once.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    if let Some((bots, kit)) = bots.zip(kit.as_ref()) {
        let key = kit.bots.as_deref().unwrap_or_default();
        bots.start(address, (&kit.study, key), node.is_some())?;
    }
    let announced = match (&lock, &play) {
        (Some(lock), _) => lock.announce(address),
        (None, Some(play)) => play.store.announce(address),
        (None, None) => Ok(()),
    };
    announced.context("cannot write to the data folder")?;
    println!("{hint}");
    tracing::info!(%address, data = %data.display(), "serving");
    let (stopped, stopping) = watch::channel(false);
    let study = kit.as_ref().map(|kit| (kit.study.clone(), play.clone()));
    let server = tokio::spawn(accept::accept(listener, router(app, study), stopping));
    let nodes = node.as_ref().map(|node| node.nodes.clone());
    if let Some((node, kit)) = node.zip(kit) {
        tokio::spawn(nodes::run(node.nodes, Arc::new(kit), node.url, node.node));
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    drain.begin();
    tokio::select! {
        () = drain.over() => {}
        // Whoever says it twice does not want to wait.
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    if let Some(play) = &play {
        play.stage.stop().await;
    }
    if let Some(nodes) = &nodes {
        nodes.stop().await;
    }
    rooms.stop();
    tokio::time::timeout(LAST_REQUESTS, sockets.closed()).await.ok();
    rooms.finish().await;
    stopped.send(true).ok();
    tokio::time::timeout(LAST_REQUESTS, server).await.ok();
    if let Some(play) = play {
        play.store.flush().await?;
    }
    drop(turn);
    Ok(())
}

/// A node among others, before it follows them.
struct Joined {
    nodes: Nodes,
    token: NodeToken,
    offer: TurnOffer,
    url: DatabaseUrl,
    node: Node,
}

/// Makes this a node of several: it sees the others, and they see it.
async fn join(
    address: &NodeAddress,
    url: &DatabaseUrl,
    (turn, access): (&TurnConfig, Option<&TurnAccess>),
    tokens: &Tokens,
) -> anyhow::Result<Joined> {
    let host = match turn.external_ip {
        Some(IpAddr::V6(ip)) => format!("[{ip}]"),
        Some(IpAddr::V4(ip)) => ip.to_string(),
        None => address.host().to_owned(),
    };
    let place = access.map(|access| Place::of(access, host));
    let id = token::hex(&token::random::<8>()?);
    let told = place.as_ref().map(serde_json::to_string).transpose()?;
    let node = Node { id: id.clone(), address: address.to_string(), turn: told };
    let (own, database) = (node.clone(), url.clone());
    let lookout = tokio::task::spawn_blocking(move || Lookout::start(database, own)).await??;
    let access =
        access.cloned().unwrap_or_else(|| TurnAccess::new(tokens.secret(), turn.lifetime, Vec::new()));
    let token = NodeToken::of(tokens)?;
    let offer = TurnOffer::of_node(access, place, id.clone(), lookout.clone());
    let nodes = Nodes::new(id, token.clone(), lookout);
    Ok(Joined { nodes, token, offer, url: url.clone(), node })
}

/// Puts together what an experiment's stage is begun with.
fn kit(
    Served { loaded, database, node, bots, .. }: Served,
    data: &Path,
    (app, tokens): (App, Tokens),
    turn: Option<TurnOffer>,
) -> anyhow::Result<Kit> {
    let environments =
        loaded.environments.iter().map(|(sha256, bytes)| (sha256.clone(), Bytes::from(bytes.clone())));
    let study = Study {
        readings: Readings::of(database.map_or_else(|| data.into(), Location::Postgres)),
        id: loaded.id.as_str().into(),
        current: Arc::new(RwLock::new(Current::of(&loaded.experiment))),
        environments: Arc::new(environments.collect()),
    };
    let bots = match (node, bots) {
        // Another node may have some, which the one with the stage must know.
        (Some(_), _) => Some(tokens.derived("interplay bots")?.into()),
        (None, bots) => bots.map(|_| bots::key()).transpose()?,
    };
    Ok(Kit { loaded, data: data.to_owned(), app, study, tokens, turn, bots })
}
