//! What is inside the binary: the page, its client, the demo, and templates.

use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

/// The page, which `cargo xtask build` puts there.
#[derive(RustEmbed)]
#[folder = "../../assets/page"]
struct Page;

/// The demo, which `cargo xtask build` puts there.
#[derive(RustEmbed)]
#[folder = "../../assets/experiments/tag"]
struct Demo;

/// Folders to begin an experiment with.
#[derive(RustEmbed)]
#[folder = "../../experiments/templates"]
struct Templates;

/// A file of the demo.
pub(crate) fn demo(name: &str) -> Option<Vec<u8>> {
    Demo::get(name).map(|file| file.data.into_owned())
}

/// A template's files, by name.
pub(crate) fn template(name: &str) -> Vec<(String, Vec<u8>)> {
    let of_it = |path: &str| path.strip_prefix(name)?.strip_prefix('/').map(str::to_owned);
    let file = |path: String| Some((of_it(&path)?, Templates::get(&path)?.data.into_owned()));
    Templates::iter().filter_map(|path| file(path.into_owned())).collect()
}

/// The page itself, without an experiment's texts.
pub(crate) fn index() -> Option<String> {
    String::from_utf8(Page::get("index.html")?.data.into_owned()).ok()
}

/// A file of the page, as a response that a browser keeps but asks about.
pub(crate) fn page(name: &str, headers: &HeaderMap) -> Option<Response> {
    let file = Page::get(name)?;
    let hash: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("W/\"{hash}\"");
    let keep = [
        (ETAG, tag.clone()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (VARY, ACCEPT_ENCODING.as_str().to_owned()),
    ];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Some((StatusCode::NOT_MODIFIED, keep).into_response());
    }
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let kind = [(CONTENT_TYPE, kind)];
    let accepted =
        headers.get(ACCEPT_ENCODING).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    // Compressed at build time, better than there is time for here.
    if accepted.contains("gzip")
        && let Some(small) = Page::get(&format!("{name}.gz"))
    {
        return Some((keep, kind, [(CONTENT_ENCODING, "gzip")], small.data.into_owned()).into_response());
    }
    Some((keep, kind, file.data.into_owned()).into_response())
}
