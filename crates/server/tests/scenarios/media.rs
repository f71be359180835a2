//! Pictures, sound and video in texts: where they are served, as what, and for how long (S2, A2).

use std::fs;

use sha2::{Digest, Sha256};
use ureq::http::{HeaderMap, StatusCode};
use wire::control::{SceneKind, ServerMessage};

use crate::support::{Page, Server};

const EXPERIMENT: &str = r#"
id = "study"
title = "Study"

[[scene]]
kind = "start"
id = "welcome"
body = "welcome.md"

[[scene]]
kind = "end"
id = "thanks"
"#;

const MAP: &str = r#"<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>"#;

fn served(content: &[u8], kind: &str) -> String {
    let hash: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("/files/{hash}.{kind}")
}

/// Status, headers and content of what is at an address, all of it or a part.
fn fetch(server: &Server, path: &str, range: Option<&str>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.get(format!("http://{}{path}", server.address));
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let (parts, mut body) = request.call().unwrap().into_parts();
    (parts.status, parts.headers, body.read_to_vec().unwrap())
}

/// The text of the scene that a visit is in.
fn text(server: &Server, token: &str) -> String {
    Page::open(server, token).hear_until(|message| match message {
        ServerMessage::ActivateScene { scene } => match scene.kind {
            SceneKind::Start(sheet) => Some(sheet.body),
            _ => None,
        },
        _ => None,
    })
}

#[test]
fn a_visit_sees_the_pictures_that_it_began_with() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
    let film: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    write("experiment.toml", EXPERIMENT.as_bytes());
    write("welcome.md", b"![A map](map.svg)\n\n<video src=\"film.mp4\" controls></video>\n");
    write("map.svg", MAP.as_bytes());
    write("film.mp4", &film);
    let place = folder.path().to_str().unwrap();
    let mut server = Server::start_as(&["run", place], data.path());
    let token = server.visit();
    let (map, video) = (served(MAP.as_bytes(), "svg"), served(&film, "mp4"));
    let before = text(&server, &token);
    assert!(
        before.contains(&format!("src=\"{map}\"")) && before.contains(&format!("src=\"{video}\"")),
        "{before}"
    );

    let (status, headers, content) = fetch(&server, &map, None);
    assert_eq!((status.as_u16(), content.as_slice()), (200, MAP.as_bytes()));
    for (name, value) in [
        ("content-type", "image/svg+xml"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    ] {
        assert_eq!(headers[name], value);
    }
    let (status, headers, content) = fetch(&server, &video, Some("bytes=99990-"));
    assert_eq!((status.as_u16(), content.as_slice()), (206, &film[99_990..]));
    assert_eq!(
        (&headers["content-type"], &headers["content-range"]),
        (&"video/mp4".parse().unwrap(), &"bytes 99990-99999/100000".parse().unwrap())
    );
    assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    let (status, headers, _) = fetch(&server, &video, Some("bytes=100000-"));
    assert_eq!((status.as_u16(), &headers["content-range"]), (416, &"bytes */100000".parse().unwrap()));
    assert_eq!(fetch(&server, &video, None).2, film);

    let page = fetch(&server, "/", None).1;
    let policy = page["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("img-src 'self' data:; media-src 'self';"), "{policy}");

    // The folder becomes another, and the server too.
    server.kill();
    write("welcome.md", b"![A map](map.svg)");
    write("map.svg", b"<svg/>");
    fs::remove_file(folder.path().join("film.mp4")).unwrap();
    let server = Server::start_as(&["run", place], data.path());
    assert_eq!(text(&server, &token), before);
    assert_eq!(fetch(&server, &map, None).2, MAP.as_bytes());
    assert_eq!(fetch(&server, &video, None).2, film);
    let new = served(b"<svg/>", "svg");
    assert!(text(&server, &server.visit()).contains(&new));
    assert_eq!(fetch(&server, &new, None).2, b"<svg/>");
}

#[test]
fn nothing_but_what_texts_show_is_served() {
    let data = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("experiment.toml"), EXPERIMENT).unwrap();
    fs::write(folder.path().join("welcome.md"), "![](map.svg)").unwrap();
    fs::write(folder.path().join("map.svg"), MAP).unwrap();
    let server = Server::start_as(&["run", folder.path().to_str().unwrap()], data.path());
    let map = served(MAP.as_bytes(), "svg");
    let png = map.replace(".svg", ".png");
    for path in [
        "/files/",
        "/files/map.svg",
        "/files/experiment.toml",
        "/files/../experiment.toml",
        "/files/%2e%2e%2fexperiment.toml",
        "/files/..%2f..%2fetc%2fpasswd",
        "/files//etc/passwd",
        "/files/%2fetc%2fpasswd",
        "/files/%00.svg",
        &png,
        &map.to_uppercase(),
        &format!("{map}/"),
        &format!("{map}.svg"),
    ] {
        let (status, headers, content) = fetch(&server, path, None);
        assert_eq!(status.as_u16(), 404, "{path}");
        assert_eq!(headers["content-type"], "application/problem+json", "{path}");
        assert!(!String::from_utf8_lossy(&content).contains("root:"), "{path}");
    }
    // What is no text at all cannot be a name.
    assert_eq!(fetch(&server, "/files/%ff.svg", None).0.as_u16(), 400);
    assert_eq!(fetch(&server, &map, None).0.as_u16(), 200);
}
