//! What an experiment's texts show: pictures, sound and video, by their hash.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RANGE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use store::FILE_PART;

use super::Study;
use super::openapi::{Absent, Malformed, Octets, Unsatisfiable};
use super::readings::Readings;
use crate::media;
use crate::problem::Problem;

/// A picture that is opened on its own is a page of this server's. It runs nothing (A2).
const SVG_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// Which bytes are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    All,
    /// From one to another, both included.
    Part(u32, u32),
    /// None that there are.
    None,
}

impl Asked {
    /// Of so many bytes. Several ranges, and what cannot be understood, count as all (RFC 9110, section 14.2).
    fn of(headers: &HeaderMap, length: u32) -> Self {
        let range = headers.get(RANGE).and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
        let Some((from, to)) = range.and_then(|range| range.trim().split_once('-')) else { return Self::All };
        let part = match (from.parse::<u32>(), to.parse::<u32>()) {
            (Ok(from), Ok(to)) if from <= to => (from, to.min(length.saturating_sub(1))),
            (Ok(from), Err(_)) if to.is_empty() => (from, length.saturating_sub(1)),
            (Err(_), Ok(last)) if from.is_empty() => (length - last.min(length), length.saturating_sub(1)),
            _ => return Self::All,
        };
        if part.0 < length { Self::Part(part.0, part.1) } else { Self::None }
    }
}

/// A file that an experiment's texts show. Its address never has other contents.
///
/// A part of it is given for one range of bytes; for several there is all of it.
#[utoipa::path(
    get,
    path = "/files/{name}",
    tag = "Experiments, for a participant's page",
    params((
        "name" = String, Path,
        description = "The content's SHA-256 in hex, a dot, and the kind: `png`, `jpg`, `svg`, `mp4` and others."
    )),
    responses(
        (status = 200, description = "The file, with its own content type.", body = Octets, content_type = "*/*"),
        (status = 206, description = "The part that was asked for.", body = Octets, content_type = "*/*"),
        Malformed, Absent, Unsatisfiable,
    )
)]
pub(super) async fn read(
    State(study): State<Study>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let none = || Problem::new(StatusCode::NOT_FOUND, "there is no such file");
    let Path(name) = name?;
    let (sha256, kind) = media::parse_name(&name).ok_or_else(none)?;
    let key = (sha256.to_owned(), kind);
    let length = {
        let key = key.clone();
        study.readings.read(move |reader| reader.file_length(&key.0, key.1)).await?.ok_or_else(none)?
    };
    let (status, range, (from, end)) = match Asked::of(&headers, length) {
        Asked::All => (StatusCode::OK, None, (0, length)),
        Asked::Part(from, to) => {
            (StatusCode::PARTIAL_CONTENT, Some(format!("bytes {from}-{to}/{length}")), (from, to + 1))
        }
        Asked::None => {
            let detail = format!("the file has {length} bytes");
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, detail);
            return Ok(([(CONTENT_RANGE, format!("bytes */{length}"))], problem).into_response());
        }
    };
    let kept = [
        (CONTENT_TYPE, media::content_type(kind).unwrap_or_default()),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (ACCEPT_RANGES, "bytes"),
    ];
    // `nosniff`, and the page's own policy where there is none, are put on every answer.
    let range = range.map(|range| [(CONTENT_RANGE, range)]);
    let policy = (kind == media::SVG).then_some([(CONTENT_SECURITY_POLICY, SVG_POLICY)]);
    let long = [(CONTENT_LENGTH, (end - from).to_string())];
    Ok((status, kept, long, range, policy, bytes(study.readings, key, from, end)).into_response())
}

/// A file's bytes from one to another, of which no more is held than a part: whoever reads slowly costs no more.
fn bytes(readings: Readings, key: (String, &'static str), from: u32, end: u32) -> Body {
    let parts = stream::try_unfold((readings, key, from), move |(readings, key, at)| async move {
        if at >= end {
            return Ok(None);
        }
        let (part, begin) = (at / FILE_PART, at / FILE_PART * FILE_PART);
        let own = key.clone();
        let read = readings.read(move |reader| reader.file_part((&own.0, own.1), part)).await;
        let content = read.ok().flatten().and_then(|content| {
            let to = (content.len() as u32).min(end - begin);
            Some(Bytes::from(content).slice((at - begin) as usize..to as usize))
                .filter(|bytes| !bytes.is_empty())
        });
        // An answer that has begun can only be broken off.
        let content = content.ok_or_else(|| io::Error::other("a part of a file cannot be read"))?;
        let next = at + content.len() as u32;
        Ok::<_, io::Error>(Some((content, (readings, key, next))))
    });
    Body::from_stream(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_within_the_file() {
        let of = |range: &str| Asked::of(&[(RANGE, range.parse().unwrap())].into_iter().collect(), 100);
        assert_eq!(Asked::of(&HeaderMap::new(), 100), Asked::All);
        for (range, asked) in [
            ("bytes=0-", Asked::Part(0, 99)),
            ("bytes=0-1", Asked::Part(0, 1)),
            ("bytes=99-99", Asked::Part(99, 99)),
            ("bytes=50-1000", Asked::Part(50, 99)),
            ("bytes=-10", Asked::Part(90, 99)),
            ("bytes=-1000", Asked::Part(0, 99)),
            ("bytes=100-", Asked::None),
            ("bytes=-0", Asked::None),
            ("bytes=0-1,4-5", Asked::All),
            ("bytes=5-4", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=a-b", Asked::All),
            ("frames=0-1", Asked::All),
            ("bytes=99999999999999999999-", Asked::All),
        ] {
            assert_eq!(of(range), asked, "{range}");
        }
        let first = [(RANGE, "bytes=0-".parse().unwrap())].into_iter().collect();
        assert_eq!(Asked::of(&first, 0), Asked::None, "an empty file has no first byte");
    }
}
