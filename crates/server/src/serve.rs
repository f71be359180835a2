//! Listens, until it is told to stop.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use room::Stager;
use store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::addresses::Addresses;
use crate::experiment::Loaded;
pub use crate::rooms::Limits;
use crate::rooms::{RoomTokens, Rooms};
use crate::routes::{App, router};
use crate::stage::{Context as StageContext, Stage};
use crate::turn::{Turn, TurnConfig};
use crate::{accept, telemetry, token};

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
}

/// Serves an experiment until SIGTERM or SIGINT, then lets everything that was promised become durable.
///
/// # Errors
/// When it cannot listen, cannot use the data folder, or has no randomness; in words for the person at the
/// terminal.
pub async fn serve(
    listen: SocketAddr,
    data: &Path,
    (turn, access): (&TurnConfig, Access),
    loaded: Loaded,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{listen} is in use by another program; choose another with --listen")
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {listen}")),
    })?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let store = Store::open(data)?;
    let metrics = telemetry::metrics()?;
    for (sha256, prepared) in &loaded.environments {
        store.put_environment(sha256.clone(), prepared.clone()).await?;
    }
    let tokens = token::Tokens::open(data)?;
    let (_turn, turn) = Turn::start(listen.ip(), turn, tokens.secret())?.unzip();
    let rooms = Rooms::open(data, access.rooms)?;
    tokio::spawn(rooms.clone().tend());
    let stager = Stager::new(loaded.experiment, u64::from_le_bytes(token::random()?));
    let context = StageContext {
        store: store.clone(),
        experiment: loaded.id.clone(),
        experiment_sha256: loaded.sha256.clone(),
        turn,
    };
    let stage = Stage::start(stager, context);
    let sockets = watch::Sender::new(());
    let app = App {
        stage: stage.clone(),
        store: store.clone(),
        rooms: rooms.clone(),
        room_tokens: RoomTokens::under(tokens.secret()),
        api_key: token::ApiKey::open(data)?,
        origins: access.origins.into(),
        addresses: Addresses::new(access.connections, access.proxies),
        tokens,
        experiment: Arc::new((loaded.id, loaded.sha256)),
        environments: Arc::new(
            loaded.environments.into_iter().map(|(sha256, bytes)| (sha256, Bytes::from(bytes))).collect(),
        ),
        metrics,
        sockets: sockets.clone(),
    };

    // Whoever reads the line may say stop at once.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    println!("Open http://{address} in two tabs to play.");
    tracing::info!(%address, data = %data.display(), "serving");
    let (stopped, stopping) = watch::channel(false);
    let server = tokio::spawn(accept::accept(listener, router(app), stopping));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stage.stop().await;
    rooms.stop();
    tokio::time::timeout(LAST_REQUESTS, sockets.closed()).await.ok();
    stopped.send(true).ok();
    tokio::time::timeout(LAST_REQUESTS, server).await.ok();
    store.flush().await?;
    Ok(())
}
