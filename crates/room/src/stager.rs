//! Takes every visit through its scenes.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use base::{Deadline, Frame, GameId, ParticipantId, Rng, Seat, SeatSet, StateHash, Timestamp, VisitId};
use serde_json::json;
use wire::PROTOCOL_VERSION;
use wire::close::CloseCode;
use wire::control::{
    ClientMessage, GameStart, HEARTBEAT_MILLIS, Seed, ServerMessage, Signal, TerminationReason,
};
use wire::form::{self, Answers};

use crate::effect::{Effect, NewGame, SeatEnding};
use crate::experiment::{Experiment, GameScene, SceneSpecKind};
use crate::game::{Game, History, Output, Saved};
use crate::lobby::Lobbies;

/// How long a visit may be away before it loses its place in a lobby.
const AWAY_LIMIT: Duration = Duration::from_secs(10);

/// How much of a page's own words about a failure is kept, in characters.
const REASON_LIMIT: usize = 1000;

/// Who a visit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The visit.
    pub visit: VisitId,
    /// The person.
    pub participant: ParticipantId,
}

/// How far a visit had come, from the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Restored {
    /// The index of its scene.
    pub scene: u32,
    /// How it ended, if it has.
    pub ended: Option<TerminationReason>,
    /// A game of that scene that it sits in and has not ended: this stager does not know it, because it was
    /// started since.
    pub open_game: Option<(GameId, Seat)>,
}

/// Why the stager wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// A visit has been away for too long.
    Away(VisitId),
    /// A game has waited for something for too long.
    Game(GameId),
}

/// A visit that this stager knows.
#[derive(Debug)]
struct Visit {
    scene: usize,
    ended: Option<TerminationReason>,
    game: Option<GameId>,
    presence: Presence,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Presence {
    Here { page: u64 },
    Away { page: u64, since: Timestamp },
}

impl Presence {
    const fn page(self) -> u64 {
        match self {
            Self::Here { page } | Self::Away { page, .. } => page,
        }
    }
}

/// Takes every visit through its scenes. See the crate's documentation.
#[derive(Debug)]
pub struct Stager {
    experiment: Experiment,
    rng: Rng,
    visits: BTreeMap<VisitId, Visit>,
    lobbies: Lobbies,
    games: BTreeMap<GameId, Game>,
    effects: VecDeque<Effect>,
}

impl Stager {
    /// A stager for an experiment. `entropy` seeds identifiers and games: it must be random, and secret enough
    /// that nobody guesses another game's number.
    #[must_use]
    pub fn new(experiment: Experiment, entropy: u64) -> Self {
        Self {
            experiment,
            rng: Rng::from_seed(entropy),
            visits: BTreeMap::new(),
            lobbies: Lobbies::default(),
            games: BTreeMap::new(),
            effects: VecDeque::new(),
        }
    }

    /// Whether a visit is known, so that it need not be restored.
    #[must_use]
    pub fn knows(&self, visit: VisitId) -> bool {
        self.visits.contains_key(&visit)
    }

    /// How many visits are connected, and how many games are on.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let here = self.visits.values().filter(|visit| matches!(visit.presence, Presence::Here { .. }));
        (here.count(), self.games.len())
    }

    /// The next thing to do, until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Stager::handle_timeout`]. Changes with every `handle_*` call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline<Reason>> {
        let away = self.visits.iter().filter_map(|(&id, visit)| match visit.presence {
            Presence::Away { since, .. } if visit.game.is_none() => {
                Some(Deadline { at: since + AWAY_LIMIT, reason: Reason::Away(id) })
            }
            Presence::Away { .. } | Presence::Here { .. } => None,
        });
        let games = self
            .games
            .iter()
            .filter_map(|(&id, game)| Some(Deadline { at: game.poll_timeout()?, reason: Reason::Game(id) }));
        away.chain(games).min_by_key(|deadline| (deadline.at, deadline.reason))
    }

    /// How many games stand still.
    #[must_use]
    pub fn paused(&self) -> usize {
        self.games.values().filter(|game| game.is_paused()).count()
    }

    /// A game that was written down by a server that was killed; it then lived on for so long. Comes before all else.
    ///
    /// # Errors
    /// When it cannot be read, or the experiment does not have its scene any more.
    pub fn restore(&mut self, state: &str, lived: Duration, now: Timestamp) -> Result<(), serde_json::Error> {
        let saved: Saved = serde_json::from_str(state)?;
        let (id, game) = Game::restore(saved, lived, now);
        let is_game = |scene: &crate::SceneSpec| matches!(scene.kind, SceneSpecKind::Game(_));
        if !self.experiment.scenes.get(game.scene).is_some_and(is_game) {
            return Err(serde::de::Error::custom("the experiment does not have this game's scene any more"));
        }
        for (seat, visit) in game.remaining() {
            let presence = Presence::Away { page: game.page(seat), since: now };
            self.visits.insert(visit, Visit { scene: game.scene, ended: None, game: Some(id), presence });
        }
        self.games.insert(id, game);
        Ok(())
    }

    /// A connection has said who it is. `restored` is how far the visit had come, for a visit that is not known.
    pub fn handle_joined(&mut self, identity: Identity, page: u64, restored: Restored, now: Timestamp) {
        let id = identity.visit;
        let known = self.visits.contains_key(&id);
        let visit = self.visits.entry(id).or_insert_with(|| Visit {
            scene: restored.scene as usize,
            ended: restored.ended,
            game: None,
            presence: Presence::Here { page },
        });
        visit.presence = Presence::Here { page };
        let game = visit.game;
        // The driver puts in where the channel goes on; it is the same with `pong`.
        self.send(
            id,
            ServerMessage::Welcome {
                protocol: PROTOCOL_VERSION,
                participant: identity.participant,
                visit: id,
                heartbeat_millis: HEARTBEAT_MILLIS,
                epoch: String::new(),
            },
        );
        if let Some((game, seat)) = restored.open_game.filter(|_| !known) {
            // Of a game that could not be restored.
            let ending = SeatEnding { reason: TerminationReason::Server, frame: 0, is_partial: true };
            self.effects.push_back(Effect::EndSeat { game, seat, ending });
            self.go_on(id, TerminationReason::Server, now);
        } else {
            self.show_scene(id, now);
        }
        if let Some(game) = game {
            self.in_game(game, id, now, |game, seat| game.handle_page(seat, page, now));
        }
    }

    /// A visit's connection is gone. That is not leaving.
    pub fn handle_dropped(&mut self, visit: VisitId, now: Timestamp) {
        let Some(known) = self.visits.get_mut(&visit) else { return };
        if let Presence::Here { page } = known.presence {
            known.presence = Presence::Away { page, since: now };
        }
        if let Some(game) = known.game {
            self.in_game(game, visit, now, |game, seat| game.handle_away(seat, now));
        }
    }

    /// The durable record's end, as [`Effect::AskHistory`] asked.
    pub fn handle_history(&mut self, game: GameId, history: &History, now: Timestamp) {
        if let Some(known) = self.games.get_mut(&game) {
            known.handle_history(history);
            self.take_outputs(game, now);
        }
    }

    /// What is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(Deadline { reason, .. }) = self.poll_timeout().filter(|due| due.at <= now) {
            match reason {
                Reason::Away(visit) => self.forget(visit),
                Reason::Game(id) => {
                    if let Some(game) = self.games.get_mut(&id) {
                        game.handle_timeout(now);
                        self.take_outputs(id, now);
                    }
                }
            }
        }
    }

    /// A message of a visit.
    pub fn handle_message(&mut self, from: VisitId, message: ClientMessage, now: Timestamp) {
        match message {
            ClientMessage::Hello { .. } => {
                self.effects.push_back(Effect::Close { visit: from, code: CloseCode::BadMessage });
            }
            ClientMessage::Ping { time, .. } => {
                self.send(from, ServerMessage::Pong { time, accepted: 0 });
            }
            ClientMessage::AdvanceScene { scene_id, answers } => {
                self.advance_scene(from, &scene_id, &answers, now);
            }
            ClientMessage::Signal { game_id, to, signal } => self.signal(from, game_id, to, signal),
            ClientMessage::GameReady { game_id } => {
                self.in_game(game_id, from, now, Game::make_ready);
            }
            ClientMessage::P2pPauseReport { game_id, pause_id, round, confirmed_frame, first, inputs } => {
                self.in_game(game_id, from, now, |game, seat| {
                    game.handle_report(seat, (pause_id, round), confirmed_frame, first, &inputs);
                });
            }
            ClientMessage::P2pStateRequest { game_id, pause_id, round } => {
                self.in_game(game_id, from, now, |game, seat| {
                    game.handle_state_request(seat, (pause_id, round));
                });
            }
            ClientMessage::P2pReconnectionSuccess { game_id, pause_id, round, confirmed_frame, hash } => {
                self.in_game(game_id, from, now, |game, seat| {
                    game.handle_success(seat, (pause_id, round), confirmed_frame, hash, now);
                });
            }
            ClientMessage::P2pConnectionType { game_id, peer, connection } => {
                let detail = json!({ "peer": peer, "connection": connection });
                self.record(from, game_id, "p2p_connection_type", detail);
            }
            ClientMessage::P2pDesync { game_id, peer, frame, own, theirs } => {
                let detail = json!({ "peer": peer, "frame": frame, "own": own, "theirs": theirs });
                self.record(from, game_id, "p2p_desync", detail);
                self.in_game(game_id, from, now, |game, seat| game.handle_desync(seat, frame, now));
            }
            ClientMessage::P2pConnectionLost {
                game_id,
                frame,
                lost_peer,
                ice_state,
                dc_state,
                cause,
                timestamp,
                pause_id,
            } => {
                let detail = json!({
                    "frame": frame, "lostPeer": lost_peer, "iceState": short(&ice_state),
                    "dcState": short(&dc_state), "cause": cause, "timestamp": timestamp, "pauseId": pause_id,
                });
                self.record(from, game_id, "p2p_connection_lost", detail);
                self.in_game(game_id, from, now, |game, seat| {
                    game.handle_lost(seat, lost_peer, frame, pause_id, now);
                });
            }
            ClientMessage::P2pConnectionRestored { game_id, frame, peer } => {
                let detail = json!({ "frame": frame, "peer": peer });
                self.record(from, game_id, "p2p_connection_restored", detail);
            }
            ClientMessage::P2pQuality { game_id, peer, quality, rtt_millis, lane } => {
                let detail =
                    json!({ "peer": peer, "quality": quality, "rttMillis": rtt_millis, "lane": lane });
                self.record(from, game_id, "p2p_quality", detail);
            }
            ClientMessage::RenewIce => self.renew_ice(from),
            ClientMessage::GameFinished { game_id, frames, hash } => {
                self.game_finished(from, game_id, (frames, hash), now);
            }
            ClientMessage::GameFailed { game_id, frame, reason } => {
                self.game_failed(from, game_id, frame, &reason, now);
            }
        }
    }

    fn send(&mut self, visit: VisitId, message: ServerMessage) {
        self.effects.push_back(Effect::Send { visit, message });
    }

    fn seat(&self, visit: VisitId, game: GameId) -> Option<Seat> {
        self.games.get(&game)?.seat_of(visit)
    }

    fn record(&mut self, visit: VisitId, game: GameId, kind: &'static str, detail: serde_json::Value) {
        if let Some(seat) = self.seat(visit, game) {
            self.effects.push_back(Effect::Record { game, seat: Some(seat), kind, detail });
        }
    }

    /// Does something with the game that a visit sits in, and what the game then wants done.
    fn in_game(&mut self, id: GameId, visit: VisitId, now: Timestamp, act: impl FnOnce(&mut Game, Seat)) {
        let Some(game) = self.games.get_mut(&id) else { return };
        let Some(seat) = game.seat_of(visit) else { return };
        act(game, seat);
        self.take_outputs(id, now);
    }

    fn take_outputs(&mut self, id: GameId, now: Timestamp) {
        let Some(game) = self.games.get_mut(&id) else { return };
        let outputs = game.take_outputs();
        if game.take_changed() {
            let state = serde_json::to_string(&game.save(now)).ok();
            self.effects.push_back(Effect::SaveGame { game: id, state });
        }
        for output in outputs {
            let Some(game) = self.games.get(&id) else { return };
            match output {
                Output::Tell(seat, mut message) => {
                    if let ServerMessage::P2pPause(notice) = &mut message {
                        notice.remaining_ms =
                            u32::try_from(game.remaining_time(now).as_millis()).unwrap_or(u32::MAX);
                    }
                    if let Some(visit) = game.visit_at(seat) {
                        self.send(visit, message);
                    }
                }
                Output::Record(seat, kind, detail) => {
                    self.effects.push_back(Effect::Record { game: id, seat, kind, detail });
                }
                Output::Fence { seat, incarnation, cut_frame } => {
                    self.effects.push_back(Effect::Fence { game: id, seat, incarnation, cut_frame });
                }
                Output::AskHistory => self.effects.push_back(Effect::AskHistory { game: id }),
                Output::End(reason, missing) => self.end_game(id, reason, missing, now),
                Output::Drop(seat, reason) => self.drop_seat(id, seat, reason, now),
            }
        }
    }

    // Scenes.

    /// Tells a page what to show, and lets it into the scene's lobby or game.
    fn show_scene(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get(&id) else { return };
        let (index, game) = (visit.scene, visit.game);
        let reason = visit.ended.unwrap_or(TerminationReason::Normal);
        let Some(scene) = self.experiment.scene(index, reason) else { return };
        self.send(id, ServerMessage::ActivateScene { scene });
        if !matches!(self.experiment.scenes[index].kind, SceneSpecKind::Game(_)) {
            return;
        }
        if game.is_none() {
            self.lobbies.enter(index, id);
            self.fill_lobby(index, now);
        }
    }

    fn advance_scene(&mut self, from: VisitId, scene_id: &str, answers: &Answers, now: Timestamp) {
        let Some(visit) = self.visits.get(&from) else { return };
        let Some(scene) = self.experiment.scenes.get(visit.scene) else { return };
        // Games and the end are not left at the participant's word; a late or repeated one changes nothing (S2).
        let Some(sheet) = scene.kind.sheet().filter(|_| scene.id == scene_id) else { return };
        let scene = scene.id.clone();
        match form::check(&sheet.fields, answers) {
            Ok(answers) => {
                if !answers.is_empty() {
                    self.effects.push_back(Effect::Answers { visit: from, scene, answers });
                }
                self.go_on(from, TerminationReason::Normal, now);
            }
            Err(problems) => {
                self.send(from, ServerMessage::AnswersRefused { scene_id: scene, problems });
            }
        }
    }

    /// Takes a visit to its next scene; `reason` is how the last game ended for it.
    fn go_on(&mut self, id: VisitId, reason: TerminationReason, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let left = self.experiment.scenes.get(visit.scene).map(|scene| scene.id.clone());
        visit.game = None;
        // A game that went wrong ends the visit: what comes next would not be what the study planned.
        let last = self.experiment.scenes.len() - 1;
        visit.scene = if reason == TerminationReason::Normal { (visit.scene + 1).min(last) } else { last };
        let is_end = matches!(self.experiment.scenes[visit.scene].kind, SceneSpecKind::End(_));
        visit.ended = is_end.then_some(reason);
        let (scene, ended) = (visit.scene as u32, visit.ended);
        self.effects.push_back(Effect::Progress { visit: id, scene, ended });
        if let Some(scene_id) = left {
            self.send(id, ServerMessage::TerminateScene { scene_id });
        }
        self.show_scene(id, now);
    }

    // The lobby.

    fn fill_lobby(&mut self, index: usize, now: Timestamp) {
        let SceneSpecKind::Game(scene) = &self.experiment.scenes[index].kind else { return };
        let scene = scene.clone();
        let here =
            |id| self.visits.get(&id).is_some_and(|visit| matches!(visit.presence, Presence::Here { .. }));
        match self.lobbies.group(index, scene.players, here) {
            Some(group) => self.begin_game(index, &scene, group, now),
            None => self.tell_lobby(index, scene.players),
        }
    }

    fn tell_lobby(&mut self, index: usize, needed: u8) {
        let waiting = self.lobbies.waiting(index).to_vec();
        let count = u8::try_from(waiting.len()).unwrap_or(u8::MAX);
        for visit in waiting {
            self.send(visit, ServerMessage::LobbyStatus { waiting: count, needed });
        }
    }

    /// A visit has been away for too long: it loses its place in the lobby.
    fn forget(&mut self, id: VisitId) {
        let Some(visit) = self.visits.get(&id) else { return };
        let scene = visit.scene;
        if self.lobbies.leave(scene, id)
            && let SceneSpecKind::Game(game) = &self.experiment.scenes[scene].kind
        {
            let needed = game.players;
            self.tell_lobby(scene, needed);
        }
        // The store knows how far it had come, should it return.
        self.visits.remove(&id);
    }

    // Games.

    fn begin_game(&mut self, index: usize, scene: &GameScene, group: Vec<VisitId>, now: Timestamp) {
        let game_id = self.new_game_id();
        let epoch = self.rng.next_u64() as u32;
        let seed = scene.seed.unwrap_or_else(|| self.rng.next_u64());
        let scene_id = self.experiment.scenes[index].id.clone();
        self.effects.push_back(Effect::CreateGame(Box::new(NewGame {
            game: game_id,
            scene: scene_id.clone(),
            environment_sha256: scene.environment.sha256.clone(),
            epoch,
            seed,
            rules: scene.rules,
            input_size: scene.input_size,
            seats: group.clone(),
        })));
        let start = GameStart {
            game_id,
            scene_id,
            seat: Seat::default(),
            seats: scene.players,
            epoch,
            seed: Seed(seed),
            rules: scene.rules,
            environment: scene.environment.clone(),
            keys: scene.keys.clone(),
            ice_servers: scene.ice_servers.clone(),
            ice_lifetime_millis: 0,
            incarnations: Vec::new(),
            texts: scene.texts.clone(),
        };
        let mut seats = Vec::new();
        for id in group {
            let Some(visit) = self.visits.get_mut(&id) else { continue };
            visit.game = Some(game_id);
            seats.push((id, visit.presence.page()));
        }
        let mut game = Game::new(start, scene.input_size, index, seats, now);
        game.begin();
        self.games.insert(game_id, game);
        self.take_outputs(game_id, now);
        self.tell_lobby(index, scene.players);
    }

    fn new_game_id(&mut self) -> GameId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.rng.next_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&self.rng.next_u64().to_be_bytes());
        GameId::from_random(bytes)
    }

    /// Passes a signal on between seats of one game; the sender is the server's word (L2).
    fn signal(&mut self, from: VisitId, id: GameId, to: Seat, signal: Signal) {
        let Some(game) = self.games.get(&id) else { return };
        let (Some(sender), Some(visit)) = (game.seat_of(from), game.visit_at(to)) else { return };
        if sender != to && !game.has_left(to) {
            self.send(visit, ServerMessage::Signal { game_id: id, from: sender, signal });
        }
    }

    /// New credentials for whoever plays; the driver puts its own servers in.
    fn renew_ice(&mut self, from: VisitId) {
        let Some(game) = self.visits.get(&from).and_then(|visit| self.games.get(&visit.game?)) else {
            return;
        };
        let ice_servers = game.ice_servers().to_vec();
        self.send(from, ServerMessage::IceServers { ice_servers, ice_lifetime_millis: 0 });
    }

    /// A seat has played to the end, and its record is durable.
    fn game_finished(
        &mut self,
        from: VisitId,
        id: GameId,
        (frames, hash): (Frame, StateHash),
        now: Timestamp,
    ) {
        let Some(seat) = self.seat(from, id) else { return };
        let Some(game) = self.games.get_mut(&id) else { return };
        if game.has_left(seat) {
            return;
        }
        game.leave(seat, frames, hash, now);
        let done = game.remaining().next().is_none();
        let ending = SeatEnding { reason: TerminationReason::Normal, frame: frames, is_partial: false };
        self.effects.push_back(Effect::EndSeat { game: id, seat, ending });
        self.take_outputs(id, now);
        if done {
            self.close_game(id, TerminationReason::Normal, now);
        }
        self.go_on(from, TerminationReason::Normal, now);
    }

    fn game_failed(&mut self, from: VisitId, id: GameId, frame: Frame, reason: &str, now: Timestamp) {
        let Some(seat) = self.seat(from, id) else { return };
        let reason: String = reason.chars().take(REASON_LIMIT).collect();
        let detail = json!({ "frame": frame, "reason": reason });
        self.effects.push_back(Effect::Record { game: id, seat: Some(seat), kind: "game_failed", detail });
        let Some(game) = self.games.get_mut(&id).filter(|game| !game.has_left(seat)) else { return };
        game.tell_frame(frame);
        self.end_game(id, TerminationReason::Server, SeatSet::EMPTY, now);
    }

    /// Ends a game for one seat; the others play on (P9).
    fn drop_seat(&mut self, id: GameId, seat: Seat, reason: TerminationReason, now: Timestamp) {
        let Some(game) = self.games.get(&id) else { return };
        let Some(visit) = game.visit_at(seat) else { return };
        let ending = SeatEnding { reason, frame: game.frame, is_partial: true };
        self.effects.push_back(Effect::EndSeat { game: id, seat, ending });
        let missing = [seat].into_iter().collect();
        self.send(visit, ServerMessage::P2pGameEnded { game_id: id, reason, missing });
        self.go_on(visit, reason, now);
    }

    /// Takes a game away; a pause that it was in ends with it.
    fn close_game(&mut self, id: GameId, reason: TerminationReason, now: Timestamp) -> Option<Game> {
        let game = self.games.remove(&id)?;
        self.effects.push_back(Effect::SaveGame { game: id, state: None });
        if let Some(detail) = game.last_pause(reason, now) {
            self.effects.push_back(Effect::Record {
                game: id,
                seat: None,
                kind: "p2p_pause_ended_game",
                detail,
            });
        }
        Some(game)
    }

    /// Ends a game for everyone who is still in it, once (P3), and takes them on (P9).
    fn end_game(&mut self, id: GameId, reason: TerminationReason, missing: SeatSet, now: Timestamp) {
        let Some(game) = self.close_game(id, reason, now) else { return };
        let remaining: Vec<_> = game.remaining().collect();
        for &(seat, visit) in &remaining {
            let ending = SeatEnding { reason, frame: game.frame, is_partial: true };
            self.effects.push_back(Effect::EndSeat { game: id, seat, ending });
            self.send(visit, ServerMessage::P2pGameEnded { game_id: id, reason, missing });
        }
        for (_, visit) in remaining {
            self.go_on(visit, reason, now);
        }
        debug_assert!(self.visits.values().all(|visit| visit.game != Some(id)));
    }
}

/// A browser's word for a state, and no more than that.
fn short(word: &str) -> String {
    word.chars().take(32).collect()
}
