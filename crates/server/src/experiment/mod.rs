//! Reads an experiment's folder: its one TOML file, its texts and its environments (S1).
//!
//! Every mistake is told with file, line and field where there is one, and with what would be right; all of them at once.

mod block;
mod condition;
mod exit;
mod form;
mod game;
mod guard;
mod media;
mod mistakes;
pub mod new;
mod scene;
pub mod schema;
mod screening;
mod text;
mod texts;
mod variables;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use room::{Assignment, Condition, Experiment, Guard, MatchBy, SceneSpec, SceneSpecKind};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use store::Store;
use toml::Spanned;
use wire::control::Withdrawal;
use wire::texts::Texts;

use self::block::{BlockFile, Outline};
use self::condition::{AssignmentFile, ConditionFile, ConditionsFound};
use self::guard::Known;
pub use self::mistakes::{Mistake, Mistakes};
use self::mistakes::{Reading, did_you_mean};
use self::scene::SceneFile;
pub(crate) use self::schema::WEB_ADDRESS;
use self::schema::{Id, Words};
use self::screening::ScreeningFile;
pub(crate) use self::text::is_web_address;
use crate::assets;
use crate::completions::CompletionWebhook;
use crate::token::hex;

/// The experiment's file within its folder.
const FILE: &str = "experiment.toml";

/// An experiment, ready to be served.
#[derive(Debug)]
pub struct Loaded {
    /// Its name in the data.
    pub id: String,
    /// What the stager follows. Its version is the SHA-256 of all of it, texts and environments included.
    pub experiment: Experiment,
    /// Prepared environments by their SHA-256.
    pub environments: BTreeMap<String, Vec<u8>>,
    /// What its texts show, by SHA-256 and kind: what the files' names end with.
    pub files: BTreeMap<(String, &'static str), Vec<u8>>,
    /// Where the study wants to hear of visits that have ended.
    pub webhook: Option<CompletionWebhook>,
}

impl Loaded {
    /// Keeps it with the data: visits go on with the version that they began with, whatever becomes of the folder (S2).
    pub(crate) async fn keep(&self, store: &Store) -> anyhow::Result<()> {
        for (sha256, prepared) in &self.environments {
            store.put_environment(sha256.clone(), prepared.clone()).await?;
        }
        for ((sha256, kind), content) in &self.files {
            store.put_file(sha256.clone(), kind, content.clone()).await?;
        }
        let experiment =
            serde_json::to_string(&self.experiment).context("cannot write the experiment down")?;
        store.put_experiment(self.experiment.version.clone(), experiment).await?;
        Ok(())
    }
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

/// An experiment: what participants go through, from top to bottom. `interplay check` tells what an editor cannot see.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Interplay experiment", extend("required" = ["id", "title", "scene"]))]
struct File {
    /// The experiment's name in the data: letters, digits, `-` and `_`.
    #[schemars(with = "Id")]
    id: Option<String>,
    /// What participants see above everything.
    #[schemars(required, length(min = 1))]
    title: Option<String>,
    /// A language tag: in which language participants read what is not the experiment's own. `en` and `de` are shipped; any
    /// other one needs `texts`.
    #[schemars(regex(pattern = texts::TAG), extend("default" = crate::texts::USUAL, "examples" = crate::texts::languages()))]
    language: Option<String>,
    /// A file in the folder with words of the experiment's own, such as `texts.toml`; `interplay texts` prints those that there
    /// are.
    texts: Option<String>,
    /// Who may take part. It is looked at before the first scene.
    screening: Option<ScreeningFile>,
    /// An address of the study's own that is told of every visit that has ended.
    webhook: Option<CompletionWebhook>,
    /// What becomes of the data of a participant who leaves: `keep`, `offer_deletion` (the participant chooses) or `delete`.
    #[schemars(with = "Option<Words<Withdrawal>>", extend("default" = Withdrawal::default()))]
    on_withdrawal: Option<Withdrawal>,
    /// What participants go through, in this order. The last scene is of kind `end`.
    #[serde(default)]
    #[schemars(with = "Vec<SceneFile>", length(min = 1))]
    scene: Vec<Spanned<SceneFile>>,
    /// Scenes that belong together: repeated, in random order, or only for some.
    #[serde(default)]
    #[schemars(with = "Vec<BlockFile>")]
    block: Vec<Spanned<BlockFile>>,
    /// Conditions that visits are assigned to, in balance.
    #[serde(default)]
    #[schemars(with = "Vec<ConditionFile>")]
    condition: Vec<Spanned<ConditionFile>>,
    /// How visits get their conditions.
    #[schemars(with = "Option<AssignmentFile>")]
    assignment: Option<Spanned<AssignmentFile>>,
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
        self.read_at_most(file, u64::MAX)
    }

    /// Reads a file that must not be larger.
    fn read_at_most(&self, file: &str, bytes: u64) -> anyhow::Result<Vec<u8>> {
        let plain = Path::new(file).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !plain {
            bail!("{file:?} must be a file within the experiment's folder");
        }
        match self {
            Source::Folder(folder) => {
                let path = folder.join(file);
                let length = std::fs::metadata(&path).map_or(0, |about| about.len());
                if length > bytes {
                    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
                    bail!(
                        "{file} has {:.1} MiB; it may have {} at most, so make it smaller",
                        mib(length),
                        mib(bytes)
                    );
                }
                std::fs::read(&path).map_err(|error| {
                    let hint = match error.kind() {
                        io::ErrorKind::NotFound => {
                            did_you_mean(file, names(folder, file).iter().map(String::as_str))
                        }
                        _ => String::new(),
                    };
                    anyhow!("cannot read {}: {error}{hint}", path.display())
                })
            }
            Source::Demo => assets::demo(file).with_context(|| format!("the demo has no file {file:?}")),
        }
    }

    fn text(&self, file: &str) -> anyhow::Result<String> {
        String::from_utf8(self.read(file)?)
            .with_context(|| format!("{} is not UTF-8", self.name(file).display()))
    }
}

/// The files beside one of a folder.
fn names(folder: &Path, file: &str) -> Vec<String> {
    let within = file.rfind('/').map_or("", |at| &file[..=at]);
    let entries = std::fs::read_dir(folder.join(within)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.map(|name| format!("{within}{name}")).collect()
}

/// What is there while a file is read: where other files are, what the command line changes, what was prepared.
struct Reader<'a, 's> {
    source: &'a Source<'s>,
    overrides: Overrides,
    file: Reading<'a>,
    /// What participants read that is not the experiment's own.
    texts: Texts,
    environments: BTreeMap<String, Vec<u8>>,
    files: BTreeMap<(String, &'static str), Vec<u8>>,
}

/// Reads an experiment's folder.
///
/// # Errors
/// [`Mistakes`], which name the file, and the line and field where there is one, and the cure; or that there is no file.
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
    let wrong = |mistakes| anyhow::Error::new(Mistakes { file: source.name(FILE), mistakes });
    let file = Reading::begin(&text).map_err(wrong)?;
    let mut reader = Reader {
        source,
        overrides,
        file,
        texts: Texts::default(),
        environments: BTreeMap::new(),
        files: BTreeMap::new(),
    };
    let read = reader.file.read::<File>();
    let is_whole = reader.file.is_clean();
    let Some(file) = read else {
        return Err(wrong(reader.file.into_mistakes()));
    };
    let File {
        id,
        title,
        language,
        texts,
        screening,
        webhook,
        on_withdrawal: withdrawal,
        scene,
        block,
        condition,
        assignment,
    } = file;
    let (id, withdrawal) = (reader.given("id", id, "its name in the data"), withdrawal.unwrap_or_default());
    let title = reader.given("title", title, "what participants see above everything");
    if !id.chars().all(is_plain) {
        reader
            .file
            .add("id", "the experiment's id has letters, digits, - and _ only; it is a name in the data");
    }
    reader.texts = reader.texts(language, texts);
    let screening = screening.unwrap_or_default().rules(&mut reader.file);
    if let Some(webhook) = &webhook {
        screening::must_be_address(&mut reader.file, "webhook.url", &webhook.url);
    }
    let mut scenes: Vec<(usize, SceneSpec)> = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    for scene in scene {
        let start = scene.span().start;
        let scene = scene.into_inner();
        if ids.contains(&scene.id) {
            let text = format!("id {:?} is used twice; give each scene its own", scene.id);
            reader.file.within(start, |file| file.add("id", text));
        }
        ids.push(scene.id.clone());
        scenes.extend(reader.scene(start, scene).map(|scene| (start, scene)));
    }
    let blocks = reader.blocks(block);
    let conditions = reader.conditions(condition);
    let is_game = |(_, scene): &(usize, SceneSpec)| matches!(scene.kind, SceneSpecKind::Game(_));
    let games: Vec<_> =
        scenes.iter().filter(|scene| is_game(scene)).map(|(_, scene)| scene.id.clone()).collect();
    // What is wrong with a scene that was left out has been said.
    let is_complete = scenes.len() == ids.len();
    let assignment = reader.assignment(assignment, &conditions, (&ids, &games), is_complete);
    // What scenes were left out of is no more than what is wrong with them.
    if is_whole {
        reader.check_together(&scenes, &ids);
        reader.check_wrappers(&scenes, &Outline { ids: &ids, blocks: &blocks }, (&conditions, &assignment));
    }
    if !reader.file.is_clean() {
        return Err(wrong(reader.file.into_mistakes()));
    }
    let scenes = scenes.into_iter().map(|(_, scene)| scene).collect();
    let blocks = blocks.into_iter().map(|(_, block)| block).collect();
    let (version, texts) = (String::new(), reader.texts);
    let mut experiment =
        Experiment { version, title, texts, screening, withdrawal, scenes, blocks, conditions, assignment };
    experiment.version = hex(&Sha256::digest(serde_json::to_string(&experiment)?));
    Ok(Loaded { id, experiment, environments: reader.environments, files: reader.files, webhook })
}

impl Reader<'_, '_> {
    fn given(&mut self, field: &str, value: Option<String>, meaning: &str) -> String {
        if value.as_ref().is_none_or(String::is_empty) {
            self.file.add(field, format!("{field} is missing; it is {meaning}"));
        }
        value.unwrap_or_default()
    }

    /// What is wrong with blocks, branches, conditions and variables beside everything else.
    fn check_wrappers(
        &mut self,
        scenes: &[(usize, SceneSpec)],
        outline: &Outline<'_>,
        (conditions, assignment): (&[Condition], &Assignment),
    ) {
        let is_end = |scene: &SceneSpec| matches!(scene.kind, SceneSpecKind::End(_));
        let ends = scenes.iter().map(|(_, scene)| scene).filter(|scene| is_end(scene));
        if !self.check_blocks(outline, &ends.map(|scene| scene.id.as_str()).collect()) {
            return;
        }
        let is_game = |(_, scene): &&(usize, SceneSpec)| matches!(scene.kind, SceneSpecKind::Game(_));
        let first_game = scenes.iter().find(is_game);
        let first_game = first_game.and_then(|(_, game)| outline.ids.iter().position(|id| *id == game.id));
        let conditions = &ConditionsFound::new(conditions, assignment.unit, first_game);
        let known = Known { outline, scenes, conditions };
        for (start, block) in outline.blocks {
            self.check_guard(&known, *start, &block.id, &block.guard);
        }
        for (start, scene) in scenes {
            self.check_guard(&known, *start, &scene.id, &scene.guard);
            self.check_texts(&known, *start, scene);
        }
        if let Some((start, last)) = scenes.last().filter(|(_, last)| last.guard != Guard::default()) {
            let field = if last.guard.when.is_some() { "when" } else { "conditions" };
            let text =
                format!("the last scene is where everybody must be able to arrive; it cannot have {field}");
            self.file.within(*start, |file| file.add(field, text));
        }
    }

    /// What no scene is wrong about alone.
    fn check_together(&mut self, scenes: &[(usize, SceneSpec)], ids: &[String]) {
        for (start, scene) in scenes {
            let named: Vec<_> = match &scene.kind {
                SceneSpecKind::Game(game) => game::named_scenes(game).collect(),
                SceneSpecKind::Form(form) => {
                    let on_failed = form.comprehension.as_ref().and_then(|check| check.on_failed.as_deref());
                    on_failed.map(|scene| ("on_failed", scene)).into_iter().collect()
                }
                _ => Vec::new(),
            };
            for (field, unknown) in named {
                if field == "lobby.on_timeout" && unknown == scene.id {
                    let text = "on_timeout names its own scene, where there is nobody; name another one";
                    self.file.within(*start, |file| file.add(field, text));
                }
                if !ids.iter().any(|id| id == unknown) {
                    let words = if game::AFTER.contains(&field) { &game::AFTER_WORDS[..] } else { &[] };
                    let hint =
                        did_you_mean(unknown, words.iter().copied().chain(ids.iter().map(String::as_str)));
                    let text = format!("{field} names {unknown:?}, and no scene has that id{hint}");
                    self.file.within(*start, |file| file.add(field, text));
                }
            }
        }
        self.check_groups(scenes);
        match scenes.last() {
            Some((_, SceneSpec { kind: SceneSpecKind::End(_), .. })) => {}
            // What is wrong with the last scene has been said.
            _ if scenes.len() < ids.len() => {}
            Some((start, _)) => {
                let text = "the last scene must be of kind \"end\"; participants need to arrive somewhere";
                self.file.within(*start, |file| file.add("kind", text));
            }
            None => {
                self.file.add("scene", "there is no scene; an experiment has one of kind \"end\" at least");
            }
        }
    }
}

impl Reader<'_, '_> {
    /// Who is to play with the same group again must have had one.
    fn check_groups(&mut self, scenes: &[(usize, SceneSpec)]) {
        let games = scenes.iter().filter_map(|(start, scene)| match &scene.kind {
            SceneSpecKind::Game(game) => Some((*start, game)),
            _ => None,
        });
        let mut last = None;
        for (start, game) in games {
            let players = game.players;
            if game.lobby.match_by == MatchBy::Same && last != Some(players) {
                let text = format!(
                    "match = \"same\" needs a game of {players} before this one, whose groups stay together"
                );
                self.file.within(start, |file| file.add("lobby.match", text));
            }
            last = Some(players);
        }
    }
}

/// Whether a character may be in a name in the data.
const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

#[cfg(test)]
mod shown;
#[cfg(test)]
mod wrappers;

#[cfg(test)]
mod tests {
    use room::GameScene;
    use wire::control::{PauseRules, VisitEnding};

    use super::*;

    /// Loads an experiment from a folder with the demo's other files.
    pub(super) fn load_text(text: &str) -> anyhow::Result<Loaded> {
        load_with(text, "")
    }

    /// The same, with words of its own in `texts.toml`.
    fn load_with(text: &str, own: &str) -> anyhow::Result<Loaded> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("texts.toml"), own).unwrap();
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
    pub(super) fn complaint_of(text: &str) -> String {
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
        let game = game_with("texts = { missing_many = \"Wait for {count}\", excluded = \"Over\" }");
        assert_eq!(game.texts.keys().collect::<Vec<_>>(), ["excluded", "missing_many"]);
        let long = format!("texts = {{ excluded = \"{}\" }}", "x".repeat(501));
        assert!(complaint("fps = 30", &long).contains("texts.excluded has 501 characters"));
    }

    /// The demo's file with something more at its top.
    fn demo_that_says(top: &str) -> String {
        demo_with("title = \"Tag\"", &format!("title = \"Tag\"\n{top}"))
    }

    #[test]
    fn an_experiment_chooses_its_language_and_words() {
        let texts = |top: &str, own: &str| load_with(&demo_that_says(top), own).unwrap().experiment.texts;
        let english = texts("", "");
        assert_eq!((english.language.as_str(), english.words["leave"].as_str()), ("en", "Leave the study"));
        let german = texts("language = \"de\"", "");
        assert_eq!((german.language.as_str(), german.words["leave"].as_str()), ("de", "Studie verlassen"));
        let austrian = texts("language = \"de-AT\"", "");
        assert_eq!((austrian.language.as_str(), &austrian.words), ("de-AT", &german.words));
        let own = texts("language = \"de\"\ntexts = \"texts.toml\"", "leave = \"Aufhören\"");
        assert_eq!((own.words["leave"].as_str(), &own.words["saved"]), ("Aufhören", &german.words["saved"]));
        let ids = [&english.id, &german.id, &austrian.id, &own.id];
        assert!((1..4).all(|at| !ids[..at].contains(&ids[at])), "{ids:?}");
        // A whole language of its own.
        let whole: String = english
            .words
            .iter()
            .map(|(name, text)| format!("{name} = {:?}\n", format!("¡{text}!")))
            .collect();
        let spanish = texts("language = \"es\"\ntexts = \"texts.toml\"", &whole);
        assert_eq!((spanish.language.as_str(), spanish.words["start"].as_str()), ("es", "¡Start!"));
    }

    #[test]
    fn what_scenes_say_by_themselves_is_in_the_experiments_words() {
        let top = "language = \"de\"\ntexts = \"texts.toml\"";
        let text = demo_that_says(top).replace("button = \"Start\"\n", "");
        let own = "start = \"Los\"\nend_completed = \"**Danke**\"";
        let scenes = load_with(&text, own).unwrap().experiment.scenes;
        let SceneSpecKind::Start(sheet) = &scenes[0].kind else { panic!("{:?}", scenes[0]) };
        assert_eq!(sheet.button, "Los");
        let SceneSpecKind::End(end) = &scenes[2].kind else { panic!("{:?}", scenes[2]) };
        assert_eq!(end.texts[&VisitEnding::Completed], "<p><strong>Danke</strong></p>\n");
        assert_eq!(end.texts[&VisitEnding::Left], "<p>Vielen Dank für Ihre Zeit.</p>\n");
    }

    #[test]
    fn mistakes_in_words_are_told_with_their_own_file_and_line() {
        let long = format!("leave = \"{}\"", "ä".repeat(501));
        for (own, expected) in [
            ("\nleve = \"Weg\"", "texts.toml: line 2: there is no text leve; `interplay texts` prints"),
            ("\nleve = \"Weg\"", "did you mean `leave`?"),
            ("lobby_left = \"Bald\"", "texts.toml: line 1: lobby_left lacks {time}, which something is put"),
            ("lobby_left = \"{time} {tmie}\"", "has {tmie}, and nothing is put in its place"),
            ("lobby_left = \"{tmie}\"", "did you mean `time`?"),
            ("leave = \"{time}\"", "leave has {time}, and nothing is put in its place"),
            ("leave = 3", "texts.toml: line 1: leave: invalid type: integer `3`, expected a string"),
            ("leave = \"", "texts.toml: line 1: "),
            (&long, "texts.toml: line 1: leave has 501 characters; it must have 500 at most"),
        ] {
            let said = load_with(&demo_that_says("texts = \"texts.toml\""), own).expect_err("it was taken");
            let said = format!("{said:#}");
            assert!(said.contains(expected), "{own}: {said}");
        }
        for (top, expected) in [
            ("language = \"dee\"", "line 4: language is \"dee\"; there are de, en; another one is a tag"),
            ("language = \"dee\"", "did you mean `de`?"),
            ("language = \"Deutsch!\"\ntexts = \"texts.toml\"", "line 4: language is \"Deutsch!\""),
            ("texts = \"txts.toml\"", "line 4: texts: cannot read"),
            ("texts = \"../texts.toml\"", "within the experiment's folder"),
            (
                "language = \"fr\"\ntexts = \"texts.toml\"",
                "texts.toml: \"fr\" is a language of your own, so every",
            ),
            ("language = \"fr\"\ntexts = \"texts.toml\"", "missing are: answer_missing, answer_no_choice,"),
        ] {
            let said = format!(
                "{:#}",
                load_with(&demo_that_says(top), "leave = \"Partir\"").expect_err("it was taken")
            );
            assert!(said.contains(expected), "{top}: {said}");
        }
        // Those of both files, each under its own name.
        let both = demo_that_says("texts = \"texts.toml\"").replace("fps = 30", "fps = 0");
        let said = format!("{:#}", load_with(&both, "leve = \"Weg\"").expect_err("it was taken"));
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[0].contains("experiment.toml: line 17: fps is 0"), "{said}");
        assert!(lines[1].contains("texts.toml: line 1: there is no text leve"), "{said}");
    }

    #[test]
    fn mistakes_are_told_with_place_and_cure() {
        for (from, to, expected) in [
            ("players = 2", "players = 9", "line 15: players is 9; Tag takes 2 to 8"),
            ("fps = 30", "fps = 0", "line 16: fps is 0; it must be 1 to 240"),
            ("fps = 30", "button = \"Go\"", "line 16: button belongs to scenes of kind \"start\""),
            ("max_frames = 900\n", "", "line 11: max_frames is missing"),
            ("fps = 30", "fsp = 30", "did you mean `fps`?"),
            ("fps = 30", "fps = \"thirty\"", "line 16: fps: invalid type: string \"thirty\""),
            ("= \"left\"", "= \"jump\"", "has the buttons left, right, up, down, dash"),
            ("tag.wasm", "gat.wasm", "gat.wasm"),
            ("tag.wasm", "../tag.wasm", "within the experiment's folder"),
            ("tag.wasm", "welcome.md", "the module was refused"),
            ("kind = \"end\"", "kind = \"edn\"", "did you mean `end`?"),
            ("id = \"thanks\"", "id = \"play\"", "used twice"),
            ("fps = 30", "recovery = { grace_s = 0.1 }", "line 16: grace_s is 0.1; it must be 0.5 to 60"),
            (
                "fps = 30",
                "recovery = { lanes = \"cold\" }",
                "line 16: lanes: unknown variant `cold`, expected `warm` or `hot`",
            ),
            (
                "fps = 30",
                "recovery = { reconnect_timeout_s = 0.5 }",
                "line 16: reconnect_timeout_s is 0.5; it must be 1 to 3600",
            ),
            (
                "fps = 30",
                "recovery = { reconnect_timeout_s = 3601 }",
                "reconnect_timeout_s is 3601; it must be 1 to 3600",
            ),
            ("fps = 30", "recovery = { max_pauses = 0 }", "max_pauses is 0; it must be 1 to 100"),
            ("fps = 30", "recovery = { max_pauses = 101 }", "max_pauses is 101; it must be 1 to 100"),
            (
                "fps = 30",
                "recovery = { max_paused_s = 36001 }",
                "max_paused_s is 36001; it must be 1 to 36000",
            ),
            ("fps = 30", "recovery = { countdown_s = 31 }", "countdown_s is 31; it must be 0 to 30"),
            ("fps = 30", "recovery = { countdown_s = -1 }", "countdown_s is -1; it must be 0 to 30"),
            ("fps = 30", "recovery = { max_pause = 3 }", "did you mean `max_pauses`?"),
            (
                "[[scene]]\nkind = \"end\"",
                "[scene.recovery]\ncountdown_s = 99\n[[scene]]\nkind = \"end\"",
                "line 24: countdown_s is 99; it must be 0 to 30",
            ),
            ("fps = 30", "texts = { go_on = \"On!\" }", "line 16: texts.go_on is no text of a game"),
            ("fps = 30", "texts = { missing_none = \"?\" }", "did you mean `missing_one`?"),
            (
                "fps = 30",
                "texts = { normal = \"Thanks\" }",
                "they are missing_one, missing_one_of_many, missing_many, missing_you",
            ),
            ("fps = 30", "texts = { button_jump = \"Jump\" }", "did you mean `button_up`?"),
            ("fps = 30", "texts = { will_end = \"Soon\" }", "line 16: texts.will_end lacks {seconds}"),
            ("button = \"Start\"", "texts = {}", "texts belongs to scenes of kind \"game\" or \"end\""),
            (
                "fps = 30",
                "lobby = { max_wait_s = 0, on_timeout = \"thank\" }",
                "line 16: max_wait_s is 0; it must be 1 to 86400",
            ),
            (
                "fps = 30",
                "lobby = { on_timeout = \"thank\" }",
                "line 16: lobby.on_timeout names \"thank\", and no scene has that id; did you mean `thanks`?",
            ),
            ("fps = 30", "lobby = { match = \"rtt\" }", "line 16: match = \"rtt\" needs a limit: max_rtt_ms"),
            ("fps = 30", "lobby = { match = \"ping\" }", "line 16: match: unknown variant `ping`"),
            ("fps = 30", "lobby = { max_rtt_ms = 0 }", "line 16: max_rtt_ms is 0; it must be 1 to 10000"),
            ("fps = 30", "lobby = { check_s = 1 }", "line 16: check_s is 1; it must be 3 to 300"),
            ("fps = 30", "lobby = { require = \"dircet\" }", "did you mean `direct`?"),
            (
                "fps = 30",
                "lobby = { match = \"same\" }",
                "line 16: match = \"same\" needs a game of 2 before this one",
            ),
            (
                "fps = 30",
                "recovery = { on_partner_lost = \"nowhere\" }",
                "recovery.on_partner_lost names \"nowhere\", and no scene has that id",
            ),
            ("fps = 30", "monitor = { on_excluded = \"gone\" }", "monitor.on_excluded names \"gone\""),
            ("fps = 30", "monitor = { on_hidden = \"exlude\" }", "did you mean `exclude`?"),
            ("fps = 30", "monitor = { violations = 6 }", "violations is 6; it must be 1 to 5"),
            ("fps = 30", "monitor = { tab_warning_s = 11 }", "tab_warning_s is 11; it must be 0 to 10"),
            (
                "fps = 30",
                "monitor = { webhook = \"example.org\" }",
                "it must be like https://example.org/check",
            ),
            ("fps = 30", "monitor = { every_s = 5 }", "line 16: every_s needs a webhook that is asked"),
            (
                "fps = 30",
                "monitor = { webhook = \"http://a.b/\", every_s = 2, deadline_s = 3 }",
                "deadline_s is 3; it must be 0.1 to 2",
            ),
            ("fps = 30", "monitor = { max_ping_ms = 0 }", "max_ping_ms is 0; it must be 1 to 60000"),
            (
                "id = \"thanks\"",
                "id = \"thanks\"\nexits = { complete = { code = \"A\" } }",
                "did you mean `completed`?",
            ),
            (
                "id = \"thanks\"",
                "id = \"thanks\"\nexits = { normal = {} }",
                "exits.normal must have a code or a redirect",
            ),
            (
                "id = \"thanks\"",
                "id = \"thanks\"\nexits = { left = { redirect = \"example.org\" } }",
                "line 26: exits.left redirects to \"example.org\"; it must be like https://",
            ),
            (
                "id = \"thanks\"",
                "id = \"thanks\"\ntexts = { normal = \"A\", completed = \"B\" }",
                "both `completed` and `normal`",
            ),
            (
                "kind = \"end\"",
                "kind = \"static\"\nbody = \"welcome.md\"",
                "line 24: the last scene must be of kind \"end\"",
            ),
            ("id = \"play\"", "id = \"play it\"", "line 13: an id has letters, digits, - and _ only"),
            ("fps = 30", "ice_servers = [{ urls = [\"http://x\"] }]", "must begin with stun:"),
            ("fps = 30", "ice_servers = [{ urls = [\"turn:x\"] }]", "needs username and credential"),
        ] {
            let text = complaint(from, to);
            assert!(text.contains(expected) && text.contains("experiment.toml"), "{to}: {text}");
        }
    }

    #[test]
    fn who_may_take_part_is_as_the_experiment_says() {
        let with =
            |rules: &str| demo_with("title = \"Tag\"", &format!("title = \"Tag\"\n[screening]\n{rules}"));
        let rules = "device = { allow = [\"desktop\"], message = \"At a desk.\" }\n\
            browser = { allow = [\"chrome >= 110\", \"firefox\"], block = [\"firefox<115\"] }\n\
            ping = { max_ms = 200 }\n";
        let screening = load_text(&with(rules)).unwrap().experiment.screening;
        assert_eq!(screening.device.unwrap().message.as_deref(), Some("At a desk."));
        let browser = screening.browser.unwrap();
        let chrome = room::Browsers { browser: room::Browser::Chrome, from: Some(110), below: None };
        let firefox = room::Browsers { browser: room::Browser::Firefox, from: None, below: Some(115) };
        assert_eq!((browser.allow.unwrap()[0], browser.block), (chrome, vec![firefox]));
        assert_eq!(screening.ping.unwrap().samples, 5);
        for (rules, expected) in [
            ("device = { allow = [] }", "line 5: screening.device.allow is empty"),
            ("device = { allow = [\"dektop\"] }", "line 5: unknown variant `dektop`"),
            ("browser = {}", "line 5: screening.browser has neither allow nor block"),
            ("browser = { allow = [\"fierfox\"] }", "did you mean `firefox`?"),
            ("browser = { allow = [\"firefox < 3\"] }", "a version like \"firefox >= 115\""),
            ("browser = { block = [\"firefox < new\"] }", "a version is a whole number"),
            ("ping = { max_ms = 100, samples = 4 }", "line 5: samples is 4; it must be 5 to 50"),
            ("pings = { max_ms = 100 }", "did you mean `ping`?"),
            ("webhook = { url = \"a\" }", "line 5: screening.webhook.url is \"a\"; it must be like https://"),
        ] {
            let said = complaint_of(&with(rules));
            assert!(said.contains(expected), "{rules}: {said}");
        }
    }

    #[test]
    fn right_answers_are_the_servers_alone() {
        let field = "[[scene.field]]\nid = \"q\"\ntype = \"integer\"\nlabel = \"?\"\n";
        let form = |more: &str, right: &str| {
            demo_with(
                "[[scene]]\nkind = \"end\"",
                &format!(
                    "[[scene]]\nkind = \"form\"\nid = \"f\"\n{more}{field}{right}\n[[scene]]\nkind = \"end\""
                ),
            )
        };
        let loaded = load_text(&form("attempts = 2\non_failed = \"thanks\"\n", "correct = 3\n")).unwrap();
        let SceneSpecKind::Form(form_scene) = &loaded.experiment.scenes[2].kind else { panic!() };
        let check = form_scene.comprehension.as_ref().unwrap();
        assert_eq!((check.attempts, check.on_failed.as_deref()), (2, Some("thanks")));
        assert!(!serde_json::to_string(&form_scene.sheet).unwrap().contains("correct"));
        for (more, right, expected) in [
            ("attempts = 2\n", "", "line 26: attempts needs a question that has a `correct` answer"),
            ("attempts = 0\n", "correct = 3\n", "attempts is 0; it must be 1 to 100"),
            ("on_failed = \"thnks\"\n", "correct = 3\n", "did you mean `thanks`?"),
        ] {
            let said = complaint_of(&form(more, right));
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once_in_the_order_of_lines() {
        let text = demo_with(
            "fps = 30",
            "fps = 999\nplyers = 3\nseed = \"three\"\nrecovery = { grace = 1, countdown_s = 99 }",
        )
        .replace("title = \"Tag\"", "titel = \"Tag\"")
        .replace("id = \"thanks\"", "body = \"x.md\"");
        let said = complaint_of(&text);
        let lines: Vec<_> =
            said.lines().map(|line| line.split_once("experiment.toml: ").unwrap().1).collect();
        let begins = |start: &str| lines.iter().any(|line| line.starts_with(start));
        for expected in [
            "line 3: unknown field `titel`, expected one of `id`, `title`, `language`, `texts`, `screening`, \
             `webhook`, `on_withdrawal`, `scene`, `block`, `condition`, `assignment`; did you mean `title`?",
            "line 17: unknown field `plyers`",
            "line 18: seed: invalid type: string \"three\", expected u64",
            "line 19: unknown field `grace`",
            "line 16: fps is 999; it must be 1 to 240",
            "line 19: countdown_s is 99; it must be 0 to 30",
            "line 26: id is missing",
        ] {
            assert!(begins(expected), "{expected} is not in\n{said}");
        }
        assert_eq!(lines.len(), 8, "{said}");
        assert_eq!(lines[0], "title is missing; it is what participants see above everything");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_lines() {
        let said = complaint_of("id = \ntitle = \"A\n");
        assert!(said.contains("line 1: ") && said.contains("line 2: "), "{said}");
    }

    #[test]
    fn what_the_documentation_shows_is_taken() {
        let document = include_str!("../../../../docs/experiments.md");
        let shown = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let scenes = load_text(shown).unwrap().experiment.scenes;
        assert_eq!(scenes.len(), 4);
        let SceneSpecKind::Static(sheet) = &scenes[1].kind else { panic!("{:?}", scenes[1]) };
        assert_eq!(sheet.body, "<p><em>Read</em></p>\n");
        // The others are a scene, or keys of a game.
        let sorry = "\n[[scene]]\nkind = \"end\"\nid = \"sorry\"\n";
        let documents = [
            document,
            include_str!("../../../../docs/reliability.md"),
            include_str!("../../../../docs/networks.md"),
        ];
        let others = documents.iter().flat_map(|text| text.split("```toml\n").skip(1)).skip(1);
        let mut count = 0;
        let others: Vec<_> = others.map(|rest| rest.split("```").next().unwrap()).collect();
        // A file of its own.
        let own: String = others.iter().filter_map(|shown| shown.strip_prefix("# texts.toml")).collect();
        assert!(!own.is_empty());
        for shown in others.into_iter().filter(|shown| !shown.starts_with("# texts.toml")) {
            if shown.starts_with("id = ") {
                load_text(shown).unwrap_or_else(|error| panic!("{shown}{error:#}"));
                continue;
            }
            let text = match shown.strip_prefix("[[scene]]") {
                Some(_) if shown.contains("id = \"thanks\"") => {
                    demo_with("[[scene]]\nkind = \"end\"\nid = \"thanks\"", shown)
                }
                Some(_) => {
                    demo_with("[[scene]]\nkind = \"game\"", &format!("{shown}\n[[scene]]\nkind = \"game\""))
                }
                // What belongs to the whole study.
                None if ["[", "language", "on_withdrawal"].iter().any(|begin| shown.starts_with(begin)) => {
                    demo_with("[[scene]]\nkind = \"start\"", &format!("{shown}\n[[scene]]\nkind = \"start\""))
                }
                None => {
                    let variable =
                        "\n[[condition]]\nid = \"a\"\nvariables = { speed = 9 }\n[[scene]]\nkind = \"start\"";
                    demo_with("fps = 30", &format!("fps = 30\n{shown}")).replacen(
                        "[[scene]]\nkind = \"start\"",
                        variable,
                        1,
                    )
                }
            };
            load_with(&(text + sorry), &own).unwrap_or_else(|error| panic!("{shown}{error:#}"));
            count += 1;
        }
        assert!(count >= 7, "{count} are shown");
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
            (
                q("integer", "max = 9\ncorrect = 10"),
                "line 13: field \"q\": correct is 10, which nobody can answer here",
            ),
            (q("choice", "options = [\"a\", \"b\"]\ncorrect = \"c\""), "correct is \"c\", which nobody"),
            (q("text", "correct = \"\""), "which nobody can answer here"),
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
