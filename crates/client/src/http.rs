//! Requests to the server.

use js_sys::{Function, Reflect, Uint8Array};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request, RequestInit, Response};

/// The SHA-256 of what came, in hex. A browser calculates it only on pages that came over HTTPS or from this
/// machine.
pub(crate) async fn digest(bytes: &[u8]) -> Option<String> {
    let subtle = web_sys::window()?.crypto().ok()?.subtle();
    if subtle.is_undefined() {
        return None;
    }
    let promise = subtle.digest_with_str_and_buffer_source("SHA-256", &Uint8Array::from(bytes)).ok()?;
    let digest = Uint8Array::new(&JsFuture::from(promise).await.ok()?).to_vec();
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// What a request came to.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Its JSON, as serde reads text: all JSON in the page is read so, since another way would be twice the code.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(core::str::from_utf8(&self.body).ok()?).ok()
    }
}

async fn fetch(request: &Request) -> Result<Answer, JsValue> {
    let window = web_sys::window().ok_or("no window")?;
    let response: Response = JsFuture::from(window.fetch_with_request(request)).await?.dyn_into()?;
    let body = Uint8Array::new(&JsFuture::from(response.array_buffer()?).await?).to_vec();
    Ok(Answer { status: response.status(), body })
}

fn authorize(request: &Request, token: Option<&str>) -> Result<(), JsValue> {
    match token {
        Some(token) => request.headers().set("authorization", &["Bearer ", token].concat()),
        None => Ok(()),
    }
}

/// A request that was under way when the path was cut would hang for as long as the system tries again. Where a browser
/// cannot set a limit there is none.
fn give_up_after(init: &RequestInit, millis: u32) {
    let signal = Reflect::get(&js_sys::global(), &"AbortSignal".into()).and_then(|signals| {
        let timeout: Function = Reflect::get(&signals, &"timeout".into())?.dyn_into()?;
        timeout.call1(&signals, &millis.into())
    });
    if let Ok(signal) = signal {
        Reflect::set(init, &"signal".into(), &signal).ok();
    }
}

pub(crate) async fn get(url: &str, token: Option<&str>, limit: Option<u32>) -> Result<Answer, JsValue> {
    let init = RequestInit::new();
    if let Some(millis) = limit {
        give_up_after(&init, millis);
    }
    let request = Request::new_with_str_and_init(url, &init)?;
    authorize(&request, token)?;
    fetch(&request).await
}

/// How long a batch may take, in milliseconds: a quarter of a megabyte on a slow line.
const UPLOAD_LIMIT: u32 = 15_000;

pub(crate) async fn post(url: &str, kind: &str, token: Option<&str>, body: &[u8]) -> Result<Answer, JsValue> {
    let init = RequestInit::new();
    init.set_method("POST");
    give_up_after(&init, UPLOAD_LIMIT);
    init.set_body(&Uint8Array::from(body));
    let request = Request::new_with_str_and_init(url, &init)?;
    request.headers().set("content-type", kind)?;
    authorize(&request, token)?;
    fetch(&request).await
}
