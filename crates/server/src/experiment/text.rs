//! What participants read: the researcher's Markdown or HTML, and our own words where there are none.

use std::collections::BTreeMap;

use pulldown_cmark::{Options, Parser, html};
use room::EndScene;
use wire::control::TerminationReason;

use super::mistake;

/// A file's text as HTML: Markdown, unless its name says that it is HTML already.
pub(super) fn html_of(file: &str, text: &str) -> String {
    let is_html = file.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("html"));
    if is_html { text.to_owned() } else { markdown(text) }
}

pub(super) fn markdown(text: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_SMART_PUNCTUATION;
    let mut out = String::new();
    html::push_html(&mut out, Parser::new_ext(text, options));
    out
}

/// The texts of each ending: the experiment's own before ours.
///
/// # Errors
/// Names a text that is of no ending.
pub(super) fn end_scene(texts: Option<BTreeMap<String, String>>) -> anyhow::Result<EndScene> {
    let own = texts.unwrap_or_default();
    if let Some(unknown) =
        own.keys().find(|key| ENDINGS.iter().all(|(reason, _)| reason.name() != key.as_str()))
    {
        let names: Vec<_> = ENDINGS.iter().map(|(reason, _)| reason.name()).collect();
        let text = format!("texts.{unknown} is no way of ending; they are {}", names.join(", "));
        return Err(mistake("texts", text));
    }
    let text = |&(reason, default): &(TerminationReason, &str)| {
        (reason.name(), markdown(own.get(reason.name()).map_or(default, String::as_str)))
    };
    Ok(EndScene { texts: ENDINGS.iter().map(text).collect() })
}

/// Our own words for each ending.
const ENDINGS: [(TerminationReason, &str); 9] = [
    (
        TerminationReason::Normal,
        "Thank you for taking part.\n\nYour answers are saved. You can close this page.",
    ),
    (
        TerminationReason::PartnerLost,
        "The connection to your partner was lost, so the game has ended.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
    ),
    (
        TerminationReason::PartnerExclusion,
        "Your partner experienced a technical issue. The game has ended.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
    ),
    (
        TerminationReason::SelfExclusion,
        "The game has ended, because this connection or page did not meet what the study needs.\n\nThank you for your time; you can close this page.",
    ),
    (
        TerminationReason::ReconnectTimeout,
        "The connection could not be made again in time, so the game has ended.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
    ),
    (
        TerminationReason::FocusTimeout,
        "This page was in the background for too long, so the game has ended.\n\nThank you for your time; you can close this page.",
    ),
    (
        TerminationReason::Left,
        "You left the game, and it has ended.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
    ),
    (
        TerminationReason::Withdrawn,
        "You have left the study.\n\nThank you for your time; you can close this page.",
    ),
    (
        TerminationReason::Server,
        "Something went wrong on our side, and the game has ended. It was not your doing.\n\nEverything up to then is saved. Thank you for taking part; you can close this page.",
    ),
];
