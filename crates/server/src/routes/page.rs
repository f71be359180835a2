//! The participant's page.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::assets;
use crate::problem::Problem;

pub(super) async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    find("index.html", &headers)
}

pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    find(&name, &headers)
}

fn find(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    assets::page(name, headers)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "the page has no such file"))
}
