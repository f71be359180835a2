//! What `interplay check` says of files that are broken, each in its own way: word for word as beside the file in
//! `tests/mistakes`, where the text is too that is `own.md` for it. `INTERPLAY_ACCEPT=1` writes down what it says now, to be read before it is committed (H1).

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::interplay;

/// What is said of a file, with the exit code.
fn said_of(file: &Path) -> String {
    let place = tempfile::tempdir().unwrap();
    let study = place.path().join("study");
    fs::create_dir(&study).unwrap();
    fs::copy(file, study.join("experiment.toml")).unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/tag");
    fs::copy(demo.join("welcome.md"), study.join("welcome.md")).unwrap();
    // A text of its own, and something that a text may show.
    fs::copy(file.with_extension("md"), study.join("own.md")).ok();
    fs::write(study.join("map.svg"), "<svg/>").unwrap();
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/environments/tag.wasm");
    fs::copy(environment, study.join("tag.wasm")).unwrap();
    let done = interplay(&["check", "study"]).current_dir(place.path()).output().unwrap();
    let texts = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    format!("{}exit {}\n", texts.concat(), done.status.code().unwrap())
}

#[test]
fn every_broken_file_is_told_its_line_and_the_cure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    files.sort();
    assert!(files.len() >= 30, "{} kinds of broken files", files.len());
    let accept = std::env::var_os("INTERPLAY_ACCEPT").is_some();
    let mut others = Vec::new();
    for file in files {
        let (said, expected) = (said_of(&file), file.with_extension("txt"));
        assert!(said.ends_with("exit 1\n"), "{}: {said}", file.display());
        if accept {
            fs::write(expected, said).unwrap();
        } else if fs::read_to_string(expected).is_ok_and(|known| known == said) {
        } else {
            others.push(format!("{}:\n{said}", file.display()));
        }
    }
    assert!(others.is_empty(), "said otherwise than before:\n{}", others.join("\n"));
}
