//! The page's words: its texts, which come with it from the server, and what is made of them while a game stands still, when
//! one ends early, and at the end. A game's scene may say some in its own words, by the names here.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::BTreeMap;

use session::{SeatPhase, Status};
use wire::control::{ExclusionReason, PauseReason, TerminationReason, VisitEnding};
use wire::form::{self, Problem};
use wire::text;
use wire::texts::{Name, Texts, fill};

use crate::play::Play;
use crate::view;

/// A text of the page, as [`wire::say!`] has it.
macro_rules! say {
    ($($text:tt)*) => { wire::say!(crate::words::Words, $($text)*) };
}
pub(crate) use say;

/// What the page says, and what it says otherwise in its scene.
struct Said {
    texts: Texts,
    own: Vec<(String, String)>,
}

thread_local! {
    static SAID: RefCell<Said> = const {
        let texts = Texts { id: String::new(), language: String::new(), words: BTreeMap::new() };
        RefCell::new(Said { texts, own: Vec::new() })
    };
}

#[inline(never)]
fn with<T>(act: impl FnOnce(&mut Said) -> T) -> T {
    SAID.with_borrow_mut(act)
}

/// Everything that the page says.
pub(crate) struct Words;

impl Words {
    pub(crate) fn say(&self, name: Name, places: &[(&str, &str)]) -> String {
        with(|said| match said.own(name.as_str()) {
            Some(own) => fill(own, places),
            None => said.texts.say(name, places),
        })
    }
}

impl Said {
    fn own(&self, name: &str) -> Option<&String> {
        self.own.iter().find(|(known, _)| known == name).map(|(_, words)| words)
    }
}

/// A text without placeholders.
pub(crate) fn plain(name: Name) -> String {
    Words.say(name, &[])
}

/// Takes the texts that the page came with, which stand in it already.
pub(crate) fn begin() {
    let Some(element) = view::element("texts") else { return };
    let words = element.text_content().and_then(|words| serde_json::from_str(&words).ok());
    let id = element.get_attribute("data-id").unwrap_or_default();
    with(|said| said.texts = Texts { id, language: String::new(), words: words.unwrap_or_default() });
}

/// This visit has other texts than the page came with.
pub(crate) fn take(texts: Texts) {
    view::set_language(&texts.language);
    view::label(&texts.words);
    with(|said| said.texts = texts);
}

/// The scene's own words.
pub(crate) fn take_own(own: &BTreeMap<String, String>) {
    with(|said| {
        said.own.clear();
        for (name, words) in own {
            said.own.push((name.clone(), words.clone()));
        }
    });
}

/// Which texts these are.
pub(crate) fn id() -> String {
    with(|said| said.texts.id.clone())
}

/// What a button of a game is called: by the experiment, or as the environment has it.
pub(crate) fn button(name: &str) -> String {
    with(|said| said.own(&["button_", name].concat()).map_or(name, String::as_str).to_owned())
}

/// What is wrong with answers.
pub(crate) fn problems(problems: &[(String, Problem)]) -> BTreeMap<String, String> {
    with(|said| form::words(problems, &said.texts))
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
pub(crate) fn card(play: &Play, status: Option<&Status>, server_is_heard: bool) -> Option<Card> {
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
        return Some(Card { number, title: say!("going_on"), ..Card::default() });
    }
    let mut missing = match &play.pause.notice {
        Some(notice) => notice.missing,
        None => play.pause.lost(),
    };
    missing.remove(start.seat);
    let count = missing.len();
    let title = match count {
        _ if !server_is_heard => say!("missing_you"),
        0 if play.has_been_replaced() => say!("catching_up"),
        0 => say!("catching_up_together"),
        1 if start.seats == 2 => say!("missing_one"),
        1 => say!("missing_one_of_many"),
        _ => say!("missing_many", count = &count.to_string()),
    };
    let is_hidden = play.pause.notice.as_ref().is_some_and(|notice| notice.reason == PauseReason::TabHidden);
    let line = match count {
        _ if !server_is_heard => say!("reconnecting_you"),
        0 => String::new(),
        _ if is_hidden => say!("in_background"),
        _ => say!("reconnecting"),
    };
    let left = play.pause.remaining().map(|left| {
        let seconds = seconds(left);
        (seconds, say!("will_end", seconds = &clock(seconds)))
    });
    Some(Card { number: String::new(), title, line, left })
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

/// What there is to read of a game that has ended early; `is_own` when it was this page that was missing.
pub(crate) fn ended(reason: TerminationReason, is_own: bool) -> String {
    plain(match reason {
        TerminationReason::Server => text!("game_failed"),
        _ if is_own => text!("connection_lost"),
        _ => text!("partner_lost"),
    })
}

/// What there is to read for one who was taken out of a game.
pub(crate) fn excluded(reason: ExclusionReason) -> String {
    plain(match reason {
        ExclusionReason::SustainedPing => text!("excluded_ping"),
        ExclusionReason::TabHidden => text!("excluded_hidden"),
        ExclusionReason::Custom => text!("excluded"),
    })
}

/// The title of a scene that ends the visit.
pub(crate) fn ending(ending: VisitEnding) -> String {
    plain(match ending {
        VisitEnding::Completed => text!("end_title_completed"),
        VisitEnding::ScreenedOut => text!("end_title_screened_out"),
        VisitEnding::WaitroomTimeout => text!("end_title_waitroom_timeout"),
        VisitEnding::Left => text!("end_title_left"),
        VisitEnding::Withdrawn => text!("end_title_withdrawn"),
        _ => text!("end_title"),
    })
}
