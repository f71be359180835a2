//! Who the participant is (S5).
//!
//! A personal link carries the token behind `#visit=`; a tab keeps its token in its session storage, so that a
//! reload is the same participant and a new tab a new one. The address bar keeps neither token nor platform ids.

use wasm_bindgen::prelude::*;
use web_sys::{Storage, UrlSearchParams, Window};

use crate::http;
use crate::play::sleep;

const STORED: &str = "interplay.token";
const LINK: &str = "#visit=";

/// Whose link the token came with, and what platforms call that.
const PERSON: &str = "interplay.person";
const PERSONS: [&str; 2] = ["PROLIFIC_PID", "workerId"];

/// Why there is no token: this person has the study open elsewhere.
pub(crate) const IS_OPEN: &str = "open";
const PLATFORM_IDS: [&str; 6] =
    ["PROLIFIC_PID", "STUDY_ID", "SESSION_ID", "workerId", "assignmentId", "hitId"];

fn window() -> Result<Window, JsValue> {
    web_sys::window().ok_or_else(|| "no window".into())
}

/// What lasts as long as the tab.
pub(crate) fn storage() -> Option<Storage> {
    window().ok()?.session_storage().ok().flatten()
}

/// Forgets who this tab is: its token was refused.
pub(crate) fn forget() {
    if let Some(storage) = storage() {
        storage.remove_item(STORED).ok();
    }
}

/// This tab's token: from its personal link, its storage, or new from the server.
pub(crate) async fn token() -> Result<String, JsValue> {
    let location = window()?.location();
    let linked = location.hash()?.strip_prefix(LINK).map(str::to_owned);
    let query = UrlSearchParams::new_with_str(&location.search()?)?;
    let in_link = linked.is_some() || !location.search()?.is_empty();
    let kept = |name: &str| storage()?.get_item(name).ok().flatten();
    // Whose link it is: somebody else who sits down at the same tab is not who sat there before.
    let person = PERSONS.iter().find_map(|name| query.get(name));
    let is_same = person.is_none() || person == kept(PERSON);
    let token = match linked.or_else(|| kept(STORED).filter(|_| is_same)) {
        Some(token) => token,
        None => new_visit(&query).await?,
    };
    // Where that did not work the link stays, so that loading the page again tries the same again.
    if in_link {
        let path = location.pathname()?;
        window()?.history()?.replace_state_with_url(&JsValue::NULL, "", Some(&path))?;
    }
    if let Some(storage) = storage() {
        storage.set_item(STORED, &token).ok();
        if let Some(person) = person {
            storage.set_item(PERSON, &person).ok();
        }
    }
    Ok(token)
}

/// Between attempts to begin a visit, in milliseconds: at least, doubling from the first to the last.
const FIRST_WAIT: i32 = 250;
const LAST_WAIT: i32 = 4000;

async fn new_visit(query: &UrlSearchParams) -> Result<String, JsValue> {
    let mut entry = serde_json::Map::new();
    for name in PLATFORM_IDS {
        if let Some(value) = query.get(name) {
            entry.insert(name.into(), value.into());
        }
    }
    let body = serde_json::json!({ "entry": entry }).to_string();
    let mut wait = FIRST_WAIT;
    let answer = loop {
        let answer = http::post("/api/v1/visits", "application/json", None, body.as_bytes()).await?;
        // No node runs the experiment just now, or a proxy knows of none: one soon does.
        if answer.status < 500 || wait > LAST_WAIT {
            break answer;
        }
        sleep(wait + (js_sys::Math::random() * f64::from(wait)) as i32).await;
        wait *= 2;
    };
    if answer.status == 409 {
        return Err(IS_OPEN.into());
    }
    let answer: serde_json::Value = answer.json().ok_or("the server's answer is no JSON")?;
    answer["token"].as_str().map(str::to_owned).ok_or_else(|| "the server gave no token".into())
}
