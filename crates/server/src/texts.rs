//! The texts that are shipped: what participants read that is not the study's own, one file a language.

use std::collections::BTreeMap;

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use wire::texts::Texts;

use crate::token::hex;

/// The language of an experiment that names none.
pub(crate) const USUAL: &str = "en";

/// One file a language, named after it.
#[derive(RustEmbed)]
#[folder = "../../texts"]
struct Files;

/// The languages that there are.
#[must_use]
pub fn languages() -> Vec<String> {
    let mut languages: Vec<_> =
        Files::iter().filter_map(|file| file.strip_suffix(".toml").map(str::to_owned)).collect();
    languages.sort();
    languages
}

/// A language's file, as it stands.
#[must_use]
pub fn file(language: &str) -> Option<String> {
    // In a build for tests files are read from the disk, whatever they are called.
    let known = languages().into_iter().find(|known| known == language)?;
    let file = Files::get(&format!("{known}.toml"))?;
    String::from_utf8(file.data.into_owned()).ok()
}

/// A language's texts, by name.
fn words(language: &str) -> Option<BTreeMap<String, String>> {
    toml::from_str(&file(language)?).ok()
}

/// Texts that are shipped for a language; for `de-AT` those for `de`.
pub(crate) fn shipped(language: &str) -> Option<BTreeMap<String, String>> {
    let language = language.to_lowercase();
    words(&language).or_else(|| words(language.split('-').next()?))
}

/// The English texts. All others have the same names.
pub(crate) fn english() -> BTreeMap<String, String> {
    words(USUAL).unwrap_or_default()
}

/// Texts of a language, with what they are known by.
pub(crate) fn texts(language: String, words: BTreeMap<String, String>) -> Texts {
    let mut digest = Sha256::new();
    for word in words.iter().flat_map(|(name, text)| [name, text]).chain([&language]) {
        digest.update(word);
        digest.update([0]);
    }
    Texts { id: hex(&digest.finalize()[..8]), language, words }
}

/// Texts as an older server wrote them down, with those that there were not then.
pub(crate) fn whole(older: Texts) -> Texts {
    let language = if older.language.is_empty() { USUAL.to_owned() } else { older.language };
    let mut words = shipped(&language).unwrap_or_else(english);
    words.extend(older.words);
    texts(language, words)
}

/// The names in braces that a text has.
pub(crate) fn places(text: &str) -> Vec<&str> {
    let is_name = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let after = text.split('{').skip(1);
    after.filter_map(|after| after.split_once('}').map(|(name, _)| name)).filter(is_name).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn sorted(text: &str) -> Vec<&str> {
        let mut places = places(text);
        places.sort_unstable();
        places
    }

    #[test]
    fn every_language_has_every_text_with_the_same_placeholders() {
        let english = english();
        assert_eq!(languages(), ["de", "en"]);
        assert!(english.len() > 100);
        for language in languages() {
            let words =
                words(&language).unwrap_or_else(|| panic!("texts/{language}.toml is no list of texts"));
            assert_eq!(words.keys().collect::<Vec<_>>(), english.keys().collect::<Vec<_>>(), "{language}");
            for (name, text) in &words {
                assert_eq!(sorted(text), sorted(&english[name]), "{language}: {name}");
                assert!(!text.trim().is_empty() && text.chars().count() <= 500, "{language}: {name}");
            }
            // The compiler looks names up line by line.
            let lines = file(&language).unwrap();
            let lines = lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            assert_eq!(lines.filter(|line| line.contains(" = \"")).count(), words.len(), "{language}");
        }
    }

    /// The texts that a file says: `say!("name")`, `say!(texts, "name")`, `text!("name")`, and `data-text="name"` in HTML.
    fn names(source: &str) -> impl Iterator<Item = &str> {
        ["say!(", "text!(", "data-text=", "data-label="].into_iter().flat_map(move |marker| {
            source.split(marker).skip(1).filter_map(move |after| {
                let first = after.trim_start();
                let second = || first.split_once(',').map(|(_, second)| second.trim_start());
                let named = if first.starts_with('"') { first } else { second()? };
                named.strip_prefix('"')?.split_once('"').map(|(name, _)| name)
            })
        })
    }

    #[test]
    fn every_text_is_used() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut used = BTreeSet::new();
        let mut folders: Vec<_> = ["client", "room/src", "server/src", "wire/src"]
            .iter()
            .map(|folder| crates.join(folder))
            .collect();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let source = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                    // What tests name is not used.
                    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
                    used.extend(names(source).map(str::to_owned));
                }
            }
        }
        let unused: Vec<_> = english().into_keys().filter(|name| !used.contains(name)).collect();
        assert_eq!(unused, Vec::<String>::new());
    }

    #[test]
    fn a_language_is_found_by_its_tag() {
        assert_eq!(shipped("de"), words("de"));
        assert_eq!(shipped("de-AT"), words("de"));
        assert_eq!(shipped("EN-gb"), Some(english()));
        for other in ["fr", "deu", "", "../texts/de", "d"] {
            assert_eq!(shipped(other), None, "{other}");
        }
    }

    #[test]
    fn texts_of_an_older_server_are_made_whole() {
        let old = texts("de".into(), [("leave".to_owned(), "Weg hier".to_owned())].into());
        let new = whole(old.clone());
        assert_eq!((new.words["leave"].as_str(), new.words.len()), ("Weg hier", english().len()));
        assert_eq!(new.words["saved"], words("de").unwrap()["saved"]);
        assert_ne!(new.id, old.id);
        assert_eq!(whole(new.clone()), new);
        assert_eq!(whole(Texts::default()), texts("en".into(), english()));
    }
}
