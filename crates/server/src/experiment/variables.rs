//! Variables in what participants read, and in environments' options: `{{ name }}` (S6).

use std::collections::BTreeMap;

use room::{SceneSpec, SceneSpecKind, Setting, names_in, texts_of};
use serde_json::Value;
use wire::form::Kind;
use wire::manifest::Manifest;

use super::guard::{Known, Meaning, Misnamed};
use super::mistakes::{Reading, did_you_mean};
use super::{Reader, exit};

/// An environment's options, in its manifest's order: as the file says, or as usual.
pub(super) fn options(
    file: &mut Reading<'_>,
    manifest: &Manifest,
    given: &BTreeMap<String, toml::Value>,
) -> Vec<Setting> {
    let names = || manifest.options.iter().map(|(name, _)| name.as_str());
    for name in given.keys().filter(|name| !names().any(|known| known == name.as_str())) {
        let field = format!("options.{name}");
        let told = match manifest.options.len() {
            0 => "it has none".to_owned(),
            _ => {
                format!("they are {}{}", names().collect::<Vec<_>>().join(", "), did_you_mean(name, names()))
            }
        };
        file.add(&field, format!("{field} is no option of {}; {told}", manifest.name));
    }
    let mut setting = |(name, usual): &(String, f64)| {
        let field = format!("options.{name}");
        let number = match given.get(name) {
            None => return Setting::Number(*usual),
            Some(toml::Value::Float(number)) => Some(*number),
            Some(toml::Value::Integer(number)) => Some(*number as f64),
            Some(toml::Value::String(text)) => {
                let mut found = names_in(text);
                if let (Some((0, variable)), None) = (found.next(), found.next())
                    && text.ends_with("}}")
                {
                    return Setting::Variable { name: variable.to_owned(), usual: *usual };
                }
                None
            }
            Some(_) => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => Setting::Number(number),
            None => {
                file.add(&field, format!("{field} must be a number, or a variable like \"{{{{ speed }}}}\""));
                Setting::Number(*usual)
            }
        }
    };
    manifest.options.iter().map(&mut setting).collect()
}

/// Whether what a name means can be an option.
fn is_number(meaning: &Meaning<'_>) -> bool {
    match meaning {
        Meaning::Variable(values) => {
            values.iter().all(|value| matches!(value, Value::Number(_) | Value::Bool(_)))
        }
        Meaning::Answer(field) => !matches!(field.kind, Kind::Text | Kind::Choice | Kind::MultipleChoice),
    }
}

impl Reader<'_, '_> {
    /// Tells of names that mean nothing, or nothing yet, and of places where a value could be more than words.
    pub(super) fn check_texts(&mut self, known: &Known<'_>, start: usize, scene: &SceneSpec) {
        let texts: Vec<(String, String, bool)> = match &scene.kind {
            SceneSpecKind::Game(game) => {
                let texts = game.texts.iter();
                texts.map(|(name, text)| (format!("texts.{name}"), text.clone(), false)).collect()
            }
            SceneSpecKind::End(end) => {
                let texts = end.texts.iter();
                texts.map(|(ending, text)| (format!("texts.{}", ending.name()), text.clone(), true)).collect()
            }
            other => {
                let texts = other.sheet().map(texts_of).unwrap_or_default();
                texts.into_iter().map(|(field, text, is_html)| (field.to_owned(), text, is_html)).collect()
            }
        };
        let mut found = Vec::new();
        if let SceneSpecKind::Game(game) = &scene.kind {
            for variable in game.options.iter().filter_map(Setting::variable) {
                let told = match known.in_game(&scene.id, variable) {
                    Some(Err(Misnamed { text, .. })) => text,
                    Some(Ok(meaning)) if !is_number(&meaning) => "that is not always a number".to_owned(),
                    _ => continue,
                };
                found.push(("options".to_owned(), format!("options has {{{{ {variable} }}}}: {told}")));
            }
        }
        for (field, text, is_html) in &texts {
            for (at, name) in names_in(text) {
                if *is_html && is_in_tag(&text[..at]) {
                    let text = format!(
                        "{field} has {{{{ {name} }}}} within a tag; a variable may stand in words only"
                    );
                    found.push((field.clone(), text));
                }
                if let Some(Err(Misnamed { text, .. })) = known.meaning(&scene.id, name) {
                    found.push((field.clone(), format!("{field} has {{{{ {name} }}}}: {text}")));
                }
            }
        }
        if let SceneSpecKind::End(end) = &scene.kind {
            for (ending, exit) in &end.exits {
                let field = format!("exits.{}", ending.name());
                let wrong = exit::misnamed(known, &scene.id, &field, exit);
                found.extend(wrong.into_iter().map(|text| (field.clone(), text)));
            }
        }
        found.dedup();
        self.file.within(start, |file| {
            for (field, text) in found {
                file.add(&field, text);
            }
        });
    }
}

/// Whether HTML that stops here stops within a tag: there a value would be part of the markup.
fn is_in_tag(html: &str) -> bool {
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let is_tag = tag.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        if !is_tag {
            rest = tag;
            continue;
        }
        let mut quote = None;
        let end = tag.find(|c: char| {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None, '>') => return true,
                _ => {}
            }
            false
        });
        match end {
            Some(end) => rest = &tag[end + 1..],
            None => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_angle_brackets_is_a_tag() {
        for (html, is_in) in [
            ("<p>1 < 2, ", false),
            ("<p title='a > b' ", true),
            ("<p title='a > b'>", false),
            ("<a href=\"", true),
            ("a <b>c</b", true),
            ("", false),
        ] {
            assert_eq!(is_in_tag(html), is_in, "{html}");
        }
    }
}
