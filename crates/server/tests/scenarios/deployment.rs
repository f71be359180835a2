//! What is in deploy/ and in the documents for those who run servers exists: options, variables, files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::interplay;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn help(command: &str) -> String {
    let said = interplay(&[command, "--help"]).output().unwrap();
    assert!(said.status.success(), "there is no command {command}");
    String::from_utf8(said.stdout).unwrap()
}

/// The words of a text that begin so, with what may follow in them.
fn words<'a>(text: &'a str, beginning: &'a str, goes_on: fn(char) -> bool) -> impl Iterator<Item = &'a str> {
    text.match_indices(beginning).filter_map(move |(at, _)| {
        let word = &text[at..];
        let is_first = !text[..at].ends_with(|before: char| goes_on(before) || before == '-');
        let length = beginning.len()
            + word[beginning.len()..].find(|next| !goes_on(next)).unwrap_or(word.len() - beginning.len());
        (is_first && length > beginning.len()).then_some(&word[..length])
    })
}

fn options(text: &str) -> impl Iterator<Item = &str> {
    words(text, "--", |next| next.is_ascii_lowercase() || next == '-')
}

fn documents() -> Vec<String> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    let files = docs.map(|file| format!("docs/{}", file.unwrap().file_name().to_string_lossy()));
    files.filter(|file| file.ends_with(".md")).chain(["README.md".to_owned()]).collect()
}

const DEPLOYMENT: [&str; 4] =
    ["deploy/compose.yaml", "deploy/Containerfile", "deploy/interplay.service", "deploy/make-env"];

/// Secrets have no options, since these are seen by everybody on a machine.
const SECRETS: [&str; 3] = ["INTERPLAY_SECRET", "INTERPLAY_API_KEY", "INTERPLAY_WEBHOOK_SECRET"];

/// What is no server's.
const OTHERS: [&str; 2] = ["INTERPLAY_TARGET", "INTERPLAY_SEEDS"];

#[test]
fn every_variable_that_is_named_is_one_of_a_servers() {
    let help = help("run");
    let known: BTreeSet<_> =
        words(&help, "[env: INTERPLAY_", |next| next.is_ascii_uppercase() || next == '_')
            .map(|word| word.trim_start_matches("[env: "))
            .chain(SECRETS)
            .chain(OTHERS)
            .collect();
    assert!(known.len() > 20, "{known:?}");
    let mut named = 0;
    for file in documents().iter().map(String::as_str).chain(DEPLOYMENT) {
        let text = read(file);
        for variable in words(&text, "INTERPLAY_", |next| next.is_ascii_uppercase() || next == '_') {
            assert!(known.contains(variable), "{file} names {variable}, which no server knows");
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}

#[test]
fn every_option_of_a_command_that_is_shown_exists() {
    let mut shown = 0;
    for file in documents().iter().map(String::as_str).chain(DEPLOYMENT) {
        // A line that goes on in the next is one.
        let text = read(file).replace("\\\n", " ");
        for line in text.lines().filter(|line| !line.contains("cargo xtask")) {
            let mut words = line
                .split(['`', ' '])
                .skip_while(|word| *word != "interplay" && !word.ends_with("/interplay"));
            let Some(command) = words.nth(1) else { continue };
            if !["demo", "run", "rooms", "export", "forget", "bench", "doctor", "new", "check"]
                .contains(&command)
            {
                continue;
            }
            let known = help(command);
            let command_line = line.split_once("interplay ").map_or(line, |(_, rest)| rest);
            let command_line = command_line.split('`').next().unwrap_or_default();
            for option in options(command_line) {
                let is_known = options(&known).any(|known| known == option);
                assert!(is_known, "{file}: `interplay {command}` has no {option}: {line}");
                shown += 1;
            }
        }
    }
    assert!(shown > 10, "{shown}");
}

#[test]
fn every_option_of_a_server_that_a_table_explains_exists() {
    let known = help("run");
    for file in ["docs/operations.md", "docs/networks.md", "docs/rooms.md"] {
        for line in read(file).lines().filter(|line| line.starts_with("| `--")) {
            for option in options(line.split('|').nth(1).unwrap_or_default()) {
                assert!(options(&known).any(|known| known == option), "{file}: there is no {option}: {line}");
            }
        }
    }
}

#[test]
fn every_file_for_deployment_that_is_named_is_there() {
    let mut named = BTreeSet::new();
    for file in documents().iter().map(String::as_str).chain(DEPLOYMENT) {
        let text = read(file);
        named.extend(
            words(&text, "deploy/", |next| next.is_ascii_alphanumeric() || "-_./".contains(next))
                .map(|word| word.trim_end_matches('.').to_owned()),
        );
    }
    for file in &named {
        let is_made = file == "deploy/.env";
        assert!(is_made || root().join(file).is_file(), "there is no {file}");
    }
    for file in ["deploy/compose.yaml", "deploy/Containerfile", "deploy/interplay.service", "deploy/make-env"]
    {
        assert!(named.contains(file), "no document names {file}");
    }
}

/// Secrets that a deployment keeps in a file are in no commit, and an image has none of them.
#[test]
fn secrets_are_kept_out() {
    assert!(read(".gitignore").lines().any(|line| line == "/deploy/.env"));
    assert!(read("deploy/Containerfile.dockerignore").lines().any(|line| line == "deploy/.env"));
}
