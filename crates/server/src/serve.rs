//! Listens, until it is told to stop.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use live::RedisUrl;
use room::Stager;
use store::{DatabaseUrl, Location, Store};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::addresses::Addresses;
use crate::bots;
pub use crate::bots::BotsWanted;
use crate::completions::Completions;
use crate::experiment::Loaded;
pub use crate::rooms::Limits;
use crate::rooms::{Cluster, RoomTokens, Rooms, Webhook};
use crate::routes::{App, Current, Play, Readings, States, router};
use crate::scrubber::Scrubber;
use crate::stage::{Context as StageContext, Stage};
use crate::token::Tokens;
use crate::turn::{Turn, TurnConfig};
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
}

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
        Some(Served { database: Some(url), .. }) => {
            let lock = store::lock(data)?;
            (Some(Store::open(url.clone())?), Some(lock))
        }
        Some(_) => (Some(Store::open(data)?), None),
        None => (None, Some(store::lock(data)?)),
    };
    let metrics = telemetry::metrics()?;
    let tokens = Tokens::open(data)?;
    let caller = || anyhow::Ok(Caller::new(token::WebhookSecret::open(data)?));
    let webhook = |url| anyhow::Ok(Webhook { url, caller: caller()? });
    let webhook = access.webhook.map(webhook).transpose()?;
    let rooms = match &access.redis {
        Some(redis) => {
            token::are_shared()?;
            Rooms::Cluster(Cluster::connect(redis, data, access.rooms, webhook).await?)
        }
        None => Rooms::open(data, access.rooms, webhook)?,
    };
    tokio::spawn(rooms.clone().tend());
    let sockets = watch::Sender::new(());
    let app = App {
        rooms: rooms.clone(),
        room_tokens: RoomTokens::under(tokens.secret()),
        api_key: token::ApiKey::open(data)?,
        origins: access.origins.into(),
        addresses: Addresses::new(access.connections, access.proxies),
        metrics,
        sockets: sockets.clone(),
        store: store.clone(),
    };
    let bots = served.as_ref().and_then(|served| served.bots);
    let hint = match &served {
        Some(Served { bots: Some(bots), .. }) => format!("Open http://{address} to play with {bots}."),
        Some(_) => format!("Open http://{address} in two tabs to play."),
        None => format!("Open http://{address}/api to see how its rooms are used."),
    };
    let (play, _turn) = match served.zip(store) {
        Some((served, store)) => {
            let (play, turn) = set_up(listen.ip(), served, (store, data), (app.clone(), tokens)).await?;
            (Some(play), turn)
        }
        None => (None, None),
    };

    // Whoever reads the line may say stop at once.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    if let Some((bots, play)) = bots.zip(play.as_ref()) {
        bots.start(address, play)?;
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
    let server = tokio::spawn(accept::accept(listener, router(app, play.clone()), stopping));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    if let Some(play) = &play {
        play.stage.stop().await;
    }
    rooms.stop();
    tokio::time::timeout(LAST_REQUESTS, sockets.closed()).await.ok();
    rooms.finish().await;
    stopped.send(true).ok();
    tokio::time::timeout(LAST_REQUESTS, server).await.ok();
    if let Some(play) = play {
        play.store.flush().await?;
    }
    Ok(())
}

/// Makes an experiment ready.
async fn set_up(
    listen: IpAddr,
    Served { loaded, database, turn, reload, bots }: Served,
    (store, data): (Store, &Path),
    (app, tokens): (App, Tokens),
) -> anyhow::Result<(Play, Option<Turn>)> {
    loaded.keep(&store).await?;
    let current = Current::of(&loaded.experiment);
    if loaded.experiment.has_checks() {
        // Made at once, so that whoever is asked can be given it.
        token::WebhookSecret::open(data)?;
    }
    let (turn, turn_access) = Turn::start(listen, &turn, tokens.secret())?.unzip();
    let stager = Stager::new(loaded.experiment, u64::from_le_bytes(token::random()?));
    let completions = Completions::start(store.clone(), data, &loaded.id, loaded.webhook)?;
    let scrubber = Scrubber::start(store.clone());
    let context = StageContext {
        store: store.clone(),
        experiment: loaded.id.clone(),
        turn: turn_access,
        completions: completions.clone(),
        scrubber: scrubber.clone(),
    };
    let play = Play {
        app,
        scrubber,
        stage: Stage::start(stager, context, data).await?,
        store,
        completions,
        readings: Readings::of(database.map_or_else(|| data.into(), Location::Postgres)),
        tokens,
        id: loaded.id.into(),
        current: Arc::new(RwLock::new(current)),
        environments: Arc::new(
            loaded.environments.into_iter().map(|(sha256, bytes)| (sha256, Bytes::from(bytes))).collect(),
        ),
        states: States::default(),
        bots: bots.map(|_| bots::key()).transpose()?,
    };
    if let Some(folder) = reload {
        tokio::spawn(reload::watch(folder, play.clone()));
    }
    Ok((play, turn))
}
