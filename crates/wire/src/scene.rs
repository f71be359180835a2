//! Scenes, as the page needs them (S1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ending::{Exit, VisitEnding};
use crate::form::Field;

/// A scene.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scene {
    /// Its name in the experiment; behind the first of several passages their number, like `easy.2`.
    pub id: String,
    /// The experiment's title.
    pub title: String,
    /// What it is.
    pub kind: SceneKind,
    /// What becomes of the data of one who leaves the study.
    #[serde(default, skip_serializing_if = "Withdrawal::is_usual")]
    pub withdrawal: Withdrawal,
}

/// What becomes of the data of a participant who leaves the study (S7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// They are kept.
    #[default]
    Keep,
    /// They are deleted if the participant wishes so.
    OfferDeletion,
    /// They are deleted.
    Delete,
}

impl Withdrawal {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks for it")]
    const fn is_usual(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Whether the data of a participant who leaves are deleted, when it says whether it wishes so.
    #[must_use]
    pub const fn deletes(self, is_wished: bool) -> bool {
        match self {
            Self::Keep => false,
            Self::OfferDeletion => is_wished,
            Self::Delete => true,
        }
    }
}

/// The kinds of scenes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum SceneKind {
    /// What the study begins with.
    Start(Sheet),
    /// Something to read.
    Static(Sheet),
    /// Questions.
    Form(Sheet),
    /// A lobby, then a game.
    Game {
        /// How many play together.
        players: u8,
        /// The experiment's own words for what the page says in this scene, by name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        texts: BTreeMap<String, String>,
        /// How long the page may be in the background before it warns, in milliseconds; 0 when that is nobody's business.
        #[serde(default, skip_serializing_if = "is_zero")]
        tab_warning_millis: u32,
    },
    /// The end of the visit.
    End {
        /// How the visit ended.
        reason: VisitEnding,
        /// The words for that ending: the researcher's own HTML.
        body: String,
        /// What comes after it, once everything is durable.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<Exit>,
        /// Whether what was saved of the participant is deleted.
        #[serde(default, skip_serializing_if = "is_false")]
        is_deleted: bool,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks for it")]
pub(crate) const fn is_false(truth: &bool) -> bool {
    !*truth
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks for it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Something to read, questions, and a button.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sheet {
    /// What there is to read: the researcher's own HTML. Nothing that a participant has written is ever part of it.
    pub body: String,
    /// What the keys of the next game do: key name to button name, as `keys` in the experiment says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// The questions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// The button's words.
    pub button: String,
}

impl SceneKind {
    /// Its name, as in the experiment's file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Static(_) => "static",
            Self::Form(_) => "form",
            Self::Game { .. } => "game",
            Self::End { .. } => "end",
        }
    }

    /// What there is to read and to answer, where the participant goes on by a button.
    #[must_use]
    pub const fn sheet(&self) -> Option<&Sheet> {
        match self {
            Self::Start(sheet) | Self::Static(sheet) | Self::Form(sheet) => Some(sheet),
            Self::Game { .. } | Self::End { .. } => None,
        }
    }
}
