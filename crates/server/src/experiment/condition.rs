//! Conditions, as the file has them (S1).

use std::collections::BTreeMap;

use room::{Assignment, Condition, Unit};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::block::Outline;
use super::mistakes::did_you_mean;
use super::schema::{Id, Plain, Words};
use super::{Reader, is_plain};

/// A condition that visits are assigned to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConditionFile {
    /// The condition's name in the data: letters, digits, `-` and `_`.
    #[schemars(with = "Id")]
    id: String,
    /// The most visits in this condition that are on or completed. Without it there is no limit.
    #[schemars(range(min = 1))]
    quota: Option<u32>,
    /// The condition's variables: numbers, texts, true or false. All conditions have the same ones. `{{ name }}` in a text stands
    /// for the value.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Plain>", extend("propertyNames" = { "pattern": "^[A-Za-z0-9_-]+$" }))]
    variables: BTreeMap<String, toml::Value>,
}

/// How visits get conditions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AssignmentFile {
    /// `person`: each gets a condition when it goes on from its first scene. `group`: all who play together get the same, when
    /// their first group is formed.
    #[schemars(with = "Option<Words<Unit>>", extend("default" = Unit::default()))]
    unit: Option<Unit>,
    /// The id of the scene where a visit goes when every quota is full. Without it, to the end.
    on_full: Option<String>,
    /// After how long away a visit does not count as on its way any more, in seconds (60 to 604800).
    #[schemars(range(min = 60, max = 604_800), extend("default" = 1800))]
    dropout_after_s: Option<f64>,
}

/// The conditions, and when a visit gets one.
pub(super) struct ConditionsFound {
    pub(super) ids: Vec<String>,
    conditions: Vec<Condition>,
    unit: Unit,
    /// The index of the first scene; of the first game, if conditions are for groups.
    first: Option<usize>,
}

impl ConditionsFound {
    pub(super) fn new(conditions: &[Condition], unit: Unit, first_game: Option<usize>) -> Self {
        let ids = conditions.iter().map(|condition| condition.id.clone()).collect();
        let first = if unit == Unit::Group { first_game } else { Some(0) };
        Self { ids, conditions: conditions.to_vec(), unit, first }
    }

    pub(super) fn are_for_groups(&self) -> bool {
        self.unit == Unit::Group
    }

    /// The values that a variable has.
    pub(super) fn values(&self, variable: &str) -> Vec<&Value> {
        self.conditions.iter().filter_map(|condition| condition.variables.get(variable)).collect()
    }

    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .conditions
            .iter()
            .flat_map(|condition| condition.variables.keys())
            .map(String::as_str)
            .collect();
        names.dedup();
        names
    }

    /// What to tell when a visit may come to a part without a condition.
    pub(super) fn not_assigned_at(&self, outline: &Outline<'_>, part: &str) -> Option<String> {
        let first = self.first?;
        if outline.comes_before(first, part) {
            return None;
        }
        let id = outline.ids.get(first)?;
        Some(match self.unit {
            Unit::Person => {
                format!("nobody has a condition here; a visit gets one when it goes on from {id:?}")
            }
            Unit::Group => {
                format!("not everybody has a condition here; a group gets one when it is formed, in {id:?}")
            }
        })
    }
}

impl Reader<'_, '_> {
    /// Every condition, with where it begins.
    pub(super) fn conditions(&mut self, files: Vec<Spanned<ConditionFile>>) -> Vec<Condition> {
        let mut conditions: Vec<Condition> = Vec::new();
        for file in files {
            let start = file.span().start;
            let ConditionFile { id, quota, variables } = file.into_inner();
            self.file.within(start, |file| {
                if id.is_empty() || !id.chars().all(is_plain) {
                    file.add("id", "an id has letters, digits, - and _ only; it is a name in the data");
                }
                if conditions.iter().any(|other| other.id == id) {
                    file.add("id", format!("id {id:?} is used twice; give each condition its own"));
                }
                if quota == Some(0) {
                    file.add(
                        "quota",
                        "quota is 0, so nobody could be in it; it must be 1 or more, or left out",
                    );
                }
                for (name, value) in &variables {
                    let field = format!("variables.{name}");
                    if name.is_empty() || !name.chars().all(is_plain) {
                        file.add(&field, format!("{field}: a name has letters, digits, - and _ only"));
                    }
                    if !(value.is_integer() || value.is_float() || value.is_str() || value.is_bool()) {
                        file.add(&field, format!("{field} must be a number, a text, true or false"));
                    }
                }
                if let Some(first) = conditions.first() {
                    let names = || first.variables.keys().map(String::as_str);
                    for name in variables.keys().filter(|name| !first.variables.contains_key(*name)) {
                        let hint = did_you_mean(name, names());
                        let text = format!(
                            "{:?} has no variable {name:?}; give every condition the same ones{hint}",
                            first.id
                        );
                        file.add(&format!("variables.{name}"), text);
                    }
                    for name in names().filter(|name| !variables.contains_key(*name)) {
                        let text = format!(
                            "variables has no {name:?}, which {:?} has; give every condition the same ones",
                            first.id
                        );
                        file.add("variables", text);
                    }
                }
            });
            let variables = variables
                .into_iter()
                .map(|(name, value)| (name, serde_json::to_value(value).unwrap_or_default()))
                .collect();
            conditions.push(Condition { id, quota, variables });
        }
        conditions
    }

    /// How visits get them.
    pub(super) fn assignment(
        &mut self,
        file: Option<Spanned<AssignmentFile>>,
        conditions: &[Condition],
        (ids, games): (&[String], &[String]),
        is_complete: bool,
    ) -> Assignment {
        let usual = Assignment::default();
        let Some(file) = file else { return usual };
        let start = file.span().start;
        let AssignmentFile { unit, on_full, dropout_after_s } = file.into_inner();
        let unit = unit.unwrap_or_default();
        self.file.within(start, |file| {
            if conditions.is_empty() {
                file.add("", "[assignment] needs something to assign: a [[condition]] for each");
            }
            if unit == Unit::Group && games.is_empty() && is_complete {
                file.add(
                    "unit",
                    "unit is \"group\", and there is no scene of kind \"game\" that makes groups",
                );
            }
            if let Some(unknown) = on_full.as_ref().filter(|scene| !ids.contains(scene)) {
                let hint = did_you_mean(unknown, ids.iter().map(String::as_str));
                file.add("on_full", format!("on_full names {unknown:?}, and no scene has that id{hint}"));
            }
            let leads_back = |scene: &String| ids.first() == Some(scene) || games.contains(scene);
            if on_full.as_ref().is_some_and(leads_back) {
                let text = "on_full must lead on: it cannot be the first scene, nor one of kind \"game\"";
                file.add("on_full", text);
            }
            let dropout_millis =
                file.millis("dropout_after_s", dropout_after_s, usual.dropout_millis, 60.0..=604_800.0);
            Assignment { unit, on_full, dropout_millis }
        })
    }
}
