//! Pages in the background: what is written down of them, and what the study's rules do (X2).

use base::{Frame, GameId, SeatSet, Timestamp, VisitId};
use serde_json::json;
use wire::control::ExclusionReason;

use super::Stager;
use super::scenes::OVER_LIMIT;
use crate::monitor::OnHidden;

impl Stager {
    /// A page has gone into the background, or come back; `frame` is where its game stands there.
    pub(super) fn visibility(&mut self, from: VisitId, hidden: bool, frame: Option<Frame>, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&from) else { return };
        visit.monitor.set_hidden(hidden, now);
        let Some(id) = visit.game else { return };
        let pauses = visit.game_scene().is_some_and(|scene| scene.monitor.on_hidden == OnHidden::Pause);
        self.note_hidden(from, id, hidden, frame);
        if pauses {
            self.in_game(
                id,
                from,
                now,
                |game, seat| if hidden { game.hide(seat, now) } else { game.show(seat, now) },
            );
        }
    }

    /// Writes down where a page went into the background, or came back, once.
    fn note_hidden(&mut self, id: VisitId, game: GameId, hidden: bool, frame: Option<Frame>) {
        let Some(visit) = self.visits.get_mut(&id).filter(|visit| visit.hidden_noted != Some(hidden)) else {
            return;
        };
        visit.hidden_noted = Some(hidden);
        let Some(known) = self.games.get_mut(&game) else { return };
        let frame = frame.map_or(known.frame, |frame| known.tell_frame(frame));
        let kind = if hidden { "tab_hidden" } else { "tab_shown" };
        self.record(id, game, kind, json!({ "frame": frame }));
    }

    /// A game has just begun: some pages may have been in the background since before.
    pub(super) fn look_for_hidden(&mut self, id: GameId, now: Timestamp) {
        let Some(game) = self.games.get(&id).filter(|game| game.is_playing()) else { return };
        let seats: Vec<_> = game.remaining().collect();
        for (seat, visit) in seats {
            let Some(known) = self.visits.get(&visit).filter(|visit| visit.monitor.is_hidden()) else {
                continue;
            };
            let pauses = known.game_scene().is_some_and(|scene| scene.monitor.on_hidden == OnHidden::Pause);
            self.note_hidden(visit, id, true, None);
            if let Some(game) = self.games.get_mut(&id).filter(|_| pauses) {
                game.hide(seat, now);
            }
        }
        self.take_outputs(id, now);
    }

    /// Everyone has waited for these for as long as a pause may last; of several the first ends the game (X4).
    pub(super) fn exclude_hidden(&mut self, id: GameId, seats: SeatSet, now: Timestamp) {
        let visits: Vec<_> = self
            .games
            .get(&id)
            .into_iter()
            .flat_map(|game| seats.iter().filter_map(|seat| game.visit_at(seat)))
            .collect();
        for visit in visits {
            self.exclude(visit, ExclusionReason::TabHidden, now);
        }
    }

    pub(super) fn hidden_for_long(&mut self, id: VisitId, now: Timestamp) {
        let is_playing = self.is_playing(id);
        let Some(visit) = self.visits.get_mut(&id) else { return };
        // A page that went into the background when the game was over has done nothing to it.
        let was_playing =
            visit.over_until.is_some_and(|until| visit.monitor.was_hidden_at(until, OVER_LIMIT));
        if is_playing || was_playing {
            self.exclude(id, ExclusionReason::TabHidden, now);
        } else {
            visit.monitor.restart(now);
        }
    }
}
