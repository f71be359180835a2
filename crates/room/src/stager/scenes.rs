//! From scene to scene (S1, S2, P9).
//!
//! A game that is played to its end takes its visits on at once. One that ends early does not: the visit stays in the scene,
//! with [`Over`] in what is written down of it, because the page must first send what it has recorded, and the participant
//! must be able to read what happened, also one who was away and comes back later. `advance_scene` takes it on, or
//! [`OVER_LIMIT`], which only runs while somebody is there to read.

use core::time::Duration;

use base::{Timestamp, VisitId};
use wire::control::{SceneKind, ServerMessage, TerminationReason, VisitEnding};
use wire::form::{self, Answers};

use super::Stager;
use crate::comprehension::Comprehension;
use crate::effect::Effect;
use crate::experiment::{After, SceneSpecKind};
use crate::game::Game;
use crate::visit::{Outcome, Over};

/// After so long whoever has a game that ended early before them is taken on, whether or not their data are saved (X3).
pub(super) const OVER_LIMIT: Duration = Duration::from_secs(10);

/// What the number of tries is called among the answers.
const ATTEMPTS: &str = "attempts";

impl Stager {
    /// Tells a page what to show, and lets it into the scene's lobby or game.
    pub(super) fn show_scene(&mut self, id: VisitId, now: Timestamp) {
        if self.screen(id) {
            return;
        }
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let index = visit.index();
        let ended = visit.progress.ended.unwrap_or(VisitEnding::Completed);
        let Some(mut scene) = visit.experiment.scene(index, ended) else { return };
        if let (SceneKind::End { reason: VisitEnding::ScreenedOut, body, .. }, Some(screened)) =
            (&mut scene.kind, &visit.progress.screened)
        {
            body.insert_str(0, &screened.html().unwrap_or_default());
        }
        let own_words = visit.experiment.game(index).and_then(|game| game.texts.get("partner_excluded"));
        let excluded_words = visit.progress.excluded_words.as_ref();
        let texts = &visit.experiment.texts;
        let over = visit.progress.over.map(|over| over.messages(own_words, excluded_words, texts));
        // Whoever is away is told when they come back.
        visit.over_until = over.as_ref().filter(|_| visit.is_here()).map(|_| now + OVER_LIMIT);
        let waits = visit.experiment.game(index).is_some() && visit.game.is_none() && over.is_none();
        let gathers = visit.game.and_then(|game| self.games.get(&game)).is_some_and(Game::is_gathering);
        self.send(id, ServerMessage::ActivateScene { scene });
        if gathers {
            self.tell_complete(id, now);
        }
        for message in over.into_iter().flatten() {
            self.send(id, message);
        }
        if waits {
            self.enter_lobby(id, now);
        }
    }

    pub(super) fn advance_scene(&mut self, from: VisitId, scene_id: &str, answers: &Answers, now: Timestamp) {
        let Some(visit) = self.visits.get(&from).filter(|visit| !visit.is_unscreened()) else { return };
        // A late or repeated one changes nothing (S2).
        let scene = visit.experiment.scenes.get(visit.index()).filter(|scene| scene.id == scene_id);
        let Some(scene) = scene else { return };
        if visit.progress.over.is_some() {
            return self.leave_over(from, now);
        }
        // Games and the end are not left at the participant's word.
        let Some(sheet) = scene.kind.sheet() else { return };
        let (scene_id, comprehension) = (scene.id.clone(), scene.kind.comprehension().cloned());
        match form::check(&sheet.fields, answers) {
            Ok(answers) => match comprehension {
                Some(comprehension) => self.comprehend(from, &comprehension, answers, now),
                None => {
                    if !answers.is_empty() {
                        self.effects.push_back(Effect::Answers { visit: from, scene: scene_id, answers });
                    }
                    self.go_on(from, now);
                }
            },
            Err(problems) => {
                let problems = form::words(&problems, &visit.experiment.texts);
                self.send(from, ServerMessage::AnswersRefused { scene_id, problems });
            }
        }
    }

    /// Questions that must be answered rightly were answered.
    fn comprehend(
        &mut self,
        id: VisitId,
        comprehension: &Comprehension,
        mut answers: Answers,
        now: Timestamp,
    ) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let scene_id = visit.progress.scene_id.clone();
        let is_wrong = comprehension.wrong(&answers).next().is_some();
        // The same again is no other try: the page may not have heard what came of it.
        if is_wrong && visit.progress.wrong != answers {
            visit.progress.attempts += 1;
            visit.progress.wrong.clone_from(&answers);
        }
        let attempts = visit.progress.attempts;
        let left = comprehension.attempts.saturating_sub(attempts);
        if is_wrong && left > 0 {
            let problems = comprehension.problems(&answers, left, &visit.experiment.texts);
            self.write_progress(id);
            return self.send(id, ServerMessage::AnswersRefused { scene_id, problems });
        }
        answers.insert(ATTEMPTS.to_owned(), (attempts + u32::from(!is_wrong)).into());
        self.effects.push_back(Effect::Answers { visit: id, scene: scene_id, answers });
        if is_wrong {
            self.turn_away(id, VisitEnding::ScreenedOut, comprehension.on_failed.as_deref(), now);
        } else {
            self.go_on(id, now);
        }
    }

    /// Takes a visit to the scene that there is for those who cannot go on here; without one, to the end.
    pub(super) fn turn_away(&mut self, id: VisitId, why: VisitEnding, to: Option<&str>, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        match to.and_then(|scene| visit.experiment.index_of(scene)) {
            Some(index) => {
                visit.progress.outcome = Some(Outcome { scene: visit.progress.scene, ending: why });
                self.go_to(id, index, now);
            }
            None => self.end_visit(id, why, now),
        }
    }

    /// Takes a visit to its next scene: it is done with this one, as it should be.
    pub(super) fn go_on(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let scene = visit.progress.scene;
        visit.progress.outcome.take_if(|outcome| outcome.scene == scene);
        let next = visit.index() + 1;
        self.go_to(id, next, now);
    }

    /// Takes a visit to a scene.
    pub(super) fn go_to(&mut self, id: VisitId, index: usize, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let left = visit.experiment.scenes.get(visit.index()).map(|scene| scene.id.clone());
        let index = index.min(visit.experiment.scenes.len() - 1);
        let scene = &visit.experiment.scenes[index];
        visit.game = None;
        (visit.progress.over, visit.progress.excluded_words) = (None, None);
        if visit.index() != index {
            visit.waits_since = None;
        }
        visit.progress.attempts = 0;
        visit.progress.wrong.clear();
        visit.progress.scene = index as u32;
        visit.progress.scene_id.clone_from(&scene.id);
        let had_ended = visit.progress.ended.is_some();
        let ending = visit.progress.outcome.map_or(VisitEnding::Completed, |outcome| outcome.ending);
        let exit = match &scene.kind {
            SceneSpecKind::End(end) => Some(end.exits.get(&ending).cloned()),
            _ => None,
        };
        visit.progress.ended = exit.as_ref().map(|_| ending);
        let has_ended = visit.progress.ended.is_some();
        self.write_progress(id);
        if let Some(exit) = exit.filter(|_| !had_ended) {
            self.effects.push_back(Effect::VisitEnded { visit: id, ending, exit });
        }
        if let Some(scene_id) = left {
            self.send(id, ServerMessage::TerminateScene { scene_id });
        }
        self.show_scene(id, now);
        if has_ended {
            self.release_group(id, now);
        }
    }

    pub(super) fn write_progress(&mut self, id: VisitId) {
        if let Some(visit) = self.visits.get(&id) {
            self.effects.push_back(Effect::Progress { visit: id, progress: visit.progress.clone() });
        }
    }

    /// A visit's game has ended early. Its page says so, and sends what it has not sent yet, before it goes on (X3).
    pub(super) fn set_over(&mut self, id: VisitId, over: Over, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        visit.game = None;
        visit.progress.over = Some(over);
        visit.note(over.reason.into());
        self.write_progress(id);
        self.show_scene(id, now);
    }

    /// The participant has read that the game has ended, and its data are saved.
    pub(super) fn leave_over(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        visit.over_until = None;
        let Some(over) = visit.progress.over.take() else { return };
        let index = visit.index();
        let after = visit.experiment.game(index).map_or(&After::Next, |game| {
            if over.reason.is_exclusion() { &game.on_excluded } else { &game.on_partner_lost }
        });
        let to = match after {
            // What failed here would fail again.
            After::Lobby if over.reason != TerminationReason::Server => index,
            After::Next | After::Lobby => index + 1,
            After::Scene(scene) => visit.experiment.index_of(scene).unwrap_or(index + 1),
        };
        self.go_to(id, to, now);
    }

    /// The participant leaves the study: the end, at once (S7).
    pub(super) fn leave_study(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get(&id).filter(|visit| visit.progress.ended.is_none()) else { return };
        let (place, game) = (visit.place(), visit.game);
        self.leave_lobby(&place, id, now);
        if let Some(game) = game {
            self.withdraw_from_game(id, game, now);
        }
        self.end_visit(id, VisitEnding::Withdrawn, now);
    }

    /// Takes a visit to the end that there is for those who do not go all the way.
    pub(super) fn end_visit(&mut self, id: VisitId, ending: VisitEnding, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        visit.progress.outcome = Some(Outcome { scene: visit.progress.scene, ending });
        let end = visit.experiment.end_after(visit.index(), ending);
        self.go_to(id, end, now);
    }
}
