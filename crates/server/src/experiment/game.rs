//! A scene that is a game, as the file has it.

use std::collections::BTreeMap;

use anyhow::Context;
use room::{
    After, CheckRule, GameScene, LinkRules, LobbyRules, MatchBy, MonitorRules, OnHidden, RequiredLane,
    Seating, Setting, button_text,
};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use wire::control::{EnvironmentRef, GameRules, IceServer, LaneUse, OnDirectLoss, OnPlayerLost, PauseRules};

use super::mistakes::{Reading, did_you_mean};
use super::scene::SceneFile;
use super::schema::{WEB_ADDRESS, Words};
use super::screening::{USUAL_DEADLINE_MILLIS, must_be_address};
use super::texts::{LIMIT, check};
use super::{Reader, variables};
use crate::texts;
use crate::token::hex;

/// The most frames of a game: packets number them in 24 bits.
pub(super) const MOST_FRAMES: u32 = 16_777_151;

/// What to do about bad connections, and about who is lost for a while.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoveryFile {
    /// When inputs go over the server: `warm`, while the direct path is in doubt; `hot`, always.
    #[schemars(with = "Option<Words<LaneUse>>", extend("default" = LaneUse::default()))]
    lanes: Option<LaneUse>,
    /// What the loss of the direct path means: `server`, the game goes on over the server; `pause`, it does not, for studies
    /// that must not mix latencies.
    #[schemars(with = "Option<Words<OnDirectLoss>>", extend("default" = OnDirectLoss::default()))]
    on_direct_loss: Option<OnDirectLoss>,
    /// How long nothing may be heard of a player before the game pauses, in seconds (0.5 to 60).
    #[schemars(range(min = 0.5, max = 60), extend("default" = 3))]
    grace_s: Option<f64>,
    /// How long a pause waits for who is missing, in seconds (1 to 3600). Then the game ends.
    #[schemars(range(min = 1, max = 3600), extend("default" = 30))]
    reconnect_timeout_s: Option<f64>,
    /// How many pauses a game may have (1 to 100).
    #[schemars(range(min = 1, max = 100), extend("default" = 3))]
    max_pauses: Option<u32>,
    /// How long all pauses of a game may be together, in seconds (1 to 36000).
    #[schemars(range(min = 1, max = 36_000), extend("default" = 120))]
    max_paused_s: Option<f64>,
    /// How long is counted down before a game goes on after a pause, in seconds (0 to 30).
    #[schemars(range(min = 0, max = 30), extend("default" = 3))]
    countdown_s: Option<f64>,
    /// What becomes of the others when one of more than two does not come back: `end`, the game ends for everyone; `continue`,
    /// they play on, and the lost one presses nothing.
    #[schemars(with = "Option<Words<OnPlayerLost>>", extend("default" = OnPlayerLost::default()))]
    on_player_lost: Option<OnPlayerLost>,
    /// Where to go from a game that ended early: `next` (the next scene), `lobby` (another game, with whoever waits there), or
    /// a scene's id.
    #[schemars(extend("default" = "next"))]
    on_partner_lost: Option<String>,
}

impl RecoveryFile {
    fn pauses(&self, file: &mut Reading<'_>) -> PauseRules {
        let usual = PauseRules::default();
        let mut millis =
            |name: &str, value, usual, range| file.millis(&format!("recovery.{name}"), value, usual, range);
        PauseRules {
            timeout_millis: millis(
                "reconnect_timeout_s",
                self.reconnect_timeout_s,
                usual.timeout_millis,
                1.0..=3600.0,
            ),
            total_millis: millis("max_paused_s", self.max_paused_s, usual.total_millis, 1.0..=36_000.0),
            countdown_millis: millis("countdown_s", self.countdown_s, usual.countdown_millis, 0.0..=30.0),
            most: file.number("recovery.max_pauses", self.max_pauses, usual.most, 1..=100),
        }
    }
}

/// How long to wait for others, and with whom to play.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = { "properties": { "match": { "const": "rtt" } }, "required": ["match"], "additionalProperties": true },
    "then" = { "required": ["max_rtt_ms"], "additionalProperties": true }
))]
pub(super) struct LobbyFile {
    /// Who is put together: `first`, first come, first served; `rtt`, the same, but who is near the server is tried with others
    /// near it first; `same`, the group of the last game again.
    #[schemars(with = "Option<Words<MatchBy>>", extend("default" = MatchBy::default()))]
    r#match: Option<MatchBy>,
    /// Who sits where: `coming`, who has waited longest has the first seat; `random`, by lot.
    #[schemars(with = "Option<Words<Seating>>", extend("default" = Seating::default()))]
    seats: Option<Seating>,
    /// The longest round trip between any two players, in milliseconds (1 to 10000). Without it there is no limit.
    #[schemars(range(min = 1, max = 10_000))]
    max_rtt_ms: Option<u32>,
    /// Over what a game may begin: `any`, over the server where there is no direct path; `direct`, only over a data channel,
    /// by TURN or not.
    #[schemars(with = "Option<Words<RequiredLane>>", extend("default" = RequiredLane::default()))]
    require: Option<RequiredLane>,
    /// How long a group has to load the environment and to have its links checked, in seconds (3 to 300).
    #[schemars(range(min = 3, max = 300), extend("default" = 20))]
    check_s: Option<f64>,
    /// How long a participant waits for others at most, in seconds (1 to 86400).
    #[schemars(range(min = 1, max = 86_400), extend("default" = 120))]
    max_wait_s: Option<f64>,
    /// The id of the scene where a participant goes who has waited in vain, or stopped waiting. Without it, to the end.
    on_timeout: Option<String>,
}

impl LobbyFile {
    fn rules(self, file: &mut Reading<'_>) -> LobbyRules {
        let usual = LobbyRules::default();
        let match_by = self.r#match.unwrap_or_default();
        if match_by == MatchBy::Rtt && self.max_rtt_ms.is_none() {
            let text = "match = \"rtt\" needs a limit: max_rtt_ms, such as 150 for most games";
            file.add("lobby.match", text);
        }
        let links = LinkRules {
            require: self.require.unwrap_or_default(),
            max_rtt_millis: self
                .max_rtt_ms
                .map(|most| file.number("lobby.max_rtt_ms", Some(most), 1, 1..=10_000)),
            limit_millis: file.millis("lobby.check_s", self.check_s, usual.links.limit_millis, 3.0..=300.0),
        };
        let max_wait_millis =
            file.millis("lobby.max_wait_s", self.max_wait_s, usual.max_wait_millis, 1.0..=86_400.0);
        LobbyRules {
            match_by,
            seats: self.seats.unwrap_or_default(),
            links,
            max_wait_millis,
            on_timeout: self.on_timeout,
        }
    }
}

/// What connections and pages must be like; who does not keep to it is taken out of the game.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "dependencies" = { "every_s": ["webhook"], "deadline_s": ["webhook"], "webhook_message": ["webhook"] }
))]
pub(super) struct MonitorFile {
    /// The longest way to the server and back, in milliseconds (1 to 60000), measured once a second. Without it there is no
    /// limit.
    #[schemars(range(min = 1, max = 60_000))]
    max_ping_ms: Option<u32>,
    /// How many of the last measurements of the way to the server count (1 to 60).
    #[schemars(range(min = 1, max = 60), extend("default" = 5))]
    window: Option<u8>,
    /// With how many of these over `max_ping_ms` a participant is taken out (1 to `window`).
    #[schemars(range(min = 1, max = 60), extend("default" = 3))]
    violations: Option<u8>,
    /// What a page in the background means: `continue`, nothing, no key is held there; `pause`, everyone waits until it is in
    /// front again; `exclude`, the participant is taken out after a while.
    #[schemars(with = "Option<Words<OnHidden>>", extend("default" = OnHidden::default()))]
    on_hidden: Option<OnHidden>,
    /// After how long in the background the tab's title asks to come back, in seconds (0 to `tab_exclude_s`).
    #[schemars(range(min = 0, max = 3600), extend("default" = 3))]
    tab_warning_s: Option<f64>,
    /// After how long in the background it is too late to come back, in seconds (1 to 3600).
    #[schemars(range(min = 1, max = 3600), extend("default" = 10))]
    tab_exclude_s: Option<f64>,
    /// Where who was taken out goes: `next` (the next scene), `lobby` (another game, with whoever waits there), or a scene's id.
    #[schemars(extend("default" = "next"))]
    on_excluded: Option<String>,
    /// A check of the study's own: an address that is asked about everyone who plays.
    #[schemars(regex(pattern = WEB_ADDRESS))]
    webhook: Option<String>,
    /// How often it is asked, in seconds (1 to 3600).
    #[schemars(range(min = 1, max = 3600), extend("default" = 5))]
    every_s: Option<f64>,
    /// How long it has to answer, in seconds (0.1 to `every_s`, and to 30). Without an answer nobody is taken out.
    #[schemars(range(min = 0.1, max = 30), extend("default" = 2))]
    deadline_s: Option<f64>,
    /// What is read by who is taken out, when the answer has no message of its own.
    #[schemars(length(max = LIMIT))]
    webhook_message: Option<String>,
}

impl MonitorFile {
    fn rules(&self, file: &mut Reading<'_>) -> MonitorRules {
        let usual = MonitorRules::default();
        let max_ping_millis =
            self.max_ping_ms.map(|most| file.number("monitor.max_ping_ms", Some(most), 1, 1..=60_000));
        let window = file.number("monitor.window", self.window, usual.window, 1..=60);
        let tab_exclude_millis =
            file.millis("monitor.tab_exclude_s", self.tab_exclude_s, usual.tab_exclude_millis, 1.0..=3600.0);
        let warning = usual.tab_warning_millis.min(tab_exclude_millis);
        let latest = f64::from(tab_exclude_millis) / 1000.0;
        MonitorRules {
            max_ping_millis,
            window,
            violations: file.number(
                "monitor.violations",
                self.violations,
                usual.violations.min(window),
                1..=window,
            ),
            on_hidden: self.on_hidden.unwrap_or_default(),
            tab_warning_millis: file.millis(
                "monitor.tab_warning_s",
                self.tab_warning_s,
                warning,
                0.0..=latest,
            ),
            tab_exclude_millis,
        }
    }
}

impl MonitorFile {
    /// The study's own check, if it has one.
    fn check(&self, file: &mut Reading<'_>) -> Option<CheckRule> {
        let Some(url) = &self.webhook else {
            for (field, is_there) in [
                ("every_s", self.every_s.is_some()),
                ("deadline_s", self.deadline_s.is_some()),
                ("webhook_message", self.webhook_message.is_some()),
            ] {
                if is_there {
                    file.add(&format!("monitor.{field}"), format!("{field} needs a webhook that is asked"));
                }
            }
            return None;
        };
        must_be_address(file, "monitor.webhook", url);
        let every_millis = file.millis("monitor.every_s", self.every_s, 5_000, 1.0..=3600.0);
        let usual = USUAL_DEADLINE_MILLIS.min(every_millis);
        // Nobody is asked about twice at once.
        let longest = f64::from(every_millis) / 1000.0;
        let deadline_millis =
            file.millis("monitor.deadline_s", self.deadline_s, usual, 0.1..=longest.min(30.0));
        if let Some(length) = self.webhook_message.as_ref().map(|words| words.chars().count())
            && length > LIMIT
        {
            let text = format!("webhook_message has {length} characters; it must have {LIMIT} at most");
            file.add("monitor.webhook_message", text);
        }
        Some(CheckRule {
            url: url.clone(),
            deadline_millis,
            every_millis,
            message: self.webhook_message.clone(),
        })
    }
}

/// Where a participant goes from a game, beside scenes by their ids.
pub(super) const AFTER_WORDS: [&str; 2] = ["next", "lobby"];

/// The fields that say so.
pub(super) const AFTER: [&str; 2] = ["recovery.on_partner_lost", "monitor.on_excluded"];

/// One of [`AFTER_WORDS`], or a scene's id.
fn after(word: Option<&str>) -> After {
    match word {
        None | Some("next") => After::Next,
        Some("lobby") => After::Lobby,
        Some(scene) => After::Scene(scene.to_owned()),
    }
}

/// What a page says in a game's scene: the texts that an experiment may have its own words for.
pub(super) const GAME_TEXTS: [&str; 18] = [
    "missing_one",
    "missing_one_of_many",
    "missing_many",
    "missing_you",
    "reconnecting",
    "in_background",
    "reconnecting_you",
    "catching_up",
    "catching_up_together",
    "going_on",
    "will_end",
    "partner_lost",
    "connection_lost",
    "partner_excluded",
    "excluded_ping",
    "excluded_hidden",
    "excluded",
    "game_failed",
];

/// A STUN or TURN server of somebody else's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = {
        "properties": { "urls": { "contains": { "pattern": "^turn" } } },
        "required": ["urls"],
        "additionalProperties": true
    },
    "then" = { "required": ["username", "credential"], "additionalProperties": true }
))]
pub(super) struct IceServerFile {
    /// Its addresses, each with `stun:`, `stuns:`, `turn:` or `turns:` before it.
    #[schemars(inner(regex(pattern = "^(stun|turn)s?:")))]
    urls: Vec<String>,
    /// The user name that a TURN server asks for.
    username: Option<String>,
    /// The password that a TURN server asks for.
    credential: Option<String>,
}

impl Reader<'_, '_> {
    /// A game's scene, unless something is wrong with it.
    pub(super) fn game(&mut self, game: SceneFile) -> Option<GameScene> {
        let overrides = self.overrides;
        let players = self.needed("players", overrides.players.or(game.players), "game");
        let max_frames = self.needed("max_frames", overrides.max_frames.or(game.max_frames), "game");
        let environment = self.needed("environment", game.environment, "game");
        let keys = game.keys.unwrap_or_default();
        let given = game.options.unwrap_or_default();
        let environment = environment.and_then(|name| self.environment(&name, players, &keys, &given));
        let file = &mut self.file;
        let usual = GameRules::default();
        let recovery = game.recovery.unwrap_or_default();
        let monitor = game.monitor.unwrap_or_default();
        let rules = GameRules {
            fps: file.number("fps", overrides.fps.or(game.fps), usual.fps, 1..=240),
            episodes: file.number(
                "episodes",
                overrides.episodes.or(game.episodes),
                usual.episodes,
                1..=1_000_000,
            ),
            max_frames: file.number("max_frames", max_frames, 1, 1..=MOST_FRAMES),
            input_delay: file.number("input_delay", game.input_delay, usual.input_delay, 0..=8),
            window: file.number("window", game.window, usual.window, 1..=16),
            prediction: game.prediction.unwrap_or_default(),
            intermission_millis: game.intermission_ms.unwrap_or(usual.intermission_millis),
            lanes: recovery.lanes.unwrap_or_default(),
            on_direct_loss: recovery.on_direct_loss.unwrap_or_default(),
            on_player_lost: recovery.on_player_lost.unwrap_or_default(),
            grace_millis: file.millis("recovery.grace_s", recovery.grace_s, usual.grace_millis, 0.5..=60.0),
            force_relay: game.force_relay.unwrap_or(false),
            pauses: recovery.pauses(file),
        };
        let frames = u64::from(rules.episodes) * u64::from(rules.max_frames);
        if rules.max_frames <= MOST_FRAMES && frames > u64::from(MOST_FRAMES) {
            let text = format!("all episodes together have {frames} frames; they may have {MOST_FRAMES}");
            file.add("max_frames", text);
        }
        let ice_servers = ice_servers(file, game.ice_servers.unwrap_or_default());
        let texts = game_texts(file, game.texts.unwrap_or_default(), &keys);
        let lobby = game.lobby.unwrap_or_default().rules(file);
        let monitor_rules = monitor.rules(file);
        let check = monitor.check(file);
        let (environment, input_size, options) = environment?;
        Some(GameScene {
            players: players?,
            rules,
            seed: game.seed,
            environment,
            options,
            input_size,
            keys,
            ice_servers,
            texts,
            lobby,
            monitor: monitor_rules,
            check,
            on_partner_lost: after(recovery.on_partner_lost.as_deref()),
            on_excluded: after(monitor.on_excluded.as_deref()),
        })
    }

    /// Prepares a module, and says whether it is for so many players and has the buttons that keys are for.
    fn environment(
        &mut self,
        name: &str,
        players: Option<u8>,
        keys: &BTreeMap<String, String>,
        given: &BTreeMap<String, toml::Value>,
    ) -> Option<(EnvironmentRef, usize, Vec<Setting>)> {
        let prepare = || -> anyhow::Result<_> {
            let whose = || format!("{}", self.source.name(name).display());
            let prepared = host::prepare::prepare(&self.source.read(name)?).with_context(whose)?;
            let module = host::Module::new(&prepared).with_context(whose)?;
            Ok((prepared, module))
        };
        let made = prepare();
        let (prepared, module) = self.file.keep("environment", made)?;
        let manifest = module.manifest();
        let (fewest, most) = manifest.seats;
        if let Some(players) = players.filter(|players| !(fewest..=most).contains(players)) {
            let text = format!("players is {players}; {} takes {fewest} to {most}", manifest.name);
            self.file.add("players", text);
        }
        for (key, button) in keys.iter().filter(|(_, button)| !manifest.buttons.contains(button)) {
            let buttons = manifest.buttons.join(", ");
            let hint = did_you_mean(button, manifest.buttons.iter().map(String::as_str));
            let text = format!("keys.{key} is {button:?}; {} has the buttons {buttons}{hint}", manifest.name);
            self.file.add(&format!("keys.{key}"), text);
        }
        let options = variables::options(&mut self.file, manifest, given);
        let sha256 = hex(&Sha256::digest(&prepared));
        let input_size = manifest.input_bytes;
        self.environments.insert(sha256.clone(), prepared);
        Some((EnvironmentRef { url: format!("/environments/{sha256}.wasm"), sha256 }, input_size, options))
    }
}

/// The scenes that a game names, and in which field.
pub(super) fn named_scenes(game: &GameScene) -> impl Iterator<Item = (&'static str, &str)> {
    fn after<'a>(field: &'static str, after: &'a After) -> Option<(&'static str, &'a str)> {
        match after {
            After::Scene(scene) => Some((field, scene)),
            After::Next | After::Lobby => None,
        }
    }
    let timeout = game.lobby.on_timeout.as_deref().map(|scene| ("lobby.on_timeout", scene));
    let others = [
        after("recovery.on_partner_lost", &game.on_partner_lost),
        after("monitor.on_excluded", &game.on_excluded),
    ];
    timeout.into_iter().chain(others.into_iter().flatten())
}

/// A game's own words, for [`GAME_TEXTS`] and for what its buttons are called.
fn game_texts(
    file: &mut Reading<'_>,
    own: BTreeMap<String, String>,
    keys: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let english = texts::english();
    let buttons: Vec<_> = keys.values().map(|button| button_text(button)).collect();
    for (name, words) in &own {
        let field = format!("texts.{name}");
        match english.get(name) {
            Some(english) if GAME_TEXTS.contains(&name.as_str()) => check(file, &field, words, english),
            _ if buttons.contains(name) => check(file, &field, words, ""),
            _ => {
                let names = GAME_TEXTS.into_iter().chain(buttons.iter().map(String::as_str));
                let hint = did_you_mean(name, names);
                let text = format!("{field} is no text of a game; they are {}", GAME_TEXTS.join(", "));
                file.add(&field, format!("{text}, and button_ with the name of a button of its keys{hint}"));
            }
        }
    }
    own
}

fn ice_servers(file: &mut Reading<'_>, servers: Vec<IceServerFile>) -> Vec<IceServer> {
    let known =
        |url: &&String| ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme));
    for server in &servers {
        for url in server.urls.iter().filter(|url| !known(url)) {
            file.add("ice_servers", format!("{url:?} must begin with stun:, stuns:, turn: or turns:"));
        }
        let turn = server.urls.iter().any(|url| url.starts_with("turn"));
        if turn && (server.username.is_none() || server.credential.is_none()) {
            file.add("ice_servers", "a TURN server needs username and credential");
        }
    }
    let server = |server: IceServerFile| IceServer {
        urls: server.urls,
        username: server.username,
        credential: server.credential,
    };
    servers.into_iter().map(server).collect()
}
