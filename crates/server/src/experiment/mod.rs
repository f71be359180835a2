//! Reads an experiment's folder: its one TOML file, its texts and its environments (S1).
//!
//! Every mistake is told with file, line and field where there is one, and with what would be right.

mod form;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use room::{Experiment, GameScene, SceneSpec, SceneSpecKind};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;
use wire::control::{
    EnvironmentRef, GameRules, IceServer, LaneUse, OnDirectLoss, OnPlayerLost, PauseRules, Prediction, Sheet,
};

use self::form::FieldFile;
use crate::assets;

/// The experiment's file within its folder.
const FILE: &str = "experiment.toml";

/// An experiment, ready to be served.
#[derive(Debug)]
pub struct Loaded {
    /// Its name in the data.
    pub id: String,
    /// The SHA-256 of its file: its version (S2).
    pub sha256: String,
    /// What the stager follows.
    pub experiment: Experiment,
    /// Prepared environments by their SHA-256.
    pub environments: BTreeMap<String, Vec<u8>>,
}

/// What the demo's flags change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// How many play together.
    pub players: Option<u8>,
    /// How many rounds.
    pub episodes: Option<u32>,
    /// Frames of a round.
    pub max_frames: Option<u32>,
    /// Frames a second.
    pub fps: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    title: String,
    scene: Vec<Spanned<SceneFile>>,
}

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
struct SceneFile {
    kind: Kind,
    id: String,
    body: Option<String>,
    button: Option<String>,
    consent: Option<String>,
    field: Option<Vec<Spanned<FieldFile>>>,
    environment: Option<String>,
    players: Option<u8>,
    fps: Option<u16>,
    episodes: Option<u32>,
    max_frames: Option<u32>,
    input_delay: Option<u8>,
    window: Option<u8>,
    prediction: Option<Prediction>,
    intermission_ms: Option<u32>,
    seed: Option<u64>,
    keys: Option<BTreeMap<String, String>>,
    recovery: Option<RecoveryFile>,
    force_relay: Option<bool>,
    ice_servers: Option<Vec<IceServerFile>>,
    texts: Option<BTreeMap<String, String>>,
}

/// What to do about bad connections, and about who is lost for a while (P3).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecoveryFile {
    lanes: Option<LaneUse>,
    on_direct_loss: Option<OnDirectLoss>,
    grace_s: Option<f64>,
    reconnect_timeout_s: Option<f64>,
    max_pauses: Option<u32>,
    max_paused_s: Option<f64>,
    countdown_s: Option<f64>,
    on_player_lost: Option<OnPlayerLost>,
}

impl RecoveryFile {
    fn pauses(&self) -> PauseRules {
        let usual = PauseRules::default();
        PauseRules {
            timeout_millis: self.reconnect_timeout_s.map_or(usual.timeout_millis, millis),
            most: self.max_pauses.unwrap_or(usual.most),
            total_millis: self.max_paused_s.map_or(usual.total_millis, millis),
            countdown_millis: self.countdown_s.map_or(usual.countdown_millis, millis),
        }
    }
}

/// What cannot be a time comes out as one that is refused.
fn millis(seconds: f64) -> u32 {
    if seconds >= 0.0 { (seconds * 1000.0) as u32 } else { u32::MAX }
}

/// What a page says while a game stands still: the texts that an experiment may have its own words for.
const GAME_TEXTS: [&str; 9] = [
    "missing_one",
    "missing_many",
    "missing_you",
    "reconnecting",
    "reconnecting_you",
    "catching_up",
    "going_on",
    "will_end",
    "ended",
];

/// The longest text of [`GAME_TEXTS`], in characters: it must fit a small screen.
const GAME_TEXT_LIMIT: usize = 500;

/// A STUN or TURN server of somebody else's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IceServerFile {
    urls: Vec<String>,
    username: Option<String>,
    credential: Option<String>,
}

/// A value that cannot be, and the field that it is in.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Mistake {
    field: &'static str,
    text: String,
    /// Where what it is in begins, when that is not the scene.
    start: Option<usize>,
}

impl Mistake {
    fn new(field: &'static str, text: String) -> Self {
        Self { field, text, start: None }
    }
}

fn mistake(field: &'static str, text: String) -> anyhow::Error {
    Mistake::new(field, text).into()
}

impl SceneFile {
    /// # Errors
    /// When a key is there that this kind of scene does not have.
    fn check_keys(&self) -> anyhow::Result<()> {
        use Kind::{End, Form, Game, Start, Static};
        let keys: [(_, _, &[Kind]); _] = [
            ("body", self.body.is_some(), &[Start, Static, Form]),
            ("button", self.button.is_some(), &[Start, Static, Form]),
            ("consent", self.consent.is_some(), &[Start]),
            ("field", self.field.is_some(), &[Form]),
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
            ("keys", self.keys.is_some(), &[Game]),
            ("recovery", self.recovery.is_some(), &[Game]),
            ("force_relay", self.force_relay.is_some(), &[Game]),
            ("ice_servers", self.ice_servers.is_some(), &[Game]),
            ("texts", self.texts.is_some(), &[Game, End]),
        ];
        match keys.into_iter().find(|&(_, there, kinds)| there && !kinds.contains(&self.kind)) {
            Some((field, _, kinds)) => {
                let kinds: Vec<_> =
                    kinds.iter().map(|kind| format!("{:?}", format!("{kind:?}").to_lowercase())).collect();
                let text = format!("{field} belongs to scenes of kind {}", kinds.join(" or "));
                Err(mistake(field, text))
            }
            None => Ok(()),
        }
    }
}

/// The line of a field within the scene that begins at `start`, or the scene's first.
fn line(text: &str, start: usize, field: &str) -> usize {
    let is_field = |line: &&str| {
        let line = line.trim_start();
        let key = line.strip_prefix("[scene.").unwrap_or(line);
        key.strip_prefix(field).is_some_and(|rest| !rest.starts_with(is_bare_key))
    };
    let first = text[..start].matches('\n').count() + 1;
    let scene =
        text[start..].lines().enumerate().take_while(|(at, line)| *at == 0 || !line.starts_with("[["));
    first + scene.skip(1).find(|(_, line)| !field.is_empty() && is_field(line)).map_or(0, |(at, _)| at)
}

fn is_bare_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Where an experiment's files come from.
enum Source<'a> {
    Folder(&'a Path),
    /// Inside the binary.
    Demo,
}

impl Source<'_> {
    fn name(&self, file: &str) -> PathBuf {
        match self {
            Source::Folder(folder) => folder.join(file),
            Source::Demo => Path::new("demo").join(file),
        }
    }

    fn read(&self, file: &str) -> anyhow::Result<Vec<u8>> {
        let plain = Path::new(file).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !plain {
            bail!("{file:?} must be a file within the experiment's folder");
        }
        match self {
            Source::Folder(folder) => {
                let path = folder.join(file);
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
            }
            Source::Demo => assets::demo(file).with_context(|| format!("the demo has no file {file:?}")),
        }
    }

    fn text(&self, file: &str) -> anyhow::Result<String> {
        String::from_utf8(self.read(file)?)
            .with_context(|| format!("{} is not UTF-8", self.name(file).display()))
    }
}

/// Reads an experiment's folder.
///
/// # Errors
/// Names the file, and the line and field where there is one, and the cure.
pub fn load(folder: &Path) -> anyhow::Result<Loaded> {
    if !folder.join(FILE).is_file() {
        bail!("{} has no {FILE}; an experiment is a folder with one", folder.display());
    }
    build(&Source::Folder(folder), Overrides::default())
}

/// The experiment that is inside the binary.
///
/// # Errors
/// When a flag asks for what the game cannot do.
pub fn demo(overrides: &Overrides) -> anyhow::Result<Loaded> {
    build(&Source::Demo, *overrides)
}

fn build(source: &Source<'_>, overrides: Overrides) -> anyhow::Result<Loaded> {
    let text = source.text(FILE)?;
    let path = source.name(FILE);
    // toml's message shows the line, the column and the offending text.
    let file: File = toml::from_str(&text).map_err(|error| {
        let hint = suggestion(error.message()).map(|hint| format!("\n{hint}")).unwrap_or_default();
        anyhow::anyhow!("{}: {}{hint}", path.display(), error.to_string().trim_end())
    })?;
    let mut loaded = Loaded {
        id: file.id,
        sha256: hex(&Sha256::digest(&text)),
        experiment: Experiment { title: file.title, scenes: Vec::new() },
        environments: BTreeMap::new(),
    };
    for scene in file.scene {
        let start = scene.span().start;
        let at = |error: anyhow::Error| {
            let (start, field) = error
                .downcast_ref::<Mistake>()
                .map_or((start, ""), |mistake| (mistake.start.unwrap_or(start), mistake.field));
            error.context(format!("{}: line {}", path.display(), line(&text, start, field)))
        };
        let spec = scene_spec(source, scene.into_inner(), overrides, &mut loaded.environments).map_err(at)?;
        if loaded.experiment.scenes.iter().any(|other| other.id == spec.id) {
            let text = format!("id {:?} is used twice; give each scene its own", spec.id);
            return Err(at(mistake("id", text)));
        }
        loaded.experiment.scenes.push(spec);
    }
    match loaded.experiment.scenes.last() {
        Some(SceneSpec { kind: SceneSpecKind::End(_), .. }) => Ok(loaded),
        _ => bail!(
            "{}: the last scene must be of kind \"end\"; participants need to arrive somewhere",
            path.display()
        ),
    }
}

/// "Did you mean …" for an unknown key, from the names that the message lists as expected.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown ").then(|| quoted.next())??;
    nearest(unknown, quoted).map(|nearest| format!("did you mean `{nearest}`?"))
}

/// The name that was probably meant.
fn nearest<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, nearest) = names.map(|name| (edits(unknown, name), name)).min()?;
    (distance <= 3 && distance < unknown.len()).then_some(nearest)
}

/// How many letters must be put in, taken out or changed.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &cb) in b.iter().enumerate() {
            let changed = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn scene_spec(
    source: &Source<'_>,
    scene: SceneFile,
    overrides: Overrides,
    environments: &mut BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<SceneSpec> {
    scene.check_keys()?;
    let id = scene.id.clone();
    let kind = match scene.kind {
        Kind::Start => {
            let consent = scene.consent.clone().map(form::consent);
            SceneSpecKind::Start(Sheet {
                fields: consent.into_iter().collect(),
                ..sheet(source, scene.body, scene.button, "Start")?
            })
        }
        Kind::Static => {
            needed("body", scene.body.as_ref(), "static")?;
            SceneSpecKind::Static(sheet(source, scene.body, scene.button, "Continue")?)
        }
        Kind::Form => {
            let files = needed("field", scene.field, "form")?;
            let fields = form::fields(files)?;
            SceneSpecKind::Form(Sheet { fields, ..sheet(source, scene.body, scene.button, "Continue")? })
        }
        Kind::Game => SceneSpecKind::Game(Box::new(game_scene(source, scene, overrides, environments)?)),
        Kind::End => SceneSpecKind::End(text::end_scene(scene.texts)?),
    };
    Ok(SceneSpec { id, kind })
}

fn in_field(field: &'static str) -> impl Fn(anyhow::Error) -> anyhow::Error {
    move |error| mistake(field, format!("{field}: {error:#}"))
}

fn needed<T>(field: &'static str, value: Option<T>, kind: &str) -> anyhow::Result<T> {
    value.ok_or_else(|| mistake(field, format!("{field} is missing; a scene of kind {kind:?} needs it")))
}

/// What there is to read, and the button.
fn sheet(
    source: &Source<'_>,
    body: Option<String>,
    button: Option<String>,
    usual: &str,
) -> anyhow::Result<Sheet> {
    let read = |file: String| source.text(&file).map(|text| text::html_of(&file, &text));
    let body = body.map(read).transpose().map_err(in_field("body"))?;
    Ok(Sheet {
        body: body.unwrap_or_default(),
        button: button.unwrap_or_else(|| usual.to_owned()),
        ..Sheet::default()
    })
}

fn game_scene(
    source: &Source<'_>,
    game: SceneFile,
    overrides: Overrides,
    environments: &mut BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<GameScene> {
    let file = needed("environment", game.environment, "game")?;
    let prepare = || -> anyhow::Result<_> {
        let name = || format!("environment {}", source.name(&file).display());
        let prepared = host::prepare::prepare(&source.read(&file)?).with_context(name)?;
        let module = host::Module::new(&prepared).with_context(name)?;
        Ok((prepared, module))
    };
    let (prepared, module) = prepare().map_err(in_field("environment"))?;
    let manifest = module.manifest();
    let players = needed("players", overrides.players.or(game.players), "game")?;
    let (fewest, most) = manifest.seats;
    if !(fewest..=most).contains(&players) {
        let text = format!("players is {players}; {} takes {fewest} to {most}", manifest.name);
        return Err(mistake("players", text));
    }
    let keys = game.keys.unwrap_or_default();
    if let Some((key, button)) = keys.iter().find(|(_, button)| !manifest.buttons.contains(button)) {
        let buttons = manifest.buttons.join(", ");
        let text = format!("keys.{key} is {button:?}; {} has the buttons {buttons}", manifest.name);
        return Err(mistake("keys", text));
    }
    let usual = GameRules::default();
    let recovery = game.recovery.unwrap_or_default();
    let rules = GameRules {
        fps: overrides.fps.or(game.fps).unwrap_or(usual.fps),
        episodes: overrides.episodes.or(game.episodes).unwrap_or(usual.episodes),
        max_frames: needed("max_frames", overrides.max_frames.or(game.max_frames), "game")?,
        input_delay: game.input_delay.unwrap_or(usual.input_delay),
        window: game.window.unwrap_or(usual.window),
        prediction: game.prediction.unwrap_or_default(),
        intermission_millis: game.intermission_ms.unwrap_or(usual.intermission_millis),
        lanes: recovery.lanes.unwrap_or_default(),
        on_direct_loss: recovery.on_direct_loss.unwrap_or_default(),
        on_player_lost: recovery.on_player_lost.unwrap_or_default(),
        grace_millis: recovery.grace_s.map_or(usual.grace_millis, millis),
        force_relay: game.force_relay.unwrap_or(false),
        pauses: recovery.pauses(),
    };
    check(&rules)?;
    let sha256 = hex(&Sha256::digest(&prepared));
    let input_size = manifest.input_bytes;
    environments.insert(sha256.clone(), prepared);
    Ok(GameScene {
        players,
        rules,
        seed: game.seed,
        environment: EnvironmentRef { url: format!("/environments/{sha256}.wasm"), sha256 },
        input_size,
        keys,
        ice_servers: game
            .ice_servers
            .unwrap_or_default()
            .into_iter()
            .map(ice_server)
            .collect::<Result<_, _>>()?,
        texts: game_texts(game.texts)?,
    })
}

fn game_texts(texts: Option<BTreeMap<String, String>>) -> anyhow::Result<BTreeMap<String, String>> {
    let texts = texts.unwrap_or_default();
    for (name, words) in &texts {
        if !GAME_TEXTS.contains(&name.as_str()) {
            let meant = nearest(name, GAME_TEXTS.into_iter());
            let hint = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            let text = format!("texts.{name} is no text of a game; they are {}{hint}", GAME_TEXTS.join(", "));
            return Err(mistake("texts", text));
        }
        let length = words.chars().count();
        if length > GAME_TEXT_LIMIT {
            let text =
                format!("texts.{name} has {length} characters; it must have {GAME_TEXT_LIMIT} at most");
            return Err(mistake("texts", text));
        }
    }
    Ok(texts)
}

fn ice_server(file: IceServerFile) -> anyhow::Result<IceServer> {
    let known =
        |url: &&String| ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme));
    if let Some(url) = file.urls.iter().find(|url| !known(url)) {
        let text = format!("ice_servers: {url:?} must begin with stun:, stuns:, turn: or turns:");
        return Err(mistake("ice_servers", text));
    }
    let turn = file.urls.iter().any(|url| url.starts_with("turn"));
    if turn && (file.username.is_none() || file.credential.is_none()) {
        return Err(mistake(
            "ice_servers",
            "ice_servers: a TURN server needs username and credential".into(),
        ));
    }
    Ok(IceServer { urls: file.urls, username: file.username, credential: file.credential })
}

fn check(rules: &GameRules) -> anyhow::Result<()> {
    let frames = u64::from(rules.episodes) * u64::from(rules.max_frames);
    let pauses = &rules.pauses;
    let checks = [
        ("fps", u64::from(rules.fps), (1..=240).contains(&rules.fps), "1 to 240"),
        ("episodes", u64::from(rules.episodes), rules.episodes >= 1, "at least 1"),
        ("max_frames", u64::from(rules.max_frames), rules.max_frames >= 1, "at least 1"),
        ("max_frames", frames, frames < 16_777_152, "less than 16,777,152 in all episodes together"),
        ("input_delay", u64::from(rules.input_delay), rules.input_delay <= 8, "0 to 8"),
        ("window", u64::from(rules.window), (1..=16).contains(&rules.window), "1 to 16"),
        (
            "recovery",
            u64::from(rules.grace_millis),
            (500..=60_000).contains(&rules.grace_millis),
            "a grace_s of 0.5 to 60 (in milliseconds here)",
        ),
        (
            "recovery",
            u64::from(pauses.timeout_millis),
            (1_000..=3_600_000).contains(&pauses.timeout_millis),
            "a reconnect_timeout_s of 1 to 3600 (in milliseconds here)",
        ),
        ("recovery", u64::from(pauses.most), (1..=100).contains(&pauses.most), "a max_pauses of 1 to 100"),
        (
            "recovery",
            u64::from(pauses.total_millis),
            (1_000..=36_000_000).contains(&pauses.total_millis),
            "a max_paused_s of 1 to 36000 (in milliseconds here)",
        ),
        (
            "recovery",
            u64::from(pauses.countdown_millis),
            pauses.countdown_millis <= 30_000,
            "a countdown_s of 0 to 30 (in milliseconds here)",
        ),
    ];
    match checks.into_iter().find(|&(_, _, good, _)| !good) {
        Some((field, value, _, range)) => {
            Err(mistake(field, format!("{field} is {value}; it must be {range}")))
        }
        None => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loads an experiment from a folder with the demo's other files.
    fn load_text(text: &str) -> anyhow::Result<Loaded> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        for file in ["welcome.md", "tag.wasm"] {
            std::fs::write(folder.path().join(file), assets::demo(file).unwrap()).unwrap();
        }
        std::fs::write(folder.path().join("about.md"), "*Read*").unwrap();
        load(folder.path())
    }

    /// The demo's file with some of it replaced.
    fn demo_with(from: &str, to: &str) -> String {
        let text = String::from_utf8(assets::demo(FILE).unwrap()).unwrap();
        assert!(text.contains(from), "{from:?} is not in the demo");
        text.replace(from, to)
    }

    /// What is said of a file.
    fn complaint_of(text: &str) -> String {
        format!("{:#}", load_text(text).expect_err("it was taken"))
    }

    /// What is said of the demo's file when some of it is replaced.
    fn complaint(from: &str, to: &str) -> String {
        complaint_of(&demo_with(from, to))
    }

    #[test]
    fn the_demo_is_in_order() {
        let loaded = demo(&Overrides::default()).unwrap();
        assert_eq!(loaded.experiment.scenes.len(), 3);
        assert_eq!(loaded.environments.len(), 1);
    }

    /// The game of the demo, with something more in its scene.
    fn game_with(more: &str) -> GameScene {
        let text = demo_with("fps = 30", &format!("fps = 30\n{more}"));
        let scenes = load_text(&text).unwrap().experiment.scenes;
        let game = scenes.into_iter().find_map(|scene| match scene.kind {
            SceneSpecKind::Game(game) => Some(*game),
            _ => None,
        });
        game.unwrap()
    }

    #[test]
    fn pauses_are_as_the_experiment_says_or_as_usual() {
        assert_eq!(game_with("").rules.pauses, PauseRules::default());
        let own = game_with(
            "recovery = { reconnect_timeout_s = 1.5, max_pauses = 9, max_paused_s = 20, countdown_s = 0 }",
        );
        let expected =
            PauseRules { timeout_millis: 1500, most: 9, total_millis: 20_000, countdown_millis: 0 };
        assert_eq!(own.rules.pauses, expected);
    }

    #[test]
    fn a_game_may_have_its_own_words() {
        let game = game_with("texts = { missing_one = \"Wait for {who}\", ended = \"Over\" }");
        assert_eq!(game.texts.keys().collect::<Vec<_>>(), ["ended", "missing_one"]);
        let long = format!("texts = {{ ended = \"{}\" }}", "x".repeat(501));
        assert!(complaint("fps = 30", &long).contains("texts.ended has 501 characters"));
    }

    #[test]
    fn mistakes_are_told_with_place_and_cure() {
        for (from, to, expected) in [
            ("players = 2", "players = 9", "line 14: players is 9; Tag takes 2 to 8"),
            ("fps = 30", "fps = 0", "line 15: fps is 0; it must be 1 to 240"),
            ("fps = 30", "button = \"Go\"", "line 15: button belongs to scenes of kind \"start\""),
            ("max_frames = 900\n", "", "line 10: max_frames is missing"),
            ("fps = 30", "fsp = 30", "did you mean `fps`?"),
            ("fps = 30", "fps = \"thirty\"", "line"),
            ("= \"left\"", "= \"jump\"", "has the buttons left, right, up, down, dash"),
            ("tag.wasm", "gat.wasm", "gat.wasm"),
            ("tag.wasm", "../tag.wasm", "within the experiment's folder"),
            ("tag.wasm", "welcome.md", "the module was refused"),
            ("kind = \"end\"", "kind = \"edn\"", "did you mean `end`?"),
            ("id = \"thanks\"", "id = \"play\"", "used twice"),
            (
                "fps = 30",
                "recovery = { grace_s = 0.1 }",
                "recovery is 100; it must be a grace_s of 0.5 to 60",
            ),
            ("fps = 30", "recovery = { lanes = \"cold\" }", "expected `warm` or `hot`"),
            (
                "fps = 30",
                "recovery = { reconnect_timeout_s = 0.5 }",
                "line 15: recovery is 500; it must be a reconnect_timeout_s of 1 to 3600",
            ),
            ("fps = 30", "recovery = { reconnect_timeout_s = 3601 }", "reconnect_timeout_s of 1 to 3600"),
            (
                "fps = 30",
                "recovery = { max_pauses = 0 }",
                "recovery is 0; it must be a max_pauses of 1 to 100",
            ),
            ("fps = 30", "recovery = { max_pauses = 101 }", "max_pauses of 1 to 100"),
            ("fps = 30", "recovery = { max_paused_s = 36001 }", "max_paused_s of 1 to 36000"),
            ("fps = 30", "recovery = { countdown_s = 31 }", "countdown_s of 0 to 30"),
            ("fps = 30", "recovery = { countdown_s = -1 }", "countdown_s of 0 to 30"),
            ("fps = 30", "recovery = { max_pause = 3 }", "did you mean `max_pauses`?"),
            (
                "[[scene]]\nkind = \"end\"",
                "[scene.recovery]\ncountdown_s = 99\n[[scene]]\nkind = \"end\"",
                "line 22: recovery is 99000",
            ),
            ("fps = 30", "texts = { go_on = \"On!\" }", "line 15: texts.go_on is no text of a game"),
            ("fps = 30", "texts = { missing_none = \"?\" }", "did you mean `missing_one`?"),
            (
                "fps = 30",
                "texts = { normal = \"Thanks\" }",
                "they are missing_one, missing_many, missing_you",
            ),
            ("button = \"Start\"", "texts = {}", "texts belongs to scenes of kind \"game\" or \"end\""),
            ("fps = 30", "ice_servers = [{ urls = [\"http://x\"] }]", "must begin with stun:"),
            ("fps = 30", "ice_servers = [{ urls = [\"turn:x\"] }]", "needs username and credential"),
        ] {
            let text = complaint(from, to);
            assert!(text.contains(expected) && text.contains("experiment.toml"), "{to}: {text}");
        }
    }

    #[test]
    fn what_the_documentation_shows_is_taken() {
        let document = include_str!("../../../../docs/experiments.md");
        let shown = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let scenes = load_text(shown).unwrap().experiment.scenes;
        assert_eq!(scenes.len(), 4);
        let SceneSpecKind::Static(sheet) = &scenes[1].kind else { panic!("{:?}", scenes[1]) };
        assert_eq!(sheet.body, "<p><em>Read</em></p>\n");
    }

    /// What is said of a form with one field.
    fn field_complaint(field: &str) -> String {
        complaint_of(&format!(
            "id = \"a\"\ntitle = \"A\"\n\n[[scene]]\nkind = \"form\"\nid = \"f\"\n\n[[scene.field]]\n{field}\n\n\
             [[scene]]\nkind = \"end\"\nid = \"e\"\n"
        ))
    }

    #[test]
    fn mistakes_in_questions_are_told_with_place_and_cure() {
        let q = |kind: &str, more: &str| format!("id = \"q\"\ntype = \"{kind}\"\nlabel = \"?\"\n{more}");
        for (field, expected) in [
            (q("integer", "lines = 3"), "line 12: field \"q\": lines belongs to fields of type \"text\""),
            (q("number", "min = 5\nmax = 5"), "line 12: field \"q\": min is 5 and max is 5"),
            (q("choice", ""), "needs two answers at least"),
            (
                q("choice", "options = [\"a\", \"a\"]"),
                "line 12: field \"q\": the option \"a\" is there twice",
            ),
            (q("likert", "points = 1"), "points is 1; it must be 2 to 11"),
            (q("slider", "step = 0"), "step is 0; it must be more than 0"),
            (q("text", "max_length = 10001"), "max_length is 10001; it must be 1 to 10000"),
            (q("consent", ""), "belongs to the start scene"),
            (q("integr", ""), "did you mean `integer`?"),
            (q("text", "requierd = true"), "did you mean `required`?"),
            (q("text", "").replace("\"q\"", "\"a b\""), "letters, digits, - and _ only"),
        ] {
            let text = field_complaint(&field);
            assert!(text.contains(expected) && text.contains("experiment.toml"), "{field}: {text}");
        }
    }

    #[test]
    fn a_folder_without_the_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = load(folder.path()).unwrap_err().to_string();
        assert!(text.contains("has no experiment.toml"), "{text}");
    }

    #[test]
    fn a_demo_for_nine_is_refused() {
        let overrides = Overrides { players: Some(9), ..Overrides::default() };
        assert!(format!("{:#}", demo(&overrides).unwrap_err()).contains("takes 2 to 8"));
    }
}
