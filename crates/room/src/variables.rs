//! Variables of a visit in texts: `{{ name }}` (S6). What a participant has written is never HTML.

use std::collections::BTreeMap;

use serde_json::Value;
use wire::control::Sheet;
use wire::form::{Answers, Field, plain};

/// Puts something in the place of each `{{ name }}`.
pub(crate) fn fill<'a>(text: &'a str, mut value: impl FnMut(&'a str) -> String) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, behind)) = first(rest) {
        filled.push_str(before);
        filled.push_str(&value(name));
        rest = behind;
    }
    filled + rest
}

/// What is before the first `{{ name }}`, the name, and what is behind it.
fn first(text: &str) -> Option<(&str, &str, &str)> {
    let (before, after) = text.split_once("{{")?;
    let (name, behind) = after.split_once("}}")?;
    Some((before, name.trim(), behind))
}

/// The names that a text has variables of, with where in the text they stand.
pub fn names_in(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (before, name, behind) = first(rest)?;
        let at = text.len() - rest.len() + before.len();
        rest = behind;
        Some((at, name))
    })
}

/// A value as people read it; nothing where there is none.
pub(crate) fn words(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.as_f64().map_or_else(|| number.to_string(), plain),
        Some(Value::Array(all)) => all.iter().map(|one| words(Some(one))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// HTML with a visit's variables.
pub(crate) fn in_html(html: &str, variables: &Answers) -> String {
    fill(html, |name| escaped(&words(variables.get(name))))
}

/// Words, which the page shows as they are, with a visit's variables.
pub(crate) fn in_words(text: &str, variables: &Answers) -> String {
    fill(text, |name| words(variables.get(name)))
}

/// Texts by name, with a visit's variables.
pub(crate) fn in_all(texts: &BTreeMap<String, String>, variables: &Answers) -> BTreeMap<String, String> {
    texts.iter().map(|(name, text)| (name.clone(), in_words(text, variables))).collect()
}

/// A sheet with a visit's variables.
pub(crate) fn in_sheet(sheet: &Sheet, variables: &Answers) -> Sheet {
    let mut sheet = sheet.clone();
    sheet.body = in_html(&sheet.body, variables);
    sheet.button = in_words(&sheet.button, variables);
    for field in &mut sheet.fields {
        words_of(field, |text| *text = in_words(text, variables));
    }
    sheet
}

/// All that a page says of a question.
fn words_of(field: &mut Field, mut each: impl FnMut(&mut String)) {
    let Field { label, help, low, high, options, .. } = field;
    [label, help, low, high].into_iter().for_each(&mut each);
    options.iter_mut().for_each(|choice| each(&mut choice.label));
}

/// Every text of a sheet, with the key that it has in the file, and whether it is HTML.
pub fn texts_of(sheet: &Sheet) -> Vec<(&'static str, String, bool)> {
    let mut texts = vec![("body", sheet.body.clone(), true), ("button", sheet.button.clone(), false)];
    for field in &sheet.fields {
        words_of(&mut field.clone(), |text| texts.push(("field", text.clone(), false)));
    }
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_written_is_never_html() {
        let variables = Answers::from([
            ("you.name".to_owned(), json!("<img src=x onerror=\"alert('1')\">&{{ speed }}")),
            ("speed".to_owned(), json!(2.0)),
            ("you.likes".to_owned(), json!(["a", "b"])),
        ]);
        assert_eq!(
            in_html("<p>{{you.name}}, {{ speed }}: {{ you.likes }}{{ nothing }}.", &variables),
            "<p>&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;{{ speed }}, 2: a, b."
        );
        assert_eq!(in_words("{{ speed }} {{", &variables), "2 {{");
    }

    #[test]
    fn names_are_found_where_they_stand() {
        let found: Vec<_> = names_in("a {{ b }} {{c}} {{ d").collect();
        assert_eq!(found, [(2, "b"), (10, "c")]);
    }
}
