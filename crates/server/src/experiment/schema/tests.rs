//! The schema beside the reader: what one takes, the other takes; what one refuses, the other refuses where it can.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;

use super::*;
use crate::experiment::Mistakes;
use crate::experiment::tests::load_text;

/// Files in `tests/mistakes` that the schema refuses.
const SEEN: [&str; 28] = [
    "choice-without-options",
    "code-and-redirect",
    "frames-a-second",
    "ice-server-without-a-scheme",
    "id-with-spaces",
    "likert-of-one-point",
    "many-at-once",
    "negative-countdown",
    "no-id",
    "no-length",
    "no-scenes",
    "no-title",
    "number-in-quotes",
    "quota-of-none",
    "redirect-to-no-address",
    "round-trip-without-a-limit",
    "too-many-players",
    "turn-without-a-password",
    "unknown-browser-in-screening",
    "unknown-ending",
    "unknown-key-at-the-top",
    "unknown-key-in-a-scene",
    "unknown-key-in-recovery",
    "unknown-kind",
    "unknown-text",
    "unknown-type-of-question",
    "unknown-word-for-hidden-pages",
    "webhook-that-is-no-address",
];

/// Those in which no table is wrong by itself: what other tables, other files or the environment say is wrong about it. The first
/// two could be said of a table, but nobody would understand how it is told.
const UNSEEN: [&str; 29] = [
    "attempts-without-a-right-answer",
    "unknown-language",
    "block-of-scenes-that-do-not-follow",
    "block-with-an-unknown-scene",
    "blocks-that-overlap",
    "branch-on-a-later-answer",
    "branch-on-an-unknown-question",
    "environment-that-is-none",
    "field-id-twice",
    "file-outside-the-folder",
    "least-is-more-than-most",
    "more-violations-than-measurements",
    "no-end",
    "no-such-environment",
    "no-such-text",
    "on-full-leads-back",
    "partner-lost-leads-nowhere",
    "right-answer-that-nobody-can-give",
    "same-group-as-in-no-game",
    "scene-id-twice",
    "too-long",
    "unknown-button",
    "unknown-condition",
    "unknown-option-of-an-environment",
    "unknown-variable-in-a-text",
    "waiting-leads-nowhere",
    "waiting-leads-to-itself",
    "pictures-that-cannot-be-shown",
    "variables-in-a-redirect",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn value() -> Value {
    serde_json::from_str(&file()).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft7::new(&value()).unwrap()
}

/// A file as the schema sees it.
fn read(text: &str) -> Option<Value> {
    serde_json::to_value(toml::from_str::<toml::Table>(text).ok()?).ok()
}

/// What the schema says against a file.
fn objections(validator: &Validator, file: &Value) -> Vec<String> {
    validator.iter_errors(file).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The experiments of this repository, by their files.
fn shipped() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("experiments")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.ends_with("experiment.toml") {
                found.push(path);
            }
        }
    }
    found
}

/// Has every key that there is, but for those that exclude each other: of these in another scene, or field.
const WHOLE: &str = include_str!("whole.toml");

#[test]
fn the_schema_is_one() {
    jsonschema::draft7::meta::validate(&value()).unwrap();
}

#[test]
fn the_schema_in_the_repository_is_this_one() {
    let path = root().join("experiments").join(SCHEMA_FILE);
    if std::env::var_os("INTERPLAY_ACCEPT").is_some() {
        fs::write(&path, file()).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap();
    assert!(known == file(), "{} is another one; INTERPLAY_ACCEPT=1 writes it", path.display());
}

#[test]
fn what_is_shipped_is_valid_and_names_a_schema_that_is_there() {
    let (validator, files) = (validator(), shipped());
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(objections(&validator, &read(&text).unwrap()), [""; 0], "{}", file.display());
        let named = text.lines().next().and_then(|line| line.strip_prefix(DIRECTIVE)).unwrap();
        let there = file.parent().unwrap().join(named).canonicalize().unwrap();
        assert_eq!(there, root().join("experiments").join(SCHEMA_FILE).canonicalize().unwrap());
    }
}

#[test]
fn what_the_documentation_shows_is_valid() {
    let validator = validator();
    let document = fs::read_to_string(root().join("docs/experiments.md")).unwrap();
    let shown = document.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let whole: Vec<_> = shown.filter(|shown| shown.starts_with("id = ")).collect();
    assert!(whole.len() >= 2, "{whole:?}");
    for text in whole {
        assert_eq!(objections(&validator, &read(text).unwrap()), [""; 0], "{text}");
    }
}

#[test]
fn mistakes_that_can_be_seen_in_a_table_are_refused() {
    let validator = validator();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let (mut seen, mut unseen) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // What is no TOML has no tables to look at.
        let Some(file) = read(&fs::read_to_string(&path).unwrap()) else { continue };
        let is_seen = !validator.is_valid(&file);
        if is_seen { &mut seen } else { &mut unseen }.insert(name);
    }
    assert_eq!(seen, SEEN.map(str::to_owned).into());
    assert_eq!(unseen, UNSEEN.map(str::to_owned).into());
}

/// What the reader says against a file, but for the environment, which is not there: to prepare one takes longer than to read.
fn said_of(file: &Value) -> BTreeSet<String> {
    let text = toml::to_string(file).unwrap().replace("tag.wasm", "none.wasm");
    let error = load_text(&text).unwrap_err();
    let mistakes = &error.downcast_ref::<Mistakes>().unwrap().mistakes;
    let texts = mistakes.iter().map(|mistake| mistake.text.clone());
    texts.filter(|text| !text.starts_with("environment: cannot read")).collect()
}

fn whole() -> Value {
    read(WHOLE).unwrap()
}

/// A table, or something else, in a file: its JSON pointer, and the schema that is for it.
fn places<'a>(schema: &'a Value, value: &Value, place: &str, found: &mut Vec<(String, &'a Value)>) {
    let is_one = |schema: &&Value| schema["type"] != "object" || value.is_object();
    let schema = match schema["anyOf"].as_array().filter(|_| schema["type"].is_null()) {
        Some(either) => either.iter().rfind(is_one).unwrap(),
        None => schema,
    };
    found.push((place.to_owned(), schema));
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let known = &schema["properties"][key];
                let known = if known.is_null() { &schema["additionalProperties"] } else { known };
                places(known, value, &format!("{place}/{key}"), found);
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                places(&schema["items"], value, &format!("{place}/{at}"), found);
            }
        }
        _ => {}
    }
}

/// Every table of the whole file that has keys of its own, with its schema.
fn tables(schema: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    places(schema, &whole(), "", &mut found);
    found.retain(|(_, schema)| schema["additionalProperties"] == false);
    assert!(found.len() >= 30, "{found:?}");
    found
}

/// The whole file with a value put in.
fn with(place: &str, key: &str, value: Value) -> Value {
    let mut file = whole();
    file.pointer_mut(place).unwrap()[key] = value;
    file
}

#[test]
fn the_file_with_every_key_is_valid_and_has_every_key() {
    let (schema, file) = (value(), whole());
    assert_eq!(objections(&validator(), &file), [""; 0]);
    load_text(WHOLE).unwrap();
    assert_eq!(said_of(&file), BTreeSet::new());
    let (mut known, mut used) = (BTreeSet::new(), BTreeSet::new());
    for (place, table) in tables(&schema) {
        // A place without numbers is the same for all scenes, and for all questions.
        let kind: String = place.split('/').filter(|part| part.parse::<usize>().is_err()).collect();
        let is_by_name = kind.ends_with("texts") || kind.ends_with("exits");
        for key in table["properties"].as_object().unwrap().keys().filter(|_| !is_by_name) {
            known.insert(format!("{kind}.{key}"));
        }
        for key in file.pointer(&place).unwrap().as_object().unwrap().keys().filter(|_| !is_by_name) {
            used.insert(format!("{kind}.{key}"));
        }
    }
    let unused: Vec<_> =
        known.difference(&used).filter(|key| !key.contains("when") && !key.contains("exits")).collect();
    assert_eq!(unused, [""; 0], "whole.toml lacks keys that there are");
}

#[test]
fn both_know_the_same_keys() {
    let (schema, validator) = (value(), validator());
    let mut compared = 0;
    for (place, table) in tables(&schema) {
        let file = with(&place, "unknown_key", "x".into());
        assert!(!validator.is_valid(&file), "the schema takes any key in {place:?}");
        let said = said_of(&file);
        assert!(!said.is_empty(), "the reader takes any key in {place:?}");
        // What serde knows, it tells.
        let Some(told) =
            said.iter().find_map(|text| text.strip_prefix("unknown field `unknown_key`, expected "))
        else {
            continue;
        };
        let told = told.split("; did you mean").next().unwrap();
        let told: BTreeSet<_> = told.split('`').skip(1).step_by(2).collect();
        let known: BTreeSet<_> =
            table["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, told, "{place}");
        compared += 1;
    }
    assert!(compared >= 25, "{compared} tables were compared");
}

#[test]
fn both_know_the_same_keys_of_each_kind() {
    let validator = validator();
    let file = whole();
    let (mut good, mut bad) = (0, 0);
    for (place, key) in [("/scene", "kind"), ("/scene/1/field", "type")] {
        let all = file.pointer(place).unwrap().as_array().unwrap();
        let others = all.iter().flat_map(|table| table.as_object().unwrap());
        for (other, value) in
            others.filter(|(other, _)| !["id", key, "correct", "when"].contains(&other.as_str()))
        {
            for (at, table) in all.iter().enumerate().filter(|(_, table)| table.get(other).is_none()) {
                let place = format!("{place}/{at}");
                let file = with(&place, other, value.clone());
                let says = |text: &String| text.contains(&format!("{other} belongs to "));
                let is_refused = said_of(&file).iter().any(says);
                let at_key = format!("{place}/{other}");
                let seen = validator.iter_errors(&file).any(|error| {
                    let is_false =
                        matches!(error.kind(), jsonschema::error::ValidationErrorKind::FalseSchema);
                    is_false && error.instance_path().as_str() == at_key
                });
                assert_eq!(seen, is_refused, "{other} in {table}");
                *if is_refused { &mut bad } else { &mut good } += 1;
            }
        }
    }
    assert!(good >= 3 && bad >= 100, "{good} {bad}");
}

#[test]
fn what_the_schema_refuses_the_reader_refuses() {
    let (schema, validator) = (value(), validator());
    let mut all = Vec::new();
    places(&schema, &whole(), "", &mut all);
    let mut refused = 0;
    for (place, _) in all {
        // What is possible there the environment says.
        if place.ends_with("/players") || place.contains("/options/frozen") {
            continue;
        }
        let Some((table, key)) = place.rsplit_once('/') else { continue };
        let numbers = [json!(-1), json!(0), json!(3.5), json!(1_000_000_000)];
        let others = [json!("x"), json!(""), json!(true), json!([]), json!({}), json!(["x"])];
        for value in numbers.into_iter().chain(others) {
            let mut file = whole();
            *file.pointer_mut(&place).unwrap() = value.clone();
            let objections = objections(&validator, &file);
            if !objections.is_empty() {
                assert!(!said_of(&file).is_empty(), "{key} of {table:?} is {value}: {objections:?}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 500, "{refused}");
}

#[test]
fn both_need_the_same_keys() {
    let (schema, validator) = (value(), validator());
    let (mut needed, mut free) = (0, 0);
    for (table, _) in tables(&schema) {
        let keys: Vec<_> = whole().pointer(&table).unwrap().as_object().unwrap().keys().cloned().collect();
        for key in keys {
            let mut file = whole();
            file.pointer_mut(&table).unwrap().as_object_mut().unwrap().remove(&key);
            let said = said_of(&file);
            let is_missing = |text: &String| text.contains(&format!("{key} is missing"));
            if validator.is_valid(&file) {
                assert!(!said.iter().any(is_missing), "{key} of {table:?}: {said:?}");
                free += 1;
            } else {
                assert!(!said.is_empty(), "{key} of {table:?}");
                needed += 1;
            }
        }
    }
    assert!(needed >= 50 && free >= 100, "{needed} {free}");
}

#[test]
fn both_know_the_same_bounds() {
    let (schema, validator) = (value(), validator());
    let mut all = Vec::new();
    places(&schema, &whole(), "", &mut all);
    let mut compared = 0;
    for (place, number) in all {
        // How many play the environment bounds.
        let bounds = (number["minimum"].as_f64(), number["maximum"].as_f64());
        let (Some(least), Some(most)) = bounds else { continue };
        if place.ends_with("/players") {
            continue;
        }
        let (table, key) = place.rsplit_once('/').unwrap();
        let expected = format!("must be {least} to {most}");
        let is_whole = number["type"] == "integer";
        let value = |number: f64| if is_whole { json!(number as i64) } else { json!(number) };
        for bound in [least, most] {
            assert!(validator.is_valid(&with(table, key, value(bound))), "{place}: {bound}");
            let said = said_of(&with(table, key, value(bound)));
            let says = |text: &String| text.starts_with(&format!("{key} is "));
            assert!(!said.iter().any(says), "{place}: {bound}: {said:?}");
        }
        let file = with(table, key, value(most + 1.0));
        assert!(!validator.is_valid(&file), "{place}");
        let said = said_of(&file);
        assert!(said.iter().any(|text| text.contains(&expected)), "{place}: {expected}: {said:?}");
        compared += 1;
    }
    assert!(compared >= 25, "{compared} bounds were compared");
}

#[test]
fn usual_values_are_those_of_keys_that_are_left_out() {
    let schema = value();
    let mut all = Vec::new();
    places(&schema, &whole(), "", &mut all);
    let (mut said, mut left_out) = (whole(), whole());
    let mut count = 0;
    for (place, known) in &all {
        let Some(usual) = known.get("default").filter(|usual| !usual.is_object()) else { continue };
        let (table, key) = place.rsplit_once('/').unwrap();
        said.pointer_mut(table).unwrap()[key] = usual.clone();
        left_out.pointer_mut(table).unwrap().as_object_mut().unwrap().remove(key);
        count += 1;
    }
    assert!(count >= 40, "{count} keys have usual values");
    let experiment = |file: &Value| {
        let loaded = load_text(&toml::to_string(file).unwrap()).unwrap();
        (loaded.webhook, serde_json::to_value(loaded.experiment).unwrap())
    };
    assert_eq!(experiment(&said), experiment(&left_out));
}
