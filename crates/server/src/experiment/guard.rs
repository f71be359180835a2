//! Whom a scene or a block is for, as the file has it: branches on answers, and conditions (S1).

use room::{Guard, SceneSpec, Test, When};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use wire::form::{self, Field, Kind};

use super::Reader;
use super::block::Outline;
use super::condition::ConditionsFound;
use super::mistakes::{Reading, did_you_mean};
use super::schema::Plain;

/// A branch: an answer, by `scene` and `field`, or a condition's `variable`, and what it must be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "oneOf" = [{ "required": ["scene", "field"] }, { "required": ["variable"] }],
    "dependencies" = { "scene": ["field"], "field": ["scene"] },
    "anyOf" = [
        { "required": ["equals"] },
        { "required": ["not"] },
        { "required": ["one_of"] },
        { "required": ["at_least"] },
        { "required": ["at_most"] },
        { "required": ["includes"] }
    ]
))]
pub(super) struct WhenFile {
    /// The id of the form in which the question is; with `field`.
    scene: Option<String>,
    /// The id of the question; with `scene`.
    field: Option<String>,
    /// The name of a condition's variable; in place of `scene` and `field`.
    variable: Option<String>,
    /// It is this.
    #[schemars(with = "Option<Plain>")]
    equals: Option<toml::Value>,
    /// It is not this; that holds too where nothing was answered.
    #[schemars(with = "Option<Plain>")]
    not: Option<toml::Value>,
    /// It is one of these.
    #[schemars(with = "Option<Vec<Plain>>", length(min = 1))]
    one_of: Option<Vec<toml::Value>>,
    /// It is this number or more.
    at_least: Option<f64>,
    /// It is this number or less.
    at_most: Option<f64>,
    /// Of several choices, this one is among them.
    #[schemars(with = "Option<Plain>")]
    includes: Option<toml::Value>,
}

/// What may be wrong with a value of the file is told when all questions are known.
fn plain(value: toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// What stands at one scene or block.
pub(super) fn read(file: &mut Reading<'_>, when: Option<WhenFile>, conditions: Option<Vec<String>>) -> Guard {
    if conditions.as_ref().is_some_and(Vec::is_empty) {
        file.add("conditions", "conditions is empty, so nobody would come here; leave it out");
    }
    Guard { when: when.and_then(|when| branch(file, when)), conditions: conditions.unwrap_or_default() }
}

fn branch(file: &mut Reading<'_>, when: WhenFile) -> Option<When> {
    let tests: Vec<_> = [
        when.equals.map(|value| Test::Equals(plain(value))),
        when.not.map(|value| Test::Not(plain(value))),
        when.one_of.map(|values| Test::OneOf(values.into_iter().map(plain).collect())),
        when.at_least.map(Test::AtLeast),
        when.at_most.map(Test::AtMost),
        when.includes.map(|value| Test::Includes(plain(value))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if tests.is_empty() {
        let text =
            "when says not what must be so; it needs equals, not, one_of, at_least, at_most or includes";
        file.add("when", text);
    }
    let variable = match (when.scene, when.field, when.variable) {
        (Some(scene), Some(field), None) => format!("{scene}.{field}"),
        (None, None, Some(variable)) => variable,
        _ => {
            let text = "when asks for an answer, by scene and field, or for a variable: { scene = \"about-you\", \
                        field = \"age\", at_least = 18 } or { variable = \"speed\", equals = 2 }";
            file.add("when", text);
            return None;
        }
    };
    (!tests.is_empty()).then_some(When { variable, tests })
}

/// All that is needed to know whether a name means something.
pub(super) struct Known<'a> {
    pub(super) outline: &'a Outline<'a>,
    pub(super) scenes: &'a [(usize, SceneSpec)],
    pub(super) conditions: &'a ConditionsFound,
}

/// What a name means.
pub(super) enum Meaning<'a> {
    Answer(&'a Field),
    /// The values that it has in the conditions.
    Variable(Vec<&'a Value>),
}

/// Which part of a name is wrong, and what to tell.
pub(super) struct Misnamed {
    pub(super) part: &'static str,
    pub(super) text: String,
}

impl<'a> Known<'a> {
    fn fields(&self, scene: usize) -> Option<&'a [Field]> {
        let id = self.outline.ids.get(scene)?;
        let (_, spec) = self.scenes.iter().find(|(_, scene)| scene.id == *id)?;
        Some(spec.kind.sheet().map_or(&[], |sheet| &sheet.fields))
    }

    /// What a variable is for a part. None when what it belongs to has mistakes of its own.
    pub(super) fn meaning(&self, part: &str, variable: &str) -> Option<Result<Meaning<'a>, Misnamed>> {
        self.look_up(part, variable, false)
    }

    /// The same for a game when its group is formed, which has its condition by then.
    pub(super) fn in_game(&self, part: &str, variable: &str) -> Option<Result<Meaning<'a>, Misnamed>> {
        self.look_up(part, variable, self.conditions.are_for_groups())
    }

    fn look_up(
        &self,
        part: &str,
        variable: &str,
        is_assigned: bool,
    ) -> Option<Result<Meaning<'a>, Misnamed>> {
        let wrong = |part, text| Some(Err(Misnamed { part, text }));
        let Some((scene, field)) = variable.split_once('.') else {
            let values = self.conditions.values(variable);
            if values.is_empty() {
                let hint = did_you_mean(variable, self.conditions.names().into_iter());
                let text = format!("no condition has a variable {variable:?}{hint}");
                return wrong("variable", text);
            }
            let unassigned = self.conditions.not_assigned_at(self.outline, part);
            if let Some(text) = unassigned.filter(|_| !is_assigned) {
                return wrong("variable", text);
            }
            return Some(Ok(Meaning::Variable(values)));
        };
        let Some(at) = self.outline.ids.iter().position(|id| id == scene) else {
            let hint = did_you_mean(scene, self.outline.ids.iter().map(String::as_str));
            return wrong("scene", format!("no scene has the id {scene:?}{hint}"));
        };
        let fields = self.fields(at)?;
        let Some(found) = fields.iter().find(|known| known.id == field) else {
            let hint = did_you_mean(field, fields.iter().map(|field| field.id.as_str()));
            return wrong("field", format!("the scene {scene:?} has no field {field:?}{hint}"));
        };
        if !self.outline.comes_before(at, part) {
            let text = format!(
                "the scene {scene:?} does not always come before it; ask for what has been answered until then"
            );
            return wrong("scene", text);
        }
        Some(Ok(Meaning::Answer(found)))
    }
}

impl Reader<'_, '_> {
    /// What is wrong with whom a part is for, beside everything else.
    pub(super) fn check_guard(&mut self, known: &Known<'_>, start: usize, part: &str, guard: &Guard) {
        let mut found: Vec<(String, String)> = Vec::new();
        for condition in &guard.conditions {
            if !known.conditions.ids.contains(condition) {
                let hint = did_you_mean(condition, known.conditions.ids.iter().map(String::as_str));
                let text = format!("conditions names {condition:?}, and no [[condition]] has that id{hint}");
                found.push(("conditions".into(), text));
            }
        }
        if !guard.conditions.is_empty()
            && let Some(text) = known.conditions.not_assigned_at(known.outline, part)
        {
            found.push(("conditions".into(), format!("conditions: {text}")));
        }
        if let Some(when) = &guard.when {
            match known.meaning(part, &when.variable) {
                Some(Err(Misnamed { part, text })) => {
                    found.push((format!("when.{part}"), format!("when: {text}")));
                }
                Some(Ok(meaning)) => {
                    for test in &when.tests {
                        found.extend(wrong_with(test, &meaning, &when.variable));
                    }
                }
                None => {}
            }
        }
        self.file.within(start, |file| {
            for (field, text) in found {
                file.add(&field, text);
            }
        });
    }
}

/// What is wrong with a test of something: the field, and what to tell.
fn wrong_with(test: &Test, meaning: &Meaning<'_>, variable: &str) -> Option<(String, String)> {
    let name = test.name();
    let tell = |text: String| Some((format!("when.{name}"), format!("when: {text}")));
    let is_possible = |value: &Value| match meaning {
        Meaning::Variable(values) => values.iter().any(|known| same(known, value)),
        Meaning::Answer(field) => {
            let answers = [(field.id.clone(), value.clone())].into();
            form::check(std::slice::from_ref(*field), &answers).is_ok_and(|good| good.len() == 1)
        }
    };
    let is_several = matches!(meaning, Meaning::Answer(field) if field.kind == Kind::MultipleChoice);
    let is_number = match meaning {
        Meaning::Variable(values) => values.iter().all(|value| value.is_number()),
        Meaning::Answer(field) => {
            matches!(field.kind, Kind::Integer | Kind::Number | Kind::Likert | Kind::Slider)
        }
    };
    let impossible = |value: &Value| match meaning {
        Meaning::Variable(_) => tell(format!("{name} is {value}, and no condition has that {variable}")),
        Meaning::Answer(field) => {
            let options: Vec<_> = field.options.iter().map(|choice| choice.value.as_str()).collect();
            let hint =
                value.as_str().map(|value| did_you_mean(value, options.into_iter())).unwrap_or_default();
            tell(format!("{name} is {value}, which nobody can answer in {variable}{hint}"))
        }
    };
    match test {
        Test::Includes(_) if !is_several => tell(format!(
            "includes is for fields of type \"multiple_choice\"; {variable} has one value: use equals"
        )),
        Test::Includes(value) => {
            let alone = Value::Array(vec![value.clone()]);
            if is_possible(&alone) { None } else { impossible(value) }
        }
        _ if is_several => tell(format!("{variable} has several answers: use includes")),
        Test::AtLeast(_) | Test::AtMost(_) if !is_number => {
            tell(format!("{name} is for numbers, and {variable} is none: use equals"))
        }
        Test::AtLeast(_) | Test::AtMost(_) => None,
        Test::Equals(value) | Test::Not(value) => {
            if is_possible(value) {
                None
            } else {
                impossible(value)
            }
        }
        Test::OneOf(values) if values.is_empty() => {
            tell("one_of is empty, so nobody would come here".to_owned())
        }
        Test::OneOf(values) => values.iter().find(|value| !is_possible(value)).and_then(impossible),
    }
}

/// Numbers are equal however they are written.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
