//! Blocks, branches, conditions and variables: what is taken, and what is said of mistakes.

use room::{Block, SceneSpecKind, Setting, Test, Unit};
use serde_json::json;

use super::tests::{complaint_of, load_text};

/// Lines 1 to 5: the head; then what is given; then scenes, of which the first is in the line after it.
fn study(head: &str) -> String {
    let question = |id: &str, more: &str| format!("[[scene.field]]\nid = \"{id}\"\nlabel = \"?\"\n{more}\n");
    let form = format!(
        "[[scene]]\nkind = \"form\"\nid = \"you\"\n{}{}{}",
        question("age", "type = \"integer\"\nmax = 120"),
        question("pet", "type = \"choice\"\noptions = [\"Cat\", \"Dog\"]"),
        question("likes", "type = \"multiple_choice\"\noptions = [\"Tea\", \"Rum\"]"),
    );
    let read = |id: &str| format!("[[scene]]\nkind = \"static\"\nid = \"{id}\"\nbody = \"about.md\"\n");
    let middle: String = ["easy", "hard", "last"].map(read).concat();
    format!(
        "id = \"a\"\ntitle = \"A\"\n{head}\n{}{form}{middle}[[scene]]\nkind = \"end\"\nid = \"thanks\"\n",
        read("welcome")
    )
}

/// A study in which a scene has something more.
fn with(scene: &str, more: &str, head: &str) -> String {
    let id = format!("id = \"{scene}\"\n");
    let text = study(head);
    assert!(text.contains(&id), "{text}");
    text.replacen(&id, &format!("{id}{more}\n"), 1)
}

const CONDITIONS: &str = "[[condition]]\nid = \"fast\"\nvariables = { speed = 3 }\n\
                          [[condition]]\nid = \"slow\"\nquota = 40\nvariables = { speed = 1 }\n";

#[test]
fn what_the_file_says_is_what_the_stager_gets() {
    let head = format!(
        "{CONDITIONS}[assignment]\non_full = \"last\"\ndropout_after_s = 60\n[[block]]\nid = \"inner\"\n\
         scenes = [\"easy\", \"hard\"]\norder = \"random\"\nrepeat = 3\nconditions = [\"slow\"]\n\
         [[block]]\nid = \"outer\"\nscenes = [\"you\", \"inner\"]\n"
    );
    let text = with("last", "when = { scene = \"you\", field = \"age\", at_least = 18, not = 20 }", &head);
    let experiment = load_text(&text).unwrap().experiment;
    let [inner, outer] = experiment.blocks.as_slice() else { panic!("{:?}", experiment.blocks) };
    assert_eq!(
        (inner.is_random, inner.repeat, inner.parts.as_slice()),
        (true, 3, &["easy", "hard"].map(String::from)[..])
    );
    assert_eq!(inner.guard.conditions, ["slow"]);
    let plain = Block {
        id: "outer".into(),
        parts: vec!["you".into(), "inner".into()],
        repeat: 1,
        ..Block::default()
    };
    assert_eq!(*outer, plain);
    let when = experiment.scenes[4].guard.when.as_ref().unwrap();
    assert_eq!(when.variable, "you.age");
    assert_eq!(when.tests, [Test::Not(json!(20)), Test::AtLeast(18.0)]);
    let assignment = &experiment.assignment;
    assert_eq!((assignment.unit, assignment.dropout_millis), (Unit::Person, 60_000));
    assert_eq!(assignment.on_full.as_deref(), Some("last"));
    let [fast, slow] = experiment.conditions.as_slice() else { panic!() };
    assert_eq!((fast.quota, slow.quota, &slow.variables["speed"]), (None, Some(40), &json!(1)));
    // Another block, another version.
    let other = load_text(&text.replace("repeat = 3", "repeat = 2")).unwrap().experiment;
    assert_ne!(other.version, experiment.version);
}

#[test]
fn mistakes_in_blocks_are_told_with_place_and_cure() {
    let block = |id: &str, scenes: &str, more: &str| {
        format!("[[block]]\nid = \"{id}\"\nscenes = [{scenes}]\n{more}\n")
    };
    let two = |one: &str, other: &str| block("one", one, "") + &block("two", other, "");
    for (head, expected) in [
        (
            block("b", "\"esy\"", ""),
            "line 5: scenes names \"esy\", and no scene or block has that id; did you mean `easy`?",
        ),
        (block("b", "", ""), "line 5: scenes is empty"),
        (block("b c", "\"easy\"", ""), "line 4: an id has letters"),
        (
            block("easy", "\"hard\"", ""),
            "line 4: id \"easy\" is used twice; give each scene and block its own",
        ),
        (
            block("b", "\"easy\", \"easy\"", ""),
            "line 5: scenes names \"easy\" twice; for that there is repeat",
        ),
        (
            block("b", "\"easy\", \"last\"", ""),
            "line 5: scenes has \"last\" after \"easy\", and \"hard\" is between them",
        ),
        (
            block("b", "\"hard\", \"easy\"", ""),
            "line 5: scenes has \"easy\" after \"hard\", and in the file it comes before",
        ),
        (
            two("\"easy\", \"hard\"", "\"hard\", \"last\""),
            "line 9: \"hard\" is in the block \"one\" too; blocks may not overlap",
        ),
        (two("\"two\"", "\"one\""), "the block \"one\" is within itself"),
        (block("b", "\"b\"", ""), "line 5: the block \"b\" is within itself"),
        (block("b", "\"last\", \"thanks\"", ""), "line 5: \"thanks\" is the last scene"),
        (block("b", "\"easy\"", "repeat = 0"), "line 6: repeat is 0; it must be 1 to 1000"),
        (
            block("b", "\"easy\", \"hard\"", "repeat = 501"),
            "line 6: with all repetitions there are 1006 scenes to go through; there may be 1000",
        ),
        (block("b", "\"easy\"", "order = \"randm\""), "did you mean `random`?"),
        (block("b", "\"easy\"", "repeats = 2"), "did you mean `repeat`?"),
        (
            block("b", "\"easy\"", "when = { scene = \"last\", field = \"age\", equals = 1 }"),
            "line 6: when: the scene \"last\" has no field \"age\"",
        ),
        (
            block("b", "\"you\", \"easy\"", "when = { scene = \"you\", field = \"age\", equals = 1 }"),
            "line 6: when: the scene \"you\" does not always come before it",
        ),
    ] {
        let said = complaint_of(&study(&head));
        assert!(said.contains(expected), "{head}\n{said}");
    }
    let end = study(&block("b", "\"hard\", \"done\"", "repeat = 2")).replace(
        "[[scene]]\nkind = \"static\"\nid = \"last\"",
        "[[scene]]\nkind = \"end\"\nid = \"done\"\n[[scene]]\nkind = \"static\"\nid = \"last\"",
    );
    let said = complaint_of(&end);
    assert!(said.contains("line 5: \"done\" is an end, and nobody comes to what follows it"), "{said}");
    assert!(load_text(&end.replace("repeat = 2", "")).is_ok());
}

#[test]
fn mistakes_in_branches_are_told_with_place_and_cure() {
    let when = |what: &str| format!("when = {{ {what} }}");
    let you = |field: &str, test: &str| when(&format!("scene = \"you\", field = \"{field}\", {test}"));
    for (scene, more, expected) in [
        (
            "easy",
            you("agee", "equals = 1"),
            "when: the scene \"you\" has no field \"agee\"; did you mean `age`?",
        ),
        (
            "easy",
            when("scene = \"yu\", field = \"age\", equals = 1"),
            "when: no scene has the id \"yu\"; did you mean `you`?",
        ),
        ("welcome", you("age", "equals = 1"), "when: the scene \"you\" does not always come before it"),
        ("you", you("age", "equals = 1"), "does not always come before it"),
        ("easy", you("age", "equals = 121"), "when: equals is 121, which nobody can answer in you.age"),
        ("easy", you("age", "at_leat = 18"), "did you mean `at_least`?"),
        (
            "easy",
            you("pet", "equals = \"cat\""),
            "equals is \"cat\", which nobody can answer in you.pet; did you mean `Cat`?",
        ),
        ("easy", you("pet", "one_of = [\"Cat\", \"Cow\"]"), "one_of is \"Cow\", which nobody can answer"),
        ("easy", you("pet", "one_of = []"), "one_of is empty"),
        ("easy", you("pet", "at_least = 3"), "at_least is for numbers, and you.pet is none: use equals"),
        ("easy", you("pet", "includes = \"Cat\""), "includes is for fields of type \"multiple_choice\""),
        ("easy", you("likes", "equals = \"Tea\""), "you.likes has several answers: use includes"),
        (
            "easy",
            you("likes", "includes = \"Te\""),
            "includes is \"Te\", which nobody can answer in you.likes; did you mean `Tea`?",
        ),
        ("easy", when("scene = \"you\", field = \"age\""), "when says not what must be so"),
        (
            "easy",
            when("scene = \"you\", equals = 1"),
            "when asks for an answer, by scene and field, or for a variable",
        ),
        (
            "easy",
            when("variable = \"sped\", equals = 1"),
            "when: no condition has a variable \"sped\"; did you mean `speed`?",
        ),
        (
            "easy",
            when("variable = \"speed\", equals = 2"),
            "when: equals is 2, and no condition has that speed",
        ),
        (
            "welcome",
            when("variable = \"speed\", equals = 3"),
            "nobody has a condition here; a visit gets one when it goes on from \"welcome\"",
        ),
        (
            "easy",
            "conditions = [\"fat\"]".into(),
            "conditions names \"fat\", and no [[condition]] has that id; did you mean `fast`?",
        ),
        ("easy", "conditions = []".into(), "conditions is empty"),
        ("welcome", "conditions = [\"fast\"]".into(), "conditions: nobody has a condition here"),
        (
            "thanks",
            "conditions = [\"fast\"]".into(),
            "the last scene is where everybody must be able to arrive; it cannot have conditions",
        ),
        (
            "easy",
            "button = \"{{ you.agee }}\"".into(),
            "button has {{ you.agee }}: the scene \"you\" has no field \"agee\"; did you mean `age`?",
        ),
        (
            "easy",
            "button = \"{{ sped }}\"".into(),
            "no condition has a variable \"sped\"; did you mean `speed`?",
        ),
        ("welcome", "button = \"{{ speed }}\"".into(), "button has {{ speed }}: nobody has a condition here"),
        ("welcome", "button = \"{{ you.pet }}\"".into(), "does not always come before it"),
        ("thanks", "texts = { normal = \"<b title='{{ speed }}'>x</b>\" }".into(), "within a tag"),
    ] {
        let text = with(scene, &more, CONDITIONS);
        let said = complaint_of(&text);
        let line = text[..text.find(&more).unwrap()].matches('\n').count() + 1;
        let place = format!("line {line}: ");
        assert!(said.contains(expected) && said.contains(&place), "{more}\n{said}");
    }
    // Whatever order is drawn, the question must come before.
    let head = "[[block]]\nid = \"b\"\nscenes = [\"you\", \"easy\"]\norder = \"random\"\n";
    let said = complaint_of(&with("easy", &you("age", "equals = 1"), head));
    assert!(said.contains("the scene \"you\" does not always come before it"), "{said}");
    let fixed = head.replace("random", "fixed");
    load_text(&with("easy", &you("age", "equals = 1"), &fixed)).unwrap();
    load_text(&with("last", &you("age", "equals = 1"), head)).unwrap();
}

#[test]
fn mistakes_in_conditions_are_told_with_place_and_cure() {
    let condition = |id: &str, more: &str| format!("[[condition]]\nid = \"{id}\"\n{more}\n");
    let after = |more: &str| condition("a", "variables = { speed = 1 }") + &condition("b", more);
    let assignment = |more: &str| format!("{}[assignment]\n{more}\n", condition("a", ""));
    for (head, expected) in [
        (condition("a", "quota = 0"), "line 5: quota is 0, so nobody could be in it"),
        (condition("a", "qota = 1"), "did you mean `quota`?"),
        (condition("a b", ""), "line 4: an id has letters"),
        (condition("a", "") + &condition("a", ""), "line 7: id \"a\" is used twice"),
        (
            condition("a", "variables = { speed = [1] }"),
            "line 5: variables.speed must be a number, a text, true or false",
        ),
        (condition("a", "variables = { \"a.b\" = 1 }"), "line 5: variables.a.b: a name has letters"),
        (
            after("variables = { sped = 1, speed = 2 }"),
            "line 8: \"a\" has no variable \"sped\"; give every condition the same ones; did you mean `speed`?",
        ),
        (after(""), "variables has no \"speed\", which \"a\" has"),
        ("[assignment]\n".into(), "line 3: [assignment] needs something to assign"),
        (assignment("unit = \"group\""), "line 7: unit is \"group\", and there is no scene of kind \"game\""),
        (assignment("unit = \"grop\""), "did you mean `group`?"),
        (
            assignment("on_full = \"lst\""),
            "line 7: on_full names \"lst\", and no scene has that id; did you mean `last`?",
        ),
        (assignment("dropout_after_s = 1"), "line 7: dropout_after_s is 1; it must be 60 to 604800"),
    ] {
        let said = complaint_of(&study(&head));
        assert!(said.contains(expected), "{head}\n{said}");
    }
}

#[test]
fn a_group_has_its_condition_from_its_first_game_on() {
    let game = "[[scene]]\nkind = \"game\"\nid = \"play\"\nenvironment = \"tag.wasm\"\nplayers = 2\nmax_frames = 9\n\
                [[scene]]\nkind = \"static\"\nid = \"last\"";
    let head = format!("{CONDITIONS}[assignment]\nunit = \"group\"\n");
    let text = |scene: &str| {
        let only = with(scene, "conditions = [\"fast\"]", &head);
        only.replace("[[scene]]\nkind = \"static\"\nid = \"last\"", game)
    };
    let loaded = load_text(&text("last")).unwrap().experiment;
    assert!(matches!(loaded.scenes[4].kind, SceneSpecKind::Game(_)));
    let said = complaint_of(&text("easy"));
    assert!(
        said.contains("not everybody has a condition here; a group gets one when it is formed, in \"play\""),
        "{said}"
    );
}

#[test]
fn variables_in_markdown_and_labels_come_through() {
    let text = study("").replace("id = \"easy\"", "id = \"easy\"\nbutton = \"You like {{ you.likes }}\"");
    let scenes = load_text(&text).unwrap().experiment.scenes;
    let SceneSpecKind::Static(sheet) = &scenes[2].kind else { panic!() };
    assert_eq!(sheet.button, "You like {{ you.likes }}");
    let text = with("thanks", "texts = { normal = \"*{{ you.pet }}*, {{you.age}} -- [{{ you.age }}]\" }", "");
    let scenes = load_text(&text).unwrap().experiment.scenes;
    let SceneSpecKind::End(end) = &scenes[5].kind else { panic!() };
    let html = &end.texts[&wire::control::VisitEnding::Completed];
    assert_eq!(html, "<p><em>{{ you.pet }}</em>, {{you.age}} – [{{ you.age }}]</p>\n");
}

#[test]
fn mistakes_in_options_are_told_with_place_and_cure() {
    let game = |options: &str| {
        let game = "kind = \"game\"\nid = \"play\"\nenvironment = \"tag.wasm\"\nplayers = 2\nmax_frames = 9";
        study(CONDITIONS).replace(
            "[[scene]]\nkind = \"static\"\nid = \"last\"",
            &format!("[[scene]]\n{game}\noptions = {options}\n[[scene]]\nkind = \"static\"\nid = \"last\""),
        )
    };
    let options = |text: &str| {
        let scenes = load_text(&game(text)).unwrap().experiment.scenes;
        let SceneSpecKind::Game(game) = &scenes[4].kind else { panic!() };
        game.options.clone()
    };
    let variable = |name: &str| vec![Setting::Variable { name: name.into(), usual: 24.0 }];
    assert_eq!(options("{}"), [Setting::Number(24.0)]);
    assert_eq!(options("{ frozen_frames = 3 }"), [Setting::Number(3.0)]);
    assert_eq!(options("{ frozen_frames = \"{{ speed }}\" }"), variable("speed"));
    assert_eq!(options("{ frozen_frames = \"{{ you.age }}\" }"), variable("you.age"));
    for (text, expected) in [
        ("{ frozen = 3 }", "options.frozen is no option of Tag; they are frozen_frames"),
        ("{ frozen_fames = 3 }", "did you mean `frozen_frames`?"),
        (
            "{ frozen_frames = nan }",
            "options.frozen_frames must be a number, or a variable like \"{{ speed }}\"",
        ),
        ("{ frozen_frames = \"{{ speed }}0\" }", "must be a number, or a variable"),
        (
            "{ frozen_frames = \"{{ sped }}\" }",
            "options has {{ sped }}: no condition has a variable \"sped\"; did you mean `speed`?",
        ),
        ("{ frozen_frames = \"{{ you.pet }}\" }", "options has {{ you.pet }}: that is not always a number"),
    ] {
        let said = complaint_of(&game(text));
        let line = game(text)[..game(text).find("options = {").unwrap()].matches('\n').count() + 1;
        assert!(said.contains(expected) && said.contains(&format!("line {line}: ")), "{text}\n{said}");
    }
    // A group has its condition when its first game begins.
    let groups = game("{ frozen_frames = \"{{ speed }}\" }").replace(
        "[[scene]]\nkind = \"static\"\nid = \"welcome\"",
        "[assignment]\nunit = \"group\"\n[[scene]]\nkind = \"static\"\nid = \"welcome\"",
    );
    load_text(&groups).unwrap();
}
