//! What comes after: a game that has ended early, the end of the visit, and the way out. Nobody is sent away, and nothing is
//! called saved, before the server has it (X3, S5).

use wasm_bindgen::prelude::*;
use wire::control::{Exit, Withdrawal};

use crate::form;
use crate::peers::call;
use crate::view::{element, focus, set_hidden, set_text};
use crate::words::{self, say};

/// What there is to read when a game has ended early.
pub(crate) struct Over {
    text: String,
    is_shown: bool,
    is_saved: bool,
}

impl Over {
    pub(crate) const fn new(text: String) -> Self {
        Self { text, is_shown: false, is_saved: false }
    }

    pub(crate) fn show(&mut self) {
        let title = say!("game_ended");
        set_text("over-title", &title);
        set_text("over-text", &self.text);
        crate::view::show("over");
        focus("over-title");
        crate::view::announce(&[&title, ". ", &self.text].concat());
        self.is_shown = true;
        self.is_saved = false;
        tell_saved("over-saved", false, "");
        set_hidden("over-button", true);
    }

    /// Whether the server has everything.
    pub(crate) fn set_saved(&mut self, is_saved: bool) {
        if self.is_shown && is_saved && !self.is_saved {
            self.is_saved = true;
            tell_saved("over-saved", true, &say!("saved"));
            set_hidden("over-button", false);
            focus("over-button");
        }
    }
}

fn tell_saved(id: &str, is_saved: bool, words: &str) {
    if is_saved {
        set_text(id, words);
    } else {
        set_text(id, &say!("saving"));
    }
    if let Some(line) = element(id) {
        line.class_list().toggle_with_force("done", is_saved).ok();
    }
}

/// The way out.
pub(crate) struct Way {
    exit: Option<Exit>,
    is_deleted: bool,
    /// How often it was looked at since everything is saved.
    looks: u32,
}

impl Way {
    /// The end is shown; its way out is not yet.
    pub(crate) fn new(exit: Option<Exit>, is_deleted: bool) -> Self {
        for id in ["end-code", "end-link"] {
            set_hidden(id, true);
        }
        tell_saved("end-saved", false, "");
        Self { exit, is_deleted, looks: 0 }
    }

    /// Whether the server has everything: called about once a second.
    pub(crate) fn look(&mut self, is_saved: bool) {
        if !is_saved {
            return;
        }
        self.looks += 1;
        let Exit { code, redirect } = self.exit.clone().unwrap_or_default();
        let saved = if self.is_deleted { say!("deleted") } else { say!("saved_all") };
        let next = match (&code, &redirect) {
            (Some(_), _) => say!("next_code"),
            (_, Some(_)) => say!("next_redirect"),
            (None, None) => say!("next_nothing"),
        };
        let words = [&*saved, " ", &next].concat();
        if self.looks == 1 {
            tell_saved("end-saved", true, &words);
        }
        if let Some(code) = code {
            set_text("end-code-text", &code);
            set_hidden("end-code", false);
        }
        if let Some(redirect) = redirect {
            if let Some(link) = element("end-link") {
                link.set_attribute("href", &redirect).ok();
                link.set_hidden(false);
            }
            // Not at once, so that the words can be read, and once.
            if self.looks == 3
                && let Some(window) = web_sys::window()
            {
                window.location().replace(&redirect).ok();
            }
        }
    }
}

/// Puts the code where it can be pasted from.
pub(crate) fn copy_code() {
    let Some(code) = element("end-code-text").and_then(|code| code.text_content()) else { return };
    let Some(window) = web_sys::window() else { return };
    // Pages without https have no clipboard.
    let clipboard = js_sys::Reflect::get(&window.navigator(), &"clipboard".into()).unwrap_or_default();
    if call(&clipboard, "writeText", &code.into()).is_ok() {
        set_text("end-copy", &say!("code_copied"));
    } else if let (Ok(Some(selection)), Some(code)) = (window.get_selection(), element("end-code-text")) {
        selection.select_all_children(&code).ok();
    }
}

/// How long one may still wait in the lobby.
pub(crate) fn show_left(seconds: u64) {
    set_text("lobby-left", &say!("lobby_left", time = &words::clock(seconds)));
}

/// Asks whether the participant really wants to leave, and says what becomes of the data; without an answer to that it asks no
/// more.
pub(crate) fn ask(withdrawal: Option<Withdrawal>) {
    let Some(dialog) = element("leaving") else { return };
    if let Some(withdrawal) = withdrawal {
        set_hidden("leaving-kept", withdrawal != Withdrawal::Keep);
        set_hidden("leaving-offer", withdrawal != Withdrawal::OfferDeletion);
        set_hidden("leaving-deleted", withdrawal != Withdrawal::Delete);
        set_hidden("leaving-games", withdrawal == Withdrawal::Keep);
        // What was ticked before one stayed after all is no wish.
        form::untick("leaving-delete");
    }
    call(&dialog, if withdrawal.is_some() { "showModal" } else { "close" }, &JsValue::UNDEFINED).ok();
}
