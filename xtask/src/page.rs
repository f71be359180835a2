//! Makes the page small.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;

/// How long the hashes in wasm-bindgen's names are.
const HASH: usize = 16;

/// Takes comments and indentation out of the script, and makes the hashes in the names by which script and module
/// know each other numbers of the same length: a hash is the one thing that cannot be compressed.
pub(crate) fn shrink(script: &Path, module: &Path) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(script).with_context(|| format!("cannot read {}", script.display()))?;
    let numbers = numbered(&text);
    let text = without_comments(&text);
    std::fs::write(script, replaced(text.as_bytes(), &numbers))?;
    let bytes = std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    std::fs::write(module, replaced(&bytes, &numbers))?;
    Ok(())
}

fn is_hash(bytes: &[u8]) -> bool {
    let hex = bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex && bytes.len() == HASH
}

/// Every hash in wasm-bindgen's names (`__wbg_new_0123456789abcdef`, `…invoke__h0123456789abcdef`), with a number.
fn numbered(script: &str) -> HashMap<Vec<u8>, Vec<u8>> {
    let names = script.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut numbers = HashMap::new();
    for name in names.filter(|name| name.starts_with("__wbg_") || name.starts_with("wasm_bindgen__")) {
        for part in name.split('_') {
            let hash = part.strip_prefix('h').filter(|rest| rest.len() == HASH).unwrap_or(part).as_bytes();
            if is_hash(hash) {
                let next = numbers.len();
                numbers.entry(hash.to_vec()).or_insert_with(|| format!("{next:016}").into_bytes());
            }
        }
    }
    numbers
}

fn replaced(bytes: &[u8], numbers: &HashMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while let Some(window) = out.get(at..at + HASH) {
        match numbers.get(window) {
            Some(number) => {
                out[at..at + HASH].copy_from_slice(number);
                at += HASH;
            }
            None => at += 1,
        }
    }
    out
}

fn without_comments(script: &str) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in script.lines().map(str::trim) {
        inside |= line.starts_with("/**");
        if !inside && !line.is_empty() && !line.starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
        inside &= !line.ends_with("*/");
    }
    kept
}

/// Puts `FILE.gz` beside a file of the page, and says how many bytes it has.
pub(crate) fn compress(file: &Path) -> anyhow::Result<usize> {
    let small = file.with_extension(match file.extension() {
        Some(ending) => format!("{}.gz", ending.to_string_lossy()),
        None => "gz".into(),
    });
    let (content, old) = (std::fs::metadata(file)?.modified()?, std::fs::metadata(&small));
    if let Ok(old) = &old
        && old.modified()? > content
    {
        return Ok(old.len() as usize);
    }
    let out = compressed(file)?;
    std::fs::write(&small, &out)?;
    Ok(out.len())
}

/// A file, gzipped.
pub(crate) fn compressed(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, &*std::fs::read(file)?, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_become_numbers_in_script_and_module_alike() {
        let script =
            "/** Docs */\n  imports.__wbg_new_0123456789abcdef = wasm_bindgen__f__h00000000ffffffff_10;\n";
        let numbers = numbered(script);
        let script = replaced(without_comments(script).as_bytes(), &numbers);
        assert_eq!(
            String::from_utf8_lossy(&script),
            "imports.__wbg_new_0000000000000000 = wasm_bindgen__f__h0000000000000001_10;\n"
        );
        let module = replaced(b"\0__wbg_new_0123456789abcdef\0", &numbers);
        assert_eq!(module, b"\0__wbg_new_0000000000000000\0");
    }
}
