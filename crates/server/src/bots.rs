//! Scripted participants, with whom somebody tries a study alone (H1). What they do is in the `bot` crate, and when they play
//! with whom in `room::stager::bots`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, bail};
use bot::Bots;
use room::{Experiment, GameScene, RequiredLane, SceneSpecKind};
use wire::control::OnDirectLoss;

use crate::routes::Study;
use crate::token;

/// How many bots take part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BotsWanted {
    count: u16,
    seed: u64,
}

impl BotsWanted {
    /// So many, who press and answer what follows from a seed; without one, from a random one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(count: u16, seed: Option<u64>) -> anyhow::Result<Self> {
        // Short enough to be typed again.
        let random = || anyhow::Ok(u64::from(u32::from_le_bytes(token::random()?)));
        Ok(Self { count, seed: seed.map_or_else(random, Ok)? })
    }

    /// Starts them. `comes_back` says that the server may close a connection because another node goes on.
    pub(crate) fn start(
        self,
        mut server: SocketAddr,
        (study, key): (&Study, &str),
        comes_back: bool,
    ) -> anyhow::Result<()> {
        if server.ip().is_unspecified() {
            server.set_ip(match server {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        let Self { count, seed } = self;
        let key = key.to_owned();
        let environments = study.environments.values().map(|prepared| prepared.to_vec()).collect();
        bot::start(Bots { server, key, count, seed, environments, comes_back }).context("cannot start bots")
    }
}

impl fmt::Display for BotsWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, seed } = self;
        let bots = if *count == 1 { "bot" } else { "bots" };
        write!(f, "{count} {bots} (--bot-seed {seed})")
    }
}

/// What this server's bots prove themselves with.
pub(crate) fn key() -> anyhow::Result<Arc<str>> {
    Ok(format!("{:032x}", u128::from_le_bytes(token::random()?)).into())
}

/// Whether bots can play the games that there are.
///
/// # Errors
/// Names the scene and the cure.
pub(crate) fn check(experiment: &Experiment) -> anyhow::Result<()> {
    let mut has_game = false;
    for scene in &experiment.scenes {
        let SceneSpecKind::Game(game) = &scene.kind else { continue };
        has_game = true;
        let GameScene { rules, lobby, .. } = &**game;
        let asks = if lobby.links.require == RequiredLane::Direct {
            "lobby.require = \"direct\""
        } else if rules.on_direct_loss == OnDirectLoss::Pause {
            "recovery.on_direct_loss = \"pause\""
        } else {
            continue;
        };
        let id = &scene.id;
        bail!(
            "bots play over the server, and the scene {id:?} asks for more: {asks}; take that out while you try the study \
             with --bots, or try it in two tabs"
        );
    }
    if !has_game {
        bail!("there is no game for bots to play in; try the study without --bots");
    }
    Ok(())
}
