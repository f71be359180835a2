//! The participant page: thin drivers around [`session`], one browser concern a file.
//!
//! | file | concern |
//! | --- | --- |
//! | `app` | what there is one of in a page, and what the server's messages do |
//! | `entry` | who the participant is: links, storage, the address bar |
//! | `control` | the WebSocket, and coming back |
//! | `play` | one game: session, environment, links, uploads |
//! | `pause` | what a game keeps while it stands still |
//! | `unsent` | what the server does not have, in the browser's storage |
//! | `peers` | WebRTC connections |
//! | `environment` | a prepared module in this browser |
//! | `clock` | time, and a timer that a hidden tab does not slow |
//! | `keyboard` | keys and touch buttons |
//! | `canvas` | draw lists on a canvas |
//! | `view` | texts and sections |
//! | `finish` | games that have ended early, the end, and the way out |
//! | `words` | everything that the page says, in the visit's language |
//! | `snapshot` | `window.interplay` |
#![cfg(target_arch = "wasm32")]

mod app;
mod canvas;
mod clock;
mod control;
mod entry;
mod environment;
mod finish;
mod form;
mod http;
mod keyboard;
mod pause;
mod peers;
mod play;
mod screening;
mod snapshot;
mod unsent;
mod view;
mod words;

use wasm_bindgen::prelude::*;

pub use environment::ScriptedEnvironment;

/// Starts the page.
///
/// # Errors
/// When the page lacks what it must have.
#[wasm_bindgen(start)]
pub fn start() -> Result<(), JsValue> {
    // Tests import this module without the page to reach its classes.
    if view::is_page() { app::start() } else { Ok(()) }
}
