//! What the page says while a game stands still, when one ends early, and at the end. An experiment may say it in its own words,
//! by the names here.

use core::time::Duration;
use std::collections::BTreeMap;

use session::{SeatPhase, Status};
use wire::control::{ExclusionReason, TerminationReason, VisitEnding};

use crate::play::Play;

type Words = (&'static str, &'static str);

const MISSING_ONE: Words = ("missing_one", "Waiting for the other player");
const MISSING_ONE_OF_MANY: Words = ("missing_one", "Waiting for one other player");
const MISSING_MANY: Words = ("missing_many", "Waiting for {count} other players");
const MISSING_YOU: Words = ("missing_you", "Your connection is interrupted");
const RECONNECTING: Words =
    ("reconnecting", "They have lost their connection. The game goes on as soon as they are back.");
const RECONNECTING_YOU: Words =
    ("reconnecting_you", "You are being connected again. Please keep this page open.");
const CATCHING_UP: Words = ("catching_up", "Taking you back into the game…");
const CATCHING_UP_TOGETHER: Words = ("catching_up", "Bringing everyone to the same point…");
const GOING_ON: Words = ("going_on", "Everyone is back. Get ready!");
const WILL_END: Words = ("will_end", "If this does not work, the game ends in {seconds}.");

/// The title of a game that has ended early.
pub(crate) const ENDED: &str = "The game has ended";
const PARTNER_LOST: Words =
    ("partner_lost", "The connection to the other player was lost, and could not be made again.");
const CONNECTION_LOST: Words = ("connection_lost", "Your connection was interrupted for too long.");
const EXCLUDED_PING: Words = ("excluded_ping", "Your connection was too slow for this game for a while.");
const EXCLUDED_HIDDEN: Words = ("excluded_hidden", "This page was in the background for too long.");
const EXCLUDED: Words =
    ("excluded", "Something about your connection or page did not meet what the game needs.");
const GAME_FAILED: Words = ("game_failed", "Something went wrong on our side. It was not your doing.");

pub(crate) const SAVING: &str = "Saving. Please keep this page open…";
pub(crate) const SAVED: &str = "Everything up to here is saved.";
pub(crate) const SAVED_ALL: &str = "Everything is saved. You can close this page.";
pub(crate) const SAVED_CODE: &str = "Everything is saved. This is your completion code:";
pub(crate) const SAVED_REDIRECT: &str = "Everything is saved. You are being taken back…";

/// The title of a page in the background whose player is wanted.
pub(crate) const COME_BACK: &str = "Please come back to the game";

/// A text with something in the place of the name in braces.
fn fill(text: &str, value: &str) -> String {
    match text.split_once('{') {
        Some((before, rest)) => [before, value, rest.split_once('}').map_or("", |(_, after)| after)].concat(),
        None => text.to_owned(),
    }
}

fn say(texts: &BTreeMap<String, String>, (name, words): Words) -> &str {
    texts.get(name).map_or(words, String::as_str)
}

/// What lies over the field while the game stands still.
#[derive(Default)]
pub(crate) struct Card {
    /// Counts down to the next frame, large; empty when it does not.
    pub(crate) number: String,
    pub(crate) title: String,
    /// What is being done.
    pub(crate) line: String,
    /// When the game ends otherwise: in how many seconds, and in words.
    pub(crate) left: Option<(u64, String)>,
}

/// The card that belongs over the field now, if one does.
pub(crate) fn card(
    play: &Play,
    texts: &BTreeMap<String, String>,
    status: Option<&Status>,
    server_is_heard: bool,
) -> Option<Card> {
    let start = &play.start;
    let (phase, countdown) = match status {
        Some(status) => (status.phase, status.countdown),
        // A page that was loaded in mid-game does not know anything yet.
        None if play.has_been_replaced() => (SeatPhase::Reconnecting, None),
        None => return None,
    };
    if play.over || matches!(phase, SeatPhase::Connected | SeatPhase::Terminated) {
        return None;
    }
    if let Some(countdown) = countdown {
        let number = seconds(countdown).to_string();
        let title = fill(say(texts, GOING_ON), &number);
        return Some(Card { number, title, ..Card::default() });
    }
    let mut missing = match &play.pause.notice {
        Some(notice) => notice.missing,
        None => play.pause.lost(),
    };
    missing.remove(start.seat);
    let (title, line) = match missing.len() {
        _ if !server_is_heard => (MISSING_YOU, say(texts, RECONNECTING_YOU)),
        0 if play.has_been_replaced() => (CATCHING_UP, ""),
        0 => (CATCHING_UP_TOGETHER, ""),
        1 if start.seats == 2 => (MISSING_ONE, say(texts, RECONNECTING)),
        1 => (MISSING_ONE_OF_MANY, say(texts, RECONNECTING)),
        _ => (MISSING_MANY, say(texts, RECONNECTING)),
    };
    let left = play.pause.remaining().map(|left| {
        let seconds = seconds(left);
        (seconds, fill(say(texts, WILL_END), &clock(seconds)))
    });
    let title = fill(say(texts, title), &missing.len().to_string());
    Some(Card { number: String::new(), title, line: line.to_owned(), left })
}

/// Whole seconds, begun ones too.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Minutes and seconds.
pub(crate) fn clock(seconds: u64) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    [&*minutes.to_string(), if seconds < 10 { ":0" } else { ":" }, &*seconds.to_string()].concat()
}

/// How long one may still wait for others.
pub(crate) fn lobby_left(seconds: u64) -> String {
    ["At most ", &clock(seconds), " more."].concat()
}

/// What there is to read of a game that has ended early; `is_own` when it was this page that was missing.
pub(crate) fn ended(texts: &BTreeMap<String, String>, reason: TerminationReason, is_own: bool) -> String {
    let words = match reason {
        TerminationReason::Server => GAME_FAILED,
        _ if is_own => CONNECTION_LOST,
        _ => PARTNER_LOST,
    };
    say(texts, words).to_owned()
}

/// What there is to read for one who was taken out of a game.
pub(crate) fn excluded(texts: &BTreeMap<String, String>, reason: ExclusionReason) -> String {
    let words = match reason {
        ExclusionReason::SustainedPing => EXCLUDED_PING,
        ExclusionReason::TabHidden => EXCLUDED_HIDDEN,
        ExclusionReason::Custom => EXCLUDED,
    };
    say(texts, words).to_owned()
}

/// The title of a scene that ends the visit.
pub(crate) const fn ending(ending: VisitEnding) -> &'static str {
    match ending {
        VisitEnding::Completed => "All done",
        VisitEnding::ScreenedOut => "This study does not work here",
        VisitEnding::WaitroomTimeout => "Nobody else came",
        VisitEnding::Left => "You have stopped waiting",
        VisitEnding::Withdrawn => "You have left the study",
        _ => "Thank you",
    }
}
