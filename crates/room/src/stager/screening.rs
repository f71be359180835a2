//! Before the first scene: whether somebody may take part (X1).
//!
//! The page is asked what it can tell, answers in one message, and is told its first scene, or the end. What was found is
//! written down with the visit: who has passed is not asked again, on whatever device they go on. Who was told to take
//! another device or browser may do so: a page that is loaded anew is asked again, and sees the end again or goes on.

use base::{Timestamp, VisitId};
use wire::control::{ServerMessage, VisitEnding};

use super::{Stager, Visit};
use crate::agent::{Agent, Facts};
use crate::effect::Effect;
use crate::screening::{Screened, ScreeningRule};
use crate::visit::Progress;

/// The most measurements that are looked at.
const MOST_PINGS: usize = 100;

impl Visit {
    /// Whether it is not yet known whether they may take part.
    pub(super) fn is_unscreened(&self) -> bool {
        let progress = &self.progress;
        let is_new = progress.ended.is_none() && progress.outcome.is_none();
        let is_unknown = is_new && progress.screened.is_none() && !self.experiment.screening.is_empty();
        (is_unknown || self.may_try_again) && !self.is_bot
    }

    /// Its page was loaded anew, on another device perhaps.
    pub(super) fn loaded_anew(&mut self) {
        let Progress { ended, screened, .. } = &self.progress;
        let rule = screened.as_ref().and_then(|screened| screened.rule);
        let is_remedied = matches!(rule, Some(ScreeningRule::Device | ScreeningRule::Browser));
        self.may_try_again = *ended == Some(VisitEnding::ScreenedOut) && is_remedied;
    }
}

impl Stager {
    /// What the headers of a visit's connection say of who it is. Comes with every connection.
    pub fn handle_agent(&mut self, visit: VisitId, agent: Agent) {
        if let Some(visit) = self.visits.get_mut(&visit) {
            visit.agent = agent;
        }
    }

    /// Asks the page for what it can tell, if it is not yet known whether they may take part. True if so.
    pub(super) fn screen(&mut self, id: VisitId) -> bool {
        let Some(visit) = self.visits.get(&id).filter(|visit| visit.is_unscreened()) else { return false };
        let title = visit.experiment.title.clone();
        let pings = visit.experiment.screening.pings();
        self.send(id, ServerMessage::Screening { title, pings });
        true
    }

    pub(super) fn screening_report(
        &mut self,
        id: VisitId,
        facts: Facts,
        round_trips: &[f32],
        now: Timestamp,
    ) {
        let Some(visit) = self.visits.get(&id).filter(|visit| visit.is_unscreened()) else { return };
        // The study's own check is asked once, and its answer counts.
        if self.asked.values().any(|asked| asked.visit == id) {
            return;
        }
        let round_trips = &round_trips[..round_trips.len().min(MOST_PINGS)];
        // With too few measurements it is no answer: the page is asked again when it comes again.
        let experiment = &visit.experiment;
        let judged = experiment.screening.judge(&visit.agent, facts, round_trips, &experiment.texts);
        let Some(screened) = judged else { return };
        if screened.rule.is_some() || !self.ask_at_entry(id, &screened, now) {
            self.screened(id, screened, now);
        }
    }

    pub(super) fn screened(&mut self, id: VisitId, screened: Screened, now: Timestamp) {
        let Some(visit) = self.visits.get_mut(&id) else { return };
        let again = core::mem::take(&mut visit.may_try_again);
        let passed = screened.rule.is_none();
        visit.progress.screened = Some(screened.clone());
        if passed && again {
            (visit.progress.ended, visit.progress.outcome) = (None, None);
        }
        let variables = &visit.progress.variables;
        let first = visit.experiment.next(id, None, |_, guard| guard.admits(None, variables));
        let agent = visit.agent.clone();
        self.effects.push_back(Effect::Screened { visit: id, agent, screened });
        if passed && again {
            if let Some(first) = first {
                self.go_to(id, first, now);
            }
        } else if passed || again {
            self.write_progress(id);
            self.show_scene(id, now);
        } else {
            self.end_visit(id, VisitEnding::ScreenedOut, now);
        }
    }
}
