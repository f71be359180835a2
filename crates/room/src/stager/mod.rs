//! Takes every visit through its scenes.

mod assign;
mod bots;
mod check;
mod games;
mod hidden;
mod scenes;
mod screening;
mod waiting;

use core::mem;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::{Deadline, GameId, ParticipantId, Rng, Seat, Timestamp, VisitId};
use serde_json::json;
use wire::PROTOCOL_VERSION;
use wire::close::CloseCode;
use wire::control::{
    ClientMessage, ExclusionReason, HEARTBEAT_MILLIS, ServerMessage, TerminationReason, VisitEnding,
};
use wire::form::Answers;
use wire::texts::Texts;

use crate::agent::{Agent, Facts};
use crate::check::{Asked, CheckId};
use crate::conditions::{Tally, Unit};
use crate::effect::{Effect, SeatEnding};
use crate::experiment::{Experiment, GameScene};
use crate::game::{Game, History, Measured, Output, Saved};
use crate::guard::Guard;
use crate::lobby::{Lobbies, Place};
use crate::monitor::Monitor;
use crate::plan::Position;
use crate::visit::{Outcome, Over, Progress};

/// How long a visit may be away before it loses its place in a lobby.
const AWAY_LIMIT: Duration = Duration::from_secs(10);

/// Who a visit is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The visit.
    pub visit: VisitId,
    /// The person.
    pub participant: ParticipantId,
}

/// How far a visit had come, from the store.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Restored {
    /// The version of the experiment that it began with.
    pub version: String,
    /// What was written down of it.
    pub progress: Progress,
    /// Whether it is a scripted participant.
    pub is_bot: bool,
    /// What the entry link brought of [`ENTRY_PARAMETERS`](crate::ENTRY_PARAMETERS).
    pub entry: Answers,
    /// A game of its scene that it sits in and has not ended: this stager does not know it, because it was
    /// started since.
    pub open_game: Option<(GameId, Seat)>,
}

/// Why the stager wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// A visit has been away for too long.
    Away(VisitId),
    /// A visit has waited in a lobby for too long.
    Waited(VisitId),
    /// A visit has had a game that ended early before it for long enough.
    Over(VisitId),
    /// A visit's page has been in the background for too long.
    Hidden(VisitId),
    /// It is time to ask the study's own check about a player.
    Check(VisitId),
    /// The study's own check has not answered in time.
    CheckLate(CheckId),
    /// A game has waited for something for too long.
    Game(GameId),
    /// Somebody waits for a game in vain, and a bot waits for another.
    Bots,
}

/// A visit that this stager knows.
#[derive(Debug)]
struct Visit {
    experiment: Arc<Experiment>,
    progress: Progress,
    is_bot: bool,
    entry: Answers,
    game: Option<GameId>,
    presence: Presence,
    monitor: Monitor,
    /// What its connection's headers say of who it is.
    agent: Agent,
    /// It has not met a rule of the screening that another device or browser would, and may have come with one.
    may_try_again: bool,
    /// It has broken a rule too, after its game had ended because another had, and that was written down (X4).
    own_cause_noted: bool,
    /// Until when a game that has ended early is shown.
    over_until: Option<Timestamp>,
    /// Since when it has waited for a game of its scene to begin, groups that did not come about included.
    waits_since: Option<Timestamp>,
    /// When the study's own check is asked about it next.
    check_at: Option<Timestamp>,
    /// How often in a row that has not answered.
    unanswered_checks: u32,
    /// Whether it was written down last that its page is in the background.
    hidden_noted: Option<bool>,
}

impl Visit {
    /// The index of its scene.
    fn index(&self) -> usize {
        self.progress.scene as usize
    }

    /// The passage that it is in.
    fn position(&self) -> Position {
        Position { scene: self.index(), turns: self.progress.turns.clone() }
    }

    /// Which passage of its scene that is, from 1.
    fn number(&self) -> u32 {
        self.experiment.number(&self.progress.turns)
    }

    /// The passage's name.
    fn passage(&self) -> String {
        self.experiment.passage(self.index(), &self.progress.turns).unwrap_or_default()
    }

    /// Whether a scene or block is for this visit.
    fn admits(&self, guard: &Guard) -> bool {
        guard.admits(self.progress.condition.as_deref(), &self.progress.variables)
    }

    /// The passage that is meant when a scene is named here.
    fn named(&self, id: VisitId, scene: &str) -> Option<Position> {
        self.experiment.seek(id, Some(&self.position()), self.experiment.index_of(scene)?)
    }

    /// Who gets a condition together.
    fn unit(&self) -> Unit {
        self.experiment.assignment.unit
    }

    /// What it must have in common with those whom it plays with: who gets a condition as a group plays with its like only,
    /// and a game has one set of options.
    fn company(&self) -> (Option<&str>, Vec<f64>) {
        let condition = self.progress.condition.as_deref().filter(|_| self.unit() == Unit::Group);
        (condition, self.experiment.options(self.index(), &self.progress.variables))
    }

    /// Its scene's lobby, if it has one.
    fn place(&self) -> Place {
        (self.experiment.version.clone(), self.index())
    }

    /// The game's scene that it is in.
    fn game_scene(&self) -> Option<&GameScene> {
        self.experiment.game(self.index())
    }

    const fn is_here(&self) -> bool {
        matches!(self.presence, Presence::Here { .. })
    }

    /// A game of its scene went wrong: of several passages the first counts, of one the last.
    fn note(&mut self, ending: VisitEnding) {
        let here = (self.progress.scene, self.number());
        if self.progress.outcome.is_none_or(|known| (known.scene, known.passage) == here) {
            self.set_outcome(ending);
        }
    }

    /// Whether it has been told before that it cannot go on, and why.
    fn has_been_turned_away(&self, why: VisitEnding) -> bool {
        self.progress.outcome.is_some_and(|outcome| outcome.ending == why)
    }

    fn set_outcome(&mut self, ending: VisitEnding) {
        let (scene, passage) = (self.progress.scene, self.number());
        self.progress.outcome = Some(Outcome { scene, passage, ending });
    }
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
    /// By version.
    experiments: BTreeMap<String, Arc<Experiment>>,
    /// What new visits get.
    current: Arc<Experiment>,
    rng: Rng,
    visits: BTreeMap<VisitId, Visit>,
    lobbies: Lobbies,
    /// Who has come to the end since this was made: nobody need wait for them.
    ended: BTreeSet<VisitId>,
    games: BTreeMap<GameId, Game>,
    /// What the study's own check was asked and has not answered.
    asked: BTreeMap<CheckId, Asked>,
    next_check: u64,
    tally: Tally,
    /// Whether a scripted participant has ever come.
    has_bots: bool,
    effects: VecDeque<Effect>,
}

impl Stager {
    /// A stager for an experiment. `entropy` seeds identifiers and games: it must be random, and secret enough
    /// that nobody guesses another game's number.
    #[must_use]
    pub fn new(experiment: Experiment, entropy: u64) -> Self {
        let current = Arc::new(experiment);
        Self {
            experiments: BTreeMap::from([(current.version.clone(), Arc::clone(&current))]),
            current,
            rng: Rng::from_seed(entropy),
            visits: BTreeMap::new(),
            lobbies: Lobbies::default(),
            ended: BTreeSet::new(),
            games: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_check: 1,
            tally: Tally::default(),
            has_bots: false,
            effects: VecDeque::new(),
        }
    }

    /// Whether a version of the experiment is known.
    #[must_use]
    pub fn knows_version(&self, version: &str) -> bool {
        self.experiments.contains_key(version)
    }

    /// Another version of the experiment, for the visits that began with it (S2).
    pub fn add_version(&mut self, experiment: Experiment) {
        self.experiments.entry(experiment.version.clone()).or_insert_with(|| Arc::new(experiment));
    }

    /// Another version of the experiment, for visits that are to begin.
    pub fn take_up(&mut self, experiment: Experiment) {
        let current = Arc::new(experiment);
        self.experiments.insert(current.version.clone(), Arc::clone(&current));
        self.current = current;
    }

    /// A visit as it was written down. One whose version of the experiment is not to be had goes on in this one.
    fn restored(&self, id: VisitId, restored: Restored, presence: Presence) -> Visit {
        let Restored { version, mut progress, is_bot, entry, .. } = restored;
        let experiment = Arc::clone(self.experiments.get(&version).unwrap_or(&self.current));
        let here = Position { scene: progress.scene as usize, turns: mem::take(&mut progress.turns) };
        let here_id = experiment.scenes.get(here.scene).map(|scene| scene.id.as_str());
        let is_new = progress.scene_id.is_empty() && progress.scene == 0 && progress.ended.is_none();
        let position = if is_new {
            experiment.next(id, None, |_, guard| guard.admits(None, &progress.variables))
        } else if (progress.scene_id.is_empty() || here_id == Some(&progress.scene_id))
            && experiment.has(&here)
        {
            Some(here)
        } else {
            let last = experiment.scenes.len() - 1;
            let scene = experiment.index_of(&progress.scene_id).unwrap_or(here.scene.min(last));
            experiment.seek(id, None, scene)
        };
        if let Some(Position { scene, turns }) = position {
            (progress.scene, progress.turns) = (scene as u32, turns);
        }
        if let Some(scene) = experiment.scenes.get(progress.scene as usize).filter(|_| !is_new) {
            progress.scene_id.clone_from(&scene.id);
        }
        Visit {
            experiment,
            progress,
            is_bot,
            entry,
            game: None,
            presence,
            monitor: Monitor::default(),
            agent: Agent::default(),
            may_try_again: false,
            own_cause_noted: false,
            over_until: None,
            waits_since: None,
            check_at: None,
            unanswered_checks: 0,
            hidden_noted: None,
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
        (self.visits.values().filter(|visit| visit.is_here()).count(), self.games.len())
    }

    /// The next thing to do, until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Stager::handle_timeout`]. Changes with every `handle_*` call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline<Reason>> {
        let due = |at, reason| Deadline { at, reason };
        let visits = self.visits.iter().flat_map(|(&id, visit)| {
            let away = match visit.presence {
                Presence::Away { since, .. } if visit.game.is_none() => {
                    Some(due(since + AWAY_LIMIT, Reason::Away(id)))
                }
                Presence::Away { .. } | Presence::Here { .. } => None,
            };
            let over = visit.over_until.map(|at| due(at, Reason::Over(id)));
            let watched = visit.game.is_some() || visit.progress.over.is_some();
            let rules = visit.game_scene().filter(|_| watched).map(|scene| &scene.monitor);
            let hidden = rules.and_then(|rules| visit.monitor.poll_timeout(rules));
            let check =
                visit.check_due().filter(|_| self.is_playing(id)).map(|at| due(at, Reason::Check(id)));
            away.into_iter().chain(over).chain(hidden.map(|at| due(at, Reason::Hidden(id)))).chain(check)
        });
        let waiting = self.lobbies.all().filter_map(|(place, waiting)| {
            Some(due(self.wait_ends(place, waiting)?, Reason::Waited(waiting.visit)))
        });
        let games =
            self.games.iter().filter_map(|(&id, game)| Some(due(game.poll_timeout()?, Reason::Game(id))));
        let late = self.asked.iter().map(|(&check, asked)| due(asked.deadline, Reason::CheckLate(check)));
        let bots = self.recall_at().map(|at| due(at, Reason::Bots));
        let all = visits.chain(waiting).chain(games).chain(late).chain(bots);
        all.min_by_key(|deadline| (deadline.at, deadline.reason))
    }

    /// How many games stand still.
    #[must_use]
    pub fn paused(&self) -> usize {
        self.games.values().filter(|game| game.is_paused()).count()
    }

    /// A game that was written down by a server that was killed; it then lived on for so long. Comes before all else,
    /// with what was written down of the visits that sit in it.
    ///
    /// # Errors
    /// When it cannot be read, or the experiment does not have its scene any more.
    pub fn restore(
        &mut self,
        state: &str,
        mut visits: BTreeMap<VisitId, Restored>,
        lived: Duration,
        now: Timestamp,
    ) -> Result<(), serde_json::Error> {
        let saved: Saved = serde_json::from_str(state)?;
        let (id, game) = Game::restore(saved, lived, now);
        let mut sitting = Vec::new();
        for (seat, visit) in game.remaining() {
            let presence = Presence::Away { page: game.page(seat), since: now };
            let known = self.restored(visit, visits.remove(&visit).unwrap_or_default(), presence);
            if known.index() != game.scene || known.game_scene().is_none() {
                return Err(serde::de::Error::custom(
                    "the experiment does not have this game's scene any more",
                ));
            }
            sitting.push((visit, Visit { game: Some(id), ..known }));
        }
        self.visits.extend(sitting);
        self.games.insert(id, game);
        Ok(())
    }

    /// A connection has said who it is, and which texts its page has, if it needs some. `restored` is how far the visit had
    /// come, for a visit that is not known.
    pub fn handle_joined(
        &mut self,
        identity: Identity,
        page: u64,
        texts: Option<&str>,
        restored: Restored,
        now: Timestamp,
    ) {
        let id = identity.visit;
        let open_game = restored.open_game.filter(|_| !self.knows(id));
        let is_new = !self.knows(id);
        if is_new {
            let visit = self.restored(id, restored, Presence::Here { page });
            self.visits.insert(id, visit);
        }
        self.tally.is_here(id);
        let Some(visit) = self.visits.get_mut(&id) else { return };
        if is_new || visit.presence.page() != page {
            visit.loaded_anew();
            // Where it lost its memory is written down, and ends what was before.
            visit.hidden_noted = Some(false);
        }
        visit.presence = Presence::Here { page };
        self.has_bots |= visit.is_bot;
        // The page says so if it is.
        visit.monitor.set_hidden(false, now);
        let game = visit.game;
        let others = texts.is_some_and(|known| known != visit.experiment.texts.id);
        let others = others.then(|| visit.experiment.texts.clone());
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
        if let Some(Texts { id: texts, language, words }) = others {
            self.send(id, ServerMessage::Texts { id: texts, language, words });
        }
        match open_game {
            // Of a game that could not be restored.
            Some((game, seat)) => {
                let (reason, frame) = (TerminationReason::Server, 0);
                let ending = SeatEnding { reason, frame, is_partial: true };
                self.effects.push_back(Effect::EndSeat { game, seat, ending });
                let missing = base::SeatSet::EMPTY;
                self.set_over(id, Over { game, seat, reason, exclusion: None, frame, missing }, now);
            }
            None => self.show_scene(id, now),
        }
        if let Some(game) = game {
            self.in_game(game, id, now, |game, seat| game.handle_page(seat, page, now));
        }
        let is_on_the_way =
            self.visits.get(&id).is_some_and(|visit| !visit.is_bot && visit.progress.ended.is_none());
        if is_on_the_way {
            self.free_bots(now);
        }
    }

    /// What was written down of a visit is to be deleted (D5). One that is on its way is withdrawn. False when this stager does not
    /// know it: then nothing needs to be left of its progress.
    pub fn handle_forgotten(&mut self, visit: VisitId, now: Timestamp) -> bool {
        if self.visits.get(&visit).is_some_and(|known| !known.progress.is_deleted) {
            self.strip(visit, now);
            self.effects.push_back(Effect::Delete { visit });
        }
        self.tally.remove(visit);
        self.knows(visit)
    }

    /// A visit's connection is gone. That is not leaving.
    pub fn handle_dropped(&mut self, visit: VisitId, now: Timestamp) {
        let Some(known) = self.visits.get_mut(&visit) else { return };
        if let Presence::Here { page } = known.presence {
            known.presence = Presence::Away { page, since: now };
        }
        known.over_until = None;
        known.monitor.set_hidden(false, now);
        let limit = Duration::from_millis(known.experiment.assignment.dropout_millis.into());
        self.tally.is_away(visit, now + limit);
        let (game, place) = (known.game, known.place());
        if self.lobbies.waiting(&place).iter().any(|waiting| waiting.visit == visit) {
            self.tell_lobby(&place, now);
        }
        if let Some(game) = game {
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
                Reason::Away(visit) => self.forget(visit, now),
                Reason::Waited(visit) => self.stop_waiting(visit, VisitEnding::WaitroomTimeout, now),
                Reason::Over(visit) => self.leave_over(visit, now),
                Reason::Hidden(visit) => self.hidden_for_long(visit, now),
                Reason::Check(visit) => self.ask_in_game(visit, now),
                Reason::CheckLate(check) => self.check_is_late(check, now),
                Reason::Bots => self.recall_bot(now),
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
            ClientMessage::Ping { time, rtt_millis, frame, .. } => {
                self.send(from, ServerMessage::Pong { time, accepted: 0 });
                let game = self.visits.get(&from).and_then(|visit| self.games.get_mut(&visit.game?));
                if let (Some(game), Some(frame)) = (game, frame) {
                    game.tell_frame(frame);
                }
                if let Some(rtt_millis) = rtt_millis {
                    self.measured(from, rtt_millis, now);
                }
            }
            ClientMessage::ScreeningReport { touch_points, fine_pointer, screen, round_trips_millis } => {
                let facts = Facts { touch_points, fine_pointer, screen };
                self.screening_report(from, facts, &round_trips_millis, now);
            }
            ClientMessage::Visibility { hidden, frame } => self.visibility(from, hidden, frame, now),
            ClientMessage::LeaveLobby { scene_id } => {
                let here = self.visits.get(&from).is_some_and(|visit| visit.passage() == scene_id);
                if here {
                    self.stop_waiting(from, VisitEnding::Left, now);
                }
            }
            ClientMessage::LeaveStudy { delete } => self.leave_study(from, delete, now),
            ClientMessage::AdvanceScene { scene_id, answers } => {
                self.advance_scene(from, &scene_id, &answers, now);
            }
            ClientMessage::Signal { game_id, to, signal } => self.signal(from, game_id, to, signal),
            ClientMessage::LinkChecked { game_id, peer, lane, rtt_millis, is_final } => {
                let measured = Measured { lane, rtt_millis, is_final };
                self.tell_if_cancelled(from, game_id);
                self.in_game(game_id, from, now, |game, seat| game.handle_link(seat, peer, measured));
            }
            ClientMessage::GameReady { game_id } => {
                self.tell_if_cancelled(from, game_id);
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

    /// A page that gets ready for a group which did not come about, while it or this server was away, is told so.
    fn tell_if_cancelled(&mut self, visit: VisitId, game_id: GameId) {
        if self.visits.contains_key(&visit) && self.seat(visit, game_id).is_none() {
            self.send(visit, ServerMessage::GameCancelled { game_id });
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
        let mut begins = false;
        for output in outputs {
            let Some(game) = self.games.get(&id) else { return };
            match output {
                Output::Tell(seat, mut message) => {
                    if let ServerMessage::P2pPause(notice) = &mut message {
                        notice.remaining_ms =
                            u32::try_from(game.remaining_time(now).as_millis()).unwrap_or(u32::MAX);
                    }
                    if let Some(id) = game.visit_at(seat) {
                        let goes_on =
                            matches!(message, ServerMessage::GameGo { .. } | ServerMessage::P2pResume { .. });
                        if let Some(visit) = self.visits.get_mut(&id).filter(|_| goes_on) {
                            // What was before says nothing of this game, nor of how it is after a pause.
                            visit.monitor.restart(now);
                            visit.schedule_check(now);
                        }
                        self.send(id, message);
                    }
                }
                Output::Record(seat, kind, detail) => {
                    self.effects.push_back(Effect::Record { game: id, seat, kind, detail });
                }
                Output::Fence { seat, incarnation, cut_frame } => {
                    self.effects.push_back(Effect::Fence { game: id, seat, incarnation, cut_frame });
                }
                Output::Begin => {
                    self.game_begins(id, now);
                    begins = true;
                }
                Output::Cancel(why) => self.cancel_game(id, &why, None, now),
                Output::AskHistory => self.effects.push_back(Effect::AskHistory { game: id }),
                Output::End(reason, missing) => self.end_game(id, reason, missing, now),
                Output::HiddenForLong(seats) => self.exclude_hidden(id, seats, now),
                Output::Drop(seat, reason, exclusion) => self.drop_seat(id, seat, (reason, exclusion), now),
            }
        }
        if begins {
            self.look_for_hidden(id, now);
        }
    }

    // Monitoring.

    /// Whether a visit sits in a game that is on and does not stand still.
    fn is_playing(&self, id: VisitId) -> bool {
        let game = self.visits.get(&id).and_then(|visit| self.games.get(&visit.game?));
        game.is_some_and(Game::is_playing)
    }

    /// A page has measured its way to the server (X2). What it measures while the game stands still says nothing.
    fn measured(&mut self, from: VisitId, rtt_millis: f32, now: Timestamp) {
        let is_playing = self.is_playing(from);
        let Some(visit) = self.visits.get_mut(&from) else { return };
        visit.monitor.note(rtt_millis);
        if !is_playing && visit.progress.over.is_none() {
            return visit.monitor.clear();
        }
        let rules = visit.game_scene().map(|scene| scene.monitor);
        if rules.is_some_and(|rules| visit.monitor.measure(&rules, rtt_millis)) {
            self.exclude(from, ExclusionReason::SustainedPing, now);
        }
    }

    /// A visit has been away for too long: it loses its place in the lobby. The store knows how far it had come, should it
    /// return.
    fn forget(&mut self, id: VisitId, now: Timestamp) {
        if let Some(visit) = self.visits.remove(&id) {
            self.leave_lobby(&visit.place(), id, now);
            if !visit.is_bot {
                self.let_bots_play(now);
            }
        }
    }
}

/// A browser's word for a state, and no more than that.
fn short(word: &str) -> String {
    word.chars().take(32).collect()
}
