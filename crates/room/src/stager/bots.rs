//! Scripted participants, with whom somebody can try a study alone (H1).
//!
//! They go through their scenes and wait in lobbies as everybody does. What is different:
//!
//! - A bot waits as long as it takes, and calls no group together: a game is begun for somebody else, and bots fill it up.
//! - It is not screened, nobody is asked or told about it, and it counts in no condition: it gets that of whoever is there.
//! - When nobody else is on the way through the study, they play among themselves. Those games are left when somebody comes.
//! - Who waits for the first game in vain is not left alone while a bot waits elsewhere for somebody who has closed the page, in
//!   the second lobby or in a game: that one leaves the study, and its driver begins another visit.

use core::time::Duration;

use base::{Seat, SeatSet, Timestamp, VisitId};

use super::waiting::may_meet;
use super::{Presence, Stager, Visit};
use crate::game::Game;
use crate::lobby::Place;

/// How long somebody waits in vain before bots are called from elsewhere.
const IN_VAIN: Duration = Duration::from_secs(1);

/// A page that has been away for so long was probably closed.
const FOR_LONG: Duration = Duration::from_secs(5);

impl Stager {
    pub(super) fn is_bot(&self, id: VisitId) -> bool {
        self.visits.get(&id).is_some_and(|visit| visit.is_bot)
    }

    /// The seats of a group that can make no connections of their own.
    pub(super) fn relayed(&self, group: &[VisitId]) -> SeatSet {
        let seats = Seat::all(group.len() as u8).zip(group);
        seats.filter(|(_, visit)| self.is_bot(**visit)).map(|(seat, _)| seat).collect()
    }

    /// Whether anybody who is no bot is on the way through the study; who has just lost the connection still is.
    pub(super) fn somebody_is_here(&self) -> bool {
        self.visits.values().any(|visit| !visit.is_bot && visit.progress.ended.is_none())
    }

    /// Somebody has come: bots leave the games that they have among themselves.
    pub(super) fn free_bots(&mut self, now: Timestamp) {
        if !self.has_bots {
            return;
        }
        // Where somebody else has played, the rest is that one's record.
        let are_bots = |game: &Game| game.seats.iter().all(|&visit| self.is_bot(visit));
        let games = self.games.values().filter(|game| are_bots(game));
        let bots: Vec<_> = games.flat_map(Game::remaining).map(|(_, visit)| visit).collect();
        for bot in bots {
            self.leave_study(bot, false, now);
        }
    }

    /// Somebody has gone: if it was the last, bots play among themselves.
    pub(super) fn let_bots_play(&mut self, now: Timestamp) {
        if !self.has_bots || self.somebody_is_here() {
            return;
        }
        let places: Vec<Place> = self.lobbies.all().map(|(place, _)| place.clone()).collect();
        for place in places {
            while let Some(group) = self.group(&place, now) {
                self.begin_game(&place, group, now);
            }
        }
    }

    /// The condition of somebody who is on the way, for a bot that comes by itself: of who waits, if somebody does.
    pub(super) fn condition_to_follow(&self, bot: VisitId) -> Option<&str> {
        let version = &self.visits.get(&bot).filter(|visit| visit.is_bot)?.experiment.version;
        let people = self.visits.values().filter(|visit| {
            !visit.is_bot && visit.progress.ended.is_none() && visit.experiment.version == *version
        });
        let with_condition = people.filter(|visit| visit.progress.condition.is_some());
        // What is true is greater.
        let followed = with_condition.max_by_key(|visit| (visit.is_here(), visit.waits_since.is_some()))?;
        followed.progress.condition.as_deref()
    }

    /// Who has waited longest for the first game, in a version to which new visits come.
    fn who_waits(&self) -> Option<(&Place, VisitId, Timestamp)> {
        let is_meant = |place: &Place, visit: &Visit| {
            let is_first = visit.progress.group.is_empty();
            place.0 == self.current.version && is_first && visit.is_here() && !visit.is_bot
        };
        let all = self
            .lobbies
            .all()
            .filter(|(place, one)| self.visits.get(&one.visit).is_some_and(|visit| is_meant(place, visit)));
        let first = all.min_by_key(|(_, one)| one.since)?;
        Some((first.0, first.1.visit, first.1.since))
    }

    /// A bot that is of more use elsewhere, and from when on, while somebody waits for the first game: one that waits for
    /// others, or else one whose game stands still because all the others have been away for long.
    fn bot_to_recall(&self) -> Option<(Timestamp, VisitId)> {
        if !self.has_bots {
            return None;
        }
        let (place, who, since) = self.who_waits()?;
        let in_vain = since + IN_VAIN;
        let others = self.lobbies.all().filter(|(at, one)| {
            self.is_bot(one.visit) && (*at != place || !may_meet(&self.visits, who, one.visit))
        });
        let idle = others.map(|(_, one)| (in_vain, one.visit)).next();
        let left = self.games.values().filter_map(|game| self.left_alone(game));
        idle.or_else(|| left.min().map(|(since, visit)| (in_vain.max(since + FOR_LONG), visit)))
    }

    /// A bot in a game that all others, who are none, have been away from, and since when.
    fn left_alone(&self, game: &Game) -> Option<(Timestamp, VisitId)> {
        let (bots, others): (Vec<_>, Vec<_>) =
            game.remaining().map(|(_, visit)| visit).partition(|&visit| self.is_bot(visit));
        let away = |visit| match self.visits.get(visit)?.presence {
            Presence::Away { since, .. } => Some(since),
            Presence::Here { .. } => None,
        };
        let since: Option<Vec<_>> = others.iter().map(away).collect();
        Some((since?.into_iter().max()?, *bots.first()?))
    }

    /// When a bot is to be called to where somebody waits.
    pub(super) fn recall_at(&self) -> Option<Timestamp> {
        self.bot_to_recall().map(|(at, _)| at)
    }

    /// Calls one: its driver begins another visit.
    pub(super) fn recall_bot(&mut self, now: Timestamp) {
        if let Some((_, bot)) = self.bot_to_recall() {
            self.leave_study(bot, false, now);
        }
    }
}
