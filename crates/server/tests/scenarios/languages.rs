//! In which words participants are spoken to: those of the version of the experiment that their visit began with (S2).

use std::fs;

use wire::control::{ClientMessage, SceneKind, ServerMessage};
use wire::form::Answers;

use crate::support::{Page, Server, ended, interplay};

const EXPERIMENT: &str = r#"
id = "study"
title = "Eine <Studie>"
language = "de"
texts = "texts.toml"

[[scene]]
kind = "start"
id = "welcome"
consent = "Ich nehme teil."

[[scene]]
kind = "end"
id = "thanks"
"#;

/// What a page is told after it has come: its texts, if it needs others, and the button of its scene.
fn told(page: &mut Page) -> (Option<(String, String, String)>, String) {
    let mut texts = None;
    loop {
        match page.hear().unwrap() {
            ServerMessage::Texts { id, language, words } => {
                texts = Some((id, language, words["leave"].clone()));
            }
            ServerMessage::ActivateScene { scene } => {
                let SceneKind::Start(sheet) = scene.kind else { panic!("{scene:?}") };
                return (texts, sheet.button);
            }
            _ => {}
        }
    }
}

/// The id of the texts that a page comes with.
fn id_of(html: &str) -> String {
    html.split(" data-id=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn a_visit_keeps_the_words_that_it_began_with() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = folder.path().join("experiment.toml");
    fs::write(&file, EXPERIMENT).unwrap();
    fs::write(folder.path().join("texts.toml"), "start = \"Los\"\nleave = \"</script> raus\"").unwrap();
    let place = folder.path().to_str().unwrap();
    let mut server = Server::start_as(&["run", place], data.path());
    let (_, german) = server.get("/");
    assert!(german.contains("<html lang=\"de\">") && german.contains("<title>Eine &lt;Studie&gt;</title>"));
    assert!(german.contains("data-text=\"leave\">&lt;/script&gt; raus</button>"), "{german}");
    assert!(german.contains(">Verbindung wird hergestellt…</p>") && !german.contains("Connecting"));
    assert_eq!(server.get("/page/index.html").0, 404, "a page without words");
    let token = server.visit();
    let mut page = Page::open_with(&server, &token, &id_of(&german));
    assert_eq!(told(&mut page), (None, "Los".to_owned()));
    page.say(&ClientMessage::AdvanceScene { scene_id: "welcome".into(), answers: Answers::new() });
    let refused = page.hear_until(|message| match message {
        ServerMessage::AnswersRefused { problems, .. } => Some(problems),
        _ => None,
    });
    assert_eq!(refused["consent"], "Bitte beantworten Sie diese Frage.");

    // The study becomes another.
    server.kill();
    let changed = EXPERIMENT.replace("language = \"de\"\ntexts = \"texts.toml\"", "");
    fs::write(&file, changed).unwrap();
    let server = Server::start_as(&["run", place], data.path());
    let (_, english) = server.get("/");
    assert!(english.contains("<html lang=\"en\">") && english.contains(">Connecting…</p>"));
    let mut page = Page::open_with(&server, &token, &id_of(&english));
    let expected = (id_of(&german), "de".to_owned(), "</script> raus".to_owned());
    assert_eq!(told(&mut page), (Some(expected), "Los".to_owned()));
    let mut other = Page::open_with(&server, &server.visit(), &id_of(&english));
    assert_eq!(told(&mut other), (None, "Start".to_owned()));
    // Who says nothing itself needs no texts.
    assert_eq!(told(&mut Page::open(&server, &token)), (None, "Los".to_owned()));
}

#[test]
fn texts_are_printed_for_whoever_wants_to_say_them_otherwise() {
    let print = |language: &[&str]| {
        let printed = interplay(&[&["texts"], language].concat()).output().unwrap();
        assert!(printed.status.success());
        String::from_utf8(printed.stdout).unwrap()
    };
    let english = print(&[]);
    assert_eq!(english, print(&["en"]));
    assert_eq!(english, include_str!("../../../../texts/en.toml"));
    assert!(print(&["de"]).contains("\nleave = \"Studie verlassen\"\n"));
    let (code, said) = ended(&mut interplay(&["texts", "fr"]));
    assert!(code == Some(2) && said.contains("there are de, en"), "{said}");

    // What was printed is a whole language.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("experiment.toml"), EXPERIMENT.replace("\"de\"", "\"fr\"")).unwrap();
    fs::write(folder.path().join("texts.toml"), &english).unwrap();
    let check = || interplay(&["check", "--json"]).arg(folder.path()).output().unwrap();
    assert!(check().status.success());
    fs::write(folder.path().join("texts.toml"), english.replace("\nsaved = ", "\nsvaed = ")).unwrap();
    let told = String::from_utf8(check().stdout).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let mistake = &told["mistakes"][0];
    assert!(mistake["file"].as_str().unwrap().ends_with("texts.toml"), "{told}");
    let line = english.lines().position(|line| line.starts_with("saved = ")).unwrap() + 1;
    assert_eq!((mistake["line"].as_u64(), mistake["field"].as_str()), (Some(line as u64), Some("svaed")));
    assert!(mistake["text"].as_str().unwrap().ends_with("did you mean `saved`?"), "{told}");
}
