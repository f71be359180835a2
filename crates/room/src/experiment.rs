//! An experiment as the stager needs it: read and checked, its environments prepared.

use std::collections::BTreeMap;

use wire::control::{EnvironmentRef, GameRules, IceServer, Scene, SceneKind, Sheet, TerminationReason};

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
    /// What the study begins with. What its keys are is the next game's to say.
    Start(Sheet),
    /// Something to read.
    Static(Sheet),
    /// Questions.
    Form(Sheet),
    /// A lobby, then a game.
    Game(Box<GameScene>),
    /// The end.
    End(EndScene),
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
    /// HTML for each way of ending.
    pub texts: BTreeMap<&'static str, String>,
}

impl Experiment {
    /// A scene as the page sees it.
    pub(crate) fn scene(&self, index: usize, ended: TerminationReason) -> Option<Scene> {
        let spec = self.scenes.get(index)?;
        let kind = match &spec.kind {
            SceneSpecKind::Start(sheet) => {
                SceneKind::Start(Sheet { keys: self.keys_after(index), ..sheet.clone() })
            }
            SceneSpecKind::Static(sheet) => SceneKind::Static(sheet.clone()),
            SceneSpecKind::Form(sheet) => SceneKind::Form(sheet.clone()),
            SceneSpecKind::Game(game) => SceneKind::Game { players: game.players },
            SceneSpecKind::End(end) => {
                let body = end.texts.get(ended.name()).cloned().unwrap_or_default();
                SceneKind::End { reason: ended, body }
            }
        };
        Some(Scene { id: spec.id.clone(), title: self.title.clone(), kind })
    }

    /// The keys of the next game, for a legend before it.
    fn keys_after(&self, index: usize) -> BTreeMap<String, String> {
        let games = self.scenes[index..].iter().filter_map(|scene| match &scene.kind {
            SceneSpecKind::Game(game) => Some(game.keys.clone()),
            _ => None,
        });
        games.take(1).next().unwrap_or_default()
    }
}

impl SceneSpecKind {
    /// What there is to read and to answer, where the participant goes on by a button.
    pub(crate) const fn sheet(&self) -> Option<&Sheet> {
        match self {
            Self::Start(sheet) | Self::Static(sheet) | Self::Form(sheet) => Some(sheet),
            Self::Game(_) | Self::End(_) => None,
        }
    }
}
