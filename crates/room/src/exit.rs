//! What a participant is sent away with, with the visit's variables in it (S5, S6).
//!
//! An address has values percent-encoded, so that none can be more than a value. It may also have what the entry link brought:
//! those names stand until somebody may read them, and are filled in last.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use wire::control::Exit;

use crate::variables::{fill, in_words, words};
use crate::visit::Progress;

/// The entry link's parameters that a redirect may have: Prolific's and MTurk's.
pub const ENTRY_PARAMETERS: [&str; 6] =
    ["PROLIFIC_PID", "STUDY_ID", "SESSION_ID", "workerId", "assignmentId", "hitId"];

/// Under which name an exit may have the visit's condition, unless the study has a variable that is called so.
pub const CONDITION: &str = "condition";

/// All but what an address may have anywhere (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An exit with a visit's variables and its condition. What the entry link brought is still to be put in.
pub(crate) fn with_variables(exit: &Exit, progress: &Progress) -> Exit {
    let mut variables = progress.variables.clone();
    if let Some(condition) = &progress.condition {
        variables.entry(CONDITION.to_owned()).or_insert_with(|| condition.as_str().into());
    }
    let in_address = |name: &str| match variables.get(name) {
        None if ENTRY_PARAMETERS.contains(&name) => format!("{{{{ {name} }}}}"),
        value => encoded(value),
    };
    Exit {
        code: exit.code.as_deref().map(|code| in_words(code, &variables)),
        redirect: exit.redirect.as_deref().map(|address| fill(address, in_address)),
    }
}

/// An exit with what the entry link brought; with nothing in its place where `value` has none.
#[must_use]
pub fn with_entry<'a>(exit: Exit, value: impl Fn(&str) -> Option<&'a Value>) -> Exit {
    let redirect = exit.redirect.map(|address| fill(&address, |name| encoded(value(name))));
    Exit { redirect, ..exit }
}

fn encoded(value: Option<&Value>) -> String {
    match words(value).as_str() {
        // In a path these lead upwards, encoded or not.
        "." | ".." => String::new(),
        words => utf8_percent_encode(words, RESERVED).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::form::Answers;

    use super::*;

    fn redirect(address: &str) -> Exit {
        Exit { redirect: Some(address.into()), code: None }
    }

    fn progress(condition: Option<&str>, variables: &[(&str, Value)]) -> Progress {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Progress { condition: condition.map(str::to_owned), variables, ..Progress::default() }
    }

    #[test]
    fn no_value_is_more_than_a_value() {
        let progress = progress(
            Some("a&b"),
            &[("you.name", json!("?x=1&y#ü/%2F {{ PROLIFIC_PID }}")), ("speed", json!(1.5))],
        );
        let exit = redirect(
            "https://a.example/{{speed}}?n={{ you.name }}&c={{ condition }}&no={{ none }}#{{ speed }}",
        );
        let filled =
            with_entry(with_variables(&exit, &progress), |_| panic!("nothing of the entry is named"));
        let expected = "https://a.example/1.5?n=%3Fx%3D1%26y%23%C3%BC%2F%252F%20%7B%7B%20PROLIFIC_PID%20%7D%7D\
            &c=a%26b&no=#1.5";
        assert_eq!(filled, redirect(expected));
    }

    #[test]
    fn what_the_entry_link_brought_is_put_in_last() {
        let exit = redirect("https://a.example/?cc=A&pid={{PROLIFIC_PID}}&s={{ SESSION_ID }}");
        let open = with_variables(&exit, &progress(None, &[]));
        assert_eq!(open, redirect("https://a.example/?cc=A&pid={{ PROLIFIC_PID }}&s={{ SESSION_ID }}"));
        let entry = Answers::from([("PROLIFIC_PID".to_owned(), json!("5f&x"))]);
        let filled = with_entry(open.clone(), |name| entry.get(name));
        assert_eq!(filled, redirect("https://a.example/?cc=A&pid=5f%26x&s="));
        assert_eq!(with_entry(open, |_| None), redirect("https://a.example/?cc=A&pid=&s="));
    }

    #[test]
    fn no_value_leads_upwards() {
        let exit = redirect("https://a.example/studies/{{ you.name }}/done?n={{ you.name }}");
        for (answer, filled) in [("..", ""), (".", ""), ("...", "..."), ("../x", "..%2Fx")] {
            let progress = progress(None, &[("you.name", json!(answer))]);
            let expected = format!("https://a.example/studies/{filled}/done?n={filled}");
            assert_eq!(with_variables(&exit, &progress), redirect(&expected), "{answer}");
        }
    }

    #[test]
    fn a_code_has_words_and_nothing_of_the_entry_link() {
        let exit =
            Exit { code: Some("{{ condition }}-{{ you.name }}-{{ PROLIFIC_PID }}".into()), redirect: None };
        let own = progress(Some("fast"), &[("condition", json!("own")), ("you.name", json!("A B"))]);
        let filled = with_entry(with_variables(&exit, &own), |_| panic!("a code has nothing of it"));
        assert_eq!(filled.code.as_deref(), Some("own-A B-"));
    }
}
