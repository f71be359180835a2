//! Scripted participants, with whom somebody can try a study alone (H1).
//!
//! They go through their scenes and wait in lobbies as everybody does. What is different:
//!
//! - A bot waits as long as it takes, and calls no group together: a game is begun for somebody else, and bots fill it up.
//! - When nobody else is on the way through the study, they play among themselves. Those games are left when somebody comes.
//! - Who waits in the first lobby in vain is not left alone while a bot waits elsewhere for somebody who has closed the page, in
//!   the second lobby or in a game: that one leaves the study, and its driver begins another visit.

use core::time::Duration;

use base::{Seat, SeatSet, Timestamp, VisitId};

use super::{Presence, Stager, Visit};
use crate::experiment::SceneSpecKind;
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
            self.leave_study(bot, now);
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

    /// The lobby to which visits come first that begin now.
    fn first_lobby(&self) -> Option<Place> {
        let is_game = |kind: &SceneSpecKind| matches!(kind, SceneSpecKind::Game(_));
        let first = self.current.scenes.iter().position(|scene| is_game(&scene.kind))?;
        Some((self.current.version.clone(), first))
    }

    /// A bot that is of more use elsewhere, and from when on, while somebody waits in the first lobby: one that waits in another,
    /// or else one whose game stands still because all the others have been away for long.
    fn bot_to_recall(&self) -> Option<(Timestamp, VisitId)> {
        let place = self.first_lobby().filter(|_| self.has_bots)?;
        let here = |id| self.visits.get(&id).is_some_and(|visit: &Visit| visit.is_here() && !visit.is_bot);
        let in_vain = self.lobbies.waiting(&place).iter().find(|one| here(one.visit))?.since + IN_VAIN;
        let elsewhere = self.lobbies.all().filter(|(at, _)| **at != place).map(|(_, one)| one.visit);
        let idle = elsewhere.filter(|&visit| self.is_bot(visit)).map(|visit| (in_vain, visit)).next();
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
            self.leave_study(bot, now);
        }
    }
}
