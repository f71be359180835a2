//! One scene, as the file has it.

use std::collections::BTreeMap;

use room::{Comprehension, FormScene, SceneSpec, SceneSpecKind};
use serde::Deserialize;
use toml::Spanned;
use wire::control::{Exit, Prediction, Sheet};
use wire::form::Answers;
use wire::text;
use wire::texts::Name;

use super::form::{self, FieldFile};
use super::game::{IceServerFile, LobbyFile, MonitorFile, RecoveryFile};
use super::guard::{self, WhenFile};
use super::mistakes::Reading;
use super::text::html_of;
use super::{Reader, is_plain};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Start,
    Static,
    Form,
    Game,
    End,
}

/// Every scene's keys: one plain structure, because serde's tagged enums forget the lines that mistakes are in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SceneFile {
    kind: Kind,
    pub(super) id: String,
    body: Option<String>,
    button: Option<String>,
    consent: Option<String>,
    field: Option<Vec<Spanned<FieldFile>>>,
    attempts: Option<u32>,
    on_failed: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) players: Option<u8>,
    pub(super) fps: Option<u16>,
    pub(super) episodes: Option<u32>,
    pub(super) max_frames: Option<u32>,
    pub(super) input_delay: Option<u8>,
    pub(super) window: Option<u8>,
    pub(super) prediction: Option<Prediction>,
    pub(super) intermission_ms: Option<u32>,
    pub(super) seed: Option<u64>,
    pub(super) options: Option<BTreeMap<String, toml::Value>>,
    pub(super) keys: Option<BTreeMap<String, String>>,
    pub(super) recovery: Option<RecoveryFile>,
    pub(super) lobby: Option<LobbyFile>,
    pub(super) monitor: Option<MonitorFile>,
    pub(super) force_relay: Option<bool>,
    pub(super) ice_servers: Option<Vec<IceServerFile>>,
    pub(super) texts: Option<BTreeMap<String, String>>,
    exits: Option<BTreeMap<String, Exit>>,
    when: Option<WhenFile>,
    conditions: Option<Vec<String>>,
}

impl SceneFile {
    /// Tells of keys that this kind of scene does not have.
    fn check_keys(&self, file: &mut Reading<'_>) {
        use Kind::{End, Form, Game, Start, Static};
        let keys: [(_, _, &[Kind]); _] = [
            ("body", self.body.is_some(), &[Start, Static, Form]),
            ("button", self.button.is_some(), &[Start, Static, Form]),
            ("consent", self.consent.is_some(), &[Start]),
            ("field", self.field.is_some(), &[Form]),
            ("attempts", self.attempts.is_some(), &[Form]),
            ("on_failed", self.on_failed.is_some(), &[Form]),
            ("environment", self.environment.is_some(), &[Game]),
            ("players", self.players.is_some(), &[Game]),
            ("fps", self.fps.is_some(), &[Game]),
            ("episodes", self.episodes.is_some(), &[Game]),
            ("max_frames", self.max_frames.is_some(), &[Game]),
            ("input_delay", self.input_delay.is_some(), &[Game]),
            ("window", self.window.is_some(), &[Game]),
            ("prediction", self.prediction.is_some(), &[Game]),
            ("intermission_ms", self.intermission_ms.is_some(), &[Game]),
            ("seed", self.seed.is_some(), &[Game]),
            ("options", self.options.is_some(), &[Game]),
            ("keys", self.keys.is_some(), &[Game]),
            ("recovery", self.recovery.is_some(), &[Game]),
            ("lobby", self.lobby.is_some(), &[Game]),
            ("monitor", self.monitor.is_some(), &[Game]),
            ("force_relay", self.force_relay.is_some(), &[Game]),
            ("ice_servers", self.ice_servers.is_some(), &[Game]),
            ("texts", self.texts.is_some(), &[Game, End]),
            ("exits", self.exits.is_some(), &[End]),
        ];
        for (field, _, kinds) in
            keys.into_iter().filter(|&(_, there, kinds)| there && !kinds.contains(&self.kind))
        {
            let kinds: Vec<_> =
                kinds.iter().map(|kind| format!("{:?}", format!("{kind:?}").to_lowercase())).collect();
            file.add(field, format!("{field} belongs to scenes of kind {}", kinds.join(" or ")));
        }
    }
}

impl Reader<'_, '_> {
    /// A scene, unless something is wrong with it.
    pub(super) fn scene(&mut self, start: usize, scene: SceneFile) -> Option<SceneSpec> {
        let outer = self.file.start.replace(start);
        let spec = self.scene_here(scene);
        self.file.start = outer;
        spec
    }

    fn scene_here(&mut self, mut scene: SceneFile) -> Option<SceneSpec> {
        scene.check_keys(&mut self.file);
        let guard = guard::read(&mut self.file, scene.when.take(), scene.conditions.take());
        let id = scene.id.clone();
        if id.is_empty() || !id.chars().all(is_plain) {
            self.file.add("id", "an id has letters, digits, - and _ only; it is a name in the data");
        }
        let kind = match scene.kind {
            Kind::Start => {
                let fields = scene.consent.map(form::consent).into_iter().collect();
                SceneSpecKind::Start(Sheet {
                    fields,
                    ..self.sheet(scene.body, scene.button, text!("start"))?
                })
            }
            Kind::Static => {
                let body = self.needed("body", scene.body, "static")?;
                SceneSpecKind::Static(self.sheet(Some(body), scene.button, text!("continue"))?)
            }
            Kind::Form => {
                let before = self.file.count();
                let questions = form::fields(&mut self.file, scene.field.unwrap_or_default());
                let is_clean = self.file.count() == before;
                // What could not be read was told, and is there all the same.
                let is_empty = questions.as_ref().is_some_and(|(fields, _)| fields.is_empty());
                if is_empty && !self.file.has("field") {
                    let text =
                        "field is missing; a scene of kind \"form\" has a [[scene.field]] for each question";
                    self.file.add("field", text);
                }
                let sheet = self.sheet(scene.body, scene.button, text!("continue"));
                let (fields, correct) = questions?;
                let comprehension = if is_clean {
                    self.comprehension(correct, scene.attempts, scene.on_failed)
                } else {
                    None
                };
                SceneSpecKind::Form(FormScene { sheet: Sheet { fields, ..sheet? }, comprehension })
            }
            Kind::Game => SceneSpecKind::Game(Box::new(self.game(scene)?)),
            Kind::End => SceneSpecKind::End(self.end_scene(scene.texts, scene.exits)),
        };
        Some(SceneSpec { id, kind, guard })
    }

    fn comprehension(
        &mut self,
        correct: Answers,
        attempts: Option<u32>,
        on_failed: Option<String>,
    ) -> Option<Comprehension> {
        if correct.is_empty() {
            for (field, is_there) in [("attempts", attempts.is_some()), ("on_failed", on_failed.is_some())] {
                if is_there {
                    self.file.add(field, format!("{field} needs a question that has a `correct` answer"));
                }
            }
            return None;
        }
        Some(Comprehension {
            correct,
            attempts: self.file.number("attempts", attempts, 3, 1..=100),
            on_failed,
        })
    }

    pub(super) fn needed<T>(&mut self, field: &str, value: Option<T>, kind: &str) -> Option<T> {
        if value.is_none() {
            self.file.add(field, format!("{field} is missing; a scene of kind {kind:?} needs it"));
        }
        value
    }

    /// What there is to read, and the button.
    fn sheet(&mut self, body: Option<String>, button: Option<String>, usual: Name) -> Option<Sheet> {
        let body = match body {
            Some(file) => {
                let html = self.source.text(&file).map(|text| html_of(&file, &text));
                let html = self.file.keep("body", html)?;
                self.with_files("body", (&file, &format!("body: {file}")), &html)
            }
            None => String::new(),
        };
        Some(Sheet { body, button: button.unwrap_or_else(|| self.texts.say(usual, &[])), ..Sheet::default() })
    }
}
