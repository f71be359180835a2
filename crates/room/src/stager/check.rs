//! Asking a study's own check, and what its answers do (X2, X3 `custom`).

use base::{GameId, Timestamp, VisitId};
use serde_json::{Value, json};
use wire::control::ExclusionReason;
use wire::say;

use super::{Stager, Visit};
use crate::check::{About, Asked, CheckAnswer, CheckId, CheckResult, CheckRule};
use crate::effect::Effect;
use crate::screening::{Screened, ScreeningRule};

/// The longest words of a check that a participant reads, in characters.
const MESSAGE_LIMIT: usize = 500;

/// What is kept of why a check failed, in characters.
const CAUSE_LIMIT: usize = 200;

impl Visit {
    /// When its player is to be asked about; only while the game is on.
    pub(super) fn check_due(&self) -> Option<Timestamp> {
        let is_asked = !self.is_bot && self.game_scene().is_some_and(|scene| scene.check.is_some());
        self.check_at.filter(|_| is_asked)
    }

    /// Its game begins, or goes on: what was before says nothing of it.
    pub(super) fn schedule_check(&mut self, now: Timestamp) {
        let rule = self.game_scene().and_then(|scene| scene.check.as_ref());
        let every = rule.map(CheckRule::every);
        if self.check_at.is_none_or(|at| at <= now) {
            self.check_at = every.map(|every| now + every);
        }
    }
}

impl Stager {
    fn ask(&mut self, visit: VisitId, about: About, rule: &CheckRule, question: Value, now: Timestamp) {
        let check = CheckId(self.next_check);
        self.next_check += 1;
        let deadline = now + rule.deadline();
        // Of one visit only the last question counts: the page was loaded anew, or it is another game.
        self.asked.retain(|_, asked| asked.visit != visit);
        self.asked.insert(check, Asked { visit, about, deadline });
        let (url, deadline_millis) = (rule.url.clone(), rule.deadline_millis);
        self.effects.push_back(Effect::AskCheck { check, url, deadline_millis, question });
    }

    /// Asks whether somebody may begin who has met all rules. False when there is nobody to ask.
    pub(super) fn ask_at_entry(&mut self, id: VisitId, screened: &Screened, now: Timestamp) -> bool {
        let Some(visit) = self.visits.get(&id) else { return false };
        let Some(rule) = visit.experiment.screening.check.clone() else { return false };
        let question = json!({
            "type": "entry", "visit": id, "device": screened.device, "browser": screened.browser,
            "browser_version": screened.browser_version, "ping_ms": screened.ping_millis,
        });
        self.ask(id, About::Entry(screened.clone()), &rule, question, now);
        true
    }

    /// It is time to ask about a player.
    pub(super) fn ask_in_game(&mut self, id: VisitId, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        visit.check_at = None;
        visit.schedule_check(now);
        let Some(rule) = visit.game_scene().and_then(|scene| scene.check.clone()) else { return };
        let (scene, is_here) = (visit.progress.scene_id.clone(), visit.is_here());
        let (rtt, hidden) = (visit.monitor.rtt_millis(), visit.monitor.is_hidden());
        let Some((game, seat)) = visit.game.and_then(|game| Some((game, self.seat(id, game)?))) else {
            return;
        };
        let frame = self.games.get(&game).map(|game| game.frame);
        let question = json!({
            "type": "game", "visit": id, "game": game, "seat": seat, "scene": scene, "frame": frame,
            "rtt_ms": rtt, "hidden": hidden, "connected": is_here,
        });
        self.ask(id, About::Game(game), &rule, question, now);
    }

    /// The answer to [`Effect::AskCheck`]. One that comes late, or for a game that is over, changes nothing.
    pub fn handle_check(&mut self, check: CheckId, answer: CheckAnswer, now: Timestamp) {
        let Some(Asked { visit, about, .. }) = self.asked.remove(&check) else { return };
        let (result, message, cause) = match answer {
            CheckAnswer::Keep => (CheckResult::Kept, None, None),
            CheckAnswer::Exclude(message) => (CheckResult::Excluded, message, None),
            CheckAnswer::Failed(cause) => (CheckResult::Failed, None, Some(cause)),
        };
        let words = message.map(|words| words.chars().take(MESSAGE_LIMIT).collect());
        let cause = cause.map(|cause| cause.chars().take(CAUSE_LIMIT).collect());
        self.checked(visit, about, result, (words, cause), now);
    }

    /// Nobody has answered in time.
    pub(super) fn check_is_late(&mut self, check: CheckId, now: Timestamp) {
        if let Some(Asked { visit, about, .. }) = self.asked.remove(&check) {
            self.checked(visit, about, CheckResult::Late, (None, None), now);
        }
    }

    fn checked(
        &mut self,
        id: VisitId,
        about: About,
        result: CheckResult,
        (words, cause): (Option<String>, Option<String>),
        now: Timestamp,
    ) {
        self.effects.push_back(Effect::Checked { visit: id, result });
        match about {
            About::Entry(screened) => self.checked_at_entry(id, &screened, result, words, now),
            About::Game(game) => self.checked_in_game(id, game, result, (words, cause), now),
        }
    }

    fn checked_at_entry(
        &mut self,
        id: VisitId,
        screened: &Screened,
        result: CheckResult,
        words: Option<String>,
        now: Timestamp,
    ) {
        let Some(visit) = self.visits.get(&id).filter(|visit| visit.is_unscreened()) else { return };
        let texts = &visit.experiment.texts;
        let rule = visit.experiment.screening.check.as_ref();
        let words = words.or_else(|| rule.and_then(|rule| rule.message.clone()));
        let is_out = result == CheckResult::Excluded;
        let screened = Screened {
            rule: is_out.then_some(ScreeningRule::Webhook),
            message: is_out.then(|| words.unwrap_or_else(|| say!(texts, "screening_closed"))),
            unanswered: matches!(result, CheckResult::Failed | CheckResult::Late),
            ..screened.clone()
        };
        self.screened(id, screened, now);
    }

    fn checked_in_game(
        &mut self,
        id: VisitId,
        game: GameId,
        result: CheckResult,
        (words, cause): (Option<String>, Option<String>),
        now: Timestamp,
    ) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let is_in_it = visit.game == Some(game);
        // Taken out at the same moment as another, its own cause is written down beside the other's (X4).
        let was_in_it = visit.progress.over.is_some_and(|over| over.game == game);
        if result == CheckResult::Excluded && (is_in_it || was_in_it) {
            let rule = visit.game_scene().and_then(|scene| scene.check.as_ref());
            let words = words.or_else(|| rule.and_then(|rule| rule.message.clone()));
            if is_in_it {
                visit.progress.excluded_words = words;
            }
            return self.exclude(id, ExclusionReason::Custom, now);
        }
        if !is_in_it {
            return;
        }
        // A check that is away for long is two rows, and not one every few seconds.
        let failed = matches!(result, CheckResult::Failed | CheckResult::Late);
        let before = core::mem::replace(&mut visit.unanswered_checks, 0);
        if failed {
            visit.unanswered_checks = before + 1;
            if before == 0 {
                let detail = json!({ "result": result.name(), "cause": cause });
                self.record(id, game, "custom_check_unanswered", detail);
            }
        } else if before > 0 {
            self.record(id, game, "custom_check_answered", json!({ "unanswered": before }));
        }
    }
}
