//! How games and visits end (X5), and where a participant goes from there (S5).

use core::fmt;

use serde::{Deserialize, Serialize};

/// Why a game ended for a seat.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum TerminationReason {
    Normal,
    PartnerExclusion,
    SelfExclusion,
    PartnerLost,
    ReconnectTimeout,
    FocusTimeout,
    Left,
    Withdrawn,
    Server,
}

impl TerminationReason {
    /// The name on the wire and in the data.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::PartnerExclusion => "partner_exclusion",
            Self::SelfExclusion => "self_exclusion",
            Self::PartnerLost => "partner_lost",
            Self::ReconnectTimeout => "reconnect_timeout",
            Self::FocusTimeout => "focus_timeout",
            Self::Left => "left",
            Self::Withdrawn => "withdrawn",
            Self::Server => "server",
        }
    }

    /// Whether the participant was taken out of the game by the study's rules.
    #[must_use]
    pub const fn is_exclusion(self) -> bool {
        matches!(self, Self::SelfExclusion | Self::FocusTimeout)
    }
}

/// How a visit ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisitEnding {
    /// The participant went all the way.
    #[serde(alias = "normal")]
    Completed,
    /// The participant's device or connection is not what the study needs.
    ScreenedOut,
    /// Nobody was found to play with.
    WaitroomTimeout,
    /// The participant left the study.
    Withdrawn,
    /// The participant left a lobby.
    Left,
    /// As with the game that went wrong.
    PartnerExclusion,
    /// As with the game that went wrong.
    SelfExclusion,
    /// As with the game that went wrong.
    PartnerLost,
    /// As with the game that went wrong.
    ReconnectTimeout,
    /// As with the game that went wrong.
    FocusTimeout,
    /// As with the game that went wrong.
    Server,
}

impl VisitEnding {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Completed,
        Self::ScreenedOut,
        Self::WaitroomTimeout,
        Self::Withdrawn,
        Self::Left,
        Self::PartnerExclusion,
        Self::SelfExclusion,
        Self::PartnerLost,
        Self::ReconnectTimeout,
        Self::FocusTimeout,
        Self::Server,
    ];

    /// The name in the data and in experiments' files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ScreenedOut => "screened_out",
            Self::WaitroomTimeout => "waitroom_timeout",
            Self::Withdrawn => "withdrawn",
            Self::Left => "left",
            Self::PartnerExclusion => "partner_exclusion",
            Self::SelfExclusion => "self_exclusion",
            Self::PartnerLost => "partner_lost",
            Self::ReconnectTimeout => "reconnect_timeout",
            Self::FocusTimeout => "focus_timeout",
            Self::Server => "server",
        }
    }

    /// The ending of a name; `normal`, as games end, is `completed`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if name == TerminationReason::Normal.name() { Self::Completed.name() } else { name };
        Self::ALL.into_iter().find(|ending| ending.name() == name)
    }
}

impl From<TerminationReason> for VisitEnding {
    fn from(reason: TerminationReason) -> Self {
        match reason {
            TerminationReason::Normal => Self::Completed,
            TerminationReason::PartnerExclusion => Self::PartnerExclusion,
            TerminationReason::SelfExclusion => Self::SelfExclusion,
            TerminationReason::PartnerLost => Self::PartnerLost,
            TerminationReason::ReconnectTimeout => Self::ReconnectTimeout,
            TerminationReason::FocusTimeout => Self::FocusTimeout,
            TerminationReason::Left => Self::Left,
            TerminationReason::Withdrawn => Self::Withdrawn,
            TerminationReason::Server => Self::Server,
        }
    }
}

impl fmt::Display for VisitEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why somebody was taken out of a game (X3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionReason {
    /// The way to the server was too slow for too long.
    SustainedPing,
    /// The page was in the background for too long.
    TabHidden,
    /// The study's own check.
    Custom,
}

impl ExclusionReason {
    /// The name on the wire and in the data.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SustainedPing => "sustained_ping",
            Self::TabHidden => "tab_hidden",
            Self::Custom => "custom",
        }
    }

    /// What the excluded seat's data say.
    #[must_use]
    pub const fn termination(self) -> TerminationReason {
        match self {
            Self::TabHidden => TerminationReason::FocusTimeout,
            Self::SustainedPing | Self::Custom => TerminationReason::SelfExclusion,
        }
    }
}

/// What a participant is sent away with, once everything is durable. One of the two is there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exit {
    /// A code to enter elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Where the page goes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_the_name_that_it_has_in_json() {
        for ending in VisitEnding::ALL {
            assert_eq!(serde_json::to_value(ending).unwrap(), ending.name());
            assert_eq!(VisitEnding::from_name(ending.name()), Some(ending));
        }
        assert_eq!(VisitEnding::from_name("normal"), Some(VisitEnding::Completed));
        assert_eq!(VisitEnding::from_name("over"), None);
    }
}
