//! Reads an experiment's folder: its one TOML file, its texts and its environments (S1).
//!
//! Every mistake is told with file, line and field where there is one, and with what would be right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use room::{EndScene, Experiment, GameScene, SceneSpec, SceneSpecKind, StartScene};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use wire::control::{EnvironmentRef, GameRules, Prediction, TerminationReason};

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
    scene: Vec<SceneFile>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum SceneFile {
    Start { id: String, body: Option<String>, button: Option<String> },
    Game(Box<GameFile>),
    End { id: String, texts: Option<BTreeMap<String, String>> },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GameFile {
    id: String,
    environment: String,
    players: u8,
    #[serde(default = "default_fps")]
    fps: u16,
    #[serde(default = "default_episodes")]
    episodes: u32,
    max_frames: u32,
    #[serde(default = "default_input_delay")]
    input_delay: u8,
    #[serde(default = "default_window")]
    window: u8,
    #[serde(default)]
    prediction: Prediction,
    #[serde(default = "default_intermission")]
    intermission_ms: u32,
    seed: Option<u64>,
    #[serde(default)]
    keys: BTreeMap<String, String>,
}

fn default_fps() -> u16 {
    GameRules::default().fps
}
fn default_episodes() -> u32 {
    GameRules::default().episodes
}
fn default_input_delay() -> u8 {
    GameRules::default().input_delay
}
fn default_window() -> u8 {
    GameRules::default().window
}
fn default_intermission() -> u32 {
    GameRules::default().intermission_millis
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
    for (number, scene) in (1..).zip(file.scene) {
        let spec = scene_spec(source, scene, overrides, &mut loaded.environments)
            .with_context(|| format!("{}: scene {number}", path.display()))?;
        let twice = loaded.experiment.scenes.iter().any(|other| other.id == spec.id);
        if twice {
            bail!(
                "{}: scene {number}: id {:?} is used twice; give each scene its own",
                path.display(),
                spec.id
            );
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
    let (distance, nearest) = quoted.map(|name| (edits(unknown, name), name)).min()?;
    (distance <= 3 && distance < unknown.len()).then(|| format!("did you mean `{nearest}`?"))
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
    Ok(match scene {
        SceneFile::Start { id, body, button } => {
            let body = body.map(|file| source.text(&file)).transpose()?.unwrap_or_default();
            let button = button.unwrap_or_else(|| "Start".to_owned());
            SceneSpec { id, kind: SceneSpecKind::Start(StartScene { body: paragraphs(&body), button }) }
        }
        SceneFile::Game(game) => {
            let id = game.id.clone();
            let scene = game_scene(source, *game, overrides, environments)?;
            SceneSpec { id, kind: SceneSpecKind::Game(Box::new(scene)) }
        }
        SceneFile::End { id, texts } => SceneSpec { id, kind: SceneSpecKind::End(end_scene(texts)?) },
    })
}

fn paragraphs(text: &str) -> Vec<String> {
    let joined = |block: &str| block.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split("\n\n").map(joined).filter(|paragraph| !paragraph.is_empty()).collect()
}

fn game_scene(
    source: &Source<'_>,
    game: GameFile,
    overrides: Overrides,
    environments: &mut BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<GameScene> {
    let name = source.name(&game.environment);
    let prepared = host::prepare::prepare(&source.read(&game.environment)?)
        .with_context(|| format!("environment {}", name.display()))?;
    let module = host::Module::new(&prepared).with_context(|| format!("environment {}", name.display()))?;
    let manifest = module.manifest();
    let players = overrides.players.unwrap_or(game.players);
    let (fewest, most) = manifest.seats;
    if !(fewest..=most).contains(&players) {
        bail!("players is {players}; {} takes {fewest} to {most}", manifest.name);
    }
    if let Some((key, button)) = game.keys.iter().find(|(_, button)| !manifest.buttons.contains(button)) {
        bail!("keys.{key} is {button:?}; {} has the buttons {}", manifest.name, manifest.buttons.join(", "));
    }
    let rules = GameRules {
        fps: overrides.fps.unwrap_or(game.fps),
        episodes: overrides.episodes.unwrap_or(game.episodes),
        max_frames: overrides.max_frames.unwrap_or(game.max_frames),
        input_delay: game.input_delay,
        window: game.window,
        prediction: game.prediction,
        intermission_millis: game.intermission_ms,
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
        keys: game.keys,
        ice_servers: Vec::new(),
    })
}

fn check(rules: &GameRules) -> anyhow::Result<()> {
    let frames = u64::from(rules.episodes) * u64::from(rules.max_frames);
    let checks = [
        ("fps", u64::from(rules.fps), (1..=240).contains(&rules.fps), "1 to 240"),
        ("episodes", u64::from(rules.episodes), rules.episodes >= 1, "at least 1"),
        ("max_frames", u64::from(rules.max_frames), rules.max_frames >= 1, "at least 1"),
        ("episodes × max_frames", frames, frames < 16_777_152, "less than 16,777,152"),
        ("input_delay", u64::from(rules.input_delay), rules.input_delay <= 8, "0 to 8"),
        ("window", u64::from(rules.window), (1..=16).contains(&rules.window), "1 to 16"),
    ];
    match checks.into_iter().find(|&(_, _, good, _)| !good) {
        Some((field, value, _, range)) => bail!("{field} is {value}; it must be {range}"),
        None => Ok(()),
    }
}

/// The texts of each ending: the experiment's own before ours.
fn end_scene(texts: Option<BTreeMap<String, String>>) -> anyhow::Result<EndScene> {
    use TerminationReason as R;
    let defaults = [
        (R::Normal, "Thank you for taking part.\n\nYour answers are saved. You can close this page."),
        (
            R::PartnerLost,
            "The connection to your partner was lost, so the game has ended.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
        ),
        (
            R::PartnerExclusion,
            "Your partner experienced a technical issue. The game has ended.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
        ),
        (
            R::SelfExclusion,
            "The game has ended, because this connection or page did not meet what the study needs.\n\nThank you for your time; you can close this page.",
        ),
        (
            R::ReconnectTimeout,
            "The connection could not be made again in time, so the game has ended.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
        ),
        (
            R::FocusTimeout,
            "This page was in the background for too long, so the game has ended.\n\nThank you for your time; you can close this page.",
        ),
        (
            R::Left,
            "You left the game, and it has ended.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
        ),
        (R::Withdrawn, "You have left the study.\n\nThank you for your time; you can close this page."),
        (
            R::Server,
            "Something went wrong on our side, and the game has ended. It was not your doing.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
        ),
    ];
    let own = texts.unwrap_or_default();
    if let Some(unknown) =
        own.keys().find(|key| defaults.iter().all(|(reason, _)| reason.name() != key.as_str()))
    {
        let names: Vec<_> = defaults.iter().map(|(reason, _)| reason.name()).collect();
        bail!("texts.{unknown} is no way of ending; they are {}", names.join(", "));
    }
    let text = |reason: R, default: &str| {
        (reason.name(), paragraphs(own.get(reason.name()).map_or(default, String::as_str)))
    };
    Ok(EndScene { texts: defaults.map(|(reason, default)| text(reason, default)).into_iter().collect() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of the demo's file when some of it is replaced.
    fn complaint(from: &str, to: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        for file in [FILE, "welcome.md", "tag.wasm"] {
            std::fs::write(folder.path().join(file), assets::demo(file).unwrap()).unwrap();
        }
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is not in the demo");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        format!("{:#}", load(folder.path()).expect_err("it was taken"))
    }

    #[test]
    fn the_demo_is_in_order() {
        let loaded = demo(&Overrides::default()).unwrap();
        assert_eq!(loaded.experiment.scenes.len(), 3);
        assert_eq!(loaded.environments.len(), 1);
    }

    #[test]
    fn mistakes_are_told_with_place_and_cure() {
        for (from, to, expected) in [
            ("players = 2", "players = 9", "players is 9; Tag takes 2 to 8"),
            ("fps = 30", "fps = 0", "fps is 0; it must be 1 to 240"),
            ("fps = 30", "fsp = 30", "did you mean `fps`?"),
            ("fps = 30", "fps = \"thirty\"", "line"),
            ("= \"left\"", "= \"jump\"", "has the buttons left, right, up, down, dash"),
            ("tag.wasm", "gat.wasm", "gat.wasm"),
            ("tag.wasm", "../tag.wasm", "within the experiment's folder"),
            ("tag.wasm", "welcome.md", "the module was refused"),
            ("kind = \"end\"", "kind = \"edn\"", "did you mean `end`?"),
            ("id = \"thanks\"", "id = \"play\"", "used twice"),
        ] {
            let text = complaint(from, to);
            assert!(text.contains(expected) && text.contains("experiment.toml"), "{to}: {text}");
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
