//! How far a visit has come, and how it may end.

use base::{Frame, GameId, Seat, SeatSet, VisitId};
use serde::{Deserialize, Serialize};
use wire::control::{ExclusionReason, ServerMessage, TerminationReason, VisitEnding};
use wire::form::Answers;
use wire::say;
use wire::texts::Texts;

use crate::plan::Turn;
use crate::screening::Screened;

/// What must be remembered of a visit while nobody is connected (S2).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Progress {
    /// The index of its scene.
    pub scene: u32,
    /// That scene's id.
    pub scene_id: String,
    /// Where it is in the blocks around that scene, the outermost first: what was drawn and decided stays so.
    pub turns: Vec<Turn>,
    /// Its condition, when it has got one.
    pub condition: Option<String>,
    /// What texts and branches may ask for: its condition's variables, and the last answers to those questions that some
    /// text or branch names, as `scene.field`.
    pub variables: Answers,
    /// How it ended, if it has.
    pub ended: Option<VisitEnding>,
    /// How it will end when it gets to the end, if something went wrong on the way.
    pub outcome: Option<Outcome>,
    /// How often the scene's questions were answered wrongly, and what was answered last.
    pub attempts: u32,
    /// See [`Progress::attempts`].
    pub wrong: Answers,
    /// What was found before the first scene, where the experiment asks something of those who come (X1).
    pub screened: Option<Screened>,
    /// What who was taken out of a game reads, where the study's own check has words of its own.
    pub excluded_words: Option<String>,
    /// The scene's game has ended early, and the participant has not gone on yet.
    pub over: Option<Over>,
    /// With whom it has played last, itself among them.
    pub group: Vec<VisitId>,
    /// Everything was deleted that was written down of it beside this (S7, D5).
    pub is_deleted: bool,
}

impl Progress {
    /// What is left of one whose data are deleted: where it is, and how it ended.
    #[must_use]
    pub fn without_data(&self) -> Self {
        let Self { scene, scene_id, turns, ended, outcome, .. } = self.clone();
        Self { scene, scene_id, turns, ended, outcome, is_deleted: true, ..Self::default() }
    }
}

/// What went wrong, and where: a game of that passage that is played to its end takes it away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The index of the scene.
    pub scene: u32,
    /// Which of its passages, from 1.
    #[serde(default = "first")]
    pub passage: u32,
    /// What.
    pub ending: VisitEnding,
}

const fn first() -> u32 {
    1
}

/// A game that has ended early, for one who sat in it (X5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Over {
    /// The game.
    pub game: GameId,
    /// Where.
    pub seat: Seat,
    /// Why.
    pub reason: TerminationReason,
    /// The rule that was broken, of one who was taken out.
    pub exclusion: Option<ExclusionReason>,
    /// The frame that would have been next.
    pub frame: Frame,
    /// Who was lost, if it is that.
    pub missing: SeatSet,
}

impl Over {
    /// What the page is told. `own_words` are the game's own for `partner_excluded`, `excluded_words` what the study's own check
    /// says.
    pub(crate) fn messages(
        &self,
        own_words: Option<&String>,
        excluded_words: Option<&String>,
        texts: &Texts,
    ) -> [ServerMessage; 2] {
        let Self { game: game_id, reason, frame, .. } = *self;
        let why = match (self.exclusion, reason) {
            (Some(reason), _) => {
                let message = excluded_words.cloned();
                ServerMessage::MidGameExclusion { game_id, reason, frame, message }
            }
            (None, TerminationReason::PartnerExclusion) => ServerMessage::PartnerExcluded {
                game_id,
                message: own_words.cloned().unwrap_or_else(|| say!(texts, "partner_excluded")),
                reason,
                frame,
            },
            (None, _) => {
                ServerMessage::P2pGameEnded { game_id, seat: self.seat, reason, missing: self.missing }
            }
        };
        let export = ServerMessage::TriggerDataExport {
            game_id,
            is_partial: true,
            termination_reason: reason,
            terminated_at_frame: frame,
        };
        [why, export]
    }
}
