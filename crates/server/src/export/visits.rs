//! Visits, and the way that each took.

use std::collections::BTreeMap;

use anyhow::Context;
use base::VisitId;
use room::{Progress, Screened};
use serde_json::{Value, json};
use store::{Reader, VisitRow};
use wire::control::VisitEnding;

use super::Person;
use super::files::Files;

pub(super) fn write(
    reader: &Reader,
    visits: Vec<VisitRow>,
    people: &BTreeMap<VisitId, Person>,
    files: &mut Files,
    with_platform_ids: bool,
) -> anyhow::Result<()> {
    let mut scenes: BTreeMap<VisitId, Vec<String>> = BTreeMap::new();
    let mut table = files.table(record::PATH, record::path())?;
    for row in reader.path()? {
        if row.kind == "scene" {
            scenes.entry(row.visit).or_default().push(row.name.clone());
        }
        table.row(vec![
            row.visit.to_string().into(),
            people.get(&row.visit).map(Person::id).into(),
            record::Value::Time(row.at.0),
            row.kind.into(),
            row.name.into(),
            row.detail.to_string().into(),
        ])?;
    }
    files.close(record::PATH, table)?;

    let mut table = files.table(record::VISITS, record::visits(with_platform_ids))?;
    for visit in visits {
        let id = visit.visit;
        let progress = visit.progress.as_deref().map(serde_json::from_str::<Progress>).transpose();
        let progress = progress.with_context(|| format!("visit {id}"))?.unwrap_or_default();
        let mut row = vec![
            id.to_string().into(),
            visit.participant.to_string().into(),
            visit.experiment.into(),
            visit.experiment_sha256.into(),
            record::Value::Time(visit.created.0),
            visit.scene.into(),
            visit.ended.map(VisitEnding::name).into(),
        ];
        row.extend(screening(progress.screened));
        row.extend([
            progress.condition.into(),
            json!(progress.variables).to_string().into(),
            scenes.remove(&id).unwrap_or_default().join(" ").into(),
            visit.entry.contains_key(bot::MARK).into(),
        ]);
        if with_platform_ids {
            row.push(Value::Object(visit.entry).to_string().into());
        }
        table.row(row)?;
    }
    files.close(record::VISITS, table)
}

/// What was found of somebody before the first scene.
fn screening(found: Option<Screened>) -> [record::Value; 5] {
    let Some(found) = found else { return [const { record::Value::Empty }; 5] };
    [
        match found.rule {
            Some(rule) => rule.name(),
            None if found.unanswered => "passed_unanswered",
            None => "passed",
        }
        .into(),
        found.device.map(room::Device::name).into(),
        found.browser.map(room::Browser::name).into(),
        found.browser_version.into(),
        found.ping_millis.map(f64::from).into(),
    ]
}
