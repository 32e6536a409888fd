//! Octets of a file to text: UTF-8, or CP932 as Japanese Windows wrote it (spec.md 4.0).

use encoding_rs::SHIFT_JIS;
use hikyaku_types::domain::Domain;

use super::{File, Kind, report::FileProblem};
use crate::problem::Severity;

const BYTE_ORDER_MARK: &str = "\u{feff}";

pub(super) fn decoded(file: &File, idn: bool) -> Result<String, FileProblem> {
    let text = match std::str::from_utf8(&file.octets) {
        Ok(text) => text.to_owned(),
        Err(_) => cp932(file)?,
    };
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text).to_owned();
    Ok(if idn { with_a_labels(&text, &file.kind) } else { text })
}

fn cp932(file: &File) -> Result<String, FileProblem> {
    let mut decoder = SHIFT_JIS.new_decoder_without_bom_handling();
    let most = decoder.max_utf8_buffer_length_without_replacement(file.octets.len()).unwrap_or(0);
    let mut text = String::with_capacity(most);
    let (result, read) = decoder.decode_to_string_without_replacement(&file.octets, &mut text, true);
    match result {
        encoding_rs::DecoderResult::InputEmpty => Ok(text),
        encoding_rs::DecoderResult::OutputFull => Err(undecodable(file, read)),
        encoding_rs::DecoderResult::Malformed(bad, behind) => {
            Err(undecodable(file, read.saturating_sub(usize::from(bad) + usize::from(behind))))
        }
    }
}

fn undecodable(file: &File, offset: usize) -> FileProblem {
    let before = file.octets.get(..offset).unwrap_or_default();
    let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
    FileProblem {
        file: file.name.clone(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        severity: Severity::Error,
        code: "E-ENCODING",
        reason: format!("byte {offset} is neither UTF-8 nor CP932"),
    }
}

/// Domains in U-labels become A-labels, in the fields that hold one; what is no domain stays as it is and is
/// reported later. Labels and secrets are never touched.
fn with_a_labels(text: &str, kind: &Kind) -> String {
    let (separator, fields): (char, &[usize]) = match kind {
        Kind::Gateway => (',', &[0, 1]),
        Kind::Aliases => ('\t', &[0, 1]),
        Kind::Accounts => ('\t', &[3]),
        Kind::Sender(_) => (',', &[0]),
        Kind::Effect => (' ', &[0]),
        Kind::Pmail | Kind::PmailConnect | Kind::Apop(_) | Kind::Scalars | Kind::Usetime => {
            return text.to_owned();
        }
    };
    text.split_inclusive('\n')
        .map(|line| {
            let is_comment = *kind != Kind::Accounts && line.trim_start().starts_with([';', '\'']);
            let is_heading = *kind == Kind::Gateway
                && line.split(',').nth(2).is_some_and(|third| third.trim().parse::<u32>().is_err());
            if is_comment || is_heading {
                line.to_owned()
            } else {
                line_with_a_labels(line, separator, fields)
            }
        })
        .collect()
}

fn line_with_a_labels(line: &str, separator: char, fields: &[usize]) -> String {
    let convert = |(place, field): (usize, &str)| {
        let name = field.trim();
        if !fields.contains(&place) || name.is_ascii() {
            return field.to_owned();
        }
        // "rcpt|sender" of a route.
        let converted: Vec<String> = name.split('|').map(field_with_a_labels).collect();
        field.replace(name, &converted.join("|"))
    };
    line.split(separator).enumerate().map(convert).collect::<Vec<_>>().join(&separator.to_string())
}

fn field_with_a_labels(field: &str) -> String {
    let start = field.rfind('@').map_or(0, |at| at + 1);
    let (before, domain) = field.split_at(start);
    let (wildcard, domain) = match domain.strip_prefix("*.") {
        Some(domain) => ("*.", domain),
        None => ("", domain),
    };
    match domain.parse::<Domain>() {
        Ok(domain) => format!("{before}{wildcard}{domain}"),
        Err(_) => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Secrets and labels are no domains.
    #[test]
    fn only_domains_are_converted() {
        let text = "user\tパスワード\t部長\t日本語.jp\t\t1\t0\t0\t1\t1\n";
        let file = File { kind: Kind::Accounts, name: "ac.tsv".to_owned(), octets: text.as_bytes().to_vec() };
        assert_eq!(decoded(&file, true).unwrap(), text.replace("日本語.jp", "xn--wgv71a119e.jp"));
    }

    fn file(octets: &[u8]) -> File {
        File { kind: Kind::Gateway, name: "gw.dat".to_owned(), octets: octets.to_vec() }
    }

    #[test]
    fn utf8_and_cp932() {
        assert_eq!(decoded(&file("\u{feff}; 対象\r\na".as_bytes()), false).unwrap(), "; 対象\r\na");
        let cp932 = SHIFT_JIS.encode("; 対象ドメイン\r\ndomain.jp,192.168.0.20,25").0;
        assert_eq!(decoded(&file(&cp932), false).unwrap(), "; 対象ドメイン\r\ndomain.jp,192.168.0.20,25");
        let problem = decoded(&file(b"; ok\na \xff\xff\n"), false).unwrap_err();
        assert_eq!(problem.to_string(), "gw.dat:2: error E-ENCODING: byte 7 is neither UTF-8 nor CP932");
    }

    #[test]
    fn u_labels_on_request() {
        let text = "; 日本語.jp\n対象, 先, 番号\n日本語.jp, 192.168.0.20, 25\n*.日本語.jp,mx.日本語.jp\n";
        assert_eq!(decoded(&file(text.as_bytes()), false).unwrap(), text);
        assert_eq!(
            decoded(&file(text.as_bytes()), true).unwrap(),
            "; 日本語.jp\n対象, 先, 番号\nxn--wgv71a119e.jp, 192.168.0.20, 25\n*.xn--wgv71a119e.jp,mx.xn--wgv71a119e.jp\n"
        );
    }
}
