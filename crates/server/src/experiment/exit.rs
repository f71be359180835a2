//! What participants are sent away with, as the file has it: a code, or an address to go to (S5).

use room::{CONDITION, ENTRY_PARAMETERS, names_in};
use wire::control::Exit;

use super::guard::{Known, Misnamed};
use super::mistakes::{Reading, did_you_mean};
use super::text::is_web_address;

/// Tells what is wrong with an exit, beside the names of variables in it.
pub(super) fn check(file: &mut Reading<'_>, field: &str, exit: &Exit) {
    match exit {
        Exit { code: Some(code), redirect: None } if !code.trim().is_empty() => {}
        Exit { code: None, redirect: Some(address) } => {
            if let Some(wrong) = wrong_with(address) {
                file.add(field, format!("{field} {wrong}"));
            }
        }
        _ => {
            let text = "must have a code or a redirect: { code = \"C1A2\" } or { redirect = \"https://…\" }";
            file.add(field, format!("{field} {text}"));
        }
    }
}

/// What is wrong with an address.
fn wrong_with(address: &str) -> Option<String> {
    let host = address.find("://").map_or(0, |at| at + 3);
    let end = address[host..].find(['/', '?', '#']).map_or(address.len(), |at| host + at);
    if let Some((_, name)) = names_in(address).find(|(at, _)| *at < end) {
        return Some(format!(
            "has {{{{ {name} }}}} in the address's scheme or host; a variable may stand in path, query and fragment only"
        ));
    }
    let plain = without_names(address);
    if let Some((_, after)) = plain.split_once('{') {
        let name = after.split('}').next().unwrap_or_default();
        return Some(format!("has {{{name}}}, which is no variable; one is written {{{{ {name} }}}}"));
    }
    (!is_web_address(&plain))
        .then(|| format!("redirects to {address:?}; it must be like https://app.example.org/done"))
}

/// An address without its variables.
fn without_names(address: &str) -> String {
    let mut plain = String::with_capacity(address.len());
    let mut rest = address;
    while let Some((at, _)) = names_in(rest).next() {
        plain.push_str(&rest[..at]);
        rest = rest[at..].split_once("}}").map_or("", |(_, behind)| behind);
    }
    plain + rest
}

/// What is wrong with the names of variables in an end's exit.
pub(super) fn misnamed(known: &Known<'_>, scene: &str, field: &str, exit: &Exit) -> Vec<String> {
    let texts = [(exit.code.as_deref(), false), (exit.redirect.as_deref(), true)];
    let names = texts.iter().flat_map(|&(text, is_address)| {
        names_in(text.unwrap_or_default()).map(move |(_, name)| (name, is_address))
    });
    let wrong = |(name, is_address): (&str, bool)| {
        let is_own = name.contains('.') || !known.conditions.values(name).is_empty();
        let text = if is_own {
            match known.meaning(scene, name)? {
                Err(Misnamed { text, .. }) => text,
                Ok(_) => return None,
            }
        } else if name == CONDITION {
            match known.conditions.ids.is_empty() {
                true => "there is no [[condition]]".to_owned(),
                false => known.conditions.not_assigned_at(known.outline, scene)?,
            }
        } else if ENTRY_PARAMETERS.contains(&name) {
            if is_address {
                return None;
            }
            "what the entry link brought may stand in a redirect only".to_owned()
        } else {
            let own = known.conditions.names().into_iter().chain([CONDITION]);
            let hint = did_you_mean(name, own.chain(ENTRY_PARAMETERS));
            format!("no condition has a variable {name:?}, and no entry link is known to bring it{hint}")
        };
        Some(format!("{field} has {{{{ {name} }}}}: {text}"))
    };
    names.filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Loaded;
    use crate::experiment::tests::{complaint_of, load_text};

    #[test]
    fn variables_are_in_path_query_and_fragment_only() {
        for address in [
            "https://a.example",
            "https://a.example/{{ a }}/b?c={{ PROLIFIC_PID }}&d={{d}}#{{ e.f }}",
            "http://a.example?{{ a }}",
        ] {
            assert_eq!(wrong_with(address), None, "{address}");
        }
        for (address, said) in [
            ("{{ a }}", "has {{ a }} in the address's scheme or host"),
            ("{{ a }}://b.example/", "has {{ a }} in the address's scheme or host"),
            ("https://{{ a }}.example/", "has {{ a }} in the address's scheme or host"),
            ("https://a.example:{{ a }}?b", "has {{ a }} in the address's scheme or host"),
            ("https://a.example/{PROLIFIC_PID}", "one is written {{ PROLIFIC_PID }}"),
            ("https://a.example/{{ a", "is no variable"),
            ("https:///{{ a }}", "must be like https://"),
            ("javascript:{{ a }}", "in the address's scheme or host"),
            ("ftp://a.example/{{ a }}", "must be like https://"),
        ] {
            let wrong = wrong_with(address).unwrap_or_default();
            assert!(wrong.contains(said), "{address}: {wrong}");
        }
    }

    /// An experiment with conditions and a question, whose end has an exit.
    fn with_exit(exit: &str) -> anyhow::Result<Loaded> {
        load_text(&format!(
            "id = \"s\"\ntitle = \"S\"\n\n[[condition]]\nid = \"fast\"\nvariables = {{ speed = 3 }}\n\n\
             [[scene]]\nkind = \"form\"\nid = \"you\"\n\n[[scene.field]]\nid = \"age\"\ntype = \"integer\"\nlabel = \"?\"\n\n\
             [[scene]]\nkind = \"end\"\nid = \"thanks\"\nexits = {{ completed = {{ {exit} }} }}\n"
        ))
    }

    #[test]
    fn exits_have_variables_and_redirects_what_the_entry_link_brought() {
        for exit in [
            "redirect = \"https://a.example/{{ speed }}?pid={{ PROLIFIC_PID }}&c={{condition}}#{{ you.age }}\"",
            "redirect = \"https://a.example?{{ workerId }}{{ assignmentId }}{{ hitId }}{{ STUDY_ID }}{{ SESSION_ID }}\"",
            "code = \"{{ condition }}-{{ you.age }}\"",
        ] {
            with_exit(exit).unwrap();
        }
        for (exit, expected) in [
            (
                "redirect = \"https://a.example/{{ sped }}\"",
                "line 20: exits.completed has {{ sped }}: no condition has a variable \"sped\"",
            ),
            ("redirect = \"https://a.example/{{ sped }}\"", "did you mean `speed`?"),
            ("redirect = \"https://a.example/{{ PROLIFIC_ID }}\"", "did you mean `PROLIFIC_PID`?"),
            ("redirect = \"https://a.example/{{%PROLIFIC_PID%}}\"", "did you mean `PROLIFIC_PID`?"),
            ("redirect = \"https://a.example/{{ conditoin }}\"", "did you mean `condition`?"),
            ("redirect = \"https://a.example/{{ you.aeg }}\"", "has no field \"aeg\"; did you mean `age`?"),
            (
                "redirect = \"https://{{ speed }}/\"",
                "line 20: exits.completed has {{ speed }} in the address's scheme or host",
            ),
            ("redirect = \"https://a.example/{speed}\"", "one is written {{ speed }}"),
            ("code = \"{{ PROLIFIC_PID }}\"", "what the entry link brought may stand in a redirect only"),
            ("code = \"{{ sped }}\"", "did you mean `speed`?"),
        ] {
            let said = format!("{:#}", with_exit(exit).expect_err(exit));
            assert!(said.contains(expected), "{exit}: {said}");
        }
        let without = "id = \"s\"\ntitle = \"S\"\n\n[[scene]]\nkind = \"end\"\nid = \"thanks\"\n\
            exits = { completed = { redirect = \"https://a.example/{{ condition }}\" } }\n";
        let said = complaint_of(without);
        assert!(said.contains("exits.completed has {{ condition }}: there is no [[condition]]"), "{said}");
    }
}
