//! Pictures, sound and video in an experiment's texts: files of the folder, under addresses of this server's.
//!
//! A text names them as files, `![A map](map.png)` or `<video src="intro.mp4">`, relative to itself. Here each gets the
//! address under which it is served, which has its hash in it: so a text and what it shows are one version (S2).

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::Reader;
use crate::media;
use crate::token::hex;

/// What shows a file, and the attribute that names it.
const SHOWN: [(&[u8], &[u8]); 6] = [
    (b"img", b"src"),
    (b"audio", b"src"),
    (b"video", b"src"),
    (b"video", b"poster"),
    (b"source", b"src"),
    (b"track", b"src"),
];

/// Of these the page shows `data:` addresses too.
const PICTURES: [(&[u8], &[u8]); 2] = [SHOWN[0], SHOWN[3]];

/// What would name several files.
const SEVERAL: &[u8] = b"srcset";

/// What to say of addresses that are elsewhere.
const ELSEWHERE: &str =
    "participants' pages load from this server only; put the file into the folder, and name it here";

/// Puts something in the place of each address of what a text shows; where there is nothing to put, it stays. All else stays
/// as it is written. `instead` gets the address, and whether it is a picture's.
fn rewrite(
    html: &str,
    mut instead: impl FnMut(&str, bool) -> anyhow::Result<Option<String>>,
) -> (String, BTreeSet<String>) {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    // What is within a script or a style is no tag.
    emitter.naively_switch_states(true);
    let (mut rewritten, mut done, mut wrong) = (String::with_capacity(html.len()), 0, BTreeSet::new());
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        let Token::StartTag(mut tag) = token else { continue };
        let mut is_changed = false;
        for shown in SHOWN.into_iter().filter(|(element, _)| *element == tag.name.as_slice()) {
            let Some(value) = tag.attributes.get_mut(shown.1) else { continue };
            let address = String::from_utf8_lossy(value).trim_ascii().to_owned();
            match instead(&address, PICTURES.contains(&shown)) {
                Ok(None) => {}
                Ok(Some(other)) => {
                    value.value = other.into_bytes().into();
                    is_changed = true;
                }
                Err(error) => drop(wrong.insert(format!("shows {address:?}: {error:#}"))),
            }
        }
        if matches!(tag.name.as_slice(), b"img" | b"source") && tag.attributes.contains_key(SEVERAL) {
            wrong.insert("has a srcset, of which nothing is shown; name one file, by src".to_owned());
        }
        if is_changed {
            rewritten.push_str(&html[done..tag.span.start]);
            write(&mut rewritten, &tag);
            done = tag.span.end;
        }
    }
    rewritten.push_str(&html[done..]);
    (rewritten, wrong)
}

/// Writes a tag as HTML.
fn write(html: &mut String, tag: &StartTag<usize>) {
    html.push('<');
    html.push_str(&String::from_utf8_lossy(&tag.name));
    for (name, value) in &tag.attributes {
        let value = String::from_utf8_lossy(value).replace('&', "&amp;").replace('"', "&quot;");
        html.extend([" ", &String::from_utf8_lossy(name), "=\"", &value, "\""]);
    }
    html.push_str(if tag.self_closing { " />" } else { ">" });
}

/// Whether an address says by itself where it is, without the page that it stands in.
fn is_elsewhere(address: &str) -> bool {
    let scheme = address.split_once(':').map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    scheme.is_some_and(is_scheme) || address.starts_with("//")
}

/// A file's name within the folder, from its path beside a text. One that would lead out of the folder stays as it is.
fn beside(text: &str, path: &str) -> String {
    let mut parts: Vec<&str> = text.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.is_empty() => return path.to_owned(),
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if path.starts_with('/') { path.to_owned() } else { parts.join("/") }
}

impl Reader<'_, '_> {
    /// A text's HTML, with the addresses under which the files that it shows are served. `file` is where the text is, and
    /// `whose` what to call it in mistakes, which are the field's.
    pub(super) fn with_files(&mut self, field: &str, (file, whose): (&str, &str), html: &str) -> String {
        let (html, wrong) = rewrite(html, |address, is_picture| self.served(file, address, is_picture));
        for wrong in wrong {
            self.file.add(field, format!("{whose} {wrong}"));
        }
        html
    }

    /// Where what a text names is served from. None where it may stay as it is.
    fn served(&mut self, text: &str, address: &str, is_picture: bool) -> anyhow::Result<Option<String>> {
        let is_data = address.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:"));
        if address.is_empty() || (is_picture && is_data) {
            return Ok(None);
        }
        let (address, fragment) = address.split_at(address.find('#').unwrap_or(address.len()));
        let path = address.split('?').next().unwrap_or_default();
        let path = percent_decode_str(path).decode_utf8().context("it is not UTF-8")?;
        if path.contains("{{") {
            bail!("an address cannot have variables; show other texts in other conditions, by `conditions`");
        }
        if is_elsewhere(address) {
            bail!("{ELSEWHERE}");
        }
        let name = beside(text, &path);
        let Some(kind) = media::kind(&name) else {
            bail!("that is no kind of file that can be shown; they are {}", media::kinds());
        };
        let content = self.source.read_at_most(&name, media::MOST_BYTES)?;
        let sha256 = hex(&Sha256::digest(&content));
        let served = media::address(&sha256, kind);
        self.files.insert((sha256, kind), content);
        Ok(Some(served + fragment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(html: &str) -> String {
        let (html, wrong) = rewrite(html, |address, _| {
            Ok(address.strip_suffix(".png").map(|name| format!("/files/{name}\"&.png")))
        });
        assert_eq!(wrong, BTreeSet::new());
        html
    }

    #[test]
    fn only_addresses_of_what_is_shown_are_rewritten() {
        for (html, expected) in [
            ("<p>ä <img src=\"a.png\"> b</p>", "<p>ä <img src=\"/files/a&quot;&amp;.png\"> b</p>"),
            (
                "<IMG alt='\"x\" &amp; y' SRC = a.png\n>",
                "<img alt=\"&quot;x&quot; &amp; y\" src=\"/files/a&quot;&amp;.png\">",
            ),
            ("<img src=' a.png '/>\r\n<p>", "<img src=\"/files/a&quot;&amp;.png\" />\r\n<p>"),
            (
                "\r\n\r\nü<video poster=a.png src=b.mp4 controls></video>",
                "\r\n\r\nü<video controls=\"\" poster=\"/files/a&quot;&amp;.png\" src=\"b.mp4\"></video>",
            ),
        ] {
            assert_eq!(rewritten(html), expected);
        }
        for html in [
            "<a href=\"a.png\">a.png</a>",
            "<img src=\"a.gif\" SRC=\"a.png\">",
            "<!-- <img src=\"a.png\"> --><style>/* <img src=\"a.png\"> */</style>",
            "1 < 2 &amp; <img alt=\"a.png\" <img",
            "<p title='<img src=\"a.png\">'>",
            "",
        ] {
            assert_eq!(rewritten(html), html);
        }
    }

    #[test]
    fn names_are_relative_to_the_text() {
        for (text, path, name) in [
            ("welcome.md", "map.png", "map.png"),
            ("welcome.md", "./images/map.png", "images/map.png"),
            ("texts/welcome.md", "map.png", "texts/map.png"),
            ("texts/welcome.md", "../map.png", "map.png"),
            ("texts/welcome.md", "../../map.png", "../../map.png"),
            ("welcome.md", "../map.png", "../map.png"),
            ("texts/welcome.md", "/etc/passwd", "/etc/passwd"),
        ] {
            assert_eq!(beside(text, path), name);
        }
    }
}
