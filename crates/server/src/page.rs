//! The participant's page as a browser loads it first: with the title, the language and the texts of the experiment as it is
//! now. So nothing is ever shown in another language, not even that the server cannot be reached. Whose visit began with
//! another version is told its texts over the control channel.

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use room::Experiment;
use sha2::{Digest, Sha256};
use wire::texts::Texts;

use crate::assets;
use crate::token::hex;

/// The page of an experiment.
#[derive(Clone)]
pub(crate) struct Page {
    html: Bytes,
    tag: String,
}

impl Page {
    pub(crate) fn of(experiment: &Experiment) -> Self {
        let html = fill(&assets::index().unwrap_or_default(), &experiment.title, &experiment.texts);
        let tag = format!("W/\"{}\"", hex(&Sha256::digest(&html)[..16]));
        Self { html: html.into(), tag }
    }

    /// A response that a browser keeps but asks about.
    pub(crate) fn response(&self, headers: &HeaderMap) -> Response {
        let keep = [(ETAG, self.tag.as_str()), (CACHE_CONTROL, "no-cache"), (VARY, "accept-encoding")];
        if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == self.tag.as_bytes()) {
            return (StatusCode::NOT_MODIFIED, keep).into_response();
        }
        (keep, [(CONTENT_TYPE, "text/html; charset=utf-8")], self.html.clone()).into_response()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What a tag has as an attribute.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(name)?.1.strip_prefix("=\"")?.split_once('"').map(|(value, _)| value)
}

/// Puts title, language and texts where `index.html` has a place for them: `data-text` names what is in an element,
/// `data-label` what it is called where that is not seen.
fn fill(html: &str, title: &str, texts: &Texts) -> String {
    let words = |name: &str| texts.words.get(name).map_or_else(|| escape(name), |words| escape(words));
    let mut filled = String::with_capacity(html.len() * 4);
    let mut parts = html.split('<');
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let Some((tag, after)) = part.split_once('>') else {
            filled.push('<');
            filled.push_str(part);
            continue;
        };
        let label = attribute(tag, "data-label").map(|name| format!(" aria-label=\"{}\"", words(name)));
        let (tag, inside) = match tag {
            _ if tag.starts_with("html") => {
                (format!("html lang=\"{}\"", escape(&texts.language)), String::new())
            }
            "title" => (tag.to_owned(), escape(title)),
            _ if attribute(tag, " id") == Some("texts") => {
                // What is read as HTML first must not end there.
                let json = serde_json::to_string(&texts.words).unwrap_or_default().replace('<', "\\u003c");
                (format!("{tag} data-id=\"{}\"", escape(&texts.id)), json)
            }
            _ => (tag.to_owned(), attribute(tag, "data-text").map(words).unwrap_or_default()),
        };
        filled.extend(["<", &tag, &label.unwrap_or_default(), ">", &inside, after]);
    }
    filled
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::texts;

    fn json_in(html: &str) -> BTreeMap<String, String> {
        let (_, begin) = html.split_once(" data-id=\"").unwrap().1.split_once('>').unwrap();
        serde_json::from_str(begin.split("</script>").next().unwrap()).unwrap()
    }

    #[test]
    fn the_page_says_everything_in_the_experiments_language() {
        let page = include_str!("../../client/page/index.html");
        for language in texts::languages() {
            let words = texts::shipped(&language).unwrap();
            let texts = texts::texts(language.clone(), words.clone());
            let html = fill(page, "A & <B>", &texts);
            assert!(html.contains(&format!("<html lang=\"{language}\">")));
            assert!(html.contains("<title>A &amp; &lt;B&gt;</title>"));
            for marker in ["data-text", "data-label"] {
                let marked = format!("{marker}=\"");
                let names = page.split(&marked).skip(1).map(|rest| rest.split('"').next().unwrap());
                for name in names {
                    let said = escape(words.get(name).unwrap_or_else(|| panic!("there is no text {name}")));
                    let said = if marker == "data-text" {
                        format!(">{said}</")
                    } else {
                        format!(" aria-label=\"{said}\"")
                    };
                    assert!(html.contains(&said), "{said}");
                }
            }
            assert!(html.contains(&format!("id=\"texts\" data-id=\"{}\">", texts.id)));
            assert_eq!(json_in(&html), texts.words);
        }
    }

    #[test]
    fn no_text_is_read_as_html() {
        let page = "<html><p data-text=\"a\" data-label=\"b\"></p><script type=\"application/json\" id=\"texts\"></script></html>";
        let evil = "</script><script>\"&";
        let texts = texts::texts("de".into(), [("a".into(), evil.into()), ("b".into(), evil.into())].into());
        let html = fill(page, "", &texts);
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert_eq!(html.matches("</script>").count(), 1, "{html}");
        assert!(
            html.contains("aria-label=\"&lt;/script&gt;&lt;script&gt;&quot;&amp;\">&lt;/script&gt;"),
            "{html}"
        );
        assert_eq!(json_in(&html), texts.words);
    }

    #[test]
    fn a_browser_that_has_the_page_is_told_so() {
        let page = Page { html: "a".into(), tag: "W/\"1\"".into() };
        let headers = |tag: &str| [(IF_NONE_MATCH, tag.parse().unwrap())].into_iter().collect();
        assert_eq!(page.response(&headers("W/\"1\"")).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(page.response(&headers("W/\"2\"")).status(), StatusCode::OK);
    }
}
