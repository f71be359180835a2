//! One scene, as the file has it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base::MAX_SEATS;
use room::{Comprehension, FormScene, SceneSpec, SceneSpecKind};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use toml::Spanned;
use wire::control::{GameRules, Prediction, Sheet};
use wire::form::Answers;
use wire::text;
use wire::texts::Name;

use super::form::{self, FieldFile};
use super::game::{GAME_TEXTS, IceServerFile, LobbyFile, MOST_FRAMES, MonitorFile, RecoveryFile};
use super::guard::{self, WhenFile};
use super::mistakes::Reading;
use super::schema::{ByEnding, Id, KeyOf, KindOf, Words, by_kind, endings, only_in};
use super::text::{ExitFile, html_of};
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

/// A scene. All kinds' keys are in one plain structure, because serde's tagged enums forget the lines that mistakes are in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "A scene: what participants see until they go on.", transform = kinds)]
pub(super) struct SceneFile {
    /// What the scene is: `start` (what the study begins with), `static` (something to read), `form` (questions), `game` (a
    /// lobby, then a game), or `end`.
    #[schemars(with = "Words<Kind>")]
    kind: Kind,
    /// The scene's name in the data: letters, digits, `-` and `_`; no other scene has it.
    #[schemars(with = "Id")]
    pub(super) id: String,
    /// A file in the folder with what there is to read: Markdown, or HTML when its name ends with `.html`.
    body: Option<String>,
    /// What the button says with which participants go on. Without it, the language's usual word.
    button: Option<String>,
    /// What participants agree to: a box with these words, without which nobody goes on.
    consent: Option<String>,
    /// The questions.
    #[schemars(with = "Option<Vec<FieldFile>>", length(min = 1))]
    field: Option<Vec<Spanned<FieldFile>>>,
    /// How often participants may try to find the `correct` answers (1 to 100).
    #[schemars(range(min = 1, max = 100), extend("default" = 3))]
    attempts: Option<u32>,
    /// The id of the scene where a participant goes whose attempts are used up. Without it, to the end.
    on_failed: Option<String>,
    /// A file in the folder: the environment that is played, a WASM module.
    pub(super) environment: Option<String>,
    /// How many play together (1 to 8, as the environment says).
    #[schemars(range(min = 1, max = MAX_SEATS))]
    pub(super) players: Option<u8>,
    /// Frames a second (1 to 240).
    #[schemars(range(min = 1, max = 240), extend("default" = GameRules::default().fps))]
    pub(super) fps: Option<u16>,
    /// How many episodes a game has.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = GameRules::default().episodes))]
    pub(super) episodes: Option<u32>,
    /// How many frames an episode has at most. All episodes together may have 16777151.
    #[schemars(range(min = 1, max = MOST_FRAMES))]
    pub(super) max_frames: Option<u32>,
    /// How many frames after it was pressed a key counts (0 to 8). The more, the less is predicted, and the later everything
    /// answers.
    #[schemars(range(min = 0, max = 8), extend("default" = GameRules::default().input_delay))]
    pub(super) input_delay: Option<u8>,
    /// How many frames are predicted at most while inputs of others are missing (1 to 16). Then the game waits.
    #[schemars(range(min = 1, max = 16), extend("default" = GameRules::default().window))]
    pub(super) window: Option<u8>,
    /// What an input that has not come yet is taken for: `repeat_last`, that player's last one; `default`, nothing pressed.
    #[schemars(with = "Option<Words<Prediction>>", extend("default" = Prediction::default()))]
    pub(super) prediction: Option<Prediction>,
    /// How long it is between two episodes, in milliseconds.
    #[schemars(extend("default" = GameRules::default().intermission_millis))]
    pub(super) intermission_ms: Option<u32>,
    /// What all randomness of the environment follows from. Without it, each game has another one.
    pub(super) seed: Option<u64>,
    /// What the environment lets one set, by name: numbers, or variables that are numbers, like `"{{ speed }}"`.
    #[schemars(with = "Option<BTreeMap<String, Setting>>")]
    pub(super) options: Option<BTreeMap<String, toml::Value>>,
    /// Which key presses which of the environment's buttons, as in `ArrowLeft = "left"`. Keys are called as in the browsers'
    /// `KeyboardEvent.code`.
    pub(super) keys: Option<BTreeMap<String, String>>,
    /// What to do about bad connections, and about who is lost for a while.
    pub(super) recovery: Option<RecoveryFile>,
    /// How long to wait for others, and with whom to play.
    pub(super) lobby: Option<LobbyFile>,
    /// What connections and pages must be like; who does not keep to it is taken out of the game.
    pub(super) monitor: Option<MonitorFile>,
    /// Whether all packets go over TURN, so that participants do not learn each other's addresses.
    #[schemars(extend("default" = false))]
    pub(super) force_relay: Option<bool>,
    /// STUN and TURN servers of somebody else's.
    pub(super) ice_servers: Option<Vec<IceServerFile>>,
    /// Words of the scene's own: of a game by the text's name, of an end Markdown by the way of ending.
    #[schemars(with = "Option<OwnTexts>")]
    pub(super) texts: Option<BTreeMap<String, String>>,
    /// Where participants go from here, for each way of ending: `{ code = "C1A2" }` or `{ redirect = "https://…" }`.
    #[schemars(with = "Option<ByEnding<ExitFile>>")]
    exits: Option<BTreeMap<String, ExitFile>>,
    /// Whom the scene is for: those of whom this holds. Others pass over it.
    when: Option<WhenFile>,
    /// The ids of the conditions that the scene is for; for all, when it is left out.
    #[schemars(length(min = 1))]
    conditions: Option<Vec<String>>,
}

/// An option of an environment, as it may be in the file.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it is there to be described")]
enum Setting {
    Number(f64),
    Variable(#[schemars(regex(pattern = r"^\{\{.*\}\}$"))] String),
}

/// Words of games and of ends.
struct OwnTexts;

impl JsonSchema for OwnTexts {
    fn schema_name() -> Cow<'static, str> {
        "OwnTexts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = GAME_TEXTS.into_iter().chain(endings());
        let properties: Map<_, _> =
            names.map(|name| (name.to_owned(), json!({ "type": "string" }))).collect();
        json_schema!({
            "type": "object",
            "properties": properties,
            "patternProperties": { "^button_": { "type": "string" } },
            "additionalProperties": false
        })
    }
}

/// The keys that not all kinds of scenes have, and which do.
const KEYS: [KeyOf<SceneFile, Kind>; 25] = [
    ("body", |scene| scene.body.is_some(), &[Kind::Start, Kind::Static, Kind::Form]),
    ("button", |scene| scene.button.is_some(), &[Kind::Start, Kind::Static, Kind::Form]),
    ("consent", |scene| scene.consent.is_some(), &[Kind::Start]),
    ("field", |scene| scene.field.is_some(), &[Kind::Form]),
    ("attempts", |scene| scene.attempts.is_some(), &[Kind::Form]),
    ("on_failed", |scene| scene.on_failed.is_some(), &[Kind::Form]),
    ("environment", |scene| scene.environment.is_some(), &[Kind::Game]),
    ("players", |scene| scene.players.is_some(), &[Kind::Game]),
    ("fps", |scene| scene.fps.is_some(), &[Kind::Game]),
    ("episodes", |scene| scene.episodes.is_some(), &[Kind::Game]),
    ("max_frames", |scene| scene.max_frames.is_some(), &[Kind::Game]),
    ("input_delay", |scene| scene.input_delay.is_some(), &[Kind::Game]),
    ("window", |scene| scene.window.is_some(), &[Kind::Game]),
    ("prediction", |scene| scene.prediction.is_some(), &[Kind::Game]),
    ("intermission_ms", |scene| scene.intermission_ms.is_some(), &[Kind::Game]),
    ("seed", |scene| scene.seed.is_some(), &[Kind::Game]),
    ("options", |scene| scene.options.is_some(), &[Kind::Game]),
    ("keys", |scene| scene.keys.is_some(), &[Kind::Game]),
    ("recovery", |scene| scene.recovery.is_some(), &[Kind::Game]),
    ("lobby", |scene| scene.lobby.is_some(), &[Kind::Game]),
    ("monitor", |scene| scene.monitor.is_some(), &[Kind::Game]),
    ("force_relay", |scene| scene.force_relay.is_some(), &[Kind::Game]),
    ("ice_servers", |scene| scene.ice_servers.is_some(), &[Kind::Game]),
    ("texts", |scene| scene.texts.is_some(), &[Kind::Game, Kind::End]),
    ("exits", |scene| scene.exits.is_some(), &[Kind::End]),
];

impl Kind {
    const ALL: [Self; 5] = [Self::Start, Self::Static, Self::Form, Self::Game, Self::End];

    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Static => "static",
            Self::Form => "form",
            Self::Game => "game",
            Self::End => "end",
        }
    }

    /// The keys that it needs beside `kind` and `id`.
    const fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Start | Self::End => &[],
            Self::Static => &["body"],
            Self::Form => &["field"],
            Self::Game => &["environment", "players", "max_frames"],
        }
    }

    /// What its own texts may be called, as a schema.
    fn texts(self) -> Option<Value> {
        let names = match self {
            Self::Game => json!({ "anyOf": [{ "enum": GAME_TEXTS }, { "pattern": "^button_" }] }),
            Self::End => json!({ "enum": endings().collect::<Vec<_>>() }),
            Self::Start | Self::Static | Self::Form => return None,
        };
        Some(json!({ "propertyNames": names, "additionalProperties": true }))
    }
}

/// What the schema says of each kind of scene.
fn kinds(schema: &mut Schema) {
    for (key, _, kinds) in &KEYS {
        let names: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
        only_in(schema, key, &format!("scenes of kind {}", names.join(", ")));
    }
    let kinds = Kind::ALL.map(|kind| KindOf {
        name: kind.name(),
        without: KEYS.iter().filter(|(_, _, kinds)| !kinds.contains(&kind)).map(|(key, ..)| *key).collect(),
        needs: kind.needs(),
        more: kind.texts().map(|texts| ("texts".to_owned(), texts)).into_iter().collect(),
    });
    by_kind(schema, "kind", kinds.into());
}

impl SceneFile {
    /// Tells of keys that this kind of scene does not have.
    fn check_keys(&self, file: &mut Reading<'_>) {
        for (key, is_there, kinds) in KEYS {
            if !is_there(self) || kinds.contains(&self.kind) {
                continue;
            }
            let kinds: Vec<_> = kinds.iter().map(|kind| format!("{:?}", kind.name())).collect();
            file.add(key, format!("{key} belongs to scenes of kind {}", kinds.join(" or ")));
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
