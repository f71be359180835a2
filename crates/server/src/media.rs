//! Pictures, sound and video that an experiment's texts show: which kinds there are, and where they are served.

/// The most bytes of a file: a minute of video for the web. Every participant loads it over their own connection.
pub(crate) const MOST_BYTES: u64 = 20 * 1024 * 1024;

/// How a file's name may end, and what browsers are told that it is. Nothing here can run as a page of this server's, but
/// SVG, which is served under a policy of its own.
const KINDS: [(&str, &str); 14] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    (SVG, "image/svg+xml"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("wav", "audio/wav"),
    ("m4a", "audio/mp4"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("vtt", "text/vtt; charset=utf-8"),
];

/// The one kind that could have scripts.
pub(crate) const SVG: &str = "svg";

/// The kind of a file, by the end of its name.
pub(crate) fn kind(file: &str) -> Option<&'static str> {
    let (_, end) = file.rsplit_once('.')?;
    KINDS.iter().map(|(kind, _)| *kind).find(|kind| kind.eq_ignore_ascii_case(end))
}

/// How names may end.
pub(crate) fn kinds() -> String {
    KINDS.map(|(kind, _)| kind).join(", ")
}

/// What a browser is told.
pub(crate) fn content_type(kind: &str) -> Option<&'static str> {
    KINDS.iter().find(|(known, _)| *known == kind).map(|(_, content_type)| *content_type)
}

/// Where a file is served: its address never has other contents.
pub(crate) fn address(sha256: &str, kind: &str) -> String {
    format!("/files/{sha256}.{kind}")
}

/// Hash and kind of a file, from the name under which it is served.
pub(crate) fn parse_name(name: &str) -> Option<(&str, &'static str)> {
    let (sha256, end) = name.split_once('.')?;
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (kind, _) = KINDS.iter().find(|(kind, _)| *kind == end).filter(|_| is_hash)?;
    Some((sha256, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hash_and_a_kind_are_a_name() {
        let sha256 = "0a".repeat(32);
        assert_eq!(parse_name(&format!("{sha256}.png")), Some((sha256.as_str(), "png")));
        for name in [
            "",
            "png",
            "../experiment.toml",
            "/etc/passwd",
            &sha256,
            &format!("{sha256}.exe"),
            &format!("{sha256}.PNG"),
            &format!("{sha256}.png.png"),
            &format!("{}.png", &sha256[1..]),
            &format!("{}.png", sha256.to_uppercase()),
            &format!("../{sha256}.png"),
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_kind_is_how_a_name_ends() {
        assert_eq!([kind("a/Map.PNG"), kind("a.tar.svg")], [Some("png"), Some("svg")]);
        assert_eq!([kind("png"), kind("a.html"), kind("a.")], [None; 3]);
    }
}
