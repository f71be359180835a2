//! From scene to scene (S1, S2, P9).
//!
//! A game that is played to its end takes its visits on at once. One that ends early does not: the visit stays in the scene,
//! with [`Over`] in what is written down of it, because the page must first send what it has recorded, and the participant
//! must be able to read what happened, also one who was away and comes back later. `advance_scene` takes it on, or
//! [`OVER_LIMIT`], which only runs while somebody is there to read.

use core::mem;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Timestamp, VisitId};
use serde_json::json;
use wire::control::{SceneKind, ServerMessage, TerminationReason, VisitEnding};
use wire::form::{self, Answers};

use super::Stager;
use crate::comprehension::Comprehension;
use crate::effect::Effect;
use crate::experiment::{After, SceneSpecKind};
use crate::game::Game;
use crate::plan::{Position, Turn};
use crate::visit::Over;

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
        self.begin_visit(id);
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let index = visit.index();
        let Some(mut scene) = visit.experiment.scene(&visit.progress, &visit.entry) else { return };
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
        if visit.passage() != scene_id {
            return;
        }
        let Some(scene) = visit.experiment.scenes.get(visit.index()) else { return };
        if visit.progress.over.is_some() {
            return self.leave_over(from, now);
        }
        // Games and the end are not left at the participant's word.
        let Some(sheet) = scene.kind.sheet() else { return };
        let (scene_id, comprehension) = (scene_id.to_owned(), scene.kind.comprehension().cloned());
        match form::check(&sheet.fields, answers) {
            Ok(answers) => match comprehension {
                Some(comprehension) => self.comprehend(from, &comprehension, answers, now),
                None => {
                    self.take_answers(from, &answers);
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
        let scene_id = visit.passage();
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
        self.take_answers(id, &answers);
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
        // Whoever cannot go on here is not led back here.
        match to.and_then(|scene| visit.named(id, scene)).filter(|to| *to != visit.position()) {
            Some(to) => {
                visit.set_outcome(why);
                self.go_to(id, to, now);
            }
            None => self.end_visit(id, why, now),
        }
    }

    /// Takes a visit to its next scene: it is done with this one, as it should be.
    pub(super) fn go_on(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let (scene, passage) = (visit.progress.scene, visit.number());
        visit.progress.outcome.take_if(|outcome| (outcome.scene, outcome.passage) == (scene, passage));
        self.go_next(id, now);
    }

    /// Takes a visit to the scene that follows.
    fn go_next(&mut self, id: VisitId, now: Timestamp) {
        if !self.assign_person(id, now) {
            return;
        }
        let Some(visit) = self.visits.get(&id) else { return };
        let mut passed_over = Vec::new();
        let next = visit.experiment.next(id, Some(&visit.position()), |part, guard| {
            let admits = visit.admits(guard);
            if !admits {
                passed_over.push(part.to_owned());
            }
            admits
        });
        // Nothing follows the last end, which is not left.
        let Some(next) = next else { return };
        for name in passed_over {
            self.record_visit(id, "passed_over", name, json!({}));
        }
        self.go_to(id, next, now);
    }

    /// A visit that comes for the first time begins in its first scene.
    pub(super) fn begin_visit(&mut self, id: VisitId) {
        let Some(visit) = self.visits.get_mut(&id).filter(|visit| visit.progress.scene_id.is_empty()) else {
            return;
        };
        let Some(scene) = visit.experiment.scenes.get(visit.index()) else { return };
        visit.progress.scene_id.clone_from(&scene.id);
        self.record_place(id, &[]);
        self.write_progress(id);
    }

    /// Takes a visit to a passage.
    pub(super) fn go_to(&mut self, id: VisitId, to: Position, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let left = visit.passage();
        let Some(scene) = visit.experiment.scenes.get(to.scene) else { return };
        visit.game = None;
        (visit.progress.over, visit.progress.excluded_words) = (None, None);
        visit.progress.attempts = 0;
        visit.progress.wrong.clear();
        visit.progress.scene = to.scene as u32;
        visit.progress.scene_id.clone_from(&scene.id);
        let before = mem::replace(&mut visit.progress.turns, to.turns);
        let (had_ended, is_bot) = (visit.progress.ended.is_some(), visit.is_bot);
        let ending = visit.progress.outcome.map_or(VisitEnding::Completed, |outcome| outcome.ending);
        let ended = matches!(scene.kind, SceneSpecKind::End(_)).then_some(ending);
        visit.progress.ended = ended;
        let exit = visit.experiment.exit(&visit.progress);
        if let Some(ended) = ended {
            self.ended.insert(id);
            self.tally.has_ended(id, ended);
        }
        if visit.passage() != left {
            visit.waits_since = None;
            self.record_place(id, &before);
        }
        self.write_progress(id);
        if let Some(ending) = ended.filter(|_| !had_ended && !is_bot) {
            self.effects.push_back(Effect::VisitEnded { visit: id, ending, exit });
        }
        self.send(id, ServerMessage::TerminateScene { scene_id: left });
        self.show_scene(id, now);
        if ended.is_some() {
            self.release_group(id, now);
            if !is_bot {
                self.let_bots_play(now);
            }
        }
    }

    /// Writes down where a visit has come to, and what was drawn for it on the way there.
    fn record_place(&mut self, id: VisitId, before: &[Turn]) {
        let Some(visit) = self.visits.get(&id) else { return };
        let experiment = Arc::clone(&visit.experiment);
        let (passage, turns) = (visit.passage(), visit.progress.turns.clone());
        for turn in turns.iter().filter(|turn| experiment.is_random(&turn.block) && !before.contains(turn)) {
            let detail = json!({ "repetition": turn.repetition, "order": turn.order });
            self.record_visit(id, "order", turn.block.clone(), detail);
        }
        let repetitions: BTreeMap<_, _> = turns.iter().map(|turn| (&turn.block, turn.repetition)).collect();
        self.record_visit(id, "scene", passage, json!(repetitions));
    }

    pub(super) fn record_visit(
        &mut self,
        visit: VisitId,
        kind: &'static str,
        name: String,
        detail: serde_json::Value,
    ) {
        self.effects.push_back(Effect::RecordVisit { visit, kind, name, detail });
    }

    /// Remembers what texts and branches may ask for of the scene's answers.
    fn take_answers(&mut self, id: VisitId, answers: &Answers) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let scene = visit.experiment.scenes.get(visit.index());
        let Some((scene, sheet)) = scene.and_then(|scene| Some((scene, scene.kind.sheet()?))) else { return };
        for field in &sheet.fields {
            let variable = format!("{}.{}", scene.id, field.id);
            match answers.get(&field.id) {
                Some(answer) if visit.experiment.uses(&variable) => {
                    visit.progress.variables.insert(variable, answer.clone());
                }
                _ => {
                    visit.progress.variables.remove(&variable);
                }
            }
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
        visit.own_cause_noted = false;
        visit.note(over.reason.into());
        self.write_progress(id);
        self.show_scene(id, now);
    }

    /// The participant has read that the game has ended, and its data are saved.
    pub(super) fn leave_over(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        visit.over_until = None;
        let Some(over) = visit.progress.over.take() else { return };
        let after = visit.experiment.game(visit.index()).map_or(&After::Next, |game| {
            if over.reason.is_exclusion() { &game.on_excluded } else { &game.on_partner_lost }
        });
        let to = match after {
            // What failed here would fail again.
            After::Lobby if over.reason != TerminationReason::Server => Some(visit.position()),
            After::Next | After::Lobby => None,
            After::Scene(scene) => visit.named(id, scene),
        };
        match to {
            Some(to) => self.go_to(id, to, now),
            None => self.go_next(id, now),
        }
    }

    /// The participant leaves the study: the end, at once (S7). `delete` says whether it wishes that its data be deleted.
    pub(super) fn leave_study(&mut self, id: VisitId, delete: bool, now: Timestamp) {
        let Some(visit) = self.visits.get(&id).filter(|visit| visit.progress.ended.is_none()) else { return };
        // What a bot has done nobody needs to forget, and that it was one must be known.
        if !visit.is_bot && visit.experiment.withdrawal.deletes(delete) {
            self.strip(id, now);
            self.tally.remove(id);
            self.effects.push_back(Effect::Delete { visit: id });
        } else {
            self.withdraw(id, now);
        }
    }

    /// What is written down of a visit is deleted (S7, D5): nothing is left here but where it is and how it ended, and it has
    /// ended now.
    pub(super) fn strip(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id).filter(|visit| !visit.progress.is_deleted) else { return };
        // Its last scene says so from the beginning.
        visit.progress.is_deleted = true;
        if visit.progress.ended.is_none() {
            self.withdraw(id, now);
        } else {
            self.show_scene(id, now);
        }
        let Some(visit) = self.visits.get_mut(&id) else { return };
        visit.progress = visit.progress.without_data();
        visit.entry.clear();
        visit.may_try_again = false;
        self.asked.retain(|_, asked| asked.visit != id);
        self.write_progress(id);
    }

    fn withdraw(&mut self, id: VisitId, now: Timestamp) {
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
        visit.set_outcome(ending);
        let end = visit.experiment.end_after(visit.index(), ending, |guard| visit.admits(guard));
        if let Some(end) = visit.experiment.seek(id, Some(&visit.position()), end) {
            self.go_to(id, end, now);
        }
    }
}
