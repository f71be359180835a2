//! In which words an experiment says what is not its own: a language that is shipped, a file with words of its own, or both.

use std::collections::BTreeMap;

use super::Reader;
use super::mistakes::{Mistake, Reading, did_you_mean};
use crate::texts::{self, USUAL, places};

/// The longest text, in characters: it must fit a small screen.
pub(super) const LIMIT: usize = 500;

/// What [`is_tag`] takes.
pub(super) const TAG: &str = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$";

/// Whether something is a language tag, as in `de`, `pt-BR` or `zh-Hant-TW` (BCP 47).
fn is_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.chars().all(|c| c.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
}

impl Reader<'_, '_> {
    /// What participants read that is not the experiment's own; English where something is wrong with it.
    pub(super) fn texts(&mut self, language: Option<String>, own: Option<String>) -> wire::texts::Texts {
        let language = language.unwrap_or_else(|| USUAL.to_owned());
        let shipped = texts::shipped(&language);
        let languages = texts::languages();
        if !is_tag(&language) || (shipped.is_none() && own.is_none()) {
            let hint = did_you_mean(&language, languages.iter().map(String::as_str));
            let text = format!(
                "language is {language:?}; there are {}; another one is a tag like \"pt-BR\", and needs \
                 texts = \"texts.toml\" with every text in it{hint}",
                languages.join(", ")
            );
            self.file.add("language", text);
        }
        let is_whole = shipped.is_some();
        let mut words = shipped.unwrap_or_default();
        if let Some(name) = own {
            let text = self.source.text(&name);
            if let Some(text) = self.file.keep("texts", text) {
                let file = self.source.name(&name);
                match own_words(&text) {
                    Ok(own) => {
                        words.extend(own);
                        if !is_whole {
                            self.file.add_all(missing(&language, &words), &file);
                        }
                    }
                    Err(mistakes) => self.file.add_all(mistakes, &file),
                }
            }
        }
        // What is wrong has been told; whatever else is needs words to be read on.
        for (name, text) in texts::english() {
            words.entry(name).or_insert(text);
        }
        texts::texts(language, words)
    }
}

/// What a file with an experiment's own words has.
fn own_words(text: &str) -> Result<BTreeMap<String, String>, Vec<Mistake>> {
    let mut file = Reading::begin(text)?;
    let own: BTreeMap<String, String> = file.read().unwrap_or_default();
    let english = texts::english();
    for (name, words) in &own {
        match english.get(name) {
            Some(english) => check(&mut file, name, words, english),
            None => {
                let hint = did_you_mean(name, english.keys().map(String::as_str));
                file.add(
                    name,
                    format!("there is no text {name}; `interplay texts` prints those that there are{hint}"),
                );
            }
        }
    }
    if file.is_clean() { Ok(own) } else { Err(file.into_mistakes()) }
}

/// What a language of an experiment's own does not have.
fn missing(language: &str, words: &BTreeMap<String, String>) -> Vec<Mistake> {
    let names: Vec<_> = texts::english().into_keys().filter(|name| !words.contains_key(name)).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let text = format!(
        "{language:?} is a language of your own, so every text must be here; `interplay texts` prints them in English; \
         missing are: {}",
        names.join(", ")
    );
    vec![Mistake { file: None, line: None, field: String::new(), text }]
}

/// Whether somebody's own words can stand for ours.
pub(super) fn check(file: &mut Reading<'_>, field: &str, words: &str, ours: &str) {
    let length = words.chars().count();
    if length > LIMIT {
        file.add(field, format!("{field} has {length} characters; it must have {LIMIT} at most"));
    }
    let (found, needed) = (places(words), places(ours));
    for place in needed.iter().filter(|place| !found.contains(place)) {
        let text =
            format!("{field} lacks {{{place}}}, which something is put in the place of; ours is {ours:?}");
        file.add(field, text);
    }
    for place in found.iter().filter(|place| !needed.contains(place)) {
        let hint = did_you_mean(place, needed.iter().copied());
        file.add(
            field,
            format!("{field} has {{{place}}}, and nothing is put in its place; ours is {ours:?}{hint}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_are_told_from_other_words() {
        for tag in ["de", "DE", "gsw", "pt-BR", "zh-Hant-TW", "de-1996"] {
            assert!(is_tag(tag), "{tag}");
        }
        for other in ["", "d", "german", "de_AT", "de-", "d1", "de-overlylong1", "de AT"] {
            assert!(!is_tag(other), "{other}");
        }
    }
}
