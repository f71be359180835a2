//! What the command line does, and how it fails: a clear word and an exit code.

use std::fs;
use std::path::Path;

use crate::support::{Page, Server, ended, interplay};

#[test]
fn it_serves_the_page_and_says_how_it_is() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    assert_eq!(server.get("/healthz").0, 200);
    assert_eq!(server.get("/readyz").0, 200);
    let (status, page) = server.get("/");
    assert!(status == 200 && page.contains("<title>"), "{page}");
    drop(Page::open(&server, &server.visit()));
    let (status, metrics) = server.get("/metrics");
    assert!(status == 200 && metrics.contains("interplay_visits_total 1"), "{metrics}");
    let (status, nothing) = server.get("/nothing");
    assert!(status == 404 && nothing.contains("\"detail\":\"there is nothing here\""), "{nothing}");
}

#[test]
fn sigterm_closes_connections_and_ends_with_success() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path());
    let mut page = Page::open(&server, &server.visit());
    page.hear().unwrap();
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(page.closed_with(), wire::close::CloseCode::GoingAway);
}

#[test]
fn a_port_that_is_taken_is_named_with_the_cure() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&data.path().join("one"));
    let other = data.path().join("other");
    let (code, said) = ended(interplay(&["demo", "--listen", &server.address, "--data"]).arg(other));
    assert_eq!(code, Some(1));
    assert!(said.contains(&server.address) && said.contains("--listen"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    // A file in the way stops root too.
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("file");
    fs::write(&file, "").unwrap();
    let (code, said) =
        ended(interplay(&["demo", "--listen", "127.0.0.1:0", "--data"]).arg(file.join("data")));
    assert_eq!(code, Some(1));
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    assert_eq!(ended(&mut interplay(&["demo", "--players", "many"])).0, Some(2));
    assert_eq!(ended(&mut interplay(&["play"])).0, Some(2));
    let (code, said) = ended(&mut interplay(&["demo", "--listen", "127.0.0.1:0", "--players", "9"]));
    assert!(code == Some(1) && said.contains("players"), "{code:?} {said}");
}

const GOOD: &str = r#"
id = "mine"
title = "Mine"

[[scene]]
kind = "game"
id = "play"
environment = "tag.wasm"
players = 2
max_frames = 300
keys = { ArrowLeft = "left" }

[[scene]]
kind = "end"
id = "thanks"
"#;

fn write(folder: &Path, experiment: &str) {
    fs::write(folder.join("experiment.toml"), experiment).unwrap();
    let tag = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/environments/tag.wasm");
    fs::copy(tag, folder.join("tag.wasm")).unwrap();
}

#[test]
fn a_broken_experiment_is_told_with_file_and_field() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, expected) in [
        ("players = 2", "players = 0", &["experiment.toml", "players"][..]),
        ("players = 2", "players = \"two\"", &["experiment.toml", "line 9", "players"]),
        ("players = 2", "plyers = 2", &["experiment.toml", "line 9", "plyers"]),
        ("title = \"Mine\"", "title = ", &["experiment.toml", "line 3"]),
        ("tag.wasm", "none.wasm", &["none.wasm"]),
        ("tag.wasm", "experiment.toml", &["experiment.toml"]),
        ("\"left\"", "\"lft\"", &["experiment.toml", "lft"]),
        ("max_frames = 300", "max_frames = 0", &["experiment.toml", "max_frames"]),
        ("id = \"thanks\"", "id = \"play\"", &["experiment.toml", "play"]),
    ] {
        assert!(GOOD.contains(from), "{from}");
        write(folder.path(), &GOOD.replace(from, to));
        let data = folder.path().join("data");
        let (code, said) =
            ended(interplay(&["run", "--listen", "127.0.0.1:0"]).arg(folder.path()).arg("--data").arg(data));
        assert_eq!(code, Some(1), "{to}: {said}");
        for word in expected {
            assert!(said.contains(word), "{to}: {word} is not in: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
    let (code, said) = ended(&mut interplay(&["run", "no-such-folder", "--listen", "127.0.0.1:0"]));
    assert!(code == Some(1) && said.contains("no-such-folder"), "{said}");
}

#[test]
fn exporting_what_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    let (code, said) = ended(interplay(&["export", "--data"]).arg(&data).arg("--out").arg(out));
    assert!(code == Some(1) && said.contains(data.to_str().unwrap()), "{said}");
}

#[test]
fn a_new_experiment_has_its_schema_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let tell = |words: &[&str]| interplay(words).current_dir(place.path()).output().unwrap();
    let printed = tell(&["schema"]);
    assert!(printed.status.success());
    let schema: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/experiment.schema.json");
    assert_eq!(fs::read(kept).unwrap(), printed.stdout);
    let made = tell(&["new", "study"]);
    assert!(String::from_utf8_lossy(&made.stdout).contains("experiment.schema.json"));
    let file = fs::read_to_string(place.path().join("study/experiment.toml")).unwrap();
    let named = file.lines().next().and_then(|line| line.strip_prefix("#:schema ")).unwrap();
    assert_eq!(fs::read(place.path().join("study").join(named)).unwrap(), printed.stdout);
    // It is nothing to the study itself.
    assert!(tell(&["check", "study"]).status.success());
    fs::write(place.path().join("study").join(named), "no schema").unwrap();
    assert!(tell(&["check", "study"]).status.success());
}
