//! Mistakes that are made on purpose, to see that the test finds them.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sabotage {
    /// Nodes apply entries at their own time.
    LocalClock,
    /// An entry that is in the log twice counts twice.
    NoRepeats,
    /// The store goes on with what it has, whoever knows more.
    NeverBehind,
    /// The store compares versions, and not its run.
    VersionsOnly,
    /// What is missing is passed over.
    Leap,
    /// Snapshots do not tell what senders have sent.
    NoSenders,
    /// What is heard over a node's own connections is in its snapshots.
    HeardIsShared,
    /// A node takes up a room with rules of its own.
    OwnRules,
    /// Publications are all that a node ever hears.
    NeverLooks,
    /// An epoch goes on although something was said apart.
    SpokenAndStays,
    /// Members of a node that is gone stay connected to it.
    NeverBuries,
    /// Fences are times of the node's clock, whatever it knows of others.
    FenceByClock,
    /// An append that was not answered is taken for one that was not made.
    GivesUpUnanswered,
}

impl Sabotage {
    pub(crate) const ALL: [Self; 13] = [
        Self::LocalClock,
        Self::NoRepeats,
        Self::NeverBehind,
        Self::VersionsOnly,
        Self::Leap,
        Self::NoSenders,
        Self::HeardIsShared,
        Self::OwnRules,
        Self::NeverLooks,
        Self::SpokenAndStays,
        Self::NeverBuries,
        Self::FenceByClock,
        Self::GivesUpUnanswered,
    ];
}
