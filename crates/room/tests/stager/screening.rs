//! Who may take part is looked at before the first scene (X1).

use room::{
    Agent, Browser, BrowserRule, Browsers, Device, DeviceRule, Effect, EndScene, Experiment, PingRule,
    SceneSpecKind, Screened, Screening, ScreeningRule,
};
use wire::control::{ClientMessage, Exit, SceneKind, ServerMessage, Sheet, VisitEnding};

use crate::world::{World, advance, experiment_of, scene, visit};

const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const IPAD: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15";

fn experiment() -> Experiment {
    let code = Exit { code: Some("OUT".into()), redirect: None };
    let end = EndScene {
        texts: [(VisitEnding::ScreenedOut, "<p>Thanks.</p>".to_owned())].into(),
        exits: [(VisitEnding::ScreenedOut, code)].into(),
    };
    let screening = Screening {
        device: Some(DeviceRule {
            allow: vec![Device::Desktop],
            message: Some("At a <desk>, please.".into()),
        }),
        browser: Some(BrowserRule {
            allow: None,
            block: vec![Browsers { browser: Browser::Firefox, from: None, below: Some(128) }],
            message: None,
        }),
        ping: Some(PingRule { max_millis: 100, samples: 5, message: None }),
        check: None,
    };
    let scenes = vec![
        scene("welcome", SceneSpecKind::Start(Sheet::default())),
        scene("thanks", SceneSpecKind::End(EndScene::default())),
        scene("out", SceneSpecKind::End(end)),
    ];
    Experiment { screening, ..experiment_of(scenes) }
}

fn report(touch_points: u32, round_trips_millis: &[f32]) -> ClientMessage {
    ClientMessage::ScreeningReport {
        touch_points,
        fine_pointer: touch_points == 0,
        screen: [820, 1180],
        round_trips_millis: round_trips_millis.to_vec(),
    }
}

impl World {
    fn come(&mut self, number: u8, page: u64, user_agent: &str) {
        self.join(number, page);
        let agent = Agent { user_agent: user_agent.into(), ..Agent::default() };
        self.stager.handle_agent(visit(number), agent);
    }

    fn found(&self) -> Vec<Screened> {
        let found = |effect: &Effect| match effect {
            Effect::Screened { screened, .. } => Some(screened.clone()),
            _ => None,
        };
        self.effects.iter().filter_map(found).collect()
    }
}

#[test]
fn nobody_sees_a_scene_before_it_is_known_whether_they_may_take_part() {
    let mut world = World::of(experiment(), 2);
    world.come(1, 1, DESKTOP);
    assert_eq!(*world.newest(1), ServerMessage::Screening { title: "Tag".into(), pings: 5 });
    world.say(1, advance("welcome"));
    world.say(1, report(0, &[10.0; 4]));
    assert_eq!(world.scene(1), None, "too few measurements are no answer");
    // Loaded anew, it is asked anew.
    world.drop(1);
    world.come(1, 2, DESKTOP);
    assert!(matches!(world.newest(1), ServerMessage::Screening { .. }));
    world.say(1, report(0, &[10.0, 900.0, 20.0, 900.0, 30.0]));
    assert_eq!(world.scene(1).as_deref(), Some("welcome"));
    let found = world.found().pop().unwrap();
    let expected = Screened {
        device: Some(Device::Desktop),
        browser: Some(Browser::Firefox),
        browser_version: Some(140),
        ping_millis: Some(30.0),
        ..Screened::default()
    };
    assert_eq!(found, expected);
    // Told twice, it changes nothing.
    let told = world.told[&visit(1)].len();
    world.say(1, report(5, &[900.0; 5]));
    assert_eq!(world.told[&visit(1)].len(), told);
}

#[test]
fn who_has_passed_is_not_asked_again_on_any_device_and_after_a_restart() {
    let mut world = World::of(experiment(), 2);
    world.come(1, 1, DESKTOP);
    world.say(1, report(0, &[1.0; 5]));
    world.drop(1);
    world.restart(core::time::Duration::ZERO);
    world.come(1, 2, IPAD);
    assert_eq!(world.scene(1).as_deref(), Some("welcome"));
    assert!(matches!(world.newest(1), ServerMessage::ActivateScene { .. }));
    world.say(1, advance("welcome"));
    assert_eq!(world.ended(1), Some(VisitEnding::Completed));
}

#[test]
fn who_may_not_take_part_reads_why_and_has_an_exit() {
    let mut world = World::of(experiment(), 2);
    for (number, user_agent, touch, pings, rule) in [
        (1, IPAD, 5, [1.0; 5], ScreeningRule::Device),
        (2, &*DESKTOP.replace("140", "127"), 0, [1.0; 5], ScreeningRule::Browser),
        (3, DESKTOP, 0, [101.0; 5], ScreeningRule::Ping),
    ] {
        world.come(number, 1, user_agent);
        world.say(number, report(touch, &pings));
        assert_eq!(world.found().pop().unwrap().rule, Some(rule));
        assert_eq!(world.scene(number).as_deref(), Some("out"));
        assert_eq!(world.progress[&visit(number)].ended, Some(VisitEnding::ScreenedOut));
    }
    let shown = |world: &World, number| match world.newest(number) {
        ServerMessage::ActivateScene { scene } => match &scene.kind {
            SceneKind::End { reason, body, exit, .. } => {
                (*reason, body.clone(), exit.clone().unwrap().code.unwrap())
            }
            kind => panic!("{kind:?}"),
        },
        message => panic!("{message:?}"),
    };
    let expected = "<p>At a &lt;desk&gt;, please.</p>\n<p>Thanks.</p>";
    assert_eq!(shown(&world, 1), (VisitEnding::ScreenedOut, expected.into(), "OUT".into()));
    assert!(shown(&world, 3).1.starts_with("<p>Your connection to our server is too slow"));
    // The same page is told the same; one that is loaded anew is asked, and sees the end again.
    world.drop(1);
    world.come(1, 1, IPAD);
    assert_eq!(shown(&world, 1).1, expected);
    world.drop(1);
    world.come(1, 2, IPAD);
    assert!(matches!(world.newest(1), ServerMessage::Screening { .. }));
    world.say(1, report(5, &[1.0; 5]));
    assert_eq!(shown(&world, 1).1, expected);
    // Who cannot do anything about it is not asked.
    world.drop(3);
    world.come(3, 2, DESKTOP);
    assert!(shown(&world, 3).1.starts_with("<p>Your connection"));
}

#[test]
fn who_comes_back_on_the_right_device_goes_on() {
    let mut world = World::of(experiment(), 2);
    world.come(1, 1, IPAD);
    world.say(1, report(5, &[1.0; 5]));
    assert_eq!(world.scene(1).as_deref(), Some("out"));
    world.restart(core::time::Duration::ZERO);
    world.come(1, 2, DESKTOP);
    world.say(1, advance("welcome"));
    world.say(1, report(0, &[1.0; 5]));
    assert_eq!((world.scene(1).as_deref(), world.progress[&visit(1)].ended), (Some("welcome"), None));
    world.say(1, advance("welcome"));
    assert_eq!(world.ended(1), Some(VisitEnding::Completed));
    world.restart(core::time::Duration::ZERO);
    world.come(1, 3, IPAD);
    assert_eq!(world.ended(1), Some(VisitEnding::Completed));
}
