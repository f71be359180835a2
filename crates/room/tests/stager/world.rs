//! A stager, a clock, and what everyone was told.

use core::time::Duration;
use std::collections::BTreeMap;

use base::{Frame, GameId, ParticipantId, Seat, SeatSet, StateHash, Timestamp, VisitId};
use room::{
    After, Assignment, Counted, Effect, EndScene, Experiment, GameScene, Guard, History, Identity,
    LobbyRules, MonitorRules, Progress, Restored, SceneSpec, SceneSpecKind, Stager,
};
use wire::control::{
    ClientMessage, Cut, EnvironmentRef, GameRules, Hex, OnPlayerLost, PauseNotice, SceneKind, ServerMessage,
    Sheet, TerminationReason, VisitEnding, Withdrawal,
};
use wire::form::Answers;
use wire::lane::Cause;
use wire::texts::Texts;

pub(crate) fn experiment_with(players: u8, on_player_lost: OnPlayerLost) -> Experiment {
    let game =
        GameScene { rules: GameRules { on_player_lost, ..GameRules::default() }, ..game_scene(players) };
    experiment_of(vec![
        scene("welcome", SceneSpecKind::Start(Sheet::default())),
        scene("play", SceneSpecKind::Game(Box::new(game))),
        scene("thanks", SceneSpecKind::End(EndScene::default())),
    ])
}

pub(crate) fn scene(id: &str, kind: SceneSpecKind) -> SceneSpec {
    SceneSpec { id: id.into(), kind, guard: Guard::default() }
}

pub(crate) fn experiment_of(scenes: Vec<SceneSpec>) -> Experiment {
    Experiment {
        version: "1".into(),
        title: "Tag".into(),
        texts: english(),
        screening: room::Screening::default(),
        withdrawal: Withdrawal::Keep,
        scenes,
        blocks: vec![],
        conditions: vec![],
        assignment: Assignment::default(),
    }
}

/// What participants read as it is shipped. A line's text is in JSON's quotes as well as in TOML's.
fn english() -> Texts {
    let line = |line: &str| {
        let (name, text) = line.split_once(" = ")?;
        Some((name.to_owned(), serde_json::from_str(text).ok()?))
    };
    let words = include_str!("../../../../texts/en.toml").lines().filter_map(line).collect();
    Texts { id: "english".into(), language: "en".into(), words }
}

pub(crate) fn game_scene(players: u8) -> GameScene {
    GameScene {
        players,
        rules: GameRules::default(),
        seed: None,
        environment: EnvironmentRef { url: "/e.wasm".into(), sha256: "e".into() },
        options: vec![],
        input_size: 1,
        keys: BTreeMap::new(),
        ice_servers: vec![],
        texts: BTreeMap::new(),
        lobby: LobbyRules::default(),
        monitor: MonitorRules::default(),
        check: None,
        on_partner_lost: After::Next,
        on_excluded: After::Next,
    }
}

/// A stager, a clock, and what everyone was told.
pub(crate) struct World {
    pub(crate) stager: Stager,
    pub(crate) experiment: Experiment,
    pub(crate) players: u8,
    pub(crate) now: Timestamp,
    pub(crate) told: BTreeMap<VisitId, Vec<ServerMessage>>,
    pub(crate) effects: Vec<Effect>,
    /// What is durable of the game.
    pub(crate) history: History,
    /// What is written down of every game that is on.
    pub(crate) saved: BTreeMap<GameId, String>,
    /// What is written down of every visit.
    pub(crate) progress: BTreeMap<VisitId, Progress>,
    /// Who is a scripted participant.
    pub(crate) bots: Vec<VisitId>,
    /// What everybody's entry link brings.
    pub(crate) entry: Answers,
}

pub(crate) fn advance(scene_id: impl Into<String>) -> ClientMessage {
    ClientMessage::AdvanceScene { scene_id: scene_id.into(), answers: Answers::new() }
}

pub(crate) fn visit(number: u8) -> VisitId {
    VisitId::from_random([number; 16])
}

impl World {
    pub(crate) fn new(players: u8) -> Self {
        Self::of(experiment_with(players, OnPlayerLost::End), players)
    }

    pub(crate) fn of(experiment: Experiment, players: u8) -> Self {
        Self {
            stager: Stager::new(experiment.clone(), 1),
            experiment,
            players,
            now: Timestamp::from_millis(0),
            told: BTreeMap::new(),
            effects: vec![],
            history: History::default(),
            saved: BTreeMap::new(),
            progress: BTreeMap::new(),
            bots: vec![],
            entry: Answers::new(),
        }
    }

    /// The server is killed, and another takes up what was written down.
    pub(crate) fn restart(&mut self, lived: Duration) {
        self.stager = Stager::new(self.experiment.clone(), self.effects.len() as u64);
        let counted = self.progress.iter().filter_map(|(&visit, progress)| {
            let (condition, ended) = (progress.condition.clone()?, progress.ended);
            Some(Counted { visit, condition, ended, idle: Duration::ZERO })
        });
        self.stager.restore_conditions(counted, self.now);
        for state in self.saved.values() {
            let visits = self.progress.keys().map(|&visit| (visit, self.restored(visit))).collect();
            self.stager.restore(state, visits, lived, self.now).unwrap();
        }
    }

    pub(crate) fn restored(&self, visit: VisitId) -> Restored {
        let progress = self.progress.get(&visit).cloned().unwrap_or_default();
        let (is_bot, entry) = (self.bots.contains(&visit), self.entry.clone());
        Restored { version: "1".into(), progress, is_bot, entry, open_game: None }
    }

    pub(crate) fn settle(&mut self) {
        while let Some(effect) = self.stager.poll_effect() {
            match &effect {
                Effect::Send { visit, message } => {
                    self.told.entry(*visit).or_default().push(message.clone());
                }
                Effect::SaveGame { game, state: Some(state) } => {
                    self.saved.insert(*game, state.clone());
                }
                Effect::Progress { visit, progress } => {
                    self.progress.insert(*visit, progress.clone());
                }
                Effect::SaveGame { game, state: None } => {
                    self.saved.remove(game);
                }
                Effect::AskHistory { game } => {
                    let game = *game;
                    self.stager.handle_history(game, &self.history, self.now);
                }
                _ => {}
            }
            self.effects.push(effect);
        }
    }

    pub(crate) fn join(&mut self, number: u8, page: u64) {
        self.join_with(number, page, None);
    }

    /// A page that has these texts comes.
    pub(crate) fn join_with(&mut self, number: u8, page: u64, texts: Option<&str>) {
        let identity =
            Identity { visit: visit(number), participant: ParticipantId::from_random([number; 16]) };
        self.stager.handle_joined(identity, page, texts, self.restored(visit(number)), self.now);
        self.settle();
    }

    pub(crate) fn say(&mut self, number: u8, message: ClientMessage) {
        self.stager.handle_message(visit(number), message, self.now);
        self.settle();
    }

    pub(crate) fn drop(&mut self, number: u8) {
        self.stager.handle_dropped(visit(number), self.now);
        self.settle();
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.stager.poll_timeout().filter(|due| due.at <= until) {
            self.now = self.now.max(due.at);
            self.stager.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    pub(crate) fn start(&mut self, number: u8) {
        self.join(number, u64::from(number));
        self.say(number, advance("welcome"));
    }

    pub(crate) fn game(&self, number: u8) -> Option<(GameId, Seat)> {
        self.told.get(&visit(number))?.iter().rev().find_map(|message| match message {
            ServerMessage::GameStart(start) => Some((start.game_id, start.seat)),
            _ => None,
        })
    }

    /// What a page was told last.
    pub(crate) fn newest(&self, number: u8) -> &ServerMessage {
        self.told[&visit(number)].last().unwrap()
    }

    /// The scene that a page shows.
    pub(crate) fn scene(&self, number: u8) -> Option<String> {
        self.told.get(&visit(number))?.iter().rev().find_map(|message| match message {
            ServerMessage::ActivateScene { scene } => Some(scene.id.clone()),
            _ => None,
        })
    }

    /// How a participant was told that its game, or its visit, has ended.
    pub(crate) fn ended(&self, number: u8) -> Option<VisitEnding> {
        self.told.get(&visit(number))?.iter().rev().find_map(|message| match message {
            ServerMessage::TriggerDataExport { termination_reason, .. } => {
                Some(Some((*termination_reason).into()))
            }
            ServerMessage::ActivateScene { scene } => match scene.kind {
                SceneKind::End { reason, .. } => Some(Some(reason)),
                // Told of again before how its game ended.
                SceneKind::Game { .. } => None,
                _ => Some(None),
            },
            _ => None,
        })?
    }

    pub(crate) fn two_playing() -> (Self, GameId) {
        let mut world = Self::new(2);
        world.start(1);
        world.start(2);
        let (game_id, _) = world.game(1).unwrap();
        world.say(1, ClientMessage::GameReady { game_id });
        world.say(2, ClientMessage::GameReady { game_id });
        (world, game_id)
    }

    pub(crate) fn finish(&mut self, number: u8, game_id: GameId) {
        let hash = StateHash(0);
        self.say(number, ClientMessage::GameFinished { game_id, frames: 1350, hash });
    }
}

impl World {
    pub(crate) fn lost(&mut self, number: u8, peer: u8, pause_id: u32) {
        let (game_id, _) = self.game(number).unwrap();
        let lost = ClientMessage::P2pConnectionLost {
            game_id,
            frame: 50,
            lost_peer: Seat::new(peer).unwrap(),
            ice_state: "disconnected".into(),
            dc_state: "open".into(),
            cause: Cause::Silence,
            timestamp: 0.0,
            pause_id,
        };
        self.say(number, lost);
    }

    /// Reports of one byte an input: each seat's inputs from 32 frames before the confirmed one on.
    pub(crate) fn report(
        &mut self,
        number: u8,
        (pause_id, round): (u32, u32),
        confirmed_frame: Frame,
        ends: &[Frame],
    ) {
        let (game_id, _) = self.game(number).unwrap();
        let first = confirmed_frame.saturating_sub(32);
        let inputs = (1..).zip(ends).map(|(value, end)| Hex(vec![value; (end - first) as usize])).collect();
        self.say(
            number,
            ClientMessage::P2pPauseReport { game_id, pause_id, round, confirmed_frame, first, inputs },
        );
    }

    pub(crate) fn success(
        &mut self,
        number: u8,
        (pause_id, round): (u32, u32),
        confirmed_frame: Frame,
        hash: u64,
    ) {
        let (game_id, _) = self.game(number).unwrap();
        let hash = StateHash(hash);
        self.say(
            number,
            ClientMessage::P2pReconnectionSuccess { game_id, pause_id, round, confirmed_frame, hash },
        );
    }

    pub(crate) fn pause(&self, number: u8) -> Option<&PauseNotice> {
        self.told[&visit(number)].iter().rev().find_map(|message| match message {
            ServerMessage::P2pPause(notice) => Some(notice),
            _ => None,
        })
    }

    pub(crate) fn cut(&self, number: u8) -> Option<&Cut> {
        self.told[&visit(number)].iter().rev().find_map(|message| match message {
            ServerMessage::P2pCut(cut) => Some(cut),
            _ => None,
        })
    }

    pub(crate) fn resumes(&self, number: u8) -> Vec<(u32, Frame)> {
        let resumed = |message: &ServerMessage| match message {
            ServerMessage::P2pResume { pause_id, frame, .. } => Some((*pause_id, *frame)),
            _ => None,
        };
        self.told[&visit(number)].iter().filter_map(resumed).collect()
    }

    pub(crate) fn endings(&self) -> Vec<(u8, TerminationReason, bool)> {
        let ending = |effect: &Effect| match effect {
            Effect::EndSeat { seat, ending, .. } => Some((seat.number(), ending.reason, ending.is_partial)),
            _ => None,
        };
        self.effects.iter().filter_map(ending).collect()
    }

    /// Both have reported and said that they are equal.
    pub(crate) fn come_back(&mut self, at: (u32, u32)) {
        self.report(1, at, 50, &[54, 52]);
        self.report(2, at, 50, &[52, 54]);
        self.success(1, at, 54, 7);
        self.success(2, at, 54, 7);
    }
}

pub(crate) fn seats(numbers: &[u8]) -> SeatSet {
    numbers.iter().filter_map(|&number| Seat::new(number)).collect()
}
