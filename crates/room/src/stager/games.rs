//! From a group that is complete to the game's end.

use core::mem;

use base::{Frame, GameId, Seat, SeatSet, StateHash, Timestamp, VisitId};
use serde_json::json;
use wire::control::{ExclusionReason, GameStart, Seed, ServerMessage, Signal, TerminationReason};

use super::Stager;
use crate::effect::{Effect, NewGame, SeatEnding};
use crate::game::Game;
use crate::lobby::Place;
use crate::visit::Over;

/// How much of a page's own words about a failure is kept, in characters.
const REASON_LIMIT: usize = 1000;

/// How a game ends for one seat.
type Ending = (TerminationReason, Option<ExclusionReason>);

impl Stager {
    pub(super) fn begin_game(&mut self, place: &Place, group: Vec<VisitId>, now: Timestamp) {
        if !self.assign_group(&group, now) {
            return self.tell_lobby(place, now);
        }
        let (version, index) = place;
        let Some(experiment) = self.experiments.get(version).cloned() else { return };
        let Some(scene) = experiment.game(*index) else { return };
        let game_id = self.new_game_id();
        let epoch = self.rng.next_u64() as u32;
        let seed = scene.seed.unwrap_or_else(|| self.rng.next_u64());
        let scene_id = experiment.scenes[*index].id.clone();
        // They are the same for all who may meet.
        let first = group.first().and_then(|first| self.visits.get(first));
        let options =
            first.map_or_else(Vec::new, |first| experiment.options(*index, &first.progress.variables));
        self.effects.push_back(Effect::CreateGame(Box::new(NewGame {
            game: game_id,
            experiment_sha256: version.clone(),
            scene: scene_id.clone(),
            environment_sha256: scene.environment.sha256.clone(),
            options: options.clone(),
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
            options,
            keys: scene.keys.clone(),
            ice_servers: scene.ice_servers.clone(),
            ice_lifetime_millis: 0,
            incarnations: Vec::new(),
            relayed: self.relayed(&group),
            begun: false,
        };
        let (links, mut seats) = (scene.lobby.links, Vec::new());
        for id in group {
            let Some(visit) = self.visits.get_mut(&id) else { continue };
            visit.game = Some(game_id);
            visit.monitor.clear();
            visit.monitor.restart(now);
            (visit.check_at, visit.unanswered_checks, visit.hidden_noted) = (None, 0, Some(false));
            seats.push((id, visit.presence.page()));
            self.tell_complete(id, now);
        }
        let mut game = Game::new(start, links, scene.input_size, *index, seats, now);
        game.begin();
        self.games.insert(game_id, game);
        self.take_outputs(game_id, now);
        self.tell_lobby(place, now);
    }

    /// Everyone of a group is ready, and every link of it is good enough.
    pub(super) fn game_begins(&mut self, id: GameId, now: Timestamp) {
        let Some(game) = self.games.get(&id) else { return };
        let seats: Vec<_> = game.remaining().collect();
        let group: Vec<_> = seats.iter().map(|&(_, visit)| visit).collect();
        let game_id = id;
        for (seat, id) in seats {
            let Some(visit) = self.visits.get_mut(&id) else { continue };
            let (passage, detail) = (visit.passage(), json!({ "game": game_id, "seat": seat }));
            visit.waits_since = None;
            visit.progress.group.clone_from(&group);
            let place = visit.place();
            self.leave_lobby(&place, id, now);
            self.record_visit(id, "game", passage, detail);
            self.write_progress(id);
        }
    }

    fn new_game_id(&mut self) -> GameId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.rng.next_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&self.rng.next_u64().to_be_bytes());
        GameId::from_random(bytes)
    }

    /// Passes a signal on between seats of one game; the sender is the server's word (L2).
    pub(super) fn signal(&mut self, from: VisitId, id: GameId, to: Seat, signal: Signal) {
        let Some(game) = self.games.get(&id) else { return };
        let (Some(sender), Some(visit)) = (game.seat_of(from), game.visit_at(to)) else { return };
        if sender != to && !game.has_left(to) {
            self.send(visit, ServerMessage::Signal { game_id: id, from: sender, signal });
        }
    }

    /// New credentials for whoever plays; the driver puts its own servers in.
    pub(super) fn renew_ice(&mut self, from: VisitId) {
        let Some(game) = self.visits.get(&from).and_then(|visit| self.games.get(&visit.game?)) else {
            return;
        };
        let ice_servers = game.ice_servers().to_vec();
        self.send(from, ServerMessage::IceServers { ice_servers, ice_lifetime_millis: 0 });
    }

    /// A seat has played to the end, and its record is durable.
    pub(super) fn game_finished(
        &mut self,
        from: VisitId,
        id: GameId,
        (frames, hash): (Frame, StateHash),
        now: Timestamp,
    ) {
        let Some(seat) = self.seat(from, id) else { return };
        let Some(game) = self.games.get_mut(&id) else { return };
        if game.has_left(seat) || game.is_gathering() {
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
        self.go_on(from, now);
    }

    pub(super) fn game_failed(
        &mut self,
        from: VisitId,
        id: GameId,
        frame: Frame,
        reason: &str,
        now: Timestamp,
    ) {
        let Some(seat) = self.seat(from, id) else { return };
        let reason: String = reason.chars().take(REASON_LIMIT).collect();
        let detail = json!({ "frame": frame, "reason": reason });
        self.effects.push_back(Effect::Record { game: id, seat: Some(seat), kind: "game_failed", detail });
        let Some(game) = self.games.get_mut(&id).filter(|game| !game.has_left(seat)) else { return };
        if game.is_gathering() {
            // The others can play with somebody else.
            let reason = TerminationReason::Server;
            self.leave_group(id, from, reason, now);
            let missing = SeatSet::EMPTY;
            return self.set_over(
                from,
                Over { game: id, seat, reason, exclusion: None, frame: 0, missing },
                now,
            );
        }
        game.tell_frame(frame);
        self.end_game(id, TerminationReason::Server, SeatSet::EMPTY, now);
    }

    /// The study's rules take somebody out of a game; who is first ends it for the others (X3, X4).
    pub(super) fn exclude(&mut self, visit: VisitId, cause: ExclusionReason, now: Timestamp) {
        let Some(known) = self.visits.get_mut(&visit) else { return };
        known.monitor.clear();
        known.monitor.restart(now);
        let (game, over) = (known.game, known.progress.over);
        let record = |game: GameId, seat: Seat, detail| {
            let kind = "mid_game_exclusion";
            Effect::Record { game, seat: Some(seat), kind, detail }
        };
        if let Some(over) = over.filter(|over| over.reason == TerminationReason::PartnerExclusion) {
            if mem::replace(&mut known.own_cause_noted, true) {
                return;
            }
            let detail = json!({ "reason": cause.name(), "frame": over.frame, "after": over.reason.name() });
            return self.effects.push_back(record(over.game, over.seat, detail));
        }
        let Some(id) = game else { return };
        let Some((game, seat)) = self.games.get(&id).and_then(|game| Some((game, game.seat_of(visit)?)))
        else {
            return;
        };
        let detail = json!({ "reason": cause.name(), "frame": game.frame });
        self.effects.push_back(record(id, seat, detail));
        let own = (cause.termination(), Some(cause));
        self.take_out(id, seat, own, TerminationReason::PartnerExclusion, now);
    }

    /// A participant leaves the study in the middle of a game.
    pub(super) fn withdraw_from_game(&mut self, visit: VisitId, id: GameId, now: Timestamp) {
        let Some((game, seat)) = self.games.get(&id).zip(self.seat(visit, id)) else { return };
        if game.is_gathering() {
            self.leave_group(id, visit, TerminationReason::Withdrawn, now);
        } else {
            let own = (TerminationReason::Withdrawn, None);
            self.take_out(id, seat, own, TerminationReason::PartnerLost, now);
        }
    }

    /// Ends a game for one seat, and for the others too where they cannot play on without it (P9).
    fn take_out(&mut self, id: GameId, seat: Seat, own: Ending, others: TerminationReason, now: Timestamp) {
        let Some(game) = self.games.get_mut(&id).filter(|game| !game.has_left(seat)) else { return };
        if game.take_out(seat, own, now) {
            return self.take_outputs(id, now);
        }
        let missing = [seat].into_iter().collect();
        self.end_game_for_each(
            id,
            others,
            missing,
            now,
            |other| if other == seat { own } else { (others, None) },
        );
    }

    /// Ends a game for one seat; the others play on (P9).
    pub(super) fn drop_seat(&mut self, id: GameId, seat: Seat, ending: Ending, now: Timestamp) {
        let Some(game) = self.games.get(&id) else { return };
        let (frame, missing) = (game.frame, [seat].into_iter().collect());
        let Some(visit) = game.visit_at(seat) else { return };
        self.end_seat(id, (seat, visit), ending, (frame, missing), now);
    }

    fn end_seat(
        &mut self,
        game: GameId,
        (seat, visit): (Seat, VisitId),
        (reason, exclusion): Ending,
        (frame, missing): (Frame, SeatSet),
        now: Timestamp,
    ) {
        let ending = SeatEnding { reason, frame, is_partial: true };
        self.effects.push_back(Effect::EndSeat { game, seat, ending });
        self.set_over(visit, Over { game, seat, reason, exclusion, frame, missing }, now);
    }

    /// Takes a game away; a pause that it was in ends with it.
    pub(super) fn close_game(
        &mut self,
        id: GameId,
        reason: TerminationReason,
        now: Timestamp,
    ) -> Option<Game> {
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

    /// Ends a game for everyone who is still in it, once (P3), and for the same reason.
    pub(super) fn end_game(
        &mut self,
        id: GameId,
        reason: TerminationReason,
        missing: SeatSet,
        now: Timestamp,
    ) {
        self.end_game_for_each(id, reason, missing, now, |_| (reason, None));
    }

    fn end_game_for_each(
        &mut self,
        id: GameId,
        reason: TerminationReason,
        missing: SeatSet,
        now: Timestamp,
        ending: impl Fn(Seat) -> Ending,
    ) {
        let Some(game) = self.close_game(id, reason, now) else { return };
        for (seat, visit) in game.remaining() {
            self.end_seat(id, (seat, visit), ending(seat), (game.frame, missing), now);
        }
        debug_assert!(self.visits.values().all(|visit| visit.game != Some(id)));
    }
}
