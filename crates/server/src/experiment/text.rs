//! What participants read: the researcher's Markdown or HTML, and our own words where there are none.

use std::collections::BTreeMap;

use axum::http::Uri;
use pulldown_cmark::{Options, Parser, html};
use room::EndScene;
use schemars::JsonSchema;
use serde::Deserialize;
use wire::control::{Exit, VisitEnding};
use wire::text;
use wire::texts::Name;

use super::mistakes::{Reading, did_you_mean};
use super::schema::WEB_ADDRESS;
use super::{Reader, exit};

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

/// Where participants go when everything that they did is saved: a `code` or a `redirect`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["code"] }, { "required": ["redirect"] }]))]
pub(super) struct ExitFile {
    /// A code, which the page shows; it may have variables, like `{{ condition }}`.
    #[schemars(regex(pattern = r"\S"))]
    code: Option<String>,
    /// An address where the page goes by itself. Behind the host it may have variables, also `{{ PROLIFIC_PID }}` and the like.
    #[schemars(regex(pattern = WEB_ADDRESS))]
    redirect: Option<String>,
}

impl Reader<'_, '_> {
    /// What a participant reads at each ending, the experiment's own words before ours, and where they go from there (S5).
    pub(super) fn end_scene(
        &mut self,
        texts: Option<BTreeMap<String, String>>,
        exits: Option<BTreeMap<String, ExitFile>>,
    ) -> EndScene {
        let mut own = by_ending(&mut self.file, "texts", texts.unwrap_or_default());
        let mut texts = BTreeMap::new();
        for ending in VisitEnding::ALL {
            let (name, text) = own
                .remove(&ending)
                .unwrap_or_else(|| (ending.name().to_owned(), self.texts.say(usual(ending), &[])));
            let field = format!("texts.{name}");
            texts.insert(ending, self.with_files(&field, ("", &field), &markdown(&text)));
        }
        let exit = |(name, ExitFile { code, redirect })| (name, Exit { code, redirect });
        let exits = exits.unwrap_or_default().into_iter().map(exit).collect();
        let exits = by_ending(&mut self.file, "exits", exits);
        for (name, exit) in exits.values() {
            exit::check(&mut self.file, &format!("exits.{name}"), exit);
        }
        EndScene { texts, exits: exits.into_iter().map(|(ending, (_, exit))| (ending, exit)).collect() }
    }
}

/// What there is for endings, with the names that the file has for them.
fn by_ending<T>(
    file: &mut Reading<'_>,
    field: &str,
    given: BTreeMap<String, T>,
) -> BTreeMap<VisitEnding, (String, T)> {
    let mut found = BTreeMap::new();
    for (name, value) in given {
        let path = format!("{field}.{name}");
        let Some(ending) = VisitEnding::from_name(&name) else {
            let names = VisitEnding::ALL.map(VisitEnding::name);
            let hint = did_you_mean(&name, names.into_iter());
            file.add(&path, format!("{path} is no way of ending; they are {}{hint}", names.join(", ")));
            continue;
        };
        if found.insert(ending, (name, value)).is_some() {
            file.add(
                &path,
                format!("{field} has both `completed` and `normal`, which are the same; keep one"),
            );
        }
    }
    found
}

/// Whether a text is an address of the web.
pub(crate) fn is_web_address(text: &str) -> bool {
    let uri = text.parse::<Uri>();
    uri.is_ok_and(|uri| uri.host().is_some() && ["http", "https"].map(Some).contains(&uri.scheme_str()))
}

/// Our own words for each ending. Whether everything is saved, and what comes next, the page says itself.
const fn usual(ending: VisitEnding) -> Name {
    match ending {
        VisitEnding::Completed => text!("end_completed"),
        VisitEnding::ScreenedOut => text!("end_screened_out"),
        VisitEnding::WaitroomTimeout => text!("end_waitroom_timeout"),
        VisitEnding::Withdrawn => text!("end_withdrawn"),
        VisitEnding::Left => text!("end_left"),
        VisitEnding::PartnerExclusion => text!("end_partner_exclusion"),
        VisitEnding::SelfExclusion => text!("end_self_exclusion"),
        VisitEnding::PartnerLost => text!("end_partner_lost"),
        VisitEnding::ReconnectTimeout => text!("end_reconnect_timeout"),
        VisitEnding::FocusTimeout => text!("end_focus_timeout"),
        VisitEnding::Server => text!("end_server"),
    }
}
