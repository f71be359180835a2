//! Tests of what texts show.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use wire::control::VisitEnding;

use super::*;

const EXPERIMENT: &str = "id = \"s\"\ntitle = \"S\"\n\n[[scene]]\nkind = \"start\"\nid = \"welcome\"\nbody = \"BODY\"\n\n\
    [[scene]]\nkind = \"end\"\nid = \"thanks\"\ntexts = { completed = \"Thanks ![](end.png)\" }\n";

/// A folder with a text, and some files beside it.
fn folder(body: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write(FILE, &EXPERIMENT.replace("BODY", body));
    write(body, text);
    for (name, content) in [
        ("end.png", "end"),
        ("map.png", "map"),
        ("a map.png", "spaced"),
        ("images/map.png", "other map"),
        ("intro.MP4", "intro"),
        ("notes.pdf", "notes"),
    ] {
        write(name, content);
    }
    folder
}

/// Where a file with that content is served.
fn served(content: &str, kind: &str) -> String {
    format!("/files/{}.{kind}", hex(&Sha256::digest(content)))
}

fn shown(body: &str, text: &str) -> (String, Loaded) {
    let loaded = load(folder(body, text).path()).unwrap_or_else(|error| panic!("{text}: {error:#}"));
    let SceneSpecKind::Start(sheet) = &loaded.experiment.scenes[0].kind else { panic!() };
    (sheet.body.clone(), loaded)
}

fn complaint(text: &str) -> String {
    let folder = folder("welcome.md", text);
    let said = format!("{:#}", load(folder.path()).expect_err(text));
    said.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn files_beside_a_text_are_shown() {
    let (map, other, intro) = (served("map", "png"), served("other map", "png"), served("intro", "mp4"));
    for (body, text, expected) in [
        ("welcome.md", "![A map](map.png)", format!("<p><img alt=\"A map\" src=\"{map}\" /></p>\n")),
        (
            "welcome.md",
            "![](<a map.png>)",
            format!("<p><img alt=\"\" src=\"{}\" /></p>\n", served("spaced", "png")),
        ),
        ("welcome.md", "A\n<img\nsrc='images/map.png?1#a'>", format!("<p>A\n<img src=\"{other}#a\"></p>\n")),
        ("page.html", "<img src=images/./map.png>", format!("<img src=\"{other}\">")),
        ("page.html", "<img src=\"a%20map.png\">", format!("<img src=\"{}\">", served("spaced", "png"))),
        ("texts/page.html", "<img src=\"../images/map.png\">", format!("<img src=\"{other}\">")),
        (
            "page.html",
            "<video poster=map.png><source src=intro.MP4></video>",
            format!("<video poster=\"{map}\"><source src=\"{intro}\"></video>"),
        ),
        (
            "page.html",
            "<img src=\"data:image/png;base64,AA==\"> <img alt=a>",
            "<img src=\"data:image/png;base64,AA==\"> <img alt=a>".into(),
        ),
    ] {
        let (html, loaded) = shown(body, text);
        assert_eq!(html, expected);
        let addresses: Vec<_> =
            loaded.files.keys().map(|(sha256, kind)| crate::media::address(sha256, kind)).collect();
        assert!(addresses.contains(&served("end", "png")), "{addresses:?}");
        assert!(addresses.iter().filter(|address| html.contains(*address)).count() == addresses.len() - 1);
    }
    let (_, loaded) = shown("welcome.md", "");
    let SceneSpecKind::End(end) = &loaded.experiment.scenes[1].kind else { panic!() };
    assert!(end.texts[&VisitEnding::Completed].contains(&served("end", "png")));
}

#[test]
fn what_is_shown_belongs_to_the_version() {
    let folder = folder("welcome.md", "![](map.png)");
    let version = || load(folder.path()).unwrap().experiment.version;
    let before = version();
    assert_eq!(version(), before);
    fs::write(folder.path().join("map.png"), "another").unwrap();
    assert_ne!(version(), before);
}

#[test]
fn what_cannot_be_shown_is_told_with_the_cure() {
    for (text, expected) in [
        (
            "![](mpa.png)",
            "experiment.toml: line 7: body: welcome.md shows \"mpa.png\": cannot read mpa.png: No such file or directory \
             (os error 2); did you mean `map.png`?",
        ),
        ("<img src=images/mpa.png>", "did you mean `images/map.png`?"),
        ("<img src='../experiment.toml'>", "that is no kind of file that can be shown; they are png, jpg"),
        ("![](notes.pdf)", "that is no kind of file that can be shown"),
        ("![](../map.png)", "\"../map.png\" must be a file within the experiment's folder"),
        ("![](%2e%2e%2fmap.png)", "\"../map.png\" must be a file within the experiment's folder"),
        ("![](images/../../map.png)", "must be a file within the experiment's folder"),
        ("![](/etc/map.png)", "\"/etc/map.png\" must be a file within the experiment's folder"),
        ("![](/files/map.png)", "must be a file within the experiment's folder"),
        ("![](map%00.png)", "cannot read"),
        ("![](%ff.png)", "it is not UTF-8"),
        ("![](https://a.example/map.png)", "put the file into the folder, and name it here"),
        ("<img src='//a.example/map.png'>", "put the file into the folder, and name it here"),
        ("<img src='HTTP://a.example/map.png'>", "put the file into the folder, and name it here"),
        (
            "<video src='data:video/mp4;base64,AA=='></video>",
            "put the file into the folder, and name it here",
        ),
        ("<img src='map.png' srcset='map.png 2x'>", "body: welcome.md has a srcset"),
        ("![]({{speed}}.png)", "an address cannot have variables"),
    ] {
        let said = complaint(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = folder("welcome.md", "![](map.png)");
    let file = fs::File::create(folder.path().join("map.png")).unwrap();
    file.set_len(crate::media::MOST_BYTES).unwrap();
    load(folder.path()).unwrap();
    file.set_len(crate::media::MOST_BYTES + 1024 * 1024).unwrap();
    let said = load(folder.path()).unwrap_err().to_string();
    assert!(said.contains("map.png has 21.0 MiB; it may have 20 at most"), "{said}");
}

#[test]
fn the_demo_shows_its_own_files_only() {
    let source = Source::Demo;
    assert!(source.read_at_most("welcome.md", 1_000_000).is_ok());
    assert!(
        source.read("../tag/welcome.md").unwrap_err().to_string().contains("within the experiment's folder")
    );
    assert_eq!(source.name("a.png"), Path::new("demo/a.png"));
}
