//! An experiment as the stager needs it: read and checked, its environments prepared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::control::{
    EnvironmentRef, Exit, GameRules, IceServer, Scene, SceneKind, Sheet, VisitEnding, Withdrawal,
};
use wire::form::Answers;
use wire::texts::Texts;

use crate::check::CheckRule;
use crate::comprehension::Comprehension;
use crate::conditions::{Assignment, Condition};
use crate::exit;
use crate::game::LinkRules;
use crate::guard::Guard;
use crate::lobby::{MatchBy, Seating};
use crate::monitor::{MonitorRules, OnHidden};
use crate::options::Setting;
use crate::plan::Block;
use crate::screening::Screening;
use crate::variables;
use crate::visit::Progress;

/// An experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Experiment {
    /// Which version: visits keep the one that they began with (S2).
    #[serde(skip)]
    pub version: String,
    /// What people call it.
    pub title: String,
    /// What participants read that is not its own.
    #[serde(default)]
    pub texts: Texts,
    /// What it asks of those who come, before the first scene (X1).
    #[serde(default)]
    pub screening: Screening,
    /// What becomes of the data of those who leave (S7).
    #[serde(default)]
    pub withdrawal: Withdrawal,
    /// Its scenes, in order; the last is an end.
    pub scenes: Vec<SceneSpec>,
    /// Which of them belong together.
    #[serde(default)]
    pub blocks: Vec<Block>,
    /// What visits are divided into.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// How.
    #[serde(default)]
    pub assignment: Assignment,
}

/// One scene.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SceneSpec {
    /// Its name.
    pub id: String,
    /// What it is.
    pub kind: SceneSpecKind,
    /// Whom it is for.
    #[serde(default)]
    pub guard: Guard,
}

/// The kinds of scenes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SceneSpecKind {
    /// What the study begins with. What its keys are is the next game's to say.
    Start(Sheet),
    /// Something to read.
    Static(Sheet),
    /// Questions.
    Form(FormScene),
    /// A lobby, then a game.
    Game(Box<GameScene>),
    /// The end.
    End(EndScene),
}

/// Questions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FormScene {
    /// What the page shows.
    pub sheet: Sheet,
    /// What must be answered rightly.
    pub comprehension: Option<Comprehension>,
}

/// A lobby, then a game.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GameScene {
    /// How many play together.
    pub players: u8,
    /// How.
    pub rules: GameRules,
    /// A seed for all its games; each has its own when there is none.
    pub seed: Option<u64>,
    /// What is played.
    pub environment: EnvironmentRef,
    /// Its options, in its manifest's order.
    #[serde(default)]
    pub options: Vec<Setting>,
    /// Bytes of an input.
    pub input_size: usize,
    /// Keys to buttons.
    pub keys: BTreeMap<String, String>,
    /// For the pages' connections.
    pub ice_servers: Vec<IceServer>,
    /// Its own words for what pages say in it, by name.
    pub texts: BTreeMap<String, String>,
    /// How long one waits for it.
    pub lobby: LobbyRules,
    /// What it asks of connections and pages.
    pub monitor: MonitorRules,
    /// A check of the study's own (X2).
    #[serde(default)]
    pub check: Option<CheckRule>,
    /// Where those go whose game ended early (P9).
    pub on_partner_lost: After,
    /// Where those go who were taken out of it (P9).
    pub on_excluded: After,
}

/// How long one waits for a game, and with whom one plays it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LobbyRules {
    /// How groups are put together.
    #[serde(default)]
    pub match_by: MatchBy,
    /// Who of a group sits where.
    #[serde(default)]
    pub seats: Seating,
    /// What their links must be like.
    #[serde(default)]
    pub links: LinkRules,
    /// In milliseconds (S4).
    pub max_wait_millis: u32,
    /// The scene to which those go who have waited so long, or do not want to wait any longer; else the end.
    pub on_timeout: Option<String>,
}

impl Default for LobbyRules {
    fn default() -> Self {
        Self {
            match_by: MatchBy::First,
            seats: Seating::Coming,
            links: LinkRules::default(),
            max_wait_millis: 120_000,
            on_timeout: None,
        }
    }
}

/// Where a participant goes when a game has ended early.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// To the next scene.
    #[default]
    Next,
    /// Back to the lobby, for another game.
    Lobby,
    /// To a scene, by its id.
    Scene(String),
}

/// The end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EndScene {
    /// HTML for each way of ending.
    pub texts: BTreeMap<VisitEnding, String>,
    /// A code or an address for a way of ending.
    pub exits: BTreeMap<VisitEnding, Exit>,
}

/// Under which name a game's own texts say what a button is called.
#[must_use]
pub fn button_text(button: &str) -> String {
    format!("button_{button}")
}

impl Experiment {
    /// A passage as the page of one whose progress this is sees it.
    /// `entry` is what the entry link brought.
    pub(crate) fn scene(&self, progress: &Progress, entry: &Answers) -> Option<Scene> {
        let (index, variables) = (progress.scene as usize, &progress.variables);
        let ended = progress.ended.unwrap_or(VisitEnding::Completed);
        let spec = self.scenes.get(index)?;
        let kind = match &spec.kind {
            SceneSpecKind::Start(sheet) => SceneKind::Start(Sheet {
                keys: self.keys_after(index, variables),
                ..variables::in_sheet(sheet, variables)
            }),
            SceneSpecKind::Static(sheet) => SceneKind::Static(variables::in_sheet(sheet, variables)),
            SceneSpecKind::Form(form) => SceneKind::Form(variables::in_sheet(&form.sheet, variables)),
            SceneSpecKind::Game(game) => SceneKind::Game {
                players: game.players,
                texts: variables::in_all(&game.texts, variables),
                tab_warning_millis: match game.monitor.on_hidden {
                    OnHidden::Continue => 0,
                    // The others wait from the first moment.
                    OnHidden::Pause => 1,
                    OnHidden::Exclude => game.monitor.tab_warning_millis,
                },
            },
            SceneSpecKind::End(end) => SceneKind::End {
                reason: ended,
                body: end
                    .texts
                    .get(&ended)
                    .map(|text| variables::in_html(text, variables))
                    .unwrap_or_default(),
                exit: self.exit(progress).map(|exit| exit::with_entry(exit, |name| entry.get(name))),
                is_deleted: progress.is_deleted,
            },
        };
        let id = self.passage(index, &progress.turns)?;
        Some(Scene { id, title: self.title.clone(), kind, withdrawal: self.withdrawal })
    }

    /// What a visit that has come to an end is sent away with; what the entry link brought is still to be put in.
    pub(crate) fn exit(&self, progress: &Progress) -> Option<Exit> {
        let SceneSpecKind::End(end) = &self.scenes.get(progress.scene as usize)?.kind else { return None };
        let exit = end.exits.get(&progress.ended.unwrap_or(VisitEnding::Completed))?;
        Some(exit::with_variables(exit, progress))
    }

    /// A game's options for a visit.
    pub(crate) fn options(&self, scene: usize, variables: &Answers) -> Vec<f64> {
        let options = self.game(scene).map_or(&[][..], |game| &game.options);
        options.iter().map(|option| option.value(variables)).collect()
    }

    /// Whether it has a check of its own (X2).
    #[must_use]
    pub fn has_checks(&self) -> bool {
        let in_game = (0..self.scenes.len()).any(|at| self.game(at).is_some_and(|game| game.check.is_some()));
        in_game || self.screening.check.is_some()
    }

    /// A game's scene.
    pub(crate) fn game(&self, index: usize) -> Option<&GameScene> {
        match &self.scenes.get(index)?.kind {
            SceneSpecKind::Game(game) => Some(game),
            _ => None,
        }
    }

    /// Where a scene is.
    pub(crate) fn index_of(&self, id: &str) -> Option<usize> {
        self.scenes.iter().position(|scene| scene.id == id)
    }

    /// The end for those who do not go all the way: one that has an exit for them, of those the next; else the next. It is
    /// one of those that are for this visit, as the last always is.
    pub(crate) fn end_after(
        &self,
        index: usize,
        ending: VisitEnding,
        admits: impl Fn(&Guard) -> bool,
    ) -> usize {
        let is_for_it = |at: usize| self.blocks_around(at).all(|block| admits(&block.guard));
        let ends = self.scenes.iter().enumerate().filter_map(|(at, scene)| match &scene.kind {
            SceneSpecKind::End(end) if admits(&scene.guard) && is_for_it(at) => {
                Some((at, end.exits.contains_key(&ending)))
            }
            _ => None,
        });
        // Whether it has none, whether it lies behind, how far away it is.
        let nearest = ends.min_by_key(|&(at, has_exit)| (!has_exit, at < index, at));
        nearest.map_or(self.scenes.len() - 1, |(at, _)| at)
    }

    /// Whether what becomes of visits hangs on a variable, so that it must be remembered.
    pub(crate) fn uses(&self, variable: &str) -> bool {
        let guards = self.blocks.iter().map(|block| &block.guard);
        let guards = guards.chain(self.scenes.iter().map(|scene| &scene.guard));
        let mut named = guards.filter_map(|guard| guard.when.as_ref()).map(|when| when.variable.as_str());
        let in_texts = |scene: &SceneSpec| {
            let is_in = |text: &str| variables::names_in(text).any(|(_, name)| name == variable);
            match &scene.kind {
                SceneSpecKind::Game(game) => {
                    let is_option = game.options.iter().any(|option| option.variable() == Some(variable));
                    is_option || game.texts.values().any(|text| is_in(text))
                }
                SceneSpecKind::End(end) => {
                    let exits = end.exits.values().flat_map(|exit| [&exit.code, &exit.redirect]).flatten();
                    end.texts.values().chain(exits).any(|text| is_in(text))
                }
                other => other
                    .sheet()
                    .is_some_and(|sheet| variables::texts_of(sheet).iter().any(|(_, text, _)| is_in(text))),
            }
        };
        named.any(|name| name == variable) || self.scenes.iter().any(in_texts)
    }

    /// The keys of the next game, for a legend before it, with what that game calls its buttons.
    fn keys_after(&self, index: usize, variables: &Answers) -> BTreeMap<String, String> {
        let mut games = self.scenes[index..].iter().filter_map(|scene| match &scene.kind {
            SceneSpecKind::Game(game) => Some(game),
            _ => None,
        });
        let Some(game) = games.next() else { return BTreeMap::new() };
        let called = |button: &String| {
            let own = game.texts.get(&button_text(button)).map(|text| variables::in_words(text, variables));
            own.filter(|own| !own.is_empty()).unwrap_or_else(|| button.clone())
        };
        game.keys.iter().map(|(key, button)| (key.clone(), called(button))).collect()
    }
}

impl SceneSpecKind {
    /// Its name, as in the experiment's file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Static(_) => "static",
            Self::Form(_) => "form",
            Self::Game(_) => "game",
            Self::End(_) => "end",
        }
    }

    /// What must be answered rightly.
    pub(crate) const fn comprehension(&self) -> Option<&Comprehension> {
        match self {
            Self::Form(form) => form.comprehension.as_ref(),
            _ => None,
        }
    }

    /// What there is to read and to answer, where the participant goes on by a button.
    #[must_use]
    pub const fn sheet(&self) -> Option<&Sheet> {
        match self {
            Self::Start(sheet) | Self::Static(sheet) => Some(sheet),
            Self::Form(form) => Some(&form.sheet),
            Self::Game(_) | Self::End(_) => None,
        }
    }
}
