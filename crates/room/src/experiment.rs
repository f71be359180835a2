//! An experiment as the stager needs it: read and checked, its environments prepared.

use std::collections::BTreeMap;

use wire::control::{EnvironmentRef, GameRules, IceServer, Scene, SceneKind, TerminationReason};

/// An experiment.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// What people call it.
    pub title: String,
    /// Its scenes, in order; the last is an end.
    pub scenes: Vec<SceneSpec>,
}

/// One scene.
#[derive(Clone, Debug)]
pub struct SceneSpec {
    /// Its name.
    pub id: String,
    /// What it is.
    pub kind: SceneSpecKind,
}

/// The kinds of scenes.
#[derive(Clone, Debug)]
pub enum SceneSpecKind {
    /// A text and a button.
    Start(StartScene),
    /// A lobby, then a game.
    Game(Box<GameScene>),
    /// The end.
    End(EndScene),
}

/// A text and a button.
#[derive(Clone, Debug)]
pub struct StartScene {
    /// Paragraphs.
    pub body: Vec<String>,
    /// The button's words.
    pub button: String,
}

/// A lobby, then a game.
#[derive(Clone, Debug)]
pub struct GameScene {
    /// How many play together.
    pub players: u8,
    /// How.
    pub rules: GameRules,
    /// A seed for all its games; each has its own when there is none.
    pub seed: Option<u64>,
    /// What is played.
    pub environment: EnvironmentRef,
    /// Bytes of an input.
    pub input_size: usize,
    /// Keys to buttons.
    pub keys: BTreeMap<String, String>,
    /// For the pages' connections.
    pub ice_servers: Vec<IceServer>,
    /// Its own words for what pages say during a pause, by name.
    pub texts: BTreeMap<String, String>,
}

/// The end.
#[derive(Clone, Debug)]
pub struct EndScene {
    /// Paragraphs for each way of ending.
    pub texts: BTreeMap<&'static str, Vec<String>>,
}

impl Experiment {
    /// A scene as the page sees it.
    pub(crate) fn scene(&self, index: usize, ended: TerminationReason) -> Option<Scene> {
        let spec = self.scenes.get(index)?;
        let title = self.title.clone();
        let kind = match &spec.kind {
            SceneSpecKind::Start(start) => SceneKind::Start {
                title,
                body: start.body.clone(),
                keys: self.keys_after(index),
                button: start.button.clone(),
            },
            SceneSpecKind::Game(game) => SceneKind::Game { title, players: game.players },
            SceneSpecKind::End(end) => {
                let body = end.texts.get(ended.name()).cloned().unwrap_or_default();
                SceneKind::End { title, reason: ended, body }
            }
        };
        Some(Scene { id: spec.id.clone(), kind })
    }

    /// The keys of the next game, for a legend before it.
    fn keys_after(&self, index: usize) -> BTreeMap<String, String> {
        let games = self.scenes[index..].iter().filter_map(|scene| match &scene.kind {
            SceneSpecKind::Game(game) => Some(game.keys.clone()),
            SceneSpecKind::Start(_) | SceneSpecKind::End(_) => None,
        });
        games.take(1).next().unwrap_or_default()
    }
}
