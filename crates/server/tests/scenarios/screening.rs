//! Who may take part is the server's word: by the request's headers, and what the page reports (X1).

use std::fs;

use wire::control::{ClientMessage, SceneKind, ServerMessage, VisitEnding};

use crate::support::{Page, Server, interplay};

const EXPERIMENT: &str = r#"
id = "screened"
title = "Screened"

[screening]
device = { allow = ["desktop"], message = "Please open this at a desk." }
browser = { block = ["firefox < 128"] }
ping = { max_ms = 60000 }

[[scene]]
kind = "start"
id = "welcome"

[[scene]]
kind = "end"
id = "thanks"
"#;

const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const PHONE: &str = "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0";

/// Answers what is asked, with as many measurements as were asked for.
fn report(page: &mut Page) {
    let pings = page.hear_until(|message| match message {
        ServerMessage::Screening { pings, .. } => Some(pings),
        _ => None,
    });
    page.say(&ClientMessage::ScreeningReport {
        touch_points: 0,
        fine_pointer: true,
        screen: [1920, 1080],
        round_trips_millis: vec![12.5; pings.into()],
    });
}

fn scene(page: &mut Page) -> (String, Option<(VisitEnding, String)>) {
    page.hear_until(|message| match message {
        ServerMessage::ActivateScene { scene } => {
            let end = match scene.kind {
                // The words for the ending follow those of the rule.
                SceneKind::End { reason, body, .. } => {
                    Some((reason, body.lines().next().unwrap_or_default().to_owned()))
                }
                _ => None,
            };
            Some((scene.id, end))
        }
        _ => None,
    })
}

#[test]
fn who_may_take_part_is_kept_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(folder.path().join("experiment.toml"), EXPERIMENT).unwrap();
    let serve = || Server::start_as(&["run", folder.path().to_str().unwrap()], &data);
    let mut server = serve();
    let out = (VisitEnding::ScreenedOut, "<p>Please open this at a desk.</p>".to_owned());

    let (desk, hand, stranger) = (server.visit(), server.visit(), server.visit());
    let mut page = Page::open_in(&server, &desk, Some(DESKTOP));
    report(&mut page);
    assert_eq!(scene(&mut page), ("welcome".into(), None));
    let mut page = Page::open_in(&server, &hand, Some(PHONE));
    report(&mut page);
    assert_eq!(scene(&mut page), ("thanks".into(), Some(out.clone())));
    // Whoever says nothing of itself may take part.
    let mut page = Page::open_in(&server, &stranger, None);
    report(&mut page);
    assert_eq!(scene(&mut page), ("welcome".into(), None));

    // Who has passed is not asked again; who has not may have changed the device.
    server.kill();
    server = serve();
    assert_eq!(scene(&mut Page::open_in(&server, &desk, Some(PHONE))), ("welcome".into(), None));
    let mut page = Page::open_in(&server, &hand, Some(PHONE));
    report(&mut page);
    assert_eq!(scene(&mut page), ("thanks".into(), Some(out)));

    let tables = folder.path().join("tables");
    let done = interplay(&["export", "--data"]).arg(&data).arg("--out").arg(&tables).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = fs::read_to_string(tables.join("visits.csv")).unwrap();
    assert!(text.starts_with("visit_id,participant_id,experiment,"), "{text}");
    for row in [
        ",,passed,desktop,firefox,140,12.5,,{},welcome,false\n",
        ",screened_out,device,phone,firefox,140,12.5,,{},thanks,false\n",
        ",,passed,,,,12.5,,{},welcome,false\n",
    ] {
        assert!(text.contains(row), "{row} is not in {text}");
    }
    let metrics = {
        let page = &mut Page::open_in(&server, &server.visit(), Some(DESKTOP));
        report(page);
        scene(page);
        server.get("/metrics").1
    };
    assert!(metrics.contains("interplay_screenings_total{result=\"passed\"} 1"), "{metrics}");
}
