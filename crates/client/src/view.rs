//! Texts and sections. Every text is set as text, never as HTML (A2).

use std::collections::BTreeMap;

use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement};
use wire::control::{Scene, SceneKind, Sheet, VisitEnding};
use wire::text;
use wire::texts::Name;

use crate::form;
use crate::words::{self, Card, say};

const SECTIONS: [&str; 7] = ["connecting", "sheet", "lobby", "game", "over", "end", "notice"];

fn document() -> Option<Document> {
    web_sys::window()?.document()
}

/// An element that `index.html` has.
pub(crate) fn element(id: &str) -> Option<HtmlElement> {
    document()?.get_element_by_id(id)?.dyn_into().ok()
}

/// Whether this is the participant's page.
pub(crate) fn is_page() -> bool {
    element("app").is_some()
}

pub(crate) fn set_text(id: &str, text: &str) {
    if let Some(element) = element(id)
        && element.text_content().as_deref() != Some(text)
    {
        element.set_text_content(Some(text));
    }
}

pub(crate) fn set_hidden(id: &str, hidden: bool) {
    if let Some(element) = element(id) {
        element.set_hidden(hidden);
    }
}

pub(crate) fn focus(id: &str) {
    if let Some(element) = element(id) {
        element.focus().ok();
    }
}

/// Shows one section and hides the others.
pub(crate) fn show(section: &str) {
    for id in SECTIONS {
        set_hidden(id, id != section);
    }
    set_hidden("foot", ["connecting", "end", "notice"].contains(&section));
}

/// Whether the page is in the background.
pub(crate) fn is_hidden() -> bool {
    document().is_some_and(|document| document.hidden())
}

pub(crate) fn set_title(title: &str) {
    if let Some(document) = document() {
        document.set_title(title);
    }
}

/// Says in which language the page is (WCAG 3.1.1).
pub(crate) fn set_language(tag: &str) {
    if let Some(page) = document().and_then(|document| document.document_element()) {
        page.set_attribute("lang", tag).ok();
    }
}

/// Puts texts in the elements that `index.html` has for them.
pub(crate) fn label(words: &BTreeMap<String, String>) {
    let Some(Ok(elements)) =
        document().map(|document| document.query_selector_all("[data-text],[data-label]"))
    else {
        return;
    };
    for element in (0..elements.length()).filter_map(|at| elements.get(at)) {
        let element: Element = element.unchecked_into();
        let words = |attribute| words.get(&element.get_attribute(attribute)?);
        if let Some(text) = words("data-text") {
            element.set_text_content(Some(text));
        }
        if let Some(label) = words("data-label") {
            element.set_attribute("aria-label", label).ok();
        }
    }
}

/// Tells screen readers.
pub(crate) fn announce(text: &str) {
    set_text("live", text);
}

pub(crate) fn append(parent: &Element, tag: &str, text: &str) -> Option<Element> {
    let child = document()?.create_element(tag).ok()?;
    child.set_text_content(Some(text));
    parent.append_child(&child).ok()?;
    Some(child)
}

/// Shows the researcher's own HTML. Nothing that a participant has written is ever part of it.
fn set_body(id: &str, html: &str) {
    if let Some(element) = element(id) {
        element.set_inner_html(html);
    }
}

/// What a key is called on the page.
fn key_name(code: &str) -> String {
    let sign = match code {
        "ArrowLeft" => "←",
        "ArrowRight" => "→",
        "ArrowUp" => "↑",
        "ArrowDown" => "↓",
        "Space" => return words::plain(text!("key_space")),
        "Enter" => return words::plain(text!("key_enter")),
        "ShiftLeft" | "ShiftRight" => return words::plain(text!("key_shift")),
        _ => code.strip_prefix("Key").or_else(|| code.strip_prefix("Digit")).unwrap_or(code),
    };
    sign.to_owned()
}

/// Something to read, questions, and a button.
pub(crate) fn show_sheet(scene: &Scene, sheet: &Sheet) {
    set_text("sheet-title", &scene.title);
    let is_start = matches!(scene.kind, SceneKind::Start(_));
    // Later scenes have headings of their own.
    mark("sheet-title", "class", if is_start { "" } else { "above" });
    set_body("sheet-body", &sheet.body);
    show_keys(&sheet.keys);
    form::show(&scene.id, &sheet.fields);
    set_text("sheet-button", &sheet.button);
    show("sheet");
    let only_button = is_start && sheet.fields.is_empty();
    focus(if only_button { "sheet-button" } else { "sheet-title" });
    announce(&scene.title);
}

/// What the keys of the next game do.
fn show_keys(keys: &BTreeMap<String, String>) {
    let Some(list) = element("sheet-keys") else { return };
    list.set_text_content(None);
    list.set_hidden(keys.is_empty());
    // In the order in which they lie on a keyboard.
    const MOVES: [&str; 4] = ["left", "up", "down", "right"];
    let moves: Vec<_> = MOVES
        .iter()
        .flat_map(|name| keys.iter().filter(move |(_, meaning)| meaning == name).map(|(code, _)| code))
        .collect();
    let others = keys.iter().filter(|(_, name)| !MOVES.contains(&name.as_str()));
    let row = |codes: &[&String], meaning: &str| {
        let Some(term) = append(&list, "dt", "") else { return };
        for code in codes {
            append(&term, "kbd", &key_name(code));
        }
        append(&list, "dd", meaning);
    };
    if !moves.is_empty() {
        row(&moves, &say!("keys_move"));
    }
    for (code, name) in others {
        row(&[code], name);
    }
}

pub(crate) fn show_lobby(waiting: u8, needed: u8) {
    let missing = needed.saturating_sub(waiting);
    let (waiting, needed) = (&*waiting.to_string(), &*needed.to_string());
    let (title, status) = if waiting == "0" {
        (say!("lobby_before"), String::new())
    } else if missing == 0 {
        (say!("lobby_complete"), say!("lobby_checking"))
    } else {
        let title = match missing {
            1 => say!("lobby_missing_one"),
            _ => say!("lobby_missing_many", missing = &missing.to_string()),
        };
        (title, say!("lobby_here", waiting = waiting, needed = needed))
    };
    let was_shown = element("lobby").is_some_and(|lobby| !lobby.hidden());
    set_text("lobby-title", &title);
    set_text("lobby-status", &status);
    show("lobby");
    if !was_shown {
        focus("lobby-title");
    }
    announce(&format!("{title}. {status}"));
}

pub(crate) fn show_end(reason: VisitEnding, body: &str) {
    let title = words::ending(reason);
    set_text("end-title", &title);
    set_body("end-body", body);
    show("end");
    focus("end-title");
    announce(&title);
}

/// Something that ends this page's part; with a button to load it again, or without.
pub(crate) fn show_notice(title: Name, text: Name, button: bool) {
    let title = words::plain(title);
    set_text("notice-title", &title);
    set_text("notice-text", &words::plain(text));
    set_hidden("notice-button", !button);
    show("notice");
    focus(if button { "notice-button" } else { "notice-title" });
    announce(&title);
}

/// Words over the field, or none.
pub(crate) fn overlay(text: Option<&str>) {
    if let Some(text) = text {
        set_text("overlay-text", text);
    }
    set_hidden("overlay", text.is_none());
}

/// How many seconds are left when that is read aloud.
const SAID: [u64; 3] = [5, 10, 20];

/// The card over the field, or none. What changes each second is not read aloud.
pub(crate) fn pause(card: Option<&Card>) {
    set_hidden("pause", card.is_none());
    let Some(Card { number, title, line, left }) = card else { return };
    let (seconds, words) =
        left.as_ref().map_or((u64::MAX, ""), |(seconds, words)| (*seconds, words.as_str()));
    set_text("pause-number", number);
    set_text("pause-title", title);
    set_text("pause-line", line);
    set_text("pause-left", words);
    let step = SAID.iter().find(|step| seconds <= **step).map_or(String::new(), u64::to_string);
    if mark("pause-said", "data-step", &step) {
        set_text("pause-said", if step.is_empty() { "" } else { words });
    }
}

/// Sets an attribute. True when it was another before.
fn mark(id: &str, name: &str, value: &str) -> bool {
    let Some(element) = element(id) else { return false };
    let is_new = element.get_attribute(name).as_deref() != Some(value);
    is_new && element.set_attribute(name, value).is_ok()
}

/// The connection badge: a grade's name, and what it means.
pub(crate) fn badge(grade: &str, word: Name, words: Name) {
    mark("badge", "data-grade", grade);
    set_text("badge-word", &words::plain(word));
    set_text("badge-words", &words::plain(words));
}
