//! What participants are sent away with, with what is known of the visit (S5, S6).

use std::time::Duration;

use room::{Condition, Effect, EndScene, Experiment, FormScene, SceneSpecKind};
use serde_json::json;
use wire::control::{ClientMessage, Exit, SceneKind, ServerMessage, Sheet, VisitEnding};
use wire::form::{Field, Kind};

use crate::world::{World, advance, experiment_of, scene, visit};

fn redirect(address: &str) -> Exit {
    Exit { code: None, redirect: Some(address.into()) }
}

/// Start, a question, an end with a redirect; one condition.
fn experiment() -> Experiment {
    let name = Field { id: "name".into(), kind: Kind::Text, max_length: 100, lines: 1, ..Field::default() };
    let form = FormScene { sheet: Sheet { fields: vec![name], ..Sheet::default() }, ..FormScene::default() };
    let address = "https://a.example/{{ speed }}?pid={{ PROLIFIC_PID }}&c={{ condition }}&n={{ you.name }}&s={{ STUDY_ID }}";
    let exits = [(VisitEnding::Completed, redirect(address))].into();
    let variables = [("speed".to_owned(), json!(3))].into();
    let scenes = vec![
        scene("welcome", SceneSpecKind::Start(Sheet::default())),
        scene("you", SceneSpecKind::Form(form)),
        scene("thanks", SceneSpecKind::End(EndScene { exits, ..EndScene::default() })),
    ];
    let conditions = vec![Condition { id: "fast".into(), quota: None, variables }];
    Experiment { conditions, ..experiment_of(scenes) }
}

/// The exit that a page was told last.
fn told(world: &World) -> Option<Exit> {
    world.told[&visit(1)].iter().rev().find_map(|message| match message {
        ServerMessage::ActivateScene { scene } => match &scene.kind {
            SceneKind::End { exit, .. } => Some(exit.clone()),
            _ => None,
        },
        _ => None,
    })?
}

#[test]
fn a_redirect_has_what_is_known_of_the_visit_and_what_the_entry_link_brought() {
    let mut world = World::of(experiment(), 2);
    world.entry = [("PROLIFIC_PID".to_owned(), json!("5f3a"))].into();
    world.start(1);
    let answers = [("name".to_owned(), json!("a&b=c"))].into();
    world.say(1, ClientMessage::AdvanceScene { scene_id: "you".into(), answers });
    let expected = redirect("https://a.example/3?pid=5f3a&c=fast&n=a%26b%3Dc&s=");
    assert_eq!(told(&world), Some(expected.clone()));

    // Whoever hears of the visit may not be told who platforms say that this is.
    let ended = world.effects.iter().find_map(|effect| match effect {
        Effect::VisitEnded { exit, .. } => Some(exit.clone().unwrap()),
        _ => None,
    });
    let open = "https://a.example/3?pid={{ PROLIFIC_PID }}&c=fast&n=a%26b%3Dc&s={{ STUDY_ID }}";
    assert_eq!(ended, Some(redirect(open)));
    let progress = serde_json::to_string(&world.progress[&visit(1)]).unwrap();
    assert!(!progress.contains("5f3a"), "{progress}");

    // After a restart it is the same.
    world.restart(Duration::ZERO);
    world.told.clear();
    world.join(1, 2);
    assert_eq!(told(&world), Some(expected));
}

#[test]
fn what_is_not_known_is_nothing() {
    let mut world = World::of(experiment(), 2);
    world.start(1);
    world.say(1, advance("you"));
    assert_eq!(told(&world), Some(redirect("https://a.example/3?pid=&c=fast&n=&s=")));
}
