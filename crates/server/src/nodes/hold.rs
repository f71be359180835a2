//! Takes the stage when it is free, and gives it up: when another node has taken it, or when this one stops.

use std::sync::Arc;
use std::time::Duration;

use store::{DatabaseUrl, Node, Sight, Store, StoreError};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::{Nodes, Role};
use crate::kit::Kit;
use crate::routes::{Play, of_the_stage};

/// How long requests may take that were begun before this node gives up the stage.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// How long to wait when the stage could be had and could not be begun.
const AGAIN: Duration = Duration::from_secs(2);

/// How often the session that holds the stage is used when nobody else does.
const USE_EVERY: Duration = Duration::from_millis(500);

/// How often it is told that a server is in the way that is no node.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Follows who has the stage and runs it when it can, until the process ends.
pub(crate) async fn run(nodes: Nodes, kit: Arc<Kit>, url: DatabaseUrl, node: Node) {
    let mut lookout = nodes.inner.lookout.clone();
    let mut told = None::<Instant>;
    loop {
        let sight = lookout.sight();
        follow(&nodes, &sight);
        if sight.by_a_stranger && told.is_none_or(|told| told.elapsed() > TELL_EVERY) {
            tracing::warn!("a server without --node has this database; this node waits until that one stops");
            told = Some(Instant::now());
        }
        if sight.is_free && !*nodes.inner.stops.borrow() {
            // Whoever wants this node to stop waits until it is said that it has not, or not any more.
            nodes.inner.holds.send_replace(true);
            if !*nodes.inner.stops.borrow() && !take(&nodes, &kit, &url, &node).await {
                nodes.inner.holds.send_replace(false);
                sleep(AGAIN).await;
            }
            nodes.inner.holds.send_replace(false);
        }
        lookout.looked().await;
    }
}

fn follow(nodes: &Nodes, sight: &Sight) {
    nodes.set_role(match &sight.holder {
        Some((number, node)) if node.id != nodes.inner.id => {
            Role::Other(*number, node.address.as_str().into())
        }
        _ => Role::Nobody,
    });
}

/// Takes the stage, and runs it for as long as this node has it. False when that failed, and may fail again.
async fn take(nodes: &Nodes, kit: &Kit, url: &DatabaseUrl, node: &Node) -> bool {
    let began = Instant::now();
    let (url, node) = (url.clone(), node.clone());
    let (store, number) = match spawn_blocking(move || Store::take_stage(url, node)).await {
        Ok(Ok(taken)) => taken,
        Ok(Err(StoreError::DatabaseInUse { .. })) => return true,
        Ok(Err(error)) => {
            tracing::error!(%error, "the stage is free, and this node cannot take it");
            return false;
        }
        Err(_) => return false,
    };
    nodes.set_role(Role::Nobody);
    match kit.begin(store.clone()).await {
        Ok(play) => {
            tracing::info!(number, took = ?began.elapsed(), "took the stage");
            nodes.set_role(Role::Own(of_the_stage(play.clone())));
            hold(nodes, &store, number).await;
            give_up(nodes, play, &store).await;
            true
        }
        Err(error) => {
            tracing::error!("the stage cannot be begun on this node: {error:#}");
            store.leave().await.ok();
            false
        }
    }
}

/// Answers when this node has lost the stage, or is to stop.
async fn hold(nodes: &Nodes, store: &Store, number: i64) {
    let mut lookout = nodes.inner.lookout.clone();
    let mut stops = nodes.inner.stops.subscribe();
    let another = async {
        loop {
            if lookout.sight().holder.is_some_and(|(other, _)| other > number) {
                return;
            }
            lookout.looked().await;
        }
    };
    // A session that was lost is noticed where it is used, and others do not wait for long.
    let use_it = async {
        loop {
            store.flush().await.ok();
            sleep(USE_EVERY).await;
        }
    };
    tokio::select! {
        () = use_it => {}
        () = store.superseded() => tracing::warn!("another node has taken the stage"),
        () = another => tracing::warn!("another node has taken the stage"),
        _ = stops.wait_for(|stops| *stops) => {}
    }
}

/// Ends what this node began, in an order in which nothing is lost: who comes waits, what was decided becomes durable, sockets are
/// told to come back, requests are answered; then another node can go on.
async fn give_up(nodes: &Nodes, play: Play, store: &Store) {
    let began = Instant::now();
    nodes.set_role(Role::Nobody);
    play.stage.stop().await;
    timeout(LAST_REQUESTS, nodes.inner.answering.closed()).await.ok();
    play.completions.stop();
    play.scrubber.stop();
    match store.leave().await {
        Ok(()) => tracing::info!(took = ?began.elapsed(), "left the stage to other nodes"),
        Err(StoreError::Superseded) => {}
        Err(error) => {
            tracing::warn!(%error, "the stage is free when the database notices that this node is gone");
        }
    }
}
