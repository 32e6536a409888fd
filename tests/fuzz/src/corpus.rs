//! Inputs that are kept, as text: one to a line, in the escapes of `u8::escape_ascii`. A line that begins with
//! `#` is a comment.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// Where the inputs of a target are kept.
pub fn file(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{target}.txt"))
}

pub fn read(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let text = fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    lines.map(|(at, line)| unescape(line).with_context(|| format!("{}:{}", file.display(), at + 1))).collect()
}

/// The short ones first, then by their octets.
pub fn text(inputs: &[Vec<u8>]) -> String {
    let sorted: BTreeSet<(usize, &Vec<u8>)> = inputs.iter().map(|input| (input.len(), input)).collect();
    sorted.into_iter().map(|(_, input)| format!("{}\n", input.escape_ascii())).collect()
}

pub fn unescape(line: &str) -> anyhow::Result<Vec<u8>> {
    let (mut octets, mut chars) = (Vec::new(), line.bytes());
    while let Some(octet) = chars.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        octets.push(match chars.next().context("nothing behind the last backslash")? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = [chars.next().context("no digit")?, chars.next().context("one digit")?];
                u8::from_str_radix(str::from_utf8(&digits)?, 16)?
            }
            same @ (b'\\' | b'"' | b'\'') => same,
            other => anyhow::bail!("an escape that is not known: {other}"),
        });
    }
    Ok(octets)
}
