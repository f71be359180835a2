//! What participants read that is not the study's own, in one language.
//!
//! The words are in `texts/en.toml` and its siblings, and come with an experiment: the server puts them into the page, and
//! the code knows their names only. A name is looked up when the code is compiled, so that one that the English file does
//! not have, or has with other placeholders, is no program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The English file, for looking up names. Nothing of it is in the page.
const ENGLISH: &[u8] = include_bytes!("../../../texts/en.toml");

/// Every text of a language.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Texts {
    /// The same for equal texts, and for others another.
    pub id: String,
    /// Which language they are in: a BCP 47 tag.
    pub language: String,
    /// By name.
    pub words: BTreeMap<String, String>,
}

impl Texts {
    /// A text, with something in the place of each name in braces.
    #[must_use]
    pub fn say(&self, name: Name, places: &[(&str, &str)]) -> String {
        // Whatever is missing is seen, and named.
        fill(self.words.get(name.0).map_or(name.0, String::as_str), places)
    }
}

/// Puts something in the place of each name in braces.
#[must_use]
pub fn fill(text: &str, places: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let known = after.split_once('}');
        let known =
            known.and_then(|(name, after)| Some((places.iter().find(|(place, _)| *place == name)?.1, after)));
        rest = if let Some((value, after)) = known {
            filled.push_str(value);
            after
        } else {
            filled.push('{');
            after
        };
    }
    filled.push_str(rest);
    filled
}

/// The name of a text that there is. Made by [`text!`] and [`say!`], where the code is compiled.
///
/// [`text!`]: crate::text
/// [`say!`]: crate::say
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name(&'static str);

impl Name {
    /// A text's name, if the English file has it with these placeholders and no others.
    ///
    /// # Panics
    /// When it has not. In a `const` that is an error of the compiler.
    #[must_use]
    pub const fn of(name: &'static str, places: &[&str]) -> Self {
        assert!(
            has(ENGLISH, name.as_bytes(), places),
            "texts/en.toml has no such text with such placeholders"
        );
        Self(name)
    }

    /// As it stands in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// Whether a file has a line `name = "…"` with these placeholders and no others.
const fn has(file: &[u8], name: &[u8], places: &[&str]) -> bool {
    let mut at = 0;
    while at < file.len() {
        let end = next(file, at, b'\n');
        if begins(file, at, name) && begins(file, at + name.len(), b" = \"") {
            return has_places(file, at, end, places);
        }
        at = end + 1;
    }
    false
}

const fn has_places(file: &[u8], begin: usize, end: usize, places: &[&str]) -> bool {
    let (mut at, mut count) = (next(file, begin, b'{'), 0);
    while at < end {
        let (mut place, mut known) = (0, false);
        while place < places.len() {
            let name = places[place].as_bytes();
            known |= begins(file, at + 1, name) && begins(file, at + 1 + name.len(), b"}");
            place += 1;
        }
        if !known {
            return false;
        }
        count += 1;
        at = next(file, at + 1, b'{');
    }
    count == places.len()
}

/// Where a byte is next; the file's length when it is not.
const fn next(file: &[u8], mut at: usize, byte: u8) -> usize {
    while at < file.len() && file[at] != byte {
        at += 1;
    }
    at
}

const fn begins(file: &[u8], at: usize, with: &[u8]) -> bool {
    let mut count = 0;
    while count < with.len() {
        if at + count >= file.len() || file[at + count] != with[count] {
            return false;
        }
        count += 1;
    }
    true
}

/// The name of a text: `text!("lobby_stop")`, with its placeholders if it has some: `text!("lobby_left", time)`.
#[macro_export]
macro_rules! text {
    ($name:literal $(, $place:ident)* $(,)?) => {
        const { $crate::texts::Name::of($name, &[$(stringify!($place)),*]) }
    };
}

/// A text of some texts: `say!(texts, "lobby_stop")`, or with what its placeholders stand for, `&str`s:
/// `say!(texts, "lobby_left", time = &time)`.
#[macro_export]
macro_rules! say {
    ($texts:expr, $name:literal $(, $place:ident = $value:expr)* $(,)?) => {
        $texts.say($crate::text!($name $(, $place)*), &[$((stringify!($place), $value)),*])
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_by_name_and_once() {
        let places = [("missing", "2"), ("needed", "{missing}")];
        for (text, expected) in [
            ("Waiting.", "Waiting."),
            ("{missing} of {needed}", "2 of {missing}"),
            ("{needed}{missing}{missing}", "{missing}22"),
            ("{other} {missing", "{other} {missing"),
            ("a } b { c {missing}", "a } b { c 2"),
            ("", ""),
        ] {
            assert_eq!(fill(text, &places), expected, "{text}");
        }
    }

    #[test]
    fn a_name_must_be_in_the_file_with_its_placeholders() {
        let file = b"# lost = \"\"\none = \"A\"\ntwo = \"{a} of {b}\"\ntwo_more = \"{a}\"";
        for (name, places, expected) in [
            ("one", &[][..], true),
            ("one", &["a"], false),
            ("two", &["b", "a"], true),
            ("two", &["a"], false),
            ("two", &["a", "c"], false),
            ("two_more", &["a"], true),
            ("two_mor", &["a"], false),
            ("lost", &[], false),
            ("three", &[], false),
        ] {
            assert_eq!(has(file, name.as_bytes(), places), expected, "{name} {places:?}");
        }
    }

    #[test]
    fn texts_are_said_in_their_words() {
        let words = [("lobby_left".to_owned(), "Noch {time}.".to_owned())].into();
        let texts = Texts { id: String::new(), language: "de".into(), words };
        assert_eq!(say!(texts, "lobby_left", time = "1:05"), "Noch 1:05.");
        assert_eq!(say!(texts, "lobby_stop"), "lobby_stop");
    }
}
