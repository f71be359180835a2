//! Questions on the page: fields are made, read, marked where something is wrong, and remembered over a reload.

use std::collections::BTreeMap;

use js_sys::Reflect;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;
use web_sys::{Element, HtmlElement};
use wire::form::{self, Answers, Field, Kind};

use crate::entry::storage;
use crate::view::{append, element, set_text};
use crate::words::say;

/// Where answers that are not sent yet are kept.
const DRAFT: &str = "interplay.draft";

/// The name of a field's element, or of one of its parts.
fn name(field: &Field, part: &str) -> String {
    ["field-", &field.id, part].concat()
}

fn option_name(field: &Field, number: usize) -> String {
    name(field, &["-", &number.to_string()].concat())
}

fn set(element: &Element, name: &str, value: &str) {
    element.set_attribute(name, value).ok();
}

fn property(id: &str, name: &str) -> JsValue {
    element(id).map_or(JsValue::UNDEFINED, |element| Reflect::get(&element, &name.into()).unwrap_or_default())
}

/// Whether a box is ticked.
pub(crate) fn is_checked(id: &str) -> bool {
    property(id, "checked").is_truthy()
}

/// Takes a tick away.
pub(crate) fn untick(id: &str) {
    set_property(id, "checked", &false.into());
}

fn set_property(id: &str, name: &str, value: &JsValue) {
    if let Some(element) = element(id) {
        Reflect::set(&element, &name.into(), value).ok();
    }
}

/// Makes the questions of a scene, with what was answered before a reload.
pub(crate) fn show(scene: &str, fields: &[Field]) {
    let Some(parent) = element("sheet-fields") else { return };
    parent.set_text_content(None);
    for field in fields {
        make(&parent, field);
    }
    let draft = storage().and_then(|storage| storage.get_item(DRAFT).ok().flatten());
    let draft = draft.and_then(|draft| serde_json::from_str::<(String, Answers)>(&draft).ok());
    if let Some((_, answers)) = draft.filter(|(of, _)| of == scene) {
        for field in fields {
            if let Some(answer) = answers.get(&field.id) {
                fill(field, answer);
            }
        }
    }
}

/// Remembers what is answered so far.
pub(crate) fn keep(scene: &str, fields: &[Field]) {
    if let Some(storage) = storage() {
        storage.set_item(DRAFT, &json!([scene, read(fields)]).to_string()).ok();
    }
}

/// The answers are the server's.
pub(crate) fn forget() {
    if let Some(storage) = storage() {
        storage.remove_item(DRAFT).ok();
    }
}

fn make(parent: &Element, field: &Field) {
    let grouped = !field.options.is_empty();
    let Some(group) = append(parent, if grouped { "fieldset" } else { "div" }, "") else { return };
    set(&group, "class", "field");
    let consent = field.kind == Kind::Consent;
    let label = if grouped { "legend" } else { "label" };
    let told = if consent { None } else { append(&group, label, &field.label) };
    if let Some(told) = &told {
        if !grouped {
            set(told, "for", &name(field, ""));
        }
        if !field.required {
            append(told, "small", &[" ", &say!("optional")].concat());
        }
    }
    let mut described = name(field, "-problem");
    if !field.help.is_empty()
        && let Some(help) = append(&group, "p", &field.help)
    {
        set(&help, "id", &name(field, "-help"));
        set(&help, "class", "soft");
        described = [&described, " ", &name(field, "-help")].concat();
    }
    let input = |parent: &Element, kind: &str, id: &str| {
        let input = append(parent, "input", "")?;
        set(&input, "type", kind);
        set(&input, "id", id);
        set(&input, "name", &name(field, ""));
        set(&input, "aria-describedby", &described);
        Some(input)
    };
    match field.kind {
        Kind::Integer | Kind::Number => {
            if let Some(input) = input(&group, "text", &name(field, "")) {
                set(&input, "inputmode", "decimal");
                set(&input, "autocomplete", "off");
                set(&input, "class", "short");
            }
        }
        Kind::Text => {
            let made = if field.lines > 1 {
                append(&group, "textarea", "").inspect(|area| {
                    set(area, "rows", &field.lines.to_string());
                    set(area, "id", &name(field, ""));
                    set(area, "aria-describedby", &described);
                })
            } else {
                input(&group, "text", &name(field, ""))
            };
            if let Some(made) = made {
                set(&made, "maxlength", &field.max_length.to_string());
            }
        }
        Kind::Choice | Kind::MultipleChoice | Kind::Likert => {
            let Some(list) = append(&group, "div", "") else { return };
            set(&list, "class", if field.kind == Kind::Likert { "points" } else { "choices" });
            let kind = if field.kind == Kind::MultipleChoice { "checkbox" } else { "radio" };
            for (number, choice) in field.options.iter().enumerate() {
                let Some(label) = append(&list, "label", "") else { continue };
                input(&label, kind, &option_name(field, number));
                append(&label, "span", &choice.label);
            }
        }
        Kind::Slider => {
            if let Some(slider) = input(&group, "range", &name(field, "")) {
                for (attribute, value) in [("min", field.min), ("max", field.max), ("step", field.step)] {
                    set(&slider, attribute, &form::plain(value.unwrap_or_default()));
                }
                // Nobody has moved it: where it stands is no answer.
                set(&slider, "data-untouched", "");
            }
        }
        Kind::Consent => {
            if let Some(label) = append(&group, "label", "") {
                set(&label, "class", "consent");
                input(&label, "checkbox", &name(field, ""));
                append(&label, "span", &field.label);
            }
        }
    }
    if !(field.low.is_empty() && field.high.is_empty())
        && let Some(ends) = append(&group, "p", "")
    {
        set(&ends, "class", "ends soft");
        append(&ends, "span", &field.low);
        append(&ends, "span", &field.high);
    }
    if let Some(problem) = append(&group, "p", "") {
        set(&problem, "id", &name(field, "-problem"));
        set(&problem, "class", "problem");
    }
}

/// Somebody has changed something: a slider that was moved has an answer.
pub(crate) fn touched(target: &JsValue) {
    if let Some(element) = target.dyn_ref::<HtmlElement>() {
        element.remove_attribute("data-untouched").ok();
    }
}

/// What is answered now.
pub(crate) fn read(fields: &[Field]) -> Answers {
    let mut answers = Answers::new();
    // One after another: a map made of an iterator brings a whole sort with it.
    for field in fields {
        if let Some(answer) = answer(field) {
            answers.insert(field.id.clone(), answer);
        }
    }
    answers
}

fn answer(field: &Field) -> Option<Value> {
    let id = name(field, "");
    let text = || property(&id, "value").as_string().unwrap_or_default();
    let picked = || {
        let options = field.options.iter().enumerate();
        options
            .filter(|&(number, _)| is_checked(&option_name(field, number)))
            .map(|(_, choice)| choice.value.clone())
    };
    match field.kind {
        Kind::Integer | Kind::Number => Some(text()).filter(|text| !text.trim().is_empty()).map(number),
        Kind::Slider => {
            let moved = element(&id).is_some_and(|slider| !slider.has_attribute("data-untouched"));
            moved.then(|| number(text()))
        }
        Kind::Text => Some(text().into()),
        Kind::Choice => picked().next().map(Value::from),
        Kind::Likert => picked().next().map(number),
        Kind::MultipleChoice => Some(picked().collect::<Vec<_>>().into()),
        Kind::Consent => Some(property(&id, "checked").is_truthy().into()),
    }
}

/// A number, if that is what was written: with a comma as many people write it.
fn number(text: String) -> Value {
    // The browser reads numbers: the standard library's way would be a twentieth of the page.
    let number = JsValue::from(text.trim().replace(',', ".")).unchecked_into_f64();
    match form::whole(number) {
        Some(whole) => whole.into(),
        None if number.is_finite() => number.into(),
        None => text.into(),
    }
}

fn fill(field: &Field, answer: &Value) {
    let id = name(field, "");
    let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
    match field.kind {
        Kind::Consent => set_property(&id, "checked", &(*answer == Value::Bool(true)).into()),
        Kind::Choice | Kind::Likert | Kind::MultipleChoice => {
            for (number, choice) in field.options.iter().enumerate() {
                let is_it = |answer: &Value| answer.as_str() == Some(&choice.value);
                let checked =
                    choice.value == text || answer.as_array().is_some_and(|all| all.iter().any(is_it));
                set_property(&option_name(field, number), "checked", &checked.into());
            }
        }
        Kind::Integer | Kind::Number | Kind::Text | Kind::Slider => {
            set_property(&id, "value", &text.into());
            if let Some(element) = element(&id) {
                touched(&element);
            }
        }
    }
}

/// Marks what is wrong, and goes to the first of it; marks nothing when nothing is.
pub(crate) fn tell(fields: &[Field], problems: &BTreeMap<String, String>) {
    let mut first = None;
    for field in fields {
        let problem = problems.get(&field.id);
        set_text(&name(field, "-problem"), problem.map_or("", String::as_str));
        // Of several to choose from it is the first that is gone to.
        let id = if field.options.is_empty() { name(field, "") } else { option_name(field, 0) };
        let Some(element) = element(&id) else { continue };
        if problem.is_some() {
            set(&element, "aria-invalid", "true");
            first.get_or_insert(element);
        } else {
            element.remove_attribute("aria-invalid").ok();
        }
    }
    if let Some(first) = first {
        first.focus().ok();
    }
}
